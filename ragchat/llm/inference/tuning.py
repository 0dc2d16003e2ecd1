"""How a model runs best on this machine, by a short measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import llama_cpp as lib

from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.context import BLOCK, FLASH_BLOCK, Context, Tuning
from ragchat.llm.inference.model import Model

_N_CTX = 1024


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
    candidates = _thread_candidates()
    sample = [5 + i % 97 for i in range(512)]
    tuning = Tuning(threads or candidates[0], threads_batch or candidates[0], flash == "on")
    context, prefill, decode = Context(model, _N_CTX, n_batch, tuning, abort), {}, {}
    try:
        _timed(context, sample[:16], 1)
        for number, n in enumerate(candidates):
            lib.llama_set_n_threads(context.pointer, n, n)
            prefill[n], decode[n] = _timed(context, sample[:64], 6)
            on_progress(0.4 * (number + 1) / len(candidates))
    finally:
        context.close()
    tuning = Tuning(threads or _fewest(decode), threads_batch or _fewest(prefill), flash == "on")
    depth = max(64, min(448, int(1.5 * max(prefill.values())) // 64 * 64))
    costs: dict[bool, tuple[float, float, float]] = {}
    for number, on in enumerate([flash == "on"] if flash else [False, True]):
        tried = Tuning(tuning.n_threads, tuning.n_threads_batch, on)
        context = Context(model, _N_CTX, n_batch, tried, abort)
        try:
            deep, _ = _timed(context, sample[:depth], 1)
            short, write = _timed(context, sample[:26], 8, fresh=False)
            costs[on] = (_seconds(deep, short, write, flash=on), deep, write)
        finally:
            context.close()
        on_progress(0.4 + 0.3 * (number + 1))
    best = min(costs, key=lambda on: (costs[on][0], on))
    if len(costs) == 2 and costs[True][0] > 0.97 * costs[False][0]:
        best = False
    _, prefill_rate, decode_rate = costs[best]
    return Tuning(tuning.n_threads, tuning.n_threads_batch, best, True, prefill_rate, decode_rate)


def _seconds(deep: float, short: float, write: float, *, flash: bool) -> float:
    """How long you wait for a usual answer at these rates: most of its prompt is read before the question is sent, the question
    and half a block are not.
    """
    block = FLASH_BLOCK if flash else BLOCK
    return 300 / deep + (26 + block / 2) / short + 128 / write


def _timed(context: Context, tokens: list[int], n_decode: int, *, fresh: bool = True) -> tuple[float, float]:
    """Tokens per second of reading `tokens`, and of writing `n_decode` more."""
    if fresh:
        context.forget()
    began = time.perf_counter()
    _must(context, tokens)
    read = time.perf_counter()
    for _ in range(n_decode):
        _must(context, [7])
    return len(tokens) / (read - began), n_decode / (time.perf_counter() - read)


def _must(context: Context, tokens: list[int]) -> None:
    if context.decode(tokens) == 2:
        raise LlamaError("model", "cancelled")


def _thread_candidates() -> list[int]:
    """Thread counts worth trying, ascending."""
    import psutil

    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = min(psutil.cpu_count(logical=False) or logical, logical)
    return sorted({max(1, n) for n in (physical // 2, physical - 1, physical, logical)})


def _fewest(rates: dict[int, float]) -> int:
    """The smallest thread count whose rate is within 3 % of the best."""
    best = max(rates.values())
    return min(n for n, rate in rates.items() if rate >= 0.97 * best)
