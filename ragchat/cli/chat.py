"""`ragchat chat`: builds the services that the screen calls, and opens it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragchat import config
from ragchat.app import build, evaluations, trainings
from ragchat.app.context import Context
from ragchat.cli import kb_embed
from ragchat.cli.context import note, pass_context
from ragchat.errors import RagchatError
from ragchat.store.knowledge import KnowledgeStore, check_name, knowledge_base_names, remove_knowledge_base
from ragchat.text import clean, clean_line
from ragchat.types import AdapterScale, CancelToken, ChatOptions, KnowledgeBaseStatus

if TYPE_CHECKING:
    from ragchat.app.services import ModelChoice, Services
    from ragchat.evaluation.calibration import RefusalCurve
    from ragchat.ingest.rows import RowsFinished
    from ragchat.ingest.sync import SyncFinished, SyncProgress
    from ragchat.llm.adapters import InstalledAdapter
    from ragchat.session.attachment import Attachment
    from ragchat.session.chat import ChatSession
    from ragchat.session.templates import Template, WrongFile
    from ragchat.store.chats import ChatStore


@click.command()
@click.option(
    "--model", "model_name", default="", metavar="NAME", help="Model to chat with, by name or path."
)
@click.option(
    "--adapter", default="", metavar="NAME", help="Adapters of new chats, such as style or style+facts:0.5."
)
@click.option(
    "--plain",
    is_flag=True,
    help="Lines only: for screen readers, dumb terminals and pipes. Chosen by itself where no screen can be drawn.",
)
@pass_context
def chat(context: Context, model_name: str = "", adapter: str = "", plain: bool = False) -> None:
    """Open the chat."""
    for each in AdapterScale.parse(adapter):
        build.adapters(context).find(each.name)  # a wrong name is said now, not with the first question
    if plain or not _can_draw():
        _chat_in_lines(context, model_name, adapter, asked_for=plain)
        return
    from ragchat.tui.app import RagchatApp

    context.paths.create()
    if not os.environ.get("NO_COLOR"):  # set but empty asks for nothing; Textual takes it for a wish
        os.environ.pop("NO_COLOR", None)
    services = make_services(context, model_name, adapter)
    try:
        RagchatApp(services).run()
    finally:
        services.model.close()


def _can_draw() -> bool:
    """Whether a screen can be drawn: a terminal on both sides that obeys more than the end of a line."""
    return _on_terminal() and os.environ.get("TERM") != "dumb"


def _on_terminal() -> bool:
    # What was closed before we started is None.
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _chat_in_lines(context: Context, model_name: str, adapter: str, *, asked_for: bool) -> None:
    from ragchat.plain.chat import run

    if not asked_for:
        note("No screen can be drawn here, so this is the chat in plain lines (`ragchat chat --plain`).")
    context.paths.create()
    services = make_services(context, model_name, adapter)
    try:
        code = run(services, interactive=_on_terminal())
    finally:
        services.model.close()
    click.get_current_context().exit(code)


def make_services(context: Context, model_name: str, adapter: str = "") -> Services:
    from ragchat.app.services import Services

    model = build.model(context, model_name)
    paths, ui = context.paths, context.settings.ui

    def open_chats() -> ChatStore:
        from ragchat.store.chats import ChatStore

        return ChatStore(paths.chat_database)

    def open_session(chats: ChatStore, options: ChatOptions) -> AbstractContextManager[ChatSession]:
        names = options.knowledge_bases
        if names is None:
            names = build.default_knowledge_bases(context)
        return build.chat_session(context, chats, model, names, build.chat_options(context, options))

    def sync(
        name: str, add: Sequence[Path], cancel: CancelToken
    ) -> Iterator[SyncProgress | RowsFinished | SyncFinished]:
        from ragchat.ingest.forget import remember
        from ragchat.ingest.sync import sync as bring_up_to_date

        check_name(name)
        with KnowledgeStore.create(paths.kb_dir, name) as store:
            remember(store, [os.path.realpath(path) for path in add])
            yield from bring_up_to_date(store, build.ingest_options(context), cancel=cancel, add=add)

    def watch(name: str, cancel: CancelToken) -> Iterator[object]:
        from ragchat.ingest.watch import watch as keep_up_to_date

        open_store = partial(KnowledgeStore.open, paths.kb_dir, name)
        own = (paths.data_dir, paths.state_dir, paths.cache_dir)
        return keep_up_to_date(open_store, build.ingest_options(context), cancel=cancel, ignore=own)

    def forget(name: str, path: str) -> None:
        from ragchat.ingest.forget import forget as forget_document

        with KnowledgeStore.open(paths.kb_dir, name) as store:
            forget_document(store, path)

    def read_attachment(path: Path) -> Attachment:
        from ragchat.session.attachment import read

        return read(path, build.ingest_options(context))

    def take_up(change: Callable[[Path], object]) -> None:
        nonlocal context
        change(paths.settings_file)
        context = replace(context, settings=config.load(paths.settings_file, os.environ))

    def read_settings() -> list[config.Setting]:
        take_up(lambda _: None)
        return list(config.describe(paths.settings_file, os.environ))

    def refusal_curve(name: str, cancel: CancelToken) -> RefusalCurve | None:
        from ragchat.cli.eval_settings import refusal_curve as look

        return look(context, name, (), cancel)

    def templates() -> tuple[list[Template], list[WrongFile]]:
        from ragchat.paths import TEMPLATES
        from ragchat.session.templates import load

        return load(paths.templates_dir, TEMPLATES)

    def pull_model(
        name: str, progress: Callable[[int, int, float, float | None], None], cancel: CancelToken
    ) -> Path:
        pulled = build.pull(context, name, lambda p: progress(p.done, p.total, p.rate, p.eta_s), cancel)
        return pulled.path

    def judged_adapters(name: str) -> list[InstalledAdapter]:
        name = name or model.selected
        return list(build.adapters(context).judged(build.library(context).resolve(name))) if name else []

    return Services(
        model=model,
        open_chats=open_chats,
        open_session=open_session,
        ask_options=lambda: build.ask_options(context),
        default_knowledge_bases=lambda: build.default_knowledge_bases(context),
        knowledge_bases=lambda: _statuses(paths.kb_dir),
        open_knowledge_base=lambda name: KnowledgeStore.open(paths.kb_dir, name),
        open_embedder=lambda: build.embedder(context),
        embed=partial(kb_embed.embed_for_chat, context),
        sync=sync,
        watch=watch,
        watched=lambda: config.load(paths.settings_file, os.environ).knowledge.watch,
        set_watched=lambda names: config.set_value(paths.settings_file, "knowledge.watch", ",".join(names)),
        sync_at_start=context.settings.knowledge.sync_at_start,
        forget=forget,
        remove_knowledge_base=lambda name: remove_knowledge_base(paths.kb_dir, name),
        read_attachment=read_attachment,
        models=lambda: _choices(context),
        pull_model=pull_model,
        adapters=judged_adapters,
        evaluations=lambda: evaluations.evaluations(context),
        question_sets=lambda: {
            name: evaluations.questions(context, name) for name in evaluations.set_names(context)
        },
        write_questions=lambda name, before, now: evaluations.write_questions(context, name, before, now),
        refusal_curve=refusal_curve,
        verdict_stale=lambda: evaluations.verdict_stale(context),
        training_data=lambda: trainings.data(context),
        start_training=lambda arguments: trainings.start(paths, arguments),
        training_said=lambda name: trainings.said(paths, name),
        trainings_dir=paths.trainings_dir,
        templates=templates,
        templates_dir=paths.templates_dir,
        settings=read_settings,
        set_setting=lambda key, text: take_up(lambda file: config.set_value(file, key, text)),
        unset_setting=lambda key: take_up(lambda file: config.unset_value(file, key)),
        settings_file=paths.settings_file,
        themes_dir=paths.themes_dir,
        keys=context.settings.keys,
        reduced_motion=ui.reduced_motion,
        editor=ui.editor,
        theme=ui.theme,
        load_at_start=ui.load_at_start,
        log_file=paths.app_log,
        scratch_dir=paths.cache_dir / "scratch",
        new_chat=ChatOptions(adapter=adapter),
    )


def _statuses(folder: Path) -> list[KnowledgeBaseStatus]:
    """All knowledge bases that can be opened."""
    found = []
    for name in knowledge_base_names(folder):
        try:
            with KnowledgeStore.open(folder, name) as store:
                found.append(store.status())
        except RagchatError:
            continue  # `ragchat doctor` says what is wrong with it
    return found


def _choices(context: Context) -> list[ModelChoice]:
    """Installed models first, then those of the catalogue that are not installed."""
    from ragchat.app.services import ModelChoice
    from ragchat.llm.catalogue import load_catalogue
    from ragchat.llm.gguf import read_metadata
    from ragchat.llm.memory import estimate

    n_ctx = context.settings.model.n_ctx
    entries = {entry.file: entry for entry in load_catalogue()}
    choices, files = [], set()
    for model in build.library(context).installed():
        files.add(model.path.name)
        entry = entries.get(model.path.name)
        needed, problem, licence = 0, model.problem, entry.licence if entry else ""
        if not problem:
            try:
                metadata = read_metadata(model.path)
                needed = estimate(metadata, min(n_ctx or 8192, metadata.n_ctx_train or 8192)).total
                licence = licence or metadata.licence
            except RagchatError as error:
                problem = str(error)
        title = entry.title if entry else clean_line(model.name)
        choices.append(
            ModelChoice(
                model.name, title, model.size_bytes, True, needed, clean(licence), clean_line(problem)
            )
        )
    for file, entry in entries.items():
        if file not in files:
            needed = estimate(entry, min(n_ctx or 8192, entry.context)).total
            choices.append(
                ModelChoice(entry.name, entry.title, entry.size_bytes, False, needed, entry.licence)
            )
    return choices
