"""Text from outside (documents, model output, file names, errors) as the screen may show it: cleaned, never parsed.

`Content(text)` is plain: square brackets stay square brackets. Nothing here touches a widget.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from rich.cells import cell_len
from textual.content import Content

from ragchat.text import clean, clean_line
from ragchat.tui.markdown_marks import is_markdown, unmarked
from ragchat.types import Citation, Hit

CITATION_MARK = re.compile(r"\[\d{1,3}\]")


def shown(text: str, style: str = "") -> Content:
    """Foreign text as it stands, in several lines."""
    return Content.styled(clean(text), style) if style else Content(clean(text))


def shown_line(text: str, style: str = "", *, limit: int = 0) -> Content:
    """Foreign text on one line, cut to `limit` characters (0: never cut)."""
    line = clean_line(text, limit=limit)
    return Content.styled(line, style) if style else Content(line)


def file_name(path: str) -> str:
    """The last part of a path, cleaned."""
    return clean_line(PurePath(path).name or path) or "(no name)"


def cut_front(line: str, cells: int) -> str:
    """The end of a line, where paths differ, in at most so many cells."""
    if cell_len(line) <= cells:
        return line
    kept = line
    while kept and cell_len(kept) > cells - 1:
        kept = kept[max(1, cell_len(kept) - cells + 1) // 2 or 1 :]
    return f"…{kept}"


def locate(text: str, passage: str, *, near: int = 0) -> tuple[int, int] | None:
    """Where `passage` is in `text`, white space counted as equal; the occurrence nearest to `near`, or None."""
    words = passage.split()
    if not words:
        return None
    if text.startswith(passage, near):
        return near, near + len(passage)
    pattern = re.compile(r"\s+".join(map(re.escape, words)))
    found = min(pattern.finditer(text), key=lambda match: abs(match.start() - near), default=None)
    return found.span() if found else None


def evidence_in(text: str, citation: Citation) -> tuple[int, int] | None:
    """Where the sentence stands that the citation rests on: its quote, or what is relevant to the question most."""
    for sentence in (citation.quote, citation.hit.evidence):
        if sentence and len(sentence) < len(citation.hit.text) and (found := locate(text, clean(sentence))):
            return found
    return None


def heading_line(hit: Hit) -> str:
    """What a passage is under; empty where its text begins with the same words."""
    heading = clean_line(hit.heading or hit.title, limit=120)
    first = clean_line(hit.text.lstrip().partition("\n")[0].lstrip("# "), limit=120)
    return "" if heading == first else heading


def passage_content(citation: Citation, *, limit: int = 0) -> Content:
    """The passage with its evidence marked; with a limit only that many characters around the evidence."""
    text = clean(citation.hit.text)
    evidence = evidence_in(text, citation)
    first, last = 0, len(text)
    if limit and len(text) > limit:
        start = evidence[0] if evidence else 0
        first = 0 if start < limit // 2 else text.rfind(" ", 0, max(1, start - limit // 6)) + 1
        last = min(len(text), first + limit)
    content = Content(text[first:last])
    if evidence and evidence[1] > first and evidence[0] < last:
        content = content.stylize(
            "$text-warning bold", max(0, evidence[0] - first), min(last, evidence[1]) - first
        )
    if is_markdown(citation.hit.path):
        content = unmarked(content)
    before, after = Content("… " if first else ""), Content(" …" if last < len(text) else "")
    return Content.assemble(before, content, after)


def evidence_line(citation: Citation, width: int) -> int:
    """The line on which the evidence begins when the whole passage is wrapped at `width` cells; 0 where there is none."""
    text = clean(citation.hit.text)
    evidence = evidence_in(text, citation)
    if not evidence or not evidence[0]:
        return 0
    above = Content(text[: evidence[0]] + "x")
    if is_markdown(citation.hit.path):
        above = unmarked(above)
    return len(above.wrap(max(1, width))) - 1


def citation_text(citation: Citation) -> str:
    """The passage and where it is from, for the clipboard."""
    hit = citation.hit
    return f"{clean(hit.found_text).strip()}\n\n[{citation.n}] {clean_line(hit.path)}, {hit.place}"
