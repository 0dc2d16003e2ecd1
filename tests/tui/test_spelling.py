"""The search screen says what it searched for in the place of a misspelled word, and a key undoes it."""

from __future__ import annotations

from pathlib import Path

from ragchat.retrieval.search import DEFAULT, Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui import searching
from ragchat.tui.screens.search import SearchScreen
from tests.helpers.tui_fakes import add_document, running, screen_text, set_stage, until

TEXT = "# Trees\n\nThe quince by the harbour wall was planted in 1907.\n"


def with_trees(tmp_path: Path) -> Path:
    path = tmp_path / "documents" / "trees.md"
    path.write_text(TEXT)
    with KnowledgeStore.open(tmp_path / "kb", "guide") as store:
        add_document(store, path, TEXT)
    return path


async def test_the_screen_says_what_was_searched_for_and_a_key_undoes_it(tmp_path: Path) -> None:
    stage = set_stage(tmp_path)
    with_trees(tmp_path)
    async with running(stage) as (app, pilot):
        await pilot.press("ctrl+f")
        await until(pilot, lambda: isinstance(app.screen, SearchScreen))
        await pilot.press(*"qiunce harbour")
        await until(pilot, lambda: "Searched for “quince” instead of “qiunce”" in screen_text(app))
        assert "not in these" not in screen_text(app)
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "not in these: “qiunce”" in screen_text(app))
        assert "Searched for" not in screen_text(app)
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "Searched for “quince”" in screen_text(app))


def test_a_word_that_is_still_being_typed_is_not_corrected(tmp_path: Path) -> None:
    set_stage(tmp_path)
    with_trees(tmp_path)
    with KnowledgeStore.open(tmp_path / "kb", "guide") as store:
        found = searching.search(Searcher([store]), [store], "wall harbo", DEFAULT)
        assert (found.corrections, found.unknown) == ((), ())
        both = searching.search(Searcher([store]), [store], "qiunce harbo", DEFAULT)
        assert [one.word for one in both.corrections] == ["qiunce"]
        (hit, *_) = both.hits
        assert [hit.evidence[a:b] for a, b in hit.matches] == ["quince", "harbour"]
