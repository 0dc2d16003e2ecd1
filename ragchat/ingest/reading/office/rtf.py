"""RTF: all that a user sees of it, in order, with notes, comments and boxes behind the paragraph that refers to them.

One pass over the file: groups stand on a stack, and what holds no text is passed over whole.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ragchat.errors import IngestError
from ragchat.ingest.reading.builder import DocumentBuilder
from ragchat.ingest.reading.mail.outlook_rtf import html_in_rtf
from ragchat.ingest.reading.office.flow import (
    DEEPEST,
    Block,
    Line,
    add_code,
    all_after,
    flat_text,
    is_code_style,
    mark_first,
    numeral,
    write_blocks,
)
from ragchat.ingest.reading.office.rtf_source import (
    Font,
    Groups,
    default_codec,
    fonts,
    is_wide,
    number_of,
    plain_text,
    styles,
    tokens,
    uses,
    white_colours,
    without_binary,
)
from ragchat.ingest.reading.office.rtf_tables import Budget, RowDefinition, Table
from ragchat.ingest.reading.office.symbols import symbol
from ragchat.ingest.reading.office.word import PAGE_FIELDS, PAGE_WORDS, equation, heading_level
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

_MEDIA_TYPE = "application/rtf"
_DEEPEST_TABLE = 20
_DEEPEST_GROUP = 20_000


def read_rtf(data: bytes) -> ExtractedText:
    """The text of an RTF file, or of the web page that is wrapped in it. Raises IngestError."""
    data = (
        data[data.find(b"{", 0, 1000) :] if data[:1000].lstrip(b"\xef\xbb\xbf\0 \t\r\n")[:1] == b"{" else data
    )
    if not data.startswith(b"{\\rtf"):
        raise IngestError(Reason.DAMAGED)
    if page := html_in_rtf(data).strip():
        from ragchat.ingest.reading.web.page import read_html

        return replace(read_html(page), media_type=_MEDIA_TYPE)
    reader = _Reader(data)
    if not reader.read():
        reader = _Reader(data, careful=True)
        reader.read()
        reader.builder.leave_out(LeftOutKind.REST, "braces do not match")
    return reader.written()


# --- state ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Look:
    """What of the look of characters makes a difference. `is_special`: they are not just added to the line."""

    font: Font
    is_hidden: bool = False
    is_deleted: bool = False
    is_moved: bool = False
    is_raised: bool = False
    is_white: bool = False
    is_tiny: bool = False
    is_shaded: bool = False
    is_special: bool = False

    def copied(self) -> _Look:
        return _Look(
            self.font,
            self.is_hidden,
            self.is_deleted,
            self.is_moved,
            self.is_raised,
            self.is_white,
            self.is_tiny,
            self.is_shaded,
            self.is_special,
        )


@dataclass(slots=True)
class _Paragraph:
    """What is known of a paragraph before it ends. `table`: how deep in tables it stands, `outline` None: not said."""

    style: int = 0
    outline: int | None = None
    in_table: bool = False
    table: int = 0
    is_listed: bool = False
    list_level: int = 0
    is_shaded: bool = False
    is_drop_cap: bool = False

    def copied(self) -> _Paragraph:
        return _Paragraph(
            self.style,
            self.outline,
            self.in_table,
            self.table,
            self.is_listed,
            self.list_level,
            self.is_shaded,
            self.is_drop_cap,
        )

    @property
    def depth(self) -> int:
        return min(self.table, _DEEPEST_TABLE) or int(self.in_table)


class _Group(NamedTuple):
    """What holds again when a group ends. `first` is the place of its brace."""

    look: _Look
    paragraph: _Paragraph
    fallback: int
    mute: int
    first: int


_READ, _FURNITURE, _DROPPED = 0, 1, 2
"""Whether text of a group is read: yes; no, but that of some groups in it; not at all."""


class _Flow:
    """A text of its own: the document, a note, a box, a property. `mark` is what is before a paragraph of a list."""

    def __init__(self, kind: str, budget: Budget, *, in_header: bool = False) -> None:
        self.kind = kind
        self.in_header = in_header or kind in ("Header", "Footer")
        self.line = Line()
        self.blocks: list[Block] = []
        self.rows: dict[int, RowDefinition] = {}
        self.mark = ""
        self.is_hidden = False
        self.is_shaped = False
        self.brackets = ["(", ")"]
        self._tables: list[Table] = []
        self._budget = budget

    def put(self, block: Block, depth: int) -> None:
        """Add a block to the text, or to the open cell of a table."""
        if depth or self._tables:
            self.close_tables(depth)
        (self.table(depth).cell if depth else self.blocks).append(block)

    def table(self, depth: int) -> Table:
        """The open table at this depth, 1 the outermost."""
        self.close_tables(depth)
        while len(self._tables) < depth:
            self._tables.append(Table())
        return self._tables[-1]

    def close_tables(self, depth: int) -> None:
        """End all tables that are deeper."""
        while len(self._tables) > depth:
            blocks = self._tables.pop().blocks(self._budget)
            (self._tables[-1].cell if self._tables else self.blocks).extend(blocks)

    def row(self, depth: int) -> RowDefinition:
        """How the cells of the current row at this depth stand."""
        return self.rows.setdefault(depth, RowDefinition())

    @property
    def text(self) -> str:
        return flat_text(self.blocks)


@dataclass(slots=True)
class _Field:
    """A field: its instruction, and how many pieces the line had where it began."""

    code: str = ""
    name: str = ""
    pieces: int = 0
    line: Line | None = None


@dataclass(slots=True)
class _Shape:
    """A drawing: what it says of itself, and whether its text was read."""

    description: str = ""
    letters: str = ""
    has_picture: bool = False
    is_hidden: bool = False
    is_read: bool = False


# --- the reader -----------------------------------------------------------------------------------------


class _Reader:
    """Reads one file."""

    def __init__(self, data: bytes, *, careful: bool = False) -> None:
        self._rtf = without_binary(data.decode("latin-1"))
        self._groups = Groups(self._rtf, careful=careful)
        self.builder = DocumentBuilder(_MEDIA_TYPE)
        self._codec = default_codec(self._rtf)
        self._is_utf8 = not data.isascii() and _is_utf8(data)
        self._white = white_colours(self._rtf)
        self._tokens = self._needed_tokens()
        self._fonts: dict[int, Font] = {}
        self._base_font = 0
        self._base = _Look(Font(self._codec))
        self._styles: dict[int, _Style] = {}
        self._look, self._owns_look = self._base.copied(), True
        self._paragraph, self._owns_paragraph = _Paragraph(), True
        self._fallback = 1
        self._mute = _READ
        self._stack: list[_Group] = []
        self._too_deep = 0
        self._passes_next = False
        self._is_over = False
        self._endings: dict[int, list[Callable[[], None]]] = {}
        self._to_skip = 0
        self._half = 0
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}
        self._pending = ""
        self._raised: tuple[Line, int, int] | None = None
        self._budget = Budget()
        self._flow = _Flow("text", self._budget)
        self._flows: list[_Flow] = []
        self._fields: list[_Field] = []
        self._shapes: list[_Shape] = []
        self._objects: list[str] = []
        self._has_contents = False
        self._is_lit = False
        self._has_mark = False
        self._notes = {"footnote": 0, "endnote": 0}
        self._numbering = {"footnote": "decimal", "endnote": ""}
        self._author = ""
        self._headers: dict[str, list[Block]] = {}
        self._properties: dict[str, str] = {}
        self._title = ""

    def _needed_tokens(self) -> re.Pattern[str]:
        """A pattern for those words that make a difference in this file."""
        words = frozenset(_WORDS.keys() | _PASSED.keys()) - _WORDS_FOR_WHITE - {"fs"}
        if uses(self._rtf, "cf", self._white):
            words |= _WORDS_FOR_WHITE
        if uses(self._rtf, "fs", (1, 2)):
            words |= {"fs"}
        return tokens(words)

    def read(self) -> bool:
        """Read it all. Whether every group that begins ends as well."""
        place = 0
        while place >= 0:
            place = self._scan(place)
        is_whole = self._is_over and len(self._stack) == 1
        self._flush()
        while self._stack:
            self._run_endings(len(self._stack))
            self._restore(self._stack.pop())
        self._end_flow()
        return is_whole

    def written(self) -> ExtractedText:
        """The document."""
        builder = self.builder
        write_blocks(builder, self._flow.blocks)
        if self._headers:
            builder.section(())
        for text, after in self._headers.items():
            builder.paragraph(text)
            write_blocks(builder, after)
        said = [
            f"{label}: {text}" for name, label in _READ_PROPERTIES if (text := self._properties.get(name, ""))
        ]
        if said:
            builder.section(())
            builder.paragraph("\n".join(said))
        return builder.build(self._properties.get("title", "") or self._title)

    # Tokens and groups

    def _scan(self, place: int) -> int:
        """Read on until a group is passed over: the place where it ends, -1 at the end of the file."""
        for token in self._tokens.finditer(self._rtf, place):
            star, word, digits, sign, text = token.groups()
            if word:
                handler = _WORDS.get(word)
                if handler is not None:
                    if self._to_skip or self._pending:
                        self._settle(word)
                    handler(self, number_of(digits))
                elif (star or word in _PASSED) and len(self._stack) > 1:
                    return self._pass_over(word, token)
            elif sign == "{":
                if self._opened(token.start()):
                    return self._groups.end(token.start(), token.end())
            elif sign == "}":
                self._closed()
            else:
                self._sign(sign)
            if text:
                self._text(text)
        return -1

    def _settle(self, word: str) -> None:
        """A word ends what bytes and fallback characters were still to come."""
        if word != "u" and word not in _CHARACTERS:
            self._to_skip = 0
        self._flush()

    def _pass_over(self, word: str, token: re.Match[str]) -> int:
        last = self._groups.end(self._stack[-1].first, token.end())
        take = _PASSED.get(word)
        if take is not None and self._mute != _DROPPED:
            take(self, token.start(), last)
        return last

    def _opened(self, place: int) -> bool:
        """A group begins; True when it is to be passed over."""
        if self._pending:
            self._flush()
        self._to_skip = 0
        if len(self._stack) >= _DEEPEST_GROUP:
            self._too_deep += 1
            return False
        self._stack.append(_Group(self._look, self._paragraph, self._fallback, self._mute, place))
        self._owns_look = self._owns_paragraph = False
        passes, self._passes_next = self._passes_next, False
        return passes

    def _closed(self) -> None:
        if self._pending:
            self._flush()
        self._to_skip = 0
        if self._too_deep:
            self._too_deep -= 1
            return
        depth = len(self._stack)
        if depth in self._endings:
            self._run_endings(depth)
        if depth > 1 or not self._is_over:
            self._restore(self._stack.pop())
        if not self._stack:
            self._is_over = True
            self._stack.append(_Group(self._base, _Paragraph(), 1, _READ, 0))

    def _run_endings(self, depth: int) -> None:
        for ending in reversed(self._endings.pop(depth, ())):
            ending()

    def _restore(self, group: _Group) -> None:
        self._look, self._paragraph, self._fallback, self._mute, _ = group
        self._owns_look = self._owns_paragraph = False

    def _at_end(self, ending: Callable[[], None]) -> None:
        """Do this when the group ends that is open now."""
        self._endings.setdefault(len(self._stack), []).append(ending)

    def own_look(self) -> _Look:
        """The look of the group, to be changed."""
        if not self._owns_look:
            self._look, self._owns_look = self._look.copied(), True
        return self._look

    def own_paragraph(self) -> _Paragraph:
        """The paragraph of the group, to be changed."""
        if not self._owns_paragraph:
            self._paragraph, self._owns_paragraph = self._paragraph.copied(), True
        return self._paragraph

    # Characters

    def _text(self, text: str) -> None:
        """Text as it is in the file."""
        if self._mute:
            return
        if self._to_skip or self._pending or not (text.isascii() and text.isprintable()):
            self._other_text(text)
        elif self._look.is_special:
            self._special(text)
        else:
            self._flow.line.add(text)

    def _other_text(self, text: str) -> None:
        text = text.replace("\r", "").replace("\n", "").replace("\0", "")
        if self._to_skip:
            skipped = min(self._to_skip, len(text))
            self._to_skip -= skipped
            text = text[skipped:]
        if text.isascii() and not self._pending:
            self._add(text)
        elif self._is_utf8:
            self._add(text.encode("latin-1").decode("utf-8", "replace"))
        else:
            self._bytes(text.encode("latin-1"))

    def _sign(self, sign: str) -> None:
        if sign[1:2] == "'" and len(sign) > 2:
            raw = bytes.fromhex(sign.replace("\\'", ""))
            skipped = min(self._to_skip, len(raw))
            self._to_skip -= skipped
            if not self._mute:
                self._bytes(raw[skipped:])
        elif sign in ("\\\n", "\\\r"):
            self._settle("par")
            _end_line(self, None)
        elif sign in ("\\\\", "\\{", "\\}") and self._pending:
            self._bytes(sign[1:].encode("ascii"))
        else:
            self.character(_SIGNS.get(sign, ""))

    def _bytes(self, raw: bytes) -> None:
        """Characters in the code page of the font; the first byte of one may wait for the others."""
        codec = self._pending or self._look.font.codec
        if not is_wide(codec):
            self._add(raw.decode(codec, "replace"))
            return
        decoder = self._decoders.get(codec)
        if decoder is None:
            decoder = self._decoders[codec] = codecs.getincrementaldecoder(codec)("replace")
        self._add(decoder.decode(raw))
        self._pending = codec if decoder.getstate()[0] else ""

    def _flush(self) -> None:
        """Bytes that others should have followed."""
        if self._pending:
            decoder = self._decoders[self._pending]
            self._pending = ""
            self._add(decoder.decode(b"", True))
            decoder.reset()

    def unicode(self, number: int | None) -> None:
        """A character by its number, which older readers know from what follows."""
        code = number or 0
        code = code & 0xFFFF if code < 0x10000 else code
        half, self._half = self._half, 0
        if 0xD800 <= code < 0xDC00:
            self._half = code
        elif 0xDC00 <= code < 0xE000:
            self._add(chr(0x10000 + ((half - 0xD800) << 10) + code - 0xDC00) if half else "")
        elif 0xF000 <= code < 0xF100 and not self._mute:
            self._add(symbol(code, self._look.font.signs))
        elif 0 < code < 0x110000:
            self._add(chr(code))
        self._to_skip = self._fallback

    def character(self, text: str) -> None:
        """A character that has a word of its own."""
        if self._to_skip:
            self._to_skip -= 1
        elif not self._mute and text:
            if self._look.is_special:
                self._special(text)
            else:
                self._flow.line.add(text)

    def _add(self, text: str) -> None:
        if self._mute or not text:
            return
        if not text.isascii():
            text = text.replace("\u2011", "-").replace("\u00ad", "")
        if self._look.is_special:
            self._special(text)
        else:
            self._flow.line.add(text)

    def _special(self, text: str) -> None:
        look = self._look
        if look.is_deleted or look.is_moved or self._is_unseen:
            if text.strip():
                self._report_unseen()
            return
        if look.font.signs:
            text = "".join(symbol(ord(one), look.font.signs) if one >= "!" else one for one in text)
        line = self._flow.line
        if not look.is_raised:
            line.add(text)
            return
        before = len(line.pieces)
        if self._raised and self._raised[0] is line and self._raised[2] == before:
            before = self._raised[1]
        line.add_raised(text)
        self._raised = (line, before, len(line.pieces))

    @property
    def _is_unseen(self) -> bool:
        look = self._look
        return look.is_hidden or look.is_tiny or (look.is_white and not self._has_background)

    @property
    def _has_background(self) -> bool:
        if self._is_lit or self._look.is_shaded or self._paragraph.is_shaded or self._flow.is_shaped:
            return True
        depth = self._paragraph.depth
        return any(row.is_shaded for at, row in self._flow.rows.items() if at <= depth)

    def _report_unseen(self) -> None:
        if self._look.is_deleted:
            self.builder.leave_out(LeftOutKind.DELETED_TEXT)
        elif not self._look.is_moved:
            self._flow.is_hidden = True

    # Paragraphs

    def end_paragraph(self, depth: int) -> None:
        """The paragraph ends, in the text (0) or in the open cell of a table."""
        flow = self._flow
        line, mark = flow.line, flow.mark
        if flow.is_hidden:
            self.builder.leave_out(LeftOutKind.HIDDEN_TEXT)
            flow.is_hidden = False
        flow.mark = ""
        if not line.pieces and not line.after:
            return
        flow.line = Line()
        text = line.text
        if text and self._is_left_away(text):
            text = ""
        if text and not depth and not mark and self._styles.get(self._paragraph.style, _NO_STYLE).is_code:
            flow.close_tables(0)
            add_code(line.whole.rstrip(), line.after, flow.blocks)
        elif text or line.after:
            block = self._block(text, mark) if text else Block("paragraph")
            block.after = line.after
            flow.put(block, depth)

    def _block(self, text: str, mark: str) -> Block:
        paragraph = self._paragraph
        style = self._styles.get(paragraph.style, _NO_STYLE)
        level = style.level
        if paragraph.outline is not None and level != 0:
            level = paragraph.outline + 1 if paragraph.outline < 9 else None
        if mark:
            mark = mark if any(map(str.isalnum, mark)) and mark != "o" else "-"
        if level is not None:
            if level == 0 and not self._title:
                self._title = text
            return Block("heading", f"{mark} {text}" if mark not in ("", "-") else text, level)
        if mark or paragraph.is_listed:
            return Block("item", text, min(paragraph.list_level, 9), mark or "-")
        return Block("paragraph", text)

    def _is_left_away(self, text: str) -> bool:
        """Whether a paragraph is the number of a page in a header, or repeats a heading in a table of contents."""
        if self._flow.in_header:
            words = re.findall(r"\w+", text.lower())
            return all(word in PAGE_WORDS or word.isdigit() for word in words)
        return self._has_contents and self._styles.get(self._paragraph.style, _NO_STYLE).is_contents

    # Texts of their own

    def begin(self, kind: str, finish: Callable[[_Flow], None]) -> None:
        """What the group holds is a text of its own, which is given to `finish` when the group ends."""
        if self._mute == _DROPPED:
            return
        look = self._look
        if len(self._flows) >= DEEPEST or look.is_deleted or look.is_moved or self._is_unseen:
            self._drop()
            return
        self._flows.append(self._flow)
        self._flow = _Flow(kind, self._budget, in_header=self._flow.in_header)
        self._look, self._owns_look = self._base.copied(), True
        self._paragraph, self._owns_paragraph = _Paragraph(), True
        self._mute = _READ
        self._at_end(lambda: self._finish(finish))

    def _drop(self) -> None:
        self._mute = _DROPPED
        if len(self._flows) >= DEEPEST:
            self.builder.leave_out(LeftOutKind.REST, "nested too deeply")
        else:
            self._report_unseen()

    def _finish(self, finish: Callable[[_Flow], None]) -> None:
        self._end_flow()
        flow, self._flow = self._flow, self._flows.pop()
        finish(flow)

    def _end_flow(self) -> None:
        self.end_paragraph(self._paragraph.depth)
        self._flow.close_tables(0)

    def begin_note(self) -> None:
        """A footnote or endnote, whose mark is a number or what was raised before it."""
        mark = "" if self._has_mark else self._taken_mark()
        self._has_mark = False
        self.begin("footnote", lambda flow: self._end_note(flow, mark))

    def _taken_mark(self) -> str:
        """The raised text at the end of the line, which is taken away."""
        line = self._flow.line
        if not self._raised or self._raised[0] is not line or self._raised[2] != len(line.pieces):
            return ""
        mark = "".join(line.pieces[self._raised[1] :]).strip("^ []()")
        if not 0 < len(mark) <= 8:
            return ""
        del line.pieces[self._raised[1] :]
        self._flow.line = shorter = Line()
        last = line.pieces.pop() if line.pieces else ""
        shorter.pieces, shorter.after = line.pieces, line.after
        shorter.add(last)
        return mark

    def _end_note(self, flow: _Flow, mark: str) -> None:
        line = self._flow.line
        if mark and flow.blocks:
            flow.blocks[0].text = (
                flow.blocks[0].text.removeprefix(f"^{mark}").removeprefix(mark).lstrip(" \t.)")
            )
        if not mark:
            self._notes[flow.kind] += 1
            mark = numeral(self._notes[flow.kind], self._note_style(flow.kind))
        line.add_note(mark)
        line.after.extend(mark_first(flow.blocks, f"[{mark}]"))

    def _note_style(self, kind: str) -> str:
        style = self._numbering[kind]
        is_twin = kind == "endnote" and self._notes["footnote"] and style == self._numbering["footnote"]
        return "lowerRoman" if is_twin or not style else style

    def end_comment(self, flow: _Flow) -> None:
        by = f" by {self._author}" if self._author else ""
        self._author = ""
        after = all_after(flow.blocks)
        if flow.text:
            self._flow.line.after.append(Block("paragraph", f"[Comment{by}: {flow.text}]", after=after))
        else:
            self._flow.line.after.extend(after)

    def end_header(self, flow: _Flow) -> None:
        text, after = flow.text, all_after(flow.blocks)
        if text or after:
            self._headers.setdefault(f"{flow.kind}: {text}" if text else "", []).extend(after)

    def end_property(self, flow: _Flow) -> None:
        if not flow.text:
            return
        if flow.kind in _SAID_PROPERTIES:
            self._properties.setdefault(flow.kind, " ".join(flow.text.split()))
        else:
            self.builder.leave_out(LeftOutKind.PROPERTY, flow.kind)

    def end_author(self, flow: _Flow) -> None:
        if flow.kind == "author" or not self._author:
            self._author = " ".join(flow.text.split())

    def end_mark(self, flow: _Flow) -> None:
        self._flow.mark = " ".join(flow.text.split())

    def end_box(self, flow: _Flow) -> None:
        if self._shapes and self._shapes[-1].is_hidden:
            if flow.blocks:
                self.builder.leave_out(LeftOutKind.HIDDEN_TEXT)
        else:
            self._flow.line.after.extend(flow.blocks)

    def end_formula(self, flow: _Flow) -> None:
        """A part of a formula, as one writes it on one line."""
        text = flow.text
        line = self._flow.line
        grouped = text if len(text) < 2 or text.isalnum() else f"({text})"
        match flow.kind:
            case "mnum":
                line.add(grouped)
            case "mden":
                line.add(f"/{grouped}")
            case "msub" | "msup":
                line.add(f"{'_' if flow.kind == 'msub' else '^'}{grouped}" if text else "")
            case "mrad":
                line.add(f"√({text})")
            case "md":
                line.add(flow.brackets[0] + text + flow.brackets[1])
            case "mfName":
                line.add(f"{text} ")
            case _:
                between = _BETWEEN_PARTS.get((self._flow.kind, flow.kind), "") if line.pieces else ""
                line.add(between + text)

    # What is passed over

    def take_fonts(self, first: int, last: int) -> None:
        self._fonts = fonts(self._rtf[first:last], self._codec)
        self._base = _Look(self.font(self._base_font))
        self._base.is_special = bool(self._base.font.signs)
        self._look, self._owns_look = self._base.copied(), True
        self._stack = [one._replace(look=self._base) for one in self._stack]

    def font(self, number: int) -> Font:
        """A font by its number."""
        return self._fonts.get(number) or Font(self._codec)

    def take_styles(self, first: int, last: int) -> None:
        found = styles(self._rtf[first:last], self._codec)
        for number in found:
            level, at, steps = None, number, 0
            while level is None and at in found and steps < 10:
                level = _level_of(found[at].name, found[at].outline)
                at, steps = found[at].based_on, steps + 1
            self._styles[number] = _Style(
                level if level != _NONE else None,
                _is_contents(found[number].name),
                is_code_style(found[number].name),
            )

    def take_instruction(self, first: int, last: int) -> None:
        """What a field is told to show."""
        raw = self._rtf[first : min(last, first + 4000)]
        code = _MARKUP.sub(lambda match: match[1] or "", raw).strip()
        field = self._fields[-1] if self._fields else _Field()
        field.code, field.name = code, code.partition(" ")[0].upper()
        if field.name == "TOC":
            self._has_contents = True
        if value := _form_value(field.name, raw):
            self._add(value)

    def end_field(self) -> None:
        """A field that shows no text says by its instruction what it shows."""
        field = self._fields.pop()
        if field.line is not self._flow.line or field.pieces != len(field.line.pieces):
            return
        words = field.code.split()
        if field.name == "EQ":
            self._add(equation(field.code))
        elif field.name == "SYMBOL" and len(words) > 1 and words[1].isdecimal():
            name = re.search(r'\\f\s*"?([^"\\]{1,40})', field.code)
            self._add(symbol(int(words[1][:6]), name[1].strip() if name else ""))

    def take_shape_property(self, first: int, last: int) -> None:
        shape = self._shapes[-1] if self._shapes else _Shape()
        named = _PROPERTY.search(self._rtf, first, last)
        if named is None:
            return
        match named[1]:
            case "wzDescription":
                shape.description = plain_text(named[2], self._codec)
            case "gtextUNICODE":
                shape.letters = plain_text(named[2], self._codec)
            case "fHidden":
                shape.is_hidden = named[2].strip() == "1"
            case "pib":
                shape.has_picture = True

    def end_shape(self) -> None:
        """What a drawing says without a box of text in it."""
        shape = self._shapes.pop()
        after = self._flow.line.after
        if shape.is_hidden and (shape.letters or shape.description):
            self.builder.leave_out(LeftOutKind.HIDDEN_TEXT)
            return
        if shape.letters:
            after.append(Block("paragraph", shape.letters))
        if shape.description:
            after.append(Block("paragraph", f"[Picture: {' '.join(shape.description.split())}]"))
        elif shape.has_picture:
            self.builder.leave_out(LeftOutKind.PICTURE)

    def take_picture(self, first: int, last: int) -> None:
        described = _DESCRIPTION.search(self._rtf, first, last)
        text = plain_text(described[1], self._codec) if described else ""
        if text:
            self._flow.line.after.append(Block("paragraph", f"[Picture: {' '.join(text.split())}]"))
        elif not self._objects:
            self.builder.leave_out(LeftOutKind.PICTURE)

    def take_named_picture(self, first: int, last: int) -> None:
        name = plain_text(_MARKUP.sub(" ", self._rtf[first : min(last, first + 400)]), self._codec)
        self.builder.leave_out(LeftOutKind.PICTURE, name)

    def take_object_class(self, first: int, last: int) -> None:
        if self._objects:
            self._objects[-1] = plain_text(self._rtf[first : min(last, first + 400)], self._codec)

    def end_object(self) -> None:
        self.builder.leave_out(LeftOutKind.OBJECT, self._objects.pop())

    def take_named_properties(self, first: int, last: int) -> None:
        for named in _PROPERTY_NAME.finditer(self._rtf, first, last):
            self.builder.leave_out(LeftOutKind.PROPERTY, plain_text(named[1], self._codec))

    def take_background(self, first: int, last: int) -> None:
        self._is_lit = True

    def take_sum_sign(self, first: int, last: int) -> None:
        sign = _FORMULA_SIGN.search(self._rtf, first, last)
        self._add(plain_text(sign[1], self._codec) if sign else "∫")

    def take_brackets(self, first: int, last: int) -> None:
        for sign in _BRACKET.finditer(self._rtf, first, last):
            self._flow.brackets[sign[1] == "end"] = plain_text(sign[2], self._codec)


# --- what needs no state ----------------------------------------------------------------------------------


class _Style(NamedTuple):
    """A paragraph style: the level of its heading (0 the title, None: no heading), and whether it is for contents."""

    level: int | None = None
    is_contents: bool = False
    is_code: bool = False


_NO_STYLE = _Style()
_NONE = -1
_CONTENTS = re.compile(r"toc ?[1-9]|toc ?heading|contents [1-9]|contents heading|table of figures")
_MARKUP = re.compile(r"\\([\\{}])|\\\*|\\[a-zA-Z]++(?:-?\d++)?+ ?|\\'[0-9a-fA-F]{2}|\\.|[{}\r\n]++")
_PROPERTY = re.compile(r"\\sn\s*+([A-Za-z]++)\s*+\}\s*+\{\s*+\\sv\b\s?+((?:[^{}\\]|\\[^{}]|\\[{}])*+)")
_DESCRIPTION = re.compile(r"\\sn\s*+wzDescription\s*+\}\s*+\{\s*+\\sv\b\s?+((?:[^{}\\]|\\[^{}]|\\[{}])*+)")
_PROPERTY_NAME = re.compile(r"\\(?:propname\s*+|docvar\s*+\{)((?:[^{}\\]|\\.)*+)")
_FORMULA_SIGN = re.compile(r"\{\s*+\\mchr\b\s?+((?:[^{}\\]|\\.)*+)")
_BRACKET = re.compile(r"\{\s*+\\m(beg|end)Chr\b\s?+((?:[^{}\\]|\\.)*+)")
_CHOICE = re.compile(r"\\\*\\ffl\s*+((?:[^{}\\]|\\.)*+)")
_CHOSEN = re.compile(r"\\(ffres|ffdefres)(\d{1,3})")
_BETWEEN_PARTS = {("mm", "mmr"): "; ", ("mmr", "me"): ", ", ("md", "me"): ", "}
"""What parts the rows and cells of a matrix, and the parts in brackets."""
_READ_PROPERTIES = (("subject", "Subject"), ("keywords", "Keywords"), ("doccomm", "Description"))
_SAID_PROPERTIES = frozenset(("title", "subject", "keywords", "doccomm"))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _level_of(name: str, outline: int | None) -> int | None:
    """The level of a heading style; _NONE for one that says it is text, None where it says nothing."""
    level = heading_level(name)
    if level is not None or outline is None:
        return level
    return outline + 1 if outline < 9 else _NONE


def _is_contents(name: str) -> bool:
    return _CONTENTS.fullmatch(name) is not None


def _form_value(name: str, raw: str) -> str:
    """What a form field shows that has no text: a box, or the chosen entry."""
    values = {match[1]: int(match[2]) for match in _CHOSEN.finditer(raw)}
    value = values.get("ffres", 25)
    value = values.get("ffdefres", 0) if value == 25 else value
    if name == "FORMCHECKBOX":
        return "☒" if value else "☐"
    choices = _CHOICE.findall(raw) if name == "FORMDROPDOWN" else []
    return plain_text(choices[value], "cp1252") if value < len(choices) else ""


# --- words ----------------------------------------------------------------------------------------------

_Handler = Callable[[_Reader, int | None], None]
_CHARACTERS = {
    "tab": "\t", "line": "\n", "lbr": "\n", "page": "\n", "column": "\n", "softline": "\n", "emdash": "—", "endash": "–",
    "emspace": " ", "enspace": " ", "qmspace": " ", "bullet": "•", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "zwj": "\u200d", "zwnj": "\u200c", "zwbo": "", "zwnbo": "", "ltrmark": "", "rtlmark": "",
}  # fmt: skip
_SIGNS = {"\\~": " ", "\\_": "-", "\\\\": "\\", "\\{": "{", "\\}": "}", "\\\t": "\t"}
_NUMBERINGS = {
    "ar": "decimal",
    "alc": "lowerLetter",
    "auc": "upperLetter",
    "rlc": "lowerRoman",
    "ruc": "upperRoman",
}


def _character(text: str) -> _Handler:
    return lambda reader, number: reader.character(text)


def _end_line(reader: _Reader, number: int | None) -> None:
    """The end of a paragraph, unless it was deleted or the paragraph is the first letter of the next one."""
    if (reader._look.is_deleted or reader._paragraph.is_drop_cap) and reader._flow.line.pieces:
        return
    if reader._mute == _READ:
        reader.end_paragraph(reader._paragraph.depth)


def _switch(name: str, *, is_off: bool = False) -> _Handler:
    """Sets a trait of the look; with the number 0 it goes."""

    def set_trait(reader: _Reader, number: int | None) -> None:
        look = reader.own_look()
        setattr(look, name, number != 0 and not is_off)
        _weigh(look)

    return set_trait


def _weigh(look: _Look) -> None:
    look.is_special = (
        look.is_hidden
        or look.is_deleted
        or look.is_moved
        or look.is_raised
        or look.is_white
        or look.is_tiny
        or bool(look.font.signs)
    )


def _raised(reader: _Reader, number: int | None) -> None:
    look = reader.own_look()
    look.is_raised = bool(number)
    _weigh(look)


def _colour(reader: _Reader, number: int | None) -> None:
    look = reader.own_look()
    look.is_white = number in reader._white
    _weigh(look)


def _size(reader: _Reader, number: int | None) -> None:
    look = reader.own_look()
    look.is_tiny = number in (1, 2)
    _weigh(look)


def _shade(reader: _Reader, number: int | None) -> None:
    reader.own_look().is_shaded = bool(number) and number not in reader._white


def _font(reader: _Reader, number: int | None) -> None:
    font = reader.font(number or 0)
    look = reader._look
    if font == look.font:
        return
    look = reader.own_look()
    look.font = font
    _weigh(look)


def _plain(reader: _Reader, number: int | None) -> None:
    reader._look, reader._owns_look = reader._base.copied(), True


def _base_font(reader: _Reader, number: int | None) -> None:
    reader._base_font = number or 0


def _fallback(reader: _Reader, number: int | None) -> None:
    reader._fallback = max(0, min(number if number is not None else 1, 100))


def _pard(reader: _Reader, number: int | None) -> None:
    reader._paragraph, reader._owns_paragraph = _Paragraph(), True


def _style(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().style = number or 0


def _outline(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().outline = number or 0


def _in_table(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().in_table = number != 0


def _table_depth(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().table = max(0, number or 0)


def _listed(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().is_listed = bool(number)


def _list_level(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().list_level = max(0, number or 0)


def _paragraph_shade(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().is_shaded = bool(number) and number not in reader._white


def _drop_cap(reader: _Reader, number: int | None) -> None:
    reader.own_paragraph().is_drop_cap = bool(number)


# Tables


def _row_depth(reader: _Reader) -> int:
    return max(1, reader._paragraph.depth)


def _new_row(reader: _Reader, number: int | None) -> None:
    reader._flow.rows[_row_depth(reader)] = RowDefinition()


def _row_left(reader: _Reader, number: int | None) -> None:
    reader._flow.row(_row_depth(reader)).left = number or 0


def _row_header(reader: _Reader, number: int | None) -> None:
    reader._flow.row(_row_depth(reader)).is_header = True


def _row_shade(reader: _Reader, number: int | None) -> None:
    if number and number not in reader._white:
        reader._flow.row(_row_depth(reader)).is_shaded = True


def _cell_edge(reader: _Reader, number: int | None) -> None:
    reader._flow.row(_row_depth(reader)).end_cell(number or 0)


def _cell_trait(name: str) -> _Handler:
    def set_trait(reader: _Reader, number: int | None) -> None:
        setattr(reader._flow.row(_row_depth(reader)).next_cell, name, True)

    return set_trait


def _end_cell(reader: _Reader, number: int | None) -> None:
    _end_cell_at(reader, 1)


def _end_nested_cell(reader: _Reader, number: int | None) -> None:
    _end_cell_at(reader, max(2, reader._paragraph.depth))


def _end_cell_at(reader: _Reader, depth: int) -> None:
    if reader._mute == _READ:
        reader.end_paragraph(depth)
        reader._flow.table(depth).end_cell()


def _end_row(reader: _Reader, number: int | None) -> None:
    if reader._mute == _READ:
        reader._flow.table(1).end_row(reader._flow.row(1))


def _end_nested_row(reader: _Reader, number: int | None) -> None:
    if reader._mute == _READ:
        depth = max(2, reader._paragraph.depth)
        reader._flow.table(depth).end_row(reader._flow.row(depth))


# Groups with a meaning


def _own(kind: str, finish: Callable[[_Reader, _Flow], None]) -> _Handler:
    """The group is a text of its own."""
    return lambda reader, number: reader.begin(kind, lambda flow: finish(reader, flow))


def _furniture(reader: _Reader, number: int | None) -> None:
    reader._mute = max(reader._mute, _FURNITURE)


def _nothing(reader: _Reader, number: int | None) -> None:
    pass


def _note(reader: _Reader, number: int | None) -> None:
    reader.begin_note()


def _note_mark(reader: _Reader, number: int | None) -> None:
    """The number of a note; in the note itself it only repeats it."""
    if reader._flow.kind not in ("footnote", "endnote"):
        reader._has_mark = True


def _is_endnote(reader: _Reader, number: int | None) -> None:
    if reader._flow.kind == "footnote":
        reader._flow.kind = "endnote"


def _note_numbering(kind: str, style: str) -> _Handler:
    def set_style(reader: _Reader, number: int | None) -> None:
        reader._numbering[kind] = style

    return set_style


def _first_note(kind: str) -> _Handler:
    def set_first(reader: _Reader, number: int | None) -> None:
        reader._notes[kind] = max(0, (number or 1) - 1)

    return set_first


def _field(reader: _Reader, number: int | None) -> None:
    line = reader._flow.line
    reader._fields.append(_Field(pieces=len(line.pieces), line=line))
    reader._at_end(reader.end_field)


def _field_result(reader: _Reader, number: int | None) -> None:
    if reader._flow.in_header and reader._fields and reader._fields[-1].name in PAGE_FIELDS:
        reader._mute = _DROPPED


def _shape(reader: _Reader, number: int | None) -> None:
    reader._shapes.append(_Shape())
    reader._at_end(reader.end_shape)


def _shape_itself(reader: _Reader, number: int | None) -> None:
    _furniture(reader, number)
    if reader._shapes:
        reader._shapes[-1].is_read = True


def _shape_again(reader: _Reader, number: int | None) -> None:
    """A drawing for older readers; there is nothing new in it."""
    if reader._shapes and reader._shapes[-1].is_read:
        reader._mute = _DROPPED


def _box(reader: _Reader, number: int | None) -> None:
    reader.begin("box", reader.end_box)
    reader._flow.is_shaped = True


def _object(reader: _Reader, number: int | None) -> None:
    if reader._mute != _DROPPED:
        reader._objects.append("")
        reader._at_end(reader.end_object)


def _either(reader: _Reader, number: int | None) -> None:
    """The next group is for readers without Unicode, the one behind it for the others."""
    reader._passes_next = True


_WORDS_FOR_WHITE = frozenset(
    "cf cb highlight chcbpat chshdng chcfpat cbpat cfpat shading clcbpat clcfpat clshdng trcbpat trcfpat trshdng".split()  # noqa: SIM905
)
_WORDS: dict[str, _Handler] = {
    **{word: _character(text) for word, text in _CHARACTERS.items()},
    **dict.fromkeys(("par", "sect"), _end_line),
    "u": lambda reader, number: reader.unicode(number),
    "uc": _fallback,
    "f": _font,
    "deff": _base_font,
    "plain": _plain,
    "v": _switch("is_hidden"),
    "deleted": _switch("is_deleted"),
    "mvf": _switch("is_moved"),
    "super": _switch("is_raised"),
    **dict.fromkeys(("sub", "nosupersub"), _switch("is_raised", is_off=True)),
    "up": _raised,
    "cf": _colour,
    "fs": _size,
    **dict.fromkeys(("cb", "highlight", "chcbpat", "chshdng", "chcfpat"), _shade),
    "pard": _pard,
    "s": _style,
    "outlinelevel": _outline,
    "intbl": _in_table,
    "itap": _table_depth,
    "ls": _listed,
    "ilvl": _list_level,
    **dict.fromkeys(("cbpat", "cfpat", "shading"), _paragraph_shade),
    "dropcapli": _drop_cap,
    "trowd": _new_row,
    "trleft": _row_left,
    "trhdr": _row_header,
    **dict.fromkeys(("clcbpat", "clcfpat", "clshdng", "trcbpat", "trcfpat", "trshdng"), _row_shade),
    "cellx": _cell_edge,
    "clmrg": _cell_trait("is_beside"),
    "clvmrg": _cell_trait("is_below"),
    "cell": _end_cell,
    "nestcell": _end_nested_cell,
    "row": _end_row,
    "nestrow": _end_nested_row,
    "nesttableprops": _nothing,
    **dict.fromkeys(("info", "do", "shpgrpinst"), _furniture),
    **{name: _own(name, _Reader.end_property) for name in _SAID_PROPERTIES},
    **{
        name: _own(name, _Reader.end_property)
        for name in ("author", "manager", "company", "category", "operator", "hlinkbase")
    },
    **{word: _own("Header", _Reader.end_header) for word in ("header", "headerl", "headerr", "headerf")},
    **{word: _own("Footer", _Reader.end_header) for word in ("footer", "footerl", "footerr", "footerf")},
    "footnote": _note,
    "chftn": _note_mark,
    "ftnalt": _is_endnote,
    **{f"ftnn{word}": _note_numbering("footnote", style) for word, style in _NUMBERINGS.items()},
    **{f"aftnn{word}": _note_numbering("endnote", style) for word, style in _NUMBERINGS.items()},
    **{f"sftnn{word}": _note_numbering("footnote", style) for word, style in _NUMBERINGS.items()},
    **{f"saftnn{word}": _note_numbering("endnote", style) for word, style in _NUMBERINGS.items()},
    "ftnstart": _first_note("footnote"),
    "aftnstart": _first_note("endnote"),
    "annotation": _own("comment", _Reader.end_comment),
    "atnauthor": _own("author", _Reader.end_author),
    "atnid": _own("initials", _Reader.end_author),
    "listtext": _own("mark", _Reader.end_mark),
    "pntext": _own("mark", _Reader.end_mark),
    "field": _field,
    "fldrslt": _field_result,
    **dict.fromkeys(("shp", "shpgrp"), _shape),
    "shpinst": _shape_itself,
    "shprslt": _shape_again,
    **dict.fromkeys(("shptxt", "dptxbxtext"), _box),
    "object": _object,
    "result": _nothing,
    "shppict": _nothing,
    "upr": _either,
    "ud": _nothing,
    **dict.fromkeys(("mmath", "moMath", "moMathPara"), _nothing),
    **{
        word: _own(word, _Reader.end_formula)
        for word in ("mnum", "mden", "msub", "msup", "mrad", "md", "mm", "mmr", "me", "mfName")
    },
}  # fmt: skip
"""What words mean in the text."""

_PASSED: dict[str, Callable[[_Reader, int, int], None] | None] = {
    "fonttbl": _Reader.take_fonts,
    "stylesheet": _Reader.take_styles,
    "fldinst": _Reader.take_instruction,
    "sp": _Reader.take_shape_property,
    "pict": _Reader.take_picture,
    "NeXTGraphic": _Reader.take_named_picture,
    "objclass": _Reader.take_object_class,
    "userprops": _Reader.take_named_properties,
    "docvar": _Reader.take_named_properties,
    "background": _Reader.take_background,
    "mnaryPr": _Reader.take_sum_sign,
    "mdPr": _Reader.take_brackets,
    **dict.fromkeys(
        """
        colortbl filetbl listtable listoverridetable revtbl rsidtbl nonshppict nonesttables objdata xe tc tcn comment template
        private passwordhash latentstyles datastore themedata colorschememapping generator pn pnseclvl ftnsep ftnsepc ftncn
        aftnsep aftnsepc aftncn creatim revtim printim buptim mmathPr mctrlPr mfPr msSupPr msSubPr msSubSupPr msPrePr mradPr
        maccPr mbarPr mboxPr mborderBoxPr meqArrPr mfuncPr mgroupChrPr mlimLowPr mlimUppPr mmPr mphantPr mrPr
        """.split(),  # noqa: SIM905
        None,
    ),
}  # fmt: skip
"""Groups that are passed over whole, and who looks into them."""
