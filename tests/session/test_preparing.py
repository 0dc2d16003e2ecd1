"""Before a question is sent: what it would be answered from, what is worth reading ahead, and that the prompt stays the same."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest

from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, PromptReady
from ragchat.session.packing import Packing
from ragchat.session.preparing import Foreseen, Plan, Reading, Typed
from ragchat.session.prompt import PackedPrompt
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Citation, Hit, Message, Sampling, Span

QUESTION = "How long is the warranty of the Zephyr pump?"
GREEDY = Sampling(temperature=0, max_tokens=24)


def loaded_fake(answer: str = "It lasts seven years [1].") -> FakeModel:
    model = FakeModel(answer)
    list(model.load())
    return model


def packed(*pieces: str, system: str = "Answer.") -> PackedPrompt:
    head = Message("system", system)
    text = "\n\n".join([*pieces, "Question: Why?"])
    return PackedPrompt((head, Message("user", text)), (), 0, 2048, (), (), before=pieces)


def last(messages: tuple[Message, ...]) -> str:
    return messages[-1].content


# --- what is worth it -------------------------------------------------------------------------------------


def test_passages_are_read_that_pauses_in_a_row_found_in_their_place() -> None:
    plan = Plan(pauses=2)
    assert last(plan.beginning(packed("[1] a", "[2] b"))) == ""
    assert last(plan.beginning(packed("[1] a", "[2] c"))) == "[1] a\n\n"
    assert last(plan.beginning(packed("[1] a", "[2] c"))) == "[1] a\n\n[2] c\n\nQuestion:"
    assert last(plan.beginning(packed("[1] d", "[2] c"))) == ""
    usual = Plan()
    found = [last(usual.beginning(packed("[1] a"))) for _ in range(3)]
    assert found == ["", "", "[1] a\n\nQuestion:"]


def test_a_passage_that_is_missing_now_leaves_the_end_open() -> None:
    plan = Plan(pauses=2)
    plan.beginning(packed("[1] a", "[2] b"))
    assert last(plan.beginning(packed("[1] a"))) == ""
    assert last(plan.beginning(packed("[1] a", "[2] b"))) == "[1] a\n\n"


def test_another_beginning_makes_no_passage_stable() -> None:
    plan = Plan(pauses=2)
    plan.beginning(packed("[1] a"))
    assert last(plan.beginning(packed("[1] a", system="Other."))) == ""


def test_what_is_read_in_vain_for_one_question_has_a_cap() -> None:
    plan = Plan(pauses=1, most_wasted=150)
    long = "word " * 100
    assert last(plan.beginning(packed(f"[1] {long}"))) != ""
    assert last(plan.beginning(packed(f"[1] other {long}"))) != "", "125 tokens in vain"
    assert last(plan.beginning(packed(f"[1] third {long}"))) != "", "now 250"
    assert last(plan.beginning(packed(f"[1] fourth {long}"))) == ""
    grown = Plan(pauses=1, most_wasted=150)
    for n in range(1, 6):
        assert grown.beginning(packed(*(f"[{m}] {long}" for m in range(1, n + 1))))
    assert last(grown.beginning(packed(f"[1] {long}"))) != "", "what only grows is not in vain"


def hit(chunk: int) -> Hit:
    return Hit(1, 1.0, "notes", chunk, 1, "/a.md", "", "", Span(0, 1, 1, 1), "text", "")


def test_behind_the_best_passage_those_that_are_read_stay_in_front() -> None:
    plan = Plan(pauses=1)
    before = packed("[1] a", "[2] b")
    read = replace(
        before, passages=before.before, citations=(Citation(1, hit(1), ""), Citation(2, hit(2), ""))
    )
    plan.beginning(read)

    def order(*chunks: int) -> list[int]:
        return [one.chunk_id for one in plan.in_order([hit(n) for n in chunks], 3)]

    assert order(1, 3, 2) == [1, 2, 3], "the same passages: what is read need not be read again"
    assert order(1, 4, 3) == [1, 4, 3], "what is not wanted any more makes no room"
    assert order(1, 5, 6, 2) == [1, 5, 6, 2], "only among those that are packed"
    assert order(2, 1, 3) == [2, 1, 3], "the best one is in front, whatever is read"
    assert order() == []


# --- reading ----------------------------------------------------------------------------------------------


def test_what_is_being_read_goes_on_while_it_begins_the_next_prompt() -> None:
    done: list[tuple[str, bool]] = []
    go_on, begun = threading.Event(), threading.Event()

    def read(foreseen: Foreseen, cancel: CancelToken) -> None:
        begun.set()
        while not go_on.wait(0.005) and not cancel.cancelled:
            pass
        done.append((last(foreseen.beginning), cancel.cancelled))

    def beginning(*pieces: str) -> Foreseen:
        return Foreseen(beginning=packed(*pieces).beginning(len(pieces)))

    reading = Reading(read)
    reading.want(beginning("[1] a"))
    assert begun.wait(5)
    reading.want(beginning("[1] a", "[2] b"))
    reading.want(beginning("[1] a", "[2] c"))
    go_on.set()
    assert reading.wait(5)
    assert done == [("[1] a\n\nQuestion:", False), ("[1] a\n\n[2] c\n\nQuestion:", False)]
    done.clear()
    go_on.clear()
    begun.clear()
    reading.want(beginning("[1] a", "[2] b"))
    assert begun.wait(5)
    reading.want(beginning("[1] a"))
    reading.want(beginning("[1] x"))
    while not done:
        time.sleep(0.005)
    go_on.set()
    assert reading.wait(5)
    assert done == [("[1] a\n\n[2] b\n\nQuestion:", True), ("[1] x\n\nQuestion:", False)]


def test_what_was_stopped_is_read_when_it_is_wanted_again() -> None:
    done: list[bool] = []
    begun = threading.Event()

    def read(_: Foreseen, cancel: CancelToken) -> None:
        begun.set()
        if not done:
            while not cancel.cancelled:
                time.sleep(0.005)
        done.append(cancel.cancelled)

    reading = Reading(read)
    wanted = Foreseen(beginning=packed("[1] a").beginning(1))
    reading.want(wanted)
    assert begun.wait(5)
    with reading._guard:  # so that the thread has not ended between the two
        reading._next = None
        reading._cancel.cancel()
        cancelled = reading._cancel
    assert cancelled.cancelled
    reading.want(wanted)
    assert reading.wait(5)
    assert done[-1] is False


# --- the session ------------------------------------------------------------------------------------------


def test_what_is_read_ahead_begins_the_prompt(chats: ChatStore, store: KnowledgeStore) -> None:
    model = loaded_fake()
    session = ChatSession(chats, model, [store], AskOptions())
    number, plan = session.start(QUESTION), Plan()
    for typed in ("How long is the warranty of", "How long is the warranty of the Zephyr", *[QUESTION] * 3):
        foreseen = session.foresee(Typed(number, typed), plan, cancel=CancelToken())
        session.read_ahead(foreseen, cancel=CancelToken())
    list(session.ask(number, QUESTION, plan=plan, cancel=CancelToken()))
    *head, begun = model.prepared[-1]
    assert tuple(head) == model.asked[0][:-1]
    assert begun.content.endswith("Question:")
    assert model.asked[0][-1].content.startswith(begun.content + " ")
    assert foreseen.relevant
    assert foreseen.citations[0].hit.path == "/notes/zephyr.md"


def test_nothing_is_stored_asked_or_loaded(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("no")
    session = ChatSession(chats, model, [store], AskOptions())
    number = session.start(QUESTION)
    foreseen = session.foresee(Typed(number, QUESTION), Plan(), cancel=CancelToken())
    assert foreseen.citations
    assert foreseen.beginning == ()
    assert session.read_ahead(foreseen, cancel=CancelToken()) is None
    assert session.warm(number, cancel=CancelToken()) is None
    assert (model.info, model.prepared, model.asked) == (None, [], [])
    assert chats.messages(number) == []


@pytest.mark.parametrize("typed", ["", "  ", "Wa", "?!,.-", "quark neutrino"])
def test_what_the_documents_do_not_answer_shows_no_passage(
    chats: ChatStore, store: KnowledgeStore, typed: str
) -> None:
    session = ChatSession(chats, loaded_fake(), [store], AskOptions())
    assert session.foresee(Typed(0, typed), Plan(), cancel=CancelToken()).citations == ()


def test_the_next_prompt_begins_with_what_is_read_after_an_answer(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    model = loaded_fake()
    session = ChatSession(chats, model, [store], AskOptions())
    number = session.start(QUESTION)
    list(session.ask(number, QUESTION, cancel=CancelToken()))
    session.warm(number, cancel=CancelToken())
    list(session.ask(number, "And how long that of the Orion lamp?", cancel=CancelToken()))
    *head, begun = model.prepared[-1]
    assert begun == Message("user", "")
    assert tuple(head) == model.asked[1][:-1]
    assert len(head) == 3


def test_a_chat_that_outgrows_the_context_is_not_read_in_vain(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    model = FakeModel("word " * 150, n_ctx=1024)
    list(model.load())
    session = ChatSession(chats, model, [store], AskOptions())
    number = session.start(QUESTION)
    for _ in range(8):
        list(session.ask(number, QUESTION, cancel=CancelToken()))
    session.warm(number, cancel=CancelToken())
    list(session.ask(number, QUESTION, cancel=CancelToken()))
    *head, _ = model.prepared[-1]
    assert tuple(head) == model.asked[-1][: len(head)]


@pytest.mark.real_model
@pytest.mark.parametrize("way", [Packing(2), Packing(1, "quotes", answer="copied")])
def test_the_answer_is_the_one_without_it_and_comes_sooner(
    chats: ChatStore, store: KnowledgeStore, real_model: InferenceClient, way: Packing
) -> None:
    list(real_model.load())
    info = real_model.info
    assert info
    from ragchat.session.packing import model_key

    options = AskOptions(sampling=GREEDY, packings={model_key(info): way})
    session = ChatSession(chats, real_model, [store], options)

    def ask(number: int, plan: Plan | None = None) -> tuple[PromptReady, AnswerFinished]:
        events = list(session.ask(number, QUESTION, plan=plan, cancel=CancelToken()))
        (ready,) = [event for event in events if isinstance(event, PromptReady)]
        assert isinstance(events[-1], AnswerFinished)
        return ready, events[-1]

    other = ChatSession(chats, real_model, [], replace(options, instructions="Be rude."))
    list(other.ask(other.start("Hi"), "Hello there", cancel=CancelToken()))
    plain = ask(session.start(QUESTION))
    list(other.ask(other.start("Hi"), "Hello there", cancel=CancelToken()))
    number, plan = session.start(QUESTION), Plan()
    for typed in (
        "How long is the warranty of the Zephyr",
        *["How long is the warranty of the Zephyr pump"] * 3,
    ):
        foreseen = session.foresee(Typed(number, typed), plan, cancel=CancelToken())
        session.read_ahead(foreseen, cancel=CancelToken())
    prepared = ask(number, plan)
    assert prepared[1].text == plain[1].text
    assert prepared[0].prompt_tokens == plain[0].prompt_tokens
    assert prepared[1].timings.ahead_tokens > 0
    assert prepared[1].timings.cached_tokens > plain[1].timings.cached_tokens
    assert chats.messages(number)[-1].timings == prepared[1].timings
