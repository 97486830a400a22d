"""What an operator says of a chat API of their own: one entry of ``json_dialect`` in ``guardrail.yaml``.

The least there is to say::

    - path: /chat                     # exact, or with names: /sessions/{id}/messages
      request: {text: /message}       # where the person's words are
      reply: {text: /answer}          # where the bot's are

Everything at the named places is inspected. A reply's other strings are inspected too, wherever they are;
a request's are not: only what is named there counts as the conversation. Places are JSON pointers
(RFC 6901): ``/a/0/b``, with ``*`` for every index of an array; ``~0`` and ``~1`` are a tilde and a slash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from guardrail.core.model import Role
from guardrail.dialects.json_fields import (
    Asked,
    AskedAt,
    Constants,
    ConversationAt,
    Described,
    GuidanceAt,
    Line,
    Mark,
    MarkAt,
    One,
    Path,
    Place,
    Places,
    Words,
    word,
)
from guardrail.dialects.json_pointer import Pointer, built

Parts = list[tuple[Pointer, Any]]
"""What is written at which pointer, in this order."""


class Messages(Described):
    """A history in the request, oldest turn first. A turn of a role that is not named is read as the person's."""

    at: One
    """The array of turns. ``role`` and ``text`` start from a turn."""
    role: One
    text: Places
    user: Words = ("user", "human")
    assistant: Words = ("assistant", "bot", "ai", "model")
    system: Words = ("system", "developer")
    tool: Words = ("tool", "function")

    @cached_property
    def roles(self) -> Mapping[str, Role]:
        named: tuple[tuple[Role, Sequence[object]], ...] = (
            ("tool", self.tool),
            ("system", self.system),
            ("assistant", self.assistant),
            ("user", self.user),
        )
        return {word(said): role for role, words in named for said in words}


class Request(Described):
    """Where the conversation is in a request. With ``messages`` and ``text``, the text comes after the messages."""

    text: Places = ()
    """The person's new words. Several places are one turn; one of them must be there."""
    messages: Messages | None = None
    conversation: ConversationAt | None = None
    """Where an API that keeps the history itself has its id: a pointer, or ``path:NAME``."""
    guidance: GuidanceAt | None = None
    """Where clinicians' guidance for the bot is added: to the text at a pointer, or as a turn of ``messages``.

    Without it the bot cannot be steered. What a client sends at the pointer is read as a system turn.
    """
    stream: AskedAt | None = None
    """A boolean that asks for a stream, ``always`` or ``never``. Default: ``always`` where ``reply.stream`` is."""

    @model_validator(mode="after")
    def _consistent(self) -> Request:
        if not self.text and self.messages is None:
            raise ValueError("no text; name the place of the person's words, such as text: /message")
        if self.messages is not None and self.conversation is not None:
            raise ValueError("messages and conversation are both given; keep messages, the history says enough")
        if self.messages is None and self.guidance == "messages":
            raise ValueError("guidance: messages, and no messages; name a pointer for it, or leave it out")
        return self


class Stream(Described):
    """Replies in pieces: server-sent events whose data is JSON, or JSON by lines."""

    format: Literal["sse", "ndjson"]
    content_type: Annotated[str, Field(pattern=r"^([a-z0-9.+-]+/[a-z0-9.+-]+)?$")] = ""
    """Default: ``text/event-stream``, or ``application/x-ndjson``."""
    text: Places = ()
    """As in the reply, but in an event. Default: the same places; ``also`` and ``tools`` likewise."""
    also: Places = ()
    tools: Place | None = None
    event: Line | None = None
    """The name of our events that carry text. Events of any name are read."""
    constants: Constants = ()
    """What else our events that carry text hold."""
    done: MarkAt | None = None
    """The event that ends the stream. Without it the end of the connection does."""
    error: MarkAt = Mark.model_validate({"at": "/error"})
    """An event that says the chatbot failed. A server-sent event called ``error`` always does."""
    cumulative: bool = False
    """Whether each event has the whole text so far, and not only what is new."""

    @model_validator(mode="after")
    def _consistent(self) -> Stream:
        marks = [mark for mark in (self.done, self.error) if mark is not None]
        if self.format == "ndjson" and (self.event is not None or any(mark.event is not None for mark in marks)):
            raise ValueError("event names in ndjson, which has none; mark events by at and is")
        if self.error.data is not None:
            raise ValueError("error by its data, which would say nothing; mark it by at, or event")
        return self

    @property
    def type(self) -> str:
        return self.content_type or ("text/event-stream" if self.format == "sse" else "application/x-ndjson")

    def parts(self, text: str) -> Parts:
        """An event of ours that carries text."""
        return [*self.constants, (self.text[0], text)]


class Reply(Described):
    """Where the bot's words are in a reply, and how it looks in pieces."""

    text: Places = ()
    """What the bot says. All places are read; at one of them there must be text. Ours is put at the first."""
    also: Places = ()
    """Other text of its own that need not be there, such as reasoning or suggested answers. It is not mended:
    harm in it ends the reply. Ours is never put there."""
    unread: Places = ()
    """What is not inspected, with all that is in it, such as ``/sources``; ``""`` is everything not named."""
    tools: Place | None = None
    """What is there, and not empty, when the reply acts on the world."""
    optional: bool = False
    """Whether a reply may have no text at all."""
    conversation: One | None = None
    """Where the API's id of the conversation is: read, and put into replies of ours when the request gave it."""
    constants: Constants = ()
    """What else a reply of ours holds, such as ``{/status: ok}``."""
    stream: Stream | None = None


class Error(Described):
    """The chatbot's own error object, for errors of ours."""

    text: One = ("error",)
    constants: Constants = ()

    def parts(self, text: str) -> Parts:
        return [*self.constants, (self.text, text)]


class Layout(Described):
    """One entry: a path, and what is said there. It is read so whatever other API the path looks like."""

    path: Path
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    request: Request
    reply: Reply
    error: Error = Error()

    @model_validator(mode="after")
    def _consistent(self) -> Layout:
        asked, stream, named = self.asked, self.reply.stream, self.request.conversation
        if stream is None and asked != "never":
            raise ValueError("request.stream without reply.stream; say there how a stream looks, or leave it out")
        if stream is not None and asked == "never":
            raise ValueError("reply.stream with request.stream: never; leave one of them out")
        if not self.reply.text and not (stream is not None and stream.text and asked == "always"):
            raise ValueError("reply has no text; name the place of the bot's words, such as reply: {text: /answer}")
        if stream is not None and stream.type == "application/json" and asked != "always":
            raise ValueError("a stream of type application/json, as whole replies are; one of them must be another")
        if isinstance(named, str) and named not in self.path.names:
            raise ValueError(f"path has no segment called {named[:60]!r}; write it as {{NAME}}, and path:NAME")
        self._check_ours()
        return self

    def _check_ours(self) -> None:
        """All that we may have to write can be written."""
        for parts in (self.parts(""), self.error.parts(""), self.stream.parts("")):
            built(parts)
        done, error = self.stream.done, self.stream.error
        if done is not None and done.at is not None:
            built([*self.stream.parts(""), (done.at, True)])
        if error.at is not None and error.is_ is not None:
            built([*self.stream.parts(""), (error.at, error.is_)])

    @cached_property
    def asked(self) -> Asked:
        """How a request asks for a stream."""
        return self.request.stream or ("never" if self.reply.stream is None else "always")

    @cached_property
    def text(self) -> tuple[Pointer, ...]:
        """Places of the bot's words in a whole reply."""
        return self.reply.text or self.stream.text

    @cached_property
    def stream(self) -> Stream:
        """How a stream looks, with what it has from the whole reply."""
        given, reply = self.reply.stream or Stream(format="sse"), self.reply
        shared = {
            "text": given.text or reply.text,
            "also": given.also or reply.also,
            "tools": given.tools or reply.tools,
        }
        return given.model_copy(update=shared)

    def parts(self, text: str) -> Parts:
        """A whole reply of ours."""
        return [*self.reply.constants, (self.text[0], text)]

    def hides(self, other: Layout) -> bool:
        """Whether no request would ever reach ``other`` after this entry."""
        return self.method == other.method and self.path.match(other.path.text) is not None
