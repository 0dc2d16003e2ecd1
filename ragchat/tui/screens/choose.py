"""Pickers: a list with a filter that is typed. One for models, which may be fetched first, one for knowledge bases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Protocol, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from ragchat.text import clean_line, human_bytes
from ragchat.tui import messages, tasks
from ragchat.tui.screens.dialog import Dialog, Line, Result
from ragchat.tui.sentences import count
from ragchat.tui.widgets.job_line import JobLine

if TYPE_CHECKING:
    from ragchat.app.services import ModelChoice, Services
    from ragchat.types import KnowledgeBaseStatus


class Host(Protocol):
    """What the pickers need of the app."""

    services: Services

    def use_model(self, name: str) -> None: ...
    def start_pull(self, name: str) -> None: ...
    def stop_job(self, kind: str) -> None: ...


class Picker(Dialog[Result]):
    """The filter has the keyboard; Up, Down, PageUp and PageDown move in the list below it.

    `MARKS`: the space bar marks rows.
    """

    MARKS: ClassVar[bool] = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "list('cursor_up')", "Up", id="picker.up", show=False, priority=True),
        Binding("down", "list('cursor_down')", "Down", id="picker.down", show=False, priority=True),
        Binding("pageup", "list('page_up')", "Page up", id="picker.page_up", show=False, priority=True),
        Binding(
            "pagedown", "list('page_down')", "Page down", id="picker.page_down", show=False, priority=True
        ),
    ]

    def body(self) -> Iterable[Widget]:
        yield Line(placeholder="Type to filter", passes_space=self.MARKS)
        options = OptionList()
        options.can_focus = False
        yield options

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @property
    def options(self) -> OptionList:
        return self.query_one(OptionList)

    @property
    def highlighted(self) -> str:
        return highlighted_id(self.options)

    def action_list(self, action: str) -> None:
        getattr(self.options, f"action_{action}")()

    def rows(self, words: list[str]) -> list[Option]:
        """The options that match all of the words."""
        raise NotImplementedError

    def rebuild(self) -> None:
        before = self.highlighted
        rows = self.rows(self.query_one(Line).value.casefold().split())
        self.options.set_options(
            rows or [Option(Content.styled("Nothing matches", "$foreground 62%"), disabled=True)]
        )
        wanted = [index for index, row in enumerate(rows) if row.id == before and before]
        usable = [index for index, row in enumerate(rows) if not row.disabled]
        self.options.highlighted = wanted[0] if wanted else usable[0] if usable else None

    @on(Input.Changed)
    def _filter(self) -> None:
        self.rebuild()

    @on(Input.Submitted)
    def _submit(self) -> None:
        self.choose()

    @on(OptionList.OptionSelected)
    def _click(self) -> None:
        self.choose()

    def choose(self) -> None:
        """Enter was pressed."""
        raise NotImplementedError


class ModelPicker(Picker[str]):
    """Installed models are used, others are fetched first; the download goes on when the window closes."""

    TITLE_TEXT: ClassVar[str] = "Choose a model"
    HELP_TEXT: ClassVar[str] = "Enter uses or fetches it · Ctrl+X stops a download · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+x", "stop", "Stop the download", id="picker.stop", show=False, priority=True),
    ]

    def __init__(self, selected: str) -> None:
        super().__init__()
        self._selected = selected
        self._choices: dict[str, ModelChoice] = {}

    def body(self) -> Iterable[Widget]:
        yield from super().body()
        yield JobLine("pull")

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
            lambda: self.post_message(messages.ModelsListed(services.models())),
        )

    @on(messages.ModelsListed)
    def _show(self, event: messages.ModelsListed) -> None:
        ordered = sorted(event.choices, key=lambda choice: not choice.installed)
        self._choices = {choice.name: choice for choice in ordered}
        self.options.loading = False
        self.rebuild()

    def rows(self, words: list[str]) -> list[Option]:
        rows: list[Option] = []
        group = None
        for choice in self._choices.values():
            if not all(word in f"{choice.name} {choice.title}".casefold() for word in words):
                continue
            if choice.installed != group:
                group = choice.installed
                rows.append(
                    Option(
                        Content.styled("Installed" if group else "To fetch", "$foreground 62%"), disabled=True
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
        if choice.problem:
            parts.append(Content.styled(f"\n  {clean_line(choice.problem, limit=160)}", "$text-warning"))
        return Content.assemble(*parts)

    def choose(self) -> None:
        choice = self._choices.get(self.highlighted)
        if choice is None:
            return
        if choice.installed:
            self.host.use_model(choice.name)
            self.dismiss(choice.name)
        elif choice.problem:
            self.notify(clean_line(choice.problem), severity="warning", markup=False)
        else:
            self.host.start_pull(choice.name)

    def action_stop(self) -> None:
        self.host.stop_job("pull")

    def pull_ended(self) -> None:
        """A download is over: look again."""
        self._list()


class KnowledgePicker(Picker["tuple[str, ...]"]):
    """Gives the names that shall be asked; empty: none, a plain chat."""

    TITLE_TEXT: ClassVar[str] = "Which documents shall be asked?"
    HELP_TEXT: ClassVar[str] = "Space marks several · Enter uses them · Esc leaves it as it was"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", id="picker.mark", show=False, priority=True),
    ]
    MARKS: ClassVar[bool] = True
    NONE: ClassVar[str] = "\0none"

    def __init__(self, chosen: tuple[str, ...]) -> None:
        super().__init__()
        self._marked = set(chosen)
        self._touched = False
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
        self.options.loading = False
        self.rebuild()
        first = next((name for name in self._statuses if name in self._marked), self.NONE)
        self.options.highlighted = self.options.get_option_index(first)

    def rows(self, words: list[str]) -> list[Option]:
        rows = []
        if not words:
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
                counts = f"· {count(status.indexed, 'document')}, {count(status.chunks, 'chunk')}"
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
        self._touched = True
        if name == self.NONE:
            self._marked.clear()
        else:
            self._marked ^= {name}
        self.rebuild()

    def choose(self) -> None:
        name = self.highlighted
        if name == self.NONE and not self._touched:
            self._marked.clear()
        elif name in self._statuses and not self._touched and name not in self._marked:
            self._marked = {name}
        self.dismiss(tuple(name for name in self._statuses if name in self._marked))


def list_knowledge_bases(services: Services, post: tasks.Post) -> None:
    """Post KnowledgeBasesListed, or what went wrong. For a worker: it reads files."""

    def listing() -> None:
        post(messages.KnowledgeBasesListed(services.knowledge_bases(), services.default_knowledge_bases()))

    tasks.reporting(services, "listing the knowledge bases", post, listing)


def highlighted_id(options: OptionList) -> str:
    """The id of the highlighted row; empty when there is none, or it has no id."""
    option = options.highlighted_option
    return (option.id or "") if option else ""


def _mark(on: bool) -> Content:
    return Content.styled("● ", "$text-accent") if on else Content.styled("○ ", "$foreground 62%")
