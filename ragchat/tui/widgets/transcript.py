"""The turns of a chat, scrolled; one of them is selected. It shows what it is given and knows no database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ragchat.tui.messages import LinksCalled
from ragchat.tui.sentences import count as plural
from ragchat.tui.widgets.message import AnswerView, MessageView, QuestionView

_STEP = 3


class Transcript(VerticalScroll):
    """Follows the end while it is at the end; scrolling up lets go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "previous", "Previous message", id="transcript.previous", show=False),
        Binding("down,j", "next", "Next message", id="transcript.next", show=False),
        Binding("home,g", "first", "First message", id="transcript.first", show=False),
        Binding("end,G,shift+g", "last", "Last message", id="transcript.last", show=False),
        Binding("y", "copy", "Copy", id="transcript.copy"),
        Binding("enter", "sources", "Sources", id="transcript.sources"),
        Binding("o", "links", "Links", id="transcript.links"),
        Binding("r", "reuse", "Ask again", id="transcript.reuse"),
        *[
            Binding(str(n), f"source({n})", f"Source {n}", id=f"transcript.source_{n}", show=False)
            for n in range(1, 10)
        ],
    ]

    class Selected(Message):
        """Another message is selected, or the selected one changed; None: there is none."""

        def __init__(self, view: MessageView | None) -> None:
            super().__init__()
            self.view = view

    class Copied(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class SourceCalled(Message):
        """The number of a source was pressed; 0: just the sources."""

        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

    class Reused(Message):
        """The question of the selected turn shall come back into the prompt."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    class EarlierWanted(Message):
        """The person is at the top, and there is more."""

        def __init__(self, before: int) -> None:
            super().__init__()
            self.before = before

    def __init__(self, empty: Widget) -> None:
        super().__init__()
        self._empty = empty
        self._earlier = 0
        self._loading_earlier = False
        self.selected: MessageView | None = None

    def compose(self) -> ComposeResult:
        yield self._empty
        earlier = Static(Content(""), id="earlier")
        earlier.display = False
        yield earlier

    @property
    def views(self) -> list[MessageView]:
        return list(self.query_children(MessageView))

    async def show(self, views: Iterable[MessageView], *, earlier: int) -> None:
        """Replace everything."""
        for view in self.views:
            if isinstance(view, AnswerView):
                await view.settle()
        with self.app.batch_update():
            await self.query_children(MessageView).remove()
            new = list(views)
            await self.mount_all(new)
            self._set_earlier(earlier)
            self._empty.display = not new
            self.follow()
            self.select(new[-1] if new else None)

    async def add(self, *views: MessageView) -> None:
        """Append, select the last one and go to the end: the person has just asked."""
        self._empty.display = False
        await self.mount_all(views)
        self.follow()
        self.select(views[-1])

    async def add_earlier(self, views: list[MessageView], *, earlier: int) -> None:
        """Put an earlier stretch above; what is on the screen stays where it is."""
        first = self.views[0]
        below = self.virtual_size.height - self.scroll_offset.y
        self.release_anchor()
        await self.mount_all(views, before=first)
        self._set_earlier(earlier)
        self._loading_earlier = False
        self.call_after_refresh(
            lambda: self.scroll_to(y=self.virtual_size.height - below, animate=False, force=True)
        )

    async def remove_view(self, view: MessageView) -> None:
        """Take a turn out again."""
        if isinstance(view, AnswerView):
            await view.settle()
        await view.remove()
        views = self.views
        self._empty.display = not views
        self.select(views[-1] if views else None)

    def find(self, message_id: int) -> MessageView | None:
        return next((view for view in self.views if view.message_id == message_id), None)

    def select(self, view: MessageView | None) -> None:
        """Mark a turn, without moving."""
        if self.selected is not None:
            self.selected.remove_class("-selected")
        self.selected = view
        if view is not None:
            view.add_class("-selected")
        # Called from the pane, it would count as the pane's own message, and would not go beyond it.
        self.post_message(self.Selected(view).set_sender(self))

    def _set_earlier(self, count: int) -> None:
        self._earlier = count
        line = self.query_one("#earlier", Static)
        line.display = count > 0
        line.update(Content(f"↑ {plural(count, 'earlier message')}"))

    # --- keys ---------------------------------------------------------------------------------------

    def action_previous(self) -> None:
        self._move(-1)

    def action_next(self) -> None:
        self._move(+1)

    def _move(self, step: int) -> None:
        views = self.views
        if not views:
            return
        current = self.selected or views[-1]
        window = self.window_region
        top, bottom = current.virtual_region.y, current.virtual_region.bottom
        # A turn longer than the window is read first, then left.
        if step > 0 and bottom > window.bottom:
            self.scroll_relative(y=_STEP, animate=False)
        elif step < 0 and top < window.y:
            self.scroll_relative(y=-_STEP, animate=False)
        else:
            index = views.index(current) + step
            if 0 <= index < len(views):
                self._select_and_show(views[index], at_top=step > 0)
            elif index < 0:
                self._want_earlier()
                self.scroll_home(animate=False)

    def _select_and_show(self, view: MessageView, *, at_top: bool) -> None:
        self.select(view)
        if view is self.views[-1]:
            self.scroll_end(animate=False)
        region = view.virtual_region
        if region.height > self.size.height:
            y = region.y if at_top else region.bottom - self.size.height
            self.scroll_to(y=y, animate=False)
        else:
            self.scroll_to_widget(view, animate=False)

    def action_first(self) -> None:
        if views := self.views:
            self.select(views[0])
            self.scroll_home(animate=False)
            self._want_earlier()

    def action_last(self) -> None:
        if views := self.views:
            self.select(views[-1])
            self.scroll_end(animate=False)

    def action_copy(self) -> None:
        if self.selected is not None:
            self.post_message(self.Copied(self.selected.plain_text))

    def action_sources(self) -> None:
        self.post_message(self.SourceCalled(0))

    def action_source(self, n: int) -> None:
        self.post_message(self.SourceCalled(n))

    def action_links(self) -> None:
        if isinstance(self.selected, AnswerView) and (hrefs := self.selected.markdown.links):
            self.post_message(LinksCalled(hrefs))
        else:
            self.notify("There is no link in this message.", timeout=2, markup=False)

    def action_reuse(self) -> None:
        views = self.views
        if self.selected is None:
            return
        upto = views[: views.index(self.selected) + 1]
        if question := next((view for view in reversed(upto) if isinstance(view, QuestionView)), None):
            self.post_message(self.Reused(question.plain_text))

    # --- scrolling ----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Go to the end and stay there while text comes in, until the person scrolls up."""
        if self.is_anchored:
            self.anchor()
        else:
            self.scroll_end(animate=False)

    def watch_virtual_size(self, _old: Size, new: Size) -> None:
        self._anchor_if_long(new.height)

    def on_resize(self) -> None:
        self._anchor_if_long(self.virtual_size.height)

    def _anchor_if_long(self, height: int) -> None:
        # An anchored widget hangs short content from its bottom edge, by a negative scroll.
        long = height > self.size.height
        if long != self.is_anchored:
            self.anchor(long)
            if not long:
                self.scroll_home(animate=False, immediate=True)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value <= 0 < old_value:
            self._want_earlier()

    def _want_earlier(self) -> None:
        if self._earlier and not self._loading_earlier and (views := self.views):
            self._loading_earlier = True
            self.post_message(self.EarlierWanted(views[0].message_id))

    @on(events.Click)
    def _select_clicked(self, event: events.Click) -> None:
        widget: Widget | None = event.widget
        while widget is not None and widget is not self:
            if isinstance(widget, MessageView):
                self.select(widget)
                return
            widget = widget.parent if isinstance(widget.parent, Widget) else None
