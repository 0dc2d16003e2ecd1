"""Packing the prompt by real token counts. Its order serves the cache: instructions, earlier turns, then what changes.

Instructions and question are always in; then the newest exchange; then passages in the order of their rank, up to their share
of the context; older turns have what is left. The prompt and the room for the answer never exceed n_ctx, and what did not fit
is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.errors import PromptTooLongError
from ragchat.session.events import PromptPart
from ragchat.text import clean_line
from ragchat.types import ChatModel, Citation, Hit, Message

REVISION = "4"
"""Changes with every wording below; evaluation keys its runs by it."""

INSTRUCTIONS = (
    "You are a careful assistant. Answer the question from the numbered passages. Be brief. Put the number of the passage you"
    " used in square brackets after each sentence, like [1]. If the passages do not hold the answer, say so."
)
PLAIN_INSTRUCTIONS = (
    "You are a helpful assistant. Answer briefly and truthfully. Say so when you do not know."
)

_HEADING_MARK = re.compile(r"^#{1,6}[ \t]+", re.MULTILINE)
SMALLEST_ANSWER = 64
"""Tokens that must be left for the answer."""


@dataclass(frozen=True, slots=True)
class PackedPrompt:
    """What is sent: `messages` with their exact `prompt_tokens`; `citations` are the passages in it, numbered from 1.

    Invariant: prompt_tokens + SMALLEST_ANSWER <= n_ctx.
    """

    messages: tuple[Message, ...]
    parts: tuple[PromptPart, ...]
    prompt_tokens: int
    n_ctx: int
    citations: tuple[Citation, ...]
    left_out: tuple[str, ...]


def passages_for(n_params: int) -> int:
    """How many passages a model of this size is given. 0.1 B is measured, the rest a judgement (decision 7)."""
    for limit, passages in ((0.4e9, 1), (1.2e9, 2), (3e9, 3)):
        if n_params < limit:
            return passages
    return 5


def pack(
    model: ChatModel,
    question: str,
    *,
    n_ctx: int,
    history: Sequence[Message] = (),
    hits: Sequence[Hit] = (),
    passages: int,
    passage_share: float,
    answer_tokens: int,
    instructions: str = "",
    attachment: str = "",
) -> PackedPrompt:
    """Fit everything into n_ctx. `answer_tokens` is the longest answer wished for (0: no limit). Raises PromptTooLongError."""
    wanted = list(hits[:passages])
    system = _system(instructions, with_passages=bool(wanted))
    base = model.count_prompt([system, Message("user", _ask(question, [], attachment))])
    reserve = max(SMALLEST_ANSWER, min(answer_tokens or n_ctx, n_ctx // 4))
    if base + SMALLEST_ANSWER > n_ctx:
        raise PromptTooLongError(
            f"The question{' with the attached text' if attachment else ''} has {base} tokens; the context holds {n_ctx}, and"
            f" {SMALLEST_ANSWER} are needed for an answer.",
            "Shorten it, or raise model.n_ctx.",
        )
    room = max(0, n_ctx - base - reserve)
    sizes = model.count_tokens([_passage(n, hit) for n, hit in enumerate(wanted, 1)]) if wanted else []
    passage_room = min(room, int(n_ctx * passage_share))
    newest = _newest_turns(model, history[-2:], room)
    spoken = sum(model.count_tokens([turn.content for turn in newest])) if newest else 0
    chosen = _fitting(sizes, min(passage_room, room - spoken))
    turns = _newest_turns(model, history, room - sum(sizes[:chosen]))
    while True:
        system = _system(instructions, with_passages=bool(chosen))
        user = Message("user", _ask(question, wanted[:chosen], attachment))
        messages = (system, *turns, user)
        total = model.count_prompt(messages)
        if total + reserve <= n_ctx or (not turns and not chosen):
            break
        # Counts of parts do not add up exactly to the count of the whole: what matters least gives way.
        if len(turns) > 2 or (turns and not chosen):
            turns = turns[2:]
        else:
            chosen -= 1
    left_out = []
    if chosen < len(wanted):
        left_out.append(
            f"{len(wanted) - chosen} of {len(wanted)} passages did not fit into the context of {n_ctx} tokens."
        )
    if len(turns) < len(history):
        left_out.append(
            f"The {len(history) - len(turns)} oldest messages of this chat did not fit into the context of {n_ctx} tokens."
        )
    return PackedPrompt(
        messages=messages,
        parts=_parts(model, system, turns, question, attachment, sizes[:chosen], total),
        prompt_tokens=total,
        n_ctx=n_ctx,
        citations=tuple(
            Citation(n, hit, hit.evidence or hit.text) for n, hit in enumerate(wanted[:chosen], 1)
        ),
        left_out=tuple(left_out),
    )


def _system(instructions: str, *, with_passages: bool) -> Message:
    return Message("system", instructions or (INSTRUCTIONS if with_passages else PLAIN_INSTRUCTIONS))


def _ask(question: str, hits: Sequence[Hit], attachment: str) -> str:
    parts = []
    if attachment:
        parts.append(f"Attached text:\n{attachment.strip()}")
    if hits:
        parts.append("\n\n".join(_passage(n, hit) for n, hit in enumerate(hits, 1)))
    parts.append(f"Question: {question.strip()}" if parts else question.strip())
    return "\n\n".join(parts)


def _passage(n: int, hit: Hit) -> str:
    """A passage under its number. Small models answer with what looks like a label, so there is only the heading, as a line."""
    text = _HEADING_MARK.sub("", hit.text.strip())
    heading = clean_line(hit.heading, limit=160)
    below = heading.rpartition(" > ")[2] if heading else ""
    return f"[{n}] {text}" if not below or text.startswith(below) else f"[{n}] {heading}\n{text}"


def _fitting(sizes: Sequence[int], room: int) -> int:
    """How many of the first `sizes` fit into `room`."""
    total = 0
    for number, size in enumerate(sizes):
        total += size + 2
        if total > room:
            return number
    return len(sizes)


def _newest_turns(model: ChatModel, history: Sequence[Message], room: int) -> tuple[Message, ...]:
    """The newest whole exchanges (question and answer) that fit into `room` tokens."""
    if not history:
        return ()
    kept = len(history)
    while kept > 1:
        # Counted by the block, so that an endless chat costs no more than what fits.
        block = history[max(0, kept - 64) : kept]
        counts = model.count_tokens([message.content for message in block])
        for first in range(len(block) - 2, -1, -2):
            room -= sum(counts[first : first + 2]) + 16  # 16: what the template writes around two turns
            if room < 0:
                return tuple(history[kept:])
            kept -= 2
    return tuple(history[kept:])


def _parts(
    model: ChatModel,
    system: Message,
    turns: Sequence[Message],
    question: str,
    attachment: str,
    passage_sizes: Sequence[int],
    total: int,
) -> tuple[PromptPart, ...]:
    instructions, asked, attached, *earlier = model.count_tokens(
        [system.content, question, attachment, *(turn.content for turn in turns)]
    )
    named = [
        PromptPart("instructions", instructions),
        PromptPart("history", sum(earlier)),
        PromptPart("attached text", attached if attachment else 0),
        *(PromptPart(f"passage {n}", size) for n, size in enumerate(passage_sizes, 1)),
        PromptPart("question", asked),
    ]
    parts = [part for part in named if part.tokens]
    return (*parts, PromptPart("template", total - sum(part.tokens for part in parts)))
