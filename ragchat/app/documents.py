"""Your documents: knowledge bases that are made, kept up to date, watched, embedded, asked and deleted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ragchat.app import build
from ragchat.errors import RagchatError
from ragchat.types import CancelToken, KnowledgeBaseStatus

if TYPE_CHECKING:
    from ragchat.app.preferences import Preferences
    from ragchat.ingest.embedding import EmbeddingEvent
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished, SyncProgress
    from ragchat.retrieval.search import Searcher
    from ragchat.session.sources import Attachment
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder
    from ragchat.types.reranking import Reranker

_Event = TypeVar("_Event")


class Documents:
    """Safe to call from any thread; iterators work while they are iterated, with connections of the calling thread."""

    def __init__(
        self, preferences: Preferences, forget: Callable[[Sequence[str]], None] | None = None
    ) -> None:
        """`forget` drops what a model has read of these owners; None: only what is on disk is dropped."""
        self._preferences = preferences
        self._forget_read = forget or partial(build.drop_read, preferences.context)

    @property
    def _folder(self) -> Path:
        return self._preferences.context.paths.kb_dir

    def asked_by_default(self) -> tuple[str, ...]:
        """What a chat asks whose knowledge bases are None."""
        return build.default_knowledge_bases(self._preferences.context)

    def statuses(self) -> list[KnowledgeBaseStatus]:
        """All knowledge bases that can be opened, with counts."""
        found = []
        for name in self.names():
            try:
                with self.open(name) as store:
                    found.append(store.status())
            except RagchatError:
                continue  # `ragchat doctor` says what is wrong with it
        return found

    def names(self) -> list[str]:
        """All knowledge bases."""
        from ragchat.store.knowledge import knowledge_base_names

        return list(knowledge_base_names(self._folder))

    def open(self, name: str) -> KnowledgeStore:
        """A connection of the calling thread's own. Raises NotFoundError, StorageError."""
        from ragchat.store.knowledge import KnowledgeStore

        return KnowledgeStore.open(self._folder, name)

    def sync(
        self, name: str, add: Sequence[Path], cancel: CancelToken
    ) -> Iterator[SyncProgress | RowsFinished | SyncFinished]:
        """Add these files and folders to the knowledge base (made when new) and bring it up to date.

        Raises UsageError, StorageError, IngestError.
        """
        from ragchat.ingest.forget import remember
        from ragchat.ingest.sync import sync
        from ragchat.store.knowledge import KnowledgeStore, check_name

        check_name(name)
        with KnowledgeStore.create(self._folder, name) as store:
            remember(store, [os.path.realpath(path) for path in add])
            events = sync(store, build.ingest_options(self._preferences.context), cancel=cancel, add=add)
            yield from self._dropping(name, events)

    def index_manual(self, cancel: CancelToken) -> None:
        """Make the knowledge base of ragchat's own manual, or bring it up to date. Raises StorageError."""
        build.index_manual(self._preferences.context, cancel)

    def watch(self, name: str, cancel: CancelToken) -> Iterator[object]:
        """Keep a knowledge base up to date until it is cancelled; a SyncFinished after each change."""
        from ragchat.ingest.watch import watch

        paths = self._preferences.context.paths
        events = watch(
            partial(self.open, name),
            build.ingest_options(self._preferences.context),
            cancel=cancel,
            ignore=(paths.data_dir, paths.state_dir, paths.cache_dir),
        )
        return self._dropping(name, events)

    def _dropping_read(self, name: str) -> AbstractContextManager[None]:
        return build.dropping_read(self._preferences.context, [f"documents {name}"], self._forget_read)

    def _dropping(self, name: str, events: Iterable[_Event]) -> Iterator[_Event]:
        """Pass these on; where documents have left the knowledge base, what was read of it goes too."""
        for event in events:
            if getattr(event, "removed", 0):
                self._forget_read([f"documents {name}"])
            yield event

    @property
    def sync_at_start(self) -> bool:
        """Whether what the chat asks is brought up to date when ragchat starts."""
        return self._preferences.settings.knowledge.sync_at_start

    def watched(self) -> tuple[str, ...]:
        """The knowledge bases that you want watched."""
        self._preferences.all()
        return self._preferences.settings.knowledge.watch

    def set_watched(self, names: Sequence[str]) -> None:
        """Keep that choice. Raises UsageError."""
        self._preferences.set("knowledge.watch", ",".join(names))

    def forget(self, name: str, path: str) -> None:
        """Take a document out of the knowledge base of this name for good, by its path. Raises NotFoundError."""
        from ragchat.ingest.forget import forget

        with self.open(name) as store, self._dropping_read(name):
            forget(store, path)

    def remove(self, name: str) -> None:
        """Delete the index; the documents are kept. Raises NotFoundError, StorageError."""
        from ragchat.store.knowledge import remove_knowledge_base

        with self._dropping_read(name):
            remove_knowledge_base(self._folder, name)

    def read_attachment(self, path: Path) -> Attachment:
        """Read a file that goes with one question. Raises IngestError, NotFoundError."""
        from ragchat.session.attachment import read

        return read(path, build.ingest_options(self._preferences.context))

    def embedder(self) -> Embedder | None:
        """The embedding model, one for all threads; None: words alone are searched."""
        return build.embedder(self._preferences.context)

    def reranker(self) -> Reranker | None:
        """The cross-encoder of the settings, one for all threads; None: there is none."""
        return build.reranker(self._preferences.context)

    def searcher(self, stores: Sequence[KnowledgeStore]) -> Searcher:
        """A search over these stores, with meaning as the settings want it, for the calling thread."""
        from ragchat.retrieval.search import Searcher

        return Searcher(stores, self.embedder(), self.reranker()) if stores else Searcher(stores)

    def embed(self, name: str, cancel: CancelToken, hold: Callable[[], str]) -> Iterator[EmbeddingEvent]:
        """Embed what of a knowledge base is not; nothing when it is gone or switched off, or there is no model.

        `hold` says why to wait, or ''. Raises ModelError, StorageError.
        """
        from ragchat.ingest.embedding import embed
        from ragchat.llm.embedding import open_embedder

        context = self._preferences.context
        if not (self._folder / f"{name}.db").is_file():
            return
        embedder = open_embedder(context.paths, context.settings.embedding.model, background=True)
        if embedder is None:
            return
        with closing(embedder), self.open(name) as store:
            if store.options().meaning:
                yield from embed(store, embedder, cancel=cancel, hold=hold)
