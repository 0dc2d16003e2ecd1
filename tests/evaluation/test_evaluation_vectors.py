"""Vectors before anything is measured, what runs depend on by them, and the weight of meaning on a user's own questions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from ragchat import config
from ragchat.app import build, evaluations
from ragchat.app.context import Context
from ragchat.cli.eval import eval as eval_commands
from ragchat.config import Settings
from ragchat.errors import ModelError, NotFoundError
from ragchat.evaluation.four_ways import Run
from ragchat.evaluation.inputs import WORDS_ALONE, changes, grown, same
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.tuning import GRID, Tried, Tuned, scores, tune
from ragchat.evaluation.vectors import Prepared, Remembering, prepare, share, shares, usable
from ragchat.evaluation.verdict import judge
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.retrieval.search import DEFAULT, PLAIN, Searcher
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Message
from tests.helpers.embedders import WordEmbedder
from tests.helpers.small_kb import put

SAME = {"tends": "keeps", "beacon": "lighthouse", "at": "of"}
NAMES = [
    f"{first}{second}"
    for first in ("har", "bel", "zor", "kim", "dun", "vos")
    for second in ("row", "tan", "mer", "lig")
]
ASKED = [
    Asked(id=f"q{n:02}", question=f"Who keeps the lighthouse of {name}?", answers=(f"Oda{n:02}",))
    for n, name in enumerate(NAMES)
]
QUESTIONS = [one.question for one in ASKED]


class Synonyms(WordEmbedder):
    """To it a beacon is a lighthouse."""

    def __init__(self, languages: tuple[str, ...] = (), *, broken: bool = False) -> None:
        super().__init__("synonyms")
        self.model = replace(self.model, languages=languages)
        self.broken = broken
        self.asked: list[str] = []

    def embed_query(self, text: str) -> np.ndarray:
        if self.broken:
            raise ModelError("The embedding process was killed.")
        self.asked.append(text)
        return super().embed_query(text)

    def _vector(self, text: str) -> np.ndarray:
        words = text.lower().replace(".", "").replace("?", "").split()
        return super()._vector(" ".join(SAME.get(word, word) for word in words))


def fill(store: KnowledgeStore) -> None:
    """Of each place a passage that has the words of the question, and the one with the answer, which means the same.

    The words of a question stand in several lists alike, so that words alone do not tell them apart.
    """
    for n, name in enumerate(NAMES):
        others = ", ".join(NAMES[(n + i) % len(NAMES)] for i in range(1, 7))
        put(
            store,
            f"list {name}.txt",
            f"Lighthouse of {name}: who keeps the lighthouse of {name} is on no list, though lists of paint, oil and"
            f" rope lie in the drawer below the window of the harbour office, beside those of {others}.",
            language="en",
        )
        put(store, f"{name}.txt", f"Oda{n:02} tends the beacon at {name}.", language="en")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path / "kb", "coast") as made:
        fill(made)
        yield made


# --- vectors of what is found -----------------------------------------------------------------------------


def prepared(
    store: KnowledgeStore, embedder: WordEmbedder, questions: Sequence[str] = QUESTIONS
) -> list[Prepared]:
    return list(prepare([store], embedder, questions, ranking=DEFAULT, cancel=CancelToken()))


def test_what_questions_find_is_embedded_once(store: KnowledgeStore) -> None:
    embedder = WordEmbedder()
    steps = prepared(store, embedder)
    assert [(step.done, step.total) for step in steps] == [(n + 1, 24) for n in range(24)]
    assert steps[-1].eta_s == 0
    assert store.vectors.count(embedder.model) == 48
    assert len(embedder.read) == 48
    prepared(store, embedder)
    assert len(embedder.read) == 48


def test_more_than_a_search_embeds(store: KnowledgeStore) -> None:
    """A search embeds 20 passages; what is measured needs all that it ranks."""
    embedder = WordEmbedder()
    prepared(store, embedder, QUESTIONS[:1])
    assert store.vectors.count(embedder.model) > 20


def test_nothing_is_embedded_that_has_no_say(store: KnowledgeStore) -> None:
    french = Synonyms(("fr",))
    prepared(store, french)
    assert french.read == []
    store.set_options(replace(store.options(), meaning=False))
    embedder = WordEmbedder()
    prepared(store, embedder)
    assert embedder.read == []
    assert not usable([store], embedder, DEFAULT)


def test_it_stops(store: KnowledgeStore) -> None:
    embedder, cancel = WordEmbedder(), CancelToken()
    steps = prepare([store], embedder, QUESTIONS, ranking=DEFAULT, cancel=cancel)
    next(steps)
    cancel.cancel()
    assert list(steps) == []


def test_who_has_a_say(store: KnowledgeStore) -> None:
    assert usable([store], WordEmbedder(), DEFAULT)
    assert not usable([store], None, DEFAULT)
    assert not usable([store], WordEmbedder(), replace(DEFAULT, meaning=0.0))
    assert not usable([], WordEmbedder(), DEFAULT)


def test_a_question_is_embedded_once() -> None:
    inner = Synonyms()
    embedder = Remembering(inner)
    assert (embedder.embed_query("a lamp") == embedder.embed_query("a lamp")).all()
    assert inner.asked == ["a lamp"]
    embedder.close()
    assert not inner.closed


def test_shares_are_told_in_quarters(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    with KnowledgeStore.create(tmp_path, "large") as store:
        for n in range(400):
            put(store, f"{n}.txt", f"The lamp of house {n} is lit at dusk.", language="en")
        model = embedder.model
        assert shares([store], model) == {"large": 0.0}
        searcher = Searcher([store], embedder)
        searcher.search("lamp at dusk", 5)
        assert 0 < store.vectors.count(model) <= 20
        assert shares([store], model) == {"large": 0.0}, "a search is no other run"
        for n in range(7):
            prepared(store, embedder, [f"house {n} {n + 10} {n + 20} lamp"])
        assert share([store], model) == pytest.approx(store.vectors.count(model) / 400)
        store.set_options(replace(store.options(), meaning=False))
        assert shares([store], model) == {"large": None}


def test_what_cannot_be_read_needs_no_vector(store: KnowledgeStore) -> None:
    english = Synonyms(("en",))
    put(store, "weir.txt", "Das Wehr am Hafen.", language="de")
    prepared(store, english)
    assert shares([store], english.model) == {"coast": 1.0}
    assert share([store], Synonyms(("fr",)).model) == 1.0


# --- inputs -------------------------------------------------------------------------------------------------


def test_the_embedding_model_and_what_is_embedded_are_inputs() -> None:
    before = {"embedding": ["minilm", "1"], "vectors": {"notes": 0.25, "work": 1.0}}
    assert changes(before, before) == []
    assert changes(before, {"embedding": ["minilm", "2"]}) == ["the embedding model"]
    assert changes(before, {"embedding": list(WORDS_ALONE)}) == ["the embedding model (minilm → none)"]
    assert changes(before, {"vectors": {"notes": 1.0, "work": None}}) == [
        "the number of embedded chunks (notes 25 % → 100 %, work 100 % → off)"
    ]
    assert grown({"notes": 0.5}, {"notes": 0.5}) == ""


def test_runs_from_before_there_were_vectors() -> None:
    old = {"model": ["a", "1"]}
    assert changes(old, old | {"embedding": list(WORDS_ALONE), "vectors": {}}) == []
    assert changes(old, old | {"embedding": ["minilm", "1"], "vectors": {"notes": 0.5}}) == [
        "the embedding model (none → minilm)",
        "the number of embedded chunks (notes off → 50 %)",
    ]


def test_the_same_but_for_something() -> None:
    one = {"model": ["a", "1"], "vectors": {"notes": 0.5}}
    other = {"vectors": {"notes": 1.0}, "model": ("a", "1")}
    assert same(one, dict(reversed(one.items())))
    assert not same(one, other)
    assert same(one, other, apart_from=("vectors",))


def test_a_verdict_says_that_more_was_embedded_meanwhile() -> None:
    from tests.evaluation.test_evaluation import answered, made_run

    run = made_run(20)
    answers = answered(run, lambda n, arm: f"word{n}")
    assert not any("embedded" in sentence for sentence in judge(run, answers).says)
    grew = Run(
        id=run.id,
        set_name=run.set_name,
        arms=run.arms,
        inputs={"vectors": {"notes": 1.0}},
        questions=run.questions,
        facts={"vectors_before": {"notes": 0.25}},
    )
    assert any("notes 25 % → 100 %" in sentence for sentence in judge(grew, answers).says)


# --- the weight of meaning ----------------------------------------------------------------------------------

SMALL = 10
"""Tokens: room for the answer only where it comes first."""


def tuned(searcher: Searcher, *, meaning: bool, weight: float = 0.0) -> tuple[list[Tried], Tuned]:
    *tried, told = tune(
        searcher,
        ASKED,
        now=replace(PLAIN, meaning=weight),
        passages=1,
        cancel=CancelToken(),
        chunk_tokens=SMALL,
        meaning=meaning,
    )
    assert isinstance(told, Tuned)
    return [one for one in tried if isinstance(one, Tried)], told


def test_the_weight_that_helps_is_found(store: KnowledgeStore) -> None:
    embedder = Synonyms()
    prepared(store, embedder)
    tried, told = tuned(Searcher([store], Remembering(embedder)), meaning=True)
    assert told.settings["meaning"] in GRID["meaning"]
    assert told.settings["meaning"]
    assert told.shown
    assert told.after > told.before
    assert [one.done for one in tried] == list(range(1, tried[0].total + 1))
    assert tried[-1].eta_s == 0
    assert len(embedder.asked) == len(ASKED), "each question is embedded once"


def test_without_vectors_no_weight_is_tried(store: KnowledgeStore) -> None:
    tried, told = tuned(Searcher([store]), meaning=False)
    assert {one.name for one in tried} == set(GRID) - {"meaning"}
    assert "meaning" not in told.settings


def test_a_weight_that_does_not_help_stays(store: KnowledgeStore) -> None:
    """Without synonyms meaning says what words say."""
    embedder = WordEmbedder()
    prepared(store, embedder)
    _, told = tuned(Searcher([store], embedder), meaning=True)
    assert not told.shown


def test_a_model_that_fails_is_no_judgement(store: KnowledgeStore) -> None:
    with pytest.raises(ModelError, match="killed"):
        scores(Searcher([store], Synonyms(broken=True)), ASKED, DEFAULT, 100)


# --- commands -----------------------------------------------------------------------------------------------


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A home with documents and a set of questions about them."""
    paths = Paths.discover({"RAGCHAT_HOME": str(tmp_path / "home")})
    paths.create()
    context = Context(paths, Settings())
    with KnowledgeStore.create(paths.kb_dir, "coast") as store:
        fill(store)
    evaluations.sets(context).change("coast", [], ASKED)
    return context


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Synonyms:
    """The embedding model of every command."""
    made = Synonyms()
    monkeypatch.setattr(build, "embedder", lambda _: made)
    return made


def run_tune(context: Context, *arguments: str) -> tuple[str, str]:
    """What `eval tune` writes to standard output and standard error."""
    said = CliRunner().invoke(eval_commands, ["tune", "coast", *arguments], obj=context)
    assert said.exit_code == 0, said.output
    return said.stdout, said.stderr


def test_tune_tries_meaning_and_stores_what_helps(context: Context, embedder: Synonyms) -> None:
    out, err = run_tune(with_settings(context, meaning=0.0), "--json", "--store")
    found = json.loads(out)
    assert found["embedding_model"] == "synonyms"
    assert found["embedded"] == 1.0
    assert "meaning = 0.5" in err
    assert "longest_passage = 0" in err
    assert " left" in err
    assert found["p"] < 0.05
    stored = config.load(context.paths.settings_file, {}).retrieval
    assert {f"retrieval.{name}": getattr(stored, name) for name in GRID} | found["settings"] == {
        f"retrieval.{name}": getattr(stored, name) for name in GRID
    }
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        assert store.vectors.count(embedder.model) == 48


def with_settings(context: Context, *, meaning: float) -> Context:
    """Chunks so short that an answer has to come first to be read."""
    settings = context.settings
    settings = msgspec.structs.replace(
        settings,
        knowledge=msgspec.structs.replace(settings.knowledge, chunk_tokens=SMALL),
        retrieval=msgspec.structs.replace(settings.retrieval, meaning=meaning),
    )
    return replace(context, settings=settings)


def test_tune_says_what_is_not_embedded(context: Context, embedder: Synonyms) -> None:
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        for n in range(300):
            put(store, f"other {n}.txt", f"Bread number {n} was eaten.", language="en")
    _, err = run_tune(context)
    assert "of the chunks have a vector, so only these count for meaning" in err


def test_tune_says_why_meaning_has_no_weight(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "embedder", lambda _: None)
    out, err = run_tune(context)
    assert "The weight of meaning cannot be tuned: no embedding model is installed." in err
    assert "meaning =" not in err
    assert out.startswith("Search:")
    monkeypatch.setattr(build, "embedder", lambda _: Synonyms(("fr",)))
    assert "synonyms does not read the language of these documents" in run_tune(context)[1]
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        store.set_options(replace(store.options(), meaning=False))
    assert "search by meaning is off for these knowledge bases" in run_tune(context)[1]


def test_tune_with_meaning_switched_off(context: Context) -> None:
    off = replace(context, settings=Settings(embedding=config.EmbeddingSettings(model="off")))
    assert "off in the settings" in run_tune(off)[1]


def test_an_embedding_model_that_is_gone(context: Context) -> None:
    gone = replace(context, settings=Settings(embedding=config.EmbeddingSettings(model="nobody-has-this")))
    said = CliRunner().invoke(eval_commands, ["tune", "coast"], obj=gone)
    assert isinstance(said.exception, NotFoundError)
    assert "The embedding model cannot be used" in str(said.exception)


def test_calibration_searches_as_the_chat_does(context: Context, embedder: Synonyms) -> None:
    from ragchat.app.calibration import refusals

    said: list[Prepared] = []
    nobody = [
        Asked(id=f"n{n}", question=f"What is the price of tulip {n}?", answerable=False) for n in range(3)
    ]
    found = refusals(context, [*ASKED[:3], *nobody], ["coast"], CancelToken(), said.append)
    assert found
    assert len(said) == 6
    assert embedder.asked
    read = len(embedder.read)
    with pytest.raises(ValueError, match="answerable and unanswerable"):
        refusals(context, ASKED, ["coast"], CancelToken())
    assert len(embedder.read) == read, "nothing is embedded for a curve that cannot be"


# --- runs ---------------------------------------------------------------------------------------------------


class Loaded(FakeModel):
    """In this process."""

    pid = 0

    def close(self) -> None:
        return


def says(messages: Sequence[Message]) -> str:
    """Reads the answer off its passages."""
    text = messages[-1].content
    number = next(n for n, name in enumerate(NAMES) if f"lighthouse of {name}?" in text)
    return f"Oda{number:02}" if f"Oda{number:02}" in text else "I do not know."


@pytest.fixture
def chat_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "model", lambda *_: Loaded(says))


WANTED = evaluations.Wanted("coast", arms=("rag",), knowledge_bases=("coast",))


def performed(context: Context, most: int = 10**6) -> tuple[Run, list[object]]:
    """A run of what is prepared, with what it yields; stopped after so many answers."""
    steps: list[object] = []
    run = evaluations.prepare(context, WANTED)
    for step in evaluations.perform(context, WANTED, run, CancelToken()):
        steps.append(step)
        if not isinstance(step, Prepared) and step.done >= most:
            break
    return evaluations.runs(context).find(run.id) or run, steps


def test_a_run_depends_on_the_embedding_model_and_on_what_is_embedded(
    context: Context, embedder: Synonyms, chat_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, steps = performed(context)
    assert run.inputs["embedding"] == ["synonyms", "fingerprint of synonyms"]
    assert run.inputs["vectors"] == {"coast": 1.0}
    assert [isinstance(step, Prepared) for step in steps].count(True) == 24
    assert all(isinstance(step, Prepared) for step in steps[:24]), "vectors come before answers"
    assert "vectors_before" not in run.facts
    assert evaluations.stale(context, run) == []
    again, steps = performed(context)
    assert again.id == run.id, "its own vectors make it no other run"
    assert not any(isinstance(step, Prepared) for step in steps)
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        store.vectors.forget()
    assert evaluations.stale(context, run) == ["the number of embedded chunks (coast 100 % → 0 %)"]
    assert evaluations.prepare(context, WANTED).id != run.id
    monkeypatch.setattr(build, "embedder", lambda _: None)
    assert evaluations.stale(context, run)[0] == "the embedding model (synonyms → none)"


def test_a_run_that_was_stopped_goes_on_with_more_vectors(
    context: Context, embedder: Synonyms, chat_model: None
) -> None:
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        for n in range(60):
            put(store, f"other {n}.txt", f"Bread number {n} was eaten.", language="en")
    first, _ = performed(context, most=5)
    assert not first.finished_at
    assert first.inputs["vectors"] == {"coast": 0.5}
    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        prepared(store, embedder, [f"bread number {n} was eaten" for n in range(0, 60, 5)])
    run, _ = performed(context)
    assert run.id == first.id
    assert run.finished_at
    assert run.inputs["vectors"] == {"coast": 1.0}
    assert run.facts["vectors_before"] == {"coast": 0.5}
    assert evaluations.stale(context, run) == []


def test_by_words_alone_nothing_is_embedded(
    context: Context, chat_model: None, embedder: Synonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = with_settings(context, meaning=0.0)
    run, steps = performed(words)
    assert run.inputs["embedding"] == list(WORDS_ALONE)
    assert run.inputs["vectors"] == {}
    assert not any(isinstance(step, Prepared) for step in steps)
    assert embedder.read == []


# --- what is learned from -----------------------------------------------------------------------------------


def test_drafted_questions_are_checked_as_the_chat_searches(
    context: Context, embedder: Synonyms, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragchat.cli.pairs import make_pairs
    from ragchat.finetune.pairs import PairFile

    with KnowledgeStore.open(context.paths.kb_dir, "coast") as store:
        put(store, "pump.txt", "The warranty of the Zephyr pump lasts 84 months in all.", language="en")
    question = "How long does the warranty of the Zephyr pump last?"
    monkeypatch.setattr(build, "model", lambda *_: Loaded(lambda _: f"{question}\nAnswer: 84"))
    make_pairs(context, "coast", PairFile(context.paths.finetune_dir / "pairs.jsonl"), "", 1)
    assert question in embedder.asked


def test_examples_have_the_passages_that_the_chat_finds(context: Context, embedder: Synonyms) -> None:
    from ragchat.app.training_data import Wanted, gather, pair_file
    from ragchat.finetune.pairs import Pair

    name = NAMES[0]
    pair = Pair("a", f"{name}.txt", 1, QUESTIONS[0], "Oda00", f"Oda00 tends the beacon at {name}.", "kept")
    pair_file(context, "coast").put(pair)
    wanted = Wanted(chats=False, files=(), knowledge_bases=("coast",), held_out=None, mode="rag")
    gather(context, wanted, Loaded(says), CancelToken())
    assert embedder.asked == [QUESTIONS[0]]


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        ("documents", {"knowledge_bases": ("a question about an adapter",)}),
        ("questions", {"set_name": "knowledge base"}),
        ("adapter", {"adapter": "embedding", "arms": ("tuned",)}),
    ],
)
def test_what_is_gone_is_named_by_what_it_is_about(
    context: Context, embedder: Synonyms, chat_model: None, gone: str, missing: dict[str, object]
) -> None:
    """Not by the words of the sentence that says so."""
    run = evaluations.prepare(context, WANTED)
    asked = run.facts["asked"] | {name: value for name, value in missing.items() if name != "set_name"}
    changed = {"facts": run.facts | {"asked": asked}, "arms": missing.get("arms", run.arms)}
    if "set_name" in missing:
        changed["set_name"] = missing["set_name"]
    assert list(evaluations.inputs_now(context, msgspec.structs.replace(run, **changed))) == [gone]
