"""What happens before Enter: at each pause of the keyboard the documents are searched with what is typed so far, the passages are
shown, and the model reads ahead. After an answer, and when a chat is opened, it reads what the next prompt begins with.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Protocol, cast

from textual import on, work
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from ragchat.errors import RagchatError
from ragchat.tui import tasks
from ragchat.tui.state import JobState, ModelState
from ragchat.tui.trainings import KIND as TRAINING
from ragchat.types import CancelToken

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.ingest.embedding import PowerWatch
    from ragchat.session.preparing import Foreseen, Plan, Reading, Typed
    from ragchat.tui.widgets.conversation import ConversationPane
    from ragchat.types import ChatOptions, ReadAhead, Timings

KIND = "ahead"
"""Of the job."""
PAUSE_S = 0.15
"""Without a key."""
_AGAIN_S = 0.3
_LOOKS = 3
"""While no key comes, a question is looked up so often, this long after another: what is found again and again is read."""
_SETTLE_S = 0.4
"""After an answer, or when a chat was opened, before anything is read."""
_BUSY_LOAD = 1.5
"""Programs that want to run, for each core, beyond which nothing is read ahead; reading alone makes 1."""
PAUSED = "Paused: press p to continue."
ON_BATTERY = "Nothing is read ahead while this computer runs on battery."
BUSY = "Nothing is read ahead now: this computer is busy."
_WORKS = {
    "sync": "Nothing is read ahead while documents are indexed.",
    "tune": "Nothing is read ahead while a model is measured.",
    TRAINING: "Nothing is read ahead while an adapter is trained.",
}
"""What wants the processor as much, by the beginning of its job's kind, with the sentence for it."""


class _Chat(Protocol):
    pane: ConversationPane


class Host(Protocol):
    """What this needs of the app."""

    jobs: dict[str, JobState]
    model_state: ModelState

    @property
    def chat(self) -> _Chat: ...
    def use_model(self, name: str) -> None: ...


class ReadingAhead(Widget):
    """Invisible. The screen tells it of keys, answers and chats; it tells the screen which passages a question would have."""

    class Looked(Message):
        """The documents were searched with `text`; None: there is no question to search for."""

        def __init__(self, text: str, foreseen: Foreseen | None) -> None:
            super().__init__()
            self.text = text
            self.foreseen = foreseen

    class Read(Message):
        """The model has read something ahead."""

        def __init__(self, read: ReadAhead) -> None:
            super().__init__()
            self.read = read

    def __init__(self, services: Services) -> None:
        super().__init__()
        self.display = False
        self._services = services
        self._one = threading.Lock()
        self._cancel = CancelToken()
        self._reading: Reading | None = None
        self._read_for: ChatOptions | None = None
        self._power: PowerWatch | None = None
        """Looks every few seconds whether the computer runs on battery."""
        self._read, self._read_s, self._wasted, self._wasted_s = 0, 0.0, 0, 0.0
        self._used = 0
        self._begun: tuple[int, int | None] = 0, None
        """The stay at a chat, and the message that the question comes after, that the pane's plan is for."""
        self._looking = False
        self._looked = "", 0
        """What was looked up last, and how often."""
        self._next: tuple[Typed, ChatOptions, Plan] | None = None
        """What is looked up when that is done which is being looked up."""
        self._hindered = ""
        self.paused = False

    def on_mount(self) -> None:
        self._typing: Timer = self.set_timer(PAUSE_S, self._look, pause=True)
        self._resting: Timer = self.set_timer(_SETTLE_S, self._rest, pause=True)

    def on_unmount(self) -> None:
        self._cancel.cancel()
        self._stop_reading()

    @property
    def host(self) -> Host:
        return cast(Host, self.app)

    @property
    def pane(self) -> ConversationPane:
        return self.host.chat.pane

    # --- what the screen tells ----------------------------------------------------------------------

    def typed(self) -> None:
        """A key changed the prompt. What is looked up and read for the text before goes on: most of it is of use."""
        self._typing.stop()
        pane = self.pane
        begun = pane.visit, pane.editing.parent_id if pane.editing else None
        if begun != self._begun or not self.question:
            self._begun, pane.plan = begun, None
        if self.question and pane.live is None:
            self._typing = self.set_timer(PAUSE_S, self._look)
        else:
            self._next = None
            self._cancel.cancel()
            self._stop_reading()
            self._say_nothing()

    def rest(self) -> None:
        """An answer has ended, a chat was opened or the model was loaded: there may be something to read ahead."""
        self._resting.stop()
        self._resting = self.set_timer(_SETTLE_S, self._rest)

    def answered(self, timings: Timings) -> None:
        """An answer has ended: what was read in vain is known."""
        self._used += timings.ahead_tokens
        self._wasted += timings.wasted_tokens
        self._wasted_s += timings.wasted_cpu_s
        # What was stopped told nobody how far it came.
        self._read = max(self._read, self._used + self._wasted)
        self._read_s = max(self._read_s, self._wasted_s)
        self._show()

    def pause_or_resume(self) -> None:
        """The one that applies, until ragchat ends."""
        self.paused = not self.paused
        self._cancel.cancel()
        self._stop_reading()
        self._show()

    # --- looking ------------------------------------------------------------------------------------

    @property
    def _options(self) -> ChatOptions:
        return self.pane.options

    @property
    def question(self) -> str:
        """What is typed; empty: nothing that is to be answered."""
        text = self.pane.prompt.text.strip()
        return "" if text.startswith("/") else text

    @property
    def looking(self) -> bool:
        """Whether the documents are searched at the moment; any thread."""
        return self._looking

    @property
    def wanted(self) -> bool:
        """Whether the chat that is shown is to be read ahead at all."""
        chosen = self._options.read_ahead
        usual = self._services.preferences.settings.model.read_ahead
        return (usual if chosen is None else chosen) and not self.paused

    def _look(self) -> None:
        pane, text = self.pane, self.question
        if not text or not self.wanted or pane.live is not None or pane.opening:
            return
        from ragchat.session.preparing import Plan, Typed

        if pane.plan is None:
            pane.plan = Plan()
        chips = pane.attachments.chips
        typed = Typed(
            pane.conversation_id,
            text,
            pane.editing.parent_id if pane.editing else None,
            tuple(chip.attachment for chip in chips if chip.attachment),
            tuple(chip.hit for chip in chips if chip.hit),
        )
        self._next = typed, pane.options, pane.plan
        self._look_up()

    def _look_up(self) -> None:
        """One after the other: whoever types fast would see nothing if each pause ended the search of the one before."""
        if self._next is not None and not self._looking:
            (typed, options, plan), self._next = self._next, None
            self._looking = True
            text, times = self._looked
            self._looked = typed.text, times + 1 if text == typed.text else 1
            self._foresee(typed, options, plan, self._fresh())

    def _looked_up(self) -> None:
        self._looking = False
        text, times = self._looked
        if self._next is None and text == self.question and times < _LOOKS:
            self._typing.stop()
            self._typing = self.set_timer(_AGAIN_S, self._look)
        self._look_up()

    # Not exclusive: one that were taken back before it began would never say that it has ended.
    @work(thread=True, exit_on_error=False, group="look", description="look ahead")
    def _foresee(self, typed: Typed, options: ChatOptions, plan: Plan, cancel: CancelToken) -> None:
        def look() -> None:
            with self._one:  # after what is read between two questions
                if cancel.cancelled:
                    return
                reads = not self._hindrance()
                if reads:
                    self.call_later(self._have_loaded)
                with (
                    tasks.chats(self._services) as store,
                    self._services.open_session(store, options) as session,
                ):
                    foreseen = session.foresee(typed, plan if reads else None, cancel=cancel)
                if foreseen.beginning and not cancel.cancelled:
                    self._want(foreseen, options)
            if not cancel.cancelled:
                self.post_message(self.Looked(typed.text, foreseen))

        self._quietly("looking ahead", look)
        self.call_later(self._looked_up)

    def _have_loaded(self) -> None:
        if self.host.model_state.phase == "idle":
            self.host.use_model("")  # it is needed in a moment

    def _fresh(self) -> CancelToken:
        """For what is done next; what is done before it is of no use any more."""
        self._cancel.cancel()
        self._cancel = CancelToken()
        return self._cancel

    # --- reading ------------------------------------------------------------------------------------

    def _want(self, foreseen: Foreseen, options: ChatOptions) -> None:
        """Any thread: have this read."""
        from ragchat.session.preparing import Reading

        if self._reading is None:
            self._reading = Reading(self._have_read)
        self._read_for = options
        self._reading.want(foreseen)

    def _have_read(self, foreseen: Foreseen, cancel: CancelToken) -> None:
        def read() -> None:
            if self._read_for is None or self._hindrance():
                return
            options = self._read_for
            with tasks.chats(self._services) as store, self._services.open_session(store, options) as session:
                came = session.read_ahead(foreseen, cancel=cancel)
            if came is not None:
                self.post_message(self.Read(came))

        self._quietly("reading ahead", read)

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.stop()

    def _say_nothing(self) -> None:
        self.post_message(self.Looked("", None))

    # --- between two questions ----------------------------------------------------------------------

    def _rest(self) -> None:
        pane = self.pane
        if self.question:  # typed while the answer was written, or a draft
            self._look()
            return
        model = pane.options.model or self._services.model.selected
        info = self._services.model.info
        if not self.wanted or pane.live is not None or info is None or info.name != model:
            return
        self._warm(pane.conversation_id, pane.options, self._fresh())

    @work(thread=True, exclusive=True, exit_on_error=False, group="ahead", description="read ahead")
    def _warm(self, conversation_id: int, options: ChatOptions, cancel: CancelToken) -> None:
        def warm() -> None:
            with self._one:
                if cancel.cancelled or self._hindrance():
                    return
                with (
                    tasks.chats(self._services) as store,
                    self._services.open_session(store, options) as session,
                ):
                    read = session.warm(conversation_id, cancel=cancel)
            if read is not None:
                self.post_message(self.Read(read))

        self._quietly("reading ahead", warm)

    def _quietly(self, doing: str, work: object) -> None:
        """Whoever did not ask for anything is not told what went wrong; the question itself will tell."""
        assert callable(work)
        try:
            work()
        except RagchatError:
            pass
        except Exception:  # noqa: BLE001 - the boundary of a worker
            tasks.record_unexpected(self._services, doing)

    def _hindrance(self) -> str:
        """Why the model is not to read ahead now; any thread."""
        found = self._power_lacks() or self._work_running() or (BUSY if machine_is_busy() else "")
        if found != self._hindered:
            self._hindered = found
            self.call_later(self._show)
        return found

    def _power_lacks(self) -> str:
        from ragchat.ingest.embedding import PowerWatch

        if self._power is None:
            self._power = PowerWatch()
        return ON_BATTERY if self._power() else ""

    def _work_running(self) -> str:
        running = [job.kind for job in self.host.jobs.values() if job.running and not job.paused]
        return next((said for begin, said in _WORKS.items() if any(k.startswith(begin) for k in running)), "")

    # --- the job ------------------------------------------------------------------------------------

    @on(Read)
    def _count(self, event: Read) -> None:
        event.stop()
        if event.read.read:
            self._read += event.read.read
            self._read_s += event.read.cpu_s
            self._show()

    def _show(self) -> None:
        job = JobState(KIND, "", "tokens", doing="reading ahead", running=False, sentence=self.sentence)
        self.host.jobs = {**self.host.jobs, KIND: job}

    @property
    def sentence(self) -> str:
        """What was read since ragchat was started, and what it cost."""
        said = (
            f"{self._read:,} tokens read ({self._read_s:.1f} s of processor time),"
            f" {self._wasted:,} of them in vain ({self._wasted_s:.1f} s)."
        )
        return " ".join(filter(None, (PAUSED if self.paused else self._hindered, said)))


def machine_is_busy() -> bool:
    """Whether others want the processor more than there is of it; False where the system does not tell."""
    if not hasattr(os, "getloadavg"):
        return False
    try:
        load = os.getloadavg()[0]
    except OSError:
        return False
    return load > 1 + _BUSY_LOAD * (os.cpu_count() or 1)
