"""The settings of one chat: what it does otherwise than the settings of the program say, and presets of that.

It is given plain values and gives a `ChatOptions`; it reads no database. Every row can be put back to the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.text import clean, clean_line, counted
from ragchat.tui import option_fields
from ragchat.tui.screens.ask_line import AskLine
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.screens.edit_text import EditText
from ragchat.tui.screens.pick import Choice, Pick, PickKept
from ragchat.tui.widgets.lazy_list import LazyList, Row
from ragchat.types import ChatOptions, Sampling

DIM = "$foreground 62%"
_NAME = 17
"""Cells of the names of the rows."""
AS_SET = "\0as in the settings"
"""Key of the choice that puts a row back."""

ROWS: tuple[tuple[str, str], ...] = (
    ("preset", "Preset"),
    ("model", "Model"),
    # Adapters have a window of their own (Alt+A): which there are hangs on the model that is loaded.
    ("knowledge_bases", "Documents"),
    ("strict", "Strict"),
    ("thinking", "Thinking"),
    ("system_prompt", "Instructions"),
    ("temperature", "Temperature"),
    ("top_k", "Top k"),
    ("top_p", "Top p"),
    ("min_p", "Min p"),
    ("repeat_penalty", "Repeat penalty"),
    ("seed", "Seed"),
    ("max_tokens", "Maximum length"),
    ("read_ahead", "Read ahead"),
)
_TITLES = dict(ROWS)


@dataclass(frozen=True, slots=True)
class Usual:
    """What a chat does that has set nothing: the settings of the program. `sampling.seed` None: a new one each time.

    `system_prompt` empty: the built-in instructions.
    """

    model: str
    knowledge_bases: tuple[str, ...]
    system_prompt: str = ""
    strict: bool = False
    thinking: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    read_ahead: bool = True


class ChatOptionsScreen(Dialog[ChatOptions]):
    """Gives the options when they were changed, or None. `save_preset` and `delete_preset` keep what the user named."""

    TITLE_TEXT: ClassVar[str] = "This chat's settings"
    HELP_TEXT: ClassVar[str] = (
        "Enter changes · Del uses the default · s saves as a preset · Esc closes; they apply to the next question"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("delete,backspace", "put_back", "As in the settings", id="options.put_back", show=False),
        Binding("s", "save_preset", "Save as a preset", id="options.save_preset", show=False),
        Binding("p", "edit('preset')", "Choose a preset", id="options.preset", show=False),
        Binding("u", "undo", "Undo the last change", id="options.undo", show=False),
        Binding("f8,q", "close", "Close", id="options.close", show=False),
    ]

    def __init__(
        self,
        options: ChatOptions,
        *,
        usual: Usual,
        models: Sequence[str],
        presets: Sequence[tuple[str, ChatOptions]],
        save_preset: Callable[[str, ChatOptions], object],
        delete_preset: Callable[[str], object],
    ) -> None:
        super().__init__()
        self._begun_with = self.options = options
        self._usual = usual
        self._models = models
        self._presets = dict(presets)
        self._save, self._delete = save_preset, delete_preset
        self._before: list[ChatOptions] = []

    def body(self) -> Iterable[Widget]:
        yield LazyList(self._draw)
        yield Static(Content(""), id="meaning")

    def on_mount(self) -> None:
        self.rows.focus()
        self.rows.set_rows([Row(name) for name, _ in ROWS])
        self.rows.action_first()

    @property
    def rows(self) -> LazyList:
        return self.query_one(LazyList)

    # --- showing ------------------------------------------------------------------------------------

    def _draw(self, key: str, width: int) -> Content:
        chosen = self._is_set(key)
        value = self._value(key).truncate(max(4, width - _NAME - 2), ellipsis=True)
        if not chosen:
            value = Content.assemble(
                Content.styled("as in the settings: " if key != "preset" else "", DIM), value
            )
        return Content.assemble(
            Content.styled("● " if chosen else "  ", "$text-accent"),
            f"{_TITLES[key]:<{_NAME}}",
            value if chosen else value.stylize(DIM),
        )

    def _is_set(self, key: str) -> bool:
        return _is_set(self.options, key)

    def _value(self, key: str) -> Content:
        value = getattr(self.options if self._is_set(key) else self._usual, key, None)
        if not self._is_set(key) and key in option_fields.SAMPLING:
            value = getattr(self._usual.sampling, key)
        return Content(self._words(key, value))

    def _words(self, key: str, value: Any) -> str:
        """A value as a user reads it."""
        match key:
            case "preset":
                return clean_line(value or "", limit=60) or "none"
            case "model":
                return clean_line(value, limit=80) or "none is installed"
            case "knowledge_bases":
                return clean_line(", ".join(value), limit=200) or "none, a plain chat"
            case "strict":
                return "yes, answers only from your documents" if value else "no"
            case "thinking":
                return "yes, if the model can reason" if value else "no"
            case "read_ahead":
                return "yes, while you type and after an answer" if value else "no"
            case "system_prompt":
                return clean_line(value, limit=200) or "the built-in ones"
            case "seed" if value is None or value < 0:
                return "new for each answer"
            case "max_tokens":
                return counted(value, "token") if value else "until the context is full"
            case _:
                return f"{value:g}" if isinstance(value, float) else str(value)

    @on(LazyList.Highlighted)
    def _explain(self, event: LazyList.Highlighted) -> None:
        event.stop()
        meanings = {
            "preset": "All these settings, saved under a name.",
            "model": "The model that answers in this chat.",
            "knowledge_bases": "The knowledge bases that this chat searches.",
            "strict": "Strike out what your documents do not support. Decline without calling the model if they do"
            " not answer the question.",
            "thinking": "Let the model reason before it answers, if it can. This takes longer.",
            "read_ahead": "Read what the next prompt begins with before you press Enter, so that the answer begins sooner."
            " Never on battery or on a busy machine.",
            "system_prompt": "The text at the beginning of every prompt.",
        }
        said = meanings.get(event.key) or (option_fields.meaning(event.key) if event.key else "")
        self.query_one("#meaning", Static).update(Content.styled(said, DIM))

    # --- changing -----------------------------------------------------------------------------------

    def _change(self, **values: Any) -> None:
        changed = replace(self.options, **values)
        if "preset" not in values and changed != self.options:
            changed = replace(changed, preset="")
        self._become(changed)

    def _become(self, options: ChatOptions) -> None:
        if options != self.options:
            self._before.append(self.options)
            self.options = options
            self.rows.redraw()

    def action_undo(self) -> None:
        if self._before:
            self.options = self._before.pop()
            self.rows.redraw()

    def action_put_back(self) -> None:
        key = self.rows.key
        if key and self._is_set(key):
            empty = "" if key in ("model", "preset") else None
            self._change(**{key: empty})

    @on(LazyList.Chosen)
    def _edit_row(self, event: LazyList.Chosen) -> None:
        event.stop()
        self.action_edit(event.key)

    def action_edit(self, key: str) -> None:
        match key:
            case "preset":
                self._choose_preset()
            case "model":
                self._choose_model()
            case "knowledge_bases":
                names = self.options.knowledge_bases
                chosen = self._usual.knowledge_bases if names is None else names
                self.app.push_screen(KnowledgePicker(chosen), self._take_knowledge)
            case "strict" | "thinking" | "read_ahead":
                steps: dict[bool | None, bool | None] = {None: True, True: False, False: None}
                self._change(**{key: steps[getattr(self.options, key)]})
            case "system_prompt":
                text = self.options.system_prompt
                shown = self._usual.system_prompt if text is None else text
                said = "The model reads this text first. Empty: the built-in instructions."
                self.app.push_screen(
                    EditText("Instructions of this chat", shown, said), self._take_instructions
                )
            case _:
                value = getattr(self.options, key)
                usual = self._words(key, getattr(self._usual.sampling, key))
                self.app.push_screen(
                    AskNumber(key, _TITLES[key], value, usual), lambda answer: self._take_number(key, answer)
                )

    def _take_knowledge(self, names: tuple[str, ...] | None) -> None:
        if names is not None:
            self._change(knowledge_bases=names)

    def _take_instructions(self, text: str | None) -> None:
        if text is not None:
            self._change(system_prompt=None if clean(text) == self._usual.system_prompt else clean(text))

    def _take_number(self, key: str, answer: AskNumber.Answer | None) -> None:
        if answer is not None:
            self._change(**{key: answer.value})

    def _choose_model(self) -> None:
        usual = clean_line(self._usual.model, limit=60) or "none"
        choices = [Choice(AS_SET, f"as in the settings: {usual}", marked=not self.options.model)]
        choices += [
            Choice(name, clean_line(name), marked=name == self.options.model) for name in self._models
        ]

        def chosen(name: str | None) -> None:
            if name is not None:
                self._change(model="" if name == AS_SET else name)

        self.app.push_screen(Pick("The model of this chat", choices), chosen)

    # --- presets ------------------------------------------------------------------------------------

    def _choose_preset(self) -> None:
        choices = [Choice(AS_SET, "none: use the default settings", marked=self.options == ChatOptions())]
        choices += [
            Choice(name, clean_line(name, limit=60), self._facts(options), marked=name == self.options.preset)
            for name, options in self._presets.items()
        ]

        def chosen(name: str | None) -> None:
            if name == AS_SET:
                self._become(ChatOptions())
            elif name is not None:
                self._become(replace(self._presets[name], preset=name))

        self.app.push_screen(PickKept("Presets", choices, delete=self._forget_preset, fixed=AS_SET), chosen)

    def _facts(self, options: ChatOptions) -> str:
        """What a preset sets, in short and clean."""
        said = [
            f"{title.lower()} {clean_line(self._words(key, getattr(options, key)), limit=30)}"
            for key, title in ROWS
            if key != "preset" and _is_set(options, key)
        ]
        return " · ".join(said)

    def _forget_preset(self, name: str) -> None:
        self._presets.pop(name, None)
        self._delete(name)
        if self.options.preset == name:
            self._change(preset="")

    def action_save_preset(self) -> None:
        def named(name: str | None) -> None:
            if name:
                self._change(preset=name)
                self._presets[name] = self.options
                self._save(name, self.options)
                self.notify(f"Saved “{name}”. Press p in any chat to use it.", timeout=4, markup=False)

        self.app.push_screen(AskLine("Save these as a preset", self.options.preset), named)

    def action_close(self) -> None:
        self.dismiss(self.options if self.options != self._begun_with else None)


def _is_set(options: ChatOptions, key: str) -> bool:
    value = getattr(options, key)
    return bool(value) if key in ("model", "preset") else value is not None


class AskNumber(Dialog["AskNumber.Answer"]):
    """One number of the sampling; an empty line: as in the settings. Gives an `Answer`, or None when it was left."""

    HELP_TEXT: ClassVar[str] = "Enter saves · empty uses the default · Esc cancels"

    @dataclass(frozen=True, slots=True)
    class Answer:
        """What was typed; None means the usual value."""

        value: int | float | None

    def __init__(self, name: str, title: str, value: float | None, usual: str) -> None:
        super().__init__()
        self._field, self._title, self._value, self._usual = name, title, value, usual

    def title_text(self) -> str:
        return self._title

    def body(self) -> Iterable[Widget]:
        yield Static(Content.styled(option_fields.meaning(self._field), DIM), classes="intro")
        shown = "" if self._value is None else f"{self._value:.12g}"
        yield Line(shown, placeholder=f"as in the settings: {self._usual}")
        yield Static(Content.styled(option_fields.limits(self._field), DIM), id="note")

    @on(Input.Submitted)
    def _keep(self, event: Input.Submitted) -> None:
        if not event.value.strip():
            self.dismiss(self.Answer(None))
            return
        try:
            self.dismiss(self.Answer(option_fields.parse(self._field, event.value)))
        except ValueError as error:
            self.query_one("#note", Static).update(Content.styled(clean_line(str(error)), "$text-error"))
