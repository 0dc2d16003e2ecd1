"""Choosing one of a few plain values, with a filter that is typed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets.option_list import Option

from ragchat.tui.screens.choose import Picker


@dataclass(frozen=True, slots=True)
class Choice:
    """`title` and `facts` are clean; `marked`: it is what is in force."""

    key: str
    title: str
    facts: str = ""
    marked: bool = False


class Pick(Picker[str]):
    """Gives the key of a choice, or None."""

    HELP_TEXT: ClassVar[str] = "Enter chooses · Esc cancels"

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = list(choices)

    def title_text(self) -> str:
        return self._title

    def on_mount(self) -> None:
        self.rebuild()
        marked = next((choice.key for choice in self._choices if choice.marked), "")
        if marked:
            self.options.highlighted = self.options.get_option_index(marked)

    def rows(self, words: list[str]) -> list[Option]:
        return [
            Option(self._line(choice), id=choice.key)
            for choice in self._choices
            if all(word in f"{choice.title} {choice.facts}".casefold() for word in words)
        ]

    def _line(self, choice: Choice) -> Content:
        mark = Content.styled("● ", "$text-accent") if choice.marked else Content("  ")
        facts = Content.styled(f"\n  {choice.facts}", "$foreground 62%") if choice.facts else Content("")
        return Content.assemble(mark, choice.title, facts)

    def choose(self) -> None:
        if self.highlighted:
            self.dismiss(self.highlighted)


class PickKept(Pick):
    """Choices that the user made and may delete, except the one with the key `fixed`; `delete` is told which."""

    HELP_TEXT: ClassVar[str] = "Enter chooses · Ctrl+X deletes · Esc cancels"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+x", "delete", "Delete", id="pick.delete", show=False, priority=True),
    ]

    def __init__(
        self, title: str, choices: Sequence[Choice], *, delete: Callable[[str], object], fixed: str
    ) -> None:
        super().__init__(title, choices)
        self._delete = delete
        self._fixed = fixed

    def action_delete(self) -> None:
        key = self.highlighted
        if key and key != self._fixed:
            self._choices = [choice for choice in self._choices if choice.key != key]
            self._delete(key)
            self.rebuild()
