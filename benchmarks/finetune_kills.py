"""A training that is killed again and again: resumed or explained, never a torn adapter in the list.

    python benchmarks/finetune_kills.py [--kills N] [--steps N] [--longest SECONDS] [--seed N]

`ragchat finetune` on the default model, all its processes killed (SIGKILL) at a random moment, the same command given again, and
so on; after each kill every adapter that is listed must be whole. At the end one run goes through. POSIX only. Ends with one
JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import invented_facts
import psutil


def kill_all(process: subprocess.Popen[str]) -> None:
    """The command and every process it started, without a word."""
    family = [process.pid]
    with contextlib.suppress(psutil.NoSuchProcess):
        family += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--longest", type=float, default=150, help="a run lives at most so many seconds")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    draw, resumed, torn, refused, kills = random.Random(wanted.seed), [], 0, [], 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        environment = {**os.environ, "RAGCHAT_HOME": str(folder / "home")}
        training, unseen = invented_facts.write(folder, invented_facts.facts(10))
        command = [sys.executable, "-m", "ragchat", "finetune", "killed", "--file", str(training), "--mode"]
        command += [
            "knowledge",
            "--held-out",
            str(unseen),
            "--max-steps",
            str(wanted.steps),
            "--batch-size",
            "4",
        ]
        command += ["--engine", "peft", "--no-check", "--replace", "--nice", "0", "--rehearsal", "0"]
        while True:
            process = subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            last = kills >= wanted.kills
            # Mostly in the training, now and then in what is before and after it; a checkpoint is written every 45 seconds.
            deadline = None if last else time.monotonic() + draw.uniform(1, wanted.longest)
            try:
                said, _ = process.communicate(
                    timeout=None if deadline is None else deadline - time.monotonic()
                )
                if process.returncode:
                    refused.append(said.strip().splitlines()[-1])
                ended = True
            except subprocess.TimeoutExpired:
                kill_all(process)
                kills += 1
                said, _ = process.communicate()  # all it has said; its processes are gone, so the pipe ends
                ended = False
            if found := re.search(r"going on from step (\d+)", said):
                resumed.append(int(found[1]))
            listed = json.loads(
                subprocess.run(
                    [sys.executable, "-m", "ragchat", "adapter", "list", "--json"],
                    env=environment,
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
            )["adapters"]
            torn += sum(bool(adapter["problem"]) for adapter in listed)
            print(
                f"{'ended ' if ended else 'killed'} · {len(listed)} in the list · resumed from {resumed[-1:]}",
                flush=True,
            )
            if last:
                break
    print(
        f"{kills} kills, resumed {len(resumed)} times (from steps {resumed}), {torn} torn adapters in the list"
    )
    print(
        json.dumps(
            {
                "benchmark": "finetune_kills",
                "kills": kills,
                "resumed": resumed,
                "torn": torn,
                "refused": refused,
            }
        )
    )


if __name__ == "__main__":
    main()
