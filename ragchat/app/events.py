"""The words for what a session is doing, once for all front ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ragchat.session.events import (
    HitsFound,
    MessageStored,
    PromptReady,
    QueryRewritten,
    QueryUsed,
    SearchUnsure,
    SummaryProgress,
)
from ragchat.text import clean_line, counted, human_seconds
from ragchat.types import LoadProgress, PrefillProgress, ReasoningDelta

if TYPE_CHECKING:
    from ragchat.session.events import SessionEvent


def progress_sentence(said: SessionEvent | SummaryProgress) -> str:
    """What the session is doing; empty for what is no progress."""
    match said:
        case MessageStored() | ReasoningDelta():
            return "Thinking"
        case SummaryProgress(stage="map", part=part, parts=parts, eta_s=eta_s):
            left = f", {human_seconds(eta_s)} left" if eta_s is not None else ""
            return f"Reading part {part} of {parts}{left}"
        case SummaryProgress(eta_s=eta_s):
            left = f", {human_seconds(eta_s)} left" if eta_s is not None else ""
            return f"Combining the summaries{left}"
        case SearchUnsure() | QueryRewritten() | QueryUsed() | HitsFound():
            return _search_sentence(said)
        case LoadProgress(fraction, stage):
            doing = "Measuring this machine" if stage == "measure" else "Loading the model"
            return f"{doing} {fraction:.0%}"
        case PromptReady(prompt_tokens=tokens):
            return f"Reading the prompt, {counted(tokens, 'token')}"
        case PrefillProgress(done, total, eta_s):
            left = f", {human_seconds(eta_s)} left" if eta_s and done < total else ""
            return f"Reading the prompt {done}/{total} tokens{left}"
        case _:
            return ""


def _search_sentence(said: SearchUnsure | QueryRewritten | QueryUsed | HitsFound) -> str:
    match said:
        case SearchUnsure():
            return "Looking for other words to search for"
        case QueryRewritten(text=text):
            return f"Searching also for “{clean_line(text, limit=80)}”"
        case QueryUsed(knowledge_bases=()):
            return "Thinking"
        case QueryUsed(corrections=(first, *_)):
            return f"Searching your documents for “{clean_line(first.by, limit=40)}”"
        case QueryUsed(scope=scope):
            return ": ".join(filter(None, ("Searching your documents", ", ".join(scope))))
        case HitsFound(hits=hits, relevant=relevant):
            return f"{counted(len(hits), 'passage')} found" if relevant else "No relevant passages found"
