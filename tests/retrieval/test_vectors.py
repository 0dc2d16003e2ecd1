"""Vectors beside the index: stored with their chunks, gone with them, compared without losing anything that counts."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.errors import StorageError
from ragchat.retrieval import index, vectors
from ragchat.retrieval.vectors import (
    Floats,
    MeaningIndex,
    cosines,
    embed_missing,
    inverse_lengths,
    nearest,
    passage_text,
    quantise,
)
from ragchat.store.database import BusyError
from ragchat.store.knowledge import LATEST, KnowledgeStore
from ragchat.store.maintenance import problems
from ragchat.store.portable import export_knowledge_base, import_knowledge_base, open_foreign
from ragchat.types.embedding import EmbeddingModel
from tests.helpers.embedders import WordEmbedder
from tests.helpers.small_kb import put, take_out

WORDS = WordEmbedder()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "a") as opened:
        yield opened


def embed(store: KnowledgeStore, chunk_ids: Sequence[int] = (), embedder: WordEmbedder = WORDS) -> list[int]:
    """Give vectors to these chunks, or to all that have none; their numbers."""
    wanted = list(chunk_ids) or store.vectors.missing_ids(embedder.model)
    texts = store.vectors.texts(wanted)
    made = embedder.embed_passages([passage_text(one.title, one.heading, one.text) for one in texts])
    store.vectors.write(embedder.model, wanted, quantise(made))
    return wanted


def chunk_ids(store: KnowledgeStore, path: str) -> list[int]:
    document = store.document_at(path)
    assert document
    return [hit.chunk_id for hit in store.chunks_of(document.id)]


def unit(rows: int, dimensions: int, seed: int = 0) -> Floats:
    made: Floats = np.random.default_rng(seed).standard_normal((rows, dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


# --- int8 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimensions", [64, 384, 768])
def test_int8_changes_a_cosine_by_little_more_than_a_thousandth(dimensions: int) -> None:
    passages = unit(2000, dimensions)
    query = unit(1, dimensions, seed=1)[0]
    errors = np.abs(cosines(query, quantise(passages)) - passages @ query)
    assert errors.mean() < 0.0012
    assert errors.max() < 0.007


def test_the_nearest_in_int8_are_the_nearest() -> None:
    passages = unit(5000, 384)
    query = passages[7] + 0.5 * unit(1, 384, seed=3)[0]
    query /= np.linalg.norm(query)
    exact = np.argsort(-(passages @ query))[:50]
    places, _ = nearest(query, quantise(passages), 50)
    assert places[0] == exact[0] == 7
    assert len(set(places.tolist()) & set(exact.tolist())) >= 47


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 70))
@settings(max_examples=40, deadline=None)
def test_nearest_is_what_sorting_everything_gives(rows: int, dimensions: int, n: int) -> None:
    passages, query = quantise(unit(rows, dimensions)), unit(1, dimensions, seed=2)[0]
    found = cosines(query, passages)
    places, values = nearest(query, passages, n)
    assert places.tolist() == np.argsort(-found, kind="stable")[:n].tolist()
    assert values.tolist() == found[places].tolist()


def test_a_zero_vector_is_near_nothing() -> None:
    passages = np.zeros((2, 8), np.float32)
    assert cosines(unit(1, 8)[0], quantise(passages)).tolist() == [0.0, 0.0]


def test_no_vector_that_somebody_wrote_has_a_cosine_above_one() -> None:
    wild = np.random.default_rng(0).integers(-128, 128, (500, 16)).astype(np.int8)
    query = wild[3].astype(np.float32) / np.linalg.norm(wild[3].astype(np.float32))
    assert np.abs(cosines(query, wild)).max() <= 1.000001
    assert inverse_lengths(wild).min() > 0


def test_a_search_never_converts_everything_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer has the size of a block, whatever the number of vectors."""
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 4 * 16 * 10)
    passages = quantise(unit(95, 16))
    query = unit(1, 16, seed=1)[0]
    in_blocks = cosines(query, passages)
    monkeypatch.undo()
    np.testing.assert_allclose(in_blocks, cosines(query, passages), atol=1e-6)


def test_a_search_in_several_threads_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    passages, query = quantise(unit(1003, 16)), unit(1, 16, seed=1)[0]
    alone = cosines(query, passages)
    monkeypatch.setattr(vectors, "_PER_THREAD", 300)
    monkeypatch.setattr(vectors, "_BLOCK_BYTES", 4 * 16 * 7)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    np.testing.assert_allclose(cosines(query, passages), alone, atol=1e-6)


# --- what is embedded -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "heading", "expected"),
    [
        ("", "", "Press the button."),
        ("Manual", "", "Manual\nPress the button."),
        ("", "Start > Engine", "Start > Engine\nPress the button."),
        ("Manual", "Start", "Manual > Start\nPress the button."),
        ("Manual", "manual > Start", "manual > Start\nPress the button."),
        ("The\nManual", " Start \t now", "The Manual > Start now\nPress the button."),
    ],
)
def test_title_and_headings_come_before_the_text(title: str, heading: str, expected: str) -> None:
    assert passage_text(title, heading, "Press the button.") == expected


def test_long_names_leave_room_for_the_text() -> None:
    made = passage_text("T" * 5000, "h" * 5000 + " > last", "The text.")
    assert len(made) < 600
    assert made.endswith(" > last".rjust(7) + "\nThe text.")


# --- stored with their chunks -----------------------------------------------------------------------


def test_vectors_are_read_as_they_were_written(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two", "three")
    own = chunk_ids(store, "/d/a.txt")
    made = quantise(unit(3, 64))
    assert store.vectors.write(WORDS.model, own, made) == 3
    rows = store.vectors.after(WORDS.model)
    assert rows.chunk_ids.tolist() == own
    np.testing.assert_array_equal(rows.vectors, made)
    one = store.vectors.of(WORDS.model, [own[2], 999])
    assert one.chunk_ids.tolist() == [own[2]]
    np.testing.assert_array_equal(one.vectors[0], made[2])
    assert store.vectors.after(WORDS.model, int(rows.rows[1])).chunk_ids.tolist() == own[2:]
    assert store.vectors.count(WORDS.model) == 3
    assert store.vectors.embedded() == ("words", WORDS.model.fingerprint, 3, 3, 3)


def test_the_same_chunk_is_written_once(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one")
    own = embed(store)
    before = store.vectors.after(WORDS.model)
    assert store.vectors.write(WORDS.model, own, quantise(unit(1, 64))) == 0
    np.testing.assert_array_equal(store.vectors.after(WORDS.model).vectors, before.vectors)


def test_a_vector_of_another_shape_is_not_written(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one")
    with pytest.raises(ValueError):
        store.vectors.write(WORDS.model, chunk_ids(store, "/d/a.txt"), np.zeros((1, 63), np.int8))


def test_vectors_leave_with_their_document(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two")
    put(store, "/d/b.txt", "three")
    embed(store)
    take_out(store, "/d/a.txt")
    assert store.vectors.after(WORDS.model).chunk_ids.tolist() == chunk_ids(store, "/d/b.txt")
    assert problems(store.path) == []


def test_a_document_that_is_read_again_waits_to_be_embedded_again(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two")
    embed(store)
    put(store, "/d/a.txt", "one", "changed")
    assert store.vectors.count(WORDS.model) == 0
    assert store.vectors.missing_ids(WORDS.model) == chunk_ids(store, "/d/a.txt")


@pytest.mark.parametrize("path", ["/e/a.txt", "/d/another name.txt"])
def test_vectors_stay_when_a_document_is_renamed(store: KnowledgeStore, path: str) -> None:
    number = put(store, "/d/a.txt", "one", "two")
    embed(store)
    before = store.vectors.after(WORDS.model).vectors
    with store.writing():
        index.rename_document(store, number, path, 6, 1)
    own = chunk_ids(store, path)
    np.testing.assert_array_equal(store.vectors.after(WORDS.model).vectors, before)
    assert store.vectors.after(WORDS.model).chunk_ids.tolist() == own
    assert store.vectors.missing_ids(WORDS.model) == []


def test_vectors_stay_when_the_index_is_built_again(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two")
    own = embed(store)
    store.set_analyzer_version("older")
    index.ensure_current(store)
    assert store.vectors.after(WORDS.model).chunk_ids.tolist() == own


def test_vectors_of_another_model_are_never_returned_and_are_replaced(store: KnowledgeStore) -> None:
    other = WordEmbedder("other")
    put(store, "/d/a.txt", "one", "two")
    own = embed(store)
    assert store.vectors.after(other.model).rows.size == 0
    assert store.vectors.missing_ids(other.model) == own
    embed(store, own[:1], other)
    assert store.vectors.count(WORDS.model) == store.vectors.count(other.model) == 1
    embed(store, own[1:], other)
    assert store.vectors.embedded() == ("other", other.model.fingerprint, 2, 2, 2)
    assert store.vectors.count(WORDS.model) == 0


def test_a_vector_for_a_chunk_that_is_gone_is_not_kept(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two")
    own = chunk_ids(store, "/d/a.txt")
    take_out(store, "/d/a.txt")
    assert store.vectors.write(WORDS.model, own, quantise(unit(2, 64))) == 0


# --- the order of work ------------------------------------------------------------------------------


def test_the_newest_document_comes_first_and_each_from_its_beginning(store: KnowledgeStore) -> None:
    put(store, "/d/old.txt", "one", "two")
    put(store, "/d/new.txt", "three", "four")
    expected = [*chunk_ids(store, "/d/new.txt"), *chunk_ids(store, "/d/old.txt")]
    assert store.vectors.missing_ids(WORDS.model) == expected


def test_what_searches_found_comes_before_everything(store: KnowledgeStore) -> None:
    put(store, "/d/old.txt", "one", "two", "three")
    put(store, "/d/new.txt", "four")
    first, second, third = chunk_ids(store, "/d/old.txt")
    (new,) = chunk_ids(store, "/d/new.txt")
    assert store.vectors.put_first([third, 12345])
    assert store.vectors.put_first([second, first])
    assert store.vectors.missing_ids(WORDS.model) == [second, first, third, new]
    assert store.vectors.put_first([third])
    assert store.vectors.first_ids(WORDS.model) == [third, second, first]
    assert [one.text for one in store.vectors.missing(WORDS.model, 2, first=[new])] == ["four", "three"]
    embed(store, [third])
    assert store.vectors.first_ids(WORDS.model) == [second, first]


def test_what_waits_to_come_first_stays_few(store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from ragchat.store import vectors as tables

    monkeypatch.setattr(tables, "_MOST_FIRST", 3)
    put(store, "/d/a.txt", *"abcde")
    own = chunk_ids(store, "/d/a.txt")
    store.vectors.put_first(own[:3])
    store.vectors.put_first(own[3:])
    assert store.vectors.first_ids(WORDS.model) == [own[3], own[4], own[0]]


def test_nobody_waits_for_a_writer_to_note_what_was_found(store: KnowledgeStore, tmp_path: Path) -> None:
    put(store, "/d/a.txt", "one")
    own = chunk_ids(store, "/d/a.txt")
    with KnowledgeStore.open(tmp_path, "a") as other, other.writing():
        started = time.monotonic()
        assert not store.vectors.put_first(own)
        with pytest.raises(BusyError):
            store.vectors.write(WORDS.model, own, quantise(unit(1, 64)), wait_s=0.05)
        assert time.monotonic() - started < 2
    assert store.vectors.put_first(own)


def test_chunks_in_languages_that_the_model_does_not_read_are_passed_over(store: KnowledgeStore) -> None:
    english = WordEmbedder("english")
    english.model = replace(english.model, languages=("en",))
    put(store, "/d/a.txt", "one", language="en")
    put(store, "/d/b.txt", "eins", "zwei", language="de")
    store.vectors.put_first(chunk_ids(store, "/d/b.txt"))
    assert store.vectors.missing_ids(english.model) == chunk_ids(store, "/d/a.txt")
    assert store.vectors.first_ids(english.model) == []
    assert len(store.vectors.missing_ids(WORDS.model)) == 3
    embed(store, (), english)
    assert store.vectors.embedded(english.model)[2:] == (1, 3, 1)


# --- in memory --------------------------------------------------------------------------------------


def test_meaning_finds_the_same_before_and_after_every_change(store: KnowledgeStore) -> None:
    """What is in memory is at every moment what a new reader would read."""
    kept = MeaningIndex([store], WORDS.model)

    def check() -> list[str]:
        query = WORDS.embed_query("the red fox")
        found = kept.nearest(query, 50)
        assert found == MeaningIndex([store], WORDS.model).nearest(query, 50)
        return [hit.text for hit in store.hits([(place.chunk_id, place.cosine) for place in found])]

    assert check() == []
    number = put(store, "/d/a.txt", "the red fox", "a blue whale")
    embed(store)
    assert check() == ["the red fox", "a blue whale"]
    put(store, "/d/b.txt", "a red fox", "the fox")
    assert len(check()) == 2
    embed(store, chunk_ids(store, "/d/b.txt")[:1])
    assert len(check()) == 3
    with store.writing():
        index.rename_document(store, number, "/d/renamed.txt", 6, 1)
    assert check()[0] == "the red fox"
    put(store, "/d/renamed.txt", "something else")
    assert check() == ["a red fox"]
    embed(store)
    assert len(check()) == 3
    take_out(store, "/d/b.txt")
    assert check() == ["something else"]
    store.vectors.forget()
    assert check() == []
    embed(store)
    assert check() == ["something else"]


@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_in_memory_is_what_is_in_the_file_whatever_happens_in_between(
    store: KnowledgeStore, tmp_path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    kept, query = MeaningIndex([store], WORDS.model), WORDS.embed_query("a b c")
    paths: list[str] = []
    with KnowledgeStore.open(tmp_path, "a") as other:
        for step in range(80):
            writer = dice.choice((store, other))
            what = dice.choice(("add", "add", "embed", "embed", "rename", "remove")) if paths else "add"
            if what == "add":
                paths.append(f"/d/{step}.txt")
                put(writer, paths[-1], *(" ".join(dice.choices("abcdef", k=4)) for _ in range(3)))
            elif what == "remove":
                take_out(writer, paths.pop(dice.randrange(len(paths))))
            elif what == "rename":
                place = dice.randrange(len(paths))
                document = writer.document_at(paths[place])
                assert document
                paths[place] = f"/e/{step}.txt"
                with writer.writing():
                    index.rename_document(writer, document.id, paths[place], 1, 1)
            elif missing := writer.vectors.missing_ids(WORDS.model)[:4]:
                embed(writer, missing)
            if dice.random() < 0.5:
                assert kept.nearest(query, 500) == MeaningIndex([store], WORDS.model).nearest(query, 500)


def test_what_another_process_embeds_is_found(store: KnowledgeStore, tmp_path: Path) -> None:
    put(store, "/d/a.txt", "the red fox")
    kept = MeaningIndex([store], WORDS.model)
    query = WORDS.embed_query("fox")
    assert kept.nearest(query, 5) == []
    assert not kept.has_any()
    with KnowledgeStore.open(tmp_path, "a") as other:
        embed(other)
    assert len(kept.nearest(query, 5)) == kept.count() == 1
    assert kept.has_any()


def test_a_knowledge_base_that_is_switched_off_is_not_searched_by_meaning(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "the red fox")
    own = embed(store)
    store.set_options(replace(store.options(), meaning=False))
    kept = MeaningIndex([store], WORDS.model)
    query = WORDS.embed_query("fox")
    assert kept.nearest(query, 5) == []
    assert (kept.count(), kept.has_any()) == (0, False)
    assert np.isnan(kept.cosines_of(0, own, query)).all()
    put(store, "/d/b.txt", "a fox")
    assert embed_missing(store, chunk_ids(store, "/d/b.txt"), WordEmbedder(), 5.0).chunk_ids == []


def test_several_knowledge_bases_are_one_list(store: KnowledgeStore, tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "b") as other:
        put(store, "/d/a.txt", "the red fox", "green grass")
        put(other, "/d/b.txt", "a red fox runs")
        embed(store)
        embed(other)
        found = MeaningIndex([store, other], WORDS.model).nearest(WORDS.embed_query("red fox"), 2)
    assert [place.store for place in found] == [0, 1]
    assert found[0].cosine > found[1].cosine > 0.4


def test_cosines_of_chunks_say_where_no_vector_is(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "the red fox", "green grass")
    first, second = chunk_ids(store, "/d/a.txt")
    embed(store, [second])
    found = MeaningIndex([store], WORDS.model).cosines_of(
        0, [first, second], WORDS.embed_query("green grass")
    )
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(1.0, abs=0.01)


# --- within a question ------------------------------------------------------------------------------


def test_a_question_embeds_what_it_found_and_keeps_it(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two", "three")
    own = chunk_ids(store, "/d/a.txt")
    embed(store, own[:1])
    made = embed_missing(store, own[::-1], WordEmbedder(), 5.0)
    assert made.chunk_ids == [own[2], own[1]]
    assert made.vectors.shape == (2, 64)
    assert store.vectors.count(WORDS.model) == 3
    assert embed_missing(store, own, WordEmbedder(), 5.0).chunk_ids == []


def test_a_question_embeds_no_more_than_its_time_and_notes_the_rest(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", *(f"text {i}" for i in range(40)))
    own = chunk_ids(store, "/d/a.txt")
    started = time.monotonic()
    made = embed_missing(store, own, WordEmbedder(seconds_each=0.02), 0.25)
    assert 4 <= len(made.chunk_ids) <= 12
    assert time.monotonic() - started < 0.6
    assert store.vectors.first_ids(WORDS.model) == own[len(made.chunk_ids) :]


def test_a_question_without_time_embeds_nothing_and_notes_all(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one", "two")
    own = chunk_ids(store, "/d/a.txt")
    assert embed_missing(store, own, WordEmbedder(), 0.0).chunk_ids == []
    assert store.vectors.first_ids(WORDS.model) == own


def test_a_question_embeds_twenty_at_most(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", *(f"text {i}" for i in range(40)))
    made = embed_missing(store, chunk_ids(store, "/d/a.txt"), WordEmbedder(), 60.0)
    assert len(made.chunk_ids) == vectors.MOST_IN_A_QUESTION == 20


def test_inside_a_reading_nothing_is_written_and_the_vectors_are_there(store: KnowledgeStore) -> None:
    put(store, "/d/a.txt", "one")
    with store.reading():
        made = embed_missing(store, chunk_ids(store, "/d/a.txt"), WordEmbedder(), 5.0)
    assert len(made.chunk_ids) == 1
    assert store.vectors.count(WORDS.model) == 0


# --- files that are carried -------------------------------------------------------------------------


def test_vectors_are_exported_and_imported(store: KnowledgeStore, tmp_path: Path) -> None:
    put(store, "/d/a.txt", "the red fox", "green grass")
    embed(store)
    target = tmp_path / "out" / "a.db"
    target.parent.mkdir()
    export_knowledge_base(store, target)
    with contextlib.closing(import_knowledge_base(tmp_path, target, "b")) as imported:
        assert imported.vectors.count(WORDS.model) == 2
    with contextlib.closing(open_foreign(target)) as foreign:
        found = MeaningIndex([foreign], WORDS.model).nearest(WORDS.embed_query("fox"), 1)
        assert len(found) == 1
        assert len(embed_missing(foreign, [1], WordEmbedder("other"), 5.0).chunk_ids) == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE vectors SET vector = x'00' WHERE id = 1", "length"),
        ("UPDATE vectors SET vector = printf('%064d', 1) WHERE id = 1", "BLOB"),
        ("UPDATE vectors SET model_id = 99", "model"),
        ("UPDATE vectors SET chunk_id = 99 WHERE id = 1", "chunk"),
        ("UPDATE embedding_models SET dimensions = 0", "dimensions"),
        ("UPDATE embedding_models SET dimensions = 1000000000", "dimensions"),
        ("UPDATE embedding_models SET name = 'a' || char(27) || '[2J'", "control characters"),
        ("INSERT INTO vectors_first VALUES (77, 1)", "chunk"),
    ],
)
def test_a_foreign_file_with_odd_vectors_is_refused(
    store: KnowledgeStore, tmp_path: Path, statement: str, said: str
) -> None:
    put(store, "/d/a.txt", "one", "two")
    embed(store)
    target = tmp_path / "out.db"
    export_knowledge_base(store, target)
    with contextlib.closing(sqlite3.connect(target)) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(StorageError, match=said):
        import_knowledge_base(tmp_path, target, "b")


def test_a_knowledge_base_of_the_last_schema_gets_the_tables(store: KnowledgeStore, tmp_path: Path) -> None:
    put(store, "/d/a.txt", "one")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        for table in ("vectors", "vectors_first", "embedding_models"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = '0007_vectors'")
        connection.execute(f"PRAGMA user_version = {LATEST - 1}")
        connection.commit()
    with KnowledgeStore.open(tmp_path, "a") as opened:
        assert embed(opened) == chunk_ids(opened, "/d/a.txt")


def test_vectors_of_models_with_the_same_fingerprint_and_other_dimensions_do_not_meet(
    store: KnowledgeStore,
) -> None:
    put(store, "/d/a.txt", "one")
    embed(store)
    other: EmbeddingModel = replace(WORDS.model, dimensions=32)
    assert MeaningIndex([store], other).nearest(unit(1, 32)[0], 5) == []
