"""Which models are downloaded next, one after the other, and what is done with each then."""

from __future__ import annotations


class Downloads:
    """Invariant: a name waits once. Everything happens in the thread of the screen."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._wanted: set[str] = set()
        self._embedding = ""

    def add(self, name: str, *, use: bool) -> None:
        """Let a model wait for its turn. `use`: you want to chat with it."""
        if name not in self._waiting:
            self._waiting.append(name)
        if use:
            self._wanted.add(name)

    def add_embedding(self, name: str) -> None:
        """Let the model for search by meaning wait, once; an empty name is none."""
        if name and not self._embedding:
            self._embedding = name
            self._waiting.append(name)

    def next(self) -> str:
        """The next model, which no longer waits; empty when none does."""
        return self._waiting.pop(0) if self._waiting else ""

    def drop(self) -> None:
        """Nothing waits any longer."""
        self._waiting.clear()
        self._embedding = ""

    def chats(self, name: str) -> bool:
        """Whether a model is one to chat with."""
        return name != self._embedding

    def arrival(self, name: str) -> str:
        """The sentence for when a model is there."""
        return (
            f"{name} is downloaded."
            if self.chats(name)
            else f"{name} is downloaded: search by meaning is ready."
        )

    def wants(self, name: str) -> bool:
        """Whether you want to chat with a model as soon as it is there."""
        return name in self._wanted
