"""Answers held to a grammar, and how likely the model finds what it says; a tiny random model, and the default one."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from ragchat.errors import ModelError
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.llm.inference import reasoning
from ragchat.llm.inference.reasoning import Splitter
from ragchat.llm.loading import loaded
from ragchat.types import CancelToken, ChatModel, GenerationFinished, Message, Sampling, TextDelta
from tests.conftest import make_client
from tests.helpers.random_model import make_random

ASK = [Message("user", "Berlin is the capital of Germany. What is the capital of Germany?")]
CITED = 'root ::= s ( " " s )?\ns ::= [^.!?\\n[]+ [.!?] " [1]"'
BAD = {
    "no end of a literal": 'root ::= "x',
    "a rule that is not there": 'root ::= "x" other',
    "no root": 'start ::= "x"',
    "left recursion": 'root ::= root "x" | "x"',
    "an open bracket": "root ::= (((",
    "a thousand brackets": f"root ::= {'(' * 5000}",
    "a zero character": 'root ::= "x"\0 ???',
    "too much of it": f"root ::= {'a ' * 200_000}",
    "too many times": 'root ::= ("x"{1,2000}){1,2000}',
}


def say(
    model: ChatModel, grammar: str, *, messages: list[Message] = ASK, **sampling: float
) -> tuple[str, GenerationFinished]:
    wanted = Sampling(**{"temperature": 0, "max_tokens": 24, "seed": 5, **sampling}, grammar=grammar)  # type: ignore[arg-type]
    events = list(loaded(model).generate(messages, wanted, cancel=CancelToken()))
    last = events[-1]
    assert isinstance(last, GenerationFinished)
    return "".join(event.text for event in events if isinstance(event, TextDelta)), last


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceClient]:
    """A random model, which by itself never says anything that a grammar wants."""
    folder = tmp_path_factory.mktemp("tiny")
    make_random(folder / "tiny.gguf")
    client = make_client(folder / "tiny.gguf", folder, n_ctx=256)
    yield client
    client.close()


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_random_model_says_what_the_grammar_wants(tiny: InferenceClient, temperature: float) -> None:
    text, finished = say(
        tiny, 'root ::= "it is " ("in" | "on") " the tin [" [12] "]"', temperature=temperature
    )
    assert text in {f"it is {where} the tin [{n}]" for where in ("in", "on") for n in (1, 2)}
    assert finished.finish_reason == "stop"


def test_the_same_seed_says_the_same(tiny: InferenceClient) -> None:
    some = [say(tiny, "root ::= [a-f]{12}", temperature=1.5, seed=seed)[0] for seed in (1, 1, 2, 3)]
    assert some[0] == some[1]
    assert len(set(some)) > 1
    assert all(len(text) == 12 and set(text) <= set("abcdef") for text in some)


def test_an_answer_may_end_only_where_the_grammar_lets_it(tiny: InferenceClient) -> None:
    assert say(tiny, 'root ::= ""')[0] == ""
    assert say(tiny, 'root ::= "a" "b"?')[0] in ("a", "ab")
    text, finished = say(tiny, "root ::= [a-z]*", max_tokens=6)
    assert (finished.finish_reason, finished.completion_tokens) in (("length", 6), ("stop", len(text)))


def test_what_no_token_can_write_ends_the_answer(tiny: InferenceClient) -> None:
    """The vocabulary has no byte of it, and nothing is left to choose: the process must live."""
    text, finished = say(tiny, 'root ::= "ab" [\\U0001F600] "c"')
    assert text.startswith("ab")
    assert finished.finish_reason in ("stop", "length")
    assert say(tiny, 'root ::= "ab"')[0] == "ab"


@pytest.mark.parametrize("grammar", BAD.values(), ids=BAD.keys())
def test_a_grammar_that_cannot_be_read_is_an_error_and_no_more(tiny: InferenceClient, grammar: str) -> None:
    with pytest.raises(ModelError, match="grammar"):
        say(tiny, grammar)
    assert say(tiny, 'root ::= "ab"')[0] == "ab"


def test_an_answer_that_goes_on_has_its_beginning_from_before(tiny: InferenceClient) -> None:
    grammar = 'root ::= "the tin is red"'
    assert say(tiny, grammar, messages=[*ASK, Message("assistant", "the tin")])[0] == " is red"
    other, _ = say(tiny, grammar, messages=[*ASK, Message("assistant", "a hat")], max_tokens=4)
    assert other != "", "a beginning that the grammar refuses sets it aside"


def test_how_likely_the_answer_is(tiny: InferenceClient) -> None:
    text, finished = say(tiny, 'root ::= "t" "h" "e"')
    assert text == "the"
    assert finished.first_logprob is not None
    assert finished.mean_logprob is not None
    sample = loaded(tiny).encode([[*ASK, Message("assistant", "the")]])[0]
    answer = sample.tokens[sample.answer_start : -1]
    rows = [_log_softmax(tiny, sample.tokens[: sample.answer_start + n]) for n in range(len(answer))]
    expected = [row[token] for row, token in zip(rows, answer, strict=True)]
    if finished.completion_tokens == len(answer):  # else it was written in other tokens
        assert finished.first_logprob == pytest.approx(expected[0], abs=0.05)
        assert finished.mean_logprob == pytest.approx(sum(expected) / len(expected), abs=0.05)
    assert say(tiny, 'root ::= ""')[1].mean_logprob is None


def _log_softmax(client: InferenceClient, tokens: tuple[int, ...]) -> list[float]:
    import numpy as np

    row = np.frombuffer(loaded(client).logits(tokens), "<f4").astype(float)
    return list(row - row.max() - math.log(np.exp(row - row.max()).sum()))


@pytest.mark.parametrize(
    ("fed", "text", "outside"),
    [
        ("", "Berlin", False),
        ("", "<think>", True),
        ("<think>Hm", " so", True),
        ("<think>Hm</think>", "\n\n", True),
        ("<think>Hm</think>\n", "It", False),
        ("It is", " <think>", False),
        ("", "\n", False),
    ],
)
def test_what_is_no_part_of_the_answer_is_not_for_the_grammar(fed: str, text: str, outside: bool) -> None:
    splitter = Splitter(reasoning.USUAL)
    splitter.feed(fed)
    assert splitter.outside(text) is outside


def test_the_fake_tells_what_it_is_given() -> None:
    fake = FakeModel("Yes.", logprobs=(-0.1, -0.2))
    _, finished = say(fake, CITED)
    assert (finished.first_logprob, finished.mean_logprob) == (-0.1, -0.2)
    assert [sampling.grammar for sampling in fake.samplings] == [CITED]


@pytest.mark.real_model
def test_the_default_model_ends_each_sentence_with_a_marker(real_model: InferenceClient) -> None:
    free, finished = say(real_model, "", repeat_penalty=1.0)
    assert finished.first_logprob is not None
    assert finished.mean_logprob is not None
    assert -3 < finished.mean_logprob < 0
    held, bound = say(real_model, CITED, repeat_penalty=1.0, max_tokens=48)
    assert "[1]" not in free
    assert held == f"{free.split('.')[0]}. [1]"
    assert bound.finish_reason == "stop"
    same, _ = say(real_model, "root ::= .*", repeat_penalty=1.0)
    assert same == free, "a grammar that allows everything changes nothing"
