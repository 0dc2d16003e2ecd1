"""The pool of reading processes: all cores at work, what is under way bounded, and every fault the fault of one file."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from ragchat.errors import RagchatError
from ragchat.ingest import readers as readers_module
from ragchat.ingest.readers import ReaderPool, Result, default_readers
from ragchat.ingest.wire import Failed, Read, ReadRequest, Reason

posix_only = pytest.mark.skipif(os.name != "posix", reason="signals")


def pool_of(
    tmp_path: Path, readers: int, *, timeout_s: float = 30.0, memory_mib: int = 2048
) -> ReaderPool[str]:
    return ReaderPool(
        tmp_path / "log/reading.log", readers=readers, timeout_s=timeout_s, memory_mib=memory_mib
    )


def submit(pool: ReaderPool[str], path: Path, size: int = 100) -> None:
    pool.submit(path.name, ReadRequest(os.fsencode(path), 200 << 20, 220, 30), size)


def drain(pool: ReaderPool[str], within_s: float = 60.0) -> dict[str, Result]:
    found: dict[str, Result] = {}
    deadline = time.monotonic() + within_s
    while not pool.idle:
        assert time.monotonic() < deadline, f"only {sorted(found)} came out"
        for name, result in pool.results(0.1):
            assert name not in found, "each file once"
            found[name] = result
    return found


def write(folder: Path, number: int) -> list[Path]:
    paths = [folder / f"doc{i}.md" for i in range(number)]
    for i, path in enumerate(paths):
        path.write_text(f"# Note {i}\n\nThe badger digs hole {i}.\n")
    return paths


def reasons(found: dict[str, Result]) -> dict[str, Reason]:
    return {name: result.reason for name, result in found.items() if isinstance(result, Failed)}


def test_files_come_back_ready_for_the_index(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 1)
    with pool_of(tmp_path, 1) as pool:
        submit(pool, path)
        read = drain(pool)["doc0.md"]
    assert isinstance(read, Read)
    assert (read.title, read.media_type, read.source_lines) == ("Note 0", "text/markdown", True)
    assert (read.file.size, read.file.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert [chunk.text for chunk in read.chunks] == ["# Note 0\n\nThe badger digs hole 0."]
    assert read.inversion.terms == sorted(read.inversion.terms)
    assert "badger" in read.inversion.terms


def test_several_children_share_the_work(tmp_path: Path) -> None:
    paths = write(tmp_path, 60)
    pids = set()
    waiting = list(paths)
    found: dict[str, Result] = {}
    with pool_of(tmp_path, 3) as pool:
        while waiting or not pool.idle:
            while waiting and pool.has_room(100):
                submit(pool, waiting.pop())
            assert sum(len(reader.jobs) for reader in pool._readers) <= 3 * readers_module._FILES_AHEAD
            found.update(pool.results(0.1))
            pids |= {reader.child.pid for reader in pool._readers}
    assert len(found) == 60
    assert reasons(found) == {}
    assert len(pids) == 3
    assert pool._readers == []


def test_what_is_under_way_is_bounded_in_bytes(tmp_path: Path) -> None:
    paths = write(tmp_path, 3)
    with pool_of(tmp_path, 1) as pool:
        assert pool.has_room(1 << 40), "the first is always taken"
        submit(pool, paths[0], size=readers_module._BYTES_AHEAD)
        assert not pool.has_room(1)
        drain(pool)
    with pool_of(tmp_path, 3) as pool:
        submit(pool, paths[0], size=readers_module._BYTES_UNDER_WAY)
        assert not pool.has_room(1), "not even by another child"
        drain(pool)
        assert pool.has_room(1)


@posix_only
@pytest.mark.hazard
def test_a_killed_child_costs_the_file_it_was_reading(tmp_path: Path) -> None:
    paths = write(tmp_path, 4)
    with pool_of(tmp_path, 1) as pool:
        submit(pool, paths[0])
        drain(pool)
        child = pool._readers[0].child
        os.kill(child.pid, signal.SIGSTOP)
        for path in paths[1:]:
            submit(pool, path)
        threading.Timer(0.2, os.kill, (child.pid, signal.SIGKILL)).start()
        found = drain(pool)
    assert reasons(found) == {"doc1.md": Reason.CRASHED}
    assert sorted(found) == ["doc1.md", "doc2.md", "doc3.md"]


@posix_only
@pytest.mark.hazard
def test_a_hanging_child_costs_the_file_it_was_reading(tmp_path: Path) -> None:
    paths = write(tmp_path, 4)
    with pool_of(tmp_path, 1, timeout_s=0.7) as pool:
        submit(pool, paths[0])
        drain(pool)
        child = pool._readers[0].child
        os.kill(child.pid, signal.SIGSTOP)
        start = time.monotonic()
        for path in paths[1:]:
            submit(pool, path)
        found = drain(pool)
        assert time.monotonic() - start < 20
        assert not child.alive
    assert reasons(found) == {"doc1.md": Reason.TIMEOUT}
    assert sorted(found) == ["doc1.md", "doc2.md", "doc3.md"]


@posix_only
@pytest.mark.hazard
def test_a_child_that_dies_while_idle_costs_nothing(tmp_path: Path) -> None:
    paths = write(tmp_path, 2)
    with pool_of(tmp_path, 1) as pool:
        submit(pool, paths[0])
        drain(pool)
        pool._readers[0].child._process.kill()
        pool._readers[0].child._process.wait()
        submit(pool, paths[1])
        assert reasons(drain(pool)) == {}


@pytest.mark.hazard
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS")
def test_one_file_that_needs_too_much_memory(tmp_path: Path) -> None:
    paths = write(tmp_path, 3)
    large = tmp_path / "large.txt"
    large.write_bytes(("字" * 40 + "\n").encode() * 400_000)
    with pool_of(tmp_path, 2, memory_mib=300) as pool:
        for path in (paths[0], large, *paths[1:]):
            submit(pool, path)
        found = drain(pool)
    assert set(reasons(found)) == {"large.txt"}
    assert reasons(found)["large.txt"] in (Reason.TOO_MUCH_MEMORY, Reason.CRASHED)


def test_closing_does_not_wait(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("The badger digs. " * 2_000_000)
    pool = pool_of(tmp_path, 1)
    submit(pool, tmp_path / "large.txt")
    while not pool._readers[0].ready:
        list(pool.results(0.05))
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 1.0
    assert pool.idle


def test_children_that_cannot_start_are_no_file_s_fault(tmp_path: Path) -> None:
    (path,) = write(tmp_path, 1)
    with pool_of(tmp_path, 1, memory_mib="many") as pool:  # type: ignore[arg-type]
        submit(pool, path)
        with pytest.raises(RagchatError, match="did not start"):
            drain(pool)


def test_as_many_children_as_cores_but_no_more_than_four() -> None:
    assert 1 <= default_readers() <= min(4, os.cpu_count() or 1)
