"""How the statements of an answer compare with the passages, one below the other: verdict, reason, what it was compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.tui.quotations import place_of
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Leaving
from ragchat.tui.sentences import citation_place
from ragchat.tui.verdicts import WHO_CITED, check_line, mark
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import Citation

if TYPE_CHECKING:
    from ragchat.types import AnswerCheck, Statement

DIM = "$foreground 62%"
EMPTY = (
    "ragchat has not compared this answer with any passages: it was made without documents, or before ragchat"
    " checked answers.\n\nTo get one that is checked, close this, choose documents with F3 and press r on the answer."
)


class CheckScreen(Leaving[None]):
    """`open_passage` is given the passage of a statement, with the sentences that it was compared with as its quote."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i", "back", "Back", id="check.back"),
        Binding("enter", "open", "Open the passage", id="check.open", priority=True),
        Binding("j", "move('down')", "Next statement", id="check.next", show=False),
        Binding("k", "move('up')", "Previous statement", id="check.previous", show=False),
        Binding("g", "move('first')", "First statement", id="check.first", show=False),
        Binding("G,shift+g", "move('last')", "Last statement", id="check.last", show=False),
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
            yield OptionList(*(Option(self._row(one)) for one in self._check.statements))
        else:
            yield Static(Content.styled(EMPTY, DIM), id="nothing")
        yield KeyHints()

    def on_mount(self) -> None:
        for statements in self.query(OptionList):
            statements.focus()
            statements.highlighted = 0

    # --- showing ------------------------------------------------------------------------------------

    def _row(self, statement: Statement) -> Content:
        struck = "strike" if statement in self._check.struck else ""
        lines = [
            Content.assemble(mark(statement.verdict), " ", shown_line(statement.text, struck)),
            Content.styled(f"  {statement.verdict}: {clean_line(statement.reason.sentence)}", "bold"),
        ]
        if passage := self._compared(statement):
            place = place_of(passage.hit, citation_place(passage))
            by = WHO_CITED.get(statement.cited_by, "")
            looked = statement.second
            second = "" if looked is None else f"the model's second look: {looked:.0%}"
            where = " · ".join(filter(None, (f"  [{passage.n}] {place}", by, second)))
            lines.append(Content.styled(where, DIM))
        if statement.compared:
            lines.append(Content.assemble("  ┃ ", shown_line(statement.compared)))
        return Content("\n").join([*lines, Content("")])

    def _compared(self, statement: Statement) -> Citation | None:
        """The passage that a statement was compared with; its quote are the sentences."""
        passage = self._passages.get(statement.citation)
        if passage is None:
            return None
        return Citation(passage.n, passage.hit, statement.compared or passage.quote, passage.used)

    # --- keys ---------------------------------------------------------------------------------------

    def action_back(self) -> None:
        self.dismiss(None)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._open_at(event.option_index)

    def action_open(self) -> None:
        for statements in self.query(OptionList):
            self._open_at(statements.highlighted or 0)

    def _open_at(self, number: int) -> None:
        if passage := self._compared(self._check.statements[number]):
            self._open(passage)
        else:
            self.notify("There is no passage to open: none says anything like it.", timeout=3, markup=False)

    def action_move(self, where: str) -> None:
        for statements in self.query(OptionList):
            getattr(statements, f"action_{'cursor_' if where in ('down', 'up') else ''}{where}")()
