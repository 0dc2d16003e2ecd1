"""Examples that teach a model to answer from passages: with the right one among others, with others alone, cited or refused.

After RAFT (Zhang et al., Adapting Language Model to Domain Specific RAG, 2024). The prompt of each is made by `session.prompt`
from what the search finds, as it is in a chat, so that what is learned makes RAG better instead of standing in for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ragchat.evaluation.answer_metrics import holds
from ragchat.finetune.examples import Example, Rejected
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session import prompt
from ragchat.session.packing import Packing
from ragchat.session.sources import Sources
from ragchat.types import CancelToken, Hit, LoadedModel, Message
from ragchat.types.defaults import PASSAGE_SHARE

WITHOUT_THE_RIGHT_ONE = 0.04
"""Share of the examples whose passages do not hold the answer; it is refused there. A small model hardly learns when to refuse
but readily learns that it may: at 0.2 one of 135 million parameters refused a third of what it could answer, at 0.1 a seventh.
"""
REFUSAL = "The passages do not hold the answer."
_FOUND = 12
_ANSWER_TOKENS = 96
_LONGEST_SENTENCE = 60
"""Words. What is longer is no sentence to read out; the answer alone is learned then."""

Form = Literal["sentence", "short"]
"""What the answer says: the sentence of the passage that holds the answer, as it is there, or the answer alone. To copy the right
sentence is within reach of small models, and it can be checked at a glance; to cut the right words out of it mostly is not."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the answer that stands word for word in a document; `path` of that document, empty when unknown."""

    question: str
    answer: str
    source: str
    group: str
    path: str = ""


def build(  # noqa: PLR0913
    model: LoadedModel,
    searcher: Searcher,
    asked: Sequence[Asked],
    packing: Packing,
    *,
    passages: tuple[int, ...] = (),
    form: Form = "sentence",
    refusals: float = WITHOUT_THE_RIGHT_ONE,
    share: float = PASSAGE_SHARE,
    seed: int = 0,
    cancel: CancelToken,
    on_progress: Callable[[float], None] = lambda _: None,
) -> tuple[list[Example], list[Rejected]]:
    """An example for each question whose answer the search finds. The model is loaded, for its template and its n_ctx.

    `packing` is the chat's; how many passages a prompt has is drawn from `passages` (empty: as the packing says, and one more),
    so that the model learns to choose. `refusals` is the share of examples without
    the right passage. The same seed gives the same examples. Raises ModelError.
    """
    draw = random.Random(seed)
    counts = passages or (packing.passages, packing.passages + 1)
    examples: list[Example] = []
    rejected: list[Rejected] = []
    for number, question in enumerate(asked, 1):
        if cancel.cancelled:
            break
        way = replace(packing, passages=draw.choice(counts), example=False)
        refuse = draw.random() < refusals
        hits = _context(searcher, question, way.passages, refuse=refuse, draw=draw)
        if hits is None:
            rejected.append(Rejected(question.source, number, "the search finds no passage with the answer"))
        elif example := _example(model, question, hits, way, share, form, refuse=refuse):
            examples.append(example)
        else:
            rejected.append(Rejected(question.source, number, "the right passage does not fit in the prompt"))
        on_progress(number / len(asked))
    return examples, rejected


def _context(
    searcher: Searcher, asked: Asked, passages: int, *, refuse: bool, draw: random.Random
) -> tuple[Hit, ...] | None:
    """The passages of one prompt, in the order in which they were found; None when there is no right one."""
    found = searcher.search(asked.question, _FOUND).hits
    right = [
        hit for hit in found if holds(hit.text, [asked.answer]) and (not asked.path or hit.path == asked.path)
    ]
    wrong = [hit for hit in found if not holds(hit.text, [asked.answer])]
    if not right or (refuse and not wrong):
        return None
    if refuse:
        return tuple(wrong[:passages])
    chosen = [right[0], *wrong[: passages - 1]]
    # Mostly as the search ranks them; now and then elsewhere, so that no place is trusted blindly.
    if draw.random() < 0.3:
        draw.shuffle(chosen)
        return tuple(chosen)
    return tuple(sorted(chosen, key=lambda hit: hit.rank))


def _example(
    model: LoadedModel,
    asked: Asked,
    hits: Sequence[Hit],
    way: Packing,
    share: float,
    form: Form,
    *,
    refuse: bool,
) -> Example | None:
    info = model.info
    packed = prompt.pack(
        model,
        asked.question,
        Sources(tuple(replace(hit, rank=rank) for rank, hit in enumerate(hits, 1))),
        prompt.Layout(info.n_ctx, way, passage_share=share, answer_tokens=_ANSWER_TOKENS),
    )
    if refuse:
        answer = REFUSAL
    else:
        shown = packed.messages[-1].content
        right = next((c for c in packed.citations if holds(c.hit.text, [asked.answer])), None)
        if right is None or not holds(shown, [asked.answer]):
            return None
        said = _sentence(right.hit.text, asked, shown) if form == "sentence" else ""
        answer = f"{(said or asked.answer).rstrip('.')} [{right.n}]."
    return Example(
        (*packed.messages, Message("assistant", answer)),
        asked.source,
        asked.group,
        asked.question,
        "refusal" if refuse else "cited",
        (REFUSAL,) if refuse else (asked.answer,),
    )


def _sentence(text: str, asked: Asked, shown: str) -> str:
    """The sentence of `text` that holds the answer and most of the question's words, if the prompt shows it; empty if none."""
    words = set(asked.question.casefold().split())
    plain_shown = " ".join(shown.split())
    best, most = "", -1
    for first, last in sentence_spans(text):
        sentence = " ".join(text[first:last].split())
        if holds(sentence, [asked.answer]) and sentence in plain_shown:
            shared = len(words & set(sentence.casefold().split()))
            if shared > most and len(sentence.split()) <= _LONGEST_SENTENCE:
                best, most = sentence, shared
    return best
