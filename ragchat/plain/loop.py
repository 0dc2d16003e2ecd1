"""`ragchat chat --plain`: reads lines and gives them to the chat until the input ends."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ragchat.app import commands
from ragchat.errors import RagchatError
from ragchat.plain.chat import PlainChat
from ragchat.plain.commands import PlainCommands
from ragchat.plain.console import Console

if TYPE_CHECKING:
    from ragchat.app.services import Services


def run(services: Services, *, interactive: bool) -> int:
    """Talk until the input ends. The exit code: of piped lines, that of the first that failed, which is the last one read."""
    with contextlib.closing(services.open_chats()) as chats:
        chats.recover()
        chat = PlainChat(services, chats, Console(interactive=interactive))
        plain = PlainCommands(chat)
        _greet(chat)
        chat.console.use_readline(plain.candidates, chats.prompt_history())
        code = 0
        while not code and not plain.ended:
            try:
                text = chat.console.read_text()
                if text is None:
                    break
                _take(chat, plain, text)
            except KeyboardInterrupt:
                if not interactive:
                    raise
                chat.console.note("Type /quit or press Ctrl-D to quit.")
            except RagchatError as error:
                chat.console.note(f"{error} {error.remedy}")
                code = 0 if interactive else error.exit_code
        return code


def _take(chat: PlainChat, plain: PlainCommands, text: str) -> None:
    if typed := commands.parse(text):
        plain.run(typed)
    elif unknown := commands.unknown_command(text):
        raise unknown.error
    elif text.strip():
        chat.ask(commands.literal(text))


def _greet(chat: PlainChat) -> None:
    model, note = chat.services.model, chat.console.note
    names = ", ".join(chat.knowledge_bases) or "none"
    note(
        f"Model: {model.selected}. Documents: {names}."
        if model.selected
        else "No model is installed. `ragchat setup` downloads one."
    )
    if suspicion := model.suspicion():
        note(suspicion)
    if chat.console.interactive:
        note("Type a question. /help lists the commands. Ctrl-C stops an answer. Ctrl-D quits.")
