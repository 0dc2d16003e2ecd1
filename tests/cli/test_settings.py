"""`ragchat config` and what `ragchat doctor` says of keys, themes, the clipboard and an old index. Real processes, real files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ragchat.app.context import discover
from ragchat.cli.chat import make_services
from ragchat.errors import UsageError
from ragchat.retrieval import index
from ragchat.store.knowledge import KnowledgeStore
from tests.cli.test_cli import Home

NO_MODEL = {"RAGCHAT_MODEL__NAME": "nowhere", "TERM": "xterm"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def findings(home: Home, about: str, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    done = home.run("doctor", "--json", env={**NO_MODEL, **(env or {})})
    assert done.returncode == 1  # there is no model
    return [finding for finding in json.loads(done.stdout) if finding["about"] == about]


def write(home: Home, text: str) -> Path:
    file = home.path / "config/settings.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_default_is_put_back(home: Home) -> None:
    file = write(home, "# mine\n[retrieval]\nk = 12\n")
    done = home.run("config", "unset", "retrieval.k")
    assert (done.returncode, done.stdout) == (0, "")
    assert "retrieval.k is no longer in" in done.stderr
    assert file.read_text() == "# mine\n[retrieval]\n"
    assert "was not set" in home.run("config", "unset", "retrieval.k").stderr
    wrong = home.run("config", "unset", "retrieval.kk")
    assert wrong.returncode == 2
    assert "Did you mean 'retrieval.k'?" in wrong.stderr


def test_keys_are_set_shown_and_refused(home: Home) -> None:
    assert home.run("config", "set", "keys.transcript.copy", "ctrl+y").returncode == 0
    assert home.json("config", "show", "--json")["keys.transcript.copy"]["value"] == "ctrl+y"
    assert 'keys.transcript.copy = "ctrl+y"' in home.run("config", "show").stdout
    before = (home.path / "config/settings.toml").read_bytes()
    for key, value, said in (
        ("keys.transcript.copi", "y", "Did you mean 'transcript.copy'?"),
        ("keys.chat.new", "ctrl+f", "chat.new and chat.search both use ctrl+f"),
        ("keys.chat.new", "ctlr+n", "is not a key"),
    ):
        done = home.run("config", "set", key, value)
        assert done.returncode == 2
        assert said in done.stderr
    assert (home.path / "config/settings.toml").read_bytes() == before


def test_doctor_names_keys_that_cannot_be_used(home: Home) -> None:
    assert findings(home, "keys") == []
    write(home, '[keys]\n"transcript.copy" = "ctrl+y"\n')
    (fine,) = findings(home, "keys")
    assert fine["ok"]
    write(home, '[keys]\n"chat.new" = "ctrl+f"\n')
    (bad,) = findings(home, "keys")
    assert not bad["ok"]
    assert "chat.new and chat.search both use ctrl+f" in bad["detail"]
    assert "settings.toml" in bad["remedy"]


def test_doctor_names_themes_that_are_none(home: Home) -> None:
    themes = home.path / "config/themes"
    themes.mkdir(parents=True)
    (themes / "sea.toml").write_text('primary = "#0080a0"\n')
    (fine,) = findings(home, "themes")
    assert fine["ok"]
    assert "1 of your own" in fine["detail"]
    (themes / "wrong.toml").write_text('primary = "blueish"\n')
    (bad,) = findings(home, "themes", {"RAGCHAT_UI__THEME": "sea"})
    assert not bad["ok"]
    assert "wrong.toml" in bad["detail"]
    (_, unknown) = findings(home, "themes", {"RAGCHAT_UI__THEME": "seaa"})
    assert "Did you mean 'sea'?" in unknown["detail"]


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"TERM": "xterm"}, "OSC 52"),
        ({"TERM": "dumb"}, "goes to a file"),
    ],
)
def test_doctor_says_how_copying_works(home: Home, env: dict[str, str], said: str) -> None:
    alone = dict.fromkeys(("WAYLAND_DISPLAY", "DISPLAY", "TERMUX_VERSION", "WSL_DISTRO_NAME"), "")
    (finding,) = findings(home, "clipboard", {**alone, "SSH_TTY": "/dev/pts/1", **env})
    assert finding["ok"]
    assert said in finding["detail"]


def test_doctor_names_an_index_of_another_version(home: Home, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("# A\n\nThe pump has a warranty of three years.\n")
    assert home.run("kb", "add", "docs", str(tmp_path / "docs")).returncode == 0
    assert [finding["ok"] for finding in findings(home, "kb docs")] == [True]
    with KnowledgeStore.open(home.path / "data/kb", "docs") as store, store.writing():
        store.set_analyzer_version("older")
    (sound, old) = findings(home, "kb docs")
    assert sound["ok"]
    assert not old["ok"]
    assert "another version" in old["detail"]
    assert home.run("kb", "sync", "docs").returncode == 0
    with KnowledgeStore.open(home.path / "data/kb", "docs") as store:
        assert index.is_current(store)
    assert [finding["ok"] for finding in findings(home, "kb docs")] == [True]


def test_an_open_chat_takes_up_what_its_settings_screen_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("RAGCHAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAGCHAT_HOME", str(tmp_path))
    services = make_services(discover(), "")
    assert services.ask_options().k == 8
    services.preferences.set("retrieval.k", "3")
    assert services.ask_options().k == 3
    services.preferences.unset("retrieval.k")
    assert services.ask_options().k == 8
    services.paths.settings_file.write_text("[retrieval]\nk = 4\n")  # by an editor
    services.preferences.all()
    assert services.ask_options().k == 4
    with pytest.raises(UsageError):
        services.preferences.set("retrieval.k", "many")
    assert services.ask_options().k == 4
