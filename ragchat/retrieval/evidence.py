"""Which sentence of a passage speaks to the question: rank-bm25 over the sentences of the hits.

`BM25Plus`, because its idf stays above 0 in collections as small as this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ragchat.retrieval.analyzer import query_terms, terms
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import Hit

_HEADING_WORTH = 0.3
LONGEST_EVIDENCE = 400
"""Characters. A longer sentence (a table, a list without stops) is cut around the words that were asked for."""


def mark(query: str, hits: Sequence[Hit]) -> list[Hit]:
    """The hits with `evidence` set, word for word from their text; the first sentence where none speaks to the query."""
    from rank_bm25 import BM25Plus

    asked = list(query_terms(query))
    sentences = [
        (number, hit.text[first:last])
        for number, hit in enumerate(hits)
        for first, last in sentence_spans(hit.text)
    ]
    analysed = [terms(sentence) for _, sentence in sentences]
    if not any(analysed):
        return list(hits)
    scores = BM25Plus([found or [""] for found in analysed]).get_scores(asked)
    best: dict[int, tuple[float, str]] = {}
    for (number, sentence), score, found in zip(sentences, scores, analysed, strict=True):
        # BM25Plus gives a constant to every document; a sentence without a word of the query shall not win by it.
        value = float(score) if set(asked) & set(found) else 0.0
        if sentence.startswith("#"):  # a heading names the topic, a sentence says something of it
            value *= _HEADING_WORTH
        if number not in best or value > best[number][0]:
            best[number] = (value, sentence)
    return [
        replace(hit, evidence=_cut(best[number][1], set(asked)) if number in best else "")
        for number, hit in enumerate(hits)
    ]


def _cut(sentence: str, asked: set[str]) -> str:
    if len(sentence) <= LONGEST_EVIDENCE:
        return sentence
    step = LONGEST_EVIDENCE // 4
    windows = range(0, len(sentence) - LONGEST_EVIDENCE + step, step)
    first = max(windows, key=lambda i: (len(asked & set(terms(sentence[i : i + LONGEST_EVIDENCE]))), -i))
    return sentence[first : first + LONGEST_EVIDENCE].strip()
