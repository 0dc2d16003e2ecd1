"""The embedding process: `python -m ragchat.llm.embedding.process`. Loads one model and turns texts into vectors.

It ends when its standard input closes, also in the midst of a request. Standard output and error are the log file.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading
import traceback
from typing import BinaryIO

from ragchat.llm.embedding import wire
from ragchat.llm.embedding.engine import Engine, EngineError
from ragchat.pipes import child_pipes, read_frame, write_frame

BEAT_S = 0.5


class Worker:
    """Executes commands one after the other."""

    def __init__(self, replies: BinaryIO) -> None:
        self._replies = replies
        self._writing = threading.Lock()
        self._request = 0
        self._engine: Engine | None = None

    def reply(self, reply: wire.Replies) -> None:
        with self._writing:
            write_frame(self._replies, wire.encode(reply))

    def beat(self) -> None:
        with self._writing:  # looked at inside the lock: what is said later must not be behind it
            if request := self._request:
                write_frame(self._replies, wire.encode(wire.Beat(request)))

    def execute(self, command: wire.Commands) -> None:
        """Work on one request; whatever goes wrong is a reply."""
        self._request = command.id
        try:
            answer = self._answer(command)
        except EngineError as error:
            answer = wire.Failed(command.id, str(error))
        except Exception as error:  # noqa: BLE001  the process boundary
            traceback.print_exc()
            answer = wire.Failed(command.id, f"{type(error).__name__}: {error}")
        self._request = 0
        self.reply(answer)

    def _answer(self, command: wire.Commands) -> wire.Replies:
        match command:
            case wire.Load(id=request):
                _step_back(command.niceness)
                self._engine = Engine(command.path, n_ctx=command.n_ctx, n_threads=command.n_threads)
                return wire.Loaded(request, self._engine.dimensions, self._engine.n_ctx)
            case wire.Embed(id=request, texts=texts):
                return wire.Embedded(request, self._loaded().embed(texts).astype("<f4").tobytes())
            case wire.Rank(id=request, query=query, texts=texts):
                return wire.Ranked(request, self._loaded().rank(query, texts).astype("<f4").tobytes())

    def _loaded(self) -> Engine:
        if self._engine is None:
            raise EngineError("no model is loaded")
        return self._engine


def _step_back(niceness: int) -> None:
    """Give way to everything else on the machine."""
    if niceness <= 0:
        return
    if os.name == "nt":  # pragma: no cover
        import psutil

        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)  # type: ignore[attr-defined]
    else:
        os.nice(niceness)


def main() -> None:
    """Serve commands until standard input closes."""
    faulthandler.enable()
    commands, replies = child_pipes()
    worker = Worker(replies)
    inbox: queue.SimpleQueue[wire.Commands] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while (frame := read_frame(commands)) is not None:
                inbox.put(wire.command_decoder.decode(frame))
        finally:
            os._exit(0)

    def beat() -> None:
        pause = threading.Event()
        while not pause.wait(BEAT_S):
            worker.beat()

    threading.Thread(target=listen, name="commands", daemon=True).start()
    threading.Thread(target=beat, name="beat", daemon=True).start()
    while True:
        worker.execute(inbox.get())


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
