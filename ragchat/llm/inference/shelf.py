"""Snapshots of a context: what is worth one is saved while nobody waits, and restored where reading would take longer."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from ragchat.llm.inference.context import Context
from ragchat.llm.snapshots import Snapshots, key_of

_LEAST = 48
"""Tokens that a snapshot must spare; fewer are read as soon as a file is."""


class Shelf:
    """Belongs to one model with its settings; `made_of` says what both are. Without `snapshots` it keeps nothing."""

    def __init__(self, snapshots: Snapshots | None, made_of: Sequence[object]) -> None:
        self._snapshots, self._made_of = snapshots, tuple(made_of)
        self._key = key_of(*self._made_of)
        self._due: tuple[list[int], tuple[str, ...]] | None = None
        self._writer: threading.Thread | None = None

    def use_adapters(self, files: Sequence[tuple[str, float]]) -> None:
        """These are on from now on."""
        marks = [(path, *_mark(path), scale) for path, scale in files]
        self._key = key_of(*self._made_of, *marks)
        self._due = None

    def restore(self, context: Context, tokens: Sequence[int]) -> int:
        """Put back the snapshot that spares the most of a prompt; how many tokens it spares, 0 where there is none.

        What was due is not any more.
        """
        self._due = None  # what is read from now on may have the texts of others
        if self._snapshots is None:
            return 0
        common = context.common(tokens)
        found = self._snapshots.find(self._key, tokens, beyond=common + _LEAST)
        state = self._snapshots.state(found) if found else None
        if found is None or state is None or not context.put_back(found.tokens, state):
            return 0
        return len(found.tokens)

    def plan(self, tokens: Sequence[int], owners: Sequence[str]) -> None:
        """These tokens, which have the texts of these owners, are worth a snapshot when there is time."""
        self._due = list(tokens), tuple(owners)

    @property
    def due(self) -> bool:
        """Whether there is something to save."""
        return self._snapshots is not None and self._due is not None

    def save(self, context: Context) -> None:
        """Save what is due. Only the copy is made here; another thread writes it."""
        due, self._due = self._due, None
        if self._snapshots is None or due is None:
            return
        tokens, owners = due
        if len(tokens) < _LEAST or not context.can_be_put_back(len(tokens)):
            return
        if self._snapshots.has(self._key, tokens) or not context.cut_to(tokens):
            return
        state = context.state()
        self.wait()
        self._writer = threading.Thread(
            target=self._snapshots.save, args=(self._key, tokens, state, owners), name="snapshot"
        )
        self._writer.start()

    def forget(self, owners: Sequence[str]) -> None:
        """Drop the snapshots with text of these owners, and what is due of them."""
        self.wait()
        if self._due is not None and set(self._due[1]) & set(owners):
            self._due = None
        if self._snapshots is not None:
            self._snapshots.drop(owners)

    def wait(self) -> None:
        """Until everything is written."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None


def _mark(path: str) -> tuple[int, int]:
    status = Path(path).stat()
    return status.st_size, status.st_mtime_ns


def made_of(path: str, context: Context, *, system: str) -> tuple[object, ...]:
    """What a state hangs on: the model file, the context, llama.cpp and this processor (`system` names both)."""
    return (os.path.realpath(path), *_mark(path), *context.settings, system)
