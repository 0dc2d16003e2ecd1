"""What the settings say of the look and the keys, put into the app: themes, motion, keymap. What is wrong is said, not fatal."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING

from textual.widget import Widget
from textual.widgets import Input, TextArea

from ragchat.errors import UsageError
from ragchat.tui import keymap, tasks, themes
from ragchat.tui.key_groups import key_groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.app import App

    from ragchat.app.services import Services

_KEYS = "keys."


class Appearance:
    """Invariant: `keys` are those in force, by binding id; empty after they were refused."""

    def __init__(self, app: App[None], services: Services) -> None:
        self._app = app
        self._services = services
        self._theme = ""
        """What the settings chose; another one was chosen by the user."""
        self.keys: Mapping[str, str] = {}
        own, self._troubles = themes.read_themes(services.paths.themes_dir)
        for theme in (*themes.few_colours(), *own):
            app.register_theme(theme)
        if trouble := self.use_theme(services.preferences.settings.ui.theme):
            self._troubles.append(trouble)
        self.use_motion(reduced=services.preferences.settings.ui.reduced_motion)

    def begin(self) -> None:
        """Once the app runs: the keys, and what was wrong."""
        self._app.watch(self._app, "theme", self._keep_theme, init=False)
        for trouble in self._troubles:
            self._say(trouble)
        if self._services.preferences.settings.keys:
            # Looking through all bindings imports every screen: the first paint does not wait for it.
            with contextlib.suppress(UsageError):  # the check says it
                self.use_keys(self._services.preferences.settings.keys)
            check = partial(self._check, dict(self._services.preferences.settings.keys))
            self._app.run_worker(
                check, thread=True, exit_on_error=False, group="keys", description="check the keys"
            )

    # --- theme --------------------------------------------------------------------------------------

    def use_theme(self, wanted: str) -> str:
        """Show a theme, or what suits the terminal; a sentence when there is none of that name."""
        app = self._app
        sixteen = app.console.color_system == "standard" and not app.no_color
        self._theme, trouble = themes.choose(wanted, list(app.available_themes), os.environ, sixteen=sixteen)
        app.theme = self._theme
        return trouble

    def _keep_theme(self, theme: str) -> None:
        """Write down a theme that the user chose elsewhere, as in the palette."""
        if theme != self._theme:
            self._theme = theme
            keep = partial(self._services.preferences.set, "ui.theme", theme)
            self._app.run_worker(
                partial(tasks.reporting, self._services, "keeping the theme", self._app.post_message, keep),
                thread=True, exit_on_error=False, group="theme", description="keep the theme",
            )  # fmt: skip

    # --- motion -------------------------------------------------------------------------------------

    def use_motion(self, *, reduced: bool) -> None:
        """`reduced`: nothing moves or blinks. Textual's own TEXTUAL_ANIMATIONS holds otherwise."""
        from textual.constants import TEXTUAL_ANIMATIONS

        self._reduced = reduced
        self._app.animation_level = "none" if reduced else TEXTUAL_ANIMATIONS
        if self._app.is_running and self._app.focused is not None:
            self.calm(self._app.focused)

    def calm(self, widget: Widget) -> None:
        """The cursor of a line that was entered blinks, or not."""
        if isinstance(widget, (Input, TextArea)):
            widget.cursor_blink = not self._reduced

    # --- keys ---------------------------------------------------------------------------------------

    def use_keys(self, keys: Mapping[str, str]) -> None:
        """Put these keys in force, unchecked but for what is no key. Raises UsageError."""
        self._app.set_keymap(keymap.normalised(keys))
        self.keys = keys

    def trouble_with(self, keys: Mapping[str, str]) -> str:
        """Why these keys cannot be used, or empty."""
        return keymap.trouble(keys, key_groups())

    def _check(self, keys: Mapping[str, str]) -> None:
        if trouble := self.trouble_with(keys):
            self._app.call_from_thread(self._refuse, trouble)

    def _refuse(self, trouble: str) -> None:
        self.use_keys({})
        self._say(f"{trouble} Until you fix this, ragchat uses the default keys.")

    # --- settings -----------------------------------------------------------------------------------

    def take_up(self, key: str, value: object) -> str:
        """Let the app follow a setting that was just changed; a sentence when it cannot."""
        match key:
            case "ui.theme":
                return self.use_theme(str(value))
            case "ui.reduced_motion":
                self.use_motion(reduced=str(value).lower() == "true")
        return ""

    def keep_key(self, binding_id: str, keys: str) -> None:
        """Write down and use other keys for a binding; empty `keys`: its own again. Raises UsageError."""
        wanted = {name: value for name, value in self.keys.items() if name != binding_id}
        if keys:
            wanted[binding_id] = keys
        if trouble := self.trouble_with(wanted):
            raise UsageError(trouble)
        if keys:
            self._services.preferences.set(f"keys.{binding_id}", keys)
        else:
            self._services.preferences.unset(f"keys.{binding_id}")
        self.use_keys(wanted)

    def reread(self) -> None:
        """Follow the settings file after it was edited by other means. Raises UsageError."""
        found = {setting.key: setting.value for setting in self._services.preferences.all()}
        for key in ("ui.theme", "ui.reduced_motion", "ui.editor"):
            if trouble := self.take_up(key, found[key]):
                self._say(trouble)
        own = {key.removeprefix(_KEYS): str(value) for key, value in found.items() if key.startswith(_KEYS)}
        if trouble := self.trouble_with(own):
            self._refuse(trouble)
        else:
            self.use_keys(own)

    def _say(self, sentence: str) -> None:
        self._app.notify(sentence, severity="warning", timeout=10, markup=False)
