"""The person's own keys: what is refused and how it is said; and that the keys as shipped do not clash."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.screen import Screen
from textual.widget import Widget

from ragchat.errors import UsageError
from ragchat.tui.key_groups import key_groups
from ragchat.tui.keymap import Groups, bound, clashes, read_keys, trouble
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until

# --- what is shipped --------------------------------------------------------------------------------------


GIVE_WAY = {
    ("list.page_down", "transcript.page_down", "pagedown"),
    ("list.page_up", "transcript.page_up", "pageup"),
}
"""The chat's own check_action leaves these to a list that has the focus."""


def test_no_two_keys_clash_as_shipped() -> None:
    assert set(clashes({}, key_groups())) <= GIVE_WAY


def test_no_two_bindings_share_an_id() -> None:
    owners = {owner for _, owners in key_groups() for owner in owners}
    own = [
        b.id
        for owner in owners
        for b in owner.__dict__.get("BINDINGS", ())
        if isinstance(b, Binding) and b.id
    ]
    assert len(own) > 100
    assert sorted(own) == sorted(set(own))


def test_every_shipped_key_is_a_key_and_may_be_set_again() -> None:
    groups = key_groups()
    keymap = {name: one.keys for name, one in bound(groups).items()}
    assert trouble(keymap, groups) == ""


# --- places -----------------------------------------------------------------------------------------------


def binding(key: str, name: str, *, priority: bool = False) -> Binding:
    return Binding(key, "do", name, id=name, priority=priority)


class Inner(Widget):
    BINDINGS: ClassVar[list[BindingType]] = [binding("y", "inner.copy"), binding("f5", "inner.five")]


class Derived(Inner):
    BINDINGS: ClassVar[list[BindingType]] = [binding("y", "derived.copy")]


class Home(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        binding("ctrl+n", "home.new", priority=True),
        binding("escape", "home.back"),
    ]


class Elsewhere(Screen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [binding("ctrl+n", "elsewhere.new", priority=True)]


class Program(App[None]):
    BINDINGS: ClassVar[list[BindingType]] = [
        binding("f1", "app.help"),
        binding("f5", "app.five", priority=True),
    ]


GROUPS: Groups = [("Everywhere", [Program, Home]), ("Inner", [Inner, Derived]), ("Elsewhere", [Elsewhere])]


def test_a_key_that_an_outer_one_takes_first_is_found_among_the_defaults() -> None:
    assert set(clashes({}, GROUPS)) == {("app.five", "inner.five", "f5")}


@pytest.mark.parametrize(
    ("keymap", "expected"),
    [
        # priority of the screen around
        ({"inner.copy": "ctrl+n"}, {("home.new", "inner.copy")}),
        ({"home.new": "y"}, {("home.new", "inner.copy"), ("derived.copy", "home.new")}),
        ({"app.help": "ctrl+n"}, {("app.help", "home.new")}),
        # the same widget, which may have its keys from a base class
        ({"inner.five": "y"}, {("inner.copy", "inner.five"), ("derived.copy", "inner.five")}),
        # both under "Everywhere"
        ({"home.back": "f1"}, {("app.help", "home.back")}),
        # hidden by the inner one, as q and Esc are
        ({"home.back": "y"}, set()),
        # never there together
        ({"home.new": "ctrl+b", "elsewhere.new": "ctrl+b"}, set()),
        # exchanged
        ({"inner.five": "y", "inner.copy": "f6", "derived.copy": "f7"}, set()),
        ({"home.new": "f1", "app.help": "ctrl+n"}, set()),
    ],
)
def test_who_wants_the_same_key(keymap: dict[str, str], expected: set[tuple[str, str]]) -> None:
    shipped = {("app.five", "inner.five")}
    assert {(one, other) for one, other, _ in clashes(keymap, GROUPS)} - shipped == expected


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keymap", "sentence"),
    [
        ({"transcript.copi": "y"}, "keys: there is no 'transcript.copi'. Did you mean 'transcript.copy'?"),
        ({"zzzzzzzz": "y"}, "keys: there is no 'zzzzzzzz'."),
        (
            {"chat.new": "ctrl+f"},
            "keys: chat.new and chat.search both use ctrl+f. Choose another key for one of them.",
        ),
        (
            {"transcript.copy": "ctrl+n"},
            "keys: chat.new and transcript.copy both use ctrl+n. Choose another key for one of them.",
        ),
        (
            {"transcript.copy": "f7, ctrl+n"},
            "keys: chat.new and transcript.copy both use ctrl+n. Choose another key for one of them.",
        ),
        (
            {"chat.new": "n"},
            "keys: chat.new needs n for typing. Choose a function key, or a key with ctrl or alt.",
        ),
        (
            {"prompt.send": "backspace"},
            "keys: prompt.send needs backspace for typing. Choose a function key, or a key with ctrl or alt.",
        ),
        (
            {"chat.new": "ctlr+n"},
            'keys: chat.new: \'ctlr+n\' is not a key. Write keys like "ctrl+n", "f7", "alt+p" or "y".',
        ),
        ({"chat.new": ""}, "keys: chat.new: '' is not a key."),
        ({"chat.new": "ctrl+"}, "keys: chat.new: 'ctrl+' is not a key."),
    ],
)
def test_what_is_refused_and_how(keymap: dict[str, str], sentence: str) -> None:
    assert trouble(keymap, key_groups()).startswith(sentence)


@pytest.mark.parametrize(
    "keymap",
    [
        {},
        {"transcript.copy": "ctrl+y"},
        {"chat.new": "ctrl+b", "panel.chats": "ctrl+n"},
        {"prompt.send": "alt+enter", "prompt.new_line": "enter"},
        {"prompt.send": "ctrl+enter", "prompt.new_line": "enter,ctrl+j"},
    ],
)
def test_what_is_taken(keymap: dict[str, str]) -> None:
    assert trouble(keymap, key_groups()) == ""


def test_how_keys_are_read() -> None:
    assert read_keys("?, ctrl+N,G , F7,é") == ["question_mark", "ctrl+n", "G", "shift+g", "f7", "é"]
    for wrong in ("", "y,,n", "hyper+strange", "ctrl+shift", "enterr"):
        with pytest.raises(UsageError):
            read_keys(wrong)


# --- in the app -------------------------------------------------------------------------------------------


def stage_with(folder: Path, keys: dict[str, str]) -> Stage:
    from dataclasses import replace

    stage = set_stage(folder)
    preferences = stage.services.preferences
    preferences.context = replace(
        preferences.context, settings=msgspec.structs.replace(preferences.settings, keys=keys)
    )
    return stage


async def test_other_keys_work_and_the_help_shows_them(tmp_path: Path) -> None:
    from ragchat.tui.screens.help import HelpScreen

    stage = stage_with(tmp_path, {"app.help": "f12", "panel.chats": "ctrl+l"})
    async with running(stage) as (app, pilot):
        await pilot.press("f1")
        assert not isinstance(app.screen, HelpScreen)
        await pilot.press("f12")
        assert isinstance(app.screen, HelpScreen)
        text = screen_text(app)
        assert "F12" in text
        assert "^l" in text
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "keys"])
        assert not app._notifications


async def test_enter_can_be_the_new_line(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, {"prompt.send": "alt+enter", "prompt.new_line": "enter"})
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.focus()
        await pilot.press("a", "enter", "b")
        await until(pilot, lambda: app.chat.pane.prompt.text == "a\nb")
        assert stage.script.questions == []
        await pilot.press("alt+enter")
        await until(pilot, lambda: stage.script.questions == ["a\nb"])
        await until(pilot, lambda: app.chat.pane.live is None)


async def test_keys_that_clash_are_named_and_the_usual_ones_stay(tmp_path: Path) -> None:
    stage = stage_with(tmp_path, {"chat.new": "ctrl+f", "panel.chats": "ctrl+l"})
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: app._notifications)
        (said,) = [notification.message for notification in app._notifications]
        assert said.startswith("keys: chat.new and chat.search both use ctrl+f")
        assert "the default keys" in said
        await ask(app, pilot, "What pressure?")
        assert app.chat.pane.conversation_id
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not app.chat.pane.conversation_id)


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("\x1b\r", "alt+enter"),  # every terminal
        ("\x1b[13;3u", "alt+enter"),  # with the Kitty protocol
        ("\x1b[44;5u", "ctrl+comma"),
        ("\x1b[21~", "f10"),
        ("\x1bw", "alt+w"),
        ("\x1b.", "alt+full_stop"),
        ("\x1b,", "alt+comma"),
    ],
)
def test_what_terminals_send_has_the_name_that_is_bound(sent: str, key: str) -> None:
    from textual._xterm_parser import XTermParser

    from ragchat.tui.app import name_alt_keys

    name_alt_keys()
    parser = XTermParser()
    sent_events = list(parser.feed(sent))
    time.sleep(0.2)  # an escape alone is waited for
    sent_events += parser.tick()
    assert [event.key for event in sent_events if isinstance(event, events.Key)] == [key]


def test_whoever_binds_keys_is_in_the_help() -> None:
    """What is not there cannot be rebound, and nobody reads of it."""
    import importlib
    import pkgutil

    import ragchat.tui

    for module in pkgutil.walk_packages(ragchat.tui.__path__, "ragchat.tui."):
        importlib.import_module(module.name)
    known = {owner for _, owners in key_groups() for owner in owners}
    pending, binding_owners = [DOMNode], set()
    while pending:
        owner = pending.pop()
        pending += owner.__subclasses__()
        own = [
            b for b in owner.__dict__.get("BINDINGS", ()) if isinstance(b, Binding) and b.id and b.description
        ]
        if owner.__module__.startswith("ragchat.") and own:
            binding_owners.add(owner)
    assert len(binding_owners) > 20
    assert binding_owners <= known, [owner.__name__ for owner in binding_owners - known]
