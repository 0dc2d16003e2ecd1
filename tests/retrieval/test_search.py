"""Searching: only what speaks to the question, the same answer each time, and no question that makes it fail."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import evidence, index, merge
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.naughty import NAUGHTY
from tests.helpers.small_kb import put, take_out

LAMP = "The lamp burns oil. Whale oil burns bright. Trim the wick each evening."
PUMP = "A pump lifts water. Check the valve twice a year."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "a") as opened:
        yield opened


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path_factory.mktemp("kb"), "filled") as opened:
        put(opened, "lamp.txt", LAMP, "Oil lamps were used for centuries.")
        put(opened, "pump.txt", PUMP)
        put(
            opened,
            "odd.txt",
            *(text.replace("\ud800", "").replace("\udfff", "") for text in NAUGHTY[:30] if text),
        )
        yield opened


def test_a_hit_says_where_it_stands(filled: KnowledgeStore) -> None:
    (hit,) = Searcher([filled]).search("valve", 8).hits
    assert (hit.rank, hit.knowledge_base, hit.path, hit.place) == (1, "filled", "pump.txt", "line 1")
    assert hit.text == PUMP
    assert hit.content_hash == "hash of pump.txt"
    assert hit.evidence == "Check the valve twice a year."


def test_what_holds_no_word_of_the_question_is_not_returned(filled: KnowledgeStore) -> None:
    assert {hit.path for hit in Searcher([filled]).search("lamp", 100).hits} == {"lamp.txt"}
    assert not Searcher([filled]).search("zeppelin", 100).hits
    assert not Searcher([filled]).search("", 100).hits


def test_an_empty_index_has_no_answer_and_no_error(store: KnowledgeStore) -> None:
    for stores in ([], [store]):
        result = Searcher(stores).search("anything", 5)
        assert (result.hits, result.match) == ((), 0.0)


@pytest.mark.parametrize("k", [-1, 0, 1, 2, 3, 7, 8, 9, 1000])
def test_k_hits_at_most_best_first(store: KnowledgeStore, k: int) -> None:
    for n in range(8):
        put(store, f"{n}", "oil " * (n + 1) + "water " * (8 - n))
    hits = Searcher([store]).search("oil", k, ranking=PLAIN).hits
    assert [hit.path for hit in hits] == ["7", "6", "5", "4", "3", "2", "1", "0"][: max(0, k)]
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


def test_of_equal_chunks_the_one_indexed_first_comes_first(store: KnowledgeStore) -> None:
    for n in range(20):
        put(store, f"{n:02}", "oil and a lamp")
        if n % 7 == 0:
            index.merge_segments(store, fan_out=4)
    for k in (1, 3, 10, 20):
        assert [hit.path for hit in Searcher([store]).search("lamp oil", k, ranking=PLAIN).hits] == [
            f"{n:02}" for n in range(k)
        ]


def test_equal_chunks_in_two_knowledge_bases_have_the_same_score(tmp_path: Path) -> None:
    """Whatever the order in which each came to know its words."""
    words = "amber birch cedar delta ember fjord grove heath"
    with KnowledgeStore.create(tmp_path, "a") as a, KnowledgeStore.create(tmp_path, "b") as b:
        put(a, "a", f"{words} {words} oak")
        put(b, "b", *words.split()[::-1])
        put(b, "b", f"{words} {words} oak")
        hits = Searcher([a, b]).search(words, 2, ranking=PLAIN).hits
        assert [hit.knowledge_base for hit in hits] == ["a", "b"]
        assert hits[0].score == hits[1].score


@given(st.text(), st.integers(1, 5))
@settings(max_examples=200, deadline=None)
def test_no_question_makes_it_fail(filled: KnowledgeStore, query: str, k: int) -> None:
    check(Searcher([filled]), query, k)


@pytest.mark.parametrize("query", NAUGHTY)
def test_no_naughty_question_makes_it_fail(filled: KnowledgeStore, query: str) -> None:
    check(Searcher([filled]), query, 5)


def check(searcher: Searcher, query: str, k: int) -> None:
    result = searcher.search(query, k)
    assert len(result.hits) <= k
    assert 0 <= result.match <= 1
    for hit in result.hits:
        assert hit.score > 0
        assert hit.evidence in hit.text
    assert [hit.score for hit in result.hits] == sorted((hit.score for hit in result.hits), reverse=True)


@pytest.fixture
def sparing(store: KnowledgeStore) -> KnowledgeStore:
    """On an SQLite that takes no more than 999 parameters, as some are built."""
    store._connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 999)
    return store


def test_a_whole_chapter_may_be_the_question(sparing: KnowledgeStore) -> None:
    chapter = ["".join(letters) for letters in itertools.product("bcdfghjklmnp", repeat=3)]
    assert len(chapter) > 999
    put(sparing, "chapter", " ".join(chapter))
    put(sparing, "lamp", "lamp")
    assert len(Searcher([sparing]).search(" ".join([*chapter, "lamp"]), 3).hits) == 2


def test_thousands_of_hits_can_be_asked_for(sparing: KnowledgeStore) -> None:
    put(sparing, "a", *["oil"] * 3000)
    hits = Searcher([sparing]).search("oil", 3000, with_evidence=False, ranking=PLAIN).hits
    assert [hit.span.line_first for hit in hits] == list(range(1, 3001))


def test_thousands_of_documents_can_be_merged(sparing: KnowledgeStore) -> None:
    with sparing.writing():
        for n in range(1100):
            put(sparing, f"{n}", "oil")
        index.merge_segments(sparing)
    assert len(sparing.index.segments()) < merge.FAN_OUT
    assert len(Searcher([sparing]).search("oil", 2000, with_evidence=False, ranking=PLAIN).hits) == 1100


# --- match, weights, evidence -----------------------------------------------------------------------------


def test_match_is_the_share_of_the_question_that_was_found(filled: KnowledgeStore) -> None:
    searcher = Searcher([filled])
    assert searcher.search("whale oil", 5).match == pytest.approx(1)
    assert 0 < searcher.search("whale zeppelin", 5).match <= 0.5
    assert searcher.search("zeppelin", 5).match == 0


def test_one_strange_word_does_not_drown_the_others_in_a_small_collection(store: KnowledgeStore) -> None:
    put(store, "warranty", "The warranty of the Zephyr pump lasts seven years.")
    found = Searcher([store]).search("How long is the warranty of the Zephyr pump?", 3)
    assert found.match == pytest.approx(0.75), "three of its four words"
    assert Searcher([store]).search("Who painted the ceiling of the chapel?", 3).match == 0


def test_documents_in_other_languages_do_not_make_a_question_look_unanswered(tmp_path: Path) -> None:
    """Each word is looked for in the forms of every language; a text can hold only those of its own."""
    english = (
        "The warranty for all Heron scales is 48 months from the date of purchase. Batteries are excluded."
    )
    german = (
        "Die Kündigungsfrist für den Mieter beträgt drei Monate. Die Miete ist am dritten Werktag fällig."
    )
    questions = {
        "How long is the warranty for Heron scales?": english,
        "Wie lang ist die Kündigungsfrist für den Mieter?": german,
    }
    for question, text in questions.items():
        with KnowledgeStore.create(tmp_path / question[:3], "kb") as alone:
            put(alone, "a", text, language="de" if text == german else "en")
            expected = Searcher([alone]).search(question, 3)
        with KnowledgeStore.create(tmp_path / question[:3], "both") as both:
            put(both, "en", english, language="en")
            put(both, "de", german, language="de")
            found = Searcher([both]).search(question, 3)
        assert found.hits[0].text == text
        assert found.match == pytest.approx(expected.match, abs=0.15)
        assert found.match >= 0.5
        nothing = (
            "Who painted the ceiling of the chapel?"
            if text == english
            else "Wer malte die Decke der Kapelle?"
        )
        with KnowledgeStore.open(tmp_path / question[:3], "both") as both:
            assert Searcher([both]).search(nothing, 3).match == 0


def test_words_of_earlier_turns_help_but_do_not_lead(store: KnowledgeStore) -> None:
    put(store, "lamp", "lamp wick one")
    put(store, "pump", "pump valve one")
    put(store, "both", "lamp valve one")
    searcher = Searcher([store])
    assert searcher.search("valve", 3, weights={"lamp": 0.3}).hits[0].path == "both"
    assert [hit.path for hit in searcher.search("pump", 3, weights={"wick": 0.3}).hits] == ["pump", "lamp"]
    # A word of the question keeps its full weight, whatever the earlier turns say.
    alone = searcher.search("pump", 3).hits[0].score
    assert searcher.search("pump", 3, weights={"pump": 0.1}).hits[0].score == alone


def test_words_of_earlier_turns_count_in_match_for_a_follow_up_only(store: KnowledgeStore) -> None:
    put(store, "lamp", "lamp wick")
    searcher = Searcher([store])
    weights = {"zeppelin": 0.5}
    assert searcher.search("wick", 3, weights=weights).match == 1
    assert searcher.search("wick", 3, weights=weights, follow_up=True).match < 1


def test_evidence_is_the_sentence_that_speaks_to_the_question(filled: KnowledgeStore) -> None:
    hits = Searcher([filled]).search("wick", 1).hits
    assert hits[0].evidence == "Trim the wick each evening."


def test_evidence_of_an_endless_sentence_is_cut_around_the_word(store: KnowledgeStore) -> None:
    put(store, "a", "word " * 500 + "lamp " + "word " * 500)
    (hit,) = Searcher([store]).search("lamp", 1).hits
    assert "lamp" in hit.evidence
    assert hit.evidence in hit.text
    assert len(hit.evidence) <= evidence.LONGEST_EVIDENCE


def test_headings_are_searched(store: KnowledgeStore) -> None:
    put(store, "a", "Turn it twice.", heading="Valves > Main valve")
    result = Searcher([store]).search("valve", 1)
    assert result.hits[0].heading == "Valves > Main valve"
    assert result.match == 1


# --- while others write -----------------------------------------------------------------------------------


def test_a_searcher_sees_what_was_written_since(store: KnowledgeStore, tmp_path: Path) -> None:
    searcher = Searcher([store])
    put(store, "first", "lamp")
    assert len(searcher.search("lamp", 9, ranking=PLAIN).hits) == 1
    put(store, "second", "lamp lamp lamp")  # by the same connection
    assert [hit.path for hit in searcher.search("lamp", 9, ranking=PLAIN).hits] == ["second", "first"]
    with KnowledgeStore.open(tmp_path, "a") as other:
        put(other, "third", "lamp lamp")  # by another one
        assert len(searcher.search("lamp", 9, ranking=PLAIN).hits) == 3
        index.merge_segments(other, fan_out=2)
        assert len(searcher.search("lamp", 9, ranking=PLAIN).hits) == 3
        take_out(other, "second")
        assert [hit.path for hit in searcher.search("lamp", 9, ranking=PLAIN).hits] == ["third", "first"]


def test_a_writer_that_gives_up_leaves_no_trace_in_a_searcher(store: KnowledgeStore) -> None:
    searcher = Searcher([store])
    put(store, "first", "lamp")
    with pytest.raises(RuntimeError), store.writing():
        put(store, "second", "lamp")
        assert len(searcher.search("lamp", 9, ranking=PLAIN).hits) == 2
        raise RuntimeError
    assert [hit.path for hit in searcher.search("lamp", 9, ranking=PLAIN).hits] == ["first"]
    put(store, "third", "lamp water water")
    assert [hit.path for hit in searcher.search("lamp", 9, ranking=PLAIN).hits] == ["first", "third"]


def test_knowledge_bases_of_one_name_in_two_folders_are_kept_apart(tmp_path: Path) -> None:
    def scores(*names: str) -> list[float]:
        with (
            KnowledgeStore.create(tmp_path / "-".join(names) / "x", names[0]) as x,
            KnowledgeStore.create(tmp_path / "-".join(names) / "y", names[1]) as y,
        ):
            put(x, "short", "lamp oil")
            put(y, "long", "lamp lamp " + "oil " * 60)
            return [hit.score for hit in Searcher([x, y]).search("lamp", 9).hits]

    assert scores("same", "same") == scores("one", "other")


def test_an_index_of_another_version_is_searched_and_said_to_be(store: KnowledgeStore) -> None:
    put(store, "a", "lamp")
    assert Searcher([store]).search("lamp", 3).outdated == ()
    store.set_analyzer_version("of old")
    result = Searcher([store]).search("lamp", 3)
    assert (len(result.hits), result.outdated) == (1, (store.name,))
    put(store, "b", "oil")  # whoever writes builds it anew
    assert Searcher([store]).search("lamp", 3).outdated == ()


def test_a_count_of_dead_chunks_that_no_list_has_is_no_error(store: KnowledgeStore) -> None:
    put(store, "a", "lamp", "oil")
    put(store, "b", "lamp")
    index.merge_segments(store, fan_out=2)
    take_out(store, "b")
    (segment,) = store.index.segments()
    store._connection.execute("INSERT INTO removed VALUES (?, 'ghost', 1)", (segment.id,))
    assert [hit.path for hit in Searcher([store]).search("ghost lamp", 3).hits] == ["a"]
    assert Searcher([store]).search("ghost", 3).hits == ()


def test_near_duplicates_are_left_out_and_counted(store: KnowledgeStore) -> None:
    text = "The lamp burns oil that was pressed from olives in the month of May."
    put(store, "original", text)
    put(store, "copy", text)
    put(store, "other", "The lamp of the lighthouse burns gas.")
    result = Searcher([store]).search("lamp oil olives", 5)
    assert ([hit.path for hit in result.hits], result.hidden) == (["original", "other"], 1)
    assert len(Searcher([store]).search("lamp oil olives", 5, ranking=PLAIN).hits) == 3
