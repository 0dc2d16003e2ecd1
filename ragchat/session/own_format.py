"""ragchat's own JSON of chats: `{"format": "ragchat-chats", "version": 1, "chats": [PortableChat…]}`, both ways, without loss.

A later version may add fields, which this one leaves out; a change of meaning is a new version number. `content` is the whole
message as it is shown; `notice` and `attachments`, which came later, are parts of it, and files without them are taken apart.
What the documents say is in `quotes`, how the statements of an answer compare with them in `check`, whose offsets count in the
answer's own words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ragchat.session.foreign_chats import NoChatError, iso_time
from ragchat.store import chat_former
from ragchat.store.chat_checks import check_value, fitting
from ragchat.store.chat_rows import sound_quote
from ragchat.text import clean, clean_line
from ragchat.types import (
    UNCHECKED,
    AdapterScale,
    AnswerCheck,
    OmissionKind,
    PortableChat,
    PortableMessage,
    PromptPart,
    Quote,
    text_of,
)

FORMAT_NAME = "ragchat-chats"
FORMAT_VERSION = 1
_LONGEST_REASON = 200
_Value = TypeVar("_Value", Quote, AnswerCheck)


def as_json(chats: Sequence[PortableChat]) -> str:
    """Everything, in the format that `session.importing` reads back without loss."""
    import msgspec

    value = {"format": FORMAT_NAME, "version": FORMAT_VERSION, "chats": list(map(as_value, chats))}
    text = msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
    # Names of files may hold what a terminal would obey; spelled out it is the same JSON.
    if clean(text) != text:
        text = json.dumps(value, indent=1)
    return f"{text}\n"


def as_value(chat: PortableChat) -> dict[str, Any]:
    """A chat as the file has it: adapters as text, what was left out in sentences and as values."""
    import msgspec

    value: dict[str, Any] = msgspec.to_builtins(chat)
    _write_adapters(value["options"])
    for message, written in zip(chat.messages, value["messages"], strict=True):
        written["content"] = message.text
        written["check"] = check_value(message.check)
        for quote, entry in zip(message.quotes, written["quotes"], strict=True):
            entry["text"] = quote.text
        if message.generation is not None:
            generation = written["generation"]
            _write_adapters(generation)
            generation["omissions"] = generation["left_out"]
            generation["left_out"] = [one.sentence for one in message.generation.left_out]
            generation["parts"] = [
                {"name": part.name, "tokens": part.tokens} for part in message.generation.parts
            ]
    return value


def _write_adapters(value: dict[str, Any]) -> None:
    value["adapter"] = AdapterScale.join(AdapterScale(**one) for one in value.pop("adapters"))


def own_chat(entry: object) -> PortableChat:
    """A decoded chat of a file that says it is ours, whoever wrote it. Raises NoChatError."""
    import msgspec

    try:
        chat = msgspec.convert(_as_read(_cleaned(entry)), PortableChat)
    except msgspec.ValidationError as error:
        raise NoChatError(clean_line(str(error), limit=_LONGEST_REASON)) from error
    numbers = {message.id for message in chat.messages}
    if len(numbers) != len(chat.messages) or not all(0 < number < 1 << 63 for number in numbers):
        raise NoChatError("its messages have duplicate or missing ids")
    for message in chat.messages:
        if message.role == "system" or message.state == "streaming" or message.rating not in (-1, 0, 1):
            raise NoChatError(f"its message {message.id} is not in ragchat's format")
    return replace(
        chat,
        title=clean_line(chat.title) or "New chat",
        created_at=iso_time(chat.created_at),
        updated_at=iso_time(chat.updated_at),
        messages=_parents_first([_settled(one) for one in chat.messages]),
    )


def _settled(message: PortableMessage) -> PortableMessage:
    """With a time as it is stored; what cannot be a quote or a check of this message is dropped."""
    return replace(
        message,
        created_at=iso_time(message.created_at),
        quotes=tuple(quote for quote in message.quotes if sound_quote(quote)),
        check=fitting(message.check, message.content),
    )


def _as_read(chat: object) -> object:
    """What `as_value` wrote, or a version that knew less, in the shape of a PortableChat."""
    if isinstance(chat, dict):
        _read_adapters(chat.get("options"))
        messages = chat.get("messages")
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict):
                _read_message(message)
    return chat


def _read_adapters(value: object) -> None:
    if isinstance(value, dict) and isinstance(text := value.pop("adapter", None), str):
        try:
            value["adapters"] = [{"name": one.name, "scale": one.scale} for one in AdapterScale.parse(text)]
        except ValueError as error:
            raise NoChatError(f"{clean_line(text)!r} names no adapters") from error


def _read_message(message: dict[str, Any]) -> None:
    content, role = message.get("content"), message.get("role")
    if isinstance(content, str):
        if "notice" in message or "attachments" in message:
            message["content"] = _own_words(message, content)
        elif role == "assistant":
            message["notice"], message["content"] = chat_former.split_answer(content)
        elif role == "user":
            message["content"], message["attachments"] = chat_former.split_question(content)
    quotes = message.get("quotes")
    message["quotes"] = [
        quote
        for entry in (quotes if isinstance(quotes, list) else ())
        if (quote := _converted(entry, Quote)) is not None
    ]
    message["check"] = _converted(message.get("check"), AnswerCheck) or UNCHECKED
    generation = message.get("generation")
    if isinstance(generation, dict):
        _read_adapters(generation)
        generation["left_out"] = _omissions(generation.get("left_out"), generation.pop("omissions", None))
        if isinstance(parts := generation.get("parts"), list):
            generation["parts"] = list(map(_part, parts))


def _converted(value: object, kind: type[_Value]) -> _Value | None:
    """The value of this kind; None for what has not its shape, or has words in it that a later version knows."""
    import msgspec

    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return None


def _own_words(message: dict[str, Any], text: str) -> str:
    """`text` without the notice and the names; where it does not hold them, they are dropped."""
    notice, names = message.get("notice", ""), message.get("attachments", [])
    if isinstance(notice, str) and isinstance(names, list):
        names = message["attachments"] = [line for one in names if (line := clean_line(str(one)))]
        if text == text_of("", notice=notice, attachments=names):
            return ""
        before, _, after = text_of("\0", notice=notice, attachments=names).partition("\0")
        if text.startswith(before) and text.endswith(after):
            return text[len(before) : len(text) - len(after)]
    message["notice"], message["attachments"] = "", []
    return text


def _omissions(sentences: object, values: object) -> object:
    """The values; the sentence where there is none of a kind that this version knows."""
    if not isinstance(sentences, list):
        return sentences
    values = values if isinstance(values, list) and len(values) == len(sentences) else [None] * len(sentences)
    return [
        value
        if isinstance(value, dict) and value.get("kind") in set(OmissionKind)
        else chat_former.omission(sentence)
        if isinstance(sentence, str)
        else sentence
        for value, sentence in zip(values, sentences, strict=True)
    ]


def _part(part: object) -> object:
    match part:
        case {"name": str(name), "tokens": int(tokens)}:
            return PromptPart.named(name, tokens)
    return part


def _cleaned(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case list():
            return [_cleaned(one) for one in value]
        case dict():
            return {key: _cleaned(one) for key, one in value.items()}
        case int() if not -(1 << 63) <= value < 1 << 63:
            raise NoChatError("a number in it is too large")
        case float() if not math.isfinite(value):
            raise NoChatError("a number in it is not finite")
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
