"""The knowledge bases and their files: what was found, what is indexed and why the rest is not; sync, watch, add, remove."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.text import clean_line, counted, human_bytes
from ragchat.tui import messages, tasks
from ragchat.tui.screens.choose import highlighted_id, list_knowledge_bases
from ragchat.tui.screens.dialog import Leaving, Line
from ragchat.tui.sentences import ago
from ragchat.tui.widgets.file_list import FileList
from ragchat.tui.widgets.job_line import JobLine
from ragchat.tui.widgets.status_bar import KeyHints
from ragchat.types import DocumentState, is_row

if TYPE_CHECKING:
    from pathlib import Path

    from ragchat.app.services import Services
    from ragchat.tui.background import Upkeep
    from ragchat.tui.screens.confirm import Confirm
    from ragchat.types import Document, KnowledgeBaseOptions, KnowledgeBaseStatus

DIM = "$foreground 62%"
_IN_PART = "read in part"
_FILTERS: tuple[tuple[str, frozenset[DocumentState]], ...] = (
    ("all files", frozenset()),
    ("not indexed", frozenset(("skipped", "failed"))),
    ("failed", frozenset(("failed",))),
    ("changed or gone", frozenset(("changed", "missing"))),
    ("indexed", frozenset(("indexed", "changed"))),
    (_IN_PART, frozenset(("indexed", "changed"))),
)


class Host(Protocol):
    """What this screen needs of the app."""

    def start_sync(self, name: str, paths: list[Path]) -> bool: ...
    def stop_job(self, kind: str) -> None: ...


class KnowledgeScreen(Leaving[None]):
    """Names on the left (above, when narrow), the chosen one on the right. It reads in workers and writes through the app."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (90, "-wide")]  # noqa: RUF012 - no ClassVar in the base class
    VERTICAL_BREAKPOINTS = [(0, "-low"), (22, "-high")]  # noqa: RUF012 - no ClassVar in the base class
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sync", "Sync", id="files.sync"),
        Binding("w", "watch", "Watch", id="files.watch"),
        Binding("f", "filter", "Which files", id="files.filter"),
        Binding("slash", "search", "Find", id="files.search"),
        Binding("d,delete", "remove", "Remove", id="files.remove"),
        Binding("ctrl+x", "stop", "Stop", id="files.stop", show=False),
        Binding("escape", "back", "Back", id="files.back"),
        Binding("q", "back", "Back", id="files.quit", show=False),
    ]

    def __init__(self, services: Services, upkeep: Upkeep) -> None:
        super().__init__()
        self._services = services
        self._upkeep = upkeep
        self._statuses: dict[str, KnowledgeBaseStatus] = {}
        self._status: KnowledgeBaseStatus | None = None
        self._languages: tuple[str, ...] = ()
        self._filter = 0
        self._syncing = self._reading = ""

    def compose(self) -> ComposeResult:
        with Horizontal(id="knowledge"):
            yield OptionList()
            with Vertical(id="details"):
                yield Static(Content(""), id="facts")
                yield JobLine("sync")
                yield Static(Content(""), id="shown")
                search = Line(placeholder="Part of a path or a reason")
                search.display = False
                yield search
                yield FileList()
        yield KeyHints()

    def on_mount(self) -> None:
        self.watch(self.app, "jobs", self._show_jobs, init=False)
        self.watch(self._upkeep, "watching", lambda _names: self._show_facts(), init=False)
        self.watch(self._upkeep, "changes", lambda _count: self.refresh_facts(), init=False)
        self.options.focus()
        self.options.loading = True
        self._list()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def files(self) -> FileList:
        return self.query_one(FileList)

    @property
    def chosen(self) -> str:
        return highlighted_id(self.options)

    # --- reading ------------------------------------------------------------------------------------

    @work(
        thread=True,
        exclusive=True,
        exit_on_error=False,
        group="knowledge",
        description="list the knowledge bases",
    )
    def _list(self) -> None:
        list_knowledge_bases(self._services, self.post_message)

    @on(messages.KnowledgeBasesListed)
    def _listed(self, event: messages.KnowledgeBasesListed) -> None:
        before, self._reading = self.chosen, ""
        self.options.loading = False
        self._statuses = {status.name: status for status in event.statuses}
        self._show_names()
        names = list(self._statuses)
        if names:
            self.options.highlighted = names.index(before) if before in names else 0
        else:
            self._status = None
            self._show_facts()

    def _show_names(self) -> None:
        before = self.options.highlighted
        rows = [Option(self._name_row(status), id=name) for name, status in self._statuses.items()]
        none = Option(Content.styled("None yet. Press F4 to add documents", DIM), disabled=True)
        self.options.set_options(rows or [none])
        if before is not None and before < len(rows):
            self.options.highlighted = before

    def _name_row(self, status: KnowledgeBaseStatus) -> Content:
        mark = "◉ " if status.name in self._upkeep.watching else "  "
        problems = f", {status.failed} failed" if status.failed else ""
        return Content.assemble(
            Content.styled(mark, "$text-accent"),
            clean_line(status.name),
            Content.styled(f"\n  {counted(status.indexed, 'document')}{problems}", DIM),
        )

    @on(OptionList.OptionHighlighted)
    def _choose(self) -> None:
        # Showing the names anew highlights one of them again.
        if self.chosen and self.chosen != self._reading:
            self._reading = self.chosen
            self._read(self._reading)

    @work(thread=True, exclusive=True, exit_on_error=False, group="files", description="look at the files")
    def _read(self, name: str) -> None:
        def read() -> None:
            self.post_message(tasks.read_knowledge_base(self._services, name))

        tasks.reporting(self._services, "looking at the files", self.post_message, read)

    @on(messages.KnowledgeBaseRead)
    def _take(self, event: messages.KnowledgeBaseRead) -> None:
        if event.status.name == self.chosen:
            self._status, self._languages = event.status, event.languages
            self._show_facts()
            self._show_files()

    def refresh_facts(self) -> None:
        """Something was synced: look again."""
        self._list()

    # --- showing ------------------------------------------------------------------------------------

    def _show_facts(self) -> None:
        self._show_names()
        facts = self.query_one("#facts", Static)
        status = self._status
        if status is None:
            facts.update(
                Content.styled(
                    "A knowledge base makes one or more folders searchable. Press F4 to add one.", DIM
                )
            )
            self.files.show((), folder="")
            return
        watched = status.name in self._upkeep.watching
        lines = [
            (
                "found",
                f"{status.found:,} = {status.indexed:,} indexed + {status.skipped:,} skipped + {status.failed:,} failed",
            ),
            ("roots", clean_line(", ".join(status.roots), limit=200) or "none"),
            (
                "synced",
                f"{ago(status.synced_at)} · {'watched: changes are indexed automatically' if watched else 'not watched'}",
            ),
            (
                "size",
                f"{human_bytes(status.size_bytes)} · {counted(status.chunks, 'chunk')}{_language_names(self._languages)}",
            ),
        ]
        if settings := option_facts(status.options):
            lines.append(("settings", settings))
        lines += [
            ("table", clean_line(f"{source.path} {source.label} {source.note}", limit=160))
            for source in status.sources
        ]
        facts.update(
            Content("\n").join(
                Content.assemble(Content.styled(f"{title:>8}  ", DIM), value) for title, value in lines
            )
        )

    def _show_files(self) -> None:
        status = self._status
        if status is None:
            return
        title, states = _FILTERS[self._filter]
        words = self.query_one(Line).value.casefold().split()
        files = [
            file
            for file in status.documents
            if (not states or file.state in states)
            and (title != _IN_PART or file.missing_parts)
            and all(word in f"{file.path} {file.reason} {file.missing_phrase}".casefold() for word in words)
        ]
        found = Counter(file.state for file in status.documents)
        changed = ""
        if found["changed"] + found["missing"]:
            changed = f" · {found['changed']} changed and {found['missing']} gone since the sync: press s"
        matching = f" with “{clean_line(' '.join(words), limit=30)}”" if words else ""
        self.query_one("#shown", Static).update(
            Content.assemble(
                Content.styled(f"{title}{matching} · {len(files):,}", "bold"),
                Content.styled(changed, "$text-warning"),
            )
        )
        self.files.show(files, folder=common_folder(status))

    def _show_jobs(self, jobs: object) -> None:
        job = jobs.get("sync") if isinstance(jobs, dict) else None
        if job is not None and job.running:
            self._syncing = job.name
        elif job is not None and self._syncing:
            self._syncing = ""
            self.refresh_facts()

    # --- keys ---------------------------------------------------------------------------------------

    def action_sync(self) -> None:
        if self.chosen:
            self.host.start_sync(self.chosen, [])

    def action_stop(self) -> None:
        self.host.stop_job("sync")

    def action_watch(self) -> None:
        if name := self.chosen:
            on = name not in self._upkeep.watching
            self._upkeep.switch(name, on)
            said = (
                f"ragchat now indexes changes in {name} automatically."
                if on
                else f"{name} is no longer watched."
            )
            self.notify(clean_line(said), timeout=4, markup=False)

    def action_filter(self) -> None:
        self._filter = (self._filter + 1) % len(_FILTERS)
        self._show_files()

    def action_search(self) -> None:
        search = self.query_one(Line)
        search.display = True
        search.focus()

    @on(Input.Changed)
    def _search_changed(self) -> None:
        self._show_files()

    @on(Input.Submitted)
    def _search_done(self) -> None:
        self.query_one(Line).display = bool(self.query_one(Line).value)
        self.files.focus()

    def action_back(self) -> None:
        search = self.query_one(Line)
        if search.display:
            search.value = ""
            search.display = False
            self.files.focus()
        else:
            self.dismiss(None)

    @on(OptionList.OptionSelected)
    def _to_files(self) -> None:
        self.files.focus()

    @on(FileList.Chosen)
    def _open(self, event: FileList.Chosen) -> None:
        from ragchat.tui.screens.document import DocumentScreen

        document = event.document
        if not document.chunk_count or self._status is None:
            reason = document.reason or "it is not indexed"
            self.notify(f"There is no text to show: {clean_line(reason)}.", timeout=4, markup=False)
            return
        self.app.push_screen(
            DocumentScreen(self._services, tasks.whole_document(self._status.name, document))
        )

    def action_remove(self) -> None:
        from ragchat.tui.screens.confirm import Confirm

        name, document = self.chosen, self.files.current
        if not name:
            return
        if self.files.has_focus and document is not None:
            what = f"Remove {clean_line(document.path)}?"
            why = "This removes its text from the index until you add the file again. Your file stays."
            self._confirm(Confirm(what, why, "Remove it"), lambda: self._forget(name, document.path))
        else:
            what = f"Remove the knowledge base “{clean_line(name)}”?"
            why = "This deletes the index. Your documents stay as they are."
            self._confirm(Confirm(what, why, "Remove it"), lambda: self._remove(name))

    def _confirm(self, question: Confirm, then: Callable[[], object]) -> None:
        def answered(yes: bool | None) -> None:
            if yes:
                then()

        self.app.push_screen(question, answered)

    @work(thread=True, exit_on_error=False, group="removing", description="forget a document")
    def _forget(self, name: str, path: str) -> None:
        def forget() -> None:
            with self._upkeep.alone(name):
                self._services.documents.forget(name, path)
            self.app.call_from_thread(self.refresh_facts)

        tasks.reporting(self._services, "forgetting the document", self.app.post_message, forget)

    def _remove(self, name: str) -> None:
        self._upkeep.switch(name, False)
        self._remove_files(name)

    @work(thread=True, exit_on_error=False, group="removing", description="remove a knowledge base")
    def _remove_files(self, name: str) -> None:
        def remove() -> None:
            with self._upkeep.alone(name):
                self._services.documents.remove(name)
            self.app.call_from_thread(self.refresh_facts)

        tasks.reporting(self._services, "removing the knowledge base", self.app.post_message, remove)


def option_facts(options: KnowledgeBaseOptions) -> str:
    """The settings of a knowledge base that are not the usual ones."""
    facts = []
    if options.include:
        facts.append(f"only {', '.join(options.include)}")
    if options.exclude:
        facts.append(f"not {', '.join(options.exclude)}")
    if options.max_file_bytes is not None:
        facts.append(f"files up to {human_bytes(options.max_file_bytes)}")
    if options.follow_links:
        facts.append("links are followed")
    if options.ocr:
        facts.append(f"OCR in {'+'.join(options.ocr)}")
    if options.forgotten:
        facts.append(f"{len(options.forgotten)} removed")
    return clean_line(" · ".join(facts), limit=200)


def _language_names(languages: Iterable[str]) -> str:
    named = [clean_line(language, limit=8) for language in languages if language][:6]
    return f" · {', '.join(named)}" if named else ""


def common_folder(status: KnowledgeBaseStatus) -> str:
    """The folder that all files lie in; empty when there is none."""
    files = [file.path for file in _files(status.documents)]
    if not files:
        return ""
    common = os.path.commonpath([files[0], files[-1]]) if len(files) > 1 else os.path.dirname(files[0])  # noqa: PTH120
    return "" if common == os.sep else common


def _files(documents: Iterable[Document]) -> list[Document]:
    return [document for document in documents if not is_row(document.path)]
