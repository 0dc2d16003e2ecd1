"""Any length of text into one short summary: each part that fits is summarised (map), then the summaries are (reduce), in levels
where they do not fit at once.

It knows neither documents nor chats and stores nothing; what is summarised and what becomes of it is the caller's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ragchat.errors import ModelError, PromptTooLongError
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.events import SummaryProgress
from ragchat.session.pace import Pace
from ragchat.session.prompt import SMALLEST_ANSWER
from ragchat.text import clean_line
from ragchat.types import (
    CancelToken,
    GenerationFinished,
    LoadedModel,
    Message,
    PrefillProgress,
    Sampling,
    TextDelta,
)

PART_TOKENS = 1000
"""Read in one go when the whole does not fit. A small model reads no more at once even where it would fit: of what the default
model said of five manuals of 1,500 to 3,000 tokens, passages supported 56 % of the sentences when read in parts, 41 % at once.
"""
SMALL = 0.4e9
"""Parameters below which a model is small, as in `session.packing`."""
NOTE_TOKENS = 96
"""The longest summary of a part."""
COOL = 0.2
"""The highest temperature: a summary is to say what is there."""
_SLACK = 16
_COUNTED_AT_ONCE = 256
_TELL_EVERY_S = 0.5
"""While a summary of a part is being written."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What the model is told: for a text that fits, for a part of one, for the summaries of the parts."""

    whole: str
    part: str
    join: str


@dataclass(frozen=True, slots=True)
class FinalPrompt:
    """The prompt of the summary that follows as TextDelta."""

    messages: tuple[Message, ...]
    sampling: Sampling


DigestEvent = SummaryProgress | FinalPrompt | PrefillProgress | TextDelta | GenerationFinished


class Digest:
    """One summary in the making by a model that is loaded. `notes` are the summaries of the parts that were read so far."""

    def __init__(
        self,
        model: LoadedModel,
        wording: Wording,
        *,
        sampling: Sampling,
        longest: int,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> None:
        """The summary has at most `longest` tokens; the texts are those of `owners`.

        Raises PromptTooLongError when the context is too small for anything.
        """
        info = model.info
        self._model, self._wording, self._cancel = model, wording, cancel
        self._owners = tuple(owners)
        self._n_ctx, self._n_params = info.n_ctx, info.n_params
        self._note_tokens = min(NOTE_TOKENS, max(16, info.n_ctx // 16))
        self.longest = max(SMALLEST_ANSWER, min(longest or info.n_ctx, info.n_ctx // 4))
        self.sampling = replace(
            sampling, temperature=min(sampling.temperature, COOL), max_tokens=self.longest, stop=()
        )
        """The sampling of the summary; notes are greedy."""
        self._each = replace(self.sampling, temperature=0.0, max_tokens=self._note_tokens)
        self._pace = Pace()
        self.notes: list[str] = []
        """One for each part; empty for a part that the model wrote nothing about."""
        self._part_room = min(PART_TOKENS, self.room(wording.part))
        if min(self.room(wording.whole), self._part_room) < 4 * self._note_tokens:
            raise PromptTooLongError(
                f"A context of {info.n_ctx} tokens is too small to summarise anything.", "Raise model.n_ctx."
            )

    # --- what fits ------------------------------------------------------------------------------------

    def room(self, instructions: str) -> int:
        """Tokens of text beside these instructions and the summary."""
        return self._n_ctx - self._model.count_prompt(_prompt(instructions, "")) - self.longest - _SLACK

    def plan(self, texts: Sequence[str]) -> list[tuple[int, int]]:
        """Which texts are read together, as (first, last) numbers, last exclusive; one pair when all fit at once."""
        sizes, room = self.sizes(texts), self.room(self._wording.whole)
        if sum(sizes) <= (min(room, PART_TOKENS) if self._n_params < SMALL else room):
            return [(0, len(texts))]
        return group(sizes, self._part_room)

    def sizes(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, with what joins it to the next."""
        sizes: list[int] = []
        for first in range(0, len(texts), _COUNTED_AT_ONCE):
            sizes += [n + 2 for n in self._model.count_tokens(texts[first : first + _COUNTED_AT_ONCE])]
        return sizes

    def cut(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Stretches of each text that fit into a part, as (first, last) characters; all of it when it does."""
        return [
            [(0, len(text))] if size <= self._part_room else self._cut(text)
            for text, size in zip(texts, self.sizes(texts), strict=True)
        ]

    def _cut(self, text: str) -> list[tuple[int, int]]:
        """By halves, at a blank where there is one near the middle."""
        todo, done = [(0, len(text))], []
        while todo:
            first, last = todo.pop()
            if last - first < 2 or self.sizes([text[first:last]])[0] <= self._part_room:
                done.append((first, last))
                continue
            middle = (first + last) // 2
            blank = text.rfind(" ", first + 1, middle)
            middle = blank + 1 if blank > first + (last - first) // 4 else middle
            todo += [(middle, last), (first, middle)]
        return done

    # --- working --------------------------------------------------------------------------------------

    def run(self, parts: Sequence[str]) -> Iterator[DigestEvent]:
        """Summarise texts that each fit. The last event is a GenerationFinished, of a part when it was cancelled."""
        if len(parts) == 1:
            yield from self._write_final(self._wording.whole, parts[0])
            return
        stopped = yield from self._map("map", self._wording.part, parts, self.notes)
        notes = list(self.notes)
        while not stopped and sum(self.sizes(_listed(notes))) > self.room(self._wording.join):
            groups = group(self.sizes(_listed(notes)), self.room(self._wording.join))
            if len(groups) >= len(notes):  # never: a note takes at most a quarter of the room
                raise PromptTooLongError(
                    "The summaries of the parts do not fit in the context.", "Raise model.n_ctx."
                )
            joined = ["\n".join(_listed(notes[a:b])) for a, b in groups]
            notes = []
            stopped = yield from self._map("reduce", self._wording.join, joined, notes)
        if stopped:
            yield stopped
        elif not any(notes):
            raise ModelError("The model wrote no summary of any part.", "Choose another model.")
        else:
            yield from self._write_final(self._wording.join, "\n".join(_listed(notes)))

    def final_prompt(self) -> tuple[Message, ...]:
        """The prompt that puts the notes together, or none when they do not fit at once."""
        listed = _listed(self.notes)
        fits = sum(self.sizes(listed)) <= self.room(self._wording.join)
        return _prompt(self._wording.join, "\n".join(listed)) if listed and fits else ()

    def _map(
        self, stage: Literal["map", "reduce"], instructions: str, texts: Sequence[str], notes: list[str]
    ) -> Generator[DigestEvent, None, GenerationFinished | None]:
        """Summarise each text into `notes`; gives the end of the generation that was cancelled, or None."""
        sizes, read = self.sizes(texts), 0
        total = sum(sizes)
        for number, (text, size) in enumerate(zip(texts, sizes, strict=True), 1):
            self._pace.begin(size)

            def told(
                done: float, note: str = "", *, number: int = number, read: int = read
            ) -> SummaryProgress:
                at = read + round(sizes[number - 1] * done)
                left = self._pace.left(sum(sizes[number:]), len(sizes) - number, done)
                return SummaryProgress(stage, number, len(sizes), at, total, left, note)

            yield told(0.0)
            said: list[str] = []
            finished = yield from self._summarise(_prompt(instructions, text), said, told)
            if finished.finish_reason == "cancelled":
                return finished
            text = "".join(said).removesuffix(finished.repeated)
            notes.append(clean_line(_whole_sentences(text, cut=finished.finish_reason == "length")))
            self._pace.end()
            yield told(1.0, notes[-1])
            read += size
        return None

    def _summarise(
        self, messages: tuple[Message, ...], said: list[str], told: Callable[[float], SummaryProgress]
    ) -> Generator[DigestEvent, None, GenerationFinished]:
        """Write a note into `said`; `told` says how far all is when this share of the part is read."""
        told_at = time.monotonic()
        for event in self._model.generate(messages, self._each, cancel=self._cancel, owners=self._owners):
            match event:
                case TextDelta(text=piece):
                    said.append(piece)
                    self._pace.piece()
                    if time.monotonic() - told_at >= _TELL_EVERY_S:
                        told_at = time.monotonic()
                        yield told(1.0)
                case PrefillProgress(done=done, total=of):
                    yield told(done / max(1, of))
                case GenerationFinished():
                    return event
        raise AssertionError("a generation ends with its end")

    def _write_final(self, instructions: str, text: str) -> Iterator[DigestEvent]:
        messages = _prompt(instructions, text)
        yield FinalPrompt(messages, self.sampling)
        for event in self._model.generate(messages, self.sampling, cancel=self._cancel, owners=self._owners):
            if isinstance(event, PrefillProgress | TextDelta | GenerationFinished):
                yield event


def group(sizes: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Neighbours that fit into `room` together, in groups of about the same size, as (first, last), last exclusive."""
    wanted = max(1, -(-sum(sizes) // max(1, room)))
    target = min(room, -(-sum(sizes) // wanted))
    groups: list[tuple[int, int]] = []
    first = total = 0
    for number, size in enumerate(sizes):
        # The one that goes beyond the target still belongs when more of it lies before than behind.
        if number > first and (total + size > room or total + size // 2 > target):
            groups.append((first, number))
            first, total = number, 0
        total += size
    return [*groups, (first, len(sizes))] if sizes else []


def _prompt(instructions: str, text: str) -> tuple[Message, ...]:
    return Message("system", instructions), Message("user", text)


def _listed(notes: Sequence[str]) -> list[str]:
    return [f"- {note}" for note in notes if note]


def _whole_sentences(text: str, *, cut: bool) -> str:
    """Without the sentence that was cut off, unless it is the only one."""
    spans = sentence_spans(text.rstrip())
    return text[: spans[-1][0]] if cut and len(spans) > 1 else text
