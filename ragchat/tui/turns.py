"""What a person does with a turn of the chat: write it anew, answer again, walk branches, delete, rate, correct, keep.

It belongs to the pane, which shows the chat; what it changes in the database it changes in workers.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ragchat.errors import UsageError
from ragchat.tui import tasks
from ragchat.tui.live import Request
from ragchat.tui.widgets.message import AnswerView

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.store.chats import ChatStore
    from ragchat.tui.widgets.conversation import ConversationPane
    from ragchat.tui.widgets.message import MessageView
    from ragchat.tui.widgets.transcript import Transcript

Result = TypeVar("Result")
_CAN_GO_ON = ("length", "cancelled", "error")
_ATTACHED = "\n\n(attached: "


class Turns:
    """Handles what the transcript requests."""

    def __init__(self, pane: ConversationPane, services: Services) -> None:
        self._pane, self._services = pane, services
        self._deleted: list[tuple[int, int]] = []

    def handle(self, requested: Transcript.Requested) -> None:
        """Do what was asked for with the turn of a view."""
        view = requested.view
        match requested.action:
            case "undo":
                if not self.undo():
                    self._say("Nothing was deleted in this chat since it was opened.")
            case _ if view is None or not view.message_id:
                self._say("This turn is not stored yet.")
            case "edit":
                self._edit(view)
            case "regenerate" | "continue":
                self._write(requested.action, view)
            case "branch_previous" | "branch_next":
                self._walk(view, -1 if requested.action == "branch_previous" else 1)
            case "fork":
                self._fork(view)
            case "delete_turn":
                self._delete(view)
            case "rate_good" | "rate_bad":
                self._rate(view, 1 if requested.action == "rate_good" else -1)
            case "correct":
                self._correct(view)
            case "question":
                self._keep_question(view)

    def about(self, command: str, view: MessageView, text: str) -> None:
        """As the slash command says it: "edit", "correct" or "question", with `text` in place of what stands there."""
        match command:
            case "edit":
                self._edit(view, text)
            case "correct" if text:
                self._store_correction(view.message_id, text)
            case "correct":
                self._correct(view)
            case _:
                self._keep_question(view, text)

    def _say(self, sentence: str) -> None:
        self._pane.notify(sentence, timeout=4, markup=False)

    def _change(
        self, doing: str, change: Callable[[ChatStore], Result], then: Callable[[Result], object]
    ) -> None:
        """Run `change` in a worker, then `then` on the screen's thread, unless another chat was opened meanwhile."""
        pane, visit = self._pane, self._pane.visit

        def work() -> None:
            with tasks.chats(self._services) as store:
                result = change(store)
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
            self._say("An answer is being written; Esc stops it.")
        return self._pane.live is not None

    # --- writing ------------------------------------------------------------------------------------

    def _edit(self, view: MessageView, text: str = "") -> None:
        question, number = text or view.plain_text.split(_ATTACHED)[0], view.message_id
        self._change(
            "reading the question",
            lambda store: store.message(number).parent_id,
            lambda parent_id: self._pane.edit(question, parent_id),
        )

    def _write(self, action: str, view: MessageView) -> None:
        if self._busy():
            return
        if action == "regenerate":
            self._pane.begin(Request("regenerate", "", answer_id=view.message_id))
            return
        number = view.message_id

        def check(store: ChatStore) -> None:
            message = store.message(number)
            if message.state == "complete" and message.finish_reason not in _CAN_GO_ON:
                raise UsageError("This answer came to its end by itself.", "r answers the question anew.")

        self._change(
            "looking at the answer",
            check,
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
        self._change(
            "opening the branch",
            lambda store: store.show_branch(there),
            lambda _: self._pane.reload(around=there),
        )

    def _fork(self, view: MessageView) -> None:
        chat, number = self._pane.conversation_id, view.message_id
        self._change(
            "forking the chat",
            lambda store: store.fork(chat, number),
            lambda forked: self._pane.post_message(self._pane.Forked(forked)),
        )

    def _delete(self, view: MessageView) -> None:
        if self._busy():
            return
        number, chat = view.message_id, self._pane.conversation_id

        def deleted(question_id: int) -> None:
            self._deleted.append((chat, question_id))
            self._pane.reload()
            self._say("The question and its answers were deleted. u brings them back.")

        self._change("deleting a turn", lambda store: store.delete_turn(number), deleted)

    def undo(self) -> bool:
        """Bring back the turn that was deleted last in this chat; whether there was one."""
        here = [turn for turn in self._deleted if turn[0] == self._pane.conversation_id]
        if not here:
            return False
        self._deleted.remove(here[-1])
        question_id = here[-1][1]
        self._change(
            "bringing a turn back",
            lambda store: store.undelete_turn(question_id),
            lambda _: self._pane.reload(around=question_id),
        )
        return True

    # --- what the person thinks of it ---------------------------------------------------------------

    def _rate(self, view: MessageView, rating: int) -> None:
        rating = 0 if view.facts.rating == rating else rating
        number = view.message_id

        def rated(_: None) -> None:
            if shown := self._pane.transcript.find(number):
                shown.update_facts(replace(shown.facts, rating=rating))

        self._change("rating an answer", lambda store: store.rate(number, rating), rated)

    def _correct(self, view: MessageView) -> None:
        from ragchat.tui.screens.edit_text import EditText

        number = view.message_id
        self._pane.app.push_screen(
            EditText(
                "What the answer should have been",
                view.facts.correction or view.plain_text,
                "Kept beside the answer: for evaluation and fine-tuning. Empty takes it back.",
            ),
            lambda text: self._store_correction(number, text) if text is not None else None,
        )

    def _store_correction(self, number: int, text: str) -> None:
        def corrected(_: None) -> None:
            if shown := self._pane.transcript.find(number):
                shown.update_facts(replace(shown.facts, correction=text))

        self._change("keeping the correction", lambda store: store.correct(number, text), corrected)

    def _keep_question(self, view: MessageView, answer: str = "") -> None:
        from ragchat.tui.screens.keep_question import KeepQuestion, Kept

        assert isinstance(view, AnswerView)
        cited = [citation for citation in view.citations if citation.used] or list(view.citations)
        answer = answer or view.facts.correction or _first_words(view.plain_text)
        number = view.message_id

        def ask(question: str) -> None:
            self._pane.app.push_screen(
                KeepQuestion(question.split(_ATTACHED)[0], answer, cited), lambda kept: keep(kept)
            )

        def keep(kept: Kept | None) -> None:
            if kept is not None:
                self._change(
                    "keeping the question",
                    lambda store: store.add_evaluation_question(
                        kept.question,
                        kept.answers,
                        source=kept.source,
                        quote=kept.quote,
                        answerable=kept.answerable,
                        message_id=number,
                    ),
                    lambda _: self._say("Kept as a question for the evaluation."),
                )

        self._change(
            "reading the question",
            lambda store: store.message(store.message(number).parent_id).content,
            ask,
        )


def _first_words(answer: str) -> str:
    """What the expected answer may be: the first paragraph, without its marks."""
    first = next((part for part in answer.split("\n\n") if part.strip()), "")
    return re.sub(r"\s*\[\d{1,2}\]", "", first).strip()
