"""Snapshots: what was read is put back to the last bit, and what cannot be trusted counts as missing."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ragchat.llm.client import InferenceClient
from ragchat.llm.loading import loaded
from ragchat.llm.snapshots import Snapshots
from ragchat.types import CancelToken, GenerationFinished, Message, Sampling, TextDelta
from tests.conftest import make_client

GREEDY = Sampling(temperature=0, max_tokens=16)
RIVERS = " ".join(f"The {n}th river rises on hill {n * 3} and flows past town {n * 7}." for n in range(12))
CHAT = [
    Message("system", "Answer from the passages."),
    Message("user", RIVERS),
    Message("assistant", "I see."),
]
NEXT = [*CHAT, Message("user", "Which town does the 7th river flow past?")]
LIMIT = 1 << 20


@pytest.fixture
def shelf(tmp_path: Path) -> Snapshots:
    return Snapshots(tmp_path / "snapshots", LIMIT)


# --- the folder -------------------------------------------------------------------------------------------


def test_the_longest_beginning_is_found_and_given_back(shelf: Snapshots) -> None:
    assert shelf.save("k" * 32, range(8), b"eight", ["chat 1"])
    assert shelf.save("k" * 32, range(16), b"sixteen", ["chat 1"])
    assert shelf.save("o" * 32, range(24), b"another model", ["chat 1"])
    found = shelf.find("k" * 32, range(100), beyond=0)
    assert found
    assert found.tokens == tuple(range(16))
    assert shelf.state(found) == b"sixteen"
    assert shelf.find("k" * 32, range(100), beyond=16) is None
    assert shelf.find("k" * 32, [9, *range(99)], beyond=0) is None
    assert shelf.find("k" * 32, range(12), beyond=0) == shelf.find("k" * 32, range(8), beyond=0)
    assert shelf.usage().files == 3
    assert shelf.usage().uses.restored == 1


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _change(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _other(path: Path) -> None:
    path.write_bytes(b"something else")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _long(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:19] + b"\xff\xff\xff\xff" + data[23:])


def _link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("harm", [_cut, _change, _other, _empty, _long, _link])
def test_what_cannot_be_trusted_is_missing_and_goes(shelf: Snapshots, harm: Callable[[Path], None]) -> None:
    shelf.save("k" * 32, range(8), b"state", ["chat 1"])
    (path,) = (Path(shelf._folder)).glob("*.snapshot")
    harm(path)
    fresh = Snapshots(shelf._folder, LIMIT)
    found = fresh.find("k" * 32, range(20), beyond=0)
    assert found is None or fresh.state(found) is None
    assert not path.is_symlink()
    assert not path.exists()


def test_the_folder_stays_within_its_bound_and_the_longest_unused_go(shelf: Snapshots) -> None:
    for n in range(4):
        shelf.save("k" * 32, range(n, n + 8), bytes(400_000), [f"chat {n}"])
        time.sleep(0.01)
        if n == 1:
            found = shelf.find("k" * 32, range(30), beyond=0)
            assert found
            shelf.state(found)
    assert shelf.usage().size_bytes <= LIMIT
    assert shelf.find("k" * 32, range(3, 40), beyond=0)
    assert not shelf.save("k" * 32, range(9), bytes(LIMIT), ["chat 9"])


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX modes")
def test_only_its_user_may_read_them(shelf: Snapshots) -> None:
    shelf.save("k" * 32, range(8), b"state", [])
    (path,) = shelf._folder.glob("*.snapshot")
    assert path.stat().st_mode & 0o777 == 0o600
    assert shelf._folder.stat().st_mode & 0o777 == 0o700


def test_what_holds_somebodys_text_is_dropped(shelf: Snapshots) -> None:
    shelf.save("k" * 32, range(8), b"one", ["chat 1", "documents notes"])
    shelf.save("k" * 32, range(9), b"two", ["chat 2"])
    assert shelf.drop(["documents notes"]) == 1
    assert shelf.usage().files == 1
    assert shelf.clear() == 1
    assert shelf.usage().size_bytes == 0


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shelf = Snapshots(tmp_path / "file", LIMIT)
    assert not shelf.save("k" * 32, range(8), b"state", [])
    assert shelf.find("k" * 32, range(8), beyond=0) is None
    assert shelf.usage().files == shelf.clear() == shelf.drop(["chat 1"]) == 0


def test_a_full_disk_keeps_no_half_of_one(shelf: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    shelf.save("k" * 32, range(8), b"state", [])
    monkeypatch.setattr(Path, "replace", full)
    assert not shelf.save("k" * 32, range(9), b"more", [])
    assert [path.suffix for path in shelf._folder.iterdir()] == [".snapshot"]


def test_the_last_of_the_disk_is_left_to_others(shelf: Snapshots, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(shelf._folder.parent)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert not shelf.save("k" * 32, range(8), b"state", [])


# --- with the model ---------------------------------------------------------------------------------------


def _client(model: Path, folder: Path, flash: str = "off") -> InferenceClient:
    return make_client(
        model,
        folder,
        flash_attention=flash,
        snapshots=str(folder / "snapshots"),
        snapshot_bytes=256 << 20,
    )


def _say(model: InferenceClient, messages: list[Message]) -> tuple[str, GenerationFinished]:
    text, last = "", None
    for event in loaded(model).generate(messages, GREEDY, cancel=CancelToken(), owners=["chat 1"]):
        text += event.text if isinstance(event, TextDelta) else ""
        last = event
    assert isinstance(last, GenerationFinished)
    return text, last


def _keep(model: InferenceClient, folder: Path) -> None:
    """Read the chat ahead, and wait until it is kept."""
    beginning = [*CHAT, Message("user", "")]
    loaded(model).prepare(beginning, cancel=CancelToken(), owners=["chat 1"], keep=True)
    deadline = time.monotonic() + 20
    while not list((folder / "snapshots").glob("*.snapshot")):
        assert time.monotonic() < deadline, "no snapshot was saved"
        time.sleep(0.05)


@pytest.mark.real_model
@pytest.mark.parametrize("flash", ["off", "on"])
def test_after_a_restart_the_chat_is_not_read_again(default_model: Path, tmp_path: Path, flash: str) -> None:
    first = _client(default_model, tmp_path, flash)
    plain = _say(first, NEXT)
    _keep(first, tmp_path)
    first.close()
    second = _client(default_model, tmp_path, flash)
    again = _say(second, NEXT)
    second.close()
    assert again[0] == plain[0]
    assert again[1].mean_logprob == plain[1].mean_logprob
    assert again[1].restored_tokens == again[1].cached_tokens > 100
    assert plain[1].restored_tokens == 0


@pytest.mark.real_model
def test_what_is_forgotten_is_neither_on_disk_nor_in_memory(default_model: Path, tmp_path: Path) -> None:
    model = _client(default_model, tmp_path)
    _say(model, NEXT)
    _keep(model, tmp_path)
    model.forget(["chat 2"])
    assert list((tmp_path / "snapshots").glob("*.snapshot"))
    model.forget(["chat 1"])
    assert not list((tmp_path / "snapshots").glob("*.snapshot"))
    for thread in threading.enumerate():
        if thread.name == "forget":
            thread.join()
    assert _say(model, NEXT)[1].cached_tokens == 0
    _keep(model, tmp_path)
    model.close()
    model.forget(["chat 1"])
    assert not list((tmp_path / "snapshots").glob("*.snapshot"))


@pytest.mark.real_model
def test_another_context_does_not_take_it(default_model: Path, tmp_path: Path) -> None:
    model = _client(default_model, tmp_path)
    _say(model, NEXT)
    _keep(model, tmp_path)
    model.close()
    other = _client(default_model, tmp_path, "on")
    assert _say(other, NEXT)[1].restored_tokens == 0
    other.close()


# --- whose text a snapshot has --------------------------------------------------------------------------

OTHER = [Message("system", "You are a poet."), Message("user", "Secret of the other chat. " + RIVERS)]


def _heads(folder: Path) -> list[tuple[tuple[str, ...], int]]:
    shelf = Snapshots(folder / "snapshots", 256 << 20)
    return [(known[0].owners, len(known[1])) for p in shelf._files("") if (known := shelf._look(p))]


@pytest.mark.real_model
def test_text_of_another_chat_is_not_saved_under_this_one(default_model: Path, tmp_path: Path) -> None:
    model = _client(default_model, tmp_path)
    one = loaded(model)
    one.prepare([*CHAT, Message("user", "")], cancel=CancelToken(), owners=["chat 1"], keep=True)
    one.prepare(OTHER, cancel=CancelToken(), owners=["chat 2", "documents notes"])
    time.sleep(2)
    heads = _heads(tmp_path)
    model.close()
    assert all("chat 2" in owners for owners, _ in heads), heads


@pytest.mark.real_model
def test_passages_behind_a_chat_are_not_saved_with_it(default_model: Path, tmp_path: Path) -> None:
    model = _client(default_model, tmp_path)
    one = loaded(model)
    done = one.prepare([*CHAT, Message("user", "")], cancel=CancelToken(), owners=["chat 1"], keep=True)
    one.prepare([*CHAT, Message("user", RIVERS)], cancel=CancelToken(), owners=["chat 1", "documents notes"])
    time.sleep(2)
    heads = _heads(tmp_path)
    model.close()
    assert all(n <= done.tokens for _, n in heads), (done, heads)
    assert all("documents notes" not in o for o, n in heads)


@pytest.mark.real_model
def test_owners_do_not_pile_up(default_model: Path, tmp_path: Path) -> None:
    model = _client(default_model, tmp_path)
    one = loaded(model)
    for n in (7, 8):
        one.prepare(
            [CHAT[0], Message("user", f"{n} {RIVERS}"), CHAT[2], Message("user", "")],
            cancel=CancelToken(),
            owners=[f"chat {n}"],
            keep=True,
        )
        time.sleep(1.5)
    heads = _heads(tmp_path)
    model.close()
    assert sorted(o for o, _ in heads) == [("chat 7",), ("chat 8",)], heads


@pytest.mark.real_model
def test_a_state_without_its_beginning_is_not_taken(
    default_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the states of models with a sliding window are that are longer than it."""
    import llama_cpp as lib

    from ragchat.llm.inference.abort import AbortFlag
    from ragchat.llm.inference.context import Context, Tuning
    from ragchat.llm.inference.model import Model

    abort = AbortFlag()
    model = Model(str(default_model), abort=abort, on_progress=lambda _: None)
    context = Context(model, 512, 64, Tuning(1, 1, False), abort)
    try:
        context.read_ahead(model.tokenize(RIVERS, special=False)[:96])
        tokens, state = list(context.past), context.state()
        assert context.put_back(tokens, state)
        monkeypatch.setattr(lib, "llama_model_n_swa", lambda _: len(tokens) - 1)
        assert not context.can_be_put_back(len(tokens))
        assert not context.put_back(tokens, state)
        assert context.past == []
    finally:
        context.close()
        model.close()
