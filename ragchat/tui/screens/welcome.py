"""The first start: a model, your documents, a question. Facts tick the steps off; Esc goes to the chat at any time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual import events, on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line, counted
from ragchat.tui.screens.dialog import Dialog
from ragchat.tui.state import JobState, ModelState
from ragchat.tui.widgets.empty_chat import EmptyChat
from ragchat.tui.widgets.job_line import JobLine

if TYPE_CHECKING:
    from ragchat.tui.screens.chat import ChatScreen
    from ragchat.types import KnowledgeBaseStatus

MANUAL = "manual"
MANUAL_QUESTION = "How do I add documents?"
_QUIET = "$foreground 62%"


class Host(Protocol):
    """What the first start needs of the app."""

    @property
    def chat(self) -> ChatScreen: ...
    def open_models(self) -> None: ...
    def open_add_documents(self) -> None: ...
    def stop_job(self, kind: str) -> None: ...
    def type_into_prompt(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its key, what it is about, what to do or what is done, and whether it is done."""

    key: str
    number: str
    title: str
    what: str
    done: bool = False


class WelcomeScreen(Dialog[str]):
    """Gives a question for the prompt; empty: you type your own; None: you closed the window."""

    TITLE_TEXT: ClassVar[str] = "Welcome to ragchat"
    HELP_TEXT: ClassVar[str] = "Enter does the next step · 1, 2, 3 choose a step · Esc opens the chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "step('model')", "A model", id="welcome.model", show=False, priority=True),
        Binding(
            "2", "step('documents')", "Your documents", id="welcome.documents", show=False, priority=True
        ),
        Binding("3", "step('ask')", "Ask", id="welcome.manual", show=False),
        Binding("ctrl+x", "stop", "Stop a download or indexing", id="welcome.stop", show=False),
    ]

    first_steps: ClassVar[bool] = True
    """The keys of the app for a model and for documents work here too."""

    def __init__(self) -> None:
        super().__init__()
        self._model = ModelState()
        self._jobs: dict[str, JobState] = {}
        self._statuses: tuple[KnowledgeBaseStatus, ...] = ()
        self._next = ""

    def body(self) -> Iterable[Widget]:
        yield Static(
            Content.styled(
                "Ask your own documents. The model and the search run on this machine. Your documents stay here.",
                _QUIET,
            ),
            classes="intro",
        )
        yield OptionList()
        yield JobLine("pull")
        yield JobLine("sync")

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    def on_mount(self) -> None:
        self.watch(self.app, "model_state", self._take_model)
        self.watch(self.app, "jobs", self._take_jobs)
        self.watch(self.host.chat.query_one(EmptyChat), "statuses", self._take_statuses)
        self.query_one(OptionList).focus()

    # --- the facts ----------------------------------------------------------------------------------

    def _take_model(self, state: ModelState) -> None:
        self._model = state
        self._show()

    def _take_jobs(self, jobs: dict[str, JobState]) -> None:
        self._jobs = jobs
        self._show()

    def _take_statuses(self, statuses: tuple[KnowledgeBaseStatus, ...] | None) -> None:
        self._statuses = statuses or ()
        self._show()

    def _runs(self, kind: str) -> bool:
        job = self._jobs.get(kind)
        return job is not None and job.running

    @property
    def _own(self) -> list[KnowledgeBaseStatus]:
        """Your own knowledge bases that have documents."""
        return [status for status in self._statuses if status.name != MANUAL and status.indexed]

    @property
    def _has_model(self) -> bool:
        return self._model.phase not in ("none", "failed")

    @property
    def _has_manual(self) -> bool:
        return any(status.name == MANUAL and status.indexed for status in self._statuses)

    # --- the steps ----------------------------------------------------------------------------------

    def _steps(self) -> list[Step]:
        return [
            Step("model", "1", "A model", self._about_model(), self._has_model),
            Step("documents", "2", "Your documents", self._about_documents(), bool(self._own)),
            Step("ask", "3", "Ask", self._about_asking()),
        ]

    def _about_model(self) -> str:
        name = clean_line(self._model.name, limit=40)
        if self._has_model:
            return f"{name} is ready" if self._model.phase == "ready" else f"{name} is installed"
        if self._runs("pull"):
            return "is being downloaded; continue with step 2"
        failed = f"{name} did not load. " if self._model.phase == "failed" else ""
        return f"{failed}press Enter to choose a model to download, or use a GGUF file of your own"

    def _about_documents(self) -> str:
        if self._own:
            documents = sum(status.indexed for status in self._own)
            names = ", ".join(clean_line(status.name, limit=30) for status in self._own[:3])
            return f"{counted(documents, 'document')} in {names}"
        return "are being read" if self._runs("sync") else "add a folder or a file to ask about"

    def _about_asking(self) -> str:
        if self._own:
            return "type a question about your documents; the answer cites its passages"
        if self._runs("sync"):
            return "as soon as the first documents are read"
        if self._has_manual:
            return f"without documents, try it on ragchat's own manual: “{MANUAL_QUESTION}”"
        return "when you have a model and documents"

    def _show(self) -> None:
        steps = self._steps()
        options = self.query_one(OptionList)
        chosen = options.highlighted
        options.set_options([Option(_shown(step), id=step.key) for step in steps])
        upcoming = next(
            (step.key for step in steps if not step.done and not self._under_way(step.key)), "ask"
        )
        moved_on = upcoming != self._next
        self._next = upcoming
        options.highlighted = options.get_option_index(upcoming) if moved_on or chosen is None else chosen

    def _under_way(self, key: str) -> bool:
        return (key == "model" and self._runs("pull")) or (key == "documents" and self._runs("sync"))

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.action_step(event.option.id or "")

    def action_step(self, step: str) -> None:
        match step:
            case "model":
                self.host.open_models()
            case "documents":
                self.host.open_add_documents()
            case "ask" if not self._has_model and not self._runs("pull"):
                self._refuse("Choose a model first: step 1.")
            case "ask" if self._own or self._runs("sync"):
                self.dismiss("")
            case "ask" if self._has_manual:
                self.dismiss(MANUAL_QUESTION)
            case "ask":
                self._refuse("Add documents first: step 2.")

    def _refuse(self, sentence: str) -> None:
        self.notify(sentence, timeout=4, markup=False)

    def on_key(self, event: events.Key) -> None:
        """Whoever just begins to type means the prompt."""
        if event.character and (event.character.isalpha() or not self.is_current):
            event.stop()
            self.host.type_into_prompt(event.character)
            if self.is_current:
                self.dismiss(None)

    def action_stop(self) -> None:
        self.host.stop_job("pull")
        self.host.stop_job("sync")


def _shown(step: Step) -> Content:
    mark = (
        Content.styled("✓ ", "$text-success bold")
        if step.done
        else Content.styled(f"{step.number} ", "$text-accent bold")
    )
    return Content.assemble(
        mark, Content.styled(step.title, "bold"), Content.styled(f"\n  {step.what}", _QUIET)
    )
