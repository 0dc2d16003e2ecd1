"""Every setting with its value, default, origin and meaning, over the same file that a user may edit by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.errors import RagchatError, UsageError
from ragchat.text import clean_line
from ragchat.tui import keymap, messages
from ragchat.tui.key_groups import key_groups
from ragchat.tui.markdown_marks import unmarked
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.widgets.status_bar import KeyHints

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.config import Setting
    from ragchat.tui.appearance import Appearance

QUIET = "$foreground 62%"
_KEYS = "keys."


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as it is shown. `choices` empty: it is typed. `at_once`: an open chat follows it."""

    key: str
    value: str
    default: str
    origin: str
    meaning: str
    choices: tuple[str, ...]
    at_once: bool
    behind: str

    @property
    def section(self) -> str:
        return self.key.partition(".")[0]


class SettingsScreen(Leaving[None]):
    """The list has the keyboard; `/` filters it, Enter changes what is highlighted."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "change", "Change", id="settings.change"),
        Binding("delete,d", "put_back", "Default", id="settings.default"),
        Binding("slash", "filter", "Find", id="settings.filter"),
        Binding("e", "edit_file", "Edit the file", id="settings.edit_file"),
        Binding("escape", "back", "Back", id="settings.back"),
        Binding("q", "back", "Back", id="settings.quit", show=False),
        Binding("j", "list('cursor_down')", "Down", id="settings.down", show=False),
        Binding("k", "list('cursor_up')", "Up", id="settings.up", show=False),
    ]

    def __init__(self, services: Services, appearance: Appearance) -> None:
        super().__init__()
        self._services = services
        self._appearance = appearance
        self._rows: dict[str, Row] = {}

    def compose(self) -> ComposeResult:
        file = clean_line(str(self._services.paths.settings_file))
        yield Static(
            Content.assemble(
                Content.styled("Settings", "bold"), Content.styled(f"  Enter changes one  {file}", QUIET)
            ),
            id="origin",
        )
        find = Line(placeholder="Part of a name, a value or a meaning")
        find.id = "find"
        find.display = False
        yield find
        yield OptionList()
        yield Static(Content(""), id="about")
        change = Line()
        change.id = "change"
        change.display = False
        yield change
        yield KeyHints()

    def on_mount(self) -> None:
        self.options.focus()
        self._read()

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def find(self) -> Line:
        return self.query_one("#find", Line)

    @property
    def change(self) -> Line:
        return self.query_one("#change", Line)

    @property
    def chosen(self) -> Row | None:
        """The setting that is highlighted."""
        index = self.options.highlighted
        name = self.options.get_option_at_index(index).id if index is not None else None
        return self._rows.get(name or "")

    # --- showing ------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            rows = [*self._plain_rows(), *self._key_rows()]
        except RagchatError as error:
            self._say(error)
            return
        self._rows = {row.key: row for row in rows}
        self._show()

    def _plain_rows(self) -> Iterator[Row]:
        for setting in self._services.preferences.all():
            if setting.key == "ui.theme":
                yield replace(_row(setting), choices=("auto", *sorted(self.app.available_themes)))
            elif not setting.key.startswith(_KEYS):
                yield _row(setting)

    def _key_rows(self) -> Iterator[Row]:
        for name, bound in keymap.bound(key_groups()).items():
            own = self._appearance.keys.get(name, "")
            meaning = f"{bound.place}: {bound.meaning}"
            origin = "file" if own else "default"
            yield Row(f"{_KEYS}{name}", own or bound.keys, bound.keys, origin, meaning, (), True, "")

    def _show(self) -> None:
        before, words = self.chosen, self.find.value.casefold().split()
        options: list[Option] = []
        section = ""
        for row in self._rows.values():
            if all(word in f"{row.key} {row.value} {row.meaning}".casefold() for word in words):
                if row.section != section:
                    section = row.section
                    options.append(Option(Content.styled(section, f"{QUIET} bold"), disabled=True))
                options.append(Option(_line(row), id=row.key))
        with self.app.batch_update():
            self.options.set_options(options)
            ids = [option.id for option in options]
            kept = ids.index(before.key) if before and before.key in ids else None
            self.options.highlighted = kept if kept is not None else (1 if options else None)
        if not options:
            self._about("No setting matches.", "Delete some letters, or press Esc to see all settings.")

    @on(OptionList.OptionHighlighted)
    def _show_about(self) -> None:
        if row := self.chosen:
            self._about(row.meaning, _standing(row))

    def _about(self, meaning: str, standing: str, style: str = QUIET) -> None:
        about = Content.assemble(clean_line(meaning), "\n", Content.styled(clean_line(standing), style))
        self.query_one("#about", Static).update(unmarked(about))

    def _say(self, error: RagchatError) -> None:
        row = self.chosen
        self._about(row.meaning if row else "", f"{error} {error.remedy}", "$text-error")

    # --- changing -----------------------------------------------------------------------------------

    @on(OptionList.OptionSelected)
    def action_change(self) -> None:
        row = self.chosen
        if row is None:
            return
        if row.choices:
            now = row.behind or row.value
            after = (row.choices.index(now) + 1) % len(row.choices) if now in row.choices else 0
            self._keep(row, row.choices[after])
            return
        self.change.value = row.behind or row.value
        self.change.border_title = clean_line(row.key)
        self.change.display = True
        self.change.focus()

    @on(Input.Submitted, "#change")
    def _changed(self, event: Input.Submitted) -> None:
        event.stop()
        if (row := self.chosen) and self._keep(row, event.value.strip()):
            self._leave(self.change)

    def action_put_back(self) -> None:
        if row := self.chosen:
            self._keep(row, None)

    def _keep(self, row: Row, value: str | None) -> bool:
        """Write the value down, None: put the default back; whether it was taken."""
        try:
            if row.key.startswith(_KEYS):
                self._appearance.keep_key(
                    row.key.removeprefix(_KEYS), "" if value is None else _no_less(value)
                )
            elif value is None:
                self._services.preferences.unset(row.key)
            else:
                self._services.preferences.set(row.key, value)
        except RagchatError as error:
            self._say(error)
            return False
        self._read()
        now = self._rows[row.key]
        if trouble := self._appearance.take_up(row.key, now.value):
            self._about(now.meaning, trouble, "$text-error")
        else:
            self._show_about()
        return True

    def action_edit_file(self) -> None:
        file = self._services.paths.settings_file
        file.parent.mkdir(parents=True, exist_ok=True)
        self.app.post_message(messages.EditTargetReady(file, 1, "", then=self._edited))

    def _edited(self) -> None:
        try:
            self._appearance.reread()
        except RagchatError as error:
            self._say(error)
        else:
            self._read()

    # --- moving -------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.find.display = True
        self.find.focus()

    @on(Input.Changed, "#find")
    def _filter(self) -> None:
        self._show()

    @on(Input.Submitted, "#find")
    def _found(self, event: Input.Submitted) -> None:
        event.stop()
        self.options.focus()

    def action_list(self, action: str) -> None:
        getattr(self.options, f"action_{action}")()

    def action_back(self) -> None:
        for line in (self.change, self.find):
            if line.display:
                line.value = ""
                self._leave(line)
                return
        self.dismiss(None)

    def _leave(self, line: Line) -> None:
        line.display = False
        self.options.focus()
        self._show_about()


def _row(setting: Setting) -> Row:
    return Row(
        setting.key,
        _text(setting.value),
        _text(setting.default),
        setting.origin,
        f"{setting.meaning} (several: with commas)"
        if isinstance(setting.default, tuple)
        else setting.meaning,
        setting.choices,
        setting.at_once,
        "" if setting.behind is None else _text(setting.behind),
    )


def _text(value: object) -> str:
    """A value as it would be typed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _no_less(keys: str) -> str:
    if not keys:
        raise UsageError("Type a key.", "Press Del to reset it.")
    return keys


def _line(row: Row) -> Content:
    own = row.origin != "default"
    name = row.key.partition(".")[2]
    where = "  environment" if row.origin == "environment" else ""
    return Content.assemble(
        Content.styled("● " if own else "  ", "$text-accent"),
        f"{name:<24} ",
        Content.styled(clean_line(row.value, limit=80) or "–", "bold" if own else ""),
        Content.styled(where, "$text-warning"),
    )


def _standing(row: Row) -> str:
    """Where the value comes from, what else there is, and when a change works."""
    said = [f"Default: {row.default or 'empty'}."]
    if row.choices:
        said.append(f"One of {', '.join(choice or 'empty' for choice in row.choices)}.")
    if row.origin == "environment":
        section, _, name = row.key.upper().partition(".")
        waits = (
            f"the file has {row.behind}"
            if row.behind
            else "your change here has no effect until you unset it"
        )
        said.append(f"RAGCHAT_{section}__{name} in the environment overrides this; {waits}.")
    elif row.origin == "file":
        said.append("Set in the file. Press Del to reset it.")
    said.append("Takes effect now." if row.at_once else "Takes effect the next time you start ragchat.")
    return " ".join(said)
