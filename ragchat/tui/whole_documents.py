"""Which whole document is to be summarised: those that are indexed, by name or from a list, and files. For workers: it reads."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ragchat.errors import NotFoundError, RagchatError
from ragchat.text import clean, clean_line
from ragchat.tui.foreign import file_name
from ragchat.tui.screens.pick import Choice
from ragchat.tui.sentences import count
from ragchat.types import Document, is_row

if TYPE_CHECKING:
    from ragchat.session.summarise import WholeDocument
    from ragchat.tui.services import Services

MOST = 2000
"""Documents that are offered; others are named."""


def listed(services: Services, names: Sequence[str]) -> list[Choice]:
    """The indexed documents of these knowledge bases, as `chosen` takes their keys. Raises RagchatError."""
    found = []
    for name in names:
        with contextlib.closing(services.open_knowledge_base(name)) as store:
            for document in store.documents():
                if document.state == "indexed" and not is_row(document.path):
                    facts = f"{clean_line(name)} · {count(document.chunk_count, 'passage')} · {clean_line(document.path)}"
                    found.append(Choice(f"{name}:{document.id}", file_name(document.path), facts))
    return found[:MOST]


def chosen(services: Services, key: str) -> WholeDocument:
    """The document of a choice. Raises NotFoundError, RagchatError."""
    from ragchat.session.summarise import from_knowledge_base

    name, _, number = key.rpartition(":")
    with contextlib.closing(services.open_knowledge_base(name)) as store:
        return from_knowledge_base(store, int(number))


def named(services: Services, names: Sequence[str], text: str) -> WholeDocument:
    """The document that was typed: an indexed one by its path, file name or the beginning of it, else a file.

    Raises NotFoundError, IngestError, RagchatError.
    """
    from ragchat.session.summarise import from_file, from_knowledge_base

    path = text = clean(text)
    with contextlib.suppress(RuntimeError):  # ~nobody
        path = os.path.realpath(Path(text).expanduser())
    for name in names:
        with contextlib.closing(services.open_knowledge_base(name)) as store:
            document = _matching(store.documents(), text, path)
            if document is not None:
                return from_knowledge_base(store, document.id)
    try:
        return from_file(services.read_attachment(Path(path)))
    except (NotFoundError, RuntimeError) as error:  # RuntimeError: ~nobody
        raise RagchatError(
            f"No document and no file is called {clean_line(text, limit=80)}.",
            "Choose one from the list: /summarise alone shows it.",
        ) from error


def _matching(documents: Sequence[Document], text: str, path: str) -> Document | None:
    indexed = [document for document in documents if document.state == "indexed"]
    wanted = text.casefold()
    names = [PurePath(document.path).name.casefold() for document in indexed]
    for fits in (
        lambda d, n: d.path in (text, path),
        lambda d, n: n == wanted,
        lambda d, n: n.startswith(wanted),
    ):
        for document, name in zip(indexed, names, strict=True):
            if fits(document, name):
                return document
    return None
