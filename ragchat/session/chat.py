"""A question in, typed events out. Stores everything as it happens: the question before anything else, the answer while it
streams, and what it was made from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ragchat.errors import CancelledError, PromptTooLongError, RagchatError, UsageError
from ragchat.retrieval import scope
from ragchat.retrieval.scope import Scoped
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher, SearchResult
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import attachment as attached
from ragchat.session import packing, prompt, query
from ragchat.session.attachment import Attachment
from ragchat.session.events import (
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    SessionEvent,
)
from ragchat.session.record import Record, turns_of
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean, clean_line
from ragchat.types import (
    CancelToken,
    ChatModel,
    Citation,
    Compaction,
    Generation,
    GenerationFinished,
    Hit,
    LoadProgress,
    Message,
    PrefillProgress,
    ReasoningDelta,
    Sampling,
    StoredMessage,
    TextDelta,
    Timings,
)

if TYPE_CHECKING:
    from ragchat.types.embedding import Embedder

NOT_FROM_DOCUMENTS = "Nothing in your documents matches this question, so this answer is not from them."
NO_ROOM = (
    "What your documents say about this did not fit beside the question, so this answer is not from them."
)
DECLINED = "Your documents hold nothing that answers this question."
MATCH = 0.4
SURE = 0.3
"""Match, and confidence, from which the documents are taken to speak of what was asked for (`ragchat eval calibrate`)."""
LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer. `k` hits are searched, at most `passages` of them packed (0: by the model's size).

    A passage counts as relevant when it holds a share of `min_match` of the question's weight, or the search is sure of it by
    `min_confidence`. `ranking` is how the search ranks. `adapter` is what is
    switched on, as `AdapterScale` writes it.
    """

    sampling: Sampling = field(default_factory=Sampling)
    k: int = 8
    passages: int = 0
    passage_share: float = 0.5
    min_match: float = MATCH
    min_confidence: float = SURE
    strict: bool = False
    thinking: bool = False
    instructions: str = ""
    adapter: str = ""
    packings: Mapping[str, packing.Packing] = field(default_factory=dict)
    ranking: Ranking = DEFAULT


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

    @classmethod
    def of(
        cls,
        question: str,
        text: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
    ) -> _Asked:
        """Raises UsageError for an empty question."""
        asked = cls(clean(question).strip(), clean(text), tuple(files), tuple(pinned))
        if not asked.question:
            raise UsageError("There is no question.", "Type one.")
        return asked

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
        embedder: Embedder | None = None,
    ) -> None:
        """Without `chats` nothing is stored (a question from a script); without `embedder` words alone find passages."""
        self._chats, self._model, self._options = chats, model, options
        model.thinking = options.thinking
        self._stores = tuple(knowledge_bases)
        self._names = tuple(store.name for store in knowledge_bases)
        self._searcher = Searcher(knowledge_bases, embedder) if knowledge_bases else None

    @property
    def options(self) -> AskOptions:
        """How it answers."""
        return self._options

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
        parent_id: int | None = None,
        attachment: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        """Answer a question in a conversation. Events as `session.events` lists them. Raises RagchatError.

        It comes after `parent_id`: None for the branch that is shown, 0 for the beginning of another one. `attachment` is text
        without a name, `files` are cited by theirs; with `pinned` passages no others are looked for.
        """
        asked = _Asked.of(question, attachment, files, pinned)
        record = Record(self._chats, conversation_id, cites=bool(self._searcher or files or pinned))
        earlier = self._earlier(conversation_id, parent_id)
        names = attached.names_of(asked.files, asked.pinned)
        stored = record.begin(attached.stored_question(asked.question, asked.text, names), parent_id)
        yield from self._recorded(record, stored, self._answer(record, asked, earlier, cancel))

    def regenerate(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        """Another answer to the question of a stored one, beside it. Events as those of `ask`. Raises RagchatError.

        Documents are searched anew. What was attached to the question is not there any more, so a question that had something
        attached is answered from the prompt that is recorded.
        """
        assert self._chats
        old = self._chats.message(answer_id)
        question = self._chats.message(old.parent_id)
        record = Record(self._chats, old.conversation_id, cites=bool(old.citation_count or self._searcher))
        recorded = self._chats.generation(answer_id)
        if recorded and recorded.prompt and _has_attachment(question.content, recorded):
            answer = self._answer_recorded(record, answer_id, recorded, cancel)
        else:
            earlier = self._chats.branch_to(question.parent_id)
            answer = self._answer(record, _Asked.of(question.content), earlier, cancel)
        yield from self._recorded(record, record.begin_again(question.id), answer)

    def continue_answer(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        """Go on with an answer that was cut or stopped; events as those of `ask`, with the new text. Raises RagchatError."""
        assert self._chats
        old = self._chats.message(answer_id)
        recorded = self._chats.generation(answer_id)
        if recorded is None or not recorded.prompt or not old.content:
            raise UsageError("There is nothing here to go on from.", "r answers the question anew.")
        record = Record(self._chats, old.conversation_id, cites=bool(old.citation_count))
        so_far = Message("assistant", _without_notice(old.content))
        again = replace(recorded, prompt=(*recorded.prompt, so_far))
        stored = record.resume(old)
        yield from self._recorded(record, stored, self._answer_recorded(record, answer_id, again, cancel))

    def preview(
        self,
        question: str,
        *,
        conversation_id: int = 0,
        parent_id: int | None = None,
        attachment: str = "",
        files: Sequence[Attachment] = (),
        pinned: Sequence[Hit] = (),
        cancel: CancelToken,
    ) -> Preview:
        """The prompt that `ask` would send (0: in a new chat); nothing is stored or generated. Raises RagchatError."""
        asked = _Asked.of(question, attachment, files, pinned)
        earlier = self._earlier(conversation_id, parent_id) if conversation_id else []
        asked, demands = self._scoped(asked)
        used, found = self._retrieve(asked, demands, [m.content for m in earlier if m.role == "user"])
        for _ in self._load(cancel):
            pass
        packed = self._pack(asked, earlier, found)
        return Preview(used, found, packed, self._model.render_prompt(packed.messages))

    def _load(self, cancel: CancelToken, adapter: str | None = None) -> Iterator[LoadProgress]:
        """The model, with the adapters of the options or these."""
        yield from self._model.load(cancel)
        wanted = self._options.adapter if adapter is None else adapter
        if self._model.adapters != wanted:
            self._model.set_adapters(wanted)

    def _earlier(self, conversation_id: int, parent_id: int | None) -> list[StoredMessage]:
        if not self._chats:
            return []
        return (
            self._chats.messages(conversation_id) if parent_id is None else self._chats.branch_to(parent_id)
        )

    def _recorded(
        self, record: Record, stored: MessageStored, answer: Iterator[SessionEvent]
    ) -> Iterator[SessionEvent]:
        """Pass on what an answer says; whatever ends it is stored."""
        try:
            yield stored
            yield from answer
        except CancelledError:
            yield record.finish("cancelled", (), Timings(), 0, from_documents=False)
        except RagchatError as error:
            record.fail(str(error))
            raise
        except BaseException:  # Ctrl-C, or the caller went away
            record.fail("", state="interrupted")
            raise

    def _answer(
        self,
        record: Record,
        asked: _Asked,
        earlier: Sequence[StoredMessage],
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        started = time.perf_counter()
        asked, demands = self._scoped(asked)
        used, found = self._retrieve(asked, demands, [m.content for m in earlier if m.role == "user"])
        yield used
        yield found
        has_documents = bool(self._searcher)
        if has_documents and self._options.strict and not found.relevant and not asked.brings_text:
            record.say(DECLINED)
            yield TextDelta(DECLINED)
            yield record.finish("stop", (), Timings(retrieval_s=found.retrieval_s), 0, from_documents=False)
            return
        loading = time.perf_counter()
        yield from self._load(cancel)
        loaded = time.perf_counter() - loading
        packed = self._pack(asked, earlier, found)
        generation = self._generation(used, packed, found)
        record.plan(generation, packed.citations)
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
        yield from self._generate(record, generation, packed.citations, cancel, started + loaded)

    def _answer_recorded(
        self, record: Record, answer_id: int, generation: Generation, cancel: CancelToken
    ) -> Iterator[SessionEvent]:
        """Answer from the prompt that an earlier answer had, with its passages."""
        assert self._chats
        offered = self._chats.citations(answer_id)
        goes_on = generation.prompt[-1].role == "assistant"
        yield QueryUsed(generation.query, (), generation.knowledge_bases)
        # An answer that goes on does so as it was begun.
        yield from self._load(cancel, generation.adapter if goes_on else None)
        started = time.perf_counter()
        if not goes_on:
            generation = replace(generation, sampling=self._seeded(), adapter=self._options.adapter)
            record.plan(generation, offered)
        tokens = self._model.count_prompt(generation.prompt)
        info = self._model.info
        assert info
        if tokens + prompt.SMALLEST_ANSWER > info.n_ctx:
            raise PromptTooLongError(
                f"The prompt with the answer so far has {tokens} tokens; the context holds {info.n_ctx}.",
                "Raise model.n_ctx, or ask for the rest in a new question.",
            )
        yield PromptReady(generation.parts, tokens, info.n_ctx, tuple(offered), generation.left_out)
        yield from self._generate(record, generation, offered, cancel, started)

    def _generate(
        self,
        record: Record,
        generation: Generation,
        offered: Sequence[Citation],
        cancel: CancelToken,
        started: float,
    ) -> Iterator[SessionEvent]:
        first_s = 0.0
        for event in self._model.generate(generation.prompt, generation.sampling, cancel=cancel):
            match event:
                case TextDelta(text=text):
                    first_s = first_s or time.perf_counter() - started
                    record.say(text)
                    yield event
                case ReasoningDelta(text=text):
                    record.think(text)
                    yield event
                case PrefillProgress():
                    yield event
                case GenerationFinished():
                    timings = Timings(
                        retrieval_s=generation.retrieval_s,
                        ttft_s=first_s,
                        prefill_tok_s=event.prefill_tok_s,
                        decode_tok_s=event.decode_tok_s,
                        prompt_tokens=event.prompt_tokens,
                        cached_tokens=event.cached_tokens,
                        completion_tokens=event.completion_tokens,
                    )
                    yield record.finish(
                        event.finish_reason,
                        offered,
                        timings,
                        event.seed,
                        from_documents=bool(offered),
                        reasoning_s=event.reasoning_s,
                        reasoning_tokens=event.reasoning_tokens,
                    )

    def _seeded(self) -> Sampling:
        """The sampling of the options, with a seed drawn where none was chosen."""
        sampling = self._options.sampling
        return sampling if sampling.seed is not None else replace(sampling, seed=secrets.randbelow(2**31))

    def _languages(self) -> tuple[str, ...]:
        return self._searcher.languages() if self._searcher else ("en",)

    def _scoped(self, asked: _Asked) -> tuple[_Asked, Scoped]:
        """The question without what says where to search, and that. Raises UsageError when nothing else is asked."""
        if not self._searcher or asked.pinned:
            return asked, Scoped(asked.question)
        demands = scope.parse(asked.question, self._languages())
        if not demands.narrows:
            return asked, demands
        if not demands.text:
            raise UsageError("The question only says where to search.", "Add what you want to know.")
        return replace(asked, question=demands.text), demands

    def _retrieve(
        self, asked: _Asked, demands: Scoped, earlier: Sequence[str]
    ) -> tuple[QueryUsed, HitsFound]:
        languages = self._languages()
        before = [scope.without_operators(text, languages) for text in earlier]
        built = query.build(
            asked.question, before, languages, Vocabulary(self._stores).idf if self._stores else None
        )
        result = SearchResult((), 0.0, 0.0)
        if self._searcher and not asked.pinned:
            k = packing.hits_wanted(self._options.packings.values(), self._options.k)
            result = self._searcher.search(
                built.text,
                k,
                weights=built.weights,
                follow_up=bool(built.topic),
                ranking=self._options.ranking,
                scope=demands,
            )
        # Either tells: shares of words in small collections, scores in large ones and in scripts without spaces (decision 8).
        relevant = bool(result.hits) and (
            result.match >= self._options.min_match
            or result.confidence >= self._options.min_confidence
            or result.related
        )
        hits = asked.pinned or result.hits
        used = QueryUsed(built.text, built.topic, self._names, demands.described(), result.corrections)
        return used, HitsFound(hits, relevant or bool(asked.pinned), result.took_s)

    def _pack(self, asked: _Asked, earlier: Sequence[StoredMessage], found: HitsFound) -> prompt.PackedPrompt:
        info = self._model.info
        assert info
        compaction = self._compaction(earlier)
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
            history=turns_of(earlier, compaction),
            summary=compaction.summary if compaction else "",
            hits=hits,
            packing=way,
            passage_share=self._options.passage_share,
            answer_tokens=self._options.sampling.max_tokens,
            thinks=info.thinks and self._options.thinking,
            instructions=self._options.instructions,
            attachment=brought.text,
            attachment_cited=bool(brought.citations),
        )
        return replace(
            packed,
            citations=(*packed.citations, *brought.citations),
            left_out=(*packed.left_out, *brought.left_out),
        )

    def _compaction(self, earlier: Sequence[StoredMessage]) -> Compaction | None:
        if not self._chats or not earlier:
            return None
        return self._chats.compaction_in(earlier[0].conversation_id, [message.id for message in earlier])

    def _generation(self, used: QueryUsed, packed: prompt.PackedPrompt, found: HitsFound) -> Generation:
        info = self._model.info
        assert info
        return Generation(
            model=info.name,
            model_path=info.path,
            adapter=self._options.adapter,
            knowledge_bases=self._names,
            query=" ".join(
                [used.query, *(f"[{demand}]" for demand in used.scope), *(f"({term})" for term in used.topic)]
            ),
            prompt=packed.messages,
            left_out=packed.left_out,
            sampling=self._seeded(),
            retrieval_s=found.retrieval_s,
            parts=packed.parts,
            n_ctx=packed.n_ctx,
        )


def _has_attachment(question: str, recorded: Generation) -> bool:
    """Whether more was asked than the question says: it names what was attached, or text was piped in."""
    return "\n\n(attached: " in question or any(part.name == "attached text" for part in recorded.parts)


def _without_notice(answer: str) -> str:
    """The model's own words."""
    for notice in (NOT_FROM_DOCUMENTS, NO_ROOM):
        answer = answer.removeprefix(f"{notice}\n\n")
    return answer
