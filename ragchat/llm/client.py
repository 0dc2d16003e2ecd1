"""The application's end of the inference process: starts it, asks it, notices its death, starts it again on demand.

One request at a time, by a lock. Nothing here imports llama.cpp, and nothing that the process does can take the application
with it: a crash is an InferenceDiedError, a hang is one after `SILENCE_S`, and the model that died is remembered, so that it is
not loaded again unasked.
"""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ragchat.errors import (
    AdapterError,
    CancelledError,
    InferenceDiedError,
    ModelError,
    ModelFileError,
    ModelTooLargeError,
    PromptTooLongError,
    UsageError,
)
from ragchat.llm import profile, wire
from ragchat.paths import write_atomically
from ragchat.pipes import Child, ChildGoneError, ChildSilentError
from ragchat.text import StreamCleaner, clean, clean_line
from ragchat.types import (
    AdapterScale,
    CancelToken,
    FinishReason,
    GenerationFinished,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    ReasoningDelta,
    Sampling,
    Score,
    TextDelta,
    TokenSample,
)

SILENCE_S = 6.0
"""A process at work says so twice a second; after this much silence it hangs."""
CANCEL_S = 5.0
"""How long a cancelled request may take to end before the process is ended."""
_POLL_S = 0.05
_ENCODED_AT_ONCE = 32
_SCORED_AT_ONCE = 8
_THREADS = {"GOMP_SPINCOUNT": "2000"}
"""Threads of llama.cpp wait for each other a moment, then sleep: on a busy machine those that spin on take the core that the
others need (prefill 26 tokens/s against 135 on a busy machine); those that sleep at once lose a tenth on a quiet one."""


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models are loaded. 0 threads and flash_attention "auto": measured once per model and machine."""

    n_ctx: int = 4096
    n_batch: int = 512
    n_threads: int = 0
    n_threads_batch: int = 0
    flash_attention: str = "auto"
    plain_format: str = ""
    thinking: bool = False


class Suspect(msgspec.Struct, frozen=True):
    """A model that ended the process. `loading`: while it was being loaded, so that even the reason is not known."""

    reason: str
    at: str
    loading: bool = False


class InferenceClient:
    """A `ChatModel` in a process of its own. Methods may be called from any thread."""

    def __init__(
        self,
        *,
        resolve: Callable[[str], Path],
        check: Callable[[Path, int], int],
        adapter_file: Callable[[str, Path], Path] | None = None,
        options: ModelOptions,
        log: Path,
        suspects_file: Path,
        profiles_file: Path,
        name: str = "",
    ) -> None:
        """`resolve` turns a name into a file; `check(path, n_ctx)` refuses what cannot be loaded and gives the n_ctx to use;
        `adapter_file(name, model_path)` finds the file of an adapter for a model file, or refuses it.
        """
        self._resolve, self._check, self._options = resolve, check, options
        self._adapter_file = adapter_file
        self._adapters = ""
        self._adapters_of: Path | None = None
        self._log, self._suspects_file, self._profiles_file = log, suspects_file, profiles_file
        self._name = name
        self.thinking = options.thinking
        """Whether a model that can think does so; may be changed between two answers."""
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._child: Child | None = None
        self._info: ModelInfo | None = None

    # --- which model --------------------------------------------------------------------------------

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded, or None."""
        child = self._child
        return self._info if child and child.alive else None

    @property
    def selected(self) -> str:
        """Name of the model that is loaded or will be; empty when there is none."""
        if self._info:
            return self._info.name
        try:
            return self._resolve(self._name).stem
        except (ModelError, LookupError):
            return ""

    @property
    def pid(self) -> int | None:
        """Process number of the inference process, if one runs."""
        return self._child.pid if self._child and self._child.alive else None

    def select(self, name_or_path: str) -> None:
        """Choose another model, to be loaded by the next `load`. Raises NotFoundError, ModelError."""
        path = self._resolve(name_or_path)
        with self._lock:
            self._name = name_or_path
            if self._info and Path(self._info.path) != path:
                self._end()

    def suspicion(self) -> str:
        """Why the selected model is not to be loaded unasked, or empty."""
        try:
            suspect = self._suspects().get(str(self._resolve(self._name)))
        except (ModelError, LookupError):
            return ""
        return suspect.reason if suspect else ""

    # --- ChatModel ----------------------------------------------------------------------------------

    def load(self, cancel: CancelToken | None = None) -> Iterator[LoadProgress]:
        """Load the selected model unless it is loaded. Raises NotFoundError, ModelError, CancelledError."""
        with self._lock:
            path = self._resolve(self._name)
            if self.info and Path(self.info.path) == path:
                return
            n_ctx = self._check(path, self._options.n_ctx)
            self._end()
            yield LoadProgress(0.0)
            known = profile.read(self._profiles_file, path)
            options = self._options
            flash = {"auto": ("on" if known.flash_attention else "off") if known else ""}.get(
                options.flash_attention, options.flash_attention
            )
            command = wire.Load(
                id=next(self._ids),
                path=str(path),
                n_ctx=n_ctx,
                n_batch=options.n_batch,
                n_threads=options.n_threads or (known.n_threads if known else 0),
                n_threads_batch=options.n_threads_batch or (known.n_threads_batch if known else 0),
                flash_attention=flash,
                plain_format=options.plain_format,
            )
            self._suspect(path, "it did not finish loading the last time", loading=True)
            try:
                self._child = Child("ragchat.llm.inference.process", self._log, _THREADS)
            except OSError as error:
                self._clear(path)
                raise ModelError(
                    f"The inference process cannot be started: {error}.", "`ragchat doctor` looks closer."
                ) from error
            for reply in self._converse(command, path, cancel or CancelToken()):
                match reply:
                    case wire.Loading(fraction=fraction, stage=stage):
                        yield LoadProgress(fraction, stage)
                    case wire.Loaded():
                        self._loaded(
                            reply, path, all_measured=not (options.n_threads or options.n_threads_batch)
                        )
            chosen, chosen_for = self._adapters, self._adapters_of
            self._adapters, self._adapters_of = "", None  # so it is if they cannot be switched on
            if chosen and chosen_for == path:
                self._use(chosen, path)
                self._adapters, self._adapters_of = chosen, path

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; control tokens in it count as text. Raises ModelError."""
        counts: list[int] = []
        for reply in self._ask(wire.Count(next(self._ids), tuple(texts))):
            if isinstance(reply, wire.Counted):
                counts = list(reply.counts)
        return counts

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the template renders it. Raises ModelError."""
        return self._counted(messages).counts[0]

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The prompt as the template writes it. Raises ModelError."""
        return self._counted(messages).rendered

    @property
    def adapters(self) -> str:
        """What is switched on, as `AdapterScale` writes it."""
        return self._adapters

    def set_adapters(self, adapters: str) -> None:
        """Switch adapters on, and all others off; for a model that is not loaded yet, at its load. A few ms.

        Raises NotFoundError, UsageError, AdapterError; what was on stays on then.
        """
        with self._lock:
            path = Path(self.info.path) if self.info else self._resolve(self._name)
            if adapters == self._adapters and (not adapters or self._adapters_of == path):
                return
            if self.info:
                self._use(adapters, path)
            else:
                self._adapter_files(adapters, path)
            self._adapters, self._adapters_of = adapters, path

    def _use(self, adapters: str, path: Path) -> None:
        wanted = self._adapter_files(adapters, path)
        for _ in self._ask(wire.UseAdapters(next(self._ids), wanted)):
            pass

    def _adapter_files(self, adapters: str, path: Path) -> tuple[tuple[str, float], ...]:
        try:
            wanted = AdapterScale.parse(adapters)
        except ValueError:
            raise UsageError(
                f"{clean_line(adapters)!r} says no scale.", "Write facts, facts:0.5 or facts+style:0.5."
            ) from None
        if wanted and self._adapter_file is None:
            raise AdapterError("Adapters cannot be used here.")
        return tuple(
            (str(self._adapter_file(each.name, path)), each.scale) for each in wanted if self._adapter_file
        )

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """Tokens of chats that end with the answer to learn. Raises ModelError."""
        found: list[TokenSample] = []
        for first in range(0, len(chats), _ENCODED_AT_ONCE):
            turns = tuple(_turns(chat) for chat in chats[first : first + _ENCODED_AT_ONCE])
            for reply in self._ask(wire.Encode(next(self._ids), turns)):
                if isinstance(reply, wire.Encoded):
                    found += [TokenSample(tokens, start) for tokens, start in reply.samples]
        return found

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is after its prompt, with the adapters that are on. Raises ModelError."""
        found: list[Score] = []
        for first in range(0, len(samples), _SCORED_AT_ONCE):
            some = tuple((s.tokens, s.answer_start) for s in samples[first : first + _SCORED_AT_ONCE])
            command = wire.ScoreAnswers(next(self._ids), some)
            for reply in self._ask(command):
                if isinstance(reply, wire.Scored):
                    found += [Score(*score) for score in reply.scores]
        return found

    def logits(self, tokens: Sequence[int]) -> bytes:
        """float32, little-endian, for each token of the vocabulary, after the last of `tokens`. Raises ModelError."""
        for reply in self._ask(wire.ReadLogits(next(self._ids), tuple(tokens))):
            if isinstance(reply, wire.LogitsRead):
                return reply.logits
        raise InferenceDiedError("The model's process gave no answer.")

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, *, cancel: CancelToken
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        """Stream one answer. A seed of None is drawn here and reported. Raises ModelError.

        sampling.max_tokens and sampling.stop are for the answer: thoughts before it may fill what the context has beside it.
        An answer that goes on does so without new thoughts; one that was cut inside its thoughts begins anew.
        """
        seed = secrets.randbelow(2**31) if sampling.seed is None else sampling.seed
        command = wire.Generate(
            id=next(self._ids),
            turns=_turns(messages),
            thinking=self.thinking,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repeat_penalty=sampling.repeat_penalty,
            seed=seed,
            max_tokens=sampling.max_tokens,
            stop=sampling.stop,
        )
        cleaner, thoughts = StreamCleaner(), StreamCleaner()
        for reply in self._ask(command, cancel):
            match reply:
                case wire.Prefilled(done=done, total=total, eta_s=eta_s):
                    yield PrefillProgress(done, total, eta_s)
                case wire.Delta(text=text, reasoning=True):
                    if ready := thoughts.feed(text):
                        yield ReasoningDelta(ready)
                case wire.Delta(text=text):
                    if rest := thoughts.finish():
                        yield ReasoningDelta(rest)
                    if ready := cleaner.feed(text):
                        yield TextDelta(ready)
                case wire.Finished():
                    if rest := thoughts.finish():
                        yield ReasoningDelta(rest)
                    if rest := cleaner.finish():
                        yield TextDelta(rest)
                    if self._info:
                        self._clear(Path(self._info.path))
                    yield GenerationFinished(
                        finish_reason=_reason(reply.finish_reason),
                        prompt_tokens=reply.prompt_tokens,
                        cached_tokens=reply.cached_tokens,
                        completion_tokens=reply.completion_tokens,
                        ttft_s=reply.ttft_s,
                        prefill_tok_s=reply.prefill_tok_s,
                        decode_tok_s=reply.decode_tok_s,
                        seed=seed,
                        reasoning_tokens=reply.reasoning_tokens,
                        reasoning_s=reply.reasoning_s,
                    )

    def close(self) -> None:
        """End the process. A request that runs in another thread ends with an InferenceDiedError."""
        child, self._child, self._info = self._child, None, None
        if child:
            child.close()

    # --- the conversation with the process ----------------------------------------------------------

    def _ask(self, command: wire.Commands, cancel: CancelToken | None = None) -> Iterator[wire.Replies]:
        with self._lock:
            info = self.info
            if info is None:
                raise InferenceDiedError("No model is loaded.", "Ask again to load it.")
            yield from self._converse(command, Path(info.path), cancel or CancelToken())

    def _converse(self, command: wire.Commands, path: Path, cancel: CancelToken) -> Iterator[wire.Replies]:
        """Send a command and yield its replies up to the last. The lock is held."""
        child = self._child
        assert child is not None
        done = False
        try:
            child.send(wire.encode(command))
            heard, cancelled_at = time.monotonic(), 0.0
            while not done:
                now = time.monotonic()
                if cancel.cancelled and not cancelled_at:
                    cancelled_at = now
                    child.send(wire.encode(wire.Cancel(command.id)))
                if now - heard > SILENCE_S or (cancelled_at and now - cancelled_at > CANCEL_S):
                    raise ChildSilentError
                try:
                    reply = wire.reply_decoder.decode(child.receive(_POLL_S))
                except ChildSilentError:
                    continue
                except msgspec.DecodeError as error:
                    raise ChildGoneError("spoke in riddles") from error
                heard = time.monotonic()
                if reply.id != command.id or isinstance(reply, wire.Beat):
                    continue
                done = isinstance(reply, wire.Ends)
                if isinstance(reply, wire.Failed):
                    raise self._failure(reply, path, cancel)
                yield reply
        except ChildGoneError as error:
            done = True
            raise self._died(path, f"The model's process {error.reason}.") from error
        except ChildSilentError as error:
            done = True
            child.kill()
            raise self._died(path, "The model's process stopped responding and was ended.") from error
        finally:
            if not done:  # the caller went away in the middle
                self._abandon(child, command.id)

    def _abandon(self, child: Child, request: int) -> None:
        """Stop a request that nobody listens to any more, so that the next one finds the process free."""
        try:
            child.send(wire.encode(wire.Cancel(request)))
            deadline = time.monotonic() + CANCEL_S
            while time.monotonic() < deadline:
                try:
                    reply = wire.reply_decoder.decode(child.receive(_POLL_S))
                except ChildSilentError:
                    continue
                if reply.id == request and isinstance(reply, wire.Ends):
                    return
            child.kill()
        except (ChildGoneError, msgspec.DecodeError):
            child.kill()

    def _failure(self, failed: wire.Failed, path: Path, cancel: CancelToken) -> ModelError | CancelledError:
        sentence, name = clean(failed.sentence), path.stem
        if failed.kind in {"model", "memory"}:
            self._clear(path)
            self._end()
        if cancel.cancelled and failed.kind == "model":
            return CancelledError("Loading was cancelled.")
        match failed.kind:
            case "model":
                return ModelFileError(f"{name} cannot be loaded: {sentence}.", f"The log is {self._log}.")
            case "memory":
                return ModelTooLargeError(
                    f"{name}: {sentence}", "Choose a smaller model or `ragchat config set model.n_ctx 2048`."
                )
            case "format":
                return ModelError(
                    f"{name} brings no chat template, so nothing says how to put questions to it.",
                    "Choose one: `ragchat config set model.plain_format chatml` (or alpaca, vicuna, plain).",
                )
            case "adapter":
                return AdapterError(
                    f"The adapter cannot be used with {name}: {sentence}.", f"The log is {self._log}."
                )
            case "too_long":
                return PromptTooLongError(sentence, "Shorten the question or raise model.n_ctx.")
            case "template":
                return ModelFileError(f"{name}: {sentence}", "Choose another model.")
        return ModelError(f"The model's process reports: {sentence}", f"The log is {self._log}.")

    def _died(self, path: Path, sentence: str) -> InferenceDiedError:
        self._suspect(path, sentence.rstrip("."))
        self._end()
        return InferenceDiedError(
            sentence, f"Your chat is safe. Ask again to load the model anew; the log is {self._log}."
        )

    def _end(self) -> None:
        child, self._child, self._info = self._child, None, None
        if child:
            child.close(timeout_s=0.5)

    def _loaded(self, reply: wire.Loaded, path: Path, *, all_measured: bool) -> None:
        if reply.measured and all_measured and self._options.flash_attention == "auto":
            chosen = profile.Profile(
                n_threads=reply.n_threads,
                n_threads_batch=reply.n_threads_batch,
                flash_attention=reply.flash_attention,
                prefill_tok_s=round(reply.measured_prefill_tok_s, 1),
                decode_tok_s=round(reply.measured_decode_tok_s, 1),
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            profile.write(self._profiles_file, path, chosen)
        suspect = self._suspects().get(str(path))
        if suspect and suspect.loading:
            self._clear(path)
        self._info = ModelInfo(
            name=path.stem,
            path=str(path),
            architecture=clean(reply.architecture),
            description=clean(reply.description),
            n_ctx=reply.n_ctx,
            n_ctx_train=reply.n_ctx_train,
            n_params=reply.n_params,
            size_bytes=reply.size_bytes,
            has_chat_template=reply.has_chat_template,
            prompt_format=reply.prompt_format,
            n_threads=reply.n_threads,
            n_threads_batch=reply.n_threads_batch,
            flash_attention=reply.flash_attention,
            thinks=reply.thinks,
        )

    def _counted(self, messages: Sequence[Message]) -> wire.Counted:
        for reply in self._ask(wire.CountPrompt(next(self._ids), _turns(messages), self.thinking)):
            if isinstance(reply, wire.Counted):
                return reply
        raise InferenceDiedError("The model's process gave no answer.")

    # --- models that ended the process ----------------------------------------------------------------

    def _suspects(self) -> dict[str, Suspect]:
        try:
            return msgspec.json.decode(self._suspects_file.read_bytes(), type=dict[str, Suspect])
        except (OSError, msgspec.DecodeError):
            return {}

    def _suspect(self, path: Path, reason: str, *, loading: bool = False) -> None:
        suspects = self._suspects()
        if loading and str(path) in suspects:
            return  # what is known is worse
        suspects[str(path)] = Suspect(reason, datetime.now(UTC).isoformat(timespec="seconds"), loading)
        self._write_suspects(suspects)

    def _clear(self, path: Path) -> None:
        suspects = self._suspects()
        if suspects.pop(str(path), None):
            self._write_suspects(suspects)

    def _write_suspects(self, suspects: dict[str, Suspect]) -> None:
        try:
            write_atomically(self._suspects_file, msgspec.json.encode(suspects))
        except OSError:
            return  # a full disk must not cost the answer


def _turns(messages: Sequence[Message]) -> tuple[wire.Turn, ...]:
    # Lone surrogates cannot cross the pipe.
    return tuple(wire.Turn(m.role, m.content.encode("utf-8", "replace").decode()) for m in messages)


def _reason(text: str) -> FinishReason:
    return text if text in ("stop", "length", "cancelled") else "error"  # type: ignore[return-value]
