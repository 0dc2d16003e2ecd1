"""The chat that is open: its transcript, its prompt, and the answer that may be running, here or in another chat.

One answer runs at a time. It belongs to its own chat and goes on when the person opens another one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from ragchat.session.events import AnswerFinished, HitsFound, MessageStored, PromptReady, QueryUsed
from ragchat.text import human_seconds
from ragchat.tui import messages, tasks
from ragchat.tui.live import LiveAnswer
from ragchat.tui.widgets.message import AnswerView, MessageView, NoticeView, QuestionView, answer_footer
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import LoadProgress, PrefillProgress

if TYPE_CHECKING:
    from ragchat.session.events import SessionEvent
    from ragchat.tui.services import Services
    from ragchat.types import Conversation, Timings

DRAFT_DELAY_S = 0.4


class ConversationPane(Vertical):
    """Invariant: `visit` grows with every chat that is opened, so that late answers of workers are recognised."""

    class Changed(Message):
        """Another chat is open, or the open one was stored, renamed or updated."""

        def __init__(self, conversation: Conversation | None) -> None:
            super().__init__()
            self.conversation = conversation

    class Measured(Message):
        """What the last prompt or answer of this chat took."""

        def __init__(self, *, used: int, n_ctx: int, timings: Timings | None) -> None:
            super().__init__()
            self.used = used
            self.n_ctx = n_ctx
            self.timings = timings

    class Busy(Message):
        """An answer began or ended (`live` None)."""

        def __init__(self, live: LiveAnswer | None) -> None:
            super().__init__()
            self.live = live

    class Stored(Message):
        """The list of chats has changed."""

    def __init__(self, services: Services, empty: Widget) -> None:
        super().__init__()
        self._services = services
        self._empty = empty
        self.conversation: Conversation | None = None
        self.conversation_id = 0
        self.knowledge_bases: tuple[str, ...] | None = None
        self.visit = 0
        self._opening = True
        self.live: LiveAnswer | None = None
        self._drafts: dict[int, str] = {}
        self._draft_lock = threading.Lock()

    def compose(self) -> ComposeResult:
        yield Transcript(self._empty)
        yield Prompt()

    def on_mount(self) -> None:
        self._draft_timer = self.set_timer(DRAFT_DELAY_S, self._save_drafts, pause=True)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    # --- opening ------------------------------------------------------------------------------------

    def open(self, conversation_id: int) -> None:
        """Show a chat; 0 begins a new one."""
        if not self._opening:
            self._keep_draft()
            self.prompt.put("")
        self._opening = True
        self.visit += 1
        self.conversation_id = conversation_id
        self.conversation = None
        self.knowledge_bases = None
        self._load_page(conversation_id, 0, self.visit)

    @work(thread=True, exclusive=True, exit_on_error=False, group="page", description="read a chat")
    def _load_page(self, conversation_id: int, before: int, visit: int) -> None:
        def load() -> None:
            page = tasks.open_chat(self._services, conversation_id, before=before)
            self.post_message(messages.PageLoaded(page, visit=visit, earlier=before > 0))

        tasks.reporting(self._services, "reading the chat", self.post_message, load)

    @on(messages.PageLoaded)
    async def _show_page(self, event: messages.PageLoaded) -> None:
        event.stop()
        if event.visit != self.visit:
            return
        views = [self._view(message) for message in event.page.messages]
        if event.earlier:
            await self.transcript.add_earlier(views, earlier=event.page.earlier)
            return
        self.conversation = event.page.conversation
        if self.conversation is not None:
            self.knowledge_bases = self.conversation.knowledge_bases
        await self.transcript.show(views, earlier=event.page.earlier)
        for message, view in zip(event.page.messages, views, strict=True):
            if isinstance(view, AnswerView):
                await self._settle_stored(message, view)
        # What was typed while the chat was being read comes after what was typed in it before.
        typed = self.prompt.text
        self._opening = False
        self.prompt.put(self._drafts.get(self.conversation_id, event.page.draft) + typed)
        self.post_message(self.Changed(self.conversation))
        timings = next((m.stored.timings for m in reversed(event.page.messages) if m.stored.timings), None)
        used = timings.prompt_tokens + timings.completion_tokens if timings else 0
        self.post_message(self.Measured(used=used, n_ctx=0, timings=timings))

    def _view(self, message: tasks.ShownMessage) -> MessageView:
        stored = message.stored
        if stored.role == "user":
            return QuestionView(stored.content, message_id=stored.id)
        live = self.live if self.live is not None and self.live.answer_id == stored.id else None
        return AnswerView(
            live.text if live else stored.content,
            message_id=stored.id,
            citations=live.citations if live else message.citations,
            model=message.model,
            streaming=live is not None,
        )

    async def _settle_stored(self, message: tasks.ShownMessage, view: AnswerView) -> None:
        if self.live is not None and self.live.answer_id == message.stored.id:
            missed = self.live.text[len(view.plain_text) :]
            if missed:
                await view.feed(missed)
            view.show_progress(self.live.progress)
            return
        stored = message.stored
        footer = answer_footer(
            stored.state,
            finish_reason=stored.finish_reason,
            error=stored.error,
            timings=stored.timings,
            citations=message.citations,
            asked_documents=message.asked_documents,
            from_documents=any(citation.used for citation in message.citations),
            left_out=message.left_out,
        )
        await view.finish(view.plain_text, footer)

    @on(Transcript.EarlierWanted)
    def _load_earlier(self, event: Transcript.EarlierWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, event.before, self.visit)

    # --- asking -------------------------------------------------------------------------------------

    @on(Prompt.Submitted)
    async def _ask(self, event: Prompt.Submitted) -> None:
        event.stop()
        question = event.text.strip()
        if not question:
            return
        if self.live is not None:
            self.notify("One answer at a time: Esc stops the running one. Your text is kept.", markup=False)
            return
        self.live = LiveAnswer(
            self.conversation_id, question, knowledge_bases=self.knowledge_bases, visit=self.visit
        )
        self.prompt.remember(question)
        self.prompt.put("")
        model = self._services.model.selected
        await self.transcript.add(QuestionView(question), AnswerView("", model=model, streaming=True))
        self._show_live_progress(self.live)
        self.post_message(self.Busy(self.live))
        self._write(self.live)

    @work(thread=True, exclusive=True, exit_on_error=False, group="answer", description="write an answer")
    def _write(self, live: LiveAnswer) -> None:
        tasks.write_answer(self._services, live, self.post_message)

    def stop(self) -> bool:
        """Ask the running answer to end; whether there is one."""
        if self.live is None:
            return False
        self.live.cancel.cancel()
        self.live.progress = "Stopping"
        self._show_live_progress(self.live)
        return True

    def showing(self, live: LiveAnswer | None) -> bool:
        """Whether `live` belongs to the chat on the screen."""
        if live is None:
            return False
        return live.conversation_id == self.conversation_id if live.stored else live.visit == self.visit

    def _live_view(self, live: LiveAnswer) -> AnswerView | None:
        if not self.showing(live):
            return None
        answers = [view for view in self.transcript.views if isinstance(view, AnswerView)]
        return next((view for view in reversed(answers) if view.message_id in (0, live.answer_id)), None)

    def _show_live_progress(self, live: LiveAnswer) -> None:
        if view := self._live_view(live):
            view.show_progress(live.progress)

    @on(messages.AnswerGrew)
    async def _grow(self, event: messages.AnswerGrew) -> None:
        event.stop()
        piece = event.live.take()
        if piece and (view := self._live_view(event.live)):
            await view.feed(piece)

    @on(messages.AnswerAdvanced)
    async def _advance(self, event: messages.AnswerAdvanced) -> None:
        event.stop()
        live, said = event.live, event.event
        match said:
            case MessageStored():
                self._adopt(live, said)
            case QueryUsed():
                live.asked_documents = bool(said.knowledge_bases)
            case PromptReady():
                live.citations, live.left_out = said.citations, said.left_out
                self._show_citations(live)
                if self.showing(live):
                    self.post_message(self.Measured(used=said.prompt_tokens, n_ctx=said.n_ctx, timings=None))
            case AnswerFinished():
                await self._finish(live, said)
        if sentence := progress_sentence(said):
            live.progress = sentence
            self._show_live_progress(live)

    def _adopt(self, live: LiveAnswer, stored: MessageStored) -> None:
        view = self._live_view(live)
        here = self.showing(live)
        live.conversation_id = stored.conversation_id
        live.question_id, live.answer_id = stored.question_id, stored.answer_id
        if here:
            self.conversation_id = stored.conversation_id
            self._drafts.pop(0, None)
            if view is not None:
                view.message_id = stored.answer_id
                question = self.transcript.views[self.transcript.views.index(view) - 1]
                question.message_id = stored.question_id
        self.post_message(self.Stored())

    def _show_citations(self, live: LiveAnswer) -> None:
        if view := self._live_view(live):
            view.citations = live.citations
            if self.transcript.selected is view:
                self.transcript.select(view)

    async def _finish(self, live: LiveAnswer, said: AnswerFinished) -> None:
        live.take()
        live.citations = said.citations
        if (view := self._live_view(live)) is None:
            return
        footer = answer_footer(
            "cancelled" if said.finish_reason == "cancelled" else "complete",
            finish_reason=said.finish_reason,
            timings=said.timings,
            citations=said.citations,
            asked_documents=live.asked_documents,
            from_documents=said.from_documents,
            left_out=live.left_out,
        )
        await view.finish(said.text, footer)
        self._show_citations(live)
        used = said.timings.prompt_tokens + said.timings.completion_tokens
        self.post_message(self.Measured(used=used, n_ctx=0, timings=said.timings))

    @on(messages.AnswerFailed)
    async def _fail(self, event: messages.AnswerFailed) -> None:
        event.stop()
        live = event.live
        live.take()
        view = self._live_view(live)
        if live.stored:
            if view is not None:
                state = "cancelled" if event.cancelled else "error"
                await view.finish(
                    view.plain_text, answer_footer(state, error=event.sentence, remedy=event.remedy)
                )
            elif not event.cancelled:
                self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)
            return
        if view is not None:
            question = self.transcript.views[self.transcript.views.index(view) - 1]
            await self.transcript.remove_view(view)
            await self.transcript.remove_view(question)
            if not event.cancelled:
                await self.transcript.add(NoticeView(event.sentence, event.remedy))
            if not self.prompt.text:
                self.prompt.put(live.question)
        else:
            self._drafts[live.conversation_id] = live.question
            self._save_drafts()
            self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)

    @on(messages.AnswerEnded)
    def _end(self, event: messages.AnswerEnded) -> None:
        event.stop()
        if self.live is event.live:
            self.live = None
            self.post_message(self.Busy(None))
            self.post_message(self.Stored())

    @on(Transcript.Reused)
    def _reuse(self, event: Transcript.Reused) -> None:
        event.stop()
        self.prompt.put(event.question)
        self.prompt.focus()

    # --- drafts -------------------------------------------------------------------------------------

    @on(TextArea.Changed)
    def _note_draft(self, event: TextArea.Changed) -> None:
        event.stop()
        if not self._opening:
            self._keep_draft()
            self._draft_timer.reset()
            self._draft_timer.resume()

    def _keep_draft(self) -> None:
        with self._draft_lock:
            self._drafts[self.conversation_id] = self.prompt.text

    # Not exclusive: a write that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="draft", description="save what was typed")
    def _save_drafts(self) -> None:
        tasks.reporting(self._services, "saving what was typed", self.post_message, self.write_drafts)

    def write_drafts(self) -> None:
        """Store what was typed and not sent. Any thread; the newest text wins."""
        with self._draft_lock:
            drafts, self._drafts = self._drafts, {}
            if drafts:
                with tasks.chats(self._services) as store:
                    for conversation_id, text in drafts.items():
                        store.save_draft(conversation_id, text)


def progress_sentence(said: SessionEvent) -> str:
    """What the session is doing, for the line under the question; empty for what is no progress."""
    match said:
        case MessageStored():
            return "Thinking"
        case QueryUsed(knowledge_bases=names):
            return "Searching your documents" if names else "Thinking"
        case HitsFound(hits=hits, relevant=relevant):
            return f"{len(hits)} passages found" if relevant else "Nothing in the documents speaks to this"
        case LoadProgress(fraction, stage):
            doing = "Measuring this machine" if stage == "measure" else "Loading the model"
            return f"{doing} {fraction:.0%}"
        case PromptReady(prompt_tokens=tokens):
            return f"Reading the prompt, {tokens} tokens"
        case PrefillProgress(done, total, eta_s):
            left = f", {human_seconds(eta_s)} left" if eta_s is not None and done < total else ""
            return f"Reading the prompt {done}/{total} tokens{left}"
        case _:
            return ""
