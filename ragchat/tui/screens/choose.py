"""Pickers: a list with a filter that you type. One is for models, which may be fetched first, one for knowledge bases."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ragchat.app.typed_paths import complete_path, existing_file, is_file, paths_from
from ragchat.errors import RagchatError
from ragchat.text import clean_line, counted, human_bytes
from ragchat.tui import messages, tasks
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Line, Result
from ragchat.tui.widgets.job_line import JobLine

if TYPE_CHECKING:
    from ragchat.app.models import ModelChoice
    from ragchat.app.services import Services
    from ragchat.types import KnowledgeBaseStatus


class Host(Protocol):
    """What the pickers need of the app."""

    services: Services

    def use_model(self, name: str) -> None: ...
    def add_model(self, file: Path) -> None: ...
    def start_pull(self, name: str, *, use: bool = False) -> None: ...
    def start_tune(self, name: str) -> None: ...
    def stop_job(self, kind: str) -> None: ...
    def open_add_documents(self) -> None: ...


class Picker(Dialog[Result]):
    """The filter has the keyboard; Up, Down, PageUp and PageDown move in the list below it.

    `MARKS`: the space bar marks rows, except in the midst of what you type. `EMPTY` says what to do when there is nothing to
    choose from.
    """

    MARKS: ClassVar[bool] = False
    EMPTY: ClassVar[str] = "The list is empty."
    _enter_waits = False
    """Whether Enter was pressed before the rows were known."""
    _moved = False
    """Whether the list was moved in since the filter was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "list('cursor_up')", "Up", id="picker.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="picker.down", show=False, priority=True),
        Binding("pageup", "list('page_up')", "Page up", id="picker.page_up", show=False, priority=True),
        Binding(
            "pagedown", "list('page_down')", "Page down", id="picker.page_down", show=False, priority=True
        ),
    ]

    def body(self) -> Iterable[Widget]:
        yield Line(placeholder="Type to filter", passes_space=self._space_marks if self.MARKS else None)
        options = OptionList()
        options.can_focus = False
        yield options

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @property
    def filter(self) -> str:
        """What was typed."""
        return self.query_one(Line).value.strip()

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def highlighted(self) -> str:
        return highlighted_id(self.options)

    def action_list(self, action: str) -> None:
        self._moved = True
        getattr(self.options, f"action_{action}")()

    def _space_marks(self) -> bool:
        return self._moved or not self.filter

    def rows(self, words: list[str]) -> list[Option]:
        """The options that match all of the words."""
        raise NotImplementedError

    def rebuild(self) -> None:
        before = self.highlighted
        rows = self.rows(self.filter.casefold().split())
        self.options.set_options(rows or [self._nothing()])
        wanted = [index for index, row in enumerate(rows) if row.id == before and before]
        usable = [index for index, row in enumerate(rows) if not row.disabled]
        self.options.highlighted = wanted[0] if wanted else usable[0] if usable else None

    def _nothing(self) -> Option:
        """The row of an empty list: what to do next."""
        typed = clean_line(self.filter, limit=40)
        sentence = f"Nothing matches “{typed}”. Delete some letters to see more." if typed else self.EMPTY
        return Option(Content.styled(sentence, "$foreground 62%"), disabled=True)

    @on(Input.Changed)
    def _filter(self) -> None:
        self._moved = False
        if not self.options.loading:
            self.rebuild()

    @on(Input.Submitted)
    def _submit(self) -> None:
        if self.options.loading:
            self._enter_waits = True
        else:
            self.choose()

    def listed(self) -> None:
        """The rows are known now. An Enter that came before them counts."""
        self.options.loading = False
        self.rebuild()
        if self._enter_waits:
            self._enter_waits = False
            self.call_after_refresh(self.choose)

    @on(OptionList.OptionSelected)
    def _click(self) -> None:
        self.choose()

    def choose(self) -> None:
        """Enter was pressed."""
        raise NotImplementedError


class ModelPicker(Picker[str]):
    """Installed models are used, others are fetched first; the download continues when the window closes.

    A path in place of a name means a GGUF file of yours.
    """

    TITLE_TEXT: ClassVar[str] = "Choose a model"
    HELP_TEXT: ClassVar[str] = (
        "Enter uses or downloads · Ctrl+T finds the best settings · / or ~ starts the path of a GGUF file · Ctrl+X stops"
        " · Esc closes"
    )
    EMPTY: ClassVar[str] = "There are no models. Type the path of a GGUF file."
    FILE: ClassVar[str] = "\0file"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete a path", id="picker.complete", show=False, priority=True),
        Binding("ctrl+t", "tune", "Find the best settings", id="picker.tune", show=False, priority=True),
        Binding("ctrl+x", "stop", "Stop the download", id="picker.stop", show=False, priority=True),
    ]

    def __init__(self, selected: str) -> None:
        super().__init__()
        self._selected = selected
        self._choices: dict[str, ModelChoice] = {}

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield JobLine("pull")
        yield JobLine("tune")

    def on_mount(self) -> None:
        self.options.loading = True
        self._list()

    @work(thread=True, exclusive=True, exit_on_error=False, group="models", description="list the models")
    def _list(self) -> None:
        services = self.host.services
        tasks.reporting(
            services,
            "listing the models",
            self.post_message,
            lambda: self.post_message(messages.ModelsListed(services.models.choices())),
        )

    @on(messages.ModelsListed)
    def _show(self, event: messages.ModelsListed) -> None:
        ordered = sorted(event.choices, key=lambda choice: not choice.installed)
        self._choices = {choice.name: choice for choice in ordered}
        self.listed()

    @property
    def _typed_path(self) -> str:
        """The path that was typed in place of a name, or empty."""
        text = self.filter
        return text if text.startswith("~") or "/" in text or os.sep in text else ""

    def _files(self) -> list[Option]:
        """The file that was typed, or folders and GGUF files that the path may continue to."""
        if is_file(self._typed_path):
            shown = shown_line(self._typed_path, limit=200)
            what = Content.styled("\n  your file, used in its place and not copied", "$foreground 62%")
            return [Option(Content.assemble(shown, what), id=self.FILE)]
        paths = [path for path in paths_from(self._typed_path) if path.casefold().endswith(("/", ".gguf"))]
        return [Option(shown_line(_last_name(path), limit=200), id=f"{self.FILE}{path}") for path in paths]

    def _nothing(self) -> Option:
        if not self._typed_path:
            return super()._nothing()
        sentence = "No folder or GGUF file matches. Delete some letters to see more."
        return Option(Content.styled(sentence, "$foreground 62%"), disabled=True)

    def rows(self, words: list[str]) -> list[Option]:
        if self._typed_path:
            return self._files()
        rows: list[Option] = []
        group = None
        for choice in self._choices.values():
            if not all(word in f"{choice.name} {choice.title}".casefold() for word in words):
                continue
            if choice.installed != group:
                group = choice.installed
                rows.append(
                    Option(
                        Content.styled("Installed" if group else "To download", "$foreground 62%"),
                        disabled=True,
                    )
                )
            rows.append(Option(self._line(choice), id=choice.name))
        return rows

    def _line(self, choice: ModelChoice) -> Content:
        mark = "● " if choice.name == self._selected else "  " if choice.installed else "↓ "
        facts = [human_bytes(choice.size_bytes)] if choice.size_bytes else []
        if choice.memory_bytes:
            facts.append(f"needs {human_bytes(choice.memory_bytes)} of memory")
        if choice.licence:
            facts.append(clean_line(choice.licence, limit=30))
        title = clean_line(choice.title, limit=60)
        parts = [Content.styled(mark, "$text-accent"), Content(clean_line(choice.name, limit=50))]
        if title and title != clean_line(choice.name):
            parts.append(Content(f"  {title}"))
        parts.append(Content.styled("\n  " + " · ".join(facts), "$foreground 62%"))
        if choice.recommended:
            parts.append(Content.styled("\n  recommended for the memory of this machine", "$text-success"))
        if choice.problem:
            parts.append(Content.styled(f"\n  {clean_line(choice.problem, limit=160)}", "$text-warning"))
        return Content.assemble(*parts)

    def choose(self) -> None:
        choice = self._choices.get(self.highlighted)
        if self.highlighted.startswith(self.FILE):
            self._choose_path(self.highlighted.removeprefix(self.FILE))
        elif choice is None:
            return
        elif choice.installed:
            self.host.use_model(choice.name)
            self.dismiss(choice.name)
        elif choice.problem:
            self.notify(clean_line(choice.problem), severity="warning", markup=False)
        else:
            self._fetch(choice)

    def _fetch(self, choice: ModelChoice) -> None:
        """Fetch a model. Without any, the smallest comes first, so that there is one to talk to meanwhile."""
        first = next(iter(self._choices.values()))
        alone = first.installed or choice is first
        if not alone:
            self.host.start_pull(first.name)
        self.host.start_pull(choice.name, use=not alone)

    def _choose_path(self, path: str) -> None:
        """Continue with a path, or use the file that was typed."""
        if path and not is_file(path):
            self._put(path)
            return
        try:
            file = existing_file(path or self._typed_path)
        except RagchatError as error:
            self.notify(f"{error} {error.remedy}".strip(), severity="warning", markup=False)
            return
        self.host.add_model(file)
        self.dismiss(None)

    def action_complete(self) -> None:
        if self._typed_path:
            line = self.query_one(Line)
            # Behind the keys that were typed before: they may still be on their way to the line.
            self.call_later(line.call_later, lambda: self._put(complete_path(line.value)[0]))

    def _put(self, text: str) -> None:
        line = self.query_one(Line)
        line.value = text
        line.cursor_position = len(text)

    def action_stop(self) -> None:
        self.host.stop_job("pull")
        self.host.stop_job("tune")

    def action_tune(self) -> None:
        choice = self._choices.get(self.highlighted)
        if choice is not None and choice.installed and not choice.problem:
            self.host.start_tune(choice.name)
        else:
            self.notify("Choose an installed model to measure.", severity="warning", markup=False)

    def pull_ended(self) -> None:
        """A download is over: look again."""
        self._selected = self.host.services.model.selected
        self._list()


class KnowledgePicker(Picker["tuple[str, ...]"]):
    """Gives the names that shall be asked; empty: none, a plain chat."""

    TITLE_TEXT: ClassVar[str] = "Choose the documents of this chat"
    HELP_TEXT: ClassVar[str] = "Enter chooses · Space marks several · Esc cancels"
    EMPTY: ClassVar[str] = "You have no documents yet. Press Enter to add a folder or a file."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="picker.mark", show=False),
    ]
    MARKS: ClassVar[bool] = True
    NONE: ClassVar[str] = "\0none"

    def __init__(self, chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._marked = set(chosen)
        self._toggled: set[str] = set()
        """What the space bar was pressed on."""
        self._statuses: dict[str, KnowledgeBaseStatus] = {}

    def on_mount(self) -> None:
        self.options.loading = True
        self._list()

    @work(
        thread=True,
        exclusive=True,
        exit_on_error=False,
        group="knowledge",
        description="list the knowledge bases",
    )
    def _list(self) -> None:
        list_knowledge_bases(self.host.services, self.post_message)

    @on(messages.KnowledgeBasesListed)
    def _show(self, event: messages.KnowledgeBasesListed) -> None:
        self._statuses = {status.name: status for status in event.statuses}
        self._marked &= set(self._statuses)
        self.listed()
        if not self.filter and self._statuses:
            first = next((name for name in self._statuses if name in self._marked), self.NONE)
            self.options.highlighted = self.options.get_option_index(first)

    def rows(self, words: list[str]) -> list[Option]:
        rows = []
        if not words and self._statuses:
            rows.append(
                Option(
                    Content.assemble(
                        _mark(not self._marked), "none ", Content.styled("· a plain chat", "$foreground 62%")
                    ),
                    id=self.NONE,
                )
            )
        for name, status in self._statuses.items():
            if all(word in name.casefold() for word in words):
                counts = f"· {counted(status.indexed, 'document')}, {counted(status.chunks, 'chunk')}"
                problems = (
                    f", {status.skipped + status.failed} not read" if status.skipped + status.failed else ""
                )
                rows.append(
                    Option(
                        Content.assemble(
                            _mark(name in self._marked),
                            f"{clean_line(name)} ",
                            Content.styled(counts + problems, "$foreground 62%"),
                        ),
                        id=name,
                    )
                )
        return rows

    def action_mark(self) -> None:
        name = self.highlighted
        if not name:
            return
        self._toggled.add(name)
        if name == self.NONE:
            self._marked.clear()
        else:
            self._marked ^= {name}
        self.rebuild()

    def choose(self) -> None:
        if not self._statuses:
            self.dismiss(None)
            self.host.open_add_documents()
        elif self.highlighted:
            chosen = self._chosen(self.highlighted)
            self.dismiss(tuple(name for name in self._statuses if name in chosen))

    def _chosen(self, highlighted: str) -> set[str]:
        """What Enter means: what was marked here and the row whose name was typed, else the highlighted row."""
        if self._toggled:
            typed = {highlighted} if self.filter and highlighted not in self._toggled else set()
            return self._marked | typed
        as_it_was = highlighted in self._marked and not self.filter
        return self._marked if as_it_was else {highlighted}


def list_knowledge_bases(services: Services, post: tasks.Post) -> None:
    """Post KnowledgeBasesListed, or what went wrong. For a worker: it reads files."""

    def listing() -> None:
        post(
            messages.KnowledgeBasesListed(
                services.documents.statuses(), services.documents.asked_by_default()
            )
        )

    tasks.reporting(services, "listing the knowledge bases", post, listing)


def highlighted_id(options: OptionList) -> str:
    """The id of the highlighted row; empty when there is none, or it has no id."""
    option = options.highlighted_option
    return (option.id or "") if option else ""


def _last_name(path: str) -> str:
    """`models/` of `~/models/`."""
    return path[path.rstrip("/").rfind("/") + 1 :]


def _mark(on: bool) -> Content:
    return Content.styled("● ", "$text-accent") if on else Content.styled("○ ", "$foreground 62%")
