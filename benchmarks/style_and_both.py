"""Two sets on which the verdict must name the adapter, and both: a form that only training gives, and new facts in such a form.

    python benchmarks/style_and_both.py [--home FOLDER] [--questions N]

Form: reports are turned into lines of four fields; 120 examples are learned from, others are asked. Documents say nothing of it.
Both: the bare value of a fact, cited; facts stand in documents, and the adapter (mode rag, short answers) has learned the form
from facts and documents of its own. "Exactly the answer" decides. Real trainings and runs through the command line; a run of the
same home goes on. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import invented_facts

DEVICES = (
    "printer",
    "projector",
    "lift",
    "boiler",
    "scanner",
    "gate",
    "router",
    "kettle",
    "camera",
    "heater",
)
PLACES = ("floor 3", "the north wing", "room 12", "the cellar", "the lobby", "hall B", "the archive", "bay 7")
FAULTS = (
    "makes a loud noise",
    "does not start",
    "smells of smoke",
    "is blocked",
    "leaks water",
    "shows error 42",
)
PEOPLE = ("Kim", "Adele", "Bruno", "Chika", "Dara", "Elif", "Farid", "Greta", "Hana", "Igor", "Jonas", "Lena")


def reports(count: int, seed: int) -> list[tuple[str, str]]:
    """(report, the line that is wanted), each once."""
    draw = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < count:
        device, place, fault, person = (draw.choice(each) for each in (DEVICES, PLACES, FAULTS, PEOPLE))
        said = draw.choice(
            (
                f"{person} reports that the {device} in {place} {fault}.",
                f"The {device} in {place} {fault}, says {person}.",
                f"In {place} the {device} {fault}. {person} noticed it.",
            )
        )
        made[f"Report: {said}"] = f"DEVICE {device} | PLACE {place} | FAULT {fault} | BY {person}"
    return list(made.items())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path)
    parser.add_argument("--questions", type=int, default=40)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = wanted.home or Path(scratch)
        print(json.dumps({"benchmark": "style_and_both", **Cases(home, wanted.questions).run()}))


class Cases:
    """Everything below one home."""

    def __init__(self, home: Path, questions: int) -> None:
        self._home, self._questions = home, questions
        home.mkdir(parents=True, exist_ok=True)

    def run(self) -> dict[str, object]:
        return {"form": self._form(), "both": self._both()}

    def _form(self) -> dict[str, object]:
        every = reports(120 + self._questions, 5)
        learned, asked = every[:120], every[120:]
        self._write("form.jsonl", [{"question": q, "answer": a} for q, a in learned])
        self._set("form", [{"question": q, "answers": [a]} for q, a in asked])
        self._documents("facts", invented_facts.facts(self._questions, 11))
        minutes = self._train(
            "form", "--mode", "task", "--file", str(self._home / "form.jsonl"), "--epochs", "3"
        )
        return self._verdict("form", "--adapter", "form", "--kb", "facts", "--max-tokens", "48") | {
            "training_min": minutes
        }

    def _both(self) -> dict[str, object]:
        learned, asked = invented_facts.facts(60, 7), invented_facts.facts(self._questions, 11)
        self._documents("learned", learned)
        self._documents("facts", asked)
        rows = [
            {"question": way, "answer": fact.value, "group": fact.statement}
            for fact in learned
            for way in fact.ways[:3]
        ]
        self._write("both.jsonl", rows)
        self._set("both", [{"question": fact.ways[0], "answers": [fact.value]} for fact in asked])
        minutes = self._train(
            "short",
            "--mode",
            "rag",
            "--answers",
            "short",
            "--file",
            str(self._home / "both.jsonl"),
            "--kb",
            "learned",
        )
        return self._verdict(
            "both", "--adapter", "short", "--kb", "facts", "--max-tokens", "48", "--measure", "exact"
        ) | {"training_min": minutes}

    def _documents(self, name: str, facts: list[invented_facts.Fact]) -> None:
        folder = self._home / name
        if folder.is_dir():
            return
        folder.mkdir()
        for number, fact in enumerate(facts):
            (folder / f"{number:03}.txt").write_text(f"{fact.statement}\n")
        self._ragchat("kb", "add", name, str(folder))

    def _set(self, name: str, rows: list[dict[str, object]]) -> None:
        self._write(f"{name}-questions.jsonl", rows)
        self._ragchat("eval", "questions", "import", name, str(self._home / f"{name}-questions.jsonl"))

    def _train(self, name: str, *arguments: str) -> float:
        if name in self._ragchat("adapter", "list"):
            return 0.0
        began = time.monotonic()
        self._ragchat("finetune", name, *arguments, "--no-check")
        return round((time.monotonic() - began) / 60, 1)

    def _verdict(self, name: str, *arguments: str) -> dict[str, object]:
        print(self._ragchat("eval", "run", name, *arguments))
        measure = (
            [arguments[arguments.index("--measure") + i] for i in (0, 1)] if "--measure" in arguments else []
        )
        found = json.loads(self._ragchat("eval", "report", name, "--json", *measure))
        kept = ("winner", "best", "measure", "questions", "over_documents", "verdict")
        return {key: found[key] for key in kept} | {
            "means": {arm: own[found["measure"]]["mean"] for arm, own in found["ways"].items() if own}
        }

    def _write(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        (self._home / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def _ragchat(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "ragchat", *arguments]
        environment = {**os.environ, "RAGCHAT_HOME": str(self._home / "home")}
        return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
