"""The prompt viewer, the replay, the comparison and compaction, each alone, through real keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.containers import VerticalScroll

from ragchat.errors import InferenceDiedError, NotFoundError
from ragchat.llm.fake import FakeModel
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.compare import Trial, keep
from ragchat.session.events import AnswerFinished
from ragchat.session.prompt_view import FREE, PromptView
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.compact import CompactScreen
from ragchat.tui.screens.compare import (
    CompareScreen,
    CompareSetup,
    Comparison,
    Defaults,
    Kept,
    describe,
    other_side,
    run_on_copies,
)
from ragchat.tui.screens.confirm import Confirm
from ragchat.tui.screens.pick import Pick
from ragchat.tui.screens.prompt_view import PromptViewScreen
from ragchat.tui.screens.replay import ReplayScreen
from ragchat.types import (
    AdapterScale,
    CancelToken,
    ChatOptions,
    Message,
    Omission,
    OmissionKind,
    PromptPart,
    PromptPartKind,
    Sampling,
)
from tests.helpers.tui_fakes import Stage, set_stage, until
from tests.tui.test_screens import EVIL, SIZES, Host, fits, host

DEFAULTS = Defaults("fake", ("guide",), ("fake", "other"), (("strict one", ChatOptions(strict=True)),))


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


# --- the prompt -----------------------------------------------------------------------------------------

VIEW = PromptView(
    title="The prompt of this answer",
    model="SmolLM2",
    model_path="/models/smollm2.gguf",
    adapters=(),
    knowledge_bases=("guide",),
    query="boiler pressure",
    messages=(
        Message("system", "You are a careful assistant."),
        Message("user", "[1] The boiler wants 1.5 bar.\n\nQuestion: Which pressure?"),
    ),
    parts=(
        PromptPart(PromptPartKind.INSTRUCTIONS, 45),
        PromptPart(PromptPartKind.PASSAGE, 200, 1),
        PromptPart(PromptPartKind.QUESTION, 12),
        PromptPart(PromptPartKind.TEMPLATE, 8),
    ),
    prompt_tokens=265,
    n_ctx=2048,
    left_out=(Omission(OmissionKind.PASSAGES, 2, 3, 2048),),
    sampling=Sampling(temperature=0.3, seed=77),
    rendered="<|system|>You are a careful assistant.<|user|>[1] The boiler wants 1.5 bar.",
    created_at="2026-01-02T03:04:05+00:00",
)


async def test_the_prompt_is_shown_by_part_and_word_for_word() -> None:
    app, screen = Host(), PromptViewScreen(VIEW)
    async with host(app, screen, size=(120, 36)) as pilot:
        await pilot.pause()
        for text in (
            "265 of 2,048 tokens",
            "1,783 free for the answer",
            "instructions",
            "passage 1",
            "template",
        ):
            assert text in app.text
        assert "Left out: 2 of 3 passages" in app.text
        assert "boiler pressure" in app.text
        assert "77" in app.text
        assert "── system ──" in app.text
        assert "You are a careful assistant." in app.text
        line = next(line for line in app.text.splitlines() if FREE in line and "━" in line)
        assert line.count("━") > next(t for t in app.text.splitlines() if "passage 1" in t).count("━")
        await pilot.press("escape")
        assert app.given == [None]


async def test_the_text_as_it_is_sent_and_back() -> None:
    app, screen = Host(), PromptViewScreen(VIEW)
    async with host(app, screen, size=(120, 36)) as pilot:
        await pilot.press("t")
        assert screen.shown == VIEW.rendered
        await pilot.pause()
        assert "<|system|>" in app.text
        await pilot.press("t")
        assert screen.shown.startswith("── system ──\nYou are")
    unknown = PromptViewScreen(replace(VIEW, rendered="", not_rendered="SmolLM2 is not loaded."))
    async with host(app := Host(), unknown) as pilot:
        await pilot.press("t")
        assert unknown.shown.startswith("── system ──")
        await until(
            pilot, lambda: [note.message for note in app._notifications] == ["SmolLM2 is not loaded."]
        )


async def test_it_is_copied_and_saved_but_not_over_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app, screen = Host(), PromptViewScreen(VIEW)
    async with host(app, screen) as pilot:
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == screen.shown)
        await pilot.press("s")
        await pilot.press("enter")
        file = tmp_path / "prompt.txt"
        await until(pilot, lambda: file.exists() and file.read_text("utf-8") == f"{screen.shown}\n")
        file.write_text("mine", "utf-8")
        await pilot.press("t", "s")
        await pilot.press("home", "shift+end", "delete", *"prompt.txt", "enter")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("enter")
        assert file.read_text("utf-8") == "mine"
        await pilot.press("s")
        await pilot.press("enter")
        await until(pilot, lambda: (tmp_path / "prompt-2.txt").exists())
        assert (tmp_path / "prompt-2.txt").read_text("utf-8") == f"{VIEW.rendered}\n"


async def test_searching_and_scrolling_it() -> None:
    long = replace(VIEW, messages=(Message("user", "\n".join(f"line {n}" for n in range(200))),))
    app, screen = Host(), PromptViewScreen(long)
    async with host(app, screen, size=(60, 20)) as pilot:
        await pilot.press("G")
        await until(pilot, lambda: "line 199" in app.text)
        await pilot.press("g")
        await until(pilot, lambda: "── user ──" in app.text)
        await pilot.press("slash", *"line 15", "enter")
        await until(pilot, lambda: "line 15\n" in f"{app.text}\n".replace(" \n", "\n"))
        await pilot.press("n")
        await until(pilot, lambda: "line 150" in app.text)
        await pilot.press("N")
        await until(pilot, lambda: "line 14" in app.text)
        await pilot.press("tab")
        parts = screen.query_one("#parts", VerticalScroll)
        assert screen.focused is parts
        await pilot.press("G")
        await until(pilot, lambda: parts.scroll_offset.y > 0)
        assert "SmolLM2" in app.text or "77" in app.text


@pytest.mark.parametrize("size", SIZES)
async def test_the_prompt_fits_every_size(size: tuple[int, int]) -> None:
    app = Host()
    async with host(app, PromptViewScreen(VIEW), size=size) as pilot:
        await pilot.pause()
        assert fits(app, size)


async def test_foreign_text_in_a_prompt_does_nothing() -> None:
    evil = replace(
        VIEW,
        model=EVIL,
        model_path=EVIL,
        query=EVIL,
        knowledge_bases=(EVIL,),
        messages=(Message("user", EVIL),),
        parts=(PromptPart.named(EVIL, 5),),
        left_out=(Omission(OmissionKind.OTHER, name=EVIL),),
        rendered=EVIL,
    )
    app = Host()
    async with host(app, PromptViewScreen(evil), size=(120, 36)) as pilot:
        await pilot.pause()
        assert "\x1b" not in app.segments
        assert "\u202e" not in app.segments
        assert "[@click=app.quit]x[/]" in app.text
        await pilot.press("t")
        await pilot.pause()
        assert "\x1b" not in app.segments


# --- replay ---------------------------------------------------------------------------------------------


class Chosen(FakeModel):
    """A fake that can be chosen by name; other names are other models, which say `others`."""

    def __init__(self, answer: str, *, others: str = "", pause_s: float = 0.0) -> None:
        self.names: list[str] = []
        self.selected = "fake"
        self._mine, self._others = answer, others
        super().__init__(lambda _: self._mine if self.selected == "fake" else self._others, pause_s=pause_s)

    def select(self, name_or_path: str) -> None:
        self.names.append(name_or_path)
        if name_or_path not in ("fake", "other"):
            raise NotFoundError(f"There is no model {name_or_path}.")
        self.selected = name_or_path
        self._info = replace(self._info, name=name_or_path)

    def suspicion(self) -> str:
        return ""


def answered(stage: Stage, model: FakeModel) -> tuple[Stage, int]:
    """A chat with one answer of this model; the stage with it as the model of the app, and the number of the answer."""
    with stage.chats() as store:
        chat = store.create_conversation("Chat").id
        *_, last = ChatSession(store, model, [], AskOptions()).ask(chat, "Why?", cancel=CancelToken())
    assert isinstance(last, AnswerFinished)
    stage.services.model = model  # type: ignore[assignment]
    return stage, last.answer_id


async def replayed(app: Host, screen: ReplayScreen, pilot: Any) -> None:
    await until(pilot, lambda: not screen.running)
    await pilot.pause()


async def test_a_replay_says_that_it_is_identical(stage: Stage) -> None:
    stage, number = answered(stage, Chosen("Because the pressure fell."))
    app, screen = Host(stage.services), ReplayScreen(stage.services, number)
    async with host(app, screen) as pilot:
        await replayed(app, screen, pilot)
        assert screen.result
        assert screen.result.identical
        assert "✓ Identical" in app.text
        assert "Because the pressure fell." in app.text
        assert f"seed {screen.result.seed}" in app.text
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == "Because the pressure fell. ")
        await pilot.press("escape")
        assert app.given == [None]


async def test_a_replay_shows_the_difference_without_colours(stage: Stage) -> None:
    model = Chosen("Because the pressure fell.")
    stage, number = answered(stage, model)
    model._mine = "Because the valve leaked."
    app, screen = Host(stage.services), ReplayScreen(stage.services, number)
    async with host(app, screen) as pilot:
        await replayed(app, screen, pilot)
        assert screen.result
        assert screen.result.verdict == "different"
        assert "≠ Different: 2 words gone" in app.text
        assert "the [-pressure fell-] {+valve leaked+}." in app.text
        assert "not recorded and may differ" in " ".join(app.text.split())
        await pilot.press("d")
        assert "Because the valve leaked." in app.text
        await pilot.press("d")
        assert "[-pressure fell-]" in app.text


async def test_the_model_that_wrote_it_is_used_and_the_chosen_one_put_back(stage: Stage) -> None:
    model = Chosen("Because.", others="I am another.")
    stage, number = answered(stage, model)
    model.select("other")
    model.names.clear()
    screen = ReplayScreen(stage.services, number)
    async with host(Host(stage.services), screen) as pilot:
        await until(pilot, lambda: not screen.running)
        assert screen.result
        assert screen.result.identical
        assert (model.names, model.selected) == (["fake", "other"], "other")


async def test_a_model_that_is_gone_is_replaced_by_the_chosen_one_and_that_is_said(stage: Stage) -> None:
    model = Chosen("Because.", others="I am another.")
    stage, number = answered(stage, model)
    with stage.chats() as store:
        generation = store.generation(number)
        assert generation
        store.save_generation(number, replace(generation, model="gone", model_path="/models/gone.gguf"), ())
    app, screen = Host(stage.services), ReplayScreen(stage.services, number)
    async with host(app, screen) as pilot:
        await replayed(app, screen, pilot)
        assert screen.result
        assert model.names == ["/models/gone.gguf", "gone"]
        assert "The old answer was written by gone; this one is by fake." in app.text


async def test_escape_stops_a_replay_and_then_closes_it(stage: Stage) -> None:
    model = Chosen(" ".join(f"word{n}" for n in range(500)))
    stage, number = answered(stage, model)
    model._pause_s = 0.02
    app, screen = Host(stage.services), ReplayScreen(stage.services, number)
    async with host(app, screen) as pilot:
        await until(pilot, lambda: "word3" in app.text)
        await pilot.press("escape")
        await replayed(app, screen, pilot)
        assert app.given == []
        assert screen.result
        assert (screen.result.verdict, screen.result.finish_reason) == ("beginning", "cancelled")
        assert "The same up to where it ends" in app.text
        assert "stopped early" in app.text
        await pilot.press("escape")
        assert app.given == [None]


async def test_an_answer_of_which_nothing_is_recorded_says_so(stage: Stage) -> None:
    with stage.chats() as store:
        chat = store.create_conversation("Chat").id
        question = store.add_user_message(chat, "Why?")
    app, screen = Host(stage.services), ReplayScreen(stage.services, question.id)
    async with host(app, screen) as pilot:
        await replayed(app, screen, pilot)
        assert "The inputs of this answer were not recorded." in app.text
        assert screen.result is None


@pytest.mark.parametrize("size", SIZES)
async def test_the_replay_fits_every_size_and_foreign_text_does_nothing(
    stage: Stage, size: tuple[int, int]
) -> None:
    model = Chosen(f"{EVIL} one")
    stage, number = answered(stage, model)
    model._mine = f"{EVIL} two"
    app, screen = Host(stage.services), ReplayScreen(stage.services, number)
    async with host(app, screen, size=size) as pilot:
        await replayed(app, screen, pilot)
        assert fits(app, size)
        assert "\x1b" not in app.segments
        assert "\u202e" not in app.segments


# --- choosing what to compare ---------------------------------------------------------------------------


def test_by_default_a_chat_is_compared_with_itself_without_documents() -> None:
    assert other_side(ChatOptions(preset="x"), DEFAULTS) == ChatOptions(knowledge_bases=())
    assert other_side(ChatOptions(knowledge_bases=("a",)), DEFAULTS).knowledge_bases == ()
    assert other_side(ChatOptions(knowledge_bases=()), DEFAULTS).knowledge_bases == ("guide",)
    assert other_side(ChatOptions(adapters=(AdapterScale("facts"),)), DEFAULTS) == ChatOptions()
    assert (
        describe(ChatOptions(adapters=(AdapterScale("facts"),)), DEFAULTS) == "fake · guide · adapter facts"
    )
    assert describe(ChatOptions(), DEFAULTS) == "fake · guide"
    assert describe(ChatOptions(model="m", knowledge_bases=(), temperature=0.5), DEFAULTS) == (
        "m · no documents · temperature 0.5"
    )


async def test_enter_asks_both_at_once(stage: Stage) -> None:
    app = Host(stage.services)
    async with host(app, CompareSetup("Why?\nAnd how?", ChatOptions(strict=True), DEFAULTS)) as pilot:
        for text in ("Why? And how?", "A  this chat", "guide", "none, a plain chat"):
            assert text in app.text
        await pilot.press("enter")
        (given,) = app.given
        sides = (ChatOptions(strict=True), ChatOptions(strict=True, knowledge_bases=()))
        assert given == Comparison("Why?\nAnd how?", sides)


async def test_model_documents_and_preset_of_a_side(stage: Stage) -> None:
    app, setup = Host(stage.services), CompareSetup("Why?", ChatOptions(), DEFAULTS)
    async with host(app, setup, size=(100, 40)) as pilot:
        setup.rows.highlight("model1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("down", "down", "enter")
        assert setup.sides[1] == ChatOptions(model="other", knowledge_bases=())
        setup.rows.highlight("documents1")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, KnowledgePicker) and "manual" in app.text)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: setup.sides[1].knowledge_bases == ("manual",))
        setup.rows.highlight("preset0")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("down", "enter")
        assert setup.sides[0] == ChatOptions(strict=True, preset="strict one")
        await pilot.press("r")
        assert app.given[0].sides == tuple(setup.sides)


async def test_without_a_question_one_is_asked_for(stage: Stage) -> None:
    app, setup = Host(stage.services), CompareSetup("", ChatOptions(), DEFAULTS)
    async with host(app, setup) as pilot:
        await pilot.press("r")
        await pilot.press(*"Why?", "enter")
        assert setup.question == "Why?"
        await pilot.press("enter")
        assert app.given[0].question == "Why?"
    async with host(app := Host(stage.services), CompareSetup("", ChatOptions(), DEFAULTS)) as pilot:
        await pilot.press("escape")
        assert app.given == [None]


# --- comparing ------------------------------------------------------------------------------------------

SIDES = (ChatOptions(), ChatOptions(model="other", knowledge_bases=()))


def comparing(
    stage: Stage, question: str = "Why is the boiler off?", chat: int = 0
) -> tuple[Host, CompareScreen]:
    run = run_on_copies(stage.services, "fake")
    screen = CompareScreen(stage.services, run, Comparison(question, SIDES), chat, DEFAULTS)
    return Host(stage.services), screen


async def test_two_settings_answer_one_after_the_other_and_nothing_is_stored(stage: Stage) -> None:
    app, screen = comparing(stage)
    async with host(app, screen, size=(120, 36)) as pilot:
        await until(pilot, lambda: not screen.running)
        assert stage.script.options == list(SIDES)
        assert stage.script.asked_of == [("guide",), ()]
        assert all(panel.trial for panel in screen.panels)
        await pilot.pause()
        for text in (
            "Why is the boiler off?",
            "A  fake · guide",
            "B  other · no documents",
            "Forty-two is the answer",
            "first word after 1.2 s · 34.2 tokens/s · 120 tokens",
            "[1] guide.md, ",
            "No citations.",
        ):
            assert text in app.text
        assert stage.model.selected == "fake", "the chosen model is put back"
        with stage.chats() as store:
            assert store.conversations() == []
        assert not list(stage.services.paths.scratch_dir.iterdir())
        await pilot.press("escape")
        assert app.given == [None]


async def test_a_side_is_kept(stage: Stage) -> None:
    app, screen = comparing(stage)
    async with host(app, screen) as pilot:
        await until(pilot, lambda: not screen.running)
        await pilot.press("2")
        (kept,) = app.given
        assert isinstance(kept, Kept)
        assert isinstance(kept.trial, Trial)
        assert kept.options == SIDES[1]
        with stage.chats() as store:
            stored = keep(store, 0, kept.trial, options=kept.options)
            question, answer = store.messages(stored.conversation_id)
            assert (question.content, answer.content) == (
                "Why is the boiler off?",
                "Forty-two is the answer [1].",
            )


async def test_tab_goes_to_the_other_side_and_y_copies_it(stage: Stage) -> None:
    app, screen = comparing(stage)
    async with host(app, screen) as pilot:
        await until(pilot, lambda: not screen.running)
        assert screen.focused_panel is screen.panels[0]
        await pilot.press("tab")
        assert screen.focused_panel is screen.panels[1]
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == "Forty-two is the answer [1].")
        await pilot.press("shift+tab")
        assert screen.focused_panel is screen.panels[0]


async def test_escape_stops_the_running_side_and_the_other_is_not_asked(stage: Stage) -> None:
    stage.script.held = 1
    app, screen = comparing(stage)
    async with host(app, screen) as pilot:
        await until(pilot, lambda: "Forty-two" in app.text)
        await pilot.press("2")
        assert app.given == [], "B has nothing to keep yet"
        await pilot.press("escape")
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert len(stage.script.options) == 1
        assert screen.panels[0].trial
        assert screen.panels[0].trial.finished.finish_reason == "cancelled"
        assert "Stopped before this side was asked." in app.text
        await pilot.press("1")
        assert app.given[0].trial.answer.content == "Forty-two"


async def test_a_side_that_fails_says_why_and_the_other_goes_on(stage: Stage) -> None:
    run = run_on_copies(stage.services, "fake")

    def failing(options: ChatOptions, question: str, chat: int, cancel: CancelToken) -> Any:
        if options == SIDES[0]:
            raise InferenceDiedError(f"The model's process was killed {EVIL}.", "Ask again.")
        yield from run(options, question, chat, cancel)

    screen = CompareScreen(stage.services, failing, Comparison("Why?", SIDES), 0, DEFAULTS)
    app = Host(stage.services)
    async with host(app, screen, size=(120, 36)) as pilot:
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert screen.panels[0].trial is None
        assert screen.panels[1].trial
        assert "The model's process was killed" in app.text
        assert "\x1b" not in app.segments
        await pilot.press("1")
        assert app.given == []


@pytest.mark.parametrize("size", SIZES)
async def test_the_comparison_fits_every_size(stage: Stage, size: tuple[int, int]) -> None:
    app, screen = comparing(stage, EVIL)
    async with host(app, screen, size=size) as pilot:
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert fits(app, size)
        assert "\x1b" not in app.segments
        if size == (60, 20):
            text = app.text
            assert text.index("A  fake") < text.index("B  other")
            assert "Forty-two" in text
    async with host(Host(stage.services), CompareSetup(EVIL, ChatOptions(), DEFAULTS), size=size) as pilot:
        await pilot.pause()


# --- compaction -----------------------------------------------------------------------------------------


def talked(stage: Stage, turns: int, model: FakeModel) -> int:
    with stage.chats() as store:
        chat = store.create_conversation("Chat").id
        for n in range(turns):
            store.add_user_message(chat, f"question {n}")
            answer = store.begin_answer(chat)
            store.finish_answer(answer.id, f"answer {n}", state="complete", finish_reason="stop")
    stage.services.model = model  # type: ignore[assignment]
    return chat


async def test_a_chat_is_compacted_and_that_is_taken_back(stage: Stage) -> None:
    chat = talked(stage, 5, Chosen(f"They spoke of pumps {EVIL}."))
    app, screen = Host(stage.services), CompactScreen(stage.services, chat)
    async with host(app, screen) as pilot:
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert screen.done
        assert "✓ 3 turns" in app.text
        assert "They spoke of pumps" in app.text
        assert "\x1b" not in app.segments
        with stage.chats() as store:
            compaction = store.compaction(chat)
            assert compaction
            assert compaction.id == screen.done.compaction_id
        await pilot.press("u")
        await until(pilot, lambda: "The summary is removed" in app.text)
        with stage.chats() as store:
            assert store.compaction(chat) is None
        await pilot.press("enter")
        assert app.given == [None]


async def test_compaction_that_is_stopped_or_has_nothing_to_do_says_so(stage: Stage) -> None:
    model = Chosen(" ".join(f"word{n}" for n in range(500)), pause_s=0.02)
    chat = talked(stage, 5, model)
    app, screen = Host(stage.services), CompactScreen(stage.services, chat)
    async with host(app, screen, size=(60, 20)) as pilot:
        await until(pilot, lambda: "word3" in app.text)
        await pilot.press("escape")
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert "Stopped. The chat is unchanged." in app.text
        with stage.chats() as store:
            assert store.compaction(chat) is None
        await pilot.press("escape")
        assert app.given == [None]
    app, screen = Host(stage.services), CompactScreen(stage.services, talked(stage, 1, model))
    async with host(app, screen) as pilot:
        await until(pilot, lambda: not screen.running)
        await pilot.pause()
        assert "There is nothing to compact: this chat is short." in app.text
