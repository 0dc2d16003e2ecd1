"""Web pages: everything that a person can read or unfold is in the text, and what is left out is said."""

from __future__ import annotations

import contextlib
import random
import re
import time

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.reading.web.page import read_html
from ragchat.types import ExtractedText, LeftOutKind

PROSE = "The lantern of the harbour is lit at dusk and put out by the keeper at dawn."


def body(markup: str, head: str = "") -> ExtractedText:
    return read_html(f"<!DOCTYPE html><html><head>{head}</head><body>{markup}</body></html>")


def text(markup: str, head: str = "") -> str:
    return body(markup, head).text


def left(document: ExtractedText, kind: LeftOutKind) -> int:
    return next((one.count for one in document.left_out if one.kind == kind), 0)


# --- every place of a page ---------------------------------------------------------------------------------

CANARIES: dict[str, tuple[str, str | LeftOutKind]] = {
    "form": ("<form><p>{}</p></form>", "found"),
    "button that opens": ("<h2><button aria-expanded=false>{}</button></h2>", "found"),
    "details": ("<details><summary>More</summary><p>{}</p></details>", "found"),
    "summary": ("<details><summary>{}</summary><p>x</p></details>", "found"),
    "hidden attribute": ("<div hidden><p>{}</p></div>", "found"),
    "until-found": ('<div hidden="until-found">{}</div>', "found"),
    "aria-hidden panel": ('<div class="panel" aria-hidden="true"><p>{}</p></div>', "found"),
    "dialog": ("<dialog><p>{}</p></dialog>", "found"),
    "tab": ('<div role="tabpanel" style="display:none">{}</div>', "found"),
    "collapsed by class": ('<div class="accordion-body" style="display: none">{}</div>', "found"),
    "referred panel": ('<a href="#p1">Open</a><p>and</p><div id="p1" style="display:none">{}</div>', "found"),
    "label's panel": (
        '<label for="p2">Open</label><p>and</p><div id="p2" style="display:none">{}</div>',
        "found",
    ),
    "script's panel": (
        '<p>x</p><div id="p3" style="display:none">{}</div><script>show("p3")</script>',
        "found",
    ),
    "behind its switch": ('<h3 onclick="t()">Q</h3><div style="display:none">{}</div>', "found"),
    "second main": ("<main><p>One.</p></main><main><p>{}</p></main>", "found"),
    "behind an empty main": ("<main></main><div><p>{}</p></div>", "found"),
    "second article": ("<article><p>One.</p></article><article><p>{}</p></article>", "found"),
    "related in an article": ('<article><p>One.</p><div class="related"><p>{}</p></div></article>', "found"),
    "aside in an article": ("<article><p>One.</p><aside><p>{}</p></aside></article>", "found"),
    "footer of an article": ("<article><p>One.</p><footer>{}</footer></article>", "found"),
    "never closed nav": (f"<nav><a href=x>Menu</a><div><p>{PROSE}<p>{{}}", "found"),
    "noscript": ("<noscript><p>{}</p></noscript>", "found"),
    "srcdoc": ('<iframe srcdoc="&lt;p&gt;{}&lt;/p&gt;"></iframe>', "found"),
    "textarea": ("<textarea>{}</textarea>", "found"),
    "input": ('<input value="{}">', "found"),
    "option": ("<select><option>x</option><option>{}</option></select>", "found"),
    "group of options": ('<select><optgroup label="{}"><option>x</option></optgroup></select>', "found"),
    "datalist": ("<datalist><option>{}</option></datalist>", "found"),
    "caption": ("<table><caption>{}</caption><tr><td>a<td>b<tr><td>c<td>d</table>", "found"),
    "cell": ("<table><tr><th>a<th>b<tr><td>c<td>{}</table>", "found"),
    "legend": ("<fieldset><legend>{}</legend></fieldset>", "found"),
    "label": ("<label>{}<input></label>", "found"),
    "figure caption": ("<figure><img src=a.png alt=''><figcaption>{}</figcaption></figure>", "found"),
    "alternative text": ('<img src="a.png" alt="A {} at sea">', "found"),
    "title of a picture": ('<img src="a.png" title="A {} at sea">', "found"),
    "abbreviation": ('<abbr title="{} of ports">PP</abbr>', "found"),
    "drawing": ("<svg><text>{}</text></svg>", "found"),
    "formula": (
        '<math><mi>x</mi><annotation encoding="application/x-tex">{}</annotation></math>',
        "found",
    ),
    "ruby": ("<ruby>base<rt>{}</rt></ruby>", "found"),
    "inserted": ("<ins>{}</ins>", "found"),
    "shadow tree": ('<x-card><template shadowrootmode="open"><p>{}</p></template></x-card>', "found"),
    "custom element": ("<my-note>{}</my-note>", "found"),
    "unknown element": ("<blurb>{}</blurb>", "found"),
    "object's fallback": ('<object data="a.bin"><p>{}</p></object>', "found"),
    "address": ("<address>{}</address>", "found"),
    "term": ("<dl><dt>{}</dt><dd>x</dd></dl>", "found"),
    "definition": ("<dl><dt>x</dt><dd>{}</dd></dl>", "found"),
    "plaintext": ("<plaintext>{}", "found"),
    "text outside of tags": ("{}", "found"),
    "behind body": ("</body></html><p>{}</p>", "found"),
    "light text in a styled box": ('<div style="background:#036;color:white">{}</div>', "found"),
    "shown again": ('<div style="font-size:0"><span style="font-size:14px">{}</span></div>', "found"),
    "struck out": ("<p>x <del>{}</del></p>", LeftOutKind.DELETED_TEXT),
    "struck out s": ("<p>x <s>{}</s></p>", LeftOutKind.DELETED_TEXT),
    "display none": ('<p>x</p><div style="display:none">{}</div>', LeftOutKind.HIDDEN_TEXT),
    "display none in a line": ('<p>x <span style="Display : None">{}</span></p>', LeftOutKind.HIDDEN_TEXT),
    "invisible": ('<p>x</p><p style="visibility:hidden">{}</p>', LeftOutKind.HIDDEN_TEXT),
    "no size": ('<p>x <span style="font-size:0px">{}</span></p>', LeftOutKind.HIDDEN_TEXT),
    "white on white": ('<p>x</p><p style="color:#FFF">{}</p>', LeftOutKind.HIDDEN_TEXT),
    "white font": ('<p>x</p><font color="white">{}</font>', LeftOutKind.HIDDEN_TEXT),
    "black on black": (
        '<p>x</p><p style="background:#000;color:rgb(0, 0, 0)">{}</p>',
        LeftOutKind.HIDDEN_TEXT,
    ),
    "transparent": ('<p>x</p><p style="color:transparent">{}</p>', LeftOutKind.HIDDEN_TEXT),
    "no opacity": ('<p>x</p><p style="opacity:0">{}</p>', LeftOutKind.HIDDEN_TEXT),
    "off the page": (
        '<p>x</p><div style="position:absolute;left:-9999px">{}</div>',
        LeftOutKind.HIDDEN_TEXT,
    ),
    "indented away": ('<p>x</p><p style="text-indent:-9999px">{}</p>', LeftOutKind.HIDDEN_TEXT),
    "no height": ('<p>x</p><div style="height:0;overflow:hidden">{}</div>', LeftOutKind.HIDDEN_TEXT),
    "for screen readers": ('<p>x <span class="sr-only">{}</span></p>', LeftOutKind.HIDDEN_TEXT),
    "picture": ('<img src="{}.png">', LeftOutKind.PICTURE),
    "video": ('<video src="{}.mp4"></video>', LeftOutKind.SOUND),
    "object": ('<object data="{}.bin"></object>', LeftOutKind.OBJECT),
    "frame of another site": ('<iframe src="https://example.org/{}"></iframe>', LeftOutKind.OBJECT),
}


@pytest.mark.parametrize("place", CANARIES)
def test_each_place_is_read_or_reported(place: str) -> None:
    markup, fate = CANARIES[place]
    canary = "zebrafinch"
    document = body(f"<h1>Port</h1><p>{PROSE}</p>{markup.format(canary)}")
    assert PROSE in document.text
    if fate == "found":
        assert canary in document.text
    else:
        assert canary not in document.text
        assert left(document, LeftOutKind(fate)) == 1


@pytest.mark.parametrize(("head", "fate"), [
    ('<meta name="description" content="About zebrafinch">', "Description: About zebrafinch"),
    ('<meta name="keywords" content="zebrafinch, port">', "Keywords: zebrafinch, port"),
    ('<meta name="author" content="zebrafinch">', LeftOutKind.PROPERTY),
])  # fmt: skip
def test_the_head(head: str, fate: str) -> None:
    document = body(f"<p>{PROSE}</p>", head)
    if isinstance(fate, LeftOutKind):
        assert "zebrafinch" not in document.text
        assert left(document, fate) == 1
    else:
        assert document.text.endswith(f"\n\n{fate}")


def test_the_description_is_not_said_twice() -> None:
    assert text(f"<p>{PROSE}</p>", f'<meta name="description" content="{PROSE}">') == PROSE


@pytest.mark.parametrize("markup", [
    "<!-- zebrafinch -->", "<!--[if IE]><p>zebrafinch</p><![endif]-->", "<script>zebrafinch</script>",
    "<style>.zebrafinch{}</style>", "<template><p>zebrafinch</p></template>", '<input type="hidden" value="zebrafinch">',
    '<a href="/zebrafinch">x</a>', "<button>zebrafinch</button>", '<nav><a href="a">zebrafinch</a></nav>',
    '<a class="headerlink" href="#a">¶</a>', '<a href="#main" class="skip-link">Skip to zebrafinch</a>',
    '<ul class="breadcrumb"><li><a href="a">zebrafinch</a></ul>', '<div id="cookie-banner">We use zebrafinch cookies.</div>',
    '<div role="search"><label>zebrafinch</label></div>', "<footer>© zebrafinch</footer>", "<header>zebrafinch</header>",
    '<div role="contentinfo">zebrafinch</div>', '<div class="toc"><a href="#a">zebrafinch</a></div>',
    "<noscript>Please switch on JavaScript for zebrafinch.</noscript>", '<p><a href=a>Prev</a> <a href="zebrafinch">Next</a></p>',
])  # fmt: skip
def test_what_is_not_read(markup: str) -> None:
    document = body(f"<h1>Port</h1><p>{PROSE} {PROSE} {PROSE}</p>{markup}")
    assert "zebrafinch" not in document.text
    assert "¶" not in document.text
    assert "Prev" not in document.text
    assert {left.kind for left in document.left_out} <= {LeftOutKind.FURNITURE}


# --- the page's own part -----------------------------------------------------------------------------------


def test_what_stands_beside_the_main_part() -> None:
    page = (
        "<header><a href=/>Shop</a></header><div class=side><a href=a>One</a> <a href=b>Two</a></div>"
        f"<div class=hero><p>{PROSE} It was built of brick in the year of the flood.</p></div>"
        f"<main><h1>Lamp</h1><p>{PROSE * 3}</p></main><div><p>Newsletter</p></div>"
    )
    read_text = text(page)
    assert "built of brick" in read_text
    for junk in ("Shop", "One", "Newsletter"):
        assert junk not in read_text


def test_when_too_much_would_go_the_names_count_for_nothing() -> None:
    links = "".join(f'<li><a href="{n}">Chapter on knot {n}</a>' for n in range(20))
    assert "Chapter on knot 7" in text(f'<h1>Knots</h1><div class="toc"><ul>{links}</ul></div>')
    assert "Chapter on knot 7" in text(f"<nav><ul>{links}</ul></nav>")
    assert text(f"<footer><p>{PROSE}</p></footer>") == PROSE
    assert text(f'<div class="cookie-banner"><p>{PROSE}</p>') == PROSE


def test_a_page_that_hides_everything_until_it_is_loaded() -> None:
    assert text(f'<div style="display:none"><p>{PROSE}</p></div>') == PROSE
    assert read_html(f'<body style="display:none"><p>{PROSE}</p>').text == PROSE


def test_the_title() -> None:
    assert body("<h1>B</h1>", "<title>A &amp;\n b</title>").title == "A & b"
    assert body("<h1>B</h1>", '<meta property="og:title" content="O">').title == "O"
    assert body("<h2>X</h2><h1>B</h1>").title == "B"
    assert read_html("<title>Open<body><p>x</p>").title == "Open"
    assert "x" in read_html("<title>Open<body><p>x</p>").text


# --- blocks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("markup", "expected"), [
    ("<p>one<p>two", "one\n\ntwo"),
    ("<div>a</div><div>b</div>", "a\n\nb"),
    ("a<br>b<br><br>c", "a\nb\n\nc"),
    ("<p>a\n  b\tc&nbsp;d</p>", "a b c d"),
    ("<b>Auto</b>bahn hel<i>l</i>o", "Autobahn hello"),
    ("self<wbr>less co&shy;op", "selfless coop"),
    ("<span>a</span><span>b</span>", "ab"),
    ("<a href=x>a</a><a href=y>b</a>", "a b"),
    ('<span style="display:block">a</span><span style="display:block">b</span>', "a\n\nb"),
    ("<q>Ahoy</q>, he said", "“Ahoy”, he said"),
    ("<blockquote><p>a</p><p>b</p></blockquote>", "a\n\nb"),
    ("<p># make install</p>", "# make install"),
    ("<h1>A<br>b</h1><h3>C</h3>", "# A b\n\n### C"),
    ("<h2>Open <p>and on", "## Open\n\nand on"),
    ("<div role=heading aria-level=3>T</div>x", "### T\n\nx"),
    ("<ul><li>a<ul><li>b</ul><li>c</ul>", "- a\n  - b\n- c"),
    ("<ol start=3><li>a<li value=7>b<li>c</ol>", "3. a\n7. b\n8. c"),
    ("<ol type=a><li>x<li>y</ol>", "a. x\nb. y"),
    ("<ul><li><p>a</p><p>b</p></ul>", "- a\n\nb"),
    ("<dl><dt>Port<dd>left</dl>", "Port: left"),
    ("<dl><dt>A<dt>B<dd>left<dd>right</dl>", "A\nB: left\n  right"),
    (f"<dl><dt>Light<dd>{PROSE} {PROSE}</dl>", f"Light\n  {PROSE} {PROSE}"),
    ("<dl><div><dt>Port</dt><dd>left</dd></div></dl>", "Port: left"),
    ("<dl><dt>Alone</dl>", "Alone"),
    ("<pre>\n\n  x = 1\n  y</pre>", "```\n  x = 1\n  y\n```"),
    ('<pre><code class="language-python">x<br>y</code></pre>', "```python\nx\ny\n```"),
    ('<div class="highlight-bash"><div class="highlight"><pre>ls</pre></div></div>', "```bash\nls\n```"),
    ('<pre><span class="lineno">1</span>a</pre>', "```\na\n```"),
    ('<p style="white-space: pre-line">a\nb</p>', "a\nb"),
    ("<textarea>a\nb</textarea>", "a\nb"),
    ("<select><option>a<option>b</select>", "a, b"),
    ("<li><input type=checkbox checked> done", "- [x] done"),
    ("<p class=x style='mso-list:l0 level2 lfo1'>deep</p>", "  - deep"),
    ("<p style='mso-list:l0 level1'><![if !x]><span style='mso-list:Ignore'>2.<i>&nbsp;</i></span><![endif]>b", "2. b"),
    ("<ul><li style='white-space:pre-line'>a\nb</li></ul><p>c\nd", "- a\n  b\n\nc d"),
    ("<h1><p>Title</p> more</h1>", "# Title more"),
    ("1932<sup>12</sup> and", "1932 [12] and"),
    ("herons<sup><a href='#n1'>1</a></sup>.", "herons [1]."),
    ("herons<sup><a href='#n1'>[1]</a></sup>", "herons [1]"),
    ("H<sub>2</sub>O, 10<sup>3</sup>, 5 m<sup>2</sup>, x<sup>n</sup>", "H2O, 10^3, 5 m^2, x^n"),
    ("10<sub>2</sub>, 1<sup>st</sup>, Ca<sup>2+</sup>", "10_2, 1st, Ca2+"),
    ("<ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp>字<rt>ji</rt></ruby>", "漢字(kanji)"),
    ('<abbr title="polymyalgia">PMR</abbr>, <abbr title="polymyalgia">PMR</abbr>', "PMR (polymyalgia), PMR"),
    ("<math><msup><mi>x</mi><mn>2</mn></msup></math>", "x^2"),
    ('<img alt="T" src=t.png>he tide', "The tide"),
    ('a <img alt="A lighthouse" src=t.png> b', "a [Picture: A lighthouse] b"),
    ('<img alt="logo" src=t.png width=16 height=16>x', "x"),
    ('<a href="mailto:a@example.org">Ann</a>', "Ann"),
])  # fmt: skip
def test_blocks(markup: str, expected: str) -> None:
    assert text(markup) == expected


def test_signatures_are_headings_with_methods_below_their_class() -> None:
    sections = body(
        '<h1>M</h1><dl class="py class"><dt class="sig">class Boat<a class="headerlink" href="#b">¶</a></dt><dd><p>Floats.</p>'
        '<dl class="py method"><dt class="sig">sail(<em>x</em>)</dt><dd>Goes.</dd></dl></dd></dl>'
    ).sections
    assert [one.path for one in sections] == [("M",), ("M", "class Boat"), ("M", "class Boat", "sail(x)")]


def test_a_long_heading_is_not_cut_in_the_text() -> None:
    title = "A heading of very many words " * 12
    assert title.strip() in text(f"<h2>{title}</h2>")


# --- tables ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "expected"), [
    ("<tr><th>a<th>b<tr><td>1<td>2", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
    ("<tr><th>a<th>b<tr><td rowspan=2>1<td>2<tr><td>3", "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 1 | 3 |"),
    ("<tr><th>a<th>b<tr><td colspan=2>all<tr><td>1<td>2", "| a | b |\n| --- | --- |\n| all |  |\n| 1 | 2 |"),
    (
        "<thead><tr><th rowspan=2>Boat<th colspan=2>Fee<tr><th>Day<th>Week</thead><tr><td>Cat<td>1<td>5",
        "| Boat | Fee, Day | Fee, Week |\n| --- | --- | --- |\n| Cat | 1 | 5 |",
    ),
    ("<tr><th>a<th>b<tr><td>x<br>y<td><ul><li>p<li>q</ul>", "| a | b |\n| --- | --- |\n| x y | p; q |"),
    ("<tr><td>only", "only"),
    ("<tr><td>one<tr><td>two", "one\n\ntwo"),
    ("<tr><td><h2>Left</h2><p>x<td><p>y", "## Left\n\nx\n\ny"),
    ("<tr><td>a<table><tr><td>1<td>2<tr><td>3<td>4</table><td>b", "a\n\n| 1 | 2 |\n| --- | --- |\n| 3 | 4 |\n\nb"),
    ("<tr role=row><td>a|b<td>c", "| a\\|b | c |"),
])  # fmt: skip
def test_tables(rows: str, expected: str) -> None:
    assert text(f"<table>{rows}</table>") == expected


def test_boxes_with_the_roles_of_a_table() -> None:
    row = "<div role=row><div role=cell>{}</div><div role=cell>{}</div></div>"
    assert text(f"<div role=table>{row.format('a', 'b')}{row.format('1', '2')}</div>").startswith("| a | b |")


def test_a_huge_span_costs_nothing() -> None:
    cell = "<td rowspan=65534 colspan=1000>" + "x" * 150
    started = time.process_time()
    assert len(text(f"<table>{('<tr>' + cell) * 60}</table>")) < 4_000_000
    assert time.process_time() - started < 5


# --- XHTML, encodings, frames ------------------------------------------------------------------------------


def test_xhtml_short_forms_do_not_swallow_the_page() -> None:
    page = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/><script src="a.js"/></head>'
        '<body><div id="x"/><p><a id="y"/>Ferry <![CDATA[<at> nine]]></p><textarea/><p>Tide</p></body></html>'
    )
    assert read_html(page).text == "Ferry <at> nine\n\nTide"


def test_prefixed_xhtml() -> None:
    page = (
        '<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:body><h:h1>A</h:h1><h:p>b</h:p></h:body></h:html>'
    )
    assert read_html(page).text == "# A\n\nb"


def test_frames() -> None:
    page = "<html><frameset><frame src=a.html><noframes><body><p>No frames</p></body></noframes></frameset></html>"
    assert "No frames" in read_html(page).text


def test_optional_end_tags_and_conditional_comments() -> None:
    assert text("<ul><li class=toc>Contents<li>Crane</ul><p>greased") == "- Contents\n- Crane\n\ngreased"
    assert text("<p>a <![if !IE]>b<![endif]> c") == "a b c"


# --- lines -------------------------------------------------------------------------------------------------


def test_lines_of_the_file() -> None:
    page = (
        "<!DOCTYPE html>\n<html>\n<head>\n<title>T</title>\n<!--\n\n-->\n<script>\n\n</script></head>\n<body>\n"
        "<h1\n class='x'\n>Word13</h1>\n\n<p>Word16 and\nmore\n<b\nid=q>x</b>\n<p>Word20<br>\nWord21</p>\n"
        "<table>\n<tr>\n<td>Word24\n<td>b\n<tr><td>Word26<td>c</table>\n<pre>\nWord28\n\nWord30</pre><ul>\n<li>Word31</ul>\n"
        "<dl>\n<dt>Word34\n<dd>d</dl>\n<div>\n<p>\n\nWord39"
    )
    document = read_html(page)
    told = {
        int(found[1]): line
        for text_line, line in zip(document.text.split("\n"), document.file_lines, strict=True)
        if (found := re.search(r"Word(\d+)", text_line))
    }
    wanted = {
        int(found[1]): number
        for number, line in enumerate(page.split("\n"), 1)
        if (found := re.search(r"Word(\d+)", line))
    }
    close = {number for number, line in wanted.items() if line - 3 <= told[number] <= line}
    assert close == set(wanted)
    assert told[28] == wanted[28]
    assert told[30] == wanted[30]


def test_lines_of_a_long_page() -> None:
    rows = "".join(
        f"<div\n class='a'>\n<p>Row<em>{n}</em> of <a\nhref=x>the <span class='k'>log</span></a>\n</div>\n"
        for n in range(400)
    )
    document = read_html(f"<body>\n{rows}")
    for n in (3, 150, 399):
        at = document.text.split("\n").index(f"Row{n} of the log")
        assert document.file_lines[at] == 4 + 5 * n


# --- hostile pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [
    "<div>" * 100_000 + "deep", "<b><i>" * 50_000 + "deep", "<table><tr><td>" * 30_000 + "deep",
    "<ul><li>" * 50_000 + "deep", "<dl><dt>" * 30_000 + "deep", "<svg>" * 50_000 + "<text>deep", "<x-y>" * 50_000 + "deep",
    "<select>" + "<option>a" * 50_000 + "deep", "<nav>" * 20_000 + "deep", "<sup>" * 30_000 + "deep",
    "<a " * 200_000 + ">deep", "<p title='" * 100_000 + "'>deep", "<!-- " * 100_000 + "-->deep", "&amp" * 200_000 + "deep",
    "".join(f"<p><font size={n}>a" for n in range(8000)) + "deep", "</p>" * 200_000 + "deep", "<header>" * 15_000 + "deep",
    "<![CDATA[" * 100_000 + ">deep", "<p>" + " \n" * 500_000 + "deep", "<p style='" + "a:b;" * 100_000 + "'>deep",
], ids=range(20))  # fmt: skip
def test_hostile_pages_end_soon(page: str) -> None:
    started = time.process_time()
    document = read("a.html", page.encode())
    assert time.process_time() - started < 15
    assert isinstance(document.text, str)


def test_deep_pages_lose_nothing() -> None:
    assert text("<div>" * 5000 + "deep" + "</div>" * 5000 + "<p>end") == "deep\n\nend"
    assert text("<table><tr><td>" * 200 + "deep" + "</table>" * 200 + "<p>end") == "deep\n\nend"


PIECES = ["<p>", "</p>", "<div>", "</div>", "<table>", "<tr>", "<td>", "</table>", "<ul>", "<li>", "</ul>", "<b>", "</b>", "<h2>",
          "</h2>", "<dl>", "<dt>", "<dd>", "</dl>", "<pre>", "</pre>", "<form>", "<a href=x>", "</a>", "<br>", "<section>",
          "</section>", "<th>", "<span class=k>", "</span>", "<details>", "<summary>", "<button>", "</button>", "<label>",
          "<caption>", "<ol>", "</ol>", "<article>", "<main>", "</main>", "<sub>", "</sub>", "<blockquote>"]  # fmt: skip


def test_no_word_is_lost_whatever_the_tags() -> None:
    chance = random.Random(11)
    for _ in range(300):
        parts: list[str] = []
        words = [f"word{n}x of the port lies here and is seen by all who come" for n in range(12)]
        for word in words:
            parts += chance.choices(PIECES, k=chance.randint(0, 5))
            parts.append(f" {word} ")
        page = "".join(parts)
        out = text(page)
        missing = [word for word in words if word.split()[0] not in out]
        assert not missing, page


def test_mutations_raise_only_what_is_said() -> None:
    chance = random.Random(5)
    sample = "".join(markup.format("wren") for markup, _ in CANARIES.values()).encode()
    for _ in range(100):
        data = bytearray(sample)
        for _ in range(chance.randint(1, 30)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 9)] = bytes(
                chance.randrange(256) for _ in range(chance.randint(0, 6))
            )
        cut = bytes(data[: chance.randrange(len(data))])
        with contextlib.suppress(IngestError):
            read("a.html", cut)


@pytest.mark.parametrize(
    "inner",
    [
        "before <ruby>漢<rt>kan</rt>\n字<rt>ji</rt></ruby> after",
        "before <sup>a\nb</sup> after",
        "before <input value='a\nb'> after",
        "before <script type='math/tex'>a\nb</script> after",
    ],
)
def test_a_line_end_inside_a_piece_loses_nothing_behind_it(inner: str) -> None:
    text = read_html(f"<html><body><p>{inner}</p><p>next</p></body></html>").text
    assert "after" in text
    assert "next" in text


def test_a_line_end_between_marks_in_kept_white_space_is_one() -> None:
    page = "<div style='white-space:pre'>one<b lang=x>two</b>\n<b lang=x>three</b> four</div>"
    assert read_html(f"<html><body>{page}</body></html>").text == "onetwo\nthree four"


def test_the_title_of_a_box_heads_nothing_behind_the_box() -> None:
    page = (
        "<h1>Formats</h1><p>First.</p><div class='caution'><h3 class='title'>Caution</h3><p>Beware of it.</p></div>"
        "<p>Behind the box.</p>"
    )
    document = read_html(f"<html><body>{page}</body></html>")
    assert [section.path for section in document.sections] == [("Formats",)]
    assert "Caution\n\nBeware of it." in document.text


# --- parts of a page that look like furniture ---------------------------------------------------------------


@pytest.mark.parametrize("tag", ["header", "footer", "aside", "nav", "div class=footer"])
def test_a_box_that_is_never_closed_does_not_take_the_rest_of_the_page_with_it(tag: str) -> None:
    page = f"<h1>Quay</h1><p>{PROSE}</p><{tag}><a href=/>Port</a><h2>Night</h2><p>No ship leaves without a lamp astern."
    page += "<ul><li>last"
    assert "lamp astern" in text(page)
    assert "last" in text(page)


def test_the_headline_beside_the_main_part() -> None:
    page = f"<header><h1>Rules of the club</h1><p>In force.</p></header><main><p>{PROSE}</p></main>"
    assert text(page).startswith("# Rules of the club\n\nIn force.")
    linked = f'<div id=content><div><h1><a href="/q">Why tar?</a></h1></div><div role=main><p>{PROSE}</p></div></div>'
    assert text(linked).startswith("# Why tar?")


def test_numbers_and_notes_beside_the_main_part() -> None:
    page = f"<div id=content><p>{PROSE}</p></div><div class=price>30 crowns</div>"
    page += "<div id=footnotes><div class=footnote>1. by oil</div></div>"
    assert "30 crowns" in text(page)
    assert "1. by oil" in text(page)


def test_a_page_of_links_is_not_lost_behind_the_words_of_its_footer() -> None:
    links = "".join(f'<li><a href="{n}">Chapter on knot {n}</a>' for n in range(90))
    page = f'<h1>Knots</h1><ul class="toc">{links}</ul><div class="footer"><p>{PROSE} {PROSE}</p></div>'
    assert "Chapter on knot 7" in text(page)


def test_long_text_in_a_footer_is_no_furniture() -> None:
    assert "keeper" in text(f"<p>We close.</p><footer><p>{PROSE} {PROSE}</p></footer>")


def test_buttons_that_open_and_pages_of_buttons() -> None:
    assert (
        text('<button class="accordion">Where?</button><div class="panel"><p>There.</p></div>')
        == "Where?\n\nThere."
    )
    assert text('<p>x</p><button class="tablinks" onclick="o(\'a\')">Oslo</button>') == "x\n\nOslo"
    assert text("<p>x</p><button class=navbar-toggle>Menu</button>") == "x"
    assert text("<button>Open the gate</button>") == "Open the gate"


def test_a_heading_over_what_is_hidden_unfolds_it() -> None:
    document = body("<h3>Heated?</h3><div style='display:none'><p>To 28 degrees.</p></div>")
    assert "28 degrees" in document.text
    assert not document.left_out


def test_boxes_to_tick_without_a_word() -> None:
    assert text("<input type=checkbox id=drawer><p>One.</p><input type=checkbox> Two") == "One.\n\n[ ] Two"
    assert "| Oars | [x] |" in text(
        "<table><tr><th>Boat<th>ok<tr><td>Oars<td><input type=checkbox checked></table>"
    )


def test_marks_of_lists() -> None:
    assert text("<ol reversed><li>a<li>b</ol>") == "2. a\n1. b"
    assert text('<ol type="I" start=4><li>a<li>b</ol>') == "IV. a\nV. b"
    assert text('<ol style="list-style-type: lower-alpha"><li>a<li>b</ol>') == "a. a\nb. b"


def test_numbers_of_lines_beside_code() -> None:
    hugo = (
        '<table class="lntable"><tr><td class="lntd"><pre><code><span class="lnt">1\n</span>'
        '<span class="lnt">2\n</span></code></pre><td class="lntd"><pre><code class="language-go">'
        '<span class="line">row()\n</span><span class="line">rest()</span></code></pre></table>'
    )
    assert text(hugo) == "```go\nrow()\nrest()\n```"
    titled = (
        '<table class="highlighttable"><tr><th colspan=2 class="filename">a.py</th></tr>'
        '<tr><td class="linenos"><pre>1</pre></td><td class="code"><pre>row()</pre></td></tr></table>'
    )
    assert text(titled) == "a.py\n\n```\nrow()\n```"
    assert (
        text('<pre><span class="ln">1</span>row()\n<span class="ln">2</span>rest()</pre>')
        == "```\nrow()\nrest()\n```"
    )


def test_a_sign_is_no_abbreviation() -> None:
    assert text('<p>row(<abbr title="Ends the positional ones">*</abbr>, slow)</p>') == "row(*, slow)"


def test_pictures_in_drawings() -> None:
    document = body('<p>x</p><svg><image xlink:href="cover.jpg" width="600" height="800"/></svg>')
    assert document.left_out[0].phrase == "1 picture (cover.jpg)"
