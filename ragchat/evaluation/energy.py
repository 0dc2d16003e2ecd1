"""Energy as the processor counts it, where it lets a user read that: Intel's RAPL through Linux (usually for root alone)."""

from __future__ import annotations

import contextlib
from pathlib import Path

_PACKAGES = "/sys/class/powercap"


class Meter:
    """`joules` of all processor packages since it was made; 0 where nothing can be read. It belongs to the whole machine."""

    def __init__(self, folder: Path = Path(_PACKAGES)) -> None:
        self._counters: list[tuple[Path, int]] = []
        self._last: dict[Path, int] = {}
        self._sum = 0.0
        for package in sorted(folder.glob("intel-rapl:?")) if folder.is_dir() else ():
            with contextlib.suppress(OSError, ValueError):
                counter = package / "energy_uj"
                self._last[counter] = int(counter.read_text())
                self._counters.append((counter, int((package / "max_energy_range_uj").read_text())))

    @property
    def known(self) -> bool:
        """Whether this machine has counters that can be read."""
        return bool(self._counters)

    def joules(self) -> float:
        """Counters that ran over are followed, as long as this is asked more than once in their range (minutes)."""
        for counter, wraps_at in self._counters:
            with contextlib.suppress(OSError, ValueError):
                now = int(counter.read_text())
                passed = now - self._last[counter]
                self._sum += (passed if passed >= 0 else passed + wraps_at) / 1e6
                self._last[counter] = now
        return self._sum
