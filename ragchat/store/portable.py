"""A knowledge base as one file to carry: written whole, and taken in only after a look at everything that could do harm.

A foreign file may hold anything: its schema is held against ours before SQLite is asked for data, nothing in it is executed
(no trigger, view, virtual table, generated column), and its texts must be as clean as ours are. Names of files and queries are
no cleaner than ours, either: they are kept as they are and cleaned when they are shown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.paths import make_private_dir
from ragchat.store.database import connect_existing, explained, fetch
from ragchat.store.knowledge import (
    APPLICATION_ID,
    LATEST,
    NOT_INDEXED,
    KnowledgeStore,
    check_name,
    migrations,
)
from ragchat.store.maintenance import disagreements
from ragchat.text import clean, clean_line, human_bytes

_HEADER_BYTES = 100
_FIRST_PORTABLE = 3
"""The schema that first wrote our application id."""
_CLEAN_COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("documents", ("reason", "title", "media_type", "content_hash", "language", "left_out", "ocr")),
    ("chunks", ("heading", "text", "page_label", "part", "page_breaks")),
    ("sources", ("kind", "label", "key", "note")),
    ("ocr_pages", ("content_hash", "languages", "text")),
    ("embedding_models", ("fingerprint", "name")),
    ("meta", ("key", "value")),
)
_VERBATIM_COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("documents", ("path", "name")),
    ("roots", ("path",)),
    ("sources", ("path", "query")),
)
"""Kept as the system or a user wrote them, and cleaned whenever they are shown; as are the patterns among the settings."""


def export_knowledge_base(store: KnowledgeStore, target: Path) -> int:
    """Write the knowledge base into `target`, one file without a log; its size in bytes. It gets its name when it is whole.

    Raises UsageError when `target` exists, StorageError.
    """
    if target.exists():
        raise UsageError(f"{target} already exists.", "Choose another name.")
    if os.fsencode(target) != str(target).encode("utf-8", "replace"):
        raise UsageError(f"The name {clean_line(str(target))} is not readable text.", "Choose another name.")
    with explained(target):
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        os.close(descriptor)
        unfinished = Path(name)
        try:
            with contextlib.closing(connect_existing(store.path, synchronous="NORMAL")) as connection:
                connection.execute("VACUUM INTO ?", (name,))
            with contextlib.closing(sqlite3.connect(unfinished)) as copy:
                copy.execute("PRAGMA journal_mode = DELETE")
            _settle(unfinished)
            _give_name(unfinished, target)
            return target.stat().st_size
        finally:
            unfinished.unlink(missing_ok=True)


def import_knowledge_base(
    folder: Path, file: Path, name: str, *, verify: Callable[[KnowledgeStore], list[str]] = lambda store: []
) -> KnowledgeStore:
    """Copy a knowledge base from `file` into `folder` as `name` and open it; `verify` says what is wrong with it beyond that.

    Raises NotFoundError, UsageError for a name that is taken, StorageError that says what is wrong with the file.
    """
    check_name(name)
    target = folder / f"{name}.db"
    if target.exists():
        raise UsageError(
            f"A knowledge base named {name!r} already exists.", "Choose another name with --name."
        )
    _check_header(
        file,
        oldest=_FIRST_PORTABLE,
        remedy="Open it with this version of ragchat on the machine where it was made, then export it.",
    )
    make_private_dir(folder)
    _check_space(file, folder)
    with explained(target):
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".import", dir=folder)
        unfinished = Path(temporary)
        try:
            with open(file, "rb") as source, open(descriptor, "wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            _check_header(unfinished, oldest=_FIRST_PORTABLE)
            with contextlib.closing(_open_untrusted(unfinished)) as connection:
                _check_schema(connection, file)
                _check_content(connection, file)
                if wrong := verify(KnowledgeStore(connection, unfinished)):
                    raise StorageError(f"{file}: {wrong[0]}", "Export it again, or do not trust it.")
            _settle(unfinished)
            _give_name(unfinished, target)
        finally:
            unfinished.unlink(missing_ok=True)
    return KnowledgeStore.open(folder, name)


def open_foreign(file: Path) -> KnowledgeStore:
    """Someone else's knowledge base where it lies, for searching alone: nothing is written, not even beside it.

    Raises NotFoundError, StorageError, also for one of an older ragchat, which would have to be changed first.
    """
    _check_header(file, oldest=LATEST, remedy="`ragchat kb import` imports and upgrades it.")
    with explained(file):
        connection = _open_untrusted(file)
        try:
            _check_schema(connection, file)
            if not _is_indexed(connection):
                raise StorageError(
                    f"{file} has no index yet because an older version of ragchat made it.",
                    "`ragchat kb import` imports and indexes it.",
                )
            _check_values(connection, file, thorough=False)
        except BaseException:
            connection.close()
            raise
    store = KnowledgeStore(connection, file)
    store.name = clean_line(file.stem, limit=64)
    return store


def _give_name(unfinished: Path, target: Path) -> None:
    try:
        os.link(unfinished, target)  # never overwrites, unlike a rename
    except FileExistsError:
        raise UsageError(f"{target} already exists.", "Choose another name.") from None
    except OSError:  # a file system without hard links
        unfinished.rename(target)


def _settle(path: Path) -> None:
    """Wait until the file is on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- a file that nobody vouches for ---------------------------------------------------------------------


def _check_header(file: Path, *, oldest: int, remedy: str = "") -> None:
    """Kind and version of a file by its first bytes, before SQLite opens it."""
    if not file.is_file():
        raise NotFoundError(f"{file} does not exist.", "Check the path.")
    with explained(file), open(file, "rb") as opened:
        header = opened.read(_HEADER_BYTES)
    version, application = (int.from_bytes(header[at : at + 4], "big") for at in (60, 68))
    if (
        not header.startswith(b"SQLite format 3\0")
        or len(header) < _HEADER_BYTES
        or application != APPLICATION_ID
    ):
        raise StorageError(f"{file} is not a ragchat knowledge base.", "Make one with `ragchat kb export`.")
    if version > LATEST:
        raise StorageError(
            f"{file} was written by a newer version of ragchat (schema {version}, this one knows {LATEST}).",
            "Update ragchat.",
        )
    if version < oldest:
        raise StorageError(f"{file} was written by an older version of ragchat (schema {version}).", remedy)
    log = file.with_name(f"{file.name}-wal")
    if log.is_file() and log.stat().st_size:
        raise StorageError(
            f"{file} is in use: some of its data is still in its log.", "Copy it with `ragchat kb export`."
        )


def _check_space(file: Path, folder: Path) -> None:
    size, free = file.stat().st_size, shutil.disk_usage(folder).free
    if size * 1.1 > free:
        raise StorageError(
            f"{file} needs {human_bytes(size)}, and {human_bytes(free)} are free in {folder}.",
            "Free some space.",
        )


def _open_untrusted(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{file.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None
    )
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _check_schema(connection: sqlite3.Connection, file: Path) -> None:
    """Tables and columns must be ours and nothing else may be there. Raises StorageError."""
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema"):
        if kind not in ("table", "index") or "VIRTUAL TABLE" in (sql or "").upper():
            raise StorageError(
                f"{file} contains a {kind} {clean_line(name)!r}that ragchat never makes.", "Do not trust it."
            )
    found, ours = _columns(connection), _own_columns()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    unknown = found.keys() - ours.keys()
    wrong = [name for name in found.keys() & ours.keys() if version == LATEST and found[name] != ours[name]]
    missing = ours.keys() - found.keys() if version == LATEST else set()
    if odd := sorted(unknown) + sorted(wrong) + sorted(missing):
        raise StorageError(
            f"{file} does not contain the tables of a knowledge base ({clean_line(', '.join(odd), limit=200)}).",
            "Do not trust it.",
        )


def _check_values(connection: sqlite3.Connection, file: Path, *, thorough: bool) -> None:
    """The counts are numbers and agree; `thorough`: every value has the type of its column. Raises StorageError."""
    numbers = "('next_chunk', 'chunk_count', 'total_length', 'revision')"
    if fetch(connection, f"SELECT 1 FROM meta WHERE key IN {numbers} AND typeof(value) <> 'integer'"):
        raise StorageError(f"{file}: its counts are not numbers.", "Do not trust it.")
    if wrong := disagreements(connection, indexed=_is_indexed(connection)):
        raise StorageError(f"{file}: {wrong[0]}.", "Export it again, or do not trust it.")
    try:
        KnowledgeStore(connection, file).options()
    except (AttributeError, TypeError, ValueError) as error:
        raise StorageError(f"{file}: its settings cannot be read.", "Do not trust it.") from error
    for table in _columns(connection) if thorough else ():
        for row in connection.execute("SELECT name, upper(type) AS type FROM pragma_table_info(?)", (table,)):
            if (kind := row["type"]) in ("INTEGER", "TEXT", "BLOB", "REAL"):
                kinds = ("real", "integer") if kind == "REAL" else (kind.lower(), kind.lower())
                query = (
                    f'SELECT 1 FROM "{table}" WHERE typeof("{row["name"]}") NOT IN (?, ?, \'null\') LIMIT 1'
                )
                if fetch(connection, query, kinds):
                    raise StorageError(f"{file}: {table}.{row['name']} is not a {kind}.", "Do not trust it.")


def _is_indexed(connection: sqlite3.Connection) -> bool:
    """Not after a migration that left its index to the next sync."""
    return not fetch(connection, "SELECT 1 FROM meta WHERE key = 'analyzer' AND value = ?", (NOT_INDEXED,))


def _columns(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """The columns of each table; one that is computed shows as such."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        )
    ]
    return {
        name: [
            row["name"] if not row["hidden"] else f"{row['name']} (computed)"
            for row in connection.execute("SELECT name, hidden FROM pragma_table_xinfo(?)", (name,))
        ]
        for name in names
    }


def _own_columns() -> dict[str, list[str]]:
    import sqlite_utils

    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = sqlite3.Row
        migrations().apply(sqlite_utils.Database(connection))
        return _columns(connection)


def _check_content(connection: sqlite3.Connection, file: Path) -> None:
    """Every page is sound, every text clean. Raises StorageError."""
    found = fetch(connection, "PRAGMA quick_check(1)")[0][0]
    if found != "ok":
        raise StorageError(f"{file} is damaged: {clean_line(str(found), limit=200)}.", "Export it again.")
    if fetch(connection, "PRAGMA user_version")[0][0] == LATEST:
        _check_values(connection, file, thorough=True)
    for table, columns in _VERBATIM_COLUMNS:
        if any("\0" in text for text in _texts(connection, table, columns)):
            raise StorageError(f"{file} contains names in {table} that no file can have.", "Do not trust it.")
    for table, columns in _CLEAN_COLUMNS:
        for text in _texts(connection, table, columns):
            if clean(text) != text:
                raise StorageError(
                    f"{file} contains control characters in {table}, which ragchat never writes.",
                    "Do not trust it.",
                )


def _texts(connection: sqlite3.Connection, table: str, columns: tuple[str, ...]) -> Iterator[str]:
    have = {row["name"] for row in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    listed = ", ".join(column for column in columns if column in have)
    if not listed:
        return  # a table that its version did not have
    where = " WHERE key <> 'options'" if table == "meta" else ""
    for row in connection.execute(f"SELECT {listed} FROM {table}{where}"):
        yield from (value for value in row if isinstance(value, str))
