"""Agreement among the first texts, and RM3."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval import feedback

_text = st.lists(st.sampled_from("abcdefgh"), max_size=12)


def _cosine(a: Sequence[str], b: Sequence[str], texts: Sequence[Sequence[str]]) -> float:
    n = len(texts)

    def vector(text: Sequence[str]) -> dict[str, float]:
        counts = Counter(text)
        df = {t: sum(t in other for other in texts) for t in counts}
        return {
            t: (1 + math.log(c)) * math.log(1 + (n - df[t] + 0.5) / (df[t] + 0.5)) for t, c in counts.items()
        }

    x, y = vector(a), vector(b)
    lengths = math.sqrt(sum(v * v for v in x.values())) * math.sqrt(sum(v * v for v in y.values()))
    return sum(v * y.get(t, 0) for t, v in x.items()) / lengths if lengths else 0.0


@given(st.lists(_text, min_size=2, max_size=6))
def test_similarities_are_cosines(texts: list[list[str]]) -> None:
    found = feedback.similarities(texts)
    for i, a in enumerate(texts):
        for j, b in enumerate(texts):
            assert found[i, j] == pytest.approx(0.0 if i == j else _cosine(a, b, texts), abs=1e-9)


@given(st.lists(st.tuples(st.floats(0.1, 50), _text), min_size=2, max_size=6))
def test_agreement_is_the_weighted_mean_of_the_others(found: list[tuple[float, list[str]]]) -> None:
    """Up to six texts all others are among the five neighbours."""
    scores, texts = [s for s, _ in found], [t for _, t in found]
    similarity = feedback.similarities(texts)
    for i, value in enumerate(feedback.agreement(scores, texts)):
        others = [j for j in range(len(texts)) if j != i]
        total = sum(similarity[i, j] for j in others)
        weights = [similarity[i, j] if total > 0 else 1.0 for j in others]
        expected = sum(w * scores[j] for w, j in zip(weights, others, strict=True)) / sum(weights)
        assert value == pytest.approx(expected, abs=1e-6)


def test_only_the_nearest_five_count() -> None:
    texts = [["x", "y", "z"]] * 6 + [["x", "q", "r", "s"], ["u"]]
    scores = [1.0] * 6 + [100.0, 100.0]
    assert feedback.agreement(scores, texts)[0] == pytest.approx(1.0)


def test_alone_there_is_nothing_to_agree_with() -> None:
    assert feedback.agreement([5.0], [["a"]]) == [0.0]
    assert feedback.agreement([], []) == []


def _idf(terms: Iterable[str]) -> dict[str, float]:
    return {term: 0.5 if term == "common" else 5.0 for term in terms}


def _top(last: float) -> list[tuple[float, list[str]]]:
    scores = [10.0 + (last - 10.0) * i / 9 for i in range(10)]
    return [
        (score, ["wing", "flutter", "common", "x"] + (["rotor"] if i < 2 else []))
        for i, score in enumerate(scores)
    ]


def test_the_gate_is_closed_when_a_few_texts_stand_out() -> None:
    assert feedback.expand({"wing": 1.0}, _top(5.9), _idf) is None
    assert feedback.expand({"wing": 1.0}, _top(6.1), _idf) is not None
    assert feedback.expand({"wing": 1.0}, _top(9.0)[:9], _idf) is None


def test_rm3_by_hand() -> None:
    top = _top(8.0)
    mass: dict[str, float] = defaultdict(float)
    for score, terms in top:
        for term in terms:
            mass[term] += score / len(terms)
    kept = ["wing", "flutter", "rotor"]  # "common" stands everywhere, "x" is no word
    total = sum(mass[term] for term in kept)
    expanded = feedback.expand({"wing": 2.0}, top, _idf)
    assert expanded is not None
    assert set(expanded) == set(kept)
    for term in kept:
        # 0.8 of the mass is the query's, 0.2 the texts'; both scaled so that the query's own weights stay as they are.
        own = 2.0 if term == "wing" else 0.0
        assert expanded[term] == pytest.approx(own + 0.25 * 2.0 * mass[term] / total)


def test_nothing_rare_nothing_added() -> None:
    assert feedback.expand({"common": 1.0}, [(5.0, ["common"])] * 10, _idf) is None


def test_no_more_terms_than_agreed_and_idf_asked_for_few() -> None:
    asked: list[int] = []

    def idf(terms: Collection[str]) -> dict[str, float]:
        asked.append(len(terms))
        return dict.fromkeys(terms, 5.0)

    top = [(9.0, [f"w{i}-{j}" for j in range(50)]) for i in range(10)]
    expanded = feedback.expand({"wing": 1.0}, top, idf)
    assert expanded is not None
    assert len(expanded) == 1 + feedback.FEEDBACK_TERMS
    assert asked == [100]
