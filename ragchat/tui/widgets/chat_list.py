"""The stored chats in groups by time, pinned ones first, with a filter. It shows and asks; whoever owns the database does."""

from __future__ import annotations

import calendar
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from ragchat.text import clean_line
from ragchat.tui.screens.dialog import Line
from ragchat.tui.widgets.lazy_list import LazyList, Row
from ragchat.types import Conversation

DIM, QUIET = "$foreground 62%", "$foreground 42%"
_NO_CHATS = ("No chats yet", "Questions and answers", "are kept here.")
_NO_MATCH = ("No chat matches", "Press Esc to show all.")


class _Options(LazyList):
    pass


class ChatList(Vertical):
    """Posts what the user wants done with a chat."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "request('new')", "New", id="chats.new"),
        Binding("o,ctrl+enter", "request('open_tab')", "Open in a tab", id="chats.open_tab"),
        Binding("slash,f", "filter", "Filter", id="chats.filter"),
        Binding("r", "request('rename')", "Rename", id="chats.rename"),
        Binding("p", "request('pin')", "Pin", id="chats.pin"),
        Binding("t", "request('tags')", "Tags", id="chats.tags"),
        Binding("d,delete", "request('delete')", "Delete", id="chats.delete"),
        Binding("u", "request('undelete')", "Undo", id="chats.undelete"),
        Binding("escape", "end_filter", "Show all", id="chats.end_filter", show=False),
        Binding("up", "move('cursor_up')", "Up", id="chats.filter_up", show=False),
        Binding("down", "move('cursor_down')", "Down", id="chats.filter_down", show=False),
    ]

    class Requested(Message):
        """`action`: open, open_tab, new, rename, pin (or unpin), tags, delete or undelete.

        `conversation` None where none is needed.
        """

        def __init__(self, action: str, conversation: Conversation | None) -> None:
            super().__init__()
            self.action = action
            self.conversation = conversation

    def __init__(self) -> None:
        super().__init__()
        self._conversations: dict[str, Conversation] = {}
        self._words: dict[str, str] = {}
        self._groups: dict[str, str] = {}
        self._grouped_on: date | None = None
        self._current = 0
        self._answering = 0

    def compose(self) -> ComposeResult:
        yield Static(Content("Chats"), classes="panel-title")
        line = Line(placeholder="Title or #tag")
        line.display = False
        yield line
        yield _Options(self._draw)

    @property
    def options(self) -> LazyList:
        return self.query_one(_Options)

    @property
    def line(self) -> Line:
        return self.query_one(Line)

    @property
    def highlighted(self) -> Conversation | None:
        return self._conversations.get(self.options.key)

    @property
    def chats(self) -> list[Conversation]:
        """All of them, whatever the filter shows."""
        return list(self._conversations.values())

    def show(self, conversations: list[Conversation]) -> None:
        """Show these, which are in order: pinned ones first, then latest first."""
        self._conversations = {str(c.id): c for c in conversations}
        self._words.clear()
        self._rebuild()

    def mark(self, *, current: int, answering: int) -> None:
        """Which chat is open, and in which an answer is being written (0: none)."""
        if (current, answering) != (self._current, self._answering):
            self._current, self._answering = current, answering
            self.options.redraw()
            if self.highlighted is None or not self.has_focus_within:
                self.options.highlight(str(current))

    def _rebuild(self) -> None:
        words = self.line.value.casefold().split()
        rows: list[Row] = []
        group, today = "", datetime.now().astimezone().date()
        for key, conversation in self._conversations.items():
            if words and not self._matches(key, words):
                continue
            name = "Pinned" if conversation.pinned else self._group(conversation.updated_at, today)
            if name != group:
                group = name
                rows.append(Row("", text=name))
            rows.append(Row(key, height=2))
        if not rows:
            rows = [Row("", text=text) for text in (_NO_MATCH if words else _NO_CHATS)]
        moves = self.highlighted is not None and self.has_focus_within
        self.options.set_rows(rows, highlight="" if moves else str(self._current))
        title = f"Chats · {len(self._conversations):,}" if self._conversations else "Chats"
        self.query_one(".panel-title", Static).update(Content(title))

    def _group(self, at: str, today: date) -> str:
        if today != self._grouped_on:
            self._groups.clear()
            self._grouped_on = today
        if at not in self._groups:
            self._groups[at] = day_group(at, today)
        return self._groups[at]

    def _matches(self, key: str, words: Iterable[str]) -> bool:
        if (text := self._words.get(key)) is None:
            conversation = self._conversations[key]
            tags = " ".join(f"#{tag}" for tag in conversation.tags)
            text = self._words[key] = f"{conversation.title} {tags}".casefold()
        return all(word in text for word in words)

    def _draw(self, key: str, width: int) -> Content:
        conversation = self._conversations[key]
        if conversation.id == self._current:
            mark = "▸ "
        elif conversation.id == self._answering:
            mark = "◌ "
        else:
            mark = "★ " if conversation.pinned else "  "
        title = clean_line(conversation.title, limit=2 * width) or "(no title)"
        tags = " ".join(f"#{clean_line(tag, limit=24)}" for tag in conversation.tags)
        facts = [time_of_day(conversation.updated_at), tags, clean_line(conversation.model, limit=40)]
        under = " · ".join(fact for fact in facts if fact)
        return Content.assemble(
            Content.styled(mark, "$text-accent"),
            Content(title),
            Content.styled(f"\n  {under}", QUIET),
        )

    @on(LazyList.Chosen)
    def _open(self, event: LazyList.Chosen) -> None:
        event.stop()
        self.post_message(self.Requested("open", self._conversations.get(event.key)))

    @on(events.DescendantBlur)
    def _back_to_current(self) -> None:
        """Where no one moves in the list, the chat that is open is the one that is marked."""
        self.options.highlight(str(self._current))

    @on(LazyList.Highlighted)
    def _moved(self, event: LazyList.Highlighted) -> None:
        event.stop()

    def action_request(self, action: str) -> None:
        conversation = self.highlighted
        if conversation is not None or action in ("new", "undelete"):
            self.post_message(self.Requested(action, conversation))

    # --- filter -------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.line.display = True
        self.line.focus()

    def action_end_filter(self) -> None:
        """All chats again."""
        self.line.value = ""
        self.line.display = False
        self._rebuild()
        self.options.focus()

    def action_move(self, action: str) -> None:
        getattr(self.options, f"action_{action}")()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "end_filter":
            return self.line.display if self.is_mounted else False
        return True

    @on(Input.Changed)
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._rebuild()
        if event.value:
            self.options.action_first()

    @on(Input.Submitted)
    def _filtered(self, event: Input.Submitted) -> None:
        event.stop()
        self.options.action_select()


def day_group(at: str, today: date) -> str:
    """Today, Yesterday, This week (since Monday), This month, or a month like "October 2026", for a time as it is stored."""
    try:
        day = datetime.fromisoformat(at).astimezone().date()
    except (ValueError, OverflowError):
        return "Earlier"
    if day >= today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    if day >= today - timedelta(days=today.weekday()):
        return "This week"
    if (day.year, day.month) == (today.year, today.month):
        return "This month"
    return f"{calendar.month_name[day.month]} {day.year}"


def time_of_day(at: str) -> str:
    """Hours and minutes for today and yesterday, the day for what is older."""
    try:
        when = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        return ""
    return when.strftime("%H:%M" if when.date() >= date.today() - timedelta(days=1) else "%Y-%m-%d")
