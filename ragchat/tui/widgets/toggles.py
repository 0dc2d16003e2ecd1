"""Boxes and buttons that show whether they are on without colour: what is off is empty."""

from __future__ import annotations

from textual.widgets import Checkbox, RadioButton


class Check(Checkbox):
    """A box with a cross, or without."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802 - Textual's name, there a constant
        return "X" if self.value else " "


class Radio(RadioButton):
    """A button with a dot, or without."""

    @property
    def BUTTON_INNER(self) -> str:  # type: ignore[override]  # noqa: N802
        return "●" if self.value else " "
