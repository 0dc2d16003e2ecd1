"""The training process on tiny models with random weights: it learns, it can be paused, cancelled, killed and resumed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

from ragchat.errors import FinetuneError, UsageError
from ragchat.finetune import budget, wire
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.client import TrainingRun
from ragchat.finetune.gguf_lora import read_peft
from ragchat.finetune.recipe import EVERY_LINEAR, MODES, Recipe, changed, default_recipe
from ragchat.finetune.training import checkpoints
from ragchat.llm.gguf import read_metadata
from ragchat.types import TokenSample
from tests.helpers.tiny_models import ARCHITECTURES, make_tiny

pytestmark = pytest.mark.filterwarnings("ignore")  # those of torch and transformers

RECIPE = Recipe(
    mode="task",
    lora_rank=16,
    lora_alpha=32,
    target_modules=EVERY_LINEAR,
    learning_rate=2e-2,
    rehearsal=0.1,
    epochs=6,
    batch_size=4,
    patience=0,
)


def samples(seed: int = 1, count: int = 16) -> wire.Samples:
    """Each prompt has an answer of its own; the rehearsal is noise."""
    draw = random.Random(seed)

    def one() -> TokenSample:
        tokens = [draw.randrange(20, 300) for _ in range(draw.randrange(10, 16))]
        return TokenSample((*tokens, 2), len(tokens) - 4)

    made = [one() for _ in range(count)]
    return wire.Samples(made, made[:4], [one() for _ in range(4)])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of each architecture; the weights made of them are kept."""
    return tmp_path_factory.mktemp("training")


def command(stage: Path, run: Path, architecture: str = "llama", **more: object) -> wire.Train:
    base = stage / f"{architecture}.gguf"
    if not base.exists():
        make_tiny(architecture, base)
    run.mkdir(parents=True, exist_ok=True)
    data = more.pop("data", None) or samples()
    (run / "samples").write_bytes(msgspec.msgpack.encode(data))
    given = {"recipe": RECIPE, "engine": "peft", "threads": 1, **more}
    return wire.Train(
        base_path=str(base),
        base_sha256=hashlib.sha256(base.read_bytes()).hexdigest(),
        weights_dir=str(stage / "weights"),
        run_dir=str(run),
        samples_file=str(run / "samples"),
        **given,  # type: ignore[arg-type]
    )


def events(train: wire.Train, log: Path) -> Iterator[tuple[TrainingRun, wire.Events]]:
    run = TrainingRun(train, log)
    for event in run.events():
        yield run, event


def steps(found: list[wire.Events]) -> dict[int, float]:
    return {event.step: event.loss for event in found if isinstance(event, wire.Stepped)}


def test_it_learns_and_says_how_it_goes(stage: Path, tmp_path: Path) -> None:
    found = [event for _, event in events(command(stage, tmp_path / "run"), tmp_path / "log")]
    started = next(event for event in found if isinstance(event, wire.Started))
    assert (started.engine, started.architecture, started.total_steps) == ("peft", "llama", 24)
    losses = steps(found)
    assert list(losses) == list(range(1, 25))
    assert losses[24] < losses[1] / 2
    measured = [event for event in found if isinstance(event, wire.Measured)]
    assert measured[0].step == 0
    assert measured[-1].loss < measured[0].loss / 2
    done = found[-1]
    assert isinstance(done, wire.Done)
    assert (done.reason, done.step) == ("finished", 24)
    assert done.best_loss == pytest.approx(min(event.loss for event in measured))
    assert [step for step, _ in done.held_out] == [event.step for event in measured]
    assert len(done.answers) == 4
    assert (
        sum(
            tuple(a) == s.tokens[s.answer_start :]
            for a, s in zip(done.answers, samples().held_out, strict=True)
        )
        >= 2
    )
    assert read_peft(Path(done.adapter_dir), BaseGguf(stage / "llama.gguf")).rank == 16


def test_a_run_that_was_killed_goes_on_as_if_nothing_had_been(stage: Path, tmp_path: Path) -> None:
    whole = [event for _, event in events(command(stage, tmp_path / "whole"), tmp_path / "log")]
    train, seen = command(stage, tmp_path / "run"), []
    with pytest.raises(FinetuneError, match="SIGKILL"):
        for run, event in events(train, tmp_path / "log"):
            seen.append(event)
            if isinstance(event, wire.Stepped) and event.step == 8:
                run.pause()
            if isinstance(event, wire.Paused):  # by then a checkpoint is written
                os.kill(run.pid, signal.SIGKILL)
    found = checkpoints.newest(tmp_path / "run" / "checkpoints")
    assert found is not None
    rest = [event for _, event in events(train, tmp_path / "log")]
    assert next(e for e in rest if isinstance(e, wire.Started)).resumed_at == found[0] >= 8
    assert list(steps(rest)) == list(range(found[0] + 1, 25))
    for step, loss in steps(rest).items():
        assert loss == pytest.approx(steps(whole)[step], rel=2e-3), f"step {step}"
    assert isinstance(rest[-1], wire.Done)
    assert rest[-1].best_loss == pytest.approx(whole[-1].best_loss, rel=5e-3)  # type: ignore[union-attr]
    again = [event for _, event in events(train, tmp_path / "log")]
    assert steps(again) == {}, "it had ended"
    assert isinstance(again[-1], wire.Done)


def test_pausing_and_going_on_loses_nothing(stage: Path, tmp_path: Path) -> None:
    found = []
    for run, event in events(command(stage, tmp_path / "run"), tmp_path / "log"):
        found.append(event)
        if isinstance(event, wire.Stepped) and event.step == 3:
            run.pause()
        if isinstance(event, wire.Paused):
            run.resume()
    kinds = [type(event) for event in found]
    assert kinds.count(wire.Paused) == kinds.count(wire.Resumed) == 1
    assert list(steps(found)) == list(range(1, 25))


def test_a_cancel_keeps_the_best_so_far(stage: Path, tmp_path: Path) -> None:
    found = []
    for run, event in events(command(stage, tmp_path / "run"), tmp_path / "log"):
        found.append(event)
        if isinstance(event, wire.Stepped) and event.step == 5:
            run.cancel()
    done = found[-1]
    assert isinstance(done, wire.Done)
    assert done.reason == "cancelled"
    assert done.step < 24
    assert (Path(done.adapter_dir) / "adapter_model.safetensors").is_file()


def test_it_ends_early_when_the_held_out_loss_no_longer_falls(stage: Path, tmp_path: Path) -> None:
    noise = samples(seed=9)
    data = wire.Samples(noise.training, samples(seed=10).training[:4])
    recipe = msgspec.structs.replace(RECIPE, patience=2, epochs=20, learning_rate=2e-2)
    found = [
        event
        for _, event in events(command(stage, tmp_path / "run", data=data, recipe=recipe), tmp_path / "log")
    ]
    done = found[-1]
    assert isinstance(done, wire.Done)
    assert done.reason == "early"
    assert done.step < 80


def test_a_dry_run_times_and_keeps_nothing(stage: Path, tmp_path: Path) -> None:
    found = [event for _, event in events(command(stage, tmp_path / "run", dry_steps=3), tmp_path / "log")]
    timed = found[-1]
    assert isinstance(timed, wire.Timed)
    assert timed.step_s > 0
    assert timed.total_steps == 24
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["samples"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_a_step_in_the_process(
    stage: Path, tmp_path: Path, architecture: str
) -> None:
    recipe = msgspec.structs.replace(RECIPE, max_steps=1)
    train = command(stage, tmp_path / "run", architecture, recipe=recipe)
    done = [event for _, event in events(train, tmp_path / "log")][-1]
    assert isinstance(done, wire.Done)
    lora = read_peft(Path(done.adapter_dir), BaseGguf(stage / f"{architecture}.gguf"))
    assert len(lora.pairs) >= 8


def test_unsloth_trains_the_same(stage: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("unsloth") is None:
        pytest.skip("unsloth is not installed")
    recipe = msgspec.structs.replace(RECIPE, max_steps=4)
    losses = {}
    for engine in ("peft", "unsloth"):
        train = command(stage, tmp_path / engine, recipe=recipe, engine=engine)
        try:
            found = [event for _, event in events(train, tmp_path / "log")]
        except FinetuneError as error:
            pytest.skip(f"unsloth does not run here: {error}")
        started = next(event for event in found if isinstance(event, wire.Started))
        assert started.engine == engine
        losses[engine] = steps(found)
    for step, loss in losses["peft"].items():
        assert losses["unsloth"][step] == pytest.approx(loss, rel=0.05), f"step {step}"


def test_what_cannot_be_trained_is_said(stage: Path, tmp_path: Path) -> None:
    train = command(stage, tmp_path / "run")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(Path(train.base_path).read_bytes()[:5000])
    for base, sentence in ((broken, "broken.gguf"), (tmp_path / "missing.gguf", "missing.gguf")):
        other = msgspec.structs.replace(train, base_path=str(base), base_sha256="00" * 32)
        with pytest.raises(Exception, match=sentence):
            list(events(other, tmp_path / "log"))
    (tmp_path / "run" / "samples").write_bytes(b"\xc1")
    with pytest.raises(FinetuneError, match="prepared data"):
        list(events(train, tmp_path / "log"))


# --- checkpoints ----------------------------------------------------------------------------------------


def test_torn_checkpoints_are_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"

    def write(new: Path) -> None:
        (new / "weights").write_bytes(b"x" * 100)

    for step in (1, 2, 3):
        checkpoints.save(folder, step, write)
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000002", "step-00000003"]
    (folder / "step-00000003" / "weights").write_bytes(b"x" * 60)
    found = checkpoints.newest(folder)
    assert found is not None
    assert found[0] == 2
    assert not (folder / "step-00000003").exists()
    (folder / "step-00000002" / "manifest.json").write_text("{")
    assert checkpoints.newest(folder) is None
    assert checkpoints.newest(tmp_path / "nowhere") is None


def test_a_checkpoint_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    def write(new: Path) -> None:
        (new / "a").write_text("1")

    def full(new: Path) -> None:
        (new / "a").write_text("2")
        raise OSError(28, "No space left on device")

    checkpoints.save(tmp_path, 1, write)
    with pytest.raises(OSError, match="space"):
        checkpoints.save(tmp_path, 2, full)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found[0] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


# --- recipes and budgets --------------------------------------------------------------------------------


def test_recipes() -> None:
    for mode in MODES:
        small, large = default_recipe(mode, 135_000_000), default_recipe(mode, 8_000_000_000)
        assert large.learning_rate < small.learning_rate <= 5e-4
        assert small.rehearsal > 0
    assert default_recipe("knowledge", 1).patience == 0
    recipe = default_recipe("task", 135_000_000)
    assert changed(recipe, lora_rank=4).lora_alpha == 8
    assert changed(recipe, lora_rank=None) == recipe
    for wrong in (
        {"lora_rank": 0},
        {"epochs": -1.0},
        {"learning_rate": 1.0},
        {"warmup": 1.0},
        {"target_modules": ("lm_head",)},
    ):
        with pytest.raises(UsageError):
            changed(recipe, **wrong)


def test_what_does_not_fit_is_refused_with_what_would(stage: Path, tmp_path: Path) -> None:
    metadata = read_metadata(Path(command(stage, tmp_path / "run").base_path))
    plan = budget.estimate(metadata, RECIPE, samples(), disk=tmp_path / "x" / "y", weights_there=False)
    assert plan.fits
    assert (plan.training, plan.held_out, plan.steps) == (16, 4, 24)
    budget.check(plan, metadata, RECIPE)
    with pytest.raises(FinetuneError, match="of memory") as refused:
        budget.check(replace(plan, memory_free=plan.memory_bytes - 1), metadata, RECIPE)
    assert "--batch-size" in refused.value.remedy
    with pytest.raises(FinetuneError, match="of memory") as refused:
        budget.check(replace(plan, memory_free=100), metadata, RECIPE)
    assert "Close other programs" in refused.value.remedy
    with pytest.raises(FinetuneError, match="of disk"):
        budget.check(replace(plan, disk_free=0), metadata, RECIPE)
