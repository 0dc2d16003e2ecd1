"""No module imports itself round about, not even for its types: a circle means that something shared belongs further down."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from ragchat.paths import PACKAGE


def _name(file: Path) -> str:
    parts = ("ragchat", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(modules: dict[str, Path]) -> dict[str, set[str]]:
    """What each module imports of these, at its beginning, inside functions and for its types."""
    found: dict[str, set[str]] = {}
    for module, file in modules.items():
        names = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                inner = (f"{node.module}.{alias.name}" for alias in node.names)
                names |= {name if name in modules else node.module for name in inner}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        found[module] = names & set(modules) - {module}
    return found


def test_there_is_no_circle() -> None:
    modules = {_name(file): file for file in PACKAGE.rglob("*.py")}
    assert len(modules) > 300
    try:
        TopologicalSorter(imported(modules)).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
