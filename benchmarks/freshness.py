"""How fresh answers are: from a change on disk to a search that finds it, with the real `ragchat kb watch` in its own process.

    python benchmarks/freshness.py [latency] [burst] [table]

latency: 20 changes one after the other, the seconds from the end of the write to the first search that finds it. burst: 10,000
files written at once, the seconds until all are searchable, and the most memory of the watching process with its children.
table: a SQLite table of 50,000 rows with 1,000 of them changed, synced by `kb add` and then by the watcher. Prints a card, ends
with one JSON line. Everything happens in a temporary folder; nothing is measured that was not waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil

from ragchat.retrieval.search import Searcher
from ragchat.store.knowledge import KnowledgeStore

T = TypeVar("T")

LATENCY_CHANGES = 20
BURST_FILES = 10_000
TABLE_ROWS = 50_000
TABLE_CHANGES = 1_000
GIVE_UP_S = 600.0
WORDS = [
    a + b + c
    for a in ("ba", "do", "fe", "gi", "ku", "lo", "me", "ni", "po", "ra", "su", "ti", "vo", "wa", "xe", "zu")
    for b in ("l", "m", "n", "r", "s", "t", "k", "d")
    for c in ("an", "er", "ik", "om", "us", "et", "ol", "ix")
]


class Home:
    """A RAGCHAT_HOME for one measurement."""

    def __init__(self, root: Path) -> None:
        self.root = root
        clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
        self.environment = {**clean, "RAGCHAT_HOME": str(root / "home")}
        self.kb_dir = root / "home" / "data" / "kb"

    def run(self, *arguments: str) -> float:
        """Seconds that a command took."""
        started = time.perf_counter()
        command = [sys.executable, "-m", "ragchat", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        return time.perf_counter() - started

    @contextmanager
    def watching(self) -> Iterator[Watcher]:
        """`kb watch` in its own process, from the moment its first sync is over."""
        child = subprocess.Popen(
            [sys.executable, "-m", "ragchat", "kb", "watch", "bench", "--json"],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        watcher = Watcher(child)
        try:
            watcher.wait_for("synced")
            yield watcher
        finally:
            child.terminate()
            child.wait()


class Watcher:
    """Events and memory of a watching process."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self.events: list[dict[str, Any]] = []
        self.peak_rss_mib = 0.0
        self._child = child
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._weigh, daemon=True).start()

    def wait_for(self, event: str, after: int = 0) -> dict[str, Any]:
        return wait(
            lambda: next((found for found in self.events[after:] if found["event"] == event), None), step=0.01
        )

    def _read(self) -> None:
        assert self._child.stdout
        for line in self._child.stdout:
            self.events.append(json.loads(line))

    def _weigh(self) -> None:
        process = psutil.Process(self._child.pid)
        while self._child.poll() is None:
            try:
                tree = [process, *process.children(recursive=True)]
                total = sum(one.memory_info().rss for one in tree)
            except psutil.Error:
                continue
            self.peak_rss_mib = max(self.peak_rss_mib, total / 2**20)
            time.sleep(0.05)


def wait(condition: Callable[[], T | None], step: float) -> T:
    end = time.monotonic() + GIVE_UP_S
    while not (found := condition()):
        if time.monotonic() > end:
            raise SystemExit("It did not happen.")
        time.sleep(step)
    return found


def found_now(searcher: Searcher, words: str) -> bool:
    return bool(searcher.search(words, 1).hits)


def prose(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=words))


def measure_latency(root: Path, others: int = 2_000) -> dict[str, Any]:
    """New, changed and moved files beside `others` that stay as they are."""
    home, docs, source = Home(root), root / "docs", random.Random(7)
    docs.mkdir()
    for number in range(others):
        (docs / f"other{number}.md").write_text(prose(source, 200))
    home.run("kb", "add", "bench", str(docs))
    took: list[float] = []
    with home.watching(), KnowledgeStore.open(home.kb_dir, "bench") as store:
        searcher = Searcher([store])
        for number in range(LATENCY_CHANGES):
            marker = f"qz{''.join(chr(97 + int(digit)) for digit in str(number))}marker"
            target = docs / (f"new{number}.md" if number % 2 else f"other{number}.md")
            target.write_text(f"{prose(source, 100)} {marker} {prose(source, 100)}")
            written = time.perf_counter()
            wait(partial(found_now, searcher, marker), step=0.005)
            took.append(time.perf_counter() - written)
            time.sleep(source.uniform(0.3, 1.0))  # a change does not come when the watcher is ready for it
    return {
        "changes": len(took),
        "median_s": round(statistics.median(took), 3),
        "max_s": round(max(took), 3),
    }


def measure_burst(root: Path) -> dict[str, Any]:
    home, docs, source = Home(root), root / "docs", random.Random(7)
    docs.mkdir()
    for number in range(100):
        (docs / f"other{number}.md").write_text(prose(source, 200))
    home.run("kb", "add", "bench", str(docs))
    with home.watching() as watcher, KnowledgeStore.open(home.kb_dir, "bench") as store:
        at_rest = watcher.peak_rss_mib
        started = time.perf_counter()
        for number in range(BURST_FILES):
            folder = docs / f"f{number % 50}"
            folder.mkdir(exist_ok=True)
            (folder / f"n{number}.md").write_text(prose(source, 200))
        written = time.perf_counter()
        wait(lambda: store.status().indexed == BURST_FILES + 100, step=0.1)
        done = time.perf_counter()
        problems = [event for event in watcher.events if event["event"] == "problem"]
        rounds = sum(event["event"] == "changed" for event in watcher.events)
    return {
        "files": BURST_FILES,
        "writing_s": round(written - started, 2),
        "searchable_after_last_write_s": round(done - written, 2),
        "rounds": rounds,
        "problems": len(problems),
        "rss_at_rest_mib": round(at_rest),
        "peak_rss_mib": round(watcher.peak_rss_mib),
    }


def measure_table(root: Path) -> dict[str, Any]:
    home, source = Home(root), random.Random(7)
    database = root / "live.db"
    writer = sqlite3.connect(database, isolation_level=None)
    with closing(writer):
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT, body TEXT, price REAL)")
        writer.execute("BEGIN")
        writer.executemany(
            "INSERT INTO notes VALUES (?, ?, ?, ?)",
            ((n, prose(source, 5), prose(source, 40), source.random()) for n in range(TABLE_ROWS)),
        )
        writer.execute("COMMIT")
        command = ("kb", "add", "bench", "--sqlite", str(database), "--query", "SELECT * FROM notes")
        first_s = home.run(*command)
        unchanged_s = home.run(*command)
        before = indexed_at(home)
        change(writer, source, "changed once")
        by_command_s = home.run(*command)
        after = indexed_at(home)
        reindexed = sum(after[path] != at for path, at in before.items())
        with home.watching() as watcher:
            seen = len(watcher.events)
            change(writer, source, "changed twice")
            written = time.perf_counter()
            event = watcher.wait_for("rows", seen)
            by_watch_s = time.perf_counter() - written
            peak = watcher.peak_rss_mib
    return {
        "rows": TABLE_ROWS,
        "changed": TABLE_CHANGES,
        "first_s": round(first_s, 2),
        "unchanged_s": round(unchanged_s, 2),
        "by_command_s": round(by_command_s, 2),
        "rows_reindexed": reindexed,
        "by_watch_s": round(by_watch_s, 2),
        "rows_reindexed_by_watch": event["indexed"],
        "watch_peak_rss_mib": round(peak),
    }


def change(writer: sqlite3.Connection, source: random.Random, mark: str) -> None:
    writer.execute("BEGIN")
    writer.executemany(
        "UPDATE notes SET body = ? WHERE id = ?",
        ((f"{mark} {prose(source, 40)}", n) for n in source.sample(range(TABLE_ROWS), TABLE_CHANGES)),
    )
    writer.execute("COMMIT")


def indexed_at(home: Home) -> dict[str, int]:
    """The first chunk of each row: a row that is indexed again gets another."""
    with KnowledgeStore.open(home.kb_dir, "bench") as store:
        return {file.path: numbers[0] for file, _, numbers in store.indexed_documents()}


def main() -> None:
    measures = {"latency": measure_latency, "burst": measure_burst, "table": measure_table}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "what", nargs="*", choices=[*measures, []], default=[], help="all of them without a word"
    )
    chosen = parser.parse_args().what or list(measures)
    results: dict[str, Any] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory(prefix="ragchat-freshness-") as folder:
            results[name] = measures[name](Path(os.path.realpath(folder)))
        print(name)
        for key, value in results[name].items():
            print(f"  {key.replace('_', ' '):34} {value:>10,}")
    results["load_average"] = round(os.getloadavg()[0], 1)
    results["children_max_rss_mib"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
