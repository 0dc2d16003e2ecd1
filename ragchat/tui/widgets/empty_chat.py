"""What stands where nothing was asked yet: what can be done from here, and which documents would be asked."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui.sentences import count
from ragchat.types import KnowledgeBaseStatus

_MANUAL = "manual"
_QUIET = "$foreground 62%"
_MOST = 4
"""Knowledge bases that are named."""
_KEYS = (
    ("app.model", "choose a model"),
    ("chat.knowledge", "choose which documents are asked"),
    ("app.add_documents", "add documents: a folder or a file of yours"),
    ("chat.search", "search them, without a model"),
    ("chat.find_chats", "search all chats"),
    ("app.help", "all keys; / in the prompt shows all commands"),
)


class EmptyChat(Widget):
    """`statuses` are the knowledge bases there are, None while nobody has looked."""

    statuses: reactive[tuple[KnowledgeBaseStatus, ...] | None] = reactive(None, layout=True)

    def render(self) -> RenderResult:
        lines = [
            Content.styled("What would you like to know?\n", "bold"),
            Content.styled(
                "Ask anything, or ask your documents: answers name the passages they stand on.\n", _QUIET
            ),
        ]
        for action, meaning in _KEYS:
            lines.append(
                Content.assemble(
                    Content.styled(f"{self._key(action):>4}  ", "$text-accent bold"),
                    Content.styled(meaning, _QUIET),
                )
            )
        lines += self._documents()
        return Content("\n").join(lines)

    def _key(self, action: str) -> str:
        """The first key of a binding, by the keymap in force."""
        bindings = [active.binding for active in self.screen.active_bindings.values()]
        keys = [self.app.get_key_display(binding) for binding in bindings if binding.id == action]
        return next((key for key in keys if key.startswith("F")), keys[0] if keys else "")

    def _documents(self) -> list[Content]:
        if self.statuses is None:
            return []
        own = [status for status in self.statuses if status.name != _MANUAL]
        if not self.statuses:
            return [
                Content.styled("\nNo documents yet: the model answers from what it knows itself.", _QUIET)
            ]
        if not own:
            sentence = "Until you add documents, ragchat's own manual answers: try “What is ragchat?”"
            return [Content.styled(f"\n{sentence}", _QUIET)]
        named = [
            f"{clean_line(one.name, limit=40)} ({count(one.indexed, 'document')})" for one in own[:_MOST]
        ]
        more = [f"{len(own) - _MOST} more"] if len(own) > _MOST else []
        return [Content.styled(f"\nYour documents: {', '.join([*named, *more])}.", _QUIET)]
