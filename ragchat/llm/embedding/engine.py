"""An encoder in llama.cpp through its low-level API: texts to pooled vectors. Only the embedding process imports this."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import llama_cpp as lib

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_MOST_SEQUENCES = 16
"""Texts that are read in one step."""
_BATCH_TOKENS = 256
"""Tokens of one step, unless one text is longer. Larger steps are slower, since each token is compared with the whole step."""
_SIGNS_PER_TOKEN = 16
"""No token of a text that is read is longer on average, so what lies beyond need not be tokenised."""


_LONG_WORD = re.compile(r"[^\W_\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]{101,}")
_UNKNOWN = "𓀀"
"""A word that is in no vocabulary: a hieroglyph."""


class EngineError(Exception):
    """A sentence without its full stop."""


class Engine:
    """A loaded model. Not thread-safe."""

    def __init__(self, path: str, *, n_ctx: int, n_threads: int) -> None:
        """Map the file. A text is cut after `n_ctx` tokens. Raises EngineError."""
        lib.llama_backend_init()
        params = lib.llama_model_default_params()
        if b"AMX_INT8 = 1" in lib.llama_print_system_info():
            params.use_extra_bufts = False  # docs/decisions/0003-amx.md
        self._context: Any = None
        self._model = lib.llama_model_load_from_file(path.encode(), params)
        if not self._model:
            raise EngineError("llama.cpp cannot load it")
        self._vocab = lib.llama_model_get_vocab(self._model)
        self.n_ctx = max(8, min(n_ctx, lib.llama_model_n_ctx_train(self._model)))
        self._n_batch = max(_BATCH_TOKENS, self.n_ctx)
        self._context = self._new_context(n_threads, lib.LLAMA_POOLING_TYPE_UNSPECIFIED)
        if lib.llama_pooling_type(self._context) == lib.LLAMA_POOLING_TYPE_NONE:  # older files do not say
            lib.llama_free(self._context)
            self._context = self._new_context(n_threads, lib.LLAMA_POOLING_TYPE_MEAN)
        self.pooling: int = lib.llama_pooling_type(self._context)
        self.dimensions: int = lib.llama_model_n_embd_out(self._model)
        self._batch = lib.llama_batch_init(self._n_batch, 0, 1)
        self._word_piece = lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_WPM
        self._end = self._end_tokens()

    def close(self) -> None:
        """Free the memory of llama.cpp."""
        if self._context:
            lib.llama_batch_free(self._batch)
            lib.llama_free(self._context)
            self._context = None
        if self._model:
            lib.llama_model_free(self._model)
            self._model = None

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of unit length, shape (texts, dimensions). Raises EngineError."""
        import numpy as np

        vectors = self._pooled([self.tokens(text) for text in texts], self.dimensions)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0, lengths, 1)
        return vectors

    def rank(self, query: str, texts: Sequence[str]) -> Floats:
        """What the rank head says of each pair, shape (texts,). The text is cut, not the question. Raises EngineError."""
        if self.pooling != lib.LLAMA_POOLING_TYPE_RANK:
            raise EngineError("it has no rank head")
        asked = self._tokenize(query, whole=False)[: self.n_ctx // 2]
        return self._pooled([self._pair(asked, text) for text in texts], 1)[:, 0]

    def tokens(self, text: str) -> list[int]:
        """The tokens of a text between those that open and close it, cut to `n_ctx`; control words in it are text."""
        tokens = self._tokenize(text, whole=True)
        if len(tokens) <= self.n_ctx:
            return tokens or self._tokenize(
                ".", whole=True
            )  # some models neither open nor close an empty text
        return [*tokens[: self.n_ctx - len(self._end)], *self._end]

    # --- computing ----------------------------------------------------------------------------------

    def _pooled(self, sequences: Sequence[list[int]], width: int) -> Floats:
        import numpy as np

        found = np.empty((len(sequences), width), np.float32)
        for first, step in self._steps(sequences):
            self._compute(step)
            for number in range(len(step)):
                row = lib.llama_get_embeddings_seq(self._context, number)
                if not row:
                    raise EngineError("it returns no vectors")
                found[first + number] = np.ctypeslib.as_array(row, (width,))
        return found

    def _steps(self, sequences: Sequence[list[int]]) -> Iterator[tuple[int, Sequence[list[int]]]]:
        """(number of the first, sequences) of each step: together at most `_n_batch` tokens."""
        first = tokens = 0
        for number, sequence in enumerate(sequences):
            tokens += len(sequence)
            if number > first and (tokens > _BATCH_TOKENS or number - first == _MOST_SEQUENCES):
                yield first, sequences[first:number]
                first, tokens = number, len(sequence)
        if first < len(sequences):
            yield first, sequences[first:]

    def _compute(self, sequences: Sequence[list[int]]) -> None:
        batch, at = self._batch, 0
        for number, sequence in enumerate(sequences):
            for position, token in enumerate(sequence):
                batch.token[at], batch.pos[at] = token, position
                batch.n_seq_id[at], batch.seq_id[at][0], batch.logits[at] = 1, number, True
                at += 1
        batch.n_tokens = at
        memory = lib.llama_get_memory(self._context)  # only models that could write text have one
        if memory:
            lib.llama_memory_clear(memory, True)
        compute = lib.llama_decode if memory else lib.llama_encode
        if code := compute(self._context, batch):
            raise EngineError(f"llama.cpp failed with code {code} on {at} tokens")

    def _new_context(self, n_threads: int, pooling: int) -> Any:
        params = lib.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = self._n_batch
        params.n_seq_max = _MOST_SEQUENCES
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = n_threads
        params.pooling_type = pooling
        params.embeddings = True
        params.no_perf = True
        context = lib.llama_init_from_model(self._model, params)
        if not context:
            raise EngineError("there is not enough memory")
        return context

    # --- tokens -------------------------------------------------------------------------------------

    def _pair(self, asked: list[int], text: str) -> list[int]:
        """A question and a text as a cross-encoder reads them: [CLS] question [SEP] text [SEP]."""
        begin = [token for token in (lib.llama_vocab_bos(self._vocab),) if token >= 0]
        head = [*begin, *asked, *self._end]
        if lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_UGM:  # XLM-R has two between them
            head += self._end
        room = self.n_ctx - len(head) - len(self._end)
        return [*head, *self._tokenize(text, whole=False)[:room], *self._end]

    def _end_tokens(self) -> list[int]:
        """What the tokeniser puts behind every text: of no text there is only what opens and what closes."""
        around = self._tokenize("", whole=True)
        return around[1:] if lib.llama_vocab_get_add_bos(self._vocab) else around

    def _tokenize(self, text: str, *, whole: bool) -> list[int]:
        data = self._prepared(text[: self.n_ctx * _SIGNS_PER_TOKEN]).encode("utf-8", "replace")
        size = len(data) + 8
        buffer = (lib.llama_token * size)()
        count = lib.llama_tokenize(self._vocab, data, len(data), buffer, size, whole, False)
        if count < 0:
            buffer = (lib.llama_token * -count)()
            count = lib.llama_tokenize(self._vocab, data, len(data), buffer, -count, whole, False)
        return list(buffer[:count])

    def _prepared(self, text: str) -> str:
        """For a WordPiece vocabulary what its models were trained with and llama.cpp leaves out: words of more than 100 signs
        are unknown, and no letter has an accent.
        """
        if not self._word_piece:
            return text
        text = _LONG_WORD.sub(_UNKNOWN, text)
        if text.isascii():
            return text
        return "".join(
            sign for sign in unicodedata.normalize("NFD", text) if unicodedata.category(sign) != "Mn"
        )
