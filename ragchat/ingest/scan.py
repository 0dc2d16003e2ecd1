"""Which files lie under the given folders, and why some of them are not to be indexed. It parses no file.

Every file is yielded exactly once, so that found = indexed + skipped + failed always holds. What is in a folder that is
skipped (hidden, ignored, excluded, forgotten, `node_modules`, `__pycache__`) is not looked at and does not count. Only files
whose name says nothing are opened, for their first bytes; pipes and devices never.

Links are not followed unless the rules say so. Then what they lead to is looked at where it really lies, like one more root:
in a tree of real paths there are no circles, and each file comes once.

`.gitignore` files count from the root downwards, with or without a git repository; those above the root do not.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import NamedTuple

from ragchat.errors import IngestError
from ragchat.ingest.formats import UNSUPPORTED, kind_of, looks_binary, suffix_of
from ragchat.ingest.ignore import Group, IgnoreRules, compile_patterns, matches
from ragchat.ingest.source import open_source, read_source


class Skip(StrEnum):
    """Why a file is not to be indexed. `UNSUPPORTED` is followed by the suffix in brackets."""

    MISSING = "does not exist"
    HIDDEN = "hidden"
    IGNORED = "ignored by .gitignore"
    EXCLUDED = "excluded by a setting"
    NOT_INCLUDED = "not among what is included"
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
    PICTURE = "a picture: switch on OCR to read it"
    NO_OCR_DATA = "a picture: the data for OCR in its languages is not there"


UNREAD_PICTURES = frozenset((Skip.PICTURE, Skip.NO_OCR_DATA))


class FoundFile(NamedTuple):
    """A file that was met. `reason` is '' when it is to be indexed; size in bytes, 0 if not known."""

    path: str
    size: int
    mtime_ns: int
    reason: str


def _never_judged(path: str, size: int, mtime_ns: int) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class ScanRules:
    """What to take in. Patterns are written as in .gitignore, relative to each root; no `include` means everything.

    `forgotten` holds real paths that stay out, with all below them. `judged` says what an earlier look into a file of this
    path, size and time found ('' for text), or None: such a file is not opened again. `ocr` are the languages in which pictures
    are read, as in "eng+deu"; '': they are not.
    """

    max_file_bytes: int
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    follow_links: bool = False
    forgotten: Sequence[str] = ()
    judged: Callable[[str, int, int], str | None] = _never_judged
    ocr: str = ""
    lacks_ocr_data: bool = False


_SKIPPED_FOLDERS = frozenset(["node_modules", "__pycache__"])
_HEAD_BYTES = 4096
_LARGEST_IGNORE_FILE = 1 << 20
_MOST_FOLLOWED = 1000
"""Links that lead outside; those beyond are not followed."""
_NEVER_FOLLOWED = ("/proc", "/sys", "/dev", "/run")
_IGNORE_FILE = ".gitignore"
_KNOWN_REASONS = frozenset(str(reason) for reason in Skip)


class _Folder(NamedTuple):
    """What holds for the entries of a folder: .gitignore rules, the patterns of its root, whether a folder above is included."""

    rules: tuple[IgnoreRules, ...]
    exclusion: tuple[IgnoreRules, ...]
    inclusion: tuple[IgnoreRules, ...]
    is_included: bool


class Scanner:
    """Looks at files and folders under `roots`; one scan per instance. Raises UsageError for a pattern that is none.

    A root is indexed even if it is hidden, ignored or excluded itself; a file under several roots belongs to the innermost.
    `followed` holds what links led to, once they were met.
    """

    def __init__(self, roots: Iterable[str | os.PathLike[str]], rules: ScanRules) -> None:
        self.roots = sorted({os.path.realpath(root) for root in roots})
        self.followed: list[str] = []
        self._rules = rules
        self._own = set(self.roots)
        self._forgotten = frozenset(rules.forgotten)
        self._exclude = compile_patterns(rules.exclude, strict=True)
        self._include = compile_patterns(rules.include, strict=True)
        self._waiting: list[str] = []
        self._known_folders: dict[str, _Folder | FoundFile | None] = {}

    def everything(self) -> Iterator[FoundFile]:
        """Every file at or under the roots once, in the order of names."""
        return chain(chain.from_iterable(map(self._scan_root, self.roots)), self._scan_followed())

    def below(self, places: Sequence[str]) -> Iterator[FoundFile]:
        """What `everything` would yield at or below some `places`, at a cost that does not depend on the rest."""
        for place in places:
            yield from self._look_at(place)
            for root in self.roots:
                if root.startswith(_inside(place)):
                    yield from self._scan_root(root)
        yield from self._scan_followed()

    def places(self, paths: Iterable[str | os.PathLike[str]]) -> list[str]:
        """The real paths to hand to `below`: those under a root, none below another, and folders where their rules changed."""
        parents: dict[str, str] = {}
        found = set()
        for path in paths:
            folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100 (not every path is there)
            if folder not in parents:
                parents[folder] = os.path.realpath(folder)
            place = parents[folder] if name == _IGNORE_FILE else os.path.join(parents[folder], name)  # noqa: PTH118
            if self.root_of(place) is not None:
                found.add(place)
        outermost: list[str] = []
        for place in sorted(found, key=lambda place: place.replace(os.sep, "\0")):
            if not (outermost and place.startswith(_inside(outermost[-1]))):
                outermost.append(place)
        return outermost

    def root_of(self, path: str) -> str | None:
        """The innermost root at or above `path`."""
        while path not in self._own:
            above = os.path.dirname(path)  # noqa: PTH120
            if above == path:
                return None
            path = above
        return path

    # --- roots and links --------------------------------------------------------------------------------

    def _scan_root(self, root: str) -> Iterator[FoundFile]:
        if self._is_forgotten(root):
            return iter(())
        if not os.path.isdir(root):  # noqa: PTH112
            return iter((self._judge_root_file(root),))
        return self._walk(root, self._top(root))

    def _is_forgotten(self, root: str) -> bool:
        return any(root == path or root.startswith(_inside(path)) for path in self._forgotten)

    def _top(self, root: str) -> _Folder:
        base = _inside(root)
        return _Folder(
            _ignore_rules(root),
            (IgnoreRules(base, self._exclude),) if self._exclude else (),
            (IgnoreRules(base, self._include),) if self._include else (),
            is_included=not self._include,
        )

    def _scan_followed(self) -> Iterator[FoundFile]:
        while self._waiting:
            target = self._waiting.pop(0)
            if any(target.startswith(_inside(other)) for other in self._own):
                continue  # found meanwhile, by a link to a folder above it
            yield from self._scan_root(target)

    def _judge_link(self, path: str, *, may_follow: bool) -> str:
        try:
            target = os.path.realpath(path, strict=True)
        except OSError:
            return Skip.LINK_BROKEN
        if self.root_of(target) is not None:
            return Skip.LINK_INSIDE
        if not (may_follow and self._rules.follow_links and self._may_follow(target)):
            return Skip.LINK_OUTSIDE
        self._own.add(target)
        self.followed.append(target)
        self._waiting.append(target)
        return Skip.LINK_INSIDE

    def _may_follow(self, target: str) -> bool:
        holds_root = any(root.startswith(_inside(target)) for root in self.roots)
        is_special = any(target == path or target.startswith(_inside(path)) for path in _NEVER_FOLLOWED)
        return not holds_root and not is_special and len(self.followed) < _MOST_FOLLOWED

    # --- folders ----------------------------------------------------------------------------------------

    def _walk(self, path: str, folder: _Folder) -> Iterator[FoundFile]:
        """All files below a folder."""
        # One frame for each folder on the way down: what is left of its entries, and what holds in it.
        stack = [(_entries(path), folder)]
        own = self._own if len(self._own) > 1 or self._rules.follow_links else ()
        while stack:
            entries, folder = stack[-1]
            for entry in entries:
                if isinstance(entry, FoundFile):
                    yield entry
                elif own and entry.path in own:
                    pass  # it is a root of its own
                elif entry.is_dir(follow_symlinks=False):
                    if not _is_encodable(entry.name):
                        yield FoundFile(entry.path, 0, 0, Skip.UNREADABLE_NAME)
                    elif (inner := self._enter(entry.path, entry.name, folder)) is not None:
                        stack.append((_entries(entry.path), inner))
                        break
                elif entry.path not in self._forgotten:
                    try:
                        yield self._judge(entry.path, entry.name, entry.stat(follow_symlinks=False), folder)
                    except OSError:
                        yield FoundFile(entry.path, 0, 0, Skip.UNREADABLE)
            else:
                stack.pop()

    def _enter(self, path: str, name: str, folder: _Folder) -> _Folder | None:
        """What holds in a folder, or None: it is skipped."""
        if (
            name.startswith(".")
            or name in _SKIPPED_FOLDERS
            or path in self._forgotten
            or (folder.rules and matches(folder.rules, path, is_folder=True))
            or (folder.exclusion and matches(folder.exclusion, path, is_folder=True))
        ):
            return None
        is_included = folder.is_included or matches(folder.inclusion, path, is_folder=True)
        return _Folder(folder.rules + _ignore_rules(path), folder.exclusion, folder.inclusion, is_included)

    def _look_at(self, place: str) -> Iterator[FoundFile]:
        if place in self._own:
            yield from self._scan_root(place)
            return
        above, name = os.path.split(place)
        folder = self._folder(above)
        if isinstance(folder, FoundFile):
            yield folder
        if not isinstance(folder, _Folder) or place in self._forgotten:
            return
        try:
            status = os.lstat(place)
        except OSError as error:
            if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
                yield FoundFile(place, 0, 0, _reason_of(error))
            return
        if not stat.S_ISDIR(status.st_mode):
            yield self._judge(place, name, status, folder)
        elif not _is_encodable(name):
            yield FoundFile(place, 0, 0, Skip.UNREADABLE_NAME)
        elif (inner := self._enter(place, name, folder)) is not None:
            yield from self._walk(place, inner)

    def _folder(self, path: str) -> _Folder | FoundFile | None:
        """What holds in a folder at or below a root; None when it is skipped or gone; why it cannot be reached, once."""
        if path not in self._known_folders:
            found = self._known_folders[path] = self._find_folder(path)
            if isinstance(found, FoundFile):
                self._known_folders[path] = None
                return found
        return self._known_folders[path]

    def _find_folder(self, path: str) -> _Folder | FoundFile | None:
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return self._judge_root_file(path) if path in self._own else None
        except OSError as error:
            return FoundFile(path, 0, 0, _reason_of(error))
        if not stat.S_ISDIR(status.st_mode):
            return None
        if path in self._own:
            return None if self._is_forgotten(path) else self._top(path)
        above, name = os.path.split(path)
        folder = self._folder(above)
        return (
            self._enter(path, name, folder) if isinstance(folder, _Folder) and _is_encodable(name) else folder
        )

    # --- files ------------------------------------------------------------------------------------------

    def _judge(self, path: str, name: str, status: os.stat_result, folder: _Folder) -> FoundFile:
        if not name.isascii() and not _is_encodable(name):
            return FoundFile(path, 0, 0, Skip.UNREADABLE_NAME)
        reason = ""
        if name.startswith("."):
            reason = Skip.HIDDEN
        elif folder.rules and matches(folder.rules, path, is_folder=False):
            reason = Skip.IGNORED
        elif folder.exclusion and matches(folder.exclusion, path, is_folder=False):
            reason = Skip.EXCLUDED
        elif not folder.is_included and not matches(folder.inclusion, path, is_folder=False):
            reason = Skip.NOT_INCLUDED
        if stat.S_ISLNK(status.st_mode):
            return FoundFile(path, 0, 0, self._judge_link(path, may_follow=not reason))
        if not stat.S_ISREG(status.st_mode):
            reason = Skip.NOT_REGULAR
        size, mtime_ns = status.st_size, status.st_mtime_ns
        return FoundFile(path, size, mtime_ns, reason or self._judge_content(path, name, size, mtime_ns))

    def _judge_root_file(self, path: str) -> FoundFile:
        if not _is_encodable(path):
            return FoundFile(path, 0, 0, Skip.UNREADABLE_NAME)
        try:
            status = os.lstat(path)
        except OSError as error:
            reason = Skip.NO_PERMISSION if isinstance(error, PermissionError) else Skip.MISSING
            return FoundFile(path, 0, 0, reason)
        size, mtime_ns = status.st_size, status.st_mtime_ns
        if not stat.S_ISREG(status.st_mode):
            return FoundFile(path, 0, mtime_ns, Skip.NOT_REGULAR)
        name = os.path.basename(path)  # noqa: PTH119
        return FoundFile(path, size, mtime_ns, self._judge_content(path, name, size, mtime_ns))

    def _judge_content(self, path: str, name: str, size: int, mtime_ns: int) -> str:
        """The reason against a regular file, or ''."""
        if size == 0:
            return Skip.EMPTY
        if (kind := kind_of(name)) is not None:
            if kind.name == "picture" and not self._rules.ocr:
                return Skip.NO_OCR_DATA if self._rules.lacks_ocr_data else Skip.PICTURE
            return Skip.TOO_LARGE if size > self._rules.max_file_bytes else ""
        suffix = suffix_of(name)
        if suffix in UNSUPPORTED:
            inner = suffix_of(name[:-3]) if suffix == "gz" else ""
            return f"{Skip.UNSUPPORTED} (.{inner}.{suffix})" if inner else f"{Skip.UNSUPPORTED} (.{suffix})"
        if size > self._rules.max_file_bytes:
            return Skip.TOO_LARGE
        judged = self._rules.judged(path, size, mtime_ns)
        return _peek(path) if judged is None else judged


def _entries(path: str) -> Iterator[os.DirEntry[str] | FoundFile]:
    """What is in a folder, by name; why it cannot be reached if so."""
    try:
        with os.scandir(path) as listing:
            return iter(sorted(listing, key=_name))
    except OSError as error:
        return iter((FoundFile(path, 0, 0, _reason_of(error)),))


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _ignore_rules(folder: str) -> tuple[IgnoreRules, ...]:
    """The rules of the .gitignore in a folder, if there is one that can be read."""
    path = _inside(folder) + _IGNORE_FILE
    if not os.path.lexists(path):
        return ()
    try:
        lines = read_source(path, _LARGEST_IGNORE_FILE)
    except IngestError:
        return ()  # then it says nothing
    groups: tuple[Group, ...] = compile_patterns(
        lines.decode("utf-8", "surrogateescape").splitlines(), strict=False
    )
    return (IgnoreRules(_inside(folder), groups),) if groups else ()


def _peek(path: str) -> str:
    """The reason against a file of no known kind, by its first bytes, or ''."""
    try:
        with open_source(path) as (file, _):
            return Skip.BINARY if looks_binary(file.read(_HEAD_BYTES)) else ""
    except IngestError as error:
        return str(error) if str(error) in _KNOWN_REASONS else Skip.UNREADABLE


def _reason_of(error: OSError) -> str:
    return Skip.NO_PERMISSION if isinstance(error, PermissionError) else Skip.UNREADABLE


def _inside(folder: str) -> str:
    """How the paths of what is in a folder begin."""
    return folder.rstrip(os.sep) + os.sep


def _is_encodable(name: str) -> bool:
    """Whether the name is proper Unicode: bytes that are none arrive as lone surrogates."""
    if name.isascii():
        return True
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
