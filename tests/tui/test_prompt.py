"""The prompt by itself, through real keys: slash commands and their list, what it asks others to do, undo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Static

from ragchat.app.commands import Kind, Typed
from ragchat.tui.screens.dialog import Line
from ragchat.tui.widgets.completions import ROWS, Completions
from ragchat.tui.widgets.prompt import Prompt

NAMES: dict[str, list[str]] = {"model": ["smol", "qwen", "[red]evil\x1b[31m"], "preset": ["careful"]}


class Host(App[None]):
    """A prompt under a text, and everything that it says."""

    CSS_PATH = str(Path(__file__).parents[2] / "ragchat" / "tui" / "ragchat.tcss")

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Message] = []

    def compose(self) -> ComposeResult:
        with Vertical():
            text = Static("\n".join(f"line {n}" for n in range(40)))
            text.styles.height = "1fr"
            yield text
            yield Line()
            yield Prompt()

    def on_mount(self) -> None:
        def names(kind: Kind, begun: str) -> Sequence[str]:
            return NAMES.get(kind, [])

        self.prompt.candidates = names
        self.prompt.focus()

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def completions(self) -> Completions:
        return self.query_one(Completions)

    @on(Prompt.Submitted)
    @on(Prompt.Commanded)
    @on(Prompt.Unknown)
    @on(Prompt.EditorWanted)
    @on(Prompt.HistoryWanted)
    @on(Prompt.TemplatesWanted)
    def _hear(self, event: Message) -> None:
        self.said.append(event)

    def screen_lines(self) -> list[str]:
        return [strip.text for strip in self.screen._compositor.render_strips()]

    def labels(self) -> list[str]:
        """What stands in the list, one row each."""
        return [str(option.prompt) for option in self.completions.options] if self.completions.is_open else []


def commanded(app: Host) -> list[Typed]:
    return [event.typed for event in app.said if isinstance(event, Prompt.Commanded)]


async def typed(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


@pytest.mark.parametrize("size", [(100, 30), (60, 20)])
async def test_a_slash_opens_a_list_that_moves_nothing(size: tuple[int, int]) -> None:
    app = Host()
    async with app.run_test(size=size) as pilot:
        before = app.screen_lines()
        assert not app.completions.display
        await typed(pilot, "/")
        assert app.completions.region.height == ROWS
        assert app.completions.region.bottom == app.prompt.region.y, "it ends where the prompt begins"
        after = app.screen_lines()
        covered = range(app.completions.region.y, app.prompt.region.bottom)
        assert [y for y in range(size[1]) if before[y] != after[y] and y not in covered] == []
        assert "/help [COMMAND]" in after[app.completions.region.y]
        assert "All keys and commands" in after[app.completions.region.y]
        await typed(pilot, *"comp")
        assert [row.split()[0] for row in app.labels()] == ["/compare", "/compact"]
        await typed(pilot, "backspace", "backspace", "backspace", "backspace", "backspace")
        assert not app.completions.display
        assert app.screen_lines() == before


async def test_keys_in_the_list() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/comp", "down", "tab")
        assert app.prompt.text == "/compact "
        await typed(pilot, "ctrl+u", *"/comp", "up", "tab")
        assert app.prompt.text == "/compact ", "Up goes round"
        await typed(pilot, "ctrl+u", *"/comp", "tab")
        assert app.prompt.text == "/compare ", "Tab takes the first"
        assert app.said == []
        await typed(pilot, "ctrl+u", *"/ret", "enter")
        assert commanded(app) == [Typed("retry", "", "")], "a command without an argument runs"
        assert app.prompt.text == "/retry", "the text stays until it is taken"


async def test_enter_fills_in_a_name_that_wants_an_argument() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/mod", "enter")
        assert app.prompt.text == "/model "
        assert app.said == []
        assert [row.split()[0] for row in app.labels()] == ["smol", "qwen", "[red]evil"], "cleaned, no markup"
        await typed(pilot, "enter")
        assert commanded(app) == [Typed("model", "", "")], "nothing was highlighted, so nothing is taken"
        await typed(pilot, "q", "down", "enter")
        assert commanded(app)[1:] == [Typed("model", "qwen", "")]


async def test_escape_keeps_the_text_and_the_list_stays_away() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/he", "escape")
        assert (app.prompt.text, app.completions.display) == ("/he", False)
        await typed(pilot, "l")
        assert not app.completions.display
        await typed(pilot, "p", "enter")
        assert commanded(app) == [Typed("help", "", "")]
        await typed(pilot, "ctrl+u", "/")
        assert app.completions.display, "a new command is a new list"


async def test_enter_overtakes_no_letter() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        app.prompt.insert("/hel")
        app.prompt.action_submit()
        await pilot.pause()
        assert commanded(app) == [Typed("help", "", "")], (
            "what was typed is completed though no list was seen"
        )


async def test_a_command_keeps_the_lines_below_it() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/attach x", "ctrl+j", *"Why?")
        assert not app.completions.display
        await typed(pilot, "up", "enter")
        assert commanded(app) == [Typed("attach", "x", "Why?")]
        await typed(pilot, "ctrl+a", "ctrl+k", *"/find w", "enter")
        assert commanded(app)[1:] == [Typed("find", "w", "Why?")]


async def test_what_is_no_command_is_refused() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/retyr", "enter")
        (unknown,) = app.said
        assert isinstance(unknown, Prompt.Unknown)
        assert (unknown.command.name, unknown.command.nearest) == ("retyr", "retry")
        await typed(pilot, "enter")
        assert isinstance(app.said[-1], Prompt.Unknown), "however often Enter is pressed"
        assert app.prompt.text == "/retyr"
        for text, sent in (
            ("/usr/bin is what?", "/usr/bin is what?"),
            ("//help me", "/help me"),
            ("//retyr", "/retyr"),
            ("hi", "hi"),
        ):
            app.prompt.put("")
            await typed(pilot, *text, "enter")
            assert isinstance(app.said[-1], Prompt.Submitted)
            assert app.said[-1].text == sent


async def test_enter_takes_nothing_that_only_comes_near() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/ood")
        assert [row.split()[0] for row in app.labels()] == ["/good"]
        await typed(pilot, "enter")
        (unknown,) = app.said
        assert isinstance(unknown, Prompt.Unknown)
        assert (unknown.command.name, unknown.command.nearest) == ("ood", "good")
        await typed(pilot, "ctrl+u", *"/exi", "enter")
        assert commanded(app) == [Typed("quit", "", "")], "the beginning of an alias is enough"


async def test_paths_are_completed_by_tab(tmp_path: Path) -> None:
    for name in ("alpha one.txt", "alpha two.txt", "beta.md"):
        (tmp_path / name).touch()
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *f"/attach {tmp_path}/a")
        assert not app.completions.display, "a folder is only looked into when Tab asks"
        await typed(pilot, "tab")
        assert app.prompt.text == f"/attach {tmp_path}/alpha "
        assert app.labels() == [f"{tmp_path}/alpha one.txt", f"{tmp_path}/alpha two.txt"]
        await typed(pilot, "down", "down", "enter")
        assert commanded(app) == [Typed("attach", f"{tmp_path}/alpha two.txt", "")]
        app.prompt.put(f"/export {tmp_path}/b")
        await typed(pilot, "tab")
        assert app.prompt.text == f"/export {tmp_path}/beta.md", "paths of other commands, too"


async def test_the_history_is_walked_past_commands() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        app.prompt.load_history(["/usr", "older"])
        await typed(pilot, *"draft", "up")
        assert app.prompt.text == "/usr"
        assert not app.completions.display, "what was not typed opens no list"
        await typed(pilot, "up")
        assert app.prompt.text == "older"
        await typed(pilot, "down", "down")
        assert app.prompt.text == "draft"


async def test_a_click_takes_an_offer() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/comp")
        await pilot.click(Completions, offset=(4, 1))
        await pilot.pause()
        assert app.prompt.text == "/compact "
        assert app.focused is app.prompt


async def test_what_others_do_is_asked_for() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"half", "ctrl+o", "ctrl+r", "alt+t")
        editor, history, templates = app.said
        assert isinstance(editor, Prompt.EditorWanted)
        assert editor.text == "half"
        assert isinstance(history, Prompt.HistoryWanted)
        assert isinstance(templates, Prompt.TemplatesWanted)
        assert app.prompt.text == "half"


async def test_undo_and_redo() -> None:
    app = Host()
    async with app.run_test(size=(100, 30)) as pilot:
        await typed(pilot, *"/comp", "tab", "ctrl+z")
        assert app.prompt.text != "/compare "
        await typed(pilot, "ctrl+y")
        assert app.prompt.text == "/compare "
