"""The settings screen over a real file; themes, few colours, no colours, no motion."""

from __future__ import annotations

import contextlib
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.color import ColorSystem
from rich.style import Style

from ragchat import config
from ragchat.tui import themes
from tests.helpers.tui_fakes import Stage, act, ask, running, screen_text, set_stage, until

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from ragchat.tui.app import RagchatApp
    from ragchat.tui.screens.settings import SettingsScreen


def with_environment(stage: Stage, env: dict[str, str]) -> Stage:
    file = stage.services.paths.settings_file
    act(stage.services.preferences, all=lambda: list(config.describe(file, env)))
    return stage


async def open_settings(app: RagchatApp, pilot: Pilot[None], find: str = "") -> SettingsScreen:
    from ragchat.tui.screens.settings import SettingsScreen

    await pilot.press("f10")
    screen = app.screen
    assert isinstance(screen, SettingsScreen)
    if find:
        await pilot.press("slash", *find, "enter")
        await until(pilot, lambda: screen.chosen is not None and find in screen.chosen.key)
    return screen


def in_file(stage: Stage) -> dict[str, dict[str, object]]:
    file = stage.services.paths.settings_file
    return tomllib.loads(file.read_text("utf-8")) if file.exists() else {}


# --- the screen -------------------------------------------------------------------------------------------


async def test_every_setting_is_there_with_what_it_means(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        screen = await open_settings(app, pilot)
        assert {setting.key for setting in config.describe(tmp_path / "x", {})} <= set(screen._rows)
        assert "keys.transcript.copy" in screen._rows
        assert str(tmp_path / "settings.toml") in screen_text(app)
        for row in screen._rows.values():
            assert row.meaning, row.key
        await pilot.press("down", "down")
        text = screen_text(app)
        assert "Prompt tokens read in one step" in text
        assert "Default: 512. Takes effect the next time you start ragchat." in text
        await pilot.press("q")
        assert app.screen is app.chat


async def test_a_value_is_changed_refused_and_put_back(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    stage.services.paths.settings_file.write_text(
        "# mine\n[retrieval]\nk = 5 # enough\n[sampling]\ntop_k = 3\n"
    )
    async with running(stage) as (app, pilot):
        screen = await open_settings(app, pilot, "retrieval.k")
        assert "Set in the file. Press Del to reset it. Takes effect now." in screen_text(app)
        await pilot.press("enter")
        assert screen.change.value == "5"
        await pilot.press("backspace", *"1000", "enter")
        assert "retrieval.k: Expected int <= 100." in screen_text(app)
        assert in_file(stage)["retrieval"] == {"k": 5}
        await pilot.press("backspace", "backspace", "enter")
        await until(pilot, lambda: in_file(stage)["retrieval"] == {"k": 10})
        assert not screen.change.display
        await pilot.press("delete")
        await until(pilot, lambda: not in_file(stage)["retrieval"])
        kept = stage.services.paths.settings_file.read_text()
        assert kept.startswith("# mine\n")
        assert in_file(stage)["sampling"] == {"top_k": 3}
        assert "Default: 8. Takes effect now." in screen_text(app)


async def test_switches_turn_and_choices_go_round(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        screen = await open_settings(app, pilot, "chat.strict")
        await pilot.press("enter")
        assert in_file(stage)["chat"] == {"strict": True}
        await pilot.press("enter")
        assert in_file(stage)["chat"] == {"strict": False}
        await pilot.press("escape")
        await pilot.press("slash", *"flash", "enter")
        seen = []
        for _ in range(3):
            await pilot.press("enter")
            seen.append(in_file(stage)["model"]["flash_attention"])
        assert seen == ["on", "off", "auto"]
        assert screen.chosen
        assert screen.chosen.key == "model.flash_attention"


async def test_a_value_of_the_environment_says_so_and_the_files_waits(tmp_path: Path) -> None:
    stage = with_environment(set_stage(tmp_path), {"RAGCHAT_RETRIEVAL__K": "12"})
    stage.services.paths.settings_file.write_text("[retrieval]\nk = 5\n")
    async with running(stage, size=(140, 36)) as (app, pilot):
        screen = await open_settings(app, pilot, "retrieval.k")
        text = screen_text(app)
        assert "RAGCHAT_RETRIEVAL__K in the environment overrides this; the file has 5." in text
        assert "12  environment" in text
        await pilot.press("enter")
        assert screen.change.value == "5"
        await pilot.press("backspace", "6", "enter")
        assert in_file(stage)["retrieval"] == {"k": 6}
        assert "the file has 6" in screen_text(app)


async def test_filtering_as_one_types(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        screen = await open_settings(app, pilot)
        await pilot.press("slash", *"minimum share")
        await until(pilot, lambda: screen.options.option_count == 2)
        assert "min_match" in screen_text(app)
        await pilot.press(*"xyz")
        await until(pilot, lambda: screen.options.option_count == 0)
        assert "No setting matches." in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: screen.options.option_count > 100)


async def test_the_file_in_the_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The editor is a script here; the terminal is not lent to it, for there is none."""
    stage = set_stage(tmp_path)
    file = stage.services.paths.settings_file
    written = tmp_path / "written.toml"
    editor = tmp_path / "rewrite"
    editor.write_text(f'#!/bin/sh\ncp "{written}" "$1"\n')
    editor.chmod(0o700)
    stage.use("ui", editor=str(editor))
    async with running(stage) as (app, pilot):
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        screen = await open_settings(app, pilot)
        written.write_text('[ui]\ntheme = "nord"\n[keys]\n"app.help" = "f12"\n[retrieval]\nk = 3\n')
        stage.use("ui", editor=str(editor))
        await pilot.press("e")
        await until(pilot, lambda: screen._rows["retrieval.k"].value == "3")
        assert app.theme == "nord"
        assert screen._rows["keys.app.help"].value == "f12"
        written.write_text(f"[ui]\neditor = '{editor}'\n[retrieval]\nkk = 3\n")
        stage.use("ui", editor=str(editor))
        await pilot.press("e")
        await until(pilot, lambda: "Did you mean 'retrieval.k'?" in " ".join(screen_text(app).split()))
        assert "kk = 3" in file.read_text()


async def test_a_key_is_changed_in_the_screen_and_works_at_once(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        screen = await open_settings(app, pilot, "keys.chat.new_tab")
        await pilot.press("enter")
        screen.change.value = "ctrl+f"
        await pilot.press("enter")
        assert "keys: chat.new_tab and chat.search both use ctrl+f" in screen_text(app)
        assert "keys" not in in_file(stage)
        screen.change.value = "f12"
        await pilot.press("enter")
        assert in_file(stage)["keys"] == {"chat.new_tab": "f12"}
        assert app._keymap == {"chat.new_tab": "f12"}
        await pilot.press("delete")
        assert not in_file(stage)["keys"]
        assert app._keymap == {}


@pytest.mark.parametrize("size", [(60, 20), (40, 10), (200, 60)])
async def test_the_screen_fits(tmp_path: Path, size: tuple[int, int]) -> None:
    stage = set_stage(tmp_path)
    async with running(stage, size=size) as (app, pilot):
        await open_settings(app, pilot, "retrieval.k")
        await pilot.press("enter")
        text = screen_text(app)
        assert "8" in text
        assert "Number of hits of a search" in text


# --- themes -----------------------------------------------------------------------------------------------


async def test_a_theme_chosen_in_the_palette_is_kept(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        assert not stage.services.paths.settings_file.exists()
        app.theme = "gruvbox"  # what the palette's command does
        await until(pilot, lambda: in_file(stage) == {"ui": {"theme": "gruvbox"}})


async def test_a_theme_of_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    (folder / "sea.toml").write_text(
        'primary = "#0080a0"\nbackground = "#001018"\ndark = true\n[variables]\nborder = "#004050"\n'
    )
    (folder / "wrong.toml").write_text('primary = "blueish"\n')
    stage = set_stage(tmp_path)
    stage.use("ui", theme="sea")
    async with running(stage) as (app, pilot):
        assert app.theme == "sea"
        assert app.current_theme.background == "#001018"
        await until(pilot, lambda: app._notifications)
        (said,) = [notification.message for notification in app._notifications]
        assert "wrong.toml: primary = 'blueish' is not a colour" in said


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("primary = ", "Invalid value"),
        ('primary = "#12"\n', "is not a colour"),
        ('background = "red"\n', "has no primary colour"),
        ('primary = "red"\nprimry = "red"\n', "did you mean 'primary'?"),
        ('primary = "red"\ndark = "no"\n', "dark cannot be 'no'"),
        ('primary = "red"\nname = "nord"\n', "already"),
        ('primary = "red"\nname = "auto"\n', "already"),
        ('primary = "red"\nname = "[b]my theme"\n', "letters, digits"),
        ('primary = "red"\nname = ""\n', "letters, digits"),
        ('primary = "red"\nvariables = 3\n', "variables is a section"),
        ('primary = "red"\n[variables]\nbordr = "red"\n', "did you mean 'border'?"),
        ('primary = "red"\n[variables]\nborder = "redd"\n', "is not a colour"),
        ('primary = "red"\n[variables]\nborder = "red 10% x"\n', "is not a colour"),
        ('primary = "red"\n[variables]\nlink-style = "blinking"\n', "is not a text style"),
        ("\xff", "Invalid"),
    ],
)
def test_a_theme_file_that_is_wrong_is_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "mine.toml").write_text(text, "latin-1")
    found, (trouble,) = themes.read_themes(tmp_path)
    assert found == []
    assert str(tmp_path / "mine.toml") in trouble
    assert reason in trouble or "codec" in trouble


def test_all_themes_of_textual_would_be_taken_as_ones_own(tmp_path: Path) -> None:
    from textual.theme import BUILTIN_THEMES

    for name, theme in BUILTIN_THEMES.items():
        given = {key: value for key, value in vars(theme).items() if value is not None}
        assert themes._theme({**given, "name": f"my-{name}"}, "x") == replace(theme, name=f"my-{name}")


@pytest.mark.parametrize(
    ("wanted", "env", "sixteen", "theme"),
    [
        ("auto", {}, False, "textual-dark"),
        ("auto", {"COLORFGBG": "0;15"}, False, "textual-light"),
        ("auto", {"COLORFGBG": "0;default;15"}, False, "textual-light"),
        ("auto", {"COLORFGBG": "15;0"}, False, "textual-dark"),
        ("auto", {"COLORFGBG": "12;8"}, False, "textual-dark"),
        ("auto", {"COLORFGBG": "default;default"}, False, "textual-dark"),
        ("auto", {}, True, "ragchat-16"),
        ("auto", {"COLORFGBG": "0;7"}, True, "ragchat-16-light"),
        ("nord", {}, True, "nord"),
    ],
)
def test_the_theme_goes_by_the_terminal(wanted: str, env: dict[str, str], sixteen: bool, theme: str) -> None:
    assert themes.choose(wanted, themes.names([]), env, sixteen=sixteen) == (theme, "")


def test_a_theme_that_is_not_there_is_named_with_the_nearest() -> None:
    theme, trouble = themes.choose("drakula", themes.names([]), {}, sixteen=False)
    assert theme == "textual-dark"
    assert trouble == "ui.theme: there is no theme 'drakula'. Did you mean 'dracula'?"


# --- few colours ------------------------------------------------------------------------------------------


def number(style: Style, which: str) -> int | None:
    """The colour of 16 that a terminal is sent, None: its own."""
    color = style.color if which == "text" else style.bgcolor
    return None if color is None or color.is_default else color.downgrade(ColorSystem.STANDARD).number


def styles(app: RagchatApp, *, of: str = "") -> list[tuple[str, Style]]:
    """What is sent to the terminal for the rows with `of` on them, its filters applied."""
    width = app.size.width
    rows = [strip for strip in app.screen._compositor.render_strips() if of in strip.text]
    found = []
    for strip in rows:
        for line_filter in app._filters:
            if line_filter.enabled:
                strip = strip.apply_filter(line_filter, app.screen.background_colors[1])
        found += [(s.text, s.style) for s in strip.crop(0, width) if s.text.strip() and s.style is not None]
    return found


# (text, background) that cannot be told apart, or hardly, in the palettes that terminals come with.
DARK_ON_DARK = {
    (4, 0),
    (0, 4),
    (8, 4),
    (0, 8),
    (4, 8),
    (1, 0),
    (0, 1),
    (5, 4),
    (4, 5),
    (4, None),
    (0, None),
    (8, 0),
}
LIGHT_ON_LIGHT = {
    (11, 15),
    (15, 11),
    (15, None),
    (11, None),
    (7, 15),
    (14, 15),
    (15, 6),
    (14, None),
    (7, None),
    (10, None),
}


@pytest.mark.parametrize(
    ("theme", "bad"), [("ragchat-16", DARK_ON_DARK), ("ragchat-16-light", LIGHT_ON_LIGHT)]
)
async def test_all_text_is_legible_with_16_colours(
    tmp_path: Path, theme: str, bad: set[tuple[int | None, int | None]]
) -> None:
    stage = set_stage(tmp_path)
    stage.use("ui", theme=theme)
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "What pressure?")
        for keys in ([], ["f1"], ["escape", "f2"], ["escape", "f10"], ["escape", "f5"]):
            for key in keys:
                await pilot.press(key)
            await pilot.pause(0.2)
            for text, style in styles(app):
                if any(character.isalnum() for character in text) and not style.reverse:
                    pair = number(style, "text"), number(style, "background")
                    assert pair not in bad, (keys, text, pair)
                    assert pair[0] != pair[1] or pair[0] is None, (keys, text, pair)


@pytest.mark.parametrize("theme", ["ragchat-16", "ragchat-16-light", "textual-dark", "textual-light"])
async def test_what_is_chosen_shows_with_16_colours(tmp_path: Path, theme: str) -> None:
    stage = set_stage(tmp_path)
    stage.use("ui", theme=theme)
    async with running(stage) as (app, pilot):
        await pilot.press("f2")
        await until(pilot, lambda: "Other 360M" in screen_text(app))
        (_, chosen), (_, other) = (
            next(part for part in styles(app, of=name) if name in part[0])
            for name in ("Fake 135M", "Other 360M")
        )
        assert number(chosen, "background") != number(other, "background")


async def test_a_terminal_with_16_colours_gets_such_a_theme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COLORTERM", "COLORFGBG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    stage = set_stage(tmp_path)
    stage.use("ui", theme="auto")
    async with running(stage) as (app, _):
        assert app.theme == "ragchat-16"


async def test_without_colours_what_is_chosen_still_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stage = set_stage(tmp_path)
    stage.use("ui", theme="auto")
    async with running(stage) as (app, pilot):
        assert app.theme == "textual-dark"
        await ask(app, pilot, "What pressure?")
        await pilot.press("f2")
        await until(pilot, lambda: "Other 360M" in screen_text(app))
        for _, style in styles(app):
            for color in (style.color, style.bgcolor):
                if color is not None and color.triplet is not None:
                    assert len(set(color.triplet)) == 1, color  # a grey
        (_, chosen), (_, other) = (
            next(part for part in styles(app, of=name) if name in part[0])
            for name in ("Fake 135M", "Other 360M")
        )
        assert chosen.underline
        assert not other.underline


# --- motion -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduced", [True, False])
async def test_reduced_motion(tmp_path: Path, reduced: bool) -> None:
    from ragchat.tui.screens.dialog import Line

    stage = set_stage(tmp_path)
    stage.use("ui", reduced_motion=reduced)
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.focus()
        await pilot.pause()
        assert (app.animation_level == "none") is reduced
        assert app.chat.pane.prompt.cursor_blink is not reduced
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(app.focused, Line))
        assert app.screen.query_one(Line).cursor_blink is not reduced


async def test_reduced_motion_is_taken_up_at_once(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    async with running(stage) as (app, pilot):
        await open_settings(app, pilot, "ui.reduced_motion")
        await pilot.press("enter")
        assert app.animation_level == "none"
        await pilot.press("enter")
        assert app.animation_level != "none"
