"""The memory estimate against real loads, and the refusal of what does not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ragchat.errors import ModelTooLargeError
from ragchat.llm.catalogue import load_catalogue
from ragchat.llm.gguf import read_metadata
from ragchat.llm.memory import available_bytes, check_fits, estimate, largest_n_ctx
from tests.helpers.gguf_files import write_gguf

MIB = 1 << 20

# Fills the context and prints the peak of resident memory. Repacked weights would count twice (see memory.py).
LOAD = """
import json, sys
import llama_cpp as lib

path, n_ctx, n_batch, flash = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
lib.llama_backend_init()
model_params = lib.llama_model_default_params()
model_params.use_extra_bufts = False
model = lib.llama_model_load_from_file(path.encode(), model_params)
params = lib.llama_context_default_params()
params.n_ctx, params.n_batch, params.n_ubatch, params.flash_attn_type = n_ctx, n_batch, n_batch, flash
params.n_threads = params.n_threads_batch = 1
context = lib.llama_init_from_model(model, params)
batch = lib.llama_batch_init(n_batch, 0, 1)
for start in range(0, n_ctx, n_batch):
    batch.n_tokens = min(n_batch, n_ctx - start)
    for i in range(batch.n_tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = 100 + i, start + i, 1, 0
        batch.logits[i] = i == batch.n_tokens - 1
    assert lib.llama_decode(context, batch) == 0
with open("/proc/self/status") as status:
    print(json.dumps(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))))
"""


@pytest.mark.real_model
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("n_ctx", "n_batch", "flash"), [(512, 512, 0), (1024, 256, 0), (1024, 512, 1)])
def test_the_estimate_is_within_fifteen_per_cent_of_a_real_load(
    default_model: Path, n_ctx: int, n_batch: int, flash: int
) -> None:
    arguments = [str(default_model), str(n_ctx), str(n_batch), str(flash)]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *arguments], capture_output=True, timeout=120, check=True
    )
    measured = json.loads(done.stdout)
    estimated = estimate(read_metadata(default_model), n_ctx, n_batch, flash_attention=bool(flash)).total
    assert estimated == pytest.approx(measured, rel=0.15)


def test_every_part_is_what_the_formula_says(default_model: Path) -> None:
    metadata = read_metadata(default_model)
    parts = estimate(metadata, 4096)
    assert parts.kv == 2 * 4096 * 30 * 3 * (64 + 64) == 90 * MIB  # as llama.cpp itself reports it
    assert parts.weights == metadata.weights_bytes
    assert parts.compute == 512 * 4096 * (6 * 9 + 4) + 4 * 512 * (1536 + 576) + 4 * MIB
    assert parts.total == parts.weights + parts.kv + parts.compute + parts.process


def test_a_context_is_rounded_up_and_a_batch_is_no_longer_than_it(default_model: Path) -> None:
    metadata = read_metadata(default_model)
    assert estimate(metadata, 257) == estimate(metadata, 512)
    assert estimate(metadata, 256, 2048) == estimate(metadata, 256, 256)
    assert estimate(metadata, 4096, flash_attention=True).total < estimate(metadata, 4096).total


@pytest.mark.parametrize("n_ctx", [256, 1024, 4096, 7936])
def test_the_largest_context_fits_exactly(default_model: Path, n_ctx: int) -> None:
    metadata = read_metadata(default_model)
    enough = estimate(metadata, n_ctx).total
    assert largest_n_ctx(metadata, enough) == n_ctx
    assert largest_n_ctx(metadata, enough - 1) == n_ctx - 256


def test_the_largest_context_is_never_beyond_the_trained_one(default_model: Path, tmp_path: Path) -> None:
    assert largest_n_ctx(read_metadata(default_model), 1 << 50) == 8192
    assert largest_n_ctx(read_metadata(default_model), 0) == 0
    short = read_metadata(write_gguf(tmp_path / "short.gguf", n_ctx=100))
    assert largest_n_ctx(short, 1 << 40) == 100
    assert largest_n_ctx(short, 0) == 0


def test_what_does_not_fit_is_refused_with_the_largest_context_that_does(default_model: Path) -> None:
    metadata = read_metadata(default_model)
    free = estimate(metadata, 2048).total
    assert check_fits(metadata, 2048, free).total == free
    with pytest.raises(ModelTooLargeError, match="8192 tokens of context") as caught:
        check_fits(metadata, 8192, free)
    assert caught.value.largest_n_ctx == 2048
    assert "2048" in caught.value.remedy
    check_fits(metadata, caught.value.largest_n_ctx, free)


def test_what_fits_with_no_context_says_so(default_model: Path) -> None:
    with pytest.raises(ModelTooLargeError) as caught:
        check_fits(read_metadata(default_model), 512, 50 * MIB)
    assert caught.value.largest_n_ctx == 0
    assert "smaller model" in caught.value.remedy


def test_free_memory_is_a_plausible_number() -> None:
    assert 16 * MIB < available_bytes() < 1 << 50


def test_the_catalogue_estimates_its_default_as_the_file_itself_does(default_model: Path) -> None:
    entry = load_catalogue()[0]
    from_file = estimate(read_metadata(default_model), 4096).total
    assert estimate(entry, 4096).total == pytest.approx(from_file, rel=0.01)
