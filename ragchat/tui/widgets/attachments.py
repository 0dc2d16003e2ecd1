"""What goes with the next question: files and passages, as chips in a line above the prompt, until it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui.safe_content import file_name

if TYPE_CHECKING:
    from ragchat.session.sources import Attachment
    from ragchat.types import Hit


@dataclass(frozen=True, slots=True)
class Chip:
    """A file that is attached (`attachment` None: it is still being read), or a passage that is pinned."""

    path: Path
    attachment: Attachment | None = None
    hit: Hit | None = None

    @property
    def ready(self) -> bool:
        return self.attachment is not None or self.hit is not None

    @property
    def label(self) -> str:
        name = file_name(str(self.path))
        return f"{name}, {clean_line(self.hit.place)}" if self.hit else name


def settled(chips: tuple[Chip, ...], path: Path, attachment: Attachment | None) -> tuple[Chip, ...]:
    """The chips after a file was read, or (None) could not be: then its chip is gone."""
    return tuple(
        replace(chip, attachment=attachment) if chip.path == path and chip.hit is None else chip
        for chip in chips
        if chip.path != path or chip.hit is not None or attachment is not None
    )


def brought_again(names: Sequence[str], hits: Sequence[Hit]) -> tuple[tuple[Chip, ...], tuple[str, ...]]:
    """What was attached to an earlier question, and the names of what cannot be found again.

    `names` are those that are stored with the question, `hits` the passages of its answer: a pinned passage is one of them,
    and those of an attached file say where the file lies.
    """
    from ragchat.session.sources import pinned_name

    pinned = {pinned_name(hit): Chip(Path(hit.path), hit=hit) for hit in hits if hit.knowledge_base}
    files = {file_name(hit.path): Chip(Path(hit.path)) for hit in hits if not hit.knowledge_base}
    known = files | pinned
    return (
        tuple(known[name] for name in names if name in known),
        tuple(name for name in names if name not in known),
    )


class AttachmentBar(Widget):
    """Takes no room while nothing is attached."""

    chips: reactive[tuple[Chip, ...]] = reactive((), layout=True)

    def __init__(self) -> None:
        super().__init__()
        self.display = False

    @property
    def ready(self) -> bool:
        return all(chip.ready for chip in self.chips)

    def add(self, chip: Chip) -> None:
        """Attach it, unless it is attached already."""
        if all((old.path, old.hit) != (chip.path, chip.hit) for old in self.chips):
            self.chips = (*self.chips, chip)

    def settle(self, path: Path, attachment: Attachment | None) -> None:
        """A file was read, or could not be: then its chip goes."""
        self.chips = settled(self.chips, path, attachment)

    def put(self, chips: tuple[Chip, ...]) -> None:
        """Attach these in place of what is attached."""
        self.chips = chips

    def remove_last(self) -> None:
        self.chips = self.chips[:-1]

    def take(self) -> tuple[Chip, ...]:
        """All of them; they go with the question that is sent now."""
        taken, self.chips = self.chips, ()
        return taken

    def watch_chips(self, chips: tuple[Chip, ...]) -> None:
        self.display = bool(chips)

    def render(self) -> RenderResult:
        shown = [
            Content.assemble(
                Content.styled("§ " if chip.hit else "+ ", "$text-accent bold"),
                Content(clean_line(chip.label, limit=36)),
                Content.styled("" if chip.ready else " reading…", "$foreground 62%"),
            )
            for chip in self.chips
        ]
        line = Content.styled("   ", "").join(shown)
        hint = Content.styled("   ⌫ removes it", "$foreground 62%")
        if line.cell_length + hint.cell_length <= self.content_size.width:
            line = Content.assemble(line, hint)
        return line.truncate(max(1, self.content_size.width), ellipsis=True)
