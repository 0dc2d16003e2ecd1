"""The bytes of posting lists: what is written is what is read, in the narrowest form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.retrieval import postings
from ragchat.retrieval.analyzer import length, terms


@st.composite
def lists(draw: st.DrawFn, largest: int = 2**32 - 1) -> tuple[list[int], list[int]]:
    chunks = sorted(draw(st.sets(st.integers(0, largest), min_size=1, max_size=60)))
    tfs = draw(st.lists(st.integers(1, 400), min_size=len(chunks), max_size=len(chunks)))
    return chunks, draw(st.sampled_from([tfs, [1] * len(chunks)]))


@given(lists())
def test_a_list_comes_back_as_it_was(given_list: tuple[list[int], list[int]]) -> None:
    chunks, tfs = given_list
    entries = postings.encode(np.array(chunks), np.array(tfs))
    found_chunks, found_tfs = postings.decode(entries, len(chunks))
    assert found_chunks.tolist() == chunks
    assert found_tfs.tolist() == [min(tf, postings.LARGEST_TF) for tf in tfs]


@given(lists(largest=600))
def test_the_short_way_writes_the_same_bytes(given_list: tuple[list[int], list[int]]) -> None:
    chunks, tfs = given_list
    short = postings._encode_short(chunks, tfs)
    assert (short is None) == (chunks[-1] > 255)
    assert short in (None, postings.encode(np.array(chunks), np.array(tfs)))


@pytest.mark.parametrize(
    ("chunks", "tfs", "size"),
    [
        ([0], [1], 1 + 1),
        ([255], [1], 1 + 1),
        ([256], [1], 1 + 2),
        ([65535], [1], 1 + 2),
        ([65536], [1], 1 + 4),
        ([0, 255, 510], [1, 1, 1], 1 + 3),
        ([0, 255, 510], [1, 2, 1], 1 + 3 + 3),
        ([0, 256], [1, 1], 1 + 2 * 2),
    ],
)
def test_gaps_take_the_narrowest_width(chunks: list[int], tfs: list[int], size: int) -> None:
    assert len(postings.encode(np.array(chunks), np.array(tfs))) == size


def test_frequencies_beyond_a_byte_are_clipped_and_do_not_wrap_around() -> None:
    for tf in (255, 256, 257, 100_000):
        entries = postings.encode(np.array([3]), np.array([tf]))
        assert postings.decode(entries, 1)[1].tolist() == [255]
        assert postings._encode_short([3], [tf]) == entries


@given(st.lists(st.lists(st.sampled_from(["red", "green", "blue", "the"]), max_size=8), max_size=300))
def test_a_segment_holds_each_term_of_each_chunk(chunk_terms: list[list[str]]) -> None:
    segment = postings.build_segment(chunk_terms)
    lengths = np.frombuffer(segment.lengths, "<u2").tolist()
    assert lengths == [length(found) for found in chunk_terms]
    assert segment.total_length == sum(lengths)
    back: list[dict[str, int]] = [{} for _ in chunk_terms]
    for term, (df, entries) in segment.postings.items():
        for chunk, tf in zip(*postings.decode(entries, df), strict=True):
            back[chunk][term] = int(tf)
    assert back == [{term: found.count(term) for term in found} for found in chunk_terms]


def test_a_chunk_longer_than_its_field_does_not_wrap_around() -> None:
    segment = postings.build_segment([terms("word " * 70_000)])
    assert np.frombuffer(segment.lengths, "<u2").tolist() == [postings.LARGEST_LENGTH]
    assert segment.total_length == postings.LARGEST_LENGTH
