"""The chats that are open, in one line over the conversation. It takes no room while there is only one.

Which chats are open is not its business: it shows what it is given and says what was pressed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from textual import events
from textual.app import RenderResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui.jumping import Spot

_TITLE = 22
"""Cells of a title at most."""
_EDGE = 2
"""Cells at each end for the sign that there are more."""


@dataclass(frozen=True, slots=True)
class OpenChat:
    """A tab. `conversation_id` 0: a chat that is not stored yet. `answering`: an answer is being written in it; `waiting`: a
    question in it waits for that.
    """

    conversation_id: int
    title: str
    answering: bool = False
    waiting: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    """Cells of the line, from `left` to `right` (exclusive), and what they stand for."""

    left: int
    right: int
    action: str
    conversation_id: int


class TabStrip(Widget):
    """A click chooses, a middle click or ✕ closes; the wheel and the signs at the ends show the others."""

    class Chosen(Message):
        """Show this chat."""

        def __init__(self, conversation_id: int) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    class Closed(Message):
        """This chat shall no longer be open; it stays in the list."""

        def __init__(self, conversation_id: int) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    def __init__(self) -> None:
        super().__init__()
        self._chats: Sequence[OpenChat] = ()
        self._current = 0
        self._first = 0
        self._pieces: list[_Piece] = []
        self.display = False

    def show(self, chats: Sequence[OpenChat], *, current: int) -> None:
        """Show these; `current` is the conversation that is being read, and comes into view."""
        if (tuple(chats), current) == (self._chats, self._current):
            return
        self._chats, self._current = tuple(chats), current
        self.display = len(chats) > 1
        self._reveal()
        self.refresh()

    def on_resize(self) -> None:
        self._reveal()
        self.refresh()

    def _reveal(self) -> None:
        """Move the strip so that the current chat is seen, and no room is left empty at its end."""
        width = self.content_size.width
        number = next((n for n, chat in enumerate(self._chats) if chat.conversation_id == self._current), 0)
        self._first = max(0, min(self._first, number, len(self._chats) - 1))
        while self._first < number and number >= self._first + self._fitting(self._first, width):
            self._first += 1
        while self._first and self._first - 1 + self._fitting(self._first - 1, width) >= len(self._chats):
            self._first -= 1

    def _fitting(self, first: int, width: int) -> int:
        """How many chats from this one on are shown whole; at least one."""
        room = width - (_EDGE if first else 0)
        fitting = 0
        for number, chat in enumerate(self._chats[first:], first):
            room -= self._label(chat).cell_length
            if room < (_EDGE if number < len(self._chats) - 1 else 0):
                break
            fitting += 1
        return max(1, fitting)

    def _label(self, chat: OpenChat) -> Content:
        current = chat.conversation_id == self._current
        mark = "◌ " if chat.answering else "… " if chat.waiting else ""
        room = max(4, min(_TITLE, self.content_size.width - 2 * _EDGE - 6))
        title = Content(clean_line(chat.title, limit=4 * _TITLE) or "New chat").truncate(room, ellipsis=True)
        style = "$foreground bold on $primary 40%" if current else "$foreground 62%"
        return Content.assemble(
            Content.styled("▸" if current else " ", style),
            Content.styled(mark, "$text-accent on $primary 40%" if current else "$text-accent"),
            title.stylize(style),
            Content.styled(" ✕ ", "$foreground 62% on $primary 40%" if current else "$foreground 35%"),
        )

    def render(self) -> RenderResult:
        width, first = self.content_size.width, self._first
        shown = self._chats[first : first + self._fitting(first, width)]
        rest = len(self._chats) - first - len(shown)
        parts, left = [], 0
        self._pieces = []
        if first:
            parts.append(Content.styled("‹ ", "$text-accent"))
            self._pieces.append(_Piece(0, _EDGE, "earlier", 0))
            left = _EDGE
        for chat in shown:
            label = self._label(chat)
            right = left + label.cell_length
            self._pieces.append(_Piece(left, right - 3, "choose", chat.conversation_id))
            self._pieces.append(_Piece(right - 3, right, "close", chat.conversation_id))
            parts.append(label)
            left = right
        if rest:
            parts.append(Content.styled(" ›", "$text-accent"))
            self._pieces.append(_Piece(left, left + _EDGE, "later", 0))
        return Content.assemble(*parts)

    # --- mouse and jump mode ------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        x = event.get_content_offset_capture(self).x
        piece = next((piece for piece in self._pieces if piece.left <= x < piece.right), None)
        if piece is not None:
            event.stop()
            aside = event.button == 2 and piece.action == "choose"
            self._press("close" if aside else piece.action, piece.conversation_id)

    def on_mouse_scroll_up(self) -> None:
        self._press("earlier", 0)

    def on_mouse_scroll_down(self) -> None:
        self._press("later", 0)

    def _press(self, action: str, conversation_id: int) -> None:
        match action:
            case "choose":
                self.post_message(self.Chosen(conversation_id))
            case "close":
                self.post_message(self.Closed(conversation_id))
            case "earlier":
                self._first = max(0, self._first - 1)
            case "later" if self._first + self._fitting(self._first, self.content_size.width) < len(
                self._chats
            ):
                self._first += 1
        self.refresh()

    def jump_spots(self) -> Iterable[Spot]:
        corner = self.content_region
        for piece in self._pieces:
            if piece.action == "choose":
                yield Spot(
                    corner.x + piece.left, corner.y, partial(self._press, "choose", piece.conversation_id)
                )
