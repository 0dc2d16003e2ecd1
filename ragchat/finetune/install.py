"""Adapters come and go: installed from a run, imported from elsewhere, exported again. A folder is whole or not there.

A folder is made under a hidden name, its manifest last, and renamed when everything is on the disk. Who lists and switches
adapters is `ragchat.llm.adapters`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ragchat.errors import AdapterError, StorageError, UsageError
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.card import card
from ragchat.finetune.gguf_lora import (
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    Lora,
    read_gguf_lora,
    read_peft,
    write_gguf_lora,
)
from ragchat.finetune.merge import check_room
from ragchat.llm.adapters import (
    ADAPTER_GGUF,
    MANIFEST,
    AdapterBase,
    AdapterFile,
    AdapterManifest,
    AdapterShape,
    check_adapter_name,
    read_manifest,
)
from ragchat.llm.fingerprint import sha256_of
from ragchat.paths import write_atomically
from ragchat.text import clean_line

CARD = "README.md"
_PEFT_FILES = (PEFT_CONFIG, PEFT_WEIGHTS)
_LEFTOVER = re.compile(r"\.(.+)\.ragchat-(\d+)\.(new|old)")


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of how an adapter came to be; the manifest's fields of the same names. Empty: nothing is."""

    data: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    engine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    curve: tuple[tuple[int, float], ...] = ()
    held_out: tuple[tuple[int, float], ...] = ()
    checks: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[Mapping[str, str], ...] = ()


def install(
    peft_dir: Path,
    base: BaseGguf,
    base_sha256: str,
    *,
    adapters_dir: Path,
    name: str,
    story: Story,
    replace: bool = False,
) -> Path:
    """Make the adapter that a run left in `peft_dir` one of the installed; returns its folder.

    An existing `name` is kept until the new one is whole, and replaced only with `replace`. Raises UsageError (the name),
    AdapterError, FinetuneError, StorageError.
    """
    check_adapter_name(name)
    lora = read_peft(peft_dir, base)
    with _new_folder(adapters_dir, name, replace=replace, needed=2 * _size(peft_dir)) as folder:
        _copy_peft(peft_dir, folder)
        _finish(folder, lora, base, base_sha256, name=name, origin="trained", story=story)
    return adapters_dir / name


def import_adapter(
    path: Path,
    base: BaseGguf,
    base_sha256: str,
    *,
    adapters_dir: Path,
    name: str,
    replace: bool = False,
    force: bool = False,
) -> Path:
    """Take in an adapter made elsewhere: a PEFT folder, an exported folder of ragchat's, or a GGUF LoRA file.

    It is bound to `base`, whose architecture and shapes it must have. When it names another base itself it is refused; `force`
    binds it all the same. Raises as `install` does.
    """
    check_adapter_name(name)
    is_folder = path.is_dir()
    if not is_folder and not path.is_file():
        raise AdapterError(f"There is no adapter at {clean_line(str(path))}.")
    lora = read_peft(path, base) if is_folder else read_gguf_lora(path, base)
    known = _manifest_of(path) if is_folder else None
    named = known.base.sha256 if known else lora.base_sha256
    if named and named != base_sha256 and not force:
        raise AdapterError(
            f"The adapter was trained on a different file than {base.path.name} (SHA-256 {clean_line(named)[:12]}…).",
            "Choose that model with --model, or use --force because the shapes match.",
        )
    story = _story_of(known) if known else Story()
    with _new_folder(adapters_dir, name, replace=replace, needed=2 * _size(path)) as folder:
        if is_folder:
            _copy_peft(path, folder)
        _finish(folder, lora, base, base_sha256, name=name, origin="imported", story=story)
    return adapters_dir / name


def record_results(
    folder: Path, *, checks: Mapping[str, Any], answers: tuple[Mapping[str, str], ...] = ()
) -> None:
    """Add what was measured on the installed adapter to its manifest and card. `answers` empty: those there stay."""
    manifest = read_manifest(folder)
    manifest = msgspec.structs.replace(
        manifest,
        checks={**manifest.checks, **checks},
        answers=tuple(dict(answer) for answer in answers) or manifest.answers,
    )
    write_atomically(folder / CARD, card(manifest).encode())
    write_atomically(folder / MANIFEST, _encoded(manifest))


def export_adapter(folder: Path, format: str, target: Path, *, replace: bool = False) -> Path:
    """Copy the installed adapter out: `format` "gguf" makes a file, "peft" a folder with its card. Returns `target`.

    Raises UsageError (exists already, unknown format), AdapterError (has no such form), StorageError.
    """
    if os.path.lexists(target) and not replace:
        raise UsageError(f"{clean_line(str(target))} already exists.", "Choose another name, or use --force.")
    if format == "gguf":
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with _as_storage_error(target.parent):
            try:
                shutil.copyfile(folder / ADAPTER_GGUF, temporary)
                _sync(temporary)
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        return target
    if format != "peft":
        raise UsageError(f"There is no adapter format {clean_line(format)!r}.", "Available: gguf, peft.")
    if not (folder / PEFT_WEIGHTS).is_file():
        raise AdapterError(f"{folder.name} was imported as GGUF and has no PEFT form.", "Export it as gguf.")
    with _new_folder(target.parent, target.name, replace=replace, needed=_size(folder)) as new:
        _copy_peft(folder, new)
        for extra in (CARD, MANIFEST):
            shutil.copyfile(folder / extra, new / extra)
    return target


# --- making a folder --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _new_folder(parent: Path, name: str, *, replace: bool, needed: int) -> Iterator[Path]:
    """A hidden folder beside the place of `name`; renamed to it when the block ends well, removed when not."""
    final, hidden = parent / name, f".{name}.ragchat-{os.getpid()}"
    with _as_storage_error(parent):
        parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(parent)
        if os.path.lexists(final) and not replace:
            raise UsageError(
                f"An adapter named {clean_line(name)} already exists.", "Choose another name, or use --force."
            )
        check_room(parent, needed)
        new, old = parent / f"{hidden}.new", parent / f"{hidden}.old"
        new.mkdir(mode=0o700)
        try:
            yield new
            for file in new.iterdir():
                _sync(file)
            _sync(new)
            if os.path.lexists(final):
                final.rename(old)
            new.rename(final)
            _sync(parent)
        finally:
            shutil.rmtree(new, ignore_errors=True)
            clear_leftovers(parent, ended=os.getpid())


def clear_leftovers(parent: Path, *, ended: int = 0) -> None:
    """Put back or remove what processes that were killed in the middle left, or the process `ended`."""
    for path in parent.glob(".*.ragchat-*"):
        if not (match := _LEFTOVER.fullmatch(path.name)):
            continue
        name, pid, kind = match[1], int(match[2]), match[3]
        if pid != ended and psutil.pid_exists(pid):
            continue
        if kind == "old" and not os.path.lexists(parent / name):
            path.rename(parent / name)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _finish(
    folder: Path, lora: Lora, base: BaseGguf, base_sha256: str, *, name: str, origin: str, story: Story
) -> None:
    """The GGUF LoRA, the card and, last, the manifest with the hashes."""
    write_gguf_lora(lora, base, folder / ADAPTER_GGUF, name=name, base_sha256=base_sha256)
    files = {
        file: AdapterFile(sha256=sha256_of(folder / file), size_bytes=(folder / file).stat().st_size)
        for file in (ADAPTER_GGUF, *_PEFT_FILES)
        if (folder / file).is_file()
    }
    manifest = AdapterManifest(
        name=name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        origin=origin,
        base=AdapterBase(
            file=base.path.name,
            sha256=base_sha256,
            size_bytes=base.summary.size_bytes,
            architecture=base.architecture,
            name=base.summary.name,
        ),
        shape=AdapterShape(
            rank=lora.rank,
            alpha=lora.alpha,
            target_modules=_target_modules(folder, lora),
            tensors=len(lora.pairs),
            layers=base.n_layers,
            width=base.n_embd,
        ),
        files=files,
        licence=base.summary.licence,
        **{name: getattr(story, name) for name in Story.__slots__},
    )
    (folder / CARD).write_text(card(manifest), encoding="utf-8")
    (folder / MANIFEST).write_bytes(_encoded(manifest))


def _story_of(manifest: AdapterManifest) -> Story:
    return Story(**{name: getattr(manifest, name) for name in Story.__slots__})


def _encoded(manifest: AdapterManifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def _target_modules(folder: Path, lora: Lora) -> tuple[str, ...]:
    """As PEFT names them, or as the GGUF does where there is no list of PEFT's."""
    with contextlib.suppress(OSError, ValueError):
        named = json.loads((folder / PEFT_CONFIG).read_bytes()).get("target_modules")
        if isinstance(named, list):
            return tuple(sorted(clean_line(str(module)) for module in named))
    return tuple(sorted({pair.tensor.split(".")[-2] for pair in lora.pairs}))


def _manifest_of(folder: Path) -> AdapterManifest | None:
    """That of a folder of ragchat's own; None when there is none that can be read."""
    with contextlib.suppress(AdapterError):
        return read_manifest(folder)
    return None


def _copy_peft(source: Path, folder: Path) -> None:
    for file in _PEFT_FILES:
        shutil.copyfile(source / file, folder / file)


def _size(path: Path) -> int:
    return sum(
        part.stat().st_size for part in ([path] if path.is_file() else path.iterdir()) if part.is_file()
    )


def _sync(path: Path) -> None:
    """To the disk. Folders cannot be synchronised everywhere; then the rename alone has to do."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _as_storage_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"The adapter could not be written below {clean_line(str(folder))}: {error.strerror or error}."
        ) from error
