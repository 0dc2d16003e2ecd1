"""When the chat says that nothing matches: both errors along all degrees of strictness, and the point is picked by eye.

The chance that the documents answer, by which answers are marked "The passages do not say.", is fitted to the same questions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from ragchat.errors import RagchatError
from ragchat.text import clean_line, counted, curve
from ragchat.tui.screens.dialog import Dialog
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.evaluation.calibration import ChanceFit, ChancePoint, Point, RefusalCurve

_DIM = "$foreground 62%"
_WIDTH = 51
"""Cells of the curves; each represents as many degrees of strictness as are needed."""


class CalibrateScreen(Dialog[bool]):
    """Gives True when the settings were changed."""

    HELP_TEXT: ClassVar[str] = (
        "Left, Right, Home, End move the point · b goes to the fewest errors · Enter saves · Esc cancels"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "Less strict", id="calibrate.less", show=False),
        Binding("right,l", "move(1)", "Stricter", id="calibrate.more", show=False),
        Binding("home", "move(-1000)", "Answers everything", id="calibrate.first", show=False),
        Binding("end", "move(1000)", "Answers almost nothing", id="calibrate.last", show=False),
        Binding("b", "best", "Fewest errors", id="calibrate.best", show=False),
        Binding("enter", "keep", "Save", id="calibrate.keep", show=False),
    ]

    def __init__(self, services: Services, set_name: str) -> None:
        super().__init__()
        self._services, self._set_name = services, set_name
        self._cancel = CancelToken()
        self.found: RefusalCurve | None = None
        self.chance: ChanceFit | None = None
        self.at = 0

    def title_text(self) -> str:
        return f"When to decline · {clean_line(self._set_name, limit=60)}"

    def body(self) -> Iterable[Widget]:
        yield Static(
            Content.styled("◌ Searching for every question of the set …", "$text-accent"), id="curves"
        )

    def on_mount(self) -> None:
        self._look()

    def on_unmount(self) -> None:
        self._cancel.cancel()

    @work(
        thread=True,
        exclusive=True,
        exit_on_error=False,
        group="calibrate",
        description="search for all questions",
    )
    def _look(self) -> None:
        try:
            found = self._services.evaluations.refusal_curve(self._set_name, self._cancel)
        except RagchatError as error:
            self.app.call_from_thread(self._say, f"{error} {error.remedy}".strip())
            return
        if found is not None:
            self.app.call_from_thread(self._take, found)

    def _say(self, sentence: str) -> None:
        self.query_one("#curves", Static).update(
            Content.styled(clean_line(sentence, limit=600), "$text-error")
        )

    def _take(self, found: RefusalCurve) -> None:
        from ragchat.evaluation.calibration import fit_chance

        self.found = found
        self.chance = fit_chance(found.judged, found.own) if found.judged else None
        nearest = min(found.points, key=lambda point: abs(point.min_match - found.now.min_match))
        self.at = found.points.index(nearest)
        self._show()

    def action_move(self, by: int) -> None:
        if self.found:
            self.at = max(0, min(len(self.found.points) - 1, self.at + by))
            self._show()

    def action_best(self) -> None:
        from ragchat.evaluation.calibration import choose

        if self.found:
            self.at = self.found.points.index(choose(self.found.points))
            self._show()

    def action_keep(self) -> None:
        from ragchat.app.calibration import store_chance

        if self.found is None:
            return
        point = self.found.points[self.at]
        try:
            self._services.preferences.set("retrieval.min_match", str(point.min_match))
            self._services.preferences.set("retrieval.min_confidence", str(point.min_confidence))
            if self.chance:
                store_chance(self._services.preferences.context, self.chance.own)
        except RagchatError as error:
            self._say(f"{error} {error.remedy}".strip())
            return
        self.dismiss(True)

    def _show(self) -> None:
        assert self.found
        self.query_one("#curves", Static).update(page(self.found, self.at, self.chance))


def page(found: RefusalCurve, at: int, chance: ChanceFit | None = None) -> Content:
    """Both curves over each other, the point under them, what it means, and what the chance tells with these questions."""
    points, scale = found.points, (0.0, 1.0)
    answers = curve([point.false_answers for point in points], _WIDTH, scale=scale)
    refusals = curve([point.wrong_refusals for point in points], _WIDTH, scale=scale)
    place = round(at / (len(points) - 1) * (len(answers) - 1))
    lines = [
        Content("False answers (no answer in the documents):"),
        Content.styled(answers, "$text-error"),
        Content("Wrong refusals (answer in the documents):"),
        Content.styled(refusals, "$text-warning"),
        Content.styled(f"{' ' * place}▲", "bold"),
        Content.styled(f"{'answers all':<{_WIDTH - 16}}{'answers nothing':>16}", _DIM),
        Content(""),
        Content.assemble(Content.styled("Here: ", "bold"), _errors(points[at])),
        Content.styled(f"Now:  {_errors(found.now)}", _DIM),
        Content.styled(
            f"Measured on {counted(found.answerable, 'question')} with an answer and {found.unanswerable} without.",
            _DIM,
        ),
        *(_told(chance) if chance else ()),
    ]
    return Content("\n").join(lines)


def _told(chance: ChanceFit) -> Iterable[Content]:
    scale = "fitted to your questions" if chance.refitted else "default scale"
    yield Content("")
    yield Content("“The passages do not say” (and strict chats decline):")
    yield Content.assemble(
        Content.styled(f"Below a chance of {chance.chosen.least:.2f}: ", "bold"),
        f"{_errors(chance.chosen)} ({scale})",
    )
    yield Content.styled(f"Now:  {_errors(chance.now)}", _DIM)


def _errors(point: Point | ChancePoint) -> str:
    return f"{point.false_answers:.1%} false answers, {point.wrong_refusals:.1%} wrong refusals"
