"""Settings: default < file < environment < typed option. Unknown keys are refused by name.

Each setting is a field with its meaning in the `Annotated` description, which `config show` and the help print.
The file is TOML (`ragchat config path`); an environment variable is RAGCHAT_SECTION__KEY. Nothing below `cli` takes
the `Settings` object: plain values are passed down. The section [keys] is read as text by binding id; which ids and
keys there are is known to `ragchat.tui.keymap` alone.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import msgspec
from msgspec import Meta

from ragchat.errors import UsageError
from ragchat.paths import write_atomically

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


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
        0.2
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
    min_confidence: Annotated[
        float,
        Meta(ge=0, le=1, description="A search this sure counts as found, whatever its passages hold"),
    ] = 0.3
    k1: Annotated[
        float,
        Meta(ge=0, le=10, description="BM25: how much repetition counts; `ragchat eval tune` tries values"),
    ] = 1.5
    b: Annotated[float, Meta(ge=0, le=1, description="BM25: how much long passages are held back")] = 0.6
    proximity: Annotated[bool, Meta(description="Words that stand near each other count more")] = True
    forms: Annotated[bool, Meta(description="Words that stand as they were typed count more")] = True
    agreement: Annotated[bool, Meta(description="Passages that resemble other good ones count more")] = True
    feedback: Annotated[bool, Meta(description="Search again with words of the best passages (RM3)")] = True
    meaning: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Largest share of meaning in the order of passages, where there is a model for it; 0: none",
        ),
    ] = 0.8
    longest_passage: Annotated[
        int,
        Meta(
            ge=0,
            description="Characters up to which a passage grows within its section; 0: chunks as they are",
        ),
    ] = 2000


class EmbeddingSettings(Section, frozen=True):
    model: Annotated[
        str,
        Meta(
            description="Model for search by meaning: a name from `model list` or a path; empty: the default; off: words alone"
        ),
    ] = ""


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
    theme: Annotated[
        str, Meta(description="A theme of Textual's or of your own themes/*.toml; auto: by the terminal")
    ] = "auto"
    reduced_motion: Annotated[bool, Meta(description="Nothing moves or blinks by itself")] = False
    editor: Annotated[
        str, Meta(description="Editor for `e`; empty: $VISUAL, $EDITOR, then what is installed")
    ] = ""
    load_at_start: Annotated[bool, Meta(description="Load the model while the screen opens")] = True


class Settings(Section, frozen=True):
    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    chat: ChatSettings = ChatSettings()
    ui: UiSettings = UiSettings()
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Keys by binding id, as they stand in the file."""


KEYS = "keys"
"""The section whose names are binding ids."""
_AT_START = ("model.", "embedding.", "knowledge.sync_at_start", "knowledge.watch", "ui.load_at_start")
"""Beginnings of the settings that an open chat does not take up."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as `config show` prints it.

    `choices`: all values there are, empty where any of the type will do. `at_once`: an open chat takes it up; the others
    wait for the next start. `behind`: what the file says while the environment has its way, else None.
    """

    key: str
    value: object
    default: object
    origin: str
    meaning: str
    choices: tuple[str, ...] = field(default=())
    at_once: bool = True
    behind: object = None


def load(file: Path, env: Mapping[str, str]) -> Settings:
    """Settings from defaults, `file` (may be absent) and `env`. Raises UsageError naming what is wrong."""
    return _build(_read_file(file), _read_env(env), file)


def describe(file: Path, env: Mapping[str, str]) -> Iterator[Setting]:
    """Every setting with its value, default, origin and meaning; then the keys of the file. Raises UsageError."""
    in_file, in_env = _read_file(file), _read_env(env)
    settings, defaults = _build(in_file, in_env, file), Settings()
    for section, name, meta in _fields():
        value, default = (getattr(getattr(source, section), name) for source in (settings, defaults))
        origin, behind, key = "default", None, f"{section}.{name}"
        if name in in_env.get(section, {}):
            origin, behind = "environment", in_file.get(section, {}).get(name)
        elif name in in_file.get(section, {}):
            origin = "file"
        at_once = not key.startswith(_AT_START)
        yield Setting(
            key, value, default, origin, meta.description or "", _choices(meta, default), at_once, behind
        )
    for name, keys in settings.keys.items():
        yield Setting(f"{KEYS}.{name}", keys, None, "file", "Keys instead of those that the help (F1) names")


def set_value(file: Path, key: str, text: str) -> object:
    """Write one setting (`section.key`) into `file`, comments kept; the value as it was understood. Raises UsageError."""
    import tomlkit

    section, name = _split(key)
    value = text if section == KEYS else msgspec.to_builtins(_value(section, name, text, origin="", lax=True))
    document = _parse(file)
    table = document.setdefault(section, tomlkit.table())
    if not isinstance(table, MutableMapping):
        raise UsageError(f"{file}: {section} is not a section.", "Mend or move the file.")
    holder, last = _holder(table, name)
    holder[last] = list(value) if isinstance(value, (list, tuple)) else value
    _write(file, document)
    return value


def unset_value(file: Path, key: str) -> bool:
    """Take one setting out of `file`, so that its default holds again; whether it stood there. Raises UsageError."""
    section, name = _split(key)
    document = _parse(file)
    table = document.get(section, {})
    if not isinstance(table, MutableMapping):
        raise UsageError(f"{file}: {section} is not a section.", "Mend or move the file.")
    holder, last = _holder(table, name)
    if last not in holder:
        return False
    del holder[last]
    _write(file, document)
    return True


def _parse(file: Path) -> TOMLDocument:
    import tomlkit
    import tomlkit.exceptions

    try:
        return tomlkit.parse(file.read_text("utf-8-sig")) if file.exists() else tomlkit.document()
    except (OSError, UnicodeDecodeError, tomlkit.exceptions.ParseError) as error:
        raise UsageError(f"{file} cannot be read: {error}", "Mend or move the file.") from error


def _write(file: Path, document: TOMLDocument) -> None:
    import tomlkit

    try:
        write_atomically(file, tomlkit.dumps(document).encode())
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error


def _holder(table: MutableMapping[str, Any], name: str) -> tuple[MutableMapping[str, Any], str]:
    """Where `name` stands: `chat.new = "x"` without quotes is a table `chat` to TOML."""
    first, dot, rest = name.partition(".")
    inner = table.get(first)
    if dot and name not in table and isinstance(inner, MutableMapping) and rest in inner:
        return inner, rest
    return table, name


def _sections() -> Iterator[msgspec.structs.FieldInfo]:
    return (field for field in msgspec.structs.fields(Settings) if field.name != KEYS)


def _fields() -> Iterator[tuple[str, str, Meta]]:
    for section in _sections():
        hints = get_type_hints(section.type, include_extras=True)
        for named in msgspec.structs.fields(section.type):
            found = (m for m in getattr(hints[named.name], "__metadata__", ()) if isinstance(m, Meta))
            yield section.name, named.name, next(found, Meta())


def _choices(meta: Meta, default: object) -> tuple[str, ...]:
    if isinstance(default, bool):
        return ("true", "false")
    named = re.fullmatch(r"\^\(([\w|]*)\)\$", meta.pattern or "")
    return tuple(named[1].split("|")) if named else ()


def _split(key: str) -> tuple[str, str]:
    section, _, name = key.partition(".")
    if section == KEYS and name:
        return section, name
    known = [f"{section}.{name}" for section, name, _ in _fields()]
    if key not in known:
        raise UsageError(f"There is no setting {key!r}.", _nearest(key, known))
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
    sections = [section.name for section in msgspec.structs.fields(Settings)]
    for section, values in raw.items():
        if section not in sections or not isinstance(values, dict):
            raise UsageError(f"{file}: there is no section [{section}].", _nearest(section, sections))
        if section == KEYS:
            raw[section] = _flat(values)
            continue
        for name in values:
            try:
                _split(f"{section}.{name}")
            except UsageError as error:
                raise UsageError(f"{file}: {error}", error.remedy) from None
    return raw


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """`chat.new = "x"` as `"chat.new" = "x"`."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def _read_env(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for variable, text in env.items():
        if variable.startswith("RAGCHAT_") and "__" in variable:
            try:
                section, name = _split(variable.removeprefix("RAGCHAT_").lower().replace("__", ".", 1))
                if section == KEYS:
                    raise UsageError("Keys are set in the settings file only.")
            except UsageError as error:
                raise UsageError(f"{variable} (environment): {error}", error.remedy) from None
            found.setdefault(section, {})[name] = text
    return found


def _build(in_file: dict[str, dict[str, Any]], in_env: dict[str, dict[str, Any]], file: Path) -> Settings:
    settings: dict[str, Section] = {}
    for section in _sections():
        values: dict[str, Any] = {}
        for layer, origin, lax in ((in_file, f" ({file})", False), (in_env, " (environment)", True)):
            for name, raw in layer.get(section.name, {}).items():
                values[name] = _value(section.name, name, raw, origin=origin, lax=lax)
        settings[section.name] = section.type(**values)
    keys = {name: _text(f"{KEYS}.{name}", raw, file) for name, raw in in_file.get(KEYS, {}).items()}
    return Settings(keys=keys, **settings)  # type: ignore[arg-type]


def _text(key: str, raw: object, file: Path) -> str:
    if not isinstance(raw, str):
        raise UsageError(f"{key} ({file}): Expected `str`.", f"Its value is {raw!r}.")
    return raw


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
