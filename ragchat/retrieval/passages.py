"""Small to big: a chunk is found by its words, and the section around it is what you read.

Chunks that follow each other in a document become one passage. A passage is always a stretch of its document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from ragchat.types import Hit
from ragchat.types.defaults import LONGEST_PASSAGE

LONGEST = LONGEST_PASSAGE
"""Characters of a passage that grew. A chunk has about 900; longer passages push the next ones too far down."""
REACH = 4
"""Chunks before and after one that it may grow by."""
_WIDEST_SEAM = 8
"""Characters of white space between two chunks that are still joined."""

Around = Mapping[tuple[str, str], Sequence[Hit]]
"""By knowledge base and path: chunks around those that were found, in the order of the text."""


def widen(hits: Sequence[Hit], around: Around, longest: int = LONGEST) -> list[Hit]:
    """The hits, each with what its section has beside it, up to `longest` characters; a hit that another one holds goes.

    The text behind a hit comes first, then that before it: an explanation follows its heading, its option, its term.
    """
    used: set[tuple[str, str, int]] = set()
    widened: list[Hit] = []
    for hit in hits:
        if _key(hit) in used:
            continue
        beside = around.get((hit.knowledge_base, hit.path), ())
        run = _grown(hit, beside, used, longest)
        used |= {_key(chunk) for chunk in run}
        widened.append(_one(hit, run))
    return widened


def _key(chunk: Hit) -> tuple[str, str, int]:
    return chunk.knowledge_base, chunk.path, chunk.chunk_id


def _grown(hit: Hit, beside: Sequence[Hit], used: set[tuple[str, str, int]], longest: int) -> Sequence[Hit]:
    """The chunks of the section around a hit, in the order of the text, that fit."""
    at = next((i for i, chunk in enumerate(beside) if chunk.chunk_id == hit.chunk_id), -1)
    if at < 0:
        return [hit]
    first = last = at
    size = len(hit.text)

    def fits(i: int) -> bool:
        return (
            0 <= i < len(beside)
            and beside[i].heading == hit.heading
            and _key(beside[i]) not in used
            and size + len(beside[i].text) <= longest
        )

    while True:
        before = first, last
        if fits(last + 1) and beside[last + 1].chunk_id == beside[last].chunk_id + 1:
            last += 1
            size += len(beside[last].text)
        if fits(first - 1) and beside[first - 1].chunk_id == beside[first].chunk_id - 1:
            first -= 1
            size += len(beside[first].text)
        if (first, last) == before:
            return beside[first : last + 1]


def _one(hit: Hit, run: Sequence[Hit]) -> Hit:
    """A hit with the text of a run of chunks that holds it; as it was where their texts do not join."""
    whole = run[0]
    for chunk in run[1:]:
        longer = _append(whole, chunk, follows=True)
        if longer is None:
            return hit
        whole = longer
    if len(run) == 1:
        return hit
    return replace(hit, span=whole.span, text=whole.text, found=hit.span)


def join(hits: Sequence[Hit]) -> list[Hit]:
    """Hits in their order, those that overlap or stand side by side in a document as one in the place of the best of them."""
    places = {(hit.knowledge_base, hit.chunk_id): number for number, hit in enumerate(hits)}

    def document(hit: Hit) -> tuple[str, int]:
        return hit.knowledge_base, hit.document_id

    def place(hit: Hit) -> int:
        return places[hit.knowledge_base, hit.chunk_id]

    joined: list[Hit] = []
    in_text = sorted(hits, key=lambda hit: (*document(hit), hit.span.char_first, hit.span.char_last))
    for _, own in groupby(in_text, key=document):
        run: list[Hit] = []
        last_chunk = 0
        for hit in own:
            whole = _append(run[-1], hit, follows=hit.chunk_id == last_chunk + 1) if run else None
            if whole:
                best = min(run.pop(), hit, key=place)
                run.append(replace(best, heading=whole.heading, span=whole.span, text=whole.text))
            else:
                run.append(hit)
            last_chunk = hit.chunk_id
        joined += run
    return sorted(joined, key=place)


def _append(before: Hit, hit: Hit, *, follows: bool) -> Hit | None:
    """`before` with what `hit` adds to it, or None when text is missing between them.

    `follows`: there is no chunk between them, so that only white space can be.
    """
    a, b = before.span, hit.span
    seam = b.char_first - a.char_last
    overlap = max(0, min(-seam, b.char_last - b.char_first))
    inside = b.char_first - a.char_first
    if (seam > 0 and not follows) or seam > _WIDEST_SEAM:
        return None
    if overlap and before.text[inside : inside + overlap] != hit.text[:overlap]:
        return None
    lines = max(0, min(seam, b.line_first - a.line_last))
    return replace(
        before,
        span=a.through(b),
        text=before.text + "\n" * lines + " " * (max(0, seam) - lines) + hit.text[overlap:],
    )
