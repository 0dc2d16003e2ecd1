"""The windows about how an answer is made, from the chat by real keys: real session and databases, a model that is an actor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ragchat.llm.fake import FakeModel
from ragchat.tui.app import RagchatApp
from ragchat.tui.screens.choose_document import ChooseDocument
from ragchat.tui.screens.compact import CompactScreen
from ragchat.tui.screens.compare import CompareScreen, CompareSetup
from ragchat.tui.screens.prompt_view import PromptViewScreen
from ragchat.tui.screens.replay import ReplayScreen
from ragchat.types import Message
from tests.helpers.tui_fakes import Stage, answer_for_real, running, screen_text, set_stage, until


class Actor(FakeModel):
    """One that can be chosen by name."""

    selected = "fake"

    def select(self, name_or_path: str) -> None:
        self.selected = name_or_path

    def suspicion(self) -> str:
        return ""


def answer(messages: Sequence[Message]) -> str:
    return f"Forty-two, after {len(messages)} messages."


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    actor = Actor(answer)

    answer_for_real(stage, actor)
    return stage


def stored(stage: Stage) -> list[str]:
    with stage.chats() as store:
        chats = store.conversations()
        return [message.content for message in store.messages(chats[0].id)] if chats else []


async def said(stage: Stage, app: RagchatApp, pilot: Pilot[None], question: str) -> None:
    """Ask, wait for the whole answer, and go to it."""
    before = len(stored(stage))
    app.chat.pane.prompt.focus()
    app.chat.pane.prompt.put(question)
    await pilot.press("enter")
    await until(
        pilot,
        lambda: (
            app.chat.pane.live is None
            and len(stored(stage)) == before + 2
            and len(app.chat.pane.transcript.views) == before + 2
        ),
    )
    app.chat.pane.transcript.focus()
    await pilot.press("G")


async def test_p_shows_what_an_answer_was_made_from(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await said(stage, app, pilot, "What is the answer?")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PromptViewScreen))
        await until(pilot, lambda: "question" in screen_text(app))
        assert "What is the answer?" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)


async def test_alt_p_shows_what_would_be_sent(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("alt+p")
        await until(pilot, lambda: "Type a question first" in screen_text(app))
        app.chat.pane.prompt.put("Not sent yet?")
        await pilot.press("alt+p")
        await until(pilot, lambda: isinstance(app.screen, PromptViewScreen))
        await until(pilot, lambda: "Not sent yet?" in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: app.screen is app.chat)
        assert app.chat.pane.prompt.text == "Not sent yet?"
    assert stored(stage) == []


async def test_shift_r_makes_an_answer_again(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await said(stage, app, pilot, "What is the answer?")
        before = stored(stage)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ReplayScreen))
        await until(pilot, lambda: "Identical, word for word" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
    assert stored(stage) == before


async def test_alt_c_compares_and_keeps_one(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.put("Which is better?")
        await pilot.press("alt+c")
        await until(pilot, lambda: isinstance(app.screen, CompareSetup))
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until(pilot, lambda: screen_text(app).count("Forty-two") == 2)
        assert stored(stage) == []
        await until(pilot, lambda: "Keep B" in screen_text(app) or "keep" in screen_text(app).casefold())
        await pilot.press("2")
        await until(pilot, lambda: app.screen is app.chat and len(stored(stage)) == 2)
    assert stored(stage)[0] == "Which is better?"


async def test_alt_s_summarises_a_document(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("alt+s")
        await until(pilot, lambda: isinstance(app.screen, ChooseDocument))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
        await pilot.press("alt+s")
        await until(pilot, lambda: isinstance(app.screen, ChooseDocument))
        await until(pilot, lambda: ".md" in screen_text(app))
        await pilot.press("enter")
        await until(
            pilot, lambda: app.screen is app.chat and app.chat.pane.live is None and len(stored(stage)) == 2
        )
    assert stored(stage)[0].startswith("Summarise ")
    assert "Forty-two" in stored(stage)[1]


async def test_alt_k_compacts_and_alt_u_takes_it_back(stage: Stage) -> None:
    def compacted() -> bool:
        with stage.chats() as store:
            return store.compaction(store.conversations()[0].id) is not None

    async with running(stage) as (app, pilot):
        await pilot.press("alt+k")
        await until(pilot, lambda: "nothing to compact" in screen_text(app))
        for number in range(5):
            await said(stage, app, pilot, f"Question {number}?")
        await pilot.press("alt+k")
        await until(pilot, lambda: isinstance(app.screen, CompactScreen))
        await until(pilot, compacted)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
        await pilot.press("alt+u")
        await until(pilot, lambda: not compacted())
        await until(pilot, lambda: "summary is removed" in screen_text(app))
        assert len(stored(stage)) == 10, "nothing of the chat is gone"
