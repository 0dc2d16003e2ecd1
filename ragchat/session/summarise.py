"""A whole document in a few sentences, each with its passage; kept in the chat as a question and its answer.

A document that fits is read at once, a longer one in parts (`session.digest`). Small models cite badly, and of a long document
the last prompt holds no passage at all, so passages are found by the words of each sentence, as `session.citations` does for
any answer.
"""

from __future__ import annotations

import difflib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from ragchat.errors import CancelledError, NotFoundError, RagchatError, UsageError
from ragchat.ingest.chunk import split
from ragchat.session import citations
from ragchat.session.attachment import CHUNK_TOKENS
from ragchat.session.chat import AskOptions
from ragchat.session.digest import Digest, FinalPrompt, Wording
from ragchat.session.events import PromptReady, SessionEvent, SummaryProgress
from ragchat.session.preparing import owners_of
from ragchat.session.record import Record
from ragchat.session.sources import Attachment
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean_line, counted
from ragchat.types import (
    CancelToken,
    ChatModel,
    ChunkDraft,
    Citation,
    Document,
    Generation,
    GenerationFinished,
    Hit,
    LoadedModel,
    Message,
    Omission,
    OmissionKind,
    PrefillProgress,
    PromptPart,
    PromptPartKind,
    Sampling,
    TextDelta,
    Timings,
)

WORDING = Wording(
    whole="Summarise the text in a few short sentences.",
    part="Summarise the text in two short sentences.",
    join="These are notes on the parts of one text, in order. Summarise the whole text in a few short sentences.",
)
LONGEST = 320
"""Tokens of a summary, unless the longest answer is set to less."""
_MARKER = re.compile(r"[ \t]*\[\d{1,3}(?:\s*[,-]\s*\d{1,3})*\](?!\()")
_MOST_CITED = 99
"""Numbers of more digits do not count as citations."""
_NAMED = 5
"""Documents that are named when a name may mean several."""
_WINDOW = 4
"""Neighbouring passages that are cited together for a sentence that no single one supports."""


@dataclass(frozen=True, slots=True)
class WholeDocument:
    """A document to be summarised: its passages in their order, without overlaps, so that they are its text."""

    name: str
    passages: tuple[Hit, ...]


def from_knowledge_base(store: KnowledgeStore, document_id: int) -> WholeDocument:
    """An indexed document. Raises NotFoundError."""
    file, _, chunks = store.indexed_as(document_id)
    hits = _hits(file.path, file.title, file.content_hash, chunks)
    own = [
        replace(hit, knowledge_base=store.name, document_id=document_id, language=file.language)
        for hit in hits
    ]
    return WholeDocument(_name(file.path), tuple(own))


def find_document(stores: Sequence[KnowledgeStore], name: str) -> tuple[KnowledgeStore, Document]:
    """The indexed document that is meant by its path, its file name or a part of it that no other has. Raises NotFoundError."""
    documents = [(store, one) for store in stores for one in store.documents() if one.state == "indexed"]
    wanted = name.casefold()
    for fits in (
        lambda path: path == name,
        lambda path: _name(path).casefold() == wanted,
        lambda path: wanted in path.casefold(),
    ):
        found = [(store, one) for store, one in documents if fits(one.path)]
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(clean_line(one.path) for _, one in found[:_NAMED])
            raise NotFoundError(
                f"{clean_line(name)!r} matches several documents: {names}.", "Type more of it."
            )
    near = difflib.get_close_matches(name, [_name(one.path) for _, one in documents], n=3, cutoff=0.4)
    hint = (
        f"Similar names: {', '.join(map(clean_line, near))}."
        if near
        else "`ragchat kb status NAME` lists them."
    )
    raise NotFoundError(f"No document of this chat is called {clean_line(name)!r}.", hint)


def from_file(file: Attachment) -> WholeDocument:
    """A file that was read and is in no index."""
    chunks = split(file.content, chunk_tokens=CHUNK_TOKENS, overlap_tokens=0)
    return WholeDocument(file.name, tuple(_hits(file.path, file.content.title, file.content_hash, chunks)))


def summarise(
    chats: ChatStore | None,
    conversation_id: int,
    model: ChatModel,
    document: WholeDocument,
    *,
    options: AskOptions,
    parent_id: int | None = None,
    cancel: CancelToken,
) -> Iterator[SessionEvent | SummaryProgress]:
    """Summarise a document as the answer to "Summarise NAME". Raises RagchatError, after storing what is known.

    Events as those of `ChatSession.ask`, with SummaryProgress while the parts are read. When it is cancelled, the parts that
    were read stay as the answer, which says so. Without `chats` nothing is stored.
    """
    if not any(hit.text.strip() for hit in document.passages):
        raise UsageError(f"{document.name} contains no text to summarise.", "Choose an indexed document.")
    record = Record(chats, conversation_id, cites=True)
    stored = record.begin(f"Summarise {document.name}", parent_id)
    try:
        yield stored
        yield from _Summary(record, model, document, options, cancel).work()
    except CancelledError:
        yield record.finish("cancelled", record.offered, Timings(), 0, from_documents=bool(record.offered))
    except RagchatError as error:
        record.fail(str(error))
        raise
    except BaseException:  # Ctrl-C, or the caller went away
        record.fail("", state="interrupted")
        raise


class _Summary:
    """One summary and its record."""

    def __init__(
        self,
        record: Record,
        model: ChatModel,
        document: WholeDocument,
        options: AskOptions,
        cancel: CancelToken,
    ) -> None:
        self._record, self._model, self._cancel = record, model, cancel
        self._hits, self._options = document.passages, options
        self._said: list[str] = []
        self._started = self._first_s = 0.0
        self._generation: Generation | None = None

    def work(self) -> Iterator[SessionEvent | SummaryProgress]:
        loaded = yield from self._model.load(self._cancel, adapters=self._options.adapters)
        self._started = time.perf_counter()
        yield from self._write(loaded)

    def _write(self, model: LoadedModel) -> Iterator[SessionEvent | SummaryProgress]:
        sampling = self._options.sampling
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(2**31))
        longest = min(sampling.max_tokens or LONGEST, LONGEST)
        names = [hit.knowledge_base for hit in self._hits]
        owners = owners_of(self._record.conversation_id, (), names)
        digest = Digest(
            model, WORDING, sampling=sampling, longest=longest, cancel=self._cancel, owners=owners
        )
        cuts = digest.cut([hit.text for hit in self._hits])
        self._hits = tuple(
            piece for hit, places in zip(self._hits, cuts, strict=True) for piece in _cut(hit, places)
        )
        plan = digest.plan([hit.text for hit in self._hits])
        parts = [self._hits[first:last] for first, last in plan]
        # Numbers in brackets that are the document's own would pass for citations when the model repeats them.
        for event in digest.run([_MARKER.sub("", one(hits).text) for hits in parts]):
            match event:
                case FinalPrompt():
                    yield self._plan(model, event.messages, event.sampling)
                case TextDelta(text=text):
                    self._first_s = self._first_s or time.perf_counter() - self._started
                    self._said.append(text)
                    self._record.say(text)
                    yield event
                case SummaryProgress() | PrefillProgress():
                    yield event
                case GenerationFinished() if self._generation is None:
                    yield from self._stopped(model, digest, parts, event)
                case GenerationFinished():
                    self._record.take_back(event.repeated)
                    said = "".join(self._said).removesuffix(event.repeated)
                    yield self._end(event, cited(said, self._hits))

    def _plan(
        self,
        model: LoadedModel,
        messages: tuple[Message, ...],
        sampling: Sampling,
        left_out: tuple[Omission, ...] = (),
    ) -> PromptReady:
        """Record what the summary is about to be made from."""
        info = model.info
        tokens = model.count_prompt(messages) if messages else 0
        sizes = model.count_tokens([message.content for message in messages])
        # ATTACHED: so that another answer to this question is made from this prompt, too.
        kinds = (PromptPartKind.INSTRUCTIONS, PromptPartKind.ATTACHED, PromptPartKind.TEMPLATE)
        counted = zip(kinds, (*sizes, tokens - sum(sizes)), strict=False)
        parts = tuple(PromptPart(kind, size) for kind, size in counted if size)
        self._generation = Generation(
            model=info.name,
            model_path=info.path,
            adapters=self._options.adapters,
            knowledge_bases=tuple(dict.fromkeys(h.knowledge_base for h in self._hits if h.knowledge_base)),
            query="",
            prompt=messages,
            left_out=left_out,
            sampling=sampling,
            retrieval_s=0.0,
            parts=parts,
            n_ctx=info.n_ctx,
        )
        self._record.plan(self._generation, ())
        return PromptReady(parts, tokens, info.n_ctx, (), left_out)

    def _stopped(
        self,
        model: LoadedModel,
        digest: Digest,
        parts: Sequence[Sequence[Hit]],
        event: GenerationFinished,
    ) -> Iterator[SessionEvent]:
        """Cancelled before the last prompt: the summaries of the parts are the answer, each with its part."""
        if not any(digest.notes):
            raise CancelledError("Stopped before the first part was read.")
        read = f"{len(digest.notes)} of {counted(len(parts), 'part')}"
        unread = len(parts) - len(digest.notes)
        left_out = (Omission(OmissionKind.PARTS, unread, len(parts)),) if unread else ()
        yield self._plan(model, digest.final_prompt(), digest.sampling, left_out)
        points = [f"- {note.rstrip('.')} [{n}]." for n, note in enumerate(digest.notes, 1) if note]
        text = "\n".join([f"Stopped after {read}. This is a summary of them.", "", *points])
        self._record.say(text)
        yield TextDelta(text)
        offered = [Citation(n, one(hits), "") for n, hits in enumerate(parts[: len(digest.notes)], 1)]
        yield self._end(event, tuple(offered[:_MOST_CITED]))

    def _end(self, event: GenerationFinished, offered: tuple[Citation, ...]) -> SessionEvent:
        assert self._generation
        self._record.plan(self._generation, offered)
        timings = Timings.of(event, retrieval_s=0.0, ttft_s=self._first_s)
        return self._record.finish(
            event.finish_reason, offered, timings, event.seed, from_documents=bool(offered)
        )


# --- which passages it stands on ------------------------------------------------------------------------


def cited(summary: str, hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """The passages that sentences of the summary stand on, numbered in the order of the document.

    A sentence that no single passage supports is looked up in neighbouring passages taken together.
    """
    text = _MARKER.sub("", summary)
    sources = citations.sources_of(text, hits)
    found = _used(sources, hits)
    bare = "\n".join(sentence for sentence, source in sources if source is None)
    wider = [one(hits[i : i + _WINDOW]) for i in range(0, len(hits), _WINDOW // 2)]
    found += _used(citations.sources_of(bare, wider), wider)
    found.sort(key=lambda hit: (hit.span.char_first, hit.span.char_last))
    # What is wider may be the better support of a sentence that had one.
    kept = _used(citations.sources_of(text, found), found)[:_MOST_CITED]
    return tuple(Citation(n, hit, "") for n, hit in enumerate(kept, 1))


def _used(sources: Sequence[tuple[str, int | None]], hits: Sequence[Hit]) -> list[Hit]:
    """The passages that sentences of a text are from, in the order of `hits`."""
    return [hits[i] for i in sorted({source for _, source in sources if source is not None})]


# --- the text ---------------------------------------------------------------------------------------------


def one(hits: Sequence[Hit]) -> Hit:
    """Passages that follow each other as one."""
    first, last = hits[0], hits[-1]
    parts, end, line = [], first.span.char_first, first.span.line_first
    for hit in hits:
        gap = "\n" * max(0, hit.span.line_first - line)
        parts += [gap or (" " if hit.span.char_first > end else ""), hit.text]
        end, line = hit.span.char_last, hit.span.line_last
    return replace(first, span=first.span.through(last.span), text="".join(parts))


def _hits(path: str, title: str, content_hash: str, chunks: Sequence[ChunkDraft]) -> Iterator[Hit]:
    """Chunks as hits, each without what the one before it ended with."""
    end = 0
    for number, chunk in enumerate(chunks, 1):
        span, again = chunk.span, min(max(0, end - chunk.span.char_first), len(chunk.text))
        end = max(end, span.char_last)
        if not chunk.text[again:].strip():
            continue
        span = span.cut(chunk.text, again, len(chunk.text))
        yield Hit(
            rank=number,
            score=0.0,
            knowledge_base="",
            chunk_id=0,
            document_id=0,
            path=path,
            title=title,
            heading=chunk.heading,
            span=span,
            text=chunk.text[again:],
            content_hash=content_hash,
        )


def _cut(hit: Hit, places: Sequence[tuple[int, int]]) -> Iterator[Hit]:
    """A passage in pieces that the model can read: at these (first, last) characters of its text."""
    for first, last in places:
        span = hit.span.cut(hit.text, first, last)
        yield hit if last - first == len(hit.text) else replace(hit, span=span, text=hit.text[first:last])


def _name(path: str) -> str:
    return clean_line(PurePath(path).name or path, limit=120) or "(no name)"
