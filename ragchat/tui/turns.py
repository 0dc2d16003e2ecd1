"""What a user does with a turn of the chat: write it again, answer again, walk branches, delete, rate, correct, keep.

It belongs to the pane, which shows the chat; what it changes in the database it changes in workers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ragchat.app.open_chat import OpenChat, check_continuable
from ragchat.text import clean
from ragchat.tui import tasks
from ragchat.tui.live import Request

if TYPE_CHECKING:
    from ragchat.app.open_chat import NeedsInput, Outcome
    from ragchat.app.services import Services
    from ragchat.store.chats import ChatStore
    from ragchat.tui.chat_changes import Pane
    from ragchat.tui.widgets.message import MessageView
    from ragchat.tui.widgets.transcript import Transcript
    from ragchat.types import Citation

Result = TypeVar("Result")
_Changing = Callable[[OpenChat], "Outcome | NeedsInput"]
_CHANGES: dict[str, tuple[str, _Changing]] = {
    "fork": ("forking the chat", lambda chat: chat.fork()),
    "delete_turn": ("deleting a turn", lambda chat: chat.delete_turn()),
    "rate_good": ("rating an answer", lambda chat: chat.rate(1)),
    "rate_bad": ("rating an answer", lambda chat: chat.rate(-1)),
    "correct": ("reading the answer", lambda chat: chat.correct()),
    "question": ("reading the question", lambda chat: chat.question()),
}


class Turns:
    """Handles what the transcript requests."""

    def __init__(self, pane: Pane, services: Services) -> None:
        self._pane, self._services = pane, services

    def handle(self, requested: Transcript.Requested) -> None:
        """Do what was asked for with the turn of a view."""
        view = requested.view
        match requested.action:
            case "undo":
                self._pane.changes.do("restoring a turn", lambda chat: chat.restore_turn())
            case _ if view is None or not view.message_id:
                self._say("This turn is not saved yet.")
            case "edit":
                self.edit(view)
            case "regenerate" | "continue":
                self._write(requested.action, view)
            case "branch_previous" | "branch_next":
                self._walk(view, -1 if requested.action == "branch_previous" else 1)
            case _:
                self._change(requested.action, view.message_id)

    def _change(self, action: str, number: int) -> None:
        """What `app.open_chat` does, for the turn of this message."""
        doing, change = _CHANGES[action]
        self._pane.changes.do(doing, change, about=number)

    def _say(self, sentence: str) -> None:
        self._pane.notify(sentence, timeout=4, markup=False)

    def _read(
        self, doing: str, read: Callable[[ChatStore], Result], then: Callable[[Result], object]
    ) -> None:
        """Run `read` in a worker, then `then` on the screen's thread, unless another chat was opened meanwhile."""
        pane, visit = self._pane, self._pane.visit

        def work() -> None:
            with tasks.chats(self._services) as store:
                result = read(store)
            pane.app.call_from_thread(lambda: then(result) if pane.visit == visit else None)

        pane.run_worker(
            functools.partial(tasks.reporting, self._services, doing, pane.post_message, work),
            thread=True,
            exit_on_error=False,
            group="turns",
            description=doing,
        )

    def _busy(self) -> bool:
        if self._pane.live is not None:
            self._say("The model is writing an answer. Press Esc to stop it.")
        return self._pane.live is not None

    # --- writing ------------------------------------------------------------------------------------

    def edit(self, view: MessageView, text: str = "") -> None:
        """Put the question of a view into the prompt (or `text` in its place); sent, it begins a branch."""
        number, answer = view.message_id, self._pane.transcript.answer_to(view)
        hits = [citation.hit for citation in answer.citations] if answer is not None else []
        self._read(
            "reading the question",
            lambda store: store.message(number),
            lambda asked: self._pane.edit(
                text or clean(asked.content), asked.parent_id, asked.attachments, hits
            ),
        )

    def _write(self, action: str, view: MessageView) -> None:
        if self._busy():
            return
        if action == "regenerate":
            self._pane.begin(Request("regenerate", "", answer_id=view.message_id))
            return
        number = view.message_id

        self._read(
            "reading the answer",
            lambda store: check_continuable(store.message(number)),
            lambda _: None if self._busy() else self._pane.begin(Request("continue", "", answer_id=number)),
        )

    # --- branches -----------------------------------------------------------------------------------

    def _walk(self, view: MessageView, step: int) -> None:
        siblings = view.facts.siblings
        if view.message_id not in siblings or self._busy():
            return
        place = siblings.index(view.message_id) + step
        if not 0 <= place < len(siblings):
            self._say("There is no other branch on this side.")
            return
        there = siblings[place]
        self._read(
            "opening the branch",
            lambda store: store.show_branch(there),
            lambda _: self._pane.reload(around=there),
        )

    # --- windows for what a change needs ------------------------------------------------------------

    def ask_for_correction(self, needed: NeedsInput) -> None:
        """What should an answer have been?"""
        from ragchat.tui.screens.edit_text import EditText

        def keep(text: str | None) -> None:
            if text is not None:
                self._pane.changes.do(
                    "keeping the correction", lambda chat: chat.keep_correction(needed.message_id, text)
                )

        window = EditText(
            "What the answer should have been",
            needed.text,
            "ragchat saves it with the answer for evaluation and fine-tuning. An empty text deletes it.",
        )
        self._pane.app.push_screen(window, keep)

    def ask_for_question(self, needed: NeedsInput) -> None:
        """Which question is to be kept, with which answer and from which document?"""
        from ragchat.tui.screens.keep_question import KeepQuestion, Kept

        def keep(kept: Kept | None) -> None:
            if kept is not None:
                self._pane.changes.do(
                    "keeping the question",
                    lambda chat: chat.keep_question(
                        kept.question,
                        kept.answers,
                        source=kept.source,
                        quote=kept.quote,
                        answerable=kept.answerable,
                        answer_id=needed.message_id,
                    ),
                )

        def read(store: ChatStore) -> tuple[str, list[Citation]]:
            offered = store.citations(needed.message_id)
            used = [citation for citation in offered if citation.used]
            return store.message(store.message(needed.message_id).parent_id).content, used or list(offered)

        self._read(
            "reading the question",
            read,
            lambda found: self._pane.app.push_screen(KeepQuestion(found[0], needed.text, found[1]), keep),
        )
