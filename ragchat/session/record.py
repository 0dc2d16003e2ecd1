"""What is stored of one question and its answer while it is being written: the question first, the answer as it streams."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

from ragchat.session import answerability, citations
from ragchat.session.answerability import AS_SHIPPED, Own, Signals
from ragchat.session.events import AnswerFinished, AnswerKind, MessageStored, without_rewriting
from ragchat.store.chats import ChatStore
from ragchat.types import (
    UNCHECKED,
    AnswerCheck,
    Citation,
    Compaction,
    FinishReason,
    Generation,
    GenerationFinished,
    Message,
    MessageState,
    Quote,
    Reason,
    ReasonKind,
    Statement,
    StoredMessage,
    Timings,
    Verdict,
)

SAVE_EVERY_S = 0.5
SURE = 0.8
"""Chance of the best quote from which a copied sentence counts as an answer (decision 29)."""
CERTAIN = 0.97
"""The same by the chance that the documents answer: quotes say little in a collection that is all about one thing."""


class Record:
    """One answer in the making. Without a store it only remembers."""

    def __init__(
        self, chats: ChatStore | None, conversation_id: int, *, cites: bool, strict: bool = False
    ) -> None:
        """`cites`: documents were asked. In any other answer "[1, 2]" is just what it says.

        `strict`: what the passages do not support is struck out.
        """
        self._chats, self.conversation_id, self._cites = chats, conversation_id, cites
        self._strict = strict
        self._quotes: tuple[Quote, ...] = ()
        self._signals: Signals | None = None
        self._weigh: Callable[[], Signals | None] | None = None
        self._own = AS_SHIPPED
        self._copied = False
        self.offered: tuple[Citation, ...] = ()
        """The passages in the prompt, by their numbers."""
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
            self.conversation_id, question, parent_id=parent_id, attachments=attachments
        )
        return self.begin_again(asked.id)

    def begin_again(self, question_id: int) -> MessageStored:
        """Store another empty answer to a question that is stored."""
        assert self._chats
        self._answer_id = self._chats.begin_answer(self.conversation_id, parent_id=question_id).id
        return MessageStored(self.conversation_id, question_id, self._answer_id)

    def resume(self, answer: StoredMessage) -> MessageStored:
        """Continue with an answer that is stored."""
        assert self._chats
        self._chats.resume_answer(answer.id)
        self._answer_id = answer.id
        self._parts, self._thoughts = [answer.content], [answer.reasoning]
        self._notice, self._quotes = answer.notice, answer.quotes
        return MessageStored(self.conversation_id, answer.parent_id, answer.id)

    def plan(self, generation: Generation, offered: Sequence[Citation]) -> None:
        """What the answer is about to be made from."""
        self._query = without_rewriting(generation.query)
        self.offered = tuple(offered)
        self._copied = bool(generation.sampling.grammar)
        if self._chats:
            self._chats.save_generation(
                self._answer_id, generation, [replace(c, used=False) for c in offered]
            )

    def decide(self, kind: AnswerKind, notice: str = "") -> None:
        """What the answer will be, and what is above it."""
        self._kind, self._notice = kind, notice
        if self._chats and notice:
            self._chats.set_notice(self._answer_id, notice)

    def quote(self, quotes: tuple[Quote, ...]) -> None:
        """What the documents themselves say; it is kept before the model writes."""
        self._quotes = quotes
        if self._chats:
            self._chats.save_quotes(self._answer_id, quotes)

    def weigh(self, signals: Callable[[], Signals | None], own: Own) -> None:
        """`signals` says what the search tells of the chance that the documents answer; `weigh_now` or the end asks it."""
        self._weigh, self._own = signals, own

    def weigh_now(self) -> None:
        """Weigh what is not weighed: it takes a moment, which nobody waits for once the first words are out."""
        weigh, self._weigh = self._weigh, None
        if weigh is not None:
            self._signals = weigh()

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
        generated: GenerationFinished | None = None,
        look: citations.Look | None = None,
    ) -> AnswerFinished:
        """The end: statements are checked, citations bound, everything is stored. `generated` is how the model ended.

        `look` is the second look that it takes at the statements.
        """
        self.weigh_now()
        text, bound, check = "".join(self._parts), tuple(offered), UNCHECKED
        thoughts = "".join(self._thoughts)
        reasoning_s = generated.reasoning_s if generated else 0.0
        reasoning_tokens = generated.reasoning_tokens if generated else 0
        if self._cites:
            found = citations.bind(text, offered, self._query, self._beside if self._copied else look)
            text, bound = found.text, found.citations
            check = self._check(text, found.statements, offered, generated)
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
                check=check,
            )
        self._over = True
        return AnswerFinished(
            conversation_id=self.conversation_id,
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
            quotes=self._quotes,
            check=check,
        )

    def _beside(self, statements: Sequence[Statement]) -> Sequence[Statement]:
        """What a model may only have copied is in a passage for sure; a citation needs the hope that it answers."""
        best = max((quote.chance for quote in self._quotes), default=1.0)
        answered = answerability.before(self._signals, self._own) if self._signals else 0.0
        if best >= SURE or answered >= CERTAIN:
            return statements
        return [
            replace(one, verdict=Verdict.PARTLY, reason=Reason(ReasonKind.BESIDE))
            if one.verdict is Verdict.SUPPORTED
            else one
            for one in statements
        ]

    def _check(
        self,
        text: str,
        statements: tuple[Statement, ...],
        offered: Sequence[Citation],
        generated: GenerationFinished | None,
    ) -> AnswerCheck:
        """What is known of the answer: of a model's by its words, too, of quotes alone by the search."""
        if not offered and not self._quotes:
            return UNCHECKED
        if self._signals is None or (offered and generated is None):
            return AnswerCheck(statements, strict=self._strict)
        least = answerability.thresholds(self._own)
        if not offered or self._copied:  # a copied answer adds no sign
            answered = answerability.before(self._signals, self._own)
            return AnswerCheck(statements, answered, answered >= least.before, self._strict)
        borrowed = answerability.borrowed(text, offered, self._query)
        signals = answerability.after_signals(self._signals, generated, statements, borrowed)
        answered = answerability.after(signals, self._own)
        return AnswerCheck(statements, answered, answered >= least.after, self._strict)

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
            and (answer := _as_told(answered))
            and answered.state != "error"
        ):
            turns += [Message("user", asked.text), Message("assistant", answer)]
    return turns


def _as_told(answer: StoredMessage) -> str:
    """An answer as later prompts hold it: without what a strict chat struck out, else what the documents say."""
    kept = replace(answer, content=_without(answer.content, answer.check.struck))
    return kept.text if kept.content.strip() else "\n".join(quote.text for quote in answer.quotes)


def _without(text: str, struck: Sequence[Statement]) -> str:
    for statement in sorted(struck, key=lambda one: -one.first):
        text = text[: statement.first] + text[statement.last :].lstrip(" ")
    return text
