"""Branches of a chat: which messages a branch has, which are beside each other, where one ends.

A branch is named by its last message and read upwards over `parent_id`. Hidden messages stay links of the chain.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Sequence

from ragchat.errors import NotFoundError
from ragchat.store.database import fetch

_UPWARDS = """
WITH RECURSIVE branch (id, parent_id, deleted_at, height) AS (
    SELECT id, parent_id, deleted_at, 0 FROM messages WHERE id = ?
    UNION ALL
    SELECT m.id, m.parent_id, m.deleted_at, height + 1 FROM messages m JOIN branch b ON m.id = b.parent_id
)
SELECT id FROM branch WHERE deleted_at IS NULL ORDER BY height DESC
"""
_NEWEST_BELOW = """
WITH RECURSIVE below (id) AS (
    SELECT id FROM messages WHERE id = ?
    UNION ALL
    SELECT m.id FROM messages m JOIN below b ON m.parent_id = b.id
)
SELECT max(id) FROM below
"""
_BESIDE = """
SELECT m.id AS message_id, s.id AS sibling_id FROM messages m JOIN messages s
    ON s.conversation_id = m.conversation_id AND s.parent_id IS m.parent_id AND s.role = m.role
WHERE m.id IN (SELECT value FROM json_each(?)) AND s.deleted_at IS NULL ORDER BY s.id
"""


def branch_ids(connection: sqlite3.Connection, leaf_id: int) -> list[int]:
    """The messages of the branch that ends with `leaf_id`, oldest first, without those that are hidden."""
    return [row["id"] for row in fetch(connection, _UPWARDS, (leaf_id,))]


def siblings(connection: sqlite3.Connection, message_ids: Sequence[int]) -> dict[int, list[int]]:
    """For each message those of its role at the same place, itself among them, oldest first."""
    beside: dict[int, list[int]] = defaultdict(list)
    for row in fetch(connection, _BESIDE, (json.dumps(list(message_ids)),)):
        beside[row["message_id"]].append(row["sibling_id"])
    return beside


def newest_leaf(connection: sqlite3.Connection, message_id: int) -> int:
    """The end of the newest branch through a message: the message written last below it, or itself."""
    return int(fetch(connection, _NEWEST_BELOW, (message_id,))[0][0])


def turn_of(connection: sqlite3.Connection, message_id: int) -> tuple[int, list[int]]:
    """The question of the turn that a message belongs to, and all messages of the turn (its answers too)."""
    rows = fetch(connection, "SELECT id, parent_id, role FROM messages WHERE id = ?", (message_id,))
    if not rows:
        raise NotFoundError(f"There is no message {message_id}.")
    question = (
        rows[0]["id"] if rows[0]["role"] == "user" or not rows[0]["parent_id"] else rows[0]["parent_id"]
    )
    answers = fetch(
        connection, "SELECT id FROM messages WHERE parent_id = ? AND role = 'assistant'", (question,)
    )
    return question, [question, *(row["id"] for row in answers)]
