"""Which file is of which kind, by its name and the first bytes. It opens nothing and reads nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from ragchat.ingest.wide import wide_encoding

KindName = Literal[
    "markdown", "text", "rst", "code", "csv", "org", "latex", "subtitles", "keyed", "xml", "json", "jsonl", "notebook",
    "html", "mhtml", "epub", "word", "slides", "sheets", "opendocument", "rtf", "pdf", "picture", "mail", "mbox", "outlook",
    "gzip", "calendar", "contacts",
]  # fmt: skip
"""Each has one reader, see `ingest.reading.dispatch`."""
Structure = Literal["markdown", "text", "rst", "org", "pages", "python", "code", "rows", "lines"]


@dataclass(frozen=True, slots=True)
class Kind:
    """How a file is read. `language` is set for code only."""

    name: KindName
    media_type: str
    language: str = ""


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
}

_WORD = _OOXML + "wordprocessingml.document"
_SLIDES = _OOXML + "presentationml.presentation"
_SHEETS = _OOXML + "spreadsheetml.sheet"

_BY_SUFFIX: dict[str, Kind] = {
    **{
        suffix: Kind("markdown", "text/markdown")
        for suffix in ("md", "markdown", "mdown", "mkd", "mdx", "qmd", "rmd")
    },
    **dict.fromkeys(("txt", "text", "log", "asc", "adoc", "asciidoc", "bib"), PLAIN),
    **{suffix: Kind("rst", "text/x-rst") for suffix in ("rst", "rest")},
    "org": Kind("org", "text/org"),
    **{suffix: Kind("latex", "text/x-tex") for suffix in ("tex", "ltx", "latex")},
    **{suffix: Kind("subtitles", "text/vtt") for suffix in ("srt", "vtt")},
    **{
        suffix: Kind("keyed", media_type)
        for media_type, suffixes in (
            ("application/yaml", "yaml yml"),
            ("application/toml", "toml"),
            ("text/x-java-properties", "properties"),
            ("text/x-ini", "ini cfg conf"),
        )
        for suffix in suffixes.split()
    },
    **{suffix: Kind("xml", "application/xml") for suffix in ("xml", "xsd", "xsl", "xslt", "dbk", "docbook")},
    **{suffix: Kind("html", "text/html") for suffix in ("html", "htm", "xhtml", "xht")},
    **{suffix: Kind("mhtml", "multipart/related") for suffix in ("mht", "mhtml")},
    **{suffix: Kind("json", "application/json") for suffix in ("json", "geojson")},
    **{suffix: Kind("jsonl", "application/jsonl") for suffix in ("jsonl", "ndjson")},
    "ipynb": Kind("notebook", "application/x-ipynb+json"),
    "csv": Kind("csv", "text/csv"),
    "tsv": Kind("csv", "text/tab-separated-values"),
    "pdf": Kind("pdf", "application/pdf"),
    **{suffix: Kind("word", _WORD) for suffix in ("docx", "docm", "dotx", "dotm")},
    **{suffix: Kind("slides", _SLIDES) for suffix in ("pptx", "pptm", "potx", "potm", "ppsx", "ppsm")},
    **{suffix: Kind("sheets", _SHEETS) for suffix in ("xlsx", "xlsm", "xltx", "xltm")},
    **{
        suffix: Kind("opendocument", _ODF + kind)
        for kind, suffixes in (
            ("text", "odt ott odm"),
            ("spreadsheet", "ods ots"),
            ("presentation", "odp otp"),
        )
        for suffix in suffixes.split()
    },
    **{
        "f" + suffix: Kind("opendocument", f"{_ODF}{kind}-flat-xml")
        for suffix, kind in (("odt", "text"), ("ods", "spreadsheet"), ("odp", "presentation"))
    },
    "epub": Kind("epub", "application/epub+zip"),
    "rtf": Kind("rtf", "application/rtf"),
    "eml": Kind("mail", "message/rfc822"),
    "mbox": Kind("mbox", "application/mbox"),
    "msg": Kind("outlook", "application/vnd.ms-outlook"),
    **{suffix: Kind("calendar", "text/calendar") for suffix in ("ics", "ifb", "vcs")},
    "vcf": Kind("contacts", "text/vcard"),
    "gz": Kind("gzip", "application/gzip"),
    **{
        suffix: Kind("picture", f"image/{kind}")
        for kind, suffixes in (
            ("png", "png"),
            ("jpeg", "jpg jpeg"),
            ("tiff", "tif tiff"),
            ("bmp", "bmp"),
            ("webp", "webp"),
        )
        for suffix in suffixes.split()
    },
    **{
        suffix: Kind("code", f"text/x-{language}", language)
        for language, suffixes in _LANGUAGES.items()
        for suffix in suffixes.split()
    },
}

UNSUPPORTED = frozenset(
    """
    gif ico heic avif psd xcf eps ai svg
    mp3 wav flac ogg oga opus m4a aac mid midi mp4 m4v mkv avi mov webm wmv flv mpg mpeg
    zip gz tgz bz2 xz zst lz4 lzma 7z rar tar jar war whl egg deb rpm apk dmg iso img cab
    exe dll so dylib a o obj lib class pyc pyo pyd wasm bin elf
    gguf safetensors ggml pt pth onnx npy npz pkl pickle h5 hdf5 parquet feather arrow avro
    db sqlite sqlite3 mdb accdb db-wal db-shm
    ttf otf woff woff2 eot doc xls ppt pages numbers key odg djvu mobi azw azw3 ps dvi
    """.split()  # noqa: SIM905
)
"""Suffixes that are never opened: pictures, sound, archives, programs, weights, databases, fonts."""

_BY_MEDIA_TYPE: dict[str, Structure] = {
    "application/pdf": "pages",
    "text/plain": "text",
    "text/x-rst": "rst",
    "text/org": "org",
    "text/x-tex": "markdown",
    "text/vtt": "lines",
    "text/csv": "rows",
    "text/tab-separated-values": "rows",
    "application/json": "lines",
    "application/jsonl": "lines",
    "application/yaml": "lines",
    "application/toml": "lines",
    "application/xml": "lines",
    "text/x-java-properties": "lines",
    "text/x-ini": "lines",
    "text/x-python": "python",
    "text/markdown": "markdown",
    "text/html": "markdown",
    "message/rfc822": "text",
    "application/mbox": "text",
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
    if suffix == "gz" and kind_of(name[:-3]) is None and suffix_of(name[:-3]) in UNSUPPORTED:
        return None
    if suffix == "txt" and suffix_of(name[:-4]) == "rst":  # as Sphinx publishes its sources
        suffix = "rst"
    return _BY_SUFFIX.get(suffix)


def structure_of(media_type: str) -> Structure:
    """How a text of this media type is cut into chunks."""
    if media_type.startswith("image/"):
        return "pages"
    if media_type in _BY_MEDIA_TYPE:
        return _BY_MEDIA_TYPE[media_type]
    return "code" if media_type.startswith("text/x-") else "markdown"


# Control characters that text files do not hold; ESC, BS, FF and the like occur in logs and old
# documentation.
_NOT_TEXT = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})
_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")


def looks_binary(head: bytes) -> bool:
    """Whether the first bytes of a file (some thousands are enough) are not those of a text.

    A NUL byte says yes, except in UTF-16 and UTF-32, with or without a byte order mark.
    """
    if head.startswith(_BOMS):
        return False
    if head.startswith(b"%PDF-"):
        return True
    controls = len(head) - len(head.translate(None, _NOT_TEXT))
    return (b"\0" in head or controls > len(head) // 50) and not wide_encoding(head)
