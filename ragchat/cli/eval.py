"""`ragchat eval`: compare configurations on questions with known answers."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build, meaning
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli import eval_vectors
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.cli.eval_questions import questions
from ragchat.cli.eval_rewriting import rewriting
from ragchat.cli.eval_runs import history, report, run, watch
from ragchat.cli.eval_settings import calibrate, tune
from ragchat.cli.paths import TypedPath
from ragchat.errors import CancelledError, StorageError, UsageError
from ragchat.text import clean_line, counted, human_seconds

if TYPE_CHECKING:
    from ragchat.evaluation.packing_trial import Result, Way
    from ragchat.types import ModelInfo


@click.group()
def eval() -> None:
    """Compare the model alone, documents, an adapter and both on questions with known answers, and recommend one."""


eval.add_command(questions)
for _command in (run, report, history, watch, calibrate, tune, rewriting):
    eval.add_command(_command)


@eval.command()
@click.argument("set_dir", type=TypedPath(), metavar="SET_DIR")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=200,
    show_default=True,
    help="Number of questions, spread evenly over the set.",
)
@click.option("--model", "model_name", default="", metavar="NAME", help="Model to measure, by name or path.")
@click.option(
    "--way",
    "names",
    multiple=True,
    metavar="NAME",
    help="Try only this way to pack passages. You can repeat it.",
)
@click.option(
    "--out",
    type=TypedPath(dir_okay=False),
    metavar="FILE.jsonl",
    help="File for the answers.",
)
@click.option("--no-store", is_flag=True, help="Show the figures without changing anything.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def packing(
    context: Context,
    set_dir: Path,
    limit: int,
    model_name: str,
    names: tuple[str, ...],
    out: Path | None,
    no_store: bool,
    as_json: bool,
) -> None:
    """Measure how many passages this model needs, and in what form.

    SET_DIR contains questions.jsonl (one {"question", "answers", "relevant"} per line) and corpus/*.txt. The model answers every
    question with each way to pack passages. ragchat then uses the best one for this model. Ctrl-C keeps the answers.
    """
    from ragchat.evaluation.packing_trial import WAYS, best
    from ragchat.session.packing import write_choice

    ways = tuple(way for way in WAYS if not names or way.name in names)
    if unknown := set(names) - {way.name for way in WAYS}:
        known = "; ".join(way.name for way in WAYS)
        raise UsageError(
            f"There is no way to pack passages called {clean_line(min(unknown))}.", f"Available: {known}."
        )
    info, found = measure(context, set_dir, ways, limit=limit, model_name=model_name, out=out)
    chosen = best(found)
    if as_json:
        data(figures(info, found), indent=2)
    else:
        click.echo(table(found))
    if chosen and not no_store:
        try:
            write_choice(context.paths.packings_file, info, chosen.way.packing)
        except OSError as error:
            raise StorageError(f"The choice cannot be saved: {error}.") from error
        note(f"{info.name} now gets “{chosen.way.name}”.")


def measure(
    context: Context, set_dir: Path, ways: Sequence[Way], *, limit: int, model_name: str, out: Path | None
) -> tuple[ModelInfo, list[Result]]:
    """Run the trial, continuing where an earlier one stopped. Raises RagchatError."""
    from ragchat.evaluation import corpora, packing_trial
    from ragchat.llm.loading import loaded

    found = corpora.read(set_dir)
    judged = tuple(q for q in found.questions if packing_trial.right_paragraph(q, found))
    if not judged:
        raise UsageError(
            f"No question in {set_dir} has an answer that appears in one of its relevant documents."
        )
    asked = corpora.spread(judged, limit)
    context.paths.create()
    with ExitStack() as stack:
        model = build.model(context, model_name)
        stack.callback(model.close)
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(corpora.build_knowledge_base(scratch, found))
        cancel = stack.enter_context(cancel_on_interrupt())
        ranking = build.ranking(context)
        embedder = meaning.meant(context, [store], ranking)
        with eval_vectors.shown() as say:
            texts = [question.text for question in asked]
            searcher = meaning.prepared(context, [store], texts, ranking, cancel, say)
        reader = loaded(model, cancel)
        info = reader.info
        if cancel.cancelled:
            raise CancelledError("Stopped. The answers so far are kept. Run the same command to continue.")
        file = out or context.paths.data_dir / "trials" / f"{found.name}-{Path(info.path).stem}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        note(
            f"{counted(len(asked), 'question')}, {len(ways)} ways to pack passages, {info.name}"
            f"; answers go to {clean_line(str(file))}"
        )
        live = interactive()
        try:
            for step in packing_trial.run(
                reader,
                searcher,
                found.name,
                asked,
                ways,
                file,
                cancel=cancel,
                right=lambda question: packing_trial.right_paragraph(question, found),
                ranking=ranking,
                also={"embedding": embedder.model.fingerprint} if embedder else None,
            ):
                left = f", {human_seconds(step.eta_s)} left" if step.eta_s is not None else ""
                if live:
                    click.echo(
                        f"\r{step.done} of {counted(step.total, 'answer')}{left}".ljust(60),
                        nl=False,
                        err=True,
                    )
                elif step.done % 100 == 0:
                    note(f"{step.done} of {counted(step.total, 'answer')}{left}")
        except CancelledError as error:
            raise CancelledError(
                "Stopped. The answers so far are kept. Run the same command to continue."
            ) from error
        finally:
            if live:
                click.echo(err=True)
        known = {question.id for question in asked}
        rows = [row for row in packing_trial.answers(file) if row.question in known]
        return info, packing_trial.results(rows, ways)


def figures(info: ModelInfo, found: Sequence[Result]) -> dict[str, Any]:
    """The figures for scripts: shares, means, and each way's share of the right paragraph's right answers."""
    right = next((result.contains for result in found if result.way.right), 0.0)
    return {
        "model": info.name,
        "questions": found[0].questions if found else 0,
        "ways": {
            result.way.name: {
                "contains": round(result.contains, 4),
                "standard_error": round(result.error, 4),
                "f1": round(result.f1, 4),
                "in_context": round(result.in_context, 4),
                "prompt_tokens": round(result.prompt_tokens, 1),
                "seconds": round(result.seconds, 3),
                "of_right_paragraph": round(result.contains / right, 4) if right else None,
            }
            for result in found
        },
    }


def table(found: Sequence[Result]) -> str:
    """The same as a text table."""
    if not found:
        return "No question has an answer for all ways to pack passages yet."
    lines = [f"{'':34}{'right':>7}{'±':>6}{'F1':>7}{'in context':>12}{'tokens':>8}{'seconds':>9}"]
    lines += [
        f"{r.way.name:34}{r.contains:>7.3f}{r.error:>6.3f}{r.f1:>7.3f}{r.in_context:>12.3f}{r.prompt_tokens:>8.0f}{r.seconds:>9.2f}"
        for r in found
    ]
    return "\n".join(lines)
