"""Learning facts that no model can know: recall in unseen wordings, what is forgotten, time, memory, and what merging keeps.

    python benchmarks/finetune.py [--facts N] [--engines] [--merge TYPE…] [--home FOLDER]

Everything goes through `ragchat` as a person would call it, in a home of its own. `--engines` times a step with unsloth and with
peft in turn, twice. Facts: benchmarks/invented_facts.py. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import invented_facts


def ragchat(home: Path, *arguments: str) -> str:
    """Standard output of a command that must end well; what it says goes to our standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", *arguments],
        env={**os.environ, "RAGCHAT_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facts", type=int, default=40)
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--merge", nargs="*", default=["f16", "q8_0", "q4_k_m", "q4_1"])
    parser.add_argument("--home", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home, folder = wanted.home or Path(scratch) / "home", Path(scratch)
        training, unseen = invented_facts.write(folder, invented_facts.facts(wanted.facts))
        data = ["--file", str(training), "--held-out", str(unseen), "--mode", "knowledge", "--json"]
        epochs = ["--epochs", str(wanted.epochs)] if wanted.epochs else []
        steps: dict[str, list[float]] = {}
        for _ in range(2 if wanted.engines else 0):
            for engine in ("unsloth", "peft"):
                timed = json.loads(
                    ragchat(home, "finetune", "timing", *data, "--dry-run", "--engine", engine)
                )
                steps.setdefault(engine, []).append(timed["seconds_per_step"])
        learned: dict[str, Any] = json.loads(ragchat(home, "finetune", "facts", *data, *epochs, "--replace"))
        merged = {}
        for kind in wanted.merge:
            target = folder / f"{kind}.gguf"
            command = [sys.executable, "-m", "ragchat", "adapter", "export", "facts", "--force"]
            done = subprocess.run(
                [*command, "--format", f"merged-{kind}", "--output", str(target)],
                env={**os.environ, "RAGCHAT_HOME": str(home)},
                capture_output=True,
                text=True,
                check=True,
            )
            said = next(line for line in done.stderr.splitlines() if "merged file" in line)
            merged[kind] = (
                round(target.stat().st_size / 2**20),
                said.rpartition("the merged file ")[2].rstrip("."),
            )
    checks = learned["checks"]
    print(f"{wanted.facts} facts, {learned['data']['training']} questions to learn from")
    print(f"recall in unseen wordings   {learned['recall_before']:.2f} → {learned['recall_after']:.2f}")
    print(
        f"perplexity of plain prose   {checks['forgetting']['perplexity_before']:.2f} → "
        f"{checks['forgetting']['perplexity_after']:.2f}"
    )
    print(f"time, peak memory           {learned['seconds']} s, {checks['training']['peak_memory_mib']} MiB")
    for engine, found in steps.items():
        print(f"step with {engine:17} {', '.join(f'{each:.2f} s' for each in found)}")
    for kind, (size, share) in merged.items():
        print(f"merged as {kind:17} {size} MiB, recall {share}")
    print(json.dumps({"benchmark": "finetune", **learned, "steps": steps, "merged": merged}))


if __name__ == "__main__":
    main()
