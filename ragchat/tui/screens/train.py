"""Beginning a training: what the adapter is called, what it is to learn, and from what. How far it is, the jobs window shows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Checkbox, Input, RadioSet, Static

from ragchat.app.typed_paths import existing_file
from ragchat.errors import RagchatError
from ragchat.llm.adapters import check_adapter_name
from ragchat.text import clean_line, counted
from ragchat.tui import tasks
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.widgets.toggles import Check, Radio

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.app.trainings import TrainingData
    from ragchat.tui.trainings import Trainings

MODES = (
    ("task", "task: what to do with an input"),
    ("style", "style: how to write answers"),
    ("knowledge", "knowledge: facts, to answer without documents"),
    ("rag", "rag: answer from passages and cite them"),
)
_NO_DATA = (
    "There is no training data yet. In a chat, press + to rate an answer good or w to correct it. `ragchat pairs draft NAME`"
    " drafts questions from documents. You can also use a JSONL or CSV file."
)
_DIM = "$foreground 62%"


class Train(Dialog[None]):
    """Begins `ragchat finetune`; the settings that are not asked here are its defaults."""

    TITLE_TEXT: ClassVar[str] = "Train an adapter for this model"
    HELP_TEXT: ClassVar[str] = "Tab moves on · Space chooses · Ctrl+S starts · Esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "begin", "Begin", id="train.begin", priority=True),
    ]

    def __init__(self, services: Services, trainings: Trainings) -> None:
        super().__init__()
        self._services, self._trainings = services, trainings

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="fields", can_focus=False):
            yield Static(Content("Name"), classes="label")
            yield Line(placeholder="support-style")
            yield Static(Content("What the adapter learns"), classes="label")
            with RadioSet():
                for name, meaning in MODES:
                    yield Radio(Content(meaning), value=name == "task", id=f"mode-{name}")
            yield Static(Content("From"), classes="label")
            yield Check(Content("answers that you rated good or corrected"), id="rated", disabled=True)
            yield VerticalScroll(id="pairs", can_focus=False)
            file = Line(placeholder="JSONL or CSV file (optional)")
            file.id = "file"
            yield file
        yield Static(Content(""), id="note")

    def on_mount(self) -> None:
        self._look()

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="training data", description="look for data"
    )
    def _look(self) -> None:
        def look() -> None:
            data = self._services.trainings.data()
            self.app.call_from_thread(self._show, data)

        tasks.reporting(self._services, "looking for training data", self.post_message, look)

    def _show(self, data: TrainingData) -> None:
        rated = self.query_one("#rated", Checkbox)
        rated.label = Content(f"{counted(data.rated, 'answer')} rated good or corrected")
        rated.disabled, rated.value = not data.rated, bool(data.rated)
        pairs = self.query_one("#pairs", VerticalScroll)
        boxes = []
        for name, kept in data.pairs.items():
            fresh = data.unreviewed.get(name, 0)
            note = f", {fresh} not reviewed" if fresh else ""
            label = Content(f"{counted(kept, 'question')} drafted from {clean_line(name)}{note}")
            boxes.append(Check(label, name=name))
        pairs.mount(*boxes)
        if not data.rated and not boxes:
            self._say(_NO_DATA, _DIM)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        self.action_begin()

    def action_begin(self) -> None:
        name = self.query_one(Line).value.strip()
        try:
            check_adapter_name(name)
        except RagchatError as error:
            self._say(f"{error} {error.remedy}".strip(), "$text-error")
            self.query_one(Line).focus()
            return
        pressed = self.query_one(RadioSet).pressed_button
        mode = pressed.id.removeprefix("mode-") if pressed is not None and pressed.id else "task"
        sources = ["--chats"] if self.query_one("#rated", Checkbox).value else []
        for box in self.query("#pairs Checkbox").results(Checkbox):
            if box.value and box.name:
                sources += ["--kb", box.name]
        if path := self.query_one("#file", Line).value.strip():
            try:
                sources += ["--file", os.path.realpath(existing_file(path))]
            except RagchatError as error:
                self._say(f"{error} {error.remedy}".strip(), "$text-error")
                self.query_one("#file", Line).focus()
                return
        if not sources:
            self._say("Choose the training data.", "$text-error")
            return
        if mode == "rag" and "--kb" not in sources:
            self._say("The mode rag needs questions drafted from documents.", "$text-error")
            return
        model = self._services.model.selected
        named = ["--model", model] if model else []
        self._trainings.begin([name, "--mode", mode, *named, *sources], name)
        self.app.notify("The training has started. Press F9 to see its progress.", timeout=5, markup=False)
        self.dismiss(None)

    def _say(self, sentence: str, style: str) -> None:
        self.query_one("#note", Static).update(Content.styled(clean_line(sentence), style))
