"""Speed of ragchat's whole path against bare llama-cpp-python, in the same run, on the same model file.

    python benchmarks/generation.py [MODEL.gguf] [--rounds N]

Bare is `llama_cpp.Llama` with the same threads, batch and context, called with the same tokens, greedy. ragchat is measured
through everything a person's question goes through: the session, retrieval, packing, the pipe, the process, the store. The two
take turns, so that a busy machine troubles both alike; ratios are of medians. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.llm.loading import loaded
from ragchat.paths import Paths
from ragchat.session.chat import ChatSession
from ragchat.session.events import AnswerFinished, PromptReady
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, Sampling

ANSWER_TOKENS = 64
# Two texts that share no beginning, so that no prompt finds its prefix in a cache.
FILLER = "The {n}th river of the country rises in hill number {n}, flows past town {m} and joins the sea near port {k}. "
QUESTIONS = ("Where does the river rise?", "Which town does it flow past?", "Where does it join the sea?")


def bare(
    path: Path, threads: int, threads_batch: int, *, flash: bool, n_ctx: int
) -> Generator[tuple[float, float, float], list[int], None]:
    """Endless measurements of (prefill tok/s, decode tok/s, ttft s); the tokens of each come in by send()."""
    from llama_cpp import Llama

    llama = Llama(
        str(path),
        n_ctx=n_ctx,
        n_threads=threads,
        n_threads_batch=threads_batch,
        flash_attn=flash,
        verbose=False,
    )
    result = (0.0, 0.0, 0.0)
    while True:
        tokens = yield result
        llama.reset()
        started = time.perf_counter()
        first = written = 0.0
        for token in llama.generate(tokens, temp=0.0, repeat_penalty=1.0):
            llama.detokenize([token])
            first = first or time.perf_counter()
            written += 1
            if written == ANSWER_TOKENS or token == llama.token_eos():
                break
        ended = time.perf_counter()
        decode = (written - 1) / (ended - first) if written > 1 else 0.0
        result = (len(tokens) / (first - started), decode, first - started)


def prompt_text(seed: int, sentences: int) -> str:
    return "".join(
        FILLER.format(n=seed * 1000 + i, m=i * 7 + seed, k=i + 13 * seed) for i in range(sentences)
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="", help="a GGUF file (default: the default model)")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        context = Context(Paths.discover({"RAGCHAT_HOME": folder}), Settings())
        context.paths.create()
        path = build.library(context).resolve(arguments.model)
        model = build.model(context, str(path))
        ready = loaded(model)
        info = ready.info
        print(
            f"{info.description}, {info.n_threads}/{info.n_threads_batch} threads, flash attention {info.flash_attention}"
        )
        peer = bare(path, info.n_threads, info.n_threads_batch, flash=info.flash_attention, n_ctx=info.n_ctx)
        next(peer)
        from llama_cpp import Llama

        vocabulary = Llama(str(path), vocab_only=True, verbose=False)
        chats = ChatStore(context.paths.chat_database)
        greedy = Sampling(temperature=0, repeat_penalty=1.0, max_tokens=ANSWER_TOKENS)
        options = replace(build.ask_options(context), sampling=greedy)
        session = ChatSession(chats, model, [], options)
        ours, theirs = [], []
        for number in range(arguments.rounds):
            text = prompt_text(number, 22)
            prepared: PromptReady | None = None
            finished: AnswerFinished | None = None
            for event in session.ask(
                session.start("speed"), f"{text}\n\n{QUESTIONS[0]}", cancel=CancelToken()
            ):
                if isinstance(event, PromptReady):
                    prepared = event
                elif isinstance(event, AnswerFinished):
                    finished = event
            assert prepared
            assert finished
            timings = finished.timings
            ours.append((timings.prefill_tok_s, timings.decode_tok_s, timings.ttft_s))
            generation = chats.generation(finished.answer_id)
            assert generation
            tokens = vocabulary.tokenize(
                ready.render_prompt(generation.prompt).encode(), add_bos=False, special=True
            )
            theirs.append(peer.send(tokens))
        rag = rag_ttft(context, model, chats, options, folder=Path(folder))
        model.close()
    report = summary(ours, theirs)
    print(f"{'':22}{'ragchat':>10}{'bare':>10}{'ratio':>8}")
    for name, (mine, other, ratio) in report.items():
        print(f"{name:22}{mine:>10.2f}{other:>10.2f}{ratio:>8.3f}")
    print(
        f"first token of a RAG question: {rag['ttft_s']:.2f} s with {rag['prompt_tokens']:.0f} tokens,"
        f" {rag['retrieval_ms']:.1f} ms of it retrieval"
    )
    print(
        json.dumps(
            {
                "benchmark": "generation",
                "model": path.name,
                "ratios": {name: round(ratio, 4) for name, (_, _, ratio) in report.items()},
                "ragchat": {name: round(mine, 3) for name, (mine, _, _) in report.items()},
                "rag": rag,
            }
        )
    )


def rag_ttft(
    context: Context, model: object, chats: ChatStore, options: object, *, folder: Path
) -> dict[str, float]:
    """Time from the question to the first text over a small knowledge base, median of the questions; nothing prepared."""
    from ragchat.ingest.sync import sync

    source = folder / "rivers"
    source.mkdir()
    for number in range(30):
        (source / f"river-{number}.md").write_text(f"# River {number}\n\n{prompt_text(number, 12)}", "utf-8")
    found = []
    with KnowledgeStore.create(context.paths.kb_dir, "rivers") as store:
        for _ in sync(store, build.ingest_options(context), cancel=CancelToken(), add=[source]):
            pass
        session = ChatSession(chats, model, [store], options)  # type: ignore[arg-type]
        for number, question in enumerate(QUESTIONS):
            asked = f"River {number * 7}: {question}"
            for event in session.ask(session.start(asked), asked, cancel=CancelToken()):
                if isinstance(event, AnswerFinished):
                    found.append(event.timings)
    return {
        "ttft_s": round(statistics.median(t.ttft_s for t in found), 3),
        "prompt_tokens": statistics.median(t.prompt_tokens for t in found),
        "retrieval_ms": round(1000 * statistics.median(t.retrieval_s for t in found), 2),
    }


def summary(
    ours: list[tuple[float, float, float]], theirs: list[tuple[float, float, float]]
) -> dict[str, tuple[float, float, float]]:
    """Medians of both and the ratio, by measure."""
    found = {}
    for column, name in enumerate(("prefill_tok_s", "decode_tok_s")):
        mine = statistics.median(row[column] for row in ours)
        other = statistics.median(row[column] for row in theirs)
        found[name] = (mine, other, mine / other)
    return found


if __name__ == "__main__":
    main()
