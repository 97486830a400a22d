"""What others wrote and we are tried against, and what of it is on this machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
VENV = ROOT / ".venv-interop"
PYTHON = VENV / "bin" / "python"
NODE_MODULES = HERE / "node_modules"
HAD = VENV / "had.json"

# Each is installed by itself: one that cannot be had does not take the others with it. Their versions: constraints.txt.
WHEELS = {"llmock": ["llmock"], "xllamacpp": ["xllamacpp", "gguf"], "chainlit": ["chainlit", "openai", "playwright"]}
PACKAGES = ("openai", "@copilotkit/aimock")
NODE = "npm"


def missing(component: str) -> str:
    """Why a component cannot be used here; empty when it can. ``component`` is a wheel or ``npm:package``."""
    had = json.loads(HAD.read_text()) if HAD.is_file() else {}
    if component.startswith("npm:"):
        return str(had.get(NODE, "make interop was not run"))
    if component == "chainlit" and browser() is None:
        return "no Chromium on this machine"
    return str(had.get(component, "make interop was not run"))


def browser() -> str | None:
    """Where Chromium is."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def version(component: str) -> str:
    """As the package says itself; empty when it is not here."""
    if component.startswith("npm:"):
        package = NODE_MODULES / component.removeprefix("npm:") / "package.json"
        return str(json.loads(package.read_text())["version"]) if package.is_file() else ""
    found = sorted(VENV.glob(f"lib/python*/site-packages/{component}-*.dist-info"))
    return found[0].name.removeprefix(f"{component}-").removesuffix(".dist-info") if found else ""
