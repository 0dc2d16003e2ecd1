"""Hits that grow within their section, and the preference for the question's language."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragchat.ingest.chunk import split
from ragchat.retrieval.index import write_document
from ragchat.retrieval.passages import widen
from ragchat.retrieval.preference import preferred, question_language
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ExtractedText, Hit

CHAPTER = """# Boats

## Anchors

The anchor chain of the Petrel is stored below the foredeck in two bins.

Give out chain of five times the depth before the engine is stopped.

## Sails

The main sail is reefed from the cockpit with the red line.
"""


@pytest.fixture
def store(tmp_path: Path) -> KnowledgeStore:
    return KnowledgeStore.create(tmp_path, "boats")


def put(store: KnowledgeStore, name: str, text: str, *, chunk_tokens: int = 20, language: str = "en") -> None:
    extracted = ExtractedText(text=text, media_type="text/markdown", source_lines=True)
    chunks = split(extracted, chunk_tokens=chunk_tokens, overlap_tokens=0)
    write_document(store, FileRecord(name, len(text), 0, language=language), chunks)


def found(store: KnowledgeStore, query: str, ranking: Ranking = DEFAULT) -> tuple[Hit, ...]:
    return Searcher([store]).search(query, 5, ranking=ranking).hits


def test_a_hit_is_read_with_what_its_section_has_beside_it(store: KnowledgeStore) -> None:
    put(store, "petrel.md", CHAPTER)
    alone = found(store, "foredeck bins", Ranking(longest_passage=0))[0]
    whole = found(store, "foredeck bins")[0]
    assert "five times the depth" not in alone.text
    assert "five times the depth" in whole.text
    assert "main sail" not in whole.text
    assert whole.chunk_id == alone.chunk_id
    assert whole.text in CHAPTER
    assert CHAPTER[whole.span.char_first : whole.span.char_last] == whole.text
    assert "foredeck" in whole.evidence


def test_a_hit_that_another_one_holds_is_not_shown_again(store: KnowledgeStore) -> None:
    put(store, "petrel.md", CHAPTER)
    hits = found(store, "chain of the anchor")
    assert len([hit for hit in hits if "five times" in hit.text]) == 1


def test_a_passage_stays_within_its_length(store: KnowledgeStore) -> None:
    put(store, "long.md", "# Tides\n\n" + "\n\n".join(f"Tide number {n} is high at noon." for n in range(99)))
    for longest in (100, 300):
        hits = found(store, "tide 50", Ranking(longest_passage=longest))
        assert all(len(hit.text) <= longest for hit in hits)
    assert max(len(hit.text) for hit in found(store, "tide 50", Ranking(longest_passage=300))) > 150


def test_what_is_not_known_around_a_hit_leaves_it_as_it_is(store: KnowledgeStore) -> None:
    put(store, "petrel.md", CHAPTER)
    hits = list(found(store, "foredeck", Ranking(longest_passage=0)))
    assert widen(hits, {}) == hits


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("how do I reef the sail", "en"),
        ("wie wird das Segel gerefft", "de"),
        ("comment réduire la voile du bateau", "fr"),
        ("PETREL_DEPTH", ""),
    ],
)
def test_the_language_of_a_question_is_that_of_its_small_words(query: str, language: str) -> None:
    assert question_language(query, ("en", "de", "fr")) == language


def test_in_a_collection_of_one_language_there_is_nothing_to_prefer() -> None:
    assert question_language("how do I reef the sail", ("en",)) == ""


def test_passages_in_the_language_of_the_question_come_first(store: KnowledgeStore) -> None:
    put(store, "segel.md", "Reef reef reef: das Petrel wird mit der roten Leine gerefft.", language="de")
    put(store, "sail.md", "On the Petrel you reef the main sail from the cockpit, with the red line.")
    assert [hit.path for hit in found(store, "how do you reef the Petrel")] == ["sail.md", "segel.md"]
    assert found(store, "wie wird die Petrel reef")[0].path == "segel.md"
    assert found(store, "how do you reef the Petrel", Ranking(language=False))[0].path == "segel.md"


def test_preference_keeps_the_order_within_a_language(store: KnowledgeStore) -> None:
    put(store, "a.md", "reef the sail")
    put(store, "b.md", "reef reef")
    hits = found(store, "reef", Ranking(language=False))
    assert preferred(hits, "en") == list(hits)
    assert preferred(hits, "") == list(hits)
    assert [hit.path for hit in preferred(hits, "de")] == [hit.path for hit in hits]
