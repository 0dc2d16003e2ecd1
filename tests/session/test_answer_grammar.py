"""What a model says when it is held to a grammar: a random model, which would say none of it otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.session import answer_grammar, prompt
from ragchat.session.packing import GAP, Packing, for_model
from ragchat.session.sources import Sources
from ragchat.session.statements import check
from ragchat.types import CancelToken, Hit, Message, Sampling, Span, TextDelta
from ragchat.types.answers import Verdict
from tests.conftest import make_client
from tests.helpers.random_model import make_random

TEXT = (
    '# The pump\nThe "Zephyr" pump is red and has\na path of C:\\pump. It costs 3.50 euros in the U.S. and in Lund!\n\n'
    "- open the valve\n- turn the handle\n- wait\n\nPumpen är röd. 水泵是红色的。\x00\n\n```\nrun  x\n```\n"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceClient]:
    folder = tmp_path_factory.mktemp("random")
    make_random(folder / "random.gguf")
    client = make_client(folder / "random.gguf", folder, n_ctx=512)
    yield client
    client.close()


def say(model: InferenceClient, grammar: str, seed: int, *, temperature: float = 1.5) -> str:
    sampling = Sampling(
        temperature=temperature, top_k=0, top_p=1.0, seed=seed, max_tokens=250, grammar=grammar
    )
    events = loaded(model).generate([Message("user", "x")], sampling, cancel=CancelToken())
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("seed", range(12))
def test_what_is_copied_is_a_sentence_of_a_passage_and_has_its_number(
    model: InferenceClient, seed: int
) -> None:
    other = "Another passage" + GAP + "It says little. It is long."
    said = say(model, answer_grammar.copied_sentences([TEXT, other]), seed)
    if said.startswith("```"):
        assert said == "```\nrun  x\n```", "code is copied as it is, and has no number"
        return
    copied = re.findall(r"(.+?) \[(\d)\](?:\s|$)", said, re.DOTALL)
    assert "".join(f"{sentence} [{n}]" for sentence, n in copied) == re.sub(r"(\[\d\])\s", r"\1", said)
    for sentence, n in copied:
        assert one_line(sentence) in one_line((TEXT, other)[int(n) - 1].replace("\0", ""))
        assert not sentence.startswith("#")
        assert GAP not in sentence
    assert len(copied) == 1 or all(sentence.startswith("- ") for sentence, _ in copied)


def test_a_fence_that_is_cut_is_no_fence() -> None:
    grammar = answer_grammar.copied_sentences(["```\nThis is not undone. It stays."])
    assert "```" not in grammar
    assert '"This is not undone." " [1]"' in grammar


@pytest.mark.parametrize("seed", range(12))
def test_copied_words_are_in_a_row_and_of_one_sentence(model: InferenceClient, seed: int) -> None:
    said = say(model, answer_grammar.copied_words(["It says little.", TEXT]), seed)
    words, n = said.rsplit(" ", 1)
    plain = one_line(("It says little.", TEXT)[int(n[1]) - 1].replace("\0", ""))
    assert words
    assert f" {words} " in f" {plain} "
    assert "pump. It" not in words


@pytest.mark.parametrize("seed", range(6))
def test_each_sentence_ends_with_a_marker_of_a_passage_that_is_there(
    model: InferenceClient, seed: int
) -> None:
    grammar = answer_grammar.cited_sentences(2, 2).replace(
        "unit+", "unit unit unit?"
    )  # a random model ends nothing
    said = say(model, grammar, seed)
    assert re.search(r"\[[12]\][.!?。！？]?$", said), said
    assert 1 <= len(re.findall(r"\[[12]\]", said)) <= 2
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("It costs 3.50 euros in the U.S. at J. Smith.", True),
        ("Is it red?", True),
        ("泵是红色的。", True),
        ("It is red. It is old.", False),
        ("It is red", False),
    ],
)
def test_numbers_and_initials_end_no_sentence(model: InferenceClient, text: str, is_one: bool) -> None:
    grammar = answer_grammar.few_sentences(1).replace("root ::= s", 'root ::= s "\\nEND"')
    begun = [Message("user", "x"), Message("assistant", f"{text}\n")]
    sampling = Sampling(temperature=0, seed=1, max_tokens=8, grammar=grammar)
    events = loaded(model).generate(begun, sampling, cancel=CancelToken())
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert (said == "END") is is_one


def hit(text: str) -> Hit:
    return Hit(1, 1.0, "kb", 1, 1, "/a.txt", "", "", Span(0, len(text), 1, 1), text, "h")


def test_a_prompt_brings_the_grammar_of_its_packing() -> None:
    fake = loaded(FakeModel(""))
    layout = prompt.Layout(2048, Packing(1, answer="copied"), passage_share=0.5, answer_tokens=64)
    sources = Sources((hit("The pump is red."),))
    packed = prompt.pack(fake, "What is red?", sources, layout)
    assert packed.grammar == answer_grammar.copied_sentences(["The pump is red."])
    free = replace(layout, packing=Packing(1, answer="free"))
    assert prompt.pack(fake, "What is red?", sources, free).grammar == ""
    assert prompt.pack(fake, "What is red?", Sources(()), layout).grammar == "", "nothing to copy"
    own = replace(layout, instructions="Answer in French.")
    assert prompt.pack(fake, "What is red?", sources, own).grammar == "", "somebody wants another shape"
    both = replace(sources, text="A text of one's own.")
    assert prompt.pack(fake, "What is red?", both, layout).grammar == "", "the text may answer, too"


@pytest.mark.real_model
def test_the_default_model_says_what_the_passage_says_and_nothing_else(real_model: InferenceClient) -> None:
    """Asked as a chat asks: the quote alone is in the prompt, and the model cannot but copy it."""
    text = (
        "The Zephyr pump is made in Lund. Its seal is of red rubber, which ages in the sun.\n\n"
        "The warranty of the pump lasts seven years. Keep the receipt in a dry place."
    )
    reader, question = loaded(real_model), "How long does the warranty of the pump last?"
    layout = prompt.Layout(2048, for_model(reader.info, {}, alone=True), passage_share=0.5, answer_tokens=64)
    packed = prompt.pack(reader, question, Sources((hit(text),)), layout)
    sampling = Sampling(temperature=0.2, seed=3, max_tokens=64, grammar=packed.grammar)
    events = reader.generate(packed.messages, sampling, cancel=CancelToken())
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert said == "The warranty of the pump lasts seven years. [1]"
    (statement,) = check(said, packed.citations, question)
    assert statement.verdict is Verdict.SUPPORTED
    assert statement.cited_by == "model"
