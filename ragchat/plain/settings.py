"""Slash commands of the plain chat about what answers: documents, the model, sampling, presets, templates."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ragchat.app import commands
from ragchat.errors import NotFoundError, RagchatError, UsageError
from ragchat.text import clean, clean_line, human_bytes

if TYPE_CHECKING:
    from ragchat.app.commands import Typed
    from ragchat.plain.chat import PlainChat

_HITS = 5
_NO_ADAPTER = "No adapter was trained for this model; `ragchat finetune` makes one."


class PlainSettings:
    """Each method does one command. All raise RagchatError."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._console = chat, chat.console
        self._chats, self._services = chat.chats, chat.services
        self._models: Sequence[str] | None = None

    def search(self, typed: Typed) -> None:
        from ragchat.retrieval.search import Searcher

        if not typed.argument:
            raise UsageError("Say what to search for: /search WORDS.")
        with ExitStack() as stack:
            stores = [
                stack.enter_context(self._services.open_knowledge_base(name))
                for name in self._chat.knowledge_bases
            ]
            searcher = Searcher(stores, self._services.open_embedder() if stores else None)
            ranking = self._services.ask_options().ranking
            hits = searcher.search(typed.argument, _HITS, ranking=ranking).hits if stores else ()
        for hit in hits:
            evidence = clean_line(hit.evidence or hit.text, limit=400)
            self._console.say(f"{hit.rank}. {clean_line(hit.path)}, {hit.place}: {evidence}")
        if not hits:
            self._console.note("Nothing was found in the documents.")

    def attach(self, typed: Typed) -> None:
        if not typed.argument:
            raise UsageError("Say which file: /attach FILE.")
        attachment = self._services.read_attachment(Path(typed.argument).expanduser().absolute())
        self._chat.files.append(attachment)
        self._console.note(f"{attachment.name} goes with the next question.")

    def model_names(self) -> Sequence[str]:
        if self._models is None:
            self._models = [choice.name for choice in self._services.models() if choice.installed]
        return self._models

    def model(self, typed: Typed) -> None:
        model = self._services.model
        if not typed.argument:
            for choice in self._services.models():
                state = (
                    "in use"
                    if choice.name == model.selected
                    else "installed"
                    if choice.installed
                    else "to fetch"
                )
                size = human_bytes(choice.size_bytes)
                self._console.say(
                    clean_line(f"{choice.name}: {choice.title}, {size}, {state}. {choice.problem}")
                )
            return
        before, on = self._chat.options.model, self._chat.options.adapter
        chosen = "" if typed.argument == "default" else typed.argument
        if chosen:
            model.select(chosen)
        self._chat.change_options(model=chosen)
        if on and chosen != before:
            self._chat.change_options(adapter="")
            self._console.note(f"{clean_line(on)} belongs to the model before and is off.")
        self._console.note(f"This chat is answered by {clean_line(typed.argument)}.")

    def adapter_names(self) -> Sequence[str]:
        return [one.name for one in self._services.adapters("") if not one.problem]

    def adapter(self, typed: Typed) -> None:
        names = self.adapter_names()
        if typed.words:
            self._chat.change_options(adapter=commands.adapters(typed, names))
        else:
            for name in names:
                self._console.say(clean_line(name))
        on = self._chat.options.adapter
        self._console.note(f"Adapters that are on: {on or 'none'}." if names or on else _NO_ADAPTER)

    def knowledge(self, typed: Typed) -> None:
        known = {status.name: status for status in self._services.knowledge_bases()}
        if unknown := [name for name in typed.words if name not in (*known, "default", "none")]:
            there = ", ".join(known) or "none"
            raise NotFoundError(f"There is no knowledge base {unknown[0]!r}.", f"There are: {there}.")
        if "default" in typed.words:
            self._chat.change_options(knowledge_bases=None)
        elif typed.words:
            self._chat.change_options(knowledge_bases=tuple(name for name in typed.words if name != "none"))
        else:
            for name, status in known.items():
                self._console.say(
                    f"{clean_line(name)}: {status.indexed} document{'' if status.indexed == 1 else 's'}"
                )
        self._console.note(f"This chat asks: {', '.join(self._chat.knowledge_bases) or 'no documents'}.")

    def system(self, typed: Typed) -> None:
        if typed.argument:
            text = None if typed.argument == "default" else typed.argument
            self._chat.change_options(system_prompt=text)
        own = self._chat.options.system_prompt
        self._console.note(
            "The usual instructions." if own is None else "This chat has its own instructions:"
        )
        if own is not None:
            self._console.say(own)

    def set(self, typed: Typed) -> None:
        if not typed.argument:
            chosen = {name: getattr(self._chat.options, name) for name in commands.OPTIONS}
            said = ", ".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
            self._console.note(f"{said or 'As in the settings'}. /set temperature=0.2 sets one.")
            return
        self._chat.set_options(commands.with_options(self._chat.options, typed.argument))
        self._console.note(f"This chat: {clean_line(typed.argument)}.")

    def strict(self, typed: Typed) -> None:
        self._switch(typed, "strict", "Strict", "on: only answers from the documents")

    def think(self, typed: Typed) -> None:
        self._switch(typed, "thinking", "Thinking", "on, if the model can")

    def _switch(self, typed: Typed, name: str, title: str, on: str) -> None:
        wanted = {"on": True, "off": False, "default": None, "": not getattr(self._chat.options, name)}
        if typed.argument not in wanted:
            raise UsageError(f"/{typed.command} is on, off or default, not {typed.argument!r}.")
        value = wanted[typed.argument]
        self._chat.change_options(**{name: value})
        said = {True: on, False: "off", None: "as in the settings"}
        self._console.note(f"{title} is {said[value]}.")

    def preset(self, typed: Typed) -> None:
        what, _, name = typed.argument.partition(" ")
        name = clean_line(name)
        presets = dict(self._chats.presets())
        if not what:
            self._console.note(
                f"Presets: {', '.join(presets) or 'none'}. /preset save NAME keeps these settings."
            )
        elif what == "save" and name:
            self._chats.save_preset(name, self._chat.options)
            self._chat.set_options(replace(self._chat.options, preset=name))
            self._console.note(f"Kept as {name}.")
        elif what in ("use", "delete") and name not in presets:
            raise NotFoundError(
                f"There is no preset {name!r}.", f"There are: {', '.join(presets) or 'none'}."
            )
        elif what == "use":
            self._chat.set_options(replace(presets[name], preset=name))
            self._console.note(f"This chat uses {name} now.")
        elif what == "delete":
            self._chats.delete_preset(name)
            self._console.note(f"{name} is deleted.")
        else:
            raise UsageError("/preset save NAME, /preset use NAME, or /preset delete NAME.")

    def template(self, typed: Typed) -> None:
        from ragchat.session.templates import named

        templates, wrong = self._services.templates()
        for one in wrong:
            self._console.note(f"{one.path.name}: {one.reason}")
        if not typed.argument:
            for template in templates:
                fields = ", ".join(field.name for field in template.fields)
                self._console.say(clean_line(f"{template.name}: {template.meaning} (asks for: {fields})"))
            return
        chosen = named(templates, typed.argument)
        if chosen is None:
            raise NotFoundError(f"There is no template {typed.argument!r}.", "/template lists them.")
        values = {}
        for field in chosen.fields:
            usual = f" [{clean_line(field.default)}]" if field.default else ""
            line = self._console.read_line(f"{field.name}{usual}: ")
            if line is None:
                raise RagchatError("The input ended before the template was filled in.")
            values[field.name] = clean(line)
        filled = chosen.fill(values)
        self._console.say(filled)
        if self._console.confirm("Send it?"):
            self._chat.ask(filled)
