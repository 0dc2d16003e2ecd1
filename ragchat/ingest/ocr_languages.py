"""Which languages OCR can read here: where Tesseract's data lies, `LANG.traineddata` for each. It parses none of it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragchat.errors import UsageError

OFF = "off"
_SUFFIX = ".traineddata"
_CODE = re.compile(r"[a-z]{3}(_[a-z]{2,8}){0,2}", re.ASCII)
_NO_LANGUAGE = frozenset(("osd", "equ", "snum"))
"""Data for something else: the turn of a page, formulas."""
_SHARED = (
    "/usr/share/tesseract-ocr/*/tessdata",
    "/usr/share/tessdata",
    "/usr/share/tesseract/tessdata",
    "/usr/local/share/tessdata",
    "/opt/homebrew/share/tessdata",
    "/opt/local/share/tessdata",
)

# Tesseract's name, that of ISO 639-1 (or -), and the name in English. Others can be read, too, under Tesseract's name alone.
_NAMES = """
afr af Afrikaans; amh am Amharic; ara ar Arabic; asm as Assamese; aze az Azerbaijani; bel be Belarusian; ben bn Bengali;
bod bo Tibetan; bos bs Bosnian; bre br Breton; bul bg Bulgarian; cat ca Catalan; ces cs Czech; chi_sim zh Chinese (simplified);
chi_tra - Chinese (traditional); cym cy Welsh; dan da Danish; deu de German; ell el Greek; eng en English; epo eo Esperanto;
est et Estonian; eus eu Basque; fas fa Persian; fin fi Finnish; fra fr French; frk - German (Fraktur); gla gd Scottish Gaelic;
gle ga Irish; glg gl Galician; grc - Ancient Greek; guj gu Gujarati; heb he Hebrew; hin hi Hindi; hrv hr Croatian;
hun hu Hungarian; hye hy Armenian; ind id Indonesian; isl is Icelandic; ita it Italian; jpn ja Japanese; kan kn Kannada;
kat ka Georgian; kaz kk Kazakh; khm km Khmer; kir ky Kyrgyz; kor ko Korean; lao lo Lao; lat la Latin; lav lv Latvian;
lit lt Lithuanian; ltz lb Luxembourgish; mal ml Malayalam; mar mr Marathi; mkd mk Macedonian; mlt mt Maltese; mon mn Mongolian;
msa ms Malay; mya my Burmese; nep ne Nepali; nld nl Dutch; nor no Norwegian; oci oc Occitan; pan pa Punjabi; pol pl Polish;
por pt Portuguese; ron ro Romanian; rus ru Russian; san sa Sanskrit; sin si Sinhala; slk sk Slovak; slv sl Slovenian;
spa es Spanish; sqi sq Albanian; srp sr Serbian; swa sw Swahili; swe sv Swedish; tam ta Tamil; tel te Telugu; tgk tg Tajik;
tha th Thai; tur tr Turkish; uig ug Uyghur; ukr uk Ukrainian; urd ur Urdu; uzb uz Uzbek; vie vi Vietnamese; yid yi Yiddish
"""
_ENTRIES = [entry.strip().split(" ", 2) for entry in _NAMES.replace("\n", " ").split(";")]
_ENGLISH = {code: name for code, _, name in _ENTRIES}
_CODES = {
    **{short: code for code, short, _ in _ENTRIES if short != "-"},
    **{name.casefold(): code for code, name in _ENGLISH.items()},
    **dict(
        entry.split(" ")
        for entry in (
            "ger deu",
            "fre fra",
            "dut nld",
            "gre ell",
            "cze ces",
            "rum ron",
            "per fas",
            "chi chi_sim",
            "nb nor",
        )
    ),
}


@dataclass(frozen=True, slots=True)
class OcrData:
    """Folders with data for OCR, in the order in which they are looked at, each with its languages."""

    folders: Mapping[Path, frozenset[str]]

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages there is data for, sorted."""
        return tuple(sorted(frozenset().union(*self.folders.values())))

    def folder_with(self, languages: Sequence[str]) -> Path | None:
        """The first folder that has all of them: Tesseract looks in one."""
        return next((folder for folder, have in self.folders.items() if have.issuperset(languages)), None)


def find_data(own: Path | None, environ: Mapping[str, str] = os.environ) -> OcrData:
    """What is there: where TESSDATA_PREFIX says, in `own`, where systems put it. Folders without data are not among them."""
    places = [own] if own else []
    if prefix := environ.get("TESSDATA_PREFIX"):
        places = [Path(prefix), Path(prefix) / "tessdata", *places]
    for pattern in _SHARED:
        top, _, rest = pattern.partition("/*/")
        places += sorted(Path(top).glob(f"*/{rest}"), reverse=True) if rest else [Path(pattern)]
    if sys.platform == "win32":
        programs = environ.get("PROGRAMFILES", "C:\\Program Files")
        places.append(Path(programs) / "Tesseract-OCR" / "tessdata")
    found = {place: _languages_in(place) for place in places}
    return OcrData({place: languages for place, languages in found.items() if languages})


def _languages_in(folder: Path) -> frozenset[str]:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_file()]
    except OSError:
        return frozenset()
    codes = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return frozenset(code for code in codes if is_code(code))


def is_code(text: str) -> bool:
    """Whether this can be Tesseract's name of a language; it becomes the name of a file."""
    return bool(_CODE.fullmatch(text)) and text not in _NO_LANGUAGE


def parse_languages(typed: str) -> tuple[str, ...]:
    """`eng+deu`, `en, de` or `English` as Tesseract names them, in their order; `off` is none. Raises UsageError."""
    if typed.strip().casefold() in (OFF, "", "none", "no"):
        return ()
    codes = []
    for part in re.split(r"[+,;]", typed):
        word = part.strip().casefold()
        code = _CODES.get(word, word.replace("-", "_"))
        if not is_code(code):
            raise UsageError(
                f"{part.strip()!r} is not an OCR language.",
                "Write languages as in `eng+deu`, or `off`.",
            )
        codes.append(code)
    return tuple(dict.fromkeys(codes))


def named(code: str) -> str:
    """`German (deu)`, or the code alone."""
    return f"{_ENGLISH[code]} ({code})" if code in _ENGLISH else code


def check_data(languages: Sequence[str], own: Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The folder with the data of all these languages. Raises UsageError that says how to get what is not there."""
    data = find_data(own, environ)
    if (folder := data.folder_with(languages)) is not None:
        return folder
    missing = [code for code in languages if code not in data.languages]
    if missing:
        raise UsageError(
            f"There is no OCR data for {' and '.join(map(named, missing))}.", how_to_install(missing, own)
        )
    raise UsageError(
        f"The OCR data for {' and '.join(map(named, languages))} is in different folders:"
        f" {', '.join(map(str, data.folders))}.",
        f"Copy the missing files into {next(iter(data.folders))}.",
    )


def how_to_install(languages: Sequence[str], own: Path | None) -> str:
    """How to get the data of languages, on the systems that have packages of it."""
    debian = " ".join(f"tesseract-ocr-{code.replace('_', '-')}" for code in languages)
    fedora = " ".join(f"tesseract-langpack-{code}" for code in languages)
    files = " and ".join(f"{code}{_SUFFIX}" for code in languages)
    return (
        f"Install it: apt install {debian} (Fedora: dnf install {fedora}; macOS: brew install tesseract-lang),"
        f" or copy {files} to the folder that TESSDATA_PREFIX names{f', or into {own}' if own else ''}."
    )
