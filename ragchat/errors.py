"""The one tree of errors. Each carries a sentence for the person and an exit code for scripts.

    RagchatError                    1   something went wrong that ragchat expected could
    ├── UsageError                  2   the call or a setting is wrong
    ├── NothingFoundError           3   strict mode, and the documents hold nothing relevant
    ├── NotFoundError               4   no such model, knowledge base, chat or file
    ├── ModelError                  5   a model file or the inference process
    │   ├── ModelFileError              truncated, not a GGUF, an architecture nobody can load
    │   ├── ModelTooLargeError          does not fit into memory
    │   ├── AdapterError                an adapter that is broken or belongs to another model
    │   ├── InferenceDiedError          the process was killed, aborted or hung
    │   └── PromptTooLongError          the question alone exceeds the context
    ├── StorageError                6   a database or the disk
    ├── IngestError                 7   a document that could not be read
    ├── DownloadError               8   the hub or the package index
    ├── FinetuneError               9   training data, a run, or the machine it is to run on
    └── CancelledError            130   the person said stop

`except Exception` belongs at a process or worker boundary only, and is logged there.
"""

from __future__ import annotations


class RagchatError(Exception):
    """Base of all expected errors: `str(error)` is the sentence, `remedy` what to do about it."""

    exit_code = 1

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.remedy = remedy


class UsageError(RagchatError):
    exit_code = 2


class NothingFoundError(RagchatError):
    exit_code = 3


class NotFoundError(RagchatError, LookupError):
    exit_code = 4


class ModelError(RagchatError):
    exit_code = 5


class ModelFileError(ModelError):
    pass


class ModelTooLargeError(ModelError):
    """The model with this n_ctx does not fit; `largest_n_ctx` is the most that does (0: none)."""

    def __init__(self, sentence: str, remedy: str = "", *, largest_n_ctx: int = 0) -> None:
        super().__init__(sentence, remedy)
        self.largest_n_ctx = largest_n_ctx


class AdapterError(ModelError):
    pass


class InferenceDiedError(ModelError):
    pass


class PromptTooLongError(ModelError):
    pass


class StorageError(RagchatError):
    exit_code = 6


class IngestError(RagchatError):
    exit_code = 7


class DownloadError(RagchatError):
    exit_code = 8


class FinetuneError(RagchatError):
    exit_code = 9


class EvaluationError(RagchatError):
    """A measured figure is below what was demanded, or has become worse."""

    exit_code = 10


class CancelledError(RagchatError):
    exit_code = 130
