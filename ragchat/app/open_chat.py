"""What you can do with the chat that is open. Both front ends run these; none of them needs a screen.

A method reads and changes what is stored and returns what came of it as a value; the front end shows it in its own way. An
`OpenChat` belongs to the thread whose store it was given, and is made for one command.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Literal

from ragchat.app import commands
from ragchat.errors import NotFoundError, UsageError
from ragchat.llm.loading import loaded
from ragchat.text import clean_line
from ragchat.types import AdapterScale, ChatOptions

if TYPE_CHECKING:
    from ragchat.app.commands import Typed
    from ragchat.app.services import Services
    from ragchat.store.chats import ChatStore
    from ragchat.types import Conversation, Role, StoredMessage

MOST_CHATS = 20_000
LONGEST_TITLE = 200
_CAN_GO_ON = ("length", "cancelled", "error")


class Change(Enum):
    """What of the chat, or of the list of chats, is different after a command."""

    NOTHING = auto()
    OPTIONS = auto()
    """`Outcome.options` hold from the next question on."""
    LIST = auto()
    """Title, tags or pin of a chat."""
    PRESETS = auto()
    OPENED = auto()
    """`Outcome.conversation` is to be shown."""
    FORKED = auto()
    """`Outcome.conversation` was made of a branch of this chat, and is to be shown."""
    ANSWER = auto()
    """Rating or correction of `Outcome.message_id`."""
    TURN_DELETED = auto()
    TURN_RESTORED = auto()
    """The question `Outcome.message_id` is back."""
    CHAT_DELETED = auto()
    CHAT_RESTORED = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did, and a sentence that says it."""

    sentence: str = ""
    change: Change = Change.NOTHING
    options: ChatOptions | None = None
    conversation: Conversation | None = None
    message_id: int = 0


Needed = Literal[
    "title",
    "tags",
    "model",
    "adapter",
    "knowledge bases",
    "instructions",
    "sampling",
    "preset",
    "correction",
    "answer",
]


@dataclass(frozen=True, slots=True)
class NeedsInput:
    """A command that was typed without what it needs: the front end asks for it. `text` is what to begin with."""

    what: Needed
    text: str = ""
    message_id: int = 0


@dataclass(frozen=True, slots=True)
class Deletion:
    """A question with its answers, or (`question_id` 0) a whole chat."""

    chat_id: int
    question_id: int = 0


class Deletions:
    """What was deleted since ragchat was opened and can be brought back, the newest last."""

    def __init__(self) -> None:
        self._stack: list[Deletion] = []

    def push(self, deletion: Deletion) -> None:
        """One more that `take` gives."""
        self._stack.append(deletion)

    def take(self, fits: Callable[[Deletion], bool]) -> Deletion | None:
        """The newest that fits, no longer held."""
        found = next((one for one in reversed(self._stack) if fits(one)), None)
        if found:
            self._stack.remove(found)
        return found


def fitting_adapters(before: ChatOptions, after: ChatOptions) -> tuple[ChatOptions, str]:
    """Adapters fit one model: with another model those that were on are off. The options, and a sentence if they changed."""
    if not after.adapters or after.model == before.model or after.adapters != before.adapters:
        return after, ""
    return replace(after, adapters=()), dropped(after.adapters)


def dropped(adapters: Sequence[AdapterScale]) -> str:
    """That adapters of another model are off."""
    return f"{clean_line(AdapterScale.join(adapters))} does not fit this model and is off."


class OpenChat:
    """`conversation_id` 0: nothing is stored yet. `about`: the message that commands are about (0: the last of its kind).

    `answering_in` is the chat in which an answer is being written now (None: in none). All methods raise RagchatError.
    """

    def __init__(
        self,
        services: Services,
        chats: ChatStore,
        conversation_id: int,
        options: ChatOptions,
        deletions: Deletions,
        *,
        about: int = 0,
        answering_in: int | None = None,
    ) -> None:
        self._services, self._chats, self._deletions = services, chats, deletions
        self.conversation_id, self.options = conversation_id, options
        self._about, self._answering_in = about, answering_in

    def run(self, typed: Typed) -> Outcome | NeedsInput:
        """Do a command of `COMMANDS`."""
        return COMMANDS[typed.command](self, typed)

    # --- which chat ---------------------------------------------------------------------------------

    def open(self, typed: Typed) -> Outcome:
        """Find a chat by its number, its title, or a part of its title."""
        wanted = typed.argument.casefold()
        if not wanted:
            raise UsageError("Type the number of a chat: /open NUMBER.", "/chats lists the chats.")
        chats = self._chats.conversations(MOST_CHATS)
        titles = {chat.id: clean_line(chat.title, limit=60).casefold() for chat in chats}
        found = (
            [chat for chat in chats if wanted == str(chat.id)]
            or [chat for chat in chats if wanted == titles[chat.id]]
            or [chat for chat in chats if wanted in titles[chat.id] or wanted in chat.title.casefold()]
        )
        if not found:
            raise NotFoundError(
                f"No chat is called “{clean_line(typed.argument, limit=60)}”.",
                "/chats lists the chats. /find searches their messages.",
            )
        return Outcome("", Change.OPENED, conversation=found[0])

    def here(self) -> Conversation:
        """This chat as it is stored."""
        if not self.conversation_id:
            raise UsageError("This chat is empty, so it is not saved yet.", "Ask a question first.")
        return self._chats.conversation(self.conversation_id)

    def title(self, typed: Typed) -> Outcome | NeedsInput:
        """Name this chat."""
        here = self.here()
        if not typed.argument:
            return NeedsInput("title", here.title)
        self._chats.rename(here.id, clean_line(typed.argument, limit=LONGEST_TITLE))
        return Outcome(f"This chat is called: {self.here().title}", Change.LIST)

    def tag(self, typed: Typed) -> Outcome | NeedsInput:
        """Put tags on this chat; `-NAME` takes one off."""
        here = self.here()
        if not typed.words:
            return NeedsInput("tags", ", ".join(here.tags))
        off = {word[1:] for word in typed.words if word.startswith("-")}
        on = [word.lstrip("#") for word in typed.words if not word.startswith("-")]
        self._chats.set_tags(here.id, [tag for tag in (*here.tags, *on) if tag not in off])
        return Outcome(f"Tags: {', '.join(self.here().tags) or 'none'}.", Change.LIST)

    def pin(self) -> Outcome:
        """Keep this chat on top of the list, or no longer."""
        here = self.here()
        self._chats.set_pinned(here.id, not here.pinned)
        said = "No longer pinned." if here.pinned else "Pinned: this chat is at the top of the list."
        return Outcome(said, Change.LIST)

    def fork(self) -> Outcome:
        """A new chat with what was said up to the message."""
        forked = self._chats.fork(self.here().id, self.last("assistant").id)
        return Outcome(
            "This is a copy of the chat. The old chat is kept.", Change.FORKED, conversation=forked
        )

    # --- what answers -------------------------------------------------------------------------------

    def change_options(self, sentence: str, **changes: object) -> Outcome:
        """Other settings for this chat from the next question on; a preset no longer has them."""
        return self.set_options(replace(self.options, **changes, preset=""), sentence)  # type: ignore[arg-type]

    def set_options(self, options: ChatOptions, sentence: str) -> Outcome:
        """These settings for this chat from the next question on."""
        options, off = fitting_adapters(self.options, options)
        self.options = options
        if self.conversation_id:
            self._chats.set_options(self.conversation_id, options)
        return Outcome(f"{sentence} {off}".strip(), Change.OPTIONS, options=options)

    def model(self, typed: Typed) -> Outcome | NeedsInput:
        """Have this chat answered by another model; `default`: the one of the settings."""
        if not typed.argument:
            return NeedsInput("model", self.options.model)
        chosen = "" if typed.argument == "default" else typed.argument
        if chosen:
            self._services.models.check(chosen)
        return self.change_options(f"This chat now uses {clean_line(typed.argument)}.", model=chosen)

    def adapter(self, typed: Typed) -> Outcome | NeedsInput:
        """Switch adapters on in this chat, or all of them off."""
        if not typed.words:
            return NeedsInput("adapter")
        known = self._services.models.adapter_names(self.options.model)
        return self.use_adapters(commands.adapters(typed, known))

    def use_adapters(self, adapters: Sequence[AdapterScale]) -> Outcome:
        """Switch these on in this chat: at once when the model is idle, else with the next question."""
        named = clean_line(AdapterScale.join(adapters)) or "No adapter"
        model = self._services.model
        if self._answering_in is not None or model.info is None:
            return self.change_options(f"{named} from the next question on.", adapters=tuple(adapters))
        began = time.perf_counter()
        loaded(model, adapters=tuple(adapters))  # one that is refused is neither stored nor shown
        took_ms = 1000 * (time.perf_counter() - began)
        return self.change_options(f"{named} · switched in {took_ms:.0f} ms", adapters=tuple(adapters))

    def knowledge(self, typed: Typed) -> Outcome | NeedsInput:
        """Choose the documents that this chat asks."""
        if not typed.words:
            return NeedsInput("knowledge bases")
        names = self._services.documents.names()
        if unknown := [name for name in typed.words if name not in (*names, "default", "none")]:
            raise NotFoundError(
                f"There is no knowledge base called {unknown[0]!r}.",
                f"Available: {', '.join(names) or 'none'}.",
            )
        chosen = None if "default" in typed.words else tuple(name for name in typed.words if name != "none")
        asked = self._services.documents.asked_by_default() if chosen is None else chosen
        return self.change_options(
            f"Documents of this chat: {', '.join(asked) or 'no documents'}.", knowledge_bases=chosen
        )

    def system(self, typed: Typed) -> Outcome | NeedsInput:
        """Give this chat instructions of its own; `default` takes them back."""
        if not typed.argument:
            return NeedsInput("instructions", self.options.system_prompt or "")
        if typed.argument == "default":
            return self.change_options("This chat has the default instructions.", system_prompt=None)
        return self.change_options("This chat has its own instructions.", system_prompt=typed.argument)

    def set(self, typed: Typed) -> Outcome | NeedsInput:
        """Sampling of this chat: `name=value …`."""
        if not typed.argument:
            return NeedsInput("sampling")
        options = commands.with_options(self.options, typed.argument)
        return self.set_options(options, f"This chat: {clean_line(typed.argument)}.")

    def strict(self, typed: Typed) -> Outcome:
        """Answer from the documents only."""
        wanted = _switched(typed, self.options.strict)
        return self.change_options(
            f"Strict is {_state(wanted, 'on (answers only from your documents)')}.", strict=wanted
        )

    def think(self, typed: Typed) -> Outcome:
        """Let a model that can think do so."""
        wanted = _switched(typed, self.options.thinking)
        return self.change_options(
            f"Thinking is {_state(wanted, 'on (if the model can reason)')}.", thinking=wanted
        )

    def preset(self, typed: Typed) -> Outcome | NeedsInput:
        """Keep this chat's settings under a name, use them, or delete them."""
        what, _, name = typed.argument.partition(" ")
        name = clean_line(name)
        presets = dict(self._chats.presets())
        if what == "save" and name:
            self._chats.save_preset(name, self.options)
            outcome = self.set_options(replace(self.options, preset=name), f"Saved as “{name}”.")
            return replace(outcome, change=Change.PRESETS)
        if what in ("use", "delete") and name not in presets:
            raise NotFoundError(
                f"There is no preset called “{name}”.", f"Available: {', '.join(presets) or 'none'}."
            )
        if what == "use":
            return self.set_options(replace(presets[name], preset=name), f"This chat now uses “{name}”.")
        if what == "delete":
            self._chats.delete_preset(name)
            return Outcome(f"Deleted “{name}”.", Change.PRESETS)
        if what:
            raise UsageError("Use /preset save NAME, /preset use NAME or /preset delete NAME.")
        return NeedsInput("preset", ", ".join(presets))

    # --- a turn of it -------------------------------------------------------------------------------

    def last(self, role: Role) -> StoredMessage:
        """The message that commands are about, else the last of this role."""
        here = self.conversation_id
        messages = [one for one in self._chats.messages(here) if one.role == role] if here else []
        if not messages:
            raise UsageError("This chat has no answer yet.", "Ask a question first.")
        return next((one for one in messages if one.id == self._about), messages[-1])

    def rate(self, rating: int) -> Outcome:
        """Rate the answer: 1 good, -1 bad. The same rating again takes it back."""
        answer = self.last("assistant")
        wanted = 0 if answer.rating == rating else rating
        self._chats.rate(answer.id, wanted)
        said = {
            1: "Rated good.",
            -1: "Rated bad. Use /correct to write the right answer.",
            0: "Rating removed.",
        }
        return Outcome(said[wanted], Change.ANSWER, message_id=answer.id)

    def correct(self, text: str = "") -> Outcome | NeedsInput:
        """Say what the answer should have been."""
        answer = self.last("assistant")
        if not text:
            return NeedsInput("correction", answer.correction or answer.content, answer.id)
        return self.keep_correction(answer.id, text)

    def keep_correction(self, answer_id: int, text: str) -> Outcome:
        """Keep what an answer should have been; an empty text takes it back."""
        self._chats.correct(answer_id, text)
        said = "Your correction is saved with the answer." if text else "The correction is deleted."
        return Outcome(said, Change.ANSWER, message_id=answer_id)

    def question(self, expected: str = "") -> Outcome | NeedsInput:
        """Keep the question and its right answer for measuring."""
        answer = self.last("assistant")
        if not expected:
            return NeedsInput("answer", answer.correction or _first_paragraph(answer.content), answer.id)
        assert answer.parent_id
        cited = [citation for citation in self._chats.citations(answer.id) if citation.used]
        return self.keep_question(
            self._chats.message(answer.parent_id).content,
            [expected],
            source=cited[0].hit.path if cited else "",
            quote=cited[0].quote if cited else "",
            answer_id=answer.id,
        )

    def keep_question(
        self,
        question: str,
        answers: Sequence[str],
        *,
        source: str = "",
        quote: str = "",
        answerable: bool = True,
        answer_id: int = 0,
    ) -> Outcome:
        """Keep a question for measuring, with where its answer is."""
        self._chats.add_evaluation_question(
            question, answers, source=source, quote=quote, answerable=answerable, message_id=answer_id
        )
        found = f" Its source: {clean_line(source)}." if source else ""
        return Outcome(f"The question is kept for evaluation.{found}")

    def delete(self, typed: Typed) -> Outcome:
        """Delete the last turn, or this chat."""
        if typed.argument not in ("", "turn", "chat"):
            raise UsageError("Use /delete turn or /delete chat.")
        return self.delete_chat() if typed.argument == "chat" else self.delete_turn()

    def delete_turn(self) -> Outcome:
        """Hide a question and its answers, with a way back."""
        self._wait_for_no_answer()
        question_id = self._chats.delete_turn(self.last("user").id)
        self._services.model.forget([f"chat {self.conversation_id}"])
        self._deletions.push(Deletion(self.conversation_id, question_id))
        return Outcome("Deleted the question and its answers. /undo restores them.", Change.TURN_DELETED)

    def delete_chat(self) -> Outcome:
        """Hide this chat, with a way back."""
        here = self.here()
        self._wait_for_no_answer()
        self._chats.delete(here.id)
        self._services.model.forget([f"chat {here.id}"])
        self._deletions.push(Deletion(here.id))
        title = clean_line(here.title, limit=40)
        return Outcome(f"Deleted “{title}”. /undo restores it.", Change.CHAT_DELETED, conversation=here)

    def undo(self, _: Typed) -> Outcome:
        """Bring back the turn of this chat, or the chat, that was deleted last."""
        here = self.conversation_id
        return self._restore(self._deletions.take(lambda one: not one.question_id or one.chat_id == here))

    def restore_turn(self) -> Outcome:
        """Bring back the turn of this chat that was deleted last."""
        here = self.conversation_id
        return self._restore(self._deletions.take(lambda one: bool(one.question_id) and one.chat_id == here))

    def restore_chat(self) -> Outcome:
        """Bring back the chat that was deleted last."""
        return self._restore(self._deletions.take(lambda one: not one.question_id))

    def _restore(self, deletion: Deletion | None) -> Outcome:
        if deletion is None:
            raise UsageError("You have not deleted anything since you opened ragchat.")
        if deletion.question_id:
            self._chats.undelete_turn(deletion.question_id)
            return Outcome(
                "Restored the question and its answers.",
                Change.TURN_RESTORED,
                message_id=deletion.question_id,
            )
        self._chats.undelete(deletion.chat_id)
        back = self._chats.conversation(deletion.chat_id)
        title = clean_line(back.title, limit=40)
        return Outcome(f"Restored “{title}”.", Change.CHAT_RESTORED, conversation=back)

    def _wait_for_no_answer(self) -> None:
        if self._answering_in is not None and self._answering_in == self.conversation_id:
            raise UsageError("The model is writing an answer in this chat.", "Press Esc to stop it.")


def check_continuable(answer: StoredMessage) -> None:
    """Raises UsageError for an answer that is complete: only one that was cut, stopped or failed can be continued."""
    if answer.finish_reason == "repeats":
        raise UsageError("The model repeats itself at the end of this answer.", "Press r to regenerate it.")
    if answer.state == "complete" and answer.finish_reason not in _CAN_GO_ON:
        raise UsageError("This answer is complete.", "Press r to regenerate it.")


def _first_paragraph(answer: str) -> str:
    """What the right answer may be: the first paragraph, without its citation markers."""
    first = next((part for part in answer.split("\n\n") if part.strip()), "")
    return re.sub(r"\s*\[\d{1,2}\]", "", first).strip()


def _switched(typed: Typed, now: bool | None) -> bool | None:
    wanted = {"on": True, "off": False, "default": None, "": not now}
    if typed.argument not in wanted:
        raise UsageError(f"/{typed.command} is on, off or default, not {typed.argument!r}.")
    return wanted[typed.argument]


def _state(wanted: bool | None, on: str) -> str:
    return {True: on, False: "off", None: "as in the settings"}[wanted]


COMMANDS: dict[str, Callable[[OpenChat, Typed], Outcome | NeedsInput]] = {
    "open": OpenChat.open,
    "title": OpenChat.title,
    "tag": OpenChat.tag,
    "pin": lambda chat, _: chat.pin(),
    "fork": lambda chat, _: chat.fork(),
    "model": OpenChat.model,
    "adapter": OpenChat.adapter,
    "kb": OpenChat.knowledge,
    "system": OpenChat.system,
    "set": OpenChat.set,
    "strict": OpenChat.strict,
    "think": OpenChat.think,
    "preset": OpenChat.preset,
    "good": lambda chat, _: chat.rate(1),
    "bad": lambda chat, _: chat.rate(-1),
    "correct": lambda chat, typed: chat.correct(typed.argument),
    "question": lambda chat, typed: chat.question(typed.argument),
    "delete": OpenChat.delete,
    "undo": OpenChat.undo,
}
"""Commands that do the same in both front ends; the others of `commands.COMMANDS` are about the front end itself, or answer."""
