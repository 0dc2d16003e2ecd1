"""The GGUF reader: what it reads equals what an independent reader reads, and nothing foreign can hurt it."""

from __future__ import annotations

import random
import struct
import time
from contextlib import suppress
from pathlib import Path

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragchat.errors import ModelFileError
from ragchat.llm.gguf import GgufMetadata, check_chat_model, read_metadata
from tests.helpers.gguf_files import write_gguf


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


def header(tensors: int = 0, entries: int = 0, *, version: int = 3, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def refusal(path: Path, content: bytes) -> ModelFileError:
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        read_metadata(path)
    return caught.value


def test_reads_what_the_independent_reader_reads(default_model: Path) -> None:
    ours, theirs = read_metadata(default_model), gguf.GGUFReader(default_model)

    def field(key: str) -> object:
        return theirs.fields[key].contents()

    assert ours.architecture == field("general.architecture") == "llama"
    assert ours.name == field("general.name")
    assert ours.licence == field("general.license")
    assert ours.chat_template == field("tokenizer.chat_template")
    assert ours.tokenizer == field("tokenizer.ggml.model")
    assert ours.n_ctx_train == field("llama.context_length")
    assert ours.n_layers == field("llama.block_count")
    assert ours.n_embd == field("llama.embedding_length")
    assert ours.n_heads == field("llama.attention.head_count")
    assert ours.n_kv_heads == (field("llama.attention.head_count_kv"),) * ours.n_layers
    assert ours.n_vocab == len(theirs.fields["tokenizer.ggml.tokens"].data)
    assert ours.n_tensors == len(theirs.tensors)
    assert ours.n_params == sum(int(tensor.n_elements) for tensor in theirs.tensors)
    assert ours.weights_bytes == sum(int(tensor.n_bytes) for tensor in theirs.tensors)
    assert ours.size_bytes == default_model.stat().st_size
    assert ours.file_type == "Q4_1"
    assert (ours.head_dim_k, ours.head_dim_v) == (64, 64)
    assert ours.has_chat_template
    check_chat_model(ours)


def test_knows_every_tensor_type_that_the_independent_reader_knows() -> None:
    from ragchat.llm.gguf import _FILE_TYPES, _TENSOR_TYPES

    theirs = {kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}
    assert _TENSOR_TYPES.items() <= theirs.items()
    names = {
        kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType
    }
    assert _FILE_TYPES.items() <= names.items()


def test_a_large_vocabulary_is_stepped_over_quickly(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "large.gguf", vocabulary=152_000)
    started = time.process_time()
    metadata = read_metadata(path)
    assert metadata.n_vocab == 152_000
    assert time.process_time() - started < 0.3


def test_heads_per_layer_and_a_sliding_window(tmp_path: Path) -> None:
    metadata = read_metadata(
        write_gguf(tmp_path / "a.gguf", n_layers=3, kv_heads=[2, 0, 1], sliding_window=512)
    )
    assert metadata.n_kv_heads == (2, 0, 1)
    assert metadata.kv_width == 3 * (8 + 8)
    assert metadata.sliding_window == 512


def test_a_base_model_has_no_template(tmp_path: Path) -> None:
    metadata = read_metadata(write_gguf(tmp_path / "base.gguf", template=None))
    assert metadata.chat_template is None
    assert not metadata.has_chat_template
    check_chat_model(metadata)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"general_type": "adapter"}, "adapter"),
        ({"general_type": "mmproj"}, "mmproj"),
        ({"architecture": "clip"}, "image part"),
        ({"architecture": "bert"}, "embedding model"),
        ({"split_count": 3}, "one of 3 parts"),
        ({"n_layers": 0}, "block_count"),
    ],
)
def test_what_cannot_chat_is_refused_with_the_reason(
    tmp_path: Path, options: dict[str, object], reason: str
) -> None:
    metadata = read_metadata(write_gguf(tmp_path / "other.gguf", **options))  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=reason):
        check_chat_model(metadata)


def test_truncation_says_how_many_bytes_are_missing(tiny: Path) -> None:
    whole = tiny.read_bytes()
    assert "1,000 bytes are missing" in str(refusal(tiny, whole[:-1000]))


def test_every_truncation_is_refused(tiny: Path) -> None:
    whole = tiny.read_bytes()
    for percent in range(100):
        refusal(tiny, whole[: len(whole) * percent // 100])


def test_the_default_model_truncated_at_each_percent(default_model: Path, tmp_path: Path) -> None:
    size, path = default_model.stat().st_size, tmp_path / "cut.gguf"
    with open(default_model, "rb") as file:
        path.write_bytes(file.read(4 << 20))
    for percent in range(5, 100):
        with open(path, "r+b") as file:
            file.truncate(size * percent // 100)  # sparse: only the length counts
        with pytest.raises(ModelFileError, match="bytes are missing") as caught:
            read_metadata(path)
        assert f"{size - size * percent // 100:,}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "contains 0 bytes"),
        (b"GG", "contains 2 bytes"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML"),
        (b"PK\x03\x04" + bytes(100), "zip"),
        (b"ggml" + bytes(100), "GGML"),
        (header(version=1), "version 1"),
        (header(version=7), "version 7"),
        (b"GGUF" + struct.pack(">IQQ", 3, 1, 1), "big-endian"),
        (header(2**63), "announces"),
        (header(0, 2**63), "announces"),
        (header(0, 1), "is incomplete"),
        (header(0, 1, rest=text(b"a") + struct.pack("<I", 8) + struct.pack("<Q", 2**63)), "is incomplete"),
        (header(0, 1, rest=struct.pack("<Q", 2**64 - 1)), "is incomplete"),
        (header(0, 1, rest=text(b"a") + struct.pack("<I", 99)), "unknown type 99"),
        (header(0, 1, rest=text(b"a") + struct.pack("<IIQ", 9, 9, 1)), "list of lists"),
        (header(0, 1, rest=text(b"a") + struct.pack("<IIQ", 9, 8, 2**63)), "damaged"),
        (header(0, 1, rest=text(b"a") + struct.pack("<IIQ", 9, 10, 2**62)), "is incomplete"),
        (header(0, 2, rest=(text(b"a") + struct.pack("<IB", 0, 1)) * 2), "there twice"),
        (header(0, 1, rest=text(b"general.alignment") + struct.pack("<II", 4, 3)), "alignment"),
        (header(1, 0, rest=text(b"t") + struct.pack("<I", 9)), "9 dimensions"),
        (header(1, 0, rest=text(b"t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)), "impossible"),
        (header(1, 0, rest=text(b"t") + struct.pack("<IQIQ", 1, 32, 77, 0)), "type 77"),
        (header(1, 0, rest=text(b"t") + struct.pack("<IQIQ", 1, 31, 2, 0)), "impossible"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    assert reason in str(refusal(tmp_path / "bad.gguf", content))


@pytest.mark.parametrize(
    "value", [struct.pack("<If", 6, 1.5), struct.pack("<Ii", 5, -3), struct.pack("<I?", 7, True)]
)
def test_a_number_that_is_none_is_refused(tmp_path: Path, value: bytes) -> None:
    entries = (
        text(b"general.architecture") + struct.pack("<I", 8) + text(b"x") + text(b"x.block_count") + value
    )
    assert "block_count" in str(refusal(tmp_path / "bad.gguf", header(0, 2, rest=entries)))


def test_text_that_is_not_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "latin.gguf"
    path.write_bytes(header(0, 1, rest=text(b"general.name") + struct.pack("<I", 8) + text(b"\xff\xfe")))
    assert read_metadata(path).name == "��"


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelFileError, match="cannot be read"):
            read_metadata(path)


def test_two_thousand_damaged_headers(tiny: Path) -> None:
    whole, chance = tiny.read_bytes(), random.Random(11)
    data = len(whole) - 64 * 32 * 4
    refused, slowest = 0, 0.0
    for _ in range(2000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(data)
            damage = chance.choice(
                [bytes([chance.randrange(256)]), b"\xff" * 8, struct.pack("<Q", 2**63), bytes(8)]
            )
            content[at : at + len(damage)] = damage
        tiny.write_bytes(content)
        started = time.process_time()
        try:
            assert isinstance(read_metadata(tiny), GgufMetadata)
        except ModelFileError:
            refused += 1
        slowest = max(slowest, time.process_time() - started)
    assert refused > 500
    assert slowest < 0.5


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_anything_after_the_magic(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "any.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + rest)
    with suppress(ModelFileError):
        read_metadata(path)
