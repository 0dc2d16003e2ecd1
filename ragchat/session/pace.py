"""How long a summary in parts still takes, told by how fast its parts were read and written so far."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_PIECES = 8
"""Pieces of the first note after which its length in time can be guessed."""
_USUAL_PIECES = 48
"""Of a note."""
_JOIN = 2.0
"""Putting the notes together takes about as long as so many notes."""


class Pace:
    """One for all parts of a summary. Times are those of `clock`, in seconds; sizes are tokens."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._read_s = self._write_s = 0.0
        self._read = self._notes = 0
        self._size = self._pieces = 0
        self._began = self._wrote_from = 0.0

    def begin(self, size: int) -> None:
        """A part of `size` tokens is about to be read."""
        self._size, self._pieces = size, 0
        self._began, self._wrote_from = self._clock(), 0.0

    def piece(self) -> None:
        """A piece of its note was written."""
        if not self._pieces:
            self._wrote_from = self._clock()
            self._read_s += self._wrote_from - self._began
            self._read += self._size
        self._pieces += 1

    def end(self) -> None:
        """The note is written."""
        self._write_s += self._writing()
        if not self._pieces:  # the model wrote nothing
            self._read_s += self._clock() - self._began
            self._read += self._size
        self._notes += 1
        self._pieces = self._size = 0

    def left(self, sizes: int, notes: int, done: float = 0.0) -> float | None:
        """Seconds until all is put together; None until a note was seen being written.

        `sizes` tokens in `notes` parts are still to be read and summarised after the present one, of which the share `done` is
        read.
        """
        a_note = self._a_note()
        if a_note is None or not self._read:
            return None
        a_token = self._read_s / self._read
        reading = 0.0 if self._pieces else self._size * (1 - done) * a_token
        writing = max(0.0, a_note - self._writing()) if self._size else 0.0
        return reading + writing + sizes * a_token + (notes + _JOIN) * a_note

    def _writing(self) -> float:
        return self._clock() - self._wrote_from if self._pieces else 0.0

    def _a_note(self) -> float | None:
        """Seconds for a note: the mean of those that are written, or a guess from the first."""
        if self._notes:
            return self._write_s / self._notes
        if self._pieces < _FIRST_PIECES:
            return None
        return self._writing() * max(1.0, _USUAL_PIECES / self._pieces)
