"""What may be typed after a `/`: the one table of commands, how a typed line is read, and what it may go on with.

No screen and no doing here: the chat's screen and the plain chat each do what a command means.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ragchat.errors import UsageError
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
    Command("new", "Begin an empty chat", aliases=("clear",)),
    Command("chats", "The list of chats"),
    Command("open", "Open another chat, by number or title", "CHAT", "chat"),
    Command("find", "Search all chats", "WORDS", "text"),
    Command("search", "Search the documents, without a model", "WORDS", "text"),
    Command("attach", "Ask about a file in the next question only", "FILE", "path", aliases=("file",)),
    Command("model", "Choose the model of this chat", "[NAME]", "model"),
    Command(
        "adapter",
        "Switch adapters of this chat on, at a scale if one is named; `off` for none",
        "[NAME[:SCALE] …|off]",
        "adapter",
        aliases=("adapters",),
        choices=("off",),
    ),
    Command(
        "kb",
        "Choose the documents that this chat asks",
        "[NAME …]",
        "knowledge base",
        aliases=("documents",),
        choices=("default", "none"),
    ),
    Command(
        "system",
        "Write this chat's instructions; `default` takes them back",
        "[TEXT]",
        "text",
        one_line=False,
    ),
    Command("set", "Sampling of this chat", "NAME=VALUE …", "option"),
    Command("strict", "Answer from the documents only", "[on|off|default]", choices=("on", "off", "default")),
    Command(
        "think",
        "Let a model that can think do so before it answers",
        "[on|off|default]",
        choices=("on", "off", "default"),
    ),
    Command(
        "preset",
        "Keep this chat's settings under a name, or use them",
        "[save|use|delete NAME]",
        "preset",
        choices=("save", "use", "delete"),
    ),
    Command("template", "Fill in a prompt that is kept", "[NAME]", "template", aliases=("templates",)),
    Command("export", "Write this chat to a file: .md, .json, .jsonl or .html", "[FILE]", "path"),
    Command("import", "Read chats from a file", "FILE", "path"),
    Command("compare", "One question, two settings, side by side", "[QUESTION]", "text", one_line=False),
    Command("retry", "Answer the last question again", aliases=("regenerate",)),
    Command("edit", "Write the last question anew", "[QUESTION]", "text", one_line=False),
    Command("continue", "Go on with an answer that was cut"),
    Command("fork", "A new chat with what was said so far"),
    Command("delete", "Delete the last turn, or this chat", "[turn|chat]", choices=("turn", "chat")),
    Command("undo", "Bring back what was deleted last"),
    Command("good", "The last answer is good"),
    Command("bad", "The last answer is bad"),
    Command("correct", "Say what the last answer should have been", "[TEXT]", "text", one_line=False),
    Command(
        "question",
        "Keep the last question for measuring, with its right answer",
        "[ANSWER]",
        "text",
        one_line=False,
    ),
    Command("prompt", "The exact prompt of the last answer, or of a question", "[QUESTION]", "text"),
    Command("replay", "Make the last answer again from what it was made from"),
    Command("summarise", "Summarise a whole document", "[DOCUMENT]", "path", aliases=("summarize",)),
    Command("compact", "Let a summary stand for the beginning of this chat", "[undo]", choices=("undo",)),
    Command("title", "Name this chat", "[TITLE]", "text", aliases=("rename",)),
    Command("tag", "Tags of this chat; -NAME takes one off", "[NAME …]", "tag", aliases=("tags",)),
    Command("pin", "Keep this chat on top, or no longer"),
    Command("copy", "Copy the last answer"),
    Command("sources", "The sources of the last answer"),
    Command("jobs", "What is running in the background"),
    Command("settings", "The settings of ragchat"),
    Command("theme", "Other colours", "[NAME]", "theme"),
    Command("quit", "End ragchat; nothing is lost", aliases=("exit", "q")),
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
        return self.argument.split()


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word after `/` that is no command. `nearest` is empty when none comes near."""

    name: str
    nearest: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to go on: `line` is the whole first line when it is chosen; `label`, `argument` and `meaning` are shown.

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
    match = _NAME.fullmatch(text.partition("\n")[0].rstrip())
    if match is None or find(match[1]):
        return None
    near = difflib.get_close_matches(match[1].casefold(), _BY_NAME, n=1, cutoff=0.6)
    if not near:
        near = [name for name in _BY_NAME if name.startswith(match[1].casefold())][:1]
    return Unknown(match[1], _BY_NAME[near[0]].name if near else "")


def literal(text: str) -> str:
    """The text that is meant: of two slashes at its beginning one says that no command follows."""
    return text[1:] if re.match(r"//[^\s/]", text) else text


def complete(text: str, candidates: Candidates) -> list[Offer]:
    """What the first line, typed as far as `text`, may go on with; empty when it is no command or needs no more."""
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
    """Names that the argument, or its last word, may go on with."""
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
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(OPTIONS)}."
            raise UsageError(f"Nothing is called {name!r} here.", hint)
        if not sign:
            raise UsageError(f"Say a value: {name}=…", "`default` takes it back.")
        changes[name] = None if value in ("", "default") else _number(name, value)
    if not changes:
        raise UsageError("Say what: /set temperature=0.2", f"There are {', '.join(OPTIONS)}.")
    return replace(options, **changes, preset="")  # type: ignore[arg-type]


def _number(name: str, value: str) -> float:
    kind, least, most = OPTIONS[name]
    try:
        number = kind(value)
    except ValueError:
        number = None
    if number is None or not least <= number <= most:  # NaN is in no range
        whole = "a whole number" if kind is int else "a number"
        raise UsageError(f"{name} wants {whole} from {least:g} to {most:g}, not {value!r}.")
    return number


def adapters(typed: Typed, known: Sequence[str]) -> str:
    """What `/adapter` asks for, as `AdapterScale` writes it. Raises UsageError."""
    if typed.words == ["off"]:
        return ""
    try:
        wanted = AdapterScale.parse("+".join(typed.words))
    except ValueError:
        raise UsageError(
            f"{typed.argument!r} says no scale.", "Write /adapter facts or /adapter facts:0.5."
        ) from None
    if unknown := [each.name for each in wanted if each.name not in known]:
        there = ", ".join(known) or "none; `ragchat finetune` makes one"
        raise UsageError(f"No adapter called {unknown[0]!r} fits this model.", f"There are: {there}.")
    return AdapterScale.join(wanted)
