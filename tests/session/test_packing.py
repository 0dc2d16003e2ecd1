"""How hits become passages: joined, within the budget, word for word; and which packing a model is given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.ingest.chunk import split
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.retrieval import evidence
from ragchat.retrieval.passages import join
from ragchat.retrieval.quoting import quote
from ragchat.session import packing, prompt
from ragchat.session.packing import GAP, Packing, pack_hits, render
from ragchat.session.sources import Sources
from ragchat.types import ExtractedText, Hit, Message, ModelInfo
from ragchat.types.answers import Quote

TEXT = """The Zephyr pump is made in Lund. It is primed for forty seconds before use. The handle is turned to the left.

A valve keeps the water in. It is checked twice a year. The seal is of red rubber, which ages in the sun.

The warranty lasts seven years. Keep the receipt in a dry place. The maker pays for the way back.

The motor draws two amperes. It stops at sixty degrees and starts again when it is cool. A lamp shows that."""

SHORT = " ".join(f"Part {n} is red." for n in range(40))


def count(texts: Sequence[str]) -> list[int]:
    return [len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]


def hits_of(text: str, *, document: int = 1, tokens: int = 30, overlap: int = 0, first: int = 1) -> list[Hit]:
    """A document's chunks as hits, scores falling."""
    chunks = split(
        ExtractedText(text, "text/plain", source_lines=True), chunk_tokens=tokens, overlap_tokens=overlap
    )
    return [
        Hit(
            n,
            10.0 / n,
            "kb",
            first + n - 1,
            document,
            f"/d/{document}.txt",
            "",
            chunk.heading,
            chunk.span,
            chunk.text,
            "h",
        )
        for n, chunk in enumerate(chunks, 1)
    ]


# --- joining ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n\n", "\n"), SHORT])
@pytest.mark.parametrize("overlap", [0, 12])
def test_chunks_side_by_side_become_the_stretch_of_the_document_that_they_cover(
    text: str, overlap: int
) -> None:
    hits = hits_of(text, overlap=overlap)
    assert len(hits) > 3
    third = hits.pop(2)
    (whole,) = join([third, *hits])
    assert whole.text == text
    assert (whole.span.char_first, whole.span.char_last) == (0, len(text))
    assert (whole.span.line_first, whole.span.line_last) == (1, text.count("\n") + 1)
    assert whole.chunk_id == third.chunk_id, "known by the best of them"


def test_what_has_text_between_stays_apart_and_in_order_of_rank() -> None:
    first, second, third, *_ = hits_of(TEXT)
    other = hits_of(TEXT, document=2, first=50)[0]
    assert join([third, other, first]) == [third, other, first]
    joined = join([third, other, second])
    assert [hit.document_id for hit in joined] == [1, 2]
    assert joined[0].text == TEXT[second.span.char_first : third.span.char_last]


def test_spans_that_do_not_fit_their_text_are_not_joined() -> None:
    a, b = hits_of(SHORT, overlap=12)[:2]
    assert b.span.char_first < a.span.char_last, "they overlap"
    assert len(join([a, b])) == 1
    wrong = replace(b, text="x" * len(b.text))
    assert join([a, wrong]) == [a, wrong]
    elsewhere = replace(b, knowledge_base="another")
    assert join([a, elsewhere]) == [a, elsewhere]


# --- quotes -----------------------------------------------------------------------------------------------


def test_quotes_are_packed_alone_under_the_number_of_their_passage() -> None:
    question, hits = "Where is the Zephyr pump made?", hits_of(TEXT, tokens=60)
    passages, sizes, missing = pack_hits(count, question, hits, Packing(2, "quotes"), room=400)
    quotes = quote(question, hits)
    assert passages[0].quote == quotes[0].text
    assert "made in Lund" in passages[0].text
    assert {one.hit for one in quotes} == {passage.hit for passage in passages}
    (best,), _, _ = pack_hits(count, question, hits, Packing(1, "quotes"), room=400)
    assert best.text == quotes[0].text.strip(), "no more quotes than passages"
    assert sum(len(passage.text) for passage in passages) < len(TEXT) / 2
    assert (len(sizes), missing) == (len(passages), 0)
    for passage in passages:
        assert all(piece in passage.hit.text for piece in passage.text.split(GAP)), "word for word"


def test_quotes_that_are_known_are_those_that_are_packed() -> None:
    hits = hits_of(TEXT, tokens=60)
    at = hits[1].text.index("The warranty")
    known = (Quote(hits[1], at, at + 32),)
    packed = prompt.pack(
        loaded(FakeModel("")),
        "And for how long?",
        Sources().found(hits, known),
        prompt.Layout(2048, Packing(2, "quotes", answer="copied"), passage_share=0.5, answer_tokens=64),
    )
    (passage,) = packed.passages
    assert passage == f"[1] {known[0].text.strip()}"
    assert packed.citations[0].hit == hits[1]
    assert known[0].text.strip() in packed.grammar


def test_without_a_quote_the_first_passage_is_packed() -> None:
    (passage,), _, _ = pack_hits(count, "?", hits_of(TEXT), Packing(2, "quotes"), room=400)
    assert passage.text == hits_of(TEXT)[0].text
    assert pack_hits(count, "How long?", [], Packing(2, "quotes"), room=400)[0] == []


# --- evidence ---------------------------------------------------------------------------------------------


def test_evidence_is_the_piece_that_speaks_to_the_question_with_marks_where_something_is_left_out() -> None:
    (passage,), (size,), missing = pack_hits(
        count,
        "How long is the warranty of the pump, and where is it made?",
        hits_of(TEXT),
        Packing(4, "evidence"),
        room=45,
    )
    assert "The Zephyr pump is made in Lund." in passage.text
    assert "The warranty lasts seven years." in passage.text
    assert GAP in passage.text
    assert passage.text.index("Lund") < passage.text.index("warranty"), "in the order of the document"
    assert size <= 45
    assert missing == 0
    assert passage.quote in ("The Zephyr pump is made in Lund.", "The warranty lasts seven years.")


def test_what_several_documents_say_alike_is_packed_once() -> None:
    hits = [*hits_of(TEXT), *hits_of(TEXT, document=2, first=50)]
    passages, _, _ = pack_hits(count, "How long is the warranty?", hits, Packing(8, "evidence"), room=400)
    packed = "\n".join(passage.text for passage in passages)
    assert packed.count("The warranty lasts seven years.") == 1


def test_no_more_passages_than_wished_for() -> None:
    hits = [
        hit
        for d in range(1, 6)
        for hit in hits_of(TEXT.replace("Zephyr", f"Zephyr{d}"), document=d, first=50 * d)[:1]
    ]
    passages, _, _ = pack_hits(count, "Where is the pump made?", hits, Packing(2, "evidence"), room=400)
    assert len(passages) == 2


sentences = st.lists(
    st.text(st.sampled_from("abc d\n.#|€本"), max_size=60)
    | st.just("The pump is primed. ")
    | st.just("word " * 200),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(
    bodies=st.lists(sentences.map("".join), max_size=4),
    question=st.sampled_from(["pump", "Is the pump primed?", "", "本 abc"]),
    room=st.integers(0, 300),
    form=st.sampled_from(["chunks", "evidence", "by_confidence"]),
    most=st.integers(1, 5),
    budget=st.sampled_from([0, 0, 40]),
)
def test_passages_fit_the_room_and_hold_nothing_but_the_document(
    bodies: list[str], question: str, room: int, form: packing.Form, most: int, budget: int
) -> None:
    hits = [
        hit for d, body in enumerate(bodies) for hit in hits_of(body, document=d, first=100 * d, overlap=8)
    ]
    passages, sizes, missing = pack_hits(count, question, hits, Packing(most, form, budget=budget), room=room)
    assert len(passages) <= most
    assert len(sizes) == len(passages)
    assert missing >= 0
    bound = room if form == "by_confidence" and len(passages) == 1 else min(room, budget or room)
    assert sum(sizes) + 2 * len(sizes) <= bound or not passages
    for passage in passages:
        body = bodies[passage.hit.document_id]
        span = passage.hit.span
        assert passage.hit.text.split() == body[span.char_first : span.char_last].split()
        assert passage.quote in passage.hit.text
        at = 0
        for piece in passage.text.split(GAP):
            at = passage.hit.text.index(piece, at) + len(piece)


def test_the_weights_of_all_pieces_are_one() -> None:
    pieces = evidence.weigh("How long is the warranty?", hits_of(TEXT))
    assert sum(piece.weight for piece in pieces) == pytest.approx(1)
    assert evidence.weigh("anything", []) == []
    long = hits_of("word " * 1000, tokens=2000)
    assert all(
        piece.last - piece.first <= evidence.LONGEST_EVIDENCE for piece in evidence.weigh("word", long)
    )


# --- by confidence ----------------------------------------------------------------------------------------

BY_CONFIDENCE = Packing(3, "by_confidence", budget=90)


def grown(*scores: float) -> list[Hit]:
    """Hits of several documents, each found by its third paragraph and grown to its whole text."""
    found = []
    for n, score in enumerate(scores, 1):
        text = TEXT.replace("Zephyr", f"Zephyr{n}").replace("seven years", f"{n} years")
        chunks = hits_of(text, document=n, first=100 * n)
        chunk = next(one for one in chunks if "warranty" in one.text)
        (whole,) = join(chunks)
        found.append(replace(whole, rank=n, score=score, found=chunk.span, chunk_id=chunk.chunk_id))
    return found


def test_a_first_passage_that_is_clearly_ahead_is_packed_alone_and_whole() -> None:
    for hits in (grown(10.0, 9.0, 8.0), grown(10.0)):
        (passage,), _, missing = pack_hits(count, "How long is the warranty?", hits, BY_CONFIDENCE, room=400)
        assert passage.text == hits[0].text, "the budget is for several"
        assert missing == 0


def test_when_the_first_is_not_clear_what_was_found_of_it_goes_with_the_best_pieces_of_others() -> None:
    hits = grown(10.0, 9.5, 9.4, 9.3)
    passages, sizes, _ = pack_hits(count, "How long is the warranty?", hits, BY_CONFIDENCE, room=400)
    first, *others = passages
    assert first.hit == hits[0]
    assert first.text == hits[0].found_text != hits[0].text
    assert others
    assert len(others) <= 2
    assert all("The warranty lasts" in passage.text for passage in others)
    assert sum(sizes) + 2 * len(sizes) <= 90


def test_without_room_for_others_the_first_passage_is_packed_whole() -> None:
    hits = grown(10.0, 9.5)
    for way in (replace(BY_CONFIDENCE, budget=60), replace(BY_CONFIDENCE, passages=1)):
        (passage,), _, _ = pack_hits(count, "How long is the warranty?", hits, way, room=400)
        assert passage.text == hits[0].text
    assert pack_hits(count, "How long?", hits, BY_CONFIDENCE, room=10) == ([], [], 1)
    assert pack_hits(count, "How long?", [], BY_CONFIDENCE, room=400) == ([], [], 0)


def test_the_quote_of_a_shortened_passage_is_in_what_is_packed() -> None:
    first, *others = grown(10.0, 9.5)
    for evidence_text in ("The warranty lasts 1 years.", "A lamp shows that."):
        hits = [replace(first, evidence=evidence_text), *others]
        (passage, *_), _, _ = pack_hits(count, "How long is the warranty?", hits, BY_CONFIDENCE, room=400)
        assert passage.quote in passage.text


# --- in the prompt ----------------------------------------------------------------------------------------


def packed(way: Packing, *, n_ctx: int = 1000, history: Sequence[Message] = ()) -> prompt.PackedPrompt:
    return prompt.pack(
        loaded(FakeModel("", n_ctx=n_ctx)),
        "How long is the warranty?",
        Sources(tuple(hit for d in range(3) for hit in hits_of(TEXT, document=d, first=50 * d)[:1])),
        prompt.Layout(n_ctx, way, passage_share=0.5, answer_tokens=50),
        prompt.Earlier(tuple(history)),
    )


def test_best_last_turns_the_order_and_the_numbers_round() -> None:
    first = [citation.hit.document_id for citation in packed(Packing(3)).citations]
    last = packed(Packing(3, order="best_last"))
    assert [citation.hit.document_id for citation in last.citations] == first[::-1]
    assert [citation.n for citation in last.citations] == [1, 2, 3]
    for citation in last.citations:
        assert (
            render(citation.n, packing.Passage(citation.hit, citation.hit.text, ""))
            in last.messages[-1].content
        )


def test_a_worked_example_stands_before_the_chat_and_is_counted() -> None:
    history = [Message("user", "Hello"), Message("assistant", "Good day.")]
    with_example = packed(Packing(1, example=True), history=history)
    system, *middle, _ = with_example.messages
    assert [message.role for message in middle] == ["user", "assistant"] * 2
    assert middle[2:] == history
    assert sum(part.tokens for part in with_example.parts) == with_example.prompt_tokens
    assert "worked example" in {part.name for part in with_example.parts}
    assert system.content == prompt.WORDINGS["careful"]
    crowded = packed(Packing(1, example=True), n_ctx=190)
    assert "worked example" not in {part.name for part in crowded.parts}, "a passage is worth more"
    assert crowded.citations


def test_every_wording_is_there() -> None:
    for name, text in prompt.WORDINGS.items():
        assert packed(Packing(1, wording=name)).messages[0].content == text


# --- which packing ----------------------------------------------------------------------------------------


def info(path: str = "/models/a.gguf", n_params: int = 10**8) -> ModelInfo:
    return replace(loaded(FakeModel("")).info, path=path, n_params=n_params, size_bytes=77)


def test_a_small_model_alone_copies_from_quotes_and_one_with_adapters_reads_whole_passages() -> None:
    assert packing.for_model(info(), {}, alone=True) == packing.HELPED
    assert packing.for_model(info(), {}) == Packing(1)
    assert packing.for_model(info(n_params=10**9), {}, alone=True) == Packing(2), "a larger one is free"
    asked = packing.for_model(info(), {}, alone=True, passages=3)
    assert (asked.passages, asked.form) == (3, "chunks"), "a number of passages is one of whole ones"
    choices = {packing.model_key(info()): Packing(1, answer="words")}
    assert packing.for_model(info(), choices, alone=True).answer == "words"
    assert packing.for_model(info(), choices).answer == "free"


def test_a_measured_choice_wins_over_the_size_and_a_setting_over_both(tmp_path: Path) -> None:
    file = tmp_path / "data" / "packings.json"
    assert packing.read_choices(file) == {}
    assert packing.for_model(info(), {}) == packing.for_size(10**8)
    chosen = Packing(3, "evidence", budget=256)
    packing.write_choice(file, info(), chosen)
    packing.write_choice(file, info("/models/b.gguf"), Packing(2))
    choices = packing.read_choices(file)
    assert packing.for_model(info("/elsewhere/a.gguf"), choices) == chosen, (
        "a copy of the file is the same model"
    )
    assert packing.for_model(info(), choices, passages=5) == replace(chosen, passages=5)
    assert packing.for_model(info("/models/c.gguf"), choices) == packing.for_size(10**8)


@pytest.mark.parametrize("content", ["", "[]", '{"a": {"passages": "many"}}', '{"a": {"passages": 0}}'])
def test_a_file_of_choices_that_cannot_be_read_is_as_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "packings.json"
    file.write_text(content, "utf-8")
    assert packing.read_choices(file) == {}


def test_evidence_is_searched_in_more_hits_than_are_packed() -> None:
    assert packing.hits_wanted([], 8) == 8
    assert packing.hits_wanted([Packing(1), Packing(5)], 8) == 8
    assert packing.hits_wanted([Packing(12)], 8) == 12
    assert packing.hits_wanted([Packing(1), Packing(3, "evidence")], 8) == packing.EVIDENCE_HITS == 16
    assert packing.hits_wanted([Packing(3, "evidence")], 20) == 20
    assert packing.hits_wanted([Packing(2, "by_confidence")], 0) == 8


def test_larger_models_are_given_more() -> None:
    sizes = [packing.for_size(n).passages for n in (10**8, 10**9, 2 * 10**9, 8 * 10**9)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 1
    with pytest.raises(ValueError, match="0 passages"):
        Packing(0)
