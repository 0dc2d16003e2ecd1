"""How sure a search may be: what the number does, and that it tells questions apart in a real index."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval.bm25 import idf
from ragchat.retrieval.confidence import confidence, reachable
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put

scores = st.floats(0.01, 60)


@given(score=scores, most=scores, more=st.floats(1.01, 3))
def test_it_is_a_share_that_rises_with_the_score_and_falls_with_what_was_asked_for(
    score: float, most: float, more: float
) -> None:
    sure = confidence(score, most)
    assert 0 <= sure <= 1
    assert confidence(score * more, most * more) >= sure
    assert confidence(score, most * more) <= sure


def test_nothing_found_is_no_confidence() -> None:
    assert confidence(0.0, 3.0) == 0.0
    assert confidence(1.0, 0.0) == 0.0


def test_a_word_that_no_document_has_is_missed_most() -> None:
    worth = {"pump": idf(3, 100), "zebra": idf(0, 100)}
    known = reachable({"pump": 1.0}, worth)
    assert known == pytest.approx(idf(3, 100))
    assert reachable({"pump": 1.0, "zebra": 1.0}, worth) > 2 * known
    assert reachable({}, {}) == 0.0
    assert math.isclose(reachable({"pump": 0.5}, worth), known / 2)


def test_what_the_documents_hold_scores_above_what_they_do_not(tmp_path: Path) -> None:
    texts = [
        f"The {name} pump of hall {n} lifts {n} litres."
        for n, name in enumerate(("red", "blue", "green", "grey"))
    ]
    with KnowledgeStore.create(tmp_path, "pumps") as store:
        for n, text in enumerate(texts):
            put(store, f"/{n}.txt", text)
        searcher = Searcher([store])

        def sure(question: str, words: dict[str, int]) -> float:
            hits = searcher.search(question, 3, with_evidence=False).hits
            worth = {word: idf(df, len(texts)) for word, df in words.items()}
            return confidence(hits[0].score if hits else 0.0, reachable(dict.fromkeys(words, 1.0), worth))

        answered = sure("green pump hall", {"green": 1, "pump": 4, "hall": 4})
        unknown = sure("zebra pump stripes", {"zebra": 0, "pump": 4, "stripes": 0})
        assert answered > 0.5 > unknown
