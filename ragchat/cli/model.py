"""`ragchat model`: which models there are, and how they come and go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import interactive, note, pass_context
from ragchat.cli.model_tune import tune
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, ModelFileError, ModelTooLargeError
from ragchat.text import clean, clean_line, counted, human_bytes, human_seconds
from ragchat.types import CancelToken
from ragchat.types.defaults import N_CTX

if TYPE_CHECKING:
    from ragchat.llm.catalogue import CatalogueEntry, EmbeddingEntry
    from ragchat.llm.download import Progress, ProgressCallback
    from ragchat.llm.gguf import GgufMetadata
    from ragchat.llm.library import Entry, InstalledModel
    from ragchat.llm.memory import MemoryEstimate

_DEFAULT_N_CTX = N_CTX


@click.group()
def model() -> None:
    """Models: GGUF files on this disk, and models you can download."""


@model.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with `installed` and `catalogue`.")
@pass_context
def list_(context: Context, as_json: bool) -> None:
    """Show the installed models and the catalogue."""
    from ragchat.llm.catalogue import load_catalogue, load_embeddings

    library = build.library(context)
    n_ctx = context.settings.model.n_ctx or _DEFAULT_N_CTX
    installed = [_installed_row(found, n_ctx) for found in library.installed()]
    embedding = [_embedding_row(found) for found in library.embedding_models()]
    files = {Path(row["path"]).name for row in (*installed, *embedding) if not row["problem"]}
    parts = {part.file: part.size_bytes for part in library.unfinished()}
    catalogue = [_catalogue_row(entry, n_ctx, files, parts) for entry in load_catalogue()]
    embeddings = [_embedding_entry_row(entry, files, parts) for entry in load_embeddings()]
    if as_json:
        found = {
            "installed": installed,
            "catalogue": catalogue,
            "embedding_installed": embedding,
            "embedding_catalogue": embeddings,
        }
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    memory = f"memory at {n_ctx}"
    if installed:
        _print_table(
            ["installed", "architecture", "parameters", "format", "size", memory, ""],
            [
                [
                    row["name"],
                    row["architecture"],
                    _human_count(row["n_params"]) if row["n_params"] else "",
                    row["quantisation"],
                    human_bytes(row["size_bytes"]),
                    human_bytes(row["memory_bytes"]) if row["memory_bytes"] else "",
                    row["problem"] or (f"link to {row['link']}" if row["link"] else ""),
                ]
                for row in installed
            ],
        )
    else:
        note("No model is installed yet. `ragchat model pull` downloads the default.")
    click.echo()
    _print_table(
        ["to pull", "title", "parameters", "format", "size", memory, "licence", ""],
        [
            [
                row["name"],
                row["title"],
                row["parameters"],
                row["quantisation"],
                human_bytes(row["size_bytes"]),
                human_bytes(row["memory_bytes"]),
                row["licence"],
                row["state"],
            ]
            for row in catalogue
        ],
    )
    _print_embeddings(embedding, embeddings)


def _print_embeddings(installed: list[dict[str, Any]], catalogue: list[dict[str, Any]]) -> None:
    """The tables of the models for search by meaning, which do not chat."""
    if installed:
        click.echo()
        _print_table(
            [
                "for search by meaning",
                "architecture",
                "parameters",
                "format",
                "size",
                "pooling",
                "dimensions",
                "",
            ],
            [
                [
                    row["name"],
                    row["architecture"],
                    _human_count(row["n_params"]) if row["n_params"] else "",
                    row["quantisation"],
                    human_bytes(row["size_bytes"]),
                    row["pooling"],
                    str(row["dimensions"] or ""),
                    row["problem"] or (f"link to {row['link']}" if row["link"] else ""),
                ]
                for row in installed
            ],
        )
    click.echo()
    _print_table(
        [
            "to pull, for search by meaning",
            "title",
            "parameters",
            "format",
            "size",
            "languages",
            "licence",
            "",
        ],
        [
            [
                row["name"],
                row["title"],
                row["parameters"],
                row["quantisation"],
                human_bytes(row["size_bytes"]),
                row["languages"],
                row["licence"],
                row["state"],
            ]
            for row in catalogue
        ],
    )


@model.command()
@click.argument("name", default="")
@pass_context
def pull(context: Context, name: str) -> None:
    """Download the model NAME from the catalogue (default: the default model), or OWNER/REPO/FILE.gguf from the hub.

    An interrupted download continues where it stopped. To use another hub, set RAGCHAT_HUB.
    """
    with cancel_on_interrupt() as cancel:
        fetch(context, name, cancel)


@model.command()
@click.argument("file", type=TypedPath())
@click.option("--copy", is_flag=True, help="Copy the file instead of linking to it.")
@click.option("--name", default="", help="Name of the model. Default: the name of the file.")
@pass_context
def add(context: Context, file: Path, copy: bool, name: str) -> None:
    """Add a GGUF file from this disk, as a link to FILE or as a copy."""
    from ragchat.llm.gguf import read_metadata
    from ragchat.llm.memory import check_fits

    added = build.library(context).add(file, copy=copy, name=name)
    click.echo(f"{clean_line(added.name)}  {clean_line(str(added.path))}")
    metadata = read_metadata(added.path)
    if metadata.pooling_name == "rank":
        note(
            "It is a cross-encoder. It compares a question with passages and cannot chat."
            f" `ragchat config set retrieval.reranker {clean_line(added.name)}` lets it order the first hits."
        )
        return
    if metadata.embeds:
        note(
            "It is an embedding model and cannot chat. To search by meaning with it: "
            f"`ragchat config set embedding.model {clean_line(added.name)}`."
        )
        return
    if not metadata.has_chat_template:
        note(
            "It has no chat template. Set its prompt format with `ragchat config set model.plain_format chatml`."
        )
    try:
        check_fits(metadata, min(context.settings.model.n_ctx or _DEFAULT_N_CTX, metadata.n_ctx_train))
    except ModelTooLargeError as error:
        note(f"{error} {error.remedy}")


@model.command()
@click.argument("name", default="")
@click.option("--n-ctx", type=click.IntRange(min=1), help="Estimate the memory for this context, in tokens.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_context
def info(context: Context, name: str, n_ctx: int | None, as_json: bool) -> None:
    """Show the properties of the model NAME (or of a path) and the memory it needs. Default: the model in use.

    This loads no weights. If the model cannot be used or does not fit in memory with this context, the command
    shows the reason (exit code 5).
    """
    from ragchat.llm import profile
    from ragchat.llm.gguf import check_chat_model, read_metadata
    from ragchat.llm.memory import available_bytes, check_fits, estimate, largest_n_ctx

    path = build.library(context).resolve(name or context.settings.model.name)
    metadata = read_metadata(path)
    if metadata.general_type == "model" and not metadata.embeds:
        check_chat_model(metadata)
    asked = n_ctx or min(context.settings.model.n_ctx or _DEFAULT_N_CTX, metadata.n_ctx_train)
    n_batch, free = context.settings.model.n_batch, available_bytes()
    needed, longest = estimate(metadata, asked, n_batch), largest_n_ctx(metadata, free, n_batch=n_batch)
    measured = profile.read(context.paths.profiles_file, path)
    if as_json:
        facts = {
            **{key: value for key, value in asdict(metadata).items() if key != "chat_template"},
            "path": str(path),
            "has_chat_template": metadata.has_chat_template,
            "memory": {"n_ctx": asked, **asdict(needed), "total": needed.total, "available": free},
            "largest_n_ctx": longest,
            "profile": measured and {key: getattr(measured, key) for key in measured.__struct_fields__},
        }
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        for label, text in [
            *_facts(metadata, needed, asked),
            ("largest context", f"{longest:,} tokens fit now"),
        ]:
            click.echo(f"{label:<16} {text}")
        if measured:
            flash = "on" if measured.flash_attention else "off"
            click.echo(
                f"{'measured':<16} reads {measured.prefill_tok_s:.0f}, writes {measured.decode_tok_s:.0f} tokens/s "
                f"({measured.n_threads_batch} and {counted(measured.n_threads, 'thread')}, flash attention {flash}, "
                f"{clean_line(measured.measured_at)})"
            )
    if asked > metadata.n_ctx_train:
        note(f"It was trained with {metadata.n_ctx_train:,} tokens of context, so ragchat uses at most that.")
    check_chat_model(metadata)
    check_fits(metadata, asked, free, n_batch=n_batch)


@model.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def remove(context: Context, name: str, yes: bool) -> None:
    """Delete the model NAME. For a linked model, only the link is deleted."""
    library = build.library(context)
    found = library.find(name)
    what = f"the link {found.name}" if found.link else f"{found.name} ({human_bytes(found.size_bytes)})"
    if not yes:
        click.confirm(f"Delete {clean_line(what)}?", abort=True, err=True)
    library.remove(name)
    note(f"Deleted {clean_line(what)}.")


model.add_command(tune)


def fetch(context: Context, name: str, cancel: CancelToken) -> None:
    """Pull the model `name` (empty: the default) with progress on standard error. Raises RagchatError."""
    from ragchat.llm.library import find_source

    entry, _ = find_source(name)
    _warn_if_too_large(entry, context.settings.model.n_ctx or _DEFAULT_N_CTX)
    title = entry.title if entry else name
    try:
        with _progress_bar(clean_line(title)) as progress:
            pulled = build.pull(context, name, progress, cancel)
    except CancelledError as error:
        raise CancelledError(str(error), "The downloaded part is kept. The next pull continues.") from error
    path = clean_line(str(pulled.path))
    if pulled.present:
        note(f"{clean_line(title)} is already installed: {path}")
    else:
        note(f"{path}: " + ("checksum verified." if pulled.verified else "the hub provided no checksum."))


def _warn_if_too_large(entry: Entry | None, n_ctx: int) -> None:
    from ragchat.llm.catalogue import CatalogueEntry
    from ragchat.llm.memory import check_fits

    if isinstance(entry, CatalogueEntry):
        try:
            check_fits(entry, n_ctx)
        except ModelTooLargeError as error:
            note(f"Note: {error} {error.remedy}")


@contextmanager
def _progress_bar(title: str) -> Iterator[ProgressCallback]:
    """Draws on standard error; a line every ten per cent where that is no terminal."""
    if not interactive():
        yield _line_progress(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    ]
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, left="")

        def show(now: Progress) -> None:
            left = f"{human_seconds(now.eta_s)} left" if now.eta_s is not None else ""
            bar.update(task, completed=now.done, total=now.total or None, left=left)

        yield show


def _line_progress(title: str) -> ProgressCallback:
    told = -1

    def show(now: Progress) -> None:
        nonlocal told
        tenth = now.done * 10 // now.total if now.total else 0
        if tenth > told:
            told = tenth
            note(f"{title}: {human_bytes(now.done)}" + (f" of {human_bytes(now.total)}" if now.total else ""))

    return show


def _facts(metadata: GgufMetadata, needed: MemoryEstimate, n_ctx: int) -> Iterator[tuple[str, str]]:
    """(label, text) of everything that `info` shows, sanitised."""
    yield "file", clean_line(str(metadata.path))
    yield "name", clean_line(metadata.name, limit=120) or "-"
    yield "architecture", clean_line(metadata.architecture, limit=60)
    if metadata.general_type != "model":
        yield "type", clean_line(metadata.general_type, limit=60)
    yield "parameters", _human_count(metadata.n_params)
    yield "format", f"{metadata.file_type}, {human_bytes(metadata.size_bytes)}"
    yield "trained context", f"{metadata.n_ctx_train:,} tokens"
    yield (
        "layers",
        f"{metadata.n_layers}, {metadata.n_heads} heads, {max(metadata.n_kv_heads, default=0)} for keys",
    )
    if metadata.embeds:
        yield "for search by meaning", f"pooling {metadata.pooling_name}, vectors of {metadata.n_embd}"
    if metadata.sliding_window:
        yield "sliding window", f"{metadata.sliding_window:,} tokens"
    yield "vocabulary", f"{metadata.n_vocab:,} entries ({clean_line(metadata.tokenizer, limit=40) or '-'})"
    yield "chat template", "yes" if metadata.has_chat_template else "none"
    yield "licence", clean_line(metadata.licence, limit=80) or "not stated"
    yield (
        f"memory at {n_ctx}",
        f"{human_bytes(needed.total)}: "
        f"weights {human_bytes(needed.weights)}, context {human_bytes(needed.kv)}, "
        f"computing {human_bytes(needed.compute)}, program {human_bytes(needed.process)}",
    )


def _installed_row(found: InstalledModel, n_ctx: int) -> dict[str, Any]:
    from ragchat.llm.gguf import check_chat_model, read_metadata
    from ragchat.llm.memory import estimate

    metadata, problem = None, found.problem
    if not problem:
        try:
            metadata = read_metadata(found.path)
            check_chat_model(metadata)
        except ModelFileError as error:
            problem = str(error)
    return {
        **_file_row(found, metadata),
        "has_chat_template": metadata.has_chat_template if metadata else False,
        "memory_bytes": estimate(metadata, min(n_ctx, metadata.n_ctx_train)).total if metadata else 0,
        "problem": clean_line(problem),
    }


def _file_row(found: InstalledModel, metadata: GgufMetadata | None) -> dict[str, Any]:
    """What is told of a file of any kind of model."""
    return {
        "name": clean_line(found.name),
        "path": clean(str(found.path)),
        "link": clean_line(str(found.link)) if found.link else None,
        "size_bytes": found.size_bytes,
        "architecture": clean_line(metadata.architecture, limit=40) if metadata else "",
        "n_params": metadata.n_params if metadata else 0,
        "quantisation": metadata.file_type if metadata else "",
        "n_ctx_train": metadata.n_ctx_train if metadata else 0,
    }


def _catalogue_row(
    entry: CatalogueEntry, n_ctx: int, files: set[str], parts: dict[str, int]
) -> dict[str, Any]:
    from ragchat.llm.memory import estimate

    return {
        "name": entry.name,
        "title": entry.title,
        "parameters": entry.parameters,
        "quantisation": entry.quantisation,
        "size_bytes": entry.size_bytes,
        "licence": entry.licence,
        "n_ctx_train": entry.context,
        "memory_bytes": estimate(entry, min(n_ctx, entry.context)).total,
        "state": _state(entry, files, parts),
    }


def _embedding_row(found: InstalledModel) -> dict[str, Any]:
    from ragchat.llm.gguf import check_embedding_model, read_metadata

    metadata, problem = None, found.problem
    try:
        metadata = read_metadata(found.path)
        check_embedding_model(metadata)
    except ModelFileError as error:
        problem = str(error)
    return {
        **_file_row(found, metadata),
        "dimensions": metadata.n_embd if metadata else 0,
        "pooling": metadata.pooling_name if metadata else "",
        "problem": clean_line(problem),
    }


def _embedding_entry_row(entry: EmbeddingEntry, files: set[str], parts: dict[str, int]) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "parameters": entry.parameters,
        "quantisation": entry.quantisation,
        "size_bytes": entry.size_bytes,
        "licence": entry.licence,
        "languages": entry.languages,
        "dimensions": entry.dimensions,
        "n_ctx_train": entry.context,
        "state": _state(entry, files, parts),
    }


def _state(entry: Entry, files: set[str], parts: dict[str, int]) -> str:
    if entry.file in files:
        return "installed"
    return f"{human_bytes(parts[entry.file])} downloaded; pull continues" if entry.file in parts else ""


def _print_table(heads: list[str], rows: list[list[str]]) -> None:
    """Columns as wide as their text on standard output; nothing is parsed as markup and nothing is cut."""
    from rich.cells import cell_len

    table = [heads, *rows]
    widths = [max(cell_len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        cells = (text + " " * (width - cell_len(text)) for text, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _human_count(number: int) -> str:
    """`134515008` as `135M`."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return str(number)
