"""PEFT folders made by hand become GGUF LoRAs to the byte; what cannot be expressed is refused by name."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.tiny_models import make_tiny

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

import gguf
from safetensors.numpy import save_file

from ragchat.errors import AdapterError, FinetuneError, ModelFileError
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.gguf_lora import read_gguf_lora, read_peft, write_gguf_lora

pytestmark = pytest.mark.filterwarnings("ignore")  # those of torch and transformers

RANK = 2
Q = "base_model.model.model.layers.0.self_attn.q_proj"
DOWN = "base_model.model.model.layers.1.mlp.down_proj"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseGguf:
    """llama: 4 heads of 16, 2 of them for keys, width 64, feed-forward 96."""
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    make_tiny("llama", path)
    return BaseGguf(path)


def numbers(rows: int, columns: int) -> np.ndarray:
    return np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)


def plain() -> dict[str, np.ndarray]:
    return {f"{Q}.lora_A.weight": numbers(RANK, 64), f"{Q}.lora_B.weight": numbers(64, RANK)}


def peft(folder: Path, tensors: Mapping[str, np.ndarray] | None = None, **config: Any) -> Path:
    folder.mkdir(exist_ok=True)
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 4, "target_modules": ["q_proj"], **config}
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    save_file(dict(tensors or plain()), folder / "adapter_model.safetensors")
    return folder


def exported(folder: Path, base: BaseGguf, target: Path) -> gguf.GGUFReader:
    write_gguf_lora(read_peft(folder, base), base, target, name="hand-made")
    return gguf.GGUFReader(target)


# --- what is written --------------------------------------------------------------------------------------


def test_rows_of_q_are_permuted_and_nothing_else_is(base: BaseGguf, tmp_path: Path) -> None:
    tensors = {
        **plain(),
        f"{DOWN}.lora_A.weight": numbers(RANK, 96),
        f"{DOWN}.lora_B.weight": numbers(64, RANK),
    }
    reader = exported(peft(tmp_path / "peft", tensors), base, tmp_path / "adapter.gguf")
    found = {tensor.name: tensor.data for tensor in reader.tensors}
    assert list(found) == [
        "blk.0.attn_q.weight.lora_a",
        "blk.0.attn_q.weight.lora_b",
        "blk.1.ffn_down.weight.lora_a",
        "blk.1.ffn_down.weight.lora_b",
    ]
    # A head has 16 rows; row i of its first half is followed by row i of its second half.
    first_head = [0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15]
    expected = [16 * head + row for head in range(4) for row in first_head]
    assert found["blk.0.attn_q.weight.lora_b"].tobytes() == numbers(64, RANK)[expected].tobytes()
    assert found["blk.0.attn_q.weight.lora_a"].tobytes() == numbers(RANK, 64).tobytes()
    assert found["blk.1.ffn_down.weight.lora_a"].tobytes() == numbers(RANK, 96).tobytes()
    assert found["blk.1.ffn_down.weight.lora_b"].tobytes() == numbers(64, RANK).tobytes()


def test_keys_are_permuted_by_their_own_number_of_heads(base: BaseGguf, tmp_path: Path) -> None:
    k = Q.replace("q_proj", "k_proj")
    tensors = {f"{k}.lora_A.weight": numbers(RANK, 64), f"{k}.lora_B.weight": numbers(32, RANK)}
    reader = exported(peft(tmp_path / "peft", tensors), base, tmp_path / "adapter.gguf")
    rows = reader.tensors[1].data[:, 0] / RANK
    assert list(rows[:4]) == [0, 8, 1, 9]
    assert list(rows[16:20]) == [16, 24, 17, 25]


def test_metadata_is_what_llama_cpp_asks_for(base: BaseGguf, tmp_path: Path) -> None:
    fields = exported(peft(tmp_path / "peft"), base, tmp_path / "adapter.gguf").fields
    assert {key: fields[key].contents() for key in fields if not key.startswith("GGUF.")} == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": 4.0,
        "general.name": "hand-made",
        "general.file_type": 0,
        "general.license": "apache-2.0",
        "general.base_model.count": 1,
        "general.base_model.0.name": "Tiny llama",
    }
    assert fields["adapter.lora.alpha"].types == [gguf.GGUFValueType.FLOAT32]


def test_the_same_adapter_makes_the_same_file(base: BaseGguf, tmp_path: Path) -> None:
    folder = peft(
        tmp_path / "peft",
        {**plain(), f"{DOWN}.lora_A.weight": numbers(RANK, 96), f"{DOWN}.lora_B.weight": numbers(64, RANK)},
    )
    for name in ("one", "two"):
        exported(folder, base, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "peft", "two"]


@pytest.mark.parametrize(
    ("config", "alpha"),
    [({}, 4.0), ({"use_rslora": True}, 4.0 * 2**0.5), ({"alpha_pattern": {"q_proj": 16}}, 16.0)],
)
def test_alpha_gives_the_scale_that_peft_has(
    base: BaseGguf, tmp_path: Path, config: dict[str, Any], alpha: float
) -> None:
    lora = read_peft(peft(tmp_path / "peft", **config), base)
    assert lora.alpha == pytest.approx(alpha)
    assert lora.scale(lora.pairs[0]) == pytest.approx(alpha / RANK)


def test_scales_that_differ_go_into_the_weights(base: BaseGguf, tmp_path: Path) -> None:
    tensors = {
        **plain(),
        f"{DOWN}.lora_A.weight": numbers(RANK, 96),
        f"{DOWN}.lora_B.weight": numbers(64, RANK),
    }
    lora = read_peft(peft(tmp_path / "peft", tensors, alpha_pattern={"down_proj": 12}), base)
    q, down = lora.pairs
    assert lora.alpha == 4
    assert np.array_equal(down.b, 3 * numbers(64, RANK))
    assert sorted(q.b[:, 0]) == sorted(numbers(64, RANK)[:, 0])


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_half_precision_is_read(base: BaseGguf, tmp_path: Path, kind: str) -> None:
    folder = peft(tmp_path / "peft")
    arrays = {key: np.minimum(array, 120) for key, array in plain().items()}  # exact in eight bits
    header, data = {}, b""
    for key, array in arrays.items():
        raw = array.astype("<f2") if kind == "F16" else (array.view("<u4") >> 16).astype("<u2")
        header[key] = {
            "dtype": kind,
            "shape": array.shape,
            "data_offsets": [len(data), len(data) + raw.nbytes],
        }
        data += raw.tobytes()
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    pair = read_peft(folder, base).pairs[0]
    assert np.array_equal(pair.a, arrays[f"{Q}.lora_A.weight"])
    assert pair.a.dtype == pair.b.dtype == np.float32


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"lora_bias": True}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [1]}, "embeddings"),
        ({"layer_replication": [[0, 1]]}, "repeats layers"),
        ({"init_lora_weights": "pissa_niter_16"}, "changes the base"),
        ({"peft_type": "IA3"}, "not a LoRA"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "alpha_pattern"),
    ],
)
def test_a_configuration_that_a_gguf_cannot_hold_is_refused(
    base: BaseGguf, tmp_path: Path, config: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AdapterError, match=reason):
        read_peft(peft(tmp_path / "peft", **config), base)


def _with(key: str, array: np.ndarray) -> dict[str, np.ndarray]:
    return {**plain(), key: array}


_NAN = numbers(64, RANK)
_NAN[3, 1] = np.nan


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (_with("base_model.model.model.embed_tokens.lora_embedding_A", numbers(RANK, 320)), "embeddings"),
        (_with(f"{Q}.lora_magnitude_vector", numbers(1, 64)), "more than a LoRA"),
        (_with(f"{Q}.lora_B.bias", numbers(1, 64)), "more than a LoRA"),
        (_with("base_model.model.lm_head.weight", numbers(320, 64)), "more than a LoRA"),
        (_with("base_model.model.model.layers.9.mlp.up_proj.lora_A.weight", numbers(RANK, 64)), "no place"),
        (_with(f"{DOWN}.lora_A.weight", numbers(RANK, 96)), "one half"),
        (
            _with(f"{Q}.lora_B.weight", numbers(32, RANK)),
            "different shape: blk.0.attn_q.weight is 32 x 64 there and 64 x 64",
        ),
        (_with(f"{Q}.lora_B.weight", numbers(30, RANK)), "different shape"),
        (_with(f"{Q}.lora_B.weight", numbers(64, 3)), "do not match"),
        (_with(f"{Q}.lora_B.weight", _NAN), "NaN"),
        (
            {
                "base_model.model.lm_head.lora_A.weight": numbers(RANK, 64),
                "base_model.model.lm_head.lora_B.weight": numbers(320, RANK),
            },
            "output.weight, which llama.gguf does not have",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    base: BaseGguf, tmp_path: Path, tensors: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(AdapterError, match=reason):
        read_peft(peft(tmp_path / "peft", tensors), base)


def test_damaged_and_missing_files_are_refused(base: BaseGguf, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="not a PEFT adapter"):
        read_peft(tmp_path, base)
    folder = peft(tmp_path / "peft")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(AdapterError, match="damaged"):
        read_peft(folder, base)
    weights.unlink()
    with pytest.raises(AdapterError, match="contains no adapter_model"):
        read_peft(folder, base)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(AdapterError, match="cannot be read"):
        read_peft(folder, base)


def test_a_gguf_that_is_no_lora_for_this_base_is_refused(base: BaseGguf, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="its type is 'model'"):
        read_gguf_lora(base.path, base)
    make_tiny("qwen2", tmp_path / "qwen2.gguf")
    other = BaseGguf(tmp_path / "qwen2.gguf")
    write_gguf_lora(read_peft(peft(tmp_path / "peft"), other), other, tmp_path / "adapter.gguf", name="other")
    with pytest.raises(AdapterError, match=r"architecture 'qwen2', and llama\.gguf is 'llama'"):
        read_gguf_lora(tmp_path / "adapter.gguf", base)
    data = (tmp_path / "adapter.gguf").read_bytes()
    (tmp_path / "short.gguf").write_bytes(data[:-100])
    with pytest.raises(ModelFileError, match="incomplete"):
        read_gguf_lora(tmp_path / "short.gguf", other)


def test_an_architecture_that_cannot_be_trained_is_refused_by_name(tmp_path: Path) -> None:
    from tests.helpers.gguf_files import write_gguf

    falcon = BaseGguf(write_gguf(tmp_path / "falcon.gguf", architecture="falcon"))
    with pytest.raises(FinetuneError, match="'falcon'"):
        read_peft(peft(tmp_path / "peft"), falcon)
