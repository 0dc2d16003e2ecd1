"""Questions and answers made from the documents of a knowledge base by the local model. Nothing is invented: the answer is
chosen first and stands word for word in its chunk; the model only words the question.

A pair is kept when its question finds its chunk again among the best three and is no near-duplicate of one before it. What was
looked at is appended to a file at once, so that a run that was stopped continues from there; what a user says of a pair is
appended, too, and the last word on a pair counts.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import regex

from ragchat.errors import StorageError
from ragchat.evaluation.leakage import near_duplicates
from ragchat.finetune.examples import Example
from ragchat.retrieval.search import Ranking, Searcher
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.prompt import PLAIN_INSTRUCTIONS
from ragchat.text import clean_line
from ragchat.types import CancelToken, Hit, LoadedModel, Message, Sampling, TextDelta

_CHUNKS = Ranking(longest_passage=0)
ROUND_TRIP = 3
"""A question must find its chunk again among so many."""
PER_CHUNK = 2
_SAMPLING = Sampling(temperature=0.0, repeat_penalty=1.05, seed=0, max_tokens=40)
_FEWEST_WORDS, _MOST_WORDS = 4, 30
# Numbers with what they count, years, names of several words, names of one: what a question can be asked about, best first.
_NAMES = r"(?:\p{Lu}[\p{L}\p{N}'’-]+(?:[ ](?:(?:of|the|de|von|van|der|la)[ ])?\p{Lu}[\p{L}\p{N}'’-]+)*)"
_NUMBERS = r"(?:\p{N}[\p{N}.,:/]*\p{N}|\p{N})(?:[ ]?(?:%|°C|percent|per cent|\p{Ll}{2,12}))?"
_CANDIDATE = regex.compile(rf"(?<![\p{{L}}\p{{N}}])(?:{_NUMBERS}|{_NAMES})")
_ASK = (
    Message("system", "You write short questions about a text. Each can be answered from the text alone."),
    Message(
        "user",
        "Text: The Harrow bridge crosses the river Lenn. It was built by Ada Pell in 1871.\nAnswer: Ada Pell\nQuestion:",
    ),
    Message("assistant", "Who built the Harrow bridge?"),
    Message(
        "user",
        "Text: The Harrow bridge crosses the river Lenn. It was built by Ada Pell in 1871.\nAnswer: 1871\nQuestion:",
    ),
    Message("assistant", "In which year was the Harrow bridge built?"),
)

Verdict = Literal["kept", "rejected"]


class Pair(msgspec.Struct, frozen=True, tag="pair"):
    """A question, its `answer` word for word from `sentence`, which is in a chunk of the document at `path`.

    `verdict` says whether it is learned from, `reason` why not; `reviewed`: a user has looked at it,
    `taken`: it went into a question set, once and for all.
    """

    id: str
    path: str
    chunk_id: int
    question: str
    answer: str
    sentence: str
    verdict: Verdict
    reason: str = ""
    reviewed: bool = False
    taken: bool = False


class _Looked(msgspec.Struct, frozen=True, tag="looked"):
    """A chunk that is done with, also when nothing came of it."""

    chunk: str


_decode = msgspec.json.Decoder(Pair | _Looked).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class PairProgress:
    """`done` of `total` chunks were looked at; `kept` and `rejected` pairs came of them."""

    done: int
    total: int
    kept: int
    rejected: int


class PairFile:
    """The pairs of one knowledge base on disk: JSON lines, only ever appended to."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a last line that was cut off is left out."""
        self.path = path
        self._pairs: dict[str, Pair] = {}
        self._looked: set[str] = set()
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_bytes().split(b"\n"):
                with contextlib.suppress(msgspec.DecodeError):
                    self._take(_decode(line))

    @property
    def pairs(self) -> tuple[Pair, ...]:
        """All of them, in the order in which they were made."""
        return tuple(self._pairs.values())

    @property
    def kept(self) -> tuple[Pair, ...]:
        """The pairs to train with."""
        return tuple(pair for pair in self.pairs if pair.verdict == "kept")

    def has_looked_at(self, chunk: str) -> bool:
        """Whether pairs were drafted from this chunk."""
        return chunk in self._looked

    def put(self, pair: Pair) -> None:
        """Add a pair, or say something else of it. Raises StorageError."""
        self._append(pair)

    def done_with(self, chunk: str) -> None:
        """No run looks at this chunk again. Raises StorageError."""
        self._append(_Looked(chunk))

    def _append(self, entry: Pair | _Looked) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                # A torn line from before must not swallow this one.
                file.write((b"\n" if file.tell() else b"") + _encode(entry))
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}.") from error
        self._take(entry)

    def _take(self, entry: Pair | _Looked) -> None:
        if isinstance(entry, Pair):
            self._pairs[entry.id] = entry
        else:
            self._looked.add(entry.chunk)


def draft(
    model: LoadedModel,
    searcher: Searcher,
    chunks: Sequence[Hit],
    file: PairFile,
    *,
    most: int = 0,
    cancel: CancelToken,
) -> Iterator[PairProgress]:
    """Make pairs of `chunks` that no run before has looked at, until `most` are kept (0: all chunks). The model is loaded.

    Ends early after a cancel; what was made stays. Raises ModelError, StorageError.
    """
    asked = [pair.question for pair in file.kept]
    for done, chunk in enumerate(chunks):
        kept = len(file.kept)
        yield PairProgress(done, len(chunks), kept, len(file.pairs) - kept)
        if cancel.cancelled or (most and kept >= most):
            return
        name = hashlib.sha256(f"{chunk.path}\0{chunk.text}".encode()).hexdigest()[:24]
        if file.has_looked_at(name):
            continue
        for number, (answer, sentence) in enumerate(candidates(chunk.text)[:PER_CHUNK]):
            question = _question(model, sentence, answer, cancel)
            if question is None:
                return
            reason = objection(question, answer, searcher, chunk, asked)
            file.put(
                Pair(
                    f"{name}:{number}",
                    chunk.path,
                    chunk.chunk_id,
                    question,
                    answer,
                    sentence,
                    "rejected" if reason else "kept",
                    reason,
                )
            )
            if not reason:
                asked.append(question)
        file.done_with(name)
    kept = len(file.kept)
    yield PairProgress(len(chunks), len(chunks), kept, len(file.pairs) - kept)


def candidates(text: str) -> list[tuple[str, str]]:
    """(answer, its sentence) worth a question, one to a sentence, those with the longest sentences first."""
    found = []
    for first, last in sentence_spans(text):
        sentence = text[first:last].strip()
        if not 6 <= len(sentence.split()) <= 60:
            continue
        # What begins the sentence is capitalised anyway, so it tells nothing.
        matches = [m for m in _CANDIDATE.finditer(sentence) if m.start() > 0]
        if matches:
            best = max(matches, key=lambda m: (m[0][0].isdigit(), len(m[0].split()), -m.start()))
            found.append((best[0], sentence))
    return sorted(found, key=lambda pair: -len(pair[1]))


def objection(question: str, answer: str, searcher: Searcher, chunk: Hit, asked: Sequence[str]) -> str:
    """Why a question is not worth learning from; empty: it is."""
    if not question.endswith("?"):
        return "it is not a question"
    if not _FEWEST_WORDS <= len(question.split()) <= _MOST_WORDS:
        return "it is too short or too long"
    if answer.casefold() in question.casefold():
        return "the question contains the answer"
    if answer not in chunk.text:
        return "the document does not contain the answer"
    if any(near_duplicates([question], asked)):
        return "it repeats another question"
    # Chunks as they are: one that grew would hold the passage that is looked for, which then is not listed.
    hits = searcher.search(question, ROUND_TRIP, with_evidence=False, ranking=_CHUNKS).hits
    if not any(hit.chunk_id == chunk.chunk_id and hit.path == chunk.path for hit in hits):
        return "the search does not find its passage"
    return ""


def examples(pairs: Sequence[Pair], knowledge_base: str) -> list[Example]:
    """Each kept pair as a question to be answered without documents; the sentence it is in is the answer."""
    return [
        Example(
            (
                Message("system", PLAIN_INSTRUCTIONS),
                Message("user", pair.question),
                Message("assistant", pair.sentence if pair.answer in pair.sentence else pair.answer),
            ),
            f"kb:{knowledge_base}",
            pair.path,
            pair.question,
            expected=(pair.answer,),
        )
        for pair in pairs
        if pair.verdict == "kept"
    ]


def _question(model: LoadedModel, sentence: str, answer: str, cancel: CancelToken) -> str | None:
    """What the model asks; None after a cancel."""
    asked = Message("user", f"Text: {sentence}\nAnswer: {answer}\nQuestion:")
    said = "".join(
        event.text
        for event in model.generate([*_ASK, asked], _SAMPLING, cancel=cancel)
        if isinstance(event, TextDelta)
    )
    if cancel.cancelled:
        return None
    line = clean_line(next((line for line in said.splitlines() if line.strip()), ""))
    return line[: line.find("?") + 1] if "?" in line else line
