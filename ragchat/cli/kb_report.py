"""What `kb status` says of single files (those that are not indexed, grouped by reason, and what was left out) and of vectors."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ragchat.store.vectors import Embedded
from ragchat.text import clean_line, counted
from ragchat.types import Document, LeftOut, LeftOutKind
from ragchat.types.embedding import EmbeddingModel

_LISTED = 5
"""Files with the same reason that are listed one by one; more are counted."""
_EXAMPLES = 2


def describe_files(name: str, documents: Sequence[Document], *, show_all: bool) -> Iterator[str]:
    """Lines for every file that is not indexed, or not whole; `show_all`: for every file, none of them grouped."""
    if show_all:
        yield from map(_line, documents)
        return
    lines = [
        *_grouped([document for document in documents if document.state != "indexed"]),
        *_left_out([document for document in documents if document.missing_parts]),
    ]
    yield from (line.text for line in lines)
    if any(line.stands_for > 1 for line in lines):
        yield f"`ragchat kb status {name} --all` lists each of them."


class _Line(NamedTuple):
    """A line of the report and how many documents it stands for."""

    text: str
    stands_for: int = 1


def _line(document: Document) -> str:
    reason = f": {clean_line(document.reason)}" if document.reason else ""
    missing = f" ({clean_line(document.missing_phrase)})" if document.missing_phrase else ""
    return f"{document.state:8} {clean_line(document.path)}{reason}{missing}"


def _grouped(documents: Iterable[Document]) -> Iterator[_Line]:
    groups: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for document in documents:
        groups[document.state, document.reason].append(document)
    for (state, reason), files in sorted(groups.items()):
        if len(files) <= _LISTED:
            yield from map(_Line, map(_line, files))
        else:
            text = f"{state:8} {counted(len(files), 'file')}, {_examples(files)}: {clean_line(reason)}"
            yield _Line(text, len(files))


def _left_out(documents: Sequence[Document]) -> Iterator[_Line]:
    kinds: dict[LeftOutKind, list[tuple[Document, LeftOut]]] = defaultdict(list)
    for document in documents:
        for left in document.missing_parts:
            kinds[left.kind].append((document, left))
    for kind, found in kinds.items():
        if len(found) <= _LISTED:
            for document, left in found:
                yield _Line(f"{'partly':8} {clean_line(document.path)}: without {clean_line(left.phrase)}")
        else:
            count = sum(left.count for _, left in found)
            examples = _examples([document for document, _ in found])
            text = (
                f"{'partly':8} {counted(len(found), 'document')}, {examples}: without {kind.counted(count)}"
            )
            yield _Line(text, len(found))


def _examples(files: Sequence[Document]) -> str:
    names = ", ".join(clean_line(os.path.basename(file.path), limit=60) for file in files[:_EXAMPLES])  # noqa: PTH119
    return f"such as {names}"


def left_out_json(document: Document) -> list[dict[str, object]]:
    """What of a document was left out, as `kb status --json` prints it."""
    return [
        {"kind": str(left.kind), "count": left.count, "names": list(left.names)} for left in document.left_out
    ]


def describe_embedding(name: str, embedded: Embedded, model: EmbeddingModel | None) -> str:
    """How many chunks can be found by meaning, and what to do for the rest. `model`: the one that is used now."""
    share = f"{embedded.embedded:,} of {counted(embedded.readable, 'chunk')}"
    if embedded.embedded:
        share += f", by {clean_line(embedded.name)}"
    if model is None:
        return f"{share}; there is no embedding model, so the search uses words only. `ragchat setup` downloads one"
    if unread := embedded.chunks - embedded.readable:
        share += f" ({unread:,} more are in languages that {clean_line(model.name)} does not read)"
    if embedded.embedded and embedded.fingerprint != model.fingerprint:
        return (
            f"{share}; the model is now {clean_line(model.name)}. `ragchat kb embed {name}` embeds them again"
        )
    if embedded.embedded < embedded.readable:
        return f"{share}: `ragchat kb embed {name}` embeds the rest; so does the open chat"
    return share


def embedding_json(embedded: Embedded, model: EmbeddingModel | None) -> dict[str, object]:
    """The same, as `kb status --json` prints it."""
    return {
        "model": embedded.name or None,
        "embedded": embedded.embedded,
        "of": embedded.readable,
        "current": bool(model and embedded.fingerprint == model.fingerprint),
        "wanted": model.name if model else None,
    }
