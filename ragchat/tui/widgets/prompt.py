"""Where the user types: Enter sends, several ways make a new line, Up and Down at the edges walk what was asked before.

A `/` at the beginning opens the list of slash commands; what they do is the business of whoever hears `Commanded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from ragchat.app import commands
from ragchat.app.commands import Candidates, Kind, Offer, Typed
from ragchat.app.typed_paths import complete_path, paths_from
from ragchat.text import clean
from ragchat.tui.widgets.completions import Completions

ATTACH = "/attach"


def attach_command(text: str) -> tuple[str, str] | None:
    """(path, the question that is below) when the text begins with `/attach`, None otherwise."""
    typed = commands.parse(text)
    return (typed.argument, typed.rest) if typed and typed.command == "attach" else None


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
        Binding("ctrl+o", "edit_elsewhere", "Write in $EDITOR", id="prompt.editor", show=False),
        Binding("ctrl+r", "history", "Earlier prompts", id="prompt.history", show=False),
        # With priority, like everything with Alt: terminals send a letter along, which would be typed.
        Binding("alt+t", "templates", "Templates", id="prompt.templates", show=False, priority=True),
    ]

    class LeftBehind(Message):
        """Backspace was pressed where nothing is left to delete."""

    class Submitted(Message):
        """Enter was pressed; the text stays until `put` replaces it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Commanded(Message):
        """Enter was pressed and the first line is a slash command; the text stays."""

        def __init__(self, typed: Typed) -> None:
            super().__init__()
            self.typed = typed

    class Unknown(Message):
        """The text begins with `/name`, which is no command: it is not sent, and stays."""

        def __init__(self, command: commands.Unknown) -> None:
            super().__init__()
            self.command = command

    class EditorWanted(Message):
        """The text is to be written in your own editor."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class HistoryWanted(Message):
        """What was asked before is to be looked through."""

    class TemplatesWanted(Message):
        """A template is to be filled in."""

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, show_line_numbers=False, highlight_cursor_line=False, tab_behavior="focus"
        )
        self.placeholder = "Ask anything"
        self.candidates: Candidates = lambda kind, begun: ()
        """Names for the arguments of slash commands. Called at every key: it must have them at hand."""
        self.completions = Completions(self._take)
        self._unwanted = False
        """Whether the list was closed by Esc, or the text did not come from the keyboard."""
        self._offered_for = ""
        self._history: list[str] = []
        self._position = -1
        self._draft = ""

    def on_mount(self) -> None:
        assert isinstance(self.parent, Widget)
        self.parent.mount(self.completions, before=self)

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
        self._unwanted = text.startswith("/")
        self.completions.close()
        self.move_cursor(self.document.end)

    # These keys are bound with priority, so they arrive while letters typed before them may still be queued here.
    def action_submit(self) -> None:
        self.call_later(self._submit)

    def action_new_line(self) -> None:
        self.call_later(lambda: self._replace_via_keyboard("\n", *self.selection))

    def _submit(self) -> None:
        """Take the highlighted offer, unless the command is whole without it, and say what was typed."""
        self._offer()
        if offer := self.completions.highlighted_offer:
            self._take(offer)
            if not offer.final:
                return
        self.completions.close()
        typed, unknown = commands.parse(self.text), commands.unknown_command(self.text)
        if typed is not None:
            self.post_message(self.Commanded(typed))
        elif unknown is not None:
            self.post_message(self.Unknown(unknown))
        else:
            self.post_message(self.Submitted(commands.literal(self.text)))

    def action_edit_elsewhere(self) -> None:
        self.call_later(lambda: self.post_message(self.EditorWanted(self.text)))

    def action_history(self) -> None:
        self.post_message(self.HistoryWanted())

    def action_templates(self) -> None:
        self.post_message(self.TemplatesWanted())

    def action_delete_left(self) -> None:
        if not self.text:
            self.post_message(self.LeftBehind())
        super().action_delete_left()

    def begin_attaching(self) -> None:
        """Put `/attach ` before what has been typed, the cursor behind it."""
        if attach_command(self.text) is None:
            typed = f"\n{self.text}" if self.text else ""
            self.load_text(f"{ATTACH} {typed}")
            self._unwanted = False
        self.move_cursor((0, len(self.document.get_line(0))))

    # --- the list of completions --------------------------------------------------------------------

    @on(TextArea.Changed)
    def _announced(self) -> None:
        self._offer()

    def _begun(self) -> str:
        """The slash command as far as it is typed; empty where there is none at the cursor."""
        row, column = self.cursor_location
        line = self.document.get_line(0)
        return line if row == 0 and column == len(line) and line.startswith("/") else ""

    def _offer(self, *, paths: bool = False) -> None:
        """Show what the command may continue with. Folders are looked into only when Tab asks (`paths`): they may be slow."""
        begun = self._begun()
        if not self.document.get_line(0).startswith("/"):
            self._unwanted = False
        if not begun or (self._unwanted and not paths):
            self._offered_for = ""
            self.completions.close()
            return
        if begun == self._offered_for and not paths:
            return

        def names(kind: Kind, typed: str) -> Sequence[str]:
            if kind == "path":
                return paths_from(typed) if paths else ()
            return self.candidates(kind, typed)

        self._offered_for = begun
        self.completions.offer(commands.complete(begun, names), highlight=commands.begins(begun[1:]))

    def _take(self, offer: Offer) -> None:
        """Put an offer in the place of the first line."""
        self.replace(offer.line, (0, 0), (0, len(self.document.get_line(0))))
        self.move_cursor((0, len(offer.line)))
        self._offer()

    def _complete(self) -> bool:
        """What Tab does in a slash command; False where there is nothing to complete."""
        begun = self._begun()
        typed = commands.parse(begun)
        command = commands.find(typed.command) if typed else None
        if command and command.kind == "path" and " " in begun:
            return self._complete_path(begun)
        self._offer()
        if offer := self.completions.first:
            self._take(offer)
        return bool(offer)

    def _complete_path(self, begun: str) -> bool:
        """Complete as far as it is certain, then show what may come next; Tab again takes from what is shown."""
        if offer := self.completions.highlighted_offer:
            self._take(offer)
            begun = offer.line
        command, _, path = begun.partition(" ")
        completed = f"{command} {complete_path(path.lstrip())[0]}"
        if completed != begun:
            self._take(Offer(completed, completed))
        self._offer(paths=True)
        return True

    def action_cursor_up(self, select: bool = False) -> None:
        if self.completions.is_open and not select:
            self.completions.move(-1)
            return
        at_top = self.wrapped_document.location_to_offset(self.cursor_location).y == 0
        if select or not at_top or not self._walk(+1):
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        if self.completions.is_open and not select:
            self.completions.move(+1)
            return
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
        elif event.key == "escape" and self.completions.is_open:
            event.stop()
            event.prevent_default()
            self._unwanted = True
            self.completions.close()
        elif event.key == "tab" and self._complete():
            event.stop()
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if result := self._replace_via_keyboard(clean(event.text), *self.selection):
            self.move_cursor(result.end_location)
