"""Asking in the terminal interface: sending, streaming, stopping, drafts, history, switching chats, errors."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual import events

from ragchat.errors import InferenceDiedError, StorageError
from ragchat.store.chats import ChatStore
from ragchat.tui.app import RagchatApp
from ragchat.tui.widgets.chat_list import ChatList
from ragchat.tui.widgets.message import AnswerView, NoticeView, QuestionView
from tests.helpers.tui_fakes import Stage, act, ask, running, screen_text, send, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def last_answer(app: RagchatApp) -> AnswerView:
    views = [view for view in app.chat.pane.transcript.views if isinstance(view, AnswerView)]
    return views[-1]


def under_the_answer(app: RagchatApp) -> str:
    return last_answer(app).footer.plain


async def test_keys_are_taken_while_the_model_loads(stage: Stage) -> None:
    stage.model.gate.clear()
    app = RagchatApp(stage.services)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press(*"hi")
        assert app.chat.pane.prompt.text == "hi"
        await until(pilot, lambda: app.model_state.phase == "loading" and "loading 10%" in screen_text(app))
        stage.model.gate.set()
        await until(pilot, lambda: app.model_state.phase == "ready" and "● fake" in screen_text(app))
        assert app.chat.pane.prompt.text == "hi"


async def test_a_question_sent_before_the_chats_are_read_is_asked(stage: Stage) -> None:
    with stage.chats() as store:
        store.save_draft(0, "older draft")
    opened, open_chats = threading.Event(), stage.services.open_chats

    def open_late() -> ChatStore:
        opened.wait(20)
        return open_chats()

    act(stage.services, open_chats=open_late)
    app = RagchatApp(stage.services)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.press(*"hi", "enter")
        assert app.chat.pane.prompt.text == "hi"
        opened.set()
        await until(
            pilot, lambda: "Forty-two is the answer" in screen_text(app) and app.chat.pane.live is None
        )
        assert app.chat.pane.prompt.text == "older draft"
    assert stage.script.questions == ["hi"]


async def test_chats_that_cannot_be_read_are_explained(stage: Stage) -> None:
    (stage.folder / "ragchat.db").write_bytes(b"this is no database" * 100)
    app = RagchatApp(stage.services)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, lambda: "is damaged" in screen_text(app))
        await send(app, pilot, "Still here")
        await until(pilot, lambda: app.chat.pane.prompt.text == "Still here" and app.chat.pane.live is None)


async def test_a_question_is_answered_and_stored(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "What is the answer?")
        assert "Forty-two is the answer" in screen_text(app)
        assert "1.2 s to first token · 34 tok/s · 1 source" in screen_text(app)
        assert "ctx 932/4096" in screen_text(app)
        await until(
            pilot,
            lambda: [c.title for c in app.chat.query_one(ChatList).chats] == ["What is the answer?"],
        )
    with stage.chats() as store:
        (conversation,) = store.conversations()
        asked, answered = store.messages(conversation.id)
    assert (asked.content, answered.state) == ("What is the answer?", "complete")
    assert stage.script.asked_of == [("guide",)]


async def test_enter_does_not_overtake_what_was_typed_before(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        for key in (*"fast", "ctrl+j", *"fingers", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: stage.script.questions == ["fast\nfingers"] and app.chat.pane.live is None)


async def test_words_appear_while_the_answer_streams(stage: Stage) -> None:
    stage.script.held = 2
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Why?")
        await until(pilot, lambda: "Forty-two is the answer" in screen_text(app))
        assert "[1]" not in last_answer(app).plain_text
        assert "press Esc to stop" in screen_text(app)
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert "is the answer [1]." in screen_text(app)


async def test_a_burst_of_pieces_comes_in_whole(stage: Stage) -> None:
    stage.script.pieces = [f"w{n} " for n in range(400)]
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Much")
        assert last_answer(app).plain_text == "".join(stage.script.pieces)
        assert last_answer(app).plain_text == "".join(stage.script.pieces)
        assert "w399" in screen_text(app)


async def test_escape_stops_and_keeps_what_was_written(stage: Stage) -> None:
    stage.script.held = 1
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Why?")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.chat.pane.live is None)
        assert "Forty-two" in screen_text(app)
        assert "You stopped" in screen_text(app)
    with stage.chats() as store:
        answered = store.messages(store.conversations()[0].id)[1]
    assert (answered.content, answered.state) == ("Forty-two", "cancelled")


async def test_a_second_question_waits_in_the_prompt(stage: Stage) -> None:
    stage.script.held = 1
    async with running(stage) as (app, pilot):
        await send(app, pilot, "First")
        await pilot.press(*"second", "enter")
        await until(pilot, lambda: "Press Esc to stop it" in screen_text(app))
        assert app.chat.pane.prompt.text == "second"
        assert stage.script.questions == ["First"]
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        await pilot.press("enter")
        await until(
            pilot, lambda: stage.script.questions == ["First", "second"] and app.chat.pane.live is None
        )


@pytest.mark.parametrize("key", ["ctrl+j", "alt+enter", "shift+enter"])
async def test_keys_that_make_a_new_line(stage: Stage, key: str) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press("a", key, "b")
        assert app.chat.pane.prompt.text == "a\nb"


async def test_alt_enter_of_plain_terminals_makes_a_new_line(stage: Stage) -> None:
    from textual._xterm_parser import XTermParser

    async with running(stage) as (app, pilot):
        for sequence in ("\x1b\r", "\x1b[27;2;13~", "\x1b[27;3;13~", "\x1b[13;2u"):
            for event in XTermParser(False).feed(sequence):
                if isinstance(event, events.Key):
                    app.post_message(event)
            await pilot.pause()
        assert app.chat.pane.prompt.text == "\n" * 4
        assert stage.script.questions == []


async def test_pasted_lines_stay_lines_and_send_nothing(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        app.post_message(events.Paste("one\r\ntwo\x1b]52;c;aGk=\x07\n\tthree"))
        await until(pilot, lambda: app.chat.pane.prompt.text == "one\ntwo\n\tthree")
        assert app.chat.pane.prompt.size.height == 3
        assert stage.script.questions == []


async def test_the_prompt_grows_to_eight_lines(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await pilot.press(*["ctrl+j"] * 12)
        assert app.chat.pane.prompt.size.height == 8


async def test_up_and_down_walk_the_history_and_keep_the_draft(stage: Stage) -> None:
    with stage.chats() as store:
        conversation = store.create_conversation("Old")
        store.add_user_message(conversation.id, "oldest")
        store.add_user_message(conversation.id, "two\nlines")
    async with running(stage) as (app, pilot):
        prompt = app.chat.pane.prompt
        await until(pilot, lambda: prompt._history)
        await pilot.press(*"draft", "up")
        assert prompt.text == "two\nlines"
        await pilot.press("up")
        assert prompt.text == "two\nlines", "the cursor goes to the first line before"
        await pilot.press("up")
        assert prompt.text == "oldest"
        await pilot.press("up")
        assert prompt.text == "oldest"
        await pilot.press("down", "down")
        assert prompt.text == "draft"


async def test_drafts_come_back_at_start_and_at_a_switch(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "First")
        first = app.chat.pane.conversation_id
        await pilot.press(*"half a thought", "ctrl+n")
        await until(pilot, lambda: app.chat.pane.conversation_id == 0 and app.chat.pane.prompt.text == "")
        await pilot.press(*"new one")
        app.chat.pane.open(first)
        await until(pilot, lambda: app.chat.pane.prompt.text == "half a thought")
        await pilot.press("ctrl+q")
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: app.chat.pane.prompt.text == "new one")


async def test_a_draft_is_saved_while_typing(stage: Stage) -> None:
    async with running(stage) as (_, pilot):
        await pilot.press(*"typed")

        def saved() -> bool:
            with stage.chats() as store:
                return store.draft(0) == "typed"

        await until(pilot, saved)


async def test_an_answer_goes_on_in_its_own_chat(stage: Stage) -> None:
    stage.script.held = 1
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Long one")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        first = app.chat.pane.conversation_id
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not app.chat.pane.transcript.views)
        assert "answering in “Long one”" in screen_text(app)
        app.chat.pane.open(first)
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not app.chat.pane.transcript.views)
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert not app.chat.pane.transcript.views
        app.chat.pane.open(first)
        await until(pilot, lambda: "Forty-two is the answer [1]." in screen_text(app))
    with stage.chats() as store:
        assert store.messages(first)[1].content == "Forty-two is the answer [1]."


async def test_coming_back_in_mid_answer_goes_on_streaming(stage: Stage) -> None:
    stage.script.held = 2
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Long one")
        await until(pilot, lambda: app.chat.pane.live is not None and app.chat.pane.live.stored)
        first = app.chat.pane.conversation_id
        await pilot.press("ctrl+n")
        await until(pilot, lambda: not app.chat.pane.transcript.views)
        app.chat.pane.open(first)
        await until(pilot, lambda: "Forty-two is the answer" in screen_text(app))
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert "Forty-two is the answer [1]." in screen_text(app)
        assert last_answer(app).plain_text == "Forty-two is the answer [1]."


async def test_an_error_before_anything_is_stored_gives_the_text_back(stage: Stage) -> None:
    stage.script.fail_before = StorageError("The disk is full.", "Free some space.")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Precious words")
        assert app.chat.pane.prompt.text == "Precious words"
        assert "The disk is full." in screen_text(app)
        assert "Free some space." in screen_text(app)
        assert [type(view) for view in app.chat.pane.transcript.views] == [NoticeView]
        assert app.chat.pane.conversation_id == 0
    with stage.chats() as store:
        assert store.conversations() == []


async def test_an_error_in_mid_answer_stands_under_it(stage: Stage) -> None:
    stage.script.fail_after = InferenceDiedError("The model process ended.", "Ask again.")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        text = screen_text(app)
        assert "Forty-two" in text
        assert "The model process ended." in text
        assert "Ask again." in text
        assert app.chat.pane.prompt.text == ""
        assert app.focused is app.chat.pane.prompt


async def test_a_surprise_is_logged_and_said_in_a_sentence(stage: Stage) -> None:
    stage.script.fail_after = ZeroDivisionError("secret detail")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        assert "An unexpected error occurred while answering." in under_the_answer(app)
        assert "secret detail" not in screen_text(app)
        assert "Traceback" not in screen_text(app)
    assert "ZeroDivisionError: secret detail" in stage.services.paths.app_log.read_text()


async def test_an_interrupted_answer_says_so(stage: Stage) -> None:
    with stage.chats() as store:
        conversation = store.create_conversation("Old")
        store.add_user_message(conversation.id, "question")
        answer = store.begin_answer(conversation.id)
        store.update_answer(answer.id, "half an ans")
        store._connection.execute("UPDATE messages SET writer = '1:1' WHERE id = ?", (answer.id,))
    async with running(stage) as (app, pilot):
        app.chat.pane.open(conversation.id)
        await until(pilot, lambda: "half an ans" in screen_text(app))
        assert "was interrupted" in " ".join(screen_text(app).split())


async def test_not_from_the_documents_is_said(stage: Stage) -> None:
    stage.script.citations = ()
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        assert "not from your documents" in under_the_answer(app)
        app.chat.use_knowledge(())
        await pilot.press("ctrl+n")
        app.chat.use_knowledge(())
        await ask(app, pilot, "Plain?")
        assert "not from your documents" not in under_the_answer(app)
        assert stage.script.asked_of == [("guide",), ()]


async def test_selecting_copying_and_asking_again(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        await ask(app, pilot, "Two?")
        app.chat.pane.transcript.focus()
        await pilot.press("y")
        assert app.clipboard == "Forty-two is the answer [1]."
        await until(pilot, lambda: "The answer:" in screen_text(app))
        await pilot.press("k", "k", "k")
        assert isinstance(app.chat.pane.transcript.selected, QuestionView)
        await pilot.press("y")
        assert app.clipboard == "One?"
        await pilot.press("j", "a")
        assert app.chat.pane.prompt.text == "One?"
        assert app.focused is app.chat.pane.prompt


async def test_printable_keys_in_the_transcript_do_not_surprise(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        app.chat.pane.transcript.focus()
        await pilot.press("x", "q", "z", "n", "N", "delete")
        assert app.focused is app.chat.pane.transcript
        assert len(app.chat.pane.transcript.views) == 2
    with stage.chats() as store:
        assert len(store.conversations()) == 1


async def test_a_long_chat_opens_at_its_end_and_grows_upwards(stage: Stage) -> None:
    with stage.chats() as store:
        conversation = store.create_conversation("Long")
        for n in range(40):
            store.add_user_message(conversation.id, f"question {n}")
    async with running(stage) as (app, pilot):
        app.chat.pane.open(conversation.id)
        await until(pilot, lambda: "question 39" in screen_text(app))
        transcript = app.chat.pane.transcript
        assert len(transcript.views) == 24
        transcript.focus()
        await pilot.press("g")
        await until(pilot, lambda: len(transcript.views) == 40)
        assert [view.plain_text for view in transcript.views] == [f"question {n}" for n in range(40)]


async def test_scrolling_up_stops_following(stage: Stage) -> None:
    stage.script.pieces = [f"Line {n}.\n\n" for n in range(60)]
    stage.script.held = 50
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Long?")
        await until(pilot, lambda: "Line 49." in screen_text(app))
        await pilot.press("pageup", "pageup")
        await until(pilot, lambda: "Line 49." not in screen_text(app))
        before = screen_text(app)
        stage.script.release()
        await until(pilot, lambda: app.chat.pane.live is None)
        assert "Line 59." not in screen_text(app)
        assert before.splitlines()[3] == screen_text(app).splitlines()[3]
        await pilot.press("pagedown", "pagedown", "pagedown", "pagedown")
        await until(pilot, lambda: "Line 59." in screen_text(app))


async def test_chats_are_renamed_deleted_and_brought_back(stage: Stage) -> None:
    with stage.chats() as store:
        store.create_conversation("Alpha")
        store.create_conversation("Beta")
    async with running(stage) as (app, pilot):
        options = app.chat.query_one(ChatList).options
        await until(pilot, lambda: options.option_count == 3)
        options.focus()
        await pilot.press("down", "r")
        await until(pilot, lambda: len(app.screen_stack) == 2)
        await pilot.press(*" two", "enter")
        await until(pilot, lambda: "Beta two" in screen_text(app))
        await pilot.press("d")
        await until(pilot, lambda: options.option_count == 2 and "restores it" in screen_text(app))
        await pilot.press("u")
        await until(pilot, lambda: options.option_count == 3)
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.pane.conversation_id > 0)
        assert app.focused is app.chat.pane.prompt


async def test_quitting_while_everything_runs_ends_at_once(stage: Stage) -> None:
    stage.script.held = 1
    stage.pull_gate.clear()
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Why?")
        app.start_pull("distant")
        await until(pilot, lambda: app.jobs["pull"].done > 0)
        await pilot.press(*"unsent", "ctrl+q")
    assert app.jobs["pull"].cancel.cancelled
    with stage.chats() as store:
        assert store.draft(store.conversations()[0].id) == "unsent"
