"""The reading process: makes of a foreign file what the index needs, under limits, one request and one reply at a time.

The only process that runs parsers over files that came from elsewhere. It has no network to talk to, writes no file but its
log, and keeps nothing of one file for the next. When a parser crashes, hangs or eats memory, this process dies
and its parent (`ingest.readers`) continues with another.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.chunk import split
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.source import read_file, stored_path
from ragchat.ingest.wire import (
    LONGEST_TITLE,
    MEMORY_VARIABLE,
    Extracted,
    ExtractRequest,
    Failed,
    FileState,
    PageRead,
    Read,
    ReadRequest,
    Ready,
    Reason,
    Reply,
    Request,
    WireInversion,
)
from ragchat.pipes import child_pipes, read_frame, write_frame
from ragchat.retrieval import analyzer, index
from ragchat.retrieval.invert import Inversion
from ragchat.store.knowledge import FileRecord
from ragchat.text import clean_line
from ragchat.types import ExtractedText

if TYPE_CHECKING:
    from ragchat.ingest.reading.ocr.pages import Ocr

_LARGEST_TEXT = 64 * 1024 * 1024
"""Characters of one document; more is refused."""
_LARGEST_LOG = 8 * 1024 * 1024
_NICE = 5
"""The screen and the model come first."""

_log = logging.getLogger("ragchat.extraction")


def main() -> None:
    """Serve requests until standard input closes."""
    commands, replies = child_pipes()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    _limit_self(int(os.environ.get(MEMORY_VARIABLE) or 0))
    decoder = msgspec.msgpack.Decoder(Request)
    write_frame(replies, msgspec.msgpack.encode(Ready()))
    while (frame := read_frame(commands)) is not None:
        write_frame(replies, encoded_answer(decoder.decode(frame), partial(_say, replies)))


def _say(replies: BinaryIO, page: PageRead) -> None:
    """Tell the parent of a page. Without a parent there is nothing left to do."""
    try:
        write_frame(replies, msgspec.msgpack.encode(page))
    except OSError:
        raise SystemExit(1) from None


def encoded_answer(request: Request, say: Callable[[PageRead], None] = lambda page: None) -> bytes:
    """The reply as a frame; one that is too large for the memory left is a failure like others. `say` as in `answer`."""
    try:
        return msgspec.msgpack.encode(answer(request, say))
    except MemoryError:
        return msgspec.msgpack.encode(Failed(Reason.TOO_MUCH_MEMORY))


def answer(request: Request, say: Callable[[PageRead], None] = lambda page: None) -> Reply:
    """What was asked of the file, or why there is none; `say` is told of each page that OCR reads. Never raises an Exception."""
    path = os.fsdecode(request.path)
    file, ocr = FileState(), None
    try:
        data, size, mtime_ns = read_file(path, request.max_file_bytes)
        file = FileState(size, mtime_ns, hashlib.sha256(data).hexdigest())
        ocr = _ocr(request, file.content_hash, say)
        name = os.path.basename(path)  # noqa: PTH119 (the name may be bytes that are no text)
        document = read(name, data, ocr=ocr)
        del data
        if not document.text.strip():
            return _failed(Reason.NO_TEXT, file, ocr)
        if len(document.text) > _LARGEST_TEXT:
            return _failed(Reason.TOO_MUCH_TEXT, file, ocr)
        if isinstance(request, ExtractRequest):
            return Extracted(document)
        return _prepare(request, document, file, ocr)
    except IngestError as error:
        return _failed(Reason(str(error)), file, ocr)
    except MemoryError:
        return _failed(Reason.TOO_MUCH_MEMORY, file, ocr)
    except Exception:  # noqa: BLE001 (the boundary: whatever a parser raises is one failed file)
        _log.exception("failed on %r", path)
        return _failed(Reason.DAMAGED, file, ocr)


def _ocr(request: Request, content_hash: str, say: Callable[[PageRead], None]) -> Ocr | None:
    """What reads the pictures of a file, if that is wanted."""
    if not (isinstance(request, ReadRequest) and request.ocr):
        return None
    from ragchat.ingest.reading.ocr.pages import Ocr, PageText

    known = {
        page.number: PageText(page.text, page.confidence)
        for page in request.pages_read
        if page.content_hash == content_hash
    }
    return Ocr(request.ocr, request.ocr_data, known, lambda *page: say(PageRead(content_hash, *page)))


def _failed(reason: Reason, file: FileState, ocr: Ocr | None) -> Failed:
    has_looked = ocr is not None and ocr.pages > 0
    if has_looked and reason in (Reason.NO_TEXT_LAYER, Reason.NO_TEXT):
        reason = Reason.NO_OCR_TEXT
    return Failed(reason, file, ocr=has_looked)


def _prepare(
    request: ReadRequest, document: ExtractedText, file: FileState, ocr: Ocr | None
) -> Read | Failed:
    """What the index needs of a text."""
    chunks = split(document, chunk_tokens=request.chunk_tokens, overlap_tokens=request.overlap_tokens)
    if not chunks:
        return _failed(Reason.NO_TEXT, file, ocr)
    title = clean_line(
        document.title or first_heading(document.text, document.media_type), limit=LONGEST_TITLE
    )
    record = FileRecord(
        stored_path(os.fsdecode(request.path)),
        file.size,
        file.mtime_ns,
        title=title,
        language=analyzer.detect(document.text, request.language),
    )
    return Read(
        file=file,
        title=title,
        media_type=document.media_type,
        source_lines=document.source_lines,
        language=record.language,
        left_out=document.left_out,
        chunks=chunks,
        inversion=_wire_inversion(index.analyse([(record, chunks)])),
        ocr=ocr is not None and ocr.pages > 0,
    )


def _wire_inversion(inversion: Inversion) -> WireInversion:
    postings = inversion.postings
    return WireInversion(
        inversion.lengths.tobytes(),
        postings.terms,
        postings.counts.tobytes(),
        postings.slots.tobytes(),
        postings.tfs.tobytes(),
    )


def _limit_self(memory_mib: int) -> None:
    """Limits that hold for this process from here on, where the platform has them."""
    with contextlib.suppress(AttributeError, OSError):
        os.nice(_NICE)
    try:
        import resource
    except ImportError:  # pragma: no cover (Windows)
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The log is the one file it may write to; Python ignores SIGXFSZ, so more is a mere error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_LOG, _LARGEST_LOG))
    if memory_mib and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))


if __name__ == "__main__":
    main()
