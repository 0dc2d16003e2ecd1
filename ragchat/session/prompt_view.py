"""The exact prompt of an answer, past or next, as a plain value, and as text for a terminal without a screen.

It is read from what was recorded, or from a preview; nothing is asked or stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from ragchat.session.chat import Preview
from ragchat.session.replay import Recorded
from ragchat.text import clean, clean_line
from ragchat.types import ChatModel, Message, ModelInfo, PromptPart, Sampling

FREE = "free for the answer"
_BAR = 24


@dataclass(frozen=True, slots=True)
class PromptView:
    """A prompt and what is known of it. `seed_drawn` False: the seed is drawn when the question is sent.

    `rendered` is the prompt as the chat template writes it; where it is empty, `not_rendered` says why. `parts` is empty for
    answers of before they were kept. Foreign text is as it was sent: whoever shows it cleans it.
    """

    title: str
    model: str
    model_path: str
    adapter: str
    knowledge_bases: tuple[str, ...]
    query: str
    messages: tuple[Message, ...]
    parts: tuple[PromptPart, ...]
    prompt_tokens: int
    n_ctx: int
    left_out: tuple[str, ...]
    sampling: Sampling
    seed_drawn: bool = True
    rendered: str = ""
    not_rendered: str = ""
    created_at: str = ""

    @property
    def free(self) -> int:
        """Tokens of the context that the prompt leaves."""
        return max(0, self.n_ctx - self.prompt_tokens)

    @property
    def meter(self) -> tuple[PromptPart, ...]:
        """The parts, and what is free."""
        return (*self.parts, PromptPart(FREE, self.free)) if self.n_ctx else self.parts


def of_answer(record: Recorded, model: ChatModel | None) -> PromptView:
    """The prompt that an answer was made from. It is rendered when its model is loaded; nothing is loaded for it.

    A model that is answering would let the caller wait: give None then. Raises ModelError.
    """
    answer, generation = record.answer, record.generation
    rendered, why = "", ""
    if model is None:
        why = "An answer is being written; how the template writes this can be seen when it is done."
    elif model.info is None or model.info.path != generation.model_path:
        why = f"Only {generation.model} knows how its template writes this, and it is not loaded."
    else:
        before, model.thinking = model.thinking, bool(answer.reasoning)
        try:
            rendered = model.render_prompt(generation.prompt)
        finally:
            model.thinking = before
    counted = sum(part.tokens for part in generation.parts)
    return PromptView(
        title="The prompt of this answer",
        model=generation.model,
        model_path=generation.model_path,
        adapter=generation.adapter,
        knowledge_bases=generation.knowledge_bases,
        query=generation.query,
        messages=generation.prompt,
        parts=generation.parts,
        prompt_tokens=counted or (answer.timings.prompt_tokens if answer.timings else 0),
        n_ctx=generation.n_ctx,
        left_out=generation.left_out,
        sampling=generation.sampling,
        rendered=rendered,
        not_rendered=why,
        created_at=answer.created_at,
    )


def of_preview(preview: Preview, sampling: Sampling, info: ModelInfo, adapter: str = "") -> PromptView:
    """The prompt that the next question would send."""
    used, packed = preview.query, preview.prompt
    return PromptView(
        title="The prompt of the next question",
        model=info.name,
        model_path=info.path,
        adapter=adapter,
        knowledge_bases=used.knowledge_bases,
        query=" ".join([used.query, *(f"({term})" for term in used.topic)]),
        messages=packed.messages,
        parts=packed.parts,
        prompt_tokens=packed.prompt_tokens,
        n_ctx=packed.n_ctx,
        left_out=packed.left_out,
        sampling=sampling,
        seed_drawn=sampling.seed is not None,
        rendered=preview.rendered,
    )


def size_line(view: PromptView) -> str:
    """How full the context is."""
    if not view.n_ctx:
        return f"{view.prompt_tokens:,} tokens" if view.prompt_tokens else "sizes were not recorded"
    return f"{view.prompt_tokens:,} of {view.n_ctx:,} tokens"


def facts(view: PromptView) -> Iterator[tuple[str, str]]:
    """(name, value) of what else is known, each clean and on one line."""
    adapter = f" with the adapter {view.adapter}" if view.adapter else ""
    yield "model", clean_line(f"{view.model}{adapter}")
    if view.model_path:
        yield "file", clean_line(view.model_path)
    yield "documents", clean_line(", ".join(view.knowledge_bases)) or "none were asked"
    if view.knowledge_bases and view.query:
        yield "searched for", clean_line(view.query)
    yield "sampling", sampling_line(view.sampling)
    yield "seed", str(view.sampling.seed) if view.seed_drawn else "drawn when the question is sent"


def sampling_line(sampling: Sampling) -> str:
    """All settings of the sampling but the seed."""
    said = [
        f"{field.name} {value:g}" if isinstance(value, float) else f"{field.name} {value}"
        for field in dataclasses.fields(sampling)
        if field.name not in ("seed", "stop")
        for value in [getattr(sampling, field.name)]
    ]
    if sampling.stop:
        said.append(f"stop {', '.join(map(repr, sampling.stop))}")
    return clean_line(", ".join(said))


def messages_text(view: PromptView) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The messages under their roles, clean, and where the roles stand: (first, last) characters."""
    parts, places, end = [], [], 0
    for message in view.messages:
        heading = f"── {message.role} ──"
        part = f"{heading}\n{clean(message.content)}\n\n"
        places.append((end, end + len(heading)))
        parts.append(part)
        end += len(part)
    return "".join(parts).rstrip("\n"), tuple(places)


def bar(tokens: int, n_ctx: int, cells: int) -> str:
    """A share of the context as a bar; something that is there shows at least half a cell."""
    if not n_ctx:
        return ""
    halves = min(2 * cells, round(2 * cells * tokens / n_ctx))
    halves = max(halves, 1) if tokens else 0
    return "━" * (halves // 2) + "╸" * (halves % 2)


def as_lines(view: PromptView, *, rendered: bool = False) -> Iterator[str]:
    """All of it as plain lines: the meter, what was left out, the facts, the messages (or the rendered prompt)."""
    yield f"{view.title}: {size_line(view)}"
    for part in view.meter:
        yield f"  {part.name:<26} {part.tokens:>7}  {bar(part.tokens, view.n_ctx, _BAR)}".rstrip()
    for sentence in view.left_out:
        yield f"  left out: {clean_line(sentence)}"
    for name, value in facts(view):
        yield f"  {name}: {value}"
    yield ""
    text = clean(view.rendered) if rendered and view.rendered else messages_text(view)[0]
    yield from text.split("\n")
