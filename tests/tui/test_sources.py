"""From an answer to its sources, from a source to the document and to the editor."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from textual.content import Content
from textual.widgets import Static

from ragchat.retrieval import index
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui import tasks
from ragchat.tui.app import RagchatApp
from ragchat.tui.screens.document import DocumentScreen
from ragchat.tui.screens.link import LinkScreen, is_web_address
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.message import AnswerView, QuestionView
from ragchat.tui.widgets.transcript import Transcript
from tests.helpers.tui_fakes import (
    GUIDE,
    PRESSURE,
    Stage,
    add_document,
    ask,
    make_citation,
    running,
    screen_text,
    set_stage,
    until,
)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def document_shown(app: RagchatApp) -> bool:
    return isinstance(app.screen, DocumentScreen) and app.screen.query_one(DocumentText).rows is not None


async def test_sources_of_the_selected_answer(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        assert "Nothing to show yet." in screen_text(app)
        await ask(app, pilot, "Why?")
        await until(pilot, lambda: "Sources · 2" in screen_text(app))
        used, unused = app.chat.sources.views
        assert used.has_class("used")
        assert unused.has_class("unused")
        assert "[1] guide.md · line 66" in screen_text(app)
        assert "Boiler guide > Pressure" in screen_text(app)
        assert str(unused.query_one(".origin", Static).content) == "[2] guide.md · line 6 · guide · not cited"
        content = cast(Content, used.query_one(".passage", Static).visual)
        (span,) = content.spans
        assert content.plain[span.start : span.end] == "Below 1 bar it switches itself off."


async def test_sources_follow_the_selection(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "With?")
        stage.script.citations = ()
        await ask(app, pilot, "Without?")
        await until(pilot, lambda: "used no passages" in screen_text(app))
        app.chat.pane.transcript.focus()
        await pilot.press("k", "k")
        await until(pilot, lambda: "Sources · 2" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "used no passages" in screen_text(app))
        await pilot.press("k", "k")  # a question stands for its answer
        assert isinstance(app.chat.pane.transcript.selected, QuestionView)
        await until(pilot, lambda: "Sources · 2" in screen_text(app))


async def test_stored_sources_come_back(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        number = app.chat.pane.conversation_id
    async with running(stage) as (app, pilot):
        app.chat.pane.open(number)
        await until(pilot, lambda: "Sources · 2" in screen_text(app) and "1 source" in screen_text(app))


async def test_digits_jump_and_enter_opens_at_the_passage(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.pane.transcript.focus()
        await pilot.press("9")
        assert app.chat.pane.transcript.has_focus
        await pilot.press("2")
        assert app.chat.sources.has_focus
        assert app.chat.sources.selected is not None
        assert app.chat.sources.selected.citation.n == 2
        await pilot.press("1", "enter")
        await until(pilot, lambda: document_shown(app) and "The boiler wants" in screen_text(app))
        text = app.screen.query_one(DocumentText)
        shown = {name: text.text[first:last] for first, last, name in text._marks}
        assert shown == {"passage": PRESSURE, "evidence": "Below 1 bar it switches itself off."}
        assert "guide.md" in screen_text(app)
        assert "line 66" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
        assert app.focused is app.chat.sources


async def test_searching_and_moving_in_a_document(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(pilot, lambda: document_shown(app) and "The boiler wants" in screen_text(app))
        text = app.screen.query_one(DocumentText)
        await pilot.press("g")
        await until(pilot, lambda: text.scroll_offset.y == 0)
        await pilot.press("slash", *"YEARLY", "enter")
        await until(pilot, lambda: "paragraph 0, the guide" in screen_text(app))
        at = text.scroll_offset.y
        await pilot.press("n")
        await until(pilot, lambda: text.scroll_offset.y == at + 1)
        await pilot.press("N")
        await until(pilot, lambda: text.scroll_offset.y == at)
        await pilot.press("G")
        await until(pilot, lambda: "paragraph 59" in screen_text(app))
        await pilot.press("p")
        await until(pilot, lambda: "The boiler wants" in screen_text(app))
        await pilot.press("slash", *"nowhere to be found", "enter")
        await until(pilot, lambda: "Not found." in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: app.screen is app.chat)


async def test_a_changed_file_is_said(stage: Stage) -> None:
    (stage.folder / "documents" / "guide.md").write_text("something else")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "changed since it was indexed" in screen_text(app))
        assert "The boiler wants" in screen_text(app)


async def test_a_document_that_left_the_index_shows_the_stored_passage(stage: Stage) -> None:
    stage.script.citations = (
        replace(
            stage.script.citations[0],
            hit=replace(stage.script.citations[0].hit, path="/gone.md", content_hash="gone"),
        ),
    )
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(
            pilot,
            lambda: "no longer in the index" in screen_text(app) and "The boiler wants" in screen_text(app),
        )


def test_a_missing_file_and_a_newer_index_are_said(stage: Stage) -> None:
    citation = stage.script.citations[0]
    Path(citation.hit.path).unlink()
    opened = tasks.open_document(
        stage.services, replace(citation, hit=replace(citation.hit, content_hash="old"))
    )
    assert any("no longer exists" in note for note in opened.notes)
    assert any("changed since this was cited" in note for note in opened.notes)


@pytest.mark.parametrize(
    ("now", "found", "said"),
    [
        (
            "Heating.\n\nNew: the pump runs at night. Gauges are read daily.\n\nEnd.",
            "the pump runs at night.",
            "",
        ),
        (
            "Heating.\n\nThe pump no longer runs at night but by day.\n\nEnd.",
            "The pump no longer",
            "most similar",
        ),
        ("Heating.\n\nGauges are read daily.\n\nEnd.", "", "no longer in this text"),
    ],
)
def test_what_was_cited_is_looked_for_in_a_newer_text(stage: Stage, now: str, found: str, said: str) -> None:
    path = stage.folder / "documents" / "pump.md"
    text = "In summer the pump runs at night. In winter the pump rests."
    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        number = add_document(store, path, text)
        add_document(store, path.with_name("later.md"), "Whose number comes next.")
        path.write_text(now, "utf-8")
        assert add_document(store, path, now) != number
    citation = make_citation(1, document_id=number, path=str(path), text=text)
    cited = replace(citation, quote="the pump runs at night.", hit=replace(citation.hit, content_hash="old"))
    opened = tasks.open_document(stage.services, cited)
    assert (opened.passage is not None) == bool(found)
    if opened.passage:
        assert opened.text[opened.passage[0] :].startswith(found)
        assert opened.evidence == opened.passage
    assert said in " ".join(opened.notes)
    assert opened.quote == (cited.quote if said else "")


def test_what_was_cited_is_found_after_a_renaming(stage: Stage) -> None:
    citation = stage.script.citations[0]
    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        document = store.document(citation.hit.document_id)
        hit = replace(citation.hit, content_hash=document.content_hash)
        index.rename_document(store, document.id, "/elsewhere/other.md", document.size, document.mtime_ns)
    opened = tasks.open_document(stage.services, replace(citation, hit=hit))
    assert opened.document is not None
    assert opened.document.path == "/elsewhere/other.md"
    assert opened.passage is not None


async def test_the_editor_opens_at_the_evidence(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    log = stage.folder / "editor.log"
    editor = stage.folder / "vim"
    editor.write_text(f'#!/bin/sh\nfor a in "$@"; do echo "$a"; done > {log}\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setattr(RagchatApp, "suspend", lambda self: __import__("contextlib").nullcontext())
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("e")
        await until(pilot, log.exists)
        assert log.read_text().splitlines() == ["+66", stage.script.citations[0].hit.path]


async def test_a_terminal_that_cannot_be_lent_is_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "true")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("e")
        await until(pilot, lambda: "cannot run an editor" in screen_text(app))


def test_extracted_text_goes_to_the_editor_read_only(stage: Stage) -> None:
    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        number = add_document(store, Path("/nowhere/report.pdf"), GUIDE, source_lines=False)
    opened = tasks.open_document(
        stage.services, make_citation(1, document_id=number, path="/nowhere/report.pdf")
    )
    for _ in range(2):
        target = tasks.edit_target(stage.services, opened)
        assert target.path == stage.services.paths.scratch_dir / "report.pdf.txt"
        assert target.path.read_text() == opened.text
        assert target.line == 66
        assert "read-only" in target.note
        assert target.path.stat().st_mode & 0o777 == 0o400


async def test_copying_a_passage_takes_its_citation_along(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("y")
        assert app.clipboard == f"{PRESSURE}\n\n[1] {stage.script.citations[0].hit.path}, line 66"


async def test_ten_megabytes_open_at_the_passage_and_stay_responsive(stage: Stage) -> None:
    words = "The quick brown fox jumps over the lazy dog and goes on about its business until evening. "
    text = "\n\n".join([words * 12] * 4700 + [PRESSURE] + [words * 12] * 4700)
    assert len(text) > 10_000_000
    path = stage.folder / "documents" / "big.txt"
    path.write_text("", "utf-8")
    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        number = add_document(store, path, text)
    citation = make_citation(1, document_id=number, path=str(path))
    stage.script.citations = (
        replace(
            citation,
            hit=replace(citation.hit, span=replace(citation.hit.span, char_first=text.index(PRESSURE))),
        ),
    )
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(pilot, lambda: document_shown(app) and "The boiler wants" in screen_text(app))
        slowest = 0.0
        for key in ("G", "g", "pagedown", "j", "p"):
            started = time.perf_counter()
            await pilot.press(key)
            slowest = max(slowest, time.perf_counter() - started)
        assert slowest < 1.0
        await pilot.resize_terminal(70, 24)
        await until(pilot, lambda: "The boiler wants" in screen_text(app))


async def test_a_link_shows_its_address_and_asks(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(RagchatApp, "open_url", lambda self, url, new_tab=True: opened.append(url))
    stage.script.pieces = ["See [here](https://example.org/a?b=1) and [there](ftp://example.org/x)."]
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Link?")
        answer = app.chat.pane.transcript.query_one(AnswerView)
        block = answer
        await app.run_action("link('https://example.org/a?b=1')", block)
        await until(
            pilot,
            lambda: isinstance(app.screen, LinkScreen) and "https://example.org/a?b=1" in screen_text(app),
        )
        assert opened == []
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.chat)
        assert (app.clipboard, opened) == ("https://example.org/a?b=1", [])
        await app.run_action("link('https://example.org/a?b=1')", block)
        await until(pilot, lambda: isinstance(app.screen, LinkScreen))
        await pilot.press("o")
        await until(pilot, lambda: opened == ["https://example.org/a?b=1"])
        app.chat.pane.transcript.focus()
        await pilot.press("o")
        await until(pilot, lambda: "ftp://example.org/x" in screen_text(app))
        await pilot.press("down", "o")
        await until(pilot, lambda: "only http and https" in screen_text(app))
        assert len(opened) == 1


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "javascript:alert(1)", "http://", "https://a\x1b]52", "ftp://x", "//x", ""]
)
def test_addresses_that_are_never_opened(href: str) -> None:
    assert not is_web_address(href)


async def test_enter_on_an_answer_opens_the_sources_of_a_narrow_window(stage: Stage) -> None:
    async with running(stage, size=(70, 24)) as (app, pilot):
        await ask(app, pilot, "Why?")
        assert not app.chat.sources.display
        app.chat.query_one(Transcript).focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.sources.display and app.focused is app.chat.sources)
        assert "[1] guide.md" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: not app.chat.sources.display and app.focused is app.chat.pane.prompt)
