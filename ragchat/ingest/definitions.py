"""Where functions and classes begin in source code: by the parser for Python, by the look of the lines for the rest."""

from __future__ import annotations

import ast
import re
import warnings
from typing import NamedTuple

Path = tuple[str, ...]
"""Names from the outermost inwards."""
_LARGEST_PARSED = 2_000_000
"""Characters of Python source above which functions are found by their lines alone."""


class Definition(NamedTuple):
    """Where a function or a class begins (line from 0) and the names around it, its own last."""

    line: int
    path: Path


def python_definitions(text: str) -> list[Definition]:
    """The definitions of a Python file; a file too large or not valid Python is searched by its lines instead."""
    if len(text) > _LARGEST_PARSED:
        return definitions(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return definitions(text)
    found: list[Definition] = []
    _walk(tree.body, (), found)
    return found


def _walk(body: list[ast.stmt], path: Path, found: list[Definition]) -> None:
    """Collect classes, functions and methods (no closures), and where code of the parent continues."""
    after_definition = False
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            word = "class" if isinstance(node, ast.ClassDef) else "def"
            own = (*path, f"{word} {node.name}")
            found.append(Definition(line, own))
            if isinstance(node, ast.ClassDef) and len(path) < 4:
                _walk(node.body, own, found)
            after_definition = True
        elif after_definition:
            found.append(Definition(node.lineno - 1, path))
            after_definition = False


_DEFINITION = re.compile(
    r"""(?P<indent>[ \t]{0,8})
    (?:(?:export|default|public|private|protected|internal|static|abstract|final|sealed|async|unsafe
      |pub(?:\([^()]*\))?|extern|inline|virtual|override|partial|open|data|local
      |typedef|const|suspend)[ \t]+)*+
    (?P<word>def|class|func|fun|fn|function|struct|enum|union|trait|impl|interface|module|namespace
      |protocol|sub|procedure|object|record|type|macro
      |create[ \t]+(?:or[ \t]+replace[ \t]+)?(?:table|view|function|procedure)
      |extension|defmodule|defun|defn)
    [ \t]+(?P<name>(?:\([^()]*\)[ \t]*)?[\w$.:<>~"`\[\]-]+)""",
    re.VERBOSE | re.IGNORECASE,
)
_C_FUNCTION = re.compile(
    r"(?![ \t])(?!(?:return|else|if|for|while|switch|typedef|case|goto)\b)"
    r"(?:[\w\s*&:<>,~\[\]]{1,160}?[\s*&])?(?P<name>[\w:~]+)[ \t]*\([^;]*$"
)
_SHELL_FUNCTION = re.compile(r"(?P<name>[\w-]+)[ \t]*\(\)[ \t]*\{?[ \t]*$")


def definitions(text: str) -> list[Definition]:
    """Definitions in any language, by the look of lines at the left margin or just inside a class."""
    found: list[Definition] = []
    outer = ""
    for number, line in enumerate(text.split("\n")):
        if not line.strip() or len(line) > 400:
            continue
        match = _DEFINITION.match(line)
        if match and not match["indent"]:
            outer = f"{' '.join(match['word'].split())} {match['name'].strip()}"
            found.append(Definition(number, (outer,)))
        elif match and outer.startswith(("class", "impl", "module", "interface", "trait", "object")):
            if match["word"].lower() in ("def", "fn", "fun", "func", "function", "sub", "class"):
                found.append(Definition(number, (outer, f"{match['word']} {match['name']}")))
        elif line[0] not in " \t}{)#/*" and not match:
            function = _SHELL_FUNCTION.match(line) or _C_FUNCTION.match(line)
            if function:
                outer = function["name"]
                found.append(Definition(number, (outer,)))
    return found
