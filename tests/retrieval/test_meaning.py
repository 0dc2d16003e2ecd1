"""Words and meaning together: the order of passages, what words alone do not find, and what happens without vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragchat.errors import ModelError
from ragchat.retrieval.index import write_document
from ragchat.retrieval.meaning import blend
from ragchat.retrieval.search import DEFAULT, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span
from ragchat.types.embedding import EmbeddingModel

_MEANINGS = (
    "boat vessel ship yacht",
    "money price cost fee",
    "storm gale wind weather",
    "door gate lock key",
)
NAN = math.nan


class Concepts:
    """A model that knows four concepts by their words, and the weight of each is a component of the vector."""

    def __init__(self, languages: tuple[str, ...] = (), *, broken: bool = False) -> None:
        self.model = EmbeddingModel("concepts", "concepts-1", len(_MEANINGS) + 1, 512, languages)
        self.broken = broken
        self.embedded = 0

    def embed_query(self, text: str) -> np.ndarray:
        vector: np.ndarray = self.embed_passages([text])[0]
        return vector

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        if self.broken:
            raise ModelError("The embedding process was killed.")
        self.embedded += len(texts)
        counts = [[sum(word in text.lower() for word in one.split()) for one in _MEANINGS] for text in texts]
        vectors = np.array([[*own, 0.1] for own in counts], np.float32)
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def close(self) -> None:
        return


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "harbour") as made:
        put(made, "list.txt", "Harbour list: harbour list of the harbour, with all berths of the harbour.")
        put(made, "fees.txt", "What a yacht pays in the harbour: the price for a night is nine crowns.")
        put(made, "gale.txt", "In a gale nobody leaves; the wind decides.")
        put(made, "weir.txt", "Ein Wehr am Hafen.", language="de")
        yield made


def put(store: KnowledgeStore, name: str, text: str, *, language: str = "en") -> None:
    span = Span(0, len(text), 1, 1)
    write_document(store, FileRecord(name, len(text), 0, language=language), [ChunkDraft(text, "", span)])


def paths(searcher: Searcher, query: str, *, meaning: float = 0.6) -> list[str]:
    return [hit.path for hit in searcher.search(query, 5, ranking=replace(DEFAULT, meaning=meaning)).hits]


QUESTION = "harbour cost for a ship"


def test_the_passage_that_means_the_same_comes_first(store: KnowledgeStore) -> None:
    assert paths(Searcher([store]), QUESTION)[0] == "list.txt"
    assert paths(Searcher([store], Concepts()), QUESTION)[0] == "fees.txt"
    assert paths(Searcher([store], Concepts()), QUESTION, meaning=0.0)[0] == "list.txt"


def test_a_passage_without_a_common_word_is_found_once_it_has_a_vector(store: KnowledgeStore) -> None:
    embedder = Concepts()
    searcher = Searcher([store], embedder)
    assert "gale.txt" not in paths(searcher, "harbour in a storm")
    ids = [hit.chunk_id for document in store.documents() for hit in store.chunks_of(document.id)]
    texts = [hit.text for document in store.documents() for hit in store.chunks_of(document.id)]
    from ragchat.retrieval.vectors import quantise

    store.vectors.write(embedder.model, ids, quantise(embedder.embed_passages(texts)))
    assert "gale.txt" in paths(searcher, "harbour in a storm")


def test_vectors_made_for_a_question_are_kept(store: KnowledgeStore) -> None:
    embedder = Concepts()
    searcher = Searcher([store], embedder)
    first = paths(searcher, QUESTION)
    made = embedder.embedded
    assert store.vectors.count(embedder.model) == made - 1
    assert paths(searcher, QUESTION) == first
    assert embedder.embedded == made


def test_a_model_that_dies_leaves_the_order_to_words_and_says_so(store: KnowledgeStore) -> None:
    result = Searcher([store], Concepts(broken=True)).search(QUESTION, 5)
    assert [hit.path for hit in result.hits] == paths(Searcher([store]), QUESTION)
    assert not result.by_meaning
    assert result.not_by_meaning == "The embedding process was killed."


def test_a_model_has_no_say_about_a_language_that_it_does_not_read(store: KnowledgeStore) -> None:
    embedder = Concepts(("en",))
    result = Searcher([store], embedder).search("wo ist der Hafen", 5)
    assert result.hits
    assert not result.by_meaning
    assert not result.not_by_meaning
    assert not embedder.embedded


@pytest.mark.parametrize(
    ("words", "meaning", "weight", "order"),
    [
        ([3.0, 2.0, 1.0], [0.1, 0.9, 0.2], 0.0, [0, 1, 2]),
        ([3.0, 2.0, 1.0], [0.1, 0.9, 0.2], 0.6, [1, 0, 2]),
        ([3.0, 2.0, 1.0], [NAN, NAN, NAN], 0.6, [0, 1, 2]),
        ([3.0, 2.9, 1.0], [NAN, 0.5, 0.2], 0.6, [1, 0, 2]),
        ([3.0, 2.0, 1.0, 0.5], [0.9, NAN, 0.3, 0.1], 0.6, [0, 1, 2, 3]),
    ],
)
def test_blend(words: list[float], meaning: list[float], weight: float, order: list[int]) -> None:
    scores = blend(words, meaning, weight)
    assert sorted(range(len(words)), key=lambda i: -scores[i]) == order
