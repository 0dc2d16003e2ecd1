"""The bytes of posting lists: what is written is what is read, whatever the form; bounds hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import bm25, postings
from ragchat.retrieval.invert import DocumentFields, concatenate, invert
from ragchat.retrieval.postings import CELL_BITS, RANGE_BITS, Bound, LongList, Postings

BOUND = Bound(1.5, 0.6, 20.0)


@st.composite
def segments(draw: st.DrawFn) -> tuple[Postings, np.ndarray]:
    """Lists of all forms: rare, patched, spread and long ones."""
    size = draw(st.sampled_from([1, 40, 700, 70_000, 300_000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    lists = []
    for number in range(draw(st.integers(1, 8))):
        share = draw(st.sampled_from([0.00002, 0.0003, 0.004, 0.05, 0.4]))
        slots = np.flatnonzero(rng.random(size) < share)
        slots = slots if slots.size else rng.integers(0, size, 1)
        one = draw(st.booleans())
        tfs = np.ones(slots.size) if one else np.minimum(rng.geometric(0.4, slots.size), 255)
        lists.append((f"t{number}", slots.astype(np.int32), tfs.astype(np.uint8)))
    made = Postings(
        [name for name, _, _ in lists],
        np.array([slots.size for _, slots, _ in lists]),
        np.concatenate([slots for _, slots, _ in lists]),
        np.concatenate([tfs for _, _, tfs in lists]),
    )
    return made, rng.integers(1, 60, size).astype(np.uint16)


def read(entries: bytes, df: int, size: int, blocks: list[bytes], first: int) -> tuple[list[int], list[int]]:
    if postings.is_long(entries):
        long_list = LongList(entries, df, size)
        ranges = np.arange(postings.ranges_in(size))
        missing = long_list.missing(ranges)
        long_list.fill(missing, [blocks[number - first] for number in missing.tolist()])
        slots, places = long_list.read(ranges)
        return slots.tolist(), long_list.frequencies(places).tolist()
    numbers = postings.spread_blocks(entries)
    if numbers is not None:
        entries = postings.gathered(entries, [blocks[number - first] for number in numbers])
    slots, tfs = postings.decode_short(entries, df)
    return slots.tolist(), tfs.tolist()


@given(segments(), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_what_is_read(segment: tuple[Postings, np.ndarray], first: int) -> None:
    made, lengths = segment
    lists, blocks = postings.encode(made, lengths, BOUND, first)
    starts = np.cumsum(made.counts) - made.counts
    assert [term for term, _, _ in lists] == made.terms
    short = []
    for (_, df, entries), start in zip(lists, starts.tolist(), strict=True):
        slots, tfs = read(entries, df, lengths.size, blocks, first)
        assert slots == made.slots[start : start + df].tolist()
        assert tfs == made.tfs[start : start + df].tolist()
        if not postings.is_long(entries) and postings.spread_blocks(entries) is None:
            short.append((entries, df, slots, tfs))
    if short:
        found = postings.decode_many(
            [entries for entries, *_ in short], np.array([df for _, df, *_ in short])
        )
        assert found[0].tolist() == [slot for *_, slots, _ in short for slot in slots]
        assert found[1].tolist() == [tf for *_, tfs in short for tf in tfs]


@given(segments())
@settings(max_examples=30, deadline=None)
def test_a_bound_is_never_below_what_it_bounds(segment: tuple[Postings, np.ndarray]) -> None:
    made, lengths = segment
    lists, _ = postings.encode(made, lengths, BOUND)
    starts = np.cumsum(made.counts) - made.counts
    for (_, df, entries), start in zip(lists, starts.tolist(), strict=True):
        if postings.is_long(entries):
            long_list = LongList(entries, df, lengths.size)
            slots, tfs = made.slots[start : start + df], made.tfs[start : start + df]
            exact = bm25.saturation(tfs, bm25.length_norm(lengths[slots], BOUND.avgdl, k1=1.5, b=0.6))
            bound = long_list.levels[slots >> CELL_BITS] * (long_list.peak / 15)
            assert (exact <= bound * (1 + 1e-6)).all()


def test_only_the_blocks_of_the_wanted_ranges_are_fetched() -> None:
    slots = np.arange(0, 200_000, 5, dtype=np.int32)
    made = Postings(["a"], np.array([slots.size]), slots, np.full(slots.size, 2, np.uint8))
    ((_, df, entries),), blocks = postings.encode(made, np.full(200_000, 9, np.uint16), BOUND, 7)
    long_list = LongList(entries, df, 200_000)
    wanted = np.array([3, 400])
    missing = long_list.missing(wanted)
    assert len(blocks) >= 9
    assert len(missing) == 2
    long_list.fill(missing, [blocks[number - 7] for number in missing.tolist()])
    found, places = long_list.read(wanted)
    assert found.tolist() == [slot for slot in slots.tolist() if slot >> RANGE_BITS in (3, 400)]
    assert set(long_list.frequencies(places).tolist()) == {2}
    assert not long_list.missing(wanted).size


@pytest.mark.parametrize(
    ("slots", "tfs", "size"),
    [
        ([0], [1], 1 + 1),
        ([255], [1], 1 + 1),
        ([256], [1], 1 + 2),
        ([65535], [1], 1 + 2),
        ([65536], [1], 1 + 3),
        ([0, 255, 510], [1, 1, 1], 1 + 3),
        ([0, 255, 510], [1, 2, 3], 1 + 3 + 1),
        ([0, 255, 510], [1, 9, 3], 1 + 3 + 1 + 1),
        ([*range(15), 600], [1] * 16, 1 + 16 + 2 + 1),
    ],
)
def test_a_list_takes_no_more_bytes_than_it_needs(slots: list[int], tfs: list[int], size: int) -> None:
    made = Postings(["a"], np.array([len(slots)]), np.array(slots, np.int32), np.array(tfs, np.uint8))
    ((_, _, entries),), blocks = postings.encode(made, np.ones(70_000, np.uint16), BOUND)
    assert (len(entries), blocks) == (size, [])


def chunk(text: str, heading: str = "") -> tuple[str, str]:
    return heading, text


def test_a_segment_holds_each_term_of_each_chunk() -> None:
    made = invert([(DocumentFields(), [chunk("lamp oil lamp"), chunk("oil the the the")])])
    found = dict(
        zip(made.postings.terms, np.split(made.postings.slots, np.cumsum(made.postings.counts)), strict=False)
    )
    assert {term: slots.tolist() for term, slots in found.items()} == {"lamp": [0], "oil": [0, 1], "the": [1]}
    assert made.lengths.tolist() == [3, 1], "stop words do not count"
    assert made.postings.tfs.tolist() == [2, 1, 1, 1], "a stop word counts once"


def test_fields_count_as_often_as_they_weigh() -> None:
    from ragchat.retrieval.invert import FieldWeights

    document = (DocumentFields("amber", "birch"), [chunk("cedar", "delta"), chunk("cedar")])
    made = invert([document], FieldWeights(heading=3, title=2, name=0))
    lists = np.split(made.postings.tfs, np.cumsum(made.postings.counts)[:-1])
    assert {term: tfs.tolist() for term, tfs in zip(made.postings.terms, lists, strict=True)} == {
        "amber": [2, 2],
        "cedar": [1, 1],
        "delta": [3],
    }
    assert made.lengths.tolist() == [2, 1], "title and name do not count, the heading counts once"


def test_frequencies_and_lengths_beyond_their_fields_are_clipped() -> None:
    made = invert([(DocumentFields(), [chunk("lamp " * 70_000)])])
    assert made.postings.tfs.tolist() == [255]
    assert made.lengths.tolist() == [65535]


@given(
    st.lists(
        st.lists(st.sampled_from(["amber", "birch", "cedar", "delta", "ember"]), max_size=9),
        min_size=1,
        max_size=6,
    )
)
def test_parts_put_together_are_the_whole(texts: list[list[str]]) -> None:
    documents = [(DocumentFields(), [chunk(" ".join(words))]) for words in texts]
    whole, parts = invert(documents), concatenate([invert([document]) for document in documents])
    assert whole.lengths.tolist() == parts.lengths.tolist()
    assert whole.postings.terms == parts.postings.terms
    for name in ("counts", "slots", "tfs"):
        assert getattr(whole.postings, name).tolist() == getattr(parts.postings, name).tolist()


def test_threads_that_analyse_at_once_do_not_mix_their_words() -> None:
    """A watch for each of several knowledge bases runs in a thread of its own."""
    import threading

    def words(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [" ".join(f"w{n}" for n in rng.integers(0, 4000, 40)) for _ in range(40)]

    def made(seed: int) -> tuple[list[str], list[int]]:
        postings_ = invert([(DocumentFields(), [chunk(text) for text in words(seed)])]).postings
        return postings_.terms, postings_.slots.tolist()

    expected = {seed: made(seed) for seed in range(12)}
    found: dict[int, object] = {}

    def work(seed: int) -> None:
        found[seed] = made(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def test_an_analysis_that_was_interrupted_leaves_no_false_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from ragchat.retrieval import invert as module

    text = "amber birch cedar"
    expected = invert([(DocumentFields(), [chunk(f"{text} delta")])]).postings.terms
    module._PER_THREAD.numberings.clear()
    calls = iter(range(100))

    def failing(part: str, language: str) -> list[str]:
        if next(calls) == 1:
            raise MemoryError
        return [part]

    monkeypatch.setattr(module, "part_terms", failing)
    with pytest.raises(MemoryError):
        invert([(DocumentFields(), [chunk(text)])])
    monkeypatch.undo()
    assert invert([(DocumentFields(), [chunk(f"{text} delta")])]).postings.terms == expected
