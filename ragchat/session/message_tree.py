"""The tree of a chat of another program: nodes by any name, any of them left out, made into messages with numbers.

Parents may be unknown, or run in a circle; every message comes in once all the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ragchat.types import PortableMessage, Role


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side said. Invariant: clean, and `content` is not blank."""

    role: Role
    content: str
    created_at: str = ""
    reasoning: str = ""
    rating: int = 0


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the tree of a chat; `turn` None: nothing that comes in. Its `reasoning` goes to the answers below it."""

    parent: str
    turn: Turn | None = None
    reasoning: str = ""


def grow(nodes: Mapping[str, Node], leaf: str) -> tuple[tuple[PortableMessage, ...], int]:
    """The messages of a tree, parents before children and older before newer, and the number of `leaf` (else of the newest).

    What hangs on a node that is left out hangs on what was before it. A message that follows one of the same side, without
    a branch between them, continues in it: other programs cut an answer where a tool was called.
    """
    places = _Places(nodes)
    above = {key: places.kept(key) for key, node in nodes.items() if node.turn}
    children: dict[str, list[str]] = {}
    for key, (parent, _) in above.items():
        children.setdefault(parent, []).append(key)
    messages: list[PortableMessage] = []
    numbers: dict[str, int] = {}
    for key in _in_order(nodes, children):
        parent, reasoning = above[key]
        turn = _turn(nodes, key)
        thought = _paragraphs(reasoning, turn.reasoning) if turn.role == "assistant" else ""
        before = messages[numbers[parent] - 1] if parent in numbers else None
        if before and before.role == turn.role and len(children[parent]) == 1:
            numbers[key] = before.id
            messages[before.id - 1] = _joined(before, turn, thought)
            continue
        numbers[key] = len(messages) + 1
        messages.append(
            PortableMessage(
                id=numbers[key],
                parent_id=numbers.get(parent, 0),
                role=turn.role,
                content=turn.content,
                created_at=turn.created_at,
                rating=turn.rating,
                reasoning=thought,
            )
        )
    shown = leaf if leaf in numbers else places.kept(leaf)[0]
    return tuple(messages), numbers.get(shown, len(messages))


def _in_order(nodes: Mapping[str, Node], children: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Each node with a turn once, after its parent, the oldest of those that may come first. Circles are cut open anywhere."""
    order = {key: position for position, key in enumerate(nodes)}
    done: set[str] = set()
    ready: list[tuple[str, int, str]] = []

    def add(keys: Iterable[str]) -> None:
        for key in keys:
            heapq.heappush(ready, (_turn(nodes, key).created_at, order[key], key))

    for start in ("", *(key for keys in children.values() for key in keys)):
        add(children.get("", ()) if not start else [start] if start not in done else ())
        while ready:
            key = heapq.heappop(ready)[2]
            if key not in done:
                done.add(key)
                yield key
                add(children.get(key, ()))


def _turn(nodes: Mapping[str, Node], key: str) -> Turn:
    turn = nodes[key].turn
    assert turn is not None
    return turn


def _joined(before: PortableMessage, turn: Turn, thought: str) -> PortableMessage:
    return replace(
        before,
        content=_paragraphs(before.content, turn.content),
        reasoning=_paragraphs(before.reasoning, thought),
        rating=turn.rating or before.rating,
    )


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


class _Places:
    """Where each node hangs when those that are left out are taken out."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._left_out: dict[str, tuple[str, str]] = {}

    def kept(self, key: str) -> tuple[str, str]:
        """The nearest node above `key` that comes in (or none), and the reasoning that stood between them."""
        passed: list[str] = []
        at = self._nodes[key].parent if key in self._nodes else ""
        while at in self._nodes and self._nodes[at].turn is None and at not in self._left_out:
            self._left_out[at] = ("", "")  # a circle ends here
            passed.append(at)
            at = self._nodes[at].parent
        found = self._left_out.get(at, (at if at in self._nodes else "", ""))
        for node in reversed(passed):
            reasoning = _paragraphs(found[1], self._nodes[node].reasoning)
            found = self._left_out[node] = (found[0], reasoning)
        return ("", found[1]) if found[0] == key else found
