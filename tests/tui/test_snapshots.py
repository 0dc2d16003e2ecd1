"""A dozen pictures of the screen. What is on them is asserted in words first: a picture only guards how it looks.

`pytest tests/test_tui_snapshots.py --snapshot-update` takes them anew; look at the report before you do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from textual.pilot import Pilot

from ragchat.tui.app import RagchatApp
from ragchat.types import (
    AnswerCheck,
    PortableChat,
    PortableMessage,
    Quote,
    Reason,
    ReasonKind,
    Statement,
    Verdict,
)
from tests.helpers.tui_fakes import Stage, screen_text, send, set_stage, until

WIDE, NARROW, TALL = (120, 36), (60, 20), (110, 46)
QUESTION = "Why did my boiler switch itself off?"
ANSWER = """Your boiler switched itself off because the **pressure fell below 1 bar** [1].

1. Let it cool down.
2. Open the filling loop *slowly* [1].

| reading | meaning |
|---|---|
| below 1.0 bar | off |
| 1.2 to 1.8 bar | normal |

```python
def refill(pressure: float) -> bool:
    return pressure < 1.2
```
"""
CHECKED = f"{ANSWER}\nPress the **Space key** twice [1]. Stop at 1.5 bar.\n"
EVIDENCE = "Below 1 bar it switches itself off."
OLD = "2026-01-05T10:00:00.000Z"


class Compare(Protocol):
    def __call__(
        self,
        app: RagchatApp,
        *,
        terminal_size: tuple[int, int],
        run_before: Callable[[Pilot[None]], Awaitable[None]],
    ) -> bool: ...


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """An old chat with two branches, so that no time of today is on a picture."""
    stage = set_stage(tmp_path)
    stage.use("ui", reduced_motion=True, theme="textual-dark")
    with stage.chats() as store:
        for title, pinned in (("Yearly service", True), ("Radiators", False)):
            store.add_portable(PortableChat(title, OLD, OLD, (), pinned=pinned, tags=("house",)))
        store.add_portable(
            PortableChat(
                QUESTION,
                OLD,
                OLD,
                (
                    PortableMessage(1, 0, "user", QUESTION, OLD),
                    PortableMessage(2, 1, "assistant", "It was cold.", OLD, rating=-1),
                    PortableMessage(
                        3, 1, "assistant", ANSWER, OLD, rating=1, citations=stage.script.citations
                    ),
                ),
                leaf_id=3,
            )
        )
    return stage


@pytest.fixture
def checked(stage: Stage) -> Stage:
    """Two more chats, each with an answer whose statements were checked."""
    with stage.chats() as store:
        for title, strict in (("Checked", False), ("Strict", True)):
            hit = stage.script.citations[0].hit
            at = hit.text.index(EVIDENCE)
            said = CHECKED if title == "Checked" else "Press the **Space key** twice."
            answer = PortableMessage(
                *(2, 1, "assistant", said, OLD),
                citations=stage.script.citations,
                quotes=(Quote(hit, at, at + len(EVIDENCE), 0.9),),
                check=checks(said, strict=strict),
            )
            asked = PortableMessage(1, 0, "user", QUESTION, OLD)
            store.add_portable(PortableChat(title, OLD, OLD, (asked, answer), leaf_id=2))
    return stage


STATEMENTS = {
    "Your boiler switched itself off because the **pressure fell below 1 bar** [1].": Verdict.SUPPORTED,
    "Let it cool down.": Verdict.NOT_FOUND,
    "Open the filling loop *slowly* [1].": Verdict.PARTLY,
    "1.2 to 1.8 bar | normal": Verdict.SUPPORTED,
    "return pressure < 1.2": Verdict.NOT_FOUND,
    "Press the **Space key** twice [1].": Verdict.NOT_FOUND,
    "Press the **Space key** twice.": Verdict.NOT_FOUND,
    "Stop at 1.5 bar.": Verdict.SUPPORTED,
}


def checks(said: str, *, strict: bool) -> AnswerCheck:
    """The verdicts above, of what an answer says."""
    reasons = {
        Verdict.SUPPORTED: Reason(ReasonKind.SAID),
        Verdict.PARTLY: Reason(ReasonKind.WORDS, ("slowly",)),
        Verdict.NOT_FOUND: Reason(ReasonKind.NOTHING),
    }
    return AnswerCheck(
        tuple(
            Statement(
                *(text, said.index(text), said.index(text) + len(text), verdict, reasons[verdict]),
                citation=0 if verdict is Verdict.NOT_FOUND else 1,
                compared="" if verdict is Verdict.NOT_FOUND else EVIDENCE,
                cited_by="ragchat" if "[1]" not in text and verdict is Verdict.SUPPORTED else "model",
            )
            for text, verdict in STATEMENTS.items()
            if text in said
        ),
        strict=strict,
    )


def app_of(pilot: Pilot[None]) -> RagchatApp:
    app = pilot.app
    assert isinstance(app, RagchatApp)
    return app


async def at_rest(pilot: Pilot[None]) -> RagchatApp:
    app = app_of(pilot)
    await until(pilot, lambda: app.model_state.phase == "ready" and app.looked_around)
    await until(pilot, lambda: app.chat.pane.visit and "Radiators" in str([c.title for c in app.chat.chats]))
    return app


async def read(pilot: Pilot[None]) -> RagchatApp:
    """Open the old chat."""
    app = await at_rest(pilot)
    chat = next(chat for chat in app.chat.chats if chat.title == QUESTION)
    app.chat.open_chat(chat.id)
    await until(pilot, lambda: "def refill" in screen_text(app))
    app.chat.pane.transcript.focus()
    await pilot.pause()
    return app


async def read_checked(pilot: Pilot[None], title: str = "Checked") -> RagchatApp:
    """Open a chat whose answer was checked."""
    app = await at_rest(pilot)
    chat = next(chat for chat in app.chat.chats if chat.title == title)
    app.chat.open_chat(chat.id)
    await until(pilot, lambda: EVIDENCE in screen_text(app))
    app.chat.pane.transcript.focus()
    await pilot.pause()
    return app


@pytest.mark.parametrize("theme", ["textual-dark", "ragchat-16"])
def test_a_checked_answer(checked: Stage, snap_compare: Compare, theme: str) -> None:
    checked.use("ui", theme=theme)

    async def before(pilot: Pilot[None]) -> None:
        app = await read_checked(pilot)
        text = screen_text(app)
        for words in ("From your documents:", "below 1 bar [1]. ✓", "cool down. ✗", "[1]. ≈", "i shows why"):
            assert words in text, words

    assert snap_compare(RagchatApp(checked.services), terminal_size=TALL, run_before=before)


def test_why_statements_have_their_marks(checked: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await read_checked(pilot)
        await pilot.press("i")
        await until(pilot, lambda: "No passage says anything like it" in screen_text(app))
        assert "found by ragchat" in screen_text(app)

    assert snap_compare(RagchatApp(checked.services), terminal_size=WIDE, run_before=before)


def test_a_strict_answer(checked: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await read_checked(pilot, "Strict")
        assert "Struck out" in screen_text(app)
        await pilot.press("m")
        await until(pilot, lambda: "Space key" in screen_text(app))

    assert snap_compare(RagchatApp(checked.services), terminal_size=NARROW, run_before=before)


def test_empty(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await at_rest(pilot)
        await until(pilot, lambda: "Your documents: guide" in screen_text(app))
        assert "★" in screen_text(app)

    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=before)


async def answered(pilot: Pilot[None]) -> None:
    app = await read(pilot)
    await until(pilot, lambda: "guide.md" in screen_text(app))
    text = screen_text(app)
    for words in ("2/2", "good", "switches itself off", "1.2 to 1.8 bar", "def refill"):
        assert words in text, words


def test_an_answer_with_sources(stage: Stage, snap_compare: Compare) -> None:
    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=answered)


@pytest.mark.parametrize("theme", ["textual-light", "ragchat-16", "nord"])
def test_themes(stage: Stage, snap_compare: Compare, theme: str) -> None:
    stage.use("ui", theme=theme)
    app = RagchatApp(stage.services)
    assert snap_compare(app, terminal_size=WIDE, run_before=answered)


def test_narrow(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await read(pilot)
        assert "Chats" not in screen_text(app)

    assert snap_compare(RagchatApp(stage.services), terminal_size=NARROW, run_before=before)


def test_streaming(stage: Stage, snap_compare: Compare) -> None:
    stage.script.held = 2

    async def before(pilot: Pilot[None]) -> None:
        app = await at_rest(pilot)
        await send(app, pilot, "What is the answer?")
        await until(pilot, lambda: "Forty-two is the answer" in screen_text(app))
        await until(pilot, lambda: "press Esc to stop" in " ".join(screen_text(app).split()))

    app = RagchatApp(stage.services)
    assert snap_compare(app, terminal_size=NARROW, run_before=before)
    stage.script.release()


def test_an_error(stage: Stage, snap_compare: Compare) -> None:
    from ragchat.errors import InferenceDiedError

    stage.script.fail_after = InferenceDiedError("The model's process crashed.", "Ask again to load it.")

    async def before(pilot: Pilot[None]) -> None:
        app = await at_rest(pilot)
        await send(app, pilot, "What is the answer?")
        await until(pilot, lambda: app.chat.pane.live is None)
        assert "The model's process crashed." in screen_text(app)
        assert "Ask again to load it." in screen_text(app)

    assert snap_compare(RagchatApp(stage.services), terminal_size=NARROW, run_before=before)


def test_help(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await read(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: "Everywhere" in screen_text(app))

    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=before)


def test_searching_all_chats(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await at_rest(pilot)
        await pilot.press("f7", *"boiler off")
        await until(pilot, lambda: "2 messages" in screen_text(app))

    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=before)


def test_settings(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await at_rest(pilot)
        await pilot.press("f10")
        await until(pilot, lambda: "temperature" in screen_text(app))

    preferences = stage.services.preferences
    paths = replace(preferences.context.paths, config_dir=Path("/home/you/.config/ragchat"))
    preferences.context = replace(preferences.context, paths=paths)
    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=before)


def test_options_of_a_chat(stage: Stage, snap_compare: Compare) -> None:
    async def before(pilot: Pilot[None]) -> None:
        app = await read(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: "as in the settings" in screen_text(app))

    assert snap_compare(RagchatApp(stage.services), terminal_size=WIDE, run_before=before)
