"""Options that several commands share, and settings read the same way by all."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from guardrail.settings import Settings, load


def add_config(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", type=Path, metavar="guardrail.yaml", help="the configuration file")


def add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", metavar="DIR", help="the data folder (instead of the configured one)")
    add_config(command)


def add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="machine-readable output")


def settings_of(arguments: argparse.Namespace, *, need_upstream: bool = False) -> Settings:
    """Settings from ``--config``, the environment and the command's own options. Raises ``SettingsError``."""
    overrides: dict[str, object] = {
        name: getattr(arguments, name, None)
        for name in ("upstream", "listen", "data", "policies", "require_signed")
        if getattr(arguments, name, None)
    }
    return load(arguments.config, overrides, os.environ, need_upstream=need_upstream)


def add_model(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--model",
        default="shipped",
        metavar="FOLDER",
        help="the model that reads what is meant: shipped, a folder, none",
    )


def model_of(arguments: argparse.Namespace) -> str | None:
    """What ``Guard.load`` takes for ``--model``."""
    return None if arguments.model == "none" else str(arguments.model)
