"""Calendar files (iCalendar, vCalendar) and address books (vCard): a section for each entry, a line for each property.

What only programs need goes; pictures, attachments and properties of single programs are reported as left out.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from ragchat.ingest.encoding import codec_of, source_text
from ragchat.ingest.formats import Kind
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.mail.calendars import LABELS, halves, said_line
from ragchat.text import clean, clean_line
from ragchat.types import ExtractedText, LeftOutKind

_ENTRIES = frozenset(
    ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VCARD", "VAVAILABILITY", "AVAILABLE", "VPOLL")
)
_ALL_LABELS = LABELS | {
    "FREEBUSY": "Busy", "RDATE": "Also on", "RECURRENCE-ID": "In place of", "PRIORITY": "Priority", "COMPLETED": "Completed",
    "PERCENT-COMPLETE": "Percent complete", "GEO": "Position", "ANNIVERSARY": "Anniversary", "GENDER": "Gender",
    "LANG": "Language", "TZ": "Time zone", "ATTACH": "Attachment", "CONFERENCE": "Conference", "HOBBY": "Hobby",
    "INTEREST": "Interest", "EXPERTISE": "Expertise", "BIRTHPLACE": "Place of birth", "DEATHPLACE": "Place of death",
    "DEATHDATE": "Date of death", "X-ABDATE": "Date", "X-SOCIALPROFILE": "Profile", "SOCIALPROFILE": "Profile",
    "X-SKYPE": "Skype", "X-SPOUSE": "Spouse", "X-ASSISTANT": "Assistant", "X-MANAGER": "Manager", "X-ANNIVERSARY": "Anniversary",
    "X-PHONETIC-FIRST-NAME": "Phonetic first name", "X-PHONETIC-LAST-NAME": "Phonetic last name", "X-JABBER": "Chat",
    "X-AIM": "Chat", "X-ICQ": "Chat", "X-MSN": "Chat", "X-YAHOO": "Chat", "X-GTALK": "Chat", "X-GOOGLE-TALK": "Chat",
    "X-WR-CALDESC": "Description", "NAME": "Name", "REQUEST-STATUS": "Answer", "X-ABRELATEDNAMES": "Related",
    "LOCATION-TYPE": "Kind of place", "SOURCE": "Source", "CALADRURI": "Calendar address",
}  # fmt: skip
_SILENT = frozenset(
    """
    VERSION PRODID UID DTSTAMP CREATED LAST-MODIFIED REV SEQUENCE TRANSP CLASS METHOD CALSCALE TZID KIND MAILER SORT-STRING
    PROFILE CLIENTPIDMAP MEMBER RELATED-TO X-ABADR X-ABUID X-ABSHOWAS COLOR REFRESH-INTERVAL ACTION TRIGGER REPEAT
    ACKNOWLEDGED X-WR-TIMEZONE X-WR-RELCALID X-WR-ALARMUID FBURL CALURI X-PUBLISHED-TTL DAYLIGHT TZOFFSETFROM
    TZOFFSETTO TZNAME TZURL X-LIC-LOCATION AALARM DALARM RNUM EXRULE XML CHARSET
    """.split()  # noqa: SIM905
)
_FILES = {
    "PHOTO": LeftOutKind.PICTURE,
    "LOGO": LeftOutKind.PICTURE,
    "IMAGE": LeftOutKind.PICTURE,
    "SOUND": LeftOutKind.SOUND,
    "ATTACH": LeftOutKind.ATTACHMENT,
    "KEY": LeftOutKind.OBJECT,
}
_TIMES = frozenset(
    ("RDATE", "RECURRENCE-ID", "COMPLETED", "ANNIVERSARY", "DEATHDATE", "X-ABDATE", "FREEBUSY")
)
_STRUCTURED = _TIMES | {"ORGANIZER", "ATTENDEE", "DTSTART", "DTEND", "DUE", "EXDATE", "BDAY"}
_LISTS = frozenset(("ADR", "ORG", "N"))
_BLANKS = (" ", "\t", "")
_SPAN = re.compile(r"([0-9TZ]{8,16})/")
_TYPE = re.compile(r";(?:TYPE=)?\"?([^;:=\"]{1,60})\"?(?=[;:]|$)", re.IGNORECASE)
_KNOWN_TYPES = frozenset("home work cell mobile fax pager main other video text textphone iphone".split())  # noqa: SIM905
_ENCODED = re.compile(r";(?:ENCODING=)?(?:QUOTED-PRINTABLE)", re.IGNORECASE)
_CHARSET = re.compile(r";CHARSET=\"?([\w.:-]{2,40})", re.IGNORECASE)
_FILE_NAME = re.compile(
    r";(?:X-)?(?:FILENAME|LABEL|APPLE-FILENAME)=(\"[^\"]{0,200}\"|[^;:\"]{0,200})", re.IGNORECASE
)
_IS_BINARY = re.compile(r";ENCODING=(?:B|BASE64)(?=[;:]|$)|;BASE64(?=[;:]|$)|;VALUE=BINARY", re.IGNORECASE)
_APPLE_LABEL = re.compile(r"_\$!<(.{1,60})>!\$_")


def read_calendar(text: str, kind: Kind) -> ExtractedText:
    """The text of a calendar or address book; that of another file with such a name (genes come as .vcf, too) as it is."""
    text = source_text(text)
    if "BEGIN:V" not in text[:20_000].upper():
        return ExtractedText(text, "text/plain", source_lines=True)
    reader = _Reader(DocumentBuilder(kind.media_type))
    for one in _properties(text):
        reader.take(one)
    return reader.finish()


class _Property(NamedTuple):
    """A property: its name in upper case, the group it belongs to, its parameters with a semicolon before each, its value."""

    name: str
    group: str
    options: str
    value: str
    line: int


def _properties(text: str) -> Iterator[_Property]:
    """All properties that say something; lines that were folded are joined. Lines count from 1."""
    held, first = "", 0
    more: list[str] = []
    is_printable = False
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if line[:1] in _BLANKS and line and first:
            more.append(line[1:])
        elif is_printable and (more[-1] if more else held).endswith("="):
            if more:
                more[-1] = more[-1][:-1]
            else:
                held = held[:-1]
            more.append(line)
        else:
            if held and (one := _property(held + "".join(more) if more else held, first)):
                yield one
            held, first, more = line, number, []
            is_printable = "=" in line and "QUOTED-PRINTABLE" in line[:200].upper()


def _property(line: str, number: int) -> _Property | None:
    head, colon, value = line.partition(":")
    if '"' in head:
        head, colon, value = halves(line)
    if not colon:
        return None
    name, semicolon, options = head.partition(";")
    group = ""
    if "." in name:
        group, _, name = name.rpartition(".")
    name = name.strip().upper()
    return None if name in _SILENT else _Property(name, group, semicolon + options, value, number)


@dataclass(slots=True)
class _Entry:
    """An appointment, a task or a card while its lines arrive."""

    kind: str
    line: int
    lines: list[tuple[str, int]] = field(default_factory=list)
    title: str = ""
    full_name: str = ""
    page: tuple[str, int] = ("", 0)
    labels: dict[str, str] = field(default_factory=dict)
    grouped: dict[int, str] = field(default_factory=dict)
    said: set[str] = field(default_factory=set)


class _Reader:
    """Takes the properties of a file one after the other."""

    def __init__(self, builder: DocumentBuilder) -> None:
        self._builder = builder
        self._open: list[str] = []
        self._entry = _Entry("", 1)
        self._reported: set[str] = set()
        self._title = ""
        self._first_title = ""

    def take(self, one: _Property) -> None:
        """The next property."""
        name = one.name
        if name == "BEGIN":
            self._begin(one.value.strip().upper(), one.line)
        elif name == "END":
            self._end(one.value.strip().upper())
        elif self._open and self._open[-1] not in _ENTRIES:
            self._take_other(one)
        elif name in _FILES and self._is_file(one):
            self._report_file(one)
        elif name in _ALL_LABELS or name == "N":
            self._say(one)
        else:
            self._leave(one)

    def finish(self) -> ExtractedText:
        """The document, with what an end that is missing left open."""
        self._write()
        return self._builder.build(self._title or self._first_title)

    def _begin(self, kind: str, line: int) -> None:
        if len(self._open) < 20:
            self._open.append(kind)
        if kind in _ENTRIES:
            self._write()
            self._entry = _Entry(kind, line)

    def _end(self, kind: str) -> None:
        if kind in self._open:
            while self._open.pop() != kind:
                pass
        if kind in _ENTRIES or kind == "VCALENDAR":
            self._write()
            self._entry = _Entry("", 0)

    # What stands outside of entries

    def _take_other(self, one: _Property) -> None:
        """Properties of the calendar, and of alarms; a time zone says when clocks change, which no one asks for."""
        kind = self._open[-1]
        if kind == "VALARM" and one.name in ("SUMMARY", "DESCRIPTION"):
            said = " ".join(_decoded(one).split())
            if said and said not in self._entry.said:
                self._entry.said.add(said)
                self._entry.lines.append((f"Reminder: {said}", one.line))
        elif kind == "VALARM" and one.name == "ATTACH" and self._is_file(one):
            self._report_file(one)
        elif kind == "VCALENDAR":
            if one.name in ("X-WR-CALNAME", "NAME"):
                self._title = self._title or clean_line(_decoded(one))
            elif one.name in _ALL_LABELS:
                self._say(one)
            else:
                self._leave(one)

    def _leave(self, one: _Property) -> None:
        """Report a property of some program, each name once."""
        if one.name == "X-ABLABEL" and one.group:
            label = _APPLE_LABEL.sub(r"\1", _decoded(one))
            self._entry.labels[one.group] = clean_line(label, limit=60)
        elif one.name == "X-ALT-DESC":
            self._entry.page = (_decoded(one), one.line)
        elif one.value.strip() and one.name not in self._reported:
            self._reported.add(one.name)
            if len(self._reported) < 1000:
                self._builder.leave_out(LeftOutKind.PROPERTY, one.name)

    # Files

    def _is_file(self, one: _Property) -> bool:
        """Whether the value is a file, and not an address of one."""
        if _IS_BINARY.search(one.options) or one.value[:5].lower() in ("data:", "cid:"):
            return True
        return one.name != "ATTACH" or len(one.value) > 2000

    def _report_file(self, one: _Property) -> None:
        named = _FILE_NAME.search(one.options)
        self._builder.leave_out(_FILES[one.name], named[1].strip('"') if named else "")

    # Lines

    def _say(self, one: _Property) -> None:
        entry = self._entry
        said = _decoded(one)
        if not said:
            return
        if one.name == "N":
            entry.full_name = said
            return
        if one.name in ("SUMMARY", "FN") or (one.name == "ORG" and not entry.title):
            entry.title = said
        entry.said.add(said)
        label = _ALL_LABELS[one.name] + (_types(one.options) if one.options else "")
        if one.group:
            entry.grouped[len(entry.lines)] = one.group
        if "\n" not in said:
            entry.lines.append((f"{label}: {said}", one.line))
            return
        for number, part in enumerate(said.split("\n")):
            if part.strip():
                entry.lines.append((part if number else f"{label}: {part}", one.line))

    def _write(self) -> None:
        """Write the entry that is open."""
        entry = self._entry
        if entry.full_name and not any(text.startswith("Name: ") for text, _ in entry.lines):
            entry.lines.insert(0, (f"Name: {entry.full_name}", entry.line))
            entry.title = entry.full_name
            entry.grouped = {at + 1: group for at, group in entry.grouped.items()}
        for at, group in entry.grouped.items():
            if label := entry.labels.get(group):
                text, line = entry.lines[at]
                entry.lines[at] = (f"{text} ({label})", line)
        if entry.page[0] and not any(text.startswith("Description: ") for text, _ in entry.lines):
            entry.lines += [
                (f"Description: {text}", entry.page[1]) for text in [_page_text(entry.page[0])] if text
            ]
        if entry.lines:
            self._builder.section((entry.title,))
            self._builder.lines(entry.lines)
            self._first_title = self._first_title or entry.title
        entry.lines = []
        entry.full_name = ""


def _decoded(one: _Property) -> str:
    """The value as a user reads it, with its line breaks."""
    options, value = one.options, one.value
    if options and "QUOTED-PRINTABLE" in options.upper():
        declared = _CHARSET.search(options)
        codec = (codec_of(declared[1]) if declared else "") or "utf-8"
        value = binascii.a2b_qp(value.encode("utf-8", "replace")).decode(codec, "replace")
        value = clean(value).replace("\n", "\\n")
        options = _ENCODED.sub("", options)
    if one.name not in _STRUCTURED and "\\" not in value:
        return value.strip() if one.name not in _LISTS else _several(value)
    if one.name in _TIMES:
        spans = (said_line("DTSTART", options, span) for span in _SPAN.sub(r"\1 / ", value).split(" / "))
        return " to ".join(spans) if "/" in value else said_line("DTSTART", options, value)
    return said_line(one.name, options, value)


def _several(value: str) -> str:
    """The components of an address or a name without escaped signs, those that say something."""
    return ", ".join(part for one in value.split(";") if (part := one.strip()))


@lru_cache(maxsize=1000)
def _types(options: str) -> str:
    """What kind of telephone, address and so on it is: ` (home, fax)`, '' where it is not said."""
    found = (part.strip().lower() for match in _TYPE.finditer(options) for part in match[1].split(","))
    types = list(dict.fromkeys(one for one in found if one in _KNOWN_TYPES))
    return f" ({', '.join(types)})" if types else ""


def _page_text(page: str) -> str:
    from ragchat.ingest.reading.web.page import read_html

    return " ".join(read_html(page).text.split())
