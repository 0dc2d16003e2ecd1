"""Frozen dataclasses that cross layers. No I/O, no behaviour beyond what a value knows of itself.

Making a dataclass takes half a millisecond, and there are thirty; a search from the shell needs eight. So a name is looked for in
one module after the other, and those behind it are not imported.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragchat.types.answers import (
        UNCHECKED as UNCHECKED,
    )
    from ragchat.types.answers import (
        AnswerCheck as AnswerCheck,
    )
    from ragchat.types.answers import (
        CitedBy as CitedBy,
    )
    from ragchat.types.answers import (
        Quote as Quote,
    )
    from ragchat.types.answers import (
        Reason as Reason,
    )
    from ragchat.types.answers import (
        ReasonKind as ReasonKind,
    )
    from ragchat.types.answers import (
        Statement as Statement,
    )
    from ragchat.types.answers import (
        Verdict as Verdict,
    )
    from ragchat.types.chats import (
        ChatOptions as ChatOptions,
    )
    from ragchat.types.chats import (
        Compaction as Compaction,
    )
    from ragchat.types.chats import (
        Conversation as Conversation,
    )
    from ragchat.types.chats import (
        EvaluationQuestion as EvaluationQuestion,
    )
    from ragchat.types.chats import (
        Generation as Generation,
    )
    from ragchat.types.chats import (
        MessageHit as MessageHit,
    )
    from ragchat.types.chats import (
        MessageState as MessageState,
    )
    from ragchat.types.chats import (
        Omission as Omission,
    )
    from ragchat.types.chats import (
        OmissionKind as OmissionKind,
    )
    from ragchat.types.chats import (
        PortableChat as PortableChat,
    )
    from ragchat.types.chats import (
        PortableMessage as PortableMessage,
    )
    from ragchat.types.chats import (
        PromptPart as PromptPart,
    )
    from ragchat.types.chats import (
        PromptPartKind as PromptPartKind,
    )
    from ragchat.types.chats import (
        StoredMessage as StoredMessage,
    )
    from ragchat.types.chats import (
        Timings as Timings,
    )
    from ragchat.types.chats import (
        text_of as text_of,
    )
    from ragchat.types.documents import (
        ChunkDraft as ChunkDraft,
    )
    from ragchat.types.documents import (
        Citation as Citation,
    )
    from ragchat.types.documents import (
        Document as Document,
    )
    from ragchat.types.documents import (
        DocumentState as DocumentState,
    )
    from ragchat.types.documents import (
        ExtractedText as ExtractedText,
    )
    from ragchat.types.documents import (
        Hit as Hit,
    )
    from ragchat.types.documents import (
        KnowledgeBaseOptions as KnowledgeBaseOptions,
    )
    from ragchat.types.documents import (
        KnowledgeBaseStatus as KnowledgeBaseStatus,
    )
    from ragchat.types.documents import (
        LeftOut as LeftOut,
    )
    from ragchat.types.documents import (
        LeftOutKind as LeftOutKind,
    )
    from ragchat.types.documents import (
        Part as Part,
    )
    from ragchat.types.documents import (
        Recognised as Recognised,
    )
    from ragchat.types.documents import (
        RowSource as RowSource,
    )
    from ragchat.types.documents import (
        Section as Section,
    )
    from ragchat.types.documents import (
        Span as Span,
    )
    from ragchat.types.documents import (
        is_row as is_row,
    )
    from ragchat.types.model import (
        AdapterScale as AdapterScale,
    )
    from ragchat.types.model import (
        CancelToken as CancelToken,
    )
    from ragchat.types.model import (
        ChatModel as ChatModel,
    )
    from ragchat.types.model import (
        FinishReason as FinishReason,
    )
    from ragchat.types.model import (
        GenerationEvent as GenerationEvent,
    )
    from ragchat.types.model import (
        GenerationFinished as GenerationFinished,
    )
    from ragchat.types.model import (
        LoadedModel as LoadedModel,
    )
    from ragchat.types.model import (
        LoadProgress as LoadProgress,
    )
    from ragchat.types.model import (
        Message as Message,
    )
    from ragchat.types.model import (
        ModelInfo as ModelInfo,
    )
    from ragchat.types.model import (
        PrefillProgress as PrefillProgress,
    )
    from ragchat.types.model import (
        ReadAhead as ReadAhead,
    )
    from ragchat.types.model import (
        ReadAheadUse as ReadAheadUse,
    )
    from ragchat.types.model import (
        ReasoningDelta as ReasoningDelta,
    )
    from ragchat.types.model import (
        Role as Role,
    )
    from ragchat.types.model import (
        Sampling as Sampling,
    )
    from ragchat.types.model import (
        Score as Score,
    )
    from ragchat.types.model import (
        TextDelta as TextDelta,
    )
    from ragchat.types.model import (
        TokenSample as TokenSample,
    )

_MODULES = ("documents", "model", "chats", "answers")


def __getattr__(name: str) -> Any:
    if not name.startswith("_") and name not in _MODULES:
        for module in _MODULES:
            if hasattr(found := import_module(f"{__name__}.{module}"), name):
                value = globals()[name] = getattr(found, name)
                return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
