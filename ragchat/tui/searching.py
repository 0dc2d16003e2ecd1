"""What the search screen's worker does: search as the user types, show a hit in its document. No widget is touched here.

One thread, one set of connections, always the newest request. A last word that is still being typed represents the words of the
index that begin with it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragchat.errors import RagchatError
from ragchat.text import clean
from ragchat.tui import messages, tasks
from ragchat.tui.latest_value import LatestValue
from ragchat.tui.safe_content import locate
from ragchat.tui.shown import (
    AsTyped,
    Found,
    NamesRequest,
    Preview,
    PreviewRequest,
    ScopeNames,
    SearchRequest,
    ShownHit,
)

if TYPE_CHECKING:
    from textual.message import Message

    from ragchat.app.services import Services
    from ragchat.retrieval.search import Ranking, Searcher
    from ragchat.store.knowledge import KnowledgeStore


HITS = 20
_COMPLETIONS = 2
"""More would bring in rare words, which weigh more than the one that is meant."""
_SHORTEST_BEGINNING = 3
_CANDIDATES = 400
"""Terms of a segment that are looked at for the most frequent ones."""
_TYPING_S = 0.25
"""A pause that ends the typing."""
_WINDOW = 30_000
"""Characters of a document shown before and behind a hit; the viewer shows all of it."""


def serve(
    services: Services,
    names: Sequence[str],
    requests: LatestValue[SearchRequest],
    post: Callable[[Message], object],
) -> None:
    """Handles requests until there are no more."""

    def work() -> None:
        with contextlib.ExitStack() as stack:
            stores = {
                name: stack.enter_context(contextlib.closing(services.documents.open(name))) for name in names
            }
            _Handling(services, stores, post).all_of(requests)

    tasks.reporting(services, "searching", post, work)


class _Handling:
    """Handles requests one after the other, with connections of its thread."""

    def __init__(
        self, services: Services, stores: dict[str, KnowledgeStore], post: Callable[[Message], object]
    ) -> None:
        self._stores, self._post = stores, post
        documents = services.documents
        self._searcher = documents.searcher(list(stores.values()))
        self._ranking = services.ask_options().ranking
        self._has_meaning = self._searcher.has_meaning and self._ranking.meaning > 0
        self._typed: str | AsTyped | None = None
        """What words have answered and meaning has not."""

    def all_of(self, requests: LatestValue[SearchRequest]) -> None:
        """Until there are no more. Words answer at once; meaning, which may take time, when no one types any more."""
        while True:
            try:
                request = requests.take(_TYPING_S if self._typed else None)
            except TimeoutError:
                self._trying(self._by_meaning)
                continue
            if request is None:
                return
            self._trying(functools.partial(self._handle, request))

    def _trying(self, work: Callable[[], object]) -> None:
        try:
            work()
        except RagchatError as error:
            self._post(messages.TroubleReported(str(error), error.remedy))

    def _handle(self, request: SearchRequest) -> None:
        stores = list(self._stores.values())
        if isinstance(request, PreviewRequest):
            self._post(messages.PreviewRead(preview(self._stores[request.hit.knowledge_base], request)))
        elif isinstance(request, NamesRequest):
            self._post(messages.ScopeNamesRead(scope_names(stores)))
        else:
            self._typed = None
            by_words = replace(self._ranking, meaning=0.0)
            self._post(messages.SearchFinished(search(self._searcher, stores, request, by_words)))
            self._typed = request if self._has_meaning else None

    def _by_meaning(self) -> None:
        typed, self._typed = self._typed, None
        if typed is not None:
            found = search(self._searcher, list(self._stores.values()), typed, self._ranking)
            self._post(messages.SearchFinished(found))


def search(
    searcher: Searcher, stores: Sequence[KnowledgeStore], request: str | AsTyped, ranking: Ranking
) -> Found:
    """The best hits for what has been typed so far.

    Raises StorageError, and NotFoundError or UsageError when the query names a place or a date that is not there.
    """
    from ragchat.retrieval import analyzer, scope, spelling
    from ragchat.retrieval.highlight import matches

    typed, correct = (request.query, False) if isinstance(request, AsTyped) else (request, True)
    languages = dict.fromkeys(code for store in stores for code in store.languages()) or {"en": None}
    scoped = scope.parse(typed, tuple(languages))
    query = scoped.text
    find = functools.partial(
        searcher.search, query, HITS, ranking=ranking, fill=True, scope=scoped, explain=True
    )
    result = find(correct=False)
    asked = frozenset(analyzer.query_terms(query, tuple(languages)))
    words = [
        (token, {term for code in languages for term in analyzer.token_terms(token, code)})
        for token in analyzer.tokens(query)
    ]
    unknown = [token for token, its in words if (its & asked) and (its & asked) <= set(result.unknown)]
    took_s = result.took_s
    typing = unknown[-1] if unknown and typed.endswith(unknown[-1]) else ""
    completions = complete(stores, typing.casefold()) if len(typing) >= _SHORTEST_BEGINNING else []
    if completions:
        unknown.pop()
    correct = correct and any(spelling.parts(word, capitals=True) for word in unknown)
    if completions or correct:
        result = find(weights=dict.fromkeys(completions, 0.5), correct=correct)
        took_s += result.took_s
    corrections = tuple(one for one in result.corrections if not completions or one.word != typing)
    marked = " ".join([query, *completions, *(one.by for one in corrections)])
    shown = []
    for hit in result.hits:
        evidence = " ".join(clean(hit.evidence or hit.text).split())
        shown.append(ShownHit(hit, evidence, tuple(matches(evidence, marked, tuple(languages)))))
    corrected = {one.word for one in corrections}
    unknown = [word for word in dict.fromkeys(unknown) if word not in corrected]
    return Found(
        typed,
        tuple(shown),
        tuple(unknown),
        took_s,
        marked,
        corrections,
        scoped.described(),
        result.unheld,
        scoped.narrows and not query,
        result.explanations,
    )


def scope_names(stores: Sequence[KnowledgeStore]) -> ScopeNames:
    """What may stand behind an operator. Raises StorageError."""
    from ragchat.retrieval import within

    return ScopeNames(within.folders(stores), within.file_names(stores), [store.name for store in stores])


def names_of(names: ScopeNames, operator: str) -> Sequence[str]:
    """What may stand behind `in`, `file` or `kb`."""
    return {"in": names.folders, "file": names.files, "kb": names.knowledge_bases}.get(operator, ())


def begun_operator(query: str) -> tuple[str, str] | None:
    """(operator, what of its value is typed, with a quotation mark before it if there is one) at the end of a query."""
    found = _BEGUN.search(query)
    return (found[1], found[2]) if found else None


def suggest(query: str, names: ScopeNames) -> str | None:
    """The query with the operator at its end completed; None when nothing begins so."""
    begun = begun_operator(query)
    if begun is None:
        return None
    operator, value = begun
    wanted = value.removeprefix('"')
    for name in names_of(names, operator):
        quoted = value.startswith('"')
        if (
            len(name) > len(wanted)
            and name.casefold().startswith(wanted.casefold())
            and (quoted or " " not in name)
        ):
            return query + name[len(wanted) :] + ('"' if quoted else "")
    return None


_BEGUN = re.compile(r"(?<!\S)(in|file|kb):(\"[^\"]{0,200}|[^\s\"]{0,200})\Z")


def complete(stores: Sequence[KnowledgeStore], beginning: str) -> list[str]:
    """Terms of the index that begin so, those of most chunks first."""
    dfs: dict[str, int] = {}
    for store in stores:
        with store.reading():
            for segment in store.index.segments():
                for term, df, _ in store.index.lists_after(segment.id, beginning, _CANDIDATES):
                    if not term.startswith(beginning):
                        break
                    dfs[term] = dfs.get(term, 0) + df
    return sorted(dfs, key=lambda term: (-dfs[term], term))[:_COMPLETIONS]


def preview(store: KnowledgeStore, request: PreviewRequest) -> Preview:
    """The hit in its document; alone when that has changed meanwhile. Raises StorageError."""
    from ragchat.retrieval.highlight import matches

    hit = request.hit
    whole = store.document_text(hit.document_id)
    near = min(hit.span.char_first, len(whole))
    first = whole.rfind("\n", 0, max(0, near - _WINDOW)) + 1 if near > _WINDOW else 0
    text = clean(whole[first : hit.span.char_last + _WINDOW])
    passage = locate(text, clean(hit.text), near=near - first)
    if passage is None:
        text = clean(hit.text)
        passage = (0, len(text))
    inside = text[passage[0] : passage[1]]
    evidence = locate(inside, clean(hit.evidence)) if hit.evidence else None
    languages = store.languages() or ("en",)
    return Preview(
        hit,
        text,
        passage,
        (passage[0] + evidence[0], passage[0] + evidence[1]) if evidence else None,
        tuple((passage[0] + a, passage[0] + b) for a, b in matches(inside, request.marked, languages)),
    )
