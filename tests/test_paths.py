"""Folders and files: where a person asked for them, for nobody else to read, and never half written."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ragchat import paths as paths_module
from ragchat.paths import Paths, make_private_dir, write_atomically

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes and XDG folders")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_ragchat_home_holds_everything(tmp_path: Path) -> None:
    found = Paths.discover({"RAGCHAT_HOME": str(tmp_path), "XDG_DATA_HOME": "/elsewhere"})
    for path in (
        *(found.config_dir, found.data_dir, found.state_dir, found.cache_dir, found.model_dirs[0]),
        *(found.settings_file, found.chat_database, found.kb_dir, found.inference_log, found.extraction_log),
        *(found.app_log, found.suspects_file, found.profiles_file),
    ):
        assert path.is_relative_to(tmp_path)


def test_ragchat_home_may_be_relative_or_begin_with_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Paths.discover({"RAGCHAT_HOME": "~/r"}).data_dir == tmp_path / "r" / "data"
    monkeypatch.chdir(tmp_path)
    assert Paths.discover({"RAGCHAT_HOME": "r"}).data_dir == tmp_path / "r" / "data"


def test_xdg_variables_are_followed(tmp_path: Path) -> None:
    found = Paths.discover(
        {f"XDG_{name}_HOME": str(tmp_path / name) for name in ("DATA", "CONFIG", "STATE", "CACHE")}
    )
    assert found.data_dir == tmp_path / "DATA" / "ragchat"
    assert found.config_dir == tmp_path / "CONFIG" / "ragchat"
    assert found.state_dir == tmp_path / "STATE" / "ragchat"
    assert found.cache_dir == tmp_path / "CACHE" / "ragchat"


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the defaults of Linux")
@pytest.mark.parametrize("relative", ["", "here", "./here"])
def test_a_relative_xdg_folder_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, relative: str
) -> None:
    """Otherwise the chats would lie wherever ragchat happened to be started."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    found = Paths.discover({"XDG_DATA_HOME": relative, "XDG_CONFIG_HOME": relative, "RAGCHAT_HOME": ""})
    assert found.data_dir == tmp_path / ".local" / "share" / "ragchat"
    assert found.config_dir == tmp_path / ".config" / "ragchat"


def test_folders_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        found = Paths.discover({"RAGCHAT_HOME": str(tmp_path / "home")})
        found.create()
        found.create()
    finally:
        os.umask(before)
    for folder in (found.config_dir, found.data_dir, found.state_dir, found.cache_dir, found.kb_dir):
        assert mode(folder) == 0o700
    assert found.model_dirs[0].is_dir()


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o750)
    make_private_dir(tmp_path / "mine")
    assert mode(tmp_path / "mine") == 0o750


def test_a_checkout_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths_module, "PACKAGE", tmp_path / "ragchat")
    assert paths_module.checkout_models() is None
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "README.md").touch()
    assert paths_module.checkout_models() is None
    (tmp_path / "pyproject.toml").touch()
    assert paths_module.checkout_models() == tmp_path / "models"
    assert Paths.discover({"XDG_DATA_HOME": str(tmp_path)}).model_dirs[0] == tmp_path / "models"


# --- writing --------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "settings.toml"
    before = os.umask(0)
    try:
        write_atomically(path, b"one")
        path.chmod(0o644)
        write_atomically(path, b"two")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"two"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert names(path.parent) == ["settings.toml"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "settings.toml"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    owner: object = os if step == "fsync" else Path
    monkeypatch.setattr(owner, step, fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["settings.toml"]


def test_a_link_to_a_file_elsewhere_stays_a_link(tmp_path: Path) -> None:
    """People keep their settings in a folder of their own and link to them."""
    (tmp_path / "dotfiles").mkdir()
    target = tmp_path / "dotfiles" / "ragchat.toml"
    target.write_bytes(b"old")
    (tmp_path / "settings.toml").symlink_to(target)
    write_atomically(tmp_path / "settings.toml", b"new")
    assert (tmp_path / "settings.toml").is_symlink()
    assert target.read_bytes() == b"new"


def test_readers_and_several_writers_see_whole_files_only(tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    versions = {bytes([65 + n]) * 20_000 for n in range(4)}
    write_atomically(path, b"A" * 20_000)
    wrong: list[object] = []

    def write(data: bytes) -> None:
        try:
            for _ in range(30):
                write_atomically(path, data)
        except Exception as error:
            wrong.append(error)

    writers = [threading.Thread(target=write, args=(data,)) for data in versions]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if path.read_bytes() not in versions:
            wrong.append("half a file")
    assert wrong == []
    assert names(tmp_path) == ["profiles.json"]
