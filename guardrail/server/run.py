"""``guardrail serve``: uvicorn around our app, with what must be said at the start."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Callable

import uvicorn

from guardrail.server.app import App
from guardrail.server.protocol import bounded
from guardrail.server.services import Services, StartFailed
from guardrail.server.upstream import HttpUpstream
from guardrail.settings import Settings

__all__ = ["StartFailed", "serve"]


def serve(settings: Settings, say: Callable[[str], None]) -> int:
    """Serve until told to stop. Raises ``StartFailed`` with every reason when it cannot begin."""
    _raise_file_limit()
    services = Services.open(settings, say)
    limits = settings.limits
    upstream = HttpUpstream(
        settings.upstream, header_timeout=limits.upstream_headers, idle_timeout=limits.upstream_idle
    )
    config = uvicorn.Config(
        App(services, upstream),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=int(limits.upstream_idle),
        timeout_graceful_shutdown=int(limits.shutdown),
        http=bounded(limits),
    )
    say(f"guardrail: {settings.mode} on http://{settings.listen}, in front of {settings.upstream}")
    server = _Server(config, services)
    server.run()
    return 0 if server.started else 2


class _Server(uvicorn.Server):
    """Uvicorn, with SIGHUP to take the policy that lies on the disk."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        with contextlib.suppress(NotImplementedError, RuntimeError):  # not the main thread, or a system without it
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._services.reload_asked.set)
        await super().startup(sockets)


def _raise_file_limit() -> None:
    """As many file handles as this process may have: each chat takes one for its client and one for the chatbot."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
