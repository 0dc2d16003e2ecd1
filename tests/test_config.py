"""Settings: which layer wins, and that a mistake is refused by its name before anything is written."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from ragchat import config
from ragchat.config import Settings, describe, load, set_value
from ragchat.errors import UsageError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.toml"


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def refusal(file: Path, env: dict[str, str] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        load(file, env or {})
    with pytest.raises(UsageError):
        list(describe(file, env or {}))
    return caught.value


def test_later_layers_win(file: Path) -> None:
    assert load(file, {}) == Settings()
    write(file, "[retrieval]\nk = 5\n[sampling]\ntemperature = 1\nstop = ['a', 'b']\n")
    found = load(file, {"RAGCHAT_RETRIEVAL__K": "7", "RAGCHAT_HOME": "/x", "OTHER__THING": "1"})
    assert (found.retrieval.k, found.sampling.temperature, found.sampling.stop) == (7, 1.0, ("a", "b"))
    assert found.retrieval.min_match == Settings().retrieval.min_match
    origins = {s.key: (s.value, s.default, s.origin) for s in describe(file, {"RAGCHAT_RETRIEVAL__K": "7"})}
    default = Settings()
    assert origins["retrieval.k"] == (7, default.retrieval.k, "environment")
    assert origins["sampling.temperature"] == (1.0, default.sampling.temperature, "file")
    assert origins["retrieval.min_match"] == (*(default.retrieval.min_match,) * 2, "default")


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("RAGCHAT_MODEL__N_CTX", "8192", "model.n_ctx", 8192),
        ("RAGCHAT_SAMPLING__TEMPERATURE", "0.5", "sampling.temperature", 0.5),
        ("RAGCHAT_SAMPLING__TEMPERATURE", "1", "sampling.temperature", 1.0),
        ("RAGCHAT_CHAT__STRICT", "yes", "chat.strict", True),
        ("RAGCHAT_CHAT__STRICT", "TRUE", "chat.strict", True),
        ("RAGCHAT_CHAT__STRICT", "1", "chat.strict", True),
        ("RAGCHAT_CHAT__STRICT", "Off", "chat.strict", False),
        ("RAGCHAT_CHAT__KNOWLEDGE_BASES", "a, b,", "chat.knowledge_bases", ("a", "b")),
        ("RAGCHAT_CHAT__KNOWLEDGE_BASES", "", "chat.knowledge_bases", ()),
        ("ragchat_model__name".upper(), "x.gguf", "model.name", "x.gguf"),
    ],
)
def test_the_environment_is_text(file: Path, variable: str, text: str, key: str, value: object) -> None:
    found = {s.key: s.value for s in describe(file, {variable: text})}
    assert found[key] == value
    assert set_value(file, key, text) == msgspec.to_builtins(value)
    assert {s.key: s.value for s in describe(file, {})}[key] == value


@pytest.mark.parametrize(
    ("text", "names", "nearest"),
    [
        ("[retreival]\nk = 5\n", "retreival", "'retrieval'"),
        ("[retrieval]\nkk = 5\n", "retrieval.kk", "'retrieval.k'"),
        ("[model]\nn_ctxx = 5\n", "model.n_ctxx", "'model.n_ctx'"),
        ("k = 5\n", "[k]", "config show"),
        ("[model]\n'n_ctx.x' = 5\n", "model.n_ctx.x", "'model.n_ctx'"),
        ("[[model]]\nn_ctx = 5\n", "[model]", ""),
        ("model = 'x'\n", "[model]", ""),
    ],
)
def test_what_is_unknown_in_the_file_is_refused_by_name(
    file: Path, text: str, names: str, nearest: str
) -> None:
    error = refusal(write(file, text))
    assert names in str(error)
    assert str(file) in str(error)
    assert nearest in error.remedy


def test_what_is_unknown_in_the_environment_is_refused_by_the_name_of_the_variable(file: Path) -> None:
    error = refusal(file, {"RAGCHAT_MODEL__NCTX": "5"})
    assert "RAGCHAT_MODEL__NCTX" in str(error)
    assert "'model.n_ctx'" in error.remedy


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("retrieval", "k = 0"),
        ("retrieval", "k = 101"),
        ("retrieval", "k = '8'"),
        ("retrieval", "k = 8.5"),
        ("retrieval", "k = true"),
        ("retrieval", "k = []"),
        ("retrieval", "k = {}"),
        ("retrieval", "min_match = 1.1"),
        ("retrieval", "passage_share = 0"),
        ("sampling", "temperature = -0.1"),
        ("sampling", "temperature = nan"),
        ("sampling", "top_p = nan"),
        ("sampling", "stop = 'END'"),
        ("sampling", "stop = [1]"),
        ("sampling", "seed = -2"),
        ("model", "n_batch = 31"),
        ("model", "flash_attention = 'maybe'"),
        ("model", "thinking = 1"),
        ("model", "name = 3"),
        ("knowledge", "max_file_mib = inf"),
        ("knowledge", "extraction_timeout_s = 0"),
        ("knowledge", "exclude = 2024-01-01"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(file: Path, section: str, line: str) -> None:
    error = refusal(write(file, f"[{section}]\n{line}\n"))
    assert f"{section}.{line.partition(' ')[0]}" in str(error)
    assert str(file) in str(error)
    assert error.remedy.startswith("Its value is")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("RAGCHAT_RETRIEVAL__K", "many"),
        ("RAGCHAT_RETRIEVAL__K", "0"),
        ("RAGCHAT_RETRIEVAL__K", ""),
        ("RAGCHAT_SAMPLING__TEMPERATURE", "nan"),
        ("RAGCHAT_KNOWLEDGE__MAX_FILE_MIB", "1e999"),
        ("RAGCHAT_CHAT__STRICT", "perhaps"),
    ],
)
def test_a_wrong_value_in_the_environment_is_refused(file: Path, variable: str, text: str) -> None:
    error = refusal(file, {variable: text})
    assert variable.removeprefix("RAGCHAT_").replace("__", ".").lower() in str(error)
    assert "environment" in str(error)


@pytest.mark.parametrize(
    "text", ["[model\n", "= 3", b"\xff\xfe", b"[model]\nname = '\xff'\n", "a = 1\na = 2\n"]
)
def test_a_broken_file_is_refused_with_its_path_and_left_alone(file: Path, text: str | bytes) -> None:
    write(file, text)
    before = file.read_bytes()
    assert str(file) in str(refusal(file))
    with pytest.raises(UsageError, match=r"settings\.toml"):
        set_value(file, "retrieval.k", "5")
    assert file.read_bytes() == before


def test_a_folder_in_the_place_of_the_file_is_a_sentence(file: Path) -> None:
    file.mkdir(parents=True)
    assert str(file) in str(refusal(file))
    with pytest.raises(UsageError):
        set_value(file, "retrieval.k", "5")


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_files_from_other_editors(file: Path, start: bytes, newline: str) -> None:
    write(file, start + f"[retrieval]{newline}k = 5{newline}".encode())
    assert load(file, {}).retrieval.k == 5
    set_value(file, "retrieval.k", "6")
    assert load(file, {}).retrieval.k == 6


# --- set_value ------------------------------------------------------------------------------------------


def test_setting_keeps_comments_and_what_else_stands_there(file: Path) -> None:
    text = "# mine\n[retrieval]\nk = 5  # enough\n\n[chat]\n# later\nstrict = true\n"
    write(file, text)
    assert set_value(file, "retrieval.k", "12") == 12
    assert file.read_text() == text.replace("k = 5", "k = 12")
    set_value(file, "retrieval.min_match", "0.5")
    set_value(file, "sampling.stop", "a,b")
    found = load(file, {})
    assert (found.retrieval.k, found.retrieval.min_match, found.chat.strict) == (12, 0.5, True)
    assert found.sampling.stop == ("a", "b")
    assert all(comment in file.read_text() for comment in ("# mine", "# enough", "# later"))


@pytest.mark.parametrize(
    "text", ["model.n_ctx = 512\n", "model = {n_ctx = 512}\n", "[model]\nn_ctx = 512\n", ""]
)
def test_setting_works_however_the_section_is_written(file: Path, text: str) -> None:
    write(file, text)
    set_value(file, "model.threads", "3")
    set_value(file, "retrieval.k", "3")
    found = load(file, {})
    assert (found.model.threads, found.retrieval.k) == (3, 3)
    assert found.model.n_ctx == (512 if text else Settings().model.n_ctx)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("retrieval.k", "0"),
        ("retrieval.k", "many"),
        ("retrieval.kk", "5"),
        ("retrieval", "5"),
        ("", "5"),
        ("model.flash_attention", "maybe"),
        ("sampling.temperature", "inf"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_a_bad_value_is_refused_before_the_file_is_touched(
    file: Path, key: str, text: str, there: bool
) -> None:
    if there:
        write(file, "[retrieval]\nk = 5\n")
    with pytest.raises(UsageError) as caught:
        set_value(file, key, text)
    assert key in str(caught.value)
    assert "environment" not in str(caught.value), "it was typed"
    assert file.exists() == there
    assert not there or file.read_text() == "[retrieval]\nk = 5\n"


@pytest.mark.parametrize("text", ["model = 3\n", "[[model]]\nname = 'x'\n"])
def test_setting_into_what_is_no_section_is_a_sentence(file: Path, text: str) -> None:
    write(file, text)
    with pytest.raises(UsageError, match="not a section"):
        set_value(file, "model.threads", "3")
    assert file.read_text() == text


def test_the_file_is_written_whole_and_for_its_owner_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_value(file, "retrieval.k", "5")
    assert file.stat().st_mode & 0o777 == 0o600

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UsageError, match="No space"):
        set_value(file, "retrieval.k", "6")
    assert load(file, {}).retrieval.k == 5
    assert [path.name for path in file.parent.iterdir()] == [file.name]


# --- what is said of them -------------------------------------------------------------------------------


def test_every_setting_has_a_meaning_and_can_be_set_to_its_default(file: Path) -> None:
    found = list(describe(file, {}))
    assert len(found) == len({setting.key for setting in found}) > 25
    for setting in found:
        assert setting.meaning, setting.key
        assert setting.value == setting.default
        value = msgspec.to_builtins(setting.default)
        text = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
        assert set_value(file, setting.key, text) == value
    assert load(file, {}) == Settings()


def test_settings_cannot_be_changed_by_those_who_get_them() -> None:
    with pytest.raises(AttributeError):
        config.Settings().retrieval.k = 3  # type: ignore[misc]


# --- keys, defaults put back, what a screen wants to know -----------------------------------------------------


@pytest.mark.parametrize(
    "text", ['[keys]\n"transcript.copy" = "y,ctrl+y"\n', '[keys]\ntranscript.copy = "y,ctrl+y"\n']
)
def test_keys_are_read_as_text_by_id(file: Path, text: str) -> None:
    assert load(write(file, text), {}).keys == {"transcript.copy": "y,ctrl+y"}
    (setting,) = [s for s in describe(file, {}) if s.key.startswith("keys.")]
    assert (setting.key, setting.value, setting.origin) == ("keys.transcript.copy", "y,ctrl+y", "file")
    assert set_value(file, "keys.transcript.copy", "f12") == "f12"
    assert load(file, {}).keys == {"transcript.copy": "f12"}
    assert config.unset_value(file, "keys.transcript.copy")
    assert load(file, {}).keys == {}


@pytest.mark.parametrize("value", ["3", "true", "['y']"])
def test_a_key_that_is_no_text_is_refused(file: Path, value: str) -> None:
    error = refusal(write(file, f'[keys]\n"transcript.copy" = {value}\n'))
    assert str(error).startswith(f"keys.transcript.copy ({file}): Expected `str`")


def test_a_section_that_is_nearly_keys_is_refused_with_the_nearest(file: Path) -> None:
    assert "'keys'" in refusal(write(file, "[key]\na = 'y'\n")).remedy
    assert "'ui'" in refusal(write(file, "[uii]\ntheme = 'nord'\n")).remedy


def test_keys_of_the_environment_are_refused(file: Path) -> None:
    assert "RAGCHAT_KEYS__CHAT" in str(refusal(file, {"RAGCHAT_KEYS__CHAT": "y"}))


def test_a_default_is_put_back_and_everything_else_stays(file: Path) -> None:
    text = "# first\n[retrieval]\n# about k\nk = 5 # five\npassages = 3\n\n[ui]\ntheme = 'nord'\n# last\n"
    write(file, text)
    assert config.unset_value(file, "retrieval.k")
    assert file.read_text() == text.replace("k = 5 # five\n", "")
    assert load(file, {}).retrieval.k == Settings().retrieval.k
    before = file.read_bytes()
    assert not config.unset_value(file, "retrieval.k")
    assert not config.unset_value(file, "model.name")
    assert file.read_bytes() == before
    for wrong in ("retrieval.kk", "retrieval", "keys", ""):
        with pytest.raises(UsageError):
            config.unset_value(file, wrong)


def test_putting_a_default_back_makes_no_file(file: Path) -> None:
    assert not config.unset_value(file, "retrieval.k")
    assert not file.exists()


def test_a_broken_file_is_not_touched_by_putting_back(file: Path) -> None:
    write(file, "[model\n")
    with pytest.raises(UsageError):
        config.unset_value(file, "model.name")
    assert file.read_text() == "[model\n"


def test_what_a_screen_wants_to_know(file: Path) -> None:
    write(file, "[retrieval]\nk = 5\n")
    found = {s.key: s for s in describe(file, {"RAGCHAT_RETRIEVAL__K": "7", "RAGCHAT_CHAT__STRICT": "1"})}
    assert (found["retrieval.k"].value, found["retrieval.k"].behind) == (7, 5)
    assert (found["chat.strict"].value, found["chat.strict"].behind) == (True, None)
    assert found["chat.strict"].choices == ("true", "false")
    assert found["model.flash_attention"].choices == ("auto", "on", "off")
    assert found["model.plain_format"].choices == ("", "chatml", "alpaca", "vicuna", "plain")
    assert found["retrieval.k"].choices == ()
    assert not found["model.n_ctx"].at_once
    assert found["sampling.temperature"].at_once
    assert all(setting.meaning for setting in found.values())
