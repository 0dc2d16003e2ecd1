"""From the logits of a context to the next token, in the inference process: samplers, grammar, log-probabilities.

A grammar looks at the token that was chosen without it; only when it refuses that one are others weighed, first the likeliest,
then all. llama.cpp ends the process when a grammar is given a token that it does not allow, so each is tried before.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import llama_cpp as lib
import numpy as np
import numpy.typing as npt

from ragchat.types import Sampling

_PENALTY_WINDOW = 64
_LIKELIEST = 256
"""Tokens that are weighed first when the grammar refuses the one that was chosen."""
_LONGEST_GRAMMAR = 200_000
"""Characters. llama.cpp parses by recursion, and a grammar without end would exhaust its stack."""
_DEEPEST = 200
"""Brackets inside brackets, for the same reason."""
_TOKEN = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])

Tokens = npt.NDArray[Any]


class GrammarError(Exception):
    """llama.cpp cannot read a grammar; the message is a phrase."""


class Choice(NamedTuple):
    """A token and ln p of it, before penalties, temperature and grammar; `outside` the answer no grammar counts."""

    token: int
    logprob: float
    outside: bool


class Grammar:
    """What an answer must be, in GBNF with the root rule `root`."""

    def __init__(self, vocab: Any, text: str) -> None:
        """Raises GrammarError."""
        if "\0" in text or len(text) > _LONGEST_GRAMMAR or _depth(text) > _DEEPEST:
            raise GrammarError("it is too long or too deep, or it has a zero character")
        self._sampler = lib.llama_sampler_init_grammar(vocab, text.encode("utf-8", "replace"), b"root")
        if not self._sampler:
            raise GrammarError("llama.cpp cannot read it (see inference.log)")

    def allows(self, token: int) -> bool:
        """Whether the answer may go on with this token, or end with it if it ends answers."""
        return bool(self.filter(_tokens(np.array([token]), np.zeros(1))).size)

    def filter(self, tokens: Tokens) -> Tokens:
        """Those of `tokens` that may come next."""
        lib.llama_sampler_apply(self._sampler, ctypes.byref(_as_array(tokens)))
        left: Tokens = tokens[np.isfinite(tokens["logit"])]
        return left

    def accept(self, token: int) -> None:
        """Go on by a token that it allows."""
        lib.llama_sampler_accept(self._sampler, token)

    def close(self) -> None:
        """Free it."""
        lib.llama_sampler_free(self._sampler)


class Sampler:
    """Chooses tokens for one answer."""

    def __init__(self, vocab: Any, sampling: Sampling) -> None:
        """Raises GrammarError."""
        self._vocab = vocab
        self._n_vocab: int = lib.llama_vocab_n_tokens(vocab)
        self._ids = np.arange(self._n_vocab, dtype=np.int32)
        self._grammar = Grammar(vocab, sampling.grammar) if sampling.grammar else None
        self._chain = _chain(self._n_vocab, sampling)
        self._plain = sampling.temperature <= 0 and sampling.repeat_penalty == 1.0
        """Nothing but the likeliest token, so no sampler needs to be asked."""
        self._scratch = np.empty(self._n_vocab, np.float32)

    def begin(self, tokens: Sequence[int]) -> None:
        """The answer that goes on begins with these. A beginning that the grammar refuses sets the grammar aside."""
        for token in tokens if self._grammar else ():
            self._follow(token)

    def sample(self, context: Any, outside: Callable[[int], bool], row: int = -1) -> Choice | None:
        """The next token; None when the grammar allows none. `outside`: whether a token is no part of the answer. `row`: of the
        last batch, the token behind which it comes.
        """
        logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(context, row), shape=(self._n_vocab,))
        if self._grammar is None:
            token = (
                int(logits.argmax()) if self._plain else lib.llama_sampler_sample(self._chain, context, row)
            )
            return Choice(token, self._logprob(logits, token), outside(token))
        token = self._chosen(_tokens(self._ids, logits))
        apart = outside(token)
        if not apart and not self._grammar.allows(token):
            token = self._allowed(self._grammar, logits)
            if token < 0:
                return None
        lib.llama_sampler_accept(self._chain, token)
        if not apart and not lib.llama_vocab_is_eog(self._vocab, token):
            self._grammar.accept(token)
        return Choice(token, self._logprob(logits, token), apart)

    def close(self) -> None:
        """Free what llama.cpp has of it."""
        lib.llama_sampler_free(self._chain)
        self._drop_grammar()

    def _follow(self, token: int) -> None:
        if self._grammar and self._grammar.allows(token):
            self._grammar.accept(token)
        else:
            self._drop_grammar()

    def _drop_grammar(self) -> None:
        if self._grammar:
            self._grammar.close()
            self._grammar = None

    def _allowed(self, grammar: Grammar, logits: npt.NDArray[np.float32]) -> int:
        """A token that the grammar allows, chosen among the likeliest or, when it refuses them, among all; -1: none."""
        few = min(_LIKELIEST, self._n_vocab)
        likeliest = np.argpartition(logits, self._n_vocab - few)[-few:].astype(np.int32)
        for ids in (np.sort(likeliest), self._ids):
            left = grammar.filter(_tokens(ids, logits[ids]))
            if left.size:
                return self._chosen(left)
        return -1

    def _logprob(self, logits: npt.NDArray[np.float32], token: int) -> float:
        top, scratch = logits.max(), self._scratch
        np.subtract(logits, top, out=scratch)
        chosen = float(scratch[token])
        np.exp(scratch, out=scratch)
        return chosen - float(np.log(scratch.sum()))

    def _chosen(self, tokens: Tokens) -> int:
        """What the chain of samplers takes of these; it is not told that it is taken."""
        array = _as_array(tokens)
        lib.llama_sampler_apply(self._chain, ctypes.byref(array))
        return int(array.data[array.selected if array.selected >= 0 else 0].id)


def _tokens(ids: npt.NDArray[Any], logits: npt.NDArray[Any]) -> Tokens:
    tokens = np.zeros(len(ids), _TOKEN)
    tokens["id"], tokens["logit"] = ids, logits
    return tokens


def _as_array(tokens: Tokens) -> Any:
    """The same memory as llama.cpp takes it; `tokens` must outlive it."""
    pointer = tokens.ctypes.data_as(lib.llama_token_data_p)
    return lib.llama_token_data_array(pointer, len(tokens), -1, False)


def _depth(text: str) -> int:
    """Most brackets that are open at once; those in literals count, too."""
    deepest = depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    return deepest


def _chain(n_vocab: int, sampling: Sampling) -> Any:
    params = lib.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = lib.llama_sampler_chain_init(params)
    if sampling.repeat_penalty != 1.0:
        penalties = lib.llama_sampler_init_penalties(
            n_vocab, _PENALTY_WINDOW, sampling.repeat_penalty, 0.0, 0.0
        )
        lib.llama_sampler_chain_add(chain, penalties)
    if sampling.temperature <= 0:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_greedy())
        return chain
    if sampling.top_k > 0:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_top_p(sampling.top_p, 1))
    if sampling.min_p > 0:
        lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_min_p(sampling.min_p, 1))
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_temp(sampling.temperature))
    lib.llama_sampler_chain_add(chain, lib.llama_sampler_init_dist(sampling.seed or 0))
    return chain
