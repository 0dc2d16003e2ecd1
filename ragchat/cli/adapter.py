"""`ragchat adapter`: what was trained or imported. Making one is `ragchat finetune`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from ragchat.app import build
from ragchat.app.context import Context, cancel_on_interrupt
from ragchat.cli.context import data, interactive, note, pass_context
from ragchat.cli.paths import TypedPath
from ragchat.errors import AdapterError, FinetuneError, NotFoundError, UsageError
from ragchat.text import clean, clean_line, counted, human_bytes
from ragchat.types import AdapterScale

if TYPE_CHECKING:
    from ragchat.finetune.recall import Recall
    from ragchat.llm.adapters import InstalledAdapter

KEPT_LEAST = 0.5
"""Below this share of what the adapter answers correctly, a merged file has lost what was learned."""
KEPT_WELL = 0.9


@click.group()
def adapter() -> None:
    """Adapters: list, info, export, import, check, remove."""


@adapter.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@pass_context
def list_(context: Context, /, as_json: bool) -> None:
    """List the adapters with their models and what they learned."""
    found = build.adapters(context).installed()
    if as_json:
        data({"adapters": [_row(each) for each in found]}, indent=2)
        return
    for each in found:
        click.echo(_line(each))
    if not found:
        note("There is no adapter yet. Train one with `ragchat finetune NAME`.")


def _row(each: InstalledAdapter) -> dict[str, Any]:
    manifest = each.manifest
    return {
        "name": each.name,
        "problem": each.problem or None,
        "base": manifest.base.file if manifest else None,
        "rank": manifest.shape.rank if manifest else None,
        "origin": manifest.origin if manifest else None,
        "created_at": manifest.created_at if manifest else None,
        "size_bytes": each.gguf.stat().st_size if each.gguf.is_file() else None,
        "recall": manifest.checks.get("recall") if manifest else None,
    }


def _line(each: InstalledAdapter) -> str:
    if each.manifest is None or each.problem:
        return clean_line(f"{each.name}: cannot be used, {each.problem}")
    manifest = each.manifest
    recall = manifest.checks.get("recall")
    learned = f", held-out questions {recall['before']:.0%} → {recall['after']:.0%}" if recall else ""
    return clean_line(
        f"{each.name}: for {manifest.base.file}, rank {manifest.shape.rank},"
        f" {human_bytes(each.gguf.stat().st_size)}, {manifest.origin} {manifest.created_at[:10]}{learned}"
    )


@adapter.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="The manifest as JSON.")
@pass_context
def info(context: Context, /, name: str, as_json: bool) -> None:
    """Show the card of an adapter: data, recipe, curves, checks, answers before and after."""
    from ragchat.finetune.card import card

    found = _whole(context, name)
    if as_json:
        data(msgspec.to_builtins(found.manifest), indent=2)
        return
    assert found.manifest
    click.echo(clean(card(found.manifest)))
    note(f"Folder: {found.folder}.")


@adapter.command()
@click.argument("name")
@click.option(
    "--format",
    "format_",
    default="gguf",
    show_default=True,
    metavar="FORMAT",
    help="gguf, peft, or merged-TYPE: the whole model with the adapter in it, such as merged-f16 or merged-q8_0.",
)
@click.option("--output", "-o", type=TypedPath(), metavar="PATH", help="File, or folder for peft.")
@click.option(
    "--scale", type=float, default=1.0, show_default=True, help="Strength of the adapter in the merged model."
)
@click.option("--modelfile", is_flag=True, help="Also write a Modelfile for Ollama.")
@click.option(
    "--force",
    is_flag=True,
    help="Overwrite existing files, and keep a merged file even if it lost what the adapter learned.",
)
@click.option("--no-check", is_flag=True, help="Skip the test of the merged file.")
@pass_context
def export(
    context: Context,
    /,
    name: str,
    format_: str,
    output: Path | None,
    scale: float,
    modelfile: bool,
    force: bool,
    no_check: bool,
) -> None:
    """Write an adapter for other programs, or the model with the adapter merged in.

    ragchat tests a merged file with questions from the training. A coarse type can lose everything the adapter learned because
    of rounding. Then no file is written. f16 and q8_0 keep it.
    """
    from ragchat.finetune.install import clear_leftovers, export_adapter

    clear_leftovers(context.paths.adapters_dir)
    found = _whole(context, name)
    if format_.startswith("merged-"):
        target = _merge(
            context,
            found,
            format_.removeprefix("merged-"),
            output,
            scale=scale,
            force=force,
            check=not no_check,
        )
    elif format_ in ("gguf", "peft"):
        target = output or Path(f"{name}.gguf" if format_ == "gguf" else name)
        export_adapter(found.folder, format_, target, replace=force)
    else:
        raise UsageError(
            f"There is no format called {clean_line(format_)!r}.", "Available: gguf, peft, merged-TYPE."
        )
    note(f"Written to {target}.")
    if modelfile:
        _write_modelfile(context, found, format_, target, force=force)


def _merge(
    context: Context,
    found: InstalledAdapter,
    type_name: str,
    output: Path | None,
    *,
    scale: float,
    force: bool,
    check: bool,
) -> Path:
    from ragchat.finetune.base_gguf import BaseGguf
    from ragchat.finetune.gguf_lora import read_gguf_lora
    from ragchat.finetune.merge import export_merged
    from ragchat.llm.quantize import check_type

    type_name = check_type(type_name)
    base_path = _base_of(context, found)
    target = output or Path(f"{base_path.stem}-{found.name}.{type_name}.gguf")
    if target.exists() and not force:
        raise UsageError(f"{target} already exists.", "Use --force to overwrite it.")
    base = BaseGguf(base_path)
    live = interactive()

    def show(fraction: float) -> None:
        if live:
            click.echo(f"\rmerging {fraction:.0%}", nl=False, err=True)

    with cancel_on_interrupt() as cancel:
        export_merged(
            base,
            [(read_gguf_lora(found.gguf, base), scale)],
            target,
            name=f"{base.summary.name or base_path.stem} with {found.name}",
            file_type=type_name,
            log=context.paths.finetune_log,
            on_progress=show,
            cancel=cancel,
        )
    if live:
        click.echo(err=True)
    note(f"{human_bytes(target.stat().st_size)}")
    if check:
        _check_merged(context, found, base_path, target, force=force)
    return target


def _check_merged(
    context: Context, found: InstalledAdapter, base_path: Path, target: Path, *, force: bool
) -> None:
    """Ask the merged file and the adapter the same. Raises FinetuneError when what was learned is lost."""
    with_adapter = _recall(context, found, base_path, (AdapterScale(found.name),))
    if not with_adapter.answers:
        return
    merged = _recall(context, found, target, ())
    note(
        f"Of {counted(len(merged.answers), 'question')} of the card the adapter answers {with_adapter.share:.0%} correctly,"
        f" the merged file {merged.share:.0%}."
    )
    if with_adapter.share and merged.share < KEPT_LEAST * with_adapter.share:
        if not force:
            target.unlink(missing_ok=True)
            raise FinetuneError(
                "This type loses what the adapter learned, so no file was written.",
                "merged-f16 and merged-q8_0 keep it. Use --force to write the file anyway.",
            )
        note("Warning: this type loses what the adapter learned. merged-f16 and merged-q8_0 keep it.")
    elif merged.share < KEPT_WELL * with_adapter.share:
        note("Warning: this type loses some of what the adapter learned. merged-q8_0 keeps more.")


def _recall(
    context: Context, found: InstalledAdapter, model_path: Path, adapters: tuple[AdapterScale, ...]
) -> Recall:
    """The questions of the card, put to a model file."""
    from ragchat.finetune import recall
    from ragchat.finetune.examples import Example
    from ragchat.finetune.run import as_asked
    from ragchat.llm.loading import loaded
    from ragchat.types import Message

    assert found.manifest
    asked = [
        as_asked(
            Example(
                (Message("user", str(row["question"])), Message("assistant", str(row["expected"]))),
                "card",
                "",
                str(row["question"]),
                expected=tuple(str(row["expected"]).split(" / ")),
            )
        )
        for row in found.manifest.answers
        if row.get("question") and row.get("expected")
    ]
    if not asked:
        return recall.Recall(())
    with contextlib.closing(build.model(context, str(model_path))) as model, cancel_on_interrupt() as cancel:
        return recall.measure(loaded(model, cancel, adapters=adapters), asked, cancel=cancel)


def _write_modelfile(
    context: Context, found: InstalledAdapter, format_: str, target: Path, *, force: bool
) -> None:
    from ragchat.finetune.modelfile import modelfile

    path = target.parent / "Modelfile"
    if path.exists() and not force:
        raise UsageError(f"{path} already exists.", "Use --force to overwrite it.")
    sampling = build.sampling(context)
    if format_.startswith("merged-"):
        text = modelfile(target.absolute(), sampling=sampling)
    elif format_ == "gguf":
        text = modelfile(_base_of(context, found), adapter=target.absolute(), sampling=sampling)
    else:
        raise UsageError("Ollama reads GGUF files, not PEFT folders.", "Use --format gguf or merged-f16.")
    path.write_text(text, encoding="utf-8")
    note(f"Written to {path}: `ollama create NAME -f {path}`.")


@adapter.command("import")
@click.argument("path", type=TypedPath())
@click.option(
    "--name", default="", metavar="NAME", help="Name of the adapter. Default: the name of the file."
)
@click.option(
    "--model",
    "model_name",
    default="",
    metavar="NAME",
    help="Model of the adapter. Default: the model of the chat.",
)
@click.option("--replace", "replacing", is_flag=True, help="Replace an adapter with the same name.")
@click.option(
    "--force", is_flag=True, help="Import it even if it names a different base file, if the shapes match."
)
@pass_context
def import_(
    context: Context, /, path: Path, name: str, model_name: str, replacing: bool, force: bool
) -> None:
    """Import an adapter made elsewhere: a PEFT folder or a GGUF LoRA file."""
    from ragchat.finetune.base_gguf import BaseGguf
    from ragchat.finetune.install import clear_leftovers, import_adapter

    context.paths.create()
    clear_leftovers(context.paths.adapters_dir)
    base = build.library(context).resolve(model_name or context.settings.model.name)
    library = build.adapters(context)
    name = name or (path.name if path.is_dir() else path.stem)
    folder = import_adapter(
        path,
        BaseGguf(base),
        library.sha256(base),
        adapters_dir=context.paths.adapters_dir,
        name=name,
        replace=replacing,
        force=force,
    )
    note(f"{name} is in {folder}, for {base.name}.")


@adapter.command()
@click.argument("name")
@pass_context
def check(context: Context, /, name: str) -> None:
    """Check that an adapter is complete, fits its model and changes the model's answers."""
    from ragchat.llm.loading import loaded

    library = build.adapters(context)
    wrong = library.check(name)
    for sentence in wrong:
        note(sentence)
    if wrong:
        raise AdapterError(f"The adapter {clean_line(name)} is broken.", "Train or import it again.")
    found = library.find(name)
    base = _base_of(context, found)
    note(f"Its files are unchanged, and {base.name} is the file it was trained on.")
    with contextlib.closing(build.model(context, str(base))) as model, cancel_on_interrupt() as cancel:
        off, on = loaded(model, cancel), loaded(model, cancel, adapters=(AdapterScale(name),))
        tokens = range(100, 132)
        before, after, again = (one.logits(tokens) for one in (off, on, off))
    if before == after:
        raise AdapterError(f"The adapter {clean_line(name)} changes nothing.", "Train or import it again.")
    if before != again:
        raise AdapterError(f"The adapter {clean_line(name)} cannot be turned off.")
    note("Turned on, it changes the model's answers. Turned off, it changes nothing.")


@adapter.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@pass_context
def remove(context: Context, /, name: str, yes: bool) -> None:
    """Delete an adapter."""
    library = build.adapters(context)
    found = library.find(name)
    if not yes:
        if not interactive():
            raise UsageError("ragchat cannot ask for confirmation here.", "Use --yes.")
        click.confirm(f"Delete {clean_line(str(found.folder))}?", abort=True, err=True)
    library.remove(name)
    note(f"Deleted {clean_line(name)}.")


def _whole(context: Context, name: str) -> InstalledAdapter:
    found = build.adapters(context).find(name)
    if found.manifest is None or found.problem:
        raise AdapterError(f"The adapter {found.name} cannot be used: {found.problem}.")
    return found


def _base_of(context: Context, found: InstalledAdapter) -> Path:
    """The installed model file that an adapter was trained on. Raises NotFoundError."""
    assert found.manifest
    library = build.adapters(context)
    for model in build.library(context).installed():
        if not model.problem and model.size_bytes == found.manifest.base.size_bytes:
            path = model.path.resolve()
            if library.sha256(path) == found.manifest.base.sha256:
                return model.path
    raise NotFoundError(
        f"The model of {found.name}, {clean_line(found.manifest.base.file)}, is not installed.",
        "`ragchat model list` shows the installed models.",
    )
