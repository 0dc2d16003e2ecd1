"""What the model says to general questions before it is trained, so that the training can hold on to it.

Its own words, not ours: whatever it can, it is to be able to afterwards. Made once per model file, by the model itself.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec

from ragchat.paths import write_atomically
from ragchat.session.prompt import PLAIN_INSTRUCTIONS
from ragchat.types import CancelToken, LoadedModel, Message, Sampling, TextDelta

REVISION = "1"
"""Changes with the questions and the sampling."""
_SAMPLING = Sampling(
    temperature=0.7, top_k=40, top_p=0.95, min_p=0.05, repeat_penalty=1.1, seed=1, max_tokens=96
)


def chats(
    model: LoadedModel,
    sha256: str,
    cache: Path,
    *,
    cancel: CancelToken,
    most: int = 0,
    on_progress: Callable[[float], None] = lambda _: None,
) -> list[tuple[Message, ...]]:
    """General questions with the answers of a model without adapters; about two seconds each for a small model, the first time.

    At most `most` of them (0: all). Answers are kept, after a cancel too, which gives none. Raises ModelError.
    """
    with resources.files(__package__).joinpath("rehearsal.toml").open("rb") as file:
        asked: list[str] = tomllib.load(file)["ask"]
    path = cache / f"{sha256[:16]}-{REVISION}.json"
    try:
        answers = msgspec.json.decode(path.read_bytes(), type=list[str])
    except (OSError, msgspec.DecodeError):
        answers = []
    asked = asked[:most] if most else asked
    known = len(answers)
    for done, question in enumerate(asked[len(answers) :], len(answers) + 1):
        answer = _answer(model, question, cancel)
        if cancel.cancelled:
            break
        answers.append(answer)
        on_progress(done / len(asked))
    if len(answers) > known:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, msgspec.json.encode(answers))
    if cancel.cancelled:
        return []
    return [
        (*_prompt(question), Message("assistant", answer))
        for question, answer in zip(asked, answers, strict=False)
        if answer
    ]


def _prompt(question: str) -> tuple[Message, ...]:
    return Message("system", PLAIN_INSTRUCTIONS), Message("user", question)


def _answer(model: LoadedModel, question: str, cancel: CancelToken) -> str:
    events = model.generate(_prompt(question), _SAMPLING, cancel=cancel)
    return "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
