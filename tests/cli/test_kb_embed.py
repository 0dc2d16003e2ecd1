"""`ragchat kb embed` with the real embedding model: passages are found by their meaning, and what was made is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from ragchat.paths import checkout_models
from ragchat.store.knowledge import KnowledgeStore
from tests.cli.test_kb_commands import run, run_json

_FOLDER = checkout_models()
pytestmark = pytest.mark.skipif(
    _FOLDER is None or not list(_FOLDER.glob("all-MiniLM*.gguf")), reason="the embedding model is not here"
)
TEXTS = {
    "cats.md": "# Pets\n\nThe cat sleeps all day on the warm window sill.",
    "boats.md": "# Harbour\n\nEvery vessel pays a fee before it leaves the quay.",
    "bread.md": "# Kitchen\n\nKnead the dough, let it rise for an hour, and bake it until the crust is brown.",
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    for name, text in TEXTS.items():
        (docs / name).write_text(text)
    home = tmp_path / "home"
    assert run(home, "kb", "add", "notes", str(docs)).returncode == 0
    return home


def events(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_what_is_embedded_is_said_and_can_be_deleted(home: Path) -> None:
    before = run_json(home, "kb", "status", "notes", "--json")["embedding"]
    assert (before["model"], before["embedded"], before["of"], before["current"]) == (None, 0, 3, False)
    assert "0 of 3 chunks: `ragchat kb embed notes`" in run(home, "kb", "status", "notes").stdout
    done = run(home, "kb", "embed", "notes", "--json")
    assert done.returncode == 0, done.stderr
    *progress, last = events(done.stdout)
    assert {one["event"] for one in progress} == {"progress"}
    assert (last["event"], last["kb"], last["done"], last["made"]) == ("finished", "notes", 3, 3)
    after = run_json(home, "kb", "status", "notes", "--json")["embedding"]
    assert after["embedded"] == 3
    assert after["current"]
    assert after["model"] == after["wanted"] == before["wanted"]
    again = run(home, "kb", "embed")
    assert "(0 now" in again.stderr
    assert run(home, "kb", "embed", "notes", "--forget").returncode == 0
    assert run_json(home, "kb", "status", "notes", "--json")["embedding"]["embedded"] == 0


def test_the_vectors_of_the_model_find_what_no_word_finds(home: Path) -> None:
    from ragchat.llm.embedding.client import EmbeddingProcess
    from ragchat.retrieval.vectors import MeaningIndex

    assert run(home, "kb", "embed", "notes").returncode == 0
    assert _FOLDER
    model = next(iter(_FOLDER.glob("all-MiniLM*.gguf")))
    embedder = EmbeddingProcess(model, log=home / "log")
    try:
        with KnowledgeStore.open(home / "data" / "kb", "notes") as store:
            index = MeaningIndex([store], embedder.model)
            for question, name in (
                ("Where does the kitten nap?", "cats.md"),
                ("What does a ship cost in port?", "boats.md"),
                ("How do I make a loaf?", "bread.md"),
            ):
                best = index.nearest(embedder.embed_query(question), 3)[0]
                (hit,) = store.hits([(best.chunk_id, best.cosine)])
                assert Path(hit.path).name == name
    finally:
        embedder.close()


def test_the_chat_embeds_the_same_way(home: Path) -> None:
    from ragchat.app.context import Context
    from ragchat.app.documents import Documents
    from ragchat.app.preferences import Preferences
    from ragchat.config import EmbeddingSettings, Settings
    from ragchat.ingest.embedding import EmbeddingFinished
    from ragchat.paths import Paths
    from ragchat.types import CancelToken

    context = Context(Paths.discover({"RAGCHAT_HOME": str(home)}), Settings())
    events = list(Documents(Preferences(context)).embed("notes", CancelToken(), lambda: ""))
    assert isinstance(events[-1], EmbeddingFinished)
    assert (events[-1].made, events[-1].total) == (3, 3)
    assert list(Documents(Preferences(context)).embed("gone", CancelToken(), lambda: "")) == []
    off = Context(
        context.paths, msgspec.structs.replace(Settings(), embedding=EmbeddingSettings(model="off"))
    )
    assert list(Documents(Preferences(off)).embed("notes", CancelToken(), lambda: "")) == []


def test_switched_off_it_is_refused_and_said(home: Path) -> None:
    assert run(home, "kb", "settings", "notes", "--no-meaning").returncode == 0
    refused = run(home, "kb", "embed", "notes")
    assert refused.returncode == 2
    assert "ragchat kb settings notes --meaning" in refused.stderr
    assert run(home, "kb", "embed").returncode == 0
    assert "off (the search uses words only)" in run(home, "kb", "status", "notes").stdout
    assert run_json(home, "kb", "settings", "notes", "--meaning", "--json")["meaning"] is True
    assert run(home, "config", "set", "embedding.model", "off").returncode == 0
    refused = run(home, "kb", "embed", "notes")
    assert refused.returncode == 4
    assert "config unset embedding.model" in refused.stderr
    assert "the search uses words only" in run(home, "kb", "status", "notes").stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_ended_keeps_what_it_made(home: Path, tmp_path: Path, ending: signal.Signals) -> None:
    text = "\n\n".join(
        f"# Section {i}\n\n" + " ".join(f"word{i}x{j}" for j in range(120)) for i in range(240)
    )
    (tmp_path / "docs" / "long.md").write_text(text)
    assert run(home, "kb", "sync", "notes").returncode == 0
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ragchat", "kb", "embed", "notes", "--json"],
        env={**clean, "RAGCHAT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with KnowledgeStore.open(home / "data" / "kb", "notes") as store:
        for line in process.stdout:
            if json.loads(line)["done"] > 4 and store.vectors.embedded().embedded:
                break
    asked = time.monotonic()
    process.send_signal(ending)
    process.communicate(timeout=60)
    if ending is signal.SIGINT:
        assert process.returncode == 130
        assert time.monotonic() - asked < 5  # the process ends, too, on a busy machine
    kept = run_json(home, "kb", "status", "notes", "--json")["embedding"]
    assert 0 < kept["embedded"] < kept["of"]
    assert run(home, "kb", "check", "notes").returncode == 0
