"""Subtitles (SubRip, WebVTT) as running text; its sections say when it is spoken."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ragchat.ingest.encoding import source_text
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOutKind

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMING = re.compile(rf"[ \t]{{0,8}}{_TIME}[ \t]*+-{{1,3}}>[ \t]*+{_TIME}")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{1,80})?[ \t]+([^<>]{1,80})>")
_TAG = re.compile(r"</?(?:[a-zA-Z][^<>\n]{0,200}|\d[\d:.]{1,20})?>|\{\\[^{}\n]{0,100}\}")
_BREAKS = re.compile(r"\\[hNn]")
_LONGEST_SECTION = 60.0
_SHORTEST_SECTION = 30.0
_PAUSE = 3.0
"""Seconds."""


@dataclass(slots=True)
class _Cue:
    first: float
    last: float
    lines: list[tuple[str, int]] = field(default_factory=list)
    """Text and line of the file."""


def read_subtitles(text: str) -> ExtractedText:
    """What is said, a line for each cue, under the times at which it is said. Never raises.

    Captions that roll, each repeating the line before, are said once; notes stay, styles and settings go.
    """
    lines = source_text(text).split("\n")
    builder = DocumentBuilder("text/vtt")
    timings = [number for number, line in enumerate(lines) if "->" in line and _TIMING.match(line)]
    if not timings:
        return ExtractedText(source_text(text), "text/vtt", source_lines=True)
    title = _head(lines, timings[0], builder)
    _write(_cues(lines, timings, builder), builder)
    return replace(builder.build(), title=clean_line(title, limit=LONGEST_TITLE))


def _head(lines: list[str], first: int, builder: DocumentBuilder) -> str:
    """Read what is above the first cue and give the title, where the file has one."""
    title = ""
    if lines[0].startswith("WEBVTT"):
        title = lines[0][6:].strip(" \t-")
        number = 1
        while number < first and lines[number].strip():
            builder.leave_out(LeftOutKind.PROPERTY, lines[number])
            number += 1
        lines[:number] = [""] * number
    cue = _Cue(0.0, 0.0)
    _read_lines(lines, 0, first, cue)
    if cue.lines:
        builder.section(())
        builder.lines(cue.lines)
    return title


def _cues(lines: list[str], timings: list[int], builder: DocumentBuilder) -> list[_Cue]:
    cues = []
    for here, number in enumerate(timings):
        match = _TIMING.match(lines[number])
        assert match is not None
        first, last = _seconds(*match.group(1, 2, 3, 4)), _seconds(*match.group(5, 6, 7, 8))
        cue = _Cue(first, max(first, last))
        _read_lines(lines, number + 1, timings[here + 1] if here + 1 < len(timings) else len(lines), cue)
        cues.append(cue)
    return cues


def _seconds(hours: str | None, minutes: str, seconds: str, parts: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(parts.ljust(3, "0")) / 1000


def _read_lines(lines: list[str], first: int, last: int, cue: _Cue) -> None:
    """Add the text between two timings: words of the cue, notes and the like behind it; its number goes."""
    if last < len(lines) and last > first and lines[last - 1].strip().isdigit():
        last -= 1
    is_style = False
    for number in range(first, last):
        line = lines[number].strip()
        if not line:
            is_style = False
        elif not is_style and line in ("STYLE", "REGION") and (number == 0 or not lines[number - 1].strip()):
            is_style = True
        elif not is_style and (words := _plain(line)):
            cue.lines.append((words, number + 1))


def _plain(line: str) -> str:
    if "<" in line or "{" in line:
        line = _TAG.sub("", _VOICE.sub(r"\1: ", line))
    if "\\" in line:
        line = _BREAKS.sub(" ", line)
    if "&" in line:
        line = html.unescape(line)
    return " ".join(line.split())


def _write(cues: list[_Cue], builder: DocumentBuilder) -> None:
    is_rolling = _is_rolling(cues)
    said: list[str] = []
    began = ended = -1e9
    block: list[tuple[str, int]] = []
    for cue in cues:
        lines = [line for line in cue.lines if not (is_rolling and line[0] in said)]
        said = [text for text, _ in cue.lines] or said
        if not lines:
            continue
        length = cue.first - began
        if (
            length >= _LONGEST_SECTION
            or length < 0
            or (cue.first - ended >= _PAUSE and length >= _SHORTEST_SECTION)
        ):
            _flush(block, builder)
            block = []
            builder.section((_clock(cue.first),))
            began = cue.first
        ended = cue.last
        block += _joined(lines)
    _flush(block, builder)


def _flush(block: list[tuple[str, int]], builder: DocumentBuilder) -> None:
    if block:
        builder.lines(block)


def _joined(lines: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The lines of one cue as one, except where someone else begins to speak."""
    joined: list[tuple[str, int]] = []
    for text, line in lines:
        if joined and not text.startswith(("-", "–", "—", "NOTE")) and not joined[-1][0].startswith("NOTE"):
            joined[-1] = (f"{joined[-1][0]} {text}", joined[-1][1])
        else:
            joined.append((text, line))
    return joined


def _is_rolling(cues: list[_Cue]) -> bool:
    """Whether cues begin with the line with which the one before ended, as captions made by machines do."""
    pairs = [
        (one.lines[-1][0], other.lines[0][0]) for one, other in pairwise(cues) if one.lines and other.lines
    ]
    return len(pairs) >= 3 and sum(one == other for one, other in pairs) * 3 > len(pairs)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"
