"""What one question is answered from: hits of a search, text that was piped in, files, passages that were pinned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, Hit
from ragchat.types.answers import Quote


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that was read. `path` is real and absolute, `content_hash` the SHA-256 of the file."""

    path: str
    content_hash: str
    content: ExtractedText

    @property
    def name(self) -> str:
        """The name of the file, fit for a line."""
        return clean_line(PurePath(self.path).name) or "(no name)"


@dataclass(frozen=True, slots=True)
class Sources:
    """All of it as one value. `hits` are those that go into the prompt, best first; with `pinned` passages there are none.

    `text` is what was piped in; it has no name. `files` are cited by theirs. `quotes` are what the hits say by themselves; None:
    that was not looked for.
    """

    hits: tuple[Hit, ...] = ()
    text: str = ""
    files: tuple[Attachment, ...] = ()
    pinned: tuple[Hit, ...] = ()
    quotes: tuple[Quote, ...] | None = None

    @classmethod
    def attached(
        cls, text: str = "", files: Sequence[Attachment] = (), pinned: Sequence[Hit] = ()
    ) -> Sources:
        """What a question brings with it."""
        return cls((), clean(text), tuple(files), tuple(pinned))

    @property
    def brings_text(self) -> bool:
        """Whether anything is attached."""
        return bool(self.text or self.files or self.pinned)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is attached, each on one line: pinned passages by their file and place, then files."""
        return (*map(pinned_name, self.pinned), *(file.name for file in self.files))

    def found(self, hits: Sequence[Hit], quotes: tuple[Quote, ...] | None = None) -> Sources:
        """With these hits of a search, and quotes of them."""
        return self if self.pinned else replace(self, hits=tuple(hits), quotes=quotes)

    def first_attached(self, passages: int) -> int:
        """The number of the first attached passage, where at most `passages` hits are packed and come before it."""
        return min(len(self.hits), passages) + 1


def pinned_name(hit: Hit) -> str:
    """A pinned passage by its file and place."""
    return f"{clean_line(PurePath(hit.path).name)}, {hit.place}"
