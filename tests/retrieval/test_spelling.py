"""Words that no text holds: what is searched for in their place, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ragchat.cli import ragchat
from ragchat.retrieval import spelling
from ragchat.retrieval.analyzer import query_terms
from ragchat.retrieval.expansion import CORRECTION, OTHER_CORRECTION, Expansion, expand_unknown
from ragchat.retrieval.index import write_document
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.retrieval.spelling import ACCENT, CHANGED, FIRST_LETTER, SWAPPED, Correction
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.store.portable import export_knowledge_base
from ragchat.types import ChunkDraft, Span

TEXTS = {
    "jelly.md": "Carrageenan makes a firm jelly out of milk. It comes from red seaweed.",
    "kettle.md": "The kettle needs descaling once a month. Vinegar will do.",
    "bridge.md": "The requirements for the bridge were written down in 1911 by an engineer from Hobart.",
    "engine.md": "An engine of this size burns two litres an hour. Its engineer retired.",
    "code.md": "Set MAX_RETRIES in settings.toml; the flag -v5 tells more. NASA wrote it.",
}


def stored(folder: Path, name: str, texts: Mapping[str, str], language: str = "en") -> KnowledgeStore:
    store = KnowledgeStore.create(folder, name)
    for path, text in texts.items():
        write_document(
            store,
            FileRecord(path, len(text), 0, language=language),
            [ChunkDraft(text, "", Span(0, len(text), 1, 1))],
        )
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    store = stored(tmp_path, "notes", TEXTS)
    yield store
    store.close()


def expanded(store: KnowledgeStore, query: str, *, correct: bool = True) -> Expansion:
    languages = store.languages()
    return expand_unknown(query, query_terms(query, languages), [store], languages, correct=correct)


def found(store: KnowledgeStore, query: str, *, correct: bool = True) -> SearchResult:
    return Searcher([store]).search(query, 3, correct=correct)


# --- edits ----------------------------------------------------------------------------------------------


def test_every_kind_of_edit_is_one_edit_away_and_has_its_cost() -> None:
    near = spelling.edited("kettle", "abcdefghijklmnopqrstuvwxyz")
    assert {"ketle", "kettles", "kettls", "ktetle"} <= near.keys()
    assert near["ktetle"] == SWAPPED
    assert near["kettls"] == CHANGED
    assert near["nettle"] == CHANGED + FIRST_LETTER
    assert near["ketle"] < near["kettl"]
    assert "kettle" not in near


def test_an_accent_costs_nothing() -> None:
    assert spelling.edited("wrocław", "abcłl")["wroclaw"] == CHANGED  # another letter to its readers
    assert spelling.edited("žena", "zž")["zena"] == ACCENT


def test_one_changed_letter_makes_another_word_of_a_short_one() -> None:
    near = spelling.edited("kind", "abcdefghijklmnopqrstuvwxyz")
    assert "king" not in near
    assert "knid" in near


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("carageenan", ["carageenan"]),
        ("Carageenan's", ["Carageenan"]),
        ("red-seweed", ["seweed"]),
        ("abc", []),
        ("E-1042", []),
        ("v1.2.3", []),
        ("MAX_RETRIES", []),
        ("getNmae", []),
        ("NSAA", []),
        ("settings.tmol", []),
        ("x" * 31, []),
        ("água-marinha", ["água", "marinha"]),
        ("ελέφαντας", ["ελέφαντας"]),
        ("नमस्ते", ["नमस्ते"]),
        ("도서관에서", []),
        ("ภาษาไทย", []),
    ],
)
def test_which_words_may_be_misspelled(token: str, words: list[str]) -> None:
    assert spelling.parts(token) == words


def test_capitals_say_nothing_where_all_is_in_capitals() -> None:
    assert spelling.parts("CARAGEENAN", capitals=True) == ["CARAGEENAN"]


@pytest.mark.parametrize(
    ("language", "first", "some"),
    [("en", "w", "az"), ("pl", "w", "ł"), ("ru", "д", "аяё"), ("hi", "न", "मा")],
)
def test_a_word_gets_letters_of_its_own_alphabet(language: str, first: str, some: str) -> None:
    letters = spelling.alphabet(language, first)
    assert set(some) <= set(letters)
    assert (first <= "z") == ("a" in letters)


def test_a_latin_word_in_texts_of_another_script_gets_latin_letters() -> None:
    assert "a" in spelling.alphabet("ru", "w")


def test_the_frequent_word_wins_and_the_much_less_likely_are_left_out() -> None:
    known = {"margin": 500, "marzin": 2, "marlin": 400}

    class Vocabulary:
        def dfs(self, terms: Collection[str]) -> Mapping[str, int]:
            return {term: known[term] for term in terms if term in known}

        def of_length(self, prefix: str, shortest: int, longest: int, most: int) -> Mapping[str, int]:
            raise AssertionError("a word one edit away is enough")

    candidates = spelling.candidates(["marfin"], ["en"], Vocabulary())["marfin"]
    assert [candidate.terms[0] for candidate in candidates] == ["margin", "marlin"]


# --- what is searched for -------------------------------------------------------------------------------


def test_a_query_of_known_words_stays_as_it_is(store: KnowledgeStore) -> None:
    query = "requirements for the bridge"
    expansion = expanded(store, query)
    assert expansion == Expansion(query, dict.fromkeys(query_terms(query), 1.0))


def test_a_misspelled_word_gives_way_to_the_word_of_the_texts(store: KnowledgeStore) -> None:
    expansion = expanded(store, "What is Carageenan?")
    assert expansion.query == "What is Carrageenan?"
    assert expansion.asked == {"carrageenan": CORRECTION}
    assert [(one.word, one.by) for one in expansion.corrections] == [("Carageenan", "carrageenan")]


def test_a_slip_inside_an_ending_finds_the_stem(store: KnowledgeStore) -> None:
    expansion = expanded(store, "reqiurements and requiremetns")
    assert expansion.query == "requirements and requirements"
    assert expansion.asked == {"requir": CORRECTION}


def test_a_long_word_may_have_two_slips(store: KnowledgeStore) -> None:
    expansion = expanded(store, "carageenen")
    assert expansion.query == "carrageenan"
    assert expanded(store, "vinnegr").corrections == ()  # too short for two
    assert expanded(store, "karageenan").corrections == ()  # begins otherwise


@pytest.mark.parametrize(
    ("word", "other", "edits"),
    [("carrageenan", "carrageenan", 0), ("carrageenan", "carageenan", 1), ("carrageenan", "carargeenan", 1),
     ("carrageenan", "carageenen", 2), ("carrageenan", "crargaeenan", 2), ("carrageenan", "carrageen", 2),
     ("carrageenan", "caraginan", 3), ("engineers", "pioneers", 3), ("abcd", "", 3)],
)  # fmt: skip
def test_edits_between_two_words(word: str, other: str, edits: int) -> None:
    assert spelling._edits_between(word, other) == edits
    assert spelling._edits_between(other, word) == edits


def test_without_corrections_nothing_is_replaced(store: KnowledgeStore) -> None:
    expansion = expanded(store, "carageenan milk", correct=False)
    assert (expansion.query, expansion.weights, expansion.corrections) == ("carageenan milk", {}, ())


def test_words_of_an_exact_phrase_are_not_corrected(store: KnowledgeStore) -> None:
    query = "carageenan from seweed"
    expansion = expand_unknown(query, query_terms(query), [store], ["en"], phrases=["carageenan"])
    assert expansion.query == "carageenan from seaweed"


def test_words_that_could_be_meant_as_well_have_a_lower_weight(tmp_path: Path) -> None:
    texts = {f"{n}.md": "The barley was cut." for n in range(3)} | {"a.md": "The parley was long."}
    store = stored(tmp_path, "two", texts)
    expansion = expanded(store, "varley harvest")
    assert expansion.query == "barley harvest"
    assert expansion.weights == {"barley": CORRECTION, "parley": OTHER_CORRECTION}
    store.close()


def test_identifiers_and_numbers_are_never_corrected(store: KnowledgeStore) -> None:
    for query in ("MAX_RETRYES", "settings.tomm", "-v6", "NSAA wrote", "1912"):
        assert expanded(store, query).corrections == ()


def test_a_word_corrected_to_a_stop_word_is_not_asked_for(tmp_path: Path) -> None:
    store = stored(tmp_path, "stops", {"a.md": "This is which boat sails, and which does not."})
    assert expanded(store, "wihch boat").asked == {"boat": 1.0}
    store.close()


def test_each_language_of_the_texts_corrects_in_its_own_way(tmp_path: Path) -> None:
    german = stored(tmp_path, "de", {"a.md": "Die Wärmepumpe braucht einen Pufferspeicher."}, "de")
    russian = stored(tmp_path, "ru", {"b.md": "Насос стоит в подвале рядом с котлом."}, "ru")
    assert expanded(german, "Wärmepmupe").query == "Wärmepumpe"
    assert expanded(german, "Warmepunpe").corrections[0].terms
    assert expanded(russian, "нассос").query == "насос"
    german.close()
    russian.close()


def test_a_word_without_its_accents_is_not_misspelled(tmp_path: Path) -> None:
    polish = stored(tmp_path, "pl", {"a.md": "Wrocław leży nad Odrą, a wrocłau nie ma."}, "pl")
    assert expanded(polish, "wroclaw").corrections == ()
    assert expanded(polish, "wroclw").query == "wroclaw"
    polish.close()


def test_a_compound_of_known_words_and_a_part_of_one_are_not_misspelled(tmp_path: Path) -> None:
    text = "Die Wärmepumpe steht neben dem Speicher. Ein Pfaffe geht vorbei, die Lumpe nicht."
    german = stored(tmp_path, "de", {"a.md": text}, "de")
    assert expanded(german, "Pumpe").corrections == ()
    assert expanded(german, "Wärmepumpenspeicher").corrections == ()
    assert expanded(german, "Wärmepumqe").query == "Wärmepumpe"
    german.close()


# --- searches -------------------------------------------------------------------------------------------


def test_a_misspelled_query_finds_what_it_means_and_says_so(store: KnowledgeStore) -> None:
    result = found(store, "carageenan")
    assert [hit.path for hit in result.hits] == ["jelly.md"]
    assert [(one.word, one.by.lower()) for one in result.corrections] == [("carageenan", "carrageenan")]
    assert not found(store, "carageenan", correct=False).hits


def test_a_correction_counts_as_held_by_the_documents(store: KnowledgeStore) -> None:
    typed, meant = found(store, "carageenan jelly"), found(store, "carrageenan jelly")
    assert typed.match == pytest.approx(meant.match)
    assert typed.confidence == pytest.approx(meant.confidence, abs=0.1)
    assert "carageenan" not in typed.unknown


def test_the_correction_is_written_as_the_documents_write_it() -> None:
    corrections = [
        Correction("percentage", "percentate", ("percent",)),
        Correction("lfow", "flow", ("flow", "low")),
    ]
    texts = [("Low and Percent.", "en"), ("Flows, flow.", "en")]
    assert [one.by for one in spelling.as_found(corrections, texts)] == ["Percent", "flow"]
    assert spelling.as_found(corrections, [("Nothing of it.", "en")]) == ()


def test_the_command_line_says_what_it_searched_for(store: KnowledgeStore, tmp_path: Path) -> None:
    copy, runner = tmp_path / "notes.ragkb", CliRunner()
    export_knowledge_base(store, copy)

    def run(*options: str) -> Result:
        home = {"RAGCHAT_HOME": str(tmp_path / "home")}
        return runner.invoke(ragchat, ["kb", "search", "--file", str(copy), "carageenan", *options], env=home)

    assert "instead of “carageenan”" in run().stderr
    assert [one["word"] for one in json.loads(run("--json").stdout)["corrections"]] == ["carageenan"]
    assert json.loads(run("--json", "--exact").stdout)["hits"] == []
