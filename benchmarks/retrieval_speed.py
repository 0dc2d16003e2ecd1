"""Speed and size of ragchat's index beside bm25s, tantivy, FTS5 and rank_bm25: one run, one corpus, each in fresh processes.

    python benchmarks/corpus.py CORPUS                                  # once: real text and questions
    python benchmarks/retrieval_speed.py CORPUS --chunks 200000 [--engines ragchat,bm25s,…] [--work DIR] [--reuse [NAMES]]

What is timed (all engines get the same chunks, questions and words; ratios count, the figures belong to the machine):

- build: from the lines of chunks.jsonl to an index that another process can open. Peak memory is the sum over the process and its
  children of their proportional shares (Linux; elsewhere of what is resident), ten times a second.
- first answer: in a fresh process, the engine's imports, opening, the first question; the files are in the system's cache. The
  start of Python is not in it; the whole process, from its start to its end, is given beside it. Median of five processes.
- query: top 10 of every question in turn, parsing of the question included, after 20 to warm up. Rounds alternate over the
  engines; p50 and p99 are medians over the rounds. An engine that is out of patience answers the first questions only, and
  ratios are taken over those. ragchat's figure includes fetching the passages, which the peers do not hold.
- memory: resident after all questions, less that of a process that has imported numpy alone.
- changes, on a copy of the index: single adds, removals of documents of 80 to 125 chunks, and further ones; then the questions
  again on the changed index, in rounds that alternate with the fresh one. ragchat merges after every hundred adds and at the end.

`--reuse` takes the peers' indexes that an earlier run on the same corpus left in the work folder, with the figures of their
builds; ragchat's only if it is named (`--reuse ragchat,tantivy`). Needs the extras `dev` and `bench`
(`pip install -e '.[dev,bench]'`). Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from speed import card
from speed.measure import ENGINES, ROLES, SAME_INDEX, Task

CHANGED = ("ragchat", "tantivy", "fts5")
FIRST_ANSWERS = 5
FIRST_ANSWERS_FOR_S = 60.0
RANK_BM25_UP_TO = 250_000
Figures = dict[str, dict[str, Any]]


def in_fresh_process(role: str, task: Task, *, watch_memory: bool = False) -> dict[str, Any]:
    """The role's figures, with `process_s` and, if watched, `peak_bytes` of the process and its children."""
    given = {
        field.name: value if isinstance(value := getattr(task, field.name), (int, float)) else str(value)
        for field in dataclasses.fields(task)
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, "--role", role, json.dumps(given)], stdout=subprocess.PIPE, text=True
    )
    peak = _PeakMemory(process.pid) if watch_memory else None
    out, _ = process.communicate()
    took = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(f"{task.engine}, {role}: ended with {process.returncode}")
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return {**found, "process_s": took, **({"peak_bytes": peak.stop()} if peak else {})}


class _PeakMemory:
    """Highest memory of a process and its children, looked at ten times a second on a thread."""

    def __init__(self, pid: int) -> None:
        self._pid, self._peak, self._done = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        import psutil

        while not self._done.wait(0.1):
            try:
                root = psutil.Process(self._pid)
                self._peak = max(self._peak, sum(map(_share, [root, *root.children(recursive=True)])))
            except psutil.Error:  # it ended between two looks
                continue


def _share(process: Any) -> int:
    info = process.memory_full_info()
    return int(getattr(info, "pss", info.rss))


# --- the steps of a run ---------------------------------------------------------------------------------


def build_indexes(engines: Sequence[str], task: Task, work: Path, *, reuse: Sequence[str]) -> Figures:
    """An index for each engine in work/ENGINE, with the figures of its build beside it in work/ENGINE.json."""
    figures: Figures = {}
    made_of = _fingerprint(task.corpus)
    for engine in engines:
        owner = SAME_INDEX.get(engine, engine)
        folder, note = work / owner, work / f"{owner}.json"
        if owner not in engines and not note.is_file():
            raise SystemExit(f"{engine} needs the index of {owner}: name that as well")
        if owner != engine:
            continue
        built = _figures_in(note) if engine in reuse else {}
        kept = built.get("corpus") == made_of
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            note.unlink(missing_ok=True)
            found = in_fresh_process(
                "build", dataclasses.replace(task, engine=engine, index=folder), watch_memory=True
            )
            built = {**found, "index_bytes": ENGINES[engine]().index_bytes(folder), "corpus": made_of}
            note.write_text(json.dumps(built), encoding="utf-8")
        figures[engine] = {
            "build_s": built["build_s"],
            "chunks_per_s": task.chunks / built["build_s"],
            "build_peak_mb": built["peak_bytes"] / 1e6,
            **({"bytes_per_chunk": built["index_bytes"] / task.chunks} if built["index_bytes"] else {}),
        }
        _say(f"{engine}: index {'kept' if kept else 'built'}, {built['build_s']:.0f} s")
    return figures


def _figures_in(note: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    return found


def _fingerprint(corpus: Path) -> str:
    """Tells one corpus from another by the size and the beginning of its chunks."""
    chunks = corpus / "chunks.jsonl"
    with chunks.open("rb") as file:
        return f"{chunks.stat().st_size}-{blake2b(file.read(1 << 20), digest_size=8).hexdigest()}"


def first_answers(engines: Sequence[str], tasks: dict[str, Task]) -> Figures:
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for _ in range(FIRST_ANSWERS):
        for engine in engines:
            if sum(run["process_s"] for run in found[engine]) < FIRST_ANSWERS_FOR_S:
                found[engine].append(in_fresh_process("first", tasks[engine]))
    return {
        engine: {
            measure: statistics.median(run[measure] for run in runs)
            for measure in ("open_s", "first_answer_s", "process_s")
        }
        for engine, runs in found.items()
    }


def query_rounds(
    engines: Sequence[str], tasks: dict[str, Task], rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Every engine in every round, each round starting with another one."""
    found: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for number in range(rounds):
        for engine in [*engines[number % len(engines) :], *engines[: number % len(engines)]]:
            found[engine].append(in_fresh_process("query", tasks[engine]))
            p50 = card.percentile(found[engine][-1]["took_ms"], 50)
            _say(f"round {number + 1}: {engine} {p50:.2f} ms")
    return found


def query_figures(runs: dict[str, list[dict[str, Any]]], bare_bytes: int) -> Figures:
    ours = runs["ragchat"][0]["rows"] if "ragchat" in runs else None
    figures: Figures = {}
    for engine, found in runs.items():
        rounds = [run["took_ms"] for run in found]
        p50, p99 = card.p50_p99(rounds)
        figures[engine] = {
            "rounds_ms": rounds,
            "p50_ms": p50,
            "p99_ms": p99,
            "questions": min(map(len, rounds)),
            "memory_mb": (statistics.median(run["rss"] for run in found) - bare_bytes) / 1e6,
            **({"overlap": _overlap(ours, found[0]["rows"])} if ours else {}),
        }
    return figures


def _overlap(ours: Sequence[Sequence[int]], theirs: Sequence[Sequence[int]]) -> float:
    """Share of our rows that the other engine has too, over the questions both answered."""
    pairs = [(set(a), set(b)) for a, b in zip(ours, theirs, strict=False) if a]
    return sum(len(a & b) / len(a) for a, b in pairs) / max(1, len(pairs))


def changes(engines: Sequence[str], tasks: dict[str, Task], work: Path, rounds: int) -> Figures:
    """Adds and removes on a copy of each index that can be changed; for ragchat the questions again."""
    figures: Figures = {}
    for engine in (engine for engine in engines if engine in CHANGED):
        copy = work / "changed" / engine
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tasks[engine].index, copy)
        patience = float("1e9") if engine == "ragchat" else tasks[engine].patience_s
        task = dataclasses.replace(tasks[engine], index=copy, patience_s=patience)
        found = in_fresh_process("change", task)
        figures[engine] = {
            "adds": len(found["add_ms"]),
            "removes": found["removes"],
            "add_p50_ms": card.percentile(found["add_ms"], 50),
            "add_p99_ms": card.percentile(found["add_ms"], 99),
            **({"remove_p50_ms": card.percentile(found["remove_ms"], 50)} if found["remove_ms"] else {}),
            "removed_sizes": found["removed_sizes"],
            "merges": found["merges"],
            "merge_s": sum(found["merge_s"]),
            "merge_worst_s": max(found["merge_s"], default=0.0),
        }
        _say(
            f"{engine}: {figures[engine]['adds']:,} adds, {figures[engine]['removes']:,} removes,"
            f" {found['merges']} merges in {sum(found['merge_s']):.1f} s"
        )
        if engine == "ragchat":
            runs = query_rounds(
                ["ragchat", "changed"],
                {"ragchat": tasks["ragchat"], "changed": dataclasses.replace(tasks["ragchat"], index=copy)},
                rounds,
            )
            fresh, changed = (
                card.p50_p99([run["took_ms"] for run in runs[name]])[0] for name in ("ragchat", "changed")
            )
            figures[engine]["changed_ratio"] = changed / fresh
        shutil.rmtree(copy)
    return figures


def _say(sentence: str) -> None:
    print(
        f"{datetime.datetime.now():%H:%M:%S} {sentence} (load {os.getloadavg()[0]:.1f})",
        file=sys.stderr,
        flush=True,
    )


def machine() -> str:
    """Processor, cores in use, system, versions."""
    name = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.is_file():
        names = [line for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        name = names[0].partition(":")[2].strip() if names else name
    from importlib.metadata import version

    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "bm25s", "tantivy", "rank-bm25"))
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"
    )


def run(arguments: argparse.Namespace) -> None:
    engines = [
        engine
        for engine in arguments.engines.split(",")
        if engine != "rank_bm25" or arguments.chunks <= RANK_BM25_UP_TO
    ]
    work = (arguments.work or arguments.corpus / "work") / str(arguments.chunks)
    work.mkdir(parents=True, exist_ok=True)
    task = Task(
        corpus=arguments.corpus.resolve(),
        chunks=arguments.chunks,
        engine="",
        index=work,
        questions=arguments.queries,
        patience_s=arguments.patience,
        adds=arguments.adds,
        removes=arguments.removes,
    )
    tasks = {
        engine: dataclasses.replace(
            task, engine=engine, index=(work / SAME_INDEX.get(engine, engine)).resolve()
        )
        for engine in engines
    }
    started = time.perf_counter()
    results: Figures = {engine: {} for engine in engines}
    bare_bytes = statistics.median(in_fresh_process("bare", task)["rss"] for _ in range(3))
    steps = [
        build_indexes(engines, task, work, reuse=arguments.reuse.split(",")),
        first_answers(engines, tasks),
        query_figures(query_rounds(engines, tasks, arguments.rounds), int(bare_bytes)),
        changes(engines, tasks, work, arguments.rounds) if arguments.adds else {},
    ]
    for step in steps:
        for engine, figures in step.items():
            results[engine].update(figures)
    verdicts = card.verdicts(results, arguments.chunks)
    print(f"{arguments.chunks:,} chunks, {arguments.queries:,} questions, {arguments.rounds} rounds")
    print(f"{datetime.date.today()}, {machine()}\n")
    print(card.table(results))
    print(f"\n{card.verdict_table(verdicts)}\n")
    print(
        json.dumps(
            {
                "benchmark": "retrieval_speed",
                "chunks": arguments.chunks,
                "took_s": round(time.perf_counter() - started),
                "machine": machine(),
                "bare_mb": bare_bytes / 1e6,
                "engines": {
                    engine: {name: _rounded(value) for name, value in found.items() if name != "rounds_ms"}
                    for engine, found in results.items()
                },
                "targets": verdicts,
            }
        )
    )


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def play(role: str, given: dict[str, Any]) -> None:
    """One measurement, in the fresh process that was started for it."""
    task = Task(**{**given, "corpus": Path(given["corpus"]), "index": Path(given["index"])})
    print(json.dumps(ROLES[role](task)))


def main() -> None:
    if sys.argv[1:2] == ["--role"]:
        play(sys.argv[2], json.loads(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="a folder made by benchmarks/corpus.py")
    parser.add_argument("--chunks", type=int, default=200_000)
    parser.add_argument("--engines", default=",".join(ENGINES), help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--queries", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patience", type=float, default=60.0, help="seconds of questions, per round")
    parser.add_argument("--adds", type=int, default=10_000, help="single adds; 0 leaves changes out")
    parser.add_argument("--removes", type=int, default=1_000)
    parser.add_argument("--work", type=Path, help="where indexes are made; CORPUS/work unless given")
    parser.add_argument(
        "--reuse",
        nargs="?",
        default="",
        const=",".join(engine for engine in ENGINES if engine != "ragchat"),
        help="take the indexes of an earlier run: the peers', or those named",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.engines.split(",")) - set(ENGINES):
        parser.error(f"unknown engines: {', '.join(sorted(unknown))}")
    run(arguments)


if __name__ == "__main__":
    main()
