"""Packing the prompt by real token counts. Its order serves the cache: instructions, earlier turns, then what changes.

Instructions and question are always in; then the newest exchange; then passages in the order of their rank, up to their share
of the context; older turns have what is left. The prompt and the room for the answer never exceed n_ctx, and what did not fit
is said. How hits become passages is up to `session.packing`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ragchat.errors import PromptTooLongError
from ragchat.session import answer_grammar, attachment
from ragchat.session.attachment import Prepared
from ragchat.session.packing import Packing, Passage, pack_hits, render
from ragchat.session.sources import Sources
from ragchat.types import Citation, Message, Omission, OmissionKind, PromptPart, PromptPartKind

REVISION = "6"
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
OPENED = "Question:"
"""In front of the question, behind everything else."""
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


class Counts(Protocol):
    """What packing needs of a model (`types.LoadedModel`)."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text."""

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of a whole prompt."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was said before the question: whole exchanges, oldest first, and a summary that represents those before them."""

    turns: tuple[Message, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a prompt is made. Passages, and what is attached, each have at most `passage_share` of the `n_ctx` tokens.

    `answer_tokens` is the longest answer that is wanted (0: no limit). What a model `thinks` before it answers needs room, too.
    """

    n_ctx: int
    packing: Packing
    passage_share: float
    answer_tokens: int
    instructions: str = ""
    thinks: bool = False

    @property
    def reserve(self) -> int:
        """Tokens that are kept free for the answer."""
        if self.thinks:
            return self.n_ctx // 2
        return max(SMALLEST_ANSWER, min(self.answer_tokens or self.n_ctx, self.n_ctx // 4))


@dataclass(frozen=True, slots=True)
class PackedPrompt:
    """What is sent: `messages` with their exact `prompt_tokens`; `citations` are the passages in it, numbered from 1, then those
    in what is attached. `kept_turns` of the earlier turns are in it.

    Invariant: prompt_tokens + SMALLEST_ANSWER <= n_ctx.
    """

    messages: tuple[Message, ...]
    parts: tuple[PromptPart, ...]
    prompt_tokens: int
    n_ctx: int
    citations: tuple[Citation, ...]
    left_out: tuple[Omission, ...]
    kept_turns: int = 0
    passages: tuple[str, ...] = ()
    """The passages as the prompt has them, under their numbers."""
    grammar: str = ""
    """What the answer is held to (`Sampling.grammar`)."""
    before: tuple[str, ...] = ()
    """What is in front of the question in the last message: what is attached, then the passages."""

    def beginning(self, kept: int) -> tuple[Message, ...]:
        """The messages with the first `kept` pieces of `before` as the last one; with all of them, up to the question itself."""
        last = "".join(f"{piece}\n\n" for piece in self.before[:kept])
        opened = OPENED if self.before and kept >= len(self.before) else ""
        return (*self.messages[:-1], Message("user", last + opened))


def pack(
    model: Counts, question: str, sources: Sources, layout: Layout, earlier: Earlier = Earlier()
) -> PackedPrompt:
    """Fit everything into the context. Raises PromptTooLongError."""
    attached = attachment.prepare(
        question,
        sources,
        first_number=sources.first_attached(layout.packing.passages),
        n_ctx=layout.n_ctx,
        share=layout.passage_share,
        count=model.count_tokens,
    )
    frame = _Frame(question, attached, earlier.summary, layout)
    cites = bool(sources.hits)
    base = model.count_prompt(frame.messages(_Draft(), cites=cites))
    if base + SMALLEST_ANSWER > layout.n_ctx:
        raise _too_long(base, layout.n_ctx, with_attachment=bool(attached.text))
    room = max(0, layout.n_ctx - base - layout.reserve)
    newest = _newest_turns(model, earlier.turns[-2:], room)
    spoken = sum(model.count_tokens([turn.content for turn in newest])) if newest else 0
    example = _EXAMPLE if layout.packing.example and cites else ()
    shown = model.count_prompt(frame.messages(_Draft(example), cites=cites)) - base if example else 0
    if shown > (room - spoken) // 2:  # a passage is worth more than an example
        example, shown = (), 0
    room -= shown
    passage_room = max(0, min(room - spoken, int(layout.n_ctx * layout.passage_share)))
    found, sizes, missing = pack_hits(
        model.count_tokens, question, sources.hits, layout.packing, room=passage_room, quotes=sources.quotes
    )
    turns = _newest_turns(model, earlier.turns, room - sum(sizes))
    draft, tokens = _shortened(model, frame, _Draft(example, turns, tuple(found), tuple(sizes)))
    missing += len(found) - len(draft.passages)
    numbered = frame.numbered(draft)
    return PackedPrompt(
        messages=frame.messages(draft),
        parts=_parts(model, frame, draft, tokens),
        prompt_tokens=tokens,
        n_ctx=layout.n_ctx,
        citations=(*(Citation(n, p.hit, p.quote) for n, p in enumerate(numbered, 1)), *attached.citations),
        left_out=(*_left_out(layout, draft, missing, len(earlier.turns)), *attached.left_out),
        kept_turns=len(draft.turns),
        passages=tuple(_rendered(numbered)),
        grammar=_grammar(frame, numbered),
        before=tuple(_before(numbered, attached.text)),
    )


def opening(model: Counts, layout: Layout, earlier: Earlier, *, cites: bool) -> tuple[Message, ...]:
    """What the next prompt begins with, up to its passages: instructions, summary, example and the turns so far.

    `cites`: passages are expected, and have their share of the room; where the turns do not fit beside it no turn is in, since
    which of them a prompt keeps depends on its passages.
    """
    frame = _Frame("", Prepared(""), earlier.summary, layout)
    example = _EXAMPLE if layout.packing.example and cites else ()
    [system, *_] = frame.messages(_Draft(example), cites=cites)
    begun = (system, *example)
    share = layout.passage_share if cites else 0.0
    room = layout.n_ctx - layout.reserve - int(layout.n_ctx * share) - model.count_prompt(begun)
    turns = _newest_turns(model, earlier.turns, room)
    kept = turns if len(turns) == len(earlier.turns) else ()
    return (*begun, *kept, Message("user", ""))


def _grammar(frame: _Frame, passages: Sequence[Passage]) -> str:
    """None where something else is to be answered from, or somebody's own instructions may want another shape."""
    if not passages or frame.attached.text or frame.layout.instructions:
        return ""
    return answer_grammar.held_to(frame.layout.packing.answer, [passage.text for passage in passages])


def _too_long(tokens: int, n_ctx: int, *, with_attachment: bool) -> PromptTooLongError:
    return PromptTooLongError(
        f"The question{' with the attached text' if with_attachment else ''} has {tokens} tokens. The context has {n_ctx}, and an"
        f" answer needs {SMALLEST_ANSWER}.",
        "Shorten it, or raise model.n_ctx.",
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """What gives way when there is no room. `passages` are best first, `sizes` their tokens."""

    example: tuple[Message, ...] = ()
    turns: tuple[Message, ...] = ()
    passages: tuple[Passage, ...] = ()
    sizes: tuple[int, ...] = ()

    def shorter(self) -> _Draft:
        """Without what matters least: the oldest exchange, unless it is the newest and there are passages."""
        if len(self.turns) > 2 or (self.turns and not self.passages):
            return replace(self, turns=self.turns[2:])
        return replace(self, passages=self.passages[:-1], sizes=self.sizes[:-1])


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is in the prompt whatever gives way."""

    question: str
    attached: Prepared
    summary: str
    layout: Layout

    def messages(self, draft: _Draft, *, cites: bool = False) -> tuple[Message, ...]:
        """The prompt; `cites`: with the instructions of one that has passages."""
        example = draft.example if draft.passages or cites else ()
        user = Message("user", _ask(self.question, self.numbered(draft), self.attached.text))
        return (self._system(draft, cites=cites), *example, *draft.turns, user)

    def numbered(self, draft: _Draft) -> tuple[Passage, ...]:
        """The passages in the order of their numbers."""
        return draft.passages[::-1] if self.layout.packing.order == "best_last" else draft.passages

    def _system(self, draft: _Draft, *, cites: bool) -> Message:
        with_passages = bool(draft.passages or self.attached.citations) or cites
        usual = WORDINGS[self.layout.packing.wording] if with_passages else PLAIN_INSTRUCTIONS
        said = self.layout.instructions or usual
        return Message("system", f"{said}\n\n{SUMMARY_OPENING}\n{self.summary}" if self.summary else said)


def _shortened(model: Counts, frame: _Frame, draft: _Draft) -> tuple[_Draft, int]:
    """The draft as far as it fits, and its tokens: counts of parts do not add up exactly to the count of the whole."""
    most = frame.layout.n_ctx - frame.layout.reserve
    while (tokens := model.count_prompt(frame.messages(draft))) > most and (draft.turns or draft.passages):
        draft = draft.shorter()
    return draft, tokens


def _left_out(layout: Layout, draft: _Draft, missing: int, turns: int) -> Iterator[Omission]:
    if missing:
        yield Omission(OmissionKind.PASSAGES, missing, missing + len(draft.passages), layout.n_ctx)
    if len(draft.turns) < turns:
        yield Omission(OmissionKind.MESSAGES, turns - len(draft.turns), turns, layout.n_ctx)


def _rendered(passages: Sequence[Passage]) -> list[str]:
    return [render(n, passage) for n, passage in enumerate(passages, 1)]


def _ask(question: str, passages: Sequence[Passage], attachment: str) -> str:
    before = _before(passages, attachment)
    return "\n\n".join([*before, f"{OPENED} {question.strip()}" if before else question.strip()])


def _before(passages: Sequence[Passage], attachment: str) -> list[str]:
    attached = [f"Attached text:\n{attachment.strip()}"] if attachment else []
    return attached + _rendered(passages)


def _newest_turns(model: Counts, history: Sequence[Message], room: int) -> tuple[Message, ...]:
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


def _parts(model: Counts, frame: _Frame, draft: _Draft, total: int) -> tuple[PromptPart, ...]:
    """What the prompt of `total` tokens is made of."""
    example = draft.example if draft.passages else ()
    system, attached, summary = frame.messages(draft)[0], frame.attached.text, frame.summary
    instructions, asked, brought, short, *rest = model.count_tokens(
        [system.content, frame.question, attached, summary, *(m.content for m in (*example, *draft.turns))]
    )
    sizes = draft.sizes[::-1] if frame.layout.packing.order == "best_last" else draft.sizes
    named = [
        PromptPart(PromptPartKind.INSTRUCTIONS, instructions - (short if summary else 0)),
        PromptPart(PromptPartKind.SUMMARY, short if summary else 0),
        PromptPart(PromptPartKind.EXAMPLE, sum(rest[: len(example)])),
        PromptPart(PromptPartKind.HISTORY, sum(rest[len(example) :])),
        PromptPart(PromptPartKind.ATTACHED, brought if attached else 0),
        *(PromptPart(PromptPartKind.PASSAGE, size, n) for n, size in enumerate(sizes, 1)),
        PromptPart(PromptPartKind.QUESTION, asked),
    ]
    parts = [part for part in named if part.tokens]
    template = total - sum(part.tokens for part in parts)
    return (*parts, PromptPart(PromptPartKind.TEMPLATE, template))
