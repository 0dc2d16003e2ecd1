"""Cuts a document's text into chunks at its structure: headings, paragraphs, pages, functions, rows.

Three steps: a scanner for the structure yields blocks, each with the headings above it; blocks that are too
large are cut into pieces (sentences, lines, words, characters, in this order); pieces are packed into chunks
near the target. It changes no text: a chunk is always a stretch of the document, and together they leave out
nothing but white space. No model is asked; tokens are estimated. Linear in the length of the text.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from ragchat.ingest.formats import structure_of
from ragchat.retrieval.sentences import sentence_spans
from ragchat.text import clean_line
from ragchat.types import ChunkDraft, ExtractedText, Span

Path = tuple[str, ...]
"""Headings from the outermost inwards."""
BlockKind = Literal["heading", "prose", "lines"]

_LIMIT = 1.25
"""Largest chunk as a multiple of the target."""
_TINY = 0.15
"""A chunk below this share of the target takes up the next section although that does not fit whole."""
_LONGEST_HEADING = 160
_LARGEST_PARSED = 2_000_000
"""Characters of Python source above which functions are found by their lines alone."""


class _Block(NamedTuple):
    """Stretch of text that belongs together. Blocks of the same `section` stand under the same headings."""

    first: int
    last: int
    kind: BlockKind
    path: Path
    section: int


class _Piece(NamedTuple):
    """What packing moves: a block or a part of one. `whole` is False when it was cut inside a sentence."""

    first: int
    last: int
    tokens: float
    kind: BlockKind
    path: Path
    section: int
    whole: bool


def split(document: ExtractedText, *, chunk_tokens: int = 220, overlap_tokens: int = 30) -> list[ChunkDraft]:
    """The chunks of a document, in order; none when it holds nothing but white space.

    Sizes are in estimated tokens: chunks come near `chunk_tokens` and stay below 1.25 times it. A chunk that
    goes on in the middle of a section begins with up to `overlap_tokens` of whole sentences from the end of
    the one before.
    """
    text = document.text
    target = max(8, chunk_tokens)
    pieces = list(_cut(text, _scan(document), target))
    spans = _pack(text, pieces, target, min(overlap_tokens, target // 4), document.media_type)
    return list(_drafts(document, spans))


def estimate_tokens(text: str) -> int:
    """About how many tokens a language model makes of `text`: a quarter of the ASCII characters, rounded up.

    Characters that UTF-8 writes in more bytes count for more, since tokenisers know fewer words of their
    scripts: 0.55 for two bytes (accents, Cyrillic, Arabic), 0.85 for three (Chinese, Hindi, Thai), 1.15 for
    four.
    """
    return math.ceil(_tokens(text))


def first_heading(text: str, media_type: str) -> str:
    """The first heading near the beginning of a text, or ''."""
    document = ExtractedText(text[:4000], media_type)
    if structure_of(media_type) not in ("markdown", "rst", "text"):
        return ""
    return next((block.path[-1] for block in _scan(document) if block.kind == "heading" and block.path), "")


def _tokens(text: str) -> float:
    if text.isascii():
        return len(text) / 4
    return len(text) / 4 + 0.3 * (len(text.encode("utf-8", "surrogatepass")) - len(text))


# --- step 1: blocks -------------------------------------------------------------------------------------


def _scan(document: ExtractedText) -> Iterator[_Block]:
    text = document.text
    match structure_of(document.media_type):
        case "markdown":
            return _scan_markdown(text)
        case "rst" | "text":
            return _scan_underlined(text)
        case "pages":
            return _scan_pages(text)
        case "python":
            return _scan_code(text, _python_definitions(text))
        case "code":
            return _scan_code(text, _definitions(text))
        case "rows":
            return _scan_rows(text, "\t" if "tab" in document.media_type else ",")
        case "lines":
            return _scan_lines(text)


class _Outline:
    """The headings above the current line."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self.section = 0
        self.path: Path = ()

    def enter(self, level: int, title: str) -> None:
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        if title:
            self._open.append((level, title))
        self.section += 1
        self.path = tuple(title for _, title in self._open)

    def block(self, first: int, last: int, kind: BlockKind) -> _Block:
        return _Block(first, last, kind, self.path, self.section)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """(offset, line) without the line ends."""
    offset = 0
    for line in text.split("\n"):
        yield offset, line
        offset += len(line) + 1


_FENCE = re.compile(r"[ \t]*+(?:>[ \t]*+)*+(?:[-*+][ \t]++)?(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]++(.*))?$")
_CLOSING = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_ITEM = re.compile(r"[ \t]*+(?:[-*+•]|\d{1,3}[.)])[ \t]")
_INLINE = re.compile(
    r"!?\[([^\[\]]*)\](?:\([^()\s]*(?:\s+\"[^\"]*\")?\)|\[[^\[\]]*\])|<(/?[a-zA-Z][^<>]*)>|\{#[\w-]+\}"
)
_EMPHASIS = re.compile(r"(\*{1,3}|__?|`+|~~)(?=\S)([^*_`~]+)(?<=\S)\1(?!\w)")


def plain_heading(markup: str) -> str:
    """A heading without Markdown's marks, on one line."""
    title = _INLINE.sub(lambda match: match[1] or "", markup)
    title = _EMPHASIS.sub(r"\2", title).replace("\\", "").rstrip("¶ \t")
    return clean_line(title, limit=_LONGEST_HEADING)


def _scan_markdown(text: str) -> Iterator[_Block]:
    outline = _Outline()
    start, end, kind, height = -1, 0, "prose", 0  # the block being read, its number of lines
    fence = ""
    front_matter = text.startswith("---\n") and "\n---" in text[3:20_000]
    for offset, line in _lines(text):
        last = offset + len(line.rstrip())
        bare = line.strip()
        if front_matter:
            start, end, kind = (0, last, "lines")
            front_matter = offset == 0 or bare not in ("---", "...")
            continue
        if fence:
            end = max(end, last)
            if bare.lstrip("> ").startswith(fence) and not bare.lstrip("> ").strip(fence[0]):
                yield outline.block(start, end, "lines")
                fence, start = "", -1
            continue
        if not bare:
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
                start = -1
            continue
        if fenced := _FENCE.match(line):
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
            start, end, fence = offset, last, fenced[1]
            continue
        if (atx := _ATX.match(line)) and not (start >= 0 and kind == "lines" and bare[0] == "|"):
            if start >= 0:
                yield outline.block(start, end, kind)  # type: ignore[arg-type]
                start = -1
            outline.enter(len(atx[1]), plain_heading(_CLOSING.sub("", atx[2] or "")))
            yield outline.block(offset, last, "heading")
            continue
        if start >= 0 and kind == "prose" and height <= 2 and (setext := _SETEXT.match(line)):
            outline.enter(1 if setext[1][0] == "=" else 2, plain_heading(text[start:end]))
            yield outline.block(start, last, "heading")
            start = -1
            continue
        line_kind = "lines" if bare[0] == "|" else "prose"
        if start >= 0 and line_kind != kind and height:
            yield outline.block(start, end, kind)  # type: ignore[arg-type]
            start = -1
        if start < 0:
            start, kind, height = offset, line_kind, 0
            if _ITEM.match(line):
                height = 3  # an item is no heading, whatever stands below it
        end, height = last, height + 1
    if start >= 0 and text[start:].strip():
        yield outline.block(start, max(end, start), kind if not fence else "lines")  # type: ignore[arg-type]


_UNDERLINE = re.compile(r"([=\-~^*+#\"'`:._])\1{2,}$")
_ASCIIDOC = re.compile(r"(={1,5}) +(\S.*?)(?: +=+)?$")
_MAN_SECTION = re.compile(r"[A-Z][A-Z0-9 /,&-]{2,50}$")


def _scan_underlined(text: str) -> Iterator[_Block]:
    """reStructuredText and plain text: underlined titles, AsciiDoc's `== Title`, sections of man pages."""
    outline = _Outline()
    levels: dict[str, int] = {}
    paragraph: list[tuple[int, str]] = []

    def flush() -> Iterator[_Block]:
        if paragraph:
            yield outline.block(paragraph[0][0], paragraph[-1][0] + len(paragraph[-1][1].rstrip()), "prose")
            paragraph.clear()

    def level_of(style: str) -> int:
        return levels.setdefault(style, len(levels) + 1)

    lines = text.split("\n")
    offset = 0
    for number, line in enumerate(lines):
        bare = line.rstrip()
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not bare.strip():
            yield from flush()
        elif len(paragraph) in (1, 2) and _underlines(bare, paragraph):
            style = bare[0] + ("+" if len(paragraph) == 2 else "")
            outline.enter(level_of(style), _plain_title(paragraph[-1][1]))
            yield outline.block(paragraph[0][0], offset + len(bare), "heading")
            paragraph.clear()
        elif not paragraph and (asciidoc := _ASCIIDOC.match(bare)):
            outline.enter(level_of("=-~^+"[len(asciidoc[1]) - 1]), _plain_title(asciidoc[2]))
            yield outline.block(offset, offset + len(bare), "heading")
        elif not paragraph and below.startswith(("   ", "\t")) and below.strip() and _MAN_SECTION.match(bare):
            outline.enter(level_of("NAME"), clean_line(bare))
            yield outline.block(offset, offset + len(bare), "heading")
        else:
            paragraph.append((offset, line))
        offset += len(line) + 1
    yield from flush()


_ROLE = re.compile(r":[\w:+-]{1,40}:`~?([^`<]*)(?: <[^`]*>)?`|``?([^`]+)``?")


def _plain_title(line: str) -> str:
    """A title in plain text without the marks of reStructuredText and AsciiDoc."""
    return clean_line(_ROLE.sub(lambda match: match[1] or match[2] or "", line), limit=_LONGEST_HEADING)


def _underlines(line: str, paragraph: list[tuple[int, str]]) -> bool:
    """Whether `line` makes a heading of the paragraph above: one line, or one with the same line on top."""
    if not _UNDERLINE.match(line):
        return False
    title = paragraph[-1][1].rstrip()
    if len(paragraph) == 2:
        return paragraph[0][1].rstrip() == line and bool(title.strip()) and len(title) <= len(line) + 2
    return title[:1].strip() != "" and abs(len(title) - len(line)) <= 2 and not _UNDERLINE.match(title)


_NUMBERED = re.compile(r"(\d{1,2}(?:\.\d{1,2}){1,5})\.?[ \t]+([^\W\d_].{1,100})$")
_CHAPTER = re.compile(
    r"(?:chapter|part|appendix|kapitel|anhang)[ \t]+[\w.]{1,8}(?:[ \t:.].{0,80})?$", re.IGNORECASE
)
_BULLET = re.compile(r"[ \t]*+[•‣◦▪■●–][ \t]")


_PAGE_CHAPTER = re.compile(
    r"(?:CHAPTER|APPENDIX|PART)\n[ \t]*[A-Z0-9]{1,12}[ \t]*\n(?P<title>[^\n]{2,120})(?=\n|\Z)"
)
"""As LaTeX sets it: the word, its number and the title on lines of their own."""


def _scan_pages(text: str) -> Iterator[_Block]:
    """Text of pages: numbered headings ("4.2 Title"); paragraphs end with a short line and cross pages."""
    outline = _Outline()
    start, end, widest = -1, 0, 0
    chapter_end = 0
    for offset, line in _lines(text):
        if offset < chapter_end:
            continue
        bare = line.strip()
        last = offset + len(line.rstrip())
        if bare in ("CHAPTER", "APPENDIX", "PART") and (chapter := _PAGE_CHAPTER.match(text, offset)):
            if start >= 0:
                yield outline.block(start, end, "prose")
            start, chapter_end = -1, chapter.end()
            outline.enter(1, clean_line(chapter["title"], limit=_LONGEST_HEADING))
            yield outline.block(
                offset, chapter_end - len(chapter["title"]) + len(chapter["title"].rstrip()), "heading"
            )
            continue
        heading = _NUMBERED.match(bare)
        if heading and bare[-1] not in ".,;:" and "…" not in bare and not bare[-1].isdigit():
            if start >= 0:
                yield outline.block(start, end, "prose")
            start = -1
            outline.enter(heading[1].count(".") + 1, clean_line(bare, limit=_LONGEST_HEADING))
            yield outline.block(offset, last, "heading")
        elif _CHAPTER.match(bare) and bare[-1] not in ".,;":
            if start >= 0:
                yield outline.block(start, end, "prose")
            start = -1
            outline.enter(1, clean_line(bare, limit=_LONGEST_HEADING))
            yield outline.block(offset, last, "heading")
        elif not bare or _BULLET.match(line):
            if start >= 0:
                yield outline.block(start, end, "prose")
            start, end, widest = (offset if bare else -1), last, len(line)
        else:
            if start < 0:
                start, widest = offset, 0
            end, widest = last, max(widest, len(line))
            if bare[-1] in ".!?:" and len(line) < 0.75 * widest:
                yield outline.block(start, end, "prose")
                start = -1
    if start >= 0:
        yield outline.block(start, end, "prose")


class _Definition(NamedTuple):
    """Where a function or a class begins (line from 0) and the names around it, its own last."""

    line: int
    path: Path


def _scan_code(text: str, definitions: Iterable[_Definition]) -> Iterator[_Block]:
    """Source code: a section for each definition, its comments above included; blocks between blank lines."""
    lines = text.split("\n")
    starts: dict[int, Path] = {}
    for line, path in definitions:
        while line > 0 and _COMMENT.match(lines[line - 1]) and line - 1 not in starts:
            line -= 1
        starts[line] = path
    outline = _Outline()
    start, end, offset = -1, 0, 0
    for number, line_text in enumerate(lines):
        if number in starts or not line_text.strip():
            if start >= 0:
                yield outline.block(start, end, "lines")
                start = -1
            if number in starts:
                outline.section += 1
                outline.path = starts[number]
        if line_text.strip():
            if start < 0:
                start = offset
            end = offset + len(line_text.rstrip())
        offset += len(line_text) + 1
    if start >= 0:
        yield outline.block(start, end, "lines")


_COMMENT = re.compile(r"[ \t]*+(?:#|//|/\*|\*|--|;;|@\w|%)")


def _python_definitions(text: str) -> list[_Definition]:
    if len(text) > _LARGEST_PARSED:
        return _definitions(text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _definitions(text)
    found: list[_Definition] = []
    _walk(tree.body, (), found)
    return found


def _walk(body: list[ast.stmt], path: Path, found: list[_Definition]) -> None:
    """Collect classes, functions and methods (no closures), and where code of the parent goes on."""
    after_definition = False
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            line = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1
            word = "class" if isinstance(node, ast.ClassDef) else "def"
            own = (*path, f"{word} {node.name}")
            found.append(_Definition(line, own))
            if isinstance(node, ast.ClassDef) and len(path) < 4:
                _walk(node.body, own, found)
            after_definition = True
        elif after_definition:
            found.append(_Definition(node.lineno - 1, path))
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


def _definitions(text: str) -> list[_Definition]:
    """Definitions in any language, by the look of lines at the left margin or just inside a class."""
    found: list[_Definition] = []
    outer = ""
    for number, line in enumerate(text.split("\n")):
        if not line.strip() or len(line) > 400:
            continue
        match = _DEFINITION.match(line)
        if match and not match["indent"]:
            outer = f"{' '.join(match['word'].split())} {match['name'].strip()}"
            found.append(_Definition(number, (outer,)))
        elif match and outer.startswith(("class", "impl", "module", "interface", "trait", "object")):
            if match["word"].lower() in ("def", "fn", "fun", "func", "function", "sub", "class"):
                found.append(_Definition(number, (outer, f"{match['word']} {match['name']}")))
        elif line[0] not in " \t}{)#/*" and not match:
            function = _SHELL_FUNCTION.match(line) or _C_FUNCTION.match(line)
            if function:
                outer = function["name"]
                found.append(_Definition(number, (outer,)))
    return found


def _scan_rows(text: str, separator: str) -> Iterator[_Block]:
    """Rows of a table, whole even with line breaks in quoted fields; the heading names the columns."""
    path: Path = ()
    start, end, open_quotes, height = -1, 0, False, 0
    for offset, line in _lines(text):
        if start < 0:
            if not line.strip():
                continue
            if not path and offset + len(line) < 20_000 and not text[:offset].strip():
                path = _columns(line, separator)
            start, open_quotes, height = offset, False, 0
        if line.strip():
            end = offset + len(line.rstrip())
        open_quotes ^= line.count('"') % 2 == 1
        height += 1
        if not open_quotes or height > 50:
            yield _Block(start, end, "lines", path, 0)
            start = -1
    if start >= 0:
        yield _Block(start, end, "lines", path, 0)


def _columns(line: str, separator: str) -> Path:
    counted = max((separator, ";", "\t", "|"), key=lambda mark: (line.count(mark), mark == separator))
    names = [name.strip().strip("\"'") for name in line.split(counted)]
    if any(not name or name.replace(".", "").replace("-", "").isdigit() for name in names[:20]):
        return ()
    return (clean_line(", ".join(names), limit=_LONGEST_HEADING),)


def _scan_lines(text: str) -> Iterator[_Block]:
    """Data without prose: blocks between blank lines."""
    start, end = -1, 0
    for offset, line in _lines(text):
        if line.strip():
            start, end = (offset if start < 0 else start), offset + len(line.rstrip())
        elif start >= 0:
            yield _Block(start, end, "lines", (), 0)
            start = -1
    if start >= 0:
        yield _Block(start, end, "lines", (), 0)


# --- step 2: pieces -------------------------------------------------------------------------------------


def _cut(text: str, blocks: Iterator[_Block], target: int) -> Iterator[_Piece]:
    """Pieces of at most `target` tokens: blocks as they are if they fit, else cut as gently as possible."""
    for block in blocks:
        tokens = _tokens(text[block.first : block.last])
        if tokens <= target:
            yield _Piece(block.first, block.last, tokens, block.kind, block.path, block.section, True)
            continue
        parts = _sentences(text, block) if block.kind == "prose" else _rows(text, block.first, block.last)
        for first, last in parts:
            tokens = _tokens(text[first:last])
            if tokens <= target:
                yield _Piece(first, last, tokens, block.kind, block.path, block.section, True)
                continue
            for line_first, line_last in _rows(text, first, last):
                for cut_first, cut_last, cut_tokens in _words(text, line_first, line_last, target):
                    yield _Piece(
                        cut_first, cut_last, cut_tokens, block.kind, block.path, block.section, False
                    )


def _sentences(text: str, block: _Block) -> Iterator[tuple[int, int]]:
    for first, last in sentence_spans(text[block.first : block.last]):
        yield block.first + first, block.first + last


def _rows(text: str, first: int, last: int) -> Iterator[tuple[int, int]]:
    """The lines between two offsets, without white space at their ends."""
    for offset, line in _lines(text[first:last]):
        if line.strip():
            yield first + offset, first + offset + len(line.rstrip())


def _words(text: str, first: int, last: int, target: int) -> Iterator[tuple[int, int, float]]:
    """Stretches of at most `target` tokens, cut at spaces, else behind punctuation, else anywhere."""
    while first < last:
        end = min(last, first + 4 * target)
        while (tokens := _tokens(text[first:end])) > target and end - first > 1:
            end = first + max(1, int((end - first) * min(0.95, target / tokens)))
        if end < last:
            end = _gentle_end(text, first, end)
        piece = text[first:end]
        stripped = piece.strip()
        if stripped:
            begin = first + len(piece) - len(piece.lstrip())
            yield begin, begin + len(stripped), _tokens(stripped)
        first = end


_SPACES = re.compile(r"\s")
_STOPS = re.compile(r"[,;:.!?)\]}>。、，；]")


def _gentle_end(text: str, first: int, end: int) -> int:
    """The last good place to cut in the second half of a stretch, or `end`."""
    half = first + (end - first) // 2
    if text[end].isspace():
        return end
    for pattern in (_SPACES, _STOPS):
        places = [match.end() for match in pattern.finditer(text, half, end)]
        if places:
            return places[-1]
    return end


# --- step 3: chunks -------------------------------------------------------------------------------------


class _Packed(NamedTuple):
    first: int
    last: int
    path: Path


class _Open:
    """The chunk being filled. `own_first` is where it begins without what it repeats from the one before."""

    def __init__(self, piece: _Piece, first: int, tokens: float) -> None:
        self.first = first
        self.own_first = piece.first
        self.last = piece.last
        self.tokens = tokens
        self.path = piece.path
        self.only_headings = piece.kind == "heading"

    def add(self, piece: _Piece, tokens: float, *, leads: bool) -> None:
        """Take up a piece. `leads`: what is here already only leads up to it, so that its headings count."""
        if piece.path != self.path:
            is_below = piece.path[: len(self.path)] == self.path
            self.path = piece.path if leads and is_below else _common(self.path, piece.path)
        self.last = piece.last
        self.tokens += tokens
        self.only_headings = self.only_headings and piece.kind == "heading"

    def packed(self) -> _Packed:
        return _Packed(self.first, self.last, self.path)


def _pack(
    text: str, pieces: list[_Piece], target: int, overlap_tokens: int, media_type: str
) -> Iterator[_Packed]:
    """Join pieces into chunks near the target; small sections go with their sisters or their parent."""
    limit = _LIMIT * target
    is_code = structure_of(media_type) in ("python", "code")
    rest = _rest_of_section(pieces)
    chunk: _Open | None = None
    for index, piece in enumerate(pieces):
        if chunk is None:
            chunk = _Open(piece, piece.first, piece.tokens)
            continue
        tokens = piece.tokens + (piece.first - chunk.last) / 4
        same_section = pieces[index - 1].section == piece.section
        if same_section:
            fits = chunk.tokens + tokens <= target or chunk.tokens + rest[index] <= limit
        else:
            fits = _joins(chunk, pieces, index, rest[index], target, is_code=is_code)
        small = chunk.only_headings or chunk.tokens < _TINY * target
        related = same_section or len(_common(chunk.path, piece.path)) >= len(chunk.path)
        if (fits or (small and related)) and chunk.tokens + tokens <= limit:
            chunk.add(piece, tokens, leads=small)
            continue
        yield chunk.packed()
        first = (
            _overlap(text, pieces, index, overlap_tokens, chunk.own_first) if same_section else piece.first
        )
        repeated = _tokens(text[first : piece.first])
        if repeated + piece.tokens > limit:
            first, repeated = piece.first, 0.0
        chunk = _Open(piece, first, repeated + piece.tokens)
    if chunk is not None:
        yield chunk.packed()


def _rest_of_section(pieces: list[_Piece]) -> list[float]:
    """For each piece: tokens from it to the end of its section."""
    rest = [0.0] * len(pieces)
    for index in range(len(pieces) - 1, -1, -1):
        piece = pieces[index]
        rest[index] = piece.tokens
        if index + 1 < len(pieces) and pieces[index + 1].section == piece.section:
            rest[index] += rest[index + 1] + (pieces[index + 1].first - piece.last) / 4
    return rest


def _joins(
    chunk: _Open, pieces: list[_Piece], index: int, section: float, target: int, *, is_code: bool
) -> bool:
    """Whether the section from `index` on goes whole into the chunk: it fits, and is a sister or a child."""
    piece = pieces[index]
    common = len(_common(chunk.path, piece.path))
    if common < max(len(chunk.path), len(piece.path)) - 1:
        return False
    following = pieces[index + 1] if index + 1 < len(pieces) else None
    opens_children = (
        piece.kind == "heading"
        and following is not None
        and following.section != piece.section
        and len(following.path) > len(piece.path)
    )
    if opens_children:
        return False  # a heading alone stays with what stands under it
    room = target if common or is_code else target / 2
    return chunk.tokens + section <= room


def _common(one: Path, other: Path) -> Path:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return one[:length]


def _overlap(text: str, pieces: list[_Piece], index: int, most_tokens: int, earliest: int) -> int:
    """Where the chunk of `pieces[index]` begins when it repeats whole sentences of the one before."""
    first = pieces[index].first
    left = float(most_tokens)
    for piece in reversed(pieces[max(0, index - 20) : index]):
        if piece.kind != "prose" or not piece.whole or piece.section != pieces[index].section:
            break
        for start, _ in reversed(sentence_spans(text[piece.first : piece.last])):
            begin = piece.first + start
            left -= _tokens(text[begin:first])
            if left < 0 or begin <= earliest:
                return first
            first = begin
    return first


def _drafts(document: ExtractedText, spans: Iterable[_Packed]) -> Iterator[ChunkDraft]:
    text, pages = document.text, document.page_starts
    position, line = 0, 1
    for first, last, path in spans:
        line += text.count("\n", position, first)
        position = first
        span = Span(
            char_first=first,
            char_last=last,
            line_first=line,
            line_last=line + text.count("\n", first, last),
            page_first=max(1, bisect_right(pages, first)) if pages else None,
            page_last=max(1, bisect_right(pages, last - 1)) if pages else None,
        )
        yield ChunkDraft(text[first:last], " > ".join(path), span)
