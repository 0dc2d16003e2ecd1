"""Which files are found, why some are not to be indexed, and that each is accounted for once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from ragchat.errors import UsageError
from ragchat.ingest.formats import Kind, kind_of, looks_binary, suffix_of
from ragchat.ingest.scan import FoundFile, Scanner, ScanRules, Skip

MIB = 1 << 20
posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX file system")


def found(*roots: Path, max_file_bytes: int = MIB, **rules: Any) -> list[FoundFile]:
    return once(Scanner(roots, ScanRules(max_file_bytes, **rules)).everything())


def once(files: Iterable[FoundFile]) -> list[FoundFile]:
    listed = list(files)
    paths = [file.path for file in listed]
    assert len(paths) == len(set(paths)), "each file once"
    return listed


def reasons(root: Path, **rules: Any) -> dict[str, str]:
    real = Path(os.path.realpath(root))
    return {Path(file.path).relative_to(real).as_posix(): file.reason for file in found(root, **rules)}


def write(root: Path, *names: str, content: bytes = b"some text\n") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_kinds_and_reasons(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.md",
        "b/README",
        "b/.hidden",
        ".git/config",
        "node_modules/x.js",
        "__pycache__/y.py",
        "c.txt",
    )
    write(tmp_path, "picture.PNG", "log.txt.gz", "empty.md", "data.xyz", "tool")
    (tmp_path / "empty.md").write_bytes(b"")
    (tmp_path / "tool").write_bytes(b"\x7fELF\0\0")
    (tmp_path / "large.txt").write_bytes(b"x" * 2 * MIB)
    assert reasons(tmp_path) == {
        "a.md": "",
        "b/.hidden": Skip.HIDDEN,
        "b/README": "",
        "c.txt": "",
        "data.xyz": "",
        "empty.md": Skip.EMPTY,
        "large.txt": Skip.TOO_LARGE,
        "log.txt.gz": "",
        "picture.PNG": Skip.PICTURE,
        "tool": Skip.BINARY,
    }


def test_order_is_that_of_names(tmp_path: Path) -> None:
    write(tmp_path, "b/2.txt", "a.txt", "b/1.txt", "c.txt", "b.txt")
    assert list(reasons(tmp_path)) == ["a.txt", "b/1.txt", "b/2.txt", "b.txt", "c.txt"]


def test_gitignore(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.log",
        "keep.log",
        "build/x.txt",
        "src/build/y.txt",
        "src/a.tmp",
        "src/b.tmp",
        "docs/x.md",
        "top.md",
    )
    write(tmp_path, "sub/top.md", "sub/deep/a.log", "odd name.md")
    (tmp_path / ".gitignore").write_text(
        "# comment\n*.log\n!keep.log\nbuild/\n/top.md\n*.tmp\n[\n!\nodd\\ name.md\n"
    )
    (tmp_path / "src/.gitignore").write_text("!b.tmp\n")
    (tmp_path / "sub/.gitignore").write_bytes(b"!a.log\n\xff\xfe\n")
    indexed = [name for name, reason in reasons(tmp_path).items() if not reason]
    assert indexed == ["docs/x.md", "keep.log", "src/b.tmp", "sub/deep/a.log", "sub/top.md"]
    assert reasons(tmp_path)["a.log"] == Skip.IGNORED
    assert "build/x.txt" not in reasons(tmp_path), "an ignored folder is not looked into"


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize(
    "patterns",
    [
        "*\n!*/\n!*.txt", "/*\n!/a/\n", "/*\n!/a", "a/*\n!a/b/\n", "a/**\n!a/b", "**/b", "a/**/c", "b/x.py\n*.md\n!z.md",
        "[ab]/", "?.py\n!x.py", "a\n!a/b", "*.py \n", "\\#x\n", "/a/b/", "**", "b/*/", "***\n!**/y.txt",
    ],
)  # fmt: skip
def test_gitignore_as_git_reads_it(tmp_path: Path, patterns: str) -> None:
    for folder in ("", "a/", "a/b/", "a/b/c/", "b/", "b/a/"):
        write(tmp_path, *(folder + name for name in ("x.py", "y.txt", "z.md", "#x", "c/n.txt")))
    (tmp_path / ".gitignore").write_text(patterns)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "init", "-q", tmp_path], check=True, env=environment)
    listed = subprocess.run(
        ["git", "-C", tmp_path, "ls-files", "-oz", "--exclude-standard"],
        check=True,
        capture_output=True,
        env=environment,
    )
    expected = {name for name in listed.stdout.decode().split("\0") if name and name != ".gitignore"}
    assert {name for name, reason in reasons(tmp_path).items() if not reason} == expected


def test_exclude(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "drafts/b.md", "x/drafts/c.md", "d.txt")
    result = reasons(tmp_path, exclude=("drafts/", "*.txt"))
    assert result == {"a.md": "", "d.txt": Skip.EXCLUDED}
    with pytest.raises(UsageError, match="pattern"):
        found(tmp_path, exclude=("!",))


def test_roots_overlap_and_are_wanted_even_if_hidden(tmp_path: Path) -> None:
    write(tmp_path, "a.md", ".notes/n.md", "sub/b.md", "sub/deep/c.md", "ignored/d.md", ".single.md")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    roots = [
        tmp_path,
        tmp_path / "sub/deep",
        tmp_path / ".notes",
        tmp_path / "ignored",
        tmp_path / ".single.md",
        tmp_path,
    ]
    indexed = sorted(Path(file.path).name for file in found(*roots) if not file.reason)
    assert indexed == [".single.md", "a.md", "b.md", "c.md", "d.md", "n.md"]


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    assert [file.reason for file in found(tmp_path / "none")] == [Skip.MISSING]


@posix_only
@pytest.mark.hazard
def test_links(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(root, "real/a.md")
    write(tmp_path, "outside.md", "elsewhere/b.md")
    (root / "inside.md").symlink_to("real/a.md")
    (root / "outside.md").symlink_to(tmp_path / "outside.md")
    (root / "broken.md").symlink_to("nowhere")
    (root / "circle").symlink_to("circle")
    (root / "up").symlink_to("..")
    (root / "self").symlink_to(".")
    (root / "real/elsewhere").symlink_to(tmp_path / "elsewhere")
    assert reasons(root) == {
        "broken.md": Skip.LINK_BROKEN,
        "circle": Skip.LINK_BROKEN,
        "inside.md": Skip.LINK_INSIDE,
        "outside.md": Skip.LINK_OUTSIDE,
        "real/a.md": "",
        "real/elsewhere": Skip.LINK_OUTSIDE,
        "self": Skip.LINK_INSIDE,
        "up": Skip.LINK_OUTSIDE,
    }
    (tmp_path / "door").symlink_to(root)
    assert len(found(root, tmp_path / "door")) == 8


@posix_only
@pytest.mark.hazard
def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.md")
    os.mkfifo(tmp_path / ".gitignore")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.txt")
        start = time.perf_counter()
        result = reasons(tmp_path)
    assert time.perf_counter() - start < 2
    assert result["pipe"] == result["pipe.md"] == result["socket.txt"] == Skip.NOT_REGULAR
    assert found(tmp_path / "pipe")[0].reason == found(Path("/dev/null"))[0].reason == Skip.NOT_REGULAR


@posix_only
@pytest.mark.hazard
def test_odd_names_and_sizes(tmp_path: Path) -> None:
    write(
        tmp_path,
        "line\nbreak.md",
        "-rf.md",
        "ünïcode 字.md",
        "x" * 240 + ".md",
        "\x1b]0;title\x07.md",
        " .md",
        "a.",
    )
    bad = os.fsencode(tmp_path) + b"/bad\xff.md"
    with open(bad, "wb") as file:
        file.write(b"x")
    os.mkdir(os.fsencode(tmp_path) + b"/dir\xfe")  # noqa: PTH102 (bytes)
    with open(tmp_path / "sparse.txt", "wb") as file:
        file.truncate(1 << 40)
    start = time.perf_counter()
    files = found(tmp_path)
    assert time.perf_counter() - start < 2
    assert len([file for file in files if not file.reason]) == 7
    skipped = sorted(file.reason for file in files if file.reason)
    assert skipped == [Skip.TOO_LARGE, Skip.UNREADABLE_NAME, Skip.UNREADABLE_NAME]


@posix_only
@pytest.mark.hazard
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    write(tmp_path, "closed/a.md", "unknown", "b.md")
    (tmp_path / "closed").chmod(0)
    (tmp_path / "unknown").chmod(0)
    try:
        assert reasons(tmp_path) == {"b.md": "", "closed": Skip.NO_PERMISSION, "unknown": Skip.NO_PERMISSION}
    finally:
        (tmp_path / "closed").chmod(0o700)


def test_a_deep_tree(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(400):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "a.md").write_text("x")
    assert [file.reason for file in found(tmp_path)] == [""]


def test_many_files_in_little_time(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("*.log\nbuild/\n!keep.log\n*.tmp\n/top\ndocs/**/x\n")
    for folder in range(50):
        (tmp_path / str(folder)).mkdir()
        for number in range(200):
            (tmp_path / str(folder) / f"{number}.{'log' if number % 10 == 0 else 'md'}").touch()
    start = time.perf_counter()
    files = found(tmp_path)
    assert time.perf_counter() - start < 5
    assert len(files) == 10_001
    assert sum(file.reason == Skip.IGNORED for file in files) == 1_000


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.md", "markdown"), ("A.MD", "markdown"), ("x.rst.txt", "rst"), ("x.txt", "text"), ("x.py", "code"), ("x.h", "code"),
        ("x.pdf", "pdf"), ("x.ipynb", "notebook"), ("x.tsv", "csv"), ("x.json", "json"), ("x.htm", "html"), ("README", None),
        ("Makefile", None), ("x.png", "picture"), ("x.unknown", None), (".profile", None), ("a.b/c", None), ("x.", None),
    ],
)  # fmt: skip
def test_kind_of(name: str, kind: str | None) -> None:
    known = kind_of(name)
    assert (known.name if isinstance(known, Kind) else None) == kind


def test_suffix_of() -> None:
    assert [suffix_of(name) for name in ("a.TXT", "a.tar.gz", ".profile", "..x", "a", "a.")] == [
        "txt",
        "gz",
        "",
        "",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("head", "is_binary"),
    [
        (b"plain text", False), ("ünïcode".encode("latin-1"), False), ("text".encode("utf-16"), False), (b"a\0b", True),
        (b"\x1b[31mred\x1b[0m\x0c\x08", False), (b"", False), (bytes(range(1, 32)) * 9, True), (b"%PDF-1.4", True),
    ],
)  # fmt: skip
def test_looks_binary(head: bytes, is_binary: bool) -> None:
    assert looks_binary(head) is is_binary


def test_errors_of_the_system_are_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "a.md", "bad/b.md")
    real_scandir: Callable[[str], object] = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("bad"):
            raise OSError(5, "Input/output error")
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert reasons(tmp_path) == {"a.md": "", "bad": Skip.UNREADABLE}
