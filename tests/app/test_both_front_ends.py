"""The commands about a chat do the same in the screen and in the plain chat: what is stored after, and what you read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from ragchat.app import commands, open_chat
from ragchat.plain.chat import PlainChat
from ragchat.plain.commands import PlainCommands
from ragchat.plain.console import Console
from ragchat.types import CancelToken, ChatOptions
from tests.helpers.tui_fakes import Stage, ask, running, screen_text, set_stage, until

LINES = {
    "open": ["/open Second"],
    "title": ["/title Boilers and pumps"],
    "tag": ["/tag heating #house -old"],
    "pin": ["/pin"],
    "fork": ["/fork"],
    "model": ["/model other"],
    "adapter": ["/adapter off"],
    "kb": ["/kb guide"],
    "system": ["/system Answer in one word."],
    "set": ["/set temperature=0.1 top_k=7"],
    "strict": ["/strict"],
    "think": ["/think off"],
    "preset": ["/preset save terse"],
    "good": ["/good"],
    "bad": ["/bad"],
    "correct": ["/correct Forty-three."],
    "question": ["/question Forty-two."],
    "delete": ["/delete"],
    "undo": ["/delete chat", "/undo"],
}


@dataclass(frozen=True)
class After:
    """What a command left behind. `sentence` is empty for what the screen shows by a mark instead."""

    chats: tuple[object, ...]
    messages: tuple[object, ...]
    questions: tuple[object, ...]
    presets: tuple[object, ...]
    options: ChatOptions
    shown: str


def left_behind(stage: Stage, options: ChatOptions, conversation_id: int) -> After:
    with stage.chats() as store:
        chats = store.conversations()
        title = next((chat.title for chat in chats if chat.id == conversation_id), "")
        return After(
            tuple(sorted((c.title, c.tags, c.pinned, str(c.options)) for c in chats)),
            tuple(
                sorted((m.text, m.rating, m.correction) for chat in chats for m in store.messages(chat.id))
            ),
            tuple(
                (q.question, q.answers, Path(q.source).name, q.quote) for q in store.evaluation_questions()
            ),
            tuple(store.presets()),
            options,
            title,
        )


def filled(folder: Path) -> Stage:
    """Two chats: the one that is open has a question and its answer; the other is called Second."""
    folder.mkdir()
    stage = set_stage(folder)
    with stage.chats() as store:
        other = store.create_conversation("Second chat")
        question = store.add_user_message(other.id, "Which?")
        store.finish_answer(
            store.begin_answer(other.id, parent_id=question.id).id,
            "That.",
            state="complete",
            finish_reason="stop",
        )
    return stage


def in_lines(stage: Stage, lines: list[str]) -> After:
    with stage.chats() as store:
        chat = PlainChat(stage.services, store, Console(interactive=False))
        plain = PlainCommands(chat)
        for _ in stage.services.model.load(CancelToken()):
            pass
        chat.ask("First?")
        for line in lines:
            typed = commands.parse(line)
            assert typed
            plain.run(typed)
        return left_behind(stage, chat.options, chat.conversation_id)


@pytest.mark.parametrize("name", open_chat.COMMANDS)
async def test_both_front_ends_do_the_same(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = in_lines(filled(tmp_path / "plain"), LINES[name])
    said = capsys.readouterr().err.strip().splitlines()[-1]
    stage = filled(tmp_path / "screen")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "First?")
        prompt = app.chat.pane.prompt
        for line in LINES[name]:
            prompt.focus()
            prompt.put(line)
            await pilot.press("enter")
            await until(pilot, lambda: not prompt.text)
            await app.chat.pane.changes.settled()
        await until(
            pilot,
            lambda: left_behind(stage, app.chat.pane.options, app.chat.open_chats.current) == plain,
        )
        if name not in ("good", "bad", "correct", "fork", "open"):  # a mark, or another chat, shows it
            words = " ".join(screen_text(app).split())
            assert " ".join(said.split())[:24] in words, said


def test_every_shared_command_is_tried_and_in_the_table() -> None:
    assert set(LINES) == set(open_chat.COMMANDS)
    assert set(open_chat.COMMANDS) <= {command.name for command in commands.COMMANDS}


async def test_commands_in_quick_succession_build_on_each_other(tmp_path: Path) -> None:
    """Each is done in a worker, and the next begins with what the one before has changed."""
    stage = filled(tmp_path / "screen")
    async with running(stage) as (app, pilot):
        await ask(app, pilot, "First?")
        pane = app.chat.pane
        for line in ("/strict on", "/think off", "/set temperature=0.1", "/set top_k=7", "/kb guide"):
            typed = commands.parse(line)
            assert typed
            app.chat._slash.run(typed)
        await pane.changes.settled()
        await pilot.pause()
        chosen = pane.options
        assert (chosen.strict, chosen.thinking, chosen.temperature, chosen.top_k) == (True, False, 0.1, 7)
        assert chosen.knowledge_bases == ("guide",)
        with stage.chats() as store:
            assert store.conversation(pane.conversation_id).options == chosen
