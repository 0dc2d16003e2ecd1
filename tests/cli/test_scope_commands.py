"""Where to search, said in a question: in the shell and in a chat."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from ragchat.errors import NotFoundError, UsageError
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import HitsFound, QueryUsed
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken
from tests.cli.test_kb_commands import run, run_json
from tests.helpers.small_kb import put


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two knowledge bases: notes and letters."""
    folder = Paths.discover({"RAGCHAT_HOME": str(tmp_path)}).kb_dir
    with KnowledgeStore.create(folder, "notes") as store:
        put(store, "/docs/pumps/zephyr.md", "The Zephyr pump is primed with water before winter.")
        put(store, "/docs/lamps/orion.md", "The Orion lamp is primed with oil before winter.")
    with KnowledgeStore.create(folder, "letters") as store:
        put(store, "/post/ann.md", "Ann says that the pump is primed with water.")
    return tmp_path


def paths_of(said: Any) -> list[str]:
    return [hit["path"] for hit in said["hits"]]


def test_searching_some_documents_in_the_shell(home: Path) -> None:
    said = run_json(home, "kb", "search", "primed in:lamps", "--json")
    assert paths_of(said) == ["/docs/lamps/orion.md"]
    assert said["scope"] == ["in lamps"]
    assert paths_of(run_json(home, "kb", "search", "primed kb:LETTERS", "--json")) == ["/post/ann.md"]
    assert paths_of(run_json(home, "kb", "search", '"primed with oil"', "--json")) == ["/docs/lamps/orion.md"]
    done = run(home, "kb", "search", "primed -water in:docs")
    assert "orion.md" in done.stdout
    assert "zephyr.md" not in done.stdout
    assert "in docs · without “water”" in done.stderr
    wrong = run(home, "kb", "search", "primed in:lmaps")
    assert wrong.returncode == 4
    assert "is named “lmaps”" in wrong.stderr
    assert "Did you mean in:lamps?" in wrong.stderr
    assert "word for word" in run(home, "kb", "search", '"primed by oil"').stderr


def test_what_the_shell_refuses(home: Path) -> None:
    wrong = run(home, "kb", "search", "primed after:2025-13")
    assert (wrong.returncode, "is not a date" in wrong.stderr) == (2, True)
    missing = run(home, "kb", "search", "primed kb:nowhere")
    assert missing.returncode == 4
    assert "nowhere" in missing.stderr
    assert "contains only search filters" in run(home, "kb", "search", "kb:notes").stderr


def test_a_batch_goes_on_after_a_row_that_names_no_date(home: Path) -> None:
    rows = home / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"id": i, "question": text}) + "\n"
            for i, text in enumerate(("primed before:2025-99", "primed oil"))
        )
    )
    done = run(home, "kb", "search", "--batch", str(rows))
    first, second = map(json.loads, done.stdout.splitlines())
    assert "is not a date" in first["error"]
    assert second["id"] == 1
    assert second["hits"]


def events_of(home: Path, question: str) -> list[object]:
    paths = Paths.discover({"RAGCHAT_HOME": str(home)})
    with (
        KnowledgeStore.open(paths.kb_dir, "notes") as store,
        contextlib.closing(ChatStore(paths.chat_database)) as chats,
    ):
        session = ChatSession(chats, FakeModel("Like this."), [store], AskOptions(min_match=0.1))
        return list(session.ask(session.start(question), question, cancel=CancelToken()))


def test_a_chat_asks_some_documents(home: Path) -> None:
    events = events_of(home, "What is primed before winter? in:lamps")
    (used,) = (event for event in events if isinstance(event, QueryUsed))
    assert (used.query, used.scope) == ("What is primed before winter?", ("in lamps",))
    (found,) = (event for event in events if isinstance(event, HitsFound))
    assert [hit.path for hit in found.hits] == ["/docs/lamps/orion.md"]
    with pytest.raises(NotFoundError, match="No folder in the knowledge base notes"):
        events_of(home, "What is primed? in:attic")


def test_a_chat_wants_a_question_beside_where(home: Path) -> None:
    with pytest.raises(UsageError, match="contains only search filters"):
        events_of(home, "in:lamps after:2020")
