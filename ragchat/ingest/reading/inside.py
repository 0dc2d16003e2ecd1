"""What a reader gets to read a file that lies inside its file: an attachment, what a .gz holds. `dispatch` provides it."""

from __future__ import annotations

from collections.abc import Callable

from ragchat.types import ExtractedText

ReadInside = Callable[[str, bytes], ExtractedText]
"""Reads a part of a file by its own name. Raises IngestError."""
