"""Mail as MIME: its headers, its parts and what their encodings hide. It takes what broken programs send and never raises.

Parts keep their place in the file, so that a line of a body can be told by its number. The standard library's parser keeps no
places, loses what follows a closing boundary, and nests as deep as a hostile mail likes.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Sequence
from itertools import islice
from urllib.parse import unquote_to_bytes

from ragchat.ingest.encoding import decode, source_text

_DEEPEST = 30
_MOST_ENTITIES = 10_000
_UU = ("uuencode", "x-uuencode", "x-uue")
_MOST_FIELDS = 2_000
_LONGEST_FIELD = 100_000
_FIELD = re.compile(rb"([!-9;-~]{1,80})[ \t]{0,20}:")
_KNOWN_FIELDS = re.compile(
    rb"(?:from|to|cc|bcc|date|subject|sender|reply-to|message-id|in-reply-to|references|received|return-path"
    rb"|mime-version|content-[a-z-]{1,40}|x-[\w-]{1,60}|dkim-signature|delivered-to|user-agent)[ \t]{0,20}:",
    re.IGNORECASE,
)


class Entity:
    """A mail or a part of one. `first` and `last` bound its body in `data`.

    `kind` is its media type in lower case; `parts` are those of a multipart, none of which was found when it is empty.
    `lines` counts the lines of the file, None where the body is not a stretch of the file. `is_cut`: it is nested deeper, or has
    more parts, than is followed. `outside` is what of a multipart is before, between and behind its parts.
    """

    def __init__(
        self, data: bytes, first: int, last: int, lines: LineCounter | None, default: str = ""
    ) -> None:
        self.data, self.lines = data, lines
        self.header_first = first
        self.fields, self.first = _read_fields(data, first, last)
        self.last = max(self.first, last)
        self.kind, self.parameters = _content_type(self.fields.get("content-type", b""), default)
        disposition = self.fields.get("content-disposition", b"")
        self.disposition, self._disposition_parameters = parameters(_field_text(disposition))
        self.parts: list[Entity] = []
        self.is_cut = False
        self.outside = ""

    def field(self, name: str) -> str:
        """A header as a user reads it, '' when there is none."""
        return decode_words(_field_text(self.fields.get(name, b""))).strip()

    @property
    def encoding(self) -> str:
        """How the body is encoded for transfer, in lower case."""
        words = _field_text(self.fields.get("content-transfer-encoding", b"")).lower().split()
        return words[0].strip(";\"'") if words else ""

    @property
    def filename(self) -> str:
        """Its file name without folders, '' when it has none."""
        name = self._disposition_parameters.get("filename") or self.parameters.get("name", "")
        name = decode_words(name).replace("\\", "/").replace("\0", "").strip().rstrip("/")
        return name.rpartition("/")[2].strip().strip('"')

    def content(self) -> bytes:
        """The body without its transfer encoding."""
        return decode_transfer(self.data[self.first : self.last], self.encoding)

    def text(self) -> str:
        """The body as text whose lines are those of the file, where it has any."""
        raw = self.data[self.first : self.last]
        charset = self.parameters.get("charset", "")
        if self.encoding != "base64":
            return source_text(decode_charset(decode_transfer(raw, self.encoding), charset))
        encoded, footer = _split_base64(raw)
        text = source_text(decode_charset(decode_transfer(encoded, "base64"), charset))
        return f"{text.rstrip()}\n{source_text(decode(footer))}" if footer else text

    def page(self) -> tuple[str, Sequence[int]]:
        """The body as an HTML page, and `line_numbers` of it.

        Long lines are written on several lines of the file: the page has line ends there, too, in place of blanks.
        """
        if self.lines is not None and self.encoding == "quoted-printable":
            raw = self.data[self.first : self.last]
            content, numbers = _with_soft_breaks(raw, self.lines.at(self.first))
            if not _KEEPS_BLANKS.search(content):
                return source_text(decode_charset(content, self.parameters.get("charset", ""))), numbers
        return self.text(), self.line_numbers()

    @property
    def has_lines(self) -> bool:
        """Whether the lines of `text` are lines of the file."""
        return self.lines is not None and self.encoding not in ("base64", *_UU)

    def line_numbers(self) -> Sequence[int]:
        """The line of the file at which each line of `text` begins; none when that cannot be told."""
        if self.lines is None or not self.has_lines:
            return ()
        first = self.lines.at(self.first)
        if self.encoding == "quoted-printable":
            return _quoted_lines(self.data[self.first : self.last], first)
        return range(first, first + self.data.count(b"\n", self.first, self.last) + 1)


class LineCounter:
    """Line numbers, from 1, of places in a file; quick when asked for in ascending order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place, self._line = data, 0, 1

    def at(self, place: int) -> int:
        """The number of the line in which `place` is."""
        if place < self._place:
            self._place, self._line = 0, 1
        self._line += self._data.count(b"\n", self._place, place)
        self._place = place
        return self._line


def parse(data: bytes, *, has_lines: bool = True) -> Entity:
    """The mail with all its parts. `has_lines`: the bytes are those of the file."""
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    first = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while data[first : first + 1] in (b"\n", b"\r"):
        first += 1
    if data[first : first + 5] == b"From " or data[first : first + 6] == b">From ":
        first = data.find(b"\n", first) + 1 or len(data)
    root = Entity(data, first, len(data), LineCounter(data) if has_lines else None)
    waiting, count = [(root, 0)], 0
    while waiting:
        entity, depth = waiting.pop()
        if not entity.kind.startswith("multipart/"):
            continue
        if depth >= _DEEPEST or count >= _MOST_ENTITIES:
            entity.is_cut = True
            continue
        _split(entity, _MOST_ENTITIES - count)
        count += len(entity.parts)
        waiting += [(part, depth + 1) for part in entity.parts]
    return root


# --- headers --------------------------------------------------------------------------------------------


def _read_fields(data: bytes, first: int, last: int) -> tuple[dict[str, bytes], int]:
    """The headers from `first` on, and where the body begins. Of two of a name the first counts; receivers are joined."""
    fields: dict[str, bytes] = {}
    lines: list[bytes] = []
    place, count = first, 0
    while place < last and count < _MOST_FIELDS:
        end = data.find(b"\n", place, last) + 1 or last
        line = data[place:end].rstrip(b"\r\n")
        if not line:
            place = end
            break
        if _FIELD.match(line):
            _add_field(fields, lines)
            lines, count = [line], count + 1
        elif _goes_on(data, line, end, last) and lines:
            lines.append(line)
        else:
            place = end if not line.strip() else place
            break
        place = end
    _add_field(fields, lines)
    return fields, min(place, last)


def _goes_on(data: bytes, line: bytes, end: int, last: int) -> bool:
    """Whether a line that begins no header continues one; some programs forget to indent it."""
    if line.strip() and line[:1] in b" \t":
        return True
    return bool(_KNOWN_FIELDS.match(data, end, last)) or (not line.strip() and data[end : end + 1] in b" \t")


def _add_field(fields: dict[str, bytes], lines: list[bytes]) -> None:
    if not lines:
        return
    name, _, value = b"".join(lines)[:_LONGEST_FIELD].partition(b":")
    key = name.decode("ascii").strip().lower()
    if key not in fields:
        fields[key] = value.strip()
    elif key in ("to", "cc", "bcc"):
        fields[key] = fields[key] + b", " + value.strip()


def _field_text(raw: bytes) -> str:
    return raw.decode("ascii") if raw.isascii() else decode(raw)


def _content_type(raw: bytes, default: str) -> tuple[str, dict[str, str]]:
    kind, found = parameters(_field_text(raw))
    kind = kind.replace(" ", "")
    if kind.count("/") != 1:
        kind = {"html": "text/html", "multipart": "multipart/mixed"}.get(kind, default or "text/plain")
    return kind, found


_PARAMETER = re.compile(
    r';\s{0,100}([^\s=;"]{1,80})\s{0,20}=\s{0,20}(?:"((?:[^"\\]|\\.)*+)(?:"|$)|([^;]*))', re.DOTALL
)
_CONTINUED = re.compile(r"([^*]{1,80})\*(?:(\d{1,3})(\*?))?$")


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A header like Content-Type taken apart: its value and its parameters, both with names in lower case (RFC 2231)."""
    main = value.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    for match in _PARAMETER.finditer(value):
        name, quoted, bare = match[1].lower(), match[2], match[3]
        text = re.sub(r'\\(["\\])', r"\1", quoted) if quoted is not None else bare.strip()
        if continued := _CONTINUED.match(name):
            number = int(continued[2] or 0)
            pieces.setdefault(continued[1], {})[number] = (text, not continued[2] or bool(continued[3]))
        elif quoted is None and name in ("charset", "boundary"):
            plain.setdefault(name, text.partition(" (")[0].strip("'"))
        else:
            plain.setdefault(name, text)
    return main.split(None, 1)[0] if main else "", plain | {name: _joined(of) for name, of in pieces.items()}


def _joined(pieces: dict[int, tuple[str, bool]]) -> str:
    """A parameter that came in pieces (RFC 2231)."""
    charset, raw = "", b""
    for number in sorted(pieces):
        text, is_encoded = pieces[number]
        if is_encoded:
            if number == min(pieces) and text.count("'") >= 2:
                charset, _, text = text.split("'", 2)
            raw += unquote_to_bytes(text)
        else:
            raw += text.encode("utf-8", "replace")
    return decode_charset(raw, charset)


_WORD = re.compile(
    r"=\?([\w.:-]{1,40})(?:\*[\w-]{0,20})?\?([bBqQ])\?((?:[^?=]|=(?!\?[^=])|\?(?!=)){0,2000})\?="
)


def decode_words(text: str) -> str:
    """Text with its encoded words (RFC 2047) decoded, also where they stand too close, are too long or cut a character in two."""
    if "=?" not in text:
        return text
    out: list[str] = []
    charset, raw, end = "", b"", 0
    for word in _WORD.finditer(text):
        between = text[end : word.start()]
        if between.strip() or word[1].lower() != charset or not raw:
            out += [decode_charset(raw, charset), between if between.strip() or not raw else ""]
            raw = b""
        charset, end = word[1].lower(), word.end()
        raw += _word_bytes(word[2], word[3])
    return "".join([*out, decode_charset(raw, charset), text[end:]])


def _word_bytes(encoding: str, word: str) -> bytes:
    raw = word.encode("utf-8", "replace")
    if encoding in "bB":
        return decode_base64(raw)
    return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)


# --- character sets -------------------------------------------------------------------------------------

_ALIASES = {
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "unicode-1-1-utf-8": "utf-8", "unicode-1-1-utf-7": "utf-7",
    "iso-8859-1": "cp1252", "iso8859-1": "cp1252", "iso_8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252",
    "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8", "iso-8859-6-i": "iso-8859-6",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874", "windows-874": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030", "cp936": "gb18030",
    "ks_c_5601-1987": "cp949", "ks_c_5601": "cp949", "euc-kr": "cp949", "shift_jis": "cp932", "shift-jis": "cp932",
    "x-sjis": "cp932", "iso-2022-jp": "iso2022_jp_ext", "big5": "cp950", "x-mac-roman": "mac_roman", "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
}  # fmt: skip
_MEANINGLESS = frozenset(
    ["", "us-ascii", "ascii", "ansi_x3.4-1968", "unknown-8bit", "x-unknown", "8bit", "binary"]
)
_UNTRUE = frozenset(["cp1252", "windows-1252"])
"""What programs declare without looking."""
_NOT_CHARSETS = frozenset(
    ["idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"]
)


def decode_charset(raw: bytes, charset: str) -> str:
    """Bytes as text in a declared character set; a guess where it is unknown or cannot be true."""
    name = charset.strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if name in _MEANINGLESS or not _is_charset(name):
        return decode(raw)
    for likely in ("utf-8", name) if name in _UNTRUE else (name, "utf-8"):
        try:
            return raw.decode(likely)
        except ValueError:
            continue
    return decode(raw) if _is_utf8(name) else raw.decode(name, "replace")


def _is_charset(name: str) -> bool:
    try:
        known = codecs.lookup(name)
    except (LookupError, ValueError):
        return False
    return known.name.replace("_", "-") not in _NOT_CHARSETS and getattr(known, "_is_text_encoding", True)


def _is_utf8(name: str) -> bool:
    return codecs.lookup(name).name in ("utf-8", "utf-8-sig")


# --- transfer encodings ---------------------------------------------------------------------------------

_NOT_BASE64 = bytes(
    set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
)
_ONLY_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]*+")
_BLANKS_AT_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")


def decode_transfer(raw: bytes, encoding: str) -> bytes:
    """A body without its transfer encoding; one that is not known changes nothing."""
    if encoding == "base64":
        return decode_base64(raw)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(_BLANKS_AT_END.sub(b"", raw))
    if encoding in _UU:
        return decode_uu(raw)
    return raw


def decode_base64(raw: bytes) -> bytes:
    """Base64 with whatever is between its characters, ended or begun again by padding any number of times."""
    pieces = []
    for piece in raw.translate(None, _NOT_BASE64).split(b"="):
        whole = piece[:-1] if len(piece) % 4 == 1 else piece
        pieces.append(binascii.a2b_base64(whole + b"=" * (-len(whole) % 4)))
    return b"".join(pieces)


def _split_base64(raw: bytes) -> tuple[bytes, bytes]:
    """The encoded lines, and what a mailing list wrote below them in plain text."""
    end = _ONLY_BASE64.match(raw).end()  # type: ignore[union-attr]  # it matches the empty string
    start = raw.rfind(b"\n", 0, end) + 1
    line = raw[start : raw.find(b"\n", end) if b"\n" in raw[end:] else len(raw)]
    if end < len(raw) and (line.startswith((b"--", b"__")) or len(line.split()) > 2):
        return raw[:start], raw[start:]
    return raw, b""


def decode_uu(raw: bytes) -> bytes:
    """Uuencoded lines, with or without the lines that begin and end them."""
    out = []
    for line in raw.splitlines():
        if line.startswith(b"begin ") or not line or line in (b"end", b"`"):
            continue
        try:
            out.append(binascii.a2b_uu(line))
        except binascii.Error:
            length = (((line[0] - 32) & 63) * 4 + 5) // 3
            try:
                out.append(binascii.a2b_uu(line[:length]))
            except binascii.Error:
                continue
    return b"".join(out)


_QUOTED_BREAK = re.compile(rb"=0A", re.IGNORECASE)


def _quoted_lines(raw: bytes, first: int) -> list[int]:
    """The line of the file at which each decoded line begins."""
    numbers, goes_on = [first], False
    for number, line in enumerate(raw.split(b"\n"), first):
        if number > first and not goes_on:
            numbers.append(number)
        numbers += [number] * len(_QUOTED_BREAK.findall(line))
        goes_on = line.rstrip(b" \t\r").endswith(b"=")
    return numbers


_KEEPS_BLANKS = re.compile(rb"<(?:pre|textarea|listing|xmp|plaintext)\b|white-space", re.IGNORECASE)


def _with_soft_breaks(raw: bytes, first: int) -> tuple[bytes, list[int]]:
    """The decoded body with a line end for the first blank behind each soft break; the line of the file of each line."""
    pieces: list[bytes] = []
    numbers, is_broken = [first], False
    for number, line in enumerate(raw.split(b"\n"), first):
        if number > first and not is_broken:
            numbers.append(number)
        stripped = line.rstrip(b" \t\r")
        decoded = binascii.a2b_qp(stripped.removesuffix(b"="))
        if is_broken and b" " in decoded:
            before, _, decoded = decoded.partition(b" ")
            pieces += (before, b"\n")
            numbers += [number] * (before.count(b"\n") + 1)
        numbers += [number] * decoded.count(b"\n")
        is_broken = stripped.endswith(b"=")
        pieces.append(decoded if is_broken else decoded + b"\n")
    return b"".join(pieces)[: None if is_broken else -1], numbers


# --- parts ----------------------------------------------------------------------------------------------

_GUESSED_BOUNDARY = re.compile(rb"^--([^\s-][^\s]{5,69})[ \t]*+\r?$", re.MULTILINE)


def _split(entity: Entity, most: int) -> None:
    """Find the parts of a multipart. Where none are found it becomes text."""
    pattern = _delimiter(entity)
    marks = _marks(pattern, entity, most)
    if not marks and entity.encoding in ("base64", "quoted-printable"):  # forbidden, and done
        entity.data, entity.lines = entity.content(), None
        entity.first, entity.last = 0, len(entity.data)
        entity.fields.pop("content-transfer-encoding")
        marks = _marks(pattern, entity, most)
    if not marks:
        entity.kind = "text/plain"
        return
    default = "message/rfc822" if entity.kind == "multipart/digest" else "text/plain"
    outside = [entity.data[entity.first : marks[0].start()]]
    for number, mark in enumerate(marks):
        first = min(mark.end() + 1, entity.last)
        last = marks[number + 1].start() if number + 1 < len(marks) else entity.last
        if mark[1]:
            outside.append(entity.data[first:last])
        elif len(entity.parts) >= most:
            entity.is_cut = True
        else:
            last -= (
                entity.data[max(first, last - 2) : last].endswith(b"\r\n") + 1
                if number + 1 < len(marks)
                else 0
            )
            entity.parts.append(Entity(entity.data, first, max(first, last), entity.lines, default))
    entity.outside = decode(b"\n".join(outside)).strip()


def _marks(pattern: re.Pattern[bytes] | None, entity: Entity, most: int) -> list[re.Match[bytes]]:
    """The lines between the parts; a few more than there may be parts, so that too many can be told."""
    if pattern is None:
        return []
    return list(islice(pattern.finditer(entity.data, entity.first, entity.last), 2 * most + 10))


def _delimiter(entity: Entity) -> re.Pattern[bytes] | None:
    """What the lines between the parts look like; a boundary that is not declared is guessed."""
    boundary = entity.parameters.get("boundary", "").rstrip()
    raw = boundary.encode("utf-8", "replace")
    if not raw:
        guess = _GUESSED_BOUNDARY.search(entity.data, entity.first, entity.last)
        if guess is None:
            return None
        raw = guess[1]
    return re.compile(rb"^--" + re.escape(raw) + rb"(--)?[ \t]*+\r?$", re.MULTILINE)
