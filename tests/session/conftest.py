"""What most tests of the session need: a knowledge base and chats."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ragchat.paths import Paths
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from tests.helpers.notes import DOCUMENTS, write_kb


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    write_kb(paths.kb_dir, "notes", DOCUMENTS)
    with KnowledgeStore.open(paths.kb_dir, "notes") as opened:
        yield opened


@pytest.fixture
def chats(paths: Paths) -> Iterator[ChatStore]:
    opened = ChatStore(paths.chat_database)
    yield opened
    opened.close()
