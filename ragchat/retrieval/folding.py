"""Spellings of one word to one form: case, accents, vowel points, elided articles, Korean particles.

Only what users of a language leave out or vary when they type. Accents go where the plain letter is the same letter to its
readers (English, French, Spanish, …); they stay where it is another one (Swedish ä, Polish ł, Turkish ı, Vietnamese tones).
"""

from __future__ import annotations

import re
import unicodedata

from ragchat.retrieval.patterns import lazy

LATIN = frozenset(
    "ca cs da de en eo es et eu fi fr ga hu id is it lt lv ms nl no pl pt ro sk sl sq sr st sv sw tl tr vi".split()  # noqa: SIM905
)
"""Languages written in Latin letters; in all others a word of ASCII letters is taken for English."""
_ACCENTS_FOLDED = frozenset("ca de en es eu fr it nl pt ro".split())  # noqa: SIM905
_LATIN_ACCENT = lazy("(?<=[A-Za-z])[\u0300-\u036f]+")
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)

_ACCENTED = lazy("[\u00c0-\u024f\u1e00-\u1eff]|(?<=[A-Za-z])[\u0300-\u036f]")
_KEEPS_ACCENTS = LATIN - _ACCENTS_FOLDED - {"eo", "id", "ms", "st", "sw", "tl"}

_POINTS = lazy("[\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]+")
_ARABIC = str.maketrans("أإآٱى", "ااااي")
_PERSIAN = str.maketrans("يىكةۀ", "ییکهه")
_HINDI = str.maketrans({"\u0901": "\u0902", "\u093c": None})
_TURKISH = str.maketrans("Iİ", "ıi")

_ELIDED = {
    "ca": re.compile("^[dlmnst]['’]", re.IGNORECASE),
    "fr": re.compile("^(?:[cdjlmnst]|qu|jusqu|lorsqu|puisqu|quoiqu)['’]", re.IGNORECASE),
    "it": re.compile(
        "^(?:[cdlmstv]|un|quest|quell|(?:a|da|de|ne|su|co)ll|(?:a|da|de|ne|su)?gl)['’]", re.IGNORECASE
    ),
    "tr": re.compile("['’].*$", re.DOTALL),  # a name's endings stand behind an apostrophe
}
_PARTICLE = lazy(
    "(?:에게서|에서는|으로는|이라는|으로|에서|에게|에는|부터|까지|처럼|보다|이나|이란|라는|라고|이다|께서|한테|은|는|이|가|을|를|의|에|로|와|과|도|만|나)$"
)


def elided(token: str, language: str) -> str:
    """The token without its elided article ("l'homme") or, in Turkish, without the endings of a name."""
    pattern = _ELIDED.get(language)
    return (pattern.sub("", token) or token) if pattern and ("'" in token or "’" in token) else token


def lowered(word: str, language: str) -> str:
    """The word in lower case and with one spelling for what its language spells in several ways."""
    if word.isascii() and language != "tr":
        return word.lower()
    lower = (word.translate(_TURKISH) if language == "tr" else word).lower().replace("i\u0307", "i")
    lower = _POINTS.sub("", lower)
    if language == "ar":
        lower = lower.translate(_ARABIC)
    elif language in ("fa", "ur"):
        lower = lower.translate(_PERSIAN)
    elif language == "hi":
        lower = lower.translate(_HINDI)
    return "".join(map(_digit, lower)) if any(map(str.isdecimal, lower)) else lower


def _digit(character: str) -> str:
    return str(unicodedata.decimal(character)) if character.isdecimal() else character


def folded(term: str, language: str) -> str:
    """The term without accents, in languages where people leave them out."""
    if term.isascii() or language not in _ACCENTS_FOLDED:
        return term
    apart = unicodedata.normalize("NFD", term.translate(_LETTERS))
    return unicodedata.normalize("NFC", _LATIN_ACCENT.sub("", apart))


def keeps_accents(language: str) -> bool:
    """Whether a letter with an accent is another letter in a language, so that words are indexed with it."""
    return language in _KEEPS_ACCENTS


def loses_accents(lower: str, language: str) -> bool:
    """Whether a word is another one without its accents in a language that keeps them."""
    return not lower.isascii() and language in _KEEPS_ACCENTS and bare(lower) != lower


def bare(lower: str) -> str:
    """A word in lower case without any accents of the Latin script: "viet" for "việt", "zrodlo" for "źródło"."""
    if lower.isascii() or lower[0] > "\u1eff" or "\u0250" <= lower[0] < "\u1e00":
        return lower
    apart = unicodedata.normalize("NFD", lower.translate(_LETTERS))
    return unicodedata.normalize("NFC", _LATIN_ACCENT.sub("", apart))


def is_bare(text: str) -> bool:
    """Whether no Latin letter of a text has an accent: its writer may have left them out."""
    return text.isascii() or not _ACCENTED.search(text)


def korean(word: str) -> list[str]:
    """Pairs of syllables, and the word without its particle: "물은" (water, as topic) is found by "물"."""
    pairs = [word[i : i + 2] for i in range(len(word) - 1)]
    stem = _PARTICLE.sub("", word) or word
    return pairs if stem in pairs else [*pairs, stem]
