"""Tables in texts: the names of their columns, and where their rows begin. It knows the marks of each notation, no documents.

Offsets count from the beginning of the text that is given, lines from 0. Linear in the length of the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from ragchat.text import clean_line


class Table(NamedTuple):
    """The names of the columns, none where they have none, and the offsets at which rows begin; () means each line is one."""

    names: list[str]
    rows: tuple[int, ...] = ()


Lines = Sequence[str]

TEXT_RULE = re.compile(r"[ \t]*+[+|]?[-=]{2,}+(?:[ \t]*[ \t+|][ \t]*[-=]{2,}+)+[+|]?[ \t]*$")
"""Parts the names of the columns from the rows in tables of plain text, reStructuredText and what psql prints."""
_GAPS = re.compile(r"[ \t]*\|[ \t]*|[ \t]{2,}|\t")
_FARTHEST = 400
"""Lines within which a table ends that may have blank lines in it."""


def offsets_of(lines: Lines) -> list[int]:
    """Where lines begin in the text that they make."""
    return [0, *accumulate(len(line) + 1 for line in lines)][: len(lines)]


# --- drawn with characters ------------------------------------------------------------------------------------


def drawn_table(lines: Lines) -> Table | None:
    """A table whose columns are separated by rules, such as grids, simple tables of reStructuredText and what psql prints."""
    rules = [number for number, line in enumerate(lines) if TEXT_RULE.match(line)]
    if len(lines) < 3 or not rules or rules[0] > 3:
        return None
    names = _names_between(lines, rules)
    if not any(names):
        return None
    offsets = offsets_of(lines)
    rule = lines[rules[0]].strip()
    if rule[0] in "+|" and len(rules) > 3:  # a grid with a rule below each row
        later = set(rules)
        starts = [rule + 1 for rule in rules if rule + 1 < len(lines) and rule + 1 not in later]
    elif " " in rule and "+" not in rule:
        margin = len(lines[rules[0]]) - len(lines[rules[0]].lstrip())
        starts = [number for number, line in enumerate(lines) if line[margin : margin + 1].strip()]
    else:
        return Table(names)
    return Table(names, tuple(offsets[start] for start in starts))


def _names_between(lines: Lines, rules: list[int]) -> list[str]:
    first, last = (0, rules[0]) if rules[0] else (1, rules[1] if len(rules) > 1 else 0)
    names: list[str] = []
    for line in lines[first : min(last, first + 12)]:
        for number, cell in enumerate(_GAPS.split(line.strip().strip("|").strip())):
            if number < len(names):
                names[number] = f"{names[number]} {cell}".strip()
            else:
                names.append(cell)
    return names


def spaced_table(lines: Lines) -> Table | None:
    """A table whose columns are parted by nothing but spaces; its first line names them when it has no figures and others do."""
    if len(lines) < 3 or not _is_spaced(lines[0]) or not _is_spaced(lines[1]):
        return None
    rows = [_cells(line.expandtabs()) for line in lines]
    usual, count = Counter(len(row) for row in rows).most_common(1)[0]
    if usual < 2 or count < 0.8 * len(rows) or len(rows[0]) != usual:
        return None
    starts = [at for at, _ in rows[0]]
    level = sum(len(row) == usual and _stands_below(row, rows[0]) for row in rows)
    if level < 0.8 * len(rows):
        return None
    offsets = offsets_of(lines)
    begins = tuple(
        offset for offset, row in zip(offsets, rows, strict=True) if row and abs(row[0][0] - starts[0]) < 2
    )
    has_names = not any(map(_has_figure, rows[0])) and 2 * sum(
        any(map(_has_figure, row)) for row in rows
    ) > len(rows)
    return Table([cell for _, cell in rows[0]] if has_names else [], begins)


def _is_spaced(line: str) -> bool:
    bare = line.strip()
    return "  " in bare or "\t" in bare


def _cells(line: str) -> list[tuple[int, str]]:
    return [(found.start(), found[0]) for found in re.finditer(r"\S+(?: \S+)*", line)]


def _has_figure(cell: tuple[int, str]) -> bool:
    return any(map(str.isdigit, cell[1]))


def _stands_below(row: list[tuple[int, str]], head: list[tuple[int, str]]) -> bool:
    """Whether each cell begins or ends where that of the first row does."""
    return all(
        abs(at - above) < 2 or abs(at + len(cell) - above - len(title)) < 2
        for (at, cell), (above, title) in zip(row, head, strict=True)
    )


def simple_table_end(lines: Lines, first: int) -> int:
    """The line behind a simple table of reStructuredText, which may have blank lines in it; 0 where none begins."""
    rule = lines[first].strip()
    if not re.fullmatch(r"=+(?: +=+)+", rule):
        return 0
    opens = next((n for n in range(first + 1, min(first + 6, len(lines))) if lines[n].strip() == rule), 0)
    if not opens:
        return 0
    last = min(first + _FARTHEST, len(lines))
    return next((n + 1 for n in range(opens + 1, last) if lines[n].strip() == rule), 0)


# --- AsciiDoc -------------------------------------------------------------------------------------------------

_ASCIIDOC_EDGE = re.compile(r"[|!,]={3,}[ \t]*$")
_ASCIIDOC_CELL = re.compile(r"(?:(?<=\s)|^)(?:\d*\.?\d*[+*])?[<^>.]{0,3}[adehlmsv]?\|(?!=)")
_COLS = re.compile(r"cols\s*=\s*\"?([^\"\]]*)")


def asciidoc_end(lines: Lines, first: int) -> int:
    """The line behind a table that begins at `first`; 0 where none does."""
    edge = lines[first].strip()
    if not _ASCIIDOC_EDGE.match(edge):
        return 0
    for number in range(first + 1, len(lines)):
        if lines[number].strip() == edge:
            return number + 1
    return 0


def asciidoc_table(lines: Lines, options: str) -> Table:
    """A table from its first edge to its last; `options` are in brackets above it."""
    if "csv" in options or lines[0].startswith(","):
        first = next((line for line in lines[1:-1] if line.strip()), "")
        return Table(csv_cells(first, _QUOTED))
    found = [list(_ASCIIDOC_CELL.finditer(line)) for line in lines]
    width = _asciidoc_width(options) or next((len(cells) for cells in found if cells), 1)
    offsets, rows, names, count = offsets_of(lines), [], [], 0
    for number, cells in enumerate(found):
        if cells and count % width == 0:
            rows.append(offsets[number])
        for here, cell in enumerate(cells):
            end = cells[here + 1].start() if here + 1 < len(cells) else len(lines[number])
            if count < width:
                names.append(lines[number][cell.end() : end].strip())
            count += 1
    apart = len(lines) > 2 and len(found[1]) == width and not lines[2].strip()
    return Table(names if apart or "header" in options else [], tuple(rows))


def _asciidoc_width(options: str) -> int:
    found = _COLS.search(options)
    if found is None:
        return 0
    repeated = re.match(r"\s*(\d{1,3})\*", found[1])
    return int(repeated[1]) if repeated else found[1].count(",") + 1


# --- reStructuredText -----------------------------------------------------------------------------------------

_DIRECTIVE = re.compile(r"([ \t]*)\.\. (list-table|csv-table|table)::")
_LIST_ROW = re.compile(r"[ \t]*\*[ \t]+-(?:[ \t]|$)")
_LIST_CELL = re.compile(r"[ \t]*(?:\*[ \t]+)?-[ \t]+(\S.*)")
_CSV_HEADER = re.compile(r"[ \t]*:header:[ \t]*(\S.*)")
_HEADER_ROWS = re.compile(r"[ \t]*:header-rows:[ \t]*[1-9]")
_OPTION = re.compile(r"[ \t]*:[\w-]+:")
_QUOTED = re.compile(r"[ \t]*(?:\"((?:[^\"]|\"\")*)\"|([^,]*))(?:,|$)")


def directive_end(lines: Lines, first: int) -> int:
    """The line behind a table that a directive makes at `first`; 0 where none does."""
    found = _DIRECTIVE.match(lines[first])
    if found is None:
        return 0
    last = first
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if line.strip():
            if len(line) - len(line.lstrip()) <= len(found[1].expandtabs()):
                break
            last = number
    return last + 1 if last > first else 0


def directive_table(lines: Lines) -> Table | None:
    """A table from its directive to its last line."""
    found = _DIRECTIVE.match(lines[0])
    has_names = any(_HEADER_ROWS.match(line) for line in lines[:12])
    offsets = offsets_of(lines)
    match found and found[2]:
        case "list-table":
            rows = [number for number, line in enumerate(lines) if _LIST_ROW.match(line)]
            first = lines[rows[0] : rows[1] if len(rows) > 1 else None] if rows else []
            names = [cell[1] for line in first if (cell := _LIST_CELL.match(line))]
            return Table(names if has_names else [], tuple(offsets[row] for row in rows))
        case "csv-table":
            return _csv_table(lines, offsets, has_names=has_names)
        case _:
            body = next((number for number in range(1, len(lines)) if _begins_drawing(lines[number])), 0)
            table = drawn_table(lines[body:]) if body else None
            return table and Table(table.names, tuple(offsets[body] + row for row in table.rows))


def _begins_drawing(line: str) -> bool:
    return bool(TEXT_RULE.match(line))


def _csv_table(lines: Lines, offsets: list[int], *, has_names: bool) -> Table:
    named = next((found[1] for line in lines[:12] if (found := _CSV_HEADER.match(line))), "")
    rows, is_open = [], False
    for number in range(1, len(lines)):
        if not lines[number].strip() or _OPTION.match(lines[number]):
            continue
        if not is_open:
            rows.append(number)
        is_open ^= lines[number].count('"') % 2 == 1
    head = named or (lines[rows[0]] if has_names and rows else "")
    return Table(csv_cells(head, _QUOTED), tuple(offsets[row] for row in rows))


# --- HTML -----------------------------------------------------------------------------------------------------

_HTML_ROW = re.compile(r"<tr\b", re.IGNORECASE)
_HTML_CELL = re.compile(r"<t[hd]\b[^<>]*>(.*?)(?=</?t[hdr]\b|$)", re.IGNORECASE | re.DOTALL)
_HTML_TAG = re.compile(r"<[^<>]*>")


def html_table(text: str) -> Table:
    """A table from its first tag to its last."""
    rows = [found.start() for found in _HTML_ROW.finditer(text)]
    first = text[rows[0] : rows[1] if len(rows) > 1 else None] if rows else ""
    names = [clean_line(_HTML_TAG.sub(" ", cell[1])) for cell in _HTML_CELL.finditer(first)]
    return Table(names, tuple(rows))


# --- separated values -----------------------------------------------------------------------------------------

_MARKS = ",;\t|"
_LOOKED_AT = 12
"""Rows among which the names of the columns are looked for."""


def csv_cells(line: str, pattern: re.Pattern[str]) -> list[str]:
    """The fields of a row."""
    cells = []
    position = 0
    while position < len(line) and (found := pattern.match(line, position)) is not None:
        cells.append(
            (found[1] or "").replace('""', '"') if found[1] is not None else found[2].strip().strip("'")
        )
        if found.end() == position:
            break
        position = found.end()
    return cells


def separated_names(lines: Lines, separator: str) -> list[str]:
    """The names of the columns by the first rows of separated values, which may begin with titles of their own; [] for none."""
    rows = [line for line in lines if line.strip()][:_LOOKED_AT]
    if rows and rows[0].lower().startswith("sep=") and len(rows[0].strip()) == 5:
        separator, rows = rows[0].strip()[4], rows[1:]
    if not rows:
        return []
    mark = _separator(rows, separator)
    field = re.compile(rf"[ \t]*(?:\"((?:[^\"]|\"\")*)\"|([^{re.escape(mark)}]*))(?:{re.escape(mark)}|$)")
    table = [csv_cells(row, field) for row in rows]
    width = max(_filled(row) for row in table)
    for row in table[:-1] or table:
        if _filled(row) >= max(1, width - 1) and (_filled(row) > 1 or width == 1):
            return row if _are_names(row) else []
    return []


def _separator(rows: Lines, separator: str) -> str:
    """The mark that parts the cells: it stands equally often in most rows."""

    def fitness(mark: str) -> tuple[float, bool, int]:
        counted = Counter(count for row in bare if (count := row.count(mark)))
        usual, times = counted.most_common(1)[0] if counted else (0, 0)
        return times / len(bare), mark == separator, usual

    bare = [_IN_QUOTES.sub("", row) for row in rows]
    marks: list[str] = [separator, *_MARKS]
    return max(marks, key=fitness)


_IN_QUOTES = re.compile(r"\"[^\"]*\"")


def _filled(row: list[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _are_names(row: list[str]) -> bool:
    said = [cell for cell in row[:20] if cell.strip()]
    figures = [cell for cell in said if not any(letter.isalpha() for letter in cell)]
    return not figures or (len(figures) < len(said) and _are_years(figures))


def _are_years(figures: list[str]) -> bool:
    """Whether these are years that follow each other, as columns may be called."""
    years = [int(figure) for figure in figures if figure.isdigit() and 1800 <= int(figure) < 2200]
    return len(years) == len(figures) > 1 and len({b - a for a, b in pairwise(years)}) == 1
