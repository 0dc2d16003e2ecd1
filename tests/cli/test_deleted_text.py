"""Text that is deleted leaves the snapshots, whichever command deletes it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragchat.app.context import Context
from ragchat.app.documents import Documents
from ragchat.app.preferences import Preferences
from ragchat.config import Settings
from ragchat.llm.snapshots import Snapshots
from ragchat.paths import Paths
from ragchat.store.chats import ChatStore
from ragchat.types import CancelToken


def ragchat(home: Path, *arguments: str) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", *arguments],
        env={**clean, "RAGCHAT_HOME": str(home), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A chat and a knowledge base, and a snapshot of each."""
    paths = Paths.discover({"RAGCHAT_HOME": str(tmp_path / "home")})
    paths.create()
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "quince.md").write_text("# Quince\n\nThe quince tree is eleven years old.\n")
    (folder / "plum.md").write_text("# Plum\n\nThe plum tree is four years old.\n")
    ragchat(tmp_path / "home", "kb", "add", "notes", str(folder))
    chats = ChatStore(paths.chat_database)
    number = chats.create_conversation("Trees").id
    chats.close()
    shelf = Snapshots(paths.snapshots_dir, 1 << 20)
    shelf.save("k" * 32, range(8), b"a chat", [f"chat {number}"])
    shelf.save("k" * 32, range(9), b"documents", ["documents notes"])
    shelf.save("k" * 32, range(10), b"another", ["chat 99", "documents other"])
    return tmp_path / "home"


def left(home: Path) -> int:
    paths = Paths.discover({"RAGCHAT_HOME": str(home)})
    return Snapshots(paths.snapshots_dir, 1 << 20).usage().files


def test_a_chat_that_is_deleted(home: Path) -> None:
    ragchat(home, "chats", "delete", "1", "--yes")
    assert left(home) == 2


def test_a_knowledge_base_that_is_renamed(home: Path) -> None:
    ragchat(home, "kb", "rename", "notes", "trees")
    assert left(home) == 2


def test_a_document_that_is_forgotten(home: Path) -> None:
    ragchat(home, "kb", "forget", "notes", str(home.parent / "notes" / "plum.md"), "--yes")
    assert left(home) == 2


def test_a_knowledge_base_that_is_removed(home: Path) -> None:
    ragchat(home, "kb", "remove", "notes", "--yes")
    assert left(home) == 2


@pytest.mark.parametrize("screen", [False, True])
def test_a_document_that_is_gone_at_a_sync(home: Path, *, screen: bool) -> None:
    (home.parent / "notes" / "plum.md").unlink()
    if screen:
        context = Context(Paths.discover({"RAGCHAT_HOME": str(home)}), Settings())
        for _ in Documents(Preferences(context)).sync("notes", [], CancelToken()):
            pass
    else:
        ragchat(home, "kb", "sync", "notes")
    assert left(home) == 2


def test_they_are_shown_and_cleared(home: Path) -> None:
    assert "3 snapshots" in ragchat(home, "doctor")
    assert "Deleted 3 snapshots." in ragchat(home, "doctor", "--clear-snapshots")
    assert left(home) == 0


def test_where_none_is_to_be_kept_none_is_left(home: Path) -> None:
    ragchat(home, "config", "set", "model.snapshots_mib", "0")
    ragchat(home, "doctor")
    assert left(home) == 0
