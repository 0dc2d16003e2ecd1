"""Models: catalogue, GGUF metadata, memory, downloads, the inference process and its client."""
