"""Whether a text holds an expected answer, and how much of it. One function per measure, each for one question.

`f1` is SQuAD's (Rajpurkar et al., 2016): words in lower case without punctuation and English articles. Scripts that put no
spaces between words count by character, as MLQA does (Lewis et al., 2020).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import regex

_ARTICLES = frozenset(("a", "an", "the"))
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
_WORDS = regex.compile(rf"{_UNSPACED}|(?:(?!{_UNSPACED})[\p{{L}}\p{{M}}\p{{N}}])+")
_PUNCTUATION = regex.compile(r"[\p{P}\p{S}]+")


def holds(text: str, answers: Sequence[str]) -> bool:
    """Whether one of the answers is in `text` letter for letter, but for case and white space."""
    plain = _plain(text)
    return any(_plain(answer) in plain for answer in answers)


def contains(said: str, answers: Sequence[str]) -> bool:
    """Whether the words of one of the answers stand in what was said, whole and in a row; articles do not matter."""
    words = f" {' '.join(_words(said))} "
    return any(f" {' '.join(found)} " in words for answer in answers if (found := _words(answer)))


def recall(said: str, answers: Sequence[str]) -> float:
    """Share of the words of an expected answer that were said, of the answer that fits best. 0 without answers.

    What else was said does not lower it: two texts of different length compare fairly only together with their length.
    """
    return max((_recall(_words(said), _words(answer)) for answer in answers), default=0.0)


def length(text: str) -> int:
    """Words of a text, as they are compared; scripts without spaces count by character."""
    return len(_words(text))


def f1(said: str, answers: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of the words, against the answer that fits best. 0 without answers."""
    return max((_f1(_words(_squeezed(said)), _words(_squeezed(answer))) for answer in answers), default=0.0)


def exact_match(said: str, answers: Sequence[str]) -> float:
    """1 when the words are those of one of the answers, in their order; SQuAD's EM. 0 without answers."""
    words = _words(_squeezed(said))
    return float(any(words == _words(_squeezed(answer)) for answer in answers))


def rouge_l(said: str, answers: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of words, against the answer that fits best. 0 without answers.

    ROUGE-L with beta 1 (Lin, ROUGE: A Package for Automatic Evaluation of Summaries, 2004), without stemming; all words count.
    """
    words = _WORDS.findall(said.casefold())
    return max((_rouge_l(words, _WORDS.findall(answer.casefold())) for answer in answers), default=0.0)


def _rouge_l(said: list[str], answer: list[str]) -> float:
    if not said or not answer:
        return 0.0
    shared = _longest_common_subsequence(said, answer)
    return 2 * shared / (len(said) + len(answer))


def _longest_common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for n, against in enumerate(other, 1):
            above = row[n]
            row[n] = before + 1 if word == against else max(above, row[n - 1])
            before = above
    return row[-1]


def _f1(said: list[str], answer: list[str]) -> float:
    if not said or not answer:
        return float(said == answer)
    shared = sum((Counter(said) & Counter(answer)).values())
    return 2 * shared / (len(said) + len(answer))


def _recall(said: list[str], answer: list[str]) -> float:
    return sum((Counter(said) & Counter(answer)).values()) / len(answer) if answer else 0.0


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _squeezed(text: str) -> str:
    """Without punctuation and what stood around it joined, as SQuAD's script does it."""
    return _PUNCTUATION.sub("", text)


def _words(text: str) -> list[str]:
    return [word for word in _WORDS.findall(text.casefold()) if word not in _ARTICLES]
