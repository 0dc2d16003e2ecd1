"""What to search for: the question, and the topic of the turns before it, weighted down. Deterministic, no model call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ragchat.retrieval.analyzer import query_terms, stop_terms

# Words that point back at what was said. Left out are those that are as often something else (German "das", Spanish "lo").
_POINTS_BACK = {
    "en": """it its itself that this these those they them their theirs he him his she her hers one ones there same another
        other former latter such so too also instead then again else more""",
    "de": """er sie ihn ihm ihr ihnen ihre ihrem ihren ihrer sein seine seinem seinen seiner dessen deren dieser diese dieses
        diesem diesen jener jene jenes dort damals davon dazu darin daran darüber dafür damit auch sonst noch""",
    "fr": "il elle ils elles lui leur leurs ce cet cette ces celui celle ceux celles cela ça aussi encore ensuite",
    "es": "él ella ellos ellas le les su sus ese esa eso esos esas este esta esto estos estas allí también además",
    "it": "lui lei loro esso essa essi esse suo sua suoi sue questo questa questi queste quello quella lì anche ancora",
    "pt": "ele ela eles elas lhe lhes dele dela deles delas esse essa isso este esta isto aquele aquela lá também",
    "nl": "hij zij hem haar hun zijn deze dit die dat daar toen ervan erin ook nog",
    "ru": "он она оно они его её ему ей их им ними нём ней этот эта это эти тот та те там тогда также ещё",
}
_GOES_ON = {
    "en": "and or but so then why",
    "de": "und oder aber also dann warum wieso",
    "fr": "et ou mais alors pourquoi",
    "es": "y o pero entonces",
    "it": "e o ma allora perché",
    "pt": "e ou mas então",
    "nl": "en of maar dus dan waarom",
    "ru": "а и или но почему тогда",
}
"""A question that begins so goes on from the one before."""
_INSIDE = {
    "zh": ("它", "他", "她", "这", "那", "該", "该", "其中", "还有", "這"),
    "ja": ("それ", "これ", "その", "この", "彼", "そこ"),
    "th": ("มัน", "เขา", "เธอ", "นั้น", "นี้", "แล้ว"),
}
"""Of languages that put no spaces between words: what points back wherever it stands."""
_FEW_WORDS = 2
_FEW_LETTERS = 6
LONGEST_SEARCHED = 4000
"""Characters. What stands behind them in a question (a pasted file) is answered, but not searched for."""
_MOST_TOPIC_TERMS = 16
"""Of each earlier question; it stands before what was attached to it."""
_FOLLOW_UP = (0.5, 0.25)
_LOOSE = (0.15, 0.08)
"""Weights of the question before and the one before that: for a follow-up, and for a question that stands on its own."""


@dataclass(frozen=True, slots=True)
class Query:
    """`text` is what of the question is searched for; `weights` are terms of earlier questions.

    `topic` are those of them that matter: all for a follow-up, none otherwise.
    """

    text: str
    weights: dict[str, float]
    topic: tuple[str, ...]


def build(question: str, earlier: Sequence[str], languages: Sequence[str] = ("en",)) -> Query:
    """The query for `question`, given the person's `earlier` questions, oldest first.

    `languages` are those of the documents, by which terms are made; what the person writes is most likely one of them.
    """
    question = question[:LONGEST_SEARCHED]
    asked = query_terms(question, languages)
    follow_up = _is_follow_up(question, asked, languages)
    weights: dict[str, float] = {}
    for text, weight in zip(reversed(earlier), _FOLLOW_UP if follow_up else _LOOSE, strict=False):
        for term in islice(query_terms(text[:LONGEST_SEARCHED], languages), _MOST_TOPIC_TERMS):
            if term not in asked:
                weights.setdefault(term, weight)
    return Query(question, weights, tuple(weights) if follow_up else ())


def _is_follow_up(question: str, asked: Collection[str], languages: Sequence[str]) -> bool:
    """Whether a question leans on the one before: it points back, goes on from it, or is too short to stand alone."""
    words = [bare for word in question.lower().split() if (bare := word.strip(".,;:!?¿¡\"'()“”„«»？。"))]
    if any(part in question for language in languages for part in _INSIDE.get(language, ())):
        return True
    if not words or all(any(term in stop_terms(language) for language in languages) for term in asked):
        return True
    if _few(words, languages):
        return True
    if any(words[0] in _words(_GOES_ON, language) for language in languages) or words[1:2] == ["about"]:
        return True
    return any(word in _words(_POINTS_BACK, language) for language in languages for word in words)


def _few(words: Sequence[str], languages: Sequence[str]) -> bool:
    if any(language in _INSIDE for language in languages) and not words[0].isascii():
        return sum(map(len, words)) <= _FEW_LETTERS
    return len(words) <= _FEW_WORDS


def _words(lists: Mapping[str, str], language: str) -> list[str]:
    return lists.get(language, "").split()
