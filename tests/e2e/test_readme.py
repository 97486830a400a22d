"""Every command and program that the documents show is run as it stands."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import chatbot
from demo.running import free_port, served
from tests.live import proxy

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "docs/quickstart.md", "CONTRIBUTING.md")
SHOWN_ADDRESS = "http://127.0.0.1:8080"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, *languages: str) -> list[str]:
    found = FENCE.findall((ROOT / document).read_text(encoding="utf-8"))
    return [text for language, text in found if language in languages]


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output shown below it ("" in a block that shows none)."""
    if not block.startswith("$ "):
        return [(line, "") for line in block.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    parts = [part.partition("\n") for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]
    return [(command, output) for command, _, output in parts]


class Shell:
    """A person's shell in an empty folder, with the command on its path."""

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        self._folder, self._running = folder, running
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("GUARDRAIL_", "MAKE", "MFLAGS"))}
        self._environment = {**inherited, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(self, command: str) -> str:
        """What it prints. What would take long is asked what it would do; what stays up is stopped in the end."""
        if command.startswith("make "):
            return self._output(f"make --no-print-directory -n {command.removeprefix('make ')}", ROOT)
        if command.startswith("guardrail serve "):
            self._running.enter_context(self._serving(command))
            return ""
        if command == ". .venv/bin/activate":
            return ""  # this interpreter's environment stands for it
        return self._output(command, self._folder)

    def _output(self, command: str, folder: Path) -> str:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=folder,
            env=self._environment,
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}\nended with {done.returncode}: {done.stderr.decode()}"
        return done.stdout.decode()

    @contextlib.contextmanager
    def _serving(self, command: str) -> Iterator[None]:
        listen = f"127.0.0.1:{free_port()}"
        log = self._folder / "serve.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*shlex.split(command), "--listen", listen],
                cwd=self._folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
        try:
            assert is_ready(f"http://{listen}", process), log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(30)


def is_ready(base: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        with (
            contextlib.suppress(urllib.error.URLError),
            urllib.request.urlopen(f"{base}/guardrail/health/ready", timeout=1),
        ):
            return True
        time.sleep(0.05)
    return False


def assert_shown(shown: str, printed: str) -> None:
    """Every line shown was printed, in this order; an ellipsis stands for anything."""
    lines = iter(printed.splitlines())
    for line in shown.splitlines():
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        assert any(pattern.match(there) for there in lines), f"shown, and not printed: {line}\n{printed}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_commands_work_as_they_stand(document: str, tmp_path: Path) -> None:
    found = [command for block in blocks(document, "sh", "console") for command in commands(block)]
    assert found
    with contextlib.ExitStack() as running:
        shell = Shell(tmp_path, running)
        for command, shown in found:
            assert_shown(shown, shell.run(command))


def test_no_fence_is_left_unchecked() -> None:
    """A block in a language that nothing here reads would rot."""
    known = {"sh", "console", "python", "yaml"}
    for document in DOCUMENTS:
        assert {language for language, _ in FENCE.findall((ROOT / document).read_text(encoding="utf-8"))} <= known


def test_programs_run_against_a_proxy_in_front_of_a_chatbot(tmp_path: Path) -> None:
    with served(chatbot.app) as bot, proxy(bot, tmp_path / "data") as guarded:
        for number, program in enumerate(blocks("README.md", "python")):
            file = tmp_path / f"program-{number}.py"
            file.write_text(program.replace(SHOWN_ADDRESS, guarded.url), encoding="utf-8")
            done = subprocess.run([sys.executable, str(file)], capture_output=True, timeout=60, cwd=ROOT, text=True)
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip()


def test_settings_that_are_shown_are_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from guardrail.settings import load, template

    monkeypatch.setenv("ONCALL_SECRET", "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
    shown = blocks("docs/quickstart.md", "yaml")
    assert shown
    for block in shown:
        without = re.sub(r"^escalation:\n(?:[ #].*\n)*", "", template("http://127.0.0.1:9000"), flags=re.MULTILINE)
        config = tmp_path / "guardrail.yaml"
        config.write_text(without + block, encoding="utf-8")
        assert "oncall" in load(config, {}, os.environ).escalation.channels


@pytest.mark.parametrize("document", [*DOCUMENTS, "SECURITY.md", "CHANGELOG.md", "docs/architecture.md"])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in target]
    missing = [target for target in targets if not ((ROOT / document).parent / target).exists()]
    assert not missing
