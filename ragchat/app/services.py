"""All that the two front ends may call: the chats, and four objects for models, documents, evaluations and trainings.

What reads a database belongs to the thread that opened it: workers open their own connections and close them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from ragchat.app import build
from ragchat.app.documents import Documents
from ragchat.app.evaluations import Evaluations
from ragchat.app.models import Models, SelectableModel
from ragchat.app.preferences import Preferences
from ragchat.app.trainings import Trainings
from ragchat.types import AdapterScale, ChatOptions

if TYPE_CHECKING:  # the screen paints before any of these is needed
    from ragchat.app.context import Context
    from ragchat.paths import Paths
    from ragchat.session.chat import AskOptions, ChatSession
    from ragchat.session.templates import Template, WrongFile
    from ragchat.store.chats import ChatStore


class Services:
    """`new_chat`: what a new chat does otherwise than the settings. Methods may be called from any thread."""

    def __init__(
        self, context: Context, model: SelectableModel, *, adapters: tuple[AdapterScale, ...] = ()
    ) -> None:
        self.preferences = Preferences(context)
        self.model = model
        self.models = Models(self.preferences, model)
        self.documents = Documents(self.preferences, model.forget)
        self.evaluations = Evaluations(self.preferences)
        self.trainings = Trainings(self.preferences)
        self.new_chat = ChatOptions(adapters=adapters)

    @property
    def paths(self) -> Paths:
        """Where files are."""
        return self.preferences.context.paths

    def open_chats(self) -> ChatStore:
        """A connection of the calling thread's own. Raises StorageError."""
        from ragchat.store.chats import ChatStore

        return ChatStore(self.paths.chat_database)

    def open_session(self, chats: ChatStore, options: ChatOptions) -> AbstractContextManager[ChatSession]:
        """A session as the settings and a chat's own options want it, for the calling thread. Raises NotFoundError."""
        context, names = self.preferences.context, options.knowledge_bases
        if names is None:
            names = self.documents.asked_by_default()
        return build.chat_session(context, chats, self.model, names, build.chat_options(context, options))

    def ask_options(self) -> AskOptions:
        """How a chat without options of its own is answered."""
        return build.ask_options(self.preferences.context)

    def templates(self) -> tuple[list[Template], list[WrongFile]]:
        """Prompt templates by name, and your files that are none."""
        from ragchat.paths import TEMPLATES
        from ragchat.session.templates import load

        return load(self.paths.templates_dir, TEMPLATES)
