"""llama.cpp through its low-level API: one model, one context, one sequence. Only the inference process imports this.

It does not know about pipes: progress and text leave through callbacks, a cancel comes in through `AbortFlag`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ragchat.llm.inference import generation, reasoning, scoring
from ragchat.llm.inference.abort import LlamaError
from ragchat.llm.inference.context import Context
from ragchat.llm.inference.lookup import Costs, Drafts
from ragchat.llm.inference.lora import Adapters, LoraError
from ragchat.llm.inference.model import Model
from ragchat.llm.inference.sampler import GrammarError, Sampler
from ragchat.llm.inference.shelf import Shelf
from ragchat.llm.inference.writer import Writer
from ragchat.types import GenerationFinished, PrefillProgress, ReadAhead, Sampling, Score, TokenSample


@dataclass(frozen=True, slots=True)
class Prompt:
    """`tokens` of a prompt and whose texts it has. `thoughts_open`: it ends inside the reasoning; `spaces` as in `Writer`;
    `begun`: what it has of the answer already, for the grammar.
    """

    tokens: Sequence[int]
    owners: Sequence[str] = ()
    thoughts_open: bool = False
    spaces: int = 0
    begun: str = ""


class Llama:
    """A loaded model with its context. Not thread-safe, but for `reading`."""

    def __init__(self, model: Model, context: Context, shelf: Shelf | None = None) -> None:
        self.model = model
        self._context = context
        self._shelf = shelf or Shelf(None, ())
        self._adapters = Adapters(model.pointer)
        self._owners: set[str] = set()
        """Whose text the context holds."""
        self.lookup: Costs = {}
        """What batches cost, by `lookup.batch_costs`; empty: the next tokens are not looked up."""
        self.n_ctx = context.n_ctx

    def close(self) -> None:
        """Free the memory of llama.cpp."""
        self._shelf.wait()
        self._context.close()
        self._adapters.close()
        self.model.close()

    def reading(self) -> PrefillProgress | None:
        """How far the prompt is read; None when none is. Any thread may ask."""
        return self._context.reading()

    # --- adapters, likelihoods ----------------------------------------------------------------------

    def use_adapters(self, wanted: Sequence[tuple[str, float]]) -> None:
        """Switch these on, each (path, scale), and all others off. What was read with others is forgotten. Raises LlamaError."""
        try:
            self._adapters.use(self._context.pointer, wanted)
        except (LoraError, OSError) as error:
            raise LlamaError("adapter", str(error)) from error
        self._context.forget()
        self._shelf.use_adapters(wanted)

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        """How likely each answer is. What the prompt of a sample shares with the one before is not read again.

        Raises LlamaError.
        """
        context = self._context
        context.forget()
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
                rows = context.logits(tokens[:-1], range(start - 1, len(tokens) - 1), kept=shared)
                nll, greedy = scoring.score(rows, tokens[start:])
                scores.append(Score(nll, len(tokens) - start, greedy))
                before = tokens[:-1]
        finally:
            context.forget()
        return scores

    def last_logits(self, tokens: Sequence[int]) -> bytes:
        """float32 for each token of the vocabulary, after the last of `tokens`. Raises LlamaError."""
        self._context.forget()
        [row] = self._context.logits(tokens, range(len(tokens) - 1, len(tokens)))
        self._context.forget()
        return row.astype("<f4").tobytes()

    # --- reading ahead ------------------------------------------------------------------------------

    def prepare(self, tokens: Sequence[int], owners: Sequence[str] = (), *, keep: bool = False) -> ReadAhead:
        """Read the whole blocks of a beginning that a prompt will have, unless they are read. Raises LlamaError.

        An abort ends it at once; the blocks that are read stay. `keep`: it is worth a snapshot.
        """
        self._owners |= set(owners)
        self._shelf.restore(self._context, tokens)
        ahead = self._context.read_ahead(tokens)
        if len(self._context.past) <= ahead.tokens:  # nothing is left behind this beginning
            self._owners = set(owners)
        if keep and ahead.done:
            self._shelf.plan(tokens[: ahead.tokens], owners)
        return ahead

    @property
    def due(self) -> bool:
        """Whether `rest` has something to do."""
        return self._shelf.due

    def rest(self) -> None:
        """Nobody waits: save what is worth it."""
        self._shelf.save(self._context)

    def forget(self, owners: Sequence[str]) -> None:
        """Drop what was read of the texts of these owners."""
        self._shelf.forget(owners)
        if self._owners & set(owners):
            self._context.forget()
            self._owners = set()

    # --- generation ---------------------------------------------------------------------------------

    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        *,
        on_prefill: Callable[[PrefillProgress], None],
        on_text: Callable[[str], None],
        on_reasoning: Callable[[str], None],
    ) -> GenerationFinished:
        """Read the prompt (what the last one shared with it is kept), then write until an end. Raises LlamaError.

        An answer ends where the grammar allows nothing more. Reasoning do not count against
        sampling.max_tokens: they may take what the context has beside it, at least half; then they are ended. They are
        ended too when the model would stop in the midst of them, or repeats itself there, so that there is an answer.
        """
        context, tokens = self._context, prompt.tokens
        if len(tokens) >= self.n_ctx:
            raise LlamaError("too_long", f"The prompt has {len(tokens)} tokens, the context {self.n_ctx}.")
        started = time.perf_counter()
        self._owners |= set(prompt.owners)
        restored = self._shelf.restore(context, tokens)
        cached = context.keep_common_prefix(tokens)
        self._owners = set(prompt.owners)
        ahead = context.take_ahead()
        if not context.prefill(tokens, cached, on_prefill):
            return GenerationFinished(
                *("cancelled", len(tokens), cached, 0, 0.0, 0.0, 0.0, sampling.seed or 0), ahead=ahead
            )
        prefill_s = time.perf_counter() - started
        room = self.n_ctx - len(tokens)
        limit = sampling.max_tokens or room
        writer = Writer(
            stop=sampling.stop,
            on_text=on_text,
            on_reasoning=on_reasoning,
            markers=self.model.markers or reasoning.USUAL,
            reasoning=prompt.thoughts_open,
            spaces=prompt.spaces,
        )
        try:
            sampler = Sampler(self.model.vocab, sampling)
        except GrammarError as error:
            raise LlamaError("grammar", str(error)) from error
        drafts = Drafts(tokens, self.lookup) if self.lookup else None
        try:
            sampler.begin(self.model.tokenize(prompt.begun, special=False))
            written = generation.write(
                self.model,
                context,
                sampler,
                writer,
                limit=limit,
                thoughts_limit=room - min(limit, room // 2),
                drafts=drafts,
            )
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
            ahead=ahead,
            restored_tokens=min(restored, cached),
            drafted=drafts.drafted if drafts else 0,
            accepted=drafts.accepted if drafts else 0,
        )
