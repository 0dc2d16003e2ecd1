"""Care for knowledge bases: forget, check, export, import, rename, settings, tables, one watcher at a time."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ragchat.errors import NotFoundError, RagchatError, StorageError, UsageError
from ragchat.ingest.audit import audit_files
from ragchat.ingest.forget import forget, remember
from ragchat.ingest.sync import IngestOptions, sync
from ragchat.retrieval.check import wrong_segments
from ragchat.retrieval.highlight import matches
from ragchat.retrieval.search import Searcher
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.store.portable import export_knowledge_base, import_knowledge_base, open_foreign
from ragchat.store.upkeep import problems, rename_knowledge_base
from ragchat.store.watchlock import watcher, watching
from ragchat.types import CancelToken
from tests.small_kb import put

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
        with pytest.raises(UsageError, match="was forgotten"):
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


# --- check ------------------------------------------------------------------------------------------------


def test_a_sound_file_is_sound(store: KnowledgeStore) -> None:
    assert problems(store.path) == problems(store.path, thorough=True) == wrong_segments(store) == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM chunks WHERE id = 7", "another number of chunks"),
        ("UPDATE documents SET chunk_count = 9 WHERE id = 3", "another number of chunks"),
        ("UPDATE meta SET value = 5 WHERE key = 'next_chunk'", "given twice"),
        ("UPDATE meta SET value = 5 WHERE key = 'chunk_count'", "not counted"),
        ("INSERT INTO tombstones VALUES (7)", "removed chunks are still there"),
        (
            "UPDATE segments SET dead = dead + 1 WHERE id = (SELECT min(id) FROM segments WHERE state = 'live')",
            "wrongly",
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
    with pytest.raises(UsageError, match="exists already"):
        export_knowledge_base(store, target)
    wanted = [(hit.path, hit.score) for hit in Searcher([store]).search("number7 leaves", 5).hits]
    with import_knowledge_base(tmp_path / "other", target, "menagerie") as copy:
        assert [(hit.path, hit.score) for hit in Searcher([copy]).search("number7 leaves", 5).hits] == wanted
        assert copy.options().exclude == ("*.tmp",)
        assert problems(copy.path, thorough=True) == []
    with pytest.raises(UsageError, match="already"):
        import_knowledge_base(tmp_path / "other", target, "menagerie")


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
        ("PRAGMA application_id = 7", "no knowledge base"),
        ("PRAGMA user_version = 99", "newer ragchat"),
        ("PRAGMA user_version = 1", "older ragchat"),
        ("UPDATE chunks SET text = 'red ' || char(27) || '[31m' WHERE id = 3", "control characters"),
        (
            "UPDATE documents SET path = char(27) || ']52;c;aGk=' || char(7) WHERE id = 3",
            "control characters",
        ),
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
    if "control" not in said:
        with pytest.raises(StorageError, match=said):
            open_foreign(target)


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + bytes(200), os.urandom(5000)])
def test_what_is_no_knowledge_base(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ragkb"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="no knowledge base"):
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
    with pytest.raises(UsageError, match="cannot name"):
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
            pytest.raises(RagchatError, match=rf"watches zoo already \(process {child.pid}\)"),
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


def test_chats_follow_a_rename(tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("Some words.")
    run(home, "kb", "add", "notes", str(docs))
    run(home, "config", "set", "chat.knowledge_bases", "notes,manual")
    chats = ChatStore(home / "data" / "ragchat.db")
    one = chats.create_conversation("one", knowledge_bases=["notes", "manual"])
    other = chats.create_conversation("other", knowledge_bases=None)
    chats.close()
    done = run(home, "kb", "rename", "notes", "papers")
    assert done.returncode == 0, done.stderr
    assert "1 chats" in done.stderr
    chats = ChatStore(home / "data" / "ragchat.db")
    found = {conversation.id: conversation.knowledge_bases for conversation in chats.conversations()}
    chats.close()
    ids = [getattr(made, "id", made) for made in (one, other)]
    assert [found[number] for number in ids] == [("papers", "manual"), None]
    assert "papers" in run(home, "config", "show").stdout


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
    assert run(home, "kb", "import", str(exported)).returncode == 0
    assert run_json(home, "kb", "search", "lamp", "--kb", "two", "--json")["hits"]
    assert run(home, "kb", "check", "--read-data").returncode == 0
    assert run(home, "kb", "check", "nowhere").returncode == 4
    assert run(home, "kb", "search", "x", "--file", str(tmp_path / "one" / "a.md")).returncode == 6
