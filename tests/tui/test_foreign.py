"""Text from outside on the screen: it is shown, it is never obeyed. Every widget that shows foreign text is here."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static

from ragchat.app.models import ModelChoice
from ragchat.errors import StorageError
from ragchat.tui.app import RagchatApp
from ragchat.tui.safe_content import (
    citation_text,
    evidence_in,
    file_name,
    heading_line,
    locate,
    passage_content,
    shown,
    shown_line,
)
from ragchat.tui.screens.document import DocumentScreen
from ragchat.tui.sentences import answer_footer, trouble
from ragchat.tui.widgets.document_text import DocumentText
from ragchat.tui.widgets.message import AnswerView
from ragchat.types import Omission, OmissionKind, Timings
from tests.helpers.tui_fakes import (
    PRESSURE,
    Stage,
    add_document,
    ask,
    make_citation,
    running,
    screen_segments,
    screen_text,
    set_stage,
    until,
)

PAYLOADS = [
    "[/]",
    "[/b] [b]bold[/b] [red",
    "[@click=app.quit]x[/]",
    "[@click=app.open_url('https://evil')]x[/]",
    "[link=https://evil]x[/link]",
    "$primary {app} %s \\[b] [[]] ][",
    "\x1b]52;c;aGFja2Vk\x07",
    "\x1b]0;owned\x1b\\ \x1b[2J\x1b[31m red \x9b31m \x90q\x9c",
    "a\x00b\x07c\x08d\x7fe\x85f\u2028g",
    "\u202egnp.exe \u2066x\u2069 \ufeff\U000e0041",
    "\ud800 lone",
    "<script>alert(1)</script> <b>x</b> <!-- -->",
    "| [/] | $x |\n|---|---|\n| [@click=app.quit]a[/] | b |",
    "```[/]\n[@click=app.quit]x[/]\n```",
    "```\nno language\n```",
    "# [/]\n\n> quote [/b]\n\n- [x](javascript:app.quit)\n- ![i](file:///etc/passwd)\n\n1. a\n\n---",
    "[x](https://e.org/?'\"\\()[]%0a) <https://e.org> https://e.org/[/]",
    "漢字 👩‍👩‍👧 é" * 5,
    "\t\ttabs\r\nand\rreturns",
]
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def check_screen(app: RagchatApp) -> None:
    assert not _CONTROL.search(screen_segments(app))
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            meta = segment.style.meta if segment.style else {}
            action = str(meta.get("@click", ""))
            assert not action or action.startswith("link("), action


GROUPS = ["\n\n".join(PAYLOADS[first::5]) for first in range(5)]


@pytest.mark.parametrize("payload", GROUPS)
async def test_hostile_text_is_only_text(stage: Stage, payload: str, monkeypatch: pytest.MonkeyPatch) -> None:
    acted: list[str] = []
    monkeypatch.setattr(RagchatApp, "action_quit", lambda self: acted.append("quit"))
    monkeypatch.setattr(RagchatApp, "open_url", lambda self, url, new_tab=True: acted.append(url))
    storable = payload.replace("\ud800", "")
    with stage.chats() as store:
        old = store.create_conversation(storable, model=storable, knowledge_bases=(storable,))
        store.add_user_message(old.id, storable)
        store.save_draft(0, f"d {storable}")
    path = stage.folder / "documents" / "x.md"
    citation = make_citation(1, path=str(path), text=f"{PRESSURE} {storable}", quote=storable)
    hit = replace(citation.hit, heading=storable, title=storable, path=f"/n/{storable}", document_id=99)
    stage.script.citations = (replace(citation, hit=hit),)
    stage.script.pieces = [*re.findall("(?s).{1,3}", storable), "\n\nend"]
    stage.choices = [ModelChoice(storable, storable, 1, True, 1, storable, storable)]
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: app.chat.pane.prompt.text.startswith("d "))
        check_screen(app)
        await ask(app, pilot, f"q {payload}")
        await until(pilot, lambda: "end" in screen_text(app))
        check_screen(app)
        assert app.chat.pane.transcript.query_one(AnswerView).plain_text.endswith("end")
        app.chat.sources.focus()
        await pilot.press("enter")
        await until(
            pilot, lambda: isinstance(app.screen, DocumentScreen) and app.screen.query_one(DocumentText).rows
        )
        check_screen(app)
        await pilot.press("escape", "f2")
        await until(pilot, lambda: any(found.option_count > 1 for found in app.screen.query(OptionList)))
        check_screen(app)
        await pilot.press("escape")
        app._tell(payload, payload, "error")
        app.start_sync("kb", [stage.folder / "documents"])
        stage.script.fail_before = StorageError(payload, payload)
        await ask(app, pilot, "again")
        await until(pilot, lambda: not app.jobs["sync"].running)
        check_screen(app)
        app.chat.pane.open(old.id)
        await until(
            pilot, lambda: app.chat.pane.conversation is not None and app.chat.pane.conversation.id == old.id
        )
        check_screen(app)
    assert acted == []


def test_a_document_with_escapes_is_clean(stage: Stage) -> None:
    from ragchat.store.knowledge import KnowledgeStore
    from ragchat.tui import tasks

    with KnowledgeStore.open(stage.folder / "kb", "guide") as store:
        number = add_document(store, Path("/n/x.md"), f"before \x1b]52;c;aGk=\x07\n\n{PRESSURE}")
    opened = tasks.open_document(stage.services, make_citation(1, document_id=number, path="/n/x.md"))
    assert "\x1b" not in opened.text
    assert opened.passage is not None
    assert opened.text[slice(*opened.passage)] == PRESSURE


def test_a_heading_with_which_a_passage_begins_is_not_said_twice() -> None:
    citation = make_citation(1, text="# Lease of the workshop\nThe rent is due.")
    assert heading_line(replace(citation.hit, heading="Lease of the workshop")) == ""
    assert heading_line(replace(citation.hit, heading="Contracts > Lease")) == "Contracts > Lease"
    assert heading_line(replace(citation.hit, heading="", title="The lease")) == "The lease"


async def test_raw_html_is_harmless_text(stage: Stage) -> None:
    stage.script.pieces = ["Before <b>bold</b> <script>x</script>\n\n<div>block</div>\n"]
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "HTML?")
        assert "<b>bold</b>" in screen_text(app)
        assert "<div>block</div>" in screen_text(app)


class OneAnswer(App[None]):
    def compose(self) -> ComposeResult:
        yield AnswerView("")
        yield Static()


MARKUP = st.text(alphabet="[]/@=\"'()#$:`*_-|<>!\\ \nab1\t", max_size=120)


async def test_markdown_of_any_shape_neither_raises_nor_acts() -> None:
    app = OneAnswer()
    texts: list[str] = []

    @settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(MARKUP)
    def collect(text: str) -> None:
        texts.append(text)

    collect()
    async with app.run_test(size=(60, 20)):
        markdown, plain = app.query_one(AnswerView), app.query_one(Static)
        for text in texts:
            half = len(text) // 2
            await markdown.finish("", Content(""))
            await markdown.feed(text[:half])
            await markdown.settle()
            await markdown.feed(text[half:])
            await markdown.settle()
            await markdown.finish(text, Content(""))
            plain.update(shown(text))
            for strip in app.screen._compositor.render_strips():
                for segment in strip:
                    action = str(segment.style.meta.get("@click", "") if segment.style else "")
                    assert not action or action.startswith("link(")


@settings(max_examples=300, deadline=None, database=None)
@given(st.text(max_size=200), st.text(max_size=60))
def test_builders_of_content_take_any_text(text: str, other: str) -> None:
    citation = make_citation(1, text=text, quote=other, path=text)
    builders = [
        shown(text),
        shown_line(text, "bold", limit=20),
        passage_content(citation),
        passage_content(citation, limit=30),
        trouble(text, other),
        answer_footer(
            "error",
            error=text,
            remedy=other,
            left_out=(Omission(OmissionKind.ATTACHED, 1, 2, name=text),),
            timings=Timings(ttft_s=1),
        ),
        Content(file_name(text)),
    ]
    for content in builders:
        assert not _CONTROL.search(content.plain.replace("\n", "").replace("\t", ""))
        for span in content.spans:
            assert isinstance(span.style, str)
            assert "click" not in span.style
    assert f"[{citation.n}]" in citation_text(citation)


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(alphabet="ab \n", max_size=60), st.integers(0, 40), st.integers(1, 20), st.integers(0, 60))
def test_locating_finds_what_is_there(text: str, first: int, length: int, near: int) -> None:
    passage = text[first : first + length]
    found = locate(text, passage, near=near)
    if passage.split():
        assert found is not None
        assert text[slice(*found)].split() == passage.split()
    else:
        assert found is None


def test_the_evidence_is_found_over_line_breaks() -> None:
    citation = make_citation(1, text="One two\nthree four. Five six seven.", quote="two three  four.")
    assert evidence_in(citation.hit.text, citation) == (4, 19)
