"""How long a sync takes: first, with nothing changed, and after a hundred changes, on a tree of many small files.

    python benchmarks/sync.py [--files N] [--folder FOLDER] [--readers N]

The tree is made under a temporary folder (on the disk of $TMPDIR) from a fixed seed; `--folder` measures a folder of yours
instead, which is only read, without the changes. Peak memory is the parent's and the largest child's. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from ragchat.ingest.sync import IngestOptions, SyncFinished, SyncProgress, sync
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken

CHANGES = 100
FILES_PER_FOLDER = 50
WORDS_PER_FILE = (20, 200)


class Text:
    """Made-up text whose words are as unevenly spread as in a language."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        self._words = [
            "".join(self._random.choices(letters, k=self._random.randint(2, 10))) for _ in range(50_000)
        ]
        total, self._weights = 0.0, []
        for rank in range(1, len(self._words) + 1):
            total += 1 / rank
            self._weights.append(total)

    def file(self) -> str:
        words = self._random.choices(
            self._words, cum_weights=self._weights, k=self._random.randint(*WORDS_PER_FILE)
        )
        lines = [" ".join(words[i : i + 12]).capitalize() + "." for i in range(0, len(words), 12)]
        return f"# {words[0].capitalize()} {words[-1]}\n\n" + "\n".join(lines) + "\n"


def path_of(top: Path, number: int) -> Path:
    folder = number // FILES_PER_FOLDER
    return top / f"part{folder // 1000}" / f"group{folder // 25 % 40}" / f"topic{folder}" / f"note{number}.md"


def make_tree(top: Path, files: int, text: Text) -> None:
    for number in range(files):
        path = path_of(top, number)
        if number % FILES_PER_FOLDER == 0:
            path.parent.mkdir(parents=True)
        path.write_text(text.file(), "utf-8")


def change(top: Path, files: int, text: Text) -> None:
    """Half rewritten, a quarter new, a quarter gone."""
    numbers = random.Random(2).sample(range(files), CHANGES)
    for number in numbers[: CHANGES // 2]:
        path_of(top, number).write_text(text.file(), "utf-8")
    for number in numbers[CHANGES // 2 : 3 * CHANGES // 4]:
        path_of(top, number).with_suffix(".new.md").write_text(text.file(), "utf-8")
    for number in numbers[3 * CHANGES // 4 :]:
        path_of(top, number).unlink()


class Memory:
    """Peak resident memory in MB, of this process and of its largest child."""

    def __init__(self) -> None:
        self._own = psutil.Process()
        self.parent = self.child = 0.0

    def look(self) -> None:
        self.parent = max(self.parent, self._own.memory_info().rss / 1e6)
        for child in self._own.children():
            try:
                self.child = max(self.child, child.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue


class Cost(NamedTuple):
    """Seconds of wall time, and of processor time of this process and its children."""

    wall: float
    parent: float
    children: float


def run(
    store: KnowledgeStore, options: IngestOptions, memory: Memory, *add: Path
) -> tuple[SyncFinished, Cost]:
    """How a sync ended, and what it cost."""
    started, before = time.perf_counter(), os.times()
    finished = None
    for event in sync(store, options, cancel=CancelToken(), add=add):
        memory.look()
        if isinstance(event, SyncFinished):
            finished = event
        elif isinstance(event, SyncProgress) and sys.stderr.isatty():
            print(f"\r{event.done:,} of {event.total:,} files", end="\x1b[K", file=sys.stderr)
    if sys.stderr.isatty():
        print(end="\r\x1b[K", file=sys.stderr)
    assert finished is not None
    after = os.times()
    own = after.user + after.system - before.user - before.system
    children = after.children_user + after.children_system - before.children_user - before.children_system
    return finished, Cost(time.perf_counter() - started, own, children)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--readers", type=int, default=0, help="reading processes; 0: one per core, at most 4"
    )
    arguments = parser.parse_args()
    memory = Memory()
    with tempfile.TemporaryDirectory() as home:
        top = arguments.folder or Path(home) / "tree"
        text = Text(seed=1)
        if not arguments.folder:
            make_tree(top, arguments.files, text)
        options = IngestOptions(log=Path(home) / "reading.log", readers=arguments.readers)
        with KnowledgeStore.create(Path(home) / "kb", "bench") as store:
            load = os.getloadavg()[0]
            first, first_cost = run(store, options, memory, top)
            _, unchanged_cost = run(store, options, memory)
            changed, changed_cost = None, None
            if not arguments.folder:
                change(top, arguments.files, text)
                changed, changed_cost = run(store, options, memory)
            size = store.path.stat().st_size
    files, chunks = first.status.found, first.status.chunks
    print(f"{files:,} files, {chunks:,} chunks, {size / 1e6:,.0f} MB; load before the first sync {load:.1f}")
    print(f"{'':24}{'wall s':>9}{'parent s':>10}{'children s':>12}")
    for label, cost in (
        ("first sync", first_cost),
        ("nothing changed", unchanged_cost),
        (f"{CHANGES} files changed", changed_cost),
    ):
        if cost:
            print(f"{label:24}{cost.wall:>9.2f}{cost.parent:>10.2f}{cost.children:>12.2f}")
    print(f"first sync: {files / first_cost.wall:,.0f} files/s, {chunks / first_cost.wall:,.0f} chunks/s")
    if changed:
        print(f"after the changes: {changed.removed} removed, {changed.unchanged:,} unchanged")
    print(f"peak memory: {memory.parent:.0f} MB, largest child {memory.child:.0f} MB")
    print(
        json.dumps(
            {
                "benchmark": "sync",
                "files": files,
                "chunks": chunks,
                "first_s": round(first_cost.wall, 2),
                "first_cpu_s": round(first_cost.parent + first_cost.children, 2),
                "unchanged_s": round(unchanged_cost.wall, 3),
                "unchanged_cpu_s": round(unchanged_cost.parent, 3),
                "changed_s": round(changed_cost.wall, 3) if changed_cost else None,
                "parent_mb": round(memory.parent),
                "child_mb": round(memory.child),
                "load": round(load, 1),
            }
        )
    )


if __name__ == "__main__":
    main()
