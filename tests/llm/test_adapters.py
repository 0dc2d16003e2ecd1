"""Adapters of the real model: switched on and off in a running process, bound to their file, refused when broken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest

from ragchat.errors import AdapterError, InferenceDiedError, ModelError, NotFoundError, UsageError
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.install import import_adapter
from ragchat.llm.adapters import AdapterLibrary
from ragchat.llm.client import InferenceClient, ModelOptions
from ragchat.llm.loading import loaded
from ragchat.paths import PACKAGE
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished
from ragchat.session.replay import Replayed, recorded, replay
from ragchat.store.chats import ChatStore
from ragchat.types import AdapterScale, CancelToken, Message, Sampling, TokenSample
from tests.conftest import make_client

pytestmark = [pytest.mark.real_model, pytest.mark.filterwarnings("ignore")]

LAYERS, WIDTH, RANK = 30, 576, 4


def write_lora(path: Path, *, seed: int = 0, strength: float = 0.02) -> None:
    """Random changes to the queries of every layer of the default model."""
    draw = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(LAYERS):
        name = f"blk.{layer}.attn_q.weight"
        writer.add_tensor(f"{name}.lora_a", draw.normal(0, strength, (RANK, WIDTH)).astype(np.float32))
        writer.add_tensor(f"{name}.lora_b", draw.normal(0, 1, (WIDTH, RANK)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, default_model: Path) -> Path:
    """A model folder with the default model and two adapters of it."""
    folder = tmp_path_factory.mktemp("models")
    (folder / default_model.name).symlink_to(default_model)
    base = BaseGguf(default_model)
    library = AdapterLibrary((folder,), folder / "fingerprints.json")
    for seed, name in enumerate(("one", "two")):
        write_lora(folder / f"{name}.lora", seed=seed)
        import_adapter(
            folder / f"{name}.lora",
            base,
            library.sha256(default_model),
            adapters_dir=folder / "adapters",
            name=name,
        )
    return folder


@pytest.fixture
def library(models: Path) -> AdapterLibrary:
    return AdapterLibrary((models,), models / "fingerprints.json")


@pytest.fixture
def client(
    models: Path, library: AdapterLibrary, default_model: Path, tmp_path: Path
) -> Iterator[InferenceClient]:
    made = InferenceClient(
        resolve=lambda _: default_model,
        check=lambda _, n_ctx: n_ctx,
        adapter_file=library.resolve,
        options=ModelOptions(n_ctx=1024, n_threads=2, n_threads_batch=2, flash_attention="off"),
        log=tmp_path / "inference.log",
        suspects_file=tmp_path / "suspects.json",
        profiles_file=tmp_path / "profiles.json",
    )
    with contextlib.closing(made):
        yield made


TOKENS = tuple(range(1000, 1040))
SAMPLE = TokenSample(TOKENS, 20)
on = AdapterScale.parse


def test_an_adapter_is_switched_without_loading_the_model_anew(client: InferenceClient) -> None:
    off = loaded(client)
    pid, before = client.pid, off.logits(TOKENS)
    seen = {"": before}
    for adapters in ("one", "one:0.5", "two", "one+two", "one:0"):
        seen[adapters] = loaded(client, adapters=on(adapters)).logits(TOKENS)
    assert seen["one:0"] == before, "a scale of nothing changes nothing"
    assert len(set(seen.values())) == 5
    began = time.perf_counter()
    for _ in range(10):
        loaded(client, adapters=on("one"))
        loaded(client, adapters=on("two"))
    print(f"{1000 * (time.perf_counter() - began) / 20:.1f} ms to switch")
    assert off.logits(TOKENS) == before, "off is as it was, to the last bit"
    assert client.pid == pid


def test_what_cannot_be_switched_on_leaves_what_is_on(
    client: InferenceClient, models: Path, default_model: Path, tmp_path: Path
) -> None:
    tuned = loaded(client, adapters=on("one"))
    before = tuned.logits(TOKENS)
    with pytest.raises(NotFoundError, match="onne"):
        loaded(client, adapters=on("onne"))
    broken = models / "adapters" / "broken"
    shutil.copytree(models / "adapters" / "one", broken)
    try:
        whole = (broken / "adapter.gguf").read_bytes()
        (broken / "adapter.gguf").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(AdapterError, match="incomplete"):
            loaded(client, adapters=on("broken"))
        (broken / "manifest.json").unlink()
        with pytest.raises(AdapterError, match="manifest"):
            loaded(client, adapters=on("broken"))
    finally:
        shutil.rmtree(broken)
    assert tuned.logits(TOKENS) == before


def test_an_adapter_belongs_to_its_file(library: AdapterLibrary, default_model: Path, tmp_path: Path) -> None:
    assert library.resolve("one", default_model).is_file()
    assert [adapter.name for adapter in library.fitting(default_model)] == ["one", "two"]
    other = tmp_path / "other.gguf"
    data = bytearray(default_model.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    with pytest.raises(AdapterError, match="trained on a different file"):
        library.resolve("one", other)
    assert library.resolve("one", other, force=True).is_file(), "the shapes are the same"
    assert library.fitting(other) == ()
    assert library.check("one") == []


def test_weights_that_were_changed_in_place_are_refused(
    library: AdapterLibrary, models: Path, default_model: Path
) -> None:
    folder = models / "adapters" / "altered"
    shutil.copytree(models / "adapters" / "one", folder)
    try:
        assert library.resolve("altered", default_model).is_file()
        data = bytearray((folder / "adapter.gguf").read_bytes())
        data[-1] ^= 1
        (folder / "adapter.gguf").write_bytes(data)
        with pytest.raises(AdapterError, match="weights differ"):
            library.resolve("altered", default_model)
    finally:
        shutil.rmtree(folder)


def test_each_use_of_a_model_keeps_its_own_adapters(client: InferenceClient) -> None:
    """Nobody sets and puts back: whoever asks in between changes nothing for the others."""
    off, one, two = (loaded(client, adapters=on(names)) for names in ("", "one", "two"))
    first = [model.logits(TOKENS) for model in (off, one, two)]
    assert len(set(first)) == 3
    assert [model.logits(TOKENS) for model in (two, off, one)] == [first[2], first[0], first[1]]
    assert [model.score([SAMPLE]) for model in (off, one)] == [model.score([SAMPLE]) for model in (off, one)]
    assert off.score([SAMPLE]) != one.score([SAMPLE])


def test_it_is_on_again_after_the_process_was_killed(client: InferenceClient) -> None:
    two = loaded(client, adapters=on("two"))
    tuned = two.logits(TOKENS)
    assert client.pid
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(InferenceDiedError, match="process"):
        two.logits(TOKENS)
    with pytest.raises(InferenceDiedError, match="No model is loaded"):
        two.logits(TOKENS)
    off = loaded(client)
    assert two.logits(TOKENS) == tuned
    assert off.logits(TOKENS) != tuned


def test_one_that_is_gone_when_the_process_starts_anew_is_not_called_on(
    client: InferenceClient, models: Path, tmp_path: Path
) -> None:
    off, two = loaded(client), on("two")
    plain, tuned = off.logits(TOKENS), loaded(client, adapters=two).logits(TOKENS)
    assert client.pid
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(InferenceDiedError):
        off.logits(TOKENS)
    folder = models / "adapters" / "two"
    shutil.move(folder, tmp_path / "two")
    try:
        with pytest.raises(NotFoundError):
            loaded(client, adapters=two)
    finally:
        shutil.move(tmp_path / "two", folder)
    assert loaded(client).logits(TOKENS) == plain
    assert loaded(client, adapters=two).logits(TOKENS) == tuned


def test_a_model_that_was_replaced_says_so(default_model: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.symlink_to(default_model)
    client = make_client(default_model, tmp_path)
    with contextlib.closing(client):
        first = loaded(client)
        client._resolve = lambda name: Path(name)
        client.select(str(other))
        assert loaded(client).info.name == "other"
        with pytest.raises(ModelError, match="no longer loaded"):
            first.count_tokens(["a"])


def test_answers_are_written_with_the_adapters_of_the_chat(client: InferenceClient, tmp_path: Path) -> None:
    def answer(chats: ChatStore, adapter: str) -> tuple[int, str]:
        options = AskOptions(sampling=Sampling(temperature=0, seed=1, max_tokens=12), adapters=on(adapter))
        session = ChatSession(chats, client, [], options)
        number = session.start("Name a river in France.")
        for event in session.ask(number, "Name a river in France.", cancel=CancelToken()):
            if isinstance(event, AnswerFinished):
                return event.answer_id, event.text
        raise AssertionError

    with contextlib.closing(ChatStore(tmp_path / "ragchat.db")) as chats:
        _, plain = answer(chats, "")
        tuned_id, tuned = answer(chats, "one:2")
        assert tuned != plain
        assert answer(chats, "")[1] == plain
        generation = chats.generation(tuned_id)
        assert generation is not None
        assert generation.adapters == on("one:2")
        *_, again = replay(client, recorded(chats, tuned_id), cancel=CancelToken())
        assert isinstance(again, Replayed)
        assert again.identical
        assert answer(chats, "")[1] == plain, "a replay leaves nothing on"


def test_tokens_and_likelihoods(client: InferenceClient) -> None:
    chat = [
        Message("system", "Be short."),
        Message("user", "Where is <|im_end|> Paris?"),
        Message("assistant", "In France."),
    ]
    model = loaded(client)
    [sample] = model.encode([chat])
    assert sample.answer_start == model.count_prompt(chat[:-1])
    [score, again] = model.score([sample, sample])
    assert score == again
    nll = 0.0
    for at in range(sample.answer_start, len(sample.tokens)):
        row = np.frombuffer(model.logits(sample.tokens[:at]), "<f4").astype(float)
        nll += row.max() + np.log(np.exp(row - row.max()).sum()) - row[sample.tokens[at]]
    assert score.nll == pytest.approx(nll, rel=1e-3)
    assert score.tokens == len(sample.tokens) - sample.answer_start
    other = TokenSample((*sample.tokens[:-2], 7, 8), sample.answer_start)
    assert model.score([other])[0].nll > score.nll


def test_an_answer_tokenised_alone_has_no_token_of_a_beginning(default_model: Path, tmp_path: Path) -> None:
    reader, path = gguf.GGUFReader(default_model), tmp_path / "with-bos.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key not in {
            "general.architecture",
            "tokenizer.ggml.add_bos_token",
        }:
            writer.add_key_value(key, field.contents(), field.types[0], field.types[-1])
    writer.add_bool("tokenizer.ggml.add_bos_token", True)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    made = InferenceClient(
        resolve=lambda _: path,
        check=lambda _, n_ctx: n_ctx,
        options=ModelOptions(n_ctx=512, n_threads=2, n_threads_batch=2, flash_attention="off"),
        log=tmp_path / "inference.log",
        suspects_file=tmp_path / "suspects.json",
        profiles_file=tmp_path / "profiles.json",
    )
    with contextlib.closing(made):
        question = Message("user", "Where is Paris?")
        plain, broken = loaded(made).encode(
            [[question, Message("assistant", text)] for text in ("In France.", "\n\n- In France.")]
        )
        start = plain.answer_start
        assert broken.tokens[:start] == plain.tokens[:start]
        assert plain.tokens[0] not in broken.tokens[start:], (
            "the token of a beginning stands at the beginning only"
        )


def test_scales_as_text() -> None:
    assert AdapterScale.parse("") == ()
    both = AdapterScale.parse("facts+style:0.5")
    assert both == (AdapterScale("facts"), AdapterScale("style", 0.5))
    assert AdapterScale.join(both) == "facts+style:0.5"
    with pytest.raises(UsageError, match="scale"):
        AdapterScale.typed("one:strong")
    for wrong in ("a:b", "a:nan", "a:inf"):
        with pytest.raises(ValueError):
            AdapterScale.parse(wrong)


def test_the_commands(models: Path, default_model: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    shutil.copytree(models / "adapters", home / "data" / "models" / "adapters")
    environment = {**os.environ, "RAGCHAT_HOME": str(home), "PYTHONPATH": str(PACKAGE.parent)}

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "ragchat", "adapter", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr

    listed = json.loads(run("list", "--json")[1])["adapters"]
    assert [row["name"] for row in listed] == ["one", "two"]
    assert "one: for" in run("list")[1]
    assert "# one" in run("info", "one")[1]
    assert run("export", "one")[0] == 0
    assert (tmp_path / "one.gguf").is_file()
    code, _, said = run("check", "one")
    assert code == 0, said
    assert "changes the model's answers" in said
    code, _, said = run(
        "import", str(tmp_path / "one.gguf"), "--name", "three", "--model", str(default_model)
    )
    assert code == 0, said
    assert run("remove", "three", "--yes")[0] == 0
    assert [row["name"] for row in json.loads(run("list", "--json")[1])["adapters"]] == ["one", "two"]
