"""Near-duplicates and documents with too many chunks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval import diversity

_texts = st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=10)


def _resemblance(a: Sequence[str], b: Sequence[str]) -> float:
    def runs(text: Sequence[str]) -> set[tuple[str, ...]]:
        return {tuple(text[i : i + 3]) for i in range(max(1, len(text) - 2))} if text else set()

    x, y = runs(a), runs(b)
    return len(x & y) / len(x | y) if x and y else 0.0


@given(_texts)
def test_kept_are_all_that_resemble_nothing_kept_before(texts: list[list[str]]) -> None:
    kept: list[int] = []
    for i, text in enumerate(texts):
        if all(_resemblance(text, texts[j]) < 0.8 for j in kept):
            kept.append(i)
    assert diversity.distinct(texts) == kept
    for a, b in itertools.combinations(texts, 2):
        assert diversity.distinct([a, b]) == ([0] if _resemblance(a, b) >= 0.8 else [0, 1])


def test_surplus_stands_behind_and_is_not_lost() -> None:
    assert diversity.thin(["a", "a", "a", "b", "a", "c"], most_per_document=2) == [0, 1, 3, 5, 2, 4]
    assert diversity.thin(["a", "a", "a"], most_per_document=1) == [0, 1, 2]


def test_off_means_the_order_stays() -> None:
    assert diversity.thin(["a", "a", "b"]) == [0, 1, 2]
    assert diversity.thin([]) == []


def test_the_same_text_of_another_document_is_left_out() -> None:
    text = [f"w{i}" for i in range(40)]
    changed = [*text[:20], "other", *text[21:]]  # one word of forty: 35 of 41 shingles
    assert diversity.thin([1, 2, 3, 4], [text, list(text), changed, text[:20]]) == [0, 3]


def test_both_at_once() -> None:
    texts = [["a", "b", "c", "d"], ["a", "b", "c", "d"], ["e", "f", "g"], ["h", "i", "j"]]
    assert diversity.thin([1, 2, 1, 3], texts, most_per_document=1) == [0, 3, 2]
