"""What may be typed after a `/`: the one table of commands, how a typed line is read, and what it may continue with.

No screen and no doing here: the chat's screen and the plain chat each do what a command means.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ragchat.errors import UsageError
from ragchat.text import clean_line
from ragchat.types import AdapterScale, ChatOptions

# fmt: off
Kind = Literal[
    "none", "text", "path", "model", "knowledge base", "preset", "template", "tag", "chat", "theme", "option", "adapter"
]
# fmt: on
"""What an argument names, and so what completes it; "none": the command takes no argument, "text": anything."""

Candidates = Callable[[Kind, str], Sequence[str]]
"""Names of a kind that may stand where these characters were begun."""

_NAME = re.compile(r"/([A-Za-z][A-Za-z_-]*)(?:[ \t]+(.*))?", re.DOTALL)
_NO_PATH = re.compile(r"/([^\W\d_][^\s/]*)(?=\s|\Z)")
"""A word that begins like a command and has no second `/`, as paths have."""
_NEEDS_NO_NAME = ("text", "none")


@dataclass(frozen=True, slots=True)
class Command:
    """`argument` is the hint that is shown behind the name; in `[]` when it may be left out.

    `choices` are fixed words that the argument begins with. `one_line` False: the lines below belong to the argument.
    """

    name: str
    meaning: str
    argument: str = ""
    kind: Kind = "none"
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    one_line: bool = True

    @property
    def complete_alone(self) -> bool:
        """Whether the name may stand alone and there is nothing to choose from behind it."""
        return not self.argument or (self.kind == "text" and self.argument.startswith("["))


COMMANDS = (
    Command("help", "All keys and commands", "[COMMAND]", "text", aliases=("commands",)),
    Command("new", "Start a new chat", aliases=("clear",)),
    Command("chats", "List the chats"),
    Command("open", "Open another chat, by number or title", "CHAT", "chat"),
    Command("find", "Search all chats", "WORDS", "text"),
    Command("search", "Search the documents, without a model", "WORDS", "text"),
    Command("attach", "Attach a file to the next question", "FILE", "path", aliases=("file",)),
    Command("model", "Choose the model of this chat", "[NAME]", "model"),
    Command(
        "adapter",
        "Choose the adapters of this chat, with a scale if you like; `off` for none",
        "[NAME[:SCALE] …|off]",
        "adapter",
        aliases=("adapters",),
        choices=("off",),
    ),
    Command(
        "kb",
        "Choose the documents of this chat",
        "[NAME …]",
        "knowledge base",
        aliases=("documents",),
        choices=("default", "none"),
    ),
    Command(
        "system",
        "Write instructions for this chat; `default` resets them",
        "[TEXT]",
        "text",
        one_line=False,
    ),
    Command("set", "Change the sampling of this chat", "NAME=VALUE …", "option"),
    Command("strict", "Answer from the documents only", "[on|off|default]", choices=("on", "off", "default")),
    Command(
        "think",
        "Let the model reason before it answers, if it can",
        "[on|off|default]",
        choices=("on", "off", "default"),
    ),
    Command(
        "preset",
        "Save this chat's settings as a preset, or use a preset",
        "[save|use|delete NAME]",
        "preset",
        choices=("save", "use", "delete"),
    ),
    Command("template", "Fill in a prompt template", "[NAME]", "template", aliases=("templates",)),
    Command("export", "Write this chat to a file: .md, .json, .jsonl or .html", "[FILE]", "path"),
    Command("import", "Import chats from a file", "FILE", "path"),
    Command("compare", "Compare two settings on one question", "[QUESTION]", "text", one_line=False),
    Command("retry", "Regenerate the last answer", aliases=("regenerate",)),
    Command("edit", "Edit the last question", "[QUESTION]", "text", one_line=False),
    Command("continue", "Continue an answer that was cut off"),
    Command("fork", "Copy this chat into a new one"),
    Command("delete", "Delete the last turn, or this chat", "[turn|chat]", choices=("turn", "chat")),
    Command("undo", "Restore what you deleted last"),
    Command("good", "Rate the last answer good"),
    Command("bad", "Rate the last answer bad"),
    Command("correct", "Correct the last answer", "[TEXT]", "text", one_line=False),
    Command(
        "question",
        "Keep the last question for evaluation, with its expected answer",
        "[ANSWER]",
        "text",
        one_line=False,
    ),
    Command("prompt", "Show the exact prompt of the last answer, or of a question", "[QUESTION]", "text"),
    Command("replay", "Replay the last answer with the same inputs"),
    Command("summarise", "Summarise a whole document", "[DOCUMENT]", "path", aliases=("summarize",)),
    Command(
        "compact",
        "Replace the beginning of this chat in the prompt with a summary",
        "[undo]",
        choices=("undo",),
    ),
    Command("title", "Rename this chat", "[TITLE]", "text", aliases=("rename",)),
    Command("tag", "Add tags to this chat; -NAME removes one", "[NAME …]", "tag", aliases=("tags",)),
    Command("pin", "Pin or unpin this chat"),
    Command("copy", "Copy the last answer"),
    Command("sources", "Show the sources of the last answer"),
    Command("check", "Compare each statement of the last answer with the passages"),
    Command("jobs", "Show background jobs"),
    Command("settings", "Change the settings of ragchat"),
    Command("theme", "Change the colours", "[NAME]", "theme"),
    Command("quit", "Quit ragchat; everything is saved", aliases=("exit", "q")),
)
_BY_NAME = {name: command for command in COMMANDS for name in (command.name, *command.aliases)}


@dataclass(frozen=True, slots=True)
class Typed:
    """A command as it was typed. `command` is the name in the table, never an alias; `rest` are the lines below it."""

    command: str
    argument: str
    rest: str

    @property
    def words(self) -> list[str]:
        """The argument at its blanks."""
        return self.argument.split()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word after `/` that is no command. `nearest` is empty when none comes near."""

    name: str
    nearest: str

    @property
    def error(self) -> UsageError:
        """What is wrong, the nearest command, and how the text is sent all the same."""
        meant = f"Did you mean /{self.nearest}?" if self.nearest else "/help lists them."
        name = clean_line(self.name, limit=40)
        return UsageError(f"There is no command /{name}. {meant}", "Begin with // to send the text.")


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to continue: `line` is the whole first line when it is chosen; `label`, `argument` and `meaning` are shown.

    `final`: with it the command is whole.
    """

    line: str
    label: str
    argument: str = ""
    meaning: str = ""
    final: bool = False


def find(name: str) -> Command | None:
    """The command of this name or alias."""
    return _BY_NAME.get(name.casefold())


def begins(word: str) -> bool:
    """Whether a name or an alias begins like this and none is it: what is offered for it may be taken unseen."""
    begun = word.casefold()
    return begun not in _BY_NAME and any(name.startswith(begun) for name in _BY_NAME)


def parse(text: str) -> Typed | None:
    """The command that the first line is, or None: any other text is for the model."""
    first, _, rest = text.partition("\n")
    match = _NAME.fullmatch(first.rstrip())
    command = find(match[1]) if match else None
    if match is None or command is None:
        return None
    argument = (match[2] or "").strip()
    if not command.one_line:
        argument, rest = f"{argument}\n{rest}".strip(), ""
    return Typed(command.name, argument, rest)


def unknown_command(text: str) -> Unknown | None:
    """What looks like a command and is none; paths such as `/usr/bin` do not."""
    match = _NO_PATH.match(text)
    if match is None or parse(text):
        return None
    near = difflib.get_close_matches(match[1].casefold(), _BY_NAME, n=1, cutoff=0.6)
    if not near:
        near = [name for name in _BY_NAME if name.startswith(match[1].casefold())][:1]
    return Unknown(match[1], _BY_NAME[near[0]].name if near else "")


def literal(text: str) -> str:
    """The text that is meant: of two slashes at its beginning one says that no command follows."""
    return text[1:] if re.match(r"//[^\s/]", text) else text


def complete(text: str, candidates: Candidates) -> list[Offer]:
    """What the first line, typed as far as `text`, may continue with; empty when it is no command or needs no more."""
    if not text.startswith("/") or "\n" in text:
        return []
    word, blank, argument = text[1:].partition(" ")
    if not blank:
        return _names(word)
    command = find(word)
    return _arguments(command, word, argument.lstrip(), candidates) if command else []


def _names(begun: str) -> list[Offer]:
    """Commands whose name begins like this; else those that hold it; a command is offered once, under its first name."""
    wanted = begun.casefold()
    offers = [
        Offer(
            f"/{command.name}" + (" " if command.argument else ""),
            f"/{command.name}",
            command.argument,
            command.meaning,
            command.complete_alone,
        )
        for command in COMMANDS
        if any(name.startswith(wanted) for name in (command.name, *command.aliases))
    ]
    # A name before an alias: /e is edit and export before quit, which is exit besides.
    offers.sort(key=lambda offer: not offer.label[1:].startswith(wanted))
    if offers or len(wanted) < 2:
        return offers
    return [offer for offer in _names("") if wanted in offer.label[1:]]


def _arguments(command: Command, word: str, argument: str, candidates: Candidates) -> list[Offer]:
    """Names that the argument, or its last word, may continue with."""
    *before, begun = argument.split(" ") if _takes_words(command, argument) else [argument]
    kind = command.kind
    if command.name == "preset" and before[:1] == ["save"]:
        kind = "text"  # a new name, which nobody can guess
    if command.name == "tag" and begun.startswith("-"):
        found = [f"-{name}" for name in candidates("tag", begun[1:])]
    elif kind == "option":
        found = [] if "=" in begun else [f"{name}=" for name in OPTIONS]
    elif command.choices and not before and (kind == "none" or command.name == "preset"):
        found = list(command.choices)
    elif kind in _NEEDS_NO_NAME:
        found = []
    else:
        found = [*candidates(kind, begun), *(command.choices if not before else ())]
    if kind != "path":  # which are already those that go on from what was begun
        found = _beginning(found, begun)
    head = " ".join([f"/{word}", *before])
    return [
        Offer(f"{head} {name}", name, final=not (name.endswith(("/", "=")) or _goes_on(command, before)))
        for name in found
        if name not in before and (name != begun or kind == "path")
    ]


def _takes_words(command: Command, argument: str) -> bool:
    """Whether the argument is several words, each completed by itself."""
    if command.name == "preset":
        return " " in argument
    return command.name in ("kb", "tag", "set", "adapter")


def _goes_on(command: Command, before: Sequence[str]) -> bool:
    return command.name == "preset" and not before


def _beginning(names: Sequence[str], begun: str) -> list[str]:
    """The names that begin like this, then those that hold it; capital letters count as small ones."""
    wanted = begun.casefold()
    starting = [name for name in names if name.casefold().startswith(wanted)]
    return starting + [name for name in names if wanted in name.casefold() and name not in starting]


# --- /set -----------------------------------------------------------------------------------------------

OPTIONS: dict[str, tuple[type[int] | type[float], float, float]] = {
    "temperature": (float, 0, 5),
    "top_k": (int, 0, 1_000_000),
    "top_p": (float, 0, 1),
    "min_p": (float, 0, 1),
    "repeat_penalty": (float, 0.1, 10),
    "seed": (int, -1, 2**32 - 2),
    "max_tokens": (int, 0, 10_000_000),
}
"""What `/set` knows: the type, the smallest and the largest value."""


def with_options(options: ChatOptions, argument: str) -> ChatOptions:
    """`options` with `name=value …`; the value `default` (or none) means: as the settings say. Raises UsageError."""
    changes: dict[str, float | None] = {}
    for part in argument.replace(",", " ").split():
        name, sign, value = part.partition("=")
        name = name.casefold().replace("-", "_")
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"Available: {', '.join(OPTIONS)}."
            raise UsageError(f"Nothing is called {name!r} here.", hint)
        if not sign:
            raise UsageError(f"Type a value: {name}=…", "`default` resets it.")
        changes[name] = None if value in ("", "default") else _number(name, value)
    if not changes:
        raise UsageError("Type a name and a value: /set temperature=0.2", f"Available: {', '.join(OPTIONS)}.")
    return replace(options, **changes, preset="")  # type: ignore[arg-type]


def _number(name: str, value: str) -> float:
    kind, least, most = OPTIONS[name]
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:  # NaN is in no range
        whole = "a whole number" if kind is int else "a number"
        raise UsageError(f"{name} must be {whole} from {least:g} to {most:g}, not {value!r}.")
    return number


def adapters(typed: Typed, known: Sequence[str]) -> tuple[AdapterScale, ...]:
    """What `/adapter` asks for. Raises UsageError."""
    if typed.words == ["off"]:
        return ()
    wanted = AdapterScale.typed("+".join(typed.words))
    if unknown := [each.name for each in wanted if each.name not in known]:
        there = ", ".join(known) or "none (train one with `ragchat finetune`)"
        raise UsageError(f"No adapter called {unknown[0]!r} fits this model.", f"Available: {there}.")
    return wanted
