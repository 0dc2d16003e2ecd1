"""Search over the chats, history of prompts, jump mode, jobs, settings of a chat: each alone, through real keys."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.reactive import reactive
from textual.screen import Screen
from textual.widgets import Button, Input, Static

import ragchat.tui
from ragchat.errors import StorageError
from ragchat.store.chats import ChatStore
from ragchat.tui import jumping, option_fields
from ragchat.tui.screens import jump
from ragchat.tui.screens.chat_options import AskNumber, ChatOptionsScreen, Usual
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.edit_text import EditText
from ragchat.tui.screens.find_chats import FindChats, snippet, when
from ragchat.tui.screens.history import HistoryScreen
from ragchat.tui.screens.jobs import JobsScreen
from ragchat.tui.screens.jump import JumpScreen
from ragchat.tui.screens.pick import Pick, PickKept
from ragchat.tui.state import JobState
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.sources import SourcesPanel
from ragchat.tui.widgets.tabs import OpenChat, TabStrip
from ragchat.types import AdapterScale, ChatOptions, Conversation, MessageHit, Sampling
from tests.helpers.tui_fakes import Stage, act, make_citation, running, screen_text, set_stage, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ragchat.app.services import Services

STYLES = Path(ragchat.tui.__file__).with_name("ragchat.tcss")
SIZES = [(60, 20), (80, 24), (120, 36), (200, 60), (20, 5), (1, 1)]
EVIL = "\x1b]52;c;aGk=\x07[@click=app.quit]x[/] \x1b[31mred\u202e"


class Host(App[None]):
    """An app with jobs and services, and a place for what windows give."""

    CSS_PATH = STYLES
    jobs: reactive[dict[str, JobState]] = reactive(dict)

    def __init__(self, services: Services | None = None, *widgets: Any) -> None:
        super().__init__()
        if services is not None:
            self.services = services
        self.given: list[Any] = []
        self.said: list[object] = []
        self._widgets = widgets

    def compose(self) -> ComposeResult:
        yield from self._widgets

    def stop_job(self, kind: str) -> None:
        self.jobs[kind].cancel.cancel()

    def clear_jobs(self) -> None:
        self.jobs = {kind: job for kind, job in self.jobs.items() if job.running}

    def on_chat_list_requested(self, event: ChatList.Requested) -> None:
        self.said.append((event.action, event.conversation.id if event.conversation else None))

    def on_tab_strip_chosen(self, event: TabStrip.Chosen) -> None:
        self.said.append(("tab", event.conversation_id))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.said.append(("button", str(event.button.label)))

    @property
    def text(self) -> str:
        return "\n".join(strip.text.rstrip() for strip in self.screen._compositor.render_strips())

    @property
    def segments(self) -> str:
        return "".join(part.text for strip in self.screen._compositor.render_strips() for part in strip)


@contextlib.asynccontextmanager
async def host(
    app: Host, screen: Screen[Any] | None = None, *, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[Pilot[None]]:
    async with app.run_test(size=size, notifications=True) as pilot:
        if screen is not None:
            app.push_screen(screen, app.given.append)
            await pilot.pause()
        yield pilot


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def fits(app: Host, size: tuple[int, int]) -> bool:
    lines = app.text.splitlines()
    return len(lines) <= size[1] and all(cell_len(line) <= size[0] for line in lines)


# --- search over the chats ------------------------------------------------------------------------------


def fill(stage: Stage) -> None:
    with stage.chats() as store:
        for number in range(30):
            conversation = store.create_conversation(f"Boiler {number}")
            store.add_user_message(conversation.id, f"Why is the pressure of boiler {number} low?")
            answer = store.begin_answer(conversation.id)
            store.finish_answer(answer.id, f"Because valve {number} leaks.", state="complete")


async def test_chats_are_searched_as_one_types_and_enter_gives_the_message(stage: Stage) -> None:
    fill(stage)
    app = Host(stage.services)
    async with host(app, FindChats(stage.services)) as pilot:
        assert "Type words from a message." in app.text
        await pilot.press(*"pressure boiler")
        await until(pilot, lambda: "30 messages in 30 chats, newest first" in app.text)
        await pilot.press(*" 17")
        await until(pilot, lambda: "1 message in 1 chat, newest first" in app.text)
        assert "Boiler 17 · you asked · today" in app.text
        assert "Why is the pressure of boiler 17 low?" in app.text
        await pilot.press("enter")
        await pilot.pause()
    (hit,) = app.given
    assert isinstance(hit, MessageHit)
    with stage.chats() as store:
        assert store.message(hit.message_id).content == "Why is the pressure of boiler 17 low?"


async def test_arrows_move_in_what_was_found_and_escape_leaves(stage: Stage) -> None:
    fill(stage)
    app = Host(stage.services)
    screen = FindChats(stage.services, query="leaks")
    async with host(app, screen) as pilot:
        await until(pilot, lambda: "30 messages in 30 chats" in app.text)
        assert screen.found.key == "0"
        await pilot.press("down", "down", "up", "pagedown", "pagedown")
        assert int(screen.found.key) > 5
        await pilot.press("pageup", "pageup", "pageup")
        assert screen.found.key == "0"
        await pilot.press("down", "enter")
        await pilot.pause()
        app.push_screen(FindChats(stage.services), app.given.append)
        await pilot.pause()
        await pilot.press("escape")
        await pilot.pause()
    hit, nothing = app.given
    assert (hit.title, hit.role, nothing) == ("Boiler 28", "assistant", None)


async def test_what_is_found_nowhere_is_said_with_the_reason(stage: Stage) -> None:
    fill(stage)
    app = Host(stage.services)
    async with host(app, FindChats(stage.services)) as pilot:
        await pilot.press(*"boiler submarine")
        await until(pilot, lambda: "Nothing found for “boiler submarine”." in app.text)
        assert "One message must contain all words" in app.text
        await pilot.press("enter")
        assert app.given == []
        await pilot.press(*["backspace"] * 16)
        await until(pilot, lambda: "Type words from a message." in app.text)


async def test_late_answers_of_older_queries_are_dropped(stage: Stage) -> None:
    fill(stage)
    held, asked = threading.Event(), []

    class Slow(ChatStore):
        def search(self, query: str, limit: int = 100, *, conversation_id: int = 0) -> list[MessageHit]:
            asked.append(query)
            if query == "boiler":
                held.wait(20)
            return super().search(query, limit, conversation_id=conversation_id)

    services = stage.services
    act(services, open_chats=lambda: Slow(stage.folder / "ragchat.db"))
    shown = []

    class Watched(FindChats):
        def _show(self) -> None:
            shown.append(self._answered)
            super()._show()

    app = Host(services)
    async with host(app, Watched(services)) as pilot:
        await pilot.press(*"boiler")
        await until(pilot, lambda: asked[-1:] == ["boiler"])
        shown.clear()
        await pilot.press(*" 1")
        await pilot.pause(0.2)
        await pilot.press("2")
        await pilot.pause(0.2)
        held.set()
        await until(pilot, lambda: "1 message in 1 chat" in app.text)
    assert asked[-1] == "boiler 12"
    assert "boiler 1" not in asked
    assert shown == ["boiler 12"]


async def test_a_search_that_fails_is_explained_and_goes_on(stage: Stage) -> None:
    fill(stage)

    class Broken(ChatStore):
        def search(self, query: str, limit: int = 100, *, conversation_id: int = 0) -> list[MessageHit]:
            if query == "pressure":
                raise StorageError("The disk is gone.", "Plug it in.")
            return super().search(query, limit, conversation_id=conversation_id)

    services = stage.services
    act(services, open_chats=lambda: Broken(stage.folder / "ragchat.db"))
    app = Host(services)
    async with host(app, FindChats(services)) as pilot:
        await pilot.press(*"pressure")
        await until(pilot, lambda: "The disk is gone. Plug it in." in app.text)
        await pilot.press(*" 17")
        await until(pilot, lambda: "1 message in 1 chat" in app.text)


async def test_a_click_opens_what_was_found(stage: Stage) -> None:
    fill(stage)
    app = Host(stage.services)
    async with host(app, FindChats(stage.services, query="valve 7 leaks")) as pilot:
        await until(pilot, lambda: "Boiler 7 · answer" in app.text)
        row = next(n for n, line in enumerate(app.text.splitlines()) if "Boiler 7 · answer" in line)
        await pilot.click(offset=(5, row))
        await pilot.pause()
    assert [hit.title for hit in app.given] == ["Boiler 7"]


def test_marks_stand_on_the_words_and_never_on_others() -> None:
    hit = MessageHit(1, 1, "t", "user", "", "the boiler leaks", ((4, 10),))
    assert [(span.start, span.end) for span in snippet(hit).spans] == [(4, 10)]
    dirty = replace(hit, snippet="\x1b[31mthe boiler leaks")
    assert snippet(dirty).plain == "the boiler leaks"
    assert not snippet(dirty).spans
    assert when("nonsense") == "some time ago"


@pytest.mark.parametrize("size", SIZES)
async def test_search_over_hostile_chats_at_every_size(stage: Stage, size: tuple[int, int]) -> None:
    with stage.chats() as store:
        conversation = store.create_conversation(EVIL * 30)
        store.add_user_message(conversation.id, f"needle {EVIL} 日本語 {'w' * 3000}")
    app = Host(stage.services)
    screen = FindChats(stage.services, query="needle")
    async with host(app, screen, size=size) as pilot:
        await until(pilot, lambda: screen._hits)
        assert fits(app, size)
        assert "\x1b" not in app.segments
        assert "\u202e" not in app.segments
        if size[1] >= 20:
            assert "needle" in app.text
            assert "Up" not in app.text.splitlines()[-1]


# --- history --------------------------------------------------------------------------------------------

PROMPTS = [
    "newest boiler question",
    "two\nlines of\nboiler text\nand a fourth",
    "something else",
    "oldest boiler",
]


async def test_history_is_searched_and_enter_takes_the_prompt_as_it_was() -> None:
    app = Host()
    async with host(app, HistoryScreen(PROMPTS)) as pilot:
        assert "4 prompts" in app.text
        await pilot.press(*"boiler")
        assert "3 of 4 prompts" in app.text
        assert "something else" not in app.text
        await pilot.press("ctrl+r")
        assert "… 2 more lines" in app.text
        await pilot.press("enter")
        await pilot.pause()
    assert app.given == [PROMPTS[1]]


async def test_history_walks_to_older_and_newer_ones() -> None:
    app = Host()
    screen = HistoryScreen(PROMPTS)
    async with host(app, screen) as pilot:
        await pilot.press("ctrl+r", "ctrl+r", "ctrl+r", "ctrl+r", "ctrl+r")
        assert screen.found.key == "3"
        await pilot.press("ctrl+s", "up", "down", "enter")
        await pilot.pause()
    assert app.given == ["something else"]


async def test_history_that_is_empty_or_does_not_match_says_so() -> None:
    app = Host()
    async with host(app, HistoryScreen([])) as pilot:
        assert "You have not asked anything yet." in app.text
        await pilot.press("enter", "escape")
        await pilot.pause()
        app.push_screen(HistoryScreen(PROMPTS, query="submarine"), app.given.append)
        await pilot.pause()
        assert "No prompt contains all these words." in app.text
        await pilot.press("enter", "escape")
        await pilot.pause()
    assert app.given == [None, None]


@pytest.mark.parametrize("size", SIZES)
async def test_history_of_thousands_and_hostile_ones(size: tuple[int, int]) -> None:
    app = Host()
    screen = HistoryScreen([EVIL, *(f"prompt {n} {'日本' * 90}" for n in range(5000))])
    async with host(app, screen, size=size) as pilot:
        assert "\x1b" not in app.segments
        await pilot.press("end", "pagedown", "down")
        await pilot.press(*"4321", "enter")
        await pilot.pause()
        assert fits(app, size)
    assert app.given == [f"prompt 4321 {'日本' * 90}"]


# --- jump mode ------------------------------------------------------------------------------------------


def test_labels_are_of_the_home_row_and_none_begins_another() -> None:
    assert jumping.labels(3) == ["a", "s", "d"]
    for number in (0, 1, 9, 10, 81, 82, 676):
        labels = jumping.labels(number)
        assert len(set(labels)) == number
        assert len({len(label) for label in labels}) <= 1
    assert set("".join(jumping.labels(81))) <= set("asdfghjkl")


class Message(Static):
    """A message as far as jump mode is concerned: it is clicked."""

    def __init__(self, text: str) -> None:
        super().__init__(text, classes="message")


class Place(VerticalScroll):
    def on_click(self, event: Any) -> None:
        self.app.said.append(("clicked", str(event.widget.content)))  # type: ignore[attr-defined]


def chats(number: int) -> list[Conversation]:
    return [
        Conversation(n, f"Chat {n}", "", None, "", "2026-01-02T03:04:05+00:00") for n in range(1, number + 1)
    ]


def labelled(app: Host) -> dict[str, tuple[int, int]]:
    screen = app.screen
    assert isinstance(screen, JumpScreen)
    return {label: (spot.x, spot.y) for label, spot in screen._spots.items()}


async def press_at(app: Host, pilot: Pilot[None], x: int, y: int) -> None:
    label = next(label for label, at in labelled(app).items() if at == (x, y))
    await pilot.press(*label)
    await pilot.pause()


async def test_labels_press_chats_tabs_messages_buttons_and_lines() -> None:
    place, tabs, line = Place(Message("one"), Message("two")), TabStrip(), Input()
    app = Host(None, tabs, ChatList(), line, Button("Go"), place)
    async with host(app, size=(100, 40)) as pilot:
        app.query_one(ChatList).styles.height = 12
        app.query_one(ChatList).show(chats(3))
        tabs.show([OpenChat(1, "One"), OpenChat(2, "Two")], current=1)
        await pilot.pause()

        rows = app.text.splitlines()
        jump.begin(app)
        await pilot.pause()
        y = next(n for n, row in enumerate(rows) if "Chat 2" in row)
        await press_at(app, pilot, app.query_one(ChatList).options.content_region.x, y)
        assert app.said[-1:] == [("open", 2)]

        jump.begin(app)
        await pilot.pause()
        await press_at(app, pilot, tabs.content_region.x + len(" One ✕ "), 0)
        assert app.said[-1:] == [("tab", 2)]

        jump.begin(app)
        await pilot.pause()
        second = list(app.screen_stack[0].query(Message))[1]
        await press_at(app, pilot, second.region.x, second.region.y)
        assert app.said[-1:] == [("clicked", "two")]
        assert place.has_focus

        jump.begin(app)
        await pilot.pause()
        button = app.screen_stack[0].query_one(Button)
        await press_at(app, pilot, button.region.x, button.region.y)
        assert app.said[-1:] == [("button", "Go")]

        jump.begin(app)
        await pilot.pause()
        assert "Jump: type the letters" in app.text
        await press_at(app, pilot, line.region.x, line.region.y)
        assert line.has_focus
        await pilot.press("h", "i")
        assert line.value == "hi"


async def test_sources_are_jumped_to() -> None:
    panel = SourcesPanel()
    app = Host(None, panel)
    async with host(app, size=(60, 40)) as pilot:
        await panel.show((make_citation(1), make_citation(2)), answered=True)
        await pilot.pause()
        assert panel.selected is panel.views[0]
        jump.begin(app)
        await pilot.pause()
        region = panel.views[1].region
        await press_at(app, pilot, region.x, region.y)
        assert panel.selected is panel.views[1]
        assert app.focused is panel


async def test_escape_leaves_and_other_letters_do_nothing() -> None:
    app = Host(None, Input(), Input())
    async with host(app) as pilot:
        first = app.focused
        jump.begin(app)
        await pilot.pause()
        jump.begin(app)
        await until(pilot, lambda: len(app.screen_stack) == 1)
        jump.begin(app)
        await pilot.pause()
        await pilot.press("z", "1")
        assert len(app.screen_stack) == 2
        await pilot.press("escape")
        await pilot.pause()
        assert app.focused is first
        assert len(app.screen_stack) == 1


async def test_two_letters_when_there_are_many_and_the_first_can_be_taken_back() -> None:
    app = Host(None, ChatList())
    async with host(app, size=(60, 60)) as pilot:
        app.query_one(ChatList).show(chats(40))
        await pilot.pause()
        jump.begin(app)
        await pilot.pause()
        names = list(labelled(app))
        assert len(names) > 20
        assert {len(name) for name in names} == {2}
        await pilot.press("s")
        seen = [label for label in app.screen.query(".jump-label") if label.display]
        assert {str(label.name)[0] for label in seen} == {"s"}
        await pilot.press("backspace")
        assert all(label.display for label in app.screen.query(".jump-label"))
        await pilot.press(*names[1])
        await pilot.pause()
        assert len(app.screen_stack) == 1
        assert app.said


async def test_only_what_is_seen_is_labelled_and_labels_leave_when_the_window_changes() -> None:
    place = Place(*(Message(f"m{n}") for n in range(200)))
    app = Host(None, place)
    async with host(app, size=(60, 20)) as pilot:
        place.scroll_to(y=50, animate=False)
        await pilot.pause()
        jump.begin(app)
        await pilot.pause()
        at = labelled(app)
        assert len(at) == 11  # ten messages with a blank line each, and what holds them
        assert all(0 <= x < 60 and 0 <= y < 20 for x, y in at.values())
        assert len(set(at.values())) == len(at)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: len(app.screen_stack) == 1)


# --- jobs -----------------------------------------------------------------------------------------------


async def test_jobs_show_how_far_they_are_and_can_be_stopped_and_cleared() -> None:
    app = Host()
    pull = JobState("pull", "qwen", "bytes", 1024, 4096, 512.0, 6.0, doing="fetching")
    app.jobs = {
        "sync": JobState(
            "sync", "guide", "files", running=False, sentence="12 documents came in.", doing="indexing"
        ),
        "pull": pull,
    }
    async with host(app, JobsScreen()) as pilot:
        text = app.text
        assert text.index("◌ Fetching qwen") < text.index("✓ Indexing guide")
        assert "25%" in text
        assert "1.0 KiB of 4.0 KiB · 512 B/s · 6.0 s left" in text
        assert "12 documents came in." in text
        app.jobs = {**app.jobs, "pull": replace(pull, done=2048)}
        await until(pilot, lambda: "50%" in app.text)
        await pilot.press("x")
        assert pull.cancel.cancelled
        await until(pilot, lambda: "Stopping …" in app.text)
        await pilot.press("delete")
        await until(pilot, lambda: "guide" not in app.text)
        failed = replace(pull, running=False, failed=True, sentence="The disk is full.")
        app.jobs = {**app.jobs, "pull": failed}
        await until(pilot, lambda: "✗ Fetching qwen" in app.text and "The disk is full." in app.text)
        await pilot.press("x")
        await until(pilot, lambda: "has finished" in app.text)
        await pilot.press("delete")
        await until(pilot, lambda: "Nothing is running." in app.text)
        await pilot.press("q")
        await pilot.pause()
    assert app.given == [None]


async def test_jobs_of_any_kind_are_shown() -> None:
    app = Host()
    app.jobs = {
        "training": JobState("training", "adapter “notes”", "steps", 30, 120, 0.5, 180.0, doing="training"),
        "summary": JobState("summary", "report.pdf", "parts", 3, 0, doing="summarising", detail="part 4"),
    }
    async with host(app, JobsScreen()) as pilot:
        assert "Training adapter “notes”" in app.text
        assert "30 of 120 steps · 0.5 steps/s · 3 min 0 s left" in app.text
        assert "Summarising report.pdf" in app.text
        assert "total not known yet" in app.text
        await pilot.press("down", "x")
        assert app.jobs["summary"].cancel.cancelled
        assert not app.jobs["training"].cancel.cancelled
    assert app.jobs["training"].short == "training 25%"


@pytest.mark.parametrize("size", SIZES)
async def test_jobs_at_every_size(size: tuple[int, int]) -> None:
    app = Host()
    app.jobs = {
        str(n): JobState(str(n), EVIL * 9, "files", n, 9, detail=EVIL * 9, doing="indexing")
        for n in range(1, 8)
    }
    async with host(app, JobsScreen(), size=size) as pilot:
        await pilot.press(*["down"] * 8)
        assert fits(app, size)
        assert "\x1b" not in app.segments


# --- settings of a chat ---------------------------------------------------------------------------------

USUAL = Usual("qwen", ("guide",), sampling=Sampling(temperature=0.4))
CAREFUL = ChatOptions(temperature=0.1, strict=True)


def options_screen(
    options: ChatOptions = ChatOptions(),  # noqa: B008 - frozen
    *,
    presets: Iterable[tuple[str, ChatOptions]] = (),
    kept: dict[str, ChatOptions | None] | None = None,
) -> ChatOptionsScreen:
    kept = {} if kept is None else kept
    return ChatOptionsScreen(
        options,
        usual=USUAL,
        models=["qwen", "smol"],
        presets=list(presets),
        save_preset=kept.__setitem__,
        delete_preset=lambda name: kept.__setitem__(name, None),
    )


async def go(pilot: Pilot[None], name: str) -> None:
    """Move to a row."""
    screen = pilot.app.screen
    assert isinstance(screen, ChatOptionsScreen)
    await pilot.press("home")
    while screen.rows.key != name:
        await pilot.press("down")


async def test_what_is_not_set_shows_what_the_settings_say() -> None:
    app = Host()
    async with host(app, options_screen()) as pilot:
        for line in (
            "Model            as in the settings: qwen",
            "Documents        as in the settings: guide",
            "Strict           as in the settings: no",
            "Instructions     as in the settings: the built-in ones",
            "Temperature      as in the settings: 0.4",
            "Seed             as in the settings: new for each answer",
            "Maximum length   as in the settings: 512 tokens",
        ):
            assert line in app.text
        await go(pilot, "temperature")
        assert "0 always picks the most likely token" in app.text
        await pilot.press("escape")
        await pilot.pause()
    assert app.given == [None]


async def test_a_number_is_set_checked_and_put_back() -> None:
    app = Host()
    async with host(app, options_screen()) as pilot:
        await go(pilot, "temperature")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AskNumber))
        assert "A number from 0 to 5." in app.text
        await pilot.press(*"9", "enter")
        await until(pilot, lambda: "“9” is not valid. A number from 0 to 5." in app.text)
        await pilot.press("backspace", *"0,7", "enter")
        await until(pilot, lambda: "● Temperature      0.7" in app.text)
        await go(pilot, "seed")
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press(*"42", "enter")
        await until(pilot, lambda: "● Seed             42" in app.text)
        await go(pilot, "temperature")
        await pilot.press("delete")
        await until(pilot, lambda: "Temperature      as in the settings: 0.4" in app.text)
        await pilot.press("u")
        await until(pilot, lambda: "● Temperature      0.7" in app.text)
        await pilot.press("enter")
        await pilot.pause()
        await pilot.press(*["backspace"] * 3, "enter")
        await until(pilot, lambda: "Temperature      as in the settings: 0.4" in app.text)
        await pilot.press("escape")
        await pilot.pause()
    assert app.given == [ChatOptions(seed=42)]


@pytest.mark.parametrize(
    ("name", "good", "bad", "limits"),
    [
        ("temperature", "0", "-1", "A number from 0 to 5."),
        ("top_k", "40", "1.5", "A whole number from 0 on."),
        ("top_p", "1", "0", "A number above 0 up to 1."),
        ("min_p", "0.05", "nan", "A number from 0 to 1."),
        ("repeat_penalty", "1.1", "inf", "A number above 0 up to 3."),
        ("seed", "-1", "4294967295", "A whole number from -1 to 4,294,967,294."),
        ("max_tokens", "512", "many", "A whole number from 0 on."),
    ],
)
def test_limits_are_those_of_the_settings(name: str, good: str, bad: str, limits: str) -> None:
    assert option_fields.parse(name, f" {good} ") == float(good)
    assert option_fields.limits(name) == limits
    assert option_fields.meaning(name)
    with pytest.raises(ValueError, match=limits.replace(".", r"\.")):
        option_fields.parse(name, bad)


async def test_model_strict_and_instructions_are_chosen() -> None:
    app = Host()
    async with host(app, options_screen()) as pilot:
        await go(pilot, "model")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press(*"smol", "enter")
        await until(pilot, lambda: "● Model            smol" in app.text)
        await go(pilot, "strict")
        await pilot.press("enter")
        await until(pilot, lambda: "● Strict           yes" in app.text)
        await pilot.press("enter")
        await until(pilot, lambda: "● Strict           no" in app.text)
        await go(pilot, "system_prompt")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EditText))
        await pilot.press(*"Be brief.", "enter", *"In rhymes.", "ctrl+s")
        await until(pilot, lambda: "● Instructions     Be brief. In rhymes." in app.text)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EditText))
        await pilot.press(*"lost", "escape")
        await until(pilot, lambda: isinstance(app.screen, ChatOptionsScreen))
        await pilot.press("f8")
        await pilot.pause()
    assert app.given == [ChatOptions(model="smol", strict=False, system_prompt="Be brief.\nIn rhymes.")]


async def test_knowledge_bases_are_chosen_for_the_chat(stage: Stage) -> None:
    app = Host(stage.services)
    async with host(app, options_screen()) as pilot:
        await go(pilot, "knowledge_bases")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, KnowledgePicker) and "a plain chat" in app.text)
        await pilot.press("up", "enter")
        await until(pilot, lambda: "● Documents        none, a plain chat" in app.text)
        await pilot.press("escape")
        await pilot.pause()
    assert app.given == [ChatOptions(knowledge_bases=())]


async def test_presets_are_saved_chosen_and_deleted() -> None:
    app = Host()
    kept: dict[str, ChatOptions | None] = {}
    async with host(
        app, options_screen(ChatOptions(top_k=5), presets=[("careful", CAREFUL)], kept=kept)
    ) as pilot:
        await pilot.press("s")
        await pilot.pause()
        await pilot.press(*"five", "enter")
        await until(pilot, lambda: "● Preset           five" in app.text)
        assert kept == {"five": ChatOptions(top_k=5, preset="five")}
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PickKept) and "temperature 0.1" in app.text)
        await pilot.press(*"careful", "enter")
        await until(pilot, lambda: "● Preset           careful" in app.text)
        assert "● Temperature      0.1" in app.text
        assert "Top k            as in the settings: 40" in app.text
        await go(pilot, "temperature")
        await pilot.press("delete")
        await until(pilot, lambda: "Preset           none" in app.text)
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PickKept))
        await pilot.press(*"five", "ctrl+x")
        await until(pilot, lambda: kept["five"] is None)
        await pilot.press(*["backspace"] * 4, *"none", "ctrl+x", "enter")
        await until(pilot, lambda: isinstance(app.screen, ChatOptionsScreen))
        await pilot.press("escape")
        await pilot.pause()
    assert app.given == [ChatOptions()]


async def test_a_preset_whose_values_are_changed_is_no_longer_named() -> None:
    app = Host()
    begun = replace(CAREFUL, preset="careful", adapters=(AdapterScale("kept"),))
    async with host(app, options_screen(begun)) as pilot:
        await go(pilot, "strict")
        await pilot.press("enter", "escape")
        await pilot.pause()
    assert app.given == [ChatOptions(temperature=0.1, strict=False, adapters=(AdapterScale("kept"),))]


@pytest.mark.parametrize("size", SIZES)
async def test_settings_of_a_chat_at_every_size(size: tuple[int, int]) -> None:
    app = Host()
    options = ChatOptions(model=EVIL * 9, system_prompt=EVIL * 99, knowledge_bases=(EVIL,) * 9, preset=EVIL)
    async with host(app, options_screen(options, presets=[(EVIL, options)]), size=size) as pilot:
        for keys in (["down"] * 12, ["p"], ["escape"], ["up"], ["enter"]):
            await pilot.press(*keys)
            await pilot.pause()
            assert fits(app, size)
            assert "\x1b" not in app.segments
        if size == (60, 20):
            await pilot.press("escape", "home")
            await pilot.pause()
            assert "Preset" in app.text
            assert "Maximum length" in app.text
            assert "Esc closes" in app.text


# --- in the app -----------------------------------------------------------------------------------------


async def test_a_message_found_in_another_chat_is_opened(stage: Stage) -> None:
    fill(stage)
    async with running(stage) as (app, pilot):
        await pilot.press("f7")
        await until(pilot, lambda: isinstance(app.screen, FindChats))
        await pilot.press(*"valve 12 leaks")
        await until(pilot, lambda: "1 message in 1 chat" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.chat and "Because valve 12 leaks." in screen_text(app))
        with stage.chats() as store:
            assert store.conversation(app.chat.pane.conversation_id).title == "Boiler 12"


async def test_options_of_a_chat_are_kept_with_it(stage: Stage) -> None:
    fill(stage)
    async with running(stage) as (app, pilot):
        app.chat.query_one(ChatList).options.focus()
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.chat.pane.conversation_id)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, ChatOptionsScreen) and app.screen.rows.key)
        await go(pilot, "strict")
        await pilot.press("enter", "escape")

        def kept() -> bool | None:
            with stage.chats() as store:
                return store.conversation(app.chat.pane.conversation_id).options.strict

        await until(pilot, kept)


async def test_chats_are_pinned_tagged_and_opened_in_tabs(stage: Stage) -> None:
    fill(stage)
    async with running(stage) as (app, pilot):
        chat_list = app.chat.query_one(ChatList)
        chat_list.options.focus()
        await pilot.press("down", "down", "p")
        await until(pilot, lambda: "Pinned" in screen_text(app))
        await pilot.press("t")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press(*"work", "enter")
        await until(pilot, lambda: "#work" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.pane.conversation_id)
        assert not app.chat.query_one(TabStrip).display
        chat_list.options.focus()
        await pilot.press("down", "o")
        await until(pilot, lambda: app.chat.query_one(TabStrip).display)
    with stage.chats() as store:
        first = store.conversations()[0]
        assert (first.pinned, first.tags) == (True, ("work",))


async def test_jumping_opens_a_chat_from_the_prompt(stage: Stage) -> None:
    fill(stage)
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.focus()
        rows = screen_text(app).splitlines()
        row = next(n for n, line in enumerate(rows) if "Boiler 27" in line)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, JumpScreen))
        assert isinstance(app.screen, JumpScreen)
        label = next(name for name, spot in app.screen._spots.items() if spot.y == row and spot.x < 20)
        await pilot.press(*label)
        await until(pilot, lambda: "Because valve 27 leaks." in screen_text(app))


async def test_a_download_is_watched_and_stopped_in_the_jobs(stage: Stage) -> None:
    stage.pull_gate.clear()
    async with running(stage) as (app, pilot):
        app.start_pull("distant")
        await pilot.press("f9")
        await until(pilot, lambda: "◌ Downloading distant" in screen_text(app) and "40%" in screen_text(app))
        await pilot.press("x")
        await until(pilot, lambda: "The download was stopped" in screen_text(app))
        await pilot.press("delete")
        await until(pilot, lambda: "Nothing is running." in screen_text(app))
        assert app.jobs == {}
        await pilot.press("f9")
        await until(pilot, lambda: app.screen is app.chat)
