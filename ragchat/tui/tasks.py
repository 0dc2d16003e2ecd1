"""What worker threads do: plain functions of the services. They report by posting messages and touch no widget.

Every function opens the databases it needs and closes them again, for a connection belongs to its thread.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragchat.errors import CancelledError, IngestError, NotFoundError, RagchatError
from ragchat.session.events import MessageStored, searched_also
from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.tui import messages
from ragchat.tui.safe_content import evidence_in, file_name, locate
from ragchat.tui.sentences import answered_by
from ragchat.tui.shown import END, ChatPage, OpenedDocument, ShownMessage, Where
from ragchat.types import CancelToken, Citation, Hit, ReasoningDelta, Span, TextDelta, is_row

if TYPE_CHECKING:
    from textual.message import Message

    from ragchat.app.services import Services
    from ragchat.session.chat import ChatSession
    from ragchat.session.events import SessionEvent, SummaryProgress
    from ragchat.session.summarise import WholeDocument
    from ragchat.store.chats import ChatStore
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.tui.live import LiveAnswer, Request
    from ragchat.types import Document, StoredMessage

Post = Callable[["Message"], object]
PAGE = 24
"""Messages shown when a chat opens; the earlier ones come when the user scrolls up."""


@contextlib.contextmanager
def chats(services: Services) -> Iterator[ChatStore]:
    """The chats, for this thread."""
    with contextlib.closing(services.open_chats()) as store:
        yield store


def record_unexpected(services: Services, doing: str) -> str:
    """Log the exception that is being handled; a sentence that says where."""
    with contextlib.suppress(OSError):
        services.paths.app_log.parent.mkdir(parents=True, exist_ok=True)
        with services.paths.app_log.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(
                f"{datetime.now().isoformat(timespec='seconds')} while {doing}\n{clean(traceback.format_exc())}\n"
            )
    return f"An unexpected error occurred while {doing}. The details are in {services.paths.app_log}."


def reporting(services: Services, doing: str, post: Post, work: Callable[[], object]) -> None:
    """Run `work`; whatever goes wrong becomes a TroubleReported."""
    try:
        work()
    except CancelledError:
        pass
    except RagchatError as error:
        post(messages.TroubleReported(str(error), error.remedy))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.TroubleReported(record_unexpected(services, doing)))


# --- chats ----------------------------------------------------------------------------------------------


def read_page(
    services: Services, conversation_id: int, post: Post, *, visit: int, where: Where = END
) -> None:
    """Read a stretch of a chat; chat 0 is the one that does not exist yet."""
    try:
        with chats(services) as store:
            page = _page(store, conversation_id, where)
        post(messages.PageLoaded(page, visit=visit, where=where))
    except RagchatError as error:
        post(messages.PageFailed(str(error), error.remedy, visit=visit))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.PageFailed(record_unexpected(services, "reading the chat"), "", visit=visit))


def _page(store: ChatStore, conversation_id: int, where: Where) -> ChatPage:
    draft = store.draft(conversation_id)
    if conversation_id == 0:
        return ChatPage(None, (), 0, 0, draft)
    around = where.around
    if where.first and (branch := store.branch_ids(conversation_id)):
        around = branch[0]
    page = store.page(conversation_id, before=where.before, after=where.after, around=around, limit=PAGE)
    compaction = store.compaction(conversation_id)
    shown = tuple(
        replace(
            _shown(store, message), compacted=compaction is not None and compaction.message_id == message.id
        )
        for message in page.messages
    )
    return ChatPage(store.conversation(conversation_id), shown, page.earlier, page.later, draft)


def _shown(store: ChatStore, message: StoredMessage) -> ShownMessage:
    if message.role != "assistant":
        return ShownMessage(message)
    citations = tuple(store.citations(message.id)) if message.citation_count else ()
    generation = store.generation(message.id)
    if generation is None:  # it came in from elsewhere
        return ShownMessage(message, citations)
    return ShownMessage(
        message,
        citations,
        bool(generation.knowledge_bases),
        generation.left_out,
        answered_by(generation.model, generation.adapters),
        searched_also=searched_also(generation.query),
    )


def reserve_chat(services: Services, live: LiveAnswer, post: Post) -> None:
    """Make the chat of a question that waits, so that it has its place in the list and among the tabs."""
    try:
        with chats(services) as store:
            title = clean_line(live.question, limit=60)
            number = store.create_conversation(title, model=services.model.selected, options=live.options).id
            store.save_draft(0, "")
        post(messages.ChatReserved(live, number))
    except RagchatError as error:
        post(messages.AnswerFailed(live, str(error), error.remedy, cancelled=False))


def write_answer(services: Services, live: LiveAnswer, post: Post) -> None:  # noqa: C901
    """Ask the session and pass on what it says. AnswerEnded is the last message, whatever happens."""
    new = live.conversation_id == 0
    conversation_id, stored = live.conversation_id, False
    try:
        with chats(services) as store:
            if live.model and live.model != services.model.selected:
                services.model.select(live.model)
            if new:
                title = clean_line(live.question, limit=60)
                model = services.model.selected
                conversation_id = store.create_conversation(title, model=model, options=live.options).id
            try:
                with services.open_session(store, live.options) as session:
                    for event in _events(services, store, session, conversation_id, live):
                        match event:
                            case TextDelta(text):
                                if live.append(text):
                                    post(messages.AnswerGrew(live))
                                continue
                            case ReasoningDelta(text):
                                if live.think(text):
                                    post(messages.AnswerGrew(live))
                                continue
                            case MessageStored():
                                stored = True
                                if new:
                                    store.save_draft(0, "")
                                else:
                                    store.set_model(conversation_id, services.model.selected)
                        post(messages.AnswerAdvanced(live, event))
                    _warn_of_loss(services, store, session, conversation_id, post)
            finally:
                if new and not stored and conversation_id:
                    store.delete(conversation_id)
    except RagchatError as error:
        cancelled = isinstance(error, CancelledError)
        post(messages.AnswerFailed(live, str(error), error.remedy, cancelled=cancelled))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        sentence = record_unexpected(services, "answering")
        post(messages.AnswerFailed(live, sentence, "Ask again. Your text is kept.", cancelled=False))
    finally:
        post(messages.AnswerEnded(live))


def _warn_of_loss(
    services: Services, store: ChatStore, session: ChatSession, conversation_id: int, post: Post
) -> None:
    """Say in time that the chat outgrows the context."""
    from ragchat.session.compact import suggest

    lost = suggest(store, services.model, conversation_id, options=session.options)
    if lost is not None and lost.lost_turns:
        sentence = f"The next prompt does not have room for {lost.lost_turns} of the {counted(lost.turns, 'turn')} of this chat."
        post(messages.NoticeGiven(sentence, "Press Alt+K to replace them with a summary."))


def _events(
    services: Services, store: ChatStore, session: ChatSession, conversation_id: int, live: LiveAnswer
) -> Iterator[SessionEvent | SummaryProgress]:
    request = live.request
    match request.kind:
        case "summarise":
            from ragchat.session.summarise import summarise

            return summarise(
                store,
                conversation_id,
                services.model,
                _document(services, request),
                options=session.options,
                cancel=live.cancel,
            )
        case "regenerate":
            return session.regenerate(request.answer_id, cancel=live.cancel)
        case "continue":
            return session.continue_answer(request.answer_id, cancel=live.cancel)
        case "ask":
            return session.ask(
                conversation_id,
                request.question,
                parent_id=request.parent_id,
                files=[chip.attachment for chip in live.chips if chip.attachment],
                pinned=[chip.hit for chip in live.chips if chip.hit],
                plan=live.plan,
                cancel=live.cancel,
            )


def _document(services: Services, request: Request) -> WholeDocument:
    from ragchat.session.summarise import from_file, from_knowledge_base

    if request.path is not None:
        return from_file(services.documents.read_attachment(request.path))
    with contextlib.closing(services.documents.open(request.knowledge_base)) as store:
        return from_knowledge_base(store, request.document_id)


def read_attachment(services: Services, path: Path, post: Post) -> None:
    """Read a file that goes with the next question."""
    try:
        post(messages.AttachmentRead(path, services.documents.read_attachment(path)))
    except RagchatError as error:
        post(messages.AttachmentRead(path, None, str(error), error.remedy))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.AttachmentRead(path, None, record_unexpected(services, "reading the file")))


# --- models and knowledge bases -------------------------------------------------------------------------


def load_model(services: Services, name: str, cancel: CancelToken, post: Post) -> None:
    """Choose `name` (empty: keep what is chosen) and load it."""
    try:
        if name:
            services.model.select(name)
        for progress in services.model.load(cancel):
            post(messages.ModelLoadAdvanced(progress.fraction, progress.stage))
        post(messages.ModelLoaded(services.model.info))
    except CancelledError:
        post(messages.ModelLoaded(None))
    except RagchatError as error:
        post(messages.ModelFailed(str(error), error.remedy))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(
            messages.ModelFailed(
                record_unexpected(services, "loading the model"), "Press F2 to choose another model."
            )
        )


def pull_model(services: Services, name: str, cancel: CancelToken, post: Post) -> None:
    """Fetch a model."""

    def advanced(done: int, total: int, rate: float, eta_s: float | None) -> None:
        post(messages.PullAdvanced(name, done, total, rate, eta_s))

    try:
        post(messages.PullEnded(name, services.models.pull(name, advanced, cancel)))
    except CancelledError:
        post(messages.PullEnded(name, None, "The download was stopped. It continues the next time."))
    except RagchatError as error:
        post(messages.PullEnded(name, None, str(error), error.remedy))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.PullEnded(name, None, record_unexpected(services, "downloading the model")))


def tune_model(services: Services, name: str, cancel: CancelToken, post: Post) -> None:
    """Measure how a model runs best."""

    def advanced(done: float, eta_s: float | None, doing: str) -> None:
        post(messages.TuneAdvanced(done, eta_s, doing))

    try:
        tuned = services.models.tune(name, advanced, cancel)
        found = tuned.profile
        chosen = (
            f"{name} reads {found.prefill_tok_s:.0f} and writes {found.decode_tok_s:.0f} tokens/s "
            f"({counted(max(found.n_threads, found.n_threads_batch), 'thread')}, "
            f"flash attention {'on' if found.flash_attention else 'off'})."
        )
        more = f"Make it? `ragchat model tune {name} --make TYPE`" if tuned.offers else ""
        post(messages.TuneEnded(" ".join(filter(None, (chosen, *tuned.offers, more)))))
    except CancelledError as error:
        post(messages.TuneEnded(str(error)))
    except RagchatError as error:
        post(messages.TuneEnded(f"{error} {error.remedy}".strip(), failed=True))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.TuneEnded(record_unexpected(services, "measuring the model"), failed=True))


def sync(services: Services, name: str, paths: list[Path], cancel: CancelToken, post: Post) -> None:
    """Add files and folders to a knowledge base and bring it up to date."""
    from ragchat.ingest.sync import SyncFinished, SyncProgress

    try:
        for event in services.documents.sync(name, paths, cancel):
            if isinstance(event, SyncFinished):
                status, stopped = event.status, event.cancelled
                left_out = status.skipped or status.failed
                sentence = (
                    f"{name}: {counted(status.indexed, 'document')}"
                    + (f", {status.skipped} skipped, {status.failed} failed" if left_out else "")
                    + f" ({human_seconds(event.seconds)})"
                    + ("; stopped early." if stopped else ".")
                    + (" Press F5 for the reasons." if left_out else "")
                )
                post(messages.SyncEnded(name, status, sentence, cancelled=stopped))
            elif isinstance(event, SyncProgress):
                post(
                    messages.SyncAdvanced(
                        name, event.done, event.total, event.what, event.files_per_s, event.eta_s
                    )
                )
    except CancelledError:
        post(
            messages.SyncEnded(
                name, None, "Indexing was stopped. Indexed documents are kept.", cancelled=True
            )
        )
    except RagchatError as error:
        post(messages.SyncEnded(name, None, str(error), error.remedy))
    except Exception:  # noqa: BLE001 - the boundary of a worker
        post(messages.SyncEnded(name, None, record_unexpected(services, "indexing")))


def read_knowledge_base(services: Services, name: str) -> messages.KnowledgeBaseRead:
    """A knowledge base with all its files, held against the disk. Raises RagchatError."""
    from ragchat.ingest.sync import status

    with contextlib.closing(services.documents.open(name)) as store:
        return messages.KnowledgeBaseRead(status(store), store.languages())


def whole_document(name: str, document: Document) -> Citation:
    """A document as something that the viewer can open: at its beginning, nothing marked."""
    hit = Hit(
        rank=1,
        score=0.0,
        knowledge_base=name,
        chunk_id=0,
        document_id=document.id,
        path=document.path,
        title=document.title,
        heading="",
        span=Span(0, 0, 1, 1),
        text="",
        content_hash=document.content_hash,
    )
    return Citation(0, hit, "")


# --- documents ------------------------------------------------------------------------------------------


def open_document(services: Services, citation: Citation) -> OpenedDocument:
    """The document of a citation, with the passage located in it; the stored passage when there is no document."""
    hit = citation.hit
    try:
        with contextlib.closing(services.documents.open(hit.knowledge_base)) as store:
            document = _as_it_is_now(store, hit)
            text = clean(store.document_text(document.id))
    except RagchatError as error:
        passage = clean(hit.text)
        reason = (
            "This document is no longer in the index." if isinstance(error, NotFoundError) else str(error)
        )
        note = f"{reason} This is the passage at the time of the citation."
        if not hit.knowledge_base:
            note = "This was attached to the question. This is the passage at the time of the citation."
        notes: tuple[str, ...] = (note, CHANGED) if _has_changed(hit) else (note,)
        return OpenedDocument(
            citation, None, passage, (0, len(passage)), evidence_in(passage, citation), notes
        )
    state = _on_disk(document)
    notes, changed = tuple(filter(None, [_FILE_NOTES.get(state, "")])), state == "changed"
    if not hit.text:  # the document as a whole
        return OpenedDocument(citation, document, text, None, None, notes, changed=changed)
    located = locate(text, clean(hit.text), near=hit.span.char_first)
    quote = ""
    if document.content_hash != hit.content_hash:
        notes, changed = (*notes, CHANGED), True
    evidence = None
    if located is None:
        quote = clean(citation.quote or hit.evidence or hit.text).strip()
        # The passage may have been cut or written otherwise around what was cited.
        located = evidence = locate(text, quote, near=hit.span.char_first)
        if located is None:
            from ragchat.session.citations import moved_to

            located = evidence = moved_to(text, quote, hit.language)
            is_there = "This sentence is the most similar to the cited one. The cited one was:"
            notes = (*notes, is_there if located else "The cited sentence is no longer in this text. It was:")
        else:
            quote = ""
    elif inside := evidence_in(text[located[0] : located[1]], citation):
        evidence = (located[0] + inside[0], located[0] + inside[1])
    return OpenedDocument(citation, document, text, located, evidence, notes, quote, changed)


def _as_it_is_now(store: KnowledgeStore, hit: Hit) -> Document:
    """The document that a hit is from: by its path, or, after a renaming, by its number. Raises NotFoundError."""
    if document := store.document_at(hit.path):
        return document
    document = store.document(hit.document_id)
    if document.content_hash != hit.content_hash:  # numbers are used again after a removal
        raise NotFoundError("The document is no longer in the index.")
    return document


CHANGED = "The document has changed since this was cited."


_FILE_NOTES = {
    "gone": "The file no longer exists. This is the text from the index.",
    "changed": "The file has changed since it was indexed. This is the old text. Press F5, then s to read the file again.",
}


def _on_disk(document: Document) -> Literal["same", "changed", "gone"]:
    """The file of a document against what was indexed; a row of a table has none."""
    if is_row(document.path):
        return "same"
    try:
        stat = Path(document.path).stat()
    except OSError:
        return "gone"
    indexed = document.size, document.mtime_ns
    return "same" if (stat.st_size, stat.st_mtime_ns) == indexed else "changed"


_LARGEST_COMPARED = 64 * 1024 * 1024


def _has_changed(hit: Hit) -> bool:
    """Whether the file that a passage is from is there and holds something else now."""
    from ragchat.ingest.source import hash_file

    try:
        if Path(hit.path).stat().st_size > _LARGEST_COMPARED:
            return False  # not worth the reading
        return hash_file(hit.path)[0] != hit.content_hash
    except (IngestError, OSError, ValueError):  # a name with a NUL is no file
        return False


def edit_target(services: Services, opened: OpenedDocument) -> messages.EditTargetReady:
    """A file and a line for an editor: the document itself, or its text where lines are not the file's own.

    Raises RagchatError.
    """
    at = opened.evidence or opened.passage or (0, 0)
    line = opened.text.count("\n", 0, at[0]) + 1
    document, hit = opened.document, opened.citation.hit
    if document is not None and Path(document.path).is_file():
        in_file = line if document.source_lines else _line_in_file(hit)
        if in_file and not document.path.endswith(".gz"):
            note = (
                "The file has changed since it was indexed, so the line may have moved."
                if opened.changed
                else ""
            )
            return messages.EditTargetReady(Path(document.path), in_file, note)
    target = services.paths.scratch_dir / f"{file_name(hit.path)}.txt"
    try:
        services.paths.scratch_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        target.unlink(missing_ok=True)
        with open(
            target, "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o400)
        ) as file:
            file.write(opened.text)
    except OSError as error:
        raise RagchatError(f"{target} cannot be written: {error.strerror}.") from error
    return messages.EditTargetReady(
        target,
        line,
        "This is the extracted text, read-only. An editor cannot open the original at this place.",
    )


def _line_in_file(hit: Hit) -> int:
    """The line of the file at which a passage stands, or its evidence where that can be told; 0 where it has no such lines."""
    if hit.span.file_line_first is None or hit.span.part:
        return 0
    at = hit.text.find(hit.evidence) if hit.evidence else -1
    span = hit.span.cut(hit.text, at, at + len(hit.evidence)) if at >= 0 else hit.span
    return span.file_line_first or 0
