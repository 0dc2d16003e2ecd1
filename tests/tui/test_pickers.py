"""Lists with a filter, and windows with a typed path: what Enter means, and that no key and no path ends the program."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.screen import Screen

from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.app import RagchatApp
from ragchat.tui.saving import save_text
from ragchat.tui.screens.add_documents import AddDocuments
from ragchat.tui.screens.ask_line import AskLine
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.export import ExportChats, ImportChats
from ragchat.tui.screens.train import Train
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until

BAD_PATHS = ["~nobodyx", "x" * 300, "a\0b"]


def is_ready(app: RagchatApp, window: Screen[Any]) -> bool:
    return app.screen is window and bool(window.query("#note"))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    for name in ("letters", "recipes"):
        KnowledgeStore.create(tmp_path / "kb", name).close()
    return stage


async def test_a_name_that_is_typed_is_chosen_alone(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        assert len(app.chat.asked_knowledge) == 3, "all are marked"
        await pilot.press("f3")
        await until(pilot, lambda: "recipes" in screen_text(app))
        await pilot.press(*"letters", "enter")
        await until(pilot, lambda: app.chat.asked_knowledge == ("letters",))
        await pilot.press("f3")
        await until(pilot, lambda: isinstance(app.screen, KnowledgePicker) and "recipes" in screen_text(app))
        await pilot.press(*"reci", "enter")
        await until(pilot, lambda: app.chat.asked_knowledge == ("recipes",))


async def test_a_name_that_is_typed_joins_what_was_marked(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.use_knowledge(())
        await pilot.press("f3")
        await until(pilot, lambda: "recipes" in screen_text(app))
        await pilot.press("down", "space", *"reci", "enter")
        await until(pilot, lambda: app.chat.asked_knowledge == ("guide", "recipes"))


async def test_a_filter_marks_nothing(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.use_knowledge(("guide",))
        await pilot.press("f3")
        await until(pilot, lambda: "recipes" in screen_text(app))
        await pilot.press(*"let", "space", *"ers")
        await until(pilot, lambda: app.screen.query_one(Line).value == "let ers")
        assert "● guide" not in screen_text(app)
        await pilot.press("ctrl+u")
        await until(pilot, lambda: "● guide" in screen_text(app) and "○ letters" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
        assert app.chat.asked_knowledge == ("guide",)


async def test_documents_that_were_added_are_offered_to_a_chat_that_asks_others(stage: Stage) -> None:
    folder = stage.folder / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("A")
    async with running(stage) as (app, pilot):
        app.chat.use_knowledge(("guide",))
        app.start_sync("notes", [folder])
        await until(pilot, lambda: "This chat asks guide. Press F3 to ask notes." in screen_text(app))
        assert app.chat.asked_knowledge == ("guide",)
        app.chat.open_chat(0)
        await until(pilot, lambda: "notes" in app.chat.asked_knowledge)


async def test_nothing_is_chosen_where_nothing_matches(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("f3")
        await until(pilot, lambda: "recipes" in screen_text(app))
        await pilot.press(*"zzz")
        await until(pilot, lambda: "Nothing matches “zzz”" in screen_text(app))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, KnowledgePicker)


@pytest.mark.parametrize("key", ["f2", "f3", "f7", "ctrl+f"])
async def test_enter_twice_closes_one_window(stage: Stage, key: str) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "What is 42?")
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.chat)
        await pilot.press("enter", "enter", "enter")
        await pilot.pause()
        app.screen.dismiss(None) if app.screen is not app.chat else None
        await until(pilot, lambda: app.is_running and app.screen is app.chat)


async def test_a_window_is_left_once(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        window = KnowledgePicker(())
        given: list[object] = []
        app.push_screen(window, given.append)
        await until(pilot, lambda: app.screen is window)
        window.dismiss(("guide",))
        window.dismiss(("letters",))
        await until(pilot, lambda: app.screen is app.chat and given == [("guide",)])


async def test_without_knowledge_bases_enter_goes_on_to_adding_documents(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        for name in stage.services.documents.names():
            stage.services.documents.remove(name)
        await pilot.press("f3")
        await until(pilot, lambda: "Enter" in screen_text(app) and "no documents" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AddDocuments))
        assert app.chat.pane.options.knowledge_bases is None


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_no_typed_path_ends_the_program(
    stage: Stage, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.folder)
    services = stage.services
    async with running(stage) as (app, pilot):
        for window, line in (
            (AddDocuments(), "#path"),
            (ExportChats(services, 0, "chat"), "Line"),
            (ImportChats(services), "Line"),
            (Train(services, app.chat.trainings), "#file"),
        ):
            app.push_screen(window)
            await until(pilot, partial(is_ready, app, window))
            if isinstance(window, Train):
                window.query_one(Line).value = "facts"
            window.query_one(line, Line).value = path
            window.query_one(line, Line).focus()
            await pilot.press("enter")
            await until(
                pilot,
                lambda: (
                    "~nobodyx" in screen_text(app)
                    or "too long" in screen_text(app)
                    or "characters" in screen_text(app)
                ),
            )
            assert app.screen is window
            window.dismiss(None)
            await until(pilot, lambda: app.screen is app.chat)
        for command in ("/attach", "/summarise", "/import", "/export"):
            app.chat.pane.prompt.put(f"{command} {path}")
            await pilot.press("enter", "enter", "escape")
            await pilot.pause()
            app.chat.pane.prompt.focus()
        save_text(app, "text", "the text", "a.txt")
        await until(pilot, lambda: isinstance(app.screen, AskLine))
        app.screen.query_one(Line).value = path
        await pilot.press("enter")
        await until(pilot, lambda: "Not saved" in screen_text(app) or path == "a\0b")
        assert app.is_running
        assert not stage.trained
