"""What the slash commands do in the screen: each stands for an action that has a key, too. Their table is `app/commands.py`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ragchat.app import commands
from ragchat.errors import RagchatError
from ragchat.text import clean_line
from ragchat.tui.widgets.message import AnswerView, QuestionView
from ragchat.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragchat.app.commands import Kind, Typed
    from ragchat.app.services import Services
    from ragchat.tui.screens.chat import ChatScreen
    from ragchat.types import ChatOptions, Conversation

_REQUESTS = {
    "retry": "regenerate",
    "continue": "continue",
    "good": "rate_good",
    "bad": "rate_bad",
    "prompt": "prompt",
    "replay": "replay",
}
"""Commands that are requests about the last answer."""


class SlashCommands:
    """Belongs to the chat's screen. Names for completion are kept at hand, for they are asked for at every key."""

    def __init__(self, screen: ChatScreen, services: Services) -> None:
        self._screen, self._services = screen, services
        self.models: Sequence[str] = ()
        self.adapters: Sequence[str] = ()
        self.presets: dict[str, ChatOptions] = {}
        self.tags: Sequence[str] = ()
        self.templates: Sequence[str] = ()

    def candidates(self, kind: Kind, begun: str) -> Sequence[str]:
        """Names that an argument of this kind may be."""
        screen = self._screen
        match kind:
            case "model":
                return self.models
            case "adapter":
                return self.adapters
            case "knowledge base":
                return screen.knowledge_names
            case "preset":
                return list(self.presets)
            case "template":
                return self.templates
            case "tag":
                return self.tags
            case "theme":
                return sorted(screen.app.available_themes)
            case "chat":
                return [clean_line(chat.title, limit=60) for chat in screen.chats[:200]]
            case _:
                return ()

    def run(self, typed: Typed) -> None:
        """Do what was typed. What is wrong with it is said, and stays in the prompt."""
        prompt = self._screen.pane.prompt
        written = prompt.text
        prompt.put(typed.rest)
        try:
            self._run(typed)
        except RagchatError as error:
            if prompt.text == typed.rest:
                prompt.put(written)
            self._say(f"{error} {error.remedy}".strip())

    def _say(self, sentence: str) -> None:
        self._screen.notify(sentence, timeout=5, markup=False)

    def _run(self, typed: Typed) -> None:
        screen, windows, argument = self._screen, self._screen.windows, typed.argument
        pane = screen.pane
        match typed.command:
            case "help" | "quit" | "jobs" | "settings":
                screen.call_later(screen.app.run_action, f"app.{typed.command}")
            case "new":
                screen.action_new_chat()
            case "chats":
                screen.action_toggle_list()
            case "open":
                screen.open_chat(self._chat(argument).id)
            case "find":
                windows.find_chats(argument)
            case "attach":
                pane.attach(argument)
            case "search":
                windows.search(argument)
            case "model":
                self._model(argument)
            case "adapter":
                self._adapter(typed)
            case "kb":
                self._knowledge(typed)
            case "system":
                self._system(argument)
            case "set":
                screen.set_options(commands.with_options(pane.options, argument))
                self._say(f"This chat: {argument}.")
            case "strict" | "think":
                self._switch(typed.command, argument)
            case "preset":
                self._preset(typed)
            case "template":
                windows.templates(argument)
            case "export":
                windows.export(argument)
            case "import":
                windows.import_chats(argument)
            case "compare":
                screen.answers.compare(argument)
            case "edit" | "correct" | "question":
                self._about_last(typed.command, argument)
            case "prompt" if argument:
                screen.answers.next_prompt(argument)
            case command if command in _REQUESTS:
                self._request(_REQUESTS[command], self._last(AnswerView))
            case "fork":
                self._request("fork", self._last(AnswerView))
            case "delete":
                if argument == "chat":
                    screen.delete_chat(self._here())
                else:
                    self._request("delete_turn", self._last(QuestionView))
            case "undo":
                if not pane.turns.undo() and not screen.undelete_chat():
                    self._say("Nothing was deleted since ragchat was opened.")
            case "summarise":
                screen.answers.summarise(argument)
            case "compact":
                screen.answers.compact(undo=argument == "undo")
            case "title":
                self._title(argument)
            case "tag":
                self._tag(typed)
            case "pin":
                chat = self._here()
                screen.change_chats("pinning", lambda store: store.set_pinned(chat.id, not chat.pinned))
                self._say("No longer pinned." if chat.pinned else "Pinned: it stays on top of the list.")
            case "copy":
                screen.post_message(Transcript.Copied(self._last(AnswerView).plain_text, "The answer"))
            case "sources":
                screen.action_toggle_sources()
            case "theme":
                self._theme(argument)

    # --- the last turn ------------------------------------------------------------------------------

    def _last(self, kind: type[AnswerView] | type[QuestionView]) -> AnswerView | QuestionView:
        transcript = self._screen.pane.transcript
        views = [view for view in transcript.views if isinstance(view, kind) and view.message_id]
        if isinstance(transcript.selected, kind) and transcript.selected.message_id:
            return transcript.selected
        if not views:
            raise RagchatError("There is nothing in this chat yet.", "Ask something first.")
        return views[-1]

    def _request(self, action: str, view: AnswerView | QuestionView) -> None:
        self._screen.pane.transcript.post_message(Transcript.Requested(action, view))

    def _about_last(self, command: str, argument: str) -> None:
        view = self._last(QuestionView if command == "edit" else AnswerView)
        self._screen.pane.turns.about(command, view, argument)

    # --- this chat ----------------------------------------------------------------------------------

    def _here(self) -> Conversation:
        conversation = self._screen.pane.conversation
        number = self._screen.pane.conversation_id
        listed = next((chat for chat in self._screen.chats if chat.id == number), conversation)
        if not number or listed is None:
            raise RagchatError("This chat is empty, so it is not stored yet.", "Ask something first.")
        return listed

    def _chat(self, argument: str) -> Conversation:
        chats = self._screen.chats
        wanted = argument.casefold()
        found = [chat for chat in chats if argument == str(chat.id)]
        found = found or [chat for chat in chats if clean_line(chat.title, limit=60).casefold() == wanted]
        found = found or [chat for chat in chats if wanted and wanted in chat.title.casefold()]
        if not found:
            raise RagchatError(f"No chat is called “{argument}”.", "F7 searches what was said in them.")
        return found[0]

    def _title(self, argument: str) -> None:
        chat = self._here()
        if argument:
            title = clean_line(argument, limit=200)
            self._screen.change_chats("renaming a chat", lambda store: store.rename(chat.id, title))
        else:
            self._screen.windows.rename(chat)

    def _tag(self, typed: Typed) -> None:
        chat = self._here()
        if not typed.words:
            self._screen.windows.tag(chat)
            return
        off = {word[1:] for word in typed.words if word.startswith("-")}
        on = [word.lstrip("#") for word in typed.words if not word.startswith("-")]
        tags = [tag for tag in (*chat.tags, *on) if tag not in off]
        self._screen.change_chats("tagging a chat", lambda store: store.set_tags(chat.id, tags))
        self._say(f"Tags: {', '.join(dict.fromkeys(tags)) or 'none'}.")

    # --- options ------------------------------------------------------------------------------------

    def _options(self, **changes: object) -> None:
        options = self._screen.pane.options
        self._screen.set_options(replace(options, **changes, preset=""))  # type: ignore[arg-type]

    def _model(self, argument: str) -> None:
        if not argument:
            self._screen.windows.chat_options()
            return
        if argument not in self.models and argument != "default":
            raise RagchatError(f"No model called {argument!r} is installed.", "F2 shows those there are.")
        self._options(model="" if argument == "default" else argument)
        self._say(f"This chat is answered by {argument}.")

    def _adapter(self, typed: Typed) -> None:
        if not typed.words:
            self._screen.action_adapters()
            return
        self._screen.use_adapters(commands.adapters(typed, self.adapters))

    def _knowledge(self, typed: Typed) -> None:
        if not typed.words:
            self._screen.action_choose_knowledge()
            return
        names = typed.words
        if unknown := [
            name for name in names if name not in (*self._screen.knowledge_names, "default", "none")
        ]:
            raise RagchatError(f"There is no knowledge base {unknown[0]!r}.", "F3 shows those there are.")
        if "default" in names:
            self._options(knowledge_bases=None)
        else:
            self._options(knowledge_bases=tuple(name for name in names if name != "none"))

    def _system(self, argument: str) -> None:
        if not argument:
            self._screen.windows.chat_options()
            return
        self._options(system_prompt=None if argument == "default" else argument)
        said = "The usual instructions." if argument == "default" else "This chat has its own instructions."
        self._say(f"{said} F8 shows them.")

    def _switch(self, command: str, argument: str) -> None:
        name = "strict" if command == "strict" else "thinking"
        if argument not in ("", "on", "off", "default"):
            raise RagchatError(f"{command} is on, off or default, not {argument!r}.")
        now = getattr(self._screen.pane.options, name)
        wanted = {"on": True, "off": False, "default": None}.get(argument, not now)
        self._options(**{name: wanted})
        on = "on: only answers from the documents" if command == "strict" else "on, if the model can"
        said = {True: on, False: "off", None: "as in the settings"}[wanted]
        self._say(f"{'Strict' if command == 'strict' else 'Thinking'} is {said}.")

    def _preset(self, typed: Typed) -> None:
        what, name = (typed.words[0], " ".join(typed.words[1:])) if typed.words else ("", "")
        if what == "save" and name:
            options = self._screen.pane.options
            self._screen.change_chats("keeping a preset", lambda store: store.save_preset(name, options))
            self.presets[name] = replace(options, preset=name)
            self._say(f"Kept as “{clean_line(name)}”.")
        elif what in ("use", "delete") and name not in self.presets:
            raise RagchatError(
                f"There is no preset {name!r}.", f"There are: {', '.join(self.presets) or 'none'}."
            )
        elif what == "use":
            self._screen.set_options(replace(self.presets[name], preset=name))
            self._say(f"This chat uses “{clean_line(name)}” now.")
        elif what == "delete":
            self.presets.pop(name)
            self._screen.change_chats("deleting a preset", lambda store: store.delete_preset(name))
        else:
            self._screen.windows.chat_options()

    def _theme(self, argument: str) -> None:
        app = self._screen.app
        if not argument:
            app.action_change_theme()
        elif argument in app.available_themes:
            app.theme = argument
        else:
            raise RagchatError(f"There is no theme {argument!r}.", "`/theme` alone shows all of them.")
