"""`ragchat` as scripts and shells see it: shapes, exit codes, streams, signals. Each run is a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from ragchat.paths import MANUAL
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals and pipes")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Measuring the machine is another test's business.
QUICK = {
    "RAGCHAT_MODEL__THREADS": "2",
    "RAGCHAT_MODEL__THREADS_BATCH": "2",
    "RAGCHAT_MODEL__FLASH_ATTENTION": "off",
    "RAGCHAT_MODEL__N_CTX": "2048",
    "RAGCHAT_SAMPLING__TEMPERATURE": "0",
}
PUMP = "How long is the warranty of the Zephyr pump?"
UNKNOWN = "Which treaty ended the Franco-Prussian war?"


@dataclass(frozen=True)
class Home:
    """A RAGCHAT_HOME of its own, and a way to run ragchat in it."""

    path: Path

    def environment(self, env: dict[str, str] | None = None) -> dict[str, str]:
        clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
        return {**clean, **QUICK, "RAGCHAT_HOME": str(self.path), **(env or {})}

    def run(
        self, *arguments: str | bytes, stdin: bytes | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "ragchat", *arguments],
            env=self.environment(env),
            timeout=60,
            capture_output=True,
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback" not in err, err
        assert not CONTROL.search(out), repr(out)
        assert not CONTROL.search(err), repr(err)
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "ragchat", *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    @contextmanager
    def chats(self) -> Iterator[ChatStore]:
        store = ChatStore(self.path / "data/ragchat.db")
        yield store
        store.close()


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one knowledge base, which tests only read."""
    folder = tmp_path_factory.mktemp("notes")
    (folder / "zephyr.md").write_text(
        "# Zephyr pump\n\nThe Zephyr pump must be primed for forty seconds before use.\n\n"
        "## Warranty\n\nThe warranty of the Zephyr pump lasts seven years.\n"
    )
    (folder / "garden.md").write_text("# Garden\n\nTomatoes are planted in May. Beans follow in June.\n")
    (folder / "lamp.txt").write_text("The Orion lamp runs on two batteries.\n")
    (folder / "tool.exe").write_bytes(b"MZ\x00\x00")
    (folder / "broken.docx").write_bytes(b"PK\x03\x04 broken")
    home = Home(tmp_path_factory.mktemp("home"))
    assert home.run("kb", "add", "notes", str(folder)).returncode == 0
    return home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def many(folder: Path, number: int) -> Path:
    folder.mkdir()
    for i in range(number):
        (folder / f"doc{i:04}.md").write_text(f"# Note {i}\n\nThe unicorn lives in house {i}.\n")
    return folder


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def keys(value: dict[str, Any]) -> list[str]:
    return list(value)


# --- help and imports -------------------------------------------------------------------------------------


def test_every_help_works_and_imports_nothing_heavy(tmp_path: Path) -> None:
    program = """
import sys, ragchat.cli
from click.testing import CliRunner
import click
def walk(command, words):
    result = CliRunner().invoke(ragchat.cli.ragchat, [*words, "--help"])
    assert result.exit_code == 0 and "Usage:" in result.output, (words, result.output, result.exception)
    print(" ".join(words))
    if isinstance(command, click.Group):
        for name in command.list_commands(None):
            walk(command.get_command(None, name), [*words, name])
before = set(sys.modules)
heavy = ["numpy", "textual", "llama_cpp", "kreuzberg", "sqlite_utils", "torch", "jinja2", "psutil", "rank_bm25", "Stemmer"]
assert not [name for name in heavy if name in sys.modules], "import ragchat.cli"
walk(ragchat.cli.ragchat, [])
print("HEAVY", [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=Home(tmp_path / "home").environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    for words in ("ask", "chat", "setup", "doctor", "kb add", "kb search", "config set", "model pull"):
        assert words in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert not (tmp_path / "home").exists(), "help makes no folders"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["frobnicate"], 2, "frobnicate"),
        (["ask", "--frobnicate", "x"], 2, "--frobnicate"),
        (["ask"], 2, "question is empty"),
        (["ask", ""], 2, "question is empty"),
        (["ask", "\x1b[31m\x07"], 2, "question is empty"),
        (["ask", "x", "-k", "0"], 2, "-k"),
        (["ask", "x", "--kb", "a", "--no-rag"], 2, "together"),
        (["ask", "x", "--strict", "--no-rag"], 2, "together"),
        (["ask", "x", "--strict"], 3, "no documents"),
        (["ask", "x", "--kb", "nowhere"], 4, "'nowhere'"),
        (["ask", "x", "--model", "nowhere", "--no-rag"], 4, "nowhere"),
        (["ask", "x", "--batch", "nowhere.jsonl"], 2, "nowhere.jsonl"),
        (["ask", "--batch", "/dev/null", "--dry-run"], 2, "together"),
        (["kb", "search", "x"], 4, "no knowledge base"),
        (["kb", "search"], 2, "query"),
        (["kb", "status", "nowhere"], 4, "'nowhere'"),
        (["kb", "sync", "nowhere"], 4, "'nowhere'"),
        (["kb", "remove", "nowhere", "--yes"], 4, "'nowhere'"),
        (["kb", "add", "notes"], 2, "PATH"),
        (["kb", "add", "notes", "/nowhere/at/all"], 4, "/nowhere/at/all"),
        (["kb", "add", "../notes", "."], 2, "'../notes'"),
        (["config", "set", "retrieval.kk", "3"], 2, "retrieval.k"),
        (["config", "set", "retrieval.k", "many"], 2, "retrieval.k"),
    ],
)
def test_wrong_calls(home: Home, arguments: list[str], code: int, said: str) -> None:
    done = home.run(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr


def test_no_model_file_is_broken_quietly(home: Home, tmp_path: Path, default_model: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(default_model.read_bytes()[:2_000_000])
    page = tmp_path / "page.gguf"
    page.write_text("<html>")
    for model in (cut, page):
        done = home.run("ask", "x", "--model", str(model))
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr.startswith("ragchat: ")


# --- kb ---------------------------------------------------------------------------------------------------


def test_kb_shapes(notes: Home) -> None:
    (row,) = notes.json("kb", "list", "--json")
    assert keys(row) == ["name", "documents", "chunks", "size_bytes", "synced_at", "roots", "path", "sources"]
    assert (row["name"], row["documents"]) == ("notes", 3)
    status = notes.json("kb", "status", "notes", "--json")
    assert keys(status) == [
        *("found", "indexed", "skipped", "failed", "chunks", "files"),
        *("roots", "sources", "options", "size_bytes", "synced_at", "watched_by", "embedding"),
    ]
    assert (status["found"], status["indexed"], status["skipped"], status["failed"]) == (5, 3, 1, 1)
    assert len(status["files"]) == 5
    for file in status["files"]:
        assert keys(file) == ["path", "state", "reason", "left_out"]
        assert Path(file["path"]).is_file()
        assert bool(file["reason"]) == (file["state"] != "indexed")
    found = notes.json("kb", "search", "zephyr warranty", "--json")
    assert keys(found) == ["query", "hits", "took_s", "scope", "corrections"]
    hit = found["hits"][0]
    assert keys(hit) == [
        *("rank", "score", "path", *PLACE, "heading", "text", "evidence"),
        *("kb", "highlights", "content_hash"),
    ]
    marked = [hit["evidence"][a:b].lower() for a, b in hit["highlights"]]
    assert set(marked) == {"zephyr", "warranty"}
    assert (found["query"], hit["rank"], hit["page"]) == ("zephyr warranty", 1, None)
    assert hit["evidence"] in hit["text"]
    first, last = hit["lines"]
    lines = Path(hit["path"]).read_text().splitlines()
    assert "\n".join(lines[first - 1 : last]) == hit["text"], "the lines are those of the file"
    assert 0 < found["took_s"] < 5
    assert [h["score"] for h in found["hits"]] == sorted((h["score"] for h in found["hits"]), reverse=True)
    assert notes.json("kb", "search", "zephyr orion tomatoes", "--json", "-k", "2")["hits"][2:] == []
    assert notes.json("kb", "search", "xylophone", "--json")["hits"] == []
    twice = notes.json("kb", "search", "zephyr warranty", "--json", "--kb", "notes", "--kb", "notes")
    assert len(twice["hits"]) == len(found["hits"]), "a name given twice is one knowledge base"


def test_kb_for_people(notes: Home) -> None:
    done = notes.run("kb", "status", "notes")
    assert "found 5 = indexed 3 + skipped 1 + failed 1" in done.stdout
    assert "broken.docx" in done.stdout
    assert "zephyr.md" not in done.stdout
    assert "zephyr.md" in notes.run("kb", "status", "notes", "--all").stdout
    assert "3 documents" in notes.run("kb", "list").stdout
    done = notes.run("kb", "search", "zephyr warranty")
    assert "zephyr.md" in done.stdout
    assert "1 hit in" in done.stderr
    done = notes.run("kb", "search", "xylophone")
    assert (done.returncode, done.stdout) == (0, "")
    assert "No passages found." in done.stderr


def test_kb_life(home: Home, tmp_path: Path) -> None:
    folder = many(tmp_path / "docs", 3)
    assert home.json("kb", "list", "--json") == []
    done = home.run("kb", "add", "life", str(folder))
    assert (done.returncode, done.stdout) == (0, "")
    assert "found 3 = indexed 3 + skipped 0 + failed 0" in done.stderr
    (folder / "doc0000.md").unlink()
    (folder / "doc0001.md").write_text("Changed.")
    states = {Path(f["path"]).name: f["state"] for f in home.json("kb", "status", "life", "--json")["files"]}
    assert states == {"doc0000.md": "missing", "doc0001.md": "changed", "doc0002.md": "indexed"}
    assert "1 changed and 1 gone" in home.run("kb", "status", "life").stdout
    assert "1 unchanged, 1 removed" in home.run("kb", "sync").stderr
    assert home.run("kb", "remove", "life").returncode == 130, "it asks, and nobody says yes"
    assert len(home.json("kb", "list", "--json")) == 1
    assert home.run("kb", "remove", "life", "--yes").returncode == 0
    assert home.json("kb", "list", "--json") == []
    assert sorted(path.name for path in folder.iterdir()) == ["doc0001.md", "doc0002.md"]
    assert list((home.path / "data/kb").iterdir()) == []


def test_a_damaged_knowledge_base_can_be_removed(home: Home, tmp_path: Path) -> None:
    home.run("kb", "add", "bad", str(many(tmp_path / "docs", 1)))
    (home.path / "data/kb/bad.db").write_bytes(b"no database at all" * 100)
    assert home.run("kb", "status", "bad").returncode == 6
    done = home.run("kb", "list", "--json")
    assert json.loads(done.stdout) == []
    assert "bad" in done.stderr
    assert home.run("kb", "remove", "bad", "--yes").returncode == 0
    assert "bad" not in home.run("kb", "list").stderr


def test_search_batch(notes: Home, tmp_path: Path) -> None:
    batch = tmp_path / "q.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": "ü", "question": "tomatoes"},
        {"id": 7, "question": PUMP},
        {"id": None, "question": "xylophone"},
        {"id": {"a": [1]}, "question": "lamp\u2028batteries"},
        {"question": "beans"},
    ]
    batch.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n")
    done = notes.run("kb", "search", "--batch", str(batch), "-k", "1")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert [row["id"] for row in found] == ["ü", 7, None, {"a": [1]}, 5]
    assert [row["query"] for row in found] == [row["question"] for row in rows]
    assert all(keys(row) == ["id", "query", "hits", "took_s", "scope", "corrections"] for row in found)
    assert [len(row["hits"]) for row in found] == [1, 1, 0, 1, 1]
    for bad in ("not json", '{"id": 1}', '{"id": 1, "question": " "}', "[1]", '{"id": 1, "question": 3}'):
        batch.write_text(json.dumps(rows[0]) + "\n" + bad + "\n")
        for command in (["kb", "search"], ["ask"]):
            done = notes.run(*command, "--batch", str(batch))
            assert (done.returncode, done.stdout) == (2, ""), "nothing is asked before all lines are sound"
            assert "line 2" in done.stderr


@posix_only
def test_a_reader_that_goes_away_is_no_error(notes: Home, tmp_path: Path) -> None:
    batch = tmp_path / "q.jsonl"
    batch.write_text("".join(json.dumps({"id": i, "question": PUMP}) + "\n" for i in range(400)))
    for command in (f"kb search --batch {shlex.quote(str(batch))}", "config show", "kb list --json"):
        done = subprocess.run(
            ["bash", "-c", f"{shlex.quote(sys.executable)} -m ragchat {command} | head -1"],
            env=notes.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stderr == "", command


# --- hostile names ----------------------------------------------------------------------------------------

NAMES = [
    b"esc\x1b]52;c;aGk=\x07.md",
    b"csi\x1b[2J\x1b[31m.md",
    b"c1\xc2\x9b31m.md",
    b"new\nline\rreturn.md",
    b"bidi\xe2\x80\xaefdp.md",
    b"[red]markup[@click=x].md",
    b"bad\xff\xfe.md",
    b"--json.md",
]


@posix_only
def test_hostile_names_never_reach_the_terminal(home: Home, tmp_path: Path) -> None:
    """`Home.run` looks for control characters in everything that comes out."""
    folder = tmp_path / "do\x1b[31mcs"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        with open(os.fsencode(folder) + b"/" + name, "wb") as file:
            file.write(
                b"# Head\x1b[5m\n\nThe zebra \x1b]0;title\x07 grazes \xc2\x9b31m here " + b"%d.\n" % number
            )
    assert home.run("kb", "add", "z", str(folder)).returncode == 0
    files = home.json("kb", "status", "z", "--json")["files"]
    on_disk = {str(folder / os.fsdecode(name)) for name in NAMES if b"\xff" not in name}
    assert on_disk < {file["path"] for file in files}, "paths in JSON are exact"
    done = home.run("kb", "status", "z", "--all")
    listed = done.stdout.partition("  embedded ")[2].splitlines()[1:]
    assert len(listed) == len(NAMES), "a newline in a name makes no line"
    assert home.run("kb", "list").returncode == 0
    assert home.json("kb", "list", "--json")[0]["roots"] == [str(folder)]
    found = home.run("kb", "search", "zebra")
    assert found.stdout.count("zebra") == 7
    assert {hit["path"] for hit in home.json("kb", "search", "zebra", "--json")["hits"]} == on_disk
    with open(os.fsencode(folder) + b"/" + NAMES[0], "wb") as file:
        file.write(b"changed")
    assert home.run("kb", "sync").returncode == 0
    hostile = "x\x1b[31m\x9b2J\n"
    for arguments in (
        ["kb", "add", "y", str(folder / hostile)],
        ["kb", "add", hostile, str(folder)],
        ["kb", "status", hostile],
        ["kb", "search", "q", "--kb", hostile],
        ["ask", "q", "--kb", hostile],
        ["ask", "q", "--model", hostile, "--no-rag"],
        ["ask", "q", "--model", str(folder / os.fsdecode(NAMES[0])), "--no-rag"],
        ["ask", "--batch", hostile],
        ["config", "set", hostile, "1"],
        ["config", "set", "model.name", hostile],
        ["model", "info", hostile],
        ["model", "info", str(folder / os.fsdecode(NAMES[1]))],
        [hostile],
        [f"--{hostile}"],
        ["doctor"],
        ["config", "show"],
        ["config", "show", "--json"],
        ["model", "list"],
    ):
        done = home.run(*arguments, env={"RAGCHAT_MODEL__NAME": str(folder / "no\x1b[31mne.gguf")})
        assert done.stdout + done.stderr


# --- settings ---------------------------------------------------------------------------------------------


def test_config(home: Home) -> None:
    before = home.json("config", "show", "--json")
    assert all(keys(row) == ["value", "default", "origin", "meaning"] for row in before.values())
    assert all(row["meaning"] for row in before.values())
    assert before["retrieval.k"]["origin"] == "default"
    done = home.run("config", "set", "retrieval.k", "12")
    assert (done.returncode, done.stdout) == (0, "")
    assert home.run("config", "set", "chat.knowledge_bases", "a, b").returncode == 0
    after = home.json("config", "show", "--json")
    assert (after["retrieval.k"]["value"], after["retrieval.k"]["origin"]) == (12, "file")
    assert after["chat.knowledge_bases"]["value"] == ["a", "b"]
    assert after["model.threads"]["origin"] == "environment"
    shown = home.run("config", "show").stdout
    assert "retrieval.k = 12  (file; default 8)" in shown
    assert all(key in shown for key in after)
    paths = home.run("config", "path").stdout
    assert all(str(home.path) in line for line in paths.splitlines()), "everything under one folder"
    (home.path / "config/settings.toml").write_text("[retrieval]\nkk = 3\n")
    for arguments in (["config", "show"], ["ask", "x"], ["kb", "list"]):
        done = home.run(*arguments)
        assert done.returncode == 2
        assert "retrieval.kk" in done.stderr
        assert "settings.toml" in done.stderr


def test_a_misspelt_variable_is_named(home: Home) -> None:
    done = home.run("kb", "list", env={"RAGCHAT_RETRIEVAL__KK": "3"})
    assert done.returncode == 2
    assert "retrieval.kk" in done.stderr


@posix_only
def test_no_color_is_honoured_on_a_terminal(home: Home) -> None:
    import pty

    def on_terminal(env: dict[str, str]) -> bytes:
        parent, child = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "ragchat", "config", "show"],
            env=home.environment({"TERM": "xterm-256color", **env}),
            stdin=child,
            stdout=child,
            stderr=child,
        )
        os.close(child)
        out = b""
        while True:
            try:
                block = os.read(parent, 65536)
            except OSError:
                break
            if not block:
                break
            out += block
        os.close(parent)
        assert process.wait(30) == 0
        return out

    assert b"\x1b[" in on_terminal({})
    assert b"\x1b[" not in on_terminal({"NO_COLOR": "1"})


def test_setup_twice_and_after_a_move(home: Home, tmp_path: Path) -> None:
    first = home.run("setup", "--no-model")
    assert first.returncode == 0
    pages = len(list(MANUAL.glob("*.md")))
    assert home.json("kb", "list", "--json")[0]["documents"] == pages
    started = time.perf_counter()
    assert home.run("setup", "--no-model").stderr == first.stderr
    assert time.perf_counter() - started < 5
    # Another installation's manual lay elsewhere.
    with KnowledgeStore.open(home.path / "data/kb", "manual") as store:
        store.add_roots([many(tmp_path / "old-manual", 2)])
    assert home.run("kb", "sync").returncode == 0
    assert home.json("kb", "list", "--json")[0]["documents"] == pages + 2
    assert home.run("setup", "--no-model").returncode == 0
    (row,) = home.json("kb", "list", "--json")
    assert (row["documents"], row["roots"]) == (pages, [os.path.realpath(MANUAL)])


# --- doctor -----------------------------------------------------------------------------------------------


def bad_findings(home: Home, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    done = home.run("doctor", "--json", env=env)
    findings = json.loads(done.stdout)
    bad = [finding for finding in findings if not finding["ok"]]
    assert done.returncode == bool(bad)
    assert all(finding["remedy"] for finding in bad), bad
    return bad


@pytest.mark.real_model
def test_doctor_when_all_is_well(home: Home, tmp_path: Path, default_model: Path) -> None:
    home.run("kb", "add", "docs", str(many(tmp_path / "docs", 2)))
    done = home.run("doctor")
    assert done.returncode == 0, done.stdout
    assert "BAD" not in done.stdout
    for about in ("data folder", "disk", "chats", "kb docs", "model", "memory", "SQLite", "inference"):
        assert f"ok  {about}" in done.stdout
    assert "wrote a token" in done.stdout


def test_doctor_names_what_is_wrong(home: Home, tmp_path: Path, default_model: Path) -> None:
    nowhere = {"RAGCHAT_MODEL__NAME": "nowhere"}
    bad = bad_findings(home, nowhere)
    assert any("nowhere" in finding["detail"] for finding in bad)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(default_model.read_bytes()[:2_000_000])
    (model, _) = bad_findings(home, {"RAGCHAT_MODEL__NAME": str(cut)})
    assert "cut" in model["detail"]
    done = home.run("doctor", env=nowhere)
    assert done.returncode == 1
    assert "    -> " in done.stdout


@pytest.mark.parametrize("damage", ["header", "middle", "empty", "cut"])
def test_doctor_finds_a_damaged_knowledge_base(home: Home, tmp_path: Path, damage: str) -> None:
    home.run("kb", "add", "hurt", str(many(tmp_path / "docs", 200)))
    database = home.path / "data/kb/hurt.db"
    data = bytearray(database.read_bytes())
    match damage:
        case "header":
            data[:100] = b"x" * 100
        case "middle":
            for page in range(5, len(data) // 4096, 2):
                data[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
        case "empty":
            data = bytearray()
        case "cut":
            data = data[: len(data) // 2 // 4096 * 4096]
    database.write_bytes(data)
    bad = bad_findings(home, {"RAGCHAT_MODEL__NAME": "nowhere"})
    found = [finding for finding in bad if finding["about"] == "kb hurt" or "hurt.db" in finding["detail"]]
    assert found, bad


@pytest.mark.parametrize("folder", ["cache", "state", "data"])
def test_doctor_finds_a_folder_that_cannot_be_used(home: Home, folder: str) -> None:
    """(Root may write everywhere, hence a file in its place.)"""
    home.path.mkdir()
    (home.path / folder).write_text("in the way")
    bad = bad_findings(home, {"RAGCHAT_MODEL__NAME": "nowhere"})
    assert any(str(home.path / folder) in finding["detail"] for finding in bad)


# --- ask --------------------------------------------------------------------------------------------------

PLACE = ["page", "page_last", "page_label", "lines", "text_lines", "part", "ocr_confidence"]
TOKENS = [
    *("prompt", "completion", "cached", "ahead", "in_vain", "in_vain_cpu_s"),
    *("restored", "drafted", "accepted"),
]
SHAPE = [
    *(
        "question",
        "answer",
        "kind",
        "quotes",
        "statements",
        "strict",
        "answered",
        "documents_answer",
        "nearest",
    ),
    *("finish_reason", "model", "adapter", "knowledge_bases", "query", "scope"),
    *("corrections", "rewritten", "citations", "timings", "tokens"),
]


def test_strict_declines_without_a_model(notes: Home) -> None:
    nowhere = {"RAGCHAT_MODEL__NAME": "nowhere"}
    done = notes.run("ask", UNKNOWN, "--strict", "--json", env=nowhere)
    assert done.returncode == 3
    answer = json.loads(done.stdout)
    assert keys(answer) == SHAPE
    assert (answer["citations"], answer["tokens"]) == ([], dict.fromkeys(TOKENS, 0))
    assert "Your documents do not answer this" in done.stderr
    done = notes.run("ask", UNKNOWN, env={**nowhere, "RAGCHAT_CHAT__STRICT": "yes"})
    assert done.returncode == 3
    assert done.stdout == "Nothing in your documents answers this.\n"


def test_what_cannot_be_asked_leaves_no_chat_behind(home: Home, tmp_path: Path) -> None:
    """The question stands in the shell's history; a list of chats that nobody can answer helps nobody."""
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(100))
    for model, code in (("nowhere", 4), (str(broken), 5)):
        done = home.run("ask", "Hello?", "--model", model)
        assert done.returncode == code, done.stderr
    with home.chats() as chats:
        assert chats.conversations() == []


def test_a_model_file_that_is_not_there_is_not_found(home: Home, tmp_path: Path) -> None:
    done = home.run("model", "add", str(tmp_path / "nope.gguf"))
    assert done.returncode == 4
    assert "does not exist" in done.stderr


def test_a_question_of_the_chats_is_taken_out_by_its_id(home: Home) -> None:
    with home.chats() as chats:
        chats.add_evaluation_question("Who built it?", ["Ada Pell"])
        chats.add_evaluation_question("When?", ["1871"])
    asked = home.json("eval", "questions", "list", "chat", "--json")["questions"]
    done = home.run("eval", "questions", "remove", "chat", asked[0]["id"])
    assert done.returncode == 0, done.stderr
    [left] = home.json("eval", "questions", "list", "chat", "--json")["questions"]
    assert left["question"] == asked[1]["question"]
    assert "Available: chat" in home.run("eval", "questions", "list", "nope").stderr


def test_lists_of_commands_say_whole_sentences(home: Home) -> None:
    for group in ("eval", "kb", "adapter", "chats", "model"):
        assert "..." not in home.run(group, "--help").stdout.replace("ARGS]...", "")


@posix_only
def test_a_closed_standard_input_is_no_input(notes: Home) -> None:
    command = f"{shlex.quote(sys.executable)} -m ragchat ask --strict {shlex.quote(UNKNOWN)} <&-"
    done = subprocess.run(
        ["bash", "-c", command], env=notes.environment(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.real_model
def test_ask_json(notes: Home, default_model: Path) -> None:
    answer = notes.json("ask", PUMP, "--json", "--max-tokens", "40", "--seed", "1")
    assert keys(answer) == SHAPE
    assert keys(answer["timings"]) == ["retrieval_s", "ttft_s", "prefill_tok_s", "decode_tok_s"]
    assert all(value > 0 for value in answer["timings"].values())
    assert keys(answer["tokens"]) == TOKENS
    assert answer["tokens"]["cached"] >= answer["tokens"]["ahead"] + answer["tokens"]["restored"]
    assert (answer["question"], answer["query"], answer["adapter"]) == (PUMP, PUMP, None)
    assert (answer["model"], answer["knowledge_bases"]) == (default_model.stem, ["notes"])
    (citation,) = answer["citations"]
    assert keys(citation) == ["n", "path", *PLACE, "heading", "quote", "content_hash", "kb", "cited_by"]
    assert citation["content_hash"] == hashlib.sha256(Path(citation["path"]).read_bytes()).hexdigest()
    assert citation["kb"] == "notes"
    assert f"[{citation['n']}]" in answer["answer"]
    first, last = citation["lines"]
    assert citation["quote"] in "\n".join(Path(citation["path"]).read_text().splitlines()[first - 1 : last])
    with notes.chats() as chats:
        conversation = chats.conversations()[0]
        asked, answered = chats.messages(conversation.id)
    assert (conversation.title, conversation.knowledge_bases) == (PUMP, ("notes",))
    assert (asked.content, answered.content, answered.state) == (PUMP, answer["answer"], "complete")


@pytest.mark.real_model
def test_ask_for_people_with_piped_text(notes: Home) -> None:
    piped = b"Marvin is a robot with a brain the size of a planet.\x1b[2J"
    done = notes.run("ask", "Who is Marvin?", "-", "--no-rag", "--max-tokens", "12", stdin=piped)
    assert done.returncode == 0
    assert done.stdout.strip()
    assert "tokens/s" in done.stderr
    with notes.chats() as chats:
        conversation = chats.conversations()[0]
        asked, answered = chats.messages(conversation.id)
        generation = chats.generation(answered.id)
    assert asked.content == "Who is Marvin?\n\nMarvin is a robot with a brain the size of a planet."
    assert generation
    assert "the size of a planet" in generation.prompt[-1].content
    assert generation.knowledge_bases == conversation.knowledge_bases == ()
    assert answered.content.strip() == done.stdout.strip()


@pytest.mark.real_model
def test_dry_run_shows_the_prompt_and_stores_nothing(notes: Home) -> None:
    with notes.chats() as chats:
        before = len(chats.conversations())
    done = notes.run("ask", "-", "--dry-run", "--json", stdin=PUMP.encode())
    shown = json.loads(done.stdout)
    assert keys(shown) == [
        "query",
        "scope",
        "rewritten",
        "messages",
        "rendered",
        "parts",
        "tokens",
        "n_ctx",
        "left_out",
    ]
    assert shown["tokens"] == sum(shown["parts"].values()) <= shown["n_ctx"] == 2048
    assert [message["role"] for message in shown["messages"]] == ["system", "user"]
    assert "seven years" in shown["rendered"]
    assert shown["messages"][-1]["content"].endswith(f"Question: {PUMP}")
    done = notes.run("ask", PUMP, "--dry-run", "--no-rag")
    assert "<|im_start|>user" in done.stdout
    assert "seven years" not in done.stdout
    with notes.chats() as chats:
        assert len(chats.conversations()) == before


@pytest.mark.real_model
def test_ask_batch(notes: Home, tmp_path: Path) -> None:
    with notes.chats() as chats:
        before = len(chats.conversations())
    batch = tmp_path / "q.jsonl"
    rows = [{"id": "b", "question": PUMP}, {"id": 1, "question": UNKNOWN}, {"question": PUMP}]
    batch.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = notes.run("ask", "--batch", str(batch), "--max-tokens", "24")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == ["b", 1, 3]
    assert all(keys(answer) == ["id", *SHAPE] for answer in answers)
    assert answers[0]["citations"]
    assert answers[1]["citations"] == []
    assert answers[1]["answer"].startswith("Nothing in your documents answers this.")
    assert answers[0]["answer"] == answers[2]["answer"], "one question does not colour the next"
    with notes.chats() as chats:
        assert len(chats.conversations()) == before


# --- interrupted and killed -------------------------------------------------------------------------------

STORY = (
    "ask",
    "Write a very long story about a fox who travels the world.",
    "--no-rag",
    "--max-tokens",
    "900",
)


def partial(home: Home) -> str:
    database = home.path / "data/ragchat.db"
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT content FROM messages WHERE role = 'assistant'").fetchone()
            return row[0] if row else ""
    except sqlite3.Error:
        return ""


def answering(home: Home) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A `ragchat ask` that has begun to write, and its children."""
    process = home.start(*STORY)
    wait_for(lambda: len(partial(home)) > 20 or process.poll() is not None)
    if process.poll() is not None:
        raise AssertionError(process.communicate())
    children = psutil.Process(process.pid).children(recursive=True)
    assert children, "the inference process"
    return process, children


@posix_only
@pytest.mark.real_model
@pytest.mark.hazard
def test_ctrl_c_in_mid_answer(home: Home) -> None:
    process, children = answering(home)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"kept" in err
    assert psutil.wait_procs(children, timeout=2)[1] == []
    with home.chats() as chats:
        asked, answer = chats.messages(1)
    assert asked.content == STORY[1]
    assert answer.state == "cancelled"
    assert answer.content.strip() == out.decode().strip()
    assert len(answer.content) > 20


@posix_only
@pytest.mark.real_model
@pytest.mark.hazard
def test_killed_in_mid_answer(home: Home) -> None:
    process, children = answering(home)
    seen, changed_at = "", time.monotonic()
    until = time.monotonic() + 1.7
    while time.monotonic() < until:
        if (now := partial(home)) != seen:
            seen, changed_at = now, time.monotonic()
        time.sleep(0.01)
    assert process.poll() is None
    process.kill()
    killed_at = time.monotonic()
    process.communicate(timeout=15)
    assert psutil.wait_procs(children, timeout=2)[1] == [], "it dies with its parent"
    assert killed_at - changed_at < 1.2, "what is stored is never much older than what was said"
    with home.chats() as chats:
        asked, answer = chats.messages(1)
        assert (asked.content, asked.state, answer.state) == (STORY[1], "complete", "streaming")
        assert answer.content.startswith(seen)
        assert chats.recover() == 1
        assert chats.messages(1)[1].state == "interrupted"
        assert chats.messages(1)[1].content == answer.content
        assert chats.check() == "ok"


@posix_only
@pytest.mark.real_model
@pytest.mark.hazard
def test_the_inference_process_is_killed_in_mid_answer(home: Home) -> None:
    process, (child, *_) = answering(home)
    child.kill()
    _, err = process.communicate(timeout=15)
    assert process.returncode == 5
    assert b"Traceback" not in err
    assert b"SIGKILL" in err
    with home.chats() as chats:
        asked, answer = chats.messages(1)
    assert asked.content == STORY[1]
    assert (answer.state, bool(answer.error), len(answer.content) > 20) == ("error", True, True)
    again = home.run("ask", "Say yes.", "--no-rag", "--max-tokens", "4")
    assert again.returncode == 0, "asking again by hand loads it again"


@posix_only
@pytest.mark.hazard
def test_ctrl_c_in_mid_index(home: Home, tmp_path: Path) -> None:
    folder = many(tmp_path / "docs", 1500)
    process = home.start("kb", "add", "many", str(folder))
    database = home.path / "data/kb/many.db"

    def begun() -> bool:
        try:
            with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
                return bool(db.execute("SELECT count(*) > 20 FROM documents").fetchone()[0])
        except sqlite3.Error:
            return False

    wait_for(begun)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (130, b"")
    assert b"`ragchat kb sync many`" in err
    assert psutil.wait_procs(children, timeout=2)[1] == []
    done = home.json("kb", "status", "many", "--json")["indexed"]
    assert 20 <= done < 1500
    assert f"{done:,} unchanged" in home.run("kb", "sync", "many").stderr
    assert home.json("kb", "status", "many", "--json")["indexed"] == 1500
