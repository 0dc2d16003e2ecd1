"""A line of text that is gathered piece by piece, in which raised digits stay apart from what is before them."""

from __future__ import annotations


class TextLine:
    """The text of a paragraph while it is gathered."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._tail = ""
        self._raised = False

    def add(self, text: str) -> None:
        """Text of the line; letters and digits stay apart from a raised mark that is before them."""
        if not text:
            return
        if self._raised:
            self._raised = False
            if text[0].isdigit() or (text[0].isalpha() and len(self.pieces) == 1):
                text = f" {text}"
        self._append(text)

    def add_raised(self, text: str) -> None:
        """Superscript: digits after a digit or after a word are told from it ("10^3"); "m2" and "1st" are as they are."""
        if not text:
            return
        start = text.lstrip()
        is_signed = start[:1] in ("-", "−", "+") and start[1:2].isdigit() and self._tail[-1:].isdigit()
        if is_signed or (start[:1].isdigit() and not self._raised and self._needs_caret()):
            text = f"^{start}"
        self._append(text)
        self._raised = True

    @property
    def whole(self) -> str:
        """What was gathered."""
        return "".join(self.pieces)

    @property
    def text(self) -> str:
        """What was gathered, without white space around it."""
        return self.whole.strip()

    def _needs_caret(self) -> bool:
        last = self._tail[-1:]
        return (
            last.isdigit() or last in tuple(".,;:!?)”\"'’") or (len(self._tail) == 3 and self._tail.isalpha())
        )

    def _append(self, text: str) -> None:
        self.pieces.append(text)
        self._tail = (self._tail + text)[-3:]
