"""A whole run, from examples to a checked adapter, as typed events. The long procedure, top to bottom; who shows it is elsewhere.

Everything of a run is in a folder of its own. The same job in the same folder continues where it stopped.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ragchat.errors import CancelledError, FinetuneError, StorageError, UsageError
from ragchat.evaluation import forgetting, leakage
from ragchat.finetune import budget, parity, recall, rehearsal, wire
from ragchat.finetune.client import TrainingRun
from ragchat.finetune.examples import Example, Rejected
from ragchat.finetune.recipe import Recipe
from ragchat.finetune.split import Split
from ragchat.llm.adapters import AdapterLibrary, AdapterManifest, check_adapter_name, keep_learned
from ragchat.llm.gguf import read_metadata
from ragchat.llm.loading import loaded
from ragchat.paths import write_atomically
from ragchat.session.prompt import PLAIN_INSTRUCTIONS
from ragchat.types import AdapterScale, CancelToken, ChatModel, LoadedModel, Message, TokenSample

MEASURED = 40
"""So many held-out questions are asked before and after."""
SHOWN = 12
"""Answers before and after that the card keeps."""
_REHEARSED_DRY = 4
"""General questions that a dry run asks: enough to time a step."""
_SAID_EVERY_S = 0.5
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Job:
    """What to train. `base` is a GGUF file; the adapter will be called `name`. `engine` as in `wire.Train`."""

    name: str
    base: Path
    recipe: Recipe
    engine: str = "auto"
    threads: int = 0
    nice: int = 0
    replace: bool = False
    check: bool = True


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie. `adapters` is the folder for new ones."""

    runs: Path
    weights: Path
    adapters: Path
    abilities: Path
    rehearsal: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Stage:
    """What is being done; `fraction` 0 to 1, None at its beginning; `eta_s` None while unknown."""

    doing: str
    fraction: float | None = None
    eta_s: float | None = None


@dataclass(frozen=True, slots=True)
class DataReady:
    """`too_long` examples exceed the recipe's max_tokens and are left out."""

    split: Split
    rejected: tuple[Rejected, ...]
    too_long: int
    counts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """What the run will take, before its first step. `resumed`: an unfinished run of the same job is there."""

    budget: budget.Budget
    recipe: Recipe
    resumed: bool


@dataclass(frozen=True, slots=True)
class Learned:
    """The end: the adapter is installed and checked. `warnings` are sentences."""

    folder: Path
    manifest: AdapterManifest
    before: recall.Recall
    after: recall.Recall
    warnings: tuple[str, ...]
    seconds: float


RunEvent = Stage | DataReady | Planned | wire.Events | Learned
OpenModel = Callable[[], AbstractContextManager[ChatModel]]
"""Opens the base in an inference process; it is loaded by whoever enters it, and ended at the end."""


def run(  # noqa: PLR0913
    job: Job,
    parts: Split,
    rejected: Sequence[Rejected],
    open_model: OpenModel,
    library: AdapterLibrary,
    places: Places,
    *,
    cancel: CancelToken,
    started: Callable[[TrainingRun], None] = lambda _: None,
    dry_steps: int = 0,
) -> Iterator[RunEvent]:
    """Train, export, install and check an adapter. `started` is given the running process, to pause and cancel it.

    With `dry_steps` nothing is trained: data and budget are shown and so many steps are timed. A cancel before the training
    ends everything; in it, the best weights so far become the adapter. Raises RagchatError.
    """
    steps = _Steps(job, parts, rejected, open_model, library, places, cancel, dry_steps)
    steps.check_wishes()
    prepared = yield from steps.prepare()
    trained = yield from steps.train(prepared, started)
    if trained is None:
        return
    yield Stage("exporting the adapter")
    folder = steps.install(prepared, trained)
    checked = _Checked()
    if job.check:
        checked = yield from steps.check_adapter(prepared, trained, folder)
    shutil.rmtree(steps.folder, ignore_errors=True)
    manifest = library.find(job.name).manifest
    if manifest is None:
        raise FinetuneError(f"The adapter {job.name} was not installed completely.")
    yield Learned(folder, manifest, prepared.before, checked.after, checked.warnings, trained.done.seconds)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that a training begins with. `before` and `abilities` are those of the base, empty where nothing is checked."""

    sha256: str
    samples: wire.Samples
    data: dict[str, Any]
    resumed: bool
    before: recall.Recall
    abilities: forgetting.Abilities | None


@dataclass(frozen=True, slots=True)
class _Trained:
    """What the training process said. `curve` is (step, loss)."""

    done: wire.Done
    engine: str
    versions: dict[str, str]
    curve: list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class _Checked:
    """What the installed adapter does. `warnings` are sentences."""

    after: recall.Recall = field(default_factory=lambda: recall.Recall(()))
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Steps:
    """The steps of one run, in their order."""

    job: Job
    parts: Split
    rejected: Sequence[Rejected]
    open_model: OpenModel
    library: AdapterLibrary
    places: Places
    cancel: CancelToken
    dry_steps: int

    @property
    def folder(self) -> Path:
        """The folder of this run."""
        return self.places.runs / self.job.name

    @property
    def asked(self) -> list[Example]:
        """The held-out questions that are asked before and after."""
        return list(map(as_asked, self.parts.held_out[:MEASURED]))

    def check_wishes(self) -> None:
        """Whether the run may be done at all. Takes no second."""
        check_adapter_name(self.job.name)
        _check_free(self.job, self.library)
        if not self.parts.training:
            raise UsageError("There are no training examples.", "Add data with --chats, --file or --kb.")

    def prepare(self) -> Generator[RunEvent, None, _Prepared]:
        """Examples to tokens, what the run takes, and what the model says and can before."""
        metadata = read_metadata(self.job.base)
        yield Stage("fingerprint of the model")
        sha256 = self.library.sha256(self.job.base)
        with self.open_model() as model:
            yield Stage("loading the model")
            base = loaded(model, self.cancel)
            samples, data = yield from self._tokens(base, sha256)
            plan = budget.estimate(
                metadata,
                self.job.recipe,
                samples,
                disk=self.places.weights,
                weights_there=(self.places.weights / sha256[:16]).is_dir(),
            )
            resumed = _prepare_folder(self.folder, self.job, sha256, samples, keep=not self.dry_steps)
            yield Planned(plan, self.job.recipe, resumed)
            budget.check(plan, metadata, self.job.recipe)
            before, abilities = yield from self._measure_base(base, sha256)
        self._stop_if_cancelled()
        return _Prepared(sha256, samples, data, resumed, before, abilities)

    def _tokens(
        self, base: LoadedModel, sha256: str
    ) -> Generator[RunEvent, None, tuple[wire.Samples, dict[str, Any]]]:
        """The samples as the chat would ask, with general ones, and the counts for the card."""
        yield Stage("tokens of the examples")
        longest = self.job.recipe.max_tokens
        training, held_out = (
            base.encode([as_asked(example).messages for example in half])
            for half in (self.parts.training, self.parts.held_out)
        )
        samples = wire.Samples(_fitting(training, longest), _fitting(held_out, longest), [])
        too_long = len(training) - len(samples.training)
        data = _counts(self.parts, self.rejected, too_long)
        yield DataReady(self.parts, tuple(self.rejected), too_long, data)
        if not samples.training:
            raise UsageError(f"Every example is longer than {longest} tokens.", "Raise --max-tokens.")
        if self.job.recipe.rehearsal:
            general = yield from _staged(
                "answers to general questions",
                lambda told: rehearsal.chats(
                    base,
                    sha256,
                    self.places.rehearsal,
                    cancel=self.cancel,
                    most=_REHEARSED_DRY if self.dry_steps else 0,
                    on_progress=told,
                ),
            )
            self._stop_if_cancelled()
            samples.rehearsal.extend(_fitting(base.encode(general), longest))
        return samples, data

    def _measure_base(
        self, base: LoadedModel, sha256: str
    ) -> Generator[RunEvent, None, tuple[recall.Recall, forgetting.Abilities | None]]:
        if not self.job.check or self.dry_steps:
            return recall.Recall(()), None
        before = yield from _staged(
            "answers before",
            lambda told: recall.measure(base, self.asked, cancel=self.cancel, on_progress=told),
        )
        abilities = yield from _staged(
            "general abilities before", lambda told: _abilities(base, sha256, self.places.abilities, told)
        )
        return before, abilities

    def train(
        self, prepared: _Prepared, started: Callable[[TrainingRun], None]
    ) -> Generator[RunEvent, None, _Trained | None]:
        """The training, in its own process; None after a dry run."""
        training = TrainingRun(self._command(prepared.sha256), self.places.log)
        started(training)
        engine, versions, curve = "", {}, []
        done: wire.Done | None = None
        for event in training.events():
            match event:
                case wire.Started():
                    engine, versions = event.engine, event.versions
                case wire.Stepped():
                    curve.append((event.step, round(event.loss, 4)))
                case wire.Done():
                    done = event
            yield event
        if self.dry_steps:
            if not prepared.resumed:
                shutil.rmtree(self.folder, ignore_errors=True)
            return None
        if done is None or not done.adapter_dir:
            raise CancelledError("Stopped before the first training step. No adapter was made.")
        return _Trained(done, engine, versions, curve)

    def _command(self, sha256: str) -> wire.Train:
        return wire.Train(
            base_path=str(self.job.base.absolute()),
            base_sha256=sha256,
            weights_dir=str(self.places.weights.absolute()),
            run_dir=str(self.folder.absolute()),
            samples_file=str((self.folder / "samples").absolute()),
            recipe=self.job.recipe,
            engine=self.job.engine,
            threads=self.job.threads,
            nice=self.job.nice,
            dry_steps=self.dry_steps,
        )

    def install(self, prepared: _Prepared, trained: _Trained) -> Path:
        """Export the adapter and put it where adapters lie; its folder."""
        from ragchat.finetune.base_gguf import BaseGguf
        from ragchat.finetune.install import Story, clear_leftovers, install

        done = trained.done
        clear_leftovers(self.places.adapters)
        folder = install(
            Path(done.adapter_dir),
            BaseGguf(self.job.base),
            prepared.sha256,
            adapters_dir=self.places.adapters,
            name=self.job.name,
            story=Story(
                data={**prepared.data, "samples_sha256": _hash(self.folder / "samples")},
                recipe=msgspec.to_builtins(self.job.recipe),
                engine=trained.engine,
                versions=trained.versions,
                curve=_thinned(trained.curve),
                held_out=tuple((step, round(loss, 4)) for step, loss in done.held_out),
                checks={
                    "training": {
                        "ended": done.reason,
                        "steps": done.step,
                        "best_step": done.best_step,
                        "seconds": round(done.seconds),
                        "peak_memory_mib": done.peak_rss_mib,
                    }
                },
            ),
            replace=self.job.replace,
        )
        keep_learned(folder, (leakage.fingerprint(example.question) for example in self.parts.training))
        return folder

    def check_adapter(
        self, prepared: _Prepared, trained: _Trained, folder: Path
    ) -> Generator[RunEvent, None, _Checked]:
        """Ask the installed adapter what the base was asked, and record both."""
        samples = prepared.samples
        with self.open_model() as model:
            off, on = loaded(model), loaded(model, adapters=(AdapterScale(self.job.name),))
            yield Stage("comparing the adapter in llama.cpp with the training")
            same = parity.measure(off, on, samples.held_out or samples.training, trained.done)
            after = yield from _staged(
                "answers after",
                lambda told: recall.measure(on, self.asked, cancel=CancelToken(), on_progress=told),
            )
            abilities = yield from _staged(
                "general abilities after", lambda told: forgetting.measure(on, on_progress=told)
            )
        lost = forgetting.Forgetting(prepared.abilities, abilities) if prepared.abilities else None
        _record(folder, same, prepared.before, after, lost)
        lost_too = (lost.warning,) if lost and lost.warning else ()
        return _Checked(after, (*same.warnings, *lost_too))

    def _stop_if_cancelled(self) -> None:
        if self.cancel.cancelled:
            raise CancelledError("Stopped before the training began. No adapter was made.")


def _record(
    folder: Path,
    same: parity.Parity,
    before: recall.Recall,
    after: recall.Recall,
    lost: forgetting.Forgetting | None,
) -> None:
    """Into the adapter's manifest and card."""
    from ragchat.finetune.install import record_results

    record_results(
        folder,
        checks={
            "parity": msgspec.to_builtins(same),
            "recall": {
                "questions": len(after.answers),
                "before": round(before.share, 3),
                "after": round(after.share, 3),
                "f1_before": round(before.mean_f1, 3),
                "f1_after": round(after.mean_f1, 3),
            },
            **({"forgetting": _rounded(lost)} if lost else {}),
        },
        answers=tuple(
            {"question": b.question, "expected": b.expected, "before": b.said, "after": a.said}
            for b, a in list(zip(before.answers, after.answers, strict=False))[:SHOWN]
        ),
    )


def _staged(
    doing: str, work: Callable[[Callable[[float], None]], _Result]
) -> Generator[Stage, None, _Result]:
    """Do `work`, which says how far it is, beside a generator that passes it on. Raises what it raises."""
    done = 0.0

    def told(fraction: float) -> None:
        nonlocal done
        done = fraction

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, told)
        yield Stage(doing)
        while wait([running], timeout=_SAID_EVERY_S).not_done:
            left = (time.monotonic() - began) * (1 - done) / done if done else None
            yield Stage(doing, done, left)
    return running.result()


def as_asked(example: Example) -> Example:
    """With the instructions that a chat without documents has, where an example brings none of its own."""
    if example.messages[0].role == "system":
        return example
    return replace(example, messages=(Message("system", PLAIN_INSTRUCTIONS), *example.messages))


def _check_free(job: Job, library: AdapterLibrary) -> None:
    if not job.replace and any(adapter.name == job.name for adapter in library.installed()):
        raise UsageError(
            f"An adapter named {job.name} already exists.", "Choose another name, or use --replace."
        )


def _fitting(samples: Sequence[TokenSample], longest: int) -> list[TokenSample]:
    return [sample for sample in samples if len(sample.tokens) <= longest]


def _counts(parts: Split, rejected: Sequence[Rejected], too_long: int) -> dict[str, Any]:
    return {
        "training": len(parts.training) - too_long,
        "held_out": len(parts.held_out),
        "rejected": len(rejected),
        "repeated": parts.repeated,
        "too_long": too_long,
        "left_out_as_evaluation_questions": len(parts.left_out),
        "by_source": dict(Counter(example.source for example in parts.training)),
        "by_kind": dict(Counter(example.kind for example in parts.training)),
    }


def _prepare_folder(run_dir: Path, job: Job, sha256: str, samples: wire.Samples, *, keep: bool) -> bool:
    """Write what the training process reads; whether an unfinished run of the very same job is there."""
    packed = wire.encode(samples)
    key = hashlib.sha256(packed + wire.encode(job.recipe) + sha256.encode()).hexdigest()
    try:
        known = (run_dir / "job").read_text() if (run_dir / "job").is_file() else ""
        resumed = known == key and any((run_dir / "checkpoints").glob("step-*"))
        if known and known != key and keep:
            shutil.rmtree(run_dir)
        run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(run_dir / "samples", packed)
        if keep:
            write_atomically(run_dir / "job", key.encode())
    except OSError as error:
        raise StorageError(f"{run_dir} cannot be written: {error.strerror or error}.") from error
    return resumed


def _abilities(
    model: LoadedModel, sha256: str, cache: Path, told: Callable[[float], None]
) -> forgetting.Abilities:
    """Those of the base, measured once per file."""
    try:
        known = msgspec.json.decode(cache.read_bytes(), type=dict[str, forgetting.Abilities])
    except (OSError, msgspec.DecodeError):
        known = {}
    key = f"{forgetting.REVISION}:{sha256}"
    if key not in known:
        known[key] = forgetting.measure(model, on_progress=told)
        write_atomically(cache, msgspec.json.encode(known))
    return known[key]


def _rounded(lost: forgetting.Forgetting) -> dict[str, float]:
    return {
        "perplexity_before": round(lost.base.perplexity, 3),
        "perplexity_after": round(lost.tuned.perplexity, 3),
        "perplexity_ratio": round(lost.perplexity_ratio, 4),
        "general_questions_before": round(lost.base.accuracy, 3),
        "general_questions_after": round(lost.tuned.accuracy, 3),
    }


def _thinned(curve: Sequence[tuple[int, float]], most: int = 200) -> tuple[tuple[int, float], ...]:
    step = max(1, len(curve) // most)
    return tuple(curve[::step])


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
