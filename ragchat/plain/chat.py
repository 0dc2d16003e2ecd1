"""`ragchat chat --plain`: the chat in lines, for screen readers, dumb terminals and pipes. The same engine, the same commands.

Answers and what a command shows go to standard output, everything else to standard error.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragchat.app.context import cancel_on_interrupt
from ragchat.app.events import progress_sentence
from ragchat.errors import CancelledError
from ragchat.plain.console import Console, doubts, nearest_lines, quotes_text, source_lines
from ragchat.session import marked
from ragchat.session.events import (
    AnswerFinished,
    AnswerKind,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    QuotesFound,
    Rewritten,
    SessionEvent,
    SummaryProgress,
)
from ragchat.text import clean_line, counted
from ragchat.types import (
    CancelToken,
    ChatOptions,
    Hit,
    TextDelta,
)

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.session.chat import ChatSession
    from ragchat.session.sources import Attachment
    from ragchat.store.chats import ChatStore

PROGRESS_EVERY_S = 4.0
"""Whoever listens to the screen must not be talked to without a pause."""

Ask = Callable[["ChatSession", CancelToken], Iterator[SessionEvent | SummaryProgress]]


class PlainChat:
    """One chat at a time, 0 before its first question. Belongs to the thread that made it."""

    def __init__(self, services: Services, chats: ChatStore, console: Console) -> None:
        self.services, self.chats, self.console = services, chats, console
        self.conversation_id = 0
        self.options = services.new_chat
        self.files: list[Attachment] = []
        """What goes with the next question."""
        self._usual_model = services.model.selected

    @property
    def knowledge_bases(self) -> Sequence[str]:
        """What this chat asks."""
        chosen = self.options.knowledge_bases
        return self.services.documents.asked_by_default() if chosen is None else chosen

    # --- asking -------------------------------------------------------------------------------------

    def ask(self, question: str, *, parent_id: int | None = None) -> None:
        """Answer a question, after `parent_id` or at the end of the chat. Raises RagchatError."""
        files = list(self.files)
        self.files.clear()
        try:
            self.answer_new(
                question,
                lambda session, cancel: session.ask(
                    self.conversation_id, question, parent_id=parent_id, files=files, cancel=cancel
                ),
            )
        except BaseException:
            if not self.conversation_id:
                self.files[:] = files
            raise

    def answer_new(self, title: str, begin: Ask) -> None:
        """Say an answer to something new; an empty chat gets this title, and stays empty when nothing was stored.

        Raises RagchatError.
        """
        new = self.conversation_id == 0
        if new:
            title = clean_line(title, limit=60) or "New chat"
            model = self.services.model.selected
            self.conversation_id = self.chats.create_conversation(title, model=model, options=self.options).id
        try:
            self.answer(begin)
        except BaseException:
            if new and not self.chats.messages(self.conversation_id):
                self.chats.delete(self.conversation_id)
                self.conversation_id = 0
            raise

    def answer(self, begin: Ask) -> None:
        """Say an answer as it comes. Ctrl-C stops it, and what there is is kept. Raises RagchatError."""
        model = self.services.model
        wanted = self.options.model or self._usual_model
        if wanted and wanted != model.selected:
            model.select(wanted)
        telling = self.telling()
        with (
            self.services.open_session(self.chats, self.options) as session,
            cancel_on_interrupt() as cancel,
        ):
            telling.holds = session.options.strict
            try:
                for event in begin(session, cancel):
                    telling.tell(event)
                    if isinstance(event, MessageStored):
                        self.chats.set_model(event.conversation_id, model.selected)
            finally:
                telling.end()
        if cancel.cancelled:
            if not self.console.interactive:
                raise CancelledError("Stopped. The answer so far is kept.")
            self.console.note("Stopped. The answer so far is kept. Type /continue to continue it.")

    def telling(self) -> Telling:
        """Says the events of one answer."""
        return Telling(self.console)

    def change_options(self, **changes: object) -> None:
        """Other settings for this chat, from the next question on."""
        self.set_options(replace(self.options, **changes, preset=""))  # type: ignore[arg-type]

    def set_options(self, options: ChatOptions) -> None:
        """Store the options of the chat and use them from now on."""
        self.options = options
        if self.conversation_id:
            self.chats.set_options(self.conversation_id, options)


class Telling:
    """Says the events of one answer: words as they are whole, progress in lines that are far apart.

    `holds`: words wait until they are checked, for those that are not supported are struck out.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.holds = self._from_documents = False
        self._hits: Sequence[Hit] = ()
        self._held = ""
        self._line_open = False
        self._said_at = time.monotonic()
        self._doing = ""

    def tell(self, event: SessionEvent | SummaryProgress) -> None:
        """Write what an event of the session says."""
        match event:
            case TextDelta(text=text):
                self._stream("" if self.holds else marked.plain_signs(text) if self._from_documents else text)
            case HitsFound(hits=hits):
                self._hits = hits
            case QuotesFound(quotes=quotes):
                self._console.say(f"{quotes_text(quotes)}\n")
            case QueryUsed(rewritten=Rewritten() as rewritten):
                self._console.note(rewritten.sentence)
            case PromptReady(left_out=left_out, citations=citations):
                self._from_documents = bool(citations)
                for omission in left_out:
                    self._console.note(omission.sentence)
            case AnswerFinished():
                self._finish(event)
            case _ if doing := progress_sentence(event):
                self.progress(doing)

    def end(self) -> None:
        """Whatever ended the answer: its last word and its last line are whole."""
        self._console.stream(self._held)
        self._held = ""
        if self._line_open:
            self._console.stream("\n")
            self._line_open = False

    def progress(self, sentence: str) -> None:
        """What is being done; said now and then."""
        now = time.monotonic()
        if self._console.watched and now - self._said_at >= PROGRESS_EVERY_S and not self._line_open:
            self._said_at = now
            self._console.note(sentence)

    def _stream(self, text: str) -> None:
        """A screen reader spells out words that come in pieces, so they are held until they are whole."""
        self._held += text
        cut = max(self._held.rfind(" "), self._held.rfind("\n")) + 1
        if cut:
            self._console.stream(self._held[:cut])
            self._line_open = not self._held[:cut].endswith("\n")
            self._held = self._held[cut:]
        self._line_open = self._line_open or bool(self._held)

    def _finish(self, event: AnswerFinished) -> None:
        self.end()
        if self.holds:
            self._say_held(event)
        if event.kind is AnswerKind.QUOTED and event.notice:
            self._console.note(event.notice)
        if event.finish_reason == "length":
            self._console.note("The answer reached the maximum length. Type /continue to continue it.")
        elif event.finish_reason == "repeats":
            self._console.note(
                "The model repeated itself, so ragchat stopped it. The repetition is not saved. Type /retry for another answer."
            )
        unanswered = event.kind in (AnswerKind.DECLINED, AnswerKind.UNMATCHED) or not event.check.says
        nearest = nearest_lines(self._hits) if unanswered else ()
        for line in (*doubts(event.check), *source_lines(event.citations, event.check), *nearest):
            self._console.say(line)

    def _say_held(self, event: AnswerFinished) -> None:
        """What is left of an answer when what is not supported is struck out."""
        if kept := marked.without_struck(event.text, event.check).strip():
            self._console.say(kept)
        if struck := len(event.check.struck):
            self._console.note(
                f"Struck out: {counted(struck, 'statement')} that your documents do not support."
            )
