"""An HTML page as a tree of small objects, by the rules of HTML5, with the line of the file at which each element stands.

Lexbor parses; since it tells no positions, some start tags are given their line as an attribute first.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

_LINE = "file-line"
_LINE_WRITTEN = f' {_LINE}="'
_VOID = frozenset(
    """
    area base basefont bgsound br col embed frame hr img input link meta param source track wbr
    """.split()  # noqa: SIM905
)
_RAW = frozenset("script style textarea title xmp iframe noembed noframes".split())  # noqa: SIM905
_UNCLOSED = frozenset(["title", "textarea"])
"""Without an end tag they would swallow the page."""
_KEEP_LINES = frozenset(["pre", "textarea", "listing"])
"""The parser drops a line end behind their start tags."""
_MARKS = frozenset("a b big code em font i nobr s small strike strong tt u".split())  # noqa: SIM905
"""Where their end tags are missing, the parser opens them again in each paragraph that follows."""
_WITHIN_LINES = _MARKS | frozenset("abbr cite kbd samp span sub sup var".split())  # noqa: SIM905
"""The parser may write these twice, and their line with them; besides, most are passed over."""
_CLOSE_THEMSELVES = _VOID | frozenset(
    """
    html head body p li dt dd tr td th thead tbody tfoot colgroup caption option optgroup rb rt rtc rp
    """.split()  # noqa: SIM905
)
_DEEPEST = 600
_DEEPEST_MARKS = 16
"""Elements in each other; what is nested deeper is read as if its tags were not there."""

_TAG = re.compile(
    r"<(?P<end>/?)(?P<name>[a-zA-Z][^\s/>]*+)(?P<rest>(?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+)>"
)
_ORDINARY = re.compile(
    r"(?:[^<]++|</[a-zA-Z][^>\n]*+>"
    r"|<(?!(?:script|style|textarea|title|xmp|iframe|noembed|noframes|plaintext|pre|html|body)\b)[a-z][a-z0-9]*+(?=[\s>])"
    r"(?:[^>=/\n]++|=\s*+(?:\"[^\"\n]*+\"|'[^'\n]*+')?+|/(?!>))*+>){0,200}+"
)
"""Text, and tags on one line, which pass as they are."""
_TEXT = re.compile(r"[^<]*+")
_MANY_TAGS, _SOME_TAGS = 20_000, 4000
_OFTEN_OPEN = re.compile("</?(?:font|b>|i>|u>|em>|strong|small>|big>|tt>|strike|code>|nobr)")
_COMMENT_END = re.compile(r"--!?>")
_XHTML = re.compile(r"<\?xml\b|<(?:[a-zA-Z]{1,10}:)?html\b[^<>]{0,500}?\bxmlns")
_PREFIX = re.compile(r"<([a-zA-Z]{1,10}):html\b")
_RAW_END = {name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE) for name in _RAW}


_ATTRIBUTE = re.compile(r"([^\s=]++)=\"([^\"]*+)\"")
_LOOKS = (
    r"<(?:b|cite|code|em|i|kbd|samp|small|span|strong|tt|u|var)(?: class=\"(?:(?:(?!toc|nav|fa|ln)[a-z][a-z0-9]{0,2}|pre|xref"
    r"|literal|docutils|notranslate|versionmodified|(?:py|c|std|sig)-[a-z]++|emphasis|type|property|term|option)[ \"])++)?>"
)
_TOKEN = re.compile(
    rf"((?:[^<]++|{_LOOKS}(?:[^<]++|{_LOOKS}[^<]*+</[a-z]++>)*+</[a-z]++>)*+)(?:"
    r"<(script|style|xmp|iframe|noembed|noframes|plaintext)(?=[\s>])((?:[^>\"]++|\"[^\"]*+\")*+)>((?:[^<]++|<(?!/\2))*+)"
    r"|<(/?)([a-zA-Z][^\s>]*+)((?:[^>\"]++|\"[^\"]*+\")*+)>"
    r"|<!--((?:[^-]++|-(?!->))*+)-->|<[^>]*+>)"
)
"""What the parser writes: text, with marks in it that say how it looks; a start tag of raw text with that text; a tag. End tags
are never missing."""
_ANY_TAG = re.compile(r"<[^>]*+>")
_NONE: dict[str, str] = {}
_MARKS_OF_TEXT = frozenset("b big cite code em i kbd samp small span strong tt u var".split())  # noqa: SIM905
_SPEAKING = re.compile(
    r"lang|source|brush|math|katex|mjx|note|reference|toggle|question|accordion|collaps|expand|spoiler|trigger|faq|tab|panel|answer"
    r"|skip|hidden|sr-only|screen|off|icon|bracket|link|anchor|line|num|gutter|edit|copy|view|crumb|nav|toc|menu|share|cookie|foot"
    r"|head|back|\bln|related|side|noprint|mw-|page|banner|mast|blob|perma|social|drawer",
    re.IGNORECASE,
)
"""In the classes of a mark, these say more than how it looks."""


ROLE, KEYED, STYLED, UNSEEN, SPACES, WORD_LIST = 1, 2, 4, 8, 16, 32
"""What the attributes of an element may say, as bits of its `hints`: without the bit no one need ask them."""
_HINTS = (
    ("role=", ROLE),
    ("id=", KEYED),
    ("style=", STYLED),
    ("color=", STYLED),
    ("aria-hidden", UNSEEN),
    ("pagebreak", UNSEEN),
    ("white-space", SPACES),
    ("mso-list:", WORD_LIST),
)
WORDS = 5
"""So many words that follow each other outside of links are taken for prose."""


class Element:
    """An element of the page. `line` is 0 when it is not known, `raw` its attributes as they are written; `names` are its classes
    and its id, in lower case.

    `letters` and `prose` begin as those of the text directly in it. They and what follows `place`, its number among its parent's
    children, are set when the page is judged: see `ragchat.ingest.reading.web.parts`.
    """

    __slots__ = (
        "_attributes",
        "background",
        "children",
        "has_headline",
        "hints",
        "holds_main",
        "inside",
        "is_block",
        "kinds",
        "letters",
        "line",
        "linked",
        "names",
        "parent",
        "place",
        "prose",
        "raw",
        "size",
        "skip",
        "tag",
        "unseen",
    )

    def __init__(self, tag: str, parent: Element | None, line: int = 0) -> None:
        """A new last child of `parent`."""
        self.tag = tag
        self.parent = parent
        self.line = line
        self.children: list[Element | str] = []
        self.raw = ""
        self._attributes: dict[str, str] | None = _NONE
        self.names: tuple[str, ...] = ()
        self.hints = 0
        self.place = 0
        self.skip = ""
        self.kinds = 0
        self.size = 1
        self.unseen = 0
        self.background: tuple[int, int, int] | None = None
        self.is_block = False
        self.has_headline = False
        self.holds_main = False
        self.inside = False
        self.letters = 0
        self.linked = 0
        self.prose = 0
        if parent is not None:
            self.place = len(parent.children)
            parent.children.append(self)

    def add_text(self, text: str) -> None:
        """Text behind its children so far; blanks between words count as letters."""
        self.children.append(text)
        text = text.strip()
        if text:
            size = len(text)
            blanks = text.count(" ")
            self.letters += size
            if blanks >= WORDS - 1 or (size > 12 * (blanks + 1) and not text.isascii()):
                self.prose += size

    @property
    def attributes(self) -> dict[str, str]:
        """Its attributes by name."""
        if self._attributes is None:
            self._attributes = _attributes(self.raw)
        return self._attributes

    @property
    def before(self) -> Element | None:
        """The element in front of it, when nothing but white space is between."""
        siblings = (
            self.parent.children[max(0, self.place - 2) : self.place] if self.parent is not None else []
        )
        for child in reversed(siblings):
            if not isinstance(child, str):
                return child
            if child.strip():
                return None
        return None

    def get(self, name: str) -> str:
        """The value of an attribute, '' when it has none."""
        return self.attributes.get(name, "") if self.raw else ""

    def elements(self) -> Iterator[Element]:
        """Itself and all elements below it, in the order of the page."""
        stack = [self]
        while stack:
            element = stack.pop()
            yield element
            if element.children:
                stack += [child for child in element.children[::-1] if not isinstance(child, str)]


def parse(page: str, *, with_lines: bool = True) -> Element:
    """The tree of a page; its root is no element of the page. Pages in `srcdoc` and `<noframes>` are part of it."""
    return parse_all(page, with_lines=with_lines)[0]


def parse_all(page: str, *, with_lines: bool = True) -> list[Element]:
    """The tree of a page as `parse` makes it: its root and all elements below, in the order of the page."""
    elements = _parse(page, with_lines=with_lines)
    if "<iframe" not in page and "<noframes" not in page:
        return elements
    for element in elements:
        if element.tag in ("iframe", "noframes"):
            _take_up_page(element)
    return list(elements[0].elements())


def _take_up_page(element: Element) -> None:
    inner = element.get("srcdoc") if element.tag == "iframe" else "".join(map(str, element.children))
    page = _parse(inner, with_lines=False)[0] if inner.strip() else Element("#page", None)
    element.children, element.letters, element.prose = page.children, page.letters, page.prose
    for place, child in enumerate(element.children):
        if not isinstance(child, str):
            child.parent, child.place = element, place


def _parse(page: str, *, with_lines: bool) -> list[Element]:
    from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

    source = _Source(page, with_lines=with_lines).prepared()
    # Without events: with them a long <select> takes quadratic time.
    parser = LexborHTMLParser(source.encode("utf-8", "replace"), options=int(LexborDocumentOptions.WO_EVENTS))
    # Reading what the parser writes is three times as fast as asking it for each node.
    return _tree(parser.html or "")


def _tree(written: str) -> list[Element]:
    root = parent = Element("#page", None)
    elements = [root]
    open_tags: list[Element | None] = []  # None: one that has no say, its text is its parent's
    told, silent = _Attributes(), _Silent()
    line = 1
    tokens = _TOKEN.findall(written)
    for text, raw_name, raw_attributes, raw_text, end, name, attributes, comment in (
        _without_templates(tokens) if "<template" in written else tokens
    ):
        if text:
            parent.add_text(_plain(text) if "<" in text or "&" in text else text)
            line += text.count("\n")
        if end:
            if name not in _VOID and open_tags and open_tags.pop():
                parent = parent.parent or root
        elif name in _MARKS_OF_TEXT and silent[attributes]:
            open_tags.append(None)
        elif name or raw_name:
            element = Element(name or raw_name, parent, line)
            elements.append(element)
            if attributes or raw_attributes:
                line = _take_attributes(element, attributes or raw_attributes, told)
            if name not in _VOID:
                open_tags.append(element)
                parent = element
            if raw_text:
                element.add_text(raw_text)
                line += raw_text.count("\n")
        else:
            line += comment.count("\n")
    return elements


_Token = tuple[str, str, str, str, str, str, str, str]


def _without_templates(tokens: list[_Token]) -> Iterator[_Token]:
    """What a template holds is not on the page, but for the shadow tree that a component brings along."""
    depth = 0
    for token in tokens:
        text, *_, end, name, attributes, comment = token
        begins = name == "template" and not end and "shadowrootmode" not in attributes
        if depth:
            # Of what goes, only the lines count.
            yield ("", "", "", "", "", "", "", text + comment)
        elif begins:
            yield (text, "", "", "", "", "", "", "")
        elif name == "template" and not end:
            yield (text, "", "", "", "", "div", attributes, "")
        else:
            yield token
        if begins:
            depth += 1
        elif name == "template" and end and depth:
            depth -= 1


def _plain(text: str) -> str:
    """Text that the parser wrote, without marks in it."""
    if "<" in text:
        text = _ANY_TAG.sub("", text)
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\xa0")
    if plain.count("&") == plain.count("&amp;"):
        return plain.replace("&amp;", "&")
    return html.unescape(text)  # it stood in a script


class _Silent(dict[str, bool]):
    """Whether a mark within a line, by its attributes, has none or only classes that say how it looks."""

    def __missing__(self, raw: str) -> bool:
        says_nothing = not raw or (
            raw.startswith(' class="') and raw.count('"') == 2 and not _SPEAKING.search(raw)
        )
        self[raw] = says_nothing
        return says_nothing


_Told = tuple[dict[str, str] | None, tuple[str, ...], int]


class _Attributes(dict[str, _Told]):
    """By attributes as they are written: the same by name (None: they have no names, and are taken apart when someone asks), the
    names among them, and hints."""

    def __missing__(self, raw: str) -> _Told:
        hints = 0
        for word, hint in _HINTS:
            if word in raw:
                hints |= hint
        told: _Told = (None, (), hints)
        if "class=" in raw or hints & KEYED:
            attributes = _attributes(raw)
            told = (attributes, _names(attributes), hints)
        self[raw] = told
        return told


def _take_attributes(element: Element, raw: str, told: _Attributes) -> int:
    """Give an element its attributes and its line; the line behind its tag."""
    behind = element.line
    if raw.startswith(_LINE_WRITTEN):
        element.line, behind, raw = _line_of(raw)
    elif "\n" in raw:
        behind += raw.count("\n")
    if raw:
        element.raw = raw
        element._attributes, element.names, element.hints = told[raw]
    if element.tag in _KEEP_LINES:
        element.line = behind
    return behind


def _line_of(raw: str) -> tuple[int, int, str]:
    """The lines at which a tag begins and ends, and its other attributes."""
    end = raw.index('"', len(_LINE_WRITTEN))
    first, _, last = raw[len(_LINE_WRITTEN) : end].partition("-")
    known = first.isdecimal() and last.isdecimal() and len(first) < 10 and len(last) < 10
    return int(first) if known else 0, int(last) if known else 0, raw[end + 1 :]


def _attributes(raw: str) -> dict[str, str]:
    attributes = dict(_ATTRIBUTE.findall(raw))
    if "&" in raw:
        attributes = {name: html.unescape(value) for name, value in attributes.items()}
    return attributes


def _names(attributes: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{attributes.get('class', '')} {attributes.get('id', '')}".lower().split())


def _may_be_deep(page: str) -> bool:
    """Whether the page is so large, or leaves so many marks open, that its depth has to be counted."""
    tags = page.count("<")
    if tags <= _SOME_TAGS or tags > _MANY_TAGS:
        return tags > _MANY_TAGS
    marks = Counter(_OFTEN_OPEN.findall(page))
    return any(marks[mark] - marks[f"</{mark[1:]}"] > _DEEPEST_MARKS for mark in marks if mark[1] != "/")


class _Source:
    """The page as it is given to the parser: with lines, with XHTML's short forms written out, not too deep."""

    def __init__(self, page: str, *, with_lines: bool) -> None:
        if "\r" in page:
            page = page.replace("\r\n", "\n").replace("\r", "\n")
        self._is_xhtml = bool(_XHTML.search(page[:3000]))
        prefix = _PREFIX.search(page[:3000]) if self._is_xhtml else None
        if prefix:
            page = re.sub(rf"(</?){prefix[1]}:", r"\1", page)
        self._page = page
        self._passes = _TEXT if _may_be_deep(page) else _ORDINARY
        self._with_lines = with_lines
        self._out: list[str] = []
        self._copied = 0
        self._line = 1
        self._counted = 0
        self._owes_line = False
        self._depths = [0, 0]  # of marks, of others
        self._dropped: dict[str, int] = {}

    def prepared(self) -> str:
        """Linear in the length of the page."""
        position, length = 0, len(self._page)
        while 0 <= position < length:
            passes = _TEXT if self._owes_line else self._passes
            position = passes.match(self._page, position).end()  # type: ignore[union-attr]
            if position < length:
                position = self._at(position)
        self._out.append(self._page[self._copied :])
        return "".join(self._out)

    def _at(self, position: int) -> int:
        """Where to continue behind the "<" at `position`; -1 when the parser drops all that follows."""
        page = self._page
        following = page[position + 1 : position + 2]
        if following == "!":
            return self._declaration(position)
        if not following.isalpha() and following != "/":
            return position + 1
        tag = _TAG.match(page, position)
        if tag is None:
            # A letter begins a tag, and this one never ends.
            return -1 if following.isalpha() and following.isascii() else position + 1
        name = tag["name"].lower()
        if tag["end"]:
            self._end_tag(tag, name)
            return tag.end()
        self._start_tag(tag, name)
        if name in _RAW and not (self._is_xhtml and tag["rest"].endswith("/")):
            return self._behind_raw(name, tag.end())
        return -1 if name == "plaintext" else tag.end()

    def _declaration(self, position: int) -> int:
        page = self._page
        if page.startswith("<!--", position):
            end = _COMMENT_END.search(page, position + 2)
            return end.end() if end else -1
        if self._is_xhtml and page.startswith("<![CDATA[", position):
            end_at = page.find("]]>", position)
            end_at = len(page) if end_at < 0 else end_at
            self._owes_line = self._with_lines
            self._replace(position, end_at + 3, html.escape(page[position + 9 : end_at], quote=False))
            return min(len(page), end_at + 3)
        self._owes_line = self._with_lines
        return position + 2

    def _behind_raw(self, name: str, position: int) -> int:
        end = _RAW_END[name].search(self._page, position)
        if end:
            return end.start()
        if name not in _UNCLOSED:
            return -1
        following = self._page.find("<", position)
        following = len(self._page) if following < 0 else following
        self._replace(following, following, f"</{name}>")
        return following

    def _start_tag(self, tag: re.Match[str], name: str) -> None:
        is_short = self._is_xhtml and name not in _VOID and tag["rest"].endswith("/")
        if name not in _CLOSE_THEMSELVES and not is_short:
            if self._depths[name not in _MARKS] >= (_DEEPEST_MARKS if name in _MARKS else _DEEPEST):
                self._dropped[name] = self._dropped.get(name, 0) + 1
                self._replace(tag.start(), tag.end(), "" if name in _MARKS else "<br>")
                return
            self._depths[name not in _MARKS] += 1
        if self._with_lines:
            if name not in _WITHIN_LINES:
                self._write_line(tag, name)
            else:
                self._owes_line = self._owes_line or "\n" in tag["rest"]
        if is_short:
            self._replace(tag.end() - 2, tag.end(), f"></{tag['name']}>")

    def _write_line(self, tag: re.Match[str], name: str) -> None:
        """Where lines could be lost count of: the parser drops line ends within tags, and the first one in some elements."""
        page = self._page
        self._owes_line = name == "html"
        self._line += page.count("\n", self._counted, tag.start())
        self._counted = tag.start()
        last = self._line + tag["rest"].count("\n")
        if name in _KEEP_LINES and page.startswith("\n", tag.end()):
            last += 1
        self._replace(tag.end("name"), tag.end("name"), f' {_LINE}="{self._line}-{last}"')

    def _end_tag(self, tag: re.Match[str], name: str) -> None:
        self._owes_line = self._owes_line or (self._with_lines and "\n" in tag["rest"])
        if name in _CLOSE_THEMSELVES:
            return
        if self._dropped.get(name):
            self._dropped[name] -= 1
            self._replace(tag.start(), tag.end(), "" if name in _MARKS else "<br>")
        elif self._depths[name not in _MARKS]:
            self._depths[name not in _MARKS] -= 1

    def _replace(self, first: int, last: int, by: str) -> None:
        self._out += (self._page[self._copied : first], by)
        self._copied = last
