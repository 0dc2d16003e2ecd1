"""What the slash commands do in the screen. Those about a chat are done by `app/open_chat.py`; `app/commands.py` lists all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragchat.app import open_chat
from ragchat.errors import RagchatError
from ragchat.text import clean_line
from ragchat.tui.widgets.message import AnswerView, QuestionView
from ragchat.tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ragchat.app.commands import Kind, Typed
    from ragchat.tui.answer_windows import AnswerWindows
    from ragchat.tui.chat_windows import Windows
    from ragchat.tui.screens.chat_frame import ChatFrame

_REQUESTS = {
    "retry": "regenerate",
    "continue": "continue",
    "prompt": "prompt",
    "replay": "replay",
    "check": "check",
}
"""Commands that do what a key of the transcript does with the last answer."""


class SlashCommands:
    """Belongs to the chat's screen."""

    def __init__(self, screen: ChatFrame, windows: Windows, answers: AnswerWindows) -> None:
        self._screen, self._answers = screen, answers
        self._doing: dict[str, Callable[[Typed], object]] = {
            **dict.fromkeys(("help", "quit", "jobs", "settings"), self._do_in_app),
            **dict.fromkeys(("retry", "continue", "replay", "check"), self._request),
            "new": lambda _: screen.open_chat(0),
            "chats": lambda _: screen.action_toggle_list(),
            "find": lambda typed: windows.find_chats(typed.argument),
            "attach": lambda typed: screen.pane.attach(typed.argument),
            "search": lambda typed: windows.search(typed.argument),
            "template": lambda typed: windows.templates(typed.argument),
            "export": lambda typed: windows.export(typed.argument),
            "import": lambda typed: windows.import_chats(typed.argument),
            "compare": lambda typed: answers.compare(typed.argument),
            "summarise": lambda typed: answers.summarise(typed.argument),
            "compact": lambda typed: answers.compact(undo=typed.argument == "undo"),
            "edit": self._edit,
            "prompt": self._prompt,
            "copy": self._copy,
            "sources": lambda _: screen.action_toggle_sources(),
            "theme": self._theme,
        }

    def candidates(self, kind: Kind, begun: str) -> Sequence[str]:
        """Names that an argument of this kind may be."""
        screen = self._screen
        match kind:
            case "model":
                return screen.names.models
            case "adapter":
                return screen.names.adapters
            case "knowledge base":
                return screen.knowledge_names
            case "preset":
                return screen.names.presets
            case "template":
                return screen.names.templates
            case "tag":
                return screen.names.tags
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

        def put_back() -> None:
            if prompt.text == typed.rest:
                prompt.put(written)

        if typed.command in open_chat.COMMANDS:
            self._change(typed, put_back)
            return
        try:
            self._doing[typed.command](typed)
        except RagchatError as error:
            put_back()
            self._say(f"{error} {error.remedy}".strip())

    def _change(self, typed: Typed, refused: Callable[[], object]) -> None:
        selected = self._screen.pane.transcript.selected
        self._screen.pane.changes.do(
            f"/{typed.command}",
            lambda chat: chat.run(typed),
            about=selected.message_id if selected is not None else 0,
            refused=refused,
        )

    def _say(self, sentence: str) -> None:
        self._screen.notify(sentence, timeout=5, markup=False)

    def _do_in_app(self, typed: Typed) -> None:
        self._screen.call_later(self._screen.app.run_action, f"app.{typed.command}")

    def _prompt(self, typed: Typed) -> None:
        if typed.argument:
            self._answers.next_prompt(typed.argument)
        else:
            self._request(typed)

    def _copy(self, _: Typed) -> None:
        answer = self._last(AnswerView)
        self._screen.post_message(Transcript.Copied(answer.copied, "The answer"))

    def _edit(self, typed: Typed) -> None:
        self._screen.pane.turns.edit(self._last(QuestionView), typed.argument)

    # --- the last turn ------------------------------------------------------------------------------

    def _last(self, kind: type[AnswerView] | type[QuestionView]) -> AnswerView | QuestionView:
        transcript = self._screen.pane.transcript
        views = [view for view in transcript.views if isinstance(view, kind) and view.message_id]
        if isinstance(transcript.selected, kind) and transcript.selected.message_id:
            return transcript.selected
        if not views:
            raise RagchatError("This chat is empty.", "Ask a question first.")
        return views[-1]

    def _request(self, typed: Typed) -> None:
        action = _REQUESTS[typed.command]
        self._screen.pane.transcript.post_message(Transcript.Requested(action, self._last(AnswerView)))

    def _theme(self, typed: Typed) -> None:
        app, argument = self._screen.app, typed.argument
        if not argument:
            app.action_change_theme()
        elif argument in app.available_themes:
            app.theme = argument
        else:
            raise RagchatError(f"There is no theme called {argument!r}.", "`/theme` lists all themes.")
