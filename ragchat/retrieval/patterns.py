"""Patterns that are compiled when they are first used: what most texts never need costs nothing when a search begins."""

from __future__ import annotations

import re
from typing import Any, cast

_METHODS = ("match", "search", "findall", "finditer", "sub", "split")


class _Lazy:
    def __init__(self, source: str, *, properties: bool, flags: int) -> None:
        self._source, self._properties, self._flags = source, properties, flags

    def __getattr__(self, name: str) -> Any:
        if name not in _METHODS:
            raise AttributeError(name)
        if self._properties:
            import regex  # as dear to import as ten patterns are to compile

            pattern: Any = regex.compile(self._source, self._flags)
        else:
            pattern = re.compile(self._source, self._flags)
        for method in _METHODS:  # from now on they are found without coming here
            setattr(self, method, getattr(pattern, method))
        return getattr(self, name)


def lazy(source: str, *, properties: bool = False, flags: int = 0) -> re.Pattern[str]:
    """A pattern of `re`, or of `regex` where it needs the `properties` of Unicode (`\\p{L}`). It has its methods alone."""
    return cast("re.Pattern[str]", _Lazy(source, properties=properties, flags=flags))
