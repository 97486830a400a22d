"""What an operator says of a chat API of their own: one entry of ``json_dialect`` in ``guardrail.yaml``.

The least there is to say::

    - path: /chat                     # exact, or with names: /sessions/{id}/messages
      request: {text: /message}       # where the person's words are
      reply: {text: /answer}          # where the bot's are

Everything at the named places is inspected. A reply's other strings are inspected too, wherever they are;
a request's are not: only what is named there counts as the conversation. Places are JSON pointers
(RFC 6901): ``/a/0/b``, with ``*`` for every index of an array; ``~0`` and ``~1`` are a tilde and a slash.

What cannot be described: requests whose text is in the query (GET), or in a form; events whose data is bare text
and no JSON; histories whose turns do not say who spoke. What else may be said is in ``json_layout_request`` and
``json_layout_reply``, key by key.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal

from pydantic import model_validator

from guardrail.dialects.json_fields import Asked, Described, Path
from guardrail.dialects.json_layout_reply import Error, Parts, Reply, Stream
from guardrail.dialects.json_layout_request import Request
from guardrail.dialects.json_pointer import Pointer, built


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
