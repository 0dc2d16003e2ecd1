"""The card of an adapter, `README.md`: what a user wants to know of it, all of it from the manifest. Writes no files.

The header is the YAML that model hubs read (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ragchat.llm.adapters import AdapterManifest
from ragchat.text import clean, clean_line, human_bytes

_MOST_CURVE_ROWS = 24
_BAR = 30


def card(manifest: AdapterManifest) -> str:
    """The card as Markdown with a YAML header. Sections about what the manifest does not know are left out."""
    trained = manifest.origin == "trained"
    sections = [
        _header(manifest),
        f"# {manifest.name}\n\n{_introduction(manifest)}",
        _section("Base model", _table(_binding(manifest))),
        _section("Data", _table(_flat(manifest.data))),
        _section("Recipe", _table(_flat(manifest.recipe))) if trained else "",
        _section("Loss", _curves(manifest)),
        _section("Checks", _table(_flat(manifest.checks))),
        _section("Before and after", _answers(manifest.answers)),
        _section("Made with", _table([("engine", manifest.engine), *manifest.versions.items()]))
        if trained
        else "",
        _section("How to use it", _usage(manifest)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _header(manifest: AdapterManifest) -> str:
    """Strings as JSON writes them, which is YAML, too, and holds whatever a foreign name may be."""
    lines: list[tuple[str, object]] = [
        ("base_model", manifest.base.name or manifest.base.file),
        ("base_model_relation", "adapter"),
        ("library_name", "peft"),
        ("pipeline_tag", "text-generation"),
        ("tags", ["lora", "gguf", "llama.cpp", "ragchat"]),
    ]
    if manifest.licence:
        lines.insert(0, ("license", manifest.licence))
    body = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in lines)
    return f"---\n{body}\n---"


def _introduction(manifest: AdapterManifest) -> str:
    shape = manifest.shape
    what = "trained by `ragchat finetune`" if manifest.origin == "trained" else "made elsewhere and imported"
    licence = f" The base's licence is {clean_line(manifest.licence)}." if manifest.licence else ""
    return (
        f"A LoRA adapter for {clean_line(manifest.base.name or manifest.base.file)}, {what} "
        f"on {manifest.created_at}: rank {shape.rank}, alpha {shape.alpha:g}, tensors changed: {shape.tensors}.{licence}"
    )


def _binding(manifest: AdapterManifest) -> list[tuple[str, object]]:
    base, shape = manifest.base, manifest.shape
    return [
        ("base file", base.file),
        ("SHA-256", base.sha256),
        ("size", human_bytes(base.size_bytes)),
        ("architecture", base.architecture),
        ("layers, width", f"{shape.layers}, {shape.width}"),
        ("changed", ", ".join(shape.target_modules)),
    ]


def _curves(manifest: AdapterManifest) -> str:
    """A table of the training's and the held-out loss by step, thinned, with a bar for the first."""
    if not manifest.curve:
        return ""
    held_out = dict(manifest.held_out)
    every = -(-len(manifest.curve) // _MOST_CURVE_ROWS)
    shown = [
        point for number, point in enumerate(manifest.curve) if number % every == 0 or point[0] in held_out
    ]
    if shown[-1] != manifest.curve[-1]:
        shown.append(manifest.curve[-1])
    largest = max(loss for _, loss in shown) or 1.0
    rows = [f"{'step':>6}  {'loss':>8}  {'held out':>8}"]
    for step, loss in shown:
        measured = f"{held_out[step]:8.4f}" if step in held_out else " " * 8
        rows.append(f"{step:6d}  {loss:8.4f}  {measured}  {'▇' * round(loss / largest * _BAR)}")
    return "```text\n" + "\n".join(rows) + "\n```"


def _answers(answers: Sequence[Mapping[str, Any]]) -> str:
    """One block per question: its parts (question, expected, before, after …) in the order the manifest has them."""
    blocks = []
    for answer in answers:
        parts = [f"**{clean_line(str(key))}**\n\n{_quoted(str(value))}" for key, value in answer.items()]
        blocks.append("\n\n".join(parts))
    return "\n\n---\n\n".join(blocks)


def _usage(manifest: AdapterManifest) -> str:
    """Commands, for ragchat and for others that read the files."""
    base = clean_line(manifest.base.file)
    return "\n".join(
        [
            "```sh",
            f"ragchat chat --model {base} --adapter {manifest.name}",
            f"llama-cli -m {base} --lora adapter.gguf",
            "```",
            "",
            "`adapter.gguf` is the form that llama.cpp loads. A folder with `adapter_config.json` and "
            "`adapter_model.safetensors` can be loaded by PEFT on top of the base's weights.",
        ]
    )


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _table(rows: Sequence[tuple[str, object]] | Iterator[tuple[str, object]]) -> str:
    lines = [f"| {_cell(key)} | {_cell(value)} |" for key, value in rows if value not in ("", None)]
    return "\n".join(["| | |", "|---|---|", *lines]) if lines else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Nested mappings as rows: {"recall": {"before": 0}} becomes "recall, before"."""
    for key, value in values.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(_number(item) for item in value)
        else:
            yield name, _number(value)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: object) -> str:
    return clean_line(str(value)).replace("\\", "\\\\").replace("|", "\\|")


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}" for line in clean(text).splitlines()) or "> (nothing)"
