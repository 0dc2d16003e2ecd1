"""The card: all engines side by side, and each target of the issue with "met" or "short"."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
"""Engine -> measure -> value, as `retrieval_speed.py` gathers them; a measure that was not taken is absent."""

NAMES = {
    "ragchat": "ragchat, plain BM25",
    "ragchat_full": "ragchat as it searches",
    "bm25s": "bm25s (numpy)",
    "tantivy": "tantivy",
    "tantivy_all_words": "tantivy, stop words kept",
    "fts5": "FTS5",
    "rank_bm25": "rank_bm25",
}
FEWEST_FOR_P99 = 200
LARGE = 500_000
"""Chunks from which the targets of 1,000,000 hold, below it those of 200,000."""


def percentile(values: Sequence[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def p50_p99(rounds: Sequence[Sequence[float]], first: int | None = None) -> tuple[float, float]:
    """Median over the rounds of each round's p50 and p99, over its `first` questions if given."""
    cut = [took[:first] for took in rounds]
    return (
        statistics.median(percentile(took, 50) for took in cut),
        statistics.median(percentile(took, 99) for took in cut),
    )


def ratio(results: Results, ours: str, peer: str, place: int = 0) -> float | None:
    """p50 (place 0) or p99 (place 1) of ours over the peer's, on the questions that both answered in every round."""
    if peer not in results or ours not in results:
        return None
    rounds, theirs = results[ours]["rounds_ms"], results[peer]["rounds_ms"]
    first = min(len(took) for took in (*rounds, *theirs))
    return p50_p99(rounds, first)[place] / p50_p99(theirs, first)[place]


ROWS: Sequence[tuple[str, Callable[[Mapping[str, Any]], str]]] = (
    ("query p50, ms", lambda r: f"{r['p50_ms']:.2f}"),
    ("query p99, ms", lambda r: f"{r['p99_ms']:.1f}" if r["questions"] >= FEWEST_FOR_P99 else "-"),
    ("questions answered in each round", lambda r: f"{r['questions']:,}"),
    ("same rows in the top 10 as ragchat, plain", lambda r: f"{r['overlap']:.0%}"),
    ("fresh process: imports, open, first answer, s", lambda r: f"{r['first_answer_s']:.3f}"),
    ("of it imports and open, s", lambda r: f"{r['open_s']:.3f}"),
    ("the whole process, start to end, s", lambda r: f"{r['process_s']:.2f}"),
    ("resident memory beyond Python and numpy, MB", lambda r: f"{r['memory_mb']:.0f}"),
    ("index without the text, bytes per chunk", lambda r: f"{r['bytes_per_chunk']:.0f}"),
    ("add one chunk, committed, p50 / p99 ms", lambda r: f"{r['add_p50_ms']:.2f} / {r['add_p99_ms']:.1f}"),
    ("remove a document of about 100 chunks, p50 ms", lambda r: f"{r['remove_p50_ms']:.1f}"),
    ("build, s", lambda r: f"{r['build_s']:.0f}"),
    ("build, chunks/s", lambda r: f"{r['chunks_per_s']:,.0f}"),
    ("build, peak memory of all processes, MB", lambda r: f"{r['build_peak_mb']:.0f}"),
    ("p50 after the adds and removes, times fresh", lambda r: f"{r['changed_ratio']:.2f}"),
)


def table(results: Results) -> str:
    """A Markdown table, measures down, engines across."""
    engines = list(results)
    lines = [
        "| | " + " | ".join(NAMES[engine] for engine in engines) + " |",
        "|---" * (len(engines) + 1) + "|",
    ]
    lines += [
        f"| {label} | " + " | ".join(_cell(show, results[engine]) for engine in engines) + " |"
        for label, show in ROWS
    ]
    for ours in ("ragchat", "ragchat_full"):
        if ours in results:
            cells = [_ratio_cell(results, ours, engine) for engine in engines]
            lines.append(f"| p50 of {NAMES[ours]} / p50 of this | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(show: Callable[[Mapping[str, Any]], str], result: Mapping[str, Any]) -> str:
    try:
        return show(result)
    except KeyError:
        return "-"


def _ratio_cell(results: Results, ours: str, engine: str) -> str:
    found = ratio(results, ours, engine) if engine != ours else None
    return "" if found is None else f"{found:.3f}" if found < 0.1 else f"{found:.2f}"


@dataclass(frozen=True, slots=True)
class Target:
    """`value` gives what was measured, or None. It is met at most `limit`, or at least if `at_least`."""

    label: str
    limit: float
    value: Callable[[Results], float | None]
    at_least: bool = False


def _own(measure: str) -> Callable[[Results], float | None]:
    return lambda results: results.get("ragchat", {}).get(measure)


def _against(peer: str, place: int = 0) -> Callable[[Results], float | None]:
    return lambda results: ratio(results, "ragchat", peer, place)


def targets(chunks: int) -> Sequence[Target]:
    """Those of the issue for this size."""
    large = chunks >= LARGE

    def at(small_limit: float, large_limit: float) -> float:
        return large_limit if large else small_limit

    speed = (
        [
            Target("query p50, times tantivy", 1.2, _against("tantivy")),
            Target("query p50, times tantivy with stop words kept", 1.2, _against("tantivy_all_words")),
            Target("query p50, times bm25s", 0.6, _against("bm25s")),
            Target("query p50, times FTS5", 0.01, _against("fts5")),
            Target("query p99, times tantivy", 1.2, _against("tantivy", 1)),
        ]
        if large
        else [Target("query p50, times bm25s", 1.0, _against("bm25s"))]
    )
    return [
        *speed,
        Target("query p99, ms", at(10, 16), _own("p99_ms")),
        Target("fresh process, open to first answer, s", at(0.12, 0.15), _own("first_answer_s")),
        Target("resident memory beyond Python and numpy, MB", at(60, 160), _own("memory_mb")),
        Target("index bytes per chunk, without the text", at(300, 260), _own("bytes_per_chunk")),
        Target("add one chunk, committed, ms", at(3, 5), _own("add_p50_ms")),
        Target("remove a document of 100 chunks, ms", at(20, 30), _own("remove_p50_ms")),
        Target("build, chunks/s", at(12_000, 10_000), _own("chunks_per_s"), at_least=True),
        *([Target("build, peak MB", 500, _own("build_peak_mb"))] if large else []),
        Target("p50 after 10,000 adds and 1,000 removes, times fresh", 1.2, _own("changed_ratio")),
    ]


def verdicts(results: Results, chunks: int) -> list[dict[str, Any]]:
    """Each target with what was measured; `met` is None where it was not."""
    found = []
    for target in targets(chunks):
        value = target.value(results)
        met = None if value is None else value >= target.limit if target.at_least else value <= target.limit
        found.append(
            {
                "target": target.label,
                "limit": target.limit,
                "at_least": target.at_least,
                "value": value,
                "met": met,
            }
        )
    return found


def verdict_table(found: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| ragchat, plain BM25 | target | measured | |", "|---|---|---|---|"]
    for row in found:
        sign = "≥" if row["at_least"] else "≤"
        value = "not measured" if row["value"] is None else f"{row['value']:,.4g}"
        word = {True: "met", False: "short", None: ""}[row["met"]]
        lines.append(f"| {row['target']} | {sign} {row['limit']:,g} | {value} | {word} |")
    return "\n".join(lines)
