"""The command palette: everything that a key does here, found by name. Made from the bindings, so that nothing is missing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.app import SystemCommand
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

_LEFT_OUT = ("transcript.source_", "sources.source_", "prompt.send", "prompt.new_line")
"""Ids that begin so stand for a digit, or for typing."""


def commands(screen: Screen[object]) -> Iterator[SystemCommand]:
    """What can be done on a screen: first what is bound where the focus is, then the rest; each once."""
    app = screen.app
    focused = screen.focused
    nodes: list[DOMNode] = [
        *(focused.ancestors_with_self if focused else ()),
        screen,
        app,
        *screen.query("*"),
    ]
    seen: set[str] = set()
    for node in nodes:
        for binding in own_bindings(type(node)):
            if binding.id in seen or not _usable(node, binding):
                continue
            seen.add(str(binding.id))
            keys = " ".join(display_keys(screen, binding))
            yield SystemCommand(
                binding.tooltip or binding.description,
                keys,
                partial(app.run_action, binding.action, node),
            )


def own_bindings(owner: type[DOMNode]) -> Iterator[Binding]:
    """The named bindings of a class and of those it is made from."""
    for one in owner.__mro__:
        for binding in one.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id and binding.description:
                yield binding


def display_keys(screen: Screen[object], binding: Binding) -> list[str]:
    """The keys of a binding as a user reads them, by the keymap in force."""
    keys = screen.app._keymap.get(str(binding.id), binding.key)
    names = [screen.app.get_key_display(Binding(key.strip(), "", "")) for key in keys.split(",")]
    return list(dict.fromkeys(names))


def _usable(node: DOMNode, binding: Binding) -> bool:
    if str(binding.id).startswith(_LEFT_OUT):
        return False
    # The palette lies over the screen now, so what the app and the screen allow cannot be asked yet.
    name, _, rest = binding.action.partition("(")
    return (
        rest != ""
        or not isinstance(node, Widget)
        or isinstance(node, Screen)
        or node.check_action(name, ()) is not False
    )
