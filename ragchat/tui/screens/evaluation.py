"""The recommended configuration: the verdict in words, table and bars, and the questions where configurations disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line, counted
from ragchat.tui import tasks
from ragchat.tui.markdown_marks import unmarked
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Leaving
from ragchat.tui.widgets.status_bar import KeyHints

if TYPE_CHECKING:
    from ragchat.app.evaluations import Evaluation
    from ragchat.app.services import Services
    from ragchat.evaluation.four_ways import Answer
    from ragchat.evaluation.question_sets import Asked
    from ragchat.evaluation.verdict import Verdict

DIM = "$foreground 62%"
_BAR = 30
_LABEL, _FIGURE = 34, 5
"""Characters of a label and of a figure."""
_NEW = "\0new"
EMPTY = (
    "No evaluation yet.\n\nAn evaluation needs questions. In a chat, press E on an answer to keep its question. Here, press e to"
    " add and edit questions. `ragchat eval questions import NAME FILE` imports many, and"
    " `ragchat eval questions draft NAME --kb DOCUMENTS` drafts some from your documents."
    "\n\nThen run `ragchat eval run NAME --adapter ADAPTER` in a shell. It asks every question of four configurations: the model"
    " alone, your documents, the adapter, and both. The quotes from your documents also answer alone, without a model. This"
    " page then recommends a configuration."
)


class EvaluationScreen(Leaving[None]):
    """The newest run of each set; the newest first."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", id="evaluation.back"),
        Binding("s,right", "other(1)", "Next set", id="evaluation.next"),
        Binding("left", "other(-1)", "Previous set", id="evaluation.previous", show=False),
        Binding(
            "e", "questions", "Questions", id="evaluation.questions", tooltip="Add, edit and delete questions"
        ),
        Binding(
            "c",
            "calibrate",
            "When to decline",
            id="evaluation.calibrate",
            tooltip="Set when the chat says that your documents contain no answer",
        ),
        Binding("pagedown", "page(1)", "Scroll", id="evaluation.down", priority=True),
        Binding("pageup", "page(-1)", "Scroll up", id="evaluation.up", show=False, priority=True),
        Binding("r,f5", "again", "Reload", id="evaluation.again"),
    ]

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self.found: Sequence[Evaluation] = ()
        self.at = 0

    def compose(self) -> ComposeResult:
        yield Static(Content("Recommended configuration"), id="evaluation-title")
        with VerticalScroll(id="evaluation-page", can_focus=False):
            yield Static(Content.styled("Loading evaluations …", DIM), id="evaluation-text")
            yield OptionList(id="disagreements")
        yield KeyHints()

    def on_mount(self) -> None:
        self.query_one(OptionList).display = False
        self._read()

    def action_back(self) -> None:
        self.dismiss(None)

    def action_other(self, direction: int) -> None:
        if self.found:
            self.at = (self.at + direction) % len(self.found)
            self._show()

    def action_again(self) -> None:
        self._read()

    def action_page(self, direction: int) -> None:
        page = self.query_one("#evaluation-page", VerticalScroll)
        page.scroll_relative(y=direction * max(1, page.size.height - 2), animate=False)

    @on(OptionList.OptionHighlighted)
    def _keep_in_sight(self, event: OptionList.OptionHighlighted) -> None:
        """The list is as long as its questions: the page scrolls with the chosen one."""
        event.stop()
        options = event.option_list
        if options.highlighted is None or not options.has_focus:
            return
        page = self.query_one("#evaluation-page", VerticalScroll)
        line = options.virtual_region.y + options.highlighted
        page.scroll_to_region(Region(0, line - 1, 1, 3), animate=False)

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="sets", description="list the question sets"
    )
    def action_questions(self) -> None:
        self._with_sets(self._choose_set)

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="sets", description="list the question sets"
    )
    def action_calibrate(self) -> None:
        self._with_sets(self._choose_curve)

    def _with_sets(self, then: Callable[[dict[str, list[Asked]]], None]) -> None:
        def read() -> None:
            sets = self._services.evaluations.question_sets()
            self.app.call_from_thread(then, sets)

        tasks.reporting(self._services, "listing the question sets", self.post_message, read)

    def _choose_curve(self, sets: dict[str, list[Asked]]) -> None:
        from ragchat.tui.screens.calibrate import CalibrateScreen
        from ragchat.tui.screens.pick import Choice, Pick

        able = [
            Choice(name, clean_line(name), marked=name == self._set_name)
            for name, asked in sets.items()
            if any(one.answerable for one in asked) and not all(one.answerable for one in asked)
        ]
        if not able:
            self.notify(
                "You need a set with both answerable and unanswerable questions. Press e to add them.",
                timeout=6,
                markup=False,
            )
            return

        def kept(changed: bool | None) -> None:
            if changed:
                self.notify("Chats use this setting from now on.", timeout=4, markup=False)
                self._read()

        def chosen(name: str | None) -> None:
            if name is not None:
                self.app.push_screen(CalibrateScreen(self._services, name), kept)

        if len(able) == 1:
            chosen(able[0].key)
        else:
            self.app.push_screen(Pick("Choose a question set", able), chosen)

    @property
    def _set_name(self) -> str:
        return self.found[self.at].verdict.run.set_name if self.found else ""

    def _choose_set(self, sets: dict[str, list[Asked]]) -> None:
        from ragchat.tui.screens.pick import Choice, Pick

        choices = [
            Choice(
                name, f"{clean_line(name)}: {counted(len(asked), 'question')}", marked=name == self._set_name
            )
            for name, asked in sets.items()
        ]
        choices.append(Choice(_NEW, "New set"))

        def chosen(name: str | None) -> None:
            if name == _NEW:
                from ragchat.tui.screens.ask_line import AskLine

                self.app.push_screen(
                    AskLine("Name of the new set"),
                    lambda typed: self._open_set(typed or "", sets.get(typed or "", [])),
                )
            elif name is not None:
                self._open_set(name, sets[name])

        self.app.push_screen(Pick("Choose a question set", choices), chosen)

    def _open_set(self, name: str, asked: Sequence[Asked]) -> None:
        from ragchat.tui.screens.questions import QuestionsScreen

        def back(_: None) -> None:
            self._read()

        if name:
            screen = QuestionsScreen(
                name, asked, lambda before, now: self._services.evaluations.write_questions(name, before, now)
            )
            self.app.push_screen(screen, back)

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="evaluation", description="read the verdict"
    )
    def _read(self) -> None:
        def read() -> None:
            found = self._services.evaluations.newest()
            self.app.call_from_thread(self._take, found)

        tasks.reporting(self._services, "loading the evaluations", self.post_message, read)

    def _take(self, found: Sequence[Evaluation]) -> None:
        self.found = found
        self.at = min(self.at, max(0, len(found) - 1))
        self._show()

    def _show(self) -> None:
        text, options = self.query_one("#evaluation-text", Static), self.query_one(OptionList)
        options.clear_options()
        options.display = False
        if not self.found:
            text.update(unmarked(Content.styled(EMPTY, DIM)))
            return
        shown = self.found[self.at]
        verdict = shown.verdict
        of = f"  {self.at + 1} of {len(self.found)}" if len(self.found) > 1 else ""
        title = f"Recommended configuration · {clean_line(verdict.run.set_name)}{of}"
        self.query_one("#evaluation-title", Static).update(Content(title))
        text.update(page(shown))
        asked = [*verdict.disagreements(), *verdict.unanswered()]
        if asked:
            rows = [Option(_row(verdict, one), id=str(n)) for n, one in enumerate(asked)]
            options.add_options(rows)
            options.display = True
            options.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        verdict = self.found[self.at].verdict
        self.app.push_screen(
            Disagreement(
                verdict, [*verdict.disagreements(), *verdict.unanswered()][int(event.option.id or 0)]
            )
        )


def page(shown: Evaluation) -> Content:
    """All but the disagreements: the verdict, its picture, what to do next, then the grounds."""
    verdict, lines = shown.verdict, []
    if shown.stale:
        again = f"`ragchat eval run {verdict.run.set_name}` measures again."
        said = f"Out of date. Changed since: {'; '.join(shown.stale)}. {again}"
        lines.append(Content.styled(clean_line(said), "$text-warning"))
    lead, *more = verdict.says
    lines += [Content.styled(clean_line(lead), "bold"), Content("")]
    if (against := verdict.against_documents) in more:
        more.remove(against)
        lines += [Content(clean_line(against)), Content("")]
    lines += [*_bars(verdict), Content("")]
    if verdict.next_steps:
        arrow = Content.styled("→ ", "$text-accent bold")
        lines += [Content.assemble(arrow, clean_line(step)) for step in verdict.next_steps]
        lines.append(Content(""))
    lines += [*(Content(clean_line(sentence)) for sentence in more), Content("")]
    lines += [*_table(verdict), Content(""), *_differences(verdict)]
    if verdict.disagreements() or verdict.unanswered():
        lines += [
            Content(""),
            Content.styled(
                "Questions where configurations disagree, then questions that none gets right (Enter shows the answers):",
                DIM,
            ),
        ]
    return Content("\n").join(lines)


def _bars(verdict: Verdict) -> Iterator[Content]:
    from ragchat.evaluation.verdict import spread

    for arm in verdict.charted:
        interval = verdict.table[arm].get(verdict.primary)
        if interval:
            filled = round(_BAR * interval.mean)
            bar = Content.assemble(
                Content.styled("━" * filled, "$accent"),
                Content.styled("┄" * (_BAR - filled), "$foreground 40%"),
            )
            mark = Content.styled(" ●", "$text-success") if arm == verdict.winner else ""
            yield Content.assemble(f"{arm:10} ", bar, f"  {spread(interval)}", mark)


def _table(verdict: Verdict) -> Iterator[Content]:
    """The means, five configurations in 72 columns."""
    from ragchat.evaluation.verdict import LABELS

    arms = verdict.run.arms

    def row(label: str, cells: Sequence[str]) -> str:
        aligned = (f"{cell:>{max(_FIGURE, len(arm)) + 1}}" for cell, arm in zip(cells, arms, strict=True))
        return f"{label:{_LABEL}}{''.join(aligned)}"

    yield Content.styled(row("", arms), DIM)
    for measure, meaning in LABELS.items():
        found = [verdict.table[arm].get(measure) for arm in arms]
        if any(found):
            yield Content(row(meaning, [f"{one.mean:.2f}" if one else "" for one in found]))
    for meaning, of, digits in (
        ("words per answer", "words", 0),
        ("time to the first word, s", "ttft_s", 2),
        ("prompt length, tokens", "prompt_tokens", 0),
    ):
        values = [getattr(verdict.prices[arm], of) for arm in arms]
        if any(values):
            yield Content(row(meaning, [f"{value:.{digits}f}" if value else "" for value in values]))


def _differences(verdict: Verdict) -> Iterator[Content]:
    from ragchat.evaluation.verdict import points

    for found in (*verdict.differences, *verdict.over_documents):
        said = f"{found.one} − {found.other}: {points(found.interval)}, p {found.adjusted:.3f}"
        yield Content.styled(f"{said}  measurable", "bold") if found.shown else Content.styled(said, DIM)


def _row(verdict: Verdict, question: Asked) -> Content:
    marks = []
    for arm in verdict.run.arms:
        right = verdict.right(question, arm)
        marks.append(Content.styled("✓" if right else "✗", "$text-success" if right else "$text-error"))
    return Content.assemble(*marks, " ", shown_line(question.question, limit=200))


def _told(answer: Answer) -> str:
    return f"  {answer.checked_line}" if answer.checked_line else ""


class Disagreement(Dialog[None]):
    """One question, the answer of each configuration, and its citations."""

    TITLE_TEXT: ClassVar[str] = "One question, every configuration"
    HELP_TEXT: ClassVar[str] = "Up and Down scroll · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "close", "Close", id="disagreement.close", show=False)
    ]

    def __init__(self, verdict: Verdict, question: Asked) -> None:
        super().__init__()
        self._verdict, self._question = verdict, question

    def body(self) -> Iterable[Widget]:
        with VerticalScroll():
            yield Static(self._page())

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def _page(self) -> Content:
        question, verdict = self._question, self._verdict
        expected = " | ".join(question.answers) if question.answerable else "the documents contain no answer"
        lines = [
            Content.styled(clean_line(question.question), "bold"),
            Content.styled(f"expected: {clean_line(expected)}", DIM),
        ]
        for arm in verdict.run.arms:
            answer = verdict.answers[arm][question.id]
            right = verdict.right(question, arm)
            mark = Content.styled("✓ " if right else "✗ ", "$text-success" if right else "$text-error")
            lines += [
                Content(""),
                Content.assemble(mark, Content.styled(arm, "bold"), Content.styled(_told(answer), DIM)),
                Content(clean_line(answer.shown)),
            ]
            lines += [
                Content.styled(
                    f"[{passage.n}] {clean_line(passage.path)}: {clean_line(passage.text, limit=400)}", DIM
                )
                for passage in answer.cited
            ]
        return Content("\n").join(lines)
