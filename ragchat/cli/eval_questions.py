"""`ragchat eval questions`: the question sets for evaluations."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ragchat.app.context import Context
from ragchat.app.evaluations import questions as read_questions
from ragchat.app.evaluations import set_names, sets, write_questions
from ragchat.cli.context import data, note, pass_context
from ragchat.cli.paths import TypedPath
from ragchat.errors import NotFoundError, StorageError, UsageError
from ragchat.evaluation.question_sets import CHAT_SET
from ragchat.text import clean_line, counted

if TYPE_CHECKING:
    from ragchat.evaluation.question_sets import Asked
    from ragchat.finetune.pairs import PairFile

_REFUSED_SHOWN = 10


@click.group()
def questions() -> None:
    """Manage question sets: list, add, import, draft, review, export, remove. `chat` contains the questions kept in chats."""


@questions.command("list")
@click.argument("set_name", metavar="[SET]", default="")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def list_(context: Context, set_name: str, as_json: bool) -> None:
    """List all sets, or the questions of SET."""
    if not set_name:
        found = {name: read_questions(context, name) for name in set_names(context)}
        if as_json:
            data({"sets": {name: _counts(asked) for name, asked in found.items()}}, indent=2)
            return
        for name, asked in found.items():
            counts = _counts(asked)
            bare = f", {counts['unanswerable']} without an answer" if counts["unanswerable"] else ""
            questions = counted(counts["questions"], "question")
            click.echo(f"{clean_line(name)}: {questions}{bare}, {counts['with_source']} with a source")
        if not found:
            note(
                "There are no questions yet. In a chat, E keeps one. Import some with `ragchat eval questions import NAME FILE`,"
                " or draft some with `ragchat eval questions draft NAME --kb DOCUMENTS`."
            )
        return
    asked = read_questions(context, set_name)
    if as_json:
        data({"set": set_name, "questions": [msgspec.to_builtins(one) for one in asked]}, indent=2)
        return
    for one in asked:
        expected = (
            " | ".join(map(clean_line, one.answers))
            if one.answerable
            else "(the documents contain no answer)"
        )
        tags = f"  #{' #'.join(map(clean_line, one.tags))}" if one.tags else ""
        click.echo(f"{clean_line(one.id)}  {clean_line(one.question)}  →  {expected}{tags}")


@questions.command()
@click.argument("set_name", metavar="SET")
@click.argument("question")
@click.option(
    "--answer", "answers", multiple=True, metavar="TEXT", help="Expected answer. You can repeat it."
)
@click.option(
    "--source", "sources", multiple=True, metavar="PATH", help="Document with the answer. You can repeat it."
)
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Tag for this kind of question. You can repeat it."
)
@click.option("--unanswerable", is_flag=True, help="The documents contain no answer, so declining is right.")
@pass_context
def add(
    context: Context,
    set_name: str,
    question: str,
    answers: tuple[str, ...],
    sources: tuple[str, ...],
    tags: tuple[str, ...],
    unanswerable: bool,
) -> None:
    """Add QUESTION to SET. Creates SET if it does not exist."""
    from ragchat.evaluation.question_sets import new

    made = new(question, answers, sources=sources, tags=tags, answerable=not unanswerable)
    fresh = sets(context).add(set_name, [made])
    note(f"Added {made.id} to {set_name}." if fresh else f"{set_name} already contains this question.")


@questions.command("import")
@click.argument("set_name", metavar="SET")
@click.argument("file", type=TypedPath())
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Tag for all questions. You can repeat it.")
@pass_context
def import_(context: Context, set_name: str, file: Path, tags: tuple[str, ...]) -> None:
    """Import the questions of FILE into SET: JSON, JSON lines, CSV (question, answer, source, tags) or SQuAD.

    Separate several answers in a CSV field with |. The command lists rejected rows with the reason.
    """
    from ragchat.evaluation.question_sets import read_file

    found = read_file(file)
    asked = [
        msgspec.structs.replace(one, tags=tuple(dict.fromkeys((*one.tags, *tags)))) for one in found.questions
    ]
    fresh = sets(context).add(set_name, asked)
    note(
        f"{found.format}: {counted(fresh, 'question')} imported,"
        f" {counted(len(asked) - fresh, 'duplicate')} skipped, {counted(len(found.refused), 'row')} rejected."
    )
    for row in found.refused[:_REFUSED_SHOWN]:
        note(f"  line {row.line}: {clean_line(row.reason)}")
    if len(found.refused) > _REFUSED_SHOWN:
        note(f"  and {len(found.refused) - _REFUSED_SHOWN} more")


@questions.command()
@click.argument("set_name", metavar="SET")
@click.option("--kb", "name", required=True, metavar="NAME", help="Knowledge base to draft them from.")
@click.option("--model", "model_name", default="", metavar="NAME", help="Model that writes the questions.")
@click.option(
    "--most",
    type=click.IntRange(1),
    default=50,
    show_default=True,
    help="Stop after this many kept questions.",
)
@click.option("--take", is_flag=True, help="Add them to the set without a review.")
@pass_context
def draft(context: Context, set_name: str, name: str, model_name: str, most: int, take: bool) -> None:
    """Draft questions for SET from documents with the local model, like `ragchat pairs draft`, but not for training.

    Each answer is word for word in a document, and a search with the question finds its passage among the best three.
    Ctrl-C keeps the drafts; run the same command to continue.
    """
    from ragchat.cli.pairs import make_pairs

    sets(context).file(set_name)  # is it a name?
    file = _drafts(context, set_name)
    progress = make_pairs(context, name, file, model_name, most)
    note(f"{progress.kept} kept, {progress.rejected} rejected.")
    if take:
        note(f"{counted(_take(context, set_name, file, reviewed=False), 'question')} added to {set_name}.")
    else:
        note(f"`ragchat eval questions review {set_name}` shows them. The ones you keep go into the set.")


@questions.command()
@click.argument("set_name", metavar="SET")
@pass_context
def review(context: Context, set_name: str) -> None:
    """Review the drafted questions of SET one by one: keep, edit or reject each with one key. Kept ones go into the set."""
    from ragchat.tui.screens.review_pairs import review as show

    file = _drafts(context, set_name)
    if not file.pairs:
        raise NotFoundError(
            f"There are no drafts for {clean_line(set_name)}.",
            f"`ragchat eval questions draft {clean_line(set_name)} --kb NAME` drafts some.",
        )
    show(set_name, file)
    note(f"{counted(_take(context, set_name, file, reviewed=True), 'question')} added to {set_name}.")


@questions.command()
@click.argument("set_name", metavar="SET")
@click.option("--output", "-o", type=TypedPath(dir_okay=False), required=True, metavar="FILE")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@pass_context
def export(context: Context, set_name: str, output: Path, force: bool) -> None:
    """Write the questions of SET to FILE: as CSV if the name ends in .csv, otherwise as JSON lines."""
    asked = read_questions(context, set_name)
    if output.exists() and not force:
        raise UsageError(f"{output} already exists.", "Use --force to overwrite it.")
    text = _csv(asked) if output.suffix.casefold() == ".csv" else "".join(f"{_line(one)}\n" for one in asked)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{output} cannot be written: {error.strerror or error}.") from error
    note(f"{counted(len(asked), 'question')} written to {output}.")


@questions.command()
@click.argument("set_name", metavar="SET")
@click.argument("question_id", metavar="[ID]", default="")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def remove(context: Context, set_name: str, question_id: str, yes: bool) -> None:
    """Delete one question of SET by its ID, or the whole set. In the app: F11, e, then d."""
    library = sets(context)
    asked = read_questions(context, set_name)
    if not question_id:
        if not yes:
            click.confirm(
                f"Delete {set_name} with its {counted(len(asked), 'question')}?", abort=True, err=True
            )
        if set_name == CHAT_SET:
            write_questions(context, set_name, asked, [])
        else:
            library.remove(set_name)
        _drafts(context, set_name).path.unlink(missing_ok=True)
        note(f"Deleted {set_name}.")
        return
    rest = [one for one in asked if one.id != question_id]
    if len(rest) == len(asked):
        raise NotFoundError(
            f"{set_name} has no question {clean_line(question_id)!r}.",
            f"`ragchat eval questions list {set_name}`",
        )
    write_questions(context, set_name, asked, rest)
    note(f"Deleted {clean_line(question_id)}.")


def _drafts(context: Context, set_name: str) -> PairFile:
    from ragchat.finetune.pairs import PairFile

    return PairFile(context.paths.question_sets_dir.parent / "drafts" / f"{set_name}.jsonl")


def _take(context: Context, set_name: str, file: PairFile, *, reviewed: bool) -> int:
    """Put kept drafts into the set (with `reviewed` those that someone has looked at); how many came in.

    None comes twice: what was removed from the set since stays out.
    """
    from ragchat.evaluation.question_sets import new

    kept = [pair for pair in file.kept if not pair.taken and (pair.reviewed or not reviewed)]
    made = [new(pair.question, [pair.answer], sources=[pair.path], origin="drafted") for pair in kept]
    count = sets(context).add(set_name, made) if made else 0
    for pair in kept:
        file.put(msgspec.structs.replace(pair, taken=True))
    return count


def _counts(asked: list[Asked]) -> dict[str, int]:
    return {
        "questions": len(asked),
        "unanswerable": sum(not one.answerable for one in asked),
        "with_source": sum(bool(one.sources) for one in asked),
    }


def _line(one: Asked) -> str:
    return msgspec.json.encode(one).decode()


def _csv(asked: list[Asked]) -> str:
    from ragchat.evaluation.question_sets import join_list

    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "question", "answers", "sources", "tags", "answerable"])
    for one in asked:
        lists = [join_list(values) for values in (one.answers, one.sources, one.tags)]
        writer.writerow([one.id, one.question, *lists, "yes" if one.answerable else "no"])
    return out.getvalue()
