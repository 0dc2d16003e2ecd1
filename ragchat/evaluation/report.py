"""A verdict as one HTML page that opens offline: words, table, charts, the questions where configurations disagree, settings.

Everything that comes from documents, questions or models is escaped; the page holds no script and loads nothing.
"""

from __future__ import annotations

import html as markup
import json
import re
from collections.abc import Iterable, Iterator, Sequence

from ragchat.evaluation.calibration import Point, RefusalCurve, choose
from ragchat.evaluation.four_ways import DOCUMENTS, MEANING, Answer
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.statistics import Interval
from ragchat.evaluation.verdict import LABELS, MEASURES, Difference, Verdict, percent, points, spread
from ragchat.text import clean, counted

_MOST_DISAGREEMENTS = 60
_WIDTH, _BAR, _LEFT = 880, 24, 235
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #667; --line: #d5d9e2; --bar: #3f6fb5; --good: #2b7a4b;
  --bad: #a8412f; --bg: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f0; --dim: #99a3b5; --line: #3a4252; --bar: #6f9be0; --good: #6cc08c; --bad: #e58a78; --bg: #161a22 }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--bg); max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem }
h1, h2 { line-height: 1.2 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.lead { font-size: 1.25rem; font-weight: 600 }
.dim { color: var(--dim) }
.shown { font-weight: 600 }
.outdated { border: 1px solid var(--bad); padding: .6rem .9rem; border-radius: 6px }
details { margin: .6rem 0; border-bottom: 1px solid var(--line); padding-bottom: .6rem }
summary { cursor: pointer }
blockquote { margin: .4rem 0; padding-left: .8rem; border-left: 3px solid var(--line); white-space: pre-wrap }
pre { overflow: auto }
.right { color: var(--good) }
.wrong { color: var(--bad) }
figure { margin: 1rem 0 }
svg { width: 100%; max-width: 54rem; height: auto }
svg text { fill: var(--ink); font-size: 14px }
svg text.dim { fill: var(--dim); font-size: 12px }
"""


def html(verdict: Verdict, stale: Sequence[str] = (), refusals: RefusalCurve | None = None) -> str:
    """The page. `stale`: what has changed since the run; `refusals`: when the search declines the same questions."""
    run = verdict.run
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        "<meta name=viewport content='width=device-width'>",
        f"<title>Evaluation: {_e(run.set_name)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>Recommended configuration: {_e(run.set_name)}</h1>",
        f"<p class=dim>{_e(run.started_at[:16].replace('T', ' '))}"
        f" · {_e(run.id)} · {counted(len(verdict.questions), 'question')}</p>",
    ]
    if stale:
        parts.append(
            f"<p class=outdated>This verdict is out of date. Changed since: {_e('; '.join(stale))}.</p>"
        )
    lead, *more = verdict.says
    parts += [f"<p class=lead>{_e(lead)}</p>", *(f"<p>{_e(sentence)}</p>" for sentence in more)]
    if verdict.next_steps:
        steps = "".join(f"<li>{_commands(step)}</li>" for step in verdict.next_steps)
        parts.append(f"<h2>Next steps</h2><ul>{steps}</ul>")
    parts += [
        "<h2>Scores</h2>",
        _chart(verdict),
        _table(verdict),
    ]
    if statements := _statements(verdict):
        parts += ["<h2>Statements and the documents</h2>", statements]
    differences = (*verdict.differences, *verdict.over_documents)
    parts += ["<h2>Differences</h2>", _forest(differences), _differences(differences)]
    if verdict.by_tag:
        parts += ["<h2>By tag</h2>", _tags(verdict)]
    if refusals is not None:
        parts += ["<h2>When to decline</h2>", _refusals(refusals)]
    parts += ["<h2>Where configurations disagree</h2>", *_questions(verdict, verdict.disagreements())]
    parts += ["<h2>What no configuration gets right</h2>", *_questions(verdict, verdict.unanswered())]
    settings = json.dumps(run.inputs, indent=1, ensure_ascii=False, sort_keys=True, default=str)
    parts.append(f"<h2>Settings of the run</h2><pre>{_e(settings)}</pre></body></html>")
    return "\n".join(parts)


def _chart(verdict: Verdict) -> str:
    """A bar for each configuration with its interval."""
    scale, height = _WIDTH - _LEFT - 60, len(verdict.charted) * (_BAR + 14) + 12
    rows = [
        f'<line x1="{x:.0f}" x2="{x:.0f}" y1="0" y2="{height}" stroke="var(--line)"/>'
        f'<text class="dim" x="{x:.0f}" y="{height + 14}" text-anchor="middle">{share} %</text>'
        for share in (0, 25, 50, 75, 100)
        for x in (_LEFT + share / 100 * scale,)
    ]
    for number, arm in enumerate(verdict.charted):
        interval = verdict.table[arm].get(verdict.primary)
        if interval is None:
            continue
        y = number * (_BAR + 14) + 8
        low, high = _LEFT + interval.low * scale, _LEFT + interval.high * scale
        middle = y + _BAR / 2
        rows.append(
            f'<text x="0" y="{middle + 4:.0f}">{_e(MEANING[arm])}</text>'
            f'<rect x="{_LEFT}" y="{y}" width="{max(1.0, interval.mean * scale):.1f}" height="{_BAR}" fill="var(--bar)" rx="3"/>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="var(--ink)" stroke-width="2"/>'
            f'<text x="{high + 8:.1f}" y="{middle + 4:.0f}">{interval.mean * 100:.0f} %</text>'
        )
    label = _e(MEASURES[verdict.primary][0])
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {height + 20}' role=img aria-label='{label}'>{''.join(rows)}</svg>"
        f"<figcaption class=dim>{label}; each line shows the 95 % interval</figcaption></figure>"
    )


_VERDICTS = (("supported", "✓", 0.7), ("partly", "≈", 0.4), ("not_found", "✗", 0.12))
"""Name, sign and opacity of each verdict on statements, as they follow in a bar."""


def _statements(verdict: Verdict) -> str:
    """A bar for each configuration with statements: how many are supported, partly supported and not found."""
    there = [arm for arm, counts in verdict.checks.items() if counts.statements]
    if not there:
        return ""
    scale, height = _WIDTH - _LEFT - 60, len(there) * (_BAR + 14) + 4
    rows = []
    for number, arm in enumerate(there):
        counts, x, y = verdict.checks[arm], float(_LEFT), number * (_BAR + 14) + 4
        rows.append(f'<text x="0" y="{y + _BAR / 2 + 4:.0f}">{_e(MEANING[arm])}</text>')
        for name, sign, opacity in _VERDICTS:
            count = getattr(counts, name)
            width = count / counts.statements * scale
            rows.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="var(--bar)" fill-opacity="{opacity}"'
                ' stroke="var(--line)"/>'
            )
            if width > 60:
                rows.append(f'<text x="{x + 6:.1f}" y="{y + _BAR / 2 + 4:.0f}">{sign} {count}</text>')
            x += width
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {height}' role=img aria-label='statements by verdict'>{''.join(rows)}</svg>"
        "<figcaption class=dim>✓ supported, ≈ partly supported, ✗ not found in the passages</figcaption></figure>"
    )


def _forest(differences: Sequence[Difference]) -> str:
    """A line for each difference: its interval against no difference."""
    if not differences:
        return ""
    reach = max(0.1, *(max(abs(d.interval.low), abs(d.interval.high)) for d in differences))
    scale, middle = (_WIDTH - _LEFT - 60) / 2 / reach, _LEFT + (_WIDTH - _LEFT - 60) / 2
    height = len(differences) * 24 + 8
    rows = [f'<line x1="{middle}" x2="{middle}" y1="0" y2="{height}" stroke="var(--line)" stroke-width="2"/>']
    for number, one in enumerate(differences):
        y, at = number * 24 + 16, one.interval
        colour = "var(--bar)" if one.shown else "var(--dim)"
        low, mean, high = (middle + value * scale for value in (at.low, at.mean, at.high))
        rows.append(
            f'<text x="0" y="{y + 4}">{_e(one.one)} − {_e(one.other)}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
            f'<circle cx="{mean:.1f}" cy="{y}" r="5" fill="{colour}"/>'
        )
    for side in (-1, 1):
        x, said = middle + side * reach * scale, f"{side * reach * 100:+.0f}"
        rows.append(f'<text class="dim" x="{x:.0f}" y="{height + 14}" text-anchor="middle">{said}</text>')
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {height + 20}' role=img aria-label='differences in points'>{''.join(rows)}</svg>"
        "<figcaption class=dim>points; a line that crosses zero shows no measurable difference</figcaption></figure>"
    )


def _refusals(found: RefusalCurve) -> str:
    """Both errors at every strictness, and the point with the fewest."""
    scale, height = _WIDTH - _LEFT - 60, 200
    best = choose(found.points)

    def at(strictness: float, share: float) -> str:
        return f"{_LEFT + strictness * scale:.1f},{8 + (1 - share) * height:.1f}"

    lines = [
        f"<polyline points='{' '.join(places)}' fill='none' stroke='{colour}' stroke-width='3'/>"
        for colour, places in (
            ("var(--bad)", [at(point.strictness, point.false_answers) for point in found.points]),
            ("var(--bar)", [at(point.strictness, point.wrong_refusals) for point in found.points]),
        )
    ]
    for share in (0, 25, 50, 75, 100):
        y = 8 + (1 - share / 100) * height
        lines.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + scale}" y1="{y:.0f}" y2="{y:.0f}" stroke="var(--line)"/>'
            f'<text class="dim" x="{_LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{share} %</text>'
        )
    x = _LEFT + best.strictness * scale
    lines += [
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{height + 8}" stroke="var(--ink)" stroke-dasharray="4 4"/>',
        f'<text x="{_LEFT}" y="{height + 28}" class="dim">answers everything</text>',
        f'<text x="{_LEFT + scale}" y="{height + 28}" class="dim" text-anchor="end">answers almost nothing</text>',
        '<text x="0" y="24" style="fill:var(--bad)">false answers</text>',
        '<text x="0" y="44" style="fill:var(--bar)">wrong refusals</text>',
    ]
    return (
        f"<p>With your settings: {_errors(found.now)}. At the dashed line, where errors are fewest: {_errors(best)}. Measured on"
        f" {counted(found.answerable, 'question')} with an answer in your documents and {found.unanswerable} without."
        " <code>ragchat eval calibrate</code> sets the point.</p>"
        f"<figure><svg viewBox='0 0 {_WIDTH} {height + 34}' role=img aria-label='refusal curve'>{''.join(lines)}</svg></figure>"
    )


def _errors(point: Point) -> str:
    return (
        f"{point.false_answers * 100:.1f} % false answers, {point.wrong_refusals * 100:.1f} % wrong refusals"
    )


def _table(verdict: Verdict) -> str:
    arms = verdict.run.arms
    head = "".join(f"<th class=n>{_e(arm)}</th>" for arm in arms)
    rows = []
    for measure, meaning in LABELS.items():
        if any(measure in verdict.table[arm] for arm in arms):
            cells = "".join(f"<td class=n>{_cell(verdict.table[arm].get(measure))}</td>" for arm in arms)
            rows.append(
                f"<tr><td>{_e(meaning)} <span class=dim>{verdict.counts.get(measure, 0)}</span></td>{cells}</tr>"
            )
    for meaning, of, form, unit in (
        ("words per answer", "words", ".0f", ""),
        ("time to the first word", "ttft_s", ".2f", "s"),
        ("time to the whole answer", "seconds", ".2f", "s"),
        ("prompt length", "prompt_tokens", ".0f", "tokens"),
        ("speed", "decode_tok_s", ".0f", "tokens/s"),
    ):
        values = [getattr(verdict.prices[arm], of) for arm in arms]
        if not any(values):
            continue
        cells = "".join(f"<td class=n>{f'{value:{form}} {unit}' if value else ''}</td>" for value in values)
        rows.append(f"<tr><td>{meaning}</td>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _cell(found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{percent(found.mean)}<br><span class=dim>{found.low * 100:.0f} to {found.high * 100:.0f}</span>"


def _differences(differences: Sequence[Difference]) -> str:
    rows = "".join(
        f"<tr{' class=shown' if d.shown else ''}><td>{_e(d.one)} − {_e(d.other)}{_measure(d)}</td>"
        f"<td class=n>{points(d.interval)}</td><td class=n>{_p(d.p)}</td><td class=n>{_p(d.adjusted)}</td>"
        f"<td>{'measurable' if d.shown else 'may be chance'}</td></tr>"
        for d in differences
    )
    head = "<th></th><th class=n>difference</th><th class=n>p</th><th class=n>adjusted</th><th></th>"
    return f"<table><tr>{head}</tr>{rows}</table>"


def _measure(found: Difference) -> str:
    """By what documents alone are compared, which may not be the deciding measure."""
    return f" <span class=dim>{_e(LABELS[found.measure])}</span>" if found.other == DOCUMENTS else ""


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "&lt; 0.001"


def _tags(verdict: Verdict) -> str:
    arms = verdict.run.arms
    head = "".join(f"<th class=n>{_e(arm)}</th>" for arm in arms)
    rows = "".join(
        f"<tr><td>{_e(tag)}</td>{''.join(f'<td class=n>{spread(own[arm])}</td>' for arm in arms)}</tr>"
        for tag, own in verdict.by_tag.items()
    )
    return f"<table><tr><th></th>{head}</tr>{rows}</table>"


def _questions(verdict: Verdict, found: Sequence[Asked]) -> Iterator[str]:
    if not found:
        yield "<p>None.</p>"
    for question in found[:_MOST_DISAGREEMENTS]:
        expected = " or ".join(question.answers) if question.answerable else "the documents contain no answer"
        yield f"<details><summary>{_e(question.question)} <span class=dim>{_e(expected)}</span></summary>"
        yield from _answers(verdict, question)
        yield "</details>"
    if len(found) > _MOST_DISAGREEMENTS:
        yield f"<p class=dim>and {len(found) - _MOST_DISAGREEMENTS} more</p>"


def _answers(verdict: Verdict, question: Asked) -> Iterable[str]:
    for arm in verdict.run.arms:
        answer: Answer = verdict.answers[arm][question.id]
        right = verdict.right(question, arm)
        mark = f"<b class=right>✓ {_e(arm)}</b>" if right else f"<b class=wrong>✗ {_e(arm)}</b>"
        told = f" <span class=dim>{_e(answer.checked_line)}</span>" if answer.checked_line else ""
        yield f"<p>{mark}{told}</p><blockquote>{_e(answer.shown)}</blockquote>"
        for passage in answer.cited:
            yield f"<p class=dim>[{passage.n}] {_e(passage.path)}</p><blockquote class=dim>{_e(passage.text)}</blockquote>"


def _commands(text: str) -> str:
    """A sentence with its commands set as such."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", _e(text))


def _e(text: str) -> str:
    return markup.escape(clean(str(text)))
