"""`ragchat config`: settings from the command line."""

from __future__ import annotations

import os

import click
import msgspec

from ragchat import config as settings
from ragchat.app.context import Context
from ragchat.cli.context import data, note, pass_context, to_json
from ragchat.errors import UsageError


@click.group()
def config() -> None:
    """Settings. The environment (RAGCHAT_SECTION__KEY) overrides the file, and the file overrides the defaults."""


@config.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object by key.")
@pass_context
def show(context: Context, as_json: bool) -> None:
    """Show every setting with its value, its origin and its meaning."""
    found = list(settings.describe(context.paths.settings_file, os.environ))
    if as_json:
        data(
            {
                s.key: {
                    "value": msgspec.to_builtins(s.value),
                    "default": msgspec.to_builtins(s.default),
                    "origin": s.origin,
                    "meaning": s.meaning,
                }
                for s in found
            },
            indent=2,
        )
        return
    section = ""
    for setting in found:
        if not setting.key.startswith(f"{section}."):
            section = setting.key.partition(".")[0]
            click.echo(click.style(f"\n[{section}]", bold=True))
        origin = (
            ""
            if setting.origin == "default"
            else f"  ({setting.origin}; default {to_json(msgspec.to_builtins(setting.default))})"
        )
        click.echo(f"{setting.key} = {to_json(msgspec.to_builtins(setting.value))}{origin}")
        click.echo(click.style(f"    {setting.meaning}", dim=True))


@config.command()
@pass_context
def path(context: Context) -> None:
    """Show the folders of settings, chats, knowledge bases, models and logs."""
    places = context.paths
    for name, folder in (
        ("settings", places.settings_file),
        ("themes", places.themes_dir),
        ("chats", places.chat_database),
        ("knowledge", places.kb_dir),
        ("models", places.model_dirs[0]),
        ("logs", places.state_dir),
        ("cache", places.cache_dir),
    ):
        click.echo(f"{name:10} {folder}")


@config.command("set")
@click.argument("key")
@click.argument("value")
@pass_context
def set_(context: Context, key: str, value: str) -> None:
    """Write one setting, for example: ragchat config set retrieval.k 12

    Set a key by the name of its action: ragchat config set keys.transcript.copy ctrl+y
    """
    section, _, binding = key.partition(".")
    if section == settings.KEYS:
        _check_keys({**context.settings.keys, binding: value})
    understood = settings.set_value(context.paths.settings_file, key, value)
    note(f"{key} = {to_json(understood)} in {context.paths.settings_file}")


@config.command()
@click.argument("key")
@pass_context
def unset(context: Context, key: str) -> None:
    """Reset one setting to its default, for example: ragchat config unset retrieval.k"""
    file = context.paths.settings_file
    there = settings.unset_value(file, key)
    note(f"{key} is no longer in {file}." if there else f"{key} was not set in {file}.")


def _check_keys(keys: dict[str, str]) -> None:
    """Raises UsageError naming what is wrong."""
    from ragchat.tui.key_groups import key_groups
    from ragchat.tui.keymap import trouble

    if wrong := trouble(keys, key_groups()):
        raise UsageError(wrong)
