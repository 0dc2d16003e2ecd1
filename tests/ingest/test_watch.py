"""Watching: what changes on disk is found a moment later, once, and whatever else happens."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from ragchat.errors import RagchatError
from ragchat.ingest import watch as watch_module
from ragchat.ingest.rows import RowsFinished, new_source
from ragchat.ingest.sync import IngestOptions, SyncFinished, sync
from ragchat.ingest.watch import ChangesSeen, WatchProblem, WatchStarted, coalesce, watch
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, KnowledgeBaseOptions

SOON_S = 15.0
"""How long a test waits on a busy machine; what a person waits is measured in benchmarks/freshness.py."""


class Watched:
    """A knowledge base that a thread watches, and a reader of it."""

    def __init__(self, kb_dir: Path, log: Path, polling: bool | None = None) -> None:
        self.kb_dir = kb_dir
        self.events: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.seen: list[object] = []
        self.cancel = CancelToken()
        self._options = IngestOptions(log=log)
        self._polling = polling
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            for event in watch(
                lambda: KnowledgeStore.open(self.kb_dir, "zoo"),
                self._options,
                cancel=self.cancel,
                polling=self._polling,
            ):
                self.events.put(event)
        except Exception as error:
            self.events.put(error)

    def wait_for(self, wanted: Callable[[object], bool]) -> object:
        end = time.monotonic() + SOON_S
        while time.monotonic() < end:
            try:
                event = self.events.get(timeout=0.1)
            except queue.Empty:
                continue
            self.seen.append(event)
            if isinstance(event, Exception):
                raise event
            if wanted(event):
                return event
        raise AssertionError(f"not seen: {self.seen}")

    def until(self, condition: Callable[[KnowledgeStore], bool]) -> None:
        end = time.monotonic() + SOON_S
        with KnowledgeStore.open(self.kb_dir, "zoo") as store:
            while not condition(store):
                assert time.monotonic() < end, list(self._drain())
                time.sleep(0.05)

    def _drain(self) -> Iterator[object]:
        while not self.events.empty():
            yield self.events.get()


@contextmanager
def watched(kb_dir: Path, log: Path, *roots: Path, polling: bool | None = None) -> Iterator[Watched]:
    with KnowledgeStore.create(kb_dir, "zoo") as store:
        list(sync(store, IngestOptions(log=log), cancel=CancelToken(), add=roots))
    running = Watched(kb_dir, log, polling)
    running.thread.start()
    try:
        running.wait_for(lambda event: isinstance(event, WatchStarted))
        running.wait_for(lambda event: isinstance(event, SyncFinished))
        yield running
    finally:
        running.cancel.cancel()
        running.thread.join(SOON_S)
        assert not running.thread.is_alive()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "first.md").write_text("The very first words.")
    return folder


def finds(query: str, *names: str) -> Callable[[KnowledgeStore], bool]:
    """Whether a search for `query` finds exactly these file names."""

    def condition(store: KnowledgeStore) -> bool:
        return sorted(Path(hit.path).name for hit in Searcher([store]).search(query, 10).hits) == sorted(
            names
        )

    return condition


def test_new_changed_moved_and_deleted_files(tmp_path: Path, docs: Path) -> None:
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        (docs / "zebra.md").write_text("A zebra has stripes.")
        running.until(finds("zebra", "zebra.md"))
        (docs / "zebra.md").write_text("A quagga has fewer stripes.")
        running.until(finds("quagga", "zebra.md"))
        running.until(finds("zebra stripes", "zebra.md"))
        (docs / "zebra.md").rename(docs / "moved.md")
        running.until(finds("quagga", "moved.md"))
        (docs / "moved.md").unlink()
        running.until(finds("quagga"))
        assert not any(isinstance(event, WatchProblem) for event in running.seen)


def test_a_move_keeps_the_document(tmp_path: Path, docs: Path) -> None:
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        with KnowledgeStore.open(tmp_path / "kb", "zoo") as store:
            before = store.document_at(str(docs / "first.md"))
        assert before
        (docs / "deep").mkdir()
        (docs / "first.md").rename(docs / "deep" / "second.md")
        running.until(lambda store: store.document_at(str(docs / "deep" / "second.md")) is not None)
        running.until(lambda store: store.document_at(str(docs / "first.md")) is None)
        with KnowledgeStore.open(tmp_path / "kb", "zoo") as store:
            after = store.document_at(str(docs / "deep" / "second.md"))
        assert after
        assert (after.id, after.indexed_at) == (before.id, before.indexed_at), "it was not read again"


def test_folders_that_come_go_and_move(tmp_path: Path, docs: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    for number in range(5):
        told = ["eats leaves", "sleeps at noon", "hides from leopards", "drinks rarely", "walks alone"][
            number
        ]
        (made / f"okapi{number}.md").write_text(f"An okapi {told}.")
    names = [f"okapi{number}.md" for number in range(5)]
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        made.rename(docs / "made")
        running.until(finds("okapi", *names))
        (docs / "made").rename(docs / "renamed")
        running.until(
            lambda store: {Path(d.path).parent.name for d in store.documents()} == {"docs", "renamed"}
        )
        running.until(finds("okapi", *names))
        shutil.rmtree(docs / "renamed")
        running.until(finds("okapi"))


def test_a_save_as_editors_do_it(tmp_path: Path, docs: Path) -> None:
    """A new file takes the place of the old one; a root that is a single file is watched as well."""
    single = tmp_path / "single.md"
    single.write_text("Before the swap.")
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs, single) as running:
        for target in (docs / "first.md", single):
            fresh = target.with_name(f".{target.name}.swp")
            fresh.write_text(f"After the swap of {target.stem}.")
            fresh.replace(target)
        running.until(finds("after swap", "first.md", "single.md"))


def test_a_burst_is_taken_in_as_folders(tmp_path: Path, docs: Path) -> None:
    count = 1_000
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        for number in range(count):
            (docs / f"n{number}.md").write_text(f"Herd member {number}.")
        running.until(lambda store: store.status().indexed == count + 1)
        assert max(e.paths for e in [*running.seen, *running._drain()] if isinstance(e, ChangesSeen)) <= 500


def test_its_own_files_and_hidden_ones_are_no_change(tmp_path: Path, docs: Path) -> None:
    with watched(docs / "kb", docs / "state" / "log", docs) as running:
        (docs / ".git").mkdir()
        for number in range(20):
            (docs / ".git" / f"object{number}").write_text("x")
            (docs / f".hidden{number}.md").write_text("x")
            (docs / "base.db-wal").write_text(str(number))
        (docs / "zebra.md").write_text("A zebra has stripes.")
        running.until(finds("zebra", "zebra.md"))
        time.sleep(1.5)
        rounds = sum(isinstance(event, ChangesSeen) for event in running._drain())
        assert rounds <= 2, "writing the index is no reason to index"


def test_an_ignore_file_is_obeyed_when_it_changes(tmp_path: Path, docs: Path) -> None:
    (docs / "draft.md").write_text("A zebra draft.")
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        running.until(finds("zebra", "draft.md"))
        (docs / ".gitignore").write_text("draft.md\n")
        running.until(finds("zebra"))


def test_a_live_database_is_followed(tmp_path: Path, docs: Path) -> None:
    database = tmp_path / "shop.db"
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT)")
    writer.execute("INSERT INTO products VALUES (1, 'Orion lamp')")
    options = IngestOptions(log=tmp_path / "state" / "log")
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        source = new_source(
            store, "sqlite", database, query="SELECT * FROM products", options=options, cancel=CancelToken()
        )
        store.put_source(source)
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        running.until(finds("orion", "shop.db?products#1"))
        assert any(isinstance(e, WatchStarted) and e.tables == (source.prefix,) for e in running.seen)
        writer.execute("INSERT INTO products VALUES (2, 'Zephyr pump')")
        event = running.wait_for(lambda e: isinstance(e, RowsFinished) and e.indexed > 0)
        assert isinstance(event, RowsFinished)
        assert (event.indexed, event.unchanged) == (1, 1)
        running.until(finds("zephyr", "shop.db?products#2"))
    writer.close()


def test_folders_that_are_added_meanwhile_are_watched_too(tmp_path: Path, docs: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        with KnowledgeStore.open(tmp_path / "kb", "zoo") as store:
            store.add_roots([more])
        running.wait_for(lambda event: isinstance(event, WatchStarted) and str(more) in event.roots)
        (more / "zebra.md").write_text("A zebra has stripes.")
        running.until(finds("zebra", "zebra.md"))


def test_a_root_that_goes_and_comes_back(tmp_path: Path, docs: Path) -> None:
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        docs.rename(tmp_path / "away")
        running.wait_for(lambda event: isinstance(event, WatchStarted))
        running.wait_for(lambda event: isinstance(event, SyncFinished))
        running.until(finds("first", "first.md"))
        (tmp_path / "away").rename(docs)
        (docs / "zebra.md").write_text("A zebra has stripes.")
        running.until(finds("zebra", "zebra.md"))


def test_polling_finds_changes_too(tmp_path: Path, docs: Path) -> None:
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs, polling=True) as running:
        (docs / "zebra.md").write_text("A zebra has stripes.")
        running.until(finds("zebra", "zebra.md"))
        (docs / "zebra.md").unlink()
        running.until(finds("zebra"))


def watch_in_namespace(tmp_path: Path, docs: Path, flags: str, prepare: str) -> subprocess.Popen[str]:
    """`kb watch zoo --json` in a user namespace of its own."""
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", flags, "true"], capture_output=True).returncode
    ):
        pytest.skip("needs user namespaces")
    with KnowledgeStore.create(tmp_path / "home" / "data" / "kb", "zoo") as store:
        store.add_roots([docs])
    shell = f"{prepare} && exec {sys.executable} -m ragchat kb watch zoo --json"
    return subprocess.Popen(
        ["unshare", flags, "sh", "-c", shell],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "RAGCHAT_HOME": str(tmp_path / "home")},
    )


def test_the_limit_of_the_system_is_no_end(tmp_path: Path, docs: Path) -> None:
    """The system allows three watches: ragchat looks for itself and says so."""
    for number in range(10):
        (docs / f"d{number}").mkdir()
    child = watch_in_namespace(tmp_path, docs, "-Ur", "echo 3 > /proc/sys/user/max_inotify_watches")
    assert child.stdout
    with child.stdout:
        started = next(line for line in child.stdout if '"started"' in line)
        assert '"polling": true' in started
        assert "inotify limit" in started
        next(line for line in child.stdout if '"synced"' in line)
        (docs / "d7" / "zebra.md").write_text("A zebra has stripes.")
        next(line for line in child.stdout if '"synced"' in line)
        child.send_signal(signal.SIGINT)
        assert child.wait(SOON_S) == 0


def test_a_folder_that_may_not_be_read_is_no_end(tmp_path: Path, docs: Path) -> None:
    (docs / "secret").mkdir()
    (docs / "secret").chmod(0)
    child = watch_in_namespace(tmp_path, docs, "-U", "true")
    assert child.stdout
    try:
        with child.stdout:
            assert '"polling": false' in next(line for line in child.stdout if '"started"' in line)
            next(line for line in child.stdout if '"synced"' in line)
            (docs / "zebra.md").write_text("A zebra has stripes.")
            next(line for line in child.stdout if '"synced"' in line)
            child.send_signal(signal.SIGINT)
            assert child.wait(SOON_S) == 0
    finally:
        (docs / "secret").chmod(0o700)


def test_a_second_watcher_is_told(tmp_path: Path, docs: Path) -> None:
    with (
        watched(tmp_path / "kb", tmp_path / "state" / "log", docs),
        pytest.raises(RagchatError, match="already watches zoo"),
    ):
        list(
            watch(
                lambda: KnowledgeStore.open(tmp_path / "kb", "zoo"),
                IngestOptions(log=tmp_path / "state" / "log"),
                cancel=CancelToken(),
            )
        )


def test_a_sync_that_fails_is_tried_again(
    tmp_path: Path, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer holds the database longer than we wait."""
    monkeypatch.setattr(watch_module, "_RETRY_S", 0.5)
    with watched(tmp_path / "kb", tmp_path / "state" / "log", docs) as running:
        with closing(sqlite3.connect(tmp_path / "kb" / "zoo.db", isolation_level=None)) as other:
            other.execute("ALTER TABLE documents RENAME TO elsewhere")
            (docs / "zebra.md").write_text("A zebra has stripes.")
            running.wait_for(lambda event: isinstance(event, WatchProblem))
            other.execute("ALTER TABLE elsewhere RENAME TO documents")
        running.until(finds("zebra", "zebra.md"))


# --- the parts --------------------------------------------------------------------------------------------


def test_coalesce_keeps_few_paths_and_loses_none() -> None:
    root = Path("/r")
    paths = [root / f"a{i % 7}" / f"b{i % 13}" / f"f{i}" for i in range(2_000)]
    for most in (1, 10, 100, 500):
        found = coalesce(paths, [root], most)
        assert len(found) <= most
        assert all(any(path.is_relative_to(kept) for kept in found) for path in paths)
    assert coalesce(paths[:5], [root], 10) == set(paths[:5])
    assert coalesce([root / "x", root], [root], 10) == {root}
    assert coalesce([Path(f"/r{i}") for i in range(9)], [Path(f"/r{i}") for i in range(9)], 3) == {
        Path(f"/r{i}") for i in range(9)
    }
    assert coalesce([], [root]) == set()


@pytest.mark.parametrize(("size", "least", "most"), [(1 << 20, 1, 1.3), ((1 << 20) + 1, 25, 31)])
def test_a_file_that_always_changes_is_looked_at_less_and_less(
    tmp_path: Path, size: int, least: float, most: float
) -> None:
    work = watch_module._Work(whole_at=float("inf"))
    log, now, taken = tmp_path / "app.log", 0.0, []
    log.touch()
    os.truncate(log, size)
    for _ in range(6_000):  # 25 minutes, four writes a second
        work.seen({log}, now)
        if work.due(now, [tmp_path]):
            taken.append(now)
        now += 0.25
    gaps = [b - a for a, b in pairwise(taken)]
    assert max(gaps[:4]) < 1, "at first at once"
    assert least <= gaps[-1] <= most, "in the end every half minute if it is large, every second if not"
    now += 300
    work.seen({log}, now)
    assert work.due(now, [tmp_path]) == {log}, "after a rest at once again"


def test_followed_links_are_said_to_be_looked_at_later(tmp_path: Path, docs: Path) -> None:
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        store.set_options(KnowledgeBaseOptions(follow_links=True))
    with watched(tmp_path / "kb", tmp_path / "log", docs) as running:
        (started,) = [event for event in running.seen if isinstance(event, WatchStarted)]
    assert "every 15 minutes" in started.note


def test_two_syncs_at_once_do_no_harm(tmp_path: Path, docs: Path) -> None:
    from ragchat.retrieval.check import wrong_segments
    from ragchat.store.maintenance import problems

    for number in range(150):
        (docs / f"n{number}.md").write_text(f"Herd member {number} grazes.")
    KnowledgeStore.create(tmp_path / "kb", "zoo").close()
    failures: list[Exception] = []

    def bring_in() -> None:
        try:
            with KnowledgeStore.open(tmp_path / "kb", "zoo") as store:
                list(sync(store, IngestOptions(log=tmp_path / "log"), cancel=CancelToken(), add=[docs]))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=bring_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with KnowledgeStore.open(tmp_path / "kb", "zoo") as store:
        assert store.status().indexed == 151
        assert problems(store.path, thorough=True) == wrong_segments(store) == []
