"""The chat's screen without what you do in it: panels that fold when the window is narrow, the list of chats, tabs, status."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from textual import events, on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from ragchat.app.open_chat import dropped, fitting_adapters
from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.background import Upkeep
from ragchat.tui.open_chats import OpenChats
from ragchat.tui.reading_ahead import ReadingAhead
from ragchat.tui.state import UsageState
from ragchat.tui.trainings import Trainings
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.conversation import ConversationPane
from ragchat.tui.widgets.empty_chat import EmptyChat
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.sources import SourcesPanel
from ragchat.tui.widgets.status_bar import KeyHints, StatusBar
from ragchat.tui.widgets.tabs import OpenChat, TabStrip
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import AdapterScale

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.store.chats import ChatStore
    from ragchat.types import ChatOptions, Conversation

TABS = "tabs"
"""The note that keeps which chats are open."""
MOST_CHATS = 20_000
DRAFT_IS_FRESH = timedelta(hours=24)
LIST_FROM, SOURCES_FROM, HINTS_FROM = 80, 100, 12
"""Columns from which a panel is beside the conversation, and rows from which the key hints are shown."""


@dataclass
class Names:
    """What slash commands complete; kept at hand, for it is asked for at every key."""

    models: Sequence[str] = ()
    adapters: Sequence[str] = ()
    presets: Sequence[str] = ()
    tags: Sequence[str] = ()
    templates: Sequence[str] = ()


class ChatFrame(Screen[None]):
    """Owns the panels and the list of chats; the conversation looks after itself."""

    class Surveyed(Message):
        """It is known for the first time what there is: names of knowledge bases, and whether there are chats."""

        def __init__(self, knowledge_bases: list[str], *, has_chats: bool) -> None:
            super().__init__()
            self.knowledge_bases = knowledge_bases
            self.has_chats = has_chats

    def __init__(self, services: Services) -> None:
        super().__init__()
        self._services = services
        self._docked = {"list": True, "sources": True}
        self._over = ""
        self.open_chats = OpenChats()
        self.names = Names()
        self._adapters_before: dict[int, tuple[AdapterScale, ...]] = {}
        """What was on in each chat when its adapters were switched off."""
        self._default_knowledge: tuple[str, ...] = ()
        self._knowledge_names: list[str] | None = None
        self._has_chats: bool | None = None
        self._surveyed = False
        self.upkeep = Upkeep(services)
        self.trainings = Trainings(services)
        self.reading = ReadingAhead(services)

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield ChatList()
            with Vertical(id="middle"):
                yield TabStrip()
                yield ConversationPane(self._services, EmptyChat(id="empty"))
            yield SourcesPanel()
        yield self.upkeep
        yield self.trainings
        yield self.reading
        yield StatusBar()
        yield KeyHints()

    def on_mount(self) -> None:
        self.watch(self.app, "model_state", self._show_model)
        self.watch(self.app, "jobs", self._show_jobs)
        self.watch(self.upkeep, "watching", self._show_watching)
        self.watch(self.pane.attachments, "chips", self._typed, init=False)
        self.query_one(Prompt).focus()
        self._start()

    # --- parts --------------------------------------------------------------------------------------

    @property
    def pane(self) -> ConversationPane:
        return self.query_one(ConversationPane)

    @property
    def sources(self) -> SourcesPanel:
        return self.query_one(SourcesPanel)

    # --- start ----------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, exit_on_error=False, group="startup", description="open the chats")
    def _start(self) -> None:
        def start() -> None:
            with tasks.chats(self._services) as store:
                store.recover()
                listed = store.conversations(MOST_CHATS)
                self.post_message(_listed(store, listed))
                self.post_message(messages.HistoryLoaded(store.prompt_history()))
                since = (datetime.now(UTC) - DRAFT_IS_FRESH).isoformat()
                draft = 0 if store.draft(0) else store.newest_draft(since=since)
                existing = {chat.id for chat in listed}
                self.app.call_from_thread(self._restore, store.note(TABS), existing, draft)

        tasks.reporting(self._services, "opening your chats", self.post_message, start)
        self.app.call_from_thread(lambda: self.pane.open(self.open_chats.current))

    def _restore(self, tabs: str, existing: Collection[int], draft: int) -> None:
        """The tabs as they were. If no chat was open, the one with the newest fresh draft; an older draft waits in its chat."""
        self.open_chats.restore(tabs, set(existing))
        if self.open_chats.numbers == [0] and draft in existing:
            self.open_chats.show(draft)

    # --- layout ---------------------------------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        if self._over and self._beside(self._over):
            self._over = ""
        self._arrange()

    def _beside(self, panel: str) -> bool:
        return self.size.width >= (LIST_FROM if panel == "list" else SOURCES_FROM)

    def _arrange(self) -> None:
        panels: dict[str, Widget] = {"list": self.query_one(ChatList), "sources": self.sources}
        for name, panel in panels.items():
            beside = self._beside(name)
            shown = self._docked[name] if beside else self._over == name
            if not shown and self.focused is not None and panel in self.focused.ancestors_with_self:
                self.query_one(Prompt).focus()
            panel.set_class(not beside, "-over")
            panel.display = shown
        self.set_class(self.size.height < HINTS_FROM, "-short")
        self.set_class(self.size.width < LIST_FROM, "-narrow")

    def _toggle(self, name: str, panel: Widget) -> None:
        if self._beside(name):
            self._docked[name] = not self._docked[name]
            opened = self._docked[name]
        else:
            self._over = "" if self._over == name else name
            opened = self._over == name
        self._arrange()
        if opened and not self._beside(name):
            (panel if panel.can_focus else self.query_one(ChatList).options).focus()

    def action_toggle_list(self) -> None:
        self._toggle("list", self.query_one(ChatList))

    def action_toggle_sources(self) -> None:
        self._toggle("sources", self.sources)

    @property
    def focus_chain(self) -> list[Widget]:
        """Tab goes from the prompt to the answers, on to their sources, to the chats and back."""
        places = (ConversationPane, Transcript, SourcesPanel, ChatList)

        def place(widget: Widget) -> int:
            if isinstance(widget, Prompt):
                return 0
            around = widget.ancestors_with_self
            return max(
                (n for n, kind in enumerate(places) if any(isinstance(w, kind) for w in around)), default=9
            )

        return sorted(super().focus_chain, key=place)

    @on(messages.HistoryLoaded)
    def _take_history(self, event: messages.HistoryLoaded) -> None:
        self.query_one(Prompt).load_history(event.questions)

    # --- chats and tabs -------------------------------------------------------------------------------

    @on(messages.ChatsListed)
    def _show_chats(self, event: messages.ChatsListed) -> None:
        self.names.presets = event.presets
        self.query_one(ChatList).show(event.conversations)
        self._has_chats = bool(event.conversations)
        self.names.tags = sorted({tag for chat in event.conversations for tag in chat.tags})
        self._mark()
        self._survey()

    def _survey(self) -> None:
        if not self._surveyed and self._knowledge_names is not None and self._has_chats is not None:
            self._surveyed = True
            self.post_message(self.Surveyed(self._knowledge_names, has_chats=self._has_chats))

    @property
    def chats(self) -> list[Conversation]:
        """The stored chats, as they are listed."""
        return self.query_one(ChatList).chats

    @on(ConversationPane.Stored)
    def _list_again(self) -> None:
        self.open_chats.stored(self.pane.conversation_id)
        self.change_chats("listing the chats", lambda _: None)
        self._mark()

    # Not exclusive: a change that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="chats", description="change the chats")
    def change_chats(self, doing: str, change: Callable[[ChatStore], object]) -> None:
        """Change what is stored, in a worker, and list the chats again."""

        def work() -> None:
            # One after the other, so that an older list never replaces a newer one.
            with self.pane.one_by_one, tasks.chats(self._services) as store:
                change(store)
                store.set_note(TABS, self.open_chats.as_text())
                self.post_message(_listed(store, store.conversations(MOST_CHATS)))

        tasks.reporting(self._services, doing, self.post_message, work)

    def open_chat(self, conversation_id: int, *, beside: bool = False, around: int = 0) -> None:
        """Read a chat, at its end or at a message; `beside`: in a tab of its own. 0 is a new one."""
        self.open_chats.show(conversation_id, beside=beside)
        if conversation_id != self.pane.conversation_id or conversation_id == 0:
            self.pane.open(conversation_id, around=around)
        elif around:
            self.pane.reload(around=around)
        self._over = ""
        self._arrange()
        if around:
            self.pane.transcript.focus()
        else:
            self.pane.prompt.focus()
        self._mark()
        self._keep_tabs()

    @work(thread=True, exit_on_error=False, group="tabs", description="save the open tabs")
    def _keep_tabs(self) -> None:
        def keep() -> None:
            with self.pane.one_by_one, tasks.chats(self._services) as store:
                store.set_note(TABS, self.open_chats.as_text())

        tasks.reporting(self._services, "saving the open tabs", self.post_message, keep)

    def action_next_tab(self, step: int) -> None:
        if (there := self.open_chats.beside(step)) != self.open_chats.current:
            self.open_chat(there)
        else:
            self.notify(
                "Only this chat is open. Press o in the list to open another.", timeout=3, markup=False
            )

    def action_close_tab(self) -> None:
        self.close_tab(self.open_chats.current)

    def close_tab(self, conversation_id: int) -> None:
        """Take a tab away; its chat stays in the list."""
        before = self.open_chats.current
        current = self.open_chats.close(conversation_id)
        if current != before or conversation_id == before:
            self.open_chat(current)
        else:
            self._mark()
            self._keep_tabs()

    @on(TabStrip.Chosen)
    def _tab_chosen(self, event: TabStrip.Chosen) -> None:
        self.open_chat(event.conversation_id)

    @on(TabStrip.Closed)
    def _tab_closed(self, event: TabStrip.Closed) -> None:
        self.close_tab(event.conversation_id)

    def _mark(self) -> None:
        live = self.pane.live
        answering = live.conversation_id if live is not None else 0
        self.query_one(ChatList).mark(current=self.pane.conversation_id, answering=answering)
        titles = {chat.id: chat.title for chat in self.chats}
        tabs = [
            OpenChat(
                number,
                titles.get(number, "New chat"),
                answering=bool(live) and number == answering,
                waiting=number in self.pane.waiting.chats,
            )
            for number in self.open_chats.numbers
        ]
        self.query_one(TabStrip).show(tabs, current=self.open_chats.current)
        said = ""
        if live is not None:
            where = "" if self.pane.showing(live) else f" in “{clean_line(live.question, limit=16)}”"
            said = f"answering{where}, press Esc to stop"
        if self.pane.waits is not None:
            said = "waiting, press Esc to cancel"
        self.query_one(StatusBar).answering = said

    # --- status ---------------------------------------------------------------------------------------

    @on(ConversationPane.Changed)
    def _chat_changed(self) -> None:
        self._mark()
        self._show_knowledge()
        self.reading.rest()

    @on(ConversationPane.Typed)
    def _typed(self) -> None:
        self.reading.typed()

    @on(ConversationPane.Answered)
    def _answered(self, event: ConversationPane.Answered) -> None:
        self.reading.answered(event.timings)

    @on(ConversationPane.Busy)
    def _busy_changed(self, event: ConversationPane.Busy) -> None:
        self._mark()
        if event.live is None:
            self._show_knowledge()
            self.reading.rest()
        else:
            self.look_for_knowledge()

    @on(ConversationPane.Asked)
    def _was_asked(self, event: ConversationPane.Asked) -> None:
        """What was really asked, which may be more than was listed last."""
        self.query_one(StatusBar).knowledge = ", ".join(event.knowledge_bases) or "no documents"

    @on(ConversationPane.Measured)
    def _measured(self, event: ConversationPane.Measured) -> None:
        bar = self.query_one(StatusBar)
        n_ctx = event.n_ctx or bar.model.n_ctx or bar.usage.n_ctx
        bar.usage = UsageState(
            event.used, n_ctx, event.timings or (bar.usage.timings if event.n_ctx else None)
        )

    def _show_model(self, state: object) -> None:
        from ragchat.tui.state import ModelState

        if isinstance(state, ModelState):
            bar = self.query_one(StatusBar)
            bar.model = state
            bar.usage = replace(bar.usage, n_ctx=state.n_ctx or bar.usage.n_ctx)
            if state.phase == "ready":
                self.reading.rest()

    def _show_jobs(self, jobs: object) -> None:
        if isinstance(jobs, dict):
            self.query_one(StatusBar).jobs = tuple(job for job in jobs.values() if job.running)

    @on(messages.KnowledgeBasesListed)
    def _knowledge_listed(self, event: messages.KnowledgeBasesListed) -> None:
        self._default_knowledge = event.default
        self._knowledge_names = [status.name for status in event.statuses]
        self.query_one(EmptyChat).statuses = tuple(event.statuses)
        self.list_names()
        self.look_at_verdict()
        self._show_knowledge()
        self._survey()

    @work(thread=True, exit_on_error=False, group="knowledge", description="list the knowledge bases")
    def list_knowledge(self) -> None:
        """Look again what there is."""

        def listing() -> None:
            services = self._services
            statuses, default = services.documents.statuses(), services.documents.asked_by_default()
            self.post_message(messages.KnowledgeBasesListed(statuses, default))

        tasks.reporting(self._services, "listing the knowledge bases", self.post_message, listing)

    @work(thread=True, exit_on_error=False, group="knowledge", description="look for other knowledge bases")
    def look_for_knowledge(self) -> None:
        """List the knowledge bases again when another program has made or removed one."""

        def look() -> None:
            documents = self._services.documents
            there = sorted(documents.names()), documents.asked_by_default()
            if there != (sorted(self.knowledge_names), self._default_knowledge):
                self.app.call_from_thread(self.list_knowledge)

        tasks.reporting(self._services, "listing the knowledge bases", self.post_message, look)

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="names", description="list what can be named"
    )
    def list_names(self) -> None:
        """Names that slash commands complete."""

        def names() -> None:
            models = self._services.models
            templates = [template.name for template in self._services.templates()[0]]
            listed = messages.NamesListed(
                models.names(), templates, models.adapter_names(self.pane.options.model)
            )
            self.post_message(listed)

        tasks.reporting(self._services, "listing models", self.post_message, names)

    @on(messages.NamesListed)
    def _take_names(self, event: messages.NamesListed) -> None:
        self.names.models, self.names.templates = event.models, event.templates
        self.names.adapters = event.adapters

    @on(messages.UpkeepAdvanced)
    def _kept_up(self, event: messages.UpkeepAdvanced) -> None:
        if event.sentence:
            self.notify(event.sentence, timeout=4, markup=False)
        if event.changed:
            self.list_knowledge()

    def _show_watching(self, names: frozenset[str]) -> None:
        self.query_one(StatusBar).watching = bool(names)

    def _show_knowledge(self) -> None:
        bar = self.query_one(StatusBar)
        bar.knowledge = ", ".join(self.asked_knowledge) or "no documents"
        bar.adapters = AdapterScale.join(self.pane.options.adapters)

    @property
    def knowledge_names(self) -> list[str]:
        """All knowledge bases there are, as far as is known."""
        return self._knowledge_names or []

    @property
    def asked_knowledge(self) -> tuple[str, ...]:
        """The knowledge bases that the next question goes to."""
        names = self.pane.options.knowledge_bases
        return self._default_knowledge if names is None else names

    # --- what this chat does otherwise than the settings ----------------------------------------------

    def use_knowledge(self, names: tuple[str, ...] | None) -> None:
        """Ask these from the next question on; None: nothing was chosen."""
        if names is None:
            return
        self.set_options(replace(self.pane.options, knowledge_bases=names, preset=""))

    @work(thread=True, exclusive=True, exit_on_error=False, group="verdict", description="read the verdict")
    def look_at_verdict(self) -> None:
        """Whether the newest evaluation still holds; the status bar says when it does not."""

        def look() -> None:
            stale = bool(self._services.evaluations.stale())
            self.app.call_from_thread(self._show_stale, stale)

        tasks.reporting(self._services, "reading the verdict", self.post_message, look)

    def _show_stale(self, stale: bool) -> None:
        self.query_one(StatusBar).stale = stale

    def training_ended(self) -> None:
        """There may be an adapter more."""
        self.list_names()
        self.look_at_verdict()

    def model_chosen(self, name: str) -> None:
        """Chats without a model of their own are answered by this one; adapters of another do not fit it."""
        options = self.pane.options
        if options.adapters and not options.model and name != self._services.model.selected:
            self.set_options(replace(options, adapters=()))
            self.notify(dropped(options.adapters), timeout=6, markup=False)
        self.pane.default_model = name

    def set_options(self, options: ChatOptions) -> None:
        """What this chat does otherwise than the settings, from the next question on."""
        options, off = fitting_adapters(self.pane.options, options)
        if off:
            self.notify(f"{off} Press Alt+A to see adapters for this model.", timeout=6, markup=False)
        before, self.pane.options = self.pane.options.adapters, options
        self._options_changed(before)
        self.pane.changes.do("saving the choice", lambda chat: chat.set_options(options, ""))

    def _options_changed(self, before: tuple[AdapterScale, ...]) -> None:
        """The pane has other options; `before` are the adapters that were on."""
        if before and not self.pane.options.adapters:
            self._adapters_before[self.pane.conversation_id] = before
        self._show_knowledge()


def _listed(store: ChatStore, chats: list[Conversation]) -> messages.ChatsListed:
    return messages.ChatsListed(chats, [name for name, _ in store.presets()])
