"""The KV cache of a model, one sequence: what is read, what of it is kept, and how far a prompt is read."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import llama_cpp as lib
import numpy as np

from ragchat.llm.inference import scoring
from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.model import Model
from ragchat.types import PrefillProgress, ReadAhead, ReadAheadUse

_PREFILL_STEP_S = 1.0
_AHEAD_STEP_S = 0.25
"""What is read ahead is read in shorter steps: a step that is stopped is lost."""
BLOCK, FLASH_BLOCK = 8, 64
"""Prompts are read, and kept, in blocks of this many tokens, counted from the beginning: however many blocks are read at once,
the results are the same to the last bit. Kernels for fewer tokens give others (decision 31)."""
_LEAST_STEP = 32
"""Fewer tokens at once cost nearly as much."""
_COMPANY = 8
"""At least so many tokens are read for the first token of an answer."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a context runs. Rates are those of the measurement, 0 when there was none.

    `kv_type`: the type of keys and values, "f16" or "q8_0" (with flash attention only). `lookup_costs`: tokens in a batch and
    what it costs, in single tokens; empty: not measured. `busy`: other programs needed the processor meanwhile.
    """

    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    measured: bool = False
    prefill_tok_s: float = 0.0
    decode_tok_s: float = 0.0
    kv_type: str = "f16"
    lookup_costs: tuple[tuple[int, float], ...] = ()
    busy: bool = False


class Context:
    """One llama.cpp context. Not thread-safe, but for `reading`.

    `past` are the tokens that are in the KV cache; the first `read` of them came as a prompt, the others were written.
    """

    def __init__(self, model: Model, n_ctx: int, n_batch: int, tuning: Tuning, abort: AbortFlag) -> None:
        """Raises LlamaError when there is not enough memory."""
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        self._block = FLASH_BLOCK if tuning.flash_attention else BLOCK
        self._n_batch = max(
            n_batch, _LEAST_STEP, 2 * self._block
        )  # a block with a short one behind it goes at once
        params.n_batch = params.n_ubatch = min(self._n_batch, n_ctx)
        params.n_seq_max = 1
        params.n_threads, params.n_threads_batch = tuning.n_threads, tuning.n_threads_batch
        params.flash_attn_type = 1 if tuning.flash_attention else 0
        if (
            tuning.kv_type == "q8_0" and tuning.flash_attention
        ):  # llama.cpp has no other way to read such values
            params.type_k = params.type_v = lib.GGML_TYPE_Q8_0
        params.abort_callback = abort.callback
        params.abort_callback_data = abort.data
        params.no_perf = True
        self.pointer = lib.llama_init_from_model(model.pointer, params)
        if not self.pointer:
            raise LlamaError(
                "memory",
                f"llama.cpp cannot make a context of {n_ctx} tokens; there is probably not enough memory.",
            )
        self.n_ctx: int = lib.llama_n_ctx(self.pointer)
        self.past: list[int] = []
        self.read = 0
        self.settings = (self.n_ctx, self._n_batch, tuning.flash_attention, tuning.kv_type)
        self._model, self._abort = model, abort
        self._rate = tuning.prefill_tok_s
        self._step: tuple[int, int, int, float] | None = None  # being read: done, tokens, total, since when
        self._ahead = range(0)  # tokens of `past` that were read ahead, for no prompt yet
        self._spent = ReadAheadUse()

    def close(self) -> None:
        """Free it."""
        if self.pointer:
            lib.llama_free(self.pointer)
            self.pointer = None
        self.past, self.read = [], 0

    def forget(self) -> None:
        """Empty the KV cache."""
        lib.llama_memory_clear(self._memory, True)
        self._cut(0)

    @property
    def aborted(self) -> bool:
        """Whether the end was asked for."""
        return self._abort.is_set

    @property
    def _memory(self) -> Any:
        return lib.llama_get_memory(self.pointer)

    # --- prompts ------------------------------------------------------------------------------------

    def keep_common_prefix(self, tokens: Sequence[int]) -> int:
        """Forget what does not begin `tokens`; how many tokens need not be read again.

        Kept is only what was read, not what was written, and in whole blocks: a token that goes through the graph alone comes
        out a little different from one in company, and an answer must not depend on what was asked before.
        """
        common = self.common(tokens)
        return self._keep(min(common, max(0, len(tokens) - _COMPANY)) // self._block * self._block)

    def common(self, tokens: Sequence[int]) -> int:
        """How many tokens of what was read `tokens` begin with."""
        common = 0
        for old, new in zip(self.past[: self.read], tokens, strict=False):
            if old != new:
                break
            common += 1
        return common

    def _keep(self, kept: int) -> int:
        """Forget what is beyond `kept` tokens; how many are left."""
        if not lib.llama_memory_seq_rm(self._memory, 0, kept, -1):  # a recurrent model cannot go back
            lib.llama_memory_clear(self._memory, True)
            kept = 0
        self._cut(kept)
        return kept

    def _cut(self, kept: int) -> None:
        """What is beyond `kept` tokens is gone."""
        del self.past[kept:]
        self.read = min(self.read, kept)
        wasted = len(self._ahead)
        self._ahead = range(min(self._ahead.start, kept), min(self._ahead.stop, kept))
        self._spent = replace(self._spent, wasted=self._spent.wasted + wasted - len(self._ahead))

    # --- snapshots ----------------------------------------------------------------------------------

    def can_be_put_back(self, tokens: int) -> bool:
        """Whether a state of so many tokens is whole: llama.cpp leaves out what a sliding window has passed."""
        window: int = lib.llama_model_n_swa(self._model.pointer)
        return not window or tokens <= window

    def cut_to(self, tokens: Sequence[int]) -> bool:
        """Forget what is behind these tokens; whether they are held."""
        return self.common(tokens) == len(tokens) and self._keep(len(tokens)) == len(tokens)

    def state(self) -> bytes:
        """What the KV cache holds."""
        size = lib.llama_state_seq_get_size(self.pointer, 0)
        buffer = (ctypes.c_uint8 * size)()
        return bytes(memoryview(buffer)[: lib.llama_state_seq_get_data(self.pointer, buffer, size, 0)])

    def put_back(self, tokens: Sequence[int], state: bytes) -> bool:
        """Hold again what `state` was made of; whether that went well: nothing is held otherwise."""
        self.forget()
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if not lib.llama_state_seq_set_data(self.pointer, buffer, len(state), 0):
            self.forget()
            return False
        ends = lib.llama_memory_seq_pos_min(self._memory, 0), lib.llama_memory_seq_pos_max(self._memory, 0)
        if ends != (0, len(tokens) - 1) or not self.can_be_put_back(len(tokens)):
            self.forget()
            return False
        self.past, self.read = list(tokens), len(tokens)
        return True

    # --- reading ahead ------------------------------------------------------------------------------

    def read_ahead(self, tokens: Sequence[int]) -> ReadAhead:
        """Read the whole blocks of `tokens` that are not read, in short steps; an abort ends it. Raises LlamaError.

        What is read beyond them stays, when all of them are.
        """
        wanted = min(len(tokens), self.n_ctx - _COMPANY) // self._block * self._block
        common = self.common(tokens[:wanted])
        if common >= wanted:
            return ReadAhead(wanted, 0, 0.0, done=True)
        began, kept = time.process_time(), self._keep(common // self._block * self._block)
        if not self._ahead:
            self._ahead = range(kept, kept)
        done = kept
        while done < wanted and not self.aborted:
            batch = list(tokens[done : min(done + self._stride(_AHEAD_STEP_S), wanted)])
            if self.decode(batch) == 2:
                break
            done += len(batch)
            self.read, self._ahead = done, range(self._ahead.start, done)
        cpu_s = time.process_time() - began
        spent = self._spent
        self._spent = replace(spent, read=spent.read + done - kept, cpu_s=spent.cpu_s + cpu_s)
        return ReadAhead(wanted, done - kept, cpu_s, done=done >= wanted)

    def take_ahead(self) -> ReadAheadUse:
        """What was read ahead since the last call, and what of it the prompt that begins now can use. After
        `keep_common_prefix`.
        """
        used, self._ahead = len(self._ahead), range(0)
        spent, self._spent = self._spent, ReadAheadUse()
        return replace(spent, used=used)

    def prefill(
        self, tokens: Sequence[int], start: int, on_prefill: Callable[[PrefillProgress], None]
    ) -> bool:
        """Read tokens[start:] in steps of about a second; False when cancelled. Raises LlamaError."""
        try:
            return self._prefill_steps(tokens, start, on_prefill)
        finally:
            self._step = None

    def _prefill_steps(
        self, tokens: Sequence[int], start: int, on_prefill: Callable[[PrefillProgress], None]
    ) -> bool:
        # The last tokens are read by themselves, so that they come out the same however much was read before.
        done, total = start, len(tokens)
        last = max(start, (total - _COMPANY) // self._block * self._block)
        while done < total:
            if self._abort.is_set:
                return False
            rate = self._rate
            on_prefill(PrefillProgress(done, total, (total - done) / rate if rate else None))
            batch = list(
                tokens[done : min(done + self._stride(_PREFILL_STEP_S), last) if done < last else total]
            )
            began = time.perf_counter()
            self._step = (done, len(batch), total, began)
            if self.decode(batch) == 2:
                return False
            done += len(batch)
            self.read = done
            if len(batch) >= max(_LEAST_STEP, self._block):
                self._rate = len(batch) / (time.perf_counter() - began)
        self._step = None
        on_prefill(PrefillProgress(total, total, 0.0))
        return True

    def _stride(self, seconds: float) -> int:
        """Tokens to read in one step of about so long: whole blocks."""
        tokens = min(self._n_batch, int((self._rate or 128) * seconds))
        return max(_LEAST_STEP, self._block, tokens // self._block * self._block)

    def reading(self) -> PrefillProgress | None:
        """How far the prompt is read, as `on_prefill` tells it; None when none is. Any thread may ask.

        Inside a step, which takes long on a slow machine, it is what the rate so far lets expect.
        """
        if (step := self._step) is None:
            return None
        done, size, total, began = step
        rate = self._rate
        done += min(size, int(rate * (time.perf_counter() - began)))
        return PrefillProgress(done, total, (total - done) / rate if rate else None)

    def decode(self, tokens: list[int]) -> int:
        """0 done, 2 aborted (the KV cache is then as before). Raises LlamaError otherwise."""
        array = (lib.llama_token * len(tokens))(*tokens)
        code = lib.llama_decode(self.pointer, lib.llama_batch_get_one(array, len(tokens)))
        if code == 0:
            self.past.extend(tokens)
            return 0
        lib.llama_memory_seq_rm(self._memory, 0, len(self.past), -1)
        if code == 2:
            return 2
        raise LlamaError("internal", f"llama_decode failed with code {code} after {len(self.past)} tokens.")

    # --- drafts -------------------------------------------------------------------------------------

    def can_go_back(self, kept: int) -> bool:
        """Whether the KV cache can forget what is beyond `kept` tokens and keep those; it does not hold more."""
        return not (
            lib.llama_model_is_recurrent(self._model.pointer)
            or lib.llama_model_is_hybrid(self._model.pointer)
        ) and bool(lib.llama_memory_seq_rm(self._memory, 0, kept, -1))

    def room(self, tokens: int) -> int:
        """How many tokens a draft behind so many may have."""
        return max(0, min(self.n_ctx - len(self.past), min(self._n_batch, self.n_ctx)) - tokens)

    def decode_drafted(self, tokens: Sequence[int], draft: Sequence[int]) -> int:
        """As `decode`, with the logits of every token. `draft` is read behind `tokens`: `accept` or `drop` it."""
        wanted = [*tokens, *draft]
        array, flags = (
            (lib.llama_token * len(wanted))(*wanted),
            (ctypes.c_int8 * len(wanted))(*[1] * len(wanted)),
        )
        batch = lib.llama_batch_get_one(array, len(wanted))
        batch.logits = flags
        code = lib.llama_decode(self.pointer, batch)
        if code == 0:
            self.past.extend(tokens)
            return 0
        lib.llama_memory_seq_rm(self._memory, 0, len(self.past), -1)
        if code == 2:
            return 2
        raise LlamaError("internal", f"llama_decode failed with code {code} after {len(self.past)} tokens.")

    def accept(self, tokens: Sequence[int]) -> None:
        """The next tokens of the draft are these."""
        self.past.extend(tokens)

    def drop(self, kept: int) -> None:
        """Forget what is beyond `kept` tokens, the rest of a draft with it."""
        lib.llama_memory_seq_rm(self._memory, 0, kept, -1)
        del self.past[kept:]

    def row(self, number: int) -> scoring.Floats:
        """The logits of a token of the last batch; valid until the next."""
        return np.ctypeslib.as_array(
            lib.llama_get_logits_ith(self.pointer, number),
            shape=(lib.llama_vocab_n_tokens(self._model.vocab),),
        )

    def logits(self, tokens: Sequence[int], wanted: range, *, kept: int = 0) -> Iterator[scoring.Floats]:
        """The logits after each of the positions `wanted`, as `scoring.logits`. Raises LlamaError."""
        if len(tokens) > self.n_ctx:
            raise LlamaError("too_long", f"The text has {len(tokens)} tokens, the context {self.n_ctx}.")
        n_batch = min(self._n_batch, self.n_ctx)
        try:
            yield from scoring.logits(
                self.pointer, self._model.vocab, tokens, wanted, n_batch=n_batch, kept=kept
            )
        except RuntimeError as error:
            raise LlamaError("internal", str(error)) from error
