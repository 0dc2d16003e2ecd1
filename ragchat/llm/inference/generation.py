"""Writes an answer: token by token, until an end."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

from ragchat.llm.inference import reasoning
from ragchat.llm.inference.context import Context
from ragchat.llm.inference.lookup import Drafts, Pace
from ragchat.llm.inference.model import Model
from ragchat.llm.inference.sampler import Sampler
from ragchat.llm.inference.writer import Writer
from ragchat.types import FinishReason


@dataclass(slots=True)
class Written:
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


def write(
    model: Model,
    context: Context,
    sampler: Sampler,
    writer: Writer,
    *,
    limit: int,
    thoughts_limit: int,
    drafts: Drafts | None = None,
) -> Written:
    """Write tokens until an end: `limit` of the answer at most, and before it about `thoughts_limit` of reasoning."""
    written, pace = Written(), Pace(context, drafts)
    outside = partial(_outside, model, writer)
    while len(context.past) < context.n_ctx:
        choice = sampler.sample(context.pointer, outside, pace.row)
        written.first_at = written.first_at or time.perf_counter()
        if choice is None:
            written.finish_reason = "stop"
            break
        token, thinking = choice.token, writer.reasoning
        ended = model.ends(token)
        next_tokens = [] if ended else [token]
        written.tokens += len(next_tokens)
        if not ended and not choice.outside:
            written.weigh(choice.logprob)
        if (ended and not thinking) or (not ended and writer.feed(model.piece(token))):
            written.repeated = writer.repeated
            written.finish_reason = "repeats" if written.repeated else "stop"
            break
        if thinking or writer.reasoning:
            written.thoughts = written.tokens
            written.thoughts_s = time.perf_counter() - written.first_at
        elif written.tokens - written.thoughts >= limit:
            break
        if writer.reasoning and (ended or writer.thoughts_repeat or written.thoughts >= thoughts_limit):
            next_tokens += _end_thoughts(model, context, writer)
        if not next_tokens:
            written.finish_reason = "stop"
            break
        if context.aborted or not pace.go(next_tokens):
            written.finish_reason = "cancelled"
            break
    pace.end()
    writer.finish()
    return written


def _outside(model: Model, writer: Writer, token: int) -> bool:
    return writer.may_be_outside and writer.outside(model.piece(token))


def _end_thoughts(model: Model, context: Context, writer: Writer) -> list[int]:
    """Write the end of the reasoning for a model that does not find it; its tokens, none when they do not fit."""
    end = (model.markers or reasoning.USUAL).end
    tokens = model.tokenize(end, special=True)
    if len(context.past) + 1 + len(tokens) >= context.n_ctx:
        return []
    writer.feed(end.encode())
    return tokens
