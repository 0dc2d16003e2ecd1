"""`ragchat doctor`: looks at everything that ragchat depends on, and suggests a fix for each finding."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ragchat import __version__, config
from ragchat.app import build
from ragchat.app.context import Context
from ragchat.cli.context import note, pass_context
from ragchat.errors import RagchatError
from ragchat.text import clean_line, counted, human_bytes, human_seconds
from ragchat.types import CancelToken, GenerationFinished, Message, Sampling

LEAST_FREE_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` is empty when all is well."""

    about: str
    ok: bool
    detail: str
    remedy: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON array of findings.")
@click.option(
    "--clear-snapshots", is_flag=True, help="Delete what models have read of your chats, then check."
)
@pass_context
def doctor(context: Context, as_json: bool, clear_snapshots: bool) -> None:
    """Check folders, databases, model, memory, disk, SQLite and inference; exit code 1 if anything is wrong."""
    checks: list[Callable[[Context], Iterator[Finding]]] = [
        _runtime, _settings, _keys, _themes, _clipboard, _folders, _disk, _snapshots, _chats, _knowledge_bases, _meaning, _ocr,
        _models, _verdicts, _inference,
    ]  # fmt: skip
    if clear_snapshots:
        gone = build.snapshots(context).clear()
        note(f"Deleted {counted(gone, 'snapshot')}.")
    findings = []
    for check in checks:
        for finding in _guarded(check, context):
            findings.append(finding)
            if not as_json:
                mark = (
                    click.style("ok ", fg="green") if finding.ok else click.style("BAD", fg="red", bold=True)
                )
                click.echo(f"{mark} {finding.about:14} {clean_line(finding.detail)}")
                if not finding.ok and finding.remedy:
                    click.echo(f"    -> {clean_line(finding.remedy)}")
    if as_json:
        click.echo(
            json.dumps(
                [{"about": f.about, "ok": f.ok, "detail": f.detail, "remedy": f.remedy} for f in findings],
                indent=2,
            )
        )
    raise SystemExit(0 if all(finding.ok for finding in findings) else 1)


def _guarded(check: Callable[[Context], Iterator[Finding]], context: Context) -> Iterator[Finding]:
    try:
        yield from check(context)
    except RagchatError as error:
        yield Finding(check.__name__.strip("_").replace("_", " "), False, str(error), error.remedy)
    except OSError as error:
        yield Finding(
            check.__name__.strip("_").replace("_", " "),
            False,
            str(error),
            "Check the folder and its permissions.",
        )


def _runtime(_: Context) -> Iterator[Finding]:
    import platform
    from importlib.metadata import version

    from ragchat.store.database import sqlite_version

    python = ".".join(map(str, sys.version_info[:3]))
    packages = ", ".join(f"{name} {version(name)}" for name in ("textual", "llama-cpp-python", "kreuzberg"))
    yield Finding(
        "ragchat",
        True,
        f"{__version__}, Python {python}, {platform.system()} {platform.machine()}, {packages}",
    )
    found = sqlite_version()
    yield Finding(
        "SQLite",
        found >= (3, 35),
        ".".join(map(str, found)),
        "SQLite 3.35 or newer is needed: use a newer Python.",
    )


def _settings(context: Context) -> Iterator[Finding]:
    file = context.paths.settings_file
    changed = sum(setting.origin != "default" for setting in config.describe(file, os.environ))
    yield Finding(
        "settings",
        True,
        f"{file}{'' if file.exists() else ' (does not exist, using defaults)'}, {changed} changed",
    )


def _keys(context: Context) -> Iterator[Finding]:
    if not (keys := context.settings.keys):
        return
    from ragchat.tui.key_groups import key_groups
    from ragchat.tui.keymap import trouble

    wrong = trouble(keys, key_groups())
    remedy = f"Fix [keys] in {context.paths.settings_file}. Until then, ragchat uses the default keys."
    yield Finding("keys", not wrong, wrong or f"{len(keys)} of your own", remedy)


def _themes(context: Context) -> Iterator[Finding]:
    folder = context.paths.themes_dir
    if not (folder.is_dir() or context.settings.ui.theme != config.Settings().ui.theme):
        return
    from ragchat.tui import themes

    own, wrong = themes.read_themes(folder)
    chosen, trouble = themes.choose(context.settings.ui.theme, themes.names(own), os.environ, sixteen=False)
    for sentence in (*wrong, *([trouble] if trouble else [])):
        yield Finding("themes", False, sentence, f"Fix or remove it. Until then, ragchat uses {chosen}.")
    if not wrong and not trouble:
        yield Finding(
            "themes", True, f"{len(own)} of your own in {folder}, {context.settings.ui.theme} is chosen"
        )


def _clipboard(_: Context) -> Iterator[Finding]:
    from ragchat.tui.clipboard import find_tool, takes_osc52

    way = "copied text goes to a file because there is no clipboard tool and this terminal has no clipboard"
    if tool := find_tool(os.environ):
        way = f"{tool[0]} copies"
    elif takes_osc52("", os.environ):
        way = "no clipboard tool; the terminal copies if it supports OSC 52"
    yield Finding("clipboard", True, way)


def _folders(context: Context) -> Iterator[Finding]:
    context.paths.create()
    paths = context.paths
    for name, folder in (
        ("data", paths.data_dir), ("state", paths.state_dir), ("cache", paths.cache_dir), ("models", paths.model_dirs[0]),
    ):  # fmt: skip
        try:
            with tempfile.TemporaryFile(dir=folder):
                yield Finding(f"{name} folder", True, str(folder))
        except OSError as error:
            yield Finding(
                f"{name} folder",
                False,
                f"{folder} cannot be written: {error.strerror}.",
                f"Give yourself write access: chmod u+rwx {folder}",
            )


def _disk(context: Context) -> Iterator[Finding]:
    free = shutil.disk_usage(context.paths.data_dir).free
    yield Finding(
        "disk",
        free >= LEAST_FREE_BYTES,
        f"{human_bytes(free)} free",
        "Free some space: indexing and chats need it.",
    )


def _snapshots(context: Context) -> Iterator[Finding]:
    used, limit = build.snapshots(context).usage(), context.settings.model.snapshots_mib << 20
    said = f"{counted(used.files, 'snapshot')} of what models read, {human_bytes(used.size_bytes)} of {human_bytes(limit)}"
    uses = used.uses
    spared = f"; restored {counted(uses.restored, 'time')}, {counted(uses.tokens, 'token')} not read again"
    yield Finding(
        "snapshots", True, f"{said}{spared if uses.restored else ''}; in {context.paths.snapshots_dir}"
    )


def _chats(context: Context) -> Iterator[Finding]:
    from ragchat.store.chats import ChatStore

    chats = ChatStore(context.paths.chat_database)
    try:
        verdict, number = chats.check(), len(chats.conversations())
    finally:
        chats.close()
    remedy = f"Move {context.paths.chat_database} away (keep it!) and copy the newest backup in its place."
    yield Finding("chats", verdict == "ok", f"{counted(number, 'chat')}, integrity {verdict}", remedy)


def _knowledge_bases(context: Context) -> Iterator[Finding]:
    from ragchat.ingest.sync import status
    from ragchat.retrieval.index import is_current
    from ragchat.store.knowledge import KnowledgeStore, knowledge_base_names

    names = knowledge_base_names(context.paths.kb_dir)
    if not names:
        yield Finding("documents", True, "no knowledge base yet: ragchat kb add NAME FOLDER")
    for name in names:
        try:
            with KnowledgeStore.open(context.paths.kb_dir, name) as store:
                verdict, found, current = store.check(), status(store), is_current(store)
        except RagchatError as error:
            yield Finding(f"kb {name}", False, str(error), error.remedy)
            continue
        if not found.roots and not found.sources:
            remedy = f"ragchat kb add {name} FOLDER adds documents, ragchat kb remove {name} deletes it."
            yield Finding(
                f"kb {name}",
                False,
                f"{found.path} contains no documents and no record of its folders.",
                remedy,
            )
            continue
        stale = sum(document.state in ("changed", "missing") for document in found.documents)
        note = f", {stale} changed since the last sync (ragchat kb sync {name})" if stale else ""
        adds_up = found.found == found.indexed + found.skipped + found.failed
        yield Finding(
            f"kb {name}",
            verdict == "ok" and adds_up,
            f"{counted(found.indexed, 'document')}, {counted(found.chunks, 'chunk')}, integrity {verdict}{note}",
            f"Build it again: ragchat kb remove {name}, then ragchat kb add {name} {shlex.join(found.roots)}",
        )
        if not current:
            yield Finding(
                f"kb {name}",
                False,
                "its index was made by another version of ragchat, so searches may miss documents",
                f"ragchat kb sync {name} builds the index again.",
            )


def _meaning(context: Context) -> Iterator[Finding]:
    """Without a model for it words alone are searched, which is no fault."""
    from ragchat.llm.embedding import NO_MODEL, OFF, find_embedding_model

    name = context.settings.embedding.model
    if name.casefold() == OFF:
        yield Finding("meaning", True, "off, by the setting embedding.model")
        return
    path = find_embedding_model(context.paths.model_dirs, name)
    yield Finding("meaning", True, path.stem if path else NO_MODEL)


def _ocr(context: Context) -> Iterator[Finding]:
    """Without data nothing is wrong, unless a knowledge base wants it."""
    from ragchat.ingest.ocr_languages import find_data, how_to_install

    own = context.paths.ocr_data_dir
    found = find_data(own)
    places = "; ".join(f"{', '.join(sorted(codes))} in {folder}" for folder, codes in found.folders.items())
    yield Finding("OCR", True, places or f"no data, so scans cannot be read. {how_to_install(['eng'], own)}")
    for name, languages in _with_ocr(context).items():
        if found.folder_with(languages) is None:
            missing = [code for code in languages if code not in found.languages] or languages
            detail = f"its scans cannot be read: the OCR data is missing for {'+'.join(languages)}"
            yield Finding(f"kb {name}", False, detail, how_to_install(missing, own))


def _with_ocr(context: Context) -> dict[str, Sequence[str]]:
    """The languages of the knowledge bases that read pictures; those that cannot be opened were told of before."""
    from ragchat.store.knowledge import KnowledgeStore, knowledge_base_names

    found: dict[str, Sequence[str]] = {}
    for name in knowledge_base_names(context.paths.kb_dir):
        with (
            contextlib.suppress(RagchatError),
            KnowledgeStore.open(context.paths.kb_dir, name) as store,
        ):
            if languages := store.options().ocr:
                found[name] = languages
    return found


def _models(context: Context) -> Iterator[Finding]:
    from ragchat.llm.gguf import read_metadata
    from ragchat.llm.memory import available_bytes, estimate

    path = build.library(context).resolve(context.settings.model.name)
    n_ctx = build.check_model(path, context.settings.model.n_ctx)
    metadata = read_metadata(path)
    needed, free = estimate(metadata, n_ctx).total, available_bytes()
    yield Finding(
        "model", True, f"{path.stem}: {metadata.architecture}, {human_bytes(path.stat().st_size)}, {path}"
    )
    yield Finding(
        "memory", needed <= free, f"{human_bytes(needed)} needed at {n_ctx} tokens, {human_bytes(free)} free"
    )
    template = "the model's own" if metadata.has_chat_template else context.settings.model.plain_format
    yield Finding(
        "prompt format", bool(template), template or "the model has no chat template",
        "Choose one: ragchat config set model.plain_format chatml (or alpaca, vicuna, plain).",
    )  # fmt: skip


def _verdicts(context: Context) -> Iterator[Finding]:
    """A stale verdict is nothing broken; it is said, no more."""
    from ragchat.app import evaluations

    for run in evaluations.newest(context):
        name = clean_line(run.set_name)
        outdated = evaluations.stale(context, run)
        said = (
            f"out of date, changed since: {'; '.join(outdated)}. `ragchat eval run {name}` measures again"
            if outdated
            else "holds"
        )
        yield Finding("verdict", True, f"{name}, {run.finished_at[:10]}: {said}")


def _inference(context: Context) -> Iterator[Finding]:
    from ragchat.llm.loading import loaded

    model = build.model(context)
    started = time.perf_counter()
    try:
        ready = loaded(model)
        loading_s = time.perf_counter() - started
        greedy = Sampling(temperature=0, max_tokens=1)
        finished = None
        for event in ready.generate([Message("user", "Answer yes.")], greedy, cancel=CancelToken()):
            if isinstance(event, GenerationFinished):
                finished = event
        info = ready.info
    finally:
        model.close()
    wrote = bool(finished and finished.completion_tokens)
    threads = (
        f", {counted(info.n_threads, 'thread')}, flash attention {'on' if info.flash_attention else 'off'}"
        if info
        else ""
    )
    yield Finding(
        "inference",
        wrote,
        f"loaded in {human_seconds(loading_s)} and wrote a token{threads}"
        if wrote
        else "the model wrote no token",
        f"See {Path(context.paths.inference_log)}.",
    )
