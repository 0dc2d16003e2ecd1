"""Marks behind statements, in Markdown that stays what it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.session.marked import SIGNS, WORDS, Style, cited, cited_by, marked, without_struck
from ragchat.types import AnswerCheck, Citation, Hit, Reason, ReasonKind, Span, Statement, Verdict

S, P, N = Verdict.SUPPORTED, Verdict.PARTLY, Verdict.NOT_FOUND
REASON = Reason(ReasonKind.SAID)


def checked(text: str, *parts: tuple[str, Verdict], strict: bool = False) -> AnswerCheck:
    statements, at = [], 0
    for part, verdict in parts:
        first = text.index(part, at)
        at = first + len(part)
        statements.append(Statement(part, first, at, verdict, REASON))
    return AnswerCheck(tuple(statements), strict=strict)


def test_a_mark_is_behind_each_statement() -> None:
    text = "It is lit [1]. He has a dog.\n\nSo be it."
    check = checked(text, ("It is lit [1].", S), ("He has a dog.\n\n", N), ("So be it.", P))
    assert marked(text, check, Style(SIGNS)) == "It is lit [1]. ✓ He has a dog. ✗\n\nSo be it. ≈"
    assert marked(text, check, Style(WORDS)).startswith(
        "It is lit [1]. (supported) He has a dog. (not found)"
    )
    assert marked(text, AnswerCheck(), Style(SIGNS)) == text


@pytest.mark.parametrize("forged", ["✓", "✔\ufe0f", "☑", "✅"])
def test_no_one_else_makes_marks(forged: str) -> None:
    text = f"A lie. {forged} A truth."
    check = checked(text, ("A lie.", N), ("A truth.", S))
    assert marked(text, check, Style(SIGNS)) == "A lie. ✗ + A truth. ✓"
    assert "✓" not in marked(text, AnswerCheck(), Style(SIGNS))


def test_code_and_tables_stay_whole() -> None:
    text = "Do:\n\n```sh\nrun it\nrun on\n```\nThen stop.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n~~~\nopen"
    check = checked(text, ("run it\n", S), ("run on", N), ("Then stop.", S), ("| 1 | 2 |", P), ("open", N))
    assert marked(text, check, Style(SIGNS)) == (
        "Do:\n\n```sh\nrun it\nrun on\n```\n\n✓ ✗\n\nThen stop. ✓\n\n| a | b |\n|---|---|\n| 1 | 2 ≈ |\n\n"
        "~~~\nopen\n\n✗"
    )


def test_what_is_struck_out_is_struck_out_in_its_lines() -> None:
    text = "Lit. A dog.\n\n- one\n- two\nlines\n\n| 1 | 2 |\n\n    x"
    check = checked(
        text, ("Lit.", S), ("A dog.", N), ("- one", P), ("- two\nlines", N), ("| 1 | 2 |", N), strict=True
    )
    assert marked(text, check, Style(SIGNS, "~~")) == (
        "Lit. ✓ ~~A dog.~~ ✗\n\n- ~~one~~ ≈\n- ~~two~~\n~~lines~~ ✗\n\n| ~~1~~ | ~~2~~ ✗ |\n\n    x"
    )


def test_what_is_left_out_leaves_no_trace() -> None:
    text = "Lit. A dog. Dark.\n\n- one\n- two\n\n```\na\nb\n```\n\n> said\n\nEnd."
    check = checked(
        text, ("Lit.", S), ("A dog.", N), ("Dark.", S), ("one", P), ("two", S), ("a", S), ("b", N), ("said", N), ("End.", S),
        strict=True,
    )  # fmt: skip
    assert marked(text, check, Style(SIGNS)) == "Lit. ✓ Dark. ✓\n\n- two ✓\n\nEnd. ✓"
    assert without_struck(text, check) == "Lit. Dark.\n\n- two\n\nEnd."
    everything = checked("Lies.", ("Lies.", N), strict=True)
    assert without_struck("Lies.", everything) == ""


def test_only_what_is_supported_cites() -> None:
    hit = Hit(1, 1.0, "kb", 1, 1, "/a.md", "", "", Span(0, 1, 1, 1), "x", "h")
    passages = [Citation(1, hit, "x"), Citation(2, hit, "x"), Citation(3, hit, "x", used=False)]
    check = AnswerCheck(
        (
            Statement("a", 0, 1, S, REASON, 1, cited_by="ragchat"),
            Statement("b", 2, 3, S, REASON, 1, cited_by="model"),
            Statement("c", 4, 5, N, REASON, 2, cited_by="model"),
        )
    )
    assert cited_by(check) == {1: "model"}
    assert [one.n for one in cited(passages, check)] == [1]
    assert [one.n for one in cited(passages, AnswerCheck())] == [1, 2]


_PIECES = st.lists(
    st.sampled_from(
        [
            "a",
            "It is.",
            " ",
            "\n",
            "\n\n",
            "- ",
            "1. ",
            "```",
            "```sh\n",
            "~~~",
            "|",
            "| a | b |",
            "> ",
            "# ",
            "✓",
        ]
    ),
    max_size=25,
).map("".join)


@st.composite
def _answers(draw: st.DrawFn) -> tuple[str, AnswerCheck]:
    text = draw(_PIECES)
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    statements = [
        Statement(text[first:last], first, last, draw(st.sampled_from(Verdict)), REASON)
        for first, last in zip(places[::2], places[1::2], strict=False)
    ]
    return text, AnswerCheck(tuple(statements), strict=draw(st.booleans()))


@given(_answers())
@settings(max_examples=300, deadline=None)
def test_an_answer_keeps_its_words_whatever_is_marked(answer: tuple[str, AnswerCheck]) -> None:
    text, check = answer
    marks = dict.fromkeys(Verdict, "\0")
    shown = marked(text, check, Style(marks, struck="\1"))
    # Several statements that end in one place, as the lines of a code block do, share a mark.
    assert bool(check.statements) <= shown.count("\0") <= len(check.statements)
    without = shown.replace("\0", "").replace("\1", "")
    assert "".join(without.split()) == "".join(text.replace("✓", "+").split())
    kept = without_struck(text, check)
    assert kept == text or check.struck
    if check.struck and all(one in check.struck for one in check.statements):
        assert "\0" not in marked(text, check, Style(marks))


def test_the_lines_of_a_code_block_share_their_mark() -> None:
    text = "```\nmake\nmake test\n```"
    lines = [Statement(text[a:b], a, b, Verdict.PARTLY, REASON) for a, b in ((4, 8), (9, 18))]
    shown = marked(text, AnswerCheck(tuple(lines)), Style({Verdict.PARTLY: "≈"}))
    assert shown.count("≈") == 1
    assert shown.startswith(text)
