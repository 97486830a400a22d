"""A sample receiver of cases: checks the Standard Webhooks signature, then shows what arrived.

``WEBHOOK_SECRET=whsec_… python -m demo.webhook [HOST:PORT]``, with the same secret in ``guardrail.yaml``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping

import uvicorn
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_BODY_LIMIT = 256 * 1024

Notice = Mapping[str, object]
"""``{"type", "timestamp", "data"}``; ``data`` is the case."""


def make_app(secret: str, on_notice: Callable[[Notice], None]) -> Starlette:
    """An app with ``POST /cases``. ``on_notice`` gets each notice once, and only with a good signature."""
    checker = Webhook(secret)
    seen: set[str] = set()

    async def receive(request: Request) -> Response:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_LIMIT:
                return Response(status_code=413)
        try:
            notice = checker.verify(body.decode(), dict(request.headers))
        except (WebhookVerificationError, UnicodeDecodeError):
            return Response(status_code=401)
        # The id stays the same when a notice is sent again, so that nobody is called twice for one matter.
        notice_id = request.headers["webhook-id"]
        if notice_id not in seen:
            seen.add(notice_id)
            on_notice(notice)
        return Response(status_code=204)

    return Starlette(routes=[Route("/cases", receive, methods=["POST"])])


def main() -> int:
    """Serve until Ctrl-C; 2 when there is no usable secret."""
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9100").rpartition(":")
    try:
        app = make_app(os.environ["WEBHOOK_SECRET"], lambda notice: print(json.dumps(notice, indent=2), flush=True))
    except (KeyError, ValueError):
        print(
            'WEBHOOK_SECRET is not set to a secret; make one with: echo "whsec_$(openssl rand -base64 32)"',
            file=sys.stderr,
        )
        return 2
    print(f"sample webhook receiver on http://{host}:{port}/cases", flush=True)
    uvicorn.run(app, host=host, port=int(port), log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
