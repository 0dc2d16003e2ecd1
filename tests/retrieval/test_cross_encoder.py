"""A cross-encoder orders the first hits: its order counts, time and languages bound it, and the explanation says what it did."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragchat.errors import ModelError
from ragchat.llm.embedding import convert as converter
from ragchat.llm.embedding.client import EmbeddingProcess
from ragchat.llm.embedding.convert import convert
from ragchat.retrieval import cross_encoder, explanation
from ragchat.retrieval.explanation import Explanation, Move, Part, PartName
from ragchat.retrieval.search import DEFAULT, Searcher, SearchResult
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types.embedding import EmbeddingModel
from tests.cli.test_kb_commands import run, run_json
from tests.helpers.small_encoder import random_weights, write_encoder
from tests.helpers.small_kb import put


class Counting:
    """Finds a passage the better, the more often it has "berth"; `seconds_each` is how long a passage takes."""

    def __init__(
        self, languages: tuple[str, ...] = (), *, seconds_each: float = 0.0, broken: str = ""
    ) -> None:
        self.model = EmbeddingModel("counting", "counting-1", 1, 512, languages)
        self.seconds_each, self.broken = seconds_each, broken
        self.read: list[str] = []
        self.started = False

    def start(self) -> None:
        self.started = True

    def rank(self, query: str, texts: Sequence[str]) -> np.ndarray:
        assert self.started
        if self.broken:
            raise ModelError(self.broken)
        self.read += texts
        time.sleep(self.seconds_each * len(texts))
        return np.array([text.count("berth") for text in texts], np.float32)

    def close(self) -> None:
        return


SUBJECTS = [
    "anchor and chain",
    "breakfast",
    "customs",
    "diesel",
    "electricity",
    "fishing",
    "garbage",
    "hail",
    "ice",
    "jetty",
    "knots",
    "lanterns",
    "mooring",
    "nets",
    "oars",
    "pilots",
    "quarantine",
    "rudders",
    "sails",
    "tides",
    "umbrellas",
    "visas",
    "winches",
    "yarn",
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path_factory.mktemp("kb"), "harbour") as made:
        for number, subject in enumerate(SUBJECTS):
            put(
                made,
                f"/d/{number:02}.txt",
                f"Harbour rules about {subject}." + " harbour" * (len(SUBJECTS) - number) + " berth" * number,
            )
        yield made


def found(
    store: KnowledgeStore, reranker: Counting | None, k: int = 8, query: str = "harbour"
) -> SearchResult:
    return Searcher([store], None, reranker).search(query, k, explain=True)


def names(result: SearchResult) -> list[str]:
    return [hit.path for hit in result.hits]


def berths(result: SearchResult) -> list[int]:
    return [hit.text.count("berth") for hit in result.hits]


def test_the_first_twenty_are_read_and_stand_in_its_order(store: KnowledgeStore) -> None:
    alone, reranker = found(store, None, k=24), Counting()
    result = found(store, reranker)
    assert len(reranker.read) == cross_encoder.MOST
    first = sorted((hit.text.count("berth") for hit in alone.hits[: cross_encoder.MOST]), reverse=True)
    assert berths(result) == first[:8]
    assert [hit.rank for hit in result.hits] == list(range(1, 9))
    assert not result.not_reread
    more = found(store, Counting(), k=24)
    assert berths(more)[:20] == first
    assert names(more)[20:] == names(alone)[20:]


def test_scores_keep_their_scale(store: KnowledgeStore) -> None:
    alone, result = found(store, None, k=20), found(store, Counting(), k=20)
    assert [hit.score for hit in result.hits] == [hit.score for hit in alone.hits]


def test_the_explanation_says_what_it_did(store: KnowledgeStore) -> None:
    alone, result = found(store, None, k=20), found(store, Counting(), k=20)
    before = {name: place for place, name in enumerate(names(alone), 1)}
    for place, hit in enumerate(result.hits, 1):
        told = result.explanations["harbour", hit.chunk_id]
        assert told.moved
        assert (told.moved.before, told.moved.after) == (before[hit.path], place)
        assert told.total == pytest.approx(hit.score)
        assert sum(part.value for part in told.parts) == pytest.approx(told.total)
        assert told.as_json()["cross_encoder"] == [before[hit.path], place]
    assert "cross_encoder" not in alone.explanations["harbour", alone.hits[0].chunk_id].as_json()


@pytest.mark.parametrize(
    ("move", "said"),
    [
        (Move(3, 1, 2.5), "cross-encoder 3rd → 1st"),
        (Move(11, 12, -0.5), "cross-encoder 11th → 12th"),
        (Move(21, 22, -0.5), "cross-encoder 21st → 22nd"),
        (Move(2, 2), "cross-encoder 2nd as before"),
    ],
)
def test_a_move_in_words(move: Move, said: str) -> None:
    told = Explanation(parts=(Part(PartName.WORDS, 4.0),), total=4.0).moved_by(move)
    assert explanation.summary(told) == said
    assert said in explanation.lines(told)[-1]
    assert told.total == 4.0 + move.gained


def test_it_stops_when_its_time_is_over_and_says_so(store: KnowledgeStore) -> None:
    alone, reranker = found(store, None, k=20), Counting(seconds_each=0.02)
    hits = alone.hits
    some = cross_encoder.reread(reranker, "harbour", hits, hits, 0.2)
    read = len(reranker.read)
    assert 4 <= read < 20
    assert some.note == f"The cross-encoder read {read} of 20 passages in 0.2 s. The others keep their rank."
    assert [hit.path for hit in some.hits[read:]] == names(alone)[read:]
    assert len(some.moves) == read
    none = cross_encoder.reread(reranker, "harbour", hits, hits, 0.0)
    assert list(none.hits) == list(hits)
    assert none.note.startswith("The cross-encoder read 0 of 20 passages")


def test_one_that_dies_leaves_the_order_and_says_so(store: KnowledgeStore) -> None:
    result = found(store, Counting(broken="The embedding process was killed."))
    assert names(result) == names(found(store, None))
    assert result.not_reread == "The embedding process was killed."


def test_without_meaning_or_a_language_that_it_reads_it_is_not_asked(store: KnowledgeStore) -> None:
    reranker = Counting()
    off = Searcher([store], None, reranker).search("harbour", 8, ranking=replace(DEFAULT, meaning=0.0))
    assert names(off) == names(found(store, None))
    german = Counting(("de",))
    assert names(found(store, german)) == names(found(store, None))
    assert not reranker.read
    assert not german.read


def test_hits_in_another_language_keep_their_places(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "two") as store:
        put(store, "/d/a.txt", "Harbour harbour harbour rules about anchors.")
        put(store, "/d/b.txt", "Harbour harbour rules about breakfast, berth.")
        put(store, "/d/c.txt", "Harbour rules about customs, berth berth.")
        hits = found(store, None, query="harbour rules").hits
        assert len(hits) == 3
        foreign = [hits[0], replace(hits[1], language="de"), hits[2]]
        reranker = Counting(("en",))
        again = cross_encoder.reread(reranker, "harbour", foreign, foreign)
        assert len(reranker.read) == 2
        assert again.hits[1] == foreign[1]
        assert again.hits[0].text.count("berth") >= again.hits[2].text.count("berth")


def test_no_hits(store: KnowledgeStore) -> None:
    reranker = Counting()
    assert not found(store, reranker, query="zzzzzz").hits
    assert not found(store, reranker, k=0).hits
    assert cross_encoder.reread(reranker, "a", [], []).hits == []


# --- a file with a rank head -----------------------------------------------------------------------------


@pytest.fixture
def ranker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny random cross-encoder as GGUF."""
    for old, new in {"pooler.dense": "cls", "classifier": "cls.output"}.items():
        for part in ("weight", "bias"):
            monkeypatch.setitem(converter._TABLES, f"{old}.{part}", f"{new}.{part}")
    monkeypatch.setitem(converter._POOLINGS, "pooling_mode_rank", 4)
    source = write_encoder(tmp_path / "source", random_weights(head=True), pooling="rank")
    target = tmp_path / "ranker.gguf"
    convert(source, target, name="Ranker", licence="")
    return target


def test_the_setting_lets_a_model_of_the_models_folder_order_the_hits(ranker: Path, tmp_path: Path) -> None:
    home, docs = tmp_path / "home", tmp_path / "docs"
    docs.mkdir()
    for number, word in enumerate(("stone", "blue", "cafe", "w1", "w7", "w30")):
        (docs / f"{word}.txt").write_text(f"red {word}" + " red" * number)
    assert run(home, "kb", "add", "notes", str(docs)).returncode == 0
    before = run_json(home, "kb", "search", "red", "--kb", "notes", "--json", "--explain")["hits"]
    assert run(home, "model", "add", str(ranker)).returncode == 0
    assert run(home, "config", "set", "retrieval.reranker", "ranker").returncode == 0
    after = run_json(home, "kb", "search", "red", "--kb", "notes", "--json", "--explain")["hits"]
    model = EmbeddingProcess(ranker, log=tmp_path / "log")
    try:
        scores = model.rank("red", [hit["text"] for hit in before])
    finally:
        model.close()
    expected = [before[i]["path"] for i in np.argsort(-scores, kind="stable")]
    assert expected != [hit["path"] for hit in before]
    assert [hit["path"] for hit in after] == expected
    places = {hit["path"]: hit["rank"] for hit in before}
    assert [hit["why"]["cross_encoder"] for hit in after] == [
        [places[hit["path"]], hit["rank"]] for hit in after
    ]
    shown = run(home, "kb", "search", "red", "--kb", "notes", "--explain").stdout
    assert "cross-encoder" in shown
    assert "→ 1st" in shown
    assert run(home, "config", "set", "retrieval.reranker", "nothing").returncode == 0
    refused = run(home, "kb", "search", "red", "--kb", "notes")
    assert refused.returncode == 4
    assert "nothing" in refused.stderr
