"""The ASGI application: our own endpoints, chats we can read, and everything else passed through."""

from __future__ import annotations

from typing import Any

from guardrail.dialects import claiming
from guardrail.server import moderating
from guardrail.server.api import PREFIX, make_api
from guardrail.server.chatting import Chatting
from guardrail.server.passing import blocked, pass_through
from guardrail.server.request import Receive, Scope, Send
from guardrail.server.services import Services
from guardrail.server.upstream import AppUpstream, Upstream

_BODIES = frozenset(("POST", "PUT", "PATCH"))


class App:
    """One proxy. ``upstream`` is closed with it."""

    def __init__(self, services: Services, upstream: Upstream) -> None:
        self._services, self._upstream = services, upstream
        self._api = make_api(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._services.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._services.stop()
        await self._upstream.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path == PREFIX or path.startswith(PREFIX + "/"):
            await self._api(scope, receive, send)
            return
        if moderating.claims(self._services, scope["method"], path):
            await moderating.moderate(self._services, scope, receive, send)
            return
        query = scope.get("query_string", b"").decode("latin-1")
        dialect = claiming(scope["method"], path, query, self._services.dialects)
        if dialect is not None:
            await Chatting(self._services, self._upstream, dialect, scope, receive, send).run()
            return
        await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        services = self._services
        if scope["method"] in _BODIES:
            services.metrics.unknown_dialect()
            services.warn_once("a path whose dialect is unknown", scope["path"])
            if services.settings.unknown_dialect == "block":
                await blocked(send, 403, "This path speaks no chat API that is guarded here, and is not let through.")
                return
        outcome = await pass_through(scope, receive, send, self._upstream, services.settings.limits)
        services.metrics.exchange("none", outcome)


class GuardrailMiddleware:
    """Guards an operator's own ASGI chatbot in its own process.

    ``GuardrailMiddleware(app, config="guardrail.yaml")`` or with settings as keywords, e.g.
    ``policies=["base"], data="./data"``. Paths that are no chat API go to ``app`` untouched; so do
    WebSockets and its lifespan.
    """

    def __init__(self, app: Any, config: str | None = None, **settings: object) -> None:
        self._app = app
        self._services = Services.configured(config, settings)
        self._api = make_api(self._services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._with_services(send))
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._services.start()
        path: str = scope["path"]
        query = scope.get("query_string", b"").decode("latin-1")
        dialect = claiming(scope["method"], path, query, self._services.dialects)
        if path.startswith(PREFIX + "/"):
            await self._api(scope, receive, send)
        elif moderating.claims(self._services, scope["method"], path):
            await moderating.moderate(self._services, scope, receive, send)
        elif dialect is None:
            await self._app(scope, receive, send)
        else:
            limits = self._services.settings.limits
            upstream = AppUpstream(
                self._app, scope, header_timeout=limits.upstream_headers, idle_timeout=limits.upstream_idle
            )
            await Chatting(self._services, upstream, dialect, scope, receive, send).run()

    async def aclose(self) -> None:
        """Stop, where there is no lifespan to do it."""
        await self._services.stop()

    def _with_services(self, send: Send) -> Send:
        async def follow(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._services.start()
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                await self._services.stop()
            await send(message)

        return follow
