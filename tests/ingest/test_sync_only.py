"""Syncing some paths alone, what a knowledge base takes in, links, moves, and roots that are not mounted."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ragchat.ingest.scan import Skip
from ragchat.ingest.sync import IngestOptions, SyncFinished, SyncProgress, sync
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.store.files import known_files, known_files_below
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, KnowledgeBaseOptions
from tests.ingest.test_sync import (
    check_sums,
    check_whole,
    docs,
    finds,
    options,
    read,
    run,
    states,
    store,
    word_of,
    write,
)

__all__ = ["docs", "options", "read", "store"]
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX file system")


def paths_of(store: KnowledgeStore, top: Path) -> dict[str, str]:
    return {
        Path(d.path).relative_to(top).as_posix(): d.reason or d.state
        for d in store.documents()
        if Path(d.path).is_relative_to(top)
    }


# --- only -------------------------------------------------------------------------------------------------


def test_only_some_paths_are_looked_at(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    run(store, options, docs)
    synced_at = store.status().synced_at
    write(docs, "a.md", "The antelope runs.\n")
    write(docs, "b.txt", "The bison waits.\n")
    write(docs, "new/d.md", "The dormouse wakes.\n")
    (docs / "sub/c.md").unlink()
    read.clear()
    finished = run(store, options, only=[docs / "a.md"])
    assert (read, finished.unchanged, finished.removed) == (["a.md"], 0, 0)
    assert (finds(store, "antelope"), finds(store, "bison"), finds(store, "cormorant")) == (
        ["a.md"],
        [],
        ["c.md"],
    )
    assert store.status().synced_at == synced_at, "nobody has seen everything"
    assert run(store, options, only=[docs / "sub/c.md"]).removed == 1
    assert finds(store, "cormorant") == []
    run(store, options, only=[docs / "new"])
    assert finds(store, "dormouse") == ["d.md"]
    shutil.rmtree(docs / "new")
    run(store, options, only=[docs / "new"])
    assert finds(store, "dormouse") == []
    assert run(store, options).unchanged == 1
    check_whole(store)


def test_only_nothing_is_nothing(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    run(store, options, docs)
    (docs / "a.md").unlink()
    finished = run(store, options, only=[])
    assert (finished.removed, finished.unchanged, finished.status.indexed) == (0, 0, 3)


def test_only_costs_what_it_looks_at(
    docs: Path, store: KnowledgeStore, options: IngestOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        write(docs, f"far/{number}/x.md", f"House {number}.\n")
    run(store, options, docs)
    listed: list[str] = []
    really = os.scandir

    def scandir(path: Any) -> Any:
        listed.append(str(path))
        return really(path)

    monkeypatch.setattr(os, "scandir", scandir)
    write(docs, "far/3/x.md", "House number three.\n")
    run(store, options, only=[docs / "far/3/x.md"])
    assert finds(store, "three") == ["x.md"]
    assert not [path for path in listed if "far" in path]
    assert [file.path for file in known_files_below(store, [str(docs / "far/3")])] == [
        str(docs / "far/3/x.md")
    ]
    assert len(list(known_files(store))) == 23


def test_moved_between_two_of_the_paths(
    docs: Path, store: KnowledgeStore, options: IngestOptions, read: list[str]
) -> None:
    run(store, options, docs)
    ids = {Path(d.path).name: d.id for d in store.documents()}
    (docs / "sub/c.md").rename(docs / "moved.md")
    (docs / "a.md").rename(docs / "sub/a.md")
    read.clear()
    finished = run(store, options, only=[docs / "sub", docs / "moved.md", docs / "a.md"])
    assert (read, finished.removed, finished.unchanged) == ([], 0, 2)
    assert {d.path: d.id for d in store.documents()} == {
        str(docs / "moved.md"): ids["c.md"],
        str(docs / "sub/a.md"): ids["a.md"],
        str(docs / "b.txt"): ids["b.txt"],
    }
    check_whole(store)


def test_a_new_name_is_found(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    run(store, options, docs)
    assert finds(store, "zeppelin") == []
    (docs / "a.md").rename(docs / "zeppelin.md")
    run(store, options)
    assert finds(store, "zeppelin") == ["zeppelin.md"]
    check_whole(store)


def test_gitignore_counts_as_in_a_whole_sync(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    write(docs, ".gitignore", "build/\n*.log\n")
    write(docs, "sub/.gitignore", "!keep.log\n")
    for name in (
        "build/x.md",
        "sub/keep.log",
        "sub/drop.log",
        ".hidden/h.md",
        "node_modules/m.md",
        "sub/deep/e.md",
    ):
        write(docs, name, f"The {name}.\n")
    run(store, options, docs)
    whole = paths_of(store, docs)
    everything = [path for path in docs.rglob("*") if path.is_file()]
    with KnowledgeStore.create(store.path.parent, "single") as single:
        single.add_roots([docs])
        for path in everything:
            run(single, options, only=[path])
        assert paths_of(single, docs) == whole
    write(docs, "sub/.gitignore", "keep.log\ndeep/\n")
    run(store, options, only=[docs / "sub/.gitignore"])
    changed = paths_of(store, docs)
    assert changed["sub/keep.log"] == Skip.IGNORED
    assert "sub/deep/e.md" not in changed


def test_roots_within_the_paths(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    write(docs, "sub/.inner/d.md", "The dormouse wakes.\n")
    run(store, options, docs, docs / "sub/.inner")
    finished = run(store, options, only=[docs / "sub"])
    assert (finished.removed, finished.unchanged) == (0, 2)
    write(docs, "sub/.inner/e.md", "The emu walks.\n")
    run(store, options, only=[docs / "sub/.inner/e.md"])
    assert finds(store, "emu") == ["e.md"]


def test_paths_elsewhere_are_passed_over(
    docs: Path, tmp_path: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    run(store, options, docs)
    write(tmp_path, "elsewhere/d.md", "The dormouse wakes.\n")
    finished = run(
        store, options, only=[tmp_path / "elsewhere/d.md", tmp_path / "docs-2", Path("relative.md")]
    )
    assert (finished.status.indexed, finished.removed) == (3, 0)


@posix_only
def test_a_path_through_a_link(
    docs: Path, tmp_path: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    run(store, options, docs)
    (tmp_path / "door").symlink_to(docs)
    write(docs, "a.md", "The antelope runs.\n")
    run(store, options, only=[tmp_path / "door/a.md"])
    assert finds(store, "antelope") == ["a.md"]


@pytest.mark.hazard
def test_a_burst_of_ten_thousand(tmp_path: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    top = tmp_path / "many"
    for number in range(10_000):
        write(top, f"{number // 500}/doc{number}.md", f"The {word_of(number)} lives in house {number}.\n")
    run(store, options, top)
    shutil.move(top / "7", top / "moved")
    shutil.rmtree(top / "3")
    for number in range(5_000, 5_200):
        write(top, f"{number // 500}/doc{number}.md", f"The {word_of(number)} left house {number}.\n")
    last = None
    paths = [*top.rglob("*"), top / "7", *(top / "3" / f"doc{number}.md" for number in range(1_500, 2_000))]
    for event in sync(store, options, cancel=CancelToken(), only=paths):
        if isinstance(event, SyncProgress) and event.total:
            assert event.indexed + event.skipped + event.failed == event.done <= event.total == 9_500
        last = event
    assert isinstance(last, SyncFinished)
    assert (last.removed, last.unchanged, last.status.indexed) == (500, 9_300, 9_500)
    assert finds(store, word_of(1_700)) == []
    assert finds(store, word_of(3_600)) == ["doc3600.md"]
    check_whole(store)
    assert run(store, options).unchanged == 9_500


# --- settings of the knowledge base -------------------------------------------------------------------------


def test_what_is_included_and_excluded(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    store.set_options(KnowledgeBaseOptions(include=("*.md",), exclude=("sub/",)))
    run(store, options, docs)
    assert states(store) == {"a.md": "indexed", "b.txt": Skip.NOT_INCLUDED}
    store.set_options(KnowledgeBaseOptions(include=("/sub/", "b.*")))
    run(store, options)
    assert states(store) == {"a.md": Skip.NOT_INCLUDED, "b.txt": "indexed", "c.md": "indexed"}
    for path in (docs / "a.md", docs / "b.txt", docs / "sub/c.md"):
        path.touch()
        run(store, options, only=[path])
    assert states(store) == {"a.md": Skip.NOT_INCLUDED, "b.txt": "indexed", "c.md": "indexed"}
    store.set_options(KnowledgeBaseOptions())
    assert run(store, options).status.indexed == 3


def test_a_size_cap(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    store.set_options(KnowledgeBaseOptions(max_file_bytes=20))
    run(store, options, docs)
    assert states(store) == {"a.md": Skip.TOO_LARGE, "b.txt": "indexed", "c.md": Skip.TOO_LARGE}


def test_what_was_forgotten_stays_out(docs: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    run(store, options, docs)
    store.set_options(KnowledgeBaseOptions(forgotten=(str(docs / "a.md"), str(docs / "sub"))))
    assert run(store, options).removed == 2
    assert states(store) == {"b.txt": "indexed"}
    run(store, options, only=[docs / "a.md", docs / "sub/c.md"])
    assert states(store) == {"b.txt": "indexed"}


@posix_only
def test_followed_links(docs: Path, tmp_path: Path, store: KnowledgeStore, options: IngestOptions) -> None:
    outside = tmp_path / "outside"
    for name in ("d.md", "deep/e.md", "deep/.hidden.md"):
        write(outside, name, f"# {name}\n\nThe dormouse of {name}.\n")
    write(tmp_path, "single.md", "The emu walks.\n")
    for link, target in {
        "all": outside, "again": outside, "part": outside / "deep", "file.md": outside / "d.md", "one.md": tmp_path / "single.md",
        "up": tmp_path, "here": docs, "inside.md": docs / "a.md", "proc": Path("/proc/self"), "broken": tmp_path / "none",
        ".secret": tmp_path / "home",
    }.items():  # fmt: skip
        (docs / link).symlink_to(target)
    (outside / "back").symlink_to(docs)
    (outside / "circle").symlink_to(outside)
    run(store, options, docs)
    assert finds(store, "dormouse") == []
    store.set_options(KnowledgeBaseOptions(follow_links=True))
    finished = run(store, options)
    assert sorted(finds(store, "dormouse")) == ["d.md", "e.md"]
    assert finds(store, "emu") == ["single.md"]
    assert finished.status.indexed == 6
    named = paths_of(store, docs)
    assert named["up"] == named["proc"] == named[".secret"] == Skip.LINK_OUTSIDE
    assert named["all"] == named["again"] == named["inside.md"] == named["one.md"] == Skip.LINK_INSIDE
    assert run(store, options).unchanged == finished.status.found
    (docs / "one.md").unlink()
    assert run(store, options).removed == 2, "the link and what it led to"
    check_whole(store)


# --- what is not mounted ------------------------------------------------------------------------------------


@pytest.mark.parametrize("only", [False, True])
def test_an_empty_root_keeps_its_documents(
    docs: Path, tmp_path: Path, store: KnowledgeStore, options: IngestOptions, only: bool
) -> None:
    """As a mount point without its disk."""
    run(store, options, docs)
    docs.rename(tmp_path / "away")
    docs.mkdir()
    look: dict[str, Any] = {"only": [docs]} if only else {}
    finished = run(store, options, **look)
    assert (finished.removed, finished.status.indexed) == (0, 3)
    (note,) = finished.notes
    assert note.startswith(f"{docs} is empty now; its 3 documents were kept.")
    assert finds(store, "cormorant") == ["c.md"]
    docs.rmdir()
    (note,) = run(store, options, **look).notes
    assert "does not exist now" in note
    (tmp_path / "away").rename(docs)
    back = run(store, options, **look)
    assert (back.notes, back.unchanged) == ((), 3)


@pytest.mark.parametrize("is_there", [True, False])
def test_an_empty_root_is_cleared_when_the_person_says_so(
    docs: Path, store: KnowledgeStore, options: IngestOptions, is_there: bool
) -> None:
    run(store, options, docs)
    shutil.rmtree(docs)
    if is_there:
        docs.mkdir()
    finished = run(store, options, prune=True)
    assert (finished.removed, finished.status.indexed, finished.notes) == (3, 0, ())
    assert finds(store, "cormorant") == []


def test_the_last_file_of_a_folder_that_still_holds_others_goes(
    docs: Path, store: KnowledgeStore, options: IngestOptions
) -> None:
    run(store, options, docs / "sub")
    (docs / "sub/c.md").unlink()
    write(docs, "sub/.keep", "")
    finished = run(store, options)
    assert (finished.removed, finished.notes) == (1, ())


# --- readers beside the writer --------------------------------------------------------------------------------


def test_a_reader_never_waits_and_never_sees_half_a_document(
    tmp_path: Path, store: KnowledgeStore, options: IngestOptions, paths: Paths
) -> None:
    top = tmp_path / "many"
    for number in range(150):
        sections = (f"## Part {part}\n\n" + f"The {word_of(number)} sleeps. " * 60 for part in range(5))
        write(top, f"doc{number}.md", f"# Note {number}\n\n" + "\n\n".join(sections))
    with KnowledgeStore.create(paths.kb_dir, "kb") as reader:
        seen = 0
        for _ in sync(store, options, cancel=CancelToken(), add=[top]):
            with reader.reading():
                for document in reader.documents()[-3:]:
                    if document.state == "indexed":
                        seen += 1
                        assert len(reader.indexed_as(document.id)[2]) == document.chunk_count > 1
            result = Searcher([reader]).search(word_of(7), 100)
            assert len(result.hits) == 0 or {hit.document_id for hit in result.hits} == {
                result.hits[0].document_id
            }
    assert seen > 0
    check_sums(store)
