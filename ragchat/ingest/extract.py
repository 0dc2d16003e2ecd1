"""The text of one file, read by a process of its own; for a whole folder there is `ingest.readers`."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ragchat.errors import IngestError
from ragchat.ingest.readers import ReaderPool
from ragchat.ingest.wire import Extracted, ExtractRequest, Failed, Reason
from ragchat.types import ExtractedText

_OCR = (
    "A knowledge base with OCR can read it: `ragchat kb add NAME FILE`, then `ragchat kb settings NAME --ocr eng`"
    " and `ragchat kb sync NAME`."
)


class Extractor:
    """Reads files in a child process, which starts with the first file. For one thread at a time.

    `timeout_s` is per file, `memory_mib` the child's address space (Linux; 0: no limit).
    """

    def __init__(self, log: Path, *, timeout_s: float, memory_mib: int, max_file_bytes: int) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._max_file_bytes = max_file_bytes
        self._pool: ReaderPool[None] = ReaderPool(log, readers=1, timeout_s=timeout_s, memory_mib=memory_mib)

    def extract(self, path: Path) -> ExtractedText:
        """The text of the file.

        Raises IngestError, whose sentence is one of `wire.Reason`; RagchatError when no child can be started.
        """
        try:
            self._pool.submit(None, ExtractRequest(os.fsencode(path), self._max_file_bytes), 0)
            while not (found := list(self._pool.results(self._timeout_s))):
                pass
        except BaseException:
            self._pool.close()  # its reply, still to come, must not be taken for the next file's
            raise
        ((_, reply),) = found
        match reply:
            case Extracted():
                return reply.document
            case Failed(reason=Reason.TIMEOUT):
                raise IngestError(Reason.TIMEOUT, f"The limit is {self._timeout_s:g} s.")
            case Failed(reason=Reason.CRASHED):
                raise IngestError(Reason.CRASHED, f"{self._log} may contain details.")
            case Failed(reason=Reason.PICTURE | Reason.NO_TEXT_LAYER):
                raise IngestError(reply.reason, _OCR)
            case Failed():
                raise IngestError(reply.reason)
        raise AssertionError(f"{type(reply).__name__} was not asked for")

    def close(self) -> None:
        """End the child; the extractor can be used again."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
