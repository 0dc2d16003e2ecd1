"""Killed at a random moment of writing, removing or merging, an index loses nothing and holds nothing false."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "kills.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kills", BENCHMARK)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["kills"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.hazard
@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_nothing_is_lost_by_kills() -> None:
    report = load().run(12, seed=7)
    assert report["problems"] == []
    assert report["steps"] > 12, "it was killed at work"


def test_a_loss_would_be_noticed(tmp_path: Path) -> None:
    """The check itself: a document that should be there and is not."""
    import random

    kills = load()
    kills.KnowledgeStore.create(tmp_path, "a").close()
    found, _ = kills.problems(tmp_path, [{"/gone": 3}], random.Random(0))
    assert found == ["documents: 1 differ"]
