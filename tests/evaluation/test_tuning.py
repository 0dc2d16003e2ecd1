"""Choosing settings by questions: what helps is found on one half and told of the other, with real indexes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ragchat.errors import CancelledError
from ragchat.evaluation.packing_trial import answers
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.tuning import (
    BUDGETS,
    PASSAGES,
    Tried,
    Tuned,
    TunedPacking,
    choose_packing,
    scores,
    tune,
)
from ragchat.ingest.chunk import split
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.retrieval.index import write_documents
from ragchat.retrieval.search import DEFAULT, PLAIN, Searcher
from ragchat.session.packing import Packing
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import CancelToken, ExtractedText, Message

SIZE = 110
NAMES = [
    f"{first}{second}"
    for first in ("har", "bel", "zor", "kim", "dun", "vos")
    for second in ("row", "tan", "mer", "lig")
]
ASKED = [
    Asked(id=f"q{n:02}", question=f"Who keeps the lighthouse of {name}?", answers=(f"Keeper{n:02}",))
    for n, name in enumerate(NAMES)
]


def text(n: int, name: str) -> str:
    filler = " ".join(f"The sea before {name} was calm on day {day}." for day in range(12))
    return f"{name} lies by the sea.\n\n{filler}\n\nThe lighthouse of {name} is kept by Keeper{n:02}.\n\n{filler}\n"


@pytest.fixture
def searchers(tmp_path: Path) -> Iterator[dict[int, Searcher]]:
    """The same documents in chunks of two sizes."""
    with ExitStack() as stack:
        found = {}
        for size in (SIZE, 2 * SIZE):
            store = stack.enter_context(KnowledgeStore.create(tmp_path / str(size), "kb"))
            documents = [
                (
                    FileRecord(f"{name}.txt", 1, 0, language="en"),
                    split(ExtractedText(text(n, name), "text/plain"), chunk_tokens=size, overlap_tokens=0),
                )
                for n, name in enumerate(NAMES)
            ]
            write_documents(store, documents)
            found[size] = Searcher([store])
        yield found


@pytest.fixture
def short(tmp_path: Path) -> Iterator[Searcher]:
    """A chunk for each document, so that none are joined."""
    with KnowledgeStore.create(tmp_path / "short", "kb") as store:
        documents = [
            (
                FileRecord(f"{name}.txt", 1, 0, language="en"),
                split(ExtractedText(f"Keeper{n:02} keeps the lighthouse of {name}.\n", "text/plain")),
            )
            for n, name in enumerate(NAMES)
        ]
        write_documents(store, documents)
        yield Searcher([store])


def test_a_share_of_rooms_is_what_counts(searchers: dict[int, Searcher]) -> None:
    found = scores(searchers[SIZE], ASKED[:4], DEFAULT, 100_000)
    assert found == [1.0] * 4
    assert scores(searchers[SIZE], ASKED[:4], DEFAULT, 1) == [0.0] * 4
    nobody = Asked(id="x", question="Who keeps the lighthouse of harrow?", answers=("Nobody At All",))
    assert scores(searchers[SIZE], [nobody], DEFAULT, 100_000) == [0.0]


def test_a_bad_setting_is_left(searchers: dict[int, Searcher], monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that helps is found and kept, and nothing else; the other half says what it is worth."""
    from ragchat.evaluation import tuning

    def ranks_badly(
        searcher: Searcher, questions: Sequence[Asked], ranking: object, room: int
    ) -> list[float]:
        return [0.9 if getattr(ranking, "b", 0) == 0.75 else 0.4 for _ in questions]

    monkeypatch.setattr(tuning, "scores", ranks_badly)
    *tried, told = tune(
        searchers[SIZE], ASKED, now=PLAIN, passages=1, cancel=CancelToken(), chunk_tokens=SIZE
    )
    assert isinstance(told, Tuned)
    assert told.settings == {"b": 0.75}
    assert [told.before, told.after] == pytest.approx([0.4, 0.9])
    assert told.questions == len(ASKED) // 2
    assert told.shown
    kept = [one for one in tried if isinstance(one, Tried) and one.kept]
    assert [(one.name, one.value) for one in kept] == [("b", 0.75)]


def test_nothing_that_helps_changes_nothing(searchers: dict[int, Searcher]) -> None:
    *_, told = tune(
        searchers[2 * SIZE], ASKED, now=DEFAULT, passages=8, cancel=CancelToken(), chunk_tokens=2 * SIZE
    )
    assert isinstance(told, Tuned)
    assert told.before == told.after == 1.0
    assert (dict(told.settings), told.shown) == ({}, False)


def test_too_few_questions_and_a_stop() -> None:
    empty = Searcher([])
    with pytest.raises(ValueError, match="too few"):
        list(tune(empty, ASKED[:5], now=DEFAULT, passages=1, cancel=CancelToken(), chunk_tokens=SIZE))
    stopped = CancelToken()
    stopped.cancel()
    assert list(tune(empty, ASKED, now=DEFAULT, passages=1, cancel=stopped, chunk_tokens=SIZE)) == []


# --- what the model is given ------------------------------------------------------------------------------


def choose(
    searchers: dict[int, Searcher], file: Path, model: FakeModel, cancel: CancelToken | None = None
) -> tuple[TunedPacking, int]:
    """The end, and how many answers were asked for."""
    before = len(answers(file))
    *_, told = choose_packing(
        loaded(model),
        searchers,
        "set",
        ASKED,
        file,
        now=Packing(1),
        ranking=PLAIN,
        documents="as they are",
        cancel=cancel or CancelToken(),
    )
    assert isinstance(told, TunedPacking)
    return told, len(answers(file)) - before


def reads_three(messages: Sequence[Message]) -> str:
    """Answers from three passages, and only from three."""
    asked = messages[-1].content
    number = next(n for n, name in enumerate(NAMES) if f"lighthouse of {name}?" in asked)
    return f"Keeper{number:02}" if "[3]" in asked and "[4]" not in asked else "I do not know."


def test_the_number_of_passages_that_the_model_answers_best_with(short: Searcher, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    told, asked = choose({SIZE: short}, file, FakeModel(reads_three))
    assert (told.packing.passages, told.chunk_tokens) == (3, SIZE)
    assert (told.before, told.after, told.shown) == (0.0, 1.0, True)
    assert told.questions == len(ASKED) // 2
    assert {one.way.packing.passages for one in told.ways} == set(PASSAGES)
    assert {one.way.packing.budget for one in told.ways} == set(BUDGETS)
    assert asked == len(ASKED) // 2 * (len(told.ways) + 2)
    again, more = choose({SIZE: short}, file, FakeModel(reads_three))
    assert more == 0, "answers that are there are not asked for again"
    assert again == told


def test_chunks_of_another_size_are_for_the_model_to_judge(
    searchers: dict[int, Searcher], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ragchat.evaluation.tuning.PASSAGES", (1,))

    def wants_much(messages: Sequence[Message]) -> str:
        asked = messages[-1].content
        number = next(n for n, name in enumerate(NAMES) if f"lighthouse of {name}?" in asked)
        whole = max((len(part) for part in asked.split("[1]")), default=0)
        return f"Keeper{number:02}" if "[2]" not in asked and whole > 4.5 * SIZE else "I do not know."

    told, _ = choose(searchers, tmp_path / "answers.jsonl", FakeModel(wants_much))
    assert told.chunk_tokens == 2 * SIZE
    assert told.packing.passages == 1
    assert told.shown


def test_the_present_way_stays_unless_another_is_better(
    searchers: dict[int, Searcher], tmp_path: Path
) -> None:
    told, _ = choose(searchers, tmp_path / "answers.jsonl", FakeModel(lambda _: "I do not know."))
    assert (told.packing, told.chunk_tokens) == (Packing(1), SIZE)
    assert (told.gain.mean, told.p, told.shown) == (0.0, 1.0, False)


def test_stopped_it_keeps_its_answers(searchers: dict[int, Searcher], tmp_path: Path) -> None:
    file, cancel = tmp_path / "answers.jsonl", CancelToken()
    model = loaded(FakeModel(reads_three))
    steps = choose_packing(
        model, searchers, "set", ASKED, file, now=Packing(1), ranking=DEFAULT, documents="x", cancel=cancel
    )
    with pytest.raises(CancelledError):
        for number, _ in enumerate(steps):
            if number == 5:
                cancel.cancel()
    kept = len(answers(file))
    assert kept >= 5
    *_, told = choose_packing(
        model,
        searchers,
        "set",
        ASKED,
        file,
        now=Packing(1),
        ranking=DEFAULT,
        documents="x",
        cancel=CancelToken(),
    )
    assert isinstance(told, TunedPacking)
    assert len({(row.way, row.question) for row in answers(file)}) == len(answers(file))
