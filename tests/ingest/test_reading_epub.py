"""Electronic books: each chapter once, in order, under its headings."""

from __future__ import annotations

import contextlib
import random
import zipfile
from io import BytesIO

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'


def page(body: str) -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head><title/></head><body>{body}</body></html>'
    )


def package(items: str, spine: str, metadata: str = "<dc:title>The ferry</dc:title>", toc: str = "") -> str:
    return (
        f'<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata {DC}>{metadata}</metadata>'
        f"<manifest>{items}</manifest><spine{toc}>{spine}</spine></package>"
    )


def item(name: str, href: str, more: str = "", media_type: str = "application/xhtml+xml") -> str:
    return f'<item id="{name}" href="{href}" media-type="{media_type}" {more}/>'


def archive(files: dict[str, str | bytes]) -> bytes:
    data = BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("mimetype", "application/epub+zip")
        for name, content in files.items():
            out.writestr(name, content)
    return data.getvalue()


def book(pages: dict[str, str], *, extra: str = "", spine: str = "", toc: str = "", **more: str) -> bytes:
    """A book of these pages, by their file names, in this order."""
    items = "".join(item(name.partition(".")[0], name) for name in pages) + extra
    spine = spine or "".join(f'<itemref idref="{name.partition(".")[0]}"/>' for name in pages)
    files: dict[str, str | bytes] = {
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package(items, spine, toc=toc, **more),
    }
    files |= {f"OEBPS/{name}": page(body) for name, body in pages.items()}
    return archive(files)


def with_files(data: bytes, files: dict[str, str]) -> bytes:
    with zipfile.ZipFile(BytesIO(data)) as old:
        return archive({n: old.read(n) for n in old.namelist() if n != "mimetype"} | files)


def paths(document: ExtractedText) -> list[tuple[str, ...]]:
    return [section.path for section in document.sections]


def left(document: ExtractedText, kind: LeftOutKind) -> int:
    return next((one.count for one in document.left_out if one.kind == kind), 0)


NAV = item("nav", "nav.xhtml", 'properties="nav"')


def navigation(entries: str) -> str:
    printed = '<nav epub:type="page-list"><ol><li><a href="a.xhtml#p1">1</a></li></ol></nav>'
    return page(f'<nav epub:type="toc"><ol>{entries}</ol></nav>{printed}')


def test_each_chapter_once_in_the_order_of_the_spine() -> None:
    data = book(
        {"b.xhtml": "<h1>Two</h1><p>Second.</p><p># make</p>", "a.xhtml": "<h1>One</h1><p>First.</p>"},
        spine='<itemref idref="a"/><itemref idref="b"/><itemref idref="a"/>',
    )
    document = read("a.epub", data)
    assert document.text == "# One\n\nFirst.\n\n# Two\n\nSecond.\n\n# make"
    assert document.title == "The ferry"
    assert paths(document) == [("One",), ("Two",)]
    assert not document.file_lines


CANARIES: dict[str, tuple[str, str | LeftOutKind]] = {
    "paragraph": ("<p>{}</p>", "found"),
    "note": ('<aside epub:type="footnote" id="n1"><p>{}</p></aside>', "found"),
    "hidden note": ('<aside epub:type="footnote" hidden="">{}</aside>', "found"),
    "header": ("<header><p>{}</p></header>", "found"),
    "footer": ("<footer><p>{}</p></footer>", "found"),
    "aside": ("<aside class='sidebar'><a href='x'>{}</a></aside>", "found"),
    "poem": ("<div class='stanza'><span>a</span><br/>{}</div>", "found"),
    "picture told": ('<img src="p.png" alt="A {} at sea"/>', "found"),
    "caption": ("<figure><img src='p.png' alt=''/><figcaption>{}</figcaption></figure>", "found"),
    "picture untold": ('<img src="{}.png"/>', LeftOutKind.PICTURE),
    "sound": ('<audio src="{}.mp3"></audio>', LeftOutKind.SOUND),
    "struck out": ("<del>{}</del>", LeftOutKind.DELETED_TEXT),
    "hidden": ('<p style="display:none">{}</p>', LeftOutKind.HIDDEN_TEXT),
}


@pytest.mark.parametrize("place", CANARIES)
def test_each_place_of_a_chapter(place: str) -> None:
    markup, fate = CANARIES[place]
    document = read("a.epub", book({"a.xhtml": f"<h1>One</h1><p>First.</p>{markup.format('siskin')}"}))
    if fate == "found":
        assert document.text.count("siskin") == 1
    else:
        assert "siskin" not in document.text
        assert left(document, LeftOutKind(fate)) == 1


def test_the_package_is_told() -> None:
    metadata = (
        "<dc:title>The ferry</dc:title><dc:creator>Ida Holm</dc:creator>"
        "<dc:subject>Boats</dc:subject><dc:subject>Sea</dc:subject>"
        "<dc:description>&lt;p&gt;A &lt;b&gt;crossing&lt;/b&gt;.&lt;/p&gt;</dc:description><dc:language>en</dc:language>"
    )
    document = read("a.epub", book({"a.xhtml": "<p>First.</p>"}, metadata=metadata))
    assert document.text == "First.\n\nSubject: Boats, Sea\n\nDescription: A crossing."
    assert left(document, LeftOutKind.PROPERTY) == 1


def test_parts_of_the_contents_are_outer_headings() -> None:
    entries = (
        '<li><span>Part I</span><ol><li><a href="a.xhtml">One</a></li><li><a href="b.xhtml">Two</a></li></ol></li>'
        '<li><a href="c.xhtml">End</a></li>'
    )
    pages = {
        name: f"<h2>{title}</h2><p>x</p><h3>Deep</h3>"
        for name, title in (("a.xhtml", "One"), ("b.xhtml", "Two"), ("c.xhtml", "End"))
    }
    data = with_files(book(pages, extra=NAV), {"OEBPS/nav.xhtml": navigation(entries)})
    document = read("a.epub", data)
    assert paths(document) == [
        ("Part I",), ("Part I", "One"), ("Part I", "One", "Deep"), ("Part I", "Two"), ("Part I", "Two", "Deep"), ("End",),
        ("End", "Deep"),
    ]  # fmt: skip
    assert "nav" not in document.text


def test_chapters_without_headings_take_those_of_the_contents() -> None:
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>'
        '<navPoint id="1"><navLabel><text>One</text></navLabel><content src="a.xhtml"/>'
        '<navPoint id="2"><navLabel><text>Storm</text></navLabel><content src="a.xhtml#s"/></navPoint></navPoint>'
        '<navPoint id="3"><navLabel><text>Two</text></navLabel><content src="b.xhtml"/></navPoint></navMap></ncx>'
    )
    pages = {
        "a.xhtml": '<p class="title">ONE</p><p>Calm.</p><p id="s">Rain fell.</p>',
        "b.xhtml": "<p>Night.</p>",
    }
    data = book(pages, extra=item("ncx", "toc.ncx", media_type="application/x-dtbncx+xml"), toc=' toc="ncx"')
    document = read("a.epub", with_files(data, {"OEBPS/toc.ncx": ncx}))
    assert document.text == "# ONE\n\nCalm.\n\n## Storm\n\nRain fell.\n\n# Two\n\nNight."
    assert paths(document) == [("ONE",), ("ONE", "Storm"), ("Two",)]


def test_what_the_spine_lacks_is_read_behind_it() -> None:
    pages = {"n.xhtml": "<p>Notes.</p>", "a.xhtml": "<p>Text.</p>", "z.xhtml": "<p>Aside.</p>"}
    data = book(pages, spine='<itemref idref="z" linear="no"/><itemref idref="a"/>')
    assert read("a.epub", data).text == "Text.\n\nAside.\n\nNotes."


def test_marks_of_notes_stand_apart() -> None:
    body = '<p>Herons<a epub:type="noteref" href="#n">1</a> and 1932<sup><a href="#m">2</a></sup>.</p>'
    assert read("a.epub", book({"a.xhtml": body})).text == "Herons [1] and 1932 [2]."


def test_numbers_of_printed_pages_do_not_stand_in_sentences() -> None:
    body = '<p>It left at<span epub:type="pagebreak" id="p9" title="9">9</span> dusk.</p>'
    assert read("a.epub", book({"a.xhtml": body})).text == "It left at dusk."


def test_names_with_escapes_and_of_another_case() -> None:
    data = archive({
        "META-INF/container.xml": CONTAINER,
        "OEBPS/book.opf": package(
            item("a", "Ch%201.XHTML") + item("b", "gone.xhtml"), '<itemref idref="a"/><itemref idref="b"/>'
        ),
        "OEBPS/ch 1.xhtml": page("<p>Text.</p>"),
    })  # fmt: skip
    assert read("a.epub", data).text == "Text."


@pytest.mark.parametrize("lacks", ["META-INF/container.xml", "OEBPS/book.opf"])
def test_books_without_their_lists(lacks: str) -> None:
    data = book({"a.xhtml": "<p>First.</p>", "b.xhtml": "<p>Second.</p>"})
    with zipfile.ZipFile(BytesIO(data)) as old:
        data = archive({name: old.read(name) for name in old.namelist() if name not in (lacks, "mimetype")})
    assert read("a.epub", data).text == "First.\n\nSecond."


def encryption(algorithm: str, target: str) -> str:
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#">'
        f'<enc:EncryptedData><enc:EncryptionMethod Algorithm="{algorithm}"/><enc:CipherData>'
        f'<enc:CipherReference URI="{target}"/></enc:CipherData></enc:EncryptedData></encryption>'
    )


def test_protected_books_are_refused_and_protected_fonts_are_not() -> None:
    data = book({"a.xhtml": "<p>First.</p>"})
    font = encryption("http://www.idpf.org/2008/embedding", "OEBPS/a.otf")
    assert read("a.epub", with_files(data, {"META-INF/encryption.xml": font})).text == "First."
    text = encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OEBPS/a.xhtml")
    with pytest.raises(IngestError) as error:
        read("a.epub", with_files(data, {"META-INF/encryption.xml": text}))
    assert str(error.value) == Reason.ENCRYPTED


@pytest.mark.parametrize(
    "data", [b"PK\x03\x04 no archive", archive({"a.txt": "x"}), archive({"a.opf": "<package/>"})]
)
def test_damaged_books(data: bytes) -> None:
    with pytest.raises(IngestError) as error:
        read("a.epub", data)
    assert str(error.value) == Reason.DAMAGED


def test_entities_and_bombs_are_refused() -> None:
    data = book({"a.xhtml": "<p>First.</p>"})
    entities = '<!DOCTYPE html [<!ENTITY a "b">]><html><body>&a;</body></html>'
    with pytest.raises(IngestError) as error:
        read("a.epub", with_files(data, {"OEBPS/a.xhtml": entities}))
    assert str(error.value) == Reason.ENTITIES


def test_mutations_raise_only_what_is_said() -> None:
    chance = random.Random(3)
    whole = book({"a.xhtml": "<h1>One</h1><p>First.</p>" * 20, "b.xhtml": "<p>Second.</p>"}, extra=NAV)
    sample = with_files(whole, {"OEBPS/nav.xhtml": navigation('<li><a href="a.xhtml">One</a></li>')})
    for _ in range(100):
        data = bytearray(sample)
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        cut = bytes(data[: chance.randrange(1, len(data))]) if chance.random() < 0.3 else bytes(data)
        with contextlib.suppress(IngestError):
            read("a.epub", cut)


def test_a_chapter_that_begins_in_the_middle_of_a_file() -> None:
    ncx = (
        '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>'
        '<navPoint><navLabel><text>One</text></navLabel><content src="a.xhtml"/></navPoint>'
        '<navPoint><navLabel><text>II</text></navLabel><content src="b.xhtml#c2"/></navPoint></navMap></ncx>'
    )
    data = book(
        {"a.xhtml": "<p>It left</p>", "b.xhtml": '<p>at noon.</p><p id="c2">II</p><p>It came.</p>'},
        extra=item("ncx", "toc.ncx", media_type="application/x-dtbncx+xml"),
        toc=' toc="ncx"',
    )
    document = read("a.epub", with_files(data, {"OEBPS/toc.ncx": ncx}))
    assert document.text == "# One\n\nIt left\n\nat noon.\n\n# II\n\nIt came."


def test_a_second_title_and_a_drawn_cover() -> None:
    cover = '<svg xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="c.jpg" width="600" height="800"/></svg>'
    titles = "<dc:title>The ferry</dc:title><dc:title>A year on the river</dc:title>"
    document = read("a.epub", book({"a.xhtml": f"{cover}<p>Water.</p>"}, metadata=titles))
    assert document.text == "Water.\n\nTitle: A year on the river"
    assert left(document, LeftOutKind.PICTURE) == 1
