"""The verdict in the screen: words, bars, disagreements, stale or not; hostile text stays text."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Checkbox

from ragchat import config
from ragchat.app.evaluations import Evaluation
from ragchat.errors import UsageError
from ragchat.evaluation.calibration import Judged, RefusalCurve, choose, curve, fit_chance, point
from ragchat.evaluation.four_ways import ARMS, MODEL_ARMS, Arm
from ragchat.evaluation.question_sets import new
from ragchat.evaluation.verdict import judge
from ragchat.session.answerability import read_own
from ragchat.tui.screens.evaluation import Disagreement, EvaluationScreen
from ragchat.tui.screens.questions import EditQuestion, QuestionsScreen
from ragchat.tui.widgets.status_bar import StatusBar
from tests.evaluation.test_documents_alone import answers_of, run_of
from tests.evaluation.test_evaluation import answered, made_run
from tests.helpers.tui_fakes import running, screen_text, set_stage, until

EVIL = "\x1b]52;c;aGk=\x07[@click=app.quit]x[/] \x1b[31mred\u202e"


def evaluation(
    *, stale: tuple[str, ...] = (), arms: tuple[Arm, ...] = MODEL_ARMS, evil: str = ""
) -> Evaluation:
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
        await until(pilot, lambda: "No evaluation yet." in screen_text(app))
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
        await until(pilot, lambda: "Out of date. Changed since: the documents (work)" in screen_text(app))
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
        await until(pilot, lambda: "verdict out of date: F11" in screen_text(app))


async def test_questions_are_added_edited_and_deleted_by_keys(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {"work": [new("Who built it?", ["Ada Pell"])]}
    async with running(stage) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "No evaluation yet." in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: "work: 1 question" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, QuestionsScreen))
        assert "Ada Pell" in screen_text(app)
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, EditQuestion))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "The question is empty." in screen_text(app))
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


def refusals() -> RefusalCurve:
    """Questions with an answer match at .5 to .9, those without at .2 to .6."""
    judged = [Judged(f"there {n}", True, 0.5 + n / 25, 0.0) for n in range(10)]
    judged += [Judged(f"gone {n}", False, 0.2 + n / 25, 0.0) for n in range(10)]
    return RefusalCurve(curve(judged), point(judged, 0.4, 0.3), 10, 10)


@pytest.mark.parametrize("size", [(60, 20), (100, 30)])
async def test_the_point_of_declining_is_picked_by_keys(tmp_path: Path, size: tuple[int, int]) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {
        "plain": [new("Who built it?", ["Ada Pell"])],
        "work": [new("Who built it?", ["Ada Pell"]), new("Who was Nobody?", [], answerable=False)],
    }
    found = refusals()
    stage.refusal_curve = lambda name: found if name == "work" else None
    best = choose(found.points)
    async with running(stage, size=size) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "No evaluation yet." in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "False answers (no answer in the documents)" in screen_text(app))
        assert "Here: 50.0% false answers, 0.0% wrong refusals" in screen_text(app)
        await pilot.press("end")
        await until(pilot, lambda: "Here: 0.0% false answers, 100.0% wrong refusals" in screen_text(app))
        await pilot.press("b")
        said = f"Here: {best.false_answers:.1%} false answers, {best.wrong_refusals:.1%} wrong refusals"
        await until(pilot, lambda: said in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
    kept = config.load(stage.folder / "settings.toml", {}).retrieval
    assert (kept.min_match, kept.min_confidence) == (best.min_match, best.min_confidence)


async def test_the_chance_is_fitted_to_the_same_questions_and_stored_with_the_point(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {
        "work": [new("Who built it?", ["Ada Pell"]), new("Who was Nobody?", [], answerable=False)]
    }
    judged = [Judged(f"there {n}", True, 0.9, 0.9, 0.5 + n / 200) for n in range(60)]
    judged += [Judged(f"gone {n}", False, 0.1, 0.1, 0.1 + n / 200) for n in range(60)]
    found = RefusalCurve(curve(judged), point(judged, 0.4, 0.3), 60, 60, judged)
    stage.refusal_curve = lambda _: found
    own = fit_chance(judged).own
    async with running(stage, size=(100, 30)) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "No evaluation yet." in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: f"Below a chance of {own.least:.2f}" in screen_text(app))
        assert "The passages do not say" in screen_text(app)
        assert "fitted to your questions" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))
        kept = stage.services.preferences.context.paths.answerability_file
    assert read_own(kept) == own


async def test_what_is_missing_for_it_is_said(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {"work": [new("Who built it?", ["Ada Pell"])]}
    async with running(stage) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "No evaluation yet." in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: "both answerable and unanswerable" in screen_text(app))
        stage.question_sets["work"].append(new("Who was Nobody?", [], answerable=False))

        def fails(_: str) -> RefusalCurve | None:
            raise UsageError("There is nothing to search.", "Add documents.")

        stage.refusal_curve = fails
        await pilot.press("c")
        await until(pilot, lambda: "There is nothing to search. Add documents." in screen_text(app))
        await pilot.press("enter", "b", "left", "escape")
        await until(pilot, lambda: isinstance(app.screen, EvaluationScreen))


async def test_everything_of_a_long_page_can_be_seen(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.evaluations = [evaluation()]
    async with running(stage, size=(80, 24)) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "Recommended configuration" in screen_text(app))
        await until(pilot, lambda: "the model alone" in screen_text(app))
        seen = screen_text(app)
        for _ in range(14):
            await pilot.press("pagedown")
            await pilot.pause()
            seen += screen_text(app)
        assert "→ " in seen, "what to do next"
        verdict = stage.evaluations[0].verdict
        questions = [*verdict.disagreements(), *verdict.unanswered()]
        assert questions[-1].question in seen
        for _ in range(14):
            await pilot.press("pageup")
            await pilot.pause()
        assert questions[-1].question not in screen_text(app)
        await pilot.press("end")
        await until(pilot, lambda: questions[-1].question in screen_text(app))
        await pilot.press("home")
        await until(pilot, lambda: questions[0].question in screen_text(app))


def with_documents() -> Evaluation:
    run = run_of(40, without=10)
    return Evaluation(judge(run, answers_of(run, lambda n, arm: n % (1 + len(arm)) == 0)), ())


async def test_five_ways_fit_a_screen_of_80_columns(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.evaluations = [with_documents()]
    async with running(stage, size=(80, 140)) as (app, pilot):
        await pilot.press("f11")
        await until(pilot, lambda: "statements supported" in screen_text(app))
        lines = screen_text(app).split("\n")
        head = next(line for line in lines if "rag+tuned documents" in line)
        assert head.split()[:5] == list(ARMS)
        row = next(line for line in lines if "statements supported" in line)
        assert row.split()[-2:] == ["0.50", "0.50"]
        row = next(line for line in lines if "false answers" in line and "1.00" in line)
        assert row.split()[-5:] == ["1.00"] * 5
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, Disagreement))
        assert "statements: 2 supported, 1 partly, 1 not found" in screen_text(app)


def test_documents_alone_come_before_all_else_and_are_never_recommended() -> None:
    from ragchat.tui.screens.evaluation import page

    shown = with_documents()
    text = page(shown).plain
    against = shown.verdict.against_documents
    assert text.count(against) == 1
    assert text.index(against) < text.index("━")
    assert any(line.startswith("documents ") and "━" in line for line in text.split("\n"))


def test_a_bar_is_read_without_colour() -> None:
    from ragchat.tui.screens.evaluation import page

    text = page(evaluation()).plain
    bars = {line.split()[0]: line.split()[1] for line in text.split("\n") if "━" in line or "┄" in line}
    assert bars["rag"].count("━") > bars["base"].count("━") > 0
    assert len(set(map(len, bars.values()))) == 1


async def test_a_box_that_is_off_is_empty(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.question_sets = {"work": []}
    async with running(stage) as (app, pilot):
        app.push_screen(QuestionsScreen("work", [], lambda before, now: None))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, EditQuestion))
        assert "▐ ▌" in screen_text(app)
        assert "▐X▌" not in screen_text(app)
        await pilot.press("tab", "tab", "tab", "tab")
        app.screen.query_one(Checkbox).focus()
        await pilot.press("space")
        await until(pilot, lambda: "▐X▌" in screen_text(app))
