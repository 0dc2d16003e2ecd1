"""The pictures of the documentation: the real app, the real default model, ragchat's own manual.

python docs/screenshot.py                writes docs/screenshot.svg and docs/screens/*.svg
python docs/screenshot.py --verdict HOME writes verdict.svg and (with Chromium) report.png there, of HOME's newest run
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from ragchat.app import build
from ragchat.cli.chat import make_services
from ragchat.app.context import Context
from ragchat.config import Settings
from ragchat.paths import Paths
from ragchat.tui.app import RagchatApp
from ragchat.types import CancelToken

QUESTIONS = ("What is a knowledge base?", "What is strict mode?")
RIGHT = "answers only from your documents"
"""The right answer to the last question."""
PATIENCE_S = 90
HERE = Path(__file__).parent
WINDOWS = (
    ("search", ("ctrl+f", *"knowledge base"), ("escape",)),
    ("find-chats", ("f7", *"ragchat"), ("escape",)),
    ("chat-options", ("f8",), ("escape",)),
    ("settings", ("f10",), ("escape",)),
    ("help", ("f1",), ("escape",)),
    ("palette", ("ctrl+p",), ("escape",)),
    ("jump", ("ctrl+g",), ("escape",)),
    ("commands", ("slash",), ("escape", "backspace")),
)
"""Name, keys that open it from the prompt, keys that close it."""


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    for _ in range(PATIENCE_S * 4):
        await pilot.pause(0.25)
        if condition():
            return
    raise TimeoutError("The screen did not come to what was waited for.")


async def take(context: Context) -> None:
    services = make_services(context, "")
    app = RagchatApp(services)
    screens = HERE / "screens"
    screens.mkdir(exist_ok=True)

    def picture(name: str, folder: Path = screens) -> None:
        app.save_screenshot(f"{name}.svg", path=str(folder))

    try:
        async with app.run_test(size=(118, 34)) as pilot:
            await until(pilot, lambda: app.model_state.phase == "ready")
            picture("empty")
            for question in QUESTIONS:
                app.chat.pane.prompt.focus()
                await pilot.press(*question, "enter")
                await until(pilot, lambda: app.chat.pane.live is not None)
                await until(pilot, lambda: app.chat.pane.live is None)
                await pilot.pause(1)
                if question is QUESTIONS[0]:
                    picture("screenshot", HERE)
                    app.chat.pane.transcript.focus()
                    await pilot.press("i")
                    await until(pilot, lambda: app.screen is not app.chat)
                    await pilot.pause(1)
                    picture("check")
                    await pilot.press("escape")
                    await until(pilot, lambda: app.screen is app.chat)
            for name, opening, closing in WINDOWS:
                app.chat.pane.prompt.focus()
                await pilot.press(*opening)
                await pilot.pause(1)
                picture(name)
                await pilot.press(*closing)
                await until(pilot, lambda: app.screen is app.chat)
            app.chat.pane.transcript.focus()
            await pilot.press("G", "p")
            await until(pilot, lambda: app.screen is not app.chat)
            await pilot.pause(1)
            picture("prompt")
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.chat)
            app.chat.pane.transcript.focus()
            await pilot.press("G", "r")
            views = app.chat.pane.transcript
            await until(
                pilot, lambda: len(views.views[-1].facts.siblings) == 2 and app.chat.pane.live is None
            )
            answer = app.chat.pane.transcript.views[-1].plain_text
            await pilot.press("plus" if RIGHT in answer else "minus")  # rated as it is
            await pilot.pause(1)
            picture("branches")
            await pilot.resize_terminal(60, 20)
            await pilot.pause(1)
            picture("narrow")
    finally:
        services.model.close()


async def take_verdict(context: Context) -> None:
    services = make_services(context, "")
    app = RagchatApp(services)
    try:
        async with app.run_test(size=(118, 44)) as pilot:
            await until(pilot, lambda: app.chat.pane.visit)
            await pilot.press("f11")
            await until(pilot, lambda: getattr(app.screen, "found", ()))
            await pilot.pause(1)
            app.save_screenshot("verdict.svg", path=str(HERE / "screens"))
    finally:
        services.model.close()


def take_report(home: str) -> None:
    """The page as a browser shows it."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("No Chromium is here: no picture of the page.")
    with tempfile.TemporaryDirectory() as scratch:
        page, picture = Path(scratch) / "report.html", HERE / "screens" / "report.png"
        ragchat = [sys.executable, "-m", "ragchat", "eval", "report", "-o", str(page)]
        subprocess.run(ragchat, env={**os.environ, "RAGCHAT_HOME": home}, check=True)
        window = ["--hide-scrollbars", "--window-size=1000,3060", f"--screenshot={picture}"]
        subprocess.run([browser, "--headless", "--no-sandbox", *window, page.as_uri()], check=True)


def main() -> None:
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")  # the colours of a usual terminal
    if sys.argv[1:2] == ["--verdict"]:
        asyncio.run(take_verdict(Context(Paths.discover({"RAGCHAT_HOME": sys.argv[2]}), Settings())))
        take_report(sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as home:
        context = Context(Paths.discover({"RAGCHAT_HOME": home}), Settings())
        context.paths.create()
        build.index_manual(context, CancelToken())
        asyncio.run(take(context))


if __name__ == "__main__":
    main()
