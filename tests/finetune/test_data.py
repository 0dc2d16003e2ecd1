"""Training data: files in every format, the person's own chats, and how they are parted."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.errors import NotFoundError, UsageError
from ragchat.evaluation.leakage import near_duplicates
from ragchat.finetune import formats, from_chats
from ragchat.finetune.examples import Example
from ragchat.finetune.split import split
from ragchat.store.chats import ChatStore
from ragchat.types import Message, PortableChat, PortableMessage

ROWS = {
    "OpenAI messages": {
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "So."},
            {"role": "user", "content": "And then?"},
            {"role": "assistant", "content": [{"type": "text", "text": "Nothing."}]},
        ]
    },
    "ShareGPT": {
        "conversations": [{"from": "human", "value": "And then?"}, {"from": "gpt", "value": "Nothing."}]
    },
    "Alpaca": {"instruction": "And then?", "input": "", "output": "Nothing."},
    "prompt and completion": {"prompt": "And then?", "completion": "Nothing."},
    "question and answer": {"question": "And then?", "answer": "Nothing."},
}


@pytest.mark.parametrize("name", ROWS)
def test_each_format_is_recognised(tmp_path: Path, name: str) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps(ROWS[name]) + "\n")
    data = formats.read(file)
    assert data.formats == {name: 1}
    [example] = data.examples
    assert (example.question, example.answer) == ("And then?", "Nothing.")
    assert example.source == "file:data.jsonl"
    assert [m.role for m in example.messages][-2:] == ["user", "assistant"]


def test_a_list_and_tables(tmp_path: Path) -> None:
    rows = [ROWS["Alpaca"], ROWS["ShareGPT"]]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    assert len(formats.read(tmp_path / "a.json").examples) == 2
    (tmp_path / "b.csv").write_bytes("Question;Answer\nWie heißt es?;„Grün“\n".encode("cp1252", "replace"))
    [example] = formats.read(tmp_path / "b.csv").examples
    assert example.question == "Wie heißt es?"
    (tmp_path / "c.tsv").write_text('prompt\tcompletion\n"two\nlines"\tyes\n')
    assert formats.read(tmp_path / "c.tsv").examples[0].question == "two\nlines"


def test_each_rejected_row_has_its_line_and_reason(tmp_path: Path) -> None:
    good = json.dumps(ROWS["Alpaca"])
    bad = [
        "{broken",
        "[]",
        '{"text": "no pair"}',
        '{"prompt": "a", "completion": [3]}',
        '{"prompt": "a", "completion": "  "}',
        '{"messages": [{"role": "user", "content": "only asked"}]}',
        '{"messages": [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "y"}]}',
        '{"messages": [{"role": "assistant", "content": "unasked"}]}',
        '{"messages": ["x"]}',
        '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"},'
        ' {"role": "assistant", "content": "c"}]}',
        "\x00",
    ]
    file = tmp_path / "data.jsonl"
    file.write_text("\n".join([good, *bad, "", good]))
    data = formats.read(file)
    assert len(data.examples) == 2
    assert [row.line for row in data.rejected] == list(range(2, 2 + len(bad)))
    assert all(row.reason and row.source == "file:data.jsonl" for row in data.rejected)
    assert "fields: text" in data.rejected[2].reason


def test_answers_that_are_numbers_are_learned_from(tmp_path: Path) -> None:
    rows = [
        {"question": "How many?", "answer": 42},
        {"question": "True?", "answer": True},
        {"question": "How much?", "answer": 0.5, "expected": 0.5},
        {"question": "List?", "answer": ["a", "b"]},
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = formats.read(path)
    assert [example.messages[-1].content for example in data.examples] == ["42", "true", "0.5"]
    assert data.examples[2].expected == ("0.5",)
    assert [(row.line, row.reason) for row in data.rejected] == [(4, "answer is a list, not text")]


def test_files_that_hold_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        formats.read(tmp_path / "missing.jsonl")
    for content in (b"", b"\x00\xff\xfe", b"[1, 2", b"{}"):
        (tmp_path / "x.jsonl").write_bytes(content)
        with pytest.raises(UsageError, match="no training examples"):
            formats.read(tmp_path / "x.jsonl")


@given(st.recursive(st.none() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(
    st.sampled_from(["messages", "role", "content", "prompt", "completion", "conversations", "from", "value"]), v
), max_leaves=12))  # fmt: skip
def test_no_row_is_a_crash(value: object) -> None:
    with contextlib.suppress(formats._RowError):
        _, example = formats._example(value, "file:x", 1)
        assert example.answer.strip()


def test_escape_sequences_are_removed(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(json.dumps({"prompt": "a\x1b]52;c;eA==\x07b", "completion": "c\x1b[31md"}))
    [example] = formats.read(file).examples
    assert "\x1b" not in example.question + example.answer


def test_good_and_corrected_answers_of_chats(tmp_path: Path) -> None:
    said = (
        PortableMessage(1, 0, "user", "First?"),
        PortableMessage(2, 1, "assistant", "Good one.", rating=1),
        PortableMessage(3, 2, "user", "Second?"),
        PortableMessage(4, 3, "assistant", "Wrong.", rating=-1, correction="Right."),
        PortableMessage(5, 3, "assistant", "Nobody judged it."),
        PortableMessage(6, 3, "assistant", "Cut.", rating=1, finish_reason="length"),
        PortableMessage(7, 3, "assistant", "Bad.", rating=-1),
        PortableMessage(8, 3, "assistant", "Round.", rating=1, finish_reason="repeats"),
    )
    with contextlib.closing(ChatStore(tmp_path / "ragchat.db")) as chats:
        chats.add_portable(PortableChat("x", "", "", said, leaf_id=4))
        examples = from_chats.read(chats)
    assert {(e.question, e.answer) for e in examples} == {("First?", "Good one."), ("Second?", "Right.")}
    assert len({e.group for e in examples}) == 1
    second = next(e for e in examples if e.question == "Second?")
    assert [m.content for m in second.messages] == ["First?", "Good one.", "Second?", "Right."]


def example(question: str, group: str, answer: str = "Yes.") -> Example:
    return Example((Message("user", question), Message("assistant", answer)), "file:x", group, question)


def test_groups_are_not_parted() -> None:
    examples = [example(f"What is thing {n}?", f"g{n % 20}") for n in range(100)]
    parts = split(examples, seed=1)
    assert len(parts.training) + len(parts.held_out) == 100
    assert parts.held_out
    assert not {e.group for e in parts.training} & {e.group for e in parts.held_out}
    assert split(examples, seed=1) == parts
    assert split(examples, seed=2).held_out != parts.held_out


def test_what_is_said_twice_or_is_measured_with_is_not_learned() -> None:
    examples = [
        example("What is the access code of the north depot?", "a"),
        example("What is the access code of the north depot?", "a"),
        example("Which river flows through the old town of Marwick?", "b"),
        example("Who founded the Belfex society of letters?", "c"),
    ]
    parts = split(examples, evaluation_questions=["Which river flows through the old town of Marwick"])
    assert parts.repeated == 1
    assert [e.group for e in parts.left_out] == ["b"]
    assert {e.group for e in parts.training} == {"a", "c"}
    assert parts.held_out == (), "too few groups to hold any out"


def test_near_duplicates() -> None:
    asked = ["When was the Harrow bridge over the river Lenn opened for carts?"]
    assert near_duplicates(["When was the Harrow bridge over the river Lenn opened for carts"], asked) == [
        True
    ]
    assert near_duplicates(["Who built the Harrow bridge?", ""], asked) == [False, False]
