"""`ragchat ask`: one question, or a file of them, answered on standard output."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.app.events import progress_sentence
from ragchat.cli.batch import read_batch
from ragchat.cli.context import data, interactive, note, pass_context, place_json
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
from ragchat.text import clean, clean_line, counted, human_seconds
from ragchat.types import AdapterScale, CancelToken, LoadProgress, PrefillProgress, TextDelta

if TYPE_CHECKING:
    from ragchat.llm.client import InferenceClient
    from ragchat.session.chat import AskOptions, ChatSession, Preview
    from ragchat.session.events import AnswerFinished, QueryUsed
    from ragchat.session.sources import Attachment
    from ragchat.store.chats import ChatStore

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
    help="Decline without calling the model if the search finds nothing (exit code 3).",
)
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

    Text from standard input is attached to the question; with a `-` after QUESTION, ragchat waits for it. With `-` as QUESTION,
    the text is the question. From an attached file, ragchat uses the passages relevant to the question. The answer
    goes to standard output, everything else to standard error.

    QUESTION can limit the search: in:FOLDER, file:NAME (or a pattern: file:*.md), kb:NAME, after:2025-01, before:2025-06-30.
    With one of these, "exact words" must be in a passage and -word must not.
    """
    _refuse_contradictions(batch=batch, dry_run=dry_run, no_rag=no_rag, names=names, strict=strict)
    asked, attachment = _inputs(question, batch=batch, wait=wait == "-")
    chosen = () if no_rag else tuple(dict.fromkeys(names)) or named_in(context, asked)
    sampled = build.override(
        build.sampling(context), temperature=temperature, seed=seed, max_tokens=max_tokens
    )
    options = replace(
        build.ask_options(context, k=k or 0, strict=strict, sampled=sampled),
        adapters=AdapterScale.typed(adapter),
    )
    if options.strict and not (chosen or no_rag or attached):
        raise NothingFoundError(
            "There are no documents to answer from.", "Add some with `ragchat kb add NAME FOLDER`."
        )
    context.paths.create()
    files = _read(context, attached)
    kept = not (batch or dry_run or no_store)
    with _opened(context, model_name, chosen, options, kept=kept) as (session, model, chats):
        request = _Request(session, model, chosen, asked, attachment, files, strict=options.strict)
        if batch:
            _answer_batch(request, batch)
        elif dry_run:
            _show_preview(request, as_json=as_json)
        else:
            _answer(request, chats, as_json=as_json)


def _refuse_contradictions(
    *, batch: str | None, dry_run: bool, no_rag: bool, names: Sequence[str], strict: bool | None
) -> None:
    if batch and dry_run:
        raise UsageError(
            "You cannot use --batch and --dry-run together.", "Give one question with --dry-run."
        )
    if no_rag and (names or strict):
        raise UsageError(f"{'--kb' if names else '--strict'} and --no-rag cannot be used together.")


@contextlib.contextmanager
def _opened(
    context: Context, model_name: str, names: tuple[str, ...], options: AskOptions, *, kept: bool
) -> Iterator[tuple[ChatSession, InferenceClient, ChatStore | None]]:
    """A session, its model, and where chats are kept; None: nothing is `kept`."""
    with ExitStack() as stack:
        model = build.model(context, model_name)
        stack.callback(model.close)
        chats = None
        if kept:
            from ragchat.store.chats import ChatStore

            chats = ChatStore(context.paths.chat_database)
            stack.callback(chats.close)
        yield stack.enter_context(build.chat_session(context, chats, model, names, options)), model, chats


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked, of whom, and with which documents and attachments. `strict`: decline when nothing is found."""

    session: ChatSession
    model: InferenceClient
    knowledge_bases: tuple[str, ...]
    question: str
    attachment: str
    files: Sequence[Attachment]
    strict: bool

    @property
    def has_attachments(self) -> bool:
        return bool(self.attachment or self.files)

    def run(self, *, conversation: int = 0, live: bool = False) -> _Answer:
        return _run(
            self.session,
            self.model,
            self.knowledge_bases,
            self.question,
            attachment=self.attachment,
            files=self.files,
            conversation=conversation,
            live=live,
        )


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
        raise _nothing_matches()
    _show_prompt(preview, as_json=as_json)


def _answer(request: _Request, chats: ChatStore | None, *, as_json: bool) -> None:
    """Answer one question and show it. `chats` None: nothing is kept."""
    names = request.knowledge_bases
    conversation = request.session.start(request.question, knowledge_bases=names) if chats else 0
    live = not as_json and sys.stdout.isatty()
    try:
        answer = request.run(conversation=conversation, live=live)
    except (ModelFileError, NotFoundError):
        if chats:  # it could never have been answered, and the shell's history has the question
            chats.erase(conversation)
        raise
    if as_json:
        data(answer.as_json(), indent=2)
    else:
        _show(answer, live=live)
    if answer.finished.finish_reason == "repeats":
        note("The model repeated itself, so ragchat stopped it. Try another --seed.")
    if answer.finished.finish_reason == "cancelled":
        raise CancelledError("Stopped. The answer so far is kept." if conversation else "Stopped.")
    if answer.finished.from_documents or not names or request.has_attachments:
        return
    if request.strict:
        raise _nothing_matches()
    if not as_json:
        manual = (
            "" if build.MANUAL_KB in names else f"; `--kb {build.MANUAL_KB}` searches ragchat's own manual"
        )
        note(
            f"Searched: {clean_line(', '.join(names))}. `ragchat kb search` shows the closest passages{manual}."
        )


def _nothing_matches() -> NothingFoundError:
    return NothingFoundError("No relevant passages found.", "Rephrase the question, or ask without --strict.")


@dataclass(frozen=True, slots=True)
class _Answer:
    question: str
    model: str
    adapters: tuple[AdapterScale, ...]
    knowledge_bases: tuple[str, ...]
    query: QueryUsed
    finished: AnswerFinished

    def as_json(self) -> dict[str, Any]:
        """The shape that scripts rely on; documented in the manual under "For scripts"."""
        done, timings = self.finished, self.finished.timings
        return {
            "question": self.question,
            "answer": done.shown,
            "finish_reason": done.finish_reason,
            "model": self.model,
            "adapter": AdapterScale.join(self.adapters) or None,
            "knowledge_bases": list(self.knowledge_bases),
            "query": " ".join([self.query.query, *self.query.topic]),
            "scope": list(self.query.scope),
            "corrections": [{"word": one.word, "by": one.by} for one in self.query.corrections],
            "rewritten": _rewritten_json(self.query),
            "citations": [
                {
                    "n": citation.n,
                    "path": citation.hit.path,
                    **place_json(citation.hit.narrowed),
                    "heading": citation.hit.heading,
                    "quote": citation.quote,
                    "content_hash": citation.hit.content_hash,
                    "kb": citation.hit.knowledge_base,
                }
                for citation in done.citations
                if citation.used
            ],
            "timings": {
                "retrieval_s": round(timings.retrieval_s, 6),
                "ttft_s": round(timings.ttft_s, 4),
                "prefill_tok_s": round(timings.prefill_tok_s, 2),
                "decode_tok_s": round(timings.decode_tok_s, 2),
            },
            "tokens": {"prompt": timings.prompt_tokens, "completion": timings.completion_tokens},
        }


def _rewritten_json(used: QueryUsed) -> dict[str, Any] | None:
    """What the model wrote to search for, and whether that search was used; None: it wrote nothing."""
    return {"text": used.rewritten.text, "used": used.rewritten.kept} if used.rewritten else None


def _run(
    session: ChatSession,
    model: InferenceClient,
    names: tuple[str, ...],
    question: str,
    *,
    attachment: str = "",
    files: Sequence[Attachment] = (),
    conversation: int = 0,
    live: bool = False,
) -> _Answer:
    from ragchat.session.events import AnswerFinished, PromptReady, QueryUsed, SearchUnsure

    used, finished = None, None
    with _Progress() as progress, cancel_on_interrupt() as cancel:
        for event in session.ask(conversation, question, attachment=attachment, files=files, cancel=cancel):
            match event:
                case QueryUsed():
                    used = event
                case LoadProgress() | SearchUnsure() | PrefillProgress():
                    progress.say(progress_sentence(event))
                case PromptReady(left_out=left_out):
                    for omission in left_out:
                        note(omission.sentence)
                case TextDelta(text=text):
                    progress.clear()
                    if live:
                        click.echo(text, nl=False)
                case AnswerFinished():
                    finished = event
    assert used
    assert finished
    return _Answer(question, model.selected, session.options.adapters, names, used, finished)


class _Progress:
    """One line on standard error that is written over, only on a terminal."""

    def __init__(self) -> None:
        self._shown = 0
        self._draws = interactive()

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def say(self, text: str) -> None:
        if self._draws:
            click.echo("\r" + text.ljust(self._shown), nl=False, err=True)
            self._shown = len(text)

    def clear(self) -> None:
        if self._shown:
            click.echo("\r" + " " * self._shown + "\r", nl=False, err=True)
            self._shown = 0


def _read(context: Context, paths: Sequence[Path]) -> list[Attachment]:
    """The files of `--attach`. Raises NotFoundError, IngestError."""
    if not paths:
        return []
    from ragchat.session.attachment import read

    return [read(path, build.ingest_options(context)) for path in dict.fromkeys(paths)]


def _inputs(question: str, *, batch: str | None, wait: bool) -> tuple[str, str]:
    """Question and attached text from the argument and standard input. Raises UsageError."""
    if batch:
        if question or wait:
            raise UsageError("--batch reads its questions from the file.")
        return "", ""
    piped = ""
    # A standard input that was closed before we started is None.
    if sys.stdin and (wait or question == "-" or (not sys.stdin.isatty() and _has_input())):
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


def _show(answer: _Answer, *, live: bool) -> None:
    if live:
        click.echo()
    else:
        click.echo(answer.finished.shown)
    cited = [citation for citation in answer.finished.citations if citation.used]
    for citation in cited:
        hit = citation.hit
        where = f"{hit.path} ({hit.source})" + (f" {hit.heading}" if hit.heading else "")
        note(f"[{citation.n}] {clean_line(where)}")
    if answer.query.scope:
        note(f"Searched: {', '.join(answer.query.scope)}")
    if answer.query.rewritten:
        note(answer.query.rewritten.sentence)
    timings = answer.finished.timings
    if timings.completion_tokens:
        note(
            f"{answer.model}: {human_seconds(timings.ttft_s)} to the first token, {timings.decode_tok_s:.0f} tokens/s,"
            f" {counted(timings.prompt_tokens, 'token')} read, {timings.completion_tokens} written"
        )


def _show_prompt(preview: Preview, *, as_json: bool) -> None:
    packed = preview.prompt
    if as_json:
        data(
            {
                "query": " ".join([preview.query.query, *preview.query.topic]),
                "scope": list(preview.query.scope),
                "rewritten": _rewritten_json(preview.query),
                "messages": [{"role": m.role, "content": m.content} for m in packed.messages],
                "rendered": preview.rendered,
                "parts": {part.name: part.tokens for part in packed.parts},
                "tokens": packed.prompt_tokens,
                "n_ctx": packed.n_ctx,
                "left_out": [omission.sentence for omission in packed.left_out],
            },
            indent=2,
        )
        return
    click.echo(clean(preview.rendered))
    note(
        ", ".join(f"{part.name} {part.tokens}" for part in packed.parts)
        + f": {packed.prompt_tokens} of {packed.n_ctx} tokens"
    )
    for omission in packed.left_out:
        note(omission.sentence)
