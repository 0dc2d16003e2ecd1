"""The first start: from an empty home to an answer, each step done in the window and ticked off by what is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from ragchat.errors import DownloadError
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.app import RagchatApp
from ragchat.tui.downloads import Downloads
from ragchat.tui.screens.add_documents import AddDocuments
from ragchat.tui.screens.choose import ModelPicker
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.welcome import MANUAL_QUESTION, WelcomeScreen
from tests.helpers.gguf_files import write_gguf
from tests.helpers.tui_fakes import Stage, act, ask, running, screen_text, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Nothing is there: no model, no documents, no manual."""
    stage = set_stage(tmp_path, model="", documents=False)
    stage.services.documents.remove("manual")
    return stage


async def add_notes(stage: Stage, app: RagchatApp, pilot: Pilot[None]) -> None:
    folder = stage.folder / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("A")
    await until(pilot, lambda: isinstance(app.screen, AddDocuments))
    app.screen.query_one("#path", Line).value = str(folder)
    await pilot.press("enter")
    await until(pilot, lambda: "notes: 1 document" in screen_text(app))
    await pilot.press("escape")


async def welcomed(app: RagchatApp, pilot: Pilot[None]) -> None:
    await until(
        pilot, lambda: isinstance(app.screen, WelcomeScreen) and "Welcome to ragchat" in screen_text(app)
    )


async def test_enter_alone_leads_through_the_steps(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await welcomed(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and "Fake 135M" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.model_state.phase == "ready")
        await pilot.press("escape")
        await until(pilot, lambda: "✓ A model" in screen_text(app))
        await pilot.press("enter")
        await add_notes(stage, app, pilot)
        await until(pilot, lambda: "✓ Your documents" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.chat)
        await ask(app, pilot, "What do the notes say?")
        assert stage.script.asked_of == [("notes",)]


async def test_the_manual_is_indexed_and_no_longer_asked_when_there_are_documents(stage: Stage) -> None:
    stage.model.selected = "fake"
    async with running(stage) as (app, pilot):
        await welcomed(app, pilot)
        await until(pilot, lambda: "manual" in app.chat.knowledge_names)
        await until(pilot, lambda: MANUAL_QUESTION in " ".join(screen_text(app).replace("│", " ").split()))
        await pilot.press("3")
        await until(pilot, lambda: app.chat.pane.prompt.text == MANUAL_QUESTION)
        await pilot.press("enter")
        await until(pilot, lambda: stage.script.asked_of and app.chat.pane.live is None)
        await pilot.press("f4")
        await add_notes(stage, app, pilot)
        await until(pilot, lambda: app.chat.asked_knowledge == ("notes",))
        await ask(app, pilot, "What do the notes say?")
    assert stage.script.asked_of == [("manual",), ("notes",)]


async def test_a_manual_whose_indexing_was_interrupted_is_indexed_again(stage: Stage) -> None:
    KnowledgeStore.create(stage.folder / "kb", "manual").close()
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: any(one.indexed for one in stage.services.documents.statuses()))
        assert app.chat.asked_knowledge == ("manual",)


async def test_a_larger_model_comes_after_a_small_one_that_is_there_at_once(stage: Stage) -> None:
    stage.pull_gate.clear()
    async with running(stage) as (app, pilot):
        await welcomed(app, pilot)
        await pilot.press("1")
        await until(pilot, lambda: "Distant 1.7B" in screen_text(app))
        await pilot.press(*"distant", "enter")
        await until(pilot, lambda: stage.pulls == ["fake"])
        stage.pull_gate.set()
        await until(pilot, lambda: app.model_state.phase == "ready" and app.model_state.name == "distant")
        await until(pilot, lambda: stage.services.preferences.settings.model.name == "distant")
    assert stage.pulls[0] == "fake"
    assert stage.pulls[-1] == "distant"


async def test_a_failed_download_is_said_and_a_file_at_hand_serves(stage: Stage) -> None:
    def refuse(*_: object) -> Path:
        raise DownloadError("The hub cannot be reached.", "Check the network.")

    act(stage.services.models, pull=refuse)
    file = stage.folder / "at hand" / "Mine.gguf"
    file.parent.mkdir()
    write_gguf(file)
    async with running(stage) as (app, pilot):
        await welcomed(app, pilot)
        await pilot.press("1")
        await until(pilot, lambda: "Fake 135M" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "The hub cannot be reached." in screen_text(app))
        app.screen.query_one(Line).value = f"{stage.folder}/at h"
        await until(pilot, lambda: "at hand/" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "Mine.gguf" in screen_text(app))
        await pilot.press("tab")
        await until(pilot, lambda: app.screen.query_one(Line).value == str(file))
        await pilot.press("enter")
        await until(pilot, lambda: app.model_state.phase == "ready" and app.model_state.name == "Mine")
        await until(pilot, lambda: "✓ A model" in screen_text(app))
    assert (stage.folder / "models" / "Mine.gguf").samefile(file)


async def test_a_question_needs_a_model_first(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await welcomed(app, pilot)
        await pilot.press("3")
        await until(pilot, lambda: "step 1" in screen_text(app))
        assert isinstance(app.screen, WelcomeScreen)


def test_models_are_downloaded_one_after_the_other() -> None:
    downloads = Downloads()
    downloads.add("small", use=False)
    downloads.add_embedding("vectors")
    downloads.add("large", use=True)
    downloads.add("large", use=True)
    downloads.add_embedding("vectors")
    assert [downloads.next() for _ in range(4)] == ["small", "vectors", "large", ""]
    assert downloads.wants("large")
    assert not downloads.wants("small")
    assert not downloads.chats("vectors")
    downloads.add("small", use=False)
    downloads.drop()
    assert downloads.next() == ""


@pytest.mark.parametrize(
    ("memory_gib", "name"), [(2, "smollm2-135m"), (8, "qwen3-1.7b"), (16, "qwen3-4b"), (64, "qwen3-8b")]
)
def test_the_memory_of_the_machine_says_what_is_recommended(
    memory_gib: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragchat.app.models import Models
    from ragchat.llm import memory

    stage = set_stage(tmp_path)
    monkeypatch.setattr(memory, "total_bytes", lambda: memory_gib << 30)
    choices = Models(stage.services.preferences, stage.services.model).choices()
    assert [choice.name for choice in choices if choice.recommended] == [name]
