"""Chunks: structure and headings for each kind of document, the invariants on arbitrary text, and linear time."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.ingest.blocks import first_heading, plain_heading
from ragchat.ingest.chunk import estimate_tokens, split
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import ChunkDraft, ExtractedText

MEDIA_TYPES = [
    "text/markdown",
    "text/plain",
    "text/x-rst",
    "text/html",
    "application/pdf",
    "text/x-python",
    "text/x-c",
    "text/csv",
    "application/json",
]
SENTENCE = "The quick brown fox jumps over the lazy dog near the river bank. "


def chunks_of(text: str, media_type: str = "text/markdown", **options: int) -> list[ChunkDraft]:
    document = ExtractedText(text, media_type)
    chunks = split(document, **options)
    check(document, chunks, **options)
    return chunks


def check(
    document: ExtractedText, chunks: list[ChunkDraft], *, chunk_tokens: int = 220, overlap_tokens: int = 30
) -> None:
    """Every promise of `split` but the headings."""
    text = document.text
    covered = 0
    previous_first = -1
    for chunk in chunks:
        span = chunk.span
        assert chunk.text == text[span.char_first : span.char_last]
        assert chunk.text.strip()
        assert previous_first < span.char_first < span.char_last
        assert span.char_last > covered
        assert not text[covered : span.char_first].strip()
        assert span.line_first == text.count("\n", 0, span.char_first) + 1
        assert span.line_last == text.count("\n", 0, span.char_last) + 1
        assert estimate_tokens(chunk.text) <= 1.25 * max(8, chunk_tokens) + 1
        if span.char_first < covered:
            assert estimate_tokens(text[span.char_first : covered]) <= overlap_tokens + 1
        if document.page_starts:
            page_of = [
                sum(1 for start in document.page_starts if start <= at)
                for at in (span.char_first, span.char_last - 1)
            ]
            assert [span.page_first, span.page_last] == page_of
        else:
            assert span.page_first is span.page_last is None
        previous_first, covered = span.char_first, span.char_last
    assert not text[covered:].strip()


pieces = st.sampled_from(
    ["# A\n", "## B c\n", "T\n===\n", "```\n", "- x\n", "| a | b |\n", "\n\n", "\n", " ", "word ", "Sentence one. ",
     "def f():\n    pass\n", "class A:\n    def g(self): ...\n", '"', "a,b,c\n", "2.1 Title\n", "x" * 90, "字。", "é", "\t",
     "CHAPTER\nTWO\nName\n", "/* c */\n", "int main(void)\n{\n}\n", "---\n", "> q\n", SENTENCE * 3, "1. a\n", "\u2003"]
)  # fmt: skip


@given(
    st.lists(pieces, max_size=60).map("".join) | st.text(max_size=400),
    st.sampled_from(MEDIA_TYPES),
    st.integers(10, 120),
    st.integers(0, 60),
)
@settings(max_examples=600, deadline=None)
def test_invariants(text: str, media_type: str, chunk_tokens: int, overlap_tokens: int) -> None:
    chunks_of(text, media_type, chunk_tokens=chunk_tokens, overlap_tokens=overlap_tokens)


@given(st.lists(st.lists(pieces, max_size=12).map("".join), min_size=1, max_size=8), st.integers(20, 80))
@settings(max_examples=200, deadline=None)
def test_pages(pages: list[str], chunk_tokens: int) -> None:
    starts = [sum(len(page) + 1 for page in pages[:number]) for number in range(len(pages))]
    document = ExtractedText("\n".join(pages), "application/pdf", page_starts=tuple(starts))
    check(document, split(document, chunk_tokens=chunk_tokens), chunk_tokens=chunk_tokens)


def test_markdown_headings() -> None:
    text = (
        "# Guide to `foo`\n\nIntro.\n\n"
        + "## [Install](x.md) it\n\n" + SENTENCE * 12
        + "\n\n```sh\n# no heading\n```\n\n### **Linux**\n\n" + SENTENCE * 12
        + "\n\nSet up\n------\n\n" + SENTENCE * 12
    )  # fmt: skip
    headings = [chunk.heading for chunk in chunks_of(text)]
    assert headings[0].startswith("Guide to foo")
    assert "Guide to foo > Install it > Linux" in headings
    assert "Guide to foo > Set up" in headings
    assert not any("no heading" in heading for heading in headings)


def test_small_sections_join_under_their_parent() -> None:
    text = (
        "# A\n\n"
        + "".join(f"## S{number}\n\n{SENTENCE * 2}\n\n" for number in range(4))
        + "# B\n\n"
        + SENTENCE * 10
    )
    chunks = chunks_of(text)
    assert [chunk.heading for chunk in chunks] == ["A", "B"]


def test_a_heading_stays_with_what_it_heads() -> None:
    text = "".join(f"# H{number}\n\n## Sub{number}\n\n{SENTENCE * 11}\n\n" for number in range(5))
    for number, chunk in enumerate(chunks_of(text)):
        assert chunk.text.startswith(f"# H{number}")
        assert chunk.heading == f"H{number} > Sub{number}"


def test_overlap_is_whole_sentences_within_a_section() -> None:
    numbered = " ".join(f"Sentence number {n} says something of use." for n in range(60))
    text = f"# One\n\n{numbered}\n\n# Two\n\n{numbered}"
    chunks = chunks_of(text)
    starts = {first for first, _ in sentence_spans(text)}
    overlaps = 0
    for before, after in pairwise(chunks):
        if after.span.char_first < before.span.char_last:
            overlaps += 1
            assert after.heading == before.heading
            assert after.span.char_first in starts
    assert overlaps >= 4
    assert chunks_of(text, overlap_tokens=0)[1].span.char_first >= chunks[0].span.char_last


def test_code_blocks_and_tables_stay_whole_where_they_fit() -> None:
    code = "```python\n" + "\n".join(f"x{number} = {number}\n" for number in range(30)) + "\n```"
    chunks = chunks_of(f"# A\n\n{SENTENCE * 8}\n\n{code}\n\n{SENTENCE * 8}")
    assert any(code in chunk.text for chunk in chunks)


def test_rst_and_plain_headings() -> None:
    text = f"=====\nTitle\n=====\n\nA :mod:`json`\n-------------\n{SENTENCE * 9}\n\nDeeper\n~~~~~~\n{SENTENCE * 12}"
    headings = [chunk.heading for chunk in chunks_of(text, "text/x-rst")]
    assert headings[0] == "Title > A json"
    assert headings[-1] == "Title > A json > Deeper"
    text = f"git-add(1)\n==========\n\nNAME\n----\n{SENTENCE}\n\n== Next ==\n\n{SENTENCE * 14}"
    assert chunks_of(text, "text/plain")[-1].heading.endswith("Next")
    text = f"NAME\n       ls - list\n\nDESCRIPTION\n       {SENTENCE * 14}\n"
    assert chunks_of(text, "text/plain")[-1].heading == "DESCRIPTION"


def test_pages_carry_numbered_headings_and_page_numbers() -> None:
    pages = [
        "CHAPTER\nONE\nTHE BEGINNING\n1.1 First things\n" + SENTENCE * 9,
        SENTENCE * 9,
        "1.2 Other things\n" + SENTENCE * 9,
    ]
    starts = (0, len(pages[0]) + 1, len(pages[0]) + len(pages[1]) + 2)
    chunks = split(ExtractedText("\n".join(pages), "application/pdf", page_starts=starts))
    assert chunks[0].heading == "THE BEGINNING > 1.1 First things"
    assert (chunks[0].span.page_first, chunks[-1].span.page_first) == (1, 3)
    assert chunks[-1].heading == "THE BEGINNING > 1.2 Other things"


def test_python_functions() -> None:
    body = "\n".join(f"        value_{number} = compute(value, {number})" for number in range(25))
    text = (
        f"import os\n\nclass Foo(Base):\n    '''Doc.'''\n\n    # about bar\n    @cached\n    def bar(self):\n{body}\n\n"
        f"    def baz(self):\n{body}\n\ndef top():\n{body}\n"
    )
    chunks = chunks_of(text, "text/x-python")
    headings = [chunk.heading for chunk in chunks]
    assert "class Foo > def bar" in headings
    assert "class Foo > def baz" in headings
    assert "def top" in headings
    bar = next(chunk for chunk in chunks if chunk.heading.endswith("bar"))
    assert bar.text.lstrip().startswith("# about bar") or "class Foo" in bar.text


@pytest.mark.parametrize(
    "text",
    [
        "def broken(:\n  x",
        "(" * 3000,
        "-" * 100_000 + "1",
        "x" + "+x" * 50_000,
        "x = '\\d'\n",
        "a." * 20_000 + "b",
        "\\",
    ],
)
def test_python_that_does_not_parse(text: str) -> None:
    chunks_of(text, "text/x-python")


def test_other_languages() -> None:
    body = "".join(f"    call({number}, {number});\n" for number in range(40))
    go = f"package main\n\nfunc Alpha(x int) int {{\n{body}}}\n\ntype Beta struct {{\n{body}}}\n"
    assert {"func Alpha", "type Beta"} <= {chunk.heading for chunk in chunks_of(go, "text/x-go")}
    c = f"#include <a.h>\n\nstatic int\nhelper(int x)\n{{\n{body}}}\n\nvoid run(void)\n{{\n{body}}}\n"
    assert {"helper", "run"} <= {chunk.heading for chunk in chunks_of(c, "text/x-c")}


def test_rows_stay_whole_and_know_their_columns() -> None:
    rows = "".join(f'{number},"name {number}\nsecond line",{number * 7}\n' for number in range(200))
    chunks = chunks_of("id,name,score\n" + rows, "text/csv")
    assert all(chunk.heading == "id, name, score" for chunk in chunks)
    assert all(chunk.text.count('"') % 2 == 0 for chunk in chunks)


def test_estimate() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcdefgh") == 2
    assert estimate_tokens("abcde") == 2
    assert 80 <= estimate_tokens("字" * 100) <= 90
    assert 50 <= estimate_tokens("ж" * 100) <= 60


def test_plain_heading() -> None:
    assert plain_heading('The [`x`](y.md "z") **and** _more_ <a name="q"></a>¶') == "The x and more"
    assert plain_heading("snake_case_name and 2 * 3 * 4") == "snake_case_name and 2 * 3 * 4"
    assert first_heading("text\n\n# The *title*\n", "text/markdown") == "The title"
    assert first_heading("# comment", "text/x-python") == ""


def test_front_matter_is_no_heading() -> None:
    chunks = chunks_of("---\ntitle: x\n---\n\n# Real\n\nText.")
    assert first_heading("---\ntitle: x\n---\n\n# Real\n", "text/markdown") == "Real"
    assert "title: x" in chunks[0].text


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
@pytest.mark.parametrize(
    "unit",
    [
        SENTENCE,
        "x",
        "x y ",
        "\n",
        "# a\n",
        "字",
        "- a\n",
        "|a|\n",
        '"',
        "```\n",
        "a,b\n",
        "===\n",
        "def f(): pass\n",
    ],
)
def test_linear_time(media_type: str, unit: str) -> None:
    text = unit * (250_000 // len(unit))
    start = time.perf_counter()
    split(ExtractedText(text, media_type))
    assert time.perf_counter() - start < 5


def test_one_line_of_5_mb() -> None:
    text = SENTENCE.replace(".", "") * (5_000_000 // len(SENTENCE))
    start = time.perf_counter()
    assert len(split(ExtractedText(text, "application/json"))) > 5_000
    assert time.perf_counter() - start < 10


def test_own_sources() -> None:
    for path in Path(__file__).parents[2].glob("ragchat/**/*.py"):
        chunks_of(path.read_text("utf-8"), "text/x-python")
