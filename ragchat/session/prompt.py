"""Packing the prompt by real token counts. Its order serves the cache: instructions, earlier turns, then what changes.

Instructions and question are always in; then the newest exchange; then passages in the order of their rank, up to their share
of the context; older turns have what is left. The prompt and the room for the answer never exceed n_ctx, and what did not fit
is said. How hits become passages is up to `session.packing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ragchat.errors import PromptTooLongError
from ragchat.session.packing import Packing, Passage, pack_hits, render
from ragchat.types import ChatModel, Citation, Hit, Message, PromptPart

REVISION = "5"
"""Changes with every wording below; evaluation keys its runs by it."""

INSTRUCTIONS = (
    "You are a careful assistant. Answer the question from the numbered passages. Be brief. Put the number of the passage you"
    " used in square brackets after each sentence, like [1]. If the passages do not hold the answer, say so."
)
PLAIN_INSTRUCTIONS = (
    "You are a helpful assistant. Answer briefly and truthfully. Say so when you do not know."
)

WORDINGS = {
    "careful": INSTRUCTIONS,
    "short": (
        "Answer the question in one short sentence, with the words of the passages. End it with the number of the passage, like"
        " [1]. If the passages do not hold the answer, say so."
    ),
}
"""Instructions by the name that a `Packing` gives as its wording."""
SUMMARY_OPENING = "What was said before in this chat, in short:"
_EXAMPLE = (
    Message(
        "user",
        "[1] The Harrow bridge crosses the river Lenn. It was built by Ada Pell in 1871 and has nine arches of red stone.\n\n"
        "Question: Who built the Harrow bridge?",
    ),
    Message("assistant", "Ada Pell built the Harrow bridge [1]."),
)
"""Invented, so that it helps with no question of anybody's."""

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


def pack(
    model: ChatModel,
    question: str,
    *,
    n_ctx: int,
    history: Sequence[Message] = (),
    hits: Sequence[Hit] = (),
    passage_share: float,
    answer_tokens: int,
    packing: Packing,
    instructions: str = "",
    summary: str = "",
    thinks: bool = False,
    attachment: str = "",
    attachment_cited: bool = False,
) -> PackedPrompt:
    """Fit everything into n_ctx. `answer_tokens` is the longest answer wished for (0: no limit). Raises PromptTooLongError.

    `summary` stands for turns before `history`. `attachment_cited`: passages in the attachment have numbers. What a model
    `thinks` before it answers needs room, too.
    """
    system = _system(instructions, packing, summary, with_passages=bool(hits) or attachment_cited)
    base = model.count_prompt([system, Message("user", _ask(question, [], attachment))])
    reserve = n_ctx // 2 if thinks else max(SMALLEST_ANSWER, min(answer_tokens or n_ctx, n_ctx // 4))
    if base + SMALLEST_ANSWER > n_ctx:
        raise PromptTooLongError(
            f"The question{' with the attached text' if attachment else ''} has {base} tokens; the context holds {n_ctx}, and"
            f" {SMALLEST_ANSWER} are needed for an answer.",
            "Shorten it, or raise model.n_ctx.",
        )
    room = max(0, n_ctx - base - reserve)
    newest = _newest_turns(model, history[-2:], room)
    spoken = sum(model.count_tokens([turn.content for turn in newest])) if newest else 0
    example = _EXAMPLE if packing.example and hits else ()
    shown = (
        model.count_prompt([system, *example, Message("user", _ask(question, [], attachment))]) - base
        if example
        else 0
    )
    if shown > (room - spoken) // 2:  # a passage is worth more than an example
        example, shown = (), 0
    room -= shown
    passage_room = max(0, min(room - spoken, int(n_ctx * passage_share)))
    found, sizes, missing = pack_hits(model.count_tokens, question, hits, packing, room=passage_room)
    turns = _newest_turns(model, history, room - sum(sizes))
    dropped = 0
    while True:
        system = _system(instructions, packing, summary, with_passages=bool(found) or attachment_cited)
        example = example if found else ()
        numbered = found[::-1] if packing.order == "best_last" else found
        user = Message("user", _ask(question, numbered, attachment))
        messages = (system, *example, *turns, user)
        total = model.count_prompt(messages)
        if total + reserve <= n_ctx or (not turns and not found):
            break
        # Counts of parts do not add up exactly to the count of the whole: what matters least gives way.
        if len(turns) > 2 or (turns and not found):
            turns = turns[2:]
        else:
            found, sizes, dropped = found[:-1], sizes[:-1], dropped + 1
    left_out = []
    if missing + dropped:
        left_out.append(
            f"{missing + dropped} of {missing + dropped + len(found)} passages did not fit into the context of {n_ctx} tokens."
        )
    if len(turns) < len(history):
        left_out.append(
            f"The {len(history) - len(turns)} oldest messages of this chat did not fit into the context of {n_ctx} tokens."
        )
    sizes = sizes[::-1] if packing.order == "best_last" else sizes
    return PackedPrompt(
        messages=messages,
        parts=_parts(model, (system, *example), turns, question, attachment, summary, sizes, total),
        prompt_tokens=total,
        n_ctx=n_ctx,
        citations=tuple(Citation(n, passage.hit, passage.quote) for n, passage in enumerate(numbered, 1)),
        left_out=tuple(left_out),
    )


def _system(instructions: str, packing: Packing, summary: str, *, with_passages: bool) -> Message:
    said = instructions or (WORDINGS[packing.wording] if with_passages else PLAIN_INSTRUCTIONS)
    return Message("system", f"{said}\n\n{SUMMARY_OPENING}\n{summary}" if summary else said)


def _ask(question: str, passages: Sequence[Passage], attachment: str) -> str:
    parts = []
    if attachment:
        parts.append(f"Attached text:\n{attachment.strip()}")
    if passages:
        parts.append("\n\n".join(render(n, passage) for n, passage in enumerate(passages, 1)))
    parts.append(f"Question: {question.strip()}" if parts else question.strip())
    return "\n\n".join(parts)


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
    opening: Sequence[Message],
    turns: Sequence[Message],
    question: str,
    attachment: str,
    summary: str,
    passage_sizes: Sequence[int],
    total: int,
) -> tuple[PromptPart, ...]:
    """What the prompt is made of; `opening` are the instructions and the worked example."""
    system, *example = opening
    instructions, asked, attached, short, *rest = model.count_tokens(
        [system.content, question, attachment, summary, *(message.content for message in (*example, *turns))]
    )
    shown, earlier = rest[: len(example)], rest[len(example) :]
    named = [
        PromptPart("instructions", instructions - (short if summary else 0)),
        PromptPart("summary of earlier turns", short if summary else 0),
        PromptPart("worked example", sum(shown)),
        PromptPart("history", sum(earlier)),
        PromptPart("attached text", attached if attachment else 0),
        *(PromptPart(f"passage {n}", size) for n, size in enumerate(passage_sizes, 1)),
        PromptPart("question", asked),
    ]
    parts = [part for part in named if part.tokens]
    return (*parts, PromptPart("template", total - sum(part.tokens for part in parts)))
