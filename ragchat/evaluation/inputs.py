"""All that the figures of a run depend on, by name, so that a verdict can be told from one whose inputs have changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ragchat.evaluation.question_sets import Asked
from ragchat.retrieval import quoting
from ragchat.retrieval.index import VERSION as INDEX_VERSION
from ragchat.session import answerability, citations, prompt, rewriting, statements
from ragchat.session.chat import AskOptions
from ragchat.session.rewriting import Rewriting
from ragchat.text import clean_line

NAMES = {
    "model": "the model",
    "adapter": "the adapter",
    "documents": "the documents",
    "embedding": "the embedding model",
    "vectors": "the number of embedded chunks",
    "prompt": "the prompt",
    "settings": "the settings",
    "checks": "how answers are checked",
    "questions": "the questions",
    "arms": "the configurations",
}
"""What each input is called."""
WORDS_ALONE = ("none", "")
"""The embedding model of a search that has none."""
_CHECKS = {"quoting": quoting, "statements": statements, "answerability": answerability}
"""What decides which quotes, verdicts and refusals an answer from documents has; each has a REVISION."""
_BEFORE: Mapping[str, Any] = {"embedding": list(WORDS_ALONE), "vectors": {}, "checks": {}}
"""Inputs that runs of earlier versions do not have, as they were then."""


def collect(  # noqa: PLR0913
    *,
    model: tuple[str, str],
    adapters: Mapping[str, str],
    documents: Mapping[str, str],
    options: AskOptions,
    questions: Sequence[Asked],
    arms: Sequence[str],
    context: Mapping[str, object],
    embedding: tuple[str, str] = WORDS_ALONE,
    vectors: Mapping[str, float | None] | None = None,
) -> dict[str, Any]:
    """The inputs of a run. `model` is (name, SHA-256), `adapters` SHA-256 by name, `documents` hash of the contents by name,
    `context` is what the model is loaded with. `embedding` is (name, fingerprint) of the model that has a say in the search,
    `vectors` how much of each knowledge base it has embedded (`evaluation.vectors.shares`).
    """
    sampling = asdict(options.sampling)
    return {
        "model": list(model),
        "adapter": dict(adapters),
        "documents": dict(documents),
        "embedding": list(embedding),
        "vectors": dict(vectors or {}),
        "prompt": prompt_revision(options.instructions),
        "settings": {
            **{name: value for name, value in sampling.items() if value is not None},
            "k": options.k,
            "passages": options.passages,
            "passage_share": options.passage_share,
            "min_match": options.min_match,
            "min_confidence": options.min_confidence,
            "ranking": asdict(options.ranking),
            "strict": options.strict,
            "thinking": options.thinking,
            "packings": {key: asdict(way) for key, way in sorted(options.packings.items())},
            **_rewriting(options.rewriting),
            **({} if options.own == answerability.AS_SHIPPED else {"answerability": asdict(options.own)}),
            "index": INDEX_VERSION,
            "citing": citations.REVISION,
            **context,
        },
        "checks": checks() if documents else {},
        "questions": _hash(
            [(q.id, q.question, q.answers, q.sources, q.tags, q.answerable) for q in questions]
        ),
        "arms": list(arms),
    }


def checks() -> dict[str, int]:
    """The revision of each rule by which answers from documents are quoted and checked, by its name."""
    return {name: int(getattr(module, "REVISION", 0)) for name, module in _CHECKS.items()}


def _rewriting(chosen: Rewriting) -> dict[str, object]:
    """Nothing while it is off, as in runs of before there was such a setting."""
    if chosen.choice == "off":
        return {}
    return {"rewrite": [chosen.choice, rewriting.REVISION, dict(chosen.measured)]}


def prompt_revision(instructions: str = "") -> str:
    """Of every wording that ragchat puts into prompts, and of your own instructions."""
    return _hash([prompt.REVISION, prompt.PLAIN_INSTRUCTIONS, dict(prompt.WORDINGS), instructions])


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What is not as it was, in words; `now` may hold some of the inputs only, and those alone are compared."""
    found = []
    for name, value in now.items():
        if name not in NAMES:
            continue
        was = before.get(name, _BEFORE.get(name))
        if _plain(was) != _plain(value):
            found.append(
                f"{NAMES.get(name, name)} ({_told(name, was, value)})"
                if _told(name, was, value)
                else NAMES.get(name, name)
            )
    return found


def _told(name: str, was: Any, value: Any) -> str:
    """What exactly, where that says something."""
    if (
        name in ("model", "embedding")
        and isinstance(was, list)
        and isinstance(value, list)
        and was[:1] != value[:1]
    ):
        return clean_line(f"{was[0]} → {value[0]}", limit=80)
    if (
        name in ("documents", "adapter", "settings", "checks")
        and isinstance(was, dict)
        and isinstance(value, dict)
    ):
        keys = [key for key in sorted({*was, *value}) if _plain(was.get(key)) != _plain(value.get(key))]
        return clean_line(", ".join(keys), limit=80)
    if name == "vectors" and isinstance(was, dict) and isinstance(value, dict):
        return clean_line(grown(was, value), limit=80)
    return ""


def same(one: Mapping[str, Any], other: Mapping[str, Any], *, apart_from: Sequence[str] = ()) -> bool:
    """Whether two runs depend on the same, but for some inputs."""
    left, right = (
        {name: value for name, value in each.items() if name not in apart_from} for each in (one, other)
    )
    return _plain(left) == _plain(right)


def grown(was: Mapping[str, float | None], now: Mapping[str, float | None]) -> str:
    """How much of each knowledge base was embedded and is now, where that has changed: "notes 25 % → 100 %"."""
    names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    return ", ".join(f"{name} {_share(was.get(name))} → {_share(now.get(name))}" for name in names)


def _share(value: float | None) -> str:
    return "off" if value is None else f"{value * 100:.0f} %"


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)


def _hash(value: Any) -> str:
    return hashlib.sha256(_plain(value).encode()).hexdigest()[:16]
