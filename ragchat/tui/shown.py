"""What workers read and the screen shows: small frozen values that both know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ragchat.types import Hit

if TYPE_CHECKING:
    from ragchat.retrieval.explanation import Explanation
    from ragchat.retrieval.spelling import Correction
    from ragchat.types import Citation, Conversation, Document, Omission, StoredMessage

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """A stored message with what is shown beside it. `asked_documents`: a knowledge base was asked. `compacted`: up to here a
    summary represents the chat in the prompts that follow. `searched_also` is what the model wrote to search for.
    """

    stored: StoredMessage
    citations: tuple[Citation, ...] = ()
    asked_documents: bool = False
    left_out: tuple[Omission, ...] = ()
    model: str = ""
    compacted: bool = False
    searched_also: str = ""


@dataclass(frozen=True, slots=True)
class ChatPage:
    """A stretch of a chat. `conversation` None: a new chat. `earlier` messages lie before it, `later` ones after."""

    conversation: Conversation | None
    messages: tuple[ShownMessage, ...]
    earlier: int
    later: int
    draft: str


@dataclass(frozen=True, slots=True)
class Where:
    """Which stretch of a chat: its end, its beginning, or what is before, after or around the message of this number."""

    before: int = 0
    after: int = 0
    around: int = 0
    first: bool = False


END, FIRST = Where(), Where(first=True)


@dataclass(frozen=True, slots=True)
class OpenedDocument:
    """A document's text and where the passage and its evidence are in it; `notes` are sentences for the user.

    `document` None: it is no longer in the index, and the text is the passage itself. `quote` is what the citation stood on,
    when it is not in the text any more. `changed`: the document or its file has changed since.
    """

    citation: Citation
    document: Document | None
    text: str
    passage: tuple[int, int] | None
    evidence: tuple[int, int] | None
    notes: tuple[str, ...]
    quote: str = ""
    changed: bool = False


@dataclass(frozen=True, slots=True)
class ShownHit:
    """A hit with its evidence cleaned; `matches` are the words of the query in it."""

    hit: Hit
    evidence: str
    matches: Spans


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found. `unknown` are the words of it that are in no document; `marked` is what to mark in a text.

    `corrections` are those of the unknown words for which others were searched. `scope` says what the query demands, `unheld`
    are phrases of it that no passage holds, `says_nothing` that it asks for no words beside. `explanations` tell for the
    knowledge base and the chunk of a hit why it is where it is.
    """

    query: str
    hits: tuple[ShownHit, ...]
    unknown: tuple[str, ...]
    took_s: float
    marked: str
    corrections: tuple[Correction, ...] = ()
    scope: tuple[str, ...] = ()
    unheld: tuple[str, ...] = ()
    says_nothing: bool = False
    explanations: Mapping[tuple[str, int], Explanation] = field(default_factory=dict)

    def explanation(self, hit: Hit) -> Explanation | None:
        """Why a hit is where it is."""
        return self.explanations.get((hit.knowledge_base, hit.chunk_id))


@dataclass(frozen=True, slots=True)
class Preview:
    """A hit in the text around it. Spans count in `text`."""

    hit: Hit
    text: str
    passage: tuple[int, int] | None
    evidence: tuple[int, int] | None
    matches: Spans


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """Show this hit, and in it the words of `marked`."""

    hit: Hit
    marked: str


@dataclass(frozen=True, slots=True)
class AsTyped:
    """Search for this query without correcting its spelling."""

    query: str


@dataclass(frozen=True, slots=True)
class NamesRequest:
    """Say what may stand behind `in:`, `file:` and `kb:`."""


@dataclass(frozen=True, slots=True)
class ScopeNames:
    """What may stand behind an operator, the likeliest first."""

    folders: Sequence[str] = ()
    files: Sequence[str] = ()
    knowledge_bases: Sequence[str] = ()


SearchRequest = str | AsTyped | PreviewRequest | NamesRequest
