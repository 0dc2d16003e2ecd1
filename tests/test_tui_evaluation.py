"""The verdict in the screen: words, bars, disagreements, stale or not; hostile text stays text."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragchat.evaluation.four_ways import ARMS, Arm
from ragchat.evaluation.sets import new
from ragchat.evaluation.verdict import judge
from ragchat.tui.screens.evaluation import Disagreement, Evaluation, EvaluationScreen
from ragchat.tui.screens.questions import EditQuestion, QuestionsScreen
from ragchat.tui.widgets.status_bar import StatusBar
from tests.test_evaluation import answered, made_run
from tests.tui_fakes import running, screen_text, set_stage, until

EVIL = "\x1b]52;c;aGk=\x07[@click=app.quit]x[/] \x1b[31mred\u202e"


def evaluation(*, stale: tuple[str, ...] = (), arms: tuple[Arm, ...] = ARMS, evil: str = "") -> Evaluation:
    run = made_run(40, arms=arms)
    share = {"base": 10, "tuned": 8, "rag": 2, "rag+tuned": 2}
    return Evaluation(
        judge(
            run, answered(run, lambda n, arm: f"word{n} {evil}" if n % share[arm] == 0 else f"no idea {evil}")
        ),
        stale,
    )


async def test_without_a_run_it_says_how_to_make_one(tmp_path: Path) -> None:
    async with running(set_stage(tmp_path)) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "Nothing was measured yet." in screen_text(app))
        assert "ragchat eval run NAME" in screen_text(app)
        assert not app.chat.query_one(StatusBar).stale
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_the_verdict_and_its_disagreements(tmp_path: Path, size: tuple[int, int]) -> None:
    stage = set_stage(tmp_path)
    stage.evaluations = [
        evaluation(stale=("the documents (work)",), evil=EVIL),
        evaluation(arms=("base", "rag")),
    ]
    async with running(stage, size=size) as (app, pilot):
        await until(pilot, lambda: app.chat.query_one(StatusBar).stale)
        await pilot.press("f11")
        await until(pilot, lambda: "Stale: the documents (work) changed" in screen_text(app))
        assert "1 of 2" in screen_text(app)
        assert isinstance(app.screen, EvaluationScreen)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, Disagreement))
        text = screen_text(app)
        assert "expected: word" in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        await pilot.press("escape")
        await pilot.press("s")
        await until(pilot, lambda: "2 of 2" in screen_text(app))
        assert "rag − base" in screen_text(app) or size[1] < 36


async def test_a_stale_verdict_is_named_in_the_status_line(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.evaluations = [evaluation(stale=("the model",))]
    async with running(stage, size=(140, 30)) as (app, pilot):
        await until(pilot, lambda: "verdict stale: F11" in screen_text(app))


async def test_questions_are_added_edited_and_deleted_by_keys(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {"work": [new("Who built it?", ["Ada Pell"])]}
    async with running(stage) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "Nothing was measured yet." in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: "work: 1 question" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, QuestionsScreen))
        assert "Ada Pell" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, EditQuestion))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "There is no question." in screen_text(app))
        await pilot.press(*"When", "tab", *"1871", "ctrl+s")
        await until(pilot, lambda: len(stage.question_sets["work"]) == 2)
        made = stage.question_sets["work"][1]
        assert (made.question, made.answers) == ("When", ("1871",))
        await until(pilot, lambda: isinstance(app.screen, QuestionsScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EditQuestion))
        await pilot.press("end", *" then", "ctrl+s")
        await until(pilot, lambda: stage.question_sets["work"][1].question == "When then")
        assert stage.question_sets["work"][1].id != made.id, "another question is measured anew"
        await until(pilot, lambda: isinstance(app.screen, QuestionsScreen))
        await pilot.press("d")
        await until(pilot, lambda: len(stage.question_sets["work"]) == 1)
        await pilot.press("u")
        await until(pilot, lambda: len(stage.question_sets["work"]) == 2)
