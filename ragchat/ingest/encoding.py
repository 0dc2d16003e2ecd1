"""Bytes as text: which encoding, which line ends."""

from __future__ import annotations

import codecs
import re

from ragchat.ingest.formats import looks_binary
from ragchat.ingest.wide import wide_encoding
from ragchat.text import clean

_BOMS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_SAMPLE = 65_536
_HEAD_BYTES = 4096
_DECLARED_WITHIN = 8192
_HIGH = bytes(range(128, 256))
_WIDE = bytes(range(7))

_DECLARATIONS = (
    re.compile(
        rb"<(?:meta|\?xml)\b[^<>]{0,400}?(?:charset|encoding)\s{0,4}=\s{0,4}[\"']?\s{0,4}([\w:.-]{2,30})",
        re.I,
    ),
    re.compile(rb"\A@charset \"([\w:.-]{2,30})\""),  # CSS
    re.compile(
        rb"\A(?:[^\n]{0,200}\n)?[^\n]{0,200}?coding[:=][ \t]{0,4}([\w.-]{2,30})"
    ),  # Python, Emacs, Vim
    re.compile(rb"content-type:[^\n]{0,80}?charset=[\"']?([\w:.-]{2,30})", re.I),  # gettext, saved mails
)
_ISO_8859 = re.compile(r"iso[-_]?8859[-_]?(\d{1,2})")
_LABELS = {
    "gb_2312-80": "gb18030", "cn-big5": "big5hkscs", "x-big5": "big5hkscs", "sjis": "cp932", "windows-31j": "cp932",
    "windows-949": "cp949", "ks_c_5601-1989": "cp949", "ksc_5601": "cp949", "eucpkdfmtjapanese": "euc_jp",
    "gb_2312": "gb18030", "sun_eu_greek": "iso8859-7",
    "windows-874": "cp874", "dos-874": "cp874", "logical": "iso8859-8", "visual": "iso8859-8", "koi": "koi8-r",
    "koi8": "koi8-r", "koi8-ru": "koi8-u", "mac": "mac-roman", "macintosh": "mac-roman", "mac-ukrainian": "mac-cyrillic",
    "user-defined": "cp1252", "iso-ir-149": "cp949", "ksc56011987": "cp949", "euckr": "cp949", "isolatin9": "iso8859-15",
}  # fmt: skip
"""Labels of the Encoding Standard that Python does not know, without "x-" and "cs" in front of them."""
_MEANT = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "big5hkscs",
}  # fmt: skip
"""What files under these names hold in truth, as the Encoding Standard has it."""

_C1 = re.compile(rb"[\x80-\x9f]")
_CAPITAL_WITHIN = re.compile("[a-zß-öø-ÿ][À-ÖØ-ÞŒŠŸŽ]")
_SIGN_WITHIN = re.compile("[a-zà-öø-ÿ][¡-¶¸-¿×÷][a-z]")
"""A sign in the middle of a word, where it was a letter: of Polish and Czech, say."""
_ESCAPED = re.compile(rb"\x1b\$(?:[@B]|\(D|\)C)")
_LEAST_GUESSED = 6
"""Letters beyond ASCII; on fewer a guess is no better than chance."""
_LIKELY = """
    cp1252 cp1250 iso8859_2 cp1251 koi8_r koi8_u cp866 iso8859_5 mac_cyrillic cp1253 cp1254 cp1255 cp1256 iso8859_6 cp874
    cp1258 cp949 gb18030 big5 mac_roman cp437 cp850 cp852
""".split()  # noqa: SIM905
_WESTERN = (
    "äöüßéèà", "àâæçéèêëîïôœùûüÿ", "åäöæøéü", "áéíóúñüïç", "ãõáéíóúâêôàç", "àèéìíîòóù", "áðéíóúýþæö", "äëïöüéèêóá", "õäöü",
)  # fmt: skip
"""Letters beyond ASCII of German, French, the Nordic languages, Spanish and Catalan, Portuguese, Italian, Icelandic, Dutch,
Estonian."""
_ALPHABETS = tuple(
    (encoding, tuple(frozenset(letters + letters.upper()) for letters in alphabets))
    for encoding, alphabets in (
        ("cp1252", _WESTERN),
        ("cp1250", ("áéíóöőúüű",)),
        ("cp1257", ("āčēģīķļņšūž", "ąčęėįšųūž")),
        ("cp850", _WESTERN),
        ("cp437", _WESTERN),
        ("mac_roman", _WESTERN),
    )
)


def looks_like_text(data: bytes) -> bool:
    """Whether the first bytes are those of a text in any encoding that `decode` knows."""
    return not looks_binary(data[:_HEAD_BYTES])


def decode(data: bytes) -> str:
    """Bytes as text: by byte order mark, as UTF-8, as the file declares, else by a guess. Never raises."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if encoding := _wide(data[:_HEAD_BYTES]):
        return data.decode(encoding, "replace")
    if b"\x1b$" in data[:_SAMPLE] and (escaped := _decode_escaped(data)):
        return escaped
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    return _decode_declared(data) or _decode_scarred(data) or data.decode(_guess_encoding(data), "replace")


def _wide(head: bytes) -> str:
    """The encoding of text whose characters take two or four bytes, or ''. Other text has no such bytes."""
    controls = len(head) - len(head.translate(None, _WIDE))
    return wide_encoding(head) if b"\0" in head or controls > len(head) // 50 else ""


def _decode_escaped(data: bytes) -> str:
    """Text in the seven-bit encodings of Japan and Korea, which switch their sets by escape sequences, or ''."""
    if not data.isascii() or not (escape := _ESCAPED.search(data[:_SAMPLE])):
        return ""
    encoding = "iso2022_kr" if escape[0].endswith(b")C") else "iso2022_jp_ext"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return ""


# --- declared -------------------------------------------------------------------------------------------


def codec_of(label: str) -> str:
    """Python's name of the encoding that a file's label means on the web; '' for one that no one knows."""
    label = label.strip().lower()
    bare = label.removeprefix("x-").removeprefix("cs")
    if numbered := _ISO_8859.match(bare):
        bare = f"iso8859-{numbered[1]}"
    for name in (label, _LABELS.get(bare, ""), bare, bare.replace("windows-", "cp")):
        try:
            codec = codecs.lookup(name) if name.isascii() else None
        except (LookupError, ValueError):
            continue
        if codec and codec._is_text_encoding and codec.name not in ("idna", "punycode", "utf-7"):
            name = _MEANT.get(codec.name, codec.name)
            return "utf-8" if name.startswith(("utf", "unicode", "raw")) else name
    return ""


def _decode_declared(data: bytes) -> str:
    """The text by the encoding that its head names; '' when there is none or it was plainly not that one."""
    head = data[:_DECLARED_WITHIN]
    found = next((match for pattern in _DECLARATIONS if (match := pattern.search(head))), None)
    encoding = codec_of(found[1].decode("ascii", "replace")) if found else ""
    if not encoding or encoding == "utf-8":
        return ""
    text = data.decode(encoding, "replace")
    return text if text.count("\ufffd") * 20 <= _count_high(data) else ""


def _count_high(data: bytes) -> int:
    return len(data) - len(data.translate(None, _HIGH))


# --- UTF-8 with a scar ------------------------------------------------------------------------------------


def _decode_scarred(data: bytes) -> str:
    """UTF-8 of which little is broken, or ''. Lines that were never UTF-8 are read as western European."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    whole = len(text) - (len(data) - _count_high(data)) - broken
    if whole <= 3 * broken:
        return ""
    if broken <= 2:
        return text
    return "\n".join(map(_decode_line, data.split(b"\n")))


def _decode_line(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        is_scarred = any(character > "\x7f" and character != "\ufffd" for character in text)
        return text if is_scarred else line.decode("cp1252", "replace")


# --- guessed ----------------------------------------------------------------------------------------------


def _guess_encoding(data: bytes) -> str:
    """The likeliest encoding of eight-bit text; with few letters beyond ASCII, western European."""
    sample = data[:_SAMPLE]
    high = _count_high(sample)
    if japanese := _japanese(sample, high):
        return japanese
    if high <= len(sample) // 50:
        return "cp1252"
    if latin := next((encoding for encoding, known in _ALPHABETS if _fits(sample, encoding, known)), ""):
        return latin
    if high < _LEAST_GUESSED:
        return "cp1252"
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_LIKELY).best()
    encoding = best.encoding if best is not None else "cp1252"
    if encoding == "cp1250" and not _C1.search(sample):
        return "iso8859_2"  # where Windows has some letters of every Slavic language, it has none
    if encoding == "cp1252" and len(_SIGN_WITHIN.findall(sample.decode("cp1252", "replace"))) * 10 > high:
        return "iso8859_2"
    return encoding


def _japanese(sample: bytes, high: int) -> str:
    """The encoding in which the sample is Japanese, or ''. Its text is full of kana, other text is not."""
    for encoding in ("euc_jp", "cp932"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(sample)
        except UnicodeDecodeError:
            continue
        kana = sum("\u3041" <= character <= "\u30fc" for character in text)
        if high >= 6 and kana * 2 * 5 >= high:
            return encoding
    return ""


def _fits(sample: bytes, encoding: str, alphabets: tuple[frozenset[str], ...]) -> bool:
    """Whether the letters beyond ASCII, read in this encoding, are nearly all of one of these alphabets."""
    text = sample.decode(encoding, "replace")
    letters = [character for character in text if character > "\x7f" and character.isalpha()]
    others = sum(character > "\x7f" and not character.isalpha() for character in text)
    wrong = len(_CAPITAL_WITHIN.findall(text)) + len(_SIGN_WITHIN.findall(text))
    if "\ufffd" in text or wrong * 10 > len(letters):
        return False
    if len(letters) * 4 > len(text) or others > len(letters) + len(text) // 50:
        return False
    return any(sum(letter in known for letter in letters) * 50 >= len(letters) * 49 for known in alphabets)


# What some call a line end and editors do not: they must not become one, or line numbers would be wrong.
_NOT_LINE_ENDS = dict.fromkeys((0x0B, 0x0C, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029), " ")


def source_text(text: str) -> str:
    """Clean text whose lines are those that an editor numbers."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii() or "\x0b" in text or "\x0c" in text:
        text = text.translate(_NOT_LINE_ENDS)
    return clean(text)
