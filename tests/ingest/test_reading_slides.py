"""PowerPoint presentations, written by hand: every place that holds text, order and levels, and hostile files."""
# ruff: noqa: E501 (XML in one piece is easier to read)

from __future__ import annotations

import random
import time
import zipfile
from io import BytesIO
from xml.sax.saxutils import escape

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.types import ExtractedText, LeftOutKind

REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
NAMES = (
    f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="{REL}" xmlns:a="{DRAWING}/main" '
    f'xmlns:c="{DRAWING}/chart" xmlns:dgm="{DRAWING}/diagram" xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
    'xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main" '
    'xmlns:p14="http://schemas.microsoft.com/office/powerpoint/2010/main" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)
Files = dict[str, str | bytes]


def relations(*pairs: tuple[str, str, str]) -> str:
    """A .rels part of (id, type, target)."""
    inner = "".join(f'<Relationship Id="{i}" Type="{REL}/{t}" Target="{target}"/>' for i, t, target in pairs)
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'


def zipped(files: Files) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def deck(*slides: str, parts: Files | None = None, settings: str = "", hidden: tuple[int, ...] = ()) -> bytes:
    """A pptx of slides, each the inside of its `p:spTree`; numbers in `hidden` count from 1."""
    order = range(1, len(slides) + 1)
    files: Files = {
        "_rels/.rels": relations(("r1", "officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {NAMES}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + n}" r:id="s{n}"/>' for n in order)
        + f'</p:sldIdLst><p:sldSz cx="9000" cy="6000"/>{settings}</p:presentation>',
        "ppt/_rels/presentation.xml.rels": relations(
            ("ca", "commentAuthors", "commentAuthors.xml"),
            ("au", "authors", "authors.xml"),
            *((f"s{n}", "slide", f"slides/slide{n}.xml") for n in order),
        ),
    }
    for n, content in zip(order, slides, strict=True):
        show = 'show="0"' if n in hidden else ""
        files[f"ppt/slides/slide{n}.xml"] = (
            f"<p:sld {NAMES} {show}><p:cSld><p:spTree>{content}</p:spTree></p:cSld></p:sld>"
        )
    return zipped(files | (parts or {}))


def paragraph(text: str, settings: str = "") -> str:
    return f"<a:p>{settings}<a:r><a:t>{escape(text)}</a:t></a:r></a:p>"


def shape(*paragraphs: str, kind: str | None = None, settings: str = "", place: str = "") -> str:
    """A shape; `kind` is the type of placeholder ("" for one without a type)."""
    holder = "" if kind is None else f'<p:ph type="{kind}"/>' if kind else '<p:ph idx="1"/>'
    body = "".join(one if one.startswith("<") else paragraph(one) for one in paragraphs)
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="shape" {settings}/><p:nvPr>{holder}</p:nvPr></p:nvSpPr>'
        f"<p:spPr>{place}</p:spPr><p:txBody><a:bodyPr/>{body}</p:txBody></p:sp>"
    )


def at(x: int, y: int, width: int, height: int) -> str:
    return f'<a:xfrm><a:off x="{x}" y="{y}"/><a:ext cx="{width}" cy="{height}"/></a:xfrm>'


def frame(content: str, settings: str = "") -> str:
    return (
        f'<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="4" name="frame" {settings}/></p:nvGraphicFramePr>'
        f"<a:graphic><a:graphicData>{content}</a:graphicData></a:graphic></p:graphicFrame>"
    )


def text_of(data: bytes) -> str:
    return read("deck.pptx", data).text


def left_out(document: ExtractedText) -> dict[LeftOutKind, tuple[str, ...]]:
    return {one.kind: one.names for one in document.left_out}


# --- slides -------------------------------------------------------------------------------------------------


def test_slides_are_pages_with_their_titles() -> None:
    document = read(
        "a.pptx", deck(shape("First words") + shape("Solar roof", kind="ctrTitle"), shape("No title here"))
    )
    assert document.text == "# Solar roof\n\nFirst words\n\n# Slide 2\n\nNo title here"
    assert document.page_starts == (0, document.text.index("# Slide 2"))
    assert document.title == "Solar roof"


def test_slides_come_in_the_order_of_the_presentation() -> None:
    data = zipfile.ZipFile(BytesIO(deck(shape("Alpha"), shape("Beta"))))
    files: Files = {name: data.read(name) for name in data.namelist()}
    files["ppt/_rels/presentation.xml.rels"] = relations(
        ("s1", "slide", "slides/slide2.xml"), ("s2", "slide", "/ppt/slides/slide1.xml")
    )
    assert text_of(zipped(files)).split() == ["#", "Slide", "1", "Beta", "#", "Slide", "2", "Alpha"]


def test_hidden_slides_are_reported_and_keep_their_page() -> None:
    document = read(
        "a.pptx",
        deck(shape("One"), shape("Margins", kind="title") + shape("Two"), shape("Three"), hidden=(2,)),
    )
    assert "Two" not in document.text
    assert left_out(document) == {LeftOutKind.HIDDEN_SHEET: ("Margins",)}
    assert len(document.page_starts) == 3
    assert document.text[document.page_starts[2] :].startswith("# Slide 3")


def test_a_hidden_slide_gives_no_title_and_no_section() -> None:
    sections = "<p14:section name='Yields'><p14:sldIdLst><p14:sldId id='256'/></p14:sldIdLst></p14:section>"
    slides = (shape("Secret", kind="title"), shape("June", kind="title"))
    document = read("a.pptx", deck(*slides, settings=sections, hidden=(1,)))
    assert document.title == "June"
    assert document.text == "# Yields\n\n## June"


def test_sounds_and_backgrounds_are_reported() -> None:
    data = zipfile.ZipFile(BytesIO(deck(shape("One"))))
    files: Files = {name: data.read(name) for name in data.namelist()}
    files["ppt/slides/slide1.xml"] = (
        f"<p:sld {NAMES}><p:cSld><p:bg><p:bgPr><a:blipFill/></p:bgPr></p:bg><p:spTree>{shape('One')}</p:spTree></p:cSld>"
        "<p:transition><p:sndAc><p:stSnd><p:snd r:embed='a'/></p:stSnd></p:sndAc></p:transition></p:sld>"
    )
    assert set(left_out(read("a.pptx", zipped(files)))) == {LeftOutKind.PICTURE, LeftOutKind.SOUND}


def test_lists_have_levels_and_text_boxes_do_not() -> None:
    body = shape(
        "Panels",
        paragraph("Roof", '<a:pPr lvl="1"/>'),
        paragraph("Plain", "<a:pPr><a:buNone/></a:pPr>"),
        kind="",
    )
    numbered = shape(
        *(paragraph(one, "<a:pPr><a:buAutoNum type='arabicPeriod'/></a:pPr>") for one in ("Cut", "Glue"))
    )
    text = text_of(deck(body + shape("Box one", "Box two") + numbered))
    assert text == "# Slide 1\n\n- Panels\n  - Roof\n\nPlain\n\nBox one\n\nBox two\n\n1. Cut\n2. Glue"


def test_line_breaks_tabs_and_fields() -> None:
    runs = (
        "<a:p><a:r><a:t>Auto</a:t></a:r><a:r><a:rPr b='1'/><a:t>bahn</a:t></a:r><a:br/><a:r><a:t>next_x000B_third\tcolumn</a:t></a:r>"
        "<a:fld type='slidenum'><a:t>77</a:t></a:fld><a:fld type='datetime1'><a:t> 14 May</a:t></a:fld></a:p>"
    )
    assert text_of(deck(shape(runs))) == "# Slide 1\n\nAutobahn\nnext\nthird\tcolumn 14 May"


def test_a_long_title_is_not_cut() -> None:
    words = " ".join(f"word{n}" for n in range(60))
    text = text_of(deck(shape(words, kind="title")))
    assert "word59" in text


def test_tables_fill_merged_cells() -> None:
    def cells(*texts: str, settings: str = "") -> str:
        return "".join(
            f"<a:tc {settings if n == 0 else ''}><a:txBody>{paragraph(one) if one else ''}</a:txBody></a:tc>"
            for n, one in enumerate(texts)
        )

    rows = (
        f"<a:tr>{cells('Region', 'Town')}</a:tr><a:tr>{cells('North', 'Borg', settings='rowSpan=' + chr(34) + '2' + chr(34))}</a:tr>"
        f"<a:tr>{cells('', 'Celle', settings='vMerge=' + chr(34) + '1' + chr(34))}</a:tr>"
    )
    assert "| North | Borg |\n| North | Celle |" in text_of(deck(frame(f"<a:tbl>{rows}</a:tbl>")))


def test_formulas_are_written_on_a_line() -> None:
    formula = (
        "<a14:m><m:oMath><m:r><m:t>E=</m:t></m:r><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num><m:den><m:r><m:t>c</m:t></m:r></m:den></m:f>"
        "<m:sSup><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup>"
        "<m:rad><m:e><m:r><m:t>y</m:t></m:r></m:e></m:rad></m:oMath></a14:m>"
    )
    choice = f"<mc:AlternateContent><mc:Choice Requires='a14'>{formula}</mc:Choice><mc:Fallback><a:r><a:t>no</a:t></a:r></mc:Fallback></mc:AlternateContent>"
    assert text_of(deck(shape(f"<a:p>{choice}</a:p>"))) == "# Slide 1\n\nE=(a+b)/cx^2√(y)"


def test_sections_are_headings_above_the_slides() -> None:
    sections = (
        "<p:extLst><p:ext><p14:sectionLst><p14:section name='Yields'><p14:sldIdLst><p14:sldId id='256'/><p14:sldId id='257'/>"
        "</p14:sldIdLst></p14:section></p14:sectionLst></p:ext></p:extLst>"
    )
    document = read(
        "a.pptx", deck(shape("May", kind="title"), shape("June", kind="title"), settings=sections)
    )
    assert [one.path for one in document.sections][:3] == [("Yields",), ("Yields", "May"), ("Yields", "June")]
    assert document.title == "May"


def test_a_chart_is_a_table_of_its_values() -> None:
    def values(role: str, *texts: str) -> str:
        points = "".join(f"<c:pt idx='{n}'><c:v>{one}</c:v></c:pt>" for n, one in enumerate(texts))
        return f"<c:{role}><c:strRef><c:strCache>{points}</c:strCache></c:strRef></c:{role}>"

    series = "".join(
        f"<c:ser>{values('tx', name)}{values('cat', 'May', 'June')}{values('val', *numbers)}</c:ser>"
        for name, numbers in (("2025", ("402", "455.5")), ("2026", ("410", "460")))
    )
    parts: Files = {
        "ppt/slides/_rels/slide1.xml.rels": relations(("c", "chart", "../charts/chart1.xml")),
        "ppt/charts/chart1.xml": f"<c:chartSpace {NAMES}><c:chart><c:plotArea><c:barChart>{series}</c:barChart></c:plotArea></c:chart></c:chartSpace>",
        "ppt/charts/_rels/chart1.xml.rels": relations(("x", "package", "../embeddings/book.xlsx")),
        "ppt/embeddings/book.xlsx": b"PK",
    }
    document = read("a.pptx", deck(frame('<c:chart r:id="c"/>'), parts=parts))
    assert (
        "|  | 2025 | 2026 |\n| --- | --- | --- |\n| May | 402 | 410 |\n| June | 455.5 | 460 |"
        in document.text
    )
    assert document.left_out == ()


def test_a_diagram_is_a_list_in_its_order() -> None:
    points = "".join(
        f"<dgm:pt modelId='{n}'><dgm:t>{paragraph(one) if one else ''}</dgm:t></dgm:pt>"
        for n, one in enumerate(("", "Sow", "Deep", "Reap"))
    )
    links = "".join(
        f"<dgm:cxn srcId='{a}' destId='{b}' srcOrd='{o}'/>" for a, b, o in ((0, 3, 1), (0, 1, 0), (1, 2, 0))
    )
    parts: Files = {
        "ppt/slides/_rels/slide1.xml.rels": relations(("g", "diagramData", "../diagrams/data1.xml")),
        "ppt/diagrams/data1.xml": f"<dgm:dataModel {NAMES}><dgm:ptLst>{points}</dgm:ptLst><dgm:cxnLst>{links}</dgm:cxnLst></dgm:dataModel>",
    }
    assert (
        text_of(deck(frame('<dgm:relIds r:dm="g"/>'), parts=parts)) == "# Slide 1\n\n- Sow\n  - Deep\n- Reap"
    )


def test_a_title_that_a_program_gave_is_none() -> None:
    parts: Files = {"docProps/core.xml": "<x:c xmlns:x='x'><x:title>PowerPoint-Präsentation</x:title></x:c>"}
    assert read("a.pptx", deck(shape("Solar roof", kind="title"), parts=parts)).title == "Solar roof"


# --- every place ----------------------------------------------------------------------------------------------

CANARIES: dict[str, LeftOutKind | str] = {
    "slidetitle": "found",
    "subtitle": "found",
    "bodywords": "found",
    "textbox": "found",
    "groupedbox": "found",
    "connectorwords": "found",
    "alternative": "found",
    "tablecell": "found",
    "picturetext": "found",
    "shapetext": "found",
    "objectpicture": "found",
    "charttitle": "found",
    "diagrampoint": "found",
    "speakernote": "found",
    "notebox": "found",
    "oldcomment": "found",
    "oldauthor": "found",
    "newcomment": "found",
    "newanswer": "found",
    "newauthor": "found",
    "footerwords": "found",
    "layoutbox": "found",
    "masterbox": "found",
    "coretitle": "title",
    "coresubject": "found",
    "corekeywords": "found",
    "coredescription": "found",
    "corecreator": LeftOutKind.PROPERTY,
    "hiddenslide": LeftOutKind.HIDDEN_SHEET,
    "hiddenshape": LeftOutKind.HIDDEN_TEXT,
    "hiddengroup": LeftOutKind.HIDDEN_TEXT,
    "besideslide": LeftOutKind.HIDDEN_TEXT,
    "barepicture": LeftOutKind.PICTURE,
    "filmname": LeftOutKind.SOUND,
    "linkedobject": LeftOutKind.OBJECT,
    "macrocode": LeftOutKind.FORM_SCRIPT,
    "layoutprompt": "nowhere",
}


def canary_deck() -> bytes:
    group = f'<p:grpSp><p:nvGrpSpPr><p:cNvPr id="3" name="g" {{0}}/></p:nvGrpSpPr><p:grpSpPr>{at(0, 0, 10, 10)}</p:grpSpPr>{{1}}</p:grpSp>'
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="5" name="p" {0}/><p:nvPr>{1}</p:nvPr></p:nvPicPr></p:pic>'
    on = 'hidden="1"'
    slide = (
        shape("slidetitle", kind="title")
        + shape("subtitle", kind="subTitle")
        + shape("bodywords", kind="body")
        + shape("textbox", place=at(0, 0, 100, 100))
        + group.format("", shape("groupedbox", place=at(90_000, 0, 10, 10)))
        + group.format(on, shape("hiddengroup"))
        + shape("connectorwords").replace("p:sp>", "p:cxnSp>").replace("nvSpPr", "nvCxnSpPr")
        + f"<mc:AlternateContent><mc:Choice Requires='p14'>{shape('alternative')}</mc:Choice><mc:Fallback>{shape('alternative')}</mc:Fallback></mc:AlternateContent>"
        + frame(f"<a:tbl><a:tr><a:tc><a:txBody>{paragraph('tablecell')}</a:txBody></a:tc></a:tr></a:tbl>")
        + picture.format('descr="picturetext"', "")
        + picture.format('title=""', "")
        + picture.format("", "<a:videoFile r:link='v'/>")
        + shape("", settings='descr="shapetext"')
        + frame(
            f"<p:oleObj name='linkedobject' r:id='none'>{picture.format('descr=' + chr(34) + 'objectpicture' + chr(34), '')}</p:oleObj>"
        )
        + frame('<c:chart r:id="c"/>')
        + frame('<dgm:relIds r:dm="g"/>')
        + shape("hiddenshape", settings=on)
        + shape("besideslide", place=at(9500, 0, 100, 100))
        + shape("footerwords", kind="ftr")
        + shape("42", kind="sldNum")
    )
    parts: Files = {
        "docProps/core.xml": "<x:c xmlns:x='x'><x:title>coretitle</x:title><x:subject>coresubject</x:subject><x:keywords>corekeywords"
        "</x:keywords><x:description>coredescription</x:description><x:creator>corecreator</x:creator></x:c>",
        "ppt/slides/_rels/slide1.xml.rels": relations(
            ("n", "notesSlide", "../notesSlides/notesSlide1.xml"), ("l", "slideLayout", "../slideLayouts/slideLayout1.xml"),
            ("o", "comments", "../comments/comment1.xml"), ("m", "comments", "../comments/modern1.xml"),
            ("c", "chart", "../charts/chart1.xml"), ("g", "diagramData", "../diagrams/data1.xml"),
        ),
        "ppt/slides/_rels/slide2.xml.rels": relations(("l", "slideLayout", "../slideLayouts/slideLayout1.xml")),
        "ppt/notesSlides/notesSlide1.xml": f"<p:notes {NAMES}><p:cSld><p:spTree>{shape('speakernote', kind='body')}{shape('notebox')}"
        f"{shape('7', kind='sldNum')}</p:spTree></p:cSld></p:notes>",
        "ppt/slideLayouts/slideLayout1.xml": f"<p:sldLayout {NAMES}><p:cSld><p:spTree>{shape('layoutprompt', kind='body')}{shape('layoutbox')}"
        "</p:spTree></p:cSld></p:sldLayout>",
        "ppt/slideLayouts/_rels/slideLayout1.xml.rels": relations(("m", "slideMaster", "../slideMasters/slideMaster1.xml")),
        "ppt/slideMasters/slideMaster1.xml": f"<p:sldMaster {NAMES}><p:cSld><p:spTree>{shape('masterbox')}</p:spTree></p:cSld></p:sldMaster>",
        "ppt/comments/comment1.xml": f"<p:cmLst {NAMES}><p:cm authorId='0'><p:text>oldcomment</p:text></p:cm></p:cmLst>",
        "ppt/commentAuthors.xml": f"<p:cmAuthorLst {NAMES}><p:cmAuthor id='0' name='oldauthor'/></p:cmAuthorLst>",
        "ppt/comments/modern1.xml": f"<q:cmLst xmlns:q='q' {NAMES}><q:cm authorId='{{1}}'><q:replyLst><q:reply authorId='{{2}}'><q:txBody>"
        f"{paragraph('newanswer')}</q:txBody></q:reply></q:replyLst><q:txBody>{paragraph('newcomment')}</q:txBody></q:cm></q:cmLst>",
        "ppt/authors.xml": "<q:authorLst xmlns:q='q'><q:author id='{1}' name='newauthor'/></q:authorLst>",
        "ppt/charts/chart1.xml": f"<c:chartSpace {NAMES}><c:chart><c:title><c:tx><c:rich>{paragraph('charttitle')}</c:rich></c:tx></c:title></c:chart></c:chartSpace>",
        "ppt/diagrams/data1.xml": f"<dgm:dataModel {NAMES}><dgm:pt modelId='1'><dgm:t>{paragraph('diagrampoint')}</dgm:t></dgm:pt></dgm:dataModel>",
        "ppt/vbaProject.bin": b"macrocode",
    }  # fmt: skip
    return deck(slide, shape("footerwords", kind="ftr"), shape("hiddenslide"), parts=parts, hidden=(3,))


@pytest.fixture(scope="module")
def canaries() -> ExtractedText:
    return read("deck.pptm", canary_deck())


@pytest.mark.parametrize(("word", "place"), CANARIES.items())
def test_each_place_is_read_or_reported(word: str, place: LeftOutKind | str, canaries: ExtractedText) -> None:
    if place == "found":
        assert canaries.text.count(word) == 1
    elif place == "title":
        assert canaries.title == word
    else:
        assert word not in canaries.text
        assert place in ("nowhere", *left_out(canaries))


def test_notes_comments_and_footers_are_named(canaries: ExtractedText) -> None:
    for line in ("Notes: speakernote", "[Comment by oldauthor: oldcomment]", "[Comment by newauthor: newcomment]", "[Comment: newanswer]",
                 "Footer: footerwords", "[Picture: picturetext]", "- bodywords", "Subject: coresubject"):  # fmt: skip
        assert line in canaries.text.split("\n")
    assert left_out(canaries)[LeftOutKind.OBJECT] == ("linkedobject",)


def test_strict_files_read_alike() -> None:
    source = zipfile.ZipFile(BytesIO(canary_deck()))
    strict = {
        name: source.read(name).decode().replace("http://schemas.openxmlformats.org/", "http://purl.oclc.org/ooxml/").replace("/2006/", "/")
        for name in source.namelist()
    }  # fmt: skip
    assert text_of(zipped(dict(strict))) == text_of(canary_deck())


# --- hostile files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["grpSp", "AlternateContent"])
def test_deep_nesting_ends(kind: str) -> None:
    opening = {"grpSp": "<p:grpSp>", "AlternateContent": "<mc:AlternateContent><mc:Choice>"}[kind]
    document = read(
        "a.pptx", deck(shape("Heron", kind="title"), shape("Crane") + opening * 100_000 + shape("deep"))
    )
    assert "Heron" in document.text
    assert LeftOutKind.REST in left_out(document)


def test_deep_formulas_and_diagrams_end() -> None:
    formula = "<m:f><m:num>" * 90 + "<m:r><m:t>z</m:t></m:r>" + "</m:num></m:f>" * 90
    assert "z" in text_of(deck(shape(f"<a:p><a14:m>{formula}</a14:m></a:p>")))


def test_many_slides_are_read_in_time() -> None:
    start = time.monotonic()
    text = text_of(
        deck(*(shape(f"Title {n}", kind="title") + shape("Body text", kind="") * 5 for n in range(500)))
    )
    assert text.count("Body text") == 2500
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused(seed: int) -> None:
    source = zipfile.ZipFile(BytesIO(canary_deck()))
    parts = {name: source.read(name) for name in source.namelist()}
    chance = random.Random(seed)
    for _ in range(30):
        mutated: Files = dict(parts)
        name = chance.choice([*parts])
        content = bytearray(parts[name])
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        mutated[name] = bytes(content[: chance.randrange(len(content))] if chance.random() < 0.3 else content)
        tried = zipped(mutated)
        if chance.random() < 0.2:
            tried = tried[: chance.randrange(len(tried))]
        try:
            read("deck.pptx", tried)
        except IngestError:
            continue


def test_raised_digits_are_told_from_a_number_on_slides() -> None:
    raised = '<a:r><a:rPr baseline="30000"/><a:t>3</a:t></a:r>'
    lowered = '<a:r><a:rPr baseline="-25000"/><a:t>2</a:t></a:r>'
    text = f"<a:p><a:r><a:t>10</a:t></a:r>{raised}<a:r><a:t> l of H</a:t></a:r>{lowered}<a:r><a:t>O</a:t></a:r></a:p>"
    assert "10^3 l of H2O" in read("talk.pptx", deck(shape(text))).text


def test_numbers_of_lists_are_those_that_a_slide_shows() -> None:
    def item(text: str, scheme: str, more: str = "") -> str:
        return paragraph(text, f'<a:pPr><a:buAutoNum type="{scheme}" {more}/></a:pPr>')

    first = shape(item("oats", "alphaLcParenR"), item("rye", "alphaLcParenR"))
    second = shape(item("peas", "romanUcPeriod", 'startAt="3"'), item("flax", "arabicParenBoth"))
    text = read("talk.pptx", deck(first + second)).text
    assert "a) oats\nb) rye" in text
    assert "III. peas\n(4) flax" in text


def test_the_name_of_a_file_is_no_description_of_a_picture_on_a_slide() -> None:
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="4" name="Picture 3" descr="IMG_0042.jpg"/></p:nvPicPr></p:pic>'
    document = read("talk.pptx", deck(picture))
    assert "IMG_0042" not in document.text
    assert [(one.kind, one.names) for one in document.left_out] == [(LeftOutKind.PICTURE, ("IMG_0042.jpg",))]


def test_a_shape_described_by_its_own_text_says_it_once() -> None:
    said = shape("Press here").replace("<p:cNvPr ", '<p:cNvPr descr="Press here" ', 1)
    assert 'descr="Press here"' in said
    assert read("talk.pptx", deck(said)).text.count("Press here") == 1


def test_values_of_a_chart_are_shown_as_its_labels_or_its_axis_show_them() -> None:
    values = '<c:val><c:numRef><c:numCache><c:formatCode>General</c:formatCode><c:pt idx="0"><c:v>0.25</c:v></c:pt></c:numCache></c:numRef></c:val>'
    labels = '<c:dLbls><c:numFmt formatCode="0%" sourceLinked="0"/></c:dLbls>'
    axis = '<c:valAx><c:numFmt formatCode="0.0%" sourceLinked="{}"/></c:valAx>'

    def shown(inside: str, axes: str) -> str:
        chart = f"<c:chartSpace {NAMES}><c:chart><c:plotArea><c:pieChart><c:ser>{inside}{values}</c:ser></c:pieChart>{axes}</c:plotArea></c:chart></c:chartSpace>"
        frame = f'<p:graphicFrame><a:graphic><a:graphicData><c:chart xmlns:c="{DRAWING}/chart" r:id="c1"/></a:graphicData></a:graphic></p:graphicFrame>'
        parts: Files = {
            "ppt/slides/_rels/slide1.xml.rels": relations(("c1", "chart", "../charts/chart1.xml")),
            "ppt/charts/chart1.xml": chart,
        }
        return read("talk.pptx", deck(frame, parts=parts)).text

    assert "| 25% |" in shown(labels, axis.format(0))
    assert "| 25.0% |" in shown("", axis.format(0))
    assert "| 0.25 |" in shown("", axis.format(1))


def test_folders_in_a_package_are_no_objects() -> None:
    data = deck(shape("words"), parts={"ppt/embeddings/": b""})
    assert read("talk.pptx", data).left_out == ()
