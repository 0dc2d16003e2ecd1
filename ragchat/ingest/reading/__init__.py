"""What runs in the reading process: one reader per format, and the process itself. Nothing outside imports it but tests."""
