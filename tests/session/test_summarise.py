"""Summaries of whole documents: what fits at once, parts and their levels, citations that open, and stopping in the middle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.errors import InferenceDiedError, NotFoundError, PromptTooLongError, UsageError
from ragchat.ingest.chunk import split
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.retrieval import index
from ragchat.session import digest as digests
from ragchat.session import summarise as summaries
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.digest import Digest, group
from ragchat.session.events import (
    AnswerFinished,
    MessageStored,
    PromptReady,
    SummaryProgress,
)
from ragchat.session.pace import Pace
from ragchat.session.replay import Replayed, recorded, replay
from ragchat.session.sources import Attachment
from ragchat.session.summarise import (
    WORDING,
    WholeDocument,
    cited,
    from_file,
    from_knowledge_base,
    one,
    summarise,
)
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import AdapterScale, CancelToken, ExtractedText, Message, Sampling, TextDelta

ANIMALS = ("otter", "crane", "badger", "falcon", "beaver", "marten", "viper", "salmon", "heron", "lynx")
OPTIONS = AskOptions(sampling=Sampling(max_tokens=200))


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


def report(sentences: int = 12, animals: Sequence[str] = ANIMALS) -> str:
    """A chapter for each animal; the first sentence of each says where it sleeps."""
    return "\n\n".join(
        f"# The {animal}\n\nThe {animal} sleeps under the {animal}bridge in winter [7]. "
        + " ".join(f"Visitors counted animal number {n} near the long grey wall." for n in range(sentences))
        for animal in animals
    )


def document(text: str, path: str = "/reports/animals.md") -> WholeDocument:
    return from_file(Attachment(path, "hash", ExtractedText(text, "text/markdown")))


def reader(messages: Sequence[Message]) -> str:
    """Says what the first sentences of each chapter say, or repeats the notes."""
    instructions, text = messages[0].content, messages[1].content
    lines = text.split("\n")
    if instructions == WORDING.join:
        return " ".join(line.removeprefix("- ") for line in lines)
    said = [sentence.strip() + "." for sentence in text.split(".") if "sleeps" in sentence]
    return " ".join(sentence.split("\n")[-1] for sentence in said) or "Nothing of note."


def run(
    chats: ChatStore | None,
    model: FakeModel,
    whole: WholeDocument,
    *,
    options: AskOptions = OPTIONS,
    cancel: CancelToken | None = None,
) -> list[object]:
    chat = chats.create_conversation("Summary").id if chats else 0
    return list(summarise(chats, chat, model, whole, options=options, cancel=cancel or CancelToken()))


# --- what is read ---------------------------------------------------------------------------------------


def test_the_passages_of_a_document_are_its_text_without_overlaps(tmp_path: Path) -> None:
    text = report()
    content = ExtractedText(text, "text/markdown", source_lines=True)
    chunks = split(content, chunk_tokens=60, overlap_tokens=20)
    assert any(b.span.char_first < a.span.char_last for a, b in pairwise(chunks))
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        record = FileRecord("/reports/animals.md", len(text), 1, content_hash="hash", title="Animals")
        number = index.write_document(store, record, chunks)
        whole = from_knowledge_base(store, number)
        with pytest.raises(NotFoundError):
            from_knowledge_base(store, number + 1)
    assert whole.name == "animals.md"
    end = 0
    for hit in whole.passages:
        assert hit.span.char_first >= end
        assert text[hit.span.char_first : hit.span.char_last] == hit.text
        assert text.count("\n", 0, hit.span.char_first) + 1 == hit.span.line_first
        end = hit.span.char_last
        assert (hit.knowledge_base, hit.document_id, hit.title) == ("zoo", number, "Animals")
    assert "".join("".join(hit.text for hit in whole.passages).split()) == "".join(text.split())
    assert "".join(one(whole.passages).text.split()) == "".join(text.split())
    assert one(whole.passages).span.line_last == text.count("\n") + 1


def test_a_document_that_fits_is_read_at_once(chats: ChatStore) -> None:
    model = FakeModel(reader)
    events = run(chats, model, document(report(2, ANIMALS[:3])))
    assert len(model.asked) == 1
    assert not [event for event in events if isinstance(event, SummaryProgress)]
    assert model.asked[0][0].content == WORDING.whole
    assert "[7]" not in model.asked[0][1].content, "its own numbers would pass for citations"
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    assert finished.text.count("sleeps under") == 3
    assert [citation.n for citation in finished.citations if citation.used] == [1, 2, 3]


def test_a_long_document_is_read_in_parts_and_each_point_is_cited(chats: ChatStore) -> None:
    model = FakeModel(reader, n_ctx=700)
    whole = document(report())
    events = run(chats, model, whole)
    parts = [messages for messages in model.asked if messages[0].content == WORDING.part]
    assert len(parts) > 2
    assert model.asked[-1][0].content == WORDING.join
    for messages in model.asked:
        assert model.count_prompt(messages) + 64 <= 700
    text = " ".join(messages[1].content for messages in parts)
    assert text.split() == report().replace(" [7]", "").split(), "all of it was read, once, in order"
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    used = [citation for citation in finished.citations if citation.used]
    assert len(used) == len(finished.citations) == len(ANIMALS)
    for animal, citation in zip(ANIMALS, used, strict=True):
        assert f"The {animal} sleeps under the {animal}bridge in winter [{citation.n}]." in finished.text
        assert citation.quote.startswith(f"The {animal} sleeps")
        span = citation.hit.span
        assert report()[span.char_first : span.char_last] == citation.hit.text
        assert citation.hit.path == "/reports/animals.md"


def test_notes_that_do_not_fit_at_once_are_put_together_in_levels(chats: ChatStore) -> None:
    animals = [f"{animal}{n}" for n in range(12) for animal in ANIMALS]
    wordy = "and so on and on " * 3

    def talker(messages: Sequence[Message]) -> str:
        return f"Notes on {len(messages[1].content.split())} words {wordy}"

    model = FakeModel(talker, n_ctx=400)
    events = run(chats, model, document(report(6, animals)))
    stages = [event.stage for event in events if isinstance(event, SummaryProgress)]
    assert stages == sorted(stages), "first map, then reduce"
    assert set(stages) == {"map", "reduce"}
    assert all(model.count_prompt(messages) + 64 <= 400 for messages in model.asked)
    assert isinstance(events[-1], AnswerFinished)


def test_progress_goes_up_and_tells_when_it_will_be_over(chats: ChatStore) -> None:
    model = FakeModel(reader, n_ctx=700, pause_s=0.001)
    told = [event for event in run(chats, model, document(report())) if isinstance(event, SummaryProgress)]
    assert [event.done_tokens for event in told] == sorted(event.done_tokens for event in told)
    assert told[-1].done_tokens == told[-1].total_tokens
    assert told[0].eta_s is None
    measured = [event.eta_s for event in told if event.summary]
    assert all(eta is not None and eta > 0 for eta in measured)
    assert [event.part for event in told if event.summary] == list(range(1, told[0].parts + 1))
    assert any("otterbridge" in event.summary for event in told)


def test_it_stands_in_the_chat_as_a_question_and_its_answer(chats: ChatStore) -> None:
    model = FakeModel(reader, n_ctx=700)
    events = run(chats, model, document(report()))
    stored = events[0]
    assert isinstance(stored, MessageStored)
    question, answer = chats.messages(stored.conversation_id)
    assert question.content == "Summarise animals.md"
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    assert answer.content == finished.text
    assert (answer.state, answer.citation_count) == ("complete", len(ANIMALS))
    assert chats.citations(answer.id) == list(finished.citations)
    generation = chats.generation(answer.id)
    assert generation
    assert generation.prompt == model.asked[-1]
    assert generation.sampling.temperature <= 0.2
    assert generation.sampling.seed is not None
    ready = next(event for event in events if isinstance(event, PromptReady))
    assert (
        sum(part.tokens for part in ready.parts) == ready.prompt_tokens == model.count_prompt(model.asked[-1])
    )
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert re.sub(r" \[\d+\]", "", finished.text) == said
    *_, again = replay(model, recorded(chats, answer.id), cancel=CancelToken())
    assert isinstance(again, Replayed)
    assert again.identical


def test_another_answer_to_it_is_made_from_the_same_notes(chats: ChatStore) -> None:
    model = FakeModel(reader, n_ctx=700)
    finished = run(chats, model, document(report()))[-1]
    assert isinstance(finished, AnswerFinished)
    *_, anew = ChatSession(chats, model, [], OPTIONS).regenerate(finished.answer_id, cancel=CancelToken())
    assert isinstance(anew, AnswerFinished)
    assert anew.text == finished.text
    assert model.asked[-1] == model.asked[-2]


# --- stopping, failing ----------------------------------------------------------------------------------


def test_what_was_read_until_it_was_stopped_is_the_answer(chats: ChatStore) -> None:
    model, cancel = FakeModel(reader, n_ctx=700), CancelToken()
    chat = chats.create_conversation("Summary").id
    events: list[object] = []
    for event in summarise(chats, chat, model, document(report()), options=OPTIONS, cancel=cancel):
        events.append(event)
        if isinstance(event, SummaryProgress) and event.part == 2 and event.summary:
            cancel.cancel()
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    assert finished.finish_reason == "cancelled"
    of = next(event.parts for event in events if isinstance(event, SummaryProgress))
    assert finished.text.startswith(f"Stopped after 2 of {of} parts. This is a summary of them.")
    points = finished.text.splitlines()[2:]
    assert len(points) == 2
    assert points[0].startswith("- The otter sleeps")
    assert [point.rstrip(".")[-3:] for point in points] == ["[1]", "[2]"]
    assert all(citation.used and "sleeps" in citation.quote for citation in finished.citations)
    answer = chats.messages(chat)[-1]
    assert (answer.state, answer.content) == ("cancelled", finished.text)
    generation = chats.generation(answer.id)
    assert generation
    assert [one.sentence for one in generation.left_out] == [f"Only 2 of {of} parts were read."]


def test_the_estimate_moves_within_a_part(chats: ChatStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragchat.session.digest._TELL_EVERY_S", 0.0)
    model = FakeModel(reader, n_ctx=700, pause_s=0.002)
    told = [event for event in run(chats, model, document(report())) if isinstance(event, SummaryProgress)]
    first = [event.eta_s for event in told if event.part == 1]
    assert first[0] is None
    assert first[-2] is not None, "while the first part was being written"
    second = [event.eta_s for event in told if event.part == 2 and event.eta_s is not None]
    assert len(set(second)) > 10
    assert second[-1] < second[0]


def test_an_estimate_is_what_is_left_at_the_pace_so_far() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    pace.begin(100)
    assert pace.left(300, 3) is None
    now = 10.0  # read at ten tokens a second
    for _ in range(8):
        now += 0.5
        pace.piece()
    guessed = pace.left(300, 3, 1.0)
    assert guessed is not None
    now = 30.5  # the note took twenty seconds
    pace.end()
    assert pace.left(300, 3, 1.0) == pytest.approx(10.5 / 100 * 300 + (3 + 2) * 20)
    pace.begin(100)
    assert pace.left(200, 2, 0.5) == pytest.approx(10.5 / 100 * (50 + 200) + (1 + 2 + 2) * 20)
    now += 10.5
    pace.piece()
    before = pace.left(200, 2, 1.0)
    now += 4
    after = pace.left(200, 2, 1.0)
    assert before is not None
    assert after == pytest.approx(before - 4)


def test_stopped_while_the_summaries_are_put_together_loses_none(chats: ChatStore) -> None:
    animals = [f"{animal}{n}" for n in range(12) for animal in ANIMALS]
    model = FakeModel(lambda messages: "Notes " + "and so on " * 20, n_ctx=400)
    chat, cancel = chats.create_conversation("Summary").id, CancelToken()
    events: list[object] = []
    whole = document(report(6, animals))
    for event in summarise(chats, chat, model, whole, options=OPTIONS, cancel=cancel):
        events.append(event)
        if isinstance(event, SummaryProgress) and event.stage == "reduce":
            cancel.cancel()
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    of = next(event.parts for event in events if isinstance(event, SummaryProgress))
    assert finished.text.startswith(f"Stopped after {of} of {of} parts")
    assert finished.text.count("- Notes") == of
    generation = chats.generation(finished.answer_id)
    assert generation
    assert generation.left_out == ()


def test_stopped_before_anything_was_read(chats: ChatStore) -> None:
    cancel = CancelToken()
    cancel.cancel()
    finished = run(chats, FakeModel(reader, n_ctx=700), document(report()), cancel=cancel)[-1]
    assert isinstance(finished, AnswerFinished)
    assert (finished.finish_reason, finished.text) == ("cancelled", "")
    assert chats.message(finished.answer_id).state == "cancelled"


def test_a_model_that_dies_leaves_the_question_and_the_error(chats: ChatStore) -> None:
    def dies(messages: Sequence[Message]) -> str:
        raise InferenceDiedError("The model's process was killed.")

    with pytest.raises(InferenceDiedError):
        run(chats, FakeModel(dies), document(report()))
    question, answer = chats.messages(chats.conversations()[0].id)
    assert question.content == "Summarise animals.md"
    assert (answer.state, answer.error) == ("error", "The model's process was killed.")


def test_a_caller_who_goes_away_leaves_it_interrupted(chats: ChatStore) -> None:
    chat = chats.create_conversation("Summary").id
    events = summarise(
        chats, chat, FakeModel(reader, n_ctx=700), document(report()), options=OPTIONS, cancel=CancelToken()
    )
    for event in events:
        if isinstance(event, SummaryProgress):
            break
    events.close()  # type: ignore[attr-defined]
    assert chats.messages(chat)[-1].state == "interrupted"


def test_nothing_to_summarise_and_no_room_for_it(chats: ChatStore) -> None:
    with pytest.raises(UsageError, match="no text"):
        run(chats, FakeModel(reader), document(" \n"))
    assert chats.messages(chats.conversations()[0].id) == [], "refused before anything is stored"
    with pytest.raises(PromptTooLongError, match="too small"):
        run(chats, FakeModel(reader, n_ctx=128), document(report()))


def test_without_a_store_it_only_says_it() -> None:
    finished = run(None, FakeModel(reader), document(report(2, ANIMALS[:2])))[-1]
    assert isinstance(finished, AnswerFinished)
    assert finished.citations


def test_a_summary_is_not_thought_over(chats: ChatStore) -> None:
    model = FakeModel(reader)
    adapters = (AdapterScale("style"),)
    number, options = chats.create_conversation("x").id, replace(OPTIONS, thinking=True, adapters=adapters)
    list(summarise(chats, number, model, document(report(2)), options=options, cancel=CancelToken()))
    assert {(use.thinking, use.adapters) for use in model.uses} == {(False, adapters)}


# --- parts ----------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(50, 200))
def test_groups_hold_everything_once_and_fit(sizes: list[int], room: int) -> None:
    groups = group(sizes, room)
    assert [n for first, last in groups for n in range(first, last)] == list(range(len(sizes)))
    assert all(first < last and sum(sizes[first:last]) <= room for first, last in groups)


def test_groups_are_of_about_the_same_size() -> None:
    assert group([10] * 11, 100) == [(0, 6), (6, 11)]


def test_one_endless_line_is_cut_and_read_whole(chats: ChatStore) -> None:
    line = " ".join(f"item{n}" for n in range(3000))
    model = FakeModel(lambda messages: "Items are listed.", n_ctx=700)
    run(chats, model, document(line))
    read = " ".join(m[1].content for m in model.asked if m[0].content == WORDING.part)
    assert read.split() == line.split()


def test_a_note_that_was_cut_ends_with_a_sentence() -> None:
    assert digests._whole_sentences("One is here. Two is he", cut=True).strip() == "One is here."
    assert digests._whole_sentences("One is he", cut=True) == "One is he"
    assert digests._whole_sentences("One is here. Two is he", cut=False) == "One is here. Two is he"


def test_a_digest_tells_what_fits() -> None:
    digest = Digest(
        loaded(FakeModel("")), WORDING, sampling=Sampling(temperature=1.5), longest=100, cancel=CancelToken()
    )
    assert (digest.sampling.temperature, digest.sampling.max_tokens) == (0.2, 100)
    assert digest.plan(["word " * 100] * 3) == [(0, 3)]
    assert len(digest.plan(["word " * 100] * 30)) == 4
    small = FakeModel("", n_params=135_000_000, n_ctx=4096)
    digest = Digest(loaded(small), WORDING, sampling=Sampling(), longest=100, cancel=CancelToken())
    assert len(digest.plan(["word " * 100] * 15)) == 2, "it would fit, but a small model loses the thread"
    assert digest.cut(["word " * 100]) == [[(0, 500)]]


# --- citations ------------------------------------------------------------------------------------------


def test_a_sentence_of_several_passages_is_cited_with_all_of_them() -> None:
    text = "The bakery opened in Lisbon.\n\nIts founder was Maria Tavares.\n\nSales doubled during spring."
    content = ExtractedText(text, "text/plain")
    passages = tuple(summaries._hits("/b.txt", "", "h", split(content, chunk_tokens=8, overlap_tokens=0)))
    assert len(passages) == 3
    (citation,) = cited("Founder Maria Tavares opened the bakery in Lisbon.", passages)
    assert "Lisbon" in citation.hit.text
    assert "Tavares" in citation.hit.text
    assert cited("Quantum computers factor integers.", passages) == ()


# --- the real model -------------------------------------------------------------------------------------


@pytest.mark.real_model
def test_the_real_model_summarises_a_document(chats: ChatStore, real_model: InferenceClient) -> None:
    text = (
        "The Harrow bridge crosses the river Lenn. It was built by Ada Pell in 1871 and has nine arches of red stone."
        " The bridge was closed for repairs in 1954, when a flood had damaged two of its arches. It was opened again"
        " two years later. Today about four thousand people walk over the bridge each day."
    )
    chat = chats.create_conversation("Summary").id
    events = list(
        summarise(
            chats, chat, real_model, document(text, "/bridge.md"), options=OPTIONS, cancel=CancelToken()
        )
    )
    finished = events[-1]
    assert isinstance(finished, AnswerFinished)
    assert "bridge" in finished.text.lower()
    assert finished.finish_reason in ("stop", "length")
    assert chats.messages(chat)[-1].content == finished.text
    assert finished.timings.decode_tok_s > 0
