"""The quiet work behind the chat: a sync of what is asked when ragchat starts, watching, embedding. It is never waited for.

A knowledge base is worked on by one thread at a time (`alone`): a watch gives way to a sync that the user asks for.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ragchat.errors import CancelledError, RagchatError
from ragchat.text import clean_line, counted
from ragchat.tui import messages, tasks
from ragchat.tui.embeddings import Embeddings
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.types import KnowledgeBaseStatus


class Upkeep(Widget):
    """Invisible; it is in the chat screen, which is always there. `watching` are the knowledge bases that are watched now."""

    class TurnEnded(Message):
        """Whoever had a knowledge base to himself is done with it."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    watching: reactive[frozenset[str]] = reactive(frozenset())
    changes: reactive[int] = reactive(0)
    """Grows with everything that a watch or the sync at the start has changed."""

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.display = False
        self._services = services
        self._tokens: dict[str, CancelToken] = {}
        self._paused: set[str] = set()
        self._start_cancel = CancelToken()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self.embeddings = Embeddings(services)

    def compose(self) -> ComposeResult:
        yield self.embeddings

    def on_unmount(self) -> None:
        self.stop()

    # --- what the screens ask for -------------------------------------------------------------------

    def begin(self, statuses: Sequence[KnowledgeBaseStatus], asked: Sequence[str]) -> None:
        """ragchat has started: watch what shall be watched, and bring up to date what is `asked` and is not."""
        names = {status.name for status in statuses}
        watched = [name for name in self._services.documents.watched() if name in names]
        for name in watched:
            self._start_watching(name)
        if self._services.documents.sync_at_start:
            self._sync_quietly(
                [status for status in statuses if status.name in asked and status.name not in watched]
            )
        self.embeddings.embed([*(name for name in asked if name in names), *sorted(names.difference(asked))])

    def switch(self, name: str, on: bool) -> None:
        """Watch a knowledge base or no longer, now and whenever ragchat starts."""
        if on:
            self._start_watching(name)
        elif name in self._tokens:
            self._tokens.pop(name).cancel()
            self.watching = self.watching - {name}
        self._keep_choice(name, on)

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Any thread: no one else works on this knowledge base meanwhile; a watch of it continues afterwards."""
        self._paused.add(name)
        if token := self._tokens.get(name):
            token.cancel()
        try:
            with self._turns[name], self.embeddings.keeping_off(name):
                yield
        finally:
            self._paused.discard(name)
            self.post_message(self.TurnEnded(name))

    @on(TurnEnded)
    def _go_on_watching(self, event: TurnEnded) -> None:
        event.stop()
        self.embeddings.embed([event.name])
        if event.name in self._tokens:
            self._start_watching(event.name)

    def stop(self) -> None:
        """ragchat ends."""
        self._start_cancel.cancel()
        self.embeddings.stop()
        tokens, self._tokens = self._tokens, {}
        for token in tokens.values():
            token.cancel()

    # --- watching -----------------------------------------------------------------------------------

    def _start_watching(self, name: str) -> None:
        if name not in self._paused:
            self._tokens[name] = CancelToken()
            self.watching = self.watching | {name}
            self._watch_files(name, self._tokens[name])

    @work(thread=True, exit_on_error=False, group="watch", description="watch a knowledge base")
    def _watch_files(self, name: str, cancel: CancelToken) -> None:
        from ragchat.ingest.sync import SyncFinished

        try:
            with self._turns[name]:
                revision = -1
                for event in self._services.documents.watch(name, cancel):
                    if isinstance(event, SyncFinished) and event.status.revision != revision:
                        changed, revision = revision >= 0, event.status.revision
                        self.post_message(messages.UpkeepAdvanced(name, changed=changed))
            sentence, remedy = "", ""
        except CancelledError:
            sentence, remedy = "", ""
        except RagchatError as error:
            sentence, remedy = str(error), error.remedy
        except Exception:  # noqa: BLE001 - the boundary of a worker
            sentence, remedy = tasks.record_unexpected(self._services, f"watching {name}"), ""
        if not cancel.cancelled:
            self.post_message(messages.WatchEnded(name, sentence, remedy))

    @on(messages.UpkeepAdvanced)
    def _count_changes(self, event: messages.UpkeepAdvanced) -> None:
        self.changes += event.changed
        if event.changed:
            self.embeddings.embed([event.name])

    @on(messages.WatchEnded)
    def _forget_watch(self, event: messages.WatchEnded) -> None:
        self._tokens.pop(event.name, None)
        self.watching = self.watching - {event.name}
        if event.sentence:
            said = f"{clean_line(event.name)} is not watched. {event.sentence} {event.remedy}".strip()
            self.notify(said, severity="warning", markup=False)

    # Not exclusive: a choice is never dropped.
    @work(thread=True, exit_on_error=False, group="choice", description="save what to watch")
    def _keep_choice(self, name: str, on: bool) -> None:
        def keep() -> None:
            with self._turns[""]:
                others = tuple(other for other in self._services.documents.watched() if other != name)
                self._services.documents.set_watched((*others, name) if on else others)

        tasks.reporting(self._services, "keeping the choice", self.post_message, keep)

    # --- the sync at the start ----------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, group="upkeep", description="a quick sync behind the chat")
    def _sync_quietly(self, statuses: Sequence[KnowledgeBaseStatus]) -> None:
        for status in statuses:
            places = (*status.roots, *(source.path for source in status.sources))
            if not self._start_cancel.cancelled and any(Path(place).exists() for place in places):
                tasks.reporting(
                    self._services,
                    f"bringing {status.name} up to date",
                    self.post_message,
                    lambda status=status: self._sync_one(status),  # type: ignore[misc]
                )

    def _sync_one(self, before: KnowledgeBaseStatus) -> None:
        from ragchat.ingest.sync import SyncFinished

        if not self._turns[before.name].acquire(blocking=False):
            return  # the person has begun one
        try:
            for event in self._services.documents.sync(before.name, [], self._start_cancel):
                if isinstance(event, SyncFinished) and event.status.revision != before.revision:
                    sentence = changes_sentence(before, event.status)
                    self.post_message(messages.UpkeepAdvanced(before.name, sentence, changed=True))
        finally:
            self._turns[before.name].release()


def changes_sentence(before: KnowledgeBaseStatus, now: KnowledgeBaseStatus) -> str:
    """What a sync has changed, in short."""
    more = now.indexed - before.indexed
    name = clean_line(now.name)
    if not more:
        return f"{name}: changed documents are up to date."
    return f"{name}: {counted(abs(more), 'document')} {'more' if more > 0 else 'fewer'} than last time."
