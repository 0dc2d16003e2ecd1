"""What the program itself sends to terminals of few or no colours."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo terminals of Unix", allow_module_level=True)

import fcntl
import pty
import struct
import termios

TRUE_COLOUR = re.compile(rb"[34]8;2;(\d+);(\d+);(\d+)")
MANY_COLOURS = re.compile(rb"[34]8;[25];")


def sent(folder: Path, **environment: str) -> bytes:
    """What `ragchat` sends until its keys are shown."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 110, 0, 0))
    left_out = ("NO_COLOR", "COLORTERM", "COLORFGBG", "RAGCHAT_")
    env = {name: text for name, text in os.environ.items() if not name.startswith(left_out)}
    env |= {"RAGCHAT_HOME": str(folder), "RAGCHAT_UI__LOAD_AT_START": "false", **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "ragchat"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env=env,
    )
    os.close(slave)
    seen, deadline = b"", time.monotonic() + 20
    while b"F1" not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            seen += os.read(master, 65536)
    process.kill()
    process.wait()
    os.close(master)
    assert b"F1" in seen, seen[-500:]
    return seen


def test_a_terminal_with_16_colours_is_sent_no_others(tmp_path: Path) -> None:
    assert not MANY_COLOURS.search(sent(tmp_path, TERM="xterm"))


def test_no_color_is_greys_only(tmp_path: Path) -> None:
    colours = TRUE_COLOUR.findall(sent(tmp_path, TERM="xterm", COLORTERM="truecolor", NO_COLOR="1"))
    assert colours
    assert all(red == green == blue for red, green, blue in colours)


def test_an_empty_no_color_asks_for_nothing(tmp_path: Path) -> None:
    colours = TRUE_COLOUR.findall(sent(tmp_path, TERM="xterm", COLORTERM="truecolor", NO_COLOR=""))
    assert any(not red == green == blue for red, green, blue in colours)
