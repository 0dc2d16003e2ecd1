"""Chats out of the program and back in: our JSON without loss, the formats of others with all their oddities."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ragchat.errors import IngestError, NotFoundError, UsageError
from ragchat.session import importing
from ragchat.session.exporting import (
    SUFFIXES,
    Format,
    as_markdown,
    as_openai_line,
    export_text,
    file_stem,
    write_export,
)
from ragchat.session.foreign_chats import FILES, HIDDEN, TOOLS, iso_time
from ragchat.session.importing import Incoming, read_chats, read_file, summary, take_in
from ragchat.session.message_tree import Node, Turn, grow
from ragchat.session.own_format import as_json
from ragchat.store.chats import ChatStore
from ragchat.text import clean, clean_line
from ragchat.types import (
    UNCHECKED,
    AdapterScale,
    AnswerCheck,
    ChatOptions,
    Citation,
    Generation,
    Hit,
    Message,
    Omission,
    OmissionKind,
    PortableChat,
    PortableMessage,
    PromptPart,
    PromptPartKind,
    Quote,
    Reason,
    ReasonKind,
    Sampling,
    Span,
    Statement,
    Verdict,
)
from tests.helpers.naughty import NAUGHTY

AT = "2026-11-23T02:01:51.000Z"
LATER = "2026-11-23T02:05:00.250Z"


def citation(n: int = 1, *, path: str = "/home/anna/guide.md", used: bool = True) -> Citation:
    span = Span(0, 20, 3, 4, 7, 7)
    hit = Hit(n, 2.5, "guide", 11, 4, path, "Guide", "Guide > Pressure", span, "Below 1 bar it stops.", "abc")
    return Citation(n, hit, "Below 1 bar it stops.", used)


def generation(model: str = "smollm2-135m") -> Generation:
    return Generation(
        model=model,
        model_path="/models/a.gguf",
        adapters=(AdapterScale("facts", 0.5),),
        knowledge_bases=("guide",),
        query="boiler pressure",
        prompt=(Message("system", "Be short."), Message("user", "Why?")),
        left_out=(Omission(OmissionKind.PASSAGES, 1, 2, 512),),
        sampling=Sampling(seed=7, stop=("END",)),
        retrieval_s=0.25,
        parts=(PromptPart(PromptPartKind.QUESTION, 12), PromptPart(PromptPartKind.PASSAGE, 9, 2)),
        n_ctx=4096,
    )


def chat(title: str = "The boiler", **changes: Any) -> PortableChat:
    """A question with two answers, of which the second is shown and goes on."""
    messages = (
        PortableMessage(1, 0, "user", "Why did it stop?", AT),
        PortableMessage(2, 1, "assistant", "No idea.", AT, rating=-1, correction="The pressure fell."),
        PortableMessage(
            *(3, 1, "assistant", "The **pressure** fell [1].", LATER),
            reasoning="Think.\nAgain.",
            rating=1,
            generation=generation(),
            citations=(citation(), citation(2, used=False)),
        ),
        PortableMessage(4, 3, "user", "And <b>now</b>?", LATER),
        PortableMessage(5, 4, "assistant", "Refill", LATER, state="cancelled", finish_reason="cancelled"),
    )
    return replace(
        PortableChat(title, AT, LATER, messages, leaf_id=5, pinned=True, tags=("house",)), **changes
    )


def said(incoming: PortableChat) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in incoming.path]


def read(value: object) -> Incoming:
    return read_chats(json.dumps(value).encode())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChatStore]:
    with closing(ChatStore(tmp_path / "ragchat.db")) as opened:
        yield opened


# --- our JSON -------------------------------------------------------------------------------------------

_texts = st.text(max_size=30).map(clean)
_lines = st.text(max_size=20).map(clean_line)
_numbers = st.integers(0, 2**53)
_rates = st.floats(0, 1e6, allow_nan=False)
_times = st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)).map(lambda at: iso_time(at.isoformat()))
_spans = st.builds(Span, *[_numbers] * 4, st.none() | _numbers, st.none() | _numbers)
_hits = st.builds(
    Hit, _numbers, _rates, _lines, _numbers, _numbers, _texts, _lines, _lines, _spans, _texts, _lines, _texts
)
_adapters = st.builds(
    AdapterScale,
    st.text("abcö-_.", min_size=1, max_size=8),
    st.integers(0, 40).map(lambda quarters: quarters / 4),
)
_omissions = st.builds(Omission, st.sampled_from(OmissionKind), *[_numbers] * 3, _lines)
_parts = st.builds(PromptPart, st.sampled_from(PromptPartKind), _numbers) | st.builds(
    PromptPart, st.just(PromptPartKind.PASSAGE), _numbers, st.integers(1, 99)
)
_generations = st.builds(
    Generation,
    model=_lines,
    model_path=_texts,
    adapters=st.lists(_adapters, max_size=2).map(tuple),
    knowledge_bases=st.lists(_lines, max_size=2).map(tuple),
    query=_texts,
    prompt=st.lists(st.builds(Message, st.sampled_from(["system", "user"]), _texts), max_size=2).map(tuple),
    left_out=st.lists(_omissions, max_size=2).map(tuple),
    sampling=st.builds(
        Sampling, temperature=_rates, seed=st.none() | _numbers, stop=st.lists(_texts, max_size=2).map(tuple)
    ),
    retrieval_s=_rates,
    parts=st.lists(_parts, max_size=2).map(tuple),
    n_ctx=_numbers,
)


_reasons = st.builds(
    Reason,
    st.sampled_from(ReasonKind),
    st.lists(_lines, max_size=2).map(tuple),
    st.lists(_lines, max_size=2).map(tuple),
)
_chances = st.floats(0, 1)


@st.composite
def _quotes(draw: st.DrawFn) -> Quote:
    hit = draw(_hits.filter(lambda hit: bool(hit.text)))
    first = draw(st.integers(0, len(hit.text) - 1))
    return Quote(hit, first, draw(st.integers(first + 1, len(hit.text))), draw(_chances))


@st.composite
def _statements(draw: st.DrawFn, content: str) -> Statement:
    first = draw(st.integers(0, len(content)))
    last = draw(st.integers(first, len(content)))
    return Statement(
        content[first:last],
        first,
        last,
        draw(st.sampled_from(Verdict)),
        draw(_reasons),
        draw(st.integers(0, 99)),
        draw(_texts),
        draw(st.sampled_from(["model", "ragchat", ""])),
        draw(st.none() | _chances),
    )


def _checks(content: str) -> st.SearchStrategy[AnswerCheck]:
    statements = st.lists(_statements(content), max_size=2).map(tuple)
    return st.builds(AnswerCheck, statements, st.none() | _chances, st.booleans(), st.booleans())


@st.composite
def _chats(draw: st.DrawFn) -> PortableChat:
    count = draw(st.integers(0, 6))
    messages = tuple(
        PortableMessage(
            id=number * 3,
            parent_id=draw(st.integers(0, number - 1)) * 3,
            role=draw(st.sampled_from(["user", "assistant"])),
            content=(content := draw(_texts)),
            quotes=tuple(draw(st.lists(_quotes(), max_size=2))),
            check=draw(_checks(content)),
            created_at=draw(_times),
            state=draw(st.sampled_from(["complete", "cancelled", "interrupted", "error"])),
            finish_reason=draw(st.sampled_from(["", "stop", "length"])),
            rating=draw(st.sampled_from([-1, 0, 1])),
            correction=draw(_texts),
            reasoning=draw(_texts),
            generation=draw(st.none() | _generations),
            notice=draw(st.just("") | _lines),
            attachments=tuple(draw(st.lists(_lines.filter(bool), max_size=2))),
            citations=tuple(
                draw(st.lists(st.builds(Citation, _numbers, _hits, _texts, st.booleans()), max_size=2))
            ),
        )
        for number in range(1, count + 1)
    )
    return PortableChat(
        title=draw(_lines.filter(bool)),
        created_at=draw(_times),
        updated_at=draw(_times),
        messages=messages,
        leaf_id=draw(st.integers(0, count)) * 3,
        pinned=draw(st.booleans()),
        tags=tuple(draw(st.lists(_lines, max_size=3))),
        options=draw(
            st.builds(
                ChatOptions,
                model=_lines,
                adapters=st.lists(_adapters, max_size=2).map(tuple),
                knowledge_bases=st.none() | st.lists(_lines, max_size=2).map(tuple),
                system_prompt=st.none() | _texts,
                strict=st.none() | st.booleans(),
                temperature=st.none() | _rates,
                seed=st.none() | st.integers(-1, 2**32),
                preset=_lines,
            )
        ),
    )


@given(st.lists(_chats(), max_size=3))
@settings(max_examples=150, deadline=None)
def test_our_json_loses_nothing(chats: list[PortableChat]) -> None:
    text = as_json(chats)
    assert clean(text) == text
    found = read_chats(text.encode())
    assert found.chats == tuple(chats)
    assert not found.rejected


NOTICE = "Nothing in your documents matches this question, so this answer is not from them."


def test_our_json_keeps_the_shape_that_older_versions_read() -> None:
    messages = (
        PortableMessage(1, 0, "user", "Why?", AT, attachments=("lamp.md, line 1",)),
        PortableMessage(2, 1, "assistant", "So.", AT, notice=NOTICE, generation=generation()),
    )
    options = ChatOptions(adapters=(AdapterScale("facts"), AdapterScale("style", 0.5)))
    value = json.loads(as_json([chat(messages=messages, leaf_id=2, options=options)]))
    written = value["chats"][0]
    assert value["version"] == 1
    assert written["options"]["adapter"] == "facts+style:0.5"
    asked, answered = written["messages"]
    assert asked["content"] == "Why?\n\n(attached: lamp.md, line 1)"
    assert answered["content"] == f"{NOTICE}\n\nSo."
    assert answered["generation"]["adapter"] == "facts:0.5"
    assert answered["generation"]["left_out"] == [one.sentence for one in generation().left_out]
    assert answered["generation"]["parts"][1] == {"name": "passage 2", "tokens": 9}


def old_file() -> dict[str, Any]:
    """A chat as the version before notices and attachments wrote it."""
    made = {
        "model": "m",
        "model_path": "/m.gguf",
        "adapter": "facts:0.5",
        "knowledge_bases": ["docs"],
        "query": "q",
        "prompt": [],
        "left_out": ["1 of 4 pinned passages did not fit.", "Ten pages were too dark."],
        "sampling": {},
        "retrieval_s": 0.5,
        "parts": [{"name": "passage 3", "tokens": 4}],
        "n_ctx": 512,
    }
    messages = [
        {"id": 1, "parent_id": 0, "role": "user", "content": "Why?\n\n(attached: lamp.md, line 1)"},
        {"id": 2, "parent_id": 1, "role": "assistant", "content": f"{NOTICE}\n\nSo.", "generation": made},
    ]
    return {
        "title": "Lamps",
        "created_at": AT,
        "updated_at": AT,
        "messages": messages,
        "leaf_id": 2,
        "options": {"adapter": "facts"},
    }


def read_own(value: dict[str, Any]) -> Incoming:
    return read({"format": "ragchat-chats", "version": 1, "chats": [value]})


def test_a_file_of_before_is_taken_apart(store: ChatStore) -> None:
    (found,) = read_own(old_file()).chats
    asked, answered = found.path
    assert (asked.content, asked.attachments) == ("Why?", ("lamp.md, line 1",))
    assert (answered.content, answered.notice) == ("So.", NOTICE)
    assert answered.generation
    assert answered.generation.adapters == (AdapterScale("facts", 0.5),)
    assert answered.generation.left_out == (
        Omission(OmissionKind.PINNED, 1, 4),
        Omission(OmissionKind.OTHER, name="Ten pages were too dark."),
    )
    assert answered.generation.parts == (PromptPart(PromptPartKind.PASSAGE, 4, 3),)
    assert found.options.adapters == (AdapterScale("facts"),)
    store.add_portable(found)
    assert take_in(store, read_own(old_file()).chats).already_here == 1
    bare = [
        {"role": one["role"], "content": one["content"]} for one in old_file()["messages"]
    ]  # as our JSON lines have it
    assert take_in(store, read({"title": "Lamps", "messages": bare}).chats).already_here == 1


def test_values_of_a_later_version_are_read_as_sentences() -> None:
    value = old_file()
    value["messages"][1]["generation"]["omissions"] = [{"kind": "dreams", "count": 3}, {"kind": "other"}]
    (found,) = read_own(value).chats
    made = found.path[1].generation
    assert made
    assert [one.kind for one in made.left_out] == [OmissionKind.PINNED, OmissionKind.OTHER]


@pytest.mark.parametrize(
    "change",
    [
        {"adapter": "facts:strong"},
        {"left_out": "none"},
        {"left_out": [3]},
        {"parts": [{"name": 3}]},
        {"parts": 3},
    ],
)
def test_values_that_are_none_are_refused(change: dict[str, Any]) -> None:
    value = old_file()
    value["messages"][1]["generation"] |= change
    found = read_own(value)
    assert not found.chats
    assert len(found.rejected) == 1


# --- what documents say, and what a check found ---------------------------------------------------------


def checked_chat() -> PortableChat:
    """A question, an answer with two quotes, three statements and a citation, an answer without words."""
    passage = "Below 1 bar it stops.\n- open the valve\n- refill *slowly*\n"
    hit = replace(
        citation().hit, text=passage, span=Span(0, len(passage), 3, 6, file_line_first=3, file_line_last=6)
    )
    words = "It stops [1]. It has <b>wings</b>. It ✓ sings."
    statements = (
        Statement(words[:13], 0, 13, Verdict.SUPPORTED, Reason(ReasonKind.SAID), 1, "Below 1 bar it stops.", "ragchat"),
        Statement(words[14:34], 14, 34, Verdict.NOT_FOUND, Reason(ReasonKind.WORDS, ("<b>wings</b>",))),
        Statement(words[35:], 35, 46, Verdict.PARTLY, Reason(ReasonKind.NUMBER, ("2",), ("1",)), 1, passage, "model", 0.25),
    )  # fmt: skip
    messages = (
        PortableMessage(1, 0, "user", "Why did it stop?", AT),
        PortableMessage(
            *(2, 1, "assistant", words, AT),
            citations=(citation(),),
            quotes=(Quote(hit, 0, 21, 0.875), Quote(hit, 22, len(passage) - 1)),
            check=AnswerCheck(statements, answered=0.5, says=False),
        ),
        PortableMessage(3, 2, "user", "And now?", AT),
        PortableMessage(4, 3, "assistant", "", AT, quotes=(Quote(hit, 0, 21),)),
    )
    return chat(messages=messages, leaf_id=4)


def test_quotes_and_checks_are_in_our_json_for_scripts() -> None:
    written = json.loads(as_json([checked_chat()]))["chats"][0]["messages"][1]
    quote, listed = written["quotes"]
    assert (quote["text"], quote["chance"], quote["first"]) == ("Below 1 bar it stops.", 0.875, 0)
    assert quote["hit"]["path"] == "/home/anna/guide.md"
    assert listed["text"] == "- open the valve\n- refill *slowly*"
    check = written["check"]
    assert (check["answered"], check["says"], check["strict"]) == (0.5, False, False)
    said = [(one["verdict"], one["citation"], one["cited_by"]) for one in check["statements"]]
    assert said == [("supported", 1, "ragchat"), ("not found", 0, ""), ("partly", 1, "model")]
    assert check["statements"][2]["reason"] == {
        "kind": "number",
        "words": ["2"],
        "found": ["1"],
        "sentence": "The number “2” is not in the passage, which has “1”.",
    }
    assert check["statements"][2]["compared"].startswith("Below 1 bar")


def test_quotes_and_checks_survive_a_store_and_our_json(store: ChatStore) -> None:
    first = store.portable(store.add_portable(checked_chat()).id)
    (back,) = read_chats(as_json([first]).encode()).chats
    assert back == first
    for stored, sent in zip(back.path, checked_chat().path, strict=True):
        assert (stored.quotes, stored.check) == (sent.quotes, sent.check)


def as_foreign(change: dict[str, Any]) -> Incoming:
    value = json.loads(as_json([checked_chat()]))["chats"][0]
    message = value["messages"][1]
    for path, new in change.items():
        *above, last = path.split(".")
        target = message
        for step in above:
            target = target[int(step) if step.isdecimal() else step]
        target[int(last) if last.isdecimal() else last] = new
    return read_own(value)


@pytest.mark.parametrize(
    "change",
    [
        {"check": 3},
        {"check": None},
        {"check": []},
        {"check.statements": "many"},
        {"check.statements.0": 7},
        {"check.statements.0.text": 7},
        {"check.statements.0.text": "Another sentence."},
        {"check.statements.0.verdict": "true"},
        {"check.statements.0.first": -1},
        {"check.statements.0.last": 10**6},
        {"check.statements.0.citation": 10**9},
        {"check.statements.0.reason": "said"},
        {"check.statements.0.reason.kind": "of a later version"},
        {"check.statements.0.reason.words": "ab"},
        {"check.statements.0.cited_by": "the pope"},
        {"check.statements.0.second": 5},
        {"check.answered": 1.5},
        {"check.answered": "yes"},
        {"check.says": "no"},
        {"content": "Another answer."},
    ],
)
def test_what_is_no_check_is_dropped(change: dict[str, Any]) -> None:
    found = as_foreign(change)
    assert not found.rejected
    message = found.chats[0].path[1]
    assert message.check == UNCHECKED
    assert len(message.quotes) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"quotes.0": 3},
        {"quotes.0.hit": None},
        {"quotes.0.hit.text": 3},
        {"quotes.0.hit.text": ""},
        {"quotes.0.hit.span.char_first": "x"},
        {"quotes.0.first": -1},
        {"quotes.0.first": 21},
        {"quotes.0.last": 10**6},
        {"quotes.0.last": 2.5},
        {"quotes.0.chance": 7},
        {"quotes.0.chance": "sure"},
    ],
)
def test_what_is_no_quote_is_dropped(change: dict[str, Any]) -> None:
    found = as_foreign(change)
    assert not found.rejected
    message = found.chats[0].path[1]
    assert [quote.text for quote in message.quotes] == ["- open the valve\n- refill *slowly*"]
    assert message.check.statements


@pytest.mark.parametrize("value", [1, "x", {}, None])
def test_a_list_of_quotes_is_a_list(value: object) -> None:
    assert as_foreign({"quotes": value}).chats[0].path[1].quotes == ()


@pytest.mark.parametrize("number", [10**30, -(10**19), float("nan"), float("inf")])
@pytest.mark.parametrize(
    "path",
    ["quotes.0.hit.chunk_id", "check.statements.0.citation", "citations.0.hit.score", "citations.0.n", "odd"],
)
def test_numbers_that_no_database_holds_are_refused(path: str, number: float) -> None:
    (rejected,) = as_foreign({path: number}).rejected
    assert "a number in it" in rejected.reason


def test_files_without_quotes_and_checks_come_in() -> None:
    (found,) = read_own(old_file()).chats
    assert all((message.quotes, message.check) == ((), UNCHECKED) for message in found.path)


def test_openai_lines_hold_what_the_documents_say_where_no_model_did() -> None:
    roles = [(one["role"], one["content"]) for one in json.loads(as_openai_line(checked_chat()))["messages"]]
    assert roles[-1] == ("assistant", "Below 1 bar it stops.")
    made = checked_chat()
    strict = replace(made.messages[1], check=replace(made.messages[1].check, strict=True))
    lines = as_openai_line(replace(made, messages=(made.messages[0], strict), leaf_id=2))
    assert json.loads(lines)["messages"][-1]["content"] == "It stops [1]."


def test_a_notice_that_is_not_in_the_text_is_dropped() -> None:
    value = old_file()
    value["messages"][1] |= {"notice": "Something else.", "content": "So."}
    value["messages"][0] |= {"attachments": ["two\nlines", 3], "content": "Why?"}
    (found,) = read_own(value).chats
    assert [one.text for one in found.path] == ["Why?", "So."]


def test_a_chat_survives_the_store_our_json_and_another_store(store: ChatStore, tmp_path: Path) -> None:
    first = store.portable(store.add_portable(chat()).id)
    (back,) = read_chats(as_json([first]).encode()).chats
    with closing(ChatStore(tmp_path / "other.db")) as other:
        again = other.portable(other.add_portable(back).id)
    assert again == first
    assert said(again) == said(chat())
    assert again.messages[2].generation == generation()
    assert [c.used for c in again.messages[2].citations] == [True, False]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"title": 7}, "Expected `str`, got `int` - at `$.title`"),
        ({"messages": [{"id": 1}]}, "missing required field `parent_id` - at `$.messages[0]`"),
        (
            {"messages": [{"id": 1, "parent_id": 0, "role": "tool", "content": ""}]},
            "Invalid enum value 'tool'",
        ),
        (
            {"messages": [{"id": 1, "parent_id": 0, "role": "system", "content": "x"}]},
            "is not in ragchat's format",
        ),
        (
            {"messages": [{"id": 1, "parent_id": 0, "role": "user", "content": "x"}] * 2},
            "duplicate or missing ids",
        ),
        (
            {"messages": [{"id": 0, "parent_id": 0, "role": "user", "content": "x"}]},
            "duplicate or missing ids",
        ),
        ({"options": {"strict": "yes"}}, "Expected `bool | null`"),
    ],
)
def test_a_broken_chat_is_refused_with_its_place_and_costs_no_other(
    change: dict[str, Any], reason: str
) -> None:
    value = json.loads(as_json([chat("One"), chat("Two"), chat("Three")]))
    value["chats"][1].update(change)
    found = read(value)
    assert [one.title for one in found.chats] == ["One", "Three"]
    (rejected,) = found.rejected
    assert rejected.where.startswith("chat 2")
    assert reason in rejected.reason


def test_parents_that_come_late_are_unknown_or_run_in_a_circle_are_mended() -> None:
    def message(number: int, parent: int) -> dict[str, Any]:
        return {"id": number, "parent_id": parent, "role": "user", "content": str(number)}

    messages = [message(3, 2), message(2, 1), message(1, 0), message(4, 99), message(5, 6), message(6, 5)]
    value = {"title": "t", "created_at": "", "updated_at": "", "messages": messages, "leaf_id": 3}
    (found,) = read({"format": "ragchat-chats", "version": 1, "chats": [value]}).chats
    assert [(m.id, m.parent_id) for m in found.messages] == [(1, 0), (2, 1), (3, 2), (4, 0), (5, 0), (6, 5)]


def test_a_file_of_a_newer_ragchat_is_refused() -> None:
    with pytest.raises(IngestError, match=r"newer version of ragchat \(format 2"):
        read({"format": "ragchat-chats", "version": 2, "chats": []})


# --- ChatGPT --------------------------------------------------------------------------------------------


def gpt_node(
    key: str, parent: str | None, role: str, *parts: object, at: float | None = None, **extra: Any
) -> dict[str, Any]:
    content = extra.pop("content", {"content_type": "text", "parts": list(parts)})
    message = {"id": key, "author": {"role": role}, "create_time": at, "content": content, **extra}
    return {"id": key, "parent": parent, "children": [], "message": message}


def gpt_chat(*nodes: dict[str, Any], current: str = "", **extra: Any) -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": []}}
    mapping |= {node["id"]: node for node in nodes}
    return {"title": "Boiler", "create_time": 1697000000.5, "update_time": 1697000100, "mapping": mapping} | (
        {"current_node": current} | extra
    )


def test_chatgpt_keeps_branches_and_the_one_that_is_shown() -> None:
    value = gpt_chat(
        gpt_node("s", "root", "system", ""),
        gpt_node("u", "s", "user", "Why?", at=1697000001),
        gpt_node("a1", "u", "assistant", "First.", at=1697000002),
        gpt_node("a2", "u", "assistant", "Second.", at=1697000003),
        gpt_node("u2", "a1", "user", "More?", at=1697000004),
        current="u2",
    )
    (found,) = read([value]).chats
    assert (found.title, found.created_at, found.updated_at) == (
        "Boiler",
        "2023-10-11T04:53:20.500Z",
        "2023-10-11T04:55:00.000Z",
    )
    assert said(found) == [("user", "Why?"), ("assistant", "First."), ("user", "More?")]
    assert [(m.content, m.parent_id) for m in found.messages] == [
        ("Why?", 0),
        ("First.", 1),
        ("Second.", 1),
        ("More?", 2),
    ]
    assert found.messages[0].created_at == "2023-10-11T04:53:21.000Z"


def test_chatgpt_what_is_no_text_is_left_out_and_counted() -> None:
    value = gpt_chat(
        gpt_node(
            "ctx", "root", "user", content={"content_type": "user_editable_context", "text": "I am Anna."}
        ),
        gpt_node("hid", "ctx", "user", "hidden", metadata={"is_visually_hidden_from_conversation": True}),
        gpt_node(
            "u",
            "hid",
            "user",
            {"content_type": "image_asset_pointer", "asset_pointer": "file://x"},
            "What is this?",
            content={"content_type": "multimodal_text", "parts": [{"asset_pointer": "x"}, "What is this?"]},
        ),
        gpt_node(
            "t",
            "u",
            "assistant",
            content={
                "content_type": "thoughts",
                "thoughts": [{"summary": "Looking", "content": "It is round."}],
            },
        ),
        gpt_node(
            "call", "t", "assistant", content={"content_type": "code", "text": "look()"}, recipient="python"
        ),
        gpt_node("tool", "call", "tool", content={"content_type": "execution_output", "text": "a ball"}),
        gpt_node("a", "tool", "assistant", "A ball \ue200cite\ue202turn0search1\ue201indeed."),
        gpt_node(
            "rec", "a", "assistant", content={"content_type": "reasoning_recap", "content": "Thought for 3s"}
        ),
        current="rec",
    )
    found = read([value])
    assert said(found.chats[0]) == [("user", "What is this?"), ("assistant", "A ball indeed.")]
    assert found.chats[0].path[1].reasoning == "Looking\n\nIt is round."
    assert dict(found.left_out) == {HIDDEN: 2, FILES: 1, TOOLS: 2}


def test_chatgpt_an_answer_cut_by_tools_comes_in_as_one() -> None:
    value = gpt_chat(
        gpt_node("u", "root", "user", "Draw and tell."),
        gpt_node("a", "u", "assistant", "Here it is."),
        gpt_node("t", "a", "tool", "image made"),
        gpt_node("b", "t", "assistant", "It is a cat."),
        current="b",
    )
    (found,) = read(value).chats
    assert said(found) == [("user", "Draw and tell."), ("assistant", "Here it is.\n\nIt is a cat.")]


def test_chatgpt_branches_after_a_tool_stay_branches() -> None:
    value = gpt_chat(
        gpt_node("u", "root", "user", "Draw.", at=1),
        gpt_node("a", "u", "assistant", "Wait.", at=2),
        gpt_node("b", "a", "assistant", "A cat.", at=3),
        gpt_node("c", "a", "assistant", "A dog.", at=4),
        current="b",
    )
    (found,) = read(value).chats
    assert [message.content for message in found.path] == ["Draw.", "Wait.", "A cat."]
    assert [(m.content, m.parent_id) for m in found.messages[2:]] == [("A cat.", 2), ("A dog.", 2)]


def test_chatgpt_of_today_without_metadata_titles_or_a_current_node() -> None:
    value = gpt_chat(
        gpt_node("u", "root", "user", "Where is the filling loop of my boiler?"), title=None, create_time=None
    )
    del value["current_node"]
    del value["mapping"]["u"]["children"]
    (found,) = read([value]).chats
    assert found.title == "Where is the filling loop of my boiler?"
    assert said(found) == [("user", "Where is the filling loop of my boiler?")]


def test_chatgpt_broken_conversations_are_refused_one_by_one() -> None:
    good = gpt_chat(gpt_node("u", "root", "user", "Why?"))
    empty = gpt_chat(title="Nothing")
    odd: list[Any] = [
        None,
        5,
        {},
        {"mapping": 7},
        {"mapping": {"a": 1, "b": {"message": {"content": {"parts": 3}}}}},
    ]
    found = read([good, empty, *odd, good])
    assert len(found.chats) == 2
    assert [one.where for one in found.rejected] == [
        "chat 2 “Nothing”",
        "chat 3",
        "chat 4",
        "chat 5",
        "chat 6",
        "chat 7",
    ]
    assert found.rejected[0].reason == "it contains no text from a user or a model"
    assert found.rejected[1].reason == "it is not a JSON object"
    assert found.rejected[3].reason == "its format is unknown"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_chatgpt_zip_of_one_and_of_many_parts() -> None:
    one, two = (
        json.dumps([gpt_chat(gpt_node("u", "root", "user", text), title=text)]).encode()
        for text in ("One", "Two")
    )
    found = read_chats(
        zipped(
            {
                "export/conversations-001.json": two,
                "export/conversations-000.json": one,
                "chat.html": b"<p>",
                "shared_conversations.json": b"[]",
            }
        )
    )
    assert [one.title for one in found.chats] == ["One", "Two"]
    assert found.formats == ("ChatGPT",)
    assert len(read_chats(zipped({"conversations.json": one})).chats) == 1


def test_chatgpt_folder_that_the_zip_unpacked_to(tmp_path: Path) -> None:
    for n, title in ((1, "Two"), (0, "One")):
        value = [gpt_chat(gpt_node("u", "root", "user", title), title=title), 5]
        (tmp_path / f"conversations-00{n}.json").write_text(json.dumps(value), "utf-8")
    (tmp_path / "user.json").write_text("{}", "utf-8")
    found = read_file(tmp_path)
    assert [one.title for one in found.chats] == ["One", "Two"]
    assert [one.where for one in found.rejected] == [
        "conversations-000.json, chat 2",
        "conversations-001.json, chat 2",
    ]


def test_zip_bombs_and_broken_zips_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "LARGEST_BYTES", 100_000)
    bomb = zipped({"conversations-000.json": b" " * 60_000, "conversations-001.json": b" " * 60_000})
    assert len(bomb) < 1000
    monkeypatch.setattr(importing, "_read_text", lambda data, prefix="": Incoming((), ()))
    with pytest.raises(IngestError, match=r"unpacks to more than 97\.7 KiB"):
        read_chats(bomb)
    with pytest.raises(IngestError, match=r"no conversations\.json"):
        read_chats(zipped({"other.json": b"[]"}))
    with pytest.raises(IngestError, match="cannot be unpacked"):
        read_chats(zipped({"conversations.json": b"[]" * 500})[:-40])
    broken = bytearray(zipped({"conversations.json": bytes(range(256)) * 40}))
    broken[60] ^= 0xFF
    with pytest.raises(IngestError, match="cannot be unpacked"):
        read_chats(bytes(broken))


# --- Open WebUI -----------------------------------------------------------------------------------------


def webui_chat(messages: dict[str, Any], current: str, **outer: Any) -> dict[str, Any]:
    inner = {
        "title": "Inner",
        "models": ["llama3"],
        "history": {"messages": messages, "currentId": current},
        "tags": ["house"],
        "timestamp": 1744577557127,
        "params": {"system": "Be brief."},
    }
    return {
        "id": "x",
        "user_id": "y",
        "title": "Outer",
        "chat": inner,
        "created_at": 1744577557,
        "updated_at": 1744577600,
        "pinned": True,
        "meta": {"tags": ["heating", "house"]},
    } | outer


def test_open_webui_with_branches_reasoning_ratings_and_files() -> None:
    thought = (
        '<details type="reasoning" done="true" duration="3">\n<summary>Thought for 3 seconds</summary>\n'
        "> It &lt; 1 bar.\n> So.\n</details>\n"
    )
    tool = (
        '<details type="tool_calls" done="true" name="look">\n<summary>Tool Executed</summary>\n</details>\n'
    )
    messages = {
        "a": {
            "id": "a",
            "parentId": None,
            "childrenIds": ["b", "c"],
            "role": "user",
            "content": "Why?",
            "timestamp": 1744577557,
            "files": [{"type": "image"}],
        },
        "b": {
            "id": "b",
            "parentId": "a",
            "childrenIds": [],
            "role": "assistant",
            "content": "No.",
            "model": "llama3",
        },
        "c": {
            "id": "c",
            "parentId": "a",
            "childrenIds": [],
            "role": "assistant",
            "content": thought + tool + "Low pressure.",
            "timestamp": 1744577558,
            "annotation": {"rating": 1},
        },
    }
    found = read([webui_chat(messages, "c")])
    (one,) = found.chats
    assert found.formats == ("Open WebUI",)
    assert (one.title, one.created_at, one.pinned, one.tags) == (
        "Outer",
        "2025-04-13T20:52:37.000Z",
        True,
        ("house", "heating"),
    )
    assert one.options.system_prompt == "Be brief."
    assert said(one) == [("user", "Why?"), ("assistant", "Low pressure.")]
    assert (one.path[1].reasoning, one.path[1].rating) == ("It < 1 bar.\nSo.", 1)
    assert {m.content for m in one.messages} == {"Why?", "No.", "Low pressure."}
    assert dict(found.left_out) == {FILES: 1, TOOLS: 1}


def test_open_webui_of_today_keeps_the_answer_in_its_output() -> None:
    def part(kind: str, text: str) -> dict[str, Any]:
        return {
            "type": kind,
            "status": "completed",
            "content": [{"type": "output_text", "text": text}],
            "summary": None,
        }

    call = {"type": "function_call", "name": "calendar", "arguments": "{}"}
    result = {"type": "function_call_output", "output": [{"type": "input_text", "text": "[]"}]}
    output = [
        part("reasoning", "Monday?"),
        call,
        result,
        part("message", "Nothing on"),
        part("message", "Monday."),
    ]
    messages = {
        "a": {"parentId": None, "role": "user", "content": "What is on?"},
        "b": {"parentId": "a", "role": "assistant", "content": "", "output": output},
        "c": {"parentId": "b", "role": "user", "content": "And then?"},
        "d": {"parentId": "c", "role": "assistant", "content": "<think>\nHm.\n</think>\n\nNothing."},
    }
    found = read([webui_chat(messages, "d")])
    answers = found.chats[0].path[1::2]
    assert [(one.content, one.reasoning) for one in answers] == [
        ("Nothing on\n\nMonday.", "Monday?"),
        ("Nothing.", "Hm."),
    ]
    assert dict(found.left_out) == {TOOLS: 1}


def test_open_webui_older_and_single_chats() -> None:
    old = {
        "chat": {
            "title": "Old",
            "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        }
    }
    bare = webui_chat(
        {
            "a": {
                "parentId": None,
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {"type": "image_url", "image_url": {"url": "data:"}},
                ],
            }
        },
        "a",
    )["chat"]
    found = read([old, bare])
    assert [(one.title, said(one)[0][1]) for one in found.chats] == [("Old", "Hi"), ("Inner", "Look")]
    assert dict(found.left_out) == {FILES: 1}
    assert found.chats[1].created_at == "2025-04-13T20:52:37.127Z"


# --- LM Studio ------------------------------------------------------------------------------------------


def test_lm_studio_versions_steps_and_thoughts() -> None:
    def said_once(text: str) -> dict[str, object]:
        return {"type": "singleStep", "role": "user", "content": [{"type": "text", "text": text}]}

    answer = {
        "type": "multiStep",
        "role": "assistant",
        "steps": [
            {
                "type": "contentBlock",
                "style": {"type": "thinking"},
                "content": [{"type": "text", "text": "Dough needs time."}],
            },
            {"type": "contentBlock", "content": [{"type": "toolCallRequest", "name": "clock"}]},
            {"type": "contentBlock", "content": [{"type": "text", "text": "Ten minutes."}]},
            {"type": "debugInfoBlock", "debugInfo": "2 tokens"},
        ],
    }
    found = read(
        {
            "name": "Dough",
            "createdAt": 1760000000000,
            "systemPrompt": "Be brief.",
            "messages": [
                {
                    "versions": [said_once("How long?"), said_once("How long to knead?")],
                    "currentlySelected": 1,
                },
                {"versions": [answer], "currentlySelected": 7},
            ],
        }
    )
    (chat,) = found.chats
    assert found.formats == ("LM Studio",)
    assert (chat.title, chat.created_at, chat.options.system_prompt) == (
        "Dough",
        "2025-10-09T08:53:20.000Z",
        "Be brief.",
    )
    assert ("user", "How long?") in [(m.role, m.content) for m in chat.messages]
    shown = chat.messages[-1]
    assert (shown.content, shown.reasoning) == ("Ten minutes.", "Dough needs time.")
    assert dict(found.left_out) == {TOOLS: 1}


# --- ShareGPT and OpenAI messages -----------------------------------------------------------------------

SHARE = {
    "id": "dsOTKpn_0",
    "conversations": [{"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Pressure."}],
}


def test_sharegpt_as_an_object_a_list_a_bare_list_and_lines() -> None:
    as_lines = f"{json.dumps(SHARE)}\n\n{json.dumps(SHARE)}\n".encode()
    for data, count in (
        (json.dumps(SHARE).encode(), 1),
        (json.dumps([SHARE, SHARE]).encode(), 2),
        (json.dumps(SHARE["conversations"]).encode(), 1),
        (as_lines, 2),
    ):
        found = read_chats(data)
        assert [said(one) for one in found.chats] == [[("user", "Why?"), ("assistant", "Pressure.")]] * count
        assert found.formats == ("ShareGPT",)
        assert found.chats[0].title == "Why?"


def test_sharegpt_roles_of_tools_are_left_out_and_the_system_prompt_is_kept() -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Weather?"},
        {"from": "function_call", "value": "{}"},
        {"from": "observation", "value": "rain"},
        {"from": "gpt", "value": "Rain."},
    ]
    found = read({"conversations": turns, "tools": "[]"})
    assert said(found.chats[0]) == [("user", "Weather?"), ("assistant", "Rain.")]
    assert found.chats[0].options.system_prompt == "Be brief."
    assert dict(found.left_out) == {TOOLS: 2}
    (other,) = read({"conversations": turns[1:], "system": "Be long."}).chats
    assert other.options.system_prompt == "Be long."


def test_openai_lines_with_parts_tools_and_a_broken_line() -> None:
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "developer", "content": "Be brief."},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "What is"},
                            {"type": "text", "text": "this?"},
                            {"type": "image_url"},
                        ],
                    },
                    {"role": "assistant", "content": None, "tool_calls": [{}]},
                    {"role": "tool", "content": "x"},
                    {"role": "assistant", "content": "A ball.", "reasoning_content": "Round."},
                ]
            }
        ),
        '{"messages": [{"role": "user"',
        json.dumps({"messages": [{"role": "user", "content": ""}]}),
        json.dumps({"messages": [{"role": "user", "content": "Hi"}]}),
    ]
    found = read_chats("\n".join(lines).encode())
    assert said(found.chats[0]) == [("user", "What is\nthis?"), ("assistant", "A ball.")]
    assert found.chats[0].path[1].reasoning == "Round."
    assert found.chats[0].options.system_prompt == "Be brief."
    assert said(found.chats[1]) == [("user", "Hi")]
    assert [one.where for one in found.rejected] == ["line 2", "line 3"]
    assert dict(found.left_out) == {FILES: 1, TOOLS: 2}


def test_what_we_write_as_openai_lines_comes_in_again() -> None:
    mine = chat(options=ChatOptions(system_prompt="Be kind."))
    (back,) = read_chats(as_openai_line(mine).encode()).chats
    assert said(back) == said(mine)
    assert back.options.system_prompt == "Be kind."
    assert json.loads(as_openai_line(mine))["messages"][0] == {"role": "system", "content": "Be kind."}


# --- any file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a JSON file"),
        (b"# Notes", "not a JSON file"),
        (b"\x00\x01\x02", "not a JSON file"),
        (b'"text"', "not a JSON file"),
        (b"[]", "list is empty"),
        (b'{"mapping": {', "not complete JSON"),
        (b'{\n "mapping": {\n', "not complete JSON: .*line"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"format": "ragchat-chats", "chats": []}', "contains no chats"),
    ],
)
def test_what_is_no_file_of_chats_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(IngestError, match=message):
        read_chats(data)


def test_a_file_that_was_cut_gives_what_stands_before_the_cut() -> None:
    whole = json.dumps([SHARE, SHARE, SHARE]).encode()
    found = read_chats(whole[:-30])
    assert len(found.chats) == 2
    assert found.rejected[0].where == "chat 3"
    assert "the rest of the file cannot be read" in found.rejected[0].reason
    assert "it ends" in read_chats(whole[:-1]).rejected[0].reason
    assert len(read_chats(json.dumps([SHARE]).encode()[:-1] + b" [" * 9).chats) == 1


def test_byte_order_marks_odd_escapes_and_bad_bytes_do_no_harm() -> None:
    text = json.dumps(SHARE)
    assert len(read_chats(text.encode("utf-8-sig")).chats) == 1
    assert len(read_chats(text.encode("utf-16")).chats) == 1
    odd = text.replace("Why?", r"Why\ud83d?\u001b]52;c;aGk=\u0007\u202e" + "\t").encode()
    assert said(read_chats(odd).chats[0])[0][1] == "Why?"
    assert said(read_chats(text.replace("Why?", "Wh\xff").encode("latin-1")).chats[0])[0][1] == "Wh\ufffd"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(NAUGHTY),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "mapping",
                        "chat",
                        "history",
                        "messages",
                        "conversations",
                        "role",
                        "content",
                        "parts",
                        "from",
                        "value",
                        "message",
                        "author",
                        "parent",
                        "parentId",
                        "title",
                        "create_time",
                        "user",
                        "text",
                        "items",
                        "format",
                        "version",
                        "chats",
                        "current_node",
                        "tags",
                        "files",
                        "thoughts",
                        "content_type",
                    ]
                ),
                inner,
                max_size=6,
            )
        ),
        max_leaves=25,
    )
)
@settings(max_examples=400, deadline=None)
def test_no_value_at_all_breaks_the_reader(value: object) -> None:
    try:
        found = read_chats(json.dumps([value, SHARE]).encode())
    except IngestError:
        return
    for one in found.chats:
        assert one.messages
        assert one.path
        assert all(clean(m.content) == m.content and m.content.strip() for m in one.messages)
        assert clean_line(one.title) == one.title


@given(
    st.dictionaries(st.integers(0, 8), st.tuples(st.integers(0, 9), st.booleans(), st.booleans()), max_size=9)
)
@settings(max_examples=400, deadline=None)
def test_every_message_of_any_tree_comes_in_once(raw: dict[int, tuple[int, bool, bool]]) -> None:
    nodes = {
        str(key): Node(str(parent), Turn("user" if user else "assistant", f"<{key}>") if kept else None)
        for key, (parent, kept, user) in raw.items()
    }
    messages, leaf = grow(nodes, "0")
    content = "".join(message.content for message in messages)
    assert all((content.count(f"<{key}>") == 1) == kept for key, (_, kept, _) in raw.items())
    assert [message.id for message in messages] == list(range(1, len(messages) + 1))
    assert all(0 <= message.parent_id < message.id for message in messages)
    assert leaf in {0, *(message.id for message in messages)}


def test_times_of_every_kind() -> None:
    second = "2025-04-13T20:52:37.000Z"
    for value in (
        1744577557,
        1744577557.0,
        1744577557000,
        1744577557000000,
        1744577557000000000,
        "2025-04-13T20:52:37Z",
        "2025-04-13T22:52:37+02:00",
        "2025-04-13T20:52:37",
    ):
        assert iso_time(value) == second
    odd_values: tuple[object, ...] = (
        None, True, -1, 0, float("nan"), float("inf"), 1e22, 10**400, "yesterday", "", [], {},
    )  # fmt: skip
    for odd in odd_values:
        assert iso_time(odd) == ""


def test_files_too_large_missing_or_folders_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotFoundError):
        read_file(tmp_path / "none.json")
    with pytest.raises(NotFoundError):
        read_file(tmp_path)
    file = tmp_path / "chats.json"
    file.write_text(as_json([chat()]), "utf-8")
    assert len(read_file(file).chats) == 1
    monkeypatch.setattr(importing, "LARGEST_BYTES", 100)
    with pytest.raises(IngestError, match="the limit is 100 B"):
        read_file(file)


# --- into the store -------------------------------------------------------------------------------------


def test_what_is_here_is_not_added_again_even_renamed_or_gone_on(store: ChatStore) -> None:
    chats = [chat("One"), chat("Two", created_at=LATER), *read([SHARE]).chats]
    assert take_in(store, chats, dry_run=True) == importing.TakenIn(3, 0)
    assert not store.conversations()
    assert take_in(store, [*chats, chats[0]], tags=("old",)) == importing.TakenIn(3, 1)
    one = next(c for c in store.conversations() if c.title == "One")
    assert one.tags == ("house", "old")
    store.rename(one.id, "Renamed")
    store.add_user_message(one.id, "And then?")
    assert take_in(store, chats) == importing.TakenIn(0, 3)
    store.delete(one.id)
    assert take_in(store, chats) == importing.TakenIn(1, 2)


def test_a_chat_that_went_on_elsewhere_comes_in_beside_the_older_one(store: ChatStore) -> None:
    take_in(store, [chat()])
    longer = replace(
        chat(), messages=(*chat().messages, PortableMessage(6, 5, "user", "Done?", LATER)), leaf_id=6
    )
    assert take_in(store, [longer]) == importing.TakenIn(1, 0)


def test_branches_and_the_shown_one_arrive_in_the_store(store: ChatStore) -> None:
    value = gpt_chat(
        gpt_node("u", "root", "user", "Why?", at=1),
        gpt_node("a1", "u", "assistant", "First.", at=2),
        gpt_node("a2", "u", "assistant", "Second.", at=3),
        current="a1",
    )
    take_in(store, read([value]).chats)
    (conversation,) = store.conversations()
    shown = store.messages(conversation.id)
    assert [message.content for message in shown] == ["Why?", "First."]
    assert len(shown[1].siblings) == 2
    assert [hit.snippet for hit in store.search("second")] == ["Second."]


def test_the_summary_counts() -> None:
    incoming = Incoming(("ChatGPT",), (), (importing.Rejected("chat 1", "x"),) * 2, ((TOOLS, 4),))
    taken = importing.TakenIn(12, 3)
    assert summary(incoming, taken) == (
        "12 chats imported, 3 duplicates skipped, 2 rejected. Left out: messages of tools (4)."
    )
    assert summary(Incoming((), ()), importing.TakenIn(1, 0), dry_run=True) == "1 chat would be imported."


# --- for people -----------------------------------------------------------------------------------------


def test_markdown_has_headings_sources_and_the_model() -> None:
    assert as_markdown(chat("Boiler [1] *now*")) == (
        "# Boiler \\[1\\] \\*now\\*\n\n"
        "Started 2026-11-23 02:01 UTC · last changed 2026-11-23 02:05 UTC · tags: house\n\n"
        "## Question\n\nWhy did it stop?\n\n"
        "## Answer (smollm2-135m)\n\n"
        "> **Reasoning**\n>\n> Think.\n> Again.\n\n"
        "The **pressure** fell [1].\n\n"
        "*Rated good.*\n\n"
        "**Sources**\n\n- \\[1\\] /home/anna/guide.md, p. 7 · guide: “Below 1 bar it stops.”\n\n"
        "## Question\n\nAnd <b>now</b>?\n\n"
        "## Answer\n\nRefill\n\n*Stopped early.*\n"
    )


def test_markdown_shows_quotes_marks_and_who_cited() -> None:
    text = as_markdown(checked_chat())
    answer = text.split("## Answer\n\n")[1].split("\n\n## Question")[0]
    assert answer == (
        "**From your documents:**\n\n"
        "> Below 1 bar it stops.\n>\n> (/home/anna/guide.md, line 3 · guide)\n\n"
        "> ```\n> - open the valve\n> - refill *slowly*\n> ```\n>\n> (/home/anna/guide.md, lines 4-5 · guide)\n\n"
        "*The passages do not say.*\n\n"
        "It stops [1]. ✓ It has <b>wings</b>. ✗ It + sings. ≈\n\n"
        "*3 statements: 1 supported, 1 partly supported, 1 not found in your documents*\n\n"
        "- ✗ It has \\<b\\>wings\\</b\\>. – Not in the passage: “\\<b\\>wings\\</b\\>”.\n"
        "- ≈ It + sings. – The number “2” is not in the passage, which has “1”.\n\n"
        "**Sources**\n\n"
        "- \\[1\\] /home/anna/guide.md, p. 7 · guide, found by ragchat: “Below 1 bar it stops.”"
    )


@pytest.mark.parametrize("line", ["- a", "1. b", "# c", "> d", "---", "===", "+ e", "*f*", "``` g", "<i>"])
def test_words_of_documents_are_no_markdown(line: str) -> None:
    from markdown_it import MarkdownIt

    made = checked_chat()
    hit = replace(made.messages[1].quotes[0].hit, text=line)
    message = replace(made.messages[1], quotes=(Quote(hit, 0, len(line)),))
    page = MarkdownIt().render(as_markdown(replace(made, messages=(made.messages[0], message), leaf_id=2)))
    quoted = page[page.index("<blockquote>") : page.index("</blockquote>")]
    assert re.findall("<[a-z][^>]*>", quoted) == ["<blockquote>", "<p>", "<p>"]


def test_html_shows_quotes_and_marks_and_escapes_all() -> None:
    made = checked_chat()
    evil = "</blockquote><script>alert(1)</script>"
    hit = replace(made.messages[1].quotes[0].hit, text=evil, path="/a/<img src=x>.md")
    forged = "It stops [1]. [x](http://a.example/\U0010ffe0?\U0010ffe0) \U0010ffe0 `\U0010ffe0` lies"
    check = AnswerCheck((replace(made.messages[1].check.statements[0]),))
    message = replace(
        made.messages[1], content=forged, quotes=(Quote(hit, 0, len(evil)),), check=check, notice="\U0010ffe0"
    )
    page = _Page(export_text([made, replace(made, messages=(made.messages[0], message), leaf_id=2)], "html"))
    assert not page.open
    marks = [attributes["title"] for tag, attributes in page.elements if attributes.get("class") == "mark"]
    assert marks == ["supported", "not found", "partly", "supported"]
    assert evil in page.text
    assert "/a/<img src=x>.md" in page.text
    assert "script" not in {tag for tag, _ in page.elements}
    assert "The passages do not say." in page.text
    assert not re.search("[\U0010ffe0-\U0010ffef]", page.text)
    assert "found by ragchat" in page.text


class _Page(HTMLParser):
    """All elements with their attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_stands_alone_and_escapes_what_others_wrote() -> None:
    evil = (
        "<script>alert(1)</script> ![pixel](https://evil.example/p.png) [go](javascript:alert(1)) [web](https://ok.example)"
        " [file](file:///etc/passwd) <https://auto.example>\n\n```html\n<img src=x onerror=alert(1)>\n```"
        "\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    messages = (
        PortableMessage(1, 0, "user", evil),
        PortableMessage(
            2, 1, "assistant", evil, correction=evil, reasoning=evil, citations=(citation(path="/a/<b>.md"),)
        ),
    )
    made = chat("</title><script>x</script>", messages=messages, leaf_id=2, tags=("<i>",))
    page = _Page(export_text([made, chat("Two")], "html"))
    assert not page.open
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "link", "iframe", "object", "i", "b"}
    assert {"table", "pre", "code", "nav", "details"} <= tags
    links = [attributes for tag, attributes in page.elements if tag == "a"]
    web = [one for one in links if not str(one["href"]).startswith("#chat-")]
    assert {one["href"] for one in web} == {
        "https://evil.example/p.png",
        "https://ok.example",
        "https://auto.example",
    }
    assert all(one["rel"] == "noreferrer noopener nofollow" for one in web)
    assert not any(
        name in ("src", "style") or name.startswith("on") for _, one in page.elements for name in one
    )
    assert ("article", {"id": "chat-2"}) in page.elements
    assert "<script>alert(1)</script>" in page.text
    assert "/a/<b>.md, p. 7" in page.text
    assert "prefers-color-scheme: dark" in page.text
    assert "url(" not in page.text
    assert "@import" not in page.text


@pytest.mark.parametrize("format", list(SUFFIXES))
def test_every_format_takes_naughty_texts(format: Format) -> None:
    chats = [
        chat(
            text or "x",
            messages=(
                PortableMessage(1, 0, "user", text),
                PortableMessage(
                    2,
                    1,
                    "assistant",
                    text,
                    citations=(citation(path=text.replace("\ud800", "").replace("\udfff", "")),),
                ),
            ),
            leaf_id=2,
        )
        for text in NAUGHTY
        if text == text.encode("utf-8", "ignore").decode()
    ]
    made = export_text(chats, format)
    assert clean(made) == made
    if format == "json":
        assert len(json.loads(made)["chats"]) == len(chats)
    if format == "jsonl":
        assert len(made.splitlines()) == len(chats)
    if format == "html":
        assert not _Page(made).open


# --- into files -----------------------------------------------------------------------------------------


def test_names_of_files_are_safe_and_unique(tmp_path: Path) -> None:
    titles = [
        "../../etc/passwd",
        "CON",
        "",
        "Boiler",
        "boiler",
        "a" * 300,
        "漢" * 200,
        "x\ny\x1b[31m",
        "...",
        "Boiler?",
    ]
    chats = [chat(title) for title in titles]
    written = write_export(chats, "markdown", tmp_path / "out")
    assert written.folder == tmp_path / "out"
    names = [path.name for path in written.files]
    assert len({name.casefold() for name in names}) == len(titles)
    assert names[0] == "2026-11-23-etc-passwd.md"
    assert names[3:5] == ["2026-11-23-boiler.md", "2026-11-23-boiler-2.md"]
    assert all(path.parent == tmp_path / "out" and len(path.name.encode()) < 255 for path in written.files)
    assert all(path.read_text("utf-8").startswith("# ") for path in written.files)
    assert file_stem(chat("A: b", created_at="")) == "chat-a-b"


@pytest.mark.parametrize("format", list(SUFFIXES))
def test_an_export_is_a_file_for_its_owner_and_overwrites_only_when_asked(
    tmp_path: Path, format: Format
) -> None:
    target = tmp_path / f"chat{SUFFIXES[format]}"
    written = write_export([chat()], format, target)
    assert written.files == (target,)
    assert target.read_text("utf-8") == export_text([chat()], format)
    assert target.stat().st_mode & 0o077 == 0
    with pytest.raises(UsageError, match="already exists"):
        write_export([chat("Other")], format, target)
    assert target.read_text("utf-8") == export_text([chat()], format)
    write_export([chat("Other")], format, target, overwrite=True)
    assert target.read_text("utf-8") == export_text([chat("Other")], format)
    with pytest.raises(UsageError, match="There is no folder"):
        write_export([chat()], format, tmp_path / "none" / "x")
    (into,) = write_export([chat()], format, tmp_path).files
    assert into == tmp_path / f"2026-11-23-the-boiler{SUFFIXES[format]}"


def test_a_folder_of_files_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    chats = [chat("One"), chat("Two")]
    (tmp_path / "2026-11-23-two.md").write_text("mine", "utf-8")
    with pytest.raises(UsageError, match=r"2026-11-23-two\.md already exists"):
        write_export(chats, "markdown", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["2026-11-23-two.md"]
    assert (tmp_path / "2026-11-23-two.md").read_text("utf-8") == "mine"
