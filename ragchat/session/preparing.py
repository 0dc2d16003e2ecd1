"""What is done for a question before it is sent: searched while it is typed, and read ahead as far as that is worth it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypeVar

from ragchat.session.prompt import OPENED, PackedPrompt
from ragchat.session.sources import Attachment
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Citation, Hit, Message, ModelInfo

Key = tuple[str, int]
"""A knowledge base and a chunk of it."""
_BYTES = 4.0
"""Of a token, as long as no prompt has told better."""
_ENOUGH = 100
"""Tokens of a prompt that tells how many bytes a token has."""
_Value = TypeVar("_Value")

LEAST_LETTERS = 3
"""A question that is shorter is not looked up yet."""
MOST_WASTED = 2000
"""Tokens: when about so many were read in vain for a question, no more of its passages are read ahead."""
_LETTERS = 4
"""Of a token."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A question as far as it is typed (empty: nothing yet), and what goes with it, as `ChatSession.ask` takes it."""

    conversation_id: int
    text: str = ""
    parent_id: int | None = None
    files: tuple[Attachment, ...] = ()
    pinned: tuple[Hit, ...] = ()


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the question would be answered from if it were sent now: the passages of its prompt, best first; none where the
    documents say nothing. `beginning` is worth reading ahead, with texts of `owners`; empty: nothing is.
    """

    citations: tuple[Citation, ...] = ()
    relevant: bool = False
    beginning: tuple[Message, ...] = ()
    owners: tuple[str, ...] = ()


class Plan:
    """What is worth reading ahead while one question is typed. It belongs to that question; pauses come one after the other.

    Instructions and history are read at the first pause, since whatever is asked begins with them. Of the passages only those are
    read that three pauses in a row found in the same place, the best first: the next word may change the others. Behind the best
    one, passages that are read keep their places as long as the search still wants them: then they need not be read again
    (decision 31).
    """

    def __init__(self, *, pauses: int = 3, most_wasted: int = MOST_WASTED) -> None:
        """`pauses` in a row that have to find a passage in its place."""
        self._pauses, self._most = pauses, most_wasted
        self._seen: list[tuple[tuple[Message, ...], tuple[str, ...]]] = []
        self._reading: tuple[str, ...] = ()
        self._order: tuple[Key, ...] = ()
        self._wasted = 0

    def in_order(self, hits: Sequence[Hit], passages: int) -> tuple[Hit, ...]:
        """The hits with those of the first `passages` in front that are read, in the order in which they are.

        As they are ranked where the best one is not what is read first: it is likeliest to hold the answer.
        """
        if not hits or self._order[:1] != (key_of(hits[0]),):
            return tuple(hits)
        first = {key_of(hit): hit for hit in hits[:passages]}
        kept = [first.pop(key) for key in _beginning_in(self._order, first)]
        return (*kept, *first.values(), *hits[passages:])

    def beginning(self, packed: PackedPrompt) -> tuple[Message, ...]:
        """What to read ahead now, where the question as it is typed makes this prompt."""
        self._seen = [*self._seen, (packed.messages[:-1], packed.before)][-self._pauses :]
        kept = self._stable() if self._wasted < self._most else 0
        attached = len(packed.before) - len(packed.passages)
        order = tuple(key_of(one.hit) for one in packed.citations[: max(0, kept - attached)])
        if order != self._order[: len(order)] or len(order) > len(self._order):
            self._order = order
        self._note(packed.before[:kept])
        return packed.beginning(kept)

    def _note(self, pieces: tuple[str, ...]) -> None:
        """These are read now; what is not among them was read in vain."""
        same = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._reading, pieces, strict=False))
        )
        if same < min(len(self._reading), len(pieces)):
            self._wasted += sum(len(piece) for piece in self._reading[same:]) // _LETTERS
            self._reading = pieces
        elif len(pieces) > len(self._reading):
            self._reading = pieces

    def _stable(self) -> int:
        """How many pieces in front of the question were the same at the last pauses."""
        head, pieces = self._seen[-1]
        if len(self._seen) < self._pauses or any(other != head for other, _ in self._seen):
            return 0
        same = 0
        for piece, *others in zip(pieces, *(before for _, before in self._seen[:-1]), strict=False):
            if any(other != piece for other in others):
                break
            same += 1
        # Where one is missing that was there, the question may move up to it: the end is not stable either.
        return (
            same
            if all(len(before) == len(pieces) for _, before in self._seen)
            else min(same, len(pieces) - 1)
        )


def key_of(hit: Hit) -> Key:
    """The same for the same passage."""
    return hit.knowledge_base, hit.chunk_id


def _beginning_in(order: Sequence[Key], there: Mapping[Key, Hit]) -> list[Key]:
    found: list[Key] = []
    for key in order:
        if key not in there:
            break
        found.append(key)
    return found


class Reading:
    """Has what was foreseen read, in a thread of its own. What is being read goes on as long as it still begins the next prompt.

    `read` is called in that thread, with a token that is cancelled when something else is to be read.
    """

    def __init__(self, read: Callable[[Foreseen, CancelToken], None]) -> None:
        self._do = read
        self._guard = threading.Lock()
        self._now: Foreseen | None = None
        self._next: Foreseen | None = None
        self._cancel = CancelToken()
        self._thread: threading.Thread | None = None

    def want(self, foreseen: Foreseen) -> None:
        """Read this, now or when what it begins with is read."""
        with self._guard:
            if self._now is None:
                self._now, self._cancel = foreseen, CancelToken()
                self._thread = threading.Thread(
                    target=self._work, args=(foreseen, self._cancel), daemon=True, name="read ahead"
                )
                self._thread.start()
            elif not self._cancel.cancelled and begins(foreseen.beginning, self._now.beginning):
                self._next = None  # it is being read, and more
            else:
                self._next = foreseen
                if not begins(self._now.beginning, foreseen.beginning):
                    self._cancel.cancel()

    def stop(self) -> None:
        """Read no more."""
        with self._guard:
            self._next = None
            self._cancel.cancel()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until nothing is being read; whether that came to pass in time."""
        with self._guard:
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s)
        return thread is None or not thread.is_alive()

    def _work(self, foreseen: Foreseen, cancel: CancelToken) -> None:
        now: Foreseen | None = foreseen
        try:
            while now is not None:
                self._do(now, cancel)
                with self._guard:
                    self._now, self._next = self._next, None
                    self._cancel = cancel = CancelToken()
                    now = self._now
        except BaseException:
            with self._guard:
                self._now = self._next = None
            raise


def begins(one: Sequence[Message], other: Sequence[Message]) -> bool:
    """Whether a prompt that begins with `other` begins with `one`."""
    if not one or not other or tuple(one[:-1]) != tuple(other[:-1]):
        return False
    last, longer = one[-1].content, other[-1].content
    return longer.startswith(last.removesuffix(OPENED))


class Estimated:
    """A model that is not asked how many tokens a text has: asking would stop it from reading. Room is estimated."""

    def __init__(self, info: ModelInfo, bytes_per_token: float = _BYTES) -> None:
        self.info, self._bytes = info, bytes_per_token

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """About so many."""
        return [int(len(text.encode("utf-8", "replace")) / self._bytes) + 1 for text in texts]

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """About so many, with what the template writes."""
        return sum(self.count_tokens([message.content for message in messages])) + 6 * len(messages)


class Looked:
    """What was looked up last, so that Enter need not look it up again. Safe across threads."""

    def __init__(self, *, most: int = 8) -> None:
        self._kept: tuple[tuple[object, object], ...] = ()
        self._most, self._lock = most, threading.Lock()
        self._bytes: dict[str, float] = {}

    def of(self, key: object, make: Callable[[], _Value], *, keep: Callable[[_Value], bool]) -> _Value:
        """What `make` makes, or made when it was last asked with an equal `key`, which has the kind and all that it depends on.

        `keep` says whether it is worth keeping.
        """
        for known, value in self._kept:
            if known == key:
                return value  # type: ignore[return-value]  # by its key
        made = make()
        if keep(made):
            with self._lock:
                self._kept = ((key, made), *self._kept)[: self._most]
        return made

    def learn(self, info: ModelInfo, packed: PackedPrompt) -> None:
        """How many bytes a token of this model has in a prompt like this."""
        if packed.prompt_tokens >= _ENOUGH:
            size = sum(len(message.content.encode("utf-8", "replace")) for message in packed.messages)
            self._bytes[info.path] = max(1.0, size / packed.prompt_tokens)

    def bytes_per_token(self, info: ModelInfo) -> float:
        """As the last prompt of this model told."""
        return self._bytes.get(info.path, _BYTES)


def state_of(stores: Sequence[KnowledgeStore]) -> tuple[tuple[str, int, int], ...]:
    """Changes with whatever is written to knowledge bases, by any connection."""
    found = []
    for store in stores:
        for path in (store.path, store.path.with_name(f"{store.path.name}-wal")):
            try:
                known = path.stat()
            except OSError:
                continue
            if known.st_size:  # an empty log comes and goes with the connections
                found.append((str(path), known.st_size, known.st_mtime_ns))
    return tuple(found)


def long_enough(text: str) -> bool:
    """Whether there is a word to search for."""
    return sum(character.isalnum() for character in text) >= LEAST_LETTERS


def owners_of(
    conversation_id: int, citations: Sequence[Citation], others: Sequence[str] = ()
) -> tuple[str, ...]:
    """Whose text a prompt has: "chat 3", "documents notes"; 0 is a chat that is not stored. What is attached is the chat's.

    `others`: knowledge bases from which earlier answers in the prompt were made.
    """
    chat = (f"chat {conversation_id}",) if conversation_id else ()
    names = dict.fromkeys([*(citation.hit.knowledge_base for citation in citations), *others])
    return (*chat, *(f"documents {name}" for name in names if name))
