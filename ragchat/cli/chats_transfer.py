"""`ragchat chats export, import`: chats into files and out of files of this and other programs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, note, pass_context
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, IngestError, NotFoundError, RagchatError, UsageError
from ragchat.text import clean_line, human_bytes

if TYPE_CHECKING:
    from ragchat.session.exporting import Format
    from ragchat.session.importing import Incoming, TakenIn
    from ragchat.store.chats import ChatStore

_SHOWN_REJECTED = 20


def numbered(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A click callback: what names chats as their numbers or `last`."""
    if isinstance(value, tuple):
        return tuple(numbered(context, parameter, one) for one in value)
    if value == "last":
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise click.BadParameter(f"{clean_line(value)!r} is not the number of a chat or `last`.")
    return int(value)


@contextlib.contextmanager
def open_chats(context: Context) -> Iterator[ChatStore]:
    """The chats of this installation, made when there are none. Raises StorageError."""
    from ragchat.store.chats import ChatStore

    context.paths.create()
    with contextlib.closing(ChatStore(context.paths.chat_database)) as store:
        yield store


def chat_number(store: ChatStore, chosen: int | str) -> int:
    """The number that a user gave, or that of the chat that changed last. Raises NotFoundError."""
    if isinstance(chosen, int):
        return store.conversation(chosen).id
    latest = max(
        store.conversations(limit=1_000_000), key=lambda chat: (chat.updated_at, chat.id), default=None
    )
    if latest is None:
        raise NotFoundError("There are no chats yet.", "Run `ragchat` to start one.")
    return latest.id


@click.command()
@click.argument("chosen", nargs=-1, callback=numbered, metavar="[ID|last]…")
@click.option("--all", "every", is_flag=True, help="All chats that are not deleted.")
@click.option("--tag", default="", metavar="NAME", help="With --all: those with this tag.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["markdown", "json", "jsonl", "html"]),
    help="Default: the ending of the output name, else markdown. json contains everything and can be imported again. "
    "The others contain only the current branch.",
)
@click.option(
    "--output",
    "-o",
    type=TypedPath(allow_dash=True),
    default=Path("-"),
    metavar="FILE|DIR|-",
    help="File or folder. Default: standard output. Several chats in Markdown go into a folder, one file each.",
)
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@pass_context
def export(
    context: Context,
    chosen: tuple[int | str, ...],
    every: bool,
    tag: str,
    format_: str | None,
    output: Path,
    force: bool,
) -> None:
    """Write chats as Markdown, HTML, JSON, or JSON lines of OpenAI messages.

    \b
    Examples: ragchat chats export last --output boiler.html
              ragchat chats export --all --format json --output chats.json
    """
    from ragchat.session.exporting import TargetExistsError, export_text, format_of, write_export

    if every == bool(chosen) or (tag and not every):
        raise UsageError("Choose chat numbers, `last` or --all.", "`ragchat chats list` shows the numbers.")
    with open_chats(context) as store:
        numbers = (
            [chat.id for chat in store.conversations(limit=1_000_000, tag=tag)]
            if every
            else list(dict.fromkeys(chat_number(store, one) for one in chosen))
        )
        found = [store.portable(number) for number in numbers]
    if not found:
        raise NotFoundError("There is no chat to export.", "`ragchat chats list` lists all chats.")
    wanted = cast("Format | None", format_) or format_of(output) or "markdown"
    if output == Path("-"):
        click.echo(export_text(found, wanted), nl=False)
        return
    try:
        written = write_export(found, wanted, output, overwrite=force)
    except TargetExistsError as error:
        raise UsageError(str(error), "Choose another name, or use --force to overwrite.") from error
    size = human_bytes(sum(path.stat().st_size for path in written.files))
    where = written.folder or written.files[0]
    note(f"{len(found):,} {'chat' if len(found) == 1 else 'chats'} in {clean_line(str(where))}, {size}.")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=TypedPath(), metavar="FILE…")
@click.option(
    "--tag", "tags", multiple=True, metavar="NAME", help="Add this tag to imported chats. You can repeat it."
)
@click.option("--dry-run", is_flag=True, help="Show what would be imported.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def import_(
    context: Context, files: tuple[Path, ...], tags: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Import chats from ragchat, ChatGPT (also its ZIP or folder), Open WebUI, LM Studio, ShareGPT or OpenAI messages.

    ragchat detects the format and skips duplicates, so you can run the command again. It downloads nothing. It leaves out and
    counts pictures, files and messages of tools.

    \b
    --json: {"came_in", "already_here", "left_out": {what: how many},
    "rejected": [{"file", "where", "reason"}], "files": [{"file", "formats", "error"}]}

    \b
    Example: ragchat chats import chatgpt-export.zip --dry-run
    """
    from ragchat.session.importing import read_file, take_in

    names = [name for one in tags if (name := clean_line(one))]
    report: dict[str, Any] = {"came_in": 0, "already_here": 0, "left_out": {}, "rejected": [], "files": []}
    failed: list[RagchatError] = []
    with open_chats(context) as store, cancel_on_interrupt() as cancel:
        for file in files:
            shown = clean_line(str(file))
            try:
                incoming = read_file(file)
            except (IngestError, NotFoundError) as error:
                if len(files) == 1:
                    raise
                failed.append(error)
                report["files"].append({"file": shown, "formats": [], "error": str(error)})
                note(f"{error} {error.remedy}")
                continue
            taken = take_in(store, incoming.chats, tags=names, dry_run=dry_run, cancel=cancel)
            _add_to(report, shown, incoming, taken)
            if not as_json:
                _show(shown, incoming, taken, dry_run)
            if cancel.cancelled:
                raise CancelledError(
                    "Stopped. The imported chats are kept.", "Run the same command to continue."
                )
    if as_json:
        data(report, indent=2)
    if failed and len(failed) == len(files):
        raise type(failed[0])("Nothing was imported.")


def _add_to(report: dict[str, Any], file: str, incoming: Incoming, taken: TakenIn) -> None:
    report["came_in"] += taken.came_in
    report["already_here"] += taken.already_here
    report["files"].append({"file": file, "formats": list(incoming.formats), "error": ""})
    for kind, count in incoming.left_out:
        report["left_out"][kind] = report["left_out"].get(kind, 0) + count
    report["rejected"] += [
        {"file": file, "where": one.where, "reason": one.reason} for one in incoming.rejected
    ]


def _show(file: str, incoming: Incoming, taken: TakenIn, dry_run: bool) -> None:
    from ragchat.session.importing import summary

    formats = f" ({', '.join(incoming.formats)})" if incoming.formats else ""
    note(f"{file}{formats}: {summary(incoming, taken, dry_run=dry_run)}")
    for one in incoming.rejected[:_SHOWN_REJECTED]:
        note(f"  {one.where}: {one.reason}")
    if (more := len(incoming.rejected) - _SHOWN_REJECTED) > 0:
        note(f"  and {more:,} more: --json lists them all.")
