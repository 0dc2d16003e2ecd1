"""Where to search, said in the question: what is an operator, what is not, and what a scope leaves open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.errors import NotFoundError, UsageError
from ragchat.retrieval import index, within
from ragchat.retrieval.scope import Scoped, holds_excluded, parse, phrase_holds, without_operators
from ragchat.retrieval.search import Searcher
from ragchat.retrieval.slots import SlotSpace
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from tests.helpers.small_kb import drafts

# --- reading a question -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "git checkout -b foo",
        "in: the beginning",
        "what does --delete do",
        "rsync -R",
        "rm -rf node_modules",
        "tar -xzf archive",
        "find . -name notes --print",
        "how do I use find -name to look for files",
        "C: drive is full",
        "see http://a.example/b and file:///etc/passwd",
        "the time is 12:30",
        "after:12:30 lunch",
        "after:lunch walk",
        "file:line:column in the output of grep",
        "std::in:out",
        "built-in:foo",
        "Was heißt „Anführungszeichen“ auf Deutsch?",
        "Que veut dire « oui » ici ?",
        'What does "detached HEAD" mean?',
        'MAILTO="" in a crontab',
        'disks of 5" and 3" size',
        "x -3 degrees",
        "-car jaguar",
        "state-of-the-art -",
        "in:",
        "kb:",
        'an open "quote',
        "In:capital File:letters",
        "pasted " * 100 + "in:docs",
        "",
    ],
)
def test_what_is_no_operator(question: str) -> None:
    assert parse(question, ("en", "de", "fr")) == Scoped(question)


@pytest.mark.parametrize(
    ("question", "scoped"),
    [
        ("merge base in:git-doc", Scoped("merge base", folders=("git-doc",))),
        ("in:git-doc merge", Scoped("merge", folders=("git-doc",))),
        ('in:"my notes" budget file:*.md', Scoped("budget", folders=("my notes",), files=("*.md",))),
        ("budget in:a in:b", Scoped("budget", folders=("a", "b"))),
        ("How long is the notice in:contracts?", Scoped("How long is the notice", folders=("contracts",))),
        ("in:contracts, how long is it?", Scoped("how long is it?", folders=("contracts",))),
        ("x in:C:\\notes", Scoped("x", folders=("C:\\notes",))),
        ("kb:notes Wie geht das?", Scoped("Wie geht das?", knowledge_bases=("notes",))),
        (
            "report after:2025-02 before:2026",
            Scoped("report", after=date(2025, 2, 1), before=date(2026, 1, 1)),
        ),
        ("report after:2025-2-3", Scoped("report", after=date(2025, 2, 3))),
        ("after:2025", Scoped("", after=date(2025, 1, 1))),
        ('"detached HEAD"', Scoped("detached HEAD", phrases=("detached HEAD",))),
        ('"detached HEAD" git', Scoped("detached HEAD git", phrases=("detached HEAD",))),
        (
            'What is a "detached HEAD"? in:git-doc',
            Scoped("What is a detached HEAD?", folders=("git-doc",), phrases=("detached HEAD",)),
        ),
        ("jaguar -car", Scoped("jaguar", excluded=("car",))),
        ("jaguar speed -car -brand", Scoped("jaguar speed", excluded=("car", "brand"))),
        ("jaguar -ox in:zoo", Scoped("jaguar", folders=("zoo",), excluded=("ox",))),
        ('Is a jaguar fast? -"sports car"', Scoped("Is a jaguar fast?", excluded=("sports car",))),
    ],
)
def test_what_is_an_operator(question: str, scoped: Scoped) -> None:
    assert parse(question) == scoped
    assert scoped.narrows
    assert scoped.described()
    assert without_operators(question) == scoped.text


@pytest.mark.parametrize("value", ["2025-13", "2025-02-30", "01.02.2024", "0000-01", "99999999"])
def test_a_date_that_does_not_exist_is_said(value: str) -> None:
    with pytest.raises(UsageError, match="is not a date") as caught:
        parse(f"report after:{value}")
    assert "after:2025-03" in caught.value.remedy
    assert without_operators(f"report after:{value}") == f"report after:{value}"


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from(['"', "-", "in:", "a", " ", "ß", ":", "after:2", "?"])).map("".join)
)
def test_any_text_is_taken_apart(text: str) -> None:
    try:
        scoped = parse(text, ("en", "de", "zh"))
    except UsageError:
        return
    if not scoped.narrows:
        assert scoped.text == text


def test_taking_apart_is_fast_on_hostile_text() -> None:
    started = time.perf_counter()
    for text in (
        '"' * 600,
        '"a ' * 200,
        "-a" * 300,
        "in:" * 200,
        " -" * 300,
        'in:"' * 150,
        "after:2025-" * 50,
    ):
        without_operators(text)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "phrase", "held"),
    [
        ("the **detached**  HEAD\nstate", "Detached head", True),
        ("two detached HEADs", "detached head", False),
        ("a detached and lonely head", "detached head", False),
        ("use $* and $@ here", "$@", True),
        ("well-known", "well known", True),
        ("unwell known", "well known", False),
        ("机器学习很好", "学习", True),
        ("Grüße aus Köln", "grüsse aus", True),
        ("", "x", False),
    ],
)
def test_whether_a_phrase_is_in_a_text(text: str, phrase: str, held: bool) -> None:
    assert phrase_holds(text, [phrase]) is held


def test_whether_an_excluded_word_is_in_a_text() -> None:
    assert holds_excluded("two fast Cars", ["car"])
    assert not holds_excluded("a carpet", ["car"])
    assert holds_excluded("it calls os.path.join", ["os.path.join"])
    assert not holds_excluded("a path in the os", ["os.path.join"])
    assert holds_excluded("a sports\ncar", ["sports car"])
    assert holds_excluded("die Häuser", ["Haus", "Häuser"], "de")


# --- what a scope leaves open -------------------------------------------------------------------------------


def put(store: KnowledgeStore, path: str, *texts: str, day: str = "2024-06-01") -> None:
    at = time.mktime(time.strptime(day, "%Y-%m-%d"))
    record = FileRecord(path, size=1, mtime_ns=int(at * 1e9), content_hash=path)
    index.write_document(store, record, drafts(texts))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.create(tmp_path, "notes") as store:
        put(store, "/home/ann/garden/trees/quince.md", "The quince bears fruit in autumn.", day="2025-01-01")
        put(store, "/home/ann/garden/beds/rose.txt", "Roses like sun, quince likes it too.")
        put(store, "/home/ann/kitchen/Quince Jelly.md", "Boil the quince with sugar. Autumn fruit jelly.")
        put(store, r"C:\Users\Ben\Kitchen\bread.md", "Bread with quince jam.", day="2024-12-31")
        put(store, "csv:/home/ann/tables/fruit.csv?fruit#7/a", "quince: 40 trees")
        yield store


def open_paths(store: KnowledgeStore, question: str) -> list[str]:
    """The last part of the path of every document that the scope leaves open."""
    with store.reading():
        space = SlotSpace([store])
        closed = within.close(space, [store], parse(question), ("en",))
    chunks = closed.open_chunks(0).tolist()
    live = np.setdiff1d(np.arange(space.lengths.size), closed.slots)
    assert live.size == len(chunks)
    return sorted(
        hit.path.replace("\\", "/").rsplit("/", 1)[-1]
        for hit in store.hits([(chunk, 1.0) for chunk in chunks])
    )


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("x in:garden", ["quince.md", "rose.txt"]),
        ("x in:GARDEN/trees", ["quince.md"]),
        ("x in:/home/ann/kitchen/", ["Quince Jelly.md"]),
        ("x in:kitchen", ["Quince Jelly.md", "bread.md"]),
        ("x in:C:\\Users", ["bread.md"]),
        ("x in:gard", ["quince.md", "rose.txt"]),
        ("x in:tr*", ["quince.md"]),
        ("x in:tables", ["a"]),
        ("x file:quince", ["Quince Jelly.md", "quince.md"]),
        ("x file:*.txt", ["rose.txt"]),
        ('x file:"quince jelly"', ["Quince Jelly.md"]),
        ("x file:beds/*.txt", ["rose.txt"]),
        ("x file:fruit.csv", ["a"]),
        ("x in:garden file:*.md", ["quince.md"]),
        ("x after:2024-12-31", ["bread.md", "quince.md"]),
        ("x before:2024-12-31", ["Quince Jelly.md", "a", "rose.txt"]),
        ("x after:2025 before:2026", ["quince.md"]),
        ("x kb:notes in:beds", ["rose.txt"]),
        ('"quince jam"', ["bread.md"]),
        ('"Fruit in autumn"', ["quince.md"]),
        ('"autumn fruit"', ["Quince Jelly.md"]),
        ('"40 trees"', ["a"]),
        ('": 40"', ["a"]),
        ('quince -"boil"', ["a", "bread.md", "quince.md", "rose.txt"]),
        ("quince -fruit", ["a", "bread.md", "rose.txt"]),
        ("quince -trees -jam", ["Quince Jelly.md", "quince.md", "rose.txt"]),
        ('quince -"fruit jelly" in:kitchen', ["bread.md"]),
    ],
)
def test_what_a_scope_leaves_open(store: KnowledgeStore, question: str, names: list[str]) -> None:
    assert open_paths(store, question) == names


@pytest.mark.parametrize(
    ("question", "said", "remedy"),
    [
        ("x in:gardne", "No folder in the knowledge base notes is named “gardne”.", "in:garden"),
        ("x in:zzz", "No folder in the knowledge base notes is named “zzz”.", '"in:zzz"'),
        ("x in:z*z", "No folder in the knowledge base notes is like “z*z”.", "quotes"),
        ("x file:qince.md", "No file in the knowledge base notes is named “qince.md”.", "file:quince.md"),
        ("x kb:letters", "The knowledge base “letters” is not searched here.", "Available: notes."),
    ],
)
def test_what_is_not_there_is_said(store: KnowledgeStore, question: str, said: str, remedy: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        open_paths(store, question)
    assert str(caught.value) == said
    assert remedy in caught.value.remedy


def test_a_phrase_that_no_passage_holds_is_told(store: KnowledgeStore) -> None:
    with store.reading():
        closed = within.close(SlotSpace([store]), [store], parse('"quince bread"'), ("en",))
    assert closed.unheld == ("quince bread",)


def test_the_same_demands_are_resolved_once(store: KnowledgeStore) -> None:
    with store.reading():
        space = SlotSpace([store])
        first = within.close(space, [store], parse("quince in:garden"), ("en",))
        assert within.close(space, [store], parse("rose in:garden"), ("en",), first) is first
        assert within.close(space, [store], parse("rose in:kitchen"), ("en",), first) is not first
        assert within.close(SlotSpace([store]), [store], parse("rose in:garden"), ("en",), first) is not first


def test_a_long_list_is_read_whole(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "many") as store:
        texts = [f"common number{i} {'rare' if i % 50 == 0 else 'often'}" for i in range(4000)]
        put(store, "/a/first.md", *texts[:2000])
        put(store, "/b/second.md", *texts[2000:])
        with store.reading():
            closed = within.close(SlotSpace([store]), [store], parse("common -often in:b"), ("en",))
        assert len(closed.open_chunks(0)) == 40
        assert closed.open_chunks(0).tolist() == sorted(closed.open_chunks(0).tolist())
        with store.reading():
            phrase = within.close(SlotSpace([store]), [store], parse('"common number3998"'), ("en",))
        assert [hit.text for hit in store.hits([(n, 1.0) for n in phrase.open_chunks(0).tolist()])] == [
            texts[3998]
        ]


def test_what_was_removed_stays_closed(store: KnowledgeStore) -> None:
    document = store.document_at("/home/ann/garden/beds/rose.txt")
    assert document
    with store.writing():
        index.remove_document(store, document.id)
    assert open_paths(store, "x in:garden") == ["quince.md"]


def test_folders_and_files_that_can_be_named(store: KnowledgeStore) -> None:
    assert within.folders([store])[:4] == ["ann", "home", "garden", "beds"]
    assert within.file_names([store])[:2] == ["bread.md", "fruit.csv"]


# --- searching within a scope -------------------------------------------------------------------------------


def test_a_narrow_scope_gives_as_many_hits_as_it_holds(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "many") as store:
        put(store, "/loud/all.md", *[f"harbour harbour harbour noise{i}" for i in range(600)])
        for i in range(30):
            put(
                store,
                f"/quiet/{i}.md",
                f"wall{i} stands{i} long{i} and far{i} from the sea{i} and the harbour",
            )
        searcher = Searcher([store])
        plain = searcher.search("harbour", 20, fill=True)
        assert "/loud/all.md" in {hit.path for hit in plain.hits}
        found = searcher.search("harbour", 20, fill=True, scope=parse("harbour in:quiet"))
        assert len(found.hits) == 20
        assert all(hit.path.startswith("/quiet/") for hit in found.hits)
        again = searcher.search("harbour", 20, fill=True)
        assert [hit.chunk_id for hit in again.hits] == [hit.chunk_id for hit in plain.hits]


def test_an_excluded_word_is_in_no_hit(store: KnowledgeStore) -> None:
    scoped = parse("quince -fruit")
    found = Searcher([store]).search(scoped.text, 10, scope=scoped)
    assert found.hits
    assert not any("fruit" in hit.text.casefold() for hit in found.hits)


def test_a_near_duplicate_makes_room_for_the_next_passage(tmp_path: Path) -> None:
    with KnowledgeStore.create(tmp_path, "copies") as store:
        for i in range(30):
            text = "harbour " + " ".join(f"word{i}x{j}" for j in range(30))
            for copy in range(8):
                put(store, f"/copy{copy}/{i}.md", text)
        found = Searcher([store]).search("harbour", 20, fill=True)
        assert len({hit.text for hit in found.hits}) == len(found.hits) == 20
