"""A question in, typed events out. Stores everything as it happens: the question before anything else, the answer while it
streams, and what it was made from.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from ragchat.errors import CancelledError, NotFoundError, PromptTooLongError, RagchatError, UsageError
from ragchat.llm.loading import loaded
from ragchat.retrieval import quoting, scope
from ragchat.retrieval.scope import Scoped
from ragchat.retrieval.search import DEFAULT, Ranking, Searcher, SearchResult
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import (
    answerability,
    packing,
    preparing,
    prompt,
    query,
    rewriting,
    second_look,
    without_model,
)
from ragchat.session.answerability import Own, Signals
from ragchat.session.events import (
    AnswerKind,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryRewritten,
    QueryUsed,
    QuotesFound,
    Rewritten,
    SearchUnsure,
    SessionEvent,
)
from ragchat.session.preparing import Estimated, Foreseen, Looked, Plan, Typed
from ragchat.session.record import Record, turns_of
from ragchat.session.rewriting import Averaging, Rewriting, Sought
from ragchat.session.sources import Attachment, Sources
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean, clean_line, counted
from ragchat.types import (
    AdapterScale,
    CancelToken,
    ChatModel,
    Citation,
    Compaction,
    Generation,
    GenerationFinished,
    Hit,
    LoadedModel,
    LoadProgress,
    Message,
    ModelInfo,
    PrefillProgress,
    PromptPartKind,
    Quote,
    ReadAhead,
    ReasoningDelta,
    Sampling,
    StoredMessage,
    TextDelta,
    Timings,
)
from ragchat.types.defaults import HITS, MIN_CONFIDENCE, MIN_MATCH, PASSAGE_SHARE

if TYPE_CHECKING:
    from ragchat.types.embedding import Embedder
    from ragchat.types.reranking import Reranker

NOT_FROM_DOCUMENTS = "Nothing in your documents answers this. The answer below is not from them."
NO_ROOM = "The relevant passages did not fit in the prompt. This answer is not from your documents."
NOTICES = {AnswerKind.UNMATCHED: NOT_FROM_DOCUMENTS, AnswerKind.NO_ROOM: NO_ROOM}
"""What is above an answer of this kind."""
LONGEST_TITLE = 60


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer. `k` hits are searched, at most `passages` of them packed (0: by the model's size).

    A passage counts as relevant when it holds a share of `min_match` of the question's weight, or the search is sure of it by
    `min_confidence`. `quote_only`: no model is asked, the documents themselves answer. `second_look`: the model
    looks again at what it said. `ranking` is how the search ranks.
    `adapters` are those that are switched on. `rewriting` says whether the model may write what else to search for,
    `own` what `ragchat eval calibrate` learned of your questions.
    """

    sampling: Sampling = field(default_factory=Sampling)
    k: int = HITS
    passages: int = 0
    passage_share: float = PASSAGE_SHARE
    min_match: float = MIN_MATCH
    min_confidence: float = MIN_CONFIDENCE
    strict: bool = False
    quote_only: bool = False
    second_look: bool = False
    thinking: bool = False
    instructions: str = ""
    adapters: tuple[AdapterScale, ...] = ()
    packings: Mapping[str, packing.Packing] = field(default_factory=dict)
    ranking: Ranking = DEFAULT
    rewriting: Rewriting = rewriting.OFF
    own: Own = answerability.AS_SHIPPED

    def layout(self, info: ModelInfo) -> prompt.Layout:
        """How prompts for this model are made."""
        return prompt.Layout(
            n_ctx=info.n_ctx,
            packing=packing.for_model(info, self.packings, passages=self.passages, alone=not self.adapters),
            passage_share=self.passage_share,
            answer_tokens=self.sampling.max_tokens,
            instructions=self.instructions,
            thinks=info.thinks and self.thinking,
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What `ask` would send. `rendered` is the prompt as the chat template writes it."""

    query: QueryUsed
    found: HitsFound
    prompt: prompt.PackedPrompt
    rendered: str


@dataclass(frozen=True, slots=True)
class _Retrieved:
    """What was searched for and found, and what the documents themselves say; `loading_s` of that time the model was loaded."""

    query: QueryUsed
    found: HitsFound
    asked: str = ""
    result: SearchResult | None = None
    quotes: tuple[Quote, ...] = ()
    signals: Signals | None = None
    """What the search tells of the chance that the documents answer; only a strict chat needs it so early."""
    loading_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Again:
    """The better of two searches, and what the second one was for; None: there was no second one."""

    result: SearchResult
    rewritten: Rewritten | None = None
    loading_s: float = 0.0


class ChatSession:
    """Asks one model over some knowledge bases. Belongs to the thread whose connections it was given."""

    def __init__(
        self,
        chats: ChatStore | None,
        model: ChatModel,
        knowledge_bases: Sequence[KnowledgeStore],
        options: AskOptions,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        looked: Looked | None = None,
    ) -> None:
        """Without `chats` nothing is stored (a question from a script); without `embedder` words alone find passages.

        With a `reranker` a cross-encoder orders the first hits. `looked`: what other sessions over the same folder looked up.
        """
        self._chats, self._model, self._options = chats, model, options
        self._stores, self._embedder = tuple(knowledge_bases), embedder
        self._names = tuple(store.name for store in knowledge_bases)
        self._reranker, self._looked = reranker, looked or Looked()
        self._meant = Averaging(embedder) if embedder and rewriting.serves(options.rewriting, None) else None
        self._searcher = (
            Searcher(knowledge_bases, self._meant or embedder, reranker) if knowledge_bases else None
        )

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
        plan: Plan | None = None,
        cancel: CancelToken,
    ) -> Iterator[SessionEvent]:
        """Answer a question in a conversation. Events as `session.events` lists them. Raises RagchatError.

        It comes after `parent_id`: None for the branch that is shown, 0 for the beginning of another one. `attachment` is text
        without a name, `files` are cited by theirs; with `pinned` passages no others are looked for. `plan` is the one with which
        it was read ahead while it was typed.
        """
        question, sources = _asked(question), Sources.attached(attachment, files, pinned)
        record = self._record(conversation_id, cites=bool(self._searcher or files or pinned))
        earlier = self._earlier(conversation_id, parent_id)
        content = "\n\n".join(filter(None, (question, sources.text)))
        stored = record.begin(content, parent_id, attachments=sources.names)
        yield from self._recorded(
            record, stored, self._answer(record, question, sources, earlier, cancel, plan)
        )

    def regenerate(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        """Another answer to the question of a stored one, beside it. Events as those of `ask`. Raises RagchatError.

        Documents are searched again. What was attached to the question is not there any more, so a question that had something
        attached is answered from the prompt that is recorded.
        """
        assert self._chats
        old = self._chats.message(answer_id)
        question = self._chats.message(old.parent_id)
        record = self._record(old.conversation_id, cites=bool(old.citation_count or self._searcher))
        recorded = self._chats.generation(answer_id)
        if recorded and recorded.prompt and _had_attachment(question, recorded):
            answer = self._answer_recorded(record, answer_id, recorded, cancel)
        else:
            earlier = self._chats.branch_to(question.parent_id)
            answer = self._answer(record, _asked(question.content), Sources(), earlier, cancel)
        yield from self._recorded(record, record.begin_again(question.id), answer)

    def continue_answer(self, answer_id: int, *, cancel: CancelToken) -> Iterator[SessionEvent]:
        """Continue with an answer that was cut or stopped; events as those of `ask`, with the new text. Raises RagchatError."""
        assert self._chats
        old = self._chats.message(answer_id)
        recorded = self._chats.generation(answer_id)
        if recorded is None or not recorded.prompt or not old.content:
            raise UsageError("This answer cannot be continued.", "Press r to regenerate it.")
        if old.finish_reason == "repeats":
            raise UsageError(
                "The model repeats itself at the end of this answer.", "Regenerate it: r, or /retry."
            )
        record = self._record(old.conversation_id, cites=bool(old.citation_count))
        so_far = Message("assistant", old.content)
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
        question, sources = _asked(question), Sources.attached(attachment, files, pinned)
        earlier = self._earlier(conversation_id, parent_id)
        question, demands = self._scoped(question, sources)
        retrieved = _returned(self._retrieve(question, sources, demands, earlier, cancel))
        used, found = retrieved.query, retrieved.found
        options = self._options
        model = loaded(self._model, cancel, thinking=options.thinking, adapters=options.adapters)
        with_hits = self._with_hits(sources, retrieved, None, model.info)
        packed = self._pack(model, model.info, question, with_hits, earlier)
        return Preview(used, found, packed, model.render_prompt(packed.messages))

    # --- before a question is sent -------------------------------------------------------------------

    def foresee(self, typed: Typed, plan: Plan | None, *, cancel: CancelToken) -> Foreseen:
        """What a question would be answered from if it were sent as far as it is typed, and what of its prompt `plan` finds worth
        reading ahead (None, or no model is loaded: nothing is). Neither reads nor asks the model. Raises RagchatError.
        """
        sources = Sources.attached("", typed.files, typed.pinned)
        if not preparing.long_enough(typed.text):
            return Foreseen()
        earlier = self._earlier(typed.conversation_id, typed.parent_id)
        question, demands = self._scoped(_asked(typed.text), sources)
        looking = self._retrieve(question, sources, demands, earlier, cancel, may_rewrite=False)
        retrieved = _returned(looking)
        found, info = retrieved.found, self._model.info
        shown = tuple(Citation(n, hit, hit.evidence) for n, hit in enumerate(found.hits, 1))
        foreseen = Foreseen(shown if found.relevant else (), found.relevant)
        if plan is None or info is None:
            return foreseen
        with_hits = self._with_hits(sources, retrieved, plan, info)
        guess = Estimated(info, self._looked.bytes_per_token(info))
        packed = self._pack(guess, info, question, with_hits, earlier)
        return replace(
            foreseen,
            citations=packed.citations or foreseen.citations,
            beginning=plan.beginning(packed),
            owners=self._owners(typed.conversation_id, packed.citations),
        )

    def read_ahead(self, foreseen: Foreseen, *, cancel: CancelToken) -> ReadAhead | None:
        """Have the model read what was foreseen; None: there is no such thing, or no model is loaded. Raises ModelError."""
        if not foreseen.beginning or self._model.info is None:
            return None
        model = self._present_model(cancel)
        return model.prepare(foreseen.beginning, cancel=cancel, owners=foreseen.owners)

    def warm(
        self, conversation_id: int, *, parent_id: int | None = None, cancel: CancelToken
    ) -> ReadAhead | None:
        """Have the model read ahead what the next prompt of a chat (0: of a new one) begins with; None: no model is loaded.

        Raises RagchatError.
        """
        if self._model.info is None:
            return None
        earlier = self._earlier(conversation_id, parent_id)
        model = self._present_model(cancel)
        layout = self._options.layout(model.info)
        begun = prompt.opening(model, layout, self._said(earlier), cites=bool(self._searcher))
        return model.prepare(begun, cancel=cancel, owners=self._owners(conversation_id), keep=True)

    def _owners(self, conversation_id: int, offered: Sequence[Citation] = ()) -> tuple[str, ...]:
        """Whose texts a prompt of this chat has: earlier answers repeat what they were made from."""
        cited = self._chats.cited(conversation_id) if self._chats and conversation_id else ()
        return preparing.owners_of(conversation_id, offered, cited)

    def _present_model(self, cancel: CancelToken) -> LoadedModel:
        """The model that is loaded, as this chat uses it."""
        options = self._options
        return loaded(self._model, cancel, thinking=options.thinking, adapters=options.adapters)

    def _record(self, conversation_id: int, *, cites: bool) -> Record:
        return Record(self._chats, conversation_id, cites=cites, strict=self._options.strict)

    def _load(
        self, cancel: CancelToken, adapters: tuple[AdapterScale, ...]
    ) -> Generator[LoadProgress, None, LoadedModel]:
        return self._model.load(cancel, thinking=self._options.thinking, adapters=adapters)

    def _earlier(self, conversation_id: int, parent_id: int | None) -> list[StoredMessage]:
        if not self._chats or not conversation_id:
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
            offered = record.offered
            yield record.finish("cancelled", offered, Timings(), 0, from_documents=bool(offered))
        except RagchatError as error:
            record.fail(str(error))
            raise
        except BaseException:  # Ctrl-C, or the caller went away
            record.fail("", state="interrupted")
            raise

    def _answer(
        self,
        record: Record,
        question: str,
        sources: Sources,
        earlier: Sequence[StoredMessage],
        cancel: CancelToken,
        plan: Plan | None = None,
    ) -> Iterator[SessionEvent]:
        started = time.perf_counter()
        question, demands = self._scoped(question, sources)
        retrieved = yield from self._retrieve(question, sources, demands, earlier, cancel)
        used, found = retrieved.query, retrieved.found
        yield used
        yield found
        has_documents = bool(self._searcher)
        declines = has_documents and not found.relevant and not sources.brings_text
        quotes = retrieved.quotes
        if quotes:
            record.quote(quotes)
            yield QuotesFound(quotes)
        if found.relevant and not sources.brings_text:
            record.weigh(partial(self._signals, retrieved), self._options.own)
        if self._options.quote_only or (declines and self._options.strict):
            yield from without_model.answer(record, found, quotes)
            return
        loading = time.perf_counter()
        try:
            model = yield from self._load(cancel, self._options.adapters)
        except NotFoundError as error:
            if not quotes:
                raise
            notice = " ".join(filter(None, (without_model.NO_MODEL, str(error), error.remedy)))
            yield from without_model.answer(record, found, quotes, notice)
            return
        loading_s = retrieved.loading_s + time.perf_counter() - loading
        with_hits = self._with_hits(sources, retrieved, plan, model.info)
        packed = self._pack(model, model.info, question, with_hits, earlier)
        self._looked.learn(model.info, packed)
        generation = self._generation(model.info, used, packed, found)
        record.plan(generation, packed.citations)
        yield PromptReady(packed.parts, packed.prompt_tokens, packed.n_ctx, packed.citations, packed.left_out)
        if has_documents and not packed.citations and not sources.brings_text:
            if found.relevant and self._options.strict:
                raise PromptTooLongError(
                    "The search found relevant passages, but none fits next to the question in the context of"
                    f" {packed.n_ctx} tokens.",
                    "Shorten the question, or raise model.n_ctx or retrieval.passage_share.",
                )
            kind = AnswerKind.NO_ROOM if found.relevant else AnswerKind.UNMATCHED
            record.decide(kind, NOTICES[kind])
            yield TextDelta(f"{NOTICES[kind]}\n\n")
        yield from self._generate(model, record, generation, packed.citations, cancel, started + loading_s)

    def _answer_recorded(
        self, record: Record, answer_id: int, generation: Generation, cancel: CancelToken
    ) -> Iterator[SessionEvent]:
        """Answer from the prompt that an earlier answer had, with its passages."""
        assert self._chats
        offered = self._chats.citations(answer_id)
        goes_on = generation.prompt[-1].role == "assistant"
        yield QueryUsed(generation.query, (), generation.knowledge_bases)
        if quotes := self._chats.message(answer_id).quotes:
            if not goes_on:
                record.quote(quotes)
            yield QuotesFound(quotes)
        # An answer that goes on does so as it was begun.
        model = yield from self._load(cancel, generation.adapters if goes_on else self._options.adapters)
        started = time.perf_counter()
        if not goes_on:
            sampling = replace(self._seeded(), grammar=generation.sampling.grammar)
            generation = replace(generation, sampling=sampling, adapters=self._options.adapters)
            record.plan(generation, offered)
        tokens, info = model.count_prompt(generation.prompt), model.info
        if tokens + prompt.SMALLEST_ANSWER > info.n_ctx:
            raise PromptTooLongError(
                f"The prompt with the answer so far has {counted(tokens, 'token')}. The context has {info.n_ctx}.",
                "Raise model.n_ctx or ask for the rest in a new question.",
            )
        yield PromptReady(generation.parts, tokens, info.n_ctx, tuple(offered), generation.left_out)
        yield from self._generate(model, record, generation, offered, cancel, started)

    def _generate(
        self,
        model: LoadedModel,
        record: Record,
        generation: Generation,
        offered: Sequence[Citation],
        cancel: CancelToken,
        started: float,
    ) -> Iterator[SessionEvent]:
        first_s = 0.0
        owners = self._owners(record.conversation_id, offered)
        for event in model.generate(generation.prompt, generation.sampling, cancel=cancel, owners=owners):
            match event:
                case TextDelta(text=text):
                    first_s = first_s or time.perf_counter() - started
                    record.say(text)
                    yield event
                    record.weigh_now()
                case ReasoningDelta(text=text):
                    record.think(text)
                    yield event
                case PrefillProgress():
                    yield event
                case GenerationFinished():
                    record.take_back(event.repeated)
                    timings = Timings.of(event, retrieval_s=generation.retrieval_s, ttft_s=first_s)
                    yield record.finish(
                        event.finish_reason,
                        offered,
                        timings,
                        event.seed,
                        from_documents=bool(offered),
                        generated=event,
                        look=partial(second_look.look, model, offered=offered)
                        if self._options.second_look and offered
                        else None,
                    )

    def _seeded(self) -> Sampling:
        """The sampling of the options, with a seed drawn where none was chosen."""
        sampling = self._options.sampling
        return sampling if sampling.seed is not None else replace(sampling, seed=secrets.randbelow(2**31))

    def _languages(self) -> tuple[str, ...]:
        return self._searcher.languages() if self._searcher else ("en",)

    def _scoped(self, question: str, sources: Sources) -> tuple[str, Scoped]:
        """The question without what says where to search, and that. Raises UsageError when nothing else is asked."""
        if not self._searcher or sources.pinned:
            return question, Scoped(question)
        demands = scope.parse(question, self._languages())
        if not demands.narrows:
            return question, demands
        if not demands.text:
            raise UsageError("The question contains only search filters.", "Add what you want to ask.")
        return demands.text, demands

    def _retrieve(
        self,
        question: str,
        sources: Sources,
        demands: Scoped,
        earlier: Sequence[StoredMessage],
        cancel: CancelToken,
        *,
        may_rewrite: bool = True,
    ) -> Generator[SessionEvent, None, _Retrieved]:
        started = time.perf_counter()
        languages = self._languages()
        before = [scope.without_operators(m.content, languages) for m in earlier if m.role == "user"]
        built = query.build(
            question, before, languages, Vocabulary(self._stores).idf if self._stores else None
        )
        result = SearchResult((), 0.0, 0.0)
        sought = Sought(built.text, built.weights, follow_up=bool(built.topic))
        if self._searcher and not sources.pinned:
            result = self._search(sought, demands)
        relevant, again = self._relevant(result), _Again(result)
        if may_rewrite and self._may_rewrite(result, demands, sources, relevant=relevant):
            leaning = before[-1] if built.topic and before else ""
            again = yield from self._search_again(result, sought, leaning, cancel)
            # What the model wrote does not make the documents speak of the question.
            relevant = relevant or again.result.match >= self._options.min_match
        hits = sources.pinned or again.result.hits
        used = QueryUsed(
            built.text,
            built.topic,
            self._names,
            demands.described(),
            again.result.corrections,
            again.rewritten,
        )
        took_s = time.perf_counter() - started - again.loading_s if again.rewritten else result.took_s
        asked = " ".join((used.query, *used.topic))
        quotes = self._quotes(asked, hits) if relevant or sources.pinned else ()
        found = HitsFound(hits, relevant or bool(sources.pinned), took_s)
        retrieved = _Retrieved(used, found, asked, again.result, quotes, loading_s=again.loading_s)
        if not self._options.strict or not relevant:
            return retrieved
        signals = self._signals(retrieved)
        if self._declines(signals):
            return replace(retrieved, found=replace(found, relevant=False), quotes=())
        return replace(retrieved, signals=signals)

    def _search(self, sought: Sought, demands: Scoped) -> SearchResult:
        """Search, unless this was searched for while it was typed."""
        assert self._searcher
        started, ranking = time.perf_counter(), self._options.ranking
        search = partial(
            self._searcher.search,
            sought.text,
            self._hits_wanted,
            weights=sought.weights,
            follow_up=sought.follow_up,
            ranking=ranking,
            scope=demands,
        )
        models = (self._embedder.model if self._embedder else None, self._reranker)
        depends_on = (self._hits_wanted, ranking, demands, models, preparing.state_of(self._stores))
        result = self._looked.of(
            ("search", sought, depends_on), search, keep=lambda found: not found.not_by_meaning
        )
        return replace(result, took_s=time.perf_counter() - started)

    def _quotes(self, asked: str, hits: tuple[Hit, ...]) -> tuple[Quote, ...]:
        return self._looked.of(("quotes", asked, hits), lambda: quoting.quote(asked, hits), keep=bool)

    def _signals(self, retrieved: _Retrieved) -> Signals | None:
        """What the search tells of the chance that the documents answer; None where nothing was searched."""
        asked, result, quotes = retrieved.asked, retrieved.result, retrieved.quotes
        if retrieved.signals or not result or not result.hits:
            return retrieved.signals
        worth = Vocabulary(self._stores).idf
        return answerability.search_signals(asked, result, quotes, worth, self._embedder)

    def _declines(self, signals: Signals | None) -> bool:
        """Whether a strict chat does not ask the model."""
        own = self._options.own
        return (
            signals is not None and answerability.before(signals, own) < answerability.thresholds(own).before
        )

    @property
    def _hits_wanted(self) -> int:
        return packing.hits_wanted(self._options.packings.values(), self._options.k)

    def _relevant(self, result: SearchResult) -> bool:
        # Either tells: shares of words in small collections, scores in large ones and in scripts without spaces (decision 8).
        return bool(result.hits) and (
            result.match >= self._options.min_match
            or result.confidence >= self._options.min_confidence
            or result.related
        )

    def _may_rewrite(
        self, result: SearchResult, demands: Scoped, sources: Sources, *, relevant: bool
    ) -> bool:
        """Whether other words may help: not where the question demands its own, nor where it is declined without the model."""
        options = self._options
        return (
            self._searcher is not None
            and not options.quote_only
            and not (demands.narrows or sources.brings_text or (options.strict and not relevant))
            and rewriting.serves(options.rewriting, self._model.info)
            and rewriting.unsure(result, min_match=options.min_match, min_confidence=options.min_confidence)
        )

    def _search_again(
        self, first: SearchResult, sought: Sought, leaning: str, cancel: CancelToken
    ) -> Generator[SessionEvent, None, _Again]:
        """Let the model, without thinking and adapters, write what else to search for. Raises CancelledError, ModelError."""
        assert self._searcher
        started = time.perf_counter()
        try:
            model = yield from self._model.load(cancel)
        except NotFoundError:  # the documents may answer without a model
            return _Again(first)
        loading_s = time.perf_counter() - started
        if not rewriting.serves(self._options.rewriting, model.info):
            return _Again(first, None, loading_s)
        yield SearchUnsure()
        text = rewriting.rewrite(model, sought.text, cancel, before=leaning)
        if not text:
            return _Again(first, None, loading_s)
        yield QueryRewritten(text)
        second = rewriting.search_again(
            self._searcher,
            self._meant,
            sought,
            text,
            Vocabulary(self._stores).idf,
            self._hits_wanted,
            self._options.ranking,
        )
        kept = rewriting.better(first, second)
        return _Again(second if kept else first, Rewritten(text, kept), loading_s)

    def _with_hits(
        self, sources: Sources, retrieved: _Retrieved, plan: Plan | None, info: ModelInfo
    ) -> Sources:
        """The hits go into the prompt when they are relevant, those that are read in front."""
        found = retrieved.found
        if not found.relevant:
            return sources
        way = self._options.layout(info).packing
        ordered = plan.in_order(found.hits, way.passages) if plan and way.form == "chunks" else found.hits
        return sources.found(ordered, retrieved.quotes)

    def _pack(
        self,
        model: prompt.Counts,
        info: ModelInfo,
        question: str,
        sources: Sources,
        earlier: Sequence[StoredMessage],
    ) -> prompt.PackedPrompt:
        return prompt.pack(model, question, sources, self._options.layout(info), self._said(earlier))

    def _said(self, earlier: Sequence[StoredMessage]) -> prompt.Earlier:
        compaction = self._compaction(earlier)
        return prompt.Earlier(tuple(turns_of(earlier, compaction)), compaction.summary if compaction else "")

    def _compaction(self, earlier: Sequence[StoredMessage]) -> Compaction | None:
        if not self._chats or not earlier:
            return None
        return self._chats.compaction_in(earlier[0].conversation_id, [message.id for message in earlier])

    def _generation(
        self, info: ModelInfo, used: QueryUsed, packed: prompt.PackedPrompt, found: HitsFound
    ) -> Generation:
        return Generation(
            model=info.name,
            model_path=info.path,
            adapters=self._options.adapters,
            knowledge_bases=self._names,
            query=used.recorded,
            prompt=packed.messages,
            left_out=packed.left_out,
            sampling=replace(self._seeded(), grammar=packed.grammar),
            retrieval_s=found.retrieval_s,
            parts=packed.parts,
            n_ctx=packed.n_ctx,
        )


def _asked(question: str) -> str:
    """The question as it is stored. Raises UsageError for an empty one."""
    if not (question := clean(question).strip()):
        raise UsageError("The question is empty.", "Type one.")
    return question


def _returned(events: Generator[SessionEvent, None, _Retrieved]) -> _Retrieved:
    """What is returned behind all events."""
    while True:
        try:
            next(events)
        except StopIteration as done:
            found: _Retrieved = done.value
            return found


def _had_attachment(question: StoredMessage, recorded: Generation) -> bool:
    """Whether more was asked than the question says: something was attached, or text was piped in."""
    return bool(question.attachments) or any(part.kind is PromptPartKind.ATTACHED for part in recorded.parts)
