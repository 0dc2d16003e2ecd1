"""MathML on one line, as `ooxml.math_text` writes the formulas of Word: a/b, x^2, x_i, √(x), ∑_(i=1)^n."""

from __future__ import annotations

from collections.abc import Iterable

from ragchat.ingest.reading.office.ooxml import Element, grouped, limits, local

_DEEPEST = 60
_UNSEEN = frozenset(("annotation", "annotation-xml", "mphantom", "none", "mprescripts"))


def mathml_text(element: Element) -> str:
    """A formula; one that has no signs is what its author typed."""
    shown = " ".join(_math(element, _DEEPEST).split())
    if shown:
        return shown
    typed = next(iter(element.iter("{*}annotation")), None)
    return " ".join("".join(typed.itertext()).split()) if typed is not None else ""


def _math(element: Element, depth: int) -> str:
    if depth == 0:
        return "".join(element.itertext())
    name = local(element)
    if name in _UNSEEN:
        return ""
    if len(element) == 0:
        return " " if name == "mspace" else (element.text or "").strip()
    parts = [_math(child, depth - 1) for child in element]
    match name:
        case "mtable":
            return "; ".join(filter(None, parts))
        case "mtr" | "mlabeledtr":
            return ", ".join(parts)
        case "mfenced":
            return f"{element.get('open', '(')}{', '.join(parts)}{element.get('close', ')')}"
        case "msqrt":
            return f"√({_joined(parts)})"
    if len(parts) == _PARTS.get(name):
        return _structure(name, parts)
    return _joined(parts)


_PARTS = {
    "mfrac": 2,
    "mroot": 2,
    "msup": 2,
    "msub": 2,
    "mover": 2,
    "munder": 2,
    "msubsup": 3,
    "munderover": 3,
}
"""How many parts these elements have."""


def _structure(name: str, parts: list[str]) -> str:
    base, first, *rest = parts
    match name:
        case "mfrac":
            return f"{grouped(base)}/{grouped(first)}"
        case "mroot":
            return f"{first}√({base})"
        case "msup":
            return base + limits("", first)
        case "mover":
            return base + (first if len(first) == 1 and not first.isalnum() else limits("", first))
        case "msub" | "munder":
            return base + limits(first, "")
    return base + limits(first, rest[0])


def _joined(parts: Iterable[str]) -> str:
    """Parts side by side; words stay apart from each other and from numbers."""
    text = before = ""
    for part in parts:
        meets = before[-1:].isalnum() and part[:1].isalnum()
        if meets and any(len(one) > 1 and one.isalpha() for one in (before[-2:], part[:2])):
            text += " "
        text += part
        before = part or before
    return text
