"""The status line says which documents an answer came from, also when another program has changed what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.widgets.status_bar import StatusBar
from tests.helpers.tui_fakes import Stage, ask, running, send, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


async def test_a_knowledge_base_of_another_program_is_seen_with_the_question(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        bar = app.chat.query_one(StatusBar)
        await until(pilot, lambda: bar.knowledge == "guide")
        KnowledgeStore.create(stage.folder / "kb", "added").close()
        stage.script.held = 1
        await send(app, pilot, "Why?")
        await until(pilot, lambda: bar.knowledge == "added, guide")
        assert stage.script.asked_of == [("added", "guide")]
        await until(pilot, lambda: "added" in app.chat.knowledge_names)
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert bar.knowledge == "added, guide"


async def test_one_that_is_gone_is_not_said_to_be_asked(stage: Stage) -> None:
    KnowledgeStore.create(stage.folder / "kb", "added").close()
    async with running(stage) as (app, pilot):
        bar = app.chat.query_one(StatusBar)
        await until(pilot, lambda: bar.knowledge == "added, guide")
        from ragchat.store.knowledge import remove_knowledge_base

        remove_knowledge_base(stage.folder / "kb", "added")
        await ask(app, pilot, "Why?")
        await until(pilot, lambda: bar.knowledge == "guide")
        assert "added" not in app.chat.knowledge_names
