"""How the screen looks, in words: one row is marked, one kind of frame, the same keys, Markdown without its signs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.content import Content
from textual.pilot import Pilot

from ragchat.tui.app import RagchatApp
from ragchat.tui.markdown_marks import is_markdown, unmarked
from ragchat.tui.safe_content import evidence_line, passage_content
from ragchat.tui.screens.edit_text import EditText
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import Citation
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until

ALWAYS = "F1 Help   F2 Model   F3 Documents   F4 Add documents   ^n New chat   ^f Search   ^q Quit"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


async def two_chats(app: RagchatApp, pilot: Pilot[None]) -> int:
    """Ask in two chats; the number of the first."""
    await ask(app, pilot, "First?")
    first = app.chat.pane.conversation_id
    await pilot.press("ctrl+n")
    await until(pilot, lambda: not app.chat.pane.transcript.views)
    await ask(app, pilot, "Second?")
    await until(pilot, lambda: len(app.chat.chats) == 2)
    return first


async def test_only_the_chat_that_is_open_is_marked_unless_you_move_in_the_list(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        chats = app.chat.query_one(ChatList)
        first = await two_chats(app, pilot)
        current = str(app.chat.pane.conversation_id)
        await until(pilot, lambda: chats.options.key == current)
        chats.options.focus()
        await pilot.press("down")
        await until(pilot, lambda: chats.options.key == str(first))
        app.chat.pane.prompt.focus()
        await until(pilot, lambda: chats.options.key == current)
        app.chat.open_chat(first)
        await until(pilot, lambda: chats.options.key == str(first))


async def test_a_chat_that_is_listed_after_it_was_opened_is_marked(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        chats = app.chat.query_one(ChatList)
        first = await two_chats(app, pilot)
        app.chat.open_chat(first)
        await until(pilot, lambda: chats.options.key == str(first))
        both = chats.chats
        chats.show([one for one in both if one.id == first])
        (other,) = [one.id for one in both if one.id != first]
        chats.mark(current=other, answering=0)
        chats.show(both)
        assert chats.options.key == str(other)


async def test_the_footer_shows_the_same_keys_wherever_the_focus_is(stage: Stage) -> None:
    async with running(stage, size=(140, 36)) as (app, pilot):
        await ask(app, pilot, "First?")
        hints = app.chat.query_one(KeyHints)
        seen = set()
        for place in (
            app.chat.pane.prompt,
            app.chat.pane.transcript,
            app.chat.sources,
            app.chat.query_one(ChatList).options,
        ):
            place.focus()
            await pilot.pause()
            line = str(hints.render())
            assert line.startswith(ALWAYS)
            seen.add(line.removeprefix(ALWAYS).strip())
        assert len(seen) == 4, "what works here follows"
        assert all(len(local.split("   ")) <= 3 for local in seen)


@pytest.mark.parametrize("width", [1, 20, 60, 80])
async def test_keys_that_do_not_fit_are_left_out_from_the_end(stage: Stage, width: int) -> None:
    async with running(stage, size=(width, 20)) as (app, _):
        line = str(app.chat.query_one(KeyHints).render())
        assert ALWAYS.startswith(line.split("    ")[0].rstrip())
        assert len(line) <= width


async def test_the_list_of_commands_is_as_wide_as_it_needs(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.focus()
        await pilot.press("/")
        await until(pilot, lambda: "/help" in screen_text(app))
        await pilot.pause()
        assert "…" not in screen_text(app).replace("… ", "")
        assert "Open another chat, by number or title" in screen_text(app)


@pytest.mark.parametrize("key", ["f2", "f3", "f4", "f5", "f7", "f8", "f9", "f10", "ctrl+f", "alt+e", "alt+c"])
async def test_frames_are_round(stage: Stage, key: str) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "First?")
        await pilot.press(key)
        await until(pilot, lambda: app.screen is not app.chat)
        assert frames(app) <= {"", "none", "round", "blank"}


async def test_the_frame_of_a_text_that_is_edited_is_round(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.push_screen(EditText("Title", "text"))
        await until(pilot, lambda: isinstance(app.screen, EditText))
        assert "round" in frames(app)
        assert frames(app) <= {"", "none", "round", "blank"}


def frames(app: RagchatApp) -> set[str]:
    """The kinds of all frames on the screen that go all around."""
    return {
        str(widget.styles.border_top[0])
        for widget in app.screen.query("*")
        if all(side[0] for side in widget.styles.border)
    }


# --- Markdown ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("## Pressure\n\nBelow `1 bar` it **stops**.", "Pressure\n\nBelow 1 bar it stops."),
        ("# Title #", "Title"),
        ("#tag and C# and a#b", "#tag and C# and a#b"),
        ("2 * 3 ** 4 ** 5", "2 * 3 ** 4 ** 5"),
        ("```\ncode\n```", "```\ncode\n```"),
        ("a `b", "a `b"),
        ("``a ` b``", "``a ` b``"),
        ("[b]x[/b] \\`kept`", "[b]x[/b] \\`kept`"),
        ("", ""),
    ],
)
def test_signs_of_markdown_are_not_shown(text: str, shown: str) -> None:
    assert unmarked(Content(text)).plain == shown


def test_only_files_that_are_markdown_lose_them() -> None:
    assert is_markdown("/a/guide.md")
    assert is_markdown("/a/page.html")
    for other in ("/a/script.py", "/a/notes.txt", "/a/data.csv", "/a/README", "table:orders#3"):
        assert not is_markdown(other)


def test_the_evidence_is_marked_where_it_stands_without_the_signs(stage: Stage) -> None:
    hit = stage.script.citations[0].hit
    text = "## Pressure\n\nUse `bar`. Below 1 bar it stops."
    citation = Citation(1, replace(hit, path="/a/guide.md", text=text), "Below 1 bar it stops.")
    content = passage_content(citation)
    assert content.plain == "Pressure\n\nUse bar. Below 1 bar it stops."
    marked = [
        content.plain[span.start : span.end] for span in content.spans if "warning bold" in str(span.style)
    ]
    assert marked == ["Below 1 bar it stops."]
    assert evidence_line(citation, 40) == 2
    plain = passage_content(replace(citation, hit=replace(citation.hit, path="/a/guide.txt")))
    assert plain.plain == text


async def test_the_preview_and_the_viewer_draw_headings_without_their_signs(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"boiler")
        await until(pilot, lambda: "Boiler guide" in screen_text(app) and "of the guide" in screen_text(app))
        await until(pilot, lambda: "# " not in screen_text(app))
