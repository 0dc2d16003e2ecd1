"""The benchmarks that measure search by meaning: a share of vectors stays what it is, and the rows are those they name."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ragchat.retrieval import vectors as searching
from ragchat.retrieval.search import DEFAULT
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.embedders import WordEmbedder
from tests.helpers.small_kb import put

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="installed without benchmarks")


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    """Benchmarks can be imported, and what they change is put back."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(searching, "_keep", searching._keep)


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def lamps(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "lamps") as store:
        for n in range(40):
            put(store, f"{n}.txt", f"The lamp of house {n} is lit at dusk.", language="en")
        yield store


def test_the_first_of_the_chunks_get_a_vector(benchmark: None, lamps: KnowledgeStore) -> None:
    vectors, embedder = load("vectors"), WordEmbedder()
    assert vectors.embed_share(lamps, embedder, 0.0) == 0
    assert vectors.embed_share(lamps, embedder, 0.1) == 4
    first = sorted(lamps.vectors.after(embedder.model).chunk_ids.tolist())
    assert first == sorted(lamps.vectors.missing_ids(WordEmbedder("other").model))[:4]
    assert vectors.embed_share(lamps, embedder, 0.1) == 4
    assert vectors.embed_share(lamps, embedder) == 40


def test_searches_leave_the_share_as_it_is(benchmark: None, lamps: KnowledgeStore) -> None:
    vectors, embedder = load("vectors"), WordEmbedder()
    vectors.embed_share(lamps, embedder, 0.5)
    read = len(embedder.read)
    vectors.as_embedded([lamps], embedder).search("lamp at dusk", 5)
    assert len(embedder.read) == read
    vectors.as_embedded([lamps], embedder, in_time=True).search("lamp at dusk", 5)
    assert len(embedder.read) > read
    assert lamps.vectors.count(embedder.model) == 20


def test_rows_of_retrieval_quality(benchmark: None, tmp_path: Path) -> None:
    quality = load("retrieval_quality")
    documents = {f"{n}.txt": f"The lamp of house {n} is lit at dusk." for n in range(6)}
    questions = [{"question": f"lamp of house {n}", "relevant": [f"{n}.txt"]} for n in range(6)]
    plain = dict(quality.ours(tmp_path / "plain", documents, None, []))
    assert list(plain) == ["ragchat, whole documents", "the same, BM25 alone", "ragchat, chunks"]
    rows = dict(quality.ours(tmp_path / "kb", documents, WordEmbedder(), [0.0, 0.5]))
    assert list(rows)[3:] == [
        "meaning, 0% embedded",
        "meaning, 0% embedded, none made",
        "meaning, 50% embedded",
        "meaning, 50% embedded, none made",
        "meaning, whole documents",
        "meaning, chunks",
    ]
    found = {name: quality.measure(build(), questions) for name, build in rows.items()}
    assert found["meaning, 0% embedded, none made"] == found["ragchat, whole documents"]
    assert found["meaning, whole documents"]["ndcg@10"] > 0.5


def test_rows_of_the_ablation(benchmark: None, tmp_path: Path) -> None:
    ablation = load("ablation")
    words = {name: ranking for name, _, _, ranking in ablation.settings(meaning=False)}
    both = {name: ranking for name, _, _, ranking in ablation.settings(meaning=True)}
    assert set(both) - set(words) == {"  + meaning", "  - meaning", "  chunks - meaning"}
    assert {"  + language", "  - language", "  chunks - longest_passage"} <= set(words)
    assert both["  + meaning"].meaning == DEFAULT.meaning
    assert both["  - meaning"].meaning == 0
    assert not any(
        ranking.longest_passage for _, _, cut, ranking in ablation.settings(meaning=True) if not cut
    )
    folder = tmp_path / "set"
    (folder / "corpus").mkdir(parents=True)
    for n in range(4):
        (folder / "corpus" / f"{n}.txt").write_text(f"The lamp of house {n} is lit by Oda{n} at dusk.\n")
    (folder / "questions.jsonl").write_text(
        "".join(
            json.dumps(
                {"question": f"Who lights house {n}?", "answers": [f"Oda{n}"], "relevant": [f"{n}.txt"]}
            )
            + "\n"
            for n in range(4)
        )
    )
    rows = {row[0]: row[1:] for row in ablation.measure(folder, 0, WordEmbedder(), peers=False)}
    assert set(rows) == set(both)
    assert rows["chunks, as shipped"][1] == [1.0, 1.0, 1.0]
    assert rows["all"][1] == []
