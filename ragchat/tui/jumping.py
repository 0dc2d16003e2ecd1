"""What jump mode can press on a screen, and the labels for it. Nothing is drawn here.

A widget with `jump_spots` says itself what of it can be pressed; messages and sources are clicked; what else can have the
keyboard gets it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, runtime_checkable

from textual import events
from textual.css.query import NoMatches
from textual.errors import NoWidget
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Button

HOME_ROW = "asdfghjkl"
EVERY_ROW = HOME_ROW + "qwertyuiopzxcvbnm"
CLICKED = ".message, SourceView"
"""Widgets that are pressed like by the mouse, though they never have the keyboard."""
_APART = 3
"""Cells between two labels, which may have two letters."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on the screen, in cells from its top left corner, and what pressing it does."""

    x: int
    y: int
    press: Callable[[], object]


@runtime_checkable
class Jumpable(Protocol):
    """A widget with more than one place to press."""

    def jump_spots(self) -> Iterable[Spot]:
        """Those that are on the screen now."""


def spots(screen: Screen[object]) -> list[Spot]:
    """What can be pressed, from the top left to the bottom right; what is covered or scrolled away is left out."""
    found: list[Spot] = []
    clicked = set(screen.query(CLICKED))
    for widget in screen.query("*"):
        corner = _corner(screen, widget)
        if corner is None:
            continue
        if isinstance(widget, Jumpable):
            found += widget.jump_spots()
        elif widget in clicked:
            found.append(Spot(*corner, partial(click, widget)))
        elif isinstance(widget, Button) and widget.focusable:
            found.append(Spot(*corner, widget.press))
        elif widget.focusable:
            found.append(Spot(*corner, widget.focus))
    return _apart(sorted(found, key=lambda spot: (spot.y, spot.x)), screen.size.width)


def labels(number: int) -> list[str]:
    """So many labels, none the beginning of another: a letter each while the home row is enough, then two; at most 676."""
    if number <= len(HOME_ROW):
        return list(HOME_ROW[:number])
    letters = HOME_ROW if number <= len(HOME_ROW) ** 2 else EVERY_ROW
    return ["".join(pair) for pair in itertools.islice(itertools.product(letters, repeat=2), number)]


def click(widget: Widget) -> None:
    """What a click of the mouse does there: the keyboard comes near, and the widget is told."""
    near = next(
        (node for node in widget.ancestors_with_self if isinstance(node, Widget) and node.focusable), None
    )
    if near is not None:
        near.focus(scroll_visible=False)
    widget.post_message(events.Click(widget, 0, 0, 0, 0, 1, False, False, False))


def _corner(screen: Screen[object], widget: Widget) -> tuple[int, int] | None:
    """The first cell of a widget that is seen; None when it is not seen at all."""
    try:
        visible = screen.find_widget(widget).visible_region
        if not widget.display or not visible:
            return None
        above, _ = screen.get_widget_at(visible.x, visible.y)
    except (NoWidget, NoMatches):
        return None
    return (visible.x, visible.y) if widget in above.ancestors_with_self else None


def _apart(found: Iterable[Spot], width: int) -> list[Spot]:
    """The same spots, those that would cover another's label moved to the right of it."""
    kept: list[Spot] = []
    for spot in found:
        x = spot.x
        if kept and kept[-1].y == spot.y and x < kept[-1].x + _APART:
            x = kept[-1].x + _APART
        kept.append(replace(spot, x=max(0, min(x, width - 2))))
    return kept
