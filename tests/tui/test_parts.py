"""Parts of the terminal interface that need no screen: wrapping, editors, the live answer, sentences."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from ragchat.app.events import progress_sentence
from ragchat.errors import NotFoundError, RagchatError
from ragchat.session.events import AnswerFinished, HitsFound, MessageStored, PromptReady, QueryUsed
from ragchat.tui.editor import choose_editor, editor_command, run_editor
from ragchat.tui.live import LiveAnswer, Request
from ragchat.tui.sentences import answer_footer
from ragchat.tui.state import JobState, UsageState
from ragchat.tui.widgets.chat_list import day_group
from ragchat.tui.wrapping import TAB, wrap_rows
from ragchat.types import ChatOptions, LoadProgress, Omission, OmissionKind, PrefillProgress, Timings
from tests.helpers.tui_fakes import make_citation

# --- wrapping -------------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(alphabet="ab c\n\t漢é👩", max_size=120), st.integers(2, 30))
def test_rows_hold_the_whole_text_and_fit(text: str, width: int) -> None:
    rows = wrap_rows(text, width)
    starts = [*rows.starts, len(text)]
    assert starts == sorted(starts)
    assert len(rows.lines) == len(rows.starts) >= 1
    pieces = [text[a:b] for a, b in pairwise(starts)]
    assert "".join(pieces) == text
    for piece, number in zip(pieces, rows.lines, strict=True):
        line = piece.rstrip("\n")
        assert "\n" not in line
        shown = line.rstrip().replace("\t", " " * TAB)
        assert cell_len(shown.strip()) <= width or len(line.strip()) <= 1
        assert text[: starts[rows.row_at(text.find(piece))]].count("\n") <= number
    assert rows.lines[-1] == text.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("one two three", 7, ["one two ", "three"]),
        ("one two three", 8, ["one two ", "three"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("", 10, [""]),
        ("a\n\nb", 10, ["a\n", "\n", "b"]),
        ("漢字漢字", 4, ["漢字", "漢字"]),
    ],
)
def test_where_rows_break(text: str, width: int, expected: list[str]) -> None:
    starts = [*wrap_rows(text, width).starts, len(text)]
    assert [text[a:b] for a, b in pairwise(starts)] == expected


def test_the_row_of_a_character() -> None:
    rows = wrap_rows("ab cd\nef", 2)
    assert [rows.row_at(offset) for offset in (0, 3, 6, 7)] == [0, 1, 2, 2]


# --- editors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("editor", "expected"),
    [
        (["vim"], ["vim", "+7", "/x/a b.md"]),
        (["/usr/bin/nvim", "-u", "NONE"], ["/usr/bin/nvim", "-u", "NONE", "+7", "/x/a b.md"]),
        (["nano"], ["nano", "+7", "/x/a b.md"]),
        (["emacs", "-nw"], ["emacs", "-nw", "+7", "/x/a b.md"]),
        (["micro"], ["micro", "+7", "/x/a b.md"]),
        (["hx"], ["hx", "/x/a b.md:7"]),
        (["kak"], ["kak", "+7", "/x/a b.md"]),
        (["code", "--wait"], ["code", "--wait", "--goto", "/x/a b.md:7"]),
        (["code"], ["code", "--wait", "--goto", "/x/a b.md:7"]),
        (["unheard-of"], ["unheard-of", "/x/a b.md"]),
    ],
)
def test_editors_are_told_the_line(editor: list[str], expected: list[str]) -> None:
    assert editor_command(editor, Path("/x/a b.md"), 7) == expected


def test_which_editor_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("mine", "visual", "plain", "vi"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    environment = {"VISUAL": "visual -w 'a b'", "EDITOR": "plain"}
    assert choose_editor("mine", environment) == ["mine"]
    assert choose_editor("", environment) == ["visual", "-w", "a b"]
    assert choose_editor("", {"EDITOR": "plain"}) == ["plain"]
    assert choose_editor("", {}) == ["vi"]
    with pytest.raises(NotFoundError, match="not installed"):
        choose_editor("absent", environment)
    with pytest.raises(RagchatError, match="cannot be understood"):
        choose_editor("vim 'open", environment)


def test_an_editor_that_fails_is_said(tmp_path: Path) -> None:
    with pytest.raises(RagchatError, match="ended with code 3"):
        run_editor(f"{sys.executable} -c 'raise SystemExit(3)'", {}, tmp_path / "x", line=1)


# --- the live answer ------------------------------------------------------------------------------------


def test_one_announcement_stands_for_many_pieces() -> None:
    live = LiveAnswer(0, Request("ask", "q"), options=ChatOptions(), visit=1)
    assert [live.append("a"), live.append("b"), live.append("c")] == [True, False, False]
    assert live.take() == "abc"
    assert live.append("d")
    assert (live.take(), live.take(), live.text) == ("d", "", "abcd")


def test_an_escape_over_two_pieces_is_caught() -> None:
    live = LiveAnswer(0, Request("ask", "q"), options=ChatOptions(), visit=1)
    for piece in ("a\x1b", "]52;c;", "aGk=\x07", "b"):
        live.append(piece)
    assert live.take() == "ab"


# --- sentences ------------------------------------------------------------------------------------------


def test_what_the_session_does_is_said() -> None:
    hits = (make_citation(1).hit,)
    assert (
        progress_sentence(PrefillProgress(512, 1490, 2.0)) == "Reading the prompt 512/1490 tokens, 2.0 s left"
    )
    assert progress_sentence(PrefillProgress(0, 10, None)) == "Reading the prompt 0/10 tokens"
    assert progress_sentence(LoadProgress(0.43)) == "Loading the model 43%"
    assert progress_sentence(LoadProgress(0.5, "measure")) == "Measuring this machine 50%"
    assert progress_sentence(QueryUsed("q", (), ("kb",))) == "Searching your documents"
    assert progress_sentence(HitsFound(hits, True, 0.1)) == "1 passage found"
    assert progress_sentence(PromptReady((), 12, 4096, (), ())) == "Reading the prompt, 12 tokens"
    assert progress_sentence(MessageStored(1, 2, 3)) == "Thinking"
    assert progress_sentence(AnswerFinished(1, 2, "", "stop", (), True, Timings(), 1)) == ""


def test_the_line_under_an_answer() -> None:
    timings = Timings(ttft_s=1.2, decode_tok_s=34.4)
    three = tuple(make_citation(n) for n in (1, 2, 3))
    assert answer_footer("complete", finish_reason="stop", timings=timings, citations=three).plain == (
        "1.2 s to first token · 34 tok/s · 3 sources"
    )
    assert "cut off" in answer_footer("complete", finish_reason="length").plain
    assert "interrupted" in answer_footer("interrupted").plain
    assert "You stopped" in answer_footer("cancelled", finish_reason="cancelled").plain
    assert (
        answer_footer("complete", asked_documents=True, from_documents=False).plain
        == "not from your documents"
    )
    assert answer_footer("error", error="Broken.", remedy="Mend it.").plain == "Broken.\nMend it."
    left_out = (Omission(OmissionKind.PINNED, 1, 3), Omission(OmissionKind.MESSAGES, 2, 6, 512))
    assert answer_footer("complete", left_out=left_out).plain == (
        "1 of 3 pinned passages did not fit.\nThe 2 oldest messages of this chat did not fit in the context of 512 tokens."
        " Press Alt+K to replace them with a summary."
    )


def test_days_are_grouped() -> None:
    now = datetime.now(UTC)
    today = date.today()
    assert day_group(now.isoformat(), today) == "Today"
    assert day_group((now - timedelta(days=1)).isoformat(), today) == "Yesterday"
    assert day_group("nonsense", today) == "Earlier"


def test_progress_of_jobs_and_usage_of_the_context() -> None:
    assert (
        JobState("pull", "m", "bytes", 1024, 2048, 512.0, 2.0).line
        == "1.0 KiB of 2.0 KiB · 512 B/s · 2.0 s left"
    )
    assert JobState("sync", "kb", "files", 3, 0).line == "3 files"
    assert JobState("sync", "kb", "files", 3, 12, doing="indexing").short == "indexing 25%"
    assert UsageState().facts == []
    assert UsageState(812, 4096, Timings(ttft_s=1.2, decode_tok_s=34.2)).facts == [
        "ctx 812/4096",
        "34 tok/s",
        "ttft 1.2 s",
    ]
