"""Searching the documents of the chat, without a model: results as one types, each shown where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line, counted
from ragchat.tui import messages, searching
from ragchat.tui.clipboard import copy
from ragchat.tui.latest_value import LatestValue
from ragchat.tui.markdown_marks import is_markdown, unmarked
from ragchat.tui.safe_content import citation_text, cut_front, file_name
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.shown import AsTyped, NamesRequest, PreviewRequest, ScopeNames, SearchRequest, ShownHit
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import Citation, Hit

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.retrieval.spelling import Correction
    from ragchat.tui.shown import Found, ShownHit

_EVIDENCE = 160
"""Characters of evidence in the list."""
_LEAD = 24
"""Characters shown before the first word that was found."""
DIM = "$foreground 62%"
FOUND_WORD = "$text-warning bold"


_HOW = """Results appear as you type. You need no model.
in:FOLDER, file:NAME, kb:NAME, after:2025-01, before:2025-06-30, "exact words" and -word narrow the search."""


class _Operators(Suggester):
    """Completes the operator at the end of a query; Right takes the suggestion."""

    def __init__(self, suggest: Callable[[str], str | None]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._suggest = suggest

    async def get_suggestion(self, value: str) -> str | None:
        return self._suggest(value)


class SearchScreen(Leaving[Hit]):
    """Gives the hit that the next question shall be about, or None. The query has the keyboard, the arrows move in the list."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (96, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="search.open", priority=True),
        Binding("ctrl+t", "ask_about", "Ask about this", id="search.ask", priority=True),
        Binding("ctrl+y", "copy", "Copy", id="search.copy", priority=True),
        Binding("ctrl+z", "as_typed", "As typed", id="search.as_typed", show=False, priority=True),
        Binding("f6", "why", "Explain the rank", id="search.why", priority=True),
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
        self._requests: LatestValue[SearchRequest] = LatestValue()
        self._found: Found | None = None
        self._shown: Sequence[ShownHit] = ()
        self._names: ScopeNames | None = None
        self._says_all = False
        """Whether all is said of why a passage is where it is."""
        self._as_typed = ""
        """The query whose spelling is not to be corrected."""
        self.last_query = query
        """What was searched for when the screen was left."""

    def compose(self) -> ComposeResult:
        line = Line(self._begun_with, placeholder="Search your documents")
        line.suggester = _Operators(self._suggest)
        yield line
        yield Static(Content(""), id="summary")
        yield Static(Content(""), id="nothing")
        with Horizontal(id="found"):
            options = OptionList()
            options.can_focus = False
            yield options
            with Vertical(id="preview"):
                yield Static(Content(""), id="origin")
                yield Static(Content(""), id="why")
                text = DocumentText()
                text.can_focus = False
                yield text
        yield KeyHints()

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self.query_one(Line).action_select_all()
        self._use(self.names)

    def on_unmount(self) -> None:
        self._requests.close()

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
        self._requests.close()
        self.names = names
        self._requests = LatestValue()
        self._names = None
        if names:
            self._serve(names, self._requests)
        self._request()

    @work(thread=True, exit_on_error=False, group="search", description="search while typing")
    def _serve(self, names: tuple[str, ...], requests: LatestValue[SearchRequest]) -> None:
        searching.serve(self._services, names, requests, self.post_message)

    def _suggest(self, query: str) -> str | None:
        """The query with the operator at its end completed; what there is to name is read when the first one is typed."""
        if self._names is not None:
            return searching.suggest(query, self._names)
        if searching.begun_operator(query):
            self._requests.put("names", NamesRequest())
        return None

    @on(messages.ScopeNamesRead)
    def _know_names(self, event: messages.ScopeNamesRead) -> None:
        event.stop()
        self._names = event.names

    @on(Input.Changed)
    def _request(self) -> None:
        self.last_query = query = self.query_text.strip()
        if query and self.names:
            self._requests.put("search", AsTyped(query) if query == self._as_typed else query)
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
        self._found = None
        self._show()
        said = Content.styled(clean_line(f"{event.sentence} {event.remedy}"), "$text-error")
        self.query_one("#summary", Static).update(said)
        self.query_one("#nothing", Static).update("")

    def _show(self) -> None:
        found = self._found
        hits = found.hits if found else ()
        nothing = self.query_one("#nothing", Static)
        nothing.update(self._empty_state())
        nothing.display = not hits
        self.query_one("#found").display = bool(hits)
        self.query_one("#summary", Static).update(self._summary())
        with self.app.batch_update():
            at = self._place_of_marked(hits)
            self.options.set_options([Option(self._row(shown)) for shown in hits])
            self.options.highlighted = at if hits else None

    def _place_of_marked(self, hits: Sequence[ShownHit]) -> int:
        """Where the hit is now that you moved to; the first, where you did not move."""
        before, at = self._shown, self.options.highlighted or 0
        self._shown = hits
        if not at or at >= len(before):
            return 0
        marked = (before[at].hit.knowledge_base, before[at].hit.chunk_id)
        places = [(shown.hit.knowledge_base, shown.hit.chunk_id) for shown in hits]
        return places.index(marked) if marked in places else 0

    def _summary(self) -> Content:
        among = clean_line(", ".join(self.names), limit=60) or "no documents"
        if self._found is None:
            return Content.styled(among, DIM)
        found = self._found
        number = counted(len(found.hits), "passage")
        if len(found.hits) == searching.HITS:
            number = f"the {searching.HITS} best passages"
        demands = "".join(f" · {demand}" for demand in found.scope)
        facts = Content.styled(f"{number} · {found.took_s * 1000:.1f} ms · {among}{demands}", DIM)
        if found.corrections and found.hits:
            facts = Content.assemble(Content.styled(_corrected(found.corrections), "$text-warning"), facts)
        if not (found.unknown and found.hits):
            return facts
        words = clean_line(", ".join(f"“{word}”" for word in found.unknown), limit=60)
        return Content.assemble(facts, Content.styled(f" · not in these: {words}", "$text-warning"))

    def _empty_state(self) -> Content:
        if not self.names:
            said, todo = (
                "There are no documents to search.",
                "Press F3 to choose documents or F4 to add a folder or a file.",
            )
        elif self._found is None:
            said, todo = "Type what to search for.", _HOW
        elif self._found.says_nothing:
            said, todo = "Add words to search for. The query contains only search filters.", _HOW
        elif self._found.unheld:
            phrases = clean_line(", ".join(f"“{phrase}”" for phrase in self._found.unheld), limit=200)
            said, todo = (
                f"No passage contains {phrases} word for word.",
                "Remove the quotation marks or search other documents.",
            )
        else:
            words = clean_line(", ".join(f"“{word}”" for word in self._found.unknown), limit=200)
            said = f"No passages found. No document contains {words}." if words else "No passages found."
            if len(self._found.unknown) > 1:
                said = f"No passages found. No document contains {words}."
            todo = "Try other words, or press F3 to search other documents."
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
            self._requests.put("preview", PreviewRequest(shown.hit, self._found.marked))

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
        self._show_why()
        self.query_one(DocumentText).load(
            preview.text,
            passage=preview.passage,
            evidence=preview.evidence,
            words=preview.matches,
            numbered=False,
            markdown=is_markdown(preview.hit.path),
        )

    def _show_why(self) -> None:
        """Why the chosen passage is where it is: in a line, or all of it."""
        from ragchat.retrieval import explanation

        shown, why = self.highlighted, self.query_one("#why", Static)
        told = self._found.explanation(shown.hit) if shown and self._found else None
        why.display = told is not None
        if told:
            said = "\n".join(explanation.lines(told)) if self._says_all else explanation.summary(told)
            why.update(Content.styled(said, DIM))

    # --- keys ---------------------------------------------------------------------------------------

    def action_why(self) -> None:
        """All of why a passage is where it is, or a line of it."""
        self._says_all = not self._says_all
        self._show_why()

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

    def action_as_typed(self) -> None:
        """Search for the query without corrections, or with them again."""
        query = self.query_text.strip()
        self._as_typed = "" if query == self._as_typed else query
        self._request()

    def action_choose_knowledge(self) -> None:
        from ragchat.tui.screens.choose import KnowledgePicker

        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self.app.screen_stack[0].post_message(self.KnowledgeChosen(names))
                self._use(names)

        self.app.push_screen(KnowledgePicker(self.names), chosen)

    def action_back(self) -> None:
        self.dismiss(None)


def _corrected(corrections: Sequence[Correction]) -> str:
    """Which words were searched for instead of those that no document holds, and how to undo that."""
    pairs = ", ".join(f"“{one.by}” instead of “{one.word}”" for one in corrections)
    return f"Searched for {clean_line(pairs, limit=80)} (Ctrl+Z: as typed) · "


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
    if is_markdown(shown.hit.path):
        content = unmarked(content)
    return Content.assemble("… " if begin else "", content)
