"""The language model: what goes in, what it says, what is known of it, and the seam to whatever generates text."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ragchat.errors import UsageError
from ragchat.types.defaults import MAX_TOKENS, MIN_P, REPEAT_PENALTY, TEMPERATURE, TOP_K, TOP_P

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "repeats", "cancelled", "error"]
"""Why an answer ended. "repeats": the model wrote the same again and again and was stopped."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn as the model sees it."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. temperature 0 is greedy; seed None draws one, which is then recorded.

    max_tokens 0 means: until the context is full. `grammar` (GBNF, root rule `root`) is what an answer must be; '' lets it be
    anything.
    """

    temperature: float = TEMPERATURE
    top_k: int = TOP_K
    top_p: float = TOP_P
    min_p: float = MIN_P
    repeat_penalty: float = REPEAT_PENALTY
    seed: int | None = None
    max_tokens: int = MAX_TOKENS
    stop: tuple[str, ...] = ()
    grammar: str = ""


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
class ReadAhead:
    """What reading the beginning of a prompt ahead came to: `tokens` of it can be kept, `read` of them were read just now, for
    `cpu_s` seconds of processor time. Not `done`: something that you wait for came first.
    """

    tokens: int
    read: int
    cpu_s: float
    done: bool


@dataclass(frozen=True, slots=True)
class ReadAheadUse:
    """What was read ahead since the answer before: `read` tokens for `cpu_s` seconds of processor time. `used` of those that are
    still there begin the prompt; `wasted` were dropped.
    """

    read: int = 0
    used: int = 0
    wasted: int = 0
    cpu_s: float = 0.0

    @property
    def wasted_cpu_s(self) -> float:
        """Seconds of processor time for what was dropped."""
        return self.cpu_s * self.wasted / self.read if self.read else 0.0


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The end of one generation. Rates are tokens per second, 0 when nothing was measured.

    `cached_tokens` of the `prompt_tokens` were still in the KV cache and were not read again. `reasoning_tokens` of the
    `completion_tokens` were thinking, which took `reasoning_s`. `repeated` is the end of the text that only says again what
    is before it, to be dropped; it is empty unless `finish_reason` is "repeats". `first_logprob` is ln p of the first token of
    the answer (after the reasoning), `mean_logprob` the mean over its tokens, before sampling changes them; None: not measured.
    `ahead` is what was read before the question was sent; `restored_tokens` of the cached ones came from a snapshot. `drafted`
    tokens were looked up in the prompt, and `accepted` of them are what the model wrote.
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
    repeated: str = ""
    first_logprob: float | None = None
    mean_logprob: float | None = None
    ahead: ReadAheadUse = ReadAheadUse()
    restored_tokens: int = 0
    drafted: int = 0
    accepted: int = 0


GenerationEvent = LoadProgress | PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished


@dataclass(frozen=True, slots=True)
class AdapterScale:
    """An adapter that is switched on, and how strongly: 1.0 is as it was trained.

    As text, which is how databases, settings and commands have them, several are "facts+style:0.5"; empty: none. Names hold no
    ':' or '+'.
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
    def typed(text: str) -> tuple[AdapterScale, ...]:
        """What someone typed. Raises UsageError."""
        try:
            return AdapterScale.parse(text)
        except ValueError:
            raise UsageError(
                f"{text!r} is not a list of adapters with scales.",
                "Write facts, facts:0.5 or facts+style:0.5.",
            ) from None

    @staticmethod
    def join(adapters: Iterable[AdapterScale]) -> str:
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
        """Ask for the end; may be called from any thread."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()


class LoadedModel(Protocol):
    """A model in memory as one caller uses it: thinking or not, with adapters or without; others may use it otherwise.

    Every method raises ModelError, also when another model was loaded or the process ended since: then load it again.
    """

    @property
    def info(self) -> ModelInfo:
        """What is known of it."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text as it stands, foreign text without control tokens."""

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the chat template renders it, the opening of the answer included."""

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The prompt as the chat template writes it."""

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        """Stream one answer; the last event is always GenerationFinished.

        When `messages` end with an assistant's turn, the answer continues from it: only what is new is streamed. `owners` says
        whose text the prompt has, as `ChatModel.forget` takes it.
        """

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
        keep: bool = False,
    ) -> ReadAhead:
        """Read ahead what every prompt begins with that has these `messages` and more text behind the last one.

        Whatever else is asked of the model stops it within milliseconds. A prompt is the same with and without it. `keep`: what
        is read then is worth a snapshot.
        """

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """Tokens of each chat as the chat template writes it; the last message of each is the assistant's answer to learn."""

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is after its prompt."""


class ChatModel(Protocol):
    """The seam between the session and whatever generates text (`llm.client.InferenceClient`, `llm.fake.FakeModel`)."""

    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, LoadedModel]:
        """Make the model ready and return it (`loaded = yield from model.load()`); one that is loaded yields nothing.

        `thinking`: if it can think, it does so before it answers. `adapters` are switched on for what the returned model
        writes and scores, in a few milliseconds, whenever others were on. Raises NotFoundError, ModelError, CancelledError;
        AdapterError for an adapter that is broken or of another base.
        """

    def loaded(self, *, thinking: bool = False) -> LoadedModel | None:
        """The model as it is in memory, without adapters; None: no model is loaded. Nothing is loaded for it."""

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded, or None."""

    def forget(self, owners: Sequence[str]) -> None:
        """Drop what was read of the texts of these owners ("chat 3", "documents of notes"), in memory and on disk."""

    def close(self) -> None:
        """Free the model; it can be loaded again."""
