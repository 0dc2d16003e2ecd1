"""Completion in the shell: `ragchat completion SHELL` prints the script, and here are the names that arguments may be.

Asked for at every press of Tab, so folders are looked into and nothing heavy is imported.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import click
from click.shell_completion import CompletionItem, get_completion_class

from ragchat.errors import RagchatError
from ragchat.paths import Paths
from ragchat.text import clean_line

_MOST_CHATS = 50


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and names in SHELL.

    \b
    bash, in ~/.bashrc:     eval "$(ragchat completion bash)"
    zsh, in ~/.zshrc:       eval "$(ragchat completion zsh)"    (after compinit)
    fish, once:             ragchat completion fish > ~/.config/fish/completions/ragchat.fish

    It works in shells that you open afterwards.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root().command
    click.echo(kind(root, {}, "ragchat", "_RAGCHAT_COMPLETE").source())


class Named(click.types.StringParamType):
    """Any text; Tab offers the names of a kind: "model", "fetch", "kb", "setting", "chat", "tag"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """What there is now; whatever is wrong with it is another command's business."""
        with contextlib.suppress(RagchatError, OSError):
            return [
                CompletionItem(name, help=clean_line(meaning, limit=80))
                for name, meaning in _names(self.kind, Paths.discover(os.environ))
                if name.startswith(incomplete)
            ]
        return []


def _names(kind: str, paths: Paths) -> Iterator[tuple[str, str]]:
    """(name, what it is) of everything of a kind. Raises RagchatError, OSError."""
    match kind:
        case "kb":
            from ragchat.store.knowledge import knowledge_base_names

            yield from ((name, "") for name in knowledge_base_names(paths.kb_dir))
        case "model":
            from ragchat.llm.library import ModelLibrary

            library = ModelLibrary(paths.model_dirs)
            yield from ((model.name, "") for model in library.installed())
            yield from ((model.name, "for search by meaning") for model in library.embedding_models())
        case "fetch":
            from ragchat.llm.catalogue import load_catalogue, load_embeddings

            yield from ((entry.name, entry.title) for entry in load_catalogue())
            yield from ((entry.name, entry.title) for entry in load_embeddings())
        case "setting":
            from ragchat import config

            yield from ((one.key, one.meaning) for one in config.describe(paths.settings_file, {}))
        case "chat" | "tag" if paths.chat_database.exists():
            from ragchat.store.chats import ChatStore

            with contextlib.closing(ChatStore(paths.chat_database)) as store:
                if kind == "tag":
                    yield from (
                        (tag, f"{chats} chat{'' if chats == 1 else 's'}") for tag, chats in store.tags()
                    )
                else:
                    yield "last", "the most recent chat"
                    yield from ((str(chat.id), chat.title) for chat in store.conversations(_MOST_CHATS))


def kind_of(words: tuple[str, ...], param: click.Parameter) -> str:
    """What the parameter of a command (`words` from the root, without "ragchat") names; empty: anything."""
    if isinstance(param, click.Option):
        return {"--model": "model", "--kb": "kb", "--tag": "tag"}.get(param.opts[0], "")
    match words, param.name:
        case ("model", "pull"), "name":
            return "fetch"
        case (("kb" | "model") as kind, _), "name" | "names":
            return kind
        case ("config", _), "key":
            return "setting"
        case ("chats", _), "chat" | "chosen":
            return "chat"
    return ""
