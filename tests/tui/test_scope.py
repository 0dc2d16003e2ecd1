"""The search screen: where to search, said in the query, and why a passage is where it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ragchat.retrieval.explanation import Explanation, Part, PartName, WordWeight
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui import searching
from ragchat.tui.screens.dialog import Line
from ragchat.tui.screens.search import SearchScreen
from ragchat.tui.searching import begun_operator, suggest
from ragchat.tui.shown import Found, ScopeNames
from tests.helpers.tui_fakes import Stage, add_document, running, screen_text, set_stage, until
from tests.tui.test_search import found, has_hit


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    for name, text in (
        ("orchard/trees.md", "The quince by the harbour wall was planted in 1907."),
        ("kitchen/jelly.md", "Boil the quince with sugar until it sets."),
    ):
        path = tmp_path / "documents" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"# Notes\n\n{text}\n")
        with KnowledgeStore.open(tmp_path / "kb", "guide") as store:
            add_document(store, path, path.read_text())
    return stage


NAMES = ScopeNames(["orchard", "old notes", "Kitchen"], ["trees.md", "two words.md"], ["guide"])


@pytest.mark.parametrize(
    ("query", "suggested"),
    [
        ("quince in:or", "quince in:orchard"),
        ("in:", "in:orchard"),
        ("in:kit", "in:kitchen"),
        ('in:"old', 'in:"old notes"'),
        ("x file:t", "x file:trees.md"),
        ("x kb:g", "x kb:guide"),
        ("x in:orchard", None),
        ("x in:zz", None),
        ("x built-in:or", None),
        ("x in:or ", None),
        ("after:20", None),
        ("", None),
    ],
)
def test_what_completes_an_operator(query: str, suggested: str | None) -> None:
    assert suggest(query, NAMES) == suggested
    assert begun_operator("in:or") == ("in", "or")


async def test_a_query_says_where_to_search(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince")
        await until(pilot, lambda: has_hit(app) and "jelly.md" in screen_text(app))
        await pilot.press(*" in:orchard")
        await until(pilot, lambda: found(app) and "jelly.md" not in screen_text(app))
        assert "trees.md" in screen_text(app)
        assert "in orchard" in screen_text(app)
        await pilot.press(*"x")
        await until(
            pilot, lambda: "No folder in the knowledge base guide is named “orchardx”." in screen_text(app)
        )
        await pilot.press("backspace", *' "quince wall"')
        await until(pilot, lambda: "No passage contains “quince wall” word for word." in screen_text(app))


async def test_a_scope_without_words_asks_for_them(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f")
        await until(pilot, lambda: "in:FOLDER, file:NAME" in screen_text(app))
        await pilot.press(*"in:orchard")
        await until(
            pilot,
            lambda: "Add words to search for. The query contains only search filters." in screen_text(app),
        )


async def test_folders_are_completed(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince in:orc")
        screen = app.screen
        assert isinstance(screen, SearchScreen)
        await until(pilot, lambda: screen._names is not None)
        await pilot.press("h")
        await until(pilot, lambda: screen.query_one(Line)._suggestion == "quince in:orchard")
        await pilot.press("right")
        assert screen.query_text == "quince in:orchard"


async def test_the_screen_says_why_a_passage_is_where_it_is(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = searching.search

    def explained(*given: object) -> Found:
        result = real(*given)  # type: ignore[arg-type]
        told = Explanation(
            (WordWeight("quince", 2.5),), (), (Part(PartName.WORDS, 2.5), Part(PartName.PLACE, 1.5)), 4.0
        )
        return replace(
            result,
            explanations={(shown.hit.knowledge_base, shown.hit.chunk_id): told for shown in result.hits},
        )

    monkeypatch.setattr(searching, "search", explained)
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f", *"quince")
        await until(pilot, lambda: "quince 2.5 · title and path +1.5" in screen_text(app))
        await pilot.press("f6")
        await until(pilot, lambda: "score 4.00" in screen_text(app))
        assert "words in the title" in screen_text(app)
        await pilot.press("f6")
        await until(pilot, lambda: "score 4.00" not in screen_text(app))
