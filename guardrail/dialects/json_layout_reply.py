"""What an operator says of the replies of a chat API of their own, whole and streamed: see ``json_layout``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from guardrail.dialects.json_fields import Constants, Described, Line, Mark, MarkAt, One, Place, Places
from guardrail.dialects.json_pointer import Pointer

Parts = list[tuple[Pointer, Any]]
"""What is written at which pointer, in this order."""


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
