"""One source for each default: what the settings say of themselves is what every part does without them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ragchat.app import build
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.ingest.options import IngestOptions
from ragchat.llm.client import ModelOptions
from ragchat.paths import PACKAGE, Paths
from ragchat.retrieval.search import Ranking
from ragchat.session.chat import AskOptions
from ragchat.types import Sampling


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Paths.discover({"RAGCHAT_HOME": str(tmp_path)}), Settings())


def test_what_the_settings_build_is_what_the_parts_begin_with(context: Context) -> None:
    assert build.sampling(context) == Sampling()
    assert build.ranking(context) == Ranking()
    assert build.ask_options(context) == AskOptions()
    ingest = build.ingest_options(context)
    assert ingest == replace(IngestOptions(ingest.log), ocr_data=ingest.ocr_data)
    model, options = Settings().model, ModelOptions()
    names = {"n_threads": "threads", "n_threads_batch": "threads_batch"}
    for one in fields(ModelOptions):
        if one.name.startswith("snapshot"):  # a folder, and its size in bytes
            continue
        assert getattr(options, one.name) == getattr(model, names.get(one.name, one.name)), one.name


NAMED = {
    "temperature", "top_k", "top_p", "min_p", "repeat_penalty", "max_tokens", "n_ctx", "n_batch", "k1", "b", "chunk_tokens",
    "overlap_tokens", "min_match", "min_confidence", "passage_share", "longest_passage", "query_timeout_s",
}  # fmt: skip
OWN_MEANING = {("finetune/recipe.py", "max_tokens"), ("llm/fake.py", "n_ctx")}
"""Fields and arguments that share a name with a setting and mean something else."""


def test_no_default_is_written_a_second_time() -> None:
    """A field or argument of the same name as a setting takes its number from `types.defaults`."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            for name, value in _defaults(node):
                # 0 leaves it open.
                if name in NAMED and isinstance(value, ast.Constant) and value.value:
                    found.add((file.relative_to(PACKAGE).as_posix(), name))
    assert found == OWN_MEANING


def _defaults(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """(name, default) of a field, or of each argument of a function that has one."""
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name, node.value
        case ast.FunctionDef():
            names = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
            yield from zip(reversed(names), reversed(node.args.defaults), strict=False)
            yield from zip((one.arg for one in node.args.kwonlyargs), node.args.kw_defaults, strict=True)
