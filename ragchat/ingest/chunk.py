"""Cuts a document's text into chunks at its structure: headings, paragraphs, pages, functions, rows.

Three steps: a scanner for the structure (`ingest.blocks`) yields blocks, each with the headings above it; blocks that are too
large are cut into pieces (sentences, lines, words, characters, in this order); pieces are packed into chunks
near the target. It changes no text: a chunk is always a stretch of the document, and together they leave out
nothing but white space. No model is asked; tokens are estimated. Linear in the length of the text.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ragchat.ingest.blocks import Block, BlockKind, Path, lines_of, scan_blocks
from ragchat.ingest.formats import structure_of
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import ChunkDraft, ExtractedText, Recognised, Span
from ragchat.types.defaults import CHUNK_TOKENS, OVERLAP_TOKENS

_LIMIT = 1.25
"""Largest chunk as a multiple of the target."""
_TINY = 0.15
"""A chunk below this share of the target takes up the next section although that does not fit whole."""


class _Piece(NamedTuple):
    """What packing moves: a block or a part of one. `whole` is False when it was cut inside a sentence.

    `columns` are those of the table that it continues, '' when it says them itself. `recognised`: OCR read it.
    """

    first: int
    last: int
    tokens: float
    kind: BlockKind
    path: Path
    section: int
    whole: bool
    columns: str = ""
    part: int = 0
    apart: bool = False
    recognised: bool = False


def split(
    document: ExtractedText, *, chunk_tokens: int = CHUNK_TOKENS, overlap_tokens: int = OVERLAP_TOKENS
) -> list[ChunkDraft]:
    """The chunks of a document, in order; none when it holds nothing but white space.

    Sizes are in estimated tokens: chunks come near `chunk_tokens` and stay below 1.25 times it. A chunk that
    continues in the middle of a section begins with up to `overlap_tokens` of whole sentences from the end of
    the one before.
    """
    text = document.text
    target = max(8, chunk_tokens)
    is_prose = structure_of(document.media_type) not in ("python", "code", "rows", "lines", "pages")
    pieces = list(_cut(text, scan_blocks(document), target))
    if document.recognised:
        pieces = list(_with_recognised(text, pieces, document.recognised))
    pieces = _bound(text, pieces, target, is_prose=is_prose)
    spans = _pack(text, pieces, target, min(overlap_tokens, target // 4), document.media_type)
    return list(_drafts(document, spans))


def estimate_tokens(text: str) -> int:
    """About how many tokens a language model makes of `text`: a quarter of the ASCII characters, rounded up.

    Characters that UTF-8 writes in more bytes count for more, since tokenisers know fewer words of their
    scripts: 0.55 for two bytes (accents, Cyrillic, Arabic), 0.85 for three (Chinese, Hindi, Thai), 1.15 for
    four.
    """
    return math.ceil(_tokens(text))


def _tokens(text: str) -> float:
    if text.isascii():
        return len(text) / 4
    return len(text) / 4 + 0.3 * (len(text.encode("utf-8", "surrogatepass")) - len(text))


# --- step 2: pieces -------------------------------------------------------------------------------------


def _cut(text: str, blocks: Iterator[Block], target: int) -> Iterator[_Piece]:
    """Pieces of at most `target` tokens: blocks as they are if they fit, else cut as gently as possible."""
    for block in blocks:
        tokens = _tokens(text[block.first : block.last])
        if tokens <= target:
            yield _Piece(
                *(block.first, block.last, tokens, block.kind, block.path, block.section),
                *(True, "", block.part, block.apart),
            )
            continue
        for first, last, tokens, whole in _cut_block(text, block, target):
            columns = block.columns if first > block.first else ""
            yield _Piece(
                *(first, last, tokens, block.kind, block.path, block.section),
                *(whole, columns, block.part, block.apart),
            )


def _cut_block(text: str, block: Block, target: int) -> Iterator[tuple[int, int, float, bool]]:
    """(first, last, tokens, whether it is cut at a sentence or a line) of each piece of a block that is too large."""
    if block.rows:
        parts = _table_rows(text, block)
    else:
        parts = _sentences(text, block) if block.kind == "prose" else _rows(text, block.first, block.last)
    for first, last in parts:
        tokens = _tokens(text[first:last])
        if tokens <= target:
            yield first, last, tokens, True
            continue
        for line_first, line_last in _rows(text, first, last):
            for cut_first, cut_last, cut_tokens in _words(text, line_first, line_last, target):
                yield cut_first, cut_last, cut_tokens, False


def _with_recognised(text: str, pieces: list[_Piece], recognised: Sequence[Recognised]) -> Iterator[_Piece]:
    """Pieces that know whether OCR read them: they share no chunk with others, of which that would be said, too."""
    edges = sorted({edge for stretch in recognised for edge in (stretch.first, stretch.last)})
    firsts = [stretch.first for stretch in recognised]
    for piece in pieces:
        inside = edges[bisect_right(edges, piece.first) : bisect_left(edges, piece.last)]
        for first, last in pairwise((piece.first, *inside, piece.last)):
            part = text[first:last]
            if not part.strip():
                continue
            first += len(part) - len(part.lstrip())
            at = bisect_right(firsts, first) - 1
            yield piece._replace(
                first=first,
                last=first + len(part.strip()),
                tokens=_tokens(part.strip()),
                recognised=at >= 0 and first < recognised[at].last,
            )


def _bound(text: str, pieces: list[_Piece], target: int, *, is_prose: bool) -> list[_Piece]:
    """Pieces of which those that say nothing without the next are one with it, as long as both fit."""
    bound: list[_Piece] = []
    for piece in pieces:
        before = bound[-1] if bound else None
        if (
            before is not None
            and (before.section, before.recognised) == (piece.section, piece.recognised)
            and (_leads_to(text, before, piece) or (is_prose and _holds(text, before, piece)))
        ):
            tokens = _tokens(text[before.first : piece.last])
            if tokens <= target:
                kind: BlockKind = "prose" if before.kind == piece.kind == "prose" else "lines"
                bound[-1] = before._replace(last=piece.last, tokens=tokens, kind=kind)
                continue
        bound.append(piece)
    return bound


_STEP = re.compile(r"[ \t]*+(?:\(?\d{1,3}[.)]|[Ss]tep \d)[ \t]")
_QUESTION = re.compile(r"[ \t>]*+[*_]{0,3}(?:Q|Question|F|Frage)[ \t]?\d{0,3}[*_]{0,3}[.:)]", re.IGNORECASE)
_ANSWER = re.compile(r"[ \t>]*+[*_]{0,3}(?:A|Answer|Antwort|R)[ \t]?\d{0,3}[*_]{0,3}[.:)]", re.IGNORECASE)
_ALL_BOLD = re.compile(r"[ \t]*+(\*\*|__)(?! )[^*_\n]{2,150}(?<! )\1:?$")
_CODE = re.compile(r"[ \t]*+(?:`{3}|~{3})")
_BEGINS_STEP, _BEGINS_QUESTION = frozenset(" \t(0123456789Ss"), frozenset(" \t>*_QqFf")
_LEADS, _ASKS = frozenset(":："), frozenset("?？")
_MOST_OF_A_LEAD = 300
"""Characters of a paragraph that only leads to the next."""


def _leads_to(text: str, before: _Piece, piece: _Piece) -> bool:
    """Whether `before` belongs to `piece`: a sentence to its code, list or table, a question to its answer, step to step."""
    if before.kind != "prose" or piece.kind == "heading" or not before.whole:
        return False
    ending = text[max(before.first, before.last - 4) : before.last].rstrip("*_` ")[-1:]
    if ending in _LEADS or _CODE.match(text, piece.first):
        return (
            before.last - max(before.first, text.rfind("\n\n", before.first, before.last)) < _MOST_OF_A_LEAD
        )
    begins = text[before.first]
    is_bold = begins in "*_" and _ALL_BOLD.match(text[before.first : before.last][:170])
    if ending in _ASKS or is_bold:
        return before.last - before.first < _MOST_OF_A_LEAD
    if begins in _BEGINS_STEP and _STEP.match(text, before.first, before.last):
        return _STEP.match(text, piece.first, piece.last) is not None
    if begins in _BEGINS_QUESTION and _QUESTION.match(text, before.first, before.last):
        return _ANSWER.match(text, piece.first, piece.last) is not None
    return False


def _holds(text: str, before: _Piece, piece: _Piece) -> bool:
    """Whether `piece` stands indented below `before`, as in an item of a list or under a term."""
    if text[piece.first] not in " \t" and (not piece.first or text[piece.first - 1] == "\n"):
        return False
    if "heading" in (before.kind, piece.kind) or not before.whole or before.columns:
        return False
    return _margin(text, piece.first) > _margin(text, before.first) + 1


def _margin(text: str, first: int) -> int:
    """How far a line is indented of which the text from `first` on is a block."""
    begin = text.rfind("\n", max(0, first - 40), first) + 1
    line = text[begin : first + 40]
    return len(line) - len(line.lstrip(" \t")) if begin or first < 40 else 0


def _sentences(text: str, block: Block) -> Iterator[tuple[int, int]]:
    for first, last in sentence_spans(text[block.first : block.last]):
        yield block.first + first, block.first + last


def _table_rows(text: str, block: Block) -> Iterator[tuple[int, int]]:
    """The rows of a table of which one may take several lines; what is above the first goes with it."""
    bounds = [block.first, *(row for row in block.rows[1:] if block.first < row < block.last), block.last]
    for first, last in pairwise(bounds):
        if row := text[first:last].strip():
            begin = first + text[first:last].index(row[0])
            yield begin, begin + len(row)


def _rows(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The lines between two offsets, without white space at their ends."""
    for offset, line in lines_of(text[first:last]):
        if line.strip():
            yield first + offset, first + offset + len(line.rstrip())


def _words(text: str, first: int, last: int, target: int) -> Iterator[tuple[int, int, float]]:
    """Stretches of at most `target` tokens, cut at spaces, else behind punctuation, else anywhere."""
    while first < last:
        end = min(last, first + 4 * target)
        while (tokens := _tokens(text[first:end])) > target and end - first > 1:
            end = first + max(1, int((end - first) * min(0.95, target / tokens)))
        if end < last:
            end = _gentle_end(text, first, end)
        piece = text[first:end]
        stripped = piece.strip()
        if stripped:
            begin = first + len(piece) - len(piece.lstrip())
            yield begin, begin + len(stripped), _tokens(stripped)
        first = end


_SPACES = re.compile(r"\s")
_STOPS = re.compile(r"[,;:.!?)\]}>。、，；]")


def _gentle_end(text: str, first: int, end: int) -> int:
    """The last good place to cut in the second half of a stretch, or `end`."""
    half = first + (end - first) // 2
    if text[end].isspace():
        return end
    for pattern in (_SPACES, _STOPS):
        places = [match.end() for match in pattern.finditer(text, half, end)]
        if places:
            return places[-1]
    return end


# --- step 3: chunks -------------------------------------------------------------------------------------


class _Packed(NamedTuple):
    first: int
    last: int
    path: Path
    part: int


class _Open:
    """The chunk being filled. `own_first` is where it begins without what it repeats from the one before."""

    def __init__(self, piece: _Piece, first: int, tokens: float) -> None:
        self.first = first
        self.own_first = piece.first
        self.last = piece.last
        self.tokens = tokens
        self.path = piece.path
        self.columns = piece.columns
        self.part = piece.part
        self.apart = piece.apart
        self.recognised = piece.recognised
        self.only_headings = piece.kind == "heading"

    def add(self, piece: _Piece, tokens: float, *, leads: bool) -> None:
        """Take up a piece. `leads`: what is here already only leads up to it, so that its headings count."""
        if piece.path != self.path:
            is_below = piece.path[: len(self.path)] == self.path
            self.path = piece.path if leads and is_below else _common(self.path, piece.path)
        self.apart = piece.apart
        self.last = piece.last
        self.tokens += tokens
        self.only_headings = self.only_headings and piece.kind == "heading"

    def packed(self) -> _Packed:
        path = (*self.path, self.columns) if self.columns else self.path
        return _Packed(self.first, self.last, path, self.part)


def _pack(
    text: str, pieces: list[_Piece], target: int, overlap_tokens: int, media_type: str
) -> Iterator[_Packed]:
    """Join pieces into chunks near the target; small sections go with their sisters or their parent."""
    limit = _LIMIT * target
    is_code = structure_of(media_type) in ("python", "code")
    rest = _rest_of_section(pieces)
    chunk: _Open | None = None
    for index, piece in enumerate(pieces):
        if chunk is None:
            chunk = _Open(piece, piece.first, piece.tokens)
            continue
        tokens = piece.tokens + _tokens(text[chunk.last : piece.first])
        same_section = pieces[index - 1].section == piece.section
        if same_section:
            fits = chunk.tokens + tokens <= target or chunk.tokens + rest[index] <= limit
        else:
            fits = _joins(chunk, pieces, index, rest[index], target, is_code=is_code)
        small = chunk.only_headings or chunk.tokens < _TINY * target
        related = same_section or len(_common(chunk.path, piece.path)) >= len(chunk.path)
        may_join = (chunk.part, chunk.recognised) == (piece.part, piece.recognised) and (
            same_section or chunk.only_headings or not (chunk.apart or piece.apart)
        )
        if may_join and (fits or (small and related)) and chunk.tokens + tokens <= limit:
            chunk.add(piece, tokens, leads=chunk.only_headings or (is_code and small))
            continue
        yield chunk.packed()
        first = (
            _overlap(text, pieces, index, overlap_tokens, chunk.own_first) if same_section else piece.first
        )
        repeated = _tokens(text[first : piece.first])
        if repeated + piece.tokens > limit:
            first, repeated = piece.first, 0.0
        chunk = _Open(piece, first, repeated + piece.tokens)
    if chunk is not None:
        yield chunk.packed()


def _rest_of_section(pieces: list[_Piece]) -> list[float]:
    """For each piece: tokens from it to the end of its section."""
    rest = [0.0] * len(pieces)
    for index in range(len(pieces) - 1, -1, -1):
        piece = pieces[index]
        rest[index] = piece.tokens
        if index + 1 < len(pieces) and pieces[index + 1].section == piece.section:
            rest[index] += rest[index + 1] + (pieces[index + 1].first - piece.last) / 4
    return rest


def _joins(
    chunk: _Open, pieces: list[_Piece], index: int, section: float, target: int, *, is_code: bool
) -> bool:
    """Whether the section from `index` on goes whole into the chunk: it fits, and is a sister or a child."""
    piece = pieces[index]
    common = len(_common(chunk.path, piece.path))
    if common < max(len(chunk.path), len(piece.path)) - 1:
        return False
    following = pieces[index + 1] if index + 1 < len(pieces) else None
    opens_children = (
        piece.kind == "heading"
        and following is not None
        and following.section != piece.section
        and len(following.path) > len(piece.path)
    )
    if opens_children:
        return False  # a heading alone stays with what stands under it
    is_record = piece.kind != "heading"  # no written heading tells it from those before
    room = target if common or is_code or is_record else target / 2
    return chunk.tokens + section <= room


def _common(one: Path, other: Path) -> Path:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]


def _overlap(text: str, pieces: list[_Piece], index: int, most_tokens: int, earliest: int) -> int:
    """Where the chunk of `pieces[index]` begins when it repeats whole sentences of the one before."""
    first = pieces[index].first
    left = float(most_tokens)
    for piece in reversed(pieces[max(0, index - 20) : index]):
        if piece.kind != "prose" or not piece.whole or piece.section != pieces[index].section:
            break
        for start, _ in reversed(sentence_spans(text[piece.first : piece.last])):
            begin = piece.first + start
            left -= _tokens(text[begin:first])
            if left < 0 or begin <= earliest:
                return first
            first = begin
    return first


def _drafts(document: ExtractedText, spans: Iterable[_Packed]) -> Iterator[ChunkDraft]:
    text = document.text
    places = _Places(document)
    position, line = 0, 1
    for packed in spans:
        first, last = packed.first, packed.last
        line += text.count("\n", position, first)
        position = first
        span = places.span(packed, line, line + text.count("\n", first, last))
        yield ChunkDraft(text[first:last], " > ".join(packed.path), span)


class _Places:
    """Where in the file a stretch of its text stands."""

    def __init__(self, document: ExtractedText) -> None:
        self._document = document
        self._recognised = deque(document.recognised)

    def span(self, packed: _Packed, line_first: int, line_last: int) -> Span:
        """`line_first` and `line_last` are lines of the text."""
        document = self._document
        part = document.parts[packed.part - 1] if packed.part else None
        pages = part.page_starts if part else document.page_starts
        labels = part.page_labels if part else document.page_labels
        page = max(1, bisect_right(pages, packed.first)) if pages else None
        file_first, file_last = self._file_lines(line_first, line_last)
        return Span(
            char_first=packed.first,
            char_last=packed.last,
            line_first=line_first,
            line_last=line_last,
            page_first=page,
            page_last=max(1, bisect_right(pages, packed.last - 1)) if pages else None,
            file_line_first=file_first,
            file_line_last=file_last,
            page_label=labels[page - 1] if page and page <= len(labels) else "",
            part=part.name if part else "",
            confidence=self._confidence(packed.first, packed.last),
            page_breaks=tuple(
                (pages[number] - packed.first, labels[number] if number < len(labels) else "")
                for number in range(bisect_right(pages, packed.first), bisect_left(pages, packed.last))
            ),
        )

    def _file_lines(self, first: int, last: int) -> tuple[int | None, int | None]:
        """The lines of the file from the first to the last that is known between two lines of the text."""
        if self._document.source_lines:
            return first, last
        numbers = [number for number in self._document.file_lines[first - 1 : last] if number]
        return (min(numbers), max(numbers)) if numbers else (None, None)

    def _confidence(self, first: int, last: int) -> float | None:
        """The mean confidence of what OCR read between two characters, None where it read nothing."""
        while self._recognised and self._recognised[0].last <= first:
            self._recognised.popleft()
        weighed = characters = 0.0
        for stretch in self._recognised:
            if stretch.first >= last:
                break
            shared = min(last, stretch.last) - max(first, stretch.first)
            weighed += shared * stretch.confidence
            characters += shared
        return weighed / characters if characters else None
