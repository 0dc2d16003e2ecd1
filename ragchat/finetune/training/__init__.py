"""What runs in the training process, the only one that imports torch. No one outside imports it but tests."""
