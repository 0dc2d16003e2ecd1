"""Merged models: metadata kept, memory and disk minded, whole or not there; and the Modelfile beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.helpers.tiny_models import make_tiny

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

from ragchat.errors import CancelledError, FinetuneError, StorageError, UsageError
from ragchat.finetune import merge as merging
from ragchat.finetune.base_gguf import BaseGguf, dequantized
from ragchat.finetune.gguf_lora import Lora, LoraPair
from ragchat.finetune.merge import export_merged, merge, merged_size
from ragchat.finetune.modelfile import modelfile
from ragchat.llm.download import DISK_RESERVE
from ragchat.types import CancelToken, Sampling

pytestmark = pytest.mark.filterwarnings("ignore")  # those of torch and transformers

TENSOR = "blk.1.ffn_down.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseGguf:
    path = tmp_path_factory.mktemp("tiny") / "qwen3.gguf"
    make_tiny("qwen3", path)
    return BaseGguf(path)


def change(base: BaseGguf, value: float = 0.5) -> Lora:
    """Adds `value` times alpha / rank = 2 to every number of one tensor."""
    rows, columns = base.shape(TENSOR)
    ones = np.ones((1, columns), np.float32), np.full((rows, 1), value, np.float32)
    return Lora(2.0, (LoraPair(TENSOR, *ones),))


def test_only_the_tensor_meant_changes_and_metadata_stays(
    base: BaseGguf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merging, "_NUMBERS_AT_ONCE", 1000)  # several steps per tensor, the last one shorter
    shares: list[float] = []
    merge(base, [(change(base), 0.5)], tmp_path / "m.gguf", name="New", on_progress=shares.append)
    merged = BaseGguf(tmp_path / "m.gguf")
    assert list(merged.tensors) == list(base.tensors)
    for name, tensor in base.tensors.items():
        added = 0.5 if name == TENSOR else 0
        dtype = np.float32 if len(base.shape(name)) == 1 else np.float16
        assert merged.tensors[name].data.dtype == dtype
        assert np.array_equal(merged.tensors[name].data, (tensor.data + np.float32(added)).astype(dtype)), (
            name
        )
    fields = {key: field.contents() for key, field in base.reader.fields.items()}
    expected = {**fields, "general.name": "New", "general.file_type": gguf.LlamaFileType.MOSTLY_F16}
    assert {key: field.contents() for key, field in merged.reader.fields.items()} == expected
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) > len(base.tensors)
    assert abs((tmp_path / "m.gguf").stat().st_size - merged_size(base)) < 64 * len(base.tensors)


def test_several_adapters_add_up(base: BaseGguf, tmp_path: Path) -> None:
    merge(base, [(change(base, 1.0), 1.0), (change(base, 0.25), -2.0)], tmp_path / "m.gguf", name="New")
    expected = (base.tensors[TENSOR].data + np.float32(2 - 1)).astype(np.float16)
    assert np.array_equal(BaseGguf(tmp_path / "m.gguf").tensors[TENSOR].data, expected)


@pytest.mark.parametrize(("file_type", "expected"), [("F16", "F16"), ("q8_0", "Q8_0"), ("q4_1", "Q4_1")])
def test_other_types_are_quantised_from_the_merged_model(
    base: BaseGguf, tmp_path: Path, file_type: str, expected: str
) -> None:
    target = tmp_path / "m.gguf"
    export_merged(
        base, [(change(base), 1.0)], target, name="New", file_type=file_type, log=tmp_path / "log" / "q.log"
    )
    merged = BaseGguf(target)
    assert (merged.summary.file_type, merged.summary.name) == (expected, "New")
    step = {"F16": 0.01, "Q8_0": 0.05, "Q4_1": 0.5}[expected]
    difference = np.abs(dequantized(merged.tensors[TENSOR]) - (base.tensors[TENSOR].data + np.float32(1)))
    assert difference.max() < step
    assert {path.name for path in tmp_path.iterdir()} <= {"m.gguf", "log"}


def test_a_type_that_is_none_is_refused_before_the_work(base: BaseGguf, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="q99"):
        export_merged(base, [], tmp_path / "m.gguf", name="New", file_type="q99", log=tmp_path / "q.log")
    assert not list(tmp_path.iterdir())


def test_cancelled_or_out_of_range_leaves_nothing(base: BaseGguf, tmp_path: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(CancelledError):
        merge(
            base,
            [],
            tmp_path / "m.gguf",
            name="New",
            on_progress=lambda _share: cancel.cancel(),
            cancel=cancel,
        )
    with pytest.raises(FinetuneError, match="too large for float16"):
        merge(base, [(change(base, 1e6), 1.0)], tmp_path / "m.gguf", name="New")
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_said_before_a_byte_is_written(
    base: BaseGguf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": DISK_RESERVE + merged_size(base) - 1})
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(StorageError, match="not have enough space"):
        merge(base, [], tmp_path / "m.gguf", name="New")
    assert not list(tmp_path.iterdir())


def test_a_modelfile_names_the_files_and_claims_no_template() -> None:
    text = modelfile(
        Path("facts.gguf"),
        adapter=Path("/adapters/facts/adapter.gguf"),
        n_ctx=4096,
        sampling=Sampling(temperature=0.3, seed=7, max_tokens=256, stop=("<|im_end|>",)),
        system="Answer from the documents.",
    )
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines == [
        "FROM ./facts.gguf",
        "ADAPTER /adapters/facts/adapter.gguf",
        "PARAMETER num_ctx 4096",
        "PARAMETER temperature 0.3",
        "PARAMETER top_k 40",
        "PARAMETER top_p 0.95",
        "PARAMETER min_p 0.05",
        "PARAMETER repeat_penalty 1.1",
        "PARAMETER seed 7",
        "PARAMETER num_predict 256",
        'PARAMETER stop "<|im_end|>"',
        'SYSTEM """Answer from the documents."""',
    ]
    assert "no TEMPLATE" in text
    assert 'FROM "./my model.gguf"' in modelfile(Path("my model.gguf"))
