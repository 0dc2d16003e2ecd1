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

# Not after a word or a bracket: that is an index in code, as in `argv[1]`.
_MARKER = re.compile(r"(?<![\w\])])[ \t]*\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\](?!\()")
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
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
        found = [int(n) for n in match.group(1).split(",")]
        sound = [n for n in found if n in numbers]
        parts.append(answer[end : match.start()])
        if sound:
            blank = " " if match.group().startswith((" ", "\t")) else ""
            parts.append(blank + "".join(f"[{n}]" for n in dict.fromkeys(sound)))
            before = answer[: match.start()].rstrip()
            for n in sound:
                cited.setdefault(n, _last_sentence(before))
        end = match.end()
    return "".join(parts) + answer[end:], cited


def _last_sentence(text: str) -> str:
    spans = sentence_spans(text[-1000:])
    first, last = spans[-1] if spans else (0, 0)
    return text[-1000:][first:last]


def _add_markers(answer: str, offered: Sequence[Citation]) -> tuple[str, dict[int, str]]:
    """Markers after the sentences of the answer that a passage supports."""
    held = {citation.n: set(terms(f"{citation.hit.heading}\n{citation.hit.text}")) for citation in offered}
    code = [(m.start(), m.end()) for m in _CODE.finditer(answer) if m.group().startswith("```")]
    cited: dict[int, str] = {}
    parts: list[str] = []
    end = 0
    for first, last in sentence_spans(answer):
        sentence = answer[first:last]
        words = _content_words(sentence)
        if len(words) < _FEWEST_WORDS or any(a < last and first < b for a, b in code):
            continue
        share, n = max(((len(words & held[c.n]) / len(words), -c.n) for c in offered), default=(0.0, 0))
        if share >= SUPPORT:
            body = sentence.rstrip()
            stop = body[-1] if body[-1] in ".!?:;" else ""
            at = first + len(body) - len(stop)
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
