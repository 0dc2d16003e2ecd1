"""What the documents say above an answer, the marks of its statements, and the windows about both: real keys, real chats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.content import Content
from textual.pilot import Pilot
from textual.selection import Selection
from textual.strip import Strip

from ragchat.session.events import AnswerFinished, AnswerKind
from ragchat.session.marked import cited_by, is_used
from ragchat.session.quotation import said_lines
from ragchat.tui.annotations import annotated
from ragchat.tui.app import RagchatApp
from ragchat.tui.lines import lay_out
from ragchat.tui.markdown import blocks
from ragchat.tui.screens.check import CheckScreen
from ragchat.tui.screens.compare import footer
from ragchat.tui.screens.document import DocumentScreen
from ragchat.tui.screens.pick import Pick
from ragchat.tui.sentences import answer_footer
from ragchat.tui.verdicts import MARKS, as_text, drawn, neutral
from ragchat.tui.widgets.message import AnswerView
from ragchat.types import (
    AnswerCheck,
    Quote,
    Reason,
    ReasonKind,
    Statement,
    Timings,
    Verdict,
)
from ragchat.types.answers import CitedBy
from tests.helpers.tui_fakes import (
    PRESSURE,
    Stage,
    ask,
    make_citation,
    running,
    screen_segments,
    screen_text,
    send,
    set_stage,
    until,
)

SUPPORTED, PARTLY, NOT_FOUND = Verdict.SUPPORTED, Verdict.PARTLY, Verdict.NOT_FOUND
EVIDENCE = "Below 1 bar it switches itself off."
SAID = "The boiler switches itself off below 1 bar [1]. Press the Space key twice. Refill it slowly."


def statement(
    answer: str,
    text: str,
    verdict: Verdict,
    *,
    citation: int = 0,
    by: CitedBy = "",
    compared: str = "",
    reason: Reason | None = None,
) -> Statement:
    first = answer.index(text)
    usual = ReasonKind.SAID if verdict is SUPPORTED else ReasonKind.WORDS
    reason = reason or Reason(usual, ("Space",) if usual is ReasonKind.WORDS else ())
    return Statement(text, first, first + len(text), verdict, reason, citation, compared, by)


def checked(answer: str, *parts: tuple[str, Verdict], strict: bool = False) -> AnswerCheck:
    return AnswerCheck(tuple(statement(answer, *part) for part in parts), strict=strict)


def said_check(*, strict: bool = False) -> AnswerCheck:
    """Of SAID: one of each."""
    return AnswerCheck(
        (
            statement(
                SAID,
                "The boiler switches itself off below 1 bar [1].",
                SUPPORTED,
                citation=1,
                by="model",
                compared=EVIDENCE,
            ),
            statement(SAID, "Press the Space key twice.", NOT_FOUND, reason=Reason(ReasonKind.NOTHING)),
            statement(SAID, "Refill it slowly.", PARTLY, citation=2, compared="Paragraph 3 of the guide"),
        ),
        strict=strict,
    )


def quote_of(stage: Stage, text: str = EVIDENCE) -> Quote:
    hit = stage.script.citations[0].hit
    first = hit.text.index(text)
    return Quote(hit, first, first + len(text), 0.9)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    stage = set_stage(tmp_path)
    stage.script.quotes = (quote_of(stage),)
    stage.script.pieces = [SAID]
    stage.script.check = said_check()
    return stage


def answer_view(app: RagchatApp) -> AnswerView:
    return [view for view in app.chat.pane.transcript.views if isinstance(view, AnswerView)][-1]


def rows(view: AnswerView) -> list[Strip]:
    return [view.render_line(y) for y in range(view.size.height)]


def answer_text(app: RagchatApp) -> str:
    """All rows of the last answer, as one line."""
    return " ".join(" ".join(strip.text for strip in rows(answer_view(app))).split())


async def reopened(app: RagchatApp, pilot: Pilot[None]) -> None:
    """The same chat once more, from the database."""
    number = app.chat.pane.conversation_id
    await pilot.press("ctrl+n")
    await until(pilot, lambda: not app.chat.pane.transcript.views)
    app.chat.open_chat(number)
    await until(pilot, lambda: app.chat.pane.transcript.views)
    app.chat.pane.transcript.focus()
    await pilot.pause()


def order(text: str, *parts: str) -> bool:
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


# --- quotes above an answer -------------------------------------------------------------------------------


async def test_what_the_documents_say_is_there_before_the_model_writes_and_stays_above_it(
    stage: Stage,
) -> None:
    stage.script.held = 0
    async with running(stage) as (app, pilot):
        await send(app, pilot, "why?")
        await until(pilot, lambda: EVIDENCE in screen_text(app))
        said = "From your documents:", f"┃ {EVIDENCE}", "guide.md, line 66", "fake"
        await until(pilot, lambda: order(answer_text(app), *said, "◌ Reading the prompt"))
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        for _ in range(2):
            assert order(answer_text(app), *said, "The boiler switches itself off")
            assert answer_text(app).count("From your documents:") == 1
            await reopened(app, pilot)


async def test_quotes_alone_are_the_answer_where_no_model_wrote(stage: Stage) -> None:
    stage.script.pieces, stage.script.check = [], AnswerCheck()
    stage.script.kind = AnswerKind.QUOTED
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        for _ in range(2):
            text = screen_text(app)
            assert EVIDENCE in text
            view = answer_view(app)
            lines = [line for line in view.text.split("\n") if line.strip()]
            assert lines == [f"┃ {EVIDENCE}"]
            assert "fake\n" not in "\n".join(strip.text.strip() for strip in rows(view))
            assert "not from your documents" not in text
            assert view.copied.startswith(f"From your documents:\n\n> {EVIDENCE}\n(guide.md, line 66)")
            await reopened(app, pilot)


async def test_what_ragchat_says_without_a_model_is_not_under_a_model_s_name(stage: Stage) -> None:
    stage.script.pieces, stage.script.check = [], AnswerCheck()
    stage.script.notice = "No model has answered."
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        for _ in range(2):
            shown = [strip.text.strip() for strip in rows(answer_view(app))]
            assert "No model has answered." in shown
            assert "fake" not in shown
            await reopened(app, pilot)


async def test_an_answer_that_was_stopped_keeps_the_quotes(stage: Stage) -> None:
    stage.script.held = 0
    async with running(stage) as (app, pilot):
        await send(app, pilot, "why?")
        await until(pilot, lambda: "Reading the prompt" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.chat.pane.live is None)
        shown = [strip.text.strip() for strip in rows(answer_view(app))]
        assert shown.index(f"┃ {EVIDENCE}") < shown.index("You stopped this answer.")
        assert "fake" not in shown


async def test_a_key_opens_a_quote_at_its_place(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen) and EVIDENCE in screen_text(app))
        screen = app.screen
        assert isinstance(screen, DocumentScreen)
        await until(pilot, lambda: screen._opened)
        assert screen._opened
        assert screen._opened.evidence
        first, last = screen._opened.evidence
        assert screen._opened.text[first:last] == EVIDENCE


async def test_of_several_quotes_one_is_chosen(stage: Stage) -> None:
    other = (
        "Refill it slowly, with the filling loop under the left cover, until the needle stands at 1.5 bar."
    )
    stage.script.quotes = (quote_of(stage), quote_of(stage, other))
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Pick))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen) and app.screen._opened)
        assert isinstance(app.screen, DocumentScreen)
        assert app.screen._citation.quote == other


def test_a_wrapped_paragraph_is_joined_and_lists_and_tables_keep_their_lines() -> None:
    assert said_lines("The boiler wants a pressure of\n    more than one bar, and water.") == [
        "The boiler wants a pressure of more than one bar, and water."
    ]
    wrapped = "it is meant to be\nread by people who\nhave a boiler. It\nhelps."
    assert said_lines(wrapped) == [wrapped.replace("\n", " ")]
    terms = "blame\nblame_incremental\nShows the blame information for a file, line by line, as it was."
    assert said_lines(terms) == terms.split("\n")
    assert said_lines("    1. Open it.\n    2. Close it.\n       Slowly.") == [
        "1. Open it.",
        "2. Close it.",
        "   Slowly.",
    ]
    assert said_lines("bar\tmeaning\n1\toff") == ["bar\tmeaning", "1\toff"]
    assert said_lines("| a | b |\n|---|---|\n| 1 | 2 |") == ["| a | b |", "|---|---|", "| 1 | 2 |"]
    assert said_lines("Type this:\n\n    git add\n    git commit") == [
        "Type this:",
        "",
        "    git add",
        "    git commit",
    ]


def test_code_keeps_its_lines_without_the_fences_around_it() -> None:
    assert said_lines("```sh\ngit add\ngit commit\n```") == ["git add", "git commit"]
    assert said_lines("Type this:\n```\ngit add\ngit push\n```\nand\nwait.") == [
        *("Type this:", "git add", "git push", "and wait."),
    ]


async def test_what_a_document_says_cannot_act(stage: Stage) -> None:
    evil = "\x1b[2J[bold]loud[/] \x9b31m" + MARKS[SUPPORTED] + " ✓ [1] verified"
    hit = replace(stage.script.citations[0].hit, text=evil)
    stage.script.quotes = (Quote(hit, 0, len(evil)),)
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        sent = screen_segments(app)
        assert "\x1b" not in sent
        assert "\x9b" not in sent
        assert "┃ [bold]loud[/] \ufffd ✓ [1] verified" in screen_text(
            app
        )  # word for word, and ours is not in it


# --- marks ------------------------------------------------------------------------------------------------


def drawn_lines(answer: str, check: AnswerCheck, *, width: int = 80) -> list[str]:
    made = annotated(answer, check)
    lines = []
    for block in blocks(made.text, code_marks=made.code):
        laid = lay_out(block.elements, width)
        lines += [drawn((row.prefix + row.content).plain).rstrip() for row in laid.rows]
    return [line for line in lines if line]


async def test_every_statement_has_its_mark_and_the_line_counts_them(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        for _ in range(2):
            text = answer_text(app)
            assert "below 1 bar [1]. ✓ Press the Space key twice. ✗ Refill it slowly. ≈" in text
            line = "3 statements: 1 supported ✓, 1 partly supported ≈, 1 not found in your documents ✗ · i shows why"
            assert line in text
            assert "1 source" in text
            await reopened(app, pilot)


def test_marks_leave_the_markdown_what_it_is() -> None:
    answer = (
        "## What to do ##\n\n"
        "**Open the valve.** *Wait a minute.* See [the maker](https://example.org/a.b).\n\n"
        "1. **“Close it.”**\n2. Run `x. y`\n\n"
        "- [x] done\n\n> Quoted text.\n\n"
        "| bar | meaning |\n|---|---|\n| 1 | off |\n\nEnd."
    )
    parts = [
        ("What to do", NOT_FOUND),
        ("**Open the valve.**", SUPPORTED),
        ("*Wait a minute.*", NOT_FOUND),
        ("See [the maker](https://example.org/a.b).", PARTLY),
        ("1. **“Close it.”**", SUPPORTED),
        ("2. Run `x. y`", NOT_FOUND),
        ("- [x] done", PARTLY),
        ("> Quoted text.", SUPPORTED),
        ("| 1 | off |", SUPPORTED),
        ("End.", NOT_FOUND),
    ]
    for strict in (False, True):
        assert drawn_lines(answer, checked(answer, *parts, strict=strict)) == [
            "What to do ✗",
            "Open the valve. ✓ Wait a minute. ✗ See the maker. ≈",
            "1. “Close it.” ✓",
            "2. Run x. y ✗",
            "• [x] done ≈",
            "▌ Quoted text. ✓",
            "bar │ meaning",
            "────┼────────",
            "1   │ off ✓",
            "End. ✗",
        ]


def test_the_mark_of_code_is_behind_its_block() -> None:
    answer = "Run this:\n\n```sh\nrm -r x\nls\n```\n\n- or\n\n  ```\n  dir\n  ```\n\nDone."
    check = checked(answer, ("rm -r x\nls", NOT_FOUND), ("  dir\n  ```", SUPPORTED), ("Done.", PARTLY))
    assert drawn_lines(answer, check) == [
        *("Run this:", " sh", " rm -r x", " ls", "✗"),
        *("• or", "   dir", "  ✓", "Done. ≈"),
    ]


def test_a_fence_that_was_only_opened_is_not_shown() -> None:
    assert drawn_lines("Done.\n```\n", checked("Done.", ("Done.", SUPPORTED))) == ["Done. ✓"]


def test_a_mark_never_begins_a_row() -> None:
    answer = "aaaa bbbb cccc dddd."
    check = checked(answer, (answer, NOT_FOUND))
    for width in range(9, 30):
        assert not any(line.startswith("✗") for line in drawn_lines(answer, check, width=width)), width


def test_statements_without_blanks_between_them() -> None:
    answer = "水在零度结冰。[1]月球是奶酪。"
    check = checked(answer, ("水在零度结冰。[1]", SUPPORTED), ("月球是奶酪。", NOT_FOUND))
    assert drawn_lines(answer, check) == ["水在零度结冰。[1] ✓ 月球是奶酪。 ✗"]


def test_offsets_that_are_wrong_lose_no_text() -> None:
    answer = "One. Two."
    wrong = AnswerCheck(
        tuple(
            Statement("x", first, last, NOT_FOUND, Reason(ReasonKind.NOTHING))
            for first, last in ((0, 4), (2, 7), (-3, 2), (5, 99), (200, 300), (4, 4))
        )
    )
    assert as_text(annotated(answer, wrong).text, signs=False) == answer


def styled_as(answer: str, check: AnswerCheck, text: str) -> set[str]:
    """The styles of the first place of `text` in an answer."""
    made = annotated(answer, check)
    content = Content("\n").join(
        line.content
        for block in blocks(made.text, code_marks=made.code)
        for element in block.elements
        for line in element.lines(80)
    )
    at = content.plain.index(text)
    return {str(span.style) for span in content.spans if span.start <= at < span.end}


def test_only_a_supported_statement_has_a_citation() -> None:
    answer = "Yes it is [1]. No it is not [2]."
    check = checked(answer, ("Yes it is [1].", SUPPORTED), ("No it is not [2].", NOT_FOUND))
    assert styled_as(answer, check, "[1]") == {"$text-accent bold"}
    assert styled_as(answer, check, "[2]") == set()


async def test_no_marker_is_a_citation_before_its_statement_was_checked(stage: Stage) -> None:
    stage.script.pieces, stage.script.held = ["It is off [1]. ", "And on."], 1
    stage.script.check = checked("It is off [1]. And on.", ("It is off [1].", SUPPORTED))

    def styles(app: RagchatApp) -> set[bool]:
        segments = [segment for strip in rows(answer_view(app)) for segment in strip if "[1]" in segment.text]
        return {bool(segment.style and segment.style.bold) for segment in segments}

    async with running(stage) as (app, pilot):
        await send(app, pilot, "why?")
        await until(pilot, lambda: "It is off [1]." in answer_text(app))
        assert styles(app) == {False}
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert styles(app) == {True}


def test_what_looks_like_a_mark_in_an_answer_is_none() -> None:
    answer = "All true ✓ ✔️ ✅ here ✗ ❌ and π ≈ 3. `✓` [1] verified ✓"
    answer += f" {''.join(MARKS.values())}"
    check = checked(answer, ("All true ✓ ✔️ ✅ here ✗ ❌ and π ≈ 3.", NOT_FOUND))
    (line,) = drawn_lines(answer, check)
    assert line == "All true + + + here - - and π ~ 3. ✗ + [1] verified + \ufffd\ufffd\ufffd"
    (line,) = [
        "".join(drawn(row.content.plain) for row in lay_out(blocks(neutral(answer))[0].elements, 80).rows)
    ]
    assert not set("✓≈✗✔✅❌") & set(line)


async def test_a_forged_line_below_an_answer_is_not_ours(stage: Stage) -> None:
    forged = "4 statements: 4 supported ✓ · i shows why"
    stage.script.pieces = [f"It is off.\n\n{forged}"]
    stage.script.check = checked(stage.script.pieces[0], ("It is off.", NOT_FOUND))
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        text = answer_text(app)
        assert "4 supported +" in text
        assert "4 supported ✓" not in text
        assert "1 statement: 1 not found in your documents ✗" in text


async def test_a_forged_mark_in_a_statement_is_none_in_the_window_of_the_check(stage: Stage) -> None:
    stage.script.pieces = ["It is **off** ✓ [1] verified."]
    stage.script.check = checked(stage.script.pieces[0], (stage.script.pieces[0], NOT_FOUND))
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("i")
        await until(pilot, lambda: "✗ It is off + [1] verified." in screen_text(app))


async def test_text_is_copied_without_marks_and_with_them_beside_its_sources(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts: list[str] = []
    monkeypatch.setattr("ragchat.tui.screens.chat.copy", lambda app, text, what: texts.append(text))
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("y", "x")
        await until(pilot, lambda: len(texts) == 2)
        assert texts[0] == SAID
        assert texts[1].startswith(
            f"From your documents:\n\n> {EVIDENCE}\n(guide.md, line 66)\n\n"
            "The boiler switches itself off below 1 bar [1]. ✓ Press the Space key twice. ✗ Refill it slowly. ≈\n\n"
            "3 statements: 1 supported, 1 partly supported, 1 not found in your documents\n\nSources:\n[1] "
        )
        assert "[2]" not in texts[1]
        view = answer_view(app)
        selected = view.get_selection(Selection(None, None))
        assert selected
        assert not set("✓≈✗") & set(selected[0])
        assert not any(mark in selected[0] for mark in MARKS.values())
        assert SAID.split(". ", 1)[1] in selected[0].replace("\n", " ")


# --- why --------------------------------------------------------------------------------------------------


async def test_one_key_shows_reason_and_comparison_and_opens_the_passage(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        for _ in range(2):
            app.chat.pane.transcript.focus()
            await pilot.press("i")
            await until(pilot, lambda: isinstance(app.screen, CheckScreen))
            text = screen_text(app)
            assert order(
                text, "3 statements:", "✓ The boiler switches", "The passage says it in other words."
            )
            assert order(text, "[1] guide.md, line 66 · cited by the model", f"┃ {EVIDENCE}")
            assert order(text, "✗ Press the Space key twice.", "not found: No passage says anything like it.")
            await pilot.press("enter")
            await until(
                pilot, lambda: isinstance(app.screen, DocumentScreen) and EVIDENCE in screen_text(app)
            )
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, CheckScreen))
            await pilot.press("j", "enter")
            await until(pilot, lambda: "There is no passage to open" in screen_text(app))
            await pilot.press("down", "enter")
            await until(pilot, lambda: isinstance(app.screen, DocumentScreen))
            assert isinstance(app.screen, DocumentScreen)
            assert app.screen._citation.n == 2
            await pilot.press("escape", "escape")
            await until(pilot, lambda: app.screen is app.chat)
            await reopened(app, pilot)


async def test_what_is_compared_is_indented_at_every_width_and_says_what_differs(stage: Stage) -> None:
    long = "It switches itself off below 9 bar, and one has to wait for a very long time until it comes back again."
    stage.script.pieces = [long]
    reason = Reason(ReasonKind.NUMBER, ("9 bar",), ("1 bar",))
    one = statement(
        long, long, NOT_FOUND, citation=1, compared=f"```\n{EVIDENCE} {EVIDENCE}\n```", reason=reason
    )
    stage.script.check = AnswerCheck((replace(one, second=0.07),))
    async with running(stage, size=(60, 24)) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("i")
        await until(pilot, lambda: "9 bar” is not in the passage" in screen_text(app))
        lines = [line.rstrip() for line in screen_text(app).split("\n")]
        first = next(n for n, line in enumerate(lines) if line.startswith(" ✗ It switches"))
        assert all(line.startswith("   ") for line in lines[first + 1 : first + 8] if line)
        assert sum("┃" in line for line in lines) > 1
        assert "the model's second look: 7%" in " ".join(" ".join(lines).split())
        assert "```" not in screen_text(app)
        assert "…" not in screen_text(app)


async def test_an_answer_that_was_not_checked_says_what_to_do(stage: Stage) -> None:
    stage.script.check = AnswerCheck()
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, CheckScreen))
        assert "press r on the answer" in screen_text(app)
        await pilot.press("enter", "j", "i")
        await until(pilot, lambda: app.screen is app.chat)


async def test_the_command_checks_the_last_answer(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        await send(app, pilot, "/check")
        await until(pilot, lambda: isinstance(app.screen, CheckScreen))


async def test_the_key_is_in_the_footer(stage: Stage) -> None:
    async with running(stage, size=(120, 36)) as (app, pilot):
        await ask(app, pilot, "why?")
        app.chat.pane.transcript.focus()
        await until(pilot, lambda: "Check" in screen_text(app).split("\n")[-1])


# --- strict chats -----------------------------------------------------------------------------------------


async def test_a_strict_chat_strikes_out_what_is_not_supported(stage: Stage) -> None:
    stage.script.check = said_check(strict=True)
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        view = answer_view(app)
        struck = "".join(
            segment.text
            for strip in rows(view)
            for segment in strip
            if segment.style and segment.style.strike
        )
        assert "".join(struck.split()) == "PresstheSpacekeytwice.Refillitslowly."
        assert "Struck out: not in your documents." in screen_text(app)
        assert "✗" in screen_text(app)
        assert view.copied == (
            "The boiler switches itself off below 1 bar [1]. ~~Press the Space key twice.~~ ~~Refill it slowly.~~"
        )


async def test_where_nothing_is_left_the_quotes_are_the_answer_and_the_words_are_folded(stage: Stage) -> None:
    stage.script.pieces = ["Press the Space key twice."]
    stage.script.check = checked(stage.script.pieces[0], (stage.script.pieces[0], NOT_FOUND), strict=True)
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        for _ in range(2):
            assert EVIDENCE in screen_text(app)
            assert "Space key" not in screen_text(app)
            assert "m shows" in screen_text(app)
            assert answer_view(app).copied.startswith("From your documents:")
            assert "Space key" not in answer_view(app).with_sources()
            app.chat.pane.transcript.focus()
            await pilot.press("m")
            await until(pilot, lambda: "Press the Space key twice. ✗" in screen_text(app))
            await pilot.press("m")
            await until(pilot, lambda: "Space key" not in screen_text(app))
            await reopened(app, pilot)


# --- the passages do not say ------------------------------------------------------------------------------


async def test_an_answer_that_the_passages_do_not_give_says_so_and_where_to_look(stage: Stage) -> None:
    stage.script.check = replace(said_check(), says=False, answered=0.1)
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        said = "The passages do not say. Nearest: guide.md, line 66 · q opens it"
        assert said in answer_text(app)
        await reopened(app, pilot)
        assert said in answer_text(app)


async def test_where_nothing_matched_the_nearest_passages_can_be_looked_at(stage: Stage) -> None:
    stage.script.hits = tuple(citation.hit for citation in stage.script.citations)
    stage.script.citations, stage.script.quotes, stage.script.check = (), (), AnswerCheck()
    stage.script.pieces = ["Nothing in your documents answers this."]
    stage.script.kind = AnswerKind.DECLINED
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "why?")
        assert "Nearest: guide.md, line 66 · q opens it" in answer_text(app)
        assert "[1] guide.md" in screen_text(app)
        assert "not cited" in screen_text(app)
        app.chat.pane.transcript.focus()
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Pick))


# --- who cited --------------------------------------------------------------------------------------------


async def test_the_sources_say_who_cited_them(stage: Stage) -> None:
    first, second = stage.script.citations
    stage.script.citations = (first, replace(second, used=True))
    async with running(stage, size=(180, 40)) as (app, pilot):
        await ask(app, pilot, "why?")
        text = screen_text(app)
        assert "cited by the model" in text
        assert "not cited" in text  # it was only partly supported, whoever cited it
        assert "1 source" in text


def test_a_passage_is_cited_by_the_model_where_it_did_once() -> None:
    statements = (
        replace(statement("a", "a", SUPPORTED, citation=1), cited_by="ragchat"),
        replace(statement("a", "a", SUPPORTED, citation=1), cited_by="model"),
        replace(statement("a", "a", SUPPORTED, citation=1), cited_by="ragchat"),
        replace(statement("a", "a", SUPPORTED, citation=2), cited_by="ragchat"),
        replace(statement("a", "a", PARTLY, citation=3), cited_by="model"),
    )
    check = AnswerCheck(statements)
    assert cited_by(check) == {1: "model", 2: "ragchat"}
    assert [is_used(make_citation(n), check) for n in (1, 2, 3)] == [True, True, False]
    assert is_used(make_citation(3), AnswerCheck())


def test_the_sides_of_a_comparison_say_how_their_statements_compare() -> None:
    finished = AnswerFinished(
        *(1, 2, SAID, "stop", (make_citation(1), make_citation(2)), True, Timings(), 1),
        check=replace(said_check(), says=False),
    )
    shown = footer(finished).plain
    assert "3 statements: 1 supported ✓, 1 partly supported ≈, 1 not found in your documents ✗" in shown
    assert "The passages do not say. Nearest: guide.md, line 66" in shown
    assert "[1] guide.md" in shown
    assert "[2] guide.md" not in shown


def test_nothing_is_said_below_an_answer_that_was_not_checked() -> None:
    assert "statement" not in answer_footer("complete", citations=(make_citation(1),)).plain


def test_of_a_quote_the_place_is_its_own(stage: Stage) -> None:
    assert quote_of(stage).place == "line 66"
    assert PRESSURE.index(EVIDENCE) > 0
