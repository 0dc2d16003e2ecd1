"""Words in all their spellings: accents left out, compounds, British and American, options and signs, one word of a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from ragchat.retrieval.analyzer import length, query_terms, query_words, shared_dfs, terms
from ragchat.retrieval.compounds import compounds, parts, with_compounds
from ragchat.retrieval.han import simplified
from ragchat.retrieval.variants import english


def finds(language: str, written: str, typed: str) -> bool:
    """Whether every word of a query finds a text."""
    held = set(terms(written, language))
    words = [word for word in query_words(typed, (language,)) if not word.word.endswith("*")]
    return bool(words) and all(not held.isdisjoint(word.terms) for word in words)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("colour", "color"),
        ("favourites", "favorites"),
        ("behavioural", "behavioral"),
        ("organise", "organize"),
        ("serialisation", "serialization"),
        ("analysed", "analyzed"),
        ("centre", "center"),
        ("kilometres", "kilometers"),
        ("catalogue", "catalog"),
        ("dialogues", "dialogs"),
        ("licence", "license"),
        ("defence", "defense"),
        ("labelled", "labeled"),
        ("modelling", "modeling"),
        ("fulfilment", "fulfillment"),
        ("programme", "program"),
        ("grey", "gray"),
        ("anaemia", "anemia"),
        ("archaeology", "archeology"),
        ("manoeuvre", "maneuver"),
        ("mice", "mouse"),
        ("children", "child"),
        ("indices", "index"),
        ("indexes", "index"),
        ("analyses", "analysis"),
        ("criteria", "criterion"),
        ("matrices", "matrix"),
        ("vertices", "vertex"),
        ("geese", "goose"),
        ("knives", "knife"),
        ("women", "woman"),
        ("U.S.", "US"),
        ("U.S.A.", "USA"),
    ],
)
def test_two_spellings_of_an_english_word_find_each_other(first: str, second: str) -> None:
    assert finds("en", f"the {first} there", second)
    assert finds("en", f"the {second} there", first)


@pytest.mark.parametrize(
    ("first", "second"), [("Ph.D.", "PhD"), ("O'Brien", "OBrien"), ("20,000", "20000"), ("e.g.", "eg")]
)
def test_a_word_in_pieces_has_a_term_in_common_with_the_whole(first: str, second: str) -> None:
    assert second.lower() in terms(first)
    assert second.lower() in query_terms(first)


@pytest.mark.parametrize(
    "word",
    [
        *(
            "four",
            "hour",
            "tour",
            "your",
            "sour",
            "source",
            "course",
            "tournament",
            "promise",
            "exercise",
            "wise",
            "otherwise",
        ),
        *(
            "paradise",
            "improvise",
            "timbre",
            "hatred",
            "rogue",
            "vogue",
            "called",
            "rolled",
            "small",
            "miscellaneous",
            "israel",
        ),
        *("phoenix", "leaves", "axis", "raise"),
    ],
)
def test_words_that_only_look_british_stay(word: str) -> None:
    assert english(word) == word


def test_what_stands_in_capitals_is_no_stop_word() -> None:
    assert finds("en", "The US army moved north.", "US army")
    assert not finds("en", "They told us of the army.", "US army")
    assert "US" not in query_terms("tell us of the army")
    assert query_terms("WHAT DO THEY TELL US OF THE ARMY") == query_terms("what do they tell us of the army")


@pytest.mark.parametrize(
    ("language", "written", "typed"),
    [
        ("vi", "Đường về nhà không xa", "duong khong"),
        ("pl", "Źródło znajduje się za łąką", "zrodlo laka"),
        ("tr", "Şehir ışıkları gözüküyor", "sehir isiklari"),
        ("tr", "İstanbul köprüsü", "istanbul koprusu"),
        ("tr", "İstanbul köprüsü", "Istanbul koprusu"),
        ("cs", "Příliš žluťoučký kůň", "prilis zlutoucky kun"),
        ("sv", "Färjan går till ön", "farjan"),
        ("hu", "A szőlő érik", "szolo"),
    ],
)
def test_words_are_found_when_their_accents_are_not_typed(language: str, written: str, typed: str) -> None:
    assert finds(language, written, typed)


def test_accents_that_are_typed_count() -> None:
    assert query_terms("đường viet", ("vi",)).keys() == {"đường", "viet"}
    assert not finds("vi", "má", "mà")
    assert finds("vi", "má", "ma")


def test_second_spellings_do_not_lengthen_a_text() -> None:
    assert length(terms("đường", "vi"), "vi") == 1 < len(terms("đường", "vi"))
    assert length(terms("Wärmepumpe", "de"), "de") == length(terms("Pumpe", "de"), "de")


class Vocabulary:
    """The terms of a text, as an index looks them up."""

    def __init__(self, text: str, language: str) -> None:
        self.terms = sorted(set(terms(text, language)))

    def dfs(self, wanted: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(set(wanted).intersection(self.terms), 1)

    def beginning(self, prefix: str, most: int) -> Mapping[str, int]:
        found = [term for term in self.terms if term.startswith(prefix) and term != prefix]
        return dict.fromkeys(found[:most], 1)


@pytest.mark.parametrize(
    ("language", "compound", "asked"),
    [
        ("de", "Wärmepumpe", "Pumpe"),
        ("de", "Wärmepumpen", "Pumpe"),
        ("de", "Zahnarztrechnung", "Rechnungen"),
        ("nl", "boekenkast", "kast"),
        ("sv", "bokhyllan", "hyllan"),
        ("da", "varmepumpen", "pumpe"),
        ("no", "sykkelkjeden", "kjede"),
        ("fi", "lämpöpumppu", "pumppu"),
        ("hu", "kerékpárlánc", "lánc"),
    ],
)
def test_the_last_part_finds_a_compound(language: str, compound: str, asked: str) -> None:
    vocabulary = Vocabulary(compound, language)
    words = query_words(asked, (language,))
    found = compounds(words, (language,), vocabulary.beginning)
    assert set(terms(compound, language)).intersection(*found.values())


@pytest.mark.parametrize(("text", "asked"), [("Partei", "Ei"), ("Drang", "Rang"), ("pump", "Pumpe")])
def test_an_ending_is_not_yet_a_part(text: str, asked: str) -> None:
    assert not compounds(query_words(asked, ("de",)), ("de",), Vocabulary(text, "de").beginning)


def test_languages_without_compounds_are_not_looked_at() -> None:
    assert not compounds(query_words("pump", ("en",)), ("en",), Vocabulary("heatpump", "de").beginning)


def test_a_compound_is_split_where_both_parts_are_words_of_the_collection() -> None:
    words = query_words("Zeitungsartikel", ("de",))
    known = Vocabulary("Die Zeitung von heute hat einen Artikel darüber.", "de")
    assert set(parts(words, ("de",), known.dfs)) == {terms("Zeitung", "de")[0], terms("Artikel", "de")[0]}
    assert parts(words, ("de",), Vocabulary("Die Zeitung von heute.", "de").dfs) == []


def test_the_first_part_finds_a_compound_by_its_beginning() -> None:
    for asked in ("Paket", "Pakete"):
        assert not set(query_terms(asked, ("de",))).isdisjoint(terms("Paketdienst", "de"))


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("scp [-r] [-R] file", "what does -R do"),
        ("  --delete   delete what is not there", "--delete"),
        ("Use `--dry-run` first.", "--dry-run"),
        ("date +%D or %H", "%D"),
        ('"$@" keeps words apart, $* does not', "$@"),
        ("the status is in $?", "what is $?"),
        ("[[ $a =~ b ]]", "the =~ operator"),
        ("p -> next", "->"),
        ("if (a && b)", "&&"),
        ("a != b", "!="),
        ("7 // 2", "what does // do"),
    ],
)
def test_options_and_signs_are_words(written: str, typed: str) -> None:
    sign = next(word for word in query_words(typed) if not word.word[0].isalnum())
    assert not set(sign.terms).isdisjoint(terms(written))


def test_upper_and_lower_case_are_two_options() -> None:
    assert set(query_terms("-R")) - set(terms("ls -r")) == {"-R"}


@pytest.mark.parametrize(
    "text", ["well-known", "a - b", "=====", "1-2", "50%d", "- item", "x--y", "**bold**", "https://a.b/c"]
)
def test_punctuation_is_no_sign(text: str) -> None:
    assert all(term[0].isalnum() for term in terms(text))


def test_traditional_and_simplified_chinese_are_one() -> None:
    assert terms("學習國語", "zh") == terms("学习国语", "zh")
    assert len(simplified()) > 2000


def test_the_variants_of_a_word_are_told_with_their_languages() -> None:
    (word,) = (word for word in query_words("running", ("en", "fr")) if not word.word.endswith("*"))
    assert word.terms == {"run": frozenset({"en"}), "running": frozenset({"fr"})}
    assert query_terms("running", ("en", "fr")) == {"run": 1, "running": 1}


def test_the_words_of_a_query_add_up_to_its_terms() -> None:
    words = query_words("get_name of getName twice twice", ("en", "de"))
    counted: dict[str, int] = {}
    for word in words:
        for term in word.terms:
            counted[term] = counted.get(term, 0) + word.count
    assert counted == query_terms("get_name of getName twice twice", ("en", "de"))
    assert {word.word: word.count for word in words}["twice"] == 2


def test_all_variants_of_a_word_have_one_document_frequency() -> None:
    words = query_words("running shoes", ("en", "fr"))
    dfs = {"run": 40, "running": 2, "shoe": 3}
    assert shared_dfs(words, dfs, 1000) == {"run": 42, "running": 42, "shoe": 3}
    assert shared_dfs(words, dfs, 41)["run"] == 41


def test_compounds_share_the_document_frequency_of_their_word() -> None:
    words = with_compounds(query_words("Pumpe", ("de",)), {"pumpe": ["warmepump"]})
    assert shared_dfs(words, {"pump": 5, "warmepump": 2, "pumpe*": 9}, 100) == {
        "pump": 7,
        "warmepump": 7,
        "pumpe*": 9,
    }
