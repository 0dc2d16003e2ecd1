"""LaTeX sources as text, line by line: accents and quotes as letters, commands for type unwrapped, headings as sections.

Formulas and listings stay as they are; what no reader of the document sees (comments) is left out and counted.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ragchat.ingest.blocks import LONGEST_HEADING
from ragchat.ingest.encoding import source_text
from ragchat.ingest.wire import LONGEST_TITLE
from ragchat.text import clean_line
from ragchat.types import ExtractedText, LeftOut, LeftOutKind, Section

_LEVELS = {
    name: level
    for level, names in enumerate(
        ("part", "chapter", "section frametitle", "subsection", "subsubsection", "paragraph", "subparagraph"),
        1,
    )
    for name in names.split()
}
_COMBINING = dict(
    zip(
        "\"'`^~=.cvHkrudbt",
        map(chr, (776, 769, 768, 770, 771, 772, 775, 807, 780, 779, 808, 778, 774, 803, 817, 865)),
        strict=True,
    )
)
_SYMBOLS = {
    "ss": "ß", "SS": "ẞ", "o": "ø", "O": "Ø", "aa": "å", "AA": "Å", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ",
    "l": "ł", "L": "Ł", "i": "ı", "j": "ȷ", "dh": "ð", "DH": "Ð", "th": "þ", "TH": "Þ", "dj": "đ", "DJ": "Đ", "ng": "ŋ",
    "NG": "Ŋ", "S": "§", "P": "¶", "pounds": "£", "euro": "€", "EUR": "€", "texteuro": "€", "copyright": "©",
    "textcopyright": "©", "textregistered": "®", "texttrademark": "™", "textdegree": "°", "degree": "°", "ldots": "…",
    "dots": "…", "textellipsis": "…", "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^",
    "textbar": "|", "textless": "<", "textgreater": ">", "textendash": "–", "textemdash": "—", "textbullet": "•",
    "textquotedblleft": "“", "textquotedblright": "”", "textquoteleft": "‘", "textquoteright": "’", "textmu": "µ",
    "glqq": "„", "grqq": "“", "glq": "‚", "grq": "‘", "flqq": "«", "frqq": "»", "guillemotleft": "«", "and": ", ",
    "guillemotright": "»", "dq": '"', "slash": "/", "textunderscore": "_", "LaTeX": "LaTeX", "TeX": "TeX",
    "BibTeX": "BibTeX", "quad": " ", "qquad": " ", "enspace": " ", "space": " ", "thinspace": " ", "xspace": "",
    "newline": "", "linebreak": "", "tabularnewline": "", "textasteriskcentered": "*", "textdagger": "†", "dag": "†",
    "ddag": "‡", "textonehalf": "½", "textperthousand": "‰", "textnumero": "№", "textordmasculine": "º",
    "textordfeminine": "ª",
}  # fmt: skip
_DROPPED = frozenset(
    """
    bf it em sl sc tt rm sf bfseries itshape slshape scshape ttfamily rmfamily sffamily mdseries upshape normalfont tiny
    scriptsize footnotesize small normalsize large Large LARGE huge Huge centering raggedright raggedleft noindent indent
    maketitle tableofcontents listoffigures listoftables newpage clearpage cleardoublepage pagebreak par bigskip medskip
    smallskip hfill vfill hline toprule midrule bottomrule protect relax null appendix frontmatter mainmatter backmatter
    selectfont sloppy fussy nobreak allowbreak hrulefill dotfill ignorespaces unskip nolinebreak bgroup egroup begingroup
    endgroup doublespacing singlespacing onehalfspacing leavevmode strut pause titlepage
    """.split()  # noqa: SIM905
)
_WRAPPED = {
    **dict.fromkeys(
        """
        emph textbf textit textsl textsc texttt textrm textsf textmd textup textnormal underline uline sout mbox hbox text
        caption captionof author date institute affiliation url path nolinkurl enquote uppercase lowercase MakeUppercase
        MakeLowercase textsuperscript textsubscript hl fbox framebox makebox ul st so textquote blockquote centerline
        keywords subtitle dedication address email inst foreignlanguage gls Gls glspl lstinline framesubtitle ref
        pageref autoref cref Cref nameref vref alert structure only uncover visible onslide invisible signature opening closing
        ps cc encl num textnumber
        """.split(),  # noqa: SIM905
        ("", ""),
    ),
    **dict.fromkeys("footnote footnotetext marginpar todo footcite thanks note".split(), (" [", "]")),  # noqa: SIM905
    **dict.fromkeys("cite citep citet parencite textcite autocite".split(), ("[", "]")),  # noqa: SIM905
    "eqref": ("(", ")"),
}
"""Commands whose argument is text, and what stands around it."""
_SKIPPED = {
    **dict.fromkeys(
        """
        label vspace hspace pagestyle thispagestyle color index phantom vphantom hphantom cmidrule cline bibliographystyle
        href textcolor colorbox raisebox parbox hyperlink hypertarget
        """.split(),  # noqa: SIM905
        1,
    ),
    **dict.fromkeys(
        "setlength addtolength fontsize multicolumn multirow setcounter addtocounter".split(),  # noqa: SIM905
        2,
    ),
}
"""Commands, with how many of their first arguments are no text."""
_VERBATIM = frozenset(
    "verbatim Verbatim lstlisting minted alltt filecontents luacode pycode BVerbatim tikzpicture".split()  # noqa: SIM905
)
_MATH = frozenset(
    "equation align gather multline displaymath math eqnarray flalign alignat dmath subequations".split()  # noqa: SIM905
)
_LAYOUT = {
    **dict.fromkeys(
        """
        document itemize enumerate description center flushleft flushright quote quotation verse abstract figure table
        tabbing titlepage wrapfigure footnotesize small large landscape threeparttable frame columns block singlespace
        compactitem compactenum sidewaystable sidewaysfigure letter exampleblock alertblock
        """.split(),  # noqa: SIM905
        0,
    ),
    **dict.fromkeys(
        "tabular longtable minipage multicols array thebibliography supertabular column subfigure spacing".split(),  # noqa: SIM905
        1,
    ),
    **dict.fromkeys("tabularx tabulary wrapfigure wraptable".split(), 2),  # noqa: SIM905
}
"""Environments of which nothing but their content is text, with the number of their arguments."""

_TOKEN = re.compile(
    r"""
    (?P<comment>%[^\n]*+)
    | "(?P<shorthand>[aouAOUsz`'=~|<>-])
    | \\verb\*?(?P<mark>[^a-zA-Z\s*{])(?P<verb>[^\n]*?)(?P=mark)
    | \\(?P<edge>begin|end)[ \t]{0,4}\{(?P<environment>[^{}\n]{1,60})\}
    | (?P<formula>\\[(\[]|\$\$?)
    | \\(?P<accent>["'`^~=.])[ \t]*+(?:\{\\?(?P<a1>[A-Za-z])?\}|\\(?P<a2>[ij])(?![A-Za-z])[ ]?|(?P<a3>[A-Za-z]))
    | \\(?P<accent2>[cvHkrudbt])(?:[ \t]*+\{\\?(?P<b1>[A-Za-z])\}|[ \t]++(?P<b2>[A-Za-z]))
    | \\(?P<command>[a-zA-Z@]++)\*?
    | \\(?P<escaped>.|\n)
    | (?P<brace>[{}])
    | (?P<sign>~|---?|``|''|`|&)
    """,
    re.VERBOSE,
)
_PLAIN = re.compile(r"[^\"%\\${}~\-`'&]*+")
"""What no token begins with."""
_SIGNS = {"~": " ", "--": "–", "---": "—", "-": "-", "``": "“", "''": "”", "`": "‘", "&": "|"}
_OPTIONS = re.compile(r"(?:[ \t]{0,4}\[[^\[\]]{0,300}\])*+")
_OPTION = re.compile(r"[ \t]{0,4}\[([^\[\]]{0,300})\]")
_OVERLAY = re.compile(r"<[^<>\n{}]{0,40}>")
"""The slides of a frame on which something is shown."""
_LINKS = frozenset({"url", "path", "nolinkurl", "href"})
_LINK = re.compile(r"[ \t]{0,4}\{([^{}\n]{0,2000})\}")
_CITED = frozenset({"cite", "citep", "citet", "parencite", "textcite", "autocite", "footcite"})
_BESIDE = frozenset(
    {"author", "date", "institute", "subtitle", "affiliation", "address", "email", "keywords"}
)
"""Commands whose text stands apart from what is before it."""
_MACRO = re.compile(
    r"\\(?:re|provide)?newcommand\*?[ \t]*(?:\{\\([A-Za-z]{1,40})\}|\\([A-Za-z]{1,40}))[ \t]*(\[[0-9]\])?[ \t]*(?=\{)"
    r"|\\def[ \t]*\\([A-Za-z]{1,40})[ \t]*((?:\#\d){0,2})(?=\{)"
)
_OVERLAID = frozenset(
    {
        "item",
        "only",
        "uncover",
        "visible",
        "onslide",
        "invisible",
        "alert",
        "textbf",
        "textit",
        "emph",
        "structure",
    }
)
_DEFINING = frozenset({"newcommand", "renewcommand", "providecommand", "def"})
_RULES = frozenset({"hline", "midrule"})
_MOST_MACROS = 300
_LONGEST_MACRO = 300
_NEVER_NESTED = frozenset({"heading", "title", "skip", "picture"})
_INLINE = re.compile(r"\$(?:[^$\\\n]|\\.|\n(?![ \t]*\n)){1,5000}+\$")
_IF_FALSE = re.compile(r"\\iffalse\b")
_GERMAN = re.compile(r"\b(?:n?german|naustrian|ngermanb)\b")
_SHORTHANDS = {
    "a": "ä", "o": "ö", "u": "ü", "A": "Ä", "O": "Ö", "U": "Ü", "s": "ß", "z": "ß", "`": "„", "'": "“", "=": "-", "~": "-",
    "-": "", "|": "", "<": "«", ">": "»",
}  # fmt: skip
"""What `"a` and the like mean in German documents."""


@dataclass(slots=True)
class _Brace:
    """An open brace: what it and its end become, and what is to be done with the text in it (from `first` of the output on)."""

    end: str = ""
    job: str = ""
    begin: str = ""
    first: int = 0
    start: int = 0
    level: int = 0
    more: int = 0
    """Arguments to be left out after this one."""


def read_latex(text: str) -> ExtractedText:
    """The document line by line, with its headings as sections and its title. Never raises."""
    text = source_text(text)
    writer = _Writer(text)
    writer.run()
    return writer.document()


class _Writer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._is_german = bool(_GERMAN.search(text[:20_000]))
        self._out: list[str] = []
        self._length = 0
        self._line_start = 0
        self._position = 0
        self._braces: list[_Brace] = []
        self._next: _Brace | None = None
        self._missing: set[str] = set()
        self._sections = [Section(0, ())]
        self._open: list[tuple[int, str]] = []
        self._title = ""
        self._within: set[str] = set()
        self._comments = 0
        self._pictures: list[str] = []
        self._macros: dict[str, str] = {}
        self._cells = self._names = 0
        """Marks between cells in the row that is being read, and in the row that may name the columns; -1 behind its rule."""

    def document(self) -> ExtractedText:
        left_out = []
        if self._comments:
            left_out.append(LeftOut(LeftOutKind.COMMENT, self._comments))
        if self._pictures:
            left_out.append(LeftOut(LeftOutKind.PICTURE, len(self._pictures), tuple(self._pictures[:20])))
        first = next((section.path[-1] for section in self._sections if section.path), "")
        return ExtractedText(
            "".join(self._out),
            "text/x-tex",
            clean_line(self._title, limit=LONGEST_TITLE) or first,
            source_lines=True,
            sections=tuple(self._sections),
            left_out=tuple(left_out),
        )

    def run(self) -> None:
        text = self._text
        while self._position < len(text):
            start = _PLAIN.match(text, self._position).end()  # type: ignore[union-attr]
            if start > self._position:
                self._plain(text[self._position : start])
            token = _TOKEN.match(text, start)
            if token is None:
                self._emit(text[start : start + 1])
                self._position = start + 1
                continue
            self._position = token.end()
            self._take(token)
        while self._braces:
            self._close(self._braces.pop())

    def _take(self, token: re.Match[str]) -> None:  # noqa: C901
        if token["comment"] is not None:
            self._comment(token["comment"])
        elif token["shorthand"] is not None:
            self._shorthand(token)
        elif token["mark"] is not None:
            self._emit(token["verb"])
        elif token["environment"] is not None:
            self._environment(token["edge"], token["environment"].strip("* "))
        elif token["formula"] is not None:
            self._formula(token["formula"], token.start())
        elif token["accent"] is not None:
            self._emit(_accented(token["a1"] or token["a2"] or token["a3"] or "", token["accent"]))
        elif token["accent2"] is not None:
            self._emit(_accented(token["b1"] or token["b2"], token["accent2"]))
        elif token["command"] is not None:
            self._command(token["command"], token[0])
        elif token["escaped"] is not None:
            self._escaped(token["escaped"])
        elif token["brace"] is not None:
            self._brace(token["brace"])
        elif token["sign"] == "&":
            self._cells += 1
            before = self._out[-1][-1:] if self._out else ""
            self._emit(("" if before == " " else " ") + "|" + self._blank_before(token.end()))
        else:
            self._emit(_SIGNS[token["sign"]])

    # --- output ---------------------------------------------------------------------------------------------

    def _emit(self, text: str) -> None:
        if text:
            self._out.append(text)
            newline = text.rfind("\n")
            if newline >= 0:
                self._line_start = self._length + newline + 1
            self._length += len(text)

    def _plain(self, text: str) -> None:
        if text.strip():
            self._next = None
        self._emit(text)

    def _blank(self, text: str) -> None:
        """Leave out, but keep the lines."""
        self._emit("\n" * text.count("\n"))

    # --- tokens -----------------------------------------------------------------------------------------------

    def _comment(self, comment: str) -> None:
        if comment.strip("%-=* \t"):
            self._comments += 1

    def _shorthand(self, token: re.Match[str]) -> None:
        if self._is_german:
            self._emit(_SHORTHANDS[token["shorthand"]])
        else:
            self._emit('"')
            self._position = token.start() + 1

    def _environment(self, edge: str, name: str) -> None:
        if edge == "begin" and (name in _VERBATIM or name in _MATH or name == "comment"):
            start = self._position
            close = self._find(f"\\end{{{name}", start)
            if close >= 0:
                end = self._text.find("}", close) + 1 or len(self._text)
                self._position = end
                if name == "comment":
                    self._comments += 1
                    self._blank(self._text[start:end])
                else:
                    self._emit(
                        self._text[start:close]
                        if name in _VERBATIM
                        else f"\\begin{{{name}}}{self._text[start:end]}"
                    )
                return
        if edge == "end" and name == "document":
            self._end()
        elif name not in _LAYOUT and name not in _VERBATIM:
            self._emit(f"\\{edge}{{{name}}}")
        elif edge == "begin":
            self._options()
            self._cells = self._names = 0
            if name == "frame":
                self._next = _Brace(job="heading", level=_LEVELS["frametitle"])
            elif count := _LAYOUT.get(name, 0):
                self._next = _Brace(job="skip", more=count - 1)

    def _end(self) -> None:
        """What is behind the end of the document is in no document."""
        rest = self._text[self._position :]
        if "\\begin{document}" in rest:
            return
        self._comments += bool(rest.strip())
        self._blank(rest)
        self._position = len(self._text)

    def _formula(self, mark: str, start: int) -> None:
        if mark == "$":
            found = _INLINE.match(self._text, start)
            if found is not None:
                self._position = found.end()
                self._emit(found[0])
                return
        else:
            closer = {"$$": "$$", "\\(": "\\)", "\\[": "\\]"}[mark]
            close = self._find(closer, self._position)
            if close >= 0:
                self._position = close + 2
                self._emit(self._text[start : self._position])
                return
        self._emit(mark)

    def _find(self, mark: str, start: int) -> int:
        """Where `mark` stands next; a mark that is not in the rest of the text is looked for once."""
        if mark in self._missing:
            return -1
        found = self._text.find(mark, start)
        if found < 0:
            self._missing.add(mark)
        return found

    def _escaped(self, character: str) -> None:
        if character == "\\":
            self._names = self._names or self._cells
            self._cells = 0
            self._position = _OPTIONS.match(self._text, self._position).end()  # type: ignore[union-attr]
            self._emit("" if self._text[self._position : self._position + 1] == "\n" else " ")
        elif character in "-/@":
            pass
        else:
            self._emit(
                {",": " ", ";": " ", ":": " ", "!": "", " ": " ", "\n": "\n"}.get(character, character)
            )

    def _define(self, start: int) -> bool:
        """Take note of a command that the author makes, if it represents plain text or for its argument in other type."""
        found = _MACRO.match(self._text, start)
        if found is None or len(self._macros) >= _MOST_MACROS:
            return False
        begin, depth = found.end(), 0
        for end in range(begin, min(len(self._text), begin + _LONGEST_MACRO)):
            depth += {"{": 1, "}": -1}.get(self._text[end], 0)
            if not depth:
                break
        else:
            return False
        name, body = found[1] or found[2] or found[4], self._text[begin + 1 : end]
        count = (found[3] or "").strip("[]") or str((found[5] or "").count("#"))
        if name in body or count not in ("0", "1") or (count == "1" and body.count("#1") != 1):
            return False
        said = (
            _Writer(body.replace("#1", "\ue000"))
            if "\\newcommand" not in body and "\\def" not in body
            else None
        )
        if said is None:
            return False
        said.run()
        self._macros[name] = "".join(said._out)
        self._position = end + 1
        self._blank(self._text[start : end + 1])
        return True

    def _use(self, name: str) -> None:
        """What a command of the author represents."""
        begin, mark, end = self._macros[name].partition("\ue000")
        if mark:
            self._next = _Brace(end, begin=begin)
            return
        self._emit(begin)
        if self._text[self._position : self._position + 2] == "{}":
            self._position += 2
        else:
            self._blanks()

    def _verbatim_link(self, name: str) -> bool:
        """An address, in which nothing is a mark; that of a link goes."""
        found = _LINK.match(self._text, self._position)
        if found is None:
            return False
        self._position = found.end()
        if name != "href":
            self._emit(found[1].replace("\\", ""))
        else:
            self._next = _Brace()
        return True

    def _command(self, name: str, written: str) -> None:
        self._next = None
        if name in self._macros:
            self._use(name)
        elif not (
            (name in _DEFINING and self._define(self._position - len(written)))
            or (name in _LINKS and self._verbatim_link(name))
        ):
            self._known_command(name, written)

    def _known_command(self, name: str, written: str) -> None:  # noqa: C901
        if name in _RULES and self._names > 0:
            if not self._out or self._out[-1].endswith("\n"):
                self._emit(" | ".join(["---"] * (self._names + 1)))
            self._names = -1
        if name in _OVERLAID and (overlay := _OVERLAY.match(self._text, self._position)):
            self._position = overlay.end()
        if name in _BESIDE and self._out and not self._out[-1][-1:].isspace():
            self._emit(" ")
        if name in _LEVELS:
            self._options()
            self._next = _Brace(job="heading", level=_LEVELS[name])
        elif name == "title":
            self._options()
            self._next = _Brace(job="title")
        elif name == "item":
            label = _OPTION.match(self._text, self._position)
            self._emit("- ")
            self._position += len(label[0]) if label else 0
            self._emit(f"{label[1]} " if label else "")
            self._blanks()
        elif name in _SYMBOLS:
            self._emit(_SYMBOLS[name])
            self._blanks()
        elif name in _DROPPED:
            self._options()
            self._blanks()
        elif name in _WRAPPED:
            begin, end = _WRAPPED[name]
            if name in _CITED and (option := _OPTION.match(self._text, self._position)) and option[1].strip():
                begin = f"{begin}{option[1].replace('~', ' ')}, "
            self._options()
            self._next = _Brace(end, begin=begin)
        elif name in _SKIPPED:
            self._options()
            self._next = _Brace(job="skip", more=_SKIPPED[name] - 1)
        elif name == "includegraphics":
            self._options()
            self._next = _Brace(job="picture")
        elif name == "iffalse" and (close := self._find("\\fi", self._position)) >= 0:
            self._comments += 1
            self._blank(self._text[self._position : close])
            self._position = close + 3
        else:
            options = _OPTIONS.match(self._text, self._position)
            self._emit(written + (options[0] if options else ""))
            self._position = options.end() if options else self._position
            self._next = _Brace("}", "raw", "{")

    def _options(self) -> None:
        self._position = _OPTIONS.match(self._text, self._position).end()  # type: ignore[union-attr]

    def _blank_before(self, position: int) -> str:
        return "" if self._text[position : position + 1] in (" ", "\n") else " "

    def _blanks(self) -> None:
        while self._text[self._position : self._position + 1] in (" ", "\t"):
            self._position += 1

    def _brace(self, brace: str) -> None:
        if brace == "}":
            if self._braces:
                self._close(self._braces.pop())
            else:
                self._emit("}")
            return
        opened = self._next or _Brace()
        self._next = None
        if opened.job in self._within:
            opened = _Brace()  # a heading in a heading is a slip, and what is left out is left out once
        elif opened.job in _NEVER_NESTED:
            self._within.add(opened.job)
        opened.start = self._line_start
        self._emit("#" * min(6, opened.level) + " " if opened.level else opened.begin)
        opened.first = len(self._out)
        self._braces.append(opened)

    def _close(self, brace: _Brace) -> None:
        self._within.discard(brace.job)
        match brace.job:
            case "heading":
                self._heading(brace, "".join(self._out[brace.first :]))
            case "title":
                self._title = self._title or "".join(self._out[brace.first :])
            case "skip" | "picture":
                self._drop(brace)
        self._emit(brace.end)
        if brace.job in ("heading", "title") and self._text[self._position : self._position + 1] in (
            "{",
            "\\",
        ):
            self._emit(" ")
        if brace.job == "raw":
            self._next = _Brace("}", "raw", "{")
        elif brace.job == "skip" and brace.more:
            self._next = _Brace(job="skip", more=brace.more - 1)

    def _drop(self, brace: _Brace) -> None:
        dropped = "".join(self._out[brace.first :])
        del self._out[brace.first :]
        self._length -= len(dropped)
        if "\n" in dropped:
            self._blank(dropped)
        if brace.job == "picture":
            self._pictures.append(clean_line(dropped, limit=120))

    def _heading(self, brace: _Brace, title: str) -> None:
        title = clean_line(title, limit=LONGEST_HEADING)
        while self._open and self._open[-1][0] >= brace.level:
            self._open.pop()
        if title:
            self._open.append((brace.level, title))
        if self._sections[-1].first >= brace.start:
            self._sections.pop()
        self._sections.append(Section(brace.start, tuple(name for _, name in self._open)))


def _accented(letter: str, accent: str) -> str:
    return (
        unicodedata.normalize("NFC", letter + _COMBINING[accent])
        if letter
        else {"~": "~", "^": "^"}.get(accent, "")
    )
