"""`ragchat eval calibrate` and `tune`: choose settings with your own questions, without training."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ragchat import config
from ragchat.app import build, calibration, evaluations, meaning
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli import eval_vectors
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.errors import CancelledError, StorageError, UsageError
from ragchat.store.knowledge import KnowledgeStore
from ragchat.text import clean_line, counted, human_seconds
from ragchat.types import CancelToken, ModelInfo

if TYPE_CHECKING:
    from ragchat.evaluation.calibration import ChanceFit, Point, RefusalCurve
    from ragchat.evaluation.question_sets import Asked
    from ragchat.evaluation.tuning import Tuned, TunedPacking
    from ragchat.retrieval.search import Searcher
    from ragchat.types.embedding import Embedder

_FEWEST_OF_A_KIND = 20
_NEARLY_ALL = 0.99
_knowledge_bases = click.option(
    "--kb",
    "names",
    multiple=True,
    metavar="NAME",
    help="Knowledge base to search. Default: those of the chat.",
)


# --- when to say that nothing matches -------------------------------------------------------------------


@click.command()
@click.argument("set_name", metavar="[SET]", default="")
@_knowledge_bases
@click.option(
    "--false-answers",
    type=click.FloatRange(0, 1),
    metavar="X",
    help="Largest share allowed. Default: both errors count the same.",
)
@click.option("--strictness", type=click.FloatRange(0, 1), metavar="X", help="Use this point of the curve.")
@click.option("--no-store", is_flag=True, help="Show the curve without changing settings.")
@click.option("--reset", is_flag=True, help="Go back to the default. Needs no SET.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def calibrate(
    context: Context,
    set_name: str,
    names: tuple[str, ...],
    false_answers: float | None,
    strictness: float | None,
    no_store: bool,
    reset: bool,
    as_json: bool,
) -> None:
    """Set when the chat declines, by weighing false answers against wrong refusals on the questions of SET.

    SET needs questions with an answer and questions without (--unanswerable). No model is used. Two things are set. The search
    point decides whether passages are given to the model at all (retrieval.min_match, retrieval.min_confidence). The chance that
    the documents answer decides when a strict chat declines, and when an answer is marked "The passages do not say." With 40
    questions of each kind, the chance is also fitted to your questions. In the screen: F11, c.
    """
    from ragchat.evaluation.calibration import choose, fit_chance

    if reset:
        calibration.reset(context)
        note("Chats decline by the default from now on.")
        return
    if not set_name:
        raise UsageError("No question set is named.", "`ragchat eval questions list` lists them.")
    with cancel_on_interrupt() as cancel, eval_vectors.shown() as say:
        asked = evaluations.questions(context, set_name)
        found = calibration.refusal_curve(context, set_name, asked, names, cancel, say)
    if found is None:
        raise CancelledError("Stopped. Nothing was changed.")
    point = choose(found.points, most_false_answers=false_answers)
    fewest = min(found.answerable, found.unanswerable)
    if fewest < _FEWEST_OF_A_KIND:
        note(
            f"{counted(found.answerable, 'question')} with an answer and {found.unanswerable} without:"
            f" the curve is unreliable with fewer than {_FEWEST_OF_A_KIND} of each."
        )
    if strictness is not None:
        point = found.points[round(strictness * (len(found.points) - 1))]
    chance = fit_chance(found.judged, found.own, most_false_answers=false_answers)
    if as_json:
        data(_calibration_report(found, point, chance), indent=2)
    else:
        _print_curve(found, point)
        _print_chance(chance)
    if not no_store:
        calibration.store_point(context, point)
        calibration.store_chance(context, chance.own)
        note("Chats use it from now on. To undo it: `ragchat eval calibrate --reset`.")


def _calibration_report(found: RefusalCurve, point: Point, chance: ChanceFit) -> dict[str, Any]:
    now = {"false_answers": found.now.false_answers, "wrong_refusals": found.now.wrong_refusals}
    fitted = {
        "now": asdict(chance.now),
        "chosen": asdict(chance.chosen),
        "slope": chance.own.slope,
        "intercept": chance.own.intercept,
        "refitted": chance.refitted,
        "curve": [asdict(one) for one in chance.points],
    }
    curve = [asdict(one) for one in found.points]
    return {"now": now, "chosen": asdict(point), "curve": curve, "chance": fitted}


def _print_curve(found: RefusalCurve, point: Point) -> None:
    click.echo("Passages go into the prompt:")
    click.echo(f"{'strictness':>10}{'match':>8}{'confidence':>12}{'false answers':>15}{'wrong refusals':>16}")
    shown = {*range(0, len(found.points), 10), found.points.index(point)}
    for one in (found.points[number] for number in sorted(shown)):
        mark = "  ←" if one is point else ""
        click.echo(
            f"{one.strictness:>10.2f}{one.min_match:>8.2f}{one.min_confidence:>12.2f}{one.false_answers:>15.1%}{one.wrong_refusals:>16.1%}{mark}"
        )
    click.echo(
        f"With your settings: {found.now.false_answers:.1%} false answers, {found.now.wrong_refusals:.1%} wrong refusals."
    )
    click.echo(
        f"Chosen: strictness {point.strictness:.2f}: {point.false_answers:.1%} false answers,"
        f" {point.wrong_refusals:.1%} wrong refusals."
    )


def _print_chance(chance: ChanceFit) -> None:
    click.echo("\nThe documents answer the question (for strict chats, and for the line below an answer):")
    click.echo(f"{'chance':>10}{'false answers':>15}{'wrong refusals':>16}")
    shown = {*range(0, len(chance.points), 10), chance.points.index(chance.chosen)}
    for one in (chance.points[number] for number in sorted(shown)):
        mark = "  ←" if one is chance.chosen else ""
        click.echo(f"{one.least:>10.2f}{one.false_answers:>15.1%}{one.wrong_refusals:>16.1%}{mark}")
    click.echo(
        f"Now: {chance.now.false_answers:.1%} false answers, {chance.now.wrong_refusals:.1%} wrong refusals."
    )
    fitted = "fitted to your questions" if chance.refitted else "on the default scale"
    click.echo(
        f"Chosen: a chance of {chance.chosen.least:.2f}, {fitted}: {chance.chosen.false_answers:.1%} false answers,"
        f" {chance.chosen.wrong_refusals:.1%} wrong refusals."
    )


# --- the search, the chunks, what the model is given ----------------------------------------------------


@click.command()
@click.argument("set_name", metavar="SET")
@_knowledge_bases
@click.option(
    "--passages",
    is_flag=True,
    help="Also try more and fewer passages and other budgets with the model. Takes minutes.",
)
@click.option(
    "--chunks",
    is_flag=True,
    help="Also try smaller and larger chunks. Reads the documents two more times.",
)
@click.option("--model", "model_name", default="", metavar="NAME", help="Model for --passages and --chunks.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Number of questions, spread evenly over SET.",
)
@click.option("--store", is_flag=True, help="Save measurably better settings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def tune(
    context: Context,
    set_name: str,
    names: tuple[str, ...],
    passages: bool,
    chunks: bool,
    model_name: str,
    limit: int,
    store: bool,
    as_json: bool,
) -> None:
    """Try other settings on one half of SET and measure them on the other half.

    It always tries the ranking of the search, without a chat model, in seconds. With an embedding model it also tries the weight
    of meaning and first embeds the chunks that the questions find. Ctrl-C changes no settings and keeps vectors and answers;
    the same command continues.
    """
    asked = evaluations.spread(evaluations.questions(context, set_name), limit)
    chosen = names or build.default_knowledge_bases(context)
    told = info = None
    try:
        with ExitStack() as stack:
            stores = stack.enter_context(build.knowledge_bases(context, chosen))
            cancel = stack.enter_context(cancel_on_interrupt())
            found, embedded = _tune_search(context, stores, asked, cancel)
            if passages or chunks:
                sizes = _other_sizes(context) if chunks else ()
                told, info = _tune_packing(context, stores, set_name, asked, cancel, model_name, sizes=sizes)
    except ValueError as error:
        raise UsageError(f"{clean_line(set_name)}: {error}.", "Add questions with answers.") from error
    if as_json:
        data(
            _settings_report(found, embedded) | ({"passages": _packing_report(told)} if told else {}),
            indent=2,
        )
    else:
        _say_search(found)
        if told:
            _say_packing(told, context.settings.knowledge.chunk_tokens)
    if store:
        _store(context, found, told, info)


def _tune_search(
    context: Context, stores: Sequence[KnowledgeStore], asked: Sequence[Asked], cancel: CancelToken
) -> tuple[Tuned, _Embedded]:
    """Raises CancelledError, ModelError, ValueError."""
    from ragchat.evaluation.tuning import Tried, Tuned
    from ragchat.evaluation.tuning import tune as search_settings

    searcher, embedded = _searcher(context, stores, asked, cancel)
    for event in search_settings(
        searcher,
        asked,
        now=build.ranking(context),
        passages=max(1, context.settings.retrieval.passages),
        cancel=cancel,
        chunk_tokens=context.settings.knowledge.chunk_tokens,
        meaning=bool(embedded.model),
    ):
        match event:
            case Tried():
                kept = "  kept" if event.kept else ""
                left = f"  {human_seconds(event.eta_s)} left" if event.eta_s else ""
                note(
                    f"{event.done:3} of {event.total}: {event.name} = {event.value}: {event.score:.4f}{kept}{left}"
                )
            case Tuned():
                return event, embedded
    raise CancelledError("Stopped. Nothing was changed.")


@dataclass(frozen=True, slots=True)
class _Embedded:
    """The embedding model whose weight is tuned (empty: none), and the share of the passages that it has embedded."""

    model: str = ""
    share: float = 0.0


def _searcher(
    context: Context, stores: Sequence[KnowledgeStore], asked: Sequence[Asked], cancel: CancelToken
) -> tuple[Searcher, _Embedded]:
    """A searcher with vectors of what the questions find. Says why there are none, or that there are not all of them."""
    from ragchat.evaluation.vectors import share
    from ragchat.retrieval.search import Searcher

    ranking = replace(build.ranking(context), meaning=1.0)  # a weight of 0 is to be tuned, too
    embedder = meaning.meant(context, stores, ranking)
    if why := _untunable(context, stores, embedder):
        note(f"The weight of meaning cannot be tuned: {why}")
        return Searcher(stores), _Embedded()
    assert embedder
    with eval_vectors.shown() as say:
        texts = [one.question for one in asked]
        searcher = meaning.prepared(context, stores, texts, ranking, cancel, say)
    there = share(stores, embedder.model)
    if there < _NEARLY_ALL:
        note(
            f"{there:.0%} of the chunks have a vector, so only these count for meaning. `ragchat kb embed` adds the others."
        )
    return searcher, _Embedded(embedder.model.name, there)


def _untunable(context: Context, stores: Sequence[KnowledgeStore], embedder: Embedder | None) -> str:
    """Why meaning has no weight that could be tuned; empty: it has."""
    from ragchat.llm.embedding import OFF

    if not stores:
        return "there are no documents."
    if embedder is None and not any(store.options().meaning for store in stores):
        return "search by meaning is off for these knowledge bases."
    if embedder is None and context.settings.embedding.model.casefold() == OFF:
        return "search by meaning is off in the settings (embedding.model)."
    if embedder is None:
        return "no embedding model is installed. `ragchat model pull minilm-l6` downloads one."
    if not any(embedder.model.reads(language) for store in stores for language in store.languages()):
        return f"{clean_line(embedder.model.name)} does not read the language of these documents."
    return ""


def _other_sizes(context: Context) -> tuple[int, ...]:
    """Half and twice of what chunks are now, as far as the settings allow."""
    now = context.settings.knowledge.chunk_tokens
    return tuple(size for size in (now // 2, now * 2) if 40 <= size <= 2000)


@contextmanager
def _cut_anew(
    context: Context, store: KnowledgeStore, folder: Path, chunk_tokens: int, cancel: CancelToken
) -> Iterator[KnowledgeStore]:
    """The documents of a knowledge base as they lie on the disk, in chunks of this size. Raises CancelledError, UsageError."""
    from ragchat.ingest.sync import SyncFinished, sync

    wanted = replace(build.ingest_options(context), chunk_tokens=chunk_tokens)
    with KnowledgeStore.create(folder, store.name) as cut:
        cut.set_options(store.options())
        cut.add_roots(store.roots())
        for source in store.sources():
            cut.put_source(source)
        note(f"Splitting {store.name} into chunks of {chunk_tokens} tokens …")
        for event in sync(cut, wanted, cancel=cancel):
            if isinstance(event, SyncFinished) and event.cancelled:
                raise CancelledError("Stopped. Nothing was changed.")
        there, here = store.status().indexed, cut.status().indexed
        if here < there:
            raise UsageError(
                f"{store.name} contains {counted(there, 'document')}, but only {here:,} of them can be read again.",
                f"`ragchat kb status {store.name}` lists the missing ones. --passages works without them.",
            )
        yield cut


def _tune_packing(  # noqa: C901
    context: Context,
    stores: Sequence[KnowledgeStore],
    set_name: str,
    asked: Sequence[Asked],
    cancel: CancelToken,
    model_name: str,
    *,
    sizes: Sequence[int],
) -> tuple[TunedPacking, ModelInfo]:
    """Raises CancelledError, ModelError, StorageError, ValueError."""
    from ragchat.evaluation.tuning import TunedPacking, choose_packing
    from ragchat.llm.loading import loaded
    from ragchat.session.packing import for_model, model_key, read_choices

    ranking = build.ranking(context)
    documents = " ".join(f"{one.name}:{one.contents_hash()}" for one in stores)
    if (embedder := meaning.meant(context, stores, ranking)) is not None:
        documents += f" {embedder.model.fingerprint}"
    texts = [one.question for one in asked]
    with ExitStack() as stack:
        say = stack.enter_context(eval_vectors.shown())
        first = meaning.prepared(context, stores, texts, ranking, cancel, say)
        searchers = {context.settings.knowledge.chunk_tokens: first}
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ragchat-")))
        for size in sizes:
            cut = [_cut_anew(context, one, scratch / str(size), size, cancel) for one in stores]
            opened = [stack.enter_context(one) for one in cut]
            searchers[size] = meaning.prepared(context, opened, texts, ranking, cancel, say)
        model = build.model(context, model_name)
        stack.callback(model.close)
        reader = loaded(model, cancel)
        if cancel.cancelled:
            raise CancelledError("Stopped. Nothing was changed.")
        key = hashlib.sha256(
            f"{set_name} {model_key(reader.info)} {documents} {ranking}".encode()
        ).hexdigest()
        file = context.paths.data_dir / "trials" / f"tune-{key[:16]}.jsonl"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{file.parent} cannot be created: {error.strerror or error}.") from error
        now = for_model(
            reader.info,
            read_choices(context.paths.packings_file),
            passages=context.settings.retrieval.passages,
            alone=True,
        )
        live, last = interactive(), -1
        try:
            for step in choose_packing(
                reader,
                searchers,
                set_name,
                asked,
                file,
                now=now,
                ranking=ranking,
                documents=documents,
                cancel=cancel,
            ):
                if isinstance(step, TunedPacking):
                    return step, reader.info
                left = f", {human_seconds(step.eta_s)} left" if step.eta_s is not None else ""
                if live:
                    click.echo(
                        f"\r{step.done} of {counted(step.total, 'answer')}{left}".ljust(60),
                        nl=False,
                        err=True,
                    )
                elif step.done // 50 > last:
                    last = step.done // 50
                    note(f"{step.done} of {counted(step.total, 'answer')}{left}")
        except CancelledError as error:
            raise CancelledError(
                "Stopped. Nothing was changed. The answers are kept; run the same command to continue."
            ) from error
        finally:
            if live:
                click.echo(err=True)
    raise CancelledError("Stopped. Nothing was changed.")


def _settings_report(tuned: Tuned, embedded: _Embedded) -> dict[str, Any]:
    return {
        "settings": {f"retrieval.{name}": value for name, value in tuned.settings.items()},
        "before": tuned.before,
        "after": tuned.after,
        "gain": asdict(tuned.gain),
        "p": tuned.p,
        "embedding_model": embedded.model or None,
        "embedded": round(embedded.share, 4),
    }


def _packing_report(told: TunedPacking) -> dict[str, Any]:
    return {
        "packing": asdict(told.packing),
        "chunk_tokens": told.chunk_tokens,
        "ways": {
            one.way.name: {
                "questions": one.questions,
                "contains": one.contains,
                "f1": one.f1,
                "in_context": one.in_context,
                "prompt_tokens": one.prompt_tokens,
                "seconds": one.seconds,
            }
            for one in told.ways
        },
        "before": told.before,
        "after": told.after,
        "gain": asdict(told.gain),
        "p": told.p,
    }


def _say_search(tuned: Tuned) -> None:
    from ragchat.evaluation.verdict import points

    if not tuned.settings:
        click.echo("Search: no other setting did better on the first half. Your settings stay as they are.")
        return
    said = ", ".join(f"retrieval.{name} = {value}" for name, value in tuned.settings.items())
    sure = "measurable" if tuned.shown else "may be chance"
    click.echo(
        f"Search: {said}: {points(tuned.gain)} on the other {counted(tuned.questions, 'question')}; {sure} (p = {tuned.p:.3f})."
    )


def _say_packing(told: TunedPacking, chunk_tokens: int) -> None:
    from ragchat.evaluation.verdict import points

    click.echo(f"{'':28}{'right':>8}{'in prompt':>11}{'tokens':>8}{'seconds':>9}")
    for one in told.ways:
        click.echo(
            f"{clean_line(one.way.name):28}{one.contains:>8.1%}{one.in_context:>11.1%}{one.prompt_tokens:>8.0f}{one.seconds:>9.2f}"
        )
    said = f"{told.packing.passages} passage{'s' if told.packing.passages > 1 else ''} of {told.chunk_tokens} tokens"
    if told.packing.budget:
        said += f", at most {told.packing.budget} together"
    if not told.gain.mean and told.p == 1.0 and told.chunk_tokens == chunk_tokens:
        click.echo(f"Passages: {said}: no other choice did better on the other half.")
        return
    sure = "measurable" if told.shown else "may be chance"
    click.echo(
        f"Passages: {said}: {points(told.gain)} of right answers on the other {counted(told.questions, 'question')};"
        f" {sure} (p = {told.p:.3f})."
    )


def _store(context: Context, tuned: Tuned, told: TunedPacking | None, info: ModelInfo | None) -> None:
    """Save the settings that did measurably better."""
    stored: list[str] = []

    def put(name: str, value: object) -> None:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        config.set_value(context.paths.settings_file, name, text)
        stored.append(f"{name} = {text}")

    if tuned.shown:
        for name, value in tuned.settings.items():
            put(f"retrieval.{name}", value)
    cut_anew = False
    if told and info and told.shown:
        from ragchat.session.packing import write_choice

        try:
            write_choice(context.paths.packings_file, info, told.packing)
        except OSError as error:
            raise StorageError(f"The choice cannot be saved: {error}.") from error
        if context.settings.retrieval.passages:
            config.unset_value(context.paths.settings_file, "retrieval.passages")
        stored.append(f"passages for {clean_line(info.name)}")
        cut_anew = told.chunk_tokens != context.settings.knowledge.chunk_tokens
        if cut_anew:
            put("knowledge.chunk_tokens", told.chunk_tokens)
    if not stored:
        note("Nothing was saved: no setting did measurably better on the other half.")
        return
    note(f"Saved: {', '.join(stored)}.")
    if cut_anew:
        note("Run `ragchat kb sync --again` to split the documents with the new size.")
