"""Chats into a file, and out of files of this and other programs. The work is done in a thread; its end is told in the window.

`write_chats` is what the export does, for whoever exports without the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast, get_args

from textual import on, work
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Checkbox, Input, OptionList, Static
from textual.widgets.option_list import Option

from ragchat.app.typed_paths import complete_path, typed_path
from ragchat.errors import RagchatError
from ragchat.paths import expanded
from ragchat.session.exporting import (
    MANY,
    SUFFIXES,
    Format,
    TargetExistsError,
    Written,
    format_of,
    write_export,
)
from ragchat.text import clean_line, counted, human_bytes
from ragchat.tui.safe_content import shown_line
from ragchat.tui.screens.dialog import Dialog, Line, Result
from ragchat.tui.tasks import chats, record_unexpected
from ragchat.tui.widgets.toggles import Check
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.session.importing import Incoming, TakenIn

DIM = "$foreground 62%"
_FORMATS: dict[Format, str] = {
    "markdown": "Markdown: questions, answers, sources, to read",
    "html": "HTML: one page for any browser",
    "json": "JSON: everything, can be imported again",
    "jsonl": "JSON lines: OpenAI messages, for training",
}
_SHOWN_REJECTED = 5


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What is to be written where. `conversation_id` 0: all chats that are not deleted."""

    conversation_id: int
    format: Format
    target: Path
    overwrite: bool = False


def write_chats(services: Services, request: ExportRequest) -> str:
    """Write them; a sentence that says where. Raises UsageError, StorageError, NotFoundError."""
    with chats(services) as store:
        numbers = (
            [request.conversation_id]
            if request.conversation_id
            else [chat.id for chat in store.conversations(limit=1_000_000)]
        )
        found = [store.portable(number) for number in numbers]
    return _said(len(found), write_export(found, request.format, request.target, overwrite=request.overwrite))


def _said(number: int, written: Written) -> str:
    size = human_bytes(sum(path.stat().st_size for path in written.files))
    where = written.folder or written.files[0]
    return f"{counted(number, 'chat')} written to {clean_line(str(where.resolve()))} ({size})."


class PathDialog(Dialog[Result]):
    """A window with a path that Tab completes, and a note below it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete the path", id="path.complete", show=False, priority=True),
    ]

    class Failed(Message):
        """The work failed; `exists`: because there is a file already."""

        def __init__(self, sentence: str, *, exists: bool = False) -> None:
            super().__init__()
            self.sentence, self.exists = sentence, exists

    @property
    def line(self) -> Line:
        return self.query_one(Line)

    def read_path(self, *, empty: str) -> Path | None:
        """What was typed, or None, after the note has said why; `empty` is the note when nothing was."""
        text = self.line.value.strip()
        try:
            if text:
                typed_path(text)
                return expanded(text)
            self.note(empty, "$text-warning")
        except RagchatError as error:
            self.note(f"{error} {error.remedy}".strip(), "$text-warning")
        self.line.focus()
        return None

    def note(self, content: str | Content, style: str = DIM) -> None:
        """Foreign text may stand in it."""
        shown = content if isinstance(content, Content) else shown_line(content, style)
        self.query_one("#note", Static).update(shown)

    def action_complete(self) -> None:
        if self.focused is not self.line:
            self.focus_next()
            return
        completed, offers = complete_path(self.line.value)
        if completed == self.line.value and not offers:
            self.focus_next()
            return
        self.line.value = completed
        self.line.cursor_position = len(completed)
        self.note(shown_line("   ".join(offers), DIM, limit=400))

    def attempt(self, services: Services, doing: str, work: Callable[[], object]) -> None:
        """In a worker: whatever goes wrong becomes a Failed."""
        try:
            work()
        except TargetExistsError as error:
            self.post_message(self.Failed(str(error), exists=True))
        except RagchatError as error:
            self.post_message(self.Failed(f"{error} {error.remedy}".strip()))
        except Exception:  # noqa: BLE001 - the boundary of a worker
            self.post_message(self.Failed(record_unexpected(services, doing)))


class ExportChats(PathDialog[str]):
    """Gives the sentence that says where the chats were written, or None."""

    TITLE_TEXT: ClassVar[str] = "Export"
    HELP_TEXT: ClassVar[str] = "Up, Down choose · Tab completes the path · Enter writes · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "format('cursor_up')", "Previous format", id="export.up", show=False, priority=True),
        Binding("down", "format('cursor_down')", "Next format", id="export.down", show=False, priority=True),
        Binding("enter", "write", "Write the file", id="export.write", show=False, priority=True),
    ]

    class Written(Message):
        """The file was written."""

        def __init__(self, sentence: str) -> None:
            super().__init__()
            self.sentence = sentence

    def __init__(self, services: Services, conversation_id: int, stem: str, *, path: str = "") -> None:
        """`conversation_id` 0: there is no chat yet, only all of them; `stem`: a name for the file of this chat, `path` the
        one that the user gave already, whose ending says the format.
        """
        super().__init__()
        self._services, self._conversation_id, self._stem = services, conversation_id, stem
        self._path, self._first = path, format_of(Path(path)) or "markdown"
        self._suggested = self._suggestion(self._first, everything=not conversation_id)
        self._asked: ExportRequest | None = None
        self._confirmed: ExportRequest | None = None
        self._busy = False

    def body(self) -> Iterable[Widget]:
        formats = OptionList(*(Option(Content(text), id=name) for name, text in _FORMATS.items()))
        formats.can_focus = False
        yield formats
        yield Static(Content("File"), classes="label")
        yield Line(self._path or self._suggested)
        everything = Check("All chats", value=not self._conversation_id, id="everything", compact=True)
        everything.disabled = not self._conversation_id
        yield everything
        yield Static(Content(""), id="note")

    def on_mount(self) -> None:
        self.query_one(OptionList).highlighted = list(_FORMATS).index(self._first)
        self.line.focus()

    @property
    def format(self) -> Format:
        option = self.query_one(OptionList).highlighted_option
        return cast(Format, option.id) if option and option.id in get_args(Format) else "markdown"

    @property
    def everything(self) -> bool:
        return self.query_one(Checkbox).value

    def _suggestion(self, format: Format, *, everything: bool) -> str:
        folder = everything and format == "markdown"
        return f"{MANY if everything else self._stem}{'' if folder else SUFFIXES[format]}"

    def action_format(self, action: str) -> None:
        getattr(self.query_one(OptionList), f"action_{action}")()

    @on(OptionList.OptionHighlighted)
    @on(Checkbox.Changed)
    def _follow(self) -> None:
        """The name follows what is chosen, as far as the user has not made it their own."""
        suggestion = self._suggestion(self.format, everything=self.everything)
        typed = Path(self.line.value.strip() or ".")
        if self.line.value == self._suggested:
            self.line.value = suggestion
        elif typed.suffix in SUFFIXES.values():
            self.line.value = str(typed.with_suffix(SUFFIXES[self.format]))
        self._suggested = suggestion
        self.line.cursor_position = len(self.line.value)

    @on(Input.Changed)
    def _reconsider(self) -> None:
        self._confirmed = None

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        self.line.focus()

    def action_write(self) -> None:
        if self._busy:
            return
        target = self.read_path(empty="Type the path of the new file.")
        if target is not None:
            request = self._request(target)
            self._busy, self._asked = True, request
            self.note("Writing…")
            self._write(replace(request, overwrite=request == self._confirmed))

    def _request(self, target: Path) -> ExportRequest:
        return ExportRequest(0 if self.everything else self._conversation_id, self.format, target)

    @work(thread=True, exclusive=True, exit_on_error=False, group="export", description="export chats")
    def _write(self, request: ExportRequest) -> None:
        self.attempt(
            self._services,
            "exporting chats",
            lambda: self.post_message(self.Written(write_chats(self._services, request))),
        )

    @on(Written)
    def _finish(self, event: Written) -> None:
        self.dismiss(event.sentence)

    @on(PathDialog.Failed)
    def _explain(self, event: PathDialog.Failed) -> None:
        self._busy = False
        if event.exists:
            self._confirmed = self._asked
            self.note(f"{event.sentence} Press Enter again to overwrite it.", "$text-warning")
        else:
            self.note(event.sentence, "$text-error")
        self.line.focus()


class ImportChats(PathDialog[bool]):
    """Gives True when chats came in, so that the list of chats is read again."""

    TITLE_TEXT: ClassVar[str] = "Import chats"
    HELP_TEXT: ClassVar[str] = "Tab completes the path · Enter imports · Esc closes"

    class Taken(Message):
        """The chats of a file were stored."""

        def __init__(self, incoming: Incoming, taken: TakenIn) -> None:
            super().__init__()
            self.incoming, self.taken = incoming, taken

    def __init__(self, services: Services, *, path: str = "") -> None:
        super().__init__()
        self._services, self._path = services, path
        self._cancel = CancelToken()
        self._came_in = False
        self._busy = False

    def body(self) -> Iterable[Widget]:
        yield Static(Content("File"), classes="label")
        yield Line(self._path, placeholder="~/Downloads/chatgpt-export.zip")
        yield Static(
            Content.styled(
                "From ragchat, ChatGPT (the ZIP, too), Open WebUI, LM Studio, ShareGPT, or OpenAI messages."
                " Duplicates are skipped. Pictures and messages of tools are left out.",
                DIM,
            ),
            id="note",
        )

    def on_mount(self) -> None:
        self.line.focus()

    @on(Input.Submitted)
    def _begin(self) -> None:
        if self._busy:
            return
        target = self.read_path(empty="Type the path of the file.")
        if target is not None:
            self._busy = True
            self.note("Reading…")
            self._read(target)

    @work(thread=True, exclusive=True, exit_on_error=False, group="import", description="import chats")
    def _read(self, path: Path) -> None:
        def take() -> None:
            from ragchat.session.importing import read_file, take_in

            incoming = read_file(path)
            with chats(self._services) as store:
                taken = take_in(store, incoming.chats, cancel=self._cancel)
            self.post_message(self.Taken(incoming, taken))

        self.attempt(self._services, "importing chats", take)

    @on(Taken)
    def _show(self, event: Taken) -> None:
        from ragchat.session.importing import summary

        self._busy = False
        self._came_in = self._came_in or event.taken.came_in > 0
        lines = [summary(event.incoming, event.taken)]
        lines += [f"{one.where}: {one.reason}" for one in event.incoming.rejected[:_SHOWN_REJECTED]]
        if (more := len(event.incoming.rejected) - _SHOWN_REJECTED) > 0:
            lines.append(f"and {more:,} more: `ragchat chats import FILE --json` lists them.")
        self.note(Content("\n").join(shown_line(line) for line in lines))

    @on(PathDialog.Failed)
    def _explain(self, event: PathDialog.Failed) -> None:
        self._busy = False
        self.note(event.sentence, "$text-error")
        self.line.focus()

    def action_close(self) -> None:
        self._cancel.cancel()
        self.dismiss(self._came_in or self._busy)
