"""`ragchat finetune` as it is typed, with the real model: from rows of a file to an adapter that the chat can switch on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

from ragchat.finetune import status
from ragchat.paths import Paths

pytestmark = [pytest.mark.real_model, pytest.mark.timeout(600)]


def rows(count: int = 24) -> str:
    """Questions about invented places, each with one answer."""
    return "".join(
        json.dumps(
            {
                "question": f"What is the code of station {n}?",
                "answer": f"The code is {n * 37}.",
                "group": f"g{n}",
            }
        )
        + "\n"
        for n in range(count)
    )


def test_from_rows_to_an_adapter_that_is_measured(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environment = {**os.environ, "RAGCHAT_HOME": str(home)}
    paths = Paths.discover(environment)
    (tmp_path / "rows.jsonl").write_text(rows())

    def ragchat(*arguments: str) -> str:
        command = [sys.executable, "-m", "ragchat", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # What is measured with must not be learned from.
    ragchat("eval", "questions", "add", "mine", "What is the code of station 3?", "--answer", "111")
    arguments = (
        "stations",
        "--file",
        str(tmp_path / "rows.jsonl"),
        "--max-steps",
        "4",
        "--rehearsal",
        "0",
        "--json",
    )
    quickly = ("--engine", "peft", "--nice", "0", "--batch-size", "4")
    process = subprocess.Popen(
        [sys.executable, "-m", "ragchat", "finetune", *arguments, *quickly],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: list[status.Status] = []
    try:
        while process.poll() is None:
            seen += status.statuses(paths.trainings_dir)
            time.sleep(0.2)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 0, err
    said = json.loads(out)
    assert said["adapter"] == "stations"
    assert said["data"]["left_out_as_evaluation_questions"] == 1
    checks = said["checks"]
    assert checks["training"]["steps"] == 4
    assert checks["parity"]["loss"] == pytest.approx(checks["parity"]["loss_trained"], abs=0.05)
    assert 0.8 < checks["forgetting"]["perplexity_ratio"] < 1.5
    assert {one.step for one in seen} >= {0, 4}
    assert seen[-1].total_steps == 4 or status.statuses(paths.trainings_dir)[0].state == "done"
    [ended] = status.statuses(paths.trainings_dir)
    assert ended.state == "done"
    assert "The adapter stations is ready." in ended.sentence

    # It is there, it is whole, and it is asked.
    assert "stations" in ragchat("adapter", "list")
    ragchat("adapter", "check", "stations")
    answer = json.loads(
        ragchat("ask", "What is the code of station 5?", "--adapter", "stations", "--no-rag", "--json")
    )
    assert answer["adapter"] == "stations"

    # Questions that it has learned from are left out of a verdict; those that were held out are not among them.
    questions = [
        {"question": f"What is the code of station {n}?", "answer": str(n * 37)} for n in range(5, 11)
    ]
    questions.append({"question": "Who painted the ceiling of the chapel?", "answer": "Ada Pell"})
    (tmp_path / "learned.jsonl").write_text("".join(json.dumps(one) + "\n" for one in questions))
    ragchat("eval", "questions", "import", "learned", str(tmp_path / "learned.jsonl"))
    arms = ("--arms", "base,tuned", "--max-tokens", "8", "--json")
    found = json.loads(ragchat("eval", "run", "learned", "--adapter", "stations", *arms))
    assert len(found["left_out"]) + found["questions"] == 7
    assert len(found["left_out"]) >= 3
