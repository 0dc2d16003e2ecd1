"""Multi-turn questions made by rule from a question set: the second of two questions on one paragraph, asked as people go on.

What both questions say is said only once: a name that the first question holds becomes a pronoun ("Who wrote it?"; English only),
or the words of the first question are left out, after an "and" ("And in 2022?") or without; any language with spaces between its
words. The other way round, `new_subjects` makes short questions that stand on their own, and `TURNS` are invented turns of both
kinds, to see whether one is told from the other. No model, no chance: the same set gives the same dialogues.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ragchat.evaluation.corpora import Question
from ragchat.retrieval.analyzer import stop_terms, terms

Kind = Literal["pronoun", "and", "left out", "new subject"]

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
_NAME = re.compile(
    r"(?:\b[Tt]he )?(?<![.!?] )\b[A-Z][\w-]*(?:(?: of| the| de)? [A-Z][\w-]*)*(?P<possessive>['’]s\b)?"
)
_SUBJECT_AFTER = frozenset(
    ("did", "do", "does", "is", "are", "was", "were", "has", "have", "had", "can", "could", "will")
)
_AND = {"en": "And", "de": "Und", "fr": "Et", "es": "Y", "it": "E", "nl": "En", "pt": "E", "ru": "А"}


_WHAT_IS = {
    "en": "What is {}?",
    "de": "Was ist {}?",
    "nl": "Wat is {}?",
    "es": "¿Qué es {}?",
    "it": "Cos'è {}?",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """`said` comes after `first`. `goes_on`: what it asks cannot be found without `first`."""

    language: str
    first: str
    said: str
    goes_on: bool


TURNS = (
    Turn("en", "How is the Zephyr pump primed?", "How long does it take?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "And the Orion?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "What about in winter?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "How often?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Why?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Which tools do I need for that?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "What is its warranty?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Who makes them?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Then what?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Is there another way?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Can you say more?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "So what does it cost?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Where do I buy one?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Does he do the same again?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "Who said that?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "And does the warranty cover frost damage?", goes_on=True),
    Turn("en", "How is the Zephyr pump primed?", "price?", goes_on=True),
    Turn("de", "Wie entlüftet man die Pumpe Zephyr?", "Wie lange dauert das?", goes_on=True),
    Turn("de", "Wie entlüftet man die Pumpe Zephyr?", "Und im Winter?", goes_on=True),
    Turn("de", "Wie entlüftet man die Pumpe Zephyr?", "Wer stellt sie her?", goes_on=True),
    Turn("de", "Wie entlüftet man die Pumpe Zephyr?", "Was kostet diese im Handel?", goes_on=True),
    Turn("de", "Wie entlüftet man die Pumpe Zephyr?", "Warum?", goes_on=True),
    Turn("fr", "Comment amorcer la pompe Zephyr ?", "Et en hiver ?", goes_on=True),
    Turn("fr", "Comment amorcer la pompe Zephyr ?", "Combien coûte celle de Orion ?", goes_on=True),
    Turn("es", "¿Cómo se ceba la bomba Zephyr?", "¿Y en invierno?", goes_on=True),
    Turn("es", "¿Cómo se ceba la bomba Zephyr?", "¿Cuánto cuesta esta?", goes_on=True),
    Turn("it", "Come si adesca la pompa Zephyr?", "E in inverno?", goes_on=True),
    Turn("nl", "Hoe vul je de pomp Zephyr?", "En in de winter?", goes_on=True),
    Turn("nl", "Hoe vul je de pomp Zephyr?", "Hoe lang duurt dit?", goes_on=True),
    Turn("ru", "Как заправить насос Зефир?", "А зимой?", goes_on=True),
    Turn("ru", "Как заправить насос Зефир?", "Сколько он стоит?", goes_on=True),
    Turn("zh", "怎样给西风水泵加水？", "它多少钱？", goes_on=True),
    Turn("ja", "ゼファーポンプに水を入れるには？", "それはいくらですか？", goes_on=True),
    Turn("en", "Which keys move the cursor?", "What is ragchat?", goes_on=False),
    Turn("en", "Which keys move the cursor?", "What is a knowledge base and what is it for?", goes_on=False),
    Turn("en", "Which keys move the cursor?", "How do I export one chat as a web page?", goes_on=False),
    Turn("en", "Which keys move the cursor?", "OCR_LANGUAGES", goes_on=False),
    Turn("en", "Which keys move the cursor?", "nightly backup", goes_on=False),
    Turn("en", "Which keys move the cursor?", "adapter scale", goes_on=False),
    Turn(
        "en",
        "Which keys move the cursor?",
        "my index got lost with the old disk, how do I get it back",
        goes_on=False,
    ),
    Turn(
        "en", "Which keys move the cursor?", "delete a folder together with everything in it", goes_on=False
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "give the same option more than once and collect the values",
        goes_on=False,
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "How many commands does the shell keep in its history?",
        goes_on=False,
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "Which number is used unless I ask for another one in the settings?",
        goes_on=False,
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "Is a passage that was cited kept when its document is deleted?",
        goes_on=False,
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "Why does the download stop at ninety percent every evening?",
        goes_on=False,
    ),
    Turn(
        "en",
        "Which keys move the cursor?",
        "move the window next to the other screen instead of below",
        goes_on=False,
    ),
    Turn("de", "Welche Tasten bewegen den Zeiger?", "Was ist eine Wissensbasis?", goes_on=False),
    Turn(
        "de",
        "Welche Tasten bewegen den Zeiger?",
        "Woher haben die Monate der Römer ihre Namen?",
        goes_on=False,
    ),
    Turn(
        "de",
        "Welche Tasten bewegen den Zeiger?",
        "Rechner hängt, wie sichere ich noch die Platte davor",
        goes_on=False,
    ),
    Turn(
        "de",
        "Welche Tasten bewegen den Zeiger?",
        "Wie lade ich ein Modell herunter, damit es offline läuft?",
        goes_on=False,
    ),
    Turn(
        "fr",
        "Quelles touches déplacent le curseur ?",
        "Qu'est-ce qu'une base de connaissances ?",
        goes_on=False,
    ),
    Turn(
        "fr",
        "Quelles touches déplacent le curseur ?",
        "un lien dur prend de la place et combien en plus",
        goes_on=False,
    ),
    Turn("es", "¿Qué teclas mueven el cursor?", "¿Qué es una base de conocimiento?", goes_on=False),
    Turn(
        "es",
        "¿Qué teclas mueven el cursor?",
        "¿Cómo exporto un chat para leer este mismo texto fuera?",
        goes_on=False,
    ),
    Turn("it", "Quali tasti muovono il cursore?", "Che cos'è una base di conoscenza?", goes_on=False),
    Turn("nl", "Welke toetsen bewegen de cursor?", "Wat is een kennisbank?", goes_on=False),
    Turn("ru", "Какие клавиши двигают курсор?", "Что такое база знаний?", goes_on=False),
    Turn("zh", "哪些按键移动光标？", "知识库怎样导出到文件里去？", goes_on=False),
)
"""Invented, so that each kind is there: words that point back, beginnings, short ones; names, key words, several clauses."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """`first` was asked before; `follow_up` is `second` as a person would go on."""

    kind: Kind
    first: Question
    second: Question
    follow_up: str


def dialogues(questions: Sequence[Question], language: str) -> Iterator[Dialogue]:
    """All that the rules can make of questions that stand next to each other and ask about the same documents."""
    for first, second in pairwise(questions):
        if not second.relevant or first.relevant != second.relevant:
            continue
        if language == "en" and (text := _with_pronoun(first.text, second.text)):
            yield Dialogue("pronoun", first, second, text)
        if text := _left_out(first.text, second.text, language):
            if language in _AND:
                yield Dialogue("and", first, second, f"{_AND[language]} {text[0].lower()}{text[1:]}")
            yield Dialogue("left out", first, second, text)


def new_subjects(questions: Sequence[Question], language: str) -> Iterator[Dialogue]:
    """Short questions about a name, each after a question on another document; languages for which "What is …?" is known."""
    if language not in _WHAT_IS:
        return
    for number, question in enumerate(questions):
        other = questions[(number + len(questions) // 2) % len(questions)]
        names = [_bare(match) for match in _NAME.finditer(question.text) if match.start()]
        if names and question.relevant and not set(question.relevant) & set(other.relevant):
            yield Dialogue("new subject", other, question, _WHAT_IS[language].format(max(names, key=len)))


def _with_pronoun(first: str, second: str) -> str:
    """`second` with the longest name that `first` holds replaced; empty when there is none."""
    known = first.casefold()
    shared = [
        match
        for match in _NAME.finditer(second)
        if (name := _bare(match)).casefold() in known and _content(name, "en") and match.start()
    ]
    if not shared:
        return ""
    longest = max(shared, key=lambda match: (len(match[0]), -match.start()))
    plural = _bare(longest).endswith("s")
    before = second[: longest.start()].rstrip().rpartition(" ")[2].lower()
    if longest["possessive"]:
        pronoun = "their" if plural else "its"
    elif before in _SUBJECT_AFTER:
        pronoun = "they" if plural else "it"
    else:
        pronoun = "them" if plural else "it"
    return second[: longest.start()] + pronoun + second[longest.end() :]


def _bare(match: re.Match[str]) -> str:
    return re.sub(r"^[Tt]he |['’]s$", "", match[0])


def _left_out(first: str, second: str, language: str) -> str:
    """What `second` asks beyond `first`; empty when they share no word of content, or nothing is left."""
    said = {word.casefold() for word in _WORD.findall(first) if _content(word, language)}
    words = second.rstrip(" ?.!").split()
    kept = [word for word in words if not _said(word, said)]
    if len(kept) == len(words) or not any(_content(word, language) for word in kept):
        return ""
    return f"{' '.join(kept)}?"


def _content(text: str, language: str) -> bool:
    """Whether it holds a word that says what is spoken of."""
    return not stop_terms(language).issuperset(terms(text, language))


def _said(word: str, said: set[str]) -> bool:
    found = _WORD.findall(word)
    return bool(found) and all(part.casefold() in said for part in found)
