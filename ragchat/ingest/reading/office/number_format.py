"""Excel's number formats: what a user sees of a value. Dates and times come out in ISO form, whatever order a format has.

A format has up to four sections (positive; negative; zero; text), each a row of tokens. Colours and the widths of padding are
ignored. Work is linear in the length of a format, and formats longer than Excel allows are not followed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

_LONGEST_CODE = 1000
_MOST_DIGITS = 127
_PRECISE = Context(prec=4000)
_LAST_DAY = 2_958_465
"""31 December 9999."""
_DAYS_TO_1904 = 1462

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00",
    5: '"$"#,##0;-"$"#,##0', 6: '"$"#,##0;-"$"#,##0', 7: '"$"#,##0.00;-"$"#,##0.00', 8: '"$"#,##0.00;-"$"#,##0.00',
    9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM",
    20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm",
    **dict.fromkeys((27, 28, 29, 30, 31, 36, 50, 51, 52, 53, 54, 57, 58), "yyyy-mm-dd"),
    **dict.fromkeys((32, 34, 55), "h:mm"), **dict.fromkeys((33, 35, 56), "h:mm:ss"),
    37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)", 40: "#,##0.00;(#,##0.00)",
    41: '#,##0;-#,##0;"-"', 42: '"$"#,##0;-"$"#,##0;"-"', 43: '#,##0.00;-#,##0.00;"-"', 44: '"$"#,##0.00;-"$"#,##0.00;"-"',
    45: "mm:ss", 46: "[h]:mm:ss", 47: "mmss.0", 48: "##0.0E+0", 49: "@",
    59: "0", 60: "0.00", 61: "#,##0", 62: "#,##0.00", 67: "0%", 68: "0.00%", 69: "# ?/?", 70: "# ??/??",
    71: "yyyy-mm-dd", 72: "yyyy-mm-dd", 73: "d-mmm-yy", 74: "d-mmm", 75: "mmm-yy", 76: "h:mm", 77: "h:mm:ss",
    78: "yyyy-mm-dd h:mm", 79: "mm:ss", 80: "[h]:mm:ss", 81: "mm:ss.0",
}  # fmt: skip
"""The formats that a workbook may use without writing them down, by their numbers."""

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()  # noqa: SIM905


class _Token(NamedTuple):
    """`kind` is "text" (a literal), "digit", "date", "elapsed", "fill", or the mark itself: . , % E / @ G."""

    kind: str
    text: str


class _Simple(NamedTuple):
    """The common section: digits in one stretch, all behind the point insisted on, with words before and behind it."""

    before: str
    after: str
    unit: Decimal
    """The last digit that is shown."""
    percents: int
    grouped: bool
    least_whole: int
    """Digits before the point at least."""

    def shown(self, value: float) -> str:
        """What a user sees of a value."""
        amount = abs(_decimal(value))
        if self.percents:
            amount = amount.scaleb(2 * self.percents, _PRECISE)
        amount = amount.quantize(self.unit, ROUND_HALF_UP, _PRECISE)
        digits = f"{amount:,f}" if self.grouped else f"{amount:f}"
        if self.least_whole == 0 and amount < 1:
            digits = digits[1:]
        sign = "-" if value < 0 and amount else ""
        return f"{sign}{self.before}{digits}{self.after}".strip()


@dataclass(slots=True)
class _Section:
    tokens: list[_Token]
    condition: tuple[str, float] | None = None
    foreign: bool = False
    """Its names of months are not English."""
    simple: _Simple | None = None
    is_date: bool = False

    def has(self, *kinds: str) -> bool:
        return any(token.kind in kinds for token in self.tokens)


# --- parsing --------------------------------------------------------------------------------------------


def _split(code: str) -> list[str]:
    """The sections of a code, cut at semicolons outside quotes and brackets."""
    sections, start, position, length = [], 0, 0, len(code)
    while position < length:
        character = code[position]
        if character == '"':
            position = _closing(code, position, '"')
        elif character == "[":
            position = _closing(code, position, "]")
        elif character in "\\_*":
            position += 1
        elif character == ";":
            sections.append(code[start:position])
            start = position + 1
        position += 1
    return [*sections, code[start:]]


def _closing(code: str, position: int, mark: str) -> int:
    end = code.find(mark, position + 1)
    return len(code) if end < 0 else end


def _parse(code: str) -> _Section:
    section = _Section([])
    position = 0
    while position < len(code):
        position = _next_token(code, position, section)
    section.is_date = section.has("date", "elapsed")
    section.simple = _simple(section)
    return section


def _simple(section: _Section) -> _Simple | None:
    """The section as a simple one, or None where it is more than that."""
    tokens = section.tokens
    places = [n for n, token in enumerate(tokens) if token.kind in ("digit", ".", ",")]
    if not places or places[-1] - places[0] + 1 != len(places):
        return None
    pattern = "".join(token.text for token in tokens[places[0] : places[-1] + 1])
    whole, _, decimals = pattern.partition(".")
    bare = whole.replace(",", "")
    if whole.endswith(",") or decimals.strip("0") or bare.lstrip("#") not in ("", "0") or not bare:
        return None
    if section.has("date", "elapsed", "E", "/", "@", "G") or len(decimals) > _MOST_DIGITS:
        return None
    return _Simple(
        before=" ".join("".join(map(_literal, tokens[: places[0]])).split(" ")).lstrip(),
        after=" ".join("".join(map(_literal, tokens[places[-1] + 1 :])).split(" ")).rstrip(),
        unit=Decimal(1).scaleb(-len(decimals)),
        percents=sum(token.kind == "%" for token in tokens),
        grouped="," in whole,
        least_whole=bare.count("0"),
    )


def _next_token(code: str, position: int, section: _Section) -> int:
    """Take up the token at `position`; where the next begins."""
    character = code[position]
    add = section.tokens.append
    if character == '"':
        end = _closing(code, position, '"')
        add(_Token("text", code[position + 1 : end]))
        return end + 1
    if character == "[":
        end = _closing(code, position, "]")
        _bracket(code[position + 1 : end], section)
        return end + 1
    if character in "\\_*":
        following = code[position + 1 : position + 2]
        add(
            _Token("fill", "") if character == "*" else _Token("text", " " if character == "_" else following)
        )
        return position + 2
    rest = code[position : position + 7].lower()
    for mark, kind in (("general", "G"), ("am/pm", "half"), ("a/p", "half")):
        if rest.startswith(mark):
            add(_Token(kind, ""))
            return position + len(mark)
    return _plain_token(code, position, section)


def _plain_token(code: str, position: int, section: _Section) -> int:
    character = code[position]
    lower = character.lower()
    add = section.tokens.append
    if lower == "e" and code[position + 1 : position + 2] in ("+", "-") and section.has("digit"):
        add(_Token("E", code[position + 1]))
        return position + 2
    if lower in "ymdhsebga":
        end = position
        while end < len(code) and code[end].lower() == lower:
            end += 1
        add(_Token("date", lower * (end - position)))
        return end
    if character in "0#?":
        add(_Token("digit", character))
    elif character in ".,%/@":
        add(_Token(character, character))
    else:
        add(_Token("text", character))
    return position + 1


def _bracket(inner: str, section: _Section) -> None:
    """A colour, a condition, a currency with its locale, or an elapsed time."""
    lower = inner.lower()
    if lower and lower.strip("h") in ("", lower) and lower[0] in "hms" and not lower.strip(lower[0]):
        section.tokens.append(_Token("elapsed", lower))
    elif inner.startswith("$"):
        symbol, _, locale = inner[1:].partition("-")
        section.foreign = section.foreign or not _is_english(locale)
        if symbol:
            section.tokens.append(_Token("text", symbol))
    elif inner[:1] in "<>=" and inner:
        mark = inner[:2] if inner[:2] in ("<=", ">=", "<>") else inner[0]
        try:
            section.condition = mark, float(inner[len(mark) :])
        except ValueError:
            section.condition = None


def _is_english(locale: str) -> bool:
    """Of "409" (English in its last two digits), "x-sysdate", "en-US", "F800"."""
    if not locale or locale.lower().startswith(("en", "x-", "f800", "f400")):
        return True
    return locale[-2:].lower() == "09"


# --- a format -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class NumberFormat:
    """A parsed format. `since_1904`: its dates count from 1904."""

    sections: list[_Section]
    text_section: _Section | None
    since_1904: bool = False
    is_general: bool = False
    _known: dict[str, str] = field(default_factory=dict)

    def shown(self, raw: str) -> str:
        """What a user sees of a number as it is in the file; "" when the format hides it. What is no number stays."""
        if self.is_general and len(raw) < 18 and raw.isdecimal():
            return raw
        known = self._known.get(raw)
        if known is None:
            known = self._show(raw)
            if len(self._known) < 50_000:
                self._known[raw] = known
        return known

    def text(self, text: str) -> str:
        """What a user sees of a text; "" when the format hides it."""
        if self.text_section is None:
            return text
        return "".join(
            text if token.kind == "@" else token.text for token in self.text_section.tokens
        ).strip()

    def _show(self, raw: str) -> str:
        try:
            value = float(raw)
        except ValueError:
            return raw
        if not math.isfinite(value):
            return raw
        if self.is_general:
            return general(value)
        section, value = self._section(value)
        if section.simple is not None:
            return section.simple.shown(value)
        if section.is_date:
            return _date_and_time(section, value, since_1904=self.since_1904)
        return " ".join(_number(section, value).split())

    def _section(self, value: float) -> tuple[_Section, float]:
        """The section for a value, and the value as this section takes it: a section for negative ones has its own minus."""
        sections = self.sections
        if any(section.condition for section in sections):
            return self._by_condition(value)
        if value < 0 and len(sections) > 1:
            return sections[1], -value
        if value == 0 and len(sections) > 2:
            return sections[2], value
        return sections[0], value

    def _by_condition(self, value: float) -> tuple[_Section, float]:
        for number, section in enumerate(self.sections):
            if section.condition is None:
                if number == 1 and len(self.sections) > 2 and value >= 0:
                    continue
                return section, value
            if _holds(section.condition, value):
                mark, limit = section.condition
                own_minus = number > 0 and value < 0 and limit <= 0 and mark in ("<", "<=")
                return section, abs(value) if own_minus else value
        return _GENERAL_SECTION, value


_GENERAL_SECTION = _Section([_Token("G", "")])


def _holds(condition: tuple[str, float], value: float) -> bool:
    mark, limit = condition
    match mark:
        case "<":
            return value < limit
        case ">":
            return value > limit
        case "<=":
            return value <= limit
        case ">=":
            return value >= limit
        case "<>":
            return value != limit
    return value == limit


@lru_cache(maxsize=2048)
def number_format(code: str, *, since_1904: bool = False) -> NumberFormat:
    """The format that a code describes; "" and what cannot be a format are "General"."""
    if not code.strip() or len(code) > _LONGEST_CODE or code.strip().lower() == "general":
        return NumberFormat([_GENERAL_SECTION], None, since_1904, is_general=True)
    sections = [_parse(part) for part in _split(code)[:4]]
    text_section = None
    if len(sections) == 4 or sections[-1].has("@"):
        text_section = sections.pop()
    return NumberFormat(sections or [_GENERAL_SECTION], text_section, since_1904)


# --- numbers --------------------------------------------------------------------------------------------


def general(value: float) -> str:
    """A number as "General" shows it: 11 digits at most where it has decimals, whole numbers in full up to 15 digits."""
    if value == int(value) and abs(value) < 1e17:
        return str(int(value))
    shown = f"{value:.11g}"
    return shown.upper() if "e" in shown else shown


def _number(section: _Section, value: float) -> str:
    if section.has("G", "@") or not section.has("digit", "text", "%"):
        inner = general(value) if section.has("G", "@") else ""
        return "".join(inner if token.kind in "G@" else token.text for token in section.tokens)
    if not section.has("digit"):
        sign = "-" if value < 0 else ""
        return sign + "".join(token.text for token in section.tokens if token.kind != ",")
    if section.has("E"):
        return _scientific(section, value)
    if _is_fraction(section):
        return _fraction(section, value)
    return _fixed(section.tokens, value)


def _decimal(value: float) -> Decimal:
    """The number that 15 digits of a value spell, as Excel keeps it."""
    return Decimal(f"{value:.15g}")


def _fixed(tokens: list[_Token], value: float) -> str:
    point = next((n for n, token in enumerate(tokens) if token.kind == "."), len(tokens))
    whole, rest = tokens[:point], tokens[point + 1 :]
    last_whole = max((n for n, token in enumerate(whole) if token.kind == "digit"), default=-1)
    last_digit = max((n for n, token in enumerate(tokens) if token.kind == "digit"), default=-1)
    scale = sum(
        token.kind == "," for n, token in enumerate(tokens) if n > last_digit or last_whole < n < point
    )
    grouped = any(token.kind == "," for token in whole[: max(0, last_whole)])
    places = min(_MOST_DIGITS, sum(token.kind == "digit" for token in rest))
    percents = sum(token.kind == "%" for token in tokens)
    amount = abs(_decimal(value)).scaleb(2 * percents - 3 * scale, _PRECISE)
    amount = amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, _PRECISE)
    before, _, after = f"{amount:f}".partition(".")
    sign = "-" if value < 0 and amount else ""
    return sign + _joined_whole(whole, before, grouped=grouped) + _joined_rest(rest, after)


def _joined_whole(tokens: list[_Token], digits: str, *, grouped: bool) -> str:
    """The tokens before the point, with the digits put in from the right."""
    digits = digits.lstrip("0")
    left = sum(token.kind == "digit" for token in tokens)
    if not left:
        return "".join(map(_literal, tokens)) + digits
    shown: list[str] = []
    count = 0
    for token in reversed(tokens):
        if token.kind != "digit":
            shown.append(_literal(token))
            continue
        left -= 1
        take = len(digits) if left == 0 else min(1, len(digits))
        piece = digits[len(digits) - take :] or ("0" if token.text == "0" else "")
        digits = digits[: len(digits) - take]
        for digit in reversed(piece):
            if grouped and count and count % 3 == 0:
                shown.append(",")
            shown.append(digit)
            count += 1
    return "".join(reversed(shown))


def _joined_rest(tokens: list[_Token], digits: str) -> str:
    """The tokens behind the point, digits that the format does not insist on left away when they are 0."""
    places = [token.text for token in tokens if token.kind == "digit"]
    kept = len(places)
    while kept and places[kept - 1] != "0" and digits[kept - 1 : kept] == "0":
        kept -= 1
    shown, number = ["." if kept else ""], 0
    for token in tokens:
        if token.kind == "digit":
            shown.append(digits[number : number + 1] if number < kept else "")
            number += 1
        else:
            shown.append(_literal(token))
    return "".join(shown)


def _literal(token: _Token) -> str:
    return token.text if token.kind in ("text", "%", "/", ".") else ""


def _scientific(section: _Section, value: float) -> str:
    cut = next(n for n, token in enumerate(section.tokens) if token.kind == "E")
    mantissa, exponent = section.tokens[:cut], section.tokens[cut + 1 :]
    step = 0
    for token in mantissa:
        if token.kind == ".":
            break
        step += token.kind == "digit"
    step = max(1, step)
    power = 0 if value == 0 else _decimal(value).adjusted()
    power -= power % step
    shown = _mantissa(mantissa, value, power)
    if sum(map(str.isdigit, shown.partition(".")[0])) > step:  # 9.995 became 10.00
        power += step
        shown = _mantissa(mantissa, value, power)
    sign = "-" if power < 0 else "+" if section.tokens[cut].text == "+" else ""
    return f"{shown}E{sign}{_joined_whole(exponent, str(abs(power)), grouped=False)}"


def _mantissa(tokens: list[_Token], value: float, power: int) -> str:
    return _fixed(tokens, float(_decimal(value).scaleb(-power, _PRECISE)))


def _is_fraction(section: _Section) -> bool:
    tokens = section.tokens
    bar = next((n for n, token in enumerate(tokens) if token.kind == "/"), -1)
    if bar < 1 or bar + 1 == len(tokens) or tokens[bar - 1].kind != "digit":
        return False
    following = tokens[bar + 1]
    return following.kind == "digit" or (following.kind == "text" and following.text.isdecimal())


def _fraction(section: _Section, value: float) -> str:
    tokens = section.tokens
    bar = next(n for n, token in enumerate(tokens) if token.kind == "/")
    first = last = bar
    while first and tokens[first - 1].kind == "digit":
        first -= 1
    while last + 1 < len(tokens) and (tokens[last + 1].kind == "digit" or tokens[last + 1].text.isdecimal()):
        last += 1
    places = "".join(token.text for token in tokens[bar + 1 : last + 1])
    exact = abs(Fraction(_decimal(value)))
    top, bottom = _ratio(exact, places)
    has_whole = any(token.kind == "digit" for token in tokens[:first])
    whole, top = divmod(top, bottom) if has_whole else (0, top)
    middle = f"{top}/{bottom}" if top or not has_whole else ""
    if has_whole and (whole or not middle):
        middle = f"{whole} {middle}"
    before = "".join(_literal(token) for token in tokens[:first] if token.kind != "digit")
    after = "".join(map(_literal, tokens[last + 1 :]))
    sign = "-" if value < 0 and (top or whole) else ""
    return f"{sign}{before.strip()}{middle}{after}"


def _ratio(exact: Fraction, places: str) -> tuple[int, int]:
    """Numerator and denominator: a denominator of as many digits as there are places, or the one that is written."""
    fixed = places.strip("#?")
    if fixed.isdecimal() and int(fixed[:6]):
        bottom = int(fixed[:6])
        return int(exact * bottom + Fraction(1, 2)), bottom
    near = exact.limit_denominator(10 ** min(6, len(places)) - 1)
    return near.numerator, near.denominator


# --- dates and times ------------------------------------------------------------------------------------


class _Moment(NamedTuple):
    """Days as Excel counts them, and milliseconds of the day."""

    days: int
    milliseconds: int


def _date_and_time(section: _Section, value: float, *, since_1904: bool) -> str:
    parts = _date_parts(section)
    digits = parts.count("fraction")
    moment = _moment(value, digits)
    has_date = any(part in ("year", "month", "day", "weekday") for part in parts)
    days = moment.days + (_DAYS_TO_1904 if since_1904 and has_date else 0)
    if value < 0 or days > _LAST_DAY:
        return general(value)
    if (not has_date and "hour" not in parts) or _counts_days(parts):
        return _running_time(section, moment)
    shown = _date(parts, days, section) if has_date else ""
    if "hour" in parts and (moment.milliseconds or not has_date):
        shown = f"{shown} {_clock(parts, moment.milliseconds, digits)}"
    before, after = _words_around(section)
    return f"{before}{shown.strip()}{after}".strip()


def _moment(value: float, digits: int) -> _Moment:
    """Rounded to the second, or to as many digits of it as are shown."""
    unit = 10 ** (3 - min(3, digits))
    days = math.floor(value)
    milliseconds = round((value - days) * 86_400_000 / unit) * unit
    return _Moment(days + milliseconds // 86_400_000, milliseconds % 86_400_000)


def _date_parts(section: _Section) -> list[str]:
    """What each token shows: year, month, name (of a month), day, weekday, hour, minute, second, fraction; "" for others."""
    tokens = section.tokens
    parts: list[str] = []
    before = ""
    for number, token in enumerate(tokens):
        part = _date_part(token, before, tokens[number + 1 :] if token.text[:1] == "m" else ())
        parts.append(part)
        if token.kind in ("date", "elapsed"):
            before = part
    for number, token in enumerate(tokens):
        if token.kind == "digit" and token.text == "0" and "second" in parts[:number]:
            parts[number] = "fraction"
    return ["month", "name", *parts] if "name" in parts else parts


def _date_part(token: _Token, before: str, following: list[_Token] | tuple[()]) -> str:
    letter = token.text[:1]
    if token.kind == "elapsed":
        return {"h": "hours", "m": "minutes", "s": "seconds"}[letter]
    if token.kind != "date":
        return ""
    if letter == "m":
        after = next((one.text[0] for one in following if one.kind in ("date", "elapsed")), "")
        if len(token.text) <= 2 and (before in ("hour", "hours") or after == "s"):
            return "minute"
        return "month" if len(token.text) <= 2 else "name"
    if letter == "d":
        return "day" if len(token.text) <= 2 else "weekday"
    return {"y": "year", "e": "year", "b": "year", "h": "hour", "s": "second", "a": "weekday"}.get(letter, "")


def _counts_days(parts: list[str]) -> bool:
    """Whether a format says a duration: "2 days 6 h"."""
    return {"day", "hour"} <= set(parts) and not {"year", "month", "weekday"} & set(parts)


def _date(parts: list[str], days: int, section: _Section) -> str:
    year, month, day, weekday = _calendar(days)
    names = "name" in parts and not section.foreign and "day" not in parts
    if "day" not in parts and "year" in parts:
        by_number = f"{year:04}-{month:02}" if "month" in parts else f"{year:04}"
        shown = f"{_MONTHS[month - 1]} {year:04}" if names else by_number
    elif names and "year" not in parts:
        shown = _MONTHS[month - 1]
    elif "year" in parts or "month" in parts:
        shown = f"{year:04}-{month:02}-{day:02}"
    elif "day" in parts:
        shown = str(day)
    else:
        return weekday if not section.foreign else f"{year:04}-{month:02}-{day:02}"
    return f"{weekday} {shown}" if "weekday" in parts and not section.foreign else shown


def _calendar(days: int) -> tuple[int, int, int, str]:
    """Year, month, day and weekday. Excel takes 1900 for a leap year, so day 60 is its 29 February."""
    weekday = _WEEKDAYS[(days - 2) % 7]
    if days == 60:
        return 1900, 2, 29, weekday
    if days == 0:
        return 1900, 1, 0, weekday
    found = date(1899, 12, 31) + timedelta(days=days if days < 60 else days - 1)
    return found.year, found.month, found.day, weekday


def _clock(parts: list[str], milliseconds: int, digits: int) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    shown = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    if "second" in parts:
        shown += f":{seconds % 60:02}"
        if digits:
            shown += f".{milliseconds:03}"[: 1 + min(3, digits)]
    return shown


def _running_time(section: _Section, moment: _Moment) -> str:
    """A duration or a part of a time, token by token: "37:30:00", "05:12.4"."""
    seconds = moment.days * 86_400 + moment.milliseconds // 1000
    parts = _date_parts(section)
    values = {
        "hours": seconds // 3600, "minutes": seconds // 60, "seconds": seconds,
        "minute": seconds // 60 % 60, "second": seconds % 60,
        "day": _calendar(moment.days)[2], "hour": seconds // 3600 % 24,
    }  # fmt: skip
    fraction = f"{moment.milliseconds % 1000:03}"
    shown = []
    for token, part in zip(section.tokens, parts, strict=True):
        if part in values:
            shown.append(f"{values[part]:0{min(9, len(token.text))}}")
        elif part == "fraction":
            shown.append(fraction[:1])
            fraction = fraction[1:]
        elif token.kind != "digit":
            shown.append(token.text if token.kind in ("text", ".", "/", ",") else "")
    return " ".join("".join(shown).split())


def _words_around(section: _Section) -> tuple[str, str]:
    """Words before and behind the date: "due 2026-05-14", "15:30 Uhr"."""
    places = [n for n, token in enumerate(section.tokens) if token.kind in ("date", "half", "digit", "@")]
    before = "".join(token.text for token in section.tokens[: places[0]] if token.kind == "text")
    after = "".join(token.text for token in section.tokens[places[-1] + 1 :] if token.kind == "text")
    has_words = any(character.isalpha() for character in before)
    return (
        before if has_words and before[-1:] in " :" else "",
        after if after[:1] == " " and after.strip() else "",
    )
