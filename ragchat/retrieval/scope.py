"""What of a question says where to search: `in:folder`, `file:name`, `kb:name`, `after:2025-01`, "exact words", `-word`.

Text that only looks like an operator ("git checkout -b", "12:30", "http://…") stays text. What a scope leaves open in an
index is the business of `within`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import MAXYEAR, MINYEAR, date

from ragchat.errors import UsageError
from ragchat.retrieval.analyzer import token_terms
from ragchat.retrieval.stopwords import stop_words
from ragchat.retrieval.tokenizer import words
from ragchat.text import clean_line, normalise

LONGEST_WITH_OPERATORS = 600
"""Characters. What is longer is a text that was pasted in: nothing in it is an operator."""
OPERATORS = ("in", "file", "kb", "after", "before")
_FEWEST_LETTERS = 3
"""Of a word that `-` excludes without any other operator beside it: shorter ones are options ("-rf", "-la")."""

_PIECE = re.compile(
    r"(?P<minus>(?<!\S)-)?(?<![^\s(\[-])\"(?P<phrase>[^\s\"](?:[^\"\n]{0,198}[^\s\"])?)\"(?=$|[\s)\].,;:!?])"
    r"|(?<!\S)(?P<name>in|file|kb|after|before):(?:\"(?P<quoted>[^\"\n]{1,200})\"|(?P<value>[^\s\"]{1,200}))(?!\S)"
    r"|(?<!\S)-(?P<word>[^\W\d_]{2,60})(?!\S)"
)
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?-?")
_LIKE_A_DATE = re.compile(r"\d[\d./-]{3,}")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_OPTION = re.compile(r"(?<!\S)(?:--[A-Za-z]|-[A-Za-z](?!\S))")
_ENDS = ",;!."
_MARKS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Scoped:
    """A question taken apart. `text` is what is searched for, without the operators.

    Of several `folders`, `files` or `knowledge_bases` one must fit; all other demands must hold together. `after` is the first
    day that counts, `before` the first that no longer does, by the modification time of the file, in local time. `phrases` must
    stand in a passage word for word; `excluded` words must not.
    """

    text: str
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    knowledge_bases: tuple[str, ...] = ()
    after: date | None = None
    before: date | None = None
    phrases: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    @property
    def by_document(self) -> bool:
        """Whether it chooses among documents."""
        return bool(self.folders or self.files or self.knowledge_bases or self.after or self.before)

    @property
    def narrows(self) -> bool:
        """Whether it demands anything."""
        return self.by_document or bool(self.phrases or self.excluded)

    @property
    def demands(self) -> Scoped:
        """The same without the text: equal for all questions in the same scope."""
        return replace(self, text="")

    def described(self) -> tuple[str, ...]:
        """What it demands, in phrases for the screen: "in git-doc", "files *.md", "without “foo”"."""
        said = [f"in {_either(self.folders)}"] if self.folders else []
        said += [f"files {_either(self.files)}"] if self.files else []
        said += [f"knowledge base {_either(self.knowledge_bases)}"] if self.knowledge_bases else []
        said += [f"changed on or after {self.after.isoformat()}"] if self.after else []
        said += [f"changed before {self.before.isoformat()}"] if self.before else []
        said += [f"only with “{clean_line(phrase, limit=60)}”" for phrase in self.phrases]
        said += [f"without “{clean_line(word, limit=60)}”" for word in self.excluded]
        return tuple(said)


def _either(names: Sequence[str]) -> str:
    return " or ".join(clean_line(name, limit=60) for name in names)


# --- reading a question -----------------------------------------------------------------------------------


def parse(question: str, languages: Sequence[str] = ("en",)) -> Scoped:
    """Take a question apart. `languages` are those whose stop words tell a question from key words.

    Quotation marks in a question ("What does "detached HEAD" mean?") are part of its wording; among key words they demand the
    phrase. `-word` excludes beside another operator, and at the end of key words; in a question, before other words, or beside
    options ("-R", "--delete") it is an option. `-"words"` always excludes. Raises UsageError for a date that does not exist.
    """
    if len(question) > LONGEST_WITH_OPERATORS:
        return Scoped(question)
    pieces = [piece for piece in _PIECE.finditer(question) if _is_operator(piece)]
    if not pieces:
        return Scoped(question)
    strict = any(piece["name"] or (piece["minus"] and piece["phrase"]) for piece in pieces)
    keywords = not _is_question(_without(question, pieces), languages)
    quotes = strict or keywords
    excludes = strict or (keywords and not _OPTION.search(question))
    taken = [
        piece for piece in pieces if _counts(piece, question, quotes=quotes, excludes=excludes, strict=strict)
    ]
    return _gathered(question, taken)


def without_operators(question: str, languages: Sequence[str] = ("en",)) -> str:
    """What of a question is searched for; all of it when something in it is no date."""
    try:
        return parse(question, languages).text
    except UsageError:
        return question


def _is_operator(piece: re.Match[str]) -> bool:
    """Whether what is written like an operator is one, and not an address, a time or a place in a file."""
    name, value = piece["name"], (piece["value"] or "").rstrip(_ENDS)
    if name is None or piece["quoted"]:
        return True
    if name in ("after", "before"):
        return bool(_DATE.fullmatch(value) or _LIKE_A_DATE.fullmatch(value))
    if value.startswith("//") or (name == "file" and value.startswith("/")):
        return False
    bare = _DRIVE.sub("", value, count=1)
    return ":" not in bare and any(map(str.isalnum, bare))


def _without(question: str, pieces: Sequence[re.Match[str]]) -> str:
    """The question without what may be operators."""
    kept, end = [], 0
    for piece in pieces:
        kept.append(question[end : piece.start()])
        end = piece.end()
    return " ".join([*kept, question[end:]])


def _is_question(text: str, languages: Sequence[str]) -> bool:
    """Whether it is asked in sentences: a question mark, a stop word at its beginning, or two of them."""
    if text.rstrip().endswith(("?", "？", "؟", ";")):
        return True
    asked = [word.casefold() for word in words(text)]
    stops = [any(word in stop_words(language) for language in languages) for word in asked]
    return bool(stops) and (stops[0] or sum(stops) > 1)


def _counts(piece: re.Match[str], question: str, *, quotes: bool, excludes: bool, strict: bool) -> bool:
    if piece["name"] or (piece["phrase"] and piece["minus"]):
        return True
    if piece["phrase"]:
        return quotes
    if not excludes or not question[: piece.start()].strip():
        return False
    return strict or (len(piece["word"]) >= _FEWEST_LETTERS and _stands_last(question, piece))


def _stands_last(question: str, piece: re.Match[str]) -> bool:
    """Whether nothing but words with `-` follows: "jaguar -car", not "tar -xzf FILE"."""
    return all(word.startswith("-") for word in question[piece.end() :].split())


def _gathered(question: str, taken: Sequence[re.Match[str]]) -> Scoped:
    found: dict[str, list[str]] = {name: [] for name in (*OPERATORS, "phrase", "excluded")}
    kept, end = [], 0
    for piece in taken:
        kept.append(question[end : piece.start()])
        end = piece.end()
        if piece["name"]:
            found[piece["name"]].append(piece["quoted"] or _value(piece, last=end == len(question.rstrip())))
        elif piece["minus"] or piece["word"]:
            found["excluded"].append(piece["phrase"] or piece["word"])
        else:
            found["phrase"].append(piece["phrase"])
            kept.append(piece["phrase"])
    text = " ".join("".join([*(part for part in kept), question[end:]]).split()) if taken else question
    once = {name: tuple(dict.fromkeys(values)) for name, values in found.items()}
    after, before = ([_day(name, value) for value in found[name]] for name in ("after", "before"))
    return Scoped(
        text,
        folders=once["in"],
        files=once["file"],
        knowledge_bases=once["kb"],
        after=max(after, default=None),
        before=min(before, default=None),
        phrases=once["phrase"],
        excluded=once["excluded"],
    )


def _value(piece: re.Match[str], *, last: bool) -> str:
    """The value without the punctuation of the sentence behind it."""
    value: str = piece["value"].rstrip(_ENDS)
    return value.rstrip("?") if last and not value.startswith("?") else value


def _day(name: str, value: str) -> date:
    """The first day of a year, a month, or the day itself. Raises UsageError."""
    match = _DATE.fullmatch(value.rstrip(_ENDS + "?"))
    try:
        if match and MINYEAR < int(match[1]) < MAXYEAR:
            return date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        pass
    raise UsageError(
        f"“{name}:{clean_line(value, limit=40)}” is not a date.",
        f"Write a year, a month or a day: {name}:2025, {name}:2025-03 or {name}:2025-03-14.",
    )


# --- which passages ---------------------------------------------------------------------------------------


def phrase_holds(text: str, phrases: Sequence[str]) -> bool:
    """Whether all phrases stand in a text: word for word, upper case, white space and marks between words left aside."""
    plain = _plain(text)
    held = _pieces(text)
    return all(_stands(phrase, plain, held) for phrase in phrases)


def _stands(phrase: str, plain: str, held: Sequence[str]) -> bool:
    asked, wanted = _pieces(phrase), _plain(phrase)
    at = plain.find(wanted)
    while at >= 0:
        if _is_apart(plain, at, at + len(wanted)):
            return True
        at = plain.find(wanted, at + 1)
    n = len(asked)
    return n > 1 and any(
        held[at] == asked[0] and list(held[at : at + n]) == asked for at in range(len(held) - n + 1)
    )


def _is_apart(text: str, first: int, last: int) -> bool:
    """Whether no word continues at either end; scripts without spaces have no such ends."""
    return not any(
        one.isalnum() and other.isalnum() and (one.isascii() or other.isascii() or one.lower() != one.upper())
        for one, other in ((text[first - 1 : first], text[first]), (text[last - 1], text[last : last + 1]))
        if one and other
    )


def _pieces(text: str) -> list[str]:
    """The words of a text one by one; what is joined ("well-known") is several."""
    return [part for word in words(text) for part in _MARKS.split(word.casefold()) if part]


def _plain(text: str) -> str:
    return " ".join(normalise(text).casefold().split())


def holds_excluded(text: str, excluded: Sequence[str], language: str = "en") -> bool:
    """Whether a text holds one of these words in any of its forms; what is several words, word for word."""
    held: set[str] | None = None
    for word in excluded:
        if len(words(word)) != 1:
            if phrase_holds(text, [word]):
                return True
            continue
        if held is None:
            held = {term for token in words(text) for term in token_terms(token, language)}
        if held.issuperset(token_terms(words(word)[0], language)):
            return True
    return False
