"""A web page's own content as Markdown: its main part is cut out of the HTML first. Runs in the extraction process."""

from __future__ import annotations

import html
import re

from ragchat.ingest.blocks import first_heading
from ragchat.ingest.conversion import convert
from ragchat.ingest.markdown import tidy
from ragchat.ingest.wire import LONGEST_TITLE, Extracted
from ragchat.text import clean_line

_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)((?:[^<>\"']++|\"[^\"]*+\"|'[^']*+')*+)>")
_MAIN = re.compile(r"<(?:main\b|[a-z]+\b[^<>]*\brole\s*=\s*[\"']?main\b)[^<>]*>", re.IGNORECASE)
_TITLE = re.compile(r"<title\b[^<>]*>([^<>]{0,1000})", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"\b(class|role|id|aria-hidden)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE
)
_RAW = frozenset(["script", "style", "noscript", "template", "svg", "canvas", "iframe", "object"])
_FURNITURE_TAGS = frozenset(["nav", "head", "form", "button", "select", "dialog"])
_FURNITURE_NAMES = frozenset(
    """
    headerlink permalink viewcode-link viewcode-back heading-anchor anchor-link anchorjs-link edit-link
    edit-this-page related sphinxsidebar sphinxsidebarwrapper breadcrumb breadcrumbs navheader navfooter
    navbar nav-links navigation sidebar toc toc-wrapper table-of-contents skip-link sr-only
    mw-editsection mw-jump-link noprint catlinks cookie-banner cookie-consent footer-text site-footer
    site-header page-footer prev-next-area wy-nav-side rst-footer-buttons bd-sidebar bd-header
    """.split()  # noqa: SIM905
)
_FURNITURE_ROLES = frozenset(["navigation", "banner", "contentinfo", "search", "menu", "menubar"])
# Marks within a line: their text stays, without stars and link targets in it.
_INLINE_TAGS = frozenset(
    """
    a em strong i b u span font img small big cite dfn var abbr acronym mark wbr label
    """.split()  # noqa: SIM905
)
_SIGNATURES = re.compile(r"\bclass\s*=\s*[\"']?(?:py|c|cpp|js|std|rst|go|php|rb)\b")
_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905


def extract_html(page: str) -> Extracted:
    """The page's own content as Markdown, without navigation, scripts, permalinks and link targets."""
    title = _TITLE.search(page[:100_000])
    name = clean_line(html.unescape(title[1]), limit=LONGEST_TITLE) if title else ""
    content = tidy(convert(_main_content(page).encode("utf-8", "replace"), "text/html")["content"])
    return Extracted(content, "text/html", name or first_heading(content, "text/markdown"))


def _main_content(page: str) -> str:
    """The HTML of the main part, cut out by its tags in one pass."""
    page = _without_comments(page)
    main = _MAIN.search(page)
    start = main.start() if main else 0
    kept: list[str] = []
    position = start
    open_main = 0
    main_tag = main[0][1:].split(None, 1)[0].rstrip(">").lower() if main else ""
    skipping, depth = "", 0
    signatures: list[str] = []  # what each open <dt> became
    lists: list[bool] = []  # for each open <dl>, whether it holds signatures
    for tag in _TAG.finditer(page, start):
        closing, name = bool(tag[1]), tag[2].lower()
        if skipping:
            if name == skipping and name not in _RAW:
                depth += -1 if closing else 1
            if (depth == 0 or name in _RAW) and name == skipping and closing:
                skipping, position = "", tag.end()
            continue
        if name == main_tag:
            open_main += -1 if closing else 1
            if open_main == 0:
                kept.append(page[position : tag.start()])
                position = len(page)
                break
        if not closing and (name in _RAW or _is_furniture(name, tag[3])) and name not in _VOID:
            kept.append(page[position : tag.start()])
            position = tag.end()
            if not tag[3].endswith("/"):
                skipping, depth = name, 1
        elif name in _INLINE_TAGS:
            kept.append(page[position : tag.start()])
            position = tag.end()
        elif name == "dl":
            if closing:
                del lists[-1:]
            else:
                lists.append(bool(_SIGNATURES.search(tag[3])))
        elif name == "dt":
            # The signature of a function or a class heads what is said of it, methods below their class.
            if closing:
                heading = signatures.pop() if signatures else ""
            else:
                heading = f"h{min(6, 4 + sum(lists))}" if lists and lists[-1] and "sig" in tag[3] else ""
                signatures.append(heading)
            if heading:
                kept.append(page[position : tag.start()] + f"<{tag[1]}{heading}>")
                position = tag.end()
    if not skipping:
        kept.append(page[position:])
    return "".join(kept)


def _is_furniture(name: str, attributes: str) -> bool:
    if name in _FURNITURE_TAGS:
        return True
    if name in ("body", "html", "main", "article") or "=" not in attributes:
        return False
    for match in _ATTRIBUTE.finditer(attributes):
        key, value = match[1].lower(), (match[2] or match[3] or match[4] or "").lower()
        if key in ("class", "id") and not _FURNITURE_NAMES.isdisjoint(value.split()):
            return True
        if (key == "role" and value in _FURNITURE_ROLES) or (key == "aria-hidden" and value == "true"):
            return True
    return False


def _without_comments(page: str) -> str:
    kept = []
    position = 0
    while (start := page.find("<!--", position)) >= 0 and (end := page.find("-->", start + 4)) >= 0:
        kept.append(page[position:start])
        position = end + 3
    return "".join([*kept, page[position:]])
