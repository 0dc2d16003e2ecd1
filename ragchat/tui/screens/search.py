"""Searching the documents of the chat, without a model: results as one types, each shown where it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.tui import messages, searching
from ragchat.tui.clipboard import copy
from ragchat.tui.foreign import citation_text, cut_front, file_name
from ragchat.tui.newest import Newest
from ragchat.tui.screens.dialog import Line
from ragchat.tui.sentences import count
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import Citation, Hit

if TYPE_CHECKING:
    from ragchat.tui.searching import Found, ShownHit
    from ragchat.tui.services import Services

_EVIDENCE = 160
"""Characters of evidence in the list."""
_LEAD = 24
"""Characters shown before the first word that was found."""
DIM = "$foreground 62%"
FOUND_WORD = "$text-warning bold"


class SearchScreen(Screen[Hit]):
    """Gives the hit that the next question shall be about, or None. The query has the keyboard, the arrows move in the list."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="search.open", priority=True),
        Binding("ctrl+t", "ask_about", "Ask about this", id="search.ask", priority=True),
        Binding("ctrl+y", "copy", "Copy", id="search.copy", priority=True),
        Binding("escape", "back", "Back", id="search.back"),
        Binding("f3", "choose_knowledge", "Documents", id="search.knowledge", priority=True),
        Binding("up", "list('cursor_up')", "Up", id="search.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="search.down", show=False, priority=True),
        Binding("pageup", "list('page_up')", "Page up", id="search.page_up", show=False, priority=True),
        Binding(
            "pagedown", "list('page_down')", "Page down", id="search.page_down", show=False, priority=True
        ),
        Binding("ctrl+up", "preview(-3)", "Preview up", id="search.preview_up", show=False, priority=True),
        Binding(
            "ctrl+down", "preview(3)", "Preview down", id="search.preview_down", show=False, priority=True
        ),
    ]

    class KnowledgeChosen(Message, bubble=False):
        """Other knowledge bases shall be searched, and asked."""

        def __init__(self, names: tuple[str, ...]) -> None:
            super().__init__()
            self.names = names

    def __init__(self, services: Services, names: tuple[str, ...], *, query: str = "") -> None:
        super().__init__()
        self._services = services
        self.names = names
        self._begun_with = query
        self._wishes: Newest[searching.SearchWish] = Newest()
        self._found: Found | None = None
        self.last_query = query
        """What was searched for when the screen was left."""

    def compose(self) -> ComposeResult:
        yield Line(self._begun_with, placeholder="Search your documents")
        yield Static(Content(""), id="summary")
        yield Static(Content(""), id="nothing")
        with Horizontal(id="found"):
            options = OptionList()
            options.can_focus = False
            yield options
            with Vertical(id="preview"):
                yield Static(Content(""), id="origin")
                text = DocumentText()
                text.can_focus = False
                yield text
        yield KeyHints()

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self.query_one(Line).action_select_all()
        self._use(self.names)

    def on_unmount(self) -> None:
        self._wishes.close()

    @property
    def query_text(self) -> str:
        return self.query_one(Line).value

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def highlighted(self) -> ShownHit | None:
        index = self.options.highlighted
        hits = self._found.hits if self._found else ()
        return hits[index] if index is not None and index < len(hits) else None

    # --- searching ----------------------------------------------------------------------------------

    def _use(self, names: tuple[str, ...]) -> None:
        self._wishes.close()
        self.names = names
        self._wishes = Newest()
        if names:
            self._serve(names, self._wishes)
        self._wish()

    @work(thread=True, exit_on_error=False, group="search", description="search as the person types")
    def _serve(self, names: tuple[str, ...], wishes: Newest[searching.SearchWish]) -> None:
        searching.serve(self._services, names, wishes, self.post_message)

    @on(Input.Changed)
    def _wish(self) -> None:
        self.last_query = query = self.query_text.strip()
        if query and self.names:
            self._wishes.put("search", query)
        else:
            self._found = None
            self._show()

    @on(messages.SearchFinished)
    def _take(self, event: messages.SearchFinished) -> None:
        if event.found.query == self.query_text.strip():
            self._found = event.found
            self._show()

    @on(messages.TroubleReported)
    def _failed(self, event: messages.TroubleReported) -> None:
        event.stop()
        self.query_one("#summary", Static).update(
            Content.styled(clean_line(f"{event.sentence} {event.remedy}"), "$text-error")
        )

    def _show(self) -> None:
        found = self._found
        hits = found.hits if found else ()
        nothing = self.query_one("#nothing", Static)
        nothing.update(self._empty_state())
        nothing.display = not hits
        self.query_one("#found").display = bool(hits)
        self.query_one("#summary", Static).update(self._summary())
        with self.app.batch_update():
            self.options.set_options([Option(self._row(shown)) for shown in hits])
            self.options.highlighted = 0 if hits else None

    def _summary(self) -> Content:
        among = clean_line(", ".join(self.names), limit=60) or "no documents"
        if self._found is None:
            return Content.styled(among, DIM)
        found = self._found
        number = count(len(found.hits), "passage")
        if len(found.hits) == searching.HITS:
            number = f"the {searching.HITS} best passages"
        facts = Content.styled(f"{number} · {found.took_s * 1000:.1f} ms · {among}", DIM)
        if not (found.unknown and found.hits):
            return facts
        words = clean_line(", ".join(f"“{word}”" for word in found.unknown), limit=60)
        return Content.assemble(facts, Content.styled(f" · not in these: {words}", "$text-warning"))

    def _empty_state(self) -> Content:
        if not self.names:
            said, todo = "There is nothing to search.", "F3 chooses documents, F4 adds a folder or a file."
        elif self._found is None:
            said, todo = "Type what you are looking for.", "No model is needed; results come as you type."
        else:
            words = clean_line(", ".join(f"“{word}”" for word in self._found.unknown), limit=200)
            said = f"Nothing found: {words} stands in no document." if words else "Nothing found."
            if len(self._found.unknown) > 1:
                said = f"Nothing found: {words} stand in no document."
            todo = "Try another word for it, or F3 to search other documents."
        return Content.assemble(Content(said), Content.styled(f"\n{todo}", DIM))

    def _row(self, shown: ShownHit) -> Content:
        hit = shown.hit
        heading = clean_line(hit.heading or hit.title, limit=120)
        return Content.assemble(
            Content.styled(f"{hit.rank:>2} ", "$text-accent"),
            Content.styled(file_name(hit.path), "bold"),
            Content.styled(f" · {clean_line(hit.source)}", DIM),
            Content.styled(f"\n   {heading}" if heading else "", f"{DIM} italic"),
            "\n   ",
            evidence_line(shown),
        )

    @on(OptionList.OptionHighlighted)
    def _show_preview(self) -> None:
        if (shown := self.highlighted) and self._found:
            self._wishes.put("preview", searching.PreviewWish(shown.hit, self._found.marked))

    @on(messages.PreviewRead)
    def _take_preview(self, event: messages.PreviewRead) -> None:
        shown, preview = self.highlighted, event.preview
        if shown is None or shown.hit is not preview.hit:
            return
        origin, place = self.query_one("#origin", Static), clean_line(preview.hit.source)
        path = cut_front(clean_line(preview.hit.path), origin.content_size.width - len(place) - 2)
        origin.update(
            Content.assemble(Content.styled(path, "bold"), Content.styled(f"  {place}", "$text-accent"))
        )
        self.query_one(DocumentText).load(
            preview.text,
            passage=preview.passage,
            evidence=preview.evidence,
            words=preview.matches,
            numbered=False,
        )

    # --- keys ---------------------------------------------------------------------------------------

    def action_list(self, action: str) -> None:
        getattr(self.options, f"action_{action}")()

    def action_preview(self, rows: int) -> None:
        self.query_one(DocumentText).scroll_relative(y=rows, animate=False)

    @property
    def _citation(self) -> Citation | None:
        shown = self.highlighted
        return Citation(shown.hit.rank, replace(shown.hit), shown.hit.evidence) if shown else None

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        if citation := self._citation:
            from ragchat.tui.screens.document import DocumentScreen

            self.app.push_screen(DocumentScreen(self._services, citation))

    def action_ask_about(self) -> None:
        if shown := self.highlighted:
            self.dismiss(shown.hit)

    def action_copy(self) -> None:
        if citation := self._citation:
            copy(self.app, citation_text(citation), "The passage with its source")

    def action_choose_knowledge(self) -> None:
        from ragchat.tui.screens.choose import KnowledgePicker

        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.app.screen_stack[0].post_message(self.KnowledgeChosen(names))
                self._use(names)

        self.app.push_screen(KnowledgePicker(self.names), chosen)

    def action_back(self) -> None:
        self.dismiss(None)


def evidence_line(shown: ShownHit) -> Content:
    """The evidence around the first word that was found, those words standing out."""
    text, spans = shown.evidence, shown.matches
    first = spans[0][0] if spans else 0
    begin = 0 if first <= 2 * _LEAD else text.find(" ", first - _LEAD) + 1
    if begin > first:
        begin = first
    content = Content(text[begin : begin + _EVIDENCE])
    for a, b in spans:
        if begin <= a < begin + _EVIDENCE:
            content = content.stylize(FOUND_WORD, a - begin, min(b, begin + _EVIDENCE) - begin)
    return Content.assemble("… " if begin else "", content)
