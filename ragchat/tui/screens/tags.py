"""Tags of a chat, on one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.text import clean_line
from ragchat.tui.screens.dialog import Dialog, Line

_LONGEST = 40
_KNOWN = 20


class AskTags(Dialog["tuple[str, ...]"]):
    """Gives the tags, or None when it was left. `known`: those of other chats, to write them alike."""

    TITLE_TEXT: ClassVar[str] = "Tags of this chat"
    HELP_TEXT: ClassVar[str] = "Enter saves · empty removes all tags · Esc cancels"

    def __init__(self, tags: Sequence[str], *, known: Sequence[str] = ()) -> None:
        super().__init__()
        self._tags, self._known = tags, known

    def body(self) -> Iterable[Widget]:
        yield Line(", ".join(self._tags), placeholder="work, boiler")
        if self._known:
            names = ", ".join(clean_line(name, limit=_LONGEST) for name in self._known[:_KNOWN])
            yield Static(Content.styled(f"Your tags: {names}", "$foreground 62%"), id="note")

    @on(Input.Submitted)
    def _keep(self, event: Input.Submitted) -> None:
        self.dismiss(split_tags(event.value))


def split_tags(line: str) -> tuple[str, ...]:
    """`"#work,  boiler"` as `("work", "boiler")`: each once, in their order, no `#` before them."""
    names = (clean_line(part.strip().lstrip("#"), limit=_LONGEST) for part in clean_line(line).split(","))
    return tuple(dict.fromkeys(name for name in names if name))
