"""The compressed RTF in which Outlook keeps bodies: unpacked, and the HTML that is wrapped in it (MS-OXRTFCP, MS-OXRTFEX)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from ragchat.errors import IngestError
from ragchat.ingest.reading.mail.mime import decode_charset
from ragchat.ingest.wire import Reason

_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_WINDOW = 4096
_KNOWN = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What is in the window before the first byte."""


def unpack_rtf(data: bytes) -> bytes:
    """The RTF. Raises IngestError. It grows at most ninefold."""
    try:
        _, size, magic, _ = struct.unpack_from("<4I", data)
    except struct.error as error:
        raise IngestError(Reason.DAMAGED) from error
    if magic == _PLAIN:
        return data[16 : 16 + size]
    if magic != _COMPRESSED:
        raise IngestError(Reason.DAMAGED)
    return _unpacked(data)[:size]


def _unpacked(data: bytes) -> bytes:
    out = bytearray(_KNOWN)
    place, last = 16, len(data)
    while place < last:
        control = data[place]
        place += 1
        for bit in range(8):
            if not control >> bit & 1:
                out += data[place : place + 1]
                place += 1
                continue
            if place + 2 > last:
                return bytes(out[len(_KNOWN) :])
            offset, length = data[place] << 4 | data[place + 1] >> 4, (data[place + 1] & 15) + 2
            place += 2
            back = (len(out) - offset) % _WINDOW
            if back == 0:
                return bytes(out[len(_KNOWN) :])
            if back > len(out):
                raise IngestError(Reason.DAMAGED)
            copied = out[-back:][:length] if back > 32 else bytes(out[-back:]) * (length // back + 1)
            out += copied[:length]
    return bytes(out[len(_KNOWN) :])


# --- HTML inside RTF ------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,9})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([^\\{}\r\n]+)|[\r\n]+",
    re.DOTALL,
)
_CHARACTERS = {
    "par": "\n", "line": "\n", "tab": "\t", "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
    "bullet": "•", "endash": "–", "emdash": "—", "emspace": " ", "enspace": " ", "qmspace": " ",
}  # fmt: skip
_SYMBOLS = {
    "~": "&nbsp;",
    "_": "&#8209;",
    "-": "&shy;",
    "\\": "\\",
    "{": "{",
    "}": "}",
    "\n": "\n",
    "\r": "\n",
}
_NOT_TEXT = frozenset("colortbl stylesheet info pict pntext listtext filetbl object".split())  # noqa: SIM905
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip


def html_in_rtf(rtf: bytes) -> str:
    """The HTML that was wrapped in RTF, '' when this is RTF of its own."""
    return _Unwrapper().read(rtf.decode("latin-1")) if b"\\fromhtml" in rtf[:1000] else ""


@dataclass(slots=True)
class _State:
    """What holds until a group ends. `is_hidden`: text that represents RTF readers only."""

    is_skipped: bool = False
    is_hidden: bool = False
    in_fonts: bool = False
    skip_after_unicode: int = 1
    charset: str = ""


class _Unwrapper:
    """Reads RTF token by token and keeps what is HTML."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._raw = bytearray()
        self._states: list[_State] = []
        self._state = _State()
        self._default = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._to_skip = 0
        self._is_starred = False

    def read(self, rtf: str) -> str:
        for token in _TOKEN.finditer(rtf):
            word, number, code, symbol, brace, text = token.groups()
            if brace:
                self._brace(brace)
            elif word:
                self._word(word, int(number) if number else None)
            elif symbol:
                self._symbol(symbol)
            elif code or text:
                self._bytes(bytes.fromhex(code) if code else text.encode("latin-1"))
        self._flush()
        return "".join(self._out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _brace(self, brace: str) -> None:
        self._flush()
        self._to_skip, self._is_starred = 0, False
        if brace == "{":
            self._states.append(self._state)
            self._state = replace(self._state)
        elif self._states:
            self._state = self._states.pop()

    def _word(self, word: str, number: int | None) -> None:
        state = self._state
        if self._is_starred:
            self._is_starred = False
            state.is_skipped |= word != "htmltag"
            return
        if word == "htmlrtf":
            self._flush()
            state.is_hidden = number != 0
        elif word == "fonttbl":
            state.in_fonts = state.is_skipped = True
        elif word in _NOT_TEXT:
            state.is_skipped = True
        elif word in _CHARACTERS:
            self._text(_CHARACTERS[word])
        elif number is not None:
            self._setting(word, number)

    def _setting(self, word: str, number: int) -> None:
        state = self._state
        match word:
            case "u":
                self._text(chr(number % 65536))
                self._to_skip = state.skip_after_unicode
            case "uc":
                state.skip_after_unicode = min(100, max(0, number))
            case "ansicpg":
                self._default = f"cp{number}" if number != 65001 else "utf-8"
            case "f" if state.in_fonts:
                self._font = number
            case "f":
                self._flush()
                state.charset = self._fonts.get(number, "")
            case "fcharset" if state.in_fonts and number in _CHARSETS and number != 0:
                self._fonts[self._font] = _CHARSETS[number]

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._is_starred = True
        elif self._to_skip:
            self._to_skip -= 1
        elif symbol in _SYMBOLS:
            self._text(_SYMBOLS[symbol])

    def _bytes(self, raw: bytes) -> None:
        skipped = min(self._to_skip, len(raw))
        self._to_skip -= skipped
        if not (self._state.is_skipped or self._state.is_hidden):
            self._raw += raw[skipped:]

    def _text(self, text: str) -> None:
        if not (self._state.is_skipped or self._state.is_hidden):
            self._flush()
            self._out.append(text)

    def _flush(self) -> None:
        """Decode the bytes that came so far; characters of two bytes come as two."""
        if self._raw:
            raw = bytes(self._raw)
            self._out.append(raw.decode("ascii") if raw.isascii() else self._decoded(raw))
            self._raw.clear()

    def _decoded(self, raw: bytes) -> str:
        charset = self._state.charset or self._default
        return (
            raw.decode(charset, "replace") if charset in _CHARSETS.values() else decode_charset(raw, charset)
        )
