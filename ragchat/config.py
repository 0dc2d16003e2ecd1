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

import ragchat.types.defaults as default
from ragchat.errors import UsageError
from ragchat.paths import write_atomically

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section of the settings file: immutable, and an unknown name is an error."""


class ModelSettings(Section, frozen=True):
    """Which chat model is loaded, and how."""

    name: Annotated[
        str,
        Meta(description="Model to chat with: a name from `model list` or a path; empty: the default"),
    ] = ""
    n_ctx: Annotated[
        int, Meta(ge=0, description="Context in tokens; 0: the trained context of the model, at most 8192")
    ] = default.N_CTX
    n_batch: Annotated[
        int,
        Meta(ge=32, le=4096, description="Prompt tokens read in one step; you can stop at any time"),
    ] = default.N_BATCH
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
    read_ahead: Annotated[
        bool, Meta(description="Read what the next prompt begins with while you type, and after an answer")
    ] = True
    lookup: Annotated[
        str,
        Meta(
            pattern="^(auto|off)$",
            description="auto: look up the next words in the prompt where that is faster",
        ),
    ] = "auto"
    snapshots_mib: Annotated[
        int, Meta(ge=0, description="Disk space for what models have read of your chats; 0: none is kept")
    ] = default.SNAPSHOTS_MIB
    thinking: Annotated[bool, Meta(description="Let models reason before they answer, if they can")] = False
    plain_format: Annotated[
        str,
        Meta(
            pattern="^(|chatml|alpaca|vicuna|plain)$",
            description="Prompt format for models without a chat template",
        ),
    ] = ""


class SamplingSettings(Section, frozen=True):
    """How the next token is chosen, and how long an answer may get."""

    temperature: Annotated[float, Meta(ge=0, le=5, description="0 always picks the most likely token")] = (
        default.TEMPERATURE
    )
    top_k: Annotated[int, Meta(ge=0, description="Choose among the k most likely tokens; 0: all")] = (
        default.TOP_K
    )
    top_p: Annotated[
        float,
        Meta(
            gt=0, le=1, description="Choose among the most likely tokens that together have this probability"
        ),
    ] = default.TOP_P
    min_p: Annotated[
        float, Meta(ge=0, le=1, description="Leave out tokens below this share of the most likely token")
    ] = default.MIN_P
    repeat_penalty: Annotated[
        float, Meta(gt=0, le=3, description="Above 1 discourages repeating the answer's own last 64 tokens")
    ] = default.REPEAT_PENALTY
    seed: Annotated[
        int, Meta(ge=-1, le=4294967294, description="-1: a new seed for each answer, which is recorded")
    ] = -1
    max_tokens: Annotated[
        int, Meta(ge=0, description="Maximum length of an answer; 0: until the context is full")
    ] = default.MAX_TOKENS
    stop: Annotated[tuple[str, ...], Meta(description="Texts that end the answer")] = ()


class RetrievalSettings(Section, frozen=True):
    """What a search returns and how much of it a prompt holds."""

    k: Annotated[int, Meta(ge=1, le=100, description="Number of hits of a search")] = default.HITS
    passages: Annotated[
        int,
        Meta(
            ge=0, le=50, description="Maximum number of passages in the prompt; 0: by the size of the model"
        ),
    ] = 0
    passage_share: Annotated[
        float, Meta(gt=0, le=0.9, description="Maximum share of the context for passages")
    ] = default.PASSAGE_SHARE
    min_match: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Minimum share of the question's weight (idf) in the best passage; below it, the search finds nothing",
        ),
    ] = default.MIN_MATCH
    min_confidence: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="With this confidence, the search counts as successful, whatever min_match says",
        ),
    ] = default.MIN_CONFIDENCE
    k1: Annotated[
        float,
        Meta(ge=0, le=10, description="BM25: how much repetition counts; `ragchat eval tune` tries values"),
    ] = default.BM25_K1
    b: Annotated[float, Meta(ge=0, le=1, description="BM25: how much long passages lose")] = default.BM25_B
    proximity: Annotated[bool, Meta(description="Words that are close together count more")] = True
    forms: Annotated[bool, Meta(description="Words exactly as you typed them count more")] = True
    agreement: Annotated[bool, Meta(description="Passages similar to other good ones count more")] = True
    feedback: Annotated[bool, Meta(description="Search again with words of the best passages (RM3)")] = True
    meaning: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Maximum weight of meaning in the ranking, if an embedding model is installed; 0: none",
        ),
    ] = default.MEANING
    reranker: Annotated[
        str,
        Meta(
            description="Cross-encoder that orders the first 20 hits: a name from your models folder or a path; empty: none."
            " Not measured here: no weights of such a model could be had"
        ),
    ] = ""
    rewrite: Annotated[
        str,
        Meta(
            pattern="^(off|on|auto)$",
            description="If a search is unsure, let the model write a sentence to search for as well; auto: for models where"
            " `ragchat eval rewriting` found a gain, or not measured ones from 1 billion parameters",
        ),
    ] = "off"
    longest_passage: Annotated[
        int,
        Meta(
            ge=0,
            description="Maximum length of a passage in characters; it grows within its section; 0: chunks as they are",
        ),
    ] = default.LONGEST_PASSAGE


class EmbeddingSettings(Section, frozen=True):
    """The model for search by meaning."""

    model: Annotated[
        str,
        Meta(
            description="Embedding model: a name from `model list` or a path; empty: the default; off: search by words only"
        ),
    ] = ""


class KnowledgeSettings(Section, frozen=True):
    """Which files become documents, and how they are cut."""

    max_file_mib: Annotated[float, Meta(gt=0, description="Skip larger files")] = default.MAX_FILE_MIB
    exclude: Annotated[tuple[str, ...], Meta(description="Patterns to skip, written as in .gitignore")] = ()
    chunk_tokens: Annotated[int, Meta(ge=40, le=2000, description="Estimated size of a chunk in tokens")] = (
        default.CHUNK_TOKENS
    )
    overlap_tokens: Annotated[
        int, Meta(ge=0, le=200, description="Tokens of whole sentences repeated from the previous chunk")
    ] = default.OVERLAP_TOKENS
    extraction_timeout_s: Annotated[float, Meta(gt=0, description="Maximum time for one file")] = (
        default.EXTRACTION_TIMEOUT_S
    )
    extraction_memory_mib: Annotated[int, Meta(ge=256, description="Maximum memory for one file (Linux)")] = (
        default.EXTRACTION_MEMORY_MIB
    )
    sync_at_start: Annotated[
        bool, Meta(description="Sync the knowledge bases of the chat in the background when the screen opens")
    ] = True
    watch: Annotated[
        tuple[str, ...], Meta(description="Knowledge bases to watch; press `w` in the list to change")
    ] = ()
    query_timeout_s: Annotated[
        float, Meta(gt=0, description="Maximum time for a query of a database source")
    ] = default.QUERY_TIMEOUT_S


class ChatSettings(Section, frozen=True):
    """What a new chat begins with."""

    knowledge_bases: Annotated[
        tuple[str, ...],
        Meta(
            description="Knowledge bases of a new chat; empty: all of yours, or the manual if you have none"
        ),
    ] = ()
    strict: Annotated[
        bool,
        Meta(description="Decline if the documents do not answer, and strike out what they do not support"),
    ] = False
    second_look: Annotated[
        bool, Meta(description="Let the model look again at each statement that it made (seconds per answer)")
    ] = False
    system_prompt: Annotated[str, Meta(description="Replaces the built-in instructions")] = ""


class UiSettings(Section, frozen=True):
    """How the screen looks and moves."""

    theme: Annotated[
        str, Meta(description="A theme of Textual's or of your own themes/*.toml; auto: by the terminal")
    ] = "auto"
    reduced_motion: Annotated[bool, Meta(description="Turn off motion and blinking")] = False
    editor: Annotated[
        str, Meta(description="Editor for `e`; empty: $VISUAL, $EDITOR, then an installed editor")
    ] = ""
    load_at_start: Annotated[bool, Meta(description="Load the model when the screen opens")] = True


class Settings(Section, frozen=True):
    """All settings, one field for each section of the file."""

    model: ModelSettings = ModelSettings()
    sampling: SamplingSettings = SamplingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    embedding: EmbeddingSettings = EmbeddingSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    chat: ChatSettings = ChatSettings()
    ui: UiSettings = UiSettings()
    keys: dict[str, str] = msgspec.field(default_factory=dict)
    """Keys by binding id, as they are in the file."""


KEYS = "keys"
"""The section whose names are binding ids."""
_AT_START = (
    "model.",
    "embedding.",
    "retrieval.reranker",
    "knowledge.sync_at_start",
    "knowledge.watch",
    "ui.load_at_start",
)
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
        yield Setting(f"{KEYS}.{name}", keys, None, "file", "Your own keys; the help (F1) lists the defaults")


def set_value(file: Path, key: str, text: str) -> object:
    """Write one setting (`section.key`) into `file`, comments kept; the value as it was understood. Raises UsageError."""
    import tomlkit

    section, name = _split(key)
    value = text if section == KEYS else msgspec.to_builtins(_value(section, name, text, origin="", lax=True))
    document = _parse(file)
    table = document.setdefault(section, tomlkit.table())
    if not isinstance(table, MutableMapping):
        raise UsageError(f"{file}: {section} is not a section.", "Fix or move the file.")
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
        raise UsageError(f"{file}: {section} is not a section.", "Fix or move the file.")
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
        raise UsageError(f"{file} cannot be read: {error}", "Fix or move the file.") from error


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
    return f"Did you mean {near[0]!r}?" if near else "`ragchat config show` lists all settings."


def _read_file(file: Path) -> dict[str, dict[str, Any]]:
    try:
        raw = tomllib.loads(file.read_text("utf-8-sig")) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not valid TOML: {error}", "Fix or move the file.") from error
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
                    raise UsageError("You can set keys only in the settings file.")
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
