"""What is stored of one question and its answer while it is being written: the question first, the answer as it streams."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ragchat.session import citations
from ragchat.session.events import AnswerFinished, AnswerKind, MessageStored, without_rewriting
from ragchat.store.chats import ChatStore
from ragchat.types import (
    Citation,
    Compaction,
    FinishReason,
    Generation,
    Message,
    MessageState,
    StoredMessage,
    Timings,
)

SAVE_EVERY_S = 0.5


class Record:
    """One answer in the making. Without a store it only remembers."""

    def __init__(self, chats: ChatStore | None, conversation_id: int, *, cites: bool) -> None:
        """`cites`: documents were asked. In any other answer "[1, 2]" is just what it says."""
        self._chats, self._conversation_id, self._cites = chats, conversation_id, cites
        self._answer_id = 0
        self._notice, self._kind = "", AnswerKind.ANSWER
        self._query = ""
        self._parts: list[str] = []
        self._thoughts: list[str] = []
        self._saved_at = 0.0
        self._over = False

    def begin(
        self, question: str, parent_id: int | None = None, *, attachments: Sequence[str] = ()
    ) -> MessageStored:
        """Store a question, with the names of what is attached, and an empty answer to it."""
        if not self._chats:
            return MessageStored(0, 0, 0)
        asked = self._chats.add_user_message(
            self._conversation_id, question, parent_id=parent_id, attachments=attachments
        )
        return self.begin_again(asked.id)

    def begin_again(self, question_id: int) -> MessageStored:
        """Store another empty answer to a question that is stored."""
        assert self._chats
        self._answer_id = self._chats.begin_answer(self._conversation_id, parent_id=question_id).id
        return MessageStored(self._conversation_id, question_id, self._answer_id)

    def resume(self, answer: StoredMessage) -> MessageStored:
        """Continue with an answer that is stored."""
        assert self._chats
        self._chats.resume_answer(answer.id)
        self._answer_id = answer.id
        self._parts, self._thoughts = [answer.content], [answer.reasoning]
        self._notice = answer.notice
        return MessageStored(self._conversation_id, answer.parent_id, answer.id)

    def plan(self, generation: Generation, offered: Sequence[Citation]) -> None:
        """What the answer is about to be made from."""
        self._query = without_rewriting(generation.query)
        if self._chats:
            self._chats.save_generation(
                self._answer_id, generation, [replace(c, used=False) for c in offered]
            )

    def decide(self, kind: AnswerKind, notice: str = "") -> None:
        """What the answer will be, and what is above it."""
        self._kind, self._notice = kind, notice
        if self._chats and notice:
            self._chats.set_notice(self._answer_id, notice)

    def say(self, text: str) -> None:
        """More of the answer."""
        self._parts.append(text)
        self._save()

    def take_back(self, end: str) -> None:
        """Drop this end of what was said; nothing happens when it does not end so."""
        self._parts = ["".join(self._parts).removesuffix(end)]

    def think(self, text: str) -> None:
        """More of what comes before the answer."""
        self._thoughts.append(text)
        self._save()

    def _save(self) -> None:
        now = time.monotonic()
        if self._chats and now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at = now
            self._chats.update_answer(self._answer_id, "".join(self._parts), "".join(self._thoughts))

    def finish(
        self,
        reason: FinishReason,
        offered: Sequence[Citation],
        timings: Timings,
        seed: int,
        *,
        from_documents: bool,
        reasoning_s: float = 0.0,
        reasoning_tokens: int = 0,
    ) -> AnswerFinished:
        """The end: citations are bound, everything is stored."""
        text, bound = "".join(self._parts), tuple(offered)
        thoughts = "".join(self._thoughts)
        if self._cites:
            text, bound = citations.bind(text, offered, self._query)
        if self._chats:
            self._chats.finish_answer(
                self._answer_id,
                text,
                state="cancelled" if reason == "cancelled" else "complete",
                finish_reason=reason,
                used=[citation.n for citation in bound if citation.used],
                quotes={citation.n: citation.quote for citation in bound},
                timings=timings,
                seed=seed,
                reasoning=thoughts,
                reasoning_s=reasoning_s,
                reasoning_tokens=reasoning_tokens,
            )
        self._over = True
        return AnswerFinished(
            conversation_id=self._conversation_id,
            answer_id=self._answer_id,
            text=text,
            finish_reason=reason,
            citations=bound,
            from_documents=from_documents,
            timings=timings,
            seed=seed,
            reasoning=thoughts,
            reasoning_s=reasoning_s,
            reasoning_tokens=reasoning_tokens,
            notice=self._notice,
            kind=self._kind,
        )

    def fail(self, sentence: str, *, state: MessageState = "error") -> None:
        """The answer ended with an error; what there is of it is kept."""
        if self._chats and not self._over:
            self._chats.finish_answer(
                self._answer_id,
                "".join(self._parts),
                state=state,
                finish_reason="error",
                error=sentence,
                reasoning="".join(self._thoughts),
            )


def turns_of(earlier: Sequence[StoredMessage], compaction: Compaction | None = None) -> list[Message]:
    """Whole exchanges, oldest first: a question whose answer failed is left out with it.

    Those that a `compaction` represents are left out too; its summary has its own place in the prompt.
    """
    if compaction is not None:
        places = [n for n, message in enumerate(earlier, 1) if message.id == compaction.message_id]
        earlier = earlier[places[0] :] if places else earlier
    turns: list[Message] = []
    for asked, answered in pairwise(earlier):
        if (
            asked.role == "user"
            and answered.role == "assistant"
            and answered.text
            and answered.state != "error"
        ):
            turns += [Message("user", asked.text), Message("assistant", answered.text)]
    return turns
