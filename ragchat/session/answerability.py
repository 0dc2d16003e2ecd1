"""Whether the documents answer a question: a chance from 0 to 1, before the model writes and again after it.

Many small signs are weighed together: how sure the search is, what of the question one sentence of the best passages holds,
which of its names are missing there, whether a sentence adds what was asked for, and in the end what the model and the check of
its statements tell. The weights are those of logistic regressions and lie in answerability.toml (benchmarks/answerable.py fits
them). A sign that is not known counts as the usual one.
"""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ragchat.errors import ModelError
from ragchat.paths import write_atomically
from ragchat.retrieval.analyzer import QueryWord, detect, is_beside, query_words, stop_terms, terms
from ragchat.retrieval.proximity import is_gram
from ragchat.retrieval.search import SearchResult
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.marking import without_markers
from ragchat.types import Citation, GenerationFinished, Hit
from ragchat.types.answers import Quote, Statement, Verdict

if TYPE_CHECKING:
    from ragchat.types.embedding import Embedder

Worth = Callable[[Collection[str]], Mapping[str, float]]
"""The idf of those terms that the documents hold (`Vocabulary.idf`)."""

REVISION = 1
"""Changes with the signs and their weights; evaluation keys its runs by it."""
_READ = 3
"""Passages whose sentences are looked at."""
_BEFORE = "before"
"""The log-odds by words alone, or before the model, as a sign beside others."""
_BEGINNING = 0.6
"""What the beginning of a word counts where the word itself is missing."""
_LEAST_WORTH = 0.05
_NEAR_0 = 1e-4
_NAMED = re.compile(r"[\w'’.-]+")
_DIGIT = re.compile(r"\d")
_POSSESSIVE = re.compile(r"['’][sS]$")
_TELLING = frozenset({"en"})
"""Languages in which the words of the default model tell whether it found an answer: what it writes in others is its own."""
_NOUNS_IN_CAPITALS = frozenset({"de", "lb"})


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of a question, its hits and its answer; None: not known.

    Of the search: `sure` (log-odds of its confidence), `match`, `common` (about the share of the passages that hold the rarest
    word of the question: large in a collection of few, where all scores are small). Of the question: `grams` (share of its words
    that are pieces of a script without spaces). Of the sentences: `sentence` (share of the question, by idf, that the best one
    holds), `names` (how many names and numbers of the question its best two neighbours lack), `quote` (log-odds of the chance of
    the best quote), `near` (see `nearness`). Of the model: `first` (ln p of its first token), `likely` (mean ln p of its
    tokens), `borrowed` (as the function says). Of the check: `supported` and `found` (shares of the statements that are
    supported, and not unfounded), `silent` (1 where nothing was claimed, else 0).
    """

    sure: float | None = None
    match: float | None = None
    common: float | None = None
    grams: float | None = None
    sentence: float | None = None
    names: float | None = None
    quote: float | None = None
    near: float | None = None
    first: float | None = None
    likely: float | None = None
    borrowed: float | None = None
    supported: float | None = None
    found: float | None = None
    silent: float | None = None


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Below these chances a strict chat declines before the model writes, and "The passages do not say." is below an answer."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Own:
    """What the questions of a reader changed: `slope` and `intercept` of the log-odds (Platt scaling), and the threshold.

    `least` None: the shipped threshold.
    """

    slope: float = 1.0
    intercept: float = 0.0
    least: float | None = None


AS_SHIPPED = Own()


# --- the chance -------------------------------------------------------------------------------------------


def before(signals: Signals, own: Own = AS_SHIPPED) -> float:
    """The chance, 0 to 1, that the documents answer, by the search and the sentences; half of the questions it was fitted on
    had an answer. 0 where nothing was found.
    """
    if _nothing(signals):
        return 0.0
    return rescaled(_logistic(log_odds(signals)), own)


def log_odds(signals: Signals) -> float:
    """Those of the shipped chance before the model."""
    weights = _weights()
    by_words = weights.before.log_odds(asdict(signals))
    if signals.near is None:
        return by_words
    return weights.near.log_odds({_BEFORE: by_words, "near": signals.near})


def after(signals: Signals, own: Own = AS_SHIPPED) -> float:
    """The same with what the model and the check of its answer tell; where its words tell nothing, `before`."""
    if _nothing(signals) or signals.borrowed is None:
        return before(signals, own)
    return rescaled(_logistic(_weights().after.log_odds(asdict(signals) | {_BEFORE: log_odds(signals)})), own)


def _nothing(signals: Signals) -> bool:
    return signals.match == 0 and signals.sure is None


def thresholds(own: Own = AS_SHIPPED) -> Thresholds:
    """Those of the package; a threshold of the reader's own questions moves both, since they are chances alike."""
    shipped = _weights().thresholds
    if own.least is None:
        return shipped
    return Thresholds(own.least, min(1.0, max(0.0, own.least + shipped.after - shipped.before)))


def rescaled(chance: float, own: Own) -> float:
    """A shipped chance on the scale of the reader's own questions."""
    if own == AS_SHIPPED or not 0 < chance < 1:
        return chance
    return _logistic(own.slope * math.log(chance / (1 - chance)) + own.intercept)


class Weight(msgspec.Struct, frozen=True):
    """Of one sign: what a standard deviation more of it adds to the log-odds, and its usual value."""

    weight: float
    mean: float
    deviation: float


class Logistic(msgspec.Struct, frozen=True):
    """A logistic regression over some of the `Signals`."""

    bias: float
    signals: dict[str, Weight]

    def log_odds(self, known: Mapping[str, float | None]) -> float:
        """Unknown signs add nothing."""
        return self.bias + sum(
            one.weight * (value - one.mean) / one.deviation
            for name, one in self.signals.items()
            if (value := known.get(name)) is not None
        )


class _Weights(msgspec.Struct, frozen=True):
    before: Logistic
    near: Logistic
    after: Logistic
    thresholds: Thresholds


@functools.cache
def _weights() -> _Weights:
    with resources.files(__package__).joinpath("answerability.toml").open("rb") as file:
        read: dict[str, Any] = tomllib.load(file)
    return msgspec.convert(read, _Weights)


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, odds))))


def read_own(path: Path) -> Own:
    """What `ragchat eval calibrate` stored; as shipped when there is no such file or it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Own)
    except (OSError, msgspec.DecodeError):
        return AS_SHIPPED


def write_own(path: Path, own: Own) -> None:
    """Keep it. Raises OSError."""
    write_atomically(path, msgspec.json.format(msgspec.json.encode(own), indent=1))


# --- what the search tells --------------------------------------------------------------------------------


def search_signals(
    question: str,
    result: SearchResult,
    quotes: Sequence[Quote] = (),
    worth: Worth | None = None,
    embedder: Embedder | None = None,
) -> Signals:
    """What is known before the model writes. `worth` weighs the words of the question; without it all weigh the same.

    The `embedder` is asked for the question and the quotes alone; what it fails to say is not known.
    """
    if not result.hits:
        return Signals(match=0.0)
    known = Signals(
        sure=_odds(result.confidence),
        match=result.match,
        quote=_odds(max(one.chance for one in quotes)) if quotes else None,
        near=nearness(question, quotes, embedder) if embedder else None,
    )
    found = query_words(question, (result.hits[0].language,))
    idf = worth({term for word in found for term in word.terms}) if worth and found else {}
    if idf:
        known = replace(known, common=math.exp(-max(idf.values())))
    if found:
        known = replace(known, grams=sum(any(map(is_gram, word.terms)) for word in found) / len(found))
    words = _words(question, result.hits[0].language, found, idf)
    return _with_sentences(known, words, result.hits[:_READ]) if words else known


def nearness(question: str, quotes: Sequence[Quote], embedder: Embedder) -> float | None:
    """The cosine of the question and the nearest quote, less the one from which the model takes a passage to be about a question.

    None where the model was not measured, does not read the language, or fails.
    """
    model = embedder.model
    if not quotes or model.related <= 0 or not model.reads(quotes[0].hit.language):
        return None
    try:
        cosines = embedder.embed_passages([one.text for one in quotes]) @ embedder.embed_query(question)
    except ModelError:
        return None
    return float(cosines.max()) - model.related


def after_signals(
    known: Signals,
    finished: GenerationFinished | None,
    statements: Sequence[Statement] | None = None,
    borrowed: float | None = None,
) -> Signals:
    """`known` with what the model told while it wrote, and what became of its statements; None: not known.

    `borrowed` is what the function of this name says of the answer.
    """
    known = replace(known, borrowed=borrowed)
    if finished is not None:
        known = replace(known, first=finished.first_logprob, likely=finished.mean_logprob)
    if statements is None:
        return known
    if not statements:
        return replace(known, silent=1.0)
    verdicts = [one.verdict for one in statements]
    return replace(
        known,
        supported=verdicts.count(Verdict.SUPPORTED) / len(verdicts),
        found=1 - verdicts.count(Verdict.NOT_FOUND) / len(verdicts),
        silent=0.0,
    )


def borrowed(answer: str, offered: Sequence[Citation], question: str) -> float | None:
    """Of the answer's words that the question has not, the share that the passages have: a model that finds no answer there
    brings its own. None where it has no such words, or is in another language than the passages, or in one in which a small
    model's words were found to tell nothing.
    """
    said, _ = without_markers(answer)
    languages = {citation.hit.language for citation in offered}
    if not said or not languages:
        return None
    language = detect(said, offered[0].hit.language)
    if language not in languages & _TELLING:
        return None
    asked = {term for word in query_words(question, (language,)) for term in word.terms}
    own = set(terms(said, language)) - asked - stop_terms(language)
    held = set[str]().union(*(terms(_read(citation.hit), language) for citation in offered))
    return len(own & held) / len(own) if own else None


def _read(hit: Hit) -> str:
    return "\n".join((hit.title, hit.heading, hit.text))


def _odds(chance: float) -> float:
    kept = min(max(chance, _NEAR_0), 1 - _NEAR_0)
    return math.log(kept / (1 - kept))


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of the question: its terms, those of its beginning, its share of the rarest word's idf, whether it is a name."""

    terms: frozenset[str]
    beginnings: frozenset[str]
    worth: float
    is_name: bool

    def held(self, found: AbstractSet[str]) -> float:
        """1 where a text with these terms has it, less where it has its beginning alone, 0 where it has neither."""
        if not self.terms.isdisjoint(found):
            return 1.0
        return 0.0 if self.beginnings.isdisjoint(found) else _BEGINNING


def _words(question: str, language: str, found: Sequence[QueryWord], idf: Mapping[str, float]) -> list[_Word]:
    whole = [word for word in found if not all(map(is_beside, word.terms))] or list(found)
    beginnings = {term for word in found for term in word.terms if is_beside(term)}
    most = max(idf.values(), default=0.0) or 1.0
    names = _names(question, language)
    return [_word(word, beginnings, idf, most, names) for word in whole]


def _word(
    word: QueryWord,
    beginnings: Collection[str],
    idf: Mapping[str, float],
    most: float,
    names: AbstractSet[str],
) -> _Word:
    """A word that no chunk holds weighs as the rarest one of the question that is held."""
    weight = max((idf[term] for term in word.terms if term in idf), default=most) / most
    return _Word(
        frozenset(term for term in word.terms if not is_beside(term)) or frozenset(word.terms),
        frozenset(term for term in beginnings if word.word.startswith(term.rstrip("*"))),
        max(weight, _LEAST_WORTH),
        word.word in names,
    )


def _names(question: str, language: str) -> set[str]:
    """Words with a capital, but not the first one, and words with a digit; in lower case."""
    written = _NAMED.findall(question)
    capitals = language not in _NOUNS_IN_CAPITALS and not question.isupper()
    named = [
        word
        for place, word in enumerate(written)
        if _DIGIT.search(word) or (capitals and place and word[0].isupper())
    ]
    plain = {_POSSESSIVE.sub("", word.rstrip(".'’")).lower() for word in named}
    return plain | {part for word in plain for part in word.split("-")}


def _with_sentences(known: Signals, words: Sequence[_Word], hits: Sequence[Hit]) -> Signals:
    alone, together = _NOTHING_HELD, _NOTHING_HELD
    for hit in hits:
        own = [set(terms(hit.text[first:last], hit.language)) for first, last in sentence_spans(hit.text)]
        alone = max((alone, *(_held(words, one) for one in own)), key=_share)
        together = max((together, *(_held(words, one) for one in _neighbours(own))), key=_share)
    lacking = together.words or (0.0,) * len(words)
    names = sum(1 - held for word, held in zip(words, lacking, strict=True) if word.is_name)
    return replace(known, sentence=alone.share, names=names)


@dataclass(frozen=True, slots=True)
class _Held:
    """What of a question a text has: the share of its weight, and of each word."""

    share: float
    words: tuple[float, ...]


_NOTHING_HELD = _Held(0.0, ())


def _share(held: _Held) -> float:
    return held.share


def _held(words: Sequence[_Word], found: AbstractSet[str]) -> _Held:
    each = tuple(word.held(found) for word in words)
    whole = sum(word.worth for word in words)
    return _Held(sum(word.worth * held for word, held in zip(words, each, strict=True)) / whole, each)


def _neighbours(sentences: Sequence[set[str]]) -> Iterator[set[str]]:
    """The terms of each sentence and the next; of the only one where there is no other."""
    if len(sentences) == 1:
        yield sentences[0]
    for first, second in pairwise(sentences):
        yield first | second
