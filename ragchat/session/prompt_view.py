"""The exact prompt of an answer, past or next, as a plain value.

It is read from what was recorded, or from a preview; nothing is asked or stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from ragchat.session.chat import Preview
from ragchat.session.replay import Recorded
from ragchat.text import clean, clean_line, counted
from ragchat.types import (
    AdapterScale,
    ChatModel,
    Message,
    ModelInfo,
    Omission,
    PromptPart,
    PromptPartKind,
    Sampling,
)

FREE = PromptPartKind.FREE


@dataclass(frozen=True, slots=True)
class PromptView:
    """A prompt and what is known of it. `seed_drawn` False: the seed is chosen when you send the question.

    `rendered` is the prompt as the chat template writes it; where it is empty, `not_rendered` says why. `parts` is empty for
    answers of before they were kept. Foreign text is as it was sent: whoever shows it cleans it.
    """

    title: str
    model: str
    model_path: str
    adapters: tuple[AdapterScale, ...]
    knowledge_bases: tuple[str, ...]
    query: str
    messages: tuple[Message, ...]
    parts: tuple[PromptPart, ...]
    prompt_tokens: int
    n_ctx: int
    left_out: tuple[Omission, ...]
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
        why = "The model is busy with an answer. You can see the formatted prompt when it is done."
    elif (loaded := model.loaded(thinking=bool(answer.reasoning))) is None or (
        loaded.info.path != generation.model_path
    ):
        why = f"To see the formatted prompt, load {generation.model}."
    else:
        rendered = loaded.render_prompt(generation.prompt)
    counted = sum(part.tokens for part in generation.parts)
    return PromptView(
        title="The prompt of this answer",
        model=generation.model,
        model_path=generation.model_path,
        adapters=generation.adapters,
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


def of_preview(
    preview: Preview, sampling: Sampling, info: ModelInfo, adapters: tuple[AdapterScale, ...] = ()
) -> PromptView:
    """The prompt that the next question would send."""
    used, packed = preview.query, preview.prompt
    return PromptView(
        title="The prompt of the next question",
        model=info.name,
        model_path=info.path,
        adapters=adapters,
        knowledge_bases=used.knowledge_bases,
        query=used.recorded,
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
        return counted(view.prompt_tokens, "token") if view.prompt_tokens else "sizes not recorded"
    return f"{view.prompt_tokens:,} of {view.n_ctx:,} tokens"


def facts(view: PromptView) -> Iterator[tuple[str, str]]:
    """(name, value) of what else is known, each clean and on one line."""
    adapter = f" with the adapter {AdapterScale.join(view.adapters)}" if view.adapters else ""
    yield "model", clean_line(f"{view.model}{adapter}")
    if view.model_path:
        yield "file", clean_line(view.model_path)
    yield "documents", clean_line(", ".join(view.knowledge_bases)) or "none"
    if view.knowledge_bases and view.query:
        yield "searched for", clean_line(view.query)
    yield "sampling", sampling_line(view.sampling)
    yield "seed", str(view.sampling.seed) if view.seed_drawn else "chosen when you send the question"


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
