"""What `ragchat ask` prints: events as they come, the answer with its marks and sources, the same for scripts."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ragchat.app.events import progress_sentence
from ragchat.cli.context import data, interactive, note, place_json
from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.types import AdapterScale, LoadProgress, PrefillProgress, TextDelta

if TYPE_CHECKING:
    from ragchat.session.chat import Preview
    from ragchat.session.events import AnswerFinished, QueryUsed, SessionEvent
    from ragchat.types import Hit

_NEAREST = 3
"""Passages that are named where the documents do not answer."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What is printed of an answer: its `words`, and the `quotes` above them; for scripts neither.

    `holds`: words wait until they are checked.
    """

    words: bool
    quotes: bool = True
    holds: bool = False

    @property
    def live(self) -> bool:
        """Words are printed as they come."""
        return self.words and not self.holds and sys.stdout.isatty()


class Telling:
    """Says the events of one answer as they come: progress, what the documents say, and on a terminal the words."""

    def __init__(self, showing: Showing) -> None:
        self._showing, self._live = showing, showing.live
        self._progress = Progress()
        self._above = self._from_documents = False

    def __enter__(self) -> Telling:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.clear()

    def tell(self, event: SessionEvent) -> None:
        """Print what is to be seen of an event."""
        from ragchat.session.events import PromptReady, QuotesFound, SearchUnsure

        match event:
            case LoadProgress() | SearchUnsure() | PrefillProgress():
                self._progress.say(progress_sentence(event))
            case QuotesFound(quotes=quotes) if self._showing.words and self._showing.quotes:
                from ragchat.cli.answer_text import show_quotes

                self._progress.clear()
                show_quotes(quotes)
                self._above = True
            case PromptReady(left_out=left_out, citations=citations):
                self._from_documents = bool(citations)
                for omission in left_out:
                    note(omission.sentence)
            case TextDelta(text=text):
                self._word(text)

    def _word(self, text: str) -> None:
        from ragchat.session.marked import plain_signs

        if self._showing.holds:
            self._progress.say("Writing the answer, to compare it with your documents")
            return
        self._progress.clear()
        if self._live:
            text = plain_signs(text) if self._from_documents else text
            click.echo(f"\n{text}" if self._above else text, nl=False)
            self._above = False


class Progress:
    """One line on standard error that is written over, only on a terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._draws = interactive()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def say(self, text: str) -> None:
        """Write this over what was said before."""
        if self._draws:
            click.echo("\r" + text.ljust(self._shown), nl=False, err=True)
            self._shown = len(text)

    def clear(self) -> None:
        """An empty line, for what comes now."""
        if self._shown:
            click.echo("\r" + " " * self._shown + "\r", nl=False, err=True)
            self._shown = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and what it was made with."""

    question: str
    model: str
    adapters: tuple[AdapterScale, ...]
    knowledge_bases: tuple[str, ...]
    query: QueryUsed
    finished: AnswerFinished
    hits: tuple[Hit, ...] = ()
    """What the search found."""

    @property
    def nearest(self) -> tuple[Hit, ...]:
        """Passages to look at where the documents do not answer."""
        from ragchat.cli.answer_text import documents_answer

        return self.hits[:_NEAREST] if documents_answer(self.finished) is False else ()

    def as_json(self) -> dict[str, Any]:
        """The shape that scripts rely on; documented in the manual under "For scripts"."""
        from ragchat.cli.answer_text import answer_json, found_json, nearest_json
        from ragchat.session.marked import cited, cited_by

        done, timings = self.finished, self.finished.timings
        return {
            "question": self.question,
            "answer": answer_json(done),
            **found_json(done),
            "nearest": list(map(nearest_json, self.nearest)),
            "finish_reason": done.finish_reason,
            "model": self.model or None,
            "adapter": AdapterScale.join(self.adapters) or None,
            "knowledge_bases": list(self.knowledge_bases),
            "query": " ".join([self.query.query, *self.query.topic]),
            "scope": list(self.query.scope),
            "corrections": [{"word": one.word, "by": one.by} for one in self.query.corrections],
            "rewritten": _rewritten_json(self.query),
            "citations": [
                {
                    "n": citation.n,
                    "path": citation.hit.path,
                    **place_json(citation.hit.narrowed),
                    "heading": citation.hit.heading,
                    "quote": citation.quote,
                    "content_hash": citation.hit.content_hash,
                    "kb": citation.hit.knowledge_base,
                    "cited_by": cited_by(done.check).get(citation.n) or None,
                }
                for citation in cited(done.citations, done.check)
            ],
            "timings": {
                "retrieval_s": round(timings.retrieval_s, 6),
                "ttft_s": round(timings.ttft_s, 4),
                "prefill_tok_s": round(timings.prefill_tok_s, 2),
                "decode_tok_s": round(timings.decode_tok_s, 2),
            },
            "tokens": {
                "prompt": timings.prompt_tokens,
                "completion": timings.completion_tokens,
                "cached": timings.cached_tokens,
                "ahead": timings.ahead_tokens,
                "in_vain": timings.wasted_tokens,
                "in_vain_cpu_s": round(timings.wasted_cpu_s, 3),
                "restored": timings.restored_tokens,
                "drafted": timings.drafted_tokens,
                "accepted": timings.accepted_tokens,
            },
        }


def _rewritten_json(used: QueryUsed) -> dict[str, Any] | None:
    """What the model wrote to search for, and whether that search was used; None: it wrote nothing."""
    return {"text": used.rewritten.text, "used": used.rewritten.kept} if used.rewritten else None


def show(answer: Answer, showing: Showing) -> None:
    """The words, where they are not on the screen already; what the check found; the sources."""
    from ragchat.session.events import AnswerKind

    finished = answer.finished
    if finished.kind is AnswerKind.QUOTED:
        if finished.notice:
            note(finished.notice)
    elif showing.live:
        _show_live(finished)
    else:
        _show_words(finished, below=showing.quotes and bool(finished.quotes))
    _show_sources(answer)


def _show_live(finished: AnswerFinished) -> None:
    """Below words that came as they were written: their marks."""
    from ragchat.cli.answer_text import statements_text

    click.echo()
    if finished.check.statements:
        click.echo(f"\n{statements_text(finished.check)}")


def _show_words(finished: AnswerFinished, *, below: bool) -> None:
    from ragchat.cli.answer_text import words

    if text := words(finished):
        click.echo(f"\n{text}" if below else text)
    if struck := len(finished.check.struck):
        note(f"Left out: {counted(struck, 'statement')} that your documents do not support. --json has them.")


def _show_sources(answer: Answer) -> None:
    from ragchat.session.chat_lines import said_by
    from ragchat.session.marked import DO_NOT_SAY, cited, cited_by

    finished = answer.finished
    by = cited_by(finished.check)
    for citation in cited(finished.citations, finished.check):
        hit = citation.hit
        where = f"{hit.path} ({hit.source})" + (f" {hit.heading}" if hit.heading else "")
        note(f"[{citation.n}] {clean_line(where)}{said_by(by.get(citation.n, ''))}")
    if not finished.check.says:
        note(DO_NOT_SAY)
    if finished.check.line:
        note(finished.check.line)
    if answer.nearest:
        note("Nearest passages:")
    for hit in answer.nearest:
        note(f"  {clean_line(f'{hit.path} ({hit.source})')}")
    if answer.query.scope:
        note(f"Searched: {', '.join(answer.query.scope)}")
    if answer.query.rewritten:
        note(answer.query.rewritten.sentence)
    timings = finished.timings
    if timings.completion_tokens:
        note(
            f"{answer.model}: {human_seconds(timings.ttft_s)} to the first token, {timings.decode_tok_s:.0f} tokens/s,"
            f" {counted(timings.prompt_tokens, 'token')} read, {timings.completion_tokens} written"
        )


def show_prompt(preview: Preview, *, as_json: bool) -> None:
    """The prompt that a question would send, with the size of its parts."""
    packed = preview.prompt
    if as_json:
        data(
            {
                "query": " ".join([preview.query.query, *preview.query.topic]),
                "scope": list(preview.query.scope),
                "rewritten": _rewritten_json(preview.query),
                "messages": [{"role": m.role, "content": m.content} for m in packed.messages],
                "rendered": preview.rendered,
                "parts": {part.name: part.tokens for part in packed.parts},
                "tokens": packed.prompt_tokens,
                "n_ctx": packed.n_ctx,
                "left_out": [omission.sentence for omission in packed.left_out],
            },
            indent=2,
        )
        return
    click.echo(clean(preview.rendered))
    note(
        ", ".join(f"{part.name} {part.tokens}" for part in packed.parts)
        + f": {packed.prompt_tokens} of {packed.n_ctx} tokens"
    )
    for omission in packed.left_out:
        note(omission.sentence)
