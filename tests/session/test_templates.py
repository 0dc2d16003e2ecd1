"""Templates of prompts: their files, their fields, and the windows in which they are filled in."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App

from ragchat.paths import TEMPLATES, Paths
from ragchat.session.templates import LARGEST_FILE, Field, Template, load, named
from ragchat.tui.screens.templates import FillTemplate, TemplatePicker
from tests.helpers.tui_fakes import until

NOWHERE = Path("/nowhere/at/all")


def template(text: str) -> Template:
    return Template("t", "", text, Path("t.md"))


def test_the_shipped_ones_are_whole() -> None:
    templates, wrong = load(NOWHERE, TEMPLATES)
    assert wrong == []
    assert [one.name for one in templates] == ["compare", "explain", "extract-table", "summarise"]
    for one in templates:
        assert one.meaning, one.name
        assert one.fields, one.name
        assert "{{" not in one.fill({field.name: "x" for field in one.fields})


def test_own_ones_win(paths: Paths) -> None:
    paths.templates_dir.mkdir()
    (paths.templates_dir / "explain.md").write_text("Explain {{what}}, please.")
    (paths.templates_dir / "Ärger.md").write_text(
        "# Beschwerde \x1b[31mrot\n\nGuten Tag,\n\n{{was: alles}}\n", "utf-8"
    )
    (paths.templates_dir / ".hidden.md").write_text("x")
    (paths.templates_dir / "notes.txt").write_text("x")
    templates, wrong = load(paths.templates_dir, TEMPLATES)
    assert wrong == []
    assert len(templates) == 5
    own = named(templates, "ärger")
    assert own is not None
    assert (own.meaning, own.text, own.own) == ("Beschwerde rot", "Guten Tag,\n\n{{was: alles}}", True)
    explain = named(templates, "explain")
    assert explain is not None
    assert explain.text == "Explain {{what}}, please."
    assert named(templates, "nothing") is None


def test_wrong_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "bytes.md").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.md").write_text("# only a meaning\n\n")
    (tmp_path / "field.md").write_text("# m\n\nfine {{a}}\nbad {{: x}}\n")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "large.md").write_text("x" * (LARGEST_FILE + 1))
    (tmp_path / "new\nline.md").write_text("x")
    (tmp_path / "good.md").write_text("Only text")
    templates, wrong = load(tmp_path, NOWHERE)
    assert [one.name for one in templates] == ["good"]
    reasons = {one.path.name: one.reason for one in wrong}
    assert reasons["bytes.md"] == "it is not UTF-8 text"
    assert reasons["empty.md"] == "it contains no prompt"
    assert "line 4: {{: x}} is not a field" in reasons["field.md"]
    assert "cannot be read" in reasons["folder.md"]
    assert "256 KiB" in reasons["large.md"]
    assert "name" in reasons["new\nline.md"]


def test_fields() -> None:
    one = template("{{ a }} {{b: to: be}} {{a: late}} {{ the c :}} { {d} } {{größe}} {{1}}")
    assert one.fields == (Field("a", "late"), Field("b", "to: be"), Field("the c"), Field("größe"))
    assert one.fill({"a": " x ", "größe": "5"}) == "x to: be x  { {d} } 5 {{1}}"
    assert template("No fields").fill({"x": "y"}) == "No fields"


def test_what_is_filled_in_is_no_field() -> None:
    one = template("{{a}}|{{b}}")
    assert one.fill({"a": r"{{b}} \1 [red] {{a: x}}", "b": "{{a}}"}) == r"{{b}} \1 [red] {{a: x}}|{{a}}"


@given(st.text(), st.text())
def test_any_text_is_a_template(text: str, value: str) -> None:
    one = template(text)
    filled = one.fill({field.name: value for field in one.fields})
    if not one.fields:
        assert filled == text


@pytest.mark.parametrize("size", [(100, 32), (60, 20)])
async def test_the_windows(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "plain.md").write_text("Just this")
    (tmp_path / "evil.md").write_text("# [red]m[/red]\nSay {{what: [bold]nothing[/bold]}} to {{whom}}")
    (tmp_path / "wrong.md").write_text("{{ }}")
    given_back: list[str | None] = []
    app = App[None](css_path=str(TEMPLATES.parent / "tui" / "ragchat.tcss"))
    async with app.run_test(size=size) as pilot:
        templates, wrong = load(tmp_path, TEMPLATES)
        app.push_screen(TemplatePicker(templates, wrong, folder=str(tmp_path)), given_back.append)
        await pilot.pause()

        def screen() -> str:
            return "\n".join(strip.text for strip in app.screen._compositor.render_strips())

        assert "evil  [red]m[/red]  yours" in screen()
        assert "wrong.md: line 1: {{ }} is not a field" in screen()
        await pilot.press(*"evil", "enter")
        await until(pilot, lambda: isinstance(app.screen, FillTemplate))
        await pilot.press(*"[x]{{whom}}")
        await until(pilot, lambda: "Say [x]{{whom}} to" in screen())
        await pilot.press("enter", *"me", "enter")
        await until(pilot, lambda: given_back)
        assert given_back == ["Say [x]{{whom}} to me"]

        app.push_screen(TemplatePicker(templates), given_back.append)
        await until(pilot, lambda: isinstance(app.screen, TemplatePicker))
        await pilot.press(*"evil", "enter")
        await until(pilot, lambda: isinstance(app.screen, FillTemplate))
        await until(pilot, lambda: "Say [bold]nothing[/bold] to" in screen())
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TemplatePicker))
        await pilot.press(*["backspace"] * 4, *"plain", "enter")
        await until(pilot, lambda: len(given_back) == 2)
        assert given_back[1] == "Just this"
