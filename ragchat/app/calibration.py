"""When the chat says that nothing in your documents matches: measured on your own questions, and stored as settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ragchat import config
from ragchat.app import build, meaning
from ragchat.app.context import Context
from ragchat.errors import StorageError, UsageError
from ragchat.text import clean_line
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.evaluation.calibration import Point, RefusalCurve
    from ragchat.evaluation.question_sets import Asked
    from ragchat.evaluation.vectors import Prepared
    from ragchat.session.answerability import Own


def refusal_curve(
    context: Context,
    set_name: str,
    asked: Sequence[Asked],
    names: Sequence[str],
    cancel: CancelToken,
    say: Callable[[Prepared], None] = lambda _: None,
) -> RefusalCurve | None:
    """What the search says of the questions of a set; None when cancelled. Raises NotFoundError, StorageError, UsageError."""
    try:
        return refusals(context, asked, names, cancel, say)
    except ValueError as error:
        raise UsageError(
            f"{clean_line(set_name)}: {error}.",
            f"`ragchat eval questions add {clean_line(set_name)} … --unanswerable` adds a question without an answer.",
        ) from error


def refusals(
    context: Context,
    asked: Sequence[Asked],
    names: Sequence[str],
    cancel: CancelToken,
    say: Callable[[Prepared], None] = lambda _: None,
) -> RefusalCurve | None:
    """What the search says of some questions; None when cancelled. `say` hears how far the vectors of what they find are.

    Raises NotFoundError, StorageError, and ValueError unless there are questions with an answer and without.
    """
    from ragchat.evaluation.calibration import NEEDS_BOTH, RefusalCurve, curve, look, point
    from ragchat.retrieval.vocabulary import Vocabulary

    if len({one.answerable for one in asked}) < 2:  # before minutes are spent on vectors
        raise ValueError(NEEDS_BOTH)
    ranking = build.ranking(context)
    with build.knowledge_bases(context, names or build.default_knowledge_bases(context)) as stores:
        texts = [one.question for one in asked]
        searcher = meaning.prepared(context, stores, texts, ranking, cancel, say)
        judged = list(
            look(
                searcher,
                asked,
                ranking=ranking,
                worth=Vocabulary(stores).idf,
                embedder=meaning.meant(context, stores, ranking),
                cancel=cancel,
            )
        )
    if cancel.cancelled:
        return None
    retrieval = context.settings.retrieval
    answerable = sum(one.answerable for one in judged)
    return RefusalCurve(
        curve(judged),
        point(judged, retrieval.min_match, retrieval.min_confidence),
        answerable,
        len(judged) - answerable,
        judged,
        own(context),
    )


def store_point(context: Context, point: Point) -> None:
    """Chats decline by this point from now on. Raises ConfigError, StorageError."""
    config.set_value(context.paths.settings_file, "retrieval.min_match", str(point.min_match))
    config.set_value(context.paths.settings_file, "retrieval.min_confidence", str(point.min_confidence))


# --- the chance -------------------------------------------------------------------------------------------


def own(context: Context) -> Own:
    """What a calibration stored; as shipped when there was none."""
    from ragchat.session.answerability import read_own

    return read_own(context.paths.answerability_file)


def store_chance(context: Context, fitted: Own) -> None:
    """Chats take this scale and threshold from now on. Raises StorageError."""
    from ragchat.session.answerability import write_own

    try:
        write_own(context.paths.answerability_file, fitted)
    except OSError as error:
        raise StorageError(f"The calibration cannot be saved: {error}.") from error


def reset(context: Context) -> None:
    """Everything as shipped: both settings and the chance. Raises ConfigError, StorageError."""
    for name in ("retrieval.min_match", "retrieval.min_confidence"):
        config.unset_value(context.paths.settings_file, name)
    try:
        context.paths.answerability_file.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"The calibration cannot be removed: {error}.") from error
