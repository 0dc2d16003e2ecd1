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

    What a user reads as one word although it is written in pieces (`joined`) follows behind. Does not depend on the language.
    """
    found = words(text)
    found.extend(token for _, _, token in joined(text))
    return found


def words(text: str) -> list[str]:
    """The tokens that are in a text as they are, in their order."""
    if text.isascii():
        return _ASCII_TOKEN.findall(text)
    plain = normalise(text).replace("\u2010", "-")
    if not _NOT_EUROPEAN.search(plain):
        return _european_token().findall(plain.replace("\u00ad", ""))
    found: list[str] = _TOKEN.findall(_UNSEEN.sub("", plain))
    if not _UNSPACED.search(plain):
        return found
    return [gram for token in found for gram in _by_script(token)]


_LINE_HYPHEN = re.compile("[-\u2010\u00ad]\\n[ \\t>*|#/]{0,12}(?=[^\\W\\d_])")
_LAST_LETTERS = re.compile(r"[^\W\d_]{1,40}\Z")
_LETTERS = re.compile(r"[^\W\d_]{1,40}")
_STARS = re.compile(r"\*(?=\w)(?<=\w\*)|\*\*(?=\w)(?<=\w\*\*)|\*\*\*(?=\w)(?<=\w\*\*\*)")
"""Between two letters; a star is looked for first."""
_STARRED = re.compile(r"(?<![\w*])(\w{0,40})(\*{1,3})(\w{1,40})\2(\w{0,40})")
_INLINE_TAG = re.compile(r"</?(?:b|i|u|em|strong|sub|sup|mark|small)>", re.IGNORECASE)
_TAGGED = re.compile(rf"(?<![\w>])\w{{0,40}}(?:{_INLINE_TAG.pattern}\w{{1,40}}){{1,6}}", re.IGNORECASE)
_DOT_NAME = re.compile(r"\.[A-Za-z][\w.-]{0,60}")
_BEFORE_A_DOT_NAME = frozenset(" \t\n\"'`([{<=:,/|*")
_BLANK = " \u00a0\u202f\u2009"
_DIGIT_GROUPS = re.compile(
    r"[0-9](?<![0-9]{2})(?:"
    rf"(?P<long>[0-9]{{0,5}}+\)?+(?:[{_BLANK}./–-]{{1,2}}+\(?+[0-9]{{1,6}}+\)?+){{2,6}}+(?:-[Xx])?)"
    rf"|(?P<thousands>[0-9]{{0,2}}+(?:[,.'’{_BLANK}][0-9]{{3}}(?![0-9]))++)"
    r"|(?P<account>[0-9] [A-Z0-9]{4} [A-Z0-9]{2}))"
)
"""Numbers in groups. It begins with a digit, so that a text without any is passed over quickly."""
_ACCOUNT = re.compile(r"[A-Z]{2}[0-9]{2}(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,4})?(?!\w)")
_DATE = re.compile(r"[0-9]{4}([-./])[0-9]{1,2}\1[0-9]{1,2}|[0-9]{1,2}([-./])[0-9]{1,2}\2[0-9]{2,4}")
SIGNS = "-$%=!&<+*:?~/"
"""What the name of a sign, an option or a variable begins with; no other token does."""
_APART = r"(?<![^\s`\"'(\[{,|/].)"  # of the first character: nothing of a word or of other signs before it
_APART_BEHIND = r"(?![^\s`\"')\]},.;:?])"
_SIGN = re.compile(
    rf"-{_APART}(?:-?[A-Za-z][A-Za-z0-9_-]{{0,40}}|(?:[>=-]){_APART_BEHIND})"
    rf"|\${_APART}[*@#?!$0-9]{_APART_BEHIND}"
    rf"|%(?<![A-Za-z0-9%]%)(?:[A-Za-z](?![A-Za-z0-9])|[%=]{_APART_BEHIND})"
    rf"|/{_APART}/{_APART_BEHIND}"
    rf"|={_APART}(?:~|==?|>){_APART_BEHIND}"
    rf"|!{_APART}(?:==?|~){_APART_BEHIND}"
    rf"|&{_APART}(?:&|>){_APART_BEHIND}"
    rf"|<{_APART}(?:=>?|<<?|-|>|\|){_APART_BEHIND}"
    rf"|\+{_APART}[+=]{_APART_BEHIND}"
    rf"|\*{_APART}(?:\*=?|=){_APART_BEHIND}"
    rf"|:{_APART}[:=]{_APART_BEHIND}"
    rf"|\?{_APART}[?.:]{_APART_BEHIND}"
    rf"|~{_APART}[=>*]{_APART_BEHIND}"
)
"""Options and signs of programs: "-n", "--delete", "%D", "$*", "=~", "->". Upper and lower case are two options."""
_NOT_ALNUM = re.compile(r"[\W_]+")
_FEWEST_DIGITS = 7
"""Of a number in groups that are not thousands: telephone, account, ISBN."""


def joined(text: str) -> list[tuple[int, int, str]]:
    """(first, last exclusive, the word) for each word that is written in pieces.

    A word parted at a line end ("recon-\\nstruction"), with a mark for bold or italic inside ("**Auto**bahn"), and numbers in
    groups: "1,250,000", "48 500", "070-123 45 67", an IBAN, an ISBN. A name that begins with a dot is one word with it: ".NET".
    """
    found: list[tuple[int, int, str]] = []
    if "-\n" in text or "\u00ad\n" in text or "\u2010\n" in text:
        found += _parted(text)
    if "*" in text and _STARS.search(text):
        found += _within_marks(text)
    if "<" in text and _is_inside_a_word(_INLINE_TAG, text):
        found += _within_tags(text)
    for name in _DOT_NAME.finditer(text):
        if not name.start() or text[name.start() - 1] in _BEFORE_A_DOT_NAME:
            found.append((name.start(), name.end(), name[0].rstrip(".-_")))
    for groups in _DIGIT_GROUPS.finditer(text):
        _add_number(text, groups, found)
    found += [(*sign.span(), sign[0]) for sign in _SIGN.finditer(text)]
    return found if text.isascii() else [(first, last, normalise(word)) for first, last, word in found]


def _is_inside_a_word(mark: re.Pattern[str], text: str) -> bool:
    """Whether a mark stands with a letter or digit on both sides anywhere."""
    return any(
        text[match.start() - 1 : match.start()].isalnum() and text[match.end() : match.end() + 1].isalnum()
        for match in mark.finditer(text, 1)
    )


def _parted(text: str) -> Iterator[tuple[int, int, str]]:
    """Words that a hyphen parts at a line end; what continues in upper case is no such word."""
    for hyphen in _LINE_HYPHEN.finditer(text):
        head = _LAST_LETTERS.search(text, max(0, hyphen.start() - 41), hyphen.start())
        tail = _LETTERS.match(text, hyphen.end())
        if head and tail and not tail[0][0].isupper():
            yield head.start(), tail.end(), head[0] + tail[0]


def _within_marks(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _STARRED.finditer(text):
        if (match[1] or match[4]) and not (match[1] + match[3] + match[4]).isdecimal():
            yield match.start(), match.end(), match[1] + match[3] + match[4]


def _within_tags(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _TAGGED.finditer(text):
        pieces = [piece for piece in _INLINE_TAG.split(match[0]) if piece]
        if len(pieces) > 1:
            yield match.start(), match.end(), "".join(pieces)


def _add_number(text: str, groups: re.Match[str], found: list[tuple[int, int, str]]) -> None:
    """Add the number that groups of digits are, if they are one and stand apart from other words."""
    first, last = groups.span()
    if first and text[first - 1].isalnum():
        if text[first - 2 : first].isupper() and (account := _ACCOUNT.match(text, first - 2)):
            found.append((account.start(), account.end(), account[0].replace(" ", "")))
        return
    if text[last : last + 1].isalnum() or groups.lastgroup == "account":
        return
    run = groups[0]
    if groups.lastgroup == "thousands":
        found.append((first, last, "".join(filter(str.isdigit, run))))
        return
    is_number = not _DATE.fullmatch(run) and not (" " in run and "." in run)
    word = _NOT_ALNUM.sub("", run)
    if is_number and len(word) >= _FEWEST_DIGITS and not text[last + 1 : last + 2].isdigit():
        found.append((first, last, word))


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
