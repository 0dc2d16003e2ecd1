"""ragchat's own JSON of chats: `{"format": "ragchat-chats", "version": 1, "chats": [PortableChat…]}`, both ways, without loss.

A later version may add fields, which this one leaves out; a change of meaning is a new version number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from ragchat.session.foreign_chats import NoChatError, iso_time
from ragchat.text import clean, clean_line
from ragchat.types import PortableChat, PortableMessage

FORMAT_NAME = "ragchat-chats"
FORMAT_VERSION = 1
_LONGEST_REASON = 200


def as_json(chats: Sequence[PortableChat]) -> str:
    """Everything, in the format that `session.importing` reads back without loss."""
    import msgspec

    value = {"format": FORMAT_NAME, "version": FORMAT_VERSION, "chats": list(chats)}
    text = msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    # Names of files may hold what a terminal would obey; spelled out it is the same JSON.
    if clean(text) != text:
        text = json.dumps(msgspec.to_builtins(value), indent=1)
    return f"{text}\n"


def own_chat(entry: object) -> PortableChat:
    """A decoded chat of a file that says it is ours, whoever wrote it. Raises NoChatError."""
    import msgspec

    try:
        chat = msgspec.convert(_cleaned(entry), PortableChat)
    except msgspec.ValidationError as error:
        raise NoChatError(clean_line(str(error), limit=_LONGEST_REASON)) from error
    numbers = {message.id for message in chat.messages}
    if len(numbers) != len(chat.messages) or not all(0 < number < 1 << 63 for number in numbers):
        raise NoChatError("its messages have no numbers of their own")
    for message in chat.messages:
        if message.role == "system" or message.state == "streaming" or message.rating not in (-1, 0, 1):
            raise NoChatError(f"its message {message.id} is none that ragchat writes")
    return replace(
        chat,
        title=clean_line(chat.title) or "New chat",
        created_at=iso_time(chat.created_at),
        updated_at=iso_time(chat.updated_at),
        messages=_parents_first([replace(one, created_at=iso_time(one.created_at)) for one in chat.messages]),
    )


def _cleaned(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case list():
            return [_cleaned(one) for one in value]
        case dict():
            return {key: _cleaned(one) for key, one in value.items()}
    return value


def _parents_first(messages: Sequence[PortableMessage]) -> tuple[PortableMessage, ...]:
    """The messages in an order in which no parent comes late; an unknown parent, or one in a circle, is none."""
    numbers = {message.id for message in messages}
    children: dict[int, list[PortableMessage]] = {}
    placed: dict[int, PortableMessage] = {}
    for message in messages:
        if message.parent_id not in placed and message.parent_id in numbers:
            children.setdefault(message.parent_id, []).append(message)
            continue
        _place_with_children(message, children, placed)
    for message in messages:  # what is left runs in circles
        if message.id not in placed:
            _place_with_children(message, children, placed)
    return tuple(placed.values())


def _place_with_children(
    message: PortableMessage, children: dict[int, list[PortableMessage]], placed: dict[int, PortableMessage]
) -> None:
    waiting = [message]
    while waiting:
        one = waiting.pop()
        if one.id not in placed:
            placed[one.id] = one if one.parent_id in placed else replace(one, parent_id=0)
            waiting += reversed(children.pop(one.id, []))
