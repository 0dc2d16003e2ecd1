"""The stored chats, latest first, in groups by day. It shows and asks; whoever owns the database does."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.types import Conversation


class _Options(OptionList):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "cursor_up", "Up", show=False),
        Binding("j", "cursor_down", "Down", show=False),
    ]


class ChatList(Vertical):
    """Posts what the person wants done with a chat."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "wish('new')", "New", id="chats.new"),
        Binding("r", "wish('rename')", "Rename", id="chats.rename"),
        Binding("d,delete", "wish('delete')", "Delete", id="chats.delete"),
        Binding("u", "wish('undelete')", "Undo", id="chats.undelete"),
    ]

    class Wished(Message):
        """`action`: open, new, rename, delete or undelete. `conversation` None where none is needed."""

        def __init__(self, action: str, conversation: Conversation | None) -> None:
            super().__init__()
            self.action = action
            self.conversation = conversation

    def __init__(self) -> None:
        super().__init__()
        self._conversations: dict[str, Conversation] = {}
        self._current = 0
        self._answering = 0

    def compose(self) -> ComposeResult:
        yield Static(Content("Chats"), classes="panel-title")
        yield _Options()

    @property
    def options(self) -> OptionList:
        return self.query_one(_Options)

    @property
    def highlighted(self) -> Conversation | None:
        option = self.options.highlighted_option
        return self._conversations.get(option.id or "") if option else None

    def show(self, conversations: list[Conversation]) -> None:
        self._conversations = {str(c.id): c for c in conversations}
        self._rebuild()

    def mark(self, *, current: int, answering: int) -> None:
        """Which chat is open, and in which an answer is being written (0: none)."""
        if (current, answering) != (self._current, self._answering):
            self._current, self._answering = current, answering
            self._rebuild()

    def _rebuild(self) -> None:
        options = self.options
        before, index = options.highlighted_option, options.highlighted
        rows: list[Option] = []
        group, today = "", datetime.now().astimezone().date()
        for key, conversation in self._conversations.items():
            if (name := day_group(conversation.updated_at, today)) != group:
                group = name
                rows.append(Option(Content.styled(name, "$foreground 62%"), disabled=True))
            rows.append(Option(self._line(conversation), id=key))
        if not rows:
            rows.append(Option(Content.styled("No chats yet", "$foreground 62%"), disabled=True))
        options.set_options(rows)
        wanted = before.id if before is not None and before.id else str(self._current)
        usable = [i for i, row in enumerate(rows) if not row.disabled]
        if wanted in self._conversations:
            options.highlighted = options.get_option_index(wanted)
        elif index is not None and usable:  # the chat is gone: stay where it was
            options.highlighted = min(usable, key=lambda i: abs(i - index))

    def _line(self, conversation: Conversation) -> Content:
        mark = (
            "▸ " if conversation.id == self._current else "◌ " if conversation.id == self._answering else "  "
        )
        title = clean_line(conversation.title, limit=80) or "(no title)"
        facts = [clean_line(conversation.model, limit=40), time_of_day(conversation.updated_at)]
        under = " · ".join(fact for fact in facts if fact)
        return Content.assemble(
            Content.styled(mark, "$text-accent"),
            Content(title),
            Content.styled(f"\n  {under}", "$foreground 42%"),
        )

    @on(OptionList.OptionSelected)
    def _open(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Wished("open", self._conversations.get(event.option.id or "")))

    def action_wish(self, action: str) -> None:
        conversation = self.highlighted
        if conversation is not None or action in ("new", "undelete"):
            self.post_message(self.Wished(action, conversation))


def day_group(at: str, today: date) -> str:
    """Today, Yesterday or Earlier, for a time as it is stored."""
    try:
        day = datetime.fromisoformat(at).astimezone().date()
    except ValueError:
        return "Earlier"
    if day >= today:
        return "Today"
    return "Yesterday" if day == today - timedelta(days=1) else "Earlier"


def time_of_day(at: str) -> str:
    """Hours and minutes for today and yesterday, the day for what is older."""
    try:
        when = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return ""
    return when.strftime("%H:%M" if when.date() >= date.today() - timedelta(days=1) else "%Y-%m-%d")
