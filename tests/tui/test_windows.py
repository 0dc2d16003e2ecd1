"""Pickers, adding documents, the first start, help, the palette, panels and sizes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from textual.command import CommandPalette

from ragchat.app.typed_paths import complete_path, suggested_name
from ragchat.errors import ModelFileError
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui import signals
from ragchat.tui.app import RagchatApp
from ragchat.tui.key_groups import key_groups
from ragchat.tui.screens.add_documents import AddDocuments
from ragchat.tui.screens.choose import KnowledgePicker, ModelPicker
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.help import HelpScreen, bound_keys
from ragchat.tui.screens.welcome import WelcomeScreen
from ragchat.tui.widgets.chat_list import ChatList
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


# --- models ---------------------------------------------------------------------------------------------


async def test_another_model_is_chosen_by_typing(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("f2")
        await until(pilot, lambda: "Installed" in screen_text(app) and "To download" in screen_text(app))
        assert "needs 228.9 MiB of memory" in screen_text(app)
        await pilot.press(*"360", "enter")
        await until(pilot, lambda: app.model_state.phase == "ready" and app.model_state.name == "other")
        assert stage.model.selected == "other"
        assert app.screen is app.chat


async def test_a_model_is_measured_with_progress_and_can_be_stopped(stage: Stage) -> None:
    stage.pull_gate.clear()
    async with running(stage) as (app, pilot):
        await pilot.press("f2")
        await until(pilot, lambda: "Installed" in screen_text(app))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "40%" in screen_text(app) and "12 s left" in screen_text(app))
        assert "trying settings" in screen_text(app)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "The settings stay as they were" in screen_text(app))
        stage.pull_gate.set()
        await pilot.press("ctrl+t")
        await until(pilot, lambda: "reads 100 and writes 50 tokens/s" in screen_text(app))


async def test_a_model_is_fetched_with_progress_and_can_be_stopped(stage: Stage) -> None:
    stage.pull_gate.clear()
    async with running(stage) as (app, pilot):
        await pilot.press("f2")
        await until(pilot, lambda: "To download" in screen_text(app))
        await pilot.press(*"distant", "enter")
        await until(pilot, lambda: "40%" in screen_text(app) and "24 s left" in screen_text(app))
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "The download was stopped" in screen_text(app))
        stage.pull_gate.set()
        await pilot.press("enter")
        await until(pilot, lambda: "distant is downloaded." in screen_text(app))
        await until(pilot, lambda: stage.choices[2].installed and "↓" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)


async def test_a_model_that_does_not_load_is_explained(stage: Stage) -> None:
    stage.model.fail = ModelFileError("The file is truncated.", "Fetch it again.")
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "The file is truncated. Fetch it again." in screen_text(app))
        assert "✗ fake did not load: F2" in screen_text(app)


async def test_a_suspect_model_is_not_loaded_unasked(stage: Stage) -> None:
    stage.model.suspect = "This model ended its process before."
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "ended its process before" in screen_text(app))
        assert stage.model.loads == 0
        app.use_model("fake")
        await until(pilot, lambda: app.model_state.phase == "ready")


async def test_a_question_loads_the_model_that_waits(stage: Stage) -> None:
    stage.use("ui", load_at_start=False)
    app = RagchatApp(stage.services)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "○ fake" in screen_text(app))
        app.use_model("")
        await until(pilot, lambda: "● fake" in screen_text(app))


async def test_the_model_is_not_changed_under_a_running_answer(stage: Stage) -> None:
    stage.script.held = 0
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.put("Why?")
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.pane.live is not None)
        app.use_model("other")
        await until(pilot, lambda: "Press Esc to stop it" in screen_text(app))
        assert stage.model.selected == "fake"
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)


# --- knowledge bases ------------------------------------------------------------------------------------


async def test_knowledge_bases_are_chosen_per_chat(stage: Stage) -> None:
    KnowledgeStore.create(stage.folder / "kb", "letters").close()
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "guide, letters" in screen_text(app))
        await ask(app, pilot, "All?")
        await pilot.press("f3")
        await until(pilot, lambda: "1 document, 5 chunks" in screen_text(app))
        await pilot.press("down", "space", "enter")
        await until(pilot, lambda: app.screen is app.chat)
        await ask(app, pilot, "One?")
        first = app.chat.pane.conversation_id
        await pilot.press("ctrl+n", "ctrl+k")
        await until(
            pilot, lambda: isinstance(app.screen, KnowledgePicker) and "a plain chat" in screen_text(app)
        )
        await pilot.press("up", "enter")
        await until(pilot, lambda: "no documents" in screen_text(app))
        await ask(app, pilot, "None?")
        app.chat.pane.open(first)
        await until(pilot, lambda: app.chat.pane.options.knowledge_bases == ("guide",))
    assert stage.script.asked_of == [("guide", "letters"), ("guide",), ()]


async def test_a_knowledge_base_that_went_away_gives_the_text_back(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.use_knowledge(("gone",))
        await ask(app, pilot, "Where?")
        assert "There is no knowledge base 'gone'." in screen_text(app)
        assert app.chat.pane.prompt.text == "Where?"


async def test_a_folder_is_added_with_progress_and_stopped(stage: Stage) -> None:
    folder = stage.folder / "My letters"
    folder.mkdir()
    for n in range(5):
        (folder / f"letter{n}.txt").write_text(f"Dear {n}")
    stage.sync_gate.clear()
    async with running(stage) as (app, pilot):
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(app.screen, AddDocuments))
        app.screen.query_one("#path", Line).value = str(stage.folder / "My l")
        await pilot.press("tab")
        await until(pilot, lambda: app.screen.query_one("#path", Line).value == f"{folder}/")
        await pilot.press("enter")
        await until(pilot, lambda: "1 of 5 files" in screen_text(app) and "files/s" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "indexing 20%" in screen_text(app))
        stage.sync_gate.set()
        await until(pilot, lambda: "5 documents (" in screen_text(app))
        await until(pilot, lambda: "guide, my-letters" in screen_text(app))
        stage.sync_gate.clear()
        await pilot.press("f4")
        app.screen.query_one("#path", Line).value = str(folder)
        await pilot.press("enter")
        await until(pilot, lambda: app.jobs["sync"].running)
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "; stopped" in screen_text(app))


async def test_a_path_that_is_not_there_is_said(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("f4")
        app.screen.query_one("#path", Line).value = "/nowhere/at/all"
        await pilot.press("enter")
        await until(pilot, lambda: "/nowhere/at/all does not exist." in screen_text(app))


def test_completing_paths_and_naming(tmp_path: Path) -> None:
    (tmp_path / "Über uns").mkdir()
    (tmp_path / "alpha1").mkdir()
    (tmp_path / "alpha2").write_text("")
    assert complete_path(f"{tmp_path}/Ü") == (f"{tmp_path}/Über uns/", [])
    assert complete_path(f"{tmp_path}/a") == (f"{tmp_path}/alpha", ["alpha1/", "alpha2"])
    assert complete_path(f"{tmp_path}/zzz") == (f"{tmp_path}/zzz", [])
    assert complete_path("/nowhere/x") == ("/nowhere/x", [])
    assert suggested_name(tmp_path / "Über uns") == "ber-uns"
    assert suggested_name(Path("/")) == "documents"


# --- the first start ------------------------------------------------------------------------------------


async def test_the_first_start_is_guided(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, model="", documents=False)
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("A")
    async with running(stage) as (app, pilot):
        await until(
            pilot, lambda: isinstance(app.screen, WelcomeScreen) and "Welcome to ragchat" in screen_text(app)
        )
        await pilot.press("1")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker) and "To download" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.model_state.phase == "ready")
        await pilot.press("escape")
        await until(pilot, lambda: "✓ A model" in screen_text(app))
        await pilot.press("2")
        app.screen.query_one("#path", Line).value = str(folder)
        await pilot.press("enter")
        await until(pilot, lambda: "notes: 1 document" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "✓ Your documents" in screen_text(app))
        assert "try it on ragchat's own manual" not in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.chat)
        assert app.focused is app.chat.pane.prompt
        await ask(app, pilot, "What do the notes say?")
        assert stage.script.asked_of == [("notes",)]


async def test_who_has_chatted_before_is_not_welcomed_again(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, documents=False)
    with stage.chats() as store:
        store.create_conversation("Old")
    async with running(stage) as (app, _):
        assert app.screen is app.chat


async def test_with_a_model_and_the_manual_the_first_question_can_be_typed_at_once(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, documents=False)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: app.looked_around and app.model_state.phase == "ready")
        assert app.screen is app.chat
        assert "What is ragchat?" in screen_text(app)
        await ask(app, pilot, "What is ragchat?")
        assert stage.script.asked_of == [("manual",)]


async def test_the_welcome_is_in_nobodys_way(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, model="", documents=False)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat and app.focused is app.chat.pane.prompt)
        assert "What would you like to know?" in screen_text(app)


async def test_who_types_at_the_welcome_means_the_prompt(tmp_path: Path) -> None:
    stage = set_stage(tmp_path, model="", documents=False)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, WelcomeScreen))
        await pilot.press(*"How so")
        await until(pilot, lambda: app.screen is app.chat and app.chat.pane.prompt.text == "How so")


# --- help, palette, keymap ------------------------------------------------------------------------------


async def test_help_lists_every_binding_with_an_id(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert isinstance(app.screen, HelpScreen)
        text = app.screen._content().plain
        for _, owners in key_groups():
            for owner in owners:
                for _, binding in bound_keys(owner, {}):
                    assert binding.description in text or binding.description.startswith("Source ")
        assert "F3 ^k" in text
        await pilot.press("escape")
        app.chat.pane.transcript.focus()
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_a_question_mark_in_the_prompt_is_a_character(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("question_mark")
        assert app.chat.pane.prompt.text == "?"


async def test_keys_can_be_bound_anew(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.set_keymap({"app.model": "f12"})
        await pilot.press("f2")
        assert app.screen is app.chat
        await pilot.press("f12")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))
        await pilot.press("escape", "f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        assert isinstance(app.screen, HelpScreen)
        assert "F12" in app.screen._content().plain


async def test_the_palette_opens_and_does_things(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"choose a model")
        await until(pilot, lambda: "Choose a model" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ModelPicker))


def test_every_binding_of_ours_has_an_id_of_its_own() -> None:
    ids = [
        binding.id for _, owners in key_groups() for owner in owners for _, binding in bound_keys(owner, {})
    ]
    assert len(ids) == len(set(ids))
    assert "chat.new" in ids


# --- panels and sizes -----------------------------------------------------------------------------------


async def test_panels_fold_and_open_over_a_narrow_window(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        chats, sources = app.chat.query_one(ChatList), app.chat.sources
        assert (chats.display, sources.display) == (True, True)
        await pilot.resize_terminal(90, 24)
        await until(pilot, lambda: (chats.display, sources.display) == (True, False))
        await pilot.resize_terminal(60, 20)
        await until(pilot, lambda: (chats.display, sources.display) == (False, False))
        await pilot.press("ctrl+b")
        await until(pilot, lambda: chats.display and app.focused is chats.options)
        await pilot.press("f6")
        await until(pilot, lambda: sources.display and not chats.display and app.focused is sources)
        await pilot.press("escape")
        await until(pilot, lambda: not sources.display and app.focused is app.chat.pane.prompt)
        await pilot.resize_terminal(120, 36)
        await until(pilot, lambda: (chats.display, sources.display) == (True, True))
        await pilot.press("f6", "ctrl+b")
        await until(pilot, lambda: (chats.display, sources.display) == (False, False))


async def test_tab_moves_between_the_panels(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        seen = []
        for _ in range(4):
            await pilot.press("tab")
            assert app.focused is not None
            seen.append(type(app.focused).__name__)
        assert seen == ["Transcript", "SourcesPanel", "_Options", "Prompt"]
        await pilot.press("shift+tab")
        assert type(app.focused).__name__ == "_Options"


@pytest.mark.parametrize("keys", [(), ("f1",), ("f2",), ("f3",), ("f4",), ("f6", "enter")])
async def test_every_size_from_tiny_to_huge(stage: Stage, keys: tuple[str, ...]) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        await pilot.press("f6") if "f6" in keys else None
        await pilot.press(*keys)
        for width, height in ((20, 5), (200, 60), (1, 1), (80, 24)):
            await pilot.resize_terminal(width, height)
            await pilot.pause()
            lines = screen_text(app).splitlines()
            assert len(lines) <= height
            assert all(len(line) <= width for line in lines)


async def test_sixty_by_twenty_is_fully_usable(stage: Stage) -> None:
    async with running(stage, size=(60, 20)) as (app, pilot):
        await pilot.press(*"Why?", "enter")
        await until(
            pilot, lambda: "Forty-two is the answer" in screen_text(app) and app.chat.pane.live is None
        )
        assert "● fake · guide" in screen_text(app)
        assert "Help" in screen_text(app)
        await pilot.press("f2")
        await until(pilot, lambda: "Enter uses or downloads" in screen_text(app))
        await pilot.press("escape")
        await pilot.press("f4")
        await until(pilot, lambda: "Tab completes a path" in screen_text(app))


# --- the process ----------------------------------------------------------------------------------------

HEAVY = (
    "numpy",
    "sqlite3",
    "sqlite_utils",
    "kreuzberg",
    "psutil",
    "llama_cpp",
    "markdown_it",
    "pygments",
    "rank_bm25",
)


def test_nothing_heavy_is_imported_before_the_first_paint() -> None:
    code = f"import sys, ragchat.tui.app, ragchat.app.services; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
async def test_signals_end_the_app_in_order(stage: Stage, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "GRACE_S", 3600)  # what ends for certain would end this process
    before = signal.getsignal(getattr(signal, name))
    app = RagchatApp(stage.services)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.model_state.phase == "ready")
        await pilot.press(*"kept")
        os.kill(os.getpid(), getattr(signal, name))
        await until(pilot, lambda: app._exit)
    with stage.chats() as store:
        assert store.draft(0) == "kept"
    signal.signal(getattr(signal, name), before)
