"""The one sanitiser: what came from outside (documents, file names, model output) passes here before it is kept or shown.

A terminal obeys control characters wherever they stand, so none may pass. Markup is not its business: the screen
builds `Content` from plain text and never parses it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# C0 without tab and newline, DEL, C1 (8-bit CSI and OSC live there), and lone surrogates, which SQLite cannot store.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
# Whole escape sequences go as one, so that "\x1b]52;c;aGk=\x07" does not leave "]52;c;aGk=" behind.
_ESCAPES = re.compile(
    "(?:\x1b\\]|\x9d)[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)?"  # OSC, ended by BEL or ST
    "|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x9c\n]*(?:\x1b\\\\|\x9c)?"  # DCS, SOS, PM, APC
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    "|\x1b[ -/]*[0-~]?"  # the rest
)
# Invisible characters that reorder or hide what a person reads: bidi overrides and isolates, tag characters.
_DECEPTIVE = re.compile(
    "[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NEWLINES = re.compile("\r\n?|\x85|\u2028|\u2029|\x0b|\x0c")
_NEWLINE = re.compile("[\r\x85\u2028\u2029\x0b\x0c]")
"""One character each, so that places in the text stay."""


def clean(text: str) -> str:
    """Text without control characters, escape sequences, lone surrogates and characters that reorder the line.

    Line ends become `\\n`; tabs and newlines stay. Idempotent.
    """
    if "\r" in text or not text.isprintable():
        text = _NEWLINES.sub("\n", text)
        text = _ESCAPES.sub("", text)
        text = _CONTROL.sub("", text)
        text = _DECEPTIVE.sub("", text)
    return text


def clean_line(text: str, *, limit: int = 0) -> str:
    """One line of clean text: white space folded, cut to `limit` characters with an ellipsis (0: never cut)."""
    line = " ".join(clean(text).split())
    if limit and len(line) > limit:
        return line[: max(0, limit - 1)].rstrip() + "…"
    return line


class StreamCleaner:
    """`clean` for text that arrives in pieces: an escape sequence split over two pieces is still caught."""

    _LONGEST = 4096

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of the text so far is safe to show; the tail that may be part of a sequence is held back."""
        text = self._held + piece
        cut = self._safe_end(text)
        self._held = text[cut:]
        return clean(text[:cut])

    def finish(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return clean(text)

    def _safe_end(self, text: str) -> int:
        # Line ends end a sequence, as in `clean`, which makes them newlines first.
        for match in _ESCAPES.finditer(_NEWLINE.sub("\n", text)):
            if match.end() == len(text) and len(text) - match.start() <= self._LONGEST:
                return match.start()  # it may go on in the next piece
        return len(text) - 1 if text.endswith("\r") else len(text)  # may be half of \r\n


def normalise(text: str) -> str:
    """Unicode form in which text is indexed and compared (NFKC)."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def counted(number: int, noun: str) -> str:
    """`1 document`, `2 documents`, `12,000 documents`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def human_bytes(size: float) -> str:
    """`98362432` as `93.8 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024 or unit == "GiB":
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """`75` as `1 min 15 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


_BARS = "▁▂▃▄▅▆▇█"


def curve(values: Sequence[float], width: int = 60, *, scale: tuple[float, float] | None = None) -> str:
    """A line of bars, the newest on the right; each represents the mean of as many values as needed.

    `scale` are the values of the lowest and the highest bar; without it those of the least and the largest mean.
    """
    if not values:
        return ""
    per = max(1, -(-len(values) // width))
    means = [sum(values[n : n + per]) / len(values[n : n + per]) for n in range(0, len(values), per)]
    low, high = scale or (min(means), max(means))
    span = (high - low) or 1.0
    return "".join(_BARS[int((value - low) / span * (len(_BARS) - 1))] for value in means)
