"""An answer for terminals, pipes and scripts: what the documents say, the words with their marks, what the check found."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from ragchat.cli.context import place_json
from ragchat.session import marked
from ragchat.session.chat_lines import quote_lines, quote_place, statement_line
from ragchat.session.events import AnswerFinished, AnswerKind
from ragchat.session.quotation import FROM_DOCUMENTS
from ragchat.store.chat_checks import statement_value
from ragchat.text import clean
from ragchat.types import AnswerCheck, Hit, Quote, Statement, Verdict, text_of


def signs() -> Mapping[Verdict, str]:
    """The marks that standard output can write: signs, or words in their place."""
    return marked.signs_for(sys.stdout.encoding)


def quotes_text(quotes: Sequence[Quote]) -> str:
    """`From your documents:`, each quotation as a block, its place below it."""
    parts = [FROM_DOCUMENTS]
    for quote in quotes:
        parts += [*(f"> {line}".rstrip() for line in quote_lines(quote)), f"  ({quote_place(quote)})"]
    return "\n".join(parts)


def statements_text(check: AnswerCheck) -> str:
    """A line for each statement: its mark, its words and, where they are not supported, the reason."""
    marks = signs()
    return "\n".join(
        f"{marks[one.verdict]} {marked.plain_signs(' '.join(clean(one.text).split()))}"
        if one.verdict is Verdict.SUPPORTED
        else statement_line(one, marks)
        for one in check.statements
    )


def words(finished: AnswerFinished) -> str:
    """The model's words with their marks, under the notice; without those that are struck out."""
    content = finished.text
    if finished.from_documents:
        content = marked.marked(content, finished.check, marked.Style(signs()))
    return clean(text_of(content, notice=finished.notice))


def show_quotes(quotes: Sequence[Quote]) -> None:
    """On standard output."""
    click.echo(quotes_text(quotes))


# --- for scripts ----------------------------------------------------------------------------------------


def found_json(finished: AnswerFinished) -> dict[str, Any]:
    """What is known of an answer: `kind`, `quotes`, `statements`, `strict`, `answered`, `documents_answer`."""
    check = finished.check
    return {
        "kind": str(finished.kind),
        "quotes": list(map(_quote_json, finished.quotes)),
        "statements": list(map(_statement_json, check.statements)),
        "strict": check.strict,
        "answered": None if check.answered is None else round(check.answered, 4),
        "documents_answer": documents_answer(finished),
    }


def answer_json(finished: AnswerFinished) -> str:
    """The answer in one text: the words that were not struck out; where there are none, what the documents say."""
    content = marked.without_struck(finished.text, finished.check)
    if not content.strip() and finished.quotes:
        return "\n\n".join(quote.text for quote in finished.quotes)
    return text_of(content, notice=finished.notice)


def documents_answer(finished: AnswerFinished) -> bool | None:
    """Whether the documents answer the question; None: it is not known, or none were asked."""
    if finished.kind in (AnswerKind.DECLINED, AnswerKind.UNMATCHED):
        return False
    return finished.check.says if finished.from_documents else None


def _quote_json(quote: Quote) -> dict[str, Any]:
    hit = quote.hit
    return {
        "file": hit.path,
        "place": quote.place,
        "text": quote.text,
        "chance": round(quote.chance, 4),
        "knowledge_base": hit.knowledge_base,
        "heading": hit.heading,
        **place_json(hit.span.cut(hit.text, quote.first, quote.last)),
        "content_hash": hit.content_hash,
    }


def nearest_json(hit: Hit) -> dict[str, Any]:
    """A passage to look at."""
    return {
        "file": hit.path,
        "place": hit.place,
        "text": hit.evidence or hit.found_text,
        "knowledge_base": hit.knowledge_base,
        "heading": hit.heading,
        **place_json(hit.narrowed),
    }


def _statement_json(statement: Statement) -> dict[str, Any]:
    value = statement_value(statement)
    del value["first"], value["last"]  # they count in the model's own words, which are not all of `answer`
    return value
