"""`ragchat ask`: one question, or a file of them, answered on standard output."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.batch import read_batch
from ragchat.cli.context import data, interactive, note, pass_context, place_json
from ragchat.cli.kb_search import named_in
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
from ragchat.text import clean, clean_line, human_seconds
from ragchat.types import CancelToken, LoadProgress, PrefillProgress, TextDelta

if TYPE_CHECKING:
    from ragchat.llm.client import InferenceClient
    from ragchat.session.attachment import Attachment
    from ragchat.session.chat import ChatSession, Preview
    from ragchat.session.events import AnswerFinished, QueryUsed

LARGEST_ATTACHMENT = 4 * 1024 * 1024
FIRST_BYTE_S = 5.0


@click.command()
@click.argument("question", required=False, default="")
@click.argument("wait", required=False, default="", metavar="[-]", type=click.Choice(["", "-"]))
@click.option(
    "--attach",
    "attached",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file to ask about without indexing it, of any kind that `kb add` reads; may be repeated.",
)
@click.option("--kb", "names", multiple=True, metavar="NAME", help="Knowledge base to ask; may be repeated.")
@click.option("--model", "model_name", default="", metavar="NAME", help="Model to ask, by name or path.")
@click.option("--adapter", default="", metavar="NAME[:SCALE]", help="Adapter to switch on; several: a+b:0.5.")
@click.option(
    "--strict",
    is_flag=True,
    default=None,
    help="Decline without calling the model when nothing is found (exit code 3).",
)
@click.option("--no-rag", is_flag=True, help="Ask the model alone.")
@click.option("-k", type=click.IntRange(1, 100), help="Hits to search for.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--batch",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE.jsonl",
    help='One {"id", "question"} a line in, JSON lines out.',
)
@click.option(
    "--dry-run", is_flag=True, help="Show the prompt that would be sent; generate and store nothing."
)
@click.option("--temperature", type=click.FloatRange(0, 5), help="0 is greedy.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 2), help="Makes an answer repeatable.")
@click.option("--max-tokens", type=click.IntRange(0), help="Longest answer.")
@click.option("--no-store", is_flag=True, help="Do not keep question and answer among the chats.")
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

    Text piped into standard input is attached to the question; a `-` after QUESTION waits for it, however long it takes. With
    `-` as QUESTION it is the question. Of a file that is attached those passages go in that speak to the question. The answer
    goes to standard output, everything else to standard error.

    QUESTION may say where to search: in:FOLDER, file:NAME (or a pattern: file:*.md), kb:NAME, after:2025-01, before:2025-06-30.
    Beside one of these, "exact words" must be in a passage, and -word must not.
    """
    if batch and dry_run:
        raise UsageError("--batch and --dry-run exclude each other.", "Give one question with --dry-run.")
    asked, attachment = _inputs(question, batch=batch, wait=wait == "-")
    if no_rag and (names or strict):
        raise UsageError(f"{'--kb' if names else '--strict'} and --no-rag exclude each other.")
    chosen = () if no_rag else tuple(dict.fromkeys(names)) or named_in(context, asked)
    sampled = build.override(
        build.sampling(context), temperature=temperature, seed=seed, max_tokens=max_tokens
    )
    options = replace(
        build.ask_options(context, k=k or 0, strict=strict, sampled=sampled), adapter=adapter.strip()
    )
    if options.strict and not (chosen or no_rag or attached):
        raise NothingFoundError(
            "There are no documents to answer from.", "`ragchat kb add NAME FOLDER` indexes them."
        )
    context.paths.create()
    files = _read(context, attached)
    with ExitStack() as stack:
        model = build.model(context, model_name)
        stack.callback(model.close)
        chats = None
        if not (batch or dry_run or no_store):
            from ragchat.store.chats import ChatStore

            chats = ChatStore(context.paths.chat_database)
            stack.callback(chats.close)
        session = stack.enter_context(build.chat_session(context, chats, model, chosen, options))
        if batch:
            failed = 0
            for row in read_batch(batch):
                try:
                    answer = _run(session, model, chosen, row.question, files=files)
                except (PromptTooLongError, InferenceDiedError) as error:  # the next question may do better
                    failed += 1
                    data({"id": row.id, "question": row.question, "error": str(error)})
                    continue
                if answer.finished.finish_reason == "cancelled":
                    raise CancelledError("Stopped; the questions before this one were answered.")
                data({"id": row.id, **answer.as_json()})
            if failed:
                raise ModelError(f"{failed} questions could not be answered; their lines say why.")
            return
        if dry_run:
            preview = session.preview(asked, attachment=attachment, files=files, cancel=CancelToken())
            if options.strict and chosen and not preview.found.relevant and not (attachment or files):
                raise _nothing_matches()
            _show_prompt(preview, as_json=as_json)
            return
        conversation = session.start(asked, knowledge_bases=chosen) if chats else 0
        live = not as_json and sys.stdout.isatty()
        try:
            answer = _run(
                session,
                model,
                chosen,
                asked,
                attachment=attachment,
                files=files,
                conversation=conversation,
                live=live,
            )
        except (ModelFileError, NotFoundError):
            if chats:  # it could never have been answered, and the question stands in the shell's history
                chats.erase(conversation)
            raise
        if as_json:
            data(answer.as_json(), indent=2)
        else:
            _show(answer, live=live)
        if answer.finished.finish_reason == "cancelled":
            raise CancelledError("Stopped; the answer so far is kept." if conversation else "Stopped.")
        if options.strict and chosen and not answer.finished.from_documents and not (attachment or files):
            raise _nothing_matches()
        if chosen and not (answer.finished.from_documents or attachment or files or as_json):
            manual = (
                "" if build.MANUAL_KB in chosen else f"; `--kb {build.MANUAL_KB}` asks ragchat's own manual"
            )
            note(
                f"Searched: {clean_line(', '.join(chosen))}. `ragchat kb search` shows what comes nearest{manual}."
            )


def _nothing_matches() -> NothingFoundError:
    return NothingFoundError(
        "Nothing in the documents matches the question.", "Ask in other words, or without --strict."
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    question: str
    model: str
    adapter: str
    knowledge_bases: tuple[str, ...]
    query: QueryUsed
    finished: AnswerFinished

    def as_json(self) -> dict[str, Any]:
        """The shape that scripts rely on; documented in the manual under "For scripts"."""
        done, timings = self.finished, self.finished.timings
        return {
            "question": self.question,
            "answer": done.text,
            "finish_reason": done.finish_reason,
            "model": self.model,
            "adapter": self.adapter or None,
            "knowledge_bases": list(self.knowledge_bases),
            "query": " ".join([self.query.query, *self.query.topic]),
            "scope": list(self.query.scope),
            "corrections": [{"word": one.word, "by": one.by} for one in self.query.corrections],
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
    from ragchat.session.events import AnswerFinished, PromptReady, QueryUsed

    used, finished = None, None
    with _Progress() as progress, cancel_on_interrupt() as cancel:
        for event in session.ask(conversation, question, attachment=attachment, files=files, cancel=cancel):
            match event:
                case QueryUsed():
                    used = event
                case LoadProgress(fraction=fraction, stage=stage):
                    doing = "timing the model on this machine" if stage == "measure" else "loading the model"
                    progress.say(f"{doing} {fraction:.0%}")
                case PromptReady(left_out=left_out):
                    for sentence in left_out:
                        note(sentence)
                case PrefillProgress(done=done, total=total, eta_s=eta_s):
                    left = f", {human_seconds(eta_s)} left" if eta_s else ""
                    progress.say(f"reading the prompt {done}/{total} tokens{left}")
                case TextDelta(text=text):
                    progress.clear()
                    if live:
                        click.echo(text, nl=False)
                case AnswerFinished():
                    finished = event
    assert used
    assert finished
    return _Answer(question, model.selected, session.options.adapter, names, used, finished)


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
            raise UsageError("--batch takes its questions from the file.")
        return "", ""
    piped = ""
    # A standard input that was closed before we started is None.
    if sys.stdin and (wait or question == "-" or (not sys.stdin.isatty() and _has_input())):
        sent = sys.stdin.buffer.read(LARGEST_ATTACHMENT + 1)
        if len(sent) > LARGEST_ATTACHMENT:
            raise UsageError(
                "More than 4 MiB came through standard input.", "Index it with `ragchat kb add` and ask then."
            )
        piped = clean(sent.decode("utf-8", "replace")).strip()
    if question in ("", "-"):
        question, piped = piped, ""
    question = clean(question).strip()
    if not question:
        raise UsageError("There is no question.", 'Ask one: ragchat ask "What is …?"')
    return question, piped


def _has_input() -> bool:
    """Whether something comes through standard input: a file, or a pipe that speaks within `FIRST_BYTE_S`.

    A pipe that nobody writes to (a script that inherited it) must not hold the question up for ever.
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
        note("Nothing came through standard input, so nothing is attached.")
    return bool(ready)


def _show(answer: _Answer, *, live: bool) -> None:
    if live:
        click.echo()
    else:
        click.echo(answer.finished.text)
    cited = [citation for citation in answer.finished.citations if citation.used]
    for citation in cited:
        hit = citation.hit
        where = f"{hit.path} ({hit.source})" + (f" {hit.heading}" if hit.heading else "")
        note(f"[{citation.n}] {clean_line(where)}")
    if answer.query.scope:
        note(f"Searched: {', '.join(answer.query.scope)}")
    timings = answer.finished.timings
    if timings.completion_tokens:
        note(
            f"{answer.model}: {human_seconds(timings.ttft_s)} to the first token, {timings.decode_tok_s:.0f} tokens/s,"
            f" {timings.prompt_tokens} tokens read, {timings.completion_tokens} written"
        )


def _show_prompt(preview: Preview, *, as_json: bool) -> None:
    packed = preview.prompt
    if as_json:
        data(
            {
                "query": " ".join([preview.query.query, *preview.query.topic]),
                "scope": list(preview.query.scope),
                "messages": [{"role": m.role, "content": m.content} for m in packed.messages],
                "rendered": preview.rendered,
                "parts": {part.name: part.tokens for part in packed.parts},
                "tokens": packed.prompt_tokens,
                "n_ctx": packed.n_ctx,
                "left_out": list(packed.left_out),
            },
            indent=2,
        )
        return
    click.echo(clean(preview.rendered))
    note(
        ", ".join(f"{part.name} {part.tokens}" for part in packed.parts)
        + f": {packed.prompt_tokens} of {packed.n_ctx} tokens"
    )
    for sentence in packed.left_out:
        note(sentence)
