"""Measures against independent implementations, statistics against scipy, verdicts on planted data."""

from __future__ import annotations

import math
import random
import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ragchat.errors import NotFoundError, UsageError
from ragchat.evaluation import calibration, grounding, leakage, statistics
from ragchat.evaluation.answer_metrics import exact_match, f1, rouge_l
from ragchat.evaluation.calibration import Judged, RefusalCurve, curve, point
from ragchat.evaluation.four_ways import MODEL_ARMS, Answer, Arm, Passage, Run, RunLibrary, run_id
from ragchat.evaluation.inputs import changes
from ragchat.evaluation.question_sets import Asked, SetLibrary, join_list, merged, new, read_file
from ragchat.evaluation.report import html
from ragchat.evaluation.verdict import MEASURES, Verdict, choose_primary, judge
from ragchat.evaluation.watching import compare, sample_of
from ragchat.llm.loading import loaded
from ragchat.session.answerability import AS_SHIPPED
from ragchat.session.events import AnswerKind
from ragchat.session.without_model import DECLINED

WORDS = re.findall(
    r"\S+",
    "the a an bridge river pump of in 1871 84 months, Ada Pell built. the-river O'Neill U.S. 3.5 (north) and or was not yes",
)


def pairs(count: int = 1000) -> list[tuple[str, str]]:
    draw = random.Random(7)
    return [
        (
            " ".join(draw.choices(WORDS, k=draw.randint(0, 12))),
            " ".join(draw.choices(WORDS, k=draw.randint(0, 5))),
        )
        for _ in range(count)
    ]


# --- SQuAD's published definition, written down from the paper's script -------------------------------


def normalised(text: str) -> str:
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def published_f1(said: str, answer: str) -> float:
    one, other = normalised(said).split(), normalised(answer).split()
    if not one or not other:
        return float(one == other)
    same = sum((Counter(one) & Counter(other)).values())
    if not same:
        return 0.0
    precision, recall = same / len(one), same / len(other)
    return 2 * precision * recall / (precision + recall)


def test_f1_and_exact_match_are_those_of_squad() -> None:
    for said, answer in pairs():
        assert f1(said, [answer]) == pytest.approx(published_f1(said, answer)), (said, answer)
        assert exact_match(said, [answer]) == float(normalised(said) == normalised(answer)), (said, answer)


def test_rouge_l_is_that_of_rouge_score() -> None:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    for said, answer in pairs():
        expected = scorer.score(answer, said)["rougeL"].fmeasure
        assert rouge_l(said, [answer]) == pytest.approx(expected), (said, answer)


def test_retrieval_measures_are_those_of_trec_eval() -> None:
    import pytrec_eval

    from ragchat.evaluation.retrieval_metrics import ndcg_at, recall_at, reciprocal_rank_at

    draw = random.Random(3)
    names = [f"d{n}" for n in range(30)]
    for n in range(1000):
        ranking = draw.sample(names, draw.randint(1, 20))
        relevant = draw.sample(names, draw.randint(1, 5))
        judged = pytrec_eval.RelevanceEvaluator(
            {"q": dict.fromkeys(relevant, 1)}, {"ndcg_cut_10", "recall_10", "recip_rank"}
        ).evaluate({"q": {name: float(100 - place) for place, name in enumerate(ranking)}})["q"]
        assert ndcg_at(10, ranking, relevant) == pytest.approx(judged["ndcg_cut_10"]), n
        assert recall_at(10, ranking, relevant) == pytest.approx(judged["recall_10"]), n
        assert reciprocal_rank_at(len(ranking), ranking, relevant) == pytest.approx(judged["recip_rank"]), n


def test_mcnemar_is_the_binomial_test() -> None:
    from scipy.stats import binomtest

    draw = random.Random(1)
    for _ in range(200):
        one = [float(draw.random() < 0.5) for _ in range(40)]
        other = [float(draw.random() < 0.4) for _ in range(40)]
        better = sum(a > b for a, b in zip(one, other, strict=True))
        worse = sum(a < b for a, b in zip(one, other, strict=True))
        expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
        assert statistics.mcnemar(one, other) == pytest.approx(expected)


def test_the_permutation_test_is_that_of_scipy() -> None:
    import numpy as np
    from scipy.stats import permutation_test

    draw = random.Random(2)
    for size in (8, 60):
        one = [draw.random() for _ in range(size)]
        other = [value - 0.1 + 0.3 * draw.random() for value in one]
        expected = permutation_test(
            (np.array(one), np.array(other)),
            lambda a, b: float(np.mean(a - b)),
            permutation_type="samples",
            n_resamples=20_000,
            random_state=1,
        ).pvalue
        assert statistics.permutation_test(one, other) == pytest.approx(expected, abs=0.02)


def test_the_bootstrap_is_that_of_scipy() -> None:
    from scipy.stats import bootstrap

    draw = random.Random(5)
    values = [draw.gauss(0.4, 0.3) for _ in range(120)]
    found = statistics.bootstrap(values)
    expected = bootstrap(
        (values,), lambda x, axis: x.mean(axis=axis), method="percentile", random_state=3, vectorized=True
    ).confidence_interval
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)


def test_holm_by_hand() -> None:
    adjusted = statistics.holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_how_many_questions_it_takes() -> None:
    draw = random.Random(4)
    one = [float(draw.random() < 0.6) for _ in range(200)]
    other = [float(draw.random() < 0.5) for _ in range(200)]
    needed = statistics.questions_needed(one, other, 0.1)
    spread = statistics._pairs(one, other).std(ddof=1)
    assert needed == pytest.approx((2.8016 * spread / 0.1) ** 2, abs=1.5)
    assert statistics.questions_needed(one, other, 0.05) > 3 * needed


# --- grounding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        "The passages do not hold the answer.",
        "The text does not mention the price of it [1].",
        "I cannot answer this from the given text.",
        "There is no information about this.",
        "There is no specific information in the text.",
        "I don’t know.",
        "I'm unable to find that.",
        "I am not able to answer that.",
        "There isn't enough information.",
        "None of the passages mention it.",
        "The passages give no date.",
    ],
)
def test_refusals_are_seen(said: str) -> None:
    assert grounding.refuses(said)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "The treaty did not include Spain [1].",
        "Ada Pell [1].",
        "It does not rain in the north.",
        "It was found in 1905.",
        "No mention was made by him, but Ada Pell built it.",
    ],
)
def test_answers_are_no_refusals(said: str) -> None:
    assert not grounding.refuses(said)


def test_an_answer_that_is_said_not_to_be_from_the_documents_is_one() -> None:
    said, kind = "It costs ten dollars.", AnswerKind.UNMATCHED
    assert grounding.refuses(said, kind), "where the documents hold none, this is right"
    assert not grounding.gives_no_answer(said, kind), "where they do, it is no refusal"
    assert grounding.gives_no_answer("I do not know the answer.", kind)
    assert grounding.refuses(DECLINED, AnswerKind.DECLINED)
    assert grounding.gives_no_answer(DECLINED, AnswerKind.DECLINED)
    assert not grounding.refuses(said, AnswerKind.NO_ROOM)


def test_groundedness() -> None:
    source = ["The Harrow bridge was built by Ada Pell in 1871."]
    assert grounding.groundedness("Ada Pell built the bridge in 1871 [1].", source) == 1.0
    assert grounding.groundedness("Ada Pell built the bridge in 1872 [1].", source) == 0.0
    assert 0 < grounding.groundedness("Ada Pell built a lighthouse [1].", source) < 1
    assert grounding.groundedness("Ada Pell.", []) == 0.0
    assert grounding.citation_precision([*source, "Nothing."], ["Ada Pell"]) == 0.5
    assert grounding.citation_recall([*source, "Nothing."], ["Ada Pell"]) == 1.0


# --- sets -----------------------------------------------------------------------------------------------


def test_sets_are_kept(tmp_path: Path) -> None:
    library = SetLibrary(tmp_path / "sets")
    assert library.names() == []
    one = new("Who built it?", ["Ada Pell", "Pell"], sources=["bridge.txt"], tags=["people"])
    assert library.add("work", [one, one]) == 1
    assert library.add("work", [one]) == 0
    library.write("work", [one])
    assert library.read("work") == [one]
    with pytest.raises(NotFoundError):
        library.read("other")
    for wrong in ("../x", "chat", "", "a/b"):
        with pytest.raises(UsageError):
            library.file(wrong)
    with library.file("work").open("a") as file:
        file.write("{broken\n")
    with pytest.raises(UsageError, match="line 2"):
        library.read("work")
    with pytest.raises(UsageError):
        new("  ", ["x"])
    with pytest.raises(UsageError):
        new("What?", [])
    assert new("What?", [], answerable=False).answers == ()


def test_files_of_questions(tmp_path: Path) -> None:
    squad = {
        "data": [
            {
                "title": "x",
                "paragraphs": [
                    {
                        "context": "c",
                        "qas": [
                            {
                                "id": "q1",
                                "question": "Who?",
                                "answers": [{"text": "Ada"}, {"text": "Ada"}],
                                "is_impossible": False,
                            },
                            {"id": "q2", "question": "When?", "answers": [], "is_impossible": True},
                        ],
                    }
                ],
            }
        ]
    }
    (tmp_path / "squad.json").write_bytes(msgspec.json.encode(squad))
    found = read_file(tmp_path / "squad.json")
    assert found.format == "SQuAD"
    assert [(q.id, q.answers, q.answerable) for q in found.questions] == [
        ("q1", ("Ada",), True),
        ("q2", (), False),
    ]

    (tmp_path / "rows.jsonl").write_text(
        '{"question": "Who?", "answer": "Ada", "source": "a.txt"}\nbroken\n{"question": ""}\n{"question": "Why?"}\n'
        '{"question": "How\\u001b[31m?", "answers": ["so"], "tags": ["x"]}\n'
    )
    found = read_file(tmp_path / "rows.jsonl")
    assert [q.question for q in found.questions] == ["Who?", "How?"]
    assert found.questions[0].sources == ("a.txt",)
    assert [row.line for row in found.refused] == [2, 3, 4]

    (tmp_path / "rows.csv").write_text("Question;Answer;Tags\nWho?;Ada|Pell;people|old\nWhat?;;\n")
    found = read_file(tmp_path / "rows.csv")
    assert found.questions[0].answers == ("Ada", "Pell")
    assert found.questions[0].tags == ("people", "old")
    assert len(found.refused) == 1
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises(UsageError):
        read_file(tmp_path / "none.json")
    with pytest.raises(NotFoundError):
        read_file(tmp_path / "missing.json")


def test_ids_that_clash_and_answers_with_bars(tmp_path: Path) -> None:
    library = SetLibrary(tmp_path)
    one, other = (
        Asked(id="1", question="A?", answers=("a: b | c: d",)),
        Asked(id="1", question="B?", answers=("x\\|y",)),
    )
    library.add("work", [one])
    library.add("work", [other])
    there = library.read("work")
    assert len({q.id for q in there}) == 2
    (tmp_path / "rows.csv").write_text(
        "question,answers\n" + "".join(f'{q.question},"{join_list(q.answers)}"\n' for q in there)
    )
    assert [q.answers for q in read_file(tmp_path / "rows.csv").questions] == [q.answers for q in there]
    library.write("twice", [one, one])
    with pytest.raises(UsageError, match="another question"):
        library.read("twice")


def test_truth_in_tables(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("question,answer,is_impossible\nWho?,Ada,False\nWhat?,,True\n")
    assert [q.answerable for q in read_file(tmp_path / "a.csv").questions] == [True, False]
    (tmp_path / "b.csv").write_text("question,answer,answerable\nWho?,Ada,YES\nWhat?,,FALSE\n")
    assert [q.answerable for q in read_file(tmp_path / "b.csv").questions] == [True, False]


def test_odd_files_among_the_sets_stop_nothing(tmp_path: Path) -> None:
    library = SetLibrary(tmp_path)
    library.write("work", [new("Who?", ["Ada"])])
    for name in ("my set.jsonl", "._work.jsonl", "x.watch.jsonl"):
        (tmp_path / name).write_text("nonsense")
    assert library.names() == ["work"]
    with library.file("work").open("rb") as file:
        data = file.read()
    library.file("work").write_bytes(b"\xef\xbb\xbf" + data)
    assert len(library.read("work")) == 1
    library.file("work").write_bytes('{"id": "1", "question": "Für?"}'.encode("latin-1"))
    with pytest.raises(UsageError, match="line 1"):
        library.read("work")


def test_what_came_in_meanwhile_stays() -> None:
    one, two, three, four = (new(f"{n}?", ["x"]) for n in range(4))
    changed = msgspec.structs.replace(two, tags=("t",))
    assert merged([one, two, three], [one, two], [changed, four]) == [changed, three, four]


def test_leakage_is_found_without_the_questions_text() -> None:
    learned = [leakage.fingerprint("When was the Harrow bridge over the river Lenn opened?")]
    asked = [
        "When was the Harrow bridge over the river Lenn opened?",
        "Who painted the ceiling of the chapel?",
        "",
    ]
    assert leakage.among([leakage.fingerprint(q) for q in asked], learned) == [True, False, False]


# --- verdicts -------------------------------------------------------------------------------------------


def made_run(
    count: int, *, answers: Callable[[int], tuple[str, ...]] | None = None, arms: tuple[Arm, ...] = MODEL_ARMS
) -> Run:
    asked = tuple(
        Asked(id=str(n), question=f"Question {n}?", answers=answers(n) if answers else (f"word{n}",))
        for n in range(count)
    )
    return Run(id="r", set_name="s", arms=arms, inputs={}, questions=asked, started_at="2026-01-01T00:00:00")


def answered(run: Run, said: Callable[[int, Arm], str]) -> list[Answer]:
    return [
        Answer(
            question=question.id,
            arm=arm,
            said=said(n, arm),
            refused=grounding.refuses(said(n, arm)) or said(n, arm) == DECLINED,
            kind=AnswerKind.DECLINED if said(n, arm) == DECLINED else AnswerKind.ANSWER,
            from_documents="rag" in arm,
            offered=1 if "rag" in arm else 0,
            ttft_s=0.5,
            cited=(Passage(1, "d.txt", said(n, arm)),) if "rag" in arm else (),
        )
        for n, question in enumerate(run.questions)
        for arm in run.arms
    ]


def verdict_of(run: Run, said: Callable[[int, Arm], str]) -> Verdict:
    return judge(run, answered(run, said))


@pytest.mark.parametrize(
    "said",
    [
        "Dazu steht in den Abschnitten nichts.",
        "Der Text enthält keine Informationen über die Garantie.",
        "Aus den Unterlagen geht das nicht hervor.",
        "Das wird in den Dokumenten nicht erwähnt.",
        "Das weiß ich nicht.",
        "Les passages ne mentionnent pas cette information [1].",
        "Je ne sais pas.",
        "Ce n'est pas précisé dans le texte.",
        "Los documentos no mencionan el precio.",
        "No se menciona en el texto.",
        "Os documentos não mencionam o preço.",
        "Il testo non specifica la durata.",
        "Non lo so.",
        "De tekst bevat geen informatie over de prijs.",
        "文中没有提到价格。",
        "我不知道。",
        "文書には記載がありません。",
        "本文には書かれていません。",
    ],
)
def test_declining_in_other_languages(said: str) -> None:
    assert grounding.refuses(said)


@pytest.mark.parametrize(
    "said",
    [
        "Die Garantie beträgt sieben Jahre und ist nicht übertragbar.",
        "Der Text nennt Ada Pell als Baumeisterin.",
        "Alkohol wird nicht erstattet [1].",
        "Le pont a été construit par Ada Pell en 1871.",
        "L'alcool n'est pas remboursé.",
        "El alcohol no se reembolsa.",
        "Il ponte non è aperto la domenica.",
        "De brug is niet open op zondag.",
        "桥是1871年建成的，不收费。",
        "橋は日曜日には開いていません。",
    ],
)
def test_an_answer_with_a_no_in_it_is_an_answer(said: str) -> None:
    assert not grounding.refuses(said)


def test_questions_without_passages_point_to_the_threshold() -> None:
    """The search took nothing to be relevant: more passages or documents would not help."""
    run = made_run(20, arms=("base", "rag"))
    answers = [
        msgspec.structs.replace(one, from_documents=int(one.question) % 2 == 0, offered_right=True)
        if one.arm == "rag"
        else one
        for one in answered(run, lambda n, arm: f"word{n}" if n % 2 == 0 and arm == "rag" else "no idea")
    ]
    steps = list(judge(run, answers).next_steps)
    assert any(
        "50 % of the questions with an answer, the search found no relevant passages" in step
        for step in steps
    )
    assert any("ragchat eval calibrate s" in step for step in steps)
    assert not any("retrieval.passages" in step for step in steps)
    every = [msgspec.structs.replace(one, from_documents=True) for one in answers]
    assert not any("found no relevant passages" in step for step in judge(run, every).next_steps)


def test_an_interval_beyond_nothing_that_is_not_shown_is_explained() -> None:
    """With few questions the interval may leave out 0 where the test, counted over all comparisons, does not suffice."""
    run = made_run(14)
    verdict = verdict_of(run, lambda n, arm: f"word{n}" if "rag" in arm and n < 4 else "no idea")
    difference = verdict.difference("rag", "base")
    assert difference is not None
    assert difference.interval.low > 0
    assert not difference.shown
    assert any(
        said.startswith("Documents add +29 points") and "may be chance" in said for said in verdict.says
    )


def test_documents_win_where_they_do() -> None:
    run = made_run(80)
    draw = random.Random(1)
    right: dict[tuple[int, str], bool] = {}

    def said(n: int, arm: Arm) -> str:
        share = {"base": 0.1, "tuned": 0.1, "rag": 0.7, "rag+tuned": 0.7}[arm]
        hit = right.setdefault((n, arm), draw.random() < share)
        return f"It is word{n} [1]." if hit else "No idea."

    verdict = verdict_of(run, said)
    assert verdict.winner == "rag"  # as good as both, and simpler
    assert set(verdict.best) == {"rag", "rag+tuned"}
    text = " ".join(verdict.says)
    assert (
        "Recommended: your documents, without the adapter. Adding the adapter made no measurable difference"
        in text
    )
    assert "Documents add +" in text
    assert "The adapter alone makes no measurable difference" in text
    assert verdict.difference("base", "rag").interval.mean < 0  # type: ignore[union-attr]


def test_the_adapter_wins_where_form_counts() -> None:
    run = made_run(
        60, answers=lambda n: (f"Status: open | Owner: Kim | Ticket: {n} | Priority: low | Due: today",)
    )
    assert choose_primary(run.questions) == "f1"
    verdict = verdict_of(
        run,
        lambda n, arm: (
            run.questions[n].answers[0] if "tuned" in arm and n % 5 else "The ticket is open and Kim owns it."
        ),
    )
    assert verdict.winner == "tuned"
    assert "Recommended: the adapter" in verdict.says[0]


def test_both_are_needed_where_both_are() -> None:
    run = made_run(60)
    verdict = verdict_of(
        run, lambda n, arm: f"word{n}" if arm == "rag+tuned" or n % 6 == 0 else "something else"
    )
    assert verdict.winner == "rag+tuned"
    assert verdict.best == ("rag+tuned",)
    assert "better than every other configuration" in " ".join(verdict.says)


def test_no_winner_among_equals() -> None:
    """Two ways that answer equally well, 50 times: a winner is named by chance in at most 5 % (2 of 50, and one for luck)."""
    run = made_run(100, arms=("base", "rag"))
    winners = 0
    for seed in range(50):
        draw = random.Random(seed)
        hits = {(n, arm): draw.random() < 0.5 for n in range(100) for arm in run.arms}
        verdict = verdict_of(run, lambda n, arm, hits=hits: f"word{n}" if hits[n, arm] else "no")  # type: ignore[misc]
        winners += bool(verdict.winner)
    assert winners <= 3


def test_a_way_that_is_shown_better_than_nothing_is_not_recommended() -> None:
    """Only rag against tuned differs enough: then no single way is best, and that alone is said."""
    run = made_run(100, arms=("base", "rag", "tuned"))
    hits = {"base": set(range(50)), "rag": set(range(62)), "tuned": set(range(38))}
    verdict = verdict_of(run, lambda n, arm: f"word{n}" if n in hits[arm] else "no")
    shown = {(d.one, d.other) for d in verdict.differences if d.shown}
    if shown == {("tuned", "rag")}:
        assert verdict.winner == ""
        assert "No configuration is clearly the best" in verdict.says[0]
    else:  # nested hits make every difference large
        assert verdict.winner == "rag"


def test_another_measure_that_names_another_way_is_told() -> None:
    run = made_run(60, arms=("base", "tuned"))
    verdict = verdict_of(
        run, lambda n, arm: f"word{n}" if arm == "tuned" else f"I would say that it is word{n}, maybe."
    )
    assert verdict.winner == ""
    assert any(
        "By “equals the expected answer”, the best configuration is the adapter" in sentence
        for sentence in verdict.says
    )


def test_a_tag_of_one_question_says_nothing() -> None:
    run = made_run(40, arms=("base", "rag"))
    asked = (msgspec.structs.replace(run.questions[0], tags=("rare",)), *run.questions[1:])
    run = msgspec.structs.replace(run, questions=asked)
    verdict = verdict_of(run, lambda n, arm: f"word{n}" if arm == "rag" and n == 0 else "no")
    assert not any("rare" in sentence for sentence in verdict.says)


def test_too_few_questions_say_so() -> None:
    verdict = verdict_of(made_run(4), lambda n, arm: f"word{n}" if arm == "rag" else "no")
    assert verdict.winner == ""
    assert "too few" in verdict.says[0]


def test_nothing_shown_says_how_many_it_would_take() -> None:
    run = made_run(30, arms=("base", "rag"))
    draw = random.Random(9)
    hits = {(n, arm): draw.random() < 0.5 for n in range(30) for arm in run.arms}
    verdict = verdict_of(run, lambda n, arm: f"word{n}" if hits[n, arm] else "no")
    assert verdict.winner == ""
    assert "The configurations show no measurable difference" in verdict.says[0]
    assert re.search(r"about \d+ questions, \d+ more", verdict.says[0])


def test_unanswerable_questions_count_by_declining() -> None:
    asked = tuple(
        Asked(id=str(n), question="?", answerable=n % 2 == 0, answers=("x",) if n % 2 == 0 else ())
        for n in range(20)
    )
    run = Run(id="r", set_name="s", arms=("base", "rag"), inputs={}, questions=asked)
    verdict = verdict_of(run, lambda n, arm: DECLINED if arm == "rag" and n % 2 else "x")
    assert verdict.table["rag"]["refuses_rightly"].mean == 1.0
    assert verdict.table["rag"]["refuses_wrongly"].mean == 0.0
    assert verdict.table["base"]["refuses_rightly"].mean == 0.0
    assert verdict.table["rag"]["contains"].mean == 1.0
    assert verdict.table["base"]["contains"].mean == 0.5


def test_only_questions_that_every_way_has_answered_count() -> None:
    run = made_run(20, arms=("base", "rag"))
    answers = [
        a for a in answered(run, lambda n, arm: f"word{n}") if not (a.arm == "rag" and int(a.question) >= 12)
    ]
    assert len(judge(run, answers).questions) == 12


def test_the_page_holds_no_foreign_markup_and_loads_nothing() -> None:
    run = made_run(12, arms=("base", "rag"))
    evil = "<script>alert(1)</script>\x1b[31m<img src=http://x.example/y>"
    verdict = verdict_of(run, lambda n, arm: evil if arm == "base" else f"word{n} {evil}")
    page = html(verdict, ["the model <b>"])
    assert "<script" not in page
    assert "<img" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;" in page
    assert "the model &lt;b&gt;" in page
    assert not re.search(r"<[^>]*(?:src|href)\s*=", page)
    assert "default-src 'none'" in page


def test_the_page_shows_when_the_search_declines() -> None:
    verdict = verdict_of(made_run(12, arms=("base", "rag")), lambda n, arm: f"word{n}")
    judged = [Judged("?", n < 30, n % 30 / 30 if n < 30 else n % 30 / 60, 0.0) for n in range(60)]
    found = RefusalCurve(curve(judged), point(judged, 0.4, 0.5), 30, 30)
    page = html(verdict, [], found)
    assert page.count("<polyline") == 2
    assert f"With your settings: {found.now.false_answers * 100:.1f} % false answers" in page
    assert "<polyline" not in html(verdict, [])


def test_runs_are_kept_and_torn_lines_are_left_out(tmp_path: Path) -> None:
    library = RunLibrary(tmp_path)
    run = made_run(3)
    assert library.all() == []
    library.keep(run)
    assert library.all() == [run]
    answers = answered(run, lambda n, arm: f"word{n}")
    file = library.answers_file(run.id)
    file.write_bytes(b"".join(msgspec.json.encode(a) + b"\n" for a in answers) + b'{"question": "0", "ar')
    assert library.answers(run.id) == answers
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "run.json").write_text("nothing")
    assert library.all() == [run]


def test_what_has_changed_is_told() -> None:
    before = {"model": ["a", "1"], "documents": {"work": "x"}, "prompt": "p", "adapter": {}}
    assert changes(before, before) == []
    assert changes(before, {**before, "documents": {"work": "y"}}) == ["the documents (work)"]
    assert changes(before, {**before, "model": ["b", "2"]}) == ["the model (a → b)"]
    assert changes(before, {**before, "prompt": "q"}) == ["the prompt"]
    assert run_id("s", before) == run_id("s", dict(reversed(before.items())))
    assert run_id("s", before) != run_id("s", {**before, "prompt": "q"})


def test_a_planted_regression_is_caught_and_noise_is_not() -> None:
    run = made_run(60, arms=("base", "rag"))
    before = answered(run, lambda n, arm: f"word{n}" if arm == "rag" or n % 3 == 0 else "no")
    sample = sample_of(run, before, 24)
    assert sample == sample_of(run, list(reversed(before)), 24)
    broken = answered(
        run,
        lambda n, arm: "no" if arm == "rag" and n % 2 else f"word{n}" if arm == "rag" or n % 3 == 0 else "no",
    )
    found = {one.arm: one for one in compare(run, before, broken, sample)}
    assert found["rag"].regression
    assert "worse" in found["rag"].sentence
    assert not found["base"].regression
    slight = answered(
        run,
        lambda n, arm: (
            "no" if arm == "rag" and n == 5 else f"word{n}" if arm == "rag" or n % 3 == 0 else "no"
        ),
    )
    assert not any(one.regression for one in compare(run, before, slight, sample))


# --- calibration ----------------------------------------------------------------------------------------


def test_the_curve_falls_and_rises_and_the_point_is_between() -> None:
    draw = random.Random(1)
    judged = [Judged("q", True, draw.uniform(0.4, 1), draw.uniform(0.2, 1)) for _ in range(100)]
    judged += [Judged("q", False, draw.uniform(0, 0.6), draw.uniform(0, 0.4)) for _ in range(100)]
    points = calibration.curve(judged)
    assert [p.false_answers for p in points] == sorted((p.false_answers for p in points), reverse=True)
    assert [p.wrong_refusals for p in points] == sorted(p.wrong_refusals for p in points)
    assert points[0].false_answers == 1.0
    shipped = points[50]
    assert (shipped.min_match, shipped.min_confidence) == (0.4, 0.3)
    best = calibration.choose(points)
    assert best.error <= shipped.error
    careful = calibration.choose(points, most_false_answers=0.05)
    assert careful.false_answers <= 0.05
    assert careful.strictness >= best.strictness - 0.01 or best.false_answers <= 0.05
    with pytest.raises(ValueError, match="answerable and unanswerable"):
        calibration.curve(judged[:100])


def chances(count: int, *, shift: float = 0.0, seed: int = 3) -> list[Judged]:
    """Questions whose shipped chance is right but for a shift of its log-odds: as many with an answer as without."""
    draw = random.Random(seed)
    judged = []
    for answerable in [True, False] * count:
        odds = draw.gauss(1.5 if answerable else -1.5, math.sqrt(3)) - shift
        judged.append(Judged("q", answerable, 0.5, 0.5, 1 / (1 + math.exp(-odds))))
    return judged


def test_with_few_questions_only_the_threshold_of_the_chance_is_chosen() -> None:
    few = calibration.fit_chance(chances(39))
    assert not few.refitted
    assert (few.own.slope, few.own.intercept) == (1.0, 0.0)
    assert few.own.least == few.chosen.least
    assert few.chosen.error <= few.now.error
    falls = [one.false_answers for one in few.points]
    assert falls == sorted(falls, reverse=True)
    assert (few.points[0].false_answers, few.points[0].wrong_refusals) == (1.0, 0.0)
    with pytest.raises(ValueError, match="answerable and unanswerable"):
        calibration.fit_chance([one for one in chances(50) if one.answerable])


def test_with_enough_questions_the_scale_is_fitted_too() -> None:
    fitted = calibration.fit_chance(chances(400, shift=2.0))
    assert fitted.refitted
    assert fitted.own.slope == pytest.approx(1.0, abs=0.15)
    assert fitted.own.intercept == pytest.approx(2.0, abs=0.3)
    assert fitted.own.least == pytest.approx(0.5, abs=0.15)
    assert fitted.chosen.error < fitted.now.error - 0.05, "the shipped scale is off by two"
    careful = calibration.fit_chance(chances(400, shift=2.0), most_false_answers=0.02)
    assert careful.chosen.false_answers <= 0.02
    assert careful.own.least
    assert fitted.own.least
    assert careful.own.least > fitted.own.least


def test_a_set_that_is_told_apart_without_a_fault_does_not_make_chances_certain() -> None:
    sure = [Judged("q", True, 0.5, 0.5, 0.9)] * 50 + [Judged("q", False, 0.5, 0.5, 0.1)] * 50
    own = calibration.refit(sure)
    assert 0.2 <= own.slope < 5
    backwards = [Judged("q", not one.answerable, 0.5, 0.5, one.chance) for one in sure]
    assert calibration.refit(backwards).slope == 0.2, "a chance never falls where the shipped one rises"
    nothing = [Judged("q", n % 2 == 0, -1, -1, 0.0) for n in range(100)]
    assert calibration.refit(nothing) == AS_SHIPPED


def test_what_is_stored_of_the_chance_counts_as_now() -> None:
    judged = chances(60)
    own = calibration.fit_chance(judged).own
    again = calibration.fit_chance(judged, own)
    assert (again.now.false_answers, again.now.wrong_refusals) == (
        again.chosen.false_answers,
        again.chosen.wrong_refusals,
    )


def test_the_settings_are_what_the_search_does_by_itself() -> None:
    from ragchat.config import Settings
    from ragchat.retrieval.search import Ranking
    from ragchat.session.chat import AskOptions

    retrieval = Settings().retrieval
    ranking = Ranking()
    for name in ("k1", "b", "proximity", "forms", "agreement", "feedback"):
        assert getattr(retrieval, name) == getattr(ranking, name), name
    assert (retrieval.min_match, retrieval.min_confidence) == (
        AskOptions().min_match,
        AskOptions().min_confidence,
    )


def test_every_measure_says_what_it_is() -> None:
    assert all(meaning and len(meaning) < 36 for meaning, _ in MEASURES.values())


def test_a_judge_is_told_how_far_it_agrees() -> None:
    from ragchat.evaluation.judging import agreement, judge_all
    from ragchat.llm.fake import FakeModel
    from ragchat.types import CancelToken

    run = made_run(10, arms=("base", "rag"))
    answers = answered(run, lambda n, arm: f"word{n}" if arm == "rag" else "no")
    model = loaded(FakeModel("x", n_ctx=2048))
    judged = dict(judge_all(model, run.questions, answers, cancel=CancelToken()))
    assert set(judged) == {(str(n), arm) for n in range(10) for arm in run.arms}
    perfect = agreement(run.questions, answers, {key: key[1] == "rag" for key in judged})
    assert (perfect.share, perfect.kappa) == (1.0, 1.0)
    assert perfect.by_arm == {"base": 0.0, "rag": 1.0}
    always = agreement(run.questions, answers, dict.fromkeys(judged, True))
    assert (always.share, always.kappa) == (0.5, 0.0)
    assert agreement(run.questions, answers, {}).judged == 0
