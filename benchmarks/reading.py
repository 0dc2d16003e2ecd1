"""How fast each kind of file becomes what the index needs (read, cut, analysed), and how much text comes of it.

    python benchmarks/reading.py FOLDER [--against CHECKOUT] [--limit N] [--rounds N]

FOLDER holds documents of any kind. CHECKOUT is the root of another version of ragchat, which reads the same files in a process
of its own, turn by turn. CPU seconds, the best of all rounds. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from importlib import import_module, util
from pathlib import Path

LARGEST = 50 * 1024 * 1024
SHORTEST_S = 0.05


def measure(files: list[Path]) -> dict[str, dict[str, float]]:
    """By suffix: files, bytes, CPU seconds, characters of all chunks, files that were not read."""
    from ragchat.ingest.wire import Read, ReadRequest

    name = "ragchat.ingest.reading.process"
    found = util.find_spec("ragchat.ingest.reading") is not None
    process = import_module(name if found else "ragchat.ingest.process")
    rows: dict[str, dict[str, float]] = defaultdict(
        lambda: {"files": 0, "bytes": 0, "cpu_s": 0.0, "chars": 0, "chunks": 0, "failed": 0}
    )
    for file in files:
        row = rows[suffix(file)]
        request = ReadRequest(os.fsencode(file), LARGEST, 220, 30)
        started = time.process_time()
        reply = process.answer(request)
        row["cpu_s"] += time.process_time() - started
        row["files"] += 1
        row["bytes"] += file.stat().st_size
        if isinstance(reply, Read):
            row["chars"] += sum(len(chunk.text) for chunk in reply.chunks)
            row["chunks"] += len(reply.chunks)
        else:
            row["failed"] += 1
    return dict(rows)


def suffix(file: Path) -> str:
    return "".join(file.suffixes[-2:]) if file.suffix == ".gz" else file.suffix or file.name


def elsewhere(checkout: Path, files: list[Path]) -> dict[str, dict[str, float]]:
    """The same by another version of ragchat."""
    script = Path(__file__).resolve()
    done = subprocess.run(
        [sys.executable, "-P", str(script), "--measure"],
        input="\n".join(map(str, files)),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    measured: dict[str, dict[str, float]] = json.loads(done.stdout)
    return measured


def best(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    kinds = rounds[0]
    return {kind: {**row, "cpu_s": min(one[kind]["cpu_s"] for one in rounds)} for kind, row in kinds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--against", type=Path)
    parser.add_argument("--limit", type=int, default=60, help="files of each suffix")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        files = [Path(line) for line in sys.stdin.read().split("\n") if line]
        measure(files[:3])  # what is imported once
        print(json.dumps(measure(files)))
        return
    by_suffix: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(arguments.folder.rglob("*")):
        if file.is_file() and len(by_suffix[suffix(file)]) < arguments.limit:
            by_suffix[suffix(file)].append(file)
    files = [file for own in by_suffix.values() for file in own]
    here, there = [], []
    root = Path(__file__).resolve().parents[1]
    for _ in range(arguments.rounds):
        here.append(elsewhere(root, files))
        if arguments.against:
            there.append(elsewhere(arguments.against, files))
    now, before = best(here), best(there) if there else {}
    head = f"{'kind':14} {'files':>6} {'MB':>7} {'CPU s':>8} {'chars':>11} {'failed':>7}"
    print(head + ("   before: CPU s, chars, failed; speed now / before" if before else ""))
    for kind, row in sorted(now.items()):
        if row["cpu_s"] < SHORTEST_S and row["chars"]:
            continue  # too short to be compared; all are in the JSON line
        line = f"{kind[:14]:14} {row['files']:6.0f} {row['bytes'] / 1e6:7.1f} {row['cpu_s']:8.2f}"
        line += f" {row['chars']:11,.0f} {row['failed']:7.0f}"
        if old := before.get(kind):
            speed = old["cpu_s"] / row["cpu_s"] if row["cpu_s"] else 0.0
            line += f"   {old['cpu_s']:8.2f} {old['chars']:11,.0f} {old['failed']:4.0f}   {speed:.2f}"
        print(line)
    print(json.dumps({"benchmark": "reading", "now": now, "before": before}))


if __name__ == "__main__":
    main()
