"""Settings: default < file < environment < typed option. Unknown keys are refused by name.

Each setting is a field with its meaning in the `Annotated` description, which `config show` and the help print.
The file is TOML (`ragchat config path`); an environment variable is RAGCHAT_SECTION__KEY. Nothing below `cli` takes
the `Settings` object: plain values are passed down.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from ragchat.errors import UsageError
from ragchat.paths import write_atomically


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ModelSettings(Section, frozen=True):
    name: Annotated[
        str,
        Meta(description="Model to chat with: a name from `model list` or a path; empty: the default"),
    ] = ""
    n_ctx: Annotated[
        int, Meta(ge=0, description="Context in tokens; 0: what the model was trained with, at most 8192")
    ] = 4096
    n_batch: Annotated[
        int,
        Meta(ge=32, le=4096, description="Prompt tokens read in one step; a cancel waits for none of them"),
    ] = 512
    threads: Annotated[
        int,
        Meta(
            ge=0, le=512, description="Threads that write the answer; 0: measured once per model and machine"
        ),
    ] = 0
    threads_batch: Annotated[
        int, Meta(ge=0, le=512, description="Threads that read the prompt; 0: measured")
    ] = 0
    flash_attention: Annotated[
        str, Meta(pattern="^(auto|on|off)$", description="auto: measured once per model and machine")
    ] = "auto"
    thinking: Annotated[bool, Meta(description="Let models that can think do so before they answer")] = False
    plain_format: Annotated[
        str,
        Meta(
            pattern="^(|chatml|alpaca|vicuna|plain)$",
            description="Prompt format for models without a chat template",
        ),
    ] = ""


class SamplingSettings(Section, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=5, description="0 is greedy: always the likeliest token")] = (
        0.4
    )
    top_k: Annotated[int, Meta(ge=0, description="Choose among the k likeliest tokens; 0: all")] = 40
    top_p: Annotated[
        float, Meta(gt=0, le=1, description="Choose among the likeliest tokens that hold this share")
    ] = 0.95
    min_p: Annotated[
        float, Meta(ge=0, le=1, description="Leave out tokens below this share of the likeliest")
    ] = 0.05
    repeat_penalty: Annotated[
        float, Meta(gt=0, le=3, description="Above 1 discourages repeating the answer's own last 64 tokens")
    ] = 1.1
    seed: Annotated[
        int, Meta(ge=-1, le=4294967294, description="-1: a new one for each answer; it is recorded")
    ] = -1
    max_tokens: Annotated[int, Meta(ge=0, description="Longest answer; 0: until the context is full")] = 512
    stop: Annotated[tuple[str, ...], Meta(description="Texts that end the answer")] = ()


class RetrievalSettings(Section, frozen=True):
    k: Annotated[int, Meta(ge=1, le=100, description="Hits a search returns")] = 8
    passages: Annotated[
        int, Meta(ge=0, le=50, description="Most passages put into the prompt; 0: by the model's size")
    ] = 0
    passage_share: Annotated[
        float, Meta(gt=0, le=0.9, description="Most of the context that passages may take")
    ] = 0.5
    min_match: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Least share of the question's weight (idf) that the best passage holds; below, nothing was found",
        ),
    ] = 0.4


class KnowledgeSettings(Section, frozen=True):
    max_file_mib: Annotated[float, Meta(gt=0, description="Larger files are skipped, with that reason")] = (
        50.0
    )
    exclude: Annotated[tuple[str, ...], Meta(description="Patterns to skip, written as in .gitignore")] = ()
    chunk_tokens: Annotated[int, Meta(ge=40, le=2000, description="Size of a chunk in tokens, estimated")] = (
        220
    )
    overlap_tokens: Annotated[
        int, Meta(ge=0, le=200, description="Whole sentences repeated from the chunk before")
    ] = 30
    extraction_timeout_s: Annotated[float, Meta(gt=0, description="Longest time for one file")] = 60.0
    extraction_memory_mib: Annotated[int, Meta(ge=256, description="Most memory for one file (Linux)")] = 2048
    sync_at_start: Annotated[
        bool, Meta(description="Bring what a chat asks up to date behind it when the screen opens")
    ] = True
    watch: Annotated[
        tuple[str, ...], Meta(description="Knowledge bases that the screen watches; `w` in its list switches")
    ] = ()
    query_timeout_s: Annotated[
        float, Meta(gt=0, description="Longest time for a query of a database source")
    ] = 30.0


class ChatSettings(Section, frozen=True):
    knowledge_bases: Annotated[
        tuple[str, ...],
        Meta(description="What a new chat asks; empty: all of yours, or the manual if there is none"),
    ] = ()
    strict: Annotated[
        bool, Meta(description="Decline without calling the model when the documents hold nothing relevant")
    ] = False
    system_prompt: Annotated[str, Meta(description="Replaces the built-in instructions")] = ""


class UiSettings(Section, frozen=True):
    theme: Annotated[str, Meta(description="A Textual theme")] = "textual-dark"
    editor: Annotated[
        str, Meta(description="Editor for `e`; empty: $VISUAL, $EDITOR, then what is installed")
    ] = ""
    load_at_start: Annotated[bool, Meta(description="Load the model while the screen opens")] = True


class Settings(Section, frozen=True):
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    chat: ChatSettings = ChatSettings()
    ui: UiSettings = UiSettings()


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `config show` prints it."""

    key: str
    value: object
    default: object
    origin: str
    meaning: str


def load(file: Path, env: Mapping[str, str]) -> Settings:
    """Settings from defaults, `file` (may be absent) and `env`. Raises UsageError naming what is wrong."""
    return _build(_read_file(file), _read_env(env), file)


def describe(file: Path, env: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting with its value, default, origin and meaning. Raises UsageError."""
    in_file, in_env = _read_file(file), _read_env(env)
    settings, defaults = _build(in_file, in_env, file), Settings()
    for section, key, meaning in _fields():
        origin = (
            "environment"
            if key in in_env.get(section, {})
            else "file"
            if key in in_file.get(section, {})
            else "default"
        )
        value, default = (getattr(getattr(source, section), key) for source in (settings, defaults))
        yield Setting(f"{section}.{key}", value, default, origin, meaning)


def set_value(file: Path, key: str, text: str) -> object:
    """Write one setting (`section.key`) into `file`, comments kept; the value as it was understood. Raises UsageError."""
    import tomlkit
    import tomlkit.exceptions

    section, name = _split(key)
    value = msgspec.to_builtins(_value(section, name, text, origin="", lax=True))
    try:
        document = tomlkit.parse(file.read_text("utf-8-sig")) if file.exists() else tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Mend or move the file.") from error
    table = document.setdefault(section, tomlkit.table())
    if not isinstance(table, MutableMapping):
        raise UsageError(f"{file}: {section} is not a section.", "Mend or move the file.")
    table[name] = list(value) if isinstance(value, (list, tuple)) else value
    try:
        write_atomically(file, tomlkit.dumps(document).encode())
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    return value


def _fields() -> Iterator[tuple[str, str, str]]:
    for section in msgspec.structs.fields(Settings):
        hints = get_type_hints(section.type, include_extras=True)
        for field in msgspec.structs.fields(section.type):
            meta = next(
                (m for m in getattr(hints[field.name], "__metadata__", ()) if isinstance(m, Meta)), None
            )
            yield section.name, field.name, (meta.description or "") if meta else ""


def _split(key: str) -> tuple[str, str]:
    known = [f"{section}.{name}" for section, name, _ in _fields()]
    if key not in known:
        raise UsageError(f"There is no setting {key!r}.", _nearest(key, known))
    section, _, name = key.partition(".")
    return section, name


def _nearest(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]!r}?" if near else "`ragchat config show` lists all of them."


def _read_file(file: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = tomllib.loads(file.read_text("utf-8-sig")) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}", "Mend or move the file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    sections = {section.name for section in msgspec.structs.fields(Settings)}
    for section, values in raw.items():
        if section not in sections or not isinstance(values, dict):
            raise UsageError(f"{file}: there is no section [{section}].", _nearest(section, sorted(sections)))
        for name in values:
            try:
                _split(f"{section}.{name}")
            except UsageError as error:
                raise UsageError(f"{file}: {error}", error.remedy) from None
    return raw


def _read_env(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for variable, text in env.items():
        if variable.startswith("RAGCHAT_") and "__" in variable:
            try:
                section, name = _split(variable.removeprefix("RAGCHAT_").lower().replace("__", ".", 1))
            except UsageError as error:
                raise UsageError(f"{variable} (environment): {error}", error.remedy) from None
            found.setdefault(section, {})[name] = text
    return found


def _build(in_file: dict[str, dict[str, Any]], in_env: dict[str, dict[str, Any]], file: Path) -> Settings:
    settings: dict[str, Section] = {}
    for section in msgspec.structs.fields(Settings):
        values: dict[str, Any] = {}
        for layer, origin, lax in ((in_file, f" ({file})", False), (in_env, " (environment)", True)):
            for name, raw in layer.get(section.name, {}).items():
                values[name] = _value(section.name, name, raw, origin=origin, lax=lax)
        settings[section.name] = section.type(**values)
    return Settings(**settings)  # type: ignore[arg-type]


def _value(section: str, name: str, raw: object, *, origin: str, lax: bool) -> Any:
    hints = get_type_hints(type(getattr(Settings(), section)), include_extras=True)
    try:
        value = _convert(raw, hints[name], lax=lax)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError("Expected a finite number")
    except (msgspec.ValidationError, ValueError) as error:
        raise UsageError(f"{section}.{name}{origin}: {error}.", f"Its value is {raw!r}.") from error
    return value


def _convert(raw: object, hint: Any, *, lax: bool) -> Any:
    plain = getattr(hint, "__origin__", hint)
    if lax and isinstance(raw, str) and getattr(plain, "__origin__", plain) is tuple:
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    if lax and plain is bool and isinstance(raw, str):
        raw = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(raw.lower(), raw.lower())
    return msgspec.convert(raw, hint, strict=not lax)
