"""The chat in lines: the real session and real databases under a model that says what it was told; pipes and a real terminal."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ragchat.app import commands, open_chat
from ragchat.app.build import chat_options, ingest_options, knowledge_bases
from ragchat.app.context import Context
from ragchat.app.services import Services
from ragchat.cli.chat import make_services
from ragchat.config import Settings
from ragchat.errors import ModelFileError, NotFoundError, UsageError
from ragchat.ingest.sync import sync
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.plain.chat import PROGRESS_EVERY_S, PlainChat, Telling
from ragchat.plain.commands import _ELSEWHERE, PlainCommands
from ragchat.plain.console import Console
from ragchat.plain.loop import run
from ragchat.session.chat import ChatSession
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, ChatOptions, Message, PrefillProgress, TextDelta, Timings
from tests.helpers.embedders import WordEmbedder
from tests.helpers.tui_fakes import act

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX terminals and signals")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Actor(FakeModel):
    """One that can be chosen by name."""

    selected = "fake"

    def select(self, name_or_path: str) -> None:
        self.selected = name_or_path

    def suspicion(self) -> str:
        return ""


@dataclass
class Said:
    code: int
    out: str
    err: str


@dataclass
class Stage:
    paths: Paths
    services: Services
    model: Actor
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def talk(self, *lines: str) -> Said:
        """Pipe lines into the chat."""
        self.monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        code = run(self.services, interactive=False)
        said = self.capsys.readouterr()
        assert not CONTROL.search(said.out + said.err)
        return Said(code, said.out, said.err)

    @contextlib.contextmanager
    def chats(self) -> Iterator[ChatStore]:
        with contextlib.closing(ChatStore(self.paths.chat_database)) as store:
            yield store


def answer(messages: Sequence[Message]) -> str:
    said = "The warranty lasts seven years [1]. " if "seven years" in messages[-1].content else ""
    return f"{said}Answer {sum(m.role == 'user' for m in messages)}: forty-two."


@pytest.fixture
def stage(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Stage:
    context = Context(paths, Settings())
    model = Actor(answer)
    services = make_services(context, "")

    @contextlib.contextmanager
    def open_session(chats: ChatStore, options: ChatOptions) -> Iterator[ChatSession]:
        names = (
            services.documents.asked_by_default()
            if options.knowledge_bases is None
            else options.knowledge_bases
        )
        with knowledge_bases(context, names) as stores:
            yield ChatSession(chats, model, stores, chat_options(context, options))

    services.model = model
    act(services, open_session=open_session)
    return Stage(paths, services, model, capsys, monkeypatch)


@pytest.fixture
def pump(stage: Stage, tmp_path: Path) -> Path:
    """A document in a knowledge base."""
    file = tmp_path / "documents" / "zephyr pump.md"
    file.parent.mkdir()
    file.write_text("# Zephyr pump\n\nThe warranty of the Zephyr pump lasts seven years.\n")
    (file.parent / "garden.md").write_text("# Garden\n\nTomatoes are planted in May. Beans follow in June.\n")
    (file.parent / "lamp.txt").write_text("The Orion lamp runs on two batteries.\n")
    with KnowledgeStore.create(stage.paths.kb_dir, "pumps") as store:
        options = ingest_options(Context(stage.paths, Settings()))
        for _ in sync(store, options, cancel=CancelToken(), add=[file.parent]):
            pass
    return file


def test_questions_are_answered_and_kept(stage: Stage) -> None:
    said = stage.talk("What is it?", "", "And then?")
    assert said.code == 0
    assert said.out == "Answer 1: forty-two. \nAnswer 2: forty-two. \n"
    assert "Model: fake. Documents: none." in said.err
    with stage.chats() as store:
        (chat,) = store.conversations()
        assert chat.title == "What is it?"
        assert [m.role for m in store.messages(chat.id)] == ["user", "assistant"] * 2


def test_sources_are_listed(stage: Stage, pump: Path) -> None:
    said = stage.talk("How long is the warranty of the Zephyr pump?", "/sources", "/search zephyr warranty")
    lines = said.out[said.out.index("The warranty lasts") :].splitlines()
    assert lines[0] == "The warranty lasts seven years [1]. Answer 1: forty-two. "
    assert lines[1] == "2 statements: 1 supported, 1 not found in your documents."
    assert lines[2].startswith("Not found in your documents: Answer 1: forty-two. – ")
    source = r"\[1\] zephyr pump\.md, lines? [\d-]+ · pumps, cited by the model: “.*seven years.*”"
    assert re.fullmatch(source, lines[3])
    assert lines[4].startswith(f"[1] {pump}, line")
    assert lines[5].startswith(f"1. {pump}, line")
    assert "Documents: pumps." in said.err


def test_what_the_documents_say_comes_before_the_model(stage: Stage, pump: Path) -> None:
    said = stage.talk("How long is the warranty of the Zephyr pump?")
    before, _, after = said.out.partition("Answer 1: forty-two.")
    assert before.startswith("From your documents:\n“")
    assert "The warranty of the Zephyr pump lasts seven years.”\nzephyr pump.md, line 3" in before
    assert not re.search("[✓≈✗]", said.out), "words for those who listen"
    assert "2 statements:" in after
    again = stage.talk("/open 1")
    assert "From your documents:\n“" in again.out
    assert (
        "Answer: The warranty lasts seven years [1]. (supported) Answer 1: forty-two. (not found)"
        in again.out
    )


def test_statements_are_said_with_reason_and_sentence(stage: Stage, pump: Path) -> None:
    said = stage.talk("How long is the warranty of the Zephyr pump?", "/check")
    told = said.out[said.out.index("\n1. ") + 1 :].splitlines()
    assert told[0] == "1. Supported: The warranty lasts seven years [1]."
    assert told[1].startswith("   The passage says it")
    assert re.fullmatch(
        r"   Compared with \[1\] zephyr pump\.md, lines? [\d-]+ · pumps, cited by the model: “.*seven years\.”",
        told[2],
    )
    assert told[3] == "2. Not found in your documents: Answer 1: forty-two."
    assert "2 statements: 1 supported, 1 not found in your documents." in said.err
    nothing = stage.talk("/kb none", "Hello?", "/check")
    assert "no statements that were compared" in nothing.err


def test_a_strict_chat_says_only_what_is_supported(stage: Stage, pump: Path) -> None:
    said = stage.talk("/strict on", "How long is the warranty of the Zephyr pump?")
    assert said.code == 0, said.err
    assert "\nThe warranty lasts seven years [1].\n" in said.out
    assert "Answer 1" not in said.out.partition("statements:")[0]
    assert "Struck out: 1 statement" in said.err
    with stage.chats() as chats:
        (chat,) = chats.conversations()
        assert "forty-two" in chats.messages(chat.id)[1].content, "it is kept"
    again = stage.talk("/open 1").out
    assert "Answer: The warranty lasts seven years [1]. (supported)\n" in again


def test_nothing_that_answers_is_said_with_the_nearest_passages(stage: Stage, pump: Path) -> None:
    said = stage.talk("/strict on", "Which planet has the most moons?")
    assert "Nothing in your documents answers this." in said.out
    assert "From your documents:" not in said.out


def test_without_a_model_the_documents_answer(stage: Stage, pump: Path) -> None:
    def missing(*_: object, **__: object) -> Iterator[object]:
        yield from ()
        raise NotFoundError("No model is installed.", "`ragchat setup` downloads one.")

    stage.monkeypatch.setattr(Actor, "load", missing)
    said = stage.talk("How long is the warranty of the Zephyr pump?")
    assert said.code == 0, said.err
    assert "seven years.”\nzephyr pump.md, line 3" in said.out
    assert "No model is installed. `ragchat setup` downloads one." in said.err
    with stage.chats() as chats:
        (chat,) = chats.conversations()
        answered = chats.messages(chat.id)[1]
    assert (answered.content, len(answered.quotes) > 0) == ("", True)


def test_the_documents_have_spoken_when_the_model_fails(stage: Stage, pump: Path) -> None:
    def broken(*_: object, **__: object) -> Iterator[object]:
        yield from ()
        raise ModelFileError("The model is broken.", "Get another.")

    stage.monkeypatch.setattr(Actor, "load", broken)
    said = stage.talk("How long is the warranty of the Zephyr pump?")
    assert said.code == 5
    assert "seven years.”\nzephyr pump.md, line 3" in said.out
    assert "The model is broken." in said.err


def test_a_search_looks_at_meaning_where_the_settings_want_it(stage: Stage, pump: Path) -> None:
    embedder = WordEmbedder()
    act(stage.services.documents, embedder=lambda: embedder)
    stage.talk("/search zephyr warranty")
    assert embedder.read
    words = WordEmbedder()
    options = stage.services.ask_options()
    act(stage.services.documents, embedder=lambda: words)
    act(stage.services, ask_options=lambda: replace(options, ranking=replace(options.ranking, meaning=0.0)))
    stage.talk("/search zephyr warranty")
    assert not words.read


def test_several_lines(stage: Stage) -> None:
    stage.talk(
        "one \\", "two\\", "three", '"""', "a", "", "  b\\", '"""', '"""inline"""', '"""never ended', "x"
    )
    with stage.chats() as store:
        asked = [m.content for m in store.messages(store.conversations()[0].id) if m.role == "user"]
    assert asked == ["one \ntwo\nthree", "a\n\n  b\\", "inline", "never ended\nx"]


def test_every_command_does_something(stage: Stage, tmp_path: Path) -> None:
    """Each name of the table is known here: it works, says what it lacks, or that it needs the screen."""
    with contextlib.closing(stage.services.open_chats()) as chats:
        plain = PlainCommands(PlainChat(stage.services, chats, Console(interactive=False)))
        for command in commands.COMMANDS:
            done = [command.name in where for where in (plain._doing, open_chat.COMMANDS, _ELSEWHERE)]
            assert done.count(True) == 1, command.name
    said = stage.talk("/help")
    assert all(f"/{command.name}" in said.out for command in commands.COMMANDS)
    for name in _ELSEWHERE:
        assert stage.talk(f"/{name}").code == 0


def test_a_turn_is_changed(stage: Stage) -> None:
    said = stage.talk(
        "First?",
        "/edit Second?",
        "/good",
        "/retry",
        "/correct It is 43.",
        "/question",
        "/prompt",
        "/continue",
    )
    assert said.code == 0, said.err
    assert "user:\nSecond?" in said.out
    with stage.chats() as store:
        (chat,) = store.conversations()
        question, given = store.messages(chat.id)
        assert question.content == "Second?"
        assert len(question.siblings) == 2
        assert len(given.siblings) == 2
        first = store.message(given.siblings[0])
        assert (first.rating, given.rating, given.correction) == (1, 0, "It is 43.")
        (kept,) = store.evaluation_questions()
        assert (kept.question, kept.answers, kept.message_id) == ("Second?", ("It is 43.",), given.id)


def test_deleting_and_undoing(stage: Stage) -> None:
    said = stage.talk(
        "One?", "Two?", "/delete", "/delete chat", "/undo", "/undo", "/fork", "/title Copy", "/pin"
    )
    assert said.code == 0, said.err
    with stage.chats() as store:
        copy, old = store.conversations()
        assert (copy.title, copy.pinned, old.title) == ("Copy", True, "One?")
        assert len(store.messages(old.id)) == len(store.messages(copy.id)) == 4


def test_chats_are_listed_opened_and_found(stage: Stage) -> None:
    stage.talk("About boilers?", "/tag house #winter", "/set temperature=0.1")
    said = stage.talk("/chats", "/open boil", "More?", "/tag -house", "/find boilers", "/set")
    assert said.code == 0, said.err
    assert re.search(r"^1: About boilers\? \(house, winter\), \d{4}-", said.out, re.MULTILINE)
    assert "You: About boilers?\nAnswer: Answer 1: forty-two." in said.out
    assert "Answer 2: forty-two." in said.out
    assert "1: About boilers?: About boilers?" in said.out
    assert "Tags: winter." in said.err
    assert "temperature=0.1. Change" in said.err


def test_options_and_presets(stage: Stage, pump: Path) -> None:
    said = stage.talk(
        *(
            "/kb none",
            "/set seed=7",
            "/strict on",
            "/preset save Mine",
            "/new",
            "/preset use Mine",
            "/kb",
            "Hm?",
        ),
        *("/kb default", "/preset", "/system Be\\", "brief.", "/preset delete Mine"),
    )
    assert said.code == 0, said.err
    assert "pumps: 3 documents" in said.out
    assert "This chat asks: no documents." in said.err
    assert "Presets: Mine." in said.err
    with stage.chats() as store:
        options = store.conversations()[0].options
        assert (options.seed, options.strict, options.knowledge_bases) == (7, True, None)
        assert options.system_prompt == "Be\nbrief."
        assert store.presets() == []


def test_files_templates_export_and_import(stage: Stage, tmp_path: Path) -> None:
    note = tmp_path / "note.txt"
    note.write_text("The warranty lasts seven years.")
    stage.paths.templates_dir.mkdir()
    (stage.paths.templates_dir / "why.md").write_text("Why {{what: so}} and {{who}}?")
    out = tmp_path / "chat.json"
    said = stage.talk(
        *(f"/attach {note}", "How long?", "/template why", "", "you {{x}}", f"/export {out}"),
        *("/delete chat", f"/import {out}", "/chats"),
    )
    assert said.code == 0, said.err
    assert "[1] note.txt, line" in said.out
    assert "Why so and you {{x}}?" in said.out
    assert "1 chat imported" in said.err
    with stage.chats() as store:
        (chat,) = store.conversations()
        assert [m.text for m in store.messages(chat.id)][::2] == [
            "How long?\n\n(attached: note.txt)",
            "Why so and you {{x}}?",
        ]


@pytest.mark.parametrize(
    ("line", "code", "sentence"),
    [
        ("/retyr", 2, "no command /retyr. Did you mean /retry?"),
        ("/retry", 2, "has no answer yet"),
        ("/set temprature=1", 2, "temperature"),
        ("/kb nowhere", 4, "'nowhere'"),
        ("/open nothing", 4, "“nothing”"),
        ("/attach /nowhere/x", 4, "/nowhere/x"),
        ("/undo", 2, "not deleted anything"),
        ("/template none", 4, "'none'"),
        ("/preset use none", 4, "“none”"),
        ("/export", 2, "empty"),
    ],
)
def test_what_is_wrong_ends_a_pipe(stage: Stage, line: str, code: int, sentence: str) -> None:
    said = stage.talk(line, "Never asked?")
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err


def test_slashes_that_are_meant(stage: Stage) -> None:
    assert stage.talk("/usr/bin is what?", "//help me").code == 0
    with stage.chats() as store:
        assert [m.content for m in store.messages(1)][::2] == ["/usr/bin is what?", "/help me"]


def test_foreign_text_is_cleaned(stage: Stage) -> None:
    stage.model._answer = "plain"
    stage.talk("\x1b]52;c;aGk=\x07Evil\x1b[31m?", "/title \x1b[2Jx\x07", "/chats", "/prompt")
    with stage.chats() as store:
        assert store.messages(1)[0].content == "Evil?"
        assert store.conversation(1).title == "x"


def test_words_are_whole_and_progress_is_sparse(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    telling = Telling(Console(interactive=True))
    for second in range(1, 13):
        now[0] += 1
        telling.tell(PrefillProgress(second * 10, 200, 12.0 - second))
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "Reading the prompt 40/200 tokens, 8.0 s left",
        "Reading the prompt 80/200 tokens, 4.0 s left",
        "Reading the prompt 120/200 tokens",
    ]
    assert PROGRESS_EVERY_S == 4
    pieces = []
    for piece in ("Fo", "rty", "-two is", " the ans", "wer.\nSo"):
        telling.tell(TextDelta(piece))
        pieces.append(capsys.readouterr().out)
    assert pieces == ["", "", "Forty-two ", "is the ", "answer.\n"]
    telling.end()
    assert capsys.readouterr().out == "So\n"


@posix_only
def test_ctrl_c_keeps_what_there_is(stage: Stage) -> None:
    stage.model._answer, stage.model._pause_s = "word " * 400, 0.01
    interrupt = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    interrupt.start()
    said = stage.talk("Go?", "Never asked?")
    interrupt.join()
    assert said.code == 130
    assert "Stopped. The answer so far is kept." in said.err
    with stage.chats() as store:
        (chat,) = store.conversations()
        _, given = store.messages(chat.id)
        assert given.state == "cancelled"
        assert 0 < given.content.count("word") < 400
        assert said.out.strip() == given.content.strip()


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if not name.startswith("RAGCHAT_")}
    quick = {
        "RAGCHAT_MODEL__THREADS": "2",
        "RAGCHAT_MODEL__THREADS_BATCH": "2",
        "RAGCHAT_MODEL__FLASH_ATTENTION": "off",
        "RAGCHAT_MODEL__N_CTX": "1024",
        "RAGCHAT_SAMPLING__MAX_TOKENS": "8",
    }
    return {**kept, **quick, "RAGCHAT_HOME": str(home), **more}


@pytest.mark.real_model
def test_a_pipe(tmp_path: Path, default_model: Path) -> None:
    """`ragchat` at the end of a pipe is the plain chat, and says so."""
    done = subprocess.run(
        [sys.executable, "-m", "ragchat"],
        input=b"/set temperature=0\nSay hello.\n/good\n\xff\xfe\n/quit\nNever asked?\n",
        env=environment(tmp_path / "home"),
        capture_output=True,
        timeout=120,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, err
    assert not CONTROL.search(out + err)
    assert "This terminal cannot draw a screen" in err
    assert "Rated good." in err
    with contextlib.closing(ChatStore(tmp_path / "home" / "data" / "ragchat.db")) as store:
        messages = store.messages(store.conversations()[0].id)
        assert [m.content for m in messages[::2]] == ["Say hello.", "\ufffd\ufffd"]
        assert messages[1].content.strip() in out


@posix_only
def test_nothing_to_read_is_no_error(tmp_path: Path) -> None:
    for stdin in ("</dev/null", "<&-"):
        done = subprocess.run(
            ["sh", "-c", f'"{sys.executable}" -m ragchat chat --plain {stdin}'],
            env=environment(tmp_path / "home"),
            capture_output=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (0, b""), done.stderr.decode()
        assert b"No screen" not in done.stderr, "it was asked for"


@posix_only
@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_a_terminal(tmp_path: Path, term: str) -> None:
    """On a terminal: a prompt, Tab, Ctrl-C and Ctrl-D, and not one escape sequence."""
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ragchat", *([] if term == "dumb" else ["chat", "--plain"])],
        env=environment(tmp_path / "home", TERM=term),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(theirs)
    said = _Listener(ours)
    try:
        said.wait_for("> ")
        os.write(ours, b"/tit\tPumps\n")
        said.wait_for("This chat is empty")
        said.wait_for("> ")
        os.write(ours, b"half a line")
        said.wait_for(
            "half a line"
        )  # the line editor reads; before it does, Python keeps Ctrl-C for the next key
        time.sleep(0.2)
        os.write(ours, b"\x03")
        said.wait_for("Type /quit or press Ctrl-D to quit.")
        said.wait_for("> ")
        time.sleep(0.2)
        os.write(ours, b"\x04")
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert "/title Pumps" in said.text
    assert ("This terminal cannot draw a screen" in said.text) == (term == "dumb")
    assert "\x1b" not in said.text


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class _Listener:
    def __init__(self, descriptor: int) -> None:
        self.text = ""
        self._descriptor = descriptor
        self._at = 0

    def wait_for(self, wanted: str, *, seconds: float = 30) -> None:
        import select

        deadline = time.monotonic() + seconds
        while wanted not in self.text[self._at :]:
            assert time.monotonic() < deadline, self.text
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self.text += os.read(self._descriptor, 4096).decode()
        self._at = self.text.index(wanted, self._at) + len(wanted)


def test_tab_completes_names(stage: Stage, tmp_path: Path, pump: Path) -> None:
    with contextlib.closing(stage.services.open_chats()) as chats:
        plain = PlainCommands(PlainChat(stage.services, chats, Console(interactive=False)))
        chats.create_conversation("About boilers", tags=("house",))
        chats.save_preset("mine", ChatOptions())

        def lines(text: str) -> list[str]:
            return [offer.line for offer in commands.complete(text, plain.candidates)]

        assert lines("/kb p") == ["/kb pumps"]
        assert lines("/open boil") == ["/open About boilers"]
        assert lines("/tag ") == ["/tag house"]
        assert lines("/preset use ") == ["/preset use mine"]
        assert lines("/template su") == ["/template summarise"]
        assert lines(f"/attach {pump.parent}/z") == [f"/attach {pump}"]


def test_an_answer_is_made_again(stage: Stage) -> None:
    said = stage.talk("What is six times seven?", "/replay")
    assert "The same answer, word for word." in said.err
    assert said.out.count("forty-two") == 1, "an equal text is not said twice"
    stage.model.selected = "fake"
    with stage.chats() as chats:
        number = chats.conversations()[0].id
        answer_id = chats.messages(number)[-1].id
        chats.finish_answer(
            answer_id, "Answer 1: forty-three.", state="complete", finish_reason="stop", error="", used=[],
            timings=Timings(), seed=0,
        )  # fmt: skip
    said = stage.talk(f"/open {number}", "/replay")
    assert "A different answer." in said.err
    assert "- forty-three" in said.out.replace("three.", "three") or "- three" in said.out
    assert "+ forty-two" in said.out.replace("two.", "two") or "+ two" in said.out
    assert stage.talk("/replay").code == 2, "nothing was said yet"


def test_one_question_two_settings(stage: Stage, pump: Path) -> None:
    said = stage.talk("/kb pumps", "/compare How long does the warranty of the Zephyr pump last?")
    assert said.code == 0, said.err
    assert said.out.count("Answer 1: forty-two. \n") == 2
    assert "A: documents pumps." in said.err
    assert "B: documents none." in said.err
    with stage.chats() as chats:
        assert chats.conversations() == [], "nothing of it is stored"
    assert "Type a question" in stage.talk("/compare").err


def test_a_document_is_summarised(stage: Stage, pump: Path) -> None:
    said = stage.talk("/kb pumps", "/summarise zephyr")
    assert said.code == 0, said.err
    assert "Summarising zephyr pump.md." in said.err
    with stage.chats() as chats:
        [chat] = chats.conversations()
        assert chats.messages(chat.id)[0].content == "Summarise zephyr pump.md"
    assert stage.talk("/summarise " + str(pump)).code == 0
    assert "matches several documents" in stage.talk("/kb pumps", "/summarise documents").err
    missing = stage.talk("/kb pumps", "/summarise gardne.md")
    assert "garden.md" in missing.err
    assert missing.code == 4


def test_a_long_chat_is_compacted_and_taken_back(stage: Stage) -> None:
    said = stage.talk(*(f"Question {n}?" for n in range(6)), "/compact")
    assert said.code == 0, said.err
    assert "/compact undo removes it" in said.err
    with stage.chats() as chats:
        number = chats.conversations()[0].id
        assert chats.compaction(number) is not None
    assert "is in the prompt again" in stage.talk(f"/open {number}", "/compact undo").err
    with stage.chats() as chats:
        assert chats.compaction(number) is None
    assert "is not compacted" in stage.talk(f"/open {number}", "/compact undo").err
    assert stage.talk("/compact").code == 2


@pytest.mark.parametrize("path", ["~nobodyx", "x" * 300, "a\0b"])
@pytest.mark.parametrize("command", ["attach", "import", "summarise", "export"])
def test_no_typed_path_ends_the_plain_chat(stage: Stage, command: str, path: str, tmp_path: Path) -> None:
    stage.monkeypatch.chdir(tmp_path)
    said = stage.talk("What is it?", f"/{command} {path}")
    assert said.code in (UsageError.exit_code, NotFoundError.exit_code) or (command, path) == (
        "export",
        "a\0b",
    )
    assert "Traceback" not in said.err
