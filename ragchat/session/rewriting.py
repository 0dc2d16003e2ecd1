"""A question in the words of the documents: the model writes a sentence as a manual would put the answer, and it is searched
for as well. Only where the first search is unsure, and for a model that is worth the wait.

The first search takes milliseconds, so the model writes after it rather than beside it. Its sentence may be wrong: it never
takes the place of the question's own words, and it is no answer. Gao et al., Precise zero-shot dense retrieval without
relevance labels (2022); Wang et al., Query2doc (2023).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

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

    from ragchat.retrieval.search import Ranking, Searcher, SearchResult
    from ragchat.types.embedding import Embedder, EmbeddingModel

    Vectors = NDArray[np.float32]

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
_WEIGHT = 0.5
_SHARE = 1.0
"""What the added terms may weigh together, as a share of the weight of the question's own terms."""
_KEPT = 0.5
"""Least confidence of the second search, as a share of the first one's: it could score more, so it reaches less of that."""
_AGAIN = "\n"
"""Behind the question of a second search: a searcher remembers the vector of its last question, and this is another one."""
_MOST_TERMS = 16
_MARKS = re.compile(r"^(?:[-*•>#\"'“”„«`\s]|\d+[.)]\s|(?:answer|sentence|question)\s*:)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Whether questions are written again: `choice` is "off", "on" or "auto", `measured` says for which `model_key` it pays."""

    choice: str = "off"
    measured: Mapping[str, bool] = field(default_factory=dict)


OFF = Rewriting()


# --- when -------------------------------------------------------------------------------------------------


def unsure(
    result: SearchResult, *, min_match: float = MIN_MATCH, min_confidence: float = MIN_CONFIDENCE
) -> bool:
    """Whether the words of the question may not be those of the documents; `result` needs a match (with_evidence).

    `min_match` and `min_confidence` are those from which a search counts as successful. It is sure when its confidence is as
    near to 1 as `min_confidence` is to 0, or when one passage holds nearly all of the question. How far the first hits are
    apart adds nothing to that (`retrieval.confidence`).
    """
    if not result.hits or result.match < min_match:
        return True
    return result.confidence < max(min_confidence, 1 - min_confidence) and result.match < _COVERED


def serves(rewriting: Rewriting, info: ModelInfo | None) -> bool:
    """Whether this model writes: "auto" goes by what was measured for its file, then by its size; None: as if it could."""
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


class Averaging:
    """An embedder for questions that are put in other words as well. The one behind it stays with whoever opened it."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._also = ""

    @property
    def model(self) -> EmbeddingModel:
        """The model behind it."""
        return self._embedder.model

    @contextmanager
    def put_as(self, text: str) -> Iterator[None]:
        """Meanwhile a question stands halfway between itself and `text`, which is embedded as a passage."""
        self._also = text
        try:
            yield
        finally:
            self._also = ""

    def embed_query(self, text: str) -> Vectors:
        """The vector of a question, shape (dimensions,). Raises ModelError."""
        vector = self._embedder.embed_query(text.removesuffix(_AGAIN))
        if not self._also:
            return vector
        import numpy as np

        both = vector + self._embedder.embed_passages([self._also])[0]
        halfway: Vectors = (both / max(float(np.linalg.norm(both)), 1e-9)).astype(np.float32)
        return halfway

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors of passages, shape (texts, dimensions). Raises ModelError."""
        return self._embedder.embed_passages(texts)

    def close(self) -> None:
        """Nothing to do here."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A query as it was first searched for: its text, further terms with their weights, whether they belong to it."""

    text: str
    weights: Mapping[str, float] = field(default_factory=dict)
    follow_up: bool = False


def search_again(
    searcher: Searcher,
    meant: Averaging | None,
    sought: Sought,
    text: str,
    worth: Worth,
    k: int,
    ranking: Ranking,
) -> SearchResult:
    """Search for a query and for `text`; `meant` is the embedder of the searcher (None: words alone). Raises StorageError."""
    more = weights(text, sought.text, searcher.languages(), worth)
    with meant.put_as(text) if meant else nullcontext():
        return searcher.search(
            sought.text + _AGAIN,
            k,
            weights={**more, **sought.weights},
            follow_up=sought.follow_up,
            ranking=ranking,
        )


def weights(text: str, question: str, languages: Sequence[str], worth: Worth) -> dict[str, float]:
    """Terms of `text` that the question lacks and the documents hold, the rarest first, each with the same small weight.

    Together they weigh no more than the question's own terms, so that an invented sentence cannot outweigh it.
    """
    terms, asked = query_terms(text, languages), query_terms(question, languages)
    idf = worth([*asked, *terms])
    # A small model writes the instructions off.
    nothing = {*asked, *query_terms(INSTRUCTIONS, languages), *chain(*map(stop_terms, languages))}
    added = sorted(
        (term for term in terms if term in idf and term not in nothing), key=lambda term: -idf[term]
    )
    added = added[:_MOST_TERMS]
    own, more = sum(idf.get(term, 0.0) for term in asked), _WEIGHT * sum(idf[term] for term in added)
    factor = min(1.0, _SHARE * own / more) if more else 0.0
    return dict.fromkeys(added, _WEIGHT * factor) if factor else {}


def better(first: SearchResult, second: SearchResult) -> bool:
    """Whether the second search is kept: where its confidence, which counts the added terms too, has not fallen by half."""
    return bool(second.hits) and second.confidence >= _KEPT * first.confidence
