"""Patterns as in .gitignore, and whether a path matches them. It reads no file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.errors import UsageError


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring patterns of one sort, as one regular expression for the whole path below the folder."""

    match: re.Pattern[str]
    ignores: bool
    folders_only: bool


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """What a .gitignore says of paths below `base` (it ends with a slash); the first match decides."""

    base: str
    groups: tuple[Group, ...]


def matches(rules: Sequence[IgnoreRules], path: str, *, is_folder: bool) -> bool:
    """Whether `path` itself is ignored (its parents were asked before); the deepest file decides."""
    for rule in reversed(rules):
        below = path[len(rule.base) :]
        if os.sep != "/":  # pragma: no cover
            below = below.replace(os.sep, "/")
        for group in rule.groups:
            if (is_folder or not group.folders_only) and group.match.match(below):
                return group.ignores
    return False


_ALSO_BELOW = "(?:(?P<ps_d>/)|$)"
"""How pathspec ends an expression that matches a folder and all below it."""


def compile_patterns(lines: Sequence[str], *, strict: bool) -> tuple[Group, ...]:
    """The lines of a .gitignore, last first; what is no pattern is left out, or a UsageError if `strict`."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

    sorts: list[tuple[bool, bool, list[str]]] = []
    for line in reversed(lines):
        pattern = line.rstrip("\r\n")
        if not pattern.endswith("\\ "):
            pattern = pattern.rstrip()
        folders_only = pattern.endswith("/")
        try:
            expression, ignores = GitIgnoreSpecPattern.pattern_to_regex(
                pattern.rstrip("/") if folders_only else pattern
            )
            if expression is None or ignores is None:
                continue
            # Parents are asked before their contents, so an expression has to match the path itself only.
            exact = "(?:.+)" if expression == "." else expression
            exact = exact.removesuffix(_ALSO_BELOW) + r"\Z" if exact.endswith(_ALSO_BELOW) else exact
            re.compile(exact)
        except (ValueError, re.error) as error:
            if strict:
                raise UsageError(f"{line!r} is not a valid .gitignore pattern.") from error
            continue
        if sorts and sorts[-1][:2] == (ignores, folders_only):
            sorts[-1][2].append(exact)
        else:
            sorts.append((ignores, folders_only, [exact]))
    return tuple(
        Group(re.compile("|".join(f"(?:{exact})" for exact in expressions), re.DOTALL), ignores, folders_only)
        for ignores, folders_only, expressions in sorts
    )
