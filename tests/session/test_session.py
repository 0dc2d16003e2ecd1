"""The session: what it says in which order, what it stores and when, and what never exceeds the context."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragchat.errors import ModelError, PromptTooLongError, StorageError, UsageError
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel, LoadedFake
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.session import prompt, query
from ragchat.session.chat import NO_ROOM, NOT_FROM_DOCUMENTS, AskOptions, ChatSession
from ragchat.session.events import (
    AnswerFinished,
    AnswerKind,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    QuotesFound,
)
from ragchat.session.packing import Packing
from ragchat.session.sources import Sources
from ragchat.session.without_model import DECLINED
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import (
    CancelToken,
    GenerationFinished,
    Hit,
    LoadProgress,
    Message,
    OmissionKind,
    PortableChat,
    PortableMessage,
    PrefillProgress,
    ReasoningDelta,
    Role,
    Sampling,
    Span,
    TextDelta,
)


def ask(
    session: ChatSession, conversation: int, question: str, *, attachment: str = ""
) -> tuple[list[object], AnswerFinished]:
    events = list(session.ask(conversation, question, attachment=attachment, cancel=CancelToken()))
    assert isinstance(events[-1], AnswerFinished)
    return list(events), events[-1]


Event = TypeVar("Event")


def one(events: Sequence[object], kind: type[Event]) -> Event:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


# --- order and storing ------------------------------------------------------------------------------------


def test_events_come_in_their_order(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, FakeModel("It lasts seven years [1]."), [store], AskOptions())
    conversation = session.start("How long is the warranty of the Zephyr pump?")
    events, finished = ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    kinds: list[type] = []
    for event in events:
        if not kinds or kinds[-1] is not type(event):
            kinds.append(type(event))
    assert kinds == [
        *(MessageStored, QueryUsed, HitsFound, QuotesFound, LoadProgress, PromptReady, PrefillProgress),
        TextDelta,
        AnswerFinished,
    ]
    assert one(events, QueryUsed).knowledge_bases == ("notes",)
    assert one(events, HitsFound).hits[0].path == "/notes/zephyr.md"
    assert finished.from_documents
    assert finished.finish_reason == "stop"
    assert "".join(e.text for e in events if isinstance(e, TextDelta)).strip() == finished.text.strip()
    again, _ = ask(session, conversation, "Again: the warranty of the Zephyr pump?")
    assert not [event for event in again if isinstance(event, LoadProgress)], "a loaded model is not loaded"


class Broken(FakeModel):
    """Fails to load, or after some words."""

    def __init__(self, *, words: int | None = None, error: BaseException | None = None) -> None:
        super().__init__("one two three four five six")
        self.words, self.error = words, error or ModelError("The model is no good.")

    def load(
        self, cancel: CancelToken | None = None, **how: Any
    ) -> Generator[LoadProgress, None, LoadedFake]:
        if self.words is None:
            raise self.error
        return super().load(cancel, **how)

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        for said, event in enumerate(super().generate(messages, sampling, cancel=cancel)):
            if said > (self.words or 0):
                raise self.error
            yield event


def test_the_question_is_stored_before_inference(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, Broken(), [store], AskOptions())
    conversation = session.start("How is the Zephyr pump primed?")
    events = session.ask(conversation, "How is the Zephyr pump primed?", cancel=CancelToken())
    stored = next(events)
    assert isinstance(stored, MessageStored)
    assert chats.message(stored.question_id).content == "How is the Zephyr pump primed?"
    with pytest.raises(ModelError, match="no good"):
        list(events)
    asked, answer = chats.messages(conversation)
    assert (asked.role, asked.state) == ("user", "complete")
    assert (answer.role, answer.state, answer.error) == ("assistant", "error", "The model is no good.")
    assert answer.id == stored.answer_id


def test_a_model_that_fails_in_the_middle_leaves_what_it_said(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    session = ChatSession(chats, Broken(words=3), [store], AskOptions())
    conversation = session.start("q")
    with pytest.raises(ModelError):
        ask(session, conversation, "How is the Zephyr pump primed?")
    answer = chats.messages(conversation)[-1]
    assert (answer.state, answer.finish_reason, answer.content) == ("error", "error", "one two three ")
    # A failed exchange is no history.
    model = FakeModel("fine")
    ask(ChatSession(chats, model, [store], AskOptions()), conversation, "And the Orion lamp?")
    assert [m.role for m in model.asked[0]] == ["system", "user"]


def test_an_unexpected_failure_is_passed_on_and_not_left_streaming(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    session = ChatSession(chats, Broken(words=2, error=ZeroDivisionError()), [store], AskOptions())
    conversation = session.start("q")
    with pytest.raises(ZeroDivisionError):
        ask(session, conversation, "How is the Zephyr pump primed?")
    assert chats.messages(conversation)[-1].state == "interrupted"


def test_the_answer_is_stored_while_it_streams(
    chats: ChatStore, store: KnowledgeStore, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.session.record.SAVE_EVERY_S", 0.05)
    session = ChatSession(chats, FakeModel("a b c d e f g h", pause_s=0.03), [store], AskOptions())
    conversation = session.start("q")
    other = ChatStore(paths.chat_database)
    seen = []
    for event in session.ask(conversation, "How is the Zephyr pump primed?", cancel=CancelToken()):
        if isinstance(event, TextDelta):
            message = other.messages(conversation)[-1]
            seen.append(message.content)
            assert message.state == "streaming"
    assert other.messages(conversation)[-1].state == "complete"
    other.close()
    assert len(set(seen)) >= 3, seen
    assert all("a b c d e f g h ".startswith(text) for text in seen)


def test_cancel_keeps_what_was_said(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, FakeModel("one two three four five six"), [store], AskOptions())
    conversation, cancel = session.start("q"), CancelToken()
    said, last = 0, None
    for event in session.ask(conversation, "How is the Zephyr pump primed?", cancel=cancel):
        last = event
        said += isinstance(event, TextDelta)
        if said == 2:
            cancel.cancel()
    assert isinstance(last, AnswerFinished)
    answer = chats.messages(conversation)[-1]
    assert (answer.state, answer.finish_reason, last.finish_reason) == ("cancelled", "cancelled", "cancelled")
    assert answer.content.startswith("one two")
    assert "five" not in answer.content


@pytest.mark.parametrize("after", [MessageStored, QueryUsed, LoadProgress, PromptReady, TextDelta])
def test_a_consumer_that_goes_away_leaves_no_answer_streaming(
    chats: ChatStore, store: KnowledgeStore, after: type
) -> None:
    session = ChatSession(chats, FakeModel("one two three"), [store], AskOptions())
    conversation = session.start("q")
    events = session.ask(conversation, "How is the Zephyr pump primed?", cancel=CancelToken())
    for event in events:
        if isinstance(event, after):
            break
    events.close()  # type: ignore[attr-defined]
    assert chats.messages(conversation)[-1].state == "interrupted"


def test_a_consumer_that_goes_away_after_the_end_changes_nothing(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    session = ChatSession(chats, FakeModel("one two three"), [store], AskOptions())
    conversation = session.start("q")
    events = session.ask(conversation, "How is the Zephyr pump primed?", cancel=CancelToken())
    assert any(isinstance(event, AnswerFinished) for event in events)
    events.close()  # type: ignore[attr-defined]
    assert chats.messages(conversation)[-1].state == "complete"


def test_an_end_that_cannot_be_stored_is_an_error_and_not_a_stream(
    chats: ChatStore, store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = ChatSession(chats, FakeModel("one two three"), [store], AskOptions())
    conversation = session.start("q")
    really = ChatStore.finish_answer

    def finish(self: ChatStore, *args: object, **kwargs: object) -> None:
        if kwargs["state"] == "complete":
            raise StorageError("The disk is full.")
        really(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(ChatStore, "finish_answer", finish)
    with pytest.raises(StorageError):
        ask(session, conversation, "How is the Zephyr pump primed?")
    answer = chats.messages(conversation)[-1]
    assert (answer.state, answer.content.split()) == ("error", ["one", "two", "three"])


def test_no_question_is_refused_and_nothing_stored(chats: ChatStore) -> None:
    session = ChatSession(chats, FakeModel("x"), [], AskOptions())
    conversation = session.start("q")
    for empty in ("", "  \n", "\x1b[31m\x07"):
        with pytest.raises(UsageError):
            list(session.ask(conversation, empty, cancel=CancelToken()))
        with pytest.raises(UsageError):
            session.preview(empty, cancel=CancelToken())
    assert chats.messages(conversation) == []


def test_generation_and_citations_round_trip(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("The warranty lasts seven years [1].")
    sampled = Sampling(temperature=0.7, top_k=3, seed=77, stop=("###",))
    session = ChatSession(chats, model, [store], AskOptions(sampling=sampled, passages=2))
    conversation = session.start("q")
    events, finished = ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    generation = chats.generation(finished.answer_id)
    assert generation
    assert generation.prompt == model.asked[0], "exactly what was sent"
    assert generation.sampling == sampled
    assert (generation.model, generation.knowledge_bases) == ("fake", ("notes",))
    assert tuple(chats.citations(finished.answer_id)) == finished.citations
    assert [c.used for c in finished.citations] == [True, False]
    assert finished.citations[0].quote == "The warranty of the Zephyr pump lasts seven years."
    assert [c.hit for c in finished.citations] == list(one(events, HitsFound).hits[:2])
    answer = chats.message(finished.answer_id)
    assert answer.timings == finished.timings
    assert answer.citation_count == 2


def test_a_seed_is_drawn_and_recorded(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, FakeModel("fine"), [store], AskOptions(sampling=Sampling(seed=None)))
    conversation = session.start("q")
    seeds = set()
    for _ in range(3):
        _, finished = ask(session, conversation, "How is the Zephyr pump primed?")
        generation = chats.generation(finished.answer_id)
        assert generation
        assert generation.sampling.seed == finished.seed
        seeds.add(finished.seed)
    assert len(seeds) == 3


def test_without_a_store_nothing_is_needed(store: KnowledgeStore) -> None:
    _, finished = ask(ChatSession(None, FakeModel("fine"), [store], AskOptions()), 0, "The Zephyr pump?")
    assert finished.text.strip() == "fine"


# --- documents or not -------------------------------------------------------------------------------------


def test_plain_chat_without_knowledge_bases(chats: ChatStore) -> None:
    model = FakeModel("Sorted: [1, 2, 3].")
    session = ChatSession(chats, model, [], AskOptions(strict=True))
    conversation = session.start("Sort 3, 1, 2")
    events, finished = ask(session, conversation, "Sort 3, 1, 2")
    assert one(events, HitsFound).hits == ()
    assert finished.text.strip() == "Sorted: [1, 2, 3].", "no documents, hence no citations to mend"
    assert finished.citations == ()
    ask(session, conversation, "And 9, 8?")
    assert [m.role for m in model.asked[1]] == ["system", "user", "assistant", "user"]
    assert model.asked[1][1].content == "Sort 3, 1, 2"


# 1 MB, every word another.
LONG = " ".join(f"word{i}" for i in range(110_000))
UNKNOWN = "Which treaty ended the Franco-Prussian war?"


@pytest.mark.parametrize("question", [UNKNOWN, f"{UNKNOWN} Was it about batteries?"])
def test_nothing_relevant_is_said_and_no_passage_is_sent(
    chats: ChatStore, store: KnowledgeStore, question: str
) -> None:
    model = FakeModel("The treaty of Frankfurt [1].")
    session = ChatSession(chats, model, [store], AskOptions())
    events, finished = ask(session, session.start("q"), question)
    assert not one(events, HitsFound).relevant
    assert bool(one(events, HitsFound).hits) == (question != UNKNOWN), "the nearest there was"
    assert (finished.kind, finished.notice) == (AnswerKind.UNMATCHED, NOT_FROM_DOCUMENTS)
    assert finished.shown == f"{NOT_FROM_DOCUMENTS}\n\n{finished.text}"
    assert next(e for e in events if isinstance(e, TextDelta)).text.startswith(NOT_FROM_DOCUMENTS)
    assert not finished.from_documents
    assert finished.citations == ()
    assert "[1]" not in finished.text, "there is nothing it could point at"
    stored = chats.message(finished.answer_id)
    assert (stored.content, stored.notice, stored.text) == (finished.text, finished.notice, finished.shown)
    sent = "\n".join(message.content for message in model.asked[0])
    assert sent == f"{prompt.PLAIN_INSTRUCTIONS}\n{question}"


def test_strict_declines_without_the_model(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("The treaty of Frankfurt.")
    session = ChatSession(chats, model, [store], AskOptions(strict=True))
    conversation = session.start("q")
    _, finished = ask(session, conversation, UNKNOWN)
    assert model.asked == []
    assert model.info is None, "not even loaded"
    assert (finished.text, finished.from_documents) == (DECLINED, False)
    assert (finished.kind, finished.shown) == (AnswerKind.DECLINED, DECLINED)
    assert chats.messages(conversation)[-1].content == DECLINED
    ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    assert len(model.asked) == 1, "and answers what they hold"


def test_passages_that_do_not_fit_are_not_called_irrelevant(chats: ChatStore, store: KnowledgeStore) -> None:
    question = "How long is the warranty of the Zephyr pump?"
    model = FakeModel("Perhaps two years.", n_ctx=160)
    options = AskOptions(sampling=Sampling(max_tokens=64), passage_share=0.05)
    session = ChatSession(chats, model, [store], options)
    events, finished = ask(session, session.start("q"), question)
    assert one(events, HitsFound).relevant
    assert (finished.kind, finished.notice) == (AnswerKind.NO_ROOM, NO_ROOM)
    assert finished.text.strip() == "Perhaps two years."
    assert model.asked[0][0].content == prompt.PLAIN_INSTRUCTIONS, (
        "it is not told of passages it does not see"
    )
    assert one(events, PromptReady).left_out[0].kind is OmissionKind.PASSAGES
    strict = ChatSession(chats, model, [store], replace(options, strict=True))
    with pytest.raises(PromptTooLongError, match="none fits"):
        ask(strict, session.start("q"), question)
    assert len(model.asked) == 1


def test_attached_text_is_sent_and_stored_and_keeps_strict_from_declining(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    model = FakeModel("In 1871.")
    session = ChatSession(chats, model, [store], AskOptions(strict=True))
    conversation = session.start("q")
    _, finished = ask(session, conversation, UNKNOWN, attachment="The treaty of Frankfurt\x1b[2J ended it.")
    assert "The treaty of Frankfurt ended it." in model.asked[0][-1].content
    assert not finished.notice
    stored = chats.messages(conversation)[0].content
    assert UNKNOWN in stored
    assert "The treaty of Frankfurt ended it." in stored


# --- follow-ups -------------------------------------------------------------------------------------------

FOLLOW_UPS = [
    ("How is the Zephyr pump primed?", "And how long is its warranty?", "seven years"),
    ("What does the Orion lamp run on?", "And how long is its warranty?", "eleven months"),
    ("Tell me about the Orion lamp", "How long?", "ninety hours"),
    ("How is sourdough made?", "How hot should it be?", "240 degrees"),
]


@pytest.mark.parametrize(("first", "second", "expected"), FOLLOW_UPS)
def test_a_follow_up_searches_with_its_topic(
    chats: ChatStore, store: KnowledgeStore, first: str, second: str, expected: str
) -> None:
    model = FakeModel("Like this.")
    session = ChatSession(chats, model, [store], AskOptions(passages=2, min_match=0.1))
    conversation = session.start(first)
    ask(session, conversation, first)
    events, _ = ask(session, conversation, second)
    used = one(events, QueryUsed)
    assert used.query == second
    assert used.topic, "the words that were added are shown"
    assert any(expected in hit.text for hit in one(events, HitsFound).hits[:2])
    assert expected in model.asked[-1][-1].content


def test_the_topic_decides_where_the_question_alone_cannot(chats: ChatStore, store: KnowledgeStore) -> None:
    best = {}
    for first in ("How is the Zephyr pump primed?", "What does the Orion lamp run on?"):
        session = ChatSession(chats, FakeModel("Like this."), [store], AskOptions())
        conversation = session.start(first)
        ask(session, conversation, first)
        events, _ = ask(session, conversation, "And how long is its warranty?")
        best[first] = one(events, HitsFound).hits[0].path
    assert sorted(best.values()) == ["/notes/orion.md", "/notes/zephyr.md"]


def test_a_question_of_its_own_shows_no_topic() -> None:
    built = query.build("How hot must the oven be for baking sourdough bread?", ["How is the pump primed?"])
    assert built.topic == ()
    assert max(built.weights.values()) < 0.2
    assert query.build("anything", []).weights == {}
    assert query.build(LONG, []).text == LONG[: query.LONGEST_SEARCHED]


def test_the_topic_of_a_pasted_file_is_the_question_before_it(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    words = " ".join(f"word{i}" for i in range(60_000))
    model = FakeModel("Like this.", n_ctx=200_000)
    session = ChatSession(chats, model, [store], AskOptions())
    conversation = session.start("q")
    ask(session, conversation, "How is the Zephyr pump primed?", attachment=words)
    events, _ = ask(session, conversation, "And how long is its warranty?")
    used = one(events, QueryUsed)
    assert {"zephyr", "pump"} <= set(used.topic)
    assert len(used.topic) <= 16
    assert one(events, HitsFound).hits[0].path == "/notes/zephyr.md"


# --- nothing beyond n_ctx ---------------------------------------------------------------------------------

texts = st.text(max_size=400) | st.integers(0, 400).map(lambda n: "word " * n)


class Wordy(FakeModel):
    """Its template writes more around a message than anyone reckons with."""

    def __init__(self, n_ctx: int, extra: int) -> None:
        super().__init__("", n_ctx=n_ctx)
        self.extra = extra

    def count_prompt(self, messages: Sequence[Message]) -> int:
        return super().count_prompt(messages) + self.extra * len(messages)


def hits_of(bodies: Sequence[str]) -> list[Hit]:
    span = Span(0, 1, 1, 1)
    return [
        Hit(i, 1.0, "kb", i, i, f"/d/{i}.md", "", "Heading", span, text, "hash")
        for i, text in enumerate(bodies, 1)
    ]


@settings(max_examples=150, deadline=None)
@given(
    question=st.text(min_size=1, max_size=200) | st.just("word " * 300),
    history=st.lists(texts, max_size=200).map(lambda found: found[: len(found) // 2 * 2]),
    bodies=st.lists(texts, max_size=8),
    attachment=st.just("") | texts,
    n_ctx=st.integers(100, 4000),
    answer=st.integers(0, 2000),
    share=st.floats(0.01, 0.9),
    passages=st.integers(1, 8),
    extra=st.sampled_from([0, 0, 30]),
)
def test_a_prompt_never_exceeds_the_context(  # noqa: PLR0913
    question: str,
    history: list[str],
    bodies: list[str],
    attachment: str,
    n_ctx: int,
    answer: int,
    share: float,
    passages: int,
    extra: int,
) -> None:
    model = Wordy(n_ctx, extra)
    turns = [Message("assistant" if i % 2 else "user", text) for i, text in enumerate(history)]
    try:
        packed = prompt.pack(
            loaded(model),
            question,
            Sources(tuple(hits_of(bodies)), attachment),
            prompt.Layout(n_ctx, Packing(passages), passage_share=share, answer_tokens=answer),
            prompt.Earlier(tuple(turns)),
        )
    except PromptTooLongError as error:
        assert str(n_ctx) in str(error)  # noqa: PT017
        alone = [Message("system", prompt.INSTRUCTIONS), Message("user", f"{question}\n{attachment}")]
        assert model.count_prompt(alone) + prompt.SMALLEST_ANSWER + 4 > n_ctx
        return
    assert packed.prompt_tokens == model.count_prompt(packed.messages)
    assert packed.prompt_tokens + prompt.SMALLEST_ANSWER <= n_ctx
    assert sum(part.tokens for part in packed.parts) == packed.prompt_tokens
    assert packed.messages[0].role == "system"
    assert question.strip() in packed.messages[-1].content
    kept = packed.messages[1:-1]
    assert list(kept) == turns[len(turns) - len(kept) :], "the newest, whole and in order"
    assert len(kept) % 2 == 0
    offered = hits_of(bodies)[:passages]
    assert [c.hit for c in packed.citations] == offered[: len(packed.citations)], "in rank order"
    assert [c.n for c in packed.citations] == list(range(1, len(packed.citations) + 1))
    for citation in packed.citations:
        assert f"[{citation.n}] " in packed.messages[-1].content
        assert citation.hit.text.strip() in packed.messages[-1].content
    said = {omission.kind for omission in packed.left_out}
    assert (OmissionKind.PASSAGES in said) == (len(packed.citations) < len(offered))
    assert (OmissionKind.MESSAGES in said) == (len(kept) < len(turns))


def test_a_large_context_keeps_a_long_chat_whole() -> None:
    model = FakeModel("", n_ctx=20_000)
    turns = [Message("assistant" if i % 2 else "user", f"turn {i}") for i in range(400)]
    layout = prompt.Layout(20_000, Packing(1), passage_share=0.5, answer_tokens=100)
    packed = prompt.pack(loaded(model), "And now?", Sources(), layout, prompt.Earlier(tuple(turns)))
    assert list(packed.messages[1:-1]) == turns
    assert packed.left_out == ()


@pytest.mark.parametrize("n_ctx", [256, 2048])
def test_a_chat_of_a_thousand_turns(chats: ChatStore, store: KnowledgeStore, n_ctx: int) -> None:
    session = ChatSession(chats, FakeModel("Fine.", n_ctx=n_ctx), [store], AskOptions())
    roles: tuple[Role, Role] = ("user", "assistant")
    turns = tuple(PortableMessage(i + 1, i, roles[i % 2], f"Turn {i} about the pump.") for i in range(2000))
    conversation = chats.add_portable(PortableChat("q", "", "", turns, leaf_id=2000)).id
    events, finished = ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    ready = one(events, PromptReady)
    assert ready.prompt_tokens <= n_ctx
    assert any(omission.kind is OmissionKind.MESSAGES for omission in ready.left_out)
    generation = chats.generation(finished.answer_id)
    assert generation
    assert generation.left_out == ready.left_out


def test_a_message_of_a_megabyte_is_kept_and_refused_with_a_sentence(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    model = FakeModel("Fine.")
    session = ChatSession(chats, model, [store], AskOptions())
    conversation = session.start(LONG)
    assert len(chats.conversation(conversation).title) <= 60
    with pytest.raises(PromptTooLongError, match="The context has 2048") as caught:
        ask(session, conversation, LONG)
    assert caught.value.remedy
    asked, answer = chats.messages(conversation)
    assert asked.content == LONG
    assert answer.state == "error"
    # Attached to a question, what speaks to it goes in, and what does not fit is said.
    events, finished = ask(session, conversation, "How is the Zephyr pump primed?", attachment=LONG)
    assert finished.text.strip(), "the chat goes on"
    ready = next(event for event in events if isinstance(event, PromptReady))
    assert ready.prompt_tokens <= ready.n_ctx
    assert ready.left_out


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(question=st.text(min_size=1), earlier=st.lists(st.text(), max_size=3))
def test_any_question_gets_a_query(question: str, earlier: list[str]) -> None:
    built = query.build(question, earlier)
    assert all(0 < weight < 1 for weight in built.weights.values())
    assert set(built.topic) <= set(built.weights)
    assert built == query.build(question, earlier), "deterministic"


# --- with the real model ----------------------------------------------------------------------------------


@pytest.mark.real_model
def test_an_answer_from_documents_with_the_real_model(
    chats: ChatStore, store: KnowledgeStore, real_model: InferenceClient
) -> None:
    options = AskOptions(sampling=Sampling(temperature=0, max_tokens=40))
    session = ChatSession(chats, real_model, [store], options)
    conversation = session.start("q")
    events, finished = ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    assert "seven years" in finished.text
    (citation,) = [c for c in finished.citations if c.used]
    assert citation.hit.path == "/notes/zephyr.md"
    assert citation.quote in citation.hit.text
    ready = one(events, PromptReady)
    assert ready.prompt_tokens == finished.timings.prompt_tokens, "packed by the model's own count"
    assert sum(part.tokens for part in ready.parts) == ready.prompt_tokens
    generation = chats.generation(finished.answer_id)
    assert generation
    assert loaded(real_model).count_prompt(generation.prompt) == ready.prompt_tokens


@pytest.mark.real_model
def test_a_long_chat_and_a_long_message_with_the_real_model(
    chats: ChatStore, store: KnowledgeStore, real_model: InferenceClient
) -> None:
    session = ChatSession(chats, real_model, [store], AskOptions(sampling=Sampling(max_tokens=4)))
    conversation = session.start("q")
    with pytest.raises(PromptTooLongError):
        ask(session, conversation, LONG)
    for i in range(60):
        chats.add_user_message(conversation, f"Question {i}? " + "äöü 漢字 \U0001f600 " * 10)
        answer = chats.begin_answer(conversation)
        chats.finish_answer(answer.id, "Answer. " * 10, state="complete", finish_reason="stop")
    events, finished = ask(session, conversation, "How long is the warranty of the Zephyr pump?")
    assert one(events, PromptReady).left_out
    assert finished.timings.prompt_tokens == one(events, PromptReady).prompt_tokens <= 2048
