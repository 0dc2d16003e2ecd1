"""The engine: a question in, typed events out. No UI, no SQL text."""
