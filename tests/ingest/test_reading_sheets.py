"""Excel workbooks, written by hand: every place that holds text, values as a person sees them, and hostile files."""
# ruff: noqa: E501 (XML in one piece is easier to read)

from __future__ import annotations

import random
import time
import zipfile
from collections.abc import Mapping
from io import BytesIO
from xml.sax.saxutils import escape

import pytest

from ragchat.errors import IngestError
from ragchat.ingest.reading.dispatch import read
from ragchat.ingest.reading.office.number_format import BUILT_IN, number_format
from ragchat.ingest.wire import Reason
from ragchat.types import ExtractedText, LeftOutKind

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006"
NAMES = (
    f'xmlns="{MAIN}" xmlns:r="{REL}" xmlns:a="{DRAWING}/main" xmlns:xdr="{DRAWING}/spreadsheetDrawing" '
    f'xmlns:c="{DRAWING}/chart" xmlns:dgm="{DRAWING}/diagram" '
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
)


def relations(*pairs: tuple[str, str, str]) -> str:
    """A .rels part of (id, type, target)."""
    inner = "".join(f'<Relationship Id="{i}" Type="{REL}/{t}" Target="{target}"/>' for i, t, target in pairs)
    return f'<Relationships xmlns="{PACKAGE}">{inner}</Relationships>'


def workbook(
    sheets: dict[str, str],
    *,
    formats: tuple[str, ...] = (),
    parts: Mapping[str, str | bytes] | None = None,
    **options: str,
) -> bytes:
    """An xlsx: name of a sheet → its part. Style n + 1 has format n. `states`, `settings` and `strings` go into the workbook."""
    states = options.get("states", "").split()
    listed = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="s{n}"{f" state={chr(34)}{states[n - 1]}{chr(34)}" if states else ""}/>'
        for n, name in enumerate(sheets, 1)
    )
    files: dict[str, str | bytes] = {
        "_rels/.rels": relations(("r1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f"<workbook {NAMES}>{options.get('settings', '')}<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(
            *((f"s{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(sheets) + 1)),
            ("st", "styles", "styles.xml"),
            ("ss", "sharedStrings", "sharedStrings.xml"),
            ("pe", "person", "persons/person.xml"),
        ),
        "xl/sharedStrings.xml": f"<sst {NAMES}>{options.get('strings', '')}</sst>",
        "xl/styles.xml": f"<styleSheet {NAMES}><numFmts>"
        + "".join(f'<numFmt numFmtId="{164 + n}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>' for n, code in enumerate(formats))
        + '</numFmts><cellXfs><xf numFmtId="0"/>'
        + "".join(f'<xf numFmtId="{164 + n}"/>' for n in range(len(formats)))
        + "</cellXfs></styleSheet>",
    }  # fmt: skip
    for n, content in enumerate(sheets.values(), 1):
        files[f"xl/worksheets/sheet{n}.xml"] = f"<worksheet {NAMES}>{content}</worksheet>"
    return zipped({**files, **(parts or {})})


def zipped(files: dict[str, str | bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def cell(place: str, value: object, style: int = 0) -> str:
    """A number, or an inline string."""
    if isinstance(value, str):
        return f'<c r="{place}" s="{style}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}" s="{style}"><v>{value!r}</v></c>'


def grid(*rows: tuple[object, ...], first: int = 1) -> str:
    """Rows of values from column A; None leaves a cell out."""
    lines = []
    for number, row in enumerate(rows, first):
        cells = "".join(cell(f"{'ABCDEFGH'[n]}{number}", v) for n, v in enumerate(row) if v is not None)
        lines.append(f'<row r="{number}">{cells}</row>')
    return f"<sheetData>{''.join(lines)}</sheetData>"


def text_of(data: bytes) -> str:
    return read("book.xlsx", data).text


def left_out(document: ExtractedText) -> dict[LeftOutKind, tuple[str, ...]]:
    return {one.kind: one.names for one in document.left_out}


# --- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "raw", "shown"),
    [
        ("General", "0.30000000000000004", "0.3"),
        ("General", "9783161484100", "9783161484100"),
        ("General", "-12.50", "-12.5"),
        ("General", "0.0000001", "1E-07"),
        ("General", "1.5E3", "1500"),
        ('General" kg"', "1.5", "1.5 kg"),
        ("0.00", "1.005", "1.01"),
        ("0.00", "-0.001", "0.00"),
        ('#,##0.00\\ "€"', "1234.5", "1,234.50 €"),
        ('"$"#,##0.00', "1234.5", "$1,234.50"),
        ("[$€-407]\\ #,##0", "1234567", "€ 1,234,567"),
        ("#,##0.00\\ [$CHF-807]", "-1234.5", "-1,234.50 CHF"),
        ('_("$"* #,##0.00_);_("$"* \\(#,##0.00\\);_("$"* "-"??_);_(@_)', "-1234.5", "$(1,234.50)"),
        ("0%", "0.25", "25%"),
        ("0.0%", "0.125", "12.5%"),
        ("0.##", "5", "5"),
        ("#.##", "0.5", ".5"),
        ("000000", "42", "000042"),
        ("(000) 000-0000", "4155551234", "(415) 555-1234"),
        ("0.00E+00", "12345", "1.23E+04"),
        ("##0.0E+0", "12345", "12.3E+3"),
        ("0.0E-0", "0.00012", "1.2E-4"),
        ("# ?/?", "1.5", "1 1/2"),
        ("# ?/8", "0.625", "5/8"),
        ("#,##0,", "1234567", "1,235"),
        ('#,##0.0,,"M"', "1234567", "1.2M"),
        ("[Red]-0;[Blue]0", "5", "-5"),
        ('[>=1000]0.0,"k";0', "1500", "1.5k"),
        ('[>=1000]0.0,"k";0', "15", "15"),
        ('[=1]0" day";0" days"', "3", "3 days"),
        ("0;(0)", "-5", "(5)"),
        ('0;-0;"none"', "0", "none"),
        (";;;", "5", ""),
        ("yyyy\\-mm\\-dd", "46156", "2026-05-14"),
        ("[$-407]d/\\ mmmm\\ yyyy", "46156", "2026-05-14"),
        ("dd.mm.yyyy\\ hh:mm", "46156.645833333336", "2026-05-14 15:30"),
        ("yyyy-mm-dd h:mm:ss", "46156", "2026-05-14"),
        ("yyyy-mm-dd h:mm", "46155.9999999", "2026-05-14"),
        ("hh:mm", "0.645833333333", "15:30"),
        ("h:mm AM/PM", "0.645833333333", "15:30"),
        ('h:mm "Uhr"', "0.645833333333", "15:30 Uhr"),
        ("[h]:mm:ss", "1.5625", "37:30:00"),
        ("[mm]:ss", "0.0625", "90:00"),
        ("mm:ss.0", "0.0036", "05:11.0"),
        ("dddd, d mmmm yyyy", "46156", "Thursday 2026-05-14"),
        ("mmmm yyyy", "46156", "May 2026"),
        ('yyyy"年"m"月"d"日"', "46156", "2026-05-14"),
        ("m/d/yy", "59", "1900-02-28"),
        ("m/d/yy", "60", "1900-02-29"),
        ("m/d/yy", "61", "1900-03-01"),
        ("m/d/yy", "-3", "-3"),
        ("0.00", "no number", "no number"),
        ("0.00", "1e999", "1e999"),
    ],
)
def test_a_number_is_shown_by_its_format(code: str, raw: str, shown: str) -> None:
    assert number_format(code).shown(raw) == shown


@pytest.mark.parametrize(("number", "shown"), [(14, "2026-05-14"), (22, "2026-05-14 15:45"), (20, "15:45"), (9, "4615666%"),
                                                (46, "1107759:45:00"), (4, "46,156.66"), (49, "46156.65625")])  # fmt: skip
def test_built_in_formats_are_known_by_number(number: int, shown: str) -> None:
    assert number_format(BUILT_IN[number]).shown("46156.65625") == shown


def test_dates_count_from_1904_where_the_workbook_says_so() -> None:
    content = f"<sheetData><row>{cell('A1', 44694, 1)}</row></sheetData>"
    data = workbook({"Days": content}, formats=("d.m.yyyy",), settings='<workbookPr date1904="1"/>')
    assert "2026-05-14" in text_of(data)


def test_formats_of_text_apply_and_hiding_ones_are_reported() -> None:
    content = f"<sheetData><row>{cell('A1', 'Ekdal', 1)}{cell('B1', 'secret', 2)}{cell('C1', 77, 2)}{cell('D1', 0, 3)}</row></sheetData>"
    document = read("a.xlsx", workbook({"S": content}, formats=('"Mr "@', ";;;", "0;-0;")))
    assert "Mr Ekdal" in document.text
    assert "secret" not in document.text
    assert "77" not in document.text
    assert [(one.kind, one.count) for one in document.left_out] == [(LeftOutKind.HIDDEN_TEXT, 2)]


def test_strings_booleans_errors_and_formulas() -> None:
    rows = (
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>99</v></c><c r="C1" t="b"><v>1</v></c>'
        '<c r="D1" t="e"><v>#N/A</v></c><c r="E1" t="str"><f>A1</f><v>linen_x000D_cloth</v></c>'
        '<c r="F1"><f>SUM(A1:A3)</f><v></v></c><c r="G1"><f>1+1</f><v>2</v></c>'
        '<c r="H1" t="d"><v>2026-05-14T15:30:00</v></c></row>'
    )
    strings = "<si><r><t>Au</t></r><r><rPr><b/></rPr><t>tumn</t></r><rPh><t>オータム</t></rPh></si>"
    text = text_of(workbook({"S": f"<sheetData>{rows}</sheetData>"}, strings=strings))
    assert "| Autumn | TRUE | #N/A | linen cloth | =SUM(A1:A3) | 2 | 2026-05-14 15:30 |" in text


def test_cells_without_references_follow_each_other() -> None:
    rows = "<row><c/><c><v>5</v></c></row><row><c><v>6</v></c><c><v>7</v></c></row>"
    assert "|  | 5 |\n| --- | --- |\n| 6 | 7 |" in text_of(workbook({"S": f"<sheetData>{rows}</sheetData>"}))


# --- sheets and blocks ------------------------------------------------------------------------------------


def test_sheets_come_in_order_and_hidden_ones_are_reported() -> None:
    sheets = {name: grid((f"in {name}",)) for name in ("Fjord", "Vault", "Crypt", "Aspen")}
    document = read("a.xlsx", workbook(sheets, states="visible hidden veryHidden visible"))
    assert document.text == "# Fjord\n\nin Fjord\n\n# Aspen\n\nin Aspen"
    assert document.title == "Fjord"
    assert left_out(document) == {LeftOutKind.HIDDEN_SHEET: ("Vault", "Crypt")}


def test_names_of_empty_sheets_are_kept_unless_a_program_gave_them() -> None:
    text = text_of(workbook({"Data": grid((1, 2)), "To do": "", "Sheet3": ""}))
    assert "Empty sheets: To do" in text
    assert "Sheet3" not in text


def test_titles_stand_before_the_table_and_empty_rows_end_it() -> None:
    content = grid(
        ("Harbour dues",), ("in crowns",), ("Boat", "Fee"), ("Sloop", 14), (), ("Berth", "Depth"), ("A1", 3)
    )
    merged = content + '<mergeCells><mergeCell ref="A1:B1"/></mergeCells>'
    assert text_of(workbook({"Dues": merged})) == (
        "# Dues\n\nHarbour dues\n\nin crowns\n\n| Boat | Fee |\n| --- | --- |\n| Sloop | 14 |\n\n"
        "| Berth | Depth |\n| --- | --- |\n| A1 | 3 |"
    )


def test_cells_merged_over_rows_stand_in_each() -> None:
    content = grid(("Region", "Town"), ("North", "Aalborg"), (None, "Borg"), (None, "Celle"))
    text = text_of(workbook({"S": content + '<mergeCells><mergeCell ref="A2:A4"/></mergeCells>'}))
    assert "| North | Borg |\n| North | Celle |" in text


def test_a_declared_table_begins_at_its_names_whatever_stands_above() -> None:
    content = grid(("Printed by", "Ida"), ("Part", "Price"), ("Gasket", 9), (), ("Bolt", 2))
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations(("t", "table", "../tables/table1.xml")),
        "xl/tables/table1.xml": f'<table {NAMES} displayName="Price_list" ref="A2:B5"/>',
    }
    assert text_of(workbook({"S": content}, parts=parts)) == (
        "# S\n\n| Printed by | Ida |\n\nTable Price_list\n\n| Part | Price |\n| --- | --- |\n| Gasket | 9 |\n| Bolt | 2 |"
    )


def test_a_table_without_a_row_of_names_gets_them_from_its_part() -> None:
    columns = '<tableColumns><tableColumn name="Part"/><tableColumn name="Price"/></tableColumns>'
    parts = {
        "xl/worksheets/_rels/sheet1.xml.rels": relations(("t", "table", "/xl/tables/table1.xml")),
        "xl/tables/table1.xml": f'<table {NAMES} displayName="Table1" headerRowCount="0" ref="A2:B3">{columns}</table>',
    }
    text = text_of(workbook({"S": grid(("Gasket", 9), ("Bolt", 2), first=2)}, parts=parts))
    assert "| Part | Price |\n| --- | --- |\n| Gasket | 9 |" in text


def test_one_column_is_a_table_and_lines_of_text_are_paragraphs() -> None:
    assert "| Names |\n| --- |\n| Ada |" in text_of(workbook({"S": grid(("Names",), ("Ada",), ("Bo",))}))
    long = (
        "The ferry leaves at nine and comes back at noon, except on days with a strong wind from the north."
    )
    assert "|" not in text_of(workbook({"S": grid((long,), ("Second line",), ("Third",))}))


def test_strict_files_read_alike() -> None:
    strict = "http://purl.oclc.org/ooxml"
    source = zipfile.ZipFile(BytesIO(workbook({"S": grid(("Heron", 4))})))
    files = {
        name: source.read(name).decode()
        .replace(MAIN, f"{strict}/spreadsheetml/main")
        .replace(REL, f"{strict}/officeDocument/relationships")
        for name in source.namelist()
    }  # fmt: skip
    assert "| Heron | 4 |" in text_of(zipped(dict(files)))


def test_prefixed_elements_and_odd_names_of_parts_are_found() -> None:
    source = zipfile.ZipFile(BytesIO(workbook({"S": grid(("Heron", 4))})))
    files: dict[str, str | bytes] = {
        name.replace("xl/", "XL\\"): source.read(name) for name in source.namelist()
    }
    files["XL\\worksheets/sheet1.xml"] = (
        f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData><x:row><x:c><x:v>31</x:v></x:c></x:row></x:sheetData></x:worksheet>'
    )
    assert "31" in text_of(zipped(files))


# --- every place ------------------------------------------------------------------------------------------

SHAPE = '<xdr:sp><xdr:nvSpPr><xdr:cNvPr id="1" name="n" {0}/></xdr:nvSpPr><xdr:txBody><a:p><a:r><a:t>{1}</a:t></a:r></a:p></xdr:txBody></xdr:sp>'
CANARIES: dict[str, LeftOutKind | str] = {
    "kestrelname": "found",
    "sharedstring": "found",
    "inlinestring": "found",
    "formulastring": "found",
    "hiddenrow": "found",
    "hiddencolumn": "found",
    "oldnote": "found",
    "oldauthor": "found",
    "threadtext": "found",
    "threadanswer": "found",
    "threadauthor": "found",
    "textbox": "found",
    "groupedbox": "found",
    "alternative": "found",
    "connector": "found",
    "picturetext": "found",
    "charttitle": "found",
    "axistitle": "found",
    "seriesname": "found",
    "categoryname": "found",
    "datalabel": "found",
    "chartbox": "found",
    "diagrampoint": "found",
    "controltext": "found",
    "pageheader": "found",
    "pagefooter": "found",
    "promptwords": "found",
    "errorwords": "found",
    "choiceone": "found",
    "tablename": "found",
    "coretitle": "title",
    "coresubject": "found",
    "corekeywords": "found",
    "coredescription": "found",
    "corecreator": LeftOutKind.PROPERTY,
    "companyname": LeftOutKind.PROPERTY,
    "customproperty": LeftOutKind.PROPERTY,
    "hiddensheet": LeftOutKind.HIDDEN_SHEET,
    "hiddencell": LeftOutKind.HIDDEN_TEXT,
    "hiddenshape": LeftOutKind.HIDDEN_TEXT,
    "nodescription": LeftOutKind.PICTURE,
    "embeddedfile": LeftOutKind.OBJECT,
    "macrocode": LeftOutKind.FORM_SCRIPT,
}


def canary_book() -> bytes:
    sheet = (
        '<cols><col min="3" max="3" hidden="1"/></cols><sheetData>'
        '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="inlineStr"><is><t>inlinestring</t></is></c>'
        '<c r="C1" t="inlineStr"><is><t>hiddencolumn</t></is></c><c r="D1" t="str"><f>X</f><v>formulastring</v></c>'
        '<c r="E1" s="1" t="inlineStr"><is><t>hiddencell</t></is></c></row>'
        '<row r="2" hidden="1"><c r="A2" t="inlineStr"><is><t>hiddenrow</t></is></c></row></sheetData>'
        '<dataValidations><dataValidation type="list" promptTitle="p" prompt="promptwords" error="errorwords" sqref="A1">'
        '<formula1>"choiceone,two"</formula1></dataValidation></dataValidations>'
        '<headerFooter><oddHeader>&amp;L&amp;"Arial,Bold"&amp;12pageheader &amp;P&amp;C&amp;K01+000</oddHeader>'
        "<oddFooter>&amp;Rpagefooter R&amp;&amp;D</oddFooter></headerFooter>"
        '<drawing r:id="d"/><legacyDrawing r:id="v"/>'
    )
    drawing = (
        f"<xdr:wsDr {NAMES}><xdr:twoCellAnchor>{SHAPE.format('', 'textbox')}</xdr:twoCellAnchor>"
        f"<xdr:twoCellAnchor><xdr:grpSp>{SHAPE.format('', 'groupedbox')}</xdr:grpSp></xdr:twoCellAnchor>"
        f"<mc:AlternateContent><mc:Choice Requires='a14'><xdr:twoCellAnchor>{SHAPE.format('', 'alternative')}</xdr:twoCellAnchor>"
        f"</mc:Choice><mc:Fallback>{SHAPE.format('', 'fallback')}</mc:Fallback></mc:AlternateContent>"
        f"<xdr:twoCellAnchor>{SHAPE.format('hidden=' + chr(34) + '1' + chr(34), 'hiddenshape')}</xdr:twoCellAnchor>"
        '<xdr:twoCellAnchor><xdr:cxnSp><xdr:nvCxnSpPr><xdr:cNvPr id="9" name="c" descr="connector"/></xdr:nvCxnSpPr></xdr:cxnSp>'
        '<xdr:pic><xdr:nvPicPr><xdr:cNvPr id="2" name="p" descr="picturetext"/></xdr:nvPicPr></xdr:pic>'
        '<xdr:pic><xdr:nvPicPr><xdr:cNvPr id="3" name="nodescription"/></xdr:nvPicPr></xdr:pic>'
        '<xdr:graphicFrame><a:graphic><a:graphicData><c:chart r:id="c"/></a:graphicData></a:graphic></xdr:graphicFrame>'
        '<xdr:graphicFrame><a:graphic><a:graphicData><dgm:relIds r:dm="g"/></a:graphicData></a:graphic></xdr:graphicFrame>'
        "</xdr:twoCellAnchor></xdr:wsDr>"
    )

    def rich(words: str) -> str:
        return f"<c:tx><c:rich><a:p><a:r><a:t>{words}</a:t></a:r></a:p></c:rich></c:tx>"

    chart = (
        f"<c:chartSpace {NAMES}><c:chart><c:title>{rich('charttitle')}</c:title><c:plotArea><c:barChart><c:ser>"
        "<c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>seriesname</c:v></c:pt></c:strCache></c:strRef></c:tx>"
        f"<c:dLbls><c:dLbl><c:idx val='0'/>{rich('datalabel')}</c:dLbl></c:dLbls>"
        "<c:cat><c:strRef><c:strCache><c:pt idx='0'><c:v>categoryname</c:v></c:pt></c:strCache></c:strRef></c:cat>"
        "<c:val><c:numRef><c:numCache><c:formatCode>0%</c:formatCode><c:pt idx='0'><c:v>0.5</c:v></c:pt></c:numCache></c:numRef>"
        f"</c:val></c:ser></c:barChart><c:catAx><c:title>{rich('axistitle')}</c:title></c:catAx></c:plotArea></c:chart></c:chartSpace>"
    )
    parts: dict[str, str | bytes] = {
        "_rels/.rels": relations(
            ("r1", "officeDocument", "xl/workbook.xml"),
            ("r2", "core-properties", "docProps/core.xml"),
            ("r3", "extended-properties", "docProps/app.xml"),
            ("r4", "custom-properties", "docProps/custom.xml"),
        ),
        "docProps/core.xml": "<x:c xmlns:x='x'><x:title>coretitle</x:title><x:subject>coresubject</x:subject><x:keywords>corekeywords"
        "</x:keywords><x:description>coredescription</x:description><x:creator>corecreator</x:creator></x:c>",
        "docProps/app.xml": "<P><Application>Program</Application><Company>companyname</Company></P>",
        "docProps/custom.xml": "<P><property name='customproperty'><v>customvalue</v></property></P>",
        "xl/worksheets/_rels/sheet1.xml.rels": relations(
            ("d", "drawing", "../drawings/drawing1.xml"), ("v", "vmlDrawing", "../drawings/vml1.vml"), ("n", "comments", "../comments1.xml"),
            ("h", "threadedComment", "../threadedComments/t1.xml"), ("t", "table", "../tables/table1.xml"),
        ),
        "xl/drawings/drawing1.xml": drawing,
        "xl/drawings/_rels/drawing1.xml.rels": relations(("c", "chart", "../charts/chart1.xml"), ("g", "diagramData", "../diagrams/data1.xml")),
        "xl/charts/chart1.xml": chart,
        "xl/charts/_rels/chart1.xml.rels": relations(("u", "chartUserShapes", "../drawings/drawing2.xml")),
        "xl/drawings/drawing2.xml": f"<c:userShapes {NAMES} xmlns:cdr='cdr'><cdr:relSizeAnchor><cdr:sp><cdr:txBody><a:p><a:r><a:t>chartbox"
        "</a:t></a:r></a:p></cdr:txBody></cdr:sp></cdr:relSizeAnchor></c:userShapes>",
        "xl/diagrams/data1.xml": f"<dgm:dataModel {NAMES}><dgm:ptLst><dgm:pt modelId='1'><dgm:t><a:p><a:r><a:t>diagrampoint</a:t></a:r></a:p>"
        "</dgm:t></dgm:pt></dgm:ptLst></dgm:dataModel>",
        "xl/drawings/vml1.vml": "<xml xmlns:v='v' xmlns:x='x'><v:shape><v:textbox><div>controltext<br></div></v:textbox>"
        "<x:ClientData ObjectType='Button'/></v:shape></xml>",
        "xl/comments1.xml": f"<comments {NAMES}><authors><author>oldauthor</author><author>tc={{1}}</author></authors><commentList>"
        "<comment ref='C9' authorId='0'><text><r><t>oldauthor:</t></r><r><t>\noldnote</t></r></text></comment>"
        "<comment ref='A1' authorId='1'><text><t>[Threaded comment]</t></text></comment></commentList></comments>",
        "xl/threadedComments/t1.xml": "<ThreadedComments xmlns='t'><threadedComment ref='A1' personId='{7}'><text>threadtext</text></threadedComment>"
        "<threadedComment ref='A1' personId='{8}'><text>threadanswer</text></threadedComment></ThreadedComments>",
        "xl/persons/person.xml": "<personList xmlns='t'><person displayName='threadauthor' id='{7}'/></personList>",
        "xl/tables/table1.xml": f'<table {NAMES} displayName="tablename" ref="A1:E2"/>',
        "xl/embeddings/embeddedfile.docx": b"PK",
        "xl/vbaProject.bin": b"macrocode",
    }  # fmt: skip
    sheets = {"kestrelname": sheet, "hiddensheet": grid(("under hiddensheet",))}
    return workbook(
        sheets, formats=(";;;",), parts=parts, strings="<si><t>sharedstring</t></si>", states="visible hidden"
    )


@pytest.fixture(scope="module")
def canaries() -> ExtractedText:
    return read("book.xlsm", canary_book())


@pytest.mark.parametrize(("word", "place"), CANARIES.items())
def test_each_place_is_read_or_reported(word: str, place: LeftOutKind | str, canaries: ExtractedText) -> None:
    if place == "found":
        assert canaries.text.count(word) == 1
    elif place == "title":
        assert canaries.title == word
    else:
        assert word not in canaries.text
        assert place in left_out(canaries)


def test_comments_stand_in_their_cells(canaries: ExtractedText) -> None:
    assert "sharedstring [Comment by threadauthor: threadtext] [Comment: threadanswer]" in canaries.text
    assert "[Comment by oldauthor: oldnote]" in canaries.text
    assert "fallback" not in canaries.text
    assert "Threaded comment" not in canaries.text
    assert "50%" in canaries.text
    assert "pagefooter R&D" in canaries.text


# --- hostile files ------------------------------------------------------------------------------------------


def test_a_sparse_sheet_stays_small() -> None:
    rows = f'<row r="1">{cell("A1", "first")}</row><row r="1048576">{cell("XFD1048576", "last")}</row>'
    text = text_of(workbook({"S": f'<dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData>'}))
    assert len(text) < 100
    assert "last" in text
    diagonal = "".join(f'<row r="{n}"><c r="{column(n)}{n}"><v>{n}</v></c></row>' for n in range(1, 3000))
    assert len(text_of(workbook({"S": f"<sheetData>{diagonal}</sheetData>"}))) < 100_000


def column(number: int) -> str:
    letters = ""
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def test_many_empty_rows_and_merges_are_no_burden() -> None:
    rows = (
        '<row r="1"><c r="A1" s="1"><v>5</v></c></row>'
        + '<row spans="1:3"><c s="1"/><c s="1"/></row>' * 200_000
    )
    merges = '<mergeCell ref="A1:XFD1048576"/>' * 20_000
    start = time.monotonic()
    data = workbook({"S": f"<sheetData>{rows}</sheetData><mergeCells>{merges}</mergeCells>"})
    assert text_of(data).endswith("5")
    assert time.monotonic() - start < 10


def test_text_that_repeats_without_end_is_refused() -> None:
    strings = f"<si><t>{'many words ' * 10_000}</t></si>"
    rows = "".join(f'<row r="{n}"><c t="s"><v>0</v></c></row>' for n in range(1, 2000))
    with pytest.raises(IngestError, match=Reason.TOO_MUCH_TEXT):
        read("a.xlsx", workbook({"S": f"<sheetData>{rows}</sheetData>"}, strings=strings))
    merged = f'<sheetData><row r="1"><c r="A1" t="s"><v>0</v></c></row>{rows.replace("<c t=", "<c r=" + chr(34) + "B1" + chr(34) + " x=")}</sheetData>'
    with pytest.raises(IngestError, match=Reason.TOO_MUCH_TEXT):
        read(
            "a.xlsx",
            workbook({"S": merged + '<mergeCells><mergeCell ref="A1:A9999"/></mergeCells>'}, strings=strings),
        )


def test_a_part_that_breaks_off_is_reported() -> None:
    document = read("a.xlsx", workbook({"S": grid(("Heron", 4)) + "</worksheet", "T": grid(("Crane", 5))}))
    assert "Heron" in document.text
    assert "Crane" in document.text
    assert LeftOutKind.REST in left_out(document)


def test_odd_codes_of_formats_end() -> None:
    for code in (
        "[" * 999,
        '"' * 999,
        "0" * 1000,
        "\\",
        "_",
        "*",
        "[>",
        "[>x]0",
        "y" * 999,
        "?/" * 400,
        "E+0E+0",
        "[h",
        ";;;;;;",
        "0" * 200 + "." + "0" * 300,
    ):
        for raw in ("0", "1.5", "-1e300", "46156.3", "1e-300", "12345678901234567890"):
            assert isinstance(number_format(code).shown(raw), str)
            assert isinstance(number_format(code, since_1904=True).shown(raw), str)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused(seed: int) -> None:
    source = zipfile.ZipFile(BytesIO(canary_book()))
    parts = {name: source.read(name) for name in source.namelist()}
    chance = random.Random(seed)
    for _ in range(30):
        mutated: dict[str, str | bytes] = dict(parts)
        name = chance.choice([*parts])
        content = bytearray(parts[name])
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        mutated[name] = bytes(content[: chance.randrange(len(content))] if chance.random() < 0.3 else content)
        tried = zipped(mutated)
        if chance.random() < 0.2:
            tried = tried[: chance.randrange(len(tried))]
        try:
            read("book.xlsx", tried)
        except IngestError:
            continue


@pytest.mark.parametrize(
    ("code", "raw", "shown"),
    [
        ("0.00E+00", "99.995", "1.00E+02"),
        ("0.00E+00", "-9.999", "-1.00E+01"),
        ("# ?/?", "-0.004", "0"),
        ('d "days" h "h"', "2.25", "2 days 6 h"),
        ('d"d "hh:mm', "1.5", "1d 12:00"),
    ],
)
def test_carries_signs_and_durations_of_formats(code: str, raw: str, shown: str) -> None:
    assert number_format(code).shown(raw) == shown


def test_raised_digits_are_told_from_a_number_in_a_cell() -> None:
    rich = '<r><t>10</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>3</t></r><r><t xml:space="preserve"> l</t></r>'
    sheet = f'<sheetData><row r="1"><c r="A1" t="inlineStr"><is>{rich}</is></c></row></sheetData>'
    assert "10^3 l" in text_of(workbook({"Tanks": sheet}))


def test_columns_that_nobody_named_are_no_row() -> None:
    table = f'<table {NAMES} displayName="Table7" ref="A2:B3" headerRowCount="0"><tableColumns><tableColumn name="{{}}1"/><tableColumn name="{{}}2"/></tableColumns></table>'
    files = {"xl/worksheets/_rels/sheet1.xml.rels": relations(("t1", "table", "../tables/table1.xml"))}
    sheet = grid(("oats", 4), ("rye", 5), first=2)

    def shown(name: str) -> str:
        parts: dict[str, str | bytes] = {**files, "xl/tables/table1.xml": table.replace("{}", name)}
        return text_of(workbook({"Crops": sheet}, parts=parts))

    assert "Column1" not in shown("Column")
    assert "| Crop 1 | Crop 2 |" not in shown("Column")


def test_rows_behind_an_empty_row_keep_the_names_of_their_columns() -> None:
    content = grid(
        *(("Region", "Product", "Count"), ("north", "oil", 200), ("south", "salt", 12), ()),
        *(("east", "wool", 31), ("west", "wax", 7), (), ("Name", "Post", "Since"), ("Ida", "clerk", 2019)),
    )
    text = text_of(workbook({"Sales": content}))
    assert text.count("| Region | Product | Count |") == 2
    assert text.count("| Name | Post | Since |") == 1
    assert "| Region | Product | Count |\n| --- | --- | --- |\n| east | wool | 31 |" in text
