"""Org files as they are, with their headlines as sections."""

from __future__ import annotations

import re

from ragchat.ingest.blocks import LONGEST_HEADING, lines_of
from ragchat.ingest.encoding import source_text
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line
from ragchat.types import ExtractedText, Section

_HEADLINE = re.compile(r"(\*++)[ \t]++(\S.*)$")
_SETTING = re.compile(r"[ \t]*+#\+(title|todo|seq_todo|typ_todo):[ \t]*+(\S.*)", re.IGNORECASE)
_TAGS = re.compile(r"[ \t]++:[\w@#%:]{1,200}:[ \t]*$")
_PRIORITY = re.compile(r"\[#[A-Z0-9]{1,2}\][ \t]*+")
_COOKIE = re.compile(r"[ \t]*+\[(?:\d{0,6}/\d{0,6}|\d{0,3}%)\]")
_LINK = re.compile(r"\[\[([^\[\]]{1,1000})\](?:\[([^\[\]]{1,1000})\])?\]")
_FAST_KEY = re.compile(r"\([^()]{0,20}\)")
_KEYWORDS = frozenset(
    """
    TODO DONE NEXT WAITING WAIT HOLD CANCELLED CANCELED STARTED SOMEDAY MAYBE PROJ PROJECT DOING REVIEW BLOCKED DELEGATED
    IN-PROGRESS INPROGRESS INPROG APPT FIXME KILL LOOP STRT IDEA COMMENT
    """.split()  # noqa: SIM905
)


def read_org(text: str) -> ExtractedText:
    """The file as it is; its sections are named without stars, states, priorities and tags. Never raises."""
    text = source_text(text)
    keywords = set(_KEYWORDS)
    titles: list[str] = []
    sections = [Section(0, ())]
    open_: list[tuple[int, str]] = []
    for offset, line in lines_of(text):
        if line.startswith("*") and (headline := _HEADLINE.match(line)):
            level, title = len(headline[1]), _plain_headline(headline[2], keywords)
            while open_ and open_[-1][0] >= level:
                open_.pop()
            open_.append((level, title))
            if sections[-1].first == offset:
                sections.pop()
            sections.append(Section(offset, tuple(name for _, name in open_ if name), apart=True))
        elif "#+" in line and (setting := _SETTING.match(line)):
            if setting[1].lower() == "title":
                titles.append(setting[2])
            else:
                keywords.update(_FAST_KEY.sub("", setting[2]).replace("|", " ").split())
    first = next((section.path[-1] for section in sections if section.path), "")
    title = clean_line(" ".join(titles), limit=LONGEST_TITLE) or first
    return ExtractedText(text, "text/org", title, source_lines=True, sections=tuple(sections))


def _plain_headline(title: str, keywords: set[str]) -> str:
    title = _TAGS.sub("", title)
    word, _, rest = title.partition(" ")
    while word in keywords and rest.strip():
        title = rest.strip()
        word, _, rest = title.partition(" ")
    title = _COOKIE.sub("", _PRIORITY.sub("", title, count=1))
    return clean_line(_LINK.sub(lambda match: match[2] or match[1], title), limit=LONGEST_HEADING)
