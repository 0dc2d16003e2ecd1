"""One turn of the chat on the screen: what the person asked, what the model answered, or a note of ragchat's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from ragchat.text import clean, clean_line, human_seconds
from ragchat.tui.foreign import shown

if TYPE_CHECKING:
    from textual.widgets.markdown import MarkdownStream

    from ragchat.tui.widgets.answer_markdown import AnswerMarkdown
    from ragchat.types import Citation, Timings

_ENDINGS = {
    "cancelled": "Stopped by you; this is what had been written.",
    "interrupted": "Interrupted: ragchat ended before the answer did. This is what had been written.",
    "length": "Cut: the longest answer, or the context, was reached.",
}


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


def trouble(sentence: str, remedy: str) -> Content:
    """An error as the person reads it."""
    parts = [Content.styled(clean(sentence), "$text-error")]
    if remedy:
        parts += [Content("\n"), Content.styled(clean(remedy), "$foreground 62%")]
    return Content.assemble(*parts)


def answer_footer(
    state: str,
    *,
    finish_reason: str = "",
    error: str = "",
    remedy: str = "",
    timings: Timings | None = None,
    citations: tuple[Citation, ...] = (),
    asked_documents: bool = False,
    from_documents: bool = True,
    left_out: tuple[str, ...] = (),
) -> Content:
    """The lines under an answer: how it ended, what did not fit, what it cost, whether the documents bear it."""
    lines: list[Content] = []
    if state == "error":
        lines.append(trouble(error or "The answer failed.", remedy))
    elif ending := _ENDINGS.get(finish_reason if state == "complete" else state):
        lines.append(Content.styled(ending, "$text-warning"))
    lines += [Content.styled(clean_line(sentence), "$foreground 62%") for sentence in left_out]
    facts = []
    if timings and timings.ttft_s:
        facts.append(f"{human_seconds(timings.ttft_s)} to first token")
    if timings and timings.decode_tok_s:
        facts.append(
            f"{timings.decode_tok_s:.0f} tok/s"
            if timings.decode_tok_s >= 10
            else f"{timings.decode_tok_s:.1f} tok/s"
        )
    used = sum(citation.used for citation in citations)
    if used:
        facts.append(f"{used} source{'s' if used != 1 else ''}")
    last = Content.styled(" · ".join(facts), "$foreground 62%")
    if asked_documents and not from_documents and state != "error":
        last = Content(" · ").join(
            [part for part in (last, Content.styled("not from your documents", "$text-warning")) if part]
        )
    if last:
        lines.append(last)
    return Content("\n").join(lines)
