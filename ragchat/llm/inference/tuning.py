"""How a model runs best on this machine: a short measurement at the first load, and a thorough one on demand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import llama_cpp as lib

from ragchat.llm.inference import lookup
from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.context import BLOCK, FLASH_BLOCK, Context, Tuning
from ragchat.llm.inference.model import Model
from ragchat.llm.measured import Trial
from ragchat.llm.profile import is_busy

_N_CTX = 1024
_QUESTION = 26
"""Tokens of a question, which are read behind the passages."""
_GAIN = 0.97
"""What is measured differs by 3 % from one time to the next: less is no reason to change."""
_ROUNDS = 3
_BATCHES = (128, 256, 512, 1024)


@dataclass(frozen=True, slots=True)
class Cost:
    """The shortest times of a setting, in seconds per token: a long text, a question behind it, an answer. `cpu_s`: of all."""

    deep: float
    short: float
    write: float
    cpu_s: float
    flash: bool = False

    @property
    def wait_s(self) -> float:
        """How long you wait for a usual answer: most of its prompt is read before the question is sent, the question and half
        a block are not.
        """
        block = FLASH_BLOCK if self.flash else BLOCK
        return 300 * self.deep + (_QUESTION + block / 2) * self.short + 128 * self.write


class Others:
    """What other programs use of the processor from now on."""

    def __init__(self) -> None:
        self._began = self._now()

    @property
    def busy(self) -> bool:
        """Whether it was more than a quarter."""
        all_s, used_s, own_s = (now - then for now, then in zip(self._now(), self._began, strict=True))
        return used_s - own_s > 0.25 * all_s

    @staticmethod
    def _now() -> tuple[float, float, float]:
        import psutil

        times = psutil.cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        return sum(times[:8]), sum(times[:8]) - idle, time.process_time()


def tune(
    model: Model,
    abort: AbortFlag,
    n_batch: int,
    *,
    threads: int,
    threads_batch: int,
    flash: str,
    on_progress: Callable[[float], None],
) -> Tuning:
    """Choose what is 0 or empty by a short measurement: threads first, then flash attention at some depth.

    Few threads win when more gain less than 3 %: the machine has other things to do. Flash attention is judged by reading
    a passage and writing an answer at a depth where its cost shows (it helps some models on a CPU and halves others).
    """
    others, candidates = Others(), thread_candidates(busy=is_busy())
    tuning = Tuning(threads or candidates[0], threads_batch or candidates[0], flash == "on")
    costs = _race_threads(model, abort, n_batch, tuning, candidates, 64, 1)
    on_progress(0.4)
    prefill = {n: cost.deep for n, cost in costs.items()}
    decode = {n: cost.write for n, cost in costs.items()}
    tuning = replace(
        tuning, n_threads=threads or _fewest(decode), n_threads_batch=threads_batch or _fewest(prefill)
    )
    depth = max(64, min(448, int(1.5 / min(prefill.values())) // 64 * 64))
    tried = [replace(tuning, flash_attention=on) for on in ([flash == "on"] if flash else [False, True])]
    found: dict[Tuning, Cost] = {}
    for number, one in enumerate(tried):
        [found[one]] = _race(model, abort, n_batch, [one], depth, 1)
        on_progress(0.4 + 0.3 * (number + 1))
    best = tried[_better([found[one].wait_s for one in tried])]
    return replace(
        best,
        measured=True,
        busy=others.busy,
        prefill_tok_s=1 / found[best].deep,
        decode_tok_s=1 / found[best].write,
    )


def thorough(
    model: Model,
    abort: AbortFlag,
    n_batch: int,
    present: Tuning | None,
    *,
    alike: Callable[[Tuning, Tuning], bool],
    batches: Sequence[int] = _BATCHES,
    on_trials: Callable[[float, Sequence[Trial]], None],
) -> tuple[Tuning, int]:
    """The best settings, and the best batch of `batches`; ties keep the `present` ones. Raises LlamaError.

    `on_trials` gets how far it is and what was measured; `alike` compares what the model says with two settings. Candidates
    take turns, so that what else the machine does hits all of them. Not tried: keys and values as q8_0 without flash
    attention, since llama.cpp reads such values no other way; batches longer than what a slow model reads in a second.
    """
    others = Others()
    candidates = thread_candidates(busy=is_busy())
    now = present or Tuning(candidates[-1], candidates[-1], False)
    now = replace(now, kv_type="f16", lookup_costs=())
    first = _race_threads(model, abort, n_batch, now, candidates, 64, 1)
    depth = max(64, min(768, int(1.5 / min(cost.deep for cost in first.values())) // 64 * 64))
    costs = _race_threads(model, abort, n_batch, now, candidates, depth, _ROUNDS)
    now = replace(
        now,
        n_threads=_fewest({n: cost.write for n, cost in costs.items()}),
        n_threads_batch=_fewest({n: cost.deep for n, cost in costs.items()}),
    )
    used = (now.n_threads, now.n_threads_batch)
    on_trials(0.3, [_trial("threads", str(n), cost, n in used) for n, cost in costs.items()])
    tried = [replace(now, flash_attention=on) for on in (now.flash_attention, not now.flash_attention)]
    flashes = _race(model, abort, n_batch, tried, depth, _ROUNDS)
    best = _better([cost.wait_s for cost in flashes])
    now, cost = tried[best], flashes[best]
    on_trials(
        0.55,
        [
            _trial("flash attention", "on" if one.flash_attention else "off", each, one is now)
            for one, each in zip(tried, flashes, strict=True)
        ],
    )
    if now.flash_attention:
        now, cost = _kv_type(model, abort, n_batch, now, depth, alike, on_trials)
    n_batch = _batch(model, abort, n_batch, now, depth, batches, on_trials)
    now = replace(now, lookup_costs=_lookup_costs(model, abort, n_batch, now, min(depth, 512)))
    on_trials(1.0, [])
    chosen = replace(now, measured=True, busy=others.busy)
    return replace(chosen, prefill_tok_s=1 / cost.deep, decode_tok_s=1 / cost.write), n_batch


def _lookup_costs(
    model: Model, abort: AbortFlag, n_batch: int, tuning: Tuning, depth: int
) -> tuple[tuple[int, float], ...]:
    context = Context(model, _N_CTX, n_batch, tuning, abort)
    try:
        _timed(context, _sample(depth), 1)
        return tuple(lookup.batch_costs(context).items())
    finally:
        context.close()


def _kv_type(
    model: Model,
    abort: AbortFlag,
    n_batch: int,
    now: Tuning,
    depth: int,
    alike: Callable[[Tuning, Tuning], bool],
    on_trials: Callable[[float, Sequence[Trial]], None],
) -> tuple[Tuning, Cost]:
    """Keys and values as f16, or as q8_0 where that is faster and says the same."""
    tried = [replace(now, kv_type=name) for name in ("f16", "q8_0")]
    costs = _race(model, abort, n_batch, tried, depth, _ROUNDS)
    best = _better([cost.wait_s for cost in costs])
    if best and not alike(*tried):
        best = 0
    on_trials(
        0.7,
        [
            _trial("keys and values", one.kv_type, each, one is tried[best])
            for one, each in zip(tried, costs, strict=True)
        ],
    )
    return tried[best], costs[best]


def _batch(
    model: Model,
    abort: AbortFlag,
    n_batch: int,
    now: Tuning,
    depth: int,
    batches: Sequence[int],
    on_trials: Callable[[float, Sequence[Trial]], None],
) -> int:
    """The best of `n_batch` and the `batches` that a text of `depth` tokens fills."""
    sizes = [n_batch, *(size for size in batches if size != n_batch and size <= depth)]
    times: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
    for _ in range(_ROUNDS):
        for size in sizes:
            context = Context(model, _N_CTX, size, now, abort)
            try:
                times[size].append(_read(context, _sample(depth), size))
            finally:
                context.close()
    best = sizes[_better([min(times[size])[0] for size in sizes])]
    on_trials(
        0.95,
        [
            Trial("batch", str(size), depth / min(found)[0], 0.0, min(found)[1], size == best)
            for size, found in times.items()
        ],
    )
    return best


def _trial(setting: str, value: str, cost: Cost, chosen: bool) -> Trial:
    return Trial(setting, value, 1 / cost.deep, 1 / cost.write, cost.cpu_s, chosen)


def _race_threads(
    model: Model,
    abort: AbortFlag,
    n_batch: int,
    tuning: Tuning,
    candidates: list[int],
    depth: int,
    rounds: int,
) -> dict[int, Cost]:
    found: dict[int, list[Cost]] = {n: [] for n in candidates}
    context = Context(model, _N_CTX, n_batch, tuning, abort)
    try:
        _timed(context, _sample(16), 1)
        for _ in range(rounds):
            for n in candidates:
                lib.llama_set_n_threads(context.pointer, n, n)
                found[n].append(_cost(context, depth))
    finally:
        context.close()
    return {n: _best(costs) for n, costs in found.items()}


def _race(
    model: Model, abort: AbortFlag, n_batch: int, tried: Sequence[Tuning], depth: int, rounds: int
) -> list[Cost]:
    """The cost of each, measured in turn."""
    found: list[list[Cost]] = [[] for _ in tried]
    for _ in range(rounds):
        for costs, tuning in zip(found, tried, strict=True):
            context = Context(model, _N_CTX, n_batch, tuning, abort)
            try:
                costs.append(replace(_cost(context, depth), flash=tuning.flash_attention))
            finally:
                context.close()
    return [_best(costs) for costs in found]


def rates(models: Sequence[Model], abort: AbortFlag, n_batch: int, tuning: Tuning) -> list[Cost]:
    """The cost of each of some models with these settings, measured in turn. Raises LlamaError."""
    found: list[list[Cost]] = [[] for _ in models]
    depth = 64
    for number in range(_ROUNDS + 1):
        for costs, model in zip(found, models, strict=True):
            costs += _race(model, abort, n_batch, [tuning], depth, 1)
        if number == 0:  # which tells how much is bearable
            slowest = max(costs[0].deep for costs in found)
            depth, found = max(64, min(448, int(1.5 / slowest) // 64 * 64)), [[] for _ in models]
    return [_best(costs) for costs in found]


def _best(costs: Sequence[Cost]) -> Cost:
    """What is measured is too long when something else runs, never too short."""
    return replace(
        costs[0],
        deep=min(cost.deep for cost in costs),
        short=min(cost.short for cost in costs),
        write=min(cost.write for cost in costs),
        cpu_s=min(cost.cpu_s for cost in costs),
    )


def _cost(context: Context, depth: int) -> Cost:
    cpu = time.process_time()
    deep, _ = _timed(context, _sample(depth), 1)
    short, write = _timed(context, _sample(_QUESTION), 8, fresh=False)
    return Cost(1 / deep, 1 / short, 1 / write, time.process_time() - cpu)


def _sample(size: int) -> list[int]:
    return [5 + i % 97 for i in range(size)]


def _read(context: Context, tokens: list[int], step: int) -> tuple[float, float]:
    """(seconds, seconds of the processor) of reading `tokens` in steps."""
    _timed(context, tokens[:16], 1)
    context.forget()
    began, cpu = time.perf_counter(), time.process_time()
    for at in range(0, len(tokens), step):
        _must(context, tokens[at : at + step])
    return time.perf_counter() - began, time.process_time() - cpu


def _timed(context: Context, tokens: list[int], n_decode: int, *, fresh: bool = True) -> tuple[float, float]:
    """Tokens per second of reading `tokens`, and of writing `n_decode` more."""
    if fresh:
        context.forget()
    began = time.perf_counter()
    step = lib.llama_n_batch(context.pointer)
    for at in range(0, len(tokens), step):
        _must(context, tokens[at : at + step])
    read = time.perf_counter()
    for _ in range(n_decode):
        _must(context, [7])
    return len(tokens) / (read - began), n_decode / (time.perf_counter() - read)


def _must(context: Context, tokens: list[int]) -> None:
    if context.decode(tokens) == 2:
        raise LlamaError("model", "cancelled")


def thread_candidates(*, busy: bool, logical: int = 0, physical: int = 0) -> list[int]:
    """Thread counts worth trying, ascending: with more than two processors, or on a busy machine, one is left for the screen and
    other programs.
    """
    import psutil

    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    logical = logical or affinity or 1
    physical = min(physical or psutil.cpu_count(logical=False) or logical, logical)
    most = max(1, logical - 1) if busy or logical > 2 else logical
    return sorted({min(max(1, n), most) for n in (physical // 2, physical - 1, physical, logical)})


def _fewest(times: dict[int, float]) -> int:
    """The smallest thread count whose time is within 3 % of the best."""
    best = min(times.values())
    return min(n for n, seconds in times.items() if seconds * _GAIN <= best)


def _better(times: Sequence[float]) -> int:
    """Which is the best: the first unless another one is more than 3 % faster."""
    best = min(range(len(times)), key=lambda at: times[at])
    return best if times[best] < _GAIN * times[0] else 0
