"""The exact prompt of an answer, past or next: how full the context is and of what, what was left out, every word of it.

It shows a `PromptView` and reads nothing itself.
"""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from ragchat.session import prompt_view
from ragchat.session.prompt_view import FREE, PromptView
from ragchat.text import clean, clean_line
from ragchat.tui.clipboard import copy
from ragchat.tui.saving import save_text
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.sentences import ago
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.status_bar import KeyHints

DIM = "$foreground 62%"
_NAME, _TOKENS = 25, 6


class PromptViewScreen(Leaving[None]):
    """`t` goes from the messages to the text as the chat template writes it, and back."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (18, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", id="prompt_view.back"),
        Binding("q", "back", "Back", id="prompt_view.quit", show=False),
        Binding("t", "rendered", "As sent", id="prompt_view.rendered", tooltip="With the chat template"),
        Binding("y", "copy", "Copy", id="prompt_view.copy"),
        Binding("s", "save", "Save", id="prompt_view.save"),
        Binding("slash", "search", "Search", id="prompt_view.search"),
        Binding("n", "find(False)", "Next", id="prompt_view.next", show=False),
        Binding("N,shift+n", "find(True)", "Previous", id="prompt_view.previous", show=False),
        Binding("g,home", "top", "Beginning", id="prompt_view.top", show=False),
        Binding("G,shift+g,end", "bottom", "End", id="prompt_view.bottom", show=False),
        Binding("j,down", "rows(1)", "Down", id="prompt_view.down", show=False),
        Binding("k,up", "rows(-1)", "Up", id="prompt_view.up", show=False),
        Binding("space,pagedown", "pages(1)", "Page down", id="prompt_view.page_down", show=False),
        Binding("b,pageup", "pages(-1)", "Page up", id="prompt_view.page_up", show=False),
    ]

    def __init__(self, view: PromptView) -> None:
        super().__init__()
        self._view = view
        self._rendered = False
        self._found: tuple[int, int] | None = None

    def compose(self) -> ComposeResult:
        yield Static(self._title(), id="origin")
        with Container(id="prompt"):
            with VerticalScroll(id="parts"):
                yield Static(id="meter")
            yield DocumentText()
        search = Line(placeholder="Search")
        search.display = False
        yield search
        yield KeyHints()

    def on_mount(self) -> None:
        self._show()
        self.text.focus()

    def on_resize(self, event: events.Resize) -> None:
        self.call_after_refresh(self._draw_meter)

    @property
    def text(self) -> DocumentText:
        return self.query_one(DocumentText)

    # --- showing ------------------------------------------------------------------------------------

    def _title(self) -> Content:
        view = self._view
        when = f", {ago(view.created_at)}" if view.created_at else ""
        free = f" · {view.free:,} {FREE}" if view.n_ctx else ""
        return Content.assemble(
            Content.styled(f"{view.title}{when}", "bold"),
            Content.styled(f"  {prompt_view.size_line(view)}{free}", "$text-accent"),
        )

    def _show(self) -> None:
        view = self._view
        self._found = None
        if self._rendered:
            self.text.load(clean(view.rendered), passage=None, evidence=None, numbered=False)
        else:
            text, roles = prompt_view.messages_text(view)
            self.text.load(text, passage=None, evidence=None, numbered=False, words=roles)

    def _draw_meter(self) -> None:
        meter = self.query_one("#meter", Static)
        cells = max(4, meter.content_size.width - _NAME - _TOKENS - 2)
        meter.update(meter_content(self._view, cells))

    # --- keys ---------------------------------------------------------------------------------------

    def action_back(self) -> None:
        search = self.query_one(Line)
        if search.display:
            search.display = False
            self.text.focus()
        else:
            self.dismiss(None)

    def action_rendered(self) -> None:
        if not self._view.rendered:
            why = self._view.not_rendered or "The formatted prompt is not available."
            self.notify(clean_line(why), timeout=4, markup=False)
            return
        self._rendered = not self._rendered
        self._show()

    @property
    def shown(self) -> str:
        """The text on the screen, whole."""
        return self.text.text

    def action_copy(self) -> None:
        copy(self.app, self.shown, "The prompt")

    def action_save(self) -> None:
        save_text(self.app, f"{self.shown}\n", "the prompt", "prompt.txt")

    def action_search(self) -> None:
        search = self.query_one(Line)
        search.display = True
        search.value = ""
        search.focus()

    @on(Input.Submitted)
    def _search(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Line).display = False
        self.text.focus()
        self.text.search(event.value)
        self._found = None
        if event.value:
            self.action_find(False)

    def action_find(self, backwards: bool) -> None:
        text = self.text
        start = text.top_offset if self._found is None else self._found[0 if backwards else 1]
        found = text.find(start, backwards=backwards)
        if found is None:
            self.notify("Not found." if text.searching else "Press / to search.", timeout=2, markup=False)
            return
        self._found = found
        text.go_to(found[0])

    @property
    def _scrolled(self) -> DocumentText | VerticalScroll:
        """What the keys scroll: the meter when it has the focus."""
        parts = self.query_one("#parts", VerticalScroll)
        return parts if self.focused is parts else self.text

    def action_top(self) -> None:
        self._scrolled.scroll_home(animate=False)

    def action_bottom(self) -> None:
        self._scrolled.scroll_end(animate=False)

    def action_rows(self, step: int) -> None:
        self._scrolled.scroll_relative(y=step, animate=False)

    def action_pages(self, step: int) -> None:
        scrolled = self._scrolled
        scrolled.scroll_relative(y=step * max(1, scrolled.size.height - 2), animate=False)


def meter_content(view: PromptView, cells: int) -> Content:
    """The context by part with bars of at most `cells`, what was left out, the facts."""
    lines = []
    for part in view.meter:
        style = DIM if part.kind is FREE else ""
        lines.append(
            Content.assemble(
                Content.styled(f"{clean_line(part.name, limit=_NAME - 1):<{_NAME}}", style),
                Content.styled(f"{part.tokens:>{_TOKENS},} ", style or "bold"),
                Content.styled(prompt_view.bar(part.tokens, view.n_ctx, cells), style or "$accent"),
            )
        )
    if not view.parts:
        lines.append(Content.styled("The sizes of the parts were not recorded.", DIM))
    lines += [
        Content.styled(f"Left out: {clean_line(one.sentence)}", "$text-warning") for one in view.left_out
    ]
    lines.append(Content(""))
    for name, value in prompt_view.facts(view):
        lines.append(Content.assemble(Content.styled(f"{name}  ", DIM), Content(value)))
    return Content("\n").join(lines)
