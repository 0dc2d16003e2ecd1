"""The bonuses that rank candidates again: pairs of words, written forms, and their sum."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval import feedback, forms, proximity, rerank

_words = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=30)


@given(_words, _words)
def test_pair_bonus_is_what_counting_every_place_gives(query: list[str], text: list[str]) -> None:
    weights = {"a": 1.0, "b": 2.5, "c": 0.5, "d": 4.0}
    expected = 0.0
    for first, second in set(itertools.pairwise(query)):
        if first != second and first in weights and second in weights:
            n = sum(text[i] == first and text[i + 1] == second for i in range(len(text) - 1))
            expected += (weights[first] + weights[second]) * n / (n + 1.5)
    assert abs(proximity.bonus(proximity.pairs(query, weights), text) - expected) < 1e-9


def test_order_counts() -> None:
    worth = proximity.pairs(["heat", "flow"], {"heat": 1.0, "flow": 1.0})
    assert proximity.bonus(worth, ["heat", "flow"]) == 2 * 1 / 2.5
    assert proximity.bonus(worth, ["flow", "heat"]) == 0
    assert proximity.bonus(worth, ["heat", "of", "flow"]) == 0


def test_scripts_without_spaces_have_no_pairs() -> None:
    assert proximity.pairs(["黑豹", "豹队"], {"黑豹": 1.0, "豹队": 1.0}) == {}
    assert proximity.pairs(["กขค", "ขคง"], {"กขค": 1.0, "ขคง": 1.0}) == {}
    assert proximity.pairs(["สวัสดี"], {"สวัสดี": 1.0}) == {}


def _dice(a: str, b: str) -> float:
    def grams(term: str) -> set[str]:
        marked = "^" + term
        return {marked[i : i + 3] for i in range(len(marked) - 2)}

    return 2 * len(grams(a) & grams(b)) / (len(grams(a)) + len(grams(b)))


def test_similarity_is_dice_of_trigrams() -> None:
    for a, b in itertools.combinations(
        ["normandy", "normans", "sonnensystem", "sonne", "bahnhof", "hauptbahnhof"], 2
    ):
        assert abs(forms.similarity(a, b) - _dice(a, b)) < 0.1  # bits of a small set may fall together


def test_near_takes_the_most_similar_term() -> None:
    value = forms.near({"hauptbahnhof": 3.0}, ["zug", "bahnhof", "garten"])
    assert value == 3.0 * forms.similarity("hauptbahnhof", "bahnhof") > 1.5
    assert forms.near({"hauptbahnhof": 3.0}, ["zug", "garten"]) == 0
    assert forms.near({"hauptbahnhof": 3.0}, []) == 0


def test_numbers_and_short_words_resemble_nothing() -> None:
    assert forms.similarity("20231", "20232") == 0
    assert forms.similarity("cat", "cats") == 0
    assert forms.similarity("v2024a", "v2024b") == 0


def test_exact_counts_words_as_written() -> None:
    assert forms.exact({"normans": 2.0, "ruled": 1.0}, {"normans", "rule"}) == 2.0


_texts = ["Heat flows through the wall.", "The wall of heat: flow rates.", "Gardens and flowers."]


def test_scores_stay_with_all_parts_off() -> None:
    candidates = [rerank.Candidate(score, text) for score, text in zip((3.0, 2.0, 1.0), _texts, strict=True)]
    off = rerank.Parts(proximity=False, forms=False, agreement=False)
    assert rerank.rescore("heat flow", {"heat": 1.0, "flow": 2.0}, candidates, parts=off) == [3.0, 2.0, 1.0]


def test_score_is_the_sum_of_its_parts() -> None:
    candidates = [rerank.Candidate(score, text) for score, text in zip((3.0, 2.0, 1.0), _texts, strict=True)]
    weights = {"heat": 1.0, "flow": 2.0}
    found = rerank.rescore("heat flow", weights, candidates)
    agreed = feedback.agreement([3.0, 2.0, 1.0], [rerank.analyse(c).order for c in candidates])
    pair = (1.0 + 2.0) * 1 / 2.5
    exact = [1.0, 1.0 + 2.0, 0.0]  # "flows" is not written as asked for
    pairs = [pair, pair, 0.0]
    nears = [0.0, 0.0, forms.near(weights, rerank.analyse(candidates[2]).held)]
    for i in range(3):
        bonus = rerank.PAIRS * pairs[i] + rerank.EXACT * exact[i] + rerank.NEAR * nears[i]
        assert abs(found[i] - (candidates[i].score + bonus + rerank.AGREEMENT * agreed[i])) < 1e-9


def test_stop_words_do_not_part_a_pair() -> None:
    candidates = [
        rerank.Candidate(1.0, "The University of Chicago"),
        rerank.Candidate(1.0, "Chicago has a university"),
    ]
    weights = dict.fromkeys(rerank.analyse(candidates[0]).order, 1.0)
    parts = rerank.Parts(proximity=True, forms=False, agreement=False)
    first, second = rerank.rescore("university of chicago", weights, candidates, parts=parts)
    assert first > second == 1.0


def test_a_hyphen_does_not_part_neighbours() -> None:
    assert rerank.in_order("thin-wing", "en") == ("thin", "wing")
    candidates = [rerank.Candidate(1.0, "Slender thin-wing theory")]
    weights = {"wing": 1.0, "theori": 1.0}
    parts = rerank.Parts(proximity=True, forms=False, agreement=False)
    assert rerank.rescore("wing theory", weights, candidates, parts=parts)[0] > 1.0


def test_the_beginning_of_a_word_is_no_neighbour_of_it() -> None:
    assert rerank.in_order("Hauptbahnhof", "de") == ("hauptbahnhof",)
    assert forms.similarity("haupt*", "hauptbahnhof") == 0


def test_no_candidates_no_scores() -> None:
    assert rerank.rescore("heat", {"heat": 1.0}, []) == []
