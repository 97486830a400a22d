"""The yardstick: a bare Starlette pass-through over the same transport. It looks at nothing."""

from __future__ import annotations

import os

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from guardrail.server.upstream import ExactTransport

UPSTREAM = os.environ.get("BENCH_UPSTREAM", "")
transport = ExactTransport()


def target(request: Request) -> str:
    query = request.url.query
    return f"{UPSTREAM}{request.url.path}?{query}" if query else UPSTREAM + request.url.path


async def forward(request: Request) -> StreamingResponse:
    headers = [(k, v) for k, v in request.headers.raw if k not in (b"host", b"content-length")]
    outgoing = httpx.Request(request.method, target(request), headers=headers, content=await request.body())
    answer = await transport.handle_async_request(outgoing)
    response = StreamingResponse(answer.aiter_raw(), answer.status_code)
    response.raw_headers = [(k, v) for k, v in answer.headers.raw if k.lower() != b"transfer-encoding"]
    return response


app = Starlette(routes=[Route("/{path:path}", forward, methods=["GET", "POST"])])
