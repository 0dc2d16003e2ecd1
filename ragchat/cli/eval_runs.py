"""`ragchat eval run`, `report`, `history`, `watch`: find the best configuration and check that it stays the best."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build, evaluations
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli import eval_vectors
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.cli.paths import TypedPath
from ragchat.errors import (
    CancelledError,
    EvaluationError,
    NotFoundError,
    RagchatError,
    StorageError,
    UsageError,
)
from ragchat.evaluation.question_sets import WATCHED
from ragchat.text import clean_line, counted, human_seconds

if TYPE_CHECKING:
    from ragchat.evaluation.calibration import RefusalCurve
    from ragchat.evaluation.four_ways import Run
    from ragchat.evaluation.verdict import Difference, Verdict

_LABEL, _WIDE, _NARROW = 34, 15, 8
"""Characters of a label, of a cell with its interval, and at least of one that has it in the line below."""
_SCREEN = 80


def _common(command: Any) -> Any:
    """Options of those commands that ask a model."""
    for option in reversed(
        (
            click.option(
                "--model",
                "model_name",
                default="",
                metavar="NAME",
                help="Model to measure. Default: the model of the chat.",
            ),
            click.option(
                "--adapter", default="", metavar="NAME[:SCALE]", help="Adapter to measure. Several: a+b:0.5."
            ),
            click.option(
                "--kb",
                "names",
                multiple=True,
                metavar="NAME",
                help="Knowledge base to search. Default: those of the chat.",
            ),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("set_name", metavar="SET")
@_common
@click.option(
    "--arms",
    default="",
    metavar="LIST",
    help="Configurations: base,rag,tuned,rag+tuned,documents. Default: all possible ones.",
)
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Number of questions, spread evenly over the set."
)
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Only questions with this tag. You can repeat it."
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Maximum length of an answer.")
@click.option(
    "--measure", default="", metavar="NAME", help="Deciding measure: contains, f1, exact or rouge_l."
)
@click.option(
    "--size",
    type=click.FloatRange(0.01, 1),
    default=0.1,
    show_default=True,
    help="Smallest difference that matters to you.",
)
@click.option(
    "--fail-below",
    "gates",
    multiple=True,
    metavar="[ARM:]NAME=X",
    help="Exit with code 10 if a score is lower, for example f1=0.6.",
)
@click.option(
    "--judge", "judge_model", default="", metavar="MODEL", help="Also let this model judge the answers."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def run(
    context: Context,
    set_name: str,
    model_name: str,
    adapter: str,
    names: tuple[str, ...],
    arms: str,
    limit: int | None,
    tags: tuple[str, ...],
    max_tokens: int | None,
    measure: str,
    size: float,
    gates: tuple[str, ...],
    judge_model: str,
    as_json: bool,
) -> None:
    """Ask the questions of SET in up to four configurations and recommend one: the model alone (base), your documents (rag), an
    adapter (tuned), both (rag+tuned). Beside them, the quotes from your documents answer without a model (documents): a model has
    to do better than that.

    All configurations answer one question before the next, so a partial run is fair. Ctrl-C keeps the answers; the same command
    continues. Your chats stay unchanged.
    """
    from ragchat.evaluation.four_ways import ARMS

    _check_measure(measure)
    limits = [_gate(text) for text in gates]
    chosen = tuple(part.strip() for part in arms.split(",") if part.strip())
    if unknown := [arm for arm in chosen if arm not in ARMS]:
        raise UsageError(
            f"There is no configuration called {clean_line(unknown[0])}.", f"Available: {', '.join(ARMS)}."
        )
    wanted = evaluations.Wanted(
        set_name,
        chosen,
        model_name,
        adapter.strip(),
        tuple(dict.fromkeys(names)),
        limit or 0,
        max_tokens or 0,
        tags,
    )
    made = carry_out(context, wanted)
    if judge_model:
        _judge(context, made, judge_model)
    verdict = _verdict(context, made, measure, size)
    if as_json:
        data(figures(verdict), indent=2)
    else:
        _print(verdict)
    _check_gates(verdict, limits)


def carry_out(context: Context, wanted: evaluations.Wanted) -> Run:
    """Prepare a run, or continue with it, showing how far it is. Raises RagchatError."""
    from ragchat.evaluation.vectors import Prepared
    from ragchat.evaluation.verdict import FEWEST

    context.paths.create()
    prepared = evaluations.prepare(context, wanted)
    note(
        f"{counted(len(prepared.questions), 'question')} of {clean_line(prepared.set_name)},"
        f" {counted(len(prepared.arms), 'configuration')}:"
        f" {', '.join(prepared.arms)}."
    )
    if len(prepared.questions) < FEWEST:
        note(f"Too few questions for a verdict: {FEWEST} is the minimum, and 50 can show a large difference.")
    if prepared.left_out:
        note(
            f"Left out, because the adapter learned from them or near-duplicates: {counted(len(prepared.left_out), 'question')}."
        )
    live, said = interactive(), 0
    with cancel_on_interrupt() as cancel, eval_vectors.shown() as say:
        try:
            for progress in evaluations.perform(context, wanted, prepared, cancel):
                if isinstance(progress, Prepared):
                    say(progress)
                    continue
                left = f", {human_seconds(progress.eta_s)} left" if progress.eta_s is not None else ""
                line = f"{progress.done} of {counted(progress.total, 'answer')}{left}"
                if live:
                    click.echo(f"\r{line}".ljust(60), nl=False, err=True)
                elif progress.done - said >= 100:
                    said = progress.done
                    note(line)
        finally:
            if live:
                click.echo(err=True)
    return evaluations.runs(context).find(prepared.id) or prepared


@click.command()
@click.argument("set_name", metavar="[SET]", default="")
@click.option(
    "--run", "run_id", default="", metavar="ID", help="An earlier run; `ragchat eval history` lists the ids."
)
@click.option(
    "--output",
    "-o",
    type=TypedPath(dir_okay=False),
    metavar="FILE.html",
    help="File for the page.",
)
@click.option(
    "--measure", default="", metavar="NAME", help="Deciding measure: contains, f1, exact or rouge_l."
)
@click.option(
    "--size",
    type=click.FloatRange(0.01, 1),
    default=0.1,
    show_default=True,
    help="Smallest difference that matters to you.",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object, no page.")
@pass_context
def report(
    context: Context,
    set_name: str,
    run_id: str,
    output: Path | None,
    measure: str,
    size: float,
    as_json: bool,
) -> None:
    """Show the verdict of the newest run (of SET), or write it as a page that opens in a browser offline."""
    from ragchat.evaluation.report import html

    _check_measure(measure)
    verdict = _verdict(context, _chosen(context, set_name, run_id), measure, size)
    outdated = evaluations.stale(context, verdict.run)
    if as_json:
        data(figures(verdict) | {"stale": outdated}, indent=2)
        return
    _print(verdict)
    _say_stale(outdated)
    if output is not None:
        refusals = _refusals(context, verdict)
        try:
            output.write_text(html(verdict, outdated, refusals), encoding="utf-8")
        except OSError as error:
            raise StorageError(f"{output} cannot be written: {error.strerror or error}.") from error
        note(f"Report written to {output}.")


def _refusals(context: Context, verdict: Verdict) -> RefusalCurve | None:
    """When the search would have declined the questions of a run, as its documents are now.

    None where the documents are gone or one kind of question is missing. Raises CancelledError, StorageError.
    """
    from ragchat.app.calibration import refusals

    names = list(verdict.run.inputs.get("documents") or ())
    if not names or len({question.answerable for question in verdict.questions}) < 2:
        return None
    note(f"Searching for {counted(len(verdict.questions), 'question')} to draw the refusal curve …")
    with cancel_on_interrupt() as cancel, eval_vectors.shown() as say:
        try:
            found = refusals(context, verdict.questions, names, cancel, say)
        except NotFoundError:
            return None
    if found is None:
        raise CancelledError("Stopped. No report was written.")
    return found


@click.command()
@click.argument("set_name", metavar="[SET]", default="")
@click.option(
    "--measure", default="", metavar="NAME", help="Measure to show: contains, f1, exact or rouge_l."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def history(context: Context, set_name: str, measure: str, as_json: bool) -> None:
    """Show how scores changed from run to run, and what changed in between."""
    from ragchat.evaluation.inputs import changes
    from ragchat.evaluation.verdict import judge, percent

    _check_measure(measure)
    library = evaluations.runs(context)
    found = [one for one in library.all() if set_name in ("", one.set_name)]
    if not found:
        raise _no_run(set_name)
    rows: list[dict[str, Any]] = []
    before: dict[str, Run] = {}
    for one in found:
        verdict = judge(one, library.answers(one.id), primary=measure)
        earlier = before.get(one.set_name)
        before[one.set_name] = one
        rows.append(
            {
                "run": one.id,
                "set": one.set_name,
                "started_at": one.started_at,
                "finished": bool(one.finished_at),
                "questions": len(verdict.questions),
                "measure": verdict.primary,
                "figures": {
                    arm: round(own[verdict.primary].mean, 4) for arm, own in verdict.table.items() if own
                },
                "winner": verdict.winner or None,
                "changed": changes(earlier.inputs, one.inputs) if earlier else [],
            }
        )
    if as_json:
        data({"runs": rows}, indent=2)
        return
    for row in rows:
        shown = ", ".join(f"{arm} {percent(value)}" for arm, value in row["figures"].items())
        part = "" if row["finished"] else ", not finished"
        click.echo(
            f"{row['started_at'][:16].replace('T', ' ')}  {clean_line(row['run'])}"
            f"  {counted(row['questions'], 'question')}{part}  {row['measure']}: {shown}"
        )
        if row["changed"]:
            click.echo(f"    changed since the previous run: {'; '.join(row['changed'])}")
    if own := [one for one in found if not one.set_name.endswith(WATCHED)]:
        _say_stale(evaluations.stale(context, own[-1]))


@click.command()
@click.argument("set_name", metavar="[SET]", default="")
@click.option(
    "--sample",
    type=click.IntRange(6),
    default=24,
    show_default=True,
    help="Number of questions to ask again.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def watch(context: Context, set_name: str, sample: int, as_json: bool) -> None:
    """Ask a small fixed sample of the newest run again with your current settings, and warn if answers became measurably worse.

    Use it after a sync, a training or a change of settings. Exits with code 10 on a regression.
    """
    from ragchat.evaluation.watching import compare, sample_of

    library = evaluations.runs(context)
    old = _chosen(context, set_name, "", finished=True)
    if old.set_name.endswith(WATCHED):
        raise _no_run(set_name)
    small = sample_of(old, library.answers(old.id), sample)
    outdated = evaluations.stale(context, old)
    try:
        new = evaluations.fresh(context, old, small, f"{old.set_name}{WATCHED}")
    except RagchatError as error:
        raise EvaluationError(f"The questions cannot be asked again: {error}", error.remedy) from error
    note(
        f"{counted(len(small), 'question')} of {clean_line(old.set_name)}, {counted(len(old.arms), 'configuration')};"
        f" {'; '.join(outdated) or 'nothing has changed'}."
    )
    with cancel_on_interrupt() as cancel:
        for _ in evaluations.perform(context, evaluations.again(new), new, cancel):
            pass
    found = compare(old, library.answers(old.id), library.answers(new.id), small)
    if as_json:
        data({"run": old.id, "changed": outdated, "ways": [asdict(one) for one in found]}, indent=2)
    for one in found:
        if not as_json:
            click.echo(one.sentence)
    if worse := [one for one in found if one.regression]:
        raise EvaluationError(
            f"Answers are worse than before: {', '.join(one.arm for one in worse)}.",
            f"Changed since: {'; '.join(outdated) or 'nothing known'}."
            f" `ragchat eval run {clean_line(old.set_name)}` measures again.",
        )


# --- what they share ----------------------------------------------------------------------------------


def _verdict(context: Context, made: Run, measure: str, size: float) -> Verdict:
    from ragchat.evaluation.verdict import judge

    return judge(made, evaluations.runs(context).answers(made.id), primary=measure, size=size)


def _chosen(context: Context, set_name: str, run_id: str, *, finished: bool = False) -> Run:
    found = [
        one
        for one in evaluations.runs(context).all()
        if (run_id in ("", one.id))
        and (set_name in ("", one.set_name))
        and (run_id or not one.set_name.endswith(WATCHED))
        and (one.finished_at or not finished)
    ]
    if not found and run_id:
        raise NotFoundError(f"There is no run {clean_line(run_id)!r}.", "`ragchat eval history` lists them.")
    if not found:
        raise _no_run(set_name)
    return found[-1]


def _no_run(set_name: str) -> NotFoundError:
    of = f" of {clean_line(set_name)}" if set_name else ""
    return NotFoundError(
        f"There are no runs{of} yet.",
        "Start one with `ragchat eval run SET`. `ragchat eval questions list` shows the sets.",
    )


def _check_measure(measure: str) -> None:
    from ragchat.evaluation.verdict import PRIMARY

    if measure and measure not in PRIMARY:
        raise UsageError(
            f"{clean_line(measure)} is not a deciding measure.", f"Available: {', '.join(PRIMARY)}."
        )


def _gate(text: str) -> tuple[str, str, float]:
    """(arm or empty, measure, least value)."""
    from ragchat.evaluation.four_ways import ARMS
    from ragchat.evaluation.verdict import LOWER_IS_BETTER, MEASURES, SHARES

    known = [name for name in (*MEASURES, *SHARES) if name not in LOWER_IS_BETTER]
    name, _, value = text.partition("=")
    arm, _, measure = name.rpartition(":")
    try:
        least = float(value)
    except ValueError:
        least = -1.0
    if measure not in known or (arm and arm not in ARMS) or not 0 <= least <= 1:
        raise UsageError(
            f"{clean_line(text)} is not a valid target.",
            f"Write [ARM:]NAME=X with X from 0 to 1. Names: {', '.join(known)}. Configurations (ARM): {', '.join(ARMS)}.",
        )
    return arm, measure, least


def _check_gates(verdict: Verdict, gates: Sequence[tuple[str, str, float]]) -> None:
    """Without a named way the best one with a model counts. Raises EvaluationError."""
    missed = []
    for arm, measure, least in gates:
        found = {
            name: own[measure].mean
            for name, own in verdict.table.items()
            if measure in own and (name in verdict.arms if not arm else name == arm)
        }
        best = max(found.values(), default=0.0)
        if best < least:
            missed.append(f"{arm + ' ' if arm else ''}{measure} is {best:.3f}, below {least:g}")
    if missed:
        raise EvaluationError(f"{'; '.join(missed)}.")


def _say_stale(outdated: Sequence[str]) -> None:
    if outdated:
        note(
            f"This verdict is out of date. Changed since: {'; '.join(outdated)}. `ragchat eval run` measures again."
        )


def _print(verdict: Verdict) -> None:
    for line in _table(verdict):
        click.echo(line)
    click.echo()
    for difference in (*verdict.differences, *verdict.over_documents):
        interval = difference.interval
        click.echo(
            f"{difference.one} − {difference.other}: {interval.mean:+.3f} ({interval.low:+.3f} to {interval.high:+.3f}),"
            f" p = {difference.p:.4f}, adjusted {difference.adjusted:.4f}{'  measurable' if difference.shown else ''}"
        )
    click.echo()
    for sentence in verdict.says:
        click.echo(clean_line(sentence, limit=2000))
    for step in verdict.next_steps:
        click.echo(f"→ {clean_line(step, limit=2000)}")


def _table(verdict: Verdict) -> Iterator[str]:
    """The figures in 80 columns: with more than three configurations, intervals are in a line of their own."""
    from ragchat.evaluation.verdict import LABELS

    arms = verdict.run.arms
    wide = _LABEL + _WIDE * len(arms) < _SCREEN
    widths = [_WIDE if wide else max(_NARROW, len(arm) + 1) for arm in arms]

    def row(label: str, cells: Sequence[str]) -> str:
        aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        return f"{label:{_LABEL}}{''.join(aligned)}".rstrip()

    yield row("", arms)
    for measure, meaning in LABELS.items():
        found = [verdict.table[arm].get(measure) for arm in arms]
        if any(found):
            means = [_share(one.mean) if one else "" for one in found]
            between = [f"{_share(one.low)}–{_share(one.high)}" if one else "" for one in found]
            if wide:
                both = zip(means, between, strict=True)
                yield row(meaning, [f"{mean} ({low_high})" if mean else "" for mean, low_high in both])
            else:
                yield row(meaning, means)
                yield row("", between)
    for what, of, digits in (
        ("words per answer", "words", 0),
        ("time to the first word, s", "ttft_s", 2),
        ("time to the whole answer, s", "seconds", 2),
        ("prompt length, tokens", "prompt_tokens", 0),
    ):
        values = [getattr(verdict.prices[arm], of) for arm in arms]
        if any(values):
            yield row(what, [f"{value:.{digits}f}" if value else "" for value in values])


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"


def figures(verdict: Verdict) -> dict[str, Any]:
    """All of it for scripts."""
    return {
        "run": verdict.run.id,
        "set": verdict.run.set_name,
        "inputs": verdict.run.inputs,
        "questions": len(verdict.questions),
        "left_out": list(verdict.run.left_out),
        "measure": verdict.primary,
        "ways": {
            arm: {name: asdict(interval) for name, interval in own.items()}
            for arm, own in verdict.table.items()
        },
        "differences": [_difference(found) for found in verdict.differences],
        "over_documents": [
            {**_difference(found), "measure": found.measure} for found in verdict.over_documents
        ],
        "checks": {
            arm: asdict(counts) | {"statements": counts.statements} for arm, counts in verdict.checks.items()
        },
        "best": list(verdict.best),
        "winner": verdict.winner or None,
        "by_tag": {tag: {arm: asdict(i) for arm, i in own.items()} for tag, own in verdict.by_tag.items()},
        "prices": {arm: asdict(price) for arm, price in verdict.prices.items()},
        "verdict": list(verdict.says),
        "next_steps": list(verdict.next_steps),
    }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "one": found.one,
        "other": found.other,
        **asdict(found.interval),
        "p": found.p,
        "p_adjusted": found.adjusted,
        "shown": found.shown,
        "questions_needed": found.needed,
    }


def _judge(context: Context, made: Run, judge_model: str) -> None:
    """Let a model judge, and say how well it agrees with the exact measures."""
    from ragchat.evaluation.four_ways import DOCUMENTS
    from ragchat.evaluation.judging import agreement, judge_all
    from ragchat.llm.loading import loaded

    library = evaluations.runs(context)
    with contextlib.closing(build.model(context, judge_model)) as model, cancel_on_interrupt() as cancel:
        judge = loaded(model, cancel)
        answers = [answer for answer in library.answers(made.id) if answer.arm != DOCUMENTS]
        judged = dict(judge_all(judge, made.questions, answers, cancel=cancel))
        if cancel.cancelled:
            raise CancelledError("Stopped. The answers are kept, but the judgements are not.")
        found = agreement(made.questions, answers, judged)
    note(
        f"{clean_line(model.selected)} judged {counted(found.judged, 'answer')} and agrees with “contains the expected answer” in"
        f" {found.share:.0%} (kappa {found.kappa:.2f}). Right by its judgement: "
        + ", ".join(f"{arm} {share:.0%}" for arm, share in found.by_arm.items())
        + "."
    )
