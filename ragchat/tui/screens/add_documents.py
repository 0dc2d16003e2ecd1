"""Adding a file or folder to a knowledge base, with its indexing to watch. Closing the window does not stop it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Protocol, cast

from textual import on
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from ragchat.app.typed_paths import complete_path, existing_path, suggested_name
from ragchat.errors import RagchatError, UsageError
from ragchat.store.knowledge import check_name
from ragchat.text import clean_line
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Line
from ragchat.tui.widgets.job_line import JobLine


class Host(Protocol):
    """What this window needs of the app."""

    def start_sync(self, name: str, paths: list[Path]) -> bool: ...
    def stop_job(self, kind: str) -> None: ...


class AddDocuments(Dialog[str]):
    """Two lines: where the documents are, and the knowledge base they go into."""

    TITLE_TEXT: ClassVar[str] = "Add documents"
    HELP_TEXT: ClassVar[str] = (
        "Tab completes a path · Enter starts · Ctrl+X stops · Esc closes, indexing continues"
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete the path", id="add.complete", show=False, priority=True),
        Binding("ctrl+x", "stop", "Stop indexing", id="add.stop", show=False, priority=True),
    ]

    def body(self) -> Iterable[Widget]:
        yield Static(Content("File or folder"), classes="label")
        path = Line(placeholder="~/Documents")
        path.id = "path"
        yield path
        yield Static(Content("Knowledge base"), classes="label")
        name = Line(placeholder="the folder's name")
        name.id = "name"
        yield name
        note = Static(
            Content.styled("ragchat only reads your files. They never leave this machine.", "$foreground 62%")
        )
        note.id = "note"
        yield note
        yield JobLine("sync")

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    def action_complete(self) -> None:
        line = self.query_one("#path", Line)
        if self.focused is line:
            # Behind the keys that were typed before: they may still be on their way through this window to the line.
            self.call_later(line.call_later, self._complete)
        else:
            line.focus()

    def _complete(self) -> None:
        line = self.query_one("#path", Line)
        completed, offers = complete_path(line.value)
        if completed == line.value and not offers:
            self.query_one("#name", Line).focus()
            return
        with line.prevent(Input.Changed):
            line.value = completed
        line.cursor_position = len(completed)
        self.query_one("#note", Static).update(shown_line("   ".join(offers), "$foreground 62%", limit=400))

    @on(Input.Changed)
    def _typed(self) -> None:
        self.query_one("#note", Static).update("")

    @on(Input.Submitted)
    def _begin(self) -> None:
        text = self.query_one("#path", Line).value.strip()
        note = self.query_one("#note", Static)
        try:
            if not text:
                raise UsageError("Type the path of a folder or file.")
            path = existing_path(text)
        except RagchatError as error:
            self._refuse(error, "#path")
            return
        name = self.query_one("#name", Line).value.strip() or suggested_name(path)
        try:
            check_name(name)
        except RagchatError as error:
            self._refuse(error, "#name")
            return
        if self.host.start_sync(name, [path]):
            note.update(
                Content.styled(f"Adding to “{clean_line(name)}”. You can keep chatting.", "$foreground 62%")
            )

    def _refuse(self, error: RagchatError, line: str) -> None:
        """Say what is wrong with what was typed into a line."""
        sentence = clean_line(f"{error} {error.remedy}".strip())
        self.query_one("#note", Static).update(Content.styled(sentence, "$text-warning"))
        self.query_one(line, Line).focus()

    def action_stop(self) -> None:
        self.host.stop_job("sync")
