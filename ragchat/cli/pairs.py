"""`ragchat pairs`: questions and answers made from a knowledge base by the local model, to learn from and to measure with."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.app.training_data import pair_file
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.errors import CancelledError, NotFoundError, StorageError, UsageError
from ragchat.text import clean_line, human_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragchat.finetune.pairs import Pair, PairFile, PairProgress
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types import Hit

_SHOWN = 20


@click.group()
def pairs() -> None:
    """Questions and answers made from documents: draft, review, list, export."""


@pairs.command()
@click.argument("name")
@click.option("--model", "model_name", default="", metavar="NAME", help="Model that words the questions.")
@click.option(
    "--most", type=click.IntRange(1), default=100, show_default=True, help="Stop when so many are kept."
)
@pass_context
def draft(context: Context, /, name: str, model_name: str, most: int) -> None:
    """Make questions from the knowledge base NAME with the local model.

    An answer is chosen in a sentence of a document, the model words the question. It is kept when a search with it finds the
    passage again among the best three, and when it asks nothing that another one asks. Ctrl-C keeps what was made; the same
    command goes on.
    """
    progress = make_pairs(context, name, pair_file(context, name), model_name, most)
    note(f"{progress.kept} kept, {progress.rejected} rejected. `ragchat pairs review {name}` shows them.")


@pairs.command("list")
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="Rejected ones, too, with the reason.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def list_(context: Context, /, name: str, everything: bool, as_json: bool) -> None:
    """Show the questions that were made from the knowledge base NAME."""
    file = _there(context, name)
    chosen = file.pairs if everything else file.kept
    if as_json:
        data({"pairs": [msgspec.to_builtins(pair) for pair in chosen]}, indent=2)
        return
    for pair in chosen:
        reason = f"  ({clean_line(pair.reason or 'rejected by you')})" if pair.verdict == "rejected" else ""
        click.echo(f"{clean_line(pair.question)}  →  {clean_line(pair.answer)}{reason}")
    note(f"{len(file.kept)} kept, {len(file.pairs) - len(file.kept)} rejected.")


@pairs.command()
@click.argument("name")
@pass_context
def review(context: Context, /, name: str) -> None:
    """Look at the questions of NAME one by one: keep, edit, reject by one key."""
    from ragchat.tui.screens.review_pairs import review as show

    show(name, _there(context, name))


@pairs.command()
@click.argument("name")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), required=True, metavar="FILE"
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@pass_context
def export(context: Context, /, name: str, output: Path, force: bool) -> None:
    """Write the kept questions of NAME as JSON lines of OpenAI messages."""
    file = _there(context, name)
    if output.exists() and not force:
        raise UsageError(f"{output} is there already.", "--force overwrites it.")
    try:
        output.write_text("".join(_row(pair) for pair in file.kept), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror or error}.") from error
    note(f"{len(file.kept)} questions written to {output}.")


def make_pairs(context: Context, name: str, file: PairFile, model_name: str, most: int) -> PairProgress:
    """Draft pairs of a knowledge base into a file, with progress; what was made stays after Ctrl-C. Raises RagchatError."""
    import time

    from ragchat.finetune.pairs import PairProgress
    from ragchat.finetune.pairs import draft as make
    from ragchat.retrieval.search import Searcher

    context.paths.create()
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, [name]))
        chunks = list(_chunks(stores[0]))
        if not chunks:
            raise NotFoundError(f"{name} holds no documents.", f"`ragchat kb add {name} PATH` adds some.")
        model = build.model(context, model_name)
        stack.callback(model.close)
        cancel = stack.enter_context(cancel_on_interrupt())
        for _ in model.load(cancel):
            pass
        model.thinking = False
        live, began = interactive(), time.monotonic()
        progress, start = PairProgress(0, len(chunks), 0, 0), None
        # As the chat searches: what only words find again would make a set of questions that meaning cannot help with.
        searcher = Searcher(stores, build.embedder(context))
        for progress in make(model, searcher, _spread(chunks), file, most=most, cancel=cancel):
            if live:
                passed = time.monotonic() - began
                start = start or progress
                ends = [
                    passed * (total - now) / (now - then)
                    for then, now, total in (
                        (start.done, progress.done, progress.total),
                        (start.kept, progress.kept, most),
                    )
                    if now > then and total
                ]
                left = f", {human_seconds(min(ends))} left" if ends else ""
                line = f"{progress.kept} kept, {progress.rejected} rejected, {progress.done} of {progress.total} passages{left}"
                click.echo(f"\r{line}".ljust(78), nl=False, err=True)
        if live:
            click.echo(err=True)
        if cancel.cancelled:
            raise CancelledError("Stopped; what was made is kept, and the same command goes on.")
    return progress


def _row(pair: Pair) -> str:
    messages = [
        {"role": "user", "content": pair.question},
        {"role": "assistant", "content": pair.sentence if pair.answer in pair.sentence else pair.answer},
    ]
    row = {"messages": messages, "expected": pair.answer, "document": pair.path}
    return json.dumps(row, ensure_ascii=False) + "\n"


def _there(context: Context, name: str) -> PairFile:
    file = pair_file(context, name)
    if not file.pairs:
        raise NotFoundError(
            f"No questions were made from {clean_line(name)} yet.",
            f"`ragchat pairs draft {clean_line(name)}` makes them.",
        )
    return file


def _chunks(store: KnowledgeStore) -> Iterator[Hit]:
    """Every chunk of every document, in their order."""
    for document in store.documents():
        if document.state == "indexed":
            yield from store.chunks_of(document.id)


def _spread(chunks: list[Hit]) -> list[Hit]:
    """First one chunk of each document, then the second of each: a few questions are about many documents."""
    seen: dict[str, int] = {}
    turns = []
    for chunk in chunks:
        seen[chunk.path] = seen.get(chunk.path, 0) + 1
        turns.append((seen[chunk.path], chunk))
    return [chunk for _, chunk in sorted(turns, key=lambda turn: turn[0])]
