"""Making an old answer again, and the prompt that it was made from, with a fake and with the real default model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.errors import UsageError
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.session import prompt_view
from ragchat.session.chat import NOT_FROM_DOCUMENTS, AskOptions, ChatSession
from ragchat.session.events import AnswerFinished
from ragchat.session.replay import (
    UNRECORDED,
    Piece,
    Recorded,
    Replayed,
    difference,
    recorded,
    replay,
    what_differs,
)
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import AdapterScale, CancelToken, ChatModel, Message, Sampling, TextDelta
from tests.helpers.small_kb import put

OPTIONS = AskOptions(sampling=Sampling(temperature=0.7, max_tokens=60))


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as store:
        yield store


@pytest.fixture
def zoo(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "zoo") as store:
        put(store, "otters.md", "Otters hold hands while they sleep. They live in rivers and eat fish.")
        put(store, "cranes.md", "Cranes stand on one leg.")
        yield store


def ask(
    chats: ChatStore,
    model: ChatModel,
    question: str,
    *,
    stores: Sequence[KnowledgeStore] = (),
    options: AskOptions = OPTIONS,
    cancel: CancelToken | None = None,
) -> int:
    """The number of the answer."""
    chat = chats.conversations()[0].id if chats.conversations() else chats.create_conversation("Chat").id
    session = ChatSession(chats, model, stores, options)
    *_, last = session.ask(chat, question, cancel=cancel or CancelToken())
    assert isinstance(last, AnswerFinished)
    return last.answer_id


def again(model: ChatModel, record: Recorded, cancel: CancelToken | None = None) -> Replayed:
    *_, last = replay(model, record, cancel=cancel or CancelToken())
    assert isinstance(last, Replayed)
    return last


# --- replay ---------------------------------------------------------------------------------------------


def test_the_same_model_is_asked_the_same_and_says_the_same(chats: ChatStore, zoo: KnowledgeStore) -> None:
    model = FakeModel("Otters hold hands while they sleep.")
    number = ask(chats, model, "How do otters sleep?", stores=[zoo])
    stored = chats.message(number)
    assert stored.content == "Otters hold hands while they sleep [1]. ", "the marker is not the model's"
    result = again(model, recorded(chats, number))
    assert (result.verdict, result.identical, result.reasons) == ("identical", True, ())
    assert (result.text, result.old) == (stored.content, stored.content)
    assert model.asked[1] == model.asked[0]
    assert len(chats.messages(stored.conversation_id)) == 2, "nothing is stored"


def test_the_recorded_seed_and_sampling_are_used(chats: ChatStore) -> None:
    class Seeded(FakeModel):
        seen: ClassVar[list[Sampling]] = []

        def generate(self, messages, sampling, *, cancel, owners=()):  # type: ignore[no-untyped-def]
            self.seen.append(sampling)
            return super().generate(messages, sampling, cancel=cancel)

    model = Seeded("Yes.")
    number = ask(chats, model, "Really?")
    generation = chats.generation(number)
    assert generation
    result = again(model, recorded(chats, number))
    assert model.seen == [generation.sampling] * 2
    assert result.seed == generation.sampling.seed is not None


def test_a_notice_before_the_answer_is_not_the_models(chats: ChatStore, zoo: KnowledgeStore) -> None:
    model = FakeModel("No idea.")
    number = ask(chats, model, "Who wrote Faust?", stores=[zoo])
    assert chats.message(number).notice == NOT_FROM_DOCUMENTS
    result = again(model, recorded(chats, number))
    assert result.identical
    assert NOT_FROM_DOCUMENTS not in result.old


def test_another_answer_is_told_with_what_may_be_the_reason(chats: ChatStore) -> None:
    number = ask(chats, FakeModel("The fox is red."), "What colour is a fox?")
    result = again(FakeModel("The fox is brown."), recorded(chats, number))
    assert result.verdict == "different"
    assert result.reasons == (UNRECORDED,)


def test_what_is_not_as_it_was_is_said(chats: ChatStore, tmp_path: Path) -> None:
    model = FakeModel("Yes.")
    record = recorded(chats, ask(chats, model, "Really?"))
    assert model.info
    assert what_differs(record, model.info) == ()
    (said,) = what_differs(record, replace(model.info, name="other"))
    assert said == "The old answer was written by fake; this one is by other."
    assert what_differs(record, replace(model.info, n_ctx=512)) == (), "no matter for an answer with an end"
    endless = replace(record.generation, sampling=replace(record.generation.sampling, max_tokens=0))
    (said,) = what_differs(replace(record, generation=endless), replace(model.info, n_ctx=512))
    assert "512" in said
    tuned = replace(record, generation=replace(record.generation, adapters=(AdapterScale("mine"),)))
    assert "adapter mine" in what_differs(tuned, model.info)[0]
    file = tmp_path / "fake.gguf"
    file.write_bytes(b"GGUF")
    placed = replace(record, generation=replace(record.generation, model_path=str(file)))
    assert "is newer than" in what_differs(placed, replace(model.info, path=str(file)))[0]
    assert "has moved to" in what_differs(placed, replace(model.info, path="/other.gguf"))[0]


def test_a_stopped_answer_is_compared_as_far_as_it_goes(chats: ChatStore) -> None:
    cancel = CancelToken()
    model = FakeModel("one two three four five six seven eight")
    session = ChatSession(chats, model, [], OPTIONS)
    chat = chats.create_conversation("Chat").id
    for event in session.ask(chat, "Count.", cancel=cancel):
        if isinstance(event, TextDelta) and event.text.startswith("three"):
            cancel.cancel()
    answer = chats.messages(chat)[-1]
    assert answer.content == "one two three "
    result = again(model, recorded(chats, answer.id))
    assert result.verdict == "beginning"
    assert result.reasons == ("The old answer was not complete.",)


def test_a_replay_that_is_stopped_says_so(chats: ChatStore) -> None:
    model = FakeModel("one two three four five")
    record = recorded(chats, ask(chats, model, "Count."))
    cancel, last = CancelToken(), None
    for event in replay(model, record, cancel=cancel):
        if isinstance(event, TextDelta):
            cancel.cancel()
        last = event
    assert isinstance(last, Replayed)
    assert (last.verdict, last.finish_reason, last.text) == ("beginning", "cancelled", "one ")
    assert last.reasons == ("The replay was stopped early.",)


def test_a_continued_answer_is_the_same_as_far_as_the_first_part_goes(chats: ChatStore) -> None:
    model = FakeModel("one two three four five six")
    short = AskOptions(sampling=Sampling(max_tokens=3))
    number = ask(chats, model, "Count.", options=short)
    list(ChatSession(chats, model, [], short).continue_answer(number, cancel=CancelToken()))
    assert chats.message(number).content == "one two three four five six "
    result = again(model, recorded(chats, number))
    assert result.verdict == "beginning"
    assert "continued" in result.reasons[0]


def test_a_stopped_answer_that_was_continued_otherwise_says_why_it_differs(chats: ChatStore) -> None:
    model, cancel = FakeModel("one two three four five six"), CancelToken()
    chat = chats.create_conversation("Chat").id
    session = ChatSession(chats, model, [], OPTIONS)
    for event in session.ask(chat, "Count.", cancel=cancel):
        if isinstance(event, TextDelta) and event.text.startswith("three"):
            cancel.cancel()
    number = chats.messages(chat)[-1].id
    list(
        ChatSession(chats, FakeModel("seven eight"), [], OPTIONS).continue_answer(
            number, cancel=CancelToken()
        )
    )
    assert chats.message(number).content == "one two three seven eight "
    result = again(model, recorded(chats, number))
    assert result.verdict == "different"
    assert "was continued" in result.reasons[0]


def test_what_is_not_recorded_cannot_be_replayed(chats: ChatStore) -> None:
    chat = chats.create_conversation("Chat").id
    question = chats.add_user_message(chat, "Really?")
    with pytest.raises(UsageError, match="not recorded"):
        recorded(chats, question.id)


def test_whether_the_model_thinks_is_as_it_was(chats: ChatStore) -> None:
    model = FakeModel("Yes.", reasoning="let me see")
    number = ask(chats, model, "Really?", options=replace(OPTIONS, thinking=True))
    ask(chats, model, "And now?")
    result = again(model, recorded(chats, number))
    assert result.identical
    assert [use.thinking for use in model.uses] == [True, False, True]


# --- difference -----------------------------------------------------------------------------------------


def test_the_difference_by_words() -> None:
    assert difference("The fox is red.", "The fox is brown.") == (
        Piece("same", "The fox is "),
        Piece("removed", "red"),
        Piece("added", "brown"),
        Piece("same", "."),
    )
    assert difference("狐は赤い", "狐は青い") == (
        Piece("same", "狐は"),
        Piece("removed", "赤"),
        Piece("added", "青"),
        Piece("same", "い"),
    )
    assert difference("a b", "a\nb") == (Piece("same", "a\nb"),), "blanks do not count"


words = st.text(alphabet="ab .\n狐é", max_size=40)


@given(words, words)
def test_the_pieces_make_both_texts(old: str, new: str) -> None:
    pieces = difference(old, new)
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == new
    assert "".join("".join(p.text.split()) for p in pieces if p.kind != "added") == "".join(old.split())
    assert difference(new, new) in ((), (Piece("same", new),))


def test_endless_texts_are_compared_in_a_moment() -> None:
    old = " ".join(f"w{n}" for n in range(30_000))
    assert [p.kind for p in difference(old, old.replace("w15000 ", "x y "))] == [
        "same",
        "removed",
        "added",
        "same",
    ]


# --- the prompt -----------------------------------------------------------------------------------------


def test_the_prompt_of_an_answer(chats: ChatStore, zoo: KnowledgeStore) -> None:
    model = FakeModel("In rivers.")
    number = ask(chats, model, "Where do otters live?", stores=[zoo])
    view = prompt_view.of_answer(recorded(chats, number), model)
    assert view.messages == model.asked[0]
    assert {part.name for part in view.parts} >= {"instructions", "passage 1", "question", "template"}
    assert view.prompt_tokens == sum(part.tokens for part in view.parts)
    assert view.meter[-1].name == prompt_view.FREE
    assert sum(part.tokens for part in view.meter) == view.n_ctx == 2048
    assert view.rendered == model.render_prompt(model.asked[0])
    assert any(part.name == "passage 1" for part in view.meter)
    assert "── user ──" in prompt_view.messages_text(view)[0].splitlines()
    facts = dict(prompt_view.facts(view))
    assert (facts["seed"], facts["documents"]) == (str(view.sampling.seed), "zoo")


def test_a_prompt_of_a_model_that_is_not_loaded_is_not_rendered(chats: ChatStore) -> None:
    record = recorded(chats, ask(chats, FakeModel("Yes."), "Really?"))
    view = prompt_view.of_answer(record, FakeModel("", n_ctx=512))
    assert view.rendered == ""
    assert "load fake" in view.not_rendered
    view = prompt_view.of_answer(record, None)
    assert view.rendered == ""
    assert "busy with an answer" in view.not_rendered


def test_the_prompt_of_the_next_question_is_what_is_then_sent(chats: ChatStore, zoo: KnowledgeStore) -> None:
    model = FakeModel("In rivers.")
    ask(chats, model, "Where do otters live?", stores=[zoo])
    chat = chats.conversations()[0].id
    session = ChatSession(chats, model, [zoo], OPTIONS)
    preview = session.preview("And cranes?", conversation_id=chat, cancel=CancelToken())
    assert model.info
    view = prompt_view.of_preview(preview, OPTIONS.sampling, model.info)
    number = ask(chats, model, "And cranes?", stores=[zoo])
    then = prompt_view.of_answer(recorded(chats, number), model)
    assert (view.messages, view.parts, view.prompt_tokens) == (then.messages, then.parts, then.prompt_tokens)
    assert (view.seed_drawn, then.seed_drawn) == (False, True)
    assert dict(prompt_view.facts(view))["seed"] == "chosen when you send the question"


def test_roles_stand_where_they_are_said_to_stand(chats: ChatStore) -> None:
    record = recorded(chats, ask(chats, FakeModel("Yes."), "A question \x1b[31mwith escapes?"))
    view = prompt_view.of_answer(record, FakeModel(""))
    evil = replace(view, messages=(*view.messages, Message("user", "\x1b]52;c;aGk=\x07seen")))
    text, places = prompt_view.messages_text(evil)
    assert [text[first:last] for first, last in places] == ["── system ──", "── user ──", "── user ──"]
    assert "\x1b" not in text
    assert text.endswith("seen")


@pytest.mark.parametrize(
    ("tokens", "shown"), [(0, ""), (1, "╸"), (512, "━━━━━"), (1024, "━" * 10), (4096, "━" * 10)]
)
def test_bars(tokens: int, shown: str) -> None:
    assert prompt_view.bar(tokens, 1024, 10) == shown
    assert prompt_view.bar(5, 0, 10) == ""


# --- the real model -------------------------------------------------------------------------------------


@pytest.mark.real_model
@pytest.mark.parametrize("temperature", [0.0, 1.1])
def test_the_real_model_says_it_again_whatever_was_asked_in_between(
    chats: ChatStore, zoo: KnowledgeStore, real_model: InferenceClient, temperature: float
) -> None:
    # Free answers: what a small model may only copy leaves the sampling no choice.
    options = AskOptions(
        sampling=Sampling(temperature=temperature, max_tokens=40), instructions="Answer briefly."
    )
    first = ask(chats, real_model, "How do otters sleep?", stores=[zoo], options=options)
    result = again(real_model, recorded(chats, first))
    assert result.verdict == "identical", "at once"
    # Other prompts go through the cache of the context: one that shares its beginning, one that shares nothing.
    second = ask(chats, real_model, "And what do they eat?", stores=[zoo], options=options)
    third = ask(chats, real_model, "Tell me about the moon.", options=options)
    assert [again(real_model, recorded(chats, n)).verdict for n in (first, third, second, first)] == [
        "identical"
    ] * 4
    other = replace(recorded(chats, first).generation.sampling, seed=1, temperature=1.5)
    changed = recorded(chats, first)
    changed = replace(changed, generation=replace(changed.generation, sampling=other))
    assert again(real_model, changed).verdict == "different", "it is the sampling that decides"
