"""What slips in the words of a question cost, with and without corrections: nDCG@10 with none, one and two words misspelled.

    python benchmarks/misspelled.py DIR [DIR…] [--limit N] [--seed N]

DIR holds corpus/*.txt and questions.jsonl (question, relevant file names). A slip puts in, leaves out, doubles or changes a
letter (for any other, or for its neighbour on the keyboard) or swaps two, each as often, anywhere in a word of at least four
letters that is no stop word; which one is drawn from the seed and the question alone, so runs compare. People seldom miss the
first letter and repeat the same few mistakes: this is harder. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ragchat.evaluation.retrieval_metrics import ndcg_at
from ragchat.ingest.chunk import split
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.index import merge_segments, write_documents
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.stopwords import LANGUAGES, stop_words
from ragchat.retrieval.tokenizer import words
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, ExtractedText, Span

Question = dict[str, Any]
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
FEWEST_LETTERS = 4


def misspelled(question: str, slips: int, seed: int, language: str) -> str:
    """The question with a slip in each of `slips` words, or of as many as it has."""
    draw = random.Random(f"{seed} {slips} {question}")
    stops = stop_words(language) if language in LANGUAGES else frozenset()
    places: list[tuple[int, str]] = []
    at = 0
    for word in words(question):
        at = question.find(word, at)
        if len(word) >= FEWEST_LETTERS and word.isalpha() and word.lower() not in stops:
            places.append((at, word))
        at += len(word)
    for first, word in sorted(draw.sample(places, min(slips, len(places))), reverse=True):
        question = question[:first] + slip(word, draw) + question[first + len(word) :]
    return question


def slip(word: str, draw: random.Random) -> str:
    """The word with one slip; another word in any case."""
    letters = sorted(
        set(word.lower()) | set("abcdefghijklmnopqrstuvwxyz" if word.isascii() else word.lower())
    )
    while True:
        i = draw.randrange(len(word))
        head, letter, tail = word[:i], word[i], word[i + 1 :]
        wrong = draw.choice(
            [
                head + draw.choice(letters) + letter + tail,
                head + tail,
                head + letter + letter.lower() + tail,
                head + draw.choice(letters) + tail,
                head + draw.choice(_neighbours(letter) or letters) + tail,
                head + tail[:1] + letter + tail[1:],
            ]
        )
        if wrong.lower() != word.lower():
            return wrong


def _neighbours(letter: str) -> list[str]:
    return [
        row[j]
        for row in KEYBOARD
        if (i := row.find(letter.lower())) >= 0
        for j in (i - 1, i + 1)
        if 0 <= j < len(row)
    ]


def searcher(folder: Path, documents: dict[str, str], *, cut: bool) -> Searcher:
    store = KnowledgeStore.create(folder, "chunks" if cut else "whole")
    records = []
    for name, text in documents.items():
        extracted = ExtractedText(text=text, media_type="text/plain", source_lines=True)
        whole = [ChunkDraft(text, "", Span(0, len(text), 1, text.count("\n") + 1))]
        record = FileRecord(name, len(text), 0, language=detect(text) or "en")
        records.append((record, split(extracted) if cut else whole))
    write_documents(store, records)
    merge_segments(store)
    return Searcher([store])


def measure(
    search: Callable[[str], Any], questions: Sequence[Question], asked: Sequence[str]
) -> tuple[list[float], int, float]:
    """(nDCG@10 of each question asked so, how many had a word corrected, milliseconds for one)"""
    found, corrected = [], 0
    started = time.perf_counter()
    for text, question in zip(asked, questions, strict=True):
        result = search(text)
        names = list(dict.fromkeys(hit.path for hit in result.hits))[:10]
        found.append(ndcg_at(10, names, set(question["relevant"])))
        corrected += bool(result.corrections)
    return found, corrected, (time.perf_counter() - started) * 1000 / max(1, len(questions))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="only so many questions, drawn from all")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--chunks", action="store_true", help="cut documents as they really are")
    arguments = parser.parse_args()
    report: dict[str, dict[str, Any]] = {}
    for directory in arguments.dirs:
        documents = {p.name: p.read_text("utf-8") for p in sorted((directory / "corpus").glob("*.txt"))}
        lines = (directory / "questions.jsonl").read_text("utf-8").splitlines()
        questions = [json.loads(line) for line in lines if line]
        if arguments.limit < len(questions):
            questions = random.Random(arguments.seed).sample(questions, arguments.limit or len(questions))
        language = detect(" ".join(documents.values())[:20_000]) or "en"
        print(f"\n{directory.name}: {len(documents)} documents, {len(questions)} questions")
        print(
            f"  {'words misspelled':18}{'as typed':>10}{'corrected':>11}{'questions corrected':>21}{'ms':>8}{'ms':>8}"
        )
        with tempfile.TemporaryDirectory() as folder:
            own = searcher(Path(folder), documents, cut=arguments.chunks)
            k = 50 if arguments.chunks else 10
            for slips in range(3):
                asked = [misspelled(q["question"], slips, arguments.seed, language) for q in questions]

                def search(text: str, *, correct: bool, k: int = k, own: Searcher = own) -> Any:
                    return own.search(text, k, with_evidence=False, correct=correct)

                plain, _, before = measure(lambda text: search(text, correct=False), questions, asked)
                mended, corrected, after = measure(lambda text: search(text, correct=True), questions, asked)
                better = sum(a > b for a, b in zip(mended, plain, strict=True))
                worse = sum(a < b for a, b in zip(mended, plain, strict=True))
                row = {
                    "as_typed": sum(plain) / len(plain),
                    "corrected": sum(mended) / len(mended),
                    "questions_corrected": corrected,
                    "better": better,
                    "worse": worse,
                    "ms": [before, after],
                }
                report.setdefault(directory.name, {})[str(slips)] = row
                print(
                    f"  {slips:<18}{row['as_typed']:>10.3f}{row['corrected']:>11.3f}"
                    f"{f'{corrected} (+{better} -{worse})':>21}{before:>8.1f}{after:>8.1f}"
                )
    print(json.dumps({"benchmark": "misspelled", "seed": arguments.seed, "sets": report}))


if __name__ == "__main__":
    main()
