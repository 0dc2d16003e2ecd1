"""`ragchat eval` as it is typed, with the real model: runs that go on, gates, staleness, a planted regression, calibration."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ragchat.config import load
from ragchat.session.answerability import Own, read_own

pytestmark = pytest.mark.real_model

FACTS = {
    "bridge": ("The Harrow bridge was built by {} in 1871.", "Who built the Harrow bridge?", "Ada Pell"),
    "pump": (
        "The warranty of the Zephyr pump lasts {}.",
        "How long does the warranty of the Zephyr pump last?",
        "84 months",
    ),
    "mill": ("The mill of Lenn grinds {}.", "What does the mill of Lenn grind?", "barley"),
    "tower": ("The tower of Orm is {} tall.", "How tall is the tower of Orm?", "47 metres"),
    "ferry": ("The ferry to Skar leaves at {}.", "When does the ferry to Skar leave?", "6:40"),
    "school": ("The school in Brann has {}.", "How many pupils does the school in Brann have?", "212 pupils"),
    "market": ("The market of Voss is held on {}.", "On which day is the market of Voss held?", "Thursday"),
    "well": ("The well of Tarn is {} deep.", "How deep is the well of Tarn?", "31 metres"),
    "baker": ("The baker of Lund is called {}.", "What is the baker of Lund called?", "Nils Holm"),
    "inn": ("The inn at Fjell has {}.", "How many beds does the inn at Fjell have?", "19 beds"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with documents, a set of questions about them, and a run of it over base and rag."""
    home = tmp_path_factory.mktemp("evaluation")
    documents = home / "documents"
    documents.mkdir()
    for name, (text, _, answer) in FACTS.items():
        (documents / f"{name}.txt").write_text(f"{text.format(answer)}\n")
    ragchat(home, "kb", "add", "notes", str(documents))
    rows: list[dict[str, object]] = [
        {"question": question, "answers": [answer], "source": f"{name}.txt", "tags": ["places"]}
        for name, (_, question, answer) in FACTS.items()
    ]
    rows += [
        {"question": question, "answerable": False}
        for question in (
            "Who painted the ceiling of the chapel in Rome?",
            "What does a helicopter licence cost?",
        )
    ]
    (home / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ragchat(home, "eval", "questions", "import", "work", str(home / "rows.jsonl"))
    ragchat(home, "eval", "run", "work", "--max-tokens", "32")
    return home


def ragchat(home: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        [sys.executable, "-m", "ragchat", *arguments],
        env={**os.environ, "RAGCHAT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == code, f"{found.stdout}\n{found.stderr}"
    return found


def report(home: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ragchat(home, "eval", "report", "work", "--json", *arguments).stdout)
    return found


def test_documents_are_shown_to_help_and_the_page_is_written(home: Path, tmp_path: Path) -> None:
    found = report(home)
    assert found["questions"] == 12
    assert found["winner"] == "rag"
    ways = found["ways"]
    assert ways["rag"]["contains"]["mean"] > ways["base"]["contains"]["mean"] + 0.5
    assert ways["rag"]["refuses_rightly"]["mean"] == 1.0
    assert ways["documents"]["contains"]["mean"] > 0.5
    assert found["over_documents"][0]["one"] == "rag"
    assert found["checks"]["rag"]["statements"] > 0
    assert found["prices"]["documents"]["memory_mib"] == 0
    assert ways["rag"]["recall@10"]["mean"] == 1.0
    assert found["stale"] == []
    assert found["prices"]["rag"]["ttft_s"] > 0
    assert found["prices"]["rag"]["memory_mib"] > 50
    said = ragchat(home, "eval", "report", "work", "-o", str(tmp_path / "page.html"))
    assert "Recommended: your documents" in said.stdout
    assert "Your documents alone contain the expected words" in said.stdout
    assert "Who built the Harrow bridge?" in (tmp_path / "page.html").read_text()


def test_the_same_run_again_asks_nothing_and_is_greedy(home: Path) -> None:
    began = time.monotonic()
    ragchat(home, "eval", "run", "work", "--max-tokens", "32")
    assert time.monotonic() - began < 30
    [row] = json.loads(ragchat(home, "eval", "history", "work", "--json").stdout)["runs"]
    assert row["finished"]


def test_a_gate_ends_with_its_own_code(home: Path) -> None:
    again = ("eval", "run", "work", "--max-tokens", "32")
    ragchat(home, *again, "--fail-below", "rag:contains=0.5")
    missed = ragchat(home, *again, "--fail-below", "base:contains=0.9", code=10)
    assert "base contains is" in missed.stderr
    ragchat(home, *again, "--fail-below", "nonsense=2", code=2)


def test_killed_it_goes_on_where_it_was(home: Path) -> None:
    """With other settings it is another run."""
    command = [sys.executable, "-m", "ragchat", "eval", "run", "work", "--max-tokens", "24"]
    environment = {**os.environ, "RAGCHAT_HOME": str(home)}
    folder = home / "data" / "evaluation" / "runs"
    known = set(folder.glob("*/answers.jsonl")) if folder.is_dir() else set()
    runs = [path for path in home.rglob("runs") if path.is_dir()]
    assert runs
    known = set(runs[0].glob("*/answers.jsonl"))
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    fresh: set[Path] = set()
    until = time.monotonic() + 120
    while time.monotonic() < until:
        fresh = {
            path
            for path in runs[0].glob("*/answers.jsonl")
            if path not in known and path.read_bytes().count(b"\n") >= 5
        }
        if fresh:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL if os.name == "posix" else signal.SIGTERM)
    process.wait()
    [file] = fresh
    before = file.read_bytes()
    assert 5 <= before.count(b"\n") < 36
    with file.open("ab") as out:  # as if it had been killed in the midst of a line
        out.write(b'{"question": "torn')
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)
    after = file.read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1])
    assert after.count(b"\n") == 36, "12 questions of the model, of documents, and of documents alone"


def test_drafted_questions_stay_apart_from_what_is_learned(home: Path) -> None:
    ragchat(home, "eval", "questions", "draft", "drafted", "--kb", "notes", "--most", "2", "--take")
    drafted = json.loads(ragchat(home, "eval", "questions", "list", "drafted", "--json").stdout)["questions"]
    assert drafted
    gone = drafted[0]["id"]
    ragchat(home, "eval", "questions", "remove", "drafted", gone)
    again = ragchat(home, "eval", "questions", "draft", "drafted", "--kb", "notes", "--most", "2", "--take")
    assert "0 questions added to drafted" in again.stderr
    rest = json.loads(ragchat(home, "eval", "questions", "list", "drafted", "--json").stdout)["questions"]
    assert gone not in [one["id"] for one in rest], "what was removed does not come back"
    for one in drafted:
        text = Path(one["sources"][0]).read_text()
        assert one["answers"][0] in text
    assert not list(home.rglob("pairs/notes.jsonl"))


def test_calibration_sets_what_the_chat_uses(home: Path, tmp_path: Path) -> None:
    settings = next(iter(home.rglob("config.toml")), None)
    before = settings.read_text() if settings else None
    found = json.loads(ragchat(home, "eval", "calibrate", "work", "--strictness", "0.8", "--json").stdout)
    assert found["chosen"]["strictness"] == pytest.approx(0.8)
    file = next(path for path in home.rglob("*.toml") if "min_confidence" in path.read_text())
    assert load(file, {}).retrieval.min_match == pytest.approx(found["chosen"]["min_match"])
    assert any("settings" in change for change in report(home)["stale"])
    chance = found["chance"]
    assert not chance["refitted"], "a few questions choose the threshold alone"
    kept = next(home.rglob("answerability.json"))
    assert read_own(kept) == Own(least=chance["chosen"]["least"])
    for name in ("min_match", "min_confidence"):
        ragchat(home, "config", "unset", f"retrieval.{name}")
    assert before is None or settings is None or settings.read_text() is not None
    assert report(home)["stale"] == ["the settings (answerability)"], "what the questions taught stays"
    ragchat(home, "config", "set", "retrieval.min_match", "0.7")
    ragchat(home, "eval", "calibrate", "--reset")
    assert not kept.exists()
    assert "min_match" not in file.read_text()
    assert report(home)["stale"] == []


def test_the_table_of_a_calibration_shows_both_decisions_and_stores_nothing_on_request(home: Path) -> None:
    shown = ragchat(home, "eval", "calibrate", "work", "--no-store").stdout
    assert "Passages go into the prompt:" in shown
    assert "The documents answer the question" in shown
    assert shown.count("Chosen:") == 2
    assert not list(home.rglob("answerability.json"))
    ragchat(home, "eval", "calibrate", code=2)


def test_tuning_speaks_of_the_half_that_chose_nothing(home: Path) -> None:
    few = ragchat(home, "eval", "tune", "work", code=2)
    assert "too few" in few.stderr


def test_a_changed_document_makes_it_stale_and_a_lost_folder_is_caught(home: Path) -> None:
    """The last test: it destroys what the others use."""
    documents = home / "documents"
    (documents / "bridge.txt").write_text("The Harrow bridge was built by Bela Orn in 1871.\n")
    ragchat(home, "kb", "sync", "notes")
    assert any("the documents (notes)" in change for change in report(home)["stale"])
    assert "out of date" in ragchat(home, "doctor").stdout
    calm = ragchat(home, "eval", "watch", "work", "--sample", "12")
    assert "no measurable regression" in calm.stdout
    for file in documents.glob("*.txt"):
        if file.stem not in ("bridge", "inn"):
            file.unlink()
    ragchat(home, "kb", "sync", "notes")
    caught = ragchat(home, "eval", "watch", "work", "--sample", "12", code=10)
    assert "worse" in caught.stdout
    assert "rag" in caught.stderr
