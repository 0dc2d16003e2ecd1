"""Thorough measuring: what is chosen, what is offered, and that nothing is lost when it fails."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

from ragchat.errors import CancelledError, ModelError, StorageError, UsageError
from ragchat.llm import profile, tune
from ragchat.llm.inference import tuning
from ragchat.llm.measured import Reading
from ragchat.types import CancelToken
from tests.conftest import make_client

CHOSEN = profile.Profile(1, 1, False, 100.0, 50.0, "2026-01-01T00:00:00+00:00")


def places(folder: Path) -> tune.Places:
    return tune.Places(folder / "profiles.json", folder / "log" / "inference.log", folder / "cache")


def test_a_core_is_left_where_there_are_more_than_two_and_on_a_busy_machine() -> None:
    assert max(tuning.thread_candidates(busy=False, logical=8, physical=8)) == 7
    assert max(tuning.thread_candidates(busy=False, logical=2, physical=2)) == 2
    assert max(tuning.thread_candidates(busy=True, logical=2, physical=2)) == 1
    assert tuning.thread_candidates(busy=True, logical=1, physical=1) == [1]


def test_a_gain_below_three_per_cent_changes_nothing() -> None:
    assert tuning._better([1.0, 0.98]) == 0
    assert tuning._better([1.0, 0.96]) == 1
    assert tuning._fewest({1: 1.0, 2: 0.98}) == 1
    assert tuning._fewest({1: 1.0, 2: 0.9}) == 2


def test_agreement_and_perplexity() -> None:
    one, other = Reading((1, 2, 3, 4), 4.0), Reading((1, 2, 3, 5), 8.0)
    assert one.agreement(other) == 0.75
    assert one.perplexity == pytest.approx(2.71828, abs=1e-4)


def copy(**changed: float) -> tune.Copy:
    usual = {"agreement": 0.97, "perplexity": 12.1, "reads": 1.9, "writes": 1.2, **changed}
    return tune.Copy("Q8_0", 160, 190.0, 60.0, **usual)  # type: ignore[arg-type]


def test_a_copy_is_offered_when_it_is_faster_and_says_the_same() -> None:
    assert tune._objection(copy(), 12.1) == ""
    assert tune._objection(copy(reads=1.05), 12.1) == "not faster"
    assert tune._objection(copy(writes=0.8), 12.1) == "not faster"
    assert "agreement" in tune._objection(copy(agreement=0.7), 12.1)
    assert "perplexity" in tune._objection(copy(perplexity=13.0), 12.1)


def test_the_offer_tells_gain_size_and_quality() -> None:
    good = tune.Copy("Q8_0", 160, 190.0, 60.0, 0.97, 12.14, 1.9, 1.2, offered=True)
    tuned = tune.Tuned("model", "Q4_1", 100, CHOSEN, None, 12.1, (), (good, copy()), ())
    assert tuned.offers == (
        "A Q8_0 copy reads 1.9 times and writes 1.2 times as fast and is 1.6 times as large; agreement 97%, "
        "perplexity 12.1 -> 12.1.",
    )


def test_only_a_slow_type_is_compared_with_copies() -> None:
    assert tune._worth_measuring("Q4_1") == tune.COPIES
    assert tune._worth_measuring("Q8_0") == ()


@pytest.mark.real_model
def test_what_was_measured_is_what_is_loaded(default_model: Path, tmp_path: Path) -> None:
    measured = msgspec.structs.replace(
        CHOSEN, flash_attention=True, kv_type="q8_0", n_batch=256, lookup_costs=((1, 1.0), (2, 1.5))
    )
    profile.write(tmp_path / "profiles.json", default_model, measured)
    client = make_client(default_model, tmp_path, n_threads=0, n_threads_batch=0, flash_attention="auto")
    command = client._command(default_model, 2048)
    assert (command.kv_type, command.n_batch, command.lookup_costs) == ("q8_0", 256, ((1, 1.0), (2, 1.5)))
    try:
        for _ in client.load():
            pass
        assert client.info is not None
        assert client.info.flash_attention
    finally:
        client.close()


def test_a_profile_of_a_busy_machine_is_measured_again(
    default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile.write(tmp_path / "profiles.json", default_model, msgspec.structs.replace(CHOSEN, busy=True))
    client = make_client(default_model, tmp_path, n_threads=0, n_threads_batch=0, flash_attention="auto")
    monkeypatch.setattr(profile, "is_busy", lambda: False)
    assert client._command(default_model, 2048).n_threads == 0
    monkeypatch.setattr(profile, "is_busy", lambda: True)
    assert client._command(default_model, 2048).n_threads == 1


@pytest.mark.real_model
def test_settings_are_measured_and_kept(default_model: Path, tmp_path: Path) -> None:
    steps: list[float] = []
    tuned = tune.tune(
        default_model,
        places(tmp_path),
        copies=False,
        progress=lambda done, _left, _doing: steps.append(done),
        cancel=CancelToken(),
    )
    assert profile.read(tmp_path / "profiles.json", default_model) == tuned.profile
    assert tuned.profile.thorough
    assert {size for size, _ in tuned.profile.lookup_costs} >= {4, 8, 16}
    assert steps == sorted(steps)
    assert {trial.setting for trial in tuned.trials} >= {"threads", "flash attention", "batch"}
    assert 5 < tuned.perplexity < 60


@pytest.mark.real_model
def test_a_cancel_ends_it_at_once_and_keeps_nothing(default_model: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    threading.Timer(1.0, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(CancelledError):
        tune.tune(default_model, places(tmp_path), progress=lambda *_: None, cancel=cancel)
    assert time.monotonic() - began < 5
    assert not (tmp_path / "profiles.json").exists()


@pytest.mark.real_model
def test_a_model_that_dies_is_reported(
    default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ragchat.llm.client.THREADS", {"PYTHONHOME": str(tmp_path)}
    )  # so that it cannot start
    with pytest.raises(ModelError, match="ended the process"):
        tune.tune(default_model, places(tmp_path), progress=lambda *_: None, cancel=CancelToken())
    assert not (tmp_path / "profiles.json").exists()


@pytest.mark.real_model
def test_a_question_stops_it(default_model: Path, tmp_path: Path) -> None:
    client = make_client(default_model, tmp_path)
    began, stopped = threading.Event(), threading.Event()

    def measure() -> None:
        with client.apart(CancelToken()) as stop:
            began.set()
            while not stop.cancelled:
                time.sleep(0.01)
        stopped.set()

    threading.Thread(target=measure, daemon=True).start()
    assert began.wait(5)
    for _ in client.load():
        pass
    assert stopped.is_set()
    client.close()


@pytest.mark.real_model
def test_a_copy_has_a_name_that_tells_where_it_is_from(default_model: Path, tmp_path: Path) -> None:
    made = tune.make(default_model, tmp_path / "models", "q8_0", tmp_path / "log", CancelToken())
    assert made.name == "SmolLM2-135M-Instruct.Q4_1-as-Q8_0.gguf"
    assert made.stat().st_size > default_model.stat().st_size
    with pytest.raises(UsageError, match="already exists"):
        tune.make(default_model, tmp_path / "models", "Q8_0", tmp_path / "log", CancelToken())
    with pytest.raises(UsageError, match="cannot be made"):
        tune.make(default_model, tmp_path / "models", "Q2_K", tmp_path / "log", CancelToken())


@pytest.mark.real_model
def test_a_full_disk_is_noticed_before(
    default_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tune, "_RESERVE", 1 << 60)
    with pytest.raises(StorageError, match="A copy needs"):
        tune.make(default_model, tmp_path / "models", "Q8_0", tmp_path / "log", CancelToken())
