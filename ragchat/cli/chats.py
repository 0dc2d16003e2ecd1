"""`ragchat chats`: list, show, search, name, tag and delete chats. `cli.chats_transfer` exports and imports them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.chats_transfer import chat_number, export, import_, numbered, open_chats
from ragchat.cli.context import data, note, pass_context
from ragchat.errors import NothingFoundError, UsageError
from ragchat.text import clean, clean_line, counted

if TYPE_CHECKING:
    from ragchat.store.chats import ChatStore
    from ragchat.types import Conversation, MessageHit, PortableMessage


@click.group()
def chats() -> None:
    """Chats: list, show, search, export, import, delete and more. Refer to a chat by its number, or as `last`.

    \b
    Example: ragchat chats search boiler pressure
    """


@chats.command("list")
@click.option("--tag", default="", metavar="NAME", help="Only chats with this tag.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_context
def list_(context: Context, tag: str, as_json: bool) -> None:
    """List all chats that are not deleted: pinned ones first, then the newest.

    \b
    --json: [{"id", "title", "created_at", "updated_at", "pinned", "tags", "model",
    "knowledge_bases": [name] or null for the default, "messages": how many in the branch shown}]

    \b
    Example: ragchat chats list --tag work
    """
    with open_chats(context) as store:
        found = store.conversations(limit=1_000_000, tag=tag)
        counts = {chat.id: len(store.branch_ids(chat.id)) for chat in found}
    if as_json:
        data([_chat_json(chat, counts[chat.id]) for chat in found], indent=2)
        return
    if not found:
        note(
            f"No chat has the tag {clean_line(tag)}."
            if tag
            else "There are no chats yet. Run `ragchat` to start one."
        )
    width = max((len(str(chat.id)) for chat in found), default=1)
    for chat in found:
        tags = click.style(f"  [{clean_line(', '.join(chat.tags))}]", dim=True) if chat.tags else ""
        click.echo(
            f"{chat.id:>{width}}  {_day(chat.updated_at)}  {counted(counts[chat.id], 'message'):>14}"
            f"  {'* ' if chat.pinned else ''}{clean_line(chat.title)}{tags}"
        )


def _chat_json(chat: Conversation, messages: int) -> dict[str, Any]:
    return {
        "id": chat.id,
        "title": chat.title,
        "created_at": chat.created_at,
        "updated_at": chat.updated_at,
        "pinned": chat.pinned,
        "tags": list(chat.tags),
        "model": chat.model,
        "knowledge_bases": None if chat.knowledge_bases is None else list(chat.knowledge_bases),
        "messages": messages,
    }


def _day(at: str) -> str:
    return clean_line(at)[:16].replace("T", " ")


@chats.command()
@click.argument("chat", callback=numbered, metavar="ID|last")
@click.option("--json", "as_json", is_flag=True, help="Everything, as one JSON object.")
@click.option("--markdown", is_flag=True, help="As `chats export` writes it.")
@pass_context
def show(context: Context, chat: int | str, as_json: bool, markdown: bool) -> None:
    """Show the current branch of one chat with the sources of its answers.

    \b
    --json: one element of "chats" of `chats export --format json`: all branches, passages and prompts.

    \b
    Example: ragchat chats show last
    """
    if as_json and markdown:
        raise UsageError("You cannot use --json and --markdown together.")
    with open_chats(context) as store:
        portable = store.portable(chat_number(store, chat))
    if as_json:
        from ragchat.session.own_format import as_value

        data(as_value(portable), indent=2)
        return
    from ragchat.session.chat_lines import about
    from ragchat.session.exporting import as_markdown

    if markdown:
        click.echo(as_markdown(portable), nl=False)
        return
    click.echo(click.style(clean_line(portable.title), bold=True))
    click.echo(about(portable))
    for message in portable.path:
        _show_message(message)


def _show_message(message: PortableMessage) -> None:
    from ragchat.cli.answer_text import quotes_text, signs
    from ragchat.session.chat_lines import check_lines, heading, remarks, said_text, source_lines
    from ragchat.session.marked import DO_NOT_SAY, Style

    click.echo(f"\n{click.style(heading(message), bold=True, underline=True)}")
    if message.quotes:
        click.echo(quotes_text(message.quotes))
    if not message.check.says:
        click.echo(DO_NOT_SAY)
    if text := clean(said_text(message, Style(signs(), struck="~~"))).strip():
        click.echo(text)
    for remark in remarks(message):
        click.echo(click.style(remark, dim=True))
    for line in check_lines(message.check, signs()):
        click.echo(click.style(line, dim=True))
    if message.correction:
        click.echo(f"Corrected: {clean(message.correction).strip()}")
    for line in source_lines(message):
        click.echo(f"  {line}")


@chats.command()
@click.argument("words", nargs=-1, required=True, metavar="WORDS…")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Maximum number of messages.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@pass_context
def search(context: Context, words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """Find messages in all chats that contain all WORDS, newest first. Exits with code 3 if there are none.

    \b
    --json: [{"chat", "message", "title", "role", "created_at", "snippet",
    "highlights": [[first, last] in snippet]}]

    \b
    Example: ragchat chats search boiler pressure
    """
    query = " ".join(words)
    with open_chats(context) as store:
        hits = store.search(query, limit)
    if as_json:
        data([_hit_json(hit) for hit in hits], indent=2)
    for hit in () if as_json else hits:
        side = "answer" if hit.role == "assistant" else "question"
        where = f"{hit.conversation_id}  {clean_line(hit.title)}"
        click.echo(f"{click.style(where, bold=True)}  {side}, {_day(hit.created_at)}")
        click.echo(f"   {_highlighted(hit)}")
    if not hits:
        raise NothingFoundError(
            f"No message contains: {clean_line(query)}.", "The search also finds parts of words."
        )


def _hit_json(hit: MessageHit) -> dict[str, Any]:
    return {
        "chat": hit.conversation_id,
        "message": hit.message_id,
        "title": hit.title,
        "role": hit.role,
        "created_at": hit.created_at,
        "snippet": hit.snippet,
        "highlights": [list(mark) for mark in hit.marks],
    }


def _highlighted(hit: MessageHit) -> str:
    parts: list[str] = []
    end = 0
    for first, last in hit.marks:
        parts += [hit.snippet[end:first], click.style(hit.snippet[first:last], bold=True, underline=True)]
        end = last
    return "".join(parts) + hit.snippet[end:]


# --- care -----------------------------------------------------------------------------------------------


@chats.command()
@click.argument("chosen", nargs=-1, required=True, callback=numbered, metavar="ID…")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--for-good", is_flag=True, help="Erase the chats. You cannot undo this.")
@pass_context
def delete(context: Context, chosen: tuple[int | str, ...], yes: bool, for_good: bool) -> None:
    """Hide chats. `chats undelete` restores them.

    With --for-good, ragchat erases them instead, including hidden ones: messages, sources, prompts, ratings, drafts, entries
    in the search, and evaluation questions made from them. Exported files stay as they are.

    \b
    Example: ragchat chats delete 12 13
    """
    with open_chats(context) as store:
        found = _conversations(store, chosen)
        titles = clean_line(", ".join(f"{chat.id} “{chat.title}”" for chat in found), limit=300)
        if not yes:
            question = "Erase permanently" if for_good else "Hide"
            click.confirm(f"{question}: {titles}?", abort=True, err=True)
        with build.dropping_read(context, [f"chat {chat.id}" for chat in found]):
            for chat in found:
                (store.erase if for_good else store.delete)(chat.id)
    if not for_good:
        numbers = " ".join(str(chat.id) for chat in found)
        note(f"Hidden: {titles}. To restore: ragchat chats undelete {numbers}")
        return
    note(f"Erased: {titles}.")
    for copy in sorted(
        context.paths.chat_database.parent.glob(f"{context.paths.chat_database.name}.schema-*")
    ):
        note(f"  A backup from before an update may still contain it: {clean_line(str(copy))}")


@chats.command()
@click.argument("chosen", nargs=-1, required=True, type=click.IntRange(1, 2**63 - 1), metavar="ID…")
@pass_context
def undelete(context: Context, chosen: tuple[int, ...]) -> None:
    """Restore hidden chats.

    \b
    Example: ragchat chats undelete 12
    """
    with open_chats(context) as store:
        for chat in _conversations(store, chosen):
            store.undelete(chat.id)
            note(f"Restored: {chat.id} “{clean_line(chat.title)}”.")


@chats.command()
@click.argument("chat", callback=numbered, metavar="ID|last")
@click.argument("title")
@pass_context
def rename(context: Context, chat: int | str, title: str) -> None:
    """Give a chat another title.

    \b
    Example: ragchat chats rename last "The boiler in the cellar"
    """
    name = clean_line(title)
    if not name:
        raise UsageError("A title must contain a visible character.")
    with open_chats(context) as store:
        number = chat_number(store, chat)
        store.rename(number, name)
    note(f"Chat {number} is now called “{name}”.")


@chats.command()
@click.argument("chat", callback=numbered, metavar="ID|last")
@click.argument("names", nargs=-1, metavar="[TAG]…")
@click.option("--remove", is_flag=True, help="Remove these tags; without TAG, remove all.")
@pass_context
def tag(context: Context, chat: int | str, names: tuple[str, ...], remove: bool) -> None:
    """Add tags to a chat; without TAG, list its tags.

    \b
    Example: ragchat chats tag last house heating
    """
    cleaned = [name for one in names if (name := clean_line(one))]
    with open_chats(context) as store:
        number = chat_number(store, chat)
        tags = store.conversation(number).tags
        if remove:
            store.set_tags(number, [one for one in tags if cleaned and one not in cleaned])
        elif cleaned:
            store.set_tags(number, [*tags, *cleaned])
        tags = store.conversation(number).tags
    note(
        f"Chat {number} has the tags {clean_line(', '.join(tags))}." if tags else f"Chat {number} has no tag."
    )


def _conversations(store: ChatStore, chosen: Sequence[int | str]) -> list[Conversation]:
    """Each once. Raises NotFoundError before anything is done."""
    numbers = dict.fromkeys(chat_number(store, one) for one in chosen)
    return [store.conversation(number) for number in numbers]


for command in (export, import_):
    chats.add_command(command)
