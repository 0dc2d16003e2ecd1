"""The picture in the README: the real app, the real default model, ragchat's own manual.

python docs/screenshot.py        writes docs/screenshot.svg
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ragchat.cli import build
from ragchat.cli.chat import make_services
from ragchat.cli.context import Context
from ragchat.config import Settings
from ragchat.paths import Paths
from ragchat.tui.app import RagchatApp
from ragchat.types import CancelToken

QUESTION = "How do I quit ragchat?"
PATIENCE_S = 60


async def take(context: Context) -> None:
    services = make_services(context, "")
    app = RagchatApp(services)
    try:
        async with app.run_test(size=(118, 34)) as pilot:
            await pilot.pause(2)
            await pilot.press(*QUESTION, "enter")
            chats = services.open_chats()
            for _ in range(PATIENCE_S * 4):
                await pilot.pause(0.25)
                conversations = chats.conversations()
                if conversations and any(m.timings for m in chats.messages(conversations[0].id)):
                    break
            await pilot.pause(1)
            chats.close()
            app.save_screenshot("screenshot.svg", path=str(Path(__file__).parent))
    finally:
        services.model.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        context = Context(Paths.discover({"RAGCHAT_HOME": home}), Settings())
        context.paths.create()
        build.index_manual(context, CancelToken())
        asyncio.run(take(context))


if __name__ == "__main__":
    main()
