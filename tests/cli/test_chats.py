"""`ragchat chats`: every subcommand in a process of its own, over a real database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ragchat.paths import Paths
from ragchat.session.exporting import as_markdown
from ragchat.session.own_format import as_json
from ragchat.store.chats import ChatStore
from ragchat.types import PortableChat
from tests.session.test_chat_transfer import SHARE, chat, checked_chat, gpt_chat, gpt_node


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`ragchat chats` in a process of its own."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
    done = subprocess.run(
        [sys.executable, "-m", "ragchat", "chats", *arguments],
        env={**clean, "RAGCHAT_HOME": str(home), "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def run_json(home: Path, *arguments: str) -> Any:
    done = run(home, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def open_store(home: Path) -> closing[ChatStore]:
    paths = Paths.discover({"RAGCHAT_HOME": str(home)})
    paths.create()
    return closing(ChatStore(paths.chat_database))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two chats: number 1 is pinned and older, number 2 changed last."""
    folder = tmp_path / "home"
    with open_store(folder) as store:
        store.add_portable(chat())
        store.add_portable(
            chat("Evil \x1b[31mtitle", pinned=False, tags=(), updated_at="2026-12-01T08:00:00.000Z")
        )
    return folder


def stored(home: Path, number: int) -> PortableChat:
    with open_store(home) as store:
        return store.portable(number)


def test_chats_are_listed_pinned_first_and_by_tag(home: Path) -> None:
    rows = run_json(home, "list")
    assert [(row["id"], row["title"], row["pinned"], row["messages"]) for row in rows] == [
        (1, "The boiler", True, 4),
        (2, "Evil \x1b[31mtitle", False, 4),
    ]
    assert rows[0]["model"] == "smollm2-135m"
    assert rows[0]["knowledge_bases"] is None
    shown = run(home, "list")
    assert "1  2026-11-23 02:05      4 messages  * The boiler  [house]" in shown.stdout
    assert "Evil title" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert [row["id"] for row in run_json(home, "list", "--tag", "house")] == [1]
    assert "No chat has the tag garden." in run(home, "list", "--tag", "garden").stderr


def test_nothing_yet_is_said(tmp_path: Path) -> None:
    assert "There are no chats yet" in run(tmp_path, "list").stderr
    assert run(tmp_path, "show", "last").returncode == 4
    assert run(tmp_path, "export", "--all").returncode == 4
    assert run_json(tmp_path, "list") == []


def test_a_chat_is_shown_as_text_markdown_and_json(home: Path) -> None:
    text = run(home, "show", "1").stdout
    assert "The boiler\nStarted 2026-11-23 02:01 UTC" in text
    assert (
        "Answer (smollm2-135m)\nThe **pressure** fell [1].\nRated good.\n  [1] /home/anna/guide.md, p. 7"
        in text
    )
    assert "No idea." not in text
    assert run(home, "show", "1", "--markdown").stdout == as_markdown(stored(home, 1))
    value = run_json(home, "show", "last")
    assert value["title"] == "Evil \x1b[31mtitle"
    assert {message["content"] for message in value["messages"]} > {"No idea.", "Refill"}


def test_quotes_marks_and_reasons_are_shown(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        store.add_portable(checked_chat())
    text = run(tmp_path, "show", "1").stdout
    assert "From your documents:\n> Below 1 bar it stops.\n  (/home/anna/guide.md, line 3 · guide)\n" in text
    assert "The passages do not say.\nIt stops [1]. ✓ It has <b>wings</b>. ✗ It + sings. ≈\n" in text
    assert "3 statements: 1 supported, 1 partly supported, 1 not found in your documents\n" in text
    assert "✗ It has <b>wings</b>. – Not in the passage" in text
    assert "[1] /home/anna/guide.md, p. 7 · guide, found by ragchat" in text
    hits = run_json(tmp_path, "search", "open", "valve")
    assert [(hit["chat"], hit["role"]) for hit in hits] == [(1, "assistant")]


def test_unknown_and_unreadable_numbers_are_said(home: Path) -> None:
    missing = run(home, "show", "99")
    assert (missing.returncode, "There is no chat 99." in missing.stderr) == (4, True)
    for odd in ("x", "-1", "1.5", "9" * 30, "²"):
        assert run(home, "show", "--", odd).returncode == 2
    assert run(home, "show", "1", "--json", "--markdown").returncode == 2


def test_words_are_found_in_all_chats(home: Path) -> None:
    hits = run_json(home, "search", "PRESSURE", "fell")
    assert [hit["chat"] for hit in hits] == [2, 1]
    first, last = hits[0]["highlights"][0]
    assert hits[0]["snippet"][first:last].lower() == "pressure"
    assert (hits[0]["role"], hits[0]["created_at"]) == ("assistant", "2026-11-23T02:05:00.250Z")
    shown = run(home, "search", "pressure")
    assert "1  The boiler  answer, 2026-11-23 02:05\n   The **pressure** fell [1]." in shown.stdout
    nothing = run(home, "search", "zeppelin")
    assert (nothing.returncode, "No message contains: zeppelin." in nothing.stderr) == (3, True)
    nothing = run(home, "search", "zeppelin", "--json")
    assert (nothing.returncode, json.loads(nothing.stdout)) == (3, [])


def test_one_chat_is_exported_to_output_file_and_folder(home: Path, tmp_path: Path) -> None:
    assert run(home, "export", "1").stdout == as_markdown(stored(home, 1))
    page = tmp_path / "boiler.html"
    done = run(home, "export", "1", "-o", str(page))
    assert f"1 chat in {page}" in done.stderr
    assert page.read_text("utf-8").startswith("<!doctype html>")
    page.write_text("mine", "utf-8")
    again = run(home, "export", "1", "--format", "html", "-o", str(page))
    assert (again.returncode, page.read_text("utf-8")) == (2, "mine")
    assert "already exists" in again.stderr
    assert "or use --force to overwrite." in again.stderr
    assert run(home, "export", "1", "--format", "html", "-o", str(page), "--force").returncode == 0
    assert page.read_text("utf-8") != "mine"
    for wrong in ((), ("1", "--all"), ("1", "--tag", "house")):
        assert run(home, "export", *wrong).returncode == 2


def test_all_chats_are_exported_and_come_in_elsewhere_once(home: Path, tmp_path: Path) -> None:
    folder, file, other = tmp_path / "out", tmp_path / "chats.json", tmp_path / "other"
    assert f"2 chats in {folder}" in run(home, "export", "--all", "-o", str(folder)).stderr
    assert sorted(path.name for path in folder.iterdir()) == [
        "2026-11-23-evil-title.md",
        "2026-11-23-the-boiler.md",
    ]
    assert run(home, "export", "--all", "--format", "json", "-o", str(file)).returncode == 0
    would = run(other, "import", str(file), "--dry-run")
    assert "(ragchat): 2 chats would be imported." in would.stderr
    assert run_json(other, "list") == []
    assert "2 chats imported." in run(other, "import", str(file)).stderr
    assert "0 chats imported, 2 duplicates skipped." in run(other, "import", str(file)).stderr
    by_title = {row["title"]: row["id"] for row in run_json(other, "list")}
    assert stored(other, by_title["The boiler"]) == stored(home, 1)


def test_import_counts_what_came_in_and_what_did_not(tmp_path: Path) -> None:
    home, gpt, share, bad = (
        tmp_path / "home",
        tmp_path / "gpt.json",
        tmp_path / "share.jsonl",
        tmp_path / "bad.json",
    )
    good = gpt_chat(gpt_node("u", "root", "user", "Why?"), gpt_node("t", "u", "tool", "x"), current="u")
    gpt.write_text(json.dumps([good, gpt_chat(title="Empty one"), good]), "utf-8")
    share.write_text(f"{json.dumps(SHARE)}\nbroken\n", "utf-8")
    bad.write_text("no chats", "utf-8")
    done = run(home, "import", str(gpt), str(share), str(bad), "--tag", "old")
    assert done.returncode == 0
    assert f"{gpt} (ChatGPT): 1 chat imported, 1 duplicate skipped, 1 rejected." in done.stderr
    assert "Left out: messages of tools (2)." in done.stderr
    assert "  chat 2 “Empty one”: it contains no text from a user or a model" in done.stderr
    assert f"{share} (ShareGPT): 1 chat imported, 1 rejected." in done.stderr
    assert "  line 2: it cannot be read:" in done.stderr
    assert f"{bad}: It is not a JSON file." in done.stderr
    report = run_json(home, "import", str(gpt), str(bad))
    assert (report["came_in"], report["already_here"], report["left_out"]) == (0, 2, {"messages of tools": 2})
    assert report["rejected"][0]["where"] == "chat 2 “Empty one”"
    assert [one["formats"] for one in report["files"]] == [["ChatGPT"], []]
    assert [row["tags"] for row in run_json(home, "list")] == [["old"], ["old"]]
    assert run(home, "import", str(bad)).returncode == 7
    assert run(home, "import", str(tmp_path / "none")).returncode == 4


def test_deleted_chats_come_back_and_erased_ones_do_not(home: Path) -> None:
    refused = run(home, "delete", "1")
    assert refused.returncode == 130
    assert "Hide: 1 “The boiler”?" in refused.stderr
    assert len(run_json(home, "list")) == 2
    assert "ragchat chats undelete 1" in run(home, "delete", "1", "--yes").stderr
    assert [row["id"] for row in run_json(home, "list")] == [2]
    assert [hit["chat"] for hit in run_json(home, "search", "pressure")] == [2]
    assert "Restored: 1 “The boiler”." in run(home, "undelete", "1").stderr
    assert len(run_json(home, "list")) == 2
    assert "Erase permanently: 2" in run(home, "delete", "2", "--for-good").stderr
    assert len(run_json(home, "list")) == 2
    assert run(home, "delete", "2", "99", "--for-good", "--yes").returncode == 4
    assert len(run_json(home, "list")) == 2
    assert "Erased: 2 “Evil title”." in run(home, "delete", "2", "--for-good", "--yes").stderr
    assert run(home, "undelete", "2").returncode == 4
    assert [hit["chat"] for hit in run_json(home, "search", "pressure")] == [1]


def test_a_copy_from_before_an_update_is_named_when_a_chat_is_erased(home: Path) -> None:
    backup = Paths.discover({"RAGCHAT_HOME": str(home)}).chat_database.with_name("ragchat.db.schema-1.bak")
    backup.write_bytes(b"old")
    assert str(backup) in run(home, "delete", "2", "--for-good", "--yes").stderr


def test_titles_and_tags_are_set(home: Path) -> None:
    assert "Chat 2 is now called “Heating”." in run(home, "rename", "last", "Hea\x1b[31mting").stderr
    assert stored(home, 2).title == "Heating"
    assert run(home, "rename", "2", " ").returncode == 2
    assert "has the tags a b, house." in run(home, "tag", "2", "a  b", "house").stderr
    assert "has the tags a b." in run(home, "tag", "2", "house", "--remove").stderr
    assert "has the tags a b." in run(home, "tag", "2").stderr
    assert "Chat 2 has no tag." in run(home, "tag", "2", "--remove").stderr


@pytest.mark.parametrize(
    "command", ["list", "show", "search", "export", "import", "delete", "undelete", "rename", "tag"]
)
def test_each_help_has_an_example(tmp_path: Path, command: str) -> None:
    shown = run(tmp_path, command, "--help").stdout
    assert f"ragchat chats {command}" in shown
    assert "Example" in shown


def test_json_of_names_that_a_terminal_would_obey_is_escaped(home: Path) -> None:
    value = as_json([stored(home, 2)])
    assert "\x1b" not in value
    assert json.loads(value)["chats"][0]["title"] == "Evil \x1b[31mtitle"
    assert run(home, "export", "2", "--format", "json").stdout == value
