"""Training data from your own chats: answers that were rated good, and answers that were corrected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ragchat.finetune.examples import Example
from ragchat.store.chats import ChatStore
from ragchat.types import Message, PortableChat, PortableMessage

SOURCE = "chats"


def read(chats: ChatStore, *, with_passages: bool = True) -> list[Example]:
    """An example for each answer that was rated good or corrected, in all branches of all chats; the correction counts.

    The prompt is the one that was recorded with the answer, so passages and instructions are in it; without `with_passages`
    it is the question alone, and so it is for answers that have no record, such as those of imported chats.
    """
    examples: list[Example] = []
    for conversation in chats.conversations(limit=1_000_000):
        examples += _of_chat(chats.portable(conversation.id), conversation.id, with_passages=with_passages)
    return examples


def _of_chat(chat: PortableChat, conversation_id: int, *, with_passages: bool) -> Iterator[Example]:
    by_id = {message.id: message for message in chat.messages}
    for message in chat.messages:
        answer = _learnable(message)
        asked = by_id.get(message.parent_id)
        if not answer or asked is None or asked.role != "user":
            continue
        recorded = message.generation.prompt if message.generation and with_passages else ()
        prompt = recorded or _turns_to(asked, by_id)
        kind = "cited" if recorded and message.citations else "answer"
        yield Example(
            (*prompt, Message("assistant", answer)), SOURCE, f"chat {conversation_id}", asked.content, kind
        )


def _learnable(message: PortableMessage) -> str:
    """What is to be learned of a message; empty: nothing."""
    if message.role != "assistant":
        return ""
    if message.correction.strip():
        return message.correction.strip()
    whole = message.state == "complete" and message.finish_reason not in ("length", "repeats")
    return message.content.strip() if message.rating > 0 and whole else ""


def _turns_to(asked: PortableMessage, by_id: Mapping[int, PortableMessage]) -> tuple[Message, ...]:
    """The branch up to a question, oldest first."""
    turns: list[Message] = []
    at: PortableMessage | None = asked
    while at is not None and len(turns) < len(by_id):
        if at.text.strip() and at.role in ("user", "assistant"):
            turns.append(Message(at.role, at.correction or (at.content if at is asked else at.text)))
        at = by_id.get(at.parent_id)
    return tuple(reversed(turns))
