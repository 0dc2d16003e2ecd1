"""Slash commands: what counts as one, what is text, what a begun line may go on with, and the values of /set."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.app import commands
from ragchat.app.commands import COMMANDS, Kind, Typed, Unknown, complete, literal, parse, unknown_command
from ragchat.errors import UsageError
from ragchat.types import ChatOptions

NAMES: dict[str, list[str]] = {
    "model": ["SmolLM2-135M", "qwen3-0.6b", "Qwen2.5-1.5B"],
    "knowledge base": ["boiler", "manual", "work"],
    "preset": ["careful", "wild"],
    "tag": ["house", "job"],
    "path": ["~/a b.txt", "~/notes/"],
}


def candidates(kind: Kind, begun: str) -> Sequence[str]:
    return NAMES.get(kind, [])


def lines(text: str) -> list[str]:
    return [offer.line for offer in complete(text, candidates)]


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("/help", Typed("help", "", "")),
        ("/HELP ", Typed("help", "", "")),
        ("/exit", Typed("quit", "", "")),
        ("/attach a b.txt\nWhat is it?\nReally?", Typed("attach", "a b.txt", "What is it?\nReally?")),
        ("/attach", Typed("attach", "", "")),
        ("/system Be brief.\nAnd kind.", Typed("system", "Be brief.\nAnd kind.", "")),
        ("/correct\nForty-two.", Typed("correct", "Forty-two.", "")),
        ("/find  /usr/bin ", Typed("find", "/usr/bin", "")),
        ("/open\tBoiler", Typed("open", "Boiler", "")),
    ],
)
def test_commands(text: str, typed: Typed) -> None:
    assert parse(text) == typed
    assert unknown_command(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "/usr/bin is what?",
        "/etc/passwd",
        "what is /help",
        " /help",
        "",
        "/",
        "/ help",
        "//help",
        "a\n/help",
        "/1",
    ],
)
def test_what_is_text(text: str) -> None:
    assert parse(text) is None
    assert unknown_command(text) is None


def test_unknown_names_know_their_nearest() -> None:
    assert unknown_command("/attatch x.txt") == Unknown("attatch", "attach")
    assert unknown_command("/nam") == Unknown("nam", "title"), "which is rename, too"
    assert unknown_command("/regenrate") == Unknown("regenrate", "retry"), "an alias leads to its command"
    assert unknown_command("/templ") == Unknown("templ", "template")
    assert unknown_command("/tmp is full\nwhat now?") == Unknown("tmp", "")


@pytest.mark.parametrize(
    "text", ["/help?", "/nonsense!", "/kb2 x", "/übung", "/nonsense\tnow", "/attatch\nWhat?"]
)
def test_a_command_that_is_spelt_wrong_is_not_sent(text: str) -> None:
    unknown = unknown_command(text)
    assert unknown is not None
    assert "no command" in str(unknown.error)


def test_two_slashes_are_one_that_is_meant() -> None:
    assert literal("//help") == "/help"
    assert literal("//usr/bin is what?") == "/usr/bin is what?"
    for untouched in ("/help", "// a comment\nWhat does it do?", "//", "///", "a //b"):
        assert literal(untouched) == untouched


def test_names_and_aliases_are_unique_and_said_whole() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    for command in COMMANDS:
        assert parse(f"/{command.name}") == Typed(command.name, "", ""), command
        assert command.meaning, command
        assert bool(command.argument) == (command.kind != "none" or bool(command.choices)), command


def test_completion_of_names() -> None:
    assert len(lines("/")) == len(COMMANDS)
    assert lines("/sys") == ["/system "]
    assert lines("/ST") == ["/strict "]
    assert lines("/e")[:2] == ["/export ", "/edit "]
    assert "/quit" in lines("/e"), "exit is an alias of it"
    assert lines("/port") == ["/export ", "/import "], "where none begins like this, those that hold it"
    assert lines("/zzz") == []
    assert lines("help") == lines("/help\nand more") == lines("//he") == []
    (quit_,) = complete("/quit", candidates)
    assert quit_.final
    assert quit_.meaning == "Quit ragchat; everything is saved"


def test_what_may_be_taken_unseen() -> None:
    assert commands.begins("")
    assert commands.begins("EXP")
    assert commands.begins("exi"), "of an alias"
    for word in ("help", "exit", "port", "zzz"):
        assert not commands.begins(word)


def test_completion_of_arguments() -> None:
    assert lines("/model ") == [f"/model {name}" for name in NAMES["model"]]
    assert lines("/model QW") == ["/model qwen3-0.6b", "/model Qwen2.5-1.5B"]
    assert lines("/model 1.5") == ["/model Qwen2.5-1.5B"]
    assert lines("/model qwen3-0.6b") == []
    assert lines("/kb boiler w") == ["/kb boiler work"]
    assert lines("/kb boiler ") == ["/kb boiler manual", "/kb boiler work"]
    assert "/kb none" in lines("/kb n")
    assert lines("/attach ~/") == ["/attach ~/a b.txt", "/attach ~/notes/"]
    assert [offer.final for offer in complete("/attach ~/", candidates)] == [True, False]
    assert lines("/file ~/") == ["/file ~/a b.txt", "/file ~/notes/"], "an alias stays as it was typed"
    assert lines("/preset ") == ["/preset save", "/preset use", "/preset delete"]
    assert lines("/preset use c") == ["/preset use careful"]
    assert lines("/preset save ") == []
    assert lines("/set te") == ["/set temperature="]
    assert lines("/set temperature=0.2 se") == ["/set temperature=0.2 seed="]
    assert lines("/set temperature=") == []
    assert lines("/strict o") == ["/strict on", "/strict off"]
    assert lines("/tag -j") == ["/tag -job"]
    assert lines("/title ") == lines("/help ") == lines("/pin ") == lines("/nothing ") == []


def test_options_are_set_and_taken_back() -> None:
    options = commands.with_options(ChatOptions(preset="wild"), "temperature=0.2 Top-K=5, seed=7")
    assert options == ChatOptions(temperature=0.2, top_k=5, seed=7), "it is the preset no longer"
    assert commands.with_options(options, "temperature=default seed=") == ChatOptions(top_k=5)


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("temprature=1", "temperature"),
        ("x=1", "top_k"),
        ("", "temperature=0.2"),
        ("temperature", "temperature=…"),
        ("temperature=hot", "from 0 to 5"),
        ("temperature=nan", "from 0 to 5"),
        ("temperature=9", "from 0 to 5"),
        ("top_k=1.5", "whole number"),
        ("seed=-2", "from -1"),
    ],
)
def test_wrong_options_are_named(argument: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        commands.with_options(ChatOptions(), argument)
    assert said in f"{caught.value} {caught.value.remedy}"


@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_is_command_or_text(text: str) -> None:
    for typed in (text, f"/{text}", f"/help {text}", f"/kb {text}"):
        assert not (parse(typed) and unknown_command(typed))
        for offer in complete(typed, candidates):
            assert offer.line.startswith("/")
        assert literal(typed) in (typed, typed[1:])
