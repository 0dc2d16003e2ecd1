"""Compacting a chat: the model writes the summary that will stand for its beginning, it is read here, and can be undone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ragchat.app.events import progress_sentence
from ragchat.errors import CancelledError
from ragchat.session.compact import KEEP_TURNS, Compacted, compact
from ragchat.session.events import SummaryProgress
from ragchat.text import clean, counted
from ragchat.tui import messages, tasks
from ragchat.tui.screens.dialog import Dialog
from ragchat.tui.sentences import trouble
from ragchat.types import CancelToken, LoadProgress, PrefillProgress, TextDelta

if TYPE_CHECKING:
    from ragchat.app.services import Services

DIM = "$foreground 62%"


class CompactScreen(Dialog[Compacted]):
    """Begins at once; gives what was stored, or None. Esc stops it, and closes when nothing runs."""

    TITLE_TEXT: ClassVar[str] = "Compact this chat"
    HELP_TEXT: ClassVar[str] = "u removes the summary · Enter, Esc close (Esc stops it while it runs)"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("u", "undo", "Remove the summary", id="compact.undo", show=False),
        Binding("enter,q", "close", "Close", id="compact.close", show=False),
    ]

    class Advanced(Message):
        """A sentence of what is being done."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    class Grew(Message):
        """The summary so far; one such message represents any number of pieces."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CompactScreen.Grew)

    class Ended(Message):
        """`done` None: stopped or failed, and nothing is stored."""

        def __init__(self, done: Compacted | None, *, stopped: bool) -> None:
            super().__init__()
            self.done, self.stopped = done, stopped

    class TakenBack(Message):
        """The summary does not stand for anything any more."""

    def __init__(self, services: Services, conversation_id: int) -> None:
        super().__init__()
        self._services, self._conversation_id = services, conversation_id
        self._cancel = CancelToken()
        self._text = ""
        self.running = True
        self.done: Compacted | None = None

    def body(self) -> Iterable[Widget]:
        said = (
            f"A summary will replace all but the last {KEEP_TURNS} questions in future prompts."
            " The chat itself does not change."
        )
        yield Static(Content.styled(said, DIM), classes="intro")
        yield Static(Content.styled("◌ Getting ready", "$text-accent"), id="state")
        with VerticalScroll():
            yield Static(id="summary")

    def on_mount(self) -> None:
        self._compact()

    def on_unmount(self) -> None:
        self._cancel.cancel()

    # --- the work -----------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, exit_on_error=False, group="compact", description="compact a chat")
    def _compact(self) -> None:
        done: Compacted | None = None
        stopped = False

        def run() -> None:
            nonlocal done, stopped
            try:
                done = self._run()
            except CancelledError:
                stopped = True

        tasks.reporting(self._services, "compacting the chat", self.post_message, run)
        self.post_message(self.Ended(done, stopped=stopped))

    def _run(self) -> Compacted | None:
        written = ""
        with tasks.chats(self._services) as store:
            for event in compact(store, self._services.model, self._conversation_id, cancel=self._cancel):
                match event:
                    case TextDelta(text=text):
                        written += text
                        self.post_message(self.Grew(written))
                    case SummaryProgress() | LoadProgress() | PrefillProgress():
                        self.post_message(self.Advanced(progress_sentence(event)))
                    case Compacted():
                        return event
        return None

    @work(thread=True, exit_on_error=False, group="compact", description="remove a summary")
    def _take_back(self, compaction_id: int) -> None:
        def run() -> None:
            with tasks.chats(self._services) as store:
                store.remove_compaction(compaction_id)
            self.post_message(self.TakenBack())

        tasks.reporting(self._services, "removing the summary", self.post_message, run)

    # --- showing ------------------------------------------------------------------------------------

    def _say(self, content: Content) -> None:
        self.query_one("#state", Static).update(content)

    @on(Advanced)
    def _show_progress(self, event: Advanced) -> None:
        if self.running and not self._cancel.cancelled:
            self._say(Content.styled(f"◌ {event.sentence}", "$text-accent"))

    @on(Grew)
    def _show_text(self, event: Grew) -> None:
        self._text = event.text
        self.query_one("#summary", Static).update(Content(clean(self._text)))
        self.query_one(VerticalScroll).scroll_end(animate=False)

    @on(Ended)
    def _show_end(self, event: Ended) -> None:
        self.running = False
        self.done = done = event.done
        if done is not None:
            size = f"{counted(done.tokens_before, 'token')} → {counted(done.tokens_after, 'token')}"
            said = f"✓ {counted(done.turns, 'turn')}, {size}:"
            self._say(Content.styled(said, "$text-success"))
            self.query_one("#summary", Static).update(Content(clean(done.summary)))
        elif event.stopped:
            self._say(Content("Stopped. The chat is unchanged."))

    @on(TakenBack)
    def _show_taken_back(self) -> None:
        self.done = None
        self._say(Content("The summary is removed. The whole chat is in the prompt again."))
        self.query_one("#summary", Static).update(Content(""))

    @on(messages.TroubleReported)
    def _show_trouble(self, event: messages.TroubleReported) -> None:
        event.stop()
        self._say(trouble(event.sentence, event.remedy))

    # --- keys ---------------------------------------------------------------------------------------

    def action_undo(self) -> None:
        if self.done is not None:
            self._take_back(self.done.compaction_id)

    def action_close(self) -> None:
        if self.running and not self._cancel.cancelled:
            self._cancel.cancel()
            self._say(Content("Stopping …"))
        else:
            self.dismiss(self.done)
