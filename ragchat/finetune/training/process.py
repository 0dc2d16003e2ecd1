"""The training process: `python -m ragchat.finetune.training.process`. The only one that imports torch.

A thread reads commands, so that a pause or a cancel is heard while a step is computed; another says that the process is alive.
It ends when its standard input closes. Standard output and error of the libraries are the log file.
"""

from __future__ import annotations

import errno
import faulthandler
import os
import sys
import threading
import time
import traceback
from pathlib import Path

import msgspec

from ragchat.errors import FinetuneError, ModelFileError, RagchatError, StorageError
from ragchat.finetune import wire
from ragchat.finetune.training import engine
from ragchat.llm.gguf import read_metadata
from ragchat.pipes import Parent, child_pipes

BEAT_S = 1.0


class Requests:
    """What the user wants, said by the commands thread, asked by the training."""

    def __init__(self) -> None:
        self._cancelled = threading.Event()
        self._going = threading.Event()
        self._going.set()

    @property
    def cancelled(self) -> bool:
        """Whether the parent asked to end."""
        return self._cancelled.is_set()

    @property
    def paused(self) -> bool:
        """Whether the parent asked to wait."""
        return not self._going.is_set()

    def wait_while_paused(self) -> bool:
        """Block until the training may continue. Whether it waited."""
        waited = self.paused
        self._going.wait()
        return waited

    def take(self, command: wire.Commands) -> None:
        """Do what a command asks."""
        match command:
            case wire.Pause():
                self._going.clear()
            case wire.Resume():
                self._going.set()
            case wire.Cancel():
                self._cancelled.set()
                self._going.set()


class Worker:
    """One run, then the end."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self.requests = Requests()

    def say(self, event: wire.Events) -> None:
        """Send an event to the parent."""
        self._parent.send(wire.encode(event))

    def run(self, command: wire.Train) -> None:
        """Work; whatever goes wrong is an event."""
        try:
            self._run(command)
        except FinetuneError as error:
            self.say(wire.Failed("architecture", str(error), error.remedy))
        except ModelFileError as error:
            self.say(wire.Failed("weights", str(error), error.remedy))
        except StorageError as error:
            self.say(wire.Failed("disk", str(error), error.remedy))
        except RagchatError as error:
            self.say(wire.Failed("data", str(error), error.remedy))
        except MemoryError:
            self.say(_out_of_memory())
        except OSError as error:
            traceback.print_exc()
            kind = "disk" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS) else "internal"
            self.say(wire.Failed(kind, f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")))
        except Exception as error:  # noqa: BLE001  the process boundary
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            memory = "out of memory" in text.casefold() or "can't allocate" in text.casefold()
            self.say(_out_of_memory() if memory else wire.Failed("internal", text[:500]))

    def _run(self, command: wire.Train) -> None:
        began = time.monotonic()
        if command.nice and hasattr(os, "nice"):
            os.nice(command.nice)
        threads = command.threads or max(1, (os.cpu_count() or 2) - (1 if (os.cpu_count() or 2) > 2 else 0))
        engine.be_quiet(threads=threads)
        from ragchat.finetune.training import trainer, weights

        run_dir = Path(command.run_dir)
        samples = _samples(Path(command.samples_file))
        self.say(wire.Converting("checking the model", 0.0))
        folder = weights.make(
            Path(command.base_path),
            command.base_sha256,
            Path(command.weights_dir),
            on_progress=lambda stage, fraction: self.say(wire.Converting(stage, fraction)),
        )
        architecture = read_metadata(Path(command.base_path)).architecture
        self.say(wire.Converting("loading the weights", 1.0))
        prepared = engine.prepare(
            folder, command.recipe, architecture=architecture, wanted=command.engine, threads=threads
        )
        from ragchat.finetune.training import checkpoints

        found = None if command.dry_steps else checkpoints.newest(run_dir / "checkpoints")
        steps = trainer.total_steps(command.recipe, len(samples.training))
        self.say(
            wire.Started(
                prepared.engine,
                prepared.reason,
                architecture,
                prepared.versions,
                steps,
                prepared.trainable_params,
                found[0] if found else 0,
            )
        )
        result = trainer.train(
            prepared,
            command.recipe,
            samples,
            run_dir,
            control=self.requests,
            say=self.say,
            dry_steps=command.dry_steps,
        )
        if command.dry_steps:
            self.say(
                wire.Timed(
                    result.step_s,
                    steps,
                    trainer.peak_rss_mib(),
                    prepared.trainable_params,
                    prepared.engine,
                )
            )
            return
        self.say(
            wire.Done(
                result.reason,
                result.step,
                result.best_step,
                result.best_loss if result.best_loss < 1e30 else -1.0,
                str(run_dir / trainer.BEST) if (run_dir / trainer.BEST).is_dir() else "",
                time.monotonic() - began,
                trainer.peak_rss_mib(),
                result.held_out,
                result.answers,
            )
        )


def _samples(file: Path) -> wire.Samples:
    try:
        samples = msgspec.msgpack.decode(file.read_bytes(), type=wire.Samples)
    except (OSError, msgspec.DecodeError) as error:
        raise FinetuneError(f"The prepared data in {file} cannot be read: {error}.") from error
    if not samples.training:
        raise FinetuneError("There are no training examples.")
    return samples


def _out_of_memory() -> wire.Failed:
    return wire.Failed(
        "memory",
        "This machine does not have enough memory.",
        "Use a smaller batch (--batch-size), shorter examples (--max-tokens) or a smaller model.",
    )


def main() -> None:
    """Do one run; end with it, or when standard input closes."""
    faulthandler.enable()
    parent = Parent(*child_pipes())
    worker = Worker(parent)
    first = parent.receive()
    if first is None:
        return
    parent.listen(lambda frame: worker.requests.take(wire.command_decoder.decode(frame)))
    parent.beat(BEAT_S, lambda: wire.encode(wire.Beat()))
    command = wire.command_decoder.decode(first)
    if isinstance(command, wire.Train):
        worker.run(command)
    os._exit(0)  # libraries leave threads behind that would wait


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
