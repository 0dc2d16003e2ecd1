"""From Enter to the first token, beside two peers with the same model file, threads and prompts, in the same run.

    python benchmarks/first_token.py SET [--model FILE.gguf] [--chats N] [--passages N] [--without PARTS]

SET is a folder with questions.jsonl and corpus/*.txt. A seeded typist asks through the real session and the real inference
process: first questions, follow-ups about the same documents, a return to an earlier chat, the program started again, and a
question that is pasted and sent at once. Peers are bare llama-cpp-python, which keeps the beginning that two prompts in a row
share, and the engine of llama-server (package xllamacpp, extra `bench`) with its prompt cache, which chooses flash attention
itself. They get the tokens of the very prompts, are not charged for retrieval, and are not started again at a restart. After each
answer it is asked again from an empty cache: it must be the same.

PARTS are of: typing, idle, snapshots, lookup, settings, with commas between; these are switched off. Without settings nothing is
measured at the first load: all cores, no flash attention, no lookup. What each question took goes to stderr as it comes; ends
with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
from typed_sessions import Typist

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.app.documents import Documents
from ragchat.app.preferences import Preferences
from ragchat.config import Settings
from ragchat.ingest.sync import sync
from ragchat.llm.client import InferenceClient
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, PromptReady, QuotesFound
from ragchat.session.packing import Packing, model_key
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Message, Sampling, TextDelta

ANSWER_TOKENS = 24
FLUSH = [Message("user", "Hi")]
SCENARIOS = ("first question", "follow-up", "chat switch", "restart", "pasted")


# --- peers ------------------------------------------------------------------------------------------------


def bare(path: str, n_ctx: int, threads: tuple[int, int], *, flash: bool, pipe: Connection) -> None:
    """llama-cpp-python: tokens in, (seconds to the first token, seconds to the last, tokens) out."""
    from llama_cpp import Llama

    llama = Llama(
        path, n_ctx=n_ctx, n_threads=threads[0], n_threads_batch=threads[1], flash_attn=flash, verbose=False
    )
    pipe.send("ready")
    while (tokens := pipe.recv()) is not None:
        started = time.perf_counter()
        first, said = 0.0, 0
        for token in llama.generate(tokens, temp=0.0, repeat_penalty=1.0):
            first = first or time.perf_counter() - started
            said += 1
            if said == ANSWER_TOKENS or token == llama.token_eos():
                break
        pipe.send((first, time.perf_counter() - started, said))


def server(path: str, n_ctx: int, threads: tuple[int, int], *, flash: bool, pipe: Connection) -> None:
    """llama-server's engine, as `bare`."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = path
    params.n_ctx, params.n_parallel = n_ctx, 1
    params.cpuparams.n_threads, params.cpuparams_batch.n_threads = threads
    params.cache_prompt, params.verbosity, params.port = True, -1, 0
    running = Server(params)
    pipe.send("ready")
    while (tokens := pipe.recv()) is not None:
        body = {
            "prompt": tokens, "n_predict": ANSWER_TOKENS, "temperature": 0, "repeat_penalty": 1.0,
            "cache_prompt": True, "stream": True,
        }  # fmt: skip
        request = urllib.request.Request(
            f"{running.listening_address}/completion",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        started = time.perf_counter()
        first, said = 0.0, 0
        with urllib.request.urlopen(request) as answer:
            for line in answer:
                if line.startswith(b"data: ") and not json.loads(line[6:]).get("stop"):
                    first = first or time.perf_counter() - started
                    said += 1
        pipe.send((first, time.perf_counter() - started, said))


class Peer:
    """One of the above in a process of its own."""

    def __init__(self, name: str, target: Any, *args: Any, flash: bool) -> None:
        self.name = name
        self._pipe, there = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(
            target=target, args=args, kwargs={"flash": flash, "pipe": there}, daemon=True
        )
        self._process.start()
        if not self._pipe.poll(180):
            raise SystemExit(f"{name} did not start")
        self._pipe.recv()

    def answer(self, tokens: Sequence[int]) -> tuple[float, float]:
        self._pipe.send(list(tokens))
        first, last, _ = self._pipe.recv()
        return first, last

    @property
    def rss(self) -> int:
        return psutil.Process(self._process.pid).memory_info().rss

    def close(self) -> None:
        self._pipe.send(None)
        self._process.join(5)
        self._process.kill()


# --- ragchat ----------------------------------------------------------------------------------------------


@dataclass
class Row:
    """What one question took, by engine; `read` tokens after Enter."""

    scenario: str
    first: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    prompt: int = 0
    read: int = 0
    ahead: int = 0
    restored: int = 0
    wasted: int = 0
    wasted_s: float = 0.0
    quotes: float = 0.0
    same: bool | None = None


class Bench:
    def __init__(
        self, folder: Path, model: str, *, passages: int, off: frozenset[str], plain_format: str = ""
    ) -> None:
        self.off = off
        settings = replace_section(Settings(), plain_format=plain_format)
        if "snapshots" in off:
            settings = replace_section(settings, snapshots_mib=0)
        if "lookup" in off:
            settings = replace_section(settings, lookup="off")
        if "settings" in off:
            cores = os.cpu_count() or 1
            settings = replace_section(settings, threads=cores, threads_batch=cores, flash_attention="off")
        self.context = Context(Paths.discover({"RAGCHAT_HOME": str(folder)}), settings)
        self.context.paths.create()
        self.path = build.library(self.context).resolve(model)
        self.model = self._started()
        info = loaded(self.model).info
        self.info = info
        self.plain = InferenceClient(
            resolve=lambda _: self.path,
            check=build.check_model,
            options=replace(self.model._options, snapshots="", lookup="off"),
            log=folder / "plain.log",
            suspects_file=folder / "plain-suspects.json",
            profiles_file=self.context.paths.profiles_file,
        )
        loaded(self.plain)
        self.chats = ChatStore(self.context.paths.chat_database)
        sampling = Sampling(temperature=0, repeat_penalty=1.0, max_tokens=ANSWER_TOKENS)
        packings = {model_key(info): Packing(passages)} if passages else {}
        self.options: AskOptions = replace(
            build.ask_options(self.context), sampling=sampling, packings=packings
        )
        self.typist = Typist(self.session_of_thread)

    def _started(self) -> InferenceClient:
        model = build.model(self.context, str(self.path))
        loaded(model)
        return model

    def session(self) -> AbstractContextManager[ChatSession]:
        return build.chat_session(self.context, self.chats, self.model, ("set",), self.options)

    @contextmanager
    def session_of_thread(self) -> Iterator[ChatSession]:
        """For a thread beside: a connection of its own."""
        chats = ChatStore(self.context.paths.chat_database)
        try:
            with build.chat_session(self.context, chats, self.model, ("set",), self.options) as session:
                yield session
        finally:
            chats.close()

    def index(self, corpus: Sequence[Path]) -> None:
        with KnowledgeStore.create(self.context.paths.kb_dir, "set") as store:
            for _ in sync(store, build.ingest_options(self.context), cancel=CancelToken(), add=list(corpus)):
                pass
        for _ in Documents(Preferences(self.context)).embed("set", CancelToken(), lambda: ""):
            pass

    def restart(self) -> None:
        self.model.close()
        self.model = self._started()

    def ask(self, scenario: str, number: int, question: str, rng: random.Random, speed: float) -> Row:
        plan = None
        if scenario != "pasted" and "typing" not in self.off:
            plan = self.typist.type(number, question, rng, per_second=speed)
        row, said, started = Row(scenario), "", time.perf_counter()
        with self.session() as session:
            for event in session.ask(number, question, plan=plan, cancel=CancelToken()):
                match event:
                    case QuotesFound():
                        row.quotes = time.perf_counter() - started
                    case TextDelta():
                        row.first.setdefault("ragchat", time.perf_counter() - started)
                        said += event.text
                    case PromptReady():
                        row.prompt = event.prompt_tokens
                    case AnswerFinished():
                        row.last["ragchat"] = time.perf_counter() - started
                        self._note(row, event, said)
        if "idle" not in self.off:
            self.typist.rest(number)
        return row

    def _note(self, row: Row, event: AnswerFinished, said: str) -> None:
        timings = event.timings
        row.first.setdefault("ragchat", row.last["ragchat"])
        row.read = timings.prompt_tokens - timings.cached_tokens
        row.ahead, row.restored = timings.ahead_tokens, timings.restored_tokens
        row.wasted, row.wasted_s = timings.wasted_tokens, timings.wasted_cpu_s
        generation = self.chats.generation(event.answer_id)
        assert generation
        self.prompt, self.sampling, self.said = generation.prompt, generation.sampling, said

    def check(self, row: Row) -> None:
        """Ask the same again from an empty cache, without anything that is new here."""
        ready = loaded(self.plain)
        for _ in ready.generate(FLUSH, self.sampling, cancel=CancelToken()):
            pass
        started = time.perf_counter()
        text = ""
        for event in ready.generate(self.prompt, self.sampling, cancel=CancelToken()):
            if isinstance(event, TextDelta):
                row.first.setdefault("unprepared", time.perf_counter() - started)
                text += event.text
        row.last["unprepared"] = time.perf_counter() - started
        row.same = text.strip() == self.said.strip()

    def tokens(self) -> list[int]:
        """The prompt as tokens, for the peers."""
        ready = loaded(self.plain)
        sample = ready.encode([[*self.prompt, Message("assistant", "x")]])[0]
        return list(sample.tokens[: sample.answer_start])


def replace_section(settings: Settings, **values: object) -> Settings:
    import msgspec

    return msgspec.structs.replace(settings, model=msgspec.structs.replace(settings.model, **values))


# --- the run ----------------------------------------------------------------------------------------------


def questions(folder: Path, chats: int, seed: int) -> tuple[list[list[str]], list[Path]]:
    """For each chat, questions about one text, and the texts that are indexed."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for line in (folder / "questions.jsonl").read_text().splitlines():
        row = json.loads(line)
        source = next(iter(row.get("relevant", [])), "")
        if row.get("answerable", True) and source and len(row["question"]) < 110:
            by_text[source].append(row["question"])
    rng = random.Random(seed)
    chosen = [text for text in sorted(by_text) if len(by_text[text]) >= 4]
    rng.shuffle(chosen)
    corpus = sorted((folder / "corpus").glob("*.txt"))
    return [rng.sample(by_text[text], 4) for text in chosen[:chats]], corpus


def scenarios(asked: list[list[str]]) -> Iterator[tuple[str, int, str]]:
    """(scenario, which chat, question)."""
    for chat, own in enumerate(asked):
        yield "first question", chat, own[0]
        yield "follow-up", chat, own[1]
        if chat:
            yield "chat switch", chat - 1, asked[chat - 1][2]
    for chat, own in enumerate(asked):
        yield ("restart" if chat % 2 == 0 else "pasted"), chat, own[3]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("--model", default="")
    parser.add_argument("--chats", type=int, default=4)
    parser.add_argument("--passages", type=int, default=7, help="0: as ragchat packs for this model")
    parser.add_argument("--speed", type=float, default=4.0, help="characters per second")
    parser.add_argument("--without", default="", help="typing, idle, snapshots, lookup, settings")
    parser.add_argument("--plain-format", default="", help="of a base model, as `model.plain_format`")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-check", action="store_true", help="do not ask again from an empty cache")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.no_peers and arguments.no_check:
        parser.error("there is nothing to compare with")
    off = frozenset(filter(None, arguments.without.split(",")))
    rng = random.Random(arguments.seed)
    asked, corpus = questions(arguments.set, arguments.chats, arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder),
            arguments.model,
            passages=arguments.passages,
            off=off,
            plain_format=arguments.plain_format,
        )
        bench.index(corpus)
        info = bench.info
        threads = (info.n_threads, info.n_threads_batch)
        peers = []
        if not arguments.no_peers:
            where = (str(bench.path), info.n_ctx, threads)
            peers = [
                Peer("llama-cpp-python", bare, *where, flash=info.flash_attention),
                Peer("llama-server", server, *where, flash=info.flash_attention),
            ]
        numbers = [bench.chats.create_conversation(f"chat {n}").id for n, _ in enumerate(asked)]
        rows = []
        for scenario, chat, question in scenarios(asked):
            if scenario == "restart":
                bench.restart()
            if scenario in ("restart", "chat switch") and "idle" not in off:
                bench.typist.rest(numbers[chat])
            row = bench.ask(scenario, numbers[chat], question, rng, arguments.speed)
            tokens = bench.tokens()
            for peer in peers:
                row.first[peer.name], row.last[peer.name] = peer.answer(tokens)
            if not arguments.no_check:
                bench.check(row)
            rows.append(row)
            times = ", ".join(f"{name} {seconds:.3f}" for name, seconds in row.first.items())
            print(f"{len(rows)} {scenario}: {times} s, read {row.read} of {row.prompt}", file=sys.stderr)
        memory = {"ragchat": psutil.Process(bench.model.pid).memory_info().rss}
        memory |= {peer.name: peer.rss for peer in peers}
        report(rows, memory, bench, off)
        for peer in peers:
            peer.close()
        bench.model.close()
        bench.plain.close()


def report(rows: list[Row], memory: dict[str, int], bench: Bench, off: frozenset[str]) -> None:
    info = bench.info
    print(
        f"{info.name}, {info.n_threads}/{info.n_threads_batch} threads, flash attention {info.flash_attention};"
        f" without: {', '.join(sorted(off)) or 'nothing'}"
    )
    engines = [*dict.fromkeys(name for row in rows for name in row.first)]
    head = f"{'':16} {'n':>3} {'prompt':>7} {'read':>5}  " + "  ".join(f"{name:>18}" for name in engines)
    print(head + f"  {'of best peer':>14}\n{'':34}" + "  ".join(f"{'median     p95':>18}" for _ in engines))
    result: dict[str, Any] = {}
    for scenario in (*SCENARIOS, "all"):
        some = [row for row in rows if scenario in (row.scenario, "all")]
        if not some:
            continue
        times = {name: sorted(row.first[name] for row in some) for name in engines}
        middle = {name: statistics.median(values) for name, values in times.items()}
        late = {name: values[max(0, round(0.95 * len(values)) - 1)] for name, values in times.items()}
        others = [name for name in engines if name not in ("ragchat", "unprepared")] or ["unprepared"]
        ratios = [row.first["ragchat"] / min(row.first[name] for name in others) for row in some]
        ratio = middle["ragchat"] / min(middle[name] for name in others)
        late_ratio = late["ragchat"] / min(late[name] for name in others)
        read = statistics.median(row.read for row in some)
        print(
            f"{scenario:16} {len(some):3} {statistics.median(row.prompt for row in some):7.0f} {read:5.0f}  "
            + "  ".join(f"{middle[name]:8.3f}  {late[name]:8.3f}" for name in engines)
            + f"  {ratio:6.2f} {late_ratio:6.2f}"
        )
        result[scenario] = {
            "n": len(some), "median_s": middle, "p95_s": late, "ratio": ratio, "ratio_p95": late_ratio,
            "slower_than_peer": sum(ratio > 1 for ratio in ratios), "read": read,
            "last_s": {name: statistics.median(row.last[name] for row in some) for name in engines},
        }  # fmt: skip
    checked = [row.same for row in rows if row.same is not None]
    answers = sum(checked)
    wasted_s = statistics.mean(row.wasted_s for row in rows)
    print(
        f"the same answer as from an empty cache: {answers} of {len(checked)}; in vain per question:"
        f" {statistics.mean(row.wasted for row in rows):.0f} tokens, {wasted_s:.2f} s of processor time; quotes after"
        f" {statistics.median(row.quotes for row in rows):.3f} s; memory "
        + ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in memory.items())
    )
    print(
        json.dumps(
            {
                "benchmark": "first_token",
                "model": info.name,
                "without": sorted(off),
                "scenarios": result,
                "same": answers,
                "of": len(checked),
                "wasted_cpu_s": wasted_s,
                "memory": memory,
                "wasted_tokens": statistics.mean(row.wasted for row in rows),
            }
        )
    )


if __name__ == "__main__":
    main()
