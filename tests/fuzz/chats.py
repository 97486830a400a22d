"""The laws of a chat API's reader: requests, whole replies, streams, and what we write ourselves.

A reader answers with what it read or with ``Refusal``; any other exception is a find. ``AssertionError`` names the law.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence

from guardrail.core.model import Message, Refusal
from guardrail.core.ports import Chat, Dialect, Frame, Piece, StreamReader
from guardrail.dialects.salvage import HEARD, heard
from tests.fuzz import shapes, shown
from tests.fuzz.shapes import SHAPES

GUIDANCE = "Ask how they are."
OURS = "You are not alone. 👋"


def request(name: str, data: bytes) -> None:
    """Every word of a request is in its turns; guidance is added, and takes nothing away."""
    shape = SHAPES[name]
    body = shapes.body(shape.requests, shape, data)
    dialect = shape.dialect
    assert isinstance(dialect.seems_streamed(body), bool)
    assert len(heard(body)) <= HEARD, "what is heard of a damaged request is bounded"
    try:
        chat = dialect.read_request(body)
    except Refusal as refusal:
        _check_refusal(refusal)
        return
    _check_all_read(shown.texts(shown.REQUESTS[name], body), [m.text for m in chat.messages])
    try:
        steered = dialect.steered(body, GUIDANCE)
    except Refusal as refusal:
        _check_refusal(refusal)
        return
    after = [message.text for message in dialect.read_request(steered).messages]
    is_asked = any(message.role != "system" for message in chat.messages)
    assert any(GUIDANCE in text for text in after) or not is_asked, "guidance is in a steered request"
    whole = "\n".join(after)
    assert all(m.text in whole for m in chat.messages), "a steered request has every turn it had"


def reply(name: str, data: bytes) -> None:
    """Every word of a reply is in its pieces; a text exchanged is gone, and ours is there."""
    shape = SHAPES[name]
    body = shapes.body(shape.replies, shape, data)
    try:
        read = shape.dialect.read_reply(body)
    except Refusal as refusal:
        _check_refusal(refusal)
        return
    _check_all_read(_replied(name, body), [piece.text for piece in read.pieces])
    names = [p.channel for p in read.pieces if p.channel.startswith(("content:", "refusal:", "thinking:"))]
    if names:
        _check_exchanged(shape.dialect, body, read.pieces, dict.fromkeys(names, OURS))


def _replied(name: str, body: bytes) -> set[str]:
    read = shown.REPLIES.get(name)
    if read is not None:
        return shown.texts(read, body)
    return {text for text in shown.texts(shown.every_string, body) if len(text) < 200}


def _check_exchanged(dialect: Dialect, body: bytes, before: Sequence[Piece], ours: Mapping[str, str]) -> None:
    after = dialect.read_reply(dialect.rewritten(body, ours)).pieces
    said = {piece.channel: piece.text for piece in after}
    for channel in ours:
        assert channel not in said or OURS in said[channel], "an exchanged text is ours"
    assert any(OURS in text for text in said.values()), "what is put in stands in the reply"
    old = {piece.text for piece in before if piece.channel in ours and len(piece.text) > 3} - {OURS}
    left = {piece.text for piece in before if piece.channel not in ours}
    if not any(o in text for o in old for text in left):
        assert not any(o in text for o in old for text in said.values() if o not in OURS), "an exchanged text is gone"


def stream(name: str, data: bytes) -> None:
    """Frames do not depend on the splits, are the bytes that came, leave no word unread, and may be ended by us."""
    shape = SHAPES[name]
    raw = shapes.stream(shape, data)
    frames, refused = _read(shape.dialect.reader(), [raw])
    whole = b"".join(frame.raw for frame in frames)
    assert raw.startswith(whole) and (refused or whole == raw), "frames are the bytes that came"
    assert _read(shape.dialect.reader(), _cut(raw)) == (frames, refused), "frames do not depend on the splits"
    if len(raw) < 200:
        each = [raw[i : i + 1] for i in range(len(raw))]
        assert _read(shape.dialect.reader(), each) == (frames, refused), "frames do not depend on single bytes"
    _check_stream_read(name, frames)
    _check_ended(shape.dialect, frames[: zlib.crc32(raw) % (len(frames) + 1)])


def _read(reader: StreamReader, parts: Iterable[bytes]) -> tuple[list[Frame], bool]:
    """Frames up to the end or the refusal, and whether it was refused."""
    frames: list[Frame] = []
    try:
        for part in parts:
            frames += reader.feed(part)
        frames += reader.close()
    except Refusal as refusal:
        _check_refusal(refusal)
        return frames, True
    return frames, False


def _cut(raw: bytes) -> list[bytes]:
    """Cut in a few places that the bytes themselves decide, so that a find is found again."""
    chance = random.Random(zlib.crc32(raw))
    ends = sorted({chance.randrange(len(raw) + 1) for _ in range(chance.randrange(1, 12))} | {len(raw)})
    return [raw[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def _check_stream_read(name: str, frames: Sequence[Frame]) -> None:
    said: dict[str, str] = {}
    for frame in frames:
        for piece in frame.pieces:
            said[piece.channel] = said.get(piece.channel, "") + piece.text
    read = shown.EVENTS.get(name, shown.every_string)
    wanted: set[str] = set()
    for frame in frames:
        if not frame.error and not frame.end:
            for data in shown.events(SHAPES[name].framing, frame.raw):
                wanted |= {text for text in shown.texts(read, data) if len(text) < 200}
    _check_all_read(wanted, said.values())


def _check_ended(dialect: Dialect, released: Sequence[Frame]) -> None:
    """Whatever the client has got so far, what we add makes it a stream that ends once and says our words."""
    if any(frame.end or frame.error for frame in released):
        return
    writer = dialect.writer(Chat((Message("user", "hi"),), stream=True), reply_id="r", created=1)
    for frame in released:
        writer.released(frame)
    ours = writer.say(OURS)
    whole = b"".join(frame.raw for frame in released) + ours + writer.finish()
    again, refused = _read(dialect.reader(), [whole])
    assert not refused, "a stream that we end can be read"
    said = "".join(piece.text for frame in again[len(released) :] for piece in frame.pieces)
    closed = {name for frame in released for name in frame.closes}
    assert OURS in said or not ours or "content:0" in closed, "a stream that we end says our words"


def _check_all_read(wanted: Iterable[str], said: Iterable[str]) -> None:
    """What we read may have been put together from several strings, and white space at joints may differ."""
    whole = "\0".join(said)
    squeezed = "".join(whole.split())
    for text in wanted:
        assert text in whole or "".join(text.split()) in squeezed, "no word goes by unread"


def _check_refusal(refusal: Refusal) -> None:
    text = str(refusal)
    assert text and "\n" not in text and len(text) < 400, "a refusal is one line"
    assert "want to die" not in text, "a refusal has no words of a person in it"


def claimed(data: bytes) -> None:
    """Any path and query at all has a dialect, or none."""
    from guardrail.dialects import claiming

    path, _, query = data.decode("utf-8", "surrogateescape").partition("?")
    found = claiming("POST", path, query, [SHAPES["json-events"].dialect])  # type: ignore[list-item]
    if found is not None:
        assert found.claims("POST", path, query), "who reads a request has claimed it"


def salvaged(data: bytes) -> None:
    """Of a damaged request the last words are heard: those of valid JSON, and those of JSON cut off in a string."""
    shape = SHAPES["openai-chat"]
    body = shapes.body(shape.requests, shape, data)
    said = heard(body)
    assert len(said) <= HEARD and said == said.encode().decode(), "what is heard is text, and bounded"
    for value in shown.readings(body)[:1]:
        strings = list(shown.every_string(value))
        if sum(map(len, strings)) + len(strings) < HEARD and all(len(text) < 2000 for text in strings):
            for text in strings:
                clean = text.encode("utf-8", "replace").decode()
                assert clean in said or not _is_json_text(text), "every string of a damaged request is heard"


def _is_json_text(text: str) -> bool:
    return json.loads(json.dumps(text)) == text
