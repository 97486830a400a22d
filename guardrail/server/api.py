"""Our own endpoints, under ``/guardrail/``: health for everybody, all else for whoever has the token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from escalation.case import Case, State
from escalation.store import Conflict, NotFound, StoreError
from guardrail import __version__
from guardrail.policy import PolicyError
from guardrail.server.services import Services
from guardrail.store.identity import same

PREFIX = "/guardrail"
_BODY_LIMIT = 64 * 1024
_STATES = ("open", "notified", "acknowledged", "claimed", "resolved", "expired")
_OUTCOMES = ("true_alarm", "false_alarm", "duplicate", "test")

Handler = Callable[[Request], Awaitable[Response]]


def make_api(services: Services) -> Starlette:
    """The API as a Starlette app. Paths carry ids only; no answer holds message text."""
    api = _Api(services)
    guarded = [
        ("/metrics", api.metrics, "GET"),
        ("/api/v1/openapi.json", api.openapi, "GET"),
        ("/api/v1/health", api.health, "GET"),
        ("/api/v1/policies", api.policies, "GET"),
        ("/api/v1/policies/reload", api.reload, "POST"),
        ("/api/v1/cases", api.cases, "GET"),
        ("/api/v1/cases/{id}", api.case, "GET"),
        *(
            (f"/api/v1/cases/{{id}}/{verb}", api.act(verb), "POST")
            for verb in ("acknowledge", "claim", "reply", "resolve")
        ),
    ]
    routes = [
        Route(f"{PREFIX}/health/live", api.live),
        Route(f"{PREFIX}/health/ready", api.ready),
        *(Route(PREFIX + path, _with_token(services, handler), methods=[method]) for path, handler, method in guarded),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _error, Exception: _crash})


def _with_token(services: Services, handler: Handler) -> Handler:
    async def checked(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not same(token.strip(), services.admin_token):
            raise HTTPException(401, "a bearer token is needed", {"www-authenticate": "Bearer"})
        return await handler(request)

    return checked


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(value), status, {"cache-control": "no-store", **(headers or {})}, "application/json"
    )


async def _error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return _json({"error": {"status": error.status_code, "message": error.detail}}, error.status_code, headers)


async def _crash(_: Request, error: Exception) -> Response:
    return _json({"error": {"status": 500, "message": f"unexpected: {type(error).__name__}"}}, 500)


class _Api:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def live(self, _: Request) -> Response:
        """The process answers. Never looks at the upstream or the stores."""
        return _json({"status": "live"})

    async def ready(self, _: Request) -> Response:
        """Ready to take traffic; what is degraded is named, and does not take the proxy out of service."""
        return _json({"status": "ready", "degraded": self._services.degraded()})

    async def health(self, _: Request) -> Response:
        return _json(self._services.health())

    async def metrics(self, _: Request) -> Response:
        await self._services.refresh_gauges()
        return Response(self._services.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def policies(self, _: Request) -> Response:
        """What is in force, who has signed it, and why what lies on the disk is not."""
        return _json(self._services.about_policy())

    async def reload(self, request: Request) -> Response:
        """Put the policy on the disk in force; 422 with every problem where it cannot be, and it does not change."""
        by = _name(await _read(request))
        try:
            await self._services.reload(by)
        except PolicyError as error:
            problems = list(error.problems)
            return _json({"error": {"status": 422, "message": "the policy was refused", "problems": problems}}, 422)
        return _json(self._services.about_policy())

    async def openapi(self, _: Request) -> Response:
        return _json(OPENAPI)

    async def cases(self, request: Request) -> Response:
        query = request.query_params
        state = query.get("state")
        if state is not None and state not in _STATES:
            raise HTTPException(400, f"state must be one of {', '.join(_STATES)}")
        try:
            limit = int(query.get("limit", "100"))
        except ValueError:
            limit = 0
        if not 1 <= limit <= 1000:
            raise HTTPException(400, "limit must be a whole number from 1 to 1000")
        finding = self._services.desk.find(cast("State | None", state), limit, query.get("cursor"))
        found, cursor = await _stored(finding, conflict=400)
        return _json({"items": [self._shown(case) for case in found], "next": cursor})

    async def case(self, request: Request) -> Response:
        case = await _stored(self._services.desk.get(request.path_params["id"]))
        return _json(self._shown(case))

    def _shown(self, case: Case) -> dict[str, object]:
        return case.public(self._services.settings.public_url or "")

    def act(self, verb: str) -> Handler:
        async def handle(request: Request) -> Response:
            body = await _read(request)
            return _json(self._shown(await self._acted(verb, request.path_params["id"], _name(body), body)))

        return handle

    async def _acted(self, verb: str, id: str, by: str, body: dict[str, Any]) -> Any:
        if verb == "reply":
            raise HTTPException(409, "no responders are set up to talk to people: see responders in guardrail.yaml")
        if verb != "resolve":
            return await _stored(self._services.act(verb, id, by))
        outcome, note = body.get("outcome"), body.get("note", "")
        if outcome not in _OUTCOMES:
            raise HTTPException(400, f"outcome must be one of {', '.join(_OUTCOMES)}")
        if not isinstance(note, str) or len(note) > 4000:
            raise HTTPException(400, "note must be text of at most 4000 characters")
        return await _stored(self._services.resolve(id, by, outcome, note))


def _name(body: dict[str, Any]) -> str:
    """Who acts. A token says that they may, not who they are."""
    by = body.get("by")
    if not isinstance(by, str) or not 0 < len(by.strip()) <= 200:
        raise HTTPException(400, 'a JSON body with "by": NAME is needed')
    return by.strip()


async def _read(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, f"the body is larger than {_BODY_LIMIT} bytes")
    try:
        value = msgspec.json.decode(bytes(body)) if body else {}
    except msgspec.DecodeError as error:
        raise HTTPException(400, "the body is not valid JSON") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return value


async def _stored(work: Awaitable[Any], conflict: int = 409) -> Any:
    """What the case store says, in HTTP's words. ``conflict``: the status of a ``Conflict``."""
    try:
        return await work
    except NotFound as error:
        raise HTTPException(404, "there is no such case") from error
    except Conflict as error:
        raise HTTPException(conflict, str(error)) from error
    except StoreError as error:
        raise HTTPException(503, "the case store does not answer", {"retry-after": "5"}) from error


def _operation(summary: str, **more: object) -> dict[str, object]:
    answers = {"200": {"description": "OK"}, "401": {"description": "No or a wrong token"}}
    return {"summary": summary, "security": [{"token": []}], "responses": answers, **more}


def _acting(summary: str, **properties: object) -> dict[str, object]:
    schema = {
        "type": "object",
        "required": ["by", *(["outcome"] if "outcome" in properties else [])],
        "properties": {"by": {"type": "string"}, **properties},
    }
    content = {"application/json": {"schema": schema}}
    return {"post": _operation(summary, parameters=[_ID], requestBody={"required": True, "content": content})}


_ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
_QUERY = [
    {"name": "state", "in": "query", "schema": {"enum": list(_STATES)}},
    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
    {"name": "cursor", "in": "query", "schema": {"type": "string"}},
]
OPENAPI: dict[str, object] = {
    "openapi": "3.1.0",
    "info": {"title": "crisis-guardrail", "version": __version__},
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        f"{PREFIX}/health/live": {
            "get": {"summary": "The process answers", "responses": {"200": {"description": "OK"}}}
        },
        f"{PREFIX}/health/ready": {"get": {"summary": "Takes traffic", "responses": {"200": {"description": "OK"}}}},
        f"{PREFIX}/metrics": {"get": _operation("Prometheus metrics")},
        f"{PREFIX}/api/v1/health": {"get": _operation("What is degraded, in detail")},
        f"{PREFIX}/api/v1/policies": {"get": _operation("The policy in force")},
        f"{PREFIX}/api/v1/policies/reload": _acting("Put the policy on the disk in force"),
        f"{PREFIX}/api/v1/cases": {"get": _operation("Cases, newest first", parameters=_QUERY)},
        f"{PREFIX}/api/v1/cases/{{id}}": {"get": _operation("One case", parameters=[_ID])},
        f"{PREFIX}/api/v1/cases/{{id}}/acknowledge": _acting("I have seen it"),
        f"{PREFIX}/api/v1/cases/{{id}}/claim": _acting("It is mine"),
        f"{PREFIX}/api/v1/cases/{{id}}/reply": _acting("Talk to the person (needs responders)"),
        f"{PREFIX}/api/v1/cases/{{id}}/resolve": _acting(
            "It is over", outcome={"enum": list(_OUTCOMES)}, note={"type": "string", "maxLength": 4000}
        ),
    },
}
