"""Planted changes: how many false statements the check of statements finds out, and how many true ones it leaves supported.

    python -P benchmarks/planted.py DIR… [--count 1000] [--show 0]

A DIR is a question set (`questions.jsonl` and `corpus/`). True statements are made of paragraphs that hold an answer: the
sentence with the answer, its first and second half cut at a comma, a sentence without what is in brackets. One change is
planted in each:

    number      another number of the corpus for one of the statement
    name        another name of the same paragraph or of another for one of the statement
    roles       two names of the statement change places
    negation    "not" put in or taken out
    unit        another unit, month or scale
    comparison  a word of comparison or of order turned into its opposite
    stitched    the first half of one sentence with the second half of another of the same paragraph
    marker      nothing is changed, but the number behind it is that of another passage

Three passages are offered: the paragraph and two others. A change is found out when a statement is not supported any more; a
forged marker when it is taken out or put right. The seed is fixed. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import regex

from ragchat.retrieval.analyzer import detect
from ragchat.retrieval.sentences import sentence_spans
from ragchat.session.citations import Bound, bind
from ragchat.types import Citation, Hit, Span, Verdict

SEED = 11
_UNSPACED = frozenset({"zh", "th", "ja"})
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w])|(?<=[\u0e00-\u9fff ])\d+(?:[.,]\d+)*")
_NAME = regex.compile(r"(?<=[\p{Ll}\p{N},;] )\p{Lu}\p{L}+(?:[ -]\p{Lu}\p{L}+)*")
_BRACKETS = re.compile(r" \([^()]*\)")
_AUXILIARY = {
    "en": re.compile(
        r"\b(?:is|are|was|were|has|have|had|can|could|will|would|must|should|may|might)\b(?! not)"
    ),
    "de": re.compile(
        r"\b(?:ist|sind|war|waren|wurde|wurden|wird|werden|hat|haben|hatte|hatten|kann|können)\b(?! nicht)"
    ),
    "zh": re.compile(r"(?<=[\u4e00-\u9fff])(?:是|会|能|可以|属于|包括|需要|得到|成为)"),
    "th": re.compile(r"(?<=[\u0e00-\u0e4f ])(?:เป็น|มี|ได้รับ|สามารถ|อยู่|เคย)"),
}
_NEGATIONS = {
    "en": re.compile(r" (?:not|never)\b"),
    "de": re.compile(r" nicht\b"),
    "zh": re.compile(r"(?:不是|没有|不会|不能)"),
    "th": re.compile(r"ไม่"),
}
_UNITS = {
    "en": "years months|months weeks|days hours|hours minutes|miles feet|km m|million billion|billion million|percent points|"
    "century decade|acres miles|metres miles|kilometres metres|square cubic|January March|February May|March June|April August|"
    "June October|July April|August November|September December|October February|November July|December September|% °C",
    "de": "Jahre Monate|Jahren Monaten|Tage Stunden|Tagen Stunden|Stunden Minuten|Minuten Stunden|Meilen Fuß|Kilometer Meter|"
    "Millionen Milliarden|Milliarden Millionen|Prozent Punkte|Jahrhundert Jahrzehnt|Euro Dollar|Januar März|"
    "Februar Mai|März Juni|"
    "April August|Mai Dezember|Juni Oktober|Juli April|August November|September Dezember|Oktober Februar|November Juli|"
    "Dezember September|% °C",
    "zh": "年 天|月 年|公里 英里|英里 米|万 亿|亿 万|世纪 年代|美元 欧元",
    "th": "ปี เดือน|เดือน ปี|วัน ชั่วโมง|ไมล์ เมตร|กิโลเมตร เมตร|ล้าน พัน|พัน ล้าน|ศตวรรษ ทศวรรษ|เปอร์เซ็นต์ จุด|ดอลลาร์ ยูโร",
}
_COMPARISONS = {
    "en": "more less|less more|before after|after before|first last|last first|largest smallest|highest lowest|most least|"
    "least most|over under|above below|increased decreased|early late|late early|older younger|higher lower|larger smaller|"
    "always never|only also|until since|all no|maximum minimum|north south|south north|east west|west east|until before",
    "de": "mehr weniger|weniger mehr|vor nach|nach vor|erste letzte|ersten letzten|größte kleinste|größten kleinsten|"
    "höchste niedrigste|"
    "höher niedriger|höchstens mindestens|mindestens höchstens|immer nie|nur auch|über unter|frühen späten|später früher|"
    "alle keine|seit bis|bis seit|größer kleiner|Norden Süden|Süden Norden|Osten Westen|Westen Osten",
    "zh": "最大 最小|超过 不到|之前 之后|之后 之前|更多 更少|增加 减少|最高 最低|第一 最后|至少 最多|以上 以下|东 西|北 南",
    "th": "มากกว่า น้อยกว่า|ก่อน หลัง|หลังจาก ก่อน|มากที่สุด น้อยที่สุด|เพิ่ม ลด|แรก สุดท้าย|ใหญ่ที่สุด เล็กที่สุด|สูง ต่ำ|เหนือ ใต้",
}


@dataclass(frozen=True)
class Truth:
    """A statement that a paragraph makes; `names` are what can be put in the place of a name of it."""

    language: str
    form: str
    text: str
    question: str
    passages: tuple[str, ...]
    right: int
    names: tuple[str, ...]
    numbers: tuple[str, ...]


Change = Callable[[Truth, random.Random], str | None]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--show", type=int, default=0, help="so many of each kind that were not found out")
    parser.add_argument(
        "--half", type=int, choices=(0, 1), help="only every second paragraph: the even or the odd ones"
    )
    options = parser.parse_args()
    report: dict[str, dict[str, float]] = {}
    for folder in options.folders:
        report[folder.name] = measure(folder, options.count, options.show, options.half)
    print(json.dumps(report, ensure_ascii=False))


def measure(folder: Path, count: int, show: int, half: int | None) -> dict[str, float]:
    dice = random.Random(SEED)
    statements = list(true_statements(folder, dice, half))
    dice.shuffle(statements)
    statements = statements[:count]
    language = Counter(one.language for one in statements).most_common(1)[0][0]
    result: dict[str, float] = {"statements": len(statements)}
    kept: dict[str, list[bool]] = defaultdict(list)
    for one in statements:
        stays = _stays(_bound(one, one.text))
        kept[one.form].append(stays)
        if not stays and len([k for k in kept[one.form] if not k]) <= show:
            _show(f"true {one.form}", one, one.text)
    print(f"\n{folder.name} ({language}): {len(statements)} true statements")
    for form, stayed in sorted(kept.items()):
        result[f"kept {form}"] = _line(f"kept supported, {form}", stayed)
    result["kept"] = _line("kept supported", [stay for stayed in kept.values() for stay in stayed])
    supported = [one for one in statements if _stays(_bound(one, one.text))]
    everything: list[bool] = []
    for kind, change in CHANGES.items():
        found = _planted(kind, change, supported, dice, show)
        everything += found
        if found:
            result[kind] = _line(f"found out, {kind}", found)
    result["found"] = _line("found out", everything)
    result["planted"] = len(everything)
    return result


def _line(what: str, said: Sequence[bool]) -> float:
    share = sum(said) / max(1, len(said))
    print(f"  {what:32} {share:6.3f}  of {len(said)}")
    return round(share, 4)


def _planted(
    kind: str, change: Change, statements: Sequence[Truth], dice: random.Random, show: int
) -> list[bool]:
    found: list[bool] = []
    for one in statements:
        text = change(one, dice)
        if text is None or text == one.text:
            continue
        bound = _bound(one, text)
        caught = _right_marker(bound, one.right) if kind == "marker" else not _stays(bound)
        found.append(caught)
        if not caught and found.count(False) <= show:
            _show(kind, one, text)
    return found


def _show(kind: str, one: Truth, text: str) -> None:
    found = _bound(one, text).statements
    why = [(s.verdict.name, s.reason.kind.name, s.reason.words, s.reason.found) for s in found]
    print(
        f"    {kind}: {text}\n      true: {one.text}\n      {why}\n      {found[0].compared if found else ''}"
    )


def _bound(one: Truth, text: str) -> Bound:
    offered = [
        Citation(n, Hit(n, 9.0 - n, "kb", n, n, f"/{n}.txt", "", "", Span(0, len(said), 1, 1), said, "", said[:20],
                        language=one.language), "")
        for n, said in enumerate(one.passages, 1)
    ]  # fmt: skip
    return bind(text, offered, one.question)


def _stays(bound: Bound) -> bool:
    return bool(bound.statements) and all(one.verdict is Verdict.SUPPORTED for one in bound.statements)


def _right_marker(bound: Bound, right: int) -> bool:
    return all(
        one.citation == right or one.verdict is not Verdict.SUPPORTED for one in bound.statements
    ) and all(f"[{n}]" not in bound.text for n in range(1, 4) if n != right)


# --- what is true -------------------------------------------------------------------------------------------


def true_statements(folder: Path, dice: random.Random, half: int | None) -> Iterator[Truth]:
    """Statements of all paragraphs of a set that hold an answer."""
    texts = {
        path.name: path.read_text(encoding="utf-8-sig").strip()
        for path in sorted((folder / "corpus").iterdir())
    }
    names = list(texts)
    numbers = tuple(sorted({number for text in texts.values() for number in _NUMBER.findall(text)}))
    answers: dict[str, list[str]] = defaultdict(list)
    rows = [json.loads(line) for line in (folder / "questions.jsonl").open(encoding="utf-8")]
    for row in rows:
        for name in row["relevant"]:
            answers[name] += row["answers"][:1]
    seen: set[str] = set()
    for row in rows:
        name = row["relevant"][0] if row["relevant"] else ""
        if name not in texts or (half is not None and names.index(name) % 2 != half):
            continue
        text = texts[name]
        language = detect(text)
        found = [
            said for said in _sentences(text, language) if any(answer in said for answer in row["answers"])
        ]
        if not found or not 20 <= len(found[0]) <= 320 or "?" in found[0] or found[0].endswith(":"):
            continue
        passages, right = _passages(texts, name, dice)
        for form, said in _forms(found[0], language):
            if said not in seen:
                seen.add(said)
                yield Truth(
                    language,
                    form,
                    said,
                    row["question"],
                    passages,
                    right,
                    _names(text, answers[name], language),
                    numbers,
                )


def _sentences(text: str, language: str) -> list[str]:
    """Sentences; of Thai, which has no stops, what is between spaces, up to 60 characters and more."""
    if language != "th":
        return [text[a:b] for a, b in sentence_spans(text)]
    found = [""]
    for piece in text.split():
        if len(found[-1]) >= 60:
            found.append("")
        found[-1] = f"{found[-1]} {piece}".strip()
    return found


def _passages(texts: dict[str, str], name: str, dice: random.Random) -> tuple[tuple[str, ...], int]:
    """The paragraph between two others, of which one is its neighbour, and its number."""
    names = list(texts)
    beside = names[names.index(name) - 1]
    others = [beside, dice.choice([other for other in names if other not in (name, beside)])]
    right = dice.randrange(3)
    others.insert(right, name)
    return tuple(texts[other] for other in others), right + 1


def _forms(sentence: str, language: str) -> Iterator[tuple[str, str]]:
    yield "sentence", sentence
    bare = _BRACKETS.sub("", sentence)
    if bare != sentence:
        yield "without brackets", bare
    comma = "，" if language == "zh" else ", "
    places = [m.start() for m in re.finditer(re.escape(comma), sentence)]
    if places and language != "th":
        at = min(places, key=lambda place: abs(place - len(sentence) / 2))
        first, second = sentence[:at], sentence[at + len(comma) :]
        fewest = 12 if language in _UNSPACED else 35
        if min(len(first), len(second)) >= fewest and first.count("(") == first.count(")"):
            yield "first half", first + ("。" if language == "zh" else ".")
            yield "second half", second[0].upper() + second[1:]


def _names(text: str, answers: Sequence[str], language: str) -> tuple[str, ...]:
    if language in _UNSPACED:
        return tuple(sorted({a for a in answers if 2 <= len(a) <= 20 and not any(map(str.isdigit, a))}))
    return tuple(sorted(set(_NAME.findall(text))))


# --- what is planted ------------------------------------------------------------------------------------------


def number(one: Truth, dice: random.Random) -> str | None:
    found = list(_NUMBER.finditer(one.text))
    if not found:
        return None
    match = dice.choice(found)
    others = [n for n in one.numbers if n != match[0] and len(n) == len(match[0])] or list(one.numbers)
    return _replaced(one.text, match.span(), dice.choice(others))


def name(one: Truth, dice: random.Random) -> str | None:
    found = _own_names(one)
    if not found:
        return None
    span = dice.choice(found)
    own = one.text[span[0] : span[1]]
    others = [n for n in one.names if n not in own and own not in n]
    return _replaced(one.text, span, dice.choice(others)) if others else None


def _own_names(one: Truth) -> list[tuple[int, int]]:
    if one.language in _UNSPACED:
        return [(at, at + len(n)) for n in one.names if (at := one.text.find(n)) >= 0]
    return [match.span() for match in _NAME.finditer(one.text)]


def roles(one: Truth, dice: random.Random) -> str | None:
    found = sorted(_own_names(one))
    pairs = [
        (a, b)
        for i, a in enumerate(found)
        for b in found[i + 1 :]
        if a[1] <= b[0] and not _listed_together(one.text[a[1] : b[0]])
        and one.text[a[0] : a[1]] not in one.text[b[0] : b[1]] and one.text[b[0] : b[1]] not in one.text[a[0] : a[1]]
    ]  # fmt: skip
    if not pairs:
        return None
    a, b = dice.choice(pairs)
    text = one.text
    return text[: a[0]] + text[b[0] : b[1]] + text[a[1] : b[0]] + text[a[0] : a[1]] + text[b[1] :]


def _listed_together(between: str) -> bool:
    """Names of one list: in another order they say the same."""
    words = [word for word in re.findall(r"[^\W\d_]+", between) if word.islower()]
    return (
        all(word in ("and", "or", "und", "oder", "the", "der", "die", "das", "sowie") for word in words)
        or len(between) < 4
    )


def negation(one: Truth, dice: random.Random) -> str | None:
    there = _NEGATIONS[one.language].search(one.text) if one.language in _NEGATIONS else None
    if there and dice.random() < 0.5:
        gone = there[0].replace("没有", "有").replace("不", "") if one.language == "zh" else ""
        return _replaced(one.text, there.span(), gone)
    verbs = list(_AUXILIARY[one.language].finditer(one.text)) if one.language in _AUXILIARY else []
    if not verbs:
        return None
    verb = dice.choice(verbs)
    if one.language == "zh":
        return _replaced(one.text, verb.span(), f"不{verb[0]}")
    if one.language == "th":
        return _replaced(one.text, verb.span(), f"ไม่{verb[0]}")
    return _replaced(one.text, verb.span(), f"{verb[0]} {'nicht' if one.language == 'de' else 'not'}")


def unit(one: Truth, dice: random.Random) -> str | None:
    return _exchanged(one, _UNITS, dice)


def comparison(one: Truth, dice: random.Random) -> str | None:
    return _exchanged(one, _COMPARISONS, dice)


def _exchanged(one: Truth, lists: dict[str, str], dice: random.Random) -> str | None:
    pairs = [pair.split() for pair in lists.get(one.language, "").split("|") if pair]
    edge = "" if one.language in _UNSPACED else r"(?<!\w)(?<!\w-)"
    found = [
        (match.span(), new)
        for old, new in pairs
        for match in re.finditer(f"{edge}{re.escape(old)}" + (r"(?![\w-])" if edge else ""), one.text)
        if lists is not _UNITS
        or old[0].isupper()
        or re.search(r"\d[\d.,]*\s?$|[a-zäöü]+\s$", one.text[: match.start()])
    ]
    if not found:
        return None
    span, new = dice.choice(found)
    return _replaced(one.text, span, new)


def stitched(one: Truth, dice: random.Random) -> str | None:
    text = one.passages[one.right - 1]
    others = [said for said in _sentences(text, one.language) if len(said) > 60 and one.text[:20] not in said]
    if one.form != "sentence" or not others:
        return None
    other = dice.choice(others)
    if one.language in _UNSPACED:
        return one.text[: len(one.text) // 2] + other[len(other) // 2 :]
    mine, theirs = one.text.split(" "), other.split(" ")
    return " ".join([*mine[: len(mine) // 2], *theirs[len(theirs) // 2 :]])


def marker(one: Truth, dice: random.Random) -> str | None:
    wrong = dice.choice([n for n in range(1, len(one.passages) + 1) if n != one.right])
    body = one.text.rstrip(".。")
    return f"{body} [{wrong}]{one.text[len(body) :]}"


def _replaced(text: str, span: tuple[int, int], new: str) -> str:
    return text[: span[0]] + new + text[span[1] :]


CHANGES: dict[str, Change] = {
    "number": number,
    "name": name,
    "roles": roles,
    "negation": negation,
    "unit": unit,
    "comparison": comparison,
    "stitched": stitched,
    "marker": marker,
}

if __name__ == "__main__":
    main()
