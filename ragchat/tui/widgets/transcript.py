"""The turns of a chat and the keys for them: moving, finding, selecting, copying, and requests that others grant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual import events, on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, TextArea

from ragchat.text import counted
from ragchat.tui.messages import LinksCalled
from ragchat.tui.screens.dialog import Line
from ragchat.tui.widgets.message import (
    AnswerView,
    MessageView,
    QuestionView,
    found_pattern,
    selected_markdown,
)
from ragchat.tui.widgets.text_cursor import TextCursor
from ragchat.tui.widgets.window import MessageWindow

_STEP = 3
_REQUESTS = (
    ("e", "edit", "Edit", True),
    ("r", "regenerate", "Regenerate", True),
    ("c", "continue", "Continue this answer", False),
    ("h,left", "branch_previous", "Previous branch", False),
    ("l,right", "branch_next", "Next branch", False),
    ("f", "fork", "Fork the chat here", False),
    ("d", "delete_turn", "Delete this turn", False),
    ("u", "undo", "Undo the deletion", False),
    ("+,plus", "rate_good", "Good answer", False),
    ("-,b,minus", "rate_bad", "Bad answer", False),
    ("w", "correct", "Correct this answer", False),
    ("E,shift+e", "question", "Keep as an evaluation question", False),
    ("p", "prompt", "The prompt of this answer", False),
    ("R,shift+r", "replay", "Replay this answer", False),
    ("q", "nearest", "Open what the documents say", False),
)
_ANSWERS_ONLY = {
    *("regenerate", "continue", "rate_good", "rate_bad", "correct"),
    *("question", "prompt", "replay", "check", "nearest"),
}
_WHILE_WRITING = {"prompt", "nearest"}


class FindLine(Line):
    """The words to look for in this chat."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", id="transcript.find_leave", show=False)
    ]

    def action_leave(self) -> None:
        parent = self.parent
        self.remove()
        if isinstance(parent, Widget):
            parent.focus()


class Transcript(MessageWindow):
    """Follows the end while it is at the end; scrolling up lets go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "previous", "Previous message", id="transcript.previous", show=False),
        Binding("down,j", "next", "Next message", id="transcript.next", show=False),
        Binding("home,g", "first", "First message", id="transcript.first", show=False),
        Binding("end,G,shift+g", "last", "Last message", id="transcript.last", show=False),
        Binding("ctrl+d", "half_page(1)", "Half a page down", id="transcript.half_down", show=False),
        Binding("ctrl+u", "half_page(-1)", "Half a page up", id="transcript.half_up", show=False),
        Binding(
            "i",
            "request('check')",
            "Check",
            id="transcript.check",
            tooltip="Why each statement of this answer has its mark",
        ),
        Binding("slash", "find", "Find in this chat", id="transcript.find", key_display="/"),
        Binding("n", "next_found", "Next match", id="transcript.next_found", show=False),
        Binding("N,shift+n", "previous_found", "Previous match", id="transcript.previous_found", show=False),
        Binding("v", "select_text", "Select text in this message", id="transcript.select_text", show=False),
        Binding("V,shift+v", "mark", "Select messages", id="transcript.mark", show=False),
        Binding("escape", "unmark", "End the selection", id="transcript.unmark", show=False),
        Binding("y", "copy", "Copy", id="transcript.copy"),
        Binding("Y,shift+y", "copy_code", "Copy a code block", id="transcript.copy_code", show=False),
        Binding("s", "save_code", "Save a code block", id="transcript.save_code", show=False),
        Binding("x", "copy_cited", "Copy with sources", id="transcript.copy_cited", show=False),
        Binding("enter", "sources", "Sources", id="transcript.sources"),
        Binding("o", "links", "Links", id="transcript.links", show=False),
        Binding("a", "reuse", "Ask again", id="transcript.reuse", show=False),
        Binding("t", "reasoning", "Show or hide the reasoning", id="transcript.reasoning", show=False),
        Binding("m", "words", "Show or hide struck-out words", id="transcript.words", show=False),
        *[
            Binding(keys, f"request('{action}')", description, id=f"transcript.{action}", show=show)
            for keys, action, description, show in _REQUESTS
        ],
        *[
            Binding(str(n), f"source({n})", f"Source {n}", id=f"transcript.source_{n}", show=False)
            for n in range(1, 10)
        ],
    ]

    class Copied(Message):
        """Text for the clipboard; `what` says what it is, when that is not plain."""

        def __init__(self, text: str, what: str = "") -> None:
            super().__init__()
            self.text = text
            self.what = what

    class SourceCalled(Message):
        """The number of a source was pressed; 0: just the sources."""

        def __init__(self, n: int) -> None:
            super().__init__()
            self.n = n

    class Reused(Message):
        """The question of the selected turn shall come back into the prompt."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    class Requested(Message):
        """What the user wants done about a turn; only "undo" may have none."""

        def __init__(self, action: str, view: MessageView | None) -> None:
            super().__init__()
            self.action = action
            self.view = view

    class FindWanted(Message):
        """These words are to be found in this chat; the answer is `take_found`."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self, empty: Widget) -> None:
        super().__init__(empty)
        self._marked_from: MessageView | None = None
        self._found_ids: list[int] = []
        self._found_at = 0
        self._text_of: MessageView | None = None

    async def show(
        self, views: Iterable[MessageView], *, earlier: int, later: int = 0, select: int = 0
    ) -> None:
        """Replace everything. Select the turn `select` and go there, or (0) the last one."""
        self._marked_from = None
        self._close_text()
        await super().show(views, earlier=earlier, later=later, select=select)

    def may_go(self, view: MessageView) -> bool:
        return super().may_go(view) and self._marked_from is None and view is not self._text_of

    # --- selection ----------------------------------------------------------------------------------

    def select(self, view: MessageView | None) -> None:
        """Mark a turn, without moving."""
        super().select(view)
        if self._marked_from is not None:
            self._show_marked()

    def action_previous(self) -> None:
        self._move(-1)

    def action_next(self) -> None:
        self._move(+1)

    def _move(self, step: int) -> None:
        views = self.views
        if not views:
            return
        current = self.selected or views[-1]
        top, bottom = self.span_of(current) or (0, 0)
        first, last = round(self.scroll_y), round(self.scroll_y) + self.size.height
        # A turn longer than the window is read first, then left.
        if step > 0 and bottom > last:
            self.scroll_relative(y=_STEP, animate=False)
        elif step < 0 and top < first:
            self.scroll_relative(y=-_STEP, animate=False)
        else:
            index = views.index(current) + step
            if 0 <= index < len(views):
                self._select_and_show(views[index], at_top=step > 0)
            elif index < 0:
                self.scroll_home(animate=False)

    def _select_and_show(self, view: MessageView, *, at_top: bool) -> None:
        self.select(view)
        top, bottom = self.span_of(view) or (0, 0)
        height, first = self.size.height, round(self.scroll_y)
        if view is self.views[-1] and bottom - top <= height:
            self.scroll_to(y=self.max_scroll_y, animate=False)
        elif bottom - top > height:
            self.scroll_to(y=top if at_top else bottom - height, animate=False)
        elif top < first or bottom > first + height:
            self.scroll_to(y=top if top < first else bottom - height, animate=False)

    def action_first(self) -> None:
        self.go_to_first()

    def action_last(self) -> None:
        self.go_to_last()

    def action_half_page(self, step: int) -> None:
        """Scroll half a page; the turn in the middle of the window is selected."""
        self.scroll_relative(y=step * max(1, self.size.height // 2), animate=False)
        middle = round(self.scroll_y) + self.size.height // 2
        spans = ((self.span_of(view), view) for view in self.views)
        at = next((view for span, view in spans if span and span[0] <= middle < span[1]), None)
        if at is not None and at is not self.selected:
            self.select(at)

    @on(events.Click)
    def _select_clicked(self, event: events.Click) -> None:
        widget: Widget | None = event.widget
        while widget is not None and widget is not self:
            if isinstance(widget, MessageView):
                self.select(widget)
                return
            widget = widget.parent if isinstance(widget.parent, Widget) else None

    # --- finding ------------------------------------------------------------------------------------

    def action_find(self) -> None:
        if not self.query_children(FindLine):
            line = FindLine(placeholder="Find in this chat")
            self.mount(line)
            line.focus()

    @on(Input.Submitted)
    def _take_words(self, event: Input.Submitted) -> None:
        event.stop()
        event.input.remove()
        self.focus()
        if words := event.value.strip():
            self.post_message(self.FindWanted(words))
        else:
            self.clear_found()

    @on(Input.Changed)
    @on(TextArea.Changed)
    @on(TextArea.SelectionChanged)
    def _keep(self, event: Message) -> None:
        event.stop()  # it is nobody's business outside

    def take_found(self, words: str, message_ids: Sequence[int]) -> None:
        """What a search for `words` in this chat found: mark the words, go to the nearest before the selected turn."""
        self._pattern = found_pattern(words)
        for view in self.views:
            view.highlight(self._pattern)
        self._found_ids = sorted(set(message_ids))
        if not self._found_ids:
            self.notify("No message in this chat contains these words.", timeout=2, markup=False)
            return
        here = self.selected.message_id if self.selected is not None else 0
        before = [index for index, found in enumerate(self._found_ids) if found <= here]
        self._go_to_found(before[-1] if before and here else len(self._found_ids) - 1)

    def leave_find(self) -> None:
        """Close the line that asks what to find; another chat is shown."""
        self.query_children(FindLine).remove()

    def clear_found(self) -> None:
        """Forget what was found."""
        self._found_ids, self._pattern = [], None
        for view in self.views:
            view.highlight(None)

    def action_next_found(self) -> None:
        self._step_found(+1)

    def action_previous_found(self) -> None:
        self._step_found(-1)

    def _step_found(self, step: int) -> None:
        if self._found_ids:
            self._go_to_found((self._found_at + step) % len(self._found_ids))
        else:
            self.notify(
                "Press / to find words in this chat, then n and N to move between matches.",
                timeout=2,
                markup=False,
            )

    def _go_to_found(self, index: int) -> None:
        self._found_at = index
        self.notify(f"{index + 1} of {len(self._found_ids)}", timeout=1.5, markup=False)
        if not self.show_message(self._found_ids[index]):
            self.post_message(self.MessageWanted(self._found_ids[index]))

    # --- copying ------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "unmark":
            return self._marked_from is not None
        return super().check_action(action, parameters)

    def action_mark(self) -> None:
        """Begin to select whole turns, or end it."""
        if self._marked_from is None and self.selected is not None:
            self._marked_from = self.selected
            self._show_marked()
        else:
            self.action_unmark()

    def action_unmark(self) -> None:
        self._marked_from = None
        self._show_marked()

    @property
    def marked(self) -> list[MessageView]:
        """The turns that are selected together."""
        views = self.views
        if self._marked_from not in views or self.selected not in views:
            return []
        first, last = sorted((views.index(self._marked_from), views.index(self.selected)))
        return views[first : last + 1]

    def _show_marked(self) -> None:
        marked = self.marked
        for view in self.views:
            view.set_class(view in marked, "-marked")

    def action_copy(self) -> None:
        if marked := self.marked:
            said = f"{counted(len(marked), 'message')}"
            self.post_message(self.Copied(selected_markdown(marked), said))
            self.action_unmark()
        elif self.selected is not None:
            self.post_message(self.Copied(self.selected.copied, self.selected.name_of_text))

    def action_copy_cited(self) -> None:
        if answer := self._answer():
            self.post_message(self.Copied(answer.with_sources(), "The answer with its sources"))

    def action_copy_code(self) -> None:
        from ragchat.tui.screens.code_choice import choose_code

        if answer := self._answer():
            choose_code(
                self.app,
                "Choose a code block to copy",
                answer.code_blocks,
                lambda block: self.post_message(self.Copied(block.code, "The code")),
            )

    def action_save_code(self) -> None:
        from ragchat.tui.screens.code_choice import choose_code, save_code

        if answer := self._answer():
            app = self.app
            choose_code(app, "Choose a code block to save", answer.code_blocks, lambda b: save_code(app, b))

    def action_select_text(self) -> None:
        """Turn the selected turn into a text with a cursor."""
        view = self.selected
        if view is None or self._text_of is not None:
            return
        if view.streaming:
            self.notify("The model is still writing the answer.", timeout=2, markup=False)
            return
        self._text_of = view
        view.display = False
        cursor = TextCursor(view.copied)
        self.mount(cursor, after=view)
        cursor.focus()

    @on(TextCursor.Left)
    def _leave_text(self, event: TextCursor.Left) -> None:
        event.stop()
        self.focus()
        self._close_text()
        if event.text:
            self.post_message(self.Copied(event.text))

    def _close_text(self) -> None:
        self.query_children(TextCursor).remove()
        if self._text_of is not None:
            self._text_of.display = True
            self._text_of = None

    # --- about a turn -------------------------------------------------------------------------------

    def answer_to(self, view: MessageView | None) -> AnswerView | None:
        """The answer to a question that is shown, an answer itself; None where there is none."""
        views = self.views
        if isinstance(view, QuestionView) and view in views:
            view = next(iter(views[views.index(view) + 1 :]), None)
        return view if isinstance(view, AnswerView) else None

    def _answer(self) -> AnswerView | None:
        """The selected answer, or the one to the selected question; says so when there is none."""
        if answer := self.answer_to(self.selected):
            return answer
        self.notify("There is no answer here.", timeout=2, markup=False)
        return None

    def _question(self) -> QuestionView | None:
        """The selected question, or that of the selected answer."""
        views = self.views
        if self.selected not in views:
            return None
        upto = views[: views.index(self.selected) + 1]
        return next((view for view in reversed(upto) if isinstance(view, QuestionView)), None)

    def action_request(self, action: str) -> None:
        """Tell the pane what the user wants."""
        view: MessageView | None = self.selected
        if action == "undo":
            self.post_message(self.Requested(action, view))
            return
        if action in _ANSWERS_ONLY:
            view = self._answer()
        elif action == "edit":
            view = self._question()
        if view is None:
            return
        if view.streaming and action not in _WHILE_WRITING:
            self.notify("The model is writing an answer. Press Esc to stop it.", timeout=2, markup=False)
        elif action.startswith("branch_") and len(view.facts.siblings) < 2:
            self.notify("There is no other branch here.", timeout=1.5, markup=False)
        elif view.message_id:
            self.post_message(self.Requested(action, view))

    def action_reasoning(self) -> None:
        if (answer := self._answer()) and answer.has_reasoning:
            answer.toggle_reasoning()
        elif answer:
            self.notify("The model wrote no reasoning for this answer.", timeout=2, markup=False)

    def action_words(self) -> None:
        if (answer := self._answer()) and not answer.toggle_words():
            self.notify("No part of this answer is hidden.", timeout=2, markup=False)

    def action_sources(self) -> None:
        self.post_message(self.SourceCalled(0))

    def action_source(self, n: int) -> None:
        self.post_message(self.SourceCalled(n))

    def action_links(self) -> None:
        if isinstance(self.selected, AnswerView) and (hrefs := self.selected.links):
            self.post_message(LinksCalled(hrefs))
        else:
            self.notify("There is no link in this message.", timeout=2, markup=False)

    def action_reuse(self) -> None:
        if question := self._question():
            self.post_message(self.Reused(question.plain_text))
