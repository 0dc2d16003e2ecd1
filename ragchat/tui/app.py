"""The app: what outlives a screen (the model, downloads, indexing, the editor, quitting) and the keys that work everywhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import App, SuspendNotSupported, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from ragchat.errors import RagchatError
from ragchat.text import clean
from ragchat.tui import messages, tasks
from ragchat.tui.appearance import Appearance
from ragchat.tui.downloads import Downloads
from ragchat.tui.garbage_collection import QuietCollector
from ragchat.tui.screens.chat import ChatScreen
from ragchat.tui.signals import end_on_signals
from ragchat.tui.state import JobState, ModelPhase, ModelState
from ragchat.tui.trainings import KIND as TRAINING
from ragchat.tui.widgets.conversation import ConversationPane
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services

MANUAL = "manual"
"""The knowledge base that every installation has."""


class RagchatApp(App[None]):
    """Everything heavy happens in workers after the first paint; handlers here only replace `model_state` and `jobs`."""

    TITLE = "ragchat"
    CSS_PATH: ClassVar[list[str | PurePath]] = ["ragchat.tcss", "few_colours.tcss"]
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark", "help", "Help", id="app.help", tooltip="Help: all keys and commands"),
        Binding("f2", "choose_model", "Model", id="app.model", priority=True, tooltip="Choose a model"),
        Binding("f4", "add_documents", "Add documents", id="app.add_documents", priority=True),
        Binding("f9", "jobs", "Jobs", id="app.jobs", priority=True, show=False),
        Binding(
            "f11",
            "evaluation",
            "Verdict",
            id="app.evaluation",
            priority=True,
            show=False,
            tooltip="See which configuration is recommended",
        ),
        Binding("ctrl+g", "jump", "Jump", id="app.jump", priority=True, show=False),
        Binding("f10,ctrl+comma", "settings", "Settings", id="app.settings", priority=True, show=False),
        Binding("ctrl+p", "command_palette", "All commands", id="app.palette", priority=True, show=False),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
    ]

    model_state: reactive[ModelState] = reactive(ModelState())
    jobs: reactive[dict[str, JobState]] = reactive(dict)

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.services = services
        self._load_cancel = CancelToken()
        self._manual_cancel = CancelToken()
        self._downloads = Downloads()
        self._quiet = QuietCollector()
        self._put_signals_back: Callable[[], None] = lambda: None
        self.looked_around = False
        """Whether it is known what is installed."""
        self._lent = False
        """Whether an editor has the terminal."""
        name_alt_keys()
        self.appearance = Appearance(self, services)

    def get_default_screen(self) -> Screen[None]:
        return ChatScreen(self.services)

    @property
    def chat(self) -> ChatScreen:
        screen = self.screen_stack[0]
        assert isinstance(screen, ChatScreen)
        return screen

    def on_mount(self) -> None:
        self._put_signals_back = end_on_signals(
            lambda: self.call_later(self.action_quit),
            lambda: self.chat.pane.drafts.write(),
            lent=lambda: self._lent,
        )
        self._quiet.start()
        self.set_interval(0.25, self._quiet.look)
        self.appearance.begin()
        self._look_around()

    # --- start --------------------------------------------------------------------------------------

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="start", description="see what is installed"
    )
    def _look_around(self) -> None:
        def look() -> None:
            services = self.services
            self.call_from_thread(self._take_model, services.model.selected, services.model.suspicion())
            statuses, default = services.documents.statuses(), services.documents.asked_by_default()
            self.chat.post_message(messages.KnowledgeBasesListed(statuses, default))
            own = [name for name in default if name != MANUAL]
            self.call_from_thread(self.chat.upkeep.begin, statuses, own)
            if all(status.name == MANUAL and not status.indexed for status in statuses):
                services.documents.index_manual(self._manual_cancel)
                self.chat.list_knowledge()

        tasks.reporting(self.services, "checking what is installed", self.post_message, look)

    def _take_model(self, name: str, suspicion: str) -> None:
        if not name:
            self.model_state = ModelState("none")
        elif suspicion:
            self.model_state = ModelState("suspect", name, sentence=suspicion)
            self._tell(
                f"{suspicion} It loads when you ask a question or choose it with F2.",
                "",
                "warning",
            )
        elif self.services.preferences.settings.ui.load_at_start:
            self.use_model("")
        else:
            self.model_state = ModelState("idle", name)

    @on(ChatScreen.Surveyed)
    def _greet(self, event: ChatScreen.Surveyed) -> None:
        self.looked_around = True
        new = self.model_state.phase == "none" or not (event.knowledge_bases or event.has_chats)
        if new and self.screen is self.chat and not self.chat.pane.prompt.text:
            from ragchat.tui.screens.welcome import WelcomeScreen

            self.push_screen(WelcomeScreen(), self._after_welcome)

    def _after_welcome(self, question: str | None) -> None:
        if question:
            self.chat.pane.prompt.put(question)

    def type_into_prompt(self, text: str) -> None:
        """As if it had been typed there."""
        self.chat.pane.prompt.insert(text)

    # --- model --------------------------------------------------------------------------------------

    def use_model(self, name: str) -> None:
        """Choose a model and load it; empty: load the one that is chosen."""
        if self.chat.pane.live is not None:
            self._tell("The model is writing an answer. Press Esc to stop it.", "")
            return
        self._load_cancel.cancel()
        self._load_cancel = CancelToken()
        self.model_state = ModelState("loading", name or self.services.model.selected)
        if name:
            self.chat.model_chosen(name)
        self._load_model(name, self._load_cancel)

    @work(thread=True, exclusive=True, exit_on_error=False, group="model", description="load the model")
    def _load_model(self, name: str, cancel: CancelToken) -> None:
        def post(message: object) -> None:
            if not cancel.cancelled and isinstance(message, Message):
                self.post_message(message)

        tasks.load_model(self.services, name, cancel, post)

    @on(messages.ModelLoadAdvanced)
    def _show_loading(self, event: messages.ModelLoadAdvanced) -> None:
        phase: ModelPhase = "measuring" if event.stage == "measure" else "loading"
        self.model_state = replace(self.model_state, phase=phase, fraction=event.fraction)

    @on(messages.ModelLoaded)
    def _show_loaded(self, event: messages.ModelLoaded) -> None:
        if event.info is None:
            self.model_state = replace(self.model_state, phase="idle")
        else:
            self.model_state = ModelState("ready", event.info.name, 1.0, event.info.n_ctx)

    @on(ConversationPane.Busy)
    def _look_at_model(self) -> None:
        # A question loads the model that is not loaded yet, and a model process that died has nothing loaded.
        info = self.services.model.info
        if info is not None:
            self.model_state = ModelState("ready", info.name, 1.0, info.n_ctx)
        elif self.chat.pane.live is None and self.model_state.phase == "ready":
            self.model_state = replace(self.model_state, phase="idle")

    @on(messages.ModelFailed)
    def _show_failed(self, event: messages.ModelFailed) -> None:
        self.model_state = replace(self.model_state, phase="failed", sentence=event.sentence)
        self._tell(event.sentence, event.remedy, "error")

    def action_choose_model(self) -> None:
        self.open_models()

    def open_models(self) -> None:
        """The list of models, over whatever is there."""
        from ragchat.tui.screens.choose import ModelPicker

        self.push_screen(ModelPicker(self.services.model.selected))

    # --- downloads and indexing ---------------------------------------------------------------------

    def start_pull(self, name: str, *, use: bool = False) -> None:
        """Fetch a model, after the one that is being fetched. `use`: chat with it from then on."""
        running = self.jobs.get("pull")
        if running is not None and running.running and running.name == name:
            self._tell(f"{name} is already being downloaded. Press Ctrl+X to stop it.", "")
            return
        self._downloads.add(name, use=use)
        if self.model_state.phase == "none":
            self._downloads.add_embedding(self.services.models.embedding_to_fetch())
        if running is None or not running.running:
            self._pull_next()
        else:
            self._tell(f"{name} will be downloaded after {running.name}.", "")

    def _pull_next(self) -> None:
        if not (name := self._downloads.next()):
            return
        job = self._set_job(JobState("pull", name, "bytes", doing="downloading"))
        self._pull(name, job.cancel)

    @work(thread=True, exclusive=True, exit_on_error=False, group="pull", description="download a model")
    def _pull(self, name: str, cancel: CancelToken) -> None:
        tasks.pull_model(self.services, name, cancel, self.post_message)

    def start_tune(self, name: str) -> None:
        """Measure how a model runs best, while no answer is written. A question stops it."""
        running = self.jobs.get("tune")
        if running is not None and running.running:
            self._tell(f"{running.name} is already being measured. Press Ctrl+X to stop it.", "")
            return
        if self.chat.pane.live is not None:
            self._tell("Wait for the end of the answer, or stop it. Then measure the model.", "")
            return
        job = self._set_job(JobState("tune", name, "percent", total=100, doing="measuring"))
        self._tune(name, job.cancel)

    @work(thread=True, exclusive=True, exit_on_error=False, group="tune", description="measure a model")
    def _tune(self, name: str, cancel: CancelToken) -> None:
        tasks.tune_model(self.services, name, cancel, self.post_message)

    @on(messages.TuneAdvanced)
    def _show_tune(self, event: messages.TuneAdvanced) -> None:
        job = replace(self.jobs["tune"], done=round(100 * event.done), eta_s=event.eta_s, detail=event.doing)
        self._set_job(job)

    @on(messages.TuneEnded)
    def _end_tune(self, event: messages.TuneEnded) -> None:
        job = replace(self.jobs["tune"], running=False, failed=event.failed, sentence=event.sentence)
        self._end_job(job)

    @on(messages.PullAdvanced)
    def _show_pull(self, event: messages.PullAdvanced) -> None:
        self._set_job(
            replace(self.jobs["pull"], done=event.done, total=event.total, rate=event.rate, eta_s=event.eta_s)
        )

    @on(messages.PullEnded)
    def _end_pull(self, event: messages.PullEnded) -> None:
        from ragchat.tui.screens.choose import ModelPicker

        done = event.path is not None
        if not done:
            self._downloads.drop()  # what stopped this one, a lost connection or you, stops the others too
        sentence = self._downloads.arrival(event.name) if done else f"{event.sentence} {event.remedy}".strip()
        failed = not done and not self.jobs["pull"].cancel.cancelled
        self._end_job(replace(self.jobs["pull"], running=False, failed=failed, sentence=sentence))
        for screen in self.screen_stack:
            if isinstance(screen, ModelPicker):
                screen.pull_ended()
        if event.path is not None:
            self._take_fetched(event.name, event.path.stem)
        self._pull_next()

    def _take_fetched(self, name: str, installed: str) -> None:
        """A model is there, under the name `installed`: use it when there is no other, or when that was wanted."""
        if not self._downloads.chats(name):
            return
        if self._downloads.wants(name) and self.chat.pane.live is None:
            self.use_model(installed)
            self._keep_model(installed)
        elif self.model_state.phase in ("none", "failed"):
            self.use_model(installed)

    @work(thread=True, exit_on_error=False, group="keep model", description="save the choice of model")
    def _keep_model(self, name: str) -> None:
        def keep() -> None:
            self.services.preferences.set("model.name", name)

        tasks.reporting(self.services, "keeping the model", self.post_message, keep)

    def add_model(self, file: Path) -> None:
        """Take in a model file of yours, where it is, and use it."""
        self.jobs = {kind: job for kind, job in self.jobs.items() if kind != "pull" or job.running}
        self._add_model(file)

    @work(thread=True, exclusive=True, exit_on_error=False, group="add model", description="add a model file")
    def _add_model(self, file: Path) -> None:
        def add() -> None:
            name = self.services.models.add(file)
            self.call_from_thread(self.use_model, name)

        tasks.reporting(self.services, "adding the model", self.post_message, add)

    def start_sync(self, name: str, paths: list[Path]) -> bool:
        """Add documents to a knowledge base; whether it began, for there is one run at a time."""
        running = self.jobs.get("sync")
        if running is not None and running.running:
            self._tell(f"“{running.name}” is already being indexed. Press Ctrl+X to stop it.", "")
            return False
        job = self._set_job(JobState("sync", name, "files", doing="indexing"))
        self._sync(name, paths, job.cancel)
        return True

    @work(thread=True, exclusive=True, exit_on_error=False, group="sync", description="index documents")
    def _sync(self, name: str, paths: list[Path], cancel: CancelToken) -> None:
        with self.chat.upkeep.alone(name):
            tasks.sync(self.services, name, paths, cancel, self.post_message)
        self.chat.list_knowledge()
        if paths:
            self.call_from_thread(self._offer_added, name)

    def _offer_added(self, name: str) -> None:
        """Say so when the chat has a choice of its own, which documents that were added do not change."""
        chosen = self.chat.pane.options.knowledge_bases
        if chosen is not None and name not in chosen:
            asked = ", ".join(chosen) or "no documents"
            self._tell(f"This chat asks {asked}. Press F3 to ask {name}.", "")

    @on(messages.SyncAdvanced)
    def _show_sync(self, event: messages.SyncAdvanced) -> None:
        job = replace(
            self.jobs["sync"], done=event.done, total=event.total, rate=event.rate, eta_s=event.eta_s
        )
        self._set_job(replace(job, detail=event.path))

    @on(messages.SyncEnded)
    def _end_sync(self, event: messages.SyncEnded) -> None:
        failed = event.status is None and not event.cancelled
        sentence = f"{event.sentence} {event.remedy}".strip()
        self._end_job(replace(self.jobs["sync"], running=False, failed=failed, sentence=sentence))

    def _set_job(self, job: JobState) -> JobState:
        self.jobs = {**self.jobs, job.kind: job}
        return job

    def _end_job(self, job: JobState) -> None:
        self._set_job(job)
        if not self.screen.query("JobLine"):  # which says it already
            self._tell(job.sentence, "", "error" if job.failed else "information")

    def stop_job(self, kind: str) -> None:
        """Ask a download or an indexing run to end."""
        job = self.jobs.get(kind)
        if job is not None and job.running:
            job.cancel.cancel()
            if kind.startswith(TRAINING):
                self.chat.trainings.ask(job.name, "cancel")

    def pause_job(self, kind: str) -> bool:
        """Let a training wait, or continue; whether it is one."""
        job = self.jobs.get(kind)
        if job is None or not kind.startswith(TRAINING):
            return False
        self.chat.trainings.pause_or_resume(job.name)
        return True

    def take_training(self, job: JobState) -> None:
        """A training has said where it is."""
        known = self.jobs.get(job.kind)
        if known is not None and known.running:
            job = replace(job, cancel=known.cancel if job.running else job.cancel)
            if not job.running:
                self._end_job(job)
                self.chat.training_ended()
                return
        self._set_job(job)

    def open_training(self) -> None:
        """The window that begins a training, over whatever is there."""
        from ragchat.tui.screens.train import Train

        self.push_screen(Train(self.services, self.chat.trainings))

    def clear_jobs(self) -> None:
        """Forget the jobs that have ended."""
        self.chat.trainings.forget_ended()
        self.jobs = {kind: job for kind, job in self.jobs.items() if job.running}

    def action_add_documents(self) -> None:
        self.open_add_documents()

    def open_add_documents(self) -> None:
        """The window that adds documents, over whatever is there."""
        from ragchat.tui.screens.add_documents import AddDocuments

        self.push_screen(AddDocuments())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("choose_model", "add_documents"):
            if not self.screen_stack:
                return False
            if getattr(self.screen, "first_steps", False):
                return True
            whole = not isinstance(self.screen, ModalScreen)
            return whole and (self.screen is self.chat or action == "add_documents")
        return True

    # --- help, palette, editor, trouble -------------------------------------------------------------

    def action_help(self) -> None:
        from ragchat.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_jobs(self) -> None:
        from ragchat.tui.screens.jobs import JobsScreen

        if isinstance(self.screen, JobsScreen):
            self.screen.dismiss(None)
        elif not isinstance(self.screen, ModalScreen):
            self.push_screen(JobsScreen())

    def action_evaluation(self) -> None:
        from ragchat.tui.screens.evaluation import EvaluationScreen

        if not isinstance(self.screen, (EvaluationScreen, ModalScreen)):

            def back(_: None) -> None:
                self.chat.look_at_verdict()

            self.push_screen(EvaluationScreen(self.services), back)

    def action_jump(self) -> None:
        from ragchat.tui.screens.jump import begin

        begin(self)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        from ragchat.tui.palette import commands

        yield from commands(screen)
        yield SystemCommand("Theme", "Change colours", self.action_change_theme)
        yield SystemCommand("Train an adapter", "Fine-tune the model on your own data", self.open_training)

    def get_key_display(self, binding: Binding) -> str:
        display = super().get_key_display(binding)
        return display.upper() if display[:1] == "f" and display[1:].isdigit() else display

    def action_settings(self) -> None:
        from ragchat.tui.screens.settings import SettingsScreen

        if not isinstance(self.screen, (SettingsScreen, ModalScreen)):
            self.push_screen(SettingsScreen(self.services, self.appearance))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.appearance.calm(event.widget)

    @on(messages.EditTargetReady)
    def _edit(self, event: messages.EditTargetReady) -> None:
        from ragchat.tui.editor import run_editor

        if event.note:
            self._tell(event.note, "")
        self._lent = True
        try:
            run_editor(
                self.services.preferences.settings.ui.editor,
                os.environ,
                event.path,
                line=event.line,
                suspend=self.suspend,
            )
            if event.then is not None:
                event.then()
        except SuspendNotSupported:
            self._tell(
                f"This terminal cannot run an editor. The file is {event.path}, line {event.line}.",
                "",
                "warning",
            )
        except RagchatError as error:
            self._tell(str(error), error.remedy, "error")
        finally:
            self._lent = False

    @on(messages.NoticeGiven)
    def _give_notice(self, event: messages.NoticeGiven) -> None:
        self._tell(event.sentence, event.remedy, "warning")

    @on(messages.TroubleReported)
    def _report(self, event: messages.TroubleReported) -> None:
        self._tell(event.sentence, event.remedy, "error")

    def _tell(self, sentence: str, remedy: str, severity: SeverityLevel = "information") -> None:
        text = clean(f"{sentence} {remedy}".strip())
        self.notify(text, severity=severity, timeout=5 if severity == "information" else 8, markup=False)

    # --- the end ------------------------------------------------------------------------------------

    async def action_quit(self) -> None:
        """Stop what runs, keep what was typed, go."""
        self._load_cancel.cancel()
        self._manual_cancel.cancel()
        for job in self.jobs.values():  # trainings go on: theirs is a process of its own
            job.cancel.cancel()
        self.chat.upkeep.stop()
        self.chat.pane.stop()
        self.chat.pane.hold_typed()
        with contextlib.suppress(RagchatError, OSError):
            await asyncio.to_thread(self.chat.pane.drafts.write)
        self.exit()

    def on_unmount(self) -> None:
        self._quiet.stop()
        self._put_signals_back()

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.InputEvent):
            self._quiet.touched()
        await super().on_event(event)


class _Alt(StrEnum):
    """Keys that `textual.keys.Keys` lacks, under the names that the Kitty protocol gives them."""

    ENTER = "alt+enter"
    COMMA = "alt+comma"
    FULL_STOP = "alt+full_stop"


def name_alt_keys() -> None:
    """Tell Textual what Alt makes of these in terminals without the Kitty protocol: it would read the plain key, and send."""
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

    if isinstance(ANSI_SEQUENCES_KEYS, dict):
        for sequence, key in (("\x1b\r", _Alt.ENTER), ("\x1b,", _Alt.COMMA), ("\x1b.", _Alt.FULL_STOP)):
            ANSI_SEQUENCES_KEYS[sequence] = (key,)
