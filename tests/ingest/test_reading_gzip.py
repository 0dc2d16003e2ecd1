"""Files in .gz: read as what they hold, unpacked within bounds."""

from __future__ import annotations

import contextlib
import gzip
import random
import struct
import zlib

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading import gzipped
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText

TEXT = "mill (2.1-3) stable; urgency=low\n\n  * The sluice opens at dawn.\n"


def reason_of(name: str, data: bytes) -> str:
    with pytest.raises(IngestError) as caught:
        read(name, data)
    return str(caught.value)


def member(text: str, name: str = "", *, extra: bytes = b"") -> bytes:
    """A gzip member as the tool writes it, with a name in its header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = text.encode()
    flags = (8 if name else 0) | (4 if extra else 0)
    head = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, flags, 0, 2, 3)
    head += struct.pack("<H", len(extra)) + extra if extra else b""
    head += name.encode("latin-1") + b"\0" if name else b""
    return (
        head
        + packer.compress(content)
        + packer.flush()
        + struct.pack("<II", zlib.crc32(content), len(content))
    )


@pytest.mark.parametrize(
    "name", ["changelog.gz", "README.gz", "changelog.Debian.gz", "mill.1.gz", "NOTES.TXT.GZ"]
)
def test_the_text_inside_is_read_with_its_own_lines(name: str) -> None:
    document = read(name, gzip.compress(TEXT.encode()))
    assert document.text == TEXT
    assert document.source_lines


def test_the_reader_is_that_of_the_file_inside() -> None:
    page = gzip.compress(
        b"<html><title>Mill</title><body><h1>Sluice</h1><p>It opens at dawn.</p></body></html>"
    )
    document = read("index.html.gz", page)
    assert "<" not in document.text
    assert "It opens at dawn." in document.text
    assert document.title == "Mill"
    csv = read("fees.csv.gz", gzip.compress(b"boat,fee\nskiff,4\n"))
    assert csv.media_type == "text/csv"


def test_the_name_in_the_header_counts_where_the_outer_one_says_nothing() -> None:
    assert read("backup.gz", member("boat,fee\nskiff,4\n", "fees.csv")).media_type == "text/csv"
    assert (
        read("backup.gz", member("boat,fee\nskiff,4\n", "fees.csv", extra=b"AB\x02\0xy")).media_type
        == "text/csv"
    )
    assert read("fees.txt.gz", member("boat,fee\nskiff,4\n", "fees.csv")).media_type == "text/plain"
    assert reason_of("backup.gz", member("x", "backup.tar")) == Reason.UNSUPPORTED


def test_members_are_joined_and_what_follows_them_is_left() -> None:
    data = member("first half\n") + member("second half\n")
    assert read("log.gz", data).text == "first half\nsecond half\n"
    assert read("log.gz", data + b"\0" * 600).text == "first half\nsecond half\n"
    assert read("log.gz", data + b"garbage").text == "first half\nsecond half\n"


def test_many_members_and_large_ones() -> None:
    lines = [f"line {number} of the log\n" for number in range(60_000)]
    blocks = ["".join(lines[start : start + 500]) for start in range(0, 60_000, 500)]
    assert read("big.log.gz", b"".join(map(member, blocks))).text == "".join(lines)
    assert read("big.log.gz", member("".join(lines))).text == "".join(lines)


def test_what_is_cut_or_broken_is_damaged() -> None:
    data = gzip.compress(TEXT.encode() * 50)
    for end in range(1, len(data), 7):
        assert reason_of("notes.txt.gz", data[:end]) == Reason.DAMAGED
    assert reason_of("notes.txt.gz", data[:-6] + b"\0" + data[-5:]) == Reason.DAMAGED
    assert reason_of("notes.txt.gz", b"plain text, no gzip\n") == Reason.DAMAGED


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reason_of("zeros.txt.gz", gzip.compress(b"0" * 21_000_000)) == Reason.BOMB
    monkeypatch.setattr(gzipped, "_LARGEST_UNPACKED", 2_000_000)
    assert reason_of("large.txt.gz", gzip.compress(random.Random(1).randbytes(2_000_001), 1)) == Reason.BOMB
    monkeypatch.undo()
    twenty = "It opens at dawn.\n" * 1_000_000
    assert len(read("nineteen.txt.gz", gzip.compress(twenty.encode())).text) == len(twenty)


def test_other_refusals() -> None:
    assert reason_of("data.bin2.gz", gzip.compress(bytes(range(256)) * 20)) == Reason.BINARY
    assert reason_of("nothing.txt.gz", gzip.compress(b"")) == Reason.EMPTY
    nested = gzip.compress(TEXT.encode())
    for _ in range(6):
        nested = gzip.compress(nested)
    assert reason_of("x.txt" + ".gz" * 7, nested) == Reason.UNSUPPORTED
    assert read("x.txt.gz.gz", gzip.compress(gzip.compress(TEXT.encode()))).text == TEXT


def test_mutations_end_in_text_or_a_reason() -> None:
    data = bytearray(member(TEXT * 20, "notes.txt"))
    chance = random.Random(12)
    for _ in range(200):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        with contextlib.suppress(IngestError):
            assert isinstance(read("notes.gz", bytes(broken)), ExtractedText)
