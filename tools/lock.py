"""Writes the two lock files from ``pyproject.toml``: ``python tools/lock.py [--upgrade]``. Needs uv.

``requirements.lock`` is what the guardrail runs with, ``requirements-dev.lock`` what is added to build, check and
test it. Versions already locked are kept unless ``--upgrade`` is given. Hashes of every file of a version are in
them, and no address of an index, so that any mirror of the same files serves.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNTIME, DEV = "requirements.lock", "requirements-dev.lock"
EDITABLE_BUILD = ["editables>=0.5,<0.7"]
"""What hatchling asks for beyond ``build-system.requires`` when it installs a checkout in place."""

HEADER = "# Made by tools/lock.py from pyproject.toml; do not edit. Python 3.11 and later, Linux.\n"


def main() -> int:
    """0 when both files are written, 2 when uv is missing or refuses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that pyproject.toml allows")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        print("lock: uv is needed: pip install uv", file=sys.stderr)
        return 2
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    try:
        _compile(uv, project["project"]["dependencies"], RUNTIME, upgrade)
        extra = [*project["dependency-groups"]["dev"], *project["build-system"]["requires"], *EDITABLE_BUILD]
        _compile(uv, extra, DEV, ["--constraints", RUNTIME, *upgrade])
    except subprocess.CalledProcessError as error:
        print(f"lock: uv ended with {error.returncode}", file=sys.stderr)
        return 2
    return 0


def _compile(uv: str, requirements: list[str], target: str, options: list[str]) -> None:
    command = [uv, "pip", "compile", "-", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += ["--no-header", "--no-annotate", "--output-file", target, *options]
    subprocess.run(command, cwd=ROOT, check=True, text=True, input="\n".join(requirements), stdout=subprocess.DEVNULL)
    path = ROOT / target
    path.write_text(HEADER + path.read_text())


if __name__ == "__main__":
    sys.exit(main())
