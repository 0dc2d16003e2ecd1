"""The main screen: what you do in it. Its panels, list and tabs are in `chat_frame`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType

from ragchat.app.open_chat import Change, NeedsInput
from ragchat.tui import messages, tasks
from ragchat.tui.answer_windows import AnswerWindows
from ragchat.tui.chat_changes import ChatChanged
from ragchat.tui.chat_windows import Windows
from ragchat.tui.clipboard import copy
from ragchat.tui.reading_ahead import ReadingAhead
from ragchat.tui.safe_content import citation_text
from ragchat.tui.screens.chat_frame import ChatFrame
from ragchat.tui.slash_commands import SlashCommands
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.lazy_list import LazyList
from ragchat.tui.widgets.message import AnswerView
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import UNCHECKED, AdapterScale

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.llm.adapters import InstalledAdapter
    from ragchat.tui.screens.search import SearchScreen
    from ragchat.types import Citation


FORESEEN = "For your question"
"""Above the passages that a question would have that is being typed."""


class ChatScreen(ChatFrame):
    """Keys and commands, and the windows they open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "escape",
            "stop_or_prompt",
            "Stop the answer, or move between prompt and answers",
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
            tooltip="Choose the knowledge bases of this chat",
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
            "Turn adapters off and on",
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

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._foreseen = False
        self.windows = Windows(self, services)
        self.answers = AnswerWindows(self, self.windows, services)
        self._slash = SlashCommands(self, self.windows, self.answers)

    def on_mount(self) -> None:
        self.query_one(Prompt).candidates = self._slash.candidates

    def action_stop_or_prompt(self) -> None:
        pane = self.pane
        if self._over:
            self._close_over()
        elif pane.editing is not None and self.focused is pane.prompt:
            pane.leave_editing()
        elif pane.waits is not None:
            pane.withdraw()
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

    def action_new_chat(self) -> None:
        self.open_chat(0)

    def action_new_tab(self) -> None:
        self.open_chat(0, beside=True)

    @on(ChatChanged)
    def _follow(self, event: ChatChanged) -> None:
        """What a command or a key has changed beyond the pane, or needs a window for."""
        came = event.came
        if isinstance(came, NeedsInput):
            self._ask_for(came)
            return
        if came.options is not None:
            self._options_changed(event.adapters)
        match came.change:
            case Change.OPENED if came.conversation:
                self.open_chat(came.conversation.id)
            case Change.FORKED if came.conversation:
                self.open_chat(came.conversation.id, beside=True)
                self._list_again()
            case Change.CHAT_DELETED if came.conversation:
                self.pane.waiting.forget(came.conversation.id)
                if came.conversation.id in self.open_chats.numbers:
                    self.close_tab(came.conversation.id)
                self._list_again()
            case Change.CHAT_RESTORED if came.conversation and not self.pane.conversation_id:
                self.open_chat(came.conversation.id)
                self._list_again()
            case Change.LIST | Change.CHAT_RESTORED | Change.PRESETS:
                self._list_again()

    def _ask_for(self, needed: NeedsInput) -> None:
        """Open the window in which a command gets what it was typed without."""
        match needed.what:
            case "title" | "tags":
                if here := self.pane.conversation:
                    (self.windows.rename if needed.what == "title" else self.windows.tag)(here)
            case "adapter":
                self.action_adapters()
            case "knowledge bases":
                self.action_choose_knowledge()
            case "correction":
                self.pane.turns.ask_for_correction(needed)
            case "answer":
                self.pane.turns.ask_for_question(needed)
            case _:
                self.windows.chat_options()

    @on(ChatList.Requested)
    def _handle(self, event: ChatList.Requested) -> None:
        conversation = event.conversation
        if event.action == "new":
            self.action_new_chat()
        elif event.action == "undelete":
            self.pane.changes.do("restoring a chat", lambda chat: chat.restore_chat())
        elif conversation is not None:
            match event.action:
                case "open":
                    self.open_chat(conversation.id)
                case "open_tab":
                    self.open_chat(conversation.id, beside=True)
                case "rename":
                    self.windows.rename(conversation)
                case "pin":
                    self.pane.changes.do("pinning a chat", lambda chat: chat.pin(), chat=conversation)
                case "tags":
                    self.windows.tag(conversation)
                case "delete":
                    self.pane.changes.do(
                        "deleting a chat", lambda chat: chat.delete_chat(), chat=conversation
                    )

    # --- conversation -------------------------------------------------------------------------------

    @on(Transcript.Selected)
    async def _selected(self, event: Transcript.Selected) -> None:
        view = self.pane.transcript.answer_to(event.view) or event.view
        answered = isinstance(view, AnswerView) and not view.streaming
        check = view.facts.check if view else UNCHECKED
        self._foreseen = False
        await self.sources.show(view.citations if view else (), answered=answered, check=check)

    @on(ReadingAhead.Looked)
    async def _show_foreseen(self, event: ReadingAhead.Looked) -> None:
        """The passages that the question would have, as it is typed; without a question, those of the selected answer."""
        event.stop()
        if not self.reading.question.startswith(event.text):
            return  # it is another question by now
        if event.foreseen and event.foreseen.citations:
            self._foreseen = True
            await self.sources.show(event.foreseen.citations, answered=False, title=FORESEEN)
        elif self._foreseen:
            await self._selected(Transcript.Selected(self.pane.transcript.selected))

    @on(Transcript.Copied)
    def _copied(self, event: Transcript.Copied) -> None:
        copy(self.app, event.text, event.what)

    @on(Transcript.Requested)
    def _show_making(self, event: Transcript.Requested) -> None:
        if event.view is not None and event.action == "prompt":
            self.answers.prompt_of(event.view.message_id)
        elif event.view is not None and event.action == "replay":
            self.answers.replay(event.view.message_id)
        elif isinstance(event.view, AnswerView) and event.action == "check":
            self.answers.check(event.view)
        elif isinstance(event.view, AnswerView) and event.action == "nearest":
            self.answers.nearest(event.view)

    @on(Prompt.Unknown)
    def _say_unknown(self, event: Prompt.Unknown) -> None:
        error = event.command.error
        self.notify(f"{error} {error.remedy}", severity="warning", markup=False)

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

    def action_choose_knowledge(self) -> None:
        if self.app.screen is not self:
            return
        from ragchat.tui.screens.choose import KnowledgePicker

        self.app.push_screen(KnowledgePicker(self.asked_knowledge), self.use_knowledge)

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

    # --- the verdict of the evaluation ----------------------------------------------------------------

    # --- adapters -----------------------------------------------------------------------------------

    def action_adapters(self) -> None:
        """Choose which adapters are on in this chat."""
        from ragchat.tui.screens.adapters import EMPTY, AdaptersScreen

        def show(adapters: list[InstalledAdapter]) -> None:
            if not adapters:
                self.notify(EMPTY, timeout=8, markup=False)
            elif self.windows.free:
                window = AdaptersScreen(adapters, self.pane.options.adapters)
                self.app.push_screen(window, lambda on: None if on is None else self.use_adapters(on))

        self.windows.with_chats(
            "listing the adapters", lambda _: self._services.models.adapters(self.pane.options.model), show
        )

    def action_toggle_adapters(self) -> None:
        """The chat's adapters off, or on again."""
        on, before = self.pane.options.adapters, self._adapters_before.get(self.pane.conversation_id, ())
        if not on and not before:
            self.action_adapters()
            return
        self.use_adapters(() if on else before)

    def use_adapters(self, adapters: tuple[AdapterScale, ...]) -> None:
        """Switch these on in this chat; at once when the model is idle, else with the next question."""
        self.pane.changes.do("switching the adapters", lambda chat: chat.use_adapters(adapters))
