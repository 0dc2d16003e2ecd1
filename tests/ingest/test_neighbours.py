"""The language of a file's neighbours, for texts that do not tell their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ragchat.ingest.neighbours import Neighbours
from ragchat.ingest.reading.process import answer
from ragchat.ingest.wire import Read, ReadRequest


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("/docs/de/a.txt", "de"),
        ("/docs/pt-BR/a.txt", "pt"),
        ("/docs/manual/index.fr.html", "fr"),
        ("/docs/README.de.md", "de"),
        ("/docs/it/printers.txt", ""),
        ("/docs/node/a.txt", ""),
        ("/docs/a.de", ""),
        ("a.txt", ""),
    ],
)
def test_a_path_may_name_a_language(path: str, language: str) -> None:
    assert Neighbours().language(path) == language


def test_most_files_of_a_folder_tell_the_language_of_the_others() -> None:
    neighbours = Neighbours()
    for i in range(5):
        neighbours.note(f"/notes/house/{i}.txt", "sv")
    assert neighbours.language("/notes/house/x.txt") == "sv"
    assert neighbours.language("/notes/garden/x.txt") == "sv"
    assert neighbours.language("/other/x.txt") == ""
    for i in range(3):
        neighbours.note(f"/notes/house/en{i}.txt", "en")
    assert neighbours.language("/notes/house/x.txt") == ""


def test_four_files_are_too_few() -> None:
    neighbours = Neighbours()
    for i in range(4):
        neighbours.note(f"/notes/{i}.txt", "sv")
    assert neighbours.language("/notes/x.txt") == ""


def test_a_file_that_does_not_tell_is_read_in_the_language_of_its_neighbours(tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("Wärmepumpe Ersatzteil 4711")
    for prior, language in (("", "en"), ("de", "de")):
        read = answer(ReadRequest(str(note).encode(), 10_000, 200, 20, language=prior))
        assert isinstance(read, Read)
        assert read.language == language
