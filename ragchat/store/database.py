"""One way to open a database and one way to write to it.

A connection belongs to its thread. Writes run in `immediate()`, which takes the write lock at once: with a deferred BEGIN
two writers can both read, and one must then fail. sqlite-utils joins an open transaction by savepoints, so its helpers
may be used inside. Schema changes are appended, named migrations; the file is copied first when it holds anything.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ragchat.errors import StorageError
from ragchat.paths import make_private_dir
from ragchat.text import human_bytes

if TYPE_CHECKING:
    from sqlite_utils import Migrations

BUSY_TIMEOUT_S = 30.0


def now() -> str:
    """The time as it is stored: ISO-8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def connect(
    path: Path, *, synchronous: Literal["FULL", "NORMAL"], must_exist: bool = False
) -> sqlite3.Connection:
    """Open `path` (made with mode 0600 when new) in WAL mode. Raises StorageError."""
    with explained(path):
        if not path.exists():
            if must_exist:
                raise StorageError(f"{path} does not exist.")
            make_private_dir(path.parent)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        connection.row_factory = sqlite3.Row
        try:
            # A file that is not a database fails here, not at the first question.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
    return connection


@contextlib.contextmanager
def immediate(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A write transaction: committed at the end of the block, rolled back on any exception. Nested blocks join it."""
    if connection.in_transaction:
        yield connection
        return
    with explained(database_path(connection)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """A read transaction: everything read inside belongs to one moment. Nested blocks join it."""
    if connection.in_transaction:
        yield connection
        return
    with explained(database_path(connection)):
        connection.execute("BEGIN")
        try:
            yield connection
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
                f"{path} was written by a newer ragchat (schema {version}, this one knows {latest}).",
                "Update ragchat.",
            )
        import sqlite_utils

        if version:
            _back_up(connection, path, version)
        with immediate(connection):
            # Read again under the lock: another instance may have been faster.
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version < latest:
                migrations.apply(sqlite_utils.Database(connection))
                connection.execute(f"PRAGMA user_version = {latest:d}")


def _back_up(connection: sqlite3.Connection, path: Path, version: int) -> None:
    target = path.with_name(f"{path.name}.schema-{version}.bak")
    with contextlib.closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
    target.chmod(0o600)


def database_path(connection: sqlite3.Connection) -> Path:
    """The file behind a connection."""
    return Path(connection.execute("PRAGMA database_list").fetchone()[2])


@contextlib.contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the disk say into a StorageError that names the file and what to do."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _explain(error, path) from error
    except OSError as error:
        raise StorageError(
            f"{path}: {error.strerror or error}.", "Check the folder and its permissions."
        ) from error


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
            "Move the file aside; a knowledge base can be built again with `ragchat kb sync`.",
        )
    if "locked" in message:
        return StorageError(
            f"{path} is being written by another process for longer than {BUSY_TIMEOUT_S:.0f} s.",
            "Try again.",
        )
    if "readonly" in message:
        return StorageError(f"{path} cannot be written: it is read-only.", "Check its permissions.")
    return StorageError(f"{path}: {message}.", "`ragchat doctor` looks closer.")


def sqlite_version() -> tuple[int, ...]:
    """The SQLite that runs here."""
    return sqlite3.sqlite_version_info
