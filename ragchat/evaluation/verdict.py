"""The verdict on a run: the table, the recommended configuration and how sure that is, what it costs, what to do next.

A difference is measurable when its p-value, adjusted for the number of comparisons (Holm), is below 5 %: McNemar's exact test
for right or wrong, a paired permutation test for the rest. Without a measurable difference, the verdict says so.

Documents alone are what a model has to beat, no configuration to choose: their quotes are above every answer from documents
anyway. So they are compared only with the ways that answer from documents, by what is contained (F1 and exact match would count
the length of a quote), over the questions that have an answer. These comparisons share one Holm correction with those of the
configurations (8 in place of 6 with an adapter, 2 in place of 1 without): that any difference is found where there is none, those
with documents alone included, stays below 5 % in all. Runs without documents alone are corrected as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from statistics import fmean, median

import msgspec

from ragchat.evaluation import grounding, retrieval_metrics, statistics
from ragchat.evaluation.answer_metrics import contains, exact_match, f1, length, recall, rouge_l
from ragchat.evaluation.four_ways import DOCUMENTS, MEANING, MODEL_ARMS, Answer, Arm, Checked, Run, searches
from ragchat.evaluation.inputs import grown
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.session.events import AnswerKind
from ragchat.text import counted, human_seconds

SHOWN = 0.05
"""Adjusted p-value below which a difference is measurable."""
PRIMARY = ("contains", "f1", "exact", "rouge_l")
"""Measures that may decide."""
_SHORT_ANSWER = 6
"""Words. Answers that are longer are compared by their words, not looked for whole."""
BINARY = ("contains", "exact", "refuses_rightly", "refuses_wrongly")
LOWER_IS_BETTER = ("refuses_wrongly", "false_answers", "marked_wrong", "partly", "not_found")
FEWEST = 10
"""With fewer questions, the verdict says only that there are too few."""
K = 10

Score = Callable[[Asked, Answer], float | None]
Share = Callable[[Answer], tuple[float, float]]


def _answered(measure: Callable[[str, Sequence[str]], float]) -> Score:
    def score(question: Asked, answer: Answer) -> float | None:
        if not question.answerable:  # as SQuAD 2 counts: right is to decline
            return float(answer.refused)
        return float(measure(grounding.without_markers(answer.said), question.answers))

    return score


def _cites(question: Asked, answer: Answer) -> float | None:
    if not question.answerable or not answer.offered:
        return None
    return grounding.citation_recall([p.text for p in answer.cited], question.answers)


def _cites_rightly(question: Asked, answer: Answer) -> float | None:
    if not question.answerable or not answer.cited:
        return None
    return grounding.citation_precision([p.text for p in answer.cited], question.answers)


def _grounded(question: Asked, answer: Answer) -> float | None:
    if not answer.cited or answer.refused or answer.arm == DOCUMENTS:
        return None
    return grounding.groundedness(answer.said, [p.text for p in answer.cited])


def _held(question: Asked, answer: Answer) -> float | None:
    return recall(grounding.without_markers(answer.said), question.answers) if question.answerable else None


def _shown(question: Asked, answer: Answer) -> float | None:
    """What the reader has in front of them: the quotes, and the answer below."""
    if not question.answerable or not answer.quoted:
        return None
    said = grounding.without_markers(answer.said)
    return float(contains(answer.quoted, question.answers) or contains(said, question.answers))


def _marked_wrong(question: Asked, answer: Answer) -> float | None:
    if not question.answerable or answer.check is None or answer.arm == DOCUMENTS:
        return None
    said = grounding.without_markers(answer.said)
    return float(answer.check.marked > 0 and not contains(said, question.answers))


def _refused_wrongly(question: Asked, answer: Answer) -> float | None:
    if not question.answerable:
        return None
    kind = answer.kind or AnswerKind.ANSWER
    return float(grounding.gives_no_answer(answer.said, kind, says=answer.says))


def _ranking(measure: Callable[[Sequence[str], Sequence[str]], float]) -> Score:
    def score(question: Asked, answer: Answer) -> float | None:
        if not question.sources or not searches(answer.arm):
            return None
        named = [_named(path, question.sources) for path in answer.found]
        return measure(named, question.sources)

    return score


def _named(path: str, sources: Sequence[str]) -> str:
    """The source that a path is, else the path."""
    plain = path.replace("\\", "/")
    return next(
        (
            s
            for s in sources
            if plain == s.replace("\\", "/") or plain.endswith("/" + s.replace("\\", "/").lstrip("/"))
        ),
        path,
    )


MEASURES: Mapping[str, tuple[str, Score]] = {
    "contains": ("contains the expected answer", _answered(contains)),
    "recall": ("words of the expected answer", _held),
    "f1": ("words in common (F1)", _answered(f1)),
    "exact": ("equals the expected answer", _answered(exact_match)),
    "rouge_l": ("ROUGE-L", _answered(rouge_l)),
    "shown": ("answer or quotes contain it", _shown),
    "marked_wrong": ("marker without the answer", _marked_wrong),
    "citation_precision": ("cited passages with the answer", _cites_rightly),
    "citation_recall": ("cites a passage with the answer", _cites),
    "groundedness": ("words found in cited passages", _grounded),
    "refuses_rightly": (
        "declines when no answer exists",
        lambda q, a: None if q.answerable else float(a.refused),
    ),
    "false_answers": (
        "false answers",
        lambda q, a: None if q.answerable else float(not a.refused),
    ),
    "refuses_wrongly": ("wrong refusals", _refused_wrongly),
    "recall@10": ("finds the right document", _ranking(lambda r, s: retrieval_metrics.recall_at(K, r, s))),
    "mrr@10": (
        "rank of the right document (MRR)",
        _ranking(lambda r, s: retrieval_metrics.reciprocal_rank_at(K, r, s)),
    ),
    "ndcg@10": ("ranking of documents (nDCG)", _ranking(lambda r, s: retrieval_metrics.ndcg_at(K, r, s))),
}
"""The label of each measure, and its value for one answer; None where it does not apply."""
_NONE = Checked()
SHARES: Mapping[str, tuple[str, Share]] = {
    "supported": (
        "statements supported",
        lambda a: ((a.check or _NONE).supported, (a.check or _NONE).statements),
    ),
    "partly": (
        "statements partly supported",
        lambda a: ((a.check or _NONE).partly, (a.check or _NONE).statements),
    ),
    "not_found": (
        "statements not found",
        lambda a: ((a.check or _NONE).not_found, (a.check or _NONE).statements),
    ),
}
"""The label of each share of the statements of all answers, and for one answer how many of how many."""
LABELS: Mapping[str, str] = {
    name: ({**MEASURES, **SHARES})[name][0]
    for name in (
        "contains", "recall", "shown", "f1", "exact", "rouge_l", "supported", "partly", "not_found", "marked_wrong",
        "citation_precision", "citation_recall", "groundedness", "false_answers", "refuses_wrongly", "recall@10",
        "mrr@10", "ndcg@10",
    )
}  # fmt: skip
"""What a table shows, in its order. That a way declines rightly is the rest of its false answers, so it has no row."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`one` - `other` in `measure`. `needed`: questions to show a difference of the wanted size, 0 unknown."""

    one: Arm
    other: Arm
    interval: Interval
    p: float
    adjusted: float
    needed: int
    measure: str = ""

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance explains, after adjustment for several comparisons."""
        return self.adjusted < SHOWN


@dataclass(frozen=True, slots=True)
class Price:
    """Of one configuration: medians over its answers; 0 means unknown, or none. `words` are those of the answer itself."""

    ttft_s: float
    seconds: float
    prompt_tokens: float
    decode_tok_s: float
    memory_mib: int
    joules: float
    words: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one configuration. `checked` answers have `supported`, `partly` and `not_found` statements.

    `marked_wrong` of the `answerable` show a supported statement's citation and hold no expected words. `false_answers` of the
    `unanswerable` are answered; by the words alone, without the check of the answer, it would be `false_answers_in_words`.
    """

    checked: int
    supported: int
    partly: int
    not_found: int
    answerable: int
    marked_wrong: int
    unanswerable: int
    false_answers: int
    false_answers_in_words: int

    @property
    def statements(self) -> int:
        """All of them."""
        return self.supported + self.partly + self.not_found


@dataclass(frozen=True, slots=True)
class Verdict:
    """`questions` that every configuration has answered, in the run's order. `best`: none is measurably better than these; the
    cheapest comes first. `winner` is empty without a measurable difference. `says` and `next_steps` are sentences. Documents
    alone are neither in `differences` nor in `best`: `over_documents` are the configurations against them, `against_documents`
    says it in one sentence ('' where nothing was compared).
    """

    run: Run
    primary: str
    questions: tuple[Asked, ...]
    answers: Mapping[Arm, Mapping[str, Answer]]
    table: Mapping[Arm, Mapping[str, Interval]]
    counts: Mapping[str, int]
    differences: tuple[Difference, ...]
    best: tuple[Arm, ...]
    winner: str
    by_tag: Mapping[str, Mapping[Arm, Interval]]
    prices: Mapping[Arm, Price]
    says: tuple[str, ...]
    next_steps: tuple[str, ...]
    over_documents: tuple[Difference, ...] = ()
    checks: Mapping[Arm, Counts] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The configurations that can be recommended: those with a model."""
        return tuple(arm for arm in self.run.arms if arm != DOCUMENTS)

    @property
    def charted(self) -> tuple[Arm, ...]:
        """The ways that the deciding measure compares fairly: by F1 a quote loses for its length."""
        return self.run.arms if self.primary == "contains" else self.arms

    @property
    def against_documents(self) -> str:
        """Whether the answers of the model are better than the quotes alone."""
        return _against_documents(self)

    def right(self, question: Asked, arm: Arm) -> bool:
        """Whether the answer counts as right."""
        return self._value(question, arm) >= 0.5

    def difference(self, one: Arm, other: Arm) -> Difference | None:
        """The difference of two configurations, in the order asked for."""
        for found in (*self.differences, *self.over_documents):
            if (found.one, found.other) == (one, other):
                return found
            if (found.one, found.other) == (other, one):
                turned = Interval(-found.interval.mean, -found.interval.high, -found.interval.low)
                return replace(found, one=one, other=other, interval=turned)
        return None

    def unanswered(self) -> list[Asked]:
        """Questions that no configuration gets right."""
        return [q for q in self.questions if max(self._values(q)) < 0.5]

    def disagreements(self) -> list[Asked]:
        """Questions that some configurations get right and others do not, by the deciding measure."""
        return [q for q in self.questions if max(self._values(q)) - min(self._values(q)) >= 0.5]

    def _values(self, question: Asked) -> list[float]:
        return [self._value(question, arm) for arm in self.answers]

    def _value(self, question: Asked, arm: Arm) -> float:
        fair = _fair(self.questions) if arm == DOCUMENTS and question.answerable else self.primary
        return MEASURES[fair][1](question, self.answers[arm][question.id]) or 0.0


def choose_primary(questions: Sequence[Asked]) -> str:
    """`contains` where answers are short enough to be looked for whole, else `f1`."""
    lengths = [min(len(answer.split()) for answer in q.answers) for q in questions if q.answers]
    return "f1" if lengths and median(lengths) > _SHORT_ANSWER else "contains"


def judge(run: Run, answers: Iterable[Answer], *, primary: str = "", size: float = 0.1) -> Verdict:
    """The verdict on what has been answered so far. `size` is the smallest difference of interest."""
    by_arm: dict[Arm, dict[str, Answer]] = {arm: {} for arm in run.arms}
    for answer in answers:
        if answer.arm in by_arm and not answer.error:
            kind = answer.kind or AnswerKind.ANSWER
            refused = grounding.refuses(answer.said, kind, says=answer.says)
            by_arm[answer.arm][answer.question] = msgspec.structs.replace(answer, refused=refused)
    shared = tuple(q for q in run.questions if all(q.id in own for own in by_arm.values()))
    primary = primary or choose_primary(shared)
    table, counts = _table(shared, by_arm)
    score = MEASURES[primary][1]
    values = {arm: [score(q, own[q.id]) or 0.0 for q in shared] for arm, own in by_arm.items()}
    chosen_from = {arm: own for arm, own in values.items() if arm != DOCUMENTS}
    among, over = _among(chosen_from, primary), _with_documents(shared, by_arm)
    found = _differences((*among, *over), size)
    differences, over_documents = found[: len(among)], found[len(among) :]
    best = _best(chosen_from, differences)
    winner = _winner(chosen_from, best, differences) if len(shared) >= FEWEST else ""
    prices = {arm: _price([own[q.id] for q in shared]) for arm, own in by_arm.items()}
    verdict = Verdict(
        run=run,
        primary=primary,
        questions=shared,
        answers=by_arm,
        table=table,
        counts=counts,
        differences=differences,
        best=best,
        winner=winner,
        by_tag=_by_tag(shared, values),
        prices=prices,
        says=(),
        next_steps=(),
        over_documents=over_documents,
        checks={arm: _counts(shared, own) for arm, own in by_arm.items()},
    )
    return replace(verdict, says=tuple(_sentences(verdict, size)), next_steps=tuple(_next_steps(verdict)))


def _table(
    questions: Sequence[Asked], by_arm: Mapping[Arm, Mapping[str, Answer]]
) -> tuple[dict[Arm, dict[str, Interval]], dict[str, int]]:
    table: dict[Arm, dict[str, Interval]] = {arm: {} for arm in by_arm}
    counts: dict[str, int] = {}
    for measure, (_, score) in MEASURES.items():
        for arm, own in by_arm.items():
            values = [value for q in questions if (value := score(q, own[q.id])) is not None]
            if values:
                table[arm][measure] = statistics.bootstrap(values)
                counts[measure] = max(counts.get(measure, 0), len(values))
    for name, (_, share) in SHARES.items():
        for arm, own in by_arm.items():
            parts, wholes = (
                zip(*(share(own[q.id]) for q in questions), strict=True) if questions else ((), ())
            )
            if sum(wholes):
                table[arm][name] = statistics.ratio(parts, wholes)
                counts[name] = max(counts.get(name, 0), round(sum(wholes)))
    return table, counts


def _counts(questions: Sequence[Asked], own: Mapping[str, Answer]) -> Counts:
    there = [own[q.id].check for q in questions]
    checked = [check for check in there if check is not None and check.statements]
    marked = [value for q in questions if (value := _marked_wrong(q, own[q.id])) is not None]
    without = [own[q.id] for q in questions if not q.answerable]
    return Counts(
        checked=len(checked),
        supported=sum(check.supported for check in checked),
        partly=sum(check.partly for check in checked),
        not_found=sum(check.not_found for check in checked),
        answerable=len(questions) - len(without),
        marked_wrong=round(sum(marked)),
        unanswerable=len(without),
        false_answers=sum(not answer.refused for answer in without),
        false_answers_in_words=sum(
            not grounding.refuses(answer.said, answer.kind or AnswerKind.ANSWER) for answer in without
        ),
    )


def _fair(questions: Sequence[Asked]) -> str:
    """The measure that compares texts of different length: what is contained, whole or in part."""
    return "contains" if choose_primary(questions) == "contains" else "recall"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two ways in a measure, question by question."""

    one: Arm
    other: Arm
    measure: str
    mine: Sequence[float]
    theirs: Sequence[float]

    @property
    def p(self) -> float:
        test = statistics.mcnemar if self.measure in BINARY else statistics.permutation_test
        return test(self.mine, self.theirs)


def _among(values: Mapping[Arm, Sequence[float]], measure: str) -> tuple[_Comparison, ...]:
    """Each configuration with each other: the larger one minus the smaller."""
    return tuple(
        _Comparison(later, earlier, measure, values[later], values[earlier])
        for earlier, later in combinations(values, 2)
    )


def _with_documents(
    questions: Sequence[Asked], by_arm: Mapping[Arm, Mapping[str, Answer]]
) -> tuple[_Comparison, ...]:
    """The configurations that answer from documents with documents alone, over the questions that have an answer."""
    asked = [question for question in questions if question.answerable]
    if DOCUMENTS not in by_arm or len(asked) < FEWEST:
        return ()
    measure = _fair(questions)
    score = MEASURES[measure][1]
    values = {arm: [score(q, own[q.id]) or 0.0 for q in asked] for arm, own in by_arm.items()}
    theirs = values[DOCUMENTS]
    return tuple(
        _Comparison(arm, DOCUMENTS, measure, own, theirs)
        for arm, own in values.items()
        if arm != DOCUMENTS and searches(arm)
    )


def _differences(comparisons: Sequence[_Comparison], size: float) -> tuple[Difference, ...]:
    """All of them under one correction."""
    p_values = {f"{each.one}|{each.other}": each.p for each in comparisons}
    adjusted = statistics.holm(p_values)
    return tuple(
        Difference(
            each.one,
            each.other,
            statistics.difference(each.mine, each.theirs),
            p_values[f"{each.one}|{each.other}"],
            adjusted[f"{each.one}|{each.other}"],
            statistics.questions_needed(each.mine, each.theirs, size, comparisons=len(comparisons)),
            each.measure,
        )
        for each in comparisons
    )


def _best(values: Mapping[Arm, Sequence[float]], differences: Sequence[Difference]) -> tuple[Arm, ...]:
    """The configurations that no other is measurably better than; the simplest first."""
    beaten: set[Arm] = set()
    for found in differences:
        if found.shown:
            beaten.add(found.other if found.interval.mean > 0 else found.one)
    return tuple(arm for arm in MODEL_ARMS if arm in values and arm not in beaten)


def _winner(arms: Iterable[Arm], best: Sequence[Arm], differences: Sequence[Difference]) -> str:
    """The simplest of `best` that is measurably better than all the rest; empty if there is none."""
    rest = [arm for arm in arms if arm not in best]
    shown = {
        (found.one, found.other) if found.interval.mean > 0 else (found.other, found.one)
        for found in differences
        if found.shown
    }
    return next((arm for arm in best if rest and all((arm, other) in shown for other in rest)), "")


def _by_tag(
    questions: Sequence[Asked], values: Mapping[Arm, Sequence[float]]
) -> dict[str, dict[Arm, Interval]]:
    found: dict[str, dict[Arm, Interval]] = {}
    for tag in sorted({tag for question in questions for tag in question.tags}):
        places = [n for n, question in enumerate(questions) if tag in question.tags]
        found[tag] = {arm: statistics.bootstrap([own[n] for n in places]) for arm, own in values.items()}
    return found


def _price(answers: Sequence[Answer]) -> Price:
    def middle(numbers: Iterable[float]) -> float:
        there = [number for number in numbers if number > 0]
        return median(there) if there else 0.0

    return Price(
        ttft_s=middle(a.ttft_s for a in answers),
        seconds=middle(a.seconds for a in answers),
        prompt_tokens=middle(a.prompt_tokens for a in answers),
        decode_tok_s=middle(a.decode_tok_s for a in answers),
        memory_mib=max((a.memory_mib for a in answers), default=0),
        joules=fmean([a.joules for a in answers]) if answers else 0.0,
        words=middle(length(grounding.without_markers(a.said)) for a in answers),
    )


# --- in words -----------------------------------------------------------------------------------------


def percent(value: float) -> str:
    """A share from 0 to 1 as whole percent."""
    return f"{value * 100:.0f} %"


def spread(interval: Interval) -> str:
    """A share with its interval."""
    return f"{percent(interval.mean)} ({interval.low * 100:.0f} to {interval.high * 100:.0f})"


def points(interval: Interval) -> str:
    """A difference in points, with its interval."""
    return f"{interval.mean * 100:+.0f} points ({interval.low * 100:+.0f} to {interval.high * 100:+.0f})"


def _sentences(verdict: Verdict, size: float) -> Iterable[str]:
    count = len(verdict.questions)
    if count < FEWEST:
        yield f"{counted(count, 'question')}: too few for a verdict. You need at least {FEWEST}; 100 is a good number."
        return
    yield from _lead(verdict, size)
    if against := verdict.against_documents:
        yield against
        yield from _read_together(verdict)
    means = ", ".join(
        f"{MEANING[arm]} {spread(verdict.table[arm][verdict.primary])}" for arm in verdict.charted
    )
    without = sum(not question.answerable for question in verdict.questions)
    declining = f" (declining is right for the {without} without an answer)" if without else ""
    yield f"Measured by “{MEASURES[verdict.primary][0]}” on {count} questions{declining}: {means}."
    yield from _effects(verdict)
    yield from _other_measures(verdict)
    yield from _grounds(verdict)
    yield from _statements(verdict)
    yield from _refusals(verdict)
    yield from _tags(verdict)
    yield _prices(verdict)
    yield from _freshness(verdict)
    yield from _forgetting(verdict)
    if failed := [q for q in verdict.run.questions if any(q.id in own for own in verdict.answers.values())]:
        missing = {
            arm: sum(q.id not in own for q in failed)
            for arm, own in verdict.answers.items()
            if any(q.id not in own for q in failed)
        }
        if missing:
            said = ", ".join(f"{MEANING[arm]} {number}" for arm, number in missing.items())
            yield f"Questions that a configuration has not answered are not counted. Missing: {said}."
    if before := verdict.run.facts.get("vectors_before"):
        said = grown(before, verdict.run.inputs.get("vectors", {}))
        yield f"More chunks were embedded during the run ({said}), so the first answers used fewer vectors."
    if unknown := verdict.run.facts.get("learned_unknown"):
        yield f"The training data of {', '.join(unknown)} is unknown and may contain these questions."
    if verdict.run.left_out:
        yield (
            "Left out because the adapter learned from them or from near-duplicates:"
            f" {counted(len(verdict.run.left_out), 'question')}."
        )


def _lead(verdict: Verdict, size: float) -> Iterable[str]:
    """What is recommended; nothing where there are no two configurations to compare."""
    count = len(verdict.questions)
    shown = [found for found in verdict.differences if found.shown]
    if verdict.winner:
        yield _winning(verdict)
    elif shown:
        said = "; ".join(
            f"{MEANING[better]} did better than {MEANING[worse]}"
            for better, worse in (
                (d.one, d.other) if d.interval.mean > 0 else (d.other, d.one) for d in shown
            )
        )
        yield f"No configuration is clearly the best. {_capital(said)}."
    elif len(verdict.arms) > 1:
        needed = max((found.needed for found in verdict.differences), default=0)
        more = (
            f" To measure a difference of {percent(size)}, you need about {needed} questions, {max(0, needed - count)} more."
            if needed > count
            else ""
        )
        yield f"The configurations show no measurable difference.{more}"


def _against_documents(verdict: Verdict) -> str:
    if not verdict.over_documents:
        return ""
    measure = verdict.over_documents[0].measure
    asked = [q for q in verdict.questions if q.answerable]

    def mean(arm: Arm) -> str:
        return percent(fmean(MEASURES[measure][1](q, verdict.answers[arm][q.id]) or 0.0 for q in asked))

    of = "the expected words in" if measure == "contains" else "of the expected words"
    over = f"of the {counted(len(asked), 'question')} with an answer"
    told = "; ".join(
        f"with the model{' and the adapter' if 'tuned' in found.one else ''} {mean(found.one)}"
        f" ({points(found.interval)}, {_how_sure(found)})"
        for found in verdict.over_documents
    )
    if measure == "contains":
        return f"Your documents alone contain {of} {mean(DOCUMENTS)} {over}; {told}."
    return f"Your documents alone contain {mean(DOCUMENTS)} {of}, on average {over}; {told}."


def _how_sure(found: Difference) -> str:
    if found.shown:
        return "measurably better" if found.interval.mean > 0 else "measurably worse"
    return "which may be chance" if found.interval.excludes_zero else "no measurable difference"


def _read_together(verdict: Verdict) -> Iterable[str]:
    """What the reader has of quotes and answers together, and how long each is."""
    said = ", ".join(
        f"{MEANING[arm]} {percent(own['shown'].mean)}" for arm, own in verdict.table.items() if "shown" in own
    )
    together = f"Quotes and answer together contain them in: {said}. " if said else ""
    words = ", ".join(
        f"{MEANING[arm]} {price.words:.0f}"
        for arm, price in verdict.prices.items()
        if price.words and searches(arm)
    )
    if together or words:
        yield f"{together}Words per answer (median): {words or 'unknown'}."


def _winning(verdict: Verdict) -> str:
    winner = next(arm for arm in verdict.best if arm == verdict.winner)
    lead = f"Recommended: {_recommended(winner, verdict.arms)}."
    equal = [arm for arm in verdict.best if arm != winner]
    if not equal:
        return f"{lead} It did measurably better than every other configuration."
    same = " ".join(_no_difference(verdict, winner, arm) for arm in equal)
    worse = ", ".join(MEANING[arm] for arm in verdict.arms if arm not in verdict.best)
    return f"{lead} {same} Measurably worse: {worse}."


def _recommended(arm: Arm, measured: Sequence[Arm]) -> str:
    """The configuration, and what it leaves out of those that were measured."""
    without = {"rag": ("the adapter", "tuned"), "tuned": ("your documents", "rag")}.get(arm)
    left_out = f", without {without[0]}" if without and any(without[1] in one for one in measured) else ""
    return f"{MEANING[arm]}{left_out}"


def _no_difference(verdict: Verdict, winner: Arm, other: Arm) -> str:
    mine, other_parts = _parts(winner), _parts(other)
    if mine < other_parts:
        change = f"Adding {' and '.join(what for part, what in _ADDED if part in other_parts - mine)}"
    else:
        change = f"Using {MEANING[other]} instead"
    before, after = (verdict.table[arm][verdict.primary].mean for arm in (winner, other))
    return (
        f"{change} made no measurable difference ({percent(after)} vs {percent(before)},"
        f" {counted(len(verdict.questions), 'question')})."
    )


_ADDED = (("rag", "your documents"), ("tuned", "the adapter"))


def _parts(arm: Arm) -> set[str]:
    return {part for part in arm.split("+") if part != "base"}


def _effects(verdict: Verdict) -> Iterable[str]:
    """What documents and adapter add, each on its own and on top of the other."""
    for what, ending, one, other in (
        ("Documents", "", "rag", "base"),
        ("The adapter alone", "s", "tuned", "base"),
        ("On top of documents, the adapter", "s", "rag+tuned", "rag"),
        ("On top of the adapter, documents", "", "rag+tuned", "tuned"),
    ):
        found = verdict.difference(one, other)  # type: ignore[arg-type]
        if found is None:
            continue
        if not found.shown and found.interval.low * found.interval.high > 0:
            yield (
                f"{what} add{ending} {points(found.interval)}, but with so few questions this may be chance"
                f" (p = {found.adjusted:.3f} after correction for all comparisons)."
            )
        elif not found.shown:
            yield f"{what} make{ending} no measurable difference: {points(found.interval)}."
        elif found.interval.mean > 0:
            yield f"{what} add{ending} {points(found.interval)}."
        else:
            yield f"{what} make{ending} answers worse: {points(found.interval)}."


def _other_measures(verdict: Verdict) -> Iterable[str]:
    """Another configuration that wins by another deciding measure."""
    for measure in PRIMARY:
        if measure == verdict.primary:
            continue
        score = MEASURES[measure][1]
        values = {
            arm: [score(q, verdict.answers[arm][q.id]) or 0.0 for q in verdict.questions]
            for arm in verdict.arms
        }
        # They are looked at besides, so they share the 5 % among themselves.
        differences = [
            replace(d, adjusted=d.adjusted * (len(PRIMARY) - 1))
            for d in _differences(_among(values, measure), 0.1)
        ]
        best = _best(values, differences)
        winner = _winner(verdict.arms, best, differences)
        if winner and winner != verdict.winner:
            name = MEASURES[measure][0]
            said = spread(verdict.table[winner][measure])  # type: ignore[index]
            yield f"By “{name}”, the best configuration is {MEANING[winner]}: {said}."  # type: ignore[index]


def _grounds(verdict: Verdict) -> Iterable[str]:
    """What the adapter changes about citations, with documents; over the questions that both configurations have a figure for."""
    if not {"rag", "rag+tuned"} <= set(verdict.run.arms):
        return
    rag, both = verdict.answers["rag"], verdict.answers["rag+tuned"]
    for measure in ("citation_recall", "citation_precision", "groundedness"):
        meaning, score = MEASURES[measure]
        pairs = [(score(q, rag[q.id]), score(q, both[q.id])) for q in verdict.questions]
        there = [(one, other) for one, other in pairs if one is not None and other is not None]
        if len(there) < FEWEST:
            continue
        before, after = [one for one, _ in there], [other for _, other in there]
        change = statistics.difference(after, before)
        if change.excludes_zero and abs(change.mean) >= 0.02:
            yield (
                f"With documents, the adapter changes “{meaning}” from {percent(fmean(before))} to {percent(fmean(after))}:"
                f" {points(change)} over {counted(len(there), 'question')}."
            )


def _statements(verdict: Verdict) -> Iterable[str]:
    """How many statements the documents support, and how often a citation is no sign of the answer."""
    for arm, found in verdict.checks.items():
        if not found.statements:
            continue
        yield (
            f"{_capital(MEANING[arm])}: {counted(found.statements, 'statement')} in"
            f" {counted(found.checked, 'answer')}, {percent(found.supported / found.statements)} supported,"
            f" {percent(found.partly / found.statements)} partly,"
            f" {percent(found.not_found / found.statements)} not found."
        )
    told = ", ".join(
        f"{MEANING[arm]} {found.marked_wrong} of {found.answerable}"
        for arm, found in verdict.checks.items()
        if "marked_wrong" in verdict.table[arm]
    )
    if told:
        yield f"Answers with the citation of a supported statement, but without the expected words: {told}."


def _refusals(verdict: Verdict) -> Iterable[str]:
    if without := verdict.counts.get("false_answers"):
        said = ", ".join(
            f"{MEANING[arm]} {percent(own['false_answers'].mean)}"
            for arm, own in verdict.table.items()
            if "false_answers" in own
        )
        yield f"False answers to the {counted(without, 'question')} without an answer: {said}."
    differing = ", ".join(
        f"{MEANING[arm]} {percent(found.false_answers_in_words / found.unanswerable)}"
        for arm, found in verdict.checks.items()
        if found.false_answers != found.false_answers_in_words
    )
    if differing:
        yield f"Without the check of answers, the false answers would be: {differing}."
    wrong = {
        arm: own["refuses_wrongly"].mean
        for arm, own in verdict.table.items()
        if own.get("refuses_wrongly") and own["refuses_wrongly"].mean >= 0.05
    }
    if wrong:
        said = ", ".join(f"{MEANING[arm]} {percent(mean)}" for arm, mean in wrong.items())
        yield f"Declined of the questions with an answer: {said}."


def _tags(verdict: Verdict) -> Iterable[str]:
    for tag, every in verdict.by_tag.items():
        own = {arm: every[arm] for arm in verdict.arms}
        if not own:
            continue
        best = max(own, key=lambda arm: own[arm].mean)
        simplest: Arm = next(
            (arm for arm in verdict.best if arm == verdict.winner), verdict.best[0] if verdict.best else best
        )
        places = [q for q in verdict.questions if tag in q.tags]
        if best == simplest or len(places) < FEWEST:
            continue
        score = MEASURES[verdict.primary][1]
        values = {
            arm: [score(q, verdict.answers[arm][q.id]) or 0.0 for q in places] for arm in (best, simplest)
        }
        p = (
            statistics.permutation_test(values[best], values[simplest])
            * len(verdict.by_tag)
            * max(1, len(own) - 1)
        )
        if p < SHOWN:
            yield (
                f"Questions tagged “{tag}”: {MEANING[best]} {percent(own[best].mean)}, {MEANING[simplest]}"
                f" {percent(own[simplest].mean)}."
            )


def _prices(verdict: Verdict) -> str:
    said = ", ".join(
        f"{MEANING[arm]} {_brief(price.ttft_s)}" for arm, price in verdict.prices.items() if price.ttft_s
    )
    trained = verdict.run.facts.get("training_seconds")
    training = f" Training the adapter took {human_seconds(float(trained))}." if trained else ""
    memory = max((price.memory_mib for price in verdict.prices.values()), default=0)
    used = f" Peak memory: {memory:,} MiB." if memory else ""
    joules = ", ".join(
        f"{MEANING[arm]} {price.joules:.0f} J" for arm, price in verdict.prices.items() if price.joules
    )
    energy = f" Energy per answer: {joules}." if joules else ""
    return f"Time to the first word: {said or 'unknown'}.{training}{used}{energy}"


def _brief(seconds: float) -> str:
    return human_seconds(seconds) if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"


def _freshness(verdict: Verdict) -> Iterable[str]:
    if any(searches(arm) for arm in verdict.run.arms):
        yield "When a document changes and is synced, the next answer from your documents uses the new text."
    if any("tuned" in arm for arm in verdict.run.arms):
        yield "The adapter keeps what it learned until you train it again."


def _forgetting(verdict: Verdict) -> Iterable[str]:
    """As measured when the adapter was made."""
    if not any("tuned" in arm for arm in verdict.run.arms):
        return
    forgetting = verdict.run.facts.get("forgetting", {})
    for name, lost in forgetting.items():
        if (
            not {
                "perplexity_before",
                "perplexity_after",
                "general_questions_before",
                "general_questions_after",
            }
            <= lost.keys()
        ):
            continue
        yield (
            f"General abilities with the adapter {name}: perplexity of plain prose {lost['perplexity_before']:.2f} →"
            f" {lost['perplexity_after']:.2f},"
            f" general questions {percent(lost['general_questions_before'])} → {percent(lost['general_questions_after'])}."
        )


def _next_steps(verdict: Verdict) -> Iterable[str]:
    count, table, arms = len(verdict.questions), verdict.table, verdict.run.arms
    if count < 50:
        yield f"Add more questions: {count} can only show large differences. In a chat, press E to keep a question."
    yield from _trust(verdict)
    rag = table.get("rag", {})
    found = rag.get("recall@10")
    if found and found.mean < 0.8:
        yield (
            f"The search finds the right document for {percent(found.mean)} of the questions. `ragchat eval tune` tries other"
            " settings. Some documents may also be missing."
        )
    own = verdict.answers.get("rag", {})
    asked = [q for q in verdict.questions if q.answerable and q.id in own]
    given = [q for q in asked if own[q.id].from_documents]
    if len(asked) - len(given) >= max(2, 0.05 * len(asked)):
        yield (
            f"For {percent(1 - len(given) / len(asked))} of the questions with an answer, the search found no relevant passages."
            f" `ragchat eval calibrate {verdict.run.set_name}` sets how strict it is."
        )
    held = [own[q.id].offered_right for q in given]
    right = [contains(own[q.id].said, q.answers) for q in given]
    if held and fmean(right) < 0.7 * fmean(held):
        yield (
            f"The right passage is in {percent(fmean(held))} of the prompts with passages, but the model uses it less often."
            f" A larger model{'' if 'rag+tuned' in arms else ', or an adapter trained in the mode rag,'} helps more than"
            " more passages."
        )
    elif held and 0.05 < fmean(held) < 0.7:
        yield (
            f"The right passage is in only {percent(fmean(held))} of the prompts with passages. Raise retrieval.passages"
            " or add documents."
        )
    if "tuned" not in arms:
        yield (
            "No adapter was measured. `ragchat finetune` trains one. Its modes: style for the form of answers, task for one"
            " task, rag for answers from passages."
        )
    if (
        verdict.counts.get("refuses_rightly")
        and rag.get("refuses_rightly")
        and rag["refuses_rightly"].mean < 0.5
    ):
        yield "The model answers questions that your documents do not cover. `ragchat eval calibrate` sets when it declines."
    elif not verdict.counts.get("refuses_rightly"):
        yield "The set has no question without an answer. Add some (--unanswerable) to measure whether the model declines."
    if "base" in verdict.best and verdict.winner == "base":
        yield "The model alone does as well. Turn documents off for such questions, or ask what only your documents contain."


def _trust(verdict: Verdict) -> Iterable[str]:
    """What to do where a model does not do better than the quotes."""
    over = verdict.over_documents
    if not over or any(found.shown and found.interval.mean > 0 for found in over):
        return
    worse = all(found.shown for found in over)
    yield (
        f"The model's answers are {'worse' if worse else 'not measurably better'} than the quotes from your documents above them."
        " Trust the quotes first. `ragchat ask --quote` shows them without a model. A larger model may add more."
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
