"""Watching the files of a knowledge base: what changes on disk is indexed a moment later.

Folders are watched by the system (watchfiles), single files, databases and the existence of the folders by their state, which is
cheap for these few. Changes are gathered for a third of a second; a burst is handed on as the folders that hold it. The work
itself is `ingest.sync`, and every now and then a whole sync finds what no event told. One watcher per knowledge base.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ragchat.errors import CancelledError, RagchatError
from ragchat.ingest.sync import IngestOptions, SyncEvent, sync
from ragchat.store.knowledge import KnowledgeStore
from ragchat.store.watchlock import watcher, watching
from ragchat.text import clean_line
from ragchat.types import CancelToken

__all__ = ["ChangesSeen", "WatchEvent", "WatchProblem", "WatchStarted", "coalesce", "watch", "watcher"]

GATHER_MS = 300
"""Longest time over which changes are gathered; 100 ms without one end it earlier."""
_QUIET_MS = 100
_LOOK_MS = 250
"""How often single files, databases and settings are looked at, and a cancel is noticed."""
_POLL_MS = 1000
MOST_PATHS = 500
"""Changed paths above which their folders are looked at instead."""
_BURST = 2_000
"""Changes at once after which the system may have dropped some: a whole sync follows."""
_WHOLE_AGAIN_S = 900.0
_RETRY_S = 5.0
_NETWORK = frozenset(
    "9p afpfs cifs davfs fuse.rclone fuse.sshfs ncpfs nfs nfs4 prl_fs smb smb2 smb3 smbfs vboxsf vmhgfs".split()  # noqa: SIM905
)
_PASSING = ("-wal", "-shm", "-journal", "~", ".swp", ".part", ".crdownload")
"""Ends of the names of files that come and go beside the real ones."""
_SKIPPED_FOLDERS = frozenset(("node_modules", "__pycache__"))
_SMALL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WatchStarted:
    """Changes are seen from here on. `note` says which of them are looked for instead of being told; empty: none.

    `tables` are the prefixes of the documents that rows of tables are.
    """

    roots: tuple[str, ...]
    polling: bool
    note: str
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChangesSeen:
    """So many paths changed; the sync of them follows."""

    paths: int


@dataclass(frozen=True, slots=True)
class WatchProblem:
    """A sync failed; it is tried again. The sentence is for a user."""

    sentence: str
    remedy: str


WatchEvent = WatchStarted | ChangesSeen | WatchProblem


def watch(
    open_store: Callable[[], KnowledgeStore],
    options: IngestOptions,
    *,
    cancel: CancelToken,
    ignore: Sequence[Path] = (),
    polling: bool | None = None,
) -> Iterator[WatchEvent | SyncEvent]:
    """Keep a knowledge base up to date until `cancel`: first a whole sync, then a sync of each change.

    `open_store` is called in the thread that iterates. Nothing below `ignore` counts as a change, nor do files of our own.
    `polling` None asks the system for changes where it can tell. Raises RagchatError when another process watches it already,
    NotFoundError, StorageError when it cannot be opened.
    """
    with open_store() as store, watching(store.path):
        own = (store.path.parent, options.log.parent, *ignore)
        work = _Work()
        while not cancel.cancelled:
            scene = _Scene.of(store)
            poll, note = (polling, "") if polling is not None else _must_poll(scene.folders)
            try:
                yield from _watch_scene(store, options, cancel, scene, work, own, poll, note)
            except _BlindError as error:
                if error.forbidden and not work.lenient:
                    work.lenient = True
                elif not poll:
                    polling, work.note = True, _LIMIT_REACHED
                else:
                    yield WatchProblem(f"Changes cannot be seen: {error}.", "Still trying.")
                    _rest(_RETRY_S, cancel)


_LIMIT_REACHED = (
    "The system cannot watch more folders (inotify limit), so ragchat checks them every second instead."
)

_LINKS_LATER = f"What links lead to outside the folders is looked at every {_WHOLE_AGAIN_S / 60:.0f} minutes."


class _BlindError(Exception):
    """The system does not let us see changes; `forbidden`: because a folder may not be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__(clean_line(str(error), limit=200))
        self.forbidden = isinstance(error, PermissionError)


def _watch_scene(
    store: KnowledgeStore,
    options: IngestOptions,
    cancel: CancelToken,
    scene: _Scene,
    work: _Work,
    own: Sequence[Path],
    polling: bool,
    note: str,
) -> Iterator[WatchEvent | SyncEvent]:
    """Watch what the knowledge base holds at this moment; ends when that changes."""
    started = False
    for changes in _changes(scene.folders, polling, work.lenient, cancel):
        now = time.monotonic()
        if not started:
            linked = _LINKS_LATER if store.options().follow_links else ""
            yield WatchStarted(
                tuple(map(str, scene.roots)),
                polling,
                " ".join(filter(None, (note or work.note, linked))),
                tuple(source.prefix for source in store.sources()),
            )
            started = True
        work.seen(_worth_a_look(changes, scene.roots, own), now)
        work.seen(scene.spots.changed(), now)
        only = work.due(now, scene.roots)
        if only is None or only:
            yield from _bring_in(store, options, cancel, work, only)
        if scene.is_stale(store):
            work.whole_at = 0.0
            return


def _bring_in(
    store: KnowledgeStore, options: IngestOptions, cancel: CancelToken, work: _Work, only: set[Path] | None
) -> Iterator[WatchEvent | SyncEvent]:
    """Sync what is due (None: everything), and keep it for another time when that fails."""
    if only is not None:
        yield ChangesSeen(len(only))
    try:
        yield from sync(store, options, cancel=cancel, only=only)
    except CancelledError:
        return
    except RagchatError as error:
        work.failed(time.monotonic(), only)
        yield WatchProblem(str(error), error.remedy)


def _rest(seconds: float, cancel: CancelToken) -> None:
    end = time.monotonic() + seconds
    while not cancel.cancelled and time.monotonic() < end:
        time.sleep(_LOOK_MS / 1000)


# --- what changed ---------------------------------------------------------------------------------------


class _Stop:
    """A cancel token as watchfiles wants it."""

    def __init__(self, cancel: CancelToken) -> None:
        self._cancel = cancel

    def is_set(self) -> bool:
        return self._cancel.cancelled


def _changes(
    folders: Sequence[Path], polling: bool, lenient: bool, cancel: CancelToken
) -> Iterator[set[str]]:
    """Paths that changed below `folders`, at least every `_LOOK_MS`, be it an empty set; until `cancel`.

    While the caller works, the Rust side continues collecting. `lenient` passes over folders that may not be read, but also over
    those that the system has no room to watch. Raises _BlindError when the system cannot watch.
    """
    if not folders:
        while not cancel.cancelled:
            yield set()
            time.sleep(_LOOK_MS / 1000)
        return
    import watchfiles

    seen = watchfiles.watch(
        *folders,
        watch_filter=None,
        debounce=GATHER_MS,
        step=_QUIET_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        stop_event=_Stop(cancel),
        raise_interrupt=False,
        force_polling=polling,
        poll_delay_ms=_POLL_MS,
        ignore_permission_denied=lenient,
        debug=False,
    )
    while True:
        try:
            changes = next(seen, None)
        except (OSError, RuntimeError) as error:  # RuntimeError: what the Rust side raises
            logging.getLogger(__name__).warning("cannot watch (polling %s): %s", polling, error)
            raise _BlindError(error) from error
        if changes is None:
            return
        yield {path for _, path in changes}


def _worth_a_look(changes: Iterable[str], roots: Sequence[Path], own: Sequence[Path]) -> set[Path]:
    """The changes that a sync would not pass over anyway; of a .gitignore the folder that it governs."""
    found: set[Path] = set()
    for text in changes:
        path = Path(text)
        root = _root_of(path, roots)
        if root is None or any(
            path.is_relative_to(folder) and not root.is_relative_to(folder) for folder in own
        ):
            continue
        *folders, name = path.relative_to(root).parts or ("",)
        if any(part.startswith(".") or part in _SKIPPED_FOLDERS for part in folders):
            continue
        if name == ".gitignore":
            found.add(path.parent)
        elif not name.startswith(".") and not name.endswith(_PASSING):
            found.add(path)
    return found


def _root_of(path: Path, roots: Sequence[Path]) -> Path | None:
    """The innermost root that holds `path`."""
    return max(
        (root for root in roots if path.is_relative_to(root)), key=lambda root: len(root.parts), default=None
    )


def coalesce(paths: Iterable[Path], roots: Sequence[Path], most: int = MOST_PATHS) -> set[Path]:
    """At most `most` paths that hold all of `paths`, unless there are more roots: the deepest give way to their folders."""
    found = set(paths)
    tops = set(roots)
    while len(found) > most:
        deepest = max((len(path.parts) for path in found - tops), default=0)
        if not deepest:
            break
        found = {path.parent if len(path.parts) == deepest and path not in tops else path for path in found}
    return {path for path in found if not any(parent in found for parent in path.parents)}


_State = tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class _Spots:
    """Single files that are watched by their state: roots that are files, databases with their logs, tables."""

    states: dict[Path, _State]

    @classmethod
    def of(cls, paths: Iterable[Path]) -> _Spots:
        return cls({path: _state(path) for path in paths})

    def changed(self) -> set[Path]:
        """Those whose state is another one than at the last call."""
        found = set()
        for path, before in self.states.items():
            if (state := _state(path)) != before:
                self.states[path] = state
                found.add(path)
        return found


def _state(path: Path) -> _State:
    """Number, size and time of a file and of the log that SQLite keeps beside it; zeros for what is not there."""
    found = []
    for name in (str(path), f"{path}-wal"):
        try:
            status = os.stat(name)  # noqa: PTH116
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append((0, 0, 0))
    return tuple(found)


@dataclass(slots=True)
class _Scene:
    """What is watched: the roots, which of them are folders, and the single files."""

    roots: tuple[Path, ...]
    folders: tuple[Path, ...]
    spots: _Spots
    settings: object
    identities: tuple[int, ...]

    @classmethod
    def of(cls, store: KnowledgeStore) -> _Scene:
        roots, sources = store.roots(), store.sources()
        folders = tuple(root for root in roots if root.is_dir())
        spots = [root for root in roots if root not in folders] + [Path(source.path) for source in sources]
        return cls(roots, folders, _Spots.of(spots), _settings(store), _identities(roots))

    def is_stale(self, store: KnowledgeStore) -> bool:
        """Whether another process changed the settings, or a root came, went or was replaced."""
        return _settings(store) != self.settings or _identities(self.roots) != self.identities


def _settings(store: KnowledgeStore) -> object:
    sources = [
        (source.kind, source.path, source.label, source.query, source.key) for source in store.sources()
    ]
    return store.roots(), sources, store.options()


def _identities(roots: Sequence[Path]) -> tuple[int, ...]:
    """The file number of each root that is a folder, 0 for the others."""
    return tuple(_state(root)[0][0] if root.is_dir() else 0 for root in roots)


def _must_poll(folders: Sequence[Path]) -> tuple[bool, str]:
    """Whether changes have to be looked for: on a network drive others' changes are told to no one here. And a sentence."""
    import psutil

    mounts = {Path(part.mountpoint): part.fstype for part in psutil.disk_partitions(all=True)}
    for folder in folders:
        mount = next((parent for parent in (folder, *folder.parents) if parent in mounts), None)
        if mount and mounts[mount] in _NETWORK:
            return (
                True,
                f"{clean_line(str(folder))} is on a network drive ({mounts[mount]}): it is looked at every second.",
            )
    return False, ""


# --- what is due ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Work:
    """What waits to be synced. A file that changes all the time is taken in less and less often: a small one at least every
    second, a large one (a log), which costs more to read, every 30 s.
    """

    pending: set[Path] = field(default_factory=set)
    whole_at: float = 0.0
    note: str = ""
    lenient: bool = False
    _not_before: float = 0.0
    _synced: dict[Path, tuple[float, int]] = field(default_factory=dict)

    def seen(self, paths: set[Path], now: float) -> None:
        self.pending |= paths
        if len(paths) >= _BURST:
            self.whole_at = min(self.whole_at, now + _RETRY_S)

    def due(self, now: float, roots: Sequence[Path]) -> set[Path] | None:
        """The paths to sync now; None: everything. They count as done."""
        if now < self._not_before:
            return set()
        if now >= self.whole_at:
            self.pending.clear()
            self.whole_at = now + _WHOLE_AGAIN_S
            return None
        ready = {path for path in self.pending if now >= self._earliest(path)}
        self.pending -= ready
        if len(ready) <= MOST_PATHS:
            self._remember(ready, now)
        return coalesce(ready, roots)

    def failed(self, now: float, paths: set[Path] | None) -> None:
        """Try these again in a while."""
        self._not_before = now + _RETRY_S
        if paths is None:
            self.whole_at = 0.0
        else:
            self.pending |= paths

    def _earliest(self, path: Path) -> float:
        when, repeats = self._synced.get(path, (0.0, 0))
        return when + (min(_longest_delay_s(path), 2.0 ** min(repeats - 4, 10)) if repeats > 4 else 0.0)

    def _remember(self, paths: set[Path], now: float) -> None:
        if len(self._synced) > 10_000:
            self._synced = {path: (when, n) for path, (when, n) in self._synced.items() if now - when < 60}
        for path in paths:
            when, repeats = self._synced.get(path, (0.0, 0))
            self._synced[path] = (
                now,
                repeats + 1 if now - when < 5 + 2 * (self._earliest(path) - when) else 0,
            )


def _longest_delay_s(path: Path) -> float:
    """How long a change to what changes all the time may wait."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return 1.0
    return 1.0 if stat.S_ISREG(status.st_mode) and status.st_size <= _SMALL_BYTES else 30.0
