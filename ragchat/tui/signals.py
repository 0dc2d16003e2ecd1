"""Ending when a signal says so, in order, and for certain when order does not come about in time.

Textual leaves the terminal in its alternate screen on SIGTERM. After a hang-up there is no terminal any more, and the
thread that writes to it is dead: whoever waits for it would wait forever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable

GRACE_S = 1.5


def end_on_signals(
    leave: Callable[[], object], save: Callable[[], object], *, lent: Callable[[], bool]
) -> Callable[[], None]:
    """On SIGTERM and SIGHUP call `leave` in the loop of this thread; what is returned puts the old handlers back.

    If the process is still there after GRACE_S, `save` is called and it ends. `lent` says that an editor has the terminal,
    which is waited for unless the terminal is gone.
    """
    loop = asyncio.get_running_loop()

    def obey(number: int, _frame: object) -> None:
        hung_up = number == getattr(signal, "SIGHUP", None)
        if hung_up:
            _let_go_of_the_terminal()
        if hung_up or not lent():
            threading.Thread(target=_end_for_certain, args=(number, save), daemon=True).start()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(leave)

    before = {}
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            with contextlib.suppress(ValueError):  # not in the main thread
                before[number] = signal.signal(number, obey)

    def put_back() -> None:
        for number, handler in before.items():
            with contextlib.suppress(ValueError, TypeError):
                signal.signal(number, handler)

    return put_back


def _let_go_of_the_terminal() -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None and os.isatty(stream.fileno()):
                os.dup2(nowhere, stream.fileno())


def _end_for_certain(number: int, save: Callable[[], object]) -> None:
    threading.Event().wait(GRACE_S)
    with contextlib.suppress(Exception):
        save()
    os._exit(128 + number)
