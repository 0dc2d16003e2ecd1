"""Pairs of questions and answers made from documents: what is kept, what is not, going on, and the review by keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from ragchat.finetune import raft
from ragchat.finetune.pairs import Pair, PairFile, candidates, draft, examples, objection
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.retrieval.search import Searcher
from ragchat.session.packing import Packing
from ragchat.store.knowledge import KnowledgeStore
from ragchat.tui.screens.review_pairs import ReviewApp, ReviewPairs
from ragchat.types import CancelToken, Message
from tests.helpers.tui_fakes import add_document, until

TEXTS = {
    "pump.md": "The warranty of the Zephyr pump lasts 84 months from the day of its purchase.",
    "lamp.md": "The Orion lamp was designed by Ada Pell in her workshop beside the old harbour.",
    "fan.md": "The warranty of the Notus fan lasts two years from the day of its purchase.",
    "tea.md": "In the kitchen of the north house the tea is kept in the third drawer from above.",
}


@pytest.fixture
def store(tmp_path: Path) -> KnowledgeStore:
    store = KnowledgeStore.create(tmp_path / "kb", "notes")
    for name, text in TEXTS.items():
        add_document(store, tmp_path / name, text)
    return store


def ask(messages: Sequence[Message]) -> str:
    """A question about the sentence, as a model would word it."""
    text = messages[-1].content
    if "Zephyr" in text:
        return "How long does the warranty of the Zephyr pump last?\nAnswer: 84"
    return "Who designed the Orion lamp in the workshop?" if "Orion" in text else "Where is it?"


def chunks(store: KnowledgeStore) -> list:  # type: ignore[type-arg]
    return [chunk for document in store.documents() for chunk in store.chunks_of(document.id)]


def test_answers_are_chosen_before_questions() -> None:
    found = {sentence: answer for answer, sentence in candidates(" ".join(TEXTS.values()))}
    assert found[TEXTS["pump.md"]].startswith("84")
    assert found[TEXTS["lamp.md"]] in ("Ada Pell", "Orion")
    assert candidates("Too short. " * 5) == []
    for answer, sentence in candidates(
        "Wörter. 1871 baute Frau Ärmel aus Köln die große Brücke über den Fluss."
    ):
        assert answer in sentence


def test_what_is_kept_and_what_is_not(store: KnowledgeStore, tmp_path: Path) -> None:
    file, model = PairFile(tmp_path / "pairs.jsonl"), FakeModel(ask)
    steps = list(draft(loaded(model), Searcher([store]), chunks(store), file, cancel=CancelToken()))
    assert [(step.done, step.total) for step in steps] == [(n, 4) for n in range(5)]
    kept = {pair.question: pair for pair in file.kept}
    assert set(kept) == {
        "How long does the warranty of the Zephyr pump last?",
        "Who designed the Orion lamp in the workshop?",
    }
    for pair in file.kept:
        assert pair.answer in pair.sentence
        assert pair.sentence in Path(pair.path).name or pair.sentence in TEXTS[Path(pair.path).name]
    assert {pair.reason for pair in file.pairs if pair.verdict == "rejected"} == {
        "it is too short or too long"
    }
    asked = len(model.asked)
    again = PairFile(file.path)
    list(draft(loaded(model), Searcher([store]), chunks(store), again, cancel=CancelToken()))
    assert len(model.asked) == asked, "what was looked at is not looked at again"
    assert again.pairs == file.pairs


def test_a_torn_file_loses_one_line(tmp_path: Path) -> None:
    file = PairFile(tmp_path / "pairs.jsonl")
    pair = Pair("a", "x.md", 1, "What is it?", "tin", "It is tin.", "kept")
    file.put(pair)
    with file.path.open("ab") as out:
        out.write(b'\n{"type":"pair","id":"b","pa')
    again = PairFile(file.path)
    assert again.pairs == (pair,)
    again.done_with("chunk")
    assert PairFile(file.path).has_looked_at("chunk")


def test_objections(store: KnowledgeStore) -> None:
    searcher = Searcher([store])
    chunk = next(chunk for chunk in chunks(store) if "Zephyr" in chunk.text)
    assert objection("What is it", "84", searcher, chunk, []) == "it is not a question"
    assert "contains the answer" in objection(
        "Does it last 84 months or more?", "84 months", searcher, chunk, []
    )
    good = "How long does the warranty of the Zephyr pump last?"
    assert objection(good, "84 months", searcher, chunk, []) == ""
    assert "another" in objection(good, "84 months", searcher, chunk, [good])
    assert "search" in objection("Who painted the ceiling of the chapel?", "84 months", searcher, chunk, [])


def test_examples_for_answers_without_documents(tmp_path: Path) -> None:
    pair = Pair("a", "/d/x.md", 1, "What is it made of?", "tin", "It is made of tin.", "kept")
    [example] = examples([pair, Pair("b", "y", 2, "No?", "no", "no", "rejected")], "notes")
    assert (example.answer, example.expected) == ("It is made of tin.", ("tin",))
    assert (example.source, example.group) == ("kb:notes", "/d/x.md")


def test_examples_that_answer_from_passages(store: KnowledgeStore) -> None:
    asked = [
        raft.Asked("How long does the warranty of the Zephyr pump last?", "84 months", "kb:notes", f"g{n}")
        for n in range(30)
    ]
    model = loaded(FakeModel("x", n_ctx=2048))
    made, rejected = raft.build(
        model, Searcher([store]), asked, Packing(2), refusals=0.2, cancel=CancelToken()
    )
    assert rejected == []
    kinds = [example.kind for example in made]
    assert 0 < kinds.count("refusal") < 15
    for example in made:
        prompt = example.messages[-2].content
        if example.kind == "refusal":
            assert example.answer == raft.REFUSAL
            assert "84 months" not in prompt
        else:
            number = int(example.answer.split("[")[1].split("]")[0])
            passages = prompt.split("\n\n")
            assert any(p.startswith(f"[{number}]") and "84 months" in p for p in passages)
            said = example.answer.split(" [")[0]
            assert "84 months" in said
            assert said in prompt
            assert len(said) > len("84 months"), "a whole sentence"
    again, _ = raft.build(model, Searcher([store]), asked, Packing(2), refusals=0.2, cancel=CancelToken())
    assert again == made, "the same seed gives the same examples"
    short, _ = raft.build(model, Searcher([store]), asked, Packing(2), form="short", cancel=CancelToken())
    assert {e.answer.split(" [")[0] for e in short if e.kind == "cited"} == {"84 months"}
    lost = raft.Asked("Who painted the ceiling?", "Michelangelo", "kb:notes", "g")
    assert raft.build(model, Searcher([store]), [lost], Packing(2), cancel=CancelToken())[1]


async def test_the_review_by_keys(tmp_path: Path) -> None:
    file = PairFile(tmp_path / "pairs.jsonl")
    for n in range(3):
        file.put(Pair(f"p{n}", "x.md", n, f"What is thing {n}?", "tin", f"Thing {n} is tin.", "kept"))
    app = ReviewApp("notes", file)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ReviewPairs))
        await pilot.press("k", "x")
        assert [(p.verdict, p.reviewed) for p in PairFile(file.path).pairs] == [
            ("kept", True),
            ("rejected", True),
            ("kept", False),
        ]
        await pilot.press("u")
        assert not PairFile(file.path).pairs[1].reviewed
        await pilot.press("n", "e")
        await pilot.press(*"x" * 1, "enter")
        await pilot.press("end", "z", "enter")  # "tinz" does not stand in the sentence
        assert PairFile(file.path).pairs[2].answer == "tin"
        await pilot.press("backspace", "enter")
        changed = PairFile(file.path).pairs[2]
        assert changed.question.endswith("x")
        assert changed.answer == "tin"
        assert changed.reviewed
        await pilot.press("escape")
    assert json.loads(file.path.read_bytes().split(b"\n")[0])["id"] == "p0"
