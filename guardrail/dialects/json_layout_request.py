"""What an operator says of the requests to a chat API of their own: see ``json_layout``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from pydantic import model_validator

from guardrail.core.model import Role
from guardrail.dialects.json_fields import AskedAt, ConversationAt, Described, GuidanceAt, One, Places, Words, word


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
