"""What a prompt holds with each way of packing: questions whose passages are known, over a knowledge base that is there.

    python benchmarks/prompts.py KB.db QUESTIONS.jsonl [--words] [--model MODEL.gguf] [--answers FILE.jsonl [--way NAME]…]

A line of QUESTIONS has `id`, `question`, `gold` (places with `package`, `file` and a `string` of a passage that answers) and
`answers` (words of a right answer). Of each way: the share of prompts with a gold string, the tokens of their passages by the
vocabulary of the model. With `--answers` the model answers, greedy, and FILE keeps what it says; the same command goes on where
it was stopped. `--words` searches by words alone. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import vectors
from answer_in_context import Count, counter

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.evaluation import packing_trial
from ragchat.evaluation.corpora import Question
from ragchat.evaluation.packing_trial import Way
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher, SearchResult
from ragchat.session.packing import Packing, Passage, hits_wanted, pack_hits, render
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Hit

_NO_LETTER = re.compile(r"[\W_]+")
_ROOM = 4096
"""Tokens for passages: half of the context of the default model."""
NOW = "1 passage"
SHORT = replace(DEFAULT, longest_passage=800)

WAYS: tuple[tuple[Way, Ranking], ...] = (
    (Way(NOW, Packing(1)), DEFAULT),
    (Way("1 of 800 characters", Packing(1)), SHORT),
    *((Way(f"{n} passages", Packing(n)), DEFAULT) for n in (2, 3, 5)),
    *((Way(f"{n} of 800 characters", Packing(n)), SHORT) for n in (2, 3)),
    *(
        (Way(f"evidence of {n}, {budget} tokens", Packing(n, "evidence", budget=budget)), DEFAULT)
        for budget in (256, 400, 600, 900)
        for n in (2, 3, 5, 8)
    ),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("knowledge_base", type=Path, metavar="KB.db")
    parser.add_argument("questions", type=Path, metavar="QUESTIONS.jsonl")
    parser.add_argument("--words", action="store_true", help="search by words alone")
    parser.add_argument("--model", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--answers", type=Path, metavar="FILE.jsonl", help="let the model answer, too")
    parser.add_argument("--way", action="append", metavar="NAME", help="only these ways; may be repeated")
    parser.add_argument("--limit", type=int, default=0, help="at most N questions, evenly spread")
    parser.add_argument("--each", type=Path, metavar="FILE.jsonl", help="write what is known of each question")
    arguments = parser.parse_args()
    print(json.dumps(run(arguments)))
