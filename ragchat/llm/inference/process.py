"""The inference process: `python -m ragchat.llm.inference.process`. The only one that loads llama.cpp.

A thread reads commands, so that a cancel is heard while llama.cpp computes; the main thread works on one request at a time; a
third says that the process is alive. It ends when its standard input closes. Standard output and error are the log file.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import sys
import threading
import traceback
from typing import BinaryIO

from ragchat.llm import wire
from ragchat.llm.inference.llama import AbortFlag, Llama, LlamaError, Tuning
from ragchat.llm.inference.template import PLAIN_FORMATS, ChatTemplate, Piece, TemplateError, spaces_after
from ragchat.pipes import child_pipes, read_frame, write_frame
from ragchat.types import Message, Sampling

BEAT_S = 0.4
TEMPLATE_S = 5.0
"""A template that renders longer than this is taken for endless, and the process ends."""


class Worker:
    """Executes commands one after the other."""

    def __init__(self, replies: BinaryIO) -> None:
        self._replies = replies
        self._writing = threading.Lock()
        self._abort = AbortFlag()
        self._state = threading.Lock()
        self._request = 0
        self._llama: Llama | None = None
        self._template: ChatTemplate | None = None

    def reply(self, reply: wire.Replies) -> None:
        with self._writing:
            write_frame(self._replies, wire.encode(reply))

    def cancel(self, request: int) -> None:
        """Stop `request` if it is the one at work."""
        with self._state:
            if request == self._request:
                self._abort.set()

    def beat(self) -> None:
        """Say that the request is being worked on, and how far its prompt is read."""
        with self._writing:  # looked at inside the lock: what is said later must not be behind it
            if request := self._request:
                read = self._llama.reading() if self._llama else None
                sign = wire.Prefilled(request, *read) if read else wire.Beat(request)
                write_frame(self._replies, wire.encode(sign))

    def execute(self, command: wire.Commands) -> None:
        """Work on one request; whatever goes wrong is a reply."""
        with self._state:
            self._request = command.id
            self._abort.clear()
        try:
            self._execute(command)
        except LlamaError as error:
            self.reply(wire.Failed(command.id, error.kind, str(error)))
        except TemplateError as error:
            self.reply(wire.Failed(command.id, "template", f"The model cannot be used: {error}."))
        except Exception as error:  # noqa: BLE001  the process boundary
            traceback.print_exc()
            self.reply(wire.Failed(command.id, "internal", f"{type(error).__name__}: {error}"))
        finally:
            self._request = 0

    def _execute(self, command: wire.Commands) -> None:
        match command:
            case wire.Load():
                self._load(command)
            case wire.Count(id=request, texts=texts):
                llama = self._loaded()
                self.reply(
                    wire.Counted(request, tuple(len(llama.tokenize(text, special=False)) for text in texts))
                )
            case wire.CountPrompt(id=request, turns=turns, thinking=thinking):
                pieces = self._render(request, _messages(turns), thinking)
                rendered = "".join(piece.text for piece in pieces)
                self.reply(wire.Counted(request, (len(self._loaded().prompt_tokens(pieces)),), rendered))
            case wire.Generate():
                self._generate(command)
            case wire.UseAdapters(id=request, adapters=adapters):
                self._loaded().use_adapters(adapters)
                self.reply(wire.AdaptersUsed(request))
            case wire.Encode(id=request, chats=chats):
                self.reply(wire.Encoded(request, tuple(self._encoded(request, turns) for turns in chats)))
            case wire.ScoreAnswers(id=request, samples=samples):
                self.reply(wire.Scored(request, tuple(self._loaded().score(samples))))
            case wire.ReadLogits(id=request, tokens=tokens):
                self.reply(wire.LogitsRead(request, self._loaded().last_logits(tokens)))
            case wire.Cancel():
                pass  # for a request that is over

    def _load(self, command: wire.Load) -> None:
        self._template = None
        if self._llama:
            self._llama.close()
            self._llama = None
        request, last = command.id, -1.0

        def loading(fraction: float, stage: str = "load") -> None:
            nonlocal last
            if fraction >= 1 or fraction < last or fraction - last >= 0.02:
                last = fraction
                self.reply(wire.Loading(request, fraction, stage))

        llama = Llama(command.path, abort=self._abort, on_progress=loading)
        try:
            tuning = Tuning(command.n_threads, command.n_threads_batch, command.flash_attention == "on")
            if not (command.n_threads and command.n_threads_batch and command.flash_attention):
                tuning = llama.tune(
                    command.n_batch,
                    threads=command.n_threads,
                    threads_batch=command.n_threads_batch,
                    flash=command.flash_attention,
                    on_progress=lambda fraction: loading(fraction, "measure"),
                )
            n_ctx = command.n_ctx or min(llama.n_ctx_train, 8192)
            llama.open(n_ctx, command.n_batch, tuning)
            plain = PLAIN_FORMATS.get(command.plain_format, "")
            if llama.chat_template or plain:
                self._template = llama.template(plain)
        except BaseException:
            llama.close()
            raise
        self._llama = llama
        self.reply(
            wire.Loaded(
                id=request,
                architecture=llama.architecture,
                description=llama.description,
                n_ctx=llama.n_ctx,
                n_ctx_train=llama.n_ctx_train,
                n_params=llama.n_params,
                size_bytes=llama.size_bytes,
                has_chat_template=bool(llama.chat_template),
                prompt_format="the model's own" if llama.chat_template else command.plain_format,
                thinks=llama.markers is not None,
                n_threads=tuning.n_threads,
                n_threads_batch=tuning.n_threads_batch,
                flash_attention=tuning.flash_attention,
                measured=tuning.measured,
                measured_prefill_tok_s=tuning.prefill_tok_s,
                measured_decode_tok_s=tuning.decode_tok_s,
            )
        )

    def _generate(self, command: wire.Generate) -> None:
        llama, request, messages = self._loaded(), command.id, _messages(command.turns)
        pieces = self._render(request, messages, command.thinking)
        sampling = Sampling(
            temperature=command.temperature,
            top_k=command.top_k,
            top_p=command.top_p,
            min_p=command.min_p,
            repeat_penalty=command.repeat_penalty,
            seed=command.seed,
            max_tokens=command.max_tokens,
            stop=command.stop,
        )
        result = llama.generate(
            llama.prompt_tokens(pieces),
            sampling,
            on_prefill=lambda done, total, eta: self.reply(wire.Prefilled(request, done, total, eta)),
            on_text=lambda text: self.reply(wire.Delta(request, text, False)),
            on_reasoning=lambda text: self.reply(wire.Delta(request, text, True)),
            thoughts_open=self._template is not None and self._template.opens_thoughts(pieces),
            spaces=spaces_after(messages),
        )
        self.reply(
            wire.Finished(
                id=request,
                finish_reason=result.finish_reason,
                prompt_tokens=result.prompt_tokens,
                cached_tokens=result.cached_tokens,
                completion_tokens=result.completion_tokens,
                ttft_s=result.ttft_s,
                prefill_tok_s=result.prefill_tok_s,
                decode_tok_s=result.decode_tok_s,
                reasoning_tokens=result.reasoning_tokens,
                reasoning_s=result.reasoning_s,
            )
        )

    def _encoded(self, request: int, turns: tuple[wire.Turn, ...]) -> tuple[tuple[int, ...], int]:
        """As a chat asks and the model answers, without thoughts."""
        messages = _messages(turns)
        prompt = self._render(request, messages[:-1], False)
        going_on = self._render(request, [*messages, Message("user", "?")], False)
        last = max((n for n, piece in enumerate(going_on[:-1]) if piece.foreign), default=0)
        answers = [n for n, piece in enumerate(going_on) if piece.foreign and n < last]
        after = "".join(piece.text for piece in going_on[answers[-1] + 1 : last]) if answers else ""
        tokens, start = self._loaded().answer_tokens(prompt, messages[-1].content, after)
        return tuple(tokens), start

    def _render(self, request: int, messages: list[Message], thinking: bool) -> list[Piece]:
        if self._template is None:
            raise LlamaError("format", "The model has no chat template, so its prompt format must be chosen.")
        clock = threading.Timer(TEMPLATE_S, self._give_up, [request])
        clock.daemon = True
        clock.start()
        try:
            return self._template.render(messages, thinking=thinking)
        finally:
            clock.cancel()

    def _give_up(self, request: int) -> None:
        self.reply(
            wire.Failed(
                request, "template", "The model cannot be used: its chat template does not come to an end."
            )
        )
        os._exit(70)

    def _loaded(self) -> Llama:
        if self._llama is None:
            raise LlamaError("internal", "No model is loaded.")
        return self._llama


def _messages(turns: tuple[wire.Turn, ...]) -> list[Message]:
    return [Message(turn.role, turn.content) for turn in turns]  # type: ignore[arg-type]


def main() -> None:
    """Serve commands until standard input closes."""
    faulthandler.enable()
    commands, replies = child_pipes()
    worker = Worker(replies)
    inbox: queue.SimpleQueue[wire.Commands] = queue.SimpleQueue()

    def listen() -> None:
        try:
            while (frame := read_frame(commands)) is not None:
                command = wire.command_decoder.decode(frame)
                if isinstance(command, wire.Cancel):
                    worker.cancel(command.id)
                else:
                    inbox.put(command)
        finally:
            os._exit(0)  # the parent is gone, or speaks in riddles

    def beat() -> None:
        pause = threading.Event()
        while not pause.wait(BEAT_S):
            worker.beat()

    threading.Thread(target=listen, name="commands", daemon=True).start()
    threading.Thread(target=beat, name="beat", daemon=True).start()
    while True:
        worker.execute(inbox.get())


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
