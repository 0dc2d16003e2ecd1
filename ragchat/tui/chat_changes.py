"""Runs what `app.open_chat` does in workers, and lets the screen follow what came of it."""

from __future__ import annotations

import functools
from collections import deque
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
    from ragchat.types import AdapterScale, ChatOptions, Conversation, Hit, StoredMessage

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
    """A command has changed what is beyond this chat's pane, or needs a window. `adapters` are those that were on before."""

    def __init__(self, came: Outcome | NeedsInput, adapters: tuple[AdapterScale, ...] = ()) -> None:
        super().__init__()
        self.came = came
        self.adapters = adapters


@dataclass(frozen=True, slots=True)
class _Done:
    """What a change came to, and the message it is about as it is stored now."""

    came: Outcome | NeedsInput
    message: StoredMessage | None = None


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A change that waits for its turn."""

    doing: str
    change: Callable[[OpenChat], Outcome | NeedsInput]
    about: int
    chat: Conversation | None
    refused: Callable[[], object]


@dataclass(frozen=True, slots=True)
class _State:
    """The chat that a change is about, as the screen has it when the change begins."""

    number: int
    options: ChatOptions
    visit: int
    answering_in: int | None


class ChatChanges:
    """One per pane. Changes are done one after the other, in the order in which they were asked for."""

    def __init__(self, pane: Pane, services: Services) -> None:
        self._pane, self._services = pane, services
        self._deletions = Deletions()
        self._waiting: deque[_Wanted] = deque()

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
        self._waiting.append(_Wanted(doing, change, about, chat, refused))
        self._pane.run_worker(self._work, thread=True, exit_on_error=False, group=GROUP, description=doing)

    def _work(self) -> None:
        """Do the oldest change that waits. One at a time, and each begins with what the one before has changed."""
        with self._pane.one_by_one:
            wanted = self._waiting.popleft()
            tasks.reporting(
                self._services, wanted.doing, self._pane.post_message, functools.partial(self._do, wanted)
            )

    def _do(self, wanted: _Wanted) -> None:
        app = self._pane.app
        began = app.call_from_thread(self._state, wanted.chat)
        with tasks.chats(self._services) as store:
            open_chat = OpenChat(
                *(self._services, store, began.number, began.options, self._deletions),
                about=wanted.about,
                answering_in=began.answering_in,
            )
            try:
                done = _after(store, wanted.change(open_chat))
            except RagchatError as error:
                app.call_from_thread(self._refuse, error, wanted.refused)
                return
        app.call_from_thread(self._follow, done, began)

    def _state(self, chat: Conversation | None) -> _State:
        pane = self._pane
        number, options = (chat.id, chat.options) if chat else (pane.conversation_id, pane.options)
        return _State(number, options, pane.visit, pane.live.conversation_id if pane.live else None)

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

    def _follow(self, done: _Done, began: _State) -> None:
        pane, came = self._pane, done.came
        here = pane.visit == began.visit and began.number in (0, pane.conversation_id)
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
                pane.post_message(ChatChanged(came, pane.options.adapters))
                pane.options = came.options or pane.options
        if came.sentence and came.change is not Change.ANSWER:
            pane.notify(came.sentence, timeout=5, markup=False)

    def _show_facts(self, message: StoredMessage | None) -> None:
        if message and (shown := self._pane.transcript.find(message.id)):
            shown.update_facts(replace(shown.facts, rating=message.rating, correction=message.correction))


def _after(store: ChatStore, came: Outcome | NeedsInput) -> _Done:
    answered = isinstance(came, Outcome) and came.change is Change.ANSWER
    return _Done(came, store.message(came.message_id) if answered else None)
