"""Nothing leaves the machine: the system calls of indexing, asking and the plain chat, with the real model, hold no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def traced(home: Path, *arguments: str, said: bytes = b"") -> list[str]:
    """The system calls about the network that ragchat and its processes make."""
    trace = home / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=network", "-e", "signal=none", "-o", str(trace)]
    done = subprocess.run(
        [*command, sys.executable, "-m", "ragchat", *arguments],
        env={**os.environ, "RAGCHAT_HOME": str(home), "RAGCHAT_SAMPLING__MAX_TOKENS": "8"},
        input=said,
        capture_output=True,
        timeout=240,
    )
    if b"PTRACE" in done.stderr or b"ptrace" in done.stderr:
        pytest.skip("this machine forbids tracing")
    assert done.returncode == 0, done.stderr.decode()
    return [line for line in trace.read_text().splitlines() if "AF_INET" in line or "connect(" in line]


def test_nothing_opens_a_connection(tmp_path: Path, default_model: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "pump.md").write_text("The warranty of the Zephyr pump lasts seven years.\n")
    (documents / "lamp.html").write_text("<p>The Orion lamp runs on <b>two</b> batteries.</p>")
    home = tmp_path / "home"
    home.mkdir()
    assert traced(home, "kb", "add", "notes", str(documents)) == []
    assert traced(home, "ask", "How long does the warranty of the Zephyr pump last?", "--kb", "notes") == []
    lines = b"/kb notes\nHow long does the warranty last?\n/replay\n/sources\n"
    assert traced(home, "chat", "--plain", said=lines) == []


def test_a_connection_would_be_seen(tmp_path: Path) -> None:
    """The trace is not empty by mistake."""
    trace = tmp_path / "trace"
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace), sys.executable, "-c", code],
        capture_output=True,
        timeout=60,
    )
    if done.returncode:
        pytest.skip("this machine forbids tracing")
    assert "AF_INET" in trace.read_text()
