"""Care for knowledge bases: forget, check, export, import, rename, settings, tables, one watcher at a time."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from ragchat.cli import kb_watch
from ragchat.errors import NotFoundError, RagchatError, StorageError, UsageError
from ragchat.ingest.audit import audit_files
from ragchat.ingest.forget import forget, remember
from ragchat.ingest.reading.process import answer
from ragchat.ingest.rows import RowsFinished, new_source, sync_rows
from ragchat.ingest.sync import IngestOptions, sync
from ragchat.ingest.watch import WatchStarted
from ragchat.ingest.wire import Read, ReadRequest
from ragchat.ingest.writer import BatchWriter, record_of
from ragchat.retrieval import index
from ragchat.retrieval.check import wrong_segments
from ragchat.retrieval.highlight import matches
from ragchat.retrieval.postings import is_long, ranges_in
from ragchat.retrieval.search import Searcher
from ragchat.store.chats import ChatStore
from ragchat.store.database import connect
from ragchat.store.knowledge import FileRecord, KnowledgeStore, migrations
from ragchat.store.maintenance import problems, rename_knowledge_base
from ragchat.store.portable import export_knowledge_base, import_knowledge_base, open_foreign
from ragchat.store.watchlock import watcher, watching
from ragchat.types import CancelToken, RowSource
from tests.helpers.small_kb import put

CANARY = "quetzalcoatlusnorthropi"


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ragchat` in a process of its own."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", *arguments],
        env={**clean, "RAGCHAT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run_json(home: Path, *arguments: str) -> Any:
    done = run(home, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def kb_dir(tmp_path: Path) -> Path:
    return tmp_path / "kb"


@pytest.fixture
def store(kb_dir: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(kb_dir, "zoo") as opened:
        for i in range(40):
            put(opened, f"/zoo/animal{i}.md", f"animal number{i} eats leaves", f"and sleeps at noon{i}")
        yield opened


def bring_in(store: KnowledgeStore, log: Path, *add: Path) -> None:
    list(sync(store, IngestOptions(log=log), cancel=CancelToken(), add=add))


def holds(folder: Path, word: str) -> list[str]:
    """The files below `folder` in whose bytes `word` stands, in any case."""
    return [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and word.lower().encode() in path.read_bytes().lower()
    ]


# --- forget -----------------------------------------------------------------------------------------------


def test_nothing_of_a_forgotten_file_is_left(tmp_path: Path, kb_dir: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "secret.md").write_text(f"# {CANARY} title\n\nThe {CANARY} nests here.\n")
    for i in range(20):
        (docs / f"other{i}.md").write_text(f"# Other {i}\n\nOrdinary words number {i}.\n")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        bring_in(store, tmp_path / "log", docs)
        (docs / "secret.md").write_text(
            f"# {CANARY} again\n\nAn edited {CANARY}, so an old version lies about.\n"
        )
        bring_in(store, tmp_path / "log")
        (kb_dir / "zoo.db.schema-1.bak").write_bytes((kb_dir / "zoo.db").read_bytes())
        assert holds(kb_dir, CANARY), "the test looks in the right place"
        done = forget(store, str(docs / "secret.md"))
        assert (done.documents, done.copies) == (1, ())
        assert holds(kb_dir, CANARY) == []
        assert holds(kb_dir, CANARY[:-1]) == [], "no stem of it either"
        assert problems(store.path, thorough=True) == []
        assert wrong_segments(store) == []
        assert Searcher([store]).search("ordinary words", 30).hits
        assert store.status().indexed == 20
    assert holds(kb_dir, CANARY) == []
    assert (docs / "secret.md").exists()


def test_what_was_forgotten_stays_out_until_it_is_added_again(tmp_path: Path, kb_dir: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "private").mkdir(parents=True)
    (docs / "private" / "a.md").write_text(f"The {CANARY} is private.")
    (docs / "b.md").write_text("Public words.")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        bring_in(store, tmp_path / "log", docs)
        assert forget(store, str(docs / "private")).documents == 1
        bring_in(store, tmp_path / "log")
        assert Searcher([store]).search(CANARY, 5).hits == ()
        with pytest.raises(UsageError, match="which you removed"):
            remember(store, [str(docs / "private" / "a.md")])
        remember(store, [str(docs)])
        bring_in(store, tmp_path / "log", docs)
        assert Searcher([store]).search(CANARY, 5).hits == (), "adding the folder above is no word about it"
        remember(store, [str(docs / "private")])
        bring_in(store, tmp_path / "log", docs / "private")
        assert len(Searcher([store]).search(CANARY, 5).hits) == 1


def test_forgetting_a_root_a_copy_and_what_never_was(store: KnowledgeStore, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("one.md", "two.md"):
        (docs / name).write_text("The same words twice.")
    bring_in(store, tmp_path / "log", docs / "one.md", docs / "two.md")
    assert forget(store, str(docs / "one.md")).copies == (str(docs / "two.md"),)
    assert store.roots() == (docs / "two.md",)
    with pytest.raises(NotFoundError, match="not in zoo"):
        forget(store, str(tmp_path / "nowhere.md"))


def test_forget_says_when_a_reader_keeps_the_old_state(store: KnowledgeStore, kb_dir: Path) -> None:
    put(store, "/zoo/secret.md", f"the {CANARY}")
    with closing(sqlite3.connect(kb_dir / "zoo.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        with pytest.raises(StorageError, match="read by another process"):
            forget(store, "/zoo/secret.md")
        reader.execute("ROLLBACK")
    assert Searcher([store]).search(CANARY, 5).hits == ()
    assert forget(store, "/zoo/secret.md").documents == 0, "the same command goes on"
    assert holds(kb_dir, CANARY) == []
    assert store.options().forgotten == ()


def test_a_folder_takes_its_tables_and_a_row_only_itself(tmp_path: Path, kb_dir: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "people.csv").write_text(f"name,note\ndocs,is {CANARY}\ndocs/intro,a neighbour\n")
    (tmp_path / "data2.csv").write_text("name,note\nother,stays\n")
    options = IngestOptions(log=tmp_path / "log")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        for path in (data / "people.csv", tmp_path / "data2.csv"):
            source = new_source(store, "csv", path, options=options, cancel=CancelToken())
            store.put_source(source)
            list(sync_rows(store, source, options, cancel=CancelToken()))
        row = f"csv:{data}/people.csv#docs"
        assert forget(store, row).documents == 1
        assert store.document_at(f"{row}/intro")
        bring_in(store, tmp_path / "log")
        assert store.document_at(row) is None
        assert store.options().forgotten == (row,)
        store.set_options(replace(store.options(), forgotten=()))
        bring_in(store, tmp_path / "log")
        assert store.document_at(row)
        assert (forget(store, str(data)).documents, store.options().forgotten) == (2, ())
        assert [source.path for source in store.sources()] == [str(tmp_path / "data2.csv")]
        assert [document.path for document in store.documents()] == [f"csv:{tmp_path}/data2.csv#other"]
    assert holds(kb_dir, CANARY) == []


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_root_that_has_become_a_link(tmp_path: Path, kb_dir: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("a.md", "b.md"):
        (docs / name).write_text(f"The {CANARY} of {name}.")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        bring_in(store, tmp_path / "log", docs)
        docs.rename(tmp_path / "elsewhere")
        docs.symlink_to(tmp_path / "elsewhere")
        (docs / "c.md").write_text("Some words.")
        bring_in(store, tmp_path / "log")
        assert [Path(d.path).relative_to(tmp_path / "elsewhere").name for d in store.documents()] == [
            *("a.md", "b.md", "c.md")
        ]
        forget(store, str(docs / "a.md"))
        bring_in(store, tmp_path / "log")
        assert len(store.documents()) == 2
        forget(store, str(docs))
        bring_in(store, tmp_path / "log")
        assert (store.documents(), store.roots()) == ([], ())
    assert holds(kb_dir, CANARY) == []


def test_what_a_link_led_to_stays_out(tmp_path: Path, kb_dir: Path) -> None:
    docs, far = tmp_path / "docs", tmp_path / "far"
    for folder in (docs, far):
        folder.mkdir()
    (docs / "a.md").write_text("Near words.")
    (far / "secret.md").write_text(f"The {CANARY} nests far away.")
    (docs / "link").symlink_to(far)
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        store.set_options(replace(store.options(), follow_links=True))
        bring_in(store, tmp_path / "log", docs)
        assert forget(store, str(far / "secret.md")).documents == 1
        bring_in(store, tmp_path / "log")
        assert [document.path for document in store.documents() if document.state == "indexed"] == [
            str(docs / "a.md")
        ]
    assert holds(kb_dir, CANARY) == []


@pytest.mark.parametrize("is_root", [False, True])
def test_what_is_forgotten_beside_a_sync_does_not_come_back(
    tmp_path: Path, kb_dir: Path, is_root: bool
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    secret = docs / "secret.md"
    secret.write_text("An old version.")
    (docs / "z.md").write_text("Ordinary words.")
    with KnowledgeStore.create(kb_dir, "zoo") as store, KnowledgeStore.open(kb_dir, "zoo") as other:
        bring_in(store, tmp_path / "log", *([secret, docs / "z.md"] if is_root else [docs]))
        old = store.document_at(str(secret))
        assert old
        writer = BatchWriter(store, lambda: False)
        secret.write_text(f"The {CANARY} nests.")
        (docs / "z.md").write_text("Other words.")
        for path in (secret, docs / "z.md"):
            read = answer(ReadRequest(os.fsencode(path), 1 << 20, 220, 30))
            assert isinstance(read, Read)
            writer.put(record_of(FileRecord(str(path), 0, 0), read), read)
        writer.note(FileRecord(str(secret), 0, 0), "failed", "damaged")
        writer.remove(old.id)
        forget(other, str(secret))
        writer.flush()
        assert [document.path for document in store.documents()] == [str(docs / "z.md")]
        assert Searcher([store]).search("other words", 3).hits
        assert problems(store.path) == wrong_segments(store) == []
    assert holds(kb_dir, CANARY) == []


def test_rows_of_a_table_that_is_forgotten_beside_its_sync_do_not_come_back(
    tmp_path: Path, kb_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.ingest.rows._BATCH_ROWS", 2)
    table, options = tmp_path / "t.csv", IngestOptions(log=tmp_path / "log")
    table.write_text("id,note\n" + "".join(f"{i},{CANARY} {i}\n" for i in range(9)))
    with KnowledgeStore.create(kb_dir, "zoo") as store, KnowledgeStore.open(kb_dir, "zoo") as other:
        source = new_source(store, "csv", table, options=options, cancel=CancelToken())
        store.put_source(source)
        events = sync_rows(store, source, options, cancel=CancelToken())
        next(events)
        assert len(store.documents()) == 2
        forget(other, str(table))
        list(events)
        assert (store.documents(), store.sources()) == ([], ())
    assert holds(kb_dir, CANARY) == []


# --- check ------------------------------------------------------------------------------------------------


def test_a_sound_file_is_sound(store: KnowledgeStore) -> None:
    assert problems(store.path) == problems(store.path, thorough=True) == wrong_segments(store) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM chunks WHERE id = 7", "a different number of chunks"),
        ("UPDATE documents SET chunk_count = 9 WHERE id = 3", "a different number of chunks"),
        ("UPDATE meta SET value = 5 WHERE key = 'next_chunk'", "used twice"),
        ("UPDATE meta SET value = 5 WHERE key = 'chunk_count'", "not counted"),
        ("INSERT INTO tombstones VALUES (7)", "removed chunks still exist"),
        (
            "UPDATE segments SET dead = dead + 1 WHERE id = (SELECT min(id) FROM segments WHERE state = 'live')",
            "a wrong count",
        ),
        (
            "DELETE FROM segment_chunks WHERE segment_id = (SELECT min(id) FROM segments WHERE state = 'live')",
            "no table",
        ),
    ],
)
def test_what_does_not_agree_is_found(store: KnowledgeStore, damage: str, said: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(damage)
    assert any(said in sentence for sentence in problems(store.path))


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE chunks SET text = 'something else' WHERE id = 7",
        "UPDATE chunks SET heading = 'something else' WHERE id = 7",
        "DELETE FROM postings WHERE term = (SELECT term FROM postings ORDER BY df LIMIT 1)",
        "UPDATE segment_chunks SET lengths = zeroblob(length(lengths))",
    ],
)
def test_an_index_that_lies_is_found(store: KnowledgeStore, damage: str) -> None:
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute(damage)
    assert problems(store.path) == [], "every count agrees"
    assert len(wrong_segments(store)) >= 1


def test_bounds_that_do_not_hold_are_found(kb_dir: Path) -> None:
    """Every count and every list agrees, and a search would pass over chunks."""
    with KnowledgeStore.create(kb_dir, "herd") as herd:
        put(herd, "/herd.txt", *(f"an okapi numbered {n}" for n in range(3000)))
        assert problems(herd.path) == wrong_segments(herd) == []
        (row,) = herd.index.lists(["okapi"])
        assert is_long(row.entries)
        levels = 8 * ranges_in(3000) // 2  # four bits for each cell, at the end
        lowered = row.entries[:-levels] + bytes(levels)
        with closing(sqlite3.connect(herd.path, isolation_level=None)) as connection:
            connection.execute("UPDATE postings SET entries = ? WHERE term = 'okapi'", (lowered,))
        assert problems(herd.path) == []
        (said,) = wrong_segments(herd)
        assert "chunks 1 to 3000 has wrong score bounds" in said


def test_a_damaged_page_is_a_sentence(tmp_path: Path, store: KnowledgeStore) -> None:
    store.checkpoint()
    store.close()
    data = bytearray(store.path.read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 20_000):
        data[at] = 0xA5
    store.path.write_bytes(data)
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    store.path.parent.rename(home / "data" / "kb")
    done = run(home, "kb", "check", "--read-data", "zoo")
    assert done.returncode == 6
    assert "Not sound: zoo" in done.stderr


def test_damaged_lists_are_a_sentence_and_another_version_is_no_damage(tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Some words.")
    assert run(home, "kb", "add", "notes", str(docs)).returncode == 0
    database = home / "data" / "kb" / "notes.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE postings SET entries = x'ff'")
    done = run(home, "kb", "check", "--read-data", "notes")
    assert done.returncode == 6
    assert "NOT sound\n  Its index cannot be read." in done.stdout
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = 'none' WHERE key = 'analyzer'")
        connection.execute("DELETE FROM segments")
    for arguments in (["kb", "check", "notes"], ["kb", "check", "--read-data", "notes"]):
        done = run(home, *arguments)
        assert done.returncode == 0, done.stderr
        assert "next sync builds it again" in done.stdout
    assert run(home, "kb", "sync", "notes").returncode == 0
    assert run(home, "kb", "check", "--read-data", "notes").stdout == "notes: sound\n"


def test_a_file_that_grew_is_not_read_to_its_end(tmp_path: Path, kb_dir: Path) -> None:
    (tmp_path / "a.md").write_text("Some words.")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        bring_in(store, tmp_path / "log", tmp_path / "a.md")
        os.truncate(tmp_path / "a.md", 1 << 40)
        started = time.monotonic()
        assert audit_files(store).outdated == (str(tmp_path / "a.md"),)
    assert time.monotonic() - started < 5


def test_files_are_held_against_their_hashes(tmp_path: Path, kb_dir: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("same", "rotten", "edited", "gone"):
        (docs / f"{name}.md").write_text(f"The words of {name}.")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        bring_in(store, tmp_path / "log", docs)
        before = (docs / "rotten.md").stat()
        (docs / "rotten.md").write_text("The wurds of rotten.")
        os.utime(docs / "rotten.md", ns=(before.st_atime_ns, before.st_mtime_ns))
        (docs / "edited.md").write_text("Other words.")
        (docs / "gone.md").unlink()
        found = audit_files(store)
    assert found.files == 4
    assert found.altered == (str(docs / "rotten.md"),)
    assert found.outdated == (str(docs / "edited.md"),)
    assert found.missing == (str(docs / "gone.md"),)


# --- export and import ------------------------------------------------------------------------------------


def test_one_file_carries_it_all(store: KnowledgeStore, tmp_path: Path) -> None:
    store.set_options(replace(store.options(), exclude=("*.tmp",)))
    target = tmp_path / "zoo.ragkb"
    size = export_knowledge_base(store, target)
    assert size == target.stat().st_size
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["zoo.ragkb"]
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="already exists"):
        export_knowledge_base(store, target)
    wanted = [(hit.path, hit.score) for hit in Searcher([store]).search("number7 leaves", 5).hits]
    with import_knowledge_base(tmp_path / "other", target, "menagerie") as copy:
        assert [(hit.path, hit.score) for hit in Searcher([copy]).search("number7 leaves", 5).hits] == wanted
        assert copy.options().exclude == ("*.tmp",)
        assert problems(copy.path, thorough=True) == []
    with pytest.raises(UsageError, match="already"):
        import_knowledge_base(tmp_path / "other", target, "menagerie")


def of_the_first_schema(kb_dir: Path) -> None:
    """A knowledge base "old" as the first ragchat wrote it."""
    kb_dir.mkdir(parents=True)
    with closing(connect(kb_dir / "old.db", synchronous="NORMAL")) as connection:
        migrations().apply(Database(connection), stop_before="0002_segments_of_many_documents")
        connection.execute(
            "INSERT INTO documents (id, path, state, chunk_count, content_hash) VALUES (1, '/okapi.md', 'indexed', 1, 'h')"
        )
        connection.execute(
            "INSERT INTO chunks VALUES (1, 1, 0, '', 'The okapi eats leaves.', 0, 22, 1, 1, NULL, NULL)"
        )
        meta = {"analyzer": "first", "next_chunk": 2, "chunk_count": 1, "total_length": 4, "revision": 1}
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        connection.execute("PRAGMA user_version = 1")


@pytest.mark.parametrize(
    ("version", "next_change"),
    [
        (3, "0004_languages_without_reading_documents"),
        (4, "0005_places_and_what_was_left_out"),
        (5, "0006_pages_read_by_ocr"),
    ],
)
def test_files_of_every_older_schema_that_could_be_exported_are_imported(
    tmp_path: Path, kb_dir: Path, version: int, next_change: str
) -> None:
    file = tmp_path / "older.ragkb"
    with closing(connect(file, synchronous="NORMAL")) as connection:
        migrations().apply(Database(connection), stop_before=next_change)
        connection.execute(
            "INSERT INTO documents (id, path, state, chunk_count, content_hash) VALUES (1, '/okapi.md', 'indexed', 1, 'h')"
        )
        columns = "id, document_id, ordinal, heading, text, char_first, char_last, line_first, line_last"
        connection.execute(
            f"INSERT INTO chunks ({columns}) VALUES (1, 1, 0, '', 'The okapi eats leaves.', 0, 22, 4, 4)"
        )
        meta = {"analyzer": "none", "next_chunk": 2, "chunk_count": 0, "total_length": 0, "revision": 1}
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta.items())
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("PRAGMA journal_mode = DELETE")
    with import_knowledge_base(kb_dir, file, "taken") as store:
        index.ensure_current(store)
        (hit,) = Searcher([store]).search("okapi", 5).hits
        assert (hit.path, hit.place) == ("/okapi.md", "line 4")


def test_what_was_only_just_brought_up_to_date_is_carried_and_indexed_there(tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "okapis.ragkb"
    of_the_first_schema(home / "data" / "kb")
    assert run(home, "kb", "export", "old", str(target)).returncode == 0
    done = run(home, "kb", "search", "okapi", "--file", str(target))
    assert (done.returncode, "no index yet" in done.stderr, "kb import" in done.stderr) == (6, True, True)
    done = run(home, "kb", "import", str(target))
    assert (done.returncode, "built again" in done.stderr) == (0, True), done.stderr
    assert (
        run_json(home, "kb", "search", "okapis", "--json", "--kb", "okapis")["hits"][0]["path"] == "/okapi.md"
    )
    assert run(home, "kb", "check", "--read-data", "okapis").returncode == 0


def test_somebody_elses_file_is_searched_where_it_lies(store: KnowledgeStore, tmp_path: Path) -> None:
    folder = tmp_path / "usb"
    folder.mkdir()
    target = folder / "zoo.ragkb"
    export_knowledge_base(store, target)
    before = target.read_bytes()
    target.chmod(0o444)
    folder.chmod(0o555)
    with open_foreign(target) as foreign:
        assert foreign.name == "zoo"
        hit = Searcher([foreign, store]).search("number7 leaves", 2).hits
        assert {found.knowledge_base for found in hit} == {"zoo"}
        with pytest.raises(StorageError):
            put(foreign, "/x", "a word")
    folder.chmod(0o755)
    assert [path.name for path in folder.iterdir()] == ["zoo.ragkb"]
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON chunks BEGIN DELETE FROM documents; END", "trigger 't'"),
        ("CREATE VIEW v AS SELECT * FROM chunks", "view 'v'"),
        ("CREATE VIRTUAL TABLE v USING fts5(x)", "'v'"),
        ("CREATE TABLE extra (x)", "extra"),
        ("ALTER TABLE roots ADD COLUMN more AS (upper(path))", "roots"),
        ("ALTER TABLE roots ADD COLUMN more", "roots"),
        ("DROP TABLE tombstones", "tombstones"),
        ("PRAGMA application_id = 7", "not a ragchat knowledge base"),
        ("PRAGMA user_version = 99", "newer version"),
        ("PRAGMA user_version = 1", "older version"),
        ("UPDATE chunks SET text = 'red ' || char(27) || '[31m' WHERE id = 3", "control characters"),
        (
            "UPDATE documents SET title = char(27) || ']52;c;aGk=' || char(7) WHERE id = 3",
            "control characters",
        ),
        ("UPDATE documents SET path = '/zoo/' || char(0) || 'x' WHERE id = 3", "no file can have"),
    ],
)
def test_a_hostile_file_is_not_taken(
    store: KnowledgeStore, tmp_path: Path, statement: str, said: str
) -> None:
    target = tmp_path / "evil.ragkb"
    export_knowledge_base(store, target)
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute(statement)
    with pytest.raises(StorageError, match=said):
        import_knowledge_base(tmp_path / "other", target, "evil")
    assert not (tmp_path / "other").exists() or list((tmp_path / "other").iterdir()) == []
    if "control" not in said and "no file" not in said:
        with pytest.raises(StorageError, match=said):
            open_foreign(target)


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX allows")
def test_our_own_export_comes_in_whatever_its_files_are_called(tmp_path: Path, kb_dir: Path) -> None:
    docs, options = tmp_path / "docs\u200e", IngestOptions(log=tmp_path / "log")
    docs.mkdir()
    (docs / "a\u202eb\x1b[31m.md").write_text("Words about okapis.")
    (docs / "t.db").touch()
    with closing(sqlite3.connect(docs / "t.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, note)")
        connection.execute("INSERT INTO t VALUES (1, 'a quagga')")
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        store.set_options(replace(store.options(), exclude=("\u200e*.tmp",)))
        bring_in(store, tmp_path / "log", docs)
        query = "SELECT id,\r\n note FROM t"
        source = new_source(
            store, "sqlite", docs / "t.db", query=query, options=options, cancel=CancelToken()
        )
        store.put_source(source)
        list(sync_rows(store, source, options, cancel=CancelToken()))
        export_knowledge_base(store, tmp_path / "zoo.ragkb")
    with import_knowledge_base(tmp_path / "other", tmp_path / "zoo.ragkb", "copy") as copy:
        assert Searcher([copy]).search("okapis", 1).hits[0].path == str(docs / "a\u202eb\x1b[31m.md")
        assert copy.sources()[0].query == query
        assert copy.options().exclude == ("\u200e*.tmp",)


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + bytes(200), os.urandom(5000)])
def test_what_is_no_knowledge_base(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ragkb"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="not a ragchat knowledge base"):
        import_knowledge_base(tmp_path / "kb", path, "x")
    with pytest.raises(NotFoundError):
        import_knowledge_base(tmp_path / "kb", tmp_path / "none", "x")


def test_a_truncated_or_scrambled_file_never_gets_in(store: KnowledgeStore, tmp_path: Path) -> None:
    target = tmp_path / "zoo.ragkb"
    export_knowledge_base(store, target)
    whole = target.read_bytes()
    for percent in range(1, 100, 9):
        target.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(RagchatError):
            import_knowledge_base(tmp_path / "other", target, "zoo")
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE postings SET entries = x'ff'",
        "UPDATE postings SET entries = zeroblob(3), df = 99999999",
        "UPDATE postings SET entries = 'text'",
        "UPDATE segment_chunks SET lengths = x'00'",
        "UPDATE segments SET size = 4000000000 WHERE state = 'live'",
        "UPDATE meta SET value = 'text' WHERE key = 'chunk_count'",
        "UPDATE documents SET language = x'00ff'",
        "INSERT OR REPLACE INTO meta VALUES ('options', '[1')",
    ],
)
def test_a_file_whose_index_is_rubbish(store: KnowledgeStore, tmp_path: Path, statement: str) -> None:
    target = tmp_path / "evil.ragkb"
    export_knowledge_base(store, target)
    with closing(sqlite3.connect(target, isolation_level=None)) as connection:
        connection.execute(statement)
    done = run(tmp_path / "home", "kb", "import", str(target))
    assert done.returncode in (0, 6), done.stderr
    assert run(tmp_path / "home", "kb", "search", "number7 leaves", "--file", str(target)).returncode in (
        0,
        6,
    )
    if not done.returncode:
        assert run(tmp_path / "home", "kb", "search", "number7 leaves").returncode == 0


# --- rename -----------------------------------------------------------------------------------------------


def test_rename_takes_everything_along(store: KnowledgeStore, kb_dir: Path) -> None:
    put(store, "/zoo/last.md", "still in the log")
    store.close()
    (kb_dir / "zoo.db.schema-1.bak").write_bytes(b"old")
    rename_knowledge_base(kb_dir, "zoo", "park")
    assert sorted(path.name for path in kb_dir.iterdir()) == ["park.db", "park.db.schema-1.bak"]
    with KnowledgeStore.open(kb_dir, "park") as renamed:
        assert Searcher([renamed]).search("still in the log", 1).hits[0].knowledge_base == "park"


def test_rename_refuses(store: KnowledgeStore, kb_dir: Path) -> None:
    with pytest.raises(StorageError, match="open in another"):
        rename_knowledge_base(kb_dir, "zoo", "park")
    put(store, "/zoo/after.md", "it goes on working")
    store.close()
    KnowledgeStore.create(kb_dir, "taken").close()
    with pytest.raises(UsageError, match="already"):
        rename_knowledge_base(kb_dir, "zoo", "taken")
    with pytest.raises(UsageError, match="is not a valid name"):
        rename_knowledge_base(kb_dir, "zoo", "../up")
    with pytest.raises(NotFoundError):
        rename_knowledge_base(kb_dir, "nowhere", "park")
    with watching(kb_dir / "zoo.db"), pytest.raises(RagchatError, match="watches zoo"):
        rename_knowledge_base(kb_dir, "zoo", "park")
    rename_knowledge_base(kb_dir, "zoo", "park")


# --- one watcher ------------------------------------------------------------------------------------------


def test_a_lock_ends_with_its_process_however_it_ends(kb_dir: Path, store: KnowledgeStore) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ragchat.store.watchlock import watching\n"
        "with watching(Path(sys.argv[1])): print('ready', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(store.path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    with child.stdout:
        assert child.stdout.readline() == "ready\n"
        assert watcher(store.path) == child.pid
        with (
            pytest.raises(RagchatError, match=rf"already watches zoo \(process {child.pid}\)"),
            watching(store.path),
        ):
            pass
        child.kill()
        child.wait()
    assert watcher(store.path) is None
    with watching(store.path):
        assert watcher(store.path) == os.getpid()
    assert watcher(store.path) is None


# --- words in their place ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "query", "languages", "marked"),
    [
        (
            "The Zephyr pumps have warranties.",
            "zephyr pump warranty",
            ("en",),
            ["Zephyr", "pumps", "warranties"],
        ),
        ("No word of it.", "zephyr", ("en",), []),
        ("", "zephyr", ("en",), []),
        ("set max_connections=5 now", "max_connections", ("en",), ["max_connections"]),
        ("pump pump", "the pump", ("en",), ["pump", "pump"]),
    ],
)
def test_matches(text: str, query: str, languages: tuple[str, ...], marked: list[str]) -> None:
    spans = matches(text, query, languages)
    assert [text[first:last] for first, last in spans] == marked


# --- the commands -----------------------------------------------------------------------------------------


def test_a_table_from_the_command_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    database = tmp_path / "shop.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT)")
        connection.execute("INSERT INTO products VALUES ('Z-1', 'Zephyr pump'), ('O-2', 'Orion lamp')")
    query = "SELECT sku, name FROM products"
    done = run(home, "kb", "add", "shop", "--sqlite", str(database), "--query", query)
    assert done.returncode == 0, done.stderr
    assert "2 rows = indexed 2" in done.stderr
    hit = run_json(home, "kb", "search", "zephyr", "--json")["hits"][0]
    assert hit["path"] == f"sqlite:{database}?products#Z-1"
    done = run(home, "kb", "add", "shop", "--sqlite", str(database), "--query", query)
    assert "unchanged 2" in done.stderr
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE products RENAME TO wares")
        done = run(home, "kb", "add", "shop", "--sqlite", str(database), "--query", query)
        assert (done.returncode, "no such table" in done.stderr) == (7, True)
        connection.execute("ALTER TABLE wares RENAME TO products")
    database.rename(tmp_path / "away.db")
    assert "rows stay" in run(home, "kb", "sync").stderr
    assert run_json(home, "kb", "search", "zephyr", "--json")["hits"][0]["path"] == hit["path"]
    (tmp_path / "away.db").rename(database)
    status = run_json(home, "kb", "status", "shop", "--json")
    assert [source["key"] for source in status["sources"]] == ["sku"]
    assert (status["found"], status["indexed"]) == (2, 2)
    assert run(home, "kb", "forget", "shop", hit["path"], "--yes").returncode == 0
    run(home, "kb", "sync")
    assert run_json(home, "kb", "search", "zephyr", "--json")["hits"] == []
    assert run(home, "kb", "settings", "shop", "--remember", hit["path"]).returncode == 0
    run(home, "kb", "sync")
    assert run_json(home, "kb", "search", "zephyr", "--json")["hits"][0]["path"] == hit["path"]
    assert run(home, "kb", "forget", "shop", f"sqlite:{database}?products", "--yes").returncode == 0
    assert run_json(home, "kb", "status", "shop", "--json")["sources"] == []
    for wrong in (
        ["--sqlite", str(database)],
        ["--sqlite", str(database), "--query", "DROP TABLE products"],
        ["--query", "SELECT 1"],
        ["--csv", str(database), "--label", "x"],
    ):
        assert run(home, "kb", "add", "fresh", *wrong).returncode == 2
    assert [row["name"] for row in run_json(home, "kb", "list", "--json")] == ["shop"], (
        "a failed add leaves nothing"
    )


def test_settings_are_kept_and_shown(tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Some words.")
    assert run(home, "kb", "add", "notes", str(docs)).returncode == 0
    done = run(
        home,
        "kb",
        "settings",
        "notes",
        "--exclude",
        "*.log",
        "--exclude",
        "old/",
        "--max-file-mb",
        "2.5",
        "--follow-links",
    )
    assert done.returncode == 0, done.stderr
    shown = run_json(home, "kb", "settings", "notes", "--json")
    assert shown == {
        "include": [],
        "exclude": ["*.log", "old/"],
        "max_file_bytes": 2_621_440,
        "follow_links": True,
        "forgotten": [],
        "ocr": [],
        "meaning": True,
    }
    status = run(home, "kb", "status", "notes").stdout
    assert "*.log, old/" in status
    assert "2.5 MiB" in status
    assert (
        run_json(home, "kb", "settings", "notes", "--exclude", "", "--no-follow-links", "--json")["exclude"]
        == []
    )
    assert run(home, "kb", "settings", "notes", "--include", "!").returncode in (0, 2)
    assert run(home, "kb", "settings", "notes", "--remember", "/nowhere").returncode == 4
    for number in ("inf", "nan", "1e15", "-1"):
        assert run(home, "kb", "settings", "notes", "--max-file-mb", number).returncode == 2


def test_a_first_add_that_fails_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (tmp_path / "empty.csv").write_text("\n\n")
    (tmp_path / "no.db").write_bytes(b"not a database at all, but long enough" * 100)
    assert run(home, "kb", "add", "fresh", "--csv", str(tmp_path / "empty.csv")).returncode == 7
    failing = ["--sqlite", str(tmp_path / "no.db"), "--query", "SELECT * FROM t"]
    assert run(home, "kb", "add", "fresh", *failing).returncode == 7
    assert run_json(home, "kb", "list", "--json") == []
    (tmp_path / "good.csv").write_text("id,note\n1,some words\n")
    done = run(home, "kb", "add", "good", "--csv", str(tmp_path / "good.csv"))
    assert "id, note" in done.stderr, "a header that is none would show"
    assert run(home, "kb", "add", "good", *failing).returncode == 7
    assert len(run_json(home, "kb", "status", "good", "--json")["sources"]) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_first_add_that_is_stopped_at_once_leaves_nothing(tmp_path: Path) -> None:
    docs, kb_dir = tmp_path / "docs", tmp_path / "home" / "data" / "kb"
    docs.mkdir()
    for i in range(2_000):
        (docs / f"{i}.md").write_text(f"Some words {i}.")
    adding = subprocess.Popen(
        [sys.executable, "-m", "ragchat", "kb", "add", "notes", str(docs)],
        env={**os.environ, "RAGCHAT_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while not (kb_dir / "notes.db").exists() and time.monotonic() < end:
        time.sleep(0.005)
    adding.send_signal(signal.SIGINT)
    _, said = adding.communicate(timeout=30)
    assert (adding.returncode, "Traceback" in said) == (130, False), said
    assert list(kb_dir.iterdir()) == []


def test_a_table_alone_is_synced_once_it_is_added(tmp_path: Path) -> None:
    home, table, docs = tmp_path / "home", tmp_path / "t.csv", tmp_path / "docs"
    table.write_text("id,note\n1,a quagga\n", "utf-8")
    docs.mkdir()
    assert run(home, "kb", "add", "zoo", "--csv", str(table)).returncode == 0
    assert "synced 20" in run(home, "kb", "status", "zoo").stdout
    first = run_json(home, "kb", "status", "zoo", "--json")["synced_at"]
    (tmp_path / "u.csv").write_text("id,note\n1,a zebra\n", "utf-8")
    assert run(home, "kb", "add", "zoo", "--csv", str(tmp_path / "u.csv")).returncode == 0
    assert run_json(home, "kb", "status", "zoo", "--json")["synced_at"] == first, (
        "the other table was not read"
    )


def test_what_is_watched_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    for roots, tables, said in (
        (("/docs",), (), "zoo: watching /docs. Press Ctrl-C to stop."),
        ((), ("csv:/t.csv#",), "zoo: watching the rows of csv:/t.csv. Press Ctrl-C to stop."),
        (
            ("/docs",),
            ("sqlite:/s.db?t#",),
            "zoo: watching /docs, the rows of sqlite:/s.db?t. Press Ctrl-C to stop.",
        ),
        ((), (), "zoo: watching for its first folder or table. Press Ctrl-C to stop."),
    ):
        kb_watch._show("zoo", WatchStarted(roots, False, "", tables))
        assert capsys.readouterr().err.strip() == said


def test_a_table_that_cannot_be_read_is_told_to_scripts() -> None:
    source = RowSource("csv", "/t.csv", "", note="it is not there")
    line = kb_watch._json("zoo", RowsFinished(source, failed=True))
    assert (line["event"], line["failed"], line["note"]) == ("rows", True, "it is not there")


@pytest.mark.skipif(os.name != "posix", reason="names that are bytes")
def test_arguments_that_are_no_text(tmp_path: Path) -> None:
    home, odd = tmp_path / "home", os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.csv")
    Path(odd).write_text("id,note\n1,words\n")
    (tmp_path / "a.md").write_text("Some words.")
    assert run(home, "kb", "add", "notes", str(tmp_path / "a.md")).returncode == 0
    for arguments in (
        ["add", "notes", "--csv", odd],
        ["add", "notes", "--sqlite", odd, "--query", "SELECT 1"],
        ["add", "notes", "--csv", str(tmp_path / "a.md"), "--key", odd],
        ["forget", "notes", odd, "--yes"],
        ["settings", "notes", "--exclude", odd],
        ["settings", "notes", "--remember", odd],
        ["export", "notes", odd + "2"],
    ):
        done = run(home, "kb", *arguments)
        assert (done.returncode, "not readable text" in done.stderr) == (2, True), (arguments, done.stderr)


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_watching_ends_when_nobody_listens(tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Some words.")
    assert run(home, "kb", "add", "notes", str(docs)).returncode == 0
    watching_process = subprocess.Popen(
        [sys.executable, "-m", "ragchat", "kb", "watch", "--json"],
        env={**os.environ, "RAGCHAT_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert watching_process.stdout
    try:
        seen = [json.loads(watching_process.stdout.readline()) for _ in range(2)]
        assert [event["event"] for event in seen] == ["started", "synced"]
        assert seen[1]["notes"] == []
        watching_process.stdout.close()
        (docs / "b.md").write_text("More words.")
        watching_process.wait(timeout=20)
    finally:
        watching_process.kill()
        watching_process.wait()
    assert watcher(home / "data" / "kb" / "notes.db") is None


def test_chats_follow_a_rename(tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Some words.")
    run(home, "kb", "add", "notes", str(docs))
    run(home, "config", "set", "chat.knowledge_bases", "notes,manual")
    run(home, "config", "set", "knowledge.watch", "notes,other")
    chats = ChatStore(home / "data" / "ragchat.db")
    one = chats.create_conversation("one", knowledge_bases=["notes", "manual"])
    other = chats.create_conversation("other", knowledge_bases=None)
    chats.close()
    done = run(home, "kb", "rename", "notes", "papers")
    assert done.returncode == 0, done.stderr
    assert "1 chat" in done.stderr
    chats = ChatStore(home / "data" / "ragchat.db")
    found = {conversation.id: conversation.knowledge_bases for conversation in chats.conversations()}
    chats.close()
    assert [found[made.id] for made in (one, other)] == [("papers", "manual"), None]
    settings = tomllib.loads((home / "config" / "settings.toml").read_text())
    assert settings["chat"]["knowledge_bases"] == ["papers", "manual"]
    assert settings["knowledge"]["watch"] == ["papers", "other"]


def test_several_are_searched_as_one_and_a_file_beside_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, words in (("one", "The zephyr pump is blue."), ("two", "A zephyr lamp, and the zephyr pump.")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(words)
        assert run(home, "kb", "add", name, str(tmp_path / name)).returncode == 0
    both = run_json(home, "kb", "search", "zephyr pump", "--kb", "one", "--kb", "two", "--json")["hits"]
    assert {hit["kb"] for hit in both} == {"one", "two"}
    assert [hit["score"] for hit in both] == sorted((hit["score"] for hit in both), reverse=True)
    exported = tmp_path / "two.ragkb"
    assert run(home, "kb", "export", "two", str(exported)).returncode == 0
    assert run(home, "kb", "remove", "two", "--yes").returncode == 0
    beside = run_json(home, "kb", "search", "zephyr pump", "--kb", "one", "--file", str(exported), "--json")[
        "hits"
    ]
    assert [(hit["kb"], hit["score"]) for hit in beside] == [(hit["kb"], hit["score"]) for hit in both]
    assert "[two]" in run(home, "kb", "search", "zephyr pump", "--kb", "one", "--file", str(exported)).stdout
    same = tmp_path / "one.ragkb"
    exported.rename(same)
    apart = run_json(home, "kb", "search", "zephyr pump", "--kb", "one", "--file", str(same), "--json")[
        "hits"
    ]
    assert {hit["kb"] for hit in apart} == {"one", str(same)}
    same.rename(exported)
    assert run(home, "kb", "import", str(exported)).returncode == 0
    assert run_json(home, "kb", "search", "lamp", "--kb", "two", "--json")["hits"]
    assert run(home, "kb", "check", "--read-data").returncode == 0
    assert run(home, "kb", "check", "nowhere").returncode == 4
    assert run(home, "kb", "search", "x", "--file", str(tmp_path / "one" / "a.md")).returncode == 6
