"""`ragchat ask`: what the documents say, the marks of statements, strict answers; each run is a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ragchat.cli import ask_shown
from ragchat.cli.answer_text import answer_json, found_json, quotes_text, signs, statements_text, words
from ragchat.session.events import AnswerFinished, AnswerKind
from ragchat.session.marked import SIGNS, WORDS
from ragchat.types import (
    UNCHECKED,
    AnswerCheck,
    Citation,
    Hit,
    Quote,
    Reason,
    ReasonKind,
    Span,
    Statement,
    Timings,
    Verdict,
)
from tests.cli.test_cli import PUMP, SHAPE, UNKNOWN, Home, home, keys, notes, posix_only, wait_for

__all__ = ["home", "notes"]

NOWHERE = {"RAGCHAT_MODEL__NAME": "nowhere"}
SENTENCE = "The warranty of the Zephyr pump lasts seven years."


# --- documents alone ------------------------------------------------------------------------------------


def test_documents_answer_without_any_model(notes: Home) -> None:
    done = notes.run("ask", "--quote", PUMP, env=NOWHERE)
    assert done.returncode == 0, done.stderr
    first, *quoted = done.stdout.splitlines()
    assert first == "From your documents:"
    assert f"> {SENTENCE}" in quoted
    assert any("zephyr.md, line" in line and "· notes)" in line for line in quoted)
    assert "tokens/s" not in done.stderr
    with notes.chats() as chats:
        asked, answered = chats.messages(chats.conversations()[0].id)
    assert (asked.content, answered.content, answered.state) == (PUMP, "", "complete")
    assert any(SENTENCE in quote.text for quote in answered.quotes)


def test_quotes_for_scripts(notes: Home) -> None:
    done = notes.run("ask", "--quote", "--json", "--no-store", PUMP, env=NOWHERE)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert keys(answer) == SHAPE
    assert (answer["kind"], answer["documents_answer"], answer["model"]) == ("quoted", True, None)
    assert (answer["statements"], answer["nearest"], answer["tokens"]["prompt"]) == ([], [], 0)
    assert SENTENCE in answer["answer"]
    quote = answer["quotes"][0]
    assert SENTENCE in quote["text"]
    assert 0 < quote["chance"] <= 1
    assert quote["file"].endswith("zephyr.md")
    assert (quote["knowledge_base"], quote["place"][:4]) == ("notes", "line")
    first, last = quote["lines"]
    assert quote["text"] in "\n".join(Path(quote["file"]).read_text().splitlines()[first - 1 : last])


def test_nothing_found_is_declined_as_in_strict_chats(notes: Home) -> None:
    done = notes.run("ask", "--quote", UNKNOWN, env=NOWHERE)
    assert (done.returncode, done.stdout) == (3, "Nothing in your documents answers this.\n")
    assert "ask without --quote" in done.stderr
    done = notes.run("ask", "--quote", "--json", UNKNOWN, env=NOWHERE)
    answer = json.loads(done.stdout)
    assert done.returncode == 3
    assert (answer["kind"], answer["documents_answer"], answer["quotes"]) == ("declined", False, [])


def test_a_batch_of_quotes(notes: Home, tmp_path: Path) -> None:
    batch = tmp_path / "q.jsonl"
    batch.write_text("".join(json.dumps({"question": text}) + "\n" for text in (PUMP, UNKNOWN)))
    done = notes.run("ask", "--quote", "--batch", str(batch), env=NOWHERE)
    assert done.returncode == 0, done.stderr
    answered, declined = map(json.loads, done.stdout.splitlines())
    assert (answered["id"], answered["kind"], declined["id"], declined["kind"]) == (
        1,
        "quoted",
        2,
        "declined",
    )
    assert SENTENCE in answered["quotes"][0]["text"]


@pytest.mark.parametrize(
    "option",
    [
        ("--no-rag",),
        ("--dry-run",),
        ("--no-quotes",),
        ("--model", "x"),
        ("--adapter", "x"),
        ("--attach", __file__),
        ("-",),
    ],
)
def test_what_needs_a_model_is_refused(notes: Home, option: tuple[str, ...]) -> None:
    arguments = (PUMP, *option) if option == ("-",) else (*option, PUMP)
    done = notes.run("ask", "--quote", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be used together" in done.stderr


def test_without_documents_there_is_nothing_to_quote(home: Home) -> None:
    done = home.run("ask", "--quote", PUMP)
    assert done.returncode == 3
    assert "There are no documents to answer from." in done.stderr


def test_quoting_imports_no_model_and_reads_no_standard_input(notes: Home) -> None:
    """An open pipe that no one writes to would hold the answer up for seconds."""
    code = (
        "import sys\nfrom ragchat.cli import ragchat\n"
        f"ragchat.main(['ask', '--quote', '--no-store', {PUMP!r}], standalone_mode=False)\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('ragchat.llm', 'llama_cpp', 'sqlite_utils'))))"
    )
    read, write = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=notes.environment(),
            stdin=read,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(write)
        os.close(read)
    assert done.returncode == 0, done.stderr
    assert "Standard input" not in done.stderr
    assert set(done.stdout.splitlines()[-1].split()) <= {"ragchat.llm", "ragchat.llm.loading"}


# --- no model, or a broken one --------------------------------------------------------------------------


def test_without_a_model_file_the_documents_answer(notes: Home) -> None:
    done = notes.run("ask", PUMP, env=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert f"> {SENTENCE}" in done.stdout
    assert "No model has answered" in done.stderr
    assert "nowhere" in done.stderr
    answer = notes.run("ask", PUMP, "--json", "--no-store", env=NOWHERE)
    assert json.loads(answer.stdout)["kind"] == "quoted"


def test_a_model_that_was_asked_for_answers_or_nothing_does(notes: Home) -> None:
    done = notes.run("ask", PUMP, "--model", "nowhere")
    assert (done.returncode, done.stdout) == (4, "")


def test_the_documents_have_spoken_when_the_model_fails(notes: Home, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    done = notes.run("ask", PUMP, "--model", str(broken))
    assert done.returncode == 5
    assert f"> {SENTENCE}" in done.stdout


@posix_only
@pytest.mark.real_model
@pytest.mark.hazard
def test_the_documents_have_spoken_when_the_answer_is_stopped(notes: Home) -> None:
    process = notes.start("ask", PUMP, "--max-tokens", "900", "--temperature", "1.5")
    assert process.stdout
    seen = b""
    while SENTENCE.encode() not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert b"Traceback" not in err
    with notes.chats() as chats:
        answered = chats.messages(chats.conversations()[0].id)[-1]
    assert any(SENTENCE in quote.text for quote in answered.quotes)
    wait_for(lambda: process.poll() is not None)


@pytest.mark.real_model
def test_an_answer_in_a_pipe_has_quotes_and_marks(notes: Home) -> None:
    done = notes.run("ask", PUMP, "--max-tokens", "40", "--seed", "1")
    assert done.returncode == 0, done.stderr
    above, _, answer = done.stdout.partition("\n\n")
    assert above.startswith("From your documents:\n>")
    assert any(sign in answer for sign in SIGNS.values())
    assert "in your documents" in done.stderr or "supported" in done.stderr
    bare = notes.run("ask", PUMP, "--max-tokens", "40", "--seed", "1", "--no-quotes")
    assert bare.stdout == answer.lstrip("\n")
    value = notes.json("ask", PUMP, "--max-tokens", "40", "--seed", "1", "--json")
    assert value["statements"]
    assert {"text", "verdict", "citation", "reason", "cited_by", "compared"} <= set(value["statements"][0])


# --- how it is written ----------------------------------------------------------------------------------

HIT = Hit(1, 2.5, "docs", 3, 4, "/docs/lamp.md", "", "", Span(0, 42, 3, 4, file_line_first=3, file_line_last=4),
          "- lit at dusk\n- 215 steps\x1b[31m ✓ verified", "h")  # fmt: skip
TEXT = "It is lit [1]. It has ✓ wings."
CHECK = AnswerCheck(
    (
        Statement("It is lit [1].", 0, 14, Verdict.SUPPORTED, Reason(ReasonKind.SAID), 1, cited_by="ragchat"),
        Statement("It has ✓ wings.", 15, 30, Verdict.NOT_FOUND, Reason(ReasonKind.WORDS, ("wings",))),
    ),
    answered=0.123456,
)


def finished(
    text: str = TEXT, check: AnswerCheck = CHECK, kind: AnswerKind = AnswerKind.ANSWER
) -> AnswerFinished:
    return AnswerFinished(
        conversation_id=0,
        answer_id=0,
        text=text,
        finish_reason="stop",
        citations=(Citation(1, HIT, "lit at dusk"), Citation(2, HIT, "x")),
        from_documents=True,
        timings=Timings(),
        seed=0,
        kind=kind,
        quotes=(Quote(HIT, 0, 42, 0.5),),
        check=check,
    )


def test_no_words_of_others_look_like_marks() -> None:
    assert words(finished()) == "It is lit [1]. ✓ It has + wings. ✗"
    assert words(finished(check=UNCHECKED)) == "It is lit [1]. It has + wings."
    assert statements_text(CHECK) == "✓ It is lit [1].\n✗ It has + wings. – Not in the passage: “wings”."
    text = quotes_text(finished().quotes)
    assert text == (
        "From your documents:\n> - lit at dusk\n> - 215 steps ✓ verified\n  (/docs/lamp.md, lines 3-4 · docs)"
    )


def test_what_strict_strikes_out_is_in_json_alone() -> None:
    strict = finished(check=replace(CHECK, strict=True))
    assert words(strict) == "It is lit [1]. ✓"
    assert answer_json(strict) == "It is lit [1]."
    value = found_json(strict)
    assert [one["text"] for one in value["statements"]] == ["It is lit [1].", "It has ✓ wings."]
    assert (value["strict"], value["answered"], value["documents_answer"]) == (True, 0.1235, True)
    lie = Statement("It has wings.", 0, 13, Verdict.PARTLY, Reason(ReasonKind.SAID))
    lies = finished("It has wings.", AnswerCheck((lie,), strict=True))
    assert words(lies) == ""
    assert answer_json(lies) == HIT.text[:42]


def test_passages_that_do_not_say_it_have_neighbours_to_look_at() -> None:
    assert found_json(finished(check=AnswerCheck(says=False)))["documents_answer"] is False
    assert found_json(finished(kind=AnswerKind.UNMATCHED))["documents_answer"] is False


def test_terminals_without_signs_get_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        encoding = "cp1252"

    monkeypatch.setattr(sys, "stdout", Terminal())
    assert signs() == WORDS
    assert words(finished()) == "It is lit [1]. (supported) It has + wings. (not found)"


def test_a_terminal_sees_words_as_they_come_unless_they_must_wait() -> None:
    assert not ask_shown.Showing(words=True, holds=True).live
    assert not ask_shown.Showing(words=False).live
