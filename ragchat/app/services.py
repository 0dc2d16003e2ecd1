"""What the screen may call. Built by the composition root from plain values, so that the screen never sees settings.

Anything that reads a database belongs to the thread that opened it: workers open their own and close it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ragchat.types import CancelToken, ChatModel, ChatOptions, KnowledgeBaseStatus

if TYPE_CHECKING:  # the screen paints before any of these is needed
    from subprocess import Popen

    from ragchat.app.evaluations import Evaluation
    from ragchat.config import Setting
    from ragchat.evaluation.calibration import RefusalCurve
    from ragchat.evaluation.question_sets import Asked
    from ragchat.ingest.embedding import EmbeddingEvent
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished, SyncProgress
    from ragchat.llm.adapters import InstalledAdapter
    from ragchat.session.attachment import Attachment
    from ragchat.session.chat import AskOptions, ChatSession
    from ragchat.session.templates import Template, WrongFile
    from ragchat.store.chats import ChatStore
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.types.embedding import Embedder


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be chosen, installed or to be fetched. `problem` says why it cannot be used (empty: it can)."""

    name: str
    title: str
    size_bytes: int
    installed: bool
    memory_bytes: int
    licence: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """`rated`: answers that were rated good or corrected; `pairs`: kept questions by knowledge base; `unreviewed` of them."""

    rated: int
    pairs: Mapping[str, int]
    unreviewed: Mapping[str, int]


class SelectableModel(ChatModel, Protocol):
    """The model process: one model at a time, chosen by name or path."""

    @property
    def selected(self) -> str:
        """Name of the model that is loaded or will be; empty when none is installed."""

    def select(self, name_or_path: str) -> None:
        """Choose another model; it is loaded on the next `load`. Raises NotFoundError, ModelFileError."""

    def suspicion(self) -> str:
        """Why the selected model is not loaded unasked (it ended the process before), or empty."""


@dataclass(frozen=True, slots=True)
class Services:
    """Callables may be called from any thread; those that return iterators work while they are iterated."""

    model: SelectableModel
    open_chats: Callable[[], ChatStore]
    """A connection of the calling thread's own."""
    open_session: Callable[[ChatStore, ChatOptions], AbstractContextManager[ChatSession]]
    """A session as the settings and a chat's own options want it, for the calling thread."""
    ask_options: Callable[[], AskOptions]
    """How a chat without options of its own is answered."""
    default_knowledge_bases: Callable[[], tuple[str, ...]]
    """What a chat asks whose knowledge bases are None."""
    knowledge_bases: Callable[[], list[KnowledgeBaseStatus]]
    """All of them, with counts; those that cannot be opened are left out."""
    open_knowledge_base: Callable[[str], KnowledgeStore]
    sync: Callable[[str, Sequence[Path], CancelToken], Iterator[SyncProgress | RowsFinished | SyncFinished]]
    """Add these files and folders to the knowledge base (made when new) and bring it up to date."""
    watch: Callable[[str, CancelToken], Iterator[object]]
    """Keep a knowledge base up to date until it is cancelled; a SyncFinished after each change."""
    watched: Callable[[], tuple[str, ...]]
    """The knowledge bases that the person wants watched."""
    set_watched: Callable[[tuple[str, ...]], object]
    """Keep that choice."""
    sync_at_start: bool
    forget: Callable[[str, str], object]
    """Take a document out of the knowledge base of this name for good, by its path."""
    remove_knowledge_base: Callable[[str], object]
    """Delete the index; the documents stay."""
    read_attachment: Callable[[Path], Attachment]
    """Read a file that goes with one question."""
    models: Callable[[], list[ModelChoice]]
    pull_model: Callable[[str, Callable[[int, int, float, float | None], None], CancelToken], Path]
    """Fetch a model; the callback gets bytes done, bytes in all, bytes per second, seconds left."""
    adapters: Callable[[str], list[InstalledAdapter]]
    """All of them, judged for a model by its name (empty: the chosen one); those that do not fit say why and come last."""
    training_data: Callable[[], TrainingData]
    """What there is to train with."""
    start_training: Callable[[Sequence[str]], Popen[bytes]]
    """Run `ragchat finetune` with these arguments in a process of its own, which goes on when ragchat ends."""
    training_said: Callable[[str], str]
    """The last lines that the training of this name has printed."""
    trainings_dir: Path
    evaluations: Callable[[], list[Evaluation]]
    """The newest verdict of each question set, the newest first, with what has changed since. Takes seconds."""
    question_sets: Callable[[], dict[str, list[Asked]]]
    """All sets with their questions; `chat` are those that were kept in chats."""
    write_questions: Callable[[str, Sequence[Asked], Sequence[Asked]], object]
    """Do to a set what turned the first into the second. Raises RagchatError."""
    refusal_curve: Callable[[str, CancelToken], RefusalCurve | None]
    """False answers against wrong refusals on the questions of a set; None when cancelled. Seconds. Raises RagchatError."""
    verdict_stale: Callable[[], list[str]]
    """What has changed since the newest verdict; empty: nothing, or there is none."""
    templates: Callable[[], tuple[list[Template], list[WrongFile]]]
    """Prompt templates by name, and the person's files that are none."""
    settings: Callable[[], list[Setting]]
    """Every setting as it stands now. Raises UsageError when the file is wrong."""
    set_setting: Callable[[str, str], object]
    """Write one setting (`section.key`) into the file; the open chat takes it up. Raises UsageError."""
    unset_setting: Callable[[str], object]
    """Put the default of a setting back. Raises UsageError."""
    settings_file: Path
    themes_dir: Path
    keys: Mapping[str, str]
    """The person's own keys, by binding id."""
    reduced_motion: bool
    templates_dir: Path
    """Where the person's own belong."""
    editor: str
    theme: str
    load_at_start: bool
    log_file: Path
    scratch_dir: Path
    """For text handed to an editor."""
    embed: Callable[[str, CancelToken, Callable[[], str]], Iterator[EmbeddingEvent]] = lambda *_: iter(())
    """Embed what of a knowledge base is not; nothing without a model. The callable says why to wait, or ''."""
    new_chat: ChatOptions = field(default_factory=ChatOptions)
    """What a new chat does otherwise than the settings."""
    open_embedder: Callable[[], Embedder | None] = lambda: None
    """The embedding model, one for all threads; None: words alone are searched."""
