"""llama.cpp through its low-level API: one model, one context, one sequence. Only the inference process imports this.

It does not know about pipes: progress and text leave through callbacks, a cancel comes in through `AbortFlag`.
"""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp as lib

from ragchat.llm.inference import reasoning, scoring
from ragchat.llm.inference.lora import Adapters, LoraError
from ragchat.llm.inference.sampler import GrammarError, Sampler
from ragchat.llm.inference.template import ChatTemplate, Piece
from ragchat.llm.inference.writer import Writer
from ragchat.types import FinishReason, GenerationFinished, PrefillProgress, Sampling, Score, TokenSample

_PREFILL_STEP_S = 1.0
_BLOCK = 32
"""Prompts are read, and kept, in blocks of this many tokens, counted from the beginning."""
_COMPANY = 8
"""At least so many tokens are read for the first token of an answer."""


class LlamaError(Exception):
    """`kind` as in `wire.Failed`."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class AbortFlag:
    """One byte that llama.cpp looks at between the nodes of its graph.

    The callback is libc's `strlen` on a buffer of two bytes: it returns 0 (go on) or 1 (stop) without ever taking Python's lock,
    which a Python callback would do some hundred times a token.
    """

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(2)
        libc = ctypes.CDLL("msvcrt") if os.name == "nt" else ctypes.CDLL(None)
        self.callback = ctypes.cast(libc.strlen, lib.ggml_abort_callback)
        self.data = ctypes.cast(self._buffer, ctypes.c_void_p)

    def set(self) -> None:
        """Ask for the end."""
        self._buffer[0] = b"\x01"

    def clear(self) -> None:
        """Take the request back."""
        self._buffer[0] = b"\x00"

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._buffer[0] != b"\x00"


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a context runs. Rates are those of the measurement, 0 when there was none."""

    n_threads: int
    n_threads_batch: int
    flash_attention: bool
    measured: bool = False
    prefill_tok_s: float = 0.0
    decode_tok_s: float = 0.0


@dataclass(slots=True)
class _Written:
    """What came of one answer so far; `first_at` is when its first token was there (perf_counter)."""

    finish_reason: FinishReason = "length"
    tokens: int = 0
    thoughts: int = 0
    thoughts_s: float = 0.0
    first_at: float = 0.0
    repeated: str = ""
    first_logprob: float | None = None
    logprobs: float = 0.0
    weighed: int = 0

    def weigh(self, logprob: float) -> None:
        """Take a token of the answer into account."""
        if self.first_logprob is None:
            self.first_logprob = logprob
        self.logprobs += logprob
        self.weighed += 1


class Llama:
    """A loaded model. Not thread-safe."""

    def __init__(self, path: str, *, abort: AbortFlag, on_progress: Callable[[float], None]) -> None:
        """Map the file. Raises LlamaError; a damaged file may also end the process, which is why it is one of its own."""
        self._abort = abort
        lib.llama_backend_init()
        params = lib.llama_model_default_params()

        @lib.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(fraction: float, _: Any) -> bool:
            on_progress(fraction)
            return not abort.is_set

        params.progress_callback = progress
        if b"AMX_INT8 = 1" in lib.llama_print_system_info():
            params.use_extra_bufts = (
                False  # docs/decisions/0003-amx.md: its matrix code faults when built with GCC 12
            )
        self._model = lib.llama_model_load_from_file(path.encode(), params)
        if not self._model:
            raise LlamaError(
                "model", "cancelled" if abort.is_set else "llama.cpp cannot load it (see inference.log)"
            )
        self._adapters = Adapters(self._model)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._context: Any = None
        self._past: list[int] = []
        self._read = 0  # how many of _past came as a prompt
        self._step: tuple[int, int, int, float] | None = None  # being read: done, tokens, total, since when
        self.n_ctx = 0
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(self._model)
        self.n_params: int = lib.llama_model_n_params(self._model)
        self.size_bytes: int = lib.llama_model_size(self._model)
        self.architecture = self._metadata("general.architecture")
        self.chat_template = self._metadata("tokenizer.chat_template")
        buffer = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, buffer, 256)
        self.description = buffer.value.decode("utf-8", "replace")
        self.bos = self._token_text(lib.llama_vocab_bos(self._vocab))
        self.eos = self._token_text(lib.llama_vocab_eos(self._vocab))
        self._controls = self._control_pattern()
        self.markers = reasoning.find(
            self.chat_template, lambda text: len(self.tokenize(text, special=True)) == 1
        )
        self._marker_tokens = {
            token
            for marker in (self.markers or reasoning.USUAL).all
            for token in self.tokenize(marker, special=True)
        }

    def open(self, n_ctx: int, n_batch: int, tuning: Tuning) -> None:
        """Make the context. Raises LlamaError when memory does not are enough."""
        self._close_context()
        self._context = self._new_context(n_ctx, n_batch, tuning)
        self.n_ctx, self._n_batch = lib.llama_n_ctx(self._context), n_batch
        self._past, self._read = [], 0
        self._prefill_rate = tuning.prefill_tok_s

    def close(self) -> None:
        """Free the memory of llama.cpp."""
        self._close_context()
        if self._model:
            self._adapters.close()
            lib.llama_model_free(self._model)
            self._model = None

    # --- tokens -------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Tokens of `text`; with `special`, control tokens in it are control tokens."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        buffer = (lib.llama_token * size)()
        n = lib.llama_tokenize(self._vocab, data, len(data), buffer, size, add_bos, special)
        if n < 0:
            buffer = (lib.llama_token * -n)()
            n = lib.llama_tokenize(self._vocab, data, len(data), buffer, -n, add_bos, special)
        return list(buffer[:n])

    def prompt_tokens(self, pieces: Sequence[Piece], *, begins: bool = True) -> list[int]:
        """Tokens of a rendered prompt. Control tokens are those of the template only. With `begins`, nothing is before it.

        The whole is tokenised at once, as the model saw it in training. Where someone's text spells a control token, the text
        is parted inside that word, and no tokeniser can join it again. A line break at the end of an answer that continues is
        tokenised as it is in front of a word: many tokenisers join it with the one before when nothing follows.
        """
        if pieces and pieces[-1].foreign and pieces[-1].text.endswith("\n"):
            tokens = self.prompt_tokens([*pieces, Piece("x", False)], begins=begins)
            if self._piece(tokens[-1]) == b"x":
                return tokens[:-1]
        parts = [""]
        for piece in pieces:
            start = 0
            if piece.foreign and self._controls:
                for match in self._controls.finditer(piece.text):
                    middle = match.start() + max(1, len(match.group()) // 2)
                    parts[-1] += piece.text[start:middle]
                    parts.append("")
                    start = middle
            parts[-1] += piece.text[start:]
        has_bos = bool(self.bos) and parts[0].startswith(self.bos)
        tokens = []
        for number, part in enumerate(parts):
            tokens += self.tokenize(part, special=True, add_bos=begins and number == 0 and not has_bos)
        return tokens

    def template(self, plain_source: str) -> ChatTemplate:
        """The model's own chat template, or the plain one. Raises TemplateError."""
        return ChatTemplate(
            self.chat_template or plain_source, bos=self.bos, eos=self.eos, markers=self.markers
        )

    def answer_tokens(self, prompt: Sequence[Piece], answer: str, after: str) -> tuple[list[int], int]:
        """(tokens of the prompt with the answer and the token that ends it, where the answer starts).

        The whole is tokenised at once where that leaves the prompt as it is when it is asked, else the answer alone. `after` is
        what the template writes behind an answer: the first token in it that ends a generation ends this one.
        """
        before = self.prompt_tokens(prompt)
        whole = self.prompt_tokens([*prompt, Piece(answer, True)]) if answer else before
        if whole[: len(before)] != before:
            whole = before + self.prompt_tokens([Piece(answer, True)], begins=False)
        ends = [t for t in self.tokenize(after, special=True) if lib.llama_vocab_is_eog(self._vocab, t)]
        usual = (lib.llama_vocab_eot(self._vocab), lib.llama_vocab_eos(self._vocab))
        return whole + [*ends, *(token for token in usual if token >= 0)][:1], len(before)

    # --- adapters, likelihoods ----------------------------------------------------------------------

    def use_adapters(self, wanted: Sequence[tuple[str, float]]) -> None:
        """Switch these on, each (path, scale), and all others off. What was read with others is forgotten. Raises LlamaError."""
        try:
            self._adapters.use(self._context, wanted)
        except (LoraError, OSError) as error:
            raise LlamaError("adapter", str(error)) from error
        self._forget()

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is. What the prompt of a sample shares with the one before is not read again.

        Raises LlamaError.
        """
        self._forget()
        scores: list[Score] = []
        before: Sequence[int] = ()
        try:
            for sample in samples:
                tokens, start = sample.tokens, sample.answer_start
                shared = 0
                for old, new in zip(before, tokens[: start - 1], strict=False):
                    if old != new:
                        break
                    shared += 1
                rows = self._logits(tokens[:-1], range(start - 1, len(tokens) - 1), kept=shared)
                nll, greedy = scoring.score(rows, tokens[start:])
                scores.append(Score(nll, len(tokens) - start, greedy))
                before = tokens[:-1]
        finally:
            self._forget()
        return scores

    def last_logits(self, tokens: Sequence[int]) -> bytes:
        """float32 for each token of the vocabulary, after the last of `tokens`. Raises LlamaError."""
        self._forget()
        [row] = self._logits(tokens, range(len(tokens) - 1, len(tokens)))
        self._forget()
        return row.astype("<f4").tobytes()

    def _logits(self, tokens: Sequence[int], wanted: range, *, kept: int = 0) -> Iterator[scoring.Floats]:
        if len(tokens) > self.n_ctx:
            raise LlamaError("too_long", f"The text has {len(tokens)} tokens, the context {self.n_ctx}.")
        n_batch = min(self._n_batch, self.n_ctx)
        try:
            yield from scoring.logits(self._context, self._vocab, tokens, wanted, n_batch=n_batch, kept=kept)
        except RuntimeError as error:
            raise LlamaError("internal", str(error)) from error

    def _forget(self) -> None:
        lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
        self._past, self._read = [], 0

    # --- generation ---------------------------------------------------------------------------------

    def generate(
        self,
        tokens: Sequence[int],
        sampling: Sampling,
        *,
        on_prefill: Callable[[PrefillProgress], None],
        on_text: Callable[[str], None],
        on_reasoning: Callable[[str], None],
        thoughts_open: bool = False,
        spaces: int = 0,
        begun: str = "",
    ) -> GenerationFinished:
        """Read the prompt (what the last one shared with it is kept), then write until an end. Raises LlamaError.

        `thoughts_open`: the prompt ends inside the reasoning; `spaces` as in `Writer`; `begun`: what the prompt has of the
        answer already, for the grammar. An answer ends where the grammar allows nothing more. Reasoning do not count against
        sampling.max_tokens: they may take what the context has beside it, at least half; then they are ended. They are
        ended too when the model would stop in the midst of them, or repeats itself there, so that there is an answer.
        """
        if len(tokens) >= self.n_ctx:
            raise LlamaError("too_long", f"The prompt has {len(tokens)} tokens, the context {self.n_ctx}.")
        started = time.perf_counter()
        cached = self._keep_common_prefix(tokens)
        if not self._prefill(tokens, cached, on_prefill):
            return GenerationFinished("cancelled", len(tokens), cached, 0, 0.0, 0.0, 0.0, sampling.seed or 0)
        prefill_s = time.perf_counter() - started
        room = self.n_ctx - len(tokens)
        limit = sampling.max_tokens or room
        writer = Writer(
            stop=sampling.stop,
            on_text=on_text,
            on_reasoning=on_reasoning,
            markers=self.markers or reasoning.USUAL,
            reasoning=thoughts_open,
            spaces=spaces,
        )
        try:
            sampler = Sampler(self._vocab, sampling)
        except GrammarError as error:
            raise LlamaError("grammar", str(error)) from error
        try:
            sampler.begin(self.tokenize(begun, special=False))
            written = self._write(sampler, writer, limit, thoughts_limit=room - min(limit, room // 2))
        finally:
            sampler.close()
        decode_s = time.perf_counter() - written.first_at
        read, n = len(tokens) - cached, written.tokens
        return GenerationFinished(
            finish_reason=written.finish_reason,
            prompt_tokens=len(tokens),
            cached_tokens=cached,
            completion_tokens=n,
            ttft_s=written.first_at - started,
            prefill_tok_s=read / prefill_s if prefill_s > 0 else 0.0,
            decode_tok_s=(n - 1) / decode_s if n > 1 and decode_s > 0 else 0.0,
            seed=sampling.seed or 0,
            reasoning_tokens=written.thoughts,
            reasoning_s=written.thoughts_s,
            repeated=written.repeated,
            first_logprob=written.first_logprob,
            mean_logprob=written.logprobs / written.weighed if written.weighed else None,
        )

    def _write(self, sampler: Sampler, writer: Writer, limit: int, *, thoughts_limit: int) -> _Written:
        """Write tokens until an end: `limit` of the answer at most, and before it about `thoughts_limit` of reasoning."""
        written = _Written()
        while len(self._past) < self.n_ctx:
            choice = sampler.sample(self._context, lambda token: writer.outside(self._piece(token)))
            written.first_at = written.first_at or time.perf_counter()
            if choice is None:
                written.finish_reason = "stop"
                break
            token, thinking = choice.token, writer.reasoning
            ended = lib.llama_vocab_is_eog(self._vocab, token)
            next_tokens = [] if ended else [token]
            written.tokens += len(next_tokens)
            if not ended and not choice.outside:
                written.weigh(choice.logprob)
            if (ended and not thinking) or (not ended and writer.feed(self._piece(token))):
                written.repeated = writer.repeated
                written.finish_reason = "repeats" if written.repeated else "stop"
                break
            if thinking or writer.reasoning:
                written.thoughts = written.tokens
                written.thoughts_s = time.perf_counter() - written.first_at
            elif written.tokens - written.thoughts >= limit:
                break
            if writer.reasoning and (ended or writer.thoughts_repeat or written.thoughts >= thoughts_limit):
                next_tokens += self._end_thoughts(writer)
            if not next_tokens:
                written.finish_reason = "stop"
                break
            if self._abort.is_set or self._decode(next_tokens) == 2:
                written.finish_reason = "cancelled"
                break
        writer.finish()
        return written

    def _end_thoughts(self, writer: Writer) -> list[int]:
        """Write the end of the reasoning for a model that does not find it; its tokens, none when they do not fit."""
        end = (self.markers or reasoning.USUAL).end
        tokens = self.tokenize(end, special=True)
        if len(self._past) + 1 + len(tokens) >= self.n_ctx:
            return []
        writer.feed(end.encode())
        return tokens

    def _keep_common_prefix(self, tokens: Sequence[int]) -> int:
        """Forget what does not begin `tokens`; how many tokens need not be read again.

        Kept is only what was read, not what was written, and in whole blocks: a token that goes through the graph alone comes
        out a little different from one in company, and an answer must not depend on what was asked before.
        """
        common = 0
        for old, new in zip(self._past[: self._read], tokens, strict=False):
            if old != new:
                break
            common += 1
        kept = min(common, max(0, len(tokens) - _COMPANY)) // _BLOCK * _BLOCK
        memory = lib.llama_get_memory(self._context)
        if not lib.llama_memory_seq_rm(memory, 0, kept, -1):  # a recurrent model cannot go back
            lib.llama_memory_clear(memory, True)
            kept = 0
        del self._past[kept:]
        self._read = kept
        return kept

    def _prefill(
        self, tokens: Sequence[int], start: int, on_prefill: Callable[[PrefillProgress], None]
    ) -> bool:
        """Read tokens[start:] in steps of about a second; False when cancelled."""
        try:
            return self._prefill_steps(tokens, start, on_prefill)
        finally:
            self._step = None

    def _prefill_steps(
        self, tokens: Sequence[int], start: int, on_prefill: Callable[[PrefillProgress], None]
    ) -> bool:
        done, total = start, len(tokens)
        while done < total:
            if self._abort.is_set:
                return False
            rate = self._prefill_rate
            on_prefill(PrefillProgress(done, total, (total - done) / rate if rate else None))
            step = max(_BLOCK, min(self._n_batch, int((rate or 128) * _PREFILL_STEP_S)) // _BLOCK * _BLOCK)
            end = (done // step + 1) * step
            if 0 < total - end < _COMPANY:
                end = total if total - done <= self._n_batch else end - _BLOCK
            batch = list(tokens[done:end])
            began = time.perf_counter()
            self._step = (done, len(batch), total, began)
            if self._decode(batch) == 2:
                return False
            done += len(batch)
            self._read = done
            if len(batch) >= _BLOCK:
                self._prefill_rate = len(batch) / (time.perf_counter() - began)
        self._step = None
        on_prefill(PrefillProgress(total, total, 0.0))
        return True

    def reading(self) -> PrefillProgress | None:
        """How far the prompt is read, as `on_prefill` tells it; None when none is. Any thread may ask.

        Inside a step, which takes long on a slow machine, it is what the rate so far lets expect.
        """
        if (step := self._step) is None:
            return None
        done, size, total, began = step
        rate = self._prefill_rate
        done += min(size, int(rate * (time.perf_counter() - began)))
        return PrefillProgress(done, total, (total - done) / rate if rate else None)

    def _decode(self, tokens: list[int]) -> int:
        """0 done, 2 aborted (the KV cache is then as before). Raises LlamaError otherwise."""
        array = (lib.llama_token * len(tokens))(*tokens)
        code = lib.llama_decode(self._context, lib.llama_batch_get_one(array, len(tokens)))
        if code == 0:
            self._past.extend(tokens)
            return 0
        lib.llama_memory_seq_rm(lib.llama_get_memory(self._context), 0, len(self._past), -1)
        if code == 2:
            return 2
        raise LlamaError("internal", f"llama_decode failed with code {code} after {len(self._past)} tokens.")

    def _piece(self, token: int) -> bytes:
        """Text of a token; control tokens have none, unless they mark reasoning."""
        special = token in self._marker_tokens
        buffer = ctypes.create_string_buffer(64)
        n = lib.llama_token_to_piece(self._vocab, token, buffer, 64, 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = lib.llama_token_to_piece(self._vocab, token, buffer, -n, 0, special)
        return buffer.raw[:n]

    # --- measuring ----------------------------------------------------------------------------------

    def tune(
        self,
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
        context, prefill, decode = self._new_context(1024, n_batch, tuning), {}, {}
        self._context = context
        try:
            self._timed(sample[:16], 1)
            for number, n in enumerate(candidates):
                lib.llama_set_n_threads(context, n, n)
                prefill[n], decode[n] = self._timed(sample[:64], 6)
                on_progress(0.4 * (number + 1) / len(candidates))
        finally:
            self._close_context()
        tuning = Tuning(threads or _fewest(decode), threads_batch or _fewest(prefill), flash == "on")
        depth = max(64, min(448, int(1.5 * max(prefill.values())) // 64 * 64))
        costs: dict[bool, tuple[float, float, float]] = {}
        for number, on in enumerate([flash == "on"] if flash else [False, True]):
            self._context = self._new_context(
                1024, n_batch, Tuning(tuning.n_threads, tuning.n_threads_batch, on)
            )
            try:
                deep, _ = self._timed(sample[:depth], 1)
                short, write = self._timed(sample[:26], 8, fresh=False)
                costs[on] = (1000 / deep + 26 / short + 128 / write, deep, write)
            finally:
                self._close_context()
            on_progress(0.4 + 0.3 * (number + 1))
        best = min(costs, key=lambda on: (costs[on][0], on))
        if len(costs) == 2 and costs[True][0] > 0.97 * costs[False][0]:
            best = False
        _, prefill_rate, decode_rate = costs[best]
        return Tuning(tuning.n_threads, tuning.n_threads_batch, best, True, prefill_rate, decode_rate)

    def _timed(self, tokens: list[int], n_decode: int, *, fresh: bool = True) -> tuple[float, float]:
        """Tokens per second of reading `tokens`, and of writing `n_decode` more."""
        if fresh:
            lib.llama_memory_clear(lib.llama_get_memory(self._context), True)
            self._past = []
        began = time.perf_counter()
        self._must(tokens)
        read = time.perf_counter()
        for _ in range(n_decode):
            self._must([7])
        return len(tokens) / (read - began), n_decode / (time.perf_counter() - read)

    def _must(self, tokens: list[int]) -> None:
        if self._decode(tokens) == 2:
            raise LlamaError("model", "cancelled")

    # --- parts --------------------------------------------------------------------------------------

    def _new_context(self, n_ctx: int, n_batch: int, tuning: Tuning) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_batch = params.n_ubatch = min(n_batch, n_ctx)
        params.n_seq_max = 1
        params.n_threads, params.n_threads_batch = tuning.n_threads, tuning.n_threads_batch
        params.flash_attn_type = 1 if tuning.flash_attention else 0
        params.abort_callback = self._abort.callback
        params.abort_callback_data = self._abort.data
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise LlamaError(
                "memory",
                f"llama.cpp cannot make a context of {n_ctx} tokens; there is probably not enough memory.",
            )
        return context

    def _close_context(self) -> None:
        if self._context:
            lib.llama_free(self._context)
            self._context = None
        self._past, self._read = [], 0

    def _metadata(self, key: str) -> str:
        size = 4096
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = lib.llama_model_meta_val_str(self._model, key.encode(), buffer, size)
            if n < size:
                return buffer.value.decode("utf-8", "replace") if n >= 0 else ""
            size = n + 1

    def _token_text(self, token: int) -> str:
        return (
            (lib.llama_vocab_get_text(self._vocab, token) or b"").decode("utf-8", "replace")
            if token >= 0
            else ""
        )

    def _control_pattern(self) -> re.Pattern[str] | None:
        """All spellings that the tokeniser would turn into control tokens, the longest first."""
        wanted = (
            lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        )
        texts = {
            text
            for token in range(lib.llama_vocab_n_tokens(self._vocab))
            if lib.llama_vocab_get_attr(self._vocab, token) & wanted
            and len(text := self._token_text(token)) > 1
        }
        # Tokens of white space alone (runs of blanks that code models define) control nothing.
        texts = {text for text in texts if text.strip()}
        return (
            re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
            if texts
            else None
        )


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
