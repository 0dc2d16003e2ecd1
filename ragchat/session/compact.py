"""A summary that represents the beginning of a long chat in the prompts after it.

The turns stay stored and shown, and the summary can be undone (`ChatStore.remove_compaction`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ragchat.errors import CancelledError, ModelError, PromptTooLongError, UsageError
from ragchat.session import prompt
from ragchat.session.chat import AskOptions
from ragchat.session.digest import Digest, Wording
from ragchat.session.events import SummaryProgress
from ragchat.session.preparing import owners_of
from ragchat.session.record import turns_of
from ragchat.session.sources import Sources
from ragchat.store.chats import ChatStore
from ragchat.types import (
    CancelToken,
    ChatModel,
    Compaction,
    GenerationFinished,
    LoadProgress,
    Message,
    PrefillProgress,
    PromptPartKind,
    Sampling,
    StoredMessage,
    TextDelta,
)

KEEP_TURNS = 2
"""Exchanges that speak for themselves, since the next question most likely follows them."""
LONGEST = 192
"""Tokens of the summary: it is in every prompt from then on."""
WORDING = Wording(
    whole="Summarise this conversation in a few short sentences. Keep names, numbers and what was decided.",
    part="Summarise this part of a conversation in two short sentences. Keep names and numbers.",
    join="These are notes on a conversation, in order. Summarise it in a few short sentences. Keep names and numbers.",
)
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System"}


@dataclass(frozen=True, slots=True)
class Compacted:
    """The summary is stored under `compaction_id` and represents `turns` exchanges of before `tokens_before` tokens."""

    compaction_id: int
    summary: str
    turns: int
    tokens_before: int
    tokens_after: int


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`lost_turns` of the chat's `turns` exchanges will not fit into the next prompt."""

    lost_turns: int
    turns: int


CompactEvent = LoadProgress | SummaryProgress | PrefillProgress | TextDelta | Compacted


def compact(
    chats: ChatStore,
    model: ChatModel,
    conversation_id: int,
    *,
    keep_turns: int = KEEP_TURNS,
    cancel: CancelToken,
) -> Iterator[CompactEvent]:
    """Summarise the turns of the shown branch but the last `keep_turns`, with what an earlier summary says; a Compacted is last.

    Raises UsageError when there is nothing to compact, CancelledError with nothing stored, ModelError.
    """
    earlier = chats.messages(conversation_id)
    compaction = chats.compaction(conversation_id)
    message_id, turns = _old_turns(earlier, compaction, keep_turns)
    # Without thoughts, and without adapters: what was learned for answers would show in the summary, too.
    loaded = yield from model.load(cancel)
    digest = Digest(
        loaded,
        WORDING,
        sampling=Sampling(temperature=0.0),
        longest=LONGEST,
        cancel=cancel,
        owners=owners_of(conversation_id, (), chats.cited(conversation_id)),
    )
    texts = [compaction.summary] if compaction else []
    texts += [f"{_SPEAKERS[turn.role]}: {turn.content.strip()}" for turn in turns]
    cuts = zip(texts, digest.cut(texts), strict=True)
    texts = [text[first:last] for text, places in cuts for first, last in places]
    before = sum(digest.sizes(texts))
    parts = ["\n".join(texts[first:last]) for first, last in digest.plan(texts)]
    said: list[str] = []
    for event in digest.run(parts):
        match event:
            case TextDelta(text=text):
                said.append(text)
                yield event
            case SummaryProgress() | PrefillProgress():
                yield event
            case GenerationFinished(finish_reason="cancelled"):
                raise CancelledError("Stopped. The chat is unchanged.")
            case GenerationFinished(repeated=repeated):
                said = ["".join(said).removesuffix(repeated)]
    summary = "".join(said).strip()
    if not summary:
        raise ModelError("The model wrote no summary. The chat is unchanged.", "Try another model.")
    number = chats.add_compaction(conversation_id, message_id, summary, model=loaded.info.name)
    yield Compacted(number, summary, len(turns) // 2, before, loaded.count_tokens([summary])[0])


def suggest(
    chats: ChatStore, model: ChatModel, conversation_id: int, *, options: AskOptions
) -> Suggestion | None:
    """What the next prompt will have to leave out of this chat, or None: all fits, no model is loaded, nothing can be compacted.

    Passages are taken to need what those of the last answer needed.
    """
    loaded, earlier = model.loaded(thinking=options.thinking), chats.messages(conversation_id)
    compaction = chats.compaction(conversation_id)
    history = turns_of(earlier, compaction)
    if loaded is None or not history:
        return None
    try:
        _old_turns(earlier, compaction, KEEP_TURNS)
        layout = options.layout(loaded.info)
        layout = replace(layout, n_ctx=layout.n_ctx - _passage_tokens(chats, earlier))
        said = prompt.Earlier(tuple(history), compaction.summary if compaction else "")
        kept = prompt.pack(loaded, "?", Sources(), layout, said).kept_turns
    except (UsageError, PromptTooLongError):
        return None
    return Suggestion((len(history) - kept) // 2, len(history) // 2) if kept < len(history) else None


def _passage_tokens(chats: ChatStore, earlier: list[StoredMessage]) -> int:
    generation = chats.generation(earlier[-1].id)
    parts = generation.parts if generation else ()
    return sum(part.tokens for part in parts if part.kind is PromptPartKind.PASSAGE)


def _old_turns(
    earlier: list[StoredMessage], compaction: Compaction | None, keep_turns: int
) -> tuple[int, list[Message]]:
    """The last message that a summary is to stand for, and the exchanges up to it. Raises UsageError when there are none."""
    first_kept = _first_kept(earlier, keep_turns)
    old = earlier[:first_kept]
    done = compaction is not None and all(message.id != compaction.message_id for message in old)
    turns = [] if done or not old else turns_of(old, compaction)
    if not turns:
        raise UsageError(
            "There is nothing to compact: "
            + ("the beginning of this chat is already compacted." if compaction else "this chat is short."),
            f"The last {keep_turns} questions and answers are never compacted.",
        )
    return old[-1].id, turns


def _first_kept(earlier: list[StoredMessage], keep_turns: int) -> int:
    """Where the last `keep_turns` whole exchanges begin."""
    if keep_turns <= 0:
        return len(earlier)
    for at in range(len(earlier) - 1, -1, -1):
        if earlier[at].role == "user" and len(turns_of(earlier[at:])) >= 2 * keep_turns:
            return at
    return 0
