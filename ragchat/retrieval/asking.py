"""What kind of thing a question asks for, and whether a text has one: names, dates, amounts, places, reasons, steps, meanings.

Rules by language, written for this project; a question in another language has no kind. They are meant to rank sentences, not
to refuse them: each is right more often than not, and costs little where it is wrong.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Set as AbstractSet
from enum import StrEnum

from ragchat.retrieval.patterns import lazy
from ragchat.retrieval.preference import question_language


class Kind(StrEnum):
    """What is asked for."""

    PERSON = "person"
    TIME = "time"
    AMOUNT = "amount"
    PLACE = "place"
    REASON = "reason"
    WAY = "way"
    """How to do something."""
    COMMAND = "command"
    """An option, a command, a file, a setting."""
    MEANING = "meaning"
    TOPIC = "topic"
    """Words without a question: what something is, or how to do it."""


_SPOKEN = ("en", "de", "fr", "es", "it", "pt", "nl")
_SCRIPTS = (
    ("th", re.compile("[\u0e01-\u0e5b]")),
    ("ja", re.compile("[\u3041-\u30ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
)

_AT_ONCE = r"(?:\A\W*|[,.;:(] ?|\b(?:and|but|so|from|since|until|by|with|to|of|for|in|on|or) )"
"""Before a word that asks at the beginning of a clause, and joins clauses elsewhere: "the year when"."""
_ASKS = {
    "en": r"\?\s*\Z|\b(?:what|which|who|whom|whose|when|where|why|how)\b",
    "de": r"\?\s*\Z|\b(?:was|welche[mnrs]?|we[rnm]|wessen|wann|wo|wohin|woher|warum|weshalb|wieso|wie|wieviele?)\b",
    "fr": r"\?\s*\Z|\b(?:que|quoi|quel(?:le)?s?|qui|quand|où|pourquoi|comment|combien)\b",
    "es": r"\?\s*\Z|\b(?:qué|cuál|quién|cuándo|dónde|cómo|cuánt[oa]s?)\b",
    "it": r"\?\s*\Z|\b(?:che|cosa|quale|chi|quando|dove|perché|come|quant[oaie])\b",
    "pt": r"\?\s*\Z|\b(?:que|qual|quem|quando|onde|como|quant[oa]s?)\b",
    "nl": r"\?\s*\Z|\b(?:wat|welke?|wie|wanneer|waar|waarom|hoe)\b",
    "": r"\?\s*\Z",
}

_QUESTIONS = {
    "en": {
        Kind.PERSON: rf"{_AT_ONCE}who(?:m|se)?\b|\bwho\?",
        Kind.TIME: rf"{_AT_ONCE}when\b|\bwhen\?|\b(?:what|which) (?:year|date|day|month|decade|century|time)|\bhow old",
        Kind.AMOUNT: r"\bhow (?:many|much|long|far|big|large|often|old|high|fast|tall|deep|wide)"
        r"|\b(?:what|which) (?:is the )?(?:percent|number|amount|size|distance|length|score|share|limit)|\brange\b",
        Kind.PLACE: rf"{_AT_ONCE}where\b|\bwhere\?|\b(?:what|which) (?:city|country|state|place|continent|region|river)",
        Kind.REASON: r"\bwhy\b|\bhow come\b|\b(?:what|which) (?:cause[sd]?|(?:is |was )?the reason|reason)|\bcan cause\b",
        Kind.WAY: r"\bhow (?:do|does|can|should|to|could|would)\b|\bway to\b|\bwhat now\b",
        Kind.COMMAND: r"\b(?:what|which) (?:\w+ ){0,2}"
        r"(?:option|flag|command|setting|parameter|variable|switch|file|directive|key)s?\b",
        Kind.MEANING: r"\A\W*(?:what(?:['’]s| is| are| does| do| makes?)|define|meaning of|explain)\b|\b(?:stand for|mean)\b",
    },
    "de": {
        Kind.PERSON: r"\bwer\b|\bwen\b|\bwem\b|\bwessen\b",
        Kind.TIME: r"\bwann\b|\bwelche[mnrs]? (?:jahr|tag|datum|monat|zeit|epoche)|\bwie alt",
        Kind.AMOUNT: r"\bwie ?(?:viele?|lange?|weit|groß|oft|hoch|schnell|tief|alt|teuer)|\bprozent|\banzahl|\bmindestens\b",
        Kind.PLACE: r"\bwo\b|\bwoher\b|\bwohin\b|\bwelche[mnrs]? (?:stadt|land|ort|staat|region|fluss)",
        Kind.REASON: r"\bwarum\b|\bweshalb\b|\bwieso\b|\bweswegen\b",
        Kind.WAY: r"\bwie (?:mach|kann|soll|muss|geht|lässt|stell|richt|änder|bekomm)",
        Kind.COMMAND: r"\bwelche[mnrs]? (?:\w+ ){0,2}"
        r"(?:option|befehl|schalter|datei|einstellung|parameter|variable|taste|tastenkombi|funktion)",
        Kind.MEANING: r"\A\W*was (?:ist|sind|bedeutet|heißt|macht)\b|\bwofür stehen\b|\bbedeut",
    },
    "fr": {
        Kind.PERSON: r"\bqui\b",
        Kind.TIME: r"\bquand\b|\bquel(?:le)?s? (?:année|date|jour|mois|siècle)",
        Kind.AMOUNT: r"\bcombien\b|\bquel(?:le)? (?:taille|nombre|pourcentage)",
        Kind.PLACE: r"\boù\b|\bquel(?:le)? (?:ville|pays|endroit|région)",
        Kind.REASON: r"\bpourquoi\b|\bpour quelle raison",
        Kind.WAY: r"\bcomment\b",
        Kind.COMMAND: r"\bquel(?:le)?s? (?:\w+ ){0,2}(?:option|commande|fichier|paramètre|variable|touche|fonction)s?\b",
        Kind.MEANING: r"\A\W*(?:qu['’]est-ce|c['’]est quoi|que signifie)|\bveut dire\b",
    },
    "es": {
        Kind.PERSON: r"\bqui[eé]n(?:es)?\b",
        Kind.TIME: r"\bcuándo\b|\b(?:qué|cuál) (?:año|fecha|día|mes|siglo)",
        Kind.AMOUNT: r"\bcu[aá]nt[oa]s?\b|\bporcentaje\b",
        Kind.PLACE: r"\b[ad]?dónde\b|\bqué (?:ciudad|país|lugar|región)",
        Kind.REASON: r"\bpor qué\b",
        Kind.WAY: r"\bcómo\b",
        Kind.COMMAND: r"\b(?:qué|cuál) (?:\w+ ){0,2}(?:opción|orden|comando|fichero|archivo|parámetro|variable|tecla|función)\b",
        Kind.MEANING: r"\A\W*qué (?:es|son|significa)\b",
    },
    "it": {
        Kind.PERSON: r"\bchi\b",
        Kind.TIME: r"\bquando\b|\b(?:che|quale) (?:anno|data|giorno|mese|secolo)",
        Kind.AMOUNT: r"\bquant[oaie]\b|\bpercentuale\b",
        Kind.PLACE: r"\bdove\b|\b(?:che|quale) (?:città|paese|luogo|regione)",
        Kind.REASON: r"\bperché\b",
        Kind.WAY: r"\bcome\b",
        Kind.COMMAND: r"\b(?:che|quale) (?:\w+ ){0,2}(?:opzione|comando|file|parametro|variabile|tasto|funzione)\b",
        Kind.MEANING: r"\A\W*(?:che )?cos(?:a|['’]) ?(?:è|sono|significa)\b",
    },
    "pt": {
        Kind.PERSON: r"\bquem\b",
        Kind.TIME: r"\bquando\b|\b(?:que|qual) (?:ano|data|dia|mês|século)",
        Kind.AMOUNT: r"\bquant[oa]s?\b|\bpercentagem\b",
        Kind.PLACE: r"\bonde\b|\b(?:que|qual) (?:cidade|país|lugar|região)",
        Kind.REASON: r"\bpor ?qu[eê]\b",
        Kind.WAY: r"\bcomo\b",
        Kind.COMMAND: r"\b(?:que|qual) (?:\w+ ){0,2}(?:opção|comando|arquivo|ficheiro|parâmetro|variável|tecla|função)\b",
        Kind.MEANING: r"\A\W*o que (?:é|são|significa)\b",
    },
    "nl": {
        Kind.PERSON: r"\bwie\b|\bwiens\b",
        Kind.TIME: r"\bwanneer\b|\bwelke? (?:jaar|datum|dag|maand|eeuw)",
        Kind.AMOUNT: r"\bhoe ?(?:veel|lang|ver|groot|vaak|hoog|snel|diep|oud)|\bpercentage\b",
        Kind.PLACE: r"\bwaar\b|\bwelke? (?:stad|land|plaats|streek)",
        Kind.REASON: r"\bwaarom\b",
        Kind.WAY: r"\bhoe (?:kan|moet|doe|maak|stel|krijg)",
        Kind.COMMAND: r"\bwelke? (?:\w+ ){0,2}(?:optie|opdracht|bestand|instelling|parameter|variabele|toets|functie)\b",
        Kind.MEANING: r"\A\W*wat (?:is|zijn|betekent)\b",
    },
    "zh": {
        Kind.PERSON: r"谁|誰",
        Kind.TIME: r"何时|何時|什么时候|什麼時候|哪.?年|几年|哪一天|何年",
        Kind.AMOUNT: r"多少|几|幾|多[长長久大高远遠快深]|百分比|比例",
        Kind.PLACE: r"哪里|哪裡|何处|何處|在哪|什么地方|什麼地方|哪.?(?:国|國|城|州|省|地)",
        Kind.REASON: r"为什么|為什麼|为何|為何|原因",
        Kind.WAY: r"怎么|怎麼|如何|怎样|怎樣",
        Kind.COMMAND: r"选项|選項|命令|文件|参数|變量|变量|设置|按键",
        Kind.MEANING: r"是什么|是什麼|什么是|什麼是|意思|含义",
    },
    "th": {
        Kind.PERSON: r"ใคร|ผู้ใด",
        Kind.TIME: r"เมื่อใด|เมื่อไหร่|เมื่อไร|ปีใด|ปีไหน|ปีอะไร|วันใด|วันที่เท่าไร",
        Kind.AMOUNT: r"เท่าไร|เท่าไหร่|เท่าใด|กี่|จำนวน|นานแค่ไหน",
        Kind.PLACE: r"ที่ไหน|ที่ใด|แห่งใด|(?:เมือง|ประเทศ|รัฐ)(?:ใด|ไหน|อะไร)",
        Kind.REASON: r"ทำไม|เหตุใด|เพราะอะไร|สาเหตุ",
        Kind.WAY: r"อย่างไร|ยังไง|วิธี",
        Kind.COMMAND: r"คำสั่ง|ตัวเลือก|ไฟล์|ตัวแปร|ปุ่ม",
        Kind.MEANING: r"คืออะไร|หมายถึง|หมายความ",
    },
    "ja": {
        Kind.PERSON: r"誰|だれ",
        Kind.TIME: r"いつ|何年|何月|何日|何時",
        Kind.AMOUNT: r"いくつ|いくら|何[人個回件]|どのくらい|どれくらい",
        Kind.PLACE: r"どこ|何処|どの(?:国|都市|州|場所)",
        Kind.REASON: r"なぜ|何故|どうして|理由",
        Kind.WAY: r"どうやって|方法|どのように|どうすれば",
        Kind.COMMAND: r"コマンド|オプション|ファイル|設定|キー",
        Kind.MEANING: r"とは|何です|意味",
    },
}  # fmt: skip

_NUMBER = re.compile(r"\d+(?:[.,:]\d+)*")
_YEAR = re.compile(r"1\d{3}|20\d{2}")
_HAN_NUMBER = lazy("[一二三四五六七八九十百千万亿兆两]+")
_WORD = re.compile(r"[^\W\d_][\w'’.-]*")
_AMOUNT_WORDS = frozenset(
    """
    one two three four five six seven eight nine ten eleven twelve thirteen fifteen twenty thirty forty fifty hundred thousand
    million billion dozen half third quarter once twice first second
    zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend deux trois quatre cinq sept huit neuf dix
    dos tres cuatro cinco seis siete ocho nueve diez due tre quattro cinque sei sette otto nove dieci
    dois três quatro sete oito dez twee drie vier vijf zes zeven negen tien
    """.split()  # noqa: SIM905
)
_MONTHS = frozenset(
    """
    january february march april may june july august september october november december
    januar februar märz mai juni juli oktober dezember janvier février mars avril juin juillet août septembre octobre décembre
    enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
    gennaio aprile maggio giugno luglio settembre ottobre dicembre
    janeiro fevereiro março maio junho julho setembro outubro novembro dezembro januari februari maart mei augustus
    """.split()  # noqa: SIM905
)
_TIME_WORDS = lazy(
    r"\b(?:centur(?:y|ies)|decades?|jahrhundert\w*|siècles?|siglos?|secol[oi]|séculos?|eeuw)\b"
    r"|世纪|世紀|年代|\d ?年|ศตวรรษ|พ\.ศ|ค\.ศ|ปี",
    flags=re.IGNORECASE,
)
_UNIT = lazy(
    r"[$€£¥] ?\d|\d ?(?:%|％|°|per ?cent|prozent|million|billion|milliard|km\b|kilomet|miles?\b|met(?:er|re)s?\b|feet|inch"
    r"|days?\b|hours?\b|minutes?\b|seconds?\b|years?\b|months?\b|weeks?\b|tagen?\b|stunden?\b|minuten\b|sekunden\b|jahren?\b"
    r"|monaten?\b|wochen\b|jours?\b|heures?\b|ans\b|días?\b|horas?\b|años?\b|giorni\b|[kmgt]i?b\b|bytes?\b|bits?\b|kg\b|tons?\b"
    r"|[gm]hz\b|people|年|月|日|米|公里|英里|万|亿|人|岁|个|名)",
    flags=re.IGNORECASE,
)
_PLACE = lazy(
    r"\b(?:in|at|near|from|to|of|on|im|am|bei|nach|aus|von|à|en|dans|a|nel|em|na|no|te) (?:the |der |dem |la |le |el |il |o )?"
    r"[A-ZÄÖÜÉ]\w"
)
_REASON = lazy(
    r"\b(?:because|since|therefore|thus|due to|so that|in order to|as a result|caused? by|reasons?|leads? to"
    r"|weil|daher|deshalb|wegen|aufgrund|damit|gr[uü]nde?n?|denn|parce qu|car|donc|afin|à cause|porque|debido|por lo tanto"
    r"|perché|poiché|pois|devido|omdat|doordat)\b|因为|因為|由于|由於|因此|所以|เพราะ|เนื่องจาก|ため|ので|から",
    flags=re.IGNORECASE,
)
_CODE = lazy(
    r"```|`[^`]+`|(?:^|[\s(\"“‘'])--?[A-Za-z][\w-]*|\w\(\)|^[ \t]*[$#>%] \w|\w_\w|(?:^|[\s\"“‘'])[/~][\w.]+/|\w=\S|<\w[\w-]*>",
    flags=re.MULTILINE,
)
_STEP = lazy(
    r"\A\W*(?:\d{1,3}[.)] +)?(?:use|using|run|type|enter|set|specify|add|press|click|select|choose|open|execute|install|remove"
    r"|to [a-z]+|verwenden|benutzen|geben|drücken|klicken|wählen|um \w+|utilisez|pour|tapez|appuyez|cliquez"
    r"|use|utilice|para|pulse|haga|ejecute|usare|per|premere|digitare)\b"
    r"|\b(?:option|command|by (?:using|specifying|setting|adding)|can be (?:used|set|done|disabled|enabled)|you can"
    r"|befehl|mit der option|können sie|l['’]option|la commande|vous pouvez|la opción|la orden|puede|l['’]opzione|il comando)\b",
    flags=re.IGNORECASE,
)
_MEANING = lazy(
    r"\b(?:is|are|was|were) (?:an?|the|any|one)\b|\b(?:refers? to|means?|known as|called|defined as|consists? of|stands? for)\b"
    r"|\bist (?:eine?|der|die|das)\b|\b(?:bezeichnet|bedeutet|genannt|heißt)\b|\best (?:une?|le|la)\b|\bes (?:una?|el|la)\b"
    r"|\bè (?:una?|il|la)\b|\bé (?:uma?|o|a)\b|\bis een\b|是(?:一|指)|คือ|หมายถึง|とは",
    flags=re.IGNORECASE,
)


def language_of(question: str) -> str:
    """The language a question is in, of those that have rules; '' for others and where a few words do not tell."""
    for language, script in _SCRIPTS:
        if script.search(question):
            return language
    return question_language(question, _SPOKEN)


@functools.cache
def _asking(language: str, kind: Kind) -> re.Pattern[str]:
    return re.compile(_QUESTIONS[language][kind], re.IGNORECASE)


def kinds(question: str) -> frozenset[Kind]:
    """What a question asks for; empty where no rule tells, as for "What river …"."""
    language = language_of(question)
    # Few words tell no language, but often mean the same in all that know them: "Quando …?"
    told = {found for one in ([language] if language else _SPOKEN) if (found := _kinds(question, one))}
    if len(told) == 1:
        return told.pop()
    asks = _ASKS.get(language)
    return (
        frozenset() if asks is None or re.search(asks, question, re.IGNORECASE) else frozenset({Kind.TOPIC})
    )


def _kinds(question: str, language: str) -> frozenset[Kind]:
    asks = _ASKS.get(language)
    if asks and not re.search(asks, question, re.IGNORECASE):
        return frozenset()
    found = {kind for kind in _QUESTIONS[language] if _asking(language, kind).search(question)}
    return frozenset(found - {Kind.WAY} if Kind.AMOUNT in found else found)


def words(text: str) -> frozenset[str]:
    """The words of a text in lower case, as they are written."""
    return frozenset(found.lower() for found in _WORD.findall(text))


def new_numbers(text: str, question: str) -> list[str]:
    """Numbers in figures that the question does not have."""
    asked = set(_NUMBER.findall(question))
    return [number for number in _NUMBER.findall(text) if number not in asked]


def new_names(text: str, asked: AbstractSet[str]) -> int:
    """How many words are written with a capital although no sentence begins with them, and are not among `asked`."""
    return sum(
        found[0][0].isupper()
        and found.start() > 0
        and text[found.start() - 2 : found.start()] not in (". ", "? ", "! ")
        and found[0].lower() not in asked
        for found in _WORD.finditer(text)
    )


def has_date(numbers: list[str], own: AbstractSet[str], text: str) -> bool:
    """Whether there is a year, a month or a century. `numbers` and words are those that are not in the question."""
    return (
        any(_YEAR.fullmatch(number) for number in numbers)
        or not own.isdisjoint(_MONTHS)
        or _TIME_WORDS.search(text) is not None
    )


def has_amount_word(own: AbstractSet[str], text: str) -> bool:
    """Whether a number is written in letters."""
    return not own.isdisjoint(_AMOUNT_WORDS) or _HAN_NUMBER.search(text) is not None


def has_unit(text: str) -> bool:
    """Whether a number has a unit behind it, or a currency before it."""
    return _UNIT.search(text) is not None


def has_place(text: str) -> bool:
    """Whether a name follows a preposition of place."""
    return _PLACE.search(text) is not None


def has_reason(text: str) -> bool:
    """Whether a text gives a reason for something."""
    return _REASON.search(text) is not None


def has_code(text: str) -> bool:
    """Whether there is a command, an option, a path, a name of a program."""
    return _CODE.search(text) is not None


def has_step(text: str) -> bool:
    """Whether a text tells you what to do."""
    return _STEP.search(text) is not None


def has_meaning(text: str) -> bool:
    """Whether a text says what something is."""
    return _MEANING.search(text) is not None
