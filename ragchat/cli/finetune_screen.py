"""How a run looks in the terminal: what is being done, loss and held-out loss as curves, rate, time left, memory."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ragchat.cli.context import note
from ragchat.finetune import wire
from ragchat.finetune.run import DataReady, Learned, Planned, RunEvent, Stage
from ragchat.text import clean_line, counted, curve, human_bytes, human_seconds

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_WIDTH = 60
_REJECTED_SHOWN = 5
_ANSWERS_SHOWN = 5
_PLAIN_EVERY = 20
"""Steps between two lines where nothing can be drawn."""


class ProgressDisplay:
    """Draws on standard error. `live`: a terminal is there, so it is drawn over; else lines."""

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self._screen: Live | None = None
        self._drawing = threading.Lock()
        self._doing = ""
        self._losses: list[float] = []
        self._held_out: list[tuple[int, float]] = []
        self._last: wire.Stepped | None = None

    def __enter__(self) -> ProgressDisplay:
        if self.live:
            from rich.console import Console
            from rich.live import Live

            self._screen = Live(
                self._picture(), console=Console(stderr=True), refresh_per_second=4, transient=True
            )
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._screen:
            self._screen.stop()

    def stage(self, doing: str) -> None:
        """Something else is being done."""
        self._doing = doing
        if self.live:
            self._draw()
        else:
            note(f"{doing} …")

    def ask(self, question: str) -> str:
        """What the user answers; the picture stands still meanwhile."""
        with self._drawing:
            if self._screen:
                self._screen.stop()
            click.echo(question, err=True, nl=False)
            said = sys.stdin.readline()
            if self._screen:
                self._screen.start()
        return said

    def show(self, event: RunEvent) -> Learned | wire.Timed | None:  # noqa: C901
        """Draw what an event says; the event itself when it is the last."""
        match event:
            case Stage(doing=doing, fraction=None):
                self.stage(doing)
            case Stage(doing=doing, fraction=fraction, eta_s=eta_s):
                self._doing = f"{doing} {_share_done(fraction, eta_s)}"
                self._draw()
            case DataReady():
                for line in _data_lines(event):
                    self._say(line)
            case Planned():
                for line in _plan_lines(event):
                    self._say(line)
            case wire.Converting(stage=stage, fraction=fraction):
                self._doing = f"{stage} {fraction * 100:.0f} %"
                self._draw()
            case wire.Started():
                reason = f" ({clean_line(event.engine_reason)})" if event.engine_reason else ""
                resumed = f"; continuing from step {event.resumed_at}" if event.resumed_at else ""
                self._say(
                    f"{event.engine}{reason}, {event.trainable_params / 1e6:.1f} million parameters, {event.total_steps}"
                    f" steps{resumed}."
                )
            case wire.Stepped():
                self._step(event)
            case wire.Measured(step=step, loss=loss):
                self._held_out.append((step, loss))
                if not self.live:
                    note(f"step {step}: held-out loss {loss:.4f}")
            case wire.Paused(step=step):
                self._doing = f"paused after step {step}; a checkpoint is written"
                self._draw()
            case wire.Resumed():
                self._doing = "training"
            case wire.Done():
                ended = {"early": "held-out loss no longer falls", "cancelled": "stopped"}.get(
                    event.reason, ""
                )
                self._say(
                    f"{counted(event.step, 'step')} in {human_seconds(event.seconds)}, at most {event.peak_rss_mib} MiB"
                    + (f"; {ended}, the best was step {event.best_step}." if ended else ".")
                )
            case Learned() | wire.Timed():
                return event
        return None

    def summary(self, ended: Learned | wire.Timed) -> Iterator[str]:
        """What came of it, for standard output."""
        if isinstance(ended, wire.Timed):
            yield (
                f"{ended.step_s:.2f} s per step with {ended.engine}: {counted(ended.total_steps, 'step')} take about"
                f" {human_seconds(ended.step_s * ended.total_steps)}, at most {ended.peak_rss_mib} MiB of memory."
            )
            return
        manifest = ended.manifest
        yield f"The adapter {manifest.name} is in {ended.folder}."
        if ended.after.answers:
            yield (
                f"Held-out questions answered correctly: {ended.before.share * 100:.0f} % before,"
                f" {ended.after.share * 100:.0f} % after ({counted(len(ended.after.answers), 'question')})."
            )
        checks = manifest.checks
        if lost := checks.get("forgetting"):
            yield (
                f"Plain prose: perplexity {lost['perplexity_before']:.2f} before, {lost['perplexity_after']:.2f} after;"
                f" general questions {lost['general_questions_before'] * 100:.0f} % and"
                f" {lost['general_questions_after'] * 100:.0f} %."
            )
        if same := checks.get("parity"):
            yield (
                f"In llama.cpp: held-out loss {same['loss']:.4f} (trained: {same['loss_trained']:.4f}, without the adapter"
                f" {same['loss_off']:.4f}); {same['answers_equal']} of {same['answers']} answers match the"
                " trained weights word for word."
            )
        for answer in manifest.answers[:_ANSWERS_SHOWN]:
            yield f"  {clean_line(answer['question'], limit=100)}"
            yield f"    before: {clean_line(answer['before'], limit=120)}"
            yield f"    after:  {clean_line(answer['after'], limit=120)}"
        for warning in ended.warnings:
            yield f"Warning: {warning}"
        yield f'`ragchat ask --adapter {manifest.name} "…"` uses it. In a chat, press Alt+A to turn it on.'

    def _step(self, event: wire.Stepped) -> None:
        self._doing, self._last = "training", event
        self._losses.append(event.loss)
        if self.live:
            self._draw()
        elif event.step % _PLAIN_EVERY == 0 or event.step == event.total_steps:
            note(_step_line(event))

    def _say(self, line: str) -> None:
        with self._drawing:
            if self._screen:
                self._screen.console.print(line, markup=False, highlight=False)
            else:
                note(line)

    def _draw(self) -> None:
        if self._screen and self._drawing.acquire(blocking=False):
            try:
                self._screen.update(self._picture())
            finally:
                self._drawing.release()

    def _picture(self) -> RenderableType:
        from rich.text import Text

        lines = [self._doing or "beginning"]
        if self._last:
            event = self._last
            share = event.step / max(1, event.total_steps)
            filled = int(share * _WIDTH)
            lines = [
                f"{'━' * filled}{'╌' * (_WIDTH - filled)} {share * 100:3.0f} %",
                _step_line(event),
                f"loss      {curve(self._losses, _WIDTH)}",
            ]
            if self._held_out:
                steps = ", ".join(f"{loss:.3f}" for _, loss in self._held_out[-6:])
                lines.append(f"held out  {curve([loss for _, loss in self._held_out], _WIDTH)} {steps}")
            lines.append(f"{self._doing} · Ctrl-C pauses")
        return Text("\n".join(lines))


def _step_line(event: wire.Stepped) -> str:
    return (
        f"step {event.step} of {event.total_steps} · loss {event.loss:.4f} · {event.tokens_s:.0f} tokens/s"
        f" · {event.step_s:.2f} s/step · {human_seconds(event.eta_s)} left · {event.rss_mib} MiB"
    )


def _share_done(fraction: float | None, eta_s: float | None) -> str:
    left = f", {human_seconds(eta_s)} left" if eta_s is not None else ""
    return f"{(fraction or 0.0) * 100:.0f} %{left}"


def _data_lines(event: DataReady) -> Iterator[str]:
    parts = event.split
    sources = ", ".join(f"{clean_line(name)} {count}" for name, count in event.counts["by_source"].items())
    yield f"{len(parts.training)} training examples ({sources}), {len(parts.held_out)} held out."
    for count, what in (
        (parts.repeated, "duplicates removed"),
        (len(parts.left_out), "left out as near-duplicates of evaluation questions"),
        (event.too_long, "left out as too long (--max-tokens)"),
        (len(event.rejected), "rows rejected:"),
    ):
        if count:
            yield f"{count} {what}"
    for row in event.rejected[:_REJECTED_SHOWN]:
        place = f" line {row.line}" if row.line else ""
        yield f"  {clean_line(row.source)}{place}: {clean_line(row.reason)}"
    if (more := len(event.rejected) - _REJECTED_SHOWN) > 0:
        yield f"  and {more} more"


def _plan_lines(event: Planned) -> Iterator[str]:
    plan, recipe = event.budget, event.recipe
    yield (
        f"{recipe.mode}: rank {recipe.lora_rank}, alpha {recipe.lora_alpha}, learning rate {recipe.learning_rate:g},"
        f" {recipe.epochs:g} epochs, batch {recipe.batch_size}, {counted(plan.tokens, 'token')}, the longest {plan.longest}."
    )
    yield (
        f"{counted(plan.steps, 'step')}; about {human_bytes(plan.memory_bytes)} of memory"
        f" ({human_bytes(plan.memory_free)} can be used),"
        f" {human_bytes(plan.disk_bytes)} of disk ({human_bytes(plan.disk_free)} free)."
    )
    if event.resumed:
        yield "Continuing an unfinished run of the same job."
