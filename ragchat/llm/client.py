"""The application's end of the inference process: starts it, asks it, notices its death, starts it again on demand.

One request at a time, by a lock. Nothing here imports llama.cpp, and nothing that the process does can take the application
with it: a crash is an InferenceDiedError, a hang is one after `SILENCE_S`, and the model that died is remembered, so that it is
not loaded again unasked.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from ragchat.errors import (
    AdapterError,
    CancelledError,
    InferenceDiedError,
    ModelError,
    ModelFileError,
    ModelTooLargeError,
    PromptTooLongError,
)
from ragchat.llm import profile, wire
from ragchat.llm.snapshots import Snapshots
from ragchat.paths import write_atomically
from ragchat.pipes import Child, ChildGoneError, ChildSilentError
from ragchat.text import StreamCleaner, clean
from ragchat.types import (
    AdapterScale,
    CancelToken,
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
from ragchat.types.defaults import N_BATCH, N_CTX

SILENCE_S = 6.0
"""A process at work says so twice a second; after this much silence it hangs."""
CANCEL_S = 5.0
"""How long a cancelled request may take to end before the process is ended."""
_POLL_S = 0.05
_ENCODED_AT_ONCE = 32
_SCORED_AT_ONCE = 8
THREADS = {"GOMP_SPINCOUNT": "2000"}
"""Threads of llama.cpp wait for each other a moment, then sleep: on a busy machine those that spin on take the core that the
others need (prefill 26 tokens/s against 135 on a busy machine); those that sleep at once lose a tenth on a quiet one."""

_AdapterFiles = tuple[tuple[str, float], ...]
"""(path, scale) of each adapter."""
_Reply = TypeVar("_Reply", wire.Counted, wire.Encoded, wire.Scored, wire.LogitsRead)
_Delta = TypeVar("_Delta", ReasoningDelta, TextDelta)


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """How models are loaded. 0 threads and flash_attention "auto": measured once per model and machine. `lookup` "auto": the next
    tokens may be looked up in the prompt. `snapshots`: the folder of what was read, at most `snapshot_bytes`; empty: none.
    """

    n_ctx: int = N_CTX
    n_batch: int = N_BATCH
    n_threads: int = 0
    n_threads_batch: int = 0
    flash_attention: str = "auto"
    plain_format: str = ""
    lookup: str = "auto"
    snapshots: str = ""
    snapshot_bytes: int = 0


class Suspect(msgspec.Struct, frozen=True):
    """A model that ended the process. `loading`: while it was being loaded, so that even the reason is not known."""

    reason: str
    at: str
    loading: bool = False


class _Ahead(CancelToken):
    """The end of reading ahead: asked for by whoever reads, or by whoever waits for something else."""

    def __init__(self, request: int, reader: CancelToken) -> None:
        super().__init__()
        self.request, self._reader = request, reader

    @property
    def cancelled(self) -> bool:
        return super().cancelled or self._reader.cancelled


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
        self._on: _AdapterFiles = ()
        """What is switched on in the process."""
        self._log, self._suspects_file, self._profiles_file = log, suspects_file, profiles_file
        self._name = name
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._child: Child | None = None
        self._info: ModelInfo | None = None
        self._ahead: _Ahead | None = None
        self._waiting = 0
        """Requests that someone waits for, at work or not: while there is one, nothing is read ahead."""
        self._counting = threading.Lock()

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
        with self._turn():
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

    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, Loaded]:
        """Load the selected model unless it is loaded, and return it. Raises NotFoundError, ModelError, CancelledError."""
        with self._turn(cancel):
            path, cancel = self._resolve(self._name), cancel or CancelToken()
            info = self.info
            if info is None or Path(info.path) != path:
                info = yield from self._start(path, cancel)
            files = self._adapter_files(adapters, path)
            if files:  # one that is broken is refused now
                self._switch(files, path)
            return Loaded(self, info, thinking, files)

    def loaded(self, *, thinking: bool = False) -> Loaded | None:
        """The model as it is in memory, without adapters; None: no model is loaded."""
        return Loaded(self, info, thinking, ()) if (info := self.info) else None

    def _start(self, path: Path, cancel: CancelToken) -> Generator[LoadProgress, None, ModelInfo]:
        n_ctx = self._check(path, self._options.n_ctx)
        self._end()
        yield LoadProgress(0.0)
        self._suspect(path, "loading it failed the last time", loading=True)
        try:
            self._child = Child("ragchat.llm.inference.process", self._log, THREADS)
        except OSError as error:
            self._clear(path)
            raise ModelError(
                f"The inference process cannot be started: {error}.",
                "Run `ragchat doctor` to find the cause.",
            ) from error
        for reply in self._converse(self._command(path, n_ctx), path, cancel):
            match reply:
                case wire.Loading(progress=progress):
                    yield progress
                case wire.Loaded():
                    return self._started(reply, path)
        raise InferenceDiedError("The model process did not answer.")

    def _command(self, path: Path, n_ctx: int) -> wire.Load:
        known, options = profile.read(self._profiles_file, path), self._options
        if known and known.busy and not profile.is_busy():
            known = None
        flash = options.flash_attention
        if flash == "auto":
            flash = ("on" if known.flash_attention else "off") if known else ""
        return wire.Load(
            id=next(self._ids),
            path=str(path),
            n_ctx=n_ctx,
            n_batch=(known.n_batch if known and options.n_batch == N_BATCH else 0) or options.n_batch,
            n_threads=options.n_threads or (known.n_threads if known else 0),
            n_threads_batch=options.n_threads_batch or (known.n_threads_batch if known else 0),
            flash_attention=flash,
            plain_format=options.plain_format,
            lookup=options.lookup == "auto",
            snapshots=options.snapshots,
            snapshot_bytes=options.snapshot_bytes,
            kv_type=known.kv_type if known else "f16",
            lookup_costs=known.lookup_costs if known else (),
        )

    def _adapter_files(self, adapters: Sequence[AdapterScale], path: Path) -> _AdapterFiles:
        if not adapters:
            return ()
        if self._adapter_file is None:
            raise AdapterError("You cannot use adapters here.")
        return tuple((str(self._adapter_file(each.name, path)), each.scale) for each in adapters)

    def _switch(self, files: _AdapterFiles, path: Path) -> None:
        """What is refused leaves on what is on. The lock is held."""
        if files == self._on:
            return
        for _ in self._converse(wire.UseAdapters(next(self._ids), files), path, CancelToken()):
            pass
        self._on = files

    def close(self) -> None:
        """End the process. A request that runs in another thread ends with an InferenceDiedError."""
        child, self._child, self._info, self._on = self._child, None, None, ()
        if child:
            child.close()

    # --- the conversation with the process ----------------------------------------------------------

    def request(
        self,
        info: ModelInfo,
        make: Callable[[int], wire.Commands],
        cancel: CancelToken | None = None,
        adapters: _AdapterFiles | None = None,
    ) -> Iterator[wire.Replies]:
        """The replies to what `make` makes of the number of this request, with these adapters on (None: whatever is on).

        Raises ModelError, also when the model that `info` tells of is not loaded any more.
        """
        with self._turn(cancel):
            there = self.info
            if there is None:
                raise InferenceDiedError("No model is loaded.", "Ask again to load it.")
            if there.path != info.path:
                raise ModelError(f"{info.name} is no longer loaded.", "Ask again to load it.")
            if adapters is not None:
                self._switch(adapters, Path(info.path))
            command = make(next(self._ids))
            yield from self._converse(command, Path(info.path), cancel or CancelToken())

    def read_ahead(
        self,
        info: ModelInfo,
        make: Callable[[int], wire.Prepare],
        cancel: CancelToken,
        adapters: _AdapterFiles,
    ) -> ReadAhead:
        """Have the beginning of a prompt read, unless the process is at work or reads for others. Raises ModelError."""
        nothing = ReadAhead(0, 0, 0.0, done=False)
        if not self._lock.acquire(blocking=False):
            return nothing
        try:
            there = self.info
            if there is None or there.path != info.path or cancel.cancelled:
                return nothing
            path = Path(info.path)
            self._switch(adapters, path)
            command = make(next(self._ids))
            if (ahead := self._gives_way(command.id, cancel)) is None:
                return nothing
            for reply in self._converse(command, path, ahead):
                if isinstance(reply, wire.Prepared):
                    return reply.result
            return nothing
        finally:
            self._ahead = None
            self._lock.release()

    def forget(self, owners: Sequence[str]) -> None:
        """Drop what was read of the texts of these owners: on disk now, in the process when it has nothing else to do."""
        if self._options.snapshots:
            Snapshots(Path(self._options.snapshots), self._options.snapshot_bytes).drop(owners)
        if self.info is not None:
            threading.Thread(target=self._forget, args=(tuple(owners),), daemon=True, name="forget").start()

    def _forget(self, owners: tuple[str, ...]) -> None:
        with contextlib.suppress(ModelError), self._turn():  # a process that is gone holds nothing
            if (info := self.info) is not None:
                for _ in self.request(info, lambda number: wire.Forget(number, owners)):
                    pass

    @contextmanager
    def apart(self, cancel: CancelToken) -> Iterator[CancelToken]:
        """The machine for work that is not done by the process, which ends; the token also ends it for a question that is asked
        meanwhile. The next load reads the profile again. Raises ModelError when the process is at work.
        """
        if not self._lock.acquire(blocking=False):
            raise ModelError("The model is at work.", "Wait for the end of the answer, or stop it.")
        try:
            if (ahead := self._gives_way(0, cancel)) is None:
                raise ModelError("The model is at work.", "Wait for the end of the answer, or stop it.")
            self._end()
            yield ahead
        finally:
            self._ahead = None
            self._lock.release()

    def _gives_way(self, request: int, cancel: CancelToken) -> _Ahead | None:
        """What is begun now ends for whoever waits; None: someone waits already. The lock is held."""
        with self._counting:  # whoever begins to wait sees it, or is seen
            self._ahead = None if self._waiting else _Ahead(request, cancel)
            return self._ahead

    @contextmanager
    def _turn(self, cancel: CancelToken | None = None) -> Iterator[None]:
        """The process for a request that someone waits for: what is only read ahead gives way. Raises CancelledError."""
        with self._counting:
            self._waiting += 1
            ahead = self._ahead
        try:
            if ahead:
                self._end_for_others(ahead)
            self._take(cancel)
            try:
                yield
            finally:
                self._lock.release()
        finally:
            with self._counting:
                self._waiting -= 1

    def _take(self, cancel: CancelToken | None) -> None:
        while not self._lock.acquire(timeout=_POLL_S):
            if cancel is not None and cancel.cancelled:
                raise CancelledError("Stopped before the model was free.")

    def _end_for_others(self, ahead: _Ahead) -> None:
        ahead.cancel()
        if child := self._child:
            with contextlib.suppress(ChildGoneError):  # at once, not when the other thread looks again
                child.send(wire.encode(wire.Cancel(ahead.request)))

    def answered(self, info: ModelInfo) -> None:
        """The model wrote an answer, so it may be loaded unasked again."""
        self._clear(Path(info.path))

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
                if (reply := _received(child)) is None:
                    continue
                heard = time.monotonic()
                if reply.id != command.id or isinstance(reply, wire.Beat):
                    continue
                done = isinstance(reply, wire.Ends)
                if isinstance(reply, wire.Failed):
                    raise self._failure(reply, path, cancel)
                yield reply
        except ChildGoneError as error:
            done = True
            raise self._died(path, f"The model process {error.reason}.") from error
        except ChildSilentError as error:
            done = True
            child.kill()
            raise self._died(path, "The model process stopped responding, so ragchat ended it.") from error
        finally:
            if not done:  # the caller went away in the middle
                self._abandon(child, command.id)

    def _abandon(self, child: Child, request: int) -> None:
        """Stop a request that no one listens to any more, so that the next one finds the process free."""
        try:
            child.send(wire.encode(wire.Cancel(request)))
            deadline = time.monotonic() + CANCEL_S
            while time.monotonic() < deadline:
                reply = _received(child)
                if reply and reply.id == request and isinstance(reply, wire.Ends):
                    return
            child.kill()
        except ChildGoneError:
            child.kill()

    def _failure(self, failed: wire.Failed, path: Path, cancel: CancelToken) -> ModelError | CancelledError:
        sentence, name = clean(failed.sentence), path.stem
        if failed.kind in {"model", "memory"}:
            self._clear(path)
            self._end()
        if cancel.cancelled and failed.kind == "model":
            return CancelledError("Loading was stopped.")
        match failed.kind:
            case "model":
                return ModelFileError(f"{name} cannot be loaded: {sentence}.", f"The log is {self._log}.")
            case "memory":
                return ModelTooLargeError(
                    f"{name}: {sentence}", "Choose a smaller model or `ragchat config set model.n_ctx 2048`."
                )
            case "format":
                return ModelError(
                    f"{name} has no chat template, so ragchat does not know its prompt format.",
                    "Choose one: `ragchat config set model.plain_format chatml` (or alpaca, vicuna, plain).",
                )
            case "adapter":
                return AdapterError(
                    f"The adapter cannot be used with {name}: {sentence}.", f"The log is {self._log}."
                )
            case "grammar":
                return ModelError(
                    f"{name} cannot be held to this grammar: {sentence}.", "Choose another way of packing."
                )
            case "too_long":
                return PromptTooLongError(sentence, "Shorten the question or raise model.n_ctx.")
            case "template":
                return ModelFileError(f"{name}: {sentence}", "Choose another model.")
        return ModelError(f"The model process failed: {sentence}", f"The log is {self._log}.")

    def _died(self, path: Path, sentence: str) -> InferenceDiedError:
        self._suspect(path, sentence.rstrip("."))
        self._end()
        return InferenceDiedError(
            sentence, f"Your chat is safe. Ask again to reload the model. The log is {self._log}."
        )

    def _end(self) -> None:
        child, self._child, self._info, self._on = self._child, None, None, ()
        if child:
            child.close(timeout_s=0.5)

    def _started(self, reply: wire.Loaded, path: Path) -> ModelInfo:
        options = self._options
        chooses = not (options.n_threads or options.n_threads_batch) and options.flash_attention == "auto"
        if reply.measured and chooses:
            chosen = profile.Profile(
                n_threads=reply.model.n_threads,
                n_threads_batch=reply.model.n_threads_batch,
                flash_attention=reply.model.flash_attention,
                prefill_tok_s=round(reply.prefill_tok_s, 1),
                decode_tok_s=round(reply.decode_tok_s, 1),
                measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
                lookup_costs=reply.lookup_costs,
                busy=reply.busy,
            )
            profile.write(self._profiles_file, path, chosen)
        suspect = self._suspects().get(str(path))
        if suspect and suspect.loading:
            self._clear(path)
        model = reply.model
        self._info = replace(
            model, architecture=clean(model.architecture), description=clean(model.description)
        )
        return self._info

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


class Loaded:
    """The `LoadedModel` of an `InferenceClient`."""

    def __init__(
        self, client: InferenceClient, info: ModelInfo, thinking: bool, adapters: _AdapterFiles
    ) -> None:
        self._client, self._info, self._thinking, self._adapters = client, info, thinking, adapters

    @property
    def info(self) -> ModelInfo:
        """What is known of it."""
        return self._info

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; control tokens in it count as text. Raises ModelError."""
        return list(self._one(wire.Counted, lambda number: wire.Count(number, tuple(texts))).counts)

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of the whole prompt as the template renders it. Raises ModelError."""
        return self._counted(messages).counts[0]

    def render_prompt(self, messages: Sequence[Message]) -> str:
        """The prompt as the template writes it. Raises ModelError."""
        return self._counted(messages).rendered

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        """Tokens of chats that end with the answer to learn. Raises ModelError."""
        found: list[TokenSample] = []
        for first in range(0, len(chats), _ENCODED_AT_ONCE):
            some = tuple(_sound(chat) for chat in chats[first : first + _ENCODED_AT_ONCE])
            found += self._one(wire.Encoded, partial(wire.Encode, chats=some)).samples
        return found

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is after its prompt. Raises ModelError."""
        found: list[Score] = []
        for first in range(0, len(samples), _SCORED_AT_ONCE):
            some = tuple(samples[first : first + _SCORED_AT_ONCE])
            found += self._one(wire.Scored, partial(wire.ScoreAnswers, samples=some), self._adapters).scores
        return found

    def logits(self, tokens: Sequence[int]) -> bytes:
        """float32, little-endian, for each token of the vocabulary, after the last of `tokens`. Raises ModelError."""
        return self._one(
            wire.LogitsRead, lambda number: wire.ReadLogits(number, tuple(tokens)), self._adapters
        ).logits

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
        keep: bool = False,
    ) -> ReadAhead:
        """Read ahead what every prompt begins with that has these messages and more behind the last one. Raises ModelError."""
        sound = _sound(messages)
        return self._client.read_ahead(
            self._info,
            lambda number: wire.Prepare(number, sound, self._thinking, tuple(owners), keep),
            cancel,
            self._adapters,
        )

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        """Stream one answer. A seed of None is drawn here and reported. Raises ModelError.

        sampling.max_tokens and sampling.stop are for the answer: reasoning before it may fill what the context has beside it.
        An answer that continues does so without new reasoning; one that was cut inside its reasoning begins again.
        """
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(2**31))
        sound = _sound(messages)
        replies = self._client.request(
            self._info,
            lambda number: wire.Generate(number, sound, self._thinking, sampling, tuple(owners)),
            cancel,
            self._adapters,
        )
        for event in _cleaned(replies):
            if isinstance(event, GenerationFinished):
                self._client.answered(self._info)
            yield event

    def _counted(self, messages: Sequence[Message]) -> wire.Counted:
        sound = _sound(messages)
        return self._one(wire.Counted, lambda number: wire.CountPrompt(number, sound, self._thinking))

    def _one(
        self,
        kind: type[_Reply],
        make: Callable[[int], wire.Commands],
        adapters: _AdapterFiles | None = None,
    ) -> _Reply:
        """The reply of this kind."""
        for reply in self._client.request(self._info, make, adapters=adapters):
            if isinstance(reply, kind):
                return reply
        raise InferenceDiedError("The model process did not answer.")


def _cleaned(
    replies: Iterator[wire.Replies],
) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
    """The events of an answer, with what the model wrote sanitised."""
    answer, thoughts = StreamCleaner(), StreamCleaner()
    for reply in replies:
        match reply:
            case wire.Prefilled(progress=progress):
                yield progress
            case wire.Delta(text=text, reasoning=True):
                yield from _written(ReasoningDelta, thoughts.feed(text))
            case wire.Delta(text=text):
                yield from _written(ReasoningDelta, thoughts.finish())
                yield from _written(TextDelta, answer.feed(text))
            case wire.Finished(result=result):
                yield from _written(ReasoningDelta, thoughts.finish())
                yield from _written(TextDelta, answer.finish())
                yield replace(result, repeated=clean(result.repeated))


def _written(kind: type[_Delta], text: str) -> Iterator[_Delta]:
    if text:
        yield kind(text)


def _received(child: Child) -> wire.Replies | None:
    """The next reply, None while there is none. Raises ChildGoneError."""
    try:
        return wire.reply_decoder.decode(child.receive(_POLL_S))
    except ChildSilentError:
        return None
    except msgspec.DecodeError as error:
        raise ChildGoneError("sent an invalid message") from error


def _sound(messages: Sequence[Message]) -> tuple[Message, ...]:
    # Lone surrogates cannot cross the pipe.
    return tuple(Message(m.role, m.content.encode("utf-8", "replace").decode()) for m in messages)
