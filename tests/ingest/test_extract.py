"""Extraction: each format from a small real file, each hazard with its reason, and a child that dies or hangs."""

# ruff: noqa: E501 (tables of cases and small files)

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest

from ragchat.errors import IngestError, RagchatError
from ragchat.ingest import readers as readers_module
from ragchat.ingest.chunk import split
from ragchat.ingest.encoding import decode
from ragchat.ingest.extract import Extractor
from ragchat.ingest.source import hash_file, read_source
from ragchat.ingest.wire import Reason
from ragchat.pipes import Child
from ragchat.text import clean
from ragchat.types import ExtractedText

MIB = 1 << 20
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX file system")


@pytest.fixture(scope="module")
def extractor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Extractor]:
    log = tmp_path_factory.mktemp("state") / "extraction.log"
    with Extractor(log, timeout_s=30, memory_mib=2048, max_file_bytes=20 * MIB) as extractor:
        yield extractor


@pytest.fixture
def read(extractor: Extractor, tmp_path: Path) -> Callable[[str, bytes], ExtractedText]:
    def read(name: str, content: bytes) -> ExtractedText:
        (tmp_path / name).write_bytes(content)
        extracted = extractor.extract(tmp_path / name)
        assert extracted.text == clean(extracted.text)
        return extracted

    return read


Read = Callable[[str, bytes], ExtractedText]


def reason_of(call: Callable[[], object]) -> Reason:
    with pytest.raises(IngestError) as caught:
        call()
    return Reason(str(caught.value))


# --- small real files -----------------------------------------------------------------------------------


def archive(parts: dict[str, str | bytes], **options: int) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in parts.items():
            file.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return buffer.getvalue()


_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_DRAW = "http://schemas.openxmlformats.org/drawingml/2006/main"
_SLIDE = "http://schemas.openxmlformats.org/presentationml/2006/main"


def content_types(overrides: dict[str, str]) -> str:
    inner = "".join(f'<Override PartName="{part}" ContentType="{kind}"/>' for part, kind in overrides.items())
    return (
        f'{_XML}<Types xmlns="{_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
        f'relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{inner}</Types>'
    )


def relations(*targets: tuple[str, str]) -> str:
    inner = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, 1)
    )
    return f'{_XML}<Relationships xmlns="{_RELS}">{inner}</Relationships>'


def docx(body: str = "") -> bytes:
    def paragraph(text: str, style: str = "") -> str:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"

    content = body or (
        paragraph("Annual report", "Heading1") + paragraph("Snow fell in March.") + paragraph("Costs", "Heading2")
        + paragraph("They rose by seven percent &amp; more.")
    )  # fmt: skip
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml."
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>'
        for n in (1, 2)
    )
    return archive(
        {
            "[Content_Types].xml": content_types(
                {"/word/document.xml": kind + "document.main+xml", "/word/styles.xml": kind + "styles+xml"}
            ),
            "_rels/.rels": relations(("officeDocument", "word/document.xml")),
            "word/_rels/document.xml.rels": relations(("styles", "styles.xml")),
            "word/styles.xml": f'{_XML}<w:styles xmlns:w="{_WORD}">{styles}</w:styles>',
            "word/document.xml": f'{_XML}<w:document xmlns:w="{_WORD}"><w:body>{content}</w:body></w:document>',
        }
    )


def xlsx() -> bytes:
    rows = [["City", "People"], ["Oslo", "709037"], ["Bergen", "291940"]]
    cells = "".join(
        f'<row r="{y}">' + "".join(f'<c r="{"AB"[x]}{y}" t="inlineStr"><is><t>{cell}</t></is></c>' for x, cell in enumerate(row))
        + "</row>"
        for y, row in enumerate(rows, 1)
    )  # fmt: skip
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml."
    return archive(
        {
            "[Content_Types].xml": content_types(
                {
                    "/xl/workbook.xml": kind + "sheet.main+xml",
                    "/xl/worksheets/sheet1.xml": kind + "worksheet+xml",
                }
            ),
            "_rels/.rels": relations(("officeDocument", "xl/workbook.xml")),
            "xl/_rels/workbook.xml.rels": relations(("worksheet", "worksheets/sheet1.xml")),
            "xl/workbook.xml": f'{_XML}<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE}"><sheets>'
            '<sheet name="Towns" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/worksheets/sheet1.xml": f'{_XML}<worksheet xmlns="{_SHEET}"><sheetData>{cells}</sheetData></worksheet>',
        }
    )


def pptx() -> bytes:
    def slide(title: str, text: str) -> str:
        shapes = "".join(
            f'<p:sp><p:nvSpPr><p:cNvPr id="{n}" name="s{n}"/><p:cNvSpPr/><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:spPr/>'
            f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>"
            for n, (holder, words) in enumerate([('<p:ph type="title"/>', title), ("", text)], 2)
        )
        return (
            f'{_XML}<p:sld xmlns:p="{_SLIDE}" xmlns:a="{_DRAW}" xmlns:r="{_OFFICE}"><p:cSld><p:spTree><p:nvGrpSpPr>'
            f'<p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:sld>'
        )

    kind = "application/vnd.openxmlformats-officedocument.presentationml."
    return archive(
        {
            "[Content_Types].xml": content_types(
                {
                    "/ppt/presentation.xml": kind + "presentation.main+xml",
                    "/ppt/slides/slide1.xml": kind + "slide+xml",
                    "/ppt/slides/slide2.xml": kind + "slide+xml",
                }
            ),
            "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml")),
            "ppt/_rels/presentation.xml.rels": relations(
                ("slide", "slides/slide1.xml"), ("slide", "slides/slide2.xml")
            ),
            "ppt/presentation.xml": f'{_XML}<p:presentation xmlns:p="{_SLIDE}" xmlns:r="{_OFFICE}"><p:sldIdLst>'
            '<p:sldId id="256" r:id="rId1"/><p:sldId id="257" r:id="rId2"/></p:sldIdLst></p:presentation>',
            "ppt/slides/slide1.xml": slide("Welcome", "Our plan for spring."),
            "ppt/slides/slide2.xml": slide("Budget", "Ninety crowns remain."),
        }
    )


def odt() -> bytes:
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "META-INF/manifest.xml": f'{_XML}<manifest:manifest xmlns:manifest="{office}manifest:1.0"><manifest:file-entry '
            'manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/></manifest:manifest>',
            "content.xml": f'{_XML}<office:document-content xmlns:office="{office}office:1.0" xmlns:text="{office}text:1.0">'
            '<office:body><office:text><text:h text:outline-level="1">Open letter</text:h><text:p>Dear neighbours.</text:p>'
            "</office:text></office:body></office:document-content>",
        }
    )


def epub() -> bytes:
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'{_XML}<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="c.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
            "c.opf": f'{_XML}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="i"><metadata '
            'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The sea</dc:title><dc:language>en</dc:language>'
            '<dc:identifier id="i">x</dc:identifier></metadata><manifest><item id="a" href="a.xhtml" '
            'media-type="application/xhtml+xml"/></manifest><spine><itemref idref="a"/></spine></package>',
            "a.xhtml": f'{_XML}<html xmlns="http://www.w3.org/1999/xhtml"><head><title>t</title></head><body><h1>Chapter one'
            '</h1><p>The <a href="b.xhtml">tide</a> went out.</p></body></html>',
        }
    )


def pdf(pages: list[str], *, trailer: str = "") -> bytes:
    """A PDF with one line of Helvetica for each line of each page."""
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    kids = []
    for page in pages:
        lines = " ".join(f"({line}) Tj 0 -20 Td" for line in page.splitlines())
        stream = f"BT /F1 12 Tf 72 720 Td {lines} ET"
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    data = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
    return (
        data
        + f"{end}<< /Size {len(objects) + 1} /Root 1 0 R {trailer}>>\nstartxref\n{len(data)}\n%%EOF\n".encode()
    )


EMAIL = (
    b"From: Ann <ann@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: The boat\r\nDate: Mon, 6 Jan 2025 10:00:00 +0000\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: text/plain; charset="utf-8"\r\n\r\nThe boat leaves at nine.\r\n'
)

HTML = """<!DOCTYPE html><html><head><title>Guide &#8212; Docs</title><style>p {}</style><script>var x = "<p>no</p>"</script>
</head><body><!-- no --><div class="related"><ul><li><a href="n">next</a></li></ul></div>
<div class="sphinxsidebar"><div><h3>Contents of side</h3></div></div>
<div class="document"><div class="body" role="main"><section><h1>Guide<a class="headerlink" href="#g">¶</a></h1>
<p>Read <em>this</em> <a href="b.html" title="x > y">page</a>.</p>
<dl class="py class"><dt class="sig sig-object py" id="m.Foo">class <span>m.Foo</span><a class="viewcode-link" href="s">[source]</a>
</dt><dd><p>About Foo.</p><dl class="py method"><dt class="sig sig-object py" id="m.Foo.bar">bar(<em>x</em>)</dt>
<dd><p>About bar.</p></dd></dl></dd></dl>
<div class="highlight"><pre>x = 1
y = <span>2</span></pre></div><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
</section></div></div><footer role="contentinfo">Copyright line</footer></body></html>"""


def test_text_keeps_the_lines_of_the_file(read: Read) -> None:
    extracted = read(
        "a.txt", b"one\r\ntwo\rthree\x0cstill three\x0b\n\x1b[31mfour\x1b[0m\xe2\x80\xa8\xc2\x85still\n"
    )
    assert extracted.text.split("\n") == ["one", "two", "three still three ", "four  still", ""]
    assert extracted.source_lines
    assert extracted.media_type == "text/plain"


def test_markdown_rst_and_code(read: Read) -> None:
    markdown = read("a.md", b"# The *title*\n\nText.\n")
    assert (markdown.text, markdown.title, markdown.source_lines) == (
        "# The *title*\n\nText.\n",
        "The title",
        True,
    )
    assert read("a.rst", b"Title\n=====\n\nText.\n").title == "Title"
    assert read("a.py", b"# no title\nx = 1\n") == ExtractedText(
        "# no title\nx = 1\n", "text/x-python", source_lines=True
    )
    assert read("Makefile", b"all:\n\tcc a.c\n").text == "all:\n\tcc a.c\n"


def test_data(read: Read) -> None:
    assert read("a.csv", b"a,b\n1,2\n") == ExtractedText("a,b\n1,2\n", "text/csv", source_lines=True)
    assert read("a.tsv", b"a\tb\n").media_type == "text/tab-separated-values"
    assert read("a.json", b'{"a":\n [1]}').text == "a: 1"


def test_html(read: Read) -> None:
    extracted = read("a.html", HTML.encode())
    text = extracted.text
    assert extracted.title == "Guide — Docs"
    assert text.startswith("# Guide\n")
    assert "Read this page." in text
    assert "```\nx = 1\ny = 2\n```" in text
    assert "| 1 | 2 |" in text
    for junk in ("¶", "[source]", "next", "side", "Copyright", "var x", "b.html", "no", "*"):
        assert junk not in text, junk
    headings = {line.lstrip("# ") for line in text.splitlines() if line.startswith("#")}
    assert headings == {"Guide", "class m.Foo", "bar(x)"}
    assert not extracted.source_lines


def test_html_without_a_main_part(read: Read) -> None:
    page = "<html><body><nav>Menu</nav><h1>Title</h1><p>Body &lt;tag&gt; text.</p><p>Unclosed<div>More"
    text = read("a.htm", page.encode()).text
    assert "Menu" not in text
    assert all(part in text for part in ("# Title", "Body <tag> text.", "Unclosed", "More"))
    latin = '<html><head><meta charset="iso-8859-1"></head><body><p>Tr\xe8s bien, gar\xe7on</p></body></html>'
    assert "Très bien, garçon" in read("b.html", latin.encode("latin-1")).text


def test_pdf_pages(read: Read) -> None:
    extracted = read("a.pdf", pdf(["The first page speaks of apples.", "The second page speaks of pears."]))
    assert len(extracted.page_starts) == 2
    assert extracted.text[extracted.page_starts[1] :].strip() == "The second page speaks of pears."
    chunk = split(extracted)[-1]
    assert (chunk.span.page_first, chunk.span.page_last) == (1, 2)


def test_pdf_running_lines(read: Read) -> None:
    pages = [
        f"The Handbook\nBody text number {chr(65 + n)} of the page.\nMore body.\n{n + 1}" for n in range(5)
    ]
    extracted = read("a.pdf", pdf(pages))
    assert "Handbook" not in extracted.text
    assert "Body text number C" in extracted.text
    assert not any(line.strip().isdigit() for line in extracted.text.splitlines())


@pytest.mark.parametrize(
    ("name", "content", "expected", "title"),
    [
        (
            "a.docx",
            docx(),
            ["# Annual report", "Snow fell in March.", "## Costs", "seven percent & more."],
            "Annual report",
        ),
        ("a.xlsx", xlsx(), ["Towns", "Oslo", "709037", "Bergen"], None),
        ("a.pptx", pptx(), ["Welcome", "Our plan for spring.", "Budget", "Ninety crowns remain."], None),
        ("a.odt", odt(), ["# Open letter", "Dear neighbours."], "Open letter"),
        ("a.epub", epub(), ["# Chapter one", "The tide went out."], "The sea"),
        ("a.eml", EMAIL, ["The boat leaves at nine.", "ann@example.org"], "The boat"),
        ("a.rtf", rb"{\rtf1\ansi Hello \b bold\b0  world.\par Next.}", ["Hello", "world", "Next."], None),
    ],
)
def test_formats(read: Read, name: str, content: bytes, expected: list[str], title: str | None) -> None:
    extracted = read(name, content)
    for part in expected:
        assert part in extracted.text
    if title is not None:
        assert extracted.title == title
    assert not extracted.source_lines


def test_notebook(read: Read) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Analysis\n", "Some words."]},
        {"cell_type": "code", "source": "x = 1\nprint('```')", "outputs": []},
        {"cell_type": "code", "source": []},
    ]
    notebook = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    extracted = read("a.ipynb", json.dumps(notebook).encode())
    assert extracted.text == "# Analysis\n\nSome words.\n\n`````python\nx = 1\nprint('```')\n`````"
    assert extracted.title == "Analysis"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("naïve café".encode(), "naïve café"),
        ("naïve café".encode("utf-8-sig"), "naïve café"),
        ("naïve 字".encode("utf-16"), "naïve 字"),
        ("naïve".encode("utf-32"), "naïve"),
        (("plain words and " * 10 + "café").encode("latin-1"), "plain words and " * 10 + "café"),
        (("Größe und Länge, " * 3).encode() + b"\xff", "Größe und Länge, " * 3 + "\ufffd"),
        (b"", ""),
    ],
)
def test_decode(data: bytes, expected: str) -> None:
    assert decode(data) == expected


def test_decode_guesses_and_never_raises() -> None:
    russian = (
        "Всё счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. " * 4
    )
    assert decode(russian.encode("cp1251")) == russian
    rng = random.Random(7)
    for _ in range(200):
        decode(rng.randbytes(rng.randrange(200)))


# --- reasons --------------------------------------------------------------------------------------------


def encrypted_zip() -> bytes:
    data = bytearray(docx())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = 0
        while (position := data.find(mark, position)) >= 0:
            data[position + offset] |= 1
            position += 4
    return bytes(data)


def bomb() -> bytes:
    return archive({"word/document.xml": b"<a>" + b" " * 210_000_000})


def lying_bomb(part: str) -> bytes:
    """Unpacks to 300 MB and declares 100 bytes."""
    data = bytearray(archive({part: b" " * 300_000_000}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        position = data.find(mark) + offset
        data[position : position + 4] = (100).to_bytes(4, "little")
    return bytes(data)


ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.hazard
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.md", b"", Reason.EMPTY),
        ("spaces.md", b" \n\t\n", Reason.NO_TEXT),
        ("nul.txt", b"text\0text", Reason.BINARY),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Reason.BINARY),
        ("a.png", b"\x89PNG", Reason.PICTURE),
        ("no.pdf", b"not a PDF at all", Reason.DAMAGED),
        ("cut.pdf", pdf(["Text"])[:60], Reason.DAMAGED),
        ("blank.pdf", pdf([""]), Reason.NO_TEXT),
        ("no.docx", b"PK\x03\x04 rubbish", Reason.DAMAGED),
        ("text.docx", b"just text", Reason.DAMAGED),
        ("old.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, Reason.OLD_OFFICE),
        ("locked.docx", encrypted_zip(), Reason.ENCRYPTED),
        ("cut.docx", docx()[:-200], Reason.DAMAGED),
        ("entities.docx", archive({"word/document.xml": ENTITIES}), Reason.ENTITIES),
        ("bomb.docx", bomb(), Reason.BOMB),
        ("many.epub", archive({f"{number}": b"" for number in range(20_001)}), Reason.BOMB),
        ("no.ipynb", b"{", Reason.DAMAGED),
        ("list.ipynb", b"[1, 2]", Reason.DAMAGED),
        ("deep.ipynb", b"[" * 200_000, Reason.DAMAGED),
        ("min.js", b"var a=1;" * 10_000, Reason.MINIFIED),
        ("large.txt", b"x" * (20 * MIB + 1), Reason.TOO_LARGE),
    ],
)
def test_reasons(read: Read, name: str, content: bytes, reason: Reason) -> None:
    assert reason_of(lambda: read(name, content)) == reason


@pytest.mark.hazard
@pytest.mark.parametrize(
    ("name", "part"),
    [("a.docx", "word/document.xml"), ("a.xlsx", "xl/workbook.xml"), ("a.odt", "content.xml")],
)
def test_a_bomb_that_declares_little(read: Read, name: str, part: str) -> None:
    start = time.perf_counter()
    assert reason_of(lambda: read(name, lying_bomb(part))) in (
        Reason.DAMAGED,
        Reason.BOMB,
        Reason.TOO_MUCH_MEMORY,
        Reason.CRASHED,
    )
    assert time.perf_counter() - start < 30


def test_characters_that_xml_escapes(read: Read) -> None:
    body = "<w:p><w:r><w:t>R&amp;D: a&lt;b, c&gt;d, it&#8217;s &quot;x_y&quot; *z* [w]</w:t></w:r></w:p>"
    assert read("a.docx", docx(body)).text == 'R&D: a<b, c>d, it’s "x_y" *z* [w]'


def test_an_encrypted_pdf(read: Read) -> None:
    encryption = (
        "/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 "
        f"/O <{'28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a'}> "
        f"/U <{'00' * 32}> >> /ID [<{'00' * 16}> <{'00' * 16}>] "
    )
    assert reason_of(lambda: read("locked.pdf", pdf(["Secret"], trailer=encryption))) == Reason.ENCRYPTED


@pytest.mark.hazard
def test_mutated_files_have_a_reason_or_a_text(read: Read) -> None:
    rng = random.Random(20_250_101)
    seeds = {
        "a.docx": docx(), "a.xlsx": xlsx(), "a.pptx": pptx(), "a.odt": odt(), "a.epub": epub(), "a.eml": EMAIL,
        "a.html": HTML.encode(), "a.pdf": pdf(["One page.", "Another."]), "a.md": b"# T\n\ntext\n", "a.ipynb": b'{"cells": []}',
    }  # fmt: skip
    start = time.perf_counter()
    for number in range(300):
        name, seed = rng.choice(sorted(seeds.items()))
        data = bytearray(seed)
        for _ in range(rng.randint(1, 12)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        if number % 3 == 0:
            del data[rng.randrange(len(data)) :]
        try:
            extracted = read(name, bytes(data))
        except IngestError as error:
            assert str(error) in set(Reason)  # noqa: PT017
        else:
            split(extracted)
    assert time.perf_counter() - start < 120


@posix_only
@pytest.mark.hazard
def test_what_is_no_file_is_never_waited_for(extractor: Extractor, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "real.md").write_text("x")
    (tmp_path / "link.md").symlink_to("real.md")
    with open(tmp_path / "sparse.txt", "wb") as file:
        file.truncate(1 << 40)
    cases = {
        "pipe.md": Reason.NOT_REGULAR,
        "folder.md": Reason.NOT_REGULAR,
        "link.md": Reason.LINK,
        "sparse.txt": Reason.TOO_LARGE,
        "none.md": Reason.NOT_FOUND,
    }
    for name, reason in cases.items():
        start = time.perf_counter()
        assert reason_of(lambda name=name: extractor.extract(tmp_path / name)) == reason  # type: ignore[misc]
        assert time.perf_counter() - start < 2
        if name not in ("sparse.txt",):
            assert reason_of(lambda name=name: hash_file(tmp_path / name)) == reason  # type: ignore[misc]
    assert reason_of(lambda: hash_file("/dev/zero")) == Reason.NOT_REGULAR


@posix_only
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_no_permission(extractor: Extractor, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "a.md").chmod(0)
    assert reason_of(lambda: extractor.extract(tmp_path / "a.md")) == Reason.NO_PERMISSION


def test_odd_names(extractor: Extractor, tmp_path: Path) -> None:
    for name in (b"line\nbreak.md", "字.md".encode(), b"-rf.md", b"bad\xff.md"):
        path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118
        with open(path, "wb") as file:
            file.write(b"text")
        assert extractor.extract(Path(os.fsdecode(path))).text == "text"


def test_reading_and_hashing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    digest, size, mtime_ns = hash_file(path)
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert (size, mtime_ns) == (3, path.stat().st_mtime_ns)
    assert read_source(path, 3) == b"abc"
    assert reason_of(lambda: read_source(path, 2)) == Reason.TOO_LARGE


# --- the child ------------------------------------------------------------------------------------------


def small_extractor(tmp_path: Path, *, timeout_s: float = 30.0, memory_mib: int = 2048) -> Extractor:
    return Extractor(
        tmp_path / "log/extraction.log", timeout_s=timeout_s, memory_mib=memory_mib, max_file_bytes=200 * MIB
    )


def child_of(extractor: Extractor) -> Child:
    (reader,) = extractor._pool._readers
    return reader.child


@posix_only
@pytest.mark.hazard
def test_a_child_that_is_killed_costs_one_file(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    with small_extractor(tmp_path) as extractor:
        extractor.extract(tmp_path / "a.md")
        child = child_of(extractor)
        os.kill(child.pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (child.pid, signal.SIGKILL)).start()
        assert reason_of(lambda: extractor.extract(tmp_path / "a.md")) == Reason.CRASHED
        assert extractor.extract(tmp_path / "a.md").text == "text"


@posix_only
@pytest.mark.hazard
def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("text")
    with small_extractor(tmp_path, timeout_s=0.5) as extractor:
        extractor.extract(tmp_path / "a.md")
        child = child_of(extractor)
        os.kill(child.pid, signal.SIGSTOP)
        start = time.perf_counter()
        assert reason_of(lambda: extractor.extract(tmp_path / "a.md")) == Reason.TIMEOUT
        assert time.perf_counter() - start < 5
        assert not child.alive
        assert extractor.extract(tmp_path / "a.md").text == "text"


@pytest.mark.hazard
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_memory_is_limited(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(("字" * 40 + "\n").encode() * 500_000)
    (tmp_path / "b.txt").write_text("small")
    with small_extractor(tmp_path, memory_mib=200) as extractor:
        assert reason_of(lambda: extractor.extract(tmp_path / "a.txt")) in (
            Reason.TOO_MUCH_MEMORY,
            Reason.CRASHED,
        )
        assert extractor.extract(tmp_path / "b.txt").text == "small"


def test_children_are_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "_FILES_PER_CHILD", 2)
    (tmp_path / "a.md").write_text("text")
    pids = []
    with small_extractor(tmp_path) as extractor:
        for _ in range(4):
            extractor.extract(tmp_path / "a.md")
            pids.append(child_of(extractor).pid)
    assert pids[0] == pids[1] != pids[2] == pids[3]
    assert extractor._pool._readers == []


def test_a_child_that_cannot_start_is_no_file_s_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAGCHAT_EXTRACTION_MEMORY_MIB", "many")
    (tmp_path / "a.md").write_text("text")
    extractor = small_extractor(tmp_path)
    extractor._pool._memory_mib = "none"  # type: ignore[assignment]
    with extractor, pytest.raises(RagchatError, match="did not start") as caught:
        extractor.extract(tmp_path / "a.md")
    assert not isinstance(caught.value, IngestError)


def test_the_parent_never_imports_kreuzberg() -> None:
    import subprocess

    code = "import sys, ragchat.ingest.sync, ragchat.ingest.extract, ragchat.ingest.chunk; print('kreuzberg' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
