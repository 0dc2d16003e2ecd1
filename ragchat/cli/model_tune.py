"""`ragchat model tune`: how a model runs best on this machine, and a faster copy of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from ragchat.app import models
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.text import clean_line, counted, human_bytes, human_seconds
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.llm.measured import Trial
    from ragchat.llm.profile import Profile
    from ragchat.llm.tune import Copy, Tuned


@click.command()
@click.argument("name", default="")
@click.option(
    "--no-copies", is_flag=True, help="Measure the settings only, not whether a copy would be faster."
)
@click.option(
    "--make", "type_name", default="", metavar="TYPE", help="Make a copy in this type: Q8_0 or Q4_0."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_context
def tune(context: Context, name: str, no_copies: bool, type_name: str, as_json: bool) -> None:
    """Measure how the model NAME runs best on this machine. Every later load uses the result.

    It tries thread counts, flash attention, batch sizes and types of keys and values. If the numbers of the model are of
    a type that this processor may read slowly, it also measures temporary copies in faster types and deletes them.
    Default: the model in use. Ctrl-C stops it and changes nothing.
    """
    with cancel_on_interrupt() as cancel:
        if type_name:
            _make(context, name, type_name, cancel)
            return
        with _progress() as progress:
            tuned = models.tune(context, name, progress, cancel, copies=not no_copies)
    if as_json:
        data(_json(tuned), indent=1)
        return
    _print(tuned, name)


def _make(context: Context, name: str, type_name: str, cancel: CancelToken) -> None:
    made = models.make_copy(context, name, type_name, cancel)
    click.echo(f"{clean_line(made.stem)}  {clean_line(str(made))}")
    note(
        f"Use it: `ragchat config set model.name {clean_line(made.stem)}`. Adapters belong to the file they were "
        "trained on, so those of the original do not fit the copy."
    )


def _json(tuned: Tuned) -> dict[str, object]:
    import msgspec

    return {**msgspec.to_builtins(tuned), "offers": list(tuned.offers)}


def _print(tuned: Tuned, name: str) -> None:
    rows = [_trial_row(trial) for trial in tuned.trials]
    _table([("tried", "", "reads tok/s", "writes tok/s", "CPU s", ""), *rows])
    click.echo()
    if tuned.before is not None:
        click.echo(f"Before: {_settings(tuned.before)}")
    click.echo(f"Chosen: {_settings(tuned.profile)}")
    for sentence in tuned.why:
        click.echo(f"  {sentence}")
    if tuned.copies:
        _print_copies(tuned, name)


def _trial_row(trial: Trial) -> tuple[str, ...]:
    rates = (_rate(trial.prefill_tok_s), _rate(trial.decode_tok_s))
    return (trial.setting, trial.value, *rates, f"{trial.cpu_s:.1f}", "chosen" if trial.chosen else "")


def _print_copies(tuned: Tuned, name: str) -> None:
    click.echo()
    rate = tuned.profile
    own = (f"{tuned.type_name} (this file)", human_bytes(tuned.size_bytes), _rate(rate.prefill_tok_s))
    rows: list[tuple[str, ...]] = [(*own, _rate(rate.decode_tok_s), "", f"{tuned.perplexity:.2f}", "")]
    rows += [_copy_row(copy) for copy in tuned.copies]
    _table([("type", "size", "reads tok/s", "writes tok/s", "agreement", "perplexity", ""), *rows])
    click.echo(
        "  A copy is made from this file, so it loses a little more than one made from the original weights would."
    )
    offered = [copy for copy in tuned.copies if copy.offered]
    for copy, sentence in zip(offered, tuned.offers, strict=True):
        click.echo(
            f"{sentence} Make it? `ragchat model tune {clean_line(name or tuned.name)} --make {copy.type_name}`"
        )


def _copy_row(copy: Copy) -> tuple[str, ...]:
    if not copy.prefill_tok_s:
        return (copy.type_name, human_bytes(copy.size_bytes), "", "", "", "", clean_line(copy.reason))
    rates = (_rate(copy.prefill_tok_s), _rate(copy.decode_tok_s))
    quality = (f"{copy.agreement:.0%}", f"{copy.perplexity:.2f}")
    return (copy.type_name, human_bytes(copy.size_bytes), *rates, *quality, copy.reason)


def _settings(found: Profile) -> str:
    threads = f"{counted(found.n_threads_batch, 'thread')} to read, {found.n_threads} to write"
    flash = "on" if found.flash_attention else "off"
    batch = f", batch {found.n_batch}" if found.n_batch else ""
    rates = f"reads {found.prefill_tok_s:.0f}, writes {found.decode_tok_s:.0f} tokens/s"
    return f"{threads}, flash attention {flash}{batch}, keys and values {found.kv_type}; {rates}"


def _rate(tokens: float) -> str:
    return f"{tokens:.0f}" if tokens else ""


def _table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@contextmanager
def _progress() -> Iterator[Callable[[float, float | None, str], None]]:
    """Draws on standard error; a line every ten per cent where that is no terminal."""
    told = -1

    def show(done: float, left_s: float | None, doing: str) -> None:
        nonlocal told
        left = f", {human_seconds(left_s)} left" if left_s is not None else ""
        if interactive():
            sys.stderr.write(f"\r\x1b[K{doing} {done:.0%}{left}")
            sys.stderr.flush()
        elif int(done * 10) > told:
            told = int(done * 10)
            note(f"{doing} {done:.0%}{left}")

    try:
        yield show
    finally:
        if interactive():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
