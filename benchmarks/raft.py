"""What training on one half of the documents does for questions about the other half: base + RAG against tuned + RAG.

    python benchmarks/raft.py DIR [--train N] [--test N] [--adapter NAME] [--home FOLDER]

DIR holds corpus/*.txt and questions.jsonl (question, answers, relevant); file names begin with the number of their article. The
adapter is trained in the mode "rag" on questions about every other article and measured on questions about the rest, the same
prompts with it and without it in turn. "Nothing there": the same questions with the passages that hold an answer taken out.
Runs of the same home go on with the adapter that is there. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.finetune import opened, places
from ragchat.cli.finetune_screen import ProgressDisplay
from ragchat.config import Settings
from ragchat.evaluation import corpora
from ragchat.evaluation.answer_metrics import contains, f1, holds
from ragchat.evaluation.corpora import Question, QuestionSet
from ragchat.finetune import raft
from ragchat.finetune.recipe import changed, default_recipe
from ragchat.finetune.run import Job, run
from ragchat.finetune.split import split
from ragchat.llm.gguf import read_metadata
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.session import citations, packing, prompt
from ragchat.session.sources import Sources
from ragchat.types import AdapterScale, CancelToken, Hit, LoadedModel, Sampling, TextDelta

GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, seed=0, max_tokens=72)
_MARKER = re.compile(r"\s*\[\d+\]")
_REFUSED = re.compile(
    r"do(es)? not (hold|contain|provide|mention|say|specif)|no information|not (mentioned|specified)", re.I
)


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: what SQuAD's measures make of it, whether a passage it cites holds an answer, whether it refuses."""

    exact: bool
    f1: float
    contains: bool
    cites: bool
    cited_right: bool
    refused: bool


def article(name: str) -> str:
    return name.partition("_")[0]


def halves(found: QuestionSet) -> tuple[list[Question], list[Question]]:
    """Questions about every other article, and about the rest."""
    numbers = sorted({article(name) for name in found.documents})
    first = set(numbers[::2])
    asked = [q for q in found.questions if q.answers and q.relevant]
    return [q for q in asked if article(q.relevant[0]) in first], [
        q for q in asked if article(q.relevant[0]) not in first
    ]


def ask(
    model: LoadedModel, question: Question, hits: Sequence[Hit], way: packing.Packing, share: float
) -> Said:
    packed = prompt.pack(
        model,
        question.text,
        Sources(tuple(hits)),
        prompt.Layout(model.info.n_ctx, way, passage_share=share, answer_tokens=72),
    )
    events = model.generate(packed.messages, GREEDY, cancel=CancelToken())
    text = "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
    own = {int(n) for n in re.findall(r"\[(\d+)\]", text)}
    bound = citations.bind(text, packed.citations).citations
    cited = [c for c in bound if c.used and c.n in own]
    bare = _MARKER.sub("", text).strip()
    score = f1(bare, question.answers)
    return Said(
        score == 1.0,
        score,
        contains(bare, question.answers),
        bool(cited),
        any(holds(c.hit.text, question.answers) for c in cited),
        bool(_REFUSED.search(bare)),
    )


def report(rows: list[Said], gone: list[Said]) -> dict[str, float]:
    citing = [row for row in rows if row.cites]
    return {
        "exact_match": fmean(row.exact for row in rows),
        "f1": fmean(row.f1 for row in rows),
        "contains": fmean(row.contains for row in rows),
        "cites": fmean(row.cites for row in rows),
        "citation_precision": fmean(row.cited_right for row in citing) if citing else 0.0,
        "wrong_refusals": fmean(row.refused for row in rows),
        "right_refusals": fmean(row.refused for row in gone),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("--train", type=int, default=160)
    parser.add_argument("--test", type=int, default=100)
    parser.add_argument("--passages", type=int, default=0, help="passages in a prompt; 0: as the chat does")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--form", choices=("sentence", "short"), default="sentence")
    parser.add_argument("--adapter", default="raft")
    parser.add_argument("--home", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = wanted.home or Path(scratch) / "home"
        context = Context(Paths.discover({"RAGCHAT_HOME": str(home)}), Settings())
        context.paths.create()
        found = corpora.read(wanted.set_dir)
        seen, unseen = halves(found)
        learned = corpora.spread(tuple(seen), wanted.train)
        tested = corpora.spread(tuple(unseen), wanted.test)
        base = build.library(context).resolve("")
        library, share = build.adapters(context), context.settings.retrieval.passage_share
        with corpora.build_knowledge_base(Path(scratch) / "kb", found) as store:
            searcher = Searcher([store])
            if not any(adapter.name == wanted.adapter for adapter in library.installed()):
                train(context, wanted, base, searcher, learned, share)
            with opened(context, base) as model:
                way = packing.for_model(loaded(model).info, {}, passages=wanted.passages)
                rows: dict[str, tuple[list[Said], list[Said]]] = {"": ([], []), wanted.adapter: ([], [])}
                began = time.monotonic()
                for question in tested:
                    hits = searcher.search(question.text, 12, with_evidence=False).hits
                    wrong = [hit for hit in hits if not holds(hit.text, question.answers)]
                    wrong = [replace(hit, rank=rank) for rank, hit in enumerate(wrong, 1)]
                    for adapters, (there, gone) in rows.items():
                        used = loaded(model, adapters=AdapterScale.parse(adapters))
                        there.append(ask(used, question, hits, way, share))
                        gone.append(ask(used, question, wrong, way, share))
                seconds = time.monotonic() - began
    figures = {
        "base + RAG": report(*rows[""]),
        "tuned + RAG": report(*rows[wanted.adapter]),
    }
    print(
        f"{len(learned)} questions learned from, {len(tested)} asked about other articles, {way.passages} passages,"
        f" {seconds:.0f} s\n"
    )
    print(f"{'':22}" + "".join(f"{name:>14}" for name in figures))
    for measure in next(iter(figures.values())):
        print(f"{measure:22}" + "".join(f"{values[measure]:>14.3f}" for values in figures.values()))
    print(json.dumps({"benchmark": "raft", "learned": len(learned), "asked": len(tested), **figures}))


def train(
    context: Context,
    wanted: argparse.Namespace,
    base: Path,
    searcher: Searcher,
    learned: Sequence[Question],
    share: float,
) -> None:
    """Make the adapter."""
    recipe = changed(default_recipe("rag", read_metadata(base).n_params), epochs=wanted.epochs)
    asked = [raft.Asked(q.text, q.answers[0], "file:questions", article(q.relevant[0])) for q in learned]
    with opened(context, base) as model:
        base_model = loaded(model)
        made, rejected = raft.build(
            base_model,
            searcher,
            asked,
            packing.for_model(base_model.info, {}),
            form=wanted.form,
            share=share,
            cancel=CancelToken(),
        )
    with ProgressDisplay(live=False) as board:
        for event in run(
            Job(wanted.adapter, base, recipe),
            split(made),
            rejected,
            lambda: opened(context, base),
            build.adapters(context),
            places(context),
            cancel=CancelToken(),
        ):
            if ended := board.show(event):
                print(*board.summary(ended), sep="\n")


if __name__ == "__main__":
    main()
