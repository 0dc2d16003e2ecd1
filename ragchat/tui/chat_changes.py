"""Runs what `app.open_chat` does in workers, and lets the screen follow what came of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from ragchat.app.open_chat import Change, Deletions, NeedsInput, OpenChat, Outcome
from ragchat.errors import RagchatError
from ragchat.tui import tasks

if TYPE_CHECKING:
    import threading

    from textual.app import App
    from textual.worker_manager import WorkerManager

    from ragchat.app.services import Services
    from ragchat.store.chats import ChatStore
    from ragchat.tui.live import LiveAnswer, Request
    from ragchat.tui.widgets.transcript import Transcript
    from ragchat.types import ChatOptions, Conversation, Hit, StoredMessage

GROUP = "chat changes"


class Pane(Protocol):
    """What changes and turns need of the widget that shows a chat."""

    conversation_id: int
    options: ChatOptions
    visit: int
    live: LiveAnswer | None
    one_by_one: threading.Lock
    changes: ChatChanges

    @property
    def app(self) -> App[object]: ...
    @property
    def workers(self) -> WorkerManager: ...
    @property
    def transcript(self) -> Transcript: ...
    def notify(self, message: str, *, timeout: float | None = None, markup: bool = True) -> None: ...
    def post_message(self, message: Message) -> bool: ...
    def run_worker(
        self,
        work: Callable[[], object],
        *,
        group: str,
        description: str,
        exit_on_error: bool,
        thread: bool,
    ) -> object: ...
    def reload(self, *, around: int = 0) -> None:
        """Show the chat as it is stored now, at its end or at a message."""

    def edit(
        self, question: str, parent_id: int, names: Sequence[str] = (), hits: Sequence[Hit] = ()
    ) -> None:
        """Put an earlier question into the prompt, with what was attached to it."""

    def begin(self, request: Request) -> LiveAnswer:
        """Have something written."""


class ChatChanged(Message):
    """A command has changed what is beyond this chat's pane, or needs a window. `command` is empty for a key."""

    def __init__(self, came: Outcome | NeedsInput) -> None:
        super().__init__()
        self.came = came


@dataclass(frozen=True, slots=True)
class _Done:
    """What a change came to, and the message it is about as it is stored now."""

    came: Outcome | NeedsInput
    message: StoredMessage | None = None


class ChatChanges:
    """One per pane. Changes are done one after the other, in the order in which they were asked for."""

    def __init__(self, pane: Pane, services: Services) -> None:
        self._pane, self._services = pane, services
        self._deletions = Deletions()

    def do(
        self,
        doing: str,
        change: Callable[[OpenChat], Outcome | NeedsInput],
        *,
        about: int = 0,
        chat: Conversation | None = None,
        refused: Callable[[], object] = lambda: None,
    ) -> None:
        """Run `change` on this chat (or `chat`) in a worker, then follow what came of it. `doing` says what for errors.

        `refused` is called on the screen's thread when the change raised a RagchatError, which is shown.
        """
        pane = self._pane
        number, options = (
            (chat.id, chat.options) if chat is not None else (pane.conversation_id, pane.options)
        )
        visit, answering_in = pane.visit, pane.live.conversation_id if pane.live is not None else None

        def work() -> None:
            with pane.one_by_one, tasks.chats(self._services) as store:
                open_chat = OpenChat(
                    *(self._services, store, number, options, self._deletions),
                    about=about,
                    answering_in=answering_in,
                )
                try:
                    done = _after(store, change(open_chat))
                except RagchatError as error:
                    pane.app.call_from_thread(self._refuse, error, refused)
                    return
            pane.app.call_from_thread(self._follow, done, number, visit)

        pane.run_worker(
            functools.partial(tasks.reporting, self._services, doing, pane.post_message, work),
            thread=True,
            exit_on_error=False,
            group=GROUP,
            description=doing,
        )

    async def settled(self) -> None:
        """Wait until nothing is being changed, so that the next question is asked as the last command wants it."""
        running = [
            worker for worker in self._pane.workers if worker.group == GROUP and not worker.is_finished
        ]
        if running:
            await self._pane.workers.wait_for_complete(running)

    def _refuse(self, error: RagchatError, refused: Callable[[], object]) -> None:
        refused()
        self._pane.notify(f"{error} {error.remedy}".strip(), timeout=5, markup=False)

    def _follow(self, done: _Done, number: int, visit: int) -> None:
        pane, came = self._pane, done.came
        here = pane.visit == visit and number in (0, pane.conversation_id)
        if isinstance(came, NeedsInput):
            if here:
                pane.post_message(ChatChanged(came))
            return
        match came.change:
            case Change.ANSWER:
                self._show_facts(done.message)
            case Change.TURN_DELETED if here:
                pane.reload()
            case Change.TURN_RESTORED if here:
                pane.reload(around=came.message_id)
            case _:
                if not here:
                    came = replace(came, options=None)  # those of a chat that is not shown any more
                pane.post_message(ChatChanged(came))
        if came.sentence and came.change is not Change.ANSWER:
            pane.notify(came.sentence, timeout=5, markup=False)

    def _show_facts(self, message: StoredMessage | None) -> None:
        if message and (shown := self._pane.transcript.find(message.id)):
            shown.update_facts(replace(shown.facts, rating=message.rating, correction=message.correction))


def _after(store: ChatStore, came: Outcome | NeedsInput) -> _Done:
    answered = isinstance(came, Outcome) and came.change is Change.ANSWER
    return _Done(came, store.message(came.message_id) if answered else None)
