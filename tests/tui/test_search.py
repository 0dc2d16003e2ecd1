"""The search screen, and what goes from it and from files into the next question."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.app import RagchatApp
from ragchat.tui.latest_value import LatestValue
from ragchat.tui.screens.choose import KnowledgePicker
from ragchat.tui.screens.document import DocumentScreen
from ragchat.tui.screens.search import SearchScreen
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.prompt import attach_command
from tests.helpers.tui_fakes import Stage, add_document, ask, running, screen_text, set_stage, until

NEEDLE = "The quince by the harbour wall was planted in 1907."


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    path = tmp_path / "documents" / "trees.md"
    path.write_text(f"# Trees\n\nApples grow behind the house.\n\n{NEEDLE}\n\nPears stand beside it.\n")
    with KnowledgeStore.open(tmp_path / "kb", "guide") as store:
        add_document(store, path, path.read_text())
    return stage


def found(app: RagchatApp) -> SearchScreen | None:
    """The search screen when the list shows what the query of this moment found."""
    screen = app.screen
    if (
        isinstance(screen, SearchScreen)
        and screen._found
        and screen._found.query == screen.query_text.strip()
    ):
        return screen
    return None


def has_hit(app: RagchatApp) -> bool:
    screen = found(app)
    return screen is not None and screen.highlighted is not None


def query_of(app: RagchatApp) -> str:
    assert isinstance(app.screen, SearchScreen)
    return app.screen.query_text


def test_the_newest_wish_wins_and_nobody_waits_in_a_queue() -> None:
    requests: LatestValue[str] = LatestValue()
    for word in ("b", "bo", "boi"):
        requests.put("search", word)
    requests.put("preview", "hit")
    assert [requests.take(), requests.take()] == ["boi", "hit"]
    taken: list[str | None] = []
    waiting = threading.Thread(target=lambda: taken.append(requests.take()))
    waiting.start()
    requests.close()
    waiting.join(10)
    assert taken == [None]


async def test_results_come_as_one_types_with_their_words_marked(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "Type what to search for." in screen_text(app))
        await pilot.press(*"quince harb")
        await until(pilot, lambda: found(app) and "1 trees.md · line 5" in screen_text(app))
        screen = found(app)
        assert screen
        assert screen._found
        (first, *_) = screen._found.hits
        assert [first.evidence[a:b] for a, b in first.matches] == ["quince", "harbour"]
        text = screen.query_one(DocumentText)
        await until(pilot, lambda: text.rows is not None and "beside it" in screen_text(app))
        marked = [text.text[a:b] for a, b, name in text._marks if name == "word"]
        assert marked == ["quince", "harbour"]
        assert "passage" in screen_text(app)
        assert " ms" in screen_text(app)


async def test_a_keystroke_never_waits_for_a_search(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragchat.retrieval.search import Searcher

    gate, asked, real = threading.Event(), [], Searcher.search

    def slow(self: Searcher, query: str, *rest: object, **more: object) -> object:
        asked.append(query)
        gate.wait(20)
        return real(self, query, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Searcher, "search", slow)
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f")
        await pilot.press("p")
        await until(pilot, lambda: asked == ["p"])
        await pilot.press(*"ears")
        assert "│  pears" in screen_text(app)
        assert asked == ["p"]
        gate.set()
        await until(pilot, lambda: found(app) and "trees.md" in screen_text(app))
        assert asked == ["p", "pears"]


async def test_what_to_do_where_there_is_nothing(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f")
        await pilot.press(*"zyzzyva quuxly ")
        await until(
            pilot, lambda: "No document contains “zyzzyva”, “quuxly”" in screen_text(app) and found(app)
        )
        await pilot.press(*"quince")
        await until(pilot, lambda: "not in these: “zyzzyva”, “quuxly”" in screen_text(app))
        await pilot.press("f3")
        await until(
            pilot, lambda: isinstance(app.screen, KnowledgePicker) and "plain chat" in screen_text(app)
        )
        await pilot.press("up", "enter")
        await until(pilot, lambda: "There are no documents to search." in screen_text(app))
        await pilot.press("f4")
        await until(pilot, lambda: "Tab completes a path" in screen_text(app))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is app.chat)
        assert "no documents" in screen_text(app)


async def test_enter_opens_the_document_and_ctrl_y_copies_the_citation(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince")
        await until(pilot, lambda: has_hit(app))
        await pilot.press("ctrl+y")
        assert app.clipboard.startswith(NEEDLE)
        assert app.clipboard.endswith("trees.md, line 5")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen) and NEEDLE in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: found(app))
        await pilot.press("escape", "ctrl+f")
        await until(pilot, lambda: has_hit(app) and query_of(app) == "quince")
        await pilot.press(*"pears")
        assert query_of(app) == "pears"


async def test_ask_about_this_pins_the_passage_to_the_next_question_only(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince")
        await until(pilot, lambda: has_hit(app))
        await pilot.press("ctrl+t")
        await until(pilot, lambda: app.screen is app.chat and "§ trees.md, line 5" in screen_text(app))
        assert app.focused is app.chat.pane.prompt
        await ask(app, pilot, "How old is it?")
        (pinned,) = stage.script.pinned[0]
        assert NEEDLE in pinned.text
        await until(pilot, lambda: "(attached: trees.md, line 5)" in screen_text(app))
        await ask(app, pilot, "And the pears?")
        assert stage.script.pinned[1] == ()


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36), (30, 8), (1, 1)])
async def test_the_search_screen_at_every_size(stage: Stage, size: tuple[int, int]) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince")
        await until(pilot, lambda: has_hit(app))
        await pilot.resize_terminal(*size)
        await pilot.pause()
        lines = screen_text(app).splitlines()
        assert len(lines) <= size[1]
        assert all(len(line) <= size[0] for line in lines)
        if size[0] >= 60:
            await until(pilot, lambda: "planted in 1907" in screen_text(app) and "Open" in screen_text(app))


async def test_foreign_text_in_results_stays_text(stage: Stage) -> None:
    path = stage.folder / "documents" / "[bold]evil[@click=app.quit] \x1b[31m.md"
    text = "Marmalade [@click=app.quit]press[/] [/nothing] \x1b]52;c;aGk=\x07 and so on."
    path.write_text(text)
    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        add_document(store, path, text)
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"marmalade")
        await until(pilot, lambda: "Marmalade [@click=app.quit]press[/] [/nothing]" in screen_text(app))
        assert "\x1b" not in screen_text(app)


# --- attaching files ------------------------------------------------------------------------------------


def test_what_is_an_attach_command() -> None:
    assert attach_command("/attach a b.txt") == ("a b.txt", "")
    assert attach_command("/attach x\nWhy?\nHow?") == ("x", "Why?\nHow?")
    assert attach_command("/attach") == ("", "")
    for text in ("/attachment x", "what is /attach x", "/etc/passwd", ""):
        assert attach_command(text) is None


async def test_a_file_is_attached_to_one_question(stage: Stage) -> None:
    (stage.folder / "papers").mkdir()
    file = stage.folder / "papers" / "contract one.txt"
    file.write_text("The notice period is ninety days.")
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.put("How long?")
        await pilot.press("ctrl+t")
        prompt = app.chat.pane.prompt
        assert prompt.text == "/attach \nHow long?"
        await pilot.press(*f"{stage.folder}/pap", "tab", *"con", "tab")
        assert prompt.text == f"/attach {file}\nHow long?"
        stage.read_gate.clear()
        await pilot.press("enter")
        await until(pilot, lambda: "+ contract one.txt reading…" in screen_text(app))
        assert prompt.text == "How long?"
        await pilot.press("enter")
        await until(pilot, lambda: "still reading the file" in screen_text(app))
        assert stage.script.questions == []
        stage.read_gate.set()
        await until(pilot, lambda: stage.script.questions == ["How long?"] and app.chat.pane.live is None)
        ((attached,),) = stage.script.files
        assert attached.content.text == "The notice period is ninety days."
        assert app.chat.pane.attachments.chips == ()
        await until(pilot, lambda: "(attached: contract one.txt)" in screen_text(app))


async def test_what_is_attached_can_be_taken_off(stage: Stage) -> None:
    file = stage.folder / "note.txt"
    file.write_text("Nothing much.")
    async with running(stage) as (app, pilot):
        bar = app.chat.pane.attachments
        app.chat.pane.prompt.put(f"/attach {file}")
        await pilot.press("enter")
        await until(pilot, lambda: bar.chips and bar.ready)
        await pilot.press("a", "backspace")
        assert bar.chips
        await pilot.press("backspace")
        await until(pilot, lambda: not bar.chips and not bar.display)


async def test_what_cannot_be_attached_is_said(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.chat.pane.prompt.put("/attach /nowhere/at/all.txt")
        await pilot.press("enter")
        await until(pilot, lambda: "/nowhere/at/all.txt does not exist" in screen_text(app))
        assert app.chat.pane.attachments.chips == ()
        app.chat.pane.prompt.put("/attach")
        await pilot.press("enter")
        await until(pilot, lambda: "Tab completes it" in screen_text(app))
        assert stage.script.questions == []


async def test_a_question_that_fails_gives_its_attachment_back(stage: Stage) -> None:
    from ragchat.errors import ModelError

    file = stage.folder / "note.txt"
    file.write_text("Nothing much.")
    stage.script.fail_before = ModelError("No.")
    async with running(stage) as (app, pilot):
        bar = app.chat.pane.attachments
        app.chat.pane.prompt.put(f"/attach {file}")
        await pilot.press("enter")
        await until(pilot, lambda: bar.chips and bar.ready)
        app.chat.pane.prompt.put("What is in it?")
        await pilot.press("enter")
        await until(pilot, lambda: "No." in screen_text(app) and app.chat.pane.live is None)
        assert app.chat.pane.prompt.text == "What is in it?"
        assert [chip.label for chip in bar.chips] == ["note.txt"]
