"""All keys, from the bindings themselves and the keymap in force, so that this page cannot be out of date."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.widget import Widget
from textual.widgets import Static

from ragchat.tui.screens.dialog import Dialog

_KEY_COLUMN = 18


def key_groups() -> list[tuple[str, list[type[DOMNode]]]]:
    """Where keys are bound, in the order in which a person meets them."""
    from ragchat.tui.app import RagchatApp
    from ragchat.tui.screens.adapters import AdaptersScreen
    from ragchat.tui.screens.add_documents import AddDocuments
    from ragchat.tui.screens.calibrate import CalibrateScreen
    from ragchat.tui.screens.chat import ChatScreen
    from ragchat.tui.screens.chat_options import ChatOptionsScreen
    from ragchat.tui.screens.choose import KnowledgePicker, ModelPicker, Picker
    from ragchat.tui.screens.choose_document import ChooseDocument
    from ragchat.tui.screens.code_choice import CodeChoice
    from ragchat.tui.screens.compact import CompactScreen
    from ragchat.tui.screens.compare import CompareScreen, CompareSetup
    from ragchat.tui.screens.dialog import Dialog
    from ragchat.tui.screens.document import DocumentScreen
    from ragchat.tui.screens.edit_text import EditText
    from ragchat.tui.screens.evaluation import Disagreement, EvaluationScreen
    from ragchat.tui.screens.export import ExportChats, PathDialog
    from ragchat.tui.screens.find_chats import FindChats
    from ragchat.tui.screens.history import HistoryScreen
    from ragchat.tui.screens.jobs import JobsScreen
    from ragchat.tui.screens.jump import JumpScreen
    from ragchat.tui.screens.keep_question import KeepQuestion
    from ragchat.tui.screens.knowledge import KnowledgeScreen
    from ragchat.tui.screens.link import LinkScreen
    from ragchat.tui.screens.pick import PickKept
    from ragchat.tui.screens.prompt_view import PromptViewScreen
    from ragchat.tui.screens.questions import EditQuestion, QuestionsScreen
    from ragchat.tui.screens.replay import ReplayScreen
    from ragchat.tui.screens.review_pairs import ReviewPairs
    from ragchat.tui.screens.search import SearchScreen
    from ragchat.tui.screens.settings import SettingsScreen
    from ragchat.tui.screens.train import Train
    from ragchat.tui.screens.welcome import WelcomeScreen
    from ragchat.tui.widgets.chat_list import ChatList
    from ragchat.tui.widgets.file_list import FileList
    from ragchat.tui.widgets.lazy_list import LazyList
    from ragchat.tui.widgets.prompt import Prompt
    from ragchat.tui.widgets.sources import SourcesPanel
    from ragchat.tui.widgets.text_cursor import TextCursor
    from ragchat.tui.widgets.transcript import FindLine, Transcript

    return [
        ("Everywhere", [RagchatApp, ChatScreen]),
        ("Prompt", [Prompt]),
        ("Answers (Tab from the prompt)", [Transcript, FindLine]),
        ("Text of an answer (v)", [TextCursor]),
        ("Sources", [SourcesPanel]),
        ("Chats", [ChatList]),
        ("Search (Ctrl+F)", [SearchScreen]),
        ("Document", [DocumentScreen]),
        ("Files (F5)", [KnowledgeScreen, FileList]),
        ("Search all chats (F7)", [FindChats]),
        ("This chat's settings (F8)", [ChatOptionsScreen, PickKept]),
        ("Adapters (Alt+A)", [AdaptersScreen]),
        ("A training, before it begins (F9, n)", [Train]),
        ("Questions to learn from (ragchat pairs review)", [ReviewPairs]),
        ("The prompt of an answer (p, Alt+P)", [PromptViewScreen]),
        ("Replay (R)", [ReplayScreen]),
        ("Two settings (Alt+C)", [CompareScreen]),
        ("Two settings, before they are asked", [CompareSetup]),
        ("A whole document (Alt+S)", [ChooseDocument]),
        ("Compacting (Alt+K)", [CompactScreen]),
        ("Jobs (F9)", [JobsScreen, LazyList]),
        ("Which way serves you best (F11)", [EvaluationScreen, Disagreement]),
        ("How sure the search must be (F11, c)", [CalibrateScreen]),
        ("Questions to measure with (F11, e)", [QuestionsScreen, EditQuestion]),
        ("Earlier prompts (Ctrl+R)", [HistoryScreen]),
        ("Jump mode (Ctrl+G)", [JumpScreen]),
        ("Settings (F10)", [SettingsScreen]),
        ("Writing in windows", [EditText, KeepQuestion, PathDialog, ExportChats]),
        ("Lists and windows", [Dialog, Picker, ModelPicker, KnowledgePicker, AddDocuments]),
        ("A link", [LinkScreen]),
        ("Code blocks", [CodeChoice]),
        ("Welcome and help", [WelcomeScreen, HelpScreen]),
    ]


def bound_keys(owner: type[DOMNode], keymap: Mapping[str, str]) -> Iterable[tuple[str, Binding]]:
    """(keys, binding) of what a class itself binds under an id, with the keymap applied."""
    for binding in owner.__dict__.get("BINDINGS", ()):
        if isinstance(binding, Binding) and binding.id and binding.description:
            yield keymap.get(binding.id, binding.key), binding


class HelpScreen(Dialog[None]):
    """Scrolls with the arrow keys."""

    TITLE_TEXT: ClassVar[str] = "Keys"
    HELP_TEXT: ClassVar[str] = "Up and Down scroll · Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,f1,question_mark", "close", "Close", id="help.close", show=False),
        Binding("j", "scroll_by(1)", "Down", id="help.down", show=False),
        Binding("k", "scroll_by(-1)", "Up", id="help.up", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        yield VerticalScroll(Static(self._content()))

    def _content(self) -> Content:
        lines: list[Content] = []
        keymap = self.app._keymap
        for title, owners in key_groups():
            lines.append(Content.styled(title, "$text-accent bold"))
            seen: set[str] = set()
            for owner in owners:
                for keys, binding in bound_keys(owner, keymap):
                    line = f"{self._display(keys):<{_KEY_COLUMN}} {binding.description}"
                    if line not in seen and not binding.description.startswith("Source "):
                        seen.add(line)
                        lines.append(Content.assemble("  ", line))
            if title.startswith(("Answers", "Sources")):
                lines.append(Content(f"  {'1 … 9':<{_KEY_COLUMN}} Go to source [n]"))
            if title == "Prompt":
                lines.append(Content(f"  {'↑ ↓':<{_KEY_COLUMN}} Earlier and later questions"))
            lines.append(Content(""))
        return Content("\n").join(lines)

    def _display(self, keys: str) -> str:
        names = [self.app.get_key_display(Binding(key.strip(), "", "")) for key in keys.split(",")]
        return " ".join(dict.fromkeys(names))

    def action_scroll_by(self, step: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=step, animate=False)
