"""The benchmark of the first token: how questions are typed, what is asked, and what counts as seen on the screen."""

from __future__ import annotations

import json
import random
import statistics
import sys
from itertools import pairwise
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo terminals of Unix", allow_module_level=True)

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("installed without benchmarks", allow_module_level=True)
with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(BENCHMARKS))
    import first_token
    import typed_sessions
    from first_token_screen import shown

QUESTION = "Who is the keeper of the lighthouse of Skarv?"


def typed(seed: int, per_second: float = 4.0) -> list[typed_sessions.Key]:
    return list(typed_sessions.keys(QUESTION * 4, random.Random(seed), per_second=per_second))


def test_the_same_seed_types_the_same() -> None:
    assert typed(1) == typed(1) != typed(2)


def test_each_key_changes_one_letter_and_the_question_is_whole_in_the_end() -> None:
    texts = ["", *(key.text for key in typed(3))]
    assert texts[-1] == QUESTION * 4
    for before, after in pairwise(texts):
        assert abs(len(after) - len(before)) == 1
        assert after.startswith(before) or before.startswith(after)
    assert any(len(after) < len(before) for before, after in pairwise(texts)), "a slip"


@pytest.mark.parametrize("per_second", [3.0, 4.0, 7.0])
def test_typing_is_as_fast_as_asked(per_second: float) -> None:
    waits = [key.wait_s for seed in range(20) for key in typed(seed, per_second)]
    assert 0.85 < per_second * statistics.mean(waits) < 1.15
    assert max(waits) > 2 / per_second, "there are pauses"


def test_chats_ask_about_one_text_each(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    rows = [
        {"question": f"{text} {n}?", "relevant": [text], "answerable": n != 5}
        for text in ("a", "b", "c")
        for n in range(6 if text != "c" else 3)
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    chats, _ = first_token.questions(tmp_path, 5, seed=1)
    assert len(chats) == 2, "c has too few questions"
    for own in chats:
        assert len(set(own)) == 4
        assert len({question[0] for question in own}) == 1
        assert not any(question.endswith("5?") for question in own)


def test_scenarios_return_to_chats_that_have_a_history() -> None:
    asked = [[f"{chat}{n}" for n in range(4)] for chat in range(3)]
    seen: set[int] = set()
    found = list(first_token.scenarios(asked))
    for scenario, chat, _ in found:
        assert (scenario == "first question") == (chat not in seen)
        seen.add(chat)
    assert {scenario for scenario, _, _ in found} == set(first_token.SCENARIOS)
    assert len({question for _, _, question in found}) == len(found), "no question twice"


@pytest.mark.parametrize(
    ("chat", "seen"),
    [
        ("", (False, False, False)),
        (f"Ask anything {QUESTION}", (False, False, False)),
        (f"You {QUESTION} Model.Q4 Ask anything", (False, False, False)),
        (f"You {QUESTION} Model.Q4 ◌ Getting ready Ask anything", (False, False, False)),
        (f"You {QUESTION} From your documents: Its keeper Model.Q4 ◌ Reading", (True, False, False)),
        (f"You {QUESTION} From your documents: Its keeper Model.Q4 Ilse Ask", (True, True, False)),
        (f"You {QUESTION} Model.Q4 Ilse Brandt. 1.2 s to first token Ask", (False, True, True)),
        (f"You Before? Model.Q4 Yes. 1 s to first token You {QUESTION} Model.Q4 ◌", (False, False, False)),
    ],
)
def test_what_is_seen_of_an_answer(chat: str, seen: tuple[bool, bool, bool]) -> None:
    assert shown(chat, QUESTION, "Model.Q4") == seen
