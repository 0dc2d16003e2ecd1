"""The main screen: chats, conversation, sources, status. Panels fold when the window is narrow and open over it on demand."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.foreign import citation_text
from ragchat.tui.state import UsageState
from ragchat.tui.upkeep import Upkeep
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.conversation import ConversationPane
from ragchat.tui.widgets.message import AnswerView
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.sources import SourcesPanel
from ragchat.tui.widgets.status_bar import KeyHints, StatusBar
from ragchat.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from ragchat.store.chats import ChatStore
    from ragchat.tui.screens.search import SearchScreen
    from ragchat.tui.services import Services
    from ragchat.types import Citation, Conversation, Hit

LIST_FROM, SOURCES_FROM, HINTS_FROM = 80, 100, 12
"""Columns from which a panel stands beside the conversation, and rows from which the key hints are shown."""

WELCOME = Content.assemble(
    Content.styled("What would you like to know?\n\n", "bold"),
    Content.styled(
        "Ask anything, or ask your documents: answers name the passages they stand on.\n\n", "$foreground 62%"
    ),
    *(
        part
        for key, what in (
            ("F2", "choose a model"),
            ("F3", "choose which documents are asked"),
            ("F4", "add documents: a folder or a file of yours"),
            ("^f", "search them, without a model"),
            ("F1", "all keys"),
        )
        for part in (
            Content.styled(f"{key:>4}  ", "$text-accent bold"),
            Content.styled(f"{what}\n", "$foreground 62%"),
        )
    ),
    Content.styled(
        "\nUntil you add documents, ragchat's own manual answers: try “What is ragchat?”\n", "$foreground 62%"
    ),
)


class ChatScreen(Screen[None]):
    """Owns the panels and the list of chats; the conversation looks after itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape", "stop_or_prompt", "Stop the answer, or back to the prompt", id="chat.stop", show=False
        ),
        Binding("ctrl+n", "new_chat", "New chat", id="chat.new", priority=True),
        Binding("ctrl+b", "toggle_list", "Chats", id="panel.chats", priority=True),
        Binding("f6,ctrl+s", "toggle_sources", "Sources", id="panel.sources", priority=True),
        Binding("f3,ctrl+k", "choose_knowledge", "Documents", id="chat.knowledge", priority=True),
        Binding("ctrl+f", "search", "Search", id="chat.search", priority=True),
        Binding("f5", "knowledge_bases", "Files", id="chat.knowledge_bases", priority=True),
        Binding("ctrl+t", "attach", "Attach", id="chat.attach", priority=True),
        Binding(
            "pageup", "scroll_transcript(-1)", "Scroll up", id="transcript.page_up", priority=True, show=False
        ),
        Binding(
            "pagedown",
            "scroll_transcript(1)",
            "Scroll down",
            id="transcript.page_down",
            priority=True,
            show=False,
        ),
    ]

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
        self._deleted: list[int] = []
        self._changing = threading.Lock()
        self._default_knowledge: tuple[str, ...] = ()
        self._knowledge_names: list[str] | None = None
        self._has_chats: bool | None = None
        self._surveyed = False
        self._searched = ""
        self.upkeep = Upkeep(services)

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield ChatList()
            yield ConversationPane(self._services, Static(WELCOME, id="empty"))
            yield SourcesPanel()
        yield self.upkeep
        yield StatusBar()
        yield KeyHints()

    def on_mount(self) -> None:
        self.watch(self.app, "model_state", self._show_model)
        self.watch(self.app, "jobs", self._show_jobs)
        self.watch(self.upkeep, "watching", self._show_watching)
        self.query_one(Prompt).focus()
        self._start()

    @property
    def pane(self) -> ConversationPane:
        return self.query_one(ConversationPane)

    @property
    def sources(self) -> SourcesPanel:
        return self.query_one(SourcesPanel)

    # --- start --------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, exit_on_error=False, group="startup", description="open the chats")
    def _start(self) -> None:
        def start() -> None:
            with tasks.chats(self._services) as store:
                store.recover()
                self.post_message(messages.ChatsListed(store.conversations()))
                self.post_message(messages.HistoryLoaded(store.prompt_history()))

        tasks.reporting(self._services, "opening your chats", self.post_message, start)
        self.app.call_from_thread(self.pane.open, 0)

    @on(messages.HistoryLoaded)
    def _take_history(self, event: messages.HistoryLoaded) -> None:
        self.query_one(Prompt).load_history(event.questions)

    # --- layout -------------------------------------------------------------------------------------

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

    def action_stop_or_prompt(self) -> None:
        pane = self.pane
        if self._over:
            self._close_over()
        elif pane.live is not None and (pane.showing(pane.live) or self.focused is pane.prompt):
            pane.stop()
        else:
            pane.prompt.focus()

    def _close_over(self) -> None:
        self._over = ""
        self._arrange()
        self.query_one(Prompt).focus()

    def action_scroll_transcript(self, pages: int) -> None:
        transcript = self.pane.transcript
        transcript.scroll_relative(y=pages * max(1, transcript.size.height - 2), animate=False)

    # --- chats --------------------------------------------------------------------------------------

    @on(messages.ChatsListed)
    def _show_chats(self, event: messages.ChatsListed) -> None:
        self.query_one(ChatList).show(event.conversations)
        self._has_chats = bool(event.conversations)
        self._mark()
        self._survey()

    def _survey(self) -> None:
        if not self._surveyed and self._knowledge_names is not None and self._has_chats is not None:
            self._surveyed = True
            self.post_message(self.Surveyed(self._knowledge_names, has_chats=self._has_chats))

    @on(ConversationPane.Stored)
    def _list_again(self) -> None:
        self._change_chats(None, "")
        self._mark()

    # Not exclusive: a change that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="chats", description="change the chats")
    def _change_chats(self, conversation_id: int | None, action: str, title: str = "") -> None:
        def change() -> None:
            # One after the other, so that an older list never comes in after a newer one.
            with self._changing, tasks.chats(self._services) as store:
                if conversation_id is not None:
                    _CHANGES[action](store, conversation_id, title)
                self.post_message(messages.ChatsListed(store.conversations()))

        tasks.reporting(self._services, "changing the list of chats", self.post_message, change)

    def action_new_chat(self) -> None:
        self._open_chat(0)

    def _open_chat(self, conversation_id: int) -> None:
        if conversation_id != self.pane.conversation_id or conversation_id == 0:
            self.pane.open(conversation_id)
        self._over = ""
        self._arrange()
        self.pane.prompt.focus()
        self._mark()

    @on(ChatList.Wished)
    def _grant(self, event: ChatList.Wished) -> None:
        conversation = event.conversation
        if event.action == "new":
            self.action_new_chat()
        elif event.action == "undelete":
            if self._deleted:
                self._change_chats(self._deleted.pop(), "undelete")
        elif conversation is not None:
            match event.action:
                case "open":
                    self._open_chat(conversation.id)
                case "rename":
                    self._rename(conversation)
                case "delete":
                    self._delete(conversation)

    def _rename(self, conversation: Conversation) -> None:
        from ragchat.tui.screens.ask_line import AskLine

        def renamed(title: str | None) -> None:
            if title:
                self._change_chats(conversation.id, "rename", title)

        self.app.push_screen(AskLine("Rename this chat", conversation.title), renamed)

    def _delete(self, conversation: Conversation) -> None:
        live = self.pane.live
        if live is not None and live.conversation_id == conversation.id:
            self.notify("An answer is being written in this chat; Esc stops it there.", markup=False)
            return
        self._deleted.append(conversation.id)
        self._change_chats(conversation.id, "delete")
        if conversation.id == self.pane.conversation_id:
            self.pane.open(0)
        title = clean_line(conversation.title, limit=40)
        self.notify(f"“{title}” was deleted. u in the list brings it back.", markup=False)

    def _mark(self) -> None:
        live = self.pane.live
        self.query_one(ChatList).mark(
            current=self.pane.conversation_id, answering=live.conversation_id if live is not None else 0
        )
        said = ""
        if live is not None:
            where = "" if self.pane.showing(live) else f" in “{clean_line(live.question, limit=16)}”"
            said = f"answering{where}, Esc stops"
        self.query_one(StatusBar).answering = said

    # --- conversation -------------------------------------------------------------------------------

    @on(ConversationPane.Changed)
    def _chat_changed(self) -> None:
        self._mark()
        self._show_knowledge()

    @on(ConversationPane.Busy)
    def _busy_changed(self) -> None:
        self._mark()

    @on(ConversationPane.Measured)
    def _measured(self, event: ConversationPane.Measured) -> None:
        bar = self.query_one(StatusBar)
        n_ctx = event.n_ctx or bar.model.n_ctx or bar.usage.n_ctx
        bar.usage = UsageState(
            event.used, n_ctx, event.timings or (bar.usage.timings if event.n_ctx else None)
        )

    @on(Transcript.Selected)
    async def _selected(self, event: Transcript.Selected) -> None:
        view = event.view
        answered = isinstance(view, AnswerView) and not view.streaming
        await self.sources.show(view.citations if view else (), answered=answered)

    @on(Transcript.Copied)
    def _copied(self, event: Transcript.Copied) -> None:
        self._copy(event.text, "Copied.")

    def _copy(self, text: str, said: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(said, timeout=2, markup=False)

    @on(Transcript.SourceCalled)
    def _go_to_source(self, event: Transcript.SourceCalled) -> None:
        if event.n and all(view.citation.n != event.n for view in self.sources.views):
            return
        if not self.sources.display:
            self.action_toggle_sources()
        self.sources.focus()
        if event.n:
            self.sources.action_jump(event.n)

    @on(messages.SourceChosen)
    def _source_chosen(self, event: messages.SourceChosen) -> None:
        citation = event.citation
        match event.action:
            case "copy":
                self._copy(citation_text(citation), f"Copied passage [{citation.n}] with its source.")
            case "view":
                from ragchat.tui.screens.document import DocumentScreen

                self.app.push_screen(DocumentScreen(self._services, citation))
            case "edit":
                self._prepare_edit(citation)

    @work(
        thread=True,
        exclusive=True,
        exit_on_error=False,
        group="document",
        description="prepare a file for the editor",
    )
    def _prepare_edit(self, citation: Citation) -> None:
        def prepare() -> None:
            opened = tasks.open_document(self._services, citation)
            self.app.post_message(tasks.edit_target(self._services, opened))

        tasks.reporting(self._services, "opening the document", self.post_message, prepare)

    @on(messages.LinksCalled)
    def _ask_about_links(self, event: messages.LinksCalled) -> None:
        from ragchat.tui.screens.link import LinkScreen

        self.app.push_screen(LinkScreen(event.hrefs))

    # --- models and documents -----------------------------------------------------------------------

    def _show_model(self, state: object) -> None:
        from ragchat.tui.state import ModelState

        if isinstance(state, ModelState):
            bar = self.query_one(StatusBar)
            bar.model = state
            bar.usage = replace(bar.usage, n_ctx=state.n_ctx or bar.usage.n_ctx)

    def _show_jobs(self, jobs: object) -> None:
        if isinstance(jobs, dict):
            self.query_one(StatusBar).jobs = tuple(job for job in jobs.values() if job.running)

    @on(messages.KnowledgeBasesListed)
    def _knowledge_listed(self, event: messages.KnowledgeBasesListed) -> None:
        self._default_knowledge = event.default
        self._knowledge_names = [status.name for status in event.statuses]
        self._show_knowledge()
        self._survey()

    @work(thread=True, exit_on_error=False, group="knowledge", description="list the knowledge bases")
    def list_knowledge(self) -> None:
        """Look again what there is."""

        def listing() -> None:
            services = self._services
            statuses, default = services.knowledge_bases(), services.default_knowledge_bases()
            self.post_message(messages.KnowledgeBasesListed(statuses, default))

        tasks.reporting(self._services, "listing the knowledge bases", self.post_message, listing)

    @on(messages.UpkeepAdvanced)
    def _kept_up(self, event: messages.UpkeepAdvanced) -> None:
        if event.sentence:
            self.notify(event.sentence, timeout=4, markup=False)
        if event.changed:
            self.list_knowledge()

    def _show_watching(self, names: frozenset[str]) -> None:
        self.query_one(StatusBar).watching = bool(names)

    def _show_knowledge(self) -> None:
        self.query_one(StatusBar).knowledge = ", ".join(self.asked_knowledge) or "no documents"

    def action_choose_knowledge(self) -> None:
        if self.app.screen is not self:
            return
        from ragchat.tui.screens.choose import KnowledgePicker

        self.app.push_screen(KnowledgePicker(self.asked_knowledge), self.use_knowledge)

    @property
    def asked_knowledge(self) -> tuple[str, ...]:
        """The knowledge bases that the next question goes to."""
        names = self.pane.knowledge_bases
        return self._default_knowledge if names is None else names

    def action_search(self) -> None:
        if self.app.screen is not self:
            return
        from ragchat.tui.screens.search import SearchScreen

        screen = SearchScreen(self._services, self.asked_knowledge, query=self._searched)

        def left(hit: Hit | None) -> None:
            self._searched = screen.last_query
            if hit is not None:
                self.pane.pin(hit)

        self.app.push_screen(screen, left)

    def on_search_screen_knowledge_chosen(self, event: SearchScreen.KnowledgeChosen) -> None:
        self.use_knowledge(event.names)

    def action_knowledge_bases(self) -> None:
        if self.app.screen is self:
            from ragchat.tui.screens.knowledge import KnowledgeScreen

            self.app.push_screen(KnowledgeScreen(self._services, self.upkeep))

    def action_attach(self) -> None:
        self.pane.prompt.focus()
        self.pane.prompt.begin_attaching()

    def use_knowledge(self, names: tuple[str, ...] | None) -> None:
        """Ask these from the next question on; None: nothing was chosen."""
        if names is None:
            return
        self.pane.knowledge_bases = names
        if self.pane.conversation_id:
            self._store_knowledge(self.pane.conversation_id, names)
        self._show_knowledge()

    @work(thread=True, exit_on_error=False, group="chats", description="store the knowledge bases of a chat")
    def _store_knowledge(self, conversation_id: int, names: tuple[str, ...]) -> None:
        def store_names() -> None:
            with tasks.chats(self._services) as store:
                store.set_knowledge_bases(conversation_id, names)

        tasks.reporting(self._services, "storing the choice", self.post_message, store_names)


def _rename(store: ChatStore, conversation_id: int, title: str) -> None:
    store.rename(conversation_id, title)


def _delete(store: ChatStore, conversation_id: int, _title: str) -> None:
    store.delete(conversation_id)


def _undelete(store: ChatStore, conversation_id: int, _title: str) -> None:
    store.undelete(conversation_id)


_CHANGES = {"rename": _rename, "delete": _delete, "undelete": _undelete}
