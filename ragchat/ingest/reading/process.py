"""The reading process: makes of a foreign file what the index needs, under limits, one request and one reply at a time.

The only process that runs parsers over files that came from elsewhere. It has no network to talk to, writes no file but its
log, does no OCR, and keeps nothing of one file for the next. When a parser crashes, hangs or eats memory, this process dies
and its parent (`ingest.readers`) goes on with another.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys

import msgspec

from ragchat.errors import IngestError
from ragchat.ingest.blocks import first_heading
from ragchat.ingest.chunk import split
from ragchat.ingest.formats import PLAIN, UNSUPPORTED, Kind, kind_of, looks_binary, suffix_of
from ragchat.ingest.office import extract_office
from ragchat.ingest.pdf import extract_pdf
from ragchat.ingest.source import read_file, stored_path
from ragchat.ingest.textfile import decode, extract_notebook, source_text
from ragchat.ingest.webpage import extract_html
from ragchat.ingest.wire import (
    LONGEST_TITLE,
    MEMORY_VARIABLE,
    Extracted,
    ExtractRequest,
    Failed,
    FileState,
    Read,
    ReadRequest,
    Ready,
    Reason,
    Reply,
    Request,
    WireChunk,
    WireInversion,
)
from ragchat.pipes import child_pipes, read_frame, write_frame
from ragchat.retrieval import analyzer, index
from ragchat.retrieval.invert import Inversion
from ragchat.store.knowledge import FileRecord
from ragchat.text import clean_line
from ragchat.types import ChunkDraft, ExtractedText

_LARGEST_TEXT = 64 * 1024 * 1024
"""Characters of one document; more is refused."""
_LARGEST_LOG = 8 * 1024 * 1024
_HEAD_BYTES = 4096
_MINIFIED_FROM = 20_000
"""Characters above which code with lines of 1,000 characters on average is taken for a machine's."""
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
        write_frame(replies, encoded_answer(decoder.decode(frame)))


def encoded_answer(request: Request) -> bytes:
    """The reply as a frame; one that is too large for the memory left is a failure like others."""
    try:
        return msgspec.msgpack.encode(answer(request))
    except MemoryError:
        return msgspec.msgpack.encode(Failed(Reason.TOO_MUCH_MEMORY))


def answer(request: Request) -> Reply:
    """What was asked of the file, or why there is none. Never raises an Exception."""
    path = os.fsdecode(request.path)
    file = FileState()
    try:
        data, size, mtime_ns = read_file(path, request.max_file_bytes)
        file = FileState(size, mtime_ns, hashlib.sha256(data).hexdigest())
        extracted = _extract(path, data)
        del data
        if not extracted.text.strip():
            return Failed(Reason.NO_TEXT, file)
        if len(extracted.text) > _LARGEST_TEXT:
            return Failed(Reason.TOO_MUCH_TEXT, file)
        return extracted if isinstance(request, ExtractRequest) else _prepare(request, extracted, file)
    except IngestError as error:
        return Failed(Reason(str(error)), file)
    except MemoryError:
        return Failed(Reason.TOO_MUCH_MEMORY, file)
    except Exception:  # noqa: BLE001 (the boundary: whatever a parser raises is one failed file)
        _log.exception("failed on %r", path)
        return Failed(Reason.DAMAGED, file)


def _prepare(request: ReadRequest, extracted: Extracted, file: FileState) -> Read | Failed:
    """What the index needs of a text."""
    text = ExtractedText(**msgspec.structs.asdict(extracted))
    chunks = split(text, chunk_tokens=request.chunk_tokens, overlap_tokens=request.overlap_tokens)
    if not chunks:
        return Failed(Reason.NO_TEXT, file)
    title = clean_line(text.title or first_heading(text.text, text.media_type), limit=LONGEST_TITLE)
    record = FileRecord(
        stored_path(os.fsdecode(request.path)),
        file.size,
        file.mtime_ns,
        title=title,
        language=analyzer.detect(text.text) or "en",
    )
    return Read(
        file=file,
        title=title,
        media_type=text.media_type,
        source_lines=text.source_lines,
        language=record.language,
        chunks=[_wire_chunk(chunk) for chunk in chunks],
        inversion=_wire_inversion(index.analyse([(record, chunks)])),
    )


def _wire_chunk(chunk: ChunkDraft) -> WireChunk:
    span = chunk.span
    return WireChunk(
        chunk.text,
        chunk.heading,
        span.char_first,
        span.char_last,
        span.line_first,
        span.line_last,
        span.page_first,
        span.page_last,
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


def _extract(path: str, data: bytes) -> Extracted:
    kind = kind_of(path)
    if kind is None:
        if suffix_of(os.path.basename(path)) in UNSUPPORTED:  # noqa: PTH119
            raise IngestError(Reason.UNSUPPORTED)
        kind = PLAIN
    if not data:
        raise IngestError(Reason.EMPTY)
    if kind.name == "extracted":
        return _extract_foreign(kind, data)
    if looks_binary(data[:_HEAD_BYTES]):
        raise IngestError(Reason.BINARY)
    text = decode(data)
    if kind.name == "html":
        return extract_html(text)
    if kind.name == "notebook":
        return extract_notebook(text)
    text = source_text(text)
    if kind.name == "code" and len(text) > _MINIFIED_FROM and text.count("\n") < len(text) // 1000:
        raise IngestError(Reason.MINIFIED)
    return Extracted(text, kind.media_type, first_heading(text, kind.media_type), source_lines=True)


def _extract_foreign(kind: Kind, data: bytes) -> Extracted:
    if data.startswith(b"\xd0\xcf\x11\xe0") and kind.media_type != "application/vnd.ms-outlook":
        raise IngestError(Reason.OLD_OFFICE)
    if kind.media_type == "application/pdf":
        return extract_pdf(data)
    return extract_office(kind, data)


if __name__ == "__main__":
    main()
