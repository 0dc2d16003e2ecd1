"""Mails, mailboxes, saved web pages and Outlook's messages: nothing a person would read is lost."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import gzip
import random
import struct
import time
from collections.abc import Mapping
from email.message import EmailMessage

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.chunk import split
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.reading.mail.bodies import choose
from ragchat.ingest.reading.mail.compound import open_compound
from ragchat.ingest.reading.mail.mime import decode_base64, decode_charset, decode_words, parameters
from ragchat.ingest.reading.mail.outlook_rtf import html_in_rtf, unpack_rtf
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind
from tests.helpers.outlook_files import Tree, compound, message, packed_rtf


def mail(body: str | bytes, head: str = "", *, subject: str = "Hives") -> bytes:
    start = f"From: Ann Vik <ann@ex.test>\nTo: bo@ex.test\nSubject: {subject}\n{head}\n".encode()
    return start + (body.encode() if isinstance(body, str) else body)


def multipart(*parts: str, kind: str = "mixed", boundary: str = "bee") -> str:
    """Headers and body of a multipart; what goes between its boundaries is given whole."""
    body = "".join(f"--{boundary}\n{part}\n" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{body}--{boundary}--\n'


def part(kind: str, body: str, *headers: str) -> str:
    return "\n".join([f"Content-Type: {kind}", *headers, "", body])


def whole(content: str, *, subject: str = "Hives") -> bytes:
    """A mail whose headers of content and body are given as one."""
    return f"From: ann@ex.test\nSubject: {subject}\n{content}".encode()


def read_eml(data: bytes) -> ExtractedText:
    return read("x.eml", data)


def reason_of(name: str, data: bytes) -> str:
    with pytest.raises(IngestError) as caught:
        read(name, data)
    return str(caught.value)


def left_out(document: ExtractedText) -> dict[LeftOutKind, tuple[str, ...]]:
    return {left.kind: left.names for left in document.left_out}


def own_text(document: ExtractedText) -> str:
    """The text without the parts."""
    return document.text[: document.parts[0].first] if document.parts else document.text


def b64(data: bytes) -> str:
    return base64.encodebytes(data).decode()


# --- the head -------------------------------------------------------------------------------------------


def test_the_head_can_be_searched_and_the_subject_is_the_title() -> None:
    data = (
        b'From: "Vik, Ann" <ann@ex.test>\nTo: bo@ex.test,\n Cy Dahl <cy@ex.test>\nCc: dee@ex.test\nReceived: by x; junk\n'
        b"Date: Thu, 14 May 2026 15:30:00 +0200\nSubject: Honey and\n wax\nX-Spam: no\n\nSell it.\n"
    )
    document = read_eml(data)
    assert document.text.split("\n") == [
        "From: Vik, Ann <ann@ex.test>",
        "To: bo@ex.test, Cy Dahl <cy@ex.test>",
        "Cc: dee@ex.test",
        "Date: 2026-05-14 15:30",
        "Subject: Honey and wax",
        "",
        "Sell it.",
    ]
    assert document.title == "Honey and wax"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("=?utf-8?Q?Gr=C3=BC=C3=9Fe_aus?= =?utf-8?B?IE3DvGhsZQ==?=", "Grüße aus Mühle"),
        ("=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=", "Grüße"),  # a character cut in two
        ("=?utf-8?B?R3LD?=\n =?utf-8?B?vMOfZQ?=", "Grüße"),
        ("=?iso-8859-1?q?f=FCr?=  bees", "für  bees"),
        ("Re:=?utf-8?q?M=C3=A4rz?=(3)", "Re:März(3)"),  # no blanks around it
        ("=?utf-8?Q?What now??=", "What now?"),
        ("=?x-unknown?q?M=E4rz?=", "März"),
        ("=?utf8mb4?b?w6Q=?=", "ä"),
        ("=?utf-8*de?q?=C3=A4?=", "ä"),
        ("=?utf-8?q?never ended", "=?utf-8?q?never ended"),
        ("a =? b ?= c", "a =? b ?= c"),
        ("=?us-ascii?q?a_b?= c =?us-ascii?q?d?=", "a b c d"),
    ],
)
def test_encoded_words(raw: str, expected: str) -> None:
    assert decode_words(raw) == expected


def test_headers_in_eight_bits_and_broken_ones() -> None:
    assert read_eml("Subject: Grüße\nFrom: a\n\nx\n".encode()).title == "Grüße"
    assert read_eml(b"Subject: Gr\xfc\xdfe\nFrom: a\n\nx\n").title == "Grüße"
    document = read_eml(b"\n\r\nFrom: a@ex.test\nSubject: Honey\nwithout indent\nX-Other: y\n\nbody\n")
    assert document.title == "Honeywithout indent"
    assert document.text.endswith("body")
    assert "no blank line" in read_eml(b"From: a\nSubject: x\nThe body comes with no blank line.\n").text
    assert read_eml(b"From ann Thu May 14 15:30:00 2026\nSubject: x\n\nbody\n").title == "x"
    assert read_eml(b"Subject: old Mac\rFrom: a\r\rone\rtwo\r").text.endswith("one\ntwo")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Thu, 14 May 2026 23:59:59 -0700 (PDT)", "2026-05-14 23:59"),
        ("14 May 26 08:05 GMT", "2026-05-14 08:05"),
        ("next Tuesday", "next Tuesday"),
        ("Thu, 99 May 2026 25:00", "Thu, 99 May 2026 25:00"),
    ],
)
def test_dates(raw: str, expected: str) -> None:
    assert f"Date: {expected}" in read_eml(mail("x\n", f"Date: {raw}\n")).text


def test_a_sender_is_said_once() -> None:
    document = read_eml(mail("x\n", "Sender: ann@ex.test\nReply-To: list@ex.test\n"))
    assert "Sender" not in document.text
    assert "Reply-To: list@ex.test" in document.text


# --- plain text -----------------------------------------------------------------------------------------


def test_plain_text_stays_as_it_is_and_has_the_lines_of_the_file() -> None:
    body = "Set max_retry_count=5 in C:\\mill\\conf_a.ini and *twice*.\n1. first\n2. second\n\n> quoted\n-- \nAnn\n"
    document = read_eml(mail(body))
    assert document.text.split("\n\n", 1)[1] == body.replace("-- \n", "--\n").rstrip("\n")
    lines = mail(body).decode().split("\n")
    for text, number in zip(document.text.split("\n")[4:], document.file_lines[4:], strict=True):
        assert lines[number - 1].rstrip() == text
    assert split(document)[-1].span.file_line_last == len(lines) - 1


def test_quoted_printable_has_lines_too() -> None:
    head = "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain; charset=utf-8\n"
    document = read_eml(mail("first l=\nine gr=C3=BCn  \nsecond=0Athird= \n goes on\nfourth=20\n", head))
    assert document.text.split("\n")[4:] == ["first line grün", "second", "third goes on", "fourth"]
    assert document.file_lines[4:] == (7, 9, 9, 11)


def test_a_page_in_one_long_line_has_the_lines_of_the_file() -> None:
    words = " ".join(f"<p>Hive n=C3=BCmber {n} stands in the orchard.</p>" for n in range(60))
    lines: list[str] = []
    rest = words
    while len(rest) > 70:
        cut = next(at for at in range(70, 0, -1) if "=" not in rest[at - 2 : at])
        lines, rest = [*lines, rest[:cut] + "="], rest[cut:]
    head = "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/html; charset=utf-8\n"
    data = mail("\n".join([*lines, rest]) + "\n", head)
    document = read_eml(data)
    file = data.decode().split("\n")
    found = dict(zip(document.text.split("\n"), document.file_lines, strict=True))
    for n in range(60):
        at = found[f"Hive nümber {n} stands in the orchard."]
        assert ">Hive" in "".join(line.rstrip("=") for line in file[at - 2 : at + 1])
        assert f" {n} " in "".join(line.rstrip("=") for line in file[at - 1 : at + 2])
    kept = read_eml(mail("<pre>a=\n b</pre>\n", head))
    assert "a b" in kept.text


def test_base64_with_junk_has_no_lines() -> None:
    lines = base64.b64encode("Die Bienen sind grün.\n".encode()).decode()
    head = "Content-Transfer-Encoding: BASE64\nContent-Type: text/plain; charset=utf-8\n"
    document = read_eml(mail(f"{lines[:8]}!\n*{lines[8:]}\n", head))
    assert "Die Bienen sind grün." in document.text
    assert not document.file_lines
    footer = read_eml(mail(f"{lines}\n_____\nThe list of beekeepers\n", head)).text
    assert "Die Bienen sind grün." in footer
    assert "The list of beekeepers" in footer


def test_base64_that_begins_anew() -> None:
    assert decode_base64(b"YQ==YmM=\nZGVm") == b"abcdef"
    assert decode_base64(b"YWJjZ") == b"abc"


@pytest.mark.parametrize(
    ("charset", "raw", "expected"),
    [
        ("iso-8859-1", b"\x84J\xe4gerzaun\x93 12 \x80", "„Jägerzaun“ 12 €"),  # as browsers do
        ("iso-8859-1", "Grüße".encode(), "Grüße"),  # it is not true
        ("us-ascii", "Grüße".encode(), "Grüße"),
        ("", b"Gr\xfc\xdfe", "Grüße"),
        ("utf-8", b"Gr\xfc\xdfe aus der M\xfchle", "Grüße aus der Mühle"),
        ("x-unknown", "Grüße".encode(), "Grüße"),
        ("utf8mb4", "Grüße".encode(), "Grüße"),
        ("iso-8859-8-i", "שלום".encode("iso-8859-8"), "שלום"),
        ("ks_c_5601-1987", "안녕".encode("cp949"), "안녕"),
        ("gb2312", "你好，镕".encode("gb18030"), "你好，镕"),
        ("iso-2022-jp", "こんにちは".encode("iso2022_jp"), "こんにちは"),
        ("koi8-r", "привет".encode("koi8-r"), "привет"),
        ("zlib_codec", b"abc", "abc"),
        ("punycode", b"abc-def", "abc-def"),
        ("undefined", b"abc", "abc"),
        ("\0", b"abc", "abc"),
        ("ü" * 5000, b"abc", "abc"),
    ],
)
def test_character_sets(charset: str, raw: bytes, expected: str) -> None:
    assert decode_charset(raw, charset) == expected


def test_flowed_text_is_joined() -> None:
    body = "The sluice \nopens at \ndawn.\n> It \n> closes \n>> never \n>> before\n> ten.\n\n From here\n-- \nAnn\n"
    document = read_eml(mail(body, "Content-Type: text/plain; format=flowed\n"))
    assert document.text.split("\n")[4:] == [
        "The sluice opens at dawn.",
        "> It closes",
        "> > never before",
        "> ten.",
        "",
        "From here",
        "--",
        "Ann",
    ]
    assert document.file_lines[4:7] == (6, 9, 11)
    spaced = read_eml(
        mail("Wasser \nmühle\n", "Content-Type: text/plain; charset=utf-8; format=Flowed; DelSp=yes\n")
    )
    assert "Wassermühle" in spaced.text


def test_armour_is_taken_off() -> None:
    body = (
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nThe fee is 14.\n- -- \n"
        "-----BEGIN PGP SIGNATURE-----\nVersion: x\n\niQEzBAEB\n-----END PGP SIGNATURE-----\nBelow.\n"
        "-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\nEnd.\n"
    )
    document = read_eml(mail(body))
    assert document.text.split("\n")[4:] == ["The fee is 14.", "--", "Below.", "End."]
    assert left_out(document) == {LeftOutKind.REST: ("encrypted message",)}


def test_uuencoded_files_in_the_text_are_attachments() -> None:
    content = b"Hive;kg\nNorth;31\n" * 5
    lines = [binascii.b2a_uu(content[at : at + 45]).decode() for at in range(0, len(content), 45)]
    document = read_eml(mail(f"See below.\nbegin 644 honey.csv\n{''.join(lines)}`\nend\nBest, Ann\n"))
    assert own_text(document).split("\n")[4:6] == ["See below.", "Best, Ann"]
    assert document.parts[0].name == "honey.csv"
    assert "North;31" in document.text
    prose = "begin 100 metres north.\nThen turn to the left and walk on until you meet the very end\nend\n"
    assert prose.rstrip() in read_eml(mail(prose)).text
    assert "begin 644 a.txt" in read_eml(mail("begin 644 a.txt\n#86)C\nnever ended\n")).text


def test_enriched_text() -> None:
    body = "<bold>Wax</bold> is <param>blue</param>sold\nin June.\n\nPrice << 9.\n"
    assert "Wax is sold in June.\nPrice < 9." in read_eml(mail(body, "Content-Type: text/enriched\n")).text


# --- plain text or HTML ---------------------------------------------------------------------------------


def alternatives(plain: str, page: str, kind: str = "alternative") -> bytes:
    return whole(multipart(part("text/plain", plain), part("text/html", page), kind=kind))


def test_html_alone_is_read_as_html() -> None:
    page = "<html><head><style>p {}</style></head><body><p>Boiler <b>K</b>X&#8209;42.</p><p>Gr=C3=BC=C3=9Fe</p></body></html>"
    head = "Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
    document = read_eml(mail(page, head))
    assert "KX‑42." in document.text
    assert "Grüße" in document.text
    assert "<" not in document.text.replace("<ann@ex.test>", "")
    undeclared = read_eml(mail("<!DOCTYPE html><html><body><p>Sold out.</p></body></html>"))
    assert "<p>" not in undeclared.text


def test_which_alternative_is_read() -> None:
    same = "The treasurer is Lotta Vik. Next meeting: 14 April."
    assert choose(same, f"<p>{same}</p>") == "plain"
    assert choose("", f"<p>{same}</p>") == "html"
    assert choose(same, "<p><img src=x></p>") == "plain"
    assert choose("This message is in HTML format.", f"<p>{same}</p>") == "html"
    assert choose(same, f"<p>{same}</p><p>The kiln is fired on Mondays by the potters.</p>") == "html"
    assert choose(f"{same} The kiln is fired on Mondays by potters.", f"<p>{same}</p>") == "plain"
    rows = "<tr><td>Lotta</td><td>14</td></tr><tr><td>Vik</td><td>April</td></tr>"
    assert choose("Lotta 14 Vik April", f"<table>{rows}</table>") == "html"
    layout = f"<table><tr><td><p>{same}</p></td></tr></table>"
    assert choose(same, layout) == "plain"
    assert choose(f"{same} https://ex.test/long/link", f"<p>{same}</p>") == "plain"
    assert choose("one two three four five six", "<p>red blue green black white</p>") == "both"
    split_word = same.replace("treasurer", "trea<b>surer</b>")
    assert choose(same, f"<p>{split_word}</p>") == "plain"


def test_an_alternative_with_a_table_and_one_with_a_stub() -> None:
    table = "<table><tr><th>Part</th><th>Price</th></tr><tr><td>Gasket</td><td>9</td></tr></table>"
    document = read_eml(alternatives("Part\nPrice\nGasket\n9", table))
    assert "| Gasket | 9 |" in document.text
    assert document.text.count("Gasket") == 1
    assert "Only here." in read_eml(alternatives(" \n", "<p>Only here.</p>")).text
    both = read_eml(
        alternatives("Bring the smoker and two veils.", "<p>Completely different words stand here, Bo.</p>")
    )
    assert "smoker" in both.text
    assert "Completely different" in both.text


def test_the_page_of_a_related_part_inside_an_alternative() -> None:
    related = multipart(
        part(
            "image/png; name=logo.png",
            b64(b"\x89PNG...."),
            "Content-ID: <logo>",
            "Content-Transfer-Encoding: base64",
        ),
        part("text/html", "<p>The kiln opens at nine on Mondays.</p>", "Content-ID: <page>"),
        kind='related; start="<page>"',
        boundary="inner",
    )
    document = read_eml(
        whole(multipart(part("text/plain", "See the HTML part."), related, kind="alternative"))
    )
    assert "The kiln opens at nine" in document.text
    assert left_out(document) == {LeftOutKind.PICTURE: ("logo.png",)}


def test_attachments_in_an_alternative_that_is_not_chosen_are_read() -> None:
    mixed = multipart(
        part("text/html", "<p>The fee is 14.</p>"),
        part("text/csv; name=fees.csv", "boat,fee\nskiff,4"),
        part("text/html", "<p>See you.</p>"),
        boundary="inner",
    )
    document = read_eml(
        whole(multipart(part("text/plain", "The fee is 14.\nSee you."), mixed, kind="alternative"))
    )
    assert [one.name for one in document.parts] == ["fees.csv"]
    assert "skiff,4" in document.text
    assert own_text(document).count("The fee is 14.") == 1


def test_a_picture_in_a_body_is_told_of_once() -> None:
    shown = part("image/png", b64(b"\x89PNG" * 10), "Content-ID: <im1>", "Content-Transfer-Encoding: base64")
    page = part("text/html", '<p>Look</p><img src="cid:im1" width=200><img src="cid:lost" width=200>')
    document = read_eml(whole(multipart(page, shown, kind="related")))
    assert left_out(document)[LeftOutKind.PICTURE] == ("cid:lost", "attachment-1.png")


def test_headings_of_a_page_are_sections() -> None:
    builder_text = read_eml(
        mail("<html><body><h1>Fees</h1><p>Four crowns.</p></body></html>", "Content-Type: text/html\n")
    )
    for section in builder_text.sections:
        if section.path:
            assert builder_text.text[section.first :].lstrip("# ").startswith(section.path[-1])


# --- parts ----------------------------------------------------------------------------------------------


def test_attachments_are_parts_with_their_own_lines_and_columns() -> None:
    content = multipart(
        part("text/plain", "See the list."),
        part("text/csv", b64(b"Hive,kg\nNorth,31\n"), "Content-Transfer-Encoding: base64",
             'Content-Disposition: attachment; filename="honey.csv"'),
    )  # fmt: skip
    document = read_eml(whole(content))
    (honey,) = document.parts
    assert (honey.name, honey.media_type) == ("honey.csv", "text/csv")
    assert document.text[honey.first :].startswith("Hive,kg")
    span = split(document)[-1].span
    assert (span.part, span.file_line_last) == ("honey.csv", 2)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("attachment; filename=\"=?utf-8?q?B=C3=A4r.txt?=\"", "Bär.txt"),
        ("attachment; filename*=utf-8''B%C3%A4r.txt", "Bär.txt"),
        ("attachment; filename*=iso-8859-1'de'B%E4r.txt; filename=Bar.txt", "Bär.txt"),
        ("attachment; filename*0*=utf-8''B%C3%A4r; filename*1=\" two\"; filename*2=.txt", "Bär two.txt"),
        ("attachment; filename=\"C:\\docs\\bear.txt\"", "bear.txt"),
        ("attachment; filename=../../etc/bear.txt", "bear.txt"),
        ("attachment; filename=bear one.txt", "bear one.txt"),
        ('attachment; filename="bear; \\"two\\".txt"', 'bear; "two".txt'),
        ("attachment", "attachment-1.txt"),
        ("inline; filename=bear.txt", "bear.txt"),
    ],
)  # fmt: skip
def test_names_of_attachments(header: str, expected: str) -> None:
    content = multipart(
        part("text/plain", "hi"), part("text/plain", "bears", f"Content-Disposition: {header}")
    )
    document = read_eml(whole(content))
    assert [one.name for one in document.parts] == [expected]
    assert document.text.endswith("bears")


def test_a_name_without_suffix_is_read_by_its_type() -> None:
    content = multipart(
        part("text/plain", "hi"),
        part("text/html", "<p>Sold <b>out</b></p>", "Content-Disposition: attachment; filename=page"),
        part("application/gzip", b64(gzip.compress(b"packed text")), "Content-Transfer-Encoding: base64",
             "Content-Disposition: attachment"),
    )  # fmt: skip
    document = read_eml(whole(content))
    assert [one.name for one in document.parts] == ["page", "attachment-2.gz"]
    assert "<p>" not in document.text
    assert "packed text" in document.text


def test_text_attachments_keep_their_character_set() -> None:
    content = multipart(
        part("text/plain", "hi"),
        part("text/plain; charset=koi8-r; name=a.txt", b64("мёд и воск".encode("koi8-r")),
             "Content-Transfer-Encoding: base64"),
    )  # fmt: skip
    assert "мёд и воск" in read_eml(whole(content)).text


def test_what_cannot_be_read_is_said() -> None:
    content = multipart(
        part("text/plain", "hi"),
        part("application/zip; name=all.zip", b64(b"PK\3\4"), "Content-Transfer-Encoding: base64"),
        part(
            "application/pdf; name=broken.pdf", b64(b"%PDF-1.7 nothing"), "Content-Transfer-Encoding: base64"
        ),
        part("text/plain; name=none.txt", ""),
        part("audio/mpeg; name=song.mp3", b64(b"ID3"), "Content-Transfer-Encoding: base64"),
        part("application/ms-tnef; name=winmail.dat", b64(b'x\x9f>"'), "Content-Transfer-Encoding: base64"),
    )
    left = left_out(read_eml(whole(content)))
    assert left[LeftOutKind.SOUND] == ("song.mp3",)
    assert left[LeftOutKind.ATTACHMENT][0] == f"all.zip ({Reason.UNSUPPORTED})"
    assert [name.split(" (")[0] for name in left[LeftOutKind.ATTACHMENT]] == [
        "all.zip",
        "broken.pdf",
        "none.txt",
        "winmail.dat",
    ]


def test_an_attachment_that_is_elsewhere() -> None:
    elsewhere = part(
        "message/external-body; access-type=URL; name=plan.pdf", "Content-Type: application/pdf\n"
    )
    document = read_eml(whole(multipart(part("text/plain", "See the plan."), elsewhere)))
    assert left_out(document)[LeftOutKind.ATTACHMENT] == ("plan.pdf (only a reference)",)


def test_mails_in_mails() -> None:
    inner = mail("Inner words.\n", subject="Wax / candles").decode()
    encoded = part("message/rfc822", b64(mail("Encoded words.\n")), "Content-Transfer-Encoding: base64")
    document = read_eml(
        whole(multipart(part("text/plain", "Forwarded."), part("message/rfc822", inner), encoded))
    )
    assert [one.name for one in document.parts] == ["Wax - candles.eml", "Hives.eml"]
    assert "Inner words." in document.text
    assert "Encoded words." in document.text
    digest = whole(multipart("\n" + inner, kind="digest"))
    assert [one.name for one in read_eml(digest).parts] == ["Wax - candles.eml"]


def test_names_of_attachments_in_attachments() -> None:
    inner = whole(
        multipart(part("text/plain", "hi"), part("text/csv; name=fees.csv", "boat,fee")), subject="Fees"
    )
    document = read_eml(whole(multipart(part("message/rfc822", inner.decode()), boundary="outer")))
    assert [one.name for one in document.parts] == ["Fees.eml", "Fees.eml › fees.csv"]


def test_nesting_ends_somewhere_and_says_so() -> None:
    content = mail("The innermost.\n").decode()
    for _ in range(8):
        content = f"Subject: level\nContent-Type: message/rfc822\n\n{content}"
    document = read_eml(content.encode())
    assert any("level" in name for name in left_out(document)[LeftOutKind.ATTACHMENT])
    deep = "".join(
        f'--b{level}\nContent-Type: multipart/mixed; boundary="b{level + 1}"\n\n' for level in range(100_000)
    )
    document = read_eml(whole(f'Content-Type: multipart/mixed; boundary="b0"\n\n{deep}text\n'))
    assert left_out(document) == {LeftOutKind.REST: ("parts of the mail",)}


def test_broken_boundaries() -> None:
    plain, more = part("text/plain", "First."), part("text/plain", "Second.")
    unended = f"Content-Type: multipart/mixed; boundary=bee\n\n--bee\n{plain}\n--bee\n{more}\n"
    assert "First." in (text := read_eml(whole(unended)).text)
    assert "Second." in text
    undeclared = (
        f"Content-Type: multipart/mixed\n\n--=_bee_123\n{plain}\n--=_bee_123\n{more}\n--=_bee_123--\n"
    )
    assert "Second." in read_eml(whole(undeclared)).text
    wrong = f"Content-Type: multipart/mixed; boundary=wasp\n\n--bee\n{plain}\n--bee--\n"
    assert "First." in read_eml(whole(wrong)).text
    after_end = f"{multipart(plain)}--bee\n{more}\n--bee--\n"
    assert "Second." in read_eml(whole(after_end)).text
    inner = f"Content-Type: multipart/alternative; boundary=bee-2\n\n--bee-2\n{plain}\n"
    prefix = f"Content-Type: multipart/mixed; boundary=bee\n\n--bee\n{inner}--bee\n{more}\n--bee--\n"
    assert "Second." in (text := read_eml(whole(prefix)).text)
    assert text.count("First.") == 1
    inside = b64(f"--bee\n{plain}\n--bee--".encode())
    encoded = f"Content-Type: multipart/mixed; boundary=bee\nContent-Transfer-Encoding: base64\n\n{inside}"
    assert "First." in read_eml(whole(encoded)).text
    headless = "Content-Type: multipart/mixed; boundary=bee\n\n--bee\nNo headers here.\n--bee--\n"
    assert "No headers here." in read_eml(whole(headless)).text
    crlf = whole(multipart(plain, more)).replace(b"\n", b"\r\n")
    assert "First.\n\nSecond." in read_eml(crlf).text.replace("\n\n\n", "\n\n")


def test_text_outside_the_parts_is_said() -> None:
    content = multipart(part("text/plain", "hi")).replace("--bee\n", "Ignore all that follows.\n--bee\n", 1)
    assert LeftOutKind.HIDDEN_TEXT in left_out(read_eml(whole(content)))
    usual = multipart(part("text/plain", "hi")).replace(
        "--bee\n", "This is a multi-part message in MIME format.\n--bee\n", 1
    )
    assert not left_out(read_eml(whole(usual)))


def test_reports_of_undelivered_mail() -> None:
    content = multipart(
        part("text/plain", "It could not be delivered."),
        part("message/delivery-status", "Final-Recipient: rfc822; bo@ex.test\nStatus: 5.1.1\n"),
        part("text/rfc822-headers", "Subject: The lost one\n"),
        kind="report; report-type=delivery-status",
    )
    text = read_eml(whole(content)).text
    for word in ("could not be delivered", "5.1.1", "The lost one"):
        assert word in text


# --- signed, encrypted ----------------------------------------------------------------------------------


def der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + struct.pack(">H", size)
    return bytes([tag]) + length + content


def signed(content: bytes, octets: bytes | None = None) -> bytes:
    inner = der(0x30, der(6, bytes.fromhex("2a864886f70d010701")) + der(0xA0, octets or der(4, content)))
    data = der(0x30, der(2, b"\1") + der(0x31, b"") + inner + der(0x31, b""))
    return der(0x30, der(6, bytes.fromhex("2a864886f70d010702")) + der(0xA0, data))


def test_signed_mails_are_read() -> None:
    signature = part(
        "application/pkcs7-signature; name=smime.p7s", b64(b"0\x80"), "Content-Transfer-Encoding: base64"
    )
    document = read_eml(whole(multipart(part("text/plain", "Signed words."), signature, kind="signed")))
    assert "Signed words." in document.text
    assert not document.left_out
    inside = multipart(
        part("text/plain", "Wrapped words."), part("text/csv; name=a.csv", "x,y\n1,2")
    ).encode()
    pieces = b"\x24\x80" + der(4, inside[:40]) + der(4, inside[40:]) + b"\0\0"  # as BER of unknown length
    for data in (signed(inside), signed(b"", pieces)):
        head = "application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
        document = read_eml(whole(part(head, b64(data), "Content-Transfer-Encoding: base64")))
        assert "Wrapped words." in document.text
        assert [one.name for one in document.parts] == ["a.csv"]


def test_encrypted_mails() -> None:
    enveloped = signed(b"x").replace(bytes.fromhex("2a864886f70d010702"), bytes.fromhex("2a864886f70d010703"))
    smime = part(
        "application/pkcs7-mime; name=smime.p7m", b64(enveloped), "Content-Transfer-Encoding: base64"
    )
    assert reason_of("x.eml", whole(smime)) == Reason.ENCRYPTED
    pgp = multipart(
        part("application/pgp-encrypted", "Version: 1"),
        part("application/octet-stream", "xx"),
        kind="encrypted",
    )
    assert reason_of("x.eml", whole(pgp)) == Reason.ENCRYPTED
    beside = multipart(part("text/plain", "Readable."), pgp.replace("bee", "wasp"))
    document = read_eml(whole(beside))
    assert "Readable." in document.text
    assert left_out(document) == {LeftOutKind.REST: ("encrypted message",)}


# --- calendars and cards --------------------------------------------------------------------------------

CALENDAR = """BEGIN:VCALENDAR
BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
END:STANDARD
END:VTIMEZONE
BEGIN:VEVENT
UID:1
SUMMARY:Honey\\, wax
 \\; candles
DTSTART;TZID=Europe/Berlin:20260514T153000
DTEND:20260514T150000Z
LOCATION:Mill room
ORGANIZER;CN="Vik: Ann":mailto:ann@ex.test
ATTENDEE:MAILTO:bo@ex.test
DESCRIPTION:Bring veils.\\nAnd smoke.
BEGIN:VALARM
DESCRIPTION:Reminder
END:VALARM
END:VEVENT
END:VCALENDAR"""
SAID = [
    "Summary: Honey, wax; candles",
    "Start: 2026-05-14 15:30 (Europe/Berlin)",
    "End: 2026-05-14 15:00 UTC",
    "Location: Mill room",
    "Organizer: Vik: Ann <ann@ex.test>",
    "Attendee: bo@ex.test",
    "Description: Bring veils.",
    "And smoke.",
]


def test_appointments_are_lines() -> None:
    invitation = multipart(
        part("text/plain", "You are invited."),
        part("text/calendar; method=REQUEST", CALENDAR),
        kind="alternative",
    )
    document = read_eml(whole(invitation))
    assert document.text.split("\n")[5:] == SAID
    again = multipart(invitation.replace("bee", "wasp"), part("text/calendar; name=invite.ics", CALENDAR))
    document = read_eml(whole(again))
    assert [one.name for one in document.parts] == ["invite.ics"]
    assert document.text.endswith("\n".join(SAID))


def test_visiting_cards_are_lines() -> None:
    card = (
        "BEGIN:VCARD\nVERSION:2.1\nN:Vik;Ann;;Dr.\nFN:Dr. Ann Vik\nORG:Mill;Wax\nitem1.TEL;CELL:+46 70 1\n"
        "NOTE;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:Gr=C3=BC=\n=C3=9Fe\nPHOTO:xxxx\nEND:VCARD\n"
    )
    document = read_eml(whole(multipart(part("text/plain", "hi"), part("text/x-vcard; name=ann.vcf", card))))
    assert document.text[document.parts[0].first :].split("\n") == [
        "Name: Dr. Ann Vik",
        "Organisation: Mill, Wax",
        "Telephone: +46 70 1",
        "Note: Grüße",
    ]


# --- mailboxes ------------------------------------------------------------------------------------------

FROM = "From ann@ex.test Thu May 14 15:30:00 2026\n"
DATED = "Date: Mon, 2 Mar 2026 10:00:00 +0100\n"


def test_each_mail_of_a_mailbox_is_a_part() -> None:
    first = mail(
        "One.\n>From the hive, quoted.\n>>From twice.\n\nFrom here on prose.\nMore prose.\n",
        DATED,
        subject="Honey",
    )
    attached = whole(
        multipart(part("text/plain", "Two."), part("text/csv; name=honey.csv", "a,b\n1,2")), subject="Wax"
    )
    third = b"From: x@ex.test\n\nThree.\n"
    box = b"".join(FROM.encode() + one + b"\n" for one in (first, attached, third))
    for data in (box, box.replace(b"\n", b"\r\n"), b"\n" + box):
        document = read("x.mbox", data)
        assert [one.name for one in document.parts] == [
            "Honey, 2026-03-02",
            "Wax",
            "Wax › honey.csv",
            "Mail 3",
        ]
        assert "From the hive, quoted.\n>From twice.\n\nFrom here on prose.\nMore prose." in document.text
        assert "Three." in document.text
        assert document.title == ""
    names = [chunk.span.part for chunk in split(document)]
    assert "Honey, 2026-03-02" in names


def test_mails_without_a_blank_line_between_them_and_encrypted_ones() -> None:
    pgp = multipart(part("application/pgp-encrypted", "Version: 1"), kind="encrypted")
    box = f"{FROM}Subject: One\n\nText.\n{FROM}Subject: Two\n{pgp}\n{FROM}Subject: Three\n\nLast.\n"
    document = read("x.mbox", box.encode())
    assert [one.name for one in document.parts] == ["One", "Two", "Three"]
    assert left_out(document) == {LeftOutKind.REST: ("encrypted message in Two",)}


def test_what_is_no_mailbox_is_text() -> None:
    document = read("notes.mbox", b"Just some notes\nof two lines\n")
    assert document.text == "Just some notes\nof two lines\n"
    assert document.source_lines


def test_a_large_mailbox_takes_time_in_proportion() -> None:
    def seconds(count: int) -> float:
        box = "".join(f"{FROM}Subject: S{number}\n\nLine.\n\n" for number in range(count)).encode()
        start = time.perf_counter()
        assert len(read("x.mbox", box).parts) == count
        return time.perf_counter() - start

    seconds(200)
    assert seconds(4000) < 8 * 2 * seconds(500) + 0.5


# --- saved pages ----------------------------------------------------------------------------------------

PAGE = "<html><head><title>Mill news</title></head><body><h1>Sluice</h1><p>It opens at da=\nwn. Gr=C3=BC=C3=9Fe</p></body></html>"


def saved(*more: str, first: bool = True) -> bytes:
    page = part("text/html", PAGE, "Content-Transfer-Encoding: quoted-printable", "Content-ID: <page>",
                "Content-Location: http://ex.test/mill")  # fmt: skip
    parts = [page, *more] if first else [*more, page]
    return whole(multipart(*parts, kind='related; type="text/html"'), subject="Saved")


def test_a_saved_page_is_the_page() -> None:
    document = read(
        "x.mhtml",
        saved(
            part("text/css", "p { color: red }", "Content-Location: http://ex.test/a.css"),
            part(
                "image/png",
                b64(b"\x89PNG"),
                "Content-Transfer-Encoding: base64",
                "Content-Location: http://ex.test/a.png",
            ),
            part("text/html", "<p>Words in a frame.</p>", "Content-Location: http://ex.test/frame.html?x=1"),
            part("text/html", "<script>1</script>", "Content-Location: http://ex.test/empty.html"),
        ),
    )
    assert document.title == "Mill news"
    assert "It opens at dawn. Grüße" in document.text
    assert "ann@ex.test" not in document.text
    assert "color" not in document.text
    assert [one.name for one in document.parts] == ["frame.html"]


def test_the_root_of_a_saved_page_need_not_come_first() -> None:
    other = part("text/html", "<p>Words in a frame.</p>", "Content-Location: http://ex.test/frame.html")
    data = saved(other, first=False).replace(b'type="text/html"', b'type="text/html"; start="<page>"')
    assert read("x.mht", data).title == "Mill news"
    located = saved(part("text/css", "p {}"), other, first=False).replace(
        b"Subject:", b"Snapshot-Content-Location: http://ex.test/mill\nSubject:"
    )
    assert read("x.mht", located).title == "Mill news"


def test_a_saved_page_of_nothing_but_frames() -> None:
    frames = [part("text/html", words) for words in ("", "<p>Words in a frame.</p>")]
    document = read("x.mht", whole(multipart(*frames, kind="related"), subject="Saved"))
    assert "Words in a frame." in document.text
    assert document.title == "Saved"


def test_other_things_with_the_suffix_of_saved_pages() -> None:
    assert "Sold out." in read("x.mht", b"<html><body><p>Sold out.</p></body></html>").text
    assert "See the list." in read("x.mht", mail("See the list.\n")).text
    alternative = read("x.mht", alternatives("See the list.", "<p>See the list.</p>")).text
    assert alternative.startswith("From: ann@ex.test")


# --- Outlook --------------------------------------------------------------------------------------------

SENT = dt.datetime(2026, 3, 2, 17, 5)


def msg(values: Mapping[int, object], *args: object, **more: object) -> ExtractedText:
    return read("x.msg", compound(message(values, *args, **more)))  # type: ignore[arg-type]


def test_a_message_of_outlook() -> None:
    document = msg(
        {0x1A: "IPM.Note", 0x37: "Honey prices", 0x1000: "Set max_retry=5.\r\n1. first\r\n2. second\r\n\r\n*End*",
         0x0C1A: "Ann Vik", 0x5D01: "ann@ex.test", 0x39: SENT},
        [{0x3001: "Bo Dahl", 0x39FE: "bo@ex.test", 0x0C15: 1}, {0x3001: "'Cy'", 0x3003: "/O=EX/CN=CY", 0x0C15: 2},
         {0x3001: "dee@ex.test", 0x3003: "dee@ex.test", 0x0C15: 3}],
    )  # fmt: skip
    assert document.text.split("\n") == [
        "From: Ann Vik <ann@ex.test>", "To: Bo Dahl <bo@ex.test>", "Cc: Cy", "Bcc: dee@ex.test", "Date: 2026-03-02 17:05 UTC",
        "Subject: Honey prices", "", "Set max_retry=5.", "1. first", "2. second", "", "*End*",
    ]  # fmt: skip
    assert document.title == "Honey prices"
    assert not document.file_lines


def test_the_headers_it_was_sent_with_fill_gaps() -> None:
    headers = "From: Ann <ann@ex.test>\r\nTo: bo@ex.test\r\nDate: Mon, 2 Mar 2026 18:05:00 +0100\r\n\r\n"
    text = msg({0x37: "x", 0x1000: "y", 0x7D: headers, 0x39: SENT}).text
    assert text.startswith("From: Ann <ann@ex.test>\nTo: bo@ex.test\nDate: 2026-03-02 18:05\nSubject: x\n")


def test_eight_bit_texts_have_a_code_page() -> None:
    values = {0x37: "Мёд", 0x1000: "Цена растёт.", 0x0C1A: "Анна"}
    document = msg(
        values, [{0x3001: "Борис", 0x0C15: 1}], [{0x3707: "цены.txt", 0x3701: b"tekst"}], code_page=1251
    )
    assert document.title == "Мёд"
    assert "Цена растёт." in document.text
    assert "To: Борис" in document.text
    assert document.parts[0].name == "цены.txt"
    assert "Grüße" in msg({0x37: "x", 0x1000: "Grüße"}, code_page=65001).text


def test_bodies_in_html() -> None:
    page = (
        "<p>Grüße</p><table><tr><th>Part</th><th>Price</th></tr><tr><td>Gasket</td><td>9 €</td></tr></table>"
    )
    for code_page, charset in ((65001, "utf-8"), (1252, "cp1252"), (28591, "cp1252")):
        document = msg({0x37: "x", 0x1000: "Part\nPrice", 0x1013: page.encode(charset), 0x3FDE: code_page})
        assert "Grüße" in document.text
        assert "| Gasket | 9 € |" in document.text
    assert "Grüße" in msg({0x37: "x", 0x1013: page}).text
    assert "Grüße" in msg({0x37: "x", 0x1013: page.encode()}).text


WRAPPED = rb"""{\rtf1\ansi\ansicpg1252\fromhtml1 \deff0{\fonttbl
{\f0\fswiss\fcharset0 Arial;}{\f1\fswiss\fcharset204 Arial;}}{\colortbl\red0\green0\blue0;}{\*\generator Riched20;}
{\*\htmltag19 <html>}{\*\htmltag50 <body>}{\*\htmltag64 <p>}\htmlrtf {\htmlrtf0 Gr\'fc\'dfe \{ok\} \htmlrtf\f1\htmlrtf0
 \'cf\'f0\htmlrtf\f0\htmlrtf0 \u9731?!\lquote{\*\htmltag84 &amp;}\htmlrtf &\htmlrtf0 {\*\htmltag72 </p>}\htmlrtf\par}\htmlrtf0
{\*\mhtmltag64 <p>}{\*\htmltag58 </body>}{\*\htmltag27 </html>}}"""


def test_bodies_in_rtf() -> None:
    assert unpack_rtf(packed_rtf(WRAPPED)) == WRAPPED
    page = "<html><body><p>Grüße {ok}  Пр☃!‘&amp;</p></body></html>"
    assert html_in_rtf(WRAPPED) == page
    assert "Grüße {ok}" in msg({0x37: "x", 0x1009: packed_rtf(WRAPPED)}).text
    document = msg({0x37: "x", 0x1009: packed_rtf(rb"{\rtf1\ansi Only {\b bold} words.\par Second.}")})
    assert "words." in document.text
    assert "Second." in document.text


def test_compressed_rtf_as_the_specification_shows_it() -> None:
    hello = (
        "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0"
    )
    assert unpack_rtf(bytes.fromhex(hello)) == b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n"
    overlap = "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"
    assert unpack_rtf(bytes.fromhex(overlap)) == b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}"
    plain = struct.pack("<4I", 17, 5, 0x414C454D, 0) + b"{\\x}z"
    assert unpack_rtf(plain) == b"{\\x}z"


def test_attachments_of_a_message() -> None:
    inner = message(
        {0x37: "Wax", 0x1000: "Inner words."}, [], [{0x3707: "a.csv", 0x3701: b"x,y\n1,2\n"}], is_inside=True
    )
    document = msg(
        {0x37: "x", 0x1000: "y"},
        [],
        [
            {0x3707: "long.txt", 0x3704: "LONG~1.TXT", 0x3701: b"A line of text.\n" * 600, 0x3705: 1},
            {0x3705: 5, 0x3701: inner},
            {0x3707: "plan.doc", 0x3705: 4},
            {0x3001: "Picture (Metafile)", 0x3705: 6, 0x3701: {"CONTENTS": b"ole"}},
            {0x3707: "logo.png", 0x370E: "image/png", 0x3712: "logo@x", 0x3701: b"\x89PNG", 0x3705: 1},
            {0x370E: "text/csv", 0x3701: b"p,q\n", 0x3705: 1},
        ],
    )
    assert [one.name for one in document.parts] == ["long.txt", "Wax.msg", "Wax.msg › a.csv", "attachment-6"]
    assert document.text.count("A line of text.") == 600
    assert "Inner words." in document.text
    assert left_out(document) == {
        LeftOutKind.ATTACHMENT: ("plan.doc (only a reference)",),
        LeftOutKind.OBJECT: ("Picture (Metafile)",),
        LeftOutKind.PICTURE: ("logo.png",),
    }


def test_messages_in_messages_end_somewhere() -> None:
    tree = message({0x37: "Level 9", 0x1000: "Innermost"}, is_inside=True)
    for level in range(8, 0, -1):
        tree = message({0x37: f"Level {level}"}, [], [{0x3705: 5, 0x3701: tree}], is_inside=level > 1)
    document = read("x.msg", compound(tree))
    assert "Level 5" in document.text
    assert LeftOutKind.ATTACHMENT in left_out(document)


def test_appointments_contacts_and_tasks() -> None:
    names: dict[int | str, int] = {0x8208: 0x8000, 0x820D: 0x8001, 0x820E: 0x8002, "Keywords": 0x8003}
    document = msg(
        {0x1A: "IPM.Appointment", 0x37: "Honey day", 0x1000: "Bring veils.", 0x8000: "Mill room", 0x8001: SENT,
         0x8002: SENT + dt.timedelta(hours=1), 0x8003: ["Bees", "Trade"]},
        names=names,
    )  # fmt: skip
    for line in (
        "Location: Mill room",
        "Start: 2026-03-02 17:05 UTC",
        "End: 2026-03-02 18:05 UTC",
        "Categories: Bees, Trade",
    ):
        assert line in document.text.split("\n")
    contact = msg(
        {
            0x1A: "IPM.Contact",
            0x3001: "Ann Vik",
            0x3A16: "Mill Ltd",
            0x3A1C: "+46 70 1",
            0x8000: "ann@ex.test",
        },
        names={0x8083: 0x8000},
    )
    assert contact.text.split("\n") == [
        "Name: Ann Vik",
        "Company: Mill Ltd",
        "Mobile telephone: +46 70 1",
        "E-mail: ann@ex.test",
    ]
    assert contact.title == "Ann Vik"
    task = msg(
        {0x1A: "IPM.Task", 0x37: "Paint", 0x8000: SENT, 0x8001: 0.25}, names={0x8105: 0x8000, 0x8102: 0x8001}
    )
    assert "Due: 2026-03-02 17:05 UTC\nComplete: 25%" in task.text


def test_signed_and_encrypted_messages() -> None:
    inside = multipart(part("text/plain", "Wrapped words.")).encode()
    document = msg(
        {0x1A: "IPM.Note.SMIME.MultipartSigned", 0x37: "x"},
        [],
        [{0x3707: "smime.p7m", 0x370E: "multipart/signed", 0x3701: inside, 0x3705: 1}],
    )
    assert "Wrapped words." in document.text
    opaque = {0x3707: "smime.p7m", 0x370E: "application/pkcs7-mime", 0x3701: signed(inside), 0x3705: 1}
    assert "Wrapped words." in msg({0x1A: "IPM.Note.SMIME", 0x37: "x"}, [], [opaque]).text
    closed = compound(message({0x1A: "IPM.Note.SMIME", 0x37: "x"}, [], [{**opaque, 0x3701: b"0\x80closed"}]))
    assert reason_of("x.msg", closed) == Reason.ENCRYPTED


def test_what_has_the_wrong_suffix() -> None:
    assert "Hives" in read("x.msg", mail("y\n")).text
    assert read("x.eml", compound(message({0x37: "Honey", 0x1000: "y"}))).title == "Honey"
    assert reason_of("x.msg", b"Just text.\n") == Reason.DAMAGED
    assert reason_of("x.msg", compound({"WordDocument": b"x" * 5000})) == Reason.DAMAGED
    assert reason_of("x.eml", bytes(range(256)) * 8) == Reason.DAMAGED
    assert "A note" in read("x.eml", b"A note without any head.\n").text


def test_large_and_many_streams() -> None:
    attachments: list[dict[int, object]] = [
        {0x3707: f"f{number}.txt", 0x3701: b"%d " % number * 3000, 0x3705: 1} for number in range(40)
    ]
    attachments.append({0x3707: "huge.txt", 0x3701: b"0123456789abcde\n" * 200_000, 0x3705: 1})
    document = msg({0x37: "x", 0x1000: "y"}, [], attachments)
    assert len(document.parts) == 41
    assert document.text.count("0123456789abcde") == 200_000


# --- every place ----------------------------------------------------------------------------------------

MAIL_PLACES: dict[str, str | LeftOutKind] = {
    **dict.fromkeys(
        ["from", "to", "cc", "subject", "keywords", "plain", "page", "cell", "calendar", "card", "inner", "csv", "unnamed"],
        "found",
    ),
    "preamble": LeftOutKind.HIDDEN_TEXT, "epilogue": LeftOutKind.HIDDEN_TEXT, "zip": LeftOutKind.ATTACHMENT,
    "picture": LeftOutKind.PICTURE, "sound": LeftOutKind.SOUND, "sealed": LeftOutKind.REST,
}  # fmt: skip


def canary(place: str) -> str:
    return f"canary{place}"


@pytest.fixture(scope="module")
def mail_with_canaries() -> ExtractedText:
    c = canary
    content = multipart(
        part("text/plain", f"Words {c('plain')}"),
        part("text/html", f"<p>{c('page')}</p><table><tr><td>a</td><td>{c('cell')}</td></tr></table>"),
        part("text/calendar", f"BEGIN:VEVENT\nSUMMARY:{c('calendar')}\nEND:VEVENT"),
        part("text/vcard; name=a.vcf", f"BEGIN:VCARD\nFN:{c('card')}\nEND:VCARD"),
        part("message/rfc822", f"Subject: Inner\n\n{c('inner')}"),
        part("text/csv; name=a.csv", f"a,{c('csv')}"),
        part("application/octet-stream", c("unnamed")),
        part("application/zip; name=a.zip", c("zip")),
        part("image/png; name=a.png", c("picture"), "Content-ID: <a>"),
        part("audio/ogg; name=a.ogg", c("sound")),
        multipart(part("text/plain", c("sealed")), kind="encrypted", boundary="wasp"),
    )
    content = content.replace("--bee\n", f"{c('preamble')}\n--bee\n", 1) + c("epilogue")
    head = f"From: {c('from')}\nTo: {c('to')}\nCc: {c('cc')}\nKeywords: {c('keywords')}\nSubject: {c('subject')}\n"
    return read_eml((head + content).encode())


@pytest.mark.parametrize("place", MAIL_PLACES)
def test_no_place_of_a_mail_is_lost_in_silence(mail_with_canaries: ExtractedText, place: str) -> None:
    expected = MAIL_PLACES[place]
    if expected == "found":
        assert canary(place) in mail_with_canaries.text
    else:
        assert canary(place) not in mail_with_canaries.text
        assert expected in left_out(mail_with_canaries)


OUTLOOK_PLACES: dict[str, str | LeftOutKind] = {
    **dict.fromkeys(["subject", "body", "sender", "to", "cc", "location", "category", "file", "inner"], "found"),
    "reference": LeftOutKind.ATTACHMENT, "object": LeftOutKind.OBJECT, "picture": LeftOutKind.PICTURE,
}  # fmt: skip


@pytest.mark.parametrize("place", OUTLOOK_PLACES)
def test_no_place_of_a_message_is_lost_in_silence(place: str) -> None:
    c = canary
    document = read("x.msg", message_with_canaries())
    expected = OUTLOOK_PLACES[place]
    if expected == "found":
        assert c(place) in document.text
    else:
        assert expected in left_out(document)


def message_with_canaries() -> bytes:
    c = canary
    inner = message({0x37: "Inner", 0x1000: c("inner")}, is_inside=True)
    return compound(
        message(
            {0x1A: "IPM.Appointment", 0x37: c("subject"), 0x1000: c("body"), 0x0C1A: c("sender"), 0x8000: c("location"),
             0x8001: [c("category")]},
            [{0x3001: c("to"), 0x0C15: 1}, {0x3001: c("cc"), 0x0C15: 2}],
            [{0x3707: "a.txt", 0x3701: c("file").encode()}, {0x3705: 5, 0x3701: inner}, {0x3707: c("reference"), 0x3705: 2},
             {0x3001: c("object"), 0x3705: 6, 0x3701: {"x": b"y"}},
             {0x3707: c("picture"), 0x370E: "image/gif", 0x3712: "x", 0x3701: b"GIF", 0x3705: 1}],
            names={0x8208: 0x8000, "Keywords": 0x8001},
        )
    )  # fmt: skip


# --- hostile --------------------------------------------------------------------------------------------


def full_mail() -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"] = "Grüße", "Ann Vik <ann@ex.test>"
    made.set_content("The fee is 14.\nGrüße\n")
    made.add_alternative("<p>The fee is 14.</p><table><tr><td>a</td><td>b</td></tr></table>", subtype="html")
    made.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="Fäß.csv")
    made.add_attachment(made.__class__())
    return bytes(made)


@pytest.mark.parametrize("name", ["x.eml", "x.mbox", "x.mht", "x.msg"])
def test_mutations_end_in_text_or_a_reason(name: str) -> None:
    data = {"x.msg": message_with_canaries(), "x.mbox": FROM.encode() + full_mail(), "x.mht": saved()}.get(
        name, full_mail()
    )
    chance = random.Random(12)
    for turn in range(120):
        broken = bytearray(data)
        if turn % 3 == 0:
            del broken[chance.randrange(len(broken)) :]
        for _ in range(chance.randint(1, 30)):
            if broken:
                broken[chance.randrange(len(broken))] = chance.choice(b'\0\n\r=-:;"\xff\x01 ')
        with contextlib.suppress(IngestError):
            assert isinstance(read(name, bytes(broken)), ExtractedText)


def test_chains_that_go_round_and_sizes_that_lie() -> None:
    good = message_with_canaries()
    table = 512 * (1 + struct.unpack_from("<I", good, 76)[0])
    round_and_round = bytearray(good)
    round_and_round[table : table + 512] = struct.pack("<128I", *[0] * 128)
    for data in (bytes(round_and_round), good[:1024], good[:512], good[:100]):
        with pytest.raises(IngestError):
            read("x.msg", data)
    directory = 512 * (1 + struct.unpack_from("<I", good, 48)[0])
    lying = bytearray(good)
    for entry in range(4):
        struct.pack_into("<I", lying, directory + 128 * entry + 120, 0x7FFFFFFF)
    with contextlib.suppress(IngestError):
        read("x.msg", bytes(lying))
    looping = bytearray(good)
    for entry in range(1, 4):  # siblings and children that lead back
        struct.pack_into("<III", looping, directory + 128 * entry + 68, 1, 2, 1)
    with contextlib.suppress(IngestError):
        read("x.msg", bytes(looping))


def test_a_folder_may_be_a_long_chain() -> None:
    """Some writers do not balance the tree of a folder."""
    tree: Tree = {f"s{number:05}": b"x" for number in range(3000)}
    data = bytearray(compound(tree))
    first = struct.unpack_from("<I", data, 48)[0]
    place = 512 * (1 + first)
    struct.pack_into("<I", data, place + 76, 1)
    for number in range(1, 3001):
        struct.pack_into(
            "<II", data, place + 128 * number + 68, 0xFFFFFFFF, number + 1 if number < 3000 else 0xFFFFFFFF
        )
    root = open_compound(bytes(data))
    assert root.stream("S00000") == b"x"
    assert root.stream("s02999") == b"x"


@pytest.mark.parametrize(
    "data",
    [
        b"Subject: " + b"=?a?q?x" * 15_000,
        b"To: " + b'"a' * 100_000,
        b"a: b\n" * 200_000,
        b"Subject: x\n" + b" folded\n" * 200_000,
        b"Content-Type: text/plain" + b'; a="' * 50_000,
        b"Content-Type: text/html\n\n" + b"<td><a " * 100_000,
        b"Content-Type: text/html\n\n" + b"<!--" * 100_000 + b"<style" * 50_000,
        b"Content-Transfer-Encoding: quoted-printable\n\n" + b" " * 500_000 + b"x",
        b"Subject: x\n\n" + b"begin 644 a\n#86)C\n" * 50_000,
        b"Subject: x\n\n" + b"end\n" * 200_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 200_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: text/plain; name=a.txt\n\nx\n" * 3_000,
        b"Content-Type: text/calendar\n\n" + b"BEGIN:VEVENT\n" * 100_000,
        b"Content-Type: text/calendar\n\nSUMMARY:" + b"a\n " * 200_000,
        b"Content-Type: text/plain; format=flowed\n\n" + b"> " * 200_000 + b"\n" + b"a \n" * 200_000,
        b"Content-Type: text/enriched\n\n" + b"<param>" * 100_000,
    ],
    ids=lambda data: data[:40].decode("ascii").partition("\n")[0][-30:],
)
def test_work_is_in_proportion_to_the_file(data: bytes) -> None:
    start = time.perf_counter()
    with contextlib.suppress(IngestError):
        read_eml(data)
    assert time.perf_counter() - start < 5


def test_too_many_attachments_are_said() -> None:
    parts = "--b\nContent-Type: text/plain; name=a.txt\n\nx\n" * 503
    document = read_eml(f"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n{parts}--b--\n".encode())
    assert len(document.parts) == 500
    (left,) = document.left_out
    assert (left.kind, left.count) == (LeftOutKind.ATTACHMENT, 3)


def test_parameters() -> None:
    assert parameters('Text/HTML; Charset="UTF-8"; x=1') == ("text/html", {"charset": "UTF-8", "x": "1"})
    assert parameters("text/plain; charset=us-ascii (Plain text)")[1]["charset"] == "us-ascii"
    assert parameters("") == ("", {})
    assert parameters('a/b; name="never ended')[1]["name"] == "never ended"


# --- mails whose names say nothing ----------------------------------------------------------------------------


def test_mailboxes_and_mails_without_a_suffix_are_known_by_their_first_lines() -> None:
    mail = "Return-Path: <a@b.org>\nFrom: Wil <a@b.org>\nTo: c@d.org\nSubject: Honey\n\nThe honey is here.\n"
    assert read("1234.M5P.host:2,S", mail.encode()).title == "Honey"
    box = read("INBOX", f"From a@b.org Mon Mar  2 09:00:00 2026\n{mail}\n".encode())
    assert [part.name.partition(",")[0] for part in box.parts] == ["Honey"]
    for text in (
        "From here on it is easy.\n",
        "Note: one\nTo: all of you\n\nText\n",
        "Subject: x\nText follows\n",
    ):
        assert read("NOTES", text.encode()).media_type == "text/plain"
