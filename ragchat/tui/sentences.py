"""What the screen says about an answer: what is being done for it, how it ended, what it cost. No widget here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from textual.content import Content

from ragchat.session.marked import is_used
from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.tui.markdown_marks import unmarked
from ragchat.tui.quotations import place_of
from ragchat.tui.verdicts import check_line
from ragchat.types import UNCHECKED, AdapterScale, AnswerCheck, OmissionKind

if TYPE_CHECKING:
    from ragchat.types import Citation, Omission, Timings

_ENDINGS = {
    "cancelled": "You stopped this answer.",
    "interrupted": "This answer was interrupted because ragchat closed.",
    "length": "This answer was cut off at the maximum length or the end of the context.",
    "repeats": "The model repeated itself, so ragchat stopped it. Press r to regenerate this answer.",
}


def answered_by(model: str, adapters: Sequence[AdapterScale]) -> str:
    """Whose words an answer is."""
    return f"{model} + {AdapterScale.join(adapters)}" if adapters else model


def ago(at: str, now: datetime | None = None) -> str:
    """How long ago a stored time was, as a user would say it; for one that is empty, that it never was."""
    try:
        then = datetime.fromisoformat(at)
    except ValueError:
        return "never completely"
    passed = max(0.0, ((now or datetime.now(UTC)) - then).total_seconds())
    for unit, seconds in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if passed >= seconds:
            return f"{counted(int(passed // seconds), unit)} ago"
    return "just now"


def trouble(sentence: str, remedy: str) -> Content:
    """An error as the user reads it."""
    parts = [Content.styled(clean(sentence), "$text-error")]
    if remedy:
        parts += [Content("\n"), unmarked(Content.styled(clean(remedy), "$foreground 62%"))]
    return Content.assemble(*parts)


def advised(omission: Omission) -> str:
    """What was left out, and what helps."""
    if omission.kind is OmissionKind.MESSAGES:
        return f"{omission.sentence} Press Alt+K to replace them with a summary."
    return omission.sentence


def answer_footer(  # noqa: PLR0913
    state: str,
    *,
    finish_reason: str = "",
    error: str = "",
    remedy: str = "",
    timings: Timings | None = None,
    citations: tuple[Citation, ...] = (),
    asked_documents: bool = False,
    from_documents: bool = True,
    left_out: tuple[Omission, ...] = (),
    compacted: bool = False,
    searched_also: str = "",
    check: AnswerCheck = UNCHECKED,
    nearest: Sequence[Citation] = (),
) -> Content:
    """The lines under an answer: how it ended, whether the documents bear it, what did not fit, what it cost.

    `nearest` is what to look at in the documents where they do not answer.
    """
    lines: list[Content] = []
    if state == "error":
        lines.append(trouble(error or "The answer failed.", remedy))
    elif ending := _ENDINGS.get(finish_reason if state == "complete" else state):
        lines.append(Content.styled(ending, "$text-warning"))
    lines += check_lines(check, nearest)
    if check.says and nearest and asked_documents and not from_documents:
        lines.append(nearest_place(nearest))
    below = [clean_line(advised(one)) for one in left_out]
    below += [f"Searched also for “{clean_line(searched_also)}”"] if searched_also else []
    lines += [Content.styled(one, "$foreground 62%") for one in below]
    facts = []
    if timings and timings.ttft_s:
        facts.append(f"{human_seconds(timings.ttft_s)} to first token")
    if timings and timings.decode_tok_s:
        facts.append(
            f"{timings.decode_tok_s:.0f} tok/s"
            if timings.decode_tok_s >= 10
            else f"{timings.decode_tok_s:.1f} tok/s"
        )
    used = sum(is_used(citation, check) for citation in citations)
    if used:
        facts.append(counted(used, "source"))
    last = Content.styled(" · ".join(facts), "$foreground 62%")
    if asked_documents and not from_documents and state != "error":
        last = Content(" · ").join(
            [part for part in (last, Content.styled("not from your documents", "$text-warning")) if part]
        )
    if last:
        lines.append(last)
    if compacted:
        said = "─── In later prompts, a summary replaces the chat up to here. Press Alt+U to remove it."
        lines.append(Content.styled(said, "$text-accent"))
    return Content("\n").join(lines)


def check_lines(check: AnswerCheck, nearest: Sequence[Citation] = ()) -> list[Content]:
    """How the statements of an answer compare with the passages, and whether these answer at all."""
    lines = []
    if line := check_line(check):
        lines.append(Content.assemble(line, Content.styled(" · i shows why", "$foreground 62%")))
    if check.struck:
        lines.append(Content.styled("Struck out: not in your documents.", "$text-warning"))
    if not check.says:
        said = Content.styled("The passages do not say.", "$text-warning bold")
        lines.append(Content(" ").join(filter(None, (said, nearest_place(nearest)))))
    return lines


def nearest_place(nearest: Sequence[Citation]) -> Content:
    """Where to look, and with which key; empty where there is nothing to look at."""
    if not nearest:
        return Content("")
    citation = nearest[0]
    place = place_of(citation.hit, citation_place(citation))
    return Content.styled(f"Nearest: {place} · q opens it", "$foreground 62%")


def citation_place(citation: Citation) -> str:
    """Page or lines of what a citation is based on."""
    hit, quote = citation.hit, citation.quote
    first = hit.text.find(quote) if quote else -1
    return hit.place if first < 0 else hit.span.cut(hit.text, first, first + len(quote)).place
