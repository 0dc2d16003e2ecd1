"""Where the words of a query stand in a text, to be marked for a reader. It ranks nothing and knows no screen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import regex

from ragchat.retrieval.analyzer import query_terms, token_terms
from ragchat.retrieval.tokenizer import joined, words

_WITHOUT_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


def matches(text: str, query: str, languages: Sequence[str] = ("en",)) -> list[tuple[int, int]]:
    """Stretches of `text` (first, last exclusive) that are words of `query` in any of their forms, in order, apart."""
    asked = query_terms(query, languages)
    languages = languages or ("en",)
    found = [*_spans(text, asked.keys(), languages), *_joined_spans(text, asked.keys(), languages)]
    spans: list[tuple[int, int]] = []
    for first, last in sorted(found):
        if spans and first <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
        else:
            spans.append((first, last))
    return spans


def _spans(text: str, asked: Collection[str], languages: Sequence[str]) -> Iterator[tuple[int, int]]:
    at = 0
    for token in words(text):
        first = text.find(token, at)
        if first < 0:  # written in another Unicode form than it is indexed in
            continue
        at = first + len(token)
        found = {term for language in languages for term in token_terms(token, language) if term in asked}
        if not found:
            continue
        if _WITHOUT_SPACES.search(token):  # a token is a run of words there, its terms are pieces of it
            yield from sorted(
                (first + begin, first + begin + len(term))
                for term in found
                for begin in _places(token.lower(), term)
            )
        else:
            yield first, at


def _joined_spans(text: str, asked: Collection[str], languages: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Words that are written in pieces."""
    for first, last, token in joined(text):
        if any(term in asked for language in languages for term in token_terms(token, language)):
            yield first, last


def _places(token: str, term: str) -> Iterator[int]:
    begin = token.find(term)
    while begin >= 0:
        yield begin
        begin = token.find(term, begin + 1)
