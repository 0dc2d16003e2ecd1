"""A training as others see it: the file it keeps, what is asked of it, and the jobs window of the screen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

import msgspec
import pytest

from ragchat.errors import FinetuneError
from ragchat.finetune import status, wire
from ragchat.finetune.client import TrainingRun
from ragchat.finetune.reporter import Reporter
from ragchat.finetune.run import Stage
from ragchat.tui.screens.jobs import JobsScreen
from ragchat.tui.screens.train import Train
from ragchat.types import CancelToken
from tests.helpers.tui_fakes import running, screen_text, set_stage, until


class Steered:
    """Notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause(self) -> None:
        self.asked.append("pause")

    def resume(self) -> None:
        self.asked.append("resume")

    def cancel(self) -> None:
        self.asked.append("cancel")


def stepped(step: int) -> wire.Stepped:
    return wire.Stepped(step, 40, 2.0 / step, 1e-4, 210.0, 2.0, 2.0 * (40 - step), 900)


def of(folder: Path) -> status.Status:
    [found] = status.statuses(folder)
    return found


def wait_for(folder: Path, wanted: str) -> None:
    until = time.monotonic() + 10
    while not (folder / wanted).exists() and time.monotonic() < until:
        time.sleep(0.05)


def test_a_run_says_where_it_is_and_does_what_it_is_asked(tmp_path: Path) -> None:
    run, cancel = Steered(), CancelToken()
    with Reporter(tmp_path, "notes", "smol", cancel) as report:
        assert of(tmp_path).state == "running"
        report.take(Stage("reading the data"))
        assert of(tmp_path).doing == "reading the data"
        report.steer(cast(TrainingRun, run))
        for step in (1, 2, 3):
            report.take(stepped(step))
        report.take(wire.Measured(3, 0.9, True))
        for wanted in ("pause", "resume", "cancel"):
            status.request(tmp_path, "notes", wanted)
            until = time.monotonic() + 10
            while wanted not in run.asked and time.monotonic() < until:
                time.sleep(0.05)
        report.take(wire.Paused(3))
        seen = of(tmp_path)
        assert (seen.state, seen.step, seen.total_steps) == ("paused", 3, 40)
        assert seen.losses == (2.0, 1.0, 0.6667)
        assert seen.held_out == ((3, 0.9),)
    assert run.asked == ["pause", "resume", "cancel"]
    assert cancel.cancelled
    assert of(tmp_path).state == "done"
    status.forget(tmp_path, "notes")
    assert status.statuses(tmp_path) == []


def test_how_it_ended_is_kept(tmp_path: Path) -> None:
    with pytest.raises(FinetuneError), Reporter(tmp_path, "a", "smol", CancelToken()):
        raise FinetuneError("It does not fit.", "Take a smaller batch.")
    assert (of(tmp_path).state, of(tmp_path).sentence) == ("failed", "It does not fit. Take a smaller batch.")
    with pytest.raises(KeyboardInterrupt), Reporter(tmp_path, "a", "smol", CancelToken()):
        raise KeyboardInterrupt
    assert of(tmp_path).state == "stopped"


def test_a_killed_run_is_told_from_one_that_goes(tmp_path: Path) -> None:
    now = time.time()
    assert not status.Status(name="a", model="m", touched_at=now).silent
    assert status.Status(name="a", model="m", touched_at=now - 60).silent
    assert not status.Status(name="a", model="m", touched_at=now - 60, state="done").silent
    (tmp_path / "broken.json").write_bytes(b"{")
    assert status.statuses(tmp_path) == []


def test_a_folder_that_cannot_be_written_to_disturbs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Reporter(tmp_path / "file" / "below", "a", "smol", CancelToken()) as report:
        report.take(stepped(1))


def write(folder: Path, **facts: object) -> None:
    folder.mkdir(exist_ok=True)
    base = status.Status(name="notes", model="smol", touched_at=time.time())
    (folder / "notes.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(base, **facts)))


async def test_a_training_in_a_shell_shows_in_the_screen_and_obeys_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    folder = stage.services.trainings.folder
    write(
        folder, doing="training", step=10, total_steps=40, losses=(3.0, 2.0, 1.0), tokens_s=210.0, eta_s=60.0
    )
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "train:notes" in app.jobs)
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        await until(pilot, lambda: "Training notes" in screen_text(app))
        text = screen_text(app)
        assert "10 of 40 steps" in text
        assert "1 min 0 s left" in text
        assert "loss 1.000" in text
        assert "█" in text
        await pilot.press("p")
        await until(pilot, lambda: (folder / "notes.wish").exists())
        assert (folder / "notes.wish").read_text() == "pause"
        write(folder, doing="paused", state="paused", step=11, total_steps=40)
        await until(pilot, lambda: app.jobs["train:notes"].paused)
        await pilot.press("p")
        await until(pilot, lambda: (folder / "notes.wish").read_text() == "resume")
        await pilot.press("x")
        await until(pilot, lambda: (folder / "notes.wish").read_text() == "cancel")
        write(folder, state="done", step=12, total_steps=40, sentence="The adapter notes is ready.")
        await until(pilot, lambda: "The adapter notes is ready." in screen_text(app))
        await pilot.press("delete")
        await until(pilot, lambda: "Nothing is running." in screen_text(app))
    assert not (folder / "notes.json").exists()


async def test_a_training_that_was_killed_says_how_to_go_on(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    write(stage.services.trainings.folder, step=10, total_steps=40, touched_at=time.time() - 3600)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "train:notes" in app.jobs)
        job = app.jobs["train:notes"]
        assert job.failed
        assert "continue from its last checkpoint" in job.sentence


async def test_a_training_is_begun_by_keys(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        await pilot.press("f9")
        await until(pilot, lambda: isinstance(app.screen, JobsScreen))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, Train))
        await until(pilot, lambda: "5 questions drafted from guide, 3 not reviewed" in screen_text(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "is not a valid name for an adapter" in screen_text(app))
        await pilot.press(*"notes")
        await pilot.press("tab", "up", "space")  # from task, the first, round to rag, the last
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "needs questions drafted from documents" in screen_text(app))
        await pilot.press("tab", "tab", "space", "ctrl+s")
        await until(pilot, lambda: bool(stage.trained))
    expected = ["notes", "--mode", "rag", "--model", "fake", "--chats", "--kb", "guide"]
    assert stage.trained == [expected]
