"""What stands where nothing was asked yet: what can be done from here, and which documents would be asked."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ragchat.text import clean_line, counted
from ragchat.types import KnowledgeBaseStatus

_MANUAL = "manual"
_QUIET = "$foreground 62%"
_MOST = 4
"""Knowledge bases that are named."""
_KEYS = (
    ("app.model", "choose a model"),
    ("chat.knowledge", "choose the documents of this chat"),
    ("app.add_documents", "add a folder or a file"),
    ("chat.search", "search your documents without a model"),
    ("chat.find_chats", "search all chats"),
    ("app.help", "all keys; / lists the commands"),
)


class EmptyChat(Widget):
    """`statuses` are the knowledge bases there are, None while no one has looked."""

    statuses: reactive[tuple[KnowledgeBaseStatus, ...] | None] = reactive(None, layout=True)

    def on_mount(self) -> None:
        # Under a window some keys do not work and are not shown: they come back when it closes.
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> RenderResult:
        lines = [
            Content.styled("What would you like to know?\n", "bold"),
            Content.styled(
                "Ask anything, or ask about your documents. Answers cite their passages.\n", _QUIET
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
                Content.styled(
                    "\nYou have no documents yet, so the model answers from its own knowledge.", _QUIET
                )
            ]
        if not own:
            sentence = "Until you add documents, ragchat answers from its own manual. Try “What is ragchat?”"
            return [Content.styled(f"\n{sentence}", _QUIET)]
        named = [
            f"{clean_line(one.name, limit=40)} ({counted(one.indexed, 'document')})" for one in own[:_MOST]
        ]
        more = [f"{len(own) - _MOST} more"] if len(own) > _MOST else []
        return [Content.styled(f"\nYour documents: {', '.join([*named, *more])}.", _QUIET)]
