"""Before Enter, by real keys: what is shown and read while a question is typed, and between two. The model is an actor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ragchat.llm.fake import FakeModel
from ragchat.session.chat import ChatSession
from ragchat.session.preparing import Foreseen, Plan, Typed
from ragchat.tui import reading_ahead
from ragchat.tui.app import RagchatApp
from ragchat.tui.screens.chat import FORESEEN
from ragchat.tui.state import JobState
from ragchat.types import CancelToken, Message, ReadAhead
from tests.helpers.tui_fakes import Stage, answer_for_real, running, screen_text, set_stage, until

QUESTION = "Which working pressure does the boiler want?"
PASSAGE = "The boiler wants a working pressure"


class Actor(FakeModel):
    """One that can be chosen by name. `slow_s`: how long it reads ahead, unless it is told to stop."""

    selected = "fake"
    slow_s = 0.0
    stopped = 0

    def select(self, name_or_path: str) -> None:
        self.selected = name_or_path

    def suspicion(self) -> str:
        return ""

    def prepare(
        self,
        messages: Sequence[Message],
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
        keep: bool = False,
    ) -> ReadAhead:
        read = super().prepare(messages, cancel=cancel, owners=owners, keep=keep)
        end = time.monotonic() + self.slow_s
        while time.monotonic() < end and not cancel.cancelled:
            time.sleep(0.002)
        self.stopped += cancel.cancelled
        return replace(read, done=not cancel.cancelled)

    @property
    def passages_read(self) -> list[str]:
        return [said[-1].content for said in self.prepared if PASSAGE in said[-1].content]


@pytest.fixture(autouse=True)
def idle_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs beside the tests."""
    monkeypatch.setattr(reading_ahead, "machine_is_busy", lambda: False)
    monkeypatch.setattr("ragchat.ingest.embedding.on_battery", lambda: False)


@pytest.fixture
def actor() -> Actor:
    return Actor("Between 1.2 and 1.8 bar [1].", n_ctx=4096)


@pytest.fixture
def stage(tmp_path: Path, actor: Actor) -> Stage:
    stage = set_stage(tmp_path)

    answer_for_real(stage, actor)
    return stage


async def type_in(app: RagchatApp, pilot: Pilot[None], text: str) -> None:
    app.chat.pane.prompt.focus()
    await pilot.press(*("space" if c == " " else "question_mark" if c == "?" else c for c in text))


async def shown_for(app: RagchatApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: FORESEEN in screen_text(app) and PASSAGE in screen_text(app))


async def rested() -> None:
    """Longer than any pause after which something would happen."""
    await asyncio.sleep(0.8)


# --- while you type ---------------------------------------------------------------------------------------


async def test_a_question_that_stays_is_read_up_to_itself(stage: Stage, actor: Actor) -> None:
    """No key comes any more: what is found three times is read."""
    list(actor.load())
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.focus()
        app.chat.pane.prompt.put(QUESTION)
        await until(pilot, lambda: any(text.endswith("Question:") for text in actor.passages_read))
        await asyncio.sleep(1.2)  # what the start still brings
        looks = len(actor.prepared)
        await asyncio.sleep(1.2)
        assert len(actor.prepared) == looks, "and then it is left alone"


async def test_passages_are_shown_while_the_question_is_typed(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "working pressure")
        await shown_for(app, pilot)
        assert app.focused is app.chat.pane.prompt
        assert app.chat.pane.prompt.text == "working pressure"
        await pilot.press(*["backspace"] * len("working pressure"))
        await until(pilot, lambda: FORESEEN not in screen_text(app))
        assert "Nothing to show yet." in screen_text(app)


async def test_passages_are_read_before_the_question_is_sent(stage: Stage, actor: Actor) -> None:
    async with running(stage) as (app, pilot):
        for part in ("Which working pressure", " does the boiler", " want", "?"):
            await type_in(app, pilot, part)
            await asyncio.sleep(reading_ahead.PAUSE_S * 2)
        await until(pilot, lambda: actor.passages_read)
        assert not actor.asked
        await pilot.press("enter")
        await until(pilot, lambda: actor.asked and app.chat.pane.live is None)
        read, asked = actor.passages_read[-1], actor.asked[-1][-1].content
        assert asked.startswith(read.removesuffix("Question:"))
        assert FORESEEN not in screen_text(app)


@pytest.mark.parametrize("typed", ["/he", "", "a?"])
async def test_what_is_no_question_is_not_looked_up(stage: Stage, actor: Actor, typed: str) -> None:
    async with running(stage) as (app, pilot):
        await rested()
        before = len(actor.prepared)
        await type_in(app, pilot, typed)
        await rested()
        assert FORESEEN not in screen_text(app)
        assert len(actor.prepared) == before


async def test_a_command_in_place_of_the_question_takes_its_passages_away(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "working pressure")
        await shown_for(app, pilot)
        await pilot.press("home", "/")
        await until(pilot, lambda: FORESEEN not in screen_text(app))


async def test_what_is_being_read_ends_with_its_question(stage: Stage, actor: Actor) -> None:
    async with running(stage) as (app, pilot):
        await rested()
        actor.slow_s, before = 10, len(actor.prepared)
        for part in ("Which working pressure", " does the boiler", " want?"):
            await type_in(app, pilot, part)
            await asyncio.sleep(reading_ahead.PAUSE_S * 2)
        await until(pilot, lambda: len(actor.prepared) > before)
        assert not actor.stopped, "keys that only make the question longer let it go on"
        app.chat.pane.prompt.put("")
        await until(pilot, lambda: actor.stopped, deadline_s=2)


async def test_a_pinned_passage_is_read_ahead(stage: Stage, actor: Actor) -> None:
    *_, pinned = stage.script.citations
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "working pressure")
        await shown_for(app, pilot)
        app.chat.pane.pin(pinned.hit)
        await asyncio.sleep(reading_ahead.PAUSE_S * 3)
        await type_in(app, pilot, "?")
        await asyncio.sleep(reading_ahead.PAUSE_S * 3)
        await type_in(app, pilot, "?")
        await until(
            pilot,
            lambda: any(pinned.hit.text in said[-1].content for said in actor.prepared),
            deadline_s=5,
        )


async def test_the_passages_of_one_chat_do_not_follow_into_another(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "working pressure")
        await shown_for(app, pilot)
        plan = app.chat.pane.plan
        await pilot.press("ctrl+n")
        await until(pilot, lambda: FORESEEN not in screen_text(app) and not app.chat.pane.opening)
        await type_in(app, pilot, "working pressure")
        await shown_for(app, pilot)
        assert app.chat.pane.plan is not plan


# --- between two questions --------------------------------------------------------------------------------


async def test_an_answer_is_read_for_the_next_question(stage: Stage, actor: Actor) -> None:
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "How?")
        await pilot.press("enter")
        await until(pilot, lambda: actor.asked and app.chat.pane.live is None)
        await until(
            pilot, lambda: any("1.8 bar" in m.content for said in actor.prepared for m in said), deadline_s=5
        )


async def test_the_beginning_of_a_new_chat_is_read_when_the_model_is_ready(
    stage: Stage, actor: Actor
) -> None:
    async with running(stage) as (_, pilot):
        await until(pilot, lambda: actor.prepared, deadline_s=5)
        assert actor.prepared[0][0].role == "system"


async def test_what_was_typed_while_an_answer_ran_is_looked_up_at_its_end(stage: Stage, actor: Actor) -> None:
    async with running(stage) as (app, pilot):
        actor._pause_s = 0.2
        await type_in(app, pilot, "How?")
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.pane.live is not None)
        await type_in(app, pilot, "working pressure")
        assert FORESEEN not in screen_text(app)
        await until(pilot, lambda: app.chat.pane.live is None)
        await shown_for(app, pilot)


# --- when not ---------------------------------------------------------------------------------------------


async def test_the_setting_switches_it_off(stage: Stage, actor: Actor) -> None:
    stage.use("model", read_ahead=False)
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, QUESTION)
        await rested()
        assert FORESEEN not in screen_text(app)
        assert not actor.prepared


@pytest.mark.parametrize(
    ("kind", "said"),
    [("sync", "while documents are indexed"), ("train:7", "while an adapter is trained")],
)
async def test_other_work_goes_first_and_the_passages_are_shown_all_the_same(
    stage: Stage, actor: Actor, kind: str, said: str
) -> None:
    async with running(stage) as (app, pilot):
        await rested()
        before = len(actor.prepared)
        app.jobs = {**app.jobs, kind: JobState(kind, "guide", "files")}
        for part in ("Which working pressure", " does the boiler", " want?"):
            await type_in(app, pilot, part)
            await asyncio.sleep(reading_ahead.PAUSE_S * 2)
        await shown_for(app, pilot)
        assert len(actor.prepared) == before
        await pilot.press("f9")
        await until(pilot, lambda: said in " ".join(screen_text(app).split()))


async def test_the_jobs_window_tells_what_was_read_and_pauses_it(stage: Stage, actor: Actor) -> None:
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: reading_ahead.KIND in app.jobs, deadline_s=5)
        await pilot.press("f9")
        await until(pilot, lambda: "tokens read (" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: reading_ahead.PAUSED in screen_text(app))
        await pilot.press("escape")
        before = len(actor.prepared)
        await type_in(app, pilot, QUESTION)
        await rested()
        assert len(actor.prepared) == before
        assert FORESEEN not in screen_text(app)
        await pilot.press("f9")
        await pilot.press("p")
        await until(pilot, lambda: reading_ahead.PAUSED not in screen_text(app))


async def test_on_battery_nothing_is_read(
    stage: Stage, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.ingest.embedding.PowerWatch", lambda: lambda: "on battery")
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, QUESTION)
        await shown_for(app, pilot)
        await rested()
        assert not actor.prepared
        assert app.jobs[reading_ahead.KIND].sentence.startswith(reading_ahead.ON_BATTERY)


async def test_keys_are_echoed_while_it_reads(stage: Stage, actor: Actor) -> None:
    actor.slow_s = 5
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: actor.prepared, deadline_s=5)
        await type_in(app, pilot, "work")
        began = time.perf_counter()
        await pilot.press("i")
        assert app.chat.pane.prompt.text == "worki"
        assert time.perf_counter() - began < 1, "the reading goes on for seconds"


async def test_a_search_that_is_slower_than_the_keys_is_shown_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    foresee = ChatSession.foresee

    def slowly(self: ChatSession, typed: Typed, plan: Plan | None, *, cancel: CancelToken) -> Foreseen:
        time.sleep(0.6)
        return foresee(self, typed, plan, cancel=cancel)

    monkeypatch.setattr(ChatSession, "foresee", slowly)
    async with running(stage) as (app, pilot):
        await type_in(app, pilot, "working pressure")
        for _ in range(12):
            await type_in(app, pilot, "?")
            await asyncio.sleep(reading_ahead.PAUSE_S * 1.5)
            if FORESEEN in screen_text(app):
                return
        raise AssertionError("not while it was typed")
