"""Pictures as sheets to recognise: what their headers say, before anything is decoded, and each page as something to render.

PNG, JPEG and faxes become a PDF of one page around the very bytes of the file, so that pdfium decodes, turns and scales them.
Whatever else is handed on as it is; of a TIFF each page as a TIFF that begins with it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ragchat.errors import IngestError
from ragchat.ingest.wire import Reason

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

DPI = 300
LARGEST_SIDE = 4096
"""Pixels; what is larger is scaled down. Tesseract gets no better with more, only slower."""
_LARGEST_PLAIN = 64_000_000
"""Pixels of a picture that the recogniser decodes itself; it takes no more."""
_LARGEST_DECODED = 400_000_000
"""Bytes of a picture that pdfium decodes."""
_MOST_PAGES = 5_000
_PNG = b"\x89PNG\r\n\x1a\n"
_INTERLACED = 1
_COMPONENTS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Of the colour types of PNG."""
_EXIF_TURNS = {3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}
_ON_WHITE = {
    4: (b"/DeviceN[/g/a]/DeviceGray", 2, 1, b"{ exch 1 sub 1 index mul 1 add exch pop }"),
    6: (
        b"/DeviceN[/r/g/b/a]/DeviceRGB",
        4,
        3,
        b"{ 1 index 1 sub 1 index mul 1 add 3 index 1 sub 2 index mul 1 add"
        b" 5 index 1 sub 3 index mul 1 add exch 3 2 roll 7 3 roll pop pop pop pop }",
    ),
}
"""Colour spaces that lay transparent pixels on white: each colour c with opacity a becomes 1 + a (c - 1)."""


class Encoded(NamedTuple):
    """A picture as bytes, with its media type."""

    data: bytes
    media_type: str


class Sheet(Protocol):
    """One page of a picture. `render` gives it turned clockwise by so many degrees, or None: it cannot be turned."""

    def render(self, turn: int) -> Encoded | None:
        """The picture turned clockwise by `turn` degrees; None if it cannot be turned."""


class _Plain(Sheet):
    def __init__(self, data: bytes, media_type: str) -> None:
        self._picture = Encoded(data, media_type)

    def render(self, turn: int) -> Encoded | None:
        return None if turn else self._picture


class PageSheet(Sheet):
    """A page that pdfium renders, `upright` when turned so far. At most `dpi`, and never more pixels than are good.

    `is_small`: its pixels are those of a picture, however few they are.
    """

    def __init__(self, page: PdfPage, *, dpi: float = DPI, upright: int = 0) -> None:
        self._page = page
        self._scale = min(dpi / 72, LARGEST_SIDE / max(1.0, *page.get_size()))
        self._upright = upright
        self.is_small = dpi < DPI

    def render(self, turn: int) -> Encoded | None:
        """The picture turned clockwise by `turn` degrees; None if it cannot be turned."""
        bitmap = self._page.render(scale=self._scale, rotation=(self._upright + turn) % 360, grayscale=True)
        try:
            return Encoded(_as_png(bitmap.width, bitmap.height, bitmap.stride, bitmap.buffer), "image/png")
        finally:
            bitmap.close()


Opener = Callable[[], Sheet]
"""Makes a sheet when its turn comes: a TIFF may hold thousands. Raises IngestError."""


def sheets_of(data: bytes) -> list[Opener]:
    """The pages of a picture, by its first bytes. Raises IngestError: damaged, or too large to be decoded."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return list(_tiff_sheets(data))
    for beginning, make in _MAKERS.items():
        if data.startswith(beginning):
            return [partial(_same, make(data))]
    raise IngestError(Reason.DAMAGED)


def _same(sheet: Sheet) -> Sheet:
    return sheet


def _plain(data: bytes, media_type: str, width: int, height: int) -> Sheet:
    if width * height > _LARGEST_PLAIN:
        raise IngestError(Reason.BOMB)
    return _Plain(data, media_type)


def _unpacked(layout: str, data: bytes, at: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, data, at)
    except struct.error as error:
        raise IngestError(Reason.DAMAGED) from error


# --- PNG ------------------------------------------------------------------------------------------------


def _png_sheet(data: bytes) -> Sheet:
    width, height, bits, colour, _, _, interlace = _unpacked(">IIBBBBB", data, 16)
    if colour not in _COMPONENTS or bits not in (1, 2, 4, 8, 16) or not (width and height):
        raise IngestError(Reason.DAMAGED)
    if interlace == _INTERLACED:
        return _plain(data, "image/png", width, height)
    bytes_decoded = width * height * _COMPONENTS[colour] * bits // 8
    if bytes_decoded * (2 if colour in _ON_WHITE else 1) > _LARGEST_DECODED:
        raise IngestError(Reason.BOMB)
    chunks = list(_png_chunks(data))
    pixels = b"".join(body for kind, body in chunks if kind == b"IDAT")
    palette = next((body for kind, body in chunks if kind == b"PLTE"), b"")
    space, function = _colour_space(colour, palette)
    parameters = b"/Predictor 15/Colors %d/BitsPerComponent %d/Columns %d" % (
        *(_COMPONENTS[colour], bits, width),
    )
    image = b"/Width %d/Height %d/BitsPerComponent %d/ColorSpace %s/Filter/FlateDecode/DecodeParms<<%s>>" % (
        *(width, height, bits, space, parameters),
    )
    strip = _Strip(_stream(b"/Subtype/Image" + image, pixels), height)
    return _sheet_of_pdf(_pdf(width, height, (strip,), function))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_PNG)
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _colour_space(colour: int, palette: bytes) -> tuple[bytes, bytes]:
    """The colour space of a PNG, and the function that it refers to as object 5, if any."""
    if colour == 3:
        if len(palette) < 3:
            raise IngestError(Reason.DAMAGED)
        colours = palette[: len(palette) // 3 * 3][: 3 * 256]
        return b"[/Indexed/DeviceRGB %d<%s>]" % (len(colours) // 3 - 1, colours.hex().encode()), b"null"
    if colour not in _ON_WHITE:
        return (b"/DeviceRGB" if colour == 2 else b"/DeviceGray"), b"null"
    space, takes, gives, code = _ON_WHITE[colour]
    ranges = b"/FunctionType 4/Domain[%s]/Range[%s]" % (b"0 1 " * takes, b"0 1 " * gives)
    return b"[%s 5 0 R]" % space, _stream(ranges, code)


def _as_png(width: int, height: int, stride: int, pixels: Any) -> bytes:
    """A PNG of grey pixels, one byte each, rows `stride` bytes apart."""
    import numpy as np

    rows = np.frombuffer(pixels, np.uint8, stride * height).reshape(height, stride)[:, :width]
    filtered = np.zeros((height, width + 1), np.uint8)
    filtered[:, 1:] = rows
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 1)), (b"IEND", b""))
    return _PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        for kind, body in parts
    )


# --- a PDF around a picture -------------------------------------------------------------------------------


def _stream(entries: bytes, data: bytes) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (entries, len(data), data)


class _Strip(NamedTuple):
    """A picture in a PDF as wide as the page, `rows` pixels high; the strips of a page stand below each other."""

    image: bytes
    rows: int


def _pdf(width: int, height: int, strips: Sequence[_Strip], function: bytes = b"null") -> bytes:
    """A PDF of one page, a point for each pixel. `function` becomes its object 5."""
    names = b"".join(b"/I%d %d 0 R" % (number, number + 6) for number in range(len(strips)))
    content, foot = bytearray(), height
    for number, strip in enumerate(strips):
        foot -= strip.rows
        content += b"q %d 0 0 %d 0 %d cm /I%d Do Q\n" % (width, strip.rows, foot, number)
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Resources<</XObject<<%s>>>>/Contents 4 0 R>>"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        page % (width, height, names),
        _stream(b"", bytes(content)),
        function,
        *(strip.image for strip in strips),
    )
    written = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table)
    return bytes(written)


def _sheet_of_pdf(data: bytes, upright: int = 0) -> Sheet:
    import pypdfium2

    try:
        return PageSheet(pypdfium2.PdfDocument(data)[0], dpi=72, upright=upright)
    except pypdfium2.PdfiumError as error:
        raise IngestError(Reason.DAMAGED) from error


# --- JPEG -----------------------------------------------------------------------------------------------


def _jpeg_sheet(data: bytes) -> Sheet:
    import io

    import pypdfium2

    width, height, components, orientation = _jpeg_header(data)
    if width * height * components > _LARGEST_DECODED:
        raise IngestError(Reason.BOMB)
    try:
        document = pypdfium2.PdfDocument.new()
        image = pypdfium2.PdfImage.new(document)
        image.load_jpeg(io.BytesIO(data), inline=True)
        image.set_matrix(pypdfium2.PdfMatrix().scale(width, height))
        page = document.new_page(width, height)
        page.insert_obj(image)
        page.gen_content()
        return PageSheet(page, dpi=72, upright=_EXIF_TURNS.get(orientation, 0))
    except pypdfium2.PdfiumError as error:
        raise IngestError(Reason.DAMAGED) from error


def _jpeg_header(data: bytes) -> tuple[int, int, int, int]:
    """(width, height, components, orientation as Exif numbers it)."""
    at, orientation = 2, 1
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 1:  # filling, or nothing behind it
            at += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, components = _unpacked(">HHB", data, at + 5)
            if width and height:
                return width, height, components, orientation
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            orientation = _exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    raise IngestError(Reason.DAMAGED)


def _exif_orientation(exif: bytes) -> int:
    try:
        order = "<" if exif[:2] == b"II" else ">"
        tags, _ = _directory(exif, struct.unpack_from(f"{order}I", exif, 4)[0], order)
    except (IngestError, struct.error):
        return 1
    return tags.one(_ORIENTATION, 1)


# --- TIFF, BMP, WebP --------------------------------------------------------------------------------------


class _Tags(dict[int, tuple[int, ...]]):
    """The numbers in a directory of a TIFF, by tag."""

    def one(self, tag: int, otherwise: int = 0) -> int:
        return self.get(tag, (otherwise,))[0]


def _tiff_sheets(data: bytes) -> Iterator[Opener]:
    order = "<" if data[:2] == b"II" else ">"
    (at,) = _unpacked(f"{order}I", data, 4)
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_PAGES:
        seen.add(at)
        tags, following = _directory(data, at, order)
        if not tags.one(_SUBFILE) & 0b101:  # neither a preview nor a mask
            yield partial(_tiff_sheet, data, tags, struct.pack(f"{order}I", at))
        at = following


def _tiff_sheet(data: bytes, tags: _Tags, at: bytes) -> Sheet:
    """The page whose directory is at `at`, as the file spells it."""
    if (fax := _fax_sheet(data, tags)) is not None:
        return fax
    return _plain(data[:4] + at + data[8:], "image/tiff", tags.one(_WIDTH), tags.one(_HEIGHT))


_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 254, 256, 257, 258, 259, 262, 266
_OFFSETS, _ORIENTATION, _SAMPLES, _ROWS_PER_STRIP, _BYTE_COUNTS, _FAX_OPTIONS = 273, 274, 277, 278, 279, 292
_SHORT, _LONG = 3, 4
_MOST_NUMBERS = 50_000


def _directory(data: bytes, at: int, order: str) -> tuple[_Tags, int]:
    """The directory of a TIFF that begins at `at`, and where the next one is (0: nowhere)."""
    (count,) = _unpacked(f"{order}H", data, at)
    tags = _Tags()
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = _unpacked(f"{order}HHI", data, entry)
        if kind in (_SHORT, _LONG) and 0 < number <= _MOST_NUMBERS:
            size = number * (2 if kind == _SHORT else 4)
            place = entry + 8 if size <= 4 else _unpacked(f"{order}I", data, entry + 8)[0]
            tags[tag] = _unpacked(f"{order}{number}{'H' if kind == _SHORT else 'I'}", data, place)
    end = at + 2 + 12 * count
    return tags, int.from_bytes(data[end : end + 4], "little" if order == "<" else "big")


_FAX = {2: b"/K 0/EncodedByteAlign true", 3: b"/K 0", 4: b"/K -1"}
"""The compressions of fax machines, which archives use, too, as a PDF says them."""
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _fax_sheet(data: bytes, tags: _Tags) -> Sheet | None:
    """A page that is compressed as by a fax machine; None for others. The recogniser cannot read all of them, nor large ones."""
    width, height = tags.one(_WIDTH), tags.one(_HEIGHT)
    parameters = _FAX.get(tags.one(_COMPRESSION))
    places = list(zip(tags.get(_OFFSETS, ()), tags.get(_BYTE_COUNTS, ()), strict=False))
    if (
        parameters is None
        or tags.one(_BITS, 1) * tags.one(_SAMPLES, 1) != 1
        or not (width and height and places)
    ):
        return None
    if width * height > _LARGEST_DECODED:
        raise IngestError(Reason.BOMB)
    if tags.one(_COMPRESSION) == 3 and tags.one(_FAX_OPTIONS) & 1:
        parameters = b"/K 1"
    inverted = b"true" if tags.one(_PHOTOMETRIC) == 1 else b"false"
    strips, left = [], height
    for offset, size in places:
        rows = min(left, tags.one(_ROWS_PER_STRIP, height))
        coded = data[offset : offset + size]
        image = b"/Subtype/Image/Width %d/Height %d/BitsPerComponent 1/ColorSpace/DeviceGray" % (width, rows)
        image += b"/Filter/CCITTFaxDecode/DecodeParms<<%s/Columns %d/Rows %d/BlackIs1 %s>>" % (
            *(parameters, width, rows, inverted),
        )
        strips.append(
            _Strip(_stream(image, coded.translate(_REVERSED) if tags.one(_FILL_ORDER) == 2 else coded), rows)
        )
        left -= rows
        if left <= 0:
            break
    return _sheet_of_pdf(_pdf(width, height, strips), _EXIF_TURNS.get(tags.one(_ORIENTATION), 0))


def _bmp_sheet(data: bytes) -> Sheet:
    width, height = _unpacked("<ii", data, 18)
    return _plain(data, "image/bmp", abs(width), abs(height))


def _webp_sheet(data: bytes) -> Sheet:
    kind = data[12:16]
    if data[8:12] != b"WEBP":
        raise IngestError(Reason.DAMAGED)
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    elif kind == b"VP8L":
        (packed,) = _unpacked("<I", data, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (size & 0x3FFF for size in _unpacked("<HH", data, 26))
    return _plain(data, "image/webp", width, height)


_MAKERS: dict[bytes, Callable[[bytes], Sheet]] = {
    _PNG: _png_sheet,
    b"\xff\xd8\xff": _jpeg_sheet,
    b"BM": _bmp_sheet,
    b"RIFF": _webp_sheet,
}
