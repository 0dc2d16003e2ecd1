"""Slash commands of the plain chat about what answers: documents, the model, sampling, presets, templates."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from ragchat.app import commands
from ragchat.app.typed_paths import existing_file
from ragchat.errors import NotFoundError, RagchatError, UsageError
from ragchat.text import clean, clean_line, counted, human_bytes
from ragchat.types import AdapterScale

if TYPE_CHECKING:
    from ragchat.app.commands import Typed
    from ragchat.app.open_chat import NeedsInput
    from ragchat.plain.chat import PlainChat

_HITS = 5
_NO_ADAPTER = "There is no adapter for this model. Train one with `ragchat finetune`."


class PlainSettings:
    """Each method does one command. All raise RagchatError."""

    def __init__(self, chat: PlainChat) -> None:
        self._chat, self._console = chat, chat.console
        self._chats, self._services = chat.chats, chat.services

    def search(self, typed: Typed) -> None:
        """Show the hits of a search, without a model."""
        if not typed.argument:
            raise UsageError("Type what to search for: /search WORDS.")
        with ExitStack() as stack:
            stores = [
                stack.enter_context(self._services.documents.open(name))
                for name in self._chat.knowledge_bases
            ]
            searcher = self._services.documents.searcher(stores)
            ranking = self._services.ask_options().ranking
            hits = searcher.search(typed.argument, _HITS, ranking=ranking).hits if stores else ()
        for hit in hits:
            evidence = clean_line(hit.evidence or hit.text, limit=400)
            self._console.say(f"{hit.rank}. {clean_line(hit.path)}, {hit.place}: {evidence}")
        if not hits:
            self._console.note("No passages found.")

    def attach(self, typed: Typed) -> None:
        """Attach a file to the next question."""
        if not typed.argument:
            raise UsageError("Type the path of a file: /attach FILE.")
        attachment = self._services.documents.read_attachment(existing_file(typed.argument))
        self._chat.files.append(attachment)
        self._console.note(f"{attachment.name} is attached to the next question.")

    @functools.cached_property
    def model_names(self) -> Sequence[str]:
        """The installed models, for completion."""
        return self._services.models.names()

    def tell(self, needed: NeedsInput) -> None:  # noqa: C901
        """What a command shows that was typed alone: how it is now, and what there is to choose from."""
        said, note = self._console.say, self._console.note
        options = self._chat.options
        match needed.what:
            case "title":
                note(f"This chat is called: {needed.text}")
            case "tags":
                note(f"Tags: {needed.text or 'none'}.")
            case "model":
                self._list_models()
            case "adapter":
                self._list_adapters(AdapterScale.join(options.adapters))
            case "knowledge bases":
                for status in self._services.documents.statuses():
                    said(clean_line(f"{status.name}: {counted(status.indexed, 'document')}"))
                note(f"This chat asks: {', '.join(self._chat.knowledge_bases) or 'no documents'}.")
            case "instructions" if options.system_prompt is None:
                note("This chat has the default instructions.")
            case "instructions":
                note("This chat has its own instructions:")
                said(needed.text)
            case "sampling":
                chosen = {name: getattr(options, name) for name in commands.OPTIONS}
                listed = ", ".join(f"{name}={value}" for name, value in chosen.items() if value is not None)
                note(f"{listed or 'As in the settings'}. Change one with /set temperature=0.2.")
            case "preset":
                note(f"Presets: {needed.text or 'none'}. Save these settings with /preset save NAME.")

    def _list_models(self) -> None:
        for choice in self._services.models.choices():
            in_use = choice.name == self._services.model.selected
            state = "in use" if in_use else "installed" if choice.installed else "to download"
            size = human_bytes(choice.size_bytes)
            self._console.say(clean_line(f"{choice.name}: {choice.title}, {size}, {state}. {choice.problem}"))

    def _list_adapters(self, on: str) -> None:
        names = self._services.models.adapter_names(self._chat.options.model)
        for name in names:
            self._console.say(clean_line(name))
        self._console.note(f"Adapters: {on or 'none'}." if names or on else _NO_ADAPTER)

    def template(self, typed: Typed) -> None:
        """Begin the next question from a template."""
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
            raise NotFoundError(f"There is no template called {typed.argument!r}.", "/template lists them.")
        values = {}
        for field in chosen.fields:
            usual = f" [{clean_line(field.default)}]" if field.default else ""
            line = self._console.read_line(f"{field.name}{usual}: ")
            if line is None:
                raise RagchatError("The input ended before all fields had a value.")
            values[field.name] = clean(line)
        filled = chosen.fill(values)
        self._console.say(filled)
        if self._console.confirm("Send it?"):
            self._chat.ask(filled)
