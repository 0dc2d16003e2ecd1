"""Which adapters of the model are on in this chat, and how strongly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets.option_list import Option

from ragchat.text import clean_line
from ragchat.tui.screens.choose import Picker
from ragchat.types import AdapterScale

if TYPE_CHECKING:
    from ragchat.llm.adapters import InstalledAdapter

STEP = 0.25
LARGEST = 2.0
EMPTY = (
    "There are no adapters yet. To train one, press F9 and then n, or run `ragchat finetune NAME` in a shell."
)


class Host(Protocol):
    """What this window needs of the app."""

    def open_training(self) -> None: ...


class AdaptersScreen(Picker[tuple[AdapterScale, ...]]):
    """Gives what shall be on, or None."""

    TITLE_TEXT: ClassVar[str] = "Adapters of this chat"
    HELP_TEXT: ClassVar[str] = (
        "Space turns one on or off · Ctrl+Up, Ctrl+Down change its scale · Enter applies · Ctrl+N trains one · Esc cancels"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "switch", "Turn on or off", id="adapters.switch", show=False),
        Binding("ctrl+up", "scale(1)", "Stronger", id="adapters.stronger", show=False, priority=True),
        Binding("ctrl+down", "scale(-1)", "Weaker", id="adapters.weaker", show=False, priority=True),
        Binding("ctrl+n", "train", "Train an adapter", id="adapters.train", show=False, priority=True),
    ]

    MARKS: ClassVar[bool] = True

    def __init__(self, adapters: Sequence[InstalledAdapter], on: Sequence[AdapterScale]) -> None:
        super().__init__()
        self._adapters = {adapter.name: adapter for adapter in adapters}
        self.on = {each.name: each.scale for each in on if each.name in self._adapters}

    def on_mount(self) -> None:
        self.rebuild()

    def rows(self, words: list[str]) -> list[Option]:
        return [
            Option(self._line(adapter), id=name)
            for name, adapter in self._adapters.items()
            if all(word in name.casefold() for word in words)
        ]

    def _line(self, adapter: InstalledAdapter) -> Content:
        if adapter.problem:
            name = Content.styled(f"  {clean_line(adapter.name)}", "$foreground 42%")
            return Content.assemble(
                name,
                Content.styled(
                    f"\n  does not fit this model: {clean_line(adapter.problem)}", "$foreground 42%"
                ),
            )
        scale = self.on.get(adapter.name)
        mark = Content.styled("● ", "$text-accent") if scale is not None else Content("  ")
        strength = "" if scale is None else f" · scale {scale:g}"
        return Content.assemble(
            mark,
            clean_line(adapter.name),
            strength,
            Content.styled(f"\n  {_facts(adapter)}", "$foreground 62%"),
        )

    def action_switch(self) -> None:
        if name := self._usable():
            if name in self.on:
                del self.on[name]
            else:
                self.on[name] = 1.0
            self._redraw(name)

    def action_scale(self, direction: int) -> None:
        if name := self._usable():
            scale = self.on.get(name, 0.0 if direction > 0 else 1.0) + direction * STEP
            self.on[name] = max(0.0, min(LARGEST, scale))
            self._redraw(name)

    def action_train(self) -> None:
        self.dismiss(None)
        cast(Host, self.app).open_training()

    def _usable(self) -> str:
        """The highlighted one, unless it does not fit; then the reason is said."""
        adapter = self._adapters.get(self.highlighted or "")
        if adapter is not None and adapter.problem:
            self.notify(
                f"{adapter.name} does not fit this model: {adapter.problem}.", timeout=5, markup=False
            )
            return ""
        return adapter.name if adapter is not None else ""

    def _redraw(self, name: str) -> None:
        self.rebuild()
        self.options.highlighted = self.options.get_option_index(name)

    def choose(self) -> None:
        self.dismiss(tuple(AdapterScale(name, self.on[name]) for name in self._adapters if name in self.on))


def _facts(adapter: InstalledAdapter) -> str:
    """What was learned, in short."""
    if adapter.manifest is None:
        return ""
    facts = [adapter.manifest.created_at[:10], adapter.manifest.origin]
    recall = adapter.manifest.checks.get("recall")
    if isinstance(recall, dict) and {"before", "after"} <= recall.keys():
        facts.append(f"held-out questions {recall['before'] * 100:.0f} % → {recall['after'] * 100:.0f} %")
    return clean_line(" · ".join(facts))
