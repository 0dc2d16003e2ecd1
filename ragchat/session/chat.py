"""A question in, typed events out. Stores everything as it happens: the question before anything else, the answer while it
streams, and what it was made from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ragchat.errors import CancelledError, PromptTooLongError, RagchatError, UsageError
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.session import attachment as attached
from ragchat.session import citations, packing, prompt, query
from ragchat.session.attachment import Attachment
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
    Hit,
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
SURE = 0.3
"""Confidence from which the documents are taken to speak of what was asked for."""
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
    packings: Mapping[str, packing.Packing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preview:
    """What `ask` would send. `rendered` is the prompt as the chat template writes it."""

    query: QueryUsed
    found: HitsFound
    prompt: prompt.PackedPrompt
    rendered: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question and what goes with it."""

    question: str
    text: str
    files: tuple[Attachment, ...]
    pinned: tuple[Hit, ...]

    @property
    def brings_text(self) -> bool:
        return bool(self.text or self.files or self.pinned)


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
        self,
        conversation_id: int,
        question: str,
        *,
        attachment: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        """Answer a question in a conversation. Events as `session.events` lists them. Raises RagchatError.

        `attachment` is text without a name, `files` are cited by theirs; with `pinned` passages no others are looked for.
        """
        asked = _Asked(clean(question).strip(), clean(attachment), tuple(files), tuple(pinned))
        if not asked.question:
            raise UsageError("There is no question.", "Type one.")
        record = _Record(self._chats, conversation_id, cites=bool(self._searcher or files or pinned))
        earlier = record.earlier()
        stored = record.begin(asked)
        try:
            yield stored
            yield from self._answer(record, asked, earlier, cancel)
        except CancelledError:
            yield record.finish("cancelled", (), Timings(), 0, from_documents=False)
        except RagchatError as error:
            record.fail(str(error))
            raise
        except BaseException:  # Ctrl-C, or the caller went away
            record.fail("", state="interrupted")
            raise

    def preview(
        self,
        question: str,
        *,
        attachment: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
        cancel: CancelToken,
    ) -> Preview:
        """The prompt that `ask` would send for a first question; nothing is stored or generated. Raises RagchatError."""
        asked = _Asked(clean(question).strip(), clean(attachment), tuple(files), tuple(pinned))
        if not asked.question:
            raise UsageError("There is no question.", "Type one.")
        used, found = self._retrieve(asked, [])
        for _ in self._model.load(cancel):
            pass
        packed = self._pack(asked, (), found)
        return Preview(used, found, packed, self._model.render_prompt(packed.messages))

    def _answer(
        self,
        record: _Record,
        asked: _Asked,
        earlier: Sequence[StoredMessage],
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        started = time.perf_counter()
        used, found = self._retrieve(asked, [m.content for m in earlier if m.role == "user"])
        yield used
        yield found
        has_documents = bool(self._searcher)
        if has_documents and self._options.strict and not found.relevant and not asked.brings_text:
            record.say(DECLINED)
            yield TextDelta(DECLINED)
            yield record.finish("stop", (), Timings(retrieval_s=found.retrieval_s), 0, from_documents=False)
            return
        loading = time.perf_counter()
        yield from self._model.load(cancel)
        loaded = time.perf_counter() - loading
        info = self._model.info
        assert info
        packed = self._pack(asked, _turns(earlier), found)
        sampling = self._options.sampling
        if sampling.seed is None:
            sampling = replace(sampling, seed=secrets.randbelow(2**31))
        record.plan(self._generation(info, used, packed, sampling, found), packed.citations)
        yield PromptReady(packed.parts, packed.prompt_tokens, packed.n_ctx, packed.citations, packed.left_out)
        if has_documents and not packed.citations and not asked.brings_text:
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

    def _retrieve(self, asked: _Asked, earlier: Sequence[str]) -> tuple[QueryUsed, HitsFound]:
        languages = self._searcher.languages() if self._searcher else ("en",)
        built = query.build(asked.question, earlier, languages)
        result = SearchResult((), 0.0, 0.0)
        if self._searcher and not asked.pinned:
            result = self._searcher.search(
                built.text, self._options.k, weights=built.weights, follow_up=bool(built.topic)
            )
        # Either tells: shares of words in small collections, scores in large ones and in scripts without spaces (decision 8).
        relevant = bool(result.hits) and (
            result.match >= self._options.min_match or result.confidence >= SURE
        )
        hits = asked.pinned or result.hits
        return QueryUsed(built.text, built.topic, self._names), HitsFound(
            hits, relevant or bool(asked.pinned), result.took_s
        )

    def _pack(self, asked: _Asked, history: Sequence[Message], found: HitsFound) -> prompt.PackedPrompt:
        info = self._model.info
        assert info
        hits = found.hits if found.relevant and not asked.pinned else ()
        way = packing.for_model(info, self._options.packings, passages=self._options.passages)
        brought = attached.prepare(
            asked.question,
            text=asked.text,
            files=asked.files,
            pinned=asked.pinned,
            first_number=min(len(hits), way.passages) + 1,
            n_ctx=info.n_ctx,
            share=self._options.passage_share,
            count=self._model.count_tokens,
        )
        packed = prompt.pack(
            self._model,
            asked.question,
            n_ctx=info.n_ctx,
            history=history,
            hits=hits,
            packing=way,
            passage_share=self._options.passage_share,
            answer_tokens=self._options.sampling.max_tokens,
            instructions=self._options.instructions,
            attachment=brought.text,
        )
        return replace(
            packed,
            citations=(*packed.citations, *brought.citations),
            left_out=(*packed.left_out, *brought.left_out),
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

    def begin(self, asked: _Asked) -> MessageStored:
        if not self._chats:
            return MessageStored(0, 0, 0)
        names = attached.names_of(asked.files, asked.pinned)
        content = attached.stored_question(asked.question, asked.text, names)
        question = self._chats.add_user_message(self._conversation_id, content)
        self._answer_id = self._chats.begin_answer(self._conversation_id).id
        return MessageStored(self._conversation_id, question.id, self._answer_id)

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
