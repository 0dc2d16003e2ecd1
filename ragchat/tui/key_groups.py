"""Where keys are bound, in the order in which you meet them. Classes by name: each is imported when the list is asked for."""

from __future__ import annotations

import importlib

from textual.dom import DOMNode

_GROUPS = (
    ("Everywhere", "app:RagchatApp screens.chat:ChatScreen"),
    ("Prompt", "widgets.prompt:Prompt"),
    ("Answers (Tab from the prompt)", "widgets.transcript:Transcript widgets.transcript:FindLine"),
    ("Text of an answer (v)", "widgets.text_cursor:TextCursor"),
    ("Sources", "widgets.sources:SourcesPanel"),
    ("Chats", "widgets.chat_list:ChatList"),
    ("Search (Ctrl+F)", "screens.search:SearchScreen"),
    ("Document", "screens.document:DocumentScreen"),
    ("Files (F5)", "screens.knowledge:KnowledgeScreen widgets.file_list:FileList"),
    ("Search all chats (F7)", "screens.find_chats:FindChats"),
    ("This chat's settings (F8)", "screens.chat_options:ChatOptionsScreen screens.pick:PickKept"),
    ("Adapters (Alt+A)", "screens.adapters:AdaptersScreen"),
    ("New training (F9, n)", "screens.train:Train"),
    ("Training questions (ragchat pairs review)", "screens.review_pairs:ReviewPairs"),
    ("The check of an answer (i)", "screens.check:CheckScreen"),
    ("The prompt of an answer (p, Alt+P)", "screens.prompt_view:PromptViewScreen"),
    ("Replay (R)", "screens.replay:ReplayScreen"),
    ("Compare two settings (Alt+C)", "screens.compare:CompareScreen"),
    ("Two settings, before you ask", "screens.compare:CompareSetup"),
    ("Summarise a document (Alt+S)", "screens.choose_document:ChooseDocument"),
    ("Compacting (Alt+K)", "screens.compact:CompactScreen"),
    ("Jobs (F9)", "screens.jobs:JobsScreen widgets.lazy_list:LazyList"),
    ("Evaluation (F11)", "screens.evaluation:EvaluationScreen screens.evaluation:Disagreement"),
    ("When to decline (F11, c)", "screens.calibrate:CalibrateScreen"),
    (
        "Evaluation questions (F11, e)",
        "screens.questions:QuestionsScreen screens.questions:EditQuestion",
    ),
    ("Earlier prompts (Ctrl+R)", "screens.history:HistoryScreen"),
    ("Jump mode (Ctrl+G)", "screens.jump:JumpScreen"),
    ("Settings (F10)", "screens.settings:SettingsScreen"),
    (
        "Writing in windows",
        "screens.edit_text:EditText screens.keep_question:KeepQuestion "
        "screens.export:PathDialog screens.export:ExportChats",
    ),
    (
        "Lists and windows",
        "screens.dialog:Dialog screens.choose:Picker screens.choose:ModelPicker "
        "screens.choose:KnowledgePicker screens.add_documents:AddDocuments",
    ),
    ("A link", "screens.link:LinkScreen"),
    ("Code blocks", "screens.code_choice:CodeChoice"),
    ("Welcome and help", "screens.welcome:WelcomeScreen screens.help:HelpScreen"),
)
"""A title, and the classes as `module:class` below `ragchat.tui`."""


def key_groups() -> list[tuple[str, list[type[DOMNode]]]]:
    """The titles and the classes that bind keys. Imports every screen."""
    return [(title, [_named(name) for name in names.split()]) for title, names in _GROUPS]


def _named(name: str) -> type[DOMNode]:
    module, _, owner = name.partition(":")
    found: type[DOMNode] = getattr(importlib.import_module(f"ragchat.tui.{module}"), owner)
    return found
