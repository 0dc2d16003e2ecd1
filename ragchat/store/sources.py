"""Reading someone else's SQLite file: one query, read-only, under limits of time and size.

The connection is opened for reading, may not write by three settings, and an authorizer lets it do nothing but read: no ATTACH,
no PRAGMA, no extension. It is held only as long as the query runs; nothing is written beside the file where SQLite allows that.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ragchat.errors import CancelledError, IngestError, UsageError
from ragchat.text import clean_line
from ragchat.types import CancelToken

T = TypeVar("T")
Value = int | float | str | bytes | None
LARGEST_VALUE = 64 * 1024 * 1024
"""Bytes of one value above which the query fails."""
_STEPS = 5_000
"""Steps of SQLite's virtual machine between two looks at the clock: well below a millisecond."""
_ROWS_AT_ONCE = 500
_BUSY_TIMEOUT_S = 5.0
_ATTEMPTS = 3


class _ChangedError(Exception):
    """Someone wrote to the file while it was read without locks."""


def read_query(
    path: Path,
    query: str,
    *,
    timeout_s: float,
    cancel: CancelToken,
    rows: Callable[[Sequence[str], Iterator[tuple[Value, ...]]], None],
) -> None:
    """Run one SELECT on the SQLite file `path` and hand (column names, all rows) to `rows`, which must take the rows at once.

    It may be called again, from the beginning, when the file changed meanwhile. Raises UsageError for a query that does not
    work or wants more than to read, IngestError when it takes longer than `timeout_s` or the file cannot be read,
    CancelledError.
    """

    def read() -> None:
        with _opened(path, timeout_s, cancel) as connection:
            cursor = _execute(connection, path, query, timeout_s, cancel)
            columns = column_names(column[0] for column in cursor.description)
            rows(columns, _fetched(cursor, path, timeout_s, cancel))

    _unchanged(path, read)


def best_key(path: Path, query: str, columns: Sequence[str]) -> str:
    """The column of a query that names a row as the file itself does: the primary key of the table after FROM, or ''."""
    import sqlite_utils

    from_table = re.search(r"\bfrom\s+[\"'`\[]?([^\s\"'`\],;()]+)", query, re.IGNORECASE)
    if not from_table or re.search(r"\b(join|union|group\s+by)\b", query, re.IGNORECASE):
        return ""

    def read() -> list[str]:
        with _opened(path, _BUSY_TIMEOUT_S, CancelToken(), guarded=False) as connection:
            database = sqlite_utils.Database(connection)
            names = {name.lower(): name for name in database.table_names()}
            table = names.get(from_table[1].lower())
            return list(database.table(table).pks) if table else []

    try:
        keys = _unchanged(path, read)
    except (sqlite3.Error, IngestError):
        return ""
    if len(keys) != 1:
        return ""
    return next((column for column in columns if column.lower() == keys[0].lower()), "")


def table_names(path: Path) -> list[str]:
    """The tables of a SQLite file, without those that are SQLite's own; none when it cannot be read."""
    import sqlite_utils

    def read() -> list[str]:
        with _opened(path, _BUSY_TIMEOUT_S, CancelToken(), guarded=False) as connection:
            return list(sqlite_utils.Database(connection).table_names())

    try:
        return [name for name in _unchanged(path, read) if not name.startswith("sqlite_")]
    except (sqlite3.Error, IngestError):
        return []


def _unchanged(path: Path, read: Callable[[], T]) -> T:
    """What `read` returns, which is repeated when someone writes to the file meanwhile. Raises IngestError if they continue."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(_ChangedError):
            return read()
    raise IngestError(f"{path} changed while it was read.", "Try again.")


@contextlib.contextmanager
def _opened(
    path: Path, timeout_s: float, cancel: CancelToken, *, guarded: bool = True
) -> Iterator[sqlite3.Connection]:
    """A connection that can only read. Without a log beside it the file is read as it lies, so that none is made."""
    if not path.is_file():
        raise IngestError(f"{path} does not exist.", "Check the path.")
    in_wal_mode, log = _in_wal_mode(path), path.with_name(f"{path.name}-wal")
    alone = in_wal_mode and not log.exists()
    before = _signature(path)
    uri = f"{path.absolute().as_uri()}?mode=ro" + ("&immutable=1" if alone else "")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=min(timeout_s, _BUSY_TIMEOUT_S))
    try:
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        if guarded:
            connection.set_authorizer(_authorize)
        deadline = time.monotonic() + timeout_s
        connection.set_progress_handler(lambda: cancel.cancelled or time.monotonic() > deadline, _STEPS)
        yield connection
    finally:
        connection.close()
    if alone and (log.exists() or _signature(path) != before):
        raise _ChangedError


def _in_wal_mode(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(20)[18:20] == b"\2\2"
    except OSError as error:
        raise IngestError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error


def _signature(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)  # noqa: PTH116
    return status.st_ino, status.st_size, status.st_mtime_ns


_ALLOWED = frozenset((sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE))
_FORBIDDEN_FUNCTIONS = frozenset(("load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"))


def _authorize(
    action: int, first: str | None, second: str | None, database: str | None, inner: str | None
) -> int:
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_DENY if second in _FORBIDDEN_FUNCTIONS else sqlite3.SQLITE_OK
    # A virtual table (full-text search, say) declares itself like this when it is first read; nothing is written.
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _execute(
    connection: sqlite3.Connection, path: Path, query: str, timeout_s: float, cancel: CancelToken
) -> sqlite3.Cursor:
    with _explained(path, timeout_s, cancel):
        cursor = connection.execute(query)
    if cursor.description is None:
        raise UsageError("The query returns no rows.", "Write a SELECT.")
    return cursor


def column_names(found: Iterable[object]) -> list[str]:
    """One name for each column, sanitised; a second `name` becomes `name 2`, an empty one `column N`."""
    names: list[str] = []
    for number, raw in enumerate(found, 1):
        base = name = clean_line(str(raw), limit=100) or f"column {number}"
        count = 1
        while name in names:
            count += 1
            name = f"{base} {count}"
        names.append(name)
    return names


def _fetched(
    cursor: sqlite3.Cursor, path: Path, timeout_s: float, cancel: CancelToken
) -> Iterator[tuple[Value, ...]]:
    while True:
        with _explained(path, timeout_s, cancel):
            batch = cursor.fetchmany(_ROWS_AT_ONCE)
        if not batch:
            return
        yield from batch


@contextlib.contextmanager
def _explained(path: Path, timeout_s: float, cancel: CancelToken) -> Iterator[None]:
    """What SQLite says, as a sentence that names the file and what to do."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        message = clean_line(str(error))
        if "interrupted" in message:
            if cancel.cancelled:
                raise CancelledError("Stopped.") from error
            raise IngestError(
                f"The query on {path} took longer than {timeout_s:g} s.",
                "Simplify the query or raise knowledge.query_timeout_s.",
            ) from error
        if "one statement" in message:
            raise UsageError(
                "The query contains more than one statement.", "Give a single SELECT."
            ) from error
        if "not authorized" in message or "readonly" in message or "prohibited" in message:
            raise UsageError(
                f"The query does more than read ({message}).", "Give a single SELECT."
            ) from error
        if "locked" in message or "busy" in message:
            raise IngestError(f"{path} is locked by the program that writes it.", "Try again.") from error
        if "not a database" in message or "malformed" in message or "file is encrypted" in message:
            raise IngestError(
                f"{path} is damaged or not an SQLite file ({message}).", "Check the path."
            ) from error
        if "too big" in message:
            raise IngestError(
                f"{path}: a value is larger than {LARGEST_VALUE >> 20} MiB.",
                "Leave its column out of the query.",
            ) from error
        if "unable to open" in message or "disk I/O" in message:
            raise IngestError(f"{path} cannot be read ({message}).", "Check its permissions.") from error
        raise UsageError(f"The query does not work: {message}.", _tables_sentence(path, message)) from error


def _tables_sentence(path: Path, message: str) -> str:
    if not message.startswith("no such table"):
        return ""
    names = [clean_line(name, limit=60) for name in table_names(path)]
    return f"{path} holds {', '.join(names[:20])}." if names else f"{path} contains no tables."
