"""Texts with structure of their own: notebooks, subtitles, Org, LaTeX, front matter."""

# ruff: noqa: E501 (tables of cases and small files)

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.reading.plain.front_matter import front_matter_title
from ragchat.ingest.wire import Reason
from ragchat.text import clean
from ragchat.types import ExtractedText, LeftOutKind


def read_text(name: str, text: str) -> ExtractedText:
    document = read(name, text.encode())
    assert document.text == clean(document.text)
    assert [section.first for section in document.sections] == sorted(
        {section.first for section in document.sections}
    )
    if document.source_lines:
        assert document.text.count("\n") == text.count("\n")
    return document


def path_of(document: ExtractedText, words: str) -> tuple[str, ...]:
    at = document.text.index(words)
    return [section.path for section in document.sections if section.first <= at][-1]


def line_of(document: ExtractedText, words: str) -> int:
    return document.file_lines[document.text[: document.text.index(words)].count("\n")]


# --- notebooks --------------------------------------------------------------------------------------------


def notebook(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"nbformat": 4, "metadata": metadata, "cells": list(cells)})


def code(*outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": ["run()"], "outputs": list(outputs)}


def test_notebook() -> None:
    prose = {
        "cell_type": "markdown",
        "source": "# Tides\nSome *words*.\n\nHigh water\n----------\nAt noon.\n\n```\n# no heading\n```\n",
    }
    document = read_text(
        "a.ipynb", notebook(prose, code(), language_info={"name": "julia"}, title="Of the sea")
    )
    assert document.title == "Of the sea"
    assert "Some *words*." in document.text
    assert path_of(document, "At noon.") == ("Tides", "High water")
    assert path_of(document, "# no heading") == ("Tides", "High water")
    assert "```julia\nrun()\n```" in document.text


def test_notebook_outputs() -> None:
    table = "<table><tr><th>gauge</th><th>m</th></tr><tr><td>Vik</td><td>1.83</td></tr></table>"
    document = read_text(
        "a.ipynb",
        notebook(
            code(
                {"output_type": "stream", "text": ["10%\r", "100%\n", "r2 = 0.9137\n"]},
                {"output_type": "execute_result", "data": {"text/html": table, "text/plain": "drawn table"}},
                {
                    "output_type": "display_data",
                    "data": {"image/png": "AAAA", "text/plain": "<Figure size 640x480 with 1 Axes>"},
                },
                {
                    "output_type": "display_data",
                    "data": {"text/markdown": "**bold** words", "text/plain": "x"},
                },
                {
                    "output_type": "execute_result",
                    "data": {"text/html": "<script>plot()</script>", "text/plain": "plain words"},
                },
                {"output_type": "display_data", "data": {"application/json": {"depth": 7}}},
                {"output_type": "display_data", "data": {"application/vnd.plotly.v1+json": {}}},
                {
                    "output_type": "error",
                    "ename": "KeyError",
                    "evalue": "'Vik'",
                    "traceback": ["\x1b[31mKeyError\x1b[0m frames"],
                },
            )
        ),
    )
    for words in (
        "100%\nr2 = 0.9137",
        "| Vik | 1.83 |",
        "**bold** words",
        "plain words",
        '"depth": 7',
        "KeyError: 'Vik'",
    ):
        assert words in document.text
    for words in ("Figure", "plot()", "drawn table", "frames", "\n10%"):
        assert words not in document.text
    assert [(left.kind, left.count) for left in document.left_out] == [
        (LeftOutKind.PICTURE, 1),
        (LeftOutKind.OUTPUT, 1),
    ]


def test_long_outputs_are_cut_and_said_to_be() -> None:
    document = read_text("a.ipynb", notebook(code({"output_type": "stream", "text": "x y z\n" * 10_000})))
    assert len(document.text) < 21_000
    assert document.left_out[0].kind == LeftOutKind.OUTPUT


def test_notebook_of_version_3() -> None:
    cells = [
        {"cell_type": "heading", "level": 2, "source": "Old times"},
        {
            "cell_type": "code",
            "language": "python",
            "input": ["1 + 1"],
            "outputs": [{"output_type": "pyout", "text": ["2 is it"]}],
        },
    ]
    document = read_text(
        "a.ipynb", json.dumps({"nbformat": 3, "metadata": {"name": "x"}, "worksheets": [{"cells": cells}]})
    )
    assert path_of(document, "1 + 1") == ("Old times",)
    assert "2 is it" in document.text


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cells": 5}', '{"cells": [5, null, {}]}x', "[" * 100_000, "no"]
)
def test_what_is_no_notebook(text: str) -> None:
    with pytest.raises(IngestError):
        read("a.ipynb", text.encode())


# --- subtitles --------------------------------------------------------------------------------------------

SRT = """1
00:00:01,000 --> 00:00:03,500
<i>The boat</i> leaves
at {\\an8}nine.

2
00:00:03,600 --> 00:00:05,000  X1:40 X2:600
SKIPPER: All aboard &amp; quick!

3
00:01:30,000 --> 00:01:32,000
1912
2

"""


def test_srt() -> None:
    document = read_text("a.srt", SRT)
    assert document.text == "The boat leaves at nine.\nSKIPPER: All aboard & quick!\n\n1912 2"
    assert [section.path for section in document.sections] == [("00:00:01",), ("00:01:30",)]
    assert [line_of(document, words) for words in ("The boat", "SKIPPER", "1912")] == [3, 8, 12]
    assert document.title == ""


def test_vtt() -> None:
    text = (
        "WEBVTT - Harbour talk\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE spoken in Vik\n\n1\n00:01.000 --> 00:02.000 align:start\n"
        "<v Ann>Good <c.x>morning</c></v>\n\n00:02.000 --> 00:04.000\n- Who?\n- Me.\n\nNOTE the end\n"
    )
    document = read_text("a.vtt", text)
    assert document.title == "Harbour talk"
    assert document.text == "NOTE spoken in Vik\n\nAnn: Good morning\n- Who?\n- Me.\nNOTE the end"
    assert path_of(document, "Ann") == ("00:00:01",)
    assert [left.kind for left in document.left_out] == [LeftOutKind.PROPERTY]


def test_captions_that_roll_are_said_once() -> None:
    cues = "".join(
        f"00:0{n}.000 --> 00:0{n + 1}.000\nline {n}\nline<00:00:0{n}.500><c> {n + 1}</c>\n\n"
        for n in range(6)
    )
    assert (
        read_text("a.vtt", f"WEBVTT\n\n{cues}").text.split()
        == " ".join(f"line {n}" for n in range(7)).split()
    )
    twice = "1\n00:00:01,000 --> 00:00:02,000\nNo.\n\n2\n00:00:02,000 --> 00:00:03,000\nNo.\n"
    assert read_text("a.srt", twice).text == "No.\nNo."


def test_subtitles_without_times() -> None:
    assert read_text("a.srt", "only words\n").text == "only words\n"


# --- Org --------------------------------------------------------------------------------------------------


def test_org() -> None:
    text = (
        "#+TITLE: Garden\n#+TODO: SEED(s) | GROWN\nintro\n* TODO [#A] Beds [1/2] :spring:\n:PROPERTIES:\n:ID: 7\n:END:\nfirst\n"
        "** SEED Kale [[https://x.test][the good]]\nrows\n*** COMMENT deep\n* Pond\nwater\n*bold* no headline\n"
    )
    document = read_text("a.org", text)
    assert document.title == "Garden"
    assert document.text == text
    assert path_of(document, "intro") == ()
    assert path_of(document, "first") == ("Beds",)
    assert path_of(document, "rows") == ("Beds", "Kale the good")
    assert path_of(document, "water") == path_of(document, "*bold*") == ("Pond",)
    assert document.text[document.sections[1].first :].startswith("* TODO [#A] Beds")


# --- LaTeX ------------------------------------------------------------------------------------------------

LATEX = r"""\documentclass[12pt]{article}
\title{The \emph{long} na\"{\i}ve way}
\begin{document}
% a secret
\section[short]{Stra\ss e und \"Ol}\label{sec:a}
Text 100\% \& more~here, ``quoted'' -- dash --- end. % trailing
{\bf bold} \textbf{b\emph{i}}\footnote{A note.} $a_1 \% b$ \verb|\x{}|
\subsection{Two
lines {nested}}
\item[Label] First
\begin{tabular}{l|c}
Name & Price \\ \hline
M\"uller & 5\,\euro{} \\[2pt]
\end{tabular}
\begin{verbatim}
\emph{raw} % kept
\end{verbatim}
\c{c}\v{s}\H{o} \o\ x \~n \'{e} \r{a} \textcolor{red}{tomato} \href{http://u}{link} \odd[o]{arg}{b} \includegraphics[width=1]{pic.png}
\begin{comment}
hidden
\end{comment}
\input{more.tex}
\end{document}
"""


def test_latex() -> None:
    document = read_text("a.tex", LATEX)
    lines = document.text.split("\n")
    assert document.title == "The long naïve way"
    assert lines[3] == ""
    assert lines[5].rstrip() == "Text 100% & more here, “quoted” – dash — end."
    assert lines[6] == r"bold bi [A note.] $a_1 \% b$ \x{}"
    assert lines[9] == "- Label First"
    assert lines[11].rstrip() == "Name | Price"
    assert lines[12].rstrip() == "Müller | 5 €"
    assert lines[15] == r"\emph{raw} % kept"
    assert lines[17].rstrip() == r"çšő ø x ñ é å tomato link \odd[o]{arg}{b}"
    assert lines[20].strip() == ""
    assert lines[21] == r"\input{more.tex}"
    assert path_of(document, "bold") == ("Straße und Öl",)
    assert path_of(document, "First") == ("Straße und Öl", "Two lines nested")
    assert {left.kind: left.count for left in document.left_out} == {
        LeftOutKind.COMMENT: 3,
        LeftOutKind.PICTURE: 1,
    }


def test_german_latex() -> None:
    text = '\\usepackage[ngerman]{babel}\n"Ubung "`Zitat"\' Mu"s\n\\begin{verbatim}\n"a\n\\end{verbatim}\n'
    lines = read_text("a.tex", text).text.split("\n")
    assert lines[1] == "Übung „Zitat“ Muß"
    assert lines[3] == '"a'
    assert read_text("a.tex", 'say "a word"\n').text == 'say "a word"\n'


# --- front matter -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("---\ntitle: Mead recipes\ntags: [a]\n---\n# Other\n", "Mead recipes"), ("---\nTitle: \"A \\u00e9 \\\"q\\\"\" # c\n---\n", 'A é "q"'),
        ("---\ntitle: 'It''s'\n...\n", "It's"), ('+++\ntitle = "Toml"\n+++\n', "Toml"), ('{\n "title": "Json"\n}\nText', "Json"),
        ("Title:  Multi\nAuthor: x\n\n# A", "Multi"), ("---\ntitle: >-\n  folded\n  title\nx: 1\n---\n", "folded title"), ("% Pandoc\n% me\n", "Pandoc"),
        ("---\nseo:\n  title: inner\ntitle: outer\n---\n", "outer"), ("---\ntitle: C# basics\n---\n", "C# basics"), ("---\ntitle: never closed\n", ""),
        ("---\ntitle:\n---\n", ""), ("# Title: no\n", ""), ("Note: words\n", ""), ("{" * 50_000, ""), ("", ""), ("---\ntitle: [a]\n---\n", ""),
    ],
)  # fmt: skip
def test_front_matter(text: str, title: str) -> None:
    assert front_matter_title(text) == title


def test_front_matter_names_the_document() -> None:
    text = "---\ntitle: Mead\n---\n# Heading\n"
    for name in ("a.md", "a.qmd", "a.Rmd", "a.mdx"):
        assert read_text(name, text).title == "Mead"
    assert read_text("a.txt", text).title != "Mead"
    assert read_text("a.md", "# Heading\n").title == "Heading"


# --- all of them ------------------------------------------------------------------------------------------

CANARIES: list[tuple[str, str, str, str | LeftOutKind]] = [
    ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\n%s\n", "cue", "found"), ("a.vtt", "WEBVTT\n\nNOTE %s\n\n00:01.000 --> 00:02.000\nx\n", "note", "found"),
    ("a.vtt", "WEBVTT\n\n%s\n00:01.000 --> 00:02.000\nx\n", "name of a cue", "found"), ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v %s>x\n", "speaker", "found"),
    ("a.vtt", "WEBVTT\nX: %s\n\n00:01.000 --> 00:02.000\nx\n", "head", LeftOutKind.PROPERTY),
    ("a.org", "* %s\n", "headline", "found"), ("a.org", "# %s\n", "comment", "found"), ("a.org", ":D:\n:x: %s\n:END:\n", "drawer", "found"),
    ("a.tex", "\\section{%s}\n", "heading", "found"), ("a.tex", "\\odd{%s}\n", "unknown command", "found"), ("a.tex", "$%s$\n", "formula", "found"),
    ("a.tex", "\\footnote{%s}\n", "footnote", "found"), ("a.tex", "\\caption{%s}\n", "caption", "found"), ("a.tex", "\\author{%s}\n", "author", "found"),
    ("a.tex", "\\begin{odd}[%s]x\\end{odd}\n", "environment", "found"), ("a.tex", "\\begin{lstlisting}\n%s\n\\end{lstlisting}\n", "listing", "found"),
    ("a.tex", "x %% %s\n", "comment", LeftOutKind.COMMENT), ("a.tex", "\\iffalse %s\\fi\n", "iffalse", LeftOutKind.COMMENT),
    ("a.tex", "\\includegraphics{%s}\n", "picture", LeftOutKind.PICTURE),
    ("a.ipynb", notebook({"cell_type": "markdown", "source": "%s"}), "prose", "found"), ("a.ipynb", notebook({"cell_type": "raw", "source": "%s"}), "raw", "found"),
    ("a.ipynb", notebook({"cell_type": "code", "source": "%s", "outputs": []}), "code", "found"),
    ("a.ipynb", notebook(code({"output_type": "stream", "text": "%s"})), "stream", "found"),
    ("a.ipynb", notebook(code({"output_type": "error", "ename": "E", "evalue": "%s"})), "error", "found"),
    ("a.ipynb", notebook(code({"output_type": "execute_result", "data": {"text/latex": "%s"}})), "latex", "found"),
    ("a.ipynb", notebook({"cell_type": "markdown", "source": "x", "attachments": {"%s": {}}}), "attachment", LeftOutKind.PICTURE),
    ("a.ipynb", notebook(code(), authors=[{"name": "%s"}]), "author", LeftOutKind.PROPERTY),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pattern", "place", "expected"), CANARIES, ids=[f"{one[0]} {one[2]}" for one in CANARIES]
)
def test_canaries(name: str, pattern: str, place: str, expected: str | LeftOutKind) -> None:
    document = read_text(name, pattern.replace("%s", "kanarivogel").replace("%%", "%"))
    if expected == "found":
        assert "kanarivogel" in document.text
    else:
        assert expected in [left.kind for left in document.left_out]


SAMPLES = [("a.srt", SRT), ("a.tex", LATEX), ("a.org", "#+TITLE: x\n* TODO A :t:\n** [[b][c]]\n"), ("a.md", '---\ntitle: "a"\n---\n'),
           ("a.ipynb", notebook({"cell_type": "markdown", "source": "# A\nb"}, code({"output_type": "stream", "text": ["c"]})))]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SAMPLES, ids=[name for name, _ in SAMPLES])
def test_mutations(name: str, text: str) -> None:
    rng = random.Random(6)
    data = text.encode()
    for _ in range(100):
        mutated = bytearray(data[: rng.randrange(1, len(data) + 1)])
        for _ in range(rng.randrange(4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        try:
            read(name, bytes(mutated))
        except IngestError as error:
            assert str(error) in set(Reason)  # noqa: PT017


HOSTILE = [
    ("a.srt", "1\n00:00:01,000 --> 00:00:03,000\n" * 100_000), ("a.srt", "00:00:01,000 --> 00:00:03,000\n" + "<" * 3_000_000),
    ("a.vtt", "00:00:01.000 --> 00:00:03.000\n" + "<v a" * 500_000), ("a.org", "*" * 2_000_000 + "\n" + "* a\n" * 100_000), ("a.org", "* [[" * 500_000),
    *(("a.tex", mark * 100_000) for mark in ("{", "\\", "$", "$x", "\\[", "\\begin{align}", "%\n", "\\section{", "\\footnote{", "\\label{\n", "\\verb|",
      "\\iffalse ", "\\item[", "\\odd[[", "`", "\\begin{tabular}[", "\\vspace{a}{b}", "\\title{", '"')),
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=[f"{name} {text[:12]!r}" for name, text in HOSTILE])
def test_hostile(name: str, text: str) -> None:
    read_text(name, text)


def test_latex_commands_of_the_author() -> None:
    document = read_text(
        "paper.tex",
        "\\newcommand{\\proj}{Project \\emph{Owl}}\n\\newcommand{\\kw}[1]{\\textbf{#1}}\n\\def\\nn{NN}\n"
        "We use \\proj{} for \\kw{nests}, \\nn\\ and \\proj.\n",
    )
    assert document.text.strip() == "We use Project Owl for nests, NN and Project Owl."
    for odd in (
        "\\newcommand{\\a}{\\a\\a}\n\\a",
        "\\newcommand{\\b}[1]{#1#1}\n\\b{x}",
        "\\newcommand{\\c}{open",
    ):
        assert "\\" in read_text("odd.tex", odd).text


def test_latex_keeps_words_apart_and_addresses_whole() -> None:
    document = read_text(
        "talk.tex",
        "\\title{Nests\\thanks{Paid by us}}\\subtitle{Of owls}\n\\begin{document}\n"
        "\\begin{frame}{Where}{In trees}\n\\item<2-> \\alert<3>{High} up \\pause\n\\note{Speak up}\\end{frame}\n"
        "See \\url{http://x.example/a%20b_c} and \\citep[p.~3]{owl}.\n\\opening{Dear Ann,}\n\\end{document}\nnot in it\n",
    )
    assert document.title == "Nests [Paid by us]"
    for words in (
        "] Of owls", "Where In trees", "- High up", "[Speak up]", "http://x.example/a%20b_c and [p. 3, owl].", "\nDear Ann,",
    ):  # fmt: skip
        assert words in document.text
    assert "not in it" not in document.text
    assert (LeftOutKind.COMMENT, 1) in [(left.kind, left.count) for left in document.left_out]
