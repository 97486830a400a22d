"""Makes ``.venv`` with the locked dependencies. ``python3 tools/bootstrap.py [--dev]``.

Needs Python 3.11 and its standard library, no more: where ensurepip is missing (Debian without python3-venv), pip
itself comes from the package index that pip would use. Every file is checked against a hash: dependencies against
the lock files, pip against the index page. Doing it again costs nothing until a lock file changes.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit(f"bootstrap: Python 3.11 or later is needed, this is {sys.version.split()[0]}: make PYTHON=python3.11")

sys.path.insert(0, str(Path(__file__).parent))
from pipwheel import NoPip, fetch

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
RUNTIME, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"


def main() -> int:
    """0 when ``.venv`` is as the lock files say, 1 with one line of why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what builds, checks and tests the guardrail")
    wanted = "dev" if parser.parse_args().dev else "run"
    try:
        prepare(wanted)
    except (NoPip, OSError) as error:
        return _fail(str(error))
    except subprocess.CalledProcessError as error:
        return _fail(f"{' '.join(map(str, error.cmd[:4]))} … ended with {error.returncode}; the lines above say why")
    return 0


def _fail(why: str) -> int:
    print(f"bootstrap: {why}", file=sys.stderr)
    return 1


def prepare(wanted: str) -> None:
    """Bring ``.venv`` to what is wanted: ``run``, or ``dev``, which includes it."""
    if any(_stamp(kind).is_file() and _stamp(kind).read_text() == fingerprint(kind) for kind in {wanted, "dev"}):
        return
    if not _has_pip():
        make()
    say("installing what the guardrail runs with")
    _pip("install", "--require-hashes", "--no-deps", "-r", RUNTIME)
    if wanted == "dev":
        say("installing what checks and tests it")
        _pip("install", "--require-hashes", "--no-deps", "-r", DEV)
        _pip("install", "--no-deps", "--no-build-isolation", "--editable", ROOT)
    _stamp(wanted).write_text(fingerprint(wanted))
    say(f"{VENV} is ready")


def fingerprint(wanted: str) -> str:
    """Changes whenever what must be installed does."""
    files = [RUNTIME, *([DEV, ROOT / "pyproject.toml"] if wanted == "dev" else [])]
    parts = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return "\n".join([sys.version.split()[0], str(ROOT), *parts])


def _stamp(wanted: str) -> Path:
    return VENV / f".{wanted}-ready"


def _has_pip() -> bool:
    return PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0


def make() -> None:
    """A fresh environment with pip in it, from ensurepip where there is one, else from the index."""
    if VENV.exists():
        shutil.rmtree(VENV)
    say(f"making {VENV}")
    if importlib.util.find_spec("ensurepip") is not None:
        try:
            venv.create(VENV, with_pip=True)
            return
        except subprocess.CalledProcessError:
            say("ensurepip did not work; pip comes from the package index")
            shutil.rmtree(VENV)
    venv.create(VENV, with_pip=False)
    with tempfile.TemporaryDirectory() as folder:
        wheel = fetch(Path(folder), os.environ, say)
        command = [str(PYTHON), str(wheel / "pip"), "install", "--quiet", "--no-index", str(wheel)]
        subprocess.run(command, check=True, env=_environment())


def _pip(*arguments: str | Path) -> None:
    quiet = ["--progress-bar", "off"] if not sys.stdout.isatty() else []
    command = [PYTHON, "-m", "pip", *arguments[:1], *quiet, "--disable-pip-version-check", *arguments[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
        for line in process.stdout or ():
            if line.startswith(("Collecting", "Installing", "Successfully", "Obtaining")):
                say("  " + line.strip()[:100].split(" (from")[0])
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _environment() -> dict[str, str]:
    """The user's, less what would make pip install elsewhere."""
    return {name: value for name, value in os.environ.items() if name not in ("PIP_USER", "PIP_TARGET", "PYTHONPATH")}


def say(line: str) -> None:
    """Progress, as it happens."""
    print(f"bootstrap: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
