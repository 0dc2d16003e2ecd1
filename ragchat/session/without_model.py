"""An answer that no model wrote: what the documents say, or that they say nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

from ragchat.errors import NotFoundError
from ragchat.session.events import AnswerFinished, AnswerKind, HitsFound
from ragchat.session.record import Record
from ragchat.types import (
    AdapterScale,
    CancelToken,
    LoadedModel,
    LoadProgress,
    ModelInfo,
    Quote,
    TextDelta,
    Timings,
)

DECLINED = "Nothing in your documents answers this."
NO_MODEL = "This is what your documents say. No model has answered."


class NoModel:
    """A `ChatModel` for sessions that only quote: there is nothing to load."""

    info: ModelInfo | None = None

    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, LoadedModel]:
        """Raises NotFoundError."""
        yield from ()
        raise NotFoundError("No model is loaded.", "Ask without --quote.")

    def loaded(self, *, thinking: bool = False) -> LoadedModel | None:
        """None."""
        return None

    def forget(self, owners: Sequence[str]) -> None:
        """Nothing was read."""

    def close(self) -> None:
        """Nothing to free."""


def answer(
    record: Record, found: HitsFound, quotes: Sequence[Quote], notice: str = ""
) -> Iterator[TextDelta | AnswerFinished]:
    """The end of the answer: the quotes under a notice, else the sentence that there are none."""
    if quotes:
        record.decide(AnswerKind.QUOTED, notice)
    else:
        record.decide(AnswerKind.DECLINED)
        record.say(DECLINED)
        yield TextDelta(DECLINED)
    timings = Timings(retrieval_s=found.retrieval_s)
    yield record.finish("stop", (), timings, 0, from_documents=bool(quotes))
