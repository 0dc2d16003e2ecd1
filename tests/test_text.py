"""The sanitiser: whatever a document, a file name or a model holds, the terminal gets plain text."""

from __future__ import annotations

import itertools
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ragchat
from ragchat.text import StreamCleaner, clean, clean_line, counted, human_bytes, human_seconds
from tests.helpers.naughty import NAUGHTY

# ruff: noqa: E501 (tables of cases)

DECEPTIVE = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff"

HOSTILE = {
    "clipboard, BEL": ("a\x1b]52;c;aGk=\x07b", "ab"),
    "clipboard, ST": ("a\x1b]52;c;aGk=\x1b\\b", "ab"),
    "clipboard, 8 bit": ("a\x9d52;c;aGk=\x9cb", "ab"),
    "clipboard, mixed": ("a\x9d52;c;aGk=\x1b\\b", "ab"),
    "title": ("a\x1b]0;owned\x07b", "ab"),
    "link": ("\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
    "colour": ("a\x1b[31mb\x1b[0mc", "abc"),
    "colour with colons": ("a\x1b[38:2::1:2:3mb", "ab"),
    "clear the screen": ("a\x1b[2J\x1b[Hb", "ab"),
    "private mode": ("a\x1b[?1049hb", "ab"),
    "8-bit CSI": ("a\x9b31mb", "ab"),
    "report of the cursor": ("a\x1b[6nb", "ab"),
    "DCS": ("a\x1bP$q q\x1b\\b", "ab"),
    "8-bit DCS": ("a\x90$q q\x9cb", "ab"),
    "APC": ("a\x1b_Gf=100;AAAA\x1b\\b", "ab"),
    "8-bit APC": ("a\x9fGf=100\x9cb", "ab"),
    "PM": ("a\x1b^secret\x1b\\b", "ab"),
    "SOS": ("a\x1bXsecret\x1b\\b", "ab"),
    "reset": ("a\x1bcb", "ab"),
    "character set": ("a\x1b(0b", "ab"),
    "alignment test": ("a\x1b#8b", "ab"),
    "keypad": ("a\x1b=b\x1b>c", "abc"),
    "lone escape": ("a\x1b", "a"),
    "two escapes": ("a\x1b\x1b[31mb", "ab"),
    "unterminated OSC": ("a\x1b]52;c;aGk=\nb", "a\nb"),
    "unterminated CSI": ("a\x1b[31", "a"),
    "unterminated DCS": ("a\x1bPabc\nb", "a\nb"),
    "nested": ("a\x1b]0;\x1b]52;c;aGk=\x07b", "ab"),
    "rebuilt by removal": ("a\x1b\x00[31mb", "a[31mb"),
    "rebuilt by removal of a sequence": ("\x1b\x1b[0m[31mb", "[31mb"),
    "rebuilt by removal of a bidi mark": ("a\x1b\u202e[31mb", "a[31mb"),
    "bell": ("a\x07b", "ab"),
    "backspace": ("password\x08\x08\x08b", "passwordb"),
    "delete": ("a\x7fb", "ab"),
    "NUL": ("a\x00b", "ab"),
    "shift out": ("a\x0eb\x0fc", "abc"),
    "overwriting the line": ("evil\rgood", "evil\ngood"),
    "line ends": ("a\r\nb\rc\n\rd\x85e\u2028f\u2029g\x0bh\x0ci", "a\nb\nc\n\nd\ne\nf\ng\nh\ni"),
    "bidi override": ("a\u202egnp.exe\u202cb", "agnp.exeb"),
    "bidi isolates": ("a\u2066b\u2067c\u2068d\u2069e", "abcde"),
    "marks of direction": ("a\u200eb\u200fc\u061cd", "abcd"),
    "tag characters": ("a\U000e0001\U000e0041\U000e007fb", "ab"),
    "byte order mark": ("\ufeffa", "a"),
    "interlinear": ("a\ufff9b\ufffac\ufffbd", "abcd"),
    "lone surrogates": ("a\ud800b\udfffc", "abc"),
    "all C0 and C1": ("".join(map(chr, [*range(9), *range(14, 27), *range(28, 32)])) + "x", "x"),
}


def is_safe(text: str) -> bool:
    return not any(
        (unicodedata.category(character) in ("Cc", "Cs") and character not in "\t\n")
        or character in DECEPTIVE
        or 0xE0000 <= ord(character) <= 0xE007F
        for character in text
    )


PIECES = st.sampled_from(
    ["\x1b", "[", "]", "P", "_", "\\", "\x07", "\x9b", "\x9c", "\x9d", "\x90", "31", ";", "m", "\r", "\n", "\x85", "a", " ", "\u202e", "é"]
)  # fmt: skip
ODD_TEXT = st.one_of(
    st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF)),
    st.lists(PIECES, max_size=25).map("".join),
    st.lists(st.sampled_from([payload for payload, _ in HOSTILE.values()]), max_size=4).map("".join),
)


@pytest.mark.parametrize(("payload", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_becomes_plain_text(payload: str, expected: str) -> None:
    assert clean(payload) == expected


@pytest.mark.parametrize("payload", NAUGHTY)
def test_naughty_strings_become_safe(payload: str) -> None:
    assert is_safe(clean(payload))
    assert is_safe(clean_line(payload))


@given(ODD_TEXT)
@settings(max_examples=500, deadline=None)
def test_nothing_dangerous_is_left_and_cleaning_again_changes_nothing(text: str) -> None:
    cleaned = clean(text)
    assert is_safe(cleaned)
    assert clean(cleaned) == cleaned
    cleaned.encode()


@given(st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" \t\n")))
@settings(max_examples=200)
def test_what_can_be_read_is_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    "text",
    ["👩‍👩‍👧‍👦 ❤️ 1️⃣ 🇨🇭 👍🏽", "اَلْعَرَبِيَّةُ", "می‌خواهم", "ภาษาไทยที่นี่", "हिन्दी क्‍ष", "e\u0301", "日本語　全角", "a\u00a0b", "soft\u00adhyphen", "x\ty\nz"],
)  # fmt: skip
def test_no_script_is_hurt(text: str) -> None:
    assert clean(text) == text


# --- in pieces ------------------------------------------------------------------------------------------


def stream(pieces: list[str]) -> str:
    cleaner = StreamCleaner()
    shown = [cleaner.feed(piece) for piece in pieces]
    shown.append(cleaner.finish())
    assert all(is_safe(piece) for piece in shown)
    return "".join(shown)


@given(ODD_TEXT, st.lists(st.integers(0, 200)))
@settings(max_examples=500, deadline=None)
@example("a\x1b]0;b\rc\x07d", [8])
@example("\x9d\r\x90\x0700", [])
def test_a_stream_shows_the_same_as_the_whole(text: str, cuts: list[int]) -> None:
    borders = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    assert stream([text[a:b] for a, b in itertools.pairwise(borders)]) == clean(text)
    assert stream(list(text)) == clean(text)


@pytest.mark.parametrize(("payload", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_stream_shows_the_same_as_the_whole(payload: str, expected: str) -> None:
    for cut in range(len(payload) + 1):
        assert stream([payload[:cut], payload[cut:]]) == expected


def test_plain_words_are_shown_at_once() -> None:
    cleaner = StreamCleaner()
    assert [cleaner.feed(piece) for piece in ("Lamps ", "burn", " oil.\n")] == ["Lamps ", "burn", " oil.\n"]
    assert cleaner.finish() == ""


def test_a_lone_escape_holds_nothing_back_for_ever() -> None:
    cleaner = StreamCleaner()
    assert cleaner.feed("before \x1b") == "before "
    assert cleaner.feed("[3") == ""
    assert cleaner.feed("1mafter") == "after"
    assert cleaner.feed("a\x1b") + cleaner.feed(" x y") == "a y"
    cleaner.feed("\x1b]never ended ")
    shown = "".join(cleaner.feed("word ") for _ in range(2000))
    assert shown.endswith("word "), "an answer does not vanish behind a sequence without an end"
    assert is_safe(shown)


def test_what_is_held_at_the_end_is_shown() -> None:
    cleaner = StreamCleaner()
    assert cleaner.feed("a\r") + cleaner.finish() == "a\n"
    assert cleaner.feed("b\x1b") + cleaner.finish() == "b"


def test_holding_back_takes_no_more_than_linear_time() -> None:
    cleaner = StreamCleaner()
    for _ in range(3000):
        cleaner.feed("\x1b]x")
        cleaner.feed("y" * 50)
    assert is_safe(cleaner.finish())


# --- lines and numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("  a\n\tb  ", 0, "a b"),
        ("a\x1b[31m\rb", 0, "a b"),
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abc def", 5, "abc…"),
        ("abcdef", 1, "…"),
        ("", 3, ""),
    ],
)
def test_one_line(text: str, limit: int, expected: str) -> None:
    assert clean_line(text, limit=limit) == expected


@given(ODD_TEXT, st.integers(1, 20))
def test_one_line_is_one_line_and_no_longer_than_asked(text: str, limit: int) -> None:
    line = clean_line(text, limit=limit)
    assert "\n" not in line
    assert len(line) <= limit


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (98362432, "93.8 MiB"), (2**40, "1024.0 GiB")],
)
def test_sizes_as_a_person_says_them(size: float, expected: str) -> None:
    assert human_bytes(size) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (10, "10 s"), (75, "1 min 15 s"), (119.7, "2 min 0 s"), (3600, "1 h 0 min"), (7325, "2 h 2 min")],
)  # fmt: skip
def test_times_as_a_person_says_them(seconds: float, expected: str) -> None:
    assert human_seconds(seconds) == expected


# --- numbers with what they count -------------------------------------------------------------------------

_PLURAL = re.compile(
    r"\{(?P<number>[^{}\"']+?)(?::,)?\} (?:documents|chats|messages|questions|knowledge bases|files|models|chunks|hits)\b(?!/s)"
)
_NEVER_ONE = re.compile(r"_?[A-Z_]{4,}|keep_turns|n_ctx|needed|metadata\..*|count$|finished\.total")
"""Constants, sizes of contexts, and numbers that the code around them treats when they are 1."""


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 documents"), (1, "1 document"), (12_000, "12,000 documents")]
)
def test_a_number_and_its_noun_agree(number: int, said: str) -> None:
    assert counted(number, "document") == said


def test_no_sentence_counts_without_the_helper() -> None:
    package = Path(ragchat.__file__).parent
    wrong = [
        f"{file.relative_to(package)}: {match.group()}"
        for file in package.rglob("*.py")
        for line in file.read_text().splitlines()
        if 'f"' in line and "Error(" not in line
        for match in _PLURAL.finditer(line)
        if not _NEVER_ONE.fullmatch(match["number"])
    ]
    assert wrong == []
