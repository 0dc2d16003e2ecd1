"""A whole run, from examples to a checked adapter, as typed events. The long procedure, top to bottom; who shows it is elsewhere.

Everything of a run lies in a folder of its own. The same job in the same folder goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
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
from ragchat.paths import write_atomically
from ragchat.session.prompt import PLAIN_INSTRUCTIONS
from ragchat.types import CancelToken, ChatModel, Message, TokenSample

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


def run(
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
    # 1. May it be done at all? All of this takes no second.
    check_adapter_name(job.name)
    _check_free(job, library)
    if not parts.training:
        raise UsageError("There is nothing to learn from.", "Add data with --chats, --file or --kb.")
    metadata = read_metadata(job.base)
    yield Stage("fingerprint of the model")
    sha256 = library.sha256(job.base)

    # 2. Examples to tokens, as the chat would ask.
    run_dir = places.runs / job.name
    training, held_out = list(map(as_asked, parts.training)), list(map(as_asked, parts.held_out))
    with open_model() as model:
        yield Stage("loading the model")
        for _ in model.load(cancel):
            pass
        yield Stage("tokens of the examples")
        samples, too_long = _encoded(model, training, held_out, job.recipe.max_tokens)
        data = _counts(parts, rejected, too_long)
        yield DataReady(parts, tuple(rejected), too_long, data)
        if not samples.training:
            raise UsageError(
                f"Every example is longer than {job.recipe.max_tokens} tokens.", "Raise --max-tokens."
            )
        if job.recipe.rehearsal:
            general = yield from _staged(
                "what the model says to general questions",
                lambda told: rehearsal.chats(
                    model,
                    sha256,
                    places.rehearsal,
                    cancel=cancel,
                    most=_REHEARSED_DRY if dry_steps else 0,
                    on_progress=told,
                ),
            )
            if cancel.cancelled:
                raise CancelledError("Stopped before the training began; nothing was made.")
            samples.rehearsal.extend(_fitting(model.encode(general), job.recipe.max_tokens))
        plan = budget.estimate(
            metadata,
            job.recipe,
            samples,
            disk=places.weights,
            weights_there=(places.weights / sha256[:16]).is_dir(),
        )
        resumed = _prepare_folder(run_dir, job, sha256, samples, keep=not dry_steps)
        yield Planned(plan, job.recipe, resumed)
        budget.check(plan, metadata, job.recipe)

        # 3. What the model says and can before.
        before, asked = recall.Recall(()), held_out[:MEASURED]
        base_abilities: forgetting.Abilities | None = None
        if job.check and not dry_steps:
            before = yield from _staged(
                "answers before", lambda told: recall.measure(model, asked, cancel=cancel, on_progress=told)
            )
            base_abilities = yield from _staged(
                "general abilities before", lambda told: _abilities(model, sha256, places.abilities, told)
            )
    if cancel.cancelled:
        raise CancelledError("Stopped before the training began; nothing was made.")

    # 4. The training, in its own process.
    command = wire.Train(
        base_path=str(job.base.absolute()),
        base_sha256=sha256,
        weights_dir=str(places.weights.absolute()),
        run_dir=str(run_dir.absolute()),
        samples_file=str((run_dir / "samples").absolute()),
        recipe=job.recipe,
        engine=job.engine,
        threads=job.threads,
        nice=job.nice,
        dry_steps=dry_steps,
    )
    training_run = TrainingRun(command, places.log)
    started(training_run)
    story: dict[str, Any] = {"curve": []}
    done: wire.Done | None = None
    for event in training_run.events():
        match event:
            case wire.Started():
                story |= {"engine": event.engine, "versions": event.versions}
            case wire.Stepped():
                story["curve"].append((event.step, round(event.loss, 4)))
            case wire.Done():
                done = event
        yield event
    if dry_steps:
        if not resumed:
            shutil.rmtree(run_dir, ignore_errors=True)
        return
    if done is None or not done.adapter_dir:
        raise CancelledError("Stopped before anything was learned; nothing was made.")

    # 5. The adapter: exported, installed, checked.
    from ragchat.finetune.base_gguf import BaseGguf
    from ragchat.finetune.install import Story, clear_leftovers, install, record_results

    yield Stage("exporting the adapter")
    clear_leftovers(places.adapters)
    folder = install(
        Path(done.adapter_dir),
        BaseGguf(job.base),
        sha256,
        adapters_dir=places.adapters,
        name=job.name,
        story=Story(
            data={**data, "samples_sha256": _hash(run_dir / "samples")},
            recipe=msgspec.to_builtins(job.recipe),
            engine=str(story.get("engine", "")),
            versions=dict(story.get("versions", {})),
            curve=_thinned(story["curve"]),
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
        replace=job.replace,
    )
    keep_learned(folder, (leakage.fingerprint(example.question) for example in parts.training))
    warnings: list[str] = []
    after = recall.Recall(())
    if job.check:
        with open_model() as model:
            for _ in model.load(CancelToken()):
                pass
            yield Stage("does it do in llama.cpp what was trained")
            same = parity.measure(model, samples.held_out or samples.training, done, adapter=job.name)
            warnings += same.warnings
            after = yield from _staged(
                "answers after",
                lambda told: recall.measure(model, asked, cancel=CancelToken(), on_progress=told),
            )
            abilities = yield from _staged(
                "general abilities after", lambda told: forgetting.measure(model, on_progress=told)
            )
            lost = forgetting.Forgetting(base_abilities, abilities) if base_abilities else None
            if lost and lost.warning:
                warnings.append(lost.warning)
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
    shutil.rmtree(run_dir, ignore_errors=True)
    manifest = library.find(job.name).manifest
    if manifest is None:
        raise FinetuneError(f"The adapter {job.name} was not installed whole.")
    yield Learned(folder, manifest, before, after, tuple(warnings), done.seconds)


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
        raise UsageError(f"There is an adapter {job.name} already.", "Choose another name, or use --replace.")


def _encoded(
    model: ChatModel,
    training: Sequence[Example],
    held_out: Sequence[Example],
    longest: int,
) -> tuple[wire.Samples, int]:
    def tokens(examples: Sequence[Example]) -> list[TokenSample]:
        return model.encode([example.messages for example in examples])

    learned, kept_back = tokens(training), tokens(held_out)
    samples = wire.Samples(_fitting(learned, longest), _fitting(kept_back, longest), [])
    return samples, len(learned) - len(samples.training)


def _fitting(samples: Sequence[TokenSample], longest: int) -> list[wire.Sample]:
    return [wire.Sample(list(s.tokens), s.answer_start) for s in samples if len(s.tokens) <= longest]


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
    model: ChatModel, sha256: str, cache: Path, told: Callable[[float], None]
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
