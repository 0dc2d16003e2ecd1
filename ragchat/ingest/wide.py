"""UTF-16 and UTF-32 without a byte order mark, told from binary files by what their characters are."""

from __future__ import annotations

import unicodedata

_ENCODINGS = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))
_LIKELY = "\t\n\r \u3001\u3002\uff0c"
"""What every text has and numbers rarely are: blanks, line ends, the stops of Chinese and Japanese."""
_CONTROLS = frozenset(map(chr, [*range(32), *range(127, 160)])) - frozenset("\t\n\r\f")
_NO_CHARACTERS = frozenset({"Cn", "Co", "Cs", "Cc"})
_WORDS = frozenset("LMN")
_SHORT = 200
"""Characters: so few are text without a blank if all of them are ASCII."""


def wide_encoding(head: bytes) -> str:
    """The encoding of a text whose characters take two or four bytes, by its first bytes; '' if it is none."""
    best, most = "", 0.0
    for encoding, width in _ENCODINGS:
        whole = head[: len(head) // width * width]
        try:
            text = whole.decode(encoding)
        except UnicodeDecodeError as error:
            if error.start < len(whole) - width:  # else the sample was cut within a pair of surrogates
                continue
            text = whole[: error.start].decode(encoding)
        likelihood = _likelihood(text)
        if likelihood > most:
            best, most = encoding, likelihood
    return best


def _likelihood(text: str) -> float:
    """0 for what is no text, else the share of blanks, line ends and stops."""
    size = len(text)
    if size < 2 or "\0" in text or sum(map(text.count, _CONTROLS)) > size // 100:
        return 0.0
    kinds = [unicodedata.category(character) for character in text]
    blanks = sum(map(text.count, _LIKELY)) / size
    words = blanks + sum(kind[0] in _WORDS for kind in kinds) / size
    strange = sum(kind in _NO_CHARACTERS for kind in kinds) - sum(map(text.count, "\t\n\r\f"))
    if strange > size // 100 or words < (0.5 if text[0] in "<{[" else 0.7):
        return 0.0
    is_dense = sum(character > "\u0dff" for character in text) > size // 2  # no blanks between words
    if blanks >= (0.005 if is_dense else 0.025):
        return blanks
    return 0.001 if size <= _SHORT and text.isascii() and words >= 0.9 else 0.0
