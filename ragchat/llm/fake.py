"""A `ChatModel` that needs no model file: it says what it was told to say, and counts words as tokens.

For fast tests and for looking at the screen. It never is in where a user meets the real thing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ragchat.types import (
    AdapterScale,
    CancelToken,
    FinishReason,
    GenerationFinished,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    ReadAhead,
    ReasoningDelta,
    Sampling,
    Score,
    TextDelta,
    TokenSample,
)


class FakeModel:
    """`answer` is the text to say, or a function of the messages; `pause_s` the time between two words.

    `reasoning` is what it thinks first, `logprobs` of the first token and on average is what it reports. A grammar changes
    nothing; how each answer was sampled is in `samplings`. It continues from an answer's beginning when that is the beginning of
    its own.
    """

    def __init__(
        self,
        answer: str | Callable[[Sequence[Message]], str],
        *,
        n_ctx: int = 2048,
        n_params: int = 10**9,
        pause_s: float = 0.0,
        reasoning: str = "",
        logprobs: tuple[float, float] | None = None,
    ) -> None:
        self._answer, self._pause_s, self._reasoning = answer, pause_s, reasoning
        self._logprobs = logprobs or (None, None)
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
            thinks=bool(reasoning),
        )
        self.asked: list[tuple[Message, ...]] = []
        self.prepared: list[tuple[Message, ...]] = []
        self.forgotten: list[str] = []
        self.owners: list[tuple[str, ...]] = []
        """Of each prompt, read ahead or asked."""
        self.samplings: list[Sampling] = []
        self.uses: list[LoadedFake] = []
        """How each answer was wanted."""

    @contextmanager
    def apart(self, cancel: CancelToken) -> Iterator[CancelToken]:
        """The machine for other work, as that of the inference client."""
        yield cancel

    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, LoadedFake]:
        if not self._loaded:
            self._loaded = True
            yield LoadProgress(1.0)
        return LoadedFake(self, self._info, thinking, adapters)

    def loaded(self, *, thinking: bool = False) -> LoadedFake | None:
        return LoadedFake(self, self._info, thinking) if self._loaded else None

    @property
    def info(self) -> ModelInfo | None:
        return self._info if self._loaded else None

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def count_prompt(self, messages: Sequence[Message]) -> int:
        return sum(self.count_tokens([message.content for message in messages])) + 4 * len(messages)

    def render_prompt(self, messages: Sequence[Message]) -> str:
        return "\n".join(f"<{message.role}> {message.content}" for message in messages)

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
        keep: bool = False,
    ) -> ReadAhead:
        self.prepared.append(tuple(messages))
        self.owners.append(tuple(owners))
        tokens = self.count_prompt(messages)
        return ReadAhead(tokens, tokens, 0.0, done=not cancel.cancelled)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        self.asked.append(tuple(messages))
        self.owners.append(tuple(owners))
        self.samplings.append(sampling)
        prompt_tokens = self.count_prompt(messages)
        yield PrefillProgress(prompt_tokens, prompt_tokens, 0.0)
        text = self._answer if isinstance(self._answer, str) else self._answer(messages)
        words = text.splitlines(keepends=True) if "\n" in text else [w + " " for w in text.split(" ")]
        begun = messages[-1].content if messages and messages[-1].role == "assistant" else ""
        thought = 0
        for word in [] if begun else self._reasoning.split():
            if cancel.cancelled:
                break
            time.sleep(self._pause_s)
            thought += 1
            yield ReasoningDelta(word + " ")
        said = 0
        for word in _after(begun, words):
            if cancel.cancelled or (sampling.max_tokens and said >= sampling.max_tokens):
                break
            time.sleep(self._pause_s)
            said += 1
            yield TextDelta(word)
        reason: FinishReason
        reason = "cancelled" if cancel.cancelled else "length" if said == sampling.max_tokens else "stop"
        yield GenerationFinished(
            finish_reason=reason,
            prompt_tokens=prompt_tokens,
            cached_tokens=0,
            completion_tokens=thought + said,
            ttft_s=0.01,
            prefill_tok_s=100.0,
            decode_tok_s=50.0,
            seed=sampling.seed or 0,
            reasoning_tokens=thought,
            reasoning_s=thought / 50,
            first_logprob=self._logprobs[0] if said else None,
            mean_logprob=self._logprobs[1] if said else None,
        )

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """A token is the number of its word's letters."""
        samples = []
        for chat in chats:
            prompt = [len(word) for message in chat[:-1] for word in message.content.split()] or [1]
            answer = [len(word) for word in chat[-1].content.split()]
            samples.append(TokenSample((*prompt, *answer, 0), len(prompt)))
        return samples

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """Every token is as likely as any other."""
        counts = [len(sample.tokens) - sample.answer_start for sample in samples]
        return [Score(n * math.log(1000), n, 0) for n in counts]

    def forget(self, owners: Sequence[str]) -> None:
        self.forgotten += owners

    def close(self) -> None:
        self._loaded = False


@dataclass(frozen=True, slots=True)
class LoadedFake:
    """What `FakeModel.load` returns; it keeps how it is wanted, and the fake says everything."""

    model: FakeModel
    info: ModelInfo
    thinking: bool = False
    adapters: tuple[AdapterScale, ...] = ()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self.model.count_tokens(texts)

    def count_prompt(self, messages: Sequence[Message]) -> int:
        return self.model.count_prompt(messages)

    def render_prompt(self, messages: Sequence[Message]) -> str:
        return self.model.render_prompt(messages)

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
        keep: bool = False,
    ) -> ReadAhead:
        return self.model.prepare(messages, cancel=cancel, owners=owners)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        self.model.uses.append(self)
        return self.model.generate(messages, sampling, cancel=cancel, owners=owners)

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        return self.model.encode(chats)

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        return self.model.score(samples)


def _after(begun: str, words: list[str]) -> list[str]:
    """What is left to say of `words` after `begun`; all of them when they do not begin with it."""
    if not "".join(words).startswith(begun):
        return words
    left = []
    for word in words:
        left.append(word[len(begun) :])
        begun = begun[len(word) :]
    return [word for word in left if word]
