"""What former versions kept as sentences inside of messages, taken apart: notices, names of attachments, what was left out.

The sentences are those that were written then. They stay as they are here, however ragchat words them now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ragchat.types import Omission, OmissionKind

_NOTICES = (
    "Nothing in your documents matches this question, so this answer is not from them.",
    "What your documents say about this did not fit beside the question, so this answer is not from them.",
)
_DECLINED = "Your documents hold nothing that answers this question."
_ATTACHED = re.compile(r"\n\n\(attached: ([^\n]+)\)\Z")
_WENT_IN = r"Of (?P<name>.*), (?P<kept>\d+) of (?P<of>\d+) passages went in: "
_PIPED = "the attached text"


def split_answer(text: str) -> tuple[str, str]:
    """(notice, the model's own words) of a stored answer; the notice is empty when there is none."""
    for notice in _NOTICES:
        if text.startswith(f"{notice}\n\n"):
            return notice, text[len(notice) + 2 :]
    return "", text


def is_declined(text: str) -> bool:
    """Whether a stored answer is the sentence that stood in for one."""
    return text.startswith(_DECLINED)


def is_unmatched(notice: str) -> bool:
    """Whether a notice said that nothing in the documents matched."""
    return notice == _NOTICES[0]


def split_question(text: str) -> tuple[str, tuple[str, ...]]:
    """(question, names of what was attached to it) of a stored question."""
    names: list[str] = []
    while match := _ATTACHED.search(text):
        names.insert(0, match[1])
        text = text[: match.start()]
    return text, tuple(names)


def omission(sentence: str) -> Omission:
    """What a sentence says was left out; one of another wording is kept as it is."""
    for pattern, read in _OMISSIONS:
        if match := pattern.fullmatch(sentence):
            return read(match.groupdict())
    return Omission(OmissionKind.OTHER, name=sentence)


def _passages(said: Mapping[str, str]) -> Omission:
    return Omission(OmissionKind.PASSAGES, int(said["count"]), int(said["of"]), int(said["n_ctx"]))


def _messages(said: Mapping[str, str]) -> Omission:
    return Omission(OmissionKind.MESSAGES, int(said["count"]), n_ctx=int(said["n_ctx"]))


def _pinned(said: Mapping[str, str]) -> Omission:
    return Omission(OmissionKind.PINNED, int(said["count"]), int(said["of"]))


def _parts(said: Mapping[str, str]) -> Omission:
    return Omission(OmissionKind.PARTS, int(said["of"]) - int(said["kept"]), int(said["of"]))


def _attached(kind: OmissionKind) -> Callable[[Mapping[str, str]], Omission]:
    def read(said: Mapping[str, str]) -> Omission:
        of, name = int(said["of"]), "" if said["name"] == _PIPED else said["name"]
        return Omission(kind, of - int(said["kept"]), of, name=name)

    return read


_OMISSIONS: tuple[tuple[re.Pattern[str], Callable[[Mapping[str, str]], Omission]], ...] = tuple(
    (re.compile(pattern), read)
    for pattern, read in (
        (
            r"(?P<count>\d+) of (?P<of>\d+) passages did not fit into the context of (?P<n_ctx>\d+) tokens\.",
            _passages,
        ),
        (
            r"The (?P<count>\d+) oldest messages of this chat did not fit into the context of (?P<n_ctx>\d+) tokens\.",
            _messages,
        ),
        (r"(?P<count>\d+) of (?P<of>\d+) pinned passages did not fit\.", _pinned),
        (r"Only (?P<kept>\d+) of (?P<of>\d+) parts were read\.", _parts),
        (
            _WENT_IN + r"the rest did not fit, or says less about the question\.",
            _attached(OmissionKind.ATTACHED),
        ),
        (
            _WENT_IN + r"no word of the question stands in it, so those at its beginning\.",
            _attached(OmissionKind.UNRELATED),
        ),
    )
)
