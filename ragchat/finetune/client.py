"""The application's end of the training process: starts it, yields what it says, passes on what the user wants.

Nothing here imports torch. When the process dies, what it has saved stays, and the same run continues from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ragchat.errors import FinetuneError, ModelFileError, RagchatError, StorageError
from ragchat.finetune import wire
from ragchat.pipes import Child, ChildGoneError, ChildSilentError
from ragchat.text import clean, clean_line

SILENCE_S = 60.0
"""Imports and single steps of large models hold the interpreter for long; a process silent for longer hangs."""
_POLL_S = 0.1


class TrainingRun:
    """One run in a process of its own. `pause`, `resume` and `cancel` may be called from any thread."""

    def __init__(self, command: wire.Train, log: Path) -> None:
        """Start it. Raises FinetuneError."""
        self._log = log
        try:
            self._child = Child("ragchat.finetune.training.process", log)
            self._child.send(wire.encode(command))
        except (OSError, ChildGoneError) as error:
            raise FinetuneError(f"The training process cannot be started: {error}.") from error

    @property
    def pid(self) -> int:
        """The id of the training process."""
        return self._child.pid

    def pause(self) -> None:
        """Stop after this step and wait; the memory stays taken."""
        self._tell(wire.Pause())

    def resume(self) -> None:
        """Continue after a pause."""
        self._tell(wire.Resume())

    def cancel(self) -> None:
        """End after this step; the best weights so far are kept."""
        self._tell(wire.Cancel())

    def events(self) -> Iterator[wire.Events]:
        """What it says, up to a Done or a Timed. Raises FinetuneError, StorageError, ModelFileError when it fails or dies."""
        heard_nothing = 0.0
        try:
            while True:
                try:
                    event = wire.event_decoder.decode(self._child.receive(_POLL_S))
                except ChildSilentError:
                    heard_nothing += _POLL_S
                    if heard_nothing > SILENCE_S:
                        self._child.kill()
                        raise self._died("stopped responding, so ragchat ended it") from None
                    continue
                except (ChildGoneError, msgspec.DecodeError) as error:
                    raise self._died(getattr(error, "reason", "sent an invalid message")) from error
                heard_nothing = 0.0
                if isinstance(event, wire.Failed):
                    raise _error(event, self._log)
                if not isinstance(event, wire.Beat):
                    yield event
                if isinstance(event, wire.Done | wire.Timed):
                    return
        finally:
            self.close()

    def close(self) -> None:
        """End the process, if it still runs."""
        self._child.close(timeout_s=1.0)

    def _tell(self, command: wire.Commands) -> None:
        try:
            self._child.send(wire.encode(command))
        except ChildGoneError:
            return  # `events` says so

    def _died(self, how: str) -> FinetuneError:
        return FinetuneError(
            f"The training process {clean_line(how)}.",
            f"Run the same command to continue from the last checkpoint. The log is {self._log}.",
        )


def _error(failed: wire.Failed, log: Path) -> RagchatError:
    sentence, remedy = clean(failed.sentence), clean(failed.remedy)
    match failed.kind:
        case "disk":
            return StorageError(sentence, remedy or "Free some space, then run the same command to continue.")
        case "weights":
            return ModelFileError(sentence, remedy)
        case "internal":
            return FinetuneError(f"The training process reports: {sentence}", f"The log is {log}.")
    return FinetuneError(sentence, remedy)
