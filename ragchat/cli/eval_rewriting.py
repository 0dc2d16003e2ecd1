"""`ragchat eval rewriting`: whether it pays to let a model write what else to search for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build, evaluations, meaning
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli import eval_vectors
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.errors import CancelledError, StorageError
from ragchat.text import clean_line, counted, human_seconds

if TYPE_CHECKING:
    from ragchat.evaluation.packing_trial import TrialProgress
    from ragchat.evaluation.question_sets import Asked
    from ragchat.evaluation.rewriting_trial import Compared, Outcome
    from ragchat.types import ModelInfo

_EVERY = 20
_STOPPED = "Stopped. What the model wrote so far is kept. Run the same command to continue."


@click.command()
@click.argument("set_name", metavar="SET")
@click.option(
    "--kb",
    "names",
    multiple=True,
    metavar="NAME",
    help="Knowledge base to search. Default: those of the chat.",
)
@click.option("--model", "model_name", default="", metavar="NAME", help="Model to measure, by name or path.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of questions, spread evenly over SET.",
)
@click.option("--no-store", is_flag=True, help="Show the figures without changing anything.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def rewriting(
    context: Context,
    set_name: str,
    names: tuple[str, ...],
    model_name: str,
    limit: int,
    no_store: bool,
    as_json: bool,
) -> None:
    """Measure whether a search finds more if this model writes what else to search for.

    SET needs questions with a document or an answer. ragchat searches for each one without and with what the model writes.
    The result is kept for this model, and `retrieval.rewrite auto` uses it: on only where the gain is more than chance explains.
    Ctrl-C keeps what the model wrote.
    """
    from ragchat.evaluation.rewriting_trial import decisive, judged, outcome
    from ragchat.session.packing import for_model
    from ragchat.session.rewriting import write_measured

    asked = evaluations.spread(judged(evaluations.questions(context, set_name)), limit)
    info, rows = _measure(
        context, names or build.default_knowledge_bases(context), asked, set_name, model_name
    )
    found = outcome(rows)
    options = build.ask_options(context)
    passages = for_model(info, options.packings, passages=options.passages, alone=True).passages
    pays = found.pays(passages)
    if as_json:
        data(figures(info, found, decisive(passages), pays=pays), indent=2)
    else:
        click.echo(table(found))
    if no_store:
        return
    try:
        write_measured(context.paths.rewritings_file, info, pays=pays)
    except OSError as error:
        raise StorageError(f"The result cannot be saved: {error}.") from error
    note(_verdict(info, pays=pays, switched_off=context.settings.retrieval.rewrite == "off"))


def _verdict(info: ModelInfo, *, pays: bool, switched_off: bool) -> str:
    name = clean_line(info.name)
    if not pays:
        return f"It does not measurably pay for {name}, so retrieval.rewrite auto leaves it off."
    how = " Switch it on with `ragchat config set retrieval.rewrite auto`." if switched_off else ""
    return f"It pays for {name}.{how}"


def _measure(
    context: Context, names: Sequence[str], asked: Sequence[Asked], set_name: str, model_name: str
) -> tuple[ModelInfo, list[Compared]]:
    """Run the trial, continuing where an earlier one stopped. Raises RagchatError."""
    from ragchat.evaluation import rewriting_trial
    from ragchat.evaluation.vectors import Remembering
    from ragchat.llm.loading import loaded
    from ragchat.retrieval.search import Searcher
    from ragchat.retrieval.vocabulary import Vocabulary
    from ragchat.session.rewriting import Averaging

    context.paths.create()
    options = build.ask_options(context)
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, names))
        cancel = stack.enter_context(cancel_on_interrupt())
        embedder = meaning.meant(context, stores, options.ranking)
        with eval_vectors.shown() as say:
            texts = [one.question for one in asked]
            meaning.prepared(context, stores, texts, options.ranking, cancel, say)
        meant = Averaging(Remembering(embedder)) if embedder else None
        model = build.model(context, model_name)
        stack.callback(model.close)
        reader = loaded(model, cancel)
        if cancel.cancelled:
            raise CancelledError(_STOPPED)
        file = _trial_file(context, set_name, reader.info)
        note(f"{counted(len(asked), 'question')}, {clean_line(reader.info.name)}")
        rows: list[Compared] = []
        try:
            for step in rewriting_trial.run(
                reader,
                Searcher(stores, meant),
                meant,
                Vocabulary(stores).idf,
                asked,
                file,
                cancel=cancel,
                ranking=options.ranking,
                min_match=options.min_match,
                min_confidence=options.min_confidence,
            ):
                if isinstance(step, rewriting_trial.Compared):
                    rows.append(step)
                else:
                    _say(step)
        except CancelledError as error:
            raise CancelledError(_STOPPED) from error
        finally:
            if interactive():
                click.echo(err=True)
        return reader.info, rows


def _trial_file(context: Context, set_name: str, info: ModelInfo) -> Path:
    """Where what this model writes for this set is kept. Raises StorageError."""
    from ragchat.session.packing import model_key

    key = hashlib.sha256(f"{set_name} {model_key(info)}".encode()).hexdigest()[:16]
    file = context.paths.data_dir / "trials" / f"rewriting-{key}.jsonl"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{file.parent} cannot be created: {error.strerror or error}.") from error
    return file


def _say(step: TrialProgress) -> None:
    left = f", {human_seconds(step.eta_s)} left" if step.eta_s is not None else ""
    line = f"{step.done} of {counted(step.total, 'question')}{left}"
    if interactive():
        click.echo(f"\r{line}".ljust(60), nl=False, err=True)
    elif step.done % _EVERY == 0:
        note(line)


def figures(info: ModelInfo, found: Outcome, place: int, *, pays: bool) -> dict[str, Any]:
    """The figures for scripts; `place` is the one that decides."""
    return {
        "model": info.name,
        "questions": found.questions,
        "written": found.written,
        "kept": found.kept,
        "seconds": round(found.seconds, 3),
        "success": {
            str(k): {
                "before": round(found.before[k], 4),
                "after": round(found.after[k], 4),
                "gain": {name: round(value, 4) for name, value in asdict(found.gain[k]).items()},
            }
            for k in found.gain
        },
        "decided_at": place,
        "pays": pays,
    }


def table(found: Outcome) -> str:
    """The same as a text table."""
    lines = [f"{'right hit among the first':26}{'without':>9}{'with':>9}{'gain':>9}   95 % interval"]
    lines += [
        f"{k:<26}{found.before[k]:>9.1%}{found.after[k]:>9.1%}{gain.mean * 100:>+9.1f}"
        f"   {gain.low * 100:+.1f} to {gain.high * 100:+.1f}"
        for k, gain in found.gain.items()
    ]
    lines.append(
        f"The first search was unsure of {found.written} of {counted(found.questions, 'question')}; the model took"
        f" {human_seconds(found.seconds)} for each, and {found.kept} of the second searches were used."
    )
    return "\n".join(lines)
