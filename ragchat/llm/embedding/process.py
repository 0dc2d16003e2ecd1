"""The embedding process: `python -m ragchat.llm.embedding.process`. Loads one model and turns texts into vectors.

It ends when its standard input closes, also in the midst of a request. Standard output and error are the log file.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import traceback

from ragchat.llm.embedding import wire
from ragchat.llm.embedding.engine import Engine, EngineError
from ragchat.pipes import Parent, child_pipes

BEAT_S = 0.5


class Worker:
    """Executes commands one after the other."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._request = 0
        self._engine: Engine | None = None

    def sign(self) -> bytes | None:
        """That the request is being worked on."""
        return wire.encode(wire.Beat(self._request)) if self._request else None

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
        self._parent.send(wire.encode(answer))

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
    parent = Parent(*child_pipes())
    worker = Worker(parent)
    inbox: queue.SimpleQueue[wire.Commands] = queue.SimpleQueue()
    parent.listen(lambda frame: inbox.put(wire.command_decoder.decode(frame)))
    parent.beat(BEAT_S, worker.sign)
    while True:
        worker.execute(inbox.get())


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
