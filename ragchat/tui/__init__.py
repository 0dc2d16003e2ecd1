"""The screen. Everything that imports textual, and nothing else may."""
