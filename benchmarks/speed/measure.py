"""What is measured inside one fresh process. `retrieval_speed.py` starts one for each measurement and reads its JSON line.

Nothing heavy is imported here: an engine's imports count in `first_answer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from speed.chunks import Chunk, documents, new_documents, read_chunks, read_questions
from speed.engines import Bm25s, Engine, Fts5, RankBm25, Tantivy, TantivyAllWords
from speed.ours import Ragchat, RagchatAsItSearches

ENGINES: dict[str, Callable[[], Engine]] = {
    "ragchat": Ragchat,
    "ragchat_full": RagchatAsItSearches,
    "bm25s": Bm25s,
    "tantivy": Tantivy,
    "tantivy_all_words": TantivyAllWords,
    "fts5": Fts5,
    "rank_bm25": RankBm25,
}
SAME_INDEX = {"ragchat_full": "ragchat"}
WARM_UPS = 20
MERGE_EVERY = 100
HUNDRED = range(80, 126)
"""Sizes in chunks of the documents whose removal is timed as that of a document of 100."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a fresh process is told: `patience_s` ends a run over the questions early, for engines that take a second each."""

    corpus: Path
    chunks: int
    engine: str
    index: Path
    questions: int
    patience_s: float
    adds: int
    removes: int


def build(task: Task) -> dict[str, Any]:
    """From the lines of chunks.jsonl to an index another process can open."""
    started = time.perf_counter()
    ENGINES[task.engine]().build(read_chunks(task.corpus, task.chunks), task.index)
    return {"build_s": time.perf_counter() - started}


def first_answer(task: Task) -> dict[str, Any]:
    """Imports of the engine, opening, the first question; the start of Python itself is not in it (the caller times that)."""
    question = read_questions(task.corpus, 1)[0]
    started = time.perf_counter()
    engine = ENGINES[task.engine]()
    engine.open(task.index)
    opened = time.perf_counter()
    engine.search(question)
    answered = time.perf_counter()
    return {"open_s": opened - started, "first_answer_s": answered - started}


def query(task: Task) -> dict[str, Any]:
    """Milliseconds and rows of every question, after some to warm up; resident bytes at the end."""
    questions = read_questions(task.corpus, task.questions)
    engine = ENGINES[task.engine]()
    engine.open(task.index)
    started = time.perf_counter()
    for question in questions[:WARM_UPS]:
        engine.search(question)
    if time.perf_counter() - started > task.patience_s:
        questions = questions[:WARM_UPS]
    took_ms, rows = [], []
    for question in questions:
        before = time.perf_counter()
        rows.append(engine.search(question))
        took_ms.append((time.perf_counter() - before) * 1000)
        if sum(took_ms) > task.patience_s * 1000 and len(took_ms) >= 2 * WARM_UPS:
            break
    return {"took_ms": took_ms, "rows": rows, "rss": resident_bytes()}


def bare(task: Task) -> dict[str, Any]:
    """What Python and numpy alone take, beside what this script needs for itself."""
    import numpy  # noqa: F401

    read_questions(task.corpus, task.questions)
    return {"rss": resident_bytes()}


def change(task: Task) -> dict[str, Any]:
    """Single adds, removals of documents of about 100 chunks, and more removals; milliseconds of each.

    `task.index` is a copy that may be spoiled. ragchat merges its segments after every hundred adds, as it would behind a
    running application; that is timed by itself. An engine is given no more than its patience.
    """
    engine = ENGINES[task.engine]()
    engine.open(task.index)
    engine.search(read_questions(task.corpus, 1)[0])
    chunks = list(read_chunks(task.corpus, min(task.chunks, 50_000)))
    known = list(documents(chunks))[:-1]
    new = list(new_documents(chunks, task.chunks, task.adds))
    add_ms, merge_s, merges = [], [], 0
    for i, chunk in enumerate(new, 1):
        add_ms.append(_ms(partial(engine.add, chunk)))
        if sum(add_ms) > task.patience_s * 1000:
            break
        if isinstance(engine, Ragchat) and i % MERGE_EVERY == 0:
            started = time.perf_counter()
            merges += engine.merge()
            merge_s.append(time.perf_counter() - started)
    large = [document for document in known if len(document) in HUNDRED][: max(1, task.removes // 20)]
    remove_ms = _timed_removals(engine, large, task.patience_s)
    small = [document for document in known if len(document) < HUNDRED[0]]
    others = [[chunk] for chunk in new[: len(add_ms)][:: max(1, len(add_ms) // (task.removes // 2 or 1))]]
    rest = (others + small)[: max(0, task.removes - len(large))]
    other_ms = _timed_removals(engine, rest, task.patience_s)
    if isinstance(engine, Ragchat):
        started = time.perf_counter()
        merges += engine.merge()
        merge_s.append(time.perf_counter() - started)
    return {
        "add_ms": add_ms,
        "remove_ms": remove_ms,
        "removed_sizes": [len(document) for document in large[: len(remove_ms)]],
        "removes": len(remove_ms) + len(other_ms),
        "merges": merges,
        "merge_s": merge_s,
    }


def _timed_removals(engine: Engine, given: Sequence[list[Chunk]], patience_s: float) -> list[float]:
    took_ms: list[float] = []
    for document in given:
        took_ms.append(_ms(partial(engine.remove, document)))
        if sum(took_ms) > patience_s * 1000:
            break
    return took_ms


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def resident_bytes() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


ROLES: dict[str, Callable[[Task], dict[str, Any]]] = {
    "build": build,
    "first": first_answer,
    "query": query,
    "bare": bare,
    "change": change,
}
