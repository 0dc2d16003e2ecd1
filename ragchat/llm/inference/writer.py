"""From the tokens of a model to what is streamed: characters, reasoning apart from the answer, an end at a stop text.

It also notices when the model repeats itself, in the answer or in its reasoning.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

from ragchat.llm.inference.reasoning import Markers, Splitter
from ragchat.llm.inference.repeats import Repeats


class Writer:
    """Bytes of tokens to text: whole characters only. Stop texts end the answer; neither they nor their beginnings are shown."""

    def __init__(
        self,
        *,
        stop: Sequence[str],
        on_text: Callable[[str], None],
        on_reasoning: Callable[[str], None],
        markers: Markers | None = None,
        reasoning: bool = False,
        spaces: int = 0,
    ) -> None:
        """`reasoning`: the prompt opened the reasoning. `spaces`: so many at the beginning were written before."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = Splitter(markers, reasoning=reasoning)
        self._stop = [text for text in stop if text]
        self._on_text, self._on_reasoning = on_text, on_reasoning
        self._spaces = spaces
        self._held = ""
        self._repeats, self._thoughts_repeat = Repeats(), Repeats()

    @property
    def thoughts_repeat(self) -> bool:
        """Whether the model repeats itself in its reasoning."""
        return self._thoughts_repeat.found

    @property
    def repeated(self) -> str:
        """The end of the answer that only repeats what is before it; empty when the model does not repeat itself."""
        return self._repeats.tail()

    @property
    def reasoning(self) -> bool:
        """Whether the model is at its reasoning."""
        return self._splitter.reasoning

    @property
    def may_be_outside(self) -> bool:
        """Whether what comes next may be no part of the answer."""
        return self._splitter.may_be_outside

    def outside(self, data: bytes) -> bool:
        """Whether these bytes, if they come next, belong to the reasoning or its markers, not to the answer."""
        return self._splitter.outside(data.decode("utf-8", "replace"))

    def feed(self, data: bytes) -> bool:
        """True when a stop text was written, or the answer repeats itself."""
        for part in self._splitter.feed(self._decoder.decode(data)):
            if part.reasoning:
                self._thoughts_repeat.feed(part.text)
                self._on_reasoning(part.text)
            elif self._answer(part.text):
                return True
        return False

    def finish(self) -> None:
        """Say what was held back."""
        for part in self._splitter.finish():
            if part.reasoning:
                self._on_reasoning(part.text)
            elif self._answer(part.text):
                return
        self._say(self._held)
        self._held = ""

    def _answer(self, text: str) -> bool:
        self._held += text
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            self._say(self._held[: min(found)])
            self._held = ""
            return True
        keep = max(
            (n for stop in self._stop for n in range(1, len(stop)) if self._held.endswith(stop[:n])),
            default=0,
        )
        ready, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return self._say(ready)

    def _say(self, text: str) -> bool:
        """Whether the answer repeats itself."""
        while self._spaces and text.startswith(" "):
            self._spaces -= 1
            text = text[1:]
        if text:
            self._spaces = 0
            self._on_text(text)
            self._repeats.feed(text)
        return self._repeats.found
