"""Whether documents answer: what is read off the sentences, how it is weighed, and what your own questions change of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ragchat.errors import ModelError
from ragchat.retrieval import index, quoting
from ragchat.retrieval.search import Searcher, SearchResult
from ragchat.retrieval.vocabulary import Vocabulary
from ragchat.session import answerability
from ragchat.session.answerability import AS_SHIPPED, Own, Signals
from ragchat.store.knowledge import FileRecord, KnowledgeStore
from ragchat.types import ChunkDraft, Citation, GenerationFinished, Hit
from ragchat.types.answers import Quote, Reason, ReasonKind, Statement, Verdict
from ragchat.types.documents import Span
from ragchat.types.embedding import EmbeddingModel

if TYPE_CHECKING:
    from ragchat.types.embedding import Vectors

BRIDGE = "The Harrow bridge crosses the river Lenn. It was built by Ada Pell in 1871 and has nine arches of red stone."
INN = "The Harrow inn is beside the bridge. Its landlord serves nettle soup to travellers on Sundays."
MILL = "The mill at Orrin grinds barley. Its wheel was carried off by the flood and replaced with one of oak."


def asked(folder: Path, question: str, *texts: str) -> Signals:
    """What is known of a question to these documents."""
    with KnowledgeStore.create(folder, "kb") as store:
        files = [
            (FileRecord(f"{n}.txt", len(text), 0, language="en"), [ChunkDraft(text, "", span(text))])
            for n, text in enumerate(texts)
        ]
        index.write_documents(store, files)
        result = Searcher([store]).search(question, 8)
        quotes = quoting.quote(question, result.hits)
        return answerability.search_signals(question, result, quotes, Vocabulary([store]).idf)


def span(text: str) -> Span:
    return Span(char_first=0, char_last=len(text), line_first=1, line_last=1 + text.count("\n"))


def citation(n: int, text: str) -> Citation:
    return Citation(n, Hit(n, 1.0, "kb", n, n, f"{n}.txt", "", "", span(text), text, "hash"), text)


def finished(first: float | None = -0.2, mean: float | None = -0.3) -> GenerationFinished:
    return GenerationFinished("stop", 10, 0, 5, 0.1, 1.0, 1.0, 0, first_logprob=first, mean_logprob=mean)


def statement(verdict: Verdict) -> Statement:
    return Statement("x", 0, 1, verdict, Reason(ReasonKind.SAID))


# --- what is read off the documents -----------------------------------------------------------------------


def test_what_one_sentence_holds_counts_by_how_rare_its_words_are(tmp_path: Path) -> None:
    known = asked(tmp_path / "a", "Who built the Harrow bridge?", BRIDGE, INN, MILL)
    assert known.sentence is not None
    assert 0.3 < known.sentence < 1, "the rare word 'built' is in another sentence than the bridge"
    assert known.names == 0
    other = asked(tmp_path / "b", "Who painted the Harrow bridge?", BRIDGE, INN, MILL)
    assert other.sentence is not None
    assert other.sentence < known.sentence + 0.3


def test_names_and_numbers_that_two_neighbours_lack_are_counted(tmp_path: Path) -> None:
    there = asked(tmp_path / "a", "Did Ada Pell build the bridge in 1871?", BRIDGE, INN, MILL)
    gone = asked(tmp_path / "b", "Did Bela Orn build the bridge in 1871?", BRIDGE, INN, MILL)
    shouted = asked(tmp_path / "c", "DID BELA ORN BUILD THE BRIDGE", BRIDGE, INN, MILL)
    assert there.names == 0
    assert gone.names == 2
    assert shouted.names == 0, "capitals say nothing where all are"


def test_nouns_are_no_names_where_all_nouns_have_capitals() -> None:
    assert answerability._names("Wann wurde die Brücke von 1871 gebaut?", "de") == {"1871"}
    assert answerability._names("When did O'Brien's Inn-keeper of 1871 leave?", "en") == {
        "o'brien", "inn-keeper", "inn", "keeper", "1871",
    }  # fmt: skip


def test_a_question_that_the_documents_answer_has_the_better_chance(tmp_path: Path) -> None:
    there = asked(tmp_path / "a", "Who built the Harrow bridge in 1871?", BRIDGE, INN, MILL)
    gone = asked(tmp_path / "b", "Who built the Harrow bridge in 1871?", INN, MILL)
    foreign = asked(tmp_path / "c", "Which enzymes digest lactose in adult mammals?", BRIDGE, INN, MILL)
    chances = [answerability.before(known) for known in (there, gone, foreign)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.6
    assert chances[2] < 0.1


@pytest.mark.parametrize(("language", "text", "question"), [
    ("zh", "哈罗桥横跨伦恩河。它由艾达·佩尔于1871年建造。", "哈罗桥是谁建造的？"),
    ("th", "สะพานแฮร์โรว์ข้ามแม่น้ำเลนน์ สร้างขึ้นในปี 1871", "สะพานแฮร์โรว์สร้างขึ้นในปีใด"),
    ("de", "Die Harrowbrücke überquert die Lenn. Ada Pell baute sie 1871.", "Wer baute die Harrowbrücke?"),
])  # fmt: skip
def test_other_languages_have_signs_as_well(tmp_path: Path, language: str, text: str, question: str) -> None:
    with KnowledgeStore.create(tmp_path, "kb") as store:
        file = FileRecord("0.txt", len(text), 0, language=language)
        index.write_documents(store, [(file, [ChunkDraft(text, "", span(text))])])
        result = Searcher([store]).search(question, 8)
        known = answerability.search_signals(
            question, result, quoting.quote(question, result.hits), Vocabulary([store]).idf
        )
    assert known.sentence is not None
    assert known.sentence > 0.3


@pytest.mark.parametrize("count", [1, 2, 4, 12])
def test_small_collections_answer_too(tmp_path: Path, count: int) -> None:
    """Their scores are tiny, however well a passage fits."""
    texts = [BRIDGE, *(f"The mill number {n} grinds {n} sacks of barley." for n in range(count - 1))]
    limits = answerability.thresholds()
    for n, question in enumerate(
        (
            "Who built the Harrow bridge?",
            "Which river does the Harrow bridge cross?",
            "How many arches has it of red stone?",
        )
    ):
        known = asked(tmp_path / str(n), question, *texts)
        assert answerability.before(known) >= limits.before, question
    nobody = asked(tmp_path / "n", "Which enzymes digest lactose in adult mammals?", *texts)
    assert answerability.before(nobody) < limits.before


def test_nothing_found_has_no_chance_and_stop_words_alone_have_one(tmp_path: Path) -> None:
    nothing = answerability.search_signals("Who?", SearchResult((), 0.0, 0.0))
    assert answerability.before(nothing) == 0
    assert answerability.after(answerability.after_signals(nothing, finished(), ())) == 0
    assert 0 < answerability.before(asked(tmp_path, "what is it", BRIDGE)) < 1


# --- how it is weighed ------------------------------------------------------------------------------------


def test_whatever_is_unknown_counts_as_usual() -> None:
    known = Signals(sure=2.0, match=0.8, sentence=0.8, names=0.0, quote=1.0)
    for missing in ("sure", "sentence", "names", "quote"):
        assert 0 < answerability.before(replace(known, **{missing: None})) < 1
    for some in itertools.combinations(("borrowed", "first", "likely", "supported", "found", "silent"), 2):
        assert 0 < answerability.after(replace(known, **dict.fromkeys(some, 0.0))) < 1
    assert 0 < answerability.after(Signals()) < 1


def test_signs_of_the_sentences_move_the_chance_the_right_way() -> None:
    usual = Signals(sure=2.0, match=0.6, sentence=0.6, names=0.0, quote=0.0)
    chance = answerability.before(usual)
    for better in (replace(usual, match=0.9), replace(usual, sentence=1.0), replace(usual, quote=2.0)):
        assert answerability.before(better) > chance
    assert answerability.before(replace(usual, names=2.0)) < chance


def test_what_the_check_found_becomes_signs() -> None:
    known = Signals(match=0.5, sure=0.0)
    one = [statement(Verdict.SUPPORTED), statement(Verdict.PARTLY), statement(Verdict.NOT_FOUND)]
    checked = answerability.after_signals(known, finished(), [*one, statement(Verdict.SUPPORTED)])
    assert (checked.supported, checked.found, checked.silent) == (0.5, 0.75, 0.0)
    assert (checked.first, checked.likely) == (-0.2, -0.3)
    silent = answerability.after_signals(known, finished(), ())
    assert (silent.supported, silent.found, silent.silent) == (None, None, 1.0)
    unchecked = answerability.after_signals(known, None, None)
    assert unchecked == known


def test_words_of_its_own_lower_the_chance_and_those_of_the_passages_raise_it() -> None:
    known = Signals(sure=2.0, match=0.6, sentence=0.6, names=0.0, quote=0.0)
    invented, taken = (
        answerability.after(answerability.after_signals(known, finished(), [statement(verdict)] * 2, share))
        for verdict, share in ((Verdict.NOT_FOUND, 0.1), (Verdict.SUPPORTED, 1.0))
    )
    assert invented < taken
    unread = answerability.after_signals(known, finished(), [statement(Verdict.NOT_FOUND)], None)
    assert answerability.after(unread) == answerability.before(known)


def test_what_an_answer_borrows_is_the_share_of_its_own_words_that_the_passages_have() -> None:
    offered = [citation(1, BRIDGE), citation(2, INN)]
    question = "Who built the Harrow bridge?"

    def share(answer: str) -> float | None:
        return answerability.borrowed(answer, offered, question)

    assert share("Ada Pell built the Harrow bridge in 1871 [1].") == 1.0
    assert share("The Harrow bridge was built by Bela Orn [2].") == 0.0
    assert share("Ada Pell built it, says Orn.") == pytest.approx(2 / 4)
    assert share("It was built by travellers.") == 1.0, "the second passage counts as well"
    assert share("The bridge was built.") is None, "it only repeats the question"
    assert share("") is None
    assert share("这座桥是艾达·佩尔建造的。") is None, "another language than that of the passages"
    assert answerability.borrowed("Ada Pell", [], question) is None
    foreign = [Citation(1, replace(citation(1, BRIDGE).hit, language="de"), "")]
    assert answerability.borrowed("Ada Pell baute sie.", foreign, question) is None


def test_quotes_near_the_question_raise_the_chance_where_the_model_is_known(tmp_path: Path) -> None:
    quotes = [Quote(citation(1, BRIDGE).hit, 0, 40, 0.5), Quote(citation(1, INN).hit, 0, 30, 0.5)]
    assert answerability.nearness("Who?", quotes, Angles((0.5, 0.8), related=0.6)) == pytest.approx(0.2)
    assert answerability.nearness("Who?", quotes, Angles((0.5, 0.8), related=0.0)) is None
    assert answerability.nearness("Who?", [], Angles((), related=0.6)) is None
    assert answerability.nearness("Who?", quotes, Angles((0.5, 0.8), related=0.6, languages=("de",))) is None
    assert answerability.nearness("Who?", quotes, Broken((0.5, 0.8), related=0.6)) is None
    known = Signals(sure=2.0, match=0.6, sentence=0.6, names=0.0, quote=0.0)
    assert answerability.before(replace(known, near=0.3)) > answerability.before(replace(known, near=-0.4))


class Angles:
    """An embedding model whose cosines are given."""

    def __init__(self, cosines: Sequence[float], *, related: float, languages: tuple[str, ...] = ()) -> None:
        self._cosines = cosines
        self.model = EmbeddingModel("angles", "f", 2, 128, languages, related)

    def embed_query(self, text: str) -> Vectors:
        return np.array([1.0, 0.0], np.float32)

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return np.array([[cosine, math.sqrt(1 - cosine**2)] for cosine in self._cosines], np.float32)

    def close(self) -> None:
        pass


class Broken(Angles):
    """One that fails."""

    def embed_query(self, text: str) -> Vectors:
        raise ModelError("It has ended.")


# --- your own questions -----------------------------------------------------------------------------------


def test_own_questions_move_the_scale_and_the_thresholds(tmp_path: Path) -> None:
    known = Signals(sure=2.0, match=0.6, sentence=0.6, names=0.0, quote=0.0)
    shipped = answerability.before(known)
    assert answerability.before(known, Own(intercept=1.0)) > shipped
    assert answerability.before(known, Own(slope=1.0, intercept=0.0, least=0.9)) == pytest.approx(shipped)
    limits, own = answerability.thresholds(), answerability.thresholds(Own(least=0.7))
    assert own.before == 0.7
    assert own.after - own.before == pytest.approx(limits.after - limits.before)
    assert answerability.thresholds(Own(least=0.0)).after >= 0


def test_what_is_stored_is_read_again_and_a_broken_file_is_as_shipped(tmp_path: Path) -> None:
    file = tmp_path / "answerability.json"
    assert answerability.read_own(file) == AS_SHIPPED
    answerability.write_own(file, Own(0.8, -0.3, 0.6))
    assert answerability.read_own(file) == Own(0.8, -0.3, 0.6)
    for broken in (b"{", b"[]", b'{"slope": "steep"}', b"\xff"):
        file.write_bytes(broken)
        assert answerability.read_own(file) == AS_SHIPPED


def test_shipped_thresholds_and_weights_are_sound() -> None:
    weights = answerability._weights()
    names = set(Signals.__dataclass_fields__)
    assert set(weights.before.signals) <= names
    assert set(weights.after.signals) <= names | {"before"}
    assert all(
        one.deviation > 0 for fitted in (weights.before, weights.after) for one in fitted.signals.values()
    )
    limits = answerability.thresholds()
    assert 0 < limits.before < 1
    assert 0 < limits.after < 1
