"""An old answer made again from its record, and where the words differ. Nothing is stored.

The model that wrote it is chosen for the time, where it is still installed; the one that was chosen before is put back.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from ragchat.app.events import progress_sentence
from ragchat.errors import CancelledError, RagchatError
from ragchat.session.replay import Piece, Recorded, Replayed, Verdict, difference, recorded, replay
from ragchat.text import clean, clean_line, counted
from ragchat.tui import messages, tasks
from ragchat.tui.clipboard import copy
from ragchat.tui.lines import Block, Line, plain_lines
from ragchat.tui.screens.dialog import Leaving
from ragchat.tui.sentences import ago, trouble
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.tui.widgets.text_rows import TextRows
from ragchat.types import CancelToken, LoadProgress, PrefillProgress, ReasoningDelta, TextDelta

if TYPE_CHECKING:
    from ragchat.app.services import Services

DIM = "$foreground 62%"
_SAID: dict[Verdict, tuple[str, str]] = {
    "identical": ("✓ Identical, word for word.", "$text-success"),
    "beginning": ("✓ The same up to where it ends.", "$text-success"),
    "different": ("≠ Different", "$text-warning"),
}


class ReplayScreen(Leaving[None]):
    """Streams the new answer, then says how it compares. Esc stops it, and closes when nothing runs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Stop, or back", id="replay.back"),
        Binding("q", "back", "Back", id="replay.quit", show=False),
        Binding("y", "copy", "Copy the new text", id="replay.copy"),
        Binding("d", "differences", "Differences or text", id="replay.toggle"),
        Binding("g,home", "scroll('home')", "Beginning", id="replay.top", show=False),
        Binding("G,shift+g,end", "scroll('end')", "End", id="replay.bottom", show=False),
        Binding("j,down", "scroll('down')", "Down", id="replay.down", show=False),
        Binding("k,up", "scroll('up')", "Up", id="replay.up", show=False),
        Binding("space,pagedown", "scroll('page_down')", "Page down", id="replay.page_down", show=False),
        Binding("b,pageup", "scroll('page_up')", "Page up", id="replay.page_up", show=False),
    ]

    class Began(Message):
        """What the old answer was made from is read."""

        def __init__(self, record: Recorded) -> None:
            super().__init__()
            self.record = record

    class Advanced(Message):
        """A sentence of what is being done."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    class Grew(Message):
        """The text so far; one such message represents any number of pieces."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, ReplayScreen.Grew)

    class Ended(Message):
        """`result` None: stopped before there was anything, or failed."""

        def __init__(self, result: Replayed | None) -> None:
            super().__init__()
            self.result = result

    def __init__(self, services: Services, answer_id: int) -> None:
        super().__init__()
        self._services = services
        self._answer_id = answer_id
        self._cancel = CancelToken()
        self._text = ""
        self._only_text = False
        self.running = True
        self.result: Replayed | None = None

    def compose(self) -> ComposeResult:
        yield Static(Content.styled("Replay", "bold"), id="origin")
        yield Static(Content.styled("◌ Reading the record", "$text-accent"), id="verdict")
        with VerticalScroll():
            yield TextRows()
        yield KeyHints()

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._replay()

    def on_unmount(self) -> None:
        self._cancel.cancel()

    # --- the work -----------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, exit_on_error=False, group="replay", description="replay an answer")
    def _replay(self) -> None:
        result: Replayed | None = None

        def run() -> None:
            nonlocal result
            result = self._run()

        tasks.reporting(self._services, "replaying the answer", self.post_message, run)
        self.post_message(self.Ended(result))

    def _run(self) -> Replayed | None:
        model = self._services.model
        with tasks.chats(self._services) as store:
            record = recorded(store, self._answer_id)
        self.post_message(self.Began(record))
        before, written = model.selected, ""
        self._choose(record)
        try:
            for event in replay(model, record, cancel=self._cancel):
                match event:
                    case TextDelta(text=text):
                        written += text
                        self.post_message(self.Grew(written))
                    case LoadProgress() | PrefillProgress():
                        self.post_message(self.Advanced(progress_sentence(event)))
                    case ReasoningDelta():
                        self.post_message(self.Advanced("Thinking"))
                    case Replayed():
                        return event
        except CancelledError:
            return None
        finally:
            if before and before != model.selected:
                with contextlib.suppress(RagchatError):
                    model.select(before)
        return None

    def _choose(self, record: Recorded) -> None:
        """The model that wrote the answer, by its file or its name; the one that is chosen when neither is there."""
        model, wanted = self._services.model, record.generation
        loaded = model.info
        if loaded is not None and (loaded.name, loaded.path) == (wanted.model, wanted.model_path):
            return
        for name in (wanted.model_path, wanted.model):
            if name and not self._cancel.cancelled:
                with contextlib.suppress(RagchatError):
                    model.select(name)
                    return

    # --- showing ------------------------------------------------------------------------------------

    @on(Began)
    def _show_record(self, event: Began) -> None:
        answer, generation = event.record.answer, event.record.generation
        facts = f"{clean_line(generation.model)} · seed {generation.sampling.seed} · {ago(answer.created_at)}"
        if generation.sampling.temperature == 0:
            facts += " · greedy"
        self.query_one("#origin", Static).update(
            Content.assemble(Content.styled("Replay", "bold"), Content.styled(f"  {facts}", "$text-accent"))
        )

    @on(Advanced)
    def _show_progress(self, event: Advanced) -> None:
        if self.running and not self._cancel.cancelled:
            self._say(Content.styled(f"◌ {event.sentence}", "$text-accent"))

    @on(Grew)
    def _show_text(self, event: Grew) -> None:
        self._text = event.text
        if self.running:
            if not self._cancel.cancelled:
                self._say(Content.styled("◌ Replaying the answer", "$text-accent"))
            self._draw()
            self.query_one(VerticalScroll).scroll_end(animate=False)

    @on(Ended)
    def _show_end(self, event: Ended) -> None:
        self.running = False
        self.result = event.result
        if event.result is not None:
            self._say(verdict_content(event.result))
        elif self._cancel.cancelled:
            self._say(Content("Stopped before the first word."))
        self._draw()
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @on(messages.TroubleReported)
    def _show_trouble(self, event: messages.TroubleReported) -> None:
        event.stop()
        self._say(trouble(event.sentence, event.remedy))

    def _say(self, content: Content) -> None:
        self.query_one("#verdict", Static).update(content)

    def _draw(self) -> None:
        result = self.result
        if result is not None and result.verdict == "different" and not self._only_text:
            shown = [Line(line) for line in difference_content(result).split("\n", allow_blank=True)]
            self.query_one(TextRows).show_blocks([Block(0, [*shown])])
        else:
            text = result.text if result is not None else self._text
            self.query_one(TextRows).show_blocks([Block(0, plain_lines(clean(text)))])

    # --- keys ---------------------------------------------------------------------------------------

    def action_back(self) -> None:
        if self.running and not self._cancel.cancelled:
            self._cancel.cancel()
            self._say(Content("Stopping …"))
        else:
            self.dismiss(None)

    def action_copy(self) -> None:
        copy(self.app, self.result.text if self.result is not None else self._text, "The new text")

    def action_differences(self) -> None:
        if self.result is not None and self.result.verdict == "different":
            self._only_text = not self._only_text
            self._draw()

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


def verdict_content(result: Replayed) -> Content:
    """How the new answer compares, and why it may differ."""
    sentence, style = _SAID[result.verdict]
    if result.verdict == "different":
        pieces = difference(result.old, result.text)
        gone, new = _words(pieces, "removed"), _words(pieces, "added")
        sentence += f": {gone} gone, marked [-so-]; {new} new, marked {{+so+}}."
        if all(piece.kind == "same" for piece in pieces):
            sentence = "≠ The same words; spaces or line breaks differ."
    reasons = [Content.styled(clean_line(reason), DIM) for reason in result.reasons]
    return Content("\n").join([Content.styled(sentence, f"{style} bold"), *reasons])


def _words(pieces: tuple[Piece, ...], kind: str) -> str:
    return counted(sum(len(piece.text.split()) for piece in pieces if piece.kind == kind), "word")


def difference_content(result: Replayed) -> Content:
    """Both answers in one text. Marked by signs as wdiff writes them, so that no colour is needed."""
    parts = []
    touching = False
    for piece in difference(result.old, result.text):
        text = clean(piece.text)
        words = text.rstrip()
        after = text[len(words) :]
        match piece.kind:
            case "same":
                parts.append(Content(text))
            case "removed":
                parts += [Content.styled(f"[-{words}-]", "$text-error strike"), Content(after)]
            case "added":
                added = Content.styled(f"{{+{words}+}}", "$text-success underline")
                parts += [Content(" " if touching else ""), added, Content(after)]
        touching = piece.kind == "removed" and not after
    return Content("").join(parts)
