"""Adapters installed from a run, imported, replaced and exported: whole or not there, whatever happens in between."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.finetune.test_gguf_lora import RANK, Q, numbers, peft
from tests.helpers.tiny_models import make_tiny

pytest.importorskip("torch", reason="`make finetune` installs what training needs")

from ragchat.errors import AdapterError, StorageError, UsageError
from ragchat.finetune import install as installing
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.gguf_lora import read_gguf_lora, read_peft
from ragchat.finetune.install import Story, export_adapter, import_adapter, install, record_results
from ragchat.llm.adapters import AdapterLibrary, read_manifest

pytestmark = pytest.mark.filterwarnings("ignore")  # those of torch and transformers

SHA256 = "cd" * 32
STORY = Story(
    data={"counts": {"file:facts.jsonl": {"answer": 32}}, "training": 28, "held_out": 4, "rejected": 1},
    recipe={"mode": "task", "lora_rank": RANK, "learning_rate": 2e-4},
    engine="peft",
    versions={"torch": "2.13.0"},
    curve=((1, 3.5), (2, 2.25), (3, 1.0)),
    held_out=((2, 2.5),),
    checks={"parity": {"agreement": 1.0}},
    answers=({"question": "Who | what?", "before": "No idea\n# not a heading", "after": "Zorba"},),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> BaseGguf:
    path = tmp_path_factory.mktemp("tiny") / "llama.gguf"
    make_tiny("llama", path)
    return BaseGguf(path)


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    return tmp_path / "models" / "adapters"


def installed(base: BaseGguf, adapters: Path, run: Path, name: str = "facts", **options: Any) -> Path:
    return install(peft(run), base, SHA256, adapters_dir=adapters, name=name, story=STORY, **options)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- installing -------------------------------------------------------------------------------------------


def test_a_run_becomes_an_adapter_that_says_all_of_itself(
    base: BaseGguf, adapters: Path, tmp_path: Path
) -> None:
    folder = installed(base, adapters, tmp_path / "run")
    manifest = read_manifest(folder)
    assert folder == adapters / "facts"
    assert sorted(contents(folder)) == [
        "README.md",
        "adapter.gguf",
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    assert (manifest.name, manifest.origin, manifest.licence) == ("facts", "trained", "apache-2.0")
    assert (manifest.base.sha256, manifest.base.architecture) == (SHA256, "llama")
    shape = manifest.shape
    assert (shape.rank, shape.alpha, tuple(shape.target_modules), shape.tensors) == (2, 4, ("q_proj",), 1)
    assert (shape.layers, shape.width) == (2, 64)
    for name, file in manifest.files.items():
        data = (folder / name).read_bytes()
        assert (file.sha256, file.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert {"adapter.gguf", "adapter_config.json", "adapter_model.safetensors"} <= set(manifest.files)
    assert read_gguf_lora(folder / "adapter.gguf", base).base_sha256 == SHA256


def test_the_library_finds_it_whole_and_bound_to_its_base(
    base: BaseGguf, adapters: Path, tmp_path: Path
) -> None:
    library = AdapterLibrary((adapters.parent,), tmp_path / "fingerprints.json")
    sha256 = library.sha256(base.path)
    folder = install(peft(tmp_path / "run"), base, sha256, adapters_dir=adapters, name="facts", story=STORY)
    assert library.check("facts") == []
    assert library.resolve("facts", base.path) == folder / "adapter.gguf"
    assert [adapter.name for adapter in library.fitting(base.path)] == ["facts"]
    make_tiny("llama", tmp_path / "other.gguf", seed=1)
    with pytest.raises(AdapterError, match="a different file"):
        library.resolve("facts", tmp_path / "other.gguf")
    record_results(folder, checks={"more": 1})
    assert library.check("facts") == []


def test_the_card_tells_a_person(base: BaseGguf, adapters: Path, tmp_path: Path) -> None:
    text = (installed(base, adapters, tmp_path / "run") / "README.md").read_text()
    header, body = text.split("---\n")[1], text.split("---\n", 2)[2]
    assert header.splitlines() == [
        'license: "apache-2.0"',
        'base_model: "Tiny llama"',
        'base_model_relation: "adapter"',
        'library_name: "peft"',
        'pipeline_tag: "text-generation"',
        'tags: ["lora", "gguf", "llama.cpp", "ragchat"]',
    ]
    for expected in (
        f"| SHA-256 | {SHA256} |",
        "| counts, file:facts.jsonl, answer | 32 |",
        "| learning rate | 0.0002 |",
        "| parity, agreement | 1 |",
        "> # not a heading",
        "| torch | 2.13.0 |",
        "     2    2.2500    2.5000",
    ):
        assert expected in body


def test_results_are_added_to_manifest_and_card(base: BaseGguf, adapters: Path, tmp_path: Path) -> None:
    folder = installed(base, adapters, tmp_path / "run")
    record_results(folder, checks={"recall": {"before": 0.0, "after": 0.9}})
    assert read_manifest(folder).checks == {
        "parity": {"agreement": 1.0},
        "recall": {"before": 0.0, "after": 0.9},
    }
    assert read_manifest(folder).answers[0]["after"] == "Zorba"
    assert "| recall, after | 0.9 |" in (folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["", "../facts", ".hidden", "a b", "a/b"])
def test_a_name_that_is_none_is_refused(base: BaseGguf, adapters: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        installed(base, adapters, tmp_path / "run", name)
    assert not adapters.exists() or not list(adapters.iterdir())


def test_an_existing_adapter_is_replaced_only_when_asked(
    base: BaseGguf, adapters: Path, tmp_path: Path
) -> None:
    folder = installed(base, adapters, tmp_path / "run")
    before = contents(folder)
    with pytest.raises(UsageError, match="already"):
        installed(base, adapters, tmp_path / "run")
    assert contents(folder) == before
    import_adapter(peft(tmp_path / "other"), base, SHA256, adapters_dir=adapters, name="facts", replace=True)
    assert read_manifest(folder).origin == "imported"
    assert [path.name for path in adapters.iterdir()] == ["facts"]


def test_a_full_disk_leaves_the_old_adapter(
    base: BaseGguf, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = installed(base, adapters, tmp_path / "run")
    before = contents(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installing, "write_gguf_lora", full)
    with pytest.raises(StorageError, match="No space left"):
        installed(base, adapters, tmp_path / "run", replace=True)
    assert contents(folder) == before
    assert [path.name for path in adapters.iterdir()] == ["facts"]


@pytest.mark.hazard
@pytest.mark.parametrize("renames", range(3))
def test_killed_while_replacing_the_old_or_the_new_adapter_is_there(
    base: BaseGguf, adapters: Path, tmp_path: Path, renames: int
) -> None:
    """SIGKILL right before the first, the second and right after the last rename of a folder."""
    installed(base, adapters, tmp_path / "run")
    script = f"""
import os, sys
from pathlib import Path
from ragchat.finetune.base_gguf import BaseGguf
from ragchat.finetune.install import import_adapter
count, rename = 0, Path.rename
def counted(self, target):
    global count
    if self.is_dir():
        if count == {renames}: os.kill(os.getpid(), 9)
        count += 1
    return rename(self, target)
Path.rename = counted
import_adapter(Path({str(tmp_path / "run")!r}), BaseGguf(Path({str(base.path)!r})), {SHA256!r},
               adapters_dir=Path({str(adapters)!r}), name="facts", replace=True)
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", script], cwd=Path.cwd(), timeout=120).returncode == -9
    installing.clear_leftovers(adapters)
    assert [path.name for path in adapters.iterdir()] == ["facts"]
    assert read_manifest(adapters / "facts").origin == ("imported" if renames == 2 else "trained")
    assert read_gguf_lora(adapters / "facts" / "adapter.gguf", base).pairs


def test_leftovers_of_a_process_that_lives_are_left_alone(adapters: Path) -> None:
    for name in (
        f".a.ragchat-{os.getpid()}.new",
        ".a.ragchat-x.new",
        ".b.123.old",
        ".c.ragchat-999999999.new",
    ):
        (adapters / name).mkdir(parents=True)
    installing.clear_leftovers(adapters)
    assert len(list(adapters.iterdir())) == 3


# --- import and export ------------------------------------------------------------------------------------


def test_what_is_exported_can_be_imported(base: BaseGguf, adapters: Path, tmp_path: Path) -> None:
    folder = installed(base, adapters, tmp_path / "run")
    expected = read_peft(tmp_path / "run", base).pairs[0].b
    for form, target in (("gguf", tmp_path / "out.gguf"), ("peft", tmp_path / "out")):
        export_adapter(folder, form, target)
        again = import_adapter(target, base, SHA256, adapters_dir=adapters, name=f"again-{form}")
        assert np.array_equal(read_gguf_lora(again / "adapter.gguf", base).pairs[0].b, expected)
        assert read_manifest(again).origin == "imported"
        with pytest.raises(UsageError, match="already exists"):
            export_adapter(folder, form, target)
    assert read_manifest(adapters / "again-peft").recipe == STORY.recipe
    with pytest.raises(AdapterError, match="no PEFT form"):
        export_adapter(adapters / "again-gguf", "peft", tmp_path / "none")
    with pytest.raises(UsageError, match="no adapter format"):
        export_adapter(folder, "onnx", tmp_path / "none")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("form", ["gguf", "peft"])
def test_an_adapter_of_another_base_is_refused_unless_forced(
    base: BaseGguf, adapters: Path, tmp_path: Path, form: str
) -> None:
    target = export_adapter(installed(base, adapters, tmp_path / "run"), form, tmp_path / "out")
    target = target.rename(tmp_path / "out.gguf") if form == "gguf" else target
    with pytest.raises(AdapterError, match="trained on a different file"):
        import_adapter(target, base, "ef" * 32, adapters_dir=adapters, name="other")
    assert not (adapters / "other").exists()
    folder = import_adapter(target, base, "ef" * 32, adapters_dir=adapters, name="other", force=True)
    assert read_manifest(folder).base.sha256 == "ef" * 32


def test_force_does_not_make_another_shape_fit(base: BaseGguf, adapters: Path, tmp_path: Path) -> None:
    tensors = {f"{Q}.lora_A.weight": numbers(RANK, 32), f"{Q}.lora_B.weight": numbers(64, RANK)}
    with pytest.raises(AdapterError, match="a different shape"):
        import_adapter(
            peft(tmp_path / "run", tensors), base, SHA256, adapters_dir=adapters, name="x", force=True
        )
    with pytest.raises(AdapterError, match="no adapter at"):
        import_adapter(tmp_path / "nothing", base, SHA256, adapters_dir=adapters, name="x")
    shutil.rmtree(tmp_path / "run")
