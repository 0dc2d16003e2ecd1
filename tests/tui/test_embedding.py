"""Embedding behind the chat: a job that gives way, can be paused and stopped, and never stands in the way of a sync."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ragchat.errors import ModelFileError
from ragchat.ingest.embedding import EmbeddingEvent, embed
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.app import RagchatApp
from ragchat.tui.embeddings import ANSWERING, KIND, PAUSED
from ragchat.types import CancelToken
from tests.helpers.embedders import WordEmbedder
from tests.helpers.small_kb import put
from tests.helpers.tui_fakes import Stage, act, running, screen_text, send, set_stage, until


class Slow:
    """The service that embeds, with a model as fast as a test wants it."""

    def __init__(self, stage: Stage, seconds_each: float) -> None:
        self.embedder = WordEmbedder(seconds_each=seconds_each)
        self.names: list[str] = []
        self.trouble: Exception | None = None
        self._open = stage.services.documents.open
        act(stage.services.documents, embed=self.embed)

    def embed(self, name: str, cancel: CancelToken, hold: Callable[[], str]) -> Iterator[EmbeddingEvent]:
        self.names.append(name)
        if self.trouble:
            raise self.trouble
        with contextlib.closing(self._open(name)) as store:
            yield from embed(store, self.embedder, cancel=cancel, hold=hold)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = set_stage(tmp_path)
    with KnowledgeStore.create(tmp_path / "kb", "papers") as store:
        put(store, "/d/papers.txt", *(f"text {i}" for i in range(400)))
    return made


def embedded(stage: Stage) -> int:
    with contextlib.closing(stage.services.documents.open("papers")) as store:
        return store.vectors.count(WordEmbedder().model)


def job_detail(app: RagchatApp) -> str:
    job = app.jobs.get(KIND)
    return job.detail if job else ""


async def test_what_is_indexed_is_embedded_while_the_chat_is_open(stage: Stage) -> None:
    slow = Slow(stage, 0.001)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: KIND in app.jobs and not app.jobs[KIND].running)
        assert app.jobs[KIND].sentence == "All documents can be found by meaning."
        assert not app.jobs[KIND].failed
        assert embedded(stage) == 400
        assert "papers" in slow.names


async def test_a_few_chunks_are_embedded_without_a_word(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    with KnowledgeStore.create(tmp_path / "kb", "papers") as store:
        put(store, "/d/papers.txt", "one", "two")
    Slow(stage, 0.0)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: embedded(stage) == 2)
        assert KIND not in app.jobs


async def test_p_pauses_it_and_goes_on_and_x_stops_it(stage: Stage) -> None:
    Slow(stage, 0.01)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: KIND in app.jobs and app.jobs[KIND].done > 10)
        await pilot.press("f9")
        await until(pilot, lambda: "Embedding papers" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: job_detail(app) == PAUSED and app.jobs[KIND].paused)
        assert PAUSED in screen_text(app)
        time.sleep(0.6)
        done = embedded(stage)
        time.sleep(0.6)
        assert embedded(stage) == done
        await pilot.press("p")
        await until(pilot, lambda: not app.jobs[KIND].paused and app.jobs[KIND].done > done + 10)
        await pilot.press("x")
        await until(pilot, lambda: not app.jobs[KIND].running)
        assert app.jobs[KIND].sentence.startswith("Stopped")
        assert 0 < embedded(stage) < 400


async def test_it_waits_while_an_answer_is_written(stage: Stage) -> None:
    slow = Slow(stage, 0.01)
    stage.script.delay_s = 0.05
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: KIND in app.jobs and app.jobs[KIND].done > 10)
        await send(app, pilot, "What is it?")
        await until(pilot, lambda: app.chat.pane.live is not None)
        await until(pilot, lambda: job_detail(app) == ANSWERING or app.chat.pane.live is None)
        assert job_detail(app) == ANSWERING
        before = len(slow.embedder.read)
        time.sleep(0.3)
        assert len(slow.embedder.read) == before
        await until(pilot, lambda: app.chat.pane.live is None)
        await until(pilot, lambda: len(slow.embedder.read) > before)


async def test_nobody_who_needs_a_knowledge_base_waits_for_it(stage: Stage) -> None:
    """As before a sync by hand, or its removal: within a second it is let go, and embedded again afterwards."""
    slow = Slow(stage, 0.01)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: KIND in app.jobs and app.jobs[KIND].done > 10)
        held, release, took = threading.Event(), threading.Event(), []

        def sync() -> None:
            began = time.monotonic()
            with app.chat.upkeep.alone("papers"):
                took.append(time.monotonic() - began)
                held.set()
                release.wait(20)

        thread = threading.Thread(target=sync)
        thread.start()
        await until(pilot, held.is_set)
        assert took[0] < 1.5
        before = len(slow.embedder.read)
        time.sleep(0.4)
        assert len(slow.embedder.read) == before
        release.set()
        await until(pilot, lambda: len(slow.embedder.read) > before)
        thread.join()


async def test_a_model_that_cannot_be_used_is_said_in_the_jobs(stage: Stage) -> None:
    slow = Slow(stage, 0.01)
    slow.trouble = ModelFileError("words.gguf is no embedding model.", "Choose another.")
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: KIND in app.jobs and app.jobs[KIND].failed)
        assert app.jobs[KIND].sentence == "words.gguf is no embedding model. Choose another."
