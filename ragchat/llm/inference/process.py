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
from collections.abc import Sequence
from pathlib import Path

from ragchat.llm import wire
from ragchat.llm.inference.llama import AbortFlag, Llama, LlamaError, Tuning
from ragchat.llm.inference.template import PLAIN_FORMATS, ChatTemplate, Piece, TemplateError, spaces_after
from ragchat.pipes import Parent, child_pipes
from ragchat.types import LoadProgress, Message, ModelInfo, TokenSample
from ragchat.types.defaults import MOST_N_CTX

BEAT_S = 0.4
TEMPLATE_S = 5.0
"""A template that renders longer than this is taken for endless, and the process ends."""


class Worker:
    """Executes commands one after the other."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._abort = AbortFlag()
        self._state = threading.Lock()
        self._request = 0
        self._llama: Llama | None = None
        self._template: ChatTemplate | None = None

    def reply(self, reply: wire.Replies) -> None:
        """Send a reply to the parent."""
        self._parent.send(wire.encode(reply))

    def cancel(self, request: int) -> None:
        """Stop `request` if it is the one at work."""
        with self._state:
            if request == self._request:
                self._abort.set()

    def sign(self) -> bytes | None:
        """That the request is being worked on, and how far its prompt is read."""
        if not (request := self._request):
            return None
        progress = self._llama.reading() if self._llama else None
        return wire.encode(wire.Prefilled(request, progress) if progress else wire.Beat(request))

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
            case wire.CountPrompt(id=request, messages=messages, thinking=thinking):
                pieces = self._render(request, messages, thinking)
                rendered = "".join(piece.text for piece in pieces)
                self.reply(wire.Counted(request, (len(self._loaded().prompt_tokens(pieces)),), rendered))
            case wire.Generate():
                self._generate(command)
            case wire.UseAdapters(id=request, adapters=adapters):
                self._loaded().use_adapters(adapters)
                self.reply(wire.AdaptersUsed(request))
            case wire.Encode(id=request, chats=chats):
                self.reply(wire.Encoded(request, tuple(self._encoded(request, chat) for chat in chats)))
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
                self.reply(wire.Loading(request, LoadProgress(fraction, stage)))

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
            n_ctx = command.n_ctx or min(llama.n_ctx_train, MOST_N_CTX)
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
                request,
                ModelInfo(
                    name=Path(command.path).stem,
                    path=command.path,
                    architecture=llama.architecture,
                    description=llama.description,
                    n_ctx=llama.n_ctx,
                    n_ctx_train=llama.n_ctx_train,
                    n_params=llama.n_params,
                    size_bytes=llama.size_bytes,
                    has_chat_template=bool(llama.chat_template),
                    prompt_format="the model's template" if llama.chat_template else command.plain_format,
                    n_threads=tuning.n_threads,
                    n_threads_batch=tuning.n_threads_batch,
                    flash_attention=tuning.flash_attention,
                    thinks=llama.markers is not None,
                ),
                tuning.measured,
                tuning.prefill_tok_s,
                tuning.decode_tok_s,
            )
        )

    def _generate(self, command: wire.Generate) -> None:
        llama, request = self._loaded(), command.id
        pieces = self._render(request, command.messages, command.thinking)
        result = llama.generate(
            llama.prompt_tokens(pieces),
            command.sampling,
            on_prefill=lambda progress: self.reply(wire.Prefilled(request, progress)),
            on_text=lambda text: self.reply(wire.Delta(request, text, False)),
            on_reasoning=lambda text: self.reply(wire.Delta(request, text, True)),
            thoughts_open=self._template is not None and self._template.opens_thoughts(pieces),
            spaces=spaces_after(command.messages),
            begun=pieces[-1].text if command.messages[-1].role == "assistant" and pieces[-1].foreign else "",
        )
        self.reply(wire.Finished(request, result))

    def _encoded(self, request: int, messages: Sequence[Message]) -> TokenSample:
        """As a chat asks and the model answers, without reasoning."""
        prompt = self._render(request, messages[:-1], False)
        going_on = self._render(request, [*messages, Message("user", "?")], False)
        last = max((n for n, piece in enumerate(going_on[:-1]) if piece.foreign), default=0)
        answers = [n for n, piece in enumerate(going_on) if piece.foreign and n < last]
        after = "".join(piece.text for piece in going_on[answers[-1] + 1 : last]) if answers else ""
        tokens, start = self._loaded().answer_tokens(prompt, messages[-1].content, after)
        return TokenSample(tuple(tokens), start)

    def _render(self, request: int, messages: Sequence[Message], thinking: bool) -> list[Piece]:
        if self._template is None:
            raise LlamaError("format", "The model has no chat template, so you must choose a prompt format.")
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
                request, "template", "The model cannot be used: its chat template does not terminate."
            )
        )
        os._exit(70)

    def _loaded(self) -> Llama:
        if self._llama is None:
            raise LlamaError("internal", "No model is loaded.")
        return self._llama


def main() -> None:
    """Serve commands until standard input closes."""
    faulthandler.enable()
    parent = Parent(*child_pipes())
    worker = Worker(parent)
    inbox: queue.SimpleQueue[wire.Commands] = queue.SimpleQueue()

    def take(frame: bytes) -> None:
        command = wire.command_decoder.decode(frame)
        if isinstance(command, wire.Cancel):
            worker.cancel(command.id)
        else:
            inbox.put(command)

    parent.listen(take)
    parent.beat(BEAT_S, worker.sign)
    while True:
        worker.execute(inbox.get())


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
