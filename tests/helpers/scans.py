"""Scans made by the tests themselves: text set in Helvetica by pdfium, as pictures in PNG, TIFF and PDF written by hand."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pypdfium2
import pytest

from ragchat.ingest.ocr_languages import find_data

_FETCHED = Path(__file__).resolve().parents[2] / ".cache" / "tessdata"


def ocr_data(*languages: str) -> Path | None:
    """A folder with the data of these languages, if there is one."""
    environ = {**os.environ, "TESSDATA_PREFIX": os.environ.get("TESSDATA_PREFIX", str(_FETCHED))}
    return find_data(None, environ).folder_with(languages)


def needs_data(*languages: str) -> pytest.MarkDecorator:
    """Skips a test of OCR where its data cannot be had."""
    packages = " ".join(f"tesseract-ocr-{language}" for language in languages)
    return pytest.mark.skipif(ocr_data(*languages) is None, reason=f"no data for OCR: apt install {packages}")


class Picture(NamedTuple):
    """Grey pixels, 0 black, a byte each, row by row."""

    width: int
    height: int
    pixels: bytes

    def turned(self) -> Picture:
        """Upside down."""
        return self._replace(pixels=self.pixels[::-1])


def typeset(*lines: str, dpi: int = 150, size: tuple[int, int] = (430, 160)) -> Picture:
    """Lines of 12 point on white; `size` in points."""
    with_marks = " ".join(f"({line}) Tj 0 -18 Td" for line in lines)
    page = _document([(f"BT /F 12 Tf 20 {size[1] - 30} Td {with_marks} ET", b"")], size)
    document = pypdfium2.PdfDocument(page)
    bitmap = document[0].render(scale=dpi / 72, grayscale=True)
    rows = np.frombuffer(bitmap.buffer, np.uint8).reshape(bitmap.height, bitmap.stride)[:, : bitmap.width]
    picture = Picture(bitmap.width, bitmap.height, rows.tobytes())
    document.close()
    return picture


def noise(width: int = 500, height: int = 300) -> Picture:
    """What holds no text: patches of grey."""
    patches = np.random.default_rng(7).integers(90, 170, (height // 20, width // 20), np.uint8)
    return Picture(width, height, np.kron(patches, np.ones((20, 20), np.uint8)).tobytes())


def png(picture: Picture) -> bytes:
    return _png(picture.width, picture.height, 0, picture.pixels, 1)


def transparent_png(picture: Picture) -> bytes:
    """Black letters on nothing: the letters are in the opacity alone."""
    grey = np.frombuffer(picture.pixels, np.uint8)
    layers = np.stack([np.zeros_like(grey)] * 3 + [255 - grey], axis=1)
    return _png(picture.width, picture.height, 6, layers.tobytes(), 4)


def png_header(width: int, height: int, colour: int = 0) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    return _png(width, height, colour, b"", 0)


def _png(width: int, height: int, colour: int, pixels: bytes, depth: int) -> bytes:
    step = width * depth
    rows = b"".join(b"\0" + pixels[at : at + step] for at in range(0, len(pixels), step or 1))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows, 1)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def tiff(pictures: Sequence[Picture], order: str = "<") -> bytes:
    """A TIFF of several pages, not compressed."""
    written = bytearray((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8))
    for number, picture in enumerate(pictures, 1):
        directory = len(written)
        tags = {256: picture.width, 257: picture.height, 258: 8, 259: 1, 262: 1, 277: 1, 278: picture.height}
        pixels = directory + 2 + 12 * (len(tags) + 2) + 4
        tags |= {273: pixels, 279: len(picture.pixels)}
        end = pixels + len(picture.pixels)
        following = end + end % 2 if number < len(pictures) else 0
        written += struct.pack(f"{order}H", len(tags))
        for tag, value in sorted(tags.items()):
            written += struct.pack(f"{order}HHII", tag, 4, 1, value)
        written += struct.pack(f"{order}I", following) + picture.pixels + b"\0" * (end % 2)
    return bytes(written)


def scanned_pdf(pages: Sequence[Picture | str]) -> bytes:
    """A PDF whose pages are pictures, or typed where a text is given."""
    contents = []
    for page in pages:
        if isinstance(page, str):
            contents.append((f"BT /F 12 Tf 40 100 Td ({page}) Tj ET", b""))
            continue
        entries = f"/Subtype/Image/Width {page.width}/Height {page.height}/BitsPerComponent 8"
        entries += "/ColorSpace/DeviceGray/Filter/FlateDecode"
        contents.append(("430 0 0 160 0 0 cm /I Do", _stream(entries, zlib.compress(page.pixels, 1))))
    return _document(contents, (430, 160))


def _stream(entries: str, data: bytes) -> bytes:
    return f"<<{entries}/Length {len(data)}>>stream\n".encode() + data + b"\nendstream"


def _document(pages: Sequence[tuple[str, bytes]], size: tuple[int, int]) -> bytes:
    """A PDF of pages, each with what is drawn on it and the picture that it calls I, if any."""
    kids = " ".join(f"{4 + 3 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    for number, (drawn, picture) in enumerate(pages):
        at = 5 + 3 * number
        resources = f"<</Font<</F 3 0 R>>/XObject<</I {at + 1} 0 R>>>>"
        objects += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {size[0]} {size[1]}]/Resources{resources}/Contents {at} 0 R>>".encode(),
            _stream("", drawn.encode("cp1252")),
            picture or b"null",
        ]
    written = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF"
    return written + end % (len(objects) + 1, table, len(objects) + 1, len(written))
