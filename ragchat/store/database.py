"""One way to open a database and one way to write to it.

A connection belongs to its thread. Writes run in `immediate()`, which takes the write lock at once: with a deferred BEGIN
two writers can both read, and one must then fail. sqlite-utils joins an open transaction by savepoints, so its helpers
may be used inside. Schema changes are appended, named migrations; the file is copied first when it holds anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragchat.errors import StorageError
from ragchat.paths import make_private_dir
from ragchat.text import clean_line, human_bytes
from ragchat.types import Span

if TYPE_CHECKING:
    from sqlite_utils import Migrations

BUSY_TIMEOUT_S = 30.0


class BusyError(StorageError):
    """Another connection writes for longer than one would wait."""


def now() -> str:
    """The time as it is stored: ISO-8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connect(
    path: Path, *, synchronous: Literal["FULL", "NORMAL"], page_bytes: int = 4096
) -> sqlite3.Connection:
    """Open `path` (made with mode 0600 and pages of `page_bytes` when new) in WAL mode. Raises StorageError."""
    with explained(path):
        is_new = not path.exists()
        if is_new:
            make_private_dir(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        return _open(str(path), synchronous, page_bytes if is_new else 0)


def connect_existing(path: Path, *, synchronous: Literal["FULL", "NORMAL"]) -> sqlite3.Connection:
    """Open `path`, which must exist; on a read-only medium for reading alone. Raises StorageError."""
    with explained(path):
        if not path.exists():
            raise StorageError(f"{path} does not exist.")
        try:
            return _open(str(path), synchronous)
        except sqlite3.OperationalError:
            # WAL wants to write even to read. Where nobody can, nothing changes under us; a log that was left behind
            # holds transactions that `immutable` would not see.
            if _can_write(path.parent) or _has_log(path):
                raise
            return _open(f"{path.absolute().as_uri()}?mode=ro&immutable=1", synchronous)


def _open(name: str, synchronous: str, page_bytes: int = 0) -> sqlite3.Connection:
    connection = sqlite3.connect(
        name, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=name.startswith("file:")
    )
    connection.row_factory = sqlite3.Row
    try:
        if page_bytes:  # only while the file is empty
            connection.execute(f"PRAGMA page_size = {page_bytes:d}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # A file that is not a database fails here, not at the first question.
        _patiently(connection, "PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Run what needs the file to itself: SQLite does not wait for that by itself when several begin at once."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
        time.sleep(0.02)


def _can_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.is_file() and log.stat().st_size > 0


def fetch(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
) -> list[sqlite3.Row]:
    """All rows of a query. Raises StorageError, for a damaged page shows itself only when it is read."""
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.DatabaseError as error:
        raise _explain(error, database_path(connection)) from error


@contextlib.contextmanager
def immediate(
    connection: sqlite3.Connection, *, wait_s: float = BUSY_TIMEOUT_S
) -> Iterator[sqlite3.Connection]:
    """A write transaction: committed at the end of the block, rolled back on any exception. Nested blocks join it.

    Raises BusyError when another connection writes for longer than `wait_s`, StorageError.
    """
    if connection.in_transaction:
        yield connection
        return
    with explained(connection):
        _begin(connection, wait_s)
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise


def _begin(connection: sqlite3.Connection, wait_s: float) -> None:
    """Take the write lock."""
    if wait_s == BUSY_TIMEOUT_S:
        connection.execute("BEGIN IMMEDIATE")
        return
    connection.execute(f"PRAGMA busy_timeout = {wait_s * 1000:.0f}")
    try:
        connection.execute("BEGIN IMMEDIATE")
    finally:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:  # after some errors (a full disk) SQLite has done so itself
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A read transaction: everything read inside belongs to one moment. Nested blocks join it; nothing may be written."""
    if connection.in_transaction:
        yield connection
        return
    with explained(connection):
        connection.execute("BEGIN")
        written_before = connection.total_changes
        try:
            yield connection
            assert connection.total_changes == written_before, "what is written inside snapshot() is lost"
        finally:
            connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, migrations: Migrations, latest: int) -> None:
    """Bring the schema to `latest`, the number of migrations. A file that holds data is copied beside itself first.

    Raises StorageError when the file was written by a newer ragchat.
    """
    path = database_path(connection)
    with explained(path):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == latest:
            return
        if version > latest:
            raise StorageError(
                f"{path} was written by a newer version of ragchat (schema {version}, this one knows {latest}).",
                "Update ragchat.",
            )
        import sqlite_utils

        with immediate(connection):
            # Read again under the lock: another instance may have been faster.
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version < latest:
                if version:
                    _back_up(path, version)
                migrations.apply(sqlite_utils.Database(connection))
                connection.execute(f"PRAGMA user_version = {latest:d}")


def _back_up(path: Path, version: int) -> None:
    """Copy the database beside itself; the copy gets its name when it is whole. The write lock must be held."""
    target = path.with_name(f"{path.name}.schema-{version}.bak")
    unfinished = path.with_name(f"{path.name}.schema-{version}.unfinished")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        # A connection that is in a transaction cannot be the source of its own backup everywhere: read by a second one.
        with (
            contextlib.closing(sqlite3.connect(path)) as source,
            contextlib.closing(sqlite3.connect(unfinished)) as copy,
        ):
            source.backup(copy)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def database_path(connection: sqlite3.Connection) -> Path:
    """The file behind a connection."""
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


@contextlib.contextmanager
def explained(database: Path | sqlite3.Connection) -> Iterator[None]:
    """Turn what SQLite and the disk say into a StorageError that names the file and what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _explain(error, _path_of(database)) from error
    except OSError as error:
        path = _path_of(database)
        raise StorageError(
            f"{path}: {error.strerror or error}.", "Check the folder and its permissions."
        ) from error


def _path_of(database: Path | sqlite3.Connection) -> Path:
    return database if isinstance(database, Path) else database_path(database)


def _explain(error: sqlite3.DatabaseError, path: Path) -> StorageError:
    message = str(error)
    if "full" in message:
        free = shutil.disk_usage(path.parent).free if path.parent.is_dir() else 0
        return StorageError(
            f"The disk is full: {path} could not be written ({human_bytes(free)} free).", "Free some space."
        )
    if "not a database" in message or "malformed" in message:
        return StorageError(
            f"{path} is damaged: {message}.",
            "Move the file away. `ragchat kb add` can build a knowledge base again.",
        )
    if "locked" in message:
        return BusyError(f"{path} is being written by another process.", "Try again in a moment.")
    if "readonly" in message:
        return StorageError(f"{path} cannot be written: it is read-only.", "Check its permissions.")
    if "unable to open" in message:
        return StorageError(f"{path} cannot be opened.", "Check the folder and its permissions.")
    return StorageError(f"{path}: {message}.", "Run `ragchat doctor` to find the cause.")


def sqlite_version() -> tuple[int, ...]:
    """The SQLite that runs here."""
    return sqlite3.sqlite_version_info


PLACE_COLUMNS = (
    "file_line_first INTEGER",
    "file_line_last INTEGER",
    "page_label TEXT",
    "part TEXT",
    "confidence REAL",
    "page_breaks TEXT",
)
"""Of chunks and citations, behind the six that came first."""
_NO_LINE = 0
"""The file has no lines of its own. NULL is what an earlier version left, which told them not apart."""


def span_row(span: Span) -> tuple[object, ...]:
    """A span as its twelve columns, in their order."""
    return (
        *(span.char_first, span.char_last, span.line_first, span.line_last, span.page_first, span.page_last),
        _NO_LINE if span.file_line_first is None else span.file_line_first,
        _NO_LINE if span.file_line_last is None else span.file_line_last,
        *(span.page_label or None, span.part or None, span.confidence),
        json.dumps(span.page_breaks, ensure_ascii=False) if span.page_breaks else None,
    )


def span_of(row: sqlite3.Row) -> Span:
    """The span in a row that has its columns, as chunks and citations do."""
    return span_from(*(row[column] for column in SPAN_COLUMNS))


SPAN_COLUMNS = (
    *("char_first", "char_last", "line_first", "line_last", "page_first", "page_last"),
    *(column.split()[0] for column in PLACE_COLUMNS),
)


def span_from(  # noqa: PLR0913
    char_first: int,
    char_last: int,
    line_first: int,
    line_last: int,
    page_first: int | None,
    page_last: int | None,
    first: int | None,
    last: int | None,
    page_label: str | None,
    part: str | None,
    confidence: float | None,
    page_breaks: str | None,
) -> Span:
    """The span in the values of `SPAN_COLUMNS`, in their order."""
    return Span(
        char_first,
        char_last,
        line_first,
        line_last,
        page_first,
        page_last,
        (line_first if first is None else first) or None,
        (line_last if last is None else last) or None,
        page_label or "",
        part or "",
        confidence,
        _page_breaks(page_breaks) if page_breaks else (),
    )


def _page_breaks(packed: str) -> tuple[tuple[int, str], ...]:
    """What `span_row` stored; nothing of what it did not: a knowledge base may come from elsewhere."""
    try:
        return tuple((int(at), clean_line(str(label), limit=20)) for at, label in json.loads(packed))
    except (ValueError, TypeError, RecursionError):
        return ()
