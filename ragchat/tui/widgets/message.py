"""One turn of the chat on the screen: what the person asked, what the model answered, or a note of ragchat's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from ragchat.text import clean, clean_line
from ragchat.tui.foreign import shown
from ragchat.tui.sentences import trouble

if TYPE_CHECKING:
    from textual.widgets.markdown import MarkdownStream

    from ragchat.tui.widgets.answer_markdown import AnswerMarkdown
    from ragchat.types import Citation


class MessageView(Vertical):
    """A turn. `citations` are the passages it stands on, `plain_text` what copying it gives."""

    DEFAULT_CLASSES: ClassVar[str] = "message"

    def __init__(self, text: str, *, message_id: int = 0, citations: tuple[Citation, ...] = ()) -> None:
        super().__init__()
        self.plain_text = clean(text)
        self.message_id = message_id
        self.citations = citations


class QuestionView(MessageView):
    """What the person wrote, word for word."""

    def compose(self) -> ComposeResult:
        yield Static(Content("You"), classes="who")
        yield Static(shown(self.plain_text), classes="verbatim")


class NoticeView(MessageView):
    """A sentence of ragchat's own between the turns: an error and its remedy."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence} {remedy}".strip())
        self._content = trouble(sentence, remedy)

    def compose(self) -> ComposeResult:
        yield Static(self._content, classes="trouble")


class AnswerView(MessageView):
    """What the model wrote: Markdown while it streams, then how it ended and what it cost."""

    def __init__(
        self,
        text: str,
        *,
        message_id: int = 0,
        citations: tuple[Citation, ...] = (),
        model: str = "",
        streaming: bool = False,
    ) -> None:
        super().__init__(text, message_id=message_id, citations=citations)
        self._model = model
        self.streaming = streaming
        self._stream: MarkdownStream | None = None

    def compose(self) -> ComposeResult:
        from ragchat.tui.widgets.answer_markdown import AnswerMarkdown

        yield Static(Content(clean_line(self._model, limit=60) or "Answer"), classes="who")
        yield AnswerMarkdown(self.plain_text)
        progress = Static(Content(""), classes="progress")
        progress.display = self.streaming
        yield progress
        ending = Static(Content(""), classes="ending")
        ending.display = False
        yield ending

    @property
    def markdown(self) -> AnswerMarkdown:
        from ragchat.tui.widgets.answer_markdown import AnswerMarkdown

        return self.query_one(AnswerMarkdown)

    async def feed(self, piece: str) -> None:
        """More of the answer."""
        if self._stream is None:
            self._stream = self.markdown.get_stream(self.markdown)
            self.query_one(".progress", Static).display = False
        self.plain_text += piece
        await self._stream.write(piece)

    def show_progress(self, sentence: str) -> None:
        """What is being done before the first word."""
        progress = self.query_one(".progress", Static)
        progress.display = not self.plain_text
        progress.update(Content(f"◌ {sentence}"))

    async def settle(self) -> None:
        """Show all that was fed; nothing more comes through the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.stop()

    async def finish(self, text: str, footer: Content) -> None:
        """The whole answer and the lines under it."""
        await self.settle()
        self.streaming = False
        self.plain_text = clean(text)
        if self.markdown.source != self.plain_text:
            await self.markdown.update(self.plain_text)
        self.query_one(".progress", Static).display = False
        ending = self.query_one(".ending", Static)
        ending.update(footer)
        ending.display = bool(footer)
