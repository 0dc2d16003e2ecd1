"""Which code block of an answer, and saving one to a file: by name, never over another file unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList

from ragchat.text import clean_line
from ragchat.tui.markdown import CodeBlock
from ragchat.tui.saving import save_text
from ragchat.tui.screens.dialog import Dialog


class CodeChoice(Dialog[int]):
    """Gives the number of a block, from 0."""

    HELP_TEXT: ClassVar[str] = "1-9, or Up, Down and Enter choose · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(str(n), f"take({n})", f"Block {n}", id=f"code.block_{n}", show=False) for n in range(1, 10)
    ]

    def __init__(self, title: str, blocks: Sequence[CodeBlock]) -> None:
        super().__init__()
        self._title, self._blocks = title, tuple(blocks)

    def title_text(self) -> str:
        return self._title

    def body(self) -> Iterable[Widget]:
        yield OptionList(*[_line(number, block) for number, block in enumerate(self._blocks, 1)])

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_index)

    def action_take(self, number: int) -> None:
        if number <= len(self._blocks):
            self.dismiss(number - 1)


def _line(number: int, block: CodeBlock) -> Content:
    first = next((line for line in block.code.splitlines() if line.strip()), "")
    language = clean_line(block.language, limit=12) or "text"
    return Content.assemble(
        Content.styled(f"{number:>2}  ", "$text-accent bold"),
        Content.styled(f"{language:<12}  ", "$foreground 62%"),
        Content(clean_line(first, limit=48)),
    )


def choose_code(
    app: App[Any], title: str, blocks: Sequence[CodeBlock], then: Callable[[CodeBlock], object]
) -> None:
    """Continue with the only block, or with the one that is chosen."""

    def chosen(number: int | None) -> None:
        if number is not None:
            then(blocks[number])

    if len(blocks) == 1:
        then(blocks[0])
    elif blocks:
        app.push_screen(CodeChoice(title, blocks), chosen)
    else:
        app.notify("There is no code block in this message.", timeout=2, markup=False)


def save_code(app: App[Any], block: CodeBlock) -> None:
    """Ask for a name and write the block there."""
    save_text(app, block.code, "the code", code_name(block.language))


def code_name(language: str) -> str:
    """`code.py`: the ending is the language's, `.txt` where no one knows it."""
    return f"code{_ending(language)}"


def _ending(language: str) -> str:
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        patterns = get_lexer_by_name(language).filenames
    except ClassNotFound:
        return ".txt"
    return next((p[1:] for p in patterns if p.startswith("*.") and p[2:].isalnum()), ".txt")
