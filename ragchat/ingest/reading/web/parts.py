"""What of a page a user came to read: its own content, told from its furniture and from what no one can see.

Every rule can be told in a sentence, and each looks at the page alone. Runs in the reading process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ragchat.ingest.reading.web.tree import KEYED, ROLE, STYLED, UNSEEN, WORDS, Element

SILENT, HIDDEN, DELETED, CHROME, NAMED = "silent", "hidden", "deleted", "chrome", "named"
"""Why an element is not read: it has no text of its own to show; no one sees it; it is struck out; it belongs to the site
(menus, header, footer); it has the name of such a thing and the shape, or stands outside the main part."""

_SILENT_TAGS = frozenset(
    """
    script style head title meta link template noembed base param source track audio video rp
    """.split()  # noqa: SIM905
)
_DELETED_TAGS = frozenset(["del", "s", "strike"])
_HEAD_TAGS = frozenset(["title", "meta", "script", "style", "link"])
_CHROME_ROLES = frozenset(["navigation", "search", "menu", "menubar"])
_SITE_ROLES = frozenset(["banner", "contentinfo"])
_SECTIONING = frozenset(
    ["article", "main", "section", "aside", "blockquote", "details", "dialog", "figure", "td"]
)
# Marks within a line that nobody reads.
_SILENT_NAMES = frozenset(
    """
    viewcode-link viewcode-back edit-link edit-this-page mw-editsection mw-jump-link skip-link skip-to-content skiplink
    skip-nav copybtn mw-cite-backlink theme-edit-this-page fn-backref footnote-back footnote-backref reversefootnote
    """.split()  # noqa: SIM905
)
_PERMALINK_NAMES = frozenset("headerlink permalink heading-anchor anchor-link anchorjs-link anchor".split())  # noqa: SIM905
_LINE_NUMBER_NAMES = frozenset(
    """
    linenos lineno linenumber line-number line-numbers-rows gutter blob-num rouge-gutter lntd lnt ln
    """.split()  # noqa: SIM905
)
_CHROME_NAMES = frozenset(
    """
    sphinxsidebar sphinxsidebarwrapper docnav breadcrumb breadcrumbs navheader navfooter navbar nav-links skip-link
    catlinks mw-navigation mw-panel mw-head prev-next-area wy-nav-side rst-footer-buttons rst-versions bd-sidebar bd-header
    bd-sidebar-primary bd-sidebar-secondary mobile-header sidebar-drawer toc-drawer navbox pagination language-switcher
    share-buttons social-share social-links
    """.split()  # noqa: SIM905
)
_PAGE_TURNERS = frozenset(["", "prev", "previous", "next", "up", "home", "index", "contents", "top", "back"])
_COOKIE_NAMES = frozenset(
    """
    cookie-banner cookie-consent cookie-notice cookie-bar cookie-law-info-bar cookiebanner cookieconsent cookies-banner
    gdpr-banner gdpr-consent consent-banner onetrust-banner-sdk onetrust-consent-sdk cybotcookiebotdialog usercentrics-root
    didomi-host cc-window eu-cookie-compliance-banner
    """.split()  # noqa: SIM905
)
_SITE_NAMES = frozenset(
    "footer footer-text footer-info site-footer page-footer site-header page-header masthead printfooter".split()  # noqa: SIM905
)
_FURNITURE_NAMES = frozenset(
    """
    related sidebar navigation toc toc-wrapper table-of-contents noprint menu nav share sharing widget-area
    related-posts related-articles recommended
    """.split()  # noqa: SIM905
)
_MAIN_NAMES = frozenset(
    """
    content main main-content maincontent page-content bodycontent mw-content-text primary-content article-body
    """.split()  # noqa: SIM905
)
_SCREEN_READER = frozenset(
    "sr-only visually-hidden visuallyhidden screen-reader-text screenreader-text a-offscreen".split()  # noqa: SIM905
)
_MARK, _CHROME, _COOKIE, _SITE, _FURNITURE = 1, 2, 4, 8, 16
_KINDS = {
    _MARK: _SILENT_NAMES | _PERMALINK_NAMES | _LINE_NUMBER_NAMES | _SCREEN_READER,
    _CHROME: _CHROME_NAMES,
    _COOKIE: _COOKIE_NAMES,
    _SITE: _SITE_NAMES,
    _FURNITURE: _FURNITURE_NAMES,
}
_LONGEST_SLOGAN = 100
"""Letters of prose in a header or footer that is the site's even on a page that says less than it."""
_CHROME_TAGS = frozenset(["nav", "header", "footer"])
_FURNITURE_TAGS = _CHROME_TAGS | {"aside"}
_MAIN_TAGS = frozenset(["main", "article"])
_NEVER_FURNITURE = frozenset(["html", "body", "main", "article", "h1", "#page"])
_NOTES = re.compile(r"footnote|endnote|(?:^|[-_])fn")
_UNSEEN_ICON = re.compile(r"(?:^|[-_])(?:icon|icons|glyphicon|fa|material-symbols[\w-]*)(?:$|[-_])")
_PANEL = re.compile(
    r"accordion|collaps|tab-?pane|tab-?panel|tab-?content|expand|toggle|spoiler|faq|answer|details|panel"
)


class Parts:
    """A judged page: each of its elements has its `skip`; `title` and the named `meta` values of its head."""

    def __init__(self, elements: list[Element], page: str, *, whole: bool = False) -> None:
        """`elements` are the root of a page, as its author wrote it, and all below.

        `whole`: only menus are furniture (chapters of a book have no site around them).
        """
        self.root = root = elements[0]
        self.title = ""
        self.meta: dict[str, str] = {}
        self._whole = whole
        self._elements = elements
        self._scripts: list[str] = []
        self._references: set[str] | None = None
        self._has_sheet = False
        self._main_has_headline = True
        self._never_ends: bool | None = None
        self._gone = {1: (0, 0), 2: (0, 0)}
        self._marked: list[Element] = []
        self._boxes: list[Element] = []
        self._page = page
        self._look()
        self._look_at_ends()
        self._count()
        if root.letters == 0:
            self._show_hidden()
        if not whole:
            self._find_main()
        self._find_furniture()
        self.keeps = self._level()

    def is_read(self, element: Element) -> bool:
        """Whether the element is part of the text; what its `skip` says otherwise depends on the whole page."""
        return not element.skip or element.skip in self.keeps

    def forget(self) -> None:
        """Take the tree apart, which is faster than to have it found as garbage."""
        for element in self._elements:
            element.parent = None

    # --- the head -----------------------------------------------------------------------------------------

    def _look_at_head(self, element: Element) -> None:
        match element.tag:
            case "title" if not self.title and not _is_in(element, "svg"):
                self.title = _own_text(element)
            case "meta":
                name = (element.get("name") or element.get("property")).lower()
                if name:
                    self.meta.setdefault(name, element.get("content"))
            case "script":
                self._scripts.append(_own_text(element))
            case "style":
                self._has_sheet = True
            case "link" if "stylesheet" in element.get("rel").lower():
                self._has_sheet = True

    # --- hidden text --------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Each element by itself: what it tells of the page, and whether its tag or its names say that no one sees it."""
        kinds = _Kinds()
        all_hints = 0
        for element in self._elements:
            tag = element.tag
            if tag in _TELLING_TAGS:
                self._look_at_tag(element, tag)
            if not element.raw:
                continue
            all_hints |= element.hints
            if element.names:
                element.kinds = kinds[element.names]
            if element.hints & (ROLE | KEYED) and tag not in _MAIN_TAGS:
                self._marked.append(element)
            if (element.kinds & _MARK or element.hints & UNSEEN) and not element.skip:
                element.skip = _skip_marked(element)
        if all_hints & STYLED:
            self._look_at_styles()

    def _look_at_tag(self, element: Element, tag: str) -> None:
        if tag in _FURNITURE_TAGS:
            self._boxes.append(element)
        elif tag in _SKIPS:
            element.skip = _SKIPS[tag](element)
            if tag in _HEAD_TAGS:
                self._look_at_head(element)
        else:
            self._marked.append(element)

    def _look_at_ends(self) -> None:
        """Where the end tag of a header, a menu or the like is missing, the rest of the page is in it: it says nothing."""
        for tag in {element.tag for element in self._boxes}:
            boxes = [element for element in self._boxes if element.tag == tag]
            if self._is_left_open(tag, len(boxes)):
                for element in boxes:
                    element.tag = "div"

    def _is_left_open(self, tag: str, count: int) -> bool:
        end = f"</{tag}"
        return count > self._page.count(end) and count > self._page.count(end) + self._page.count(end.upper())

    def _has_open_boxes(self) -> bool:
        """Whether an end tag of a `<div>` is missing, so that the rest of the page may be in one of any name."""
        if self._never_ends is None:
            count = sum(element.tag == "div" for element in self._elements)
            self._never_ends = self._is_left_open("div", count)
        return self._never_ends

    def _look_at_styles(self) -> None:
        has_sheet = self._has_sheet
        self.root.background = (255, 255, 255)
        for element in self._elements[1:]:
            parent = element.parent
            if parent is not None:
                element.background = parent.background
                element.unseen = parent.unseen
            hints = element.hints
            if hints & STYLED and ("style" in element.attributes or "color" in element.attributes):
                self._look_at_style(element)
            elif element.names or (hints & STYLED and "bgcolor" in element.attributes):
                element.background = _background(element, {}, has_sheet=has_sheet)

    def _look_at_style(self, element: Element) -> None:
        style = _style(element.get("style"))
        element.background = _background(element, style, has_sheet=self._has_sheet)
        element.unseen = _unseen(element, style)
        if element.skip or element.tag in ("html", "body", "#page"):
            return  # a page that hides its body shows it by a script
        if style.get("display") in (
            "block",
            "flex",
            "grid",
            "table",
            "list-item",
            "inline-block",
            "table-row",
        ):
            element.is_block = style["display"] != "inline-block" or element.tag != "span"
        if "line-through" in style.get("text-decoration", ""):
            element.skip = DELETED
        elif _is_out_of_sight(element, style) or (_is_folded(style) and not self._can_be_unfolded(element)):
            element.skip = HIDDEN

    def _can_be_unfolded(self, element: Element) -> bool:
        """Whether something on the page opens it: it is a panel by role or name, is referred to, or follows its switch."""
        if element.tag == "dialog" or element.get("role") in ("tabpanel", "dialog", "region"):
            return True
        if "aria-labelledby" in element.attributes or "popover" in element.attributes:
            return True
        if any(map(_PANEL.search, element.names)) or any(
            name.startswith("mwe-math") for name in element.names
        ):
            return True
        name = element.get("id")
        if name and name in self._referred_to():
            return True
        return _is_switch(element.before)

    def _referred_to(self) -> set[str]:
        """The ids that links and switches point to, and what scripts of the page have in quotes."""
        if self._references is None:
            self._references = {name for script in self._scripts for name in _QUOTED.findall(script)}
            for element in self._elements:
                if element.raw:
                    self._references.update(_references(element))
        return self._references

    def _show_hidden(self) -> None:
        """A page that hides everything is one that a script shows when it has loaded."""
        for element in self._elements:
            element.unseen = 0
            if element.skip == HIDDEN:
                element.skip = ""
            element.letters, element.prose = _own_counts(element)
            element.linked, element.size = 0, 1
        self._count()

    # --- how much of what ---------------------------------------------------------------------------------

    def _count(self) -> None:
        """Letters that can be seen, those of them in links, and those in runs of several words outside of links."""
        for element in self._elements[:0:-1]:
            parent = element.parent
            if parent is None:
                continue
            parent.size += element.size
            if element.skip:
                element.letters = element.linked = element.prose = 0
                continue
            if element.unseen:
                letters, prose = _own_counts(element)
                element.letters -= letters
                element.prose -= prose
            letters = element.letters
            if not letters:
                continue
            if element.tag == "a" and (element.raw.startswith(' href="') or "href" in element.attributes):
                element.prose = _long_runs(element) if letters > 40 else 0
                element.linked = letters - element.prose
            parent.letters += letters
            parent.linked += element.linked
            parent.prose += element.prose
            if element.has_headline or element.tag == "h1":
                parent.has_headline = True

    # --- the main part ------------------------------------------------------------------------------------

    def _find_main(self) -> None:
        candidates = [element for element in self._marked if element.letters]
        for share, is_main in ((0.2, _is_marked_main), (0.4, _is_article), (0.5, _is_main_by_name)):
            mains = list(filter(is_main, candidates))
            mains = [element for element in mains if not _any_parent(element, mains)]
            unlinked = sum(element.letters - element.linked for element in mains)
            if mains and unlinked >= share * (self.root.letters - self.root.linked):
                self._set_main(mains)
                return

    def _set_main(self, mains: list[Element]) -> None:
        self._main_has_headline = any(main.has_headline for main in mains)
        for main in mains:
            main.inside = True
            above = main.parent
            while above is not None and not above.holds_main:
                above.holds_main = True
                above = above.parent
        for element in self._elements[1:]:
            if element.parent is not None and element.parent.inside:
                element.inside = True

    # --- furniture ----------------------------------------------------------------------------------------

    def _find_furniture(self) -> None:
        elements = self._elements
        position, named_until, end = 0, 0, len(elements)
        while position < end:
            element = elements[position]
            position += 1
            if not element.letters or element.skip or not _may_be_furniture(element):
                continue
            if self._is_chrome(element):
                element.skip = CHROME
                self._note_gone(element, (1, 2) if position > named_until else (2,))
                position += element.size - 1
            elif not self._whole and (_is_named(element) or self._is_outside(element)):
                element.skip = NAMED
                if position > named_until:
                    self._note_gone(element, (1,))
                    named_until = position + element.size - 1

    def _note_gone(self, element: Element, counts: tuple[int, ...]) -> None:
        """Add up what goes in all (1), and what goes by more than a name (2)."""
        for count in counts:
            letters, prose = self._gone[count]
            self._gone[count] = letters + element.letters, prose + element.prose

    def _is_chrome(self, element: Element) -> bool:
        if element.kinds or element.hints & ROLE or element.tag in _CHROME_TAGS:
            return self._is_told_chrome(element)
        if element.letters > 40 or element.letters != element.linked:
            return False
        return not self._whole and not element.holds_main and _turns_pages(element)

    def _is_told_chrome(self, element: Element) -> bool:
        """Whether it is what its tag, its role or its names say."""
        role = element.get("role").lower()
        if element.tag == "nav" or role in _CHROME_ROLES:
            return element.prose <= 0.25 * element.letters
        if self._whole or element.holds_main:
            return False
        if element.letters == element.linked and element.letters <= 40 and _turns_pages(element):
            return True
        if element.kinds & _CHROME:
            most = min(max(300, 0.3 * self.root.letters), 0.6 * self.root.letters)
            return element.letters <= most or element.prose <= 0.25 * element.letters
        if element.kinds & _COOKIE:
            return element.letters <= 0.5 * self.root.letters
        return self._is_of_the_site(element, role)

    def _is_of_the_site(self, element: Element, role: str) -> bool:
        """Header and footer of the site: they are in no article, are a small part of the page, and hold no headline."""
        named = role in _SITE_ROLES or bool(element.kinds & _SITE)
        if not named and element.tag not in ("header", "footer"):
            return False
        if element.letters > max(300, 0.3 * self.root.letters) or (
            not named and _stands_in_a_section(element)
        ):
            return False
        is_much = element.letters > 0.3 * self.root.letters
        if is_much and element.prose > max(_LONGEST_SLOGAN, 0.5 * self.root.prose):
            return False
        if element.prose and element.tag == "div" and self._has_open_boxes():
            return False
        is_header = element.tag == "header" or role == "banner" or any("head" in n for n in element.names)
        return not (is_header and element.has_headline)

    def _is_outside(self, element: Element) -> bool:
        """Beside the main part, and furniture by its tag, its names or its links; not the headline that the main part lacks."""
        parent = element.parent
        if parent is None or not parent.holds_main or element.holds_main or element.inside:
            return False
        is_menu = element.letters > 300 and element.linked >= 0.5 * element.letters
        if element.has_headline and not self._main_has_headline and not is_menu:
            return False
        if any(map(_NOTES.search, element.names)):
            return False
        if element.tag in ("header", "footer"):
            return True
        if element.kinds & _FURNITURE and not self._has_open_boxes():
            return True
        return element.linked >= 0.5 * element.letters or _serves(element)

    # --- did too much go? ---------------------------------------------------------------------------------

    def _level(self) -> frozenset[str]:
        """Which reasons to skip are overruled: none, or the names when little would stay, or all when nothing would."""
        if self._whole:
            return frozenset()
        gone, chrome = self._gone[1], self._gone[2]
        prose = self.root.prose - chrome[1]
        for level, (lost, lost_prose) in ((frozenset[str](), gone), (frozenset([NAMED]), chrome)):
            letters = self.root.letters - lost
            enough = letters >= min(150, 0.9 * self.root.letters) or letters >= 0.3 * self.root.letters
            if self.root.prose - lost_prose >= 0.6 * prose and enough and letters:
                return level
        return frozenset([NAMED]) if self.root.letters > chrome[0] else frozenset([NAMED, CHROME])


# --- elements ---------------------------------------------------------------------------------------------


class _Kinds(dict[tuple[str, ...], int]):
    """What the names of an element say that it is, as bits."""

    def __missing__(self, names: tuple[str, ...]) -> int:
        self[names] = kinds = sum(kind for kind, known in _KINDS.items() if not known.isdisjoint(names))
        return kinds


def _may_be_furniture(element: Element) -> bool:
    """Whether it has any of the marks of furniture."""
    return element.tag not in _NEVER_FURNITURE and (
        element.letters == element.linked
        or element.kinds > 0
        or element.hints & ROLE > 0
        or element.tag in _FURNITURE_TAGS
        or (element.parent is not None and element.parent.holds_main)
    )


def _is_named(element: Element) -> bool:
    """Named like furniture and made of links like furniture."""
    if not element.kinds & _FURNITURE and element.tag != "aside":
        return False
    return not element.holds_main and element.linked >= 0.5 * element.letters


_SERVING_TAGS = frozenset(["a", "aside", "button", "label", "input", "form", "dialog"])


def _serves(element: Element) -> bool:
    """Whether something beside the main part is there to be used, or is a mere word without a number, and no prose."""
    if element.prose >= 30 or element.has_headline or element.tag in ("h1", "h2"):
        return False
    if element.tag in _SERVING_TAGS or element.get("role") in ("dialog", "alertdialog", "status"):
        return True
    text = _begins(element)
    return len(text.split()) < 3 and not any(map(str.isdigit, text))


def _own_text(element: Element) -> str:
    return "".join(child for child in element.children if isinstance(child, str))


def _is_in(element: Element, tag: str) -> bool:
    """Whether one of the next elements above has this tag."""
    above = element.parent
    for _ in range(6):
        if above is None:
            return False
        if above.tag == tag:
            return True
        above = above.parent
    return False


def _stands_in_a_section(element: Element) -> bool:
    above = element.parent
    for _ in range(1000):
        if above is None:
            return False
        if above.tag in _SECTIONING:
            return True
        above = above.parent
    return True


def _any_parent(element: Element, others: list[Element]) -> bool:
    """Whether the element is in one of the others; `others` are in the order of the page."""
    known = {id(other) for other in others} if len(others) > 1 else set()
    above = element.parent if known else None
    for _ in range(1000):
        if above is None:
            return False
        if id(above) in known:
            return True
        above = above.parent
    return False


def _is_marked_main(element: Element) -> bool:
    return element.tag == "main" or bool(element.hints & ROLE and element.get("role") == "main")


def _is_article(element: Element) -> bool:
    return element.tag == "article" or bool(element.hints & ROLE and element.get("role") == "article")


def _is_main_by_name(element: Element) -> bool:
    return element.tag in ("div", "section", "td") and element.get("id").lower() in _MAIN_NAMES


_SWITCH_TAGS = frozenset("button summary label dt h2 h3 h4 h5 h6".split())  # noqa: SIM905
"""A heading that is seen and what follows it hidden: a click unfolds it."""
_SWITCH = re.compile(r"toggle|question|accordion|collaps|expand|spoiler|trigger|faq|tab")


def _is_switch(element: Element | None) -> bool:
    """Whether a click on it may open what follows."""
    if element is None:
        return False
    if element.tag in _SWITCH_TAGS or element.get("role") in ("button", "tab"):
        return True
    if "onclick" in element.attributes or "aria-expanded" in element.attributes:
        return True
    if element.tag == "a":
        return element.get("href").startswith(("#", "javascript:"))
    return any(map(_SWITCH.search, element.names)) or any(
        not isinstance(child, str) and (child.tag == "button" or "onclick" in child.attributes)
        for child in element.children[:5]
    )


_QUOTED = re.compile(r"[\"'`]#?([\w-]{1,60})[\"'`]")


def _references(element: Element) -> Iterator[str]:
    """The ids that an element opens, points to or labels."""
    for name, value in element.attributes.items():
        if name in ("aria-controls", "aria-owns", "for", "aria-describedby", "popovertarget", "commandfor"):
            yield from value.split()
        elif name == "href" or name.startswith("data-"):
            if value.startswith("#") and len(value) > 1:
                yield value[1:]
            elif name in ("data-target", "data-toggle-id", "data-controls"):
                yield value
        elif name == "onclick":
            yield from _QUOTED.findall(value)


_PERMALINKS = frozenset("¶ # § 🔗 ↩ ↩︎ ↑ ⚓ ∞".split())  # noqa: SIM905


def _skip_link(link: Element) -> str:
    """A link to its own place, or back to where a note was called."""
    if len(link.children) == 1 and isinstance(link.children[0], str):
        mark = link.children[0].strip()
        if mark in _PERMALINKS:
            return SILENT
        is_jump = mark[:1] in "sSjJ" and mark[:8].lower() in ("skip to ", "jump to ")
        return SILENT if is_jump and link.get("href").startswith("#") else ""
    is_back = link.get("role") == "doc-backlink" or "backlink" in link.get("epub:type")
    return SILENT if is_back else ""


def _skip_drawing(drawing: Element) -> str:
    return "" if _has_drawn_text(drawing) else SILENT


def _skip_substitute(substitute: Element) -> str:
    return SILENT if _asks_for_scripts(substitute) else ""


_SKIPS: dict[str, Callable[[Element], str]] = {
    **dict.fromkeys(_SILENT_TAGS, lambda _: SILENT),
    **dict.fromkeys(_DELETED_TAGS, lambda _: DELETED),
    "a": _skip_link,
    "svg": _skip_drawing,
    "noscript": _skip_substitute,
}
"""Why an element is skipped that no one sees, by its tag."""
_TELLING_TAGS = _MAIN_TAGS.union(_SKIPS, _FURNITURE_TAGS)


def _skip_marked(element: Element) -> str:
    if "pagebreak" in element.raw and ("epub:type" in element.raw or "doc-pagebreak" in element.raw):
        return SILENT  # the number of a printed page, in the middle of a sentence
    if element.kinds & _MARK or "aria-hidden" in element.raw:
        return _skip_by_name(element)
    return ""


def _skip_by_name(element: Element) -> str:
    names = element.names
    if not _SILENT_NAMES.isdisjoint(names):
        return SILENT if len(_begins(element)) < 60 else ""
    if not _PERMALINK_NAMES.isdisjoint(names):
        text = _begins(element).strip().lower()
        is_mark = not any(map(str.isalnum, text)) or text.startswith(
            ("permalink", "link to", "direct link", "anchor")
        )
        return SILENT if is_mark and text else ""
    if not _LINE_NUMBER_NAMES.isdisjoint(names):
        return SILENT if all(part.isdigit() for part in _begins(element).split()) else ""
    if not _SCREEN_READER.isdisjoint(names):
        return SILENT if element.tag == "a" and element.get("href").startswith("#") else HIDDEN
    if element.get("aria-hidden") == "true" and any(map(_UNSEEN_ICON.search, names)):
        return SILENT
    return ""


def _begins(element: Element) -> str:
    """The first characters of its text, 400 or a few more."""
    parts: list[str] = []
    length = 0
    for number, below in enumerate(element.elements()):
        for child in below.children:
            if isinstance(child, str):
                parts.append(child)
                length += len(child)
        if length > 400 or number > 100:
            break
    return " ".join(parts)


def _turns_pages(element: Element) -> bool:
    """Whether it consists of "Prev", "Next" and the like, at least two of them."""
    children = element.children
    text = children[0] if len(children) == 1 and isinstance(children[0], str) else _begins(element)
    words = text.split()
    return len(words) > 1 and all(word.lower().strip("«»<>←→|[]()") in _PAGE_TURNERS for word in words)


def _asks_for_scripts(element: Element) -> bool:
    text = _begins(element)
    return len(text) < 300 and "javascript" in text.lower()


def _has_drawn_text(element: Element) -> bool:
    """Whether a drawing shows text. The names that icons have are not shown."""
    return any(
        below.tag.lower() in ("text", "foreignobject") and below.children for below in element.elements()
    )


def _own_counts(element: Element) -> tuple[int, int]:
    """Letters, and those in prose, of the text directly in the element."""
    own = Element(element.tag, None)
    for child in element.children:
        if isinstance(child, str):
            own.add_text(child)
    return own.letters, own.prose


def _long_runs(link: Element) -> int:
    """Letters of sentences in a link: its end tag may be missing, and then it links whatever follows."""
    return sum(
        len(child)
        for number, below in enumerate(link.elements())
        if number < 200
        for child in below.children
        if isinstance(child, str) and len(child.split()) >= 2 * WORDS
    )


# --- styles -----------------------------------------------------------------------------------------------

_TINY, _INVISIBLE, _SAME_COLOUR = 1, 2, 4
_NUMBER = re.compile(r"-?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})")
_HEX = re.compile(r"#([0-9a-f]{3,8})\b")
_RGB = re.compile(r"rgba?\(([^()]{1,60})\)")
_WORD = re.compile(r"[a-z]{3,20}")
_COLOURS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255), "snow": (255, 250, 250), "ivory": (255, 255, 240), "ghostwhite": (248, 248, 255),
    "floralwhite": (255, 250, 240), "whitesmoke": (245, 245, 245), "black": (0, 0, 0), "red": (255, 0, 0),
    "green": (0, 128, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128),
    "navy": (0, 0, 128), "silver": (192, 192, 192), "orange": (255, 165, 0), "purple": (128, 0, 128), "maroon": (128, 0, 0),
    "teal": (0, 128, 128), "darkblue": (0, 0, 139), "lightgray": (211, 211, 211), "lightgrey": (211, 211, 211),
}  # fmt: skip


def _style(text: str) -> dict[str, str]:
    """The declarations of a style attribute, the last of a name counts."""
    style: dict[str, str] = {}
    for declaration in text.lower().split(";", 100)[:100]:
        name, _, value = declaration.partition(":")
        style[name.strip()] = value.replace("!important", "").strip()
    return style


def _number(style: dict[str, str], name: str) -> float | None:
    number = _NUMBER.match(style.get(name, ""))
    return float(number[0]) if number else None


def _is_folded(style: dict[str, str]) -> bool:
    """Hidden in a way in which pages fold what a click opens."""
    if style.get("display") == "none" or style.get("content-visibility") == "hidden":
        return True
    if style.get("overflow", "").startswith(("hidden", "clip")):
        sizes = [_number(style, name) for name in ("height", "max-height", "width", "max-width")]
        return any(size is not None and size <= 1 and "%" not in style.get("width", "") for size in sizes)
    return False


def _is_out_of_sight(element: Element, style: dict[str, str]) -> bool:
    """Hidden in a way in which no one folds anything: off the page, clipped away, without colour."""
    if style.get("mso-hide") == "all":
        return True
    if _number(style, "opacity") == 0:
        return not any(
            name in style for name in ("transform", "-webkit-transform", "animation", "transition")
        )
    if style.get("position") in ("absolute", "fixed"):
        if any(_is_far(style.get(name, "")) for name in ("left", "top", "right", "bottom")):
            return True
        if "rect(0" in style.get("clip", "") or "rect(1px" in style.get("clip", ""):
            return True
    if style.get("clip-path", "").startswith(("inset(50%", "inset(100%", "circle(0")):
        return True
    if any(_is_far(style.get(name, "")) for name in ("text-indent", "margin-left", "margin-top")):
        return True
    return style.get("transform", "") in ("scale(0)", "scale(0,0)", "scale(0, 0)")


def _is_far(length: str) -> bool:
    """Whether a length leads far off the page to the left or to the top."""
    number = _NUMBER.match(length)
    if number is None or not length.startswith("-"):
        return False
    pixels = float(number[0]) * (16 if length.endswith("em") else 1)
    return pixels <= -500 and "%" not in length


def _unseen(element: Element, style: dict[str, str]) -> int:
    """Why text directly in the element cannot be seen; elements below may show theirs again."""
    unseen = element.unseen
    size = _number(style, "font-size")
    if size is None and "font" in style:
        size = 0.0 if re.match(r"0(?:px|pt|em)?(?:/|\s|$)", style["font"]) else None
    if size is not None:
        unseen = unseen & ~_TINY | (_TINY if size == 0 or (size <= 1 and "px" in style["font-size"]) else 0)
    visibility = style.get("visibility")
    if visibility is not None and "animation" not in style and "animation-name" not in style:
        unseen = unseen & ~_INVISIBLE | (_INVISIBLE if visibility in ("hidden", "collapse") else 0)
    colour = style.get("color") or (element.get("color").lower() if element.tag == "font" else "")
    if colour:
        unseen = unseen & ~_SAME_COLOUR | (_SAME_COLOUR if _vanishes(colour, element.background) else 0)
    return unseen


def _vanishes(colour: str, background: tuple[int, int, int] | None) -> bool:
    """Whether text of this colour cannot be seen on this ground (None: unknown)."""
    if colour == "transparent":
        return True
    alpha = _RGB.search(colour)
    if alpha:
        parts = alpha[1].replace("/", ",").replace(" ", ",").split(",")
        parts = [part for part in parts if part]
        if len(parts) == 4 and _NUMBER.fullmatch(parts[3]) and float(parts[3]) == 0:
            return True
    rgb = _colour(colour)
    if rgb is None or background is None:
        return False
    return all(abs(one - other) <= 10 for one, other in zip(rgb, background, strict=True))


def _background(element: Element, style: dict[str, str], *, has_sheet: bool) -> tuple[int, int, int] | None:
    """The colour behind the text of an element; None where a style sheet may have set it."""
    named = style.get("background-color") or style.get("background") or element.get("bgcolor").lower()
    if named and named not in ("transparent", "none", "inherit", "initial"):
        return None if "url(" in named or "gradient" in named else _colour(named)
    if has_sheet and element.names and element.tag not in ("html", "body"):
        return None
    return element.background


def _colour(text: str) -> tuple[int, int, int] | None:
    """The first colour in a value; None for those that have no number here."""
    if hexadecimal := _HEX.search(text):
        digits = hexadecimal[1]
        if len(digits) in (3, 4):
            digits = "".join(digit * 2 for digit in digits)
        if len(digits) >= 6:
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
        return None
    if numbers := _RGB.search(text):
        parts = [part for part in numbers[1].replace(",", " ").split() if _NUMBER.fullmatch(part)]
        if len(parts) >= 3:
            return int(float(parts[0])), int(float(parts[1])), int(float(parts[2]))
        return None
    return next((_COLOURS[word] for word in _WORD.findall(text) if word in _COLOURS), None)
