"""Data that is text: JSON, JSON lines, YAML, TOML, INI, properties, XML."""

# ruff: noqa: E501 (tables of cases and small files)

from __future__ import annotations

import json
import random

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.wire import Reason
from ragchat.text import clean
from ragchat.types import ExtractedText, LeftOutKind


def read_text(name: str, text: str) -> ExtractedText:
    document = read(name, text.encode())
    assert document.text == clean(document.text)
    assert [section.first for section in document.sections] == sorted(
        {section.first for section in document.sections}
    )
    if document.source_lines:
        assert document.text.count("\n") == text.count("\n")
        assert not document.file_lines
    else:
        assert len(document.file_lines) == document.text.count("\n") + 1
    return document


def paths(document: ExtractedText) -> list[tuple[str, ...]]:
    return [section.path for section in document.sections]


def path_of(document: ExtractedText, words: str) -> tuple[str, ...]:
    at = document.text.index(words)
    return [section.path for section in document.sections if section.first <= at][-1]


def line_of(document: ExtractedText, words: str) -> int:
    """The line of the file at which `words` stand, as the document has it."""
    number = document.text[: document.text.index(words)].count("\n")
    return number + 1 if document.source_lines else document.file_lines[number]


# --- JSON -------------------------------------------------------------------------------------------------

JSON = r"""{
  "title": "Ferry log",
  "owner": {"name": "Tove", "address": {"city": "Kragerø"}},
  "boats": [
    {"id": 4, "name": "Måken", "length": 12.50, "crew": ["Ann", "Bo"], "note": "first\nsecond \u201cline\u201d \ud83d\ude00"},
    {"id": 5, "trips": [{"to": "Jomfruland", "on": true}, {"to": "Skåtøy", "by": null}]}
  ],
  "fee": 1e3
}
"""


def test_json() -> None:
    document = read_text("a.json", JSON)
    assert document.title == "Ferry log"
    for line in (
        "title: Ferry log",
        "owner.address.city: Kragerø",
        "length: 12.50",
        "crew: Ann, Bo",
        "on: true",
        "fee: 1e3",
    ):
        assert line in document.text.split("\n")
    assert "note: first\nsecond “line” 😀" in document.text
    assert "null" not in document.text
    assert path_of(document, "12.50") == ("boats", "Måken")
    assert path_of(document, "Skåtøy") == ("boats", "5", "trips", "2")
    assert path_of(document, "fee") == ()
    assert line_of(document, "Kragerø") == 3
    assert line_of(document, "Måken") == 5
    assert line_of(document, "Jomfruland") == 6
    assert line_of(document, "fee") == 8
    assert "\n\nid: 5" in document.text


def test_json_keeps_what_a_parser_would_drop() -> None:
    document = read_text(
        "a.json",
        '\ufeff{"a": 1, "a": 2, // why\n/* two\n words */ b: \'x\', "c": NaN, "d": [1, 2,],}\n{"next": 1}',
    )
    lines = document.text.split("\n")
    for line in ("a: 1", "a: 2", "// why", "// two", "// words", "b: x", "c: NaN", "d: 1, 2", "next: 1"):
        assert line in lines
    assert read_text("a.json", '{"n": 12345678901234567890.10}').text == "n: 12345678901234567890.10"


def test_broken_json_is_kept_as_it_is() -> None:
    document = read_text("a.json", '{"a": "caf\\u00e9" "b"\n so it ends')
    assert document.text == '{"a": "café" "b"\n so it ends'
    assert "shut" in read_text("a.json", '{"a": ["open", "never shut"').text


def test_many_numbers_and_encoded_data_are_reported() -> None:
    document = read_text(
        "a.geojson",
        '{"name": "Coast", "coordinates": [' + ", ".join(["[1.5, 2.5]"] * 90) + '], "few": [[1, 2], [3, 4]]}',
    )
    assert document.text == "name: Coast\nfew: 1, 2; 3, 4"
    assert [(left.kind, left.names) for left in document.left_out] == [
        (LeftOutKind.NUMBERS, ("180 numbers of coordinates",))
    ]
    document = read_text(
        "a.json", '{"picture": "data:image/png;base64,%s", "alt": "A pier"}' % ("iVBORw0KGgo" * 200)
    )
    assert document.text == "alt: A pier"
    assert document.left_out[0].kind == LeftOutKind.OBJECT
    words = read_text("a.json", json.dumps({"words": [f"word{n}" for n in range(300)]}))
    assert "- word299" in words.text


def test_json_lines() -> None:
    text = '{"title": "Kj\\u00f8l", "n": 1}\n\nbroken {"a": "\\u00e9\n{"messages": [{"role": "user", "content": "a\\nb"}]}\n"lone"\n[1, 2]\n'
    document = read_text("a.jsonl", text)
    assert document.text.split("\n\n") == [
        "title: Kjøl\nn: 1",
        'broken {"a": "é',
        "role: user\ncontent: a\nb",
        "lone",
        "1, 2",
    ]
    assert paths(document) == [("Kjøl",), ("2",), ("3", "messages", "1"), ("4",), ("5",)]
    assert [line_of(document, words) for words in ("Kjøl", "broken", "role", "lone", "1, 2")] == [
        1,
        3,
        4,
        5,
        6,
    ]
    assert paths(read_text("a.ndjson", '{\n"id": 1\n}\n{\n"id": 2\n}\n')) == [(), ("2",)]


# --- keyed ------------------------------------------------------------------------------------------------


def test_yaml() -> None:
    text = (
        '# head\ntitle: "Caf\\u00e9 \\"A\\"\\nB \\U0001F6A3"\nraw: \'C:\\u00e9\'\n# of the server\nserver:\n  port: 80\n  run: |\n'
        '    echo "\\u00e9"\n    fake: key\n  after: "long \\xE5\\\n    \\ rest \\xF8"\nlist:\n- a\n'
    )
    document = read_text("a.yaml", text)
    lines = document.text.split("\n")
    assert lines[1] == 'title: "Café "A" B 🚣"'
    assert lines[2] == "raw: 'C:\\u00e9'"
    assert lines[7] == '    echo "\\u00e9"'
    assert lines[9:11] == ['  after: "long å\\', '     rest ø"']
    assert paths(document) == [(), ("server",), ("list",)]
    assert document.text[document.sections[1].first :].startswith("# of the server\nserver:")


def test_yaml_items_documents_and_long_blocks() -> None:
    play = "- hosts: all\n  name: Set up\n  tasks: []\n- name: Tear down\n  tasks:\n  - name: inner\n"
    assert paths(read_text("a.yml", play)) == [("Set up",), ("Tear down",)]
    pods = "---\nkind: Pod\nmetadata:\n  name: web\n---\nkind: Service\nmetadata:\n  name: db\n"
    assert path_of(read_text("a.yml", pods), "name: db") == ("Service db", "metadata")
    long = "api:\n" + "".join(f"  path{n}:\n    get: yes\n" for n in range(40))
    assert path_of(read_text("a.yml", long), "path7:") == ("api", "path7")


def test_toml() -> None:
    text = (
        't = "\\u00c5"\nl = \'C:\\u00e5\'\nm = """\nx \\u00e5 \\\ny"""\nq = \'\'\'\n[no]\n\\u00e5\'\'\'\n[a."b.c"]\nk = 1\n[[row]]\n'
        'name = "Nail"\n[[row]]\nk = 2\n'
    )
    document = read_text("a.toml", text)
    assert document.text.split("\n")[:5] == ['t = "Å"', "l = 'C:\\u00e5'", 'm = """', "x å \\", 'y"""']
    assert document.text.split("\n")[7] == "\\u00e5'''"
    assert paths(document)[-3:] == [("a", "b.c"), ("row", "Nail"), ("row", "2")]


def test_ini_and_properties() -> None:
    document = read_text("a.ini", 'top=1\n; about\n[Main part]\na = C:\\new\n[other "x"] # c\nb=2\n')
    assert document.text.split("\n")[3] == "a = C:\\new"
    assert paths(document) == [(), ("Main part",), ('other "x"',)]
    document = read_text(
        "a.properties",
        "# \\u00e5\nkey\\:a=Gr\\u00fc\\u00dfe \\\n  more\npath=C\\:\\\\x\nboat=\\uD83D\\uDEA3\n",
    )
    assert document.text == "# \\u00e5\nkey:a=Grüße \\\n  more\npath=C:\\x\nboat=🚣\n"
    assert "Grüße" in read("b.properties", "a=Grüße\n".encode("latin-1")).text


# --- XML --------------------------------------------------------------------------------------------------


def test_xml_data() -> None:
    text = (
        '<?xml version="1.0"?>\n<!-- of the harbour -->\n<harbour xmlns="urn:x"><title>Log</title>\n<master><name>Ivar &amp; S&#248;n</name></master>\n'
        '<!-- for\n winter -->\n<berth id="7"><boat>Måken</boat><fee unit="kr">90</fee></berth>\n<berth id="8"><name>West</name><free/></berth>\n'
        "<note>Ring <b>the</b> bell.</note><code><![CDATA[a < b]]></code></harbour>\n"
    )
    document = read_text("a.xml", text)
    assert document.title == "Log"
    lines = document.text.split("\n")
    for line in ("of the harbour", "title: Log", "master.name: Ivar & Søn", "// for", "// winter", "boat: Måken", "fee: 90 (unit=kr)",
                 "name: West", "free", "note: Ring the bell.", "code: a < b"):  # fmt: skip
        assert line in lines
    assert path_of(document, "Måken") == ("berth", "7")
    assert path_of(document, "free") == ("berth", "West")
    assert [line_of(document, words) for words in ("of the", "Søn", "winter", "Måken", "free")] == [
        2,
        4,
        6,
        7,
        8,
    ]


def test_xml_vocabularies() -> None:
    feed = (
        "<rss><channel><title>News</title><item><title>One</title><description>&lt;p&gt;Hello &lt;b&gt;you&lt;/b&gt;&lt;/p&gt;</description>"
        "</item><item><title>Two</title><description><![CDATA[<p>Tea &nbsp;time</p>]]></description></item></channel></rss>"
    )
    document = read_text("feed.xml", feed)
    assert "description: Hello you" in document.text
    assert "<p>" not in document.text
    assert document.title == "News"
    assert path_of(document, "Hello you")[-1] == "One"
    assert (
        "string app: Log book"
        in read_text("a.xml", '<resources><string name="app">Log book</string></resources>').text
    )
    plist = "<plist><dict><key>Boat</key><string>Måken</string><key>At sea</key><true/></dict></plist>"
    assert "dict.Boat: Måken\ndict.At sea: true" in read_text("a.xml", plist).text
    xliff = '<xliff><file><body><trans-unit id="a"><source>Sea</source><target>Meer</target></trans-unit><trans-unit id="b"><source>x</source><target>y</target></trans-unit></body></file></xliff>'
    assert "source: Sea\ntarget: Meer" in read_text("a.xml", xliff).text


DOCBOOK = """<book><title>Boats</title><chapter><title>Hulls</title>
<para>A <emphasis>long</emphasis>
 hull<footnote><para>Or two.</para></footnote>.</para><!-- inner note -->
<section><title>Keels</title><programlisting>int a;
  b &lt; c;</programlisting><itemizedlist><listitem><para>fin</para></listitem></itemizedlist>
<table><title>Sizes</title><tgroup><thead><row><entry>N</entry><entry>M</entry></row></thead>
<tbody><row><entry>1</entry><entry>2</entry></row></tbody></tgroup></table>
<figure><mediaobject><imageobject><imagedata fileref="keel.png"/></imageobject><textobject><phrase>a fin</phrase></textobject></mediaobject></figure>
</section></chapter></book>"""


def test_xml_prose() -> None:
    document = read_text("a.dbk", DOCBOOK)
    for block in (
        "A long hull [Or two.].",
        "inner note",
        "```\nint a;\n  b < c;\n```",
        "- fin",
        "| 1 | 2 |",
        "Sizes",
        "a fin",
    ):
        assert block in document.text
    assert path_of(document, "- fin") == ("Boats", "Hulls", "Keels")
    assert [(left.kind, left.names) for left in document.left_out] == [(LeftOutKind.PICTURE, ("keel.png",))]
    assert line_of(document, "| 1 | 2 |") == 7


def test_xml_entities() -> None:
    head = '<!DOCTYPE a [<!ENTITY e "the Bee & Co"><!ENTITY hive "Hive">'.replace(" & ", " and ")
    text = read_text("a.xml", f"{head}]><a><b>&e; keeps one &hive;</b><b>&hive;s</b></a>").text
    assert "the Bee and Co keeps one Hive" in text
    assert "Hives" in text
    laughs = '<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;"><!ENTITY z SYSTEM "file:///etc/passwd">'
    text = read_text("a.xml", f"<!DOCTYPE a [{laughs}]><a><b>&x; &y; &z;</b><c>kept</c></a>").text
    assert "ha &y; &z;" in text
    assert "kept" in text
    long = f'<!DOCTYPE a [<!ENTITY x "{"h" * 400}">]><a>' + "&x;" * 50_000 + "</a>"
    assert len(read_text("a.xml", long).text) < 2_000_000
    assert read_text("a.xml", '<!DOCTYPE a [<!ENTITY e "boom">]><a>plain</a>').text == "a: plain"
    assert read_text("a.xml", "<a>caf&eacute;&nbsp;bar &odd;</a>").text.split() == [
        "a:",
        "café",
        "bar",
        "&odd;",
    ]


def test_broken_xml() -> None:
    assert read_text("a.xml", "<log><e>1 & 2 < 3</e></log>").text == "e: 1 & 2 < 3"
    many = read_text("a.xml", "<e><t>one</t></e>\n<e><t>two</t></e>\n")
    assert (line_of(many, "one"), line_of(many, "two")) == (1, 2)
    assert read_text("a.xml", "no XML &uuml;ber <").text == "no XML über <"
    deep = "<a>" * 400 + "deep words" + "</a>" * 400
    assert "deep words" in read_text("a.xml", deep).text


def test_xml_in_other_encodings() -> None:
    assert (
        "Grüße €"
        in read("a.xml", '<?xml version="1.0" encoding="iso-8859-1"?><a>Grüße €</a>'.encode("cp1252")).text
    )
    assert (
        "Grüße"
        in read("a.xml", '<?xml version="1.0" encoding="utf-16"?><a>Grüße</a>'.encode("utf-16-le")).text
    )
    lines = "<r>\n" + "<b>x</b>\n" * 66_000 + "<c>last</c></r>"
    assert line_of(read_text("a.xml", lines), "last") == 66_002


# --- all of them ------------------------------------------------------------------------------------------

CANARIES: list[tuple[str, str, str, str | LeftOutKind]] = [
    ("a.json", '{"%s": 1}', "key", "found"), ("a.json", '{"a": "%s"}', "value", "found"), ("a.json", '["%s", "x"]', "item", "found"),
    ("a.json", '[{"a": [{"b": "%s"}]}]', "nested", "found"), ("a.json", '{"a": {"%s": {"b": 1}}}', "inner key", "found"),
    ("a.json", '{"a": 1} // %s', "comment", "found"), ("a.json", "\"%s\"", "lone string", "found"), ("a.json", '{"%s": [{"b": 1}]}', "array key", "section"),
    ("a.jsonl", '{"a": 1}\n{"b": "%s"}\n', "line", "found"), ("a.jsonl", '{"a": 1}\n%s {\n', "broken line", "found"),
    ("a.yaml", "%s: 1\n", "key", "found"), ("a.yaml", "a: |\n  %s\n", "block", "found"), ("a.yaml", "a: 1 # %s\n", "comment", "found"),
    ("a.toml", "[%s]\na=1\n", "table", "found"), ("a.toml", "# %s\n", "comment", "found"), ("a.ini", "[%s]\n", "head", "found"),
    ("a.conf", "; %s\n", "comment", "found"), ("a.properties", "! %s\n", "comment", "found"),
    ("a.xml", "<a>%s</a>", "text", "found"), ("a.xml", "<a><b/>%s</a>", "tail", "found"), ("a.xml", '<a><b c="%s"/><d/></a>', "attribute", "found"),
    ("a.xml", '<a><b c="%s"><d>x</d></b></a>', "attribute of a container", "found"), ("a.xml", "<a><!-- %s --><b>x</b></a>", "comment", "found"),
    ("a.xml", "<a>x<!-- %s -->y</a>", "inner comment", "found"), ("a.xml", "<a><![CDATA[%s]]></a>", "cdata", "found"),
    ("a.xml", "<a>x</a><!-- %s -->", "comment at the end", "found"), ("a.xml", "<a><%s/><b>1</b></a>", "empty element", "found"),
    ("a.xml", '<book><para xml:lang="en">x</para><mediaobject><alt>%s</alt></mediaobject></book>', "alt", "found"),
    ("a.xml", "<book><info><subtitle>%s</subtitle></info><para>x</para></book>", "subtitle", "found"),
    ("a.xml", "<book><para>a<footnote><para>%s</para></footnote></para></book>", "footnote", "found"),
    ("a.xml", '<book><para>a</para><imagedata fileref="%s"/></book>', "picture", LeftOutKind.PICTURE),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "pattern", "place", "expected"), CANARIES, ids=[f"{one[0]} {one[2]}" for one in CANARIES]
)
def test_canaries(name: str, pattern: str, place: str, expected: str | LeftOutKind) -> None:
    document = read_text(name, pattern % "kanarivogel")
    if expected == "found":
        assert "kanarivogel" in document.text
    elif expected == "section":
        assert any("kanarivogel" in path for path in paths(document))
    else:
        assert expected in [left.kind for left in document.left_out]


SAMPLES = [("a.json", JSON), ("a.jsonl", JSON.replace("\n", " ") + "\n{}"), ("a.dbk", DOCBOOK), ("a.xml", "<a><b c='d'>x &amp; y</b></a>"),
           ("a.yaml", 'a: "x\\u00e9"\nb:\n  - c: |\n      d\n'), ("a.toml", '[a]\nb = """\nc"""\n')]  # fmt: skip


@pytest.mark.parametrize(("name", "text"), SAMPLES, ids=[name for name, _ in SAMPLES])
def test_mutations(name: str, text: str) -> None:
    rng = random.Random(5)
    data = text.encode()
    for _ in range(100):
        mutated = bytearray(data[: rng.randrange(1, len(data) + 1)])
        for _ in range(rng.randrange(4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        try:
            read(name, bytes(mutated))
        except IngestError as error:
            assert str(error) in set(Reason)  # noqa: PT017


HOSTILE = [
    ("a.json", "[" * 100_000), ("a.json", "[1," * 100_000 + "]" * 100_000), ("a.json", '{"a":' * 100_000), ("a.json", '[{"a":' * 50_000),
    ("a.json", '"' * 100_000), ("a.json", "/*" * 100_000), ("a.json", '{"a":\'' + "\\'" * 100_000), ("a.json", "{" + '"k":' * 100_000),
    ("a.json", '{"a": "' + "x y " * 1_200_000 + '"}'), ("a.jsonl", "[" * 100_000 + "\n" + "{" * 1000),
    ("a.yaml", '"\\' * 1_000_000), ("a.yaml", '": ' * 500_000), ("a.yaml", "a: |\n" * 100_000), ("a.toml", '"""' * 500_000), ("a.toml", "[" * 2_000_000),
    ("a.xml", "<a>" * 500_000), ("a.xml", "<a><![CDATA[" * 200_000), ("a.xml", "&" * 2_000_000), ("a.xml", "<" * 2_000_000), ("a.xml", "<!--" * 500_000),
    ("a.xml", "<!ENTITY a " * 100_000), ("a.xml", "<a>" + "x " * 6_000_000 + "</a>"),
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("name", "text"), HOSTILE, ids=[f"{name} {text[:8]!r}" for name, text in HOSTILE])
def test_hostile(name: str, text: str) -> None:
    read(name, text.encode())


def test_texts_in_parts_and_data_of_scripts() -> None:
    parts = [{"id": 1, "text": ["See ", {"type": "link", "text": "the page"}, " for \"all\""],
              "text_entities": [{"type": "plain", "text": "See "}, {"type": "link", "text": "the page"}, {"type": "plain", "text": " for \"all\""}]}]  # fmt: skip
    document = read_text("chat.json", json.dumps({"messages": parts}))
    assert document.text == 'id: 1\ntext: See the page for "all"'
    document = read_text("posts.json", 'window.YTD.posts.part0 = [{"id": "7", "full_text": "Gr\\u00fcn"}];\n')
    assert document.text == "id: 7\nfull_text: Grün"
    answers = '{"answers": [{"type": "a", "text": "One"}, {"type": "b", "text": "Two"}]}'
    assert "One" in read_text("quiz.json", answers).text.split("\n")[1]
    same = answers.replace("answers", "text")
    assert "OneTwo" not in read_text("quiz.json", same).text
    assert read_text("lines.json", '{"text": ["One", "Two"]}').text == "text: One, Two"


def test_records_say_the_keys_above_them() -> None:
    api = {"paths": {"/fees/{id}": {"get": {"parameters": [{"name": "id", "description": "A number."}]}}}}
    assert path_of(read_text("api.json", json.dumps(api)), "A number.") == (
        "paths",
        "/fees/{id}.get.parameters",
        "id",
    )


def test_xml_of_programs() -> None:
    document = read_text(
        "safe.xml",
        "<Root><Entry><String><Key>Title</Key><Value>Post</Value></String>"
        "<String><Key>Notes</Key><Value>Blue box</Value></String></Entry>"
        "<Entry><String><Key>Title</Key><Value>Bank</Value></String>"
        "<String><Key>Notes</Key><Value>Red box</Value></String></Entry></Root>",
    )
    assert document.text == "Title: Post\nNotes: Blue box\n\nTitle: Bank\nNotes: Red box"
    assert path_of(document, "Red box")[-1] == "Bank"
    strings = read_text("strings.xml", '<resources><string name="a">Don\\\'t\\u2026</string></resources>')
    assert strings.text == "string a: Don't…"
    drawing = '<doc><svg xmlns="http://www.w3.org/2000/svg"><style>.a{}</style><path d="M0 0"/><text x="3">Bow</text></svg></doc>'
    assert read_text("drawing.xml", drawing).text == "svg.text: Bow"


def test_xml_texts_with_notes_readings_and_numbered_lists() -> None:
    document = read_text(
        "letters.xml",
        "<TEI><text><body><div><head>One</head><p>The sea<note>A lake.</note> is <choice><sic>teh</sic><corr>the</corr></choice>"
        ' best <ref/> and un-<lb break="no"/>broken.</p></div></body></text></TEI>',
    )
    assert "The sea [A lake.] is teh [the] best and unbroken." in document.text
    steps = read_text(
        "steps.xml",
        "<article><title>Steps</title><orderedlist><listitem><para>Open.</para></listitem>"
        "<listitem><para>Run</para><screen>go</screen></listitem></orderedlist>"
        "<bibliography><biblioentry><title>A book</title></biblioentry></bibliography></article>",
    )
    assert "1. Open.\n2. Run\n" in steps.text
    assert paths(steps) == [("Steps",)]


def test_a_picture_of_a_book_counts_once() -> None:
    book = (
        '<FictionBook xmlns:l="x"><body><section><title><p>One</p></title><p>Text</p><image l:href="#a.png"/></section></body>'
        '<binary id="a.png">AAAA</binary></FictionBook>'
    )
    assert [left.phrase for left in read_text("book.xml", book).left_out] == ["1 picture (a.png)"]


def test_items_of_a_long_list_have_their_own_lines() -> None:
    items = ",\n".join(f'  "item number {n} of a list that is long"' for n in range(40))
    document = read("a.json", f'{{"things": [\n{items}\n]}}'.encode())
    at = document.text.split("\n").index("- item number 25 of a list that is long")
    assert document.file_lines[at] == 27
