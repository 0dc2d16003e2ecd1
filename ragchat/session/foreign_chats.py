"""Chats as other programs write them, one decoded JSON value at a time: ChatGPT, Open WebUI, LM Studio, ShareGPT,
OpenAI messages.

Nothing is trusted: every field may be missing or of another type, parents may be unknown or run in a circle. What is no text of
the user or of the model (calls of tools, pictures, hidden context) is left out and counted. Reads no file and stores nothing.
"""

from __future__ import annotations

import html
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ragchat.session.message_tree import Node, Turn, grow
from ragchat.text import clean, clean_line
from ragchat.types import ChatOptions, PortableChat, PortableMessage, Role

TOOLS = "messages of tools"
HIDDEN = "hidden messages"
FILES = "pictures and other files"
_LONGEST_TITLE = 200
_TITLE_OF_QUESTION = 60
"""Characters of the first question that make the title of a chat that has none."""
_LATEST = 1e11
"""Seconds: the year 5138. The same number of milliseconds is March 1973, before any chat."""
_ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "bot", "bing", "bard"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
# What ChatGPT puts around the numbers of its sources: private use characters that mean nothing elsewhere.
_SOURCE_MARKS = re.compile("\ue200[^\ue200\ue201]*\ue201|[\ue200-\ue206]")
_DETAILS = re.compile(r"<details\s+type=\"(\w+)\"[^>]*>(.*?)</details>\s*", re.DOTALL)
_SUMMARY = re.compile(r"\s*<summary>.*?</summary>", re.DOTALL)
_THINK = re.compile(r"\s*<think>(.*?)</think>", re.DOTALL)
_CHATGPT_HIDDEN = {"user_editable_context", "model_editable_context", "reasoning_recap"}


class NoChatError(ValueError):
    """This value holds no chat; the message says why."""


def read_entry(entry: object) -> tuple[str, PortableChat, Counter[str]]:
    """(name of the format, the chat, what was left out of it and how often). Raises NoChatError."""
    if not isinstance(entry, dict):
        raise NoChatError("it is not a JSON object")
    inner = _dict(entry.get("chat")) or entry
    left_out: Counter[str] = Counter()
    name, read = _recognised(entry, inner)
    return name, read(entry, inner, left_out), left_out


_Reader = Callable[[dict[str, Any], dict[str, Any], Counter[str]], PortableChat]


def _recognised(entry: dict[str, Any], inner: dict[str, Any]) -> tuple[str, _Reader]:
    if isinstance(entry.get("mapping"), dict):
        return "ChatGPT", _chatgpt
    if isinstance(inner.get("history"), dict) or (inner is not entry and "messages" in inner):
        return "Open WebUI", _open_webui
    if isinstance(entry.get("conversations") or entry.get("items"), list):
        return "ShareGPT", _sharegpt
    messages = entry.get("messages")
    if isinstance(messages, list):
        is_lm_studio = any("versions" in _dict(message) for message in messages)
        return ("LM Studio", _lm_studio) if is_lm_studio else ("OpenAI messages", _openai)
    raise NoChatError("its format is unknown")


# --- the formats ----------------------------------------------------------------------------------------


def _chatgpt(entry: dict[str, Any], _: dict[str, Any], left_out: Counter[str]) -> PortableChat:
    """A conversation of ChatGPT's data export: nodes by their id, each with its parent; children may not be listed."""
    mapping = {str(key): _chatgpt_node(_dict(raw), left_out) for key, raw in entry["mapping"].items()}
    return _chat(
        grow(mapping, str(entry.get("current_node") or "")),
        title=entry.get("title"),
        created_at=entry.get("create_time"),
        updated_at=entry.get("update_time"),
        pinned=entry.get("is_starred") is True,
    )


def _chatgpt_node(raw: dict[str, Any], left_out: Counter[str]) -> Node:
    parent, message = str(raw.get("parent") or ""), _dict(raw.get("message"))
    author, content = _dict(message.get("author")), _dict(message.get("content"))
    metadata, kind = _dict(message.get("metadata")), content.get("content_type", "text")
    role = _ROLES.get(str(author.get("role")))
    if kind == "thoughts":
        return Node(parent, reasoning=_thoughts(content))
    found: Counter[str] = Counter()
    text = _SOURCE_MARKS.sub("", _chatgpt_text(content, found)).strip()
    if not text and not found:
        return Node(parent)
    hidden = metadata.get("is_visually_hidden_from_conversation") or message.get("weight") == 0
    if author.get("role") == "tool" or message.get("recipient") not in ("all", "", None):
        left_out[TOOLS] += 1
    elif role not in ("user", "assistant") or hidden or kind in _CHATGPT_HIDDEN:
        left_out[HIDDEN] += 1
    else:
        left_out.update(found)
        if text:
            return Node(parent, Turn(role, text, iso_time(message.get("create_time"))))
    return Node(parent)


def _chatgpt_text(content: dict[str, Any], left_out: Counter[str]) -> str:
    texts = [_text(part, left_out) for part in _list(content.get("parts"))]
    if not texts and isinstance(content.get("text"), str):
        text = clean(content["text"])
        texts = [f"```\n{text}\n```" if content.get("content_type") == "code" and text.strip() else text]
    return "\n".join(text for text in texts if text)


def _thoughts(content: dict[str, Any]) -> str:
    thoughts = [_dict(thought) for thought in _list(content.get("thoughts"))]
    parts = [
        clean(_str(thought.get(name))).strip() for thought in thoughts for name in ("summary", "content")
    ]
    return "\n\n".join(part for part in parts if part)


def _open_webui(entry: dict[str, Any], inner: dict[str, Any], left_out: Counter[str]) -> PortableChat:
    """A chat of Open WebUI: `history.messages` by their id, each with its parent; older ones have a list of messages only."""
    history = _dict(inner.get("history"))
    messages = _dict(history.get("messages"))
    if messages:
        nodes = {
            str(key): _open_webui_node(_dict(raw), str(_dict(raw).get("parentId") or ""), left_out)
            for key, raw in messages.items()
        }
    else:
        nodes = _chain(_list(inner.get("messages")), _open_webui_node, left_out)
    tags = [*_list(inner.get("tags")), *_list(_dict(entry.get("meta")).get("tags"))]
    system = inner.get("system") or _dict(inner.get("params")).get("system")
    return _chat(
        grow(nodes, str(history.get("currentId") or history.get("current_id") or "")),
        title=entry.get("title") or inner.get("title"),
        created_at=entry.get("created_at") or inner.get("timestamp") or entry.get("timestamp"),
        updated_at=entry.get("updated_at"),
        pinned=entry.get("pinned") is True,
        tags=[_str(tag.get("name")) if isinstance(tag, dict) else _str(tag) for tag in tags],
        system_prompt=_str(system),
    )


def _open_webui_node(raw: dict[str, Any], parent: str, left_out: Counter[str]) -> Node:
    """Newer versions keep what the model did in `output` and may leave `content` empty; older ones fold it into `<details>`."""
    left_out[FILES] += len(_list(raw.get("files")))
    text = _text(raw.get("content"), left_out)
    outputs = [_dict(one) for one in _list(raw.get("output"))]
    if not text.strip():
        text = "\n\n".join(_of_kind(outputs, "message"))
    if _ROLES.get(str(raw.get("role"))) == "assistant":
        left_out[TOOLS] += sum(one.get("type") == "function_call" for one in outputs)
        text, folded = _unfolded(text, left_out)
        thoughts = folded or _of_kind(outputs, "reasoning")
    else:
        thoughts = []
    rating = _dict(raw.get("annotation")).get("rating")
    rating = rating if rating in (1, -1) else 0
    return _node(raw, parent, left_out, text, reasoning="\n\n".join(thoughts), rating=rating)


def _of_kind(outputs: Iterable[dict[str, Any]], kind: str) -> list[str]:
    """The texts of the parts of an answer that are of this kind."""
    texts = [
        _text(one.get("content") or one.get("summary"), Counter())
        for one in outputs
        if one.get("type") == kind
    ]
    return [text.strip() for text in texts if text.strip()]


def _unfolded(text: str, left_out: Counter[str]) -> tuple[str, list[str]]:
    """(the answer without its `<details>`, what was thought in them); those of tools are counted."""
    thoughts: list[str] = []

    def fold(match: re.Match[str]) -> str:
        if match[1] == "reasoning":
            lines = html.unescape(_SUMMARY.sub("", match[2])).strip().splitlines()
            thoughts.append(clean("\n".join(line.removeprefix(">").removeprefix(" ") for line in lines)))
        else:
            left_out[TOOLS] += 1
        return ""

    end = text.rfind("</details>") + len("</details>")  # without an end behind it none needs to be looked for
    return _DETAILS.sub(fold, text[:end]) + text[end:].lstrip("\n"), thoughts


def _lm_studio(entry: dict[str, Any], _: dict[str, Any], left_out: Counter[str]) -> PortableChat:
    """A conversation of LM Studio: each message has versions, of which one is shown; an answer may have several steps."""
    nodes: dict[str, Node] = {}
    parent = ""
    for number, message in enumerate(map(_dict, _list(entry.get("messages")))):
        versions = [_dict(version) for version in _list(message.get("versions"))]
        for place, version in enumerate(versions):
            nodes[f"{number}.{place}"] = _lm_studio_node(version, parent, left_out)
        shown = message.get("currentlySelected")
        if versions:
            shown = shown if isinstance(shown, int) and 0 <= shown < len(versions) else len(versions) - 1
            parent = f"{number}.{shown}"
    return _chat(
        grow(nodes, parent),
        title=entry.get("name"),
        created_at=entry.get("createdAt"),
        updated_at=entry.get("assistantLastMessagedAt") or entry.get("userLastMessagedAt"),
        pinned=entry.get("pinned") is True,
        system_prompt=_str(entry.get("systemPrompt")),
    )


def _lm_studio_node(version: dict[str, Any], parent: str, left_out: Counter[str]) -> Node:
    blocks = [_dict(step) for step in _list(version.get("steps"))] or [version]
    texts: dict[bool, list[str]] = {True: [], False: []}
    for block in blocks:
        is_thought = _dict(block.get("style")).get("type") == "thinking"
        content = block.get("content")
        for part in content if isinstance(content, list) else [content]:
            if str(_dict(part).get("type")).startswith("toolCall"):
                left_out[TOOLS] += 1
            elif part is not None and (text := _text(part, left_out)):
                texts[is_thought].append(text)
    return _node(version, parent, left_out, "".join(texts[False]), reasoning="".join(texts[True]).strip())


def _sharegpt(entry: dict[str, Any], _: dict[str, Any], left_out: Counter[str]) -> PortableChat:
    """`conversations` (or `items`) of {"from", "value"}, with an optional `system`."""
    turns = [
        {"role": turn.get("from") or turn.get("role"), "content": turn.get("value", turn.get("content"))}
        for turn in map(_dict, _list(entry.get("conversations") or entry.get("items")))
    ]
    return _openai({**entry, "messages": turns}, {}, left_out)


def _openai(entry: dict[str, Any], _: dict[str, Any], left_out: Counter[str]) -> PortableChat:
    """`messages` of {"role", "content"} as the OpenAI API takes them; leading system messages are the chat's system prompt."""
    messages = [_dict(raw) for raw in _list(entry.get("messages"))]
    first = next((i for i, raw in enumerate(messages) if _ROLES.get(str(raw.get("role"))) != "system"), None)
    system = [_text(raw.get("content"), left_out) for raw in messages[:first]]
    return _chat(
        grow(_chain(messages[first:] if first is not None else [], _openai_node, left_out), ""),
        title=entry.get("title"),
        created_at=entry.get("created_at") or entry.get("create_time") or entry.get("timestamp"),
        updated_at=entry.get("updated_at"),
        system_prompt="\n\n".join(system) or _str(entry.get("system")),
    )


def _openai_node(raw: dict[str, Any], parent: str, left_out: Counter[str]) -> Node:
    text = _text(raw.get("content"), left_out)
    return _node(raw, parent, left_out, text, reasoning=clean(_str(raw.get("reasoning_content"))).strip())


def _node(
    raw: dict[str, Any],
    parent: str,
    left_out: Counter[str],
    text: str,
    *,
    reasoning: str = "",
    rating: int = 0,
) -> Node:
    role = _ROLES.get(str(raw.get("role")))
    if role == "assistant" and (thought := _THINK.match(text)):
        text, reasoning = text[thought.end() :], reasoning or thought[1].strip()
    text = text.strip()
    if role in ("user", "assistant"):
        if text:
            at = iso_time(raw.get("timestamp") or raw.get("created_at"))
            return Node(parent, Turn(role, text, at, reasoning, rating))
        if raw.get("tool_calls"):
            left_out[TOOLS] += 1
        return Node(parent, reasoning=reasoning)
    if text:
        left_out[HIDDEN if role == "system" else TOOLS] += 1
    return Node(parent)


def _chain(
    messages: Iterable[object],
    node: Callable[[dict[str, Any], str, Counter[str]], Node],
    left_out: Counter[str],
) -> dict[str, Node]:
    """A list of messages as a tree without branches."""
    return {
        str(n): node(_dict(raw), str(n - 1) if n > 1 else "", left_out) for n, raw in enumerate(messages, 1)
    }


# --- values that may be anything ------------------------------------------------------------------------


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""


def _text(content: object, left_out: Counter[str]) -> str:
    """The text of a message: a string, or a list of parts, of which those that are no text are counted."""
    if isinstance(content, str):
        return clean(content)
    if isinstance(content, list):
        return "\n".join(text for part in content if (text := _text(part, left_out)))
    if isinstance(content, dict):
        if isinstance(content.get("text"), str):
            return clean(content["text"])
        left_out[FILES] += 1
    return ""


def iso_time(value: object) -> str:
    """Seconds (or milli-, micro-, nanoseconds) since 1970, or an ISO time, as ISO-8601 in UTC; empty for anything else."""
    try:
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
            unit = next((unit for unit in (1, 1e3, 1e6, 1e9) if value < unit * _LATEST), math.nan)
            at = datetime.fromtimestamp(value / unit, UTC)
        else:
            return ""
    except (ValueError, OverflowError, OSError):
        return ""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _chat(
    tree: tuple[tuple[PortableMessage, ...], int],
    *,
    title: object,
    created_at: object,
    updated_at: object,
    pinned: bool = False,
    tags: Iterable[str] = (),
    system_prompt: str = "",
) -> PortableChat:
    """Raises NoChatError when no message came in."""
    messages, leaf_id = tree
    if not messages:
        raise NoChatError("it contains no text from a user or a model")
    asked = next((message.content for message in messages if message.role == "user"), messages[0].content)
    times = sorted(message.created_at for message in messages if message.created_at)
    created = iso_time(created_at) or (times[0] if times else "")
    return PortableChat(
        title=clean_line(_str(title), limit=_LONGEST_TITLE) or clean_line(asked, limit=_TITLE_OF_QUESTION),
        created_at=created,
        updated_at=iso_time(updated_at) or (times[-1] if times else created),
        messages=messages,
        leaf_id=leaf_id,
        pinned=pinned,
        tags=tuple(dict.fromkeys(name for tag in tags if (name := clean_line(tag)))),
        options=ChatOptions(system_prompt=clean(system_prompt).strip() or None),
    )
