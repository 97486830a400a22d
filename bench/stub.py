"""A chatbot for measuring: answers from prepared bytes, in every API. ``python -m bench.stub PORT [PAUSE]``.

``PAUSE``: seconds before each piece of a stream, which then comes sentence by sentence; 0: everything at once.
"""

from __future__ import annotations

import asyncio
import json
import sys

from bench.client import content_length
from bench.dialects import WIRES
from bench.sample import REPLY, SENTENCES, WORDS
from bench.wire import Wire

HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\n{}\r\n"
BY_PATH = {path: wire for wire in WIRES.values() for path in wire.paths}


def _whole(wire: Wire) -> bytes:
    body = json.dumps(wire.whole(REPLY)).encode()
    return HEAD.format("application/json", f"content-length: {len(body)}\r\n").encode() + body


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


class Stub:
    """Everything it will ever say is written down before the first request."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        pieces = SENTENCES if pause else WORDS
        self._whole = {wire.name: _whole(wire) for wire in WIRES.values()}
        self._chunks = {wire.name: [_chunk(data) for data in wire.stream(pieces)] for wire in WIRES.values()}
        self._heads = {
            wire.name: HEAD.format(wire.stream_type, "transfer-encoding: chunked\r\n").encode()
            for wire in WIRES.values()
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a proxy."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(content_length(head) or 0)
                path = head.split(b" ", 2)[1].decode()
                wire = BY_PATH[path]
                if "stream" in path or b'"stream":true' in body.replace(b" ", b""):
                    await self._stream(wire, writer)
                else:
                    writer.write(self._whole[wire.name])
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _stream(self, wire: Wire, writer: asyncio.StreamWriter) -> None:
        writer.write(self._heads[wire.name])
        for data in self._chunks[wire.name]:
            await asyncio.sleep(self._pause)
            writer.write(data)
            await writer.drain()
        writer.write(b"0\r\n\r\n")


async def main(port: int, pause: float) -> None:
    server = await asyncio.start_server(Stub(pause).serve, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))
