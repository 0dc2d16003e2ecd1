"""Documents alone as what a model has to beat, statements and false answers in a verdict, and runs of before without them."""

from __future__ import annotations

import importlib
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import click
import msgspec
import pytest
from click.testing import CliRunner

from ragchat.app import build, evaluations
from ragchat.app.context import Context
from ragchat.cli.eval_runs import _gate, _print, figures
from ragchat.config import Settings
from ragchat.errors import ModelError, UsageError
from ragchat.evaluation import grounding, statistics, verdict
from ragchat.evaluation.answer_metrics import length, recall
from ragchat.evaluation.corpora import Question, QuestionSet
from ragchat.evaluation.four_ways import (
    ARMS,
    DOCUMENTS,
    MODEL_ARMS,
    Answer,
    Arm,
    Checked,
    Passage,
    Progress,
    Run,
    RunLibrary,
    ask,
    searches,
)
from ragchat.evaluation.inputs import changes, collect
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.report import html
from ragchat.evaluation.statistics import Interval
from ragchat.evaluation.verdict import LABELS, Verdict, judge
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.session.answerability import Own
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, AnswerKind, HitsFound, QuotesFound, SessionEvent
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import (
    AnswerCheck,
    CancelToken,
    FinishReason,
    Hit,
    Message,
    Quote,
    Reason,
    ReasonKind,
    Span,
    Statement,
    Timings,
)
from ragchat.types import Verdict as Found
from tests.evaluation.test_evaluation import answered, made_run
from tests.helpers.small_kb import put

QUESTION = Asked(id="q", question="Who built it?", answers=("Ada Pell",))
TEXT = "The bridge is old. Ada Pell built it in 1871. The text does not mention the price."
CHECK = Checked(supported=2, partly=1, not_found=1, marked=1, answered=0.8)


def hit(text: str = TEXT) -> Hit:
    return Hit(1, 2.0, "notes", 1, 1, "bridge.txt", "Bridge", "", Span(0, len(text), 1, 1), text, "hash")


def statement(found: Found, *, marked: bool) -> Statement:
    kind = ReasonKind.SAID if found is Found.SUPPORTED else ReasonKind.NOTHING
    return Statement("It is so.", 0, 9, found, Reason(kind), 1, cited_by="ragchat" if marked else "")


class Says:
    """A session that answers every question alike."""

    def __init__(
        self,
        kind: AnswerKind,
        *,
        text: str = "",
        quotes: Sequence[Quote] = (),
        check: AnswerCheck | None = None,
        reason: FinishReason = "stop",
    ) -> None:
        self._kind, self._text, self._quotes, self._reason = kind, text, tuple(quotes), reason
        self._check = check or AnswerCheck()

    def ask(self, _: int, question: str, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        yield HitsFound((hit(),), True, 0.001)
        if self._quotes:
            time.sleep(0.002)
            yield QuotesFound(self._quotes)
        yield AnswerFinished(
            0,
            0,
            self._text,
            self._reason,
            (),
            bool(self._quotes),
            Timings(),
            0,
            kind=self._kind,
            quotes=self._quotes,
            check=self._check,
        )


def told(session: Says, arm: Arm, question: Asked = QUESTION) -> Answer:
    return ask(cast(ChatSession, session), question, arm, memory=lambda: 290, cancel=CancelToken())


# --- one answer -----------------------------------------------------------------------------------------


def test_the_quotes_are_the_answer_of_documents_alone() -> None:
    first, last = TEXT.index("Ada"), TEXT.index(" The text")
    answer = told(Says(AnswerKind.QUOTED, quotes=[Quote(hit(), first, last, 0.7)]), DOCUMENTS)
    assert answer.said == "Ada Pell built it in 1871."
    assert not answer.refused
    assert answer.cited == (Passage(1, "bridge.txt", TEXT),)
    assert answer.offered == 1
    assert answer.offered_right
    assert answer.found == ("bridge.txt",)
    assert answer.ttft_s > 0, "the time until the quotes are there"
    assert (answer.memory_mib, answer.prompt_tokens, answer.quoted) == (0, 0, "")
    assert answer.from_documents


def test_what_a_document_does_not_mention_is_no_refusal() -> None:
    quote = Quote(hit(), TEXT.index("The text"), len(TEXT))
    assert grounding.refuses(quote.text), "as a model's words it would be one"
    answer = told(Says(AnswerKind.QUOTED, quotes=[quote]), DOCUMENTS)
    assert not answer.refused
    run = Run(id="r", set_name="s", arms=(DOCUMENTS,), inputs={}, questions=(QUESTION,))
    assert not judge(run, [answer]).answers[DOCUMENTS]["q"].refused
    assert told(Says(AnswerKind.DECLINED, text="Nothing answers this."), DOCUMENTS).refused


def test_the_check_of_an_answer_is_kept_in_numbers() -> None:
    check = AnswerCheck(
        (
            statement(Found.SUPPORTED, marked=True),
            statement(Found.SUPPORTED, marked=False),
            statement(Found.PARTLY, marked=True),
            statement(Found.NOT_FOUND, marked=False),
        ),
        answered=0.8,
    )
    said = Says(AnswerKind.ANSWER, text="It is so [1].", quotes=[Quote(hit(), 0, 18)], check=check)
    answer = told(said, "rag")
    assert answer.check == CHECK
    assert answer.quoted == "The bridge is old."
    assert answer.memory_mib == 290
    assert answer.checked_line == "statements: 2 supported, 1 partly, 1 not found"
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Answer) == answer
    assert told(said, "base").check is None, "no documents were searched"


def test_to_say_that_the_passages_do_not_say_is_to_decline() -> None:
    check = AnswerCheck((statement(Found.NOT_FOUND, marked=False),), answered=0.1, says=False)
    answer = told(Says(AnswerKind.ANSWER, text="It costs ten dollars.", check=check), "rag")
    assert answer.refused
    assert not grounding.refuses(answer.said, answer.kind or AnswerKind.ANSWER), "its words alone do not"
    assert not answer.says
    assert answer.checked_line.endswith("the passages do not say")


def test_quotes_in_place_of_a_model_that_cannot_be_loaded_are_no_answer_of_it() -> None:
    with pytest.raises(ModelError):
        told(Says(AnswerKind.QUOTED, quotes=[Quote(hit(), 0, 18)]), "rag")


# --- a whole run ----------------------------------------------------------------------------------------


def run_of(count: int, *, without: int = 0, arms: tuple[Arm, ...] = ARMS) -> Run:
    run = made_run(count, arms=arms)
    gone = tuple(Asked(id=f"gone{n}", question=f"Gone {n}?", answerable=False) for n in range(without))
    return msgspec.structs.replace(run, questions=(*run.questions, *gone))


def answers_of(
    run: Run,
    right: Callable[[int, Arm], bool],
    *,
    check: Callable[[int], Checked] = lambda n: CHECK,
    length: int = 20,
) -> list[Answer]:
    """Quotes are longer than answers; a question without an answer counts from the end of the others."""
    found = []
    for n, question in enumerate(run.questions):
        for arm in run.arms:
            word = f"word{n}" if right(n, arm) else "nothing"
            found.append(
                Answer(
                    question=question.id,
                    arm=arm,
                    said=f"{'something ' * (length if arm == DOCUMENTS else 3)}{word}",
                    refused=False,
                    from_documents=searches(arm),
                    kind=AnswerKind.QUOTED if arm == DOCUMENTS else AnswerKind.ANSWER,
                    check=check(n) if searches(arm) and arm != DOCUMENTS else None,
                    quoted=f"word{n}" if arm != DOCUMENTS and searches(arm) and n % 2 else "",
                )
            )
    return found


def test_documents_that_do_better_are_said_to() -> None:
    run = run_of(100)
    share = {"base": 10, "rag": 4, "tuned": 10, "rag+tuned": 3, DOCUMENTS: 1}
    found = judge(run, answers_of(run, lambda n, arm: n % share[arm] == 0))
    assert found.says[1] == found.against_documents
    assert found.against_documents.startswith(
        "Your documents alone contain the expected words in 100 % of the 100 questions with an answer; with the model 25 %"
        " (-75 points ("
    )
    assert found.against_documents.count("measurably worse") == 2
    assert "with the model and the adapter 34 %" in found.against_documents
    assert DOCUMENTS not in found.best
    assert found.winner != DOCUMENTS
    assert any("Trust the quotes first" in step for step in found.next_steps)
    assert any("your documents without a model 21" in said for said in found.says), "words per answer"


def test_a_model_that_beats_them_is_said_to() -> None:
    run = run_of(60, arms=("base", "rag", DOCUMENTS))
    found = judge(run, answers_of(run, lambda n, arm: arm == "rag" or n % 4 == 0))
    assert found.winner == "rag"
    assert "with the model 100 % (+75 points (" in found.against_documents
    assert "measurably better" in found.against_documents
    assert not any("Trust the quotes" in step for step in found.next_steps)
    equal = judge(run, answers_of(run, lambda n, arm: n % 4 == 0))
    assert "no measurable difference" in equal.against_documents
    assert any("not measurably better than the quotes" in step for step in equal.next_steps)


def test_only_questions_with_an_answer_compare_documents_with_a_model() -> None:
    """What documents alone decline is counted as false answers, not as better words."""
    run = run_of(40, without=40, arms=("base", "rag", DOCUMENTS))
    answers = [
        msgspec.structs.replace(one, kind=AnswerKind.DECLINED)
        if one.arm == DOCUMENTS and one.question.startswith("gone")
        else one
        for one in answers_of(run, lambda n, arm: n % 2 == 0)
    ]
    found = judge(run, answers)
    [over] = found.over_documents
    assert (over.one, over.other, over.measure, over.interval.mean) == ("rag", DOCUMENTS, "contains", 0.0)
    assert found.table[DOCUMENTS]["false_answers"].mean == 0.0
    assert found.table["rag"]["false_answers"].mean == 1.0
    few = run_of(verdict.FEWEST - 1, without=20, arms=("base", "rag", DOCUMENTS))
    assert judge(few, answers_of(few, lambda n, arm: True)).against_documents == ""


def test_long_answers_are_compared_by_their_words() -> None:
    """F1 counts the length of a quote against it, so it decides nothing there."""
    expected = "Status: open | Owner: Kim | Ticket: 12 | Priority: low | Due: today"
    asked = tuple(Asked(id=str(n), question="?", answers=(expected,)) for n in range(40))
    run = Run(id="r", set_name="s", arms=("base", "rag", DOCUMENTS), inputs={}, questions=asked)
    said = {"base": "No.", "rag": expected, DOCUMENTS: f"{expected} {'and so on ' * 30}"}
    found = judge(run, answered(run, lambda n, arm: said[arm]))
    assert found.primary == "f1"
    [over] = found.over_documents
    assert (over.measure, over.interval.mean) == ("recall", 0.0)
    assert "contain 100 % of the expected words, on average of the 40 questions" in found.against_documents
    assert found.table[DOCUMENTS]["f1"].mean < 0.5 < found.table["rag"]["f1"].mean
    assert DOCUMENTS not in found.charted
    assert found.right(asked[0], DOCUMENTS)


def test_one_configuration_and_documents_alone_are_enough() -> None:
    run = run_of(40, arms=("rag", DOCUMENTS))
    found = judge(run, answers_of(run, lambda n, arm: arm == "rag" and n % 2 == 0))
    assert found.says[0] == found.against_documents
    assert not any("The configurations show" in said for said in found.says)
    lone = run_of(40, arms=(DOCUMENTS,))
    found = judge(lone, answers_of(lone, lambda n, arm: True))
    assert found.winner == ""
    assert found.says[0].startswith("Measured by")


def test_all_comparisons_share_one_correction() -> None:
    run = run_of(60)
    found = judge(run, answers_of(run, lambda n, arm: n % (2 + len(arm)) == 0))
    p_values = {f"{d.one}|{d.other}": d.p for d in (*found.differences, *found.over_documents)}
    assert len(p_values) == 8
    adjusted = statistics.holm(p_values)
    for one in (*found.differences, *found.over_documents):
        assert one.adjusted == adjusted[f"{one.one}|{one.other}"]
    turned = found.difference(DOCUMENTS, "rag")
    assert turned is not None
    assert turned.interval.mean == -found.over_documents[0].interval.mean


def test_where_nothing_is_to_be_found_little_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any difference, with documents alone or without, in at most 5 % of draws where all are equally good (and 2 % for luck)."""
    monkeypatch.setattr(statistics, "difference", lambda one, other: Interval(0.0, 0.0, 0.0))
    asked = tuple(Asked(id=str(n), question="?", answers=(f"word{n}",)) for n in range(60))
    shown = with_documents = 0
    for seed in range(300):
        draw = random.Random(seed)
        by_arm = {
            arm: {
                q.id: Answer(
                    question=q.id,
                    arm=arm,
                    said=q.answers[0] if draw.random() < 0.5 else "no",
                    refused=False,
                    from_documents=False,
                )
                for q in asked
            }
            for arm in ARMS
        }
        values = {
            arm: [float(own[q.id].said == q.answers[0]) for q in asked]
            for arm, own in by_arm.items()
            if arm != DOCUMENTS
        }
        among, over = verdict._among(values, "contains"), verdict._with_documents(asked, by_arm)
        found = verdict._differences((*among, *over), 0.1)
        shown += any(one.shown for one in found)
        with_documents += any(one.shown for one in found[len(among) :])
    assert shown <= 300 * 0.07
    assert with_documents <= 300 * 0.03


def test_a_run_of_before_compares_as_it_did(tmp_path: Path) -> None:
    """Its answers have no check and no quotes, and its comparisons are six."""
    run = run_of(40, without=10, arms=MODEL_ARMS)
    library = RunLibrary(tmp_path)
    library.keep(run)
    new = answers_of(run, lambda n, arm: n % 3 == 0)
    rows = [msgspec.to_builtins(one) for one in new]
    old = [{name: value for name, value in row.items() if name not in ("check", "quoted")} for row in rows]
    library.answers_file(run.id).write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in old))
    there = library.answers(run.id)
    assert all(one.check is None and one.says and one.checked_line == "" for one in there)
    found = judge(run, there)
    assert len(found.differences) == 6
    assert found.over_documents == ()
    assert found.against_documents == ""
    assert found.differences == judge(run, new).differences
    assert not {"supported", "partly", "not_found", "marked_wrong", "shown"} & set(found.table["rag"])
    assert not any("statement" in said for said in found.says)


# --- statements and false answers ---------------------------------------------------------------------------


def test_statements_are_counted_over_all_answers() -> None:
    run = run_of(20, arms=("base", "rag", DOCUMENTS))

    def check(n: int) -> Checked:
        return Checked(supported=3, marked=3) if n % 2 else Checked(not_found=1)

    found = judge(run, answers_of(run, lambda n, arm: n < 15, check=check))
    assert found.table["rag"]["supported"].mean == pytest.approx(0.75), (
        "30 of 40 statements, not half of the answers"
    )
    assert found.table["rag"]["not_found"].mean == pytest.approx(0.25)
    assert found.counts["supported"] == 40
    counts = found.checks["rag"]
    assert (counts.statements, counts.supported, counts.partly, counts.not_found) == (40, 30, 0, 10)
    assert counts.marked_wrong == 3, "15, 17 and 19"
    assert found.table["rag"]["marked_wrong"].mean == pytest.approx(3 / 20)
    text = " ".join(found.says)
    assert "Your documents: 40 statements in 20 answers, 75 % supported, 0 % partly, 25 % not found." in text
    assert "without the expected words: your documents 3 of 20." in text
    assert "supported" not in found.table["base"]
    assert "supported" not in found.table[DOCUMENTS]
    assert found.table["rag"]["shown"].mean == 1.0


def test_false_answers_with_and_without_the_check() -> None:
    run = run_of(20, without=20, arms=("base", "rag"))

    def check(n: int) -> Checked:
        return Checked(not_found=1, says=n % 4 != 0)

    found = judge(run, answers_of(run, lambda n, arm: True, check=check))
    assert found.table["rag"]["false_answers"].mean == pytest.approx(0.75)
    assert found.table["rag"]["refuses_rightly"].mean == pytest.approx(0.25)
    assert found.table["rag"]["refuses_wrongly"].mean == pytest.approx(0.25)
    counts = found.checks["rag"]
    assert (counts.unanswerable, counts.false_answers, counts.false_answers_in_words) == (20, 15, 20)
    text = " ".join(found.says)
    assert (
        "False answers to the 20 questions without an answer: the model alone 100 %, your documents 75 %."
        in text
    )
    assert "Without the check of answers, the false answers would be: your documents 100 %." in text


def test_a_share_of_statements_has_the_interval_of_answers() -> None:
    alike = statistics.ratio([10.0] * 5 + [0.0] * 5, [10.0] * 10)
    apart = statistics.ratio([1.0] * 50 + [0.0] * 50, [1.0] * 100)
    assert alike.mean == apart.mean == 0.5
    assert alike.high - alike.low > 2 * (apart.high - apart.low), "ten statements of one answer are alike"
    assert statistics.ratio([3, 0], [4, 0]) == Interval(0.75, 0.75, 0.75)
    assert statistics.ratio([], []) == Interval(0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="same answers"):
        statistics.ratio([1.0], [])


def test_words_that_are_contained() -> None:
    assert recall("It was Ada, the builder.", ["Ada Pell"]) == 0.5
    assert recall("Ada Pell built it, and much more besides.", ["No one", "Ada Pell"]) == 1.0
    assert recall("Anything.", []) == 0.0
    assert length("Ada Pell built 桥梁.") == 5


# --- in a table, a page and for scripts -----------------------------------------------------------------------


def full() -> Verdict:
    run = run_of(40, without=10)
    return judge(run, answers_of(run, lambda n, arm: n % (1 + len(arm)) == 0))


@pytest.mark.parametrize("arms", [("base", "rag", DOCUMENTS), ARMS])
def test_the_table_fits_a_screen(arms: tuple[Arm, ...]) -> None:
    run = run_of(40, without=10, arms=arms)
    found = judge(run, answers_of(run, lambda n, arm: n % (1 + len(arm)) == 0))
    table = CliRunner().invoke(click.Command("x", callback=lambda: _print(found))).stdout.split("\n\n")[0]
    lines = table.split("\n")
    assert lines[0].split() == list(arms)
    assert max(map(len, lines)) < 80
    assert all(
        any(line.startswith(LABELS[name]) for line in lines) for name in found.table["rag"] if name in LABELS
    )
    supported = lines.index(next(line for line in lines if line.startswith("statements supported")))
    assert re.search(r"\.\d\d–\.\d\d", "".join(lines[supported : supported + 2])), "with its interval"


def test_scripts_get_shares_and_counts() -> None:
    found = figures(full())
    assert found["over_documents"][0]["one"] == "rag"
    assert found["over_documents"][0]["measure"] == "contains"
    counts = found["checks"]["rag"]
    assert counts["statements"] == counts["supported"] + counts["partly"] + counts["not_found"] == 200
    assert found["ways"]["rag"]["supported"]["mean"] == 0.5
    assert found["ways"][DOCUMENTS]["false_answers"]["mean"] == 1.0
    assert found["prices"][DOCUMENTS]["words"] == 21
    assert [one["other"] for one in found["differences"]].count(DOCUMENTS) == 0


def test_gates_are_for_what_should_be_high() -> None:
    assert _gate("rag:supported=0.85") == ("rag", "supported", 0.85)
    assert _gate("documents:contains=0.5")[0] == DOCUMENTS
    for wrong in ("false_answers=0.2", "rag:marked_wrong=0.1", "not_found=0.1"):
        with pytest.raises(UsageError):
            _gate(wrong)


def test_the_page_shows_verdicts_without_colour() -> None:
    page = html(full())
    assert "Statements and the documents" in page
    assert all(f"{sign} " in page for sign in "✓≈✗")
    assert "✓ supported, ≈ partly supported, ✗ not found in the passages" in page
    assert "rag − documents <span class=dim>contains the expected answer</span>" in page
    assert "statements: 2 supported, 1 partly, 1 not found" in page
    assert "your documents without a model" in page
    old = run_of(20, arms=("base", "rag"))
    plain = html(judge(old, answered(old, lambda n, arm: f"word{n}")))
    assert "Statements and the documents" not in plain


def test_what_checks_answers_is_an_input() -> None:
    """A run over documents of before it was kept is out of date; one of the model alone is not."""
    now = {"checks": {"quoting": 2, "statements": 1, "answerability": 1}}
    assert changes({"checks": {"quoting": 1, "statements": 1, "answerability": 1}}, now) == [
        "how answers are checked (quoting)"
    ]
    assert changes({}, now) == ["how answers are checked (answerability, quoting, statements)"]
    assert changes({}, {"checks": {}}) == []


def test_what_your_questions_taught_the_check_is_an_input() -> None:
    def inputs(options: AskOptions) -> dict[str, Any]:
        return collect(
            model=("m", "1"),
            adapters={},
            documents={"work": "x"},
            options=options,
            questions=(),
            arms=(),
            context={},
        )

    shipped = inputs(AskOptions())
    assert "answerability" not in shipped["settings"]
    assert changes(shipped, inputs(AskOptions(own=Own(least=0.7)))) == ["the settings (answerability)"]


def test_the_benchmark_takes_out_what_some_questions_are_about(tmp_path: Path) -> None:
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    if not benchmarks.is_dir():
        pytest.skip("installed without benchmarks")
    found = QuestionSet(
        "set",
        tuple(
            Question(f"q{n}-{m}", f"What is {n}.{m}?", ("x",), (f"{n // 4:03}_part_{n % 4}.txt",))
            for n in range(40)
            for m in range(3)
        ),
        {f"{n // 4:03}_part_{n % 4}.txt": f"Text {n}." for n in range(40)},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(benchmarks))
        four_ways = importlib.import_module("four_ways")
    asked, gone = four_ways.chosen(found, 12, 5)
    assert len(gone) == 5
    assert [one.answerable for one in asked] == [True] * 12 + [False] * 5
    assert not {source for one in asked for source in one.sources} & gone
    assert all(int(one.id[1:].split("-")[0]) // 4 % 2 for one in asked), "articles that were not learned from"
    folder = four_ways.documents(found, gone, tmp_path / "corpus")
    assert {path.name for path in folder.iterdir()} == found.documents.keys() - gone
    assert four_ways.chosen(found, 12, 0)[1] == frozenset()


# --- from the settings --------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A home with a document about each of twelve questions."""
    paths = Paths.discover({"RAGCHAT_HOME": str(tmp_path / "home")})
    paths.create()
    names = ["harrow", "belton", "zormer", "kimlig", "dunrow", "vostan"] + [f"place{n}" for n in range(6)]
    asked = [
        Asked(
            id=name,
            question=f"Who keeps the lighthouse of {name}?",
            answers=(f"Oda {name}",),
            sources=(f"{name}.txt",),
        )
        for name in names
    ]
    context = Context(paths, Settings())
    with KnowledgeStore.create(paths.kb_dir, "coast") as store:
        for name in names:
            text = f"Ships pass here. Oda {name} keeps the lighthouse of {name}. Bread is baked on Mondays."
            put(store, f"{name}.txt", text, language="en")
    evaluations.sets(context).change("coast", [], asked)
    return context


class Loaded(FakeModel):
    """In this process."""

    pid = 0

    def close(self) -> None:
        return


def test_documents_alone_are_part_of_every_run_with_documents(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "embedder", lambda _: None)
    prompts: list[str] = []

    def says(messages: Sequence[Message]) -> str:
        prompts.append(messages[-1].content)
        return "I cannot say."

    monkeypatch.setattr(build, "model", lambda *_: Loaded(says))
    wanted = evaluations.Wanted("coast", knowledge_bases=("coast",))
    run = evaluations.prepare(context, wanted)
    assert run.arms == ("base", "rag", DOCUMENTS)
    assert run.inputs["checks"].keys() == {"quoting", "statements", "answerability"}
    steps = list(evaluations.perform(context, wanted, run, CancelToken()))
    assert isinstance(steps[-1], Progress)
    assert (steps[-1].done, steps[-1].eta_s) == (36, 0.0)
    assert len(prompts) == 24, "documents alone ask no model"
    [found] = evaluations.evaluations(context)
    assert found.stale == ()
    assert found.verdict.table[DOCUMENTS]["contains"].mean > 0.9
    assert found.verdict.table[DOCUMENTS]["recall@10"].mean == found.verdict.table["rag"]["recall@10"].mean
    assert "measurably worse" in found.verdict.against_documents


def test_configurations_that_are_named_are_those_asked(context: Context) -> None:
    """So that a run of before documents alone were one is asked again as it was."""
    named = evaluations.Wanted("coast", arms=("base", "rag"), knowledge_bases=("coast",))
    run = evaluations.prepare(context, named)
    assert run.arms == ("base", "rag")
    assert evaluations.stale(context, run) == []
    alone = evaluations.prepare(
        context, evaluations.Wanted("coast", arms=(DOCUMENTS,), knowledge_bases=("coast",))
    )
    assert alone.arms == (DOCUMENTS,)
    assert alone.inputs["documents"]
    base = evaluations.prepare(
        context, evaluations.Wanted("coast", arms=("base",), knowledge_bases=("coast",))
    )
    assert base.inputs["checks"] == {}
