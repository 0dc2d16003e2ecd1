"""Templates of prompts: choose one, fill in its fields, see what comes of it. Gives the prompt; sending it is the user's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import on
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static
from textual.widgets.option_list import Option

from ragchat.session.templates import Template, WrongFile
from ragchat.text import clean_line
from ragchat.tui.safe_content import shown, shown_line
from ragchat.tui.screens.choose import Picker
from ragchat.tui.screens.dialog import Dialog, Line

_QUIET = "$foreground 62%"


def _begins(name: str, words: list[str]) -> bool:
    return bool(words) and name.casefold().startswith(words[0])


class TemplatePicker(Picker[str]):
    """Gives the filled-in prompt, or None. Files that are no templates are named with the reason."""

    TITLE_TEXT: ClassVar[str] = "Templates"
    HELP_TEXT: ClassVar[str] = "Enter fills it in · Esc closes"

    def __init__(
        self, templates: Sequence[Template], wrong: Sequence[WrongFile] = (), *, folder: str = ""
    ) -> None:
        """`folder` is where your own templates belong."""
        super().__init__()
        self._templates = {template.name: template for template in templates}
        self._wrong = wrong
        self._folder = folder

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield Static(self._note(), id="note")

    def _note(self) -> Content:
        lines = [
            shown_line(f"{one.path.name}: {one.reason}", "$text-warning", limit=200)
            for one in self._wrong[:3]
        ]
        if len(self._wrong) > 3:
            lines.append(
                Content.styled(f"and {len(self._wrong) - 3} more files with errors", "$text-warning")
            )
        if self._folder:
            lines.append(shown_line(f"Your own: NAME.md in {self._folder}", _QUIET))
        return Content("\n").join(lines)

    def on_mount(self) -> None:
        self.rebuild()

    def rows(self, words: list[str]) -> list[Option]:
        return [
            Option(
                Content.assemble(
                    clean_line(template.name, limit=40),
                    (f"  {template.meaning}", _QUIET),
                    ("  yours" if template.own else "", "$text-accent"),
                ),
                id=template.name,
            )
            for template in sorted(
                self._templates.values(), key=lambda one: _begins(one.name, words), reverse=True
            )
            if all(word in f"{template.name} {template.meaning}".casefold() for word in words)
        ]

    def choose(self) -> None:
        template = self._templates.get(self.highlighted)
        if template is None:
            return
        if template.fields:
            self.app.push_screen(FillTemplate(template), self._take)
        else:
            self.dismiss(template.text)

    def _take(self, filled: str | None) -> None:
        if filled is not None:
            self.dismiss(filled)


class FillTemplate(Dialog[str]):
    """One line for each field, and the prompt as it will be. Gives the prompt, or None."""

    HELP_TEXT: ClassVar[str] = "Enter continues; in the last field it fills the prompt · Esc goes back"

    def __init__(self, template: Template) -> None:
        super().__init__()
        self._template = template

    def title_text(self) -> str:
        return clean_line(self._template.name)

    def body(self) -> Iterable[Widget]:
        with VerticalScroll(id="fields", can_focus=False):
            for field in self._template.fields:
                yield Static(shown_line(field.name), classes="label")
                yield Line(placeholder=clean_line(field.default))
        yield Static(Content.styled("Preview", _QUIET), classes="label result")
        with VerticalScroll(id="shown", can_focus=False):
            yield Static(id="preview")

    @property
    def lines(self) -> list[Line]:
        return list(self.query(Line))

    @property
    def filled(self) -> str:
        names = [field.name for field in self._template.fields]
        return self._template.fill(dict(zip(names, [line.value for line in self.lines], strict=True)))

    def on_mount(self) -> None:
        self.lines[0].focus()
        self._show()

    @on(Input.Changed)
    def _show(self) -> None:
        self.query_one("#preview", Static).update(shown(self.filled))

    @on(Input.Submitted)
    def _go_on(self, event: Input.Submitted) -> None:
        lines = self.lines
        position = next(n for n, line in enumerate(lines) if line is event.input)
        if position + 1 < len(lines):
            lines[position + 1].focus()
        else:
            self.dismiss(self.filled)
