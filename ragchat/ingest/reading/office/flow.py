"""What text documents of all kinds are made of while they are read: blocks with what follows them, and lines of pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.office.line import TextLine

DEEPEST = 80
"""Containers of blocks in each other; what stands deeper is reported as left out."""


@dataclass(slots=True)
class Block:
    """A block before it is written. `after` holds what its text refers to: notes, comments, boxes, pictures.

    `level` is that of a heading (0: the title of the document) or the depth of an item; `draw` writes a drawing.
    """

    kind: Literal["heading", "paragraph", "item", "table", "drawing"]
    text: str = ""
    level: int = 0
    mark: str = "-"
    rows: list[list[str]] = field(default_factory=list)
    after: list[Block] = field(default_factory=list)
    draw: Callable[[DocumentBuilder], None] | None = None
    is_code: bool = False


_CODE = frozenset(
    (
        "preformatted text",
        "preformatted",
        "html preformatted",
        "source code",
        "code",
        "code block",
        "macro text",
    )
)


_LONGEST_CODE = 20_000
"""Characters of code in one block; joining more line by line would take too long."""


def is_code_style(name: str) -> bool:
    """Whether paragraphs of this style are lines of source code."""
    return name.lower().replace("_20_", " ") in _CODE


def add_code(text: str, after: list[Block], found: list[Block]) -> None:
    """Add a line of source code, whose blanks stay, to the lines that are above it."""
    if found and found[-1].is_code and len(found[-1].text) < _LONGEST_CODE:
        found[-1].text += f"\n{text}"
        found[-1].after.extend(after)
    else:
        found.append(Block("paragraph", text, after=after, is_code=True))


def write_blocks(builder: DocumentBuilder, blocks: Iterable[Block]) -> None:
    """Write blocks, each with what belongs to it behind it."""
    for block in blocks:
        match block.kind:
            case "heading" if len(block.text) <= LONGEST_HEADING:
                builder.heading(block.level, block.text)
            case "item":
                builder.item(block.text, depth=block.level, mark=block.mark)
            case "table":
                builder.table(block.rows)
            case "drawing":
                if block.draw is not None:
                    block.draw(builder)
            case _:
                builder.paragraph(block.text)
        write_blocks(builder, block.after)


def flat_text(blocks: Iterable[Block]) -> str:
    """The text of blocks as that of one cell or note, a block a line. Not of what comes after them: see `all_after`."""
    lines = []
    for block in blocks:
        if block.kind == "table":
            lines.append("; ".join(", ".join(filter(None, row)) for row in block.rows))
        elif block.text:
            mark = block.mark if block.kind == "item" and block.mark != "-" else ""
            lines.append(f"{mark} {block.text}".strip())
    return "\n".join(lines)


def all_after(blocks: Iterable[Block]) -> list[Block]:
    """What comes after blocks that `flat_text` made into one; drawings among them as well."""
    found: list[Block] = []
    for block in blocks:
        if block.kind == "drawing":
            found.append(block)
        found.extend(block.after)
    return found


def mark_first(blocks: list[Block], lead: str) -> list[Block]:
    """Blocks as plain paragraphs, the first led by the mark of a note."""
    texts = [block if block.kind in ("table", "drawing") else _as_paragraph(block) for block in blocks]
    if texts and texts[0].kind == "paragraph":
        texts[0].text = f"{lead} {texts[0].text}"
    elif texts:
        texts.insert(0, Block("paragraph", lead))
    return texts


def _as_paragraph(block: Block) -> Block:
    mark = f"{block.mark} " if block.kind == "item" else ""
    return Block("paragraph", mark + block.text, after=block.after)


def numeral(number: int, style: str) -> str:
    """A number as lists and notes write it; `style` is a `w:numFmt` or the like, decimal where it is not known."""
    match style:
        case "lowerLetter" | "upperLetter" if number > 0:
            turns, letter = divmod(number - 1, 26)
            text = chr(97 + letter) * min(turns + 1, 8)
        case "lowerRoman" | "upperRoman" if 0 < number < 5000:
            text = _roman(number)
        case "decimalZero":
            return f"{number:02d}"
        case "none":
            return ""
        case _:
            return str(number)
    return text.upper() if style.startswith("upper") else text


_ROMAN = dict(m=1000, cm=900, d=500, cd=400, c=100, xc=90, l=50, xl=40, x=10, ix=9, v=5, iv=4, i=1)  # noqa: C408


def _roman(number: int) -> str:
    text = ""
    for sign, value in _ROMAN.items():
        count, number = divmod(number, value)
        text += sign * count
    return text


class Line(TextLine):
    """The text of a paragraph while it is gathered, and what its words refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.after: list[Block] = []
        self.is_hidden = False

    def add_note(self, label: str) -> None:
        """The mark of a note, apart from digits."""
        self.add(f" [{label}]" if self._tail[-1:].isdigit() else f"[{label}]")
