"""Search by meaning: how fast chunks are embedded, what that needs, and how long an exact search over all vectors takes.

    python benchmarks/embedding.py KNOWLEDGE_BASE.db [--model FILE.gguf] [--chunks 2000] [--sizes 10000,100000] [--threads N]

The knowledge base is copied; without one only searches are timed. `--chunks` of it are embedded for real, as in the background,
and the time for all of them and for 50,000 is extrapolated from that; "CPU" is what a chunk takes of one core, also while others
work. Searches run over random int8 vectors of `--dimensions`, which cost what others cost; "read" is reading all of them from
their file, as the first search of a session does. Memory is resident memory of the process. Ends with a JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from ragchat.ingest.embedding import EmbeddingFinished, embed
from ragchat.llm.embedding.client import EmbeddingProcess
from ragchat.retrieval.vectors import MeaningIndex, passage_text, quantise
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import human_bytes, human_seconds
from ragchat.types import CancelToken
from ragchat.types.embedding import EmbeddingModel

DEFAULT_MODEL = Path(__file__).parents[1] / "models" / "all-MiniLM-L6-v2.Q8_0.gguf"
_EXTRAPOLATED = 50_000
_QUERIES = 30
_PROCESS = psutil.Process()


def embedding(file: Path, model: Path, chunks: int, threads: int, folder: Path) -> dict[str, Any]:
    """Embed some chunks of a copy of a knowledge base for real."""
    shutil.copy(file, folder / "copy.db")
    with (
        contextlib.closing(EmbeddingProcess(model, log=folder / "log", threads=threads)) as embedder,
        KnowledgeStore.open(folder, "copy") as store,
    ):
        store.vectors.forget()
        began = time.perf_counter()
        embedder.start()
        started_s = time.perf_counter() - began
        errors = quantisation_errors(store, embedder)
        finished, memory = None, 0
        cpu_before = cpu_seconds(embedder)
        for event in embed(store, embedder, cancel=CancelToken(), most=chunks):
            if embedder.pid:
                memory = max(memory, psutil.Process(embedder.pid).memory_info().rss)
            if isinstance(event, EmbeddingFinished):
                finished = event
        assert finished
        cpu_s = cpu_seconds(embedder) - cpu_before
        sizes = [
            len(one.text)
            for one in store.vectors.texts(store.vectors.after(embedder.model).chunk_ids.tolist())
        ]
        queries = []
        for number in range(_QUERIES):
            began = time.perf_counter()
            embedder.embed_query(f"how do I change setting number {number} of the server")
            queries.append((time.perf_counter() - began) * 1000)
    speed = finished.made / finished.seconds
    return {
        "model": embedder.model.name,
        "threads": embedder._threads,
        "start_s": round(started_s, 2),
        "chunks": finished.made,
        "mean_characters": round(statistics.mean(sizes)) if sizes else 0,
        "seconds": round(finished.seconds, 1),
        "chunks_per_s": round(speed, 2),
        "cpu_ms_per_chunk": round(cpu_s / max(1, finished.made) * 1000, 1),
        "all_chunks": finished.total,
        "all_s": round(finished.total / speed),
        f"{_EXTRAPOLATED}_s": round(_EXTRAPOLATED / speed),
        "process_mib": memory >> 20,
        "query_ms": round(statistics.median(queries), 1),
        "quantisation_error_mean": round(float(errors.mean()), 5),
        "quantisation_error_max": round(float(errors.max()), 5),
    }


def cpu_seconds(embedder: EmbeddingProcess) -> float:
    """What the model's process has computed so far, of all cores together."""
    used = psutil.Process(embedder.pid).cpu_times()
    return used.user + used.system


def quantisation_errors(store: KnowledgeStore, embedder: EmbeddingProcess) -> np.ndarray:
    """How much int8 changes cosines between real passages."""
    from ragchat.retrieval.vectors import cosines

    texts = store.vectors.missing(embedder.model, 40)
    exact = embedder.embed_passages([passage_text(one.title, one.heading, one.text) for one in texts])
    return np.stack([np.abs(cosines(one, quantise(exact)) - exact @ one) for one in exact])


def searching(size: int, dimensions: int, folder: Path) -> dict[str, Any]:
    """Exact search over random vectors that lie in a file as those of a knowledge base do."""
    model = EmbeddingModel("random", "random", dimensions, 256)
    random = np.random.default_rng(0)
    with KnowledgeStore.create(folder, f"random-{size}") as store:
        _fill(store.path, model, size, random)
        before = _PROCESS.memory_info().rss
        index = MeaningIndex([store], model)
        query = random.standard_normal(dimensions).astype(np.float32)
        query /= np.linalg.norm(query)
        began = time.perf_counter()
        index.nearest(query, 50)
        read_s = time.perf_counter() - began
        memory = _PROCESS.memory_info().rss - before
        times = []
        for _ in range(_QUERIES):
            began = time.perf_counter()
            index.nearest(query, 50)
            times.append((time.perf_counter() - began) * 1000)
        return {
            "vectors": size,
            "file_bytes_each": round(store.path.stat().st_size / size),
            "read_ms": round(read_s * 1000),
            "search_ms": round(statistics.median(times), 2),
            "search_ms_best": round(min(times), 2),
            "memory_mib": memory >> 20,
        }


def _fill(path: Path, model: EmbeddingModel, size: int, random: np.random.Generator) -> None:
    """Rows as `store.vectors` writes them, without their chunks: only their number counts here."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO embedding_models VALUES (1, ?, ?, ?)",
            (model.fingerprint, model.name, model.dimensions),
        )
        for first in range(0, size, 10_000):
            made = random.integers(-90, 91, (min(10_000, size - first), model.dimensions), np.int8)
            connection.executemany(
                "INSERT INTO vectors VALUES (?, ?, 1, ?)",
                ((number, number, vector.tobytes()) for number, vector in enumerate(made, first + 1)),
            )
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def main() -> None:
    """Measure, print a card, and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", help="kb/NAME.db of a knowledge base")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--chunks", type=int, default=2000, help="that are embedded for real; 0: all")
    parser.add_argument(
        "--sizes", default="10000,100000", help="numbers of vectors that are searched; '': none"
    )
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    result: dict[str, Any] = {"benchmark": "embedding", "cores": os.cpu_count()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.file:
            made = embedding(arguments.file, arguments.model, arguments.chunks, arguments.threads, folder)
            result["embedding"] = made
            print(
                f"{made['model']}, {made['threads']} threads: {made['chunks']:,} chunks of {made['mean_characters']:,}"
                f" characters in {human_seconds(made['seconds'])}: {made['chunks_per_s']:.1f} chunks/s,"
                f" CPU {made['cpu_ms_per_chunk']:.0f} ms a chunk\n"
                f"  all {made['all_chunks']:,}: {human_seconds(made['all_s'])};"
                f" {_EXTRAPOLATED:,}: {human_seconds(made[f'{_EXTRAPOLATED}_s'])}\n"
                f"  start {made['start_s']:.2f} s, a question {made['query_ms']:.1f} ms, process {made['process_mib']:,} MiB\n"
                f"  int8 changes a cosine by {made['quantisation_error_mean']:.5f}, {made['quantisation_error_max']:.5f} at most"
            )
        result["searching"] = []
        for size in (int(part) for part in arguments.sizes.split(",") if part):
            found = searching(size, arguments.dimensions, folder)
            result["searching"].append(found)
            print(
                f"{size:>9,} vectors: search {found['search_ms']:.2f} ms (best {found['search_ms_best']:.2f}), read"
                f" {found['read_ms']:,} ms, memory {found['memory_mib']:,} MiB,"
                f" {human_bytes(found['file_bytes_each'])} a chunk in the file"
            )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
