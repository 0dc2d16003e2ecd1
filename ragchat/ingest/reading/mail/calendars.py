"""Appointments (iCalendar) and visiting cards (vCard) as lines that a user reads. Runs in the reading process."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator

from ragchat.text import clean

LABELS = {
    "SUMMARY": "Summary", "DTSTART": "Start", "DTEND": "End", "DUE": "Due", "DURATION": "Duration", "LOCATION": "Location",
    "ORGANIZER": "Organizer", "ATTENDEE": "Attendee", "DESCRIPTION": "Description", "COMMENT": "Comment",
    "CATEGORIES": "Categories", "CONTACT": "Contact", "RESOURCES": "Resources", "RRULE": "Repeats", "EXDATE": "Except on",
    "STATUS": "Status", "FN": "Name", "NICKNAME": "Nickname", "ORG": "Organisation", "TITLE": "Title", "ROLE": "Role",
    "TEL": "Telephone", "EMAIL": "E-mail", "ADR": "Address", "LABEL": "Address", "URL": "Web", "NOTE": "Note",
    "BDAY": "Birthday", "IMPP": "Chat", "RELATED": "Related",
}  # fmt: skip
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d{0,2}(Z?))?$")
_FURNITURE = (["VALARM"], ["STANDARD"], ["DAYLIGHT"])
"""Reminders, and when a time zone changes its clocks."""
_ESCAPED = re.compile(r"\\([nN,;\\:])")
_PERSON = re.compile(r';CN=("[^"]{0,200}"|[^;:"]{0,200})', re.IGNORECASE)
_ZONE = re.compile(r";TZID=\"?([^;:\"]{1,100})", re.IGNORECASE)


def calendar_lines(text: str) -> list[str]:
    """What an iCalendar or vCard file says, a line for each property that means something to a user."""
    lines: list[str] = []
    inside: list[str] = []
    name_at = -1
    for name, options, value in _properties(text):
        if name in ("BEGIN", "END"):
            inside = [*inside[-9:], value.upper()] if name == "BEGIN" else inside[:-1]
            if name == "BEGIN" and lines and lines[-1] and value.upper() != "VALARM":
                lines.append("")
            name_at = -1
        elif inside[-1:] != ["VALARM"] and not (
            name.startswith("DT") and inside[-1:] in (["STANDARD"], ["DAYLIGHT"])
        ):
            if name == "N" and name_at < 0:  # FN says the same better, should it come
                name_at = len(lines)
                lines.append(f"Name: {_several(value)}")
            elif name == "FN" and name_at >= 0:
                lines[name_at] = f"Name: {_unescaped(value)}"
            elif name in LABELS and (said := said_line(name, options, value)):
                lines += f"{LABELS[name]}: {said}".split("\n")
                name_at = len(lines) - 1 if name == "FN" else name_at
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _properties(text: str) -> Iterator[tuple[str, str, str]]:
    """Name in upper case, parameters and value of each property; folded lines are joined."""
    folded: list[str] = []
    for line in [*clean(text).split("\n"), ""]:
        if line[:1] in (" ", "\t"):
            folded.append(line[1:])
        elif folded and folded[-1].endswith("=") and "QUOTED-PRINTABLE" in folded[0].upper():
            folded[-1] = folded[-1][:-1]
            folded.append(line)
        else:
            head, colon, value = halves("".join(folded))
            name, semicolon, options = head.partition(";")
            if colon:
                yield name.rpartition(".")[2].strip().upper(), semicolon + options, value
            folded = [line]


def halves(line: str) -> tuple[str, str, str]:
    """A property at its colon, which may not be in quotes."""
    place, is_quoted = 0, False
    for place, character in enumerate(line):
        if character == '"':
            is_quoted = not is_quoted
        elif character == ":" and not is_quoted:
            return line[:place], ":", line[place + 1 :]
    return line, "", ""


def said_line(name: str, options: str, value: str) -> str:
    """The value of a property as a reader wants it: names instead of addresses, dates in one form."""
    if "QUOTED-PRINTABLE" in options.upper():
        value = binascii.a2b_qp(value.encode("utf-8", "replace")).decode("utf-8", "replace")
    if name in ("ORGANIZER", "ATTENDEE"):
        return _person(options, value)
    if name in ("DTSTART", "DTEND", "DUE", "EXDATE", "BDAY"):
        zone = _ZONE.search(options)
        times = ", ".join(_time(one) for one in value.split(","))
        return f"{times} ({zone[1]})" if zone else times
    if name in ("ADR", "ORG", "N"):
        return _several(value)
    return _unescaped(value).strip()


def _person(options: str, value: str) -> str:
    found = _PERSON.search(options)
    name = found[1].strip('"') if found else ""
    address = value[7:] if value.lower().startswith("mailto:") else value
    return f"{name} <{address}>" if name else address


def _time(value: str) -> str:
    """`20260514T153000Z` as `2026-05-14 15:30 UTC`; what is no time stays as it is."""
    found = _TIME.match(value.strip())
    if not found:
        return value.strip()
    date = f"{found[1]}-{found[2]}-{found[3]}"
    return f"{date} {found[4]}:{found[5]}{' UTC' if found[6] else ''}" if found[4] else date


def _several(value: str) -> str:
    """The components of an address or a name, those that say something."""
    return ", ".join(_unescaped(one).strip() for one in re.split(r"(?<!\\);", value) if one.strip())


def _unescaped(value: str) -> str:
    return _ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value)
