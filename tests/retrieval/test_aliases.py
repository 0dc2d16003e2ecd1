"""Short and long forms that documents define: how they are told, and that one finds the other."""

from __future__ import annotations

import time

import pytest

from ragchat.retrieval.aliases import WEIGHT, aliases, definitions

RHEUMA = "Stiff shoulders in the morning may be polymyalgia rheumatica (PMR). Steroids help within days."


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (RHEUMA, [("PMR", "polymyalgia rheumatica")]),
        ("PMR (polymyalgia rheumatica) is seldom seen before fifty.", [("PMR", "polymyalgia rheumatica")]),
        ("Wir fragen die Technische Leitung (TL) vorher.", [("TL", "Technische Leitung")]),
        ("The write-ahead log (WAL) grows.", [("WAL", "write-ahead log")]),
        ("It was sold (in 1987) for little (see below).", []),
        ("The valve (DN 25) is shut. Nothing. (PMR)", []),
        ("An array (NULL) is empty.", []),
        ("(PMR)", []),
        ("", []),
    ],
)
def test_which_pairs_a_text_defines(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(definitions(text)) == pairs


def test_the_short_form_brings_the_long_one_and_the_other_way_round() -> None:
    assert aliases("how is PMR treated", [(RHEUMA, "en")], ("en",)).keys() == {"polymyalgia", "rheumatica"}
    assert aliases("how is pmr treated", [(RHEUMA, "en")], ("en",)).keys() == {"polymyalgia", "rheumatica"}
    assert aliases("treating polymyalgia rheumatica", [(RHEUMA, "en")], ("en",)) == {"pmr": WEIGHT}


def test_a_common_word_is_no_short_form_and_what_is_asked_for_is_not_added() -> None:
    text = "Ask information technology (IT) and the United States (US) office."
    assert aliases("is it open for us", [(text, "en")], ("en",)) == {}
    assert aliases("PMR or polymyalgia rheumatica", [(RHEUMA, "en")], ("en",)) == {}
    assert aliases("stiff shoulders", [(RHEUMA, "en")], ("en",)) == {}


def test_a_long_text_of_brackets_takes_no_time() -> None:
    started = time.perf_counter()
    list(definitions("(" * 50_000 + "a b (AB) " * 5_000 + "((AB " * 10_000))
    assert time.perf_counter() - started < 2
