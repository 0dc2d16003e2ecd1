"""Choosing one document among those that are indexed: typed words narrow the list, which may be long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.text import clean_line, counted
from ragchat.tui import tasks
from ragchat.tui.safe_content import cut_front
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.widgets.lazy_list import LazyList, Row

if TYPE_CHECKING:
    from ragchat.app.services import Services

_QUIET = "$foreground 62%"


@dataclass(frozen=True, slots=True)
class Chosen:
    """An indexed document. `name` is the last part of its path, for the user."""

    knowledge_base: str
    document_id: int
    path: str

    @property
    def name(self) -> str:
        return clean_line(PurePath(self.path).name or self.path, limit=80)


class ChooseDocument(Dialog[Chosen]):
    """Gives a document, or None."""

    TITLE_TEXT: ClassVar[str] = "Summarise a whole document"
    HELP_TEXT: ClassVar[str] = (
        "Type to filter · Enter chooses · Esc closes · /summarise FILE summarises any file"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Summarise it", id="choose_document.take", show=False, priority=True),
        Binding("up", "list('cursor_up')", "Up", id="choose_document.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="choose_document.down", show=False, priority=True),
        Binding(
            "pageup", "list('page_up')", "Page up", id="choose_document.page_up", show=False, priority=True
        ),
        Binding(
            "pagedown",
            "list('page_down')",
            "Page down",
            id="choose_document.page_down",
            show=False,
            priority=True,
        ),
    ]

    class Listed(Message):
        """The documents to choose from were read."""

        def __init__(self, documents: Sequence[Chosen]) -> None:
            super().__init__()
            self.documents = documents

    def __init__(self, services: Services, names: Sequence[str]) -> None:
        super().__init__()
        self._services, self._names = services, names
        self._documents: dict[str, Chosen] = {}

    def body(self) -> Iterable[Widget]:
        yield Line(placeholder="Part of the name or path")
        yield Static(Content.styled("Reading the list of documents", _QUIET), id="summary")
        found = LazyList(self._draw)
        found.can_focus = False
        yield found

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self._list()

    @work(thread=True, exclusive=True, exit_on_error=False, group="documents", description="list documents")
    def _list(self) -> None:
        def listing() -> None:
            documents = []
            for name in self._names:
                with closing(self._services.documents.open(name)) as store:
                    documents += [
                        Chosen(name, one.id, one.path) for one in store.documents() if one.state == "indexed"
                    ]
            self.post_message(self.Listed(documents))

        tasks.reporting(self._services, "listing the documents", self.post_message, listing)

    @on(Listed)
    def _show(self, event: Listed) -> None:
        self._documents = {str(number): one for number, one in enumerate(event.documents)}
        self._narrow()

    @on(Input.Changed)
    def _narrow(self) -> None:
        words = self.query_one(Line).value.casefold().split()
        rows = [
            Row(key)
            for key, one in self._documents.items()
            if all(word in one.path.casefold() for word in words)
        ]
        found = self.query_one(LazyList)
        found.set_rows(rows)
        found.styles.height = max(1, min(12, len(rows)))
        if rows and found.highlighted is None:
            found.action_first()
        said = counted(len(rows), "document")
        if not self._documents:
            said = "This chat has no documents. Press F3 to choose some or F4 to add some."
        self.query_one("#summary", Static).update(Content.styled(said, _QUIET))

    def _draw(self, key: str, width: int) -> Content:
        return Content(cut_front(clean_line(self._documents[key].path), max(8, width)))

    def action_list(self, action: str) -> None:
        getattr(self.query_one(LazyList), f"action_{action}")()

    def action_take(self) -> None:
        if chosen := self._documents.get(self.query_one(LazyList).key):
            self.dismiss(chosen)
