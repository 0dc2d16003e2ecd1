"""What a sentence claims, as tokens that can be compared: words by their stems, numbers by value with their units, dates, names,
code, negations and comparisons. Scripts without spaces are read letter by letter.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum, auto

from ragchat.retrieval.analyzer import is_beside, stop_terms, token_terms
from ragchat.retrieval.patterns import lazy
from ragchat.session import claim_words as lists

_UNSPACED = (
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf\u1000-\u102a\u103f\u1050-\u1055"
    "\u1780-\u17b3"
)
_LETTER = r"[\p{L}\p{M}\p{Nd}\p{No}\p{Nl}]"
_TOKEN = lazy(
    rf"(?P<gram>[{_UNSPACED}]\p{{M}}*+)"
    rf"|(?P<option>(?<![\w-])--?[A-Za-z][\w-]*+(?:=[\w./-]++)?+)"
    r"|(?P<code>https?://[^\s)>\]]++(?<![.,;:])|(?<![\w./])(?:~|\.{1,2})?+/[\w.@+-]++(?:/[\w.@+-]*+)*+(?<![.,])"
    r"|(?<![A-Za-z0-9.])[A-Za-z0-9.]*+(?:(?:::|\\|@|_)[\w.-]+)+(?<![.,-])"
    r"|(?<![\w/.-])(?=[\w/-]*+[._]|[\w/-]*\d)[\w.-]+(?:/[\w.-]+)+(?<![.,-])"
    r"|(?<![\w.])[vV]?\d+(?:\.\d+){2,}+|(?<![\w.])\.[A-Za-z]\w++|(?<!\w)\$[A-Za-z_]\w*+)"
    r"|(?P<number>(?<![\p{L}\p{M}_])\p{Nd}++(?:[,.'’\u00a0\u202f]\p{Nd}{3}(?!\p{Nd}))*+(?:[.,]\p{Nd}++)?+[½¼¾⅓⅔⅛]?+|[½¼¾⅓⅔⅛])"
    r"(?:(?P<ordinal>st|nd|rd|th)(?![\p{L}\p{M}\p{N}]))?+"
    rf"|(?P<word>[\p{{L}}\p{{M}}](?<![{_UNSPACED}])(?:(?![{_UNSPACED}]){_LETTER})*+(?:['’](?![{_UNSPACED}])\p{{L}}++)?+"
    r"(?:\.(?=\p{L}\.?[^\p{L}])\p{L})*+)"
    rf"|(?P<mixed>{_LETTER}++)"
    r"|(?P<sign>[%$€£¥°<>=≤≥±])"
    r"|(?P<break>(?<=[\u0e00-\u0e7f])[ \u00a0]+(?=[\u0e00-\u0e7f])|[,;:()\[\]{}—–|、，；：（）「」/…]|\s-\s|\n)",
    properties=True,
)
_DOTTED_FILE = lazy(r"(?<![\w.])[\w-]+(?:\.[\w-]+)*\.[A-Za-z]\w{0,9}(?!\w)", properties=True)
_DATE = lazy(r"(?<![\p{L}\p{N}])\p{Nd}{1,4}([-./])\p{Nd}{1,2}\1\p{Nd}{1,4}(?![\p{L}\p{N}])", properties=True)
_TIME = lazy(r"(?<![\p{L}\p{N}:])\p{Nd}{1,2}:\p{Nd}{2}(?::\p{Nd}{2})?(?![\p{L}\p{N}:])", properties=True)
_MARKS_OF_OURS = lazy(
    r"\[\s*\d{1,2}(?:\s*,\s*\d{1,2})*\s*\]|[✓✔☑✅✗✘☒❌❎≈]"
    r"|\[?(?:fully |partly )?(?:verified|supported|confirmed|fact-checked)\s*(?:by|from|in|:|\])[^.\n]{0,40}\[\d+\][^.\n]{0,20}"
    r"|\d+ statements?: \d+ [a-z ]+(?:, \d+ [a-z ]+)*"
    r"|(?:this|the) (?:statement|answer|claim|sentence) (?:above |below )?(?:is|was|has been) (?:fully )?"
    r"(?:supported|verified|confirmed|checked|correct|true)[^.\n]{0,60}",
)
"""What in a document or an answer could pass for the verdict of a check."""
_SENTENCE_START = lazy(r"(?:^|[.!?:;。！？\n]|[-*•])[\s\"'“„«(\[*_]*$")
_CAPITALS = 2


class Kind(Enum):
    """What a token is."""

    WORD = auto()
    STOP = auto()
    """Carries nothing by itself."""
    NUMBER = auto()
    DATE = auto()
    NAME = auto()
    CODE = auto()
    NEGATION = auto()
    COMPARISON = auto()
    GRAM = auto()
    """A letter of a script without spaces."""
    BREAK = auto()
    """Between two clauses."""


LITERAL = frozenset({Kind.NUMBER, Kind.DATE, Kind.NAME, Kind.CODE})
"""Kinds of which no other word will do."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token: `text[first:last]`. Two that share one of their `keys` say the same. `unit`: of a number."""

    text: str
    first: int
    last: int
    kind: Kind
    keys: frozenset[str] = frozenset()
    unit: str = ""

    @property
    def weighs(self) -> bool:
        """Whether it counts in a comparison."""
        return self.kind not in (Kind.STOP, Kind.BREAK)

    def same(self, other: Token) -> bool:
        """Whether both say the same; units are compared apart."""
        return not self.keys.isdisjoint(other.keys)


def without_marks_of_ours(text: str) -> str:
    """A text with blanks, as many, for citation marks and claims to have been checked: a document cannot vouch for itself."""
    return _MARKS_OF_OURS.sub(lambda match: " " * len(match[0]), text)


def read(text: str, language: str) -> tuple[Token, ...]:
    """The tokens of a text in the given language, in order. Markers and verdicts are passed over."""
    return _read(text, language)


@functools.lru_cache(maxsize=2048)
def _read(text: str, language: str) -> tuple[Token, ...]:
    plain = without_marks_of_ours(text)
    found = _marked_grams(plain, list(_raw(plain, language)))
    return tuple(_with_units(_with_scales(found, lists.scales(language))))


def _raw(text: str, language: str) -> Iterator[Token]:
    taken = _wholes(text)
    for match in _TOKEN.finditer(text):
        first, last = match.span()
        if (whole := taken.get(first)) is not None:
            yield whole
        if any(one.first <= first < one.last for one in taken.values()):
            continue
        group = match.lastgroup or ""
        if group == "ordinal":
            group, last = "number", match.end("number")
        yield from _token(text, first, last, group, language)


def _wholes(text: str) -> dict[int, Token]:
    """Dates, times and file names that are one token, by where they begin."""
    found: dict[int, Token] = {}
    if not any(mark in text for mark in ".:-/"):
        return found
    for pattern, kind in ((_DATE, Kind.DATE), (_TIME, Kind.NUMBER), (_DOTTED_FILE, Kind.CODE)):
        for match in pattern.finditer(text):
            if kind is Kind.CODE and not _is_file_name(match[0]):
                continue
            if not any(one.first < match.end() and match.start() < one.last for one in found.values()):
                keys = frozenset({_digits(match[0]).lower()})
                found[match.start()] = Token(match[0], *match.span(), kind, keys)
    return found


def _is_file_name(text: str) -> bool:
    """Not two sentences without a space between them, nor an abbreviation, nor a number."""
    stem, _, ending = text.rpartition(".")
    return len(stem) > 1 and ending.islower() and not stem.isdecimal() and "." not in stem[-2:]


def _token(text: str, first: int, last: int, group: str, language: str) -> Iterator[Token]:
    said = text[first:last]
    match group:
        case "gram":
            yield Token(said, first, last, Kind.GRAM, frozenset({_simplified(said)}))
        case "number":
            yield Token(said, first, last, Kind.NUMBER, _values(said, language))
        case "option" | "code":
            yield Token(
                said,
                first,
                last,
                Kind.CODE,
                frozenset({said.rstrip(".") if group == "option" else said.lower()}),
            )
        case "sign":
            if said in "<>≤≥":
                yield Token(said, first, last, Kind.COMPARISON, frozenset({f"{said}·"}))
            else:
                yield Token(said, first, last, Kind.STOP, frozenset({said}))
        case "break":
            yield Token(said, first, last, Kind.BREAK)
        case _:
            yield _word(text, first, last, language)


def _simplified(letter: str) -> str:
    from ragchat.retrieval.analyzer import simplified

    return simplified(letter)


def _word(text: str, first: int, last: int, language: str) -> Token:
    said = text[first:last]
    lower = said.lower().replace("’", "'")
    if special := _special(text, (first, last), lower, language):
        return Token(said, first, last, *special)
    bare = lower.removesuffix("'s").replace(".", "")
    if bare in lists.LEADING:
        return Token(said, first, last, Kind.STOP, frozenset({bare}))
    keys = _keys(said, language)
    if _is_stop(bare, language) and not (said.isupper() and len(said) > 1):
        return Token(said, first, last, Kind.STOP, keys | {bare})
    return Token(said, first, last, _kind(text, said, first, language), keys | {bare})


def _special(
    text: str, place: tuple[int, int], lower: str, language: str
) -> tuple[Kind, frozenset[str]] | None:
    """Months, numbers in words, negations and comparisons."""
    said = text[place[0] : place[1]]
    if (n := _month(text, said, lower, place)) is not None:
        return Kind.DATE, frozenset({f"month {n}"})
    if lower in lists.negations(language) or lower.endswith("n't"):
        return Kind.NEGATION, frozenset({lists.NOT})
    if lower in lists.DENIALS:
        return Kind.NEGATION, frozenset({_stem(lower)})
    if lower in lists.WEEKDAYS and (said[0].isupper() or lower in ("lundi", "mardi", "jeudi")):
        return Kind.DATE, frozenset({f"weekday {lists.WEEKDAYS[lower]}"})
    if (value := lists.number_words(language).get(lower)) is not None:
        return Kind.NUMBER, frozenset({str(value)})
    if name := lists.class_of(language).get(lower):
        return Kind.COMPARISON, frozenset({f"{name}·"})
    return None


def _stem(lower: str) -> str:
    return next(iter(token_terms(lower, "en")), lower)


def _month(text: str, said: str, lower: str, place: tuple[int, int]) -> int | None:
    """Which month a word is. One that is another word as well ("may") must be beside a number or behind "in"."""
    n = lists.MONTHS.get(lower)
    if n is None or lower not in _OFTEN_NO_MONTH:
        return n if n is None or said[0].isupper() or len(lower) > 4 else None
    first, last = place
    beside = text[max(0, first - 4) : first].rstrip(" .,")[-1:] + text[last : last + 4].lstrip(" .,")[:1]
    before = text[max(0, first - 12) : first].split()
    is_dated = any(map(str.isdigit, beside)) or (before and before[-1].lower() in _BEFORE_MONTH)
    return n if said[0].isupper() and is_dated else None


_OFTEN_NO_MONTH = frozenset("may mar march mars sep set mai dec mei jun jan".split())  # noqa: SIM905
_BEFORE_MONTH = lists.listed(
    """
    in since until by of late early mid im seit bis ende anfang en depuis desde until through and
    """
)


def _keys(said: str, language: str) -> frozenset[str]:
    """Its stems; of what has digits or capitals inside, only the whole: "Internet2" and "Industrie2" share a "2"."""
    if any(map(str.isdigit, said)) or (any(map(str.isupper, said[1:])) and not said.isupper()):
        return frozenset({said.lower()})
    return frozenset(term for term in token_terms(said, language) if not is_beside(term)) or frozenset(
        {said.lower()}
    )


def _is_stop(lower: str, language: str) -> bool:
    return any(lower in _stop_words(spoken) for spoken in {language, "en"}) or (
        len(lower) == 1 and not lower.isdigit() and lower.isascii() and lower in "aiyoàe"
    )


@functools.cache
def _stop_words(language: str) -> frozenset[str]:
    from ragchat.retrieval.stopwords import stop_words

    return stop_words(language) | (stop_terms(language) if language not in ("en",) else frozenset())


def _kind(text: str, said: str, first: int, language: str) -> Kind:
    if any(map(str.isdigit, said)) or any(map(str.isupper, said[1:])):
        return Kind.NAME
    if not said[0].isupper() or language == "de":
        return Kind.WORD
    return Kind.WORD if _SENTENCE_START.search(text[max(0, first - 8) : first]) or first == 0 else Kind.NAME


# --- numbers ------------------------------------------------------------------------------------------------


def _digits(text: str) -> str:
    """The text with the digits of every script as 0 to 9."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.digit(one)) if one.isdecimal() else one for one in text)


def _values(said: str, language: str) -> frozenset[str]:
    """The value of a number: "1.000" is 1 in English and 1000 in German."""
    plain = _digits(said)
    whole = plain.rstrip("½¼¾⅓⅔⅛")
    tail = {"½": ".5", "¼": ".25", "¾": ".75"}.get(plain[len(whole) :], plain[len(whole) :])
    marks = ",." if language in _DECIMAL_COMMA else ".,"
    reading = next((value for mark in marks if (value := _value(whole, mark))), "0") if whole else "0"
    return frozenset({reading + tail})


_DECIMAL_COMMA = lists.listed(
    """
    de fr es it pt nl da sv no fi pl cs sk ru uk bg ro hu el tr id sr sl et lv lt is ca
    """
)


def _value(plain: str, decimal: str) -> str:
    whole, mark, rest = plain.rpartition(decimal)
    if not mark:
        whole, rest = plain, ""
    groups = "".join(filter(str.isdigit, whole))
    if decimal in whole or (rest and not rest.isdecimal()):
        return groups + "".join(filter(str.isdigit, rest))
    other = "." if decimal == "," else ","
    if not mark and other in plain and not _is_grouped(plain, other):
        return ""
    value = Decimal(f"{groups or 0}.{rest or 0}")
    return f"{value.normalize():f}"


def _is_grouped(plain: str, mark: str) -> bool:
    first, *groups = plain.split(mark)
    return 0 < len(first) <= 3 and all(len(group) == 3 for group in groups)


def _with_scales(tokens: Sequence[Token], scales: Mapping[str, int]) -> list[Token]:
    """ "3 million" and "two hundred" as one number each."""
    found: list[Token] = []
    for token in tokens:
        scale = scales.get(token.text.lower())
        before = found[-1] if found else None
        if scale and before and before.kind is Kind.NUMBER and token.first - before.last <= 1:
            keys = frozenset(_times(key, scale) for key in before.keys)
            found[-1] = replace(before, text=f"{before.text} {token.text}", last=token.last, keys=keys)
        elif before and (together := _tens(before, token)):
            found[-1] = together
        else:
            found.append(token)
    return found


def _tens(before: Token, token: Token) -> Token | None:
    """ "twenty-five", whose parts are numbers as well."""
    if before.kind is not Kind.NUMBER or token.kind is not Kind.NUMBER or token.first - before.last != 1:
        return None
    one, other = next(iter(before.keys)), next(iter(token.keys))
    if not (before.text.isalpha() and token.text.isalpha() and one.isdecimal() and other.isdecimal()):
        return None
    if int(one) not in range(20, 100, 10) or int(other) not in range(1, 10):
        return None
    text = f"{before.text}-{token.text}"
    return replace(before, text=text, last=token.last, keys=frozenset({str(int(one) + int(other))}))


def _times(key: str, scale: int) -> str:
    try:
        return f"{(Decimal(key) * scale).normalize():f}"
    except ArithmeticError:
        return f"{key} {scale}"


def _with_units(tokens: Sequence[Token]) -> Iterator[Token]:
    for i, token in enumerate(tokens):
        if token.kind is Kind.NUMBER:
            before = tokens[i - 1] if i else None
            unit = _unit(tokens[i + 1], token) if i + 1 < len(tokens) else ""
            if before is not None and before.text in ("$", "€", "£", "¥"):
                unit = before.text
            kind = _number_kind(token, unit)
            after = tokens[i + 1] if i + 1 < len(tokens) else None
            if _is_early_year(before, token, unit, after):
                kind = Kind.DATE
            yield replace(token, kind=kind, unit=unit)
        else:
            yield token


def _unit(token: Token, number: Token) -> str:
    if token.first - number.last > 2:
        return ""
    return lists.units().get(token.text) or (
        lists.units().get(token.text.lower(), "") if len(token.text) > 2 else ""
    )


def _is_early_year(before: Token | None, token: Token, unit: str, after: Token | None) -> bool:
    """ "in 911", unless something is counted."""
    digits = token.text.isdecimal() and len(token.text) == 3 and not unit
    counts = after is not None and after.kind is Kind.WORD
    return digits and before is not None and before.text.lower() in ("in", "im", "en", "anno") and not counts


_YEARS = range(1000, 2100)


def _number_kind(token: Token, unit: str) -> Kind:
    is_year = token.text.isdecimal() and len(token.text) == 4 and int(token.text) in _YEARS and not unit
    return Kind.DATE if is_year else Kind.NUMBER


# --- scripts without spaces -----------------------------------------------------------------------------------


def _marked_grams(text: str, tokens: list[Token]) -> list[Token]:
    """Letters of negations and comparisons as tokens of that kind."""
    if not any(token.kind is Kind.GRAM for token in tokens):
        return tokens
    marked = dict(_spans_of(text, lists.GRAM_NOT, Kind.NEGATION, lists.NOT))
    for name, words in lists.GRAM_COMPARISONS.items():
        for span in _spans_of(text, words.split(), Kind.COMPARISON, f"{name}·"):
            marked.setdefault(*span)
    found: list[Token] = []
    end = -1
    for token in tokens:
        if token.first < end:
            continue
        if (whole := marked.get(token.first)) is not None and token.kind is Kind.GRAM:
            found.append(whole)
            end = whole.last
        elif token.kind is Kind.GRAM and token.text in lists.GRAM_FUNCTION:
            found.append(replace(token, kind=Kind.STOP))
        else:
            found.append(token)
    return found


def _spans_of(text: str, words: Sequence[str], kind: Kind, key: str) -> Iterator[tuple[int, Token]]:
    for word in sorted(words, key=len):
        at = text.find(word)
        while at >= 0:
            yield at, Token(word, at, at + len(word), kind, frozenset({key}))
            at = text.find(word, at + 1)
