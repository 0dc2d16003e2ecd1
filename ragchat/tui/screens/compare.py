"""One question to two settings, side by side, one after the other. Nothing of it is stored unless one of them is kept.

`CompareSetup` chooses the two, `CompareScreen` asks. What is kept is given to whoever opened the screen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ragchat.app.events import progress_sentence
from ragchat.errors import CancelledError, RagchatError
from ragchat.session.compare import Trial, TrialEvent, try_out
from ragchat.session.marked import is_used
from ragchat.text import clean_line, counted, human_seconds
from ragchat.tui import tasks
from ragchat.tui.clipboard import copy
from ragchat.tui.quotations import to_look_at
from ragchat.tui.safe_content import file_name
from ragchat.tui.screens.ask_line import AskLine
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.dialog import Dialog, Leaving
from ragchat.tui.screens.pick import Choice, Pick
from ragchat.tui.sentences import check_lines
from ragchat.tui.widgets.lazy_list import LazyList, Row
from ragchat.tui.widgets.message import AnswerView, Facts
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import AdapterScale, CancelToken, ChatOptions, ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.session.events import AnswerFinished

DIM = "$foreground 62%"
SIDES = ("A", "B")
_AS_SET = "\0as in the settings"
_NAME = 12

Run = Callable[[ChatOptions, str, int, CancelToken], Iterator[TrialEvent]]
"""Ask a question in a chat (0: a new one) under these options and store nothing. Works while it is iterated, in any thread."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a chat does that has chosen nothing, and what there is to choose. `models` are installed ones, `adapters` those that
    fit a model, by its name; empty: the model of the settings.
    """

    model: str
    knowledge_bases: tuple[str, ...]
    models: Sequence[str] = ()
    presets: Sequence[tuple[str, ChatOptions]] = ()
    adapters: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is to be compared."""

    question: str
    sides: tuple[ChatOptions, ChatOptions]


@dataclass(frozen=True, slots=True)
class Kept:
    """The side that the user wants in the chat: how it was asked, and what was answered."""

    options: ChatOptions
    trial: Trial


def run_on_copies(services: Services, default_model: str) -> Run:
    """A `Run` over copies of the chat. `default_model` answers where the options name none."""

    def run(
        options: ChatOptions, question: str, conversation_id: int, cancel: CancelToken
    ) -> Iterator[TrialEvent]:
        name = options.model or default_model
        if name and name != services.model.selected:
            services.model.select(name)
        services.paths.scratch_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tasks.chats(services) as store:
            yield from try_out(
                store,
                conversation_id,
                question,
                lambda trial_store: services.open_session(trial_store, options),
                folder=services.paths.scratch_dir,
                cancel=cancel,
            )

    return run


def other_side(options: ChatOptions, defaults: Defaults) -> ChatOptions:
    """What a chat is compared with when nothing is chosen: the same without its adapters; else without documents, or with the
    usual ones if it has none.
    """
    if options.adapters:
        return replace(options, adapters=(), preset="")
    asked = defaults.knowledge_bases if options.knowledge_bases is None else options.knowledge_bases
    return replace(options, knowledge_bases=() if asked else defaults.knowledge_bases, preset="")


def describe(options: ChatOptions, defaults: Defaults) -> str:
    """A side in short: model, documents, what else is set."""
    names = defaults.knowledge_bases if options.knowledge_bases is None else options.knowledge_bases
    said = [options.model or defaults.model or "no model", ", ".join(names) or "no documents"]
    if options.adapters:
        said.append(f"adapter {AdapterScale.join(options.adapters)}")
    if options.preset:
        said.append(f"preset {options.preset}")
    elif options.temperature is not None:
        said.append(f"temperature {options.temperature:g}")
    return clean_line(" · ".join(said), limit=200)


class CompareSetup(Dialog[Comparison]):
    """Gives what to compare, or None. A is the chat as it is."""

    TITLE_TEXT: ClassVar[str] = "Compare two settings"
    HELP_TEXT: ClassVar[str] = "Enter changes or asks · r asks both · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "ask", "Ask both", id="compare_setup.ask", show=False),
        Binding("q", "close", "Close", id="compare_setup.close", show=False),
    ]

    def __init__(self, question: str, options: ChatOptions, defaults: Defaults) -> None:
        super().__init__()
        self.question = clean_line(question)
        self._whole_question = question
        self.sides = [options, other_side(options, defaults)]
        self._defaults = defaults

    def body(self) -> Iterable[Widget]:
        yield LazyList(self._draw)

    def on_mount(self) -> None:
        rows = [Row("question"), Row("ask")]
        for number, name in enumerate(SIDES):
            rows.append(Row("", text=f"{name}{'  this chat' if not number else ''}"))
            rows += [Row(f"{what}{number}") for what in ("model", "adapter", "documents", "preset")]
        self.rows.set_rows(rows, highlight="ask" if self.question else "question")
        self.rows.highlight("ask" if self.question else "question")
        self.rows.focus()

    @property
    def rows(self) -> LazyList:
        return self.query_one(LazyList)

    def _draw(self, key: str, width: int) -> Content:
        if key == "question":
            shown = Content(self.question) if self.question else Content.styled("type one", DIM)
            return Content.assemble(f"{'Question':<{_NAME}}", shown).truncate(width, ellipsis=True)
        if key == "ask":
            return Content.styled("▸ Ask both, one after the other", "$text-accent bold")
        field, side = key[:-1], int(key[-1])
        value = self._value(field, self.sides[side])
        differs = value != self._value(field, self.sides[1 - side])
        mark = Content.styled("● " if differs else "  ", "$text-accent")
        return Content.assemble(mark, f"{field.title():<{_NAME}}", value).truncate(width, ellipsis=True)

    def _value(self, field: str, options: ChatOptions) -> str:
        match field:
            case "model":
                return clean_line(options.model or self._defaults.model) or "none is installed"
            case "adapter":
                return clean_line(AdapterScale.join(options.adapters), limit=60) or "none"
            case "documents":
                names = options.knowledge_bases
                shown = self._defaults.knowledge_bases if names is None else names
                return clean_line(", ".join(shown)) or "none, a plain chat"
        return clean_line(options.preset, limit=60) or "none"

    # --- changing -----------------------------------------------------------------------------------

    @on(LazyList.Chosen)
    def _chosen(self, event: LazyList.Chosen) -> None:
        event.stop()
        if event.key == "ask":
            self.action_ask()
        elif event.key == "question":
            self.app.push_screen(AskLine("The question", self.question), self._take_question)
        elif event.key:
            getattr(self, f"_choose_{event.key[:-1]}")(int(event.key[-1]))

    def _take_question(self, question: str | None) -> None:
        if question:
            self.question = self._whole_question = question
            self.rows.redraw()
            self.rows.highlight("ask")

    def _choose_model(self, side: int) -> None:
        options = self.sides[side]
        usual = clean_line(self._defaults.model, limit=60) or "none"
        choices = [Choice(_AS_SET, f"as in the settings: {usual}", marked=not options.model)]
        choices += [Choice(n, clean_line(n), marked=n == options.model) for n in self._defaults.models]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._change(
                    side, replace(options, model="" if name == _AS_SET else name, adapters=(), preset="")
                )

        self.app.push_screen(Pick(f"The model of {SIDES[side]}", choices), chosen)

    def _choose_adapter(self, side: int) -> None:
        options = self.sides[side]
        names = self._defaults.adapters.get(options.model)
        if names is None:
            self.notify(
                f"Use {options.model} in a chat first, so that ragchat can find the adapters that fit it.",
                markup=False,
            )
            return
        if not names:
            self.notify(
                "No adapter fits this model. To train one, press F9 and then n.", timeout=4, markup=False
            )
            return
        used = AdapterScale.join(options.adapters)
        on = dict.fromkeys([*names, *filter(None, [used])])
        choices = [Choice(_AS_SET, "none", marked=not used)]
        choices += [Choice(name, clean_line(name, limit=60), marked=name == used) for name in on]

        def chosen(name: str | None) -> None:
            if name is not None:
                chosen = () if name == _AS_SET else AdapterScale.parse(name)
                self._change(side, replace(options, adapters=chosen, preset=""))

        self.app.push_screen(Pick(f"The adapter of {SIDES[side]}", choices), chosen)

    def _choose_documents(self, side: int) -> None:
        options = self.sides[side]
        names = options.knowledge_bases
        shown = self._defaults.knowledge_bases if names is None else names

        def chosen(names: tuple[str, ...] | None) -> None:
            if names is not None:
                self._change(side, replace(options, knowledge_bases=names, preset=""))

        self.app.push_screen(KnowledgePicker(shown), chosen)

    def _choose_preset(self, side: int) -> None:
        presets = dict(self._defaults.presets)
        if not presets:
            self.notify("There are no presets yet. Press F8 in a chat to save one.", timeout=3, markup=False)
            return
        now = self.sides[side].preset
        choices = [Choice(_AS_SET, "none: use the default settings")]
        choices += [Choice(name, clean_line(name, limit=60), marked=name == now) for name in presets]

        def chosen(name: str | None) -> None:
            if name == _AS_SET:
                self._change(side, ChatOptions())
            elif name is not None:
                self._change(side, replace(presets[name], preset=name))

        self.app.push_screen(Pick(f"The preset of {SIDES[side]}", choices), chosen)

    def _change(self, side: int, options: ChatOptions) -> None:
        self.sides[side] = options
        self.rows.redraw()

    def action_ask(self) -> None:
        if self.question:
            self.dismiss(Comparison(self._whole_question, (self.sides[0], self.sides[1])))
        else:
            self.app.push_screen(AskLine("The question"), self._take_question)


class SidePanel(Vertical):
    """One answer with what it was asked of. `trial` is there when it is whole."""

    def __init__(self, number: int, label: str, model: str) -> None:
        super().__init__()
        self.number, self._label = number, label
        self.trial: Trial | None = None
        self.answer = AnswerView("", model=model, streaming=True)

    def compose(self) -> ComposeResult:
        yield Static(
            Content.assemble(
                Content.styled(f"{SIDES[self.number]}  ", "$text-accent bold"), Content(self._label)
            ),
            classes="side-title",
        )
        with VerticalScroll():
            yield self.answer

    @property
    def scroll(self) -> VerticalScroll:
        return self.query_one(VerticalScroll)

    async def end(self, trial: Trial) -> None:
        """The answer is whole, or was cut."""
        self.trial = trial
        finished = trial.finished
        facts = Facts(
            reasoning=finished.reasoning,
            reasoning_s=finished.reasoning_s,
            reasoning_tokens=finished.reasoning_tokens,
            notice=finished.notice,
            quotes=finished.quotes,
            check=finished.check,
        )
        await self.answer.finish(finished.shown, footer(finished), facts)

    async def fail(self, sentence: str) -> None:
        """There is no answer, or no whole one."""
        await self.answer.finish(
            self.answer.plain_text, Content.styled(clean_line(sentence), "$text-warning")
        )


class CompareScreen(Leaving[Kept]):
    """Gives what was kept, or None. Esc stops it, and closes when nothing runs."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Stop, or back", id="compare.back"),
        Binding("tab", "other", "Other side", id="compare.other", priority=True),
        Binding("shift+tab", "other", "Other side", id="compare.other_back", priority=True, show=False),
        Binding("1", "keep(0)", "Keep A", id="compare.keep_a"),
        Binding("2", "keep(1)", "Keep B", id="compare.keep_b"),
        Binding("y", "copy", "Copy", id="compare.copy"),
        Binding("t", "reasoning", "Reasoning", id="compare.reasoning", show=False),
        Binding("q", "back", "Back", id="compare.quit", show=False),
        Binding("g,home", "scroll('home')", "Beginning", id="compare.top", show=False),
        Binding("G,shift+g,end", "scroll('end')", "End", id="compare.bottom", show=False),
        Binding("j,down", "scroll('down')", "Down", id="compare.down", show=False),
        Binding("k,up", "scroll('up')", "Up", id="compare.up", show=False),
        Binding("space,pagedown", "scroll('page_down')", "Page down", id="compare.page_down", show=False),
        Binding("b,pageup", "scroll('page_up')", "Page up", id="compare.page_up", show=False),
    ]

    class Advanced(Message):
        """A sentence of what is being done for a side."""

        def __init__(self, side: int, sentence: str) -> None:
            super().__init__()
            self.side, self.sentence = side, sentence

    class Grew(Message):
        """There is more text of a side; one such message represents any number of pieces."""

        def __init__(self, side: int) -> None:
            super().__init__()
            self.side = side

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CompareScreen.Grew) and message.side == self.side

    class Answered(Message):
        """A side has its answer."""

        def __init__(self, side: int, trial: Trial) -> None:
            super().__init__()
            self.side, self.trial = side, trial

    class Failed(Message):
        """A side has none, or none that is whole."""

        def __init__(self, side: int, sentence: str) -> None:
            super().__init__()
            self.side, self.sentence = side, sentence

    class Ended(Message):
        """Nothing runs any more."""

    def __init__(
        self,
        services: Services,
        run: Run,
        comparison: Comparison,
        conversation_id: int,
        defaults: Defaults,
    ) -> None:
        super().__init__()
        self._services, self._run = services, run
        self._comparison, self._conversation_id = comparison, conversation_id
        self._cancel = CancelToken()
        self._texts, self._taken = ["", ""], [0, 0]
        self.running = True
        self.panels = tuple(
            SidePanel(number, describe(options, defaults), options.model or defaults.model)
            for number, options in enumerate(comparison.sides)
        )

    def compose(self) -> ComposeResult:
        yield Static(Content.styled(clean_line(self._comparison.question, limit=300), "bold"), id="origin")
        yield Container(*self.panels, id="sides")
        yield KeyHints()

    def on_mount(self) -> None:
        self.panels[0].scroll.focus()
        self.panels[1].answer.show_progress("Waiting for A")
        self._ask()

    def on_unmount(self) -> None:
        self._cancel.cancel()

    # --- the work -----------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, exit_on_error=False, group="compare", description="compare")
    def _ask(self) -> None:
        model = self._services.model
        before = model.selected
        try:
            for side in range(len(SIDES)):
                if self._cancel.cancelled:
                    self.post_message(self.Failed(side, "Stopped before this side was asked."))
                else:
                    self._ask_side(side)
        finally:
            if before and before != model.selected:
                with contextlib.suppress(RagchatError):
                    model.select(before)
            self.post_message(self.Ended())

    def _ask_side(self, side: int) -> None:
        try:
            options, question = self._comparison.sides[side], self._comparison.question
            for event in self._run(options, question, self._conversation_id, self._cancel):
                match event:
                    case Trial():
                        self.post_message(self.Answered(side, event))
                    case TextDelta(text=text):
                        self._texts[side] += text
                        self.post_message(self.Grew(side))
                    case ReasoningDelta():
                        self.post_message(self.Advanced(side, "Thinking"))
                    case _:
                        if sentence := progress_sentence(event):
                            self.post_message(self.Advanced(side, sentence))
        except CancelledError:
            self.post_message(self.Failed(side, "Stopped."))
        except RagchatError as error:
            self.post_message(self.Failed(side, f"{error} {error.remedy}"))
        except Exception:  # noqa: BLE001 - the boundary of a worker
            self.post_message(self.Failed(side, tasks.record_unexpected(self._services, "comparing")))

    # --- showing ------------------------------------------------------------------------------------

    @on(Advanced)
    def _show_progress(self, event: Advanced) -> None:
        self.panels[event.side].answer.show_progress(event.sentence)

    @on(Grew)
    async def _show_text(self, event: Grew) -> None:
        side, panel = event.side, self.panels[event.side]
        text, taken = self._texts[side], self._taken[side]
        self._taken[side] = len(text)
        if len(text) > taken and panel.trial is None:
            await panel.answer.feed(text[taken:])
            panel.scroll.scroll_end(animate=False)

    @on(Answered)
    async def _show_answer(self, event: Answered) -> None:
        await self.panels[event.side].end(event.trial)

    @on(Failed)
    async def _show_failure(self, event: Failed) -> None:
        await self.panels[event.side].fail(event.sentence)

    @on(Ended)
    def _show_end(self) -> None:
        self.running = False

    # --- keys ---------------------------------------------------------------------------------------

    @property
    def focused_panel(self) -> SidePanel:
        """The side that has the keyboard."""
        return self.panels[1] if self.focused is self.panels[1].scroll else self.panels[0]

    def action_back(self) -> None:
        if self.running and not self._cancel.cancelled:
            self._cancel.cancel()
            self.notify("Stopping. The text stays here. Press Esc again to close.", timeout=3, markup=False)
        else:
            self.dismiss(None)

    def action_other(self) -> None:
        self.panels[1 - self.focused_panel.number].scroll.focus()

    def action_keep(self, side: int) -> None:
        trial = self.panels[side].trial
        if trial is None:
            self.notify(f"{SIDES[side]} has no answer to keep.", timeout=3, markup=False)
            return
        self._cancel.cancel()
        self.dismiss(Kept(self._comparison.sides[side], trial))

    def action_copy(self) -> None:
        panel = self.focused_panel
        copy(self.app, panel.answer.copied, f"The answer of {SIDES[panel.number]}")

    def action_reasoning(self) -> None:
        self.focused_panel.answer.toggle_reasoning()

    def action_scroll(self, where: str) -> None:
        getattr(self.focused_panel.scroll, f"scroll_{where}")(animate=False)


_HOW_IT_ENDED = {"length": "cut", "repeats": "stopped: it repeated itself", "cancelled": "stopped"}


def footer(finished: AnswerFinished) -> Content:
    """What an answer cost and which passages it is based on."""
    timings = finished.timings
    facts = [f"first word after {human_seconds(timings.ttft_s)}"] if timings.ttft_s else []
    if timings.decode_tok_s:
        facts.append(f"{timings.decode_tok_s:.1f} tokens/s")
    if timings.completion_tokens:
        facts.append(counted(timings.completion_tokens, "token"))
    if finished.finish_reason != "stop":
        facts.append(_HOW_IT_ENDED.get(finished.finish_reason, "failed"))
    lines = [Content.styled(" · ".join(facts), DIM)] if facts else []
    lines = [
        *check_lines(finished.check, to_look_at(finished.quotes, finished.citations, finished.check)),
        *lines,
    ]
    used = [citation for citation in finished.citations if is_used(citation, finished.check)]
    for citation in used:
        place = f"{file_name(citation.hit.path)}, {clean_line(citation.hit.place)}"
        lines.append(
            Content.assemble(Content.styled(f"[{citation.n}] ", "$text-accent"), Content.styled(place, DIM))
        )
    if not used:
        lines.append(Content.styled("No citations.", DIM))
    return Content("\n").join(lines)
