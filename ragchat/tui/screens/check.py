"""How the statements of an answer compare with the passages, one below the other: verdict, reason, what it was compared with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from ragchat.session.marked import WHO_CITED
from ragchat.session.quotation import said_lines
from ragchat.text import clean_line
from ragchat.tui.lines import FAULT, Line, lay_out
from ragchat.tui.markdown import inline_content, parser
from ragchat.tui.quotations import BAR, place_of
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Leaving
from ragchat.tui.sentences import citation_place
from ragchat.tui.verdicts import STYLES, check_line, mark
from ragchat.tui.widgets.lazy_list import LazyList, Row
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import Citation, ReasonKind

if TYPE_CHECKING:
    from ragchat.types import AnswerCheck, Statement

DIM = "$foreground 62%"
NOT_CHECKED = (
    "ragchat has not compared this answer with any passages: it was made without documents, or before ragchat"
    " checked answers.\n\nTo get one that is checked, close this, choose documents with F3 and press r on the answer."
)
_INDENT = Content("  ")


class CheckScreen(Leaving[None]):
    """`open_passage` is given the passage of a statement, with the sentences that it was compared with as its quote."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open the passage", id="check.open", priority=True),
        Binding("escape,q,i", "back", "Back", id="check.back"),
    ]

    def __init__(
        self,
        check: AnswerCheck,
        citations: Sequence[Citation],
        open_passage: Callable[[Citation], object],
    ) -> None:
        super().__init__()
        self._check = check
        self._passages = {citation.n: citation for citation in citations}
        self._open = open_passage

    def compose(self) -> ComposeResult:
        line = check_line(self._check) or Content("This answer was not checked")
        yield Static(line.stylize("bold"), id="check-title")
        if self._check.statements:
            yield LazyList(self._draw)
        else:
            yield Static(Content.styled(NOT_CHECKED, DIM), id="nothing")
        yield KeyHints()

    def on_mount(self) -> None:
        for statements in self.query(LazyList):
            statements.focus()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._lay_out)

    # --- showing ------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        """As many rows for each statement as it needs at this width."""
        for shown in self.query(LazyList):
            width = shown.scrollable_content_region.width
            rows = [
                Row(str(n), len(self._rows(one, width)) + 1) for n, one in enumerate(self._check.statements)
            ]
            shown.set_rows(rows, highlight=shown.key or "0")

    def _draw(self, key: str, width: int) -> Content:
        return Content("\n").join(self._rows(self._check.statements[int(key)], width))

    def _rows(self, statement: Statement, width: int) -> list[Content]:
        laid = lay_out(self._lines(statement), max(1, width))
        return [row.prefix + row.content.rstrip() for row in laid.rows]

    def _lines(self, statement: Statement) -> list[Line]:
        """The lines about a statement, each with what it begins with."""
        struck = " strike" if statement in self._check.struck else ""
        # What a model wrote gives no links here: nothing would take them.
        text = inline_content(parser().parseInline(clean_line(statement.text))[0]).plain
        said = _pointed(Content.styled(text, f"bold{struck}"), statement.reason.words)
        verdict = Content.styled(statement.verdict, STYLES[statement.verdict])
        reason = Content(f": {clean_line(statement.reason.sentence)}")
        lines = [
            Line(said, mark(statement.verdict) + " ", _INDENT),
            Line(Content.assemble(verdict, reason), _INDENT, _INDENT),
        ]
        passage = self._compared(statement)
        if passage is None:
            return lines
        lines.append(Line(Content.styled(self._origin(statement, passage), DIM), _INDENT, _INDENT))
        if statement.compared and statement.reason.kind is not ReasonKind.NOTHING:
            compared = shown_line(" ".join(said_lines(statement.compared)))
            bar = Content.styled(f"  {BAR}", DIM)
            lines.append(Line(_pointed(compared, statement.reason.found), bar, bar))
        return lines

    def _origin(self, statement: Statement, passage: Citation) -> str:
        """Where the passage is, and who says that it is the one."""
        place = f"[{passage.n}] {place_of(passage.hit, citation_place(passage))}"
        if statement.reason.kind is ReasonKind.NOTHING:
            return f"nearest: {place}"
        looked = statement.second
        second = "" if looked is None else f"the model's second look: {looked:.0%}"
        return " · ".join(filter(None, (place, WHO_CITED.get(statement.cited_by, ""), second)))

    def _compared(self, statement: Statement) -> Citation | None:
        """The passage that a statement was compared with; its quote are the sentences."""
        passage = self._passages.get(statement.citation)
        if passage is None:
            return None
        return Citation(passage.n, passage.hit, statement.compared or passage.quote, passage.used)

    # --- keys ---------------------------------------------------------------------------------------

    def action_back(self) -> None:
        self.dismiss(None)

    @on(LazyList.Chosen)
    def _chosen(self, event: LazyList.Chosen) -> None:
        event.stop()
        self.action_open()

    def action_open(self) -> None:
        for statements in self.query(LazyList):
            if statements.key:
                self._open_at(int(statements.key))

    def _open_at(self, number: int) -> None:
        if passage := self._compared(self._check.statements[number]):
            self._open(passage)
        else:
            self.notify("There is no passage to open: none says anything like it.", timeout=3, markup=False)


def _pointed(content: Content, words: Sequence[str]) -> Content:
    """A text in which the words that make the difference stand out."""
    if not words:
        return content
    pattern = "|".join(
        re.escape(clean_line(word)) for word in sorted(words, key=len, reverse=True) if word.strip()
    )
    return content.highlight_regex(re.compile(pattern), style=FAULT) if pattern else content
