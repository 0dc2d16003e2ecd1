"""The transcript alone, over real stored chats: the window that moves over them, vim's keys, copying, states of a turn."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import on
from textual.app import App, ComposeResult
from textual.content import Content
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.selection import Selection
from textual.widgets import OptionList, Static

import ragchat.tui
from ragchat.store.chats import ChatStore
from ragchat.tui import clipboard
from ragchat.tui.garbage_collection import QuietCollector
from ragchat.tui.lines import lay_out
from ragchat.tui.markdown import CodeBlock, blocks, code_blocks
from ragchat.tui.messages import LinksCalled
from ragchat.tui.saving import free_name
from ragchat.tui.screens.code_choice import CodeChoice, code_name
from ragchat.tui.screens.confirm import Confirm
from ragchat.tui.screens.dialog import Line
from ragchat.tui.widgets.message import AnswerView, Facts, MessageView, NoticeView, QuestionView
from ragchat.tui.widgets.text_cursor import TextCursor
from ragchat.tui.widgets.transcript import FindLine, Transcript
from ragchat.tui.widgets.window import MOUNTED
from tests.helpers.naughty import NAUGHTY
from tests.helpers.tui_fakes import make_citation, screen_segments, screen_text, until

CODE = """Two ways:

```python
def refill(bar: float) -> bool:
    return bar < 1.2
```

or

```sh
echo refill
```
"""


class Reader(App[None]):
    """A transcript with what a pane does for it."""

    CSS_PATH = Path(ragchat.tui.__file__).with_name("ragchat.tcss")

    def __init__(self, store: ChatStore | None = None, conversation_id: int = 0) -> None:
        super().__init__()
        self.store, self.chat = store, conversation_id
        self.said: list[Any] = []
        self.mounted_most = 0

    def compose(self) -> ComposeResult:
        yield Transcript(Static(Content("empty"), id="empty"))

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    async def on_mount(self) -> None:
        self.transcript.focus()
        if self.store is not None:
            await self.load()

    async def load(self, *, around: int = 0, first: bool = False) -> None:
        assert self.store is not None
        around = self.store.branch_ids(self.chat)[0] if first else around
        page = self.store.page(self.chat, around=around)
        views = [self.view(message) for message in page.messages]
        await self.transcript.show(views, earlier=page.earlier, later=page.later, select=around)

    def view(self, message: Any) -> MessageView:
        kind = QuestionView if message.role == "user" else AnswerView
        return kind(message.content, message_id=message.id)

    @on(Transcript.EarlierWanted)
    async def earlier(self, event: Transcript.EarlierWanted) -> None:
        assert self.store is not None
        page = self.store.page(self.chat, before=event.before)
        await self.transcript.add_earlier([self.view(m) for m in page.messages], earlier=page.earlier)
        self.mounted_most = max(self.mounted_most, len(self.transcript.views))

    @on(Transcript.LaterWanted)
    async def later(self, event: Transcript.LaterWanted) -> None:
        assert self.store is not None
        page = self.store.page(self.chat, after=event.after)
        await self.transcript.add_later([self.view(m) for m in page.messages], later=page.later)
        self.mounted_most = max(self.mounted_most, len(self.transcript.views))

    @on(Transcript.FirstWanted)
    async def first(self) -> None:
        await self.load(first=True)

    @on(Transcript.LastWanted)
    async def last(self) -> None:
        await self.load()

    @on(Transcript.MessageWanted)
    async def wanted(self, event: Transcript.MessageWanted) -> None:
        self.said.append(event)
        await self.load(around=event.message_id)

    @on(Transcript.FindWanted)
    def find(self, event: Transcript.FindWanted) -> None:
        assert self.store is not None
        hits = self.store.search(event.words, 10_000, conversation_id=self.chat)
        self.transcript.take_found(event.words, [hit.message_id for hit in hits])

    @on(Transcript.Copied)
    @on(Transcript.Requested)
    @on(Transcript.Reused)
    @on(LinksCalled)
    def note(self, event: Any) -> None:
        self.said.append(event)


@pytest.fixture
def long_chat(tmp_path: Path) -> Callable[[int], tuple[ChatStore, int]]:
    """Makes a chat of so many messages; every tenth speaks of valves."""

    def make(count: int) -> tuple[ChatStore, int]:
        store = ChatStore(tmp_path / "ragchat.db")
        chat = store.create_conversation("Long").id
        for n in range(count):
            valve = " The Valve is open." if n % 10 == 0 else ""
            if n % 2 == 0:
                store.add_user_message(chat, f"question {n}{valve}")
            else:
                answer = store.begin_answer(chat)
                store.finish_answer(
                    answer.id, f"answer {n}\n\nline two", state="complete", finish_reason="stop"
                )
        return store, chat

    return make


@contextlib.asynccontextmanager
async def reading(
    store: ChatStore | None = None, chat: int = 0, *, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Reader, Pilot[None]]]:
    app = Reader(store, chat)
    try:
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            yield app, pilot
    finally:
        if store is not None:
            store.close()


async def show(app: Reader, pilot: Pilot[None], *views: MessageView) -> None:
    await app.transcript.show(views, earlier=0)
    await pilot.pause()


def rows(app: Reader) -> list[str]:
    """The screen without the scrollbar."""
    return [strip.text[: app.size.width - 2].rstrip() for strip in app.screen._compositor.render_strips()]


def texts(app: Reader) -> list[str]:
    return [view.plain_text.split("\n")[0] for view in app.transcript.views]


# --- the window over the chat ---------------------------------------------------------------------------


async def test_all_of_a_long_chat_can_be_walked_and_little_of_it_is_mounted(long_chat: Any) -> None:
    store, chat = long_chat(200)
    async with reading(store, chat) as (app, pilot):
        transcript = app.transcript
        assert (len(transcript.views), transcript.earlier, transcript.later) == (24, 176, 0)
        seen = set(texts(app))
        for _ in range(600):
            if not transcript.earlier:
                break
            await pilot.press("ctrl+u")
            seen |= set(texts(app))
        assert transcript.earlier == 0
        assert len(seen) == 200
        assert transcript.later == 200 - len(transcript.views)
        for _ in range(600):
            if not transcript.later:
                break
            await pilot.press("ctrl+d")
        assert (transcript.later, texts(app)[-1]) == (0, "answer 199")
        assert app.mounted_most <= MOUNTED + 24
        numbers = [int(text.split()[1].rstrip(".")) for text in texts(app)]
        assert numbers == list(range(numbers[0], 200))


async def test_what_is_on_the_screen_does_not_jump(long_chat: Any) -> None:
    store, chat = long_chat(200)
    async with reading(store, chat) as (app, pilot):
        transcript = app.transcript
        pages = 0
        for _ in range(60):
            before, earlier = rows(app), transcript.earlier
            transcript.scroll_relative(y=-1, animate=False)
            await pilot.pause()
            after = rows(app)
            # One row further up, whatever was mounted above meanwhile.
            assert after[2:20] == before[1:19]
            pages += transcript.earlier != earlier
        assert pages


async def test_g_and_capital_g_reach_the_real_ends(long_chat: Any) -> None:
    store, chat = long_chat(200)
    async with reading(store, chat) as (app, pilot):
        transcript = app.transcript
        await pilot.press("g")
        await until(
            pilot, lambda: transcript.selected and transcript.selected.plain_text.startswith("question 0")
        )
        assert (transcript.earlier, transcript.scroll_y) == (0, 0)
        assert "question 0" in screen_text(app)
        assert "later messages" not in screen_text(app)
        await pilot.press("G")
        await until(pilot, lambda: transcript.later == 0)
        await until(pilot, lambda: "answer 199" in screen_text(app))
        assert transcript.selected is transcript.views[-1]


async def test_asking_far_up_goes_to_the_end(long_chat: Any) -> None:
    store, chat = long_chat(200)
    async with reading(store, chat) as (app, pilot):
        await pilot.press("g")
        await until(pilot, lambda: app.transcript.later > 0)
        await app.transcript.add(QuestionView("new question"), AnswerView("", streaming=True))
        await pilot.pause()
        assert texts(app) == ["new question", ""]
        assert (app.transcript.earlier, app.transcript.later) == (200, 0)
        app.transcript.views[0].message_id = 201
        await app.transcript.views[1].feed("a word")  # type: ignore[attr-defined]
        await until(pilot, lambda: len(app.transcript.views) > 2)
        assert texts(app)[-2] == "new question"
        assert app.transcript.following


async def test_a_streaming_answer_is_never_unmounted(long_chat: Any) -> None:
    store, chat = long_chat(100)
    async with reading(store, chat) as (app, pilot):
        transcript = app.transcript
        answer = AnswerView("", message_id=500, streaming=True)
        await transcript.add(QuestionView("why", message_id=499), answer)
        for _ in range(200):
            await pilot.press("ctrl+u")
        assert transcript.earlier == 0
        assert answer in transcript.views
        assert transcript.later == 0
        await answer.finish("because", Content(""))


async def test_a_page_that_comes_too_late_is_dropped(long_chat: Any) -> None:
    store, chat = long_chat(60)
    async with reading(store, chat) as (app, pilot):
        await app.transcript.show([QuestionView("other chat", message_id=900)], earlier=0)
        await app.transcript.add_earlier([QuestionView("of the old chat", message_id=3)], earlier=2)
        assert (texts(app), app.transcript.earlier) == (["other chat"], 0)
        await pilot.pause()


async def test_a_long_answer_streams_and_is_followed_until_somebody_scrolls() -> None:
    async with reading() as (app, pilot):
        answer = AnswerView("", streaming=True)
        await app.transcript.add(QuestionView("long?"), answer)
        for n in range(300):
            await answer.feed(f"line {n}\n\n")
        await until(pilot, lambda: "line 299" in screen_text(app))
        app.transcript.scroll_relative(y=-10, animate=False)
        await pilot.pause()
        before = rows(app)
        for n in range(300, 330):
            await answer.feed(f"line {n}\n\n")
        await answer.settle()
        await pilot.pause()
        assert rows(app) == before
        await answer.finish(answer.plain_text, Content("done"))
        await pilot.press("G")
        await until(pilot, lambda: "done" in screen_text(app))


# --- finding --------------------------------------------------------------------------------------------


async def test_words_are_found_marked_and_walked(long_chat: Any) -> None:
    store, chat = long_chat(120)
    async with reading(store, chat) as (app, pilot):
        transcript = app.transcript
        await pilot.press("slash")
        await until(pilot, lambda: isinstance(app.focused, FindLine))
        await pilot.press(*"valve", "enter")
        await until(pilot, lambda: "12 of 12" in screen_text(app))
        assert app.focused is transcript
        assert transcript.selected is not None
        assert transcript.selected.plain_text.startswith("question 110")
        await pilot.press("n")
        await until(pilot, lambda: "1 of 12" in screen_text(app))  # it goes again after 1.5 s
        await until(
            pilot, lambda: transcript.selected and "question 0." in f"{transcript.selected.plain_text[:10]}."
        )
        assert [event.message_id for event in app.said] == [transcript.selected.message_id]
        await pilot.press("n")
        await until(pilot, lambda: transcript.selected and "question 10" in transcript.selected.plain_text)
        await pilot.press("N")
        await until(pilot, lambda: transcript.selected and "question 0" in transcript.selected.plain_text)
        styles = {
            segment.text: segment.style
            for strip in app.screen._compositor.render_strips()
            for segment in strip
        }
        marked = styles["Valve"]
        plain = next(style for text, style in styles.items() if "question" in text)
        assert marked is not None
        assert plain is not None
        assert marked.bgcolor != plain.bgcolor
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: "No message in this chat" in screen_text(app))
        await pilot.press("slash", "escape")
        await until(pilot, lambda: app.focused is transcript and not app.query(FindLine))


# --- selecting and copying ------------------------------------------------------------------------------


async def test_several_messages_are_copied_with_who_said_them() -> None:
    async with reading() as (app, pilot):
        await show(app, pilot, QuestionView("one?"), AnswerView("first", model="m"), QuestionView("two?"))
        await pilot.press("V", "k", "y")
        await pilot.pause()
        assert app.said[-1].text == "**m**\n\nfirst\n\n**You**\n\ntwo?"
        assert app.said[-1].what == "2 messages"
        assert not app.query(".-marked")
        await pilot.press("V", "k")
        assert len(app.query(".-marked")) == 2
        await pilot.press("escape")
        assert not app.query(".-marked")
        await pilot.press("y")
        await pilot.pause()
        assert app.said[-1].text == "one?"


async def test_a_message_becomes_a_text_with_a_cursor() -> None:
    async with reading() as (app, pilot):
        answer = AnswerView("alpha beta gamma\nsecond line\nthird")
        await show(app, pilot, answer)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.focused, TextCursor))
        assert not answer.display
        await pilot.press("w", "v", "w", "h", "h", "y")  # "beta": from the b to the a
        await until(pilot, lambda: app.focused is app.transcript)
        assert app.said[-1].text == "beta"
        assert (answer.display, len(app.query(TextCursor))) == (True, 0)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.focused, TextCursor))
        await pilot.press("j", "V", "j", "y")
        await until(pilot, lambda: app.focused is app.transcript)
        assert app.said[-1].text == "second line\nthird"
        said = len(app.said)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.focused, TextCursor))
        await pilot.press("G", "dollar_sign", "b", "g", "l", "e", "d", "r", "V", "escape", "escape")
        await until(pilot, lambda: app.focused is app.transcript)
        assert len(app.said) == said  # e, d and r did nothing there


async def test_the_mouse_selects_the_text_and_not_its_wrapping() -> None:
    async with reading(size=(40, 20)) as (app, pilot):
        words = " ".join(f"word{n}" for n in range(20))
        answer = AnswerView(f"{words}\n\n- item\n\n```\ncode\n```")
        await show(app, pilot, answer)
        assert answer.get_selection(Selection(None, None)) == (f"{words}\n\n• item\n\n code", "\n")
        await pilot.mouse_down(answer, offset=Offset(2, 1))
        await pilot.hover(answer, offset=Offset(7, 3))
        await pilot.mouse_up(answer, offset=Offset(7, 3))
        selected = app.screen.get_selected_text()
        assert selected is not None
        assert selected.startswith("word0 word1")
        assert "\n" not in selected
        assert words.startswith(selected)


async def test_code_blocks_are_copied_by_number() -> None:
    async with reading() as (app, pilot):
        await show(app, pilot, QuestionView("how?"), AnswerView(CODE))
        await pilot.press("Y")
        await until(pilot, lambda: isinstance(app.screen, CodeChoice))
        assert "python" in screen_text(app)
        await pilot.press("2")
        await until(pilot, lambda: app.said)
        assert app.said[-1].text == "echo refill\n"
        await pilot.press("k", "Y")
        await until(pilot, lambda: isinstance(app.screen, CodeChoice))
        await pilot.press("9", "enter")
        await until(pilot, lambda: len(app.said) == 2)
        assert app.said[-1].text.startswith("def refill")


async def test_a_code_block_is_saved_and_nothing_is_overwritten_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("mine")
    async with reading() as (app, pilot):
        await show(app, pilot, AnswerView("```python\nx = 1\n```"))
        await pilot.press("s")
        await until(pilot, lambda: app.screen.query(Line))
        assert app.screen.query_one(Line).value == "code.py"
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "code.py").exists() and "Saved to" in screen_text(app))
        assert (tmp_path / "code.py").read_text() == "x = 1\n"
        await pilot.press("s")
        await until(pilot, lambda: app.screen.query(Line))
        assert app.screen.query_one(Line).value == "code-2.py"
        app.screen.query_one(Line).value = "mine.py"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        assert (tmp_path / "mine.py").read_text() == "mine"
        await pilot.press("s")
        await until(pilot, lambda: app.screen.query(Line))
        app.screen.query_one(Line).value = "mine.py"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        app.screen.query_one(OptionList).highlighted = 1
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "mine.py").read_text() == "x = 1\n")
        await pilot.press("s")
        await until(pilot, lambda: app.screen.query(Line))
        app.screen.query_one(Line).value = "no/such/folder.py"
        await pilot.press("enter")
        await until(pilot, lambda: "Not saved" in screen_text(app))


def test_names_for_code(tmp_path: Path) -> None:
    assert [free_name(tmp_path, code_name(name)) for name in ("rust", "", "no such language", "sh")] == [
        *("code.rs", "code.txt", "code.txt", "code.sh")
    ]


async def test_an_answer_is_copied_with_the_sources_it_cites() -> None:
    citations = (make_citation(1, path="/d/a.md"), make_citation(2, path="/d/b.md", used=False))
    async with reading() as (app, pilot):
        await show(app, pilot, AnswerView("So [1].", citations=citations))
        await pilot.press("x")
        await pilot.pause()
        assert app.said[-1].text == f"So [1].\n\nSources:\n[1] /d/a.md, {citations[0].hit.source}"


# --- the clipboard --------------------------------------------------------------------------------------


def make_tool(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_which_tool_copies(tmp_path: Path) -> None:
    for name in ("wl-copy", "xclip", "pbcopy"):
        make_tool(tmp_path, name, "exit 0")
    path = {"PATH": str(tmp_path)}
    assert clipboard.find_tool({**path, "WAYLAND_DISPLAY": "w", "DISPLAY": ":0"}, "linux") == ("wl-copy",)
    assert clipboard.find_tool({**path, "DISPLAY": ":0"}, "linux")[0] == "xclip"
    assert clipboard.find_tool(path, "linux") == ()
    assert clipboard.find_tool(path, "darwin") == ("pbcopy",)
    assert clipboard.find_tool({**path, "WAYLAND_DISPLAY": "w", "SSH_TTY": "/dev/pts/1"}, "linux") == ()


def test_a_tool_that_stays_behind_is_not_waited_for(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    make_tool(tmp_path, "wl-copy", f"cat > {taken}\nsleep 20 &\nexit 0")
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert clipboard.run_tool((str(tmp_path / "wl-copy"),), "täxt", environment)
    assert taken.read_text("utf-8") == "täxt"


def test_a_tool_that_fails_or_hangs_is_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clipboard, "PATIENCE_S", 0.2)
    make_tool(tmp_path, "fails", "echo no display >&2; exit 1")
    make_tool(tmp_path, "hangs", "exec sleep 20")
    for name in ("fails", "hangs", "is-not-there"):
        assert not clipboard.run_tool((str(tmp_path / name),), "x", dict(os.environ))


def test_the_terminal_is_only_asked_when_it_may_understand() -> None:
    assert clipboard.takes_osc52("x", {"TERM": "xterm-256color"})
    assert not clipboard.takes_osc52("x", {"TERM": "linux"})
    assert not clipboard.takes_osc52("x" * 200_000, {"TERM": "xterm-256color"})
    assert "set-clipboard" in clipboard._reason({"TMUX": "/tmp/x"})


class Shown(Reader):
    """Says that there is a terminal, and keeps what is sent to it."""

    @property
    def is_headless(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"WAYLAND_DISPLAY": "w"}, "Copied with wl-copy."),
        ({"TERM": "xterm"}, "Sent to the terminal (OSC 52)"),
        ({"WAYLAND_DISPLAY": "w", "SSH_TTY": "t", "TERM": "xterm"}, "Sent to the terminal (OSC 52)"),
        ({"TERM": "dumb"}, "no clipboard here."),
    ],
)
async def test_copying_says_which_way_it_went(
    environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tool(tmp_path, "wl-copy", f"cat > {tmp_path / 'taken'}")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    app = Shown()
    async with app.run_test(size=(100, 24), notifications=True) as pilot:
        path = f"{tmp_path}:{os.environ['PATH']}"
        clipboard.copy(app, "some text", environment={"PATH": path, **environment})
        await until(pilot, lambda: app._notifications)
        (notification,) = app._notifications
        assert said in notification.message
        if said.startswith("Copied"):
            assert (tmp_path / "taken").read_text() == "some text"
            assert app.clipboard == "some text"
        elif said.startswith("Sent"):
            assert app.clipboard == "some text"
        else:
            (written,) = tmp_path.glob("ragchat-copied-*.txt")
            assert written.read_text() == "some text"
            assert written.stat().st_mode & 0o077 == 0


def test_importing_the_clipboard_starts_nothing() -> None:
    script = "import sys, ragchat.tui.clipboard; print('textual' in sys.modules)"
    done = subprocess.run(["python", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# --- states of a turn -----------------------------------------------------------------------------------


async def test_facts_are_shown_and_change() -> None:
    async with reading() as (app, pilot):
        facts = Facts(siblings=(4, 7, 9), rating=1, correction="Better [b]so[/b]")
        answer = AnswerView("text", message_id=7, model="m", facts=facts)
        await show(app, pilot, answer)
        assert "m  ‹ 2/3 ›  + good  corrected" in screen_text(app)
        assert "Corrected to: Better [b]so[/b]" in screen_text(app)
        answer.update_facts(replace(facts, rating=-1, correction="", siblings=()))
        await pilot.pause()
        assert "m  - bad" in screen_text(app)
        assert "Corrected" not in screen_text(app)
        assert "‹" not in screen_text(app)


async def test_thoughts_are_folded_and_unfolded() -> None:
    async with reading() as (app, pilot):
        answer = AnswerView("", model="m", streaming=True)
        await app.transcript.add(QuestionView("q"), answer)
        answer.feed_reasoning("Let me ", tokens=2)
        answer.feed_reasoning("think.", tokens=120)
        await pilot.pause()
        assert "reasoning … 120 tokens" in screen_text(app)
        assert "Let me think." not in screen_text(app)
        await answer.feed("Yes.")
        facts = Facts(reasoning="Let me think.", reasoning_s=4.2, reasoning_tokens=312)
        await answer.finish("Yes.", Content(""), facts)
        await pilot.pause()
        assert "thought for 4.2 s, 312 tokens (t shows it)" in screen_text(app)
        await pilot.press("t")
        await pilot.pause()
        assert "Let me think." in screen_text(app)
        await pilot.press("t")
        await pilot.pause()
        assert "Let me think." not in screen_text(app)


async def test_a_cut_answer_goes_on_where_it_stopped() -> None:
    async with reading() as (app, pilot):
        answer = AnswerView("One two", footer=Content("Cut"))
        await show(app, pilot, QuestionView("q"), answer)
        assert "Cut" in screen_text(app)
        answer.resume()
        await answer.feed(" three.")
        await until(pilot, lambda: "One two three." in screen_text(app))
        assert "Cut" not in screen_text(app)
        await answer.finish("One two three.", Content("whole"))
        await until(pilot, lambda: "whole" in screen_text(app))


@pytest.mark.parametrize(
    ("key", "action"),
    [
        *[
            ("e", "edit"),
            ("r", "regenerate"),
            ("c", "continue"),
            ("h", "branch_previous"),
            ("left", "branch_previous"),
        ],
        *[("l", "branch_next"), ("right", "branch_next"), ("f", "fork"), ("d", "delete_turn"), ("u", "undo")],
        *[
            ("plus", "rate_good"),
            ("minus", "rate_bad"),
            ("b", "rate_bad"),
            ("w", "correct"),
            ("E", "question"),
        ],
        *[("p", "prompt"), ("R", "replay")],
    ],
)
async def test_wishes_name_the_turn_they_are_about(key: str, action: str) -> None:
    async with reading() as (app, pilot):
        question = QuestionView("q", message_id=1)
        answer = AnswerView("a", message_id=2, facts=Facts(siblings=(2, 3)))
        await show(app, pilot, question, answer)
        await pilot.press(key)
        await pilot.pause()
        (request,) = app.said
        assert (request.action, request.view) == (action, question if action == "edit" else answer)


async def test_wishes_that_make_no_sense_are_explained() -> None:
    async with reading() as (app, pilot):
        await show(app, pilot, QuestionView("q", message_id=1), NoticeView("It failed."))
        await pilot.press("r")
        await until(pilot, lambda: "There is no answer here." in screen_text(app))
        await show(app, pilot, QuestionView("q", message_id=1), AnswerView("a", message_id=2))
        await pilot.press("l")
        await until(pilot, lambda: "no other branch" in screen_text(app))
        await app.transcript.add(
            QuestionView("q2", message_id=3), AnswerView("", message_id=4, streaming=True)
        )
        await pilot.press("r")
        await until(pilot, lambda: "The model is writing an answer" in screen_text(app))
        assert app.said == []


# --- reading well ---------------------------------------------------------------------------------------

WIDE = """| name | 意味 | a very long column that has to wrap |
|---|---:|:-:|
| x | 漢字漢字漢字 | some words that go on and on and on until nobody reads them any more |
| `y` | 👩‍👩‍👧‍👦 | [link](https://example.org/a) |
"""


@pytest.mark.parametrize("width", [20, 40, 60, 120])
def test_tables_fit_every_width(width: int) -> None:
    for block in blocks(f"{WIDE}\n> {WIDE.replace(chr(10), chr(10) + '> ')}"):
        laid = block.laid(width)
        assert all(row.prefix.cell_length + row.content.rstrip().cell_length <= width for row in laid.rows)
        shown = "".join("".join(laid.texts).split())
        for word in ("漢字漢字漢字", "意味", "anymore", "link"):
            assert word in shown.replace("│", "") or width < 120


def test_a_table_that_cannot_be_a_table_becomes_lines() -> None:
    (block,) = blocks(WIDE)
    assert "意味: 漢字漢字漢字" in block.laid(30).texts
    assert any("│" in text for text in block.laid(100).texts)


@pytest.mark.parametrize("text", NAUGHTY, ids=range(len(NAUGHTY)))
async def test_naughty_texts_keep_the_layout(text: str) -> None:
    async with reading(size=(60, 20)) as (app, pilot):
        text = text[:20_000]
        table = f"| a | b |\n|---|---|\n| {text.replace(chr(10), ' ')[:500]} | x |"
        await show(
            app, pilot, QuestionView(text), AnswerView(f"{text}\n\n{table}\n\n```\n{text}\n```\n\nend")
        )
        strips = app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {60}
        assert "end" in screen_text(app)
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in screen_segments(app))


async def test_streamed_and_whole_are_drawn_alike() -> None:
    lists = "1. one\n2. two\n   - deep\n\n   more\n3. three\n\n- a\n\n- b\n"
    source = f"# Title\n\n{WIDE}\n\n{lists}\n> quote\n\n{CODE}\n\n---\nend [1]"
    async with reading(size=(80, 90)) as (app, pilot):
        answer = AnswerView("", streaming=True)
        await app.transcript.add(answer)
        for begin in range(0, len(source), 7):
            await answer.feed(source[begin : begin + 7])
            await answer.settle()
        await pilot.pause()
        streamed = screen_text(app)
        await answer.finish(source, Content(""))
        await pilot.pause()
        assert screen_text(app) == streamed
        for part in ("1. one", "   • deep", "▌ quote", "def refill(bar: float)", "end [1]"):
            assert part in streamed


async def test_items_of_a_list_do_not_move_when_the_answer_ends() -> None:
    source = "Steps:\n\n1. one\n2. two\n3. three\n\nend"
    async with reading(size=(80, 30)) as (app, pilot):
        answer = AnswerView("", streaming=True)
        await app.transcript.add(answer)
        for begin in range(0, len(source), 5):
            await answer.feed(source[begin : begin + 5])
            await answer.settle()
        await pilot.pause()
        streamed = screen_text(app)
        await answer.finish(source, Content(""))
        await pilot.pause()
        assert screen_text(app) == streamed


async def test_links_ask_and_do_nothing_else() -> None:
    async with reading() as (app, pilot):
        answer = AnswerView("See [here](https://example.org/x).")
        await show(app, pilot, answer)
        await pilot.click(answer, offset=Offset(7, 1))
        await until(pilot, lambda: app.said)
        assert app.said[-1].hrefs == ["https://example.org/x"]
        assert answer.links == ["https://example.org/x"]


def test_code_blocks_are_what_was_written() -> None:
    assert code_blocks(CODE) == [
        CodeBlock("python", "def refill(bar: float) -> bool:\n    return bar < 1.2\n"),
        CodeBlock("sh", "echo refill\n"),
    ]


def test_code_that_is_wider_than_the_window_is_cut_into_rows() -> None:
    (block,) = blocks(f"```python\n{'x = ' + '1 + ' * 60}1\n```")
    laid = lay_out(block.elements, 40)
    assert all(row.content.cell_length <= 40 for row in laid.rows)
    assert laid.texts == [f" x = {'1 + ' * 60}1"]


# --- garbage --------------------------------------------------------------------------------------------


def test_garbage_waits_for_a_pause_of_the_keys_unless_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    now, grown, collected, before = 100.0, 3, [], gc.get_threshold()
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, grown))
    monkeypatch.setattr(gc, "collect", lambda: collected.append(now))
    collector = QuietCollector(lambda: now)
    collector.start()
    try:
        now = 100.3
        assert not collector.look()  # a key was just pressed
        now = 100.7
        assert collector.look()
        collector.touched()
        assert not collector.look()
        grown = 8
        assert collector.look()  # somebody types, but it is too much
        grown, now = 0, 200.0
        assert not collector.look()  # there is nothing
    finally:
        collector.stop()
    assert gc.get_threshold() == before
    assert len(collected) == 2


async def test_what_is_unmounted_is_freed(long_chat: Any) -> None:
    store, chat = long_chat(200)
    async with reading(store, chat) as (app, pilot):
        for _ in range(400):
            if not app.transcript.earlier:
                break
            await pilot.press("ctrl+u")
        await pilot.pause()
        gc.collect()
        # Not isinstance: some objects of other libraries answer it with a warning.
        alive = sum(issubclass(type(thing), MessageView) for thing in gc.get_objects())
        assert alive <= 2 * MOUNTED + 24
