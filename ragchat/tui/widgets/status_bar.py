"""The two lowest lines: what is in use and what it costs, and the keys that matter where the user is."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.binding import ActiveBinding, Binding
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from ragchat.text import clean_line
from ragchat.tui.state import JobState, ModelState, UsageState


class StatusBar(Widget):
    """Model, knowledge bases and running work on the left; context, speed and time to first token on the right."""

    model: reactive[ModelState] = reactive(ModelState())
    adapters: reactive[str] = reactive("")
    """Those that are on in the chat; empty: none."""
    knowledge: reactive[str] = reactive("")
    usage: reactive[UsageState] = reactive(UsageState())
    watching: reactive[bool] = reactive(False)
    stale: reactive[bool] = reactive(False)
    """The newest verdict of an evaluation no longer holds."""
    jobs: reactive[tuple[JobState, ...]] = reactive(())
    answering: reactive[str] = reactive("")
    """What is being written, and where, and how to stop it; empty: nothing."""

    def render(self) -> RenderResult:
        width = max(1, self.content_size.width)
        # Each with what must go before it does when there is no room: the first of the highest number.
        facts = [
            (0, model_content(self.model, limit=max(12, width // 3))),
            (3, Content(clean_line(self.knowledge, limit=max(10, width // 3)))),
        ]
        if self.adapters:
            adapters = f"+ {clean_line(self.adapters, limit=24)}"
            facts.insert(1, (1, Content.styled(adapters, "$text-accent")))
        if self.watching:
            facts.append((5, Content.styled("watching", "$foreground 62%")))
        if self.stale:
            facts.append((6, Content.styled("verdict out of date: F11", "$text-warning")))
        facts += [(4, Content.styled(job.short, "$text-accent")) for job in self.jobs]
        if self.answering:
            facts.append((2, Content.styled(clean_line(self.answering, limit=44), "$text-accent")))
        right = [Content.styled(fact, "$foreground 62%") for fact in self.usage.facts]
        while right and _length([part for _, part in facts]) + _length(right) + 2 > width:
            right.pop()
        while len(facts) > 1 and _length([part for _, part in facts]) > width:
            facts.remove(max(facts, key=lambda fact: fact[0]))
        left = [part for _, part in facts]
        separator = Content.styled(" · ", "$foreground 42%")
        begin, end = separator.join(left), separator.join(right)
        if begin.cell_length > width:
            return begin.truncate(width, ellipsis=True)
        return Content.assemble(
            begin, Content(" " * max(0, width - begin.cell_length - end.cell_length)), end
        )


def _length(parts: list[Content]) -> int:
    return sum(part.cell_length for part in parts) + 3 * max(0, len(parts) - 1)


def model_content(state: ModelState, *, limit: int) -> Content:
    """The model and what it is doing."""
    name = clean_line(state.name, limit=limit)
    match state.phase:
        case "none":
            return Content.styled("no model: F2", "$text-warning")
        case "loading":
            return Content.assemble(
                Content.styled("◌ ", "$text-accent"), f"{name} loading {state.fraction:.0%}"
            )
        case "measuring":
            return Content.assemble(
                Content.styled("◌ ", "$text-accent"), f"{name} measuring {state.fraction:.0%}"
            )
        case "failed":
            return Content.styled(f"✗ {name} did not load: F2", "$text-error")
        case "suspect":
            return Content.styled(f"! {name} not loaded: F2", "$text-warning")
        case "ready":
            return Content.assemble(Content.styled("● ", "$text-success"), name)
        case _:
            return Content.assemble(Content.styled("○ ", "$foreground 62%"), name)


_ALWAYS = (
    "app.help",
    "app.model",
    "chat.knowledge",
    "app.add_documents",
    "chat.new",
    "chat.search",
    "app.quit",
)
"""Over the chat, in this order, wherever the focus is."""
_MOST_LOCAL = 4
"""Keys that are shown beside these: what is bound where the focus is."""
_GAP = "   "


class KeyHints(Widget):
    """A few bindings, from the live keymap. Over the chat they are always the same, and what works where the focus is follows at
    the right end, where there is room. A screen that was opened on top shows its own, and the help.
    """

    def on_mount(self) -> None:
        """Draw again when the focus has moved."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def render(self) -> RenderResult:
        """One line; what does not fit is left out from the end."""
        width = self.content_size.width
        if self.screen is not self.app.screen_stack[0]:
            return _fitting(self._hints(self._own()), width)
        line = _fitting(self._hints(self._always()), width)
        here = _fitting(self._hints(self._local()), width - line.cell_length - 2 * len(_GAP))
        gap = width - line.cell_length - here.cell_length
        return Content.assemble(line, " " * gap, here) if here else line

    def _active(self) -> list[ActiveBinding]:
        """Those that have a description, those of the focus first and the app's last."""
        places = {self.app: 2, self.screen: 1}
        bindings = [active for active in self.screen.active_bindings.values() if active.binding.description]
        return sorted(bindings, key=lambda active: places.get(active.node, 0))

    def _always(self) -> list[Binding]:
        bindings = [active.binding for active in self._active()]
        return [binding for name in _ALWAYS for binding in bindings if binding.id == name]

    def _local(self) -> list[Binding]:
        """What is bound where the focus is, inside of the screen."""
        beyond = (self.app, self.screen)
        found = [
            active.binding
            for active in self._active()
            if active.node not in beyond and active.binding.show and active.enabled
        ]
        return found[:_MOST_LOCAL]

    def _own(self) -> list[Binding]:
        """What a screen on top of the chat has bound, and the help."""
        return [
            active.binding
            for active in self._active()
            if active.enabled
            and (active.binding.show if active.node is not self.app else active.binding.id == "app.help")
        ]

    def _hints(self, bindings: Sequence[Binding]) -> list[Content]:
        """Each key with what it does. Of several keys for one action the F key is shown, else the first."""
        keys: dict[str, str] = {}
        for binding in bindings:
            key = self.app.get_key_display(binding)
            if binding.description not in keys or key.startswith("F"):
                keys[binding.description] = key
        return [
            Content.assemble(
                Content.styled(key, "$text-primary bold"), Content.styled(f" {name}", "$foreground 62%")
            )
            for name, key in keys.items()
        ]


def _fitting(hints: Sequence[Content], width: int) -> Content:
    """As many as fit on one line."""
    line = Content("")
    for hint in hints:
        longer = Content(_GAP).join([part for part in (line, hint) if part])
        if longer.cell_length > width:
            break
        line = longer
    return line
