"""Chat templates: messages to the text that the model was trained on, by the template in the GGUF.

The template is foreign code: it runs in jinja2's immutable sandbox, inside the inference process, against a clock. Message
contents are not given to it: it places marks, which are then replaced, so that the prompt is a list of pieces of which each
is known to be the template's or somebody's text.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ragchat.types import Message

PLAIN_FORMATS = {
    "chatml": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "alpaca": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}### Instruction:\n{{ m.content }}\n\n"
        "{% else %}### Response:\n{{ m.content }}\n\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}### Response:\n{% endif %}"
    ),
    "vicuna": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}USER: {{ m.content }}\n{% else %}ASSISTANT: {{ m.content }}</s>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
    "plain": (
        "{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}\n\n"
        "{% elif m.role == 'user' %}Question: {{ m.content }}\n{% else %}Answer: {{ m.content }}\n\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}Answer:{% endif %}"
    ),
}
"""Formats for models that bring no template; which one fits is for the person to say."""

LONGEST_RENDERING = 1_000_000


class TemplateError(Exception):
    """The template cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the prompt. `foreign` is text in which control tokens must stay text."""

    text: str
    foreign: bool


class ChatTemplate:
    """A compiled template."""

    def __init__(self, source: str, *, bos: str, eos: str, thinking: bool = False) -> None:
        """Raises TemplateError when `source` does not compile."""
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            undefined=jinja2.ChainableUndefined,
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        self._variables = {"bos_token": bos, "eos_token": eos, "enable_thinking": thinking, "tools": None}
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError(f"its chat template does not compile: {error}") from error

    def render(self, messages: Sequence[Message]) -> list[Piece]:
        """The prompt for `messages`, ending where the answer begins. Raises TemplateError.

        A template without a place for instructions, or which insists that turns alternate, gets the instructions in front of
        the first question.
        """
        try:
            return self._render(messages)
        except TemplateError:
            if messages and messages[0].role == "system" and len(messages) > 1:
                first, second, *rest = messages
                return self._render([Message(second.role, f"{first.content}\n\n{second.content}"), *rest])
            raise

    def _render(self, messages: Sequence[Message]) -> list[Piece]:
        import jinja2

        marks = [f"\ue000{secrets.token_hex(8)}\ue001" for _ in messages]
        turns = [{"role": m.role, "content": mark} for m, mark in zip(messages, marks, strict=True)]
        try:
            text = self._template.render(messages=turns, add_generation_prompt=True, **self._variables)
        except (
            jinja2.TemplateError,
            TypeError,
            ValueError,
            AttributeError,
            KeyError,
            IndexError,
            ArithmeticError,
        ) as error:
            raise TemplateError(f"its chat template refuses these messages: {error}") from error
        except (RecursionError, MemoryError) as error:
            raise TemplateError("its chat template does not come to an end") from error
        if len(text) > LONGEST_RENDERING:
            raise TemplateError("its chat template writes more than a million characters")
        pieces: list[Piece] = []
        for mark, message in zip(marks, messages, strict=True):
            before, found, text = text.partition(mark)
            if not found or mark in text:
                raise TemplateError(f"its chat template does not show each {message.role} message once")
            pieces += [Piece(before, False), Piece(message.content, True)]
        pieces.append(Piece(text, False))
        return [piece for piece in pieces if piece.text]


def _refuse(reason: str) -> None:
    raise TemplateError(reason)
