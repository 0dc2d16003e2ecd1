"""What runs in the inference process, the only one that loads llama.cpp to chat. No one outside imports it but tests."""
