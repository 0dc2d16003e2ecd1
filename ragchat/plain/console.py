"""Lines in, lines out: how the plain chat reads and writes. No escape sequence, no cursor that moves, nothing drawn over.

What the user types on a terminal is edited by readline, where Python has it; piped lines are read as they come.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from ragchat.app import commands
from ragchat.session import marked
from ragchat.session.chat_lines import check_lines, quote_lines, quote_place, said_by
from ragchat.session.quotation import FROM_DOCUMENTS
from ragchat.text import clean, clean_line
from ragchat.types import UNCHECKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ragchat.app.commands import Candidates
    from ragchat.types import AnswerCheck, Citation, Hit, Quote, Statement

_BLOCK = '"""'
_DOUBTS = 5
_NEAREST = 3
_EVIDENCE = 300
"""Characters."""


class Console:
    """`interactive`: a user is at the terminal, so there is a prompt, and progress is shown."""

    def __init__(self, *, interactive: bool) -> None:
        self.interactive = interactive
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="replace")

    @property
    def watched(self) -> bool:
        """Whether someone may be waiting before a terminal, even if the lines come through a pipe."""
        return self.interactive or (sys.stderr is not None and sys.stderr.isatty())

    # --- out ----------------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """What was asked for, on standard output; cleaned, in whole lines."""
        click.echo(clean(text), color=False)

    def stream(self, text: str) -> None:
        """A piece of an answer, as it stands."""
        click.echo(text, nl=False, color=False)

    def note(self, sentence: str) -> None:
        """Everything else, on standard error: one line."""
        click.echo(clean_line(sentence), err=True, color=False)

    # --- in -----------------------------------------------------------------------------------------

    def read_line(self, prompt: str) -> str | None:
        """One line, or None at the end of input. Raises KeyboardInterrupt."""
        if sys.stdin is None:  # it was closed before we started
            return None
        if self.interactive:
            try:
                return input(prompt)
            except EOFError:
                click.echo()  # the line in which Ctrl-D was pressed ends
                return None
        line = sys.stdin.readline()
        return line.rstrip("\r\n") if line else None

    def read_text(self) -> str | None:
        """What the user wants to say, or None at the end of input.

        A line that ends in a backslash continues in the next one; a block begins and ends with three quotation marks.
        """
        line = self.read_line("> ")
        if line is None:
            return None
        if line.lstrip().startswith(_BLOCK):
            return clean(self._block(line.lstrip()[len(_BLOCK) :]))
        lines = []
        while line is not None and line.endswith("\\"):
            lines.append(line[:-1])
            line = self.read_line("… " if _speaks_unicode() else ". ")
        return clean("\n".join([*lines, *([line] if line is not None else [])]))

    def _block(self, first: str) -> str:
        lines: list[str] = []
        line: str | None = first
        while line is not None and not line.rstrip().endswith(_BLOCK):
            lines.append(line)
            line = self.read_line("… " if _speaks_unicode() else ". ")
        if line is not None:
            lines.append(line.rstrip()[: -len(_BLOCK)])
        return "\n".join(lines).strip("\n")

    def confirm(self, question: str) -> bool:
        """Whether the answer is yes; who is not there to be asked has said so by writing it down."""
        if not self.interactive:
            return True
        answer = self.read_line(f"{question} [y/N] ")
        return (answer or "").strip().casefold() in ("y", "yes")

    def use_readline(self, candidates: Candidates, history: Sequence[str]) -> None:
        """Edit lines with readline, complete slash commands with Tab; `history` is newest first."""
        if not self.interactive:
            return
        try:
            import readline
        except ImportError:  # Windows, or a Python built without it
            return
        offers: list[str] = []

        def complete(text: str, state: int) -> str | None:
            if state == 0:
                offers[:] = [offer.line for offer in commands.complete(clean_line_begun(text), candidates)]
            return offers[state] if state < len(offers) else None

        for line in reversed(history):
            if "\n" not in line:
                readline.add_history(clean_line(line))
        readline.set_completer_delims("")  # the whole line is completed
        readline.set_completer(complete)
        if "libedit" in (readline.__doc__ or ""):
            readline.parse_and_bind("bind ^I rl_complete")
            return
        # These would write escape sequences by themselves.
        for setting in ("enable-bracketed-paste off", "enable-meta-key off", "bell-style none"):
            readline.parse_and_bind(f"set {setting}")
        readline.parse_and_bind("tab: complete")


def source_lines(
    citations: Sequence[Citation], check: AnswerCheck = UNCHECKED, *, whole_path: bool = False
) -> list[str]:
    """`[1] guide.md, lines 3-9, cited by the model: “quote”` for each source that an answer cites."""
    by = marked.cited_by(check)
    return [
        f"[{citation.n}] {clean_line(citation.hit.path if whole_path else PurePath(citation.hit.path).name)},"
        f" {citation.hit.source}{said_by(by.get(citation.n, ''))}"
        + (f": “{clean_line(citation.quote)}”" if citation.quote else "")
        for citation in marked.cited(citations, check)
    ]


def quotes_text(quotes: Sequence[Quote]) -> str:
    """What the documents say: each quotation between quotation marks, its place below it."""
    parts = [FROM_DOCUMENTS]
    for quote in quotes:
        words = "\n".join(quote_lines(quote))
        parts += [f"“{words}”", quote_place(quote, file=PurePath(quote.hit.path).name)]
    return "\n".join(parts)


def doubts(check: AnswerCheck) -> list[str]:
    """The line of a check, then some of the statements that are not supported; empty for an answer that was not checked."""
    lines = check_lines(check, marked.SPOKEN)
    said = [] if check.says else [marked.DO_NOT_SAY]
    more = len(lines) - 1 - _DOUBTS
    return [
        *said,
        *(f"{line}." for line in lines[:1]),
        *lines[1 : 1 + _DOUBTS],
        *([f"And {more} more: /check says them all."] if more > 0 else []),
    ]


def nearest_lines(hits: Sequence[Hit]) -> list[str]:
    """Passages to look at where the documents do not answer: `guide.md, lines 3-9: “evidence”`."""
    lines = [
        f"{clean_line(PurePath(hit.path).name)}, {hit.source}:"
        f" “{clean_line(hit.evidence or hit.found_text, limit=_EVIDENCE)}”"
        for hit in hits[:_NEAREST]
    ]
    return ["Nearest passages:", *lines] if lines else []


def check_text(check: AnswerCheck, citations: Sequence[Citation]) -> Iterator[str]:
    """Each statement with its verdict, the reason and the sentence that it was compared with."""
    where = {one.n: f"{clean_line(PurePath(one.hit.path).name)}, {one.hit.source}" for one in citations}
    for number, one in enumerate(check.statements, 1):
        yield f"{number}. {marked.SPOKEN[one.verdict]} {clean_line(one.text)}"
        yield f"   {clean_line(one.reason.sentence)}"
        if one.compared:
            yield f"   {_compared(one, where.get(one.citation, ''))}: “{clean_line(one.compared)}”"


def _compared(statement: Statement, place: str) -> str:
    number = f" [{statement.citation}]" if statement.citation else ""
    return f"Compared with{number} {place}".rstrip() + said_by(statement.cited_by)


def clean_line_begun(text: str) -> str:
    """A line that is still being typed: the blank at its end counts."""
    return clean(text).lstrip()


def _speaks_unicode() -> bool:
    with contextlib.suppress(UnicodeEncodeError, LookupError):
        "…".encode(sys.stdout.encoding or "ascii")
        return True
    return False
