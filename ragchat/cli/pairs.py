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
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, NotFoundError, StorageError, UsageError
from ragchat.text import clean_line, counted, human_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragchat.finetune.pairs import Pair, PairFile, PairProgress
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types import Hit

_SHOWN = 20


@click.group()
def pairs() -> None:
    """Questions and answers drafted from documents for training: draft, review, list, export."""


@pairs.command()
@click.argument("name")
@click.option("--model", "model_name", default="", metavar="NAME", help="Model that writes the questions.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Stop after this many kept questions.",
)
@pass_context
def draft(context: Context, /, name: str, model_name: str, most: int) -> None:
    """Draft questions from the knowledge base NAME with the local model.

    ragchat picks an answer from a sentence of a document, and the model writes the question. ragchat keeps it if a search with it
    finds the passage among the best three and it does not repeat another question. Ctrl-C keeps the drafts; run the same command
    to continue.
    """
    progress = make_pairs(context, name, pair_file(context, name), model_name, most)
    note(f"{progress.kept} kept, {progress.rejected} rejected. `ragchat pairs review {name}` shows them.")


@pairs.command("list")
@click.argument("name")
@click.option("--all", "everything", is_flag=True, help="Also list rejected ones, with the reason.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def list_(context: Context, /, name: str, everything: bool, as_json: bool) -> None:
    """List the questions drafted from the knowledge base NAME."""
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
    """Review the questions of NAME one by one: keep, edit or reject each with one key."""
    from ragchat.tui.screens.review_pairs import review as show

    show(name, _there(context, name))


@pairs.command()
@click.argument("name")
@click.option("--output", "-o", type=TypedPath(dir_okay=False), required=True, metavar="FILE")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@pass_context
def export(context: Context, /, name: str, output: Path, force: bool) -> None:
    """Write the kept questions of NAME as JSON lines of OpenAI messages."""
    file = _there(context, name)
    if output.exists() and not force:
        raise UsageError(f"{output} already exists.", "Use --force to overwrite it.")
    try:
        output.write_text("".join(_row(pair) for pair in file.kept), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror or error}.") from error
    note(f"{counted(len(file.kept), 'question')} written to {output}.")


def make_pairs(context: Context, name: str, file: PairFile, model_name: str, most: int) -> PairProgress:
    """Draft pairs of a knowledge base into a file, with progress; what was made stays after Ctrl-C. Raises RagchatError."""
    import time

    from ragchat.finetune.pairs import PairProgress
    from ragchat.finetune.pairs import draft as make
    from ragchat.llm.loading import loaded
    from ragchat.retrieval.search import Searcher

    context.paths.create()
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, [name]))
        chunks = list(_chunks(stores[0]))
        if not chunks:
            raise NotFoundError(
                f"{name} contains no documents.", f"Add some with `ragchat kb add {name} PATH`."
            )
        model = build.model(context, model_name)
        stack.callback(model.close)
        cancel = stack.enter_context(cancel_on_interrupt())
        base = loaded(model, cancel)
        live, began = interactive(), time.monotonic()
        progress, start = PairProgress(0, len(chunks), 0, 0), None
        # As the chat searches: what only words find again would make a set of questions that meaning cannot help with.
        searcher = Searcher(stores, build.embedder(context))
        for progress in make(base, searcher, _spread(chunks), file, most=most, cancel=cancel):
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
                read = f"{progress.done} of {counted(progress.total, 'passage')}"
                line = f"{progress.kept} kept, {progress.rejected} rejected, {read}{left}"
                click.echo(f"\r{line}".ljust(78), nl=False, err=True)
        if live:
            click.echo(err=True)
        if cancel.cancelled:
            raise CancelledError("Stopped. The drafts are kept. Run the same command to continue.")
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
            f"There are no drafted questions for {clean_line(name)} yet.",
            f"Draft some with `ragchat pairs draft {clean_line(name)}`.",
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
