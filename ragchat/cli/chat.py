"""`ragchat chat`: builds the services that the screen calls, and opens it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.context import note, pass_context
from ragchat.types import AdapterScale

if TYPE_CHECKING:
    from ragchat.app.services import Services


@click.command()
@click.option(
    "--model", "model_name", default="", metavar="NAME", help="Model to chat with, by name or path."
)
@click.option(
    "--adapter", default="", metavar="NAME", help="Adapters of new chats, such as style or style+facts:0.5."
)
@click.option(
    "--plain",
    is_flag=True,
    help="Plain lines for screen readers, simple terminals and pipes. ragchat chooses this by itself if it cannot draw a screen.",
)
@pass_context
def chat(context: Context, model_name: str = "", adapter: str = "", plain: bool = False) -> None:
    """Open the chat."""
    adapters = AdapterScale.typed(adapter)
    for each in adapters:
        build.adapters(context).find(each.name)  # a wrong name is said now, not with the first question
    if plain or not _can_draw():
        _chat_in_lines(context, model_name, adapters, asked_for=plain)
        return
    from ragchat.tui.app import RagchatApp

    context.paths.create()
    if not os.environ.get("NO_COLOR"):  # set but empty asks for nothing; Textual takes it for a wish
        os.environ.pop("NO_COLOR", None)
    services = make_services(context, model_name, adapters)
    try:
        RagchatApp(services).run()
    finally:
        services.model.close()


def _can_draw() -> bool:
    """Whether a screen can be drawn: a terminal on both sides that obeys more than the end of a line."""
    return _on_terminal() and os.environ.get("TERM") != "dumb"


def _on_terminal() -> bool:
    # What was closed before we started is None.
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _chat_in_lines(
    context: Context, model_name: str, adapters: tuple[AdapterScale, ...], *, asked_for: bool
) -> None:
    from ragchat.plain.loop import run

    if not asked_for:
        note("This terminal cannot draw a screen, so the chat runs in plain lines (`ragchat chat --plain`).")
    context.paths.create()
    services = make_services(context, model_name, adapters)
    try:
        code = run(services, interactive=_on_terminal())
    finally:
        services.model.close()
    click.get_current_context().exit(code)


def make_services(context: Context, model_name: str, adapters: tuple[AdapterScale, ...] = ()) -> Services:
    """What the front ends call, over the model of this name (empty: that of the settings)."""
    from ragchat.app.services import Services

    return Services(context, build.model(context, model_name), adapters=adapters)
