"""Loading a model where no one watches it load."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, TypeVar

from ragchat.types import AdapterScale, CancelToken, LoadProgress

_Model = TypeVar("_Model", covariant=True)


class _Loads(Protocol[_Model]):
    def load(
        self,
        cancel: CancelToken | None = None,
        *,
        thinking: bool = False,
        adapters: tuple[AdapterScale, ...] = (),
    ) -> Generator[LoadProgress, None, _Model]: ...


def loaded(
    model: _Loads[_Model],
    cancel: CancelToken | None = None,
    *,
    thinking: bool = False,
    adapters: tuple[AdapterScale, ...] = (),
) -> _Model:
    """As `ChatModel.load`, without its progress."""
    loading = model.load(cancel, thinking=thinking, adapters=adapters)
    while True:
        try:
            next(loading)
        except StopIteration as done:
            found: _Model = done.value
            return found
