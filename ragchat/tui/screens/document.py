"""A document at the passage that an answer cites, as it was indexed: searched with `/`, opened in an editor with `e`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.markdown_marks import is_markdown
from ragchat.tui.safe_content import shown
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.shown import OpenedDocument
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.status_bar import KeyHints

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.types import Citation


class DocumentScreen(Leaving[None]):
    """Reads the document in a worker; the text itself scrolls by rows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="document.back"),
        Binding("q", "back", "Back", id="document.quit", show=False),
        Binding("slash", "search", "Search", id="document.search"),
        Binding("n", "find(False)", "Next", id="document.next"),
        Binding("N,shift+n", "find(True)", "Previous", id="document.previous", show=False),
        Binding("p", "passage", "Passage", id="document.passage"),
        Binding("e", "edit", "Editor", id="document.edit"),
        Binding("g,home", "top", "Beginning", id="document.top", show=False),
        Binding("G,shift+g,end", "bottom", "End", id="document.bottom", show=False),
        Binding("j,down", "rows(1)", "Down", id="document.down", show=False),
        Binding("k,up", "rows(-1)", "Up", id="document.up", show=False),
        Binding("space,pagedown", "pages(1)", "Page down", id="document.page_down", show=False),
        Binding("b,pageup", "pages(-1)", "Page up", id="document.page_up", show=False),
    ]

    VERTICAL_BREAKPOINTS = [(0, "-low"), (12, "-high")]  # noqa: RUF012 - no ClassVar in the base class

    def __init__(self, services: Services, citation: Citation) -> None:
        super().__init__()
        self._services = services
        self._citation = citation
        self._opened: OpenedDocument | None = None
        self._found: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        hit = self._citation.hit
        origin = Content.assemble(
            Content.styled(clean_line(hit.path), "bold"),
            Content.styled(f"  {clean_line(hit.source)}", "$text-accent"),
        )
        yield Static(origin, id="origin")
        yield Static(Content(""), id="notes")
        yield Static(Content(""), id="quote")
        yield DocumentText()
        search = Line(placeholder="Search")
        search.display = False
        yield search
        yield KeyHints()

    def on_mount(self) -> None:
        text = self.query_one(DocumentText)
        text.loading = True
        self.query_one("#notes").display = False
        self.query_one("#quote").display = False
        self._read()

    @work(thread=True, exclusive=True, exit_on_error=False, group="document", description="read a document")
    def _read(self) -> None:
        def read() -> None:
            self.post_message(messages.DocumentOpened(tasks.open_document(self._services, self._citation)))

        tasks.reporting(self._services, "opening the document", self.post_message, read)

    @on(messages.DocumentOpened)
    def _show(self, event: messages.DocumentOpened) -> None:
        opened = self._opened = event.document
        text = self.query_one(DocumentText)
        text.loading = False
        text.focus()
        numbered = opened.document is not None and opened.document.source_lines
        text.load(
            opened.text,
            passage=opened.passage,
            evidence=opened.evidence,
            numbered=numbered,
            markdown=is_markdown(opened.citation.hit.path),
        )
        self._say(*opened.notes)
        quote = self.query_one("#quote", Static)
        quote.update(shown(f"“{opened.quote}”"))
        quote.display = bool(opened.quote)

    @on(messages.TroubleReported)
    def _failed(self, event: messages.TroubleReported) -> None:
        self.query_one(DocumentText).loading = False
        self._say(event.sentence, event.remedy)
        event.stop()

    def _say(self, *sentences: str) -> None:
        notes = self.query_one("#notes", Static)
        notes.update(
            Content.styled(" ".join(clean_line(sentence) for sentence in sentences), "$text-warning")
        )
        notes.display = any(sentences)

    # --- keys ---------------------------------------------------------------------------------------

    def action_back(self) -> None:
        search = self.query_one(Line)
        if search.display:
            search.display = False
            self.query_one(DocumentText).focus()
        else:
            self.dismiss(None)

    def action_search(self) -> None:
        search = self.query_one(Line)
        search.display = True
        search.value = ""
        search.focus()

    @on(Input.Submitted)
    def _search(self, event: Input.Submitted) -> None:
        text = self.query_one(DocumentText)
        self.query_one(Line).display = False
        text.focus()
        text.search(event.value)
        self._found = None
        if event.value:
            self.action_find(False)

    def action_find(self, backwards: bool) -> None:
        text = self.query_one(DocumentText)
        start = text.top_offset if self._found is None else self._found[0 if backwards else 1]
        found = text.find(start, backwards=backwards)
        if found is None:
            self.notify("Not found." if text.searching else "Press / to search.", timeout=2, markup=False)
            return
        self._found = found
        text.go_to(found[0])

    def action_passage(self) -> None:
        if self._opened is not None and self._opened.passage:
            self.query_one(DocumentText).go_to((self._opened.evidence or self._opened.passage)[0])

    def action_top(self) -> None:
        self.query_one(DocumentText).scroll_home(animate=False)

    def action_bottom(self) -> None:
        self.query_one(DocumentText).scroll_end(animate=False)

    def action_rows(self, step: int) -> None:
        self.query_one(DocumentText).scroll_relative(y=step, animate=False)

    def action_pages(self, step: int) -> None:
        text = self.query_one(DocumentText)
        text.scroll_relative(y=step * max(1, text.size.height - 2), animate=False)

    def action_edit(self) -> None:
        if self._opened is not None:
            self._prepare_edit(self._opened)

    @work(
        thread=True,
        exclusive=True,
        exit_on_error=False,
        group="document",
        description="prepare a file for the editor",
    )
    def _prepare_edit(self, opened: OpenedDocument) -> None:
        def prepare() -> None:
            self.app.post_message(tasks.edit_target(self._services, opened))

        tasks.reporting(self._services, "opening the document", self.post_message, prepare)
