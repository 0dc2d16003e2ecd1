"""The data of a run, gathered from what `ragchat finetune` was told: chats, files, knowledge bases."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.errors import FinetuneError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ragchat.finetune.examples import Example, Rejected
    from ragchat.finetune.pairs import PairFile
    from ragchat.finetune.raft import Form
    from ragchat.finetune.recipe import Mode
    from ragchat.finetune.split import Split
    from ragchat.store.chats import ChatStore
    from ragchat.types import CancelToken, ChatModel


@dataclass(frozen=True, slots=True)
class Wanted:
    """Where data is to come from. `held_out` is a file of questions to measure with, None: some of the data is kept back."""

    chats: bool
    files: Sequence[Path]
    knowledge_bases: Sequence[str]
    held_out: Path | None
    mode: Mode
    answer_form: Form = "sentence"
    refusals: float | None = None


def pair_file(context: Context, knowledge_base: str) -> PairFile:
    """The pairs that were drafted from a knowledge base."""
    from ragchat.finetune.pairs import PairFile

    return PairFile(context.paths.finetune_dir / "pairs" / f"{knowledge_base}.jsonl")


def gather(
    context: Context, wanted: Wanted, model: ChatModel, cancel: CancelToken
) -> tuple[Split, list[Rejected]]:
    """Examples, parted, and the rows that cannot be learned from. The model is loaded in the mode "rag" alone.

    Raises RagchatError.
    """
    from ragchat.app.evaluations import questions as evaluation_questions
    from ragchat.app.evaluations import set_names
    from ragchat.finetune import formats, from_chats, pairs
    from ragchat.finetune.split import split

    if not (wanted.chats or wanted.files or wanted.knowledge_bases):
        raise UsageError(
            "The training data is missing.",
            "Use --chats for rated and corrected answers, --file for a JSONL or CSV file, --kb for questions from documents.",
        )
    examples: list[Example] = []
    rejected: list[Rejected] = []
    held_out: list[Example] | None = None
    with contextlib.closing(_chats(context)) as chats:
        questions = [
            one.question for name in set_names(context) for one in evaluation_questions(context, name)
        ]
        if wanted.chats:
            found = from_chats.read(chats, with_passages=wanted.mode != "knowledge")
            if not found and not wanted.files and not wanted.knowledge_bases:
                raise FinetuneError(
                    "You have not rated an answer as good or corrected one yet.",
                    "In a chat, press + to rate an answer as good and w to correct it.",
                )
            examples += found
    for path in wanted.files:
        file = formats.read(path)
        examples += file.examples
        rejected += file.rejected
    if wanted.held_out is not None:
        held_out = list(formats.read(wanted.held_out).examples)
    if wanted.mode == "rag":
        return _raft(context, wanted, model, examples, held_out, questions, rejected, cancel)
    for name in wanted.knowledge_bases:
        kept = pair_file(context, name).kept
        if not kept:
            raise _no_pairs(name)
        examples += pairs.examples(kept, name)
    return split(examples, held_out=held_out, evaluation_questions=questions), rejected


def _raft(
    context: Context,
    wanted: Wanted,
    model: ChatModel,
    examples: list[Example],
    held_out: list[Example] | None,
    questions: list[str],
    rejected: list[Rejected],
    cancel: CancelToken,
) -> tuple[Split, list[Rejected]]:
    """Questions and answers of files and pairs, put to the knowledge bases; what has its passages already stays as it is."""
    from ragchat.finetune import raft
    from ragchat.finetune.split import split
    from ragchat.llm.loading import loaded
    from ragchat.retrieval.search import Searcher
    from ragchat.session import packing

    if not wanted.knowledge_bases:
        raise UsageError(
            "The mode rag needs documents.", "Choose them with --kb NAME. --file can add the questions."
        )
    own = [example for example in examples if example.kind == "cited"]
    asked = [
        raft.Asked(e.question, (e.expected or (e.answer,))[0], e.source, e.group)
        for e in examples
        if e.kind != "cited"
    ]
    for name in wanted.knowledge_bases:
        asked += [
            raft.Asked(pair.question, pair.answer, f"kb:{name}", pair.path, pair.path)
            for pair in pair_file(context, name).kept
        ]
    if not asked and not own:
        raise _no_pairs(wanted.knowledge_bases[0])
    base = loaded(model, cancel)
    way = packing.for_model(base.info, packing.read_choices(context.paths.packings_file))
    share = context.settings.retrieval.passage_share
    with ExitStack() as stack:
        stores = stack.enter_context(build.knowledge_bases(context, wanted.knowledge_bases))
        # As the chat searches: the model learns from the passages that it will be given.
        searcher = Searcher(stores, build.embedder(context))
        refusals = raft.WITHOUT_THE_RIGHT_ONE if wanted.refusals is None else wanted.refusals
        made, not_found = raft.build(
            base,
            searcher,
            asked,
            way,
            form=wanted.answer_form,
            refusals=refusals,
            share=share,
            cancel=cancel,
        )
        if held_out is not None:
            wanted_too = [
                raft.Asked(e.question, (e.expected or (e.answer,))[0], e.source, e.group) for e in held_out
            ]
            held_out, _ = raft.build(
                base,
                searcher,
                wanted_too,
                way,
                passages=(way.passages,),
                form=wanted.answer_form,
                refusals=refusals,
                share=share,
                cancel=cancel,
            )
    return split([*own, *made], held_out=held_out, evaluation_questions=questions), rejected + not_found


def _chats(context: Context) -> ChatStore:
    from ragchat.store.chats import ChatStore

    context.paths.create()
    return ChatStore(context.paths.chat_database)


def _no_pairs(name: str) -> NotFoundError:
    return NotFoundError(
        f"There are no drafted questions for {name} yet.",
        f"`ragchat pairs draft {name}` drafts them, `ragchat pairs review {name}` shows them.",
    )
