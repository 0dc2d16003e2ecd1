"""What workers tell the screen: facts in the past tense. A worker touches no widget, a handler opens no database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ragchat.app.models import ModelChoice
    from ragchat.session.events import SessionEvent, SummaryProgress
    from ragchat.session.sources import Attachment
    from ragchat.tui.live import LiveAnswer
    from ragchat.tui.shown import ChatPage, Found, OpenedDocument, Preview, ScopeNames, Where
    from ragchat.types import Citation, Conversation, KnowledgeBaseStatus, ModelInfo


class TroubleReported(Message):
    """Something failed; a sentence for the user and what to do about it."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__()
        self.sentence = sentence
        self.remedy = remedy


class NoticeGiven(Message):
    """Something the user should know of; nothing failed."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__()
        self.sentence = sentence
        self.remedy = remedy


class ChatsListed(Message):
    """The chats were read, in the order of the list, and the names of presets."""

    def __init__(self, conversations: list[Conversation], presets: list[str]) -> None:
        super().__init__()
        self.conversations = conversations
        self.presets = presets


class NamesListed(Message):
    """Models, templates and adapters that commands can name."""

    def __init__(self, models: list[str], templates: list[str], adapters: list[str]) -> None:
        super().__init__()
        self.models = models
        self.templates = templates
        self.adapters = adapters


class HistoryLoaded(Message):
    """What the user asked before, newest first."""

    def __init__(self, questions: list[str]) -> None:
        super().__init__()
        self.questions = questions


class PageLoaded(Message):
    """A stretch of a chat was read; `visit` says for which stay at the screen."""

    def __init__(self, page: ChatPage, *, visit: int, where: Where) -> None:
        super().__init__()
        self.page = page
        self.visit = visit
        self.where = where


class FoundInChat(Message):
    """Which messages of the branch that is shown hold the words, newest first."""

    def __init__(self, words: str, message_ids: list[int], *, visit: int) -> None:
        super().__init__()
        self.words = words
        self.message_ids = message_ids
        self.visit = visit


class PageFailed(Message):
    """A chat could not be read."""

    def __init__(self, sentence: str, remedy: str, *, visit: int) -> None:
        super().__init__()
        self.sentence = sentence
        self.remedy = remedy
        self.visit = visit


class AnswerAdvanced(Message):
    """Anything the session said except text."""

    def __init__(self, live: LiveAnswer, event: SessionEvent | SummaryProgress) -> None:
        super().__init__()
        self.live = live
        self.event = event


class ChatReserved(Message):
    """A chat was made for a question that waits."""

    def __init__(self, live: LiveAnswer, conversation_id: int) -> None:
        super().__init__()
        self.live = live
        self.conversation_id = conversation_id


class AnswerGrew(Message):
    """There is text to take from `live`; one such message represents any number of pieces."""

    def __init__(self, live: LiveAnswer) -> None:
        super().__init__()
        self.live = live


class AnswerFailed(Message):
    """`stored`: the question is in the database, and the error with it."""

    def __init__(self, live: LiveAnswer, sentence: str, remedy: str, *, cancelled: bool) -> None:
        super().__init__()
        self.live = live
        self.sentence = sentence
        self.remedy = remedy
        self.cancelled = cancelled


class AnswerEnded(Message):
    """Always the last word of an answer, however it went."""

    def __init__(self, live: LiveAnswer) -> None:
        super().__init__()
        self.live = live


class ModelLoadAdvanced(Message):
    """The model is loaded this far, 0 to 1."""

    def __init__(self, fraction: float, stage: str) -> None:
        super().__init__()
        self.fraction = fraction
        self.stage = stage


class ModelLoaded(Message):
    """`info` None: the load was cancelled."""

    def __init__(self, info: ModelInfo | None) -> None:
        super().__init__()
        self.info = info


class ModelFailed(Message):
    """The model was not loaded."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__()
        self.sentence = sentence
        self.remedy = remedy


class ModelsListed(Message):
    """The models to choose from were read."""

    def __init__(self, choices: list[ModelChoice]) -> None:
        super().__init__()
        self.choices = choices


class KnowledgeBasesListed(Message, bubble=False):
    """`default` is what a chat asks that has chosen nothing."""

    def __init__(self, statuses: list[KnowledgeBaseStatus], default: tuple[str, ...]) -> None:
        super().__init__()
        self.statuses = statuses
        self.default = default


class PullAdvanced(Message):
    """Bytes; `total` 0 and `eta_s` None while unknown."""

    def __init__(self, name: str, done: int, total: int, rate: float, eta_s: float | None) -> None:
        super().__init__()
        self.name = name
        self.done = done
        self.total = total
        self.rate = rate
        self.eta_s = eta_s


class PullEnded(Message):
    """`path` None: cancelled or failed; `sentence` says which."""

    def __init__(self, name: str, path: Path | None, sentence: str = "", remedy: str = "") -> None:
        super().__init__()
        self.name = name
        self.path = path
        self.sentence = sentence
        self.remedy = remedy


class TuneAdvanced(Message):
    """How far measuring a model is, 0 to 1, and what is measured."""

    def __init__(self, done: float, eta_s: float | None, doing: str) -> None:
        super().__init__()
        self.done = done
        self.eta_s = eta_s
        self.doing = doing


class TuneEnded(Message):
    """What was chosen for a model, or why it was not measured; `failed`: by an error, not by you."""

    def __init__(self, sentence: str, *, failed: bool = False) -> None:
        super().__init__()
        self.sentence = sentence
        self.failed = failed


class SyncAdvanced(Message):
    """A sync read `done` of `total` files; `rate` in files per second."""

    def __init__(self, name: str, done: int, total: int, path: str, rate: float, eta_s: float | None) -> None:
        super().__init__()
        self.name = name
        self.done = done
        self.total = total
        self.path = path
        self.rate = rate
        self.eta_s = eta_s


class SyncEnded(Message):
    """`status` None: failed, and `sentence` says why; otherwise it says what came in."""

    def __init__(
        self,
        name: str,
        status: KnowledgeBaseStatus | None,
        sentence: str,
        remedy: str = "",
        *,
        cancelled: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.status = status
        self.sentence = sentence
        self.remedy = remedy
        self.cancelled = cancelled


class SearchFinished(Message):
    """What the newest query found, or an older one that was overtaken."""

    def __init__(self, found: Found) -> None:
        super().__init__()
        self.found = found


class ScopeNamesRead(Message):
    """What may stand behind `in:`, `file:` and `kb:` in a search was read."""

    def __init__(self, names: ScopeNames) -> None:
        super().__init__()
        self.names = names


class PreviewRead(Message):
    """The passage under the cursor was read."""

    def __init__(self, preview: Preview) -> None:
        super().__init__()
        self.preview = preview


class AttachmentRead(Message):
    """A file that was to be attached was read, or (`attachment` None) could not be, as `sentence` says."""

    def __init__(
        self, path: Path, attachment: Attachment | None, sentence: str = "", remedy: str = ""
    ) -> None:
        super().__init__()
        self.path = path
        self.attachment = attachment
        self.sentence = sentence
        self.remedy = remedy


class KnowledgeBaseRead(Message):
    """One knowledge base with all its files, held against the disk; `languages` those of its documents."""

    def __init__(self, status: KnowledgeBaseStatus, languages: tuple[str, ...]) -> None:
        super().__init__()
        self.status = status
        self.languages = languages


class UpkeepAdvanced(Message):
    """What the quiet work behind the chat did: knowledge bases were brought up to date, or are being watched.

    `changed`: what `name` holds is not what it was; `sentence` says it in short, or is empty.
    """

    def __init__(self, name: str, sentence: str = "", *, changed: bool = False) -> None:
        super().__init__()
        self.name = name
        self.sentence = sentence
        self.changed = changed


class WatchEnded(Message):
    """A knowledge base is no longer watched; `sentence` says why, unless the user wanted it so."""

    def __init__(self, name: str, sentence: str = "", remedy: str = "") -> None:
        super().__init__()
        self.name = name
        self.sentence = sentence
        self.remedy = remedy


class DocumentOpened(Message):
    """A document was read for its screen."""

    def __init__(self, document: OpenedDocument) -> None:
        super().__init__()
        self.document = document


class RowsWrapped(Message):
    """A document was laid out for a width."""

    def __init__(self, rows: object, width: int) -> None:
        super().__init__()
        self.rows = rows
        self.width = width


class EditTargetReady(Message):
    """A file that an editor can open; `note` says what is special about it. `then` runs when the editor has ended well."""

    def __init__(self, path: Path, line: int, note: str, *, then: Callable[[], object] | None = None) -> None:
        super().__init__()
        self.path = path
        self.line = line
        self.note = note
        self.then = then


class SourceChosen(Message):
    """Enter (`action` "view"), `e` ("edit") or `y` ("copy") on a source."""

    def __init__(self, citation: Citation, action: str) -> None:
        super().__init__()
        self.citation = citation
        self.action = action


class LinksCalled(Message):
    """A link in an answer was pressed, or all of its links were asked for. Nothing has been opened."""

    def __init__(self, hrefs: list[str]) -> None:
        super().__init__()
        self.hrefs = hrefs
