"""An Ollama `Modelfile` for an exported model or adapter. Writes text only; whether Ollama is there does not matter.

Format: https://docs.ollama.com/modelfile. There is no TEMPLATE in it: Ollama's templates are written in Go's language, a GGUF's
in Jinja, and a translation would be a guess. Ollama looks at the template in the GGUF instead.
"""

from __future__ import annotations

from pathlib import Path

from ragchat.types import Sampling

_HEAD = """\
# Made by ragchat. `ollama create NAME -f {file}` imports it.
# There is no TEMPLATE here: Ollama recognises the chat template that is inside the GGUF file.
# `ollama show --template NAME` shows what it took; if it is not the model's own, the answers suffer.
"""


def modelfile(
    model: Path,
    *,
    adapter: Path | None = None,
    n_ctx: int = 0,
    sampling: Sampling | None = None,
    system: str = "",
) -> str:
    """The text of a Modelfile for the GGUF file `model`, with the GGUF LoRA `adapter` on top.

    Relative paths count from where the Modelfile lies. `n_ctx` 0 and `sampling` None leave Ollama's defaults.
    """
    lines = [f"FROM {_path(model)}"]
    if adapter is not None:
        lines.append(f"ADAPTER {_path(adapter)}")
    if n_ctx:
        lines.append(f"PARAMETER num_ctx {n_ctx}")
    if sampling is not None:
        lines += [f"PARAMETER {name} {value}" for name, value in _parameters(sampling)]
    if system:
        lines.append(f'SYSTEM """{system.replace(chr(34) * 3, chr(39) * 3)}"""')
    return _HEAD.format(file="Modelfile") + "\n".join(lines) + "\n"


def _parameters(sampling: Sampling) -> list[tuple[str, object]]:
    parameters: list[tuple[str, object]] = [
        ("temperature", sampling.temperature),
        ("top_k", sampling.top_k),
        ("top_p", sampling.top_p),
        ("min_p", sampling.min_p),
        ("repeat_penalty", sampling.repeat_penalty),
    ]
    if sampling.seed is not None:
        parameters.append(("seed", sampling.seed))
    if sampling.max_tokens:
        parameters.append(("num_predict", sampling.max_tokens))
    return parameters + [("stop", f'"{word}"') for word in sampling.stop]


def _path(path: Path) -> str:
    """As Ollama reads it: a name without a folder would be looked for among its own models."""
    text = str(path) if path.is_absolute() else f"./{path.as_posix()}"
    return f'"{text}"' if " " in text else text
