"""The knowledge base screen, watching, the quiet sync at the start, and citations whose source has changed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from ragchat.errors import RagchatError
from ragchat.ingest.rows import RowsFinished
from ragchat.ingest.source import hash_file
from ragchat.ingest.sync import IngestOptions, SyncFinished, SyncProgress, sync
from ragchat.retrieval import index
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.tui import tasks
from ragchat.tui.app import RagchatApp
from ragchat.tui.safe_content import cut_front
from ragchat.tui.screens.confirm import Confirm
from ragchat.tui.screens.document import DocumentScreen
from ragchat.tui.screens.knowledge import KnowledgeScreen
from ragchat.tui.sentences import ago
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.file_list import FileList
from ragchat.types import CancelToken, ChunkDraft, KnowledgeBaseOptions, Span
from tests.helpers.tui_fakes import (
    WAIT_S,
    Stage,
    act,
    ask,
    make_citation,
    running,
    screen_text,
    set_stage,
    until,
)


def real_sync(stage: Stage) -> None:
    """The stage's knowledge bases are synced by the real thing."""

    def run(
        name: str, add: Sequence[Path], cancel: CancelToken
    ) -> Iterator[SyncProgress | RowsFinished | SyncFinished]:
        with KnowledgeStore.create(stage.folder / "kb", name) as store:
            yield from sync(store, IngestOptions(stage.folder / "extraction.log"), cancel=cancel, add=add)

    act(stage.services.documents, sync=run)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A knowledge base `papers` of real files beside the fakes' own."""
    stage = set_stage(tmp_path)
    real_sync(stage)
    folder = tmp_path / "papers"
    (folder / "deep").mkdir(parents=True)
    (folder / "bees.md").write_text("# Bees\n\nVarroa treatment begins in August.\n")
    (folder / "deep" / "trees.md").write_text("# Trees\n\nThe quince is never pruned.\n")
    (folder / "empty.txt").write_text("")
    for _ in stage.services.documents.sync("papers", [folder], CancelToken()):
        pass
    return stage


async def open_papers(app: RagchatApp, pilot: object) -> KnowledgeScreen:
    await pilot.press("f5")  # type: ignore[attr-defined]
    await until(pilot, lambda: isinstance(app.screen, KnowledgeScreen) and "papers" in screen_text(app))  # type: ignore[arg-type]
    await pilot.press("down", "down")  # type: ignore[attr-defined]
    await until(pilot, lambda: "bees.md" in screen_text(app))  # type: ignore[arg-type]
    assert isinstance(app.screen, KnowledgeScreen)
    return app.screen


async def test_files_with_their_states_and_reasons(stage: Stage) -> None:
    with KnowledgeStore.open(stage.folder / "kb", "papers") as store:
        store.set_options(KnowledgeBaseOptions(exclude=("*.tmp",), follow_links=True))
    (stage.folder / "papers" / "bees.md").write_text("other")
    async with running(stage) as (app, pilot):
        await open_papers(app, pilot)
        shown = screen_text(app)
        assert "3 = 2 indexed + 1 skipped + 0 failed" in shown
        assert str(stage.folder / "papers") in shown.replace("\n", "")
        assert "not *.tmp · links are followed" in shown
        assert "just now · not watched" in shown
        assert "all files · 3 · 1 changed and 0 gone since the sync" in shown
        assert "changed since the last sync" in shown
        await pilot.press("f")
        await until(pilot, lambda: "not indexed · 1" in screen_text(app))
        assert "empty.txt" in screen_text(app)
        assert "trees.md" not in screen_text(app)
        await pilot.press("f", "f", "f", "f", "f", "slash", *"deep")
        await until(pilot, lambda: "all files with “deep” · 1" in screen_text(app))
        await pilot.press("enter", "enter")
        await until(
            pilot, lambda: isinstance(app.screen, DocumentScreen) and "never pruned" in screen_text(app)
        )
        await pilot.press("escape", "escape")
        await until(pilot, lambda: "all files · 3" in screen_text(app))


async def test_a_sync_from_the_list_brings_the_counts_up_to_date(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await open_papers(app, pilot)
        (stage.folder / "papers" / "new.md").write_text("Fresh.")
        await pilot.press("s")
        await until(
            pilot, lambda: "4 = 3 indexed + 1 skipped" in screen_text(app) and "new.md" in screen_text(app)
        )


async def test_forgetting_and_removing_ask_first(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        screen = await open_papers(app, pilot)
        screen.files.focus()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Confirm) and "Remove" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is screen)
        assert "bees.md" in screen_text(app)
        await pilot.press("d", "down", "enter")
        await until(pilot, lambda: "2 = 1 indexed + 1 skipped" in screen_text(app))
        assert (stage.folder / "papers" / "bees.md").exists()
        screen.options.focus()
        await pilot.press("d", "down", "enter")
        await until(pilot, lambda: not (stage.folder / "kb" / "papers.db").exists())
        await until(pilot, lambda: "papers" not in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat and "guide" in screen_text(app))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36), (24, 6), (1, 1)])
async def test_the_screen_at_every_size(stage: Stage, size: tuple[int, int]) -> None:
    async with running(stage) as (app, pilot):
        await open_papers(app, pilot)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        lines = screen_text(app).splitlines()
        assert len(lines) <= size[1]
        assert all(len(line) <= size[0] for line in lines)
        if size[0] >= 60:
            assert "bees.md" in screen_text(app)
            assert "2 indexed" in screen_text(app)


async def test_a_hundred_thousand_files_are_shown_and_filtered(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        screen = await open_papers(app, pilot)
        assert screen._status
        one = screen._status.documents[0]
        many = tuple(
            replace(one, id=n, path=f"/mnt/{n // 1000:03}/file-{n:06}.md", state="indexed")
            for n in range(100_000)
        )
        screen._status = replace(screen._status, documents=many)
        screen._show_files()
        files = screen.query_one(FileList)
        files.focus()
        await pilot.press("G")
        await until(pilot, lambda: "099/file-099999.md" in screen_text(app))
        assert files.cursor == 99_999
        await pilot.press("g")
        await until(pilot, lambda: "000/file-000000.md" in screen_text(app))


# --- watching -------------------------------------------------------------------------------------------


async def test_watching_is_switched_on_kept_and_off(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await open_papers(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: stage.watching == ["papers"] and stage.watched == ("papers",))
        await until(pilot, lambda: "watched: changes are indexed" in screen_text(app))
        new = stage.folder / "late.md"
        new.write_text("Late.")
        stage.watch_changes.put(new)
        await until(pilot, lambda: "4 = 3 indexed" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "watching" in screen_text(app).splitlines()[-2])
    deadline = time.monotonic() + WAIT_S
    while stage.watching and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert stage.watching == [], "the thread ends with the app"
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: stage.watching == ["papers"])
        await open_papers(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: stage.watching == [] and stage.watched == ())
        await until(pilot, lambda: "not watched" in screen_text(app))


async def test_a_watch_gives_way_to_a_sync_and_goes_on(stage: Stage) -> None:
    stage.watched = ("papers",)
    during: list[list[str]] = []
    real = stage.services.documents.sync

    def run(
        name: str, add: Sequence[Path], cancel: CancelToken
    ) -> Iterator[SyncProgress | RowsFinished | SyncFinished]:
        during.append(list(stage.watching))
        yield from real(name, add, cancel)

    act(stage.services.documents, sync=run)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: stage.watching == ["papers"])
        app.start_sync("papers", [])
        await until(pilot, lambda: not app.jobs["sync"].running and stage.watching == ["papers"])
        assert during == [[]]


async def test_a_watch_that_cannot_be_is_said(stage: Stage) -> None:
    def refuse(name: str, cancel: CancelToken) -> Iterator[object]:
        if name:
            raise RagchatError("Another ragchat process already watches papers.")
        yield name

    act(stage.services.documents, watch=refuse)
    async with running(stage) as (app, pilot):
        await open_papers(app, pilot)
        await pilot.press("w")
        await until(pilot, lambda: any("Another ragchat" in said.message for said in app._notifications))
        assert app.chat.upkeep.watching == frozenset()


# --- the sync at the start ------------------------------------------------------------------------------


async def test_a_quiet_sync_at_the_start_says_only_what_changed(stage: Stage) -> None:
    (stage.folder / "papers" / "new.md").write_text("Fresh.")
    stage.sync_at_start = True
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: "papers: 1 document more than last time." in screen_text(app))
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: not any(w.is_running for w in app.workers if w.group == "upkeep"))
        await ask(app, pilot, "Why?")
        assert "than last time" not in screen_text(app)


async def test_roots_that_cannot_be_reached_are_left_alone(stage: Stage) -> None:
    (stage.folder / "papers").rename(stage.folder / "unplugged")
    stage.sync_at_start = True
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: not any(w.is_running for w in app.workers if w.group == "upkeep"))
        await pilot.pause()
    with KnowledgeStore.open(stage.folder / "kb", "papers") as store:
        assert store.status().indexed == 2


# --- citations whose source has changed -----------------------------------------------------------------


async def test_a_source_that_changed_since_says_so_and_shows_what_was_cited(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        path = Path(stage.script.citations[0].hit.path)
        with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
            record = FileRecord(str(path), 9, 9, content_hash="another", source_lines=True)
            index.write_document(store, record, [ChunkDraft("All is new here.", "", Span(0, 16, 1, 1))])
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(
            pilot,
            lambda: (
                isinstance(app.screen, DocumentScreen)
                and app.screen.query_one(DocumentText).rows is not None
                and "changed since this was cited" in " ".join(screen_text(app).split())
            ),
        )
        assert "“Below 1 bar it switches itself off.”" in screen_text(app)
        assert "All is new here." in screen_text(app)


def test_an_attached_file_that_changed_since_says_so(stage: Stage) -> None:
    file = stage.folder / "contract.txt"
    file.write_text("Ninety days.")
    citation = make_citation(1, path=str(file), text="Ninety days.")
    hit = replace(citation.hit, knowledge_base="", content_hash=hash_file(file)[0])
    notes = tasks.open_document(stage.services, replace(citation, hit=hit)).notes
    assert "attached to the question" in notes[0]
    assert len(notes) == 1
    file.write_text("Sixty days.")
    opened = tasks.open_document(stage.services, replace(citation, hit=hit))
    assert any("changed since this was cited" in note for note in opened.notes)
    assert opened.text == "Ninety days."


# --- parts ----------------------------------------------------------------------------------------------


def test_how_long_ago() -> None:
    now = datetime(2026, 5, 4, 12, tzinfo=UTC)
    for passed, said in (
        (5, "just now"),
        (61, "1 minute ago"),
        (7300, "2 hours ago"),
        (200_000, "2 days ago"),
    ):
        assert ago((now - timedelta(seconds=passed)).isoformat(), now) == said
    assert ago("") == "never completely"


def test_cutting_the_front_of_a_path() -> None:
    assert cut_front("/a/b/c.txt", 20) == "/a/b/c.txt"
    for text in ("/home/user/documents/report.txt", "/家/文档/报告.txt"):
        for cells in range(1, 24):
            cut = cut_front(text, cells)
            assert text.endswith(cut.removeprefix("…"))
            assert cell_len(cut) <= cells
    assert cut_front("/home/user/report.txt", 11) == "…report.txt"
