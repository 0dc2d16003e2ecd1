"""Chats as one HTML file that needs nothing else: no script, nothing fetched, light and dark as the reader's system is.

What people, models and documents wrote is escaped; answers are Markdown with HTML switched off. Links lead only to the web, and
tell it nothing of where they stood; pictures are not shown, for they would have to be fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from ragchat.session.chat_lines import (
    about,
    check_lines,
    heading,
    quote_lines,
    quote_place,
    remarks,
    said_text,
    source_lines,
)
from ragchat.session.marked import DO_NOT_SAY, SIGNS, Style
from ragchat.session.quotation import FROM_DOCUMENTS
from ragchat.text import clean, clean_line, counted
from ragchat.types import PortableChat, PortableMessage, Quote, Verdict

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_STYLE = """
:root {
  color-scheme: light dark;
  --text: #1c1c1e; --paper: #fdfdfc; --quiet: #62626a; --line: #d9d9de; --shade: #f1f1f3; --mark: #1a5fb4;
}
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e7; --paper: #18181b; --quiet: #a1a1aa; --line: #3f3f46; --shade: #27272a; --mark: #8ab4f8; }
}
body {
  margin: 0 auto; max-width: 46rem; padding: 1.5rem;
  background: var(--paper); color: var(--text); font: 1rem/1.6 system-ui, sans-serif;
}
h1 { font-size: 1.5rem; line-height: 1.3; }
h2 { font-size: 1rem; margin: 0; color: var(--quiet); }
article + article { border-top: 1px solid var(--line); margin-top: 3rem; padding-top: 1rem; }
section { margin: 1.5rem 0; }
section.question { background: var(--shade); border-radius: .5rem; padding: .75rem 1rem; }
.text { overflow-wrap: anywhere; }
.plain { white-space: pre-wrap; }
.quiet { color: var(--quiet); font-size: .9rem; }
pre { background: var(--shade); border-radius: .4rem; overflow-x: auto; padding: .75rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25rem .6rem; }
.quotes blockquote { border-left-color: var(--mark); color: var(--text); margin: .5rem 0; }
.quotes footer { color: var(--quiet); font-size: .9rem; overflow-wrap: anywhere; }
.mark { font-weight: bold; white-space: nowrap; }
blockquote { border-left: 3px solid var(--line); margin-left: 0; padding-left: 1rem; color: var(--quiet); }
a { color: var(--mark); }
ul.sources { color: var(--quiet); font-size: .9rem; list-style: none; padding-left: 0; overflow-wrap: anywhere; }
@media print { body { max-width: none; } }
"""


_PLACES = {Verdict.SUPPORTED: "\U0010ffe0", Verdict.PARTLY: "\U0010ffe1", Verdict.NOT_FOUND: "\U0010ffe2"}
"""What is in the place of a mark until the Markdown is HTML: markup cannot go through it."""
_CHECKED = Style(_PLACES, struck="~~")
_MARKS = {
    ord(
        place
    ): f'<span class="mark" role="img" title="{verdict}" aria-label="{verdict}">{SIGNS[verdict]}</span>'
    for verdict, place in _PLACES.items()
}
_FORGED = dict.fromkeys(map(ord, _PLACES.values()), "\ufffd")
_NO_MARKS = dict.fromkeys(map(ord, _PLACES.values()))
"""Places that no text has, as inside of code or an address, have no mark."""


def as_html(chats: Sequence[PortableChat]) -> str:
    """One page; several chats begin with a table of contents."""
    title = clean_line(chats[0].title) if len(chats) == 1 else counted(len(chats), "chat")
    markdown = _markdown()
    body = [
        *_contents(chats),
        *(part for n, chat in enumerate(chats, 1) for part in _chat(chat, n, markdown)),
    ]
    return "\n".join(
        [
            "<!doctype html>",
            "<html>",
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>\n",
        ]
    )


def _contents(chats: Sequence[PortableChat]) -> Iterator[str]:
    if len(chats) > 1:
        yield f"<nav><h1>{counted(len(chats), 'chat')}</h1><ol>"
        for n, chat in enumerate(chats, 1):
            yield f'<li><a href="#chat-{n}" dir="auto">{escape(clean_line(chat.title))}</a></li>'
        yield "</ol></nav>"


def _chat(chat: PortableChat, n: int, markdown: MarkdownIt) -> Iterator[str]:
    yield f'<article id="chat-{n}">'
    yield f'<h1 dir="auto">{escape(clean_line(chat.title))}</h1>'
    yield f'<p class="quiet">{escape(about(chat))}</p>'
    for message in chat.path:
        yield from _message(message, markdown)
    yield "</article>"


def _message(message: PortableMessage, markdown: MarkdownIt) -> Iterator[str]:
    answer = message.role == "assistant"
    yield f'<section class="{"answer" if answer else "question"}">'
    yield f"<h2>{escape(heading(message))}</h2>"
    if message.reasoning:
        yield "<details><summary>Reasoning</summary>"
        yield f'<div class="text plain quiet" dir="auto">{escape(clean(message.reasoning))}</div></details>'
    yield from _quotes(message)
    if not message.check.says:
        yield f'<p class="quiet">{escape(DO_NOT_SAY)}</p>'
    yield _answer(said_text(_neutral(message), _CHECKED), markdown) if answer else _plain(message.text)
    yield from (f'<p class="quiet">{escape(remark)}</p>' for remark in remarks(message))
    yield from _check(message)
    if message.correction:
        correction = message.correction.translate(_NO_MARKS)
        yield f'<p class="quiet">Corrected:</p>\n{_answer(correction, markdown)}'
    if sources := source_lines(message):
        yield '<ul class="sources">'
        yield from (f'<li dir="auto">{escape(line)}</li>' for line in sources)
        yield "</ul>"
    yield "</section>"


def _neutral(message: PortableMessage) -> PortableMessage:
    """An answer without characters that would become marks, as long as it was."""
    content, notice = message.content.translate(_FORGED), message.notice.translate(_FORGED)
    return replace(message, content=content, notice=notice)


def _quotes(message: PortableMessage) -> Iterator[str]:
    if message.quotes:
        yield f'<div class="quotes"><p class="quiet">{escape(FROM_DOCUMENTS)}</p>'
        yield from map(_quote, message.quotes)
        yield "</div>"


def _quote(quote: Quote) -> str:
    words = escape("\n".join(quote_lines(quote)))
    where = escape(quote_place(quote))
    return f'<blockquote><div class="text plain" dir="auto">{words}</div><footer dir="auto">{where}</footer></blockquote>'


def _check(message: PortableMessage) -> Iterator[str]:
    lines = check_lines(message.check)
    if lines:
        yield f'<p class="quiet">{escape(lines[0])}</p>'
    if lines[1:]:
        yield '<ul class="sources">'
        yield from (f'<li dir="auto">{escape(line)}</li>' for line in lines[1:])
        yield "</ul>"


def _plain(text: str) -> str:
    return f'<div class="text plain" dir="auto">{escape(clean(text).strip())}</div>'


def _answer(text: str, markdown: MarkdownIt) -> str:
    return f'<div class="text" dir="auto">{markdown.render(clean(text)).translate(_NO_MARKS)}</div>'


def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML

    def link_open(self: RendererHTML, tokens: Any, at: int, options: Any, env: Any) -> str:
        tokens[at].attrSet("rel", "noreferrer noopener nofollow")
        return self.renderToken(tokens, at, options, env)

    def text(self: RendererHTML, tokens: Any, at: int, options: Any, env: Any) -> str:
        return escape(tokens[at].content).translate(_MARKS)

    markdown = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
    markdown.validateLink = _leads_to_the_web  # type: ignore[method-assign]
    markdown.add_render_rule("link_open", link_open)
    markdown.add_render_rule("text", text)
    return markdown


def _leads_to_the_web(url: str) -> bool:
    return url.lower().startswith(("https://", "http://", "mailto:"))
