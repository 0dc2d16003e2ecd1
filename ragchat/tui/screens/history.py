"""What the user asked before, searched as in a shell: newest first, typed words narrow it, Enter takes one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.text import clean, clean_line, counted
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.widgets.lazy_list import LazyList, Row

DIM = "$foreground 62%"
_SEEN = 16
"""Prompts that are seen at once, where there is room."""
_PREVIEW = 3
"""Lines of the highlighted prompt that are shown whole."""


class HistoryScreen(Dialog[str]):
    """Gives a prompt as it was written, or None. `prompts` are newest first."""

    TITLE_TEXT: ClassVar[str] = "Earlier prompts"
    HELP_TEXT: ClassVar[str] = "Enter puts it in the prompt · Ctrl+R goes to an older one · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Use it", id="history.take", show=False, priority=True),
        Binding("ctrl+r", "list('cursor_down')", "Next older", id="history.older", show=False, priority=True),
        Binding("ctrl+s", "list('cursor_up')", "Next newer", id="history.newer", show=False, priority=True),
        Binding("up", "list('cursor_up')", "Up", id="history.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="history.down", show=False, priority=True),
        Binding("pageup", "list('page_up')", "Page up", id="history.page_up", show=False, priority=True),
        Binding(
            "pagedown", "list('page_down')", "Page down", id="history.page_down", show=False, priority=True
        ),
    ]

    def __init__(self, prompts: Sequence[str], *, query: str = "") -> None:
        super().__init__()
        self._prompts = [prompt for prompt in prompts if prompt.strip()]
        self._folded = [prompt.casefold() for prompt in self._prompts]
        self._begun_with = query

    def body(self) -> Iterable[Widget]:
        yield Line(self._begun_with, placeholder="Words in the prompt")
        yield Static(Content(""), id="summary")
        found = LazyList(self._draw)
        found.can_focus = False
        yield found
        yield Static(Content(""), id="preview")

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self.found.styles.height = max(1, min(_SEEN, len(self._prompts)))
        self._search()

    @property
    def found(self) -> LazyList:
        return self.query_one(LazyList)

    @property
    def words(self) -> list[str]:
        return self.query_one(Line).value.casefold().split()

    @on(Input.Changed)
    def _search(self) -> None:
        words = self.words
        matching = [n for n, text in enumerate(self._folded) if all(word in text for word in words)]
        self.found.set_rows([Row(str(number)) for number in matching])
        self.found.highlighted = None
        self.found.action_first()
        self.query_one("#summary", Static).update(Content.styled(self._summary(len(matching)), DIM))
        self._preview()

    def _summary(self, found: int) -> str:
        if not self._prompts:
            return "You have not asked anything yet."
        if not found:
            return "No prompt contains all these words."
        return (
            counted(found, "prompt")
            if not self.words
            else f"{found:,} of {counted(len(self._prompts), 'prompt')}"
        )

    def _draw(self, key: str, width: int) -> Content:
        number = int(key)
        return self._marked(clean_line(self._prompts[number], limit=max(8, 2 * width)))

    def _marked(self, text: str) -> Content:
        content, folded = Content(text), text.casefold()
        if len(folded) != len(text):  # positions would not be those of the text
            return content
        for word in self.words:
            first = folded.find(word)
            if first >= 0:
                content = content.stylize("$text-warning bold", first, first + len(word))
        return content

    @on(LazyList.Highlighted)
    def _preview(self) -> None:
        preview = self.query_one("#preview", Static)
        text = clean(self._prompts[int(self.found.key)]).strip() if self.found.key else ""
        lines = text.splitlines()
        preview.display = len(lines) > 1
        if len(lines) > _PREVIEW:
            lines = [*lines[: _PREVIEW - 1], f"… {counted(len(lines) - _PREVIEW + 1, 'more line')}"]
        preview.update(Content.styled("\n".join(lines), DIM))

    def action_list(self, action: str) -> None:
        getattr(self.found, f"action_{action}")()

    @on(LazyList.Chosen)
    def action_take(self) -> None:
        if self.found.key:
            self.dismiss(clean(self._prompts[int(self.found.key)]))
