"""Why a passage is where it is: the words that count for it, and the lines that say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragchat.retrieval import explanation
from ragchat.retrieval.explanation import Explanation, Part, PartName, WordWeight
from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.small_kb import put

TOLD = Explanation(
    words=(
        WordWeight("detached", 4.25),
        WordWeight("HEAD", 3.5),
        WordWeight("commit", 0.5, asked=False),
        WordWeight("the", 0.001),
    ),
    missing=("branch",),
    parts=(
        Part(PartName.WORDS, 8.251),
        Part(PartName.PAIRS, 1.5),
        Part(PartName.AGREEMENT, 0.001),
        Part(PartName.MEANING, 0.75),
        Part(PartName.KIND, -1.0),
    ),
    total=9.502,
    cosine=0.613,
)


def test_lines_for_a_person() -> None:
    assert explanation.lines(TOLD) == [
        "score 9.50",
        "  +8.25  words: words of the question, by BM25",
        "             4.25 detached",
        "             3.50 HEAD",
        "             0.50 commit (added)",
        "  +1.50  word pairs: words that are close together, as in the question",
        "  +0.75  meaning: how similar its meaning is to the question, cosine 0.61",
        "  -1.00  form of text: prose, not a list or an index",
        "not in it: branch",
    ]


def test_a_line_for_a_person() -> None:
    assert explanation.summary(TOLD, most=2) == (
        "detached 4.2 · HEAD 3.5 · 2 more · word pairs +1.5 · meaning +0.8 · form of text -1.0"
    )
    assert explanation.summary(Explanation()) == ""


def test_the_shape_for_scripts() -> None:
    said = TOLD.as_json()
    assert said["total"] == 9.502
    assert said["parts"] == {
        "words": 8.251,
        "word pairs": 1.5,
        "agreement": 0.001,
        "meaning": 0.75,
        "form of text": -1.0,
    }
    assert said["words"][2] == {"word": "commit", "weight": 0.5, "asked": False}  # type: ignore[index]
    assert (said["missing"], said["cosine"]) == (["branch"], 0.613)


def test_every_part_is_named_and_foreign_words_cannot_move_the_cursor() -> None:
    for name in PartName:
        assert name.value in explanation.lines(Explanation(parts=(Part(name, 1.0),)))[1]
    assert "\x1b" not in explanation.lines(Explanation(missing=("a\x1b[2Jb",)))[-1]
    near = explanation.lines(Explanation(cosine=0.5))
    assert near[-1].strip() == "cosine to the question 0.50"


def test_words_as_they_were_typed_with_what_they_add() -> None:
    added = {"detach": 2.0, "head": 3.0, "commit": 0.5, "branch": 0.0}
    held, missing = explanation.words("What does detached HEAD do to a branch", ("en",), "en", added)
    assert held == (
        WordWeight("HEAD", 3.0),
        WordWeight("detached", 2.0),
        WordWeight("commit", 0.5, asked=False),
    )
    assert missing == ("branch",)


def test_a_score_is_shared_by_the_terms_that_are_held() -> None:
    shares = explanation.added(
        {"head": 2.0, "detach": 4.0, "branch": 3.0}, {"head": 1, "detach": 1, "other": 9}, 9.0
    )
    assert shares == pytest.approx({"head": 3.0, "detach": 6.0, "branch": 0.0})
    assert explanation.added({"head": 2.0}, {}, 9.0) == {"head": 0.0}


def test_the_parts_of_every_hit_add_up_to_its_score(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "notes") as store:
        put(store, "/pump.md", "The Zephyr pump is primed with water.", "Water the pump before winter.")
        put(store, "/lamp.md", "The Orion lamp burns oil and water harms it.")
        searcher = Searcher([store])
        found = searcher.search("How is the Zephyr pump primed with oil?", 5, explain=True)
        assert found.hits
        assert found.explanations.keys() == {(hit.knowledge_base, hit.chunk_id) for hit in found.hits}
        for hit in found.hits:
            told = found.explanations[hit.knowledge_base, hit.chunk_id]
            assert told.total == pytest.approx(hit.score)
            assert sum(part.value for part in told.parts) == pytest.approx(told.total)
            by_words = next(part.value for part in told.parts if part.name is PartName.WORDS)
            assert sum(word.weight for word in told.words) == pytest.approx(by_words)
        first = found.explanations[found.hits[0].knowledge_base, found.hits[0].chunk_id]
        assert {word.word for word in first.words} == {"Zephyr", "pump", "primed"}
        assert first.missing == ("oil",)
        assert not searcher.search("pump", 5).explanations
