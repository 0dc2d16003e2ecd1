"""Drafts the next tokens of an answer by looking them up in the prompt and in what is written, so that several are read at once.

A draft changes the pace of an answer, never its tokens: each is sampled from its own logits, and what differs is dropped.
"""

from __future__ import annotations

import itertools
import time
from array import array
from collections.abc import Mapping, Sequence

from ragchat.llm.inference.abort import LlamaError
from ragchat.llm.inference.context import Context

SIZES = (1, 2, 4, 8, 16)
"""Tokens in a batch whose cost is measured."""
_LONGEST, _SHORTEST = 5, 2
"""Tokens in a row that must be the same before a continuation is worth looking at; the longest match wins."""
_EXPECTED = {2: (1.0, 1.0), 3: (2.0, 1.0), 4: (4.0, 1.0), 5: (6.0, 1.0)}
"""(accepted, refused) that are assumed before anything is known, by the length of the match."""
_MEMORY = 0.9
"""What a draft counts beside the one after it: an answer that begins to copy is noticed soon, and one that ends to."""
_LEAST_GAIN = 1.1
"""A draft must promise so many times the pace: a guess that only breaks even makes the pace uneven."""
_DEAREST_PAIR = 1.25
"""Where a token alone comes out different from one in company, each is read in company. That costs more without a draft, and
is not done where it costs more than this.
"""
_DEEP = 512
"""Tokens in a context from which flash attention with several threads reads a token alone by another kernel."""
_ROUNDS = 4

Costs = Mapping[int, float]
"""What a batch of so many tokens costs beside one token alone. Only sizes whose results are the same to the last bit; 1 is
missing where a token alone comes out different.
"""


def batch_costs(context: Context, *, most_s: float = 0.8) -> dict[int, float]:
    """Measure the cost of a batch of each of `SIZES` against one token, and which of them give the same logits.

    Empty where nothing can be drafted: the model cannot go back, no two sizes agree, or it takes longer than `most_s` (what is
    measured by then decides). Behind what the context holds, since other kernels may be used deep in a context; it is forgotten.
    Raises LlamaError.
    """
    if not context.past:
        _must(context.decode([5 + i % 97 for i in range(64)]))
    held, tail = len(context.past), [7 + i % 89 for i in range(max(SIZES))]
    seconds: dict[int, list[float]] = {size: [] for size in SIZES}
    logits: dict[int, bytes] = {}
    if not context.can_go_back(held):
        return {}
    began = time.perf_counter()
    for number, size in itertools.product(range(_ROUNDS), SIZES):
        started = time.perf_counter()
        _must(context.decode_drafted(tail[:1], tail[1:size]))
        seconds[size].append(time.perf_counter() - started)
        context.drop(held)
        if number == 0:
            logits[size] = _same(context, tail, size)
        if number and time.perf_counter() - began > most_s:
            break
    context.forget()
    alone = min(seconds[1])
    costs = {size: max(1.0, min(took) / alone) for size, took in seconds.items()}
    if held < _DEEP:
        del logits[1]  # what agrees here may not agree deeper
    return {size: cost for size, cost in costs.items() if size in _agreeing(logits)}


def _same(context: Context, tail: Sequence[int], size: int) -> bytes:
    """The logits of the last of sixteen tokens that are read `size` at once: what the others left in the cache counts, too."""
    kept, wanted = len(context.past), tail
    for at in range(0, len(wanted), size):
        part = wanted[at : at + size]
        _must(context.decode_drafted(part[:1], part[1:]))
        row = context.row(len(part) - 1)
        context.accept(part[1:])
    found = row.tobytes()
    context.drop(kept)
    return found


def _agreeing(logits: Mapping[int, bytes]) -> list[int]:
    """The sizes that agree with a token alone, or else with a pair; none when it is only one."""
    for first in (1, 2):
        if first not in logits:
            continue
        found = [size for size in logits if size >= first and logits[size] == logits[first]]
        if len(found) > 1:
            return found
    return []


def _must(code: int) -> None:
    if code == 2:
        raise LlamaError("model", "cancelled")


def pays(costs: Costs) -> bool:
    """Whether drafts can help a model with such costs."""
    if not costs or max(costs) < 2:
        return False
    if 1 not in costs and costs[2] > _DEAREST_PAIR:
        return False
    return any(size / cost > 1.2 for size, cost in costs.items() if size > 1)


class Drafts:
    """What may come next in one answer."""

    def __init__(self, tokens: Sequence[int], costs: Costs, *, blind: bool = False) -> None:
        """`tokens`: the prompt. `blind`: draft nothing, but read as if (to compare)."""
        self._tokens = array("i", tokens)
        self._data = bytearray(self._tokens.tobytes())
        self._costs = costs if pays(costs) else {}
        self._blind = blind
        self._sizes = sorted(self._costs)
        self._seen = {length: list(counts) for length, counts in _EXPECTED.items()}
        self._match = 0
        self.drafted = 0
        self.accepted = 0

    @property
    def company(self) -> bool:
        """Whether no token may be read alone."""
        return bool(self._costs) and 1 not in self._costs

    def add(self, token: int) -> None:
        """This was written."""
        self._tokens.append(token)
        self._data += token.to_bytes(4, "little", signed=True)

    def draft(self, room: int) -> list[int]:
        """At most `room` tokens that may come next: as many as promise the best pace, none where none does."""
        if not self._costs:
            return []
        most = min(room, self._sizes[-1] - 1)
        found = [] if self._blind else self._look_up(most)
        size = self._best(len(found), self._chance()) if found else 0
        found = found[:size]
        if self.company and not found and room > 0:
            self._match = 0
            return [self._tokens[-1]]
        self.drafted += len(found)
        return found

    def judge(self, drafted: int, accepted: int) -> None:
        """So many tokens of a draft were what the model wrote."""
        if not self._match or not drafted:
            return
        self.accepted += accepted
        counts = self._seen[self._match]
        counts[0] = _MEMORY * counts[0] + accepted
        counts[1] = _MEMORY * counts[1] + (accepted < drafted)

    def _chance(self) -> float:
        """That the next token of a draft is accepted when those in front of it are."""
        yes, no = self._seen[self._match]
        return yes / (yes + no)

    def _look_up(self, most: int) -> list[int]:
        """What came after the last tokens when they were written before, the most recent time."""
        for length in range(min(_LONGEST, len(self._tokens) - 1), _SHORTEST - 1, -1):
            if (at := self._before(length)) >= 0:
                self._match = length
                return self._tokens[at : at + most].tolist()
        return []

    def _before(self, length: int) -> int:
        """Where it goes on after the last `length` tokens were there before; -1: they were not."""
        data, end = self._data, len(self._data) - 1
        wanted = bytes(data[-4 * length :])
        while (at := data.rfind(wanted, 0, end)) >= 0:
            if at % 4 == 0:
                return at // 4 + length
            end = at + 4 * length - 1
        return -1

    def _best(self, most: int, chance: float) -> int:
        """How many tokens to draft of `most`."""
        base = 1.0 if 1 in self._costs else self._costs[self._sizes[0]]
        best, pace = 0, _LEAST_GAIN / base
        for size in self._sizes:
            drafted = size - 1
            if not 0 < drafted <= most:
                continue
            tokens = sum(chance**n for n in range(size))
            if tokens / self._costs[size] > pace:
                best, pace = drafted, tokens / self._costs[size]
        return best


class Pace:
    """Reads what an answer goes on with, several tokens at once where a draft was right."""

    def __init__(self, context: Context, drafts: Drafts | None) -> None:
        self._context, self.drafts = context, drafts
        self._pending: list[int] = []
        self._size = 0
        self._row = -1

    @property
    def row(self) -> int:
        """Of the last batch, the token whose logits tell the next one; -1: the last."""
        return self._row

    def go(self, tokens: list[int]) -> bool:
        """Go on by `tokens`, at least one; False when it was aborted. Raises LlamaError."""
        context, drafts = self._context, self.drafts
        if drafts is None:
            return context.decode(tokens) != 2
        for token in tokens:
            drafts.add(token)
        if self._pending and tokens == self._pending[:1]:
            del self._pending[0]
            context.accept(tokens)
            self._row += 1
            return True
        self._end()
        self._pending = drafts.draft(context.room(len(tokens)))
        self._size, self._row = len(self._pending), len(tokens) - 1
        return context.decode_drafted(tokens, self._pending) != 2

    def end(self) -> None:
        """Drop what is left of a draft."""
        if self.drafts:
            self._end()

    def _end(self) -> None:
        if self.drafts and self._size:
            self.drafts.judge(self._size, self._size - len(self._pending))
        if self._pending:
            self._context.drop(len(self._context.past))
        self._pending, self._size, self._row = [], 0, -1
