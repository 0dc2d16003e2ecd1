"""A passage stands alone: a table's columns, its own headings, what belongs together; and it says where it stands."""

from __future__ import annotations

import pytest

from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import query_terms
from ragchat.retrieval.highlight import matches
from ragchat.retrieval.tokenizer import joined, tokens
from ragchat.types import (
    ExtractedText,
    LeftOut,
    LeftOutKind,
    Part,
    Recognised,
    Section,
    Span,
)

NAMES = ["Article", "Colour", "Warehouse", "Supplier"]
ROWS = [[f"Valve-{n}", "red", f"A{n}", "Nordwerk"] for n in range(200)]


def piped(lead: str = "| ", between: str = " | ", end: str = " |") -> str:
    rule = lead + between.join("---" for _ in NAMES) + end
    return "\n".join(
        [lead + between.join(NAMES) + end, rule, *(lead + between.join(row) + end for row in ROWS)]
    )


def columns(rule: str) -> str:
    def line(cells: list[str]) -> str:
        return "  ".join(cell.ljust(12) for cell in cells)

    rules = "  ".join([rule * 12] * 4)
    body = [line(row) for row in ROWS]
    return "\n".join(
        [rules, line(NAMES), rules, *body, rules] if rule == "=" else [line(NAMES), rules, *body]
    )


def grid() -> str:
    rule = "+" + "+".join(["-" * 14] * 4) + "+"

    def line(cells: list[str]) -> str:
        return "|" + "|".join(f" {cell:12} " for cell in cells) + "|"

    return "\n".join([rule, line(NAMES), rule.replace("-", "="), *(f"{line(row)}\n{rule}" for row in ROWS)])


TABLES = {
    "Markdown": ("text/markdown", piped()),
    "Markdown without outer bars": ("text/markdown", piped("", " | ", "")),
    "org": ("text/org", piped().replace("--- | ---", "---+---")),
    "reStructuredText, simple": ("text/x-rst", columns("=")),
    "reStructuredText, grid": ("text/x-rst", grid()),
    "plain text": ("text/plain", columns("-")),
    "psql": ("text/plain", "\n".join([" | ".join(NAMES), "-+-".join(["-----"] * 4), *map(" | ".join, ROWS)])),
    "CSV": ("text/csv", "\n".join(map(",".join, [NAMES, *ROWS]))),
    "TSV": ("text/tab-separated-values", "\n".join(map("\t".join, [NAMES, *ROWS]))),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_chunk_of_a_table_says_its_columns_and_no_row_is_cut(name: str) -> None:
    media_type, table = TABLES[name]
    chunks = split(ExtractedText(f"{table}\n", media_type, source_lines=True))
    assert len(chunks) > 5
    for chunk in chunks:
        assert all(column in f"{chunk.heading}\n{chunk.text}" for column in NAMES), chunk.heading
    lines = [line for line in table.split("\n") if "Valve" in line]
    assert [line.strip() for chunk in chunks for line in chunk.text.split("\n") if "Valve" in line] == [
        line.strip() for line in lines
    ]


def test_the_columns_of_a_table_with_headings_come_behind_them() -> None:
    text = f"# Stock\n\nAll of it:\n\n{piped()}\n\nThat was all.\n"
    chunks = split(ExtractedText(text, "text/markdown"))
    assert {chunk.heading for chunk in chunks[1:]} == {"Stock > Article, Colour, Warehouse, Supplier"}
    assert chunks[0].heading == "Stock"  # it shows the first row


def test_a_cell_that_is_longer_than_a_chunk_is_cut() -> None:
    long = "word " * 900
    chunks = split(ExtractedText(f"| A | B |\n| --- | --- |\n| x | {long} |\n| y | z |\n", "text/markdown"))
    assert all(len(chunk.text) < 1500 for chunk in chunks)
    assert sum(chunk.text.count("word") for chunk in chunks) == 900


def test_a_short_section_keeps_its_own_heading_or_that_of_all_that_is_joined() -> None:
    rules = "# House rules\n\n## Quiet hours\n\nQuiet from 22:00.\n\n## Laundry\n\nKeys inside.\n\n## Parking\n\nGate 44.\n"
    assert [chunk.heading for chunk in split(ExtractedText(rules, "text/markdown"))] == ["House rules"]
    long = " ".join(f"Car number {n} stands here." for n in range(60))
    chunks = split(ExtractedText(f"# Rules\n\nBe kind to all.\n\n## Parking\n\n{long}\n", "text/markdown"))
    assert next(chunk.heading for chunk in chunks if "Be kind" in chunk.text) == "Rules"


def sentence_and(what: str) -> str:
    filler = " ".join(f"Sentence number {n} says nothing." for n in range(24))
    return f"{filler}\n\n{what}\n\n{filler}\n"


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ("Run this to begin:\n\n```\nmake all\nmake install\n```", ["Run this", "make install"]),
        ("The tools you need:\n\n- a hammer\n- a saw", ["tools you need", "a saw"]),
        ("Who keeps the key?\n\nMrs Olander on plot nine keeps it.", ["Who keeps", "Mrs Olander"]),
        ("1. Open the lid.\n\n2. Fill it.\n\n3. Close the lid.", ["1. Open", "3. Close"]),
        ("Prices are these:\n\n| A | B |\n| --- | --- |\n| x | 9 |", ["Prices are", "| x | 9 |"]),
    ],
)
def test_what_belongs_together_stays_together(text: str, together: list[str]) -> None:
    for size in range(60, 260, 20):
        chunks = split(
            ExtractedText(sentence_and(text), "text/markdown"), chunk_tokens=size, overlap_tokens=0
        )
        assert any(all(part in chunk.text for part in together) for chunk in chunks), size


def test_numbered_titles_of_plain_text_and_lists_that_are_none() -> None:
    memo = "A memo\n\n1. Aim\n\nThe aim is low.\n\n1.1 Scope\n\nAll of it.\n\n2. Rules\n\nBe nice to them.\n"
    found = split(ExtractedText(memo, "text/plain"), chunk_tokens=8, overlap_tokens=0)
    assert {"1. Aim", "1. Aim > 1.1 Scope", "2. Rules"} <= {chunk.heading for chunk in found}
    for text in (
        "Shopping\n\n1. Milk\n\n2. Bread\n\n3. Salt\n",
        "We met.\n\n3. Later\n\nNothing.\n\n9. Never\n\nNothing.\n",
        "1. This is a sentence.\n\nText.\n\n2. This is another one.\n\nText.\n",
        "1. Aim ........ 3\n\nText\n\n2. Scope ....... 4\n\nText\n",
    ):
        assert {chunk.heading for chunk in split(ExtractedText(text, "text/plain"), chunk_tokens=8)} == {""}


# --- where it stands ----------------------------------------------------------------------------------------


def test_known_sections_are_the_headings_and_marks_are_not() -> None:
    text = "# Kiln\n\nLoad it.\n# command\n\nFire it.\n\nCooling\n\nWait."
    sections = (Section(0, ("Kiln",)), Section(text.index("Cooling"), ("Kiln", "Cooling")))
    chunks = split(ExtractedText(text, "text/html", sections=sections), chunk_tokens=8, overlap_tokens=0)
    assert {chunk.heading for chunk in chunks} == {"Kiln", "Kiln > Cooling"}


def with_parts() -> ExtractedText:
    own = "Subject: Honey\n\nSee what is attached."
    table, pages = "Hive,Honey\nNorth,31\nSouth,12", "First page.\nSecond page."
    first = len(own) + 2
    text = f"{own}\n\n{table}\n\n{pages}"
    second = text.index(pages)
    return ExtractedText(
        text,
        "message/rfc822",
        sections=(Section(0, ("Honey",)),),
        file_lines=(4, 5, 6, 7, 1, 2, 3, 0, 0, 0),
        parts=(
            Part(first, "honey.csv", "text/csv"),
            Part(
                second,
                "rules.pdf",
                "application/pdf",
                (second, second + 12),
                ("i", "ii"),
            ),
        ),
        recognised=(Recognised(second + 12, len(text), 0.5),),
    )


def test_parts_are_cut_by_their_own_structure_and_named_in_heading_and_place() -> None:
    own, table, pages = split(with_parts())
    assert (own.heading, own.span.place) == ("Honey", "lines 4-6")
    assert (table.heading, table.span.place) == ("honey.csv > Hive, Honey", "honey.csv, lines 1-3")
    assert pages.heading == "rules.pdf"
    assert pages.span.place == "rules.pdf, p. 1-2, printed i, read by OCR (50% sure)"


def test_the_text_of_parts_is_whole() -> None:
    document = with_parts()
    text = "".join(chunk.text for chunk in split(document))
    assert "".join(text.split()) == "".join(document.text.split())


@pytest.mark.parametrize(
    ("span", "place"),
    [
        (Span(0, 9, 62, 67), "lines 62-67 of its text"),
        (Span(0, 9, 62, 67, file_line_first=91, file_line_last=91), "line 91"),
        (Span(0, 9, 1, 1, 18, 18, page_label="8"), "p. 18, printed 8"),
        (Span(0, 9, 1, 1, 8, 8, page_label="8"), "p. 8"),
        (Span(0, 9, 1, 1, 8, 9), "p. 8-9"),
        (Span(0, 9, 1, 1, 2, 2, confidence=0.934), "p. 2, read by OCR (93% sure)"),
    ],
)
def test_places(span: Span, place: str) -> None:
    assert span.place == place


def test_spans_are_joined_and_cut_with_their_lines() -> None:
    one = Span(0, 10, 1, 2, file_line_first=5, file_line_last=6)
    other = Span(11, 30, 3, 4, file_line_first=8, file_line_last=9)
    assert one.through(other) == Span(0, 30, 1, 4, file_line_first=5, file_line_last=9)
    assert one.cut("abcd\nefghi", 5, 8) == Span(5, 8, 2, 2, file_line_first=6, file_line_last=6)
    assert Span(0, 10, 1, 2).cut("abcd\nefghi", 5, 8) == Span(5, 8, 2, 2)
    assert Span(0, 10, 1, 2, file_line_first=5, file_line_last=9).cut("abcd\nefghi", 5, 8).file_line_last == 9


def test_what_was_left_out_is_said() -> None:
    said = {
        LeftOut(LeftOutKind.ATTACHMENT, 2, ("a.zip", "b.exe")): "2 attachments (a.zip, b.exe)",
        LeftOut(LeftOutKind.PAGE, 3, ("p. 3",)): "3 pages without text (p. 3)",
        LeftOut(LeftOutKind.PROPERTY, 2): "2 properties",
        LeftOut(LeftOutKind.PICTURE): "1 picture",
        LeftOut(LeftOutKind.HIDDEN_TEXT, 4): "hidden text",
    }
    assert {left: left.phrase for left in said} == said


# --- words that are written in pieces -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("the recon-\nstruction of it", "reconstruction"),
        ("> the trebu-\n> chet", "trebuchet"),
        ("Wurf\u00ad\nmaschinen", "Wurfmaschinen"),
        ("the **Auto**bahn", "Autobahn"),
        ("H<sub>2</sub>O", "H2O"),
        ("1,250,000 kr", "1250000"),
        ("48 500 people", "48500"),
        ("12'345 francs", "12345"),
        ("call 070-123 45 67", "0701234567"),
        ("DE89 3704 0044 0532 0130 00.", "DE89370400440532013000"),
        ("ISBN 978-3-16-148410-0", "9783161484100"),
    ],
)
def test_words_in_pieces_are_found_whole(text: str, word: str) -> None:
    assert word in tokens(text)
    assert matches(text, word) == [
        next((first, last) for first, last, found in joined(text) if found == word)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "North-\nSouth line",
        "a - \nb",
        "2*3*4",
        "0.5 0.7 1.2 3.4 5.6 7.8 9.1 2.3",
        "in 1990, 250 came",
        "<b>word</b>",
    ],
)
def test_what_is_not_one_word(text: str) -> None:
    assert joined(text) == []


def test_joining_is_linear() -> None:
    for text in (
        "1 " * 50_000,
        "-\n" * 50_000,
        "*a" * 50_000,
        "<b>a" * 30_000,
        "a-\n" * 50_000,
        "AB12 3456 " * 20_000,
    ):
        joined(text)


def test_a_dot_makes_a_name() -> None:
    assert ".NET" in tokens("It needs .NET 8.")
    assert ".bashrc" in tokens("(.bashrc)")
    assert tokens("the end. Next") == ["the", "end", "Next"]
    assert ".Next" not in tokens("the end.Next ...Next")
    assert set(query_terms(".NET")) == {"net", ".net"}
