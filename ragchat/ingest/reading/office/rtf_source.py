"""RTF below the level of text: its tokens, its groups, its code pages, and the tables in its head."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_LETTERS = "[a-zA-Z]"


# --- tokens ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def tokens(words: frozenset[str]) -> re.Pattern[str]:
    """Matches a word, a sign or a brace, and the text behind it. Words that are not among `words` count as nothing.

    Groups: the star before a word, the word, its number, a sign or brace or bytes in hexadecimal, and text. A match begins
    where the one before ends.
    """
    nothing = rf"(?:\\(?!(?:{_any_of(sorted(words))})(?!{_LETTERS})){_LETTERS}++(?:-?\d++)?+ ?+|[\r\n]++)*+"
    return re.compile(
        rf"(?:(\\\*\s*+)?+\\({_LETTERS}++)(-?\d++)?+ ?+"
        r"|((?:\\'[0-9a-fA-F]{2}[\r\n]*+)++|\\[^a-zA-Z]|[{}\\]))"
        rf"{nothing}([^\\{{}}]*+)"
    )


def _any_of(words: list[str]) -> str:
    """A pattern for some sorted words, which looks at each letter once."""
    found: list[str] = []
    ends_here = False
    groups: dict[str, list[str]] = {}
    for word in words:
        if word:
            groups.setdefault(word[0], []).append(word[1:])
        else:
            ends_here = True
    for letter, rests in groups.items():
        found.append(letter + (_any_of(rests) if rests != [""] else ""))
    if len(found) == 1 and not ends_here:
        return found[0]
    return f"(?:{'|'.join(found)}){'?' if ends_here else ''}"


def number_of(digits: str | None) -> int | None:
    """The number of a word, None where it has none or no one could mean it."""
    return int(digits) if digits and len(digits) < 11 else None


_BINARY = re.compile(r"\\(?:bin(\d{1,9}) ?|[\s\S])")


def without_binary(rtf: str) -> str:
    """RTF without the bytes that are in it as they are."""
    if "\\bin" not in rtf:
        return rtf
    kept: list[str] = []
    first = place = 0
    while found := _BINARY.search(rtf, place):
        place = found.end()
        if found[1]:
            kept.append(rtf[first : found.start()])
            first = place = place + int(found[1])
    kept.append(rtf[first:])
    return "".join(kept)


_BRACES = re.compile(r"\\[\\{}]|[{}]")
_TEXT_BEGINS = re.compile(r"\\(?:pard|sectd)(?![a-zA-Z])")


class Groups:
    """Where the groups of a text end.

    With `careful`, for files in which braces are missing, a group that is passed over ends where a paragraph begins in it.
    """

    def __init__(self, rtf: str, *, careful: bool = False) -> None:
        self._rtf = rtf
        self._careful = careful
        self._ends = self._all_ends() if careful else None

    def end(self, first: int, place: int) -> int:
        """Where the group ends that begins with the brace at `first`; `place` is in it, with no brace before it."""
        last = self._end(first, place)
        if self._careful and (begins := _TEXT_BEGINS.search(self._rtf, place, last)):
            return begins.start()
        return last

    def _end(self, first: int, place: int) -> int:
        if self._ends is None:
            depth = 1
            for brace in _BRACES.finditer(self._rtf, place):
                if brace[0] == "{":
                    depth += 1
                elif brace[0] == "}":
                    depth -= 1
                    if depth == 0:
                        return brace.start()
            self._ends = self._all_ends()
        found = self._ends.get(first, -1)
        found = self._rtf.find("}", place) if found < 0 else found
        return len(self._rtf) if found < 0 else found

    def _all_ends(self) -> dict[int, int]:
        ends: dict[int, int] = {}
        opened: list[int] = []
        for brace in _BRACES.finditer(self._rtf):
            if brace[0] == "{":
                opened.append(brace.start())
            elif brace[0] == "}" and opened:
                ends[opened.pop()] = brace.start()
        return ends


# --- code pages -----------------------------------------------------------------------------------------

_CHARSETS = {
    77: "mac_roman", 78: "cp932", 79: "cp949", 80: "gb18030", 81: "big5hkscs", 83: "cp1255", 84: "cp1256", 85: "cp1253",
    86: "cp1254", 87: "cp874", 88: "cp1250", 89: "cp1251", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030",
    136: "big5hkscs", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250", 254: "cp437",
}  # fmt: skip
_PAGES = {
    708: "iso8859_6", 819: "latin_1", 936: "gb18030", 950: "big5hkscs", 1361: "johab", 10000: "mac_roman",
    10006: "mac_greek", 10007: "mac_cyrillic", 10029: "mac_latin2", 10081: "mac_turkish", 65001: "utf-8",
}  # fmt: skip
_WORDS_FOR_PAGES = {"mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
_PAGE = re.compile(r"\\(?:ansicpg(\d{1,5})|(mac|pca?)(?![a-zA-Z0-9]))")
_SYMBOL = 2
_WIDE = frozenset(("cp932", "cp949", "johab", "gb18030", "big5hkscs", "utf-8"))


def is_wide(codec: str) -> bool:
    """Whether characters of this code page take several bytes."""
    return codec in _WIDE


def codec_of_page(number: int) -> str:
    """Python's name of a code page; western European where no one knows it."""
    name = _PAGES.get(number, f"cp{number}")
    try:
        return name if codecs.lookup(name)._is_text_encoding else "cp1252"
    except LookupError:
        return "cp1252"


def default_codec(rtf: str) -> str:
    """The code page of text whose font says none."""
    found = list(_PAGE.finditer(rtf[:4000]))
    page = next((match[1] for match in found if match[1]), "")
    if page:
        return codec_of_page(int(page))
    return _WORDS_FOR_PAGES[found[0][2]] if found else "cp1252"


class Font(NamedTuple):
    """The code page of a font, and its name in lower case where it shows signs in the place of letters."""

    codec: str
    signs: str = ""


_IN_TABLE = re.compile(
    r"\\(\*)|\\([a-z]++)(-?\d++)? ?|\\'([0-9a-fA-F]{2})|\\(.)|([{}])|([^\\{}]++)", re.DOTALL
)


def fonts(table: str, codec: str) -> dict[int, Font]:
    """The fonts of a font table by their numbers; `codec` is the code page of the document.

    Where no font names a character set of its own, the writer did not mean any, and all have that of the document.
    """
    found: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    number = -1
    for token in _IN_TABLE.finditer(table):
        word, digits = token[2], number_of(token[3])
        if word == "f" and digits is not None:
            number = digits
            found.setdefault(number, [0, 0])
        elif word in ("fcharset", "cpg") and number >= 0:
            found[number][word == "cpg"] = digits or 0
        elif token[7] and ";" in token[7] and number >= 0:
            names.setdefault(number, token[7].partition(";")[0].strip().lower())
    is_told = any(charset > _SYMBOL for charset, _ in found.values())
    return {
        number: _font(charset, page, names.get(number, ""), "cp1252" if is_told else codec, codec)
        for number, (charset, page) in found.items()
    }


def _font(charset: int, page: int, name: str, western: str, default: str) -> Font:
    if charset == _SYMBOL or name in ("symbol", "wingdings", "wingdings 2", "webdings"):
        return Font("latin_1", name or "symbol")
    if page:
        return Font(codec_of_page(page))
    return Font(western if charset == 0 else _CHARSETS.get(charset, default))


def plain_text(rtf: str, codec: str) -> str:
    """The characters of a stretch of RTF in which nothing but characters means anything."""
    found: list[str] = []
    raw = bytearray()
    to_skip = 0
    for token in _IN_TABLE.finditer(rtf):
        if token[2] == "u" and token[3]:
            found.append(raw.decode(codec, "replace"))
            found.append(chr((number_of(token[3]) or 0) & 0xFFFF))
            raw.clear()
            to_skip = 1
        elif token[4] or token[7] or (token[5] and token[5] in "\\{}"):
            piece = (
                bytes.fromhex(token[4]) if token[4] else (token[7] or token[5]).encode("latin-1", "replace")
            )
            raw += piece.translate(None, b"\r\n")[to_skip:]
            to_skip = 0
        elif token[5] == "~":
            raw += b" "
        elif token[5] == "_":
            raw += b"-"
    found.append(raw.decode(codec, "replace"))
    return joined("".join(found)).strip()


def joined(text: str) -> str:
    """Text whose halves of characters are put together."""
    if not any("\ud800" <= character <= "\udfff" for character in text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


# --- styles and colours -----------------------------------------------------------------------------------


class Style(NamedTuple):
    """A paragraph style: its name in lower case, the outline level it sets (None: none), and the style below it."""

    name: str
    outline: int | None
    based_on: int


def styles(table: str, codec: str) -> dict[int, Style]:
    """The paragraph styles of a style sheet by their numbers."""
    found: dict[int, Style] = {}
    depth = first = 0
    for token in _IN_TABLE.finditer(table):
        if token[6] == "{":
            depth += 1
            first = token.end() if depth == 1 else first
        elif token[6] == "}":
            depth = max(0, depth - 1)
            if depth == 0 and first:
                _take_style(table[first : token.start()], codec, found)
                first = 0
    return found


_INNER_GROUP = re.compile(r"\{[^{}]*+\}")
_OTHER_STYLE = re.compile(r"(?:\\\*)?\s*\\(?:cs|ds|ts)\d")
_IN_STYLE = re.compile(r"\\(s|outlinelevel|sbasedon)(\d{1,5})(?!\d)")


def _take_style(entry: str, codec: str, found: dict[int, Style]) -> None:
    if _OTHER_STYLE.match(entry):
        return
    numbers = {match[1]: int(match[2]) for match in _IN_STYLE.finditer(entry)}
    for _ in range(3):
        entry = _INNER_GROUP.sub("", entry)
    name = plain_text(entry, codec).partition(";")[0].partition(",")[0].strip().lower()
    found[numbers.get("s", 0)] = Style(name, numbers.get("outlinelevel"), numbers.get("sbasedon", -1))


_COLOURS = re.compile(r"\{\\colortbl([^{}]*+)\}")
_PART_OF_COLOUR = re.compile(r"\\(?:red|green|blue)(\d{1,3})(?!\d)")


def white_colours(rtf: str) -> frozenset[int]:
    """The numbers of colours that cannot be told from white paper."""
    table = _COLOURS.search(rtf)
    colours = table[1].split(";") if table else []
    return frozenset(
        number
        for number, colour in enumerate(colours)
        if len(parts := _PART_OF_COLOUR.findall(colour)) == 3 and all(int(part) >= 253 for part in parts)
    )


def uses(rtf: str, word: str, numbers: Iterable[int]) -> bool:
    """Whether a word occurs with one of these numbers."""
    choices = "|".join(map(str, sorted(numbers)))
    return bool(choices) and re.search(rf"\\{word}(?:{choices})(?!\d)", rtf) is not None
