"""Questions in a second tab wait for the answer in the first, are seen to wait, and can be taken back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from ragchat.tui.app import RagchatApp
from ragchat.tui.widgets.status_bar import StatusBar
from ragchat.tui.widgets.tabs import TabStrip
from tests.helpers.tui_fakes import Stage, running, screen_text, send, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    stage.script.held = 1
    return stage


def turns(stage: Stage) -> dict[str, list[str]]:
    """What is stored of each chat, by its title."""
    with stage.chats() as store:
        return {chat.title: [m.state for m in store.messages(chat.id)] for chat in store.conversations()}


def shows(app: RagchatApp, words: str) -> bool:
    return words in screen_text(app)


def tabs(app: RagchatApp) -> str:
    return str(app.chat.query_one(TabStrip).render())


async def test_a_question_in_a_second_tab_waits_and_is_answered_next(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await send(app, pilot, "First")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("alt+n")
        await until(pilot, lambda: not pane.transcript.views)
        await send(app, pilot, "Second")
        await until(pilot, lambda: "Waiting for the answer in “First”" in screen_text(app))
        await until(pilot, lambda: pane.conversation_id > 0)
        assert app.chat.query_one(StatusBar).answering == "waiting, press Esc to cancel"
        assert stage.script.questions == ["First"]
        assert "◌ First" in tabs(app)
        await until(pilot, lambda: "… Second" in tabs(app))
        stage.script.release()
        await until(pilot, lambda: pane.live is None and not pane.waiting)
        assert "Forty-two is the answer" in screen_text(app)
        assert "Waiting" not in screen_text(app)
        assert stage.script.questions == ["First", "Second"]
    assert turns(stage) == {"First": ["complete"] * 2, "Second": ["complete"] * 2}


async def test_it_waits_while_other_chats_are_read_and_several_keep_their_order(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await send(app, pilot, "First")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        for question, before in (("Second", "First"), ("Third", "Second")):
            await pilot.press("alt+n")
            await until(pilot, lambda: not pane.transcript.views)
            await send(app, pilot, question)
            await until(pilot, partial(shows, app, f"answer in “{before}”"))
            await until(pilot, lambda: pane.conversation_id > 0)
        second = pane.waiting.questions[0].conversation_id
        app.chat.open_chat(second)
        await until(pilot, lambda: "Waiting for the answer in “First”" in screen_text(app))
        await pilot.press(*"more", "enter")
        await until(pilot, lambda: "Your text is kept" in screen_text(app))
        assert pane.prompt.text == "more"
        stage.script.release()
        await until(pilot, lambda: pane.live is None and not pane.waiting)
        assert stage.script.questions == ["First", "Second", "Third"]
        assert "Forty-two is the answer" in screen_text(app)
    assert set(map(tuple, turns(stage).values())) == {("complete", "complete")}


async def test_escape_takes_it_back(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await send(app, pilot, "First")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("alt+n")
        await until(pilot, lambda: not pane.transcript.views)
        await send(app, pilot, "Second")
        await until(pilot, lambda: "Waiting for" in screen_text(app) and pane.conversation_id > 0)
        await pilot.press("escape")
        await until(pilot, lambda: pane.prompt.text == "Second")
        assert not pane.waiting
        assert not pane.transcript.views
        assert pane.live is not None, "the answer in the other tab goes on"
        stage.script.release()
        await until(pilot, lambda: pane.live is None)
        assert stage.script.questions == ["First"]


async def test_a_question_that_waits_is_a_draft_when_you_leave(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await send(app, pilot, "First")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("alt+n")
        await until(pilot, lambda: not pane.transcript.views)
        await send(app, pilot, "Second")
        await until(pilot, lambda: "Waiting for" in screen_text(app) and pane.conversation_id > 0)
        number = pane.conversation_id
        await pilot.press("ctrl+q")
    with stage.chats() as store:
        assert store.draft(number) == "Second"


async def test_an_answer_that_is_stopped_lets_the_next_begin(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await send(app, pilot, "First")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        first = pane.conversation_id
        await pilot.press("alt+n")
        await until(pilot, lambda: not pane.transcript.views)
        await send(app, pilot, "Second")
        await until(pilot, lambda: "Waiting for" in screen_text(app) and pane.conversation_id > 0)
        app.chat.open_chat(first)
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("escape")
        stage.script.release()
        await until(pilot, lambda: pane.live is None and not pane.waiting)
    assert turns(stage) == {"First": ["complete", "cancelled"], "Second": ["complete", "complete"]}
