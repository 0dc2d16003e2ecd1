"""Fine-tuning: data sets, weights made trainable, the training process, adapters and their checks."""
