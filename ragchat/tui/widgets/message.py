"""One turn of the chat on the screen: what the user asked, what the model answered, or a note of ragchat's own.

A view is given all it shows and knows no database. Copying and cutting happen elsewhere; it says what there is to copy.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, TypedDict

from textual.content import Content

from ragchat.session.marked import is_used
from ragchat.session.quotation import FROM_DOCUMENTS
from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.tui import markdown
from ragchat.tui.annotations import Annotated, with_notice
from ragchat.tui.lines import EMPTY, QUIET, Block, Line, label_lines, plain_lines
from ragchat.tui.messages import LinksCalled
from ragchat.tui.quotations import quote_blocks, quotes_text, to_look_at
from ragchat.tui.sentences import trouble
from ragchat.tui.verdicts import as_text, neutral
from ragchat.tui.widgets.text_rows import TextRows
from ragchat.types import UNCHECKED, AnswerCheck, text_of

if TYPE_CHECKING:
    from textual.timer import Timer

    from ragchat.types import Citation, Quote, StoredMessage

_DRAW_S, _IDLE_SHARE = 0.04, 4
"""A streaming answer is drawn at most so often, and drawing takes at most one part in 1 + _IDLE_SHARE of the time."""

_LONG_LIST = 40
"""Items of a list that is read again as a whole while it streams: whether they are apart is known at its end."""

_AT_ONCE = 10_000
"""Characters that are read without a thread when an answer ends."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a turn beside its text, as in `StoredMessage`. `siblings` are message ids, the turn's own among them.

    `notice` is what the text begins with that ragchat says; offsets of `check` count behind it.
    """

    siblings: tuple[int, ...] = ()
    rating: int = 0
    correction: str = ""
    reasoning: str = ""
    reasoning_s: float = 0.0
    reasoning_tokens: int = 0
    notice: str = ""
    quotes: tuple[Quote, ...] = ()
    check: AnswerCheck = UNCHECKED

    @classmethod
    def of(cls, stored: StoredMessage) -> Facts:
        return cls(
            siblings=stored.siblings,
            rating=stored.rating,
            correction=stored.correction,
            reasoning=stored.reasoning,
            reasoning_s=stored.reasoning_s,
            reasoning_tokens=stored.reasoning_tokens,
            notice=stored.notice,
            quotes=stored.quotes,
            check=stored.check,
        )


NOTHING = Facts()


class MessageView(TextRows):
    """A turn. `citations` are the passages it is based on, `plain_text` is its text, `copied` what copying it gives."""

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
        self.plain_text = neutral(clean(text))
        self.message_id = message_id
        self.citations = citations
        self.facts = facts
        self.streaming = False
        self._body: list[Block] = []

    @property
    def speaker(self) -> str:
        """Whose words these are."""
        return ""

    @property
    def copied(self) -> str:
        """The turn as it is copied."""
        return self.plain_text

    def as_markdown(self) -> str:
        """The turn with who said it."""
        return f"**{self.speaker}**\n\n{self.copied}" if self.speaker else self.copied

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
            body = [replace(block, gap=False) if not n else block for n, block in enumerate(self.body())]
            self.show_blocks([*self.above(), *body, *self.below()])

    def body(self) -> list[Block]:
        """What of the text is shown now."""
        return self._body

    def above(self) -> list[Block]:
        """Who speaks."""
        return [Block(0, label_lines(self._heading()), gap=False)]

    def below(self) -> list[Block]:
        """What is under the text."""
        return []

    def _heading(self) -> Content:
        """Who, at which of several branches, and what the user thinks of it."""
        return Content("  ").join(
            [Content.styled(self.speaker, f"bold {self.speaker_style}"), *self._state()]
        )

    def _state(self) -> list[Content]:
        """At which of several branches it is, and what the user thinks of it."""
        facts, place, parts = self.facts, self.facts.siblings, []
        if len(place) > 1:
            at = place.index(self.message_id) + 1 if self.message_id in place else len(place)
            parts.append(Content.styled(f"‹ {at}/{len(place)} ›", "$text-accent"))
        if facts.rating:
            good = facts.rating > 0
            parts.append(Content.styled(*(("+ good", "$text-success") if good else ("- bad", "$text-error"))))
        if facts.correction:
            parts.append(Content.styled("corrected", "$text-warning"))
        return parts

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


class _Colours(TypedDict):
    """What code is coloured for."""

    ansi: bool
    dark: bool


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
        self._raw = text
        self._quoted: list[Block] = quote_blocks(facts.quotes)
        self._words_unfolded = False
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

    # --- what it is made of -------------------------------------------------------------------------

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """What the documents themselves say."""
        return self.facts.quotes

    @property
    def check(self) -> AnswerCheck:
        """How the statements compare with the passages."""
        return self.facts.check

    @property
    def has_words(self) -> bool:
        """Whether the model has written anything."""
        return bool(self.plain_text[self._shift :].strip())

    @property
    def folds_words(self) -> bool:
        """Whether a strict chat struck out all that the model wrote: the quotes alone are the answer."""
        check = self.check
        return bool(self.quotes and check.strict and len(check.struck) == len(check.statements) > 0)

    @property
    def nearest(self) -> tuple[Citation, ...]:
        """What to look at in the documents: the quotes, else the passages where none answers."""
        return to_look_at(self.quotes, self.citations, self.check)

    @property
    def _shift(self) -> int:
        """Characters of the text before what the model wrote."""
        notice = self.facts.notice
        return len(text_of("\0", notice=notice)) - 1 if notice and self._raw.startswith(notice) else 0

    @property
    def copied(self) -> str:
        return self._text(signs=False) or quotes_text(self.quotes)

    def with_sources(self) -> str:
        """What the documents say, the answer with its marks, how many there are of each, and the passages it cites."""
        used = [citation for citation in self.citations if is_used(citation, self.check)]
        lines = [f"[{c.n}] {clean_line(c.hit.path)}, {c.hit.source}" for c in used]
        sources = "\n".join(["Sources:", *lines]) if lines else ""
        words = self._text(signs=True)
        return "\n\n".join(filter(None, (quotes_text(self.quotes), words, self.check.line, sources)))

    def _text(self, *, signs: bool) -> str:
        """The words as they are copied; empty where only the quotes are the answer."""
        if not self.has_words or self.folds_words:
            return "" if self.quotes else self.plain_text
        if not self.check.struck and not signs:
            return self.plain_text
        return as_text(self._annotated().text, signs=signs)

    def _annotated(self) -> Annotated:
        """The whole text with the marks of its statements in it."""
        return with_notice(self._raw, self._shift, self.check)

    def action_link(self, href: str) -> None:
        """A link was pressed; the user is asked what to do with it."""
        self.post_message(LinksCalled([href]))

    # --- drawing ------------------------------------------------------------------------------------

    def _colours(self) -> _Colours:
        return {"ansi": self.app.native_ansi_color, "dark": self.app.current_theme.dark}

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._body and self.app.native_ansi_color and not self.streaming:
            self._body = self.build_body()
            self.draw()

    def build_body(self, colours: _Colours | None = None) -> list[Block]:
        colours = colours or self._colours()
        if not self.check.statements:
            return markdown.blocks(self.plain_text, code_marks={} if self.streaming else None, **colours)
        made = self._annotated()
        return markdown.blocks(made.text, code_marks=made.code, **colours)

    def body(self) -> list[Block]:
        return self._body if self._words_unfolded or not self.folds_words else []

    def show_quotes(self, quotes: tuple[Quote, ...]) -> None:
        """What the documents say was found; it stays above what the model writes."""
        self.facts = replace(self.facts, quotes=quotes)
        self._quoted = quote_blocks(quotes)
        self.draw()

    def above(self) -> list[Block]:
        if not self._quoted:
            return self._who()
        alone = not self.streaming and not self.has_words
        title = [Content.styled(FROM_DOCUMENTS, "bold $text-primary"), *(self._state() if alone else ())]
        quoted = [Block(0, label_lines(Content("  ").join(title)), gap=False), *self._quoted]
        if alone:  # what ragchat says where no model wrote is nobody's words
            return [*quoted, Block(0, [])] if self.body() else quoted
        first, *more = self._who()
        return [*quoted, replace(first, gap=True), *more]

    def _who(self) -> list[Block]:
        """Who wrote what follows, and what was thought before."""
        blocks = super().above()
        if self.folds_words:
            blocks.append(Block(0, label_lines(self._folded_line()), gap=False))
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
        """A cut answer is about to continue; it is checked again when it is whole."""
        self.streaming = True
        self.footer = EMPTY
        if self.check.statements:
            self.facts = replace(self.facts, check=UNCHECKED)
            self._body = self.build_body()
        self.draw()

    async def feed(self, piece: str) -> None:
        """More of the answer. It is drawn in a moment, together with what comes until then."""
        self._progress = EMPTY
        piece = neutral(piece)
        self.plain_text += piece
        self._raw += piece
        self._pending += piece
        if self._draw_timer is None:
            self._draw_timer = self.set_timer(max(_DRAW_S, self._draw_s * _IDLE_SHARE), self._draw_pending)

    def _draw_pending(self) -> None:
        self._draw_timer = None
        if self._pending:
            self._pending = ""
            started = time.perf_counter()
            # Only the last block is read again, or the list that it is an item of: the rest cannot change any more.
            kept = self._settled()
            first = self._body[kept].source_line if self._body else 0
            tail = self.plain_text.split("\n", first)[first]
            # No `[n]` counts before its statement was checked.
            self._body[kept:] = markdown.blocks(
                tail, first_line=first, growing=True, code_marks={}, **self._colours()
            )
            self.draw()
            # The layout of the screen follows, and takes about as long again.
            self._draw_s = 2 * (time.perf_counter() - started)

    def _settled(self) -> int:
        """How many blocks no more text can change. Of a long list it may be all but the last item, for the moment."""
        last = len(self._body) - 1
        begun = next((n for n in range(last, -1, -1) if self._body[n].gap), 0)
        return max(0, last if last - begun > _LONG_LIST else begun)

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
        self._raw, self.plain_text, self.footer = text, neutral(clean(text)), footer
        if facts is not None:
            self._take(facts)
        if self.is_attached:
            # The whole of it once more: what was drawn in parts may have become something else.
            if len(self.plain_text) < _AT_ONCE:
                self._body = self.build_body()
            else:
                self._body = await asyncio.to_thread(self.build_body, self._colours())
            self.draw()

    # --- thoughts -----------------------------------------------------------------------------------

    def _take(self, facts: Facts) -> None:
        if facts.quotes != self.facts.quotes:
            self._quoted = quote_blocks(facts.quotes)
        self.facts = facts
        self._thought = facts.reasoning or self._thought

    def update_facts(self, facts: Facts) -> None:
        checked = facts.check != self.check
        self._take(facts)
        if checked:
            self._body = self.build_body()
        self.draw()

    @property
    def has_reasoning(self) -> bool:
        return bool(self._thought)

    def toggle_reasoning(self) -> None:
        """Show or fold what the model thought."""
        self._unfolded = not self._unfolded
        self.draw()

    def toggle_words(self) -> bool:
        """Show or fold what the model wrote, where none of it is supported; whether there is such."""
        if self.folds_words:
            self._words_unfolded = not self._words_unfolded
            self.draw()
        return self.folds_words

    def _folded_line(self) -> Content:
        arrow, does = ("▾", "folds") if self._words_unfolded else ("▸", "shows")
        return Content.styled(f"{arrow} Nothing the model wrote is supported (m {does} it)", QUIET)

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
