"""Sentence boundaries: the rules, the invariants on arbitrary text, and linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval.sentences import piece_spans, sentence_spans


def sentences(text: str) -> list[str]:
    return [text[first:last] for first, last in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("See e.g. Fig. 3 and Dr. Smith. Then go.", ["See e.g. Fig. 3 and Dr. Smith.", "Then go."]),
        ("It costs 3.50 euros. Cheap.", ["It costs 3.50 euros.", "Cheap."]),
        ("That was in 1999. The next year came.", ["That was in 1999.", "The next year came."]),
        ("J. R. Tolkien wrote it. I did not.", ["J. R. Tolkien wrote it.", "I did not."]),
        ('He said "No." Then he left.', ['He said "No."', "Then he left."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("今天下雨。明天呢？好！", ["今天下雨。", "明天呢？", "好！"]),
        ("A title\n\nA text", ["A title", "A text"]),
        ("Items:\n- one\n- two\n* three", ["Items:", "- one", "- two", "* three"]),
        ("1. First thing\n2. Second thing", ["1. First thing", "2. Second thing"]),
        ("# Heading\nText below. More.", ["# Heading", "Text below.", "More."]),
        ("| a | b |\n| c | d |", ["| a | b |", "| c | d |"]),
        ("A line\nthat goes on. End.", ["A line\nthat goes on.", "End."]),
        ("Das gilt z.B. Montags, d.h. Nie. Gut.", ["Das gilt z.B. Montags, d.h. Nie.", "Gut."]),
        ("Use no. 5 of vol. 2 now. No. That is it.", ["Use no. 5 of vol. 2 now.", "No.", "That is it."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(
    st.text(alphabet=st.sampled_from(list(" \n\tab.A1!?。-#|\"')`e…é")), max_size=300) | st.text(max_size=300)
)
@settings(max_examples=400, deadline=None)
def test_spans_are_ordered_trimmed_and_complete(text: str) -> None:
    spans = sentence_spans(text)
    end = 0
    for first, last in spans:
        assert end <= first < last
        assert not text[end:first].strip()
        assert text[first:last] == text[first:last].strip()
        end = last
    assert not text[end:].strip()


@pytest.mark.parametrize("unit", [".", "a", "\n", " ", "a. ", "。", "'", ".'", "# ", "\n ", "1. ", "A.\n"])
def test_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    start = time.perf_counter()
    sentence_spans(text)
    assert time.perf_counter() - start < 5


def test_long_sentences_come_in_parts_that_end_with_a_line_or_a_word() -> None:
    text = "Short one. Then " + "word " * 30 + "end.\n\n" + "\n".join(["a line of a listing"] * 12)
    parts = [text[first:last] for first, last in piece_spans(text, 60)]
    assert parts[0] == "Short one."
    assert all(0 < len(part) <= 60 and part == part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert parts[-1].endswith("a line of a listing")


def test_what_has_neither_lines_nor_words_is_cut_by_length() -> None:
    assert [last - first for first, last in piece_spans("x" * 130, 60)] == [60, 60, 10]
