"""Which chats are open in tabs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragchat.tui.open_chats import OpenChats


def test_a_chat_takes_the_place_of_the_one_that_is_read_or_a_tab_beside_it() -> None:
    chats = OpenChats()
    chats.show(5)
    assert (chats.numbers, chats.current) == ([5], 5)
    chats.show(7, beside=True)
    chats.show(5)
    chats.show(9, beside=True)
    assert (chats.numbers, chats.current) == ([5, 9, 7], 9)
    assert (chats.beside(1), chats.beside(-1), chats.beside(2)) == (7, 5, 5)


def test_the_new_chat_gets_its_number_where_it_stands() -> None:
    chats = OpenChats()
    chats.show(5)
    chats.show(0, beside=True)
    chats.stored(8)
    assert (chats.numbers, chats.current) == ([5, 8], 8)
    chats.stored(8)
    assert chats.numbers == [5, 8]


def test_closing_goes_to_the_neighbour_and_the_last_leaves_an_empty_chat() -> None:
    chats = OpenChats()
    chats.show(5)
    chats.show(7, beside=True)
    assert chats.close(7) == 5
    assert chats.close(5) == 0
    assert (chats.numbers, chats.current) == ([0], 0)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"open": 3, "current": 1}', '{"open": [null, 2], "current": null}']
)
def test_what_is_none_of_ours_is_left_alone(text: str) -> None:
    chats = OpenChats()
    chats.restore(text, {1, 2, 3})
    assert (chats.numbers, chats.current) == ([0], 0)


def test_chats_that_are_gone_are_not_opened_again() -> None:
    chats = OpenChats()
    for number in (5, 7, 9):
        chats.show(number, beside=True)
    again = OpenChats()
    again.restore(chats.as_text(), {5, 7})
    assert (again.numbers, again.current) == ([5, 7], 5)


steps = st.lists(st.tuples(st.sampled_from(["show", "beside", "close", "stored"]), st.integers(0, 4)))


@given(steps)
def test_the_chat_that_is_read_is_always_open_and_each_once(drawn: list[tuple[str, int]]) -> None:
    chats = OpenChats()
    for action, number in drawn:
        match action:
            case "show" | "beside":
                chats.show(number, beside=action == "beside")
            case "close":
                chats.close(number)
            case _:
                chats.stored(number or 1)
        assert chats.current in chats.numbers
        assert len(set(chats.numbers)) == len(chats.numbers)
