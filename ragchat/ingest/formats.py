"""Which file is of which kind, by its name and the first bytes. It opens nothing and reads nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

KindName = Literal["markdown", "text", "rst", "code", "csv", "json", "notebook", "html", "extracted"]
Structure = Literal["markdown", "text", "rst", "pages", "python", "code", "rows", "lines"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a file is read. `language` is set for code only; `zipped`: the file is a zip archive."""

    name: KindName
    media_type: str
    language: str = ""
    zipped: bool = False


PLAIN = Kind("text", "text/plain")
"""What a file of no known kind is when its first bytes are text."""

_OOXML = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."

_LANGUAGES = {
    "python": "py pyi pyw",
    "c": "c h",
    "cpp": "cc cpp cxx hh hpp hxx ino",
    "csharp": "cs",
    "java": "java",
    "kotlin": "kt kts",
    "scala": "scala sbt",
    "javascript": "js mjs cjs jsx",
    "typescript": "ts tsx mts cts",
    "go": "go",
    "rust": "rs",
    "ruby": "rb rake gemspec",
    "php": "php",
    "perl": "pl pm t",
    "lua": "lua",
    "r": "r",
    "julia": "jl",
    "swift": "swift",
    "objectivec": "m mm",
    "haskell": "hs",
    "ocaml": "ml mli",
    "erlang": "erl hrl",
    "elixir": "ex exs",
    "clojure": "clj cljs cljc",
    "lisp": "el lisp cl scm rkt",
    "fsharp": "fs fsx",
    "dart": "dart",
    "zig": "zig",
    "nim": "nim",
    "fortran": "f f90 f95 f03",
    "pascal": "pas pp",
    "ada": "adb ads",
    "vb": "vb bas",
    "sql": "sql",
    "shell": "sh bash zsh fish ksh",
    "powershell": "ps1 psm1",
    "vim": "vim",
    "css": "css scss sass less",
    "vue": "vue svelte",
    "protobuf": "proto",
    "graphql": "graphql gql",
    "terraform": "tf hcl",
    "groovy": "groovy gradle",
    "cmake": "cmake",
    "make": "mk",
    "assembly": "s asm",
    "xml": "xml xsd xsl xslt",
    "yaml": "yaml yml",
    "toml": "toml",
    "ini": "ini cfg conf properties",
}

_BY_SUFFIX: dict[str, Kind] = {
    **{
        suffix: Kind("markdown", "text/markdown")
        for suffix in ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd")
    },
    **dict.fromkeys(
        ("txt", "text", "log", "asc", "adoc", "asciidoc", "org", "tex", "bib", "srt", "vtt"), PLAIN
    ),
    **{suffix: Kind("rst", "text/x-rst") for suffix in ("rst", "rest")},
    **{suffix: Kind("html", "text/html") for suffix in ("html", "htm", "xhtml")},
    **{suffix: Kind("json", "application/json") for suffix in ("json", "jsonl", "ndjson", "geojson")},
    "ipynb": Kind("notebook", "application/x-ipynb+json"),
    "csv": Kind("csv", "text/csv"),
    "tsv": Kind("csv", "text/tab-separated-values"),
    "pdf": Kind("extracted", "application/pdf"),
    "docx": Kind("extracted", _OOXML + "wordprocessingml.document", zipped=True),
    "pptx": Kind("extracted", _OOXML + "presentationml.presentation", zipped=True),
    "xlsx": Kind("extracted", _OOXML + "spreadsheetml.sheet", zipped=True),
    "odt": Kind("extracted", _ODF + "text", zipped=True),
    "ods": Kind("extracted", _ODF + "spreadsheet", zipped=True),
    "epub": Kind("extracted", "application/epub+zip", zipped=True),
    "rtf": Kind("extracted", "application/rtf"),
    "eml": Kind("extracted", "message/rfc822"),
    "msg": Kind("extracted", "application/vnd.ms-outlook"),
    **{
        suffix: Kind("code", f"text/x-{language}", language)
        for language, suffixes in _LANGUAGES.items()
        for suffix in suffixes.split()
    },
}

UNSUPPORTED = frozenset(
    """
    png jpg jpeg gif bmp tif tiff webp ico heic avif psd xcf eps ai svg
    mp3 wav flac ogg oga opus m4a aac mid midi mp4 m4v mkv avi mov webm wmv flv mpg mpeg
    zip gz tgz bz2 xz zst lz4 lzma 7z rar tar jar war whl egg deb rpm apk dmg iso img cab
    exe dll so dylib a o obj lib class pyc pyo pyd wasm bin elf
    gguf safetensors ggml pt pth onnx npy npz pkl pickle h5 hdf5 parquet feather arrow avro
    db sqlite sqlite3 mdb accdb db-wal db-shm
    ttf otf woff woff2 eot doc xls ppt pages numbers key odp odg djvu mobi azw azw3 ps dvi
    """.split()  # noqa: SIM905
)
"""Suffixes that are never opened: pictures, sound, archives, programs, weights, databases, fonts."""

_BY_MEDIA_TYPE: dict[str, Structure] = {
    "application/pdf": "pages",
    "text/plain": "text",
    "text/x-rst": "rst",
    "text/csv": "rows",
    "text/tab-separated-values": "rows",
    "application/json": "lines",
    "text/x-python": "python",
    "text/markdown": "markdown",
    "text/html": "markdown",
    "message/rfc822": "text",
    "application/vnd.ms-outlook": "text",
}


def suffix_of(name: str) -> str:
    """The suffix of a file name in lower case, without the dot; empty for "README" and ".profile"."""
    stem, dot, suffix = name.rpartition(".")
    return suffix.lower() if dot and stem.strip(".") else ""


def kind_of(path: str | os.PathLike[str]) -> Kind | None:
    """The kind that the name of `path` promises, or None when only its first bytes can tell, or nothing can.

    A suffix in `UNSUPPORTED` has no kind either.
    """
    name = os.path.basename(os.fspath(path))  # noqa: PTH119 (called for every file of a scan)
    suffix = suffix_of(name)
    if suffix == "txt" and suffix_of(name[:-4]) == "rst":  # as Sphinx publishes its sources
        suffix = "rst"
    return _BY_SUFFIX.get(suffix)


def structure_of(media_type: str) -> Structure:
    """How a text of this media type is cut into chunks."""
    if media_type in _BY_MEDIA_TYPE:
        return _BY_MEDIA_TYPE[media_type]
    return "code" if media_type.startswith("text/x-") else "markdown"


# Control characters that text files do not hold; ESC, BS, FF and the like occur in logs and old
# documentation.
_NOT_TEXT = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})
_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


def looks_binary(head: bytes) -> bool:
    """Whether the first bytes of a file (some thousands are enough) are not those of a text.

    A NUL byte says yes, except after the byte order mark of UTF-16 or UTF-32.
    """
    if head.startswith(_BOMS):
        return False
    if b"\0" in head or head.startswith(b"%PDF-"):
        return True
    return len(head) - len(head.translate(None, _NOT_TEXT)) > len(head) // 50
