"""The model's second look: it lowers a verdict that it doubts, raises none, and never costs an answer."""

from __future__ import annotations

from collections.abc import Sequence

from ragchat.errors import ModelError
from ragchat.llm.fake import FakeModel
from ragchat.llm.loading import loaded
from ragchat.session import citations, second_look
from ragchat.types import (
    CancelToken,
    Citation,
    Hit,
    Message,
    ReasonKind,
    Score,
    Span,
    Statement,
    TokenSample,
    Verdict,
)

TEXT = "The warranty of the Zephyr pump lasts seven years. Keep the receipt in a dry place."
HIT = Hit(1, 1.0, "kb", 1, 1, "/z.md", "", "Warranty", Span(0, len(TEXT), 1, 1), TEXT, "hash")
OFFERED = [Citation(1, HIT, "")]
ANSWER = "The warranty of the Zephyr pump lasts seven years. Tomatoes are planted in May."


class Doubter:
    """Says yes to a statement by these odds; what it is asked is kept."""

    def __init__(self, yes: float) -> None:
        self._yes = yes
        self.asked: list[str] = []

    def encode(self, chats: Sequence[Sequence[Message]]) -> list[TokenSample]:
        self.asked += [chat[-2].content for chat in chats]
        return [TokenSample((1, 2 if chat[-1].content == "yes" else 3), 1) for chat in chats]

    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        return [Score(-self._yes if sample.tokens[1] == 2 else 0.0, 1, 0) for sample in samples]


class Broken(Doubter):
    def score(self, samples: Sequence[TokenSample]) -> list[Score]:
        raise ModelError("gone")


def bound(model: Doubter) -> citations.Bound:
    def look(statements: Sequence[Statement]) -> Sequence[Statement]:
        return second_look.look(model, statements, offered=OFFERED)  # type: ignore[arg-type]

    return citations.bind(ANSWER, OFFERED, "How long is the warranty?", look)


def test_a_doubted_statement_loses_its_citation() -> None:
    found = bound(Doubter(-5.0))
    assert found.statements[0].verdict is Verdict.PARTLY
    assert found.statements[0].reason.kind is ReasonKind.DOUBTED
    assert found.statements[0].second is not None
    assert found.statements[0].second < second_look.DOUBT
    assert "[1]" not in found.text
    assert not found.citations[0].used


def test_a_yes_raises_nothing() -> None:
    model = Doubter(5.0)
    found = bound(model)
    assert [one.verdict for one in found.statements] == [Verdict.SUPPORTED, Verdict.NOT_FOUND]
    assert found.text.count("[1]") == 1
    assert TEXT in model.asked[0]


def test_a_model_that_fails_changes_nothing() -> None:
    assert bound(Broken(0.0)) == citations.bind(ANSWER, OFFERED, "How long is the warranty?")


def test_without_statements_nothing_is_asked() -> None:
    model = loaded(FakeModel("x"), CancelToken())
    assert second_look.chances(model, [], OFFERED) == []
