"""Paths as they are typed: whatever cannot be one is a sentence, in every front end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragchat.app.typed_paths import (
    complete_path,
    existing_file,
    existing_path,
    is_file,
    paths_from,
    typed_path,
)
from ragchat.errors import NotFoundError, RagchatError, UsageError

LONG = "x" * 300
NO_PATHS = [
    "",
    " ",
    "~nobodyx",
    "~nobodyx/a.txt",
    LONG,
    f"/tmp/{LONG}/a.txt",
    "a\0b",
    "\ud800",
    "/" + "y/" * 3000,
]


@pytest.mark.parametrize("text", NO_PATHS)
def test_what_can_be_no_path_is_refused_with_a_sentence(text: str) -> None:
    for read in (typed_path, existing_path, existing_file):
        with pytest.raises(UsageError) as caught:
            read(text)
        assert str(caught.value).endswith(".")
        assert caught.value.remedy
    assert not is_file(text)
    assert complete_path(text)[1] == [] or not text.strip()
    assert paths_from(text) == [] or not text.strip()


def test_a_path_that_may_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a b.txt").write_text("A")
    assert typed_path("new.txt") == tmp_path / "new.txt"
    assert typed_path("~/new.txt") == tmp_path / "new.txt"
    assert existing_path("~") == tmp_path
    assert existing_file("a b.txt") == tmp_path / "a b.txt"
    with pytest.raises(NotFoundError, match=r"new\.txt"):
        existing_path("new.txt")
    with pytest.raises(NotFoundError):
        existing_path("a b.txt/c")
    with pytest.raises(UsageError, match="folder"):
        existing_file(str(tmp_path))


def test_what_cannot_be_reached_is_said(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(NotFoundError, match="reached"):
        existing_path(str(loop))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    closed = tmp_path / "closed.txt"
    closed.write_text("A")
    closed.chmod(0)
    with pytest.raises(NotFoundError):
        existing_file(str(closed))


def test_the_current_folder_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="current folder"):
        typed_path("a.txt")
    assert typed_path("/etc") == Path("/etc")


COMMANDS = [
    ["kb", "add", "docs"],
    ["kb", "import"],
    ["model", "add"],
    ["chats", "import"],
    ["adapter", "import"],
    ["eval", "questions", "import", "mine"],
    ["finetune", "facts", "--file"],
    ["ask", "--attach"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_fails_over_a_path(command: list[str], tmp_path: Path) -> None:
    code = "import sys; from ragchat.cli import main; sys.argv[0] = 'ragchat'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *command, LONG],
        capture_output=True,
        text=True,
        env={**os.environ, "RAGCHAT_HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "too long" in done.stderr
    assert done.returncode == UsageError.exit_code


def test_a_home_that_is_nobodys_is_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ragchat.paths import Paths, expanded

    monkeypatch.chdir(tmp_path)
    assert expanded("~nobodyx/a") == Path("~nobodyx/a")
    assert Paths.discover({"RAGCHAT_HOME": "~nobodyx"}).data_dir == tmp_path / "~nobodyx" / "data"


def test_readers_below_the_front_ends_take_any_path(tmp_path: Path) -> None:
    from ragchat.evaluation.question_sets import read_file
    from ragchat.finetune.formats import read as read_examples
    from ragchat.ingest.sync import IngestOptions
    from ragchat.llm.library import ModelLibrary
    from ragchat.session.attachment import read as read_attachment
    from ragchat.session.importing import read_file as read_chats

    library = ModelLibrary((tmp_path,))
    for path in (Path(LONG), Path("~nobodyx/a.gguf")):
        for reader in (
            read_file,
            read_examples,
            read_chats,
            library.add,
            lambda path: library.resolve(f"./{path}"),
            lambda path: read_attachment(path, IngestOptions(tmp_path / "log")),
        ):
            with pytest.raises(RagchatError):
                reader(path)
