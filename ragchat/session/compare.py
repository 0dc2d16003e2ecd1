"""One question to a chat under other settings, on a copy of the chat that is thrown away; what is worth it is kept.

On the copy everything goes as in the chat itself, with its earlier turns, and nothing of it is stored in the chat unless `keep`
is called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ragchat.errors import StorageError
from ragchat.session.chat import LONGEST_TITLE, ChatSession
from ragchat.session.events import AnswerFinished, MessageStored, SessionEvent
from ragchat.store.chats import ChatStore
from ragchat.text import clean_line
from ragchat.types import (
    CancelToken,
    ChatOptions,
    Generation,
    PortableChat,
    PortableMessage,
    StoredMessage,
)


@dataclass(frozen=True, slots=True)
class Trial:
    """An answer that is in no chat yet, with all that is recorded of it. `question` is as it would be stored."""

    question: str
    attachments: tuple[str, ...]
    answer: StoredMessage
    finished: AnswerFinished
    generation: Generation | None


TrialEvent = SessionEvent | Trial


def try_out(
    chats: ChatStore,
    conversation_id: int,
    question: str,
    open_session: Callable[[ChatStore], AbstractContextManager[ChatSession]],
    *,
    folder: Path | None = None,
    cancel: CancelToken,
) -> Iterator[TrialEvent]:
    """Ask the question after the branch that is shown (0: in a new chat); events of `ask`, then a Trial. Raises RagchatError.

    The copy is in a folder of its own below `folder`, and is gone at the end.
    """
    with contextlib.ExitStack() as stack:
        try:
            own = Path(stack.enter_context(TemporaryDirectory(prefix="trial-", dir=folder)))
        except OSError as error:
            raise StorageError(f"The chat cannot be copied: {error.strerror}.") from error
        copy = stack.enter_context(contextlib.closing(ChatStore(own / "trial.db")))
        number = _copied(chats, conversation_id, copy)
        session = stack.enter_context(open_session(copy))
        for event in session.ask(number, question, cancel=cancel):
            yield event
            if isinstance(event, AnswerFinished):
                answer = copy.message(event.answer_id)
                asked = copy.message(answer.parent_id)
                yield Trial(asked.content, asked.attachments, answer, event, copy.generation(answer.id))


def keep(chats: ChatStore, conversation_id: int, trial: Trial, *, options: ChatOptions) -> MessageStored:
    """Store a tried question and answer after the branch that is shown; 0: in a new chat, with these options."""
    if not conversation_id:
        title = clean_line(trial.question, limit=LONGEST_TITLE) or "New chat"
        conversation_id = chats.create_conversation(title, options=options).id
    asked = chats.add_user_message(conversation_id, trial.question, attachments=trial.attachments)
    answer = chats.begin_answer(conversation_id, parent_id=asked.id)
    finished, was = trial.finished, trial.answer
    if was.notice:
        chats.set_notice(answer.id, was.notice)
    if trial.generation is not None:
        chats.save_generation(answer.id, trial.generation, finished.citations)
        chats.set_model(conversation_id, trial.generation.model)
    chats.save_quotes(answer.id, was.quotes)
    chats.finish_answer(
        answer.id,
        was.content,
        state=was.state,
        finish_reason=was.finish_reason,
        error=was.error,
        used=[citation.n for citation in finished.citations if citation.used],
        timings=finished.timings,
        seed=finished.seed,
        reasoning=was.reasoning,
        reasoning_s=was.reasoning_s,
        reasoning_tokens=was.reasoning_tokens,
        check=was.check,
    )
    return MessageStored(conversation_id, asked.id, answer.id)


def _copied(chats: ChatStore, conversation_id: int, copy: ChatStore) -> int:
    """The words of the branch that is shown, in another database, with the summary that represents its beginning; its number."""
    if not conversation_id:
        return copy.create_conversation("Trial").id
    chat, messages = chats.conversation(conversation_id), chats.messages(conversation_id)
    parents = [0, *(message.id for message in messages)]
    copied = tuple(
        PortableMessage(
            message.id,
            parent_id,
            message.role,
            message.content,
            created_at=message.created_at,
            state=message.state,
            finish_reason=message.finish_reason,
            notice=message.notice,
            attachments=message.attachments,
            quotes=message.quotes,
            check=message.check,
        )
        for message, parent_id in zip(messages, parents, strict=False)
    )
    leaf_id = parents[-1]
    portable = PortableChat(chat.title, chat.created_at, chat.updated_at, copied, leaf_id)
    number = copy.add_portable(portable).id
    compaction = chats.compaction(conversation_id)
    if compaction is not None:
        message_id = copy.branch_ids(number)[parents.index(compaction.message_id) - 1]
        copy.add_compaction(number, message_id, compaction.summary, model=compaction.model)
    return number
