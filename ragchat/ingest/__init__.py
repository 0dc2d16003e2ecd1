"""From files to chunks: find them, read them in a process of their own, cut them at their structure."""
