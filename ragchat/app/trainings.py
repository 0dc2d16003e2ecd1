"""Trainings for the screen: what data there is, and `ragchat finetune` in a process of its own."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.app.context import Context
from ragchat.errors import FinetuneError
from ragchat.paths import Paths
from ragchat.text import clean_line

if TYPE_CHECKING:
    from ragchat.app.preferences import Preferences


@dataclass(frozen=True, slots=True)
class TrainingData:
    """`rated`: answers that were rated good or corrected; `pairs`: kept questions by knowledge base; `unreviewed` of them."""

    rated: int
    pairs: Mapping[str, int]
    unreviewed: Mapping[str, int]


class Trainings:
    """Trainings for a front end; each continues when ragchat ends. Safe to call from any thread."""

    def __init__(self, preferences: Preferences) -> None:
        self._preferences = preferences

    @property
    def folder(self) -> Path:
        """Where trainings write how far they are."""
        return self._preferences.context.paths.trainings_dir

    def data(self) -> TrainingData:
        """What there is to train with. Raises StorageError."""
        return data(self._preferences.context)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Run `ragchat finetune` with these arguments in a process of its own. Raises FinetuneError."""
        return start(self._preferences.context.paths, arguments)

    def output(self, name: str) -> str:
        """The last lines that the training of this name has printed."""
        return said(self._preferences.context.paths, name)


def data(context: Context) -> TrainingData:
    """What there is to train with. Raises StorageError."""
    from ragchat.app.training_data import pair_file
    from ragchat.finetune import from_chats
    from ragchat.store.chats import ChatStore
    from ragchat.store.knowledge import knowledge_base_names

    with contextlib.closing(ChatStore(context.paths.chat_database)) as chats:
        rated = len(from_chats.read(chats))
    found = {name: pair_file(context, name).kept for name in knowledge_base_names(context.paths.kb_dir)}
    kept = {name: pairs for name, pairs in found.items() if pairs}
    return TrainingData(
        rated,
        {name: len(pairs) for name, pairs in kept.items()},
        {name: sum(not pair.reviewed for pair in pairs) for name, pairs in kept.items()},
    )


def start(paths: Paths, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Run `ragchat finetune` with these arguments, NAME first; it outlives this process. Raises FinetuneError."""
    flags = sum(getattr(subprocess, name, 0) for name in ("CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW"))
    try:
        paths.trainings_dir.mkdir(parents=True, exist_ok=True)
        with _output(paths, arguments[0]).open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "ragchat", "finetune", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                creationflags=flags,  # Windows alone has any
            )
    except OSError as error:
        raise FinetuneError(f"The training cannot be started: {error.strerror or error}.") from error


def said(paths: Paths, name: str) -> str:
    """The last lines that a training has printed, in one."""
    try:
        lines = _output(paths, name).read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return clean_line(" ".join(lines[-2:])) or "it gave no reason."


def _output(paths: Paths, name: str) -> Path:
    return paths.trainings_dir / f"{name}.output"
