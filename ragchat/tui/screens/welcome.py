"""The first start: three steps, each one key. Nothing here is in the way: Esc goes to the chat."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Protocol, cast

from textual import events, on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.tui.screens.dialog import Dialog
from ragchat.tui.state import ModelState
from ragchat.tui.widgets.job_line import JobLine


class Host(Protocol):
    """What the first start needs of the app."""

    def open_models(self) -> None: ...
    def open_add_documents(self) -> None: ...
    def stop_job(self, kind: str) -> None: ...
    def type_into_prompt(self, text: str) -> None: ...


class WelcomeScreen(Dialog[str]):
    """Gives "manual" when the manual shall be asked, None otherwise."""

    TITLE_TEXT: ClassVar[str] = "Welcome to ragchat"
    HELP_TEXT: ClassVar[str] = "1, 2, 3 or Enter chooses a step · Esc goes to the chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "step('model')", "A model", id="welcome.model", show=False),
        Binding("2", "step('documents')", "Your documents", id="welcome.documents", show=False),
        Binding("3", "step('ask')", "Ask", id="welcome.manual", show=False),
        Binding("ctrl+x", "stop", "Stop a download or indexing", id="welcome.stop", show=False),
    ]

    def __init__(self, *, has_documents: bool) -> None:
        super().__init__()
        self._has_documents = has_documents

    def body(self) -> Iterable[Widget]:
        yield Static(
            Content.styled(
                "It talks to a language model on this machine and to your own documents. Nothing leaves it. Three steps:",
                "$foreground 62%",
            ),
            classes="intro",
        )
        yield OptionList()
        yield JobLine("pull")
        yield JobLine("sync")

    def on_mount(self) -> None:
        self.watch(self.app, "model_state", self._show)
        self.watch(self.app, "jobs", self._note_jobs, init=False)
        self.query_one(OptionList).focus()

    def _note_jobs(self, jobs: object) -> None:
        job = jobs.get("sync") if isinstance(jobs, dict) else None
        if job is not None and not job.running and not job.failed and not self._has_documents:
            self._has_documents = True
            self.query_one(OptionList).highlighted = None  # on to the next step
            self._show(getattr(self.app, "model_state", None))

    def _show(self, state: object) -> None:
        ready = isinstance(state, ModelState) and state.phase not in ("none", "failed")
        name = clean_line(state.name, limit=40) if isinstance(state, ModelState) else ""
        steps = [
            (
                "model",
                "1",
                "A model to talk to",
                f"{name} is here" if ready else "choose one and fetch it, once",
                ready,
            ),
            (
                "documents",
                "2",
                "Your documents",
                "added" if self._has_documents else "a folder or a file to ask about",
                self._has_documents,
            ),
            (
                "ask",
                "3",
                "Ask",
                "your documents, about anything that stands in them"
                if self._has_documents
                else "try it on ragchat's own manual: “How do I add documents?”",
                False,
            ),
        ]
        options = self.query_one(OptionList)
        before = options.highlighted
        options.set_options(
            [Option(_step(number, title, what, done), id=key) for key, number, title, what, done in steps]
        )
        first = next((i for i, step in enumerate(steps) if not step[4]), 0)
        options.highlighted = first if before is None else before

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        self.action_step(event.option.id or "")

    def action_step(self, step: str) -> None:
        host = cast(Host, self.app)
        match step:
            case "model":
                host.open_models()
            case "documents":
                host.open_add_documents()
            case "ask":
                self.dismiss(None if self._has_documents else "manual")

    def on_key(self, event: events.Key) -> None:
        """Whoever just begins to type means the prompt."""
        if event.character and (event.character.isalpha() or not self.is_current):
            event.stop()
            cast(Host, self.app).type_into_prompt(event.character)
            if self.is_current:
                self.dismiss(None)

    def action_stop(self) -> None:
        host = cast(Host, self.app)
        host.stop_job("pull")
        host.stop_job("sync")


def _step(number: str, title: str, what: str, done: bool) -> Content:
    mark = (
        Content.styled("✓ ", "$text-success bold")
        if done
        else Content.styled(f"{number} ", "$text-accent bold")
    )
    return Content.assemble(
        mark, Content.styled(title, "bold"), Content.styled(f"\n  {what}", "$foreground 62%")
    )
