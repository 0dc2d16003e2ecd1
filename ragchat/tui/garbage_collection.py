"""Garbage is collected while no one types. A full collection stops everything for longer than a frame of the screen takes.

Python's own rhythm starts one when many objects were made, which is exactly when a page is turned or an answer streams. Here
the young generations keep it, and the full collection waits for a pause of the keys, unless too much has come together.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

PAUSE_S = 0.6
"""So long no key was pressed: no one waits for the screen."""
_YOUNG, _MIDDLE, _NEVER = 3_000, 20, 1_000_000
_WORTH_IT, _TOO_MUCH = 1, 8
"""Collections of the middle generation since the last full one: one represents 60,000 objects more, some 5 MB."""


class QuietCollector:
    """`touched` with every key, `look` a few times per second; `stop` gives Python its rhythm back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._touched_at = clock()
        self._thresholds = gc.get_threshold()

    def start(self) -> None:
        """What exists now is program and stays: it is not looked at again."""
        gc.freeze()
        gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)

    def touched(self) -> None:
        self._touched_at = self._clock()

    def look(self) -> bool:
        """Collect when it is due and no one types; whether it did."""
        grown = gc.get_count()[2]
        quiet = self._clock() - self._touched_at >= PAUSE_S
        if grown < (_WORTH_IT if quiet else _TOO_MUCH):
            return False
        gc.collect()
        return True

    def stop(self) -> None:
        gc.set_threshold(*self._thresholds)
        gc.unfreeze()
