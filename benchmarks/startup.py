"""From the command to the first picture and the first key that is taken, in a pseudo terminal.

    python benchmarks/startup.py [--rounds N] [-- COMMAND…]

First paint: the first frame that shows the prompt. First key: a letter typed at once, until it stands on the screen. The model
loads behind both. Needs a POSIX pseudo terminal. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import sys
import tempfile
import termios
import time
from pathlib import Path

PROMPT = b"Ask anything"
KEY = "§"
PATIENCE_S = 20.0


def run_once(command: list[str], home: str) -> tuple[float, float]:
    """Seconds to the first paint and to the first accepted key."""
    environment = {**os.environ, "RAGCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    seen, painted, accepted = b"", 0.0, 0.0
    try:
        while not accepted and time.perf_counter() - started < PATIENCE_S:
            if select.select([terminal], [], [], 0.01)[0]:
                seen += os.read(terminal, 65536)
            if not painted and PROMPT in seen:
                painted = time.perf_counter() - started
                seen = b""
                os.write(terminal, KEY.encode())
            elif painted and KEY.encode() in _plain(seen):
                accepted = time.perf_counter() - started
    finally:
        os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(OSError):
            while os.read(terminal, 65536):
                pass
        os.waitpid(pid, 0)
        os.close(terminal)
    if not accepted:
        raise SystemExit(f"nothing accepted within {PATIENCE_S:.0f} s")
    return painted, accepted


def _plain(data: bytes) -> bytes:
    """What is printed, without escape sequences."""
    import re

    return re.sub(rb"\x1b\[[0-9;?]*[ -/]*[@-~]", b"", data)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("command", nargs="*", default=[str(Path(sys.executable).with_name("ragchat"))])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        run_once(arguments.command, home)  # makes the folders, compiles the modules
        rows = [run_once(arguments.command, home) for _ in range(arguments.rounds)]
    paint, key = ([row[i] for row in rows] for i in (0, 1))
    print(f"{'':24}{'median':>8}{'worst':>8}")
    print(f"{'first paint, s':24}{statistics.median(paint):>8.2f}{max(paint):>8.2f}")
    print(f"{'first accepted key, s':24}{statistics.median(key):>8.2f}{max(key):>8.2f}")
    print(
        json.dumps(
            {
                "benchmark": "startup",
                "rounds": arguments.rounds,
                "first_paint_s": round(statistics.median(paint), 3),
                "first_key_s": round(statistics.median(key), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
