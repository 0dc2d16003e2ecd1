"""The command line: the composition root. Each command group is a module of its own, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

import click

from ragchat import __version__
from ragchat.cli.examples import epilog
from ragchat.errors import RagchatError
from ragchat.text import clean_line

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_COMMANDS = {
    "chat": ("ragchat.cli.chat", "Open the chat (also what plain `ragchat` does)."),
    "ask": ("ragchat.cli.ask", "Answer one question on standard output."),
    "chats": ("ragchat.cli.chats", "Chats: list, show, search, export, import, delete and more."),
    "kb": (
        "ragchat.cli.kb",
        "Knowledge bases: add, sync, watch, search, list, status, settings, check, export and more.",
    ),
    "model": ("ragchat.cli.model", "Models: list, pull, add, info, remove."),
    "finetune": ("ragchat.cli.finetune", "Train an adapter for the model you chat with on your own data."),
    "adapter": ("ragchat.cli.adapter", "Adapters: list, info, export, import, check, remove."),
    "pairs": (
        "ragchat.cli.pairs",
        "Training questions drafted from documents: draft, review, list, export.",
    ),
    "eval": (
        "ragchat.cli.eval",
        "Compare the model alone, documents, adapter and both on your own questions.",
    ),
    "setup": ("ragchat.cli.setup", "Download the default models and index ragchat's own manual."),
    "config": ("ragchat.cli.config", "Settings: show, path, set, unset."),
    "completion": ("ragchat.cli.completion", "Completion for bash, zsh and fish."),
    "doctor": ("ragchat.cli.doctor", "Find problems and suggest fixes."),
}


_WHOLE_SENTENCE = 400
"""Characters. Lists of commands wrap what they do rather than cut it."""


class LazyGroup(click.Group):
    """Knows its commands by name and imports only the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(_COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)
        _complement(command, (cmd_name,))
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names and meanings from the table: nothing is imported for them."""
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=text)
            for name, (_, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _complement(command: click.Command, words: tuple[str, ...]) -> None:
    """Give a command and those below it what all have alike: examples, whole sentences in lists, completion of names."""
    from ragchat.cli.completion import Named, kind_of

    command.epilog = command.epilog or epilog(" ".join(words))
    for param in command.params:
        if param.type is click.STRING and (kind := kind_of(words, param)):
            param.type = Named(kind)
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            below.short_help = below.get_short_help_str(limit=_WHOLE_SENTENCE)
            _complement(below, (*words, name))


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=epilog(""),
)
@click.version_option(__version__, prog_name="ragchat")
@click.pass_context
def ragchat(ctx: click.Context) -> None:
    """Chat with a local language model and your own documents. No data leaves this machine.

    Without a command, ragchat opens the chat.

    \b
    Exit codes: 0 done, 1 something failed, 2 wrong usage or setting, 3 nothing found
    (with --strict), 4 no such model, knowledge base or file, 5 model or inference,
    6 database or disk, 7 a document, 8 a download, 9 a training, 10 an evaluation
    below its target, 130 cancelled.
    """
    from ragchat.app.context import discover

    if os.environ.get("NO_COLOR"):
        ctx.color = False
    ctx.obj = discover()
    if ctx.invoked_subcommand is None:
        from ragchat.cli.chat import chat

        ctx.invoke(chat)


def main() -> None:
    """Run the command line; every expected error becomes a sentence on standard error and an exit code."""
    try:
        code = ragchat.main(prog_name="ragchat", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(error.ctx.get_usage(), err=True)
        click.echo(f"ragchat: {clean_line(error.format_message())}", err=True)
        code = error.exit_code
    except RagchatError as error:
        click.echo(f"ragchat: {clean_line(str(error))}", err=True)
        if error.remedy:
            click.echo(f"  {clean_line(error.remedy)}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("ragchat: stopped.", err=True)
        code = 130
    except BrokenPipeError:
        # Whoever read us has heard enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code if isinstance(code, int) else 0)
