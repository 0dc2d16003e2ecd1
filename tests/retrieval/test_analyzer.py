"""What counts as a word: whoever types it as it stands in the document must find it."""

from __future__ import annotations

import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import analyzer, tokenizer
from ragchat.retrieval.analyzer import (
    LONGEST_TERM,
    is_second,
    length,
    query_terms,
    query_words,
    stop_terms,
    terms,
    token_terms,
    tokens,
)
from ragchat.retrieval.stopwords import stop_words
from ragchat.text import normalise
from tests.helpers.naughty import NAUGHTY


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
        ("a.b@example.org", ["a", "b", "exampl", "org", "a.b@example.org", "a.b", "example.org"]),
        ("C++ and C#, not C", ["c++", "c", "and", "c#", "c", "not", "c"]),
        ("well-known and/or", ["well", "known", "wellknown", "and", "or"]),
        ("__init__", ["init"]),
        ("ﬁle ＡＢＣ", ["file", "abc"]),  # a ligature and full-width letters
        ("informa\u00adtion", ["inform"]),  # a soft hyphen, as PDF and HTML have them
        ("cafe\u0301 café", ["cafe", "cafe"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("नमस्तेक2", ["नमस्तेक2", "नमस्तेक", "2"]),
        ("สวัสดี ชาว", ["สวัส", "วัสดี", "ชาว"]),
        ("क्\u200dष", ["क्ष"]),
        ("iPhone15手機", ["iphone15", "i", "phone", "15", "手", "手机", "机"]),
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
        ("edit /usr/lib/libfoo.so.2", "libfoo.so.2"),
        ("edit /usr/lib/libfoo.so.2", "/usr/lib/libfoo.so.2"),
        ("in C:\\Users\\ann\\notes.txt", "notes.txt"),
        ("in C:\\Users\\ann\\notes.txt", "C:\\Users\\ann\\notes.txt"),
        ("src/app/config.py:123: error", "config.py"),
        ("use --long-option", "long option"),
        ("use --long-option", "--long-option"),
        ("fixed in #1234", "1234"),
        ("issue 1234", "#1234"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400"),
        ("550e8400-e29b-41d4-a716-446655440000", "550E8400-E29B-41D4-A716-446655440000"),
        ("at 192.168.0.1 and fe80::1", "192.168.0.1 fe80::1"),
        ("on 2024-05-01", "2024-05-01"),
        ("on 2024-05-01", "2024"),
        ("see https://www.example.org/a/b?q=1", "www.example.org"),
        ("write to a.b@example.org.", "example.org"),
        ("Written in C++/C#.", "c# c++"),
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
    assert length(terms(" ".join(word for word in stop_words("en") if "'" not in word))) == 0


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

    # Normalising may put something else before a mark: Ŀ is L and a dot, and a mark behind it is the dot's.
    plain = unicodedata.normalize("NFKC", text)
    kinds = [unicodedata.category(character)[0] for character in plain]
    if any(
        kind == "M" and before not in ("L", "M", "N")
        for before, kind in zip(["", *kinds], kinds, strict=False)
    ):
        return
    assert not [term for term in terms(text) if unicodedata.category(term[0])[0] == "M"]


@pytest.mark.parametrize(
    "run",
    [
        "_",
        "/",
        "\\",
        "+",
        "C+",
        "é_",
        "手",
        "手_",
        "ก",
        "ก\u0e31",
        "각",
        "\u094d",
        "é-",
        "а1",
        ":",
        "__::",
        "-",
        "a_",
        "a1",
        "#a",
        "'",
        "Aa",
        "\u0301",
        ".",
        "@a",
    ],
)
def test_forms_to_fill_in_do_not_hang_the_indexing(run: str) -> None:
    text = f"Name{run * 50_000} (please print)"
    started = time.perf_counter()
    assert "print" in terms(text)
    assert time.perf_counter() - started < 2


# The same in the pattern that knows all scripts, whichever pattern a text gets.
def by_the_general_pattern(text: str) -> list[str]:
    plain = tokenizer._UNSEEN.sub("", normalise(text).replace("\u2010", "-"))
    grams = [gram for token in tokenizer._TOKEN.findall(plain) for gram in tokenizer._by_script(token)]
    return [*grams, *(token for _, _, token in tokenizer.joined(text))]


CHARACTERS = st.sampled_from("aZ09_.:/@+#'-\\ \n,é§©ßÆñЖё’–\u00ad½ǅº手かกัक्षि각🔥")


@given(st.text(CHARACTERS | st.characters(max_codepoint=0x600)))
@settings(max_examples=1000, deadline=None)
def test_the_fast_patterns_find_what_the_general_one_finds(text: str) -> None:
    assert tokens(text) == by_the_general_pattern(text)


def test_the_fast_patterns_know_the_same_letters() -> None:
    for first, last in tokenizer._EUROPEAN:
        for character in map(chr, range(first, last + 1)):
            for text in (character, f"a{character}b", f"{character}#", f"x {character}+"):
                if normalise(text) == text:
                    assert tokens(text) == by_the_general_pattern(text), hex(ord(character))


LANGUAGES_TRIED = st.sampled_from(
    ["en", "de", "tr", "ru", "hi", "ar", "fr", "uk", "zh", "ko", "vi", "xx", ""]
)


@given(st.text(), LANGUAGES_TRIED)
@settings(max_examples=500, deadline=None)
def test_any_text_can_be_analysed_in_any_language(text: str, language: str) -> None:
    found = terms(text, language)
    assert found == [term for token in tokens(text) for term in token_terms(token, language)]
    assert all(0 < len(term) <= LONGEST_TERM for term in found)
    stops = stop_terms(language)
    assert length(found, language) == sum(term not in stops and not is_second(term) for term in found)
    for word in query_words(text, (language, "en")):
        assert not set(found).union(terms(text)).isdisjoint(word.terms)
    for word in query_words(text, (language,)):
        assert not set(found).isdisjoint(word.terms)


@given(
    st.lists(st.text(st.characters(categories=["L", "Nd"]), min_size=1), min_size=1, max_size=6),
    LANGUAGES_TRIED,
)
@settings(max_examples=300, deadline=None)
def test_whoever_types_a_word_of_a_document_finds_it(words: list[str], language: str) -> None:
    found = set(terms(" ".join(words), language))
    for typed in words:
        for word in query_words(typed, (language,)):
            assert not found.isdisjoint(word.terms)


def test_a_line_of_a_megabyte_is_read_in_a_moment() -> None:
    for text in ("x" * 1_000_000, "a_" * 500_000, "Aa1" * 300_000, "é" * 1_000_000, "क्" * 300_000):
        started = time.perf_counter()
        assert all(len(term) <= LONGEST_TERM for term in terms(text))
        assert time.perf_counter() - started < 5


@given(st.text(alphabet=string.printable, min_size=1, max_size=40))
def test_the_patterns_for_ascii_find_what_the_general_ones_find(text: str) -> None:
    assert analyzer._ASCII_PART.findall(text) == analyzer._PART.findall(text)
    assert analyzer._ASCII_CAMEL.findall(text) == analyzer._CAMEL.findall(text)
    assert bool(analyzer._ASCII_HAS_CAMEL.search(text)) == bool(analyzer._HAS_CAMEL.search(text))


@given(st.text(alphabet="aB1._-'/+#@é漢", min_size=1, max_size=20))
def test_parts_and_wholes_make_up_the_terms_of_a_token(text: str) -> None:
    for token in analyzer.tokens(text):
        parts, wholes = analyzer.split(token, "en")
        expected = [term for part in parts for term in analyzer.part_terms(part, "en")] + list(wholes)
        assert list(analyzer.token_terms(token)) == expected
