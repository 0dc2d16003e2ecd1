"""The files of a knowledge base, a row each, with state and reason. Only rows on the screen are built: there may be 100,000."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ragchat.text import clean_line, counted
from ragchat.tui.safe_content import cut_front
from ragchat.types import Document

_MARKS = {"indexed": "✓", "changed": "~", "skipped": "·", "failed": "✗", "missing": "?"}


class FileList(ScrollView, can_focus=True):
    """`files` are shown in their order; `cursor` is the row that keys work on."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "files--cursor",
        "files--quiet",
        "files--changed",
        "files--failed",
        "files--reason",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", id="files.up", show=False),
        Binding("down,j", "move(1)", "Down", id="files.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="files.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="files.page_down", show=False),
        Binding("home,g", "move(-1000000000)", "First", id="files.first", show=False),
        Binding("end,G,shift+g", "move(1000000000)", "Last", id="files.last", show=False),
        Binding("enter", "choose", "Open", id="files.open"),
    ]

    cursor: reactive[int] = reactive(0)

    class Chosen(Message):
        """Enter was pressed on a file."""

        def __init__(self, document: Document) -> None:
            super().__init__()
            self.document = document

    def __init__(self) -> None:
        super().__init__()
        self._files: Sequence[Document] = ()
        self._folder = ""

    def show(self, files: Sequence[Document], *, folder: str) -> None:
        """Show these. What begins with `folder` is shown without it."""
        before = self.current
        self._files = files
        self._folder = folder + "/" if folder else ""
        self.virtual_size = Size(self.size.width, len(files))
        rows = [i for i, file in enumerate(files) if before and file.path == before.path]
        self.cursor = rows[0] if rows else max(0, min(self.cursor, len(files) - 1))
        self.call_after_refresh(self._show_cursor)
        self.refresh()

    @property
    def current(self) -> Document | None:
        return self._files[self.cursor] if self.cursor < len(self._files) else None

    def watch_cursor(self) -> None:
        self.refresh()
        self._show_cursor()

    def _show_cursor(self) -> None:
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, force=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, force=True)

    def action_move(self, step: int) -> None:
        self.cursor = max(0, min(self.cursor + step, len(self._files) - 1))

    def action_page(self, pages: int) -> None:
        self.action_move(pages * max(1, self.size.height - 1))

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_click(self, event: events.Click) -> None:
        row = event.y + self.scroll_offset.y
        if row < len(self._files):
            self.cursor = row
            if event.chain > 1:
                self.action_choose()

    def render_line(self, y: int) -> Strip:
        width, base = self.scrollable_content_region.width, self.rich_style
        row = y + self.scroll_offset.y
        if row >= len(self._files) or width < 4:
            return Strip.blank(width, base)
        file = self._files[row]
        style = base + self.get_component_rich_style(f"files--{_STYLES[file.state]}")
        if row == self.cursor and self.has_focus:
            base += self.get_component_rich_style("files--cursor")
            style += self.get_component_rich_style("files--cursor")
        path = clean_line(file.path)
        if self._folder and path.startswith(self._folder):
            path = path[len(self._folder) :]
        chunks = counted(file.chunk_count, "chunk")
        if file.missing_phrase:
            chunks = f"{file.missing_phrase} · {chunks}"
        reason = clean_line(file.reason or chunks, limit=max(0, width // 2))
        room = width - 4 - cell_len(reason)
        path = cut_front(path, max(1, room))
        return Strip(
            [
                Segment(f"{_MARKS[file.state]} ", style),
                Segment(set_cell_size(path, max(0, room)), base),
                Segment(f"  {reason}", base + self.get_component_rich_style("files--reason")),
            ]
        ).adjust_cell_length(width, base)


_STYLES = {
    "indexed": "quiet",
    "changed": "changed",
    "skipped": "quiet",
    "failed": "failed",
    "missing": "changed",
}
