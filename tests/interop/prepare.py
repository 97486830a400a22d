"""Installs what ``make interop`` needs, in folders of its own. ``python -m tests.interop.prepare``.

Versions are those of ``constraints.txt`` and ``package-lock.json``. What cannot be had is written down with its reason:
its checks are skipped and the table at the end says so.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import venv

from tests.interop.components import HAD, HERE, NODE, NODE_MODULES, PYTHON, VENV, WHEELS

CONSTRAINTS = HERE / "constraints.txt"
LOCK = HERE / "package-lock.json"
STAMP = VENV / ".ready"


def main() -> None:
    """Does nothing when everything is as the files say."""
    if STAMP.is_file() and STAMP.read_text() == fingerprint() and NODE_MODULES.is_dir():
        return
    if not PYTHON.exists():
        venv.create(VENV, with_pip=False)
    had = {name: _wheels(packages) for name, packages in WHEELS.items()} | {NODE: _packages()}
    HAD.write_text(json.dumps(had, indent=1))
    for name, why in had.items():
        print(f"interop: {name}: {why or 'ready'}", flush=True)
    if not any(had.values()):
        STAMP.write_text(fingerprint())


def fingerprint() -> str:
    """Changes whenever what must be installed does."""
    parts = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (CONSTRAINTS, LOCK)]
    return "\n".join([platform.python_version(), str(VENV), *parts])


def _wheels(packages: list[str]) -> str:
    print(f"interop: installing {' '.join(packages)}", flush=True)
    pip = [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "--disable-pip-version-check"]
    return _run([*pip, "--constraint", str(CONSTRAINTS), *packages])


def _packages() -> str:
    print("interop: installing what JavaScript needs", flush=True)
    if shutil.which("npm") is None:
        return "no npm on this machine"
    return _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(HERE)])


def _run(command: list[str]) -> str:
    """Empty when it worked, else the last line that names an error."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if "error" in line.lower()]
    return lines[-1][:160] if lines else f"{command[0]} ended with {done.returncode}"


if __name__ == "__main__":
    main()
