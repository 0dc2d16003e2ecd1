"""Themes: Textual's, two for terminals with 16 colours, and your own (`themes/*.toml` beside the settings).

A file that is wrong is left out and named; it never stops the start. What the terminal can show is read from the
environment, nothing is asked of it.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

from textual.color import Color, ColorParseError
from textual.theme import BUILTIN_THEMES, Theme

from ragchat.text import clean_line

AUTO = "auto"
"""The theme that goes by the terminal."""
_ROLES = (
    *("primary", "secondary", "warning", "error", "success", "accent"),
    *("foreground", "background", "surface", "panel", "boost"),
)
_FIELDS = {field.name for field in dataclasses.fields(Theme)}
_MARKED = ("block-cursor", "block-cursor-blurred", "input-selection", "screen-selection")
"""What Textual draws over a background of its own."""


def few_colours() -> tuple[Theme, Theme]:
    """A dark and a light theme that name the terminal's own 16 colours, and mark what is chosen by a background."""
    dark = {"text-primary": "ansi_bright_cyan", "text-accent": "ansi_bright_green"}
    light = {"text-primary": "ansi_blue", "text-accent": "ansi_magenta"}
    return (
        _sixteen("ragchat-16", "ansi-dark", "ansi_blue", "ansi_bright_white", dark),
        _sixteen("ragchat-16-light", "ansi-light", "ansi_cyan", "ansi_black", light),
    )


def _sixteen(name: str, base: str, mark: str, text: str, variables: dict[str, str]) -> Theme:
    given = BUILTIN_THEMES[base]
    marked = {f"{role}-background": mark for role in _MARKED} | {
        f"{role}-foreground": text for role in _MARKED
    }
    return dataclasses.replace(
        given, name=name, primary=mark, variables={**given.variables, **marked, **variables}
    )


def read_themes(folder: Path) -> tuple[list[Theme], list[str]]:
    """The themes in `folder`/*.toml, and a sentence for each file that is none."""
    themes: dict[str, Theme] = {}
    troubles: list[str] = []
    for file in sorted(path for path in folder.glob("*.toml") if path.is_file()):
        try:
            theme = _theme(tomllib.loads(file.read_text("utf-8-sig")), file.stem)
            if theme.name in {*names(themes.values()), AUTO}:
                raise ValueError(f"a theme named {theme.name!r} already exists; choose another name")
        except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
            said = getattr(error, "strerror", None) or error
            troubles.append(clean_line(f"ragchat ignores the theme {file}: {said}.", limit=400))
            continue
        themes[theme.name] = theme
    return list(themes.values()), troubles


def names(own: Iterable[Theme]) -> list[str]:
    """What a theme can be called: Textual's, those for 16 colours, and one's own."""
    return [*BUILTIN_THEMES, *(theme.name for theme in (*few_colours(), *own))]


def choose(wanted: str, known: Sequence[str], env: Mapping[str, str], *, sixteen: bool) -> tuple[str, str]:
    """(theme, trouble): the one that is wanted, or what suits the terminal; with `sixteen` it has no more colours."""
    light = is_light(env)
    suited = {(False, False): "textual-dark", (False, True): "textual-light"}.get(
        (sixteen, light), "ragchat-16-light" if light else "ragchat-16"
    )
    if wanted == AUTO:
        return suited, ""
    if wanted in known:
        return wanted, ""
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return suited, clean_line(f"ui.theme: there is no theme {wanted!r}.{hint}", limit=300)


def is_light(env: Mapping[str, str]) -> bool:
    """Whether COLORFGBG ("text;background", numbers of the 16 colours) says that the background is light."""
    background = env.get("COLORFGBG", "").rpartition(";")[2]
    return background.isdecimal() and int(background) in (7, *range(9, 16))


def _theme(values: Mapping[str, Any], stem: str) -> Theme:
    """Raises ValueError that says what is wrong."""
    hints = get_type_hints(Theme)
    for name, value in values.items():
        if name not in _FIELDS:
            near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
            raise ValueError(f"it has no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if name in _ROLES:
            _check_colour(name, value)
        elif name == "variables":
            _check_variables(value)
        elif not isinstance(value, hints[name]) and not (hints[name] is float and type(value) is int):
            raise ValueError(f"{name} cannot be {value!r}")
    if "primary" not in values:
        raise ValueError("it has no primary colour")
    theme = Theme(**{"name": stem, **values})
    if not re.fullmatch(
        r"[A-Za-z0-9_-]{1,60}", theme.name
    ):  # it becomes the name of a class in the style sheet
        raise ValueError(f"its name {theme.name!r} may contain only letters, digits, - and _")
    theme.to_color_system().generate()
    return theme


def _check_colour(name: str, value: object) -> None:
    text, _, share = value.partition(" ") if isinstance(value, str) else ("", "", "")
    try:
        if share and not re.fullmatch(r"\d{1,3}%", share):
            raise ColorParseError(share)
        Color.parse(text)
    except ColorParseError:
        raise ValueError(f'{name} = {value!r} is not a colour such as "#0178D4"') from None


def _check_variables(variables: object) -> None:
    known = _variables()
    if not isinstance(variables, dict):
        raise ValueError("variables is a section of names and values")
    for name, value in variables.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            raise ValueError(
                f"there is no variable {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
            )
        if known[name]:
            if str(value).partition(" ")[0] != "auto":
                _check_colour(name, value)
        elif not isinstance(value, str) or not set(value.split()) <= _STYLES:
            raise ValueError(f'{name} = {value!r} is not a text style such as "bold"')


_STYLES = {"none", "b", "i", "u", "bold", "dim", "italic", "reverse", "strike", "underline", "not"}


@cache
def _variables() -> dict[str, bool]:
    """The variables of Textual's themes, and whether each is a colour."""
    found: dict[str, bool] = {}
    for theme in BUILTIN_THEMES.values():
        for name, value in theme.to_color_system().generate().items():
            found[name] = not set(value.split()) <= _STYLES
    return found
