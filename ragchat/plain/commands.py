"""What the slash commands do in the plain chat. Those that need a screen say so; their table is `app/commands.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.app import commands
from ragchat.app.context import cancel_on_interrupt
from ragchat.errors import NotFoundError, UsageError
from ragchat.plain.answers import PlainAnswers
from ragchat.plain.console import source_lines
from ragchat.plain.settings import PlainSettings
from ragchat.text import clean_line

if TYPE_CHECKING:
    from ragchat.app.commands import Kind, Typed
    from ragchat.plain.chat import PlainChat
    from ragchat.types import Conversation, Role, StoredMessage

_ELSEWHERE = {
    "copy": "There is no clipboard here: the answer stands above, and /export writes it to a file.",
    "jobs": "Nothing runs in the background here. `ragchat kb sync` and `ragchat model pull` work in another terminal.",
    "settings": "`ragchat config show` lists the settings, `ragchat config set KEY VALUE` changes one.",
    "theme": "There are no colours here.",
}
_CHATS_LISTED = 20
_HITS = 5


class PlainCommands:
    """`ended`: the person wants to leave."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._console = chat, chat.console
        self._chats, self._services = chat.chats, chat.services
        self._undo: list[Callable[[], object]] = []
        self._settings = settings = PlainSettings(chat)
        answers = PlainAnswers(chat)
        self.ended = False
        self._doing: dict[str, Callable[[Typed], object]] = {
            "help": self._help,
            "new": self._new,
            "chats": self._list,
            "open": self._open,
            "find": self._find,
            "search": settings.search,
            "attach": settings.attach,
            "model": settings.model,
            "adapter": settings.adapter,
            "kb": settings.knowledge,
            "system": settings.system,
            "set": settings.set,
            "strict": settings.strict,
            "think": settings.think,
            "preset": settings.preset,
            "template": settings.template,
            "export": self._export,
            "import": self._import,
            "retry": self._retry,
            "edit": self._edit,
            "continue": self._continue,
            "fork": self._fork,
            "delete": self._delete,
            "undo": self._take_back,
            "good": lambda typed: self._rate(1),
            "bad": lambda typed: self._rate(-1),
            "correct": self._correct,
            "question": self._question,
            "prompt": self._prompt,
            "replay": lambda typed: answers.replay(self._last()),
            "compare": answers.compare,
            "summarise": answers.summarise,
            "compact": answers.compact,
            "title": self._title,
            "tag": self._tag,
            "pin": self._pin,
            "sources": self._sources,
            "quit": self._quit,
        }

    def run(self, typed: Typed) -> None:
        """Do what was typed, then ask what stands below it. Raises RagchatError."""
        if typed.command in _ELSEWHERE:
            self._console.note(_ELSEWHERE[typed.command])
        else:
            self._doing[typed.command](typed)
        if typed.rest.strip():
            self._chat.ask(typed.rest)

    def candidates(self, kind: Kind, begun: str) -> Sequence[str]:
        """Names that an argument of this kind may be."""
        match kind:
            case "path":
                from ragchat.app.typed_paths import paths_from

                return paths_from(begun)
            case "model":
                return self._settings.model_names()
            case "adapter":
                return self._settings.adapter_names()
            case "knowledge base":
                return [status.name for status in self._services.knowledge_bases()]
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
            self._console.say('A line that ends in \\ goes on in the next; """ begins and ends a block.')

    # --- chats --------------------------------------------------------------------------------------

    def _new(self, typed: Typed) -> None:
        self._enter(None)
        self._console.note("A new chat.")

    def _enter(self, conversation: Conversation | None) -> None:
        self._chat.conversation_id = conversation.id if conversation else 0
        self._chat.options = conversation.options if conversation else self._chat.services.new_chat

    def _list(self, typed: Typed) -> None:
        listed = self._chats.conversations(_CHATS_LISTED)
        for chat in listed:
            marks = [*(["pinned"] if chat.pinned else []), *chat.tags]
            marked = f" ({', '.join(marks)})" if marks else ""
            self._console.say(clean_line(f"{chat.id}: {chat.title}{marked}, {chat.updated_at[:10]}"))
        self._console.note("/open NUMBER goes on with one." if listed else "There is no chat yet.")

    def _open(self, typed: Typed) -> None:
        wanted = typed.argument.casefold()
        chats = self._chats.conversations(10_000)
        found = [chat for chat in chats if wanted == str(chat.id)]
        found = found or [chat for chat in chats if wanted and wanted in clean_line(chat.title).casefold()]
        if not found:
            raise NotFoundError(
                f"No chat is called {typed.argument!r}." if wanted else "Say which: /open NUMBER.",
                "/chats lists the chats, /find searches what was said in them.",
            )
        self._enter(found[0])
        messages = self._chats.messages(found[0].id)
        self._console.note(f"{found[0].title}: {len(messages)} messages.")
        for message in messages[-2:]:
            self._console.say(f"{'You' if message.role == 'user' else 'Answer'}: {message.content.strip()}")

    def _find(self, typed: Typed) -> None:
        hits = self._chats.search(typed.argument, _CHATS_LISTED) if typed.argument else []
        for hit in hits:
            self._console.say(clean_line(f"{hit.conversation_id}: {hit.title}: {hit.snippet}"))
        self._console.note("/open NUMBER goes on with one." if hits else "Nothing was found in the chats.")

    def _fork(self, typed: Typed) -> None:
        self._enter(self._chats.fork(self._here().id, self._last().id))
        self._console.note("A new chat with what was said so far; the old one stays as it is.")

    def _delete(self, typed: Typed) -> None:
        if typed.argument not in ("", "turn", "chat"):
            raise UsageError("/delete turn or /delete chat.")
        if typed.argument == "chat":
            here = self._here()
            self._chats.delete(here.id)
            self._enter(None)
            self._undo.append(lambda: self._undelete(here))
        else:
            question = self._chats.delete_turn(self._last("user").id)
            self._undo.append(lambda: self._chats.undelete_turn(question))
        self._console.note("Deleted. /undo brings it back.")

    def _undelete(self, conversation: Conversation) -> None:
        self._chats.undelete(conversation.id)
        self._enter(conversation)

    def _take_back(self, typed: Typed) -> None:
        if not self._undo:
            raise UsageError("Nothing was deleted here.")
        self._undo.pop()()
        self._console.note("It is back.")

    def _export(self, typed: Typed) -> None:
        from ragchat.session.exporting import TargetExistsError, file_stem, format_of, write_export

        portable = self._chats.portable(self._here().id)
        target = Path(typed.argument or f"{file_stem(portable)}.md").expanduser()
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
            raise UsageError("Say which file: /import FILE.")
        incoming = read_file(Path(typed.argument).expanduser())
        with cancel_on_interrupt() as cancel:
            taken = take_in(self._chats, incoming.chats, cancel=cancel)
        self._console.note(summary(incoming, taken))
        for one in incoming.rejected[:_CHATS_LISTED]:
            self._console.note(f"{one.where}: {one.reason}")

    def _title(self, typed: Typed) -> None:
        here = self._here()
        if typed.argument:
            self._chats.rename(here.id, clean_line(typed.argument, limit=200))
        self._console.note(f"This chat is called: {self._here().title}")

    def _tag(self, typed: Typed) -> None:
        here = self._here()
        off = {word[1:] for word in typed.words if word.startswith("-")}
        on = [word.lstrip("#") for word in typed.words if not word.startswith("-")]
        if typed.words:
            self._chats.set_tags(here.id, [tag for tag in (*here.tags, *on) if tag not in off])
        self._console.note(f"Tags: {', '.join(self._here().tags) or 'none'}.")

    def _pin(self, typed: Typed) -> None:
        here = self._here()
        self._chats.set_pinned(here.id, not here.pinned)
        self._console.note("No longer pinned." if here.pinned else "Pinned: it stays on top of the list.")

    def _here(self) -> Conversation:
        if not self._chat.conversation_id:
            raise UsageError("This chat is empty, so it is not stored yet.", "Ask something first.")
        return self._chats.conversation(self._chat.conversation_id)

    # --- the last turn ------------------------------------------------------------------------------

    def _last(self, role: Role = "assistant") -> StoredMessage:
        number = self._chat.conversation_id
        messages = [one for one in self._chats.messages(number) if one.role == role] if number else []
        if not messages:
            raise UsageError("There is nothing in this chat yet.", "Ask something first.")
        return messages[-1]

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
            self._console.note(f"It was: {question.content}")
            text = self._console.read_text() or ""
        if text.strip():
            self._chat.ask(text, parent_id=question.parent_id)

    def _rate(self, rating: int) -> None:
        self._chats.rate(self._last().id, rating)
        self._console.note(
            "Rated good." if rating > 0 else "Rated bad. /correct says what it should have been."
        )

    def _correct(self, typed: Typed) -> None:
        answer = self._last()
        text = typed.argument or self._asked_for("What should it have been?")
        if text:
            self._chats.correct(answer.id, text)
            self._console.note("Kept beside the answer.")

    def _question(self, typed: Typed) -> None:
        question, answer = self._last("user"), self._last()
        expected = typed.argument or answer.correction or self._asked_for("What is the right answer?")
        if not expected:
            return
        cited = [citation for citation in self._chats.citations(answer.id) if citation.used]
        self._chats.add_evaluation_question(
            question.content,
            [expected],
            source=cited[0].hit.path if cited else "",
            quote=cited[0].quote if cited else "",
            message_id=answer.id,
        )
        source = f" Its source: {cited[0].hit.path}." if cited else ""
        self._console.note(f"Kept for measuring.{source}")

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
            raise NotFoundError("What the last answer was made from is not recorded.")
        for message in generation.prompt:
            self._console.say(f"{message.role}:\n{message.content}\n")
        self._say_parts(
            [(part.name, part.tokens) for part in generation.parts], generation.n_ctx, generation.left_out
        )

    def _say_parts(self, parts: Sequence[tuple[str, int]], n_ctx: int, left_out: Sequence[str]) -> None:
        if parts:
            listed = ", ".join(f"{name} {tokens}" for name, tokens in parts)
            self._console.note(f"{listed}: {sum(tokens for _, tokens in parts)} of {n_ctx} tokens.")
        for sentence in left_out:
            self._console.note(sentence)

    def _sources(self, typed: Typed) -> None:
        citations = self._chats.citations(self._last().id)
        for line in source_lines(citations, whole_path=True):
            self._console.say(line)
        if not any(citation.used for citation in citations):
            self._console.note("The last answer cites no source.")
