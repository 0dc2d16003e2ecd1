"""Whether an answer is based on what it cites, and whether it declines. One function per measure, each for one answer."""

from __future__ import annotations

from collections.abc import Sequence

import regex

from ragchat.evaluation.answer_metrics import contains
from ragchat.retrieval.analyzer import detect, stop_terms, terms
from ragchat.session.events import AnswerKind
from ragchat.session.refusals import declines

_MARKER = regex.compile(r"\s*\[\d{1,2}\]")
_NUMBER = regex.compile(r"(?<![\p{L}\p{N}])\p{N}+(?:[.,:]\p{N}+)*")
_OPENING = 200
"""Characters in which a refusal is said; what comes later qualifies an answer."""


def without_markers(said: str) -> str:
    """The model's own words without their citation marks."""
    return _MARKER.sub("", said).strip()


def refuses(said: str, kind: AnswerKind = AnswerKind.ANSWER, *, says: bool = True) -> bool:
    """Whether the answer says that there is none: ragchat itself, or the model with words to that effect at its beginning.

    `says` is that of the answer's check: False where the reader is told that the passages do not answer the question. Words in
    English, German, French, Spanish, Portuguese, Italian, Dutch, Chinese and Japanese are known; others count as answers.
    """
    return kind is AnswerKind.UNMATCHED or gives_no_answer(said, kind, says=says)


def gives_no_answer(said: str, kind: AnswerKind = AnswerKind.ANSWER, *, says: bool = True) -> bool:
    """The same of an answer to a question that has one: to say that it is not from the documents, and to give it, is none."""
    # What documents say of something else ("Article 5 does not mention …") declines nothing.
    own_words = kind is not AnswerKind.QUOTED and _says_there_is_none(said)
    return kind is AnswerKind.DECLINED or not says or own_words


def _says_there_is_none(said: str) -> bool:
    return declines(without_markers(said)[:_OPENING])


def citation_precision(cited: Sequence[str], answers: Sequence[str]) -> float:
    """Share of the cited passages that hold an expected answer; 0 when nothing is cited.

    Precision and recall of citations are those of Gao and others (Enabling Large Language Models to Generate Text with Citations,
    2023), with "supports" read as "holds the expected answer word for word".
    """
    return sum(contains(text, answers) for text in cited) / len(cited) if cited else 0.0


def citation_recall(cited: Sequence[str], answers: Sequence[str]) -> float:
    """1 when one of the cited passages holds an expected answer, else 0."""
    return float(any(contains(text, answers) for text in cited))


def groundedness(said: str, cited: Sequence[str]) -> float:
    """Share of the answer's content words that are in the cited passages; 0 when one of its numbers does not stand there.

    Words are compared as the search compares them (stemmed, without stop words). 0 for an answer without words or citations.
    """
    own = without_markers(said)
    source = "\n".join(cited)
    if not own or not source.strip():
        return 0.0
    numbers = set(_NUMBER.findall(source))
    if any(number not in numbers for number in _NUMBER.findall(own)):
        return 0.0
    language = detect(source) or "en"
    held, stops = set(terms(source, language)), stop_terms(language)
    words = [term for term in terms(own, language) if term not in stops]
    return sum(word in held for word in words) / len(words) if words else 0.0
