"""RTF: what stands in every corner of a document is read, or reported as left out."""

from __future__ import annotations

import random
import struct
import time

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.reading.office.rtf import read_rtf
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

FONTS = (
    r"{\fonttbl{\f0\froman\fcharset0 Times;}{\f1\fnil\fcharset2 Symbol;}{\f2\fcharset204 Arial Cyr;}"
    r"{\f3\fcharset128 Mincho;}{\f4\fcharset238 Arial CE;}{\f5\fnil\fcharset2 Wingdings;}}"
)
STYLES = (
    r"{\stylesheet{\ql Normal;}{\s1\keepn\outlinelevel0\sbasedon0 heading 1;}{\s2\sbasedon0 heading 2;}"
    r"{\s3 Title;}{\s4\sbasedon2 My heading;}{\s5\outlinelevel1 Clause;}{\s6 toc 1;}{\*\cs10\additive Strong;}"
    r"{\s7{\*\soutlvl} \'dcberschrift 3;}}"
)
HEAD = r"{\rtf1\ansi\ansicpg1252\deff0" + FONTS + STYLES


def rtf(body: str, head: str = HEAD) -> bytes:
    return f"{head}\n{body}}}".encode("latin-1")


def text_of(body: str, head: str = HEAD) -> str:
    return read_rtf(rtf(body, head)).text


def left_out(document: ExtractedText) -> dict[LeftOutKind, tuple[str, ...]]:
    return {one.kind: one.names for one in document.left_out}


def reason_of(data: bytes) -> str:
    with pytest.raises(IngestError) as caught:
        read("x.rtf", data)
    return str(caught.value)


# --- characters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r"J\'e4ger\par", "Jäger"),
        (r"{\f2 \'cc\'e8\'f0}\par", "Мир"),
        (r"{\f4 \'b3\'f3d\'9f}\par", "łódź"),
        (r"{\f3 \'93\'fa\'96\'7b}\par", "日本"),
        (r"{\f3 \'83A\'83\\}\par", "アソ"),  # the second byte may be a letter or an escaped sign
        ("{\\f3 \\'93\r\n\\'fa}\\par", "日"),
        (r"\u8364?\par", "€"),
        (r"\u-4051?{\f1\u-3913?}\par", "−•"),
        (r"{\uc2 \u26085\'93\'fa\u26412\'96\'7b}x\par", "日本x"),
        (r"\u-10179?\u-8704?\par", "😀"),
        (r"\uc0\u233t\u233\par", "été"),
        (r"\u8211\endash x\par", "–x"),
        (r"AX\_90, soft\-hyphen, 10\~km\par", "AX-90, softhyphen, 10 km"),
        (r"a\emdash b\endash c\lquote d\rquote\ldblquote e\rdblquote\bullet\par", "a—b–c‘d’“e”•"),
        (r"one\tab two\line three\par", "one\ttwo\nthree"),
        (r"\{brace\} back\\slash\par", r"{brace} back\slash"),
        (r"{\f1 \'b7 a}\par", "• α"),
        (r"{\f5 \'fe}\par", "☑"),
        (r"bo{\b ld} and it{\i al}ic\par", "bold and italic"),
        ("line\r\nends mean nothing\\par", "lineends mean nothing"),
        (r"{\upr{plain}{\*\ud{uni\u233e}}}\par", "unié"),
        (r"\unknownword123 stays\par", "stays"),
        (r"x\par\page y\par", "x\n\ny"),
        ("caf\xe9\\par", "café"),
    ],
)  # fmt: skip
def test_characters(body: str, text: str) -> None:
    assert text_of(body) == text


def test_fonts_without_character_sets_have_that_of_the_document() -> None:
    head = r"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset0 Arial;}}"
    assert text_of(r"\f0 \'cc\'e8\'f0", head) == "Мир"
    assert text_of(r"\'cc\'e8\'f0", r"{\rtf1\ansi\ansicpg1251") == "Мир"
    told = r"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset204 Arial;}{\f1\fcharset0 Arial;}}"
    assert text_of(r"\'cc\'e8\'f0{\f1 caf\'e9}", told) == "Мирcafé"
    assert text_of(r"\'8e\par", r"{\rtf1\mac") == "é"


def test_bytes_in_utf_8_are_read_as_such() -> None:
    assert read_rtf(r"{\rtf1\ansi Grüße — čaj\par}".encode()).text == "Grüße — čaj"


def test_binary_data_is_passed_over() -> None:
    data = rb"{\rtf1 a{\pict\bin7 }}{{\\x}b \\bin3 kept\par}"
    document = read_rtf(data)
    assert document.text == r"ab \bin3 kept"
    assert left_out(document) == {LeftOutKind.PICTURE: ()}


# --- headings, lists, properties ----------------------------------------------------------------------------


def test_headings() -> None:
    body = (
        r"\pard\plain\s3 The Mill\par\pard\s1\outlinelevel0 Sluice\par\pard It opens at dawn.\par"
        r"\pard\s4 Keys\par\pard With the miller.\par\pard\s5 Clause one\par\pard\outlinelevel2 Locks\par"
        r"\pard\s1\outlinelevel9 No heading\par\pard\s7 Deep\par"
    )
    document = read_rtf(rtf(body))
    assert document.title == "The Mill"
    assert [section.path for section in document.sections] == [
        ("The Mill",), ("The Mill", "Sluice"), ("The Mill", "Sluice", "Keys"), ("The Mill", "Sluice", "Clause one"),
        ("The Mill", "Sluice", "Clause one", "Locks"), ("The Mill", "Sluice", "Clause one", "Deep"),
    ]  # fmt: skip
    assert "No heading" in document.text


def test_lists() -> None:
    body = (
        r"{\pntext\f1\'B7\tab}{\*\pn\pnlvlblt\pnf1\pnindent0{\pntxtb\'B7}}\pard Oats\par{\pntext\f1\'B7\tab}Rye\par"
        r"\pard\plain{\listtext\pard\plain 1.\tab}\ls1\ilvl0 Mow\par{\listtext\pard\plain\f6 o\tab}\ilvl1 Dry it\par"
        r"\pard Prose.\par{\listtext 2.1\tab}\pard\s1 Barn\par"
    )
    assert text_of(body).split("\n") == [
        "- Oats",
        "- Rye",
        "1. Mow",
        "  - Dry it",
        "",
        "Prose.",
        "",
        "# 2.1 Barn",
    ]


def test_properties() -> None:
    info = (
        r"{\info{\title M\'fcll}{\subject Water}{\keywords sluice, gate}{\doccomm Checked.}{\author Vik}"
        r"{\*\company Mill Co}{\creatim\yr2020}{\nofpages3}}{\*\userprops{\propname Barn}\proptype30{\staticval 4}}"
        r"{\*\docvar {Secret}{1}}"
    )
    document = read_rtf(rtf(info + r"Body\par"))
    assert document.title == "Müll"
    assert document.text == "Body\n\nSubject: Water\nKeywords: sluice, gate\nDescription: Checked."
    assert left_out(document) == {LeftOutKind.PROPERTY: ("author", "company", "Barn", "Secret")}


# --- notes, comments, boxes -----------------------------------------------------------------------------------


def test_notes_follow_their_paragraph_with_the_same_mark() -> None:
    body = (
        r"\pard The heron{\super\chftn{\footnote\pard\plain{\super\chftn } A grey bird.\par With legs.}} waits.\par "
        r"{\super\chftn}{\*\footnote\chftn\~\plain\pard Second.}Next"
        r"{\super\chftn{\footnote\ftnalt\pard{\super\chftn} At the end.}}\par "
        r"Star{\super *{\footnote\pard {\super *} By the author.}} said.\par"
    )
    assert text_of(body).split("\n\n") == [
        "The heron[1] waits.", "[1] A grey bird.", "With legs.", "[2]Next[i]", "[2] Second.", "[i] At the end.",
        "Star[*] said.", "[*] By the author.",
    ]  # fmt: skip


def test_comments_name_their_author() -> None:
    body = (
        r"{\*\atrfstart 1}The gate{\*\atrfend 1}{\*\atnid AB}{\*\atnauthor Anna Berg}\chatn"
        r"{\*\annotation{\*\atnref 1}{\*\atndate 5}\pard\plain{\chatn }Which one?\par The left.} opens.\par "
        r"x{\*\atnid CD}\chatn{\*\annotation Quick.}\par"
    )
    assert text_of(body).split("\n\n") == [
        "The gate opens.", "[Comment by Anna Berg: Which one?\nThe left.]", "x", "[Comment by CD: Quick.]",
    ]  # fmt: skip


def test_boxes_follow_the_paragraph_that_anchors_them() -> None:
    body = (
        r"Load it {\shp{\*\shpinst\shpleft0{\sp{\sn shapeType}{\sv 202}}{\shptxt \pard\plain In the box.\par Two.\par}}"
        r"{\shprslt{\*\do\dptxbx{\dptxbxtext\pard In the box.\par}}}}from the top.\par "
        r"Old{\*\do\dobxpage\dptxbx{\dptxbxtext\pard\plain In an old box.\par}\dpx1} one.\par"
        r"{\shpgrp{\*\shpinst{\shp{\*\shpinst{\shptxt Grouped.}}}{\sp{\sn gtextUNICODE}{\sv Big letters}}}}\par"
    )
    assert text_of(body).split("\n\n") == [
        "Load it from the top.", "In the box.", "Two.", "Old one.", "In an old box.", "Grouped.", "Big letters",
    ]  # fmt: skip


def test_headers_stand_at_the_end_once_without_page_numbers() -> None:
    body = (
        r"{\header Mill rules\par}{\footer Page {\field{\*\fldinst PAGE}{\fldrslt 7}} of \chpgn\par Copy\par}"
        r"\s1 Sluice\par Body\par\sect{\headerf Mill rules\par}More\par"
    )
    document = read_rtf(rtf(body))
    assert document.text.endswith("More\n\nHeader: Mill rules\n\nFooter: Copy")
    assert document.sections[-1].path == ()


# --- tables ---------------------------------------------------------------------------------------------------


def test_tables() -> None:
    body = (
        r"Fees:\par\trowd\trhdr\cellx1000\cellx2000\pard\intbl Boat\cell Fee\cell\row"
        r"\trowd\cellx1000\cellx2000\pard\intbl{\b Row}er\line old\cell 9\par crowns\cell\row\pard After.\par"
    )
    assert text_of(body) == "Fees:\n\n| Boat | Fee |\n| --- | --- |\n| Rower old | 9 crowns |\n\nAfter."


def test_merged_cells_say_their_text_in_each_column_and_row() -> None:
    merged = (
        r"\trowd\clmgf\cellx1000\clmrg\cellx2000\clvmgf\cellx3000\pard\intbl A\cell\cell Year\cell\row"
        r"\trowd\cellx1000\cellx2000\clvmrg\cellx3000\intbl b\cell c\cell\cell\row"
    )
    assert text_of(merged) == "| A | A | Year |\n| --- | --- | --- |\n| b | c | Year |"
    wide = (
        r"\trowd\trleft-100\cellx2005\cellx3000\pard\intbl Wide\cell z\cell\row"
        r"\trowd\trleft-100\cellx1000\cellx2000\cellx3000\intbl a\cell b\cell c\cell\row"
    )
    assert text_of(wide) == "| Wide | Wide | z |\n| --- | --- | --- |\n| a | b | c |"


def test_nested_tables_are_in_their_cell() -> None:
    body = (
        r"\trowd\cellx4000\cellx8000\pard\intbl Outer\par\pard\intbl\itap2 a\nestcell{\nonesttables\par}b\nestcell"
        r"{\nonesttables\par}{\*\nesttableprops\trowd\cellx1000\cellx2000\nestrow}{\nonesttables\par}"
        r"\pard\intbl\itap1 tail\cell Right\cell\row\pard End\par"
    )
    assert text_of(body) == "| Outer a, b tail | Right |\n\nEnd"


def test_odd_tables_lose_nothing() -> None:
    assert (
        text_of(r"\trowd\cellx1\cellx2 A\cell B\cell\row C\cell D\cell\row")
        == "| A | B |\n| --- | --- |\n| C | D |"
    )
    assert text_of(r"\pard\intbl never ended\par and more") == "never ended\n\nand more"
    assert text_of(r"\trowd\cellx9\pard\intbl\s1 Layout\par\intbl words\cell\row\pard x").endswith(
        "words\n\nx"
    )
    assert text_of(r"\pard\intbl\itap9 a\cell\row\pard b\nestcell\nestrow c") == "a\n\nb\n\nc"


# --- what is left out -----------------------------------------------------------------------------------------


def test_deleted_paragraph_ends_join_paragraphs() -> None:
    document = read_rtf(rtf(r"The rent is {\deleted 1,150}{\revised 1,480} euros{\deleted\par} a month.\par"))
    assert document.text == "The rent is 1,480 euros a month."
    assert left_out(document) == {LeftOutKind.DELETED_TEXT: ()}


WHITE = r"{\rtf1\ansi{\colortbl;\red0\green0\blue0;\red255\green255\blue254;\red0\green0\blue80;}"


def test_text_that_nobody_sees_is_left_out() -> None:
    document = read_rtf(rtf(r"seen {\cf2 snow}{\cf1 ink}{\fs1 dust}{\v cave}\par", WHITE))
    assert document.text == "seen ink"
    assert left_out(document) == {LeftOutKind.HIDDEN_TEXT: ()}
    lit = (
        r"{\highlight3\cf2 a}\par{\pard\cbpat3\cf2 b\par}\trowd\clcbpat3\cellx1\cellx2\pard\intbl{\cf2 c}\cell d\cell\row"
        r"\pard{\shp{\*\shpinst{\shptxt{\cf2 e}}}}\par"
    )
    document = read_rtf(rtf(lit, WHITE))
    assert document.text == "a\n\nb\n\n| c | d |\n\ne"
    assert not document.left_out


def test_hidden_notes_and_boxes_are_left_out() -> None:
    document = read_rtf(
        rtf(
            r"a{\v x{\footnote\pard\plain secret}}\par{\shp{\*\shpinst{\sp{\sn fHidden}{\sv 1}}{\shptxt veiled}}}\par"
        )
    )
    assert document.text == "a"
    assert left_out(document) == {LeftOutKind.HIDDEN_TEXT: ()}


# --- fields, pictures, formulas ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (r'{\field{\*\fldinst{HYPERLINK "https://ex.test"}}{\fldrslt{\ul the site}}}', "the site"),
        (r'{\field{\*\fldinst SYMBOL 183 \\f "Symbol" \\s 10}{\fldrslt\f1\fs20}}', "•"),
        (r"{\field{\*\fldinst FORMCHECKBOX {\*\formfield{\fftype1\ffres25\ffdefres1}}}{\fldrslt}}", "☒"),
        (
            r"{\field{\*\fldinst FORMDROPDOWN {\*\formfield{\ffres1{\*\ffl oats}{\*\ffl rye}}}}{\fldrslt}}",
            "rye",
        ),
        (r"{\field{\*\fldinst EQ \\f(1,2)}{\fldrslt}}", "1/2"),
        (
            r"{\field{\*\fldinst EQ \\* jc3 \\* hps12 \\o\\al(\\s\\up 11(yomi),kanji)}{\fldrslt}}",
            "kanji(yomi)",
        ),
        (
            r"{\mmath{\*\moMath{\mm{\mmr{\me{\mr 1}}{\me{\mr 2}}}{\mmr{\me{\mr 3}}{\me{\mr 4}}}}}}",
            "1, 2; 3, 4",
        ),
        (r"{\field{\*\fldinst IF {\field{\*\fldinst PAGE}{\fldrslt 1}} = 1}{\fldrslt yes}}", "yes"),
        (r"{\mmath{\*\moMath{\mf{\mfPr{\mctrlPr}}{\mnum{\mr a+b}}{\mden{\mr 2}}}}}", "(a+b)/2"),
        (r"{\mmath{\*\moMath{\msSup{\msSupPr{\mctrlPr}}{\me{\mr x}}{\msup{\mr 2}}}}}", "x^2"),
        (r"{\mmath{\*\moMath{\mnary{\mnaryPr{\mchr \u8721?}}{\msub i=1}{\msup n}{\me i}}}}", "∑_(i=1)^ni"),
        (
            r"{\mmath{\*\moMath{\md{\mdPr{\mbegChr [}{\mendChr ]}}{\me x}}{\mrad{\mradPr}{\mdeg}{\me y}}}}",
            "[x]√(y)",
        ),
        (r"10{\super 3} m{\super 2} H{\sub 2}O 1{\up6 st}", "10^3 m2 H2O 1st"),
        (r"{\xe{\v index}}{\tc contents}{\*\bkmkstart b}kept{\*\bkmkend b}", "kept"),
        (r"\pard\dropcapli3 T\par\pard he mill", "The mill"),
    ],
)
def test_what_a_run_shows(body: str, text: str) -> None:
    assert text_of(body) == text


def test_a_table_of_contents_is_not_read_twice() -> None:
    body = (
        r'{\field{\*\fldinst TOC \\o "1-3"}{\fldrslt\pard\s6 Sluice\tab 3\par\pard\s6 Gate\tab 4\par}}'
        r"\pard\s1 Sluice\par\pard Words.\par"
    )
    assert text_of(body) == "# Sluice\n\nWords."


def test_pictures_say_what_is_on_them() -> None:
    told = r"{\*\shppict{\pict{\*\picprop{\sp{\sn wzDescription}{\sv A b\'f6at \{red\}}}}\pngblip 89504e}}{\nonshppict{\pict 00}}"
    document = read_rtf(
        rtf(told + r"\par{\pict\wmetafile8 0100}\par{{\NeXTGraphic mill.png \width1}\'ac}\par")
    )
    assert document.text.startswith("[Picture: A böat {red}]")
    assert [(one.kind, one.count) for one in document.left_out] == [(LeftOutKind.PICTURE, 2)]


def test_objects_are_reported_and_their_text_is_read() -> None:
    body = r"{\object\objemb{\*\objclass Excel.Sheet.8}{\*\objdata 0105}{\result{\pict 00}Sum 42}}\par"
    document = read_rtf(rtf(body))
    assert document.text == "Sum 42"
    assert left_out(document) == {LeftOutKind.OBJECT: ("Excel.Sheet.8",)}


def test_a_web_page_in_rtf_is_read_as_one() -> None:
    body = (
        r"{\rtf1\ansi\fromhtml1 {\*\htmltag64 <h1>}\htmlrtf {\b \htmlrtf0 Sluice\htmlrtf }\htmlrtf0 {\*\htmltag72 </h1>}"
        r"{\*\htmltag64 <p>}It opens.{\*\htmltag72 </p>}}"
    )
    document = read_rtf(body.encode())
    assert document.text == "# Sluice\n\nIt opens."
    assert document.media_type == "application/rtf"


# --- every place ----------------------------------------------------------------------------------------------

PLACES: dict[str, tuple[str, LeftOutKind | None]] = {
    "paragraph": (r"@\par", None),
    "heading": (r"\pard\s1 @\par\pard", None),
    "bold": (r"{\b @}\par", None),
    "listtext": (r"{\listtext @.\tab}item\par", None),
    "cell": (r"\trowd\cellx1\cellx2\intbl @\cell x\cell\row\pard", None),
    "open cell": (r"\trowd\cellx1\cellx2\intbl x\cell @\row\pard", None),
    "nested cell": (r"\trowd\cellx1\intbl\itap2 @\nestcell\nestrow\itap1\cell\row\pard", None),
    "footnote": (r"x\chftn{\footnote @}\par", None),
    "endnote": (r"x\chftn{\footnote\ftnalt @}\par", None),
    "comment": (r"x{\*\annotation @}\par", None),
    "comment author": (r"x{\*\atnauthor @}{\*\annotation y}\par", None),
    "box": (r"{\shp{\*\shpinst{\shptxt @\par}}}\par", None),
    "old box": (r"{\*\do{\dptxbxtext @\par}}\par", None),
    "only in the older drawing": (r"{\shp{\shprslt{\*\do{\dptxbxtext @\par}}}}\par", None),
    "word art": (r"{\shp{\*\shpinst{\sp{\sn gtextUNICODE}{\sv @}}}}\par", None),
    "shape description": (r"{\shp{\*\shpinst{\sp{\sn wzDescription}{\sv @}}}}\par", None),
    "picture description": (r"{\pict{\*\picprop{\sp{\sn wzDescription}{\sv @}}}00}\par", None),
    "picture": (r"{\pict @}\par", LeftOutKind.PICTURE),
    "picture in a shape": (r"{\shp{\*\shpinst{\sp{\sn pib}{\sv {\pict @}}}}}\par", LeftOutKind.PICTURE),
    "object": (r"{\object{\*\objclass @}{\*\objdata 00}}\par", LeftOutKind.OBJECT),
    "object result": (r"{\object{\result @}}\par", None),
    "field result": (r"{\field{\*\fldinst REF}{\fldrslt @}}\par", None),
    "header": (r"{\header @\par}", None),
    "first footer": (r"{\footerf @\par}", None),
    "left header": (r"{\headerl{\shp{\*\shpinst{\shptxt @\par}}}\par}", None),
    "hidden": (r"x{\v @}\par", LeftOutKind.HIDDEN_TEXT),
    "tiny": (r"x{\fs1 @}\par", LeftOutKind.HIDDEN_TEXT),
    "deleted": (r"{\deleted @}\par", LeftOutKind.DELETED_TEXT),
    "inserted": (r"{\revised @}\par", None),
    "title": (r"{\info{\title @}}", None),
    "subject": (r"{\info{\subject @}}", None),
    "keywords": (r"{\info{\keywords @}}", None),
    "doccomm": (r"{\info{\doccomm @}}", None),
    "author": (r"{\info{\author @}}", LeftOutKind.PROPERTY),
    "custom": (r"{\*\userprops{\propname @}\proptype30{\staticval 1}}", LeftOutKind.PROPERTY),
    "formula": (r"{\mmath{\*\moMath{\mr @}}}\par", None),
    "after a section": (r"x\sect @", None),
    "behind the end": (r"x\par}@", None),
}


@pytest.mark.parametrize("place", PLACES)
def test_canaries(place: str) -> None:
    source, kind = PLACES[place]
    document = read_rtf(rtf("First.\\par\n" + source.replace("@", "canary")))
    if kind is None:
        assert "canary" in document.text + document.title
        assert not document.left_out or place == "object result"
    else:
        assert "canary" not in document.text
        assert kind in left_out(document)


def test_all_canaries_in_one_document() -> None:
    words = {place: f"canary{number}x" for number, place in enumerate(PLACES)}
    parts = [
        source.replace("@", words[place])
        for place, (source, _) in PLACES.items()
        if place != "behind the end"
    ]
    document = read_rtf(rtf("First.\\par\n" + "\n".join(parts)))
    for place, (_, kind) in PLACES.items():
        if place not in ("behind the end", "subject", "title"):
            assert (words[place] in document.text) == (kind is None), place
    assert set(left_out(document)) == {kind for _, kind in PLACES.values() if kind}


# --- damaged and hostile ----------------------------------------------------------------------------------------


def test_what_is_no_rtf_is_damaged() -> None:
    assert reason_of(b"Dear all,") == Reason.DAMAGED
    assert reason_of(b"{\\html}") == Reason.DAMAGED
    assert reason_of(b"\xd0\xcf\x11\xe0" + bytes(100)) == Reason.OLD_OFFICE
    assert read("x.rtf", b"\xef\xbb\xbf \n{\\rtf1 hi}").text == "hi"


@pytest.mark.parametrize(
    "body",
    [
        r"{\rtf1 One.\par {\b Two.\par Three.",
        r"{\rtf1 One.\par}} Two.\par Three.}",
        r"{\rtf1{\*\generator Mill 3;\pard One.\par{\b Two.}\par Three.\par}",
        r"{\rtf1{\fonttbl{\f0 Arial;}\pard One.\par{\b Two.}\par Three.\par}",
    ],
)
def test_missing_and_spare_braces_lose_nothing(body: str) -> None:
    document = read_rtf(body.encode())
    assert [part.strip() for part in document.text.split("\n\n")] == ["One.", "Two.", "Three."]
    assert (LeftOutKind.REST in left_out(document)) == (body.count("{") > body.count("}"))


def sample() -> bytes:
    return rtf("First.\\par\n" + "\n".join(source.replace("@", "canary") for source, _ in PLACES.values()))


def test_damaged_files_raise_nothing_but_their_reason() -> None:
    dice = random.Random(7)
    whole = sample()
    for _ in range(150):
        data = bytearray(whole[: dice.randrange(8, len(whole))] if dice.random() < 0.4 else whole)
        for _ in range(dice.randrange(12)):
            data[dice.randrange(6, len(data))] = dice.choice(b"{}\\'*;0 9-\xff\x00upar")
        assert isinstance(read("x.rtf", bytes(data)).text, str)


HOSTILE = [
    "{" * 300_000,
    r"{\shp{\*\shpinst{\shptxt x" * 20_000,
    r"{\footnote x" * 30_000,
    r"{\*\x" * 200_000,
    r"{\*\x \pard " * 100_000,
    r"{\pict" * 100_000,
    r"{\field{\*\fldinst" * 50_000,
    r"\trowd\cellx1\intbl\itap900000 a\nestcell\nestrow" * 5_000,
    "\\trowd" + "".join(f"\\cellx{n * 40}" for n in range(5_000)) + "\\intbl a\\cell b\\cell\\row" * 2_000,
    r"\'83" * 200_000,
    "\\" * 400_001,
    r"{\mmath{\md" * 30_000,
    r"\u55357" * 100_000,
    r"\uc99999999999999999999 \u99999999999999999999 " * 5_000,
    r"{\info{\title" * 30_000,
    r"{\v" * 100_000 + "x",
    r"{\super 1}" * 50_000,
    r"{\super 1{\footnote x}" * 10_000,
    r"{\sp{\sn pib{\sn pib" * 30_000,
    r"\ab-" * 200_000,
    r"{\stylesheet" + r"{\s1" * 100_000,
    r"{\colortbl" * 100_000,
    r"\pard\intbl " + r"{\shp{\*\shpinst{\shptxt\pard\intbl a\cell\row}}}\cell\row" * 10_000,
]


@pytest.mark.parametrize("body", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_hostile_files_end_soon(body: str) -> None:
    began = time.process_time()
    read_rtf((HEAD + body).encode("latin-1"))
    assert time.process_time() - began < 8


def test_outlook_bodies_come_here() -> None:
    """A body in RTF of its own is read by this reader, whatever stands around it."""
    from ragchat.ingest.reading.mail.outlook_rtf import unpack_rtf

    body = rb"{\rtf1\ansi The sluice\_gate.\par}"
    packed = struct.pack("<4I", len(body) + 12, len(body), 0x414C454D, 0) + body
    assert read_rtf(unpack_rtf(packed)).text == "The sluice-gate."


def test_tables_that_follow_each_other_keep_their_own_columns() -> None:
    first = r"\trowd\cellx2500\cellx5000\cellx7500\intbl {0}1\cell {0}2\cell {0}3\cell\row"
    second = r"\trowd\cellx1200\cellx7500\intbl {0}1\cell {0}2\cell\row"
    wide = r"\trowd\cellx7500\intbl whole\cell\row"
    rows = (*(first.format(one) for one in "ab"), wide, *(second.format(one) for one in "cd"))
    body = "\n".join((*rows, r"\pard\par"))
    assert text_of(body).split("\n") == [
        "| a1 | a2 | a3 |",
        "| --- | --- | --- |",
        "| b1 | b2 | b3 |",
        "| whole |  |  |",
        "",
        "| c1 | c2 |",
        "| --- | --- |",
        "| d1 | d2 |",
    ]


def test_lines_of_code_stand_together_with_their_blanks() -> None:
    head = r"{\rtf1\ansi{\stylesheet{\s9 Preformatted Text;}}"
    body = r"\pard\s9 def f():\par\pard\s9     return 1\par\pard\s9\par\pard\s9 f()\par\pard Then\par"
    assert text_of(body, head) == "def f():\n    return 1\nf()\n\nThen"
