"""What one connection may cost: uvicorn's HTTP protocol with bounds on heads, silence and number.

A head that is too large is not refused here: what is too much of it is dropped, the app is told, reads the body,
and answers a person in danger before it answers the client. Only a head that has no end ends the connection.
"""

from __future__ import annotations

import json
import socket
from asyncio import BaseTransport, TimerHandle, Transport
from collections import OrderedDict
from typing import Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from guardrail.server.passing import REFUSAL
from guardrail.settings_model import Limits

ENDLESS = 4
"""A head this many times as large as is allowed has no end that is worth waiting for."""
MOST_HEADERS = 256


class BoundedProtocol(HttpToolsProtocol):
    """One client's connection. Made by ``bounded``, which says by which limits."""

    limits: ClassVar[Limits]
    idle: ClassVar[OrderedDict[BoundedProtocol, None]]
    """Connections between two requests, those that have been idle for longest first."""

    _head = 0
    _in_head = True
    _kept = 0
    _head_timer: TimerHandle | None = None
    _stall_timer: TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast("Transport", transport))
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a client that vanished without a word
        self._await_head()
        self.idle[self] = None
        for _ in range(min(len(self.connections) - self.limits.connections, len(self.idle) - 1)):
            self.idle.popitem(last=False)[0].transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if self._head > ENDLESS * self.limits.headers:
            self._refuse(431, "The head of the request has no end.")
        elif self._head and self._head_timer is None:
            self._await_head()

    # --- the head

    def on_message_begin(self) -> None:
        self._kept = 0
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._kept += len(name) + len(value) + 4
        if self._kept + len(self.url) <= self.limits.headers and len(self.headers) < MOST_HEADERS:
            super().on_header(name, value)
        else:
            self._say_too_much()

    def on_headers_complete(self) -> None:
        self._in_head, self._head = False, 0
        self._stop_waiting()
        self.idle.pop(self, None)
        if len(self.url) > self.limits.headers:
            self._say_too_much()
        super().on_headers_complete()

    def _say_too_much(self) -> None:
        limit = f"{self.limits.headers} bytes or {MOST_HEADERS} headers"
        extensions = cast("dict[str, Any]", self.scope.setdefault("extensions", {}))
        extensions[REFUSAL] = {"status": 431, "message": f"The head of the request is larger than {limit}."}

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.header_time, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head:
            self._refuse(408, "The head of the request did not arrive in time.")
        else:
            self.transport.close()

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    # --- between requests

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.pipeline and not self.transport.is_closing():
            self.idle[self] = None

    # --- a client that does not read

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.limits.client_idle, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    # --- refusals without a path: nothing is known yet but that this is no request

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self.cycle.keep_alive = False  # rubbish after a whole request: somebody still waits for its answer
            self.flow.pause_reading()
        else:
            self._refuse(400, "This is not a valid HTTP request.")

    def _refuse(self, status: int, message: str) -> None:
        """One line of JSON that the clients of every chat API read as an error; then the end."""
        self._stop_waiting()
        body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "code": None}}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


def bounded(limits: Limits) -> type[BoundedProtocol]:
    """The protocol class of one server."""
    return type("Bounded", (BoundedProtocol,), {"limits": limits, "idle": OrderedDict()})
