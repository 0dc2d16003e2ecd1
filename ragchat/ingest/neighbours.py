"""Which language the neighbours of a file are in, for files that are too short to tell their own."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import PurePath

from ragchat.retrieval.stopwords import LANGUAGES

_FEWEST = 5
"""Neighbours that tell something."""
_SHARE = 0.8
_WORDS = frozenset(("am", "as", "be", "he", "hi", "id", "is", "it", "me", "my", "no", "or", "so", "to", "us"))
"""Codes that are English words, which name a folder for other reasons."""
_LOCALE = re.compile(r"(?:^|[._-])([a-z]{2})(?:[_-][A-Z]{2})?(?=\.|$)")
"""A locale as a whole folder, or as an ending of a file's name: "de", "pt-BR", "index.fr.html"."""


class Neighbours:
    """The languages of the files of one sync, as they become known."""

    def __init__(self) -> None:
        self._languages: defaultdict[PurePath, Counter[str]] = defaultdict(Counter)

    def note(self, path: str, language: str) -> None:
        """Count a file for all folders above it."""
        for folder in PurePath(path).parents[:-1]:
            self._languages[folder][language] += 1

    def language(self, path: str) -> str:
        """What the path says; else the language of most files of the nearest folder that has enough of them; else ''."""
        file = PurePath(path)
        if told := _told(file.name) or _told(file.parent.name):
            return told
        for folder in file.parents[:-1]:
            counts = self._languages.get(folder)
            if counts and counts.total() >= _FEWEST:
                language, count = counts.most_common(1)[0]
                return language if count >= _SHARE * counts.total() else ""
        return ""


def _told(name: str) -> str:
    """The language of a locale in a name, where it is one of those that can be told."""
    found = [code for code in _LOCALE.findall(name) if code in LANGUAGES - _WORDS]
    is_folder = _LOCALE.fullmatch(name) is not None
    return found[-1] if found and (is_folder or name.count(".") > 1) else ""
