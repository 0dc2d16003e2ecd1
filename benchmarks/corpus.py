"""A corpus of real text for the speed benchmark: chunks of about 100 words, and questions made from them.

    python benchmarks/corpus.py OUT [--packages linux-doc-6.1,perl-doc,…] [--chunks 1000000]
    python benchmarks/corpus.py OUT --folder DIR [--chunks N]

Without `--folder` the text is that of Debian's documentation packages (`apt-get download`, `dpkg -x`; no root, nothing is
installed); what is downloaded stays in OUT/packages and is used again. Made are:

- OUT/chunks.jsonl, a line per chunk: {"document": number, "title", "path", "text"}. The chunks of a document follow each other,
  documents come in a shuffled order (the seed is fixed), so that the first N lines are a sample of the whole. A file of more than
  1,000 chunks becomes several documents. Exact duplicates of a chunk are dropped. A package gives at most a share of the
  whole, so that no single reference manual rules it. Text that is not English is left out: the peers stem English.
- OUT/questions.txt, 1,000 different questions of 3 to 12 words, a line each. The rule: of a chunk among the first tenth (so that
  its source is in the index at every size) a sentence is drawn that consists mostly of words, of it a run of words in which two
  have four letters or more and are no stop word (one of six letters, where the question has room for one only; a long run of
  nothing else is a list and not taken). One of four openings goes before it ("how do I", "what is", "why does", none), and one
  question in four takes a word of the document's title at its end. The length is drawn evenly. So words come as often as in the
  text: common ones beside rare ones and stop words.

Markup is taken off by rules that are good enough for measuring speed; this is not ragchat's extraction.
"""

from __future__ import annotations

import argparse
import gzip
import html
import json
import random
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import blake2b
from itertools import chain
from pathlib import Path

PACKAGES = (  # words, put apart by blanks
    # manuals and books
    "linux-doc-6.1 postgresql-doc-15 python3.11-doc perl-doc git-doc debian-handbook debian-policy developers-reference"
    " debian-reference-en debian-faq installation-guide-amd64 harden-doc aptitude-doc-en manpages manpages-dev apache2-doc"
    " bash-doc zsh-doc cmake-doc sqlite3-doc bind9-doc exim4-doc-html postfix-doc selinux-policy-doc nodejs-doc"
    " golang-1.19-doc swi-prolog-doc libreoffice-help-en-us gimp-help-en gnucash-docs"
    " kicad-doc-en lilypond-doc-html octave-doc maxima-doc r-doc-html gnuplot-doc grass-doc singular-doc db5.3-doc derby-doc"
    # reading matter
    " dict-gcide dict-wn dict-foldoc dict-jargon"
    # references of languages and libraries
    " cppreference-doc-en-html libstdc++-12-doc libboost1.81-doc openjdk-17-doc rust-doc erlang-doc racket-doc ghc-doc scala-doc"
    " groovy-doc fp-docs-3.2.2 python-django-doc python-scipy-doc python-pandas-doc python-sklearn-doc"
    " python-statsmodels-doc python-sympy-doc python-astropy-doc python-sqlalchemy-doc twisted-doc"
    " llvm-14-doc qtbase5-doc-html qtdeclarative5-doc-html wx3.2-doc libgtk-3-doc libglib2.0-doc libgtkmm-3.0-doc libssl-doc"
    " openscenegraph-doc gnuradio-doc petsc3.18-doc libpcl-doc casacore-doc dcmtk-doc libgecode-doc seqan3-doc pike8.0-doc"
    " libapache-poi-java-doc libbiojava-java-doc libfastutil-java-doc sumo-doc ogre-1.12-doc opencv-doc vtk9-doc"
)
CHUNK_WORDS = 100
LARGEST_DOCUMENT = 1_000
"""Chunks. A dictionary in one file would otherwise be a document of 100,000."""
SHARE = 0.07
"""The most that one package gives, as a share of all chunks."""
QUESTIONS = 1_000
SEED = 3
ENDINGS = re.compile(
    r"\.(html?|xhtml|txt|text|rst|md|markdown|pod|adoc|info(-\d+)?|[1-9](pm|ssl|p|posix)?|dict)(\.(gz|dz))?$",
    re.IGNORECASE,
)
LARGEST_FILE = 40 << 20

Document = tuple[str, str, list[str]]
"""Path, title, chunks."""


# --- text out of files ----------------------------------------------------------------------------------

_UNSEEN = re.compile(
    r"<(script|style|nav|header|footer|svg|select)\b.*?</\1\s*>|<!--.*?-->", re.DOTALL | re.IGNORECASE
)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.DOTALL | re.IGNORECASE)
_BLOCK = re.compile(
    r"</?(p|div|h\d|li|ul|ol|dl|dt|dd|tr|table|pre|section|br|blockquote)\b[^>]*>", re.IGNORECASE
)
_TAG = re.compile(r"<[^>]*>")
_ROFF = re.compile(r"\\f[A-Z(]|\\&|\\s[-+]?\d|\\\*\(\w\w")


def plain_text(path: Path) -> tuple[str, str]:
    """Title and text of a file; the title is empty where the format has none."""
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    text = data.decode("utf-8", "replace")
    name = path.name.lower().removesuffix(".gz")
    if name.endswith((".html", ".htm", ".xhtml")):
        return _from_html(text)
    if re.search(r"\.[1-9](pm|ssl|p|posix)?$", name):
        return "", _from_roff(text)
    if re.search(r"\.info(-\d+)?$", name):
        text = re.sub(r"\x1f\n[^\n]*", "", text)
    return "", text


def _from_html(page: str) -> tuple[str, str]:
    title = _TITLE.search(page)
    text = _TAG.sub("", _BLOCK.sub("\n\n", _UNSEEN.sub(" ", page[title.end() if title else 0 :])))
    return _one_line(html.unescape(_TAG.sub("", title[1]))) if title else "", html.unescape(text)


def _from_roff(text: str) -> str:
    """Macro names go, their words stay; a heading or a paragraph begins a new one."""
    lines = []
    for line in text.splitlines():
        if line.startswith(('.\\"', "'\\\"", ".de", ".ds", ".if", ".ie", ".nr", "..")):
            continue
        if line.startswith("."):
            macro, _, rest = line.partition(" ")
            line = (
                "\n" if macro in {".SH", ".SS", ".PP", ".TP", ".IP", ".LP", ".P", ".Pp", ".Sh"} else ""
            ) + rest
        lines.append(_ROFF.sub("", line).replace("\\-", "-").replace('"', ""))
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- chunks ---------------------------------------------------------------------------------------------


def chunks_of(text: str) -> Iterator[str]:
    """Paragraphs put together to about `CHUNK_WORDS` words, long ones cut; a rest of less than a quarter is left out."""
    words: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        words += paragraph.split()
        start = 0
        while len(words) - start >= CHUNK_WORDS * 1.3:
            yield " ".join(words[start : start + CHUNK_WORDS])
            start += CHUNK_WORDS
        words = words[start:]
        if len(words) >= CHUNK_WORDS:
            yield " ".join(words)
            words = []
    if len(words) >= CHUNK_WORDS // 4:
        yield " ".join(words)


def documents_of(file: tuple[str, str]) -> list[Document]:
    """The documents that a file (folder, path below it) gives: none, one, or several if it is very long."""
    folder, path = file
    try:
        title, text = plain_text(Path(folder, path))
    except (OSError, EOFError, ValueError):
        return []
    if not _english(text):
        return []
    found = [chunk for chunk in chunks_of(text.replace("\0", " ")) if len(chunk) < CHUNK_WORDS * 30]
    name = title or Path(path).name.split(".")[0].replace("_", " ").replace("-", " ")
    parts = [found[i : i + LARGEST_DOCUMENT] for i in range(0, len(found), LARGEST_DOCUMENT)]
    return [(path if n == 0 else f"{path}#{n + 1}", name[:200], part) for n, part in enumerate(parts)]


def _english(text: str) -> bool:
    """Mostly ASCII, and one word in 150 is "the": a cheap test that drops translations, tables and listings of numbers."""
    head = text[:200_000]
    return head.count(" the ") * 150 > len(head.split()) and sum(map(str.isascii, head)) > 0.97 * len(head)


def files_below(folder: Path) -> list[tuple[str, str]]:
    return [
        (str(folder), str(path.relative_to(folder)))
        for path in sorted(folder.rglob("*"))
        if ENDINGS.search(path.name)
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size < LARGEST_FILE
    ]


# --- packages -------------------------------------------------------------------------------------------


def unpacked(package: str, work: Path) -> Path | None:
    """The folder that a Debian package is unpacked in; None, with a sentence, if there is no such package."""
    folder = work / package
    if folder.is_dir():
        return folder
    loading = work / f"{package}.part"
    shutil.rmtree(loading, ignore_errors=True)
    loading.mkdir(parents=True)
    done = subprocess.run(["apt-get", "download", package], cwd=loading, capture_output=True, text=True)
    archives = list(loading.glob("*.deb"))
    if done.returncode or not archives:
        print(f"{package}: left out, {(done.stderr.strip() or 'nothing came').splitlines()[-1]}")
        shutil.rmtree(loading)
        return None
    subprocess.run(["dpkg", "-x", archives[0], loading], check=True)
    archives[0].unlink()
    loading.rename(folder)
    return folder


def sources(arguments: argparse.Namespace) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Name and files of each source: the packages, or the one folder."""
    if arguments.folder:
        yield arguments.folder.name, files_below(arguments.folder)
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise SystemExit(
            "Debian packages need apt-get and dpkg: on this system, give a folder of documents with --folder."
        )
    for package in arguments.packages.split(","):
        if folder := unpacked(package, arguments.out / "packages"):
            yield package, files_below(folder)


# --- the corpus -----------------------------------------------------------------------------------------


def gather(arguments: argparse.Namespace, parts: Path) -> list[tuple[int, int]]:
    """Write each document as a line of `parts`; (offset, chunks) of each. Prints what each source gave."""
    seen: set[bytes] = set()
    places: list[tuple[int, int]] = []
    most = int(
        arguments.chunks * (1 if arguments.folder else max(SHARE, 2 / (1 + arguments.packages.count(","))))
    )
    spare = arguments.chunks * 1.02  # the shuffled documents are cut off in the middle of one
    with parts.open("wb") as out, ProcessPoolExecutor(arguments.workers) as pool:
        for name, files in sources(arguments):
            random.Random(SEED).shuffle(files)
            given, read = 0, 0
            for documents in _read(pool, files):
                read += 1
                for path, title, chunks in documents:
                    fresh = [chunk for chunk in chunks if _is_new(chunk, seen)][: most - given]
                    if fresh:
                        places.append((out.tell(), len(fresh)))
                        out.write(
                            json.dumps([f"{name}/{path}", title, fresh], ensure_ascii=False).encode() + b"\n"
                        )
                        given += len(fresh)
                if given >= most:
                    break
            total = sum(count for _, count in places)
            print(
                f"{name:32}{read:>8} of {len(files):>6} files {given:>9,} chunks {total:>11,} in all",
                flush=True,
            )
            if total >= spare:
                break
    return places


def _read(pool: ProcessPoolExecutor, files: list[tuple[str, str]]) -> Iterator[list[Document]]:
    """`documents_of` over all files, some hundred at a time: a source that has given its share is not read to the end."""
    for i in range(0, len(files), 400):
        yield from pool.map(documents_of, files[i : i + 400], chunksize=8)


def _is_new(chunk: str, seen: set[bytes]) -> bool:
    digest = blake2b(chunk.encode("utf-8", "replace"), digest_size=8).digest()
    before = len(seen)
    seen.add(digest)
    return len(seen) > before


def write_chunks(parts: Path, places: list[tuple[int, int]], out: Path, limit: int) -> int:
    """The documents in a shuffled order, a line per chunk, at most `limit`; how many chunks there are."""
    random.Random(SEED).shuffle(places)
    written = 0
    with parts.open("rb") as source, out.open("w", encoding="utf-8") as target:
        for number, (offset, _) in enumerate(places, 1):
            source.seek(offset)
            path, title, chunks = json.loads(source.readline())
            for text in chunks[: limit - written]:
                line = {"document": number, "title": title, "path": path, "text": text}
                target.write(json.dumps(line, ensure_ascii=False) + "\n")
                written += 1
            if written >= limit:
                break
    return written


# --- questions ------------------------------------------------------------------------------------------

OPENINGS = ("how do I", "what is", "why does", "")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_'-]*")
_COMMON = frozenset(
    {
        "this",
        "that",
        "these",
        "those",
        "with",
        "from",
        "have",
        "will",
        "when",
        "where",
        "which",
        "what",
        "then",
        "than",
    }
    | {"also", "been", "they", "there", "only"}
)


def write_questions(chunks: Path, out: Path, count: int) -> None:
    with chunks.open(encoding="utf-8") as lines:
        pool = [json.loads(line) for line, _ in zip(lines, range(max(1, count // 10)), strict=False)]
    draw = random.Random(SEED)
    questions: dict[str, None] = {}
    for _ in range(100 * QUESTIONS):
        if len(questions) >= QUESTIONS:
            break
        if question := _question(draw, draw.choice(pool), len(questions)):
            questions[question] = None
    out.write_text("\n".join(questions) + "\n", encoding="utf-8")
    lengths = Counter(len(question.split()) for question in questions)
    print(f"{len(questions)} questions; words: " + ", ".join(f"{n}: {lengths[n]}" for n in sorted(lengths)))


def _question(draw: random.Random, chunk: dict[str, str], number: int) -> str:
    """A question from a chunk, or "" if the sentence drawn gives none."""
    opening = OPENINGS[number % 4].split()
    topic = draw.sample(_WORD.findall(chunk["title"]) or [""], 1) if number // 4 % 4 == 0 else []
    length = draw.randint(3, 12)
    needed = length - len(opening) - len(list(filter(None, topic)))
    sentence = draw.choice(re.split(r"(?<=[.!?;:])\s", chunk["text"])).split()
    words = [word for word in (token.strip(".,;:!?()'\"") for token in sentence) if _WORD.fullmatch(word)]
    if needed < 1 or len(words) < max(needed, 0.75 * len(sentence)):
        return ""
    start = draw.randint(0, len(words) - needed)
    run = words[start : start + needed]
    telling = [word for word in run if len(word) >= (4 if needed > 1 else 6) and word.lower() not in _COMMON]
    is_list = needed > 4 and len(telling) == needed
    if is_list or len(telling) < min(2, needed):
        return ""
    return " ".join(chain(opening, run, filter(None, topic)))


def main(argv: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--packages", default=PACKAGES.replace(" ", ","), help="names of Debian packages, with commas"
    )
    parser.add_argument("--folder", type=Path, help="take the text files below this folder instead")
    parser.add_argument("--chunks", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args(None if argv is None else list(argv))
    arguments.out.mkdir(parents=True, exist_ok=True)
    parts, chunks = arguments.out / "parts.jsonl", arguments.out / "chunks.jsonl"
    places = gather(arguments, parts)
    written = write_chunks(parts, places, chunks, arguments.chunks)
    parts.unlink()
    write_questions(chunks, arguments.out / "questions.txt", written)
    short = "" if written >= arguments.chunks else f", {arguments.chunks - written:,} fewer than asked for"
    print(f"{written:,} different chunks{short}; {chunks.stat().st_size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
