"""Measures thoroughly how a model runs best here, and whether a copy in another type of numbers would be faster. Everything
happens in processes of their own, which may end without harm.
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ragchat.errors import CancelledError, ModelError, ModelFileError, StorageError, UsageError
from ragchat.llm import profile as profiles
from ragchat.llm.gguf import check_chat_model, read_metadata
from ragchat.llm.measured import Chosen, Failure, Job, Message, Reading, Trial, Tried, decoder
from ragchat.llm.quantize import quantize
from ragchat.paths import PACKAGE, make_private_dir
from ragchat.text import clean_line, human_bytes
from ragchat.types import CancelToken
from ragchat.types.defaults import N_BATCH

COPIES = ("Q8_0", "Q4_0")
"""Types that most processors read fast."""
_TEXT = PACKAGE / "llm" / "tuning_text.txt"
_BITS = {"Q8_0": 8.6, "Q4_0": 4.8}
"""Bits of a number, with those tensors that stay as they are."""
_GAIN = 1.1
_AGREEMENT, _PERPLEXITY = 0.9, 1.05
"""What a copy may lose: first choices that are the same, and perplexity."""
_RESERVE = 256 << 20
_STOPPED = "Stopped. The settings are unchanged."
_SHARE = 0.6
"""What measuring the settings takes of it all, when copies are measured too."""

Progress = Callable[[float, float | None, str], None]
"""Share done, seconds left, what is being done."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a model in another type. Rates are tokens per second, `agreement` a share of first choices, 0 to 1; `reads` and
    `writes`: how many times as fast as the model, both measured in turn.

    `offered`: it is faster and says nearly the same; `reason` says why it is not.
    """

    type_name: str
    size_bytes: int
    prefill_tok_s: float
    decode_tok_s: float
    agreement: float
    perplexity: float
    reads: float
    writes: float
    offered: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was measured and chosen for a model. `before`: what was known; `why` says what the choice rests on."""

    name: str
    type_name: str
    size_bytes: int
    profile: profiles.Profile
    before: profiles.Profile | None
    perplexity: float
    trials: tuple[Trial, ...]
    copies: tuple[Copy, ...]
    why: tuple[str, ...]

    @property
    def offers(self) -> tuple[str, ...]:
        """A sentence for each copy that is worth it."""
        return tuple(self._offer(copy) for copy in self.copies if copy.offered)

    def _offer(self, copy: Copy) -> str:
        return (
            f"A {copy.type_name} copy reads {copy.reads:.1f} times and writes {copy.writes:.1f} times as fast and is "
            f"{copy.size_bytes / self.size_bytes:.1f} times as large; agreement {copy.agreement:.0%}, "
            f"perplexity {self.perplexity:.1f} -> {copy.perplexity:.1f}."
        )


@dataclass(frozen=True, slots=True)
class Places:
    """Files and folders of tuning: where profiles are kept, the log, the folder for copies that are only measured."""

    profiles_file: Path
    log: Path
    cache_dir: Path


def tune(
    path: Path,
    places: Places,
    *,
    n_batch: int = N_BATCH,
    copies: bool = True,
    progress: Progress,
    cancel: CancelToken,
) -> Tuned:
    """Measure a model and keep the best settings. Raises ModelError, StorageError, CancelledError: then nothing is kept."""
    metadata = read_metadata(path)
    check_chat_model(metadata)
    before = profiles.read(places.profiles_file, path)
    wanted = _worth_measuring(metadata.file_type) if copies else ()
    steps = _Steps(progress, _SHARE if wanted else 1.0)
    job = Job(str(path), str(_TEXT), n_batch, before, batches=_batches(path, n_batch))
    trials, reading, measured = _measure(job, places.log, steps, cancel)
    chosen = msgspec.structs.replace(
        measured.profile, measured_at=datetime.now(UTC).isoformat(timespec="seconds")
    )
    made = []
    for number, type_name in enumerate(wanted):
        share = (1 - _SHARE) / len(wanted)
        steps.part(_SHARE + number * share, share, f"measuring a {type_name} copy")
        made.append(_copy(path, type_name, places, chosen, (reading, steps), cancel))
    profiles.write(places.profiles_file, path, chosen)
    return Tuned(
        *(path.stem, metadata.file_type, path.stat().st_size, chosen, before, reading.perplexity),
        trials=tuple(trials),
        copies=tuple(made),
        why=tuple(_reasons(chosen, before)),
    )


def make(path: Path, folder: Path, type_name: str, log: Path, cancel: CancelToken) -> Path:
    """Write a copy of a model in one of `COPIES` into a folder of models; where it is. Raises UsageError, StorageError,
    FinetuneError, CancelledError.
    """
    wanted = type_name.upper()
    if wanted not in COPIES:
        raise UsageError(
            f"A copy cannot be made in {clean_line(type_name)!r}.", f"Available: {', '.join(COPIES)}."
        )
    target = folder / f"{path.stem}-as-{wanted}.gguf"
    if target.exists():
        raise UsageError(f"{target.name} already exists.", f"Use it: `ragchat --model {target.stem}`.")
    make_private_dir(folder)
    _check_room(folder, _copy_bytes(path, wanted))
    quantize(path, target, wanted, log, cancel=cancel)
    return target


class _Steps:
    """Turns what a part has done into the whole, with the time left."""

    def __init__(self, progress: Progress, share: float) -> None:
        self._progress, self._began = progress, time.monotonic()
        self.part(0.0, share, "trying settings")

    def part(self, start: float, share: float, doing: str) -> None:
        self._start, self._share, self._doing = start, share, doing
        self.at(0.0)

    def at(self, fraction: float) -> None:
        done, spent = self._start + self._share * fraction, time.monotonic() - self._began
        self._progress(done, spent / done - spent if done > 0.05 else None, self._doing)


def _worth_measuring(file_type: str) -> tuple[str, ...]:
    """The types a copy is measured in: none of a model whose type is fast."""
    return () if file_type.upper() in COPIES else COPIES


def _batches(path: Path, n_batch: int) -> tuple[int, ...]:
    """Batch sizes to try; larger ones than is set take memory, which must be there twice."""
    from ragchat.llm.memory import available_bytes, estimate
    from ragchat.types.defaults import N_CTX

    metadata, free = read_metadata(path), available_bytes()
    sizes = (128, 256, 512, 1024)
    return tuple(n for n in sizes if n <= n_batch or 2 * estimate(metadata, N_CTX, n).total < free)


def _copy(
    path: Path,
    type_name: str,
    places: Places,
    chosen: profiles.Profile,
    original: tuple[Reading, _Steps],
    cancel: CancelToken,
) -> Copy:
    """Make a copy, measure it, delete it."""
    reading, steps = original
    make_private_dir(places.cache_dir)
    try:
        _check_room(places.cache_dir, _copy_bytes(path, type_name))
    except StorageError as error:
        return Copy(
            type_name, _copy_bytes(path, type_name), 0, 0, 0, 0, 0, 0, reason=f"not measured: {error}"
        )
    with tempfile.TemporaryDirectory(prefix="copy-", dir=places.cache_dir) as folder:
        target = Path(folder) / f"copy.{type_name}.gguf"
        quantize(path, target, type_name, places.log, cancel=cancel)
        steps.at(0.4)
        job = Job(
            str(target),
            str(_TEXT),
            chosen.n_batch or N_BATCH,
            chosen,
            thorough=False,
            rival=_rival(path, target),
        )
        _, other, done = _measure(job, places.log, steps, cancel)
        found = done.profile
        read, write = done.rival if done.rival[0] else (chosen.prefill_tok_s, chosen.decode_tok_s)
        copy = Copy(
            *(type_name, target.stat().st_size, found.prefill_tok_s, found.decode_tok_s),
            reads=found.prefill_tok_s / read,
            writes=found.decode_tok_s / write,
            agreement=reading.agreement(other),
            perplexity=other.perplexity,
        )
    reason = _objection(copy, reading.perplexity)
    return replace(copy, offered=not reason, reason=reason)


def _rival(path: Path, copy: Path) -> str:
    """The original, where there is memory for both; else its rates of before are compared."""
    from ragchat.llm.memory import available_bytes

    return str(path) if 2.5 * (path.stat().st_size + copy.stat().st_size) < available_bytes() else ""


def _objection(copy: Copy, perplexity: float) -> str:
    """Why a copy is not offered; empty: it is."""
    if copy.reads < _GAIN or copy.writes < 0.97:
        return "not faster"
    if copy.agreement < _AGREEMENT:
        return f"agreement below {_AGREEMENT:.0%}"
    if copy.perplexity > _PERPLEXITY * perplexity:
        return f"perplexity more than {_PERPLEXITY - 1:.0%} higher"
    return ""


def _reasons(chosen: profiles.Profile, before: profiles.Profile | None) -> Iterator[str]:
    yield "A setting replaces the present one when it is more than 3 % faster; of thread counts, the fewest within 3 % win."
    if chosen.kv_type == "f16" and not chosen.flash_attention:
        yield "Keys and values stay f16: llama.cpp reads q8_0 values with flash attention only."
    if before is not None and _same(before, chosen):
        yield "The present settings stay."
    if chosen.busy:
        yield "Other programs needed the processor meanwhile: measure again when they do not."


def _same(one: profiles.Profile, other: profiles.Profile) -> bool:
    return (one.n_threads, one.n_threads_batch, one.flash_attention, one.kv_type) == (
        *(other.n_threads, other.n_threads_batch, other.flash_attention, other.kv_type),
    )


def _copy_bytes(path: Path, type_name: str) -> int:
    return int(read_metadata(path).n_params * _BITS[type_name] / 8)


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + _RESERVE:
        raise StorageError(
            f"A copy needs {human_bytes(size)}, and {human_bytes(free)} are free.", "Make room on the disk."
        )


def _measure(job: Job, log: Path, steps: _Steps, cancel: CancelToken) -> tuple[list[Trial], Reading, Chosen]:
    trials: list[Trial] = []
    reading = Reading((), 0.0)
    for message in _messages(job, log, cancel):
        match message:
            case Tried(fraction=fraction, trials=some):
                trials += some
                steps.at(0.85 * fraction)
            case Reading():
                reading = message
                steps.at(0.9)
            case Failure(sentence=sentence):
                raise ModelFileError(
                    f"{Path(job.path).stem} cannot be measured: {sentence}.", f"The log is {log}."
                )
            case Chosen():
                return trials, reading, message
    if cancel.cancelled:  # Ctrl-C reaches the process, too
        raise CancelledError(_STOPPED)
    raise ModelError(
        f"{Path(job.path).stem} ended the process that measures it. Its settings stay.", f"The log is {log}."
    )


def _messages(job: Job, log: Path, cancel: CancelToken) -> Iterator[Message]:
    """What the measuring process says, until it ends. It is ended when the caller goes away."""
    from ragchat.llm.client import THREADS

    command = [sys.executable, "-P", "-m", "ragchat.llm.inference.measure", msgspec.json.encode(job).decode()]
    env = {**os.environ, **THREADS, "PYTHONPATH": str(PACKAGE.parent), "PYTHONUTF8": "1"}
    make_private_dir(log.parent)
    with open(log, "ab") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env=env
        )
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader = threading.Thread(target=_forward, args=(process, lines), daemon=True, name="measure")
    reader.start()
    try:
        while True:
            if cancel.cancelled:
                raise CancelledError(_STOPPED)
            with contextlib.suppress(queue.Empty):
                if not (line := lines.get(timeout=0.05)):
                    return
                with contextlib.suppress(msgspec.DecodeError):
                    yield decoder.decode(line)
    finally:
        process.kill()
        process.wait()
        reader.join(1.0)


def _forward(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(b"")
