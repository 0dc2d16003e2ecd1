"""Turns that lean on the question before, and turns that begin a new subject."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dialogues import TURNS, Turn, new_subjects

from ragchat.evaluation.corpora import Question
from ragchat.retrieval.analyzer import query_terms
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import query
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put

_MISSED = {"Wie lange dauert das?"}
""""das" is an article far more often than it points back."""


@pytest.mark.parametrize(
    "turn", [turn for turn in TURNS if turn.said not in _MISSED], ids=lambda turn: turn.said
)
def test_turns_are_told_apart(turn: Turn) -> None:
    assert bool(query.build(turn.said, [turn.first], (turn.language,)).topic) is turn.goes_on


def test_short_questions_on_another_document_are_new_subjects() -> None:
    questions = [
        Question("1", "When was the Harrow Bridge opened?", (), ("1.txt",)),
        Question("2", "Who wrote the Lay of Lund?", (), ("2.txt",)),
    ]
    first, second = new_subjects(questions, "en")
    assert (first.follow_up, first.first.text) == ("What is Harrow Bridge?", questions[1].text)
    assert second.follow_up == "What is Lay of Lund?"
    assert list(new_subjects(questions, "xx")) == []
    assert list(new_subjects([questions[0], questions[0]], "en")) == []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "manual") as store:
        put(store, "/m/about.md", "Quillbox is a program that keeps letters.", heading="About Quillbox")
        put(store, "/m/keys.md", "In Quillbox the cursor keys move and the page keys scroll the letters.")
        put(store, "/m/more-keys.md", "Quillbox shows all cursor keys and page keys in a window of keys.")
        put(store, "/m/pump.md", "The warranty of the Zephyr pump lasts seven years.")
        put(store, "/m/lamp.md", "The warranty of the Orion lamp lasts seven weeks.")
        for i in range(10):
            put(store, f"/m/{i}.md", f"Quillbox can do thing number{i} with letters of kind{i}.")
        yield store


def first_path(store: KnowledgeStore, said: str, before: str) -> str:
    built = query.build(said, [before], ("en",), Vocabulary([store]).idf)
    return Searcher([store]).search(built.text, 3, weights=built.weights).hits[0].path


def test_earlier_words_do_not_outweigh_a_question_that_stands_alone(store: KnowledgeStore) -> None:
    before = "Which cursor keys and page keys scroll the window?"
    for said in ("What is Quillbox?", "Quillbox"):
        assert first_path(store, said, before) == "/m/about.md", said


def test_earlier_words_choose_among_equals(store: KnowledgeStore) -> None:
    assert (
        first_path(store, "How long does the warranty last?", "How is the Zephyr pump primed?")
        == "/m/pump.md"
    )
    assert (
        first_path(store, "How long does the warranty last?", "What does the Orion lamp run on?")
        == "/m/lamp.md"
    )


def test_what_earlier_turns_may_weigh(store: KnowledgeStore) -> None:
    def idf(terms: object) -> dict[str, float]:
        return dict.fromkeys(terms, 1.0)  # type: ignore[call-overload, no-any-return]

    before = ["How is the old Zephyr pump of the northern lighthouse primed in winter?"]
    for said, share in (("How long does the warranty last?", 0.5), ("What is strict mode?", 0.1)):
        built = query.build(said, before, ("en",), idf)
        own = query_terms(said).total()
        assert built.topic == ()
        assert 0 < sum(built.weights.values()) <= share * own + 1e-9
    assert query.build("What is strict mode?", before, ("en",), lambda terms: {}).weights
    sure = query.build("And in summer?", before, ("en",), idf)
    assert max(sure.weights.values()) == 0.5


def test_worth_is_that_of_all_knowledge_bases_together(store: KnowledgeStore, tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "other") as other:
        put(other, "/o/pump.md", "Another pump.")
        alone, both = (
            Vocabulary([store]).idf(["pump", "zyzzyva"]),
            Vocabulary([store, other]).idf(["pump", "zyzzyva"]),
        )
    assert alone.keys() == both.keys() == {"pump"}
    assert both["pump"] < alone["pump"]
