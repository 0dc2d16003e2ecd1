"""The language model: what goes in, what it says, what is known of it, and the seam to whatever generates text."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy; seed None draws one, which is then recorded.

    max_tokens 0 means: until the context is full.
    """

    temperature: float = 0.3
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    seed: int | None = None
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is known of the model that is loaded. `flash_attention` and the threads are those in use.

    `thinks`: it was made to think before it answers, if it is let.
    """

    name: str
    path: str
    architecture: str
    description: str
    n_ctx: int
    n_ctx_train: int
    n_params: int
    size_bytes: int
    has_chat_template: bool
    prompt_format: str
    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """The model is being read (`stage` "load") or timed on this machine (`stage` "measure"); `fraction` is 0 to 1."""

    fraction: float
    stage: str = "load"


@dataclass(frozen=True, slots=True)
class PrefillProgress:
    """The prompt is being read: `done` of `total` tokens; `eta_s` None while unknown."""

    done: int
    total: int
    eta_s: float | None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer, sanitised."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of what a thinking model writes before its answer, sanitised."""

    text: str


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The end of one generation. Rates are tokens per second, 0 when nothing was measured.

    `cached_tokens` of the `prompt_tokens` were still in the KV cache and were not read again. `reasoning_tokens` of the
    `completion_tokens` were thinking, which took `reasoning_s`.
    """

    finish_reason: FinishReason
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    ttft_s: float
    prefill_tok_s: float
    decode_tok_s: float
    seed: int
    reasoning_tokens: int = 0
    reasoning_s: float = 0.0


GenerationEvent = LoadProgress | PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished


@dataclass(frozen=True, slots=True)
class AdapterScale:
    """An adapter that is switched on, and how strongly: 1.0 is as it was trained.

    As text, which is how chats and answers keep it, several stand as "facts+style:0.5"; empty: none. Names hold no ':' or '+'.
    """

    name: str
    scale: float = 1.0

    def __str__(self) -> str:
        return self.name if self.scale == 1.0 else f"{self.name}:{self.scale:g}"

    @staticmethod
    def parse(text: str) -> tuple[AdapterScale, ...]:
        """What `text` names, in its order. Raises ValueError for a scale that is no finite number."""
        adapters = []
        for part in filter(None, (part.strip() for part in text.split("+"))):
            name, _, scale = part.partition(":")
            adapters.append(AdapterScale(name.strip(), float(scale) if scale else 1.0))
        if not all(math.isfinite(adapter.scale) for adapter in adapters):
            raise ValueError(text)
        return tuple(adapters)

    @staticmethod
    def join(adapters: Sequence[AdapterScale]) -> str:
        """The text of several."""
        return "+".join(map(str, adapters))


@dataclass(frozen=True, slots=True)
class TokenSample:
    """A prompt and the answer to it as tokens of the model: `tokens[answer_start:]` is the answer with its end token.

    Invariant: 0 < answer_start < len(tokens); `tokens[:answer_start]` is what the model reads when it is asked in a chat.
    """

    tokens: tuple[int, ...]
    answer_start: int


@dataclass(frozen=True, slots=True)
class Score:
    """How likely the model finds an answer: `nll` is the sum of -ln p over its `tokens` tokens; `greedy` of these are the
    model's first choice.
    """

    nll: float
    tokens: int
    greedy: int


class CancelToken:
    """Set by whoever wants an end; read by whoever works. Safe across threads."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


class ChatModel(Protocol):
    """The seam between the session and whatever generates text (`llm.client.InferenceClient`, `llm.fake.FakeModel`)."""

    thinking: bool
    """Whether a model that can think does so before it answers; may be changed between two answers."""

    def load(self, cancel: CancelToken | None = None) -> Iterator[LoadProgress]:
        """Make the model ready; a loaded model yields nothing. Raises ModelError."""

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded, or None."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it stands, foreign text without control tokens."""

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it, the opening of the answer included."""

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template writes it."""

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, cancel: CancelToken
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        """Stream one answer; the last event is always GenerationFinished. Raises ModelError.

        When `messages` end with an assistant's turn, the answer goes on from it: only what is new is streamed.
        """

    @property
    def adapters(self) -> str:
        """What is switched on, as `AdapterScale` writes it. After a load of another model: nothing."""

    def set_adapters(self, adapters: str) -> None:
        """Switch adapters on (empty: all off) for the loaded model, without reading it anew; the KV cache is dropped.

        Raises NotFoundError, AdapterError (broken, or of another base); what was on stays on then.
        """

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """Tokens of each chat as the chat template writes it; the last message of each is the assistant's answer to learn."""

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is after its prompt, with the adapters that are on."""

    def close(self) -> None:
        """Free the model; it can be loaded again."""
