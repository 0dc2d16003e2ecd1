"""The application's end of the embedding process: starts it on first use, asks it, starts it again after a death.

Nothing here imports llama.cpp, and nothing that the process does can take the application with it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from ragchat.errors import InferenceDiedError, ModelError, ModelFileError
from ragchat.llm.embedding import wire
from ragchat.llm.embedding.prefixes import languages, prefixes, related
from ragchat.llm.fingerprint import sha256_of
from ragchat.llm.gguf import POOLING_RANK, check_embedding_model, read_metadata
from ragchat.pipes import Child, ChildGoneError, ChildSilentError
from ragchat.text import clean, clean_line
from ragchat.types.embedding import EmbeddingModel

if TYPE_CHECKING:
    from ragchat.types.embedding import Vectors

LONGEST_TEXT = 1024
"""Tokens of a text that are read at most, whatever the model could: passages are shorter, and memory grows with it."""
BACKGROUND_NICENESS = 15
SILENCE_S = 20.0
"""A process at work says so twice a second; after this much silence it hangs."""
BACKGROUND_SILENCE_S = 120.0
"""One that gives way may have to wait for its turn."""
_AT_ONCE = 64
_REMEMBERED = 16
"""Questions whose vector is kept: what is typed is searched before it is sent."""
_POLL_S = 1.0
_THREADS = {"GOMP_SPINCOUNT": "2000"}
"""As in the inference process: threads that wait for each other sleep soon."""
_Answer = TypeVar("_Answer", wire.Loaded, wire.Embedded, wire.Ranked)


class EmbeddingProcess:
    """An `Embedder` in a process of its own, which starts with the first text. Any thread may use it, one at a time does.

    After an error the next call starts the process again. Making one reads the file's metadata only. Raises ModelFileError.
    """

    def __init__(
        self,
        path: Path,
        *,
        log: Path,
        fingerprints_file: Path | None = None,
        threads: int = 0,
        background: bool = False,
    ) -> None:
        """`threads` 0: few. `background`: gives way to everything else on the machine, with fewer threads."""
        metadata = read_metadata(path)
        check_embedding_model(metadata)
        self._path, self._log = path, log
        self._prefixes = prefixes(metadata.architecture, path.stem, metadata.name)
        self._threads = threads or default_threads(background=background)
        self._niceness = BACKGROUND_NICENESS if background else 0
        self._patience_s = BACKGROUND_SILENCE_S if background else SILENCE_S
        self.ranks = metadata.pooling == POOLING_RANK
        """Whether it is a cross-encoder: it compares a question with passages (`rank`) and makes no vectors."""
        said = f"{sha256_of(path, fingerprints_file)}:{metadata.pooling}:{self._prefixes}:{LONGEST_TEXT}"
        self._model = EmbeddingModel(
            name=path.stem,
            fingerprint=hashlib.sha256(said.encode()).hexdigest()[:32],
            dimensions=metadata.n_embd,
            n_ctx=min(LONGEST_TEXT, metadata.n_ctx_train or LONGEST_TEXT),
            languages=languages(path.stem, metadata.name),
            related=related(path.stem, metadata.name),
        )
        self._ids = itertools.count(1)
        self._child: Child | None = None
        self._lock = threading.Lock()
        self._questions: dict[str, Vectors] = {}

    @property
    def model(self) -> EmbeddingModel:
        """What is known of the model."""
        return self._model

    @property
    def pid(self) -> int | None:
        """Process number, if the process runs."""
        return self._child.pid if self._child and self._child.alive else None

    def start(self) -> None:
        """Load the model now, so that the first text does not wait for it. Raises ModelError."""
        if self.pid is None:
            self._start()

    def embed_query(self, text: str) -> Vectors:
        """The vector of a question, shape (dimensions,), of unit length. Raises ModelError."""
        known = self._questions.get(text)
        if known is None:
            known = self._embed([self._prefixes.query + text])[0]
            self._questions = {**dict([*self._questions.items()][1 - _REMEMBERED :]), text: known}
        return known

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors of passages, shape (texts, dimensions), each of unit length. Raises ModelError."""
        return self._embed([self._prefixes.passage + text for text in texts])

    def rank(self, query: str, texts: Sequence[str]) -> Vectors:
        """How well each text answers `query`, shape (texts,); larger is better, on the model's own scale. Raises ModelError."""
        import numpy as np

        if not self.ranks:
            raise ModelError(f"{self._model.name} is an embedding model, not a cross-encoder.")
        found = [
            np.frombuffer(
                self._ask(wire.Rank(next(self._ids), _sound(query), part), wire.Ranked).scores, "<f4"
            )
            for part in self._parts(texts)
        ]
        return np.concatenate(found) if found else np.empty(0, np.float32)

    def close(self) -> None:
        """End the process."""
        child, self._child = self._child, None
        if child:
            child.close()

    # --- the conversation with the process ----------------------------------------------------------

    def _embed(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        if self.ranks:
            raise ModelError(f"{self._model.name} is a cross-encoder, not an embedding model.")
        width = self._model.dimensions
        found = [
            np.frombuffer(self._ask(wire.Embed(next(self._ids), part), wire.Embedded).vectors, "<f4")
            for part in self._parts(texts)
        ]
        if not found:
            return np.empty((0, width), np.float32)
        vectors = np.concatenate(found).reshape(len(texts), -1)
        if vectors.shape[1] != width:
            raise ModelError(f"{self._model.name} returns vectors of a different length than its file says.")
        return vectors

    def _parts(self, texts: Sequence[str]) -> list[tuple[str, ...]]:
        sound = [_sound(text) for text in texts]
        return [tuple(sound[first : first + _AT_ONCE]) for first in range(0, len(sound), _AT_ONCE)]

    def _ask(self, command: wire.Commands, answer: type[_Answer]) -> _Answer:
        with self._lock:
            self.start()
            return self._converse(command, answer)

    def _start(self) -> None:
        self.close()
        try:
            self._child = Child("ragchat.llm.embedding.process", self._log, _THREADS)
        except OSError as error:
            raise ModelError(
                f"The embedding process cannot be started: {error}.",
                "Run `ragchat doctor` to find the cause.",
            ) from error
        command = wire.Load(next(self._ids), str(self._path), LONGEST_TEXT, self._threads, self._niceness)
        try:
            self._converse(command, wire.Loaded)
        except ModelError:
            self.close()
            raise

    def _converse(self, command: wire.Commands, answer: type[_Answer]) -> _Answer:
        """Send a command and wait for its answer; a process that dies or hangs is gone afterwards. Raises ModelError."""
        assert self._child
        try:
            self._child.send(wire.encode(command))
            reply = self._reply(self._child, command.id)
        except (ChildGoneError, msgspec.DecodeError) as error:
            reason = error.reason if isinstance(error, ChildGoneError) else "sent an invalid message"
            raise self._died(reason) from error
        except ChildSilentError as error:
            raise self._died("stopped responding, so ragchat ended it") from error
        except (
            BaseException
        ):  # Ctrl-C: an answer that comes later would be taken for that of the next request
            self._kill()
            raise
        if isinstance(reply, wire.Failed):
            raise ModelFileError(
                f"{clean_line(self._model.name)} cannot be used for search by meaning: {clean(reply.sentence)}.",
                f"The log is {self._log}.",
            )
        if not isinstance(reply, answer):
            raise self._died("sent an invalid message")
        return reply

    def _reply(self, child: Child, request: int) -> wire.Replies:
        heard = time.monotonic()
        while True:
            try:
                reply = wire.reply_decoder.decode(child.receive(_POLL_S))
            except ChildSilentError:
                if time.monotonic() - heard > self._patience_s:
                    raise
                continue
            heard = time.monotonic()
            if reply.id == request and not isinstance(reply, wire.Beat):
                return reply

    def _died(self, reason: str) -> InferenceDiedError:
        self._kill()
        return InferenceDiedError(
            f"The embedding process {reason}.",
            f"It restarts the next time you use it. The log is {self._log}.",
        )

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child:
            child.kill()


def default_threads(*, background: bool) -> int:
    """At most 4: for a question someone waits; in the background a quarter of the cores and at most 2."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(2, cores // 4) if background else min(4, cores))


def _sound(text: str) -> str:
    """Without half characters, which no frame can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")
