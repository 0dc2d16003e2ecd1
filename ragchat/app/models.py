"""The models and adapters that you can choose from, and fetching one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragchat.app import build
from ragchat.errors import RagchatError
from ragchat.text import clean, clean_line
from ragchat.types import CancelToken, ChatModel
from ragchat.types.defaults import MOST_N_CTX

if TYPE_CHECKING:
    from ragchat.app.context import Context
    from ragchat.app.preferences import Preferences
    from ragchat.llm.adapters import InstalledAdapter
    from ragchat.llm.catalogue import CatalogueEntry
    from ragchat.llm.library import InstalledModel
    from ragchat.llm.tune import Progress, Tuned

PullProgress = Callable[[int, int, float, float | None], None]
"""Bytes done, bytes in all, bytes per second, seconds left."""
_SHARE_OF_MEMORY = 1 / 3
"""What a model may need of the memory of the machine, so that other programs have room."""


class SelectableModel(ChatModel, Protocol):
    """The model process: one model at a time, chosen by name or path."""

    @property
    def selected(self) -> str:
        """Name of the model that is loaded or will be; empty when none is installed."""

    def select(self, name_or_path: str) -> None:
        """Choose another model; it is loaded on the next `load`. Raises NotFoundError, ModelFileError."""

    def suspicion(self) -> str:
        """Why the selected model is not loaded unasked (it ended the process before), or empty."""

    def apart(self, cancel: CancelToken) -> AbstractContextManager[CancelToken]:
        """The machine for other work; the token also ends it for a question. Raises ModelError when the process is at work."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be chosen, installed or to be fetched. `problem` says why it cannot be used (empty: it can).

    `recommended`: it is the largest of the catalogue that leaves this machine memory for other programs.
    """

    name: str
    title: str
    size_bytes: int
    installed: bool
    memory_bytes: int
    licence: str
    problem: str = ""
    recommended: bool = False


class Models:
    """Safe to call from any thread. Methods read files each time they are called."""

    def __init__(self, preferences: Preferences, chosen: SelectableModel) -> None:
        self._preferences, self._chosen = preferences, chosen

    def choices(self) -> list[ModelChoice]:
        """Installed models first, then those of the catalogue that are not installed."""
        from ragchat.llm.catalogue import load_catalogue
        from ragchat.llm.memory import total_bytes

        context = self._preferences.context
        entries = {entry.file: entry for entry in load_catalogue()}
        best = _recommended(context, list(entries.values()), total_bytes())
        installed = build.library(context).installed()
        files = {model.path.name for model in installed}
        return [
            *(_installed(context, model, entries.get(model.path.name), best) for model in installed),
            *(_to_fetch(context, entry, best) for file, entry in entries.items() if file not in files),
        ]

    def check(self, name_or_path: str) -> None:
        """Raises NotFoundError, with the nearest names, unless a model of this name or path is installed."""
        build.library(self._preferences.context).resolve(name_or_path)

    def names(self) -> list[str]:
        """The installed models."""
        return [choice.name for choice in self.choices() if choice.installed]

    def pull(self, name: str, progress: PullProgress, cancel: CancelToken) -> Path:
        """Fetch a model; where it is then. Raises DownloadError, NotFoundError, CancelledError."""
        pulled = build.pull(
            self._preferences.context,
            name,
            lambda step: progress(step.done, step.total, step.rate, step.eta_s),
            cancel,
        )
        build.look_for_embedder(self._preferences.context)
        return pulled.path

    def add(self, file: Path) -> str:
        """Take in a GGUF file of yours as a link; the name it has then. Raises ModelFileError, UsageError, StorageError."""
        return build.library(self._preferences.context).add(file).name

    def tune(self, name: str, progress: Progress, cancel: CancelToken) -> Tuned:
        """Measure how a model runs best and keep it; a question that is asked meanwhile stops it.

        Raises NotFoundError, ModelError, StorageError, CancelledError.
        """
        with self._chosen.apart(cancel) as stop:
            return tune(self._preferences.context, name, progress, stop)

    def embedding_to_fetch(self) -> str:
        """The model for search by meaning that `pull` would fetch; empty when there is one, or the settings name another."""
        from ragchat.llm.catalogue import load_embeddings

        context = self._preferences.context
        there = context.settings.embedding.model or build.library(context).resolve_embedding()
        return "" if there else load_embeddings()[0].name

    def adapters(self, model: str = "") -> list[InstalledAdapter]:
        """All adapters, judged for a model by its name (empty: the chosen one); those that do not fit come last."""
        context, name = self._preferences.context, model or self._chosen.selected
        return list(build.adapters(context).judged(build.library(context).resolve(name))) if name else []

    def adapter_names(self, model: str = "") -> list[str]:
        """The adapters that fit a model."""
        return [adapter.name for adapter in self.adapters(model) if not adapter.problem]


def tune(
    context: Context, name: str, progress: Progress, cancel: CancelToken, *, copies: bool = True
) -> Tuned:
    """Measure how a model (empty: the one of the settings) runs best, in processes of its own, and keep that.

    Raises NotFoundError, ModelError, StorageError, CancelledError.
    """
    from ragchat.llm import tune as tuning

    paths, settings = context.paths, context.settings.model
    path = build.library(context).resolve(name or settings.name)
    build.check_model(path, settings.n_ctx)
    places = tuning.Places(paths.profiles_file, paths.inference_log, paths.cache_dir)
    return tuning.tune(
        *(path, places), n_batch=settings.n_batch, copies=copies, progress=progress, cancel=cancel
    )


def make_copy(context: Context, name: str, type_name: str, cancel: CancelToken) -> Path:
    """A copy of a model in a type that is read fast, in the first model folder. Raises RagchatError."""
    from ragchat.llm.tune import make

    path = build.library(context).resolve(name or context.settings.model.name)
    return make(path, context.paths.model_dirs[0], type_name, context.paths.inference_log, cancel)


def _recommended(context: Context, entries: Sequence[CatalogueEntry], memory_bytes: int) -> CatalogueEntry:
    """The largest model of the catalogue that needs no more than its share of the memory, else the smallest."""
    from ragchat.llm.memory import estimate

    def needs(entry: CatalogueEntry) -> int:
        return estimate(entry, _n_ctx(context, entry.context)).total

    fitting = [entry for entry in entries if needs(entry) <= memory_bytes * _SHARE_OF_MEMORY]
    return max(fitting, key=needs, default=entries[0])


def _installed(
    context: Context, model: InstalledModel, entry: CatalogueEntry | None, best: CatalogueEntry
) -> ModelChoice:
    from ragchat.llm.gguf import read_metadata
    from ragchat.llm.memory import estimate

    needed, problem, licence = 0, model.problem, entry.licence if entry else ""
    if not problem:
        try:
            metadata = read_metadata(model.path)
            needed = estimate(metadata, _n_ctx(context, metadata.n_ctx_train)).total
            licence = licence or metadata.licence
        except RagchatError as error:
            problem = str(error)
    title = entry.title if entry else clean_line(model.name)
    return ModelChoice(
        *(model.name, title, model.size_bytes, True, needed, clean(licence), clean_line(problem)),
        recommended=entry is best,
    )


def _to_fetch(context: Context, entry: CatalogueEntry, best: CatalogueEntry) -> ModelChoice:
    from ragchat.llm.memory import estimate

    needed = estimate(entry, _n_ctx(context, entry.context)).total
    return ModelChoice(
        *(entry.name, entry.title, entry.size_bytes, False, needed, entry.licence),
        recommended=entry is best,
    )


def _n_ctx(context: Context, trained: int) -> int:
    return min(context.settings.model.n_ctx or MOST_N_CTX, trained or MOST_N_CTX)
