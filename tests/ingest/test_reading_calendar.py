"""Calendars and address books as files: a section for each entry, and nothing lost without a word."""

from __future__ import annotations

import contextlib
import random

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.types import ExtractedText, LeftOutKind

CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Mill//EN
X-WR-CALNAME:Bee club
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1@mill.test
DTSTAMP:20260101T000000Z
SUMMARY:Honey\\, wax
 \\; candles
DTSTART;TZID=Europe/Berlin:20260514T153000
RECURRENCE-ID:20260513T153000Z
ATTENDEE;CN="Vik: Ann":mailto:ann@mill.test
DESCRIPTION:Bring veils.\\nAnd smoke.
X-MOZ-GENERATION:4
X-MOZ-GENERATION:5
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT15M
DESCRIPTION:Fill the smoker
END:VALARM
END:VEVENT
BEGIN:VTODO
SUMMARY:Clean hives
DUE:20260601
PERCENT-COMPLETE:40
ATTACH;FMTTYPE=image/png;ENCODING=BASE64;VALUE=BINARY;X-FILENAME="hive.png":aGl2
 ZQ==
ATTACH:https://mill.test/plan.pdf
END:VTODO
BEGIN:VFREEBUSY
FREEBUSY:20260514T080000Z/20260514T090000Z
END:VFREEBUSY
END:VCALENDAR
"""


def read_text(name: str, text: str) -> ExtractedText:
    return read(name, text.encode())


def left_out(document: ExtractedText) -> dict[LeftOutKind, tuple[str, ...]]:
    return {one.kind: one.names for one in document.left_out}


@pytest.mark.parametrize("name", ["bees.ics", "bees.ifb", "bees.vcs"])
def test_each_entry_of_a_calendar_is_a_section(name: str) -> None:
    document = read_text(name, CALENDAR.replace("\n", "\r\n"))
    assert document.title == "Bee club"
    assert document.media_type == "text/calendar"
    assert document.text.split("\n") == [
        "Summary: Honey, wax; candles",
        "Start: 2026-05-14 15:30 (Europe/Berlin)",
        "In place of: 2026-05-13 15:30 UTC",
        "Attendee: Vik: Ann <ann@mill.test>",
        "Description: Bring veils.",
        "And smoke.",
        "Reminder: Fill the smoker",
        "",
        "Summary: Clean hives",
        "Due: 2026-06-01",
        "Percent complete: 40",
        "Attachment: https://mill.test/plan.pdf",
        "",
        "Busy: 2026-05-14 08:00 UTC to 2026-05-14 09:00 UTC",
    ]
    assert [section.path for section in document.sections] == [("Honey, wax; candles",), ("Clean hives",), ()]
    assert left_out(document) == {
        LeftOutKind.PROPERTY: ("X-MOZ-GENERATION",),
        LeftOutKind.ATTACHMENT: ("hive.png",),
    }


def test_lines_are_those_of_the_file() -> None:
    document = read_text("bees.ics", CALENDAR)
    lines, source = document.text.split("\n"), CALENDAR.split("\n")
    assert len(document.file_lines) == len(lines)
    for text, number in zip(lines, document.file_lines, strict=True):
        if text.startswith("Summary"):
            assert source[number - 1].startswith("SUMMARY")
        if text.startswith("Attachment"):
            assert source[number - 1].startswith("ATTACH:")


CARDS = """BEGIN:VCARD
VERSION:2.1
N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:M=FCller;J=F6rg
TEL;CELL;VOICE:+46 70 1
NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:Gr=C3=BC=
=C3=9Fe=0Azwei
END:VCARD
BEGIN:VCARD
VERSION:3.0
N:Vik;Ann;;Dr.;
FN:Dr. Ann Vik
ORG:Mill;Wax
item1.TEL;type=WORK;type=pref:+46 70 2
item1.X-ABLabel:_$!<Workshop>!$_
item2.X-ABDATE:20100203
item2.X-ABLabel:Founded
ADR;TYPE=HOME:;;Dyke 4;Hove;;123;Sweden
BDAY:19700203
PHOTO;ENCODING=b;TYPE=JPEG:AAAA
 BBBB
X-LUNCH:12
END:VCARD
"""


def test_each_card_of_an_address_book_is_a_section() -> None:
    document = read_text("people.vcf", CARDS)
    assert document.media_type == "text/vcard"
    assert document.title == "Müller, Jörg"
    assert document.text.split("\n") == [
        "Name: Müller, Jörg",
        "Telephone (cell): +46 70 1",
        "Note: Grüße",
        "zwei",
        "",
        "Name: Dr. Ann Vik",
        "Organisation: Mill, Wax",
        "Telephone (work): +46 70 2 (Workshop)",
        "Date: 2010-02-03 (Founded)",
        "Address (home): Dyke 4, Hove, 123, Sweden",
        "Birthday: 1970-02-03",
    ]
    assert [section.path for section in document.sections] == [("Müller, Jörg",), ("Dr. Ann Vik",)]
    assert left_out(document) == {LeftOutKind.PICTURE: (), LeftOutKind.PROPERTY: ("X-LUNCH",)}


def test_a_description_in_html_is_read_where_there_is_no_other() -> None:
    body = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Mow\n{}X-ALT-DESC;FMTTYPE=text/html:<p>The <b>meadow</b>.</p>\nEND:VEVENT\n"
    assert read_text("x.ics", body.format("")).text == "Summary: Mow\nDescription: The meadow."
    plain = read_text("x.ics", body.format("DESCRIPTION:All of it.\n"))
    assert plain.text == "Summary: Mow\nDescription: All of it."


def test_other_files_of_these_names_are_read_as_they_are() -> None:
    document = read_text("genes.vcf", "##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t14370\n")
    assert document.text == "##fileformat=VCFv4.2\n#CHROM\tPOS\n1\t14370\n"
    assert document.source_lines


PLACES = {
    **dict.fromkeys(
        """
        SUMMARY DESCRIPTION LOCATION COMMENT CATEGORIES CONTACT RESOURCES RRULE STATUS ORGANIZER ATTENDEE FREEBUSY RDATE GEO
        FN NICKNAME ORG TITLE ROLE TEL EMAIL ADR LABEL URL NOTE BDAY IMPP RELATED ANNIVERSARY X-SOCIALPROFILE N
        """.split()  # noqa: SIM905
    ),
    "X-SOMETHING": LeftOutKind.PROPERTY,
    "FROBNICATE": LeftOutKind.PROPERTY,
    "PHOTO": LeftOutKind.PICTURE,
    "SOUND": LeftOutKind.SOUND,
    "KEY": LeftOutKind.OBJECT,
    "ATTACH;ENCODING=BASE64": LeftOutKind.ATTACHMENT,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("entry", ["VEVENT", "VCARD", "VTODO"])
def test_canaries(place: str, entry: str) -> None:
    kind = PLACES[place]
    document = read_text("x.ics", f"BEGIN:{entry}\nDTSTART:20260101\n{place}:canary\nEND:{entry}\n")
    assert ("canary" in document.text) == (kind is None)
    assert set(left_out(document)) == ({kind} if kind else set())


def test_files_that_break_off_are_read_as_far_as_they_go() -> None:
    document = read_text("x.ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Mow\nDESCRIPTION:The mea")
    assert document.text == "Summary: Mow\nDescription: The mea"


def test_damaged_files_raise_nothing_else() -> None:
    dice = random.Random(3)
    for whole in (CALENDAR.encode(), CARDS.encode()):
        for _ in range(100):
            data = bytearray(whole[: dice.randrange(1, len(whole))])
            for _ in range(dice.randrange(10)):
                data[dice.randrange(len(data))] = dice.choice(b'\n:;=" \\\xffBE')
            with contextlib.suppress(IngestError):
                assert isinstance(read("x.vcf", bytes(data)).text, str)
    assert read_text("x.ics", "BEGIN:VEVENT\n" * 50_000 + "SUMMARY:deep").text == "Summary: deep"
    assert (
        read_text("x.ics", "BEGIN:VEVENT\nSUMMARY:a" + "\n b" * 100_000).text == "Summary: a" + "b" * 100_000
    )
