"""What goes over the pipe to the inference process: the frozen dataclasses themselves, and nothing that is not one of them."""

from __future__ import annotations

import msgspec
import pytest

from ragchat.llm import wire
from ragchat.types import GenerationFinished, Message, PrefillProgress, Sampling, Score, TokenSample

DONE = GenerationFinished("stop", 9, 3, 4, 0.1, 90.0, 20.0, seed=7)


@pytest.mark.parametrize(
    "command",
    [
        wire.Generate(1, (Message("user", "Grüße"),), thinking=True, sampling=Sampling(seed=3, stop=("\n",))),
        wire.Encode(2, ((Message("user", "a"), Message("assistant", "b")),)),
        wire.ScoreAnswers(3, (TokenSample((1, 2, 3), 1),)),
    ],
)
def test_commands_arrive_as_they_were_sent(command: wire.Commands) -> None:
    assert wire.command_decoder.decode(wire.encode(command)) == command


@pytest.mark.parametrize(
    "reply",
    [
        wire.Prefilled(1, PrefillProgress(32, 64, None)),
        wire.Encoded(1, (TokenSample((1, 2, 3), 2),)),
        wire.Scored(1, (Score(1.5, 3, 2),)),
        wire.Finished(1, DONE),
    ],
)
def test_replies_arrive_as_they_were_sent(reply: wire.Replies) -> None:
    assert wire.reply_decoder.decode(wire.encode(reply)) == reply


def test_what_is_no_message_is_refused() -> None:
    frame = wire.encode(wire.Finished(1, DONE)).replace(b"stop", b"stup")
    with pytest.raises(msgspec.DecodeError):
        wire.reply_decoder.decode(frame)
    with pytest.raises(msgspec.DecodeError):
        wire.command_decoder.decode(wire.encode(wire.Finished(1, DONE)))
