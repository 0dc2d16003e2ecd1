"""What the slash commands do in the plain chat. Those that need a screen say so; their table is `app/commands.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ragchat.app import commands, open_chat
from ragchat.app.context import cancel_on_interrupt
from ragchat.app.open_chat import Change, Deletions, NeedsInput, OpenChat, Outcome
from ragchat.app.typed_paths import existing_path, typed_path
from ragchat.errors import NotFoundError, UsageError
from ragchat.plain.answers import PlainAnswers
from ragchat.plain.console import check_text, quotes_text, source_lines
from ragchat.plain.settings import PlainSettings
from ragchat.session.chat_lines import said_text
from ragchat.session.marked import WORDS, Style
from ragchat.text import clean_line, counted

if TYPE_CHECKING:
    from ragchat.app.commands import Kind, Typed
    from ragchat.plain.chat import PlainChat
    from ragchat.types import Conversation, Omission, Role, StoredMessage

_ELSEWHERE = {
    "copy": "There is no clipboard here. The answer is above, and /export writes it to a file.",
    "jobs": "Nothing runs in the background here. Use `ragchat kb sync` and `ragchat model pull` in another terminal.",
    "settings": "`ragchat config show` lists the settings. `ragchat config set KEY VALUE` changes one.",
    "theme": "There are no colours here.",
}
_CHATS_LISTED = 20
_HITS = 5


class PlainCommands:
    """`ended`: the user wants to leave."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._console = chat, chat.console
        self._chats, self._services = chat.chats, chat.services
        self._deletions = Deletions()
        self._settings = settings = PlainSettings(chat)
        answers = PlainAnswers(chat)
        self.ended = False
        self._doing: dict[str, Callable[[Typed], object]] = {
            "help": self._help,
            "new": self._new,
            "chats": self._list,
            "find": self._find,
            "search": settings.search,
            "attach": settings.attach,
            "template": settings.template,
            "export": self._export,
            "import": self._import,
            "retry": self._retry,
            "edit": self._edit,
            "continue": self._continue,
            "prompt": self._prompt,
            "replay": lambda typed: answers.replay(self._last()),
            "compare": answers.compare,
            "summarise": answers.summarise,
            "compact": answers.compact,
            "sources": self._sources,
            "check": self._check,
            "quit": self._quit,
        }

    def run(self, typed: Typed) -> None:
        """Do what was typed, then ask what is below it. Raises RagchatError."""
        if typed.command in _ELSEWHERE:
            self._console.note(_ELSEWHERE[typed.command])
        elif typed.command in open_chat.COMMANDS:
            self._change(self._open_chat().run(typed))
        else:
            self._doing[typed.command](typed)
        if typed.rest.strip():
            self._chat.ask(typed.rest)

    def _open_chat(self) -> OpenChat:
        chat = self._chat
        return OpenChat(self._services, self._chats, chat.conversation_id, chat.options, self._deletions)

    def _change(self, came: Outcome | NeedsInput) -> None:
        """Follow what a command did, or ask for what it needs."""
        if isinstance(came, NeedsInput):
            self._ask_for(came)
            return
        if came.options is not None:
            self._chat.options = came.options
        match came.change:
            case Change.OPENED | Change.FORKED | Change.CHAT_RESTORED:
                self._enter(came.conversation)
            case Change.CHAT_DELETED:
                self._enter(None)
        if came.change == Change.OPENED and came.conversation:
            self._say_end(came.conversation)
        if came.sentence:
            self._console.note(came.sentence)

    def _ask_for(self, needed: NeedsInput) -> None:
        if needed.what == "correction":
            if text := self._asked_for("What should it have been?"):
                self._change(self._open_chat().keep_correction(needed.message_id, text))
        elif needed.what == "answer":
            if text := self._last().correction or self._asked_for("What is the right answer?"):
                self._change(self._open_chat().question(text))
        else:
            self._settings.tell(needed)

    def _say_end(self, conversation: Conversation) -> None:
        messages = self._chats.messages(conversation.id)
        self._console.note(f"{conversation.title}: {counted(len(messages), 'message')}.")
        for message in messages[-2:]:
            if message.quotes:
                self._console.say(quotes_text(message.quotes))
            text = said_text(message, Style(WORDS)).strip()
            self._console.say(f"{'You' if message.role == 'user' else 'Answer'}: {text}")

    def candidates(self, kind: Kind, begun: str) -> Sequence[str]:
        """Names that an argument of this kind may be."""
        match kind:
            case "path":
                from ragchat.app.typed_paths import paths_from

                return paths_from(begun)
            case "model":
                return self._settings.model_names
            case "adapter":
                return self._services.models.adapter_names(self._chat.options.model)
            case "knowledge base":
                return self._services.documents.names()
            case "preset":
                return [name for name, _ in self._chats.presets()]
            case "template":
                return [template.name for template in self._services.templates()[0]]
            case "tag":
                return [name for name, _ in self._chats.tags()]
            case "chat":
                return [clean_line(chat.title, limit=60) for chat in self._chats.conversations(200)]
            case _:
                return ()

    def _quit(self, typed: Typed) -> None:
        self.ended = True

    def _help(self, typed: Typed) -> None:
        command = commands.find(typed.argument.lstrip("/")) if typed.argument else None
        for one in [command] if command else commands.COMMANDS:
            where = " (not in the plain chat)" if one.name in _ELSEWHERE else ""
            self._console.say(f"/{one.name} {one.argument}".rstrip() + f": {one.meaning}{where}")
        if not command:
            self._console.say(
                'End a line with \\ to continue on the next line. Begin and end a block with """.'
            )

    # --- chats --------------------------------------------------------------------------------------

    def _new(self, typed: Typed) -> None:
        self._enter(None)
        self._console.note("New chat.")

    def _enter(self, conversation: Conversation | None) -> None:
        self._chat.conversation_id = conversation.id if conversation else 0
        self._chat.options = conversation.options if conversation else self._chat.services.new_chat

    def _list(self, typed: Typed) -> None:
        listed = self._chats.conversations(_CHATS_LISTED)
        for chat in listed:
            marks = [*(["pinned"] if chat.pinned else []), *chat.tags]
            marked = f" ({', '.join(marks)})" if marks else ""
            self._console.say(clean_line(f"{chat.id}: {chat.title}{marked}, {chat.updated_at[:10]}"))
        self._console.note("Open one with /open NUMBER." if listed else "There are no chats yet.")

    def _find(self, typed: Typed) -> None:
        hits = self._chats.search(typed.argument, _CHATS_LISTED) if typed.argument else []
        for hit in hits:
            self._console.say(clean_line(f"{hit.conversation_id}: {hit.title}: {hit.snippet}"))
        self._console.note("Open one with /open NUMBER." if hits else "No messages found.")

    def _export(self, typed: Typed) -> None:
        from ragchat.session.exporting import TargetExistsError, file_stem, format_of, write_export

        portable = self._chats.portable(self._open_chat().here().id)
        target = typed_path(typed.argument or f"{file_stem(portable)}.md")
        format_ = format_of(target) or "markdown"
        try:
            written = write_export([portable], format_, target)
        except TargetExistsError:
            if not self._console.interactive or not self._console.confirm(
                f"Overwrite {clean_line(str(target))}?"
            ):
                raise
            written = write_export([portable], format_, target, overwrite=True)
        self._console.note(f"Written to {written.files[0].absolute()}.")

    def _import(self, typed: Typed) -> None:
        from ragchat.session.importing import read_file, summary, take_in

        if not typed.argument:
            raise UsageError("Type the path of a file: /import FILE.")
        incoming = read_file(existing_path(typed.argument))
        with cancel_on_interrupt() as cancel:
            taken = take_in(self._chats, incoming.chats, cancel=cancel)
        self._console.note(summary(incoming, taken))
        for one in incoming.rejected[:_CHATS_LISTED]:
            self._console.note(f"{one.where}: {one.reason}")

    # --- the last turn ------------------------------------------------------------------------------

    def _last(self, role: Role = "assistant") -> StoredMessage:
        return self._open_chat().last(role)

    def _retry(self, typed: Typed) -> None:
        answer = self._last().id
        self._chat.answer(lambda session, cancel: session.regenerate(answer, cancel=cancel))

    def _continue(self, typed: Typed) -> None:
        answer = self._last().id
        self._chat.answer(lambda session, cancel: session.continue_answer(answer, cancel=cancel))

    def _edit(self, typed: Typed) -> None:
        question = self._last("user")
        text = typed.argument
        if not text:
            self._console.note(f"It was: {question.text}")
            text = self._console.read_text() or ""
        if text.strip():
            self._chat.ask(text, parent_id=question.parent_id)

    def _asked_for(self, question: str) -> str:
        self._console.note(question)
        return (self._console.read_text() or "").strip()

    def _prompt(self, typed: Typed) -> None:
        if typed.argument:
            with (
                self._services.open_session(self._chats, self._chat.options) as session,
                cancel_on_interrupt() as cancel,
            ):
                preview = session.preview(
                    typed.argument,
                    conversation_id=self._chat.conversation_id,
                    files=self._chat.files,
                    cancel=cancel,
                )
            packed = preview.prompt
            self._console.say(preview.rendered)
            self._say_parts(
                [(part.name, part.tokens) for part in packed.parts], packed.n_ctx, packed.left_out
            )
            return
        generation = self._chats.generation(self._last().id)
        if generation is None:
            raise NotFoundError("The inputs of the last answer were not recorded.")
        for message in generation.prompt:
            self._console.say(f"{message.role}:\n{message.content}\n")
        self._say_parts(
            [(part.name, part.tokens) for part in generation.parts], generation.n_ctx, generation.left_out
        )

    def _say_parts(self, parts: Sequence[tuple[str, int]], n_ctx: int, left_out: Sequence[Omission]) -> None:
        if parts:
            listed = ", ".join(f"{name} {tokens}" for name, tokens in parts)
            self._console.note(f"{listed}: {sum(tokens for _, tokens in parts)} of {n_ctx} tokens.")
        for omission in left_out:
            self._console.note(omission.sentence)

    def _sources(self, typed: Typed) -> None:
        answer = self._last()
        lines = source_lines(self._chats.citations(answer.id), answer.check, whole_path=True)
        for line in lines:
            self._console.say(line)
        if not lines:
            self._console.note("The last answer cites no source.")

    def _check(self, typed: Typed) -> None:
        answer = self._last()
        for line in check_text(answer.check, self._chats.citations(answer.id)):
            self._console.say(line)
        self._console.note(
            f"{answer.check.line}."
            if answer.check.statements
            else "The last answer has no statements that were compared with passages."
        )
