"""Encodings: what files declare, what they hold without saying so, and what is no text at all."""

# ruff: noqa: E501 (samples of text)

from __future__ import annotations

import gzip
import random
import struct
import zlib

import pytest

from ragchat.ingest.encoding import codec_of, decode, looks_like_text
from ragchat.ingest.formats import looks_binary
from ragchat.ingest.wide import wide_encoding

POLISH = "Sąsiadka przyniosła świeże jabłka, żółty ser i chleb. Dziękujemy jej za życzliwość, bo sklep był już zamknięty. "
CZECH = "Soused přinesl čerstvá jablka, žlutý sýr a chléb. Děkujeme mu, protože obchod už byl zavřený a všichni měli hlad. "
RUSSIAN = "Соседка принесла свежие яблоки, жёлтый сыр и хлеб. Спасибо ей, потому что магазин был уже закрыт. "
GREEK = (
    "Η γειτόνισσα έφερε φρέσκα μήλα, κίτρινο τυρί και ψωμί. Την ευχαριστούμε, γιατί το μαγαζί ήταν κλειστό. "
)
TURKISH = "Komşumuz taze elma, sarı peynir ve ekmek getirdi. Dükkân çoktan kapalı olduğu için ona teşekkür ediyoruz. "
JAPANESE = "隣の人が新しいりんごと黄色いチーズとパンを持ってきてくれました。店はもう閉まっていたので、とても助かりました。"
KOREAN = "이웃이 싱싱한 사과와 노란 치즈와 빵을 가져왔습니다. 가게가 이미 닫혀 있어서 정말 고마웠습니다. "
CHINESE = "邻居带来了新鲜的苹果、黄色的奶酪和面包。商店已经关门了，所以我们非常感谢她。"
HEBREW = "השכנה הביאה תפוחים טריים, גבינה צהובה ולחם. אנחנו מודים לה מאוד, כי החנות כבר הייתה סגורה. "
GERMAN = "Die Nachbarin brachte frische Äpfel, gelben Käse und Brötchen. Wir danken ihr schön, denn der Laden war schon zu. "
FRENCH = "La voisine a apporté des pommes fraîches, du fromage très doux et du pain. Nous la remercions, la boutique était fermée. "
SWEDISH = "Grannen kom med färska äpplen, gul ost och bröd. Vi är tacksamma, för affären på hörnet hade redan stängt för kvällen. "


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (POLISH, "cp1250"), (POLISH, "iso-8859-2"), (CZECH, "cp1250"), (CZECH, "iso-8859-2"), (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"), (RUSSIAN, "cp866"), (GREEK, "cp1253"), (TURKISH, "cp1254"), (HEBREW, "cp1255"),
        (JAPANESE, "cp932"), (JAPANESE, "euc_jp"), (JAPANESE, "iso2022_jp"), (KOREAN, "cp949"), (CHINESE, "gbk"),
        (GERMAN, "cp1252"), (FRENCH, "cp1252"), (SWEDISH, "cp1252"), (FRENCH, "mac_roman"), (SWEDISH, "cp437"),
    ],
)  # fmt: skip
def test_guessed(text: str, encoding: str) -> None:
    assert decode((text * 3).encode(encoding)) == text * 3


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"), ("latin1", "cp1252"), ("us-ascii", "cp1252"), ("iso88591", "cp1252"), ("x-cp1252", "cp1252"),
        ("gb2312", "gb18030"), ("GBK", "gb18030"), ("x-gbk", "gb18030"), ("gb_2312-80", "gb18030"), ("Shift_JIS", "cp932"),
        ("x-sjis", "cp932"), ("windows-31j", "cp932"), ("euc-kr", "cp949"), ("ks_c_5601-1987", "cp949"), ("csksc56011987", "cp949"),
        ("iso-8859-9", "cp1254"), ("latin5", "cp1254"), ("iso-8859-11", "cp874"), ("tis-620", "cp874"), ("windows-874", "cp874"),
        ("koi8", "koi8-r"), ("x-mac-cyrillic", "mac-cyrillic"), ("macintosh", "mac-roman"), ("iso-8859-8-i", "iso8859-8"),
        ("big5-hkscs", "big5hkscs"), ("x-x-big5", "big5hkscs"), ("x-user-defined", "cp1252"), ("utf-16", "utf-8"), ("unicode", ""),
        ("utf8", "utf-8"), ("rot13", ""), ("base64", ""), ("punycode", ""), ("nonsense", ""), ("ünicode", ""),
    ],
)  # fmt: skip
def test_labels_mean_what_the_web_means(label: str, codec: str) -> None:
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    "head",
    [
        '<meta charset="iso-8859-2">\n', "<meta charset=latin2>\n", "<?xml version='1.0' encoding='ISO-8859-2'?>\n",
        '<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-2">\n', '@charset "iso-8859-2";\n',
        "#!/usr/bin/python\n# -*- coding: iso-8859-2 -*-\n", ".. -*- coding: latin2 -*-\n", "# vim: set fileencoding=latin2 :\n",
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=ISO-8859-2\\n"\n',
        "<!-- " + "x" * 5000 + ' -->\n<meta charset="iso-8859-2">\n',
    ],
)  # fmt: skip
def test_declared(head: str) -> None:
    text = head + "żółw"  # too little to be guessed
    assert decode(text.encode("iso-8859-2")) == text


def test_a_declaration_that_cannot_be_true_is_not_believed() -> None:
    text = '<meta charset="utf-16"><p>' + GERMAN
    assert decode(text.encode("cp1252")) == text
    assert decode(text.encode()) == text
    text = '<meta charset="us-ascii"><p>„Käse“ – 5 €'
    assert decode(text.encode("cp1252")) == text


@pytest.mark.parametrize(
    "text",
    [POLISH, RUSSIAN, GREEK, JAPANESE, KOREAN, CHINESE, HEBREW, GERMAN, "One line.\r\nTwo.\r\n", "ja\n"],
)
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_without_a_mark(text: str, encoding: str) -> None:
    data = (text + "\n").encode(encoding)
    assert looks_like_text(data)
    assert not looks_binary(data[:4096])
    assert decode(data) == text + "\n"
    long = ((text + "\n") * 200).encode(encoding)
    assert decode(long) == (text + "\n") * 200


def binaries() -> list[bytes]:
    rng = random.Random(11)
    samples = [int(9000 * (n % 50 - 25) / 25) for n in range(2000)]
    numbers = [rng.randrange(0, 300) for _ in range(1000)]
    return [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\6\0\0\0" + zlib.compress(rng.randbytes(2000)),
        b"\x7fELF\2\1\1" + b"\0" * 9 + b"\2\0\x3e\0\1\0\0\0" + rng.randbytes(3000),
        gzip.compress(POLISH.encode() * 50),
        rng.randbytes(4096),
        b"".join(struct.pack("<h", sample) for sample in samples),
        b"".join(struct.pack(">h", sample) for sample in samples),
        b"".join(struct.pack("<i", number) for number in numbers),
        b"".join(struct.pack("<H", number) for number in numbers),
        b"".join(struct.pack("<d", number / 7) for number in numbers),
        b"text\0more\0" * 100,
        b"\0" * 4096,
    ]


@pytest.mark.parametrize("data", binaries(), ids=range(11))
def test_binary_is_no_text(data: bytes) -> None:
    assert not looks_like_text(data)
    assert wide_encoding(data[:4096]) == ""


def test_utf_8_with_scars() -> None:
    large = GERMAN.encode() * 2000
    scarred = large[:70_000] + b"\xff" + large[70_000:]
    assert decode(scarred).replace("\ufffd", "") == decode(scarred[:70_000]) + decode(large[70_000:])
    mixed = (GERMAN + "\n").encode() * 9 + "Grüße aus Köln\n".encode("cp1252") * 3
    assert decode(mixed) == (GERMAN + "\n") * 9 + "Grüße aus Köln\n" * 3


def test_logs_with_escape_sequences_are_no_japanese() -> None:
    assert decode(b"\x1b(B\x1b[m plain \x1b$x") == "\x1b(B\x1b[m plain \x1b$x"


@pytest.mark.timeout(20)
def test_hostile_bytes_cost_little() -> None:
    for data in (
        b"\x1b$" * 2_000_000,
        b"<meta " * 700_000,
        b"coding:" * 500_000,
        b"\xe9 " * 2_000_000,
        b"\0" * 5_000_000,
    ):
        decode(data)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        (
            "iso8859_2",
            "Biblioteka jest otwarta codziennie od dziewiątej, książki można wypożyczyć na dwa tygodnie. Żółw śpi źle. ",
        ),
        (
            "cp1257",
            "Malūnas atidarytas kasdien nuo devintos iki penktos, vaikams įėjimas nemokamas. Žąsis išėjo į ūkį. ",
        ),
        (
            "cp1257",
            "Dzirnavas ir atvērtas katru dienu no deviņiem līdz pieciem, bērniem ieeja ir bez maksas. Ņem līdzi ūdeni. ",
        ),
        (
            "cp1252",
            "¿Cuándo abre el molino? Los niños entran gratis el día 1º. ¡Qué bien! La col·lecció és nova, l’eau fraîche. ",
        ),
    ],
)
def test_guesses(encoding: str, said: str) -> None:
    assert decode((said * 3).encode(encoding)) == said * 3
