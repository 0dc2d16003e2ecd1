"""Words that decide what a sentence claims: negations, comparisons, numbers, units, months, pronouns. Data only.

English, German, French and Spanish; negations and breaks also in Italian, Portuguese, Dutch, Chinese, Japanese and Thai. The
lists hold the most frequent ones. A word that is on none of them counts like any other word.
"""

from __future__ import annotations

import functools

NOT = "¬"
"""The class of every plain negation; other classes are words as well."""


def listed(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


_NEGATIONS = {
    "en": "not no never without cannot neither nor none nobody nothing nowhere hardly barely scarcely non",
    "de": "nicht kein keine keinen keinem keiner keines nie niemals ohne weder niemand nichts nirgends kaum",
    "fr": "pas jamais sans aucun aucune aucuns ni personne rien nulle guère non",
    "es": "no nunca jamás sin ningún ninguna ninguno nadie nada tampoco ni",
    "it": "non mai senza nessun nessuno nessuna niente",
    "pt": "não nem nenhum nenhuma nunca sem",
    "nl": "niet geen nooit zonder niets niemand",
}


@functools.cache
def negations(language: str) -> frozenset[str]:
    """Plain negations of a language, and those of English, which is in every document."""
    return listed(f"{_NEGATIONS['en']} {_NEGATIONS.get(language, '')}")


DENIALS = listed(
    """
    deny denies denied false falsely untrue myth wrongly incorrectly disproved refuted fail fails failed refuse refuses refused
    lack lacks lacked unable impossible doubt doubts doubted forbidden prohibited
    falsch irrtümlich unmöglich verweigert verweigerte bestreitet bestritt verboten unfähig bezweifelt
    faux impossible refuse refusé interdit nie nié falso imposible niega negó prohibido
    """
)
"""Words of their own that turn what follows into its opposite."""

_COMPARISONS = {
    "en": {
        "more": "more over exceeding above", "less": "less fewer under below", "least": "least minimum", "most": "maximum",
        "before": "before prior", "after": "after", "until": "until till", "since": "since", "only": "only solely exclusively",
        "except": "except unless excluding", "always": "always", "all": "all every each", "some": "some",
        "must": "must shall required mandatory", "may": "may might could", "should": "should", "best": "best", "worst": "worst",
        "if": "if", "almost": "almost nearly",
    },
    "de": {
        "more": "mehr über", "less": "weniger unter", "least": "mindestens wenigstens", "most": "höchstens maximal",
        "before": "vor bevor vorher", "after": "nach nachdem danach", "until": "bis", "since": "seit",
        "only": "nur ausschließlich lediglich", "except": "außer ausgenommen", "always": "immer stets",
        "all": "alle jeder jede jedes",
        "some": "einige manche", "must": "müssen muss muß mussten musste verpflichtend", "may": "dürfen darf könnte könnten",
        "should": "soll sollte sollten sollen", "if": "wenn falls sofern", "almost": "fast beinahe",
    },
    "fr": {
        "more": "plus", "less": "moins", "before": "avant", "after": "après", "until": "jusqu", "since": "depuis",
        "only": "seulement uniquement", "except": "sauf excepté", "always": "toujours", "all": "tous toutes", "some": "quelques",
        "must": "doit doivent", "should": "devrait", "if": "si", "almost": "presque",
    },
    "es": {
        "more": "más", "less": "menos", "before": "antes", "after": "después", "until": "hasta", "since": "desde",
        "only": "solo solamente sólo únicamente", "except": "excepto salvo", "always": "siempre", "all": "todos todas",
        "some": "algunos algunas", "must": "debe deben", "may": "podría podrían", "should": "debería", "if": "si",
        "almost": "casi",
    },
}  # fmt: skip
"""Class -> its words. What a statement says of one class, the passage must say of the same."""


@functools.cache
def class_of(language: str) -> dict[str, str]:
    """A word of comparison, of time or of duty -> its class."""
    return {
        word: name
        for spoken in dict.fromkeys(("en", language))
        for name, words in _COMPARISONS.get(spoken, {}).items()
        for word in words.split()
    }


OPTIONAL = frozenset({"all", "some", "first", "almost", "if"})
"""Classes that a statement may leave out: it then says less, or says it less exactly. "if" counts in the clause it opens."""

_OPPOSITES = """
    allow forbid, allow prohibit, allow deny, permit forbid, enable disable, increase decrease, rise fall, raise lower,
    grow shrink, start stop, begin end, open close, include exclude, accept reject, add remove, first last, early late,
    earlier later, high low, higher lower, highest lowest, large small, larger smaller, largest smallest, big small,
    long short, longer shorter, maximum minimum, most least, old new, older younger, oldest youngest, east west, eastern
    western, north south, northern southern, left right, upper lower, top bottom, win lose, won lost, buy sell, push
    pull, true false, legal illegal, possible impossible, male female, father mother, son daughter, public private, on
    off, connect disconnect, install uninstall, lock unlock, show hide, up down, strong weak, hot cold, hard soft, fast
    slow, rich poor, internal external, import export, success failure, succeed fail, gain lose, victory defeat, attack
    defend, ascend descend, arrive leave, lend borrow, erlauben verbieten, erlaubt verboten, aktivieren deaktivieren,
    erhöhen verringern, steigen fallen, steigen sinken, öffnen schließen, beginnen enden, hoch niedrig, höher niedriger,
    höchste niedrigste, groß klein, größer kleiner, größte kleinste, lang kurz, länger kürzer, alt jung, alt neu,
    älteste jüngste, erste letzte, früh spät, früher später, ost west, nord süd, östlich westlich, nördlich südlich,
    links rechts, oben unten, gewinnen verlieren, gewann verlor, kaufen verkaufen, richtig falsch, stark schwach,
    mögliche unmögliche, öffentlich privat, innere äußere, schnell langsam, heiß kalt, zunehmen abnehmen, zugenommen
    abgenommen
"""


@functools.cache
def opposites() -> dict[str, frozenset[str]]:
    """A word and its opposites, in lower case, both ways."""
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES.split(","):
        one, other = pair.split()
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


BREAKS = listed(
    """
    and but or while whereas because although though if when unless so
    und aber oder sondern während weil obwohl wenn denn jedoch
    et mais ou tandis parce bien quand y e pero o mientras porque aunque cuando sino
    """
)
"""Words with which a clause begins."""
RELATIVE = listed(
    """
    who whom whose which that where
    dass daß wobei welche welcher welches deren dessen
    qui que qu dont où quien quienes cuyo cuya
    """
)
"""Words with which a clause begins that is about the word before it."""
RELATIVE_AFTER_COMMA = listed("der die das den dem denen")
THAT = listed("that dass daß que qu whether ob")
"""Behind these is what somebody says, denies or doubts."""
DISTANCING = listed(
    """
    claim claims claimed alleged allegedly believe believes believed thought suppose supposed supposedly rumour rumor rumoured
    rumored
    hoped expected planned proposed considered suggested speculated
    behauptet behauptete behaupten angeblich glaubt glaubte glauben vermutet vermutlich geplant
    prétend prétendait prétendument croit croyait supposé supuesto supuestamente cree creía afirma
    """
)
"""Words of the passage before which or behind which something is not said to be so."""

PRONOUNS = listed(
    """
    it its they their them he his him she her this these those such that there
    es er sie ihr ihre ihren ihrem ihrer sein seine seinen seinem seiner dies diese dieser dieses diesen diesem
    il elle ils elles ce cet cette ces son sa ses leur leurs cela
    él ella ellos ellas su sus este esta estos estas ese esa eso esto
    他 她 它 他们 她们 它们 其 这 该
    """
)
LEADING = listed(
    "also therefore thus hence however additionally furthermore moreover außerdem daher also ebenfalls jedoch aussi donc también"
)
"""Words that join a sentence to the one before."""
LIGHT = listed(
    "located situated called named known refers referred means consists namely approximately"
    " liegt befindet heißt genannt bezeichnet nämlich situé appelé nommé connu situado llamado conocido"
)
"""Words of a statement that a passage may say without: "Paris (France)" for "Paris is located in France"."""

_VERBS = {
    "en": "is are was were be been has have had do does did can could will would shall should must may might isn't aren't wasn't"
    " weren't don't doesn't didn't can't cannot won't",
    "de": "ist sind war waren wird werden wurde wurden hat haben hatte hatten kann können konnte muss müssen soll darf gibt gab",
    "fr": "est sont était étaient fut furent a ont avait avaient peut doit sera seront",
    "es": "es son era eran fue fueron ha han había tiene tienen puede debe será está están hay",
}


@functools.cache
def verbs(language: str) -> frozenset[str]:
    """Finite verbs that tell a sentence from a name or a number alone."""
    return listed(_VERBS.get(language, _VERBS["en"]))


_DIRECTIONS = {
    "en": "from to into by via toward towards against through onto",
    "de": "von zu nach durch gegen aus",
    "fr": "par vers contre depuis",
    "es": "por hacia contra desde",
}
BY = frozenset("by durch par por".split())  # noqa: SIM905
"""Before the one who does it: "defeated by" is not "defeated"."""


@functools.cache
def directions(language: str) -> frozenset[str]:
    """Prepositions of which no other will do."""
    return listed(_DIRECTIONS.get(language, _DIRECTIONS["en"]))


LINKING = listed(
    """
    of from by for with to in at on than von vom des mit für durch de du del par con por da di van
    """
)
"""Between a word and what it belongs to: "the son of Rollo" is not Rollo."""

MONTHS = {
    word: n
    for n, words in enumerate(
        (
            "january jan januar jänner janvier enero gennaio janeiro januari",
            "february feb februar février fevrier febrero febbraio fevereiro februari",
            "march mar märz maerz mars marzo março maart",
            "april apr avril abril aprile",
            "may mai mayo maggio maio mei",
            "june jun juni juin junio giugno junho",
            "july jul juli juillet julio luglio julho",
            "august aug août aout agosto augustus",
            "september sep sept septembre septiembre settembre setembro",
            "october oct oktober octobre octubre ottobre outubro okt",
            "november nov novembre noviembre novembro",
            "december dec dezember dez décembre decembre diciembre dicembre dezembro",
        ),
        1,
    )
    for word in words.split()
}
WEEKDAYS = {
    word: n
    for n, words in enumerate(
        (
            "monday montag lundi lunes", "tuesday dienstag mardi martes", "wednesday mittwoch mercredi miércoles",
            "thursday donnerstag jeudi jueves", "friday freitag vendredi viernes", "saturday samstag sonnabend samedi sábado",
            "sunday sonntag dimanche domingo",
        ),
        1,
    )
    for word in words.split()
}  # fmt: skip

_UNITS = """
    % percent percentage prozent pourcent
    B byte bytes | kB KB kilobyte kilobytes KiB | MB megabyte megabytes MiB | GB gigabyte gigabytes GiB
    TB terabyte terabytes TiB | bit bits
    ms millisecond milliseconds millisekunde millisekunden | s sec secs seconds sekunde sekunden seconde secondes segundo segundos
    min mins minute minutes minuten minuto minutos | h hr hrs hour hours stunde stunden heure heures hora horas
    day days tag tage tagen jour jours día días | week weeks woche wochen semaine semaines semana semanas
    month months monat monate monaten mois mes meses | year years jahr jahre jahren an ans année années año años
    decade decades jahrzehnt jahrzehnte jahrzehnten décennie décennies década décadas
    century centuries jahrhundert jahrhunderte jahrhunderten jahrhunderts siècle siècles siglo siglos
    mm millimetre millimeter millimetres millimeters | cm centimetre centimeter centimetres centimeters zentimeter
    m metre meter metres meters metern mètre mètres metro metros 
    km kilometre kilometer kilometres kilometers kilometern kilomètres kilómetros
    inch inches zoll | ft foot feet fuß | yd yard yards | mi mile miles meile meilen
    mg milligram milligrams | g gram grams gramm gramme grammes gramo gramos | kg kilogram kilograms kilogramm kilo
    t ton tons tonne tonnes tonnen | lb lbs pound pounds pfund
    l litre liter litres liters litern litros | ml millilitre milliliter
    W watt watts | kW kilowatt kilowatts | MW megawatt megawatts | V volt volts | A ampere amps | Hz hertz | kHz | MHz | GHz
    ° degree degrees grad degré degrés grado grados | °C celsius | °F fahrenheit | bar bars | Pa pascal | kPa | psi
    $ usd dollar dollars dólar dólares | € eur euro euros | £ gbp | ¥ yen jpy | ct cent cents
    km/h kph | mph
"""


@functools.cache
def units() -> dict[str, str]:
    """A unit as written, or in lower case where it is a word -> the one name of the unit."""
    found: dict[str, str] = {}
    for line in _UNITS.strip().splitlines():
        for group in line.split("|"):
            first, *others = group.split()
            for word in (first, *others):
                found[word] = first
    return found


_SMALL = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn"
    " achtzehn neunzehn zwanzig",
    "fr": "zéro - deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize dix-sept dix-huit"
    " dix-neuf vingt",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete"
    " dieciocho diecinueve veinte",
}
_TENS = {
    "en": "twenty thirty forty fifty sixty seventy eighty ninety",
    "de": "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
    "fr": "vingt trente quarante cinquante soixante",
    "es": "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
}
_ORDINALS = {
    "en": "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth",
    "de": "erst zweit dritt viert fünft sechst siebt acht neunt zehnt elft zwölft dreizehnt vierzehnt fünfzehnt sechzehnt"
    " siebzehnt achtzehnt neunzehnt zwanzigst",
    "fr": "premier deuxième troisième quatrième cinquième sixième septième huitième neuvième dixième",
    "es": "primero segundo tercero cuarto quinto sexto séptimo octavo noveno décimo",
}
_SCALES = {
    "en": {"hundred": 100, "hundreds": 100, "thousand": 1000, "million": 10**6, "millions": 10**6, "billion": 10**9,
           "billions": 10**9, "trillion": 10**12},
    "de": {"hundert": 100, "tausend": 1000, "million": 10**6, "millionen": 10**6, "milliarde": 10**9, "milliarden": 10**9,
           "billionen": 10**12},
    "fr": {"cent": 100, "cents": 100, "mille": 1000, "million": 10**6, "millions": 10**6, "milliard": 10**9, "milliards": 10**9},
    "es": {"cien": 100, "mil": 1000, "millón": 10**6, "millones": 10**6},
}  # fmt: skip


def scales(language: str) -> dict[str, int]:
    """Words that multiply the number before them; alone they are words."""
    return _SCALES.get(language, _SCALES["en"])


@functools.cache
def number_words(language: str) -> dict[str, int]:
    """Numbers and ordinals that are written as words, in lower case. Articles ("ein", "un") are none."""
    own = language if language in _SMALL else "en"
    found = {word: n for n, word in enumerate(_SMALL[own].split()) if word != "-"}
    found |= {word: 10 * n for n, word in enumerate(_TENS[own].split(), 2)}
    if own == "en":
        units = _SMALL["en"].split()[1:10]
        for n, ten in enumerate(_TENS["en"].split(), 2):
            found |= {f"{ten}-{unit}": 10 * n + i for i, unit in enumerate(units, 1)}
    if own == "de":
        found |= _german_compounds()
    endings = {"de": ("e", "er", "es", "en", "em", "ens"), "fr": ("", "s"), "es": ("", "s")}.get(own, ("",))
    for n, word in enumerate(_ORDINALS[own].split(), 1):
        found |= {word + ending: n for ending in endings if word + ending not in found}
    found.pop("second", None)  # a second is a unit as well: the word itself is compared
    return found


def _german_compounds() -> dict[str, int]:
    units = ["ein", *_SMALL["de"].split()[2:10]]
    below = dict(zip(_SMALL["de"].split(), range(21), strict=True)) | {"ein": 1}
    for n, ten in enumerate(_TENS["de"].split(), 2):
        below[ten] = 10 * n
        below |= {f"{unit}und{ten}": 10 * n + i for i, unit in enumerate(units, 1)}
    found = {word: n for word, n in below.items() if n > 20}
    for i, unit in enumerate(["", *units]):
        hundreds = 100 * max(1, i)
        found[f"{unit}hundert"] = hundreds
        found |= {f"{unit}hundert{word}": hundreds + n for word, n in below.items() if n}
    return found


GRAM_NOT = (
    "不",
    "没",
    "沒",
    "无",
    "無",
    "未",
    "非",
    "勿",
    "莫",
    "ない",
    "ません",
    "ぬ",
    "ไม่",
    "มิได้",
    "มิใช่",
    "ไร้",
    "ห้าม",
    "อย่า",
    "ปราศจาก",
)
"""Negations in scripts without spaces."""
GRAM_COMPARISONS = {
    "more": "多于 超过 超過 以上 大于 มากกว่า เกินกว่า เกิน",
    "less": "少于 不到 以下 低于 小于 น้อยกว่า ต่ำกว่า",
    "least": "至少 最少 อย่างน้อย",
    "most": "至多 最多 不超过 ไม่เกิน อย่างมาก",
    "before": "之前 以前 前に ก่อน",
    "after": "之后 以后 之後 以後 後に หลังจาก ภายหลัง หลัง",
    "only": "只有 仅 只 だけ เท่านั้น เพียง",
    "may": "可能 かもしれない อาจ",
}
"""Comparisons in scripts without spaces."""
GRAM_FUNCTION = frozenset(
    "的了着过在和与及也都就而是有被把从对于以为其之这那个并 は が を に で と も の へ や か た て で す ま し"
)
"""Characters that a statement in a script without spaces may hold beside those of the passage."""
