"""What goes with one question: which passages of a file go in, under which numbers, and what is said of the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.errors import IngestError, NotFoundError, PromptTooLongError
from ragchat.ingest.sync import IngestOptions
from ragchat.llm.fake import FakeModel
from ragchat.paths import Paths
from ragchat.retrieval.search import Searcher
from ragchat.session.attachment import prepare, rank, read
from ragchat.session.chat import AskOptions, ChatSession
from ragchat.session.events import AnswerFinished, HitsFound, PromptReady, SessionEvent
from ragchat.session.sources import Attachment, Sources
from ragchat.store.chats import ChatStore
from ragchat.store.knowledge import KnowledgeStore
from ragchat.types import CancelToken, ExtractedText, OmissionKind
from tests.helpers.small_kb import put

SECTIONS = [
    f"## Part {n}\n\n" + f"Item {n} of the list is made of wood and weighs {n} grams. " * 8 for n in range(40)
]
SECTIONS[17] = "## Rent\n\nThe notice period is ninety days, and the deposit equals two rents."
SECTIONS[31] = "## Ending\n\nNotice must be given in writing; the period begins with the next month."
CONTRACT = "# Contract\n\n" + "\n\n".join(SECTIONS)
QUESTION = "How long is the notice period?"


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def attachment(text: str = CONTRACT, name: str = "contract.md") -> Attachment:
    return Attachment(f"/papers/{name}", "hash", ExtractedText(text, "text/markdown", source_lines=True))


def test_a_text_that_fits_goes_in_whole_in_stretches_of_its_sections() -> None:
    chosen, left_out = rank(QUESTION, attachment().content, room=10_000, count=words)
    assert left_out is None
    assert "".join("".join(draft.text.split()) for draft in chosen) == "".join(CONTRACT.split())
    assert all(CONTRACT[d.span.char_first : d.span.char_last] == d.text for d in chosen)


def test_of_a_long_text_what_speaks_to_the_question_goes_in_in_its_order() -> None:
    chosen, left_out = rank(QUESTION, attachment().content, room=200, count=words)
    texts = [draft.text for draft in chosen]
    assert any("ninety days" in text for text in texts)
    assert any("in writing" in text for text in texts)
    firsts = [draft.span.char_first for draft in chosen]
    assert firsts == sorted(firsts)
    assert sum(words(texts)) <= 200
    assert left_out
    assert left_out.kind is OmissionKind.ATTACHED
    assert 0 < left_out.count < left_out.of


def test_a_text_that_shares_no_word_with_the_question_goes_in_from_its_beginning() -> None:
    chosen, left_out = rank("Zeppelin?", attachment().content, room=200, count=words)
    assert chosen[0].span.char_first == 0
    assert left_out
    assert left_out.kind is OmissionKind.UNRELATED


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=400), question=st.text(max_size=60), room=st.integers(-5, 90))
def test_any_text_and_any_room(text: str, question: str, room: int) -> None:
    chosen, _ = rank(question, ExtractedText(text, "text/plain"), room=room, count=words)
    assert all(text[d.span.char_first : d.span.char_last] == d.text for d in chosen)
    assert sum(words([d.text for d in chosen])) <= max(0, room)


def test_passages_of_several_files_are_numbered_on_and_carry_their_places() -> None:
    other = attachment("The notice period of the flat is thirty days.", "flat.txt")
    made = prepare(
        QUESTION,
        Sources(files=(attachment(), other)),
        first_number=3,
        n_ctx=600,
        share=0.5,
        count=words,
    )
    numbers = [citation.n for citation in made.citations]
    assert numbers == list(range(3, 3 + len(numbers)))
    assert all(f"[{n}] " in made.text for n in numbers)
    assert made.citations[-1].hit.path == "/papers/flat.txt"
    assert made.citations[-1].hit.place == "line 1"
    rent = next(c for c in made.citations if "ninety" in c.hit.text)
    assert rent.quote in CONTRACT
    line = CONTRACT.count("\n", 0, CONTRACT.index("## Rent")) + 1
    assert rent.hit.span.line_first <= line <= rent.hit.span.line_last < line + 8
    assert len(made.text.split()) <= 300
    assert made.left_out[0].name == "contract.md"
    assert made.left_out[0].kind is OmissionKind.ATTACHED


def test_piped_text_that_fits_stays_as_it_is() -> None:
    made = prepare("Why?", Sources(text="a\n b"), first_number=1, n_ctx=400, share=0.5, count=words)
    assert (made.text, made.citations, made.left_out) == ("a\n b", (), ())


# --- reading files --------------------------------------------------------------------------------------


@pytest.fixture
def options(tmp_path: Path) -> IngestOptions:
    return IngestOptions(tmp_path / "extraction.log")


def test_reading_files_and_what_is_none(tmp_path: Path, options: IngestOptions) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html><head><title>Vault</title></head><body><p>The code is 7319.</p></body></html>")
    found = read(page, options)
    assert "The code is 7319." in found.content.text
    assert (found.name, len(found.content_hash)) == ("page.html", 64)
    link = tmp_path / "link.html"
    link.symlink_to(page)
    assert read(link, options).path == str(page.resolve())
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "blob.bin").write_bytes(bytes(range(256)) * 9)
    for name in ("empty.txt", "blob.bin"):
        with pytest.raises(IngestError, match=f"{name} cannot be attached"):
            read(tmp_path / name, options)
    with pytest.raises(IngestError, match="is a folder"):
        read(tmp_path, options)
    with pytest.raises(NotFoundError):
        read(tmp_path / "nowhere.txt", options)


# --- asking ---------------------------------------------------------------------------------------------


@pytest.fixture
def chats(paths: Paths) -> Iterator[ChatStore]:
    with closing(ChatStore(paths.chat_database)) as opened:
        yield opened


@pytest.fixture
def store(paths: Paths) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(paths.kb_dir, "notes") as opened:
        put(opened, "/notes/pump.md", "The Zephyr pump must be primed for forty seconds.", "It is green.")
        put(opened, "/notes/lamp.md", "The Orion lamp runs on two batteries.")
        yield opened


def finished(events: Sequence[SessionEvent]) -> AnswerFinished:
    return next(event for event in events if isinstance(event, AnswerFinished))


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path, options: IngestOptions) -> None:
    (tmp_path / "huge.md").touch()
    os.truncate(tmp_path / "huge.md", 1 << 40)
    started = time.monotonic()
    with pytest.raises(IngestError, match="larger than the limit"):
        read(tmp_path / "huge.md", options)
    assert time.monotonic() - started < 5


def test_an_answer_cites_an_attached_file_by_name_and_place(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("The notice period is ninety days.")
    session = ChatSession(chats, model, [store], AskOptions(strict=True))
    conversation = session.start(QUESTION)
    events = list(session.ask(conversation, QUESTION, files=[attachment()], cancel=CancelToken()))
    said = finished(events)
    (cited,) = [citation for citation in said.citations if citation.used]
    assert f"[{cited.n}]" in said.text
    assert cited.hit.path == "/papers/contract.md"
    assert "ninety days" in cited.quote
    assert said.from_documents
    asked, answered = chats.messages(conversation)
    assert (asked.content, asked.attachments) == (QUESTION, ("contract.md",))
    assert asked.text == f"{QUESTION}\n\n(attached: contract.md)"
    assert [c for c in chats.citations(answered.id) if c.used] == [cited]
    (ready,) = [event for event in events if isinstance(event, PromptReady)]
    assert any(omission.name == "contract.md" for omission in ready.left_out)


def test_numbers_of_files_never_meet_those_of_documents(chats: ChatStore, store: KnowledgeStore) -> None:
    model = FakeModel("So it is.")
    session = ChatSession(chats, model, [store], AskOptions(passages=2, min_match=0.0))
    conversation = session.start("How long is the pump primed?")
    files = [attachment("The pump was bought in May.", "bill.txt")]
    events = list(
        session.ask(conversation, "How long is the pump primed?", files=files, cancel=CancelToken())
    )
    numbers = [citation.n for citation in finished(events).citations]
    assert len(numbers) == len(set(numbers)) >= 2
    (sent,) = model.asked
    assert all(f"[{n}] " in sent[-1].content for n in numbers)


def test_a_pinned_passage_is_the_context_of_the_question(chats: ChatStore, store: KnowledgeStore) -> None:
    hit = Searcher([store]).search("lamp batteries", 1).hits[0]
    model = FakeModel("The Orion lamp runs on two batteries [1].")
    session = ChatSession(chats, model, [store], AskOptions())
    conversation = session.start("What is the pump?")
    events = list(
        session.ask(conversation, "How long is the pump primed?", pinned=[hit], cancel=CancelToken())
    )
    (found,) = [event for event in events if isinstance(event, HitsFound)]
    assert (found.hits, found.relevant) == ((hit,), True)
    (citation,) = finished(events).citations
    assert (citation.used, citation.hit.path, citation.hit.knowledge_base) == (
        True,
        "/notes/lamp.md",
        "notes",
    )
    assert "forty seconds" not in model.asked[0][-1].content
    assert chats.messages(conversation)[0].text.endswith("(attached: lamp.md, line 1)")


@settings(max_examples=25, deadline=None)
@given(
    n_ctx=st.integers(300, 3000),
    piped=st.sampled_from(["", "short", CONTRACT]),
    files=st.integers(0, 3),
    long=st.booleans(),
)
def test_whatever_is_attached_the_context_is_never_exceeded(
    n_ctx: int, piped: str, files: int, long: bool
) -> None:
    model = FakeModel("Yes.", n_ctx=n_ctx)
    session = ChatSession(None, model, [], AskOptions())
    question = QUESTION + (" and so on" * 60 if long else "")
    attached = [attachment(name=f"c{n}.md") for n in range(files)]
    try:
        events = list(session.ask(0, question, attachment=piped, files=attached, cancel=CancelToken()))
    except PromptTooLongError:
        assert len(question.split()) + 64 + 128 > n_ctx / 2
        return
    (ready,) = [event for event in events if isinstance(event, PromptReady)]
    assert ready.prompt_tokens + 64 <= n_ctx


def test_ask_attach_shows_the_files_passages_in_the_prompt(tmp_path: Path, default_model: Path) -> None:
    home = tmp_path / "home"
    (home / "data" / "models").mkdir(parents=True)
    (home / "data" / "models" / default_model.name).symlink_to(default_model)
    contract = tmp_path / "contract.md"
    contract.write_text(CONTRACT)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ragchat", "ask", QUESTION, "--no-rag"),
            *("--attach", str(contract), "--dry-run", "--json"),
        ],
        env={"RAGCHAT_HOME": str(home), "PATH": "/usr/bin:/bin", "RAGCHAT_MODEL__N_CTX": "1024"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    shown = json.loads(done.stdout)
    assert "contract.md:" in shown["messages"][-1]["content"]
    assert "ninety days" in shown["messages"][-1]["content"]
    assert shown["tokens"] + 64 <= 1024
    assert any("contract.md" in sentence for sentence in shown["left_out"])
    missing = subprocess.run(
        [sys.executable, "-m", "ragchat", "ask", "Why?", "--attach", str(tmp_path / "none.txt")],
        env={"RAGCHAT_HOME": str(home), "PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert missing.returncode == 4
    assert "There is no file" in missing.stderr


def test_the_hash_tells_one_version_of_a_file_from_another(tmp_path: Path, options: IngestOptions) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    first = read(file, options)
    file.write_text("two")
    assert replace(read(file, options), content=first.content) != first
