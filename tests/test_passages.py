"""A passage stands alone: a table's columns, its own headings, what belongs together; and it says where it stands."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from ragchat.ingest.blocks import first_heading
from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import query_terms
from ragchat.retrieval.highlight import matches
from ragchat.retrieval.tokenizer import joined, tokens
from ragchat.types import (
    ExtractedText,
    Hit,
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


def test_a_numbered_section_is_no_title_of_the_text() -> None:
    assert first_heading("A memo\n\n1. Aim\n\nLow.\n\n2. Rules\n\nBe nice.\n", "text/plain") == ""
    assert first_heading("Title\n=====\n\nText.\n", "text/plain") == "Title"


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
    own, table, pages, scan = split(with_parts())
    assert (own.heading, own.span.place) == ("Honey", "lines 4-6")
    assert (table.heading, table.span.place) == ("honey.csv > Hive, Honey", "honey.csv, lines 1-3")
    assert pages.heading == "rules.pdf"
    assert pages.span.place == "rules.pdf, p. 1, printed i"
    assert scan.span.place == "rules.pdf, p. 2, printed ii, read by OCR (50% sure)"


def test_the_text_of_parts_is_whole() -> None:
    document = with_parts()
    text = "".join(chunk.text for chunk in split(document))
    assert "".join(text.split()) == "".join(document.text.split())


@pytest.mark.parametrize(
    ("span", "place"),
    [
        (Span(0, 9, 62, 67), "lines 62-67 of the extracted text"),
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


def test_a_passage_over_several_pages_says_the_page_of_its_evidence() -> None:
    pages = [f"Fact {n} stands on this page." for n in range(1, 6)]
    text = "\n".join(pages)
    starts = tuple(text.index(page) for page in pages)
    document = ExtractedText(
        text, "application/pdf", page_starts=starts, page_labels=("", "", "i", "ii", "iii")
    )
    (chunk,) = split(document)
    assert chunk.span.place == "p. 1-5"
    hit = Hit(1, 1.0, "kb", 1, 1, "/d/a.pdf", "", "", chunk.span, chunk.text, "", evidence=pages[3])
    assert hit.place == "p. 4, printed ii"
    assert hit.narrowed.page_last == 4
    assert replace(hit, evidence="").place == "p. 1-5"
    assert replace(hit, evidence="\n".join(pages[2:4])).place == "p. 3-4, printed i-ii"


def test_pages_of_passages_that_are_joined_are_counted_once() -> None:
    one = Span(0, 20, 1, 2, 3, 4, page_label="i", page_breaks=((10, "ii"),))
    other = Span(15, 50, 2, 5, 4, 6, page_label="ii", page_breaks=((20, "iii"), (30, "iv")))
    whole = one.through(other)
    assert whole.page_breaks == ((10, "ii"), (35, "iii"), (45, "iv"))
    assert whole.place == "p. 3-6, printed i-iv"
    follows = Span(21, 30, 3, 3, 5, 5, page_label="iii")
    assert one.through(follows).page_breaks == ((10, "ii"), (21, "iii"))


def test_a_part_without_lines_of_its_own_is_named_alone() -> None:
    assert Span(0, 9, 17, 19, part="contract.docx").place == "contract.docx"


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


# --- tables of every notation ---------------------------------------------------------------------------------


def _grid() -> str:
    def row(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(12) for cell in cells) + " |"

    rule = "+" + "+".join(["-" * 14] * 4) + "+"
    body = [f"{row(cells)}\n{row(['', '', '', f'from {cells[0]}'])}\n{rule}" for cells in ROWS]
    return "\n".join([rule, row(NAMES), rule.replace("-", "="), *body])


def _asciidoc(*, by_line: bool) -> str:
    rows = ["\n".join(f"|{cell}" for cell in row) + "\n" for row in ROWS]
    body = rows if by_line else ["|" + " |".join(row) for row in ROWS]
    options = '[cols="1,1,1,1",options="header"]\n' if by_line else ""
    return "\n".join([f"{options}|===", "|" + " |".join(NAMES), "", *body, "|==="])


def _list_table() -> str:
    rows = [
        "\n".join(("   * - " if n == 0 else "     - ") + row[n] for n in range(4)) for row in [NAMES, *ROWS]
    ]
    return "\n".join([".. list-table:: Stock", "   :header-rows: 1", "", *rows])


def _simple_with_blank_lines() -> str:
    rule = "  ".join(["=" * 12] * 4)
    body = ["  ".join(cell.ljust(12) for cell in row) + ("\n" if n % 3 else "") for n, row in enumerate(ROWS)]
    return "\n".join([rule, "  ".join(name.ljust(12) for name in NAMES), rule, *body, rule])


NOTATIONS = {
    "quoted": ("text/markdown", "\n".join(f"> {line}" for line in piped().split("\n"))),
    "HTML in Markdown": (
        "text/markdown",
        "<table>\n"
        + "\n".join(
            "<tr>\n" + "\n".join(f"<td>{cell}</td>" for cell in row) + "\n</tr>" for row in [NAMES, *ROWS]
        )
        + "\n</table>",
    ),
    "grid with rows of two lines": ("text/x-rst", _grid()),
    "grid in Markdown": ("text/markdown", _grid()),
    "simple table in Markdown": ("text/markdown", columns("-")),
    "AsciiDoc, separated by commas": (
        "text/plain",
        "\n".join(["[%header,format=csv]", "|===", *map(",".join, [NAMES, *ROWS]), "|==="]),
    ),
    "TSV with commas": (
        "text/tab-separated-values",
        "\n".join(["\t".join(NAMES), *("\t".join([*row[:3], f"{row[3]}, a, b, c"]) for row in ROWS)]),
    ),
    "AsciiDoc, cells on lines": ("text/plain", _asciidoc(by_line=True)),
    "AsciiDoc, rows on lines": ("text/plain", _asciidoc(by_line=False)),
    "list-table": ("text/x-rst", _list_table()),
    "csv-table": (
        "text/x-rst",
        ".. csv-table:: Stock\n   :header: " + ", ".join(f'"{name}"' for name in NAMES) + "\n\n"
        + "\n".join("   " + ", ".join(row) for row in ROWS),
    ),
    "simple with blank lines": ("text/x-rst", _simple_with_blank_lines()),
    "spaces alone": (
        "text/plain",
        "\n".join("  ".join(cell.ljust(12) for cell in row).rstrip() for row in [NAMES, *ROWS]),
    ),
    "CSV with a title": ("text/csv", "\n".join(["Stock of May,,,", *map(",".join, [NAMES, *ROWS])])),
    "CSV with a separator": ("text/csv", "\n".join(["sep=;", *map(";".join, [NAMES, *ROWS])])),
    "CSV with commas in numbers": (
        "text/csv",
        "\n".join([";".join(NAMES), *(";".join([*row[:3], f"{row[3]} 1,5"]) for row in ROWS)]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTATIONS)
def test_tables_of_every_notation_say_their_columns_and_keep_their_rows(name: str) -> None:
    media_type, table = NOTATIONS[name]
    chunks = split(ExtractedText(f"{table}\n", media_type), chunk_tokens=90)
    assert len(chunks) > 5
    for chunk in chunks:
        assert all(column in f"{chunk.heading}\n{chunk.text}" for column in NAMES), chunk.text
    for n, row in enumerate(ROWS):
        whole = [chunk.text for chunk in chunks if row[0] in re.split(r"[\s<>,;|]+", chunk.text)]
        assert any("Nordwerk" in text[text.index(row[0]) :] for text in whole), n
    if name.startswith("grid"):
        assert all(
            f"from Valve-{n} " in next(c.text for c in chunks if f"| Valve-{n} " in c.text)
            for n in range(200)
        )


def test_a_table_of_latex_says_its_columns() -> None:
    from ragchat.ingest.reading.dispatch import read

    rows = "".join(f"{' & '.join(row)} \\\\\n" for row in ROWS)
    names = " & ".join(NAMES)
    for rule in ("\\\\\n\\midrule\n", "\\\\ \\hline\n"):
        source = f"\\section{{Stock}}\n\\begin{{tabular}}{{llll}}\n\\toprule\n{names} {rule}{rows}\\end{{tabular}}\n"
        chunks = split(read("stock.tex", source.encode()), chunk_tokens=90)
        assert {chunk.heading for chunk in chunks[1:]} == {"Stock > Article, Colour, Warehouse, Supplier"}


def test_years_may_name_columns_and_figures_may_not() -> None:
    for first, heading in (("Land,2019,2020,2021", "Land, 2019, 2020, 2021"), ("Land,17,3.5,2", "")):
        rows = "\n".join(f"L{n},{n},{n + 1},{n + 2}" for n in range(30))
        assert split(ExtractedText(f"{first}\n{rows}\n", "text/csv"))[0].heading == heading


@pytest.mark.parametrize(
    ("text", "together"),
    [
        ("Crane\n:   Lifts loads.\n\n    It stands at the quay.", ["Crane", "at the quay"]),
        ("1. Open the box.\n\n   It is the red one.\n\n2. Close it.", ["1. Open", "the red one"]),
        ("**May I move it**\n\nYes, at night.", ["May I", "at night"]),
        ("Q: Where is the key\n\nA: Under the mat.", ["Where is", "the mat"]),
        ("Then run this command\n\n```\nmake all\n```", ["Then run", "make all"]),
        ("``--force``\n\n    It asks nobody.", ["--force", "asks nobody"]),
    ],
)
def test_terms_steps_and_questions_stay_with_what_they_lead_to(text: str, together: list[str]) -> None:
    for size in range(60, 260, 20):
        chunks = split(
            ExtractedText(sentence_and(text), "text/markdown"), chunk_tokens=size, overlap_tokens=0
        )
        assert any(all(part in chunk.text for part in together) for chunk in chunks), size


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("1. AIM\nIt is low.\n\n2. RULES\nBe nice.\n\n2.1 Others\nNone.\n", ["1. AIM", "2. RULES > 2.1 Others"]),
        ("§ 1 Name\n\n(1) The club has one.\n\n§ 2 Seat\n\nIt sits here.\n", ["§ 1 Name", "§ 2 Seat"]),
        ("I. Name\n\nThe club has one.\n\nII. Seat\n\nIt sits here.\n", ["I. Name", "II. Seat"]),
        ("Article 1\n\nThe club has one.\n\nArticle 2\n\nIt sits here.\n", ["Article 1", "Article 2"]),
        ("I. Name\n\nThe club has one.\n\nV. Seat\n\nIt sits here.\n", [""]),
        ("§ 1 of the law says so.\n\nText.\n\n§ 2 of the law does not.\n\nText.\n", [""]),
        ("1. Milk\nfrom the farm\n\n2. Bread\nfrom the mill\n", [""]),
    ],
)  # fmt: skip
def test_sections_of_plain_texts(text: str, headings: list[str]) -> None:
    found = [
        chunk.heading for chunk in split(ExtractedText(text, "text/plain"), chunk_tokens=8, overlap_tokens=0)
    ]
    assert set(headings) <= set(found)
    if headings == [""]:
        assert set(found) == {""}
