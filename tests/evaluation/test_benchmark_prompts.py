"""The benchmark of what a prompt holds: gold strings are looked for in what is packed; each way is compared with the first."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ragchat.evaluation.packing_trial import WAYS, Way
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.session.packing import Packing, Passage
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="installed without benchmarks")

ASKED: list[dict[str, Any]] = [
    {
        "question": "How long is the warranty of the pump?",
        "gold": [{"package": "pumps", "file": "zephyr.txt", "string": "The warranty, it lasts 7 years"}],
        "answers": ["7 years"],
    }
]


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("prompts")


def count(texts: Sequence[str]) -> list[int]:
    return [len(re.findall(r"\w+", text)) for text in texts]


def test_a_way_that_packs_the_passage_wins_the_question(prompts: ModuleType, tmp_path: Path) -> None:
    ways = [(Way("1 passage", Packing(1)), PLAIN), (Way("2 passages", Packing(2)), PLAIN)]
    with KnowledgeStore.create(tmp_path / "kb", "pumps") as store:
        put(
            store,
            "/docs/pumps/wrong.txt",
            "How long is the warranty of the pump? Ask how long the pump runs.",
        )
        put(store, "/docs/pumps/zephyr.txt", "The pump: the warranty -\nit lasts 7 years from the day.")
        found = prompts.measure(Searcher([store]), count, ASKED, ways)
    assert found["1 passage"] == {
        "gold": 0,
        "words": 0,
        "tokens": found["1 passage"]["tokens"],
        "won": 0,
        "lost": 0,
    }
    assert (found["2 passages"]["gold"], found["2 passages"]["words"]) == (1, 1)
    assert (found["2 passages"]["won"], found["2 passages"]["lost"]) == (1, 0)
    assert found["2 passages"]["tokens"] > found["1 passage"]["tokens"]
    assert "2 passages" in prompts.shown(found)


def test_the_string_counts_in_its_own_file_and_in_what_is_packed(prompts: ModuleType, tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path / "kb", "pumps") as store:
        put(store, "/docs/pumps/zephyr.txt", "The warranty: it lasts 7 years.")
        (hit,) = Searcher([store]).search("warranty", 1).hits
    gold = ASKED[0]["gold"]
    assert prompts.in_prompt([Passage(hit, hit.text, "")], gold)
    assert not prompts.in_prompt([Passage(hit, "The warranty:", "")], gold)
    assert not prompts.in_prompt([Passage(replace(hit, path="/docs/other/zephyr.txt"), hit.text, "")], gold)


def test_the_first_way_is_what_the_default_model_is_given(prompts: ModuleType) -> None:
    assert prompts.WAYS[0][0].packing == Packing(1)
    names = [way.name for way, _ in prompts.WAYS]
    assert len(set(names)) == len(names)


def test_a_trial_of_a_model_tries_the_forms_that_the_benchmark_compares() -> None:
    assert {way.packing.form for way in WAYS} == {"chunks", "quotes", "evidence", "by_confidence"}
