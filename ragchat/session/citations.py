"""From an answer to its citations: which `[n]` are real, what each is based on, and what to do with an answer that cites nothing.

A `[n]` in an answer counts only if a passage stood under this number in the prompt; others are taken out. A model that cites
nothing is helped: each sentence whose words are in a passage gets that passage's number. What a citation quotes is always
the passage's own text, word for word, never the model's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from ragchat.retrieval.analyzer import stop_terms, terms
from ragchat.retrieval.bm25 import idf
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import Citation, Hit

# One or several in a row, as in "[1], [2]" and "[1][2, 3]". Not after a word or a bracket: that is an index in code, as in
# `argv[1]`. Not before "(": that is a link.
_MARKER = re.compile(
    r"(?P<blank>[ \t]+|(?<![\w\])]))(?P<all>\[\d{1,2}(?:\s*,\s*\d{1,2})*\](?:,?[ \t]*\[\d{1,2}(?:\s*,\s*\d{1,2})*\])*)(?!\()"
)
_NUMBER = re.compile(r"\d+")
_CODE = re.compile(r"(?P<fence>```|~~~).*?(?:(?P=fence)|\Z)|`[^`\n]*`", re.DOTALL)
REVISION = 2
"""Of what decides which sentences get a number; figures of citations depend on it."""
SUPPORT = 0.6
"""Share of what a sentence adds to the question that two neighbouring sentences of a passage must hold (decision 15)."""
_FEWEST_WORDS = 2
SIMILAR = 0.4
"""Dice's coefficient from which a sentence passes for what a quote has become."""
_LONGEST_COMPARED = 2_000_000
"""Characters; some seconds."""
_ABOUT_ANSWERS = frozenset(
    term
    for words, language in (
        ("answer question passage text article mention state provide give", "en"),
        ("Antwort Frage Text lautet", "de"),
    )
    for term in terms(words, language)
)
"""Terms with which small models lead in to an answer, and which say nothing of it."""


def bind(answer: str, offered: Sequence[Citation], question: str = "") -> tuple[str, tuple[Citation, ...]]:
    """The answer with sound markers, and all offered citations with `used` and `quote` set.

    Of a sentence without a marker what counts is what it adds to the `question`; in a summary, which has none, all of it.
    """
    numbers = {citation.n for citation in offered}
    text, cited = _sound_markers(answer, numbers)
    if offered and not cited:
        text, cited = _add_markers(text, offered, question)
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
    """Whether no word is between the line's beginning (marks of quotes and lists aside) and `at`."""
    return not any(character.isalpha() for character in text[text.rfind("\n", 0, at) + 1 : at])


def _last_sentence(text: str) -> str:
    spans = sentence_spans(text[-1000:])
    first, last = spans[-1] if spans else (0, 0)
    return text[-1000:][first:last]


def _add_markers(answer: str, offered: Sequence[Citation], question: str) -> tuple[str, dict[int, str]]:
    """Markers after the sentences of the answer that a passage supports."""
    held = {c.n: _places(c.hit, whole=not question) for c in offered}
    asked = {c.n: set(terms(question, c.hit.language)) for c in offered}
    languages = {c.hit.language for c in offered}
    code = [(m.start(), m.end(), bool(m["fence"])) for m in _CODE.finditer(answer)]
    cited: dict[int, str] = {}
    parts: list[str] = []
    end = 0
    for first, last in sentence_spans(answer):
        sentence = answer[first:last]
        words = {language: _content_words(sentence, language) for language in languages}
        if not any(len(own) >= _FEWEST_WORDS for own in words.values()):
            continue
        if any(fenced and a < last and first < b for a, b, fenced in code):
            continue
        support = {c.n: _support(words[c.hit.language], asked[c.n], held[c.n]) for c in offered}
        share, n = max((share, -n) for n, share in support.items())
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


def _places(hit: Hit, *, whole: bool) -> list[set[str]]:
    """The terms of each two neighbouring sentences of a passage, with those of its heading; `whole`: of all of it."""
    heading = set(terms(hit.heading, hit.language))
    own = [set(terms(hit.text[first:last], hit.language)) for first, last in sentence_spans(hit.text)]
    if whole:
        return [heading.union(*own)]
    return [heading.union(*own[n : n + 2]) for n in range(max(1, len(own) - 1))]


def _support(words: set[str], asked: set[str], held: Sequence[set[str]]) -> float:
    """Largest share of what a sentence adds to the question that a place in a passage holds.

    0 for a number that is not there, and for a sentence that says nothing new: whoever repeats the question has the
    words of the passage without a word of an answer.
    """
    new = words - asked - _ABOUT_ANSWERS
    if len(words) < _FEWEST_WORDS or not new:
        return 0.0
    numbers = {term for term in new if any(map(str.isdigit, term))}
    return max((len(new & place) / len(new) for place in held if numbers <= place), default=0.0)


def _content_words(sentence: str, language: str) -> set[str]:
    stops = stop_terms(language)
    return {term for term in terms(sentence, language) if term not in stops}


def _quote(claim: str, citation: Citation) -> str:
    """The sentence of the passage that shares most words with what it is cited for; its evidence where none shares any."""
    text, language = citation.hit.text, citation.hit.language
    wanted = _content_words(claim, language)
    sentences = [text[first:last] for first, last in sentence_spans(text)]
    if not wanted or not sentences:
        return citation.quote
    best = max(sentences, key=lambda sentence: len(wanted & set(terms(sentence, language))))
    return best if wanted & set(terms(best, language)) else citation.quote


def moved_to(text: str, quote: str, language: str) -> tuple[int, int] | None:
    """Where a document says now what was quoted from it: the most similar sentence, or None.

    Similar by Dice's coefficient over their words, each weighed by how rare it is among the sentences; None below `SIMILAR`, and
    for texts so long that a user would wait.
    """
    wanted = _content_words(quote, language)
    if not wanted or len(text) > _LONGEST_COMPARED:
        return None
    spans = sentence_spans(text)
    held = [_content_words(text[first:last], language) for first, last in spans]
    counts = Counter(chain.from_iterable(held))

    def worth(words: set[str]) -> float:
        return sum(idf(counts[word], len(held)) for word in words)

    def likeness(own: set[str]) -> float:
        return 2 * worth(own & wanted) / (worth(own) + worth(wanted))

    best = max(
        (i for i, own in enumerate(held) if own & wanted), key=lambda i: likeness(held[i]), default=None
    )
    return spans[best] if best is not None and likeness(held[best]) >= SIMILAR else None
