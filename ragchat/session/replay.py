"""An old answer made again from its record: the same prompt, passages, sampling and seed, and where the words differ.

Nothing is searched and nothing is stored. Which model is loaded is the caller's business; what is not as it was is said.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ragchat.errors import AdapterError, NotFoundError, UsageError
from ragchat.session import citations
from ragchat.session.events import without_rewriting
from ragchat.session.preparing import owners_of
from ragchat.store.chats import ChatStore
from ragchat.types import (
    AdapterScale,
    CancelToken,
    ChatModel,
    Citation,
    FinishReason,
    Generation,
    GenerationFinished,
    LoadProgress,
    ModelInfo,
    PrefillProgress,
    ReasoningDelta,
    StoredMessage,
    TextDelta,
)

Verdict = Literal["identical", "beginning", "different"]
"""Word for word the same; the same as far as the shorter one goes, which was cut; anything else."""

UNRECORDED = (
    "Model, prompt, sampling and seed are those of the old answer. Flash attention, the version of llama.cpp and the machine are"
    " not recorded and may differ."
)
"""Measured with the default model, nine answers: a new process, other threads, n_batch or n_ctx change no word; flash attention
changes seven of them."""
_MARKER = re.compile(r"\s*\[\d{1,2}\]")
# A word with the blanks after it; scripts without blanks go by the character.
_WORD = re.compile(
    r"\s+|(?:[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]|[^\W\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]+|[^\w\s])\s*"
)
_LONGEST_COMPARED = 8000
"""Words. Beyond, what differs in the middle is shown as one piece: the comparison takes time by the square."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored answer and all it was made from. Invariant: `generation.prompt` is not empty."""

    answer: StoredMessage
    generation: Generation
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of words that both texts have, or only the new one ("added"), or only the old one ("removed")."""

    kind: Literal["same", "added", "removed"]
    text: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The end of a replay. `old` and `text` are compared: both without a notice, with their citations bound.

    `reasons` are sentences that say why the answers differ, or why they might have.
    """

    text: str
    old: str
    verdict: Verdict
    reasons: tuple[str, ...]
    model: str
    seed: int
    finish_reason: FinishReason

    @property
    def identical(self) -> bool:
        """Whether the answer came out word for word."""
        return self.verdict == "identical"


ReplayEvent = LoadProgress | PrefillProgress | ReasoningDelta | TextDelta | Replayed


def recorded(chats: ChatStore, answer_id: int) -> Recorded:
    """What is needed to make an answer again. Raises NotFoundError, UsageError when too little was kept."""
    answer = chats.message(answer_id)
    generation = chats.generation(answer_id)
    if generation is None or not generation.prompt:
        raise UsageError("The inputs of this answer were not recorded.", "Press r to regenerate the answer.")
    return Recorded(answer, generation, tuple(chats.citations(answer_id)))


def replay(model: ChatModel, record: Recorded, *, cancel: CancelToken) -> Iterator[ReplayEvent]:
    """Make the answer again with the model that is selected; the last event is a Replayed. Raises RagchatError."""
    generation, adapters = record.generation, record.generation.adapters
    thinking = bool(record.answer.reasoning)
    try:
        loaded = yield from model.load(cancel, thinking=thinking, adapters=adapters)
    except (NotFoundError, AdapterError):
        if not adapters:
            raise
        adapters = ()  # `what_differs` says so
        loaded = yield from model.load(cancel, thinking=thinking)
    said: list[str] = []
    owners = owners_of(record.answer.conversation_id, record.citations, generation.knowledge_bases)
    for event in loaded.generate(generation.prompt, generation.sampling, cancel=cancel, owners=owners):
        match event:
            case GenerationFinished():
                text = "".join(said).removesuffix(event.repeated)
                yield _finished(record, loaded.info, text, event, adapters)
            case TextDelta(text=text):
                said.append(text)
                yield event
            case _:
                yield event


def _finished(
    record: Recorded,
    info: ModelInfo,
    said: str,
    event: GenerationFinished,
    adapters: tuple[AdapterScale, ...],
) -> Replayed:
    text, old = said, record.answer.content
    if record.citations or record.generation.knowledge_bases:
        text = citations.bind(said, record.citations, without_rewriting(record.generation.query)).text
        # Which statements have a number also depends on what the search told then.
        text = old if _words(text) == _words(old) else text
    verdict = _verdict(record, text, event.finish_reason)
    reasons = [*_cuts(record, verdict, event), *what_differs(record, info, adapters)]
    if verdict == "different" and not reasons:
        reasons.append(UNRECORDED)
    return Replayed(text, old, verdict, tuple(reasons), info.name, event.seed, event.finish_reason)


def _words(text: str) -> str:
    """The model's own words."""
    return _MARKER.sub("", text).strip()


def _verdict(record: Recorded, text: str, reason: FinishReason) -> Verdict:
    old = record.answer.content
    if text == old:
        return "identical"
    # Where an answer ends decides which of its sentences are given a marker, so beginnings are compared without.
    new_words, old_words = _words(text), _words(old)
    cut_old = record.answer.state != "complete"
    if (cut_old and new_words.startswith(old_words)) or (
        reason in ("cancelled", "length", "repeats") and old_words.startswith(new_words)
    ):
        return "beginning"
    return "different"


def _cuts(record: Recorded, verdict: Verdict, event: GenerationFinished) -> Iterator[str]:
    answer = record.answer
    if event.finish_reason == "cancelled":
        yield "The replay was stopped early."
    elif answer.state != "complete" and verdict != "identical":
        yield "The old answer was not complete."
    elif answer.timings and answer.timings.prompt_tokens > event.prompt_tokens and verdict != "identical":
        # The last of its prompts held the answer so far, and only the first is recorded.
        yield "The old answer was continued after it was cut off. Only its first part can be replayed."


def what_differs(
    record: Recorded, info: ModelInfo, adapters: tuple[AdapterScale, ...] = ()
) -> tuple[str, ...]:
    """What is not as it was when the answer was written, as sentences; empty: nothing that is recorded."""
    generation, said = record.generation, []
    if generation.model != info.name:
        said.append(f"The old answer was written by {generation.model}; this one is by {info.name}.")
    elif generation.model_path and generation.model_path != info.path:
        said.append(f"The model file has moved to {info.path} and may be a different one.")
    elif _written_since(info.path, record.answer.created_at):
        said.append("The model file is newer than the old answer and may be a different one.")
    if generation.adapters != adapters:
        said.append(
            f"The old answer was written with {_adapter(generation.adapters)}, this one with {_adapter(adapters)}."
        )
    endless = (
        generation.sampling.max_tokens == 0 or record.answer.reasoning
    )  # only these end where the context does
    if endless and generation.n_ctx and generation.n_ctx != info.n_ctx:
        said.append(f"The context holds {info.n_ctx} tokens now; it held {generation.n_ctx}.")
    return tuple(said)


def _adapter(adapters: Sequence[AdapterScale]) -> str:
    return f"the adapter {AdapterScale.join(adapters)}" if adapters else "no adapter"


def _written_since(path: str, at: str) -> bool:
    try:
        then = datetime.fromisoformat(at)
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC) > then
    except (OSError, ValueError, TypeError):  # no such file; an odd time; one without a zone
        return False


def difference(old: str, new: str) -> tuple[Piece, ...]:
    """How to come from `old` to `new`, word by word; blanks do not count. What was removed is before what was added.

    All but the removed pieces together are `new`.
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    if max(len(before), len(after)) > _LONGEST_COMPARED:
        return _coarse(before, after)
    words = [word.strip() or "\n" for word in before], [word.strip() or "\n" for word in after]
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    pieces: list[Piece] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", "".join(after[c:d])))
            continue
        if b > a:
            pieces.append(Piece("removed", "".join(before[a:b])))
        if d > c:
            pieces.append(Piece("added", "".join(after[c:d])))
    return tuple(pieces)


def _coarse(before: Sequence[str], after: Sequence[str]) -> tuple[Piece, ...]:
    """Common beginning, common end, and what is between."""
    shortest = min(len(before), len(after))
    first = next((i for i in range(shortest) if before[i] != after[i]), shortest)
    last = next((i for i in range(shortest - first) if before[-1 - i] != after[-1 - i]), shortest - first)
    pieces = (
        Piece("same", "".join(before[:first])),
        Piece("removed", "".join(before[first : len(before) - last])),
        Piece("added", "".join(after[first : len(after) - last])),
        Piece("same", "".join(before[len(before) - last :])),
    )
    return tuple(piece for piece in pieces if piece.text)
