"""The one tree of errors. Each carries a sentence for the user and an exit code for scripts.

    RagchatError                    1   something went wrong that ragchat expected could
    ├── UsageError                  2   the call or a setting is wrong
    ├── NothingFoundError           3   strict mode, and the search found no relevant passages
    ├── NotFoundError               4   no such model, knowledge base, chat or file
    ├── ModelError                  5   a model file or the inference process
    │   ├── ModelFileError              truncated, not a GGUF, an architecture no one can load
    │   ├── ModelTooLargeError          does not fit into memory
    │   ├── AdapterError                an adapter that is broken or belongs to another model
    │   ├── InferenceDiedError          the process was killed, aborted or hung
    │   └── PromptTooLongError          the question alone exceeds the context
    ├── StorageError                6   a database or the disk
    ├── IngestError                 7   a document that could not be read
    ├── DownloadError               8   the hub or the package index
    ├── FinetuneError               9   training data, a run, or the machine it is to run on
    └── CancelledError            130   the user said stop

`except Exception` belongs at a process or worker boundary only, and is logged there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum


class Subject(StrEnum):
    """What an error is about, for callers that continue without it."""

    QUESTIONS = "questions"
    MODEL = "model"
    ADAPTER = "adapter"
    DOCUMENTS = "documents"
    EMBEDDING = "embedding"


class RagchatError(Exception):
    """Base of all expected errors: `str(error)` is the sentence, `remedy` what to do about it.

    `subject` is what it is about, where a caller has said so (`about`).
    """

    exit_code = 1

    def __init__(self, sentence: str, remedy: str = "", *, subject: Subject | None = None) -> None:
        super().__init__(sentence)
        self.remedy = remedy
        self.subject = subject


@contextlib.contextmanager
def about(subject: Subject) -> Iterator[None]:
    """What goes wrong inside is about this, unless it says itself what it is about."""
    try:
        yield
    except RagchatError as error:
        error.subject = error.subject or subject
        raise


class UsageError(RagchatError):
    """The command, option or value is wrong."""

    exit_code = 2


class NothingFoundError(RagchatError):
    """A search or question found nothing in the documents."""

    exit_code = 3


class NotFoundError(RagchatError, LookupError):
    """What was named does not exist: a chat, a knowledge base, a file, a model."""

    exit_code = 4


class ModelError(RagchatError):
    """The model cannot do what was asked."""

    exit_code = 5


class ModelFileError(ModelError):
    """The model file is damaged or of an unsupported kind."""


class ModelTooLargeError(ModelError):
    """The model with this n_ctx does not fit; `largest_n_ctx` is the most that does (0: none)."""

    def __init__(self, sentence: str, remedy: str = "", *, largest_n_ctx: int = 0) -> None:
        super().__init__(sentence, remedy)
        self.largest_n_ctx = largest_n_ctx


class AdapterError(ModelError):
    """The adapter is damaged or belongs to another model."""


class InferenceDiedError(ModelError):
    """The model's process ended or stopped answering."""


class PromptTooLongError(ModelError):
    """The prompt does not fit into the context of the model."""


class StorageError(RagchatError):
    """A file or database cannot be read or written."""

    exit_code = 6


class IngestError(RagchatError):
    """A document cannot be read."""

    exit_code = 7


class DownloadError(RagchatError):
    """A download failed or its checksum is wrong."""

    exit_code = 8


class FinetuneError(RagchatError):
    """A training cannot begin or failed."""

    exit_code = 9


class EvaluationError(RagchatError):
    """A measured figure is below what was demanded, or has become worse."""

    exit_code = 10


class CancelledError(RagchatError):
    """You stopped the work."""

    exit_code = 130
