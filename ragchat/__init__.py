"""ragchat: talk to a local language model and to your own documents, in the terminal, offline."""

__version__ = "0.1.0"
