"""OCR: scans and pictures read page by page, off by default, with citations, confidence, progress, and nothing read twice."""

from __future__ import annotations

import os
import random
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ragchat.errors import IngestError, StorageError, UsageError
from ragchat.ingest.extract import Extractor
from ragchat.ingest.forget import forget
from ragchat.ingest.ocr_languages import check_data, find_data, parse_languages
from ragchat.ingest.readers import ReaderPool
from ragchat.ingest.reading.ocr import pictures
from ragchat.ingest.reading.ocr.pages import Ocr, PageText, _Reading
from ragchat.ingest.scan import Skip
from ragchat.ingest.sync import IngestOptions, SyncFinished, SyncProgress, sync
from ragchat.ingest.wire import PageRead, Read, ReadRequest, Reason
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.store.ocr_pages import OcrPage, any_pages, pages_of, put_page
from ragchat.store.portable import export_knowledge_base, import_knowledge_base
from ragchat.types import CancelToken, Hit
from tests.cli.test_kb_commands import run as ragchat
from tests.helpers.scans import (
    needs_data,
    noise,
    ocr_data,
    png,
    png_header,
    scanned_pdf,
    tiff,
    transparent_png,
    typeset,
)

needs_english = needs_data("eng")
HARBOUR = ("The harbour master keeps the keys.", "Boats over twelve metres pay 40 pounds a night.")
MILL = ("The mill was rebuilt in 1874 after the great fire.", "Its wheel still turns twice a week.")
FERRY = ("The last ferry leaves at a quarter to eleven.", "On Sundays there is none after nine.")


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    if folder := ocr_data("eng"):
        monkeypatch.setenv("TESSDATA_PREFIX", str(folder))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(paths.kb_dir, "kb") as opened:
        yield opened


@pytest.fixture
def options(paths: Paths) -> IngestOptions:
    return IngestOptions(log=paths.extraction_log, readers=2)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were parsed."""
    names: list[str] = []
    really = ReaderPool.submit

    def submit(self: ReaderPool[Any], what: Any, request: Any, size: int) -> None:
        names.append(Path(what.file.path).name)
        really(self, what, request, size)

    monkeypatch.setattr(ReaderPool, "submit", submit)
    return names


def switch(store: KnowledgeStore, *languages: str) -> None:
    store.set_options(replace(store.options(), ocr=languages))


def run(store: KnowledgeStore, options: IngestOptions, *add: Path) -> SyncFinished:
    *_, last = sync(store, options, cancel=CancelToken(), add=add)
    assert isinstance(last, SyncFinished)
    return last


def states(store: KnowledgeStore) -> dict[str, str]:
    return {Path(d.path).name: d.reason or d.state for d in store.documents()}


def found(store: KnowledgeStore, question: str) -> Hit:
    return Searcher([store]).search(question, 1).hits[0]


# --- what is read -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def read_pictures(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, object]:
    """What the reading process made of many pictures, at once, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    harbour, mill = typeset(*HARBOUR), typeset(*MILL)
    files = {
        "scan.png": png(harbour),
        "named.jpg": png(harbour),
        "clear.png": transparent_png(harbour),
        "turned.png": png(typeset(*HARBOUR, *MILL, *FERRY).turned()),
        "pages.tif": tiff([harbour, noise(), mill]),
        "motorola.tiff": tiff([mill], ">"),
        "photo.png": png(noise()),
        "scan.pdf": scanned_pdf([harbour, typeset(*HARBOUR, *MILL, *FERRY, size=(430, 160)).turned()]),
        "mixed.pdf": scanned_pdf(["This page is typed and says where the lighthouse stands.", mill]),
        "huge.png": png_header(50_000, 50_000),
        "damaged.png": png(harbour)[:300],
        "liar.png": b"GIF89a and no more",
    }
    results: dict[str, object] = {}
    data = str(ocr_data("eng"))
    with ReaderPool[str](folder / "log" / "reading.log", readers=2, timeout_s=60, memory_mib=2048) as pool:
        waiting = list(files.items())
        while waiting or not pool.idle:
            while waiting and pool.has_room(1000):
                name, content = waiting.pop()
                (folder / name).write_bytes(content)
                request = ReadRequest(os.fsencode(folder / name), 1 << 26, 220, 30, ("eng",), data)
                pool.submit(name, request, 1000)
            results.update((name, r) for name, r in pool.results(0.1) if not isinstance(r, PageRead))
    return results


def text_of(result: object) -> str:
    assert isinstance(result, Read), result
    return "\n".join(chunk.text for chunk in result.chunks)


@needs_english
@pytest.mark.parametrize("name", ["scan.png", "named.jpg", "clear.png"])
def test_every_word_of_a_clean_scan_is_right(read_pictures: Mapping[str, object], name: str) -> None:
    result = read_pictures[name]
    assert text_of(result).split() == " ".join(HARBOUR).split()
    assert isinstance(result, Read)
    assert result.ocr
    (chunk,) = result.chunks
    assert chunk.span.page_first == 1
    assert chunk.span.confidence
    assert 0.85 < chunk.span.confidence <= 1


@needs_english
def test_a_page_that_stands_upside_down_is_turned(read_pictures: Mapping[str, object]) -> None:
    assert text_of(read_pictures["turned.png"]).split() == " ".join((*HARBOUR, *MILL, *FERRY)).split()
    assert "rebuilt in 1874" in text_of(read_pictures["scan.pdf"])


@needs_english
def test_each_page_of_a_tiff_is_read(read_pictures: Mapping[str, object]) -> None:
    result = read_pictures["pages.tif"]
    assert text_of(result).split() == " ".join((*HARBOUR, *MILL)).split()
    assert isinstance(result, Read)
    assert [(left.kind, left.names) for left in result.left_out] == [("page without text", ("page 2",))]
    assert text_of(read_pictures["motorola.tiff"]).split() == " ".join(MILL).split()


@needs_english
def test_of_a_pdf_only_the_pages_that_are_pictures_are_read_by_ocr(
    read_pictures: Mapping[str, object],
) -> None:
    result = read_pictures["mixed.pdf"]
    assert "where the lighthouse stands" in text_of(result)
    assert "rebuilt in 1874" in text_of(result)
    assert isinstance(result, Read)
    assert result.ocr
    assert not result.left_out


@needs_english
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("photo.png", Reason.NO_OCR_TEXT),
        ("huge.png", Reason.BOMB),
        ("liar.png", Reason.DAMAGED),
    ],
)
def test_why_a_picture_is_not_read(read_pictures: Mapping[str, Any], name: str, reason: Reason) -> None:
    assert read_pictures[name].reason == reason


@needs_english
def test_a_picture_that_is_cut_off_is_read_or_refused(read_pictures: Mapping[str, Any]) -> None:
    assert isinstance(read_pictures["damaged.png"], Read) or read_pictures["damaged.png"].reason


# --- switching it on and off --------------------------------------------------------------------------------


def test_without_ocr_no_picture_is_opened_and_each_says_so(
    store: KnowledgeStore, options: IngestOptions, docs: Path, read: list[str]
) -> None:
    (docs / "scan.png").write_bytes(b"not looked at")
    (docs / "scan.pdf").write_bytes(scanned_pdf([noise()]))
    finished = run(store, options, docs)
    assert read == ["scan.pdf"]
    assert states(store) == {"scan.png": Skip.PICTURE, "scan.pdf": Reason.NO_TEXT_LAYER}
    assert any("`ragchat kb settings kb --ocr eng`" in note for note in finished.notes)
    assert Skip.PICTURE.value == Reason.PICTURE.value


@needs_english
def test_switched_on_it_reads_what_waited_and_nothing_else(
    store: KnowledgeStore, options: IngestOptions, docs: Path, read: list[str]
) -> None:
    (docs / "scan.png").write_bytes(png(typeset(*HARBOUR)))
    (docs / "photo.png").write_bytes(png(noise()))
    (docs / "scan.pdf").write_bytes(scanned_pdf([typeset(*FERRY)]))
    (docs / "mixed.pdf").write_bytes(scanned_pdf(["A typed page about the lighthouse.", typeset(*MILL)]))
    (docs / "typed.pdf").write_bytes(scanned_pdf(["This is typed alone."]))
    (docs / "note.md").write_text("# Note\n\nNothing to see.\n")
    run(store, options, docs)
    assert states(store)["mixed.pdf"] == "indexed"
    read.clear()

    switch(store, "eng")
    finished = run(store, options)
    assert sorted(read) == ["mixed.pdf", "photo.png", "scan.pdf", "scan.png"]
    assert states(store) | {"photo.png": ""} == dict.fromkeys(states(store), "indexed") | {"photo.png": ""}
    assert states(store)["photo.png"] == Reason.NO_OCR_TEXT
    assert not finished.notes
    hit = found(store, "rebuilt after the great fire")
    assert (Path(hit.path).name, hit.span.page_last) == ("mixed.pdf", 2)
    assert hit.span.confidence

    read.clear()
    assert run(store, options).unchanged == 6
    assert not read

    switch(store)
    run(store, options)
    assert not read
    assert states(store)["scan.png"] == states(store)["scan.pdf"] == "indexed"
    switch(store, "eng")
    run(store, options)
    assert read == ["photo.png"], "only what OCR had not read"


@needs_data("eng", "deu")
def test_other_languages_read_scans_again(
    store: KnowledgeStore, options: IngestOptions, docs: Path, read: list[str]
) -> None:
    (docs / "scan.png").write_bytes(png(typeset("Die Mühle wurde 1874 nach dem großen Brand neu gebaut.")))
    (docs / "typed.pdf").write_bytes(scanned_pdf(["This is typed alone."]))
    switch(store, "eng")
    run(store, options, docs)
    read.clear()
    switch(store, "eng", "deu")
    run(store, options)
    assert read == ["scan.png"]
    assert "Mühle" in found(store, "Mühle gebaut").text
    assert "großen Brand" in found(store, "Mühle gebaut").text


def test_a_knowledge_base_whose_language_is_not_here_says_so_and_goes_on(
    store: KnowledgeStore, options: IngestOptions, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.ingest.sync.check_data", lambda *_: check_data(("fra",), None, {}))
    monkeypatch.setattr("ragchat.ingest.ocr_languages._SHARED", ())
    (docs / "scan.png").write_bytes(b"not looked at")
    (docs / "note.md").write_text("# Note\n\nThe ferry.\n")
    switch(store, "fra")
    finished = run(store, options, docs)
    assert finished.status.indexed == 1
    assert any("no OCR data for French (fra)" in note for note in finished.notes)
    assert any("tesseract-ocr-fra" in note for note in finished.notes)


# --- progress, stopping, going on ---------------------------------------------------------------------------


@needs_english
def test_a_stopped_sync_goes_on_at_the_page_where_it_was(
    store: KnowledgeStore, options: IngestOptions, docs: Path
) -> None:
    pages = [typeset(f"This is sheet {number}.", *MILL) for number in range(1, 7)]
    (docs / "six.tif").write_bytes(tiff(pages))
    switch(store, "eng")
    cancel = CancelToken()
    said = []
    for event in sync(store, options, cancel=cancel, add=(docs,)):
        if isinstance(event, SyncProgress) and event.pages:
            said.append((event.page, event.pages, event.what))
            if event.page >= 2:
                cancel.cancel()
    assert said
    assert all(what == f"page {page} of 6 of six.tif" for page, _, what in said)
    assert not store.status().indexed
    with closing(sqlite3.connect(store.path)) as db:
        (kept,) = db.execute("SELECT count(*) FROM ocr_pages").fetchone()
    assert 2 <= kept < 6

    later = [event for event in sync(store, options, cancel=CancelToken()) if isinstance(event, SyncProgress)]
    assert all(event.page > kept for event in later if event.pages)
    assert store.status().indexed == 1
    assert not any_pages(store), "what is indexed is kept once"
    span = found(store, "This is sheet 5").narrowed
    assert span.page_first
    assert span.page_last
    assert 1 < span.page_first <= 5 <= span.page_last


@needs_english
def test_pages_of_another_content_or_language_are_not_taken(
    store: KnowledgeStore, options: IngestOptions, docs: Path
) -> None:
    path = docs / "scan.png"
    path.write_bytes(png(typeset(*HARBOUR)))
    put_page(store, "0" * 64, "eng", OcrPage(1, "of another file", 1.0))
    switch(store, "eng")
    run(store, options, docs)
    assert "harbour master" in found(store, "harbour").text


def test_a_page_that_was_read_before_is_not_looked_at() -> None:
    told: list[tuple[object, ...]] = []

    def never() -> pictures.Sheet:
        raise AssertionError("it is known")

    ocr = Ocr(("eng",), "", {1: PageText("known", 0.9)}, lambda *page: told.append(page))
    assert ocr.read(never, 1, 1) == ("known", 0.9)
    assert not told


def test_what_was_read_of_a_file_leaves_with_it(
    store: KnowledgeStore, options: IngestOptions, docs: Path
) -> None:
    (docs / "a.md").write_text("# A\n\nText.\n")
    run(store, options, docs)
    put_page(store, "1" * 64, "eng", OcrPage(1, "half a letter", 0.9))
    forget(store, str(docs / "a.md"))
    assert not any_pages(store)
    assert b"half a letter" not in store.path.read_bytes()


def test_pages_travel_with_a_knowledge_base_and_are_looked_at(store: KnowledgeStore, tmp_path: Path) -> None:
    put_page(store, "1" * 64, "eng", OcrPage(1, "half a letter", 0.9))
    switch(store, "eng")
    good = tmp_path / "good.ragkb"
    export_knowledge_base(store, good)
    with import_knowledge_base(tmp_path / "kb", good, "good") as taken:
        assert pages_of(taken, "1" * 64, "eng") == [(1, "half a letter", 0.9)]
        assert taken.options().ocr == ("eng",)
    put_page(store, "1" * 64, "eng", OcrPage(2, "red \x1b[31m alert", 0.9))
    bad = tmp_path / "bad.ragkb"
    export_knowledge_base(store, bad)
    with pytest.raises(StorageError, match="control characters in ocr_pages"):
        import_knowledge_base(tmp_path / "kb", bad, "bad")


def test_a_language_that_is_a_path_is_none(store: KnowledgeStore) -> None:
    switch(store, "eng", "../../etc/passwd", "eng+deu")
    assert store.options().ocr == ("eng",)


def test_an_attached_scan_says_how_to_have_it_read(paths: Paths, docs: Path) -> None:
    (docs / "scan.pdf").write_bytes(scanned_pdf([noise()]))
    (docs / "scan.png").write_bytes(png(noise()))
    with Extractor(paths.extraction_log, timeout_s=30, memory_mib=2048, max_file_bytes=1 << 26) as extractor:
        for name in ("scan.pdf", "scan.png"):
            with pytest.raises(IngestError, match="OCR") as caught:
                extractor.extract(docs / name)
            assert "--ocr eng" in caught.value.remedy


# --- languages ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        ("eng+deu", ("eng", "deu")), ("en, de", ("eng", "deu")), ("German", ("deu",)), ("off", ()), ("chi-sim", ("chi_sim",)),
        ("eng+en", ("eng",)), ("Zh", ("chi_sim",)), ("ger", ("deu",)), ("xyz", ("xyz",)),
    ],
)  # fmt: skip
def test_languages_may_be_written_in_several_ways(typed: str, codes: tuple[str, ...]) -> None:
    assert parse_languages(typed) == codes


@pytest.mark.parametrize("typed", ["klingon", "../eng", "eng deu", "e", "osd", "eng+"])
def test_what_is_no_language_is_refused(typed: str) -> None:
    with pytest.raises(UsageError):
        parse_languages(typed)


def test_a_language_that_is_not_there_is_refused_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.ingest.ocr_languages._SHARED", ())
    own, other = tmp_path / "own", tmp_path / "other"
    for folder, name in ((own, "eng"), (own, "osd"), (other, "deu")):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.traineddata").write_bytes(b"data")
    environ = {"TESSDATA_PREFIX": str(other)}
    assert find_data(own, environ).languages == ("deu", "eng")
    assert check_data(("eng",), own, environ) == own
    with pytest.raises(UsageError, match=r"There is no OCR data for French \(fra\)") as caught:
        check_data(("eng", "fra"), own, environ)
    for part in (
        "apt install tesseract-ocr-fra",
        "tesseract-langpack-fra",
        "tesseract-lang",
        str(own),
        "TESSDATA_PREFIX",
    ):
        assert part in caught.value.remedy
    with pytest.raises(UsageError, match="different folders"):
        check_data(("eng", "deu"), own, environ)


@needs_english
def test_settings_and_doctor(tmp_path: Path, docs: Path) -> None:
    home = tmp_path / "home"
    (docs / "scan.png").write_bytes(png(typeset(*HARBOUR)))
    assert ragchat(home, "kb", "add", "papers", str(docs)).returncode == 0
    shown = ragchat(home, "kb", "status", "papers").stdout
    assert "`ragchat kb settings papers --ocr eng`" in shown
    assert "OCR           off" in shown

    refused = ragchat(home, "kb", "settings", "papers", "--ocr", "tlh")
    assert refused.returncode
    assert "tesseract-ocr-tlh" in refused.stderr
    assert "English (eng)" in ragchat(home, "kb", "settings", "papers", "--ocr", "en").stdout
    assert "indexed 1" in ragchat(home, "kb", "sync", "papers").stderr
    assert "harbour master" in ragchat(home, "kb", "search", "harbour", "--kb", "papers").stdout
    assert "OCR" in ragchat(home, "doctor").stdout
    assert "stays" in ragchat(home, "kb", "settings", "papers", "--ocr", "off").stderr


# --- pictures that mean harm --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        png_header(50_000, 50_000), png_header(30_000, 30_000, 6), png_header(0, 10),
        b"BM" + bytes(16) + struct.pack("<ii", 60_000, -60_000),
        b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + b"\xff" * 6,
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03" + bytes(20),
        tiff([typeset("x")._replace(width=60_000, height=60_000)]),
        b"\xff\xd8\xff\xe0\0\x02", b"II*\0\x08\0\0", b"BM", b"RIFF1234WEBP", b"nothing of the kind",
    ],
)  # fmt: skip
def test_no_picture_is_decoded_that_says_it_is_too_large(header: bytes) -> None:
    with pytest.raises(IngestError) as caught:
        for sheet in pictures.sheets_of(header):
            sheet()
    assert str(caught.value) in (Reason.BOMB, Reason.DAMAGED)


def test_the_pages_of_a_tiff_come_to_an_end() -> None:
    circle = bytearray(tiff([typeset("x"), typeset("x")]))
    (first,) = struct.unpack_from("<I", circle, 4)
    (count,) = struct.unpack_from("<H", circle, first)
    struct.pack_into("<I", circle, first + 2 + 12 * count, first)
    assert len(pictures.sheets_of(bytes(circle))) == 1


def test_damaged_pictures_raise_nothing_else() -> None:
    draw = random.Random(5)
    samples = [
        png(typeset("x", size=(60, 30))),
        tiff([typeset("x", size=(60, 30))] * 2),
        transparent_png(typeset("x", size=(60, 30))),
    ]
    for sample in samples * 40:
        broken = bytearray(sample)
        for _ in range(draw.randrange(1, 6)):
            broken[draw.randrange(min(len(broken), 200))] = draw.randrange(256)
        del broken[draw.randrange(8, len(broken)) :]
        try:
            for sheet in pictures.sheets_of(bytes(broken)):
                sheet().render(0)
        except (IngestError, RuntimeError):  # the second are pdfium's, which `Ocr.read` takes
            pass


def test_the_turn_of_a_photograph_is_read_from_its_header() -> None:
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x112, 3, 1, 6) + bytes(4)
    segment = b"Exif\0\0" + exif
    frame = b"\xff\xc0\0\x0b\x08" + struct.pack(">HHB", 30, 40, 1) + b"\x01\x11\0"
    photo = b"\xff\xd8\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + frame
    assert pictures._jpeg_header(photo) == (40, 30, 1, 6)
    assert pictures._jpeg_header(photo.replace(b"Exif", b"Exxf"))[3] == 1


@needs_english
def test_a_photographed_page_is_read_as_it_was_held(tmp_path: Path) -> None:
    images = pytest.importorskip("PIL.Image", reason="no library that writes JPEG")
    page = typeset(*HARBOUR, *MILL, *FERRY)
    image = images.frombytes("L", (page.width, page.height), page.pixels)
    exif = images.Exif()
    exif[0x112] = 6
    path = tmp_path / "photo.jpg"
    image.rotate(90, expand=True).save(path, quality=90, exif=exif)
    fax = tmp_path / "fax.tif"
    image.convert("1", dither=0).save(fax, compression="group3")
    with ReaderPool[str](tmp_path / "log" / "reading.log", readers=1, timeout_s=60, memory_mib=2048) as pool:
        for file in (path, fax):
            request = ReadRequest(os.fsencode(file), 1 << 26, 220, 30, ("eng",), str(ocr_data("eng")))
            pool.submit(file.name, request, 1000)
            while not pool.idle:
                for _, result in pool.results(0.1):
                    if not isinstance(result, PageRead):
                        assert text_of(result).split() == " ".join((*HARBOUR, *MILL, *FERRY)).split()


# --- what Tesseract says --------------------------------------------------------------------------------------


def row(line: int, confidence: float, text: str, paragraph: int = 1) -> str:
    return f"5\t1\t1\t{paragraph}\t{line}\t1\t0\t0\t9\t9\t{confidence}\t{text}"


def test_lines_and_paragraphs_stay_and_specks_go() -> None:
    table = "\n".join(
        (
            "1\t1\t0\t0\t0\t0\t0\t0\t99\t99\t-1\t",
            row(1, 96, "Dear"), row(1, 94, "Sir,"), row(2, 91, "thank"), row(2, 90, "you."),
            row(1, 95, "Yours", 2), row(2, 11, "~§ll", 2), row(3, 20, "— .", 2), "torn",
        )
    )  # fmt: skip
    reading = _Reading.of(table).legible()
    assert reading.text == "Dear Sir,\nthank you.\n\nYours"
    assert 0.9 < reading.confidence < 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [row(1, 30, "kljh"), row(2, 12, "ii;")],
        [row(1, 95, "a")],
        [row(1, 95, "|||")],
        [row(1, 95.0, "  ")],
    ],
)
def test_textures_are_no_text(rows: list[str]) -> None:
    assert not _Reading.of("\n".join(rows)).legible().text


def test_scripts_without_blanks_have_none() -> None:
    table = "\n".join(row(1, 90, text) for text in ("港", "口", "in", "大连", "港"))
    assert _Reading.of(table).legible().text == "港口 in 大连港"
