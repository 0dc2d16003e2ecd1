"""How much of a web page the readers keep, and how much of the site around it they let through.

    python benchmarks/webpages.py FOLDER [--pages N] [--seed N]

Each folder in FOLDER is a site; N of its pages are read. Visible text that stands on most pages of a site is the site's, the
rest is the page's own. Compared with trafilatura and resiliparse where they are installed. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser

from ragchat.ingest.encoding import decode
from ragchat.ingest.reading.web.page import read_html

Reader = Callable[[str], str]
_WORD = re.compile(r"\w+")
_MOST = 0.5
"""A line on more than this share of a site's pages is the site's."""
_FEWEST_PAGES = 5


@dataclass
class Figures:
    """What one reader did, over all pages."""

    words: int = 0
    own_words: int = 0
    own_kept: int = 0
    furniture_lines: int = 0
    pages: int = 0
    seconds: float = 0.0
    worst: list[tuple[float, str]] = field(default_factory=list)


def readers() -> dict[str, Reader]:
    """The readers at hand, by name; each takes a page and gives its text."""
    found: dict[str, Reader] = {"ragchat": lambda page: read_html(page).text}
    if importlib.util.find_spec("trafilatura"):
        import trafilatura

        def by_trafilatura(page: str) -> str:
            return trafilatura.extract(page, include_tables=True, favor_recall=True) or ""

        found["trafilatura"] = by_trafilatura
    if importlib.util.find_spec("resiliparse"):
        from resiliparse.extract.html2text import extract_plain_text

        def by_resiliparse(page: str) -> str:
            return str(extract_plain_text(page, main_content=True, alt_texts=True))

        found["resiliparse"] = by_resiliparse
    return found


def visible_texts(page: str) -> Iterator[str]:
    """Each run of text that the page may show, without the head, scripts and styles."""
    tree = LexborHTMLParser(page)
    tree.strip_tags(["script", "style", "head", "template", "title"], recursive=True)
    if tree.root is not None:
        for node in tree.root.traverse(include_text=True, skip_empty=True):
            if node.is_text_node:
                yield " ".join((node.text_content or "").split())


def pages_of(site: Path, count: int, chance: random.Random) -> list[Path]:
    """Some pages of a site, the same for the same seed."""
    found = sorted(
        path for path in site.rglob("*.html*") if path.is_file() and path.name.endswith((".html", ".html.en"))
    )
    chance.shuffle(found)
    by_content: dict[bytes, Path] = {}  # some stand there twice
    for path in found:
        if len(by_content) == count:
            break
        by_content.setdefault(path.read_bytes(), path)
    return list(by_content.values())


def look_at_site(
    pages: list[str], names: list[str], readers_by_name: dict[str, Reader], figures: dict[str, Figures]
) -> None:
    """Read all pages of a site with all readers, and add to their figures."""
    seen = [Counter(visible_texts(page)) for page in pages]
    everywhere = _recurring([set(texts) for texts in seen])
    own = [
        _words(text for text, n in texts.items() if text not in everywhere for _ in range(n))
        for texts in seen
    ]
    for name, reader in readers_by_name.items():
        one = figures[name]
        started = time.process_time()
        texts = [reader(page) for page in pages]
        one.seconds += time.process_time() - started
        one.pages += len(pages)
        lines = [{_bare(line) for line in text.splitlines()} - {""} for text in texts]
        recurring = _recurring(lines)
        one.furniture_lines += sum(len(recurring & on_page) for on_page in lines)
        for text, wanted, path in zip(texts, own, names, strict=True):
            words = _words([text])
            kept = sum((words & wanted).values())
            one.words += sum(words.values())
            one.own_words += sum(wanted.values())
            one.own_kept += kept
            one.worst.append((kept / max(1, sum(wanted.values())), path))


def _recurring(pages: list[set[str]]) -> set[str]:
    """What stands on most of the pages; nothing when they are few."""
    if len(pages) < _FEWEST_PAGES:
        return set()
    counts = Counter(line for page in pages for line in page)
    return {line for line, count in counts.items() if count > _MOST * len(pages)}


def _bare(line: str) -> str:
    return " ".join(_WORD.findall(line.lower()))


def _words(texts: Iterator[str] | list[str]) -> Counter[str]:
    return Counter(word for text in texts for word in _WORD.findall(text.lower()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pages", type=int, default=25, help="of each site")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    by_name = readers()
    figures = {name: Figures() for name in by_name}
    sites = sorted(path for path in arguments.folder.iterdir() if path.is_dir())
    for site in sites:
        paths = pages_of(site, arguments.pages, chance)
        pages = [decode(path.read_bytes()) for path in paths]
        look_at_site(pages, [str(path.relative_to(arguments.folder)) for path in paths], by_name, figures)
    print(f"{figures['ragchat'].pages} pages of {len(sites)} sites")
    print(
        f"{'':12} {'own words kept':>15} {'worst tenth':>12} {'lines of the site per page':>27} {'pages/s':>8}"
    )
    result = {}
    for name, one in figures.items():
        one.worst.sort()
        tenth = one.worst[: max(1, len(one.worst) // 10)]
        row = {
            "own_words_kept": round(one.own_kept / max(1, one.own_words), 4),
            "worst_tenth": round(sum(share for share, _ in tenth) / len(tenth), 4),
            "site_lines_per_page": round(one.furniture_lines / max(1, one.pages), 2),
            "pages_per_second": round(one.pages / max(1e-9, one.seconds), 1),
        }
        result[name] = row
        print(
            f"{name:12} {row['own_words_kept']:15.3f} {row['worst_tenth']:12.3f} {row['site_lines_per_page']:27.2f} "
            f"{row['pages_per_second']:8.1f}"
        )
    print(
        "least kept by ragchat:",
        *(f"  {share:.2f} {path}" for share, path in figures["ragchat"].worst[:5]),
        sep="\n",
    )
    print(json.dumps({"pages": figures["ragchat"].pages, "sites": len(sites), **result}))


if __name__ == "__main__":
    main()
