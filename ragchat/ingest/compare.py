"""What a knowledge base holds against what lies on the disk: new, changed, unchanged, gone. It reads and writes no content."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ragchat.ingest.scan import UNREAD_PICTURES, FoundFile, Scanner, ScanRules, Skip
from ragchat.ingest.source import stored_path
from ragchat.ingest.wire import READERS, UNREAD_SCANS, Reason
from ragchat.store.files import KnownFile, content_hashes, known_files, known_files_below
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean_line


@dataclass(slots=True)
class Comparison:
    """Filled by `look`. `unchanged` counts files by state; `changed` are those to bring in, with what was known of them.

    `gone` are documents whose file is not there, by path; those that an unmounted disk may have taken along are not among
    them, `notes` say so.
    """

    unchanged: Counter[str] = field(default_factory=Counter)
    changed: list[tuple[FoundFile, KnownFile | None]] = field(default_factory=list)
    gone: dict[str, KnownFile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def found(self) -> int:
        """Files that are still there, changed or not."""
        return self.unchanged.total() + len(self.changed)

    def look(
        self,
        store: KnowledgeStore,
        rules: ScanRules,
        only: Collection[Path | str] | None,
        *,
        prune: bool,
        again: bool = False,
    ) -> Iterator[str]:
        """Compare everything, or what lies at or below `only`; yields the path of each file that was met.

        `prune`: what lay in a root that is empty or missing now is gone, too. `again`: what was indexed
        counts as changed. Raises StorageError, UsageError.
        """
        known: dict[str, KnownFile] = {}
        scanner = Scanner(store.roots(), _with_memory(rules, known))
        if only is None:
            known.update((file.path, file) for file in known_files(store))
            found = scanner.everything()
        else:
            places = scanner.places(only)
            known.update((file.path, file) for file in known_files_below(store, map(stored_path, places)))
            found = scanner.below(places)
        kept: set[str] = set()
        missing: list[str] = []
        for file in found:
            path = stored_path(file.path)
            earlier = known.pop(path, None)
            anew = again and earlier is not None and earlier.state == "indexed" and not file.reason
            anew = anew or (not file.reason and (may_gain(earlier, rules.ocr) or is_outdated(earlier)))
            if earlier is not None and not anew and _is_same(file, earlier):
                self.unchanged[earlier.state] += 1
            else:
                self.changed.append((file, earlier))
            if file.reason in (Skip.NO_PERMISSION, Skip.UNREADABLE):
                kept.add(path)
            elif file.reason == Skip.MISSING:
                missing.append(path)
            elif file.reason == Skip.LINK_BROKEN and rules.follow_links:
                missing.append(stored_path(os.path.realpath(file.path)))
            yield file.path
        empty = filter(_is_empty_folder, (*scanner.roots, *scanner.followed)) if known else ()
        for path in (*missing, *map(stored_path, empty)):
            count = sum(file.state == "indexed" for file in _below(known.values(), path))
            if count and not prune:
                self.notes.append(_kept(store.name, path, count, is_there=path not in missing))
                kept.add(path)
        beginnings = tuple(path.rstrip(os.sep) + os.sep for path in kept)
        self.gone = {
            path: file for path, file in known.items() if path not in kept and not path.startswith(beginnings)
        }


def _with_memory(rules: ScanRules, known: dict[str, KnownFile]) -> ScanRules:
    """The rules with a memory of which files without a telling name were text."""

    def judged(path: str, size: int, mtime_ns: int) -> str | None:
        file = known.get(stored_path(path))
        if file is None or file.readers != READERS or (file.size, file.mtime_ns) != (size, mtime_ns):
            return None
        if file.is_hashed:
            return ""
        return Skip.BINARY if file.reason == Skip.BINARY else None

    return replace(rules, judged=judged)


def is_outdated(known: KnownFile | None) -> bool:
    """Whether earlier readers read a file, which may have read less of it."""
    return known is not None and known.is_hashed and known.readers != READERS


def may_gain(known: KnownFile | None, ocr: str) -> bool:
    """Whether OCR in these languages may find text in a file that was not read in them, nor changed since."""
    if known is None or not ocr or known.ocr == ocr:
        return False
    return bool(known.ocr) or known.holds_more or known.reason in _PICTURES


_PICTURES = frozenset((*UNREAD_SCANS, Reason.NO_OCR_TEXT, Reason.OCR_FAILED))
"""Reasons that OCR may do away with."""


def _is_same(file: FoundFile, known: KnownFile) -> bool:
    if file.reason in UNREAD_PICTURES and known.state == "indexed" and known.ocr:
        # OCR is off, or its data is gone: what it read stays until the file changes.
        return (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
    if file.reason:
        same_time = (known.size, known.mtime_ns) == (file.size, file.mtime_ns)
        return (known.state, known.reason) == ("skipped", file.reason) and (
            same_time or file.reason != Skip.BINARY
        )
    # Without a hash its content was never read: it was ignored, or could not be opened, and now it may.
    return known.is_hashed and known.size == file.size and known.mtime_ns == file.mtime_ns


def _is_empty_folder(path: str) -> bool:
    """Whether nothing is in a folder, as in one where a disk was mounted."""
    try:
        with os.scandir(path) as listing:
            return next(listing, None) is None
    except OSError:
        return False


def _below(files: Iterable[KnownFile], folder: str) -> Iterator[KnownFile]:
    beginning = folder.rstrip(os.sep) + os.sep
    return (file for file in files if file.path == folder or file.path.startswith(beginning))


def _kept(name: str, root: str, count: int, *, is_there: bool) -> str:
    documents = "its document was" if count == 1 else f"its {count:,} documents were"
    state = "is empty now" if is_there else "does not exist now"
    return f"{clean_line(root)} {state}; {documents} kept. `ragchat kb sync {name} --prune` removes them."


class Moves:
    """Finds documents whose file has another time or place and the same content.

    One that moved has the same size and suffix, and is gone from where it was; when it is found, it counts as gone no more.
    """

    def __init__(self, store: KnowledgeStore, gone: dict[str, KnownFile]) -> None:
        self._store = store
        self._gone = gone
        self._candidates: dict[tuple[int, str], list[KnownFile]] = {}
        for file in gone.values():
            if file.state == "indexed" and file.is_hashed:
                self._candidates.setdefault(_kind(file.path, file.size), []).append(file)
        self._by_hash: dict[tuple[int, str], dict[str, list[KnownFile]]] = {}

    def is_possible(self, path: str, size: int) -> bool:
        """Whether a document of this size and suffix is gone."""
        return _kind(path, size) in self._candidates

    def find(self, known: KnownFile | None, path: str, size: int, content_hash: str) -> KnownFile | None:
        """The document that has this content already: the one at this path, or for a new path one that moved there."""
        if known is not None:
            return known if content_hashes(self._store, [known.id]).get(known.id) == content_hash else None
        kind = _kind(path, size)
        if kind not in self._by_hash:
            self._by_hash[kind] = self._hashed(self._candidates.get(kind, []))
        while files := self._by_hash[kind].get(content_hash):
            file = files.pop()
            if self._gone.pop(file.path, None):
                return file
        return None

    def _hashed(self, files: list[KnownFile]) -> dict[str, list[KnownFile]]:
        hashes = content_hashes(self._store, [file.id for file in files])
        found: dict[str, list[KnownFile]] = {}
        for file in reversed(files):
            found.setdefault(hashes.get(file.id, ""), []).append(file)
        return found


def _kind(path: str, size: int) -> tuple[int, str]:
    return size, os.path.splitext(path)[1]  # noqa: PTH122
