"""A question in, typed events out. Stores everything as it happens: the question before anything else, the answer while it
streams, and what it was made from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ragchat.errors import CancelledError, PromptTooLongError, RagchatError, UsageError
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.session import citations, prompt, query
from ragchat.session.events import (
    AnswerFinished,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    SessionEvent,
)
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean, clean_line
from ragchat.types import (
    CancelToken,
    ChatModel,
    Citation,
    FinishReason,
    Generation,
    GenerationFinished,
    Message,
    MessageState,
    ModelInfo,
    PrefillProgress,
    Sampling,
    StoredMessage,
    TextDelta,
    Timings,
)

NOT_FROM_DOCUMENTS = "Nothing in your documents matches this question, so this answer is not from them."
NO_ROOM = (
    "What your documents say about this did not fit beside the question, so this answer is not from them."
)
DECLINED = "Your documents hold nothing that answers this question."
SAVE_EVERY_S = 0.5
LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer. `k` hits are searched, at most `passages` of them packed (0: by the model's size).

    `min_match` is the least share of the question's weight that a passage must hold to count as relevant.
    """

    sampling: Sampling = field(default_factory=Sampling)
    k: int = 8
    passages: int = 0
    passage_share: float = 0.5
    min_match: float = 0.4
    strict: bool = False
    instructions: str = ""


@dataclass(frozen=True, slots=True)
class Preview:
    """What `ask` would send. `rendered` is the prompt as the chat template writes it."""

    query: QueryUsed
    found: HitsFound
    prompt: prompt.PackedPrompt
    rendered: str


class ChatSession:
    """Asks one model over some knowledge bases. Belongs to the thread whose connections it was given."""

    def __init__(
        self,
        chats: ChatStore | None,
        model: ChatModel,
        knowledge_bases: Sequence[KnowledgeStore],
        options: AskOptions,
    ) -> None:
        """Without `chats` nothing is stored (a question from a script)."""
        self._chats, self._model, self._options = chats, model, options
        self._names = tuple(store.name for store in knowledge_bases)
        self._searcher = Searcher(knowledge_bases) if knowledge_bases else None

    def start(self, question: str, *, knowledge_bases: Sequence[str] | None = None) -> int:
        """A new conversation named after its first question; its number."""
        assert self._chats
        title = clean_line(question, limit=LONGEST_TITLE) or "New chat"
        return self._chats.create_conversation(title, knowledge_bases=knowledge_bases).id

    def ask(
        self, conversation_id: int, question: str, *, attachment: str = "", cancel: CancelToken
    ) -> Iterator[SessionEvent]:
        """Answer a question in a conversation. Events as `session.events` lists them. Raises RagchatError."""
        question, attachment = clean(question).strip(), clean(attachment)
        if not question:
            raise UsageError("There is no question.", "Type one.")
        record = _Record(self._chats, conversation_id, cites=bool(self._searcher))
        earlier = record.earlier()
        stored = record.begin(question, attachment)
        try:
            yield stored
            yield from self._answer(record, question, attachment, earlier, cancel)
        except CancelledError:
            yield record.finish("cancelled", (), Timings(), 0, from_documents=False)
        except RagchatError as error:
            record.fail(str(error))
            raise
        except BaseException:  # Ctrl-C, or the caller went away
            record.fail("", state="interrupted")
            raise

    def preview(self, question: str, *, attachment: str = "", cancel: CancelToken) -> Preview:
        """The prompt that `ask` would send for a first question; nothing is stored or generated. Raises RagchatError."""
        question, attachment = clean(question).strip(), clean(attachment)
        if not question:
            raise UsageError("There is no question.", "Type one.")
        used, found = self._retrieve(question, [])
        for _ in self._model.load(cancel):
            pass
        packed = self._pack(question, attachment, (), found)
        return Preview(used, found, packed, self._model.render_prompt(packed.messages))

    def _answer(
        self,
        record: _Record,
        question: str,
        attachment: str,
        earlier: Sequence[StoredMessage],
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        started = time.perf_counter()
        used, found = self._retrieve(question, [m.content for m in earlier if m.role == "user"])
        yield used
        yield found
        has_documents = bool(self._searcher)
        if has_documents and self._options.strict and not found.relevant and not attachment:
            record.say(DECLINED)
            yield TextDelta(DECLINED)
            yield record.finish("stop", (), Timings(retrieval_s=found.retrieval_s), 0, from_documents=False)
            return
        loading = time.perf_counter()
        yield from self._model.load(cancel)
        loaded = time.perf_counter() - loading
        info = self._model.info
        assert info
        packed = self._pack(question, attachment, _turns(earlier), found)
        sampling = self._options.sampling
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(2**31))
        record.plan(self._generation(info, used, packed, sampling, found), packed.citations)
        yield PromptReady(packed.parts, packed.prompt_tokens, packed.n_ctx, packed.citations, packed.left_out)
        if has_documents and not packed.citations and not attachment:
            if found.relevant and self._options.strict:
                raise PromptTooLongError(
                    "Your documents speak to this question, but no passage fits beside it into the context of"
                    f" {packed.n_ctx} tokens.",
                    "Shorten the question, raise model.n_ctx or retrieval.passage_share.",
                )
            notice = f"{NO_ROOM if found.relevant else NOT_FROM_DOCUMENTS}\n\n"
            record.say(notice)
            yield TextDelta(notice)
        first_s = 0.0
        for event in self._model.generate(packed.messages, sampling, cancel=cancel):
            match event:
                case TextDelta(text=text):
                    first_s = first_s or time.perf_counter() - started - loaded
                    record.say(text)
                    yield event
                case PrefillProgress():
                    yield event
                case GenerationFinished():
                    timings = Timings(
                        retrieval_s=found.retrieval_s,
                        ttft_s=first_s,
                        prefill_tok_s=event.prefill_tok_s,
                        decode_tok_s=event.decode_tok_s,
                        prompt_tokens=event.prompt_tokens,
                        cached_tokens=event.cached_tokens,
                        completion_tokens=event.completion_tokens,
                    )
                    yield record.finish(
                        event.finish_reason,
                        packed.citations,
                        timings,
                        event.seed,
                        from_documents=bool(packed.citations),
                    )

    def _retrieve(self, question: str, earlier: Sequence[str]) -> tuple[QueryUsed, HitsFound]:
        built = query.build(question, earlier)
        result = SearchResult((), 0.0, 0.0)
        if self._searcher:
            result = self._searcher.search(
                built.text, self._options.k, weights=built.weights, follow_up=bool(built.topic)
            )
        relevant = bool(result.hits) and result.match >= self._options.min_match
        return QueryUsed(built.text, built.topic, self._names), HitsFound(
            result.hits, relevant, result.took_s
        )

    def _pack(
        self, question: str, attachment: str, history: Sequence[Message], found: HitsFound
    ) -> prompt.PackedPrompt:
        info = self._model.info
        assert info
        return prompt.pack(
            self._model,
            question,
            n_ctx=info.n_ctx,
            history=history,
            hits=found.hits if found.relevant else (),
            passages=self._options.passages or prompt.passages_for(info.n_params),
            passage_share=self._options.passage_share,
            answer_tokens=self._options.sampling.max_tokens,
            instructions=self._options.instructions,
            attachment=attachment,
        )

    def _generation(
        self,
        info: ModelInfo,
        used: QueryUsed,
        packed: prompt.PackedPrompt,
        sampling: Sampling,
        found: HitsFound,
    ) -> Generation:
        return Generation(
            model=info.name,
            model_path=info.path,
            adapter="",
            knowledge_bases=self._names,
            query=" ".join([used.query, *(f"({term})" for term in used.topic)]),
            prompt=packed.messages,
            left_out=packed.left_out,
            sampling=sampling,
            retrieval_s=found.retrieval_s,
        )


class _Record:
    """What is stored of one question and its answer. Without a store it only remembers."""

    def __init__(self, chats: ChatStore | None, conversation_id: int, *, cites: bool) -> None:
        """`cites`: documents were asked. In any other answer "[1, 2]" is just what it says."""
        self._chats, self._conversation_id, self._cites = chats, conversation_id, cites
        self._answer_id = 0
        self._parts: list[str] = []
        self._saved_at = 0.0
        self._over = False

    def earlier(self) -> list[StoredMessage]:
        return self._chats.messages(self._conversation_id) if self._chats else []

    def begin(self, question: str, attachment: str) -> MessageStored:
        if not self._chats:
            return MessageStored(0, 0, 0)
        content = f"{question}\n\n{attachment}" if attachment else question
        asked = self._chats.add_user_message(self._conversation_id, content)
        self._answer_id = self._chats.begin_answer(self._conversation_id).id
        return MessageStored(self._conversation_id, asked.id, self._answer_id)

    def plan(self, generation: Generation, offered: Sequence[Citation]) -> None:
        if self._chats:
            self._chats.save_generation(
                self._answer_id, generation, [replace(c, used=False) for c in offered]
            )

    def say(self, text: str) -> None:
        self._parts.append(text)
        now = time.monotonic()
        if self._chats and now - self._saved_at >= SAVE_EVERY_S:
            self._saved_at = now
            self._chats.update_answer(self._answer_id, "".join(self._parts))

    def finish(
        self,
        reason: FinishReason,
        offered: Sequence[Citation],
        timings: Timings,
        seed: int,
        *,
        from_documents: bool,
    ) -> AnswerFinished:
        text, bound = "".join(self._parts), tuple(offered)
        if self._cites:
            text, bound = citations.bind(text, offered)
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
            )
        self._over = True
        return AnswerFinished(
            self._conversation_id, self._answer_id, text, reason, bound, from_documents, timings, seed
        )

    def fail(self, sentence: str, *, state: MessageState = "error") -> None:
        if self._chats and not self._over:
            self._chats.finish_answer(
                self._answer_id, "".join(self._parts), state=state, finish_reason="error", error=sentence
            )


def _turns(earlier: Sequence[StoredMessage]) -> list[Message]:
    """Whole exchanges, oldest first: a question whose answer failed is left out with it."""
    turns: list[Message] = []
    for asked, answered in pairwise(earlier):
        if (
            asked.role == "user"
            and answered.role == "assistant"
            and answered.content
            and answered.state != "error"
        ):
            turns += [Message("user", asked.content), Message("assistant", answered.content)]
    return turns
