"""A `ChatModel` that needs no model file: it says what it was told to say, and counts words as tokens.

For fast tests and for looking at the screen. It never stands in where a person meets the real thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ragchat.types import (
    CancelToken,
    FinishReason,
    GenerationFinished,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    Sampling,
    TextDelta,
)


class FakeModel:
    """`answer` is the text to say, or a function of the messages; `pause_s` the time between two words."""

    def __init__(
        self,
        answer: str | Callable[[Sequence[Message]], str],
        *,
        n_ctx: int = 2048,
        n_params: int = 10**9,
        pause_s: float = 0.0,
    ) -> None:
        self._answer, self._pause_s = answer, pause_s
        self._loaded = False
        self._info = ModelInfo(
            name="fake",
            path="",
            architecture="fake",
            description="a fake",
            n_ctx=n_ctx,
            n_ctx_train=n_ctx,
            n_params=n_params,
            size_bytes=0,
            has_chat_template=True,
            prompt_format="plain",
            n_threads=1,
            n_threads_batch=1,
            flash_attention=False,
        )
        self.asked: list[tuple[Message, ...]] = []

    def load(self, cancel: CancelToken | None = None) -> Iterator[LoadProgress]:
        if not self._loaded:
            self._loaded = True
            yield LoadProgress(1.0)

    @property
    def info(self) -> ModelInfo | None:
        return self._info if self._loaded else None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def count_prompt(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens([message.content for message in messages])) + 4 * len(messages)

    def render_prompt(self, messages: Sequence[Message]) -> str:
        return "\n".join(f"<{message.role}> {message.content}" for message in messages)

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, cancel: CancelToken
    ) -> Iterator[PrefillProgress | TextDelta | GenerationFinished]:
        self.asked.append(tuple(messages))
        prompt_tokens = self.count_prompt(messages)
        yield PrefillProgress(prompt_tokens, prompt_tokens, 0.0)
        said = 0
        text = self._answer if isinstance(self._answer, str) else self._answer(messages)
        for word in text.splitlines(keepends=True) if "\n" in text else [w + " " for w in text.split(" ")]:
            if cancel.cancelled or (sampling.max_tokens and said >= sampling.max_tokens):
                break
            time.sleep(self._pause_s)
            said += 1
            yield TextDelta(word)
        reason: FinishReason
        reason = "cancelled" if cancel.cancelled else "length" if said == sampling.max_tokens else "stop"
        yield GenerationFinished(reason, prompt_tokens, 0, said, 0.01, 100.0, 50.0, sampling.seed or 0)

    def close(self) -> None:
        self._loaded = False
