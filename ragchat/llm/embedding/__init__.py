"""Embedding models: vectors that stand for the meaning of a text, computed in a process of their own.

`open_embedder` finds the model that is meant and gives an `Embedder`, or None where there is none: then words alone are searched.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.errors import ModelFileError

if TYPE_CHECKING:
    from ragchat.llm.embedding.client import EmbeddingProcess
    from ragchat.paths import Paths

LOG = "embedding.log"
"""In the state folder."""
OFF = "off"
"""The name that switches search by meaning off."""
NO_MODEL_SENTENCE = "Search by meaning is off: no embedding model is installed."
NO_MODEL_REMEDY = "`ragchat model pull minilm-l6` downloads one."
NO_MODEL = f"{NO_MODEL_SENTENCE} {NO_MODEL_REMEDY}"
"""What there is to say where `open_embedder` gives None."""


def open_embedder(
    paths: Paths, name: str = "", *, threads: int = 0, background: bool = False
) -> EmbeddingProcess | None:
    """The embedding model `name` (the setting `embedding.model`), its process not yet started.

    Empty: the default of the catalogue, else the first embedding model there is. None: "off", or empty and there is none.
    `background`: gives way to everything else on the machine. `threads` 0: few. Raises NotFoundError for a name that is not
    there, ModelFileError for a file that is no embedding model.
    """
    path = find_embedding_model(paths.model_dirs, name)
    if path is None:
        return None
    embedder = _process(paths, path, threads=threads, background=background)
    if embedder.ranks:
        raise ModelFileError(
            f"{path.stem} is a cross-encoder, not an embedding model.",
            "`ragchat model list` lists the embedding models.",
        )
    return embedder


def open_reranker(paths: Paths, name: str, *, threads: int = 0) -> EmbeddingProcess:
    """The cross-encoder `name`, its process not yet started, as a `Reranker`. Raises NotFoundError, ModelFileError.

    Not measured: no weights of such a model were at hand. BERT models were trained with a mark on the second text that
    llama.cpp does not set; XLM-R models (bge-reranker) have no such mark.
    """
    from ragchat.llm.library import ModelLibrary

    found = _process(paths, ModelLibrary(paths.model_dirs).resolve(name), threads=threads, background=False)
    if not found.ranks:
        raise ModelFileError(f"{found.model.name} is not a cross-encoder: it has no rank head.")
    return found


def _process(paths: Paths, path: Path, *, threads: int, background: bool) -> EmbeddingProcess:
    from ragchat.llm.embedding.client import EmbeddingProcess

    return EmbeddingProcess(
        path,
        log=paths.state_dir / LOG,
        fingerprints_file=paths.fingerprints_file,
        threads=threads,
        background=background,
    )


def find_embedding_model(model_dirs: tuple[Path, ...], name: str = "") -> Path | None:
    """The file of the embedding model `name`; None as in `open_embedder`. Raises NotFoundError, ModelFileError."""
    if name.casefold() == OFF:
        return None
    from ragchat.llm.library import ModelLibrary

    return ModelLibrary(model_dirs).resolve_embedding(name)
