"""The chat that is open: its transcript, its prompt, and the answer that may be running, here or in another chat.

One answer runs at a time. It belongs to its own chat and continues when you open another one. A question that you ask there
waits until the answer is written.
"""

from __future__ import annotations

import threading
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
from ragchat.app.events import progress_sentence
from ragchat.app.typed_paths import existing_file
from ragchat.session.events import (
    AnswerFinished,
    AnswerKind,
    HitsFound,
    MessageStored,
    PromptReady,
    QueryUsed,
    QuotesFound,
    searched_also,
)
from ragchat.text import clean_line
from ragchat.tui import messages, tasks
from ragchat.tui.chat_changes import ChatChanges
from ragchat.tui.drafts import Drafts
from ragchat.tui.live import LiveAnswer, Request
from ragchat.tui.quotations import to_look_at
from ragchat.tui.sentences import answer_footer, answered_by
from ragchat.tui.shown import FIRST, ShownMessage, Where
from ragchat.tui.turns import Turns
from ragchat.tui.waiting import Waiting
from ragchat.tui.widgets.attachments import AttachmentBar, Chip, brought_again
from ragchat.tui.widgets.message import AnswerView, Facts, MessageView, NoticeView, QuestionView
from ragchat.tui.widgets.prompt import Prompt
from ragchat.tui.widgets.transcript import Transcript
from ragchat.types import Citation, LoadProgress, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragchat.app.services import Services
    from ragchat.session.preparing import Plan
    from ragchat.types import Conversation, Hit, Timings

DRAFT_DELAY_S = 0.4
_NEAREST = 3
"""Passages that are offered where none is relevant."""


@dataclass(frozen=True, slots=True)
class Editing:
    """An earlier question is being written again; it is to come after `parent_id`. `set_aside` stood in the prompt before.

    `chips_aside` were attached then.
    """

    parent_id: int
    set_aside: str
    chips_aside: tuple[Chip, ...] = ()


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

    class Typed(Message):
        """What is in the prompt, or goes with it, has changed."""

    class Answered(Message):
        """An answer has ended, and took this."""

        def __init__(self, timings: Timings) -> None:
            super().__init__()
            self.timings = timings

    class Busy(Message):
        """An answer began or ended (`live` None)."""

        def __init__(self, live: LiveAnswer | None) -> None:
            super().__init__()
            self.live = live

    class Asked(Message):
        """These knowledge bases were asked for the answer in this chat."""

        def __init__(self, knowledge_bases: tuple[str, ...]) -> None:
            super().__init__()
            self.knowledge_bases = knowledge_bases

    class Stored(Message):
        """The list of chats has changed."""

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
        self.plan: Plan | None = None
        """What is read ahead for the question in the prompt."""
        self.waiting = Waiting()
        self.drafts = Drafts(services)
        self.one_by_one = threading.Lock()
        """Held while the chats are changed, so that an older list never replaces a newer one."""
        self.changes = ChatChanges(self, services)
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

    @property
    def opening(self) -> bool:
        """Whether a chat is being read."""
        return self._opening

    # --- opening ------------------------------------------------------------------------------------

    def open(self, conversation_id: int, *, around: int = 0) -> None:
        """Show a chat at its end, or at a message; 0 begins a new one."""
        if not self._opening:
            self.leave_editing()
            self._keep_draft()
            self.drafts.set_aside(self.conversation_id, self.attachments.take())
            self.prompt.put("")
        self._opening, self._sends_when_read = True, False
        self.visit += 1
        self.transcript.leave_find()
        self.conversation_id = conversation_id
        self.conversation = None
        self.options = self._services.new_chat
        self._load_page(conversation_id, Where(around=around), self.visit)

    def reload(self, *, around: int = 0) -> None:
        """Show the branch that is now the shown one, at its end or at a message."""
        self._load_page(self.conversation_id, Where(around=around), self.visit)

    @work(thread=True, exclusive=True, exit_on_error=False, group="page", description="read a chat")
    def _load_page(self, conversation_id: int, where: Where, visit: int) -> None:
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
        if (waits := self.waits) is not None and not page.later:
            await self._show_asked(waits)
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
        self.attachments.put((*self.drafts.attached(self.conversation_id), *self.attachments.chips))
        self.prompt.put(draft if asked else draft + typed)
        if asked:
            await self._send(commands.literal(typed))

    async def _feed_missed(self) -> None:
        """What was streamed while the view of the running answer was being made."""
        if self.live is not None and (view := self._live_view(self.live)) is not None:
            if missed := self.live.text[len(view.plain_text) :]:
                await view.feed(missed)
            view.show_progress(self.live.progress)

    def _view(self, message: ShownMessage) -> MessageView:
        stored = message.stored
        if stored.role == "user":
            return QuestionView(stored.text, message_id=stored.id, facts=Facts.of(stored))
        live = self.live
        if live is not None and live.answer_id == stored.id:
            return AnswerView(
                live.text,
                message_id=stored.id,
                citations=live.citations,
                facts=replace(Facts.of(stored), quotes=live.quotes),
                model=message.model or self._services.model.selected,
                streaming=True,
            )
        view = AnswerView(
            stored.text,
            message_id=stored.id,
            citations=message.citations,
            facts=Facts.of(stored),
            model=message.model,
        )
        view.footer = answer_footer(
            stored.state,
            finish_reason=stored.finish_reason,
            error=stored.error,
            timings=stored.timings,
            citations=message.citations,
            asked_documents=message.asked_documents,
            from_documents=bool(stored.quotes and not view.has_words)
            or any(citation.used for citation in message.citations),
            left_out=message.left_out,
            compacted=message.compacted,
            searched_also=message.searched_also,
            check=stored.check,
            nearest=view.nearest,
        )
        return view

    @on(Transcript.EarlierWanted)
    def _load_earlier(self, event: Transcript.EarlierWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, Where(before=event.before), self.visit)

    @on(Transcript.LaterWanted)
    def _load_later(self, event: Transcript.LaterWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, Where(after=event.after), self.visit)

    @on(Transcript.FirstWanted)
    def _load_first(self, event: Transcript.FirstWanted) -> None:
        event.stop()
        self._load_page(self.conversation_id, FIRST, self.visit)

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
        if event.action not in ("prompt", "replay", "check", "nearest"):  # which are the screen's
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
        elif event.text.strip() and (hindrance := self._hindrance()):
            self.notify(f"{hindrance} Your text is kept.", markup=False)
        elif event.text.strip() and not self.attachments.ready:
            self._sends_when_read = True
            self.notify(
                "ragchat is still reading the file. It sends the question when it is done.",
                timeout=3,
                markup=False,
            )
        elif event.text.strip():
            plan, self.plan = self.plan, None
            self.prompt.put("")
            await self.changes.settled()
            await self._send(event.text, plan)

    # --- what goes with the next question -----------------------------------------------------------

    def attach(self, typed: str) -> None:
        """Have a file go with the next question; a path as it was typed. Raises UsageError, NotFoundError."""
        if not typed:
            self.notify("Type the path of a file: /attach PATH. Tab completes it.", timeout=4, markup=False)
            return
        path = existing_file(typed)
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
        waited = self.drafts.settle(event.path, event.attachment)
        if not waited and all(chip.path != event.path for chip in bar.chips):
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

    async def _send(self, text: str, plan: Plan | None = None) -> None:
        question = text.strip()
        if not question or self._hindrance():
            self.prompt.put(self.prompt.text + text)
            return
        chips = self.attachments.take()
        editing = self.editing
        request = Request("ask", question, parent_id=editing.parent_id if editing else None)
        self.prompt.remember(question)
        if editing is not None:
            self.begin(request, chips=chips, plan=plan)
            self.leave_editing()
            return
        live = self._prepared(request, chips, plan)
        if self.live is not None:
            self._let_wait(live)
            await self._show_asked(live)
            return
        await self._show_asked(live)
        self._run(live)

    def _hindrance(self) -> str:
        """Why nothing can be asked in this chat now; empty: it can, or it can wait."""
        if (waits := self.waits) is not None:
            return f"Your question is {waits.progress[:1].lower()}{waits.progress[1:]}"
        if self.live is not None and (self.showing(self.live) or self.editing is not None):
            return "An answer is being written. Press Esc to stop it."
        return ""

    async def _show_asked(self, live: LiveAnswer) -> None:
        """A question that is not stored yet, and the place of its answer."""
        shown = text_of(live.question, attachments=[chip.label for chip in live.chips])
        speaker = answered_by(live.model or self._services.model.selected, live.options.adapters)
        await self.transcript.add(QuestionView(shown), AnswerView("", model=speaker, streaming=True))
        self._show_live_progress(live)

    def begin(
        self, request: Request, *, chips: tuple[Chip, ...] = (), plan: Plan | None = None
    ) -> LiveAnswer:
        """Have something written; none may be running."""
        live = self._prepared(request, chips, plan)
        self._run(live)
        return live

    def _prepared(self, request: Request, chips: tuple[Chip, ...], plan: Plan | None = None) -> LiveAnswer:
        if self.options.model and not self.default_model:
            self.default_model = self._services.model.selected
        title = self.conversation.title if self.conversation else request.question
        return LiveAnswer(
            self.conversation_id,
            request,
            options=self.options,
            visit=self.visit,
            model=self.options.model or self.default_model,
            chips=chips,
            title=clean_line(title, limit=32) or "another chat",
            plan=plan,
        )

    def _run(self, live: LiveAnswer) -> None:
        self.live = live
        self.post_message(self.Busy(live))
        self._write(live)

    # --- questions that wait ------------------------------------------------------------------------

    @property
    def waits(self) -> LiveAnswer | None:
        """The question of this chat that waits for the answer in another."""
        return next((live for live in self.waiting.questions if self.showing(live)), None)

    def _let_wait(self, live: LiveAnswer) -> None:
        self.waiting.questions.append(live)
        self.waiting.tell(self.live)
        self.post_message(self.Busy(self.live))
        if not live.conversation_id:
            self._reserve(live)

    # Not exclusive: questions may wait in several new chats.
    @work(thread=True, exit_on_error=False, group="reserve", description="make the chat of a question")
    def _reserve(self, live: LiveAnswer) -> None:
        tasks.reserve_chat(self._services, live, self.post_message)

    @on(messages.ChatReserved)
    def _reserved(self, event: messages.ChatReserved) -> None:
        event.stop()
        live = event.live
        if self.showing(live):
            self.conversation_id = event.conversation_id
            self.drafts.drop(0)
        live.conversation_id = event.conversation_id
        self.post_message(self.Stored())
        self._run_next()

    def _run_next(self) -> None:
        """Have the question answered that has waited longest."""
        if self.live is None and (live := self.waiting.next()) is not None:
            live.progress = "Getting ready"
            self._run(live)
        self.waiting.tell(self.live)
        for live in (self.live, self.waits):
            if live is not None:
                self._show_live_progress(live)

    def withdraw(self) -> None:
        """Put the question that waits in this chat back into the prompt."""
        if (live := self.waits) is not None:
            self.waiting.questions.remove(live)
            self.waiting.tell(self.live)
            self.post_message(self.Busy(self.live))
            self.call_later(self._take_back, live)

    async def _take_back(self, live: LiveAnswer) -> None:
        await self._remove_asked(live)
        self.prompt.put("\n".join(part for part in (live.question, self.prompt.text) if part))
        self._attach_again(live)

    async def _remove_asked(self, live: LiveAnswer) -> None:
        if (view := self._live_view(live)) is not None:
            question = self.transcript.views[self.transcript.views.index(view) - 1]
            await self.transcript.remove_view(view)
            await self.transcript.remove_view(question)

    # --- a question that is written anew ------------------------------------------------------------

    def edit(
        self, question: str, parent_id: int, names: Sequence[str] = (), hits: Sequence[Hit] = ()
    ) -> None:
        """Put an earlier question into the prompt; sent, it begins a branch of its own.

        `names` of what was attached to it and the `hits` of its answer bring back what can be read again.
        """
        set_aside, chips = self.prompt.text, self.attachments.take()
        if self.editing is not None:
            set_aside, chips = self.editing.set_aside, self.editing.chips_aside
        self.editing = Editing(parent_id, set_aside, chips)
        self._bring_again(*brought_again(names, hits))
        line = self.query_one("#editing", Static)
        line.update(
            Content.assemble(
                Content.styled("✎ An earlier question", "$text-accent"),
                Content.styled(" · Enter sends it as a new branch · Esc cancels", "$foreground 62%"),
            )
        )
        line.display = True
        self.prompt.put(question)
        self.prompt.focus()

    def _bring_again(self, chips: tuple[Chip, ...], lost: tuple[str, ...]) -> None:
        """Attach what an earlier question had, and say what cannot be found again."""
        for chip in chips:
            self.attachments.add(chip)
            if not chip.ready:
                self._read_attachment(chip.path)
        if lost:
            names = clean_line(", ".join(lost), limit=80)
            self.notify(f"Not attached again: {names}. Attach it with Ctrl+T.", timeout=8, markup=False)

    def leave_editing(self) -> bool:
        """Put back what stood in the prompt before; whether a question was being written again."""
        if self.editing is None:
            return False
        self.prompt.put(self.editing.set_aside)
        self.attachments.put(self.editing.chips_aside)
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
        here = live.conversation_id == self.conversation_id
        return here if live.conversation_id else here and live.visit == self.visit

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
            case QueryUsed() | HitsFound() | QuotesFound():
                self._learn(live, said)
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
                self._over(live)
        if sentence := progress_sentence(said):
            live.progress = sentence
            self._show_live_progress(live)

    def _learn(self, live: LiveAnswer, said: QueryUsed | HitsFound | QuotesFound) -> None:
        """What the search has found."""
        match said:
            case QueryUsed():
                live.asked_documents = bool(said.knowledge_bases)
                live.searched_also = searched_also(said.recorded)
                if self.showing(live):
                    self.post_message(self.Asked(said.knowledge_bases))
            case HitsFound(hits=hits, relevant=relevant):
                live.nearest = () if relevant else nearest_passages(hits)
            case QuotesFound(quotes=quotes):
                live.quotes = quotes
                if view := self._live_view(live):
                    view.show_quotes(quotes)

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
        declined = said.kind in (AnswerKind.DECLINED, AnswerKind.UNMATCHED)
        live.citations = said.citations or (live.nearest if declined else ())
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
            searched_also=live.searched_also,
            check=said.check,
            nearest=to_look_at(said.quotes, live.citations, said.check),
        )
        facts = replace(
            view.facts,
            reasoning=said.reasoning,
            reasoning_s=said.reasoning_s,
            reasoning_tokens=said.reasoning_tokens,
            notice=said.notice,
            quotes=said.quotes,
            check=said.check,
        )
        view.citations = live.citations
        await view.finish(said.shown, footer, facts)
        self._show_citations(live)
        used = said.timings.prompt_tokens + said.timings.completion_tokens
        self.post_message(self.Measured(used=used, n_ctx=0, timings=said.timings))
        self.post_message(self.Answered(said.timings))

    @on(messages.AnswerFailed)
    async def _fail(self, event: messages.AnswerFailed) -> None:
        event.stop()
        live = event.live
        live.take()
        if live in self.waiting.questions:
            self.waiting.questions.remove(live)
        view = self._live_view(live)
        if live.stored:
            await self._show_failed(event, view)
        elif view is not None:
            await self._remove_asked(live)
            if not event.cancelled:
                await self.transcript.add(NoticeView(event.sentence, event.remedy))
            if not self.prompt.text and live.request.kind == "ask":
                self.prompt.put(live.question)
            self._attach_again(live)
        else:
            self._give_back(live)
            self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)

    async def _show_failed(self, event: messages.AnswerFailed, view: AnswerView | None) -> None:
        """The question is stored: what there is of the answer stays."""
        if view is not None:
            state = "cancelled" if event.cancelled else "error"
            await view.finish(
                view.plain_text, answer_footer(state, error=event.sentence, remedy=event.remedy)
            )
            return
        event.live.missed = self.showing(event.live)
        if not event.cancelled:
            self.notify(f"{event.sentence} {event.remedy}".strip(), severity="error", markup=False)

    def _give_back(self, live: LiveAnswer) -> None:
        """Nothing is stored, and the question is not on the screen: it becomes a draft again."""
        parent_id = live.request.parent_id
        if parent_id is not None and self.showing(live):
            self.edit(live.question, parent_id)
            self._attach_again(live)
        elif live.request.kind == "ask":
            self.drafts.hold(live.conversation_id, live.question)
            self._save_drafts()

    def _attach_again(self, live: LiveAnswer) -> None:
        for chip in live.chips:
            self.attachments.add(chip)

    @on(messages.AnswerEnded)
    def _end(self, event: messages.AnswerEnded) -> None:
        event.stop()
        self._over(event.live)

    def _over(self, live: LiveAnswer) -> None:
        """The answer is whole: keys are for it, and the next question may begin, whatever its worker still looks at."""
        if self.live is live:
            self.live = None
            if live.missed:  # it ended before it was on the screen
                self.reload(around=live.answer_id)
            self._run_next()
            self.post_message(self.Busy(self.live))
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
        self.post_message(self.Typed())
        if not self._opening:
            self._keep_draft()
            self._draft_timer.resume()

    def hold_typed(self) -> None:
        """Hold what is in the prompt, to be written before the end."""
        if not self._opening:
            self._keep_draft()
        elif self.prompt.text:
            self.drafts.hold_more(self.conversation_id, self.prompt.text)
        for live in self.waiting.questions:
            typed = live.conversation_id == self.conversation_id and self.prompt.text
            self.drafts.hold_more(live.conversation_id, f"\n{live.question}" if typed else live.question)
        self.waiting.questions.clear()  # nothing begins any more

    def _keep_draft(self) -> None:
        self.drafts.hold(self.conversation_id, self.prompt.text)

    def _save_changed_drafts(self) -> None:
        self._draft_timer.pause()
        self._save_drafts()

    # Not exclusive: a write that was asked for is never dropped.
    @work(thread=True, exit_on_error=False, group="draft", description="save what was typed")
    def _save_drafts(self) -> None:
        tasks.reporting(self._services, "saving what was typed", self.post_message, self.drafts.write)


def nearest_passages(hits: Sequence[Hit]) -> tuple[Citation, ...]:
    """What to look at where nothing is relevant."""
    return tuple(Citation(n, hit, hit.evidence, used=False) for n, hit in enumerate(hits[:_NEAREST], 1))
