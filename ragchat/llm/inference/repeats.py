"""Notices that a model repeats itself without end: the same words for the third time and on, perhaps with other numbers, or one
sentence many times in a row.

It works on text and knows no tokens. Refrains, code that is shown twice, tables and counting pass; each unit costs a dictionary
look-up.
"""

from __future__ import annotations

import re
from collections import deque

_UNIT = re.compile(
    r"[぀-ヿ㐀-鿿가-힯]"  # scripts that write without spaces: one character
    r"|[^\W\d_]{1,24}"  # a word; a longer one in stretches, so that "hahaha…" repeats, too
    r"|\d+|\n|[ \t]{16}|[^\w\s]|_"
)
_GRAM = 8
"""Units that must be the same for a place to count as seen before."""
_BEFORE = 2
"""So often seen before: what is written the second time is a quotation, a corrected listing, a refrain."""
_WORDS, _WORDS_IN_CODE = 80, 240
"""Words in a row that were all seen before. Code repeats itself by its nature: empty tables, cases, boilerplate."""
_WORDS_BUT_NUMBERS = 160
"""Words in a row that were all seen before when every number counts as the same; only words outside code and tables count."""
_SIGN = 0.25
"""What a number or a sign counts beside a word: rows of zeros and rulers are no speech."""
_IN_A_ROW, _SHORTEST = 8, 4
"""A sentence of at least so many words, so many times in a row. In a row of a table numbers are words."""
_ENDS = frozenset(".!?。！？\n")


class _Run:
    """How long the units up to now were all seen before, each with those in front of it."""

    def __init__(self) -> None:
        self.units: list[str] = []
        self.length = 0.0
        self._last: deque[str] = deque(maxlen=_GRAM)
        self._seen: dict[tuple[str, ...], int] = {}

    def take(self, unit: str, weight: float) -> float:
        """The length of the run with this unit in it."""
        self.units.append(unit)
        self._last.append(unit)
        gram = tuple(self._last)
        before = self._seen.get(gram, 0)
        seen = len(gram) == _GRAM and before >= _BEFORE
        self.length = self.length + weight if seen else 0.0
        self._seen[gram] = before + 1
        return self.length

    def period(self) -> int:
        """Units from one time to the next, counted back from the end."""
        units = self.units
        end = units[-_GRAM:]
        for period in range(1, len(units) - _GRAM + 1):
            if units[-_GRAM - period : len(units) - period] == end:
                return period
        return len(units)


class Repeats:
    """Feed it what is written; `found` tells from when on it repeats."""

    def __init__(self) -> None:
        self.found = False
        self._parts: list[str] = []
        self._rest, self._rest_at = "", 0  # what is no whole unit yet, and where it begins
        self._starts: list[int] = []
        self._same, self._same_but_numbers = _Run(), _Run()
        self._judged_by = self._same
        self._in_code = self._in_table = False
        self._ticks = 0
        self._sentence: list[str] = []
        self._sentence_before: list[str] = []
        self._in_a_row, self._row_begins = 0, 0

    def feed(self, text: str) -> bool:
        """Whether it repeats; once it does, further text changes nothing."""
        self._parts.append(text)
        pending, at = self._rest + text, self._rest_at
        done = 0
        for match in _UNIT.finditer(pending):
            if match.end() == len(pending) and match.group() not in _ENDS:
                break  # the next piece may go on with it
            done = match.end()
            if self.found or self._take(match.group(), at + match.start()):
                break
        self._rest, self._rest_at = pending[done:], at + done
        return self.found

    def tail(self) -> str:
        """What repeats what is before it: the end of the text, without the first time it was written."""
        if not self.found:
            return ""
        text, cut = "".join(self._parts), self._second_time()
        return text[len(text[: self._starts[min(cut, len(self._starts) - 1)]].rstrip()) :]

    def _second_time(self) -> int:
        """The unit at which what was written before begins again, where a sentence or a line ends if one does."""
        if self._in_a_row >= _IN_A_ROW:
            return self._row_begins
        units, period = self._judged_by.units, self._judged_by.period()
        first = len(units) - 1
        while first >= period and units[first] == units[first - period]:
            first -= 1
        first += 1
        whole = (n for n in range(first, min(first + period, len(units))) if self._ends_at(n))
        return next(whole, first)

    def _ends_at(self, number: int) -> bool:
        """Whether a sentence or a line ends in front of this unit; the number of an item is none."""
        units = self._same.units
        return number > 0 and units[number - 1] in _ENDS and not units[max(0, number - 2)].isdigit()

    def _take(self, unit: str, at: int) -> bool:
        opens_line = not self._starts or self._same.units[-1] == "\n"
        if opens_line:
            self._in_table = unit == "|"
        self._fence(unit)
        self._starts.append(at)
        number, word = unit.isdigit(), unit[0].isalpha()
        if self._takes_again("1" if number and opens_line else unit, word) or (
            self._takes_again_but_numbers("0" if number else unit, word)
        ):
            self.found = True
        return self.found

    def _takes_again(self, unit: str, word: bool) -> bool:
        """Whether too much is the same; the number of an item may grow while the item stays the same."""
        length = self._same.take(unit, 1.0 if word else _SIGN)
        return length >= (_WORDS_IN_CODE if self._in_code else _WORDS) or (
            not self._in_code and self._same_sentence(unit)
        )

    def _takes_again_but_numbers(self, unit: str, word: bool) -> bool:
        """Whether too much is the same but for its numbers."""
        counts = word and not self._in_code and not self._in_table
        if self._same_but_numbers.take(unit, float(counts)) < _WORDS_BUT_NUMBERS:
            return False
        self._judged_by = self._same_but_numbers
        return True

    def _fence(self, unit: str) -> None:
        self._ticks = self._ticks + 1 if unit == "`" else 0
        if self._ticks == 3:
            self._in_code = not self._in_code

    def _same_sentence(self, unit: str) -> bool:
        """Whether this unit ends a sentence that was written too often in a row."""
        if unit not in _ENDS:
            if unit[0].isalpha() or (self._in_table and unit.isdigit()):
                self._sentence.append(unit.casefold())
            return False
        sentence, self._sentence = self._sentence, []
        if not sentence:
            return False
        self._in_a_row += 1
        if sentence != self._sentence_before:
            self._in_a_row, self._row_begins = 1, len(self._starts)
        self._sentence_before = sentence
        return self._in_a_row >= _IN_A_ROW and len(sentence) >= _SHORTEST
