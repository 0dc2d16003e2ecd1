"""An old answer made again from its record: the same prompt, passages, sampling and seed, and where the words differ.

Nothing is searched and nothing is stored. Which model is loaded is the caller's business; what is not as it was is said.
"""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from ragchat.errors import AdapterError, NotFoundError, RagchatError, UsageError
from ragchat.session import citations
from ragchat.session.chat import NO_ROOM, NOT_FROM_DOCUMENTS
from ragchat.store.chats import ChatStore
from ragchat.types import (
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
    "Model, prompt, sampling and seed are those of the old answer. What is not recorded may differ: whether flash attention is"
    " used, the version of llama.cpp, the machine."
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

    @property
    def own_words(self) -> str:
        """The answer without a notice that stands before it."""
        text = self.answer.content
        for notice in (NOT_FROM_DOCUMENTS, NO_ROOM):
            text = text.removeprefix(f"{notice}\n\n")
        return text


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
        return self.verdict == "identical"


ReplayEvent = LoadProgress | PrefillProgress | ReasoningDelta | TextDelta | Replayed


def recorded(chats: ChatStore, answer_id: int) -> Recorded:
    """What is needed to make an answer again. Raises NotFoundError, UsageError when too little was kept."""
    answer = chats.message(answer_id)
    generation = chats.generation(answer_id)
    if generation is None or not generation.prompt:
        raise UsageError("It is not recorded what this answer was made from.", "r answers the question anew.")
    return Recorded(answer, generation, tuple(chats.citations(answer_id)))


def replay(model: ChatModel, record: Recorded, *, cancel: CancelToken) -> Iterator[ReplayEvent]:
    """Make the answer again with the model that is selected; the last event is a Replayed. Raises RagchatError."""
    answer, generation = record.answer, record.generation
    before, model.thinking = model.thinking, bool(answer.reasoning)
    adapters = model.adapters
    try:
        yield from model.load(cancel)
        with contextlib.suppress(NotFoundError, AdapterError):  # then `what_differs` says so
            if model.adapters != generation.adapter:
                model.set_adapters(generation.adapter)
        info = model.info
        assert info
        said: list[str] = []
        for event in model.generate(generation.prompt, generation.sampling, cancel=cancel):
            match event:
                case GenerationFinished():
                    yield _finished(record, info, "".join(said), event, model.adapters)
                case TextDelta(text=text):
                    said.append(text)
                    yield event
                case _:
                    yield event
    finally:
        model.thinking = before
        if model.adapters != adapters:
            with contextlib.suppress(RagchatError):
                model.set_adapters(adapters)


def _finished(
    record: Recorded, info: ModelInfo, said: str, event: GenerationFinished, adapters: str
) -> Replayed:
    text, old = said, record.own_words
    if record.citations or record.generation.knowledge_bases:
        text, _ = citations.bind(said, record.citations, record.generation.query)
    verdict = _verdict(record, text, event.finish_reason)
    reasons = [*_cuts(record, verdict, event), *what_differs(record, info, adapters)]
    if verdict == "different" and not reasons:
        reasons.append(UNRECORDED)
    return Replayed(text, old, verdict, tuple(reasons), info.name, event.seed, event.finish_reason)


def _verdict(record: Recorded, text: str, reason: FinishReason) -> Verdict:
    old = record.own_words
    if text == old:
        return "identical"
    # Where an answer ends decides which of its sentences are given a marker, so beginnings are compared without.
    new_words, old_words = _MARKER.sub("", text).strip(), _MARKER.sub("", old).strip()
    cut_old = record.answer.state != "complete"
    if (cut_old and new_words.startswith(old_words)) or (
        reason in ("cancelled", "length") and old_words.startswith(new_words)
    ):
        return "beginning"
    return "different"


def _cuts(record: Recorded, verdict: Verdict, event: GenerationFinished) -> Iterator[str]:
    answer = record.answer
    if event.finish_reason == "cancelled":
        yield "The replay was stopped before its end."
    elif answer.state != "complete" and verdict != "identical":
        yield "The old answer ended before it was whole."
    elif answer.timings and answer.timings.prompt_tokens > event.prompt_tokens and verdict != "identical":
        # The last of its prompts held the answer so far, and only the first is recorded.
        yield "The old answer was continued after it had been cut; only its first part can be made again."


def what_differs(record: Recorded, info: ModelInfo, adapters: str = "") -> tuple[str, ...]:
    """What is not as it was when the answer was written, as sentences; empty: nothing that is recorded."""
    generation, said = record.generation, []
    if generation.model != info.name:
        said.append(f"The old answer was written by {generation.model}; this one is by {info.name}.")
    elif generation.model_path and generation.model_path != info.path:
        said.append(f"The model file lies elsewhere now ({info.path}), and may be another one.")
    elif _written_since(info.path, record.answer.created_at):
        said.append("The model file was written after the old answer, so it may be another one.")
    if generation.adapter != adapters:
        said.append(
            f"The old answer was written with {_adapter(generation.adapter)}, this one with {_adapter(adapters)}."
        )
    endless = (
        generation.sampling.max_tokens == 0 or record.answer.reasoning
    )  # only these end where the context does
    if endless and generation.n_ctx and generation.n_ctx != info.n_ctx:
        said.append(f"The context holds {info.n_ctx} tokens now; it held {generation.n_ctx}.")
    return tuple(said)


def _adapter(adapters: str) -> str:
    return f"the adapter {adapters}" if adapters else "no adapter"


def _written_since(path: str, at: str) -> bool:
    try:
        then = datetime.fromisoformat(at)
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC) > then
    except (OSError, ValueError, TypeError):  # no such file; an odd time; one without a zone
        return False


def difference(old: str, new: str) -> tuple[Piece, ...]:
    """How to come from `old` to `new`, word by word; blanks do not count. What was removed stands before what was added.

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
    """Common beginning, common end, and what stands between."""
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
