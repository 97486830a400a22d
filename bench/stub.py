"""A chatbot for measuring: answers at once, JSON or a stream, from prepared bytes. ``python -m bench.stub PORT``."""

from __future__ import annotations

import asyncio
import json
import sys

from bench.sample import CHUNKS, REPLY

HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\n{}\r\n"
JSON_BODY = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "stub",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": REPLY}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
JSON_ANSWER = HEAD.format("application/json", f"content-length: {len(JSON_BODY)}\r\n").encode() + JSON_BODY
STREAM_HEAD = HEAD.format("text/event-stream", "transfer-encoding: chunked\r\n").encode()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            body = await reader.readexactly(length)
            if b'"stream":true' not in body.replace(b" ", b""):
                writer.write(JSON_ANSWER)
                continue
            writer.write(STREAM_HEAD)
            for data in CHUNKS:
                writer.write(_chunk(data))
                await writer.drain()
                await asyncio.sleep(0)
            writer.write(b"0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(port: int) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
