"""Drafts from the prompt change the pace of an answer, never its tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ragchat.llm.inference.abort import AbortFlag
from ragchat.llm.inference.context import Context, Tuning
from ragchat.llm.inference.generation import Written, write
from ragchat.llm.inference.lookup import Drafts, batch_costs, pays
from ragchat.llm.inference.model import Model
from ragchat.llm.inference.sampler import Sampler
from ragchat.llm.inference.writer import Writer
from ragchat.types import Sampling

CHEAP = {1: 1.0, 2: 1.1, 4: 1.2, 8: 1.4, 16: 1.8}
PAIRS = {2: 1.1, 4: 1.2, 8: 1.4, 16: 1.8}
DEAR = {1: 1.0, 2: 1.9, 4: 3.7, 8: 7.5, 16: 15.0}
TEXT = "The 7th river rises on hill 21, flows past town 49 and joins the cold sea near port 9."


def test_what_came_last_time_is_drafted() -> None:
    drafts = Drafts([1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3], CHEAP)
    assert drafts.draft(room=100)[:3] == [4, 5, 6]


def test_the_longest_match_wins_then_the_most_recent() -> None:
    assert Drafts([1, 2, 3, 50, 0, 2, 3, 60, 0, 2, 3, 61, 0, 1, 2, 3], CHEAP).draft(room=1) == [50]
    assert Drafts([2, 3, 60, 0, 2, 3, 61, 0, 2, 3], CHEAP).draft(room=1) == [61]


def test_tokens_are_matched_not_the_bytes_between_them() -> None:
    assert Drafts([0x0201, 0x0403, 9, 0x010000, 0x030002, 0x000004, 7, 7], CHEAP).draft(room=9) == []


def test_no_draft_is_longer_than_the_room() -> None:
    tokens = [*range(20), 1, 2, 3]
    for room in range(9):
        assert len(Drafts(tokens, CHEAP).draft(room=room)) <= room


def test_what_does_not_pay_is_not_drafted() -> None:
    assert not pays({})
    assert not pays(DEAR)
    assert not pays({2: 1.6, 4: 2.0, 8: 2.5})
    assert Drafts([*range(20), 1, 2, 3], DEAR).draft(room=9) == []


def test_refused_drafts_end_and_a_copy_brings_them_back() -> None:
    drafts = Drafts([*range(30), 3, 4, 5, 6], CHEAP)
    for _ in range(12):
        drafts.judge(len(drafts.draft(room=9)), 0)
    assert drafts.draft(room=9) == []
    for token in (7, 8):
        drafts.add(token)
    assert drafts.draft(room=9)  # a longer match says more


def test_where_no_token_may_be_alone_each_is_in_company() -> None:
    drafts = Drafts([1, 2, 3, 4], PAIRS)
    assert len(drafts.draft(room=9)) == 1
    assert (drafts.drafted, drafts.accepted) == (0, 0)


@pytest.fixture(scope="module")
def abort() -> AbortFlag:
    return AbortFlag()


@pytest.fixture(scope="module")
def model(default_model: Path, abort: AbortFlag) -> Iterator[Model]:
    found = Model(str(default_model), abort=abort, on_progress=lambda _: None)
    yield found
    found.close()


@pytest.fixture(scope="module", params=[False, True], ids=["", "flash attention"])
def context(request: pytest.FixtureRequest, model: Model, abort: AbortFlag) -> Iterator[Context]:
    found = Context(model, 512, 256, Tuning(1, 1, request.param), abort)
    yield found
    found.close()


def prompt(model: Model) -> list[int]:
    asked = f"<|im_start|>user\nRepeat word for word: {TEXT} {TEXT}<|im_end|>\n<|im_start|>assistant\nThe 7th river"
    return model.tokenize(asked, special=True)


def answer(
    model: Model, context: Context, sampling: Sampling, drafts: Drafts | None, stop: tuple[str, ...] = ()
) -> tuple[str, list[int], Written]:
    tokens = prompt(model)
    text: list[str] = []
    context.forget()
    context.prefill(tokens, 0, lambda _: None)
    writer = Writer(stop=stop, on_text=text.append, on_reasoning=text.append)
    sampler = Sampler(model.vocab, sampling)
    written = write(model, context, sampler, writer, limit=24, thoughts_limit=0, drafts=drafts)
    sampler.close()
    return "".join(text), context.past[len(tokens) :], written


@pytest.mark.real_model
@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0, repeat_penalty=1.0),
        Sampling(temperature=0.9, repeat_penalty=1.1, seed=5),
        Sampling(temperature=0, repeat_penalty=1.0, grammar='root ::= [a-z0-9 ,.]+ "sea"'),
    ],
    ids=["greedy", "sampled", "grammar"],
)
def test_the_answer_is_the_same_to_the_last_digit(model: Model, context: Context, sampling: Sampling) -> None:
    costs = CHEAP if context.settings[2] else PAIRS
    blind = Drafts(prompt(model), costs, blind=True)
    drafts = Drafts(prompt(model), costs)
    text, past, plain = answer(model, context, sampling, blind)
    again, past_again, looked_up = answer(model, context, sampling, drafts)
    assert (again, past_again) == (text, past)
    assert looked_up.logprobs == plain.logprobs
    assert looked_up.finish_reason == plain.finish_reason
    assert blind.drafted == 0
    if sampling.temperature == 0:
        assert drafts.accepted > 0


@pytest.mark.real_model
def test_a_stop_text_inside_a_draft_ends_the_answer(model: Model, context: Context) -> None:
    drafts = Drafts(prompt(model), PAIRS)
    text, past, written = answer(
        model, context, Sampling(temperature=0, repeat_penalty=1.0), drafts, stop=("flows",)
    )
    assert written.finish_reason == "stop"
    assert "flows" not in text
    assert len(context.past) == len(prompt(model)) + len(past)


@pytest.mark.real_model
@pytest.mark.parametrize("deep", [64, 520])
def test_a_token_alone_agrees_only_where_it_does_deep_in_a_context(
    model: Model, abort: AbortFlag, deep: int
) -> None:
    context = Context(model, 640, 256, Tuning(1, 1, True), abort)
    try:
        for at in range(0, deep, 128):
            context.decode([5 + n % 97 for n in range(at, min(at + 128, deep))])
        assert batch_costs(context).keys() == ({1, 2, 4, 8, 16} if deep > 512 else {2, 4, 8, 16})
        assert context.past == []
    finally:
        context.close()
