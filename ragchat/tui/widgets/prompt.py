"""Where the person types: Enter sends, several ways make a new line, Up and Down at the edges walk what was asked before."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from ragchat.text import clean
from ragchat.tui.paths import complete_path

ATTACH = "/attach"


def attach_command(text: str) -> tuple[str, str] | None:
    """(path, the question that stands below) when the text begins with `/attach`, None otherwise."""
    first, _, rest = text.partition("\n")
    word, blank, path = first.partition(" ")
    if word != ATTACH or not (blank or not rest):
        return None
    return path.strip(), rest


class Prompt(TextArea):
    """Invariant: what was being typed when the walk through the history began comes back at its end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Send", id="prompt.send", priority=True),
        Binding(
            "ctrl+j,alt+enter,shift+enter",
            "new_line",
            "New line",
            id="prompt.new_line",
            priority=True,
            key_display="^j",
        ),
    ]

    class LeftBehind(Message):
        """Backspace was pressed where nothing is left to delete."""

    class CompletionsFound(Message):
        """What the path after `/attach` may go on with."""

        def __init__(self, offers: list[str]) -> None:
            super().__init__()
            self.offers = offers

    class Submitted(Message):
        """Enter was pressed; the text stays until `clear` is called."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, tab_behavior="focus"
        )
        self.placeholder = "Ask anything"
        self._history: list[str] = []
        self._position = -1
        self._draft = ""

    def load_history(self, questions: list[str]) -> None:
        """What was asked before, newest first."""
        self._history = questions
        self._position = -1

    def remember(self, question: str) -> None:
        """Put a question at the newest place."""
        self._history = [question, *(old for old in self._history if old != question)]
        self._position = -1

    def put(self, text: str) -> None:
        """Replace the text, cursor at the end."""
        self.load_text(clean(text))
        self.move_cursor(self.document.end)

    # These keys are bound with priority, so they arrive while letters typed before them may still be queued here.
    def action_submit(self) -> None:
        self.call_later(lambda: self.post_message(self.Submitted(self.text)))

    def action_new_line(self) -> None:
        self.call_later(lambda: self._replace_via_keyboard("\n", *self.selection))

    def action_delete_left(self) -> None:
        if not self.text:
            self.post_message(self.LeftBehind())
        super().action_delete_left()

    def begin_attaching(self) -> None:
        """Put `/attach ` before what has been typed, the cursor behind it."""
        if attach_command(self.text) is None:
            typed = f"\n{self.text}" if self.text else ""
            self.load_text(f"{ATTACH} {typed}")
        self.move_cursor((0, len(self.document.get_line(0))))

    def _complete(self) -> bool:
        """Complete the path of `/attach`; False where there is none to complete."""
        line = self.document.get_line(0)
        command = attach_command(self.text)
        if command is None or self.cursor_location[0] != 0:
            return False
        completed, offers = complete_path(command[0])
        if completed != command[0]:
            begun = f"{ATTACH} {completed}"
            self.replace(begun, (0, 0), (0, len(line)))
            self.move_cursor((0, len(begun)))
        if offers:
            self.post_message(self.CompletionsFound(offers))
        return True

    def action_cursor_up(self, select: bool = False) -> None:
        at_top = self.wrapped_document.location_to_offset(self.cursor_location).y == 0
        if select or not at_top or not self._walk(+1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        at_bottom = (
            self.wrapped_document.location_to_offset(self.cursor_location).y
            >= self.wrapped_document.height - 1
        )
        if select or not at_bottom or not self._walk(-1):
            super().action_cursor_down(select)

    def _walk(self, step: int) -> bool:
        position = self._position + step
        if not -1 <= position < len(self._history):
            return False
        if self._position == -1:
            self._draft = self.text
        self._position = position
        self.put(self._draft if position == -1 else self._history[position])
        return True

    async def _on_key(self, event: events.Key) -> None:
        # Terminals with modifyOtherKeys report Shift+Enter and Alt+Enter under names that no binding can have.
        if event.key != "enter" and event.key.endswith("\r"):
            event.stop()
            event.prevent_default()
            self.action_new_line()
        elif event.key == "tab" and self._complete():
            event.stop()
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if result := self._replace_via_keyboard(clean(event.text), *self.selection):
            self.move_cursor(result.end_location)
