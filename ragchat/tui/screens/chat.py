"""The main screen: chats, conversation, sources, status. Panels fold when the window is narrow and open over it on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.answer_windows import AnswerWindows
from ragchat.tui.background import Upkeep
from ragchat.tui.chat_windows import Windows
from ragchat.tui.clipboard import copy
from ragchat.tui.open_chats import OpenChats
from ragchat.tui.safe_content import citation_text
from ragchat.tui.slash_commands import SlashCommands
from ragchat.tui.state import UsageState
from ragchat.tui.trainings import Trainings
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.conversation import ConversationPane
from ragchat.tui.widgets.empty_chat import EmptyChat
from ragchat.tui.widgets.lazy_list import LazyList
from ragchat.tui.widgets.message import AnswerView
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.sources import SourcesPanel
from ragchat.tui.widgets.status_bar import KeyHints, StatusBar
from ragchat.tui.widgets.tabs import OpenChat, TabStrip
from ragchat.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.llm.adapters import InstalledAdapter
    from ragchat.store.chats import ChatStore
    from ragchat.tui.screens.search import SearchScreen
    from ragchat.types import ChatOptions, Citation, Conversation

TABS = "tabs"
"""The note that keeps which chats are open."""
MOST_CHATS = 20_000
DRAFT_IS_FRESH = timedelta(hours=24)
LIST_FROM, SOURCES_FROM, HINTS_FROM = 80, 100, 12
"""Columns from which a panel stands beside the conversation, and rows from which the key hints are shown."""


class ChatScreen(Screen[None]):
    """Owns the panels and the list of chats; the conversation looks after itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape",
            "stop_or_prompt",
            "Stop the answer; between prompt and answers",
            id="chat.stop",
            show=False,
        ),
        Binding("ctrl+n", "new_chat", "New chat", id="chat.new", priority=True),
        Binding("alt+n", "new_tab", "New chat in a tab", id="chat.new_tab", priority=True, show=False),
        Binding(
            "ctrl+pagedown,alt+full_stop",
            "next_tab(1)",
            "Next tab",
            id="tabs.next",
            priority=True,
            show=False,
        ),
        Binding(
            "ctrl+pageup,alt+comma",
            "next_tab(-1)",
            "Previous tab",
            id="tabs.previous",
            priority=True,
            show=False,
        ),
        Binding("alt+w", "close_tab", "Close this tab", id="tabs.close", priority=True, show=False),
        Binding(
            "ctrl+b",
            "toggle_list",
            "Chats",
            id="panel.chats",
            priority=True,
            tooltip="Show or hide the list of chats",
        ),
        Binding(
            "f6,ctrl+s",
            "toggle_sources",
            "Sources",
            id="panel.sources",
            priority=True,
            tooltip="Show or hide the sources",
        ),
        Binding(
            "f3,ctrl+k",
            "choose_knowledge",
            "Documents",
            id="chat.knowledge",
            priority=True,
            tooltip="Choose documents: which knowledge bases this chat asks",
        ),
        Binding(
            "ctrl+f",
            "search",
            "Search",
            id="chat.search",
            priority=True,
            tooltip="Search documents as you type, without a model",
        ),
        Binding(
            "f5",
            "knowledge_bases",
            "Files",
            id="chat.knowledge_bases",
            priority=True,
            tooltip="Files and knowledge bases: what is indexed, sync, watch, remove",
        ),
        Binding(
            "ctrl+t",
            "attach",
            "Attach",
            id="chat.attach",
            priority=True,
            tooltip="Attach a file to the next question",
        ),
        Binding("f7", "find_chats", "Search all chats", id="chat.find_chats", priority=True, show=False),
        Binding("alt+a", "adapters", "Adapters", id="chat.adapters", priority=True, show=False),
        Binding(
            "alt+l",
            "toggle_adapters",
            "Adapters off and on again",
            id="chat.toggle_adapters",
            priority=True,
            show=False,
        ),
        Binding("f8", "chat_options", "This chat's settings", id="chat.options", priority=True, show=False),
        Binding("alt+p", "next_prompt", "The exact prompt", id="chat.prompt", priority=True, show=False),
        Binding("alt+c", "compare", "Compare two settings", id="chat.compare", priority=True, show=False),
        Binding("alt+s", "summarise", "Summarise a document", id="chat.summarise", priority=True, show=False),
        Binding("alt+k", "compact", "Compact this chat", id="chat.compact", priority=True, show=False),
        Binding(
            "alt+u", "undo_compact", "Undo the compaction", id="chat.undo_compact", priority=True, show=False
        ),
        Binding("alt+e", "export", "Export chats", id="chat.export", priority=True, show=False),
        Binding("alt+i", "import", "Import chats", id="chat.import", priority=True, show=False),
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
        self.open_chats = OpenChats()
        self._adapters_before: dict[int, str] = {}
        """What was on in each chat when its adapters were switched off."""
        self._changing = threading.Lock()
        self._default_knowledge: tuple[str, ...] = ()
        self._knowledge_names: list[str] | None = None
        self._has_chats: bool | None = None
        self._surveyed = False
        self.upkeep = Upkeep(services)
        self.trainings = Trainings(services)
        self.windows = Windows(self, services)
        self.answers = AnswerWindows(self, services)
        self._slash = SlashCommands(self, services)

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield ChatList()
            with Vertical(id="middle"):
                yield TabStrip()
                yield ConversationPane(self._services, EmptyChat(id="empty"))
            yield SourcesPanel()
        yield self.upkeep
        yield self.trainings
        yield StatusBar()
        yield KeyHints()

    def on_mount(self) -> None:
        self.watch(self.app, "model_state", self._show_model)
        self.watch(self.app, "jobs", self._show_jobs)
        self.watch(self.upkeep, "watching", self._show_watching)
        prompt = self.query_one(Prompt)
        prompt.candidates = self._slash.candidates
        prompt.focus()
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
                listed = store.conversations(MOST_CHATS)
                self.post_message(messages.ChatsListed(listed))
                self.post_message(messages.HistoryLoaded(store.prompt_history()))
                self.open_chats.restore(store.note(TABS), {chat.id for chat in listed})
                self._go_back_to_draft(store, {chat.id for chat in listed})
                self._slash.presets = dict(store.presets())

        tasks.reporting(self._services, "opening your chats", self.post_message, start)
        self.app.call_from_thread(lambda: self.pane.open(self.open_chats.current))

    def _go_back_to_draft(self, store: ChatStore, existing: Collection[int]) -> None:
        """Who was interrupted while writing finds it again; an older draft waits in its chat."""
        since = (datetime.now(UTC) - DRAFT_IS_FRESH).isoformat()
        empty = self.open_chats.numbers == [0] and not store.draft(0)
        number = store.newest_draft(since=since) if empty else 0
        if number in existing:
            self.open_chats.show(number)

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

    def action_stop_or_prompt(self) -> None:
        pane = self.pane
        if self._over:
            self._close_over()
        elif pane.editing is not None and self.focused is pane.prompt:
            pane.leave_editing()
        elif pane.live is not None and (pane.showing(pane.live) or self.focused is pane.prompt):
            pane.stop()
        elif self.focused is pane.prompt and pane.transcript.views:
            pane.transcript.focus()
        else:
            pane.prompt.focus()

    def _close_over(self) -> None:
        self._over = ""
        self._arrange()
        self.query_one(Prompt).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "scroll_transcript" and isinstance(self.focused, LazyList))

    def action_scroll_transcript(self, pages: int) -> None:
        transcript = self.pane.transcript
        transcript.scroll_relative(y=pages * max(1, transcript.size.height - 2), animate=False)

    # --- chats --------------------------------------------------------------------------------------

    @on(messages.ChatsListed)
    def _show_chats(self, event: messages.ChatsListed) -> None:
        self.query_one(ChatList).show(event.conversations)
        self._has_chats = bool(event.conversations)
        self._slash.tags = sorted({tag for chat in event.conversations for tag in chat.tags})
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
            # One after the other, so that an older list never comes in after a newer one.
            with self._changing, tasks.chats(self._services) as store:
                change(store)
                store.set_note(TABS, self.open_chats.as_text())
                self.post_message(messages.ChatsListed(store.conversations(MOST_CHATS)))

        tasks.reporting(self._services, doing, self.post_message, work)

    def action_new_chat(self) -> None:
        self.open_chat(0)

    def action_new_tab(self) -> None:
        self.open_chat(0, beside=True)

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

    @work(thread=True, exit_on_error=False, group="tabs", description="keep which chats are open")
    def _keep_tabs(self) -> None:
        def keep() -> None:
            with self._changing, tasks.chats(self._services) as store:
                store.set_note(TABS, self.open_chats.as_text())

        tasks.reporting(self._services, "keeping the open chats", self.post_message, keep)

    def action_next_tab(self, step: int) -> None:
        if (there := self.open_chats.beside(step)) != self.open_chats.current:
            self.open_chat(there)
        else:
            self.notify(
                "Only this chat is open; o in the list opens another in a tab.", timeout=3, markup=False
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

    @on(ConversationPane.Forked)
    def _open_fork(self, event: ConversationPane.Forked) -> None:
        title = clean_line(event.conversation.title, limit=40)
        self.notify(
            f"This is “{title}”; the chat it came from is in the tab beside.", timeout=4, markup=False
        )
        self.open_chat(event.conversation.id, beside=True)
        self._list_again()

    @on(ChatList.Requested)
    def _handle(self, event: ChatList.Requested) -> None:
        conversation = event.conversation
        if event.action == "new":
            self.action_new_chat()
        elif event.action == "undelete":
            self.undelete_chat()
        elif conversation is not None:
            match event.action:
                case "open":
                    self.open_chat(conversation.id)
                case "open_tab":
                    self.open_chat(conversation.id, beside=True)
                case "rename":
                    self.windows.rename(conversation)
                case "pin":
                    pinned = not conversation.pinned
                    self.change_chats("pinning", lambda store: store.set_pinned(conversation.id, pinned))
                case "tags":
                    self.windows.tag(conversation)
                case "delete":
                    self.delete_chat(conversation)

    def delete_chat(self, conversation: Conversation) -> None:
        """Hide a chat, with a way back."""
        live = self.pane.live
        if live is not None and live.conversation_id == conversation.id:
            self.notify("An answer is being written in this chat; Esc stops it there.", markup=False)
            return
        self._deleted.append(conversation.id)
        if conversation.id in self.open_chats.numbers:
            self.close_tab(conversation.id)
        self.change_chats("deleting a chat", lambda store: store.delete(conversation.id))
        title = clean_line(conversation.title, limit=40)
        self.notify(f"“{title}” was deleted. u in the list brings it back.", markup=False)

    def undelete_chat(self) -> bool:
        """Bring back the chat that was deleted last; whether there was one."""
        if not self._deleted:
            return False
        number = self._deleted.pop()
        self.change_chats("bringing a chat back", lambda store: store.undelete(number))
        return True

    def _mark(self) -> None:
        live = self.pane.live
        answering = live.conversation_id if live is not None else 0
        self.query_one(ChatList).mark(current=self.pane.conversation_id, answering=answering)
        titles = {chat.id: chat.title for chat in self.chats}
        tabs = [
            OpenChat(number, titles.get(number, "New chat"), answering=bool(live) and number == answering)
            for number in self.open_chats.numbers
        ]
        self.query_one(TabStrip).show(tabs, current=self.open_chats.current)
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
        view = self.pane.transcript.answer_to(event.view) or event.view
        answered = isinstance(view, AnswerView) and not view.streaming
        await self.sources.show(view.citations if view else (), answered=answered)

    @on(Transcript.Copied)
    def _copied(self, event: Transcript.Copied) -> None:
        copy(self.app, event.text, event.what)

    @on(Transcript.Requested)
    def _show_making(self, event: Transcript.Requested) -> None:
        if event.view is not None and event.action == "prompt":
            self.answers.prompt_of(event.view.message_id)
        elif event.view is not None and event.action == "replay":
            self.answers.replay(event.view.message_id)

    @on(Prompt.Unknown)
    def _say_unknown(self, event: Prompt.Unknown) -> None:
        near = f" Did you mean /{event.nearest}?" if event.nearest else ""
        name = clean_line(event.name, limit=40)
        self.notify(f"There is no /{name}.{near} Enter again sends it as it stands.", markup=False)

    @on(Prompt.Commanded)
    def _run_command(self, event: Prompt.Commanded) -> None:
        self._slash.run(event.typed)

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
                copy(self.app, citation_text(citation), f"Passage [{citation.n}] with its source")
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
            statuses, default = services.knowledge_bases(), services.default_knowledge_bases()
            self.post_message(messages.KnowledgeBasesListed(statuses, default))

        tasks.reporting(self._services, "listing the knowledge bases", self.post_message, listing)

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="names", description="list what can be named"
    )
    def list_names(self) -> None:
        """Names that slash commands complete."""

        def names() -> None:
            models = [choice.name for choice in self._services.models() if choice.installed]
            templates = [template.name for template in self._services.templates()[0]]
            self._slash.models, self._slash.templates = models, templates
            usable = self._services.adapters(self.pane.options.model)
            self._slash.adapters = [adapter.name for adapter in usable if not adapter.problem]

        tasks.reporting(self._services, "listing models", self.post_message, names)

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
        bar.adapters = self.pane.options.adapter

    def action_choose_knowledge(self) -> None:
        if self.app.screen is not self:
            return
        from ragchat.tui.screens.choose import KnowledgePicker

        self.app.push_screen(KnowledgePicker(self.asked_knowledge), self.use_knowledge)

    @property
    def knowledge_names(self) -> list[str]:
        """All knowledge bases there are, as far as is known."""
        return self._knowledge_names or []

    @property
    def asked_knowledge(self) -> tuple[str, ...]:
        """The knowledge bases that the next question goes to."""
        names = self.pane.options.knowledge_bases
        return self._default_knowledge if names is None else names

    def action_search(self) -> None:
        self.windows.search()

    def action_find_chats(self) -> None:
        self.windows.find_chats()

    def action_chat_options(self) -> None:
        self.windows.chat_options()

    def action_next_prompt(self) -> None:
        self.answers.next_prompt()

    def action_compare(self) -> None:
        self.answers.compare()

    def action_summarise(self) -> None:
        self.answers.summarise()

    def action_compact(self) -> None:
        self.answers.compact()

    def action_undo_compact(self) -> None:
        self.answers.compact(undo=True)

    def action_export(self) -> None:
        self.windows.export()

    def action_import(self) -> None:
        self.windows.import_chats()

    @on(Prompt.HistoryWanted)
    def _open_history(self) -> None:
        self.windows.history()

    @on(Prompt.EditorWanted)
    def _open_editor(self, event: Prompt.EditorWanted) -> None:
        self.windows.edit_prompt(event.text)

    @on(Prompt.TemplatesWanted)
    def _open_templates(self) -> None:
        self.windows.templates()

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
        self.set_options(replace(self.pane.options, knowledge_bases=names, preset=""))

    # --- the verdict of the evaluation ----------------------------------------------------------------

    @work(
        thread=True, exclusive=True, exit_on_error=False, group="verdict", description="look at the verdict"
    )
    def look_at_verdict(self) -> None:
        """Whether the newest evaluation still holds; the status bar says when it does not."""

        def look() -> None:
            stale = bool(self._services.verdict_stale())
            self.app.call_from_thread(self._show_stale, stale)

        tasks.reporting(self._services, "looking at the verdict", self.post_message, look)

    def _show_stale(self, stale: bool) -> None:
        self.query_one(StatusBar).stale = stale

    def training_ended(self) -> None:
        """There may be an adapter more."""
        self.list_names()
        self.look_at_verdict()

    # --- adapters -----------------------------------------------------------------------------------

    def action_adapters(self) -> None:
        """Choose which adapters are on in this chat."""
        from ragchat.tui.screens.adapters import EMPTY, AdaptersScreen

        def show(adapters: list[InstalledAdapter]) -> None:
            if not adapters:
                self.notify(EMPTY, timeout=8, markup=False)
            elif self.windows.free:
                window = AdaptersScreen(adapters, self.pane.options.adapter)
                self.app.push_screen(window, lambda on: None if on is None else self.use_adapters(on))

        self.windows.with_chats(
            "listing the adapters", lambda _: self._services.adapters(self.pane.options.model), show
        )

    def action_toggle_adapters(self) -> None:
        """The chat's adapters off, or on again."""
        on, before = self.pane.options.adapter, self._adapters_before.get(self.pane.conversation_id, "")
        if not on and not before:
            self.action_adapters()
            return
        self.use_adapters("" if on else before)

    def use_adapters(self, adapters: str) -> None:
        """Switch these on in this chat; at once when the model is idle, else with the next question."""
        number = self.pane.conversation_id
        if self.pane.options.adapter:
            self._adapters_before[number] = self.pane.options.adapter
        if self.pane.live is not None or self._services.model.info is None:
            said = (
                f"{adapters} from the next question on."
                if adapters
                else "No adapter from the next question on."
            )
            self.set_options(replace(self.pane.options, adapter=adapters, preset=""))
            self.notify(said, timeout=4, markup=False)
            return

        def switch(_: ChatStore) -> float:
            began = time.perf_counter()
            self._services.model.set_adapters(adapters)
            return 1000 * (time.perf_counter() - began)

        def switched(took_ms: float) -> None:  # a refused one is neither stored nor shown
            if self.pane.conversation_id == number:
                self.set_options(replace(self.pane.options, adapter=adapters, preset=""))
            self.notify(f"{adapters or 'No adapter'} · switched in {took_ms:.0f} ms", timeout=4, markup=False)

        self.windows.with_chats("switching the adapters", switch, switched)

    def model_chosen(self, name: str) -> None:
        """Chats without a model of their own are answered by this one; adapters of another do not fit it."""
        if (
            self.pane.options.adapter
            and not self.pane.options.model
            and name != self._services.model.selected
        ):
            self.set_options(self._without_adapters(self.pane.options))
        self.pane.default_model = name

    def _without_adapters(self, options: ChatOptions) -> ChatOptions:
        self.notify(
            f"{options.adapter} belongs to the model before and is off. Alt+A lists what fits.",
            timeout=6,
            markup=False,
        )
        return replace(options, adapter="")

    def set_options(self, options: ChatOptions) -> None:
        """What this chat does otherwise than the settings, from the next question on."""
        before = self.pane.options
        if options.adapter and options.model != before.model and options.adapter == before.adapter:
            options = self._without_adapters(options)
        self.pane.options = options
        number = self.pane.conversation_id
        if number:
            self.change_chats("storing the choice", lambda store: store.set_options(number, options))
        self._show_knowledge()
