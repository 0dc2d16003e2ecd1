"""The windows that write chats into files and bring them in, through real keys, over a real database."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Checkbox, OptionList, Static

import ragchat.tui
from ragchat.app.services import Services
from ragchat.session.exporting import export_text
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.export import ExportChats, ExportRequest, ImportChats, write_chats
from tests.helpers.tui_fakes import set_stage, until
from tests.session.test_chat_transfer import SHARE, chat, gpt_chat, gpt_node


class Host(App[None]):
    """Shows one window and keeps what it gives."""

    CSS_PATH = str(Path(ragchat.tui.__file__).with_name("ragchat.tcss"))

    def __init__(self, window: Screen[object]) -> None:
        super().__init__()
        self.window, self.given = window, list[object]()

    def on_mount(self) -> None:
        self.push_screen(self.window, self.given.append)


@contextlib.asynccontextmanager
async def shown(
    window: Screen[Any], size: tuple[int, int] = (100, 30)
) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    app = Host(window)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.screen is window and app.focused is not None)
        yield app, pilot


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """Two chats, and an empty folder to work in."""
    made = set_stage(tmp_path / "home", documents=False).services
    with contextlib.closing(made.open_chats()) as store:
        store.add_portable(chat())
        store.add_portable(chat("Other"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return made


def note(app: Host) -> str:
    return str(app.window.query_one("#note", Static).content)


def line(app: Host) -> str:
    return app.window.query_one(Line).value


def text_of(services: Services, *numbers: int, format: str = "markdown") -> str:
    with contextlib.closing(services.open_chats()) as store:
        return export_text([store.portable(number) for number in numbers], format)  # type: ignore[arg-type]


async def test_this_chat_is_written_as_markdown_by_enter(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler")) as (app, pilot):
        assert line(app) == "boiler.md"
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    written = Path("boiler.md")
    assert app.given == [f"1 chat written to {written.resolve()} ({written.stat().st_size} B)."]
    assert written.read_text("utf-8") == text_of(services, 1)


async def test_the_name_follows_the_format_and_all_chats_until_it_is_typed(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler")) as (app, pilot):
        await pilot.press("down")
        await until(pilot, lambda: line(app) == "boiler.html")
        await pilot.press("tab", "space")
        await until(pilot, lambda: line(app) == "ragchat-chats.html")
        await pilot.press("up")
        await until(pilot, lambda: line(app) == "ragchat-chats")
        await pilot.press("shift+tab")
        await pilot.press(*["backspace"] * 13, *"mine.md")
        await pilot.press("down", "down")
        await until(pilot, lambda: line(app) == "mine.json")
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    assert Path("mine.json").read_text("utf-8") == text_of(services, 2, 1, format="json")


async def test_all_chats_as_markdown_make_a_folder(services: Services) -> None:
    async with shown(ExportChats(services, 0, "")) as (app, pilot):
        assert app.window.query_one(Checkbox).disabled
        assert line(app) == "ragchat-chats"
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    assert str(app.given[0]).startswith(f"2 chats written to {Path('ragchat-chats').resolve()} (")
    assert len(list(Path("ragchat-chats").iterdir())) == 2


async def test_overwriting_asks_first(services: Services) -> None:
    file = Path("boiler.md")
    file.write_text("mine", "utf-8")
    async with shown(ExportChats(services, 1, "boiler")) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "Press Enter again to overwrite it." in note(app))
        assert file.read_text("utf-8") == "mine"
        await pilot.press("x", "backspace", "enter")  # another name was thought of: it asks again
        await until(pilot, lambda: "Press Enter again to overwrite it." in note(app))
        assert file.read_text("utf-8") == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    assert file.read_text("utf-8") == text_of(services, 1)


async def test_what_cannot_be_written_is_explained_and_can_be_mended(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler")) as (app, pilot):
        app.window.query_one(Line).value = "none/boiler.md"
        await pilot.press("enter")
        await until(pilot, lambda: "There is no folder none. Create it or choose another." in note(app))
        app.window.query_one(Line).value = "~nobody-here/x.md"
        await pilot.press("tab", "shift+tab", "enter")
        await until(pilot, lambda: "There is no user for ~nobody-here." in note(app))
        app.window.query_one(Line).value = " "
        await pilot.press("enter")
        await until(pilot, lambda: "Type the path of the new file." in note(app))
        Path("folder").mkdir()
        app.window.query_one(Line).value = "fol"
        await pilot.press("tab")
        await until(pilot, lambda: line(app) == "folder/")
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    assert [path.name for path in Path("folder").iterdir()] == ["2026-11-23-the-boiler.md"]


async def test_escape_writes_nothing(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler")) as (app, pilot):
        await pilot.press("escape")
        await until(pilot, lambda: app.given)
    assert app.given == [None]
    assert not list(Path().iterdir())


async def test_the_windows_fit_a_small_terminal(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler"), (60, 20)) as (app, _):
        for kind in (OptionList, Line, Checkbox):
            region = app.window.query_one(kind).region
            assert region.height > 0
            assert region.bottom <= 20
            assert region.right <= 60
        assert app.window.query_one(".dialog-help").region.bottom <= 20


async def test_a_path_that_was_given_already_says_the_format(services: Services) -> None:
    async with shown(ExportChats(services, 1, "boiler", path="mine.html")) as (app, pilot):
        await pilot.pause()
        assert line(app) == "mine.html"
        await pilot.press("enter")
        await until(pilot, lambda: app.given)
    assert Path("mine.html").read_text("utf-8") == text_of(services, 1, format="html")
    Path("share.json").write_text(json.dumps(SHARE), "utf-8")
    async with shown(ImportChats(services, path="share.json")) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "1 chat imported." in note(app))


async def test_without_the_window(services: Services) -> None:
    said = write_chats(services, ExportRequest(1, "html", Path("a.html")))
    assert said.startswith(f"1 chat written to {Path('a.html').resolve()} (")


async def test_chats_come_in_with_counts_and_reasons(services: Services) -> None:
    good = gpt_chat(gpt_node("u", "root", "user", "Why?"), gpt_node("t", "u", "tool", "x"))
    Path("gpt.json").write_text(json.dumps([good, gpt_chat(title="Evil [/] \x1b[31mone")]), "utf-8")
    async with shown(ImportChats(services)) as (app, pilot):
        await pilot.press(*"gp", "tab")
        await until(pilot, lambda: line(app) == "gpt.json")
        await pilot.press("enter")
        await until(pilot, lambda: "1 chat imported, 1 rejected." in note(app))
        assert "Left out: messages of tools (1)." in note(app)
        assert "chat 2 “Evil [/] one”: it contains no text from a user or a model" in note(app)
        await pilot.press("enter")
        await until(pilot, lambda: "0 chats imported, 1 duplicate skipped, 1 rejected." in note(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.given)
    assert app.given == [True]
    with contextlib.closing(services.open_chats()) as store:
        assert len(store.conversations()) == 3


async def test_an_import_that_fails_is_explained(services: Services) -> None:
    Path("notes.md").write_text("# Notes", "utf-8")
    Path("share.json").write_text(json.dumps(SHARE), "utf-8")
    async with shown(ImportChats(services)) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: "Type the path of the file." in note(app))
        app.window.query_one(Line).value = "notes.md"
        await pilot.press("enter")
        await until(pilot, lambda: "notes.md: It is not a JSON file." in note(app))
        app.window.query_one(Line).value = "none.json"
        await pilot.press("enter")
        await until(pilot, lambda: "There is no file none.json." in note(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.given)
    assert app.given == [False]
