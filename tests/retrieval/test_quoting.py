"""What is quoted: the sentence that adds what was asked for, whole blocks, no overlap, and a chance that tells them apart."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.retrieval import quoting
from ragchat.retrieval.asking import Kind, kinds, language_of
from ragchat.retrieval.blocks import LONGEST_BLOCK, block_spans, whole
from ragchat.retrieval.quoting import quote
from ragchat.retrieval.sentences import sentence_spans
from ragchat.types import Hit, Span


def hit(text: str, *, score: float = 10.0, rank: int = 1, heading: str = "", language: str = "en") -> Hit:
    span = Span(0, len(text), 1, text.count("\n") + 1, file_line_first=1, file_line_last=text.count("\n") + 1)
    path = f"/notes/{rank}.md"
    return Hit(rank, score, "kb", rank, rank, path, "", heading, span, text, "hash", language=language)


def quoted(question: str, *texts: str, language: str = "en", heading: str = "") -> list[str]:
    hits = [
        hit(text, score=10.0 - n, rank=n + 1, language=language, heading=heading)
        for n, text in enumerate(texts)
    ]
    return [one.text for one in quote(question, hits)]


HARBOUR = (
    "The Petrel is a ferry of the northern line. The Petrel was built by Anna Lindqvist in Bergen. "
    "The Petrel was launched in 1931 and refitted after the war. She carries 240 passengers and 12 lorries. "
    "The ferry was laid up because the boiler had cracked."
)


@pytest.mark.parametrize(
    ("question", "holds"),
    [
        ("Who built the Petrel?", "Anna Lindqvist"),
        ("When was the Petrel launched?", "1931"),
        ("How many passengers does the Petrel carry?", "240"),
        ("Where was the Petrel built?", "Bergen"),
        ("Why was the ferry laid up?", "boiler"),
        ("What is the Petrel?", "is a ferry"),
    ],
)
def test_the_sentence_that_adds_what_was_asked_for_is_first(question: str, holds: str) -> None:
    assert holds in quoted(question, HARBOUR)[0]


def test_of_two_sentences_with_the_same_words_the_one_with_a_date_answers_when() -> None:
    text = "The bridge was opened by the king. The bridge was opened in May 1904. The bridge was opened with music."
    assert quoted("When was the bridge opened?", text)[0] == "The bridge was opened in May 1904."


def test_a_pronoun_takes_the_words_of_the_sentence_before() -> None:
    text = "The lighthouse of Skagen was designed by an engineer. He was Hans Bernt. Many ships pass it each day."
    assert any("Hans Bernt" in said for said in quoted("Who designed the lighthouse of Skagen?", text))


@pytest.mark.parametrize(
    ("language", "question", "text", "holds"),
    [
        (
            "de",
            "Wann wurde die Brücke eröffnet?",
            "Die Brücke wurde vom König eröffnet. Die Brücke wurde 1904 eröffnet.",
            "1904",
        ),
        ("fr", "Combien pèse le bateau ?", "Le bateau pèse lourd. Le bateau pèse 240 tonnes.", "240"),
        ("zh", "黑豹队丢了多少分？", "黑豹队的防守很强。黑豹队丢了308分。", "308"),
    ],
)
def test_other_languages_have_kinds_too(language: str, question: str, text: str, holds: str) -> None:
    assert holds in quoted(question, text, language=language)[0]


def test_two_quotes_at_most_and_they_do_not_overlap() -> None:
    hits = [hit(HARBOUR), hit(HARBOUR.upper(), rank=2, score=9.0)]
    found = quote("Who built the Petrel and when?", hits)
    assert len(found) == 2
    spans = [(one.hit.chunk_id, one.first, one.last) for one in found]
    assert spans[0][0] != spans[1][0] or spans[0][2] <= spans[1][1] or spans[1][2] <= spans[0][1]
    for one in found:
        assert one.text == one.hit.text[one.first : one.last]
        assert one.text.strip() == one.text


def test_one_sentence_alone_gives_one_quote() -> None:
    assert quoted("Where is the key?", "The key is below the mat.") == ["The key is below the mat."]


def test_nothing_is_quoted_without_hits_or_words() -> None:
    assert quote("Where is the key?", []) == ()
    assert quote("", [hit("The key is below the mat.")]) == ()
    assert quote("Where is the key?", [hit("")]) == ()


def test_a_code_block_brings_the_sentence_that_leads_to_it() -> None:
    text = (
        "# Files\n\nFiles are kept in a tree.\n\nTo remove a file from the index, use\n\n```\n$ git rm path/to/file\n```\n\n"
        "Nothing else changes."
    )
    found = quoted("how do I remove a file from the index", text)[0]
    assert "To remove a file" in found
    assert "$ git rm path/to/file\n```" in found


def test_a_small_table_is_kept_whole() -> None:
    table = "| Item | Limit |\n| --- | --- |\n| database size | unlimited |\n| relation size | 32 TB |"
    text = f"Limits apply.\n\n{table}\n\nOther limits are set by the disk."
    assert any(table in said for said in quoted("what is the limit of the relation size", text))


def test_a_term_keeps_its_definition() -> None:
    text = (
        "globstar\n  If set, two stars match all files and folders. A slash after them leaves folders alone.\n\n"
        "nocaseglob\n  If set, letters match in either case."
    )
    found = quoted("globstar", text)[0]
    assert found.startswith("globstar")
    assert found.endswith("folders alone.")


def test_a_heading_alone_is_no_quote() -> None:
    text = "## Essential packages\n\nA package is essential when the system cannot run without it.\n\nFew packages are."
    for said in quoted("What is an essential package?", text):
        assert not (said.startswith("#") and "\n" not in said)


def test_lines_that_send_you_elsewhere_give_way() -> None:
    text = "See also process substitution.\n\nProcess substitution refers to the input of a process by a file name."
    assert quoted("what is process substitution", text)[0].startswith("Process substitution refers")


def test_a_passage_in_the_other_language_does_not_come_first_for_its_score() -> None:
    german = hit("Die Fähre fährt um 9 Uhr. Die Fähre hält in Bergen.", language="de", score=5.0)
    english = hit("Die Fähre (the ferry) leaves at 10. Die Fähre stops.", rank=2, score=9.0)
    assert quote("Wann fährt die Fähre ab?", [german, english])[0].hit is german


def test_the_chance_is_higher_where_the_answer_is_there() -> None:
    question = "How many passengers does the ferry Petrel carry?"
    there = quote(question, [hit(HARBOUR, score=14.0)])
    elsewhere = hit("The museum shows a ferry. It opens at nine. Children pay half of the price.", score=3.0)
    gone = quote(question, [elsewhere])
    assert 0 < gone[0].chance < there[0].chance < 1


def test_the_same_question_gives_the_same_quotes() -> None:
    hits = [hit(HARBOUR), hit(HARBOUR, rank=2)]
    assert quote("Who built the Petrel?", hits) == quote("Who built the Petrel?", hits)


def test_only_the_first_hits_are_read() -> None:
    many = [hit("Nothing of it is said here.", rank=n) for n in range(1, quoting.HITS + 1)]
    last = hit("The key is below the mat.", rank=quoting.HITS + 1)
    assert all(one.hit is not last for one in quote("Where is the key?", [*many, last]))


def test_long_passages_take_milliseconds() -> None:
    long = " ".join(f"Sentence {n} speaks of ferry number {n} and its captain." for n in range(40))
    hits = [hit(long, rank=n) for n in range(1, 9)]
    quote("Who is the captain of ferry 12?", hits)
    started = time.process_time()
    quote("Who is the captain of ferry 13?", hits)
    assert time.process_time() - started < 0.25


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=400), st.lists(st.text(max_size=700), max_size=3))
def test_any_text_gives_stretches_of_its_hits(question: str, texts: list[str]) -> None:
    hits = [hit(text, rank=n, score=1.0 / n) for n, text in enumerate(texts, 1)]
    for one in quote(question, hits):
        assert 0 <= one.first < one.last <= len(one.hit.text)
        assert 0 <= one.chance <= 1


# --- blocks -----------------------------------------------------------------------------------------------


def blocks(text: str) -> list[str]:
    return [text[first:last] for first, last in block_spans(text, sentence_spans(text))]


def test_prose_has_no_blocks() -> None:
    assert blocks(HARBOUR) == []


def test_a_list_is_one_block_with_its_lead() -> None:
    text = "Bring these:\n\n- a rope\n- a lamp\n  with oil\n- bread\n\nThen go."
    assert blocks(text) == ["Bring these:\n\n- a rope\n- a lamp\n  with oil\n- bread"]


def test_a_list_does_not_take_a_sentence_that_has_ended() -> None:
    assert blocks("That is all.\n\n- a rope\n- a lamp") == ["- a rope\n- a lamp"]


def test_items_of_a_long_list_are_blocks_of_their_own() -> None:
    items = [f"- item {n} {'word ' * 40}".rstrip() for n in range(5)]
    found = blocks("\n".join(items))
    assert found == items


def test_a_fence_holds_blank_lines_and_what_looks_like_a_list() -> None:
    fence = "```\na = 1\n\n- b\n| c\n```"
    assert blocks(f"Done.\n\n{fence}\n\nMore.") == [fence]


def test_a_long_fence_gives_its_lead_and_first_lines() -> None:
    fence = "```\n" + "\n".join(f"line {n} of the listing" for n in range(60)) + "\n```"
    found = blocks(f"Type this:\n\n{fence}")
    assert len(found) == 1
    assert found[0].startswith("Type this:")
    assert len(found[0]) <= LONGEST_BLOCK


def test_an_open_fence_ends_with_the_text() -> None:
    assert blocks("```\nx = 1") == ["```\nx = 1"]


@given(st.text(alphabet="ab.:|-#`> \n", max_size=200))
def test_blocks_lie_within_the_text(text: str) -> None:
    for first, last in block_spans(text, sentence_spans(text)):
        assert 0 <= first < last <= len(text)
        assert last - first <= LONGEST_BLOCK


def test_the_smallest_block_around_a_span() -> None:
    assert whole(5, 6, [(0, 20), (4, 9), (10, 12)]) == (4, 9)
    assert whole(15, 30, [(0, 20)]) == (15, 30)


# --- what is asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Who wrote it?", Kind.PERSON),
        ("In what year did it open?", Kind.TIME),
        ("And when did it open?", Kind.TIME),
        ("How long is the line?", Kind.AMOUNT),
        ("Where does it end?", Kind.PLACE),
        ("Why is it red?", Kind.REASON),
        ("How can I undo it?", Kind.WAY),
        ("Which config option turns it off?", Kind.COMMAND),
        ("What is a hard link?", Kind.MEANING),
        ("sticky bit on a directory", Kind.TOPIC),
        ("Wer hat es geschrieben?", Kind.PERSON),
        ("Wieviel RAM brauche ich?", Kind.AMOUNT),
        ("Warum ist es rot?", Kind.REASON),
        ("Qui l'a écrit ?", Kind.PERSON),
        ("¿Dónde está el puerto?", Kind.PLACE),
        ("Quanti passeggeri ha il traghetto?", Kind.AMOUNT),
        ("Quando abriu a ponte?", Kind.TIME),
        ("Waarom is het rood?", Kind.REASON),
        ("桥是什么时候开的？", Kind.TIME),
        ("ใครเป็นผู้เขียน", Kind.PERSON),
        ("橋はいつ開きましたか", Kind.TIME),
    ],
)
def test_what_is_asked_for(question: str, kind: Kind) -> None:
    assert kind in kinds(question)


@pytest.mark.parametrize(
    "question",
    [
        "make git blame skip the commit where we reformatted all the code",
        "name the man who came second",
        "what happens to the light when it is dark",
    ],
)
def test_words_that_join_clauses_do_not_ask(question: str) -> None:
    assert kinds(question).isdisjoint({Kind.PLACE, Kind.PERSON, Kind.TIME})


def test_a_length_is_no_way() -> None:
    assert kinds("How long does it take?") == {Kind.AMOUNT}


def test_the_language_of_a_question() -> None:
    assert language_of("Was ist das und wo liegt es?") == "de"
    assert language_of("橋はいつ開きましたか") == "ja"
    assert language_of("noclobber") == ""


def test_a_quote_begins_behind_its_heading() -> None:
    text = "## What a lamp is\n\nA lamp is a thing that gives light. It needs oil.\n\n## What a pump is\n\nA pump moves water."
    (first, *_) = quote("What is a lamp?", [hit(text)])
    assert first.text.startswith("A lamp is a thing")
