"""What runs in the inference process, the only one that loads llama.cpp to chat. Nobody outside imports it but tests."""
