"""How hits become the passages of a prompt, within a budget of tokens, and which way of packing a model is given.

Four forms: whole passages; the quotes that are shown above an answer, alone (`retrieval.quoting`); evidence: the pieces of more
hits that are likeliest to hold the answer, in the order of the document, with "…" where something between them was left out; or
by confidence: a first passage that is clearly ahead alone, else what was found of it and evidence of the next. Chunks that are
beside each other in a document are joined, and what is in several of them is packed once. Which way serves a model is measured
(`ragchat eval packing`) and kept in a file; where no one measured, its size decides. It writes no prompt: that is
`session.prompt`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from ragchat.paths import write_atomically
from ragchat.retrieval import evidence
from ragchat.retrieval.passages import join
from ragchat.retrieval.quoting import quote
from ragchat.text import clean_line
from ragchat.types import Hit, ModelInfo
from ragchat.types.answers import Quote
from ragchat.types.defaults import HITS

Form = Literal["chunks", "quotes", "evidence", "by_confidence"]
Order = Literal["best_first", "best_last"]
Answer = Literal["free", "few", "cited", "copied", "words"]
"""What an answer may be: anything; two sentences; two with a marker each; a sentence of a passage, or words of one in a row."""
CountTokens = Callable[[Sequence[str]], list[int]]

EVIDENCE_HITS = 16
"""Hits that evidence is taken from: more than are packed, since each gives only a piece or two."""
_LOOKED_AT: Mapping[Form, int] = {
    "chunks": 0,
    "quotes": HITS,
    "evidence": EVIDENCE_HITS,
    "by_confidence": HITS,
}
"""Hits that a form looks at, however few it packs."""
CLEAR = 0.9
"""Share of the first score up to which the second one leaves the first passage clearly ahead (decision 7)."""
_LEAST_EVIDENCE = 60
"""Tokens that a piece of another passage needs to say anything."""
_HEADING_MARK = re.compile(r"^#{1,6}[ \t]+", re.MULTILINE)
GAP = " … "
"""Between pieces of a passage that do not stand beside each other in the document."""
_ROUNDING = 1
"""Tokens that a piece may cost beyond its own count, since a tokeniser joins what stands together."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A way to pack. At most `passages` of them, within `budget` tokens (0: whatever the context leaves).

    A clear first passage by confidence has all the room: the budget is for several. `example`: a worked example is before the
    conversation. `wording` names instructions of `session.prompt`, `answer` the grammar that the model is held to
    (`session.answer_grammar`).
    """

    passages: int = 1
    form: Form = "chunks"
    order: Order = "best_first"
    budget: int = 0
    example: bool = False
    wording: str = "careful"
    answer: Answer = "free"

    def __post_init__(self) -> None:
        if self.passages < 1 or self.budget < 0:
            raise ValueError(f"a packing of {self.passages} passages in {self.budget} tokens")


_SMALL = 0.4e9
HELPED = Packing(1, "quotes", answer="copied")
"""For a small model: where it may only copy the best sentence it invents nothing, and of two it does not know which is better
(decision 29)."""


@dataclass(frozen=True, slots=True)
class Passage:
    """What is under one number. `hit` covers the joined chunks, `text` is what of it is packed, `quote` its best sentence."""

    hit: Hit
    text: str
    quote: str


# --- which packing ----------------------------------------------------------------------------------------


def for_size(n_params: int, *, alone: bool = False) -> Packing:
    """The packing for a model of this size that no one measured. 0.1 B is measured, the rest a judgement (decisions 7 and 29).

    `alone`: without adapters, which have learned to answer in their own way from whole passages.
    """
    if alone and n_params < _SMALL:
        return HELPED
    for limit, passages in ((_SMALL, 1), (1.2e9, 2), (3e9, 3)):
        if n_params < limit:
            return Packing(passages)
    return Packing(5)


def for_model(
    info: ModelInfo, choices: Mapping[str, Packing], *, passages: int = 0, alone: bool = False
) -> Packing:
    """The packing that was measured best for this model file, else the one for its size; `alone` as in `for_size`.

    Whoever wants a number of `passages` gets so many, whole ones where the other choice would be quotes.
    """
    chosen = choices.get(model_key(info)) or for_size(info.n_params, alone=alone)
    if not alone:
        chosen = replace(chosen, answer="free")
    if not passages:
        return chosen
    return replace(chosen, passages=passages, form="chunks" if chosen.form == "quotes" else chosen.form)


def model_key(info: ModelInfo) -> str:
    """The same for a copy of the file, another for another quantisation."""
    return f"{Path(info.path).name}:{info.size_bytes}"


def read_choices(path: Path) -> dict[str, Packing]:
    """What was measured best, by `model_key`; empty when there is no such file or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Packing])
    except (OSError, msgspec.DecodeError):
        return {}


def write_choice(path: Path, info: ModelInfo, chosen: Packing) -> None:
    """Keep the packing for a model. Raises OSError."""
    choices = {**read_choices(path), model_key(info): chosen}
    write_atomically(path, msgspec.json.format(msgspec.json.encode(choices), indent=1))


def hits_wanted(ways: Iterable[Packing], k: int) -> int:
    """How many hits to search for, at least `k`, so that each of these ways has what it is measured with."""
    return max([k, *(max(way.passages, _LOOKED_AT[way.form]) for way in ways)])


# --- packing ----------------------------------------------------------------------------------------------


def pack_hits(
    count: CountTokens,
    question: str,
    hits: Sequence[Hit],
    packing: Packing,
    *,
    room: int,
    quotes: Sequence[Quote] | None = None,
) -> tuple[list[Passage], list[int], int]:
    """Passages, best first, that fit into `room` tokens as `render` writes them; their sizes; how many more were wanted.

    `quotes` of the hits; None: those that the question alone finds.
    """
    budget = min(room, packing.budget or room)
    if packing.form == "evidence":
        passages = _evidence(count, question, hits, packing.passages, budget)
        return (
            passages,
            count([render(9, p) for p in passages]) if passages else [],
            int(bool(hits) and not passages),
        )
    if packing.form == "by_confidence":
        wanted = _by_confidence(count, question, hits, packing.passages, budget)
    elif packing.form == "quotes":
        found = quote(question, hits[:HITS]) if quotes is None else quotes
        wanted, room = _quoted(found[: packing.passages], hits), budget
    else:
        wanted, room = [_whole(hit) for hit in join(hits[: packing.passages])], budget
    sizes = count([render(n, passage) for n, passage in enumerate(wanted, 1)]) if wanted else []
    fitting = _fitting(sizes, room)
    return wanted[:fitting], sizes[:fitting], len(wanted) - fitting


def render(n: int, passage: Passage) -> str:
    """A passage under its number. Small models answer with what looks like a label, so there is only the heading, as a line."""
    text = _HEADING_MARK.sub("", passage.text.strip())
    heading = clean_line(passage.hit.heading, limit=160)
    below = heading.rpartition(" > ")[2] if heading else ""
    return f"[{n}] {text}" if not below or text.startswith(below) else f"[{n}] {heading}\n{text}"


def _whole(hit: Hit) -> Passage:
    return Passage(hit, hit.text, hit.evidence or hit.text)


def _as_found(hit: Hit) -> Passage:
    """A hit without what its passage grew by."""
    text = hit.found_text
    return Passage(hit, text, hit.evidence if hit.evidence and hit.evidence in text else text)


def _quoted(quotes: Sequence[Quote], hits: Sequence[Hit]) -> list[Passage]:
    """What the documents say by themselves, one passage for each hit that is quoted; the first hit where none is."""
    found: dict[tuple[str, int], list[Quote]] = {}
    for one in quotes:
        found.setdefault((one.hit.knowledge_base, one.hit.chunk_id), []).append(one)
    return [_joined(own) for own in found.values()] or [_whole(hit) for hit in hits[:1]]


def _joined(quotes: Sequence[Quote]) -> Passage:
    """Quotes of one passage in the order of its text."""
    texts = [one.text.strip() for one in sorted(quotes, key=lambda one: one.first)]
    return Passage(quotes[0].hit, GAP.join(texts), quotes[0].text)


def _is_clear(hits: Sequence[Hit]) -> bool:
    """Whether the first hit is clearly ahead of the second."""
    return len(hits) < 2 or hits[1].score <= CLEAR * hits[0].score


def _by_confidence(
    count: CountTokens, question: str, hits: Sequence[Hit], most: int, room: int
) -> list[Passage]:
    """The first passage, where it is clear; else what was found of it and the best pieces of others, within `room`."""
    if most > 1 and not _is_clear(hits):
        first = _as_found(hits[0])
        left = room - sum(count([render(9, first)])) - 2
        next_best = hits[1 : max(most, _LOOKED_AT["by_confidence"])]
        if left >= _LEAST_EVIDENCE and (others := _evidence(count, question, next_best, most - 1, left)):
            return [first, *others]
    return [_whole(hit) for hit in hits[:1]]


def _evidence(count: CountTokens, question: str, hits: Sequence[Hit], most: int, room: int) -> list[Passage]:
    """Pieces by weight for their price until `room` is full; at most `most` hits get a passage."""
    whole = join(hits)
    pieces = evidence.weigh(question, whole)
    if not pieces:
        return []
    texts = [whole[piece.hit].text[piece.first : piece.last] for piece in pieces]
    counts = count([*texts, *(render(9, Passage(hit, "", "")) + "\n\n" for hit in whole), GAP])
    cost = [size + _ROUNDING for size in counts[: len(pieces)]]
    opening, gap = counts[len(pieces) : -1], counts[-1]
    # Between weight alone (best whole sentences) and weight for its price (many short ones).
    order = sorted(range(len(pieces)), key=lambda i: (-pieces[i].weight / cost[i] ** 0.5, i))
    taken: set[int] = set()
    opened: set[int] = set()
    said: set[str] = set()
    used = 0
    for i in order:
        hit, plain = pieces[i].hit, " ".join(texts[i].split()).casefold()
        if plain in said or (hit not in opened and len(opened) >= most):
            continue
        price = cost[i] + (gap if hit in opened and not {i - 1, i + 1} & taken else 0)
        price += opening[hit] if hit not in opened else 0
        if used + price <= room:
            used += price
            taken.add(i)
            opened.add(hit)
            said.add(plain)
    while taken:
        passages = list(_passages(whole, pieces, taken))
        if sum(size + 2 for size in count([render(9, passage) for passage in passages])) <= room:
            return passages
        taken.remove(next(i for i in reversed(order) if i in taken))
    return []


def _passages(hits: Sequence[Hit], pieces: Sequence[evidence.Piece], taken: set[int]) -> Iterator[Passage]:
    """The taken pieces of each hit in the order of the text; those that stand side by side as the text has them."""
    for number, hit in enumerate(hits):
        own = [i for i in sorted(taken) if pieces[i].hit == number]
        if not own:
            continue
        runs: list[tuple[int, int]] = []
        for i in own:
            beside = bool(runs) and i - 1 in taken
            runs[-1:] = (
                [(runs[-1][0], pieces[i].last)] if beside else [*runs[-1:], (pieces[i].first, pieces[i].last)]
            )
        best = pieces[max(own, key=lambda i: (pieces[i].weight, -i))]
        yield Passage(
            hit,
            GAP.join(hit.text[first:last].strip() for first, last in runs),
            hit.text[best.first : best.last],
        )


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first `sizes` fit into `room`."""
    total = 0
    for number, size in enumerate(sizes):
        total += size + 2
        if total > room:
            return number
    return len(sizes)
