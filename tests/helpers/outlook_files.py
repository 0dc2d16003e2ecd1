"""Makes small .msg files: a writer of compound files (OLE), and Outlook's properties in them."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Mapping
from typing import Any

Tree = dict[str, Any]
"""Streams (bytes) and folders (more of the same) by name."""

_END, _FREE, _FAT, _NONE = 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFFD, 0xFFFFFFFF


def compound(tree: Tree) -> bytes:
    """A compound file with sectors of 512 bytes."""
    entries: list[list[Any]] = [["Root Entry", 5, _NONE, _NONE, _NONE, b""]]
    _add(entries, tree, 0)
    sectors: list[bytes] = []
    table: list[int] = []

    def store(content: bytes) -> int:
        if not content:
            return _END
        first, pieces = len(sectors), [content[at : at + 512] for at in range(0, len(content), 512)]
        for number, piece in enumerate(pieces):
            sectors.append(piece.ljust(512, b"\0"))
            table.append(first + number + 1 if number + 1 < len(pieces) else _END)
        return first

    mini, mini_table = bytearray(), list[int]()
    places: list[tuple[int, int]] = []
    for _, kind, *_, content in entries:
        if kind == 2 and 0 < len(content) < 4096:
            count = -(-len(content) // 64)
            places.append((len(mini_table), len(content)))
            mini_table += [len(mini_table) + number + 1 for number in range(count - 1)] + [_END]
            mini += content.ljust(count * 64, b"\0")
        else:
            places.append((store(content), len(content)))
    places[0] = (store(bytes(mini)), len(mini))
    first_mini = store(struct.pack(f"<{len(mini_table)}I", *mini_table))
    directory = b"".join(_entry(entry, *place) for entry, place in zip(entries, places, strict=True))
    first_directory = store(directory)
    count = 1
    while count * 128 < len(table) + count:
        count += 1
    fat = [len(sectors) + number for number in range(count)]
    table += [_FAT] * count
    table += [_FREE] * (count * 128 - len(table))
    raw = struct.pack(f"<{len(table)}I", *table)
    sectors += [raw[at : at + 512] for at in range(0, len(raw), 512)]
    head = struct.pack(
        "<8s16xHHHHH6xII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0x3E, 3, 0xFFFE, 9, 6, 0, count
    )
    head += struct.pack("<5I", first_directory, 0, 4096, first_mini, max(1, -(-len(mini_table) // 128)))
    head += struct.pack("<2I", _END, 0) + struct.pack("<109I", *fat, *[_FREE] * (109 - count))
    return head + b"".join(sectors)


def _entry(entry: list[Any], first: int, size: int) -> bytes:
    name, kind, left, right, child, _ = entry
    raw = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16sIQQIQ", raw, len(raw) + 2, kind, 1, left, right, child, b"", 0, 0, 0, first, size
    )


def _add(entries: list[list[Any]], tree: Tree, parent: int) -> None:
    """Append the entries of a folder as a balanced tree, and those of its folders."""
    numbers = {}
    for name, content in tree.items():
        is_folder = isinstance(content, dict)
        numbers[name] = len(entries)
        entries.append([name, 1 if is_folder else 2, _NONE, _NONE, _NONE, b"" if is_folder else content])
    names = sorted(tree, key=lambda name: (len(name), name.upper()))

    def top(part: list[str]) -> int:
        if not part:
            return _NONE
        middle = len(part) // 2
        entry = numbers[part[middle]]
        entries[entry][2], entries[entry][3] = top(part[:middle]), top(part[middle + 1 :])
        return entry

    entries[parent][4] = top(names)
    for name, content in tree.items():
        if isinstance(content, dict):
            _add(entries, content, numbers[name])


def properties(values: Mapping[int, Any], *, head: int, code_page: int = 0) -> Tree:  # noqa: C901
    """The streams of a message, a recipient or an attachment; with `code_page` its texts are eight-bit."""
    tree: Tree = {}
    listed = bytearray(head)
    if code_page:
        listed += struct.pack("<HHIIxxxx", 3, 0x3FFD, 6, code_page)
    for number, value in values.items():
        match value:
            case bool() | int():
                listed += struct.pack("<HHIIxxxx", 3, number, 6, int(value))
            case float():
                listed += struct.pack("<HHId", 5, number, 6, value)
            case dt.datetime():
                ticks = (value - dt.datetime(1601, 1, 1)) // dt.timedelta(microseconds=1) * 10
                listed += struct.pack("<HHIQ", 0x40, number, 6, ticks)
            case bytes():
                tree[f"__substg1.0_{number:04X}0102"] = value
            case list():
                for index, one in enumerate(value):
                    tree[f"__substg1.0_{number:04X}101F-{index:08X}"] = one.encode("utf-16-le") + b"\0\0"
            case dict():
                tree[f"__substg1.0_{number:04X}000D"] = value
            case str() if code_page:
                encoding = {65001: "utf-8"}.get(code_page, f"cp{code_page}")
                tree[f"__substg1.0_{number:04X}001E"] = value.encode(encoding)
            case str():
                tree[f"__substg1.0_{number:04X}001F"] = value.encode("utf-16-le")
    tree["__properties_version1.0"] = bytes(listed)
    return tree


def message(
    values: Mapping[int, Any],
    recipients: list[Mapping[int, Any]] | None = None,
    attachments: list[Mapping[int, Any]] | None = None,
    *,
    names: Mapping[int | str, int] | None = None,
    code_page: int = 0,
    is_inside: bool = False,
) -> Tree:
    """A message; `names` gives the properties that have numbers of their own from 0x8000 on."""
    tree = properties(values, head=24 if is_inside else 32, code_page=code_page)
    for number, one in enumerate(recipients or []):
        tree[f"__recip_version1.0_#{number:08X}"] = properties(one, head=8, code_page=code_page)
    for number, one in enumerate(attachments or []):
        tree[f"__attach_version1.0_#{number:08X}"] = properties(one, head=8, code_page=code_page)
    if names:
        tree["__nameid_version1.0"] = _names(names)
    return tree


def _names(names: Mapping[int | str, int]) -> Tree:
    entries, texts = b"", b""
    for name, number in names.items():
        if isinstance(name, str):
            raw = name.encode("utf-16-le")
            entries += struct.pack("<IHH", len(texts), 2 << 1 | 1, number - 0x8000)
            texts += struct.pack("<I", len(raw)) + raw + b"\0" * (-len(raw) % 4)
        else:
            entries += struct.pack("<IHH", name, 3 << 1, number - 0x8000)
    return {"__substg1.0_00020102": b"", "__substg1.0_00030102": entries, "__substg1.0_00040102": texts}


def packed_rtf(rtf: bytes) -> bytes:
    """Compressed RTF of which nothing is a reference, but for the mark at its end."""
    out, written = bytearray(), 207
    for at in range(0, len(rtf), 8):
        piece = rtf[at : at + 8]
        written += len(piece)
        if len(piece) == 8:
            out += b"\0" + piece
        else:
            out += bytes([1 << len(piece)]) + piece + struct.pack(">H", written % 4096 << 4)
    if len(rtf) % 8 == 0:
        out += b"\1" + struct.pack(">H", written % 4096 << 4)
    return struct.pack("<4I", len(out) + 12, len(rtf), 0x75465A4C, 0) + bytes(out)
