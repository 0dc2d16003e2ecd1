"""Which chats are open in tabs, in which order, and which of them is read. No widget, no database."""

from __future__ import annotations

import json
from collections.abc import Collection


class OpenChats:
    """Invariant: `numbers` holds `current`, each number once. 0 is the chat that is not stored yet."""

    def __init__(self) -> None:
        self.numbers: list[int] = [0]
        self.current = 0

    def show(self, number: int, *, beside: bool = False) -> None:
        """Read a chat: in its tab, else in place of the one that is read, or (`beside`) in a tab of its own."""
        if number not in self.numbers:
            place = self.numbers.index(self.current)
            if beside:
                self.numbers.insert(place + 1, number)
            else:
                self.numbers[place] = number
        self.current = number

    def stored(self, number: int) -> None:
        """The chat that was not stored yet has a number now."""
        if 0 in self.numbers and number not in self.numbers:
            self.numbers[self.numbers.index(0)] = number
            if self.current == 0:
                self.current = number

    def close(self, number: int) -> int:
        """Take a tab away; the chat that is read now. The last one leaves an empty chat."""
        if number in self.numbers:
            place = self.numbers.index(number)
            self.numbers.remove(number)
            self.numbers = self.numbers or [0]
            if number == self.current:
                self.current = self.numbers[min(place, len(self.numbers) - 1)]
        return self.current

    def beside(self, step: int) -> int:
        """The chat `step` tabs to the right of the one that is read; past the end it continues at the beginning."""
        return self.numbers[(self.numbers.index(self.current) + step) % len(self.numbers)]

    def as_text(self) -> str:
        """To be kept until the next start; empty when there is nothing worth keeping."""
        stored = [number for number in self.numbers if number]
        return json.dumps({"open": stored, "current": self.current}) if len(stored) > 1 else ""

    def restore(self, text: str, existing: Collection[int]) -> None:
        """What `as_text` kept, without chats that are gone. Text that is none of ours is left alone."""
        try:
            kept = json.loads(text)
            numbers = [int(number) for number in kept["open"] if number in existing]
            current = int(kept["current"])
        except (ValueError, TypeError, KeyError):
            return
        if len(numbers) > 1:
            self.numbers = list(dict.fromkeys(numbers))
            self.current = current if current in self.numbers else self.numbers[0]
