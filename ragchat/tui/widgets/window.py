"""A window over the turns of a chat: only those near it are mounted. It shows what it is given and knows no database.

What lies further off is asked for by messages, page by page, and is unmounted again when the window has left it behind.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ragchat.text import counted
from ragchat.tui.widgets.message import AnswerView, MessageView
from ragchat.tui.widgets.place import PlaceKeeper

MOUNTED = 48
"""Turns that stay mounted; those furthest from the window go when there are more."""
_SLICE = 2
_BREATH_S = 0.005
"""Turns that are mounted at once, and the time between two slices: keys are taken and frames are drawn there."""


class MessageWindow(PlaceKeeper):
    """`earlier` and `later` count the turns on either side that are not mounted. One turn is `selected`."""

    class Selected(Message):
        """Another message is selected, or the selected one changed; None: there is none."""

        def __init__(self, view: MessageView | None) -> None:
            super().__init__()
            self.view = view

    class EarlierWanted(Message):
        """The window nears the first mounted turn, and there are earlier ones."""

        def __init__(self, before: int) -> None:
            super().__init__()
            self.before = before

    class LaterWanted(Message):
        """The window nears the last mounted turn, and there are later ones."""

        def __init__(self, after: int) -> None:
            super().__init__()
            self.after = after

    class FirstWanted(Message):
        """The user goes to the beginning of the chat, which is not mounted."""

    class LastWanted(Message):
        """The user goes to the end of the chat, which is not mounted."""

    class MessageWanted(Message):
        """The user goes to a turn that is not mounted."""

        def __init__(self, message_id: int) -> None:
            super().__init__()
            self.message_id = message_id

    def __init__(self, empty: Widget) -> None:
        super().__init__()
        self._empty = empty
        self.earlier = 0
        self.later = 0
        self._loading = ""
        self._going_first = False
        self.selected: MessageView | None = None
        self._pattern: re.Pattern[str] | None = None

    def compose(self) -> ComposeResult:
        yield self._empty
        for side in ("earlier", "later"):
            line = Static(Content(""), id=side)
            line.display = False
            yield line

    @property
    def views(self) -> list[MessageView]:
        return list(self.query_children(MessageView))

    def holds(self, child: Widget) -> bool:
        return child.id not in ("empty", "earlier", "later")

    # --- what is shown ------------------------------------------------------------------------------

    async def show(
        self, views: Iterable[MessageView], *, earlier: int, later: int = 0, select: int = 0
    ) -> None:
        """Replace everything. Select the turn `select` and go there, or (0) the last one."""
        await self._settle()
        self._loading, self._going_first = "", False
        with self.app.batch_update():
            await self.query_children(MessageView).remove()
            new = list(views)
            self._count(earlier=earlier, later=later)
            self._empty.display = not new
            await self._mount(new, before="#later")
            chosen = self.find(select) if select else None
            if chosen is not None:
                self.stay_at(chosen, -1)
            elif later and new:
                self.stay_at(new[-1])
            else:
                self.follow()
            self.select(chosen or (new[-1] if new else None))

    async def _settle(self) -> None:
        for view in self.views:
            if isinstance(view, AnswerView):
                await view.settle()

    async def _mount(self, views: Sequence[MessageView], *, before: Widget | str) -> None:
        for view in views:
            view.highlight(self._pattern)
        await self.mount_all(views, before=before)

    async def add(self, *views: MessageView) -> None:
        """Append, select the last one and go to the end: the user has just asked."""
        if self.later:
            # The end is not mounted: the chat is shown from here on, what was before is earlier.
            hidden = self.earlier + self.later + _stored(self.views)
            await self.query_children(MessageView).remove()
            self._count(earlier=hidden, later=0)
        self._empty.display = False
        await self._mount(views, before="#later")
        self.follow()
        self.select(views[-1])

    async def add_earlier(self, views: Sequence[MessageView], *, earlier: int) -> None:
        """Put the earlier stretch that was wanted above; what is on the screen stays where it is.

        What comes after the transcript was shown again is not wanted any more, and is dropped.
        """
        if self._loading != "earlier":
            return
        rest, mounted = list(views), self.views
        above: Widget | str = mounted[0] if mounted else "#later"
        while rest:
            piece = rest[-_SLICE:]
            del rest[-_SLICE:]
            await self._mount(piece, before=above)
            above = piece[0]
            await asyncio.sleep(_BREATH_S)
        await self._prune(self.views[MOUNTED:][::-1], at_end=True)
        self._count(earlier=earlier, later=self.later)
        self._loading = ""
        if self._going_first:
            self._going_first = False
            self.select_edge(0)
        self.call_after_refresh(self.moved)

    async def add_later(self, views: Sequence[MessageView], *, later: int) -> None:
        """Put the later stretch that was wanted below; as `add_earlier`."""
        if self._loading != "later":
            return
        for begin in range(0, len(views), _SLICE):
            await self._mount(views[begin : begin + _SLICE], before="#later")
            await asyncio.sleep(_BREATH_S)
        await self._prune(self.views[: max(0, len(self.views) - MOUNTED)], at_end=False)
        self._count(earlier=self.earlier, later=later)
        self._loading = ""
        self.call_after_refresh(self.moved)

    def page_missed(self) -> None:
        """A stretch that was asked for does not come."""
        self._loading, self._going_first = "", False

    def may_go(self, view: MessageView) -> bool:
        """Whether a turn may be unmounted: never an answer that streams."""
        return not view.streaming

    async def _prune(self, surplus: Sequence[MessageView], *, at_end: bool) -> None:
        """Unmount those of `surplus`, which begins at the edge, that are far from the window."""
        top, height = round(self.scroll_y), self.size.height
        far: list[MessageView] = []
        for view in surplus:
            span = self.span_of(view)
            if span is None or not (span[0] > top + 2 * height if at_end else span[1] < top - height):
                break  # only what reaches to the edge goes, so that nothing is missing in between
            far.append(view)
        if not far or not all(map(self.may_go, surplus)):
            return
        gone = _stored(far)
        self._count(
            earlier=self.earlier if at_end else self.earlier + gone,
            later=self.later + gone if at_end else self.later,
        )
        await self.remove_children(far)
        if self.selected in far and (views := self.views):
            self.select(views[-1 if at_end else 0])

    async def remove_view(self, view: MessageView) -> None:
        """Take a turn out again."""
        if isinstance(view, AnswerView):
            await view.settle()
        await view.remove()
        views = self.views
        self._empty.display = not views
        self.select(views[-1] if views else None)

    def _count(self, *, earlier: int, later: int) -> None:
        self.earlier, self.later = max(0, earlier), max(0, later)
        self.follows_end = self.later == 0
        if self.later:
            self.following = False
        for side, number, arrow in (("earlier", self.earlier, "↑"), ("later", self.later, "↓")):
            line = self.query_one(f"#{side}", Static)
            line.display = number > 0
            line.update(Content(f"{arrow} {counted(number, f'{side} message')}"))

    def find(self, message_id: int) -> MessageView | None:
        return next((view for view in self.views if view.message_id == message_id), None)

    # --- going ---------------------------------------------------------------------------------------

    def select(self, view: MessageView | None) -> None:
        """Mark a turn, without moving."""
        if self.selected is not None:
            self.selected.remove_class("-selected")
        self.selected = view
        if view is not None:
            view.add_class("-selected")
        # Called from the pane, it would count as the pane's own message, and would not go beyond it.
        self.post_message(self.Selected(view).set_sender(self))

    def show_message(self, message_id: int) -> bool:
        """Select a turn and scroll to it; whether it is mounted."""
        view = self.find(message_id)
        if view is None:
            return False
        self.select(view)
        row = 0
        if self._pattern is not None:
            row = view.row_of(self._pattern)
        span, top = self.span_of(view), round(self.scroll_y)
        if span is None or not top <= span[0] + row < top + self.size.height - 1:
            self.stay_at(view, row - self.size.height // 3 if row > self.size.height // 2 else -1)
        return True

    def go_to_first(self) -> None:
        """The very first turn of the chat."""
        if not self.earlier:
            self.select_edge(0)
        elif self.earlier <= MOUNTED - len(self.views) and self.views[0].message_id:
            self._going_first = True
            self._want_earlier()
        elif self._loading != "first":
            self._loading = "first"
            self.post_message(self.FirstWanted())

    def go_to_last(self) -> None:
        """The very last turn of the chat."""
        if not self.later:
            self.select_edge(-1)
        elif self._loading != "last":
            self._loading = "last"
            self.post_message(self.LastWanted())

    def select_edge(self, index: int) -> None:
        """The first (0) or the last (-1) turn that is mounted."""
        if views := self.views:
            self.select(views[index])
            if index:
                self.follow()
            else:
                self.stay_at(views[0], -round(self.max_scroll_y))

    # --- the window ---------------------------------------------------------------------------------

    def moved(self) -> None:
        """Ask for more when the window nears an edge of what is mounted."""
        margin = self.size.height
        if self.scroll_y < margin:
            self._want_earlier()
        if self.scroll_y > self.max_scroll_y - margin:
            self._want_later()

    def _want_earlier(self) -> None:
        views = self.views
        if self.earlier and not self._loading and views and views[0].message_id:
            self._loading = "earlier"
            self.post_message(self.EarlierWanted(views[0].message_id))

    def _want_later(self) -> None:
        views = self.views
        if self.later and not self._loading and views and views[-1].message_id:
            self._loading = "later"
            self.post_message(self.LaterWanted(views[-1].message_id))


def _stored(views: Sequence[MessageView]) -> int:
    return sum(view.message_id > 0 for view in views)
