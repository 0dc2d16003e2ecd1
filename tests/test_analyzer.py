"""What counts as a word: whoever types it as it stands in the document must find it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval.analyzer import LONGEST_TERM, STOP_WORDS, length, query_terms, terms
from tests.naughty import NAUGHTY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("running runners", ["run", "runner"]),
        ("The CAT's paw", ["the", "cat", "paw"]),
        ("the cats’ paws", ["the", "cat", "paw"]),
        ("max_open_files", ["max", "open", "file", "max_open_files"]),
        ("getHTTPResponse", ["gethttprespons", "get", "http", "respons"]),
        ("os.path.join", ["os", "path", "join", "os.path.join"]),
        ("std::vector", ["std", "vector", "std::vector"]),
        ("v1.2.3", ["v1", "v", "1", "2", "3", "v1.2.3"]),
        ("E-1042", ["e", "1042", "e-1042"]),
        ("a.b@example.org", ["a", "b", "exampl", "org", "a.b@example.org"]),
        ("C++ and C#, not C", ["c++", "c", "and", "c#", "c", "not", "c"]),
        ("well-known and/or", ["well", "known", "and", "or"]),
        ("__init__", ["init"]),
        ("ﬁle ＡＢＣ", ["file", "abc"]),  # a ligature and full-width letters
        ("informa\u00adtion", ["inform"]),  # a soft hyphen, as PDF and HTML have them
        ("cafe\u0301 café", ["café", "café"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("नमस्तेक2", ["नमस्तेक2", "नमस्तेक", "2"]),
        ("สวัสดี ชาวโลก", ["สวัสดี", "ชาวโลก"]),
        ("क्\u200dष", ["क्ष"]),
        ("iPhone15手機", ["iphone15手機", "i", "phone", "15", "手機"]),
        ("привет мир", ["привет", "мир"]),
        ("warm 🔥", ["warm", "🔥"]),
        ("", []),
        ("… — !?", []),
    ],
)
def test_a_text_becomes_the_words_a_person_would_type(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("max_open_files", "open files"),
        ("getHTTPResponse", "http response"),
        ("see getHTTPResponse()", "gethttpresponse"),
        ("write to a.b@example.org.", "a.b@example.org"),
        ("in release v1.2.3, fixed", "v1.2.3"),
        ("Error E-1042: out of paper", "e-1042"),
        ("Written in C++.", "c++"),
        ("`std::vector<int>`", "std::vector"),
        ("the manufacturer's manual", "manufacturer"),
        ("Überprüfung", "überprüfung"),
    ],
)
def test_what_is_written_is_found_by_what_is_typed(written: str, typed: str) -> None:
    assert set(query_terms(typed)) <= set(terms(written))


def test_question_words_go_only_when_something_is_left() -> None:
    assert set(query_terms("What is the capital of France?")) == {"capit", "franc"}
    assert set(query_terms("to be or not to be")) == {"to", "be", "or", "not"}
    assert query_terms("to be or not to be")["be"] == 2
    assert not query_terms("?!")


def test_the_length_of_a_text_leaves_out_what_a_query_leaves_out() -> None:
    assert length(terms("What is the capital of France?")) == 2
    assert length(terms(" ".join(STOP_WORDS))) == 0


def test_very_long_words_are_cut() -> None:
    for text in ("x" * 10_000, "ab/" * 100 + "c", "Aa" * 5000):
        assert max(map(len, terms(text))) <= LONGEST_TERM


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_analysed(text: str) -> None:
    found = terms(text)
    assert all(found)
    assert all(len(term) <= LONGEST_TERM for term in found)
    assert 0 <= length(found) <= len(found)
    assert set(query_terms(text)) <= set(found)
    "".join(found).encode()  # raises on lone surrogates, which the database would refuse


@pytest.mark.parametrize("text", NAUGHTY)
def test_naughty_strings_can_be_analysed(text: str) -> None:
    assert set(query_terms(text)) <= set(terms(text))


@given(st.text(st.characters(categories=["L", "M", "Nd"]), min_size=1))
@settings(max_examples=200, deadline=None)
def test_no_word_begins_with_a_mark_that_belongs_to_a_letter(text: str) -> None:
    """A vowel sign of its own would make every Hindi word match every other."""
    import unicodedata

    if unicodedata.category(unicodedata.normalize("NFKC", text)[0])[0] == "M":
        return
    assert not [term for term in terms(text) if unicodedata.category(term[0])[0] == "M"]


@pytest.mark.parametrize("run", ["_", ":", "__::", "-", "a_", "a1", "#a", "'", "Aa", "\u0301", ".", "@a"])
def test_forms_to_fill_in_do_not_hang_the_indexing(run: str) -> None:
    text = f"Name{run * 50_000} (please print)"
    started = time.perf_counter()
    assert "print" in terms(text)
    assert time.perf_counter() - started < 2
