"""What to search for: the question, and the topic of the turns before it, weighted down. Deterministic, no model call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from ragchat.retrieval.analyzer import query_terms, stop_terms
from ragchat.retrieval.stopwords import stop_words

Worth = Callable[[Collection[str]], Mapping[str, float]]
"""The idf of some terms in what is searched."""

_POINTS_BACK = {
    "en": "it this these those they them theirs he him she hers",
    "de": "er sie ihn ihm ihr ihnen dieser diese dieses diesem diesen jener jene jenes",
    "fr": "il elle ils elles lui leur ce cet cette ces celui celle ceux celles cela ça",
    "es": "él ella ellos ellas le les ese esa eso esos esas este esta esto estos estas",
    "it": "lui lei loro esso essa essi esse questo questa questi queste quello quella",
    "pt": "ele ela eles elas lhe lhes dele dela deles delas esse essa isso este esta isto aquele aquela",
    "nl": "hij zij hem haar hun deze dit",
    "ru": "он она оно они его её ему ей их им нём ней этот эта это эти тот та те",
}
"""Words that stand for what was said. Left out are those that are as often something else (German "das", Spanish "lo")."""
_BELONGS = {
    "en": "its their his her",
    "de": """ihre ihrem ihren ihrer ihres sein seine seinem seinen seiner dessen deren davon dazu darin daran darüber dafür
        damit""",
    "fr": "leurs son sa ses",
    "es": "su sus",
    "it": "suo sua suoi sue",
    "pt": "seu sua seus suas",
    "nl": "zijn ervan erin",
    "ru": "ними них",
}
"""Words that stand for what was said unless it is said in the same question ("does bash keep its history")."""
_WEAK = {
    "en": """that one ones there same another other former latter such so too also instead then again else more itself himself
        herself why""",
    "de": "dort damals auch sonst noch warum wieso nochmal wieder",
    "fr": "aussi encore ensuite pourquoi",
    "es": "allí también además",
    "it": "lì anche ancora perché",
    "pt": "lá também",
    "nl": "die dat daar toen ook nog waarom",
    "ru": "там тогда также ещё почему",
}
"""Words that point back in a short question, and mean something else in a long one."""
_GOES_ON = {
    "en": "and or but so then",
    "de": "und oder aber also dann",
    "fr": "et ou mais alors",
    "es": "y o pero entonces",
    "it": "e o ma allora",
    "pt": "e ou mas então",
    "nl": "en of maar dus dan",
    "ru": "а и или но",
}
"""A question that begins so continues from the one before; inside a question they part its clauses."""
_CLAUSES = {
    "en": "because when while if after before until since that which who where",
    "de": "weil wenn während falls nachdem bevor dass bis",
    "fr": "parce quand si que qui avant après",
    "es": "porque cuando si que quien antes después",
    "it": "perché quando se che prima dopo",
    "pt": "porque quando se que antes depois",
    "nl": "omdat wanneer als dat die voordat nadat",
    "ru": "потому когда если что который перед после",
}
"""Words that begin another clause of a question."""
_THE = {
    "en": "the",
    "de": "der die das den dem des",
    "fr": "le la les",
    "es": "el la los las",
    "it": "il lo la i gli le",
    "pt": "o a os as",
    "nl": "de het",
}
_INSIDE = {
    "zh": ("它", "他", "她", "这", "那", "該", "该", "其中", "还有", "這"),
    "ja": ("それ", "これ", "その", "この", "彼", "そこ"),
    "th": ("มัน", "เขา", "เธอ", "นั้น", "นี้", "แล้ว"),
}
"""Of languages that put no spaces between words: what points back wherever it stands."""
_FEW_WORDS = 2
_FEW_LETTERS = 6
LONGEST_SEARCHED = 4000
"""Characters. What is behind them in a question (a pasted file) is answered, but not searched for."""
_MOST_TOPIC_TERMS = 16
"""Of each earlier question; it is before what was attached to it."""
_FEW_CONTENT = 2
"""Words that say what is asked, of a question in which a weak word points back."""
_MOST_BEFORE = 3
"""Words that say what is asked before a word that points back; it is likelier one of them that is meant beyond."""
_FOLLOW_UP = (0.5, 0.25)
_LOOSE = (0.15, 0.08)
"""Weights of the question before and the one before that: for a follow-up, and for a question that is complete on its own."""
_LOOSE_SHARE = 0.5, 0.1
"""What the terms of earlier turns may weigh together beside a question that is complete on its own, as a share of its own weight:
beside a short one with a definite article, which may leave out its subject ("How long is the warranty?"), and any other."""
_SHORT = 4
"""Words that say what is asked."""
_NOTHING = 1e-3


@dataclass(frozen=True, slots=True)
class Query:
    """`text` is what of the question is searched for; `weights` are terms of earlier questions.

    `topic` are those of them that matter: all for a follow-up, none otherwise.
    """

    text: str
    weights: dict[str, float]
    topic: tuple[str, ...]


def build(
    question: str, earlier: Sequence[str], languages: Sequence[str] = ("en",), worth: Worth | None = None
) -> Query:
    """The query for `question`, given the user's `earlier` questions, oldest first.

    `languages` are those of the documents, by which terms are made; what the user writes is most likely one of them. With
    `worth`, earlier turns never outweigh a question that is complete on its own.
    """
    question = question[:LONGEST_SEARCHED]
    asked = query_terms(question, languages)
    follow_up = _is_follow_up(question, asked, languages)
    weights: dict[str, float] = {}
    for text, weight in zip(reversed(earlier), _FOLLOW_UP if follow_up else _LOOSE, strict=False):
        for term in islice(query_terms(text[:LONGEST_SEARCHED], languages), _MOST_TOPIC_TERMS):
            if term not in asked:
                weights.setdefault(term, weight)
    if worth and weights and not follow_up:
        share = _LOOSE_SHARE[0 if _may_lack_subject(question, languages) else 1]
        weights = _held_back(weights, asked, worth, share)
    return Query(question, weights, tuple(weights) if follow_up else ())


def _may_lack_subject(question: str, languages: Sequence[str]) -> bool:
    """Whether a question is short and speaks of something as known ("the warranty"), or of a language that has no articles."""
    words = list(_words_of(question, languages))
    spoken = [code for code in languages if code in _THE]
    known = {word for code in spoken for word in _words(_THE, code)}
    return sum(word.says for word in words) <= _SHORT and (
        not spoken or any(word.text in known for word in words)
    )


def _held_back(
    weights: Mapping[str, float], asked: Mapping[str, int], worth: Worth, share: float
) -> dict[str, float]:
    """`weights` made smaller so that together they weigh at most a share of the question's own terms."""
    idf = worth([*asked, *weights])
    own = sum(count * idf.get(term, 0.0) for term, count in asked.items())
    added = sum(weight * idf.get(term, 0.0) for term, weight in weights.items())
    factor = min(1.0, share * own / added) if added else 1.0
    return {term: weight * factor for term, weight in weights.items()} if factor > _NOTHING else {}


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a question in lower case. `says`: it says what is asked. `begins`: another clause begins with it."""

    text: str
    says: bool
    begins: bool


def _words_of(question: str, languages: Sequence[str]) -> Iterator[_Word]:
    parted = False
    joins = {word for lists in (_GOES_ON, _CLAUSES) for code in languages for word in _words(lists, code)}
    for written in question.lower().split():
        bare = written.strip(".,;:!?¿¡\"'()“”„«»？。").replace("’", "'")
        if bare.strip("-–—"):
            stops = any(bare in stop_words(language) for language in languages)
            yield _Word(bare, not stops, parted or bare in joins)
            parted = False
        parted = parted or not bare.strip("-–—") or written.endswith((",", ";", ":", ".", "!", "?"))


def _is_follow_up(question: str, asked: Collection[str], languages: Sequence[str]) -> bool:
    """Whether a question leans on the one before: it points back, continues from it, or is too short to stand alone."""
    words = list(_words_of(question, languages))
    if any(part in question for language in languages for part in _INSIDE.get(language, ())):
        return True
    if not words or all(any(term in stop_terms(language) for language in languages) for term in asked):
        return True
    if _few(question, words, languages):
        return True
    if any(words[0].text in _words(_GOES_ON, code) for code in languages) or [
        word.text for word in words[1:2]
    ] == ["about"]:
        return True
    says = sum(word.says for word in words)
    if says <= _FEW_CONTENT and any(word.text in _words(_WEAK, code) for code in languages for word in words):
        return True
    return _points_back(words, languages)


def _points_back(words: Sequence[_Word], languages: Sequence[str]) -> bool:
    """Whether a word represents something that the question itself has not named before."""
    pointing, belonging = (
        {word for code in languages for word in _words(lists, code)} for lists in (_POINTS_BACK, _BELONGS)
    )
    before = 0
    for word in words:
        if word.begins and before:
            return False
        if word.text in belonging and before < _FEW_CONTENT:
            return True
        if word.text in pointing and before <= _MOST_BEFORE:
            return True
        before += word.says
    return False


def _few(question: str, words: Sequence[_Word], languages: Sequence[str]) -> bool:
    """Whether it is too short to stand alone; key words without a question mark ("bash noclobber") do."""
    if any(language in _INSIDE for language in languages) and not words[0].text.isascii():
        return sum(len(word.text) for word in words) <= _FEW_LETTERS
    asks = question.rstrip().endswith(("?", "？", "؟", ";")) or not all(word.says for word in words)
    return len(words) <= _FEW_WORDS and asks


def _words(lists: Mapping[str, str], language: str) -> list[str]:
    return lists.get(language, "").split()
