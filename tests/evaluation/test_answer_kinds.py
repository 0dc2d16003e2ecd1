"""What ragchat itself decided about an answer is a value; answers of before, which hold it as a sentence, read the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragchat.errors import NotFoundError, Subject, UsageError, about
from ragchat.evaluation import grounding
from ragchat.evaluation.four_ways import Answer, Run, RunLibrary
from ragchat.evaluation.question_sets import Asked
from ragchat.evaluation.verdict import judge
from ragchat.session.chat import NOTICES
from ragchat.session.events import AnswerKind

UNMATCHED = "Nothing in your documents matches this question, so this answer is not from them."
NO_ROOM = (
    "What your documents say about this did not fit beside the question, so this answer is not from them."
)
DECLINED = "Your documents hold nothing that answers this question."


@pytest.mark.parametrize(
    ("said", "kind", "own_words", "refused"),
    [
        (f"{UNMATCHED}\n\nTen dollars.", AnswerKind.UNMATCHED, "Ten dollars.", True),
        (f"{NO_ROOM}\n\nTen dollars.", AnswerKind.NO_ROOM, "Ten dollars.", False),
        (DECLINED, AnswerKind.DECLINED, DECLINED, True),
        ("Ten dollars [1].", AnswerKind.ANSWER, "Ten dollars [1].", False),
        ("I do not know.", AnswerKind.ANSWER, "I do not know.", True),
    ],
)
def test_answers_of_before_are_judged_as_before(
    tmp_path: Path, said: str, kind: AnswerKind, own_words: str, refused: bool
) -> None:
    library = RunLibrary(tmp_path)
    run = Run(
        id="r",
        set_name="s",
        arms=("rag",),
        inputs={},
        questions=(Asked(id="q", question="?", answers=("x",)),),
    )
    library.keep(run)
    row = {"question": "q", "arm": "rag", "said": said, "refused": False, "from_documents": False}
    library.answers_file("r").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (answer,) = library.answers("r")
    assert (answer.kind, answer.said) == (kind, own_words)
    assert answer.shown == (f"{NOTICES[kind]}\n\n{own_words}" if kind in NOTICES else own_words)
    assert judge(run, [answer]).answers["rag"]["q"].refused is refused


def test_what_the_model_says_decides_nothing_that_ragchat_decides() -> None:
    answer = Answer(
        question="q", arm="rag", said=DECLINED, refused=False, from_documents=True, kind=AnswerKind.ANSWER
    )
    assert not grounding.gives_no_answer(answer.said, AnswerKind.NO_ROOM)
    assert grounding.gives_no_answer("Ten dollars.", AnswerKind.DECLINED)
    assert answer.shown == DECLINED


def test_an_error_says_what_it_is_about() -> None:
    with pytest.raises(NotFoundError) as caught, about(Subject.DOCUMENTS):
        raise NotFoundError("There is no adapter among the questions.")
    assert caught.value.subject is Subject.DOCUMENTS
    with pytest.raises(UsageError) as told, about(Subject.DOCUMENTS), about(Subject.EMBEDDING):
        raise UsageError("No.")
    assert told.value.subject is Subject.EMBEDDING, "the innermost knows best"
