"""Child processes: whatever a child does, the parent learns what became of it and is never torn, stuck or fooled."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat import pipes
from ragchat.paths import PACKAGE
from ragchat.pipes import LARGEST_FRAME, Child, ChildGoneError, ChildSilentError, read_frame, write_frame

CHILD = """
import os, subprocess, sys, time
from ragchat.pipes import child_pipes, read_frame, write_frame
commands, replies = child_pipes()
while (frame := read_frame(commands)) is not None:
    match frame.partition(b" "):
        case (b"echo", _, rest):
            write_frame(replies, rest)
        case (b"print", _, _):
            print("printed by a library", flush=True)
            os.write(1, b"written to descriptor 1")
            subprocess.run([sys.executable, "-c", "print('printed by a grandchild')"])
            write_frame(replies, b"printed")
        case (b"read", _, _):
            write_frame(replies, repr(sys.stdin.read()).encode())
        case (b"exit", _, code):
            sys.exit(int(code))
        case (b"abort", _, _):
            os.abort()
        case (b"torn", _, _):
            replies.write(b"\\x10\\x00\\x00\\x00half")
            replies.flush()
            sys.exit(0)
        case (b"absurd", _, _):
            replies.write(b"\\xff\\xff\\xff\\xff")
            replies.flush()
            time.sleep(60)
        case (b"import", _, _):
            import json
            write_frame(replies, f"{json.__file__} {sys.path}".encode())
        case (b"env", _, name):
            write_frame(replies, os.environ.get(name.decode(), "unset").encode())
"""


class Start(Protocol):
    def __call__(self, log: Path = ..., **env: str) -> Child: ...


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start the child above; what is started ends with the test."""
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "the_child.py").write_text(CHILD)
    started: list[Child] = []
    root = str(PACKAGE.parent)

    def begin(log: Path = tmp_path / "logs" / "child.log", **env: str) -> Child:
        python_path = os.pathsep.join((str(tmp_path / "place"), root))
        child = Child("the_child", log, {"PYTHONPATH": python_path, **env})
        started.append(child)
        return child

    yield begin
    for child in started:
        child.kill()


def ask(child: Child, frame: bytes) -> bytes:
    child.send(frame)
    return child.receive(20)


# --- frames ---------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=2000)))
def test_frames_come_back_as_they_were(frames: list[bytes]) -> None:
    pipe = io.BytesIO()
    for frame in frames:
        write_frame(pipe, frame)
    pipe.seek(0)
    assert [read_frame(pipe) for _ in frames] == frames
    assert read_frame(pipe) is None


@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_torn_frame_is_an_error_and_never_a_shorter_one(frame: bytes, data: st.DataObject) -> None:
    pipe = io.BytesIO()
    write_frame(pipe, frame)
    whole = pipe.getvalue()
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(ValueError, match="torn"):
        read_frame(io.BytesIO(whole[:cut]))


@pytest.mark.parametrize("size", [LARGEST_FRAME + 1, 2**32 - 1])
def test_an_absurd_length_is_refused_before_anything_is_read(size: int) -> None:
    pipe = io.BytesIO(size.to_bytes(4, "little") + b"x" * 100)
    with pytest.raises(ValueError, match="large"):
        read_frame(pipe)
    assert pipe.tell() == 4


# --- children -------------------------------------------------------------------------------------------


def test_a_child_answers(start: Start) -> None:
    child = start()
    assert child.alive
    assert psutil.pid_exists(child.pid)
    for frame in (b"", b"x", b"y" * 3_000_000):
        assert ask(child, b"echo " + frame) == frame
    child.close()
    assert (child.alive, psutil.pid_exists(child.pid)) == (False, False)


def test_a_child_that_prints_cannot_tear_the_frames(start: Start, tmp_path: Path) -> None:
    child = start()
    assert ask(child, b"print") == b"printed"
    assert ask(child, b"echo whole") == b"whole"
    log = (tmp_path / "logs" / "child.log").read_text()
    for line in ("printed by a library", "written to descriptor 1", "printed by a grandchild"):
        assert line in log


def test_a_child_that_reads_its_input_does_not_swallow_commands(start: Start) -> None:
    child = start()
    assert ask(child, b"read") == b"''"
    assert ask(child, b"echo still here") == b"still here"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (b"exit 0", "ended with exit code 0"),
        (b"exit 3", "ended with exit code 3"),
        (b"abort", "was ended by SIGABRT"),
        (b"torn", "ended with exit code 0"),
    ],
)
def test_how_a_child_ended_is_said(start: Start, command: bytes, reason: str) -> None:
    child = start()
    child.send(command)
    for _ in range(2):  # whoever asks again hears it again
        with pytest.raises(ChildGoneError) as caught:
            child.receive(20)
        assert caught.value.reason == reason
    with pytest.raises(ChildGoneError) as caught:
        for _ in range(3):
            child.send(b"echo " + b"x" * 100_000)
    assert caught.value.reason == reason


def test_a_child_that_was_killed_is_noticed_at_once(start: Start) -> None:
    child = start()
    ask(child, b"echo ready")
    os.kill(child.pid, signal.SIGKILL)
    started = time.monotonic()
    with pytest.raises(ChildGoneError, match="SIGKILL"):
        child.receive(20)
    assert time.monotonic() - started < 2


def test_what_came_before_the_end_is_still_read(start: Start) -> None:
    child = start()
    for command in (b"echo one", b"echo two", b"exit 0"):
        child.send(command)
    assert [child.receive(20), child.receive(20)] == [b"one", b"two"]
    with pytest.raises(ChildGoneError):
        child.receive(20)


def test_who_waits_for_several_is_told_which_has_something(start: Start, tmp_path: Path) -> None:
    start().kill()  # so that the module lies where it is found
    arrived: queue.SimpleQueue[Child] = queue.SimpleQueue()
    python_path = os.pathsep.join((str(tmp_path / "place"), str(PACKAGE.parent)))
    log = tmp_path / "logs" / "several.log"
    first, second = (Child("the_child", log, {"PYTHONPATH": python_path}, arrived=arrived) for _ in range(2))
    try:
        second.send(b"echo two")
        assert arrived.get(timeout=20) is second
        assert second.receive(0) == b"two", "at once"
        first.send(b"echo one")
        assert arrived.get(timeout=20) is first
        assert first.receive(0) == b"one"
        second.send(b"exit 3")
        assert arrived.get(timeout=20) is second
        with pytest.raises(ChildGoneError):
            second.receive(0)
        assert arrived.empty()
    finally:
        first.kill()
        second.kill()


def test_a_silent_child_is_told_apart_from_one_that_is_gone(start: Start) -> None:
    child = start()
    ask(child, b"echo ready")
    os.kill(child.pid, signal.SIGSTOP)
    child.send(b"echo late")
    with pytest.raises(ChildSilentError):
        child.receive(0.2)
    assert child.alive
    os.kill(child.pid, signal.SIGCONT)
    assert child.receive(20) == b"late"


def test_a_child_that_hangs_can_be_killed(start: Start) -> None:
    child = start()
    ask(child, b"echo ready")
    os.kill(child.pid, signal.SIGSTOP)
    started = time.monotonic()
    child.close(timeout_s=0.2)
    assert time.monotonic() - started < 2
    assert not psutil.pid_exists(child.pid)


def test_killing_frees_a_sender_that_the_child_does_not_listen_to(start: Start) -> None:
    child = start()
    ask(child, b"echo ready")
    os.kill(child.pid, signal.SIGSTOP)
    ended: list[ChildGoneError] = []

    def send() -> None:
        try:
            child.send(b"x" * 10_000_000)
        except ChildGoneError as error:
            ended.append(error)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    time.sleep(0.2)
    assert sender.is_alive()
    child.kill()
    sender.join(5)
    assert len(ended) == 1


def test_an_absurd_length_is_the_end_and_not_a_wait(start: Start) -> None:
    child = start()
    child.send(b"absurd")
    started = time.monotonic()
    with pytest.raises(ChildGoneError):
        child.receive(20)
    assert time.monotonic() - started < 5


def test_ending_twice_is_no_error(start: Start) -> None:
    child = start()
    child.close()
    child.close()
    child.kill()
    with pytest.raises(ChildGoneError):
        child.send(b"echo x")
    with pytest.raises(ChildGoneError):
        child.receive(1)


PARENT = """
import os, sys
from pathlib import Path
from ragchat.pipes import Child
child = Child("the_child", Path(sys.argv[1]), {"PYTHONPATH": sys.argv[2]})
child.send(b"echo x")
child.receive(20)
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.usefixtures("start")
def test_a_child_does_not_outlive_its_parent(tmp_path: Path) -> None:
    python_path = os.pathsep.join((str(tmp_path / "place"), str(PACKAGE.parent)))
    done = subprocess.run(
        [sys.executable, "-c", PARENT, str(tmp_path / "child.log"), python_path],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    deadline = time.monotonic() + 10
    while is_running(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(done.stdout))


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- surroundings ---------------------------------------------------------------------------------------


def test_nothing_is_imported_from_the_folder_a_person_stands_in(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Documents are asked about where they lie, and a folder of documents may hold a json.py."""
    trap = tmp_path / "documents"
    trap.mkdir()
    for name in ("json.py", "struct.py", "ragchat.py", "sitecustomize.py", "the_child.py"):
        (trap / name).write_text(f"open({str(tmp_path / 'sprung')!r}, 'a').write({name!r})")
    monkeypatch.chdir(trap)
    answer = ask(start(), b"import").decode()
    assert str(trap) not in answer
    assert not (tmp_path / "sprung").exists()


def test_a_python_path_of_the_person_does_not_reach_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "not_ours.py").write_text("")
    log = tmp_path / "child.log"
    child = Child("not_ours", log)
    with pytest.raises(ChildGoneError, match="exit code 1"):
        child.receive(20)
    child.kill()
    assert "not_ours" in log.read_text()


def test_variables_are_passed_on_and_added_to(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_THE_PERSON", "1")
    child = start(FROM_US="2")
    assert [ask(child, b"env " + name) for name in (b"FROM_THE_PERSON", b"FROM_US", b"PYTHONUTF8")] == [
        b"1",
        b"2",
        b"1",
    ]


def test_the_log_is_private_and_does_not_grow_for_ever(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    start(log).close()
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700
    log.write_bytes(b"x" * (pipes._LARGEST_LOG + 1))
    start(log).close()
    assert log.stat().st_size < 1000
    old = tmp_path / "logs" / "child.old.log"
    assert old.stat().st_size == pipes._LARGEST_LOG + 1
    log.write_bytes(b"y" * (pipes._LARGEST_LOG + 1))
    start(log).close()
    assert old.read_bytes()[:1] == b"y"
    assert sorted(path.name for path in log.parent.iterdir()) == ["child.log", "child.old.log"]


def test_what_was_logged_before_is_kept(start: Start, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    for _ in range(2):
        child = start(log)
        ask(child, b"print")
        child.close()
    assert log.read_text().count("printed by a library") == 2


LISTENER = """
import os
from ragchat.pipes import Parent, child_pipes
parent = Parent(*child_pipes())
parent.send(b"first " + parent.receive())
at_work = [False]
def take(frame):
    at_work[0] = frame == b"work"
    if frame == b"riddle":
        raise ValueError("riddle")
    parent.send(b"heard " + frame)
parent.listen(take)
parent.beat(0.02, lambda: b"beat" if at_work[0] else None)
import time
time.sleep(60)
"""


def test_a_child_listens_and_says_that_it_is_at_work(tmp_path: Path) -> None:
    (tmp_path / "the_listener.py").write_text(LISTENER)
    path = os.pathsep.join((str(tmp_path), str(PACKAGE.parent)))
    child = Child("the_listener", tmp_path / "log", {"PYTHONPATH": path})
    try:
        child.send(b"here")
        assert child.receive(20) == b"first here", "before a thread listens, frames can be asked for"
        with pytest.raises(ChildSilentError):
            child.receive(0.2)
        child.send(b"work")
        assert [child.receive(5) for _ in range(3)] == [b"heard work", b"beat", b"beat"]
        child.send(b"rest")
        while (frame := child.receive(5)) == b"beat":
            pass
        assert frame == b"heard rest"
        with pytest.raises(ChildSilentError):
            child.receive(0.2)
        child.send(b"riddle")
        with pytest.raises(ChildGoneError, match="exit code 0"):
            child.receive(5)
    finally:
        child.kill()
