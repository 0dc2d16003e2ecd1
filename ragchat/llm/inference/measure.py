"""`python -m ragchat.llm.inference.measure JOB`: measures one model file in a process of its own, so that a file that ends
llama.cpp ends nothing else. Writes messages of `ragchat.llm.measured`, one JSON object a line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from ragchat.llm.inference import tuning
from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.context import Context, Tuning
from ragchat.llm.inference.model import Model
from ragchat.llm.measured import Chosen, Failure, Job, Message, Reading, Trial, Tried
from ragchat.llm.profile import Profile

_N_CTX = 1024
_SKIPPED = 16
"""The first tokens of the text, which no model can foresee."""


def main(job: str) -> int:
    """Do it. 0, or 1 when llama.cpp cannot."""
    try:
        _measure(msgspec.json.decode(job, type=Job))
    except LlamaError as error:
        _tell(Failure(str(error)))
        return 1
    return 0


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


def _measure(job: Job) -> None:
    abort = AbortFlag()
    model = Model(job.path, abort=abort, on_progress=lambda _: None)
    text = Path(job.text).read_text(encoding="utf-8")

    def tried(fraction: float, trials: Sequence[Trial]) -> None:
        _tell(Tried(fraction, tuple(trials)))

    present = _tuning(job.present) if job.present else None
    n_batch = (job.present and job.present.n_batch) or job.n_batch
    if job.thorough:
        present, n_batch = tuning.thorough(
            *(model, abort, n_batch, present),
            alike=lambda one, other: _alike(_read(model, abort, one, text), _read(model, abort, other, text)),
            batches=job.batches,
            on_trials=tried,
        )
    assert present is not None
    _tell(_read(model, abort, present, text))
    rival = Model(job.rival, abort=abort, on_progress=lambda _: None) if job.rival else None
    cost, *other = tuning.rates([model, *([rival] if rival else [])], abort, n_batch, present)
    _tell(
        Chosen(
            Profile(
                n_threads=present.n_threads,
                n_threads_batch=present.n_threads_batch,
                flash_attention=present.flash_attention,
                prefill_tok_s=round(1 / cost.deep, 1),
                decode_tok_s=round(1 / cost.write, 1),
                measured_at="",
                n_batch=n_batch,
                kv_type=present.kv_type,
                lookup_costs=present.lookup_costs,
                thorough=job.thorough,
                busy=present.busy,
            ),
            (1 / other[0].deep, 1 / other[0].write) if other else (0.0, 0.0),
        )
    )


def _tuning(profile: Profile) -> Tuning:
    return Tuning(
        profile.n_threads, profile.n_threads_batch, profile.flash_attention, kv_type=profile.kv_type
    )


def _read(model: Model, abort: AbortFlag, settings: Tuning, text: str) -> Reading:
    """What the model makes of the text."""
    tokens = model.tokenize(text, special=False, add_bos=True)[: _N_CTX - 8]
    context = Context(model, _N_CTX, 128, settings, abort)
    wanted = range(_SKIPPED, len(tokens) - 1)
    first, nll = [], 0.0
    try:
        for at, row in zip(wanted, context.logits(tokens[:-1], wanted), strict=True):
            wide = row.astype(np.float64)
            top = wide.max()
            nll += float(top + np.log(np.exp(wide - top).sum()) - wide[tokens[at + 1]])
            first.append(int(wide.argmax()))
    finally:
        context.close()
    return Reading(tuple(first), nll)


def _alike(one: Reading, other: Reading) -> bool:
    return one.agreement(other) >= 0.98 and other.perplexity <= 1.01 * one.perplexity


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
