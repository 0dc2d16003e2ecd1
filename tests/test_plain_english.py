"""The words that docs/glossary.md bans do not come back in text that you read: screen, command line, errors and pages.

Every string of the package counts, f-strings included, and the help of every command. Docstrings of other functions, code in
pages, SQL and the texts in `DATA` do not count.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ragchat"
GLOSSARY = ROOT / "docs/glossary.md"
PAGES = sorted(
    path
    for path in (
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").glob("*.md"),
        *(PACKAGE / "manual").glob("*.md"),
        *(PACKAGE / "templates").glob("*.md"),
    )
    if path != GLOSSARY
)

BANNED: dict[str, str] = {
    r"\b(?:the|a) person(?:'s)?\b": "you, your",
    r"\b(?:no|some)body\b": "name who it is, or use the passive",
    r"\banew\b": "again",
    r"\bstands?\b(?! out\b)": "is, appears; replaces (for: stands for)",
    r"\b(?:speaks?|spoke) (?:to|for|of)\b": "is about, is relevant to",
    r"\bmend(?:s|ed|ing)?\b": "fix",
    r"\b(?:part it|parted by)\b": "split it, separated by",
    r"\b(?:is|are|was|were) said\b": "shows, says (with a subject)",
    r"\bserves? (?:you|the person) best\b": "recommended configuration",
    r"\bbest served\b": "recommended",
    r"\b(?:every|each|which|no single|no other) way\b(?! to\b)": "configuration",
    r"\b(?:four|the) ways\b(?! to\b)": "configurations",
    r"\bgo(?:es|ing)? on\b": "continues",
    r"\bfetch(?:es|ed|ing)?\b": "download",
    r"\b(?:came|comes?) in\b": "is imported, is indexed, is added",
    r"\b(?:takes?|taken) (?:it |them |that )?back\b": "undo, remove",
    r"\bbrings? (?:it |them |chats )?back\b": "restores",
    r"\b(?:takes?|taken|took|lets?) (?:it |them |chats )?in\b": "includes, imports, adds",
    r"\b(?:is|are|was|were) (?:there|here) already\b|\bexists? already\b": "already exists",
    r"\bthose there are\b|\bwhat there is\b|\bwhat is there\b": "available",
    r"(?<![Tt]here )\bis no (?!longer\b|more\b)": "is not a",
    r"\bholds? (?:an?|the|no|all|nothing|everything|what|more than|your|it|them)\b": "contains",
    r"\b(?:lies?|lay) (?:in|under|there|elsewhere|below)\b": "is in",
    r"\bshall\b": "will, should, or the imperative",
    r"\blooks? closer\b": "shows details, finds the cause",
    r"\bdoes without(?=[.,;:)]|$)": "turns off",
    r"\b(?:came|comes?) to (?:its|an|the) end\b": "is complete, ends",
    r"\bstale\b": "out of date",
    r"\bto measure with\b": "evaluation (question)",
    r"\bto learn from\b": "training (data, question)",
    r"\bthoughts\b": "reasoning",
    r"\bare the least\b": "at least … are needed",
    r"\brightly\b": "correctly",
    r"\bsuffic(?:e|es)\b": "is enough",
    r"\bwalks? through\b": "moves between",
    r"\bexclude each other\b": "cannot be used together",
    r"\bmay be repeated\b": "You can repeat it.",
    r"\bnot shown\b|\b(?:is|are) shown to be\b": "no measurable difference, measurably better",
    r"\bas it was\b|\bas they were\b": "unchanged; Esc cancels",
}
"""What is banned, and what to write instead. docs/glossary.md has the same list in words."""

DATA: dict[str, frozenset[str]] = {
    "session/prompt.py": frozenset({"INSTRUCTIONS", "WORDINGS", "SUMMARY_OPENING"}),
    "finetune/raft.py": frozenset({"REFUSAL"}),
    "retrieval/stopwords.py": frozenset({"_WORDS"}),
    "retrieval/asking.py": frozenset(),
    "session/claim_words.py": frozenset(),
    "store/chat_former.py": frozenset(),
    "ingest/wire.py": frozenset({"Reason"}),
    "ingest/scan.py": frozenset({"Skip"}),
}
"""By file, the constants and classes whose texts go to a model or into a database; an empty set is the whole file."""
_SQL = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|WITH|ALTER|DROP)\b")
_NAME = re.compile(r"[a-z\d_.:/*#-]*")
"""A key or an identifier, which you do not read."""
_CODE = re.compile(r"```.*?```|^(?: {4}|\t).*?$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_PATTERNS = [(re.compile(pattern, re.IGNORECASE), better) for pattern, better in BANNED.items()]


class Text(NamedTuple):
    """A text that somebody reads, and the line where it begins."""

    line: int
    words: str


def of_module(source: str, data: frozenset[str] = frozenset()) -> Iterator[Text]:
    """Strings that are no docstrings, and the docstrings of commands. `data`: names whose values are passed over."""
    yield from _strings(ast.parse(source), data)


def _strings(node: ast.AST, data: frozenset[str]) -> Iterator[Text]:
    if isinstance(node, ast.JoinedStr):
        words = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        yield Text(node.lineno, words)
        return
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield Text(node.lineno, node.value)
        return
    if data & _names(node):
        return
    documented = _docstring(node)
    if documented is not None and _is_command(node):
        yield Text(documented.lineno, str(documented.value))
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
            yield from _strings(child, data)


def _names(node: ast.AST) -> set[str]:
    """What a statement defines."""
    if isinstance(node, ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _docstring(node: ast.AST) -> ast.Constant | None:
    if not isinstance(node, ast.FunctionDef) or not isinstance(node.body[0], ast.Expr):
        return None
    value = node.body[0].value
    return value if isinstance(value, ast.Constant) else None


def _is_command(node: ast.AST) -> bool:
    """Click shows the docstring of a function that is decorated as a command or a group."""
    assert isinstance(node, ast.FunctionDef)
    called = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return any(isinstance(one, ast.Attribute) and one.attr in ("command", "group") for one in called)


def of_page(text: str) -> Iterator[Text]:
    """The paragraphs of a Markdown page, without code."""
    blank = _CODE.sub(lambda found: re.sub(r"[^\n]", "_", found[0]), text)
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", blank):
        yield Text(line, paragraph)
        line += paragraph.count("\n")


def problems(texts: Iterator[Text], where: str) -> list[str]:
    """`where:line: "anew": write again`, for each banned word."""
    found = []
    for text in texts:
        if _SQL.match(text.words) or _NAME.fullmatch(text.words):
            continue
        for pattern, better in _PATTERNS:
            for match in pattern.finditer(text.words):
                line = text.line + text.words.count("\n", 0, match.start())
                found.append(f'{where}:{line}: "{" ".join(match[0].split())}": write {better}')
    return found


def test_no_banned_word_is_in_the_package() -> None:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        data = DATA.get(name)
        if data is None or data:
            texts = of_module(path.read_text(encoding="utf-8"), data or frozenset())
            found += problems(texts, f"ragchat/{name}")
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_banned_word_is_in_a_page(page: Path) -> None:
    found = problems(of_page(page.read_text(encoding="utf-8")), page.relative_to(ROOT).as_posix())
    assert not found, "\n" + "\n".join(found)


def test_the_texts_of_data_exist() -> None:
    for name, constants in DATA.items():
        tree = ast.parse((PACKAGE / name).read_text(encoding="utf-8"))
        assert constants <= {one for node in ast.walk(tree) for one in _names(node)}, name


def test_the_glossary_lists_what_is_banned() -> None:
    table = GLOSSARY.read_text(encoding="utf-8").rpartition("| do not write | write |")[2]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| ")]
    phrases = [part.strip() for row in rows for part in re.sub(r"\(.*?\)", "", row).split(",")]
    assert len(phrases) > len(BANNED)
    for phrase in phrases:
        assert any(pattern.search(phrase) for pattern, _ in _PATTERNS), phrase
    for pattern, _ in _PATTERNS:
        assert any(pattern.search(phrase) for phrase in phrases), pattern.pattern


SOURCE = '''
"""It stands here."""
@cli.command()
@click.option("--x", help="Fetch it.")
def one(x):
    """Go on anew."""
    raise UsageError(f"The person {x} came in.", "Mend it.")
def two():
    """Whatever it speaks to."""
    LATER = "It stands."
    return "SELECT stands FROM table"
'''


def test_strings_and_help_are_read_and_docstrings_are_not() -> None:
    found = problems(of_module(SOURCE), "x.py")
    lines = sorted(int(one.split(":")[1]) for one in found)
    assert lines == [4, 6, 6, 7, 7, 7, 10]
    assert 'x.py:4: "Fetch": write download' in found
    assert not any(
        one.startswith("x.py:10") for one in problems(of_module(SOURCE, frozenset({"LATER"})), "x.py")
    )


@pytest.mark.parametrize(
    "words",
    [
        "The best hits stand out.",
        "There is no answer here.",
        "It is no longer there.",
        "Standard output, `git fetch`, understand, withstand.",
        "Run it:\n\n    git fetch origin\n",
        "Three ways to pack passages.",
        "A shallow folder, a backstage pass.",
    ],
)
def test_good_english_is_no_false_alarm(words: str) -> None:
    assert problems(of_page(words), "x.md") == []


def test_the_line_of_a_problem_in_a_page_is_right() -> None:
    assert problems(of_page("# A\n\nOne\ntwo anew.\n"), "x.md") == ['x.md:4: "anew": write again']
