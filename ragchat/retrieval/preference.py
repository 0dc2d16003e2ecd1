"""Passages in the question's language come first, where a collection speaks several."""

from __future__ import annotations

from collections.abc import Sequence

from ragchat.retrieval.analyzer import tokens
from ragchat.retrieval.stopwords import stop_words
from ragchat.types import Hit

OTHER_LANGUAGE = 0.5
"""What the score of a passage in another language is multiplied by; .4 and .6 measured the same."""


def question_language(query: str, languages: Sequence[str]) -> str:
    """The one of `languages` that has most of a question's words on its list of stop words; '' where that does not tell."""
    if len(languages) < 2:
        return ""
    words = {token.lower().replace("’", "'") for token in tokens(query)}
    counts = sorted(
        ((len(words & stop_words(language)), language) for language in languages), key=lambda pair: -pair[0]
    )
    return counts[0][1] if counts[0][0] > counts[1][0] else ""


def factor(hit: Hit, language: str) -> float:
    """What the score of a hit is multiplied by for a question in `language` ('': unknown)."""
    return 1.0 if not language or hit.language == language else OTHER_LANGUAGE


def preferred(hits: Sequence[Hit], language: str) -> list[Hit]:
    """The hits in the order of their scores times `factor`; equal ones as they were. The scores stay."""
    return sorted(hits, key=lambda hit: -hit.score * factor(hit, language))
