"""Full-text search over all chats as one types. Which chat is opened, and how, is the caller's business."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input, Static

from ragchat.errors import RagchatError
from ragchat.text import clean_line, counted
from ragchat.tui import messages, tasks
from ragchat.tui.latest_value import LatestValue
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.widgets.lazy_list import LazyList, Row
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import MessageHit

if TYPE_CHECKING:
    from ragchat.app.services import Services

HITS = 100
_PAUSE_S = 0.05
"""Pause in typing after which it is searched."""
_HEIGHT = 3
DIM = "$foreground 62%"
FOUND_WORD = "$text-warning bold"


class FindChats(Leaving[MessageHit]):
    """Gives the message that was chosen, or None. The query has the keyboard, the arrows move in the list."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (16, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open there", id="find.open", priority=True),
        Binding("escape", "back", "Back", id="find.back"),
        Binding("up", "list('cursor_up')", "Up", id="find.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="find.down", show=False, priority=True),
        Binding("pageup", "list('page_up')", "Page up", id="find.page_up", show=False, priority=True),
        Binding("pagedown", "list('page_down')", "Page down", id="find.page_down", show=False, priority=True),
    ]

    class Found(Message):
        """What a query found; there may be a newer query by now."""

        def __init__(self, query: str, hits: tuple[MessageHit, ...]) -> None:
            super().__init__()
            self.query = query
            self.hits = hits

    def __init__(self, services: Services, *, query: str = "") -> None:
        super().__init__()
        self._services = services
        self._begun_with = query
        self._requests: LatestValue[str] = LatestValue()
        self._typing: Timer | None = None
        self._hits: tuple[MessageHit, ...] = ()
        self._answered = ""
        """The query that `_hits` are for; empty: none."""
        self.last_query = query
        """What was searched for when the screen was left."""

    def compose(self) -> ComposeResult:
        yield Line(self._begun_with, placeholder="Search all chats")
        yield Static(Content(""), id="summary")
        yield Static(Content(""), id="nothing")
        found = LazyList(self._draw)
        found.can_focus = False
        yield found
        yield KeyHints()

    def on_mount(self) -> None:
        self.query_one(Line).focus()
        self.query_one(Line).action_select_all()
        self._serve(self._requests)
        self._show()

    def on_unmount(self) -> None:
        self._requests.close()

    @property
    def found(self) -> LazyList:
        return self.query_one(LazyList)

    # --- searching ----------------------------------------------------------------------------------

    @work(thread=True, exit_on_error=False, group="search", description="search the chats while typing")
    def _serve(self, requests: LatestValue[str]) -> None:
        def serve() -> None:
            with tasks.chats(self._services) as store:
                while (query := requests.take()) is not None:
                    try:
                        self.post_message(self.Found(query, tuple(store.search(query, HITS))))
                    except RagchatError as error:
                        self.post_message(messages.TroubleReported(str(error), error.remedy))

        tasks.reporting(self._services, "searching your chats", self.post_message, serve)

    @on(Input.Changed)
    def _typed(self) -> None:
        self.last_query = query = self.query_one(Line).value.strip()
        if self._typing is not None:
            self._typing.stop()
        if query:
            self._typing = self.set_timer(_PAUSE_S, lambda: self._requests.put("search", query))
        else:
            self._take(self.Found("", ()))

    @on(Found)
    def _take(self, event: Found) -> None:
        if event.query == self.last_query:
            self._answered, self._hits = event.query, event.hits
            self._show()

    @on(messages.TroubleReported)
    def _failed(self, event: messages.TroubleReported) -> None:
        event.stop()
        said = clean_line(f"{event.sentence} {event.remedy}")
        self.query_one("#summary", Static).update(Content.styled(said, "$text-error"))

    def _show(self) -> None:
        hits = self._hits
        self.query_one("#nothing", Static).update(self._empty_state())
        self.query_one("#nothing").display = not hits
        self.found.display = bool(hits)
        self.query_one("#summary", Static).update(Content.styled(self._summary(), DIM))
        self.found.set_rows([Row(str(number), _HEIGHT) for number in range(len(hits))])
        self.found.highlighted = None
        self.found.action_first()

    def _summary(self) -> str:
        if not self._answered:
            return "all chats"
        chats = counted(len({hit.conversation_id for hit in self._hits}), "chat")
        if len(self._hits) == HITS:
            return f"the {HITS} newest messages, in {chats}"
        return (
            f"{counted(len(self._hits), 'message')} in {chats}, newest first" if self._hits else "no message"
        )

    def _empty_state(self) -> Content:
        if not self._answered:
            return Content.assemble(
                "Type words from a message.",
                Content.styled("\nragchat searches all questions and answers as you type.", DIM),
            )
        said = f"Nothing found for “{clean_line(self._answered, limit=60)}”."
        todo = "One message must contain all words. Parts of words count. Deleted chats are not searched."
        return Content.assemble(said, Content.styled(f"\n{todo}", DIM))

    def _draw(self, key: str, width: int) -> Content:
        hit = self._hits[int(key)]
        who = "you asked" if hit.role == "user" else "answer"
        facts = f" · {who} · {when(hit.created_at)}"
        title = Content(clean_line(hit.title, limit=200) or "(no title)")
        head = Content.assemble(
            title.truncate(max(8, width - len(facts)), ellipsis=True).stylize("bold"),
            Content.styled(facts, DIM),
        )
        lines = snippet(hit).wrap(max(8, width - 2))[: _HEIGHT - 1]
        return Content("\n").join([head, *(Content.assemble("  ", line) for line in lines)])

    # --- keys ---------------------------------------------------------------------------------------

    def action_list(self, action: str) -> None:
        getattr(self.found, f"action_{action}")()

    @on(LazyList.Chosen)
    def action_open(self) -> None:
        if self.found.key:
            self.dismiss(self._hits[int(self.found.key)])

    def action_back(self) -> None:
        self.dismiss(None)


def snippet(hit: MessageHit) -> Content:
    """What was found, its words standing out."""
    text = clean_line(hit.snippet)
    content = Content(text)
    if text == hit.snippet:  # or else the marks would stand elsewhere
        for first, last in hit.marks:
            content = content.stylize(FOUND_WORD, first, last)
    return content


def when(at: str, today: date | None = None) -> str:
    """The time of a message today, its day before that."""
    try:
        then = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        return "some time ago"
    return then.strftime("today %H:%M" if then.date() == (today or date.today()) else "%Y-%m-%d")
