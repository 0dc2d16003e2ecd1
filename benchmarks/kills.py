"""A process that indexes, removes and merges is killed (SIGKILL) at a random moment, again and again; is anything lost?

    python benchmarks/kills.py [--rounds 200] [--seed 0]

The child says each document that it has written or removed once that is done, and goes on with the same knowledge base in the
next round. After each kill: SQLite's integrity check, every document that was acknowledged is there with all its chunks and none
that was removed, every posting list equals what its texts say, document frequencies are exact, pruned search equals exhaustive
search. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ragchat.retrieval import index, merge
from ragchat.retrieval.check import wrong_segments
from ragchat.retrieval.search import PLAIN, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span

WORDS = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("ab", "el", "ik", "om", "ur")]
WEIGHTS = [1 / rank for rank in range(1, len(WORDS) + 1)]
MOST_DOCUMENTS = 250


def chunks(rng: random.Random) -> list[ChunkDraft]:
    texts = [" ".join(rng.choices(WORDS, WEIGHTS, k=rng.randint(3, 40))) for _ in range(rng.randint(1, 30))]
    return [ChunkDraft(text, "", Span(0, len(text), n, n)) for n, text in enumerate(texts, 1)]


def child(folder: Path, seed: int) -> None:
    """Writes, removes and merges until it is killed."""
    rng = random.Random(seed)
    merge._SMALL = rng.choice([0, 4096])  # merges of many transactions as well as of one
    merge._ROWS_AT_ONCE = 40
    merge._ABANDONED_AFTER_S = 0.0
    store = KnowledgeStore.create(folder, "a")
    say("ready")
    for n in range(1_000_000):
        known = [document.path for document in store.documents()]
        if len(known) > MOST_DOCUMENTS or (known and rng.random() < 0.3):
            path = rng.choice(known)
            document = store.document_at(path)
            assert document
            say(f"removing {path}")
            index.remove_document(store, document.id)
            say(f"removed {path}")
        else:
            batch = [
                (FileRecord(f"/{seed}-{n}-{i}.", 1, 1), chunks(rng)) for i in range(rng.choice([1, 1, 8]))
            ]
            listed = ",".join(f"{file.path}={len(made)}" for file, made in batch)
            say(f"writing {listed}")
            index.write_documents(store, batch)
            say(f"wrote {listed}")
        if rng.random() < 0.5:
            index.merge_segments(store, fan_out=3)


def say(line: str) -> None:
    print(line, flush=True)


def counts(listed: str) -> dict[str, int]:
    return {path: int(count) for path, _, count in (item.partition("=") for item in listed.split(","))}


def follow(expected: dict[str, int], lines: list[str]) -> tuple[dict[str, int], dict[str, int]]:
    """What must be there after these lines, and what it is if the last step, never acknowledged, was done."""
    done = dict(expected)
    for line in lines:
        verb, _, rest = line.partition(" ")
        if verb == "wrote":
            done |= counts(rest)
        elif verb == "removed":
            done.pop(rest, None)
    also = dict(done)
    if lines:
        verb, _, rest = lines[-1].partition(" ")
        if verb == "writing":
            also |= counts(rest)
        elif verb == "removing":
            also.pop(rest, None)
    return done, also


def problems(
    folder: Path, allowed: list[dict[str, int]], rng: random.Random
) -> tuple[list[str], dict[str, int]]:
    """What is wrong, and the documents with their chunks as they are."""
    found: list[str] = []
    with KnowledgeStore.open(folder, "a") as store:
        if (verdict := store.check()) != "ok":
            found.append(f"integrity: {verdict}")
        held = {document.path: document.chunk_count for document in store.documents()}
        if held not in allowed:
            found.append(f"documents: {len(set(held) ^ set(allowed[0]))} differ")
        made = {d.path: len(store.indexed_as(d.id)[2]) for d in store.documents()}
        if made != held:
            found.append("a document without all its chunks")
        found += wrong_segments(store)
        dfs: Counter[str] = Counter()
        for document in store.documents():
            dfs.update(index._counted(store, document.id)[0])
        if store.index.dfs(list(dfs)) != dict(dfs):
            found.append("document frequencies")
        if store.statistics().chunk_count != sum(held.values()):
            found.append("number of chunks")
        searcher = Searcher([store])
        for _ in range(5):
            query = " ".join(rng.sample(WORDS, 3))
            pruned, whole = (
                [
                    (hit.chunk_id, hit.score)
                    for hit in searcher.search(query, 10, with_evidence=False, ranking=r).hits
                ]
                for r in (PLAIN, replace(PLAIN, exhaustive=True))
            )
            if pruned != whole:
                found.append("pruned search")
    return found, held


def run(rounds: int, seed: int) -> dict[str, object]:
    """The report of so many kills."""
    rng = random.Random(seed)
    bad: list[str] = []
    in_merge = steps = 0
    expected: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(rounds):
            worker = subprocess.Popen(
                [sys.executable, __file__, "--child", name, "--seed", str(seed * 1_000_003 + number)],
                stdout=subprocess.PIPE,
                text=True,
            )
            assert worker.stdout
            assert worker.stdout.readline() == "ready\n"
            time.sleep(rng.random() * 0.4)
            os.kill(worker.pid, signal.SIGKILL)
            lines = worker.stdout.read().splitlines()
            worker.wait()
            with KnowledgeStore.open(folder, "a") as store:
                in_merge += store.index.is_merging() or bool(store.index.garbage())
            done, also = follow(expected, lines)
            found, expected = problems(folder, [done, also], rng)
            steps += len(lines)
            bad += [f"round {number}: {problem}" for problem in found]
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {rounds} kills, {len(bad)} problems", end="", file=sys.stderr)
    return {"benchmark": "kills", "kills": rounds, "in_a_merge": in_merge, "steps": steps, "problems": bad}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.seed)
    report = run(arguments.rounds, arguments.seed)
    print(
        f"{report['kills']} kills, {report['in_a_merge']} of them in a merge, {report['steps']} steps before them:"
    )
    print("\n".join(report["problems"]) or "nothing was lost")  # type: ignore[arg-type]
    print(json.dumps(report))


if __name__ == "__main__":
    main()
