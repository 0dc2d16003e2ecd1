"""Tells what a thinking model thinks from what it answers, by the markers that stand around its reasoning.

It works on text and knows no tokens. Which markers a model uses is read from its chat template, or, where that shows none, from
its vocabulary. Reasoning stand before the answer: a marker that is quoted in the middle of an answer is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Markers:
    """One of `openings` begins reasoning, one of `closings` ends them; the first opening tells the format.

    `end` is what is written for a model that does not come to an end, `skip` what begins an answer without reasoning where the
    template leaves even that to the model.
    """

    openings: tuple[str, ...]
    closings: tuple[str, ...]
    end: str
    skip: str = ""

    @property
    def all(self) -> tuple[str, ...]:
        """All tags."""
        return self.openings + self.closings

    def left_open(self, opening: str) -> bool:
        """Whether `opening`, the text in front of an answer, begins reasoning and does not end them."""
        begun = max(opening.rfind(marker) for marker in self.openings)
        return begun > max(opening.rfind(marker) for marker in self.closings)


def _tags(opening: str, closing: str) -> Markers:
    return Markers((opening,), (closing,), f"\n{closing}\n\n")


_REPLY = "<|start|>assistant"
_THOUGHTS = ("<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>")
_FINAL = "<|channel|>final<|message|>"

KNOWN = (
    _tags(
        "<think>", "</think>"
    ),  # Qwen3, QwQ, DeepSeek R1 and V3.1, GLM-4.5, Kimi-K2-Thinking, Nemotron, LFM2.5, Granite 3.3
    _tags("[THINK]", "[/THINK]"),  # Magistral, Ministral 3 Reasoning
    _tags("<seed:think>", "</seed:think>"),  # Seed-OSS
    _tags("<|channel>thought", "<channel|>"),  # Gemma 4
    _tags("<|START_THINKING|>", "<|END_THINKING|>"),  # Command R7B, Command A
    Markers(  # gpt-oss
        (*_THOUGHTS, *(_REPLY + marker for marker in _THOUGHTS)),
        (_FINAL, _REPLY + _FINAL, "<|end|>"),
        f"<|end|>{_REPLY}{_FINAL}",
        _FINAL,
    ),
)


USUAL = KNOWN[0]


def find(template: str, is_token: Callable[[str], bool]) -> Markers | None:
    """The markers that `template` speaks of, else those that are tokens of the vocabulary; None: the model was not made to think.

    Even then `USUAL` may be looked for: one that begins its answer with them does think.
    """
    return next(
        (known for known in KNOWN if known.openings[0] in template),
        next((known for known in KNOWN if all(is_token(marker) for marker in known.all)), None),
    )


class Part(NamedTuple):
    """A stretch of what a model wrote."""

    text: str
    reasoning: bool


class Splitter:
    """Parts a stream into reasoning and answer; markers, and the white space around them, belong to neither.

    What may yet become a marker is held back. A closing marker in front of an answer without reasoning is dropped.
    """

    def __init__(self, markers: Markers | None, *, reasoning: bool = False) -> None:
        """`reasoning`: the prompt has opened the reasoning already."""
        self.reasoning = reasoning and markers is not None
        self._markers = markers.all if markers else ()
        self._openings = markers.openings if markers else ()
        self._closings = markers.closings if markers else ()
        self._held = ""
        self._blank = bool(markers)  # only white space so far in this stretch: a marker may follow
        self._strip = reasoning  # white space at its beginning is dropped
        longest_first = sorted(self._markers, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, longest_first)))
        self._closing = re.compile(
            "|".join(re.escape(marker) for marker in longest_first if marker in self._closings)
        )

    def feed(self, text: str) -> list[Part]:
        """What is certain now."""
        self._held += text
        parts: list[Part] = []
        while self._held:
            if self._blank:
                body = self._held.lstrip()
                if marker := self._any.match(body):
                    self._turn(marker.group() in self._openings, body[marker.end() :])
                    continue
                if any(marker.startswith(body) for marker in self._markers):
                    break
                self._blank = False
                self._held = body if self._strip else self._held
            if not self.reasoning:
                parts.append(Part(self._held, False))
                self._held = ""
            elif ended := self._closing.search(self._held):
                if thought := self._held[: ended.start()].rstrip():
                    parts.append(Part(thought, True))
                self._turn(False, self._held[ended.end() :])
            else:
                sure = len(self._held[: len(self._held) - self._begun()].rstrip())
                if sure:
                    parts.append(Part(self._held[:sure], True))
                    self._held = self._held[sure:]
                break
        return parts

    @property
    def may_be_outside(self) -> bool:
        """Whether `outside` may hold for some text."""
        return self.reasoning or self._blank

    def outside(self, text: str) -> bool:
        """Whether `text`, if it comes next, is no part of the answer: it is reasoning, or a marker or blanks around it."""
        if self.reasoning or not self._blank:
            return self.reasoning
        body = (self._held + text).lstrip()
        if not body:
            return self._strip
        return any(body.startswith(marker) or marker.startswith(body) for marker in self._markers)

    def finish(self) -> list[Part]:
        """What was held back, at the end of the stream."""
        text, self._held = self._held, ""
        if self.reasoning:
            text = text.rstrip()
        if self._blank and self._strip:
            text = text.lstrip()
        return [Part(text, self.reasoning)] if text else []

    def _turn(self, reasoning: bool, rest: str) -> None:
        self.reasoning, self._held = reasoning, rest
        self._blank = self._strip = True

    def _begun(self) -> int:
        """Length of the end of what is held that may be the beginning of a closing marker."""
        return max(
            (
                n
                for marker in self._closings
                for n in range(1, len(marker))
                if self._held.endswith(marker[:n])
            ),
            default=0,
        )
