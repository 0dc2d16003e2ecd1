"""`ragchat chat`: builds the services that the screen calls, and opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragchat.cli import build
from ragchat.cli.context import Context, pass_context
from ragchat.errors import RagchatError
from ragchat.store.knowledge import KnowledgeStore, check_name, knowledge_base_names
from ragchat.text import clean, clean_line
from ragchat.types import CancelToken, KnowledgeBaseStatus

if TYPE_CHECKING:
    from ragchat.ingest.sync import SyncFinished, SyncProgress
    from ragchat.session.chat import ChatSession
    from ragchat.store.chats import ChatStore
    from ragchat.tui.services import ModelChoice, Services


@click.command()
@click.option(
    "--model", "model_name", default="", metavar="NAME", help="Model to chat with, by name or path."
)
@pass_context
def chat(context: Context, model_name: str = "") -> None:
    """Open the chat."""
    from ragchat.tui.app import RagchatApp

    context.paths.create()
    services = make_services(context, model_name)
    try:
        RagchatApp(services).run()
    finally:
        services.model.close()


def make_services(context: Context, model_name: str) -> Services:
    from ragchat.tui.services import Services

    model = build.model(context, model_name)
    paths, ui = context.paths, context.settings.ui

    def open_chats() -> ChatStore:
        from ragchat.store.chats import ChatStore

        return ChatStore(paths.chat_database)

    def open_session(chats: ChatStore, names: Sequence[str]) -> AbstractContextManager[ChatSession]:
        return build.chat_session(context, chats, model, names, build.ask_options(context))

    def sync(name: str, add: Sequence[Path], cancel: CancelToken) -> Iterator[SyncProgress | SyncFinished]:
        from ragchat.ingest.sync import sync as bring_up_to_date

        check_name(name)
        with KnowledgeStore.create(paths.kb_dir, name) as store:
            yield from bring_up_to_date(store, build.ingest_options(context), cancel=cancel, add=add)

    def pull_model(
        name: str, progress: Callable[[int, int, float, float | None], None], cancel: CancelToken
    ) -> Path:
        pulled = build.pull(context, name, lambda p: progress(p.done, p.total, p.rate, p.eta_s), cancel)
        return pulled.path

    return Services(
        model=model,
        open_chats=open_chats,
        open_session=open_session,
        default_knowledge_bases=lambda: build.default_knowledge_bases(context),
        knowledge_bases=lambda: _statuses(paths.kb_dir),
        open_knowledge_base=lambda name: KnowledgeStore.open(paths.kb_dir, name),
        sync=sync,
        models=lambda: _choices(context),
        pull_model=pull_model,
        editor=ui.editor,
        theme=ui.theme,
        load_at_start=ui.load_at_start,
        log_file=paths.app_log,
        scratch_dir=paths.cache_dir / "scratch",
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
    from ragchat.llm.catalogue import load_catalogue
    from ragchat.llm.gguf import read_metadata
    from ragchat.llm.memory import estimate
    from ragchat.tui.services import ModelChoice

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
