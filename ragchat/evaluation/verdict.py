"""What a run says: the table, which way serves the person best and how sure that is, what it costs, what to do next.

A difference counts as shown when its p-value, adjusted for the number of comparisons (Holm), is below 5 %: McNemar's exact test
for what is right or wrong, a paired permutation test for the rest. Where nothing is shown, the verdict says so.
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
from ragchat.text import human_seconds

SHOWN = 0.05
"""Adjusted p-value below which a difference counts as shown."""
PRIMARY = ("contains", "f1", "exact", "rouge_l")
"""Measures that may decide."""
_SHORT_ANSWER = 6
"""Words. Answers that are longer are compared by their words, not looked for whole."""
BINARY = ("contains", "exact", "refuses_rightly", "refuses_wrongly")
FEWEST = 10
"""With fewer questions nothing is said but that there are too few."""
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
    "contains": ("answer is in what was said", _answered(contains)),
    "f1": ("words in common, F1", _answered(f1)),
    "exact": ("exactly the answer", _answered(exact_match)),
    "rouge_l": ("ROUGE-L", _answered(rouge_l)),
    "citation_precision": ("cited passages that hold it", _cites_rightly),
    "citation_recall": ("a cited passage holds it", _cites),
    "groundedness": ("words that stand in what is cited", _grounded),
    "refuses_rightly": (
        "declines, there is no answer",
        lambda q, a: None if q.answerable else float(a.refused),
    ),
    "refuses_wrongly": (
        "declines, there is one",
        lambda q, a: float(grounding.gives_no_answer(a.said)) if q.answerable else None,
    ),
    "recall@10": ("its document is found", _ranking(lambda r, s: retrieval_metrics.recall_at(K, r, s))),
    "mrr@10": (
        "rank of its document, MRR",
        _ranking(lambda r, s: retrieval_metrics.reciprocal_rank_at(K, r, s)),
    ),
    "ndcg@10": ("nDCG of the documents", _ranking(lambda r, s: retrieval_metrics.ndcg_at(K, r, s))),
}
"""What each measure says in words, and its value for one answer; None where it does not apply."""


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
        return self.adjusted < SHOWN


@dataclass(frozen=True, slots=True)
class Price:
    """Of one way: medians over its answers; 0 where it is not known."""

    ttft_s: float
    seconds: float
    prompt_tokens: float
    decode_tok_s: float
    memory_mib: int
    joules: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """`questions` that every way has answered, in the run's order. `best`: those that no other is shown to be better than, of
    those the cheapest first. `winner` is empty where no difference is shown. `says` and `next_steps` are sentences.
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
        """That of two ways, whichever way round it was computed."""
        for found in self.differences:
            if (found.one, found.other) == (one, other):
                return found
            if (found.one, found.other) == (other, one):
                turned = Interval(-found.interval.mean, -found.interval.high, -found.interval.low)
                return Difference(one, other, turned, found.p, found.adjusted, found.needed)
        return None

    def unanswered(self) -> list[Asked]:
        """Questions that no way gets right."""
        return [q for q in self.questions if max(self._values(q)) < 0.5]

    def disagreements(self) -> list[Asked]:
        """Questions that some ways get right and others do not, by the deciding measure."""
        return [q for q in self.questions if max(self._values(q)) - min(self._values(q)) >= 0.5]

    def _values(self, question: Asked) -> list[float]:
        score = MEASURES[self.primary][1]
        return [score(question, own[question.id]) or 0.0 for own in self.answers.values()]


def choose_primary(questions: Sequence[Asked]) -> str:
    """`contains` where answers are short enough to be looked for whole, else `f1`."""
    lengths = [min(len(answer.split()) for answer in q.answers) for q in questions if q.answers]
    return "f1" if lengths and median(lengths) > _SHORT_ANSWER else "contains"


def judge(run: Run, answers: Iterable[Answer], *, primary: str = "", size: float = 0.1) -> Verdict:
    """The verdict on what has been answered so far. `size` is a difference that the person would care about."""
    by_arm: dict[Arm, dict[str, Answer]] = {arm: {} for arm in run.arms}
    for answer in answers:
        if answer.arm in by_arm and not answer.error:
            by_arm[answer.arm][answer.question] = msgspec.structs.replace(
                answer, refused=grounding.refuses(answer.said)
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
    ]  # what is added, less what was there
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
    """Those that no way is shown to be better than; the simplest first."""
    beaten: set[Arm] = set()
    for found in differences:
        if found.shown:
            beaten.add(found.other if found.interval.mean > 0 else found.one)
    return tuple(arm for arm in ARMS if arm in values and arm not in beaten)


def _winner(arms: Sequence[Arm], best: Sequence[Arm], differences: Sequence[Difference]) -> str:
    """Of those that nothing is shown to be better than, the simplest that is itself shown to be better than all the rest; empty
    where there is none.
    """
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
        yield f"{count} questions are too few to say anything; {FEWEST} are the least, 100 a good number."
        return
    arms, table = verdict.run.arms, verdict.table
    shown = [found for found in verdict.differences if found.shown]
    if verdict.winner:
        yield _winning(verdict)
    elif shown:
        said = "; ".join(
            f"{MEANING[better]} than {MEANING[worse]}"
            for better, worse in (
                (d.one, d.other) if d.interval.mean > 0 else (d.other, d.one) for d in shown
            )
        )
        yield f"No single way is shown to be best. Shown to be better: {said}."
    else:
        needed = max((found.needed for found in verdict.differences), default=0)
        more = (
            f" A difference of {percent(size)} would show with about {needed} questions, {max(0, needed - count)} more."
            if needed > count
            else ""
        )
        yield f"No difference between the ways is shown.{more}"
    means = ", ".join(f"{MEANING[arm]} {spread(table[arm][verdict.primary])}" for arm in arms)
    yield f"{count} questions, judged by “{MEASURES[verdict.primary][0]}”: {means}."
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
            yield f"Questions that not every way has answered are not counted; missing: {said}."
    if before := verdict.run.facts.get("vectors_before"):
        said = grown(before, verdict.run.inputs.get("vectors", {}))
        yield f"More was embedded while it ran: {said}. The first answers come from fewer vectors."
    if unknown := verdict.run.facts.get("learned_unknown"):
        yield f"What {', '.join(unknown)} has learned from is not known: questions may be among it."
    if verdict.run.left_out:
        yield (
            f"{len(verdict.run.left_out)} questions are left out: the adapter has learned from them, or from near-duplicates."
        )


def _winning(verdict: Verdict) -> str:
    best = verdict.best
    winner = next(arm for arm in best if arm == verdict.winner)
    if len(best) == 1:
        return f"You are best served {_by(winner)}: that is shown to be better than every other way."
    rest = ", ".join(MEANING[arm] for arm in verdict.run.arms if arm not in best)
    return (
        f"You are best served {_by(winner)}. {' and '.join(_capital(MEANING[arm]) for arm in best if arm != winner)}"
        f" is not shown to be"
        f" better or worse; shown to be worse: {rest}."
    )


def _effects(verdict: Verdict) -> Iterable[str]:
    """What documents and adapter add, each on its own and on top of the other."""
    for what, one, other in (
        ("Documents", "rag", "base"),
        ("The adapter alone", "tuned", "base"),
        ("The adapter, on top of documents,", "rag+tuned", "rag"),
        ("Documents, on top of the adapter,", "rag+tuned", "tuned"),
    ):
        found = verdict.difference(one, other)  # type: ignore[arg-type]
        if found is None:
            continue
        verb = "add" if what == "Documents" or what.startswith("Documents,") else "adds"
        if not found.shown and found.interval.low * found.interval.high > 0:
            yield (
                f"{what} {verb} {points(found.interval)}, but so few questions do not show it beyond chance:"
                f" p = {found.adjusted:.3f}, counted over all comparisons."
            )
        elif not found.shown:
            yield f"{what} {verb} nothing that is shown: {points(found.interval)}."
        elif found.interval.mean > 0:
            yield f"{what} {verb} {points(found.interval)}."
        else:
            harm = "do harm" if verb == "add" else "does harm"
            yield f"{what} {harm}: {points(found.interval)}."


def _other_measures(verdict: Verdict) -> Iterable[str]:
    """Where another deciding measure names another way."""
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
            yield f"By “{name}” {MEANING[winner]} is best: {said}."  # type: ignore[index]


def _grounds(verdict: Verdict) -> Iterable[str]:
    """What the adapter does to citing, where documents are asked either way; over the questions that both have a figure for."""
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
                f"With documents, the adapter moves “{meaning}” from {percent(fmean(before))} to {percent(fmean(after))}:"
                f" {points(change)} over {len(there)} questions."
            )


def _refusals(verdict: Verdict) -> Iterable[str]:
    if verdict.counts.get("refuses_rightly"):
        said = ", ".join(
            f"{MEANING[arm]} {percent(own['refuses_rightly'].mean)}"
            for arm, own in verdict.table.items()
            if "refuses_rightly" in own
        )
        yield f"Of {verdict.counts['refuses_rightly']} questions without an answer it declines: {said}."
    wrong = {
        arm: own["refuses_wrongly"].mean
        for arm, own in verdict.table.items()
        if own.get("refuses_wrongly") and own["refuses_wrongly"].mean >= 0.05
    }
    if wrong:
        said = ", ".join(f"{MEANING[arm]} {percent(mean)}" for arm, mean in wrong.items())
        yield f"It declines what it could answer: {said}."


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
                f"On “{tag}” {MEANING[best]} reaches {percent(own[best].mean)}, {MEANING[simplest]}"
                f" {percent(own[simplest].mean)}."
            )


def _prices(verdict: Verdict) -> str:
    said = ", ".join(
        f"{MEANING[arm]} {human_seconds(price.ttft_s)}"
        for arm, price in verdict.prices.items()
        if price.ttft_s
    )
    trained = verdict.run.facts.get("training_seconds")
    training = f" The adapter took {human_seconds(float(trained))} to train." if trained else ""
    memory = max((price.memory_mib for price in verdict.prices.values()), default=0)
    used = f" At most {memory:,} MiB of memory." if memory else ""
    joules = ", ".join(
        f"{MEANING[arm]} {price.joules:.0f} J" for arm, price in verdict.prices.items() if price.joules
    )
    energy = f" Energy per answer: {joules}." if joules else ""
    return f"Time to the first word: {said or 'not known'}.{training}{used}{energy}"


def _freshness(verdict: Verdict) -> Iterable[str]:
    if any("rag" in arm for arm in verdict.run.arms):
        yield "When a document changes, answers from documents follow with the next question."
    if any("tuned" in arm for arm in verdict.run.arms):
        yield "What the adapter has learned stays as it was until it is trained again."


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
            f"On what it was not trained for, {name}: perplexity of plain prose {lost['perplexity_before']:.2f} →"
            f" {lost['perplexity_after']:.2f},"
            f" general questions {percent(lost['general_questions_before'])} → {percent(lost['general_questions_after'])}."
        )


def _next_steps(verdict: Verdict) -> Iterable[str]:
    count, table, arms = len(verdict.questions), verdict.table, verdict.run.arms
    if count < 50:
        yield f"Ask more questions: {count} show only large differences. In a chat, E keeps one."
    rag = table.get("rag", {})
    found = rag.get("recall@10")
    if found and found.mean < 0.8:
        yield (
            f"The search finds the right document for {percent(found.mean)} of the questions: `ragchat eval tune` looks for"
            " better settings, and documents may be missing."
        )
    own = verdict.answers.get("rag", {})
    asked = [q for q in verdict.questions if q.answerable and q.id in own]
    given = [q for q in asked if own[q.id].from_documents]
    if len(asked) - len(given) >= max(2, 0.05 * len(asked)):
        yield (
            f"For {percent(1 - len(given) / len(asked))} of the questions that have an answer nothing was taken to be relevant,"
            f" so no passage was given: `ragchat eval calibrate {verdict.run.set_name}` sets when that is."
        )
    held = [own[q.id].offered_right for q in given]
    right = [contains(own[q.id].said, q.answers) for q in given]
    if held and fmean(right) < 0.7 * fmean(held):
        yield (
            f"The right passage stands in {percent(fmean(held))} of the prompts with passages, and the model uses it less"
            f" often: a larger model{'' if 'rag+tuned' in arms else ', or an adapter of the mode rag,'} helps more than passages."
        )
    elif held and 0.05 < fmean(held) < 0.7:
        yield (
            f"The right passage stands in only {percent(fmean(held))} of the prompts with passages: raise retrieval.passages,"
            " or add documents."
        )
    if "tuned" not in arms:
        yield (
            "No adapter was measured. `ragchat finetune` trains one: mode style for form, task for a task, rag for answers from"
            " passages."
        )
    if (
        verdict.counts.get("refuses_rightly")
        and rag.get("refuses_rightly")
        and rag["refuses_rightly"].mean < 0.5
    ):
        yield "It answers what your documents do not hold: `ragchat eval calibrate` sets when it says so."
    elif not verdict.counts.get("refuses_rightly"):
        yield "No question without an answer is in the set: add some (--unanswerable), to see whether it declines."
    if "base" in verdict.best and verdict.winner == "base":
        yield "The model alone does as well: leave the documents out for such questions, or ask about what only they hold."


def _by(arm: Arm) -> str:
    return f"by {MEANING[arm]}" if arm == "base" else MEANING[arm]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
