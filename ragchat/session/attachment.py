"""What goes with one question and is in no index: text that was piped in, files, passages that were pinned.

Files are read by the extractor and cut like documents; BM25Plus of rank-bm25, in memory, says which of their passages speak to
the question, and those that fit go into the prompt in the order of the file, under numbers of their own, so that an answer can
cite them. It stores nothing; `session.prompt` gets the finished text.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.errors import IngestError, NotFoundError
from ragchat.ingest.chunk import split
from ragchat.ingest.extract import Extractor
from ragchat.ingest.source import hash_file
from ragchat.ingest.wire import Reason
from ragchat.paths import exists
from ragchat.retrieval import analyzer, evidence
from ragchat.session.packing import GAP, Passage, render
from ragchat.session.sources import Attachment, Sources
from ragchat.text import clean_line
from ragchat.types import ChunkDraft, Citation, ExtractedText, Hit, Omission, OmissionKind

if TYPE_CHECKING:
    from ragchat.ingest.sync import IngestOptions

CountTokens = Callable[[Sequence[str]], list[int]]

CHUNK_TOKENS = 100
LARGEST_TEXT = 4 * 1024 * 1024
"""Characters. What holds more is better indexed once than ranked for each question."""
_CHARS_PER_TOKEN = 12
"""More than any tokeniser makes of a token on average: what is longer by this measure need not be counted."""
_FEWEST_TOKENS = 128
"""Left beside what is attached for the template, the instructions and an answer, whatever the share."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """`text` goes into the prompt as it stands; `citations` are the numbered passages in it."""

    text: str
    citations: tuple[Citation, ...] = ()
    left_out: tuple[Omission, ...] = ()


def read(path: Path, options: IngestOptions) -> Attachment:
    """Read a file of any supported kind, in a process of its own. Raises NotFoundError, IngestError, RagchatError."""
    shown = clean_line(str(path))
    real = Path(os.path.realpath(path))
    if not exists(real):
        raise NotFoundError(f"There is no file {shown}.", "Check the path.")
    if real.is_dir():
        raise IngestError(f"{shown} is a folder.", "Attach a file, or index the folder as a knowledge base.")
    try:
        if real.stat().st_size > options.max_file_bytes:
            raise IngestError(Reason.TOO_LARGE, "Raise knowledge.max_file_mib to allow larger files.")
        content_hash, _, _ = hash_file(real)
        with Extractor(
            options.log,
            timeout_s=options.timeout_s,
            memory_mib=options.memory_mib,
            max_file_bytes=options.max_file_bytes,
        ) as extractor:
            content = extractor.extract(real)
    except IngestError as error:
        raise IngestError(f"{shown} cannot be attached: {error}.", error.remedy) from error
    except OSError as error:
        raise IngestError(f"{shown} cannot be attached: {error.strerror}.") from error
    if len(content.text) > LARGEST_TEXT:
        raise IngestError(
            f"{shown} contains more than {LARGEST_TEXT // 1024 // 1024} million characters.",
            "Add it to a knowledge base and ask that.",
        )
    if not content.text.strip():
        raise IngestError(f"{shown} contains no text.", "There is nothing to attach.")
    return Attachment(str(real), content_hash, content)


def prepare(
    question: str, sources: Sources, *, first_number: int, n_ctx: int, share: float, count: CountTokens
) -> Prepared:
    """Everything attached as one text, of at most `share` of the context where it has to be chosen from.

    Pinned passages come first and whole, then the piped text, then the files, each with its part of what is left. Piped text
    that fits beside the question goes in as it is. It has no name, so it has no number either. `count` counts tokens.
    """
    if not sources.brings_text:
        return Prepared("")
    text, files, pinned = sources.text, sources.files, sources.pinned
    free = n_ctx - count([question])[0] - _FEWEST_TOKENS
    sheet = _Sheet(question, first_number, max(0, min(int(n_ctx * share), free)), count)
    if pinned:
        sheet.pin(pinned)
    if text:
        sheet.add_text(text, whole=free if not (files or pinned) else sheet.room, parts=1 + len(files))
    for number, file in enumerate(files):
        sheet.add_file(file, parts=len(files) - number)
    return Prepared("\n\n".join(sheet.parts), tuple(sheet.citations), tuple(sheet.left_out))


class _Sheet:
    """The attached text as it grows. `room` tokens are left."""

    def __init__(self, question: str, first_number: int, room: int, count: CountTokens) -> None:
        self._question, self._number, self._count = question, first_number, count
        self.room = room
        self.parts: list[str] = []
        self.citations: list[Citation] = []
        self.left_out: list[Omission] = []

    def pin(self, hits: Sequence[Hit]) -> None:
        kept = _leading(self._count([hit.text for hit in hits]), self.room)
        self._write(self._numbered(hits[:kept]))
        if kept < len(hits):
            self.left_out.append(Omission(OmissionKind.PINNED, len(hits) - kept, len(hits)))

    def add_text(self, text: str, *, whole: int, parts: int) -> None:
        """Piped text: as it is when it has at most `whole` tokens, else one of `parts` of the room for what matters of it."""
        if _fits(text, whole, self._count):
            self._write(text)
            return
        content = ExtractedText(text, "text/plain")
        chosen, omission = rank(self._question, content, room=self.room // parts, count=self._count)
        self._write(GAP.join(draft.text for draft in chosen))
        self._leave_out(omission, "")

    def add_file(self, file: Attachment, *, parts: int) -> None:
        chosen, omission = rank(self._question, file.content, room=self.room // parts, count=self._count)
        if chosen:
            self._write(f"{file.name}:\n{self._numbered(_hits(file, chosen))}")
        self._leave_out(omission, file.name)

    def _numbered(self, hits: Sequence[Hit]) -> str:
        marked = evidence.mark(self._question, hits)
        numbers = range(self._number, self._number + len(marked))
        self._number += len(marked)
        self.citations += [
            Citation(n, hit, hit.evidence or hit.text) for n, hit in zip(numbers, marked, strict=True)
        ]
        return "\n\n".join(
            render(n, Passage(hit, hit.text, hit.evidence)) for n, hit in zip(numbers, marked, strict=True)
        )

    def _write(self, part: str) -> None:
        if part:
            self.parts.append(part)
            self.room = max(0, self.room - self._count([part])[0])

    def _leave_out(self, omission: Omission | None, name: str) -> None:
        if omission:
            self.left_out.append(replace(omission, name=name))


def rank(
    question: str, content: ExtractedText, *, room: int, count: CountTokens
) -> tuple[list[ChunkDraft], Omission | None]:
    """The passages of a text that matter, in its order, within `room` tokens; and what was left out (None: nothing).

    A text that fits is taken whole. Otherwise passages that share a word with the question are taken, best first; where none
    does, those at the beginning.
    """
    chunks = split(content, chunk_tokens=CHUNK_TOKENS, overlap_tokens=0)
    if _fits(content.text, room, count):
        return _joined(content.text, chunks), None
    scores = _scores(question, content.text, [f"{chunk.heading}\n{chunk.text}" for chunk in chunks])
    speaking = [i for i, score in enumerate(scores) if score > 0]
    order = sorted(speaking, key=lambda i: (-scores[i], i)) or list(range(len(chunks)))
    within = _leading([len(chunks[i].text) // _CHARS_PER_TOKEN for i in order], room)
    order = order[:within]
    taken: list[int] = []
    for i, size in zip(order, count([_as_rendered(chunks[i]) for i in order]) if order else [], strict=True):
        if size <= room:
            taken.append(i)
            room -= size
    kind = OmissionKind.ATTACHED if speaking else OmissionKind.UNRELATED
    omission = Omission(kind, len(chunks) - len(taken), len(chunks))
    return _joined(content.text, [chunks[i] for i in sorted(taken)]), omission


def _as_rendered(chunk: ChunkDraft) -> str:
    return f"[99] {chunk.heading}\n{chunk.text}\n\n"


def _fits(text: str, room: int, count: CountTokens) -> bool:
    return len(text) <= room * _CHARS_PER_TOKEN and count([text])[0] <= room


def _leading(sizes: Sequence[int], room: int) -> int:
    """How many of the first `sizes` fit."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if total > room:
            return number
    return len(sizes)


def _scores(question: str, text: str, passages: Sequence[str]) -> list[float]:
    """BM25Plus of each passage; 0 for one that shares no word with the question."""
    from rank_bm25 import BM25Plus

    language = analyzer.detect(text) or "en"
    asked = set(analyzer.query_terms(question, (language,)))
    analysed = [
        [term for token in analyzer.tokens(passage) for term in analyzer.token_terms(token, language)]
        for passage in passages
    ]
    if not asked or not any(analysed):
        return [0.0] * len(passages)
    scores = BM25Plus([found or [""] for found in analysed]).get_scores(sorted(asked))
    # BM25Plus gives every passage a constant, also one without a word of the question.
    return [
        float(score) if not asked.isdisjoint(found) else 0.0
        for score, found in zip(scores, analysed, strict=True)
    ]


def _joined(text: str, chunks: Sequence[ChunkDraft]) -> list[ChunkDraft]:
    """Chunks that follow each other in one section of one page, as one."""

    def runs() -> Iterator[list[ChunkDraft]]:
        run: list[ChunkDraft] = []
        for chunk in chunks:
            if run and not _goes_on(text, run[-1], chunk):
                yield run
                run = []
            run.append(chunk)
        if run:
            yield run

    return [_one(text, run) for run in runs()]


def _goes_on(text: str, before: ChunkDraft, chunk: ChunkDraft) -> bool:
    return (before.heading, before.span.page_first) == (chunk.heading, chunk.span.page_first) and not text[
        before.span.char_last : chunk.span.char_first
    ].strip()


def _one(text: str, run: Sequence[ChunkDraft]) -> ChunkDraft:
    a, b = run[0].span, run[-1].span
    return ChunkDraft(text[a.char_first : b.char_last], run[0].heading, a.through(b))


def _hits(file: Attachment, chosen: Sequence[ChunkDraft]) -> list[Hit]:
    """Passages of a file as hits of no knowledge base."""
    return [
        Hit(
            rank=rank,
            score=0.0,
            knowledge_base="",
            chunk_id=0,
            document_id=0,
            path=file.path,
            title=file.content.title,
            heading=draft.heading,
            span=draft.span,
            text=draft.text,
            content_hash=file.content_hash,
        )
        for rank, draft in enumerate(chosen, 1)
    ]
