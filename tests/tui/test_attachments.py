"""What is attached belongs to the draft of its chat, and comes back with the question that it was sent with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ragchat.session.sources import pinned_name
from ragchat.tui.app import RagchatApp
from ragchat.tui.widgets.attachments import brought_again
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def note(stage: Stage, name: str = "note.txt") -> Path:
    file = stage.folder / name
    file.write_text("The notice period is ninety days.")
    return file


def labels(app: RagchatApp) -> list[str]:
    return [chip.label for chip in app.chat.pane.attachments.chips]


async def attach(app: RagchatApp, pilot: Pilot[None], file: Path) -> None:
    app.chat.pane.prompt.put(f"/attach {file}")
    await pilot.press("enter")
    await until(pilot, lambda: file.name in labels(app))


def cite_the_file(stage: Stage, file: Path) -> None:
    """Answers cite a passage of a file that was attached, as `session.attachment` makes it."""
    (first, *_) = stage.script.citations
    stage.script.citations = (replace(first, hit=replace(first.hit, path=str(file), knowledge_base="")),)


async def test_a_new_chat_starts_clean_and_the_old_one_keeps_what_is_attached(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await ask(app, pilot, "First?")
        first = pane.conversation_id
        await attach(app, pilot, note(stage))
        pane.prompt.put("half a thought")
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not pane.transcript.views)
        assert labels(app) == []
        await attach(app, pilot, note(stage, "other.txt"))
        app.chat.open_chat(first)
        await until(pilot, lambda: pane.prompt.text == "half a thought")
        assert labels(app) == ["note.txt"]
        app.chat.open_chat(0)
        await until(pilot, lambda: labels(app) == ["other.txt"])


async def test_a_file_that_is_read_while_another_chat_is_open_is_there_later(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await ask(app, pilot, "First?")
        first = pane.conversation_id
        stage.read_gate.clear()
        await attach(app, pilot, note(stage))
        pane.prompt.put("What is in it?")
        await pilot.press("enter", "ctrl+n")
        await until(pilot, lambda: not pane.transcript.views)
        stage.read_gate.set()
        await pilot.pause(0.2)
        assert stage.script.questions == ["First?"], "nothing is sent from the chat that is open now"
        app.chat.open_chat(first)
        await until(pilot, lambda: labels(app) == ["note.txt"] and pane.attachments.ready)


async def test_a_question_that_is_edited_brings_its_file_back(stage: Stage) -> None:
    file = note(stage)
    cite_the_file(stage, file)
    async with running(stage) as (app, pilot):
        pane = app.chat.pane
        await attach(app, pilot, file)
        await ask(app, pilot, "How long?")
        await attach(app, pilot, note(stage, "next.txt"))
        pane.prompt.put("half a thought")
        pane.transcript.focus()
        await pilot.press("g", "e")
        await until(pilot, lambda: labels(app) == ["note.txt"] and pane.attachments.ready)
        await pilot.press("escape")
        await until(pilot, lambda: pane.prompt.text == "half a thought")
        assert labels(app) == ["next.txt"], "what was attached before the editing"
        pane.transcript.focus()
        await pilot.press("g", "e")
        await until(pilot, lambda: labels(app) == ["note.txt"] and pane.attachments.ready)
        await pilot.press("end", "!", "enter")
        await until(pilot, lambda: len(stage.script.files) == 2 and pane.live is None)
        assert [attached.name for attached in stage.script.files[1]] == ["note.txt"]
        assert labels(app) == ["next.txt"]


async def test_what_cannot_be_found_again_is_named(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await attach(app, pilot, note(stage))
        await ask(app, pilot, "How long?")  # nothing of the file was cited
        app.chat.pane.transcript.focus()
        await pilot.press("g", "e")
        await until(pilot, lambda: "Not attached again: note.txt" in screen_text(app))
        assert labels(app) == []


async def test_a_file_that_is_gone_is_named(stage: Stage) -> None:
    file = note(stage)
    cite_the_file(stage, file)
    async with running(stage) as (app, pilot):
        await attach(app, pilot, file)
        await ask(app, pilot, "How long?")
        file.unlink()
        app.chat.pane.transcript.focus()
        await pilot.press("g", "e")
        await until(pilot, lambda: "There is no file" in screen_text(app))
        assert labels(app) == []


def test_pinned_passages_are_found_by_file_and_place(stage: Stage) -> None:
    hit = stage.script.citations[0].hit
    chips, lost = brought_again([pinned_name(hit), "gone.txt"], [hit])
    assert [chip.hit for chip in chips] == [hit]
    assert lost == ("gone.txt",)
