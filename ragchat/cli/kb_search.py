"""`ragchat kb search`: hits on standard output, without any model."""

from __future__ import annotations

import struct
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.cli import build
from ragchat.cli.batch import read_batch
from ragchat.cli.context import Context, data, note, pass_context, place_json
from ragchat.errors import NotFoundError, RagchatError, StorageError, UsageError
from ragchat.text import clean_line

if TYPE_CHECKING:
    from ragchat.retrieval.search import Searcher, SearchResult
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types import Hit


@click.command()
@click.argument("query", required=False, default="")
@click.option(
    "--kb", "names", multiple=True, metavar="NAME", help="Knowledge base to search; may be repeated."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE.ragkb",
    help="Search this file where it lies, read-only; may be repeated.",
)
@click.option("-k", type=click.IntRange(1, 1000), help="Number of hits.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.jsonl",
    help='One {"id", "question"} a line in, JSON lines out.',
)
@pass_context
def search(
    context: Context,
    query: str,
    names: tuple[str, ...],
    files: tuple[Path, ...],
    k: int | None,
    as_json: bool,
    batch: str | None,
) -> None:
    """Search without a model: the passages that speak to QUERY, best first.

    Several knowledge bases are searched as if they were one, so scores compare. A --file is called by its name without the
    suffix, or by its path when another one has that name.

    \b
    --json: {"query", "took_s", "hits": [{"rank", "score", "path", "page", "page_last",
    "page_label", "lines" (of the file, or null), "text_lines", "part", "ocr_confidence", "heading", "text",
    "evidence", "kb", "highlights", "content_hash"}]}; highlights are [first, last] in evidence.
    """
    if bool(query.strip()) == bool(batch):
        raise UsageError("Give a query, or --batch with a file of them.")
    chosen = tuple(dict.fromkeys(names)) or (() if files else build.default_knowledge_bases(context))
    if not chosen and not files:
        raise NotFoundError("There is no knowledge base yet.", "`ragchat kb add NAME FOLDER` makes one.")
    hits = k or context.settings.retrieval.k
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, chosen))
        if files:
            from ragchat.store.portable import open_foreign

            foreign = {file: stack.enter_context(open_foreign(file)) for file in dict.fromkeys(files)}
            stores += foreign.values()
            _tell_apart(stores, foreign)
        try:
            _answer(stores, query, hits, as_json, batch)
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError, struct.error) as error:
            if not files or isinstance(error, RagchatError):
                raise
            raise StorageError("A file given with --file is damaged.", "Have it exported again.") from error


def _tell_apart(stores: list[KnowledgeStore], foreign: dict[Path, KnowledgeStore]) -> None:
    """A file that has the name of another knowledge base is named by its path."""
    often = Counter(store.name for store in stores)
    for file, store in foreign.items():
        if often[store.name] > 1:
            store.name = clean_line(str(file))


def _answer(stores: list[KnowledgeStore], query: str, k: int, as_json: bool, batch: str | None) -> None:
    from ragchat.retrieval.search import Searcher

    languages = tuple(dict.fromkeys(language for store in stores for language in store.languages()))
    searcher = Searcher(stores)
    if batch:
        for row in read_batch(batch):
            data({"id": row.id, **_search_json(searcher, row.question, k, languages)})
    elif as_json:
        data(_search_json(searcher, query, k, languages), indent=2)
    else:
        _show(searcher.search(query, k, fill=True), query, languages)


def _search_json(searcher: Searcher, query: str, k: int, languages: tuple[str, ...]) -> dict[str, Any]:
    result = searcher.search(query, k, fill=True)
    return {
        "query": query,
        "hits": [_hit_json(hit, query, languages) for hit in result.hits],
        "took_s": round(result.took_s, 6),
    }


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


def _show(result: SearchResult, query: str, languages: tuple[str, ...]) -> None:
    if not result.hits:
        note("Nothing found.")
    for hit in result.hits:
        where = f"{hit.rank}. {clean_line(hit.path)} ({hit.place})"
        source = f"  [{clean_line(hit.knowledge_base)}]"
        heading = f"  {clean_line(hit.heading)}" if hit.heading else ""
        click.echo(click.style(where, bold=True) + source + heading)
        evidence = clean_line(hit.evidence or hit.text, limit=400)
        click.echo(f"   {highlighted(evidence, query, languages)}")
    copies = f", {result.hidden} near-duplicates left out" if result.hidden else ""
    note(f"{len(result.hits)} hits in {result.took_s * 1000:.1f} ms{copies}")
    for name in result.outdated:
        note(
            f"{clean_line(name)} was indexed by another version of ragchat: `ragchat kb sync` builds its index anew."
        )


def highlighted(text: str, query: str, languages: tuple[str, ...]) -> str:
    """`text` with the words of `query` underlined and bold, for a terminal; click drops that where there is none."""
    from ragchat.retrieval.highlight import matches

    parts: list[str] = []
    end = 0
    for first, last in matches(text, query, languages):
        parts += [text[end:first], click.style(text[first:last], bold=True, underline=True)]
        end = last
    return "".join(parts) + text[end:]
