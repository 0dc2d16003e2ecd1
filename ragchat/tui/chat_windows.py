"""The windows that the chat opens over itself, and what it does with what they give. It belongs to the chat's screen.

What reads or writes a database runs in a worker; the window opens when that is done.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ragchat.errors import RagchatError
from ragchat.text import clean, clean_line
from ragchat.tui import messages, tasks

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.session.templates import Template, WrongFile
    from ragchat.store.chats import ChatStore
    from ragchat.tui.screens.chat_frame import ChatFrame
    from ragchat.types import ChatOptions, Conversation, Hit, MessageHit

Result = TypeVar("Result")
_HISTORY = 2000


class Windows:
    """One per chat screen. A window that is asked for while another one is open is not opened."""

    def __init__(self, screen: ChatFrame, services: Services) -> None:
        self._screen, self._services = screen, services
        self._searched = self._found = ""

    @property
    def free(self) -> bool:
        """Whether nothing lies over the chat."""
        return self._screen.app.screen is self._screen

    def in_worker(self, doing: str, work: Callable[[], Result], then: Callable[[Result], object]) -> None:
        """Run `work` in a worker, then `then` on the screen's thread."""
        screen = self._screen

        def run() -> None:
            result = work()
            screen.app.call_from_thread(then, result)

        screen.run_worker(
            functools.partial(tasks.reporting, self._services, doing, screen.post_message, run),
            thread=True,
            exit_on_error=False,
            group="windows",
            description=doing,
        )

    def with_chats(
        self, doing: str, work: Callable[[ChatStore], Result], then: Callable[[Result], object]
    ) -> None:
        """`in_worker`, with the chats open for it."""

        def read() -> Result:
            with tasks.chats(self._services) as store:
                return work(store)

        self.in_worker(doing, read, then)

    # --- searching ----------------------------------------------------------------------------------

    def search(self, query: str = "") -> None:
        """Search the documents."""
        from ragchat.tui.screens.search import SearchScreen

        if not self.free:
            return
        screen = SearchScreen(self._services, self._screen.asked_knowledge, query=query or self._searched)

        def left(hit: Hit | None) -> None:
            self._searched = screen.last_query
            if hit is not None:
                self._screen.pane.pin(hit)

        self._screen.app.push_screen(screen, left)

    def find_chats(self, query: str = "") -> None:
        """Search all chats, and open the one that is chosen at the message."""
        from ragchat.tui.screens.find_chats import FindChats

        if not self.free:
            return
        screen = FindChats(self._services, query=query or self._found)

        def left(hit: MessageHit | None) -> None:
            self._found = screen.last_query
            if hit is not None:
                self._open_at(hit)

        self._screen.app.push_screen(screen, left)

    def _open_at(self, hit: MessageHit) -> None:
        def show_branch(store: ChatStore) -> None:
            if hit.message_id not in store.branch_ids(hit.conversation_id):
                store.show_branch(hit.message_id)

        self.with_chats(
            "opening the message",
            show_branch,
            lambda _: self._screen.open_chat(hit.conversation_id, around=hit.message_id),
        )

    # --- the prompt ---------------------------------------------------------------------------------

    def history(self) -> None:
        """Choose among what was asked before."""
        from ragchat.tui.screens.history import HistoryScreen

        prompt = self._screen.pane.prompt

        def show(prompts: list[str]) -> None:
            if self.free:
                self._screen.app.push_screen(
                    HistoryScreen(prompts, query=clean_line(prompt.text)),
                    lambda chosen: prompt.put(chosen) if chosen is not None else None,
                )

        self.with_chats("reading the questions", lambda store: store.prompt_history(_HISTORY), show)

    def edit_prompt(self, text: str) -> None:
        """Write the prompt in your own editor."""
        file = self._services.paths.scratch_dir / "prompt.md"

        def write() -> None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                file.unlink(missing_ok=True)
                file.touch(mode=0o600)
                file.write_text(text, encoding="utf-8")
            except OSError as error:
                raise RagchatError(f"{file} cannot be written: {error.strerror}.") from error

        def take() -> None:
            try:
                written = file.read_text(encoding="utf-8", errors="replace")
                file.unlink()
            except OSError:
                return  # what stands in the prompt stays
            self._screen.pane.prompt.put(clean(written).rstrip("\n"))
            self._screen.pane.prompt.focus()

        target = messages.EditTargetReady(file, text.count("\n") + 1, "", then=take)
        self.in_worker("writing the prompt", write, lambda _: self._screen.app.post_message(target))

    def templates(self, name: str = "") -> None:
        """Fill in a template; the prompt takes what comes of it."""
        from ragchat.session.templates import named
        from ragchat.tui.screens.templates import FillTemplate, TemplatePicker

        prompt = self._screen.pane.prompt

        def show(found: tuple[list[Template], list[WrongFile]]) -> None:
            if not self.free:
                return
            template = named(found[0], name) if name else None
            if template is not None and template.fields:
                self._screen.app.push_screen(FillTemplate(template), filled)
            elif template is not None:
                filled(template.text)
            else:
                folder = str(self._services.paths.templates_dir)
                self._screen.app.push_screen(TemplatePicker(*found, folder=folder), filled)

        def filled(text: str | None) -> None:
            if text is not None:
                prompt.put(f"{prompt.text}\n{text}" if prompt.text else text)
                prompt.focus()

        self.in_worker("reading the templates", self._services.templates, show)

    # --- files --------------------------------------------------------------------------------------

    def export(self, path: str = "") -> None:
        """Write this chat, or all of them, to a file."""
        from ragchat.session.exporting import file_stem
        from ragchat.tui.screens.export import ExportChats

        if not self.free:
            return
        number = self._screen.pane.conversation_id
        here = next((chat for chat in self._screen.chats if chat.id == number), None)
        window = ExportChats(self._services, number, file_stem(here) if here else "chats", path=path)
        self._screen.app.push_screen(window, self._say)

    def import_chats(self, path: str = "") -> None:
        """Read chats from a file of this or another program."""
        from ragchat.tui.screens.export import ImportChats

        if self.free:
            self._screen.app.push_screen(ImportChats(self._services, path=path), self._list_again)

    def _list_again(self, came_in: bool | None) -> None:
        if came_in:
            self._screen.change_chats("listing the chats", lambda _: None)

    def _say(self, sentence: str | None) -> None:
        if sentence:
            self._screen.notify(sentence, timeout=6, markup=False)

    # --- a chat's own things ------------------------------------------------------------------------

    def rename(self, conversation: Conversation) -> None:
        """Give a chat another title."""
        from ragchat.tui.screens.ask_line import AskLine

        def renamed(title: str | None) -> None:
            if title:
                self._screen.change_chats(
                    "renaming a chat", lambda store: store.rename(conversation.id, title)
                )

        self._screen.app.push_screen(AskLine("Rename this chat", conversation.title), renamed)

    def tag(self, conversation: Conversation) -> None:
        """Give a chat tags, in place of those that it has."""
        from ragchat.tui.screens.tags import AskTags

        def tagged(tags: tuple[str, ...] | None) -> None:
            if tags is not None:
                self._screen.change_chats(
                    "tagging a chat", lambda store: store.set_tags(conversation.id, tags)
                )

        known = sorted({tag for chat in self._screen.chats for tag in chat.tags})
        self._screen.app.push_screen(AskTags(conversation.tags, known=known), tagged)

    def chat_options(self) -> None:
        """What this chat does otherwise than the settings."""
        from ragchat.tui.screens.chat_options import ChatOptionsScreen, Usual

        pane, services = self._screen.pane, self._services

        def read(store: ChatStore) -> tuple[Usual, list[str], list[tuple[str, ChatOptions]]]:
            defaults = services.ask_options()
            usual = Usual(
                pane.default_model or services.model.selected,
                services.documents.asked_by_default(),
                defaults.instructions,
                defaults.strict,
                defaults.thinking,
                defaults.sampling,
                services.preferences.settings.model.read_ahead,
            )
            models = [
                choice.name for choice in services.models.choices() if choice.installed and not choice.problem
            ]
            return usual, models, store.presets()

        def show(found: tuple[Usual, list[str], list[tuple[str, ChatOptions]]]) -> None:
            usual, models, presets = found
            if self.free:
                window = ChatOptionsScreen(
                    pane.options,
                    usual=usual,
                    models=models,
                    presets=presets,
                    save_preset=self._save_preset,
                    delete_preset=self._delete_preset,
                )
                self._screen.app.push_screen(window, chosen)

        def chosen(options: ChatOptions | None) -> None:
            if options is not None:
                self._screen.set_options(options)

        self.with_chats("reading the settings", read, show)

    def _save_preset(self, name: str, options: ChatOptions) -> None:
        self._screen.change_chats("keeping a preset", lambda store: store.save_preset(name, options))

    def _delete_preset(self, name: str) -> None:
        self._screen.change_chats("deleting a preset", lambda store: store.delete_preset(name))
