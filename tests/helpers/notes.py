"""A small knowledge base: chunks as a reader would make them."""

from __future__ import annotations

from pathlib import Path

from ragchat.retrieval import index
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Span

DOCUMENTS = {
    "/notes/zephyr.md": [
        ("Zephyr pump", "The Zephyr pump must be primed for forty seconds before use."),
        ("Zephyr pump > Warranty", "The warranty of the Zephyr pump lasts seven years. Keep the receipt."),
    ],
    "/notes/orion.md": [
        ("Orion lamp", "The Orion lamp runs on two batteries and glows for ninety hours."),
        ("Orion lamp > Warranty", "The warranty of the Orion lamp lasts eleven months."),
    ],
    "/notes/garden.md": [("Garden", "Tomatoes are planted in May. Beans follow in June.")],
    "/notes/bread.md": [("Bread", "Sourdough rests overnight. The oven is heated to 240 degrees.")],
}


def write_kb(folder: Path, name: str, documents: dict[str, list[tuple[str, str]]]) -> None:
    with KnowledgeStore.create(folder, name) as store:
        for path, sections in documents.items():
            chunks = [
                ChunkDraft(text, heading, Span(40 * i, 40 * i + len(text), i + 1, i + 1))
                for i, (heading, text) in enumerate(sections)
            ]
            index.write_document(store, FileRecord(path, 1, 1, content_hash=path), chunks)
