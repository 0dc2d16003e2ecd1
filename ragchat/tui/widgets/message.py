"""One turn of the chat on the screen: what the user asked, what the model answered, or a note of ragchat's own.

A view is given all it shows and knows no database. Copying and cutting happen elsewhere; it says what there is to copy.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content

from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.tui import markdown
from ragchat.tui.lines import EMPTY, QUIET, Block, Line, label_lines, plain_lines
from ragchat.tui.messages import LinksCalled
from ragchat.tui.sentences import trouble
from ragchat.tui.widgets.text_rows import TextRows

if TYPE_CHECKING:
    from textual.timer import Timer

    from ragchat.types import Citation

_DRAW_S, _IDLE_SHARE = 0.04, 4
"""A streaming answer is drawn at most so often, and drawing takes at most one part in 1 + _IDLE_SHARE of the time."""

_AT_ONCE = 10_000
"""Characters that are read without a thread when an answer ends."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a turn beside its text, as in `StoredMessage`. `siblings` are message ids, the turn's own among them."""

    siblings: tuple[int, ...] = ()
    rating: int = 0
    correction: str = ""
    reasoning: str = ""
    reasoning_s: float = 0.0
    reasoning_tokens: int = 0


NOTHING = Facts()


class MessageView(TextRows):
    """A turn. `citations` are the passages it is based on, `plain_text` what copying it gives."""

    DEFAULT_CLASSES: ClassVar[str] = "message"
    name_of_text: ClassVar[str] = "The message"

    def __init__(
        self,
        text: str,
        *,
        message_id: int = 0,
        citations: tuple[Citation, ...] = (),
        facts: Facts = NOTHING,
    ) -> None:
        super().__init__()
        self.plain_text = clean(text)
        self.message_id = message_id
        self.citations = citations
        self.facts = facts
        self.streaming = False
        self._body: list[Block] = []

    @property
    def speaker(self) -> str:
        """Whose words these are."""
        return ""

    def as_markdown(self) -> str:
        """The turn with who said it."""
        return f"**{self.speaker}**\n\n{self.plain_text}" if self.speaker else self.plain_text

    def update_facts(self, facts: Facts) -> None:
        """Show what is known now."""
        self.facts = facts
        self.draw()

    def on_mount(self) -> None:
        self._body = self.build_body()
        self.draw()

    def on_unmount(self) -> None:
        super().on_unmount()
        self._body = []

    def build_body(self) -> list[Block]:
        """The text in blocks."""
        return [Block(0, plain_lines(self.plain_text))]

    def draw(self) -> None:
        """Show everything as it is now."""
        if self.is_attached:
            body = [replace(block, gap=False) if not n else block for n, block in enumerate(self._body)]
            self.show_blocks([*self.above(), *body, *self.below()])

    def above(self) -> list[Block]:
        """Who speaks."""
        return [Block(0, label_lines(self._heading()), gap=False)]

    def below(self) -> list[Block]:
        """What is under the text."""
        return []

    def _heading(self) -> Content:
        """Who, at which of several branches, and what the user thinks of it."""
        facts, place = self.facts, self.facts.siblings
        parts = [Content.styled(self.speaker, f"bold {self.speaker_style}")]
        if len(place) > 1:
            at = place.index(self.message_id) + 1 if self.message_id in place else len(place)
            parts.append(Content.styled(f"‹ {at}/{len(place)} ›", "$text-accent"))
        if facts.rating:
            good = facts.rating > 0
            parts.append(Content.styled(*(("+ good", "$text-success") if good else ("- bad", "$text-error"))))
        if facts.correction:
            parts.append(Content.styled("corrected", "$text-warning"))
        return Content("  ").join(parts)

    @property
    def speaker_style(self) -> str:
        """The colour of the name."""
        return QUIET


class QuestionView(MessageView):
    """What the user wrote, word for word."""

    name_of_text = "The question"

    @property
    def speaker(self) -> str:
        return "You"

    @property
    def speaker_style(self) -> str:
        return "$text-primary"


class NoticeView(MessageView):
    """A sentence of ragchat's own between the turns: an error and its remedy."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence} {remedy}".strip())
        self._content = trouble(sentence, remedy)

    def build_body(self) -> list[Block]:
        return [Block(0, [Line(line) for line in self._content.split("\n")])]

    def above(self) -> list[Block]:
        return []


class AnswerView(MessageView):
    """What the model wrote: Markdown while it streams, then how it ended and what it cost (`footer`)."""

    name_of_text = "The answer"

    def __init__(
        self,
        text: str,
        *,
        message_id: int = 0,
        citations: tuple[Citation, ...] = (),
        facts: Facts = NOTHING,
        model: str = "",
        streaming: bool = False,
        footer: Content = EMPTY,
    ) -> None:
        super().__init__(text, message_id=message_id, citations=citations, facts=facts)
        self._model = clean_line(model, limit=60)
        self.streaming = streaming
        self.footer = footer
        self._progress = EMPTY
        self._pending = ""
        self._draw_timer: Timer | None = None
        self._draw_s = 0.0
        self._thought, self._thought_tokens, self._unfolded = facts.reasoning, 0, False

    @property
    def speaker(self) -> str:
        return self._model or "Answer"

    @property
    def links(self) -> list[str]:
        """The addresses of all links and pictures, each once."""
        return markdown.links(self.plain_text)

    @property
    def code_blocks(self) -> list[markdown.CodeBlock]:
        """The code in the answer, in its order."""
        return markdown.code_blocks(self.plain_text)

    def with_sources(self) -> str:
        """The answer and the passages it cites."""
        used = [citation for citation in self.citations if citation.used]
        lines = [f"[{c.n}] {clean_line(c.hit.path)}, {c.hit.source}" for c in used]
        return "\n".join([self.plain_text, "", "Sources:", *lines]) if lines else self.plain_text

    def action_link(self, href: str) -> None:
        """A link was pressed; the user is asked what to do with it."""
        self.post_message(LinksCalled([href]))

    # --- drawing ------------------------------------------------------------------------------------

    def _colours(self) -> dict[str, bool]:
        return {"ansi": self.app.native_ansi_color, "dark": self.app.current_theme.dark}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._body and self.app.native_ansi_color and not self.streaming:
            self._body = self.build_body()
            self.draw()

    def build_body(self) -> list[Block]:
        return markdown.blocks(self.plain_text, **self._colours())

    def above(self) -> list[Block]:
        blocks = super().above()
        if self._thought:
            blocks.append(Block(0, label_lines(self._reasoning()), gap=False))
            if self.plain_text:
                blocks.append(Block(0, [Line(EMPTY, kind="label")], gap=False))
        return blocks

    def below(self) -> list[Block]:
        shown = [(self._progress, False), (self.footer, True), (self._correction(), True)]
        return [Block(0, label_lines(content), gap=gap) for content, gap in shown if content]

    def _correction(self) -> Content:
        correction = clean(self.facts.correction)
        said = Content.assemble(Content.styled("Corrected to: ", "$text-warning bold"), Content(correction))
        return said if correction else EMPTY

    # --- streaming ----------------------------------------------------------------------------------

    def resume(self) -> None:
        """A cut answer is about to continue."""
        self.streaming = True
        self.footer = EMPTY
        self.draw()

    async def feed(self, piece: str) -> None:
        """More of the answer. It is drawn in a moment, together with what comes until then."""
        self._progress = EMPTY
        self.plain_text += piece
        self._pending += piece
        if self._draw_timer is None:
            self._draw_timer = self.set_timer(max(_DRAW_S, self._draw_s * _IDLE_SHARE), self._draw_pending)

    def _draw_pending(self) -> None:
        self._draw_timer = None
        if self._pending:
            self._pending = ""
            started = time.perf_counter()
            # Only the last block is read again: the rest cannot change any more.
            first = self._body[-1].source_line if self._body else 0
            tail = self.plain_text.split("\n", first)[first]
            del self._body[-1:]
            self._body += markdown.blocks(tail, first_line=first, growing=True, **self._colours())
            self.draw()
            # The layout of the screen follows, and takes about as long again.
            self._draw_s = 2 * (time.perf_counter() - started)

    def feed_reasoning(self, piece: str, *, tokens: int = 0) -> None:
        """More of what the model thinks before it answers; `tokens` so far, 0 when no one counts them."""
        self._thought += piece
        self._thought_tokens = tokens
        self._progress = EMPTY
        self.draw()

    def show_progress(self, sentence: str) -> None:
        """What is being done before the first word."""
        idle = not self.plain_text and not self._thought
        self._progress = Content.styled(f"◌ {clean_line(sentence)}", "$text-accent") if idle else EMPTY
        self.draw()

    async def settle(self) -> None:
        """Show all that was fed."""
        if self._draw_timer is not None:
            self._draw_timer.stop()
            self._draw_pending()

    async def finish(self, text: str, footer: Content, facts: Facts | None = None) -> None:
        """The whole answer and the lines under it."""
        if self._draw_timer is not None:
            self._draw_timer.stop()
            self._draw_timer = None
        self._pending, self._progress = "", EMPTY
        self.streaming = False
        self.plain_text, self.footer = clean(text), footer
        if facts is not None:
            self.facts = facts
            self._thought = facts.reasoning or self._thought
        if self.is_attached:
            # The whole of it once more: what was drawn in parts may have become something else.
            if len(self.plain_text) < _AT_ONCE:
                self._body = self.build_body()
            else:
                colours = self._colours()
                self._body = await asyncio.to_thread(markdown.blocks, self.plain_text, **colours)
            self.draw()

    # --- thoughts -----------------------------------------------------------------------------------

    def update_facts(self, facts: Facts) -> None:
        self._thought = facts.reasoning or self._thought
        super().update_facts(facts)

    @property
    def has_reasoning(self) -> bool:
        return bool(self._thought)

    def toggle_reasoning(self) -> None:
        """Show or fold what the model thought."""
        self._unfolded = not self._unfolded
        self.draw()

    def _reasoning(self) -> Content:
        """One line, and all that was thought when it is unfolded."""
        line = Content.styled(f"{'▾' if self._unfolded else '▸'} {self._reasoning_line()}", QUIET)
        if not self._unfolded:
            return line
        return Content.assemble(line, Content.styled(f"\n{clean(self._thought).strip()}", f"italic {QUIET}"))

    def _reasoning_line(self) -> str:
        if self.streaming and not self.plain_text:
            tokens = self._thought_tokens
            return f"reasoning … {counted(tokens, 'token') if tokens else counted(len(self._thought.split()), 'word')}"
        facts, said = self.facts, "thought"
        if facts.reasoning_s:
            said += f" for {human_seconds(facts.reasoning_s)}"
        if facts.reasoning_tokens:
            said += f", {counted(facts.reasoning_tokens, 'token')}"
        return f"{said} (t {'folds' if self._unfolded else 'shows'} it)"


def found_pattern(words: str) -> re.Pattern[str] | None:
    """What stands out when `words` were searched for: each of them, in any case."""
    parts = sorted(words.split(), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, parts)), re.IGNORECASE) if parts else None


def selected_markdown(views: Sequence[MessageView]) -> str:
    """Several turns for the clipboard."""
    return "\n\n".join(view.as_markdown() for view in views)
