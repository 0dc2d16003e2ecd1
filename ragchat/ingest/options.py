"""How a knowledge base is brought up to date, and how far that is: what files and rows have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ragchat.types.defaults import (
    CHUNK_TOKENS,
    EXTRACTION_MEMORY_MIB,
    EXTRACTION_TIMEOUT_S,
    MAX_FILE_MIB,
    OVERLAP_TOKENS,
    QUERY_TIMEOUT_S,
)


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Limits and sizes; see the settings in section [knowledge]. `readers` is how many processes read; 0: one per core.

    `ocr_data` is the folder where the user may put data for OCR.
    """

    log: Path
    max_file_bytes: int = int(MAX_FILE_MIB * 1024 * 1024)
    exclude: tuple[str, ...] = ()
    chunk_tokens: int = CHUNK_TOKENS
    overlap_tokens: int = OVERLAP_TOKENS
    timeout_s: float = EXTRACTION_TIMEOUT_S
    memory_mib: int = EXTRACTION_MEMORY_MIB
    query_timeout_s: float = QUERY_TIMEOUT_S
    readers: int = 0
    ocr_data: Path | None = None


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """`done` of `total` files; `total` 0 while they are still being looked for. `eta_s` None while unknown.

    While OCR reads a file of several pages, `page` of `pages` is the one that it has just read, and `eta_s` at least what the
    rest of them takes.
    """

    done: int
    total: int
    path: str
    indexed: int
    skipped: int
    failed: int
    files_per_s: float
    eta_s: float | None
    page: int = 0
    pages: int = 0

    @property
    def what(self) -> str:
        """The path, or which page of which file."""
        if not self.pages:
            return self.path
        return f"page {self.page:,} of {self.pages:,} of {os.path.basename(self.path)}"  # noqa: PTH119
