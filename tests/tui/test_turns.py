"""What is done with a turn of the chat, by real keys: write it anew, answer again, walk branches, delete, rate, correct, keep."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ragchat.errors import AdapterError
from ragchat.llm.adapters import InstalledAdapter
from ragchat.tui import tasks
from ragchat.tui.app import RagchatApp
from ragchat.tui.screens.adapters import AdaptersScreen
from ragchat.tui.screens.edit_text import EditText, TextBox
from ragchat.tui.screens.keep_question import KeepQuestion
from ragchat.tui.widgets.message import AnswerView
from ragchat.types import AdapterScale, ChatOptions, EvaluationQuestion, StoredMessage
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, send, set_stage, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return set_stage(tmp_path)


def stored(stage: Stage, chat: int = 0) -> list[StoredMessage]:
    """The branch that is shown."""
    with stage.chats() as store:
        return store.messages(chat or store.conversations()[0].id)


def texts(app: RagchatApp) -> list[str]:
    return [view.plain_text for view in app.chat.pane.transcript.views]


async def asked_twice(app: RagchatApp, pilot: Pilot[None]) -> None:
    await ask(app, pilot, "First?")
    await ask(app, pilot, "Second?")
    app.chat.pane.transcript.focus()
    await pilot.pause()


async def test_keys_are_for_an_answer_that_is_whole_on_the_screen(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker still counts what the next prompt would lose, which takes long on a busy machine."""
    go_on = threading.Event()
    monkeypatch.setattr(tasks, "_warn_of_loss", lambda *_: go_on.wait(20))
    async with running(stage) as (app, pilot):
        try:
            await send(app, pilot, "First?")
            await until(pilot, lambda: "to first token" in screen_text(app))
            app.chat.pane.transcript.focus()
            await pilot.press("G", "plus")
            await until(pilot, lambda: stored(stage)[-1].rating == 1)
            await pilot.press("r")
            await until(pilot, lambda: "2/2" in screen_text(app))
        finally:
            go_on.set()


async def settled(app: RagchatApp, pilot: Pilot[None], number: int) -> None:
    """The answer that is being written ended, and so many turns are on the screen."""
    await until(pilot, lambda: app.chat.pane.live is None and len(texts(app)) == number)


# --- branches -------------------------------------------------------------------------------------------


async def test_a_question_is_written_anew_and_both_branches_are_walked(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        app.chat.pane.prompt.put("half a thought")
        await pilot.press("g", "e")
        await until(pilot, lambda: app.chat.pane.prompt.text == "First?")
        assert "An earlier question" in screen_text(app)
        await pilot.press("end", "!", "enter")
        await settled(app, pilot, 2)
        assert [m.content for m in stored(stage)][::2] == ["First?!"]
        assert app.chat.pane.prompt.text == "half a thought"
        assert "An earlier question" not in screen_text(app)
        await until(pilot, lambda: "2/2" in screen_text(app))
        app.chat.pane.transcript.focus()
        await pilot.press("g", "h")
        await until(pilot, lambda: [m.content for m in stored(stage)][::2] == ["First?", "Second?"])
        await until(pilot, lambda: texts(app)[::2] == ["First?", "Second?"])
        assert "1/2" in screen_text(app)
        await pilot.press("g", "right")
        await until(pilot, lambda: texts(app)[::2] == ["First?!"])
    assert [kind for kind, _ in stage.script.requests] == ["ask"] * 3
    assert stage.script.requests[2] == ("ask", 0)


async def test_escape_leaves_a_question_as_it_was(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        app.chat.pane.prompt.put("half a thought")
        await pilot.press("e")
        await until(pilot, lambda: app.chat.pane.prompt.text == "Second?")
        await pilot.press("x", "escape")
        assert app.chat.pane.prompt.text == "half a thought"
        assert app.chat.pane.editing is None
    assert len(stored(stage)) == 4


async def test_an_answer_is_written_again_and_the_old_one_stays(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        stage.script.pieces = ["Another ", "answer."]
        await pilot.press("G", "r")
        await until(pilot, lambda: "Another answer." in texts(app) and app.chat.pane.live is None)
        answer = stored(stage)[-1]
        assert (answer.content, len(answer.siblings)) == ("Another answer.", 2)
        await until(pilot, lambda: "2/2" in screen_text(app))
        app.chat.pane.transcript.focus()
        await pilot.press("G", "left")
        await until(pilot, lambda: texts(app)[-1] == "Forty-two is the answer [1].")
    assert stored(stage)[-1].content == "Forty-two is the answer [1]."


async def test_answering_an_earlier_question_again_streams_in_its_place(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        stage.script.pieces, stage.script.held = ["Slowly ", "said."], 1
        await pilot.press("g", "j", "r")
        await until(pilot, lambda: texts(app)[-1].strip() == "Slowly" and len(texts(app)) == 2)
        stage.script.release()
        await settled(app, pilot, 2)
        assert texts(app) == ["First?", "Slowly said."]
    assert len(stored(stage)) == 2


async def test_a_stopped_answer_goes_on(stage: Stage) -> None:
    stage.script.held = 1
    async with running(stage) as (app, pilot):
        await send(app, pilot, "Why?")
        await until(pilot, lambda: "Forty-two" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.chat.pane.live is None)
        stage.script.held, stage.script.pieces = None, [" and more."]
        app.chat.pane.transcript.focus()
        await pilot.press("c")
        await until(pilot, lambda: texts(app)[-1] == "Forty-two and more." and app.chat.pane.live is None)
        assert isinstance(app.chat.pane.transcript.views[-1], AnswerView)
        await pilot.press("c")
        await until(pilot, lambda: "This answer is complete" in screen_text(app))
    assert (stored(stage)[-1].content, stored(stage)[-1].state) == ("Forty-two and more.", "complete")


async def test_a_chat_is_forked_into_a_tab(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("g", "j", "f")
        await until(pilot, lambda: texts(app)[::2] == ["First?"] and len(app.chat.open_chats.numbers) == 2)
        await until(pilot, lambda: "First? (fork)" in screen_text(app))
        await ask(app, pilot, "Elsewhere?")
        await pilot.press("ctrl+pageup")
        await until(pilot, lambda: texts(app)[::2] == ["First?", "Second?"])
    with stage.chats() as store:
        assert sorted(chat.title for chat in store.conversations()) == ["First?", "First? (fork)"]


async def test_a_turn_is_deleted_and_comes_back(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("g", "d")
        await until(pilot, lambda: texts(app)[::2] == ["Second?"])
        await until(pilot, lambda: "Deleted the question" in screen_text(app))
        app.chat.pane.transcript.focus()
        await pilot.press("u")
        await until(pilot, lambda: texts(app)[::2] == ["First?", "Second?"])
        await pilot.press("u")
        await until(pilot, lambda: "You have not deleted anything" in screen_text(app))


# --- what the person thinks of it -----------------------------------------------------------------------


async def test_an_answer_is_rated_and_the_rating_taken_back(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("G", "plus")
        await until(pilot, lambda: stored(stage)[-1].rating == 1)
        await until(pilot, lambda: app.chat.pane.transcript.views[-1].facts.rating == 1)
        assert "good" in screen_text(app)
        await pilot.press("minus")
        await until(pilot, lambda: stored(stage)[-1].rating == -1)
        await until(pilot, lambda: app.chat.pane.transcript.views[-1].facts.rating == -1)
        await pilot.press("b")
        await until(pilot, lambda: stored(stage)[-1].rating == 0)


async def test_a_correction_stands_beside_the_answer(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("G", "w")
        await until(pilot, lambda: isinstance(app.screen, EditText))
        assert app.screen.query_one(TextBox).text == "Forty-two is the answer [1]."
        app.screen.query_one(TextBox).load_text("")
        await pilot.press(*"43", "ctrl+s")
        await until(pilot, lambda: stored(stage)[-1].correction == "43")
        await until(pilot, lambda: "43" in screen_text(app))
        assert stored(stage)[-1].content == "Forty-two is the answer [1]."


async def test_a_question_is_kept_for_the_evaluation(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("G", "E")
        await until(pilot, lambda: isinstance(app.screen, KeepQuestion))
        assert "Second?" in screen_text(app)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "kept for evaluation" in screen_text(app))

    with stage.chats() as store:
        (kept,) = store.evaluation_questions()
    assert isinstance(kept, EvaluationQuestion)
    assert (kept.question, kept.answers, kept.answerable) == ("Second?", ("Forty-two is the answer.",), True)
    assert kept.source.endswith("guide.md")
    assert kept.quote == "Below 1 bar it switches itself off."
    assert kept.message_id == stored(stage)[-1].id


async def test_a_question_needs_an_answer_or_none_in_the_documents(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("G", "E")
        await until(pilot, lambda: isinstance(app.screen, KeepQuestion))
        app.screen.query_one(TextBox).load_text("")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "It needs an expected answer." in screen_text(app))
        await pilot.press("tab", "tab", "tab", "space", "ctrl+s")
        await until(pilot, lambda: app.screen is app.chat)
        await until(pilot, lambda: "kept for evaluation" in screen_text(app))
    with stage.chats() as store:
        (kept,) = store.evaluation_questions()
    assert (kept.answers, kept.source, kept.answerable) == ((), "", False)


# --- searching in a chat, thoughts, tabs, options --------------------------------------------------------


async def test_words_are_found_in_the_chat(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await asked_twice(app, pilot)
        await pilot.press("slash", *"first", "enter")
        await until(pilot, lambda: app.chat.pane.transcript.selected is app.chat.pane.transcript.views[0])
        await pilot.press("slash")
        await until(pilot, lambda: app.focused is not app.chat.pane.transcript)
        await pilot.press(*"zebra", "enter")
        await until(pilot, lambda: "No message in this chat" in screen_text(app))


async def test_thoughts_are_folded_and_opened(stage: Stage) -> None:
    stage.script.thoughts = ["Let me ", "see what bar means."]
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "Why?")
        assert "see what bar means" not in screen_text(app)
        app.chat.pane.transcript.focus()
        await pilot.press("t")
        await until(pilot, lambda: "see what bar means" in screen_text(app))


async def test_every_draft_is_stored_not_only_the_first(stage: Stage) -> None:
    def stored_draft_is(number: int, text: str) -> bool:
        with stage.chats() as store:
            return store.draft(number) == text

    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        number = app.chat.pane.conversation_id
        for typed in ("first", " second", " third"):
            before = app.chat.pane.prompt.text
            await pilot.press(*(" " if letter == " " else letter for letter in typed))
            await until(pilot, partial(stored_draft_is, number, before + typed))
    async with running(stage) as (app, pilot):  # who was interrupted while writing finds it again
        await until(pilot, lambda: app.chat.pane.prompt.text == "first second third")
        assert app.chat.pane.conversation_id == number


BOTH = (AdapterScale("facts"), AdapterScale("style", 0.5))


def adapter(name: str) -> InstalledAdapter:
    return InstalledAdapter(name, Path("/models/adapters") / name, None)


async def test_adapters_are_switched_by_keys(stage: Stage) -> None:
    def kept() -> str:
        with stage.chats() as store:
            return AdapterScale.join(store.conversations()[0].options.adapters)

    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        await pilot.press("alt+a")
        await until(pilot, lambda: "There are no adapters yet." in screen_text(app))
        stage.adapters = [adapter("facts"), adapter("style")]
        await pilot.press("alt+a")
        await until(pilot, lambda: isinstance(app.screen, AdaptersScreen))
        await pilot.press("space", "down", "space", "ctrl+down", "ctrl+down", "enter")
        await until(pilot, lambda: stage.model.adapters == BOTH)
        await until(pilot, lambda: kept() == "facts+style:0.5")
        assert "facts+style:0.5" in screen_text(app)
        await until(pilot, lambda: "switched in" in screen_text(app))
        await ask(app, pilot, "Two?")
        assert stage.script.options[-1].adapters == BOTH
        await pilot.press("alt+l")
        await until(pilot, lambda: not stage.model.adapters and kept() == "")
        await pilot.press("alt+l")
        await until(pilot, lambda: stage.model.adapters == BOTH)
        await pilot.press("alt+a")
        await until(pilot, lambda: isinstance(app.screen, AdaptersScreen))
        await pilot.press("space", "escape")
        await until(pilot, lambda: app.screen is app.chat)
        assert kept() == "facts+style:0.5", "Esc cancels"
        await pilot.press("ctrl+n")
        await until(pilot, lambda: app.chat.pane.conversation_id == 0)
        await pilot.press("alt+l")
        await until(pilot, lambda: isinstance(app.screen, AdaptersScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.chat)
        assert app.chat.pane.options.adapters == (), "those of another chat are its own"
        app.chat.open_chat(stored(stage)[0].conversation_id)
        await until(pilot, lambda: app.chat.pane.options.adapters == BOTH)
        app.chat.pane.prompt.put("/adapter off")
        await pilot.press("enter")
        await until(pilot, lambda: not stage.model.adapters)


async def test_an_adapter_that_is_refused_is_not_shown_as_on(stage: Stage) -> None:
    stage.adapters = [adapter("facts")]
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        stage.model.refusal = AdapterError("It is of another model.")
        await pilot.press("alt+a")
        await until(pilot, lambda: isinstance(app.screen, AdaptersScreen))
        await pilot.press("space", "enter")
        await until(pilot, lambda: "It is of another model." in screen_text(app))
        assert app.chat.pane.options.adapters == ()


async def test_adapters_go_with_their_model(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        app.chat.set_options(ChatOptions(adapters=(AdapterScale("facts"),)))
        app.chat.set_options(ChatOptions(adapters=(AdapterScale("facts"),), model="other"))
        assert app.chat.pane.options == ChatOptions(model="other")
        await until(pilot, lambda: "does not fit this model" in screen_text(app))


async def test_keys_of_tabs(stage: Stage) -> None:
    async with running(stage) as (app, pilot):

        def shows_first(text: str) -> bool:
            return texts(app)[:1] == [text]

        await ask(app, pilot, "One?")
        await pilot.press("alt+n")
        await ask(app, pilot, "Two?")
        for key, shown in (
            ("alt+comma", "One?"),
            ("alt+full_stop", "Two?"),
            ("ctrl+pageup", "One?"),
            ("ctrl+pagedown", "Two?"),
        ):
            await pilot.press(key)
            await until(pilot, partial(shows_first, shown))


async def test_open_tabs_are_there_after_a_restart(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "One?")
        await pilot.press("alt+n")
        await ask(app, pilot, "Two?")
        numbers = list(app.chat.open_chats.numbers)
        assert len(numbers) == 2
        await pilot.press("ctrl+pageup")
        await until(pilot, lambda: texts(app)[:1] == ["One?"])

        def kept() -> bool:
            with stage.chats() as store:
                return f'"current": {numbers[0]}' in store.note("tabs")

        await until(pilot, kept)
    async with running(stage) as (app, pilot):
        await until(pilot, lambda: texts(app)[:1] == ["One?"])
        assert app.chat.open_chats.numbers == numbers
        await pilot.press("alt+w")
        await until(pilot, lambda: texts(app)[:1] == ["Two?"])


async def test_options_of_a_chat_reach_the_session_and_stay(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        prompt = app.chat.pane.prompt
        for line in ("/set temperature=0", "/strict on", "/system Be brief.", "/preset save terse"):
            prompt.put(line)
            await pilot.press("enter")
            await until(pilot, lambda: prompt.text == "")
        await ask(app, pilot, "Why?")
        wanted = ChatOptions(temperature=0, strict=True, system_prompt="Be brief.", preset="terse")
        assert stage.script.options[-1] == wanted
        await pilot.press("ctrl+n")
        await until(pilot, lambda: app.chat.pane.options == ChatOptions())
        prompt.put("/preset use terse")
        await pilot.press("enter")
        await until(pilot, lambda: app.chat.pane.options.preset == "terse")
        await ask(app, pilot, "And this?")
        assert stage.script.options[-1].temperature == 0
    with stage.chats() as store:
        assert [chat.options.strict for chat in store.conversations()] == [True, True]


async def test_slash_commands_do_what_the_keys_do(stage: Stage) -> None:
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "First?")
        prompt = app.chat.pane.prompt

        async def command(line: str) -> None:
            prompt.focus()
            prompt.put(line)
            await pilot.press("enter")
            await until(pilot, lambda: prompt.text != line)

        await command("/good")
        await until(pilot, lambda: stored(stage)[-1].rating == 1)
        await command("/correct Forty-three.")
        await until(pilot, lambda: stored(stage)[-1].correction == "Forty-three.")
        await command("/title Boilers")
        await command("/tag heating -old")
        await command("/pin")
        await until(pilot, lambda: "Pinned" in screen_text(app) and "#heating" in screen_text(app))
        await command("/retry")
        await until(pilot, lambda: len(stored(stage)[-1].siblings) == 2 and app.chat.pane.live is None)
        await command("/delete")
        await until(pilot, lambda: texts(app) == [])
        await command("/undo")
        await until(pilot, lambda: texts(app)[:1] == ["First?"])
        await command("/delete chat")
        await until(pilot, lambda: app.chat.pane.conversation_id == 0)
        await command("/undo")
        await until(pilot, lambda: "Boilers" in screen_text(app))
        prompt.put("/kb nowhere")
        await pilot.press("enter")
        await until(pilot, lambda: "There is no knowledge base called 'nowhere'" in screen_text(app))
        assert prompt.text == "/kb nowhere"
    with stage.chats() as store:
        (chat,) = store.conversations()
    assert (chat.title, chat.tags, chat.pinned) == ("Boilers", ("heating",), True)
