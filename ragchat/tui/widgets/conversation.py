"""The chat that is open: its transcript, its prompt, and the answer that may be running, here or in another chat.

One answer runs at a time. It belongs to its own chat and goes on when the person opens another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea

from ragchat.session.events import AnswerFinished, MessageStored, PromptReady, QueryUsed
from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.drafts import Drafts
from ragchat.tui.live import LiveAnswer
from ragchat.tui.sentences import answer_footer, progress_sentence
from ragchat.tui.widgets.attachments import AttachmentBar, Chip
from ragchat.tui.widgets.message import AnswerView, MessageView, NoticeView, QuestionView
from ragchat.tui.widgets.prompt import Prompt, attach_command
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import LoadProgress

if TYPE_CHECKING:
    from ragchat.tui.services import Services
    from ragchat.types import Conversation, Hit, Timings

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
        self._asked_early = False
        self._sends_when_read = False
        self.live: LiveAnswer | None = None
        self.drafts = Drafts(services)

    def compose(self) -> ComposeResult:
        yield Transcript(self._empty)
        yield AttachmentBar()
        yield Prompt()

    def on_mount(self) -> None:
        self._draft_timer = self.set_timer(DRAFT_DELAY_S, self._save_drafts, pause=True)

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def prompt(self) -> Prompt:
        return self.query_one(Prompt)

    @property
    def attachments(self) -> AttachmentBar:
        return self.query_one(AttachmentBar)

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
        tasks.read_page(self._services, conversation_id, self.post_message, visit=visit, before=before)

    @on(messages.PageFailed)
    async def _show_failure(self, event: messages.PageFailed) -> None:
        event.stop()
        if event.visit == self.visit:
            self._opening = self._asked_early = False
            await self.transcript.show([NoticeView(event.sentence, event.remedy)], earlier=0)

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
        typed, asked = self.prompt.text, self._asked_early
        self._opening = self._asked_early = False
        draft = self.drafts.newest(self.conversation_id, event.page.draft)
        self.prompt.put(draft if asked else draft + typed)
        if asked:
            await self._send(typed)
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
        if self._opening:
            self._asked_early = True
        elif command := attach_command(event.text):
            self._attach_file(*command)
        elif event.text.strip() and self.live is not None:
            self.notify("One answer at a time: Esc stops the running one. Your text is kept.", markup=False)
        elif event.text.strip() and not self.attachments.ready:
            self._sends_when_read = True
            self.notify("The file is still being read; then this is sent.", timeout=3, markup=False)
        elif event.text.strip():
            self.prompt.put("")
            await self._send(event.text)

    # --- what goes with the next question -----------------------------------------------------------

    def _attach_file(self, typed: str, question: str) -> None:
        if not typed:
            self.notify("Say which file: /attach PATH; Tab completes it.", timeout=4, markup=False)
            return
        self.prompt.put(question)
        path = Path(typed).expanduser().absolute()
        self.attachments.add(Chip(path))
        self._read_attachment(path)

    def pin(self, hit: Hit) -> None:
        """The next question is about this passage."""
        self.attachments.add(Chip(Path(hit.path), hit=hit))
        self.prompt.focus()

    # Not exclusive: several files may be attached one after the other.
    @work(thread=True, exit_on_error=False, group="attach", description="read a file to attach")
    def _read_attachment(self, path: Path) -> None:
        tasks.read_attachment(self._services, path, self.post_message)

    @on(messages.AttachmentRead)
    def _attachment_read(self, event: messages.AttachmentRead) -> None:
        event.stop()
        bar = self.attachments
        if all(chip.path != event.path for chip in bar.chips):
            return  # it was taken off meanwhile
        bar.settle(event.path, event.attachment)
        if event.attachment is None:
            self._sends_when_read = False
            self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)
        elif self._sends_when_read and bar.ready:
            self._sends_when_read = False
            self.prompt.action_submit()

    @on(Prompt.LeftBehind)
    def _take_off(self, event: Prompt.LeftBehind) -> None:
        event.stop()
        self.attachments.remove_last()

    @on(Prompt.CompletionsFound)
    def _show_offers(self, event: Prompt.CompletionsFound) -> None:
        event.stop()
        self.notify(clean_line("   ".join(event.offers), limit=400), timeout=4, markup=False)

    async def _send(self, text: str) -> None:
        question = text.strip()
        if not question or self.live is not None:
            self.prompt.put(self.prompt.text + text)
            return
        chips = self.attachments.take()
        self.live = LiveAnswer(
            self.conversation_id,
            question,
            knowledge_bases=self.knowledge_bases,
            visit=self.visit,
            chips=chips,
        )
        self.prompt.remember(question)
        model = self._services.model.selected
        shown = question
        if chips:
            from ragchat.session.attachment import stored_question

            shown = stored_question(question, "", [chip.label for chip in chips])
        await self.transcript.add(QuestionView(shown), AnswerView("", model=model, streaming=True))
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
                self.post_message(messages.ModelLoaded(self._services.model.info))
                self._show_citations(live)
                if self.showing(live):
                    self.post_message(self.Measured(used=said.prompt_tokens, n_ctx=said.n_ctx, timings=None))
            case LoadProgress(fraction, stage):
                self.post_message(messages.ModelLoadAdvanced(fraction, stage))
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
            self.drafts.drop(0)
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
            for chip in live.chips:
                self.attachments.add(chip)
        else:
            self.drafts.hold(live.conversation_id, live.question)
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

    def hold_typed(self) -> None:
        """Hold what stands in the prompt, to be written before the end."""
        if not self._opening:
            self._keep_draft()
        elif self.prompt.text:
            self.drafts.hold_more(self.conversation_id, self.prompt.text)

    def _keep_draft(self) -> None:
        self.drafts.hold(self.conversation_id, self.prompt.text)

    # Not exclusive: a write that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="draft", description="save what was typed")
    def _save_drafts(self) -> None:
        tasks.reporting(self._services, "saving what was typed", self.post_message, self.drafts.write)
