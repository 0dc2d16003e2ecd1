"""Chat templates: messages to the text that the model was trained on, by the template in the GGUF.

The template is foreign code: it runs in jinja2's immutable sandbox, inside the inference process, against a clock. Message
contents are not given to it: it places marks, which are then replaced, so that the prompt is a list of pieces of which each
is known to be the template's or someone's text.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ragchat.llm.inference.reasoning import Markers
from ragchat.types import Message

if TYPE_CHECKING:
    from jinja2.nodes import Node
    from jinja2.parser import Parser

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
"""Formats for models that bring no template; which one fits is for the user to say."""

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

    def __init__(self, source: str, *, bos: str, eos: str, markers: Markers | None = None) -> None:
        """`markers` are those of a model that can think. Raises TemplateError when `source` does not compile."""
        import jinja2
        from jinja2.ext import Extension
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        class Generation(Extension):
            """`{% generation %}` marks for a trainer what the model wrote; here it means nothing."""

            tags = {"generation"}  # noqa: RUF012

            def parse(self, parser: Parser) -> list[Node]:
                next(parser.stream)
                return parser.parse_statements(("name:endgeneration",), drop_needle=True)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols", Generation],
            undefined=jinja2.ChainableUndefined,
        )
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
        self._variables = {"bos_token": bos, "eos_token": eos, "tools": None}
        self._markers = markers
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError(f"its chat template does not compile: {error}") from error

    def render(self, messages: Sequence[Message], *, thinking: bool = False) -> list[Piece]:
        """The prompt for `messages`, ending where the answer begins, or continues. Raises TemplateError.

        When they end with an assistant's turn that says something, the prompt ends with its text, without the white space at
        its end that a model writes together with the next word (see `spaces_after`). Such a model has thought before; the
        reasoning themselves are not shown to it again. Without `thinking` an answer begins behind its reasoning, whatever the
        template does. A template without a place for instructions, or which insists that turns alternate, gets the
        instructions in front of the first question.
        """
        begun = ""
        if messages and messages[-1].role == "assistant":
            text, messages = messages[-1].content, messages[:-1]
            begun = text.rstrip(" ") if text.strip() else ""
        thinking = thinking and not begun
        try:
            pieces = self._render(messages, thinking)
        except TemplateError:
            if not messages or messages[0].role != "system" or len(messages) < 2:
                raise
            first, second, *rest = messages
            joined = Message(second.role, f"{first.content}\n\n{second.content}")
            pieces = self._render([joined, *rest], thinking)
        if not thinking and self._markers:
            end = self._markers.end if self.opens_thoughts(pieces) else self._markers.skip
            pieces.append(Piece(end, False))
        pieces.append(Piece(begun, True))
        return [piece for piece in pieces if piece.text]

    def opens_thoughts(self, pieces: Sequence[Piece]) -> bool:
        """Whether a prompt ends inside the reasoning of the model."""
        if self._markers is None or not pieces or pieces[-1].foreign:
            return False
        return self._markers.left_open(pieces[-1].text)

    def _render(self, messages: Sequence[Message], thinking: bool) -> list[Piece]:
        import jinja2

        marks = [f"\ue000{secrets.token_hex(8)}\ue001" for _ in messages]
        turns = [{"role": m.role, "content": mark} for m, mark in zip(messages, marks, strict=True)]
        try:
            text = self._template.render(
                messages=turns,
                add_generation_prompt=True,
                enable_thinking=thinking,
                thinking=thinking,
                **self._variables,
            )
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
            raise TemplateError("its chat template does not terminate") from error
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


def spaces_after(messages: Sequence[Message]) -> int:
    """How many spaces at the end of an answer that continues `ChatTemplate.render` leaves out: they are there already."""
    if not messages or messages[-1].role != "assistant":
        return 0
    text = messages[-1].content
    return len(text) - len(text.rstrip(" ")) if text.strip() else 0


def _refuse(reason: str) -> None:
    raise TemplateError(reason)
