"""`ragchat finetune NAME`: train the model you chat with on your own data, and make an adapter of it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.context import data, interactive, note, pass_context, remind_of_verdict
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, FinetuneError
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.training_data import Wanted
    from ragchat.cli.finetune_screen import ProgressDisplay
    from ragchat.finetune.client import TrainingRun
    from ragchat.finetune.recipe import Mode
    from ragchat.finetune.reporter import Reporter
    from ragchat.finetune.run import Job, Learned, Places
    from ragchat.finetune.wire import Timed
    from ragchat.types import ChatModel

MODES = ("style", "task", "knowledge", "rag")


@click.command()
@click.argument("name")
@click.option(
    "--model",
    "model_name",
    default="",
    metavar="NAME",
    help="Model to train. Default: the model of the chat.",
)
@click.option(
    "--chats", is_flag=True, help="Learn from answers in your chats that you rated good or corrected."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=TypedPath(),
    metavar="FILE",
    help="JSONL, JSON or CSV file with examples. You can repeat it.",
)
@click.option(
    "--kb",
    "knowledge_bases",
    multiple=True,
    metavar="NAME",
    help="Learn from questions drafted from this knowledge base (`ragchat pairs`).",
)
@click.option(
    "--mode", type=click.Choice(MODES), default="task", show_default=True, help="What the adapter learns."
)
@click.option(
    "--held-out",
    type=TypedPath(),
    metavar="FILE",
    help="File of questions to test with, instead of a part of the data.",
)
@click.option(
    "--answers",
    "answer_form",
    type=click.Choice(["sentence", "short"]),
    default="sentence",
    show_default=True,
    help="In the mode rag, answer with the whole sentence or only the answer.",
)
@click.option(
    "--refusals",
    type=click.FloatRange(0, 0.5),
    metavar="X",
    help="In the mode rag, share of examples without the right passage, which teach it to decline.",
)
@click.option("--dry-run", is_flag=True, help="Check the data and time three steps, without training.")
@click.option("--rank", "lora_rank", type=int, metavar="N", help="Rank of the adapter.")
@click.option(
    "--alpha", "lora_alpha", type=int, metavar="N", help="Alpha of the adapter. Default: twice the rank."
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="MODULE",
    help="Layer to train, such as q_proj. You can repeat it.",
)
@click.option("--learning-rate", type=float, metavar="X")
@click.option("--epochs", type=float, metavar="X", help="Number of passes over the examples.")
@click.option("--batch-size", type=int, metavar="N")
@click.option("--max-tokens", type=int, metavar="N", help="Leave out longer examples.")
@click.option("--max-steps", type=int, metavar="N", help="Stop after this many steps.")
@click.option(
    "--patience", type=int, metavar="N", help="Stop after this many tests without improvement; 0: never."
)
@click.option(
    "--warmup", type=float, metavar="X", help="Share of the steps in which the learning rate rises."
)
@click.option("--dropout", "lora_dropout", type=float, metavar="X")
@click.option("--weight-decay", type=float, metavar="X")
@click.option(
    "--rehearsal",
    type=click.FloatRange(0),
    metavar="X",
    help="Weight of keeping general abilities; 0 turns it off.",
)
@click.option("--seed", type=int, metavar="N")
@click.option("--engine", type=click.Choice(["auto", "unsloth", "peft"]), default="auto", show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Number of threads; 0: all cores but one, or both of two.",
)
@click.option(
    "--nice",
    type=click.IntRange(0, 19),
    default=5,
    show_default=True,
    metavar="N",
    help="Niceness of the process: higher values give other programs priority.",
)
@click.option("--no-check", is_flag=True, help="Skip the tests before and after the training.")
@click.option("--replace", "replacing", is_flag=True, help="Replace an adapter with the same name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object at the end.")
@pass_context
def finetune(
    context: Context,
    /,
    name: str,
    model_name: str,
    chats: bool,
    files: tuple[Path, ...],
    knowledge_bases: tuple[str, ...],
    mode: Any,
    held_out: Path | None,
    answer_form: Any,
    refusals: float | None,
    dry_run: bool,
    targets: tuple[str, ...],
    engine: str,
    threads: int,
    nice: int,
    no_check: bool,
    replacing: bool,
    as_json: bool,
    **changes: Any,
) -> None:
    """Train an adapter called NAME for the model you chat with.

    --chats, --file and --kb together provide the data. Modes: style (how to write answers), task (what to do with an input),
    knowledge (facts, to answer without documents), rag (to answer from passages and cite them). ragchat tests the adapter with
    held-out examples and leaves out near-duplicates of your evaluation questions.

    Ctrl-C pauses and asks what to do. Run the same command again to continue a stopped training.
    """
    from ragchat.app.training_data import Wanted
    from ragchat.cli.finetune_screen import ProgressDisplay
    from ragchat.finetune.reporter import Reporter
    from ragchat.llm.adapters import check_adapter_name

    check_adapter_name(name)
    context.paths.create()
    cancel = CancelToken()
    with ExitStack() as stack:
        report = stack.enter_context(Reporter(context.paths.trainings_dir, name, model_name, cancel))
        how = {
            "engine": engine,
            "threads": threads,
            "nice": nice,
            "replace": replacing,
            "check": not no_check,
        }
        job = _job(context, name, model_name, mode, {"target_modules": targets or None, **changes}, how)
        wanted = Wanted(chats, files, knowledge_bases, held_out, mode, answer_form, refusals)
        display = stack.enter_context(ProgressDisplay(live=interactive() and not as_json))
        steering = stack.enter_context(Steering(display, cancel, asks=not dry_run))
        try:
            ended = _train(context, job, wanted, display, steering, report, cancel, dry_run=dry_run)
        except FinetuneError:
            if not steering.left:
                raise
            report.left()
            note("Paused. Run the same command to continue.")
            return
    if dry_run and ended is None:
        raise CancelledError("Stopped. No adapter was made.")
    if as_json:
        data(_json(job, ended), indent=2)
    elif ended is not None:
        for line in display.summary(ended):
            click.echo(line)
    if not dry_run:
        remind_of_verdict(context)


def _job(
    context: Context, name: str, model_name: str, mode: Mode, changes: dict[str, Any], how: dict[str, Any]
) -> Job:
    """`changes` are those of the usual recipe, None for what stays; `how` are fields of the job."""
    from ragchat.finetune.recipe import changed, default_recipe
    from ragchat.finetune.run import Job
    from ragchat.llm.gguf import read_metadata

    base = build.library(context).resolve(model_name or context.settings.model.name)
    recipe = changed(default_recipe(mode, read_metadata(base).n_params), **changes)
    return Job(name, base, recipe, **how)


def _train(
    context: Context,
    job: Job,
    wanted: Wanted,
    display: ProgressDisplay,
    steering: Steering,
    report: Reporter,
    cancel: CancelToken,
    *,
    dry_run: bool,
) -> Learned | Timed | None:
    """Gather the data and train, with progress. Raises RagchatError."""
    from ragchat.app.training_data import gather
    from ragchat.finetune.run import run

    with opened(context, job.base) as model:
        display.stage("reading the data")
        parts, rejected = gather(context, wanted, model, cancel)

    def started(training: TrainingRun) -> None:
        steering.take(training)
        report.steer(training)

    ended: Learned | Timed | None = None
    for event in run(
        job,
        parts,
        rejected,
        lambda: opened(context, job.base),
        build.adapters(context),
        places(context),
        cancel=cancel,
        started=started,
        dry_steps=3 if dry_run else 0,
    ):
        report.take(event)
        ended = display.show(event) or ended
    return ended


def places(context: Context) -> Places:
    """Where runs, weights and adapters lie."""
    from ragchat.finetune.run import Places

    paths = context.paths
    return Places(
        paths.finetune_dir / "runs",
        paths.weights_dir,
        paths.adapters_dir,
        paths.cache_dir / "abilities.json",
        paths.cache_dir / "rehearsal",
        paths.finetune_log,
    )


@contextlib.contextmanager
def opened(context: Context, base: Path) -> Iterator[ChatModel]:
    """The base in an inference process of its own."""
    model = build.model(context, str(base))
    try:
        yield model
    finally:
        model.close()


class Steering:
    """Ctrl-C while it trains: pause, ask, then continue, stop and keep the best, or leave it for later.

    Before the training, or where no one can be asked or there is nothing to keep (not `asks`), Ctrl-C stops; what was learned by
    then is kept.
    """

    def __init__(self, display: ProgressDisplay, cancel: CancelToken, *, asks: bool = True) -> None:
        self._board, self._cancel, self._asks = display, cancel, asks
        self._run: TrainingRun | None = None
        self._pressed = threading.Event()
        self._over = threading.Event()
        self.left = False
        """The user wants to continue another time."""

    def __enter__(self) -> Steering:
        self._before = signal.signal(signal.SIGINT, lambda *_: self._press())
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        signal.signal(signal.SIGINT, self._before)

    def take(self, run: TrainingRun) -> None:
        """This process is steered from now on."""
        self._run = run

    def _press(self) -> None:
        if self._run is None:
            self._cancel.cancel()
        elif self._pressed.is_set():
            self._leave(self._run)
        self._pressed.set()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            if not self._pressed.is_set() or self._run is None:
                continue
            if self._board.live and self._asks:
                self._run.pause()
                self._ask(self._run)
            else:
                self._run.cancel()
                return
            self._pressed.clear()

    def _ask(self, run: TrainingRun) -> None:
        said = self._board.ask(
            "Pausing after this step. Press Enter to continue, s to stop and keep the best so far, l to continue later: "
        )
        match said.strip().casefold()[:1]:
            case "s":
                run.cancel()
            case "l":
                self._leave(run)
            case _:
                run.resume()

    def _leave(self, run: TrainingRun) -> None:
        self.left = True
        self._over.set()
        run.close()


def _json(job: Job, ended: Any) -> dict[str, Any]:
    from ragchat.finetune.run import Learned
    from ragchat.finetune.wire import Timed

    if isinstance(ended, Timed):
        return {
            "seconds_per_step": round(ended.step_s, 3),
            "steps": ended.total_steps,
            "seconds": round(ended.step_s * ended.total_steps),
            "peak_memory_mib": ended.peak_rss_mib,
            "trainable_parameters": ended.trainable_params,
            "engine": ended.engine,
        }
    if isinstance(ended, Learned):
        return {
            "adapter": job.name,
            "folder": str(ended.folder),
            "recall_before": round(ended.before.share, 4),
            "recall_after": round(ended.after.share, 4),
            "checks": ended.manifest.checks,
            "data": ended.manifest.data,
            "warnings": list(ended.warnings),
            "seconds": round(ended.seconds),
        }
    return {}
