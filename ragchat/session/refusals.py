"""How models say that the passages do not answer: in English here, in other languages in `refusals.toml`."""

from __future__ import annotations

import functools
import re
import tomllib
from importlib import resources

_SPEAKER = r"(?:passages?|documents?|text|context|sources?|article|paragraph|I|we)"
_NOT = r"(?:do(?:es)? not|did not|don't|doesn't|cannot|can't|could not|(?:am|are|is|'m|'re) (?:un|not )able to|am not sure)"
_HOLD = r"(?:hold|contain|provide|mention|say|specif|include|state|find|answer|know|give|that)"
_REFUSED = re.compile(
    rf"\b{_SPEAKER}\b ?[^.]{{0,40}}?{_NOT}\b[^.]{{0,40}}\b{_HOLD}|\bnone of the {_SPEAKER}\b"
    rf"|\b{_SPEAKER} (?:give|hold|say|mention)s? no\b"
    r"|\b(?:there is|there's|there are|contains?|provides?|has|have) (?:no|not enough) (?:\w+ )?"
    r"(?:information|answer|mention|data|details?)\b"
    r"|\bthere isn't (?:any|enough)\b|\b(?:is|are) not (?:\w+ly )?(?:mentioned|specified|stated|provided|given|answered)\b"
    r"|\bunanswerable\b",
    re.IGNORECASE,
)


def declines(said: str) -> bool:
    """Whether a sentence, or the beginning of an answer, says that there is no answer.

    In English, German, French, Spanish, Portuguese, Italian, Dutch, Chinese and Japanese.
    """
    plain = said.replace("’", "'")
    return bool(_REFUSED.search(plain) or _elsewhere().search(plain))


@functools.cache
def _elsewhere() -> re.Pattern[str]:
    with resources.files(__package__).joinpath("refusals.toml").open("rb") as file:
        found: dict[str, list[str]] = tomllib.load(file)
    return re.compile("|".join(pattern for own in found.values() for pattern in own), re.IGNORECASE)
