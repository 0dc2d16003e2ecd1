"""How much of PDF files is read, in which order, and how fast: ragchat beside other readers, against pdftotext.

    python benchmarks/pdfs.py FOLDER [--reference COMMAND] [--worst N]

Every PDF below FOLDER is read by ragchat, by kreuzberg and, where it is installed, by pdfminer.six. The reference is what
pdftotext (poppler-utils) prints; without it, the words that at least two of the readers found. Characters are counted without
white space; words are runs of letters and digits. ragchat drops page numbers, running heads and tables of contents by design;
"uncut" is ragchat with them.
`extra` is what a reader gives beyond the reference. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shutil
import subprocess
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from ragchat.errors import IngestError
from ragchat.ingest.reading.pdf import numbers as page_numbers
from ragchat.ingest.reading.pdf.reader import read_pdf

Reader = Callable[[bytes], str]
_WORD = re.compile(r"[^\W_]+")


class Reading(NamedTuple):
    """What a reader made of a file: its text ('' when it gave up) and the CPU time that it took."""

    text: str
    seconds: float


class Share(NamedTuple):
    """Shares of a reference from 0 to 1."""

    characters: float
    words: float
    pairs: float
    extra: float


def read_by_kreuzberg(data: bytes) -> str:
    """Its text, page after page."""
    import kreuzberg

    config = kreuzberg.ExtractionConfig(use_cache=False, enable_quality_processing=False)
    return str(kreuzberg.extract_bytes_sync(data, "application/pdf", config).content)


def read_by_pdfminer(data: bytes) -> str:
    """Its text with its layout analysis."""
    from pdfminer.high_level import extract_text

    return str(extract_text(io.BytesIO(data)))


def read_uncut(data: bytes) -> str:
    """By ragchat, with what it takes out as a running head, a page number or a table of contents."""
    with (
        patch.object(page_numbers, "drop_running_lines", lambda pages: [""] * len(pages)),
        patch.object(page_numbers, "without_contents", list),
    ):
        return read_pdf(data).text


def readers() -> dict[str, Reader]:
    """The readers that are installed."""
    found: dict[str, Reader] = {
        "ragchat": lambda data: read_pdf(data).text,
        "uncut": read_uncut,
        "kreuzberg": read_by_kreuzberg,
    }
    with contextlib.suppress(ImportError):
        import pdfminer  # noqa: F401

        found["pdfminer"] = read_by_pdfminer
    return found


def measured(read: Reader, data: bytes) -> Reading:
    """The text and its CPU seconds; whatever a reader raises counts as no text."""
    start = time.process_time()
    try:
        text = read(data)
    except IngestError:
        text = ""
    except Exception as error:  # noqa: BLE001 (readers of others raise anything)
        print(f"    {type(error).__name__}: {error}")
        text = ""
    return Reading(text, time.process_time() - start)


def words_of(text: str) -> list[str]:
    """The words of a text; a word divided at the end of a line is one."""
    text = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    return _WORD.findall(re.sub(r"(?<=[^\W\d_])-\n\s*(?=[^\W\d_])", "", text))


def share(reference: list[str], words: list[str]) -> Share:
    """How much of the reference is there: characters, words and pairs of neighbouring words."""
    return Share(
        _kept(Counter("".join(reference)), Counter("".join(words))),
        _kept(Counter(reference), Counter(words)),
        _kept(Counter(pairwise(reference)), Counter(pairwise(words))),
        1 - _kept(Counter(words), Counter(reference)),
    )


def _kept(reference: Counter[Any], found: Counter[Any]) -> float:
    return (reference & found).total() / max(1, reference.total())


def reference_words(path: Path, command: str, readings: dict[str, Reading]) -> list[str]:
    """What pdftotext says; without it, the words of the reader whose words most others have, too."""
    if command:
        printed = subprocess.run([command, "-enc", "UTF-8", str(path), "-"], capture_output=True, check=False)
        return words_of(printed.stdout.decode("utf-8", "replace"))
    texts = [words_of(reading.text) for reading in readings.values()]

    def shared(words: list[str]) -> int:
        return sum((Counter(words) & Counter(other)).total() for other in texts)

    return max(texts, key=shared)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--reference", default=shutil.which("pdftotext") or "", help="the pdftotext to run")
    parser.add_argument("--worst", type=int, default=0, help="list the files of which ragchat has least")
    options = parser.parse_args()
    engines = readers()
    seconds = dict.fromkeys(engines, 0.0)
    shares: dict[str, list[Share]] = {name: [] for name in engines}
    worst: list[tuple[float, float, str]] = []
    pages = files = 0
    for path in sorted(options.folder.rglob("*.pdf")):
        data = path.read_bytes()
        readings = {name: measured(read, data) for name, read in engines.items()}
        reference = reference_words(path, options.reference, readings)
        if not reference:
            continue
        files += 1
        with contextlib.suppress(IngestError):
            pages += len(read_pdf(data).page_starts)
        for name, reading in readings.items():
            seconds[name] += reading.seconds
            shares[name].append(share(reference, words_of(reading.text)))
        ours = shares["uncut"][-1]
        worst.append((ours.words, ours.pairs, path.name))
    print(
        f"{files} files, {pages} pages; reference: {'pdftotext' if options.reference else 'agreement of readers'}"
    )
    print(f"{'':12}{'characters':>12}{'words':>8}{'pairs':>8}{'extra':>8}{'pages/s':>9}")
    card: dict[str, object] = {"files": files, "pages": pages}
    for name, found in shares.items():
        mean = Share(*(sum(column) / max(1, files) for column in zip(*found, strict=True)))
        speed = pages / max(1e-9, seconds[name])
        print(
            f"{name:12}"
            + f"{mean.characters:12.3f}{mean.words:8.3f}{mean.pairs:8.3f}{mean.extra:8.3f}{speed:9.0f}"
        )
        card[name] = {
            **{key: round(value, 4) for key, value in mean._asdict().items()},
            "pages_per_s": round(speed, 1),
        }
    for words, pairs, file in sorted(worst)[: options.worst]:
        print(f"    {words:.3f} {pairs:.3f} {file}")
    print(json.dumps(card))


if __name__ == "__main__":
    main()
