"""Which files lie under the given folders, and why some of them are not to be indexed. It parses no file.

Every file is yielded exactly once, so that found = indexed + skipped + failed always holds. What lies in a
folder that is skipped (hidden, ignored, excluded, `node_modules`, `__pycache__`) is not looked at and does
not count. Only files whose name says nothing are opened, for their first bytes; links are never followed,
pipes and devices never opened.

`.gitignore` files count from the root downwards, with or without a git repository; those above the root do
not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ragchat.errors import IngestError, UsageError
from ragchat.ingest.extract import open_source, read_source
from ragchat.ingest.formats import UNSUPPORTED, kind_of, looks_binary, suffix_of


class Skip(StrEnum):
    """Why a file is not to be indexed. `UNSUPPORTED` is followed by the suffix in brackets."""

    MISSING = "does not exist"
    HIDDEN = "hidden"
    IGNORED = "ignored by .gitignore"
    EXCLUDED = "excluded by a setting"
    TOO_LARGE = "larger than the limit"
    EMPTY = "empty"
    NOT_REGULAR = "not a regular file"
    LINK_INSIDE = "a link to something that is found anyway"
    LINK_OUTSIDE = "a link that leads outside"
    LINK_BROKEN = "a link that leads nowhere or in a circle"
    NO_PERMISSION = "no permission"
    UNREADABLE = "could not be read from the disk"
    UNREADABLE_NAME = "unreadable name"
    UNSUPPORTED = "kind not supported"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that was met. `reason` is '' when it is to be indexed; size in bytes, 0 if not known."""

    path: Path
    size: int
    mtime_ns: int
    reason: str


_SKIPPED_FOLDERS = frozenset(["node_modules", "__pycache__"])
_HEAD_BYTES = 4096
_LARGEST_IGNORE_FILE = 1 << 20


def scan(roots: Sequence[Path], *, max_file_bytes: int, exclude: Sequence[str] = ()) -> Iterator[FoundFile]:
    """Every file at or under `roots` once, in the order of names.

    A root is indexed even if it is hidden, ignored or excluded itself; a file under several roots belongs to
    the innermost. `exclude` holds patterns written as in .gitignore, relative to each root. Raises
    UsageError for a pattern that is none.
    """
    excluded = _Rules("", _compile(exclude, strict=True))
    real_roots = sorted({os.path.realpath(root) for root in roots})
    known = frozenset(real_roots)
    for root in real_roots:
        yield from _scan_root(root, known, max_file_bytes, excluded)


def _scan_root(
    root: str, roots: frozenset[str], max_file_bytes: int, excluded: _Rules
) -> Iterator[FoundFile]:
    if not os.path.isdir(root):  # noqa: PTH112
        yield _judge_root_file(root, max_file_bytes)
        return
    base = root.rstrip(os.sep) + os.sep
    exclusion = [_Rules(base, excluded.groups)]
    # One frame for each folder on the way down: what is left of its entries, and the .gitignore rules that
    # hold in it.
    stack = [_open_folder(root, [])]
    while stack:
        entries, rules = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
        elif isinstance(entry, FoundFile):
            yield entry
        elif entry.path in roots:
            pass  # it is a root of its own
        elif entry.is_dir(follow_symlinks=False):
            if not _is_encodable(entry.name):
                yield FoundFile(Path(entry.path), 0, 0, Skip.UNREADABLE_NAME)
            elif not _is_skipped_folder(entry, rules, exclusion):
                stack.append(_open_folder(entry.path, rules))
        else:
            yield _judge(entry, roots, rules, exclusion, max_file_bytes)


def _open_folder(
    path: str, rules: list[_Rules]
) -> tuple[Iterator[os.DirEntry[str] | FoundFile], list[_Rules]]:
    try:
        with os.scandir(path) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        reason = Skip.NO_PERMISSION if isinstance(error, PermissionError) else Skip.UNREADABLE
        return iter([FoundFile(Path(path), 0, 0, reason)]), rules
    if any(entry.name == ".gitignore" for entry in entries):
        try:
            lines = read_source(path + os.sep + ".gitignore", _LARGEST_IGNORE_FILE)
            groups = _compile(lines.decode("utf-8", "surrogateescape").splitlines(), strict=False)
            rules = [*rules, _Rules(path.rstrip(os.sep) + os.sep, groups)]
        except IngestError:
            pass  # then it says nothing
    return iter(entries), rules


def _is_skipped_folder(entry: os.DirEntry[str], rules: list[_Rules], exclusion: list[_Rules]) -> bool:
    return (
        entry.name.startswith(".")
        or entry.name in _SKIPPED_FOLDERS
        or _matches(rules, entry.path, is_folder=True)
        or _matches(exclusion, entry.path, is_folder=True)
    )


def _judge(
    entry: os.DirEntry[str],
    roots: frozenset[str],
    rules: list[_Rules],
    exclusion: list[_Rules],
    max_file_bytes: int,
) -> FoundFile:
    path = Path(entry.path)
    if not _is_encodable(entry.name):
        return FoundFile(path, 0, 0, Skip.UNREADABLE_NAME)
    if entry.is_symlink():
        return FoundFile(path, 0, 0, _judge_link(entry.path, roots))
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return FoundFile(path, 0, 0, Skip.UNREADABLE)
    if not entry.is_file(follow_symlinks=False):
        reason: str = Skip.NOT_REGULAR
    elif entry.name.startswith("."):
        reason = Skip.HIDDEN
    elif _matches(rules, entry.path, is_folder=False):
        reason = Skip.IGNORED
    elif _matches(exclusion, entry.path, is_folder=False):
        reason = Skip.EXCLUDED
    else:
        reason = _judge_content(entry.path, status.st_size, max_file_bytes)
    return FoundFile(path, status.st_size, status.st_mtime_ns, reason)


def _judge_root_file(path: str, max_file_bytes: int) -> FoundFile:
    if not _is_encodable(path):
        return FoundFile(Path(path), 0, 0, Skip.UNREADABLE_NAME)
    try:
        status = os.lstat(path)
    except OSError as error:
        reason = Skip.NO_PERMISSION if isinstance(error, PermissionError) else Skip.MISSING
        return FoundFile(Path(path), 0, 0, reason)
    if os.path.isfile(path):  # noqa: PTH113
        return FoundFile(
            Path(path),
            status.st_size,
            status.st_mtime_ns,
            _judge_content(path, status.st_size, max_file_bytes),
        )
    return FoundFile(Path(path), 0, status.st_mtime_ns, Skip.NOT_REGULAR)


def _judge_content(path: str, size: int, max_file_bytes: int) -> str:
    """The reason against a regular file, or ''."""
    name = os.path.basename(path)  # noqa: PTH119 (called for every file)
    if size == 0:
        return Skip.EMPTY
    if kind_of(name) is not None:
        return Skip.TOO_LARGE if size > max_file_bytes else ""
    suffix = suffix_of(name)
    if suffix in UNSUPPORTED:
        return f"{Skip.UNSUPPORTED} (.{suffix})"
    if size > max_file_bytes:
        return Skip.TOO_LARGE
    try:
        with open_source(path) as (file, _):
            return Skip.BINARY if looks_binary(file.read(_HEAD_BYTES)) else ""
    except IngestError as error:
        known = {str(reason) for reason in Skip}
        return str(error) if str(error) in known else Skip.UNREADABLE


def _judge_link(path: str, roots: frozenset[str]) -> str:
    try:
        target = os.path.realpath(path, strict=True)
    except OSError:
        return Skip.LINK_BROKEN
    inside = any(target == root or target.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
    return Skip.LINK_INSIDE if inside else Skip.LINK_OUTSIDE


def _is_encodable(name: str) -> bool:
    """Whether the name is proper Unicode: bytes that are none arrive as lone surrogates."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Group:
    """Neighbouring patterns of one sort, as one regular expression for the whole path below the folder."""

    match: re.Pattern[str]
    ignores: bool
    folders_only: bool


@dataclass(frozen=True, slots=True)
class _Rules:
    """What a .gitignore says of paths below `base` (it ends with a slash); the first match decides."""

    base: str
    groups: tuple[_Group, ...]


def _matches(rules: Sequence[_Rules], path: str, *, is_folder: bool) -> bool:
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


def _compile(lines: Sequence[str], *, strict: bool) -> tuple[_Group, ...]:
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
                raise UsageError(f"{line!r} is not a pattern as in .gitignore.") from error
            continue
        if sorts and sorts[-1][:2] == (ignores, folders_only):
            sorts[-1][2].append(exact)
        else:
            sorts.append((ignores, folders_only, [exact]))
    return tuple(
        _Group(
            re.compile("|".join(f"(?:{exact})" for exact in expressions), re.DOTALL), ignores, folders_only
        )
        for ignores, folders_only, expressions in sorts
    )
