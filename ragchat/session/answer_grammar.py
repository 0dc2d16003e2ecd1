"""Grammars (GBNF) that hold an answer to a shape: few sentences, a marker after each, or sentences of the passages word for word.

A sentence ends as the model ends it, and only then its marker is asked for: a model that is kept from ending a sentence goes on
with what it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.packing import GAP, Answer

_SENTENCE = r"""unit ::= [^.!?。！？\n\[] | [.!?] [^ \n\[.!?] | [A-Z] "."
"""
"""What a sentence has before its end: a full stop inside a number or a name, or after an initial, ends nothing."""
MOST = 2
"""Sentences of an answer that is to be short."""
_FENCED = re.compile(r"^(?P<marks>```|~~~)[^\n]*\n(?P<code>.*?)^(?P=marks)[ \t]*$", re.MULTILINE | re.DOTALL)
_FENCE_LINE = re.compile(r"^(?:```|~~~)[^\n]*$", re.MULTILINE)
_HEADING = re.compile(r"#{1,6}\s")
_ITEM = re.compile(r"(?:[-*+•‣◦|]|\d{1,3}[.)])\s")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r'[\\"\n\r]')
_LONGEST_COPIED = 600
"""Characters of a sentence that may be copied; what is longer is a table or a list without signs."""


def held_to(answer: Answer, passages: Sequence[str]) -> str:
    """The grammar for an answer from these passages, which have the numbers from 1; empty where any answer will do."""
    match answer:
        case "few":
            return few_sentences(MOST)
        case "cited":
            return cited_sentences(len(passages), MOST)
        case "copied":
            return copied_sentences(passages)
        case "words":
            return copied_words(passages)
    return ""


def few_sentences(most: int) -> str:
    """At most so many sentences, without a line break."""
    return f"root ::= s{_again('s', most)}\ns ::= unit+ [.!?。！？]\n{_SENTENCE}"


def cited_sentences(passages: int, most: int) -> str:
    """At most so many sentences, each with the number of one of so many passages."""
    return (
        f"root ::= s{_again('s', most)}\n"
        's ::= unit+ ( mark [.!?。！？] | [.!?。！？] mark )\nmark ::= " "? "[" n "]"\n'
        f"n ::= {_numbers(passages)}\n{_SENTENCE}"
    )


def copied_sentences(passages: Sequence[str], otherwise: str = "") -> str:
    """One sentence of a passage, word for word, or some items of a list in a row, each with the number of the passage.

    Where it is given, `otherwise` is the other thing that may be said.
    """
    rules: list[str] = []
    for n, text in enumerate(passages, 1):
        units = list(_units(text))
        for unit, after in zip(units, [*units[1:], _Unit("")], strict=True):
            goes_on = f' ( "\\n" q{len(rules) + 1} )?' if unit.item and after.item else ""
            # Behind a fence nothing may be on its line, and code has no number.
            mark = "" if unit.fence else f" {literal(f' [{n}]')}"
            rules.append(f"q{len(rules)} ::= {literal(unit.text)}{mark}{goes_on}")
    names = [f"q{n}" for n in range(len(rules))]
    return _joined([*names, literal(otherwise)] if otherwise or not names else names, rules)


def copied_words(passages: Sequence[str]) -> str:
    """Some words in a row of one sentence of a passage, and its number."""
    rules: list[str] = []
    for n, text in enumerate(passages, 1):
        mark = literal(f" [{n}]")
        for unit in (unit for unit in _units(text) if not unit.fence):
            words = unit.text.split()
            for word in words[:-1]:
                rules.append(f'w{len(rules)} ::= {literal(word)} ( " " w{len(rules) + 1} | {mark} )')
            rules.append(f"w{len(rules)} ::= {literal(words[-1])} {mark}")
    return _joined([f"w{n}" for n in range(len(rules))] or ['""'], rules)


def literal(text: str) -> str:
    """`text` as GBNF writes it."""
    return '"' + _ESCAPED.sub(lambda match: _ESCAPES[match.group()], text.replace("\0", "")) + '"'


def _joined(names: Sequence[str], rules: Sequence[str]) -> str:
    return "\n".join([f"root ::= {' | '.join(names)}", *rules]) + "\n"


def _again(rule: str, most: int) -> str:
    return f' ( " " {rule} ){{0,{most - 1}}}' if most > 1 else ""


def _numbers(passages: int) -> str:
    return " | ".join(f'"{n}"' for n in range(1, passages + 1))


@dataclass(frozen=True, slots=True)
class _Unit:
    """What can be copied: a sentence on one line, an item of a list, a row of a table, a fence with its lines."""

    text: str
    item: bool = False
    fence: bool = False


def _units(text: str) -> Iterator[_Unit]:
    """Headings, what says nothing and what is too long to be a sentence are left out."""
    for part in text.split(GAP):
        at = 0
        for fence in _FENCED.finditer(part):
            yield from _sentences(part[at : fence.start()])
            if any(map(str.isalnum, fence["code"])) and len(fence[0]) <= _LONGEST_COPIED:
                yield _Unit(fence[0], fence=True)
            at = fence.end()
        yield from _sentences(part[at:])


def _sentences(text: str) -> Iterator[_Unit]:
    text = _FENCE_LINE.sub("", text)  # of a fence whose other end is not in the passage
    for first, last in sentence_spans(text):
        said = " ".join(text[first:last].split())
        if any(map(str.isalnum, said)) and len(said) <= _LONGEST_COPIED and not _HEADING.match(said):
            yield _Unit(said, item=bool(_ITEM.match(said)))
