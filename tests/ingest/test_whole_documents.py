"""What a person sees of documents that are read in part and of documents inside documents, on the command line."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ragchat.cli.kb_report import describe_files
from ragchat.types import Document, LeftOut, LeftOutKind


def ragchat(home: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "RAGCHAT_HOME": str(home)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attached(name: str, content: bytes) -> str:
    body = base64.b64encode(content).decode()
    return (
        f"--x\nContent-Type: application/octet-stream\nContent-Disposition: attachment; filename={name}\n"
        f"Content-Transfer-Encoding: base64\n\n{body}\n"
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("whole")
    docs = home / "docs"
    docs.mkdir()
    table = b"Hive,Honey\nNorth,31 kilos\nSouth,12 kilos\n"
    (docs / "bees.eml").write_text(
        "From: Wil Ode <wil@example.org>\nSubject: Honey of this year\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/plain\n\nThe figures are attached.\n'
        + attached("honey.csv", table)
        + attached("tool.exe", b"MZ\0\0")
        + "--x--\n"
    )
    (docs / "garden.html").write_text(
        "<html><head><title>Garden</title></head>\n<body>\n<h1>Garden</h1>\n\n<p>Water it.</p>\n\n\n<h2>Ponds</h2>\n"
        "<p>The pond is cleaned in April by the neighbours.</p>\n</body></html>\n"
    )
    for number in range(9):
        (docs / f"photo{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    ragchat(home, "kb", "add", "life", str(docs))
    return home


def hits(home: Path, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ragchat(home, "kb", "search", query, "--json"))["hits"]
    return found


def test_an_attachment_is_found_and_cited_as_mail_and_attachment(home: Path) -> None:
    hit = hits(home, "North hive kilos")[0]
    assert Path(hit["path"]).name == "bees.eml"
    assert (hit["part"], hit["lines"]) == ("honey.csv", [1, 3])
    assert hit["heading"] == "honey.csv > Hive, Honey"
    assert "(honey.csv, lines 1-3)" in ragchat(home, "kb", "search", "North hive kilos")
    assert "[life]" in ragchat(home, "kb", "search", "North hive kilos")


def test_lines_of_a_web_page_are_lines_of_its_file(home: Path) -> None:
    hit = hits(home, "pond cleaned neighbours")[0]
    lines = (home / "docs" / "garden.html").read_text().split("\n")
    first, last = hit["lines"]
    assert "The pond is cleaned" in "\n".join(lines[first - 1 : last])
    assert hit["text_lines"][1] < last


def test_status_says_what_was_left_out_and_groups_what_is_many(home: Path) -> None:
    said = ragchat(home, "kb", "status", "life")
    assert "bees.eml: without 1 attachment (tool.exe" in said
    assert "9 files, such as photo0.png, photo1.png: " in said
    assert said.count("photo") == 2
    assert "`ragchat kb status life --all` lists each of them." in said
    assert ragchat(home, "kb", "status", "life", "--all").count("photo") == 9
    files = {
        Path(f["path"]).name: f for f in json.loads(ragchat(home, "kb", "status", "life", "--json"))["files"]
    }
    (left,) = files["bees.eml"]["left_out"]
    assert (left["kind"], left["count"]) == ("attachment", 1)
    assert files["garden.html"]["left_out"] == []


def document(path: str, *left_out: LeftOut, state: Any = "indexed", reason: str = "") -> Document:
    return Document(1, path, state, reason, "", "", 1, 1, "", 1, True, "", left_out)


def test_many_documents_that_lack_the_same_are_one_line() -> None:
    pictures = [document(f"/d/{n}.docx", LeftOut(LeftOutKind.PICTURE, 2)) for n in range(7)]
    quiet = document("/d/quiet.docx", LeftOut(LeftOutKind.PROPERTY, 1, ("author",)))
    mail = document("/d/a.eml", LeftOut(LeftOutKind.ATTACHMENT, 1, ("a.zip",)))
    assert list(describe_files("k", [*pictures, quiet, mail], show_all=False)) == [
        "partly   7 documents, such as 0.docx, 1.docx: without 14 pictures",
        "partly   /d/a.eml: without 1 attachment (a.zip)",
        "`ragchat kb status k --all` lists each of them.",
    ]
    every = list(describe_files("k", [*pictures, quiet, mail], show_all=True))
    assert len(every) == 9
    assert every[-1] == "indexed  /d/a.eml (without 1 attachment (a.zip))"
