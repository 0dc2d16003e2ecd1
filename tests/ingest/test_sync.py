"""Bringing a knowledge base up to date: every change of a file, every interruption, and the user's files left alone."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ragchat.errors import NotFoundError, UsageError
from ragchat.ingest import sync as sync_module
from ragchat.ingest import writer as writer_module
from ragchat.ingest.readers import ReaderPool
from ragchat.ingest.scan import FoundFile, Scanner, Skip
from ragchat.ingest.sync import IngestOptions, SyncFinished, SyncProgress, status, sync
from ragchat.ingest.wire import Failed, Reason, WireInversion
from ragchat.paths import Paths
from ragchat.retrieval import index
from ragchat.retrieval.invert import Inversion
from ragchat.retrieval.search import Ranking, Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Document

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX file system")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    write(folder, "a.md", "# Alpha\n\nThe aardvark sleeps.\n")
    write(folder, "b.txt", "The badger digs.\n")
    write(folder, "sub/c.md", "# Gamma\n\nThe cormorant dives.\n")
    return folder


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(paths.kb_dir, "kb") as opened:
        yield opened


@pytest.fixture
def options(paths: Paths) -> IngestOptions:
    return IngestOptions(log=paths.extraction_log)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were parsed."""
    names: list[str] = []
    really = ReaderPool.submit

    def submit(self: ReaderPool[Any], what: Any, request: Any, size: int) -> None:
        names.append(Path(what.file.path).name)
        really(self, what, request, size)

    monkeypatch.setattr(ReaderPool, "submit", submit)
    return names


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def run(
    store: KnowledgeStore, options: IngestOptions, *add: Path, cancel: CancelToken | None = None, **more: Any
) -> SyncFinished:
    *_, last = sync(store, options, cancel=cancel or CancelToken(), add=add, **more)
    assert isinstance(last, SyncFinished)
    check_sums(store)
    return last


def check_sums(store: KnowledgeStore) -> None:
    found = status(store)
    assert found.found == found.indexed + found.skipped + found.failed == len(found.documents)
    assert all(bool(document.reason) == (document.state != "indexed") for document in found.documents)


def states(store: KnowledgeStore) -> dict[str, str]:
    return {Path(d.path).name: d.reason or d.state for d in store.documents()}


def finds(store: KnowledgeStore, word: str) -> list[str]:
    ranking = Ranking(drop_near_duplicates=False)
    return [
        Path(hit.path).name for hit in Searcher([store]).search(word, 10, ranking=ranking, correct=False).hits
    ]


def check_whole(store: KnowledgeStore) -> None:
    """The file is sound, no document is cut short, and the index says of each document what its chunks say."""
    with closing(sqlite3.connect(store.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        short = "SELECT path FROM documents d WHERE chunk_count <> (SELECT count(*) FROM chunks WHERE document_id = d.id)"
        assert db.execute(short).fetchall() == []
        orphans = "SELECT id FROM chunks WHERE document_id NOT IN (SELECT id FROM documents)"
        assert db.execute(orphans).fetchall() == []
        (chunks,) = db.execute("SELECT count(*) FROM chunks").fetchone()
        terms = [row[0] for row in db.execute("SELECT DISTINCT term FROM postings")]
    segments = store.index.segments()
    assert (
        sum(segment.size - segment.dead for segment in segments) == chunks == store.statistics().chunk_count
    )
    dfs: Counter[str] = Counter()
    for file, drafts, _ in store.indexed_documents():
        made = index.analyse([(file, drafts)])
        dfs.update(dict(zip(made.postings.terms, made.postings.counts.tolist(), strict=True)))
    assert store.index.dfs(terms) == dfs


# --- changes ----------------------------------------------------------------------------------------------


def test_new_changed_touched_renamed_and_deleted(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    first = run(store, options, docs)
    assert (first.status.indexed, first.unchanged, first.removed) == (3, 0, 0)
    assert sorted(read) == ["a.md", "b.txt", "c.md"]

    read.clear()
    again = run(store, options)
    assert (again.unchanged, again.removed, read) == (3, 0, []), "nothing changed, nothing is read"
    assert again.status.revision == first.status.revision

    write(docs, "d.md", "The dormouse wakes.\n")
    write(docs, "a.md", "# Alpha\n\nThe antelope runs.\n")
    (docs / "b.txt").touch()
    (docs / "sub/c.md").rename(docs / "moved.md")
    changed = run(store, options)
    assert sorted(read) == ["a.md", "d.md"], "a touched or renamed file is not parsed again"
    assert (changed.unchanged, changed.removed) == (2, 0)
    assert states(store) == dict.fromkeys(["a.md", "b.txt", "d.md", "moved.md"], "indexed")
    assert finds(store, "aardvark") == []
    assert finds(store, "antelope") == ["a.md"]
    assert finds(store, "cormorant") == ["moved.md"]
    assert finds(store, "dormouse") == ["d.md"]

    read.clear()
    assert run(store, options).unchanged == 4
    (docs / "moved.md").unlink()
    gone = run(store, options)
    assert (gone.removed, gone.status.found, read) == (1, 3, [])
    assert finds(store, "cormorant") == []
    check_whole(store)


def test_other_chunk_sizes_are_said_and_taken_when_everything_is_read_again(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    write(docs, "long.txt", "".join(f"Sentence number {n} speaks of heron {n}.\n\n" for n in range(200)))
    assert run(store, options, docs).notes == ()
    before = store.statistics().chunk_count
    smaller = replace(options, chunk_tokens=60)
    read.clear()
    [said] = run(store, smaller).notes
    assert "220 tokens with 30" in said
    assert "--again" in said
    assert read == []
    done = run(store, smaller, again=True)
    assert sorted(read) == ["a.md", "b.txt", "c.md", "long.txt"]
    assert done.notes == ()
    assert done.status.indexed == 4
    assert store.statistics().chunk_count > 2 * before
    check_whole(store)
    assert len(run(store, options).notes) == 1, "the other way round it is said as well"


def test_what_earlier_readers_read_is_read_again_once(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    write(docs, "d.bin", b"\x00\x01\x02")
    run(store, options, docs)
    read.clear()
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE documents SET readers = 1 WHERE path LIKE '%.md' OR path LIKE '%.bin'")
        connection.commit()
    finished = run(store, options)
    assert sorted(read) == ["a.md", "c.md"]
    assert any("2 documents were read again" in note for note in finished.notes)
    assert finds(store, "aardvark") == ["a.md"]
    read.clear()
    assert run(store, options).notes == ()
    assert read == []
    check_whole(store)


def test_a_renamed_folder_is_not_read_again(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    run(store, options, docs)
    read.clear()
    (docs / "sub").rename(docs / "other")
    assert run(store, options).removed == 0
    assert read == []
    assert [d.path for d in store.documents() if d.path.endswith("c.md")] == [str(docs / "other/c.md")]


def test_a_renamed_file_of_another_kind_is_read_anew(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    run(store, options, docs)
    read.clear()
    (docs / "a.md").rename(docs / "a.txt")
    assert run(store, options).removed == 1
    assert read == ["a.txt"]
    assert finds(store, "aardvark") == ["a.txt"]


def test_a_copy_is_a_document_of_its_own(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    run(store, options, docs)
    shutil.copy(docs / "a.md", docs / "copy.md")
    run(store, options)
    assert sorted(finds(store, "aardvark")) == ["a.md", "copy.md"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", Skip.EMPTY), (b"\x00\x01\x02" * 500, Reason.BINARY), (b"   \n\n", Reason.NO_TEXT)],
)
def test_emptied_or_binary_files_leave_the_index(
    docs: Path, store: KnowledgeStore, options: IngestOptions, content: bytes, reason: str
) -> None:
    run(store, options, docs)
    write(docs, "a.md", content)
    finished = run(store, options)
    assert (finished.status.indexed, finished.status.skipped, finished.status.failed) == (2, 1, 0)
    assert states(store)["a.md"] in (reason, Reason.EMPTY, Reason.NO_TEXT)
    assert finds(store, "aardvark") == []
    write(docs, "a.md", "The aardvark is back.\n")
    assert run(store, options).status.indexed == 3
    assert finds(store, "aardvark") == ["a.md"]
    check_whole(store)


def test_an_unreadable_file_is_tried_again_though_nothing_of_it_changed(
    docs: Path, store: KnowledgeStore, options: IngestOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Permissions change neither size nor mtime. (Root may read everything, hence no chmod here.)"""
    really = ReaderPool.results

    def refuse(self: ReaderPool[Any], timeout_s: float) -> Iterator[tuple[Any, Any]]:
        for task, result in really(self, timeout_s):
            yield task, Failed(Reason.NO_PERMISSION) if task.file.path.endswith("a.md") else result

    with monkeypatch.context() as patch:
        patch.setattr(ReaderPool, "results", refuse)
        assert run(store, options, docs).status.failed == 1
        assert states(store)["a.md"] == Reason.NO_PERMISSION
        assert run(store, options).status.failed == 1
    finished = run(store, options)
    assert (finished.status.failed, finished.status.indexed) == (0, 3)
    with monkeypatch.context() as patch:
        patch.setattr(ReaderPool, "results", refuse)
        write(docs, "a.md", "The aardvark changed.\n")
        assert run(store, options).status.failed == 1
    assert finds(store, "aardvark") == [], "what it says now is not known"
    check_whole(store)


@pytest.mark.parametrize(
    ("name", "content"), [("broken.docx", b"PK\x03\x04 not a document"), ("blank.md", b" \n \n")]
)
def test_a_file_that_holds_nothing_is_not_read_again_until_it_changes(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str], name: str, content: bytes
) -> None:
    write(docs, name, content)
    finished = run(store, options, docs)
    assert finished.status.failed + finished.status.skipped == 1
    read.clear()
    assert run(store, options).unchanged == 4
    assert read == []
    (docs / name).touch()
    write(docs, name, content + b" ")
    run(store, options)
    assert read == [name]


def test_a_file_that_is_ignored_no_longer_is_read(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    write(docs, ".gitignore", "a.md\n")
    assert run(store, options, docs).status.indexed == 2
    assert states(store)["a.md"] == Skip.IGNORED
    (docs / ".gitignore").unlink()
    assert run(store, options).status.indexed == 3
    write(docs, ".gitignore", "a.md\n")
    assert run(store, options).status.indexed == 2
    assert finds(store, "aardvark") == []


@posix_only
def test_hostile_names(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    for name in (b"bad\xff.md", b"esc\x1b]0;x\x07.md", b"new\nline.md", b"[red]x.md", b"-rf.md"):
        with open(os.fsencode(docs) + b"/" + name, "wb") as file:
            file.write(b"The " + name[:3] + b" zebra grazes.\n")
    finished = run(store, options, docs)
    assert (finished.status.found, finished.status.skipped) == (8, 1)
    (skipped,) = [d for d in status(store).documents if d.state != "indexed"]
    assert (skipped.state, skipped.reason) == ("skipped", Skip.UNREADABLE_NAME)
    assert skipped.path.endswith("bad\\xff.md")
    assert len(finds(store, "zebra")) == 4
    assert run(store, options).unchanged == 8
    events = list(sync(store, options, cancel=CancelToken()))
    shown = [event.path for event in events if isinstance(event, SyncProgress)]
    assert all(text.isprintable() for text in shown)
    (root,) = [Path(os.fsdecode(os.fsencode(docs.parent) + b"/ro\xffot"))]
    root.mkdir()
    with pytest.raises(UsageError, match="not readable text"):
        run(store, options, root)


# --- roots ------------------------------------------------------------------------------------------------


def test_a_path_that_does_not_exist_changes_nothing(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        run(store, options, docs, docs / "nowhere\x1b[2J")
    assert store.roots() == ()
    assert store.documents() == []


def test_an_unreachable_root_keeps_its_documents(
    docs: Path, tmp_path: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    other = tmp_path / "other"
    write(other, "d.md", "The dormouse wakes.\n")
    run(store, options, docs, other)
    docs.rename(tmp_path / "away")
    for _ in range(3):
        finished = run(store, options)
        assert finished.removed == 0
        assert finds(store, "cormorant") == ["c.md"]
        assert {d.state for d in status(store).documents if "docs/" in d.path} == {"missing"}
    (tmp_path / "away").rename(docs)
    read.clear()
    finished = run(store, options)
    assert read == []
    assert (finished.status.found, finished.status.indexed) == (4, 4)


def test_a_folder_that_cannot_be_opened_keeps_its_documents(
    docs: Path, store: KnowledgeStore, options: IngestOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """(Root may open everything, hence no chmod here.)"""
    run(store, options, docs)

    really = Scanner.everything

    def scan_without_sub(self: Scanner) -> Iterator[FoundFile]:
        yield from (file for file in really(self) if Path(file.path).parent.name != "sub")
        yield FoundFile(str(docs / "sub"), 0, 0, Skip.NO_PERMISSION)

    with monkeypatch.context() as patch:
        patch.setattr(Scanner, "everything", scan_without_sub)
        for _ in range(3):
            assert run(store, options).removed == 0
            assert finds(store, "cormorant") == ["c.md"]
            assert states(store)["sub"] == Skip.NO_PERMISSION
    finished = run(store, options)
    assert (finished.status.found, finished.status.indexed) == (3, 3)


def test_overlapping_roots_count_each_file_once(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    finished = run(store, options, docs, docs / "sub", docs / "sub/c.md", docs)
    assert (finished.status.found, finished.status.indexed) == (3, 3)
    assert finds(store, "cormorant") == ["c.md"]
    assert run(store, options).unchanged == 3


# --- the user's files -------------------------------------------------------------------------------------


def test_the_source_tree_is_left_as_it_is(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    write(docs, "broken.pdf", b"%PDF-1.4 broken")
    write(docs, "book.ipynb", "{}")
    write(docs, "page.html", "<p>The heron waits.</p>")

    def picture() -> list[tuple[str, int, int, str]]:
        found = []
        for path in sorted([docs, *docs.rglob("*")]):
            stat = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found.append((str(path), stat.st_mtime_ns, stat.st_mode, content))
        return found

    before = picture()
    run(store, options, docs)
    run(store, options)
    status(store)
    assert picture() == before


# --- interruptions ----------------------------------------------------------------------------------------


def word_of(number: int) -> str:
    """A word of one document only, without digits."""
    return "q" + "".join("abcdefghij"[int(digit)] for digit in f"{number:03}") + "q"


def many(folder: Path, number: int) -> None:
    for i in range(number):
        write(folder, f"doc{i:03}.md", f"# Note {i}\n\nThe {word_of(i)} lives in house {i}.\n")


def test_progress_counts_up_to_all(tmp_path: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    many(tmp_path / "many", 40)
    write(tmp_path / "many", "x.exe", b"MZ\x00")
    events = list(sync(store, options, cancel=CancelToken(), add=[tmp_path / "many"]))
    progress = [e for e in events if isinstance(e, SyncProgress) and e.total]
    assert all(e.indexed + e.skipped + e.failed == e.done <= e.total == 41 for e in progress)
    assert [e.done for e in progress] == sorted({e.done for e in progress})
    assert (progress[-1].done, progress[-1].indexed, progress[-1].skipped) == (41, 40, 1)
    assert progress[-1].eta_s in (0.0, None)
    assert isinstance(events[-1], SyncFinished)


def test_cancel_keeps_what_is_done_and_the_next_sync_goes_on(
    tmp_path: Path,
    store: KnowledgeStore,
    options: IngestOptions,
    read: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sync_module, "_SAY_EVERY_S", 0.0)
    many(tmp_path / "many", 30)
    cancel, last = CancelToken(), None
    for event in sync(store, options, cancel=cancel, add=[tmp_path / "many"]):
        last = event
        if isinstance(event, SyncProgress) and event.total and event.done == 10:
            cancel.cancel()
    assert isinstance(last, SyncFinished)
    assert last.cancelled
    assert last.status.indexed == 10
    assert last.status.synced_at == "", "not synced to the end"
    check_whole(store)
    read.clear()
    known = {document.path for document in store.documents() if document.state == "indexed"}
    Path(min(known)).unlink()  # several processes read, so it need not be the first file
    finished = run(store, options)
    assert len(read) == 20
    assert not {Path(path).name for path in known} & set(read), "what was indexed is not read again"
    assert (finished.status.indexed, finished.removed, finished.unchanged) == (29, 1, 9)
    assert finished.status.synced_at


def test_cancel_while_files_are_looked_for_removes_nothing(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    run(store, options, docs)
    cancel = CancelToken()
    cancel.cancel()
    finished = run(store, options, cancel=cancel)
    assert finished.cancelled
    assert (finished.status.indexed, finished.removed) == (3, 0)


def test_a_consumer_that_goes_away_keeps_what_is_done(
    tmp_path: Path, store: KnowledgeStore, options: IngestOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_module, "_SAY_EVERY_S", 0.0)
    many(tmp_path / "many", 10)
    events = sync(store, options, cancel=CancelToken(), add=[tmp_path / "many"])
    for event in events:
        if isinstance(event, SyncProgress) and event.total and event.done == 4:
            break
    events.close()  # type: ignore[attr-defined]
    assert store.status().indexed == 4
    assert run(store, options).status.indexed == 10


def test_two_syncs_at_once(
    tmp_path: Path, store: KnowledgeStore, options: IngestOptions, paths: Paths
) -> None:
    many(tmp_path / "many", 60)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with KnowledgeStore.open(paths.kb_dir, "kb") as own:
                for _ in sync(own, options, cancel=CancelToken(), add=[tmp_path / "many"]):
                    pass
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check_sums(store)
    check_whole(store)
    assert store.status().indexed == 60
    assert finds(store, word_of(7)) == ["doc007.md"]
    assert run(store, options).unchanged == 60


def analyse_as_before(patch: pytest.MonkeyPatch) -> None:
    really = writer_module._inversion

    def older(inversion: WireInversion) -> Inversion:
        found = really(inversion)
        return replace(
            found, postings=replace(found.postings, terms=[f"old{term}" for term in found.postings.terms])
        )

    patch.setattr(index, "VERSION", "older")
    patch.setattr(writer_module, "_inversion", older)


def test_an_index_of_another_analysis_is_built_anew(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str], paths: Paths
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        analyse_as_before(patch)
        run(store, options, docs)
    assert store.analyzer_version() == "older"
    assert finds(store, "aardvark") == []
    read.clear()
    finished = run(store, options)
    assert finished.status.indexed == 3
    assert store.analyzer_version() == index.VERSION
    assert sorted(finds(store, "aardvarks diving")) == ["a.md", "c.md"]
    assert run(store, options).unchanged == 3


def test_an_index_built_anew_scores_as_a_fresh_one(
    docs: Path, store: KnowledgeStore, options: IngestOptions, paths: Paths
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        analyse_as_before(patch)
        run(store, options, docs)
    run(store, options)
    with KnowledgeStore.create(paths.kb_dir, "fresh") as fresh:
        run(fresh, options, docs)
        assert store.statistics().total_length == fresh.statistics().total_length
        names = ["the", "aardvark", "sleep", "dive", "oldsleeps.", "oldthe", "alpha"]
        assert store.index.dfs(names) == fresh.index.dfs(names) != {}
    check_whole(store)


@posix_only
@pytest.mark.hazard
def test_killed_while_indexing(tmp_path: Path, paths: Paths, options: IngestOptions) -> None:
    number, rounds = 600, 30
    folder = tmp_path / "many"
    many(folder, number)
    with KnowledgeStore.create(paths.kb_dir, "fresh") as store:
        run(store, options, folder)
        expected = contents(store)
    chance = random.Random(7)
    cut_short = 0
    for round_number in range(rounds):
        name = f"kb{round_number}"
        process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                SYNC_IN_SMALL_BATCHES,
                str(paths.kb_dir),
                name,
                str(options.log),
                str(folder),
            ]
        )
        # Wherever it is then.
        database = paths.kb_dir / f"{name}.db"
        deadline = time.monotonic() + 30
        enough = chance.randint(0, number * 9 // 10)
        while time.monotonic() < deadline and process.poll() is None and indexed_in(database) < enough:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.05)
        acknowledged = indexed_in(database)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with KnowledgeStore.create(paths.kb_dir, name) as store:
            check_whole(store)
            documents = [d for d in store.documents() if d.state == "indexed"]
            assert len(documents) >= acknowledged, "what was committed is there"
            cut_short += len(documents) < number
            for document in documents[::40]:
                assert finds(store, word_of(number_of(document))) == [Path(document.path).name]
            finished = run(store, options, folder)
            assert (finished.status.found, finished.status.indexed) == (number, number)
            assert finished.unchanged == len(documents), "what was committed is not read again"
            check_whole(store)
            assert contents(store) == expected
    assert cut_short >= rounds // 2, "most of the kills must come in the middle"


SYNC_IN_SMALL_BATCHES = """
import sys
from pathlib import Path
from ragchat.ingest import writer
from ragchat.ingest.sync import IngestOptions, sync
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken

writer._LONGEST_S = writer._LONGEST_LATER_S = 0.03
folder, name, log, docs = sys.argv[1:]
with KnowledgeStore.create(Path(folder), name) as store:
    for _ in sync(store, IngestOptions(log=Path(log)), cancel=CancelToken(), add=[Path(docs)]):
        pass
"""


def contents(store: KnowledgeStore) -> tuple[object, ...]:
    """What does not depend on the order in which documents came in."""
    with closing(sqlite3.connect(store.path)) as db:
        chunks = db.execute(
            "SELECT d.path, c.ordinal, c.heading, c.text, d.language, d.content_hash FROM chunks c"
            " JOIN documents d ON d.id = c.document_id ORDER BY 1, 2"
        ).fetchall()
        terms = [row[0] for row in db.execute("SELECT DISTINCT term FROM postings")]
    statistics = store.statistics()
    return chunks, store.index.dfs(terms), statistics.chunk_count, statistics.total_length


def number_of(document: Document) -> int:
    return int(Path(document.path).stem.removeprefix("doc"))


def indexed_in(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM documents WHERE state = 'indexed'").fetchone()[0])
    except sqlite3.Error:
        return 0
