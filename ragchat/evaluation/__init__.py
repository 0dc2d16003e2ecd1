"""Question sets and measures: which way of answering serves a user best."""
