"""Slash commands of the plain chat about how an answer is made: again, under two settings, of a whole document, of a summary."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

from ragchat.app.context import cancel_on_interrupt
from ragchat.errors import CancelledError, UsageError
from ragchat.text import counted
from ragchat.types import AdapterScale, TextDelta

if TYPE_CHECKING:
    from ragchat.app.commands import Typed
    from ragchat.plain.chat import PlainChat
    from ragchat.session.chat import ChatSession
    from ragchat.session.compare import Trial
    from ragchat.session.events import SessionEvent, SummaryProgress
    from ragchat.session.summarise import WholeDocument
    from ragchat.store.chats import ChatStore
    from ragchat.types import CancelToken, ChatOptions, StoredMessage

_SPOKEN = {"same": "", "removed": "- ", "added": "+ "}


class PlainAnswers:
    """Each method does one command. All raise RagchatError."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._console = chat, chat.console
        self._chats, self._services = chat.chats, chat.services

    # --- again --------------------------------------------------------------------------------------

    def replay(self, answer: StoredMessage) -> None:
        """Make an answer again and say what is different."""
        from ragchat.session.replay import Replayed, difference, recorded, replay

        record, model = recorded(self._chats, answer.id), self._services.model
        wanted = record.generation.model
        if (
            wanted
            and wanted != model.selected
            and wanted in [c.name for c in self._services.models.choices()]
        ):
            model.select(wanted)
        telling = self._chat.telling()
        with cancel_on_interrupt() as cancel:
            done: Replayed | None = None
            try:
                for event in replay(model, record, cancel=cancel):
                    if isinstance(event, Replayed):
                        done = event
                    elif not isinstance(event, TextDelta):
                        telling.tell(event)
            finally:
                telling.end()
        if done is None:
            return
        said = {
            "identical": "The same answer, word for word.",
            "beginning": "The same up to the end of the shorter one.",
            "different": "A different answer. Removed words begin with -, new words with +:",
        }
        self._console.note(said[done.verdict])
        if done.verdict == "different":
            for piece in difference(done.old, done.text):
                self._console.say(f"{_SPOKEN[piece.kind]}{piece.text.strip()}")
        for reason in done.reasons:
            self._console.note(reason)

    # --- two settings -------------------------------------------------------------------------------

    def compare(self, typed: Typed) -> None:
        """A question under this chat's settings, and without its adapters, else without documents (with the usual ones)."""
        if not typed.argument.strip():
            raise UsageError("Type a question: /compare QUESTION.")
        options, usual = self._chat.options, self._services.documents.asked_by_default()
        if options.adapters:
            other = replace(options, adapters=(), preset="")
        else:
            other = replace(options, knowledge_bases=() if self._chat.knowledge_bases else usual, preset="")
        sides = {"A": options, "B": other}
        trials: dict[str, Trial] = {}
        for name, side in sides.items():
            same = side.knowledge_bases == options.knowledge_bases
            asked = self._chat.knowledge_bases if same else side.knowledge_bases or ()
            adapter = f", adapters {AdapterScale.join(side.adapters) or 'none'}" if options.adapters else ""
            self._console.note(f"{name}: documents {', '.join(asked) or 'none'}{adapter}.")
            trial = self._try(typed.argument, side)
            if trial is None:
                return
            trials[name] = trial
        if not self._console.interactive:
            return
        kept = (self._console.read_line("Keep A or B in this chat? [A/B/neither] ") or "").strip().upper()
        if kept in trials:
            from ragchat.session.compare import keep

            number = self._chat.conversation_id
            stored = keep(self._chats, number, trials[kept], options=options)
            self._chat.conversation_id = stored.conversation_id
            self._console.note(f"Kept {kept}.")

    def _try(self, question: str, options: ChatOptions) -> Trial | None:
        from ragchat.session.compare import Trial, try_out

        def session(store: ChatStore) -> AbstractContextManager[ChatSession]:
            return self._services.open_session(store, options)

        folder, trial = self._services.paths.scratch_dir, None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        telling = self._chat.telling()
        telling.holds = self._services.ask_options().strict if options.strict is None else options.strict
        with cancel_on_interrupt() as cancel:
            try:
                for event in try_out(
                    self._chats,
                    self._chat.conversation_id,
                    question,
                    session,
                    folder=folder,
                    cancel=cancel,
                ):
                    if isinstance(event, Trial):
                        trial = event
                    else:
                        telling.tell(event)
            finally:
                telling.end()
        if cancel.cancelled:
            self._console.note("Stopped. Neither answer is kept.")
            return None
        return trial

    # --- summaries ----------------------------------------------------------------------------------

    def summarise(self, typed: Typed) -> None:
        """Summarise an indexed document by its name, or a file by its path."""
        from ragchat.session.summarise import summarise

        if not typed.argument.strip():
            raise UsageError("Type the name of a document or the path of a file: /summarise NAME.")
        document = self._document(typed.argument.strip())
        self._console.note(f"Summarising {document.name}.")

        def begin(session: ChatSession, cancel: CancelToken) -> Iterator[SessionEvent | SummaryProgress]:
            number = self._chat.conversation_id
            model, options = self._services.model, session.options
            return summarise(self._chats, number, model, document, options=options, cancel=cancel)

        self._chat.answer_new(f"Summarise {document.name}", begin)

    def _document(self, name: str) -> WholeDocument:
        from ragchat.app.typed_paths import existing_file, is_file
        from ragchat.session.summarise import find_document, from_file, from_knowledge_base

        if is_file(name):
            return from_file(self._services.documents.read_attachment(existing_file(name)))
        with contextlib.ExitStack() as stack:
            stores = [
                stack.enter_context(contextlib.closing(self._services.documents.open(kb)))
                for kb in self._chat.knowledge_bases
            ]
            store, document = find_document(stores, name)
            return from_knowledge_base(store, document.id)

    def compact(self, typed: Typed) -> None:
        """Let a summary stand for the beginning of the chat, or take it back."""
        from ragchat.session.compact import Compacted, compact

        number = self._chat.conversation_id
        if not number:
            raise UsageError("This chat is empty: there is nothing to compact.")
        if typed.argument == "undo":
            compaction = self._chats.compaction(number)
            if compaction is None:
                raise UsageError("This chat is not compacted.")
            self._chats.remove_compaction(compaction.id)
            self._console.note("The summary is removed. The whole chat is in the prompt again.")
            return
        telling = self._chat.telling()
        try:
            with cancel_on_interrupt() as cancel:
                for event in compact(self._chats, self._services.model, number, cancel=cancel):
                    match event:
                        case Compacted():
                            telling.end()
                            self._console.note(
                                f"This summary replaces {counted(event.turns, 'question')} with answers in the prompt:"
                                f" {counted(event.tokens_after, 'token')}"
                                f" instead of {event.tokens_before}. /compact undo removes it."
                            )
                        case _:
                            telling.tell(event)
        except CancelledError as error:
            self._console.note(str(error))
        finally:
            telling.end()
