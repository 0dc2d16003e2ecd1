"""What is a statement, and when it is supported: words, numbers, units, names, negations and what they are said of."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.session.alignment import align, clauses
from ragchat.session.claims import Kind, read
from ragchat.session.refusals import declines
from ragchat.session.statements import check
from ragchat.types import Citation, Hit, Reason, ReasonKind, Span, Statement, Verdict

YES, PARTLY, NO = Verdict.SUPPORTED, Verdict.PARTLY, Verdict.NOT_FOUND

MANUAL = (
    "The Zephyr pump must be primed for forty seconds before every start. Its warranty lasts seven years. Alcohol is not "
    "reimbursed by the company. Orders of more than 1,250 euros need two signatures. Press F10 to leave the menu without "
    "saving. The tank holds 5 GB of logs until 3 March 2024. Rollo, a leader of the Normans, defeated Charles at Chartres "
    "in 911 and was baptised later. Only members of the board may open the archive. It is a myth that the pump runs dry. "
    "Ada Brook wrote the novel of the whale."
)
GERMAN = (
    "Die Kündigungsfrist für Mieter beträgt drei Monate. Der Vermieter darf die Kaution von 1.000,50 Euro nicht behalten. Die"
    " Heizung wird am 1. Oktober 2023 eingeschaltet. Müller verklagte Schmidt im Mai vor dem Landgericht."
)
CHINESE = "黑豹队的防守只丢了308分，在联赛中排名第六。他们没有赢得超级碗。该球队成立于1995年。"
THAI = "ทีมรับของแพนเธอร์สเสียคะแนน 308 คะแนน และได้อันดับที่หกของลีก ทีมนี้ไม่ได้ชนะซูเปอร์โบวล์ ทีมก่อตั้งในปี 1995"


def offer(*texts: str, language: str = "en", heading: str = "") -> list[Citation]:
    span = Span(0, 1, 1, 1)
    return [
        Citation(
            n, Hit(n, 1.0, "kb", n, n, f"/{n}.md", "", heading, span, text, "hash", "", language=language), ""
        )
        for n, text in enumerate(texts, 1)
    ]


def one(answer: str, *texts: str, question: str = "", language: str = "en", heading: str = "") -> Statement:
    found = check(answer, offer(*(texts or (MANUAL,)), language=language, heading=heading), question)
    assert len(found) == 1, found
    return found[0]


# --- what is a statement --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "statements"),
    [
        ("The pump is blue. It is loud [1].", ["The pump is blue.", "It is loud [1]."]),
        ("Here are the steps:\n\n1. Open the valve.\n2. Wait.", ["Open the valve.", "Wait."]),
        ("- open the valve\n- wait", ["open the valve", "wait"]),
        ("# Pumps\n\nThe pump is blue.", ["The pump is blue."]),
        ("Is it blue? The pump is blue.", ["The pump is blue."]),
        ("The passages do not say how loud it is.", []),
        ("Die Dokumente enthalten dazu keine Angaben.", []),
        ("Sure! Here is what I found.", []),
        ("The question is unclear.", []),
        ("| pump | years |\n|---|---|\n| Zephyr | 7 |", ["| pump | years |", "| Zephyr | 7 |"]),
        (
            "Run this:\n```\n$ zephyr --prime\n# a comment\n```\nDone twice.",
            ["$ zephyr --prime", "Done twice."],
        ),
        ("Yes. The pump is blue.", ["The pump is blue."]),
        ("No.", ["No."]),
        ("", []),
        ("***", []),
        ("它是蓝色的。它很响。", ["它是蓝色的。", "它很响。"]),
        ("Am 1. Oktober wird geheizt. Es ist warm.", ["Am 1. Oktober wird geheizt.", "Es ist warm."]),
    ],
)
def test_statements(answer: str, statements: list[str]) -> None:
    found = check(answer, offer(MANUAL))
    assert [s.text for s in found] == statements
    for statement in found:
        assert answer[statement.first : statement.last] == statement.text


def test_without_passages_there_is_nothing_to_compare_with() -> None:
    assert check("The pump is blue.", []) == ()


# --- supported --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "Its warranty lasts seven years.",
        "The warranty lasts 7 years.",
        "The Zephyr pump must be primed for 40 seconds.",
        "The pump must be primed for forty seconds before every start.",
        "According to the passage, alcohol is not reimbursed.",
        "Orders of more than 1250 euros need two signatures.",
        "Rollo defeated Charles at Chartres in 911.",
        "In 911 Rollo defeated Charles at Chartres.",
        "Rollo was baptised later.",
        "The Zephyr pump warranty lasts seven years.",
        "Only members of the board may open the archive.",
    ],
)
def test_what_a_passage_says_is_supported(answer: str) -> None:
    found = one(answer)
    assert found.verdict is YES, found
    assert found.citation == 1
    assert found.compared in MANUAL


def test_a_quoted_sentence_says_so() -> None:
    assert one("Its warranty lasts seven years.").reason == Reason(ReasonKind.QUOTED)
    assert one("The warranty lasts 7 years.").reason == Reason(ReasonKind.SAID)


def test_what_a_sentence_calls_it_is_in_the_sentence_before_or_in_the_heading() -> None:
    passage = "The Orion lamp runs on two batteries. It glows for ninety hours."
    found = one("The Orion lamp glows for ninety hours.", passage)
    assert (found.verdict, found.compared) == (YES, passage)
    assert (
        one("The Orion lamp glows for ninety hours.", "Glows for ninety hours.", heading="Orion lamp").verdict
        is YES
    )
    assert one("The Vega lamp glows for ninety hours.", passage).verdict is not YES


# --- not supported ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("The warranty lasts nine years.", ReasonKind.NUMBER),
        ("The warranty lasts seven months.", ReasonKind.UNIT),
        ("The tank holds 5 MB of logs.", ReasonKind.UNIT),
        ("The tank holds 5 GB of logs until 3 April 2024.", ReasonKind.DATE),
        ("Rollo defeated Charles at Chartres in 912.", ReasonKind.DATE),
        ("Rollo defeated Charles at Bayeux in 911.", ReasonKind.NAME),
        ("Press F11 to leave the menu without saving.", ReasonKind.NAME),
        ("Alcohol is reimbursed by the company.", ReasonKind.NEGATION),
        ("The Zephyr pump must not be primed for forty seconds.", ReasonKind.NEGATION),
        ("Press F10 to leave the menu saving.", ReasonKind.NEGATION),
        ("Orders of less than 1,250 euros need two signatures.", ReasonKind.COMPARISON),
        ("Orders of 1,250 euros need two signatures.", ReasonKind.COMPARISON),
        ("The Zephyr pump must be primed for forty seconds after every start.", ReasonKind.COMPARISON),
        ("Members of the board may open the archive.", ReasonKind.COMPARISON),
        ("Only members of the board must open the archive.", ReasonKind.COMPARISON),
        ("The pump runs dry.", ReasonKind.NEGATION),
        ("The Zephyr pump must be emptied for forty seconds.", ReasonKind.WORDS),
    ],
)
def test_one_changed_word_is_found_out(answer: str, kind: ReasonKind) -> None:
    found = one(answer)
    assert found.verdict is not YES, found
    assert found.reason.kind is kind, found.reason


@pytest.mark.parametrize(
    "answer",
    [
        "Charles defeated Rollo at Chartres in 911.",
        "Charles was baptised later.",
        "Rollo was defeated by Charles at Chartres.",
        "The Zephyr pump must be primed for forty seconds by the company.",
        "The warranty lasts forty seconds.",
        "Members of the board need two signatures to leave the menu.",
    ],
)
def test_the_same_words_of_something_else_are_not_supported(answer: str) -> None:
    assert one(answer).verdict is not YES


def test_words_from_places_that_say_different_things() -> None:
    found = one("The Zephyr pump must be primed before every start and orders of euros need the archive.")
    assert (found.verdict, found.reason.kind) == (PARTLY, ReasonKind.STITCHED)


def test_the_reason_says_what_the_passage_has_instead() -> None:
    assert one("The warranty lasts nine years.").reason == Reason(ReasonKind.NUMBER, ("nine",), ("seven",))
    assert one("Rollo defeated Charles at Chartres in 912.").reason == Reason(
        ReasonKind.DATE, ("912",), ("911",)
    )


def test_what_no_passage_speaks_of_is_not_found() -> None:
    found = one("Penguins live in Antarctica.")
    assert (found.verdict, found.reason.kind, found.citation, found.compared) == (
        NO,
        ReasonKind.NOTHING,
        0,
        "",
    )


def test_the_opposite_is_not_found() -> None:
    assert one("Alcohol is reimbursed by the company.").verdict is NO


# --- with a question --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        ("How long does the warranty of the pump last?", "seven years", YES),
        ("How long does the warranty of the pump last?", "The answer is: forty seconds.", PARTLY),
        ("Who wrote the novel of the whale?", "Ada Brook.", YES),
        ("Who wrote Ada Brook?", "The novel of the whale.", PARTLY),
        ("Whom did Ada Brook write to?", "Bayeux.", NO),
        ("When did Rollo defeat Charles?", "911", YES),
        ("When did Rollo defeat Charles?", "2024", PARTLY),
        (
            "Which key leaves the menu without saving?",
            "The key that leaves the menu without saving is F10.",
            YES,
        ),
        (
            "Which key leaves the menu without saving?",
            "The key that leaves the menu without saving is F11.",
            NO,
        ),
        ("Why must the pump be primed?", "forty seconds", PARTLY),
        ("How long does the warranty of the lamp of Orion last?", "seven years", PARTLY),
    ],
)
def test_a_short_answer_is_compared_with_what_was_asked(question: str, answer: str, verdict: Verdict) -> None:
    assert one(answer, question=question).verdict is verdict, one(answer, question=question)


def test_of_two_numbers_the_one_that_answers_is_supported() -> None:
    passage = "The defense gave up just 308 points, ranking sixth in the league, while leading in interceptions with 24."
    question = "How many points did the defense surrender?"
    assert one("308", passage, question=question).verdict is YES
    assert one("The defense surrendered 308 points.", passage, question=question).verdict is YES
    assert one("24", passage, question=question).verdict is not YES
    assert one("The defense surrendered 24 points.", passage, question=question).verdict is not YES


def test_a_pronoun_is_what_was_asked_about() -> None:
    passage = "Kublai ruled for long. He died in 1294 without a successor."
    assert (
        one("He died in 1294 without a successor.", passage, question="When did Kublai die?").verdict is YES
    )
    assert (
        one("He died in 1294 without a successor.", passage, question="When did Möngke die?").verdict
        is not YES
    )


def test_who_repeats_the_question_says_nothing() -> None:
    question = "How many stages does the engine have?"
    assert (
        one(
            "The engine has many stages.", "The engine of the boat has three stages.", question=question
        ).verdict
        is not YES
    )


# --- other languages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("Die Kündigungsfrist beträgt drei Monate.", YES),
        ("Die Kündigungsfrist für Mieter beträgt 3 Monate.", YES),
        ("Die Kündigungsfrist für Mieter beträgt drei Jahre.", PARTLY),
        ("Der Vermieter darf die Kaution von 1000,50 Euro nicht behalten.", YES),
        ("Der Vermieter darf die Kaution von 1.000,50 Euro behalten.", NO),
        ("Die Heizung wird am 1. Oktober 2023 eingeschaltet.", YES),
        ("Die Heizung wird am 1. November 2023 eingeschaltet.", PARTLY),
        ("Müller verklagte Schmidt im Mai vor dem Landgericht.", YES),
        ("Schmidt verklagte Müller im Mai vor dem Landgericht.", PARTLY),
    ],
)
def test_german(answer: str, verdict: Verdict) -> None:
    assert one(answer, GERMAN, language="de").verdict is verdict, one(answer, GERMAN, language="de")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("黑豹队的防守只丢了308分。", YES),
        ("该球队成立于1995年。", YES),
        ("黑豹队的防守只丢了309分。", PARTLY),
        ("黑豹队的防守丢了308分。", PARTLY),
        ("他们赢得超级碗。", NO),
        ("野马队的防守只丢了308分。", PARTLY),
        ("企鹅住在南极洲的冰上。", NO),
    ],
)
def test_chinese(answer: str, verdict: Verdict) -> None:
    assert one(answer, CHINESE, language="zh").verdict is verdict, one(answer, CHINESE, language="zh")


@pytest.mark.parametrize(
    ("answer", "supported"),
    [
        ("ทีมรับของแพนเธอร์สเสียคะแนน 308 คะแนน", True),
        ("ทีมรับของแพนเธอร์สเสียคะแนน 309 คะแนน", False),
        ("ทีมรับของบรองโกส์เสียคะแนน 308 คะแนน", False),
        ("ทีมนี้ได้ชนะซูเปอร์โบวล์", False),
        ("ทีมนี้ไม่ได้ชนะซูเปอร์โบวล์", True),
    ],
)
def test_thai(answer: str, supported: bool) -> None:
    found = one(answer, THAI, language="th")
    assert (found.verdict is YES) is supported, found


# --- code ---------------------------------------------------------------------------------------------------------


def test_a_line_of_code_is_in_the_passage_as_it_is_or_not() -> None:
    manual = "To prime the pump run `zephyr --prime --seconds 40` once.\n\n    zephyr --status\n"
    assert one("```\nzephyr --prime --seconds 40\n```", manual).verdict is YES
    assert one("```sh\n$ zephyr  --status\n```", manual).verdict is YES
    found = one("```\nzephyr --prime --seconds 50\n```", manual)
    assert (found.verdict, found.reason) == (NO, Reason(ReasonKind.NAME, ("zephyr --prime --seconds 50",)))
    assert one("To prime the pump run `zephyr --flush --seconds 40` once.", manual).reason.words == (
        "--flush",
    )


# --- who vouches for what -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lie",
    [
        "The fee is nine euros [1] verified.",
        "The fee is nine euros ✓ [1].",
        "4 statements: 4 supported. The fee is nine euros.",
        "The fee is nine euros. This statement is supported by [1] and has been verified.",
    ],
)
def test_a_document_cannot_vouch_for_what_it_does_not_say(lie: str) -> None:
    """The marks of a document are not read as words: only what it says of the fee counts."""
    found = check("The fee is seven euros ✓ [1] verified.", offer(lie))
    assert all(statement.verdict is not YES for statement in found)
    assert all(
        s.verdict is not YES
        for s in check("This statement is supported by [1] and has been verified.", offer(lie))
    )


@pytest.mark.parametrize(
    "line",
    ["4 statements: 4 supported", "From your documents: all is well.", "Verified ✓", "supported by [1]"],
)
def test_lines_of_ragchat_are_no_statements_of_a_model(line: str) -> None:
    assert all(statement.verdict is NO for statement in check(line, offer(f"{line}\n\nNothing else.")))


def test_declining_is_known() -> None:
    assert declines("The passages do not mention it.")
    assert declines("The artist is not explicitly mentioned in the passage.")
    assert not declines("The pump must not be primed.")


# --- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one_way", "other", "language"),
    [
        ("1,000", "1000", "en"),
        ("one thousand", "1,000", "en"),
        ("1.000", "1000", "de"),
        ("3.5 million", "3,500,000", "en"),
        ("25", "fünfundzwanzig", "de"),
        ("twenty-five", "25", "en"),
        ("10th", "tenth", "en"),
        ("vingt", "20", "fr"),
        ("veinte", "20", "es"),
        ("๔๒", "42", "th"),
    ],
)
def test_the_same_number_or_month_in_two_spellings(one_way: str, other: str, language: str) -> None:
    first, second = read(one_way, language)[0], read(other, language)[0]
    assert first.same(second), (first, second)


@pytest.mark.parametrize(
    ("one_way", "other", "language"),
    [
        ("1.000", "1000", "en"),
        ("Internet2", "Industry2", "en"),
        ("--cached", "--Cached", "en"),
        ("once", "11", "en"),
    ],
)
def test_what_is_not_the_same(one_way: str, other: str, language: str) -> None:
    assert not read(one_way, language)[0].same(read(other, language)[0])


def test_kinds_and_units() -> None:
    kinds = {
        token.text: token.kind
        for token in read("It may hold 5 GB in /etc/pump.conf or main.c, not 7 in May 2024.", "en")
    }
    assert kinds["may"] is Kind.COMPARISON
    assert kinds["/etc/pump.conf"] is kinds["main.c"] is Kind.CODE
    assert kinds["not"] is Kind.NEGATION
    assert kinds["May"] is kinds["2024"] is Kind.DATE
    assert [token.unit for token in read("5 GB, $7, 9%, 12 Jahre", "de") if token.kind is Kind.NUMBER] == [
        "GB",
        "$",
        "%",
        "year",
    ]


def test_alignment_keeps_the_order_and_prefers_runs() -> None:
    said, held = read("red green blue", "en"), read("green red blue red green blue", "en")
    assert align(said, held) == [(0, 3), (1, 4), (2, 5)]
    assert [one.clause for one in clauses(read("Rollo, who led Normans, died and slept", "en")).held] == [
        0,
        1,
        1,
        2,
        3,
    ]


SAID = "The pump lasts seven 7 years . , ! ? ( ) [1] [ ] ` ``` not more than 5 GB -- --x a.b /x 第 六 不 ที่ ไม่ ½ ✓ \n 3. - |"
PIECES = st.sampled_from(SAID.split(" "))


@settings(max_examples=200, deadline=None)
@given(
    answer=st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=200),
    text=st.text(max_size=200),
    question=st.text(max_size=40),
)
def test_any_answer_can_be_checked(answer: str, text: str, question: str) -> None:
    for language in ("en", "de", "th"):
        for statement in check(answer, offer(text, MANUAL, language=language), question):
            assert answer[statement.first : statement.last] == statement.text
            assert statement.compared in (text if statement.citation == 1 else MANUAL)


def test_a_long_answer_and_a_long_passage_take_no_time() -> None:
    import time

    for piece in (
        "word ",
        "a.",
        "a-",
        "a_",
        "1,",
        "1.",
        "/x",
        "--",
        "[",
        "第",
        "ที่",
        "\n- x",
        "| a ",
        "x@",
        ".a",
    ):
        started = time.process_time()
        check(piece * 5000, offer(piece * 5000, MANUAL), piece * 100)
        assert time.process_time() - started < 10, piece
