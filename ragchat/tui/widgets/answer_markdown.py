"""Markdown that a model wrote. Raw HTML is text, links only ask, `[n]` stands out; nothing in it can act on the app.

Textual's own fence guesses the language of unlabelled code by trying every lexer, and its tables make tooltips out of
unparsed text; both are replaced here.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Markdown, Static
from textual.widgets import _markdown as textual_markdown

from ragchat.tui.foreign import CITATION_MARK
from ragchat.tui.messages import LinksCalled

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_LONGEST_COLOURED = 20_000


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("gfm-like", {"html": False})


class _Paragraph(textual_markdown.MarkdownParagraph):
    def _token_to_content(self, token: Token) -> Content:
        return super()._token_to_content(token).highlight_regex(CITATION_MARK, style="$text-accent bold")


class _Fence(textual_markdown.MarkdownFence):
    @classmethod
    def highlight(cls, code: str, language: str, ansi: bool = False, dark: bool = False) -> Content:
        if len(code) > _LONGEST_COLOURED:
            return Content(code)
        words = language.split()
        return super().highlight(code, words[0] if words else "text", ansi=ansi, dark=dark)


class _TableContent(textual_markdown.MarkdownTableContent):
    def compose(self) -> ComposeResult:
        for header in self.headers:
            yield textual_markdown.MarkdownTableCellContents(header, classes="header")
        for number, row in enumerate(self.rows, 1):
            for cell in row:
                yield textual_markdown.MarkdownTableCellContents(cell, classes=f"row{number} cell")
            self.last_row = number

    async def _update_rows(self, updated_rows: list[list[Content]]) -> None:
        self.styles.grid_size_columns = len(self.headers)
        await self.query_children(f".cell.row{self.last_row}").remove()
        cells: list[Static] = []
        for number, row in enumerate(updated_rows, self.last_row):
            cells += [
                textual_markdown.MarkdownTableCellContents(cell, classes=f"row{number} cell") for cell in row
            ]
            self.last_row = number
        await self.mount_all(cells)


class _Table(textual_markdown.MarkdownTable):
    DEFAULT_CSS = "_Table { width: 1fr; margin-bottom: 1; }"

    def compose(self) -> ComposeResult:
        headers, rows = self._get_headers_and_rows()
        self._headers, self._rows = headers, rows
        yield _TableContent(headers, rows)


class AnswerMarkdown(Markdown):
    """Markdown with the safe blocks. A link that is pressed becomes LinksCalled."""

    BLOCKS = {  # noqa: RUF012 - annotated without ClassVar in the base class
        **Markdown.BLOCKS,
        "paragraph_open": _Paragraph,
        "fence": _Fence,
        "code_block": _Fence,
        "table_open": _Table,
    }

    def __init__(self, markdown: str | None = None) -> None:
        super().__init__(markdown, parser_factory=_parser, open_links=False)

    def on_markdown_link_clicked(self, event: Markdown.LinkClicked) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(LinksCalled([event.href]))

    @property
    def links(self) -> list[str]:
        """The addresses of all links and pictures, each once."""
        inline = (child for token in _parser().parse(self.source) for child in token.children or ())
        hrefs = (str(child.attrs.get("href") or child.attrs.get("src") or "") for child in inline)
        return list(dict.fromkeys(href for href in hrefs if href))
