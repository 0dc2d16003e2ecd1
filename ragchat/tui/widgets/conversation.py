"""The chat that is open: its transcript, its prompt, and the answer that may be running, here or in another chat.

One answer runs at a time. It belongs to its own chat and goes on when the person opens another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static, TextArea

from ragchat.app import commands
from ragchat.app.typed_paths import typed_path
from ragchat.session.events import AnswerFinished, MessageStored, PromptReady, QueryUsed
from ragchat.tui import messages, tasks
from ragchat.tui.drafts import Drafts
from ragchat.tui.live import LiveAnswer, Request
from ragchat.tui.sentences import answer_footer, answered_by, progress_sentence
from ragchat.tui.turns import Turns
from ragchat.tui.widgets.attachments import AttachmentBar, Chip
from ragchat.tui.widgets.message import AnswerView, Facts, MessageView, NoticeView, QuestionView
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import LoadProgress

if TYPE_CHECKING:
    from ragchat.app.services import Services
    from ragchat.types import Conversation, Hit, StoredMessage, Timings

DRAFT_DELAY_S = 0.4


@dataclass(frozen=True, slots=True)
class Editing:
    """An earlier question is being written anew; it is to come after `parent_id`. `set_aside` stood in the prompt before."""

    parent_id: int
    set_aside: str


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

    class Forked(Message):
        """A chat was made of a branch of this one."""

        def __init__(self, conversation: Conversation) -> None:
            super().__init__()
            self.conversation = conversation

    def __init__(self, services: Services, empty: Widget) -> None:
        super().__init__()
        self._services = services
        self._empty = empty
        self.conversation: Conversation | None = None
        self.conversation_id = 0
        self.options = self._services.new_chat
        self.default_model = ""
        """The model of chats that have none of their own; empty: the one that is selected."""
        self.editing: Editing | None = None
        self.visit = 0
        self._opening = True
        self._asked_early = False
        self._sends_when_read = False
        self.live: LiveAnswer | None = None
        self.drafts = Drafts(services)
        self.turns = Turns(self, services)

    def compose(self) -> ComposeResult:
        yield Transcript(self._empty)
        yield AttachmentBar()
        editing = Static(Content(""), id="editing")
        editing.display = False
        yield editing
        yield Prompt()

    def on_mount(self) -> None:
        # An interval: a timer that has fired once never fires again, whatever it is told.
        self._draft_timer = self.set_interval(DRAFT_DELAY_S, self._save_changed_drafts, pause=True)

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

    def open(self, conversation_id: int, *, around: int = 0) -> None:
        """Show a chat at its end, or at a message; 0 begins a new one."""
        if not self._opening:
            self.leave_editing()
            self._keep_draft()
            self.prompt.put("")
        self._opening = True
        self.visit += 1
        self.transcript.leave_find()
        self.conversation_id = conversation_id
        self.conversation = None
        self.options = self._services.new_chat
        self._load_page(conversation_id, tasks.Where(around=around), self.visit)

    def reload(self, *, around: int = 0) -> None:
        """Show the branch that is now the shown one, at its end or at a message."""
        self._load_page(self.conversation_id, tasks.Where(around=around), self.visit)

    @work(thread=True, exclusive=True, exit_on_error=False, group="page", description="read a chat")
    def _load_page(self, conversation_id: int, where: tasks.Where, visit: int) -> None:
        tasks.read_page(self._services, conversation_id, self.post_message, visit=visit, where=where)

    @on(messages.PageFailed)
    async def _show_failure(self, event: messages.PageFailed) -> None:
        event.stop()
        if event.visit == self.visit:
            self._opening = self._asked_early = False
            await self.transcript.show([NoticeView(event.sentence, event.remedy)], earlier=0)

    @on(messages.PageLoaded)
    async def _show_page(self, event: messages.PageLoaded) -> None:
        event.stop()
        page, where = event.page, event.where
        if event.visit != self.visit:
            self.transcript.page_missed()
            return
        views = [self._view(message) for message in page.messages]
        if where.before:
            await self.transcript.add_earlier(views, earlier=page.earlier)
            return
        if where.after:
            await self.transcript.add_later(views, later=page.later)
            await self._feed_missed()
            return
        self.conversation = page.conversation
        if page.conversation is not None:
            self.options = page.conversation.options
        await self.transcript.show(views, earlier=page.earlier, later=page.later, select=where.around)
        await self._feed_missed()
        if self._opening:
            await self._take_draft(page.draft)
        self.post_message(self.Changed(self.conversation))
        timings = next((m.stored.timings for m in reversed(page.messages) if m.stored.timings), None)
        used = timings.prompt_tokens + timings.completion_tokens if timings else 0
        self.post_message(self.Measured(used=used, n_ctx=0, timings=timings))

    async def _take_draft(self, stored: str) -> None:
        # What was typed while the chat was being read comes after what was typed in it before.
        typed, asked = self.prompt.text, self._asked_early
        self._opening = self._asked_early = False
        draft = self.drafts.newest(self.conversation_id, stored)
        self.prompt.put(draft if asked else draft + typed)
        if asked:
            await self._send(commands.literal(typed))

    async def _feed_missed(self) -> None:
        """What was streamed while the view of the running answer was being made."""
        if self.live is not None and (view := self._live_view(self.live)) is not None:
            if missed := self.live.text[len(view.plain_text) :]:
                await view.feed(missed)
            view.show_progress(self.live.progress)

    def _view(self, message: tasks.ShownMessage) -> MessageView:
        stored = message.stored
        if stored.role == "user":
            return QuestionView(stored.content, message_id=stored.id, facts=facts_of(stored))
        live = self.live
        if live is not None and live.answer_id == stored.id:
            return AnswerView(
                live.text,
                message_id=stored.id,
                citations=live.citations,
                facts=facts_of(stored),
                model=message.model or self._services.model.selected,
                streaming=True,
            )
        footer = answer_footer(
            stored.state,
            finish_reason=stored.finish_reason,
            error=stored.error,
            timings=stored.timings,
            citations=message.citations,
            asked_documents=message.asked_documents,
            from_documents=any(citation.used for citation in message.citations),
            left_out=message.left_out,
            compacted=message.compacted,
        )
        return AnswerView(
            stored.content,
            message_id=stored.id,
            citations=message.citations,
            facts=facts_of(stored),
            model=message.model,
            footer=footer,
        )

    @on(Transcript.EarlierWanted)
    def _load_earlier(self, event: Transcript.EarlierWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, tasks.Where(before=event.before), self.visit)

    @on(Transcript.LaterWanted)
    def _load_later(self, event: Transcript.LaterWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, tasks.Where(after=event.after), self.visit)

    @on(Transcript.FirstWanted)
    def _load_first(self, event: Transcript.FirstWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, tasks.FIRST, self.visit)

    @on(Transcript.LastWanted)
    def _load_last(self, event: Transcript.LastWanted) -> None:
        event.stop()
        self.reload()

    @on(Transcript.MessageWanted)
    def _load_around(self, event: Transcript.MessageWanted) -> None:
        event.stop()
        self.reload(around=event.message_id)

    @on(Transcript.Requested)
    def _handle(self, event: Transcript.Requested) -> None:
        if event.action not in ("prompt", "replay"):  # which are the screen's
            event.stop()
            self.turns.handle(event)

    @on(Transcript.FindWanted)
    def _find(self, event: Transcript.FindWanted) -> None:
        event.stop()
        self._find_words(event.words, self.conversation_id, self.visit)

    @work(thread=True, exclusive=True, exit_on_error=False, group="find", description="search in this chat")
    def _find_words(self, words: str, conversation_id: int, visit: int) -> None:
        def find() -> None:
            with tasks.chats(self._services) as store:
                branch = set(store.branch_ids(conversation_id)) if conversation_id else set()
                hits = store.search(words, 10_000, conversation_id=conversation_id) if branch else []
            found = [hit.message_id for hit in hits if hit.message_id in branch]
            self.post_message(messages.FoundInChat(words, found, visit=visit))

        tasks.reporting(self._services, "searching this chat", self.post_message, find)

    @on(messages.FoundInChat)
    def _show_found(self, event: messages.FoundInChat) -> None:
        event.stop()
        if event.visit == self.visit:
            self.transcript.take_found(event.words, event.message_ids)

    # --- asking -------------------------------------------------------------------------------------

    @on(Prompt.Submitted)
    async def _ask(self, event: Prompt.Submitted) -> None:
        event.stop()
        if self._opening:
            self._asked_early = True
        elif event.text.strip() and self.live is not None:
            self.notify("One answer at a time: Esc stops the running one. Your text is kept.", markup=False)
        elif event.text.strip() and not self.attachments.ready:
            self._sends_when_read = True
            self.notify("The file is still being read; then this is sent.", timeout=3, markup=False)
        elif event.text.strip():
            self.prompt.put("")
            await self._send(event.text)

    # --- what goes with the next question -----------------------------------------------------------

    def attach(self, typed: str) -> None:
        """Have a file go with the next question; a path as it was typed."""
        if not typed:
            self.notify("Say which file: /attach PATH; Tab completes it.", timeout=4, markup=False)
            return
        path = typed_path(typed)
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

    async def _send(self, text: str) -> None:
        question = text.strip()
        if not question or self.live is not None:
            self.prompt.put(self.prompt.text + text)
            return
        chips = self.attachments.take()
        editing = self.editing
        request = Request("ask", question, parent_id=editing.parent_id if editing else None)
        self.prompt.remember(question)
        if editing is not None:
            self.begin(request, chips=chips)
            self.leave_editing()
            return
        shown = question
        if chips:
            from ragchat.session.attachment import stored_question

            shown = stored_question(question, "", [chip.label for chip in chips])
        live = self.begin(request, chips=chips, write=False)
        speaker = answered_by(live.model or self._services.model.selected, live.options.adapter)
        view = AnswerView("", model=speaker, streaming=True)
        await self.transcript.add(QuestionView(shown), view)
        self._show_live_progress(live)
        self._write(live)

    def begin(self, request: Request, *, chips: tuple[Chip, ...] = (), write: bool = True) -> LiveAnswer:
        """Have something written; none may be running."""
        if self.options.model and not self.default_model:
            self.default_model = self._services.model.selected
        self.live = LiveAnswer(
            self.conversation_id,
            request,
            options=self.options,
            visit=self.visit,
            model=self.options.model or self.default_model,
            chips=chips,
        )
        self.post_message(self.Busy(self.live))
        if write:
            self._write(self.live)
        return self.live

    # --- a question that is written anew ------------------------------------------------------------

    def edit(self, question: str, parent_id: int) -> None:
        """Put an earlier question into the prompt; sent, it begins a branch of its own."""
        set_aside = self.editing.set_aside if self.editing else self.prompt.text
        self.editing = Editing(parent_id, set_aside)
        line = self.query_one("#editing", Static)
        line.update(
            Content.assemble(
                Content.styled("✎ An earlier question", "$text-accent"),
                Content.styled(" · Enter sends it as a new branch · Esc leaves it", "$foreground 62%"),
            )
        )
        line.display = True
        self.prompt.put(question)
        self.prompt.focus()

    def leave_editing(self) -> bool:
        """Put back what stood in the prompt before; whether a question was being written anew."""
        if self.editing is None:
            return False
        self.prompt.put(self.editing.set_aside)
        self.editing = None
        self.query_one("#editing", Static).display = False
        return True

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
        wanted = (live.answer_id,) if live.answer_id else (0,)
        return next((view for view in reversed(answers) if view.message_id in wanted), None)

    def _show_live_progress(self, live: LiveAnswer) -> None:
        if view := self._live_view(live):
            view.show_progress(live.progress)

    @on(messages.AnswerGrew)
    async def _grow(self, event: messages.AnswerGrew) -> None:
        event.stop()
        thought, piece = event.live.take_thought(), event.live.take()
        view = self._live_view(event.live)
        if thought and view:
            view.feed_reasoning(thought)
        if piece and view:
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
            if live.request.kind == "continue" and (old := self.transcript.find(stored.answer_id)):
                assert isinstance(old, AnswerView)
                live.text = old.plain_text
                old.resume()
            elif view is not None:
                view.message_id = stored.answer_id
                question = self.transcript.views[self.transcript.views.index(view) - 1]
                question.message_id = stored.question_id
            else:  # another branch is shown now
                self.reload(around=stored.answer_id)
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
            live.missed = self.showing(live)
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
        facts = replace(
            view.facts,
            reasoning=said.reasoning,
            reasoning_s=said.reasoning_s,
            reasoning_tokens=said.reasoning_tokens,
        )
        await view.finish(said.text, footer, facts)
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
            else:
                live.missed = self.showing(live)
                if not event.cancelled:
                    self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)
            return
        if view is not None:
            question = self.transcript.views[self.transcript.views.index(view) - 1]
            await self.transcript.remove_view(view)
            await self.transcript.remove_view(question)
            if not event.cancelled:
                await self.transcript.add(NoticeView(event.sentence, event.remedy))
            if not self.prompt.text and live.request.kind == "ask":
                self.prompt.put(live.question)
            for chip in live.chips:
                self.attachments.add(chip)
        else:
            parent_id = live.request.parent_id
            if parent_id is not None and self.showing(live):
                self.edit(live.question, parent_id)
            elif live.request.kind == "ask":
                self.drafts.hold(live.conversation_id, live.question)
                self._save_drafts()
            self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)

    @on(messages.AnswerEnded)
    def _end(self, event: messages.AnswerEnded) -> None:
        event.stop()
        if self.live is event.live:
            self.live = None
            if event.live.missed:  # it ended before it was on the screen
                self.reload(around=event.live.answer_id)
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
            self._draft_timer.resume()

    def hold_typed(self) -> None:
        """Hold what stands in the prompt, to be written before the end."""
        if not self._opening:
            self._keep_draft()
        elif self.prompt.text:
            self.drafts.hold_more(self.conversation_id, self.prompt.text)

    def _keep_draft(self) -> None:
        self.drafts.hold(self.conversation_id, self.prompt.text)

    def _save_changed_drafts(self) -> None:
        self._draft_timer.pause()
        self._save_drafts()

    # Not exclusive: a write that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="draft", description="save what was typed")
    def _save_drafts(self) -> None:
        tasks.reporting(self._services, "saving what was typed", self.post_message, self.drafts.write)


def facts_of(stored: StoredMessage) -> Facts:
    """What is shown of a message beside its text."""
    return Facts(
        siblings=stored.siblings,
        rating=stored.rating,
        correction=stored.correction,
        reasoning=stored.reasoning,
        reasoning_s=stored.reasoning_s,
        reasoning_tokens=stored.reasoning_tokens,
    )
