"""Asking in the words of the documents: when the model writes, what is made of it, and what the session says and keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from click.testing import CliRunner

from ragchat.app import build
from ragchat.app.context import discover
from ragchat.app.events import progress_sentence
from ragchat.cli import eval as eval_cli
from ragchat.config import load
from ragchat.errors import CancelledError, ModelError, UsageError
from ragchat.evaluation import inputs, rewriting_trial
from ragchat.evaluation.question_sets import Asked, SetLibrary
from ragchat.evaluation.rewriting_trial import Compared, decisive, is_right, judged, outcome
from ragchat.llm.client import InferenceClient
from ragchat.llm.fake import FakeModel, LoadedFake
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval import index
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import rewriting
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import (
    AnswerFinished,
    HitsFound,
    MessageStored,
    QueryRewritten,
    QueryUsed,
    Rewritten,
    SearchUnsure,
    searched_also,
    without_rewriting,
)
from ragchat.session.prompt_view import of_preview
from ragchat.session.replay import recorded as record_of
from ragchat.session.rewriting import INSTRUCTIONS, Averaging, Rewriting, Sought
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.tui.sentences import answer_footer
from ragchat.types import (
    CancelToken,
    ChunkDraft,
    GenerationFinished,
    Hit,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    ReasoningDelta,
    Sampling,
    Span,
    TextDelta,
)
from tests.helpers.embedders import WordEmbedder

QUESTION = "How does it forget my copy?"
SENTENCE = "The cached flag removes a path from the index and keeps it in the working tree."
RIGHT = "/docs/index.txt"
DOCUMENTS = {
    RIGHT: "The cached flag removes a path from the index. Your copy stays in the working tree, among files without one.",
    "/docs/memory.txt": "People forget names, and that is human, as the book on memory says.",
    "/docs/print.txt": "The printer in the hall makes a copy.",
    "/docs/garden.txt": "Tomatoes are planted in May. Beans follow in June. The pump is primed for forty seconds.",
    **{f"/docs/other{n}.txt": f"Chapter {n} is about the colour of stones and clouds." for n in range(9)},
}
ON = AskOptions(rewriting=Rewriting("on"))


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(paths.kb_dir, "docs") as made:
        for path, text in DOCUMENTS.items():
            chunk = ChunkDraft(text, "", Span(0, len(text), 1, 1))
            index.write_document(made, FileRecord(path, 1, 1, content_hash=path), [chunk])
        yield made


@pytest.fixture
def chats(paths: Paths) -> Iterator[ChatStore]:
    opened = ChatStore(paths.chat_database)
    yield opened
    opened.close()


def wants_words(messages: Sequence[Message]) -> bool:
    return messages[-1].content.startswith(INSTRUCTIONS)


def writer(sentence: str = SENTENCE, answer: str = "With the cached flag.") -> FakeModel:
    return FakeModel(lambda messages: sentence if wants_words(messages) else answer)


def wanted(model: FakeModel) -> list[str]:
    """What the model was asked to write other words for."""
    return [asked[-1].content for asked in model.asked if wants_words(asked)]


Event = TypeVar("Event")


def one(events: Sequence[object], kind: type[Event]) -> Event:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def ask(session: ChatSession, question: str = QUESTION, cancel: CancelToken | None = None) -> list[object]:
    return list(session.ask(session.start(question), question, cancel=cancel or CancelToken()))


def found(store: KnowledgeStore, question: str = QUESTION) -> SearchResult:
    return Searcher([store]).search(question, 8)


# --- when -------------------------------------------------------------------------------------------------


def test_a_search_is_unsure_when_little_of_the_question_is_there(store: KnowledgeStore) -> None:
    assert rewriting.unsure(found(store))
    assert rewriting.unsure(found(store, "zebra quagga"))
    assert not rewriting.unsure(found(store, "When are tomatoes planted?"))


def result(match: float, confidence: float) -> SearchResult:
    hit = Hit(1, 1.0, "docs", 1, 1, "/d", "", "", Span(0, 1, 1, 1), "t", "")
    return SearchResult((hit,), match, 0.0, confidence)


@pytest.mark.parametrize(
    ("match", "confidence", "unsure"),
    [(0.5, 0.9, False), (0.5, 0.6, True), (0.2, 0.9, True), (1.0, 0.6, False)],
)
def test_confidence_and_match_decide(match: float, confidence: float, unsure: bool) -> None:
    assert rewriting.unsure(result(match, confidence)) is unsure


def test_the_second_search_is_kept_unless_it_is_far_less_sure() -> None:
    assert rewriting.better(result(0.5, 0.4), result(0.1, 0.2))
    assert not rewriting.better(result(0.5, 0.4), result(0.9, 0.19))
    assert not rewriting.better(result(0.5, 0.4), SearchResult((), 0.0, 0.0))


def info_of(n_params: int) -> ModelInfo:
    return replace(loaded(FakeModel("")).info, n_params=n_params, path="/models/m.gguf", size_bytes=7)


def test_auto_goes_by_what_was_measured_and_then_by_size(tmp_path: Path) -> None:
    file = tmp_path / "rewritings.json"
    small, large = info_of(10**8), replace(info_of(10**9), path="/models/large.gguf")
    for choice, says in (("off", (False, False)), ("on", (True, True)), ("auto", (False, True))):
        assert (
            rewriting.serves(Rewriting(choice), small),
            rewriting.serves(Rewriting(choice), large),
        ) == says
    rewriting.write_measured(file, small, pays=True)
    rewriting.write_measured(file, large, pays=False)
    measured = Rewriting("auto", rewriting.read_measured(file))
    assert rewriting.serves(measured, small)
    assert not rewriting.serves(measured, large)
    file.write_text("no json", "utf-8")
    assert rewriting.read_measured(file) == {}


def test_it_is_off_by_default_and_the_setting_reaches_the_chat(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(paths.settings_file, {}).retrieval.rewrite == "off"
    assert not rewriting.serves(build.ask_options(discover()).rewriting, info_of(10**10))
    monkeypatch.setenv("RAGCHAT_RETRIEVAL__REWRITE", "auto")
    rewriting.write_measured(discover().paths.rewritings_file, info_of(10**8), pays=True)
    chosen = build.ask_options(discover()).rewriting
    assert chosen.choice == "auto"
    assert list(chosen.measured.values()) == [True]
    with pytest.raises(UsageError):
        load(paths.settings_file, {"RAGCHAT_RETRIEVAL__REWRITE": "maybe"})


# --- what the model writes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (SENTENCE, SENTENCE),
        ("\n\nThe flag is -x.\nAnd more\nof it", "The flag is -x."),
        ('Answer: "Use the flag."', "Use the flag."),
        ("1. Use the flag.", "Use the flag."),
        ("- Use\x1b[31m the flag.", "Use the flag."),
        ("", ""),
    ],
)
def test_one_clean_line_is_taken(said: str, line: str) -> None:
    written = rewriting.rewrite(loaded(FakeModel(said)), QUESTION, CancelToken())
    assert "\x1b" not in written
    assert written.replace("[31m", "") == line


def test_what_a_model_thinks_is_not_searched_for() -> None:
    model = FakeModel("Use the flag.", reasoning="perhaps a zebra")
    assert rewriting.rewrite(loaded(model), QUESTION, CancelToken()) == "Use the flag."


def test_a_line_that_takes_too_long_is_not_used() -> None:
    model = loaded(FakeModel(SENTENCE, pause_s=0.02))
    assert rewriting.rewrite(model, QUESTION, CancelToken(), seconds=0.05) == ""
    assert rewriting.rewrite(model, QUESTION, CancelToken()) == SENTENCE


def test_who_stops_the_line_stops_the_answer() -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(CancelledError):
        rewriting.rewrite(loaded(FakeModel(SENTENCE)), QUESTION, cancel)


def test_a_pasted_question_is_cut_and_a_follow_up_has_its_subject() -> None:
    model = FakeModel(SENTENCE)
    rewriting.rewrite(loaded(model), "x" * 5000, CancelToken(), before="What is the index?")
    (asked,) = wanted(model)
    assert len(asked) < 1000
    assert "What is the index? xxx" in asked


# --- how it is used ---------------------------------------------------------------------------------------


def worth_of(store: KnowledgeStore) -> Callable[..., dict[str, float]]:
    return Vocabulary([store]).idf


def test_only_new_terms_that_the_documents_hold_are_added(store: KnowledgeStore) -> None:
    text = f"{SENTENCE} The zebra forgets the manual sentence."
    added = rewriting.weights(text, QUESTION, ("en",), worth_of(store))
    assert {"index", "cach", "flag", "tree"} <= set(added)
    assert not {"zebra", "forget", "manual", "sentenc", "the", "it"} & set(added)
    assert all(0 < weight <= 0.5 for weight in added.values())


def test_together_they_weigh_no_more_than_the_question(store: KnowledgeStore) -> None:
    idf = worth_of(store)
    added = rewriting.weights(SENTENCE, "copy", ("en",), idf)
    total = sum(weight * idf([term])[term] for term, weight in added.items())
    assert total == pytest.approx(idf(["copi"])["copi"])
    assert rewriting.weights("Zebra.", QUESTION, ("en",), idf) == {}
    assert rewriting.weights(SENTENCE, "zebra", ("en",), idf) == {}


def test_the_second_search_finds_what_the_words_of_the_question_miss(store: KnowledgeStore) -> None:
    searcher = Searcher([store])
    first = searcher.search(QUESTION, 8)
    assert first.hits[0].path != RIGHT
    second = rewriting.search_again(
        searcher,
        None,
        Sought(QUESTION),
        SENTENCE,
        worth_of(store),
        8,
        AskOptions().ranking,
    )
    assert second.hits[0].path == RIGHT


def test_a_question_is_meant_halfway_between_both(store: KnowledgeStore) -> None:
    embedder = WordEmbedder()
    meant = Averaging(embedder)
    with meant.put_as(SENTENCE):
        both = meant.embed_query(QUESTION)
    assert np.linalg.norm(both) == pytest.approx(1.0, abs=1e-5)
    assert both @ embedder.embed_query(QUESTION) == pytest.approx(
        float(both @ embedder.embed_query(SENTENCE)), abs=1e-5
    )
    assert np.array_equal(meant.embed_query(QUESTION), embedder.embed_query(QUESTION)), "only meanwhile"


class _Noted(Averaging):
    """Remembers the vectors of questions that were asked for."""

    def __init__(self) -> None:
        super().__init__(WordEmbedder())
        self.vectors: list[np.ndarray] = []

    def embed_query(self, text: str) -> np.ndarray:
        self.vectors.append(super().embed_query(text))
        return self.vectors[-1]


def test_a_searcher_does_not_take_the_vector_of_the_first_search(store: KnowledgeStore) -> None:
    meant = _Noted()
    searcher = Searcher([store], meant)
    for _ in range(2):
        searcher.search(QUESTION, 8)
        rewriting.search_again(
            searcher, meant, Sought(QUESTION), SENTENCE, worth_of(store), 8, AskOptions().ranking
        )
    plain, both, *again = meant.vectors
    assert not np.allclose(plain, both)
    assert all(np.array_equal(a, b) for a, b in zip(again, (plain, both), strict=True))


# --- in a session -----------------------------------------------------------------------------------------


def test_the_session_says_searches_and_keeps_it(chats: ChatStore, store: KnowledgeStore) -> None:
    model = writer()
    session = ChatSession(chats, model, [store], ON)
    events = ask(session)
    kinds = list(dict.fromkeys(type(event) for event in events))
    before = [MessageStored, LoadProgress, SearchUnsure, QueryRewritten, QueryUsed, HitsFound]
    assert kinds[: len(before)] == before
    assert one(events, QueryRewritten).text == SENTENCE
    used = one(events, QueryUsed)
    assert used.rewritten == Rewritten(SENTENCE, kept=True)
    assert used.query == QUESTION, "the question itself stays as it was"
    assert one(events, HitsFound).hits[0].path == RIGHT
    finished = one(events, AnswerFinished)
    assert finished.text.startswith("With the cached flag")
    generation = record_of(chats, finished.answer_id).generation
    assert generation.query == f"{QUESTION} [also: {SENTENCE}]"
    assert without_rewriting(generation.query) == QUESTION
    assert searched_also(generation.query) == SENTENCE
    assert searched_also(QUESTION) == ""
    assert SENTENCE not in "".join(message.content for message in generation.prompt)


def test_citations_are_bound_by_the_question_alone(chats: ChatStore, store: KnowledgeStore) -> None:
    """A sentence of the answer that says what the model wrote before still adds something to the question."""
    session = ChatSession(chats, writer(answer=DOCUMENTS[RIGHT].split(". ")[0] + "."), [store], ON)
    finished = one(ask(session), AnswerFinished)
    assert [c.hit.path for c in finished.citations if c.used] == [RIGHT]
    assert "[1]" in finished.text


def test_what_is_no_better_is_not_used(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(
        chats, writer("Tomatoes, beans, May, June, clouds, stones, chapter, pump."), [store], ON
    )
    plain = one(ask(ChatSession(chats, writer(), [store], AskOptions())), HitsFound)
    events = ask(session)
    used = one(events, QueryUsed)
    assert used.rewritten
    assert not used.rewritten.kept
    assert one(events, HitsFound).hits == plain.hits
    assert used.recorded == QUESTION
    assert used.rewritten.sentence.endswith("(no better, so not used)")


@pytest.mark.parametrize(
    ("question", "options"),
    [
        (QUESTION, AskOptions()),
        ("Which quagga ate my zeppelin?", replace(ON, strict=True)),
        ("When are tomatoes planted?", ON),
        (f"{QUESTION} in:docs", ON),
        ('forget "throwing my copy"', ON),
        (QUESTION, AskOptions(rewriting=Rewriting("auto", {":0": False}))),
    ],
    ids=["off", "declined without the model", "sure", "a folder", "a phrase", "measured: no"],
)
def test_the_model_is_not_asked(
    chats: ChatStore, store: KnowledgeStore, question: str, options: AskOptions
) -> None:
    model = writer()
    events = ask(ChatSession(chats, model, [store], options), question)
    assert wanted(model) == []
    assert one(events, QueryUsed).rewritten is None


def test_an_attached_text_is_answered_from_itself(chats: ChatStore, store: KnowledgeStore) -> None:
    model = writer()
    session = ChatSession(chats, model, [store], ON)
    list(session.ask(session.start(QUESTION), QUESTION, attachment="A text.", cancel=CancelToken()))
    assert wanted(model) == []


def test_esc_while_the_model_writes_stops_the_answer(chats: ChatStore, store: KnowledgeStore) -> None:
    cancel = CancelToken()

    def stopped(messages: Sequence[Message]) -> str:
        cancel.cancel()
        return SENTENCE

    events = ask(ChatSession(chats, FakeModel(stopped), [store], ON), cancel=cancel)
    assert one(events, AnswerFinished).finish_reason == "cancelled"
    assert not [event for event in events if isinstance(event, QueryRewritten)]


class _Broken(FakeModel):
    """Cannot write other words, but answers."""

    def generate(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        cancel: CancelToken,
        owners: Sequence[str] = (),
    ) -> Iterator[PrefillProgress | ReasoningDelta | TextDelta | GenerationFinished]:
        if wants_words(messages):
            raise ModelError("The model is no good.")
        return super().generate(messages, sampling, cancel=cancel)


def test_a_model_that_fails_to_write_costs_nothing_else(chats: ChatStore, store: KnowledgeStore) -> None:
    events = ask(ChatSession(chats, _Broken("An answer."), [store], ON))
    assert one(events, QueryUsed).rewritten is None
    assert one(events, AnswerFinished).finish_reason == "stop"


def test_the_preview_sends_what_ask_would_send(chats: ChatStore, store: KnowledgeStore) -> None:
    session = ChatSession(chats, writer(), [store], ON)
    preview = session.preview(QUESTION, cancel=CancelToken())
    assert preview.found.hits[0].path == RIGHT
    view = of_preview(preview, Sampling(), info_of(1))
    assert view.query == f"{QUESTION} [also: {SENTENCE}]"


def test_the_words_written_by_the_model_do_not_make_documents_relevant(
    chats: ChatStore, store: KnowledgeStore
) -> None:
    """The search reaches all of what the model wrote, and none of the question."""
    question = "Which quagga ate my zeppelin?"
    events = ask(ChatSession(chats, writer(DOCUMENTS["/docs/garden.txt"]), [store], ON), question)
    assert not one(events, HitsFound).relevant


def test_the_screen_says_so() -> None:
    assert progress_sentence(SearchUnsure()) == "Looking for other words to search for"
    assert progress_sentence(QueryRewritten("the cached flag")) == "Searching also for “the cached flag”"
    assert Rewritten("the cached flag", kept=True).sentence == "Searched also for: the cached flag"
    assert (
        answer_footer("complete", searched_also="the cached flag").plain
        == "Searched also for “the cached flag”"
    )


def test_runs_of_before_the_setting_stay_comparable() -> None:
    def settings(options: AskOptions) -> dict[str, object]:
        found = inputs.collect(
            model=("m", ""), adapters={}, documents={}, options=options, questions=[], arms=[], context={}
        )
        return dict(found["settings"])

    assert "rewrite" not in settings(AskOptions())
    assert "rewrite" in settings(ON)


# --- measured on questions --------------------------------------------------------------------------------


def asked_of(count: int, **how: object) -> list[Asked]:
    return [Asked(id=str(n), question=QUESTION, **how) for n in range(count)]  # type: ignore[arg-type]


def trial(
    store: KnowledgeStore, file: Path, model: LoadedFake, count: int = 3, cancel: CancelToken | None = None
) -> list[Compared]:
    steps = rewriting_trial.run(
        model,
        Searcher([store]),
        None,
        worth_of(store),
        [
            *asked_of(count, sources=("index.txt",)),
            Asked(id="sure", question="When are tomatoes planted?", answers=("in May",)),
        ],
        file,
        cancel=cancel or CancelToken(),
    )
    return [step for step in steps if isinstance(step, Compared)]


def test_a_trial_tells_what_it_brings(store: KnowledgeStore, tmp_path: Path) -> None:
    rows = trial(store, tmp_path / "texts.jsonl", loaded(writer()), count=30)
    assert rows[-1].written is None, "a search that is sure is done once"
    assert rows[-1].after == 1
    told = outcome(rows)
    assert (told.questions, told.written, told.kept) == (31, 30, 30)
    assert told.before[1] == pytest.approx(1 / 31)
    assert told.after[1] == 1
    assert told.gain[1].low > 0
    assert told.pays(1)
    nothing = outcome(trial(store, tmp_path / "other.jsonl", loaded(writer("")), count=30))
    assert nothing.before == nothing.after
    assert not nothing.pays(1)


def test_a_trial_that_was_stopped_continues(store: KnowledgeStore, tmp_path: Path) -> None:
    file, cancel, model = tmp_path / "texts.jsonl", CancelToken(), writer()
    stopping = FakeModel(lambda _: cancel.cancel() or "x" if len(stopping.asked) > 2 else SENTENCE)  # type: ignore[func-returns-value]
    with pytest.raises(CancelledError):
        trial(store, file, loaded(stopping), cancel=cancel)
    with file.open("a", encoding="utf-8") as out:
        out.write('{"question": "cut o')
    rows = trial(store, file, loaded(model))
    assert len(wanted(model)) == 1
    assert [row.kept for row in rows] == [True, True, True, False]
    other = loaded(writer())
    with pytest.raises(UsageError, match="another run"):
        trial(store, file, replace(other, info=replace(other.info, size_bytes=9)))


def test_the_passages_that_a_model_gets_decide() -> None:
    assert [decisive(passages) for passages in (1, 2, 3, 5, 8)] == [1, 3, 3, 5, 5]


def test_a_hit_is_judged_by_its_document_or_by_the_answer(store: KnowledgeStore) -> None:
    hit = replace(found(store, "tomatoes").hits[0], path="C:\\docs\\garden.txt")
    assert is_right(Asked(id="1", question="", sources=("docs/garden.txt",)), hit)
    assert not is_right(Asked(id="1", question="", sources=("arden.txt",), answers=("in May",)), hit)
    assert is_right(Asked(id="1", question="", answers=("in May",)), hit)
    with pytest.raises(UsageError, match="at least 20"):
        judged([*asked_of(19, answers=("x",)), Asked(id="none", question="q")])


# --- with the default model -------------------------------------------------------------------------------


@pytest.mark.real_model
def test_the_default_model_writes_the_same_line_whatever_it_was_asked_before(
    real_model: InferenceClient, store: KnowledgeStore
) -> None:
    model = loaded(real_model)
    first = rewriting.rewrite(model, QUESTION, CancelToken(), seconds=60)
    rewriting.rewrite(model, "When are tomatoes planted?", CancelToken(), seconds=60)
    assert first
    assert "\n" not in first
    assert rewriting.rewrite(model, QUESTION, CancelToken(), seconds=60) == first
    session = ChatSession(None, real_model, [store], replace(ON, sampling=Sampling(seed=0, max_tokens=4)))
    events = list(session.ask(0, QUESTION, cancel=CancelToken()))
    assert one(events, QueryRewritten).text == first
    assert one(events, AnswerFinished).finish_reason in ("stop", "length")


@pytest.mark.real_model
def test_the_command_measures_and_keeps_the_result(
    default_model: Path, store: KnowledgeStore, paths: Paths
) -> None:
    SetLibrary(paths.question_sets_dir).write(
        "mine",
        [
            *(
                Asked(id=str(n), question="When are tomatoes planted?", answers=("in May",))
                for n in range(19)
            ),
            Asked(id="unsure", question=QUESTION, sources=(RIGHT,)),
        ],
    )
    run = partial(CliRunner().invoke, eval_cli.eval, obj=discover(), catch_exceptions=False)
    done = run(["rewriting", "mine", "--kb", "docs", "--json"])
    report = json.loads(done.stdout)
    assert (report["questions"], report["written"], report["decided_at"]) == (20, 1, 1)
    assert report["success"]["1"]["before"] >= 0.95
    assert not report["pays"], "one question proves nothing"
    assert "auto leaves it off" in done.stderr
    assert list(rewriting.read_measured(discover().paths.rewritings_file).values()) == [False]
    again = run(["rewriting", "mine", "--kb", "docs", "--no-store"])
    assert "unsure of 1 of 20 questions" in again.stdout
