"""Which passages are worth reading before a question is sent: what is ready at Enter, and what was read in vain, by policy.

    python benchmarks/preparing.py SET… [--home HOME --kb NAME] [--limit N] [--speed CHARACTERS_PER_S]

A SET is a folder with questions.jsonl and corpus/*.txt, or, with --home, a file of questions for the knowledge base NAME of that
RAGCHAT_HOME. Questions are typed by a seeded typist; at each pause the session searches and packs as it does on the screen, for a
small, a medium and a large model. No model is needed: a token counts as four characters, and reading takes as long as at the
rates below. Instructions and history are read before. Policies are compared on the questions with even numbers (fit) and
on those with odd ones (report). Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from typed_sessions import PAUSE_S, Key, keys

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.ingest.sync import sync
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.session import rewriting
from ragchat.session.chat import ChatSession
from ragchat.session.preparing import Plan, Typed
from ragchat.session.prompt import PackedPrompt
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Message, ReadAhead

CHARACTERS = 4
"""Of a token."""
LOOK_S = 0.06
"""From a pause to the first token that is read ahead."""
MODELS = {"1 quote": 10**8, "3 passages": 2 * 10**9, "5 passages": 4 * 10**9}
RATES = {"any speed": 10**9, "300 tokens/s": 300, "60 tokens/s": 60}


@dataclass(frozen=True)
class Look:
    """A pause at `at_s`, up to the key at `until_s`, in which the question as it was typed made this prompt."""

    at_s: float
    until_s: float
    packed: PackedPrompt


@dataclass
class Trace:
    """One question as it was typed."""

    looks: list[Look] = field(default_factory=list)
    enter_s: float = 0.0
    final: PackedPrompt | None = None


class Recorder(Plan):
    """Keeps the prompts that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.packed: PackedPrompt | None = None

    def beginning(self, packed: PackedPrompt) -> tuple[Message, ...]:
        self.packed = packed
        return packed.beginning(0)


def typed(question: str, rng: random.Random, speed: float) -> list[Key]:
    """Its keys, and Enter with the wait before it."""
    found = list(keys(question, rng, per_second=speed))
    return [*found, Key(rng.lognormvariate(-0.125, 0.5) / speed * 1.6, question)]


def trace(session: ChatSession, pressed: Sequence[Key]) -> Trace:
    """What the session finds at each pause."""
    found, now, text = Trace(), 0.0, ""
    for key in pressed:
        if key.wait_s > PAUSE_S and (packed := _packed(session, text)):
            found.looks.append(Look(now + PAUSE_S, now + key.wait_s, packed))
        now += key.wait_s
        text = key.text
    found.enter_s, found.final = now, _packed(session, text)
    return found


def _packed(session: ChatSession, text: str) -> PackedPrompt | None:
    recorder = Recorder()
    session.foresee(Typed(0, text), recorder, cancel=CancelToken())
    return recorder.packed


# --- policies -------------------------------------------------------------------------------------------


class FirstOnly(Plan):
    """The first passage at most."""

    def _stable(self) -> int:
        return min(1, super()._stable())


POLICIES: dict[str, Callable[[], Plan]] = {
    "nothing": lambda: Plan(most_tokens=0),
    "at once": lambda: Plan(pauses=1, most_tokens=10**9),
    "two pauses": lambda: Plan(pauses=2, most_tokens=10**9),
    "three pauses": lambda: Plan(pauses=3, most_tokens=10**9),
    "two pauses, first passage": lambda: FirstOnly(pauses=2, most_tokens=10**9),
    "two pauses, cap 1000": lambda: Plan(pauses=2, most_tokens=1000),
    "two pauses, cap 2000": lambda: Plan(pauses=2, most_tokens=2000),
    "two pauses, cap 3000": lambda: Plan(pauses=2, most_tokens=3000),
    "at once, cap 3000": lambda: Plan(pauses=1, most_tokens=3000),
}


@dataclass(frozen=True)
class Outcome:
    """Tokens of one question: of the prompt behind the instructions, those of them that are ready, and those read in vain.

    `reordered`: all passages that were read are in the prompt, in another order.
    """

    prompt: float
    ready: float
    vain: float
    reordered: bool


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(f"<{message.role}>{message.content}" for message in messages)


def _common(one: str, other: str) -> int:
    """Characters that both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _bare(pieces: Sequence[str]) -> list[str]:
    """Passages without their numbers."""
    return [piece.partition("] ")[2] for piece in pieces]


def simulate(found: Trace, plan: Plan, rate: float, *, goes_on: bool) -> Outcome:
    """`goes_on`: a key does not stop what is being read, the next pause does."""
    assert found.final
    final = _text(found.final.messages)
    head = len(_text(found.final.beginning(0)))
    memory, vain, wanted = final[:head], 0, ""
    ends = [*(look.at_s + LOOK_S for look in found.looks[1:]), found.enter_s]
    for look, end in zip(found.looks, ends, strict=True):
        wanted = _text(plan.beginning(look.packed))
        common = _common(memory, wanted)
        if common == len(wanted):
            continue
        seconds = (min(end, found.enter_s) if goes_on else look.until_s) - look.at_s - LOOK_S
        new = max(0, min(len(wanted) - common, int(seconds * rate * CHARACTERS)))
        if not new:
            continue
        vain += max(0, len(memory) - max(common, head))
        memory = wanted[: common + new]
        plan.note(ReadAhead(0, new // CHARACTERS, 0.0, done=True))
    ready = _common(memory, final)
    vain += max(0, len(memory) - max(ready, head))
    held, whole = _bare(found.looks[-1].packed.before if found.looks else ()), _bare(found.final.before)
    return Outcome(
        (len(final) - head) / CHARACTERS,
        max(0, ready - head) / CHARACTERS,
        vain / CHARACTERS,
        held != whole and sorted(held) == sorted(whole),
    )


# --- the run --------------------------------------------------------------------------------------------


def questions(path: Path, limit: int, seed: int) -> list[str]:
    lines = (path / "questions.jsonl" if path.is_dir() else path).read_text().splitlines()
    asked = [row["question"] for line in lines if (row := json.loads(line)).get("answerable", True)]
    random.Random(seed).shuffle(asked)
    return asked[:limit]


def traces(
    context: Context, name: str, asked: Sequence[str], speed: float, seed: int
) -> Iterator[tuple[str, Trace]]:
    options = replace(build.ask_options(context), rewriting=rewriting.OFF)
    for way, size in MODELS.items():
        model = FakeModel("", n_ctx=8192, n_params=size)
        list(model.load())
        rng = random.Random(seed)
        with build.chat_session(context, None, model, (name,), options) as session:
            for question in asked:
                found = trace(session, typed(question, rng, speed))
                if found.final and found.final.before:
                    yield way, found


def report(title: str, some: Sequence[tuple[str, Trace]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for way in MODELS:
        own = [found for name, found in some if name == way]
        if not own:
            continue
        looks = statistics.mean(len(found.looks) for found in own)
        print(f"\n{title}, {way}: {len(own)} questions, {looks:.1f} pauses")
        print(f"{'':27}" + "".join(f"{rate:>34}" for rate in RATES))
        print(f"{'':27}" + f"{'ready  whole  in vain  (goes on)':>34}" * len(RATES))
        for policy, make in POLICIES.items():
            line = ""
            for rate, per_s in RATES.items():
                stops, on = (
                    [simulate(found, make(), per_s, goes_on=goes_on) for found in own]
                    for goes_on in (False, True)
                )
                share, later = (
                    sum(o.ready for o in some) / sum(o.prompt for o in some) for some in (stops, on)
                )
                whole = sum(o.ready > 0.9 * o.prompt - 40 for o in stops) / len(stops)
                vain, vain_on = (statistics.mean(o.vain for o in some) for some in (stops, on))
                line += f"{share:10.2f} {whole:6.2f} {vain:5.0f}  ({later:.2f} {vain_on:4.0f})"
                result[f"{way}, {policy}, {rate}"] = {
                    "ready": round(share, 3), "whole": round(whole, 3), "in_vain": round(vain, 1),
                    "ready_going_on": round(later, 3), "in_vain_going_on": round(vain_on, 1),
                }  # fmt: skip
            print(f"{policy:27}{line}")
        tied = statistics.mean(simulate(found, Plan(), 1e9, goes_on=False).reordered for found in own)
        print(f"only the order of the last pause's passages differs: {tied:.3f}")
        result[f"{way}, reordered"] = round(tied, 4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--kb", default="set")
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--speed", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    found: list[tuple[str, Trace]] = []
    for path in arguments.sets:
        began = time.perf_counter()
        asked = questions(path, arguments.limit, arguments.seed)
        with tempfile.TemporaryDirectory() as folder:
            home = arguments.home or Path(folder)
            context = Context(Paths.discover({"RAGCHAT_HOME": str(home)}), Settings())
            context.paths.create()
            if not arguments.home:
                with KnowledgeStore.create(context.paths.kb_dir, arguments.kb) as store:
                    texts = sorted((path / "corpus").glob("*.txt"))
                    for _ in sync(store, build.ingest_options(context), cancel=CancelToken(), add=texts):
                        pass
            own = list(traces(context, arguments.kb, asked, arguments.speed, arguments.seed))
        print(f"{path.name}: {len(own)} traces in {time.perf_counter() - began:.0f} s", flush=True)
        report(path.name, own)
        found += own
    result = {name: report(f"all, {name}", found[half::2]) for half, name in enumerate(("fit", "report"))}
    print(json.dumps({"benchmark": "preparing", "speed": arguments.speed, **result}))


if __name__ == "__main__":
    main()
