"""The databases: nothing that was acknowledged is lost, nothing half done is seen, every failure is a sentence."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database, Migrations

from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.ingest.chunk import split
from ragchat.paths import PACKAGE
from ragchat.retrieval import index
from ragchat.retrieval.search import Searcher
from ragchat.store import chats as chats_module
from ragchat.store import knowledge as knowledge_module
from ragchat.store.chats import ChatStore
from ragchat.store.database import connect, connect_existing, fetch, immediate, migrate, snapshot
from ragchat.store.knowledge import (
    FileRecord,
    KnowledgeStore,
    check_name,
    knowledge_base_names,
    remove_knowledge_base,
)
from ragchat.types import (
    AdapterScale,
    Citation,
    ExtractedText,
    Generation,
    Hit,
    Message,
    Omission,
    OmissionKind,
    Sampling,
    Span,
    Timings,
)
from tests.helpers.small_kb import put, take_out

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path / "t.db", synchronous="NORMAL")
    connection.execute("CREATE TABLE t (x)")
    yield connection
    connection.close()


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    store = ChatStore(tmp_path / "ragchat.db")
    yield store
    store.close()


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "a") as store:
        yield store


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])


# --- transactions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_undoes_the_whole_block(db: sqlite3.Connection, error: type[BaseException]) -> None:
    with pytest.raises(error), immediate(db):
        db.execute("INSERT INTO t VALUES (1)")
        with immediate(db):
            db.execute("INSERT INTO t VALUES (2)")
        Database(db).table("t").insert({"x": 3})  # joins
        raise error
    assert count(db) == 0
    assert not db.in_transaction


def test_nested_blocks_are_committed_together(db: sqlite3.Connection, tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path / "t.db", synchronous="NORMAL")) as other:
        with immediate(db):
            with immediate(db):
                db.execute("INSERT INTO t VALUES (1)")
            assert count(other) == 0
        assert count(other) == 1


def test_a_snapshot_is_one_moment(db: sqlite3.Connection, tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path / "t.db", synchronous="NORMAL")) as other:
        with snapshot(db), snapshot(db):
            assert count(db) == 0
            other.execute("INSERT INTO t VALUES (1)")
            assert count(db) == 0
        assert count(db) == 1


def test_writing_inside_a_snapshot_does_not_get_lost_in_silence(db: sqlite3.Connection) -> None:
    with pytest.raises(AssertionError), snapshot(db), immediate(db):
        db.execute("INSERT INTO t VALUES (1)")
    assert not db.in_transaction


WRITER = """
import sys
from pathlib import Path
from ragchat.store.database import connect, immediate
db = connect(Path(sys.argv[1]), synchronous="NORMAL")
for _ in range(200):
    with immediate(db):
        (n,) = db.execute("SELECT n FROM counter").fetchone()
        db.execute("UPDATE counter SET n = ?", (n + 1,))
"""


def test_four_processes_that_write_lose_nothing(db: sqlite3.Connection, tmp_path: Path) -> None:
    db.execute("CREATE TABLE counter (n)")
    db.execute("INSERT INTO counter VALUES (0)")
    run_four(WRITER, tmp_path / "t.db")
    assert db.execute("SELECT n FROM counter").fetchone()[0] == 800


OPENER = """
import sys
from pathlib import Path
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
folder = Path(sys.argv[1])
sys.stdin.readline()
for n in range(8):
    ChatStore(folder / f"chats{n}.db").create_conversation("hello")
    KnowledgeStore.create(folder, f"kb{n}").add_roots([folder])
"""


def test_instances_that_start_at_once_make_the_database_once(tmp_path: Path) -> None:
    run_four(OPENER, tmp_path)
    for n in range(8):
        with contextlib.closing(ChatStore(tmp_path / f"chats{n}.db")) as chats:
            assert len(chats.conversations()) == 4
        with KnowledgeStore.open(tmp_path, f"kb{n}") as kb:
            assert kb.roots() == (tmp_path,)


def run_four(script: str, argument: Path) -> None:
    """The script in four processes, which start their work together where they wait for a line."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(argument)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=PACKAGE.parent,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    errors = [child.communicate(timeout=60)[1] for child in children]
    assert errors == [""] * 4
    assert [child.returncode for child in children] == [0] * 4


# --- migrations -----------------------------------------------------------------------------------------


def schema(*, broken: bool = False, steps: int = 2) -> Migrations:
    made = Migrations("test")

    @made(name="0001_words")  # type: ignore[untyped-decorator]
    def _words(db: Database) -> None:
        db.table("words").create({"word": str})

    if steps > 1:

        @made(name="0002_lengths")  # type: ignore[untyped-decorator]
        def _lengths(db: Database) -> None:
            db.execute("ALTER TABLE words ADD COLUMN length INTEGER")
            db.execute("UPDATE words SET length = length(word)")

    if broken:

        @made(name="0003_breaks")  # type: ignore[untyped-decorator]
        def _breaks(db: Database) -> None:
            db.execute("DELETE FROM words")
            raise RuntimeError("killed here")

    return made


@pytest.fixture
def old(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A database of schema 1 that holds a word."""
    connection = connect(tmp_path / "old.db", synchronous="FULL")
    migrate(connection, schema(steps=1), 1)
    connection.execute("INSERT INTO words VALUES ('lamp')")
    yield connection
    connection.close()


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_fresh_database_gets_the_latest_schema_and_no_backup(tmp_path: Path) -> None:
    with contextlib.closing(connect(tmp_path / "new.db", synchronous="FULL")) as connection:
        migrate(connection, schema(), 2)
        assert version(connection) == 2
        migrate(connection, schema(), 2)
    assert not list(tmp_path.glob("*.bak"))


def test_an_older_schema_is_brought_up_to_date_after_a_backup(
    old: sqlite3.Connection, tmp_path: Path
) -> None:
    migrate(old, schema(), 2)
    assert [tuple(row) for row in old.execute("SELECT * FROM words")] == [("lamp", 4)]
    backup = tmp_path / "old.db.schema-1.bak"
    assert backup.stat().st_mode & 0o777 == 0o600
    with contextlib.closing(sqlite3.connect(backup)) as copy:
        assert version(copy) == 1
        assert copy.execute("SELECT * FROM words").fetchall() == [("lamp",)]
    assert not list(tmp_path.glob("*unfinished*"))


def test_the_second_of_two_instances_does_not_back_up_what_the_first_migrated(
    old: sqlite3.Connection, tmp_path: Path
) -> None:
    """The backup must hold the old schema, or it is worth nothing."""

    class Slow:
        """A connection whose first look at the schema is followed by another instance's migration."""

        def __init__(self) -> None:
            self.looked = False

        def execute(self, sql: str, *rest: object) -> object:
            found = old.execute(sql, *rest)  # type: ignore[arg-type]
            if sql == "PRAGMA user_version" and not self.looked:
                self.looked = True
                rows = found.fetchall()
                with contextlib.closing(connect(tmp_path / "old.db", synchronous="FULL")) as other:
                    migrate(other, schema(), 2)

                class Seen:
                    @staticmethod
                    def fetchone() -> object:
                        return rows[0]

                return Seen
            return found

        def __getattr__(self, name: str) -> object:
            return getattr(old, name)

    migrate(Slow(), schema(), 2)  # type: ignore[arg-type]
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db.schema-1.bak")) as copy:
        assert version(copy) == 1
        assert copy.execute("SELECT * FROM words").fetchall() == [("lamp",)]


def test_a_migration_that_fails_leaves_the_old_schema(old: sqlite3.Connection) -> None:
    with pytest.raises(RuntimeError):
        migrate(old, schema(broken=True), 3)
    assert version(old) == 1
    assert [tuple(row) for row in old.execute("SELECT * FROM words")] == [("lamp",)]
    migrate(old, schema(), 2)
    assert version(old) == 2


KILLED = """
import os, sys
from pathlib import Path
from sqlite_utils import Migrations
from ragchat.store.database import connect, migrate
made = Migrations("test")
@made(name="0001_words")
def _words(db): pass
@made(name="0002_dies")
def _dies(db):
    db.execute("DELETE FROM words")
    os.kill(os.getpid(), 9)
migrate(connect(Path(sys.argv[1]), synchronous="FULL"), made, 2)
"""


@pytest.mark.hazard
def test_a_migration_that_is_killed_leaves_the_old_schema(old: sqlite3.Connection, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "old.db")], cwd=PACKAGE.parent, check=False
    )
    assert done.returncode == -9
    assert version(old) == 1
    assert [tuple(row) for row in old.execute("SELECT * FROM words")] == [("lamp",)]


def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path) -> None:
    for make in (lambda: ChatStore(tmp_path / "n.db"), lambda: KnowledgeStore.create(tmp_path, "n")):
        make().close()
        with contextlib.closing(sqlite3.connect(tmp_path / "n.db")) as raw:
            raw.execute("PRAGMA user_version = 999")
        before = (tmp_path / "n.db").read_bytes()
        with pytest.raises(StorageError, match="newer version of ragchat") as caught:
            make()
        assert str(tmp_path / "n.db") in str(caught.value)
        assert caught.value.remedy == "Update ragchat."
        assert (tmp_path / "n.db").read_bytes() == before
        (tmp_path / "n.db").unlink()


def test_the_number_of_migrations_is_the_latest_schema(tmp_path: Path) -> None:
    for module in (chats_module, knowledge_module):
        made = Database(memory=True)
        assert len(list(module.migrations().pending(made))) == module.LATEST


# --- failures are sentences -------------------------------------------------------------------------------


def check_sentence(error: StorageError, path: Path) -> None:
    assert str(path) in str(error), "which file"
    assert error.remedy, "what to do"
    assert "Traceback" not in str(error)


@pytest.mark.parametrize("content", [b"no database at all " * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(content)
    for make in (lambda: ChatStore(path), lambda: KnowledgeStore.open(tmp_path, "a")):
        with pytest.raises(StorageError) as caught:
            make()
        check_sentence(caught.value, path)
    assert path.read_bytes() == content, "never repaired in silence"


def test_a_damaged_page_is_a_sentence_when_it_is_read(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "a") as store:
        for n in range(40):
            put(store, f"{n}", "lamp " * 300)
        store.checkpoint()
    path = tmp_path / "a.db"
    data = bytearray(path.read_bytes())
    page = 16384
    data[page * 3 :] = b"\xff" * (len(data) - page * 3)
    path.write_bytes(data)
    with KnowledgeStore.open(tmp_path, "a") as store:
        for read in (
            store.documents,
            store.status,
            lambda: store.index.lists(["lamp"]),
            lambda: store.document_text(1),
            lambda: Searcher([store]).search("lamp", 3),
            lambda: put(store, "new", "oil"),
        ):
            with pytest.raises(StorageError) as caught:
                read()
            check_sentence(caught.value, path)


def test_a_full_database_is_a_sentence_and_reading_goes_on(chats: ChatStore) -> None:
    conversation = chats.create_conversation("a").id
    first = chats.add_user_message(conversation, "kept")
    (pages,) = chats._connection.execute("PRAGMA page_count").fetchone()
    chats._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="disk is full") as caught:
        chats.add_user_message(conversation, "x" * 1_000_000)
    check_sentence(caught.value, chats.path)
    assert "free" in str(caught.value)
    assert chats.messages(conversation) == [first]
    chats._connection.execute("PRAGMA max_page_count = 1000000")
    chats.add_user_message(conversation, "x" * 1_000_000)
    assert len(chats.messages(conversation)) == 2


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    ).returncode:
        pytest.skip("cannot mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.hazard
@pytest.mark.skipif(not ROOT or not shutil.which("mount"), reason="needs to mount a small disk")
@pytest.mark.parametrize("size", ["96k", "256k", "400k", "700k"])
def test_a_full_disk_damages_nothing(tmp_path: Path, size: str) -> None:
    with small_disk(tmp_path / "disk", size) as disk:
        kept: list[str] = []
        with pytest.raises(StorageError) as caught, KnowledgeStore.create(disk, "a") as store:
            for n in range(1000):
                put(store, f"{n}", f"lamp number {n} " * 50)
                kept.append(str(n))
        check_sentence(caught.value, disk / "a.db")
        if not kept:
            return
        with KnowledgeStore.open(disk, "a") as store:
            assert store.check() == "ok"
            assert {document.path for document in store.documents()} == set(kept)
            assert Searcher([store]).search("lamp", 3).hits


@contextlib.contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Without the rights of root, which no permission stops; `folder` and those above it can be entered."""
    if not ROOT:
        yield
        return
    above = [parent for parent in folder.parents if "pytest-of-" in str(parent)]
    modes = {parent: parent.stat().st_mode & 0o7777 for parent in above}
    for parent in above:
        parent.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in modes.items():
            parent.chmod(mode)


@pytest.mark.skipif(os.name == "nt", reason="needs modes")
def test_a_knowledge_base_on_a_read_only_medium_can_be_searched(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    with KnowledgeStore.create(medium, "a") as store:
        put(store, "lamp.txt", "The lamp burns oil.")
        store.checkpoint()
    (medium / "a.db").chmod(0o444)
    medium.chmod(0o555)
    try:
        with as_nobody(medium), KnowledgeStore.open(medium, "a") as store:
            assert Searcher([store]).search("lamp", 3).hits[0].path == "lamp.txt"
            assert store.status().indexed == 1
            with pytest.raises(StorageError, match="read-only") as caught:
                put(store, "new.txt", "oil")
            check_sentence(caught.value, medium / "a.db")
            assert sorted(path.name for path in medium.iterdir()) == ["a.db"]
    finally:
        medium.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="needs modes")
def test_chats_on_a_read_only_medium_are_refused_with_the_reason(tmp_path: Path) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    ChatStore(medium / "ragchat.db").close()
    medium.chmod(0o555)
    try:
        with as_nobody(medium), pytest.raises(StorageError) as caught:
            ChatStore(medium / "ragchat.db")
        check_sentence(caught.value, medium / "ragchat.db")
        with as_nobody(medium), pytest.raises(StorageError) as caught:
            ChatStore(medium / "sub" / "ragchat.db")
        check_sentence(caught.value, medium / "sub" / "ragchat.db")
    finally:
        medium.chmod(0o755)


def test_what_does_not_exist_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        connect_existing(tmp_path / "none.db", synchronous="NORMAL")
    with pytest.raises(NotFoundError):
        KnowledgeStore.open(tmp_path, "none")
    assert not list(tmp_path.glob("none*"))


@pytest.mark.skipif(os.name == "nt", reason="needs modes")
def test_databases_belong_to_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "kb"
    before = os.umask(0)
    try:
        with KnowledgeStore.create(folder, "a") as store:
            put(store, "x", "lamp")
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_fetch_explains_a_broken_query_with_the_path(db: sqlite3.Connection, tmp_path: Path) -> None:
    with pytest.raises(StorageError) as caught:
        fetch(db, "SELECT nothing FROM nowhere")
    check_sentence(caught.value, tmp_path / "t.db")


# --- chats ----------------------------------------------------------------------------------------------

HIT = Hit(
    rank=1,
    score=2.5,
    knowledge_base="docs",
    chunk_id=7,
    document_id=3,
    path="/d/lämp.txt",
    title="Lamps",
    heading="A > B",
    span=Span(10, 40, 2, 4, 1, 2, 7, 9, "ii", "honey.csv", 0.5, ((8, "iii"),)),
    text="The lamp burns oil.\n🔥",
    content_hash="abc",
    evidence="The lamp burns oil.",
)
GENERATION = Generation(
    model="m",
    model_path="/m.gguf",
    adapters=(AdapterScale("facts"), AdapterScale("style", 0.5)),
    knowledge_bases=("docs",),
    query="lamp?",
    prompt=(Message("system", "Be brief."), Message("user", "lamp? 🔥")),
    left_out=(Omission(OmissionKind.MESSAGES, 2, 6, 512), Omission(OmissionKind.OTHER, name="Ü.")),
    sampling=Sampling(seed=4294967294, stop=("\n\n", "END")),
    retrieval_s=0.25,
)


def test_a_conversation_comes_back_as_it_was_stored(chats: ChatStore) -> None:
    made = chats.create_conversation("Lamps", model="m.gguf", knowledge_bases=["docs", "böcker"])
    assert chats.conversation(made.id) == made
    assert (made.title, made.model, made.knowledge_bases) == ("Lamps", "m.gguf", ("docs", "böcker"))
    assert chats.create_conversation("Default").knowledge_bases is None
    assert chats.create_conversation("None", knowledge_bases=[]).knowledge_bases == ()
    with pytest.raises(NotFoundError):
        chats.conversation(99)
    with pytest.raises(NotFoundError):
        chats.message(99)


def test_a_conversation_can_be_changed(chats: ChatStore) -> None:
    made = chats.create_conversation("Lamps")
    chats.rename(made.id, "Oil lamps")
    chats.set_model(made.id, "other.gguf")
    chats.set_knowledge_bases(made.id, ["docs"])
    found = chats.conversation(made.id)
    assert (found.title, found.model, found.knowledge_bases) == ("Oil lamps", "other.gguf", ("docs",))
    chats.set_knowledge_bases(made.id, None)
    assert chats.conversation(made.id).knowledge_bases is None


def test_the_chat_that_was_used_last_comes_first(chats: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100, 200))
    monkeypatch.setattr(chats_module, "now", lambda: f"2030-01-01T00:00:00.{next(clock)}Z")
    a, b, c = (chats.create_conversation(title).id for title in "abc")
    assert [found.id for found in chats.conversations()] == [c, b, a]
    chats.add_user_message(a, "hello")
    assert [found.id for found in chats.conversations()] == [a, c, b]
    chats.begin_answer(b)
    assert [found.id for found in chats.conversations(limit=2)] == [b, a]
    chats.rename(c, "renamed")  # is not use
    assert [found.id for found in chats.conversations()] == [b, a, c]


def test_a_deleted_chat_comes_back_whole(chats: ChatStore) -> None:
    made = chats.create_conversation("Lamps")
    message = chats.add_user_message(made.id, "a secret question")
    chats.delete(made.id)
    assert chats.conversations() == []
    assert chats.prompt_history() == [], "a deleted chat does not speak up when the arrow key is pressed"
    chats.undelete(made.id)
    assert [found.id for found in chats.conversations()] == [made.id]
    assert chats.messages(made.id) == [message]
    assert chats.prompt_history() == ["a secret question"]


def test_messages_keep_their_order_and_their_text(chats: ChatStore) -> None:
    made, other = chats.create_conversation("a").id, chats.create_conversation("b").id
    text = "tab\tnewline\n\"quote\" 'single' 🔥 ไทย \u202f %s ? :x [/]"
    ids = []
    for _ in range(3):
        ids.append(chats.add_user_message(made, text).id)
        chats.add_user_message(other, "elsewhere")
        answer = chats.begin_answer(made)
        chats.finish_answer(answer.id, text, state="complete", finish_reason="stop")
        ids.append(answer.id)
    found = chats.messages(made)
    assert [message.id for message in found] == ids
    assert {message.content for message in found} == {text}
    assert [message.role for message in found] == ["user", "assistant"] * 3
    assert all(message.timings is None and message.citation_count == 0 for message in found)


def test_a_message_to_a_chat_that_is_not_there_is_refused(chats: ChatStore) -> None:
    with pytest.raises(StorageError):
        chats.add_user_message(99, "lost?")


def test_what_was_sent_is_stored_and_the_draft_is_gone_in_one_step(chats: ChatStore) -> None:
    made = chats.create_conversation("a").id
    chats.save_draft(made, "half a thou")
    chats.save_draft(0, "new chat")
    chats.save_draft(made, "half a thought")
    assert (chats.draft(made), chats.draft(0), chats.draft(99)) == ("half a thought", "new chat", "")
    chats.add_user_message(made, "half a thought")
    assert (chats.draft(made), chats.draft(0)) == ("", "new chat")
    chats.save_draft(0, "")
    assert chats.draft(0) == ""
    chats.save_draft(made, "kept")
    with pytest.raises(UnicodeEncodeError):
        chats.add_user_message(made, "\ud800")
    assert chats.draft(made) == "kept", "what could not be stored is still there to be sent"


def test_the_prompt_history_is_newest_first_and_each_once(chats: ChatStore) -> None:
    a, b = chats.create_conversation("a").id, chats.create_conversation("b").id
    for conversation, text in ((a, "one"), (b, "two"), (a, "three"), (b, "one")):
        chats.add_user_message(conversation, text)
    chats.finish_answer(chats.begin_answer(a).id, "an answer", state="complete")
    assert chats.prompt_history() == ["one", "three", "two"]
    assert chats.prompt_history(limit=2) == ["one", "three"]


def test_an_answer_as_it_streams_and_ends(chats: ChatStore) -> None:
    made = chats.create_conversation("a").id
    answer = chats.begin_answer(made)
    assert (answer.state, answer.content, answer.timings) == ("streaming", "", None)
    citations = [Citation(1, HIT, "burns oil"), Citation(2, HIT, "", used=False)]
    chats.save_generation(answer.id, GENERATION, citations)
    chats.update_answer(answer.id, "Lamps bu")
    found = chats.message(answer.id)
    assert (found.state, found.content, found.citation_count, found.timings) == (
        "streaming",
        "Lamps bu",
        2,
        None,
    )
    timings = Timings(0.25, 0.5, 100.0, 20.0, 300, 200, 40)
    chats.finish_answer(
        answer.id,
        "Lamps burn oil [2].",
        state="complete",
        finish_reason="stop",
        used=[2],
        quotes={2: "The lamp"},
        timings=timings,
        seed=7,
    )
    found = chats.message(answer.id)
    assert (found.content, found.state, found.finish_reason, found.error) == (
        "Lamps burn oil [2].",
        "complete",
        "stop",
        "",
    )
    assert found.timings == timings
    assert chats.citations(answer.id) == [
        Citation(1, HIT, "burns oil", used=False),
        Citation(2, HIT, "The lamp", used=True),
    ]
    generation = chats.generation(answer.id)
    assert generation
    assert generation.sampling == Sampling(seed=7, stop=("\n\n", "END")), (
        "the seed that was drawn, to ask again"
    )
    assert (generation.prompt, generation.left_out) == (GENERATION.prompt, GENERATION.left_out)


def test_what_an_answer_is_made_from_comes_back_and_can_be_replaced(chats: ChatStore) -> None:
    answer = chats.begin_answer(chats.create_conversation("a").id)
    assert chats.generation(answer.id) is None
    assert chats.citations(answer.id) == []
    for citations in ([Citation(n, HIT, f"q{n}") for n in (3, 1, 2)], [Citation(1, HIT, "again")], []):
        chats.save_generation(answer.id, GENERATION, citations)
        assert chats.generation(answer.id) == GENERATION
        assert chats.citations(answer.id) == sorted(citations, key=lambda citation: citation.n)


@given(
    heading=st.text(st.characters(exclude_categories=["Cs"])),
    pages=st.tuples(st.none() | st.integers(1, 2**40), st.none() | st.integers(1, 2**40)),
    score=st.floats(0, 1e6),
)
@settings(max_examples=40, deadline=None)
def test_any_citation_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    heading: str,
    pages: tuple[int | None, int | None],
    score: float,
) -> None:
    with contextlib.closing(ChatStore(tmp_path_factory.getbasetemp() / "citations.db")) as chats:
        answer = chats.begin_answer(chats.create_conversation(heading).id)
        hit = Hit(
            1, score, "k", 1, 1, heading, heading, heading, Span(0, 1, 1, 1, *pages), heading, "", heading
        )
        chats.save_generation(answer.id, GENERATION, [Citation(1, hit, heading)])
        assert chats.citations(answer.id) == [Citation(1, hit, heading)]


DYING_WRITER = """
import os, sys
from pathlib import Path
from ragchat.store.chats import ChatStore
chats = ChatStore(Path(sys.argv[1]))
answer = chats.begin_answer(chats.create_conversation("a").id)
chats.update_answer(answer.id, "so far")
os.kill(os.getpid(), 9)
"""


def test_only_answers_whose_process_is_gone_are_marked_interrupted(chats: ChatStore) -> None:
    mine = chats.begin_answer(chats.create_conversation("a").id)
    done = chats.begin_answer(mine.conversation_id)
    chats.finish_answer(done.id, "done", state="complete")
    subprocess.run([sys.executable, "-c", DYING_WRITER, str(chats.path)], cwd=PACKAGE.parent, check=False)
    assert chats.recover() == 1
    states = {m.content: m.state for c in chats.conversations() for m in chats.messages(c.id)}
    assert states == {"": "streaming", "done": "complete", "so far": "interrupted"}
    assert chats.recover() == 0


@pytest.mark.parametrize(
    ("writer", "alive"),
    [
        (None, False),
        ("", False),
        ("nonsense", False),
        ("1:", False),
        ("{pid}:{start:.0f}", True),
        ("{pid}:{late:.0f}", True),  # the system corrected its clock by a second meanwhile
        ("{pid}:{other:.0f}", False),  # the number was given to another process
    ],
)
def test_a_process_is_known_by_its_number_and_its_start(
    chats: ChatStore, writer: str | None, alive: bool
) -> None:
    start = psutil.Process().create_time()
    answer = chats.begin_answer(chats.create_conversation("a").id)
    text = writer and writer.format(pid=os.getpid(), start=start, late=start + 1, other=start + 1000)
    with immediate(chats._connection) as db:
        db.execute("UPDATE messages SET writer = ? WHERE id = ?", (text, answer.id))
    assert chats.recover() == (0 if alive else 1)


def test_chats_survive_the_end_of_the_process(chats: ChatStore) -> None:
    made = chats.create_conversation("a").id
    chats.add_user_message(made, "kept")
    with contextlib.closing(ChatStore(chats.path)) as other:
        assert [message.content for message in other.messages(made)] == ["kept"]
    assert chats.check() == "ok"
    assert chats._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


# --- knowledge bases --------------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was_written(kb: KnowledgeStore) -> None:
    record = FileRecord("/d/a.md", 12, 34, "hash", "Title", "text/markdown", source_lines=True)
    number = index.write_document(kb, record, split(ExtractedText("# T\n\nLamps.", "text/markdown")))
    found = kb.document(number)
    assert (found.path, found.size, found.mtime_ns, found.content_hash) == ("/d/a.md", 12, 34, "hash")
    assert (found.title, found.media_type, found.source_lines) == ("Title", "text/markdown", True)
    assert (found.state, found.reason, found.chunk_count) == ("indexed", "", 1)
    assert kb.document_at("/d/a.md") == found
    assert kb.document_at("/d/b.md") is None
    with pytest.raises(NotFoundError):
        kb.document(99)


def test_a_document_is_replaced_and_not_doubled(kb: KnowledgeStore) -> None:
    put(kb, "a", "lamp", "oil")
    put(kb, "b", "lamp")
    put(kb, "a", "water")
    assert [document.path for document in kb.documents()] == ["a", "b"]
    assert kb.statistics().chunk_count == 2
    assert {hit.text for hit in Searcher([kb]).search("lamp oil water", 9).hits} == {"lamp", "water"}


def test_a_removed_document_is_found_no_more(kb: KnowledgeStore) -> None:
    number = put(kb, "a", "lamp")
    take_out(kb, "a")
    assert kb.documents() == []
    assert not Searcher([kb]).search("lamp", 9).hits
    assert kb.document_text(number) == ""
    with pytest.raises(NotFoundError):
        kb.document(number)


def test_a_write_that_fails_leaves_the_earlier_version(
    kb: KnowledgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kb, "a", "lamp")

    def fail(*_: object) -> int:
        raise RuntimeError

    monkeypatch.setattr(kb.index, "insert_segment", fail)
    with pytest.raises(RuntimeError):
        put(kb, "a", "oil")
    assert [hit.text for hit in Searcher([kb]).search("lamp oil", 9).hits] == ["lamp"]
    assert kb.statistics().chunk_count == 1


def test_files_that_are_not_indexed_are_listed_with_their_reason(kb: KnowledgeStore) -> None:
    put(kb, "a", "lamp")
    kb.record_file(FileRecord("b", 1, 2), "skipped", "binary file")
    kb.record_file(FileRecord("c", 1, 2), "failed", "damaged")
    status = kb.status(documents=True)
    assert (status.found, status.indexed, status.skipped, status.failed) == (3, 1, 1, 1)
    assert [(d.path, d.state, d.reason) for d in status.documents] == [
        ("a", "indexed", ""),
        ("b", "skipped", "binary file"),
        ("c", "failed", "damaged"),
    ]
    take_out(kb, "b")
    assert kb.status().found == 2
    assert kb.status().documents == ()


def test_a_renamed_file_keeps_its_index(kb: KnowledgeStore) -> None:
    number = put(kb, "a", "lamp")
    kb.touch_document(number, "b", 5, 6)
    assert [hit.path for hit in Searcher([kb]).search("lamp", 9).hits] == ["b"]
    assert (kb.document(number).size, kb.document(number).mtime_ns) == (5, 6)


def test_what_a_knowledge_base_knows_of_itself(kb: KnowledgeStore) -> None:
    assert (kb.roots(), kb.analyzer_version(), kb.status().synced_at) == ((), "", "")
    kb.add_roots([Path("/b"), Path("/a"), Path("/b")])
    kb.set_analyzer_version("en-1")
    kb.set_analyzer_version("en-1")
    kb.mark_synced()
    assert kb.roots() == (Path("/a"), Path("/b"))
    assert kb.analyzer_version() == "en-1"
    assert kb.status().synced_at.endswith("Z")
    assert kb.check() == "ok"
    revision = kb.statistics().revision
    put(kb, "a", "lamp")
    assert kb.statistics().revision > revision


@given(
    text=st.text(st.sampled_from("ab é🔥ไ.\n\n \t#|-1"), max_size=3000),
    media_type=st.sampled_from(
        ["text/markdown", "text/plain", "text/x-python", "text/csv", "application/pdf"]
    ),
    overlap=st.sampled_from([0, 30]),
)
@settings(max_examples=80, deadline=None)
def test_the_text_of_a_document_can_be_read_from_its_chunks(
    tmp_path_factory: pytest.TempPathFactory, text: str, media_type: str, overlap: int
) -> None:
    """Every chunk stands where its span says, and only white space between chunks may differ."""
    chunks = split(ExtractedText(text, media_type), chunk_tokens=40, overlap_tokens=overlap)
    with KnowledgeStore.create(tmp_path_factory.getbasetemp(), "text") as kb:
        number = index.write_document(kb, FileRecord("a", len(text), 1), chunks)
        found = kb.document_text(number)
    for chunk in chunks:
        assert found[chunk.span.char_first : chunk.span.char_last] == chunk.text
        assert found.count("\n", 0, chunk.span.char_first) + 1 == chunk.span.line_first
    assert len(found) <= len(text)
    for here, there in zip(found, text, strict=False):
        assert here == there or (here.isspace() and there.isspace())
    assert not text[len(found) :].strip()


def test_a_reader_sees_no_half_document(kb: KnowledgeStore, tmp_path: Path) -> None:
    put(kb, "old", "lamp")
    with KnowledgeStore.open(tmp_path, "a") as reader, kb.writing():
        put(kb, "new", "lamp oil", "lamp water")
        take_out(kb, "old")
        assert [document.path for document in reader.documents()] == ["old"]
        assert [hit.path for hit in Searcher([reader]).search("lamp", 9).hits] == ["old"]
        assert reader.statistics().chunk_count == 1


def test_readers_and_a_writer_at_once_never_disagree(tmp_path: Path) -> None:
    """A document of three chunks is replaced all the time: a search finds all three of one version or of another."""
    KnowledgeStore.create(tmp_path, "a").close()
    done = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        with KnowledgeStore.open(tmp_path, "a") as store:
            while not done.is_set():
                try:
                    with store.reading():
                        versions = {hit.text.split()[1] for hit in Searcher([store]).search("lamp", 9).hits}
                        chunks = store.statistics().chunk_count
                except Exception as error:
                    wrong.append(error)
                    return
                if len(versions) > 1 or chunks not in (0, 3):
                    wrong.append((versions, chunks))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    with KnowledgeStore.create(tmp_path, "a") as writer:
        for n in range(60):
            put(writer, "a", *[f"lamp v{n}"] * 3)
            index.merge_segments(writer, fan_out=2)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def test_the_single_file_can_be_copied_and_searched_elsewhere(kb: KnowledgeStore, tmp_path: Path) -> None:
    for n in range(20):
        put(kb, f"{n}", f"lamp number {n}")
    index.merge_segments(kb, fan_out=4)
    kb.checkpoint()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "a.db", tmp_path / "elsewhere" / "moved.db")
    with KnowledgeStore.open(tmp_path / "elsewhere", "moved") as copy:
        hits = Searcher([copy]).search("lamp 17", 3).hits
        assert (hits[0].path, hits[0].knowledge_base) == ("17", "moved")
        assert copy.statistics() == kb.statistics()


@pytest.mark.parametrize("name", ["a", "Docs", "my-docs_2.0", "9", "_x", "a" * 64])
def test_names_that_can_be_file_names_everywhere(tmp_path: Path, name: str) -> None:
    KnowledgeStore.create(tmp_path, name).close()
    assert knowledge_base_names(tmp_path) == [name]


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/b", "a\\b", "a b", "-a", ".a", "a.", "ä", "a\n", "a\x00", "a" * 65, "con", "NUL", "com1.x", "a:b"],
)  # fmt: skip
def test_names_that_cannot(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_name(name)
    assert caught.value.remedy
    with pytest.raises(UsageError):
        KnowledgeStore.create(tmp_path, name)
    with pytest.raises(NotFoundError):
        remove_knowledge_base(tmp_path, name)
    assert list(tmp_path.glob("**/*.db*")) == []


def test_names_are_listed_in_order(tmp_path: Path) -> None:
    assert knowledge_base_names(tmp_path / "none") == []
    for name in ("b", "a", "c"):
        KnowledgeStore.create(tmp_path, name).close()
    (tmp_path / "not a name.db").touch()
    (tmp_path / "a.db.schema-1.bak").touch()
    assert knowledge_base_names(tmp_path) == ["a", "b", "c"]


def test_removing_a_knowledge_base_leaves_nothing_of_it(tmp_path: Path) -> None:
    for name in ("a", "ab"):
        store = KnowledgeStore.create(tmp_path, name)
        put(store, "x", "a canary")
        if name == "ab":
            store.close()
    (tmp_path / "a.db.schema-1.bak").write_bytes(b"a canary")
    remove_knowledge_base(tmp_path, "a")
    assert [path.name for path in tmp_path.glob("*.db*")] == ["ab.db"]
    with pytest.raises(NotFoundError):
        remove_knowledge_base(tmp_path, "a")
