"""Completion in the shell, and the examples under every command's help."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import click
import pytest

from ragchat.cli import ragchat
from ragchat.cli.examples import EXAMPLES
from ragchat.paths import Paths
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore

HEAVY = ("numpy", "textual", "llama_cpp", "kreuzberg", "torch", "jinja2", "rank_bm25", "Stemmer")


def offered(line: str, *, shell: str = "fish") -> dict[str, str]:
    """What is offered where `line` ends: name and meaning."""
    words = shlex.split(line)
    incomplete = "" if line.endswith(" ") else words[-1]
    done = subprocess.run(
        [sys.executable, "-m", "ragchat"],
        env={
            **os.environ,
            "_RAGCHAT_COMPLETE": f"{shell}_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": incomplete,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    rows = [row.partition(",")[2] for row in done.stdout.splitlines() if row.startswith("plain,")]
    return {name: meaning for name, _, meaning in (row.partition("\t") for row in rows)}


@pytest.fixture
def filled(paths: Paths) -> Paths:
    for name in ("house", "work"):
        KnowledgeStore.create(paths.kb_dir, name).close()
    (paths.model_dirs[0] / "mine.gguf").write_bytes(b"GGUF")
    store = ChatStore(paths.chat_database)
    store.create_conversation("About \x1b[31mboilers", tags=("winter",))
    store.close()
    return paths


def test_commands_and_options() -> None:
    commands = offered("ragchat ")
    assert {"chat", "ask", "chats", "kb", "model", "config", "completion"} <= set(commands)
    assert commands["ask"] == "Answer one question on standard output."
    assert set(offered("ragchat c")) == {"chat", "chats", "config", "completion"}
    assert "--plain" in offered("ragchat chat --p")
    assert set(offered("ragchat kb s")) == {"search", "settings", "status", "sync"}
    assert set(offered("ragchat completion ")) == {"bash", "zsh", "fish"}


def test_names(filled: Paths) -> None:
    assert set(offered("ragchat kb sync ")) == set(offered("ragchat ask --kb ")) == {"house", "work"}
    assert set(offered("ragchat kb status w")) == {"work"}
    assert "mine" in offered("ragchat chat --model ")
    assert "mine" in offered("ragchat model info m")
    assert "mine" not in offered("ragchat model pull ")
    assert offered("ragchat model pull ")
    assert "retrieval.k" in offered("ragchat config set retrieval.")
    assert offered("ragchat chats show ") == {"last": "the most recent chat", "1": "About boilers"}
    assert set(offered("ragchat chats list --tag ")) == {"winter"}


def test_nothing_is_made_and_nothing_complained_about(tmp_path: Path) -> None:
    for line in ("ragchat kb sync ", "ragchat chats show ", "ragchat ask --kb "):
        assert offered(line) == {}
    assert not (tmp_path / "home").exists()
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    (home / "data" / "ragchat.db").write_bytes(b"no database at all" * 100)
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text("[[[")
    assert offered("ragchat chats show ") == offered("ragchat config set ") == {}


@pytest.mark.parametrize(
    "line", ["ragchat ", "ragchat kb sync ", "ragchat chat --model ", "ragchat config set re"]
)
def test_it_imports_nothing_heavy(filled: Paths, line: str) -> None:
    program = (
        "import sys\ntry:\n    from ragchat.cli import main; main()\nfinally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    env = {**os.environ, "_RAGCHAT_COMPLETE": "zsh_complete", "COMP_WORDS": line}
    env["COMP_CWORD"] = str(len(line.split()) - (not line.endswith(" ")))
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip() == "[]"
    assert done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(filled: Paths, shell: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", "completion", shell], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert f"_RAGCHAT_COMPLETE={shell}_complete" in done.stdout
    if shutil.which(shell):
        script = tmp_path / "script"
        script.write_text(done.stdout)
        assert subprocess.run([shell, "-n", str(script)], capture_output=True, timeout=60).returncode == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash here")
def test_in_a_real_bash(filled: Paths, tmp_path: Path) -> None:
    """Every installed `ragchat` is a script of its own; here it is one that runs this package."""
    command = tmp_path / "ragchat"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ragchat "$@"\n')
    command.chmod(0o755)
    program = """
eval "$(ragchat completion bash)"
COMP_WORDS=(ragchat kb sync w) COMP_CWORD=3
_ragchat_completion ragchat
echo "${COMPREPLY[@]}"
complete -p ragchat
"""
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", program], env=env, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[0] == "work", done.stderr
    assert "_ragchat_completion" in done.stdout.splitlines()[1]


# --- examples -------------------------------------------------------------------------------------------


def walk(
    command: click.Command, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk(below, (*words, name))


COMMANDS = list(walk(ragchat))


def examples(words: tuple[str, ...], command: click.Command) -> list[str]:
    """The lines of examples in the help, as a person sees them."""
    text = command.get_help(click.Context(command, info_name=" ".join(("ragchat", *words))))
    after = re.split(r"^\s*Examples?:", text, maxsplit=1, flags=re.MULTILINE)
    block = after[1].strip().split("\n\n")[0] if len(after) > 1 else ""
    lines = [line.strip() for line in block.splitlines()]
    return [line for line in lines if re.search(r"\bragchat\b", line)]


@pytest.mark.parametrize(
    ("words", "command"), COMMANDS, ids=[" ".join(words) or "ragchat" for words, _ in COMMANDS]
)
def test_each_command_has_examples_that_parse(words: tuple[str, ...], command: click.Command) -> None:
    found = examples(words, command)
    assert found, "the help shows no example"
    for line in found:
        typed = shlex.split(re.split(r"(?:^|\| *)(?=ragchat\b)", line)[-1])
        arguments = typed[1 : typed.index(">") if ">" in typed else None]
        assert typed[0] == "ragchat"
        if words:
            assert tuple(arguments[: len(words)]) == words, "an example of another command"
        parse(arguments)


def parse(arguments: list[str]) -> None:
    """Raises click.UsageError for what is no command, option or value."""
    context, command = click.Context(ragchat), cast(click.Command, ragchat)
    rest = arguments
    while isinstance(command, click.Group) and rest:
        _, below, rest = command.resolve_command(context, rest)
        assert below is not None
        command = below
        if not isinstance(command, click.Group):
            command.make_context(command.name, list(rest), parent=context)


def test_the_table_names_only_commands() -> None:
    known = {" ".join(words) for words, _ in COMMANDS}
    assert set(EXAMPLES) <= known


def test_a_wrong_example_would_be_found() -> None:
    for wrong in (["kb", "search", "x", "--frobnicate"], ["frobnicate"], ["ask", "x", "-k", "many"]):
        with pytest.raises(click.UsageError):
            parse(wrong)
