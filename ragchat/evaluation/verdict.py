"""The verdict on a run: the table, the recommended configuration and how sure that is, what it costs, what to do next.

A difference is measurable when its p-value, adjusted for the number of comparisons (Holm), is below 5 %: McNemar's exact test
for right or wrong, a paired permutation test for the rest. Without a measurable difference, the verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from statistics import fmean, median

import msgspec

from ragchat.evaluation import grounding, retrieval_metrics, statistics
from ragchat.evaluation.answer_metrics import contains, exact_match, f1, rouge_l
from ragchat.evaluation.four_ways import ARMS, MEANING, Answer, Arm, Run
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
FEWEST = 10
"""With fewer questions, the verdict says only that there are too few."""
K = 10

Score = Callable[[Asked, Answer], float | None]


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
    if not answer.cited or answer.refused:
        return None
    return grounding.groundedness(answer.said, [p.text for p in answer.cited])


def _ranking(measure: Callable[[Sequence[str], Sequence[str]], float]) -> Score:
    def score(question: Asked, answer: Answer) -> float | None:
        if not question.sources or "rag" not in answer.arm:
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
    "f1": ("words in common (F1)", _answered(f1)),
    "exact": ("equals the expected answer", _answered(exact_match)),
    "rouge_l": ("ROUGE-L", _answered(rouge_l)),
    "citation_precision": ("cited passages with the answer", _cites_rightly),
    "citation_recall": ("cites a passage with the answer", _cites),
    "groundedness": ("words found in cited passages", _grounded),
    "refuses_rightly": (
        "declines when no answer exists",
        lambda q, a: None if q.answerable else float(a.refused),
    ),
    "refuses_wrongly": (
        "declines when an answer exists",
        lambda q, a: (
            float(grounding.gives_no_answer(a.said, a.kind or AnswerKind.ANSWER)) if q.answerable else None
        ),
    ),
    "recall@10": ("finds the right document", _ranking(lambda r, s: retrieval_metrics.recall_at(K, r, s))),
    "mrr@10": (
        "rank of the right document (MRR)",
        _ranking(lambda r, s: retrieval_metrics.reciprocal_rank_at(K, r, s)),
    ),
    "ndcg@10": ("ranking of documents (nDCG)", _ranking(lambda r, s: retrieval_metrics.ndcg_at(K, r, s))),
}
"""The label of each measure, and its value for one answer; None where it does not apply."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`one` - `other` in the deciding measure. `needed`: questions to show a difference of the wanted size, 0 unknown."""

    one: Arm
    other: Arm
    interval: Interval
    p: float
    adjusted: float
    needed: int

    @property
    def shown(self) -> bool:
        """Whether the difference is more than chance explains, after adjustment for several comparisons."""
        return self.adjusted < SHOWN


@dataclass(frozen=True, slots=True)
class Price:
    """Of one configuration: medians over its answers; 0 means unknown."""

    ttft_s: float
    seconds: float
    prompt_tokens: float
    decode_tok_s: float
    memory_mib: int
    joules: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`questions` that every configuration has answered, in the run's order. `best`: none is measurably better than these; the
    cheapest comes first. `winner` is empty without a measurable difference. `says` and `next_steps` are sentences.
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

    def difference(self, one: Arm, other: Arm) -> Difference | None:
        """The difference of two configurations, in the order asked for."""
        for found in self.differences:
            if (found.one, found.other) == (one, other):
                return found
            if (found.one, found.other) == (other, one):
                turned = Interval(-found.interval.mean, -found.interval.high, -found.interval.low)
                return Difference(one, other, turned, found.p, found.adjusted, found.needed)
        return None

    def unanswered(self) -> list[Asked]:
        """Questions that no configuration gets right."""
        return [q for q in self.questions if max(self._values(q)) < 0.5]

    def disagreements(self) -> list[Asked]:
        """Questions that some configurations get right and others do not, by the deciding measure."""
        return [q for q in self.questions if max(self._values(q)) - min(self._values(q)) >= 0.5]

    def _values(self, question: Asked) -> list[float]:
        score = MEASURES[self.primary][1]
        return [score(question, own[question.id]) or 0.0 for own in self.answers.values()]


def choose_primary(questions: Sequence[Asked]) -> str:
    """`contains` where answers are short enough to be looked for whole, else `f1`."""
    lengths = [min(len(answer.split()) for answer in q.answers) for q in questions if q.answers]
    return "f1" if lengths and median(lengths) > _SHORT_ANSWER else "contains"


def judge(run: Run, answers: Iterable[Answer], *, primary: str = "", size: float = 0.1) -> Verdict:
    """The verdict on what has been answered so far. `size` is the smallest difference of interest."""
    by_arm: dict[Arm, dict[str, Answer]] = {arm: {} for arm in run.arms}
    for answer in answers:
        if answer.arm in by_arm and not answer.error:
            by_arm[answer.arm][answer.question] = msgspec.structs.replace(
                answer, refused=grounding.refuses(answer.said, answer.kind or AnswerKind.ANSWER)
            )
    shared = tuple(q for q in run.questions if all(q.id in own for own in by_arm.values()))
    primary = primary or choose_primary(shared)
    table, counts = _table(shared, by_arm)
    score = MEASURES[primary][1]
    values = {arm: [score(q, own[q.id]) or 0.0 for q in shared] for arm, own in by_arm.items()}
    differences = _differences(values, primary, size)
    best = _best(values, differences)
    winner = _winner(run.arms, best, differences) if len(shared) >= FEWEST else ""
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
    return table, counts


def _differences(values: Mapping[Arm, Sequence[float]], primary: str, size: float) -> tuple[Difference, ...]:
    test = statistics.mcnemar if primary in BINARY else statistics.permutation_test
    pairs = [
        (later, earlier) for earlier, later in combinations(values, 2)
    ]  # the larger configuration minus the smaller
    p_values = {f"{one}|{other}": test(values[one], values[other]) for one, other in pairs}
    adjusted = statistics.holm(p_values)
    return tuple(
        Difference(
            one,
            other,
            statistics.difference(values[one], values[other]),
            p_values[f"{one}|{other}"],
            adjusted[f"{one}|{other}"],
            statistics.questions_needed(values[one], values[other], size, comparisons=len(pairs)),
        )
        for one, other in pairs
    )


def _best(values: Mapping[Arm, Sequence[float]], differences: Sequence[Difference]) -> tuple[Arm, ...]:
    """The configurations that no other is measurably better than; the simplest first."""
    beaten: set[Arm] = set()
    for found in differences:
        if found.shown:
            beaten.add(found.other if found.interval.mean > 0 else found.one)
    return tuple(arm for arm in ARMS if arm in values and arm not in beaten)


def _winner(arms: Sequence[Arm], best: Sequence[Arm], differences: Sequence[Difference]) -> str:
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
    arms, table = verdict.run.arms, verdict.table
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
    else:
        needed = max((found.needed for found in verdict.differences), default=0)
        more = (
            f" To measure a difference of {percent(size)}, you need about {needed} questions, {max(0, needed - count)} more."
            if needed > count
            else ""
        )
        yield f"The configurations show no measurable difference.{more}"
    means = ", ".join(f"{MEANING[arm]} {spread(table[arm][verdict.primary])}" for arm in arms)
    yield f"Measured by “{MEASURES[verdict.primary][0]}” on {count} questions: {means}."
    yield from _effects(verdict)
    yield from _other_measures(verdict)
    yield from _grounds(verdict)
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


def _winning(verdict: Verdict) -> str:
    winner = next(arm for arm in verdict.best if arm == verdict.winner)
    lead = f"Recommended: {_recommended(winner, verdict.run.arms)}."
    equal = [arm for arm in verdict.best if arm != winner]
    if not equal:
        return f"{lead} It did measurably better than every other configuration."
    same = " ".join(_no_difference(verdict, winner, arm) for arm in equal)
    worse = ", ".join(MEANING[arm] for arm in verdict.run.arms if arm not in verdict.best)
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
            arm: [score(q, own[q.id]) or 0.0 for q in verdict.questions]
            for arm, own in verdict.answers.items()
        }
        # They are looked at besides, so they share the 5 % among themselves.
        differences = [
            replace(d, adjusted=d.adjusted * (len(PRIMARY) - 1)) for d in _differences(values, measure, 0.1)
        ]
        best = _best(values, differences)
        winner = _winner(verdict.run.arms, best, differences)
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


def _refusals(verdict: Verdict) -> Iterable[str]:
    if verdict.counts.get("refuses_rightly"):
        said = ", ".join(
            f"{MEANING[arm]} {percent(own['refuses_rightly'].mean)}"
            for arm, own in verdict.table.items()
            if "refuses_rightly" in own
        )
        yield f"Declined of the {verdict.counts['refuses_rightly']} questions without an answer: {said}."
    wrong = {
        arm: own["refuses_wrongly"].mean
        for arm, own in verdict.table.items()
        if own.get("refuses_wrongly") and own["refuses_wrongly"].mean >= 0.05
    }
    if wrong:
        said = ", ".join(f"{MEANING[arm]} {percent(mean)}" for arm, mean in wrong.items())
        yield f"Declined of the questions with an answer: {said}."


def _tags(verdict: Verdict) -> Iterable[str]:
    for tag, own in verdict.by_tag.items():
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
        f"{MEANING[arm]} {human_seconds(price.ttft_s)}"
        for arm, price in verdict.prices.items()
        if price.ttft_s
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


def _freshness(verdict: Verdict) -> Iterable[str]:
    if any("rag" in arm for arm in verdict.run.arms):
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


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
