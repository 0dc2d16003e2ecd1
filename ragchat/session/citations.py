"""From an answer to its citations: which `[n]` are real, what each stands on, and what to do with an answer that cites nothing.

A `[n]` in an answer counts only if a passage stood under this number in the prompt; others are taken out. A model that cites
nothing is helped: each sentence whose words stand in a passage gets that passage's number. What a citation quotes is always
the passage's own text, word for word, never the model's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from ragchat.retrieval.analyzer import STOP_WORDS, terms
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import Citation

# One or several in a row, as in "[1], [2]" and "[1][2, 3]". Not after a word or a bracket: that is an index in code, as in
# `argv[1]`. Not before "(": that is a link.
_MARKER = re.compile(
    r"(?P<blank>[ \t]+|(?<![\w\])]))(?P<all>\[\d{1,2}(?:\s*,\s*\d{1,2})*\](?:,?[ \t]*\[\d{1,2}(?:\s*,\s*\d{1,2})*\])*)(?!\()"
)
_NUMBER = re.compile(r"\d+")
_CODE = re.compile(r"(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)|`[^`\n]*`", re.DOTALL)
SUPPORT = 0.6
"""Share of a sentence's content words that a passage must hold to be cited for it."""
_FEWEST_WORDS = 2


def bind(answer: str, offered: Sequence[Citation]) -> tuple[str, tuple[Citation, ...]]:
    """The answer with sound markers, and all offered citations with `used` and `quote` set."""
    numbers = {citation.n for citation in offered}
    text, cited = _sound_markers(answer, numbers)
    if offered and not cited:
        text, cited = _add_markers(text, offered)
    return text, tuple(
        replace(
            citation,
            used=citation.n in cited,
            quote=_quote(cited[citation.n], citation) if citation.n in cited else citation.quote,
        )
        for citation in offered
    )


def _sound_markers(answer: str, numbers: set[int]) -> tuple[str, dict[int, str]]:
    """The answer without markers that mean nothing, and the sentence each number is cited for."""
    code = [(m.start(), m.end()) for m in _CODE.finditer(answer)]
    cited: dict[int, str] = {}
    parts: list[str] = []
    end = 0
    for match in _MARKER.finditer(answer):
        if any(first <= match.start() < last for first, last in code):
            continue
        found = [int(n) for n in _NUMBER.findall(match["all"])]
        sound = [n for n in found if n in numbers]
        parts.append(answer[end : match.start()])
        if sound:
            parts.append(match["blank"] + "".join(f"[{n}]" for n in dict.fromkeys(sound)))
            before = answer[: match.start()].rstrip()
            for n in sound:
                cited.setdefault(n, _last_sentence(before))
            if answer.startswith(":", match.end()) and _opens_line(answer, match.start()):
                parts.append(" ")  # there "[1]:" would make every [1] a link to what follows
        end = match.end()
    return "".join(parts) + answer[end:], cited


def _opens_line(text: str, at: int) -> bool:
    """Whether no word stands between the line's beginning (marks of quotes and lists aside) and `at`."""
    return not any(character.isalpha() for character in text[text.rfind("\n", 0, at) + 1 : at])


def _last_sentence(text: str) -> str:
    spans = sentence_spans(text[-1000:])
    first, last = spans[-1] if spans else (0, 0)
    return text[-1000:][first:last]


def _add_markers(answer: str, offered: Sequence[Citation]) -> tuple[str, dict[int, str]]:
    """Markers after the sentences of the answer that a passage supports."""
    held = {citation.n: set(terms(f"{citation.hit.heading}\n{citation.hit.text}")) for citation in offered}
    code = [(m.start(), m.end(), bool(m["fence"])) for m in _CODE.finditer(answer)]
    cited: dict[int, str] = {}
    parts: list[str] = []
    end = 0
    for first, last in sentence_spans(answer):
        sentence = answer[first:last]
        words = _content_words(sentence)
        if len(words) < _FEWEST_WORDS or any(fenced and a < last and first < b for a, b, fenced in code):
            continue
        share, n = max(((len(words & held[c.n]) / len(words), -c.n) for c in offered), default=(0.0, 0))
        if share >= SUPPORT:
            body = sentence.rstrip()
            stop = body[-1] if body[-1] in ".!?:;" else ""
            at = first + len(body) - len(stop)
            if any(a < at < b for a, b, _ in code):
                continue
            parts += [answer[end:at], f" [{-n}]"]
            end = at
            cited.setdefault(-n, sentence)
    return "".join(parts) + answer[end:], cited


def _content_words(sentence: str) -> set[str]:
    return {
        term
        for word in sentence.split()
        if word.strip(".,;:!?\"'()*").lower() not in STOP_WORDS
        for term in terms(word)
    }


def _quote(claim: str, citation: Citation) -> str:
    """The sentence of the passage that shares most words with what it is cited for; its evidence where none shares any."""
    wanted = _content_words(claim)
    text = citation.hit.text
    sentences = [text[first:last] for first, last in sentence_spans(text)]
    if not wanted or not sentences:
        return citation.quote
    best = max(sentences, key=lambda sentence: len(wanted & set(terms(sentence))))
    return best if wanted & set(terms(best)) else citation.quote
