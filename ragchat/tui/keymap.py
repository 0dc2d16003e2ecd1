"""The user's own keys: which ids and keys there are, and which of them get in each other's way. No widget is made.

A place is where bindings are in force together: a widget, the screen around it and the app. Textual asks bindings with
priority first, from the app inwards, then the others from the widget outwards. An inner binding may hide an outer one
without priority (as `q` closes a window); everything else that wants the same key is a clash.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.keys import REPLACED_KEYS, Keys, key_to_character
from textual.screen import Screen
from textual.widgets import Input, TextArea

from ragchat.errors import UsageError

Groups = Sequence[tuple[str, Sequence[type[DOMNode]]]]
"""What `key_groups.key_groups` gives: a title, and the classes that bind keys there."""

_MODIFIERS = {"ctrl", "alt", "shift", "super", "hyper", "meta"}
_NAMED = {str(key.value).rpartition("+")[2] for key in Keys if not key.value.startswith("<")}
_EDITING = {"backspace", "delete", "left", "right", "up", "down", "home", "end"}
"""No one can type without these."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that can be rebound: its class, the title of its place, and its default keys."""

    id: str
    keys: str
    meaning: str
    place: str


def bound(groups: Groups) -> dict[str, Bound]:
    """All bindings with an id, by id, in the order of the help."""
    found: dict[str, Bound] = {}
    for title, owners in groups:
        for owner in owners:
            for binding in _own(owner):
                found.setdefault(
                    str(binding.id), Bound(str(binding.id), binding.key, binding.description, title)
                )
    return found


def trouble(keymap: Mapping[str, str], groups: Groups) -> str:
    """Why these keys cannot be used, in a sentence; empty: they can."""
    known = bound(groups)
    for binding_id, keys in keymap.items():
        if binding_id not in known:
            return f"keys: there is no {binding_id!r}.{_nearest(binding_id, known)}"
        try:
            read_keys(keys)
        except UsageError as error:
            return f"keys: {binding_id}: {error} {error.remedy}".strip()
    for name, key in _swallowed(keymap, groups):
        return f"keys: {name} needs {key} for typing. Choose a function key, or a key with ctrl or alt."
    for first, second, key in clashes(keymap, groups):
        return f"keys: {first} and {second} both use {key}. Choose another key for one of them."
    return ""


def normalised(keymap: Mapping[str, str]) -> dict[str, str]:
    """`keymap` as `App.set_keymap` takes it. Raises UsageError for what is not a key."""
    return {binding_id: ",".join(read_keys(keys)) for binding_id, keys in keymap.items()}


def read_keys(keys: str) -> list[str]:
    """The keys of a comma separated list under Textual's names; a capital also as its terminals write it, shift+g.

    Raises UsageError for what is not a key.
    """
    found: list[str] = []
    for written in (part.strip() for part in keys.split(",")):
        *modifiers, key = written.split("+") if len(written) > 1 else [written]
        modifiers = [modifier.lower() for modifier in modifiers]
        if modifiers or len(key) > 1:
            key = key.lower()
        if not key or not set(modifiers) <= _MODIFIERS or not _is_key(key):
            raise UsageError(f"{written!r} is not a key.", 'Write keys like "ctrl+n", "f7", "alt+p" or "y".')
        (binding,) = Binding.make_bindings([Binding("+".join([*modifiers, key]), "")])
        found.append(binding.key)
        if not modifiers and len(key) == 1 and key.isupper():
            found.append(f"shift+{key.lower()}")
    return list(dict.fromkeys(found))


def clashes(keymap: Mapping[str, str], groups: Groups) -> Iterator[tuple[str, str, str]]:
    """(id, id, key) of the bindings that want the same key in the same place.

    With keys of your own only those that they have to do with; without any, what the defaults get wrong.
    """
    for chain in _chains(groups):
        maps = [(owner, _in_force(owner, keymap)) for owner in chain]
        for _, bindings in maps:
            for key, here in bindings.items():
                for one, other in combinations(here, 2):
                    yield from _clash(one, other, key, keymap)
        for (outer, outside), (inner, inside) in combinations(maps, 2):
            same_place = bool(keymap) and any(outer in owners and inner in owners for _, owners in groups)
            for key in sorted(outside.keys() & inside.keys()):
                for one in outside[key]:
                    if one.priority or same_place:
                        for other in inside[key]:
                            yield from _clash(one, other, key, keymap)


def _clash(
    one: Binding, other: Binding, key: str, keymap: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    rebound = not keymap or one.id in keymap or other.id in keymap
    if rebound and one.id and other.id and one.id != other.id:
        first, second = sorted((one.id, other.id))
        yield first, second, key


def _swallowed(keymap: Mapping[str, str], groups: Groups) -> Iterator[tuple[str, str]]:
    """(id, key) where a letter or an editing key would no longer reach the text that is typed."""
    for owner in dict.fromkeys(owner for _, owners in groups for owner in owners):
        for binding in _own(owner):
            name = str(binding.id)
            if name in keymap and (binding.priority or issubclass(owner, (Input, TextArea))):
                for key in set(read_keys(keymap[name])) - set(read_keys(binding.key)):
                    if key in _EDITING or _character(key) is not None:
                        yield name, key


def _chains(groups: Groups) -> Iterator[tuple[type[DOMNode], ...]]:
    """Which classes are asked together, from the app inwards: app, screen, widget."""
    from textual.app import App

    everywhere = [owner for owner in groups[0][1] if issubclass(owner, App)]
    home = [owner for owner in groups[0][1] if issubclass(owner, Screen)]
    for _, owners in groups:
        screens = [owner for owner in owners if issubclass(owner, Screen)]
        widgets = [owner for owner in owners if not issubclass(owner, (Screen, App))]
        for screen in screens:
            yield (*everywhere, screen)
        for screen in screens or home:
            for widget in widgets:
                yield (*everywhere, screen, widget)


def _own(owner: type[DOMNode]) -> Iterator[Binding]:
    """The bindings with an id of a class, those of its base classes included."""
    for base in reversed(owner.__mro__):
        for binding in base.__dict__.get("BINDINGS", ()):
            if isinstance(binding, Binding) and binding.id:
                yield binding


def _in_force(owner: type[DOMNode], keymap: Mapping[str, str]) -> dict[str, list[Binding]]:
    """What an instance of the class has bound, as Textual merges it: a class overrides its bases key by key."""
    merged: dict[str, list[Binding]] = {}
    for base in reversed(owner.__mro__):
        merged |= BindingsMap(base.__dict__.get("BINDINGS", ())).key_to_bindings
    found: dict[str, list[Binding]] = {}
    rebound: dict[str, Binding] = {}
    for key, bindings in merged.items():
        for binding in bindings:
            if binding.id in keymap:
                rebound[str(binding.id)] = binding
            else:
                found.setdefault(key, []).append(binding)
    for binding_id, binding in rebound.items():
        for key in read_keys(keymap[binding_id]):
            found.setdefault(key, []).append(binding)
    return found


def _character(key: str) -> str | None:
    """What a key types; Textual does not find it by its own short names, as "slash"."""
    return key if len(key) == 1 else key_to_character(REPLACED_KEYS.get(key, key))


def _is_key(key: str) -> bool:
    return key in _NAMED or _character(key) is not None


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""
