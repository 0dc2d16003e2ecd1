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

import llama_cpp as lib

from ragchat.llm import wire
from ragchat.llm.inference import tuning as measuring
from ragchat.llm.inference.abort import AbortFlag, LlamaError
from ragchat.llm.inference.context import Context, Tuning
from ragchat.llm.inference.llama import Llama, Prompt
from ragchat.llm.inference.model import Model
from ragchat.llm.inference.shelf import Shelf, made_of
from ragchat.llm.inference.template import PLAIN_FORMATS, ChatTemplate, Piece, TemplateError, spaces_after
from ragchat.llm.snapshots import Snapshots
from ragchat.pipes import Parent, child_pipes
from ragchat.types import LoadProgress, Message, ModelInfo, TokenSample
from ragchat.types.defaults import MOST_N_CTX

BEAT_S = 0.4
REST_S = 0.5
"""Without a command, before something is saved."""
TEMPLATE_S = 5.0
"""A template that renders longer than this is taken for endless, and the process ends."""
_ENDS = (" a", " 7")
"""Two texts of which no tokeniser makes the same first token."""


class Worker:
    """Executes commands one after the other."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._abort = AbortFlag()
        self._state = threading.Lock()
        self._request = 0
        self._cancelled = 0
        self._gives_way = False
        self._llama: Llama | None = None
        self._template: ChatTemplate | None = None

    def reply(self, reply: wire.Replies) -> None:
        """Send a reply to the parent."""
        self._parent.send(wire.encode(reply))

    def cancel(self, request: int) -> None:
        """Stop `request` if it is the one at work, or when it begins: it may still be in the queue."""
        with self._state:
            self._cancelled = request
            if request == self._request:
                self._abort.set()

    def awaited(self) -> None:
        """Someone waits for something: what is only read ahead stops."""
        with self._state:
            if self._gives_way:
                self._abort.set()

    def sign(self) -> bytes | None:
        """That the request is being worked on, and how far its prompt is read."""
        if not (request := self._request):
            return None
        progress = self._llama.reading() if self._llama else None
        return wire.encode(wire.Prefilled(request, progress) if progress else wire.Beat(request))

    @property
    def due(self) -> bool:
        """Whether there is something to do when nobody waits."""
        return self._llama is not None and self._llama.due

    def rest(self) -> None:
        """Nobody waits."""
        if self._llama is not None:
            self._llama.rest()

    def execute(self, command: wire.Commands) -> None:
        """Work on one request; whatever goes wrong is a reply."""
        with self._state:
            self._request, self._gives_way = command.id, isinstance(command, wire.Prepare)
            self._abort.clear()
            if command.id == self._cancelled:
                self._abort.set()
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
            with self._state:
                self._request, self._gives_way = 0, False

    def _execute(self, command: wire.Commands) -> None:
        match command:
            case wire.Load():
                self._load(command)
            case wire.Generate():
                self._generate(command)
            case wire.Prepare():
                self._prepare(command)
            case wire.Cancel():
                pass  # for a request that is over
            case _:
                self.reply(self._answer(command))

    def _answer(self, command: wire.Commands) -> wire.Replies:
        """The one reply to a command that has no other."""
        llama, request = self._loaded(), command.id
        match command:
            case wire.Count(texts=texts):
                counts = tuple(len(llama.model.tokenize(text, special=False)) for text in texts)
                return wire.Counted(request, counts)
            case wire.CountPrompt(messages=messages, thinking=thinking):
                pieces = self._render(request, messages, thinking)
                rendered = "".join(piece.text for piece in pieces)
                return wire.Counted(request, (len(llama.model.prompt_tokens(pieces)),), rendered)
            case wire.Forget(owners=owners):
                llama.forget(owners)
                return wire.Forgotten(request)
            case wire.UseAdapters(adapters=adapters):
                llama.use_adapters(adapters)
                return wire.AdaptersUsed(request)
            case wire.Encode(chats=chats):
                return wire.Encoded(request, tuple(self._encoded(request, chat) for chat in chats))
            case wire.ScoreAnswers(samples=samples):
                return wire.Scored(request, tuple(llama.score(samples)))
            case wire.ReadLogits(tokens=tokens):
                return wire.LogitsRead(request, llama.last_logits(tokens))
        raise LlamaError("internal", f"There is no command {type(command).__name__}.")

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

        model = Model(command.path, abort=self._abort, on_progress=loading)
        try:
            tuning = Tuning(
                command.n_threads,
                command.n_threads_batch,
                command.flash_attention == "on",
                kv_type=command.kv_type,
                lookup_costs=command.lookup_costs,
            )
            if not (command.n_threads and command.n_threads_batch and command.flash_attention):
                tuning = measuring.tune(
                    model,
                    self._abort,
                    command.n_batch,
                    threads=command.n_threads,
                    threads_batch=command.n_threads_batch,
                    flash=command.flash_attention,
                    on_progress=lambda fraction: loading(fraction, "measure"),
                )
            n_ctx = command.n_ctx or min(model.n_ctx_train, MOST_N_CTX)
            plain = PLAIN_FORMATS.get(command.plain_format, "")
            template = model.template(plain) if model.chat_template or plain else None
            context = Context(model, n_ctx, command.n_batch, tuning, self._abort)
            self._llama = Llama(model, context, _shelf(command, context))
            costs = dict(tuning.lookup_costs)
            # Where a token alone comes out different from one in company, drafts would change answers.
            self._llama.lookup = costs if command.lookup and 1 in costs else {}
        except BaseException:
            model.close()
            raise
        self._template = template
        self.reply(
            wire.Loaded(
                request,
                ModelInfo(
                    name=Path(command.path).stem,
                    path=command.path,
                    architecture=model.architecture,
                    description=model.description,
                    n_ctx=self._llama.n_ctx,
                    n_ctx_train=model.n_ctx_train,
                    n_params=model.n_params,
                    size_bytes=model.size_bytes,
                    has_chat_template=bool(model.chat_template),
                    prompt_format="the model's template" if model.chat_template else command.plain_format,
                    n_threads=tuning.n_threads,
                    n_threads_batch=tuning.n_threads_batch,
                    flash_attention=tuning.flash_attention,
                    thinks=model.markers is not None,
                ),
                tuning.measured,
                tuning.prefill_tok_s,
                tuning.decode_tok_s,
                tuning.lookup_costs,
                tuning.busy,
            )
        )

    def _generate(self, command: wire.Generate) -> None:
        llama, request = self._loaded(), command.id
        pieces = self._render(request, command.messages, command.thinking)
        goes_on = command.messages[-1].role == "assistant" and pieces[-1].foreign
        prompt = Prompt(
            llama.model.prompt_tokens(pieces),
            command.owners,
            thoughts_open=self._template is not None and self._template.opens_thoughts(pieces),
            spaces=spaces_after(command.messages),
            begun=pieces[-1].text if goes_on else "",
        )
        result = llama.generate(
            prompt,
            command.sampling,
            on_prefill=lambda progress: self.reply(wire.Prefilled(request, progress)),
            on_text=lambda text: self.reply(wire.Delta(request, text, False)),
            on_reasoning=lambda text: self.reply(wire.Delta(request, text, True)),
        )
        self.reply(wire.Finished(request, result))

    def _prepare(self, command: wire.Prepare) -> None:
        """Read what two prompts share whose last message goes on differently."""
        llama, last = self._loaded(), command.messages[-1]
        one, other = (
            llama.model.prompt_tokens(
                self._render(
                    command.id,
                    [*command.messages[:-1], Message(last.role, last.content + end)],
                    command.thinking,
                )
            )
            for end in _ENDS
        )
        shared = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        ahead = llama.prepare(one[:shared], command.owners, keep=command.keep)
        self.reply(wire.Prepared(command.id, ahead))

    def _encoded(self, request: int, messages: Sequence[Message]) -> TokenSample:
        """As a chat asks and the model answers, without reasoning."""
        prompt = self._render(request, messages[:-1], False)
        going_on = self._render(request, [*messages, Message("user", "?")], False)
        last = max((n for n, piece in enumerate(going_on[:-1]) if piece.foreign), default=0)
        answers = [n for n, piece in enumerate(going_on) if piece.foreign and n < last]
        after = "".join(piece.text for piece in going_on[answers[-1] + 1 : last]) if answers else ""
        tokens, start = self._loaded().model.answer_tokens(prompt, messages[-1].content, after)
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


def _shelf(command: wire.Load, context: Context) -> Shelf | None:
    if not command.snapshots:
        return None
    snapshots = Snapshots(Path(command.snapshots), command.snapshot_bytes)
    system = f"{lib.__version__} {lib.llama_print_system_info().decode('utf-8', 'replace')}"
    return Shelf(snapshots, made_of(command.path, context, system=system))


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
            worker.awaited()
            inbox.put(command)

    parent.listen(take)
    parent.beat(BEAT_S, worker.sign)
    while True:
        try:
            worker.execute(inbox.get(timeout=REST_S if worker.due else None))
        except queue.Empty:
            worker.rest()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
