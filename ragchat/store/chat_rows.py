"""Rows of `ragchat.db` and the values they stand for, both ways. No statement is run here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ragchat.store.chat_checks import check_of
from ragchat.store.chat_former import omission
from ragchat.store.database import SPAN_COLUMNS, span_of, span_row
from ragchat.types import (
    AdapterScale,
    ChatOptions,
    Citation,
    Compaction,
    Conversation,
    EvaluationQuestion,
    Generation,
    Hit,
    Message,
    Omission,
    OmissionKind,
    PromptPart,
    Quote,
    Sampling,
    StoredMessage,
    Timings,
)


def names_json(names: Sequence[str] | None) -> str | None:
    """A list of names as it is stored; None stays None."""
    return None if names is None else json.dumps(list(names), ensure_ascii=False)


def conversation_of(row: sqlite3.Row) -> Conversation:
    """A row of `conversations`."""
    names = None if row["knowledge_bases"] is None else tuple(json.loads(row["knowledge_bases"]))
    return Conversation(
        id=row["id"],
        title=row["title"],
        model=row["model"] or "",
        knowledge_bases=names,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        pinned=bool(row["pinned"]),
        tags=tuple(json.loads(row["tags"])),
        options=replace(options_of(row["options"]), knowledge_bases=names),
        leaf_id=row["leaf_id"] or 0,
    )


def options_json(options: ChatOptions) -> str:
    """What differs from the defaults, so that a later field has its default in older rows."""
    plain = ChatOptions()
    values = {name: getattr(options, name) for name in ChatOptions.__slots__}
    chosen = {name: value for name, value in values.items() if value != getattr(plain, name)}
    if "adapters" in chosen:
        chosen["adapter"] = AdapterScale.join(chosen.pop("adapters"))
    return json.dumps(chosen, ensure_ascii=False)


def options_of(text: str) -> ChatOptions:
    """Fields that this version does not know are left out."""
    stored: dict[str, Any] = json.loads(text)
    values = {name: value for name, value in stored.items() if name in ChatOptions.__slots__}
    values["adapters"] = adapters_of(stored.get("adapter", ""))
    if values.get("knowledge_bases") is not None:
        values["knowledge_bases"] = tuple(values["knowledge_bases"])
    return ChatOptions(**values)


def adapters_of(text: str) -> tuple[AdapterScale, ...]:
    """Adapters as they are stored; none where no one can say what was meant."""
    try:
        return AdapterScale.parse(text)
    except ValueError:
        return ()


def attachments_text(names: Sequence[str]) -> str:
    """Names of attachments as they are stored."""
    return "\n".join(names)


def attachments_of(text: str) -> tuple[str, ...]:
    """Names of attachments, stored one a line."""
    return tuple(text.split("\n")) if text else ()


def omissions_json(left_out: Sequence[Omission]) -> str:
    """What a prompt left out, as it is stored."""
    return json.dumps(
        [[one.kind, one.count, one.of, one.n_ctx, one.name] for one in left_out], ensure_ascii=False
    )


def omissions_of(text: str) -> tuple[Omission, ...]:
    """What a prompt left out, from its JSON."""
    return tuple(
        omission(one) if isinstance(one, str) else Omission(OmissionKind(one[0]), *one[1:])
        for one in json.loads(text)
    )


_BESIDE = (
    *("ahead_tokens", "wasted_tokens", "wasted_cpu_s"),
    *("restored_tokens", "drafted_tokens", "accepted_tokens"),
)


def ahead_json(timings: Timings) -> str:
    """What was read ahead, restored and looked up; '' where nothing was."""
    found = {name: value for name in _BESIDE if (value := getattr(timings, name))}
    return json.dumps(found) if found else ""


def _beside(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    return {name: found[name] for name in _BESIDE if name in found}


def message_of(row: sqlite3.Row, siblings: Sequence[int] = (), quotes: Sequence[Quote] = ()) -> StoredMessage:
    """A row of `messages` joined with its generation, and its quotes."""
    timings = None
    if row["ttft_s"] is not None:
        timings = Timings(
            retrieval_s=row["retrieval_s"] or 0.0,
            ttft_s=row["ttft_s"],
            prefill_tok_s=row["prefill_tok_s"],
            decode_tok_s=row["decode_tok_s"],
            prompt_tokens=row["prompt_tokens"],
            cached_tokens=row["cached_tokens"],
            completion_tokens=row["completion_tokens"],
            **_beside(row["ahead"]),
        )
    return StoredMessage(
        id=row["id"],
        conversation_id=row["conversation_id"],
        role=row["role"],
        content=row["content"],
        state=row["state"],
        finish_reason=row["finish_reason"] or "",
        error=row["error"] or "",
        created_at=row["created_at"],
        citation_count=row["citation_count"],
        timings=timings,
        parent_id=row["parent_id"] or 0,
        siblings=tuple(siblings) or (row["id"],),
        rating=row["rating"],
        correction=row["correction"],
        reasoning=row["reasoning"],
        reasoning_s=row["reasoning_s"],
        reasoning_tokens=row["reasoning_tokens"],
        notice=row["notice"],
        attachments=attachments_of(row["attachments"]),
        quotes=tuple(quotes),
        check=check_of(row["checked"], row["content"]),
    )


def generation_row(message_id: int, generation: Generation) -> tuple[object, ...]:
    """In the order of GENERATION_COLUMNS."""
    sampling = {name: getattr(generation.sampling, name) for name in Sampling.__slots__}
    prompt = [{"role": m.role, "content": m.content} for m in generation.prompt]
    return (
        message_id,
        generation.model,
        generation.model_path,
        AdapterScale.join(generation.adapters),
        json.dumps(list(generation.knowledge_bases)),
        generation.query,
        json.dumps(prompt, ensure_ascii=False),
        omissions_json(generation.left_out),
        json.dumps(sampling, ensure_ascii=False),
        generation.sampling.seed,
        generation.retrieval_s,
        json.dumps([[part.name, part.tokens] for part in generation.parts]),
        generation.n_ctx,
    )


GENERATION_COLUMNS = (
    "message_id, model, model_path, adapter, knowledge_bases, query, prompt, left_out, sampling, seed, retrieval_s, parts,"
    + " n_ctx"
)


def generation_of(row: sqlite3.Row) -> Generation:
    """A row of `generations`."""
    sampling: dict[str, Any] = json.loads(row["sampling"])
    sampling["stop"] = tuple(sampling["stop"])
    sampling["seed"] = row["seed"]
    return Generation(
        model=row["model"],
        model_path=row["model_path"],
        adapters=adapters_of(row["adapter"]),
        knowledge_bases=tuple(json.loads(row["knowledge_bases"])),
        query=row["query"],
        prompt=tuple(Message(m["role"], m["content"]) for m in json.loads(row["prompt"])),
        left_out=omissions_of(row["left_out"]),
        sampling=Sampling(**sampling),
        retrieval_s=row["retrieval_s"] or 0.0,
        parts=tuple(PromptPart.named(name, tokens) for name, tokens in json.loads(row["parts"])),
        n_ctx=row["n_ctx"],
    )


def citation_row(message_id: int, citation: Citation) -> tuple[object, ...]:
    """The values of a row of `citations`, in the order of its columns."""
    hit, span = citation.hit, span_row(citation.hit.span)
    return (
        *(message_id, citation.n, hit.rank, hit.score, hit.knowledge_base, hit.chunk_id, hit.document_id),
        *(hit.path, hit.title, hit.heading, *span[:6], hit.text, hit.content_hash, hit.evidence),
        *(citation.quote, int(citation.used), *span[6:]),
    )


def citation_of(row: sqlite3.Row) -> Citation:
    """A row of `citations`."""
    return Citation(row["n"], _hit_of(row), row["quote"], bool(row["used"]))


QUOTE_COLUMNS = ", ".join(
    (
        *("message_id", "n", "rank", "score", "knowledge_base", "chunk_id", "document_id", "path", "title"),
        *("heading", *SPAN_COLUMNS[:6], "text", "content_hash", "evidence", *SPAN_COLUMNS[6:]),
        *("quote_first", "quote_last", "chance"),
    )
)


def quote_row(message_id: int, n: int, quote: Quote) -> tuple[object, ...]:
    """The values of a row of `quotes`, in the order of QUOTE_COLUMNS."""
    hit, span = quote.hit, span_row(quote.hit.span)
    return (
        *(message_id, n, hit.rank, hit.score, hit.knowledge_base, hit.chunk_id, hit.document_id),
        *(hit.path, hit.title, hit.heading, *span[:6], hit.text, hit.content_hash, hit.evidence),
        *(*span[6:], quote.first, quote.last, quote.chance),
    )


def quotes_of(rows: Sequence[sqlite3.Row]) -> dict[int, list[Quote]]:
    """Rows of `quotes` by their message, in their order; broken ones are left out."""
    quotes: dict[int, list[Quote]] = {}
    for row in rows:
        if quote := _quote_of(row):
            quotes.setdefault(row["message_id"], []).append(quote)
    return quotes


def _quote_of(row: sqlite3.Row) -> Quote | None:
    """None for what ragchat would not have written: a database may have been in other hands."""
    import msgspec

    try:
        quote = Quote(_hit_of(row), row["quote_first"], row["quote_last"], row["chance"])
        return sound_quote(msgspec.convert(msgspec.to_builtins(quote), Quote))
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None


def sound_quote(quote: Quote) -> Quote | None:
    """The quote where it lies in its passage and has a chance, else None."""
    inside = 0 <= quote.first < quote.last <= len(quote.hit.text)
    return quote if inside and 0 <= quote.chance <= 1 else None


def quoted_text(quotes: Sequence[Quote]) -> str:
    """What the quotes of an answer say, as a search over the chats reads it."""
    return "\n\n".join(quote.text for quote in quotes)


def _hit_of(row: sqlite3.Row) -> Hit:
    return Hit(
        rank=row["rank"],
        score=row["score"],
        knowledge_base=row["knowledge_base"],
        chunk_id=row["chunk_id"],
        document_id=row["document_id"],
        path=row["path"],
        title=row["title"],
        heading=row["heading"],
        span=span_of(row),
        text=row["text"],
        content_hash=row["content_hash"],
        evidence=row["evidence"],
    )


def compaction_of(row: sqlite3.Row) -> Compaction:
    """A row of `compactions`."""
    return Compaction(
        row["id"], row["conversation_id"], row["message_id"], row["summary"], row["model"], row["created_at"]
    )


def question_of(row: sqlite3.Row) -> EvaluationQuestion:
    """A row of `evaluation_questions`."""
    return EvaluationQuestion(
        id=row["id"],
        question=row["question"],
        answers=tuple(json.loads(row["answers"])),
        source=row["source"],
        quote=row["quote"],
        tags=tuple(json.loads(row["tags"])),
        answerable=bool(row["answerable"]),
        message_id=row["message_id"],
        created_at=row["created_at"],
    )
