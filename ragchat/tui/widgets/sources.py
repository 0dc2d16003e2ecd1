"""The passages of the selected answer: where each is from, its text, the evidence in it."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ragchat.session.marked import WHO_CITED, cited_by, is_used
from ragchat.text import clean_line
from ragchat.tui.messages import SourceChosen
from ragchat.tui.safe_content import evidence_line, file_name, heading_line, passage_content
from ragchat.types import UNCHECKED, AnswerCheck, Citation

_EXCERPT = 220
EMPTY = Content.assemble(
    Content.styled("Nothing to show yet.\n\n", "$foreground 62%"),
    Content.styled(
        "When an answer uses your documents, its passages appear here: cited ones first,"
        " with the key sentence marked. Press Enter to open the document there.",
        "$foreground 62%",
    ),
)
UNGROUNDED = Content.styled("This answer used no passages from your documents.", "$foreground 62%")


class SourceView(Vertical):
    """One passage; whole while it is selected, around its evidence otherwise."""

    def __init__(self, citation: Citation, *, used: bool, state: str) -> None:
        super().__init__(classes="used" if used else "unused")
        self.citation = citation
        self._used, self._state = used, state

    def compose(self) -> ComposeResult:
        hit = self.citation.hit
        mark = Content.styled(f"[{self.citation.n}] ", "$text-accent bold" if self._used else "")
        state = Content(f" · {self._state}" if self._state else "")
        yield Static(
            Content.assemble(
                mark,
                Content.styled(file_name(hit.path), "bold"),
                Content(f" · {clean_line(hit.source)}"),
                state,
            ),
            classes="origin",
        )
        if heading := heading_line(hit):
            yield Static(Content(heading), classes="heading")
        yield Static(passage_content(self.citation, limit=_EXCERPT), classes="passage")

    def unfold(self, whole: bool) -> None:
        """Show the whole passage, or an excerpt."""
        self.set_class(whole, "-selected")
        self.query_one(".passage", Static).update(
            passage_content(self.citation, limit=0 if whole else _EXCERPT)
        )


class SourcesPanel(Vertical):
    """One stop for the keyboard; the passages inside are selected, not focused."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Previous source", id="sources.previous", show=False),
        Binding("down,j", "move(1)", "Next source", id="sources.next", show=False),
        Binding("enter", "choose('view')", "Open", id="sources.open"),
        Binding("e", "choose('edit')", "Editor", id="sources.edit"),
        Binding("y", "choose('copy')", "Copy", id="sources.copy"),
        *[
            Binding(str(n), f"jump({n})", f"Source {n}", id=f"sources.jump_{n}", show=False)
            for n in range(1, 10)
        ],
    ]

    can_focus = True

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[tuple[Citation, ...], bool, AnswerCheck, str] | None = None
        self.selected: SourceView | None = None

    def compose(self) -> ComposeResult:
        yield Static(Content("Sources"), classes="panel-title")
        with VerticalScroll(can_focus=False):
            yield Static(EMPTY, classes="empty")

    @property
    def views(self) -> list[SourceView]:
        return list(self.query(SourceView))

    async def show(
        self,
        citations: tuple[Citation, ...],
        *,
        answered: bool,
        check: AnswerCheck = UNCHECKED,
        title: str = "Sources",
    ) -> None:
        """Show the passages of an answer, the cited ones first, and who cited them.

        `answered` False: it is not known yet which of them the answer cites.
        """
        empty = self.query_one(".empty", Static)
        empty.update(UNGROUNDED if answered else EMPTY)
        if (citations, answered, check, title) == self._shown:
            return
        self._shown = citations, answered, check, title
        selected = self.selected.citation.n if self.selected else 0
        self.selected = None
        scroll = self.query_one(VerticalScroll)
        used = {citation.n: not answered or is_used(citation, check) for citation in citations}
        by = cited_by(check)
        state = {n: WHO_CITED.get(by.get(n, ""), "") if said else "not cited" for n, said in used.items()}
        ordered = sorted(citations, key=lambda citation: (not used[citation.n], citation.n))
        with self.app.batch_update():
            await scroll.query(SourceView).remove()
            await scroll.mount_all([SourceView(one, used=used[one.n], state=state[one.n]) for one in ordered])
        empty.display = not citations
        self.query_one(".panel-title", Static).update(
            Content(f"{title} · {len(citations)}" if citations else title)
        )
        if views := self.views:
            self.select(next((view for view in views if view.citation.n == selected), views[0]))

    def select(self, view: SourceView, *, scroll: bool = True) -> None:
        if self.selected is not None and self.selected is not view:
            self.selected.unfold(False)
        self.selected = view
        view.unfold(True)
        if scroll:
            self.call_after_refresh(self._bring_into_sight, view)

    def _bring_into_sight(self, view: SourceView) -> None:
        """From its beginning, or where its evidence would stand below the panel from a little before that."""
        if not view.is_attached:
            return
        scroll, passage = self.query_one(VerticalScroll), view.query_one(".passage", Static)
        top = view.virtual_region.y
        evidence = top + passage.virtual_region.y + evidence_line(view.citation, passage.content_region.width)
        if evidence > top + scroll.size.height - 3:
            top = evidence - scroll.size.height // 3
        scroll.scroll_to(y=top, animate=False)

    def action_move(self, step: int) -> None:
        views = self.views
        if self.selected is None or not views:
            return
        index = views.index(self.selected) + step
        if 0 <= index < len(views):
            self.select(views[index])
        else:
            self.query_one(VerticalScroll).scroll_relative(y=3 * step, animate=False)

    def action_jump(self, n: int) -> None:
        """Select source `n`; nothing happens when there is none."""
        if view := next((view for view in self.views if view.citation.n == n), None):
            self.select(view)

    def action_choose(self, action: str) -> None:
        if self.selected is not None:
            self.post_message(SourceChosen(self.selected.citation, action))

    def on_click(self, event: events.Click) -> None:
        widget: Widget | None = event.widget
        while widget is not None and widget is not self:
            if isinstance(widget, SourceView):
                self.select(widget, scroll=False)
                if event.chain > 1:
                    self.action_choose("view")
                return
            widget = widget.parent if isinstance(widget.parent, Widget) else None
