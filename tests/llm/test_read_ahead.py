"""What is read before a question is sent, with the real default model: the answer is the same, and it gives way at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ragchat.errors import CancelledError, ModelError
from ragchat.llm.client import InferenceClient
from ragchat.llm.loading import loaded
from ragchat.types import CancelToken, GenerationFinished, Message, ReadAhead, Sampling, TextDelta
from tests.conftest import make_client

pytestmark = pytest.mark.real_model

GREEDY = Sampling(temperature=0, max_tokens=16)
SYSTEM = Message("system", "Answer from the passages.")
PASSAGES = " ".join(f"The {n}th river rises on hill {n * 3} and flows past town {n * 7}." for n in range(40))
BEGUN = [SYSTEM, Message("user", f"[1] {PASSAGES}\n\nQuestion:")]
ASKED = [SYSTEM, Message("user", f"[1] {PASSAGES}\n\nQuestion: Which town does the 7th river flow past?")]
OTHER = [Message("user", "Hello")]


@pytest.fixture(scope="module", params=["off", "on"])
def model(
    request: pytest.FixtureRequest, default_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InferenceClient]:
    """With and without flash attention, which has other kernels for short batches; no snapshots, which would help."""
    client = make_client(default_model, tmp_path_factory.mktemp("ahead"), flash_attention=request.param)
    yield client
    client.close()


def say(model: InferenceClient, messages: list[Message]) -> tuple[str, GenerationFinished]:
    text, last = "", None
    for event in loaded(model).generate(messages, GREEDY, cancel=CancelToken()):
        text += event.text if isinstance(event, TextDelta) else ""
        last = event
    assert isinstance(last, GenerationFinished)
    return text, last


def read_ahead(model: InferenceClient, messages: list[Message]) -> ReadAhead:
    return loaded(model).prepare(messages, cancel=CancelToken())


def test_the_answer_is_the_same_and_only_the_question_is_read(model: InferenceClient) -> None:
    say(model, OTHER)
    plain, whole = say(model, ASKED)
    say(model, OTHER)
    ahead = read_ahead(model, BEGUN)
    assert ahead.done
    prepared, short = say(model, ASKED)
    assert prepared == plain
    assert short.first_logprob == whole.first_logprob
    assert short.mean_logprob == whole.mean_logprob
    assert short.cached_tokens == ahead.tokens > whole.cached_tokens
    assert short.prompt_tokens - short.cached_tokens < 100
    assert short.ahead.used + whole.cached_tokens >= ahead.tokens - 64
    assert short.ahead.wasted == 0


def test_it_does_not_matter_how_much_was_read(model: InferenceClient) -> None:
    plain = say(model, ASKED)[1]
    for words in (30, 120, 250):
        say(model, OTHER)
        begun = " ".join(BEGUN[1].content.split(" ")[:words])
        read_ahead(model, [SYSTEM, Message("user", begun)])
        assert say(model, ASKED)[1].mean_logprob == plain.mean_logprob


def test_what_was_read_for_another_question_is_told(model: InferenceClient) -> None:
    say(model, OTHER)
    wrong = Message("user", f"[1] {PASSAGES.replace('river', 'mountain')}\n\nQuestion:")
    ahead = read_ahead(model, [SYSTEM, wrong])
    _, finished = say(model, ASKED)
    assert finished.ahead.read == ahead.read
    assert 0 < finished.ahead.wasted <= ahead.read
    assert finished.ahead.wasted_cpu_s > 0
    assert say(model, ASKED)[1].ahead.read == 0, "it is told once"


def test_a_shorter_beginning_leaves_what_is_read_beyond_it(model: InferenceClient) -> None:
    say(model, OTHER)
    read_ahead(model, BEGUN)
    again = read_ahead(model, [SYSTEM, Message("user", "")])
    assert (again.read, again.done) == (0, True)
    assert read_ahead(model, BEGUN).read == 0


def test_whatever_is_waited_for_stops_it_at_once(model: InferenceClient) -> None:
    say(model, OTHER)
    long = Message("user", " ".join(f"Line {n} is about lake {n * 5}." for n in range(250)))
    found: list[ReadAhead] = []
    ready = loaded(model)
    reader = threading.Thread(target=lambda: found.append(read_ahead(model, [SYSTEM, long])))
    reader.start()
    while model._ahead is None:
        time.sleep(0.01)
    time.sleep(0.2)
    began = time.perf_counter()
    ready.count_tokens(["a"])
    waited = time.perf_counter() - began
    reader.join()
    assert not found[0].done
    assert waited < 1, f"{waited:.3f} s"  # 2 ms on a quiet machine, where all of it takes 4 s


def test_a_cancel_stops_it(model: InferenceClient) -> None:
    say(model, OTHER)
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    long = Message("user", " ".join(f"Line {n} is about sea {n * 5}." for n in range(250)))
    assert not loaded(model).prepare([SYSTEM, long], cancel=cancel).done


def test_nothing_is_read_while_others_ask(model: InferenceClient) -> None:
    ready = loaded(model)
    events = ready.generate(ASKED, GREEDY, cancel=CancelToken())
    next(events)
    other: list[ReadAhead] = []
    reader = threading.Thread(target=lambda: other.append(read_ahead(model, BEGUN)))
    reader.start()
    for _ in events:
        pass
    reader.join()
    assert not other[0].done or other[0].read == 0


def test_whoever_waits_is_seen_in_the_moment_before_it_begins(
    model: InferenceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adapters are switched first; a request that begins meanwhile finds nothing to stop yet."""
    say(model, OTHER)
    ready = loaded(model)
    switching, go_on = threading.Event(), threading.Event()

    def slowly(_files: object, _path: object) -> None:
        switching.set()
        go_on.wait(5)

    monkeypatch.setattr(model, "_switch", slowly)
    long = Message("user", " ".join(f"Line {n} is about bay {n * 5}." for n in range(250)))
    found: list[ReadAhead] = []
    reader = threading.Thread(target=lambda: found.append(read_ahead(model, [SYSTEM, long])))
    reader.start()
    assert switching.wait(5)
    counter = threading.Thread(target=lambda: ready.count_tokens(["a"]))
    counter.start()
    while model._waiting == 0:
        time.sleep(0.001)
    go_on.set()
    counter.join(20)
    reader.join(20)
    assert (found[0].done, found[0].read) == (False, 0)


def test_an_answer_that_is_cancelled_before_it_begins_is_not_written(model: InferenceClient) -> None:
    cancel = CancelToken()
    cancel.cancel()
    *_, last = loaded(model).generate(ASKED, GREEDY, cancel=cancel)
    assert isinstance(last, GenerationFinished)
    assert (last.finish_reason, last.completion_tokens) == ("cancelled", 0)


def test_a_cancel_is_heard_while_others_have_the_process(model: InferenceClient) -> None:
    events = loaded(model).generate([Message("user", "Count to ninety.")], GREEDY, cancel=CancelToken())
    next(events)  # and nobody listens on
    cancel, ended = CancelToken(), threading.Event()

    def wait() -> None:
        with pytest.raises(CancelledError):
            list(loaded(model, cancel).generate(ASKED, GREEDY, cancel=cancel))
        ended.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.2)
    cancel.cancel()
    assert ended.wait(2)
    waiter.join()
    for _ in events:
        pass


def test_work_apart_does_not_begin_where_someone_waits(model: InferenceClient) -> None:
    """A question that came in the moment before would wait for all of it."""
    say(model, OTHER)
    model._waiting += 1
    try:
        with pytest.raises(ModelError), model.apart(CancelToken()):
            pass
        assert model.info is not None
    finally:
        model._waiting -= 1
