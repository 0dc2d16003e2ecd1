"""The adapters on this disk: `models/adapters/NAME/`, each bound to the model file it was trained on.

A folder counts when its manifest, which is written last, can be read and its GGUF file is whole. How adapters are made is the
business of `ragchat.finetune`; how they are switched on, that of `llm.client`.
"""

from __future__ import annotations

import contextlib
import difflib
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from ragchat.errors import AdapterError, ModelFileError, NotFoundError, StorageError, UsageError
from ragchat.llm.fingerprint import sha256_of
from ragchat.llm.gguf import read_metadata
from ragchat.paths import write_atomically
from ragchat.text import clean_line

ADAPTER_GGUF = "adapter.gguf"
MANIFEST = "manifest.json"
LEARNED = "learned.json"
"""Hashes of the questions that an adapter has learned from, so that no one measures with them."""
FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


class AdapterBase(msgspec.Struct, frozen=True):
    """The model file that an adapter belongs to."""

    file: str
    sha256: str
    size_bytes: int
    architecture: str
    name: str = ""


class AdapterShape(msgspec.Struct, frozen=True):
    """`layers` and `width` are the base's."""

    rank: int
    alpha: float
    target_modules: tuple[str, ...]
    tensors: int
    layers: int
    width: int


class AdapterFile(msgspec.Struct, frozen=True):
    """Size and checksum of a file of an adapter."""

    sha256: str
    size_bytes: int


class AdapterManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an adapter. `origin` is "trained" or "imported"; `curve` and `held_out` are (step, loss).

    `answers` are questions with the answers "before", "after" and "expected".
    """

    format: int = FORMAT
    name: str
    created_at: str
    origin: str
    base: AdapterBase
    shape: AdapterShape
    files: dict[str, AdapterFile]
    data: dict[str, Any] = {}
    recipe: dict[str, Any] = {}
    engine: str = ""
    versions: dict[str, str] = {}
    curve: tuple[tuple[int, float], ...] = ()
    held_out: tuple[tuple[int, float], ...] = ()
    checks: dict[str, Any] = {}
    licence: str = ""
    answers: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class InstalledAdapter:
    """`problem` says why it cannot be used, empty: nothing speaks against it. `manifest` None: it cannot be read."""

    name: str
    folder: Path
    manifest: AdapterManifest | None
    problem: str = ""

    @property
    def gguf(self) -> Path:
        """The file that llama.cpp loads."""
        return self.folder / ADAPTER_GGUF


def check_adapter_name(name: str) -> None:
    """Raise UsageError unless an adapter may be called so."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"{clean_line(name, limit=80)!r} is not a valid name for an adapter.",
            "Use letters, digits, '.', '_' and '-', beginning with a letter or digit.",
        )


def keep_learned(folder: Path, fingerprints: Iterable[Iterable[int]]) -> None:
    """Put hashes of what was learned beside an adapter. Raises StorageError."""
    try:
        write_atomically(folder / LEARNED, msgspec.json.encode([sorted(runs) for runs in fingerprints]))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}.") from error


def read_manifest(folder: Path) -> AdapterManifest:
    """Raises AdapterError."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=AdapterManifest)
    except FileNotFoundError:
        raise AdapterError(f"{folder.name} has no manifest, so the adapter is incomplete.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise AdapterError(f"The manifest of {folder.name} cannot be read: {error}.") from error
    if manifest.format != FORMAT:
        raise AdapterError(f"{folder.name} was made by a newer version of ragchat.", "Update ragchat.")
    return manifest


class AdapterLibrary:
    """The adapters in `adapters/` of the model folders; of equal names that of the first counts."""

    def __init__(self, model_dirs: tuple[Path, ...], fingerprints: Path) -> None:
        """`fingerprints` is the file in which hashes of models are remembered."""
        self._dirs = tuple(folder / "adapters" for folder in model_dirs)
        self._fingerprints = fingerprints

    def installed(self) -> tuple[InstalledAdapter, ...]:
        """All of them by name, broken ones included. Hashes are not computed."""
        found: dict[str, InstalledAdapter] = {}
        for parent in self._dirs:
            with contextlib.suppress(OSError):
                for folder in sorted(parent.iterdir()):
                    if folder.is_dir() and not folder.name.startswith("."):
                        found.setdefault(folder.name, _inspect(folder))
        return tuple(found[name] for name in sorted(found))

    def find(self, name: str) -> InstalledAdapter:
        """The adapter of this name. Raises NotFoundError with the nearest names."""
        adapters = {adapter.name: adapter for adapter in self.installed()}
        if name in adapters:
            return adapters[name]
        near = difflib.get_close_matches(name, adapters, n=3, cutoff=0.4)
        hint = f"Similar names: {', '.join(map(clean_line, near))}. " if near else ""
        raise NotFoundError(
            f"There is no adapter {clean_line(name, limit=80)!r}.",
            f"{hint}`ragchat adapter list` lists all. In a chat, /adapter off turns adapters off.",
        )

    def fitting(self, base: Path) -> tuple[InstalledAdapter, ...]:
        """Those that were trained on this very file."""
        whole = [adapter for adapter in self.installed() if adapter.manifest and not adapter.problem]
        if not whole:
            return ()
        sha256 = self.sha256(base)
        return tuple(a for a in whole if a.manifest and a.manifest.base.sha256 == sha256)

    def judged(self, base: Path) -> tuple[InstalledAdapter, ...]:
        """All of them, those that fit this file first; the others with the reason as their `problem`."""
        fitting = {adapter.name for adapter in self.fitting(base)}
        judged = [
            adapter
            if adapter.name in fitting or adapter.problem or adapter.manifest is None
            else replace(adapter, problem=f"trained on {clean_line(adapter.manifest.base.file, limit=80)}")
            for adapter in self.installed()
        ]
        return tuple(sorted(judged, key=lambda adapter: bool(adapter.problem)))

    def resolve(self, name: str, base: Path, *, force: bool = False) -> Path:
        """The GGUF file of an adapter for the model file `base`. Raises NotFoundError, AdapterError.

        Another file than the one it was trained on is refused; `force` takes one of the same architecture and shape.
        """
        adapter = self.find(name)
        if adapter.problem or adapter.manifest is None:
            raise AdapterError(
                f"The adapter {adapter.name} cannot be used: {adapter.problem}.",
                f"`ragchat adapter check {adapter.name}` shows details. Train or import it again.",
            )
        if sha256_of(adapter.gguf, self._fingerprints) != adapter.manifest.files[ADAPTER_GGUF].sha256:
            raise AdapterError(
                f"The adapter {adapter.name} was changed after it was made: its weights differ.",
                "Train or import it again.",
            )
        trained_on = adapter.manifest.base
        if self.sha256(base) == trained_on.sha256:
            return adapter.gguf
        if not force:
            raise AdapterError(
                f"The adapter {adapter.name} was trained on a different file, {clean_line(trained_on.file)}, not on {base.name}.",
                f"Choose that model, or train one for {base.stem}: `ragchat finetune`.",
            )
        _check_shape(adapter.manifest, base)
        return adapter.gguf

    def check(self, name: str) -> list[str]:
        """What is wrong with the files of an adapter, in sentences; reads them whole. Raises NotFoundError."""
        adapter = self.find(name)
        if adapter.manifest is None:
            return [f"{adapter.problem[:1].upper()}{adapter.problem[1:]}."]
        wrong = []
        for file, known in adapter.manifest.files.items():
            path = adapter.folder / Path(file).name
            if not path.is_file():
                wrong.append(f"{file} is missing.")
            elif sha256_of(path) != known.sha256:
                wrong.append(f"{file} was changed after the adapter was made.")
        return wrong

    def learned(self, name: str) -> list[frozenset[int]]:
        """Hashes of what an adapter has learned from (`evaluation.leakage`); empty: not known. Raises NotFoundError."""
        try:
            kept = msgspec.json.decode((self.find(name).folder / LEARNED).read_bytes(), type=list[list[int]])
        except (OSError, msgspec.DecodeError):
            return []
        return [frozenset(runs) for runs in kept]

    def remove(self, name: str) -> InstalledAdapter:
        """Delete an adapter. Raises NotFoundError, StorageError."""
        adapter = self.find(name)
        try:
            (adapter.folder / MANIFEST).unlink(missing_ok=True)  # first: half a folder is no adapter
            shutil.rmtree(adapter.folder)
        except OSError as error:
            raise StorageError(f"{adapter.folder} cannot be deleted: {error.strerror or error}.") from error
        return adapter

    def sha256(self, base: Path, *, on_progress: Callable[[float], None] = lambda _: None) -> str:
        """That of a model file, remembered. Raises ModelFileError."""
        return sha256_of(base, self._fingerprints, on_progress=on_progress)


def _inspect(folder: Path) -> InstalledAdapter:
    manifest: AdapterManifest | None = None
    try:
        manifest = read_manifest(folder)
        problem = _problem(folder, manifest)
    except AdapterError as error:
        problem = str(error).rstrip(".")
    return InstalledAdapter(folder.name, folder, manifest, problem)


def _problem(folder: Path, manifest: AdapterManifest) -> str:
    file, known = folder / ADAPTER_GGUF, manifest.files.get(ADAPTER_GGUF)
    if known is None or not file.is_file():
        return f"{ADAPTER_GGUF} is missing"
    if file.stat().st_size != known.size_bytes:
        return f"{ADAPTER_GGUF} is incomplete or was changed"
    try:
        metadata = read_metadata(file)
    except ModelFileError as error:
        return str(error).rstrip(".")
    if metadata.general_type != "adapter":
        return f"{ADAPTER_GGUF} is not an adapter"
    return ""


def _check_shape(manifest: AdapterManifest, base: Path) -> None:
    metadata = read_metadata(base)
    own = (metadata.architecture, metadata.n_layers, metadata.n_embd)
    wanted = (manifest.base.architecture, manifest.shape.layers, manifest.shape.width)
    if own != wanted:
        raise AdapterError(
            f"The adapter {manifest.name} is for {wanted[0]} with {wanted[1]} layers of {wanted[2]};"
            f" {base.name} is {own[0]} with {own[1]} of {own[2]}."
        )
