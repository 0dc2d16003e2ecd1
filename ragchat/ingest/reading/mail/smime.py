"""What a signed S/MIME message holds (PKCS #7, RFC 8551). Signatures are not checked; encrypted messages stay closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_SIGNED = bytes.fromhex("2a864886f70d010702")
_OBJECT_ID, _OCTETS, _SEQUENCE, _EXPLICIT = 0x06, 0x04, 0x30, 0xA0
_CONSTRUCTED = 0x20
_DEEPEST = 12


class _Element(NamedTuple):
    """A value of BER: its tag, where its content begins and ends, and where the next value begins."""

    tag: int
    first: int
    last: int
    after: int


def signed_content(message: bytes) -> bytes | None:
    """The MIME entity inside a signed message; None when it is encrypted, or nothing that is known."""
    try:
        info = _only(message, _element(message, 0, len(message)), _SEQUENCE)
        kind, wrapped, *_ = _elements(message, info.first, info.last)
        if message[kind.first : kind.last] != _SIGNED:
            return None
        signed = _only(message, next(_elements(message, wrapped.first, wrapped.last)), _SEQUENCE)
        inner = next(e for e in _elements(message, signed.first, signed.last) if e.tag == _SEQUENCE)
        held = next(e for e in _elements(message, inner.first, inner.last) if e.tag == _EXPLICIT)
        octets = next(_elements(message, held.first, held.last))
        return b"".join(_octets(message, octets))
    except (IndexError, ValueError, StopIteration):
        return None


def _only(data: bytes, element: _Element, tag: int) -> _Element:
    if element.tag != tag:
        raise ValueError("not what was expected")
    return element


def _elements(data: bytes, first: int, last: int) -> Iterator[_Element]:
    while first < last:
        element = _element(data, first, last)
        if element.tag == 0:
            return
        yield element
        first = element.after


def _element(data: bytes, place: int, last: int, depth: int = 0) -> _Element:
    """The value at `place`. Raises IndexError, ValueError."""
    tag, length = data[place], data[place + 1]
    first = place + 2
    if tag & 31 == 31 or depth > _DEEPEST:
        raise ValueError("not what was expected")
    if length == 0x80:
        inner = first
        while data[inner] or data[inner + 1]:
            inner = _element(data, inner, last, depth + 1).after
        return _Element(tag, first, inner, inner + 2)
    if length > 0x80:
        size = length - 0x80
        first, length = first + size, int.from_bytes(data[first : first + size], "big")
    if first + length > last:
        raise ValueError("longer than its container")
    return _Element(tag, first, first + length, first + length)


def _octets(data: bytes, element: _Element, depth: int = 0) -> Iterator[bytes]:
    """A string of bytes, which may arrives in pieces."""
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    if element.tag & _CONSTRUCTED:
        for piece in _elements(data, element.first, element.last):
            yield from _octets(data, piece, depth + 1)
    else:
        yield data[element.first : element.last]
