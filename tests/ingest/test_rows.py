"""Rows as documents: keys, what is indexed anew, and a database that is only ever read."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from ragchat.errors import CancelledError, IngestError, NotFoundError, UsageError
from ragchat.ingest import rows
from ragchat.ingest.rows import RowsFinished, new_source, row_text, sync_rows
from ragchat.ingest.sync import IngestOptions
from ragchat.retrieval.search import Searcher
from ragchat.store import sources
from ragchat.store.knowledge import KnowledgeStore
from ragchat.store.sources import column_names, read_query
from ragchat.types import CancelToken, RowSource, is_row


def shelf(number: int) -> str:
    """A word of its own for each number, which is not split into letters and digits and begins no other."""
    return "shelf" + "".join("bcdfghjkmz"[int(digit)] for digit in f"{number:04}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "shop") as opened:
        yield opened


@pytest.fixture
def options(tmp_path: Path) -> IngestOptions:
    return IngestOptions(log=tmp_path / "extraction.log")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, note TEXT, price REAL, picture BLOB)"
        )
        connection.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?)",
            ((i, f"Article {i}", f"stored on {shelf(i)}", i * 0.1, b"\x00\xff") for i in range(1, 301)),
        )
    connection.close()
    return path


QUERY = "SELECT id, name, note, price, picture FROM products"


def add(
    store: KnowledgeStore,
    options: IngestOptions,
    path: Path,
    kind: Literal["sqlite", "csv"] = "sqlite",
    query: str = QUERY,
    key: str = "",
    label: str = "",
) -> RowsFinished:
    source = new_source(
        store, kind, path, query=query, key=key, label=label, options=options, cancel=CancelToken()
    )
    store.put_source(source)
    return again(store, options, source)


def again(store: KnowledgeStore, options: IngestOptions, source: RowSource) -> RowsFinished:
    *_, finished = sync_rows(store, source, options, cancel=CancelToken())
    assert isinstance(finished, RowsFinished)
    return finished


def found(store: KnowledgeStore, query: str) -> list[str]:
    return [hit.path for hit in Searcher([store]).search(query, 5, correct=False).hits]


def chunk_ids(store: KnowledgeStore) -> dict[str, list[int]]:
    return {file.path: numbers for file, _, numbers in store.indexed_documents()}


def test_each_row_is_a_document_under_its_primary_key(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    done = add(store, options, database)
    assert (done.found, done.indexed, done.failed) == (300, 300, False)
    assert done.source.key == "id"
    path = f"sqlite:{database}?products#17"
    assert found(store, shelf(17)) == [path]
    assert is_row(path)
    document = store.document_at(path)
    assert document
    assert document.title == "Article 17"
    assert (
        store.document_text(document.id)
        == f"id: 17\nname: Article 17\nnote: stored on {shelf(17)}\nprice: 1.7"
    )


def test_only_changed_rows_are_indexed_anew(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = add(store, options, database).source
    before = chunk_ids(store)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE products SET note = 'moved to the zeppelin hangar' WHERE id IN (5, 6)")
        connection.execute("DELETE FROM products WHERE id = 9")
        connection.execute("INSERT INTO products VALUES (999, 'Newcomer', 'just arrived', 1, NULL)")
    connection.close()
    done = again(store, options, source)
    assert (done.found, done.indexed, done.unchanged, done.removed) == (300, 3, 297, 1)
    after = chunk_ids(store)
    prefix = source.prefix
    assert {path for path in before if after.get(path) != before[path]} == {f"{prefix}{n}" for n in (5, 6, 9)}
    assert sorted(found(store, "zeppelin hangar")) == [f"{prefix}5", f"{prefix}6"]
    assert found(store, shelf(5)) == found(store, shelf(9)) == []
    assert found(store, "newcomer") == [f"{prefix}999"]


def test_all_rows_are_indexed_anew_when_asked_for(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = add(store, options, database).source
    before = chunk_ids(store)
    *_, done = sync_rows(store, source, options, cancel=CancelToken(), again=True)
    assert isinstance(done, RowsFinished)
    assert (done.found, done.indexed, done.unchanged, done.removed) == (300, 300, 0, 0)
    assert chunk_ids(store).keys() == before.keys()
    assert found(store, shelf(17)) == [f"{source.prefix}17"]


def test_nothing_changed_nothing_written(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = add(store, options, database).source
    revision = store.statistics().revision
    done = again(store, options, source)
    assert (done.unchanged, done.indexed, done.removed) == (300, 0, 0)
    assert store.statistics().revision == revision


def test_the_same_command_again_is_the_same_source(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    add(store, options, database)
    assert add(store, options, database).unchanged == 300
    add(store, options, database, query="SELECT id, note FROM products WHERE id < 3")
    assert [source.label for source in store.sources()] == ["products", "products-2"]
    assert len(store.documents()) == 302


@pytest.mark.parametrize(
    ("query", "key", "expected"),
    [
        ("SELECT note, name FROM products", "", "note"),  # unique, though not the primary key
        ("SELECT price > 5 AS dear, name FROM products", "", ""),
        ("SELECT name, id FROM products", "", "id"),
        ("SELECT price > 5 AS dear, name FROM products", "NAME", "name"),
    ],
)
def test_what_names_a_row(
    store: KnowledgeStore, options: IngestOptions, database: Path, query: str, key: str, expected: str
) -> None:
    done = add(store, options, database, query=query, key=key)
    assert done.source.key == expected
    assert ("--key" in done.source.note) == (expected == "")
    assert len(store.documents()) == 300


def test_rows_that_repeat_a_key_are_all_kept_and_it_is_said(
    store: KnowledgeStore, options: IngestOptions, tmp_path: Path
) -> None:
    table = tmp_path / "t.csv"
    table.write_text("city,text\nrome,old forum\nrome,new airport\n")
    done = add(store, options, table, "csv", query="", key="city")
    assert "1 row with the key of another row" in done.source.note
    assert sorted(d.path for d in store.documents()) == [f"csv:{table}#rome", f"csv:{table}#rome~2"]


def test_a_key_that_looks_like_a_repeated_one(
    store: KnowledgeStore, options: IngestOptions, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key,note\na~2,zero\na,one\na,two\na~2,three\na,four\na~3,five\n")
    done = add(store, options, path, "csv", key="key")
    assert (done.found, done.indexed) == (6, 6)
    assert len({document.path for document in store.documents()}) == 6
    assert again(store, options, done.source).unchanged == 6


def test_a_huge_cell_is_cut(store: KnowledgeStore, options: IngestOptions, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("key,note\na," + "word " * 1_200_000 + "\nb,the zephyr\n")
    done = add(store, options, path, "csv")
    assert (done.found, done.indexed, done.columns) == (2, 2, ("key", "note"))
    assert found(store, "zephyr") == [f"csv:{path}#b"]


def test_a_database_that_is_written_to_is_read_again(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    signatures = iter([(1, 1, 1), (2, 2, 2), (3, 3, 3), (3, 3, 3)])
    monkeypatch.setattr(sources, "_signature", lambda path: next(signatures))
    assert sources.best_key(database, QUERY, ["id", "name"]) == "id"
    signatures = iter((n, n, n) for n in range(100))
    assert sources.best_key(database, QUERY, ["id", "name"]) == ""
    assert sources.table_names(database) == []


def test_a_column_that_is_not_there(store: KnowledgeStore, options: IngestOptions, database: Path) -> None:
    with pytest.raises(UsageError, match="no column 'sku'") as caught:
        add(store, options, database, key="sku")
    assert "price" in caught.value.remedy


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM products",
        "UPDATE products SET name = 'x'",
        "DELETE FROM products RETURNING id",
        "ATTACH 'other.db' AS other",
        "PRAGMA writable_schema = 1",
        "CREATE TEMP TABLE t (x)",
        "SELECT 1; DELETE FROM products",
        "SELECT load_extension('evil')",
        "SELECT * FROM nowhere",
        "SELECT",
        "VACUUM INTO 'copy.db'",
        "BEGIN EXCLUSIVE",
        "",
    ],
)
def test_a_query_can_only_read(
    store: KnowledgeStore, options: IngestOptions, database: Path, query: str
) -> None:
    before = database.read_bytes()
    with pytest.raises(UsageError) as caught:
        add(store, options, database, query=query)
    assert str(caught.value).endswith(".")
    assert database.read_bytes() == before
    assert store.documents() == []


def test_a_wrong_table_is_answered_with_the_right_ones(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        add(store, options, database, query="SELECT * FROM nowhere")
    assert "products" in caught.value.remedy


def read_all(_: Sequence[str], found: Iterator[tuple[sources.Value, ...]]) -> None:
    list(found)


def test_a_query_that_never_ends_is_ended(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"
    started = time.monotonic()
    with pytest.raises(IngestError, match=r"longer than 0\.3 s"):
        read_query(database, endless, timeout_s=0.3, cancel=CancelToken(), rows=read_all)
    assert time.monotonic() - started < 2
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    with pytest.raises(CancelledError):
        read_query(database, endless, timeout_s=30, cancel=cancel, rows=read_all)


def test_nothing_appears_beside_a_database_in_wal_mode(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    before = sorted(p.name for p in database.parent.glob("shop.db*"))
    assert add(store, options, database).indexed == 300
    assert sorted(p.name for p in database.parent.glob("shop.db*")) == before == ["shop.db"]


def test_a_live_database_in_wal_mode_is_read_with_its_log(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE products SET note = 'only in the log' WHERE id = 3")
    assert add(store, options, database).indexed == 300
    assert found(store, "only in the log")[:1] == [f"sqlite:{database}?products#3"]
    writer.close()


def test_the_database_is_free_while_its_rows_are_indexed(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = new_source(store, "sqlite", database, query=QUERY, options=options, cancel=CancelToken())
    events = sync_rows(store, source, options, cancel=CancelToken())
    next(events)  # the first rows are in, more would follow
    with sqlite3.connect(database, timeout=0) as writer:
        writer.execute("UPDATE products SET note = 'x'")
    writer.close()
    list(events)


def test_full_text_tables_can_be_read(store: KnowledgeStore, options: IngestOptions, tmp_path: Path) -> None:
    path = tmp_path / "fts.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
        connection.execute("INSERT INTO notes VALUES ('a quokka smiles')")
    connection.close()
    add(store, options, path, query="SELECT rowid, body FROM notes WHERE notes MATCH 'quokka'")
    assert found(store, "quokka") == [f"sqlite:{path}?notes#1"]


def test_odd_values(store: KnowledgeStore, options: IngestOptions, tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (k, v)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?)",
            [
                ("esc\x1b[31m", "red\x1b]52;c;aGk=\x07 text"),
                (None, "without a key"),
                (b"\x00\x01", "binary key"),
                (1.5, 0.1 + 0.2),
                ("long " * 100, "x" * 3_000_000),
                ("empty", None),
                (2**62, float("inf")),
                ("nul\x00l", "bell\x07"),
            ],
        )
        connection.execute("INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 'not unicode')")
    connection.close()
    done = add(store, options, path, query="SELECT k, v FROM t", key="k")
    assert done.found == done.indexed == 9
    for document in store.documents():
        assert not any(ord(c) < 32 for c in document.path)
        assert "\x1b" not in store.document_text(document.id)
        assert len(document.path) < 300
    assert again(store, options, done.source).unchanged == 9
    assert any("1.5" in d.path for d in store.documents())


def test_a_source_that_is_away_keeps_its_rows_and_says_so(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = add(store, options, database).source
    database.rename(database.with_suffix(".away"))
    done = again(store, options, source)
    assert done.failed
    assert "rows stay" in done.source.note
    assert store.sources()[0].note == done.source.note
    assert len(store.documents()) == 300
    database.with_suffix(".away").rename(database)
    assert again(store, options, done.source).source.note == ""


@pytest.mark.skipif(os.name != "posix", reason="links in a circle")
def test_why_a_source_cannot_be_reached(
    store: KnowledgeStore, options: IngestOptions, tmp_path: Path
) -> None:
    folder = tmp_path / "shut\x1b[31m"
    folder.mkdir()
    (folder / "t.csv").write_text("id,note\n1,words\n")
    source = add(store, options, folder / "t.csv", "csv").source
    folder.rename(tmp_path / "away")
    folder.symlink_to(folder)
    note = again(store, options, source).source.note
    reason = os.strerror(errno.ELOOP)
    assert note == f"{tmp_path}/shut/t.csv cannot be reached ({reason}); its rows stay as they are"
    with pytest.raises(NotFoundError, match="cannot be reached"):
        add(store, options, folder / "t.csv", "csv")


def test_a_damaged_source_keeps_its_rows(
    store: KnowledgeStore, options: IngestOptions, database: Path
) -> None:
    source = add(store, options, database).source
    database.write_bytes(b"not a database at all, but long enough to be looked at" * 100)
    assert again(store, options, source).failed
    assert len(store.documents()) == 300


def test_a_forgotten_row_stays_out(store: KnowledgeStore, options: IngestOptions, database: Path) -> None:
    from dataclasses import replace

    source = add(store, options, database).source
    store.set_options(replace(store.options(), forgotten=(f"{source.prefix}7",)))
    assert again(store, options, source).removed == 1
    assert found(store, shelf(7)) == []
    assert again(store, options, source).removed == 0


@pytest.mark.parametrize(
    ("name", "content", "rows_found", "query", "key"),
    [
        ("a.csv", b"id,name,text\n1,ant,six legs\n2,bee,makes honey\n", 2, "honey", "2"),
        ("b.tsv", b"id\tname\ttext\n1\tant\tsix, legs\n2\tbee\tmakes honey\n", 2, "honey", "2"),
        ("c.csv", b"\xef\xbb\xbfid;name;text\r\n1;ant;six legs\r\n2;bee;makes honey\r\n", 2, "honey", "2"),
        ("d.csv", "id,text\n1,K\xe4se\n2,Br\xfccke honey\n".encode("cp1252"), 2, "br\xfccke", "2"),
        ("e.csv", "id,text\n1,ant\n2,honey\n".encode("utf-16"), 2, "honey", "2"),
        ("f.csv", b'id,text\n1,"two\nlines"\n2,"a ""quoted"" honey"\n\n', 2, "honey", "2"),
        ("g.csv", b"id,text\n1\n2,honey,and,more\n", 2, "honey more", "2"),
    ],
)
def test_tables_with_a_header(
    store: KnowledgeStore,
    options: IngestOptions,
    tmp_path: Path,
    name: str,
    content: bytes,
    rows_found: int,
    query: str,
    key: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    done = add(store, options, path, "csv", query="")
    assert done.found == rows_found
    assert found(store, query)[0] == f"csv:{path}#{key}"


def test_no_table_at_all(store: KnowledgeStore, options: IngestOptions, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        add(store, options, tmp_path / "none.csv", "csv")
    (tmp_path / "empty.csv").write_text("\n\n")
    with pytest.raises(IngestError, match="no header"):
        add(store, options, tmp_path / "empty.csv", "csv")


def test_row_text_and_names() -> None:
    assert column_names(["a", "a", "", None, "x\x1b[1m y"]) == ["a", "a 2", "column 3", "None", "x y"]
    assert row_text(["n", "t"], [17, "seventeen"]) == ("seventeen", "n: 17\nt: seventeen")
    assert row_text(["n", "t"], [None, b"\0"]) == ("", "")


def test_too_many_rows_are_refused_not_cut(
    store: KnowledgeStore, options: IngestOptions, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_ROWS", 100)
    done = add(store, options, database)
    assert done.failed
    assert "more than 100 rows" in done.source.note
