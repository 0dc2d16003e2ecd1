"""All keys, from the bindings themselves and the keymap in force, so that this page cannot be out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

from ragchat.tui.key_groups import key_groups
from ragchat.tui.screens.dialog import Dialog

_KEY_COLUMN = 18
_NUMBERED = ("sources.jump_", "transcript.source_")
"""How the ids of keys begin that go to the source of their number: nine of them share a line."""


def bound_keys(owner: type[DOMNode], keymap: Mapping[str, str]) -> Iterable[tuple[str, Binding]]:
    """(keys, binding) of what a class itself binds under an id, with the keymap applied."""
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.id and binding.description:
            yield keymap.get(binding.id, binding.key), binding


class HelpScreen(Dialog[None]):
    """Scrolls with the arrow keys."""

    TITLE_TEXT: ClassVar[str] = "Keys"
    HELP_TEXT: ClassVar[str] = "Up and Down scroll · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,f1,question_mark", "close", "Close", id="help.close", show=False),
        Binding("j", "scroll_by(1)", "Down", id="help.down", show=False),
        Binding("k", "scroll_by(-1)", "Up", id="help.up", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        yield VerticalScroll(Static(self._content()))

    def _content(self) -> Content:
        lines: list[Content] = []
        keymap = self.app._keymap
        for title, owners in key_groups():
            lines.append(Content.styled(title, "$text-accent bold"))
            seen: set[str] = set()
            has_numbers = False
            for owner in owners:
                for keys, binding in bound_keys(owner, keymap):
                    if (binding.id or "").startswith(_NUMBERED):
                        has_numbers = True
                        continue
                    line = f"{self._display(keys):<{_KEY_COLUMN}} {binding.description}"
                    if line not in seen:
                        seen.add(line)
                        lines.append(Content.assemble("  ", line))
            if has_numbers:
                lines.append(Content(f"  {'1 … 9':<{_KEY_COLUMN}} Go to source [n]"))
            if title == "Prompt":
                lines.append(Content(f"  {'↑ ↓':<{_KEY_COLUMN}} Earlier and later questions"))
            lines.append(Content(""))
        return Content("\n").join(lines)

    def _display(self, keys: str) -> str:
        names = [self.app.get_key_display(Binding(key.strip(), "", "")) for key in keys.split(",")]
        return " ".join(dict.fromkeys(names))

    def action_scroll_by(self, step: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=step, animate=False)
