"""What can be set for one chat: names, meanings and limits of the sampling are those of the settings, read from there."""

from __future__ import annotations

import math
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from ragchat.config import SamplingSettings

SAMPLING = ("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "seed", "max_tokens")


def meaning(name: str) -> str:
    """What a setting of the sampling does."""
    return _meta(name).description or ""


def limits(name: str) -> str:
    """What it may be, as a sentence: "A number from 0 to 5."."""
    kind, meta = _kind(name), _meta(name)
    said = "A whole number" if kind is int else "A number"
    bounds = []
    if meta.ge is not None:
        bounds.append(f"from {_plain(meta.ge)}")
    elif meta.gt is not None:
        bounds.append(f"above {_plain(meta.gt)}")
    if meta.le is not None:
        bounds.append(f"{'to' if meta.ge is not None else 'up to'} {_plain(meta.le)}")
    elif meta.ge is not None:
        bounds.append("on")
    return " ".join([said, *bounds]) + "."


def parse(name: str, text: str) -> int | float:
    """The value that was typed. Raises ValueError with a sentence for the user."""
    typed = text.strip().replace(",", ".")
    try:
        value: int | float = msgspec.convert(typed, _hints()[name], strict=False)
    except msgspec.ValidationError as error:
        raise ValueError(f"“{text.strip()}” is not valid. {limits(name)}") from error
    if not math.isfinite(value):
        raise ValueError(f"“{text.strip()}” is not valid. {limits(name)}")
    return value


def _hints() -> dict[str, Any]:
    return get_type_hints(SamplingSettings, include_extras=True)


def _kind(name: str) -> type:
    kind: type = get_args(_hints()[name])[0]
    return kind


def _meta(name: str) -> Meta:
    return next(part for part in get_args(_hints()[name])[1:] if isinstance(part, Meta))


def _plain(number: float) -> str:
    return f"{number:g}" if abs(number) < 1e6 else f"{number:,.0f}"
