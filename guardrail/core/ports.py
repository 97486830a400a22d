"""What the core asks of the parts around it: detectors, dialects, and a source of help.

Protocols only. Implementations live in ``guardrail.detectors``, ``guardrail.dialects`` and
``guardrail.resources``; all of them are pure too, and the edge puts them together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from guardrail.core.model import Audience, Context, Direction, Message, Signal


class Detector(Protocol):
    """Text, in its conversation, to signals. A detector never decides, and may raise: that is a ``Failed``.

    ``deadline`` is in seconds. ``blocking`` detectors run off the event loop; the others must return
    in linear time and well under a millisecond. ``required``: without it a reply counts as unread.
    """

    @property
    def name(self) -> str: ...
    @property
    def directions(self) -> frozenset[Direction]: ...
    @property
    def deadline(self) -> float: ...
    @property
    def blocking(self) -> bool: ...
    @property
    def required(self) -> bool: ...

    def look(self, text: str, context: Context) -> Sequence[Signal]:
        """Signals in ``text``; spans are code-point offsets into ``text`` exactly as given."""
        ...


class Chat(msgspec.Struct, frozen=True):
    """A chat request as we read it. ``messages`` is in order and complete; developer turns are ``system``."""

    messages: tuple[Message, ...]
    stream: bool = False
    structured: bool = False
    """The client asked for JSON output: nothing may be appended to it."""
    choices: int = 1
    model: str = ""
    include_usage: bool = False
    conversation: str = ""
    """The API's own id of the conversation, where ``messages`` is only what is new in it."""
    follows: str = ""
    """The id of the reply that ``messages`` goes on from, where the API keeps what came before."""
    missed_since: str | None = None
    """Where that reply was of our own: the upstream's last one before it (empty: there was none)."""
    preface: int = 0
    """How many of ``messages``, at their beginning, stand elsewhere in the request than in its list of them."""


class Piece(msgspec.Struct, frozen=True):
    """A stretch of text of one channel, e.g. ``content:0``, ``thinking:1``, ``refusal:0`` (kind:index)."""

    channel: str
    text: str


class Reply(msgspec.Struct, frozen=True):
    """A whole reply: every channel's text in order, whether it carries tool calls, and the id by which a later
    request may go on from it (empty: none can)."""

    pieces: tuple[Piece, ...] = ()
    tools: bool = False
    id: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One upstream frame, byte for byte in ``raw``; concatenated frames are the upstream's body.

    ``pieces`` is the text it carries, ``tools`` that it carries (part of) a tool call, ``closes`` the
    channels that end with it (inspected before the frame goes), ``end`` that it is the terminator,
    ``error`` that it is one because the upstream failed: nobody in a crisis is shown it. ``id`` is the
    reply's, where a later request may go on from it.
    """

    raw: bytes
    pieces: tuple[Piece, ...] = ()
    tools: bool = False
    closes: tuple[str, ...] = ()
    end: bool = False
    error: bool = False
    id: str = ""


class StreamReader(Protocol):
    """Bytes, split anywhere, to frames. The frames do not depend on where the bytes were split."""

    def feed(self, data: bytes) -> list[Frame]:
        """Raises ``Refusal`` for what is not this dialect, invalid UTF-8 and oversized frames included."""
        ...

    def close(self) -> list[Frame]:
        """The upstream ended. Raises ``Refusal`` when it ended in the middle of a frame or unfinished."""
        ...


class StreamWriter(Protocol):
    """Writes frames of our own after, or instead of, released ones, so that the stream stays well formed."""

    def released(self, frame: Frame) -> None:
        """Take note of a frame the client has got: ids, open blocks, finished choices, usage."""
        ...

    def say(self, text: str, channel: str | None = None) -> bytes:
        """Frames that carry ``text`` in ``channel`` (default: every choice not yet finished)."""
        ...

    def finish(self) -> bytes:
        """Frames that end the stream: open blocks, finish or stop reasons, usage when asked, terminator.

        Writes nothing that was already released. After it the writer must not be used.
        """
        ...


class Dialect(Protocol):
    """One chat API's bytes to our messages, and back."""

    @property
    def name(self) -> str: ...
    @property
    def history(self) -> str:
        """The key of the list of messages that each request repeats and adds to, each read by itself; empty: none."""
        ...

    @property
    def stream_type(self) -> str:
        """Content type of a stream, e.g. ``text/event-stream; charset=utf-8``."""
        ...

    @property
    def keepalive(self) -> bytes:
        """Bytes that tell a waiting client the stream is alive and mean nothing else."""
        ...

    def claims(self, method: str, path: str, query: str) -> bool:
        """Whether a request to this path (and query, without its question mark) speaks this dialect."""
        ...

    def read_request(self, body: bytes) -> Chat:
        """Raises ``Refusal`` (one line, no message text) for what is not a request of this dialect."""
        ...

    def seems_streamed(self, body: bytes) -> bool:
        """Whether the answer to a request that cannot be read was most likely wanted as a stream."""
        ...

    def steered(self, body: bytes, guidance: str) -> bytes:
        """The same request with clinician guidance added for the model; all else untouched."""
        ...

    def resumed(self, body: bytes, follows: str, turns: Sequence[Message]) -> bytes:
        """The same request going on from reply ``follows`` (empty: from none) with ``turns`` before its own.

        For a request that goes on from a reply of ours, which the upstream has never heard of. Dialects
        whose requests bring their history are never asked.
        """
        ...

    def read_reply(self, body: bytes) -> Reply:
        """Raises ``Refusal`` for what is not a reply of this dialect."""
        ...

    def rewritten(self, body: bytes, texts: Mapping[str, str]) -> bytes:
        """The same reply with the text of the given channels exchanged; logprobs of those are dropped."""
        ...

    def replacement(self, chat: Chat, text: str, *, reply_id: str, created: int) -> bytes:
        """A whole reply of our own (no tool calls, finish reason "stop" or the like, usage zero)."""
        ...

    def error(self, status: int, message: str) -> bytes:
        """An error object in the API's own shape."""
        ...

    def stream_error(self, status: int, message: str) -> bytes:
        """The same as the last frame of a stream that has begun and cannot go on."""
        ...

    def reader(self) -> StreamReader: ...

    def writer(self, chat: Chat, *, reply_id: str, created: int) -> StreamWriter: ...


class HelpQuery(msgspec.Struct, frozen=True):
    """Which help is wanted: for whom, where, in which language, at which moment (POSIX seconds).

    ``kinds`` are resource kinds in order of preference, e.g. ``("emergency_ambulance", "suicide_crisis")``.
    """

    country: str | None
    kinds: tuple[str, ...]
    locale: str
    audience: Audience
    at: float


class Help(Protocol):
    """Short lines of help fit to show a person, or the honest directory answer when there is none."""

    def lines(self, query: HelpQuery) -> tuple[str, ...]: ...
