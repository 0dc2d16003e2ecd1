"""Each architecture from GGUF to weights, one training step, GGUF LoRA and back into llama.cpp: logits equal torch's."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.tiny_models import ARCHITECTURES, make_tiny

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

from ragchat.errors import FinetuneError
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.gguf_lora import read_gguf_lora, read_peft, write_gguf_lora
from ragchat.finetune.merge import merge
from ragchat.finetune.recipe import EVERY_LINEAR
from ragchat.finetune.training.architectures import check_complete, correct_config, own_modules

pytestmark = pytest.mark.filterwarnings("ignore")  # those of torch and transformers

TOLERANCE = {"gemma3": 2e-2}
"""Largest difference of a logit, of logits that spread by 2. Measured: 4e-5; gemma3 4e-3, since ggml's GELU goes through a
table of float16 numbers."""
USUAL_TOLERANCE = 3e-4
TOKENS = [int(token) for token in np.random.default_rng(1).integers(8, 300, 40)]


@dataclass
class Trained:
    architecture: str
    path: Path
    adapter: Path
    original: Any
    tuned: Any
    base_logits: np.ndarray
    tuned_logits: np.ndarray


@pytest.fixture(scope="module", params=ARCHITECTURES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A tiny model, and a PEFT adapter after one large step of training."""
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / "tiny.gguf"
    original = make_tiny(request.param, path)
    model = load_weights(path)
    base_logits = torch_logits(model)
    tuned = train_one_step(model, own_modules(request.param, EVERY_LINEAR), folder / "peft")
    return Trained(request.param, path, folder / "peft", original, tuned, base_logits, torch_logits(tuned))


def load_weights(path: Path) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    base = BaseGguf(path)
    config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    correct_config(config, base)
    model, info = AutoModelForCausalLM.from_pretrained(
        path.parent,
        config=config,
        gguf_file=path.name,
        dtype=torch.float32,
        output_loading_info=True,
        attn_implementation="eager",
    )
    assert not info["missing_keys"]
    check_complete(base, model.state_dict())
    return model.eval()


def train_one_step(model: Any, targets: Sequence[str], folder: Path, **options: Any) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(3)
    tuned = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules=list(targets), **options))
    tokens = torch.tensor([TOKENS])
    optimizer = torch.optim.AdamW((p for p in tuned.parameters() if p.requires_grad), lr=0.05)
    tuned(tokens, labels=tokens).loss.backward()
    optimizer.step()
    tuned.save_pretrained(folder)
    return tuned.eval()


def torch_logits(model: Any) -> np.ndarray:
    import torch

    with torch.no_grad():
        return np.asarray(model(torch.tensor([TOKENS])).logits[0].numpy())


def llama_logits(path: Path, adapter: Path | None = None, scale: float = 1.0) -> np.ndarray:
    """Logits at every position, by llama.cpp with a float32 cache and without flash attention."""
    import llama_cpp as api

    model = api.llama_model_load_from_file(str(path).encode(), api.llama_model_default_params())
    assert model, "llama.cpp did not load the model"
    parameters = api.llama_context_default_params()
    parameters.n_ctx, parameters.n_threads, parameters.n_threads_batch = 256, 1, 1
    parameters.type_k = parameters.type_v = api.GGML_TYPE_F32
    parameters.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED
    context = api.llama_init_from_model(model, parameters)
    if adapter is not None:
        lora = api.llama_adapter_lora_init(model, str(adapter).encode())
        assert lora, "llama.cpp did not load the adapter"
        pointers, scales = (api.llama_adapter_lora_p_ctypes * 1)(lora), (ctypes.c_float * 1)(scale)
        assert api.llama_set_adapters_lora(context, pointers, 1, scales) == 0
    batch = api.llama_batch_init(len(TOKENS), 0, 1)
    batch.n_tokens = len(TOKENS)
    for place, token in enumerate(TOKENS):
        batch.token[place], batch.pos[place], batch.logits[place] = token, place, 1
        batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
    assert api.llama_decode(context, batch) == 0
    size = api.llama_vocab_n_tokens(api.llama_model_get_vocab(model))
    rows = [
        np.ctypeslib.as_array(api.llama_get_logits_ith(context, n), (size,)).copy()
        for n in range(len(TOKENS))
    ]
    api.llama_batch_free(batch)
    api.llama_free(context)
    api.llama_model_free(model)
    return np.stack(rows)


def furthest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def export(trained: Trained, target: Path) -> Path:
    base = BaseGguf(trained.path)
    write_gguf_lora(read_peft(trained.adapter, base), base, target, name="test", base_sha256="ab" * 32)
    return target


# --- the same numbers on both sides -----------------------------------------------------------------------


def test_weights_read_from_the_file_are_those_of_the_original(trained: Trained) -> None:
    assert furthest(trained.base_logits, torch_logits(trained.original)) < 1e-5


def test_llama_cpp_and_torch_agree_on_the_base(trained: Trained) -> None:
    tolerance = TOLERANCE.get(trained.architecture, USUAL_TOLERANCE)
    assert trained.base_logits.std() > 1
    assert furthest(llama_logits(trained.path), trained.base_logits) < tolerance


@pytest.mark.parametrize(
    ("architecture", "stretched"),
    [
        ("llama", "llama3"),
        ("llama", "linear"),
        ("qwen2", "linear"),
        ("gemma3", "linear"),
        ("phi3", "longrope"),
    ],
)
def test_a_stretched_context_is_read_as_llama_cpp_reads_it(
    architecture: str, stretched: str, tmp_path: Path
) -> None:
    original = torch_logits(make_tiny(architecture, tmp_path / "tiny.gguf", stretched=stretched))
    assert furthest(torch_logits(load_weights(tmp_path / "tiny.gguf")), original) < 1e-4
    tolerance = TOLERANCE.get(architecture, USUAL_TOLERANCE)
    assert furthest(llama_logits(tmp_path / "tiny.gguf"), original) < tolerance
    make_tiny(architecture, tmp_path / "plain.gguf")
    assert furthest(llama_logits(tmp_path / "plain.gguf"), original) > 10 * tolerance


def test_layers_that_phi3_has_fused_are_meant_by_the_names_of_their_parts() -> None:
    assert own_modules("phi3", EVERY_LINEAR) == ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
    assert own_modules("qwen3", EVERY_LINEAR) == EVERY_LINEAR


def test_what_cannot_be_trained_truthfully_is_refused_by_name(tmp_path: Path) -> None:
    make_tiny("qwen2", tmp_path / "tiny.gguf")
    base = BaseGguf(tmp_path / "tiny.gguf")
    base.value = lambda key, default=None: {"rope.scaling.type": "yarn"}.get(key, default)  # type: ignore[method-assign]
    with pytest.raises(FinetuneError, match="'yarn'"):
        correct_config(type("Config", (), {"rope_parameters": {"rope_theta": 1e4}})(), base)
    base = BaseGguf(tmp_path / "tiny.gguf")
    kept = [name for name in load_weights(tmp_path / "tiny.gguf").state_dict() if "q_proj.bias" not in name]
    with pytest.raises(FinetuneError, match=r"blk\.0\.attn_q\.bias"):
        check_complete(base, kept)


def test_llama_cpp_and_torch_agree_on_the_adapter(trained: Trained, tmp_path: Path) -> None:
    tolerance = TOLERANCE.get(trained.architecture, USUAL_TOLERANCE)
    adapter = export(trained, tmp_path / "adapter.gguf")
    # The step must change far more than the tolerance forgives, or the comparison would say nothing.
    assert furthest(trained.tuned_logits, trained.base_logits) > 50 * tolerance
    assert furthest(llama_logits(trained.path, adapter), trained.tuned_logits) < tolerance
    assert furthest(llama_logits(trained.path, adapter, scale=0.0), trained.base_logits) < tolerance


@pytest.mark.parametrize(
    "options",
    [
        {"use_rslora": True},
        {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 20, "layers.1.self_attn.k_proj": 3}},
        {"use_rslora": True, "rank_pattern": {"v_proj": 9}},
    ],
)
def test_other_scales_of_peft_are_the_same_in_llama_cpp(options: dict[str, Any], tmp_path: Path) -> None:
    make_tiny("llama", tmp_path / "tiny.gguf")
    tuned = train_one_step(load_weights(tmp_path / "tiny.gguf"), EVERY_LINEAR, tmp_path / "peft", **options)
    base = BaseGguf(tmp_path / "tiny.gguf")
    write_gguf_lora(read_peft(tmp_path / "peft", base), base, tmp_path / "a.gguf", name="test")
    found = llama_logits(tmp_path / "tiny.gguf", tmp_path / "a.gguf")
    assert furthest(found, torch_logits(tuned)) < USUAL_TOLERANCE


def test_an_exported_adapter_reads_back_as_it_was(trained: Trained, tmp_path: Path) -> None:
    base = BaseGguf(trained.path)
    written, read = (
        read_peft(trained.adapter, base),
        read_gguf_lora(export(trained, tmp_path / "a.gguf"), base),
    )
    assert (read.alpha, read.base_sha256, read.rank) == (8.0, "ab" * 32, 4)
    assert [pair.tensor for pair in read.pairs] == [pair.tensor for pair in written.pairs]
    for one, other in zip(written.pairs, read.pairs, strict=True):
        assert one.a.tobytes() == other.a.tobytes()
        assert one.b.tobytes() == other.b.tobytes()


def test_a_merged_model_answers_as_base_and_adapter_do(trained: Trained, tmp_path: Path) -> None:
    base = BaseGguf(trained.path)
    lora = read_peft(trained.adapter, base)
    merge(base, [(lora, 1.0)], tmp_path / "merged.gguf", name="Merged")
    merged = BaseGguf(tmp_path / "merged.gguf")
    assert (merged.summary.name, merged.summary.file_type, merged.architecture) == (
        "Merged",
        "F16",
        base.architecture,
    )
    # Effects of the adapter are several whole logits; float16 weights and activations cost hundredths.
    difference = furthest(llama_logits(tmp_path / "merged.gguf"), trained.tuned_logits)
    assert difference < 0.15
    assert furthest(trained.tuned_logits, trained.base_logits) > 50 * difference


def test_merged_weights_are_those_that_peft_merges(trained: Trained, tmp_path: Path) -> None:
    base = BaseGguf(trained.path)
    merge(base, [(read_peft(trained.adapter, base), 1.0)], tmp_path / "merged.gguf", name="Merged")
    expected = copy.deepcopy(trained.tuned).merge_and_unload().state_dict()
    found = load_weights(tmp_path / "merged.gguf").state_dict()
    assert set(found) == set(expected)
    for name, weights in expected.items():
        one, other = weights.numpy(), found[name].numpy()
        assert np.abs(one - other).max() <= np.abs(one).max() * 2**-11, (
            name
        )  # half a unit of float16's last place
