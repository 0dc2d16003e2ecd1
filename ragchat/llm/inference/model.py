"""A model that llama.cpp has loaded: its vocabulary, its tokens, its template. What it reads and writes is in `context`."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp as lib

from ragchat.llm.inference import reasoning
from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.template import ChatTemplate, Piece


class Model:
    """Its file is mapped until `close`."""

    def __init__(self, path: str, *, abort: AbortFlag, on_progress: Callable[[float], None]) -> None:
        """Map the file. Raises LlamaError; a damaged file may also end the process, which is why it is one of its own."""
        lib.llama_backend_init()
        params = lib.llama_model_default_params()

        @lib.llama_progress_callback  # type: ignore[untyped-decorator]
        def progress(fraction: float, _: Any) -> bool:
            on_progress(fraction)
            return not abort.is_set

        params.progress_callback = progress
        if b"AMX_INT8 = 1" in lib.llama_print_system_info():
            params.use_extra_bufts = (
                False  # docs/decisions/0003-amx.md: its matrix code faults when built with GCC 12
            )
        self.pointer = lib.llama_model_load_from_file(path.encode(), params)
        if not self.pointer:
            raise LlamaError(
                "model", "cancelled" if abort.is_set else "llama.cpp cannot load it (see inference.log)"
            )
        self.vocab = lib.llama_model_get_vocab(self.pointer)
        self.n_ctx_train: int = lib.llama_model_n_ctx_train(self.pointer)
        self.n_params: int = lib.llama_model_n_params(self.pointer)
        self.size_bytes: int = lib.llama_model_size(self.pointer)
        self.architecture = self._metadata("general.architecture")
        self.chat_template = self._metadata("tokenizer.chat_template")
        buffer = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self.pointer, buffer, 256)
        self.description = buffer.value.decode("utf-8", "replace")
        self.bos = self._token_text(lib.llama_vocab_bos(self.vocab))
        self.eos = self._token_text(lib.llama_vocab_eos(self.vocab))
        self._controls = self._control_pattern()
        self.markers = reasoning.find(
            self.chat_template, lambda text: len(self.tokenize(text, special=True)) == 1
        )
        self._marker_tokens = {
            token
            for marker in (self.markers or reasoning.USUAL).all
            for token in self.tokenize(marker, special=True)
        }

    def close(self) -> None:
        """Free the memory of llama.cpp; what belongs to the model is closed before."""
        if self.pointer:
            lib.llama_model_free(self.pointer)
            self.pointer = None

    def tokenize(self, text: str, *, special: bool, add_bos: bool = False) -> list[int]:
        """Tokens of `text`; with `special`, control tokens in it are control tokens."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        buffer = (lib.llama_token * size)()
        n = lib.llama_tokenize(self.vocab, data, len(data), buffer, size, add_bos, special)
        if n < 0:
            buffer = (lib.llama_token * -n)()
            n = lib.llama_tokenize(self.vocab, data, len(data), buffer, -n, add_bos, special)
        return list(buffer[:n])

    def prompt_tokens(self, pieces: Sequence[Piece], *, begins: bool = True) -> list[int]:
        """Tokens of a rendered prompt. Control tokens are those of the template only. With `begins`, nothing is before it.

        The whole is tokenised at once, as the model saw it in training. Where someone's text spells a control token, the text
        is parted inside that word, and no tokeniser can join it again. A line break at the end of an answer that continues is
        tokenised as it is in front of a word: many tokenisers join it with the one before when nothing follows.
        """
        if pieces and pieces[-1].foreign and pieces[-1].text.endswith("\n"):
            tokens = self.prompt_tokens([*pieces, Piece("x", False)], begins=begins)
            if self.piece(tokens[-1]) == b"x":
                return tokens[:-1]
        parts = [""]
        for piece in pieces:
            start = 0
            if piece.foreign and self._controls:
                for match in self._controls.finditer(piece.text):
                    middle = match.start() + max(1, len(match.group()) // 2)
                    parts[-1] += piece.text[start:middle]
                    parts.append("")
                    start = middle
            parts[-1] += piece.text[start:]
        has_bos = bool(self.bos) and parts[0].startswith(self.bos)
        tokens = []
        for number, part in enumerate(parts):
            tokens += self.tokenize(part, special=True, add_bos=begins and number == 0 and not has_bos)
        return tokens

    def template(self, plain_source: str) -> ChatTemplate:
        """The model's own chat template, or the plain one. Raises TemplateError."""
        return ChatTemplate(
            self.chat_template or plain_source, bos=self.bos, eos=self.eos, markers=self.markers
        )

    def answer_tokens(self, prompt: Sequence[Piece], answer: str, after: str) -> tuple[list[int], int]:
        """(tokens of the prompt with the answer and the token that ends it, where the answer starts).

        The whole is tokenised at once where that leaves the prompt as it is when it is asked, else the answer alone. `after` is
        what the template writes behind an answer: the first token in it that ends a generation ends this one.
        """
        before = self.prompt_tokens(prompt)
        whole = self.prompt_tokens([*prompt, Piece(answer, True)]) if answer else before
        if whole[: len(before)] != before:
            whole = before + self.prompt_tokens([Piece(answer, True)], begins=False)
        ends = [t for t in self.tokenize(after, special=True) if self.ends(t)]
        usual = (lib.llama_vocab_eot(self.vocab), lib.llama_vocab_eos(self.vocab))
        return whole + [*ends, *(token for token in usual if token >= 0)][:1], len(before)

    def ends(self, token: int) -> bool:
        """Whether this token ends an answer."""
        return bool(lib.llama_vocab_is_eog(self.vocab, token))

    def piece(self, token: int) -> bytes:
        """Text of a token; control tokens have none, unless they mark reasoning."""
        special = token in self._marker_tokens
        buffer = ctypes.create_string_buffer(64)
        n = lib.llama_token_to_piece(self.vocab, token, buffer, 64, 0, special)
        if n < 0:
            buffer = ctypes.create_string_buffer(-n)
            n = lib.llama_token_to_piece(self.vocab, token, buffer, -n, 0, special)
        return buffer.raw[:n]

    def _metadata(self, key: str) -> str:
        size = 4096
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = lib.llama_model_meta_val_str(self.pointer, key.encode(), buffer, size)
            if n < size:
                return buffer.value.decode("utf-8", "replace") if n >= 0 else ""
            size = n + 1

    def _token_text(self, token: int) -> str:
        return (
            (lib.llama_vocab_get_text(self.vocab, token) or b"").decode("utf-8", "replace")
            if token >= 0
            else ""
        )

    def _control_pattern(self) -> re.Pattern[str] | None:
        """All spellings that the tokeniser would turn into control tokens, the longest first."""
        wanted = (
            lib.LLAMA_TOKEN_ATTR_CONTROL | lib.LLAMA_TOKEN_ATTR_UNKNOWN | lib.LLAMA_TOKEN_ATTR_USER_DEFINED
        )
        texts = {
            text
            for token in range(lib.llama_vocab_n_tokens(self.vocab))
            if lib.llama_vocab_get_attr(self.vocab, token) & wanted
            and len(text := self._token_text(token)) > 1
        }
        # Tokens of white space alone (runs of blanks that code models define) control nothing.
        texts = {text for text in texts if text.strip()}
        return (
            re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
            if texts
            else None
        )
