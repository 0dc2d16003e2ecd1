"""`ragchat kb search`: hits on standard output, without any model."""

from __future__ import annotations

import struct
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.batch import read_batch
from ragchat.cli.context import data, note, pass_context, place_json
from ragchat.cli.paths import TypedPath
from ragchat.errors import NotFoundError, RagchatError, StorageError, UsageError
from ragchat.text import clean_line, counted

if TYPE_CHECKING:
    from ragchat.retrieval.explanation import Explanation
    from ragchat.retrieval.scope import Scoped
    from ragchat.retrieval.search import Ranking, Searcher, SearchResult
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types import Hit


@click.command()
@click.argument("query", required=False, default="")
@click.option(
    "--kb", "names", multiple=True, metavar="NAME", help="Knowledge base to search. You can repeat it."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=TypedPath(),
    metavar="FILE.ragkb",
    help="Search this exported file directly, read-only. You can repeat it.",
)
@click.option("-k", type=click.IntRange(1, 1000), help="Number of hits.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--exact", is_flag=True, help="Search for the words as typed, without spelling correction.")
@click.option("--explain", is_flag=True, help="Explain the rank of each hit.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.jsonl",
    help='Read one {"id", "question"} per line and print JSON lines.',
)
@pass_context
def search(
    context: Context,
    query: str,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    k: int | None,
    as_json: bool,
    exact: bool,
    explain: bool,
    batch: str | None,
) -> None:
    """Search without a model: show the passages relevant to QUERY, best first.

    QUERY can limit the search: in:FOLDER, file:NAME (or a pattern: file:*.md), kb:NAME, after:2025-01, before:2025-06-30 (by
    the date of the file), "exact words", -word. Put the query in single quotes for the shell.

    Scores of several knowledge bases are comparable. In a query, the name of a --file is its file name without the
    suffix, or its path if another one has that name.

    \b
    --json: {"query", "took_s", "scope", "corrections": [{"word", "by"}], "hits": [{"rank", "score", "path", "page", "page_last",
    "page_label", "lines" (of the file, or null), "text_lines", "part", "ocr_confidence", "heading", "text",
    "evidence", "kb", "highlights", "content_hash", "why" (with --explain)}]}; highlights are [first, last]
    in evidence; and "not_reread" where a cross-encoder (retrieval.reranker) has not read all of the first hits: the reason.
    """
    if bool(query.strip()) == bool(batch):
        raise UsageError("Type a query, or use --batch with a file of queries.")
    chosen = tuple(dict.fromkeys(names)) or (() if files else named_in(context, query))
    if not chosen and not files:
        raise NotFoundError(
            "There are no knowledge bases yet.", "Create one with `ragchat kb add NAME FOLDER`."
        )
    hits = k or context.settings.retrieval.k
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, chosen))
        if files:
            from ragchat.store.portable import open_foreign

            foreign = {file: stack.enter_context(open_foreign(file)) for file in dict.fromkeys(files)}
            stores += foreign.values()
            _tell_apart(stores, foreign)
        try:
            _answer(context, stores, query, hits, as_json=as_json, exact=exact, explain=explain, batch=batch)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error) as error:
            if not files or isinstance(error, RagchatError):
                raise
            raise StorageError("A file given with --file is damaged.", "Export it again.") from error


def _tell_apart(stores: list[KnowledgeStore], foreign: dict[Path, KnowledgeStore]) -> None:
    """A file that has the name of another knowledge base is named by its path."""
    often = Counter(store.name for store in stores)
    for file, store in foreign.items():
        if often[store.name] > 1:
            store.name = clean_line(str(file))


def named_in(context: Context, query: str) -> tuple[str, ...]:
    """The knowledge bases that a query names, by their own spelling, else those of the settings. Raises UsageError."""
    from ragchat.retrieval.scope import parse
    from ragchat.store.knowledge import knowledge_base_names

    every = {name.casefold(): name for name in knowledge_base_names(context.paths.kb_dir)}
    return tuple(
        every.get(name.casefold(), name) for name in parse(query).knowledge_bases
    ) or build.default_knowledge_bases(context)


def _answer(
    context: Context,
    stores: list[KnowledgeStore],
    query: str,
    k: int,
    *,
    as_json: bool,
    exact: bool,
    explain: bool,
    batch: str | None,
) -> None:
    from ragchat.retrieval.search import Searcher

    searcher = Searcher(stores, build.embedder(context), build.reranker(context))
    search = _Search(searcher, build.ranking(context), k, correct=not exact, explain=explain)
    if batch:
        for row in read_batch(batch):
            try:
                data({"id": row.id, **search.as_json(row.question)})
            except (UsageError, NotFoundError) as error:  # its operators name what is not there
                data({"id": row.id, "query": row.question, "error": str(error)})
    elif as_json:
        data(search.as_json(query), indent=2)
    else:
        search.show(query)


class _Search:
    """Searches, and says what it found as JSON or in lines."""

    def __init__(self, searcher: Searcher, ranking: Ranking, k: int, *, correct: bool, explain: bool) -> None:
        self._searcher, self._ranking, self._k, self._explain = searcher, ranking, k, explain
        self._correct = correct
        self._languages = searcher.languages()

    def _found(self, query: str) -> tuple[Scoped, SearchResult]:
        from ragchat.retrieval import scope

        scoped = scope.parse(query, self._languages)
        return scoped, self._searcher.search(
            scoped.text,
            self._k,
            ranking=self._ranking,
            fill=True,
            correct=self._correct,
            scope=scoped,
            explain=self._explain,
        )

    def as_json(self, query: str) -> dict[str, Any]:
        scoped, result = self._found(query)
        return {
            "query": query,
            "hits": [
                _hit_json(hit, marked_words(scoped.text, result), self._languages)
                | self._why_json(result, hit)
                for hit in result.hits
            ],
            "took_s": round(result.took_s, 6),
            "scope": list(scoped.described()),
            "corrections": [{"word": one.word, "by": one.by} for one in result.corrections],
            **({"not_reread": result.not_reread} if result.not_reread else {}),
        }

    def show(self, query: str) -> None:
        scoped, result = self._found(query)
        if scoped.narrows and not scoped.text:
            note("Add words to search for. The query contains only search filters.")
        _show(result, scoped, self._languages)

    def _why_json(self, result: SearchResult, hit: Hit) -> dict[str, Any]:
        why = explanation_of(result, hit) if self._explain else None
        return {"why": why.as_json()} if why else {}


def marked_words(query: str, result: SearchResult) -> str:
    """What to mark in a text: the query, with the words that were searched for in the place of misspelled ones."""
    return " ".join([query, *(correction.by for correction in result.corrections)])


def explanation_of(result: SearchResult, hit: Hit) -> Explanation | None:
    """Why a hit is where it is, when the search was asked to say so."""
    explanations = result.explanations
    found: Explanation | None = explanations.get((hit.knowledge_base, hit.chunk_id))
    return found


def _hit_json(hit: Hit, query: str, languages: tuple[str, ...]) -> dict[str, Any]:
    from ragchat.retrieval.highlight import matches

    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "path": hit.path,
        **place_json(hit.narrowed),
        "heading": hit.heading,
        "text": hit.text,
        "evidence": hit.evidence,
        "kb": hit.knowledge_base,
        "highlights": [list(span) for span in matches(hit.evidence, query, languages)],
        "content_hash": hit.content_hash,
    }


def _show(result: SearchResult, scoped: Scoped, languages: tuple[str, ...]) -> None:
    if not result.hits:
        note("No passages found.")
    for correction in result.corrections:
        word, by = clean_line(correction.word, limit=60), clean_line(correction.by, limit=60)
        note(
            f"Searched for “{by}” instead of “{word}”, which is in no document. Use --exact to search for it as typed."
        )
    for phrase in result.unheld:
        note(f"No passage contains “{clean_line(phrase, limit=60)}” word for word.")
    for hit in result.hits:
        where = f"{hit.rank}. {clean_line(hit.path)} ({hit.place})"
        source = f"  [{clean_line(hit.knowledge_base)}]"
        heading = f"  {clean_line(hit.heading)}" if hit.heading else ""
        click.echo(click.style(where, bold=True) + source + heading)
        evidence = clean_line(hit.evidence or hit.text, limit=400)
        click.echo(f"   {highlighted(evidence, marked_words(scoped.text, result), languages)}")
        _show_why(explanation_of(result, hit))
    copies = f", {result.hidden} near-duplicates left out" if result.hidden else ""
    demands = "".join(f" · {demand}" for demand in scoped.described())
    note(f"{counted(len(result.hits), 'hit')} in {result.took_s * 1000:.1f} ms{copies}{demands}")
    if result.not_reread:
        note(result.not_reread)
    for name in result.outdated:
        note(
            f"{clean_line(name)} was indexed by another version of ragchat: `ragchat kb sync` builds its index again."
        )


def _show_why(why: Explanation | None) -> None:
    from ragchat.retrieval.explanation import lines

    for line in lines(why) if why else ():
        click.echo(click.style(f"   {line}", dim=True))


def highlighted(text: str, query: str, languages: tuple[str, ...]) -> str:
    """`text` with the words of `query` underlined and bold, for a terminal; click drops that where there is none."""
    from ragchat.retrieval.highlight import matches

    parts: list[str] = []
    end = 0
    for first, last in matches(text, query, languages):
        parts += [text[end:first], click.style(text[first:last], bold=True, underline=True)]
        end = last
    return "".join(parts) + text[end:]
