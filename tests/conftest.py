"""Fixtures: folders of a test's own, the embedded default model, a client of the real inference process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragchat.llm.client import InferenceClient, ModelOptions
from ragchat.llm.library import ModelLibrary
from ragchat.paths import Paths, checkout_models

# Whoever starts the tests in the background of a shell has Ctrl-C ignored, and what they start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the folders of the person who runs it."""
    for variable in list(os.environ):
        if variable.startswith("RAGCHAT_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("RAGCHAT_HOME", str(tmp_path / "home"))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Folders of this test, made."""
    found = Paths.discover({"RAGCHAT_HOME": str(tmp_path / "home")})
    found.create()
    return found


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The embedded default model, as `make setup` installed it."""
    folder = checkout_models()
    assert folder is not None, "the tests run from a checkout"
    model = folder / "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert model.is_file(), "run `make setup` first: it fetches the default model"
    return model


@pytest.fixture(scope="session")
def real_model(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceClient]:
    """The default model in a real inference process, shared by all tests that do not hurt it."""
    client = make_client(default_model, tmp_path_factory.mktemp("inference"))
    for _ in client.load():
        pass
    yield client
    client.close()


def make_client(model: Path, folder: Path, **options: object) -> InferenceClient:
    """A client for `model` that keeps its files in `folder`; threads and flash attention are fixed, to be quick."""
    chosen = {"n_ctx": 2048, "n_threads": 2, "n_threads_batch": 2, "flash_attention": "off", **options}
    return InferenceClient(
        resolve=ModelLibrary((model.parent,)).resolve,
        check=lambda _path, n_ctx: n_ctx,
        options=ModelOptions(**chosen),  # type: ignore[arg-type]
        log=folder / "inference.log",
        suspects_file=folder / "suspects.json",
        profiles_file=folder / "profiles.json",
        name=str(model),
    )


@pytest.fixture(scope="session")
def templateless_model(default_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model with the key of its chat template renamed: the same length, so that nothing else moves."""
    data = default_model.read_bytes()
    key = b"tokenizer.chat_template"
    assert data.count(key) == 1
    path = tmp_path_factory.mktemp("models") / "templateless.gguf"
    path.write_bytes(data.replace(key, b"tokenizer.chat_removed_"))
    return path
