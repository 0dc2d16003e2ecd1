"""Text to tokens: words, identifiers and n-grams as they are written. No language, no stemming: see `analyzer`.

A word is letters, digits and the marks that combine with them; connectors make identifiers of words. Scripts without spaces
are cut into n-grams here, so that the tokens of a text are few and a cache of them stays small: characters and pairs for
Chinese and Japanese, triples of letters with their marks for Thai, Lao, Khmer and Burmese.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from ragchat.retrieval.patterns import lazy
from ragchat.text import normalise

_JOINTS = r"[_.:/@+#'’\\\-]"


def _token_pattern(word: str, letter: str) -> str:
    """Words, joined ones as one; C++ and C#. Possessive throughout: linear on "Name______" and "a_a_a_"."""
    sharp = rf"(?=[+#])(?<={letter})(?:\+\+|#)(?!{word})"
    return rf"{word}(?:{sharp}|{word}*+(?:{_JOINTS}++{word}++)*+)"


# Three patterns that find the same, the faster ones for what most texts are made of: ASCII, and the alphabets of Europe with
# their punctuation, which need no marks. Python's `re` is twice as fast as `regex` with a class it can make a bit map of.
_EUROPEAN = (
    (0x0000, 0x02FF),
    (0x0370, 0x0482),
    (0x048A, 0x052F),
    (0x1E00, 0x1FFF),
    (0x2010, 0x205F),
    (0x20A0, 0x20C0),
    (0x2100, 0x25FF),
)


@functools.cache
def _european_token() -> re.Pattern[str]:
    every = [chr(code) for first, last in _EUROPEAN for code in range(first, last + 1)]
    word, letter = ("[" + "".join(filter(wanted, every)) + "]" for wanted in (str.isalnum, str.isalpha))
    return re.compile(_token_pattern(word, letter))


_ASCII_TOKEN = re.compile(_token_pattern("[A-Za-z0-9]", "[A-Za-z]").replace("’", ""))
_NOT_EUROPEAN = lazy("[^" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _EUROPEAN) + "]")
_EMOJI = "\u2600-\u27bf\U0001f000-\U0001faff"
_TOKEN = lazy(_token_pattern(r"[\p{L}\p{M}\p{N}]", r"\p{L}") + rf"|[{_EMOJI}]", properties=True)
# Soft hyphens, joiners, variation selectors and kana marks that compose with nothing stand inside words and are not seen.
# The zero-width non-joiner parts words in Persian, not in Hindi.
_UNSEEN = lazy(
    "[\u00ad\u200d\u2060\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]+|(?<=\\p{M})\u200c+",
    properties=True,
)

_PAIRED = "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PAIRED += "\U00020000-\U0003ffff"
_TRIPLED = (
    "\u0e01-\u0e4e\u0e81-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u1780-\u17d3\ua9e0-\ua9ef\uaa60-\uaa7f"
)
_LETTER = lazy(r"\P{M}\p{M}*+", properties=True)
_STRAY_MARKS = lazy(r"^\p{M}+", properties=True)
_HANGUL = "\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3"
GRAM = lazy(f"[{_PAIRED}{_TRIPLED}]")
"""What begins an n-gram that `tokens` made."""
_UNSPACED = lazy(f"[{_PAIRED}{_TRIPLED}{_HANGUL}]")
_SCRIPT_RUN = lazy(f"([{_PAIRED}]+)|([{_TRIPLED}]+)|([{_HANGUL}]+)|[^{_PAIRED}{_TRIPLED}{_HANGUL}]+")


def tokens(text: str) -> list[str]:
    """The words and identifiers of a text in their order, as they are written; n-grams where no spaces part the words.

    Does not depend on the language.
    """
    if text.isascii():
        return _ASCII_TOKEN.findall(text)
    plain = normalise(text)
    if not _NOT_EUROPEAN.search(plain):
        return _european_token().findall(plain.replace("\u00ad", ""))
    found: list[str] = _TOKEN.findall(_UNSEEN.sub("", plain))
    if not _UNSPACED.search(plain):
        return found
    return [gram for token in found for gram in _by_script(token)]


def _by_script(token: str) -> Iterator[str]:
    for run in _SCRIPT_RUN.finditer(token):
        paired, tripled, hangul = run.groups()
        if paired:
            for i, character in enumerate(paired):
                yield character
                yield from (paired[i : i + 2],) if i + 1 < len(paired) else ()
        elif tripled:
            letters = _LETTER.findall(
                tripled
            )  # a mark that belongs to a letter of another script is left out
            yield from (
                "".join(letters[i : i + 3]) for i in range(max(min(1, len(letters)), len(letters) - 2))
            )
        elif hangul:
            yield hangul
        else:
            yield from _TOKEN.findall(_STRAY_MARKS.sub("", run.group()) if run.start() else run.group())
