"""`ragchat ask`: one question, or a file of them, answered on standard output."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.ask_shown import Answer, Showing, Telling, show, show_prompt
from ragchat.cli.batch import read_batch
from ragchat.cli.context import data, note, pass_context
from ragchat.cli.kb_search import named_in
from ragchat.cli.paths import TypedPath
from ragchat.errors import (
    CancelledError,
    InferenceDiedError,
    ModelError,
    ModelFileError,
    NotFoundError,
    NothingFoundError,
    PromptTooLongError,
    UsageError,
)
from ragchat.text import clean, clean_line, counted
from ragchat.types import AdapterScale, CancelToken

if TYPE_CHECKING:
    from ragchat.llm.client import InferenceClient
    from ragchat.session.chat import AskOptions, ChatSession
    from ragchat.session.events import AnswerFinished
    from ragchat.session.sources import Attachment
    from ragchat.store.chats import ChatStore
    from ragchat.types import Hit

LARGEST_ATTACHMENT = 4 * 1024 * 1024
FIRST_BYTE_S = 5.0


@click.command()
@click.argument("question", required=False, default="")
@click.argument("wait", required=False, default="", metavar="[-]", type=click.Choice(["", "-"]))
@click.option(
    "--attach",
    "attached",
    multiple=True,
    type=TypedPath(),
    metavar="FILE",
    help="File to ask about without indexing it. You can repeat it.",
)
@click.option(
    "--kb", "names", multiple=True, metavar="NAME", help="Knowledge base to ask. You can repeat it."
)
@click.option("--model", "model_name", default="", metavar="NAME", help="Model to ask, by name or path.")
@click.option("--adapter", default="", metavar="NAME[:SCALE]", help="Adapter to use. Several: a+b:0.5.")
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="Only what the documents say: leave out what they do not support; decline without the model if they say nothing"
    " (exit code 3).",
)
@click.option(
    "--quote",
    is_flag=True,
    help="Answer with what the documents say, word for word, and load no model (exit code 3 if they say nothing).",
)
@click.option("--no-quotes", is_flag=True, help="Do not print what the documents say above the answer.")
@click.option("--no-rag", is_flag=True, help="Ask the model alone, without documents.")
@click.option("-k", type=click.IntRange(1, 100), help="Number of hits.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.jsonl",
    help='Read one {"id", "question"} per line and print JSON lines.',
)
@click.option("--dry-run", is_flag=True, help="Show the prompt without generating or saving anything.")
@click.option("--temperature", type=click.FloatRange(0, 5), help="0 always picks the most likely token.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 2), help="Seed for a repeatable answer.")
@click.option("--max-tokens", type=click.IntRange(0), help="Maximum length of the answer.")
@click.option("--no-store", is_flag=True, help="Do not save the question and answer as a chat.")
@pass_context
def ask(
    context: Context,
    question: str,
    wait: str,
    attached: tuple[Path, ...],
    names: tuple[str, ...],
    model_name: str,
    adapter: str,
    strict: bool | None,
    quote: bool,
    no_quotes: bool,
    no_rag: bool,
    k: int | None,
    as_json: bool,
    batch: str | None,
    dry_run: bool,
    temperature: float | None,
    seed: int | None,
    max_tokens: int | None,
    no_store: bool,
) -> None:
    """Answer QUESTION from your documents, with citations.

    What the documents say comes first, word for word. Behind each statement of the model is a mark: ✓ the passages say it,
    ≈ they say it in part, ✗ they do not. With --strict, only what they say is printed.

    Text from standard input is attached to the question; with a `-` after QUESTION, ragchat waits for it. With `-` as QUESTION,
    the text is the question. From an attached file, ragchat uses the passages relevant to the question. The answer
    goes to standard output, everything else to standard error.

    QUESTION can limit the search: in:FOLDER, file:NAME (or a pattern: file:*.md), kb:NAME, after:2025-01, before:2025-06-30.
    With one of these, "exact words" must be in a passage and -word must not.
    """
    _refuse_contradictions(batch=batch, dry_run=dry_run, no_rag=no_rag, names=names, strict=strict)
    if quote:
        _refuse_with_quote(
            {
                "--no-rag": no_rag,
                "--no-quotes": no_quotes,
                "--attach": attached,
                "--dry-run": dry_run,
                "--model": model_name,
                "--adapter": adapter,
                "a `-` after the question": wait,
            }
        )
    asked, attachment = _inputs(question, batch=batch, wait=wait == "-", attach=not quote)
    chosen = () if no_rag else tuple(dict.fromkeys(names)) or named_in(context, asked)
    sampled = build.override(
        build.sampling(context), temperature=temperature, seed=seed, max_tokens=max_tokens
    )
    options = replace(
        build.ask_options(context, k=k or 0, strict=strict, sampled=sampled),
        adapters=AdapterScale.typed(adapter),
        quote_only=quote,
    )
    if (options.strict or quote) and not (chosen or no_rag or attached):
        raise NothingFoundError(
            "There are no documents to answer from.", "Add some with `ragchat kb add NAME FOLDER`."
        )
    context.paths.create()
    files = _read(context, attached)
    kept = not (batch or dry_run or no_store)
    with _opened(context, model_name, chosen, options, kept=kept) as (session, model, chats):
        showing = Showing(not (as_json or batch), quotes=not no_quotes, holds=options.strict or quote)
        request = _Request(session, model, chosen, asked, attachment, files, showing)
        if batch:
            _answer_batch(request, batch)
        elif dry_run:
            _show_preview(request, as_json=as_json)
        else:
            _answer(request, chats)


def _refuse_contradictions(
    *, batch: str | None, dry_run: bool, no_rag: bool, names: Sequence[str], strict: bool | None
) -> None:
    if batch and dry_run:
        raise UsageError(
            "You cannot use --batch and --dry-run together.", "Give one question with --dry-run."
        )
    if no_rag and (names or strict):
        raise UsageError(f"{'--kb' if names else '--strict'} and --no-rag cannot be used together.")


def _refuse_with_quote(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value:
            raise UsageError(
                f"--quote and {name} cannot be used together.",
                "--quote searches knowledge bases without a model.",
            )


@contextlib.contextmanager
def _opened(
    context: Context, model_name: str, names: tuple[str, ...], options: AskOptions, *, kept: bool
) -> Iterator[tuple[ChatSession, InferenceClient | None, ChatStore | None]]:
    """A session, its model (None: it only quotes), and where chats are kept; None: nothing is `kept`."""
    with ExitStack() as stack:
        chats = None
        if kept:
            from ragchat.store.chats import ChatStore

            chats = ChatStore(context.paths.chat_database)
            stack.callback(chats.close)
        if options.quote_only:
            from ragchat.session.chat import ChatSession
            from ragchat.session.without_model import NoModel

            stores = stack.enter_context(build.knowledge_bases(context, names))
            yield ChatSession(chats, NoModel(), stores, options), None, chats
            return
        if model_name:
            build.library(context).resolve(model_name)  # what was asked for by name answers, or nothing does
        model = build.model(context, model_name)
        stack.callback(model.close)
        yield stack.enter_context(build.chat_session(context, chats, model, names, options)), model, chats


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, of whom (None: of the documents alone), with which documents and attachments."""

    session: ChatSession
    model: InferenceClient | None
    knowledge_bases: tuple[str, ...]
    question: str
    attachment: str
    files: Sequence[Attachment]
    showing: Showing

    @property
    def strict(self) -> bool:
        """Whether what is not in the documents is no answer."""
        return self.session.options.strict or self.session.options.quote_only

    @property
    def has_attachments(self) -> bool:
        return bool(self.attachment or self.files)

    def run(self, conversation: int = 0) -> Answer:
        """Ask, and print what is to be seen at once. Raises RagchatError."""
        from ragchat.session.events import AnswerFinished, HitsFound, QueryUsed

        used, finished = None, None
        hits: tuple[Hit, ...] = ()
        with Telling(self.showing) as telling, cancel_on_interrupt() as cancel:
            for event in self.session.ask(
                conversation, self.question, attachment=self.attachment, files=self.files, cancel=cancel
            ):
                telling.tell(event)
                if isinstance(event, QueryUsed):
                    used = event
                elif isinstance(event, HitsFound):
                    hits = event.hits
                elif isinstance(event, AnswerFinished):
                    finished = event
        assert used
        assert finished
        model = self.model.selected if self.model else ""
        adapters = self.session.options.adapters
        return Answer(self.question, model, adapters, self.knowledge_bases, used, finished, hits)


def _answer_batch(request: _Request, batch: str) -> None:
    """Answer the questions of a file with one object a line. Raises ModelError when some could not be answered."""
    failed = 0
    for row in read_batch(batch):
        try:
            answer = replace(request, question=row.question, attachment="").run()
        except (PromptTooLongError, InferenceDiedError) as error:  # the next question may do better
            failed += 1
            data({"id": row.id, "question": row.question, "error": str(error)})
            continue
        if answer.finished.finish_reason == "cancelled":
            raise CancelledError("Stopped. The questions before this one were answered.")
        data({"id": row.id, **answer.as_json()})
    if failed:
        raise ModelError(
            f"{counted(failed, 'question')} could not be answered. Their lines contain the reasons."
        )


def _show_preview(request: _Request, *, as_json: bool) -> None:
    preview = request.session.preview(
        request.question, attachment=request.attachment, files=request.files, cancel=CancelToken()
    )
    documents_decide = request.strict and request.knowledge_bases and not request.has_attachments
    if documents_decide and not preview.found.relevant:
        raise _nothing_matches(request)
    show_prompt(preview, as_json=as_json)


def _answer(request: _Request, chats: ChatStore | None) -> None:
    """Answer one question and show it. `chats` None: nothing is kept."""
    conversation = (
        request.session.start(request.question, knowledge_bases=request.knowledge_bases) if chats else 0
    )
    try:
        answer = request.run(conversation)
    except (ModelFileError, NotFoundError):
        if chats:  # it could never have been answered, and the shell's history has the question
            chats.erase(conversation)
        raise
    if request.showing.words:
        show(answer, request.showing)
    else:
        data(answer.as_json(), indent=2)
    _say_how_it_ended(request, answer.finished, kept=bool(conversation))


def _say_how_it_ended(request: _Request, finished: AnswerFinished, *, kept: bool) -> None:
    """Raises CancelledError; NothingFoundError where only documents may answer, and they do not."""
    if finished.finish_reason == "repeats":
        note("The model repeated itself, so ragchat stopped it. Try another --seed.")
    if finished.finish_reason == "cancelled":
        raise CancelledError("Stopped. The answer so far is kept." if kept else "Stopped.")
    names = request.knowledge_bases
    if not names or request.has_attachments:
        return
    if request.strict and not _says_something(finished):
        raise _nothing_matches(request)
    if not finished.from_documents and request.showing.words:
        manual = (
            "" if build.MANUAL_KB in names else f"; `--kb {build.MANUAL_KB}` searches ragchat's own manual"
        )
        note(
            f"Searched: {clean_line(', '.join(names))}. `ragchat kb search` shows the closest passages{manual}."
        )


def _says_something(finished: AnswerFinished) -> bool:
    """Whether anything is left of an answer that comes from the documents."""
    from ragchat.session.marked import without_struck

    return (
        finished.from_documents
        and (finished.check.says or bool(finished.text))
        and bool(finished.quotes or without_struck(finished.text, finished.check).strip())
    )


def _nothing_matches(request: _Request) -> NothingFoundError:
    option = "--quote" if request.session.options.quote_only else "--strict"
    return NothingFoundError(
        "Your documents do not answer this.", f"Rephrase the question, or ask without {option}."
    )


def _read(context: Context, paths: Sequence[Path]) -> list[Attachment]:
    """The files of `--attach`. Raises NotFoundError, IngestError."""
    if not paths:
        return []
    from ragchat.session.attachment import read

    return [read(path, build.ingest_options(context)) for path in dict.fromkeys(paths)]


def _inputs(question: str, *, batch: str | None, wait: bool, attach: bool = True) -> tuple[str, str]:
    """Question and attached text from the argument and standard input. Raises UsageError.

    Without `attach`, standard input is read for a question alone.
    """
    if batch:
        if question or wait:
            raise UsageError("--batch reads its questions from the file.")
        return "", ""
    piped = ""
    # A standard input that was closed before we started is None.
    if sys.stdin and (wait or question == "-" or (attach and not sys.stdin.isatty() and _has_input())):
        sent = sys.stdin.buffer.read(LARGEST_ATTACHMENT + 1)
        if len(sent) > LARGEST_ATTACHMENT:
            raise UsageError(
                "Standard input is larger than 4 MiB.",
                "Add it to a knowledge base with `ragchat kb add` and ask that.",
            )
        piped = clean(sent.decode("utf-8", "replace")).strip()
    if question in ("", "-"):
        question, piped = piped, ""
    question = clean(question).strip()
    if not question:
        raise UsageError("The question is empty.", 'Ask one: ragchat ask "What is …?"')
    return question, piped


def _has_input() -> bool:
    """Whether something comes through standard input: a file, or a pipe that speaks within `FIRST_BYTE_S`.

    A pipe that no one writes to (a script that inherited it) must not hold the question up for ever.
    """
    try:
        descriptor = sys.stdin.fileno()
        mode = os.fstat(descriptor).st_mode
    except (OSError, ValueError):
        return False
    if stat.S_ISREG(mode):
        return True
    if not stat.S_ISFIFO(mode):
        return False
    if os.name == "nt":
        return True
    ready, _, _ = select.select([descriptor], [], [], FIRST_BYTE_S)
    if not ready:
        note("Standard input was empty, so nothing is attached.")
    return bool(ready)
