"""Which language a document is in: by its script where that tells, else by whose function words and letters it has.

Cheap and without a model: a page takes some tenths of a millisecond. It is made for choosing a stemmer, not for telling
close relatives apart in a headline: what is short, code or a table counts as English. Bokmål and Nynorsk are one, and so
are Serbian, Croatian and Bosnian, whose stemmer is the same.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence

from ragchat.retrieval.patterns import lazy
from ragchat.retrieval.stopwords import LANGUAGES, stop_words
from ragchat.text import normalise

DEFAULT = "en"
_SAMPLE = 2000
"""Characters looked at, at the beginning and once more in the middle: beginnings are often a licence or a table of contents."""
_FEWEST_HITS = 1.5
_SMALLEST_SHARE = 0.02
"""Of the different words that must be function words of a language other than English. Prose has 0.15 and more."""

_SCRIPTS = (
    (0x0000, 0x0040, ""), (0x0041, 0x005A, "latin"), (0x0061, 0x007A, "latin"), (0x00C0, 0x024F, "latin"),
    (0x0370, 0x03FF, "greek"), (0x0400, 0x052F, "cyrillic"), (0x0530, 0x058F, "armenian"),
    (0x05D0, 0x05EA, "hebrew"), (0x0620, 0x06FF, "arabic"), (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"), (0x0980, 0x09FF, "bengali"), (0x0A00, 0x0A7F, "gurmukhi"),
    (0x0A80, 0x0AFF, "gujarati"), (0x0B00, 0x0B7F, "oriya"), (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"), (0x0C80, 0x0CFF, "kannada"), (0x0D00, 0x0D7F, "malayalam"),
    (0x0D80, 0x0DFF, "sinhala"), (0x0E00, 0x0E7F, "thai"), (0x0E80, 0x0EFF, "lao"),
    (0x0F00, 0x0FFF, "tibetan"), (0x1000, 0x109F, "burmese"), (0x10A0, 0x10FF, "georgian"),
    (0x1100, 0x11FF, "hangul"), (0x1200, 0x137F, "ethiopic"), (0x1780, 0x17FF, "khmer"),
    (0x1E00, 0x1EFF, "latin"), (0x1F00, 0x1FFF, "greek"), (0x3041, 0x30FF, "kana"),
    (0x3131, 0x318E, "hangul"), (0x31F0, 0x31FF, "kana"), (0x3400, 0x4DBF, "han"), (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7A3, "hangul"), (0xF900, 0xFAFF, "han"), (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFC, "arabic"), (0x20000, 0x3FFFF, "han"),
)  # fmt: skip
"""Where their letters begin and end in Unicode, in order."""
_BEGINS = [first for first, _, _ in _SCRIPTS]
_BEYOND_LATIN = lazy("[\u0370-\u1dff\u1f00-\u1fff\u2e80-\ud7ff\uf900-\ufffd\U00010000-\U0010ffff]")
_DENSE = {"han": 3, "kana": 2, "hangul": 2}
"""How many letters of an alphabet say as much as one of these."""

_LANGUAGE_OF_SCRIPT = {
    "kana": "ja", "han": "zh", "hangul": "ko", "greek": "el", "armenian": "hy", "georgian": "ka", "bengali": "bn",
    "gurmukhi": "pa", "gujarati": "gu", "oriya": "or", "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml",
    "sinhala": "si", "thai": "th", "lao": "lo", "tibetan": "bo", "burmese": "my", "ethiopic": "am", "khmer": "km",
}  # fmt: skip
_SHARED = {
    "cyrillic": ("ru", "bg", "sr", "uk"),
    "arabic": ("ar", "fa", "ur"),
    "hebrew": ("he", "yi"),
    "devanagari": ("hi", "mr", "ne"),
}
"""Languages of a script that several write in; the first where nothing tells."""

_TELLING = {
    "cs": "ěřů", "da": "æø", "de": "äöüß", "eo": "ĉĝĥĵŝŭ", "es": "ñ¿¡", "et": "äõöü", "fi": "äö", "fr": "çèêœù", "hu": "őűöü",
    "is": "ðþæ", "it": "ìò", "lt": "ėįųū", "lv": "āēģīķļņū", "no": "æøå", "pl": "łąęśżźń", "pt": "ãõç", "ro": "ăâțșţş",
    "sk": "ľĺŕô", "sr": "ćđђћџјљњ", "sv": "åäö", "tr": "ğışç", "vi": "ơưđạảấầẩậắằẳặẹẻẽếềểệịỉọỏốồổỗộớờởợụủứừửữựỳỵỷỹ",
    "bg": "ъщ", "ru": "ыэё", "uk": "іїєґ", "fa": "پچژگی", "ur": "ٹڈڑںےھ", "ar": "ةىأإ", "mr": "ळ", "yi": "ײװױ",
}  # fmt: skip
_LETTER_WEIGHT = 0.15
_IN_A_NAME = 0.4
"""What a function word counts that is written with a capital, or between two words that are: Los Angeles, van der Berg."""
_PRIOR_WORTH = 1.0
"""Function words that the language of the neighbours is ahead, where a text is short."""
_SHORT = 40
"""Different words below which a text is short."""
_WORD = lazy(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f\u0900-\u0903\u093a-\u094f])*['’]?")
"""With vowel signs, which Python's `\\w` leaves out, and with the apostrophe of an elided article."""
_PUNCTUATION = "\"'.,;:!?()[]*_«»„“”‚‘’…¿¡<>|–—"
_ELIDED = lazy("^[^\\W\\d_]{1,6}['’](?=\\w)")


def detect(text: str, prior: str = "") -> str:
    """ISO 639-1 code of the language of a document; `prior` where the text is too short or too strange to tell, else "en".

    `prior` is the language of its neighbours, such as most of its folder, if they have one. Where a text is short, another
    language must be clearly ahead of it. Code and tables count as English.
    """
    sample = normalise(_sample(text))
    script = _script(sample)
    if script in _LANGUAGE_OF_SCRIPT:
        return _with_prior(_LANGUAGE_OF_SCRIPT[script], script, prior)
    if script in _SHARED:
        scores, _ = _scores(_WORD.findall(sample.lower().replace("’", "'")), sample, script)
        if prior in _SHARED[script]:
            scores[prior] = scores.get(prior, 0) + _PRIOR_WORTH
        return max(_SHARED[script], key=lambda language: scores.get(language, 0))
    return _latin(sample, prior if prior in _candidates("latin") else "")


def _with_prior(found: str, script: str, prior: str) -> str:
    """A Japanese title may be without kana."""
    return prior if script == "han" and prior == "ja" else found


def _latin(sample: str, prior: str) -> str:
    words = sample.split()
    scores, different = _scores(words, sample, "latin")
    fallback = prior or DEFAULT
    if len(words) > _SHORT and not _is_prose(words):
        fallback = DEFAULT
    elif prior and different < _SHORT:
        scores[prior] = scores.get(prior, 0) + _PRIOR_WORTH
    best = max(scores, key=lambda language: (scores[language], language == fallback), default=fallback)
    enough = max(_FEWEST_HITS, _SMALLEST_SHARE * different)
    return best if scores.get(best, 0) >= enough else fallback


def _is_prose(words: Sequence[str]) -> bool:
    """Whether most of the words are words, and not code or numbers."""
    return 2 * sum(word.strip(_PUNCTUATION).isalpha() for word in words) > len(words)


def _sample(text: str) -> str:
    if len(text) <= 2 * _SAMPLE:
        return text
    middle = len(text) // 2
    return text[:_SAMPLE] + " " + text[middle : middle + _SAMPLE]


def _script(sample: str) -> str:
    """The script most of the text is in. Any other wins over Latin with a third: code and names are Latin everywhere."""
    if sample.isascii() or not _BEYOND_LATIN.search(sample):
        return "latin"
    letters: Counter[str] = Counter()
    for character, times in Counter(sample).items():
        if script := _script_of(ord(character)):
            letters[script] += _DENSE.get(script, 1) * times
    latin = letters.pop("latin", 0)
    if not letters or letters.total() * 2 < latin:
        return "latin"
    if letters["kana"] * 10 > letters["han"]:
        letters["kana"] += letters.pop("han", 0)  # Japanese: Chinese has no kana at all
    return max(letters, key=lambda script: letters[script])


def _script_of(code: int) -> str:
    _, last, script = _SCRIPTS[bisect_right(_BEGINS, code) - 1]
    return script if code <= last else ""


def _scores(words: Sequence[str], sample: str, script: str) -> tuple[dict[str, float], int]:
    """How much speaks for each language of a script, and how many different words there are.

    What stands repeatedly counts once: a list of places in California is not Spanish. Of Latin words those that are written
    like a part of a name count less.
    """
    lists, letters = _profiles(script)
    worth = _worth(words) if script == "latin" else dict.fromkeys(words, 1.0)
    scores: defaultdict[str, float] = defaultdict(float)
    for word, share in worth.items():
        for language, weight in lists.get(word, ()):
            scores[language] += share * weight
    for letter in set(sample.lower()) & letters.keys():
        for language in letters[letter]:
            scores[language] += _LETTER_WEIGHT
    return scores, len(worth)


def _worth(words: Sequence[str]) -> dict[str, float]:
    """Word in lower case -> what it counts: 1, or `_IN_A_NAME`. Identifiers and numbers are no words."""
    worth: dict[str, float] = {}
    named = False  # whether the word before is written with a capital
    last = len(words) - 1
    shouts = sum(map(str.isupper, words)) * 2 > len(words)
    for i, word in enumerate(words):
        bare = word.strip(_PUNCTUATION)
        capital = bare[:1].isupper()
        if bare.isalpha() or "'" in bare or "’" in bare or "-" in bare:
            in_a_name = capital or (named and i < last and words[i + 1].lstrip(_PUNCTUATION)[:1].isupper())
            share = _IN_A_NAME if in_a_name and not shouts else 1.0
            for piece in _pieces(bare.lower().replace("’", "'")):
                worth[piece] = max(share, worth.get(piece, 0.0))
        named = capital and word[-1] not in ".!?:"
    return worth


def _pieces(word: str) -> tuple[str, ...]:
    """The word; its elided article and the rest ("l'homme")."""
    if "'" in word and (article := _ELIDED.match(word)):
        return article[0], word[article.end() :], word
    return (word,)


@functools.cache
def _profiles(script: str) -> tuple[dict[str, list[tuple[str, float]]], dict[str, list[str]]]:
    """Function word -> languages with a weight, letter -> languages. A word of few languages tells more than one of many.

    Single letters of ASCII tell nothing.
    """
    holders: dict[str, list[str]] = {}
    letters: dict[str, list[str]] = {}
    for language in _candidates(script):
        for word in stop_words(language):
            if len(word) == 1 and word.isascii():  # an initial, an option, a variable
                continue
            holders.setdefault(word, []).append(language)
        for letter in _TELLING.get(language, ""):
            letters.setdefault(letter, []).append(language)
    lists = {
        word: [(language, 1 / math.sqrt(len(languages))) for language in languages]
        for word, languages in holders.items()
    }
    return lists, letters


def _candidates(script: str) -> Sequence[str]:
    if script in _SHARED:
        return _SHARED[script]
    not_latin = {language for languages in _SHARED.values() for language in languages if language != "sr"}
    return sorted(LANGUAGES - not_latin - set(_LANGUAGE_OF_SCRIPT.values()))
