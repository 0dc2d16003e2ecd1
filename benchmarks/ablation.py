"""What each part of the ranking is worth: nDCG@10 with each part alone, all together, and all but one; beside the peers.

    python benchmarks/ablation.py DIR [DIR…] [--limit N] [--no-peers] [--meaning]
    python benchmarks/ablation.py --switch-off [DIR…] [--knowledge-base FILE.db QUESTIONS.jsonl] [--part NAME] [--meaning]

DIR holds corpus/*.txt and questions.jsonl (question, relevant file names). Units are whole documents, in ragchat's own
index; the rows "chunks" cut them as ragchat really does, a document taking the place of its best chunk. With `--meaning` every
unit has a vector, and "all" holds meaning; without it no row does. How long passages are says nothing of the order of documents,
so what chunks are worth is also told by how often an answer stands in the first 800, 1,600 and 3,200 characters of what is found,
where the questions have answers. Peers (bm25s and
rank_bm25 with terms stemmed in the set's language, FTS5) get the best of several settings on each set, chosen on the very
questions that are measured: an advantage that ragchat does not have. Factors of ragchat were chosen on the even questions of some
sets, so the second figure of each row, over the odd questions alone, is the fairer one.

`--switch-off` takes the ranking as it is shipped and switches off one part after the other (`OFF`), those of the analysis
too, with the index built again without them. It also asks knowledge bases that ragchat made: each line of QUESTIONS.jsonl has a
question and `gold` places (`package` and `file`, with which the path ends, and a `string` of a passage that answers). A row tells
nDCG@10, its difference from the ranking as shipped and half of the 95 % interval of that; for knowledge bases how many questions
have an answer first, how many were lost and won, and the same among ten. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import vectors

from ragchat.evaluation.answer_metrics import contains
from ragchat.evaluation.retrieval_metrics import ndcg_at
from ragchat.ingest.chunk import split
from ragchat.retrieval import (
    analyzer,
    compounds,
    expansion,
    folding,
    index,
    meaning,
    search,
    tokenizer,
    variants,
)
from ragchat.retrieval import invert as inverting
from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.index import fields_of, write_analysed
from ragchat.retrieval.invert import FIELD_WEIGHTS, FieldWeights, invert
from ragchat.retrieval.search import DEFAULT, PLAIN, Ranking, Searcher
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, ExtractedText, Hit, Span
from ragchat.types.embedding import Embedder

Ranker = Callable[[str], list[str]]
Question = dict[str, Any]
Row = dict[str, list[float]]
"""Of each set: nDCG@10 of each question."""

NO_FIELDS = FieldWeights(heading=1, title=0, name=0)
PARTS = ("proximity", "forms", "agreement", "feedback", "language", "meaning")
"""Of the order; meaning only where there are vectors."""
ALL = replace(PLAIN, **{part: getattr(DEFAULT, part) for part in PARTS})
READ = (800, 1600, 3200)
"""Characters."""
K1_B = ((1.5, 0.75), (1.2, 0.75), (1.5, 0.6), (0.9, 0.4), (2.0, 0.75))
_SNOWBALL = {"en": "english", "de": "german", "fr": "french", "es": "spanish", "ru": "russian", "it": "italian", "ar": "arabic",
             "pt": "portuguese", "nl": "dutch", "sv": "swedish", "da": "danish", "fi": "finnish", "tr": "turkish",
             "el": "greek", "ro": "romanian", "hi": "hindi", "hu": "hungarian"}  # fmt: skip


def settings(*, meaning: bool) -> Iterator[tuple[str, FieldWeights, bool, Ranking]]:
    """(name of the row, fields, cut into chunks?, ranking)"""
    parts = [part for part in PARTS if meaning or part != "meaning"]
    yield "plain BM25, text alone", NO_FIELDS, False, PLAIN
    yield "BM25 with fields", FIELD_WEIGHTS, False, PLAIN
    for part in parts:
        yield f"  + {part}", FIELD_WEIGHTS, False, replace(PLAIN, **{part: getattr(ALL, part)})
    yield "all", FIELD_WEIGHTS, False, ALL
    for part in parts:
        yield f"  - {part}", FIELD_WEIGHTS, False, replace(ALL, **{part: getattr(PLAIN, part)})
    yield "  - fields", NO_FIELDS, False, ALL
    yield "as shipped", FIELD_WEIGHTS, False, replace(DEFAULT, longest_passage=0)
    for name, ranking in chunk_settings(meaning=meaning):
        yield name, FIELD_WEIGHTS, True, ranking


def chunk_settings(*, meaning: bool) -> Iterator[tuple[str, Ranking]]:
    """(name of the row, ranking) of documents that are cut into chunks."""
    yield "chunks, BM25", PLAIN
    yield "chunks, as shipped", DEFAULT
    yield "  ± near-duplicates", replace(DEFAULT, drop_near_duplicates=not DEFAULT.drop_near_duplicates)
    yield (
        "  ± at most 3 per document",
        replace(DEFAULT, most_per_document=0 if DEFAULT.most_per_document else 3),
    )
    yield "  chunks - longest_passage", replace(DEFAULT, longest_passage=0)
    yield "  chunks - language", replace(DEFAULT, language=False)
    if meaning:
        yield "  chunks - meaning", replace(DEFAULT, meaning=0.0)


def read_set(directory: Path, limit: int) -> tuple[dict[str, str], list[Question]]:
    """(texts by file name, the first questions) of a set."""
    documents = {p.name: p.read_text("utf-8") for p in sorted((directory / "corpus").glob("*.txt"))}
    lines = (directory / "questions.jsonl").read_text("utf-8").splitlines()
    return documents, [json.loads(line) for line in lines if line][: limit or None]


def store_of(
    folder: Path, documents: dict[str, str], fields: FieldWeights, embedder: Embedder | None, *, cut: bool
) -> KnowledgeStore:
    """An index of the documents, with vectors of all where there is a model."""
    store = KnowledgeStore.create(folder, f"{fields.title}-{fields.name}-{'chunks' if cut else 'whole'}")
    records = []
    for name, text in documents.items():
        extracted = ExtractedText(text=text, media_type="text/plain", source_lines=True)
        span = Span(0, len(text), 1, text.count("\n") + 1)
        chunks = split(extracted) if cut else [ChunkDraft(text, "", span)]
        records.append((FileRecord(name, len(text), 0, language=detect(text) or "en"), chunks))
    texts = [(fields_of(file), [(c.heading, c.text) for c in chunks]) for file, chunks in records]
    write_analysed(store, records, invert(texts, fields))
    if embedder:
        vectors.embed_share(store, embedder)
    return store


def ranker(searcher: Searcher, ranking: Ranking, *, cut: bool) -> Ranker:
    """Documents in the order of their best chunk."""

    def rank(question: str) -> list[str]:
        hits = searcher.search(question, 50 if cut else 10, with_evidence=False, ranking=ranking).hits
        return list(dict.fromkeys(hit.path for hit in hits))[:10]

    return rank


def read(searcher: Searcher, ranking: Ranking, questions: list[Question]) -> list[float]:
    """Shares of the questions with answers one of which stands in the first `READ` characters of what is found."""
    found = []
    for question in questions:
        if answers := question.get("answers"):
            hits = searcher.search(question["question"], 10, with_evidence=False, ranking=ranking).hits
            text = "\n".join(hit.text for hit in hits)
            found.append([float(contains(text[:size], answers)) for size in READ])
    return [float(share) for share in np.mean(found, axis=0)] if found else []


# --- peers ----------------------------------------------------------------------------------------------


def terms_for_peers(texts: list[str], language: str) -> list[list[str]]:
    """Uni- and bigrams of Chinese and Japanese, trigrams of Thai, stems of whatever PyStemmer knows, words of the rest."""
    if language in ("zh", "ja"):
        return [[c for i in range(len(t)) for c in (t[i], t[i : i + 2])] for t in map(_squeezed, texts)]
    if language in ("th", "lo", "km", "my"):
        return [[t[i : i + 3] for i in range(len(t) - 2)] for t in map(_squeezed, texts)]
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer(_SNOWBALL[language]) if language in _SNOWBALL else None
    stopwords = language if language in ("en", "de", "fr", "es", "it", "pt", "nl", "ru", "sv") else None
    stems: list[list[str]] = bm25s.tokenize(
        texts, stopwords=stopwords, stemmer=stemmer, return_ids=False, show_progress=False
    )
    return stems


def _squeezed(text: str) -> str:
    return "".join(re.findall(r"\w+", text.lower()))


def best_of_bm25s(documents: dict[str, str], questions: list[Question], language: str) -> list[float]:
    import bm25s

    names, corpus = list(documents), terms_for_peers(list(documents.values()), language)
    queries = terms_for_peers([q["question"] for q in questions], language)
    tried = []
    for k1, b in K1_B:
        retriever = bm25s.BM25(k1=k1, b=b)
        retriever.index(corpus, show_progress=False)
        tried.append(
            [
                _ndcg(names, retriever.get_scores(t) if t else [], q)
                for t, q in zip(queries, questions, strict=True)
            ]
        )
    return max(tried, key=np.mean)


def best_of_rank_bm25(documents: dict[str, str], questions: list[Question], language: str) -> list[float]:
    from rank_bm25 import BM25Okapi, BM25Plus

    names, texts = list(documents), list(documents.values())
    corpus = terms_for_peers(texts, language)
    queries = terms_for_peers([q["question"] for q in questions], language)
    tried = []
    for kind, k1, b in ((BM25Okapi, 1.5, 0.75), (BM25Plus, 1.5, 0.75), (BM25Okapi, 1.2, 0.75)):
        retriever = kind(corpus, k1=k1, b=b)
        tried.append(
            [_ndcg(names, retriever.get_scores(t), q) for t, q in zip(queries, questions, strict=True)]
        )
    plain = BM25Okapi([text.lower().split() for text in texts])
    tried.append([_ndcg(names, plain.get_scores(q["question"].lower().split()), q) for q in questions])
    return max(tried, key=np.mean)


def best_of_fts5(documents: dict[str, str], questions: list[Question]) -> list[float]:
    tried = []
    for splitter, width in (("porter unicode61", 0), ("unicode61", 0), ("trigram", 3)):
        database = sqlite3.connect(":memory:")
        database.execute(f"CREATE VIRTUAL TABLE d USING fts5(name UNINDEXED, text, tokenize = '{splitter}')")
        database.executemany("INSERT INTO d VALUES (?, ?)", documents.items())
        found = []
        for q in questions:
            words = re.findall(r"\w+", q["question"])
            if width:
                words = [w[i : i + width] for w in words for i in range(len(w) - width + 1)]
            asked = " OR ".join(f'"{word}"' for word in words)
            rows = (
                database.execute("SELECT name FROM d WHERE d MATCH ? ORDER BY rank LIMIT 10", (asked,))
                if asked
                else ()
            )
            found.append(ndcg_at(10, [name for (name,) in rows], set(q["relevant"])))
        tried.append(found)
        database.close()
    return max(tried, key=np.mean)


def _ndcg(names: list[str], scores: object, question: Question) -> float:
    array = np.asarray(scores)
    first = [names[i] for i in np.argsort(-array, kind="stable")[:10] if array[i] > 0]
    return ndcg_at(10, first, set(question["relevant"]))


# --- one part after the other switched off ---------------------------------------------------------------

_NEVER = re.compile("(?!)")


def _nothing(*_: object, **__: object) -> dict[str, float]:
    return {}


def _none(*_: object, **__: object) -> list[str]:
    return []


def _no(*_: object, **__: object) -> bool:
    return False


def _same(text: str, *_: object) -> str:
    return text


def _one_share(share: float) -> Callable[[Sequence[float], float], float]:
    return lambda words, most: share


@dataclass(frozen=True, slots=True)
class Off:
    """A part that is switched off: what of the ranking changes, and which name is replaced by what meanwhile.

    `indexed`: the lists of the index hold the part, and are built again without it. `meaning`: there is none without vectors.
    """

    part: str
    ranking: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[tuple[Any, str, object], ...] = ()
    indexed: bool = False
    meaning: bool = False


OFF = (
    Off("nothing"),
    Off("meaning", {"meaning": 0.0}, meaning=True),
    Off("what only meaning finds", names=((Searcher, "_nearest", _none),), meaning=True),
    Off("share by the words: .6", names=((meaning, "share_of_meaning", _one_share(0.6)),), meaning=True),
    Off("share by the words: .8", names=((meaning, "share_of_meaning", _one_share(0.8)),), meaning=True),
    Off("passages that grow", {"longest_passage": 0}),
    Off("the question's language first", {"language": False}),
    Off("pairs of words", {"proximity": False}),
    Off("written form", {"forms": False}),
    Off("agreement", {"agreement": False}),
    Off("feedback (RM3)", {"feedback": False}),
    Off("pairs, form, agreement, RM3", dict.fromkeys(("proximity", "forms", "agreement", "feedback"), False)),
    Off("abbreviations", {"aliases": False}),
    Off("near-duplicates left out", {"drop_near_duplicates": False}),
    Off("spelling", names=((expansion, "_misspelled", _none),)),
    Off("longer words of a beginning", names=((expansion, "_completions", _nothing),)),
    Off("one frequency for all forms", names=((search, "shared_dfs", _nothing),)),
    Off("compounds", names=((compounds, "compounds", _nothing), (compounds, "parts", _none))),
    Off("beginnings of words", names=((analyzer, "_BEGINNING", sys.maxsize),), indexed=True),
    Off("British as American, plurals", names=((variants, "english", _same),), indexed=True),
    Off("accents folded", names=((folding, "folded", _same),), indexed=True),
    Off(
        "accents that may be left out",
        names=((folding, "loses_accents", _no), (folding, "keeps_accents", _no)),
        indexed=True,
    ),
    Off("options and signs", names=((tokenizer, "_SIGN", _NEVER),), indexed=True),
    Off(
        "e-mail as email, U.S. as US",
        names=((analyzer, "_is_one_word", _no), (analyzer, "_DOTTED", _NEVER)),
        indexed=True,
    ),
    Off("US apart from us", names=((analyzer, "_emphatic", _none),), indexed=True),
    Off("traditional as simplified", names=((analyzer, "simplified", _same),), indexed=True),
    Off("title and name", names=((inverting.invert, "__defaults__", (NO_FIELDS,)),), indexed=True),
)
"""The first is the ranking as it is shipped."""


_AS_INDEXED = Off(
    "", names=((index, "replace", lambda file, **_: file), (index, "_WORTH_PROCESSES", sys.maxsize))
)
"""Documents keep the language that their folder told, and no other process analyses them, with every part."""


@contextlib.contextmanager
def switched_off(off: Off) -> Iterator[None]:
    """Without the part, whatever was remembered with it."""
    before = [(where, name, getattr(where, name)) for where, name, _ in off.names]
    try:
        for where, name, instead in off.names:
            setattr(where, name, instead)
        _forget()
        yield
    finally:
        for where, name, known in before:
            setattr(where, name, known)
        _forget()


def _forget() -> None:
    """Empty all that the analysis remembers."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ragchat.retrieval."):
            for known in vars(module).values():
                if hasattr(known, "cache_clear"):
                    known.cache_clear()
    inverting._PER_THREAD.numberings.clear()


Measured = list[tuple[float, ...]]
"""Of each question its figures."""


class Opened(Protocol):
    """Makes the knowledge base of a set in an empty folder; `built`: its lists with the analysis as it is now."""

    def __call__(self, folder: Path, *, built: bool) -> KnowledgeStore: ...


def without_each(
    opened: Opened,
    measured: Callable[[Searcher, Ranking], Measured],
    embedder: Embedder | None,
    parts: Sequence[str],
) -> Iterator[tuple[Off, bool, Measured]]:
    """(What is off, with meaning?, figures) of one set: of what is shipped, and without each of `parts` (none: all)."""
    with tempfile.TemporaryDirectory() as first, contextlib.ExitStack() as stack:
        whole = stack.enter_context(opened(Path(first), built=False))
        for off in (OFF[0], *(off for off in OFF[1:] if not parts or off.part in parts)):
            with switched_off(off), contextlib.ExitStack() as own, tempfile.TemporaryDirectory() as folder:
                store = own.enter_context(opened(Path(folder), built=True)) if off.indexed else whole
                for model in (None, embedder) if embedder else (None,):
                    if model is None and off.meaning:
                        continue
                    searcher = vectors.as_embedded([store], model) if model else Searcher([store])
                    yield off, model is not None, measured(searcher, replace(DEFAULT, **off.ranking))


def of_set(
    directory: Path, limit: int, embedder: Embedder | None
) -> tuple[Opened, Callable[[Searcher, Ranking], Measured]]:
    """Whole documents of a question set; nDCG@10."""
    documents, questions = read_set(directory, limit)

    def opened(folder: Path, *, built: bool) -> KnowledgeStore:
        (fields,) = inverting.invert.__defaults__ or (FIELD_WEIGHTS,)
        return store_of(folder, documents, fields, embedder, cut=False)

    def measured(searcher: Searcher, ranking: Ranking) -> Measured:
        rank = ranker(searcher, replace(ranking, longest_passage=0), cut=False)
        return [(ndcg_at(10, rank(q["question"]), set(q["relevant"])),) for q in questions]

    return opened, measured


def of_knowledge_base(file: Path, asked: Path) -> tuple[Opened, Callable[[Searcher, Ranking], Measured]]:
    """Copies of a knowledge base; whether a passage that answers is first, and among ten."""
    questions = [json.loads(line) for line in asked.read_text("utf-8").splitlines() if line.strip()]

    def opened(folder: Path, *, built: bool) -> KnowledgeStore:
        shutil.copy(file, folder / file.name)
        store = KnowledgeStore.open(folder, file.stem)
        if built:
            with switched_off(_AS_INDEXED):
                index.rebuild(store)
        return store

    def measured(searcher: Searcher, ranking: Ranking) -> Measured:
        found: Measured = []
        for question in questions:
            hits = searcher.search(
                question["question"], 50, with_evidence=False, ranking=ranking, fill=True
            ).hits  # as `ragchat kb search -k 50` does it
            rank = next((n for n, hit in enumerate(hits, 1) if _answers(hit, question["gold"])), 0)
            found.append((float(rank == 1), float(0 < rank <= 10)))
        return found

    return opened, measured


def _answers(hit: Hit, gold: Sequence[Mapping[str, str]]) -> bool:
    read = _letters(f"{hit.heading} {hit.text}")
    return any(
        hit.path.endswith(f"{place['package']}/{place['file']}") and _letters(place["string"]) in read
        for place in gold
    )


def _letters(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.replace("\u00ad", "").casefold())


def switch_off(arguments: argparse.Namespace, embedder: Embedder | None) -> None:
    """The table of `--switch-off`."""
    sets = {folder.name: of_set(folder, arguments.limit, embedder) for folder in arguments.dirs}
    sets |= {
        f"{Path(asked).stem}": of_knowledge_base(Path(file), Path(asked))
        for file, asked in arguments.knowledge_base
    }
    report: dict[str, dict[str, list[float]]] = {}
    for name, (opened, measured) in sets.items():
        shipped: dict[bool, Measured] = {}
        for off, by_meaning, figures in without_each(opened, measured, embedder, arguments.part):
            kind = f"{name}, meaning" if by_meaning else name
            told = _told(figures, shipped.setdefault(by_meaning, figures))
            report.setdefault(kind, {})[off.part] = told
            print(f"{kind:28}{off.part:32}" + "".join(f"{value:>10.4f}" for value in told), flush=True)
    print(json.dumps({"benchmark": "ablation", "measure": "switched off", "sets": report}))


def _told(figures: Measured, shipped: Measured) -> list[float]:
    """The figures of a row, see above."""
    own, other = np.array(figures), np.array(shipped)
    gained = own - other
    if own.shape[1] == 1:
        error = 1.96 * gained.std(ddof=1) / len(gained) ** 0.5
        return [round(float(value), 4) for value in (own.mean(), gained.mean(), error)]
    return [
        float(value)
        for column in range(own.shape[1])
        for value in (own[:, column].sum(), (gained[:, column] < 0).sum(), (gained[:, column] > 0).sum())
    ]


# --- the table ------------------------------------------------------------------------------------------


def measure(
    directory: Path, limit: int, embedder: Embedder | None, *, peers: bool
) -> Iterator[tuple[str, list[float], list[float]]]:
    """(name of the row, nDCG@10 of each question, shares of `read`) on one set."""
    documents, questions = read_set(directory, limit)
    with tempfile.TemporaryDirectory() as folder:
        searchers: dict[tuple[FieldWeights, bool], Searcher] = {}
        for name, fields, cut, ranking in settings(meaning=embedder is not None):
            if (fields, cut) not in searchers:
                store = store_of(Path(folder), documents, fields, embedder, cut=cut)
                searchers[fields, cut] = Searcher([store], embedder)
            searcher = searchers[fields, cut]
            rank = ranker(searcher, ranking, cut=cut)
            ndcgs = [ndcg_at(10, rank(q["question"]), set(q["relevant"])) for q in questions]
            yield name, ndcgs, read(searcher, ranking, questions) if cut else []
    if peers:
        language = Counter(detect(text) for text in documents.values()).most_common(1)[0][0]
        yield "bm25s, best setting", best_of_bm25s(documents, questions, language), []
        yield "FTS5, best setting", best_of_fts5(documents, questions), []
        yield "rank_bm25, best setting", best_of_rank_bm25(documents, questions, language), []


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dirs", nargs="*", type=Path, metavar="DIR")
    parser.add_argument("--limit", type=int, default=0, help="only the first N questions")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--switch-off", action="store_true", help="one part after the other")
    parser.add_argument("--part", action="append", default=[], help="of --switch-off, only this one")
    parser.add_argument(
        "--knowledge-base", nargs=2, action="append", default=[], metavar=("FILE.db", "QUESTIONS.jsonl")
    )
    vectors.add_option(parser)
    arguments = parser.parse_args()
    embedder = vectors.wanted(arguments)
    if arguments.switch_off:
        switch_off(arguments, embedder)
        return
    rows: dict[str, Row] = {}
    shares: dict[str, Row] = {}
    for directory in arguments.dirs:
        for name, found, told in measure(directory, arguments.limit, embedder, peers=not arguments.no_peers):
            rows.setdefault(name, {})[directory.name] = found
            if told:
                shares.setdefault(name, {})[directory.name] = told
        print(f"measured {directory.name}", flush=True)
    sets = [directory.name for directory in arguments.dirs]
    widths = [max(13, len(name)) for name in sets]
    header = "".join(f"{name:>{width + 2}}" for name, width in zip(sets, widths, strict=True))
    print(f"\nnDCG@10, all questions / odd ones alone\n{'':28}{header}{'mean':>15}")
    report = {}
    for label, row in rows.items():
        both = [(float(np.mean(row[name])), float(np.mean(row[name][1::2] or row[name]))) for name in sets]
        both.append((float(np.mean([a for a, _ in both])), float(np.mean([o for _, o in both]))))
        cells = (f"{a:.4f}/{o:.4f}" for a, o in both)
        print(f"{label:28}" + "".join(f"{c:>{w + 2}}" for c, w in zip(cells, [*widths, 13], strict=True)))
        report[label.strip()] = {
            n: [round(a, 4), round(o, 4)] for n, (a, o) in zip([*sets, "mean"], both, strict=True)
        }
    if shares:
        print(f"\nan answer within the first {', '.join(map(str, READ))} characters\n{'':28}{header}")
    for label, row in shares.items():
        cells = ("/".join(f"{share:.3f}" for share in row.get(name, ())) for name in sets)
        print(f"{label:28}" + "".join(f"{c:>{max(w, 17) + 2}}" for c, w in zip(cells, widths, strict=True)))
    shares_told = {
        label.strip(): {n: [round(x, 4) for x in own] for n, own in row.items()}
        for label, row in shares.items()
    }
    print(
        json.dumps(
            {
                "benchmark": "ablation",
                "measure": "ndcg@10 [all, odd]",
                "rows": report,
                "read": shares_told,
                "characters": READ,
            }
        )
    )


if __name__ == "__main__":
    main()
