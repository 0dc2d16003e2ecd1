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
from collections.abc import Iterator, Sequence
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
from ragchat.types import CancelToken, Message

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


@dataclass(frozen=True)
class Policy:
    """Passages are read that `pauses` in a row (`by_word`: the last ones after so many words) found in their place.

    `keeps`: what is read stays in front as long as it is wanted. `most`: passages; `in_vain`: tokens, beyond which nothing more
    is read. `stops`: at each key, not only when something else is to be read.
    """

    pauses: int = 2
    by_word: bool = False
    keeps: bool = True
    most: int = 99
    in_vain: float = 1e9
    stops: bool = False


POLICIES = {
    "at once": Policy(1),
    "two pauses": Policy(2),
    "two pauses, stops at a key": Policy(2, stops=True),
    "two pauses, in rank order": Policy(2, keeps=False),
    "two words": Policy(2, by_word=True),
    "three pauses": Policy(3),
    "three pauses, in rank order": Policy(3, keeps=False),
    "three pauses, first passage": Policy(3, most=1),
    "three pauses, 500 in vain": Policy(3, in_vain=500),
    "three pauses, 1000 in vain": Policy(3, in_vain=1000),
    "three pauses, 2000 in vain": Policy(3, in_vain=2000),
    "four pauses": Policy(4),
}


@dataclass(frozen=True)
class Outcome:
    """Tokens of one question: of the prompt behind the instructions, those of them that are ready, and those read in vain.

    `reordered`: the prompt has its passages in another order than that of their rank; `other_first`: begins with another one.
    """

    prompt: float
    ready: float
    vain: float
    reordered: bool
    other_first: bool


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(f"<{message.role}>{message.content}" for message in messages)


def _common(one: str, other: str) -> int:
    """Characters that both begin with."""
    return next(
        (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _bare(packed: PackedPrompt) -> list[str]:
    """Passages without their numbers."""
    return [piece.partition("] ")[2] for piece in packed.before]


def _in_order(packed: PackedPrompt, order: Sequence[str]) -> PackedPrompt:
    """With what of `order` is wanted in front, up to the first that is not."""
    left, kept = _bare(packed), []
    for piece in order:
        if piece not in left:
            break
        left.remove(piece)
        kept.append(piece)
    before = tuple(f"[{n}] {piece}" for n, piece in enumerate([*kept, *left], 1))
    asked = packed.messages[-1].content.rpartition("Question:")[2]
    last = Message("user", "\n\n".join([*before, f"Question:{asked}"]))
    return replace(packed, before=before, messages=(*packed.messages[:-1], last))


class Simulated:
    """A policy at work on one question, and what the model holds of it."""

    def __init__(self, policy: Policy, head: str) -> None:
        self._policy, self._head, self.memory = policy, len(head), head
        self.vain = 0.0
        self.order: list[str] = []
        self._seen: list[tuple[int, tuple[str, ...]]] = []

    def pause(self, packed: PackedPrompt, characters: int) -> None:
        """Read at most so many."""
        if self._policy.keeps:
            packed = _in_order(packed, self.order)
        stable = self._stable(packed)
        if self.vain / CHARACTERS >= self._policy.in_vain:
            return
        wanted = _text(packed.beginning(stable))
        common = _common(self.memory, wanted)
        if common == len(wanted) or characters <= 0:
            return
        self.vain += max(0, len(self.memory) - max(common, self._head))
        self.memory = wanted[: common + characters]
        self.order = _bare(packed)[:stable]

    def _stable(self, packed: PackedPrompt) -> int:
        words = len(packed.messages[-1].content.rpartition("Question:")[2].split())
        if self._policy.by_word and self._seen and self._seen[-1][0] == words:
            self._seen.pop()
        self._seen = [*self._seen, (words, packed.before)][-self._policy.pauses :]
        lists = [before for _, before in self._seen]
        if len(lists) < self._policy.pauses:
            return 0
        same = 0
        while same < min(map(len, lists)) and len({before[same] for before in lists}) == 1:
            same += 1
        ends = len(set(map(len, lists))) == 1
        return min(self._policy.most, same if ends else min(same, len(packed.before) - 1))

    def enter(self, final: PackedPrompt) -> Outcome:
        asked = _in_order(final, self.order) if self._policy.keeps else final
        text = _text(asked.messages)
        ready = _common(self.memory, text)
        vain = self.vain + max(0, len(self.memory) - max(ready, self._head))
        mine, ranked = _bare(asked), _bare(final)
        return Outcome(
            (len(text) - self._head) / CHARACTERS,
            max(0, ready - self._head) / CHARACTERS,
            vain / CHARACTERS,
            mine != ranked,
            mine[:1] != ranked[:1],
        )


def simulate(found: Trace, policy: Policy, rate: float) -> Outcome:
    """What is ready at Enter where a model reads `rate` tokens/s."""
    assert found.final
    at_work = Simulated(policy, _text(found.final.beginning(0)))
    ends = [*(look.at_s + LOOK_S for look in found.looks[1:]), found.enter_s]
    for look, end in zip(found.looks, ends, strict=True):
        seconds = (look.until_s if policy.stops else min(end, found.enter_s)) - look.at_s - LOOK_S
        at_work.pause(look.packed, int(seconds * rate * CHARACTERS))
    return at_work.enter(found.final)


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
        tokens = statistics.mean(simulate(found, Policy(), 1).prompt for found in own)
        print(f"\n{title}, {way}: {len(own)} questions, {looks:.1f} pauses, {tokens:.0f} tokens")
        print(f"{'':28}" + "".join(f"{rate:>24}" for rate in RATES) + "   other order, first")
        print(f"{'':28}" + f"{'ready in vain    p95':>24}" * len(RATES))
        for name, policy in POLICIES.items():
            line = ""
            for rate, per_s in RATES.items():
                outcomes = [simulate(found, policy, per_s) for found in own]
                share = sum(one.ready for one in outcomes) / sum(one.prompt for one in outcomes)
                vain = sorted(one.vain for one in outcomes)
                late = vain[max(0, round(0.95 * len(vain)) - 1)]
                line += f"{share:10.2f} {statistics.mean(vain):6.0f} {late:6.0f}"
                result[f"{way}, {name}, {rate}"] = [
                    round(share, 3),
                    round(statistics.mean(vain)),
                    round(late),
                ]
            order = statistics.mean(one.reordered for one in outcomes)
            first = statistics.mean(one.other_first for one in outcomes)
            print(f"{name:28}{line}   {order:.2f} {first:.2f}")
            result[f"{way}, {name}, order"] = [round(order, 3), round(first, 3)]
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
