"""Characters of the fonts of signs (Symbol, Wingdings) as what they show."""

from __future__ import annotations

import re


def _font(*runs: str) -> dict[int, str]:
    """Characters of a symbol font: each run is the code of the first in hexadecimal, a blank, and characters in a row."""
    return {
        int(run[:2], 16) + number: character
        for run in runs
        for number, character in enumerate(run[3:])
        if character != " "
    }


_FONTS = {
    "symbol": _font(
        *("22 ∀", "24 ∃", "27 ∋", "2A ∗", "2D −", "40 ≅", "5C ∴", "5E ⊥"),
        *(
            "41 ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ",
            "61 αβχδεφγηιϕκλμνοπθρστυϖωξψζ",
            "A0 €ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵",
        ),
        *("C0 ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪", "F1 ⟩∫"),
    ),
    "wingdings": _font(
        *("21 ✏", "28 ☎✆✉", "36 ⌛", "3C 💾", "3F ✍", "41 ✌", "43 👍👎☜☞☝☟", "4A ☺ ☹ ☠", "52 ☼", "58 ✠✡"),
        *("6C ●❍■□□❑❒⬧⧫◆❖⬥☒", "80 ⓪①②③④⑤⑥⑦⑧⑨⑩⓿❶❷❸❹❺❻❼❽❾❿", "9E ·•▪○", "A7 ▪☐", "AB ★", "D8 ➢", "DC ➲"),
        *("DF ←→↑↓", "E7 ←→↑↓", "EF ⇦⇨⇧⇩⬄", "FB ✗✓☒☑"),
    ),
    "wingdings 2": _font("2A ☐", "4F ✗✓☒☑☒☒", "97 ●", "A3 ☐"),
    "webdings": _font("61 ✓", "63 ☐", "67 ■", "6E ●", "72 ✗"),
}
_SYMBOL = _FONTS["symbol"]
PRIVATE = re.compile("[\uf020-\uf0ff]")


def symbol(code: int, font: str) -> str:
    """The character that a symbol font shows at this place; bullets and arrows of an unknown font are taken for Symbol's."""
    table = _FONTS.get(font.lower())
    if 0xF020 <= code <= 0xF0FF:
        code -= 0xF000
        return (table if table is not None else _SYMBOL).get(code) or (
            chr(code) if code < 0x7F else chr(code + 0xF000)
        )
    if table is not None and code < 0x100:
        return table.get(code, chr(code))
    return chr(code) if 0 < code < 0x110000 else ""


def plain_text(text: str, font: str) -> str:
    """Text of a run as it is shown: symbols as such, hyphens that the search can read, line ends of the XML as blanks."""
    if "\n" in text or "\r" in text:
        text = text.replace("\n", " ").replace("\r", " ")
    if text.isascii():
        return text.translate(_FONTS[font]) if font in ("symbol", "wingdings") else text
    text = text.replace("\u2011", "-").replace("\u00ad", "")
    return PRIVATE.sub(lambda match: symbol(ord(match[0]), font), text)
