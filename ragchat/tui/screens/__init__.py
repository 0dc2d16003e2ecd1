"""Whole screens: the chat, the document viewer, the pickers, the guided first start, the help."""
