"""The list of chats and the strip of open ones: groups, filter, keys, mouse, sizes, hostile titles."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.message import Message

import ragchat.tui
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.tags import AskTags, split_tags
from ragchat.tui.widgets.chat_list import ChatList, day_group
from ragchat.tui.widgets.lazy_list import LazyList
from ragchat.tui.widgets.tabs import OpenChat, TabStrip
from ragchat.types import Conversation
from tests.helpers.tui_fakes import until

if TYPE_CHECKING:
    from textual.pilot import Pilot

STYLES = Path(ragchat.tui.__file__).with_name("ragchat.tcss")
SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]


class Host(App[None]):
    """The two widgets, and every message that leaves them."""

    CSS_PATH = STYLES

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, object]] = []

    def compose(self) -> ComposeResult:
        yield TabStrip()
        yield ChatList()

    def on_chat_list_requested(self, event: ChatList.Requested) -> None:
        self.said.append((event.action, event.conversation.id if event.conversation else None))

    def on_tab_strip_chosen(self, event: TabStrip.Chosen) -> None:
        self.said.append(("tab", event.conversation_id))

    def on_tab_strip_closed(self, event: TabStrip.Closed) -> None:
        self.said.append(("close", event.conversation_id))

    def on_lazy_list_chosen(self, event: Message) -> None:
        self.said.append(("leaked", event))

    @property
    def chats(self) -> ChatList:
        return self.query_one(ChatList)

    @property
    def tabs(self) -> TabStrip:
        return self.query_one(TabStrip)

    @property
    def text(self) -> str:
        return "\n".join(strip.text.rstrip() for strip in self.screen._compositor.render_strips())


@contextlib.asynccontextmanager
async def host(size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    app = Host()
    async with app.run_test(size=size) as pilot:
        yield app, pilot


def chat(number: int, title: str = "", *, days: float = 0, **values: object) -> Conversation:
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    return Conversation(number, title or f"Chat {number}", "fake", None, at, at, **values)  # type: ignore[arg-type]


# --- groups ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "group"),
    [
        ("2026-11-26", "Today"),
        ("2026-11-27", "Today"),
        ("2026-11-25", "Yesterday"),
        ("2026-11-24", "This week"),
        ("2026-11-23", "This week"),
        ("2026-11-22", "This month"),
        ("2026-11-01", "This month"),
        ("2026-10-31", "October 2026"),
        ("2025-11-26", "November 2025"),
        ("", "Earlier"),
    ],
)
def test_groups_by_time(day: str, group: str) -> None:
    thursday = date(2026, 11, 26)
    assert day_group(f"{day}T12:00:00" if day else "", thursday) == group


async def test_pinned_chats_stand_first_and_marks_and_tags_are_shown() -> None:
    async with host() as (app, pilot):
        app.chats.show(
            [
                chat(3, "Pinned one", days=70, pinned=True, tags=("work", "boiler")),
                chat(2, "Fresh"),
                chat(1, "Old", days=70),
            ]
        )
        app.chats.mark(current=2, answering=1)
        await pilot.pause()
        lines = [line.strip() for line in app.text.splitlines() if line.strip()]
        assert lines[0] == "Chats · 3"
        assert lines[1] == "Pinned"
        assert lines[2] == "★ Pinned one"
        assert "#work" in lines[3]
        assert lines[4:6] == ["Today", "▸ Fresh"]
        assert lines[8] == "◌ Old"


# --- keys -----------------------------------------------------------------------------------------------


async def test_every_key_asks_for_its_action() -> None:
    async with host() as (app, pilot):
        app.chats.show([chat(1), chat(2)])
        app.chats.options.focus()
        await pilot.press("down", "enter", "n", "r", "p", "t", "o", "ctrl+enter", "d", "u")
        assert app.said == [
            ("open", 1),
            ("new", 1),
            ("rename", 1),
            ("pin", 1),
            ("tags", 1),
            ("open_tab", 1),
            ("open_tab", 1),
            ("delete", 1),
            ("undelete", 1),
        ]
        await pilot.press("down", "enter")
        assert app.said[-1] == ("open", 2)
        await pilot.press("down", "up", "up", "up", "enter")
        assert app.said[-1] == ("open", 1)


async def test_without_chats_there_is_a_hint_and_nothing_to_press() -> None:
    async with host() as (app, pilot):
        app.chats.show([])
        app.chats.options.focus()
        await pilot.press("down", "enter", "d", "r")
        assert "No chats yet" in app.text
        assert app.said == []
        await pilot.press("n")
        assert app.said == [("new", None)]


async def test_the_filter_narrows_by_title_and_tag_while_it_is_typed() -> None:
    async with host() as (app, pilot):
        app.chats.show(
            [chat(1, "Boiler pressure"), chat(2, "Holiday", tags=("Work",)), chat(3, "Boiler noise")]
        )
        app.chats.options.focus()
        await pilot.press("slash", *"boiler no")
        assert "Boiler noise" in app.text
        assert "Boiler pressure" not in app.text
        await pilot.press("enter")
        assert app.said == [("open", 3)]
        await pilot.press("escape")
        assert "Holiday" in app.text
        assert app.focused is app.chats.options
        await pilot.press("f", *"#work")
        assert "Holiday" in app.text
        assert "Boiler" not in app.text
        await pilot.press(*"xyz")
        assert "No chat matches" in app.text
        await pilot.press("enter")
        assert app.said == [("open", 3)]
        await pilot.press("escape", "slash", *"boiler", "down", "enter")
        assert app.said[-1] == ("open", 3)
        assert not app.query_one(Line).value.endswith("#work")


async def test_the_highlight_stays_with_its_chat_and_falls_to_the_next_when_it_goes() -> None:
    async with host() as (app, pilot):
        app.chats.show([chat(n) for n in (5, 4, 3, 2, 1)])
        app.chats.options.focus()
        await pilot.press("down", "down", "down")
        assert app.chats.options.key == "3"
        app.chats.show([chat(n) for n in (9, 5, 4, 3, 2, 1)])
        assert app.chats.options.key == "3"
        app.chats.show([chat(n) for n in (9, 5, 4, 2, 1)])
        assert app.chats.options.key == "2"


async def test_a_click_opens_and_home_shows_the_heading() -> None:
    async with host(size=(60, 20)) as (app, pilot):
        app.chats.show([chat(n) for n in range(1, 41)])
        app.chats.options.focus()
        await pilot.press("end")
        assert "Chat 40" in app.text
        await pilot.press("home")
        assert "Today" in app.text
        lines = app.text.splitlines()
        row = next(n for n, line in enumerate(lines) if "Chat 2" in line)
        await pilot.click(offset=(6, row))
        assert app.said == [("open", 2)]


# --- hostile and many -----------------------------------------------------------------------------------


async def test_hostile_titles_and_tags_come_to_nothing() -> None:
    evil = "\x1b]52;c;aGk=\x07[@click=app.quit]x[/] \x1b[31mred\u202e\n second " + "w" * 9000
    async with host() as (app, pilot):
        app.chats.show([chat(1, evil, tags=(evil,)), chat(2, "日本語の長い題名" * 20), chat(3, " \n ")])
        app.tabs.show([OpenChat(1, evil), OpenChat(2, "日本語の長い題名" * 20)], current=1)
        await pilot.pause()
        segments = "".join(
            segment.text for strip in app.screen._compositor.render_strips() for segment in strip
        )
        assert "\x1b" not in segments
        assert "\u202e" not in segments
        assert "[@click=app.quit]x" in app.text
        assert "(no title)" in app.text
        assert all(cell_len(line) <= 80 for line in app.text.splitlines())


async def test_thousands_of_chats_are_shown_filtered_and_walked_quickly() -> None:
    chats = [chat(n, f"Question {n}", days=n / 8) for n in range(1, 5001)]
    async with host() as (app, pilot):
        began = time.perf_counter()
        app.chats.show(chats)
        shown_s = time.perf_counter() - began
        app.chats.options.focus()
        await pilot.press("end")
        assert "Question 5000" in app.text
        began = time.perf_counter()
        app.chats.line.value = "4321"
        await pilot.pause()
        filtered_s = time.perf_counter() - began
        assert "Question 4321" in app.text
        assert "Question 5000" not in app.text
        drawn = len(app.chats.options._strips)
        # Generous, for busy machines: OptionList takes longer than that for its layout alone.
        assert shown_s < 0.25
        assert filtered_s < 0.5
        assert drawn < 50


@pytest.mark.parametrize("size", [*SIZES, (20, 5), (1, 1)])
async def test_list_and_tabs_at_every_size(size: tuple[int, int]) -> None:
    async with host(size=size) as (app, pilot):
        app.chats.show([chat(n) for n in range(1, 60)])
        app.tabs.show([OpenChat(n, f"A rather long title {n}") for n in range(1, 9)], current=8)
        app.chats.options.focus()
        await pilot.press("pagedown", "pagedown", "pageup", "end", "home")
        assert len(app.text.splitlines()) <= size[1]
        assert all(cell_len(line) <= size[0] for line in app.text.splitlines())


async def test_paging_moves_by_what_is_seen_and_stops_at_the_ends() -> None:
    async with host() as (app, pilot):
        app.chats.show([chat(n) for n in range(1, 101)])
        options: LazyList = app.chats.options
        options.focus()
        await pilot.press("pagedown")
        assert options.key == "1"
        await pilot.press("pagedown")
        assert 8 <= int(options.key) <= 12
        for _ in range(20):
            await pilot.press("pagedown")
        assert options.key == "100"
        for _ in range(20):
            await pilot.press("pageup")
        assert options.key == "1"


# --- tags -----------------------------------------------------------------------------------------------


def test_tags_are_split_cleaned_and_kept_once() -> None:
    assert split_tags(" #work,, boiler ,work, \x1b[31mred ") == ("work", "boiler", "red")
    assert split_tags("  ") == ()


async def test_a_line_asks_for_tags() -> None:
    given: list[tuple[str, ...] | None] = []
    async with host() as (app, pilot):
        app.push_screen(AskTags(("work",), known=("home", "work")), given.append)
        await until(pilot, lambda: isinstance(app.screen, AskTags) and "Your tags: home, work" in app.text)
        await pilot.press(*", boiler", "enter")
        app.push_screen(AskTags(("work",)), given.append)
        await pilot.pause()
        await pilot.press(*["backspace"] * 4, "enter")
        app.push_screen(AskTags(("work",)), given.append)
        await pilot.pause()
        await pilot.press("escape")
    assert given == [("work", "boiler"), (), None]


# --- tabs -----------------------------------------------------------------------------------------------


async def test_one_open_chat_needs_no_strip() -> None:
    async with host() as (app, pilot):
        app.tabs.show([OpenChat(1, "Only")], current=1)
        await pilot.pause()
        assert not app.tabs.display
        app.tabs.show([OpenChat(1, "One"), OpenChat(0, "")], current=0)
        await pilot.pause()
        assert app.text.splitlines()[0].strip() == "One ✕ ▸New chat ✕"


async def test_tabs_are_chosen_and_closed_with_the_mouse() -> None:
    async with host() as (app, pilot):
        app.tabs.show([OpenChat(1, "One", answering=True), OpenChat(2, "Two")], current=2)
        await pilot.pause()
        line = app.text.splitlines()[0]
        assert "◌ One ✕" in line
        await pilot.click(offset=(line.index("One"), 0))
        await pilot.click(offset=(line.index("✕"), 0))
        await pilot.click(offset=(line.index("Two"), 0), button=2)
        assert app.said == [("tab", 1), ("close", 1), ("close", 2)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_current_tab_is_always_in_view(size: tuple[int, int]) -> None:
    chats = [OpenChat(n, f"Chat number {n:02} of many") for n in range(1, 21)]
    async with host(size=size) as (app, pilot):
        for current in (1, 20, 10, 11, 3, 19):
            app.tabs.show(chats, current=current)
            await pilot.pause()
            line = app.text.splitlines()[0]
            assert f"number {current:02}" in line
            assert ("‹" in line) == ("number 01" not in line)
            assert ("›" in line) == ("number 20" not in line)
        app.tabs.show(chats, current=1)
        await pilot.pause()
        line = app.text.splitlines()[0]
        await pilot.click(offset=(line.index("›"), 0))
        assert "number 01" not in app.text.splitlines()[0]


async def test_no_row_is_cut_in_two_at_the_top() -> None:
    async with host(size=(60, 21)) as (app, pilot):
        app.chats.show([chat(n) for n in range(1, 41)])
        app.chats.options.focus()
        for _ in range(25):
            await pilot.press("down")
            first = app.text.splitlines()[app.chats.options.content_region.y].strip()
            assert first.startswith(("Chat", "Today"))
