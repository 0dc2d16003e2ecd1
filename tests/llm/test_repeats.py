"""A model that repeats itself is noticed; what people and programs write is not taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ragchat
from ragchat.llm.client import InferenceClient
from ragchat.llm.inference.reasoning import KNOWN
from ragchat.llm.inference.repeats import Repeats
from ragchat.llm.inference.writer import Writer
from ragchat.llm.loading import loaded
from ragchat.types import CancelToken, GenerationFinished, Message, Sampling, TextDelta

HERE = Path(ragchat.__file__).parent
LOOPS: dict[str, tuple[str, str]] = {
    "a sentence": ("The cause is clear. ", "The battery of the pump is low. "),
    "two sentences": ("", "I am sorry, but I cannot help. Please ask again. "),
    "a list": ("These are the steps:\n", "- Check the pump and the valve.\n"),
    "no sentence ends": ("Well, ", "and so on and on and on, "),
    "a paragraph": (
        "Here is a summary.\n\n",
        "The pump moves water through the house. "
        + " ".join(f"part{chr(97 + n)}" for n in range(26))
        + ".\n\n",
    ),
    "no blanks": ("", "电池电量低请充电。"),
    "one letter": ("Aa", "a" * 24),
}


def repeating(text: str, size: int = 3) -> Repeats | None:
    """Feeds a text in pieces; None when nothing repeats, else what noticed it."""
    repeats = Repeats()
    return repeats if any(repeats.feed(text[at : at + size]) for at in range(0, len(text), size)) else None


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("size", [1, 4, 50])
def test_what_goes_round_is_noticed_soon_and_cut_to_once(loop: str, size: int) -> None:
    begin, again = LOOPS[loop]
    text = begin + again * 400
    found = repeating(text, size)
    assert found is not None
    read = len("".join(found._parts))
    assert read < len(begin) + max(4 * len(again), 2_200)
    kept = text[: read - len(found.tail())]
    assert kept.startswith((begin + again).rstrip(" ,\n"))
    assert len(kept) <= len(begin + again) + 24


def test_items_whose_number_alone_changes_are_the_same() -> None:
    text = "".join(f"{n}. The pump is broken and must be replaced.\n" for n in range(1, 80))
    found = repeating(text)
    assert found is not None
    assert text[: len("".join(found._parts)) - len(found.tail())] == (
        "1. The pump is broken and must be replaced."
    )


NUMBERED = {
    "items in one line": lambda n: f"{n}) check the pump and the valve, ",
    "steps": lambda n: f"Step {n}: open valve {n + 1} of the pump in room {3 * n}, then ",
    "years": lambda n: f"In {1900 + n} he moved to Rome with {n} sons. In {1950 + n} he moved to Paris. ",
    "items of several lines": lambda n: (
        f"{n}. Pump {n}\n   - the valve of pump {n} is open\n   - it is {n} years old\n"
    ),
    "markers": lambda n: f"The pump is red [{n}], and the valve is blue [{n + 1}], ",
}


@pytest.mark.parametrize("kind", NUMBERED)
def test_what_goes_round_with_other_numbers_is_noticed(kind: str) -> None:
    text = "".join(NUMBERED[kind](n) for n in range(1, 90))
    found = repeating(text)
    assert found is not None
    read = len("".join(found._parts))
    assert read < 1_800
    kept = text[: read - len(found.tail())]
    assert (
        NUMBERED[kind](1).rstrip(" ,\n").startswith(kept.rstrip(" ,\n"))
        or len(kept) <= len(NUMBERED[kind](1)) + 40
    )


@pytest.mark.parametrize("folder", ["manual", "session", "llm", "tui"])
def test_manuals_and_code_are_no_loops(folder: str) -> None:
    files = [*(HERE / folder).rglob("*.md"), *(HERE / folder).rglob("*.py")]
    assert files
    for file in files:
        text = file.read_text()
        assert repeating(text, 40) is None, file
        assert repeating(f"```python\n{text}\n```", 40) is None, file


CHORUS = "Row, row, row your boat, gently down the stream, merrily, merrily, merrily, merrily, life is but a dream.\n"
LISTING = "def area(width, height):\n    return width * height\n\n\nprint(area(3, 4))\n"
CARRIED = "five golden rings, four calling birds, three French hens, two turtle doves and a partridge in a pear tree"
HARMLESS = {
    "laughter": "ha " * 40 + "that was good. " + "Ha ha ha! " * 6,
    "counting": ", ".join(map(str, range(1, 800))),
    "a matrix": "\n".join(["[0, 0, 0, 0, 0, 0, 0, 0]"] * 12),
    "a ruler": "-" * 300 + "\n" + "=" * 300,
    "a table of ticks": "| part | a | b | c |\n|---|---|---|---|\n"
    + "".join(f"| part {name} | yes | yes | yes |\n" for name in "abcdefghijklmnopqrstuvwxyz"),
    "an empty table": "```html\n" + ("<tr>" + "<td></td>" * 6 + "</tr>\n") * 8 + "```",
    "a refrain": "".join(
        f"This is verse {n} of {'xyzuvw'[n]}, which is about another boat.\n{CHORUS}" for n in range(6)
    ),
    "a song that grows": "".join(f"On day {n} my true love gave to me {CARRIED}.\n" for n in range(4)),
    "a listing, corrected": "\nThis is wrong. Better:\n".join([f"```python\n{LISTING}```"] * 3),
    "a table of numbers": "| year | height | weight |\n|---|---|---|\n"
    + "".join(f"| {1900 + n} | {n} metres | {3 * n} kilos of sand |\n" for n in range(120)),
    "numbers in columns": "".join(f"{n} {n * n} {n**3} cm\n" for n in range(150)),
    "a list with numbers": "".join(
        f"{n}. {name} weighs {7 * n} kilos and is {n} years old.\n"
        for n, name in enumerate([f"Mr {letter}{other}t" for letter in "ABCDE" for other in "aeiou"], 1)
    ),
    "a table of seven": "".join(f"{n} times 7 is {7 * n}.\n" for n in range(1, 11)),
    "unrolled code": "```c\n"
    + "".join(f"sum_of_all += row[{n}].value * weight[{n}];\n" for n in range(60))
    + "```",
    "the same answer to other questions": "".join(
        f"**{q}?** The manual does not say anything about this.\n"
        for q in ("Weight", "Colour", "Price", "Noise") * 2
    ),
    "getters": "```java\n"
    + "".join(
        f"public String get{n}() {{\n    return this.{n};\n}}\n\n"
        f"public void set{n}(String value) {{\n    this.{n} = value;\n}}\n\n"
        for n in ("Name", "Street", "Town", "Country", "Phone", "Mail", "Fax", "Note", "Tag", "Kind")
    )
    + "```",
}


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_repeats_for_a_reason_is_left_alone(text: str) -> None:
    assert repeating(text) is None


@given(st.lists(st.text(max_size=12), max_size=40))
def test_any_text_can_be_fed_in_any_pieces(pieces: list[str]) -> None:
    repeats = Repeats()
    for piece in pieces:
        repeats.feed(piece)
    assert "".join(pieces).endswith(repeats.tail())


def test_the_writer_ends_an_answer_and_tells_thoughts_from_it() -> None:
    said: list[str] = []
    thought: list[str] = []
    writer = Writer(stop=(), on_text=said.append, on_reasoning=thought.append, markers=KNOWN[0])
    assert not writer.feed(b"<think>Hm, so the sum of both is ten. ")
    for _ in range(60):
        assert not writer.feed(b"Wait, let me think about it again. ")
    assert writer.thoughts_repeat
    assert writer.repeated == ""
    writer.feed(b"</think>")
    assert any(writer.feed(b"It is ten, as you can see here. ") for _ in range(60))
    kept = "".join(said).removesuffix(writer.repeated)
    assert kept == "It is ten, as you can see here."


@pytest.mark.real_model
def test_the_model_that_repeats_itself_is_stopped(real_model: InferenceClient) -> None:
    prompt = [Message("user", "Write a poem about rain.")]
    sampling = Sampling(temperature=0, max_tokens=400, repeat_penalty=1.0)
    said, last = "", None
    for event in loaded(real_model).generate(prompt, sampling, cancel=CancelToken()):
        said += event.text if isinstance(event, TextDelta) else ""
        last = event
    assert isinstance(last, GenerationFinished)
    assert last.finish_reason == "repeats"
    assert last.completion_tokens < 400
    assert last.repeated
    assert said.endswith(last.repeated)
