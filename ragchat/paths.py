"""The only file that knows where things lie: XDG folders, RAGCHAT_HOME, and `models/` of a checkout."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
MANUAL = PACKAGE / "manual"
"""ragchat's own manual, which every installation can ask."""
TEMPLATES = PACKAGE / "templates"
"""Prompt templates that every installation has."""


@dataclass(frozen=True, slots=True)
class Paths:
    """All folders of ragchat's own. Nothing outside them is ever written.

    `model_dirs[0]` is where models are put; all of them are looked in.
    """

    config_dir: Path
    data_dir: Path
    state_dir: Path
    cache_dir: Path
    model_dirs: tuple[Path, ...]

    @classmethod
    def discover(cls, env: Mapping[str, str]) -> Paths:
        """RAGCHAT_HOME puts everything under one folder; without it the platform's own folders are used (XDG on Linux)."""
        checkout = checkout_models()
        if home := env.get("RAGCHAT_HOME"):
            root = expanded(home).absolute()
            dirs = [root / "data" / "models", *([checkout] if checkout else [])]
            return cls(root / "config", root / "data", root / "state", root / "cache", tuple(dirs))
        from platformdirs import PlatformDirs

        # A GUI-less tool: on macOS, too, people look for its settings where XDG says, when they set it.
        platform = PlatformDirs("ragchat", appauthor=False)
        data = _xdg(env, "XDG_DATA_HOME", platform.user_data_path)
        own = data / "models"
        return cls(
            _xdg(env, "XDG_CONFIG_HOME", platform.user_config_path),
            data,
            _xdg(env, "XDG_STATE_HOME", platform.user_state_path),
            _xdg(env, "XDG_CACHE_HOME", platform.user_cache_path),
            (checkout, own) if checkout else (own,),
        )

    @property
    def settings_file(self) -> Path:
        """The settings."""
        return self.config_dir / "settings.toml"

    @property
    def templates_dir(self) -> Path:
        """The user's own prompt templates; made by the user, if at all."""
        return self.config_dir / "templates"

    @property
    def themes_dir(self) -> Path:
        """Themes of your own."""
        return self.config_dir / "themes"

    @property
    def chat_database(self) -> Path:
        """Chats, messages, drafts."""
        return self.data_dir / "ragchat.db"

    @property
    def kb_dir(self) -> Path:
        """Knowledge bases, a file for each."""
        return self.data_dir / "kb"

    @property
    def ocr_data_dir(self) -> Path:
        """Data for OCR that the user put there, if any."""
        return self.data_dir / "tessdata"

    @property
    def inference_log(self) -> Path:
        """What llama.cpp writes."""
        return self.state_dir / "inference.log"

    @property
    def extraction_log(self) -> Path:
        """What readers of files write."""
        return self.state_dir / "extraction.log"

    @property
    def app_log(self) -> Path:
        """The log of the application."""
        return self.state_dir / "ragchat.log"

    @property
    def scratch_dir(self) -> Path:
        """For text that is handed to an editor."""
        return self.cache_dir / "scratch"

    @property
    def suspects_file(self) -> Path:
        """Models that ended the inference process; they are not loaded unasked."""
        return self.state_dir / "suspect-models.json"

    @property
    def profiles_file(self) -> Path:
        """What the micro-benchmark chose per model and machine."""
        return self.cache_dir / "profiles.json"

    @property
    def snapshots_dir(self) -> Path:
        """What models have read of chats: as private as the chats."""
        return self.cache_dir / "snapshots"

    @property
    def packings_file(self) -> Path:
        """Which way of packing passages measured best, per model."""
        return self.data_dir / "packings.json"

    @property
    def rewritings_file(self) -> Path:
        """For which models it was measured to pay that they write what else to search for."""
        return self.data_dir / "rewritings.json"

    @property
    def answerability_file(self) -> Path:
        """What your own questions tell of the chance that documents answer (`ragchat eval calibrate`)."""
        return self.data_dir / "answerability.json"

    @property
    def fingerprints_file(self) -> Path:
        """SHA-256 of model files, by path, size and time."""
        return self.cache_dir / "fingerprints.json"

    @property
    def adapters_dir(self) -> Path:
        """Where adapters are put: `models/adapters/NAME/`."""
        return self.model_dirs[0] / "adapters"

    @property
    def finetune_dir(self) -> Path:
        """Runs of `ragchat finetune`, one folder each, with their checkpoints."""
        return self.data_dir / "finetune"

    @property
    def weights_dir(self) -> Path:
        """Weights made trainable from GGUF files; can be made again at any time."""
        return self.cache_dir / "weights"

    @property
    def question_sets_dir(self) -> Path:
        """The user's questions to measure with, a file for each set."""
        return self.data_dir / "evaluation" / "sets"

    @property
    def evaluation_runs_dir(self) -> Path:
        """What the ways of answering said to them."""
        return self.data_dir / "evaluation" / "runs"

    @property
    def trainings_dir(self) -> Path:
        """What runs of `ragchat finetune` say of themselves while they go."""
        return self.state_dir / "trainings"

    @property
    def finetune_log(self) -> Path:
        """What a training writes."""
        return self.state_dir / "finetune.log"

    def create(self) -> None:
        """Make the folders, readable by their owner only. Raises OSError."""
        for folder in (self.config_dir, self.data_dir, self.state_dir, self.cache_dir, self.kb_dir):
            make_private_dir(folder)
        self.model_dirs[0].mkdir(parents=True, exist_ok=True)


def _xdg(env: Mapping[str, str], variable: str, otherwise: Path) -> Path:
    """The folder that `variable` asks for; a relative path is invalid there and is ignored, as the specification says."""
    base = Path(env.get(variable, ""))
    return base / "ragchat" if base.is_absolute() else otherwise


def expanded(path: str | Path) -> Path:
    """`path` with the home folder in place of `~` or `~name`; it stays as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def exists(path: Path) -> bool:
    """Whether something is there that may be looked at. A name that is too long is no error: nothing has it."""
    try:
        return path.exists()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether a file is there that may be looked at, as `exists`."""
    try:
        return path.is_file()
    except OSError:
        return False


def make_private_dir(folder: Path) -> None:
    """Make `folder` with mode 0700 where the platform has modes; an existing folder is left as it is."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def checkout_models() -> Path | None:
    """`models/` of the checkout that this package runs from, or None when it is installed."""
    root = PACKAGE.parent
    return (
        root / "models"
        if (root / "models" / "README.md").is_file() and (root / "pyproject.toml").is_file()
        else None
    )


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` so that a crash leaves the old or the new file, never a part. Mode 0600.

    A symbolic link stays one: the file that it points to is replaced.
    """
    path = Path(os.path.realpath(path))
    make_private_dir(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
