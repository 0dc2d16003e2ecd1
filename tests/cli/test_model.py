"""`ragchat model` from the command line: what it prints, where, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ragchat.cli import ragchat
from ragchat.errors import ModelFileError, ModelTooLargeError, NotFoundError, RagchatError
from ragchat.llm import memory
from tests.helpers.gguf_files import write_gguf
from tests.helpers.hub import Hub, serve


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAGCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("ragchat.paths.checkout_models", lambda: None)
    return tmp_path / "home"


@pytest.fixture
def models(home: Path) -> Path:
    folder = home / "data" / "models"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub(write_gguf(tmp_path / "served.gguf", rows=4096).read_bytes())) as running:
        monkeypatch.setenv("RAGCHAT_HUB", running.url)
        yield running


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(ragchat, ["model", *arguments], input=answer, catch_exceptions=True)


def refused(arguments: Sequence[str], kind: type[RagchatError]) -> RagchatError:
    error = run(*arguments).exception
    assert isinstance(error, kind), error
    return error


def test_list_without_a_model_shows_the_ladder() -> None:
    result = run("list")
    assert result.exit_code == 0
    assert "qwen3-8b" in result.stdout
    assert "Apache-2.0" in result.stdout
    assert "ragchat model pull" in result.stderr


def test_list_as_json(models: Path) -> None:
    write_gguf(models / "a.gguf")
    (models / "b.gguf").write_text("<html>")
    write_gguf(models / "c.gguf", general_type="adapter")
    (models / "Qwen3-8B-Q4_K_M.gguf.part").write_bytes(b"x" * 2048)
    shown = json.loads(run("list", "--json").stdout)
    assert [(row["name"], bool(row["problem"])) for row in shown["installed"]] == [
        ("a", False),
        ("b", True),
        ("c", True),
    ]
    assert shown["installed"][0]["quantisation"] == "Q8_0"
    assert "2.0 KiB downloaded" in shown["catalogue"][-1]["state"]


def test_nothing_of_a_file_reaches_the_terminal_as_control_or_markup(models: Path) -> None:
    write_gguf(
        models / "e\x1b]0;x\x07[bold]v.gguf", name="\x1b[31m[red]N\x07 [/red]", architecture="ll\x1b[2Jama"
    )
    for arguments in (["list"], ["info", "e"]):
        result = run(*arguments)
        assert result.exit_code == 0, result.exception
        assert not set("\x1b\x07") & set(result.output)
    assert "[red]N [/red]" in result.stdout
    assert "[bold]v" in result.stdout


def test_info(models: Path) -> None:
    write_gguf(models / "a.gguf", template=None, sliding_window=64)
    shown = run("info").stdout
    for expected in (
        "Tiny",
        "llama",
        "Q8_0",
        "2,048 tokens",
        "none",
        "apache-2.0",
        "memory at 2048",
        "64 tokens",
    ):
        assert expected in shown
    facts = json.loads(run("info", "a", "--json", "--n-ctx", "1000").stdout)
    assert facts["n_ctx_train"] == 2048
    assert facts["has_chat_template"] is False
    assert facts["memory"]["n_ctx"] == 1000
    assert facts["largest_n_ctx"] == 2048
    assert facts["profile"] is None


def test_info_shows_the_measured_profile(models: Path, home: Path) -> None:
    from ragchat.llm import profile

    path = write_gguf(models / "a.gguf")
    chosen = profile.Profile(3, 4, True, 120.0, 30.0, "2026-01-01T00:00:00+00:00")
    profile.write(home / "cache" / "profiles.json", path, chosen)
    assert "reads 120, writes 30 tokens/s (4 and 3 threads, flash attention on" in run("info").stdout
    assert json.loads(run("info", "--json").stdout)["profile"]["prefill_tok_s"] == 120.0


def test_info_beyond_the_trained_context_says_so(models: Path) -> None:
    write_gguf(models / "a.gguf")
    assert "trained with 2,048" in run("info", "a", "--n-ctx", "4096").stderr


def test_info_refuses_with_the_reason(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(models / "a.gguf")
    monkeypatch.setattr(memory, "available_bytes", lambda: 80 << 20)
    assert refused(["info", "a", "--n-ctx", "2000000"], ModelTooLargeError).exit_code == 5
    path.write_bytes(path.read_bytes()[:-7])
    assert "7 bytes are missing" in str(refused(["info", "a"], ModelFileError))
    write_gguf(models / "b.gguf", general_type="adapter")
    assert "adapter" in str(refused(["info", "b"], ModelFileError))
    assert refused(["info", "zzz"], NotFoundError).exit_code == 4


def test_add_and_remove(models: Path, tmp_path: Path) -> None:
    outside = write_gguf(tmp_path / "Mine.gguf", template=None)
    result = run("add", str(outside), "--name", "own")
    assert result.exit_code == 0, result.exception
    assert (models / "own.gguf").is_symlink()
    assert "no chat template" in result.stderr
    assert run("remove", "own", answer="n\n").exit_code == 1
    assert (models / "own.gguf").exists()
    assert "link own" in run("remove", "own", answer="y\n").stderr
    assert not (models / "own.gguf").is_symlink()
    assert outside.exists()
    run("add", str(outside), "--copy")
    assert run("remove", "mine", "--yes").exit_code == 0
    assert list(models.iterdir()) == []


def test_add_warns_of_a_model_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1 << 20)
    result = run("add", str(write_gguf(tmp_path / "Mine.gguf")))
    assert result.exit_code == 0
    assert "are free" in result.stderr


def test_pull_says_whether_the_checksum_is_known(hub: Hub, models: Path) -> None:
    result = run("pull", "owner/repo/One.gguf")
    assert result.exit_code == 0, result.exception
    assert "checksum verified" in result.stderr
    assert result.stdout == ""
    hub.linked = False
    assert "no checksum" in run("pull", "owner/repo/Two.gguf").stderr
    assert "already installed" in run("pull", "owner/repo/Two.gguf").stderr
    assert sorted(path.name for path in models.iterdir()) == ["One.gguf", "Two.gguf"]


def test_pull_of_an_unknown_name_names_the_catalogue() -> None:
    assert "qwen3-4b" in refused(["pull", "nothing"], NotFoundError).remedy


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_keeps_the_part_and_says_so(hub: Hub, models: Path) -> None:
    hub.delay_s = 0.02
    command = [sys.executable, "-m", "ragchat", "model", "pull", "owner/repo/One.gguf"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    part, end = models / "One.gguf.part", time.monotonic() + 30
    while time.monotonic() < end and not (part.exists() and part.stat().st_size > 50_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "continues" in said
    assert "Traceback" not in said
    kept = part.stat().st_size
    assert 50_000 < kept < len(hub.content)
    hub.delay_s = 0
    assert run("pull", "owner/repo/One.gguf").exit_code == 0
    assert hub.ranges_asked[-1] == f"bytes={kept}-"


def test_the_commands_import_nothing_heavy() -> None:
    script = "import sys; import ragchat.cli.model; print([m for m in "
    script += "('llama_cpp', 'textual', 'numpy', 'psutil', 'rich.progress') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
