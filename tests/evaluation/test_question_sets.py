"""Question sets, the measures of answers, follow-ups made by rule, and the trial of ways to pack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from dialogues import dialogues
from hypothesis import given
from hypothesis import strategies as st

from ragchat.app.context import discover as build_context
from ragchat.cli import eval as eval_cli
from ragchat.errors import CancelledError, NotFoundError, UsageError
from ragchat.evaluation import corpora, packing_trial
from ragchat.evaluation.answer_metrics import contains, f1, holds
from ragchat.evaluation.corpora import Question, QuestionSet
from ragchat.evaluation.packing_trial import RIGHT, Way
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.session import packing, query
from ragchat.session.packing import Packing
from ragchat.types import CancelToken, Message

DOCUMENTS = {
    "0_pump.txt": "The Zephyr pump is made in Lund. It is primed for forty seconds.",
    "1_lamp.txt": "The Orion lamp glows for ninety hours. It is made in Oslo.",
    "2_bread.txt": "Sourdough rests overnight. The oven is heated to 240 degrees.",
}
QUESTIONS = [
    {
        "id": "a",
        "question": "Where is the Zephyr pump made?",
        "answers": ["Lund"],
        "relevant": ["0_pump.txt"],
    },
    {
        "id": "b",
        "question": "How long does the Orion lamp glow?",
        "answers": ["ninety hours"],
        "relevant": ["1_lamp.txt"],
    },
    {"id": "c", "question": "Who baked it?", "answers": ["nobody knows"], "relevant": ["2_bread.txt"]},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "set"
    (found / "corpus").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (found / "corpus" / name).write_text(text, "utf-8")
    (found / "questions.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n", "utf-8")
    return found


# --- sets -------------------------------------------------------------------------------------------------


def test_a_set_is_read_and_indexed(folder: Path, tmp_path: Path) -> None:
    found = corpora.read(folder)
    assert found.documents == DOCUMENTS
    assert found.questions[1] == Question(
        "b", "How long does the Orion lamp glow?", ("ninety hours",), ("1_lamp.txt",)
    )
    with corpora.build_knowledge_base(tmp_path / "kb", found) as store:
        hits = Searcher([store]).search("Zephyr", 3).hits
        assert [hit.path for hit in hits] == ["0_pump.txt"]


@pytest.mark.parametrize("line", ["{", "[1]", '{"answers": ["x"]}', '{"question": 3}'])
def test_a_line_that_is_no_question_is_named(folder: Path, line: str) -> None:
    (folder / "questions.jsonl").write_text(json.dumps(QUESTIONS[0]) + f"\n\n{line}\n", "utf-8")
    with pytest.raises(UsageError, match="line 3"):
        corpora.read(folder)
    with pytest.raises(NotFoundError):
        corpora.read(folder / "corpus")


@given(n=st.integers(0, 50), limit=st.integers(0, 60))
def test_questions_are_spread_over_the_set(n: int, limit: int) -> None:
    asked = tuple(Question(str(i), "?", (), ()) for i in range(n))
    some = corpora.spread(asked, limit)
    assert len(some) == (min(n, limit) if limit else n)
    assert list(some) == sorted(set(some), key=lambda q: int(q.id))


# --- measures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "answers", "expected"),
    [
        ("It was made in Lund, Sweden.", ["Lund"], True),
        ("It was made in Lundby.", ["Lund"], False),
        ("In the year 1066.", ["10"], False),
        ("Victoria's son did it.", ["Victoria"], True),
        ("the United  States", ["The United States of America", "United States"], True),
        ("它位于法国北部。", ["法国"], True),
        ("ปารีสเป็นเมืองหลวง", ["ปารีส"], True),
        ("", ["Lund"], False),
        ("Lund", [], False),
        ("Lund", ["..."], False),
    ],
)
def test_whether_an_answer_is_said(said: str, answers: list[str], expected: bool) -> None:
    assert contains(said, answers) is expected


def test_f1_is_that_of_squad() -> None:
    assert f1("The Normans", ["normans"]) == 1.0
    assert f1("the U.S. army in 1945", ["US army"]) == pytest.approx(2 * 2 / (4 + 2))
    assert f1("red red blue", ["red blue blue", "green"]) == pytest.approx(2 * 2 / 6)
    assert f1("法国北部", ["法国"]) == pytest.approx(2 * 2 / (4 + 2))
    assert f1("nothing alike", ["x"]) == 0.0
    assert f1("x", []) == 0.0


def test_an_answer_stands_in_a_text_whatever_its_case_and_line_breaks() -> None:
    assert holds("Made in\nLUND.", ["in lund"])
    assert not holds("Made in Lund.", ["Oslo", "Lundby"])


# --- follow-ups -------------------------------------------------------------------------------------------


def asked(*texts: str) -> list[Question]:
    return [Question(str(n), text, (), ("0.txt",)) for n, text in enumerate(texts)]


def test_follow_ups_say_only_what_is_new() -> None:
    pair = asked("Who built the Harrow Bridge?", "When was the Harrow Bridge opened?")
    made = {dialogue.kind: dialogue.follow_up for dialogue in dialogues(pair, "en")}
    assert made == {
        "pronoun": "When was it opened?",
        "and": "And when was the opened?",
        "left out": "When was the opened?",
    }
    assert list(dialogues(pair, "en")) == list(dialogues(pair, "en"))
    assert list(dialogues(asked("Who sang?", "When did it rain?"), "en")) == [], "they share nothing"
    elsewhere = [pair[0], Question("x", pair[1].text, (), ("1.txt",))]
    assert list(dialogues(elsewhere, "en")) == []


@pytest.mark.parametrize(
    ("question", "language", "expected"),
    [
        ("Who wrote it?", "en", True),
        ("And in 2022?", "en", True),
        ("What about the second one?", "en", True),
        ("Where is the Zephyr pump made in winter?", "en", False),
        ("Und wer hat das Buch über Lund geschrieben?", "de", True),
        ("Wann wurde dieser gebaut und eröffnet?", "de", True),
        ("In welchem Land liegt die Stadt Lund heute?", "de", False),
        ("它是什么时候建成的？", "zh", True),
        ("哈罗大桥是什么时候建成的？", "zh", False),
        ("2022年呢？", "zh", True),
        ("¿Y cuándo se construyó el puente de Harrow?", "es", True),
        ("¿Cuándo se construyó el puente rojo de Harrow?", "es", False),
    ],
)
def test_what_leans_on_the_question_before(question: str, language: str, expected: bool) -> None:
    built = query.build(question, ["Zephyr Orion 桥梁 Brücke"], (language,))
    assert bool(built.topic) is expected


# --- the trial --------------------------------------------------------------------------------------------

ONE, TWO = Way("1 chunk", Packing(1)), Way("2 chunks", Packing(2))


def says_lund_when_alone(messages: Sequence[Message]) -> str:
    return "I cannot say." if "[2]" in messages[-1].content else "It is Lund, for ninety hours."


def trial(
    folder: Path,
    file: Path,
    *,
    model: FakeModel | None = None,
    cancel: CancelToken | None = None,
    stop_after: int = 99,
) -> QuestionSet:
    found = corpora.read(folder)
    used = loaded(model or FakeModel(says_lund_when_alone))
    cancel = cancel or CancelToken()
    scratch = file.parent / f"kb{stop_after}{file.exists()}"
    with corpora.build_knowledge_base(scratch, found) as store:
        steps = packing_trial.run(
            used,
            Searcher([store]),
            found.name,
            found.questions[:2],
            (RIGHT, ONE, TWO),
            file,
            cancel=cancel,
            right=lambda question: packing_trial.right_paragraph(question, found),
        )
        for step in steps:
            if step.done >= stop_after:
                cancel.cancel()
    return found


def test_every_way_answers_every_question_and_the_best_is_found(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    trial(folder, file)
    rows = packing_trial.answers(file)
    assert [(row.question, row.way) for row in rows] == [
        (question, way) for question in "ab" for way in ("right paragraph", "1 chunk", "2 chunks")
    ]
    right, one, two = packing_trial.results(rows, (RIGHT, ONE, TWO))
    assert (right.contains, one.contains) == (1.0, 1.0)
    assert two.contains < 1
    assert right.in_context == 1.0
    chosen = packing_trial.best([right, one, two])
    assert chosen
    assert chosen.way == ONE


def test_a_way_tells_how_many_statements_a_passage_supports_and_holds_the_model_to_its_grammar(
    folder: Path, tmp_path: Path
) -> None:
    found, model = corpora.read(folder), FakeModel(lambda messages: quoted_or_invented(messages))
    ways = (ONE, Way("copied", Packing(1, answer="copied"), longest=99))
    with corpora.build_knowledge_base(tmp_path / "kb", found) as store:
        list(
            packing_trial.run(
                loaded(model),
                Searcher([store]),
                found.name,
                found.questions[:2],
                ways,
                tmp_path / "answers.jsonl",
                cancel=CancelToken(),
            )
        )
    free, copied = packing_trial.results(packing_trial.answers(tmp_path / "answers.jsonl"), ways)
    assert [bool(sampling.grammar) for sampling in model.samplings] == [False, True, False, True]
    assert {sampling.max_tokens for sampling in model.samplings} == {packing_trial.ANSWER_TOKENS, 99}
    assert (free.statements, copied.statements) == (2.0, 2.0)
    assert free.supported == pytest.approx(0.5)
    assert free.confirmed + free.misleading == 1.0
    assert free.tokens > 0


def quoted_or_invented(messages: Sequence[Message]) -> str:
    passage = messages[-1].content.split("\n\n")[0].partition("] ")[2]
    return f"{passage.split('. ')[0]}. The moon is made of green cheese."


def test_a_trial_that_was_stopped_goes_on_where_it_was(folder: Path, tmp_path: Path) -> None:
    file, model = tmp_path / "answers.jsonl", FakeModel(says_lund_when_alone)
    with pytest.raises(CancelledError):
        trial(folder, file, model=model, stop_after=2)
    kept = packing_trial.answers(file)
    assert len(kept) == 2
    assert packing_trial.results(kept, (RIGHT, ONE, TWO)) == [], "no question has all three answers"
    with file.open("a", encoding="utf-8") as out:
        out.write('{"way": "2 chu')  # killed while writing
    trial(folder, file, model=model)
    rows = packing_trial.answers(file)
    assert rows[:2] == kept
    assert len(rows) == len({(row.question, row.way) for row in rows}) == 6


def test_answers_of_another_run_are_not_mixed_in(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"set": "other"}\n', "utf-8")
    with pytest.raises(UsageError, match="another run"):
        trial(folder, file)
    file.write_text("not json\n", "utf-8")
    with pytest.raises(UsageError, match="does not contain answers"):
        trial(folder, file)


def test_questions_without_an_answer_in_the_documents_are_not_asked(folder: Path) -> None:
    found = corpora.read(folder)
    assert [bool(packing_trial.right_paragraph(q, found)) for q in found.questions] == [True, True, False]


@pytest.mark.real_model
def test_the_command_measures_and_keeps_the_choice(
    folder: Path, default_model: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["packing", str(folder), "--way", "1 chunk", "--way", "right paragraph", "--json"]
    runner = CliRunner()
    result = runner.invoke(eval_cli.eval, arguments, obj=build_context(), catch_exceptions=False)
    report = json.loads(result.stdout)
    assert report["questions"] == 2
    assert set(report["ways"]) == {"right paragraph", "1 chunk"}
    (choice,) = packing.read_choices(paths.data_dir / "packings.json").values()
    assert choice == Packing(1)
    again = runner.invoke(eval_cli.eval, arguments, obj=build_context(), catch_exceptions=False)
    assert json.loads(again.stdout) == report, "kept answers are not generated again"
    with pytest.raises(UsageError, match="no way to pack passages called zebra"):
        runner.invoke(
            eval_cli.eval,
            ["packing", str(folder), "--way", "zebra"],
            obj=build_context(),
            catch_exceptions=False,
        )
