"""A question in the words of the documents: the model writes a sentence as a manual would put the answer, and it is searched
for as well. Only where the first search is unsure and the model is known, or large enough, to be worth the wait.

The sentence may be wrong; it is never shown as an answer. Gao et al., Precise zero-shot dense retrieval without relevance labels
(2022); Wang et al., Query2doc (2023).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from ragchat.errors import CancelledError, ModelError
from ragchat.paths import write_atomically
from ragchat.retrieval.analyzer import query_terms, stop_terms
from ragchat.session.packing import model_key
from ragchat.text import clean_line
from ragchat.types import CancelToken, LoadedModel, Message, ModelInfo, Sampling, TextDelta
from ragchat.types.defaults import MIN_CONFIDENCE, MIN_MATCH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ragchat.retrieval.search import SearchResult
    from ragchat.types.embedding import Embedder, EmbeddingModel

    Vectors = NDArray[np.float32]

Choice = Literal["off", "on", "auto"]
Worth = Callable[[Collection[str]], Mapping[str, float]]
"""The idf of those terms that the documents hold."""

REVISION = "1"
"""Changes with the wording below and with how the text is used; evaluation keys its runs by it."""
INSTRUCTIONS = (
    "Write one sentence of a manual that answers this question. Use the terms that a manual would use, in the language of the"
    " question. Write only that sentence."
)
FEWEST_PARAMETERS = 10**9
"""Of a model that no one measured: from here, "auto" is on. A judgement: no model of that size could be measured."""
FILE = "rewritings.json"
LONGEST_S = 8.0
LONGEST_TOKENS = 48
_LONGEST_QUESTION = 600
"""Characters; what is longer is a text that was pasted in, and its beginning says what is asked."""
_LONGEST_TEXT = 300
_COVERED = 0.9
"""Match from which the words of the question are all there, so that other words have little to add ("PYTHONPATH")."""
_WEIGHT = 0.3
_SHARE = 0.5
"""What the added terms may weigh together, as a share of the weight of the question's own terms."""
_MOST_TERMS = 16
_MARKS = re.compile(r"^(?:[-*•>#\"'“”„«`\s]|\d+[.)]\s|(?:answer|sentence|question)\s*:)+", re.IGNORECASE)
_RECORDED = re.compile(r" \[also: [^\]]*\]$")


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Whether and when questions are written again. `choice` is the setting, `measured` what was found out, by `model_key`.

    `min_match` and `min_confidence` are those of the chat: from which a search counts as successful.
    """

    choice: Choice = "off"
    measured: Mapping[str, bool] = field(default_factory=dict)
    min_match: float = MIN_MATCH
    min_confidence: float = MIN_CONFIDENCE


# --- when -------------------------------------------------------------------------------------------------


def when(result: SearchResult, rewriting: Rewriting, info: ModelInfo | None) -> bool:
    """Whether the question is written again after a search with this `result`; without `info`, as if the model were able."""
    return unsure(result, rewriting) and serves(rewriting, info)


def unsure(result: SearchResult, rewriting: Rewriting) -> bool:
    """Whether the words of the question may not be those of the documents.

    A search is sure when its confidence is as near to 1 as the one that counts as a failure is to 0, or when a passage holds
    (nearly) all of the question. How far the first hits are apart adds nothing (`retrieval.confidence`). `result` needs a match.
    """
    if not result.hits or result.match < rewriting.min_match:
        return True
    sure = max(rewriting.min_confidence, 1 - rewriting.min_confidence)
    return result.confidence < sure and result.match < _COVERED


def serves(rewriting: Rewriting, info: ModelInfo | None) -> bool:
    """Whether this model writes: "auto" goes by what was measured for its file, then by its size."""
    if rewriting.choice != "auto" or info is None:
        return rewriting.choice != "off"
    return rewriting.measured.get(model_key(info), info.n_params >= FEWEST_PARAMETERS)


def read_measured(file: Path) -> dict[str, bool]:
    """For which model files it was measured to pay, by `model_key`; empty when there is no such file or it cannot be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, bool])
    except (OSError, msgspec.DecodeError):
        return {}


def write_measured(file: Path, info: ModelInfo, *, pays: bool) -> None:
    """Keep what was measured for a model file. Raises OSError."""
    measured = {**read_measured(file), model_key(info): pays}
    write_atomically(file, msgspec.json.format(msgspec.json.encode(measured), indent=1))


# --- what the model writes --------------------------------------------------------------------------------


class _Bounded(CancelToken):
    """Set when another token is, or after some seconds."""

    def __init__(self, outer: CancelToken, seconds: float) -> None:
        super().__init__()
        self._outer, self._ends = outer, time.monotonic() + seconds

    @property
    def cancelled(self) -> bool:
        """Whether the end was asked for, or came."""
        return super().cancelled or self._outer.cancelled or self.late

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._ends


def rewrite(
    model: LoadedModel, question: str, cancel: CancelToken, *, seconds: float = LONGEST_S, before: str = ""
) -> str:
    """One line as the documents would put the answer, the same each time; empty when the model has none within `seconds`.

    For a follow-up, `before` is the question that it leans on. Raises CancelledError. A model that fails costs the line alone.
    """
    own = _Bounded(cancel, seconds)
    written = ""
    greedy = Sampling(temperature=0, repeat_penalty=1.0, max_tokens=LONGEST_TOKENS, seed=0)
    try:
        for event in model.generate(_asked(question, before), greedy, cancel=own):
            if isinstance(event, TextDelta) and "\n" not in written.strip(" "):
                written = (written + event.text).lstrip()
                if "\n" in written:
                    own.cancel()
    except ModelError:
        return ""
    if cancel.cancelled:
        raise CancelledError("Stopped.")
    # Half a line would be another one each time.
    complete = "\n" in written or not own.late
    return _line(written) if complete else ""


def _asked(question: str, before: str) -> tuple[Message, ...]:
    asked = " ".join(clean_line(text, limit=_LONGEST_QUESTION) for text in (before, question) if text)
    return (Message("user", f"{INSTRUCTIONS}\n\nQuestion: {asked}"),)


def _line(written: str) -> str:
    first = written.partition("\n")[0]
    return clean_line(_MARKS.sub("", first), limit=_LONGEST_TEXT).strip("\"'“”„»«` ")


# --- how it is used ---------------------------------------------------------------------------------------


def weights(text: str, question: str, languages: Sequence[str], worth: Worth) -> dict[str, float]:
    """Terms of `text` that the question lacks and the documents hold, the rarest first, each with a small weight.

    Together they weigh at most half of what the question's own terms weigh, so that an invented sentence cannot outweigh it.
    """
    asked = query_terms(question, languages)
    idf = worth([*asked, *(terms := query_terms(text, languages))])
    # A small model writes the instructions off.
    stops = {term for language in languages for term in stop_terms(language)} | set(
        query_terms(INSTRUCTIONS, languages)
    )
    added = [term for term in terms if term in idf and term not in asked and term not in stops]
    added = list(islice(sorted(added, key=lambda term: -idf[term]), _MOST_TERMS))
    own, more = sum(idf.get(term, 0.0) for term in asked), _WEIGHT * sum(idf[term] for term in added)
    factor = min(1.0, _SHARE * own / more) if more else 0.0
    return {term: _WEIGHT * factor for term in added} if factor else {}


class Averaging:
    """An embedder for questions that are also put in other words: the vector of both, halfway. Others stay with their owner."""

    def __init__(self, embedder: Embedder, text: str) -> None:
        self._embedder, self._text = embedder, text

    @property
    def model(self) -> EmbeddingModel:
        """The model behind it."""
        return self._embedder.model

    def embed_query(self, text: str) -> Vectors:
        """Between the question and the text, as a passage would have it. Raises ModelError."""
        import numpy as np

        both = self._embedder.embed_query(text) + self._embedder.embed_passages([self._text])[0]
        return both / max(float(np.linalg.norm(both)), 1e-9)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """One vector of unit length for each text. Raises ModelError."""
        return self._embedder.embed_passages(texts)

    def close(self) -> None:
        """Nothing to do here."""


def recorded(text: str) -> str:
    """How a rewriting is kept behind the query of an answer."""
    return f"[also: {clean_line(text).replace(']', ')')}]"


def without(query: str) -> str:
    """A recorded query without the rewriting: what was asked."""
    return _RECORDED.sub("", query)
