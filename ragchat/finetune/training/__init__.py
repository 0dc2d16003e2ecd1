"""What runs in the training process, the only one that imports torch. Nobody outside imports it but tests."""
