"""The windows about how an answer is made: its prompt, its replay, two settings side by side, a whole document, a compaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragchat.app.typed_paths import existing_file
from ragchat.errors import UsageError
from ragchat.text import clean_line
from ragchat.tui.live import Request
from ragchat.tui.quotations import place_of
from ragchat.tui.sentences import citation_place

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.session.prompt_view import PromptView
    from ragchat.store.chats import ChatStore
    from ragchat.tui.chat_windows import Windows
    from ragchat.tui.screens.chat_frame import ChatFrame
    from ragchat.tui.screens.choose_document import Chosen
    from ragchat.tui.screens.compare import Comparison, Defaults, Kept
    from ragchat.tui.widgets.message import AnswerView
    from ragchat.types import ChatOptions, Citation


class AnswerWindows:
    """One per chat screen, beside its other windows."""

    def __init__(self, screen: ChatFrame, windows: Windows, services: Services) -> None:
        self._screen, self._windows, self._services = screen, windows, services

    def _busy(self) -> bool:
        """Whether the model is at work for the chat already, which is said."""
        busy = self._screen.pane.live is not None
        if busy:
            self._screen.notify(
                "The model is writing an answer. Press Esc to stop it.", timeout=4, markup=False
            )
        return busy

    # --- prompts and replays ------------------------------------------------------------------------

    def prompt_of(self, answer_id: int) -> None:
        """What an answer was made from, exactly."""
        from ragchat.session.prompt_view import of_answer
        from ragchat.session.replay import recorded

        # While the model writes it cannot be asked how its template would write this.
        model = self._services.model if self._screen.pane.live is None else None
        self._windows.with_chats(
            "reading the prompt",
            lambda store: of_answer(recorded(store, answer_id), model),
            self._show_prompt,
        )

    def next_prompt(self, question: str = "") -> None:
        """The prompt that what is in the prompt would send."""
        from ragchat.session.prompt_view import of_preview
        from ragchat.types import CancelToken

        pane, services = self._screen.pane, self._services
        question = question or pane.prompt.text.strip()
        if not question:
            self._screen.notify("Type a question first. Then this shows the prompt.", markup=False)
            return
        if self._busy():
            return
        parent_id = pane.editing.parent_id if pane.editing else None
        number, options, chips = pane.conversation_id, pane.options, pane.attachments.chips
        model = options.model or pane.default_model

        def read(store: ChatStore) -> PromptView:
            if model and model != services.model.selected:
                services.model.select(model)
            with services.open_session(store, options) as session:
                preview = session.preview(
                    question,
                    conversation_id=number,
                    parent_id=parent_id,
                    files=[chip.attachment for chip in chips if chip.attachment],
                    pinned=[chip.hit for chip in chips if chip.hit],
                    cancel=CancelToken(),
                )
                info = services.model.info
                assert info
                return of_preview(preview, session.options.sampling, info, options.adapters)

        self._windows.with_chats("making the prompt", read, self._show_prompt)

    def _show_prompt(self, view: PromptView) -> None:
        from ragchat.tui.screens.prompt_view import PromptViewScreen

        if self._windows.free:
            self._screen.app.push_screen(PromptViewScreen(view))

    def replay(self, answer_id: int) -> None:
        """Make an old answer again, and see what is different."""
        from ragchat.tui.screens.replay import ReplayScreen

        if not self._busy() and self._windows.free:
            self._screen.app.push_screen(ReplayScreen(self._services, answer_id))

    # --- what the documents say ---------------------------------------------------------------------

    def check(self, answer: AnswerView) -> None:
        """Why each statement of an answer has its mark."""
        from ragchat.tui.screens.check import CheckScreen

        if self._windows.free:
            self._screen.app.push_screen(CheckScreen(answer.check, answer.citations, self._open))

    def nearest(self, answer: AnswerView) -> None:
        """Open what the documents say at its place; where there is more, choose first."""
        from ragchat.tui.screens.pick import Choice, Pick

        found = answer.nearest
        if not found:
            self._screen.notify("Nothing is quoted above this answer.", timeout=3, markup=False)
        elif len(found) == 1:
            self._open(found[0])
        elif self._windows.free:
            choices = [
                Choice(
                    str(n),
                    place_of(one.hit, citation_place(one)),
                    clean_line(one.quote or one.hit.text, limit=160),
                )
                for n, one in enumerate(found)
            ]
            window = Pick("Open in the document", choices)
            self._screen.app.push_screen(window, lambda n: self._open(found[int(n)]) if n else None)

    def _open(self, citation: Citation) -> None:
        from ragchat.tui.screens.document import DocumentScreen

        self._screen.app.push_screen(DocumentScreen(self._services, citation))

    # --- two settings -------------------------------------------------------------------------------

    def compare(self, question: str = "") -> None:
        """One question to two settings; the better answer may be kept."""
        from ragchat.tui.screens.compare import CompareSetup, Defaults

        pane, services = self._screen.pane, self._services
        question = question or pane.prompt.text.strip()
        if self._busy():
            return

        def read(store: ChatStore) -> Defaults:
            return Defaults(
                pane.default_model or services.model.selected,
                services.documents.asked_by_default(),
                [
                    choice.name
                    for choice in services.models.choices()
                    if choice.installed and not choice.problem
                ],
                store.presets(),
                {
                    name: [one.name for one in services.models.adapters(name) if not one.problem]
                    for name in {"", pane.options.model}
                },
            )

        def set_up(defaults: Defaults) -> None:
            if self._windows.free:
                self._screen.app.push_screen(
                    CompareSetup(question, pane.options, defaults),
                    lambda comparison: self._run_comparison(comparison, defaults) if comparison else None,
                )

        self._windows.with_chats("reading the settings", read, set_up)

    def _run_comparison(self, comparison: Comparison, defaults: Defaults) -> None:
        from ragchat.tui.screens.compare import CompareScreen, run_on_copies

        number = self._screen.pane.conversation_id
        run = run_on_copies(self._services, defaults.model)
        window = CompareScreen(self._services, run, comparison, number, defaults)
        self._screen.app.push_screen(window, lambda kept: self._keep(kept, number) if kept else None)

    def _keep(self, kept: Kept, conversation_id: int) -> None:
        from ragchat.session.compare import keep

        pane = self._screen.pane
        options: ChatOptions = kept.options

        def stored(number: int) -> None:
            pane.prompt.put("")
            self._screen.open_chats.stored(number)
            self._screen.open_chat(number)
            if number == conversation_id:
                pane.reload()
            self._screen.change_chats("listing the chats", lambda _: None)

        self._windows.with_chats(
            "keeping the answer",
            lambda store: keep(store, conversation_id, kept.trial, options=options).conversation_id,
            stored,
        )

    # --- a whole document ---------------------------------------------------------------------------

    def summarise(self, path: str = "") -> None:
        """Summarise a whole document: a file, or one that is chosen among those that are indexed."""
        from ragchat.tui.screens.choose_document import ChooseDocument

        if self._busy() or not self._windows.free:
            return
        if path:
            file = existing_file(path)
            self._summarise(Request("summarise", f"Summarise {file.name}", path=file))
            return
        window = ChooseDocument(self._services, self._screen.asked_knowledge)

        def chosen(document: Chosen | None) -> None:
            if document is not None:
                request = Request(
                    "summarise",
                    f"Summarise {document.name}",
                    knowledge_base=document.knowledge_base,
                    document_id=document.document_id,
                )
                self._summarise(request)

        self._screen.app.push_screen(window, chosen)

    def _summarise(self, request: Request) -> None:
        if not self._busy():
            self._screen.pane.begin(request)
            self._screen.notify(f"{clean_line(request.question, limit=60)} …", timeout=3, markup=False)

    # --- a summary in place of the beginning --------------------------------------------------------

    def compact(self, *, undo: bool = False) -> None:
        """Let a summary stand for the beginning of this chat, or the beginning for itself again."""
        pane = self._screen.pane
        if undo:
            self._undo_compaction()
        elif not pane.conversation_id:
            self._screen.notify("This chat is empty: there is nothing to compact.", markup=False)
        elif not self._busy():
            from ragchat.tui.screens.compact import CompactScreen

            if self._windows.free:
                window = CompactScreen(self._services, pane.conversation_id)
                self._screen.app.push_screen(window, lambda _: pane.reload())

    def _undo_compaction(self) -> None:
        number = self._screen.pane.conversation_id

        def remove(store: ChatStore) -> None:
            compaction = store.compaction(number) if number else None
            if compaction is None:
                raise UsageError("This chat is not compacted.")
            store.remove_compaction(compaction.id)

        def removed(_: None) -> None:
            self._screen.pane.reload()
            self._screen.notify(
                "The summary is removed. The whole chat is in the prompt again.", markup=False
            )

        self._windows.with_chats("removing the summary", remove, removed)
